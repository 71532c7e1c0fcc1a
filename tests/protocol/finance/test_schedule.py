"""Schedules: textbook loans to the cent, exact fractions, and what must hold for every product."""

from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocol.errors import CallFailed, Code
from protocol.finance import schedule
from protocol.finance.day_count import ACCRUAL_UNIT, YEAR_PARTS, DayCount
from protocol.finance.schedule import (
    EVERY_MAX,
    ROWS_MAX,
    SMOOTHINGS_MAX,
    Method,
    PeriodUnit,
    Row,
    Terms,
    build_schedule,
    compute_level_instalment,
    compute_period_interest,
    restate_interest,
)
from protocol.money import days_from_date

START = days_from_date(2024, 1, 15)
LOANS = 100_000
LOAN = Terms(
    100_000, 120_000, 12, Method.EQUAL_INSTALMENT, DayCount.THIRTY_E_360, PeriodUnit.MONTHS, 1, START
)


# Figures of any annuity table: 1,000.00 at 12 % over 12 months pays 88.85; 200,000.00 at 6.5 % over 30 years
# 1,264.14; 10,000.00 at 7 % over 5 years 198.01.
@pytest.mark.parametrize(
    ("principal", "rate_ppm", "months", "instalment"),
    [
        (100_000, 120_000, 12, 8_885),
        (20_000_000, 65_000, 360, 126_414),
        (1_000_000, 70_000, 60, 19_801),
        (1_200, 0, 12, 100),
    ],
)
def test_a_level_instalment_is_that_of_the_tables(
    principal: int, rate_ppm: int, months: int, instalment: int
) -> None:
    parts = [YEAR_PARTS // 12] * months
    assert compute_level_instalment(principal, rate_ppm, parts, 1) == instalment


@given(
    st.integers(1, 10**12),
    st.integers(0, 1_000_000),
    st.lists(st.integers(1, YEAR_PARTS), min_size=1, max_size=24),
)
def test_a_level_instalment_is_the_exact_one_rounded_once(
    principal: int, rate_ppm: int, parts: list[int]
) -> None:
    growth, annuity = Fraction(1), Fraction(0)
    for weight in parts:
        factor = 1 + Fraction(rate_ppm * weight, ACCRUAL_UNIT)
        growth, annuity = growth * factor, annuity * factor + 1
    assert compute_level_instalment(principal, rate_ppm, parts, 1) == round(principal * growth / annuity)


def test_months_count_from_the_anchor_and_clamp() -> None:
    rows = build_schedule(replace(LOAN, rows=3, start_day=days_from_date(2024, 1, 31)))
    assert [row.due_day for row in rows] == [
        days_from_date(2024, 2, 29),
        days_from_date(2024, 3, 31),
        days_from_date(2024, 4, 30),
    ]


def test_an_irregular_first_period_bears_its_own_days() -> None:
    first = days_from_date(2024, 2, 29)
    rows = build_schedule(replace(LOAN, method=Method.EQUAL_PRINCIPAL, rows=2, first_due_day=first))
    # 30E/360: 44 days from 15 January, then 30.
    assert rows == (Row(first, 50_000, 1_467), Row(days_from_date(2024, 3, 29), 50_000, 500))


@pytest.mark.parametrize(
    ("terms", "principals", "interests"),
    [
        (replace(LOAN, rows=4, method=Method.FLAT), [25_000] * 4, [1_000] * 4),
        (replace(LOAN, rows=4, method=Method.EQUAL_PRINCIPAL), [25_000] * 4, [1_000, 750, 500, 250]),
        (replace(LOAN, rows=3, method=Method.BULLET), [0, 0, 100_000], [0, 0, 3_000]),
        (
            replace(LOAN, rows=2, method=Method.CUSTOM, custom=(90_000, 10_000)),
            [90_000, 10_000],
            [1_000, 100],
        ),
        (
            replace(LOAN, rows=4, method=Method.EQUAL_PRINCIPAL, grace_principal=2),
            [0, 0, 50_000, 50_000],
            [1_000, 1_000, 1_000, 500],
        ),
        (
            replace(LOAN, rows=4, method=Method.EQUAL_PRINCIPAL, grace_interest=2),
            [25_000] * 4,
            [0, 0, 2_250, 250],
        ),
        (
            replace(LOAN, rows=4, method=Method.EQUAL_PRINCIPAL, interest_free=2),
            [25_000] * 4,
            [0, 0, 500, 250],
        ),
        (
            replace(LOAN, rows=3, method=Method.INTEREST_THEN_EQUAL, grace_principal=1),
            [0, 49_751, 50_249],
            [1_000, 1_000, 502],
        ),
        (replace(LOAN, rows=2, method=Method.BALLOON, balloon=60_000), [19_900, 80_100], [1_000, 801]),
    ],
)
def test_each_method_spreads_as_it_says(terms: Terms, principals: list[int], interests: list[int]) -> None:
    rows = build_schedule(terms)
    assert [row.principal for row in rows] == principals
    assert [row.interest for row in rows] == interests


def test_an_instalment_is_a_multiple_of_its_unit_but_the_last() -> None:
    rows = build_schedule(replace(LOAN, instalment_unit=100))
    assert {row.principal + row.interest for row in rows[:-1]} == {8_900}
    assert rows[-1].principal + rows[-1].interest == 8_707


def test_a_unit_that_would_spoil_the_last_row_is_not_used() -> None:
    rows = build_schedule(replace(LOAN, rows=60, instalment_unit=1_500))
    totals = {row.principal + row.interest for row in rows[:-1]}
    assert totals == {2_224}


@pytest.mark.parametrize(
    ("field", "value", "limit"),
    [
        ("rows", 0, 1),
        ("rows", ROWS_MAX + 1, ROWS_MAX),
        ("every", 0, 1),
        ("every", EVERY_MAX + 1, EVERY_MAX),
        ("principal", 11, 12),
        ("rate_ppm", 10_000_001, 10_000_000),
        ("grace_principal", 12, 11),
        ("grace_interest", 12, 11),
        ("interest_free", 13, 12),
        ("balloon", 100_001, 100_000),
        ("first_due_day", START, START + 1),
        ("instalment_unit", 0, 1),
    ],
)
def test_terms_have_bounds(field: str, value: int, limit: int) -> None:
    loan = replace(LOAN, method=Method.EQUAL_PRINCIPAL)
    build_schedule(replace(loan, **{field: limit}))
    with pytest.raises(CallFailed) as caught:
        build_schedule(replace(loan, **{field: value}))
    assert caught.value.code == Code.LIMIT
    assert caught.value.reason is not None and caught.value.reason.limit == limit


@pytest.mark.parametrize("custom", [(1, 2), (100_000,), (-1, 100_001)])
def test_custom_rows_are_those_of_the_loan(custom: tuple[int, ...]) -> None:
    with pytest.raises(CallFailed):
        build_schedule(replace(LOAN, rows=2, method=Method.CUSTOM, custom=custom))


# Apache Fineract, fineract-e2e-tests-runner, LoanInterestRateChange.feature (C3217, before the
# rate changes): 100.00 at 7 %, 30/360, six months.
def test_a_published_schedule_is_met_row_by_row() -> None:
    start = days_from_date(2024, 1, 1)
    rows = build_schedule(
        replace(LOAN, principal=10_000, rate_ppm=70_000, rows=6, start_day=start, is_smooth=True)
    )
    assert [row.principal for row in rows] == [1_643, 1_652, 1_662, 1_672, 1_681, 1_690]
    assert [row.interest for row in rows] == [58, 49, 39, 29, 20, 10]


def test_what_the_last_instalment_differs_by_is_spread() -> None:
    """Interest of a first period of four years is more than an instalment: the others are set too high, and
    the loan would end before its rows do."""
    uneven = replace(LOAN, rows=6, rate_ppm=360_000, first_due_day=START + 1_500)
    plain, smooth = build_schedule(uneven), build_schedule(replace(uneven, is_smooth=True))
    assert [row.principal for row in plain[-2:]] == [0, 0]
    totals = [row.principal + row.interest for row in smooth[1:]]
    assert len(set(totals[:-1])) == 1 and totals[0] * 8 < totals[-1] * 10 < totals[0] * 12
    assert sum(row.principal for row in smooth) == uneven.principal


ROUNDS = {  # how often a loan's instalment is corrected until its last two are close, if nothing stops that
    SMOOTHINGS_MAX: Terms(
        *(69_454_974, 264_541, 12, Method.BALLOON, DayCount.THIRTY_E_360, PeriodUnit.DAYS, 3, 23_519, 23_576),
        instalment_unit=100,
        balloon=46_225_896,
        is_smooth=True,
    ),
    SMOOTHINGS_MAX + 1: Terms(
        *(8_537_493, 307_619, 24, Method.BALLOON, DayCount.ACT_ACT, PeriodUnit.WEEKS, 3, 27_227, 27_274),
        balloon=3_787_033,
        is_smooth=True,
    ),
}


@pytest.mark.parametrize("needed", ROUNDS)
def test_an_instalment_is_corrected_so_often_and_no_more(
    needed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {SMOOTHINGS_MAX: build_schedule(ROUNDS[needed])}
    for most in (needed - 1, needed, needed + 1):
        monkeypatch.setattr(schedule, "SMOOTHINGS_MAX", most)
        again = build_schedule(ROUNDS[needed])
        assert found.setdefault(most, again) == again
    assert found[needed - 1] != found[needed] == found[needed + 1]


def draw_terms(random: Random) -> Terms:
    """A loan as a co-op might give it, of any kind; now and then one that nobody would."""
    method = random.choice([m for m in Method if m is not Method.CUSTOM])
    rows = random.choice((1, 2, 3, 6, 12, 12, 24, 36))
    principal = random.choice(
        (random.randint(rows, 10**4), random.randint(10**4, 10**8), 10 ** random.randint(5, 13))
    )
    start = random.randint(15_000, 30_000)
    return Terms(
        principal,
        random.choice((0, random.randint(1, 10**4), random.randint(10**4, 360_000))),
        rows,
        method,
        random.choice(list(DayCount)),
        random.choice(list(PeriodUnit)),
        random.randint(1, 3),
        start,
        random.choice((None, None, start + random.randint(1, 60))),
        random.choice((1, 1, 1, 10, 100)) if principal >= 100 else 1,
        random.choice((0, 0, 0, random.randint(0, rows - 1))),
        random.choice((0, 0, 0, random.randint(0, rows - 1))),
        random.choice((0, 0, 0, random.randint(0, rows))),
        random.randint(0, principal) if method is Method.BALLOON else 0,
        is_smooth=random.random() < 0.5,
    )


def check_sanity(terms: Terms, rows: tuple[Row, ...]) -> None:
    """What contracts.md 9 asks of every schedule."""
    assert sum(row.principal for row in rows) == terms.principal
    assert min(min(row.principal, row.interest) for row in rows) >= 0
    others, last = rows[terms.grace_principal : -1], rows[-1]
    if not others or terms.method in (Method.BULLET, Method.BALLOON):
        return
    assert last.principal <= 2 * max(row.principal + row.interest for row in others), terms


@pytest.mark.parametrize("seed", range(4))
def test_a_hundred_thousand_loans_of_every_kind(seed: int) -> None:
    """Too small for its rows is the only reason for which a loan has no schedule."""
    random, refused = Random(seed), 0
    for _ in range(LOANS // 4):
        terms = draw_terms(random)
        try:
            rows = build_schedule(terms)
        except CallFailed as failure:
            assert failure.reason is not None
            assert failure.reason.rule in ("schedule.last_instalment", "schedule.instalment_unit"), failure
            refused += 1
        else:
            check_sanity(terms, rows)
    assert refused < LOANS // 4 // 20


def test_a_principal_too_small_for_its_rows_is_refused() -> None:
    with pytest.raises(CallFailed) as caught:
        build_schedule(replace(LOAN, principal=30, rows=24, rate_ppm=0))
    assert caught.value.code == Code.LIMIT


@st.composite
def all_terms(draw: st.DrawFn) -> Terms:
    rows = draw(st.integers(1, 60))
    method = draw(st.sampled_from([m for m in Method if m is not Method.CUSTOM]))
    principal = draw(st.integers(rows * 100, 10**11))
    start = draw(st.integers(0, 40_000))
    return Terms(
        principal,
        draw(st.integers(0, 600_000)),
        rows,
        method,
        draw(st.sampled_from(DayCount)),
        draw(st.sampled_from(PeriodUnit)),
        draw(st.integers(1, 6)),
        start,
        draw(st.none() | st.integers(start + 1, start + 90)),
        draw(st.sampled_from([1, 1, 10, 100])),
        draw(st.integers(0, rows - 1)),
        draw(st.integers(0, rows - 1)),
        draw(st.integers(0, rows)),
        draw(st.integers(0, principal)) if method is Method.BALLOON else 0,
        is_smooth=draw(st.booleans()),
    )


@given(all_terms())
def test_every_schedule_repays_its_principal(terms: Terms) -> None:
    try:
        rows = build_schedule(terms)
    except CallFailed as failure:
        assume(failure.code != Code.LIMIT)
        raise
    assert len(rows) == terms.rows
    assert sum(row.principal for row in rows) == terms.principal
    assert all(row.principal >= 0 and row.interest >= 0 for row in rows)
    days = [terms.start_day, *(row.due_day for row in rows)]
    assert days == sorted(set(days))
    if terms.rate_ppm == 0 or terms.interest_free == terms.rows:
        assert not any(row.interest for row in rows)


@given(all_terms(), st.sampled_from([1_000, 1_000_000]))
def test_amounts_a_thousand_times_larger_scale_flat_interest(terms: Terms, factor: int) -> None:
    flat = replace(
        terms, method=Method.FLAT, balloon=0, instalment_unit=1, principal=terms.principal % 10**9 + 10**6
    )
    small = build_schedule(flat)
    large = build_schedule(replace(flat, principal=flat.principal * factor))
    exact = sum(row.interest for row in large)
    assert abs(exact - factor * sum(row.interest for row in small)) <= factor


def test_a_drawdown_inside_a_period_splits_its_interest() -> None:
    """1,000.00 for 20 of 30 days and 1,500.00 for 10, at 12 % over 360 days: 6.67 and 5.00, rounded once."""
    drawn = ((START, 100_000), (START + 20, 150_000))
    assert compute_period_interest(drawn, START + 30, 120_000, DayCount.ACT_360) == 1_167
    on_the_day = ((START, 100_000), (START + 30, 150_000))
    assert compute_period_interest(on_the_day, START + 30, 120_000, DayCount.ACT_360) == 1_000


@given(all_terms())
def test_rows_that_did_not_change_keep_their_interest(terms: Terms) -> None:
    terms = replace(terms, grace_interest=0, interest_free=0, instalment_unit=1)
    assume(terms.method not in (Method.FLAT, Method.BULLET))
    try:
        rows = build_schedule(terms)
    except CallFailed as failure:
        assume(failure.code != Code.LIMIT)
        raise
    balances = ((terms.start_day, terms.principal),)
    assert restate_interest(rows, balances, terms.rate_ppm, terms.day_count) == rows


def test_less_principal_in_the_same_parts_lowers_every_instalment_alike() -> None:
    """An annuity after half of it was repaid early, on a due day, stays level."""
    rows = build_schedule(replace(LOAN, principal=10_000_000))
    early = rows[5].due_day
    future = [replace(row, principal=row.principal // 2) for row in rows[6:]]
    out = sum(row.principal for row in future)
    restated = restate_interest(future, ((early, out),), LOAN.rate_ppm, LOAN.day_count)
    before = rows[0].principal + rows[0].interest
    assert all(abs(2 * (row.principal + row.interest) - before) <= 3 for row in restated[:-1])
