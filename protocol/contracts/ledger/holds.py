"""Holds: legs that are pending until they are captured, released or expire.

Only the contract whose code made a hold can resolve it. Posting is `legs.py`.
"""

from typing import Final

from protocol.contracts.ledger.accounts import (
    ACCOUNT,
    CAPTURED,
    CLOSE_CREDIT,
    CLOSE_DEBIT,
    CLOSED,
    COUNTER,
    EXPIRED,
    HOLD_DUE,
    HOLD_FIELDS,
    HOLDS,
    ID,
    PENDING,
    RELEASED,
    AccountRow,
    HoldRow,
    get_account,
)
from protocol.contracts.ledger.legs import (
    LEG_GAS,
    add_totals,
    check_credit,
    check_debit,
    find_pair,
    limit_amount,
    post,
)
from protocol.errors import Code
from protocol.params import HOLD_SECONDS_MAX, HOLDS_EXPIRED_PER_BLOCK_MAX
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import AMOUNT, HOLD, U8, Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

HELD: Final = EventType(ID, 1, "held", (Field("hold", HOLD), *HOLD_FIELDS[1:4]), "A leg is pending.")
RESOLVED: Final = EventType(
    ID,
    2,
    "resolved",
    (Field("hold", HOLD), Field("state", U8), Field("amount", AMOUNT)),
    "A hold was captured (with the amount posted), released or has expired.",
)


def hold(
    ctx: Context,
    debit: bytes,
    credit: bytes,
    amount: int,
    expires: int,
    code: int,
    ref: bytes = b"",
    at_most: int = 0,
    closing: int = 0,
) -> int:
    """Reserve an amount on both accounts; returns the number of the hold.

    Rules: 1. those of `leg`; what a hold gives back later still counts as spent. 2. the contract whose code
        runs keeps the hold. 3. at `expires` (seconds; 0: never)
        it is given back. 4. while it is pending, the accounts named by `closing` are closed.

    Raises:
        CallFailed: what `leg` raises; LIMIT when it would expire at once or too late.
    """
    view, now = ctx.view, ctx.environment.time
    if not ctx.may_debit(debit[:20]):
        fail(Code.POLICY_UNMET, "ledger.authority", None, debit[:20])
    if expires and not now < expires <= now + HOLD_SECONDS_MAX:
        fail(Code.LIMIT, "ledger.hold_seconds", HOLD_SECONDS_MAX, expires - now)
    view.charge(LEG_GAS)
    dr, cr = find_pair(view, debit, credit)
    if at_most:
        amount = limit_amount(dr, cr, amount, at_most)
    check_debit(dr, amount)
    check_credit(cr, amount)
    if ctx.grant or ctx.takes:
        ctx.spend(debit[:20], int.from_bytes(debit[22:26], "big"), amount, credit[:20])
    _pend(view, debit, dr, amount, 0, CLOSED if closing & CLOSE_DEBIT else 0)
    _pend(view, credit, cr, 0, amount, CLOSED if closing & CLOSE_CREDIT else 0)
    add_totals(view, debit, credit, amount, 0)
    counter = COUNTER.get(view, COUNTER.prefix)
    number = 1 if counter is None else counter[1] + 1
    COUNTER.put(view, COUNTER.prefix, (SCHEMA, number))
    keeper = ctx.contract.id
    row: HoldRow = (SCHEMA, keeper, debit, credit, amount, closing, PENDING, expires, code, ref)
    HOLDS.put(view, HOLDS.key(number), row)
    ctx.emit(HELD, number, debit, credit, amount)
    return number


def capture(ctx: Context, number: int, amount: int | None) -> int:
    """Post a hold, all of it (None) or a part; the rest is released. Returns the amount posted.

    Raises:
        CallFailed: HOLD_STATE (unknown, resolved, or another contract's), HOLD_EXPIRED, EXCEEDS_HOLD, CLOSED.
    """
    view, environment = ctx.view, ctx.environment
    row = _find_pending(ctx, number)
    _, _, debit, credit, held, _, _, expires, code, ref = row
    if expires and environment.time >= expires:
        fail(Code.HOLD_EXPIRED, "ledger.hold_expired", expires, environment.time)
    if amount is None:
        amount = held
    if amount > held:
        fail(Code.EXCEEDS_HOLD, "ledger.exceeds_hold", held, amount)
    find_pair(view, debit, credit)  # a closed account takes no posting
    _release_pending(view, row)
    # What the hold had reserved is free again, so the leg cannot lack funds; a freeze in between stops it.
    post(view, environment, debit, credit, amount, code, ref)
    _resolve(ctx.view, number, row, CAPTURED)
    ctx.emit(RESOLVED, number, CAPTURED, amount)
    return amount


def release(ctx: Context, number: int) -> int:
    """Give a hold back; returns the amount released.

    Raises:
        CallFailed: HOLD_STATE, HOLD_EXPIRED.
    """
    row = _find_pending(ctx, number)
    expires = row[7]
    if expires and ctx.environment.time >= expires:
        fail(Code.HOLD_EXPIRED, "ledger.hold_expired", expires, ctx.environment.time)
    ctx.view.charge(LEG_GAS)
    _release_pending(ctx.view, row)
    _resolve(ctx.view, number, row, RELEASED)
    ctx.emit(RESOLVED, number, RELEASED, 0)
    return row[4]


def expire_holds(view: View, time: int) -> int:
    """Give back the holds whose time has come, oldest first, as a block starts; returns how many."""
    due: list[int] = []
    for expires, number in HOLDS.scan_index(view, HOLD_DUE):
        assert type(expires) is int and type(number) is int
        if expires > time or len(due) == HOLDS_EXPIRED_PER_BLOCK_MAX:
            break
        due.append(number)
    for number in due:
        row = HOLDS.get(view, HOLDS.key(number))
        assert row is not None, "the index follows the table"
        _release_pending(view, row)
        _resolve(view, number, row, EXPIRED)
    return len(due)


def get_hold(view: View, number: int) -> HoldRow | None:
    """Return a hold's record, or None."""
    return HOLDS.get(view, HOLDS.key(number))


def _find_pending(ctx: Context, number: int) -> HoldRow:
    row = get_hold(ctx.view, number)
    if row is None:
        fail(Code.HOLD_STATE, "ledger.hold_unknown", None, number)
    if row[1] != ctx.contract.id:
        fail(Code.HOLD_STATE, "ledger.hold_keeper", row[1], ctx.contract.id)
    if row[6] == EXPIRED:
        fail(Code.HOLD_EXPIRED, "ledger.hold_expired", row[7], ctx.environment.time)
    if row[6] != PENDING:
        fail(Code.HOLD_STATE, "ledger.hold_resolved", PENDING, row[6])
    return row


def _pend(view: View, account: bytes, row: AccountRow, debits: int, credits: int, closed: int) -> None:
    schema, flags, dp, d, cp, c, seq, journal_hash = row
    new = (schema, flags | closed, dp + debits, d, cp + credits, c, seq, journal_hash)
    view.put(ACCOUNT.prefix + account, new)


def _release_pending(view: View, row: HoldRow) -> None:
    _, _, debit, credit, amount, closing, _, _, _, _ = row
    for account, debits, credits, mask in (
        (debit, amount, 0, closing & CLOSE_DEBIT),
        (credit, 0, amount, closing & CLOSE_CREDIT),
    ):
        found = get_account(view, account)
        assert found is not None, "an account with a hold exists"
        schema, flags, dp, d, cp, c, seq, journal_hash = found
        flags = flags & ~CLOSED if mask else flags
        view.put(
            ACCOUNT.prefix + account, (schema, flags, dp - debits, d, cp - credits, c, seq, journal_hash)
        )
        view.touched[Address(account[:20])] = None
    add_totals(view, debit, credit, -amount, 0)


def _resolve(view: View, number: int, row: HoldRow, state: int) -> None:
    HOLDS.put(view, HOLDS.key(number), (*row[:6], state, *row[7:]))
