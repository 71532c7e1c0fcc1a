"""Calendar periods: every n days, weeks or months from an anchor day, for grants and jobs.

A month's day is clamped to the month's end, always from the anchor: 31 Jan, 29 Feb, 31 Mar. This file knows
no clock; a day is a number of the co-op's calendar.

*Source*: contracts.md 3.3, 3.6, 3.11.
"""

from dataclasses import dataclass
from typing import Final

from protocol.money import add_months, date_from_days
from protocol.params import PERIOD_EVERY_MAX
from protocol.vm.kinds import U32, Field, Fields, Integer

ONCE: Final = 0
DAYS: Final = 1
WEEKS: Final = 2
MONTHS: Final = 3

PERIOD: Final = Fields(
    (
        Field("unit", Integer("unit", ONCE, MONTHS), "0 once, 1 days, 2 weeks, 3 months"),
        Field("every", Integer("every", 1, PERIOD_EVERY_MAX)),
        Field("anchor_day", U32, "first day of the first period, days since 1970-01-01"),
    )
)
DAY_MAX: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Period:
    """A row of periods.

    Args:
        unit: ONCE (one period that never ends), DAYS, WEEKS or MONTHS.
        every: how many units a period has.
        anchor_day: first day of period 0.
    """

    unit: int
    every: int
    anchor_day: int

    def first_day(self, index: int) -> int:
        """Compute the first day of a period."""
        match self.unit:
            case 0:
                return self.anchor_day if index == 0 else DAY_MAX
            case 1:
                return self.anchor_day + index * self.every
            case 2:
                return self.anchor_day + index * self.every * 7
            case 3:
                return add_months(self.anchor_day, index * self.every)
            case _:
                raise AssertionError(f"no unit {self.unit}")

    def index_of(self, day: int) -> int:
        """Compute the period in which a day lies; negative before the anchor."""
        if self.unit == ONCE or day < self.anchor_day:
            return 0 if day >= self.anchor_day else -1
        if self.unit != MONTHS:
            return (day - self.anchor_day) // (self.every * (7 if self.unit == WEEKS else 1))
        (year, month, _), (first_year, first_month, _) = date_from_days(day), date_from_days(self.anchor_day)
        months = (year - first_year) * 12 + month - first_month
        if add_months(self.anchor_day, months) > day:
            months -= 1
        return months // self.every
