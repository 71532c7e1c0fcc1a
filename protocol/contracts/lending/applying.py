"""Products, applications, decisions, and the disbursement of what a borrower has accepted.

A decision is made from a few numbers that are kept with it (`Findings`), by two pure functions: what refuses
an application (`find_refusal`), and what needs a committee (`find_referral`). Anybody can do them again.

*Source*: contracts.md 5.10.
"""

from dataclasses import dataclass, replace
from typing import Final

from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.credit import doors as credit
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.books import compute_equity, list_balances
from protocol.contracts.ledger.legs import leg
from protocol.contracts.lending.ageing import wake
from protocol.contracts.lending.book import NOTICE_DAYS, Book, empty_state
from protocol.contracts.lending.posting import count_loan, open_books, post_change
from protocol.contracts.lending.records import (
    ACTIVE,
    APPLIED,
    APPROVALS,
    APPROVED,
    BY_MEMBER,
    COMMITTEE,
    COUNTER,
    DECISIONS,
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
    PRODUCT,
    RATE_MAX_PPM,
    REJECTED,
    STATUS,
    TERMS,
    TERMS_CHANGED,
    WITHDRAWN,
    Instalment,
    Loan,
    Product,
    find_product,
    get_loan,
    get_product,
    get_state,
    get_terms,
    ledger_key,
    list_bands,
    put_instalment,
    put_loan,
    put_origin,
    put_product,
    put_state,
)
from protocol.contracts.lending.telling import tell
from protocol.contracts.lending.terms import (
    check_rate,
    compute_fee,
    compute_service,
    compute_terms_hash,
    pay_rows,
)
from protocol.contracts.members.records import ACTIVE as ACTIVE_MEMBER
from protocol.contracts.members.records import MEMBER, Member, get_by_account, get_member
from protocol.contracts.members.standing import bind
from protocol.contracts.savings import records as savings
from protocol.contracts.savings.exits import compute_budget
from protocol.contracts.security import doors as security
from protocol.contracts.treasury.records import get_fund
from protocol.elections.decision import WHOLE_BP
from protocol.errors import Reason
from protocol.finance.allocation import FutureRule, check_order
from protocol.finance.provisioning import check_table
from protocol.finance.schedule import Method
from protocol.money import Rounding, check_amount, date_from_days, is_within_ratio, mul_div
from protocol.params import AMOUNT_MAX
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import AMOUNT, HASH, Field
from protocol.vm.tables import SCHEMA, pack_record
from protocol.vm.view import View

CODE_FEE: Final = 3122

_OF_LOAN: Final = (Field("loan", LOAN), Field("member", MEMBER))
PRODUCT_MADE: Final = EventType(
    ID, 1, "product_made", (Field("product", PRODUCT),), "Members can borrow in a new way."
)
ASKED: Final = EventType(
    ID, 2, "asked", (*_OF_LOAN, Field("principal", AMOUNT)), "A member has asked for a loan."
)
DECIDED: Final = EventType(
    ID,
    3,
    "decided",
    (*_OF_LOAN, Field("status", LOANS.fields[2].kind)),
    "An application was approved, rejected or taken back.",
)
DISBURSED: Final = EventType(
    ID,
    4,
    "disbursed",
    (*_OF_LOAN, Field("principal", AMOUNT), Field("fee", AMOUNT), Field("terms_hash", HASH)),
    "A loan was paid out.",
)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a decision is made from, in the order of its record."""

    day: int
    months: int
    shares: int
    loans: int
    debt: int
    savings: int
    service: int
    income: int
    equity: int
    cover: int
    score: int
    carried: int
    rate_ppm: int
    is_insider: bool


# --- products


def create_product(ctx: Context, *values: Value) -> Value:
    """Create a product; returns its number."""
    view = ctx.view
    product = Product(*values)  # type: ignore[arg-type]
    _check_product(view, product)
    _, products, loans = COUNTER.get(view, COUNTER.key()) or (SCHEMA, 0, 0)
    number = products + 1
    COUNTER.put(view, COUNTER.key(), (SCHEMA, number, loans))
    put_product(view, number, product, True)
    open_books(ctx, number, product)
    ctx.emit(PRODUCT_MADE, number)
    return number


def _check_product(view: View, product: Product) -> None:
    rules = (
        ("lending.principal", product.principal_max, product.principal_min),
        ("lending.rows", product.rows_max, product.rows_min),
        ("lending.classes", len(product.class_days), len(product.class_bp)),
        ("lending.classes", len(product.class_bp), len(product.class_days)),
        ("lending.reserve_bp", WHOLE_BP - 1, product.reserve_bp),
        ("lending.suspend_days", product.suspend_days, product.grace_days + 1),
        ("lending.charge_off_days", product.charge_off_days, product.suspend_days),
        ("lending.enforce_days", product.enforce_days or NOTICE_DAYS[2], NOTICE_DAYS[2]),
        ("lending.fee", product.principal_min, compute_fee(product, product.principal_min)),
        ("lending.balloon_bp", WHOLE_BP if product.method == Method.BALLOON else 0, product.balloon_bp),
    )
    for rule, limit, actual in rules:
        if actual > limit:
            fail(TERMS, rule, limit, actual)
    # What is paid early has no meaning for interest that does not follow what is owed.
    if product.method == Method.FLAT and product.early_rule != FutureRule.NEXT:
        fail(TERMS, "lending.early_rule", FutureRule.NEXT, product.early_rule)
    if product.method == Method.FLAT and product.is_daily:
        fail(TERMS, "lending.is_daily", False, True)
    if product.method == Method.CUSTOM:
        rows = len(product.custom_bp)
        for limit, actual in ((rows, product.rows_min), (rows, product.rows_max)):
            if limit != actual:
                fail(TERMS, "lending.custom_rows", limit, actual)
    if sum(product.custom_bp) != (WHOLE_BP if product.method == Method.CUSTOM else 0):
        fail(TERMS, "lending.custom_bp", WHOLE_BP, sum(product.custom_bp))
    if product.fund:
        fund = get_fund(view, product.fund)
        if fund[3] != product.asset:
            fail(TERMS, "lending.fund_asset", product.asset, fund[3])
    check_order(product.order)
    check_table(list_bands(product))


def close_product(ctx: Context, number: int) -> Value:
    """Take no more applications for a product; its loans go on."""
    put_product(ctx.view, number, get_product(ctx.view, number), False)
    return True


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
    loan = _price(ctx, product, loan)
    _check_eligible(ctx, 0, product, loan, record)
    if sum([1 for _ in LOANS.scan_index(view, BY_MEMBER, member)]) >= LOANS_OPEN_MAX:
        fail(NOT_ELIGIBLE, "lending.open", LOANS_OPEN_MAX, LOANS_OPEN_MAX + 1)
    _, products, loans = COUNTER.get(view, COUNTER.key()) or (SCHEMA, 0, 0)
    COUNTER.put(view, COUNTER.key(), (SCHEMA, products, loans + 1))
    put_loan(view, loans + 1, loan)
    security.register(ctx, loans + 1, member, product.asset, product.guarantors_max)
    ctx.emit(ASKED, loans + 1, member, principal)
    return loans + 1


def _price(ctx: Context, product: Product, loan: Loan) -> Loan:
    """Return an application at the rate that the product, and the score of the member, ask for today."""
    today, addition = ctx.environment.day, 0
    if product.by_score:
        addition = _ask_credit(ctx, product, loan.member).addon_ppm
    rate = min(product.rate_ppm + addition, RATE_MAX_PPM)
    rated = replace(product, rate_ppm=rate)
    made = pay_rows(ctx.view, rated, loan.principal, loan.rows, today)
    interest = check_amount(sum([row.interest for row in made]))
    return replace(loan, rate_ppm=rate, interest=interest, service=check_amount(compute_service(made, today)))


def _ask_credit(ctx: Context, product: Product, member: int) -> credit.Offer:
    """Ask what score and savings carry; what product, income and equity allow, `find_refusal` looks at."""
    return credit.limit(ctx, member, product.asset, AMOUNT_MAX, AMOUNT_MAX, AMOUNT_MAX)


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


def _check_eligible(ctx: Context, number: int, product: Product, loan: Loan, record: Member) -> Findings:
    if record.status != ACTIVE_MEMBER:
        fail(NOT_ELIGIBLE, "lending.standing", ACTIVE_MEMBER, record.status)
    findings = find_facts(ctx, number, product, loan, record)
    refusal = find_refusal(product, findings)
    if refusal is not None:
        fail(NOT_ELIGIBLE, refusal.rule, refusal.limit, refusal.actual)
    return findings


def find_facts(ctx: Context, number: int, product: Product, loan: Loan, record: Member) -> Findings:
    """Look up what a decision is made from."""
    view, today = ctx.view, ctx.environment.day
    count, debt, service = 0, loan.principal, loan.service
    for _, other in LOANS.scan_index(view, BY_MEMBER, loan.member):
        assert type(other) is int
        known = get_loan(view, other)
        if known.status in (APPLIED, APPROVED):
            continue
        count += 1
        if get_product(view, known.product).asset == product.asset:
            debt += get_state(view, other).principal_out
            service += known.service
    roles = [role for role in ("board", product.committee) if role]
    carried, score = AMOUNT_MAX, 0
    if product.by_score:
        offer = _ask_credit(ctx, product, loan.member)
        carried, score = offer.amount, offer.score
    else:
        score = credit.score(ctx, loan.member).score
    return Findings(
        today,
        _count_months(record.joined_day, today),
        record.shares_paid,
        count,
        check_amount(debt),
        _sum_savings(view, loan.member, product.asset),
        check_amount(service),
        loan.income,
        check_amount(max(compute_equity(list_balances(view, product.asset)), 0)),
        security.cover(ctx, number) if number else 0,
        score,
        carried,
        loan.rate_ppm,
        any(auth.holds_role(view, record.account, role) for role in roles),
    )


def _count_months(first_day: int, day: int) -> int:
    (year, month, of_month), (first_year, first_month, first) = date_from_days(day), date_from_days(first_day)
    return max((year - first_year) * 12 + month - first_month - (of_month < first), 0)


def _sum_savings(view: View, member: int, asset: int) -> int:
    found = 0
    for _, number in savings.ACCOUNTS.scan_index(view, savings.BY_MEMBER, member):
        assert type(number) is int
        product = savings.get_product(view, savings.get_savings(view, number).product)
        if product.asset == asset:
            found += savings.find_balance(view, number, product)
    return check_amount(found)


def find_refusal(product: Product, found: Findings) -> Reason | None:
    """Return why an application cannot be approved by anybody; None: it can."""
    if found.months < product.months_min:
        return Reason("lending.months", product.months_min, found.months)
    if found.shares < product.shares_min:
        return Reason("lending.shares", product.shares_min, found.shares)
    if found.loans >= product.loans_max:
        return Reason("lending.loans", product.loans_max, found.loans + 1)
    if product.dsr_bp and not is_within_ratio(found.service, found.income, product.dsr_bp, WHOLE_BP):
        return Reason("lending.dsr_bp", product.dsr_bp, _show_ratio(found.service, found.income))
    if product.exposure_bp and not is_within_ratio(found.debt, found.equity, product.exposure_bp, WHOLE_BP):
        return Reason("lending.exposure_bp", product.exposure_bp, _show_ratio(found.debt, found.equity))
    return None


def find_referral(product: Product, principal: int, found: Findings) -> Reason | None:
    """Return why a committee has to decide; None: the policy decides by itself."""
    if found.is_insider:
        return Reason("lending.insider", None, None)
    if found.debt > product.auto_max:
        return Reason("lending.auto_max", product.auto_max, found.debt)
    if found.score < product.score_min:
        return Reason("lending.score_min", product.score_min, found.score)
    if found.debt > found.carried:
        return Reason("lending.score_limit", found.carried, found.debt)
    if not is_within_ratio(product.coverage_bp, WHOLE_BP, found.cover, principal):
        needed = mul_div(principal, product.coverage_bp, WHOLE_BP, Rounding.CEIL)
        return Reason("lending.coverage_bp", needed, found.cover)
    multiple = product.savings_multiple_bp
    if multiple and not is_within_ratio(found.debt, found.savings, multiple, WHOLE_BP):
        return Reason("lending.savings_multiple_bp", multiple, _show_ratio(found.debt, found.savings))
    return None


def _show_ratio(part: int, whole: int) -> int | None:
    """Return a ratio in basis points, rounded up; None: of nothing, or more than a receipt says."""
    ratio = -(-part * WHOLE_BP // whole) if whole else None
    return ratio if ratio is not None and ratio < 1 << 32 else None


# --- decisions


def decide(ctx: Context, number: int) -> Value:
    """Let the policy decide on an application; returns its status.

    Raises:
        CallFailed: NOT_ELIGIBLE, or COMMITTEE with the reason why the policy does not decide.
    """
    loan = get_loan(ctx.view, number, APPLIED)
    product = get_product(ctx.view, loan.product)
    loan = _price(ctx, product, loan)
    found = _check_eligible(ctx, number, product, loan, get_member(ctx.view, loan.member))
    referral = find_referral(product, loan.principal, found)
    if referral is not None:
        fail(COMMITTEE, referral.rule, referral.limit, referral.actual)
    return _approve(ctx, number, loan, found, True)


def approve(ctx: Context, number: int) -> Value:
    """Approve an application as one of the committee; returns its status, which changes with the last one.

    Raises:
        CallFailed: COMMITTEE when the actor does not belong to it, or it is his own loan.
    """
    loan = get_loan(ctx.view, number, APPLIED)
    product = get_product(ctx.view, loan.product)
    record = get_member(ctx.view, loan.member)
    actor = get_committee_actor(ctx, product, record)
    loan = _price(ctx, product, loan)
    found = _check_eligible(ctx, number, product, loan, record)
    key = APPROVALS.key(number, actor)
    if APPROVALS.get(ctx.view, key) is not None:
        fail(COMMITTEE, "lending.approved_already", 1, 2)
    APPROVALS.put(ctx.view, key, (SCHEMA, ctx.environment.day))
    loan = replace(loan, approvals=loan.approvals + 1)
    if loan.approvals >= product.approvals:
        return _approve(ctx, number, loan, found, False)
    put_loan(ctx.view, number, loan)
    return loan.status


def reject(ctx: Context, number: int) -> Value:
    """Reject an application as one of the committee; returns its status."""
    loan = get_loan(ctx.view, number, APPLIED)
    get_committee_actor(ctx, get_product(ctx.view, loan.product), get_member(ctx.view, loan.member))
    return _end(ctx, number, loan, REJECTED)


def withdraw(ctx: Context, owner: Address, number: int) -> Value:
    """Take an application back; returns its status."""
    return _end(ctx, number, get_own(ctx, owner, number, APPLIED, APPROVED), WITHDRAWN)


def get_committee_actor(ctx: Context, product: Product, record: Member) -> Address:
    """Return the actor, who is of the committee; the loan is not his own.

    Raises:
        CallFailed: COMMITTEE.
    """
    actor = ctx.actor
    assert actor is not None, "who approves has signed"
    is_of_it = auth.has_role(ctx.view, actor, product.committee, ctx.environment.waited)
    if not is_of_it or actor == record.account:
        fail(COMMITTEE, "lending.committee", product.committee, actor)
    return actor


def _approve(ctx: Context, number: int, loan: Loan, found: Findings, is_automatic: bool) -> int:
    put_loan(ctx.view, number, replace(loan, status=APPROVED, decided=ctx.environment.day))
    DECISIONS.put(ctx.view, DECISIONS.key(number), (*pack_record(found), is_automatic))
    ctx.emit(DECIDED, number, loan.member, APPROVED)
    return APPROVED


def _end(ctx: Context, number: int, loan: Loan, status: int) -> int:
    put_loan(ctx.view, number, replace(loan, status=status))
    security.drop(ctx, number)
    ctx.emit(DECIDED, number, loan.member, status)
    return status


def get_own(ctx: Context, owner: Address, number: int, *status: int) -> Loan:
    """Return a loan of the member of an account.

    Raises:
        CallFailed: NO_LOAN, STATUS.
    """
    loan = get_loan(ctx.view, number, *status)
    if get_member(ctx.view, loan.member).account != owner:
        fail(NO_LOAN, "lending.loan_of_member", None, number)
    return loan


# --- acceptance and disbursement


def accept(ctx: Context, owner: Address, number: int, terms_hash: bytes, annual_ppm: int) -> Value:
    """Accept the exact terms of today and what they cost a year, and be paid out; returns what arrives.

    Rules: 1. the policy or the committee has approved within `OFFER_DAYS`. 2. what refuses an application
        still does. 3. enough stays liquid, and nobody waits for his savings.

    Raises:
        CallFailed: TERMS_CHANGED when the hash is that of other terms, or of another day; TERMS when the
            loan does not cost that much a year.
    """
    view, today = ctx.view, ctx.environment.day
    loan = get_own(ctx, owner, number, APPROVED)
    product = get_terms(view, loan)
    if today > loan.decided + OFFER_DAYS:
        fail(STATUS, "lending.offer_days", OFFER_DAYS, today - loan.decided)
    _check_eligible(ctx, number, product, loan, get_member(view, loan.member))
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
