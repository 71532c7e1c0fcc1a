"""Custody: cash that goes to a bank and comes back, and what the bank says lies there.

Whoever receives signs: a custodian for what a cashier brings, a cashier for what he draws. An attestation
below the books, less the tolerance, stops issuing at once, on the custodian's own word; one that is enough
lets it go on only when an auditor has seen the statement.
"""

from typing import Final

from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.assets.cash import check_float, compute_float, use_ref
from protocol.contracts.assets.records import (
    ACTIVE,
    CUSTODIANS,
    CUSTODIANS_MAX,
    ID,
    MINT_PAUSED,
    NO_ATTESTATION,
    NO_CUSTODIAN,
    NOT_NEWER,
    NOT_PARTY,
    CustodianRow,
    get_asset,
    get_cashier,
    get_moving,
    put_status,
)
from protocol.contracts.ledger.accounts import (
    CASHIER_FLOAT,
    CUSTODY,
    account_key,
    get_account,
    open_account,
)
from protocol.contracts.ledger.legs import leg
from protocol.errors import Code
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import ADDRESS, AMOUNT, ASSET, BOOL, Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

CODE_SETTLE: Final = 1608
CODE_DRAW: Final = 1610

_MOVED: Final = (
    Field("custodian", ADDRESS),
    Field("cashier", ADDRESS),
    Field("asset", ASSET),
    Field("amount", AMOUNT),
)
_SEEN: Final = (
    Field("custodian", ADDRESS),
    Field("asset", ASSET),
    Field("attested", AMOUNT),
    Field("books", AMOUNT),
)
SETTLED: Final = EventType(ID, 7, "settled", _MOVED, "A custodian received cash of a cashier.")
DRAWN: Final = EventType(ID, 8, "drawn", _MOVED, "A cashier received cash of a custodian.")
RESERVE_SHORT: Final = EventType(
    ID, 9, "reserve_short", _SEEN, "A custodian keeps less than the books say; nothing is issued any more."
)
ATTESTED: Final = EventType(
    ID,
    10,
    "attested",
    (*_SEEN, Field("is_confirmed", BOOL, "by an auditor")),
    "A custodian said, or an auditor confirmed, that enough is kept.",
)


def set_custodian(ctx: Context, custodian: Address, asset: int, tolerance: int) -> Value:
    """Let an account keep what the co-op owns of an asset."""
    view, key = ctx.view, CUSTODIANS.key(asset, custodian)
    get_asset(view, asset)
    old = CUSTODIANS.get(view, key)
    if old is None:
        count = sum([1 for _ in CUSTODIANS.scan(view, asset)])
        if count >= CUSTODIANS_MAX:
            fail(Code.LIMIT, "assets.custodians", CUSTODIANS_MAX, count + 1)
        old = (SCHEMA, 0, 0, bytes(32), 0, False, False)
    auth.open_account(view, custodian)
    open_account(view, account_key(custodian, CUSTODY, asset))
    CUSTODIANS.put(view, key, (SCHEMA, tolerance, *old[2:]))
    return True


def settle(ctx: Context, custodian: Address, cashier: Address, asset: int, amount: int, ref: bytes) -> Value:
    """Confirm cash that a cashier has brought; returns the amount."""
    view = ctx.view
    get_moving(view, asset)
    _get_custodian(view, custodian, asset)
    use_ref(view, custodian, ref)
    kept = account_key(custodian, CUSTODY, asset)
    leg(ctx, kept, account_key(cashier, CASHIER_FLOAT, asset), amount, CODE_SETTLE, ref)
    ctx.emit(SETTLED, custodian, cashier, asset, amount)
    return amount


def draw(ctx: Context, cashier: Address, custodian: Address, asset: int, amount: int, ref: bytes) -> Value:
    """Confirm cash that a cashier has fetched; returns the amount."""
    view = ctx.view
    get_moving(view, asset)
    _get_custodian(view, custodian, asset)
    limits = get_cashier(view, cashier, asset)
    use_ref(view, cashier, ref)
    floating = account_key(cashier, CASHIER_FLOAT, asset)
    check_float(compute_float(view, floating), limits[1], amount)
    leg(ctx, floating, account_key(custodian, CUSTODY, asset), amount, CODE_DRAW, ref)
    ctx.emit(DRAWN, custodian, cashier, asset, amount)
    return amount


def attest(ctx: Context, custodian: Address, asset: int, amount: int, statement: bytes, as_of: int) -> Value:
    """Say what lies with a custodian; returns whether it is enough."""
    view, now = ctx.view, ctx.environment.time
    row = _get_custodian(view, custodian, asset)
    if not row[4] < as_of <= now:
        fail(NOT_NEWER, "assets.as_of", now if as_of > now else row[4] + 1, as_of)
    books = compute_books(view, custodian, asset)
    is_short = amount < books - row[1]
    new = (SCHEMA, row[1], amount, statement, as_of, is_short or row[5], False)
    CUSTODIANS.put(view, CUSTODIANS.key(asset, custodian), new)
    if not is_short:
        ctx.emit(ATTESTED, custodian, asset, amount, books, False)
        return True
    asset_row = get_asset(view, asset)
    if asset_row[6] == ACTIVE:
        put_status(view, asset, asset_row, MINT_PAUSED)
    ctx.emit(RESERVE_SHORT, custodian, asset, amount, books)
    return False


def confirm_attestation(
    ctx: Context, auditor: Address, custodian: Address, asset: int, statement: bytes
) -> Value:
    """Confirm the newest attestation as an auditor; returns whether more may be issued now.

    Rules: 1. the auditor is not the custodian. 2. issuing goes on when no custodian of the asset is short.
    """
    view = ctx.view
    row = _get_custodian(view, custodian, asset)
    if auditor == custodian:
        fail(NOT_PARTY, "assets.auditor", None, auditor)
    if not row[4] or row[6] or statement != row[3]:
        fail(NO_ATTESTATION, "assets.attestation", row[3], statement)
    books = compute_books(view, custodian, asset)
    is_short = row[2] < books - row[1]
    CUSTODIANS.put(view, CUSTODIANS.key(asset, custodian), (*row[:5], is_short, True))
    ctx.emit(ATTESTED, custodian, asset, row[2], books, True)
    asset_row = get_asset(view, asset)
    if asset_row[6] != MINT_PAUSED:
        return asset_row[6] == ACTIVE
    if any(other[5] for _, other in CUSTODIANS.scan(view, asset)):
        return False
    put_status(view, asset, asset_row, ACTIVE)
    return True


def compute_books(view: View, custodian: Address, asset: int) -> int:
    """Compute what the books say that a custodian keeps, minor units."""
    row = get_account(view, account_key(custodian, CUSTODY, asset))
    assert row is not None, "set_custodian has opened it"
    return max(0, row[3] - row[5])


def _get_custodian(view: View, custodian: Address, asset: int) -> CustodianRow:
    row = CUSTODIANS.get(view, CUSTODIANS.key(asset, custodian))
    if row is None:
        fail(NO_CUSTODIAN, "assets.custodian", asset, custodian)
    return row
