"""I16: nobody starves longer than the stated bound, whoever holds the office (consensus.md 3.6).

The world of the simulator with a ledger that has one transaction, validators that leave it out for ever, and
the rule of `node/starvation.py` beside each machine. Words of attestation take their time and are lost.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from node.starvation import (
    STARVE_BLOCKS,
    STARVE_HEIGHTS,
    STARVE_SECONDS,
    Attestations,
    Suspicion,
    list_left_out,
)
from protocol.chain.block import Block, assemble_block, compute_tx_root
from protocol.chain.certificate import Certificate
from protocol.chain.transaction import SignedTransaction
from protocol.consensus.effects import BuildBlock
from protocol.consensus.inputs import BlockBuilt, BlockChecked, Verdict
from protocol.types import Height, TxId
from tests.node.test_starvation import pay
from tests.simulation import ledger
from tests.simulation.faults import Faults, Plan, draw_faults
from tests.simulation.world import Node, World

HEIGHTS = 100
LOST_WORDS_HEIGHTS = 10
"""What the bound allows for words that are lost; they are said again at every height."""

VICTIM, OTHER = pay(1), pay(2)


def quiet(seed: int, plan: Plan) -> Faults:
    """Keep of a storm what delays and loses messages: who is down cannot attest."""
    nodes = 3 if plan is Plan.RAFT else Random(seed).choice((4, 7))
    drawn = draw_faults(seed, Random(seed), nodes, plan)
    nobody: frozenset[int] = frozenset()
    return replace(
        drawn, loss=min(drawn.loss, 0.05), never_build=0.0, crash=0.0, crash_step=0.0, pause=0.0, cut=0.0,
        cut_one_way=0.0, hand_over=0.0, bad_builders=nobody, bad_block=0.0, seals=0, with_codec=False,
        with_replay=False, twins=nobody, silent=nobody, liars=nobody, unwelcome=0.0, rotten=nobody, rot=0.0,
        is_rushing=False, mute=nobody,
    )  # fmt: skip


class CensoredWorld(World):
    """A world in which some validators leave the victim out; it begins to wait while one of them leads."""

    def __init__(self, seed: int, plan: Plan, is_ruled: bool = True) -> None:
        faults = quiet(seed, plan)
        super().__init__(seed, faults=faults, heights=HEIGHTS)
        self.is_ruled = is_ruled
        self.censors = set(range(1 if plan is Plan.RAFT else (faults.nodes - 1) // 3))
        record = self.plan.records[0]
        self.watches = [(Suspicion(), Attestations(record)) for _ in self.nodes]
        self.born: int | None = None
        self.served: Height | None = None
        self.times_ms: list[int] = []
        self.unwelcome = 0
        self.have_it: set[int] = set()

    def _build(self, node: Node, wanted: BuildBlock) -> None:
        if node.build_wanted is not wanted or node.head.block_id != wanted.parent_id:
            return
        node.build_wanted = None
        bare = ledger.build(node.head, self.plan, wanted.view, node.signer.public_key, self.now_ms)
        if self.born is None and node.index in self.censors:
            self.born = bare.height
        is_served = self.born is not None and self.served is None and node.index not in self.censors
        body = (VICTIM, OTHER) if is_served else (OTHER,)
        header = replace(bare.header, tx_root=compute_tx_root(body), tx_count=len(body))
        block = assemble_block(header, body, (), bare.last_certificate)
        self.oracle.on_built(block, True)
        self.oracle.on_checked(node.index, block, Verdict.VALID)
        self.step(node, BlockBuilt(wanted.height, wanted.view, block))

    def _check(self, node: Node, block: Block) -> None:
        if block.height != len(node.chain) + 1:
            return
        verdict = ledger.judge(block, node.head, self.plan)
        due = [VICTIM] if self.watches[node.index][1].list_due(block.height) else []
        is_served = node.index in self.have_it
        if node.index not in self.censors and list_left_out(block, due, lambda _: not is_served):
            verdict = Verdict.UNWELCOME
            self.unwelcome += 1
        self.oracle.on_checked(node.index, block, verdict)
        self.step(node, BlockChecked(block.id, verdict))

    def _commit(self, node: Node, block: Block, certificate: Certificate) -> None:
        is_new = block.height == len(node.chain) + 1
        super()._commit(node, block, certificate)
        if not is_new:
            return
        if block.height > len(self.times_ms):
            self.times_ms.append(block.header.time_ms)
        if len(block.transactions) > 1:
            self.served = block.height
            self.have_it.add(node.index)
        suspicion, said = self.watches[node.index]
        said.forget([signed.id for signed in block.transactions])
        is_waiting = self.born is not None and node.index not in self.have_it
        first: Sequence[SignedTransaction] = [VICTIM] if is_waiting else []
        ids = [signed.id for signed in suspicion.note_block(block, first, self.now_ms / 1_000)]
        if self.is_ruled and node.index not in self.censors:
            self._attest(node, ids)

    def _attest(self, node: Node, ids: list[TxId]) -> None:
        for other in self.nodes:
            if other is node:
                self._hear(other, node.index, ids)
            elif self.random.random() >= self.faults.loss:
                delay_ms = self.random.randint(*self.faults.delay_ms)
                self._push(delay_ms, other, lambda other=other: self._hear(other, node.index, ids))  # type: ignore[misc]

    def _hear(self, node: Node, speaker: int, ids: list[TxId]) -> None:
        place = self._places[0][speaker]
        assert place is not None
        self.watches[node.index][1].hear(place, ids, Height(len(node.chain) + 1))

    def last_height_allowed(self) -> int:
        """Return the bound: what fits into two seconds, and then so many blocks."""
        assert self.born is not None
        begun_ms = self.times_ms[self.born - 1]
        until_ms = begun_ms + STARVE_SECONDS * 1_000
        slow = sum(1 for time_ms in self.times_ms if begun_ms <= time_ms <= until_ms)
        return self.born + max(slow, STARVE_BLOCKS) + 1 + STARVE_HEIGHTS + LOST_WORDS_HEIGHTS


@pytest.mark.parametrize("plan", [Plan.RAFT, Plan.BFT])
@pytest.mark.parametrize("first", range(0, 10, 5))
def test_nobody_starves(plan: Plan, first: int) -> None:
    for seed in range(first, first + 5):
        world = CensoredWorld(seed, plan)
        world.run()
        if world.born is not None:
            assert world.served is not None, f"seed {seed}: it starves"
            assert world.served <= world.last_height_allowed(), f"seed {seed}: it starved too long"


def test_without_the_rule_a_raft_leader_starves_whom_it_likes() -> None:
    """So the seeds above prove something: a leader who loses no message is never left."""
    worlds = [CensoredWorld(seed, Plan.RAFT, is_ruled=False) for seed in range(8)]
    for world in worlds:
        world.run()
    starved = [w for w in worlds if w.born and (w.served is None or w.served > w.last_height_allowed())]
    assert starved and not any(world.unwelcome for world in worlds)
    ruled = [CensoredWorld(seed, Plan.RAFT) for seed in range(8)]
    for world in ruled:
        world.run()
    assert any(world.unwelcome for world in ruled)
