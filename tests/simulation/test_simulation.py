"""Two hundred seeds of the simulated world, a few on the curve, and proof that a seed is a history."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from protocol.chain.validators import EngineKind
from tests.simulation.faults import Plan, draw_faults
from tests.simulation.ledger import RealSigner
from tests.simulation.world import World

SEEDS = 200
SEEDS_A_TEST = 25


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_no_seed_breaks_an_invariant(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        try:
            World(seed).run()
        except Exception as failure:
            pytest.fail(f"scripts/sim --seeds 1 --seed {seed}   {type(failure).__name__}: {failure}")


@pytest.mark.parametrize("plan", [Plan.RAFT, Plan.BFT, Plan.MIGRATE])
@pytest.mark.parametrize("seed", range(1_000, 1_003))
def test_holds_with_signatures_on_the_curve(seed: int, plan: Plan) -> None:
    World(seed, make_signer=RealSigner, plan=plan).run()


@pytest.mark.parametrize("seed", [1, 7, 26])
@pytest.mark.parametrize("plan", [Plan.RAFT, Plan.BFT, Plan.MIGRATE])
def test_a_seed_is_a_history(seed: int, plan: Plan) -> None:
    first, second = World(seed, plan=plan), World(seed, plan=plan)
    first.run()
    second.run()
    assert first.steps == second.steps
    assert [block.id for block, _ in first.oracle.chain] == [block.id for block, _ in second.oracle.chain]


def test_storms_are_storms() -> None:
    """The worlds do crash, cross epochs and change leaders; otherwise the seeds above prove little."""
    worlds = [World(seed) for seed in range(60)]
    for world in worlds:
        world.run()
    assert sum(world.crashes for world in worlds) > 40
    assert sum(node.machine.record.number for world in worlds for node in world.nodes) > 40
    for engine in EngineKind:
        views = [
            certificate.view
            for world in worlds
            for _, certificate in world.oracle.chain
            if world.plan.records[certificate.epoch].engine is engine
        ]
        assert max(views) > 2


def test_who_lost_what_it_promised_sits_it_out() -> None:
    lost = sat_out = 0
    for seed in range(300):
        faults = draw_faults(seed, Random(seed), None, Plan.ALL)
        if faults.rotten:
            world = World(seed, faults=replace(faults, rot=1.0, crash=max(faults.crash, 0.5)))
            world.run()
            lost += world.counts["safety record damaged"]
            sat_out += world.counts["promises sat out"]
    assert lost > 20 and sat_out > 20


def test_chains_move_from_raft_to_bft_and_back_in_the_storm() -> None:
    crossings = set()
    for seed in range(12):
        world = World(seed, plan=Plan.MIGRATE)
        world.run()
        engines = [world.plan.records[certificate.epoch].engine for _, certificate in world.oracle.chain]
        crossings |= set(pairwise(engines))
    assert {(EngineKind.RAFT, EngineKind.BFT), (EngineKind.BFT, EngineKind.RAFT)} <= crossings


def test_a_doubled_validator_and_a_liar_are_convicted() -> None:
    convicted = doubled = 0
    for seed in range(60):
        world = World(seed, plan=Plan.BFT)
        if world.faults.twins or world.faults.liars:
            world.run()
            doubled += 1
            convicted += bool(world.oracle.convicted)
    assert doubled >= 10 and convicted >= doubled // 2
