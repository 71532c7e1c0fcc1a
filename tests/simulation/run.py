"""Run many seeds and print one line of figures, and one line for each seed that shows a violation."""

import argparse
import sys
import time

from protocol.consensus.effects import Effect
from protocol.consensus.inputs import Input
from tests.simulation.faults import Plan
from tests.simulation.ledger import FakeSigner, RealSigner
from tests.simulation.oracle import Violation
from tests.simulation.world import Node, World

FAILURES_SHOWN = 10


class LoudWorld(World):
    """A world that tells its history."""

    def step(self, node: Node, event: Input) -> None:
        print(f"{self.now_ms:7} n{node.index} h{node.machine.height} t{node.machine.term} < {event!r:.160}")
        super().step(node, event)

    def perform(self, node: Node, effect: Effect) -> None:
        print(f"{self.now_ms:7} n{node.index}       > {effect!r:.160}")
        super().perform(node, effect)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--nodes", type=int, default=None, help="nodes in every world; drawn when not given")
    parser.add_argument("--engine", type=Plan, choices=list(Plan), default=Plan.ALL, help="drawn by default")
    parser.add_argument(
        "--heights", type=int, default=0, help="blocks of every storm; some 30 when not given"
    )
    parser.add_argument("--real", action="store_true", help="signatures on the curve, all verified")
    parser.add_argument("--verbose", action="store_true", help="print every input and effect")
    options = parser.parse_args()
    kind = LoudWorld if options.verbose else World
    make_signer = RealSigner if options.real else FakeSigner
    began = time.process_time()
    heights = steps = simulated_ms = crashes = failures = 0
    for seed in range(options.seed, options.seed + options.seeds):
        world = kind(
            seed, options.nodes, make_signer=make_signer, plan=options.engine, heights=options.heights
        )
        try:
            world.run()
        except (Violation, AssertionError) as failure:
            failures += 1
            nodes = "" if options.nodes is None else f" --nodes {options.nodes}"
            nodes += f" --engine {options.engine} --heights {options.heights}"
            print(f"FAIL scripts/sim --seeds 1 --seed {seed}{nodes}   {type(failure).__name__}: {failure}")
            if failures >= FAILURES_SHOWN:
                break
        heights += world.oracle.height
        steps += world.steps
        simulated_ms += world.now_ms
        crashes += world.crashes
    cpu = time.process_time() - began
    print(
        f"{options.seeds} seeds, {failures} failed; {options.seeds / cpu:.0f} seeds/s, {heights} heights, "
        f"{steps} events, {crashes} crashes, {cpu:.1f} s CPU; "
        f"simulated {simulated_ms / 1000:.0f} s, {simulated_ms / 1000 / cpu:.0f} times real time"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
