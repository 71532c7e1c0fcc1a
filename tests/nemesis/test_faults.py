"""The plan of faults: the same seed draws the same, no track overlaps itself, every kind has its turn."""

from itertools import pairwise

import pytest

from tests.nemesis.faults import HURTS, WEATHER, Kind, plan


def test_a_seed_is_a_plan() -> None:
    assert plan(7, 60) == plan(7, 60) != plan(8, 60)


def test_every_kind_comes_in_time_and_ends_in_time() -> None:
    steps = plan(3, 100)
    assert {step.kind for step in steps} == set(Kind)
    assert all(0 <= step.begin < step.end <= 100 for step in steps)


@pytest.mark.parametrize("track", [HURTS, tuple(WEATHER)])
def test_one_fault_of_a_track_ends_before_the_next_begins(track: tuple[Kind, ...]) -> None:
    steps = [step for step in plan(5, 100) if step.kind in track]
    assert len(steps) > len(track)
    assert all(before.end < after.begin for before, after in pairwise(steps))


def test_only_the_kinds_that_were_asked_for_come() -> None:
    assert {step.kind for step in plan(1, 60, [Kind.KILL_LEADER])} == {Kind.KILL_LEADER}
    assert plan(1, 0) == ()
