"""Consensus round its engine: epochs, restarts, laggards, buffers."""

from dataclasses import replace

import pytest

from protocol import codec, crypto
from protocol.chain.certificate import Vote, VoteKind, certify
from protocol.chain.validators import EngineKind
from protocol.consensus.bft import Bft
from protocol.consensus.course import Course
from protocol.consensus.effects import Alarm, Effect, RequestSync, Send, ServeDecided
from protocol.consensus.election import Role
from protocol.consensus.engine import (
    BUFFER_HEIGHTS,
    BUFFER_MESSAGES_MAX,
    SYNC_LAG_HEIGHTS,
    Consensus,
)
from protocol.consensus.inputs import BlockCommitted, OwnKey, Received, Released, Start
from protocol.consensus.messages import Beat, Decided, Grant, Proposal, Status, Step, VoteRequest
from protocol.consensus.raft import Raft
from protocol.consensus.safety import SAFETY_VERSION, RaftSafety, find_version
from protocol.consensus.timeouts import LOCAL, TimerKind
from protocol.types import BlockId, EpochNumber, Height, PublicKey, View
from tests.protocol.consensus.stage import Stage
from tests.simulation import ledger
from tests.simulation.ledger import GENESIS_HASH, ORIGIN


def settle(stage: Stage, leader: int) -> None:
    stage.build(leader)
    stage.deliver_all()
    stage.fire(leader, TimerKind.BEAT)
    stage.deliver_all()


def called_to_lead(stage: Stage) -> int:
    """Return who campaigns at once in the second epoch."""
    record = stage.plan.records[1]
    return Course(GENESIS_HASH, record).proposer_of(record.first_height, View(0))


# --- epochs


def test_an_epoch_of_raft_has_its_leader_in_one_round_trip() -> None:
    stage = Stage(3, seals=[(1, [0, 1, 2])])
    stage.elect(0)
    stage.deliver_all()
    settle(stage, 0)
    assert [node.machine.record.number for node in stage.nodes] == [1, 1, 1]
    called = called_to_lead(stage)
    assert [node.role is Role.LEADER for node in stage.nodes] == [i == called for i in range(3)]
    stage.build(called)
    stage.deliver_all()
    assert stage.heights == [2, 2, 2]


def test_who_is_called_to_lead_and_starts_late_disturbs_nobody() -> None:
    """It campaigns at its crossing only: after a restart it waits like everybody."""
    stage = Stage(3, seals=[(1, [0, 1, 2])])
    stage.elect(0)
    stage.deliver_all()
    settle(stage, 0)
    called = called_to_lead(stage)
    stage.crash(called)
    stage.nodes[called].durable = None
    stage.restart(called)
    assert stage.nodes[called].role is Role.FOLLOWER and stage.nodes[called].term == 0


def test_the_commit_of_a_seal_starts_a_fresh_engine() -> None:
    stage = Stage(3, seals=[(2, [0, 1, 2])])
    stage.elect(0)
    stage.deliver_all()
    settle(stage, 0)
    assert [node.machine.record.number for node in stage.nodes] == [0, 0, 0]
    stage.build(0)
    stage.deliver_all()
    stage.deliver_all()
    assert stage.nodes[1].machine.record.number == 1
    stage.fire(0, TimerKind.BEAT)
    stage.drop()
    called = called_to_lead(stage)
    others = [i for i in range(3) if i != called]
    assert all(stage.nodes[i].machine.record.number == 1 for i in range(3))
    stage.crash(called)
    stage.elect(others[0], others[1:])
    stage.deliver_all(others)
    stage.build(others[0])
    stage.deliver_all(others)
    assert [stage.heights[i] for i in others] == [3, 3], "who was called is gone, and another one leads"
    assert {c.epoch for node in stage.nodes for _, c in node.chain[2:]} == {1}


def test_nothing_above_the_seal_in_the_old_epoch() -> None:
    stage = Stage(3, seals=[(1, [0, 1, 2])])
    stage.elect(0)
    stage.deliver_all()
    settle(stage, 0)
    node = stage.nodes[1]
    node.trace.clear()
    block = ledger.build(node.head, stage.plan, View(1), stage.nodes[0].signer.public_key, 9)
    late = Proposal(EpochNumber(0), Height(2), View(1), 0, None, block)
    stage.receive(1, 0, stage.sign(0, late))
    assert not any(isinstance(effect, Send) for effect in node.trace)
    assert node.accepted is None


def test_who_has_not_crossed_gets_the_seal() -> None:
    stage = Stage(3, seals=[(1, [0, 1, 2])])
    stage.elect(0, [1])
    stage.deliver_all(among=[0, 1])
    stage.build(0)
    stage.deliver_all(among=[0, 1])
    stage.drop()
    assert stage.heights == [1, 1, 0]
    stage.time_out(2)
    stage.deliver(2, 1, VoteRequest)
    assert isinstance(stage.deliver(1, 2, Decided), Decided)
    assert stage.heights == [1, 1, 1]
    assert stage.nodes[2].machine.record.number == 1


def test_a_decision_is_never_answered() -> None:
    """Two nodes in two epochs would keep each other busy for ever."""
    stage = Stage(3, seals=[(1, [0, 1, 2])])
    stage.elect(0)
    stage.deliver_all()
    settle(stage, 0)
    node = stage.nodes[1]
    node.trace.clear()
    stage.receive(1, 0, Decided(*node.chain[0]))
    assert node.trace == []


def test_a_message_that_waited_over_the_end_of_its_epoch_means_nothing() -> None:
    """It was verified under the keys of before, if at all, and the index of its sender may have changed."""
    stage = Stage(3, seals=[(1, [0, 1, 2])])
    stage.elect(0)
    stage.deliver_all()
    settle(stage, 0)
    machine = stage.nodes[1].machine
    beat = Beat(EpochNumber(1), Height(2), View(1), 1, False)
    assert machine.step(Received(0, beat, EpochNumber(0))) == []
    assert machine.step(Received(0, beat, EpochNumber(1))) != []


def test_who_is_no_validator_only_follows() -> None:
    stage = Stage(3, seals=[(1, [1, 2])])
    stage.elect(0)
    stage.deliver_all()
    settle(stage, 0)
    machine = stage.nodes[0].machine
    assert not machine.is_validating and machine.own_index is None
    beat = Beat(EpochNumber(1), Height(4), View(1), 1, False)
    assert machine.step(Received(0, beat, EpochNumber(1))) == [RequestSync(0, Height(3))]


def test_raft_becomes_bft_and_comes_back_at_seals() -> None:
    stage = Stage(
        4,
        seals=[(1, [0, 1, 2, 3]), (3, [0, 1, 2])],
        engines=(EngineKind.RAFT, EngineKind.BFT, EngineKind.RAFT),
        first=[0, 1, 2],
    )
    assert not stage.nodes[3].machine.is_validating
    stage.elect(0, [1, 2])
    stage.deliver_all()
    settle(stage, 0)
    stage.follow(3, 1)
    assert [type(node.machine.engine) for node in stage.nodes] == [Bft] * 4
    for _ in range(2):
        stage.deliver_all()
        proposer = stage.nodes[0].machine.leader
        assert proposer is not None
        stage.build(proposer)
    stage.deliver_all()
    assert stage.heights == [3, 3, 3, 3]
    assert [c.kind for _, c in stage.nodes[3].chain] == [
        VoteKind.ACK,
        VoteKind.PRECOMMIT,
        VoteKind.PRECOMMIT,
    ]
    assert [type(node.machine.engine) for node in stage.nodes] == [Raft] * 3 + [type(None)]
    stage.elect(2, [0, 1])
    stage.deliver_all()
    settle(stage, 2)
    assert stage.heights == [4, 4, 4, 3]


# --- restarts (W5)


def make_machine(height: int = 5) -> Consensus:
    stage = Stage(3)
    block_id = BlockId(bytes([height]) * 32)
    node = stage.nodes[0]
    return Consensus(
        GENESIS_HASH, node.signer.public_key, stage.plan.records[0], Height(height), block_id, LOCAL
    )


def make_safety(height: int, epoch: int = 0) -> RaftSafety:
    return RaftSafety(EpochNumber(epoch), Height(height), View(7), 1, View(0), None)


@pytest.mark.parametrize(("height", "term"), [(6, 7), (5, 7), (1, 7)])
def test_term_and_vote_hold_for_the_epoch(height: int, term: int) -> None:
    machine = make_machine(5)
    machine.step(Start(make_safety(height)))
    assert machine.term == term and machine.is_validating


def test_record_of_an_earlier_epoch_promises_nothing() -> None:
    stage = Stage(3, seals=[(5, [0, 1, 2])])
    node = stage.nodes[0]
    machine = Consensus(
        GENESIS_HASH, node.signer.public_key, stage.plan.records[1], Height(5), ORIGIN.block_id, LOCAL
    )
    machine.step(Start(make_safety(6, epoch=0)))
    assert machine.term == 0 and machine.is_validating


def test_record_ahead_of_the_chain_makes_a_follower_until_caught_up() -> None:
    machine = make_machine(5)
    assert [type(effect) for effect in machine.step(Start(make_safety(8)))] == [Alarm]
    proof = certify((Vote(EpochNumber(0), VoteKind.ACK, Height(6), View(1), BlockId(bytes(32)), None, 0),))
    for height in (6, 7):
        assert not machine.is_validating
        effects = machine.step(BlockCommitted(Height(height), BlockId(bytes(32)), ORIGIN.time_ms, proof))
    assert machine.is_validating and machine.term == 7
    assert not any(isinstance(effect, Alarm) for effect in effects)


def test_who_is_held_only_follows_until_it_is_released() -> None:
    machine = make_machine(5)
    assert machine.step(Start(make_safety(6), is_held=True)) == []
    proof = certify((Vote(EpochNumber(0), VoteKind.ACK, Height(6), View(1), BlockId(bytes(32)), None, 0),))
    assert machine.step(BlockCommitted(Height(6), BlockId(bytes(32)), ORIGIN.time_ms, proof)) == []
    beat = Beat(EpochNumber(0), Height(7), View(1), 1, False)
    assert machine.step(Received(1, beat, EpochNumber(0))) == [] and not machine.is_validating
    assert machine.step(Released()) and machine.is_validating and machine.term == 7
    assert machine.step(Released()) == []


def test_a_release_still_waits_for_the_height_of_the_safety_record() -> None:
    machine = make_machine(5)
    machine.step(Start(make_safety(7), is_held=True))
    machine.step(Released())
    assert not machine.is_validating
    proof = certify((Vote(EpochNumber(0), VoteKind.ACK, Height(6), View(1), BlockId(bytes(32)), None, 0),))
    machine.step(BlockCommitted(Height(6), BlockId(bytes(32)), ORIGIN.time_ms, proof))
    assert machine.is_validating


# --- another own key at a seal (M12)


def cross_with(machine: Consensus, stage: Stage, own: OwnKey | None) -> list[Effect]:
    """Commit the seal of epoch 0 at height 6."""
    proof = certify((Vote(EpochNumber(0), VoteKind.ACK, Height(6), View(1), BlockId(bytes(32)), None, 0),))
    record = stage.plan.records[1]
    return machine.step(BlockCommitted(Height(6), BlockId(bytes(32)), ORIGIN.time_ms, proof, record, own))


def rotating_stage() -> tuple[Stage, Consensus, PublicKey]:
    """Return a machine of node 0 before a seal after which node 3's key certifies in the place of its own."""
    stage = Stage(4, seals=[(6, [1, 2, 3])], first=[0, 1, 2])
    old, fresh = (stage.nodes[index].signer.public_key for index in (0, 3))
    block_id = BlockId(bytes([5]) * 32)
    machine = Consensus(GENESIS_HASH, old, stage.plan.records[0], Height(5), block_id, LOCAL)
    return stage, machine, fresh


def test_another_own_key_takes_over_at_the_seal() -> None:
    stage, machine, fresh = rotating_stage()
    machine.step(Start(make_safety(6)))
    assert machine.own_index == stage.plan.records[0].index_of(stage.nodes[0].signer.public_key)
    cross_with(machine, stage, OwnKey(fresh))
    assert machine.is_validating and machine.own_index == stage.plan.records[1].index_of(fresh)
    assert machine.term < make_safety(6).term, "the fresh key has promised nothing"


def test_without_another_key_a_removed_one_only_follows() -> None:
    stage, machine, _ = rotating_stage()
    machine.step(Start(make_safety(6)))
    assert cross_with(machine, stage, None) == []
    assert not machine.is_validating and machine.own_index is None


def test_a_fresh_key_ends_what_held_the_old_one_back() -> None:
    stage, machine, fresh = rotating_stage()
    machine.step(Start(make_safety(6), is_held=True))
    assert cross_with(machine, stage, OwnKey(fresh))
    assert machine.is_validating


def test_a_key_that_may_not_sign_yet_is_held_at_the_seal() -> None:
    stage, machine, fresh = rotating_stage()
    machine.step(Start(make_safety(6)))
    assert cross_with(machine, stage, OwnKey(fresh, is_held=True)) == []
    assert not machine.is_validating
    machine.step(Released())
    assert machine.is_validating


# --- laggards and buffers


@pytest.mark.parametrize(
    ("ahead", "asks"), [(SYNC_LAG_HEIGHTS, False), (SYNC_LAG_HEIGHTS + 1, True), (100, True)]
)
def test_block_sync_is_asked_for_well_behind(ahead: int, asks: bool) -> None:
    machine = make_machine(5)
    machine.step(Start(None))
    beat = Beat(EpochNumber(0), Height(5 + ahead), View(1), 1, False)
    effects = machine.step(Received(1, beat, EpochNumber(0)))
    assert any(isinstance(effect, RequestSync) for effect in effects) is asks
    again = machine.step(Received(1, replace(beat, counter=2), EpochNumber(0)))
    assert not any(isinstance(effect, RequestSync) for effect in again)


def test_old_places_are_answered_with_the_block_that_lacks() -> None:
    machine = make_machine(5)
    machine.step(Start(None))
    effects = machine.step(Received(1, Beat(EpochNumber(0), Height(3), View(1), 1, False), EpochNumber(0)))
    assert ServeDecided(1, Height(3)) in effects


def test_proposal_for_the_next_height_waits() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.hold_commits = True
    stage.build(0)
    stage.deliver_all()
    for node in (0, 2):
        stage.release_commits(node)
    stage.build(0)
    stage.deliver_all()
    assert len(stage.nodes[1].chain) == 0
    stage.release_commits(1)
    stage.deliver_all()
    for node in (0, 1, 2):
        stage.release_commits(node)
    assert stage.heights == [2, 2, 2]


def test_buffers_are_bounded() -> None:
    machine = make_machine(5)
    machine.step(Start(None))
    for height in range(7, 7 + BUFFER_HEIGHTS + 2):
        for view in range(BUFFER_MESSAGES_MAX + 10):
            vote = Vote(EpochNumber(0), VoteKind.ACK, Height(height), View(view), BlockId(bytes(32)), None, 1)
            machine.step(Received(1, vote, EpochNumber(0)))
    assert sorted(machine._buffers) == list(range(7, 7 + BUFFER_HEIGHTS))
    assert [len(waiting) for waiting in machine._buffers.values()] == [BUFFER_MESSAGES_MAX] * BUFFER_HEIGHTS


def test_one_proposal_of_a_validator_waits() -> None:
    machine = make_machine(5)
    machine.step(Start(None))
    stage = Stage(3)
    block = ledger.build(ORIGIN, stage.plan, View(1), stage.nodes[0].signer.public_key, 9)
    for view in range(3):
        proposal = Proposal(EpochNumber(0), Height(7), View(view), 1, None, block)
        machine.step(Received(1, proposal, EpochNumber(0)))
    assert len(machine._buffers[Height(7)]) == 1


# --- decisions


def test_decision_of_a_minority_is_refused() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    settle(stage, 0)
    block, proof = stage.nodes[0].chain[0]
    fresh = Stage(3)
    alone = replace(proof, signers=1, signatures=proof.signatures[:1])
    fresh.receive(1, 0, Decided(block, alone))
    assert fresh.heights == [0, 0, 0] and fresh.nodes[1].alarms
    other = ledger.spoil(block)
    fresh.receive(1, 0, Decided(other, proof))
    assert fresh.heights == [0, 0, 0]
    fresh.receive(1, 0, Decided(block, replace(proof, kind=VoteKind.PRECOMMIT)))
    assert fresh.heights == [0, 0, 0]


def test_decision_that_does_not_follow_is_refused() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    settle(stage, 0)
    settle(stage, 0)
    block, proof = stage.nodes[0].chain[1]
    orphan = ledger.build(ORIGIN, stage.plan, View(1), stage.nodes[0].signer.public_key, 99)
    votes = [Vote(EpochNumber(0), VoteKind.ACK, Height(2), View(1), block.id, None, i) for i in range(2)]
    assert certify(tuple(votes)).block_id == block.id
    fresh = Stage(3)
    fresh.receive(1, 0, Decided(block, proof))
    assert fresh.heights == [0, 0, 0]
    node = stage.nodes[1]
    before = len(node.chain)
    stage.receive(1, 0, Decided(replace(orphan, id=proof.block_id), proof))
    assert len(node.chain) == before


# --- leaders that lie


def test_leader_with_two_proposals_gets_one_acknowledgement_and_is_convicted() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    first = next(m for m in stage.links[0, 1] if isinstance(m, Proposal))
    other = ledger.build(ORIGIN, stage.plan, View(1), stage.nodes[0].signer.public_key, 77)
    second = replace(first, block=other)
    stage.drop()
    stage.receive(1, 0, first)
    stage.receive(1, 0, stage.sign(0, second))
    acked = [m.block_id for m in stage.links[1, 2] if isinstance(m, Vote)]
    assert acked == [first.block.id]
    assert [e.kind.name for e in stage.nodes[1].evidence] == ["DUPLICATE_PROPOSAL"]


def test_proposal_of_an_earlier_term_is_answered_with_the_later_one() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    proposal = next(m for m in stage.links[0, 1] if isinstance(m, Proposal))
    stage.drop()
    stage.receive(1, 2, Beat(EpochNumber(0), Height(1), View(4), 1, False))
    stage.drop()
    stage.receive(1, 0, proposal)
    assert stage.nodes[1].accepted is None
    status = stage.deliver(1, 0, Status)
    assert isinstance(status, Status) and status.term == 4
    assert stage.nodes[0].role is Role.FOLLOWER and stage.nodes[0].term == 4


def test_candidate_behind_in_terms_learns_the_term() -> None:
    stage = Stage(3)
    stage.receive(1, 0, Beat(EpochNumber(0), Height(1), View(4), 1, False))
    stage.drop()
    stage.time_out(2)
    stage.deliver(2, 1, VoteRequest)
    assert stage.deliver(1, 2, Grant) is None
    stage.deliver(1, 2, Status)
    assert stage.nodes[2].term == 4


def test_status_moves_no_follower_but_in_term() -> None:
    stage = Stage(3)
    stage.receive(1, 0, Status(EpochNumber(0), Height(1), View(3), 0, Step.IDLE))
    assert stage.nodes[1].term == 3 and stage.nodes[1].role is Role.FOLLOWER


def test_a_record_of_another_version_is_told_apart_from_a_damaged_one() -> None:
    data = make_safety(6).encode()
    assert find_version(data) == SAFETY_VERSION
    newer = codec.encode((SAFETY_VERSION + 1, "of a form that nobody here knows"))
    assert find_version(newer + crypto.sha256(newer)) == SAFETY_VERSION + 1
    for at in range(0, len(data), 7):
        assert find_version(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]) is None
    for content in (b"", b"\x90", b"\xc1", codec.encode(("1",))):
        assert find_version(content + crypto.sha256(content)) is None
    assert find_version(b"") is None
