"""Annual rates: the examples that the two laws print, and the check by change of sign."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.finance.annual_rate import (
    RATE_MAX_PPM,
    TOLERANCE_PPM,
    Flow,
    find_actuarial_rate,
    find_effective_rate,
    is_actuarial_rate,
    is_effective_rate,
)


def repaid(
    advance: int, payment: int, count: int, first: int = 1, part: tuple[int, int] = (0, 1)
) -> list[Flow]:
    """One advance, then equal payments a period apart; the first after `first` periods and a part."""
    return [Flow(advance, 0), *(Flow(-payment, first + n, part) for n in range(count))]


# 12 CFR 1026 Appendix J (c) (1), single advance: the printed rates have two decimals.
@pytest.mark.parametrize(
    ("flows", "periods", "printed"),
    [
        (repaid(500_000, 23_000, 24), (12, 1), "9.69"),
        (repaid(600_000, 20_000, 36, part=(19, 30)), (12, 1), "11.82"),
        (repaid(500_000, 21_917, 24, 0, (6, 15)), (24, 1), "10.34"),
        (repaid(1_000_000, 38_500, 40, 1, (39, 90)), (4, 1), "8.97"),
        (repaid(50_000, 1_760, 30, 4, (4, 7)), (52, 1), "14.96"),
    ],
    ids=["monthly", "long first period", "short first period", "quarterly", "weekly"],
)
def test_the_actuarial_method_gives_the_printed_rates(
    flows: list[Flow], periods: tuple[int, int], printed: str
) -> None:
    rate = find_actuarial_rate(flows, periods)
    assert rate is not None and f"{rate / 10_000:.2f}" == printed
    assert is_actuarial_rate(flows, rate, periods)


def paid(advance: int, payments: list[int], first: int = 1, part: tuple[int, int] = (0, 1)) -> list[Flow]:
    """One advance, then these payments a period apart."""
    return [Flow(advance, 0), *(Flow(-payment, first + n, part) for n, payment in enumerate(payments))]


# 12 CFR 1026 Appendix J (c) (2) to (5), first and last payments that differ, and a single one.
@pytest.mark.parametrize(
    ("flows", "periods", "printed"),
    [
        (paid(500_000, [25_000] + [23_000] * 23), (12, 1), "10.08"),
        (paid(40_000, [3_950] + [3_831] * 11, 1, (5, 28)), (13, 1), "28.50"),
        (paid(500_000, [23_000] * 23 + [28_000]), (12, 1), "10.50"),
        (paid(20_000, [950] * 19 + [3_000], 0, (8, 14)), (26, 1), "12.22"),
        (paid(500_000, [25_000] + [23_000] * 22 + [28_000]), (12, 1), "10.90"),
        (paid(800_000, [44_936] + [46_500] * 18 + [20_000], 0, (52, 60)), (6, 1), "7.30"),
        (paid(100_000, [108_000]), (365, 255), "11.45"),
    ],
    ids=["(2)(i)", "(2)(ii)", "(3)(i)", "(3)(ii)", "(4)(i)", "(4)(ii)", "(5)(i)"],
)
def test_irregular_payments_have_the_printed_rates(
    flows: list[Flow], periods: tuple[int, int], printed: str
) -> None:
    rate = find_actuarial_rate(flows, periods)
    assert rate is not None and f"{rate / 10_000:.2f}" == printed


# Directive 98/7/EC, Annex III, first calculation (years, not days): kept by 2008/48/EC as its formula.
@pytest.mark.parametrize(
    ("flows", "printed"),
    [
        ([Flow(100_000, 0), Flow(-120_000, 1, (1, 2))], "12.92"),
        ([Flow(95_000, 0), Flow(-120_000, 1, (1, 2))], "16.85"),
        ([Flow(100_000, 0), Flow(-60_000, 1), Flow(-60_000, 2)], "13.07"),
        (
            [Flow(100_000, 0), Flow(-27_200, 0, (1, 4)), Flow(-27_200, 0, (1, 2)), Flow(-54_400, 1)],
            "13.19",
        ),
    ],
)
def test_the_formula_of_the_union_gives_the_printed_rates(flows: list[Flow], printed: str) -> None:
    rate = find_effective_rate(flows)
    assert rate is not None and f"{rate / 10_000:.2f}" == printed
    assert is_effective_rate(flows, rate)


@given(st.integers(10_000, 10**12), st.integers(0, 2_000_000), st.integers(1, 60))
def test_a_rate_that_is_off_by_more_than_the_tolerance_is_refused(
    principal: int, extra_ppm: int, count: int
) -> None:
    payment = principal * (1_000_000 + extra_ppm) // (1_000_000 * count) + 1
    for flows in (repaid(principal, payment, count),):
        rate = find_actuarial_rate(flows, (12, 1))
        assert rate is not None
        assert is_actuarial_rate(flows, rate, (12, 1))
        assert is_actuarial_rate(flows, rate + TOLERANCE_PPM - 1, (12, 1))
        assert not is_actuarial_rate(flows, rate + TOLERANCE_PPM + 1, (12, 1))
        if rate > TOLERANCE_PPM:
            assert not is_actuarial_rate(flows, rate - TOLERANCE_PPM - 1, (12, 1))


@given(st.integers(10_000, 10**12), st.integers(0, 1_000_000))
def test_one_year_compounds_to_its_own_rate(principal: int, rate_ppm: int) -> None:
    flows = [Flow(principal * 1_000_000, 0), Flow(-principal * (1_000_000 + rate_ppm), 1)]
    assert find_effective_rate(flows) == rate_ppm
    halves = [Flow(principal * 1_000_000, 0), Flow(-principal * (1_000_000 + rate_ppm), 0, (365, 365))]
    assert find_effective_rate(halves) == rate_ppm


def test_a_loan_that_costs_less_than_nothing_or_beyond_measure_has_no_rate() -> None:
    assert find_effective_rate([Flow(100, 0), Flow(-99, 1)]) is None
    at_most = 100 * (1_000_000 + RATE_MAX_PPM) // 1_000_000
    assert find_effective_rate([Flow(100, 0), Flow(-at_most, 1)]) == RATE_MAX_PPM
    assert find_effective_rate([Flow(100, 0), Flow(-at_most - 1, 1)]) is None
