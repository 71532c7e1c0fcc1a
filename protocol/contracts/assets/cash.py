"""Cash in and cash out: floats, limits, references, and the second pair of eyes."""

from typing import Final

from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.assets.records import (
    ASSETS,
    CASH_REFS,
    CASHIERS,
    DAILY_LIMIT,
    FLOAT_LIMIT,
    ID,
    REF_USED,
    SECOND_CASHIER,
    SUPPLY_CAP,
    AssetRow,
    CashierRow,
    get_asset,
    get_cashier,
    get_issuing,
)
from protocol.contracts.ledger.accounts import (
    ACCOUNT,
    CASHIER_FLOAT,
    MEMBER_FREE,
    PENDING,
    account_key,
    open_account,
    read_account_key,
)
from protocol.contracts.ledger.holds import capture, get_hold, hold
from protocol.contracts.ledger.legs import leg
from protocol.errors import Code
from protocol.params import CASH_CONFIRM_SECONDS
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import ADDRESS, AMOUNT, ASSET, HOLD, Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

CODE_CASH_IN: Final = 1602
CODE_CASH_OUT: Final = 1604

_CASH_FIELDS: Final = (
    Field("cashier", ADDRESS),
    Field("member", ADDRESS),
    Field("asset", ASSET),
    Field("amount", AMOUNT),
)
CASHED_IN: Final = EventType(ID, 3, "cashed_in", _CASH_FIELDS, "Cash came in.")
CASHED_OUT: Final = EventType(ID, 4, "cashed_out", _CASH_FIELDS, "Cash went out.")
CASH_WAITS: Final = EventType(
    ID, 5, "cash_waits", (Field("hold", HOLD), *_CASH_FIELDS), "Cash in or out waits for a cashier."
)


def cash_in(ctx: Context, cashier: Address, member: Address, asset: int, amount: int, ref: bytes) -> Value:
    """Credit a member with cash received; returns 0, or the hold that a second cashier must confirm."""
    view = ctx.view
    asset_row = get_issuing(view, asset)
    limits = get_cashier(view, cashier, asset)
    use_ref(view, cashier, ref)
    _use_daily_limit(ctx, cashier, asset, limits, amount)
    floating = account_key(cashier, CASHIER_FLOAT, asset)
    check_float(compute_float(view, floating), limits[1], amount)
    auth.open_account(view, member)
    claim = account_key(member, MEMBER_FREE, asset)
    open_account(view, claim)
    if amount > limits[3]:
        expires = ctx.environment.time + CASH_CONFIRM_SECONDS
        number = hold(ctx, floating, claim, amount, expires, CODE_CASH_IN, ref)
        ctx.emit(CASH_WAITS, number, cashier, member, asset, amount)
        return number
    _add_issued(view, asset, asset_row, amount)
    leg(ctx, floating, claim, amount, CODE_CASH_IN, ref)
    ctx.emit(CASHED_IN, cashier, member, asset, amount)
    return 0


def use_ref(view: View, cashier: Address, ref: bytes) -> None:
    """Use a reference, for once.

    Raises:
        CallFailed: REF_USED.
    """
    key = CASH_REFS.key(cashier, ref.ljust(16, b"\0"))
    if CASH_REFS.get(view, key) is not None:
        fail(REF_USED, "assets.ref_used", None, ref)
    CASH_REFS.put(view, key, (SCHEMA,))


def _use_daily_limit(ctx: Context, cashier: Address, asset: int, row: CashierRow, amount: int) -> None:
    schema, float_limit, daily_limit, four_eyes_limit, day, cashed_in = row
    today = ctx.environment.day
    used = cashed_in if day == today else 0
    if used + amount > daily_limit:
        fail(DAILY_LIMIT, "assets.daily_limit", daily_limit - used, amount)
    new = (schema, float_limit, daily_limit, four_eyes_limit, today, used + amount)
    CASHIERS.put(ctx.view, CASHIERS.key(cashier, asset), new)


def check_float(held: int, limit: int, amount: int) -> None:
    """Check that a cashier may hold so much more.

    Raises:
        CallFailed: FLOAT_LIMIT.
    """
    if held + amount > limit:
        fail(FLOAT_LIMIT, "assets.float_limit", max(0, limit - held), amount)


def compute_float(view: View, floating: bytes) -> int:
    """Compute the cash that a cashier holds or is about to receive, minor units."""
    row = ACCOUNT.get(view, ACCOUNT.prefix + floating)
    assert row is not None, "set_cashier has opened it"
    return row[3] + row[2] - row[5]


def cash_out(ctx: Context, member: Address, cashier: Address, asset: int, amount: int, ref: bytes) -> Value:
    """Ask a cashier for cash; returns the hold."""
    view = ctx.view
    get_asset(view, asset)
    get_cashier(view, cashier, asset)
    claim = account_key(member, MEMBER_FREE, asset)
    floating = account_key(cashier, CASHIER_FLOAT, asset)
    expires = ctx.environment.time + CASH_CONFIRM_SECONDS
    number = hold(ctx, claim, floating, amount, expires, CODE_CASH_OUT, ref)
    ctx.emit(CASH_WAITS, number, cashier, member, asset, amount)
    return number


def confirm_cash(ctx: Context, number: int) -> Value:
    """Confirm cash in as a second cashier, or cash out as the one who pays; returns the amount."""
    view = ctx.view
    row = get_hold(view, number)
    if row is None or row[1] != ID or row[6] != PENDING or row[8] not in (CODE_CASH_IN, CODE_CASH_OUT):
        fail(Code.HOLD_STATE, "assets.cash_hold", None, number)
    _, _, debit, credit, amount, *_ = row
    debtor, debit_class, asset, _ = read_account_key(debit)
    creditor = read_account_key(credit)[0]
    actor = ctx.actor
    assert actor is not None, "the capability asks for an actor"
    if debit_class == CASHIER_FLOAT:
        if actor == debtor:
            fail(SECOND_CASHIER, "assets.second_cashier", None, actor)
        get_cashier(view, actor, asset)
        _add_issued(view, asset, get_issuing(view, asset), amount)
        capture(ctx, number, None)
        ctx.emit(CASHED_IN, debtor, creditor, asset, amount)
        return amount
    if actor != creditor:
        fail(Code.ROLE, "assets.cashier", asset, actor)
    _add_issued(view, asset, get_asset(view, asset), -amount)
    capture(ctx, number, None)
    ctx.emit(CASHED_OUT, creditor, debtor, asset, amount)
    return amount


def _add_issued(view: View, asset: int, row: AssetRow, amount: int) -> None:
    schema, symbol, name, decimals, kind, cap, status, issued = row
    if issued + amount > cap:
        fail(SUPPLY_CAP, "assets.cap", cap - issued, amount)
    new = (schema, symbol, name, decimals, kind, cap, status, issued + amount)
    ASSETS.put(view, ASSETS.key(asset), new)
