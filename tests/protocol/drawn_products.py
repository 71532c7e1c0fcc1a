"""Loan products drawn at random, every one of which a co-op could make, and loans that they lend.

Everything that a product can say of rates, rows, fees, grace and early money is drawn. What it says of who
may borrow is left as it stands in `test_lending.py`, so that whoever asks is lent.
"""

from random import Random
from typing import Any, Final

from protocol.elections.decision import WHOLE_BP
from protocol.finance.allocation import DEFAULT_ORDER, Bucket, FutureRule
from protocol.finance.day_count import DayCount
from protocol.finance.schedule import Method, PeriodUnit

ROWS: Final = (1, 2, 3, 6, 12, 12, 24, 36)
ADDONS_PPM: Final = (0, 10_000, 20_000, 40_000)
PRINCIPAL_MIN: Final = 2_000
PRINCIPAL_MAX: Final = 10**13
EARLY: Final = 8
"""Buckets from this one on are in advance, and come after those that are due."""


def draw_product(random: Random, **fixed: Any) -> dict[str, Any]:
    """Draw what a product says of its terms, by name; what is fixed is taken as it is."""
    rows = fixed.get("rows_max", random.choice(ROWS))
    method = fixed.get("method", random.choice(list(Method)))
    is_flat = method == Method.FLAT
    terms: dict[str, Any] = {
        "principal_min": PRINCIPAL_MIN,
        "principal_max": PRINCIPAL_MAX,
        "rows_min": rows if method == Method.CUSTOM else 1,
        "rows_max": rows,
        "rate_ppm": random.choice((0, random.randint(1, 10**4), random.randint(10**4, 360_000))),
        "method": int(method),
        "day_count": int(random.choice(list(DayCount))),
        **_draw_period(random),
        "instalment_unit": random.choice((1, 1, 1, 10, 100)),
        "grace_principal": random.choice((0, 0, random.randint(0, rows - 1))),
        "grace_interest": random.choice((0, 0, random.randint(0, rows - 1))),
        "interest_free": random.choice((0, 0, 0, random.randint(0, rows))),
        "balloon_bp": random.randint(0, WHOLE_BP) if method == Method.BALLOON else 0,
        "early_rule": int(FutureRule.NEXT if is_flat else random.choice(list(FutureRule))),
        "order": _draw_order(random),
        "fee_flat": random.choice((0, 0, random.randint(0, 100))),
        "fee_bp": random.choice((0, 0, random.randint(0, 500))),
        "spreads_fee": random.random() < 0.5,
        "by_score": random.random() < 0.3,
        "is_daily": not is_flat and random.random() < 0.4,
        "is_smooth": random.random() < 0.4,
        "custom_bp": _draw_parts(random, rows) if method == Method.CUSTOM else (),
        **_draw_lateness(random),
    }
    return {**terms, **fixed}


def draw_loan(random: Random, terms: dict[str, Any]) -> tuple[int, int]:
    """Draw (principal, rows) of a loan that a product lends."""
    principal = random.choice(
        (random.randint(PRINCIPAL_MIN, 10**5), random.randint(10**5, 10**8), 10 ** random.randint(5, 13))
    )
    return principal, random.randint(terms["rows_min"], terms["rows_max"])


def draw_start(random: Random) -> int:
    """Draw a day of disbursement, of 2011 to 2052."""
    return random.randint(15_000, 30_000)


def _draw_period(random: Random) -> dict[str, int]:
    unit = random.choice(list(PeriodUnit))
    every = random.choice((1, 1, 2, 3, 6) if unit is PeriodUnit.MONTHS else (1, 2, 4, 10, 30))
    return {"period_unit": int(unit), "every": every}


def _draw_order(random: Random) -> tuple[int, ...]:
    due, early = list(DEFAULT_ORDER[:EARLY]), list(DEFAULT_ORDER[EARLY:])
    if random.random() < 0.5:
        random.shuffle(due)
        random.shuffle(early)
    assert early and min(early) == Bucket.IN_ADVANCE_PENALTY
    return tuple(int(bucket) for bucket in (*due, *early))


def _draw_parts(random: Random, rows: int) -> tuple[int, ...]:
    """Draw parts of the principal of each row; some rows repay none of it."""
    cuts = sorted(random.choice((0, WHOLE_BP, random.randint(0, WHOLE_BP))) for _ in range(rows - 1))
    return tuple(end - begin for begin, end in zip((0, *cuts), (*cuts, WHOLE_BP), strict=True))


def _draw_lateness(random: Random) -> dict[str, int]:
    return {
        "grace_days": random.choice((0, 0, 3, 20)),
        "penalty_flat": random.choice((0, 40)),
        "penalty_ppm": random.choice((0, 700)),
        "floor_bp": random.choice((0, 3_500)),
    }
