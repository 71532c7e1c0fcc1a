"""voting, priorities: credits, what they buy, and the ranking."""

from typing import Any

import pytest

from protocol.codec import Value
from protocol.contracts.voting import priorities as p
from protocol.contracts.voting import records as v
from tests.protocol.contracts.coop_world import HASH
from tests.protocol.contracts.test_voting import TYPE, VOTING, Hall, vote
from tests.protocol.ledger_world import ALICE, BOB, CAROL, Person

NAMES = ("roof", "well", "school")


def call(hall: Hall, credit_count: int = 100) -> int:
    terms: Value = (ALICE.address, TYPE, "what first", HASH, (0, *NAMES), credit_count)
    (number,) = hall.do(ALICE, (VOTING, 18, 0, terms))
    assert type(number) is int
    return number


def spread(who: Person, number: int, *wanted: tuple[int, int]) -> Value:
    return (VOTING, 19, 0, (who.address, number, (0, *[(0, *pair) for pair in wanted])))


def ranking(hall: Hall, number: int) -> Any:
    return hall.ask("voting", "ranking", number)


def test_many_small_wishes_outweigh_one_large_one() -> None:
    hall = Hall()
    number = call(hall)
    assert hall.do(ALICE, spread(ALICE, number, (0, 100))) == (0,)
    for who in (BOB, CAROL):
        assert hall.do(who, spread(who, number, (1, 49), (2, 50))) == (1,)
    assert ranking(hall, number) == ((2, "school", 14_142), (1, "well", 14_000), (0, "roof", 10_000))
    hall.run(seconds=1_000)
    hall.run(seconds=200)
    assert hall.state_of(number) == v.EXECUTED


def test_credits_at_the_limit_and_one_beyond() -> None:
    hall = Hall()
    number = call(hall)
    assert hall.code(ALICE, spread(ALICE, number, (0, 50), (1, 51))) == p.CREDITS
    assert hall.do(ALICE, spread(ALICE, number, (0, 50), (1, 50))) == (0,)


@pytest.mark.parametrize("wanted", [((0, 1), (0, 1)), ((3, 1),)])
def test_options_are_those_of_the_proposal_each_once(wanted: tuple[tuple[int, int], ...]) -> None:
    hall = Hall()
    number = call(hall)
    assert hall.code(ALICE, spread(ALICE, number, *wanted)) == p.CREDITS


def test_who_spreads_anew_takes_back_what_he_gave() -> None:
    hall = Hall()
    number = call(hall)
    hall.do(ALICE, spread(ALICE, number, (0, 100)))
    hall.do(ALICE, spread(ALICE, number, (1, 25)))
    assert ranking(hall, number) == ((1, "well", 5_000), (0, "roof", 0), (2, "school", 0))
    assert hall.tally(number) == (1, 0, 0)
    strict = Hall(replace=False)
    number = call(strict)
    strict.do(ALICE, spread(ALICE, number, (0, 1)))
    assert strict.code(ALICE, spread(ALICE, number, (0, 1))) == v.VOTED


def test_priorities_are_not_voted_on_and_proposals_not_ranked() -> None:
    hall = Hall()
    number = call(hall)
    assert hall.code(ALICE, vote(ALICE, number, 1)) == v.NOT_ALLOWED
    plain = hall.propose(BOB, b"")
    assert hall.code(ALICE, spread(ALICE, plain, (0, 1))) == p.NO_PRIORITIES


@pytest.mark.parametrize(
    "changes", [{"sealed": True, "quiet": 9}, {"early": True, "replace": False}, {"two_readings": True}]
)
def test_not_every_type_ranks(changes: dict[str, Any]) -> None:
    hall = Hall(**changes)
    terms: Value = (ALICE.address, TYPE, "what first", HASH, (0, *NAMES), 10)
    assert hall.code(ALICE, (VOTING, 18, 0, terms)) == v.NOT_ALLOWED
