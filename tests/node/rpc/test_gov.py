"""What members decide, as the gateway says it: lists, who may vote and why not, ballots, a proven tally."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.catalog import by_slug
from node.cli.member.epoch_chain import EpochChain
from node.cli.member.statements import check_record_proof
from node.cluster.founding import demo_address
from protocol.addresses import HRP_TEST, format_address
from protocol.codec import Value, decode
from protocol.contracts.members import records as members
from protocol.contracts.voting import records as v
from protocol.errors import Rejected
from tests.node.rpc.conftest import open_gateway
from tests.node.small_chain import SmallChain

ADVISORY, PETITION = 1, 10


def at(who: str) -> str:
    return format_address(demo_address(who), HRP_TEST)


def vote(who: str, choice: int) -> Value:
    return (v.ID, 5, 0, (demo_address(who), 1, choice))


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Any]:
    """A village in which a question is open; cy votes for bo, unless he votes himself."""
    chain = SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000, is_village=True)
    chain.commit()
    chain.commit(chain.act("cy", (v.ID, 11, 0, (demo_address("cy"), ADVISORY, demo_address("bo")))))
    terms: Value = (demo_address("ada"), ADVISORY, "a well?", bytes(32), b"")
    chain.commit(chain.act("ada", (v.ID, 2, 0, terms)))
    chain.commit(chain.act("ada", vote("ada", v.NO)), chain.act("bo", vote("bo", v.YES)))
    yield from open_gateway(chain)


def test_a_proposal_says_its_rules_and_how_it_stands(hall: Any) -> None:
    page = hall.call("gov_list")
    assert [(item["proposal"], item["title"], item["type"]) for item in page["items"]] == [
        (1, "a well?", "advisory")
    ]
    assert page["next"] is None and hall.call("gov_list", state="passed")["items"] == []
    shown = hall.call("gov_get", proposal=1)
    assert (shown["state"], shown["kind"], shown["program"]) == ("open", "program", None)
    assert shown["policy"]["approvalBp"] == 5_000 and shown["tally"]["electorate"] == 50
    tally = hall.call("gov_getTally", proposal=1)
    assert (tally["yes"], tally["no"], tally["carriedYes"], tally["missingYes"]) == (2, 1, 1, 0)


def test_who_votes_how_and_for_whom(hall: Any) -> None:
    ballot = hall.call("gov_getVote", proposal=1, address=at("bo"))
    assert (ballot["choice"], ballot["own"], ballot["carried"]) == ("yes", 1, 1)
    assert hall.call("gov_getVote", proposal=1, address=at("cy"))["choice"] is None
    assert hall.call("gov_getVote", proposal=1, address=at("nia"))["member"] is None
    assert hall.call("gov_getPower", type=ADVISORY, address=at("bo"))["delegators"] == [3]
    assert hall.call("gov_getPower", type=ADVISORY, address=at("cy"))["delegate"] == 2


def test_who_may_vote_and_why_not(hall: Any) -> None:
    may = hall.call("gov_getEligibility", proposal=1, address=at("dan"))
    assert (may["mayVote"], may["weight"], may["rule"]) == (True, 1, None)
    stranger = hall.call("gov_getEligibility", proposal=1, address=at("nia"))
    assert (stranger["mayVote"], stranger["rule"]) == (False, "voting.member")


def test_a_tally_is_proven_from_genesis_on(hall: Any) -> None:
    tally = hall.call("gov_getTally", proposal=1, prove=True)
    epochs = EpochChain(hall.chain.genesis)
    header, value, signers = check_record_proof(tally["proof"], v.TALLIES.key(1), epochs)
    assert value is not None and decode(value, len(value))[1:4] == (2, 1, 0)  # type: ignore[index]
    assert header.height == tally["height"] and len(signers) == 2
    forged = {**tally["proof"], "value": "0x" + value.replace(b"\x02", b"\x03").hex()}
    with pytest.raises(Rejected):
        check_record_proof(forged, v.TALLIES.key(1), epochs)


def test_a_petition_shows_who_has_signed_it(hall: Any) -> None:
    terms: Value = (demo_address("hana"), PETITION, "a ramp", bytes(32), b"")
    hall.chain.commit(hall.chain.act("hana", (v.ID, 2, 0, terms)))
    signs = [hall.chain.act(who, (v.ID, 3, 0, (demo_address(who), 2))) for who in ("hana", "ivo")]
    hall.chain.commit(*signs)
    shown = hall.call("gov_get", proposal=2)
    assert (shown["state"], shown["signatures"], shown["signers"]) == ("draft", 2, [8, 9])
    assert shown["policy"]["sponsors"] == 3
    assert (shown["objections"], shown["objectionsNeeded"]) == (0, 0)


def test_refusals_name_what_there_is(hall: Any) -> None:
    for method in ("gov_get", "gov_getTally"):
        answer = hall.call(method, proposal=9)
        assert (answer["data"]["slug"], answer["code"]) == (
            "voting.no_proposal",
            by_slug("voting.no_proposal").number,
        )
    assert hall.call("gov_list", state="x")["data"]["slug"] == "rpc.bad_params"


def test_who_came_later_is_told_by_which_rule_he_has_no_vote(hall: Any) -> None:
    hall.chain.commit(hall.chain.act("ren", (members.ID, 2, 0, (1, demo_address("nia"), bytes(32), None))))
    late = hall.call("gov_getEligibility", proposal=1, address=at("nia"))
    assert (late["mayVote"], late["weight"], late["rule"]) == (False, 0, "voting.active_at_snapshot")
    assert late["member"] == 51 and late["limit"] == hall.call("gov_get", proposal=1)["snapshot"]
