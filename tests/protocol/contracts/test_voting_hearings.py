"""voting, hearings: where a type asks for a document and a time, nobody is recalled unheard."""

from typing import Any

import pytest

from protocol.codec import Value
from protocol.contracts.voting import records as v
from protocol.contracts.voting.hearings import HEARING_TERMS
from protocol.errors import Code
from tests.protocol.contracts.coop_world import HASH, MEMBERS
from tests.protocol.contracts.test_elections import TERM
from tests.protocol.contracts.test_voting import (
    GIVE_ROLE,
    TYPE,
    VOTING,
    YES,
    Hall,
    make_auditor,
    propose,
    set_policy,
    stored,
    vote,
)
from tests.protocol.ledger_world import ALICE, BOB, CAROL

NOTICE, DISCUSSION = 60, 100
NO_PAPER = bytes(32)


def make_hall(**changes: Any) -> Hall:
    return Hall(notice=NOTICE, discussion=DISCUSSION, **changes)


def accuse(hearing: int, document: bytes = HASH, proposal_type: int = TYPE) -> Value:
    terms = (ALICE.address, proposal_type, "a recall", document, make_auditor(), hearing)
    return (VOTING, 23, 0, terms)


@pytest.mark.parametrize(
    ("ahead", "is_in_time"),
    [(NOTICE - 1, False), (NOTICE, True), (DISCUSSION, True), (DISCUSSION + 1, False)],
)
def test_a_hearing_has_its_notice_and_lies_in_the_discussion(ahead: int, is_in_time: bool) -> None:
    hall = make_hall()
    code = hall.code(ALICE, accuse(int(hall.time) + ahead))
    assert code == (Code.OK if is_in_time else HEARING_TERMS)


def test_a_hearing_is_kept_and_the_vote_comes_after_it() -> None:
    hall = make_hall()
    time = int(hall.time) + NOTICE + 10
    (number,) = hall.do(ALICE, accuse(time))
    assert type(number) is int and hall.ask("voting", "hearing", number) == time
    assert hall.field(number, 3) == HASH, "the document stands with the proposal"
    starts = hall.field(number, 12)
    assert type(starts) is int and starts >= time
    assert hall.code(BOB, vote(BOB, number, YES)) == v.TOO_EARLY
    hall.run(seconds=DISCUSSION)
    hall.vote(number, (ALICE, YES), (BOB, YES), (CAROL, YES))
    hall.run(seconds=1_000)
    hall.run(seconds=101)
    assert hall.state_of(number) == v.EXECUTED


def test_a_type_that_asks_for_a_hearing_takes_no_proposal_without_document_or_time() -> None:
    hall = make_hall(methods=(GIVE_ROLE, (MEMBERS, 19)))
    time = int(hall.time) + NOTICE + 10
    assert hall.code(ALICE, propose(ALICE, make_auditor())) == HEARING_TERMS
    assert hall.code(ALICE, accuse(0)) == HEARING_TERMS
    assert hall.code(ALICE, accuse(time, NO_PAPER)) == HEARING_TERMS
    election = (VOTING, 13, 0, (ALICE.address, TYPE, "an election", HASH, "auditor", 1, TERM, 1))
    assert hall.code(ALICE, election) == HEARING_TERMS, "nor is an election a way around it"
    ranking = (VOTING, 18, 0, (ALICE.address, TYPE, "what first", HASH, (0, "roof", "well"), 100))
    assert hall.code(ALICE, ranking) == HEARING_TERMS
    assert hall.code(ALICE, accuse(time)) == Code.OK


def test_a_type_without_hearings_takes_none() -> None:
    hall = Hall()
    assert hall.code(ALICE, accuse(int(hall.time) + 10)) == HEARING_TERMS
    assert hall.ask("voting", "hearing", 1) is None


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"notice": DISCUSSION, "discussion": DISCUSSION}, Code.OK),
        ({"notice": DISCUSSION + 1, "discussion": DISCUSSION}, v.POLICY),
        ({"notice": NOTICE, "discussion": DISCUSSION, "sponsors": 1}, v.POLICY),
    ],
)
def test_a_policy_has_room_for_the_hearing(terms: dict[str, Any], code: int) -> None:
    assert Hall().gov_outcome(set_policy(2, **terms)).code == code


def test_no_vote_shortens_the_notice_that_binds_it() -> None:
    hall = make_hall(methods=((VOTING, 1),))
    for notice, code in ((NOTICE - 1, v.WEAKENS_ITSELF), (NOTICE, Code.OK)):
        own = set_policy(notice=notice, discussion=DISCUSSION, methods=((VOTING, 1),))
        terms = (ALICE.address, TYPE, "a rule", HASH, stored(own), int(hall.time) + NOTICE + 5)
        (number,) = hall.do(ALICE, (VOTING, 23, 0, terms))
        assert type(number) is int
        hall.run(seconds=DISCUSSION)
        hall.vote(number, (ALICE, YES), (BOB, YES))
        hall.run(seconds=1_000)
        hall.run(seconds=200)
        assert hall.field(number, 18) == code
