"""Day counts: published examples to the day, and additivity for every convention."""

import datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.finance.day_count import YEAR_PARTS, DayCount, count_parts, position
from protocol.money import days_from_date

CONVENTIONS = list(DayCount)
days = st.integers(0, 60_000)


def day(text: str) -> int:
    return (datetime.date.fromisoformat(text) - datetime.date(1970, 1, 1)).days


# ISDA, "The actual/actual day count fraction" (1998), table of examples, ISDA method.
@pytest.mark.parametrize(
    ("first", "end", "years"),
    [
        ("2003-11-01", "2004-05-01", Fraction(61, 365) + Fraction(121, 366)),
        ("1999-02-01", "1999-07-01", Fraction(150, 365)),
        ("1999-07-01", "2000-07-01", Fraction(184, 365) + Fraction(182, 366)),
        ("2002-08-15", "2003-07-15", Fraction(334, 365)),
        ("2003-07-15", "2004-01-15", Fraction(170, 365) + Fraction(14, 366)),
        ("1999-07-30", "2000-01-30", Fraction(155, 365) + Fraction(29, 366)),
        ("2000-01-30", "2000-06-30", Fraction(152, 366)),
        ("1999-11-30", "2000-04-30", Fraction(32, 365) + Fraction(120, 366)),
    ],
)
def test_actual_actual_splits_at_the_first_of_january(first: str, end: str, years: Fraction) -> None:
    assert Fraction(count_parts(day(first), day(end), DayCount.ACT_ACT), YEAR_PARTS) == years


# Edges of months, as in ISDA's worksheet of 30/360 conventions; the figures follow SIFMA's rules (with that
# of February) and ISDA 2006 4.16 (g) by hand.
@pytest.mark.parametrize(
    ("first", "end", "us", "european"),
    [
        ("2007-01-15", "2007-01-30", 15, 15),
        ("2007-01-15", "2007-02-15", 30, 30),
        ("2007-01-15", "2007-07-15", 180, 180),
        ("2007-09-30", "2008-03-31", 180, 180),
        ("2007-09-30", "2007-10-31", 30, 30),
        ("2007-09-30", "2008-09-30", 360, 360),
        ("2007-01-15", "2007-01-31", 16, 15),
        ("2007-01-31", "2007-02-28", 28, 28),
        ("2007-02-28", "2007-03-31", 30, 32),
        ("2006-08-31", "2007-02-28", 178, 178),
        ("2007-02-28", "2007-08-31", 180, 182),
        ("2007-02-14", "2007-02-28", 14, 14),
        ("2007-02-26", "2008-02-29", 363, 363),
        ("2008-02-29", "2009-02-28", 360, 359),
        ("2008-02-29", "2008-03-30", 30, 31),
        ("2008-02-29", "2008-03-31", 30, 31),
        ("2007-02-28", "2007-03-05", 5, 7),
        ("2007-10-31", "2007-11-28", 28, 28),
        ("2007-08-31", "2008-02-29", 179, 179),
        ("2008-02-29", "2008-08-31", 180, 181),
        ("2008-08-31", "2009-02-28", 178, 178),
        ("2009-02-28", "2009-08-31", 180, 182),
    ],
)
def test_months_of_thirty_days(first: str, end: str, us: int, european: int) -> None:
    unit = YEAR_PARTS // 360
    assert count_parts(day(first), day(end), DayCount.THIRTY_360) == us * unit
    assert count_parts(day(first), day(end), DayCount.THIRTY_E_360) == european * unit


@pytest.mark.parametrize(
    ("convention", "basis"), [(DayCount.ACT_360, 360), (DayCount.ACT_365F, 365), (DayCount.ACT_364, 364)]
)
def test_a_fixed_basis_divides_the_days(convention: DayCount, basis: int) -> None:
    parts = count_parts(day("2024-02-01"), day("2024-03-01"), convention)
    assert Fraction(parts, YEAR_PARTS) == Fraction(29, basis)


@pytest.mark.parametrize("convention", CONVENTIONS)
@given(days, days, days)
def test_stretches_add_up(convention: DayCount, a: int, b: int, c: int) -> None:
    first, middle, last = sorted((a, b, c))
    whole = position(last, convention) - position(first, convention)
    daily = [
        position(d + 1, convention) - position(d, convention) for d in range(first, min(last, first + 400))
    ]
    assert min(daily, default=0) >= 0
    assert whole == sum(
        position(end, convention) - position(begin, convention)
        for begin, end in ((first, middle), (middle, last))
    )
    if convention is not DayCount.THIRTY_360:
        assert count_parts(first, last, convention) == whole


@given(st.integers(1970, 2100), st.integers(1, 12), st.integers(1, 28), st.integers(0, 400))
def test_both_questions_agree_away_from_the_ends_of_months(y: int, m: int, d: int, length: int) -> None:
    first = days_from_date(y, m, min(d, 27))
    end = first + length
    end -= max(0, int(str(datetime.date(1970, 1, 1) + datetime.timedelta(end))[-2:]) - 27)
    if end >= first:
        parts = count_parts(first, end, DayCount.THIRTY_360)
        assert parts == position(end, DayCount.THIRTY_360) - position(first, DayCount.THIRTY_360)
