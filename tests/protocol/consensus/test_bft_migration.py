"""From Raft 3 to BFT 4 and back at seals: the hard cases of consensus.md 1.5, as machines show them."""

from dataclasses import replace

import pytest

from protocol.chain.certificate import Vote, VoteKind
from protocol.chain.validators import EngineKind
from protocol.consensus.bft import Bft
from protocol.consensus.election import Role
from protocol.consensus.inputs import WorkWaiting
from protocol.consensus.messages import BftStatus, Decided, Proposal, VoteRequest
from protocol.consensus.raft import Raft
from protocol.consensus.safety import BftSafety, RaftSafety
from protocol.consensus.timeouts import TimerKind
from protocol.errors import Rejected
from protocol.light import Trust, cross_epoch, verify_header
from tests.protocol.consensus.stage import Stage
from tests.simulation import ledger
from tests.simulation.ledger import GENESIS_HASH

RAFT, BFT = EngineKind.RAFT, EngineKind.BFT
SEAL = 2
BACK = 5


class Move(Stage):
    """Three nodes on Raft up to `SEAL`, four on BFT up to `BACK`, then three on Raft again."""

    def __init__(self, seal: int = SEAL) -> None:
        seals = [(seal, [0, 1, 2, 3]), (seal + 3, [0, 1, 2])]
        super().__init__(4, seals=seals, engines=(RAFT, BFT, RAFT), first=[0, 1, 2])

    def raft_to(self, height: int, leader: int = 0) -> None:
        """Let a leader with both followers make blocks up to a height; node 3 follows."""
        if self.nodes[leader].role is not Role.LEADER:
            self.elect(leader, [i for i in range(3) if i != leader])
        while self.heights[leader] < height:
            self.deliver_all()
            self.build(leader)
            self.deliver_all()
            if self.nodes[leader].machine.record.engine is RAFT:
                self.fire(leader, TimerKind.BEAT)
            self.deliver_all()
        self.follow(3, leader)
        self.deliver_all()

    def bft_block(self, among: list[int] | None = None, rounds: int = 4) -> None:
        """Let some of the four make a block; rounds of proposers who are away pass by their timers."""
        chosen = list(range(4)) if among is None else among
        height = max(self.heights[i] for i in chosen)
        for i in chosen:
            self.step(self.nodes[i], WorkWaiting())
        for _ in range(rounds):
            self.deliver_all(among=chosen)
            proposer = self.nodes[chosen[0]].machine.leader
            wanted = None if proposer not in chosen else self.nodes[proposer].wanted
            if wanted is not None and wanted.height == height + 1:
                assert proposer is not None
                self.build(proposer)
            self.deliver_all(among=chosen)
            self.exchange(chosen)
            if all(self.heights[i] > height for i in chosen):
                return
            for kind in (TimerKind.PROPOSE, TimerKind.PREVOTE, TimerKind.PRECOMMIT):
                for i in chosen:
                    if kind in self.nodes[i].timers and self.heights[i] == height:
                        self.fire(i, kind)
                self.deliver_all(among=chosen)

    def exchange(self, chosen: list[int]) -> None:
        """Let everybody say where it is, often enough to be given everything."""
        for _ in range(3):
            for i in chosen:
                if isinstance(self.nodes[i].machine.engine, Bft):
                    self.fire(i, TimerKind.STATUS)
            self.deliver_all(among=chosen)


def test_chain_moves_and_comes_back_without_a_gap() -> None:
    move = Move()
    move.raft_to(SEAL)
    assert [type(node.machine.engine) for node in move.nodes] == [Bft] * 4
    for _ in range(BACK - SEAL):
        move.bft_block()
    assert move.heights == [BACK] * 4
    assert [type(node.machine.engine) for node in move.nodes] == [Raft] * 3 + [type(None)]
    move.raft_to(BACK + 1, leader=1)
    kinds = [certificate.kind for _, certificate in move.nodes[1].chain]
    assert kinds == [VoteKind.ACK] * 2 + [VoteKind.PRECOMMIT] * 3 + [VoteKind.ACK]
    epochs = [certificate.epoch for _, certificate in move.nodes[1].chain]
    assert epochs == [0, 0, 1, 1, 1, 2]


def test_the_first_bft_block_needs_three_hops_after_the_seal() -> None:
    move = Move()
    move.raft_to(SEAL)
    proposer = move.nodes[0].machine.leader
    assert proposer is not None
    move.drop()
    move.build(proposer)
    for kind in (Proposal, Vote, Vote):
        move.deliver_all_of_kind(kind, to=[0, 1, 2, 3])
    assert move.heights == [SEAL + 1] * 4


def test_minority_that_lags_behind_the_seal_is_brought_across() -> None:
    move = Move()
    move.elect(0, [1, 2])
    for _ in range(SEAL):
        move.deliver_all(among=[0, 1])
        move.build(0)
        move.deliver_all(among=[0, 1])
    move.follow(3, 0)
    move.drop()
    move.bft_block(among=[0, 1, 3])
    assert move.heights == [SEAL + 1, SEAL + 1, 0, SEAL + 1]
    # It campaigns in the old epoch; each answer is the block that it lacks, and no old engine is needed.
    for height in range(SEAL):
        move.time_out(2)
        request = move.deliver(2, 1, VoteRequest)
        assert request is not None
        assert isinstance(move.deliver(1, 2, Decided), Decided)
        assert move.heights[2] == height + 1
    assert isinstance(move.nodes[2].machine.engine, Bft)
    move.exchange([0, 1, 2, 3])
    assert move.heights == [SEAL + 1] * 4
    move.bft_block()
    assert move.heights == [SEAL + 2] * 4


def test_leader_crashes_before_the_seal() -> None:
    move = Move()
    move.raft_to(SEAL - 1)
    move.crash(0)
    move.drop()
    move.elect(1, [2])
    move.deliver_all(among=[1, 2])
    move.build(1)
    move.deliver_all(among=[1, 2])
    move.follow(3, 1)
    assert move.heights == [SEAL - 1, SEAL, SEAL, SEAL]
    move.bft_block(among=[1, 2, 3])
    assert move.heights[1:] == [SEAL + 1] * 3


def test_leader_dies_when_one_follower_has_the_seal() -> None:
    move = Move()
    move.raft_to(SEAL - 1)
    seal = move.build(0)
    move.deliver(0, 1, Proposal)
    move.deliver(0, 1, Vote)
    assert move.heights == [SEAL - 1, SEAL, SEAL - 1, SEAL - 1]
    move.crash(0)
    move.drop()
    # The other follower asks for an election; who has crossed gives it the seal.
    move.time_out(2)
    move.deliver(2, 1, VoteRequest)
    assert isinstance(move.deliver(1, 2, Decided), Decided)
    move.follow(3, 1)
    move.bft_block(among=[1, 2, 3])
    assert [len(node.chain) for node in move.nodes[1:]] == [SEAL + 1] * 3
    assert {node.chain[SEAL - 1][0].id for node in move.nodes[1:]} == {seal.id}


def test_leader_dies_when_only_its_word_for_the_seal_is_out() -> None:
    """Accepted but final nowhere: the next leader proposes the same block, so the seal stays the seal."""
    move = Move()
    move.raft_to(SEAL - 1)
    seal = move.build(0)
    move.hold_commits = True
    move.deliver(0, 1, Proposal)
    move.drop()
    move.crash(0)
    move.hold_commits = False
    move.crash(1)
    move.restart(1)
    move.elect(1, [2])
    move.deliver_all(among=[1, 2])
    assert [node.chain[SEAL - 1][0].id for node in move.nodes[1:3]] == [seal.id] * 2


def test_nothing_above_the_seal_in_the_old_epoch() -> None:
    move = Move()
    move.raft_to(SEAL)
    node = move.nodes[1]
    key = move.nodes[0].signer.public_key
    block = ledger.build(node.head, move.plan, node.chain[-1][1].view, key, 99)
    old = replace(block.header, epoch=move.plan.records[0].number, epoch_hash=move.plan.hashes[0])
    node.trace.clear()
    for header in (old, block.header):
        late = Proposal(
            move.plan.records[0].number, header.height, header.view, 0, None, replace(block, header=header)
        )
        move.receive(1, 0, move.sign(0, late))
    assert node.trace == [] and node.bft.locked is None


@pytest.mark.parametrize("is_durable", [False, True])
def test_power_cut_at_the_seal(is_durable: bool) -> None:
    """A restart finds either before or after: the block and the new epoch are one write (M7)."""
    move = Move()
    move.raft_to(SEAL - 1)
    move.hold_commits = not is_durable
    seal = move.build(0)
    move.deliver_all()
    if is_durable:
        move.follow(3, 0)
    for node in move.nodes:
        move.crash(node.index)
    move.drop()
    move.hold_commits = False
    records = [node.durable for node in move.nodes[:3]]
    assert all(isinstance(record, RaftSafety) for record in records)
    for node in move.nodes:
        move.restart(node.index)
    if not is_durable:
        assert all(isinstance(node.machine.engine, Raft) for node in move.nodes[:3])
        move.elect(2, [0, 1])
        move.deliver_all()
        move.follow(3, 2)
    move.exchange([0, 1, 2, 3])
    assert all(isinstance(node.machine.engine, Bft) for node in move.nodes)
    assert {node.chain[SEAL - 1][0].id for node in move.nodes} == {seal.id}
    move.bft_block()
    assert move.heights == [SEAL + 1] * 4
    assert all(isinstance(node.durable, BftSafety) for node in move.nodes)


def test_new_validator_may_come_later() -> None:
    move = Move()
    move.elect(0, [1, 2])
    move.deliver_all(among=[0, 1, 2])
    for _ in range(SEAL):
        move.build(0)
        move.deliver_all(among=[0, 1, 2])
        if move.nodes[0].machine.record.engine is RAFT:
            move.fire(0, TimerKind.BEAT)
            move.deliver_all(among=[0, 1, 2])
    move.drop()
    move.bft_block(among=[0, 1, 2])
    assert move.heights == [SEAL + 1] * 3 + [0]
    move.follow(3, 0)
    move.exchange([0, 1, 2, 3])
    move.bft_block()
    assert move.heights == [SEAL + 2] * 4


def test_two_of_four_offline_after_the_seal_stall_and_resume() -> None:
    move = Move()
    move.raft_to(SEAL)
    for gone in (2, 3):
        move.crash(gone)
    move.drop()
    move.bft_block(among=[0, 1])
    assert move.heights[:2] == [SEAL] * 2
    for back in (2, 3):
        move.restart(back)
    move.exchange([0, 1, 2, 3])
    move.bft_block(rounds=8)
    assert move.heights == [SEAL + 1] * 4


def test_locks_do_not_cross_a_seal() -> None:
    """One node is locked on a block of the seal's height when it hears that another one was decided."""
    stage = Stage(4, seals=[(1, [0, 1, 2, 3])], engines=(BFT,))
    stage.deliver_all()
    proposer = stage.nodes[0].machine.leader
    assert proposer is not None
    stage.build(proposer)
    stage.deliver_all_of_kind(Proposal, to=[0, 1, 2, 3])
    late = (proposer + 1) % 4
    stage.deliver_all_of_kind(Vote, to=[late])
    assert stage.nodes[late].bft.locked is not None
    stage.deliver_all()
    assert [node.machine.record.number for node in stage.nodes] == [1] * 4
    assert all(node.bft.locked is None and node.term == 0 for node in stage.nodes)


def test_who_is_late_at_the_way_back_gets_its_seal() -> None:
    """M9: those who have crossed run Raft and know nothing of rounds any more."""
    move = Move()
    move.raft_to(SEAL)
    for _ in range(BACK - SEAL - 1):
        move.bft_block()
    move.bft_block(among=[0, 1, 3])
    late, helper = 2, 0
    move.drop()
    assert isinstance(move.nodes[late].machine.engine, Bft)
    move.fire(late, TimerKind.STATUS)
    move.deliver(late, helper, BftStatus)
    assert isinstance(move.deliver(helper, late, Decided), Decided)
    assert isinstance(move.nodes[late].machine.engine, Raft)


def test_leader_is_replaced_exactly_at_the_vote() -> None:
    """M1: where the seal is follows from block V alone, whoever led when it became final."""
    vote, seal = 1, 4
    move = Move(seal)
    move.elect(0, [1, 2])
    move.deliver_all()
    decided = move.build(0)
    move.deliver(0, 1, Proposal)
    move.deliver(0, 1, Vote)
    assert move.heights == [0, vote, 0, 0]
    move.crash(0)
    move.drop()
    move.time_out(2)
    move.deliver(2, 1, VoteRequest)
    assert isinstance(move.deliver(1, 2, Decided), Decided)
    move.elect(1, [2])
    for height in range(vote + 1, seal + 1):
        move.deliver_all(among=[1, 2])
        move.build(1)
        move.deliver_all(among=[1, 2])
        if height < seal:
            move.fire(1, TimerKind.BEAT)
            move.deliver_all(among=[1, 2])
    move.follow(3, 1)
    move.bft_block(among=[1, 2, 3])
    move.restart(0)
    move.follow(0, 1)
    assert {node.chain[vote - 1][0].id for node in move.nodes} == {decided.id}
    epochs = [certificate.epoch for _, certificate in move.nodes[0].chain]
    assert epochs == [0] * seal + [1]


def test_light_client_crosses_by_the_seals_both_ways() -> None:
    """Header H by the rule of Raft, the record it names, headers of BFT by its own; and back again."""
    move = Move()
    move.raft_to(SEAL)
    while min(move.heights) < BACK:
        move.bft_block()
    trust = Trust(GENESIS_HASH, move.plan.records[0])
    crossed = []
    for block, certificate in move.nodes[0].chain:
        verify_header(trust, block.header, certificate, move.oracle._verify)
        with pytest.raises(Rejected, match="BAD_PROOF"):
            other = move.plan.records[(trust.record.number + 1) % 3]
            verify_header(Trust(GENESIS_HASH, other), block.header, certificate, move.oracle._verify)
        if block.header.is_seal:
            record = move.plan.records[trust.record.number + 1]
            trust = cross_epoch(trust, block.header, certificate, record, move.oracle._verify)
            crossed.append(int(block.height))
    assert crossed == [SEAL, BACK]
