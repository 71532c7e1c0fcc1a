"""Loans as a page shows them: one and how it stands, a list, rows, a quote, and the portfolio at risk.
The plain records are there as `lending_*`.

Portfolio at risk is what is out, whole, of loans of which anything is so many days late: PAR30, PAR60, PAR90.
How late a loan is, is lending's (`contracts/lending/book.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any, Final

import msgspec

from node.rpc.dispatch import Method
from node.rpc.forms import Form
from node.rpc.methods.params import AddressParam, At, Params
from node.rpc.service import Call
from node.rpc.values import read_address, to_hex
from protocol.addresses import format_address
from protocol.contracts import REGISTRY
from protocol.contracts.credit.doors import get_table, limit
from protocol.contracts.lending.applying import apply as apply_for
from protocol.contracts.lending.applying import check_range
from protocol.contracts.lending.contract import CONTRACT
from protocol.contracts.lending.deciding import decide, is_secured
from protocol.contracts.lending.lapsing import is_lapsed
from protocol.contracts.lending.posting import open_book
from protocol.contracts.lending.product import Product, get_product
from protocol.contracts.lending.records import (
    APPLIED,
    APPROVED,
    BY_MEMBER,
    CLAIMS,
    COMMITTEE,
    INSTALMENTS,
    LAPSED,
    LOANS,
    NOT_ELIGIBLE,
    RATE_MAX_PPM,
    STATES,
    Instalment,
    Loan,
    get_loan,
    get_state,
)
from protocol.contracts.lending.terms import compute_fee, compute_rate, make_rows
from protocol.contracts.members.records import get_by_account, get_member
from protocol.contracts.security.collateral import compute_cover
from protocol.contracts.security.records import CASES, get_case, list_guarantees
from protocol.elections.decision import WHOLE_BP
from protocol.errors import CallFailed, Rejected
from protocol.finance.schedule import ROWS_MAX
from protocol.money import compute_day
from protocol.params import AMOUNT_MAX
from protocol.types import Height, Seconds
from protocol.vm.context import Context, Environment
from protocol.vm.tables import read_record
from protocol.vm.view import View

LATE_DAYS: Final = (1, 30, 60, 90)
LOANS_WALKED_MAX: Final = 100_000
"""Loans that one answer looks at; `isComplete` says whether there are more."""


PAGE_MAX: Final = 100
SECURED: Final = "secured"
"""An application for which all stands that its product asks for: derived, since it can change any day."""
STATUSES: Final = (
    *("applied", "approved", "active", "closed", "charged_off", "rejected", "withdrawn", "recovered"),
    "lapsed",
)
"""Names of the statuses, in the order of their numbers, from 1 on."""

_Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
_Amount = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,19}$")]


class LoanParams(Params):
    """A loan."""

    loan: _Number
    at: At = None


class LoansParams(Params):
    """All loans from a number on, or those of a member that are open."""

    address: AddressParam | None = None
    after: _Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 30
    at: At = None


class QuoteParams(Params):
    """A loan that somebody could ask for; `principal` and `income`, of a year, in minor units. With an
    address the answer says what would be decided if its member asked."""

    product: Annotated[int, msgspec.Meta(ge=1, lt=1 << 16)]
    principal: _Amount
    rows: Annotated[int, msgspec.Meta(ge=1, le=ROWS_MAX)]
    at: At = None
    address: AddressParam | None = None
    income: _Amount = "0"


class LoanForm(Form):
    """A loan; `due` and `payoff` are those of the day, `owed` is what is left of one that was charged off.

    An application for which all stands that its product asks for is `secured`, an approval that was not
    accepted in time `lapsed`; `cover` is what guarantors and collateral count for.
    """

    loan: int
    member: int
    address: str
    product: int
    product_name: str
    asset: int
    status: str
    purpose: str
    principal: str
    interest: str
    rows: int
    applied_day: int
    start_day: int | None
    terms_hash: str | None
    principal_out: str
    due: str
    payoff: str
    advance: str
    days_late: int
    loan_class: int
    notices: int
    allowance: str
    owed: str | None
    cover: str
    guarantors: int


class LoanRead(Form):
    """A loan on a day (of the co-op's calendar, from 1970)."""

    height: int
    as_of: int
    loan: LoanForm


class LoanPage(Form):
    """Loans by number; ask again after `next` unless it is nil."""

    height: int
    as_of: int
    items: list[LoanForm]
    next: int | None


class RowForm(Form):
    """A row of a schedule."""

    row: int
    due_day: int
    principal: str
    interest: str
    principal_paid: str
    interest_paid: str
    is_paid: bool
    is_due: bool


class ScheduleForm(Form):
    """The rows of a loan; none before it is paid out."""

    height: int
    as_of: int
    loan: int
    rows: list[RowForm]


class DecisionForm(Form):
    """What would be decided today: `approved`, `committee` when people would decide, or `refused`; the rule
    that says so with its limit and what was found; what score and savings carry, and the rate of interest."""

    outcome: str
    rule: str | None
    limit: int | str | None
    actual: int | str | None
    carries: str
    score: int
    rate_ppm: int


class QuoteForm(Form):
    """What a loan would cost if it were paid out on the day; `ratePpm` is that of all it costs a year.

    The rate of interest is one of `rateFromPpm` to `rateToPpm`, by the score of whom it is lent to, and what
    is said is said of the lowest; both are one when no score is asked, or the address of a member was given.
    """

    height: int
    as_of: int
    interest: str
    fee: str
    rate_ppm: int | None
    rows: list[RowForm]
    rate_from_ppm: int
    rate_to_ppm: int
    decision: DecisionForm | None = None


async def get_one(call: Call, params: LoanParams) -> LoanRead:
    """Show a loan and how it stands."""
    with _open(call, params.at) as (view, height, today):
        return LoanRead(height, today, _show(call, view, params.loan, today))


async def list_loans(call: Call, params: LoansParams) -> LoanPage:
    """List loans by number."""
    with _open(call, params.at) as (view, height, today):
        numbers = _list_numbers(call, view, params)
        found = [_show(call, view, number, today) for number in numbers[: params.limit]]
    return LoanPage(height, today, found, found[-1].loan if len(numbers) > params.limit else None)


async def get_schedule(call: Call, params: LoanParams) -> ScheduleForm:
    """Show the rows of a loan."""
    with _open(call, params.at) as (view, height, today):
        get_loan(view, params.loan)
        rows = [read_record(Instalment, row) for _, row in INSTALMENTS.scan(view, params.loan)]
    return ScheduleForm(height, today, params.loan, _show_rows(rows, today))


async def quote(call: Call, params: QuoteParams) -> QuoteForm:
    """Say what a loan would cost."""
    principal = int(params.principal)
    with _open(call, params.at) as (view, height, today):
        product = get_product(view, params.product)
        check_range(product, min(principal, AMOUNT_MAX), params.rows)
        decision = None if params.address is None else _try(call, view, Height(height), params, product)
        low, high = _find_rates(view, product) if decision is None else (decision.rate_ppm,) * 2
        product = replace(product, rate_ppm=low)
        rows = make_rows(product, principal, params.rows, today)
        rate, fee = compute_rate(product, principal, rows), compute_fee(product, principal)
    interest, listed = sum([row.interest for row in rows]), _show_rows(list(rows), today)
    return QuoteForm(height, today, str(interest), str(fee), rate, listed, low, high, decision)


def _find_rates(view: View, product: Product) -> tuple[int, int]:
    """Return the lowest and the highest rate at which a product lends, by whatever score."""
    bands, _ = get_table(view, product.asset)
    additions = [addon for _, _, addon in bands] if product.by_score else [0]
    low, high = (min(product.rate_ppm + addon, RATE_MAX_PPM) for addon in (min(additions), max(additions)))
    return low, high


def _try(call: Call, view: View, height: Height, params: QuoteParams, product: Product) -> DecisionForm:
    """Ask for a loan in a view that nobody keeps, and let the policy decide."""
    assert params.address is not None
    address = read_address(params.address, call.facts.hrp)
    seconds, offset = Seconds(call.time_ms_of(height) // 1_000), call.facts.genesis.utc_offset_seconds
    next_height, today = Height(height + 1), compute_day(seconds, offset)
    world = Environment(seconds, today, next_height, 0, bytes(32), (address,), utc_offset_seconds=offset)
    ctx = Context(view, REGISTRY, world, CONTRACT, address)
    member, _ = get_by_account(view, address)
    offer = limit(ctx, member, product.asset, AMOUNT_MAX, AMOUNT_MAX, AMOUNT_MAX)
    rate = min(product.rate_ppm + offer.addon_ppm * product.by_score, RATE_MAX_PPM)
    amount, income = int(params.principal), min(int(params.income), AMOUNT_MAX)
    outcome, reason = "approved", None
    try:
        asked = apply_for(ctx, address, params.product, amount, params.rows, income, "")
        assert type(asked) is int, "it is the number of the loan"
        decide(ctx, asked)
    except CallFailed as failed:
        if failed.code not in (NOT_ELIGIBLE, COMMITTEE):
            raise
        outcome, reason = "refused" if failed.code == NOT_ELIGIBLE else "committee", failed.reason
    bounds = (None, None) if reason is None else (_bound(reason.limit), _bound(reason.actual))
    rule = None if reason is None else reason.rule
    return DecisionForm(outcome, rule, *bounds, str(offer.amount), offer.score, rate)


def _bound(value: int | str | bytes | None) -> int | str | None:
    return to_hex(value) if isinstance(value, bytes) else value


@contextmanager
def _open(call: Call, at: At) -> Iterator[tuple[View, int, int]]:
    """Open a state with its height and the day of the co-op's calendar; what a contract refuses, refuse."""
    height = call.state_height_of(at)
    seconds = Seconds(call.time_ms_of(height) // 1_000)
    with call.state(height) as state:
        try:
            yield View(state), height, compute_day(seconds, call.facts.genesis.utc_offset_seconds)
        except CallFailed as failed:
            raise Rejected(failed.code, failed.reason.rule) from failed


def _list_numbers(call: Call, view: View, params: LoansParams) -> list[int]:
    """List the numbers after one, one more than were asked for when there are more."""
    if params.address is None:
        walk = LOANS.scan(view, start=LOANS.key(params.after) + b"\x00")
        return [int(str(LOANS.parts(key)[0])) for key, _ in islice(walk, params.limit + 1)]
    member = call.member_of(view, params.address)
    found = [int(str(number)) for _, number in LOANS.scan_index(view, BY_MEMBER, member)]
    return [number for number in found if number > params.after]


def _show(call: Call, view: View, number: int, today: int) -> LoanForm:
    loan = get_loan(view, number)
    product = get_product(view, loan.product)
    book = None
    if STATES.get(view, STATES.key(number)) is not None:
        book = open_book(view, number, loan, product, get_state(view, number), today)
    claim = CLAIMS.get(view, CLAIMS.key(number))
    cover, guarantors = _find_security(view, number, today)
    return LoanForm(
        number,
        loan.member,
        format_address(get_member(view, loan.member).account, call.facts.hrp),
        loan.product,
        product.name,
        product.asset,
        _name_status(loan, product, cover, guarantors, today),
        loan.purpose,
        str(loan.principal),
        str(loan.interest),
        loan.rows,
        loan.applied,
        loan.start or None,
        to_hex(loan.terms_hash) if loan.start else None,
        str(book.state.principal_out if book else 0),
        str(book.count_due() if book and claim is None else 0),
        str(book.count_payoff() if book and claim is None else 0),
        str(book.state.advance if book else 0),
        book.days_late() if book and claim is None else 0,
        book.state.loan_class if book else 0,
        book.state.notices if book else 0,
        str(book.state.allowance if book else 0),
        None if claim is None else str(claim[1] - claim[2]),
        str(cover),
        guarantors,
    )


def _find_security(view: View, number: int, today: int) -> tuple[int, int]:
    """Return what stands for a loan today, and how many guarantors do."""
    if CASES.get(view, CASES.key(number)) is None:
        return 0, 0
    return compute_cover(view, number, get_case(view, number), today), len(list_guarantees(view, number))


def _name_status(loan: Loan, product: Product, cover: int, guarantors: int, today: int) -> str:
    if loan.status == APPLIED and is_secured(product, loan.principal, cover, guarantors):
        return SECURED
    has_lapsed = loan.status == APPROVED and is_lapsed(loan, today)
    return STATUSES[(LAPSED if has_lapsed else loan.status) - 1]


def _show_rows(rows: list[Instalment], today: int) -> list[RowForm]:
    return [
        RowForm(
            number,
            row.due_day,
            str(row.principal),
            str(row.interest),
            str(row.principal_paid),
            str(row.interest_paid),
            (row.principal_paid, row.interest_paid) == (row.principal, row.interest),
            row.due_day <= today,
        )
        for number, row in enumerate(rows, 1)
    ]


class RiskParams(Params):
    """The loans of an asset."""

    asset: int = 1
    at: At = None


class RiskLine(Form):
    """What is out of loans that are more than so many days late, and its part of all that is out."""

    days: int
    loans: int
    principal: str
    part_bp: int


class Risk(Form):
    """The portfolio of an asset on a day (of the co-op's calendar, from 1970)."""

    height: int
    as_of: int
    loans: int
    principal: str
    allowance: str
    at_risk: list[RiskLine]
    is_complete: bool


async def get_risk(call: Call, params: RiskParams) -> Risk:
    """Add up what is out by how late it is."""
    with _open(call, params.at) as (view, height, today):
        found, is_complete = _walk(view, params.asset, today)
    principal = sum([out for out, _, _ in found])
    lines = []
    for days in LATE_DAYS:
        late = [out for out, _, days_late in found if days_late >= days + (days > 1)]
        part = sum(late) * WHOLE_BP // principal if principal else 0
        lines.append(RiskLine(days, len(late), str(sum(late)), part))
    allowance = sum([kept for _, kept, _ in found])
    return Risk(height, today, len(found), str(principal), str(allowance), lines, is_complete)


def _walk(view: View, asset: int, today: int) -> tuple[list[tuple[int, int, int]], bool]:
    """List (principal that is out, allowance, days late) of the loans of an asset that are out."""
    found: list[tuple[int, int, int]] = []
    for count, (key, _) in enumerate(STATES.scan(view)):
        if count == LOANS_WALKED_MAX:
            return found, False
        number = STATES.parts(key)[0]
        assert type(number) is int
        loan, kept = get_loan(view, number), get_state(view, number)
        product = get_product(view, loan.product)
        if product.asset != asset or not kept.principal_out:
            continue
        allowance = kept.allowance
        book = open_book(view, number, loan, product, kept, today)
        found.append((book.state.principal_out, allowance, book.days_late()))
    return found, True


METHODS: tuple[Method[Any], ...] = (
    Method(
        "loan_get",
        LoanParams,
        LoanRead,
        "A loan, and how it stands.",
        get_one,
        ("lending.no_loan", "chain.pruned"),
    ),
    Method(
        "loan_list",
        LoansParams,
        LoanPage,
        "Loans by number, or those of a member that are open.",
        list_loans,
        ("members.unknown_member", "chain.pruned"),
    ),
    Method(
        "loan_getSchedule",
        LoanParams,
        ScheduleForm,
        "The rows of a loan, with what of them is paid.",
        get_schedule,
        ("lending.no_loan", "chain.pruned"),
    ),
    Method(
        "loan_quote",
        QuoteParams,
        QuoteForm,
        "What a loan would cost if it were paid out now, and what would be decided for a member.",
        quote,
        ("lending.no_product", "lending.terms", "members.unknown_member", "chain.pruned"),
    ),
    Method(
        "loan_getRisk",
        RiskParams,
        Risk,
        "What is out on loans, and how much of it is late by more than 0, 30, 60 and 90 days.",
        get_risk,
        ("chain.pruned",),
    ),
)
