"""Creating assets, pausing them, and appointing cashiers: what only a decision of the co-op may do."""

from typing import Final

from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.assets.records import (
    ACTIVE,
    ASSETS,
    CASHIERS,
    COUNTER,
    ID,
    SYMBOL,
    SYMBOL_FORM,
    SYMBOL_TAKEN,
    find_asset,
    get_asset,
    put_status,
)
from protocol.contracts.ledger.accounts import CASHIER_FLOAT, account_key, open_account
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import ADDRESS, ASSET, Field
from protocol.vm.tables import SCHEMA

CREATED: Final = EventType(
    ID, 1, "created", (Field("asset", ASSET), Field("symbol", SYMBOL)), "An asset exists from now on."
)
CASHIER_SET: Final = EventType(
    ID, 2, "cashier_set", (Field("cashier", ADDRESS), Field("asset", ASSET)), "A cashier has other limits."
)


def create(ctx: Context, symbol: str, name: str, decimals: int, kind: int, cap: int) -> Value:
    """Create an asset; returns its number."""
    view = ctx.view
    if not symbol or not all("A" <= c <= "Z" or "0" <= c <= "9" for c in symbol):
        fail(SYMBOL_FORM, "assets.symbol_form", None, symbol)
    if find_asset(view, symbol) is not None:
        fail(SYMBOL_TAKEN, "assets.symbol_taken", None, symbol)
    counter = COUNTER.get(view, COUNTER.prefix)
    asset = 1 if counter is None else counter[1] + 1
    COUNTER.put(view, COUNTER.prefix, (SCHEMA, asset))
    ASSETS.put(view, ASSETS.key(asset), (SCHEMA, symbol, name, decimals, kind, cap, ACTIVE, 0))
    ctx.emit(CREATED, asset, symbol)
    return asset


def set_status(ctx: Context, asset: int, status: int) -> Value:
    """Pause an asset or let it move again."""
    put_status(ctx.view, asset, get_asset(ctx.view, asset), status)
    return True


def set_cashier(
    ctx: Context, cashier: Address, asset: int, float_limit: int, daily_limit: int, four_eyes_limit: int
) -> Value:
    """Set the limits of a cashier; a float limit of 0 ends the office."""
    view = ctx.view
    get_asset(view, asset)
    key = CASHIERS.key(cashier, asset)
    old = CASHIERS.get(view, key)
    day, cashed_in = (0, 0) if old is None else old[4:]
    auth.open_account(view, cashier)
    open_account(view, account_key(cashier, CASHIER_FLOAT, asset))
    CASHIERS.put(view, key, (SCHEMA, float_limit, daily_limit, four_eyes_limit, day, cashed_in))
    ctx.emit(CASHIER_SET, cashier, asset)
    return True
