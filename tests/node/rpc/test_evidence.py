"""What the gateway says of evidence, and the door by which a member shows it."""

from dataclasses import replace
from typing import Any

from node.catalog import by_slug
from node.cli.operator.validator import evidence_lines
from protocol.chain.evidence import EvidenceKind
from protocol.contracts.registry import records as registry


def show(gateway: Any, evidence: Any) -> Any:
    return gateway.call("chain_submitEvidence", evidence="0x" + evidence.encode().hex())


def test_evidence_is_taken_and_seen_on_the_chain(gateway: Any) -> None:
    calm = gateway.call("chain_getEvidence")
    assert (calm["items"], calm["suspended"]) == ([], [])
    assert evidence_lines(calm) == ["No validator is convicted of anything, up to block 3."]
    evidence = gateway.chain.double_vote(1)
    taken = show(gateway, evidence)
    assert taken["hash"] == "0x" + evidence.compute_hash().hex() and taken["kind"] == "duplicate_vote"
    gateway.daemon.commit()
    (item,) = gateway.call("chain_getEvidence")["items"]
    validator = gateway.chain.executor.record.validators[1]
    assert (item["operator"], item["consensusKey"]) == (
        validator.operator,
        "0x" + validator.consensus_key.hex(),
    )
    assert (item["kind"], item["epoch"], item["height"], item["view"], item["block"]) == (
        "duplicate_vote",
        0,
        1,
        4,
        4,
    )
    assert item["evidence"] == taken["hash"] and item["lifted"] is None and item["isValidator"]
    raw = gateway.call("registry_convictions")["value"]
    assert [one["operator"] for one in raw] == [validator.operator]
    header, line, last = evidence_lines(gateway.call("chain_getEvidence"))
    assert "deed" in header and "duplicate vote" in line and "suspended, still validates" in line
    assert last.endswith(f": {validator.operator}")
    gateway.chain.commit(gateway.chain.sign_as_board((registry.ID, 16, 0, (validator.operator,))))
    lifted = gateway.call("chain_getEvidence")
    assert lifted["suspended"] == [] and "lifted at 5" in evidence_lines(lifted)[1]


def test_who_follows_evidence_hears_of_it_and_of_nothing_else(gateway: Any) -> None:
    show(gateway, gateway.chain.double_vote(1))
    show(gateway, gateway.chain.double_vote(2))
    gateway.daemon.commit(gateway.chain.pay("ada", "bo", 1))
    gateway.daemon.commit(gateway.chain.pay("ada", "bo", 1))
    page = gateway.call("coop_getEvents", topic="evidence", cursor="0.0")
    assert [(item["cursor"], item["event"]["kind"]) for item in page["items"]] == [
        ("4.0", "duplicate_vote"),
        ("4.1", "duplicate_vote"),
    ]
    names = {gateway.chain.executor.record.validators[index].operator for index in (1, 2)}
    assert {item["event"]["operator"] for item in page["items"]} == names and page["isEnd"]
    behind = gateway.call("coop_getEvents", topic="evidence", cursor="4.0")
    assert [item["cursor"] for item in behind["items"]] == ["4.1"]


def test_refusals_say_why_and_what_to_do(gateway: Any) -> None:
    evidence = gateway.chain.double_vote(1)
    show(gateway, evidence)
    for wrong, slug in (
        (evidence, "evidence.known"),
        (replace(evidence, second=evidence.first), "evidence.known"),
        (replace(evidence, kind=EvidenceKind.AMNESIA), "evidence.wrong"),
        (replace(gateway.chain.double_vote(2), height=9), "evidence.wrong"),
    ):
        answer = show(gateway, wrong)
        assert (answer["data"]["slug"], answer["code"]) == (slug, by_slug(slug).number)
        assert answer["data"]["fix"]
    nonsense = gateway.call("chain_submitEvidence", evidence="0x9101")
    assert nonsense["data"]["slug"] == "evidence.wrong"
