"""What a repayment pays: penalty, fee, interest and principal, past due, due and in advance, in one order.

A product names the twelve `Bucket`s in the order in which money fills them; what is due always comes before
what is not. Within a bucket the oldest row is filled first. Money in advance goes by the rule of the product:
to the next rows, whole, one after the other (NEXT); to the principal of the last rows, so that the loan ends
earlier (REDUCE_TERM); or to the principal of all rows in equal parts of what was scheduled, so that every
instalment falls (REDUCE_INSTALMENT).

Each unit of money goes where the rows alone say, whatever was paid before: so two payments on a day do what
one payment of both does, and nothing is lost.

It knows amounts and days; no loan, no ledger. Interest of the rows that follow a smaller principal is
`schedule.restate_interest`; what of a future row can be paid early, its caller decides by what it hands over.

*Source*: contracts.md D19, D20, 5.10; the twelve buckets and the three rules are those of Apache Fineract's
"advanced payment allocation".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Final

from protocol.errors import CallFailed, Code, Reason


class Timing(IntEnum):
    """Name how a row lies to the day of a payment."""

    PAST_DUE = 0
    DUE = 1
    IN_ADVANCE = 2


class Kind(IntEnum):
    """Name what is owed; also the place of its amount in a row."""

    PENALTY = 0
    FEE = 1
    INTEREST = 2
    PRINCIPAL = 3


KINDS: Final = len(Kind)


class Bucket(IntEnum):
    """Name what a payment can fill: timing * 4 + kind."""

    PAST_DUE_PENALTY = 0
    PAST_DUE_FEE = 1
    PAST_DUE_INTEREST = 2
    PAST_DUE_PRINCIPAL = 3
    DUE_PENALTY = 4
    DUE_FEE = 5
    DUE_INTEREST = 6
    DUE_PRINCIPAL = 7
    IN_ADVANCE_PENALTY = 8
    IN_ADVANCE_FEE = 9
    IN_ADVANCE_INTEREST = 10
    IN_ADVANCE_PRINCIPAL = 11


DEFAULT_ORDER: Final = tuple(Bucket)
"""Oldest debts first; of each, what it cost before what was lent."""


class FutureRule(IntEnum):
    """Name where money in advance goes."""

    REDUCE_INSTALMENT = 1
    REDUCE_TERM = 2
    NEXT = 3


@dataclass(frozen=True, slots=True)
class Owed:
    """What of a row is unpaid, in minor units, none below 0.

    Args:
        due_day: days since 1970-01-01.
        amounts: of each `Kind`, in its order.
        scheduled: principal of the row when the schedule was made; at least what of it is unpaid.
    """

    due_day: int
    amounts: tuple[int, int, int, int]
    scheduled: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """Where a payment went, in minor units; `paid` and `rest` sum to it.

    Args:
        paid: of each row, in the order of the rows, of each `Kind`.
        rest: what nothing was owed for.
    """

    paid: tuple[tuple[int, int, int, int], ...]
    rest: int

    def total(self, kind: Kind) -> int:
        """Return what went to one kind, minor units."""
        return sum([row[kind] for row in self.paid])


def check_order(order: Sequence[int]) -> tuple[Bucket, ...]:
    """Return the order of a product as buckets.

    Raises:
        CallFailed: MALFORMED when a bucket is missing, named twice or unknown, or one in advance comes before
            one that is due.
    """
    if sorted(order) != list(Bucket):
        raise CallFailed(Code.MALFORMED, Reason("allocation.order", len(Bucket), len(set(order))))
    early = min([at for at, bucket in enumerate(order) if bucket >= Bucket.IN_ADVANCE_PENALTY])
    if early != Bucket.IN_ADVANCE_PENALTY:
        raise CallFailed(Code.MALFORMED, Reason("allocation.in_advance", Bucket.IN_ADVANCE_PENALTY, early))
    return tuple([Bucket(bucket) for bucket in order])


def find_timing(due_day: int, today: int) -> Timing:
    """Tell how a row that is due on a day lies to today."""
    if due_day > today:
        return Timing.IN_ADVANCE
    return Timing.DUE if due_day == today else Timing.PAST_DUE


def allocate(
    rows: Sequence[Owed], amount: int, today: int, order: Sequence[Bucket], rule: FutureRule
) -> Allocation:
    """Say what a payment pays.

    Rules: 1. no row gets more than it owes. 2. what goes to rows and the rest sum to the amount. 3. two
        payments on a day, the second over what the first has left, are one payment of both.

    Args:
        rows: by due day, the oldest first.
        amount: minor units, not negative.
        order: as `check_order` returns it.
    """
    assert amount >= 0 and all(a.due_day <= b.due_day for a, b in pairwise(rows))
    left = [list(row.amounts) for row in rows]
    timings = [find_timing(row.due_day, today) for row in rows]
    future = [at for at, timing in enumerate(timings) if timing is Timing.IN_ADVANCE]
    rest = amount
    for bucket in order[: Bucket.IN_ADVANCE_PENALTY]:
        timing, kind = divmod(bucket, KINDS)
        rest = _fill(left, [(at, kind) for at, found in enumerate(timings) if found == timing], rest)
    kinds = [bucket % KINDS for bucket in order[Bucket.IN_ADVANCE_PENALTY :]]
    if rule is FutureRule.NEXT:
        rest = _fill(left, [(at, kind) for at in future for kind in kinds], rest)
    else:
        for kind in kinds:
            if kind == Kind.PRINCIPAL and rule is FutureRule.REDUCE_INSTALMENT:
                rest = _lower(left, [(at, rows[at].scheduled) for at in future], rest)
            else:
                is_reversed = kind == Kind.PRINCIPAL
                rest = _fill(left, [(at, kind) for at in sorted(future, reverse=is_reversed)], rest)
    paid = [
        (was[0] - now[0], was[1] - now[1], was[2] - now[2], was[3] - now[3])
        for was, now in zip([row.amounts for row in rows], left, strict=True)
    ]
    return Allocation(tuple(paid), rest)


def _fill(left: list[list[int]], slots: list[tuple[int, int]], amount: int) -> int:
    """Pay slots (row, kind) one after the other; returns what is left of the amount."""
    for at, kind in slots:
        part = min(amount, left[at][kind])
        left[at][kind] -= part
        amount -= part
    return amount


def _lower(left: list[list[int]], future: list[tuple[int, int]], amount: int) -> int:
    """Pay principal of rows (row, scheduled), unit for unit where (unpaid - 1/2) / scheduled is largest, of
    equals where the row is later; returns what is left of the amount.

    A row keeps min(unpaid, floor(scheduled * level + 1/2)) at the lowest level that leaves enough unpaid; the
    units between that level and the next below, at most one a row, are then taken from the end. With amounts
    below 2^n, two levels at which rows change lie at least 1 / (2 * 4^n) apart, so halving tells them apart.
    """
    unpaid = {at: left[at][Kind.PRINCIPAL] for at, _ in future}
    keep = max(sum(unpaid.values()) - amount, 0)
    rest = max(amount - sum(unpaid.values()), 0)
    bits = 2 * max([scheduled.bit_length() for _, scheduled in future], default=0) + 2
    whole = 1 << bits

    def kept(level: int) -> list[int]:
        return [min(unpaid[at], (2 * scheduled * level + whole) // (2 * whole)) for at, scheduled in future]

    low, high = 0, whole
    while low < high:
        middle = (low + high) // 2
        if sum(kept(middle)) < keep:
            low = middle + 1
        else:
            high = middle
    above, below = kept(high), kept(max(high - 1, 0))
    surplus = sum(above) - keep
    for place in range(len(future) - 1, -1, -1):
        part = min(surplus, above[place] - below[place])
        left[future[place][0]][Kind.PRINCIPAL] = above[place] - part
        surplus -= part
    return rest
