"""Traces of the Quint model of Tendermint: our state is the model's on every step that can be compared."""

from collections import Counter

import pytest

from protocol.consensus.course import Course
from protocol.types import Height, View
from tests.protocol.consensus.itf import Replay, load_traces
from tests.protocol.consensus.itf_parts import replay_machine, replay_votes

TRACES = {"directed": 24, "random": 24}
STATES_MIN = {"directed": 900, "random": 1_600}
DIFFERENCES = {"queued", "proposer", "hopeless", "entered", "shown", "decided"}


def propose_as_the_model_does(course: Course, height: Height, view: View) -> int:
    return (view + 1) % len(course.record.validators)


@pytest.mark.parametrize("group", TRACES)
def test_states_and_votes_are_those_of_the_model(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Course, "proposer_of", propose_as_the_model_does)
    states = votes = traces = 0
    different: Counter[str] = Counter()
    for name, trace in load_traces(f"{group}.tar.xz"):
        replay = Replay(trace)
        try:
            replay.run()
            votes += replay.compare_sent()
        except AssertionError as difference:
            raise AssertionError(f"{name}: {difference}") from None
        states += replay.compared
        different += replay.different
        traces += 1
    assert traces == TRACES[group]
    assert states >= STATES_MIN[group], states
    assert votes > 150
    # What is not comparable is known by name, and rare beside what is.
    assert set(different) <= DIFFERENCES
    del different["queued"], different["decided"]
    assert different.total() < states / 5, different


PARTS = {
    "votekeeperTest": (replay_votes, 9, 35),
    "consensusTest": (replay_machine, 2, 15),
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_the_model_say_what_ours_do(part: str) -> None:
    replay, traces_expected, states_min = PARTS[part]
    traces = states = 0
    for name, trace in load_traces("directed.tar.xz", is_whole=False):
        if name.startswith(part):
            try:
                states += replay(trace)
            except AssertionError as difference:
                raise AssertionError(f"{name}: {difference}") from None
            traces += 1
    assert traces == traces_expected
    assert states >= states_min
