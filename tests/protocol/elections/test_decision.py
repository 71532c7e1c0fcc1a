"""Decisions: the edges of each rule, and that what is foreseen is what comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.elections.decision import (
    WHOLE_BP,
    Outcome,
    Tally,
    Threshold,
    count_missing_yes,
    decide,
    foresee,
)

ORDINARY = Threshold(1_000, 5_000)
BYLAW = Threshold(3_000, 6_670, 2_500)
PASSED, REJECTED, NO_QUORUM = Outcome


@pytest.mark.parametrize(
    ("tally", "threshold", "outcome"),
    [
        (Tally(10, 0, 0), ORDINARY, PASSED),
        (Tally(9, 0, 0), ORDINARY, NO_QUORUM),
        (Tally(5, 4, 1), ORDINARY, PASSED),
        (Tally(5, 5, 0), ORDINARY, REJECTED),
        (Tally(0, 0, 100), ORDINARY, REJECTED),
        (Tally(0, 0, 0), Threshold(0, 5_000), NO_QUORUM),
        (Tally(1, 0, 0), Threshold(0, 5_000), PASSED),
        (Tally(25, 5, 0), BYLAW, PASSED),
        (Tally(24, 6, 0), BYLAW, REJECTED),
        (Tally(66, 34, 0), BYLAW, REJECTED),
        (Tally(67, 33, 0), BYLAW, PASSED),
    ],
)
def test_each_rule_at_its_edge(tally: Tally, threshold: Threshold, outcome: Outcome) -> None:
    assert decide(tally, 100, threshold) is outcome


thresholds = st.builds(
    Threshold, st.integers(0, WHOLE_BP), st.integers(0, WHOLE_BP - 1), st.integers(0, WHOLE_BP)
)
votes = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))


@given(votes, thresholds)
def test_one_more_yes_never_turns_a_pass_into_a_fail(
    vote: tuple[int, int, int, int], threshold: Threshold
) -> None:
    yes, no, abstain, rest = vote
    electorate = yes + no + abstain + rest + 1
    if decide(Tally(yes, no, abstain), electorate, threshold) is PASSED:
        assert decide(Tally(yes + 1, no, abstain), electorate, threshold) is PASSED


@given(votes, thresholds, st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)))
def test_what_is_foreseen_is_what_comes(
    vote: tuple[int, int, int, int], threshold: Threshold, later: tuple[int, int, int]
) -> None:
    yes, no, abstain, undecided = vote
    electorate = yes + no + abstain + undecided
    early = foresee(Tally(yes, no, abstain), electorate, threshold, undecided)
    more_yes = min(later[0], undecided)
    more_no = min(later[1], undecided - more_yes)
    more_abstain = min(later[2], undecided - more_yes - more_no)
    final = decide(Tally(yes + more_yes, no + more_no, abstain + more_abstain), electorate, threshold)
    assert early is None or (early is PASSED) == (final is PASSED)


@given(votes, thresholds)
def test_missing_yes_are_just_enough(vote: tuple[int, int, int, int], threshold: Threshold) -> None:
    yes, no, abstain, rest = vote
    tally, electorate = Tally(yes, no, abstain), yes + no + abstain + rest
    missing = count_missing_yes(tally, electorate, threshold)
    if missing is None:
        assert foresee(tally, electorate, threshold, rest) is REJECTED
        return
    assert decide(Tally(yes + missing, no, abstain), electorate, threshold) is PASSED
    if missing:
        assert decide(Tally(yes + missing - 1, no, abstain), electorate, threshold) is not PASSED
