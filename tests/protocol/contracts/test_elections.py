"""voting, elections: standing, papers, the count of real wards on the chain, the office, and countback."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.members import contract as members
from protocol.contracts.voting import counting as c
from protocol.contracts.voting import elections as e
from protocol.contracts.voting import records as v
from protocol.elections.stv import CANDIDATES_MAX
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import HASH, MEMBERS
from tests.protocol.contracts.test_voting import PEOPLE, TYPE, VOTING, Hall, vote
from tests.protocol.contracts.test_voting_runs import put_in_force
from tests.protocol.ledger_world import ALICE, BOB, CAROL, NONE, Person, person

DAN, EVE = PEOPLE[3:]
WARDS = Path(__file__).parents[2] / "vectors" / "stv" / "glasgow_2007_wards.json"
TERM = 1_000_000


class Assembly(Hall):
    """A hall in which the office of auditor is elected."""

    def __init__(self, seats_of_role: int = 5, **changes: Any) -> None:
        super().__init__(**{"methods": ((MEMBERS, 19),), "discussion": 50, "timelock": 0, **changes})
        # role, admin, guardian, delay, longest term, most holders, members only
        self.gov((MEMBERS, 18, NONE, ("auditor", "board", "", 0, TERM, seats_of_role, True)))

    def call(self, seats: int = 1, method: int = e.STV) -> int:
        (number,) = self.do(ALICE, election(seats, method))
        assert type(number) is int
        return number

    def holds(self, who: Person) -> bool:
        return auth.has_role(View(self.state), who.address, "auditor")


def election(seats: int = 1, method: int = e.STV, role: str = "auditor") -> Value:
    return (VOTING, 13, 0, (ALICE.address, TYPE, "who audits", HASH, role, seats, TERM, method))


def stand(who: Person, number: int) -> Value:
    return (VOTING, 14, 0, (who.address, number))


def rank(who: Person, number: int, *ranking: int) -> Value:
    return (VOTING, 16, 0, (who.address, number, (0, *ranking)))


def held(hall: Assembly, seats: int, papers: dict[Person, tuple[int, ...]], method: int = e.STV) -> int:
    """Hold an election in which everybody stands, in the order of `PEOPLE`."""
    number = hall.call(seats, method)
    for who in PEOPLE:
        hall.do(who, stand(who, number))
    hall.run(seconds=60)
    for who, ranking in papers.items():
        hall.do(who, rank(who, number, *ranking))
    hall.run(seconds=1_000)
    return number


def test_the_elected_hold_the_office_for_its_term() -> None:
    hall = Assembly()
    papers = {ALICE: (1, 2), BOB: (1, 2), CAROL: (1, 2), DAN: (4,), EVE: (2, 4)}
    number = held(hall, 2, papers)
    assert hall.state_of(number) == v.EXECUTED
    assert [hall.holds(who) for who in PEOPLE] == [False, True, True, False, False]
    row = hall.ask("voting", "election", number)
    assert type(row) is tuple and row[5] == (1, 2)


def test_approval_counts_who_is_named_most() -> None:
    hall = Assembly()
    papers = {ALICE: (0, 3), BOB: (3, 1), CAROL: (3,), DAN: (0,)}
    held(hall, 1, papers, e.APPROVAL)
    assert [hall.holds(who) for who in PEOPLE] == [False, False, False, True, False]


def test_without_a_quorum_nobody_is_elected() -> None:
    hall = Assembly()
    number = held(hall, 1, {ALICE: (1,)})
    assert hall.state_of(number) == v.NO_QUORUM
    assert not any(hall.holds(who) for who in PEOPLE)


def test_nobody_stands_and_nothing_breaks() -> None:
    hall = Assembly()
    number = hall.call()
    hall.run(seconds=60)
    assert hall.code(ALICE, rank(ALICE, number, 0)) == e.RANKING
    hall.run(seconds=1_000)
    assert hall.state_of(number) == v.NO_QUORUM


def test_standing_ends_when_the_vote_starts_and_standing_down_when_it_ends() -> None:
    hall = Assembly()
    number = hall.call()
    hall.do(ALICE, stand(ALICE, number))
    assert hall.code(ALICE, stand(ALICE, number)) == e.CANDIDACY
    hall.do(BOB, stand(BOB, number))
    hall.run(seconds=60)
    assert hall.code(CAROL, stand(CAROL, number)) == v.STATE
    assert hall.code(CAROL, (VOTING, 15, 0, (CAROL.address, number))) == e.CANDIDACY
    for who in (CAROL, DAN, EVE):
        hall.do(who, rank(who, number, 0, 1))
    hall.do(ALICE, (VOTING, 15, 0, (ALICE.address, number)))
    hall.run(seconds=1_000)
    assert hall.holds(BOB) and not hall.holds(ALICE)


@pytest.mark.parametrize("ranking", [(0, 0), (5,), (0, 5)])
def test_a_paper_names_candidates_each_once(ranking: tuple[int, ...]) -> None:
    hall = Assembly()
    number = hall.call()
    for who in PEOPLE:
        hall.do(who, stand(who, number))
    hall.run(seconds=60)
    assert hall.code(ALICE, rank(ALICE, number, *ranking)) == e.RANKING
    hall.do(ALICE, rank(ALICE, number, 4))


def test_a_paper_is_replaced_whole() -> None:
    hall = Assembly()
    number = hall.call()
    for who in PEOPLE:
        hall.do(who, stand(who, number))
    hall.run(seconds=60)
    assert hall.do(ALICE, rank(ALICE, number, 1)) == (1,)
    assert hall.do(BOB, rank(BOB, number, 1)) == (2,)
    assert hall.do(ALICE, rank(ALICE, number, 2)) == (1,)
    assert hall.tally(number) == (2, 0, 0)
    strict = Assembly(replace=False)
    number = strict.call()
    strict.do(ALICE, stand(ALICE, number))
    strict.run(seconds=60)
    strict.do(BOB, rank(BOB, number, 0))
    assert strict.code(BOB, rank(BOB, number, 0)) == v.VOTED


def test_an_election_is_not_voted_on_and_a_proposal_not_ranked() -> None:
    hall = Assembly()
    number = hall.call()
    hall.do(ALICE, stand(ALICE, number))
    plain = hall.propose(BOB, b"")
    hall.run(seconds=60)
    assert hall.code(ALICE, vote(ALICE, number, 1)) == v.NOT_ALLOWED
    assert hall.code(ALICE, rank(ALICE, plain, 0)) == e.NO_ELECTION


@pytest.mark.parametrize(
    "changes",
    [
        {"methods": ()},
        {"discussion": 0},
        {"sealed": True, "quiet": 9},
        {"early": True, "replace": False},
        {"two_readings": True},
    ],
)
def test_not_every_type_elects(changes: dict[str, Any]) -> None:
    hall = Assembly(**changes)
    assert hall.code(ALICE, election()) == v.NOT_ALLOWED


def test_the_elected_get_the_office_whatever_version_of_members_is_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hall = Assembly()
    put_in_force(hall, monkeypatch, replace(members.CONTRACT, version=2))
    number = held(hall, 1, {ALICE: (1,), BOB: (1,), CAROL: (1,)})
    assert hall.state_of(number) == v.EXECUTED and hall.holds(BOB)


def test_an_office_that_is_full_is_tried_again() -> None:
    hall = Assembly(seats_of_role=1)
    hall.gov((MEMBERS, 19, NONE, (EVE.address, "auditor", 2_000)))
    number = held(hall, 1, {ALICE: (1,), BOB: (1,), CAROL: (1,)})
    assert hall.state_of(number) == v.PASSED and hall.field(number, 17) == 1
    hall.wait(2_000)
    hall.run(seconds=2_000)
    assert hall.state_of(number) == v.EXECUTED and hall.holds(BOB)


def test_a_vacant_seat_goes_to_whom_the_same_papers_name_next() -> None:
    hall = Assembly()
    number = held(hall, 1, {ALICE: (1, 2), BOB: (1, 2), CAROL: (1, 3), DAN: (3,), EVE: (2,)})
    back = (VOTING, 17, 0, (number, 1))
    assert hall.code(EVE, back) == e.IN_OFFICE
    assert hall.code(EVE, (VOTING, 17, 0, (number, 3))) == e.IN_OFFICE
    hall.gov((MEMBERS, 21, NONE, (BOB.address, "auditor")))
    assert not hall.holds(BOB)
    assert hall.do(EVE, back) == (2,)
    assert hall.holds(CAROL) and not hall.holds(DAN)
    assert hall.code(EVE, back) == e.IN_OFFICE


def test_a_real_ward_is_counted_on_the_chain() -> None:
    ward = min(json.loads(WARDS.read_text())["cases"], key=lambda c: len(c["input"]["ballots"]))
    hall = Assembly()
    number = hall.call(ward["input"]["seats"])
    view = View(hall.state)
    row = e.get_election(view, number)
    candidates = len(ward["input"]["candidates"])
    for at in range(candidates):
        e.CANDIDATES.put(view, e.CANDIDATES.key(number, at), (1, hall.numbers[ALICE], False))
    e.ELECTIONS.put(view, e.ELECTIONS.key(number), (*row[:5], candidates, *row[6:]))
    for count, ranking in ward["input"]["ballots"]:
        for _ in range(count):
            e._bundle(view, number, tuple(c - 1 for c in ranking), 1)
    used = view.gas_used
    assert c.show_count(view, number) is None, "it has not begun"
    elected = None
    while elected is None:
        elected = c.go_on(view, number)
    shown = c.show_count(view, number)
    assert shown is not None and shown[:2] == (int(ward["expect"]["quota"]), elected)
    assert sorted(c + 1 for c in elected) == sorted(ward["expect"]["elected"])
    assert view.gas_used - used < 1_000_000


def test_so_many_stand_and_not_one_more() -> None:
    hall = Assembly()
    number = hall.call()
    view = View(hall.state)
    row = e.get_election(view, number)
    e.ELECTIONS.put(view, e.ELECTIONS.key(number), (*row[:5], CANDIDATES_MAX - 1, *row[6:]))
    hall.state.apply(view.collect_writes())
    hall.do(ALICE, stand(ALICE, number))
    assert hall.code(BOB, stand(BOB, number)) == e.CANDIDACY


def test_who_came_after_the_snapshot_neither_ranks_nor_is_kept_from_standing() -> None:
    hall = Assembly()
    number = hall.call()
    late = person("late")
    hall.join(late)
    hall.do(late, stand(late, number))
    hall.run(seconds=60)
    assert hall.code(late, rank(late, number, 0)) == v.NOT_ELIGIBLE
