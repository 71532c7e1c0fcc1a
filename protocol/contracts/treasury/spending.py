"""Payments with their approvals, and streams: what leaves the co-op's equity.

Funds and lines are `funds.py`.
"""

from typing import Final

from protocol.codec import Value
from protocol.contracts import auth, sched
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.legs import leg
from protocol.contracts.members.records import BOARD
from protocol.contracts.members.roles import is_active
from protocol.contracts.treasury.records import (
    ADDRESS_OF,
    APPROVED,
    BUDGET,
    COST,
    DELAY_SECONDS_DEFAULT,
    FUNDS,
    ID,
    LINE,
    LINE_YEAR,
    LINES,
    NOTHING,
    PAID,
    PAYMENT,
    PAYMENT_STATE,
    PAYMENTS,
    REJECTED,
    REQUESTED,
    SECOND_PERSON,
    STATE,
    STREAM,
    STREAMS,
    TERMS,
    TIERS,
    TOO_EARLY,
    TREASURER,
    UNKNOWN_PAYMENT,
    UNKNOWN_STREAM,
    LineRow,
    PaymentRow,
    StreamRow,
    get_fund,
    get_line,
    holds_any,
    next_number,
    reserve_key,
    surplus_key,
)
from protocol.errors import Code
from protocol.money import check_amount, date_from_days
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import GOV, EventType
from protocol.vm.kinds import ADDRESS, AMOUNT, Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

CODE_PAY: Final = 2010
CODE_FREE: Final = 2012

PAY_DUE_METHOD: Final = 16
PAY_DUE_GAS: Final = 100_000

ASKED: Final = EventType(
    ID,
    5,
    "requested",
    (Field("payment", PAYMENT), Field("line", LINE), Field("payee", ADDRESS), Field("amount", AMOUNT)),
    "Somebody asks for a payment.",
)
DECIDED: Final = EventType(
    ID, 6, "decided", (Field("payment", PAYMENT), PAYMENT_STATE), "A payment is in another state."
)
STREAMED: Final = EventType(
    ID, 7, "streamed", (Field("stream", STREAM), Field("paid", AMOUNT)), "A stream has paid so much more."
)


# --- payments


def request(ctx: Context, line: int, payee: Address, amount: int, document: bytes) -> Value:
    """Ask for a payment; returns its number."""
    view, actor = ctx.view, ctx.actor
    row = get_line(view, line)
    assert actor is not None, "the capability asks for an actor"
    may = holds_any(ctx, row[8]) if row[8] else is_active(view, actor)
    if not may and not holds_any(ctx, TREASURER, BOARD):
        fail(Code.ROLE, "treasury.requester", row[8] or "member", actor)
    _check_payee(view, payee)
    _check_line(ctx, row, amount)
    number = next_number(view, 2)
    PAYMENTS.put(view, PAYMENTS.key(number), (SCHEMA, line, payee, amount, document, actor, REQUESTED, (), 0))
    ctx.emit(ASKED, number, line, payee, amount)
    return number


def _check_payee(view: View, payee: Address) -> None:
    if not auth.is_open(view, payee):
        fail(Code.NO_ACCOUNT, "treasury.payee", None, payee)


def _check_line(ctx: Context, row: LineRow, amount: int) -> None:
    year = date_from_days(ctx.environment.day)[0]
    if year < row[6] or (year > row[6] and not row[7]):
        fail(LINE_YEAR, "treasury.line_year", row[6], year)
    left = row[3] - row[4] - row[5]
    if amount > left:
        fail(BUDGET, "treasury.budget", left, amount)


def approve(ctx: Context, number: int) -> Value:
    """Approve a payment; the last approval pays it when it has no delay. Returns the state.

    Rules: 1. neither who asked nor who is paid approves, and nobody twice. 2. one approval up to the first
        tier, by a treasurer or the line's owner; two treasurers up to the second; above it three and the
        delay. 3. gov's approval is enough, the delay stays.
    """
    view, actor = ctx.view, ctx.actor
    row = _get_payment(view, number)
    if row[6] != REQUESTED:
        fail(STATE, "treasury.approve", REQUESTED, row[6])
    line = get_line(view, row[1])
    asset = get_fund(view, line[1])[3]
    _, first, second, delay = TIERS.get(view, TIERS.key(asset)) or (SCHEMA, 0, 0, DELAY_SECONDS_DEFAULT)
    amount = row[3]
    needed = 1 if amount <= first else 2 if amount <= second else 3
    is_gov = ctx.environment.system == GOV.name
    approvals = row[7]
    if not is_gov:
        if not holds_any(ctx, TREASURER, line[8] if needed == 1 else ""):
            fail(Code.ROLE, "treasury.approver", TREASURER, actor)
        assert actor is not None, "who holds a role is somebody"
        if actor in (row[5], row[2]) or actor in approvals:
            fail(SECOND_PERSON, "treasury.second_person", None, actor)
        approvals = (*approvals, actor)
    if not is_gov and len(approvals) < needed:
        PAYMENTS.put(view, PAYMENTS.key(number), (*row[:7], approvals, 0))
        return REQUESTED
    _check_line(ctx, line, amount)
    LINES.put(view, LINES.key(row[1]), (*line[:5], line[5] + amount, *line[6:]))
    due = int(ctx.environment.time) + (delay if amount > second else 0)
    PAYMENTS.put(view, PAYMENTS.key(number), (*row[:6], APPROVED, approvals, due))
    ctx.emit(DECIDED, number, APPROVED)
    if due <= ctx.environment.time:
        return pay(ctx, number)
    program = ((), ((ID, PAY_DUE_METHOD, 0, (number,)),))
    sched.schedule(ctx, program, (), due, gas=PAY_DUE_GAS)
    return APPROVED


def reject(ctx: Context, number: int) -> Value:
    """Refuse a payment before it is paid, or take one's own request back; returns the state."""
    view = ctx.view
    row = _get_payment(view, number)
    if row[6] not in (REQUESTED, APPROVED):
        fail(STATE, "treasury.reject", APPROVED, row[6])
    is_own = ctx.actor == row[5] and not ctx.grant
    if not is_own and not holds_any(ctx, TREASURER, BOARD):
        fail(Code.ROLE, "treasury.reject", TREASURER, ctx.actor)
    if row[6] == APPROVED:
        line = get_line(view, row[1])
        LINES.put(view, LINES.key(row[1]), (*line[:5], line[5] - row[3], *line[6:]))
    PAYMENTS.put(view, PAYMENTS.key(number), (*row[:6], REJECTED, *row[7:]))
    ctx.emit(DECIDED, number, REJECTED)
    return REJECTED


def pay(ctx: Context, number: int) -> Value:
    """Pay an approved payment that is due; returns the state. For anybody."""
    view, now = ctx.view, int(ctx.environment.time)
    row = _get_payment(view, number)
    if row[6] != APPROVED:
        fail(STATE, "treasury.pay", APPROVED, row[6])
    if now < row[8]:
        fail(TOO_EARLY, "treasury.due", row[8], now)
    PAYMENTS.put(view, PAYMENTS.key(number), (*row[:6], PAID, *row[7:]))
    _spend(ctx, row[1], row[2], row[3])
    ctx.emit(DECIDED, number, PAID)
    return PAID


def pay_due(ctx: Context, number: int) -> Value:
    """Pay what is due by itself, unless it was paid or rejected meanwhile; returns the state."""
    state = _get_payment(ctx.view, number)[6]
    return pay(ctx, number) if state == APPROVED else state


def _spend(ctx: Context, number: int, payee: Address, amount: int) -> None:
    """Book a committed cost, and free the fund's reserve for it."""
    view = ctx.view
    line = get_line(view, number)
    fund = get_fund(view, line[1])
    asset = fund[3]
    cost = account_key(ADDRESS_OF, COST, asset, number)
    claim = account_key(payee, MEMBER_FREE, asset)
    open_account(view, cost)
    open_account(view, claim)
    leg(ctx, reserve_key(line[1], asset), surplus_key(asset), amount, CODE_FREE)
    leg(ctx, cost, claim, amount, CODE_PAY)
    LINES.put(view, LINES.key(number), (*line[:4], line[4] + amount, line[5] - amount, *line[6:]))
    FUNDS.put(view, FUNDS.key(line[1]), (*fund[:5], fund[5] - amount))


def _get_payment(view: View, number: int) -> PaymentRow:
    return PAYMENTS.need(view, PAYMENTS.key(number), UNKNOWN_PAYMENT, "treasury.payment", number)


# --- streams


def open_stream(
    ctx: Context, line: int, payee: Address, numerator: int, denominator: int, start: int, until: int
) -> Value:
    """Promise a payment that grows with every second; all of it is committed. Returns its number."""
    view = ctx.view
    if start >= until or start < ctx.environment.time:
        fail(TERMS, "treasury.stream_time", until, start)
    row = get_line(view, line)
    _check_payee(view, payee)
    whole = check_amount((until - start) * numerator // denominator)
    _check_line(ctx, row, whole)
    LINES.put(view, LINES.key(line), (*row[:5], row[5] + whole, *row[6:]))
    number = next_number(view, 3)
    new = (SCHEMA, line, payee, numerator, denominator, start, until, 0, True)
    STREAMS.put(view, STREAMS.key(number), new)
    return number


def compute_due(row: StreamRow, time: int) -> int:
    """Compute what a stream has earned at a time and not paid: floor(rate * elapsed) - paid."""
    _, _, _, numerator, denominator, start, until, paid, is_open = row
    if not is_open:
        return 0
    return max(0, min(time, until) - start) * numerator // denominator - paid


def claim_stream(ctx: Context, number: int) -> Value:
    """Pay what a stream has earned; returns the amount. For anybody: the money goes to the payee."""
    row = _get_stream(ctx.view, number)
    due = compute_due(row, int(ctx.environment.time))
    if not due:
        fail(NOTHING, "treasury.stream", 0, 0)
    _pay_stream(ctx, number, row, due)
    return due


def stop_stream(ctx: Context, number: int) -> Value:
    """End a stream: pays up to now and frees what it had promised; returns the amount paid."""
    view = ctx.view
    row = _get_stream(view, number)
    if not row[8]:
        fail(STATE, "treasury.stream_open", None, number)
    due = compute_due(row, int(ctx.environment.time))
    if due:
        row = _pay_stream(ctx, number, row, due)
    rest = (row[6] - row[5]) * row[3] // row[4] - row[7]
    line = get_line(view, row[1])
    LINES.put(view, LINES.key(row[1]), (*line[:5], line[5] - rest, *line[6:]))
    STREAMS.put(view, STREAMS.key(number), (*row[:8], False))
    return due


def _pay_stream(ctx: Context, number: int, row: StreamRow, due: int) -> StreamRow:
    new = (*row[:7], row[7] + due, row[8])
    STREAMS.put(ctx.view, STREAMS.key(number), new)
    _spend(ctx, row[1], row[2], due)
    ctx.emit(STREAMED, number, due)
    return new


def _get_stream(view: View, number: int) -> StreamRow:
    return STREAMS.need(view, STREAMS.key(number), UNKNOWN_STREAM, "treasury.stream_number", number)
