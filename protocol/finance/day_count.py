"""How much of a year lies between two days, exactly.

A year has `YEAR_PARTS` parts, the least number that 360, 364, 365 and 366 all divide; so every day count is
an integer, interest is an integer accumulator (amount * rate in ppm * parts), and nothing is rounded before
it is posted.

Two functions, because two questions differ: `count_parts` is what a contract says of a whole period;
`position` is a point on a line, so that interest added up day by day over any stretches is the same.
They agree for every convention but the two edges of 30/360 US that look at both ends at once (a period that
ends on a 31st and did not begin on a 30th or 31st, and one that begins on the last day of February).

*Source*: contracts.md D4, 5.10; ISDA 2006 Definitions 4.16 (b), (d) to (g); SIFMA Standard Securities
Calculation Methods for the February rule of 30/360 US.
"""

from enum import IntEnum
from typing import Final, assert_never

from protocol.money import date_from_days, days_from_date, days_in_month, is_leap

YEAR_PARTS: Final = 145_880_280
"""Parts of a year: the least common multiple of 360, 364, 365 and 366."""

RATE_UNIT: Final = 1_000_000
"""A rate is in parts per million a year."""

ACCRUAL_UNIT: Final = RATE_UNIT * YEAR_PARTS
"""Sum of balance * rate * parts that makes one minor unit of interest."""


class DayCount(IntEnum):
    """Name a convention."""

    THIRTY_360 = 1
    THIRTY_E_360 = 2
    ACT_360 = 3
    ACT_365F = 4
    ACT_364 = 5
    ACT_ACT = 6


def count_parts(first_day: int, end_day: int, convention: DayCount) -> int:
    """Count the parts of a year in a period, `end_day` not included.

    Args:
        first_day, end_day: days since 1970-01-01, in this order.
    """
    assert first_day <= end_day
    if convention is not DayCount.THIRTY_360:
        return position(end_day, convention) - position(first_day, convention)
    year, month, day = date_from_days(first_day)
    end_year, end_month, end = date_from_days(end_day)
    if _is_end_of_february(year, month, day):
        if _is_end_of_february(end_year, end_month, end):
            end = 30
        day = 30
    if end == 31 and day >= 30:
        end = 30
    day = min(day, 30)
    days = 360 * (end_year - year) + 30 * (end_month - month) + end - day
    return days * (YEAR_PARTS // 360)


def position(day: int, convention: DayCount) -> int:
    """Return where a day lies on the line of a convention, in parts since 1970-01-01; differences add up."""
    match convention:
        case DayCount.THIRTY_360 | DayCount.THIRTY_E_360:
            year, month, of_month = date_from_days(day)
            return (360 * (year - 1970) + 30 * (month - 1) + min(of_month, 30) - 1) * (YEAR_PARTS // 360)
        case DayCount.ACT_360:
            return day * (YEAR_PARTS // 360)
        case DayCount.ACT_365F:
            return day * (YEAR_PARTS // 365)
        case DayCount.ACT_364:
            return day * (YEAR_PARTS // 364)
        case DayCount.ACT_ACT:
            year = date_from_days(day)[0]
            of_year = day - days_from_date(year, 1, 1)
            return (year - 1970) * YEAR_PARTS + of_year * (YEAR_PARTS // (366 if is_leap(year) else 365))
        case _:
            assert_never(convention)


def _is_end_of_february(year: int, month: int, day: int) -> bool:
    return month == 2 and day == days_in_month(year, month)
