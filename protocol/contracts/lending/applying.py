"""Applications, and the disbursement of what a borrower has accepted. What decides is `deciding.py`.

*Source*: contracts.md 5.10.
"""

from dataclasses import replace
from typing import Final

from protocol.codec import Value
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.legs import leg
from protocol.contracts.lending.ageing import wake
from protocol.contracts.lending.book import Book, empty_state
from protocol.contracts.lending.deciding import check_decision, check_eligible, price
from protocol.contracts.lending.lapsing import end_application, is_lapsed
from protocol.contracts.lending.posting import count_loan, post_change
from protocol.contracts.lending.product import Product, find_product, get_terms, ledger_key
from protocol.contracts.lending.records import (
    ACTIVE,
    APPLIED,
    APPROVED,
    BY_MEMBER,
    COUNTER,
    FEE_INCOME,
    ID,
    LENT,
    LOAN,
    LOANS,
    LOANS_OPEN_MAX,
    NO_FUNDS,
    NO_LOAN,
    NO_PRODUCT,
    NOT_ELIGIBLE,
    OFFER_DAYS,
    STATUS,
    TERMS,
    TERMS_CHANGED,
    WITHDRAWN,
    Instalment,
    Loan,
    get_loan,
    put_instalment,
    put_loan,
    put_origin,
    put_state,
)
from protocol.contracts.lending.telling import tell
from protocol.contracts.lending.terms import check_rate, compute_fee, compute_terms_hash, pay_rows
from protocol.contracts.members.records import MEMBER, get_by_account, get_member
from protocol.contracts.members.standing import bind
from protocol.contracts.savings import records as savings
from protocol.contracts.savings.exits import compute_budget
from protocol.contracts.security import doors as security
from protocol.money import check_amount
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import AMOUNT, HASH, Field
from protocol.vm.tables import SCHEMA

CODE_FEE: Final = 3122

_OF_LOAN: Final = (Field("loan", LOAN), Field("member", MEMBER))
ASKED: Final = EventType(
    ID, 2, "asked", (*_OF_LOAN, Field("principal", AMOUNT)), "A member has asked for a loan."
)
DISBURSED: Final = EventType(
    ID,
    4,
    "disbursed",
    (*_OF_LOAN, Field("principal", AMOUNT), Field("fee", AMOUNT), Field("terms_hash", HASH)),
    "A loan was paid out.",
)


# --- applications


def apply(
    ctx: Context, owner: Address, number: int, principal: int, rows: int, income: int, purpose: str
) -> Value:
    """Ask for a loan; returns its number.

    Raises:
        CallFailed: NOT_ELIGIBLE, with the rule, its limit and what was found; TERMS outside the product.
    """
    view, today = ctx.view, ctx.environment.day
    found = find_product(view, number)
    if found is None or not found[1]:
        fail(NO_PRODUCT, "lending.open_product", None, number)
    product = found[0]
    check_range(product, principal, rows)
    member, record = get_by_account(view, owner)
    loan = Loan(
        *(member, number, APPLIED, principal, rows, 0, income, 0, purpose),
        *(today, 0, 0, bytes(32), 0, 0, 0, 0, 0),
    )
    loan = price(ctx, product, loan)
    check_eligible(ctx, 0, product, loan, record)
    if sum([1 for _ in LOANS.scan_index(view, BY_MEMBER, member)]) >= LOANS_OPEN_MAX:
        fail(NOT_ELIGIBLE, "lending.open", LOANS_OPEN_MAX, LOANS_OPEN_MAX + 1)
    _, products, loans = COUNTER.get(view, COUNTER.key()) or (SCHEMA, 0, 0)
    COUNTER.put(view, COUNTER.key(), (SCHEMA, products, loans + 1))
    put_loan(view, loans + 1, loan)
    security.register(ctx, loans + 1, member, product.asset, product.guarantors_max, product.collateral)
    ctx.emit(ASKED, loans + 1, member, principal)
    return loans + 1


def check_range(product: Product, principal: int, rows: int) -> None:
    """Check that a product lends so much in so many rows.

    Raises:
        CallFailed: TERMS.
    """
    for rule, least, actual, most in (
        ("lending.principal", product.principal_min, principal, product.principal_max),
        ("lending.rows", product.rows_min, rows, product.rows_max),
    ):
        if not least <= actual <= most:
            fail(TERMS, rule, most if actual > most else least, actual)


def get_own(ctx: Context, owner: Address, number: int, *status: int) -> Loan:
    """Return a loan of the member of an account.

    Raises:
        CallFailed: NO_LOAN, STATUS.
    """
    loan = get_loan(ctx.view, number, *status)
    if get_member(ctx.view, loan.member).account != owner:
        fail(NO_LOAN, "lending.loan_of_member", None, number)
    return loan


def withdraw(ctx: Context, owner: Address, number: int) -> Value:
    """Take an application back; returns its status."""
    return end_application(ctx, number, get_own(ctx, owner, number, APPLIED, APPROVED), WITHDRAWN)


# --- acceptance and disbursement


def accept(ctx: Context, owner: Address, number: int, terms_hash: bytes, annual_ppm: int) -> Value:
    """Accept the exact terms of today and what they cost a year, and be paid out; returns what arrives.

    Rules: 1. the loan was approved within `OFFER_DAYS`. 2. what refuses an application still does, and what
        was approved is what stands there. 3. enough stays liquid, and nobody waits for his savings.

    Raises:
        CallFailed: TERMS_CHANGED when the hash is that of other terms, or of another day; TERMS when the
            loan does not cost that much a year.
    """
    view, today = ctx.view, ctx.environment.day
    loan = get_own(ctx, owner, number, APPROVED)
    product = get_terms(view, loan)
    if is_lapsed(loan, today):
        fail(STATUS, "lending.offer_days", OFFER_DAYS, today - loan.decided)
    found = check_eligible(ctx, number, product, loan, get_member(view, loan.member))
    check_decision(ctx, number, product, loan, found)
    rows = pay_rows(view, product, loan.principal, loan.rows, today)
    if compute_terms_hash(number, product, loan.principal, today, rows) != terms_hash:
        fail(TERMS_CHANGED, "lending.terms_hash", None, terms_hash)
    check_rate(view, product, loan.principal, rows, annual_ppm)
    _check_funds(ctx, product, loan.principal)
    interest = check_amount(sum([row.interest for row in rows]))
    loan = replace(loan, status=ACTIVE, start=today, interest=interest)
    loan = replace(loan, terms_hash=terms_hash, annual_ppm=annual_ppm)
    put_loan(view, number, loan)
    bind(view, loan.member, ID)
    security.bind(ctx, number)
    return _disburse(ctx, number, product, loan, rows, owner)


def _check_funds(ctx: Context, product: Product, amount: int) -> None:
    if any(True for _ in savings.EXITS.scan(ctx.view, product.asset)):
        fail(NO_FUNDS, "lending.exit_queue", 0, 1)
    budget = compute_budget(ctx.view, product.asset, product.reserve_bp)
    if amount > budget:
        fail(NO_FUNDS, "lending.liquid", budget, amount)


def _disburse(
    ctx: Context, number: int, product: Product, loan: Loan, rows: tuple[Instalment, ...], owner: Address
) -> int:
    view, fee = ctx.view, compute_fee(product, loan.principal)
    for n, row in enumerate(rows):
        put_instalment(view, number, n, row)
    nothing = empty_state(0, ctx.environment.day)
    book = Book(product, loan, empty_state(loan.principal, ctx.environment.day), rows.__getitem__)
    book.begin()
    book.state.fee_left = fee if product.spreads_fee else 0
    put_state(view, number, loan.product, book.state)
    put_origin(view, number, book.state)
    free = account_key(owner, MEMBER_FREE, product.asset)
    open_account(view, free)
    LENT.put(view, LENT.key(loan.member, ctx.environment.day, number), (SCHEMA, loan.principal))
    count_loan(ctx, loan.product, 1)
    wake(ctx, loan.product)
    post_change(ctx, loan.product, product, nothing, book.state, free, -loan.principal, number)
    if fee:
        income = ledger_key(FEE_INCOME, product, loan.product)
        open_account(view, income)
        leg(ctx, free, income, fee, CODE_FEE, number.to_bytes(5, "big"))
    tell(ctx, number, book, nothing)
    ctx.emit(DISBURSED, number, loan.member, loan.principal, fee, loan.terms_hash)
    return loan.principal - fee
