"""Two hundred seeds of the simulated world, a few on the curve, and proof that a seed is a history."""

import pytest

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


@pytest.mark.parametrize("seed", range(1_000, 1_006))
def test_holds_with_signatures_on_the_curve(seed: int) -> None:
    World(seed, make_signer=RealSigner).run()


@pytest.mark.parametrize("seed", [1, 7, 26])
def test_a_seed_is_a_history(seed: int) -> None:
    first, second = World(seed), World(seed)
    first.run()
    second.run()
    assert first.steps == second.steps
    assert [block.id for block, _ in first.oracle.chain] == [block.id for block, _ in second.oracle.chain]


def test_storms_are_storms() -> None:
    """The worlds do crash, cross epochs and change leaders; otherwise the seeds above prove little."""
    worlds = [World(seed) for seed in range(40)]
    for world in worlds:
        world.run()
    assert sum(world.crashes for world in worlds) > 40
    assert sum(node.machine.record.number for world in worlds for node in world.nodes) > 40
    terms = [certificate.view for world in worlds for _, certificate in world.oracle.chain]
    assert max(terms) > 3
