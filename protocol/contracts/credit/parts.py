"""The formulas of the score: pure functions of what is known about a member, and their reasons.

A part is `most * ((1,000 - e) * 400 + e * value) // 10^6`: `value` is what the record says, of 1,000, and `e`
how much record there is, of 1,000. So whoever has none has two fifths of each part.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from protocol.contracts.credit.records import (
    MARK_MONTHS_MAX,
    NEUTRAL,
    PART_POINTS,
    SCORE_MAX,
    TERM_DAYS_MAX,
    Band,
)
from protocol.contracts.savings.records import REGULAR_MONTHS
from protocol.elections.decision import WHOLE_BP

Curve: TypeAlias = tuple[tuple[int, int], ...]

HALF_LIFE_MONTHS: Final = 12
DECAY: Final = (
    65_536,
    61_858,
    58_386,
    55_109,
    52_016,
    49_097,
    46_341,
    43_740,
    41_285,
    38_968,
    36_781,
    34_716,
)
"""2^16 * 2^(-n/12), rounded: what a mark counts for n months later; half of it after each further year."""
DECAY_UNIT: Final = 65_536

LATENESS: Final[Curve] = ((0, 1_000), (7, 850), (30, 550), (90, 100), (180, 0))
"""Points of 1,000 for what was paid so many days late."""
SAVED_FOR_DEBT: Final[Curve] = ((0, 0), (200, 400), (500, 800), (1_000, 1_000))
"""Savings by 1,000 of debt."""
MONTHS_AS_MEMBER: Final[Curve] = ((0, NEUTRAL), (12, 600), (36, 1_000))
IN_USE: Final[Curve] = ((0, 1_000), (500, 800), (1_000, 300))
"""What is out of 1,000 that were lent."""
ROWS_FULL: Final = 6
"""Rows after which punctuality is the record alone."""
MONTHS_FULL: Final = 6
"""Months as a member after which regular saving is the record alone."""
STOOD_FULL: Final = 6
"""Halves of guarantees after which these are the record alone."""
ATTESTED_EACH: Final = 200


@dataclass(frozen=True, slots=True)
class Mark:
    """What fell due in a month so many months ago."""

    age: int
    weight: int
    points: int
    rows: int


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the score of a member is computed from.

    Args:
        deposits: months with a deposit, of the last 24.
        months: since he became a member.
        saved_for_debt: savings by 1,000 of debt, in the asset in which that is least.
        in_use: what is out of 1,000 that were lent, of the loan of which the most is; 0: nothing is owed.
        stood: (age in months, good, bad) in halves of guarantees.
        attested: kinds that count.
        relief: points that answers have given back, by part.
    """

    marks: tuple[Mark, ...]
    deposits: int
    months: int
    saves: bool
    has_borrowed: bool
    saved_for_debt: int
    in_use: int
    stood: tuple[tuple[int, int, int], ...]
    attested: int
    relief: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a score: its points, and what they come from."""

    points: int
    most: int
    value: int
    evidence: int
    relief: int


def find_on_curve(curve: Curve, x: int) -> int:
    """Return the value of a piecewise-linear function, floored; level outside its ends."""
    if x <= curve[0][0]:
        return curve[0][1]
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x <= x1:
            return (y0 * (x1 - x) + y1 * (x - x0)) // (x1 - x0)
    return curve[-1][1]


def compute_decay(age_months: int) -> int:
    """Compute what a mark counts after so many months, of 65,536."""
    if age_months >= MARK_MONTHS_MAX:
        return 0
    years, months = divmod(max(age_months, 0), HALF_LIFE_MONTHS)
    return DECAY[months] >> years


def compute_weight(principal: int, days_late: int, term_days: int) -> tuple[int, int]:
    """Compute (weight, points) of what fell due."""
    weight = principal * min(term_days, TERM_DAYS_MAX)
    return weight, weight * find_on_curve(LATENESS, days_late)


def compute_parts(facts: Facts) -> tuple[Part, ...]:
    """Compute the parts of a score, in the order of their numbers."""
    records = (
        _rate_punctuality(facts),
        (
            facts.deposits * 1_000 // min(max(facts.months, MONTHS_FULL), 24),
            _portion(facts.months, MONTHS_FULL),
        ),
        _rate_depth(facts),
        (find_on_curve(MONTHS_AS_MEMBER, facts.months), 1_000),
        _rate_guarantees(facts),
        (find_on_curve(IN_USE, facts.in_use), 1_000 if facts.has_borrowed else 0),
        (NEUTRAL + facts.attested * ATTESTED_EACH, 1_000),
    )
    found: list[Part] = []
    for most, relief, (value, evidence) in zip(PART_POINTS, facts.relief, records, strict=True):
        value = min(value, 1_000)
        points = most * ((1_000 - evidence) * NEUTRAL + evidence * value) // 1_000_000
        found.append(Part(min(points + relief, most), most, value, evidence, relief))
    return tuple(found)


def compute_score(parts: tuple[Part, ...]) -> int:
    """Compute the score: the sum of its parts."""
    score = sum([part.points for part in parts])
    assert 0 <= score <= SCORE_MAX
    return score


def count_facts(facts: Facts) -> tuple[tuple[int, int], ...]:
    """Return what each part counts, and beside what.

    Rows; months with a deposit by months as a member; 1,000ths of debt that are saved, and whether anything
    is; months; halves of guarantees that ended well, and that did not; 1,000ths in use, and whether there was
    a loan; attestations.
    """
    return (
        (sum([mark.rows for mark in facts.marks]), 0),
        (facts.deposits, facts.months),
        (facts.saved_for_debt, int(facts.saves)),
        (facts.months, 0),
        (sum([good for _, good, _ in facts.stood]), sum([bad for _, _, bad in facts.stood])),
        (facts.in_use, int(facts.has_borrowed)),
        (facts.attested, 0),
    )


def _rate_punctuality(facts: Facts) -> tuple[int, int]:
    weight = sum([m.weight * compute_decay(m.age) for m in facts.marks])
    points = sum([m.points * compute_decay(m.age) for m in facts.marks])
    rows = sum([m.rows * compute_decay(m.age) for m in facts.marks])
    return (points // weight if weight else 0), _portion(rows, ROWS_FULL * DECAY_UNIT)


def _rate_regularity(facts: Facts) -> tuple[int, int]:
    months = min(max(facts.months, MONTHS_FULL), REGULAR_MONTHS)
    return facts.deposits * 1_000 // months, _portion(facts.months, MONTHS_FULL)


def _rate_depth(facts: Facts) -> tuple[int, int]:
    """Rate savings beside debt; who owes nothing and saves has all of it, who does neither the beginning."""
    if facts.in_use:
        return find_on_curve(SAVED_FOR_DEBT, facts.saved_for_debt), 1_000
    return 1_000, 1_000 if facts.saves else 0


def _rate_guarantees(facts: Facts) -> tuple[int, int]:
    good = sum([halves * compute_decay(age) for age, halves, _ in facts.stood])
    bad = sum([halves * compute_decay(age) for age, _, halves in facts.stood])
    value = good * 1_000 // (good + bad) if good + bad else 0
    return value, _portion(good + bad, STOOD_FULL * DECAY_UNIT)


def _portion(part: int, whole: int) -> int:
    return min(part * 1_000 // whole, 1_000)


# --- what a score is worth


def find_band(bands: tuple[Band, ...], score: int) -> Band:
    """Return the band of a score."""
    return [band for band in bands if band[0] <= score][-1]


def compute_limit(
    band: Band,
    score: int,
    savings: int,
    starter: int,
    product_max: int,
    debt_service_max: int,
    exposure_max: int,
) -> int:
    """Compute how much can be lent: the least of what the savings carry, the product allows, the income
    serves and the co-op can stand. Savings carry the starter's amount from the neutral score on."""
    carried = savings * band[1] // WHOLE_BP
    if score >= NEUTRAL:
        carried = max(carried, starter)
    return min(carried, product_max, debt_service_max, exposure_max)
