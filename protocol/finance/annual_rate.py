"""What a loan costs a year, all fees included, as the law wants it said: for disclosure, and to be checked.

Two methods. The actuarial method of the United States discounts over unit periods, simple interest for the
fraction of one, and multiplies by the periods of a year. The formula of the European Union discounts over
years and fractions, compounding. A rate is found by halving an interval and proven by a change of sign, so
that a chain can check a disclosed rate with two sums and without finding it.

All in fixed point with 30 decimals: no floats, the same digits everywhere. It knows no product.

*Source*: 12 CFR 1026 (Regulation Z) Appendix J; Directive 2008/48/EC Annex I; contracts.md 5.10.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.money import Rounding, mul_div

RATE_PARTS: Final = 1_000_000
"""A rate is in parts per million a year."""

RATE_MAX_PPM: Final = 100 * RATE_PARTS
"""Highest rate that is looked for: 10,000 % a year."""

TOLERANCE_PPM: Final = 50
"""A disclosed rate is right when the true one lies within 0.005 % of it."""

_ONE: Final = 10**30


@dataclass(frozen=True, slots=True)
class Flow:
    """Say what moves when.

    Args:
        amount: minor units; above 0 to the borrower, below 0 from the borrower.
        whole: whole unit periods after the first advance; years under the formula of the European Union.
        part: of another period, as (numerator, denominator) below 1.
    """

    amount: int
    whole: int
    part: tuple[int, int] = (0, 1)


def find_actuarial_rate(flows: Sequence[Flow], periods_a_year: tuple[int, int]) -> int | None:
    """Find the annual percentage rate by the actuarial method, in parts per million.

    Args:
        periods_a_year: unit periods of a year, as (numerator, denominator).

    Returns: None when no rate of 0 .. `RATE_MAX_PPM` makes both sides equal.
    """
    return _find(lambda rate: _value_actuarial(flows, rate, periods_a_year))


def find_effective_rate(flows: Sequence[Flow]) -> int | None:
    """Find the annual percentage rate of charge by the formula of the European Union, in parts per million.

    Returns: None when no rate of 0 .. `RATE_MAX_PPM` makes both sides equal.
    """
    return _find(lambda rate: _value_effective(flows, rate))


def is_actuarial_rate(flows: Sequence[Flow], rate_ppm: int, periods_a_year: tuple[int, int]) -> bool:
    """Tell whether a disclosed rate is right within `TOLERANCE_PPM`, by the change of sign around it."""
    return _changes_sign(lambda rate: _value_actuarial(flows, rate, periods_a_year), rate_ppm)


def is_effective_rate(flows: Sequence[Flow], rate_ppm: int) -> bool:
    """Tell whether a disclosed rate is right within `TOLERANCE_PPM`, by the change of sign around it."""
    return _changes_sign(lambda rate: _value_effective(flows, rate), rate_ppm)


def _find(value: Callable[[int], int]) -> int | None:
    """Return the rate at which a value that rises with the rate changes its sign, to the nearest part."""
    low, high = 0, RATE_MAX_PPM * _ONE // RATE_PARTS
    if value(low) > 0 or value(high) < 0:
        return None
    while (high - low) * RATE_PARTS > _ONE // 1_000:
        middle = (low + high) // 2
        low, high = (middle, high) if value(middle) <= 0 else (low, middle)
    return mul_div(low, RATE_PARTS, _ONE, Rounding.HALF_EVEN)


def _changes_sign(value: Callable[[int], int], rate_ppm: int) -> bool:
    least = max(0, rate_ppm - TOLERANCE_PPM)
    most = rate_ppm + TOLERANCE_PPM
    return value(least * _ONE // RATE_PARTS) <= 0 <= value(most * _ONE // RATE_PARTS)


def _value_actuarial(flows: Sequence[Flow], rate: int, periods_a_year: tuple[int, int]) -> int:
    """Return what all flows are worth at the first advance, times `_ONE`; the rate is in `_ONE` a year."""
    numerator, denominator = periods_a_year
    period_rate = rate * denominator // numerator
    total = 0
    for flow in flows:
        part, whole = flow.part
        weight = _discount(_ONE + period_rate, flow.whole) * _ONE // (_ONE + period_rate * part // whole)
        total += flow.amount * weight
    return total


def _value_effective(flows: Sequence[Flow], rate: int) -> int:
    """Return what all flows are worth at the first advance, times `_ONE`; the rate is in `_ONE` a year."""
    logarithm = _compute_logarithm(_ONE + rate)
    fractions: dict[tuple[int, int], int] = {}
    total = 0
    for flow in flows:
        if flow.part not in fractions:
            part, whole = flow.part
            fractions[flow.part] = _ONE * _ONE // _compute_exponential(logarithm * part // whole)
        total += flow.amount * (_discount(_ONE + rate, flow.whole) * fractions[flow.part] // _ONE)
    return total


def _discount(factor: int, periods: int) -> int:
    """Compute factor ** -periods, by squaring."""
    power, result = factor, _ONE
    while periods:
        if periods & 1:
            result = result * power // _ONE
        power = power * power // _ONE
        periods >>= 1
    return _ONE * _ONE // result


def _compute_logarithm(value: int) -> int:
    """Compute ln(value) of a value of 1 or more: ln v = k ln 2 + 2 artanh((m - 1) / (m + 1)), m below 2."""
    doublings = 0
    while value >= 2 * _ONE:
        value, doublings = value // 2, doublings + 1
    return 2 * _compute_artanh(value - _ONE, value + _ONE) + doublings * 2 * _compute_artanh(1, 3)


def _compute_artanh(numerator: int, denominator: int) -> int:
    term = numerator * _ONE // denominator
    square = term * term // _ONE
    total, n = 0, 1
    while term:
        total += term // n
        term = term * square // _ONE
        n += 2
    return total


def _compute_exponential(exponent: int) -> int:
    """Compute e ** exponent for an exponent of 0 or more, by its series."""
    term, total, n = _ONE, 0, 0
    while term:
        total += term
        n += 1
        term = term * exponent // (_ONE * n)
    return total
