"""Classes and allowances: the table at its edges, and the floor beneath it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CallFailed, Code
from protocol.finance.provisioning import (
    CLASSES_MAX,
    DEFAULT_TABLE,
    Band,
    LoanClass,
    check_table,
    classify,
    compute_allowance,
    compute_floor,
    compute_top_up,
    count_days_past_due,
)


@pytest.mark.parametrize(
    ("days", "found", "allowance_bp"),
    [
        (0, LoanClass.STANDARD, 100),
        (30, LoanClass.STANDARD, 100),
        (31, LoanClass.WATCH, 500),
        (60, LoanClass.WATCH, 500),
        (61, LoanClass.SUBSTANDARD, 2_500),
        (90, LoanClass.SUBSTANDARD, 2_500),
        (91, LoanClass.DOUBTFUL, 5_000),
        (180, LoanClass.DOUBTFUL, 5_000),
        (181, LoanClass.POOR, 7_500),
        (365, LoanClass.POOR, 7_500),
        (366, LoanClass.LOSS, 10_000),
        (9_999, LoanClass.LOSS, 10_000),
    ],
)
def test_a_class_begins_with_its_day(days: int, found: LoanClass, allowance_bp: int) -> None:
    assert classify(days) == found
    assert DEFAULT_TABLE[found].allowance_bp == allowance_bp


@pytest.mark.parametrize(
    ("oldest", "today", "grace", "days"),
    [(None, 90, 0, 0), (90, 90, 0, 0), (90, 91, 0, 1), (90, 95, 5, 0), (90, 96, 5, 6)],
)
def test_days_count_from_the_oldest_unpaid_day(oldest: int | None, today: int, grace: int, days: int) -> None:
    assert count_days_past_due(oldest, today, grace) == days


def test_an_allowance_is_rounded_half_even() -> None:
    assert [compute_allowance(principal, 100) for principal in (50, 150, 250, 251)] == [0, 2, 2, 3]


def test_a_young_portfolio_of_arrears_is_held_by_the_floor() -> None:
    totals = (1_000_000, 100_000, 0, 0, 0, 0)
    by_table = 10_000 + 5_000
    assert compute_floor(totals) == 35_000
    assert compute_top_up(totals, by_table) == 20_000
    assert compute_top_up(totals, 35_000) == 0 == compute_top_up(totals, 40_000)


def test_what_is_a_year_late_counts_whole() -> None:
    assert compute_floor((0, 0, 0, 0, 1, 500)) == 501
    assert compute_floor((7, 0, 0, 0, 0, 0)) == 0


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ((), "provisioning.classes"),
        (tuple(Band(n, 0) for n in range(CLASSES_MAX + 1)), "provisioning.classes"),
        ((Band(1, 0),), "provisioning.first_class"),
        ((Band(0, 0), Band(0, 0)), "provisioning.from_days"),
        ((Band(0, 100), Band(31, 99)), "provisioning.allowance_bp"),
        ((Band(0, 100), Band(31, 10_001)), "provisioning.allowance_bp"),
        ((Band(0, -1),), "provisioning.allowance_bp"),
    ],
)
def test_a_table_that_is_none_is_refused(table: tuple[Band, ...], rule: str) -> None:
    with pytest.raises(CallFailed) as caught:
        check_table(table)
    assert caught.value.code == Code.LIMIT
    assert caught.value.reason is not None and caught.value.reason.rule == rule


def test_tables_within_the_limits_are_taken() -> None:
    check_table(DEFAULT_TABLE)
    check_table(tuple(Band(n, 10_000) for n in range(CLASSES_MAX)))


@given(st.lists(st.integers(0, 10**15), min_size=6, max_size=6))
def test_with_the_top_up_the_ratio_holds(totals: list[int]) -> None:
    held = sum(compute_allowance(t, band.allowance_bp) for t, band in zip(totals, DEFAULT_TABLE, strict=True))
    held += compute_top_up(totals, held)
    assert (held - totals[5]) * 10_000 >= 3_500 * sum(totals[1:5])
