"""Another schedule for what is still owed, as the borrower asks and the committee grants.

Interest that is not paid falls due with the first row of the new schedule; it is not made principal, so a
reschedule makes no income. The class of the loan stays for a while what it was, and the old rows are kept.

*Source*: contracts.md 5.10.
"""

from dataclasses import replace
from typing import Final

from protocol.codec import Value
from protocol.contracts.lending.applying import get_own
from protocol.contracts.lending.book import Book, is_held_back
from protocol.contracts.lending.deciding import get_committee_actor
from protocol.contracts.lending.posting import load_book, post_change, write_rows
from protocol.contracts.lending.product import get_product
from protocol.contracts.lending.records import (
    ACTIVE,
    ARCHIVE,
    HELD_DAYS,
    ID,
    INSTALMENTS,
    LOAN,
    NOTHING,
    PLANS,
    RESCHEDULES_MAX,
    ROW_COUNT,
    TERMS,
    TOO_MUCH,
    Instalment,
    get_loan,
    put_instalment,
    put_loan,
    put_origin,
    put_state,
)
from protocol.contracts.lending.telling import tell
from protocol.contracts.lending.terms import pay_rows
from protocol.contracts.members.records import MEMBER, get_member
from protocol.finance.day_count import ACCRUAL_UNIT
from protocol.money import Rounding, check_amount, mul_div
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import Field
from protocol.vm.tables import SCHEMA

RESCHEDULED: Final = EventType(
    ID,
    15,
    "rescheduled",
    (Field("loan", LOAN), Field("member", MEMBER), Field("rows", ROW_COUNT)),
    "What is still owed of a loan has another schedule.",
)


def ask_plan(ctx: Context, owner: Address, number: int, rows: int) -> Value:
    """Ask to pay what is still owed in so many rows, in place of an older request; returns them."""
    loan = get_own(ctx, owner, number, ACTIVE)
    product = get_product(ctx.view, loan.product)
    if not product.rows_min <= rows <= product.rows_max:
        fail(TERMS, "lending.rows", product.rows_max, rows)
    if loan.reschedules >= RESCHEDULES_MAX:
        fail(TOO_MUCH, "lending.reschedules", RESCHEDULES_MAX, loan.reschedules + 1)
    PLANS.put(ctx.view, PLANS.key(number), (SCHEMA, rows))
    return rows


def reschedule(ctx: Context, number: int) -> Value:
    """Grant as one of the committee, or by a vote, what the borrower has asked for; returns the rows.

    Rules: 1. the class cannot improve for `HELD_DAYS`. 2. what was paid before can no longer be reversed.
    """
    view, today = ctx.view, ctx.environment.day
    loan = get_loan(view, number, ACTIVE)
    get_committee_actor(ctx, get_product(view, loan.product), get_member(view, loan.member))
    plan = PLANS.get(view, PLANS.key(number))
    if plan is None:
        fail(NOTHING, "lending.plan", None, number)
    PLANS.delete(view, PLANS.key(number))
    book, before = load_book(ctx, number, loan)
    state, product = book.state, book.product
    numbers = range(state.unpaid_n, state.due_n)
    unpaid = sum([book.row(n).interest - book.row(n).interest_paid for n in numbers])
    state.undue += unpaid * ACCRUAL_UNIT
    state.interest_charged -= unpaid
    carried = mul_div(state.undue, 1, ACCRUAL_UNIT, Rounding.HALF_EVEN)
    made = pay_rows(ctx.view, product, state.principal_out, plan[1], today)
    first = len([n for n in range(plan[1]) if is_held_back(product, n, plan[1])])
    rows = [_carry(row, carried, n == first) if n <= first else row for n, row in enumerate(made)]
    write_rows(ctx, number, book, sorted(book.changed))
    _replace_rows(ctx, number, loan.rows, loan.reschedules, rows)
    interest = check_amount(state.interest_charged + sum([row.interest for row in rows]))
    loan = replace(
        loan,
        rows=plan[1],
        interest=interest,
        reschedules=loan.reschedules + 1,
        restructured=today + HELD_DAYS,
    )
    put_loan(view, number, loan)
    state.due_n = state.unpaid_n = state.late_n = 0
    state.held_class, state.sealed = state.loan_class, state.events
    new = Book(product, loan, state, rows.__getitem__)
    new.begin()
    put_state(view, number, loan.product, state)
    put_origin(view, number, state)
    post_change(ctx, loan.product, product, before, state, b"", 0, number)
    tell(ctx, number, new, before)
    ctx.emit(RESCHEDULED, number, loan.member, plan[1])
    return plan[1]


def _carry(row: Instalment, amount: int, is_due: bool) -> Instalment:
    """Return a row with interest from before: due with it, or with a later one."""
    if is_due:
        interest = check_amount(row.interest + amount)
        return replace(row, interest=interest, base_interest=interest)
    deferred = check_amount(row.deferred + amount)
    return replace(row, deferred=deferred, base_deferred=deferred)


def _replace_rows(ctx: Context, number: int, count: int, earlier: int, rows: list[Instalment]) -> None:
    view = ctx.view
    for n in range(count):
        key = INSTALMENTS.key(number, n)
        old = INSTALMENTS.get(view, key)
        assert old is not None, "a schedule has all its rows"
        ARCHIVE.put(view, ARCHIVE.key(number, earlier + 1, n), old)
        if n >= len(rows):
            INSTALMENTS.delete(view, key)
    for n, row in enumerate(rows):
        put_instalment(view, number, n, row)
