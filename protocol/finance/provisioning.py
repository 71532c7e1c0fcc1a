"""How bad a loan is by its days past due, and how much of it the books must write down already.

Every loan is of the class its oldest unpaid day puts it in, and every class sets a part of the principal
aside; nobody can put that off. A young portfolio of arrears would pass such a table with little, so there is
a floor under the sum: all that is a year late, and 35 % of what is a month to a year late.

It knows amounts and days; no loan, no ledger.

*Source*: contracts.md D11, 5.10; the floor is that of PEARLS P1 and P2 (World Council of Credit Unions,
"PEARLS Monitoring System", Protection).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Final

from protocol.errors import CallFailed, Code, Reason
from protocol.money import Rounding, mul_div

WHOLE_BP: Final = 10_000
CLASSES_MAX: Final = 8
"""Most classes of a table."""

FLOOR_BP: Final = 3_500
"""PEARLS P2: least allowance for what is `FLOOR_FROM_DAYS` .. `FLOOR_TO_DAYS` past due, basis points."""
FLOOR_FROM_DAYS: Final = 31
FLOOR_TO_DAYS: Final = 365


class LoanClass(IntEnum):
    """Name the classes of `DEFAULT_TABLE`; also their place in it."""

    STANDARD = 0
    WATCH = 1
    SUBSTANDARD = 2
    DOUBTFUL = 3
    POOR = 4
    LOSS = 5


@dataclass(frozen=True, slots=True)
class Band:
    """Set what a class begins with and how much of it is set aside.

    Args:
        from_days: past due, of the mildest loan of the class.
        allowance_bp: of the principal that is out, basis points.
    """

    from_days: int
    allowance_bp: int


DEFAULT_TABLE: Final = (
    Band(0, 100),
    Band(31, 500),
    Band(61, 2_500),
    Band(91, 5_000),
    Band(181, 7_500),
    Band(366, 10_000),
)


def check_table(table: Sequence[Band]) -> None:
    """Check the classes of a product.

    Raises:
        CallFailed: LIMIT when they are none or more than `CLASSES_MAX`, do not begin at 0 days, do not rise
            in days, or fall in allowance or go beyond all of it.
    """
    if not 1 <= len(table) <= CLASSES_MAX:
        raise CallFailed(Code.LIMIT, Reason("provisioning.classes", CLASSES_MAX, len(table)))
    if table[0].from_days != 0:
        raise CallFailed(Code.LIMIT, Reason("provisioning.first_class", 0, table[0].from_days))
    for milder, worse in pairwise(table):
        if worse.from_days <= milder.from_days:
            reason = Reason("provisioning.from_days", milder.from_days + 1, worse.from_days)
            raise CallFailed(Code.LIMIT, reason)
        if worse.allowance_bp < milder.allowance_bp:
            reason = Reason("provisioning.allowance_bp", milder.allowance_bp, worse.allowance_bp)
            raise CallFailed(Code.LIMIT, reason)
    if not 0 <= table[0].allowance_bp <= table[-1].allowance_bp <= WHOLE_BP:
        raise CallFailed(Code.LIMIT, Reason("provisioning.allowance_bp", WHOLE_BP, table[-1].allowance_bp))


def count_days_past_due(oldest_unpaid_day: int | None, today: int, grace_days: int = 0) -> int:
    """Count the days since the oldest unpaid due day; 0 when nothing is unpaid or within the grace."""
    if oldest_unpaid_day is None or today <= oldest_unpaid_day + grace_days:
        return 0
    return today - oldest_unpaid_day


def classify(days_past_due: int, table: Sequence[Band] = DEFAULT_TABLE) -> int:
    """Return the place of a loan's class in a table."""
    return max([at for at, band in enumerate(table) if band.from_days <= days_past_due])


def compute_allowance(principal: int, allowance_bp: int) -> int:
    """Compute what is set aside for one loan, half-even to a minor unit."""
    return mul_div(principal, allowance_bp, WHOLE_BP, Rounding.HALF_EVEN)


def compute_floor(
    totals: Sequence[int], table: Sequence[Band] = DEFAULT_TABLE, floor_bp: int = FLOOR_BP
) -> int:
    """Compute the least allowance for all loans of a table together, rounded up to a minor unit.

    Rules: 1. a class belongs to the days with which it begins.

    Args:
        totals: principal that is out, of each class.
    """
    months, year = 0, 0
    for band, total in zip(table, totals, strict=True):
        if FLOOR_FROM_DAYS <= band.from_days <= FLOOR_TO_DAYS:
            months += total
        elif band.from_days > FLOOR_TO_DAYS:
            year += total
    return year + mul_div(months, floor_bp, WHOLE_BP, Rounding.CEIL)


def compute_top_up(
    totals: Sequence[int], allowances: int, table: Sequence[Band] = DEFAULT_TABLE, floor_bp: int = FLOOR_BP
) -> int:
    """Compute what must be set aside beyond the sum of what each loan asks, so that the floor holds."""
    return max(compute_floor(totals, table, floor_bp) - allowances, 0)
