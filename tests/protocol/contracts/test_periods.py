"""Calendar periods: clamped months from the anchor, weeks, days; an index and its first day agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.contracts.periods import DAY_MAX, DAYS, MONTHS, ONCE, WEEKS, Period
from protocol.money import date_from_days, days_from_date
from protocol.params import PERIOD_EVERY_MAX


def test_months_are_clamped_from_the_anchor() -> None:
    period = Period(MONTHS, 1, days_from_date(2024, 1, 31))
    dates = [date_from_days(period.first_day(n)) for n in range(4)]
    assert dates == [(2024, 1, 31), (2024, 2, 29), (2024, 3, 31), (2024, 4, 30)]
    assert period.index_of(days_from_date(2024, 2, 28)) == 0
    assert period.index_of(days_from_date(2024, 2, 29)) == 1
    assert period.index_of(days_from_date(2024, 3, 30)) == 1


@pytest.mark.parametrize(
    "unit, day, index", [(ONCE, 99, -1), (ONCE, 100, 0), (ONCE, 10_000, 0), (DAYS, 99, -1), (DAYS, 103, 1)]
)
def test_before_and_after_the_anchor(unit: int, day: int, index: int) -> None:
    assert Period(unit, 2, 100).index_of(day) == index


def test_a_period_that_never_ends_has_no_second() -> None:
    assert Period(ONCE, 1, 100).first_day(1) == DAY_MAX


@given(
    st.sampled_from([DAYS, WEEKS, MONTHS]),
    st.integers(1, PERIOD_EVERY_MAX),
    st.integers(0, 60_000),
    st.integers(0, 30_000),
)
def test_a_day_lies_between_the_first_days_of_its_period_and_the_next(
    unit: int, every: int, anchor: int, later: int
) -> None:
    period, day = Period(unit, every, anchor), anchor + later
    index = period.index_of(day)
    assert period.first_day(index) <= day < period.first_day(index + 1)
