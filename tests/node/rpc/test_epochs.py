"""What the gateway says of epochs: who is ready, what is decided, the history, and the proofs of it all."""

from typing import Any

import pytest

from node.cli.operator.consensus import _restart_lines
from node.crossing import find_restart
from node.executor import Executor
from protocol import codec
from protocol.chain.block import decode_header
from protocol.chain.certificate import decode_certificate
from protocol.chain.restart import make_record
from protocol.chain.validators import EngineKind, read_epoch
from protocol.contracts.registry import records as registry
from protocol.errors import Rejected
from protocol.light import cross_epoch, trust_genesis
from protocol.params import EPOCH_DELAY_BLOCKS, READY_BLOCKS_MAX


def raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def test_a_change_is_seen_coming_and_counted_down(spare_gateway: Any) -> None:
    gateway, chain = spare_gateway, spare_gateway.chain
    calm = gateway.call("chain_getMigration")
    assert calm["pending"] is None and calm["ready"] == []
    assert (calm["epoch"]["number"], calm["epoch"]["protocol"], calm["height"]) == (0, "raft", 1)
    assert [item["seal"] for item in calm["epochs"]] == [None]

    chain.commit(*[chain.say_ready(index) for index in range(4)])
    ready = gateway.call("chain_getMigration")["ready"]
    assert {one["operator"]: one["isValidator"] for one in ready} == {
        "n1": True,
        "n2": True,
        "n3": True,
        "n4": False,
    }
    assert {one["blocksLeft"] for one in ready} == {READY_BLOCKS_MAX - 1}, (
        "they had the chain to the block before"
    )

    decision = chain.decide(EngineKind.BFT, 0, 1, 2, 3)
    decided = chain.commit(decision)
    seal_height = decided.height + EPOCH_DELAY_BLOCKS
    for left in range(EPOCH_DELAY_BLOCKS - 1, -1, -1):
        answer = gateway.call("chain_getMigration")
        pending = answer["pending"]
        assert (pending["sealHeight"], pending["blocksLeft"]) == (seal_height, left)
        assert pending["protocol"] == "bft" and raw(pending["decidedBy"]) == decision.id
        assert sorted(one["operator"] for one in pending["validators"]) == ["n1", "n2", "n3", "n4"]
        assert answer["epoch"]["protocol"] == "raft"
        chain.commit()
    after = gateway.call("chain_getMigration")
    assert after["pending"] is None and after["height"] == seal_height
    epoch = after["epoch"]
    assert (epoch["number"], epoch["protocol"], epoch["sinceHeight"]) == (1, "bft", seal_height + 1)
    assert epoch["quorum"] == 3 and all(one["isValidator"] for one in after["ready"])
    old, new = after["epochs"]
    assert old["seal"]["height"] == seal_height and old["operators"] and new["seal"] is None
    assert old["seal"]["id"] == gateway.call("chain_getHeader", block=seal_height)["id"]
    assert not old["isRestart"] and not new["isRestart"] and find_restart(chain.store) is None
    assert old["decidedBy"] is None and raw(new["decidedBy"]) == decision.id
    assert gateway.call("node_getInfo")["protocol"] == "bft"


def test_who_follows_migrations_hears_of_decisions_and_of_the_seal(spare_gateway: Any) -> None:
    gateway, chain = spare_gateway, spare_gateway.chain

    def read(cursor: str) -> list[tuple[str, Any]]:
        page = gateway.call("coop_getEvents", topic="migration", cursor=cursor)
        assert page["isEnd"]
        return [(item["cursor"], item["event"]) for item in page["items"]]

    chain.commit(*[chain.say_ready(index) for index in range(4)])
    assert read("0.0") == [], "to be ready decides nothing"
    first = chain.commit(decision := chain.decide(EngineKind.BFT, 0, 1, 2, 3))
    off = chain.commit(chain.sign_as_board((registry.ID, 3, 0, ())))
    again = chain.commit(chain.pay("ada", "bo", 1), chain.decide(EngineKind.BFT, 0, 1, 2, 3))
    seal_height = again.height + EPOCH_DELAY_BLOCKS
    while chain.executor.head.height < seal_height:
        chain.commit(chain.pay("ada", "bo", 1))
    chain.commit()
    (_, decided), (_, cancelled), (place, _), (seal_place, epoch) = told = read("0.0")
    assert [int(cursor.split(".")[0]) for cursor, _ in told] == [
        first.height,
        off.height,
        again.height,
        seal_height,
    ]
    assert decided["type"] == "migration" and raw(decided["id"]) == decision.id
    [event] = decided["events"]
    assert (event["contract"], event["event"]) == ("registry", "epochDecided")
    assert event["fields"]["sealHeight"] == first.height + EPOCH_DELAY_BLOCKS
    assert [one["event"] for one in cancelled["events"]] == ["epochCancelled"]
    assert (epoch["type"], epoch["epoch"], epoch["protocol"]) == ("epoch", 1, "bft")
    assert epoch["sinceHeight"] == seal_height + 1 and sorted(epoch["operators"]) == ["n1", "n2", "n3", "n4"]
    assert read(place) == [(seal_place, epoch)] and read(seal_place) == [], "nothing is lost or said twice"


def test_an_epoch_that_people_began_is_told_from_one_that_a_quorum_handed_over(spare_gateway: Any) -> None:
    gateway, chain = spare_gateway, spare_gateway.chain
    head = chain.commit()
    previous = chain.store.epoch_at(head.height)
    record = make_record(head.header, previous, EngineKind.RAFT, (previous.validators[0].operator,))
    chain.store.restart(record)
    chain.executor = Executor(chain.store)
    chain.commit()
    answer = gateway.call("chain_getMigration")
    assert [item["isRestart"] for item in answer["epochs"]] == [False, True]
    assert raw(answer["epochs"][1]["decidedBy"]) == record.decided_by
    [line] = _restart_lines(answer)
    assert f"above block {head.height}" in line and "no quorum" in line
    [seal] = gateway.call("chain_getEpochs")["seals"]
    assert raw(seal["header"]) == head.header.encode()
    assert find_restart(chain.store) == record


def test_a_cancelled_change_is_gone(spare_gateway: Any) -> None:
    gateway, chain = spare_gateway, spare_gateway.chain
    chain.commit(*[chain.say_ready(index) for index in range(4)])
    chain.commit(chain.decide(EngineKind.BFT, 0, 1, 2, 3))
    chain.commit(chain.sign_as_board((registry.ID, 3, 0, ())))
    for _ in range(EPOCH_DELAY_BLOCKS):
        chain.commit()
    answer = gateway.call("chain_getMigration")
    assert answer["pending"] is None and answer["epoch"]["number"] == 0


def test_validators_are_those_of_the_height_that_is_asked(spare_gateway: Any) -> None:
    gateway, chain = spare_gateway, spare_gateway.chain
    chain.cross(EngineKind.BFT, 0, 1, 2, 3)
    seal = chain.executor.head.height
    chain.commit(chain.pay("ada", "bo", 1))
    before, after = (gateway.call("chain_getValidators", at=height) for height in (seal, seal + 1))
    assert (before["protocol"], before["quorum"], len(before["validators"])) == ("raft", 2, 3)
    assert (after["protocol"], after["quorum"], len(after["validators"])) == ("bft", 3, 4)
    certificate = gateway.call("chain_getCertificate", height=seal + 1)
    assert certificate["kind"] == "precommit" and len(certificate["signers"]) == 3


def test_the_chain_of_epochs_proves_itself_and_comes_in_pages(spare_gateway: Any) -> None:
    gateway, chain = spare_gateway, spare_gateway.chain
    empty = gateway.call("chain_getEpochs")
    assert empty == {"first": 1, "seals": [], "next": None}
    chain.cross(EngineKind.BFT, 0, 1, 2, 3)
    chain.cross(EngineKind.RAFT, 1, 2, 3)
    whole = gateway.call("chain_getEpochs")
    assert whole["next"] is None and len(whole["seals"]) == 2
    first = gateway.call("chain_getEpochs", limit=1)
    assert first["seals"] == whole["seals"][:1] and first["next"] == 2
    assert gateway.call("chain_getEpochs", first=2)["seals"] == whole["seals"][1:]
    assert gateway.call("chain_getEpochs", first=3)["seals"] == []
    trust = trust_genesis(chain.genesis)
    for seal in whole["seals"]:
        record = read_epoch(codec.decode(raw(seal["record"]), 10_000))
        header, certificate = decode_header(raw(seal["header"])), decode_certificate(raw(seal["certificate"]))
        with pytest.raises(Rejected):
            cross_epoch(trust, header, certificate, trust.record)
        trust = cross_epoch(trust, header, certificate, record)
    assert trust.record == chain.executor.record
