"""voting, leaving: who voted against takes the shares out in the time lock, and too many end the proposal."""

import pytest

from protocol.codec import Value
from protocol.contracts.members import records as m
from protocol.contracts.voting import leaving
from protocol.contracts.voting import records as v
from protocol.errors import Code
from tests.protocol.contracts.coop_world import SHARES, check_books
from tests.protocol.contracts.test_shares import PAR, create
from tests.protocol.contracts.test_voting import (
    ABSTAIN,
    NO,
    PEOPLE,
    TYPE,
    VOTING,
    YES,
    Hall,
    set_policy,
    stored,
)
from tests.protocol.ledger_world import ALICE, BOB, CAROL, NONE, Person

DAN, EVE = PEOPLE[3:]


class Split(Hall):
    """Five members with ten shares each, and terms for leaving."""

    def __init__(self, retention_bp: int = 4_000, cap: int = 10_000) -> None:
        super().__init__()
        self.gov(create(cap=cap), set_retention(retention_bp))
        for who in PEOPLE:
            self.do(who, (SHARES, 3, 0, (who.address, 1, 10)))

    def pass_against(self, *against: tuple[Person, int]) -> int:
        number = self.propose()
        names = dict(against)
        self.vote(number, *[(who, names.get(who, YES)) for who in PEOPLE])
        self.run(seconds=1_000)
        assert self.state_of(number) == v.PASSED
        return number


def set_retention(retention_bp: int) -> Value:
    return (VOTING, 20, NONE, (TYPE, retention_bp))


def leave(who: Person, number: int) -> Value:
    return (VOTING, 21, 0, (who.address, number))


def test_who_voted_against_leaves_at_once_ahead_of_the_queue_and_its_cap() -> None:
    hall = Split(cap=0)
    hall.do(CAROL, (SHARES, 8, 0, (CAROL.address, 1, 5)))  # waits, and the cap lets nobody through
    number = hall.pass_against((ALICE, NO), (BOB, ABSTAIN))
    for who in (ALICE, BOB):
        assert hall.do(who, leave(who, number)) == (v.PASSED,)
        assert hall.free(who) == 1_000
        assert hall.member(hall.numbers[who]).status == m.EXITING
    assert hall.ask("voting", "leaving", number) == (4_000, 2)
    assert hall.free(CAROL) == 1_000 - 10 * PAR
    hall.run(seconds=100)
    assert hall.state_of(number) == v.EXECUTED
    check_books(hall)


def test_one_more_than_the_terms_allow_ends_the_proposal() -> None:
    hall = Split()  # 40 % of five members are two
    number = hall.pass_against((ALICE, NO), (BOB, ABSTAIN), (CAROL, ABSTAIN))
    hall.do(ALICE, leave(ALICE, number))
    hall.do(BOB, leave(BOB, number))
    assert hall.do(CAROL, leave(CAROL, number)) == (v.REJECTED,)
    hall.run(seconds=200)
    assert hall.state_of(number) == v.REJECTED and not hall.has_role()
    check_books(hall)


def test_capital_counts_as_well_as_members() -> None:
    hall = Split(retention_bp=2_500)
    hall.do(ALICE, (SHARES, 3, 0, (ALICE.address, 1, 6)))  # 16 of 56 shares are more than a quarter
    number = hall.pass_against((ALICE, NO))
    assert hall.do(ALICE, leave(ALICE, number)) == (v.REJECTED,)


def test_only_those_against_and_only_in_the_time_lock() -> None:
    hall = Split()
    number = hall.pass_against((ALICE, NO), (BOB, NO))
    assert hall.code(CAROL, leave(CAROL, number)) == v.NOT_ELIGIBLE
    hall.do(ALICE, leave(ALICE, number))
    assert hall.code(ALICE, leave(ALICE, number)) == m.STANDING
    hall.run(seconds=100)
    assert hall.code(BOB, leave(BOB, number)) == v.STATE
    assert hall.code(BOB, leave(BOB, 99)) == v.NO_PROPOSAL


def test_terms_are_those_of_the_day_on_which_it_was_made() -> None:
    hall = Split()
    number = hall.pass_against((ALICE, NO))
    hall.gov(set_retention(0))
    hall.do(ALICE, leave(ALICE, number))
    other = hall.propose(BOB)
    assert hall.ask("voting", "leaving", other) is None
    hall.vote(other, *[(who, YES) for who in (CAROL, DAN, EVE)], (BOB, NO))
    hall.run(seconds=1_000)
    assert hall.code(BOB, leave(BOB, other)) == leaving.NO_LEAVING


def test_a_second_reading_has_the_terms_of_the_first() -> None:
    hall = Split()
    hall.gov(set_policy(two_readings=True))
    number = hall.pass_against((ALICE, NO))
    hall.gov(set_retention(0))
    hall.run(seconds=101)
    assert hall.ask("voting", "leaving", number + 1) == (4_000, 0)


def test_pledged_shares_stay_and_a_queued_request_is_paid_with_the_rest() -> None:
    hall = Split(cap=0)
    hall.do(ALICE, (SHARES, 6, 0, (ALICE.address, 1, 3, BOB.address)), (SHARES, 8, 0, (ALICE.address, 1, 4)))
    number = hall.pass_against((ALICE, NO))
    hall.do(ALICE, leave(ALICE, number))
    assert hall.free(ALICE) == 1_000 - 3 * PAR
    assert hall.ask("shares", "requests", hall.numbers[ALICE]) == ()
    check_books(hall)


@pytest.mark.parametrize(
    ("asked", "code"), [(4_000, 0), (3_999, 0), (4_001, v.WEAKENS_ITSELF), (0, v.WEAKENS_ITSELF)]
)
def test_a_vote_never_lets_more_leave_before_it_fails(asked: int, code: int) -> None:
    hall = Split()
    hall.gov(set_policy(methods=((VOTING, 20),)))
    number = hall.propose(ALICE, stored(set_retention(asked)))
    hall.vote(number, *[(who, YES) for who in PEOPLE])
    hall.run(seconds=1_000)
    hall.run(seconds=101)
    assert hall.field(number, 18) == code
    assert (hall.state_of(number) == v.EXECUTED) == (code == Code.OK)


def test_nobody_leaves_over_what_does_not_wait() -> None:
    hall = Hall(timelock=0)
    assert hall.gov_outcome(set_retention(4_000)).code == v.POLICY
    assert hall.gov_outcome(set_retention(0)).code == Code.OK
