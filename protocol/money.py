"""Integer money: products and quotients with a named rounding, fair splits, and dates without a clock.

Amounts are integers of minor units, 0 .. 2^63-1; what lies between two amounts is an unbounded integer. There
is no float and no decimal. This file does not know assets, accounts or interest products.

*Source*: contracts.md 3.3, 3.4; the date algorithms are Howard Hinnant's `days_from_civil` and
`civil_from_days` ("chrono-Compatible Low-Level Date Algorithms"), proleptic Gregorian.
"""

from enum import Enum
from typing import Final, assert_never

from protocol.errors import CallFailed, Code, Reason
from protocol.params import AMOUNT_MAX
from protocol.types import Amount

SECONDS_PER_DAY: Final = 86_400
SPLIT_ITEMS_MAX: Final = 1_000


class Rounding(Enum):
    """Name what happens to the rest of a division."""

    FLOOR = "floor"
    CEIL = "ceil"
    HALF_EVEN = "half-even"


def check_amount(value: int) -> Amount:
    """Return the value as an amount.

    Raises:
        CallFailed: OVERFLOW when it is not of 0 .. 2^63-1.
    """
    if not 0 <= value <= AMOUNT_MAX:
        raise CallFailed(Code.OVERFLOW, Reason("money.amount", AMOUNT_MAX, value))
    return Amount(value)


def mul_div(value: int, numerator: int, denominator: int, rounding: Rounding) -> int:
    """Compute value * numerator / denominator, exact until the one rounding at the end.

    Args:
        value: not negative; numerator not negative; denominator positive. Anything else is our own bug.
    """
    assert value >= 0 and numerator >= 0 and denominator > 0
    quotient, rest = divmod(value * numerator, denominator)
    match rounding:
        case Rounding.FLOOR:
            return quotient
        case Rounding.CEIL:
            return quotient + (rest > 0)
        case Rounding.HALF_EVEN:
            twice = rest * 2
            return quotient + (twice > denominator or (twice == denominator and quotient & 1 == 1))
        case _:
            assert_never(rounding)


def split_by_weight(total: int, weights: tuple[int, ...]) -> tuple[int, ...]:
    """Split a total over weights by largest remainder, ties to the earlier one; the parts sum to the total.

    Raises:
        CallFailed: LIMIT with more than 1,000 weights; MALFORMED when they sum to nothing.
    """
    assert total >= 0 and all(weight >= 0 for weight in weights)
    if len(weights) > SPLIT_ITEMS_MAX:
        raise CallFailed(Code.LIMIT, Reason("money.split", SPLIT_ITEMS_MAX, len(weights)))
    whole = sum(weights)
    if whole == 0:
        raise CallFailed(Code.MALFORMED, Reason("money.split_of_nothing", 1, 0))
    parts = [total * weight // whole for weight in weights]
    rests = [total * weight % whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-rests[i], i))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return tuple(parts)


def is_within_ratio(part: int, whole: int, numerator: int, denominator: int) -> bool:
    """Tell whether part / whole <= numerator / denominator, by cross-multiplication, never rounded."""
    assert whole >= 0 and denominator > 0
    return part * denominator <= numerator * whole


def compute_day(time: int, utc_offset_seconds: int) -> int:
    """Compute the co-op's calendar day, days since 1970-01-01, of a block time in seconds."""
    return (time + utc_offset_seconds) // SECONDS_PER_DAY


def compute_midnight(day: int, utc_offset_seconds: int) -> int:
    """Compute the block time in seconds at which a day of the co-op's calendar begins."""
    return day * SECONDS_PER_DAY - utc_offset_seconds


def days_from_date(year: int, month: int, day: int) -> int:
    """Compute days since 1970-01-01 of a civil date; the date must exist."""
    assert 1 <= month <= 12 and 1 <= day <= days_in_month(year, month)
    # Years begin in March, so that the leap day is the last day of a year.
    shifted = year - (month <= 2)
    era, year_of_era = divmod(shifted, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468


def date_from_days(days: int) -> tuple[int, int, int]:
    """Compute the civil date (year, month, day) of days since 1970-01-01."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + (3 if shifted_month < 10 else -9)
    return year_of_era + era * 400 + (month <= 2), month, day


def is_leap(year: int) -> bool:
    """Tell whether a year has 366 days."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in_month(year: int, month: int) -> int:
    """Return the number of days of a month."""
    return 29 if month == 2 and is_leap(year) else (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def add_months(anchor_days: int, months: int) -> int:
    """Compute the day that lies so many months after an anchor day, clamped to the month's end.

    Rules: 1. always from the anchor: 31 Jan, 29 Feb, 31 Mar, never 29 Mar.
    """
    year, month, day = date_from_days(anchor_days)
    years, month_index = divmod(month - 1 + months, 12)
    year, month = year + years, month_index + 1
    return days_from_date(year, month, min(day, days_in_month(year, month)))
