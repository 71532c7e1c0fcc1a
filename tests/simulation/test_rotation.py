"""Worlds in which validators change keys at seals, and crash there: every invariant holds all the same."""

from collections import Counter
from dataclasses import replace

import pytest

from protocol.chain.validators import EpochRecord, order_validators
from protocol.consensus.engine import Consensus
from protocol.consensus.inputs import OwnKey
from tests.simulation.disk import Row
from tests.simulation.faults import Plan
from tests.simulation.ledger import EpochPlan, FakeSigner, Signer
from tests.simulation.world import Node, World

SEEDS = 60
SEEDS_A_TEST = 15


class RotatingWorld(World):
    """A world in which every other validator has a fresh key in each epoch; traitors keep theirs."""

    def key_in(self, number: int, index: int) -> Signer:
        """Return the key of a node in an epoch."""
        if number == 0 or (number + index) % 2 or index in self._fixed:
            return self.signers[index]
        return FakeSigner(1_000 * number + index)

    @property
    def _fixed(self) -> frozenset[int]:
        return self.faults.twins | self.faults.liars | frozenset(range(self.faults.nodes, len(self.signers)))

    def _draw_plan(self) -> EpochPlan:
        plan = super()._draw_plan()
        for number in range(1, len(plan.records)):
            fresh = {
                self.signers[i].public_key: self.key_in(number, i).public_key for i in self.by_key.values()
            }
            self.by_key |= {key: self.by_key[old] for old, key in fresh.items()}
            record = plan.records[number]
            validators = [replace(v, consensus_key=fresh[v.consensus_key]) for v in record.validators]
            plan.records[number] = replace(
                record,
                validators=order_validators(tuple(validators)),
                previous_hash=plan.records[number - 1].compute_hash(),
            )
        plan.seals = {record.first_height - 1: record for record in plan.records[1:]}
        plan.hashes = [record.compute_hash() for record in plan.records]
        return plan

    def start_over(self) -> None:
        """Say in which place of each record each node is: the base knows one key a node."""
        self._places = [
            [record.index_of(self.key_in(record.number, node.index).public_key) for node in self.nodes]
            for record in self.plan.records
        ]

    def _make_machine(self, signer: Signer, chain: list[Row]) -> Consensus:
        number = self.plan.record_of(len(chain) + 1).number
        return super()._make_machine(self.key_in(number, self.by_key[signer.public_key]), chain)

    def _restart(self, node: Node) -> None:
        if not node.is_up:
            node.signer = self.key_in(self.plan.record_of(len(node.chain) + 1).number, node.index)
        super()._restart(node)

    def take_key(self, node: Node, record: EpochRecord) -> OwnKey | None:
        signer = self.key_in(record.number, node.index)
        if signer.public_key == node.signer.public_key:
            return None
        node.signer = signer
        self.counts["key changed"] += 1
        return OwnKey(signer.public_key)


def run(seed: int, plan: Plan) -> RotatingWorld:
    world = RotatingWorld(seed, plan=plan)
    world.start_over()
    world.run()
    return world


@pytest.mark.parametrize("plan", [Plan.RAFT, Plan.BFT, Plan.MIGRATE])
@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_no_seed_breaks_an_invariant(first: int, plan: Plan) -> None:
    counts: Counter[str] = Counter()
    for seed in range(first, first + SEEDS_A_TEST):
        try:
            counts += run(seed, plan).counts
        except Exception as failure:
            pytest.fail(f"seed {seed} of {plan}: {type(failure).__name__}: {failure}")
    assert counts["key changed"] > 0


def test_keys_change_where_nodes_crash() -> None:
    counts: Counter[str] = Counter()
    for seed in range(40):
        counts += run(seed, Plan.MIGRATE).counts
    assert counts["key changed"] > 100 and counts["crash at a seal"] > 10
