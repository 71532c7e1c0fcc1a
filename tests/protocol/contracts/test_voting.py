"""voting: the life of a proposal, every limit, delegation, sealed ballots, and the attacks that are known."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import crypto
from protocol.codec import Value, encode
from protocol.contracts import auth
from protocol.contracts.members import records as m
from protocol.contracts.voting import records as v
from protocol.contracts.voting.ballots import compute_commitment
from protocol.errors import Code
from protocol.types import Hash32
from protocol.vm.program import literal
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import BOARD1, DAY, HASH, Coop, check_books
from tests.protocol.ledger_world import ALICE, ASSETS, AUTH, BOB, CAROL, COOP, NONE, Person, person

VOTING = 22
TYPE = 1
PEOPLE = (ALICE, BOB, CAROL, person("dan"), person("eve"))
DAN, EVE = PEOPLE[3:]
YES, NO, ABSTAIN = 1, 2, 3
GIVE_ROLE = (AUTH, 4)
SECRET = b"a salt of sixteen"

POLICY: dict[str, Any] = {
    "name": "ordinary",
    "weight": v.BY_MEMBER,
    "share_class": 0,
    "cap_bp": 10_000,
    "quorum_bp": 4_000,
    "approval_bp": 5_000,
    "least_yes_bp": 0,
    "member_days": 0,
    "sponsors": 0,
    "discussion": 0,
    "voting": 1_000,
    "quiet": 0,
    "timelock": 100,
    "window": 10_000,
    "cooldown": 5_000,
    "deposit_asset": COOP,
    "deposit": 0,
    "early": False,
    "replace": True,
    "sealed": False,
    "two_readings": False,
    "veto_role": "",
    "veto_bp": 0,
    "notice": 0,
    "methods": (GIVE_ROLE,),
}


def set_policy(proposal_type: int = TYPE, **changes: Any) -> Value:
    terms = {**POLICY, **changes}
    return (VOTING, 1, NONE, (proposal_type, *[literal(term) for term in terms.values()]))


def stored(*calls: Value) -> bytes:
    """Return a program with its pins, as a proposal takes it."""
    contracts = sorted({call[0] for call in calls if type(call) is tuple and type(call[0]) is int})
    return encode((tuple((contract, 1) for contract in contracts), calls))


def make_auditor(who: Person = BOB, role: str = "auditor") -> bytes:
    return stored((AUTH, 4, NONE, (who.address, role)))


class Hall(Coop):
    """A co-op of five members with one type of proposals."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.numbers = {who: self.join(who, 1_000) for who in PEOPLE}
        self.gov(set_policy(**changes))
        self.run()

    def propose(self, who: Person = ALICE, program: bytes | None = None, proposal_type: int = TYPE) -> int:
        raw = make_auditor() if program is None else program
        (number,) = self.do(who, propose(who, raw, proposal_type))
        assert type(number) is int
        return number

    def vote(self, number: int, *votes: tuple[Person, int]) -> None:
        for who, choice in votes:
            self.do(who, vote(who, number, choice))

    def state_of(self, number: int) -> Value:
        return self.field(number, 10)

    def field(self, number: int, place: int) -> Value:
        row = self.ask("voting", "proposal", number)
        assert type(row) is tuple
        return row[place]

    def tally(self, number: int) -> Value:
        row = self.ask("voting", "tally", number)
        assert type(row) is tuple
        return row[:3]

    def has_role(self, who: Person = BOB, role: str = "auditor") -> bool:
        return auth.has_role(View(self.state), who.address, role)


def propose(who: Person, program: bytes, proposal_type: int = TYPE) -> Value:
    return (VOTING, 2, 0, (who.address, proposal_type, "a proposal", HASH, program))


def vote(who: Person, number: int, choice: int) -> Value:
    return (VOTING, 5, 0, (who.address, number, choice))


def delegate(who: Person, to: Person) -> Value:
    return (VOTING, 11, 0, (who.address, TYPE, to.address))


# --- the life of a proposal


def test_what_passes_waits_for_its_time_lock_and_runs_by_itself() -> None:
    hall = Hall()
    number = hall.propose()
    hall.vote(number, (ALICE, YES), (BOB, YES), (CAROL, NO))
    hall.run(seconds=1_000)
    assert hall.state_of(number) == v.PASSED and not hall.has_role()
    hall.run(seconds=98)
    assert hall.state_of(number) == v.PASSED and not hall.has_role()
    hall.run(seconds=2)
    assert hall.state_of(number) == v.EXECUTED and hall.has_role()
    assert hall.code(ALICE, (VOTING, 9, 0, (number,))) == v.STATE


@pytest.mark.parametrize(
    ("votes", "state"),
    [
        (((ALICE, YES),), v.NO_QUORUM),
        (((ALICE, YES), (BOB, NO)), v.REJECTED),
        (((ALICE, YES), (BOB, ABSTAIN)), v.PASSED),
        (tuple((who, ABSTAIN) for who in PEOPLE), v.REJECTED),
        ((), v.NO_QUORUM),
    ],
)
def test_what_passing_takes(votes: tuple[tuple[Person, int], ...], state: int) -> None:
    hall = Hall()
    number = hall.propose()
    hall.vote(number, *votes)
    hall.run(seconds=1_000)
    assert hall.state_of(number) == state
    hall.run(seconds=5_000)
    assert hall.has_role() is (state == v.PASSED)


def test_anybody_closes_and_runs_but_not_before_the_time() -> None:
    hall = Hall()
    number = hall.propose()
    for method in (7, 9):
        assert hall.code(EVE, (VOTING, method, 0, (number,))) == v.TOO_EARLY


def test_a_program_that_cannot_run_lapses_with_its_window() -> None:
    hall = Hall(methods=((ASSETS, 2),), window=12_000)
    number = hall.propose(program=stored((ASSETS, 2, NONE, (77, 2))))
    hall.vote(number, (ALICE, YES), (BOB, YES))
    hall.run(seconds=1_000)
    tries = []
    for _ in range(4):
        hall.run(seconds=3_601)
        tries.append((hall.field(number, 17), hall.field(number, 18)))
    assert [count for count, _ in tries] == [1, 2, 3, 3]
    assert {code for _, code in tries} == {int(Code.ASSET)}
    assert hall.do(EVE, (VOTING, 9, 0, (number,))) == (v.LAPSED,)


def test_after_the_chains_own_tries_anybody_may_run_it() -> None:
    hall = Hall(methods=((ASSETS, 2),), window=1 << 20)
    number = hall.propose(program=stored((ASSETS, 2, NONE, (2, 2))))
    hall.vote(number, (ALICE, YES), (BOB, YES))
    hall.run(seconds=1_000)
    for _ in range(4):
        hall.run(seconds=3_601)
    assert hall.field(number, 17) == v.TRIES_MAX
    hall.gov((ASSETS, 1, NONE, ("NEW", "New", 2, 1, 1_000)))
    assert hall.do(EVE, (VOTING, 9, 0, (number,))) == (v.EXECUTED,)


def test_a_draft_waits_for_sponsors_and_lapses_without() -> None:
    hall = Hall(sponsors=2, discussion=50)
    number = hall.propose()
    sign = [(VOTING, 3, 0, (who.address, number)) for who in (BOB, CAROL)]
    assert hall.code(ALICE, vote(ALICE, number, YES)) == v.STATE
    hall.do(BOB, sign[0])
    assert hall.code(BOB, sign[0]) == v.SPONSORED
    assert hall.state_of(number) == v.DRAFT
    hall.do(CAROL, sign[1])
    assert hall.state_of(number) == v.OPEN
    assert hall.code(ALICE, vote(ALICE, number, YES)) == v.TOO_EARLY
    lonely = hall.propose(BOB)
    hall.run(seconds=10_001)
    assert hall.state_of(lonely) == v.LAPSED
    assert hall.code(ALICE, (VOTING, 3, 0, (ALICE.address, lonely))) == v.STATE


def test_a_proposal_is_withdrawn_by_its_author_before_the_vote() -> None:
    hall = Hall(discussion=50)
    number = hall.propose()
    assert hall.code(BOB, (VOTING, 4, 0, (BOB.address, number))) == v.NOT_ELIGIBLE
    hall.do(ALICE, (VOTING, 4, 0, (ALICE.address, number)))
    assert hall.state_of(number) == v.WITHDRAWN
    second = hall.propose()
    hall.run(seconds=50)
    assert hall.code(ALICE, (VOTING, 4, 0, (ALICE.address, second))) == v.STATE


def test_a_deposit_comes_back_with_the_quorum_and_is_lost_without() -> None:
    hall = Hall(deposit=100)
    first = hall.propose()
    assert hall.free(ALICE) == 900
    hall.vote(first, (ALICE, NO), (BOB, NO))
    hall.run(seconds=1_000)
    assert hall.free(ALICE) == 1_000
    second = hall.propose(program=b"")
    hall.run(seconds=1_001)
    assert hall.state_of(second) == v.NO_QUORUM and hall.free(ALICE) == 900
    check_books(hall)


def test_two_readings_are_two_votes_of_those_who_are_members_then() -> None:
    hall = Hall(two_readings=True)
    first = hall.propose()
    hall.vote(first, (ALICE, YES), (BOB, YES))
    hall.run(seconds=1_000)
    hall.join(person("frank"))
    hall.run(seconds=200)
    assert hall.state_of(first) == v.EXECUTED and not hall.has_role()
    second = first + 1
    assert hall.field(second, 19) == 2 and hall.field(second, 8) == 6
    hall.vote(second, (ALICE, YES), (person("frank"), YES), (EVE, YES))
    hall.run(seconds=1_000)
    hall.run(seconds=200)
    assert hall.has_role()


def test_a_veto_stops_what_has_passed() -> None:
    hall = Hall(veto_role="council")
    hall.gov((AUTH, 4, NONE, (CAROL.address, "council")))
    number = hall.propose()
    hall.vote(number, (ALICE, YES), (BOB, YES))
    stop = [(VOTING, 10, 0, (who.address, number)) for who in (CAROL, BOB)]
    assert hall.code(CAROL, stop[0]) == v.STATE
    hall.run(seconds=1_000)
    assert hall.code(BOB, stop[1]) == Code.ROLE
    hall.do(CAROL, stop[0])
    hall.run(seconds=500)
    assert hall.state_of(number) == v.VETOED and not hall.has_role()


# --- votes


def test_a_vote_may_be_changed_where_the_policy_says_so() -> None:
    hall = Hall()
    number = hall.propose()
    hall.vote(number, (ALICE, YES), (ALICE, NO), (BOB, YES))
    assert hall.tally(number) == (1, 1, 0)
    strict = Hall(replace=False)
    number = strict.propose()
    strict.vote(number, (ALICE, YES))
    assert strict.code(ALICE, vote(ALICE, number, NO)) == v.VOTED


def test_it_ends_early_when_nothing_can_change_it() -> None:
    hall = Hall(early=True, replace=False, timelock=0)
    number = hall.propose()
    hall.vote(number, (ALICE, YES), (BOB, YES))
    assert hall.code(EVE, (VOTING, 7, 0, (number,))) == v.TOO_EARLY
    hall.vote(number, (CAROL, YES))
    assert hall.code(DAN, vote(DAN, number, NO)) == v.STATE
    assert hall.state_of(number) == v.EXECUTED and hall.has_role(), "nobody has to close it"


def test_the_last_second_brings_more_time_once() -> None:
    hall = Hall(quiet=100)
    number = hall.propose()
    ends = hall.field(number, 13)
    assert type(ends) is int
    hall.vote(number, (ALICE, NO))
    hall.run(seconds=ends - int(hall.time) - 10)
    hall.vote(number, (BOB, YES), (CAROL, YES))
    assert hall.field(number, 13) == ends + 100
    hall.run(seconds=80)
    assert hall.state_of(number) == v.OPEN
    hall.vote(number, (DAN, NO), (EVE, NO))
    assert hall.field(number, 13) == ends + 100
    hall.run(seconds=100)
    assert hall.state_of(number) == v.REJECTED


def make_tied_hall() -> tuple[Hall, int, int]:
    """Return a vote at two against two, ten seconds before its end; a delegate has carried the fourth one."""
    hall = Hall(quiet=100)
    hall.do(EVE, delegate(EVE, DAN))
    hall.run()
    number = hall.propose()
    ends = hall.field(number, 13)
    assert type(ends) is int
    hall.vote(number, (ALICE, YES), (BOB, YES), (DAN, NO))
    hall.run(seconds=ends - int(hall.time) - 10)
    return hall, number, ends


@pytest.mark.parametrize(("who", "tally"), [(DAN, (4, 0, 0)), (EVE, (3, 1, 0))])
def test_a_vote_that_is_changed_or_taken_back_in_the_last_second_brings_more_time(
    who: Person, tally: tuple[int, ...]
) -> None:
    hall, number, ends = make_tied_hall()
    hall.vote(number, (who, YES))
    assert hall.tally(number) == tally and hall.field(number, 13) == ends + 100


def test_how_many_yes_are_missing() -> None:
    hall = Hall()
    number = hall.propose()
    hall.vote(number, (ALICE, NO))
    row = hall.ask("voting", "tally", number)
    assert type(row) is tuple and row[6:] == (5, 2)


# --- delegation


def test_a_delegate_carries_and_own_votes_take_back_in_any_order() -> None:
    results = []
    for order in ((BOB, ALICE), (ALICE, BOB)):
        hall = Hall()
        hall.do(BOB, delegate(BOB, ALICE))
        hall.do(CAROL, delegate(CAROL, ALICE))
        hall.run()
        number = hall.propose()
        for who in order:
            hall.vote(number, (who, YES if who == ALICE else NO))
        results.append(hall.ask("voting", "tally", number))
        assert hall.tally(number) == (2, 1, 0)
    assert results[0] == results[1]


def test_a_delegation_counts_for_later_proposals_only() -> None:
    hall = Hall()
    number = hall.propose()
    hall.do(BOB, delegate(BOB, ALICE))
    hall.vote(number, (ALICE, YES))
    assert hall.tally(number) == (1, 0, 0)
    later = hall.propose(CAROL)
    hall.do(BOB, (VOTING, 12, 0, (BOB.address, TYPE)))
    hall.vote(later, (ALICE, YES))
    assert hall.tally(later) == (2, 0, 0)
    assert hall.code(BOB, (VOTING, 12, 0, (BOB.address, TYPE))) == v.NOT_DELEGATED


def test_a_delegate_changes_his_mind_with_all_that_he_carries() -> None:
    hall = Hall()
    hall.do(BOB, delegate(BOB, ALICE))
    number = hall.propose()
    hall.vote(number, (ALICE, YES), (ALICE, NO))
    assert hall.tally(number) == (0, 2, 0)
    hall.vote(number, (BOB, YES))
    assert hall.tally(number) == (1, 1, 0)


def test_delegation_goes_one_step_only() -> None:
    hall = Hall()
    hall.do(CAROL, delegate(CAROL, BOB))
    hall.do(BOB, delegate(BOB, ALICE))
    number = hall.propose()
    hall.vote(number, (ALICE, YES))
    assert hall.tally(number) == (2, 0, 0)


def test_so_many_delegate_to_one_and_not_one_more() -> None:
    hall = Hall()
    crowd = [person(f"crowd {n}") for n in range(v.DELEGATORS_MAX + 1)]
    for who in crowd:
        hall.join(who, 1)
    for who in crowd[:-1]:
        hall.do(who, delegate(who, ALICE))
    assert hall.code(crowd[-1], delegate(crowd[-1], ALICE)) == v.DELEGATES_FULL
    hall.do(crowd[0], delegate(crowd[0], BOB))
    hall.do(crowd[-1], delegate(crowd[-1], ALICE))
    number = hall.propose()
    hall.vote(number, (ALICE, YES), (BOB, NO))
    assert hall.tally(number) == (11, 2, 0)


def test_nobody_delegates_to_himself_or_to_who_is_no_member() -> None:
    hall = Hall()
    assert hall.code(BOB, delegate(BOB, BOB)) == v.NOT_ELIGIBLE
    assert hall.code(BOB, delegate(BOB, person("nobody"))) == m.UNKNOWN_MEMBER


def test_what_a_delegate_cast_does_not_end_a_vote_early() -> None:
    hall = Hall(early=True, replace=False)
    for who in (BOB, CAROL, DAN):
        hall.do(who, delegate(who, ALICE))
    number = hall.propose()
    hall.vote(number, (ALICE, YES))
    assert hall.tally(number) == (4, 0, 0)
    hall.vote(number, (BOB, NO), (CAROL, NO), (DAN, NO))
    assert hall.tally(number) == (1, 3, 0)


# --- sealed ballots


def sealed(hall: Hall, who: Person, number: int, choice: int) -> Value:
    commitment = compute_commitment(hall.rules.genesis_hash, number, hall.numbers[who], choice, SECRET)
    return (VOTING, 6, 0, (who.address, number, commitment))


def opened(who: Person, number: int, choice: int, salt: bytes = SECRET) -> Value:
    return (VOTING, 8, 0, (who.address, number, choice, salt))


def test_sealed_ballots_take_part_at_once_and_count_when_opened() -> None:
    hall = Hall(sealed=True, quiet=100)
    number = hall.propose()
    assert hall.code(ALICE, vote(ALICE, number, YES)) == v.SEALED
    for who, choice in ((ALICE, YES), (BOB, YES), (CAROL, NO)):
        hall.do(who, sealed(hall, who, number, choice))
    assert hall.tally(number) == (0, 0, 3)
    assert hall.code(ALICE, opened(ALICE, number, YES)) == v.TOO_EARLY
    hall.run(seconds=1_000)
    assert hall.code(ALICE, opened(ALICE, number, NO)) == v.OTHER_BALLOT
    assert hall.code(ALICE, opened(ALICE, number, YES, b"another salt of 16")) == v.OTHER_BALLOT
    for who in (ALICE, BOB):
        hall.do(who, opened(who, number, YES))
    assert hall.code(ALICE, opened(ALICE, number, YES)) == v.OTHER_BALLOT
    assert hall.tally(number) == (2, 0, 1)
    hall.run(seconds=100)
    assert hall.state_of(number) == v.PASSED
    assert hall.code(CAROL, opened(CAROL, number, NO)) == v.STATE


def test_a_copied_commitment_opens_for_nobody_else() -> None:
    hall = Hall(sealed=True, quiet=100)
    number = hall.propose()
    stolen = sealed(hall, ALICE, number, YES)
    hall.do(ALICE, stolen)
    assert type(stolen) is tuple and type(stolen[3]) is tuple
    hall.do(BOB, (VOTING, 6, 0, (BOB.address, number, stolen[3][2])))
    hall.run(seconds=1_000)
    hall.do(ALICE, opened(ALICE, number, YES))
    assert hall.code(BOB, opened(BOB, number, YES)) == v.OTHER_BALLOT


def test_a_commitment_of_another_chain_opens_nothing_here() -> None:
    """Who uses a salt again on a chain of the same members and numbers shows nothing by it."""
    hall = Hall(sealed=True, quiet=100)
    number = hall.propose()
    genesis_hash = hall.rules.genesis_hash
    terms = (number, hall.numbers[ALICE], YES, SECRET)
    other = Hash32(crypto.sha256(genesis_hash))
    assert compute_commitment(other, *terms) != compute_commitment(genesis_hash, *terms)
    hall.do(ALICE, (VOTING, 6, 0, (ALICE.address, number, compute_commitment(other, *terms))))
    hall.run(seconds=1_000)
    assert hall.code(ALICE, opened(ALICE, number, YES)) == v.OTHER_BALLOT


@pytest.mark.parametrize(("size", "is_typed"), [(v.SALT_BYTES_MIN - 1, False), (v.SALT_BYTES_MIN, True)])
def test_a_salt_has_its_least_size(size: int, is_typed: bool) -> None:
    hall = Hall(sealed=True, quiet=100)
    number = hall.propose()
    code = None
    try:
        code = hall.code(ALICE, opened(ALICE, number, YES, b"s" * size))
    except Exception:
        assert not is_typed
    assert (code == v.TOO_EARLY) is is_typed


def test_open_ballots_are_not_sealed() -> None:
    hall = Hall()
    number = hall.propose()
    assert hall.code(ALICE, (VOTING, 6, 0, (ALICE.address, number, HASH))) == v.NOT_SEALED


# --- attacks


def test_who_joins_after_the_snapshot_has_no_vote() -> None:
    hall = Hall()
    number = hall.propose()
    late = person("late")
    hall.join(late)
    assert hall.code(late, vote(late, number, NO)) == v.NOT_ELIGIBLE
    assert hall.ask("voting", "may_vote", number, hall.numbers[ALICE]) is True


def test_a_burst_of_members_before_the_snapshot_has_no_vote_where_days_are_asked() -> None:
    hall = Hall(member_days=2)
    hall.run(seconds=2 * DAY)
    fresh = person("fresh")
    hall.join(fresh)
    hall.run()
    number = hall.propose()
    assert hall.code(fresh, vote(fresh, number, NO)) == v.NOT_ELIGIBLE
    hall.vote(number, (ALICE, YES))


def test_a_program_calls_only_what_its_type_may() -> None:
    hall = Hall()
    free = [(0, who.address, 2010, COOP, 0) for who in (BOB, ALICE)]
    grab = stored((1, 2, NONE, (*free, 5, 0, 1, b"")))
    assert hall.code(ALICE, propose(ALICE, grab)) == v.NOT_ALLOWED
    pay = stored((ASSETS, 7, 0, (BOB.address, ALICE.address, COOP, 5, None)))
    assert hall.code(ALICE, propose(ALICE, pay)) != 0


def test_no_type_may_call_voting_itself_but_to_set_policies() -> None:
    hall = Hall()
    for method in range(2, 13):
        outcome = hall.gov_outcome(set_policy(3, methods=((VOTING, method),)))
        assert outcome.code == v.POLICY
    hall.gov(set_policy(3, methods=((VOTING, 1),)))


@pytest.mark.parametrize(
    "weaker",
    [
        {"quorum_bp": 3_999},
        {"approval_bp": 4_999},
        {"timelock": 99},
        {"voting": 999},
        {"cooldown": 4_999},
        {"methods": ((VOTING, 1), GIVE_ROLE)},
    ],
)
def test_no_vote_loosens_what_binds_itself(weaker: dict[str, Any]) -> None:
    hall = Hall(methods=((VOTING, 1),))
    own = {"methods": ((VOTING, 1),), **weaker}
    number = hall.propose(program=stored(set_policy(**own)))
    hall.vote(number, (ALICE, YES), (BOB, YES))
    hall.run(seconds=1_000)
    hall.run(seconds=200)
    assert hall.field(number, 18) == v.WEAKENS_ITSELF
    other = hall.propose(BOB, stored(set_policy(2, **{**own, "methods": (GIVE_ROLE,)})))
    hall.vote(other, (ALICE, YES), (BOB, YES))
    hall.run(seconds=1_000)
    hall.run(seconds=200)
    assert hall.state_of(other) == v.EXECUTED


@pytest.mark.parametrize("weaker", [{"quorum_bp": 3_999}, {"timelock": 99}, {}])
def test_no_vote_walks_around_what_binds_it_by_an_easier_type(weaker: dict[str, Any]) -> None:
    hall = Hall(methods=((VOTING, 1),))
    detour = {"methods": ((VOTING, 1), GIVE_ROLE), **weaker}
    number = hall.propose(program=stored(set_policy(2, **detour)))
    hall.vote(number, (ALICE, YES), (BOB, YES))
    hall.run(seconds=1_000)
    hall.run(seconds=200)
    assert hall.field(number, 18) == (v.WEAKENS_ITSELF if weaker else Code.OK)


def test_an_old_defeat_stays_one_when_the_quorum_is_lowered() -> None:
    hall = Hall()
    number = hall.propose()
    hall.vote(number, (ALICE, YES))
    hall.run(seconds=1_000)
    assert hall.state_of(number) == v.NO_QUORUM
    hall.gov(set_policy(quorum_bp=0))
    for method in (7, 9):
        assert hall.code(EVE, (VOTING, method, 0, (number,))) == v.STATE
    assert hall.code(BOB, vote(BOB, number, YES)) == v.STATE
    assert hall.state_of(number) == v.NO_QUORUM and not hall.has_role()


def test_what_proposing_costs_does_not_grow_with_the_members() -> None:
    costs = []
    for more in (0, 30):
        hall = Hall()
        for at in range(more):
            hall.join(person(f"more {at}"), 1)
        hall.run()
        (receipt,) = hall.ok(hall.tx(propose(ALICE, make_auditor()), actors=(ALICE,), gas=400_000))
        costs.append(receipt.gas)
        assert hall.field(1, 8) == len(PEOPLE) + more
    assert abs(costs[0] - costs[1]) <= 2, "every read, write and byte costs gas"


def test_a_changed_policy_leaves_open_proposals_alone() -> None:
    hall = Hall()
    number = hall.propose()
    hall.gov(set_policy(quorum_bp=10_000))
    hall.vote(number, (ALICE, YES), (BOB, YES))
    hall.run(seconds=1_000)
    assert hall.state_of(number) == v.PASSED


def test_nobody_floods_the_hall() -> None:
    hall = Hall()
    for _ in range(v.OPEN_PER_MEMBER_MAX):
        hall.propose(program=b"")
    assert hall.code(ALICE, propose(ALICE, b"")) == v.OPEN_PROPOSALS
    hall.propose(BOB, program=b"")


def test_only_active_members_propose() -> None:
    hall = Hall()
    assert hall.code(BOARD1, propose(BOARD1, b"")) == m.UNKNOWN_MEMBER
    assert hall.code(ALICE, propose(ALICE, b"", 9)) == v.NO_POLICY
    assert hall.code(ALICE, vote(ALICE, 9, YES)) == v.NO_PROPOSAL


def test_the_program_that_runs_is_the_one_that_was_voted_on() -> None:
    hall = Hall()
    number = hall.propose()
    raw = hall.ask("voting", "program", number)
    assert raw == make_auditor()
    assert hall.field(number, 4) == crypto.sha256(make_auditor())


votes = st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from((YES, NO, ABSTAIN))), max_size=8)
delegations = st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(PEOPLE)), max_size=4)


@settings(max_examples=25, deadline=None)
@given(votes, delegations)
def test_the_tally_is_what_the_ballots_say(
    cast: list[tuple[Person, int]], handed: list[tuple[Person, Person]]
) -> None:
    hall = Hall()
    whom: dict[Person, Person] = {}
    for who, to in handed:
        if who != to:
            hall.do(who, delegate(who, to))
            whom[who] = to
    hall.run()
    number = hall.propose()
    hall.vote(number, *cast)
    own = dict(cast)
    expected = [0, 0, 0]
    for who in PEOPLE:
        choice = own.get(who) or own.get(whom.get(who, who))
        if choice:
            expected[choice - 1] += 1
    assert hall.tally(number) == tuple(expected)
