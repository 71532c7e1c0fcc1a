"""Integer money: roundings against exact fractions, fair splits, and dates against the standard calendar."""

import datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CallFailed, Code
from protocol.money import (
    SPLIT_ITEMS_MAX,
    Rounding,
    add_months,
    check_amount,
    compute_day,
    date_from_days,
    days_from_date,
    days_in_month,
    is_leap,
    is_within_ratio,
    mul_div,
    split_by_weight,
)
from protocol.params import AMOUNT_MAX

numbers = st.integers(0, 1 << 80)
EPOCH = datetime.date(1970, 1, 1).toordinal()


@pytest.mark.parametrize("value", [0, 1, AMOUNT_MAX])
def test_amounts_inside(value: int) -> None:
    assert check_amount(value) == value


@pytest.mark.parametrize("value", [-1, AMOUNT_MAX + 1, 10**5_000], ids=["negative", "above", "long"])
def test_amounts_outside(value: int) -> None:
    with pytest.raises(CallFailed) as failure:
        check_amount(value)
    assert failure.value.code == Code.OVERFLOW


@given(numbers, numbers, st.integers(1, 1 << 80))
def test_rounding_is_that_of_exact_fractions(value: int, numerator: int, denominator: int) -> None:
    exact = Fraction(value * numerator, denominator)
    assert mul_div(value, numerator, denominator, Rounding.FLOOR) == exact.__floor__()
    assert mul_div(value, numerator, denominator, Rounding.CEIL) == exact.__ceil__()
    assert mul_div(value, numerator, denominator, Rounding.HALF_EVEN) == round(exact)


@pytest.mark.parametrize("value, expected", [(1, 0), (3, 2), (5, 2), (7, 4), (2, 1)])
def test_half_goes_to_even(value: int, expected: int) -> None:
    assert mul_div(value, 1, 2, Rounding.HALF_EVEN) == expected


@given(st.integers(0, AMOUNT_MAX), st.lists(st.integers(0, 1_000), min_size=1, max_size=50).filter(any))
def test_split_sums_to_the_total_and_is_fair(total: int, weights: list[int]) -> None:
    parts = split_by_weight(total, tuple(weights))
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1


def test_split_examples() -> None:
    assert split_by_weight(15, (80, 8, 12)) == (12, 1, 2)
    assert split_by_weight(2, (1, 1, 1)) == (1, 1, 0)  # ties by order
    assert split_by_weight(0, (1, 2)) == (0, 0)


def test_split_limits() -> None:
    assert sum(split_by_weight(7, (1,) * SPLIT_ITEMS_MAX)) == 7
    with pytest.raises(CallFailed) as failure:
        split_by_weight(7, (1,) * (SPLIT_ITEMS_MAX + 1))
    assert failure.value.code == Code.LIMIT
    with pytest.raises(CallFailed) as failure:
        split_by_weight(7, (0, 0))
    assert failure.value.code == Code.MALFORMED


def test_ratio_is_never_rounded() -> None:
    assert is_within_ratio(1, 3, 1, 3)
    assert not is_within_ratio(10**30 + 1, 3 * 10**30, 1, 3)


@given(st.dates())
def test_dates_are_those_of_the_calendar(date: datetime.date) -> None:
    days = date.toordinal() - EPOCH
    assert days_from_date(date.year, date.month, date.day) == days
    assert date_from_days(days) == (date.year, date.month, date.day)


def test_months() -> None:
    assert [is_leap(y) for y in (1900, 2000, 2023, 2024)] == [False, True, False, True]
    assert sum(days_in_month(2024, m) for m in range(1, 13)) == 366
    anchor = days_from_date(2024, 1, 31)
    shown = [date_from_days(add_months(anchor, n)) for n in (0, 1, 2, 3, 13, -2)]
    assert shown == [
        (2024, 1, 31),
        (2024, 2, 29),
        (2024, 3, 31),
        (2024, 4, 30),
        (2025, 2, 28),
        (2023, 11, 30),
    ]


def test_day_changes_at_local_midnight() -> None:
    midnight = 20_454 * 86_400
    assert compute_day(midnight - 1, 0) == 20_453 and compute_day(midnight, 0) == 20_454
    assert compute_day(midnight - 3_600, 3_600) == 20_454
