"""voting by shares: what holders of a class decide on, with what weight, and how members stop them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import Value
from protocol.contracts.voting import records as v
from protocol.errors import Code
from tests.protocol.contracts.coop_world import SHARES
from tests.protocol.contracts.test_voting import (
    GIVE_ROLE,
    NO,
    PEOPLE,
    VOTING,
    YES,
    Hall,
    propose,
    set_policy,
    stored,
    vote,
)
from tests.protocol.ledger_world import ALICE, BOB, CAROL, COOP, NONE, Person, person

DAN, EVE = PEOPLE[3:]
MATTER = 2
SET_TERMS = (SHARES, 2)
HOLDINGS = ((ALICE, 60), (BOB, 30), (CAROL, 10))


class Holders(Hall):
    """Five members, three of whom hold shares of class 1; nobody holds any of class 2."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        terms = (COOP, 10, False, 0, 1_000, 0, 10_000, 0, 60_000)
        self.gov((SHARES, 1, NONE, ("Member share", *terms)), (SHARES, 1, NONE, ("Investor share", *terms)))
        for who, count in HOLDINGS:
            self.do(who, (SHARES, 3, 0, (who.address, 1, count)))
        by_shares = {"weight": v.BY_SHARES, "share_class": 1, "cap_bp": 4_000, "quorum_bp": 2_000}
        self.gov(set_policy(MATTER, **{**by_shares, "methods": (SET_TERMS,), **changes}))
        self.run()

    def ask_for(self, share_class: int = 1, who: Person = ALICE) -> Value:
        return propose(who, new_terms(share_class), MATTER)

    def pass_matter(self) -> int:
        (number,) = self.do(ALICE, self.ask_for())
        assert type(number) is int
        self.vote(number, (ALICE, YES), (CAROL, YES))
        self.run(seconds=1_000)
        assert self.state_of(number) == v.PASSED
        return number


def new_terms(share_class: int) -> bytes:
    return stored((SHARES, 2, NONE, (share_class, 0, 500, 30, 1_000, 0, 40_000)))


def veto(who: Person, number: int) -> Value:
    return (VOTING, 10, 0, (who.address, number))


def test_shares_vote_as_they_were_at_the_snapshot_and_up_to_the_cap() -> None:
    hall = Holders()
    (number,) = hall.do(ALICE, hall.ask_for())
    assert type(number) is int and hall.field(number, 8) == 100
    hall.do(CAROL, (SHARES, 3, 0, (CAROL.address, 1, 90)))
    hall.vote(number, (ALICE, YES), (BOB, NO), (CAROL, NO))
    assert hall.tally(number) == (40, 40, 0)
    assert hall.code(DAN, vote(DAN, number, YES)) == v.NOT_ELIGIBLE


def test_holders_of_a_class_decide_on_that_class_and_on_no_other() -> None:
    hall = Holders()
    assert hall.code(ALICE, hall.ask_for(share_class=2)) == v.NOT_ALLOWED
    number = hall.pass_matter()
    hall.run(seconds=101)
    assert hall.state_of(number) == v.EXECUTED
    most = {row[0]: row[6] for row in hall.ask("shares", "classes")}  # type: ignore
    assert most == {1: 500, 2: 1_000}


@pytest.mark.parametrize(
    ("methods", "code"),
    [((SET_TERMS,), 0), ((SET_TERMS, GIVE_ROLE), v.POLICY), (((SHARES, 1),), v.POLICY), ((), 0)],
)
def test_shares_decide_on_shares_only(methods: tuple[tuple[int, int], ...], code: int) -> None:
    policy = set_policy(MATTER, weight=v.BY_SHARES, share_class=1, methods=methods)
    assert Hall().gov_outcome(policy).code == code


def test_no_vote_of_members_makes_itself_one_of_shares() -> None:
    hall = Hall(methods=((VOTING, 1), SET_TERMS))
    number = hall.propose(program=stored(set_policy(weight=v.BY_SHARES, share_class=1, methods=(SET_TERMS,))))
    hall.vote(number, (ALICE, YES), (BOB, YES))
    hall.run(seconds=1_000)
    hall.run(seconds=101)
    assert hall.field(number, 18) == v.WEAKENS_ITSELF


def test_enough_members_stop_what_holders_decided_each_with_one_vote() -> None:
    hall = Holders(veto_bp=4_000)
    number = hall.pass_matter()
    assert hall.do(DAN, veto(DAN, number)) == (False,)
    assert hall.code(DAN, veto(DAN, number)) == v.VOTED
    late = person("late")
    hall.join(late)
    assert hall.code(late, veto(late, number)) == v.NOT_ELIGIBLE
    assert hall.ask("voting", "objections", number) == (1, 2)
    assert hall.do(EVE, veto(EVE, number)) == (True,)
    hall.run(seconds=101)
    assert hall.state_of(number) == v.VETOED
    assert hall.code(BOB, hall.ask_for(who=BOB)) == v.COOLDOWN


def test_too_few_objections_stop_nothing() -> None:
    hall = Holders(veto_bp=4_001)
    number = hall.pass_matter()
    assert hall.do(DAN, veto(DAN, number)) == hall.do(EVE, veto(EVE, number)) == (False,)
    hall.run(seconds=101)
    assert hall.state_of(number) == v.EXECUTED
    assert hall.code(BOB, veto(BOB, number)) == v.STATE


def test_members_object_only_where_the_policy_says_so_and_after_the_vote() -> None:
    hall = Holders()
    assert hall.code(DAN, veto(DAN, hall.pass_matter())) == Code.ROLE
    assert hall.ask("voting", "objections", 1) == (0, 0)
    hall = Holders(veto_bp=1)
    (number,) = hall.do(ALICE, hall.ask_for())
    assert type(number) is int and hall.code(DAN, veto(DAN, number)) == v.STATE


@pytest.mark.parametrize(
    "changes",
    [
        {"veto_bp": 1, "veto_role": "board"},
        {"veto_bp": 1, "timelock": 0},
        {"veto_role": "board", "timelock": 0},
    ],
)
def test_what_can_be_stopped_names_one_body_and_waits(changes: dict[str, Any]) -> None:
    assert Hall().gov_outcome(set_policy(**changes)).code == v.POLICY


@pytest.mark.parametrize(
    ("asked", "code"), [(2_000, 0), (1_999, 0), (2_001, v.WEAKENS_ITSELF), (0, v.WEAKENS_ITSELF)]
)
def test_no_vote_makes_itself_harder_to_stop(asked: int, code: int) -> None:
    hall = Hall(methods=((VOTING, 1),), veto_bp=2_000)
    number = hall.propose(program=stored(set_policy(methods=((VOTING, 1),), veto_bp=asked)))
    hall.vote(number, (ALICE, YES), (BOB, YES))
    hall.run(seconds=1_000)
    hall.run(seconds=101)
    assert hall.field(number, 18) == code


cast = st.lists(st.tuples(st.sampled_from(PEOPLE), st.integers(YES, 3)), max_size=8)
handed = st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(PEOPLE)), max_size=4)
counts = st.lists(st.integers(0, 40), min_size=5, max_size=5)


@settings(max_examples=15, deadline=None)
@given(counts, st.integers(1, 10_000), cast, handed)
def test_weights_cast_are_each_within_the_cap_and_together_within_the_electorate(
    shares: list[int], cap_bp: int, votes: list[tuple[Person, int]], to_whom: list[tuple[Person, Person]]
) -> None:
    hall = Holders(cap_bp=cap_bp)
    for who, count in zip(PEOPLE, shares, strict=True):
        if count:
            hall.do(who, (SHARES, 3, 0, (who.address, 1, count)))
    for who, to in to_whom:
        if who != to:
            hall.do(who, (VOTING, 11, 0, (who.address, MATTER, to.address)))
    hall.run()
    (number,) = hall.do(ALICE, hall.ask_for())
    assert type(number) is int
    electorate = hall.field(number, 8)
    assert electorate == 100 + sum(shares)
    for who, choice in votes:
        hall.code(who, vote(who, number, choice))
    tally = hall.tally(number)
    assert isinstance(tally, tuple) and sum(tally) <= electorate  # type: ignore[arg-type, operator]
    cap = max(1, electorate * cap_bp // 10_000)  # type: ignore[operator]
    ballots = [hall.ask("voting", "ballot", number, hall.numbers[who]) for who in PEOPLE]
    cast_by = [row for row in ballots if isinstance(row, tuple)]
    assert all(own <= cap and carried <= 4 * cap for _, own, carried in cast_by)  # type: ignore[operator]
    assert sum([own + carried for _, own, carried in cast_by]) == sum(tally)  # type: ignore
