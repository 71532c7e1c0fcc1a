"""Single transferable vote by the Scottish rules: weighted inclusive Gregory, five decimals.

A vote is `UNIT` = 100,000 parts, so every figure is an integer. A surplus moves all papers of its candidate
at the value `surplus * value / total`, rounded down; an exclusion moves them at the value they have. Ties go
to whoever led at the most recent earlier stage with a difference, then to the lot.

*Source*: The Scottish Local Government Elections Order 2007 (SSI 2007/42), rules 45 to 52.
*Departs*: two surpluses that tie, or two candidates to be excluded, are decided by a lot that is drawn before
the count, as a count must give one result.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

UNIT: Final = 100_000
"""Parts of one vote: the rules' five decimals."""

CANDIDATES_MAX: Final = 64
"""Most candidates of one count; a stage is a row of so many figures."""


class Action(IntEnum):
    """What a stage did."""

    FIRST_PREFERENCES = 1
    SURPLUS = 2
    EXCLUSION = 3


@dataclass(frozen=True, slots=True)
class Stage:
    """Show the count after one action.

    Args:
        candidate: whose papers moved; None for the first preferences.
        votes: of each candidate, in parts.
        non_transferable: parts on papers that name nobody any more.
        lost: parts that the rounding of values has lost so far.
        elected: at this stage, in the order of their votes.
    """

    action: Action
    candidate: int | None
    votes: tuple[int, ...]
    non_transferable: int
    lost: int
    elected: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """Hold a whole count: who is elected, in order, and how it came to that."""

    quota: int
    elected: tuple[int, ...]
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Ballots:
    """Hold papers that say the same: how many, and the candidates in order of preference."""

    count: int
    ranking: tuple[int, ...]


def compute_quota(valid: int, seats: int) -> int:
    """Compute the least number of whole votes that no more than `seats` candidates can reach."""
    return valid // (seats + 1) + 1


def count_votes(
    ballots: Iterable[Ballots],
    candidates: int,
    seats: int,
    lot: Sequence[int],
    withdrawn: frozenset[int] = frozenset(),
) -> Count:
    """Count an election.

    Args:
        ballots: rankings name each candidate at most once; one without any candidate left is not valid.
        candidates: how many there are; they are named 0 .. candidates - 1.
        seats: at least 1.
        lot: every candidate once; who stands earlier wins a tie that no stage decides.
        withdrawn: who is passed over on every paper and cannot be elected.

    Cost: papers looked at once for each time they move; 10,000 different ballots about 20 ms.
    """
    assert 0 < candidates <= CANDIDATES_MAX and seats > 0 and sorted(lot) == list(range(candidates))
    return _Counting(ballots, candidates, seats, lot, withdrawn).run()


class _Counting:
    """The state of one count. A paper is (ranking, place of its holder in it, how many, value in parts)."""

    __slots__ = (
        "_continuing",
        "_elected",
        "_lot",
        "_non_transferable",
        "_pending",
        "_piles",
        "_quota",
        "_seats",
        "_stages",
        "_total",
        "_votes",
    )

    def __init__(
        self,
        ballots: Iterable[Ballots],
        candidates: int,
        seats: int,
        lot: Sequence[int],
        withdrawn: frozenset[int],
    ) -> None:
        self._seats = seats
        self._lot = {candidate: place for place, candidate in enumerate(lot)}
        self._continuing = [candidate not in withdrawn for candidate in range(candidates)]
        self._votes = [0] * candidates
        self._piles: list[list[tuple[tuple[int, ...], int, int, int]]] = [[] for _ in range(candidates)]
        self._elected: list[int] = []
        self._pending: list[int] = []
        self._stages: list[Stage] = []
        self._non_transferable = 0
        for paper in ballots:
            self._hand_on(paper.ranking, 0, paper.count, UNIT)
        self._non_transferable = 0  # a paper that names nobody from the start is not valid
        self._total = sum(self._votes)
        self._quota = compute_quota(self._total // UNIT, seats)

    def run(self) -> Count:
        """Count stage by stage until every seat is filled or nobody is left."""
        self._end_stage(Action.FIRST_PREFERENCES, None)
        while not self._is_over():
            if self._pending:
                self._transfer_surplus()
            else:
                self._exclude()
        return Count(self._quota, tuple(self._elected), tuple(self._stages))

    def _is_over(self) -> bool:
        """Fill the last seats when no count is needed for it (rule 51), and tell whether all is done."""
        left = [c for c, is_in in enumerate(self._continuing) if is_in]
        vacancies = self._seats - len(self._elected)
        if 0 < len(left) <= vacancies:
            ranked = sorted(left, key=self._rank)
            self._elected += ranked
            last = self._stages[-1]
            self._stages[-1] = replace(last, elected=last.elected + tuple(ranked))
            return True
        return not vacancies or not left

    def _hand_on(self, ranking: tuple[int, ...], place: int, count: int, value: int) -> None:
        """Give papers to the next continuing candidate of their ranking, if there is one."""
        for at in range(place, len(ranking)):
            candidate = ranking[at]
            if self._continuing[candidate]:
                self._piles[candidate].append((ranking, at, count, value))
                self._votes[candidate] += count * value
                return
        self._non_transferable += count * value

    def _transfer_surplus(self) -> None:
        """Move the largest surplus (rules 48 and 49)."""
        candidate = min(self._pending, key=self._rank)
        self._pending.remove(candidate)
        total = self._votes[candidate]
        surplus = total - self._quota * UNIT
        if not surplus:
            return
        pile, self._piles[candidate] = self._piles[candidate], []
        self._votes[candidate] = self._quota * UNIT
        for ranking, place, count, value in pile:
            self._hand_on(ranking, place + 1, count, surplus * value // total)
        self._end_stage(Action.SURPLUS, candidate)

    def _exclude(self) -> None:
        """Exclude whoever has least (rule 50)."""
        candidate = max((c for c, is_in in enumerate(self._continuing) if is_in), key=self._rank)
        self._continuing[candidate] = False
        pile, self._piles[candidate] = self._piles[candidate], []
        self._votes[candidate] = 0
        for ranking, place, count, value in pile:
            self._hand_on(ranking, place + 1, count, value)
        self._end_stage(Action.EXCLUSION, candidate)

    def _rank(self, candidate: int) -> tuple[int, ...]:
        """Return what sorts the better placed first: votes now, then at each earlier stage, then the lot."""
        earlier = [-stage.votes[candidate] for stage in reversed(self._stages)]
        return (-self._votes[candidate], *earlier, self._lot[candidate])

    def _end_stage(self, action: Action, moved: int | None) -> None:
        """Elect who has reached the quota, as far as there are seats, and note the stage."""
        reached = [
            c for c, is_in in enumerate(self._continuing) if is_in and self._votes[c] >= self._quota * UNIT
        ]
        elected = sorted(reached, key=self._rank)[: self._seats - len(self._elected)]
        for candidate in elected:
            self._continuing[candidate] = False
        self._elected += elected
        self._pending += elected
        votes = tuple(self._votes)
        lost = self._total - sum(votes) - self._non_transferable
        self._stages.append(Stage(action, moved, votes, self._non_transferable, lost, tuple(elected)))
