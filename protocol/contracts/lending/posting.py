"""From a loan's book to the ledger: the difference of two states becomes legs and sums, whatever made it.

A payment, a row that falls due, a reversal with all that followed from it: each is a state before and a state
after. What changed between them is posted in the accounts of the product, and the sums of the product follow.
What the loans of a product earn each day is one entry from the sum of their slopes; a loan that nobody has
looked at for a month and the sum agree to the last part, since the sum counts what the loan's slope has made
meanwhile.

    interest that arises   Dr 1120  Cr 4010        paid   Dr 2010  Cr 1120
    penalties              Dr 1130  Cr 4030        paid   Dr 2010  Cr 1130
    principal              Dr 1110  Cr 2010        paid   Dr 2010  Cr 1110
    paid before it is due  Dr 2010  Cr 2040        used   Dr 2040  Cr 1110, 1120, 1130
    set aside              Dr 5030  Cr 1190        back   Dr 1190  Cr 5030
    fee that is spread     Dr 4020  Cr 2080        earned Dr 2080  Cr 4020

*Source*: contracts.md D5, 5.10.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from protocol.contracts.credit.doors import note_row, undo_row
from protocol.contracts.ledger.accounts import get_account, open_account
from protocol.contracts.ledger.legs import leg
from protocol.contracts.lending.book import Book
from protocol.contracts.lending.product import Product, get_product, ledger_key, list_bands
from protocol.contracts.lending.records import (
    ACTIVE,
    ADVANCES,
    ALLOWANCE,
    CLOSED,
    EVENTS,
    FEE_INCOME,
    FRESH_DAYS,
    ID,
    INTEREST_INCOME,
    INTEREST_RECEIVABLE,
    LENT,
    PENALTY_INCOME,
    PENALTY_RECEIVABLE,
    PRINCIPAL,
    PROVISIONS,
    TOTALS,
    UNEARNED,
    EventRow,
    Instalment,
    Loan,
    State,
    TotalRow,
    get_instalment,
    get_state,
    pack_exact,
    put_instalment,
    put_loan,
    put_state,
    read_exact,
)
from protocol.contracts.lending.telling import count_term, tell
from protocol.contracts.members.standing import unbind
from protocol.contracts.security import doors as security
from protocol.errors import Code
from protocol.finance.day_count import ACCRUAL_UNIT, DayCount, position
from protocol.finance.provisioning import compute_top_up
from protocol.money import check_amount
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

CODE_EARNED: Final = 3102
CODE_EARNED_BACK: Final = 3104
CODE_MOVED: Final = 3106
CODE_PENALTY: Final = 3108
CODE_ALLOWANCE: Final = 3110
CODE_FLOOR: Final = 3112
CODE_FEE_LATER: Final = 3114
CODE_FEE_EARNED: Final = 3116

BOOK_GAS: Final = 250
FALL_GAS: Final = 350
"""Of a book that is brought up to today, and of each row that falls due on the way."""

OWN_CLASSES: Final = (
    PRINCIPAL,
    INTEREST_RECEIVABLE,
    PENALTY_RECEIVABLE,
    ALLOWANCE,
    ADVANCES,
    UNEARNED,
    INTEREST_INCOME,
    PENALTY_INCOME,
    PROVISIONS,
)


def read_total(ctx: Context, number: int) -> TotalRow:
    """Return the sums of a product."""
    row = TOTALS.get(ctx.view, TOTALS.key(number))
    assert row is not None, "a product has its sums"
    return row


def open_books(ctx: Context, number: int, product: Product) -> None:
    """Open the accounts of a product, with sums of nothing."""
    for account_class in OWN_CLASSES:
        open_account(ctx.view, ledger_key(account_class, product, number))
    nothing = (0,) * len(product.class_days)
    zero = pack_exact(0)
    row: TotalRow = (SCHEMA, 0, zero, zero, ctx.environment.day, 0, 0, 0, 0, nothing, nothing, 0, 0, 0)
    TOTALS.put(ctx.view, TOTALS.key(number), row)


def load_book(ctx: Context, number: int, loan: Loan) -> tuple[Book, State]:
    """Return the book of a loan up to today, and how it stood when it was last written."""
    state, product = get_state(ctx.view, number), get_product(ctx.view, loan.product)
    before = replace(state)
    book = open_book(ctx.view, number, loan, product, state, ctx.environment.day)
    ctx.view.charge(BOOK_GAS + FALL_GAS * (state.due_n - before.due_n))
    return book, before


def open_book(view: View, number: int, loan: Loan, product: Product, state: State, day: int) -> Book:
    """Return the book of a loan up to a day, at the rate that was fixed for it; the state moves with it."""
    product = replace(product, rate_ppm=loan.rate_ppm)
    book = Book(product, loan, state, partial(get_instalment, view, number))
    book.settle(day)
    return book


def save_book(ctx: Context, number: int, book: Book, before: State, outside: bytes, amount: int) -> None:
    """Write a loan that has changed, and post what that means.

    Args:
        outside: account that an amount came from, or goes to below 0; it may be empty when none did.
    """
    write_rows(ctx, number, book, sorted(book.changed))
    put_state(ctx.view, number, book.loan.product, book.state)
    post_change(ctx, book.loan.product, book.product, before, book.state, outside, amount, number)
    if book.is_settled() and book.loan.status == ACTIVE:
        close_loan(ctx, number, book)
    tell(ctx, number, book, before)


def write_rows(ctx: Context, number: int, book: Book, numbers: Iterable[int]) -> None:
    """Write rows that are others than they were; credit hears of each that is paid now, or no more."""
    member, term = book.loan.member, count_term(book)
    for n in numbers:
        old, new = get_instalment(ctx.view, number, n), book.row(n)
        if (old.paid_day, old.principal) == (new.paid_day, new.principal):
            new = replace(new, is_fresh=old.is_fresh)
        else:
            new = replace(new, is_fresh=_is_fresh(ctx, number, member, new))
            for row, note in ((old, undo_row), (new, note_row)):
                if row.paid_day:
                    late = row.paid_day - row.due_day
                    note(ctx, member, row.due_day, row.principal, late, term, row.is_fresh)
        if old != new:
            put_instalment(ctx.view, number, n, new)


def _is_fresh(ctx: Context, number: int, member: int, row: Instalment) -> bool:
    """Tell whether a row may have been paid with another loan: as much was lent just before."""
    lent, first = 0, LENT.key(member, max(row.paid_day - FRESH_DAYS, 0))
    for key, (_, principal) in LENT.scan(ctx.view, member, start=first):
        _, day, loan = LENT.parts(key)
        assert type(day) is int
        if day > row.paid_day:
            break
        lent += principal if loan != number else 0
    return lent >= row.principal > 0


def add_event(ctx: Context, number: int, state: State, kind: int, amount: int, payer: Address) -> int:
    """Note what was paid on a loan, so that it can be done over; returns its number."""
    state.events += 1
    row: EventRow = (SCHEMA, kind, ctx.environment.day, amount, payer, False)
    EVENTS.put(ctx.view, EVENTS.key(number, state.events), row)
    return state.events


def close_loan(ctx: Context, number: int, book: Book) -> None:
    """Close a loan of which nothing is owed any more.

    *Rule*: what stood for it is free for good, so no payment on it can be reversed then.
    """
    if security.guarantors(ctx, number) or security.cover(ctx, number):
        book.state.sealed = book.state.events
        put_state(ctx.view, number, book.loan.product, book.state)
    book.loan = replace(book.loan, status=CLOSED)
    put_loan(ctx.view, number, book.loan)
    unbind(ctx.view, book.loan.member, ID)
    count_loan(ctx, book.loan.product, -1)


def count_loan(ctx: Context, number: int, more: int) -> None:
    """Note that a product has one loan more, or one less."""
    row = read_total(ctx, number)
    TOTALS.put(ctx.view, TOTALS.key(number), (*row[:8], row[8] + more, *row[9:]))


def post_change(
    ctx: Context,
    number: int,
    product: Product,
    before: State,
    after: State,
    outside: bytes,
    amount: int,
    loan: int,
) -> None:
    """Post the difference of two states of a loan, the later one of today."""
    paid_interest = after.interest_paid - before.interest_paid
    paid_penalty = after.penalty_paid - before.penalty_paid
    paid_principal = before.principal_out - after.principal_out
    kept = after.advance - before.advance
    assert paid_interest + paid_penalty + paid_principal + kept == amount, "what came in is what was used"
    ref = loan.to_bytes(5, "big")
    charged = after.penalty_booked - before.penalty_booked + paid_penalty
    earned = _change_total(ctx, number, product, before, after, paid_interest)
    income = ledger_key(INTEREST_INCOME, product, number), ledger_key(PENALTY_INCOME, product, number)
    receivable = ledger_key(INTEREST_RECEIVABLE, product, number)
    penalties = ledger_key(PENALTY_RECEIVABLE, product, number)
    arises = ((receivable, income[0], earned, CODE_EARNED), (penalties, income[1], charged, CODE_PENALTY))
    for debit, credit, more, code in arises:
        if more > 0:
            leg(ctx, debit, credit, more, code, ref)
    moves = (
        (penalties, -paid_penalty),
        (receivable, -paid_interest),
        (ledger_key(PRINCIPAL, product, number), -paid_principal),
        (ledger_key(ADVANCES, product, number), -kept),
        (outside, amount),
    )
    _match(ctx, moves, ref)
    _post_fee(ctx, product, number, after.fee_left - before.fee_left, ref)
    for debit, credit, more, code in arises:
        if more < 0:
            leg(ctx, credit, debit, -more, code, ref)
    aside = after.allowance - before.allowance
    if outside == ledger_key(ALLOWANCE, product, number):
        aside += amount  # what is charged off was set aside for it
    _set_aside(ctx, product, number, aside, CODE_ALLOWANCE, ref)
    check_books(ctx, number, product)


def _post_fee(ctx: Context, product: Product, number: int, more: int, ref: bytes) -> None:
    """Post what of the fees is no income yet, or has become it."""
    income, unearned = ledger_key(FEE_INCOME, product, number), ledger_key(UNEARNED, product, number)
    if more:
        open_account(ctx.view, income)
    if more > 0:
        leg(ctx, income, unearned, more, CODE_FEE_LATER, ref)
    elif more < 0:
        leg(ctx, unearned, income, -more, CODE_FEE_EARNED, ref)


def check_books(ctx: Context, number: int, product: Product) -> None:
    """Check that the accounts of a product hold what its loans sum to.

    Raises:
        CallFailed: INVARIANT: the program that would break it does not count.
    """
    total = read_total(ctx, number)
    sums = (
        (PRINCIPAL, total[1]),
        (INTEREST_RECEIVABLE, total[5]),
        (PENALTY_RECEIVABLE, total[6]),
        (ADVANCES, -total[7]),
        (ALLOWANCE, -sum(total[10]) - total[11]),
        (UNEARNED, -total[13]),
    )
    for account_class, expected in sums:
        row = get_account(ctx.view, ledger_key(account_class, product, number))
        if row is None or row[3] - row[5] != expected:
            fail(Code.INVARIANT, "lending.books", expected, account_class)


def _match(ctx: Context, moves: tuple[tuple[bytes, int], ...], ref: bytes) -> None:
    """Post debits (above 0) against credits (below 0) in their order; they sum to nothing."""
    credits = [(account, -amount) for account, amount in moves if amount < 0]
    for debit, amount in moves:
        while amount > 0:
            credit, open_amount = credits.pop(0)
            part = min(amount, open_amount)
            leg(ctx, debit, credit, part, CODE_MOVED, ref)
            amount -= part
            if part < open_amount:
                credits.insert(0, (credit, open_amount - part))


def _change_total(ctx: Context, number: int, product: Product, before: State, after: State, paid: int) -> int:
    """Bring the sums of a product up to today and to another state of a loan; returns the interest that has
    become income, below 0 when some of it is none any more."""
    total = settle_total(ctx, number, product)
    _, principal, exact_bytes, slope_bytes, today, booked, penalties, advances, loans, *_ = total
    parts = position(today, DayCount(product.day_count)) - position(before.as_of, DayCount(product.day_count))
    slope_before = 0 if before.is_suspended else before.slope
    slope_after = 0 if after.is_suspended else after.slope
    exact = read_exact(exact_bytes) + after.accrued - before.accrued - slope_before * parts
    slope = read_exact(slope_bytes) + slope_after - slope_before
    target = check_amount(max(exact // ACCRUAL_UNIT, 0))
    earned = target - booked + paid
    classes, aside = list(total[9]), list(total[10])
    for state, sign in ((before, -1), (after, 1)):
        classes[state.loan_class] += sign * state.principal_out
        aside[state.loan_class] += sign * state.allowance
    row: TotalRow = (
        SCHEMA,
        principal + after.principal_out - before.principal_out,
        pack_exact(exact),
        pack_exact(slope),
        today,
        target,
        penalties + after.penalty_booked - before.penalty_booked,
        advances + after.advance - before.advance,
        loans,
        tuple(classes),
        tuple(aside),
        *total[11:13],
        total[13] + after.fee_left - before.fee_left,
    )
    TOTALS.put(ctx.view, TOTALS.key(number), row)
    return earned


def settle_total(ctx: Context, number: int, product: Product) -> TotalRow:
    """Bring what the loans of a product earn up to today, and into the books."""
    row, today = read_total(ctx, number), ctx.environment.day
    if row[4] == today:
        return row
    parts = position(today, DayCount(product.day_count)) - position(row[4], DayCount(product.day_count))
    exact = read_exact(row[2]) + read_exact(row[3]) * parts
    target = check_amount(max(exact // ACCRUAL_UNIT, 0))
    if target > row[5]:
        receivable = ledger_key(INTEREST_RECEIVABLE, product, number)
        leg(ctx, receivable, ledger_key(INTEREST_INCOME, product, number), target - row[5], CODE_EARNED)
    row = (SCHEMA, row[1], pack_exact(exact), row[3], today, max(target, row[5]), *row[6:])
    TOTALS.put(ctx.view, TOTALS.key(number), row)
    return row


def settle_floor(ctx: Context, number: int, product: Product) -> None:
    """Set aside what the floor asks above what the classes do."""
    row = read_total(ctx, number)
    target = compute_top_up(row[9], sum(row[10]), list_bands(product), product.floor_bp)
    if target != row[11]:
        TOTALS.put(ctx.view, TOTALS.key(number), (*row[:11], target, *row[12:]))
        _set_aside(ctx, product, number, target - row[11], CODE_FLOOR, b"")


def _set_aside(ctx: Context, product: Product, number: int, more: int, code: int, ref: bytes) -> None:
    cost, allowance = ledger_key(PROVISIONS, product, number), ledger_key(ALLOWANCE, product, number)
    if more > 0:
        leg(ctx, cost, allowance, more, code, ref)
    elif more < 0:
        leg(ctx, allowance, cost, -more, code, ref)
