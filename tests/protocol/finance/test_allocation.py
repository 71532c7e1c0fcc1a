"""Allocation: nothing is lost, order is order, and two payments on a day are one."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CallFailed, Code
from protocol.finance.allocation import (
    DEFAULT_ORDER,
    Allocation,
    Bucket,
    FutureRule,
    Kind,
    Owed,
    Timing,
    allocate,
    check_order,
    find_timing,
)

TODAY = 100
ROWS = (
    Owed(40, (5, 10, 20, 100), 100),
    Owed(70, (3, 0, 15, 100), 100),
    Owed(TODAY, (0, 10, 10, 100), 100),
    Owed(130, (0, 10, 8, 100), 100),
    Owed(160, (0, 10, 4, 200), 200),
)
PAST_DUE = 253
"""Sum of the first two rows."""
DUE = 120

INTEREST_LAST = tuple(
    Bucket(timing * 4 + kind)
    for timing in Timing
    for kind in (Kind.PRINCIPAL, Kind.FEE, Kind.PENALTY, Kind.INTEREST)
)


def pay(
    amount: int, rule: FutureRule = FutureRule.NEXT, order: tuple[Bucket, ...] = DEFAULT_ORDER
) -> Allocation:
    return allocate(ROWS, amount, TODAY, order, rule)


@pytest.mark.parametrize(
    ("amount", "paid"),
    [
        (0, {}),
        (6, {0: (5, 0, 0, 0), 1: (1, 0, 0, 0)}),
        (19, {0: (5, 10, 0, 0), 1: (3, 0, 0, 0), "rest": 1}),
        (8 + 10 + 35 + 130, {0: (5, 10, 20, 100), 1: (3, 0, 15, 30)}),
    ],
)
def test_a_bucket_is_filled_in_all_rows_before_the_next(amount: int, paid: dict[object, object]) -> None:
    got = pay(amount)
    if paid.pop("rest", 0):
        assert got.paid[0] == (5, 10, 1, 0)
        return
    assert got.rest == 0
    assert got.paid == tuple(paid.get(at, (0, 0, 0, 0)) for at in range(len(ROWS)))


def test_what_is_past_due_comes_before_what_is_due_and_both_before_what_is_not() -> None:
    assert pay(PAST_DUE).paid == (ROWS[0].amounts, ROWS[1].amounts, *[(0, 0, 0, 0)] * 3)
    assert pay(PAST_DUE + DUE).paid[:3] == tuple(row.amounts for row in ROWS[:3])
    assert pay(PAST_DUE + DUE).paid[3:] == ((0, 0, 0, 0),) * 2


def test_an_order_of_a_product_is_obeyed() -> None:
    got = pay(210, order=INTEREST_LAST)
    assert got.paid[:2] == ((0, 10, 0, 100), (0, 0, 0, 100))


@pytest.mark.parametrize(
    ("rule", "fourth", "fifth"),
    [
        # 120 more than what is due; interest and fees of the future rows are 32.
        (FutureRule.NEXT, (0, 10, 8, 100), (0, 2, 0, 0)),
        (FutureRule.REDUCE_TERM, (0, 10, 8, 0), (0, 10, 4, 88)),
        # 88 of 300 in equal parts of 100 and 200: 29 1/3 and 58 2/3; the later row gives the unit.
        (FutureRule.REDUCE_INSTALMENT, (0, 10, 8, 29), (0, 10, 4, 59)),
    ],
)
def test_money_in_advance_goes_by_the_rule(
    rule: FutureRule, fourth: tuple[int, ...], fifth: tuple[int, ...]
) -> None:
    assert pay(PAST_DUE + DUE + 120, rule).paid[3:] == (fourth, fifth)


def test_in_advance_the_order_stands_for_the_reducing_rules_too() -> None:
    got = pay(PAST_DUE + DUE + 30, FutureRule.REDUCE_INSTALMENT, INTEREST_LAST)
    assert got.paid[3:] == ((0, 0, 0, 10), (0, 0, 0, 20))


@pytest.mark.parametrize("rule", FutureRule)
def test_what_nothing_is_owed_for_is_left(rule: FutureRule) -> None:
    owed = sum(sum(row.amounts) for row in ROWS)
    for amount in (owed, owed + 1, owed + 1_000):
        got = pay(amount, rule)
        assert got.paid == tuple(row.amounts for row in ROWS) and got.rest == amount - owed
    assert allocate((), 7, TODAY, DEFAULT_ORDER, rule) == Allocation((), 7)


def test_totals_are_by_kind() -> None:
    got = pay(19)
    assert [got.total(kind) for kind in Kind] == [8, 10, 1, 0]


@pytest.mark.parametrize("due_day", [TODAY - 1, TODAY, TODAY + 1])
def test_a_row_is_due_on_its_day(due_day: int) -> None:
    assert (
        find_timing(due_day, TODAY)
        == {-1: Timing.PAST_DUE, 0: Timing.DUE, 1: Timing.IN_ADVANCE}[due_day - TODAY]
    )


def test_an_order_names_every_bucket_once_and_what_is_early_last() -> None:
    assert check_order([int(bucket) for bucket in DEFAULT_ORDER]) == DEFAULT_ORDER
    assert check_order(INTEREST_LAST) == INTEREST_LAST
    swapped = (*DEFAULT_ORDER[:7], DEFAULT_ORDER[8], DEFAULT_ORDER[7], *DEFAULT_ORDER[9:])
    for wrong in (DEFAULT_ORDER[:11], (*DEFAULT_ORDER[:11], 0), (*DEFAULT_ORDER[:11], 12), swapped, ()):
        with pytest.raises(CallFailed) as caught:
            check_order(wrong)
        assert caught.value.code == Code.MALFORMED


@st.composite
def owed_rows(draw: st.DrawFn, most: int = 10**12) -> tuple[Owed, ...]:
    days = sorted(draw(st.lists(st.integers(TODAY - 3, TODAY + 9), max_size=9)))
    amount = st.integers(0, most)
    rows = []
    for day in days:
        scheduled = draw(amount)
        principal = draw(st.integers(0, scheduled))
        rows.append(Owed(day, (draw(amount), draw(amount), draw(amount), principal), scheduled))
    return tuple(rows)


orders = st.tuples(st.permutations(DEFAULT_ORDER[:8]), st.permutations(DEFAULT_ORDER[8:])).map(
    lambda halves: (*halves[0], *halves[1])
)


def after(rows: tuple[Owed, ...], got: Allocation) -> tuple[Owed, ...]:
    left = []
    for row, paid in zip(rows, got.paid, strict=True):
        penalty, fee, interest, principal = (a - b for a, b in zip(row.amounts, paid, strict=True))
        left.append(replace(row, amounts=(penalty, fee, interest, principal)))
    return tuple(left)


@given(owed_rows(), st.integers(0, 4 * 10**13), orders, st.sampled_from(FutureRule))
def test_nothing_is_lost_and_no_row_gets_too_much(
    rows: tuple[Owed, ...], amount: int, order: tuple[Bucket, ...], rule: FutureRule
) -> None:
    got = allocate(rows, amount, TODAY, order, rule)
    assert sum(sum(paid) for paid in got.paid) + got.rest == amount
    owed = 0
    for row, paid in zip(rows, got.paid, strict=True):
        assert all(0 <= part <= most for part, most in zip(paid, row.amounts, strict=True))
        owed += sum(row.amounts)
    assert got.rest == max(amount - owed, 0)


@given(owed_rows(), st.integers(0, 10**13), st.integers(0, 10**13), orders, st.sampled_from(FutureRule))
def test_two_payments_on_a_day_are_one(
    rows: tuple[Owed, ...], one: int, other: int, order: tuple[Bucket, ...], rule: FutureRule
) -> None:
    once = allocate(rows, one + other, TODAY, order, rule)
    first = allocate(rows, one, TODAY, order, rule)
    second = allocate(after(rows, first), other, TODAY, order, rule)
    assert after(after(rows, first), second) == after(rows, once)
    assert first.rest + second.rest == once.rest


@given(owed_rows(60), st.integers(0, 900))
def test_equal_parts_are_those_of_unit_after_unit(rows: tuple[Owed, ...], amount: int) -> None:
    """Against the plain rule: a unit at a time, where the largest part of what was scheduled is unpaid."""
    rows = tuple(
        replace(row, due_day=TODAY + 1 + at, amounts=(0, 0, 0, row.amounts[3])) for at, row in enumerate(rows)
    )
    left = [row.amounts[3] for row in rows]
    for _ in range(min(amount, sum(left))):
        best = max(
            (at for at in range(len(rows)) if left[at]),
            key=lambda at: (Fraction(2 * left[at] - 1, rows[at].scheduled), at),
        )
        left[best] -= 1
    got = allocate(rows, amount, TODAY, DEFAULT_ORDER, FutureRule.REDUCE_INSTALMENT)
    assert [row.amounts[3] - paid[3] for row, paid in zip(rows, got.paid, strict=True)] == left


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=60), st.data())
def test_every_instalment_falls_by_its_part(principals: list[int], data: st.DataObject) -> None:
    rows = tuple(Owed(TODAY + 1 + at, (0, 0, 0, p), p) for at, p in enumerate(principals))
    whole = sum(principals)
    amount = data.draw(st.integers(0, whole))
    got = allocate(rows, amount, TODAY, DEFAULT_ORDER, FutureRule.REDUCE_INSTALMENT)
    for principal, paid in zip(principals, got.paid, strict=True):
        assert abs(paid[3] * whole - principal * amount) <= whole * max(len(principals) // 2, 1)
