"""Repayments: taken from whoever pays, given back when too much, and reversed as if they had never been.

*Source*: contracts.md D10, D20, 5.10.
"""

from dataclasses import replace
from typing import Final

from protocol.codec import Value
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key, get_account, open_account
from protocol.contracts.lending.ageing import wake
from protocol.contracts.lending.applying import get_own
from protocol.contracts.lending.book import Book, reset
from protocol.contracts.lending.posting import (
    add_event,
    count_loan,
    load_book,
    post_change,
    save_book,
    write_rows,
)
from protocol.contracts.lending.product import Product, get_terms, ledger_key
from protocol.contracts.lending.records import (
    ACTIVE,
    CLOSED,
    EVENTS,
    FORGIVEN,
    ID,
    INTEREST_INCOME,
    LOAN,
    NO_EVENT,
    NOT_REVERSIBLE,
    NOTHING,
    PAID,
    PENALTY_INCOME,
    REFUNDED,
    REPLAY_EVENTS_MAX,
    TAKEN,
    TOO_MUCH,
    WAIVED,
    Instalment,
    Loan,
    State,
    get_instalment,
    get_loan,
    get_origin,
    get_state,
    put_loan,
    put_state,
)
from protocol.contracts.lending.telling import tell
from protocol.contracts.members.records import MEMBER, get_member
from protocol.contracts.members.standing import bind
from protocol.contracts.security import doors as security
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import AMOUNT, U32, Field

_OF_LOAN: Final = (Field("loan", LOAN), Field("member", MEMBER))
REPAID: Final = EventType(
    ID,
    5,
    "repaid",
    (*_OF_LOAN, Field("event", U32), Field("amount", AMOUNT), Field("left", AMOUNT, "that pays it off")),
    "Somebody paid on a loan.",
)
GAVE_BACK: Final = EventType(
    ID, 6, "gave_back", (*_OF_LOAN, Field("amount", AMOUNT)), "What was paid too much went back."
)
REVERSED: Final = EventType(
    ID,
    7,
    "reversed",
    (*_OF_LOAN, Field("event", U32), Field("amount", AMOUNT)),
    "A payment was reversed, and what came after it was done over.",
)
FORGAVE: Final = EventType(
    ID, 8, "forgave", (*_OF_LOAN, Field("amount", AMOUNT)), "Penalties or interest were forgiven."
)


def repay(ctx: Context, payer: Address, number: int, amount: int) -> Value:
    """Pay on a loan, from one's own free balance; returns what still pays it off."""
    loan = get_loan(ctx.view, number, ACTIVE)
    return _pay(ctx, payer, number, loan, amount)


def pay_due(ctx: Context, payer: Address, number: int, at_most: int) -> Value:
    """Pay what is due today, at most so much and at most what the payer has; returns what was paid.

    *Rule*: made for standing orders, so that nothing due, or a loan that is paid off, is no failure.
    """
    loan = get_loan(ctx.view, number)
    if loan.status != ACTIVE:
        return 0
    book, _ = load_book(ctx, number, loan)
    row = get_account(ctx.view, account_key(payer, MEMBER_FREE, book.product.asset))
    free = 0 if row is None else max(row[5] - row[3] - row[2], 0)
    amount = min(book.count_due(), at_most, free)
    if amount:
        _pay(ctx, payer, number, loan, amount)
    return amount


def _pay(ctx: Context, payer: Address, number: int, loan: Loan, amount: int) -> int:
    book, before = load_book(ctx, number, loan)
    book.pay(amount)
    event = add_event(ctx, number, book.state, PAID, amount, payer)
    source = account_key(payer, MEMBER_FREE, book.product.asset)
    save_book(ctx, number, book, before, source, amount)
    left = book.count_payoff()
    ctx.emit(REPAID, number, loan.member, event, amount, left)
    return left


def refund(ctx: Context, owner: Address, number: int) -> Value:
    """Give the borrower back what is kept in advance of his loan; returns it."""
    loan = get_own(ctx, owner, number, ACTIVE, CLOSED)
    book, before = load_book(ctx, number, loan)
    amount = book.state.advance
    if not amount:
        fail(NOTHING, "lending.advance", 1, 0)
    book.state.advance = 0
    add_event(ctx, number, book.state, REFUNDED, amount, owner)
    save_book(ctx, number, book, before, account_key(owner, MEMBER_FREE, book.product.asset), -amount)
    ctx.emit(GAVE_BACK, number, loan.member, amount)
    return amount


def waive(ctx: Context, number: int, of_interest: bool, amount: int) -> Value:
    """Forgive penalties or interest that are due; returns what is owed of them still.

    *Rule*: what is forgiven is income no more; the product says how much of it one decision forgives.
    """
    loan = get_loan(ctx.view, number, ACTIVE)
    book, before = load_book(ctx, number, loan)
    kind, rule, most = WAIVED, "lending.waive_max", book.product.waive_max
    owed, forgive, income = book.count_penalty, book.waive, PENALTY_INCOME
    if of_interest:
        kind, rule, most = FORGIVEN, "lending.forgive_max", book.product.forgive_max
        owed, forgive, income = book.count_interest, book.forgive, INTEREST_INCOME
    limit = min(most, owed())
    if amount > limit:
        fail(TOO_MUCH, rule, limit, amount)
    forgive(amount)
    add_event(ctx, number, book.state, kind, amount, get_member(ctx.view, loan.member).account)
    save_book(ctx, number, book, before, ledger_key(income, book.product, loan.product), amount)
    ctx.emit(FORGAVE, number, loan.member, amount)
    return owed()


# --- reversal


def reverse(ctx: Context, number: int, event: int) -> Value:
    """Reverse a payment: its money goes back to who paid, and all that came after it is done over in the
    order of the days; returns what now pays the loan off.

    *Rule*: who was released stays released. Guarantees and collateral that were freed as principal was paid
        are not bound again, and a loan that was closed with any of them is not opened again.

    Raises:
        CallFailed: NO_EVENT; NOT_REVERSIBLE when the loan was rescheduled since or closed with security, too
            much has happened, or a refund or a waiver after it would have had no ground.
    """
    view, loan = ctx.view, get_loan(ctx.view, number, ACTIVE, CLOSED)
    before = get_state(view, number)
    key = EVENTS.key(number, event)
    row = EVENTS.get(view, key)
    if row is None or row[1] != PAID or row[5]:
        fail(NO_EVENT, "lending.event", None, event)
    count = before.events - before.sealed
    if event <= before.sealed or count > REPLAY_EVENTS_MAX:
        fail(NOT_REVERSIBLE, "lending.replay", REPLAY_EVENTS_MAX, count)
    EVENTS.put(view, key, (*row[:5], True))
    product = get_terms(view, loan)
    book = _replay(ctx, number, product, loan, before)
    write_rows(ctx, number, book, range(loan.rows))
    if loan.status == CLOSED and not book.is_settled():
        loan = book.loan = replace(loan, status=ACTIVE)
        put_loan(view, number, loan)
        bind(view, loan.member, ID)
        wake(ctx, loan.product)
        count_loan(ctx, loan.product, 1)
        security.register(ctx, number, loan.member, product.asset, product.guarantors_max, product.collateral)
        security.bind(ctx, number)
    target = account_key(Address(row[4]), MEMBER_FREE, product.asset)
    open_account(view, target)
    put_state(view, number, loan.product, book.state)
    post_change(ctx, loan.product, product, before, book.state, target, -row[3], number)
    tell(ctx, number, book, before)
    ctx.emit(REVERSED, number, loan.member, event, row[3])
    return book.count_payoff()


def _replay(ctx: Context, number: int, product: Product, loan: Loan, stored: State) -> Book:
    """Do over everything since the rows were made that still counts."""
    view = ctx.view

    def load(n: int) -> Instalment:
        return reset(get_instalment(view, number, n))

    state = get_origin(view, number)
    book = Book(product, loan, state, load)
    for event in range(stored.sealed + 1, stored.events + 1):
        row = EVENTS.get(view, EVENTS.key(number, event))
        assert row is not None, "events have no gaps"
        _, kind, day, amount, _, is_reversed = row
        if is_reversed:
            continue
        book.settle(day)
        if kind in (PAID, TAKEN):
            book.pay(amount)
        else:
            _replay_gift(book, event, kind, amount)
    book.settle(ctx.environment.day)
    state.events, state.sealed, state.notices = stored.events, stored.sealed, stored.notices
    return book


def _replay_gift(book: Book, event: int, kind: int, amount: int) -> None:
    """Give back or forgive once more what was, when there still is as much."""
    owed = {REFUNDED: book.state.advance, WAIVED: book.count_penalty(), FORGIVEN: book.count_interest()}[kind]
    if amount > owed:
        fail(NOT_REVERSIBLE, "lending.replay_event", None, event)
    if kind == REFUNDED:
        book.state.advance -= amount
    elif kind == WAIVED:
        book.waive(amount)
    else:
        book.forgive(amount)
