"""What a loan repays and when: the rows of a schedule, made once, stored, and never derived again.

    interest of a row = outstanding * rate * year parts of its period, rounded half-even to a minor unit
    level instalment  = P * prod(1 + r_k) / fn,  fn_1 = 1,  fn_k = fn_(k-1) * (1 + r_k) + 1

with the true weight of every period and one rounding at the end, in unbounded integers. The last row takes
the residue, so the principal of all rows is the principal of the loan, always.

It knows no product, no loan, no repayment. Rows are an answer, not a state.

*Source*: contracts.md D3, D19, 3.4, 5.10.
*Departs*: an instalment unit so coarse that the last row would fall outside 0 .. 2 instalments is not used;
the instalment is then rounded to one minor unit, and a loan too small for its rows even so is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from protocol.errors import CallFailed, Code, Reason
from protocol.finance.day_count import ACCRUAL_UNIT, RATE_UNIT, DayCount, count_parts
from protocol.money import Rounding, add_months, check_amount, mul_div

ROWS_MAX: Final = 480
"""Most rows of a schedule: forty years of months."""

EVERY_MAX: Final = 366
"""Longest period, in its unit."""

SMOOTHINGS_MAX: Final = 4
"""Times that a level instalment is corrected."""


class Method(IntEnum):
    """Name how principal and interest are spread."""

    FLAT = 1
    EQUAL_INSTALMENT = 2
    EQUAL_PRINCIPAL = 3
    BULLET = 4
    INTEREST_THEN_EQUAL = 5
    BALLOON = 6
    CUSTOM = 7


class PeriodUnit(IntEnum):
    """Name the unit of a repayment period; months count from the anchor day and clamp to the month's end."""

    DAYS = 1
    WEEKS = 2
    MONTHS = 3


@dataclass(frozen=True, slots=True)
class Terms:
    """Fix everything that the rows follow from.

    Args:
        principal: minor units, above 0.
        rate_ppm: a year, parts per million.
        rows: 1 .. `ROWS_MAX`.
        every: length of a period in `period_unit`.
        start_day: of the disbursement, days since 1970-01-01.
        first_due_day: of row 1; the others follow from it. None: one period after `start_day`.
        instalment_unit: an instalment is a multiple of it, except the last.
        grace_principal: first rows that repay no principal.
        grace_interest: first rows that pay no interest; it falls due with the row after them.
        interest_free: first rows in which no interest arises.
        balloon: of BALLOON: principal left for the last row.
        custom: of CUSTOM: principal of every row.
        is_smooth: of level instalments: what the last one would differ by is spread over all of them.
    """

    principal: int
    rate_ppm: int
    rows: int
    method: Method
    day_count: DayCount
    period_unit: PeriodUnit
    every: int
    start_day: int
    first_due_day: int | None = None
    instalment_unit: int = 1
    grace_principal: int = 0
    grace_interest: int = 0
    interest_free: int = 0
    balloon: int = 0
    custom: tuple[int, ...] = ()
    is_smooth: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """What falls due on a day, in minor units."""

    due_day: int
    principal: int
    interest: int


def build_schedule(terms: Terms) -> tuple[Row, ...]:
    """Compute the rows of a schedule.

    Rules: 1. principals sum to the principal. 2. no row is negative. 3. due days rise.

    Raises:
        CallFailed: LIMIT for terms out of bounds, among them a principal too small for so many rows;
            OVERFLOW when a row is no amount.
    """
    _check(terms)
    days = list_due_days(terms)
    parts = _list_parts(terms, days)
    principals = _spread(terms, parts)
    interests = _list_interests(terms, parts, principals)
    return tuple(
        Row(day, check_amount(principal), check_amount(interest))
        for day, principal, interest in zip(days, principals, interests, strict=True)
    )


def list_due_days(terms: Terms) -> list[int]:
    """List the due days; of months always counted from the anchor, so 31 Jan, 29 Feb, 31 Mar."""
    if terms.first_due_day is None:
        return [_step(terms.start_day, terms, n) for n in range(1, terms.rows + 1)]
    return [_step(terms.first_due_day, terms, n) for n in range(terms.rows)]


def compute_interest(balance: int, rate_ppm: int, parts: int) -> int:
    """Compute the interest of a balance over parts of a year, half-even to one minor unit."""
    return mul_div(balance, rate_ppm * parts, ACCRUAL_UNIT, Rounding.HALF_EVEN)


def compute_period_interest(
    balances: Sequence[tuple[int, int]], end_day: int, rate_ppm: int, convention: DayCount
) -> int:
    """Compute the interest of a period within which the balance changes, half-even once to one minor unit.

    Rules: 1. what is drawn or repaid on a due day belongs to the period that begins with it.

    Args:
        balances: (from day, minor units), the first from the first day of the period, by day.
        end_day: due day of the period, not included.
    """
    days = [*[day for day, _ in balances[1:]], end_day]
    weight = sum(
        [
            balance * count_parts(day, end, convention)
            for (day, balance), end in zip(balances, days, strict=True)
        ]
    )
    return compute_interest(weight, rate_ppm, 1)


def restate_interest(
    rows: Sequence[Row], balances: Sequence[tuple[int, int]], rate_ppm: int, convention: DayCount
) -> tuple[Row, ...]:
    """Compute the interest of rows anew whose principals have changed, after an early payment or a drawdown.

    Args:
        rows: those not due yet, by due day; their principals sum to the last balance.
        balances: of the period in progress, as for `compute_period_interest`.
    """
    outstanding = balances[-1][1]
    assert sum([row.principal for row in rows]) == outstanding, "rows repay what is out"
    restated: list[Row] = []
    for row in rows:
        interest = check_amount(compute_period_interest(balances, row.due_day, rate_ppm, convention))
        restated.append(Row(row.due_day, row.principal, interest))
        outstanding -= row.principal
        balances = ((row.due_day, outstanding),)
    return tuple(restated)


def compute_level_instalment(
    principal: int, rate_ppm: int, parts: Sequence[int], unit: int, balloon: int = 0
) -> int:
    """Compute the instalment that repays a principal down to a balloon over periods of so many year parts.

    Cost: big integers; about 22 us for 60 equal periods, 0.3 ms for 480.
    """
    unit_of_rate = ACCRUAL_UNIT
    for weight in parts:
        unit_of_rate = _common_divisor(unit_of_rate, rate_ppm * weight)
    year = ACCRUAL_UNIT // unit_of_rate
    growth, annuity, scale = 1, 0, 1
    for weight in parts:
        factor = year + rate_ppm * weight // unit_of_rate
        annuity = annuity * factor + scale
        growth *= factor
        scale *= year
    # Of n periods: scale = year^n, growth = prod * year^n, annuity = fn * year^(n-1).
    due = max(principal * growth - balloon * scale, 0)
    return unit * mul_div(due, 1, annuity * year * unit, Rounding.HALF_EVEN)


def _common_divisor(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a


def _step(anchor_day: int, terms: Terms, periods: int) -> int:
    count = periods * terms.every
    if terms.period_unit is PeriodUnit.MONTHS:
        return add_months(anchor_day, count)
    return anchor_day + count * (7 if terms.period_unit is PeriodUnit.WEEKS else 1)


def _check(terms: Terms) -> None:
    last_free = terms.rows - 1
    bounds = (
        ("schedule.rows", 1, terms.rows, ROWS_MAX),
        ("schedule.every", 1, terms.every, EVERY_MAX),
        ("schedule.principal", terms.rows, terms.principal, (1 << 63) - 1),
        ("schedule.rate_ppm", 0, terms.rate_ppm, 10 * RATE_UNIT),
        ("schedule.instalment_unit", 1, terms.instalment_unit, terms.principal),
        ("schedule.grace_principal", 0, terms.grace_principal, last_free),
        ("schedule.grace_interest", 0, terms.grace_interest, last_free),
        ("schedule.interest_free", 0, terms.interest_free, terms.rows),
        ("schedule.balloon", 0, terms.balloon, terms.principal),
    )
    for rule, least, actual, most in bounds:
        if not least <= actual <= most:
            raise CallFailed(Code.LIMIT, Reason(rule, most if actual > most else least, actual))
    if terms.first_due_day is not None and terms.first_due_day <= terms.start_day:
        raise CallFailed(
            Code.LIMIT, Reason("schedule.first_due_day", terms.start_day + 1, terms.first_due_day)
        )
    if terms.method is Method.CUSTOM and (
        len(terms.custom) != terms.rows or sum(terms.custom) != terms.principal or min(terms.custom) < 0
    ):
        raise CallFailed(Code.LIMIT, Reason("schedule.custom", terms.principal, sum(terms.custom)))


def _list_parts(terms: Terms, days: list[int]) -> list[int]:
    """List how many parts of a year bear interest in each row."""
    parts: list[int] = []
    before = terms.start_day
    for n, day in enumerate(days):
        parts.append(0 if n < terms.interest_free else count_parts(before, day, terms.day_count))
        before = day
    return parts


def _list_interests(terms: Terms, parts: list[int], principals: list[int]) -> list[int]:
    if terms.method is Method.FLAT:
        total = compute_interest(terms.principal, terms.rate_ppm, sum(parts))
        bearing = terms.rows - terms.interest_free
        each = total // bearing if bearing else 0
        interests = [0] * terms.interest_free + [each] * bearing
        interests[-1] += total - each * bearing
    else:
        interests = []
        outstanding = terms.principal
        for weight, principal in zip(parts, principals, strict=True):
            interests.append(compute_interest(outstanding, terms.rate_ppm, weight))
            outstanding -= principal
    held = terms.rows - 1 if terms.method is Method.BULLET else terms.grace_interest
    interests[held] += sum(interests[:held])
    interests[:held] = [0] * held
    return interests


def _spread(terms: Terms, parts: list[int]) -> list[int]:
    """Return the principal of every row."""
    rows, grace = terms.rows, terms.grace_principal
    match terms.method:
        case Method.CUSTOM:
            return list(terms.custom)
        case Method.BULLET:
            return [0] * (rows - 1) + [terms.principal]
        case Method.FLAT | Method.EQUAL_PRINCIPAL:
            return [0] * grace + _equal_parts(terms, rows - grace)
        case Method.EQUAL_INSTALMENT | Method.INTEREST_THEN_EQUAL | Method.BALLOON:
            return [0] * grace + _annuity_parts(terms, parts[grace:])


def _equal_parts(terms: Terms, rows: int) -> list[int]:
    for unit in (terms.instalment_unit, 1):
        each = unit * mul_div(terms.principal, 1, rows * unit, Rounding.HALF_EVEN)
        last = terms.principal - each * (rows - 1)
        if 0 <= last <= 2 * each:
            return [each] * (rows - 1) + [last]
    each, rest = divmod(terms.principal, rows)  # a few units a row: one more in the first rows
    return [each + 1] * rest + [each] * (rows - rest)


def _annuity_parts(terms: Terms, parts: list[int]) -> list[int]:
    balloon = terms.balloon if terms.method is Method.BALLOON else 0
    for unit in (terms.instalment_unit, 1):
        level = compute_level_instalment(terms.principal, terms.rate_ppm, parts, unit, balloon)
        principals, last = _repay_level(terms, parts, level)
        if terms.is_smooth:
            level, principals, last = _smooth(terms, parts, unit, level, balloon)
        if last <= 2 * level + balloon and (principals[-1] or unit == 1):
            return principals
    raise CallFailed(Code.LIMIT, Reason("schedule.last_instalment", 2 * level + balloon, last))


def _repay_level(terms: Terms, parts: list[int], level: int) -> tuple[list[int], int]:
    """Return the principal of every row of a level instalment, and what the last row pays."""
    principals: list[int] = []
    outstanding = terms.principal
    for weight in parts[:-1]:
        interest = compute_interest(outstanding, terms.rate_ppm, weight)
        principals.append(min(max(level - interest, 0), outstanding))
        outstanding -= principals[-1]
    last = outstanding + compute_interest(outstanding, terms.rate_ppm, parts[-1])
    return [*principals, outstanding], last


def _smooth(
    terms: Terms, parts: list[int], unit: int, level: int, balloon: int
) -> tuple[int, list[int], int]:
    """Spread what the last instalment differs by over all of them, as long as the last two come closer.

    *Source*: Apache Fineract, `ProgressiveEMICalculator.checkAndAdjustEmiModelIfNeeded...`, `EmiAdjustment`.
    """
    principals, last = _repay_level(terms, parts, level)
    for _ in range(SMOOTHINGS_MAX):
        apart = last - balloon - level
        if abs(apart) <= len(parts) // 2:
            break
        step = unit * mul_div(abs(apart), 1, len(parts) * unit, Rounding.HALF_EVEN)
        tried = level + step if apart > 0 else max(level - step, 0)
        new, new_last = _repay_level(terms, parts, tried)
        if abs(new_last - balloon - tried) >= abs(apart):
            break
        level, principals, last = tried, new, new_last
    return level, principals, last
