"""Run many seeds; print figures, and for the first seed that shows a violation the command that replays it.

Several jobs are several processes; each seed is a world of its own, and they are read in their order, so the
result is the same as that of one job.
"""

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from protocol.consensus.effects import Effect
from protocol.consensus.inputs import Input
from tests.simulation.faults import Faults, Plan
from tests.simulation.ledger import FakeSigner, RealSigner
from tests.simulation.oracle import Violation
from tests.simulation.world import Node, World

SEEDS_A_TASK = 4


class LoudWorld(World):
    """A world that tells its history."""

    def step(self, node: Node, event: Input) -> None:
        print(f"{self.now_ms:7} n{node.index} h{node.machine.height} t{node.machine.term} < {event!r:.160}")
        super().step(node, event)

    def perform(self, node: Node, effect: Effect) -> None:
        print(f"{self.now_ms:7} n{node.index}       > {effect!r:.160}")
        super().perform(node, effect)


@dataclass(frozen=True, slots=True)
class Result:
    """What one seed gave."""

    seed: int
    failure: str | None
    world: str
    heights: int
    steps: int
    simulated_ms: int
    cpu_seconds: float
    rounds_calm_max: int
    counts: "Counter[str]"


def name_world(faults: Faults) -> str:
    """Name the configuration of a world."""
    names = [engine.name.lower() for engine in faults.engines[: faults.seals + 1]]
    engines = "-".join(names) if faults.first else f"{names[0]}-{faults.nodes}"
    kinds = (("twin", faults.twins), ("liar", faults.liars), ("silent", faults.silent))
    return engines + "".join(f"+{kind}" for kind, nodes in kinds if nodes)


def run_seed(seed: int, options: argparse.Namespace) -> Result:
    """Run one world."""
    kind = LoudWorld if options.verbose else World
    make_signer = RealSigner if options.real else FakeSigner
    began = time.process_time()
    world = kind(seed, options.nodes, make_signer=make_signer, plan=options.engine, heights=options.heights)
    failure = None
    gc.disable()  # A world is one heap of rings: nothing in it is garbage before its end.
    try:
        world.run()
    except (Violation, AssertionError) as violation:
        failure = f"{type(violation).__name__}: {violation}"
    result = Result(
        seed,
        failure,
        name_world(world.faults),
        world.oracle.height,
        world.steps,
        world.now_ms,
        time.process_time() - began,
        world.oracle.rounds_calm_max,
        world.counts,
    )
    del world
    gc.enable()
    gc.collect()
    return result


@contextmanager
def open_pool(jobs: int) -> Iterator[Callable[..., Iterator[Result]]]:
    """Give a `map` that works in so many processes and keeps the order."""
    if jobs == 1:
        yield map
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield partial(pool.imap, chunksize=SEEDS_A_TASK)


def print_figures(results: list[Result], wall_seconds: float, jobs: int) -> None:
    heights = sum(result.heights for result in results)
    steps = sum(result.steps for result in results)
    cpu = sum(result.cpu_seconds for result in results)
    simulated = sum(result.simulated_ms for result in results) / 1000
    print(
        f"{len(results)} seeds, {heights} heights, {steps} events in {wall_seconds:.1f} s by {jobs} jobs: "
        f"{len(results) / wall_seconds:.1f} seeds/s, {heights / wall_seconds:.0f} heights/s; "
        f"{cpu:.1f} s CPU, {cpu / len(results):.3f} a seed; "
        f"simulated {simulated:.0f} s, {simulated / cpu:.0f} times real time"
    )
    worlds = Counter(result.world for result in results)
    print("worlds: " + ", ".join(f"{name} {count}" for name, count in sorted(worlds.items())))
    faults: Counter[str] = Counter()
    for result in results:
        faults += result.counts
    print("faults: " + ", ".join(f"{name} {count}" for name, count in sorted(faults.items())))
    print(f"rounds of a height in calm: at most {max(result.rounds_calm_max for result in results)}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes; one a core if unset"
    )
    parser.add_argument("--nodes", type=int, default=None, help="nodes in every world; drawn when not given")
    parser.add_argument("--engine", type=Plan, choices=list(Plan), default=Plan.ALL, help="drawn by default")
    parser.add_argument("--heights", type=int, default=0, help="blocks of every world; some 30 if unset")
    parser.add_argument("--real", action="store_true", help="signatures on the curve, all verified")
    parser.add_argument("--verbose", action="store_true", help="print every input and effect")
    options = parser.parse_args()
    jobs = 1 if options.verbose else max(1, min(options.jobs, options.seeds // SEEDS_A_TASK))
    began = time.monotonic()
    results: list[Result] = []
    failed = None
    with open_pool(jobs) as run_all:
        seeds = range(options.seed, options.seed + options.seeds)
        for result in run_all(partial(run_seed, options=options), seeds):
            results.append(result)
            if result.failure is not None:
                failed = result
                break
    print_figures(results, time.monotonic() - began, jobs)
    if failed is None:
        return 0
    nodes = "" if options.nodes is None else f" --nodes {options.nodes}"
    nodes += " --real" if options.real else ""
    command = (
        f"scripts/sim --seeds 1 --seed {failed.seed} --engine {options.engine} --heights {options.heights}"
    )
    print(f"FAIL {command}{nodes}   {failed.failure}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
