"""What the chain does with loans by itself, every day: rows fall due, loans become late, losses are foreseen.

A loan says on which day somebody has to look at it next, so a day on which nothing falls due costs as much as
there are products, however many loans there are.

*Source*: contracts.md D11, 5.10.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from protocol.codec import Value
from protocol.contracts import sched
from protocol.contracts.lending.book import NOTICE_DAYS, Book
from protocol.contracts.lending.enforcing import charge_off, enforce, enforce_all
from protocol.contracts.lending.lapsing import has_offers, lapse, list_lapsed
from protocol.contracts.lending.posting import load_book, read_total, save_book, settle_floor, settle_total
from protocol.contracts.lending.product import get_product
from protocol.contracts.lending.records import (
    ACTIVE,
    BY_DAY,
    ID,
    LOAN,
    STATES,
    TOTALS,
    State,
    get_loan,
    get_state,
    put_state,
)
from protocol.contracts.members.records import MEMBER
from protocol.contracts.periods import DAYS
from protocol.money import compute_midnight
from protocol.vm.context import Context
from protocol.vm.contract import EventType
from protocol.vm.kinds import AMOUNT, U8, U16, U32, Field

DAILY_METHOD: Final = 30
RUN_LOANS_MAX: Final = 200
RUN_GAS: Final = 500_000
"""A run looks at no more loans once it has looked at so many, or used so much; the rest waits a second."""
LOAN_GAS_MAX: Final = 480_000
"""Most that one loan may use in a run, so that a run that has begun with it ends within its gas: a quarter to
look at it, the rest to use all that stands for it, with as many rows and guarantors as a loan can have."""

_OF_LOAN: Final = (Field("loan", LOAN), Field("member", MEMBER))
FELL_DUE: Final = EventType(
    ID, 9, "fell_due", (*_OF_LOAN, Field("amount", AMOUNT, "due and not paid")), "A row of a loan is due."
)
NOTICED: Final = EventType(
    ID,
    10,
    "noticed",
    (
        *_OF_LOAN,
        Field("notice", U8, "1 first, 2 second, 3 the last"),
        Field("days_late", U32),
    ),
    "Borrower and guarantors are told that a loan is late.",
)
CLASSED: Final = EventType(
    ID, 11, "classed", (*_OF_LOAN, Field("loan_class", U8)), "A loan has another class."
)
PUT_OFF: Final = EventType(
    ID,
    16,
    "put_off",
    (*_OF_LOAN, Field("code", U16, "why it failed")),
    "A loan could not be looked at, and will be tomorrow; the others were.",
)


def run_day(ctx: Context, number: int) -> Value:
    """Look at the loans and the approvals of a product for which it is time; bring its sums up to today."""
    view, today = ctx.view, ctx.environment.day
    product = get_product(view, number)
    settle_total(ctx, number, product)
    found: list[tuple[Callable[[Context, int], None], int]] = []
    found += [(lapse, loan) for loan in list_lapsed(view, number, today, RUN_LOANS_MAX + 1)]
    for _, day, loan in STATES.scan_index(view, BY_DAY, number):
        assert type(day) is int and type(loan) is int
        if day > today or len(found) > RUN_LOANS_MAX:
            break
        found.append((_look_at, loan))
    begun, done = view.gas_used, 0
    while done < len(found) and done < RUN_LOANS_MAX and view.gas_used - begun < RUN_GAS:
        step, loan = found[done]
        step(ctx, loan)
        done += 1
    settle_floor(ctx, number, product)
    if done < len(found):
        sched.schedule(ctx, _make_daily(number), (), int(ctx.environment.time) + 1)
    else:
        _sleep(ctx, number)
    return True


def _make_daily(number: int) -> Value:
    return ((), ((ID, DAILY_METHOD, 0, (number,)),))


def wake(ctx: Context, number: int) -> None:
    """Let the loans of a product be looked at every day from now on, as long as there are any."""
    row = read_total(ctx, number)
    if row[12]:
        return
    midnight = compute_midnight(ctx.environment.day + 1, ctx.environment.utc_offset_seconds)
    job = sched.schedule(ctx, _make_daily(number), (), midnight + 120, (DAYS, 1), catches_up=False)
    TOTALS.put(ctx.view, TOTALS.key(number), (*row[:12], job, row[13]))


def _sleep(ctx: Context, number: int) -> None:
    """Look no more when no loan is left, nothing is set aside, and no approval waits."""
    row = read_total(ctx, number)
    if row[12] and not (row[8] or row[11] or has_offers(ctx.view, number)):
        sched.cancel(ctx, row[12])
        TOTALS.put(ctx.view, TOTALS.key(number), (*row[:12], 0, row[13]))


def _look_at(ctx: Context, number: int) -> None:
    """Look at a loan and do what its lateness asks for; when that fails, once more tomorrow.

    *Rule*: what ageing has found stays, though what follows from it fails.
    """
    for step, quarters in ((touch, 1), (_follow, 3)):
        failed = ctx.attempt(quarters * LOAN_GAS_MAX // 4, partial(step, ctx, number))
        if failed is not None:
            loan, state = get_loan(ctx.view, number), get_state(ctx.view, number)
            state.next_day = ctx.environment.day + 1
            put_state(ctx.view, number, loan.product, state)
            ctx.emit(PUT_OFF, number, loan.member, int(failed.code))
            return


def touch(ctx: Context, number: int) -> None:
    """Bring a loan up to today, and tell whom it concerns."""
    book, before = load_book(ctx, number, get_loan(ctx.view, number))
    _tell(ctx, number, book, before)
    save_book(ctx, number, book, before, b"", 0)


def _follow(ctx: Context, number: int) -> None:
    """Use what stands for a loan that is late, or take it out of the books."""
    loan, state = get_loan(ctx.view, number), get_state(ctx.view, number)
    if loan.status != ACTIVE or state.unpaid_n == state.due_n:
        return
    book, _ = load_book(ctx, number, loan)
    late, product = book.days_late(), book.product
    if late >= product.charge_off_days:
        if product.enforce_days:
            enforce_all(ctx, number)
        if get_loan(ctx.view, number).status == ACTIVE:
            charge_off(ctx, number)
    elif product.enforce_days and late >= product.enforce_days:
        enforce(ctx, number)


def _tell(ctx: Context, number: int, book: Book, before: State) -> None:
    state, member, late = book.state, book.loan.member, book.days_late()
    if state.due_n > before.due_n:
        ctx.emit(FELL_DUE, number, member, book.count_due())
    notice = len([day for day in NOTICE_DAYS if day <= late])
    if notice > state.notices:
        ctx.emit(NOTICED, number, member, notice, late)
    state.notices = notice
    if state.loan_class != before.loan_class:
        ctx.emit(CLASSED, number, member, state.loan_class)
