"""Decisions: what refuses an application, what the policy decides by itself, and who decides the rest.

A decision is made from a few numbers that are kept with it (`Findings`), by two pure functions: what refuses
an application (`find_refusal`), and what needs people (`find_referral`). Anybody can do them again. People
are a committee, or the members by a vote, as the product says; a vote reaches every application.

*Source*: contracts.md 5.10.
"""

from dataclasses import dataclass, replace

from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.credit import doors as credit
from protocol.contracts.ledger.books import compute_equity, list_balances
from protocol.contracts.lending.ageing import wake
from protocol.contracts.lending.lapsing import DECIDED, end_application
from protocol.contracts.lending.product import BY_VOTE, INSIDERS_BY_VOTE, Product, get_product
from protocol.contracts.lending.records import (
    APPLIED,
    APPROVALS,
    APPROVED,
    BY_MEMBER,
    COMMITTEE,
    DECISIONS,
    LOANS,
    NOT_ELIGIBLE,
    RATE_MAX_PPM,
    REJECTED,
    Loan,
    get_loan,
    get_state,
    put_loan,
)
from protocol.contracts.lending.terms import compute_service, pay_rows
from protocol.contracts.members.records import ACTIVE as ACTIVE_MEMBER
from protocol.contracts.members.records import BOARD, Member, get_member
from protocol.contracts.savings import records as savings
from protocol.contracts.security import doors as security
from protocol.elections.decision import WHOLE_BP
from protocol.errors import Reason
from protocol.money import Rounding, check_amount, date_from_days, is_within_ratio, mul_div
from protocol.params import AMOUNT_MAX
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import GOV
from protocol.vm.tables import SCHEMA, pack_record
from protocol.vm.view import View


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
    guarantors: int
    score: int
    carried: int
    rate_ppm: int
    is_insider: bool


def price(ctx: Context, product: Product, loan: Loan) -> Loan:
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


def check_eligible(ctx: Context, number: int, product: Product, loan: Loan, record: Member) -> Findings:
    """Check what refuses an application, and return what was found out.

    Raises:
        CallFailed: NOT_ELIGIBLE.
    """
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
        len(security.guarantors(ctx, number)),
        score,
        carried,
        loan.rate_ppm,
        is_insider(view, product, record),
    )


def is_insider(view: View, product: Product, record: Member) -> bool:
    """Tell whether a member is on the board or of the committee of a product."""
    roles = [role for role in (BOARD, product.committee) if role]
    return any(auth.holds_role(view, record.account, role) for role in roles)


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
    """Return why people have to decide; None: the policy decides by itself."""
    if found.is_insider:
        return Reason("lending.insider", None, None)
    if found.debt > product.auto_max:
        return Reason("lending.auto_max", product.auto_max, found.debt)
    if found.score < product.score_min:
        return Reason("lending.score_min", product.score_min, found.score)
    if found.debt > found.carried:
        return Reason("lending.score_limit", found.carried, found.debt)
    missing = find_missing(product, principal, found.cover, found.guarantors)
    if missing is not None:
        return missing
    multiple = product.savings_multiple_bp
    if multiple and not is_within_ratio(found.debt, found.savings, multiple, WHOLE_BP):
        return Reason("lending.savings_multiple_bp", multiple, _show_ratio(found.debt, found.savings))
    return None


def find_missing(product: Product, principal: int, cover: int, guarantors: int) -> Reason | None:
    """Return what a product asks to stand for a loan and is not there; None: all of it is."""
    if guarantors < product.guarantors_min:
        return Reason("lending.guarantors_min", product.guarantors_min, guarantors)
    if not is_within_ratio(product.coverage_bp, WHOLE_BP, cover, principal):
        needed = mul_div(principal, product.coverage_bp, WHOLE_BP, Rounding.CEIL)
        return Reason("lending.coverage_bp", needed, cover)
    return None


def is_secured(product: Product, principal: int, cover: int, guarantors: int) -> bool:
    """Tell whether a product asks for security and all that it asks for stands for a loan."""
    asks = product.guarantors_min or product.coverage_bp
    return bool(asks) and find_missing(product, principal, cover, guarantors) is None


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
    loan = price(ctx, product, loan)
    found = check_eligible(ctx, number, product, loan, get_member(ctx.view, loan.member))
    referral = find_referral(product, loan.principal, found)
    if referral is not None:
        fail(COMMITTEE, referral.rule, referral.limit, referral.actual)
    return _approve(ctx, number, loan, found, True)


def approve(ctx: Context, number: int) -> Value:
    """Approve an application as one of the committee, or by a vote; returns its status.

    It changes with the last one who is needed.

    Rules: 1. a vote of the members needs nobody else. 2. what the policy has approved and would not any more,
        people can approve.

    Raises:
        CallFailed: COMMITTEE when the actor does not belong to it, it is his own loan, or members vote on it.
    """
    loan = get_loan(ctx.view, number, APPLIED, APPROVED)
    product, record = get_product(ctx.view, loan.product), get_member(ctx.view, loan.member)
    actor = _get_decider(ctx, product, record)
    loan = price(ctx, product, loan)
    found = check_eligible(ctx, number, product, loan, record)
    if actor is None:
        return _approve(ctx, number, loan, found, False)
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
    """Reject an application as one of the committee, or by a vote; returns its status."""
    loan = get_loan(ctx.view, number, APPLIED)
    _get_decider(ctx, get_product(ctx.view, loan.product), get_member(ctx.view, loan.member))
    return end_application(ctx, number, loan, REJECTED)


def _get_decider(ctx: Context, product: Product, record: Member) -> Address | None:
    """Return who of the committee decides; None: the members do, by a vote.

    Raises:
        CallFailed: COMMITTEE.
    """
    actor = get_committee_actor(ctx, product, record)
    asks_all = product.decided_by == BY_VOTE or (
        product.decided_by == INSIDERS_BY_VOTE and is_insider(ctx.view, product, record)
    )
    if actor is not None and asks_all:
        fail(COMMITTEE, "lending.decided_by", product.decided_by, actor)
    return actor


def get_committee_actor(ctx: Context, product: Product, record: Member) -> Address | None:
    """Return the actor, who is of the committee, and the loan is not his own; None: the members by a vote.

    Raises:
        CallFailed: COMMITTEE.
    """
    actor = ctx.actor
    if actor is None:
        assert ctx.environment.system == GOV.name, "who approves has signed"
        return None
    is_of_it = auth.has_role(ctx.view, actor, product.committee, ctx.environment.waited)
    if not is_of_it or actor == record.account:
        fail(COMMITTEE, "lending.committee", product.committee, actor)
    return actor


def _approve(ctx: Context, number: int, loan: Loan, found: Findings, is_automatic: bool) -> int:
    put_loan(ctx.view, number, replace(loan, status=APPROVED, decided=ctx.environment.day))
    DECISIONS.put(ctx.view, DECISIONS.key(number), (*pack_record(found), is_automatic))
    wake(ctx, loan.product)
    ctx.emit(DECIDED, number, loan.member, APPROVED)
    return APPROVED


def _get_decision(view: View, number: int) -> tuple[Findings, bool]:
    """Return what an approval was made from, and whether the policy made it."""
    row = DECISIONS.get(view, DECISIONS.key(number))
    assert row is not None, "what is approved has its decision"
    return Findings(*row[1:-1]), row[-1] is True  # type: ignore[arg-type]


def check_decision(ctx: Context, number: int, product: Product, loan: Loan, found: Findings) -> None:
    """Check, as a loan is paid out, that what was approved is still what stands there.

    Rules: 1. what the policy has approved, it would approve today: no guarantor has left, and nothing else
        was borrowed meanwhile. 2. what people have approved has no less behind it than they have seen.

    Raises:
        CallFailed: COMMITTEE with the reason why the policy would not; NOT_ELIGIBLE.
    """
    seen, is_automatic = _get_decision(ctx.view, number)
    if is_automatic:
        referral = find_referral(product, loan.principal, found)
        if referral is not None:
            fail(COMMITTEE, referral.rule, referral.limit, referral.actual)
        return
    for rule, least, actual in (
        ("lending.cover_seen", seen.cover, found.cover),
        ("lending.guarantors_seen", seen.guarantors, found.guarantors),
    ):
        if actual < least:
            fail(NOT_ELIGIBLE, rule, least, actual)
