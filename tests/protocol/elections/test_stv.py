"""Single transferable votes: real wards stage by stage, ties, and what must hold for every election."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.elections.stv import (
    CANDIDATES_MAX,
    UNIT,
    Action,
    Ballots,
    Count,
    Counting,
    MemoryPiles,
    Paper,
    begin_count,
    compute_quota,
    count_votes,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "stv" / "glasgow_2007_wards.json"
WARDS = json.loads(VECTORS.read_text())["cases"]


def parts(text: str) -> int:
    """Read a figure of five decimals as parts of a vote."""
    whole, decimals = text.split(".")
    assert len(decimals) == 5
    return int(whole) * UNIT + int(decimals)


def count_ward(given: dict[str, Any], papers_max: int | None) -> Count:
    """Count a ward in one go, or so many papers a step; its candidates are numbered from 1."""
    ballots = [Ballots(count, tuple(c - 1 for c in ranking)) for count, ranking in given["ballots"]]
    candidates = len(given["candidates"])
    if papers_max is not None:
        return count_in_parts(ballots, candidates, given["seats"], range(candidates), papers_max)
    return count_votes(ballots, candidates, given["seats"], range(candidates))


class SmallPiles(MemoryPiles):
    """Give away so many papers at a time, the last ones first."""

    def __init__(self, candidates: int, papers_max: int) -> None:
        super().__init__(candidates)
        self.papers_max = papers_max

    def take(self, candidate: int) -> list[Paper]:
        pile = self._piles[candidate]
        taken, self._piles[candidate] = pile[-self.papers_max :], pile[: -self.papers_max]
        return taken


def count_in_parts(
    ballots: list[Ballots], candidates: int, seats: int, lot: Sequence[int], papers_max: int
) -> Count:
    """Count as `count_votes` does, with a machine that lives for one paper or one step."""
    piles, progress = SmallPiles(candidates, papers_max), begin_count(candidates)
    for bundle in ballots:
        counting = Counting(progress, piles, seats, range(candidates))
        counting.receive(bundle)
        progress = counting.progress()
    while True:
        counting = Counting(progress, piles, seats, lot)
        if not counting.step():
            return counting.result()
        progress = counting.progress()


@pytest.mark.parametrize("papers_max", [None, 64])
@pytest.mark.parametrize("ward", WARDS, ids=[ward["id"] for ward in WARDS])
def test_a_real_ward_comes_out_at_every_stage(ward: dict[str, Any], papers_max: int | None) -> None:
    count = count_ward(ward["input"], papers_max)
    expected = ward["expect"]
    assert count.quota == int(expected["quota"])
    assert sorted(c + 1 for c in count.elected) == sorted(expected["elected"])
    stages: list[tuple[tuple[int, ...], int]] = []
    for stage in expected["stages"]:
        votes = tuple(parts(stage["votes"][str(c + 1)]) for c in range(len(ward["input"]["candidates"])))
        if not stages or stages[-1][0] != votes:  # the source repeats a stage in which nothing moves
            stages.append((votes, parts(stage["non_transferable"])))
    assert [(stage.votes, stage.non_transferable) for stage in count.stages] == stages


def test_an_equal_last_place_goes_out_by_the_most_recent_stage_that_differs() -> None:
    # 1 and 2 end equal; 2 led 1 before 3's papers came, so 1 goes out although the lot favours it.
    ballots = [Ballots(9, (0,)), Ballots(4, (1,)), Ballots(5, (2,)), Ballots(1, (3, 1))]
    count = count_votes(ballots, 4, 1, (1, 0, 2, 3))
    assert [stage.candidate for stage in count.stages] == [None, 3, 1, 2]
    assert count.elected == (0,)


def test_what_no_stage_decides_the_lot_decides() -> None:
    ballots = [Ballots(5, (0,)), Ballots(5, (1,))]
    assert count_votes(ballots, 2, 1, (0, 1)).elected == (0,)
    assert count_votes(ballots, 2, 1, (1, 0)).elected == (1,)


def test_a_withdrawn_candidate_is_passed_over() -> None:
    count = count_votes([Ballots(3, (0, 1)), Ballots(2, (2,))], 3, 1, (0, 1, 2), frozenset({0}))
    assert count.elected == (1,)
    assert count.stages[0].votes == (0, 3 * UNIT, 2 * UNIT)


def test_as_many_candidates_as_seats_need_no_count() -> None:
    count = count_votes([Ballots(1, (1,))], 2, 2, (0, 1))
    assert count.elected == (1, 0)
    assert [stage.action for stage in count.stages] == [Action.FIRST_PREFERENCES]


def test_a_count_has_no_more_stages_than_candidates() -> None:
    lot = range(CANDIDATES_MAX)
    assert len(count_votes([Ballots(1, (0,))], CANDIDATES_MAX, 1, lot).stages) == 1
    assert len(count_votes([Ballots(1, (c,)) for c in lot], CANDIDATES_MAX, 1, lot).stages) == CANDIDATES_MAX


def test_more_candidates_than_a_count_takes_are_our_own_bug() -> None:
    assert count_votes([], CANDIDATES_MAX, 1, range(CANDIDATES_MAX)).elected
    with pytest.raises(AssertionError):
        count_votes([], CANDIDATES_MAX + 1, 1, range(CANDIDATES_MAX + 1))


rankings = st.integers(2, 6).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(
            st.tuples(st.integers(1, 50), st.lists(st.integers(0, n - 1), unique=True).map(tuple)),
            max_size=20,
        ),
        st.integers(1, n),
        st.permutations(range(n)),
    )
)


@given(rankings)
def test_votes_and_what_cannot_be_transferred_are_all_valid_votes(
    election: tuple[int, list[tuple[int, tuple[int, ...]]], int, list[int]],
) -> None:
    candidates, papers, seats, lot = election
    count = count_votes([Ballots(n, ranking) for n, ranking in papers], candidates, seats, lot)
    valid = sum(n for n, ranking in papers if ranking)
    assert count.quota == compute_quota(valid, seats)
    assert len(count.elected) == seats and len(set(count.elected)) == seats
    for stage in count.stages:
        assert min(stage.votes) >= 0 and stage.non_transferable >= 0
        assert sum(stage.votes) + stage.non_transferable + stage.lost == valid * UNIT
    assert len(count.stages) <= candidates
    lost = [stage.lost for stage in count.stages]
    assert lost == sorted(lost) and lost[0] == 0


@given(rankings)
def test_how_papers_are_bundled_does_not_matter(
    election: tuple[int, list[tuple[int, tuple[int, ...]]], int, list[int]],
) -> None:
    candidates, papers, seats, lot = election
    bundled = count_votes([Ballots(n, ranking) for n, ranking in papers], candidates, seats, lot)
    single = [Ballots(1, ranking) for n, ranking in reversed(papers) for _ in range(n)]
    assert count_votes(single, candidates, seats, lot) == bundled


@given(rankings, st.integers(1, 7))
def test_a_count_that_stops_after_every_step_is_the_count_in_one_go(
    election: tuple[int, list[tuple[int, tuple[int, ...]]], int, list[int]], papers_max: int
) -> None:
    candidates, papers, seats, lot = election
    ballots = [Ballots(n, ranking) for n, ranking in papers]
    in_one_go = count_votes(ballots, candidates, seats, lot)
    assert count_in_parts(ballots, candidates, seats, lot, papers_max) == in_one_go
