"""Whether a proposal has passed: quorum, majority and least yes, by integers multiplied crosswise.

Votes come as weights; a weight is one for a member, or as many as the proposal's rules gave. This file does
not know who votes, when a vote ends, or what a proposal does (`contracts/voting`).

*Source*: contracts.md 5.6.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

WHOLE_BP: Final = 10_000
"""Basis points of a whole."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Say what passing takes.

    Args:
        quorum_bp: least part of the electorate that takes part; an abstention takes part.
        approval_bp: yes is *more* than this part of yes and no.
        least_yes_bp: least part of the electorate that says yes.
    """

    quorum_bp: int
    approval_bp: int
    least_yes_bp: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """Sum the weights that were cast."""

    yes: int = 0
    no: int = 0
    abstain: int = 0

    @property
    def cast(self) -> int:
        """Return all that took part."""
        return self.yes + self.no + self.abstain


class Outcome(IntEnum):
    """What came of a vote."""

    PASSED = 1
    REJECTED = 2
    NO_QUORUM = 3


def decide(tally: Tally, electorate: int, threshold: Threshold) -> Outcome:
    """Decide a vote that has ended.

    Rules: 1. without the quorum nothing is decided. 2. yes is strictly more than its part of yes and no, so
        abstentions alone, and a tie at a simple majority, pass nothing. 3. enough of the electorate says yes.
    """
    assert tally.cast <= electorate, "nobody votes twice"
    if not _has_quorum(tally, electorate, threshold):
        return Outcome.NO_QUORUM
    return Outcome.PASSED if _is_approved(tally, electorate, threshold) else Outcome.REJECTED


def foresee(tally: Tally, electorate: int, threshold: Threshold, undecided: int) -> Outcome | None:
    """Decide a vote before its end, if nothing that may still come can change whether it passes.

    Args:
        undecided: weight that is not cast, or was cast for somebody by a delegate and can be taken back; the
            tally is without it.
    """
    assert tally.cast + undecided <= electorate, "nobody votes twice"
    worst = Tally(tally.yes, tally.no + undecided, tally.abstain)
    if _has_quorum(tally, electorate, threshold) and _is_approved(worst, electorate, threshold):
        return Outcome.PASSED
    best = Tally(tally.yes + undecided, tally.no, tally.abstain)
    if decide(best, electorate, threshold) is not Outcome.PASSED:
        return Outcome.REJECTED
    return None


def count_missing_yes(tally: Tally, electorate: int, threshold: Threshold) -> int | None:
    """Count how many more yes it takes now to pass; None when even all that are left do not suffice."""
    left = electorate - tally.cast
    if decide(Tally(tally.yes + left, tally.no, tally.abstain), electorate, threshold) is not Outcome.PASSED:
        return None
    low, high = 0, left
    while low < high:
        middle = (low + high) // 2
        more = Tally(tally.yes + middle, tally.no, tally.abstain)
        if decide(more, electorate, threshold) is Outcome.PASSED:
            high = middle
        else:
            low = middle + 1
    return low


def _has_quorum(tally: Tally, electorate: int, threshold: Threshold) -> bool:
    return tally.cast * WHOLE_BP >= threshold.quorum_bp * electorate and tally.cast > 0


def _is_approved(tally: Tally, electorate: int, threshold: Threshold) -> bool:
    yes = tally.yes * WHOLE_BP
    is_majority = yes > threshold.approval_bp * (tally.yes + tally.no)
    return is_majority and yes >= threshold.least_yes_bp * electorate
