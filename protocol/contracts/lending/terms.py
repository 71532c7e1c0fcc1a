"""From a product to the terms of a loan: its rows, its fee, what they cost a year, and the hash of it all.

Pure: knows no member and no ledger.

*Source*: contracts.md D19, 5.10.
"""

from dataclasses import astuple
from typing import Final

from protocol import codec, crypto
from protocol.contracts.lending.book import is_held_back
from protocol.contracts.lending.product import Product
from protocol.contracts.lending.records import TERMS, Instalment
from protocol.elections.decision import WHOLE_BP
from protocol.finance.annual_rate import Flow, find_effective_rate, is_effective_rate
from protocol.finance.day_count import DayCount, count_parts
from protocol.finance.schedule import (
    Method,
    PeriodUnit,
    Row,
    Terms,
    build_schedule,
    compute_interest,
)
from protocol.money import Rounding, mul_div, split_by_weight
from protocol.vm.context import fail
from protocol.vm.view import View

YEAR_DAYS: Final = 366
ROW_GAS: Final = 100
"""Of each row that is computed."""
FLOW_GAS: Final = 40
FRACTION_GAS: Final = 300
"""Of each flow, and of each part of a year that flows are away from a whole one, in a check of a rate."""
_PERIODS_A_YEAR: Final = {PeriodUnit.DAYS: 365, PeriodUnit.WEEKS: 52, PeriodUnit.MONTHS: 12}


def pay_rows(
    view: View, product: Product, principal: int, rows: int, start_day: int
) -> tuple[Instalment, ...]:
    """Pay for the rows of a loan and make them, as `make_rows` does."""
    view.charge(ROW_GAS * rows)
    return make_rows(product, principal, rows, start_day)


def make_rows(product: Product, principal: int, rows: int, start_day: int) -> tuple[Instalment, ...]:
    """Make the rows of a loan that is paid out on a day.

    Raises:
        CallFailed: LIMIT or OVERFLOW when there is no such schedule; TERMS when its interest passes the cap.
    """
    terms = Terms(
        principal,
        product.rate_ppm,
        rows,
        Method(product.method),
        DayCount(product.day_count),
        PeriodUnit(product.period_unit),
        product.every,
        start_day,
        instalment_unit=min(product.instalment_unit, principal),
        grace_principal=min(product.grace_principal, rows - 1),
        grace_interest=min(product.grace_interest, rows - 1),
        interest_free=min(product.interest_free, rows),
        balloon=mul_div(principal, product.balloon_bp, WHOLE_BP, Rounding.FLOOR),
        custom=split_by_weight(principal, product.custom_bp) if product.custom_bp else (),
        is_smooth=product.is_smooth,
    )
    made = build_schedule(terms)
    if product.cap_bp:
        interest = sum([row.interest for row in made])
        cap = mul_div(principal, product.cap_bp, WHOLE_BP, Rounding.FLOOR)
        if interest > cap:
            fail(TERMS, "lending.cap", cap, interest)
    deferred = _list_deferred(product, terms, made)
    return tuple(
        [
            Instalment(r.due_day, r.principal, r.interest, d, r.principal, r.interest, d, 0, 0, 0)
            for r, d in zip(made, deferred, strict=True)
        ]
    )


def _list_deferred(product: Product, terms: Terms, rows: tuple[Row, ...]) -> list[int]:
    """List what interest has arisen and is not due when each row is."""
    found: list[int] = []
    deferred, left, before = 0, terms.principal, terms.start_day
    held = len([n for n in range(terms.rows) if is_held_back(product, n, terms.rows)])
    for n, row in enumerate(rows):
        if n >= held:
            deferred = 0
        elif terms.method is Method.FLAT:
            deferred = rows[held].interest * (n + 1) // (held + 1)
        elif n >= terms.interest_free:
            deferred += compute_interest(
                left, terms.rate_ppm, count_parts(before, row.due_day, terms.day_count)
            )
        found.append(deferred)
        left, before = left - row.principal, row.due_day
    return found


def compute_fee(product: Product, principal: int) -> int:
    """Compute what is kept back at disbursement."""
    return product.fee_flat + mul_div(principal, product.fee_bp, WHOLE_BP, Rounding.HALF_EVEN)


def compute_service(rows: tuple[Instalment, ...], start_day: int) -> int:
    """Compute what falls due within a year."""
    return sum([r.principal + r.interest for r in rows if r.due_day <= start_day + YEAR_DAYS])


def compute_rate(product: Product, principal: int, rows: tuple[Instalment, ...]) -> int | None:
    """Compute what a loan costs a year, fee included, by the formula of the European Union, ppm."""
    return find_effective_rate(_list_flows(product, principal, rows))


def check_rate(
    view: View, product: Product, principal: int, rows: tuple[Instalment, ...], annual_ppm: int
) -> None:
    """Check what a loan is said to cost a year, without finding it; pays for the sums.

    Raises:
        CallFailed: TERMS when it is off by more than the tolerance.
    """
    flows = _list_flows(product, principal, rows)
    fractions = len(dict.fromkeys([flow.part for flow in flows]))
    view.charge(FLOW_GAS * len(flows) + FRACTION_GAS * fractions)
    if not is_effective_rate(flows, annual_ppm):
        fail(TERMS, "lending.annual_rate", None, annual_ppm)


def _list_flows(product: Product, principal: int, rows: tuple[Instalment, ...]) -> list[Flow]:
    a_year = _PERIODS_A_YEAR[PeriodUnit(product.period_unit)]
    flows = [Flow(principal - compute_fee(product, principal), 0)]
    for n, row in enumerate(rows):
        whole, part = divmod((n + 1) * product.every, a_year)
        flows.append(Flow(-row.principal - row.interest, whole, (part, a_year)))
    return flows


def compute_terms_hash(
    loan: int, product: Product, principal: int, start_day: int, rows: tuple[Instalment, ...]
) -> bytes:
    """Compute the hash of exact terms: the loan, its product, the day, the fee and every row."""
    agreed = tuple([(row.due_day, row.principal, row.interest) for row in rows])
    fee = compute_fee(product, principal)
    value = ("lending terms", loan, astuple(product), principal, start_day, fee, agreed)
    return crypto.sha256(codec.encode(value))
