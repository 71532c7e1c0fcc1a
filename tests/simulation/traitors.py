"""Too many traitors: an engine forks; then the signatures must convict the guilty, and nobody else (I9, I10).

One validator of three on Raft, or two of four on BFT, run twice with one key, each copy with a memory of its
own, and the network shows different copies to different nodes.
"""

import argparse
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import combinations

from protocol.chain.block import Block
from protocol.chain.certificate import Certificate
from protocol.chain.conviction import Testimony, check_evidence, convict
from protocol.chain.evidence import Evidence, EvidenceKind
from protocol.chain.validators import EngineKind
from protocol.consensus import conviction
from protocol.consensus.engine import Consensus
from protocol.consensus.messages import Signed
from protocol.consensus.timeouts import LOCAL
from tests.simulation.faults import Faults
from tests.simulation.ledger import GENESIS_HASH, FakeSigner
from tests.simulation.oracle import Invariant, Oracle, Violation
from tests.simulation.world import Node, World

STORM_MS = 4_000
STRAY = 0.05
PARTED = 0.1
PARTED_MS = 1_000

RAFT = Faults(
    nodes=3,
    timeouts=LOCAL,
    delay_ms=(1, 10),
    is_ordered=False,
    loss=0.02,
    duplicate=0.0,
    build_ms=(5, 50),
    never_build=0.0,
    work_ms=5,
    crash_step=0.0,
    crash=0.0,
    pause=0.0,
    cut=3.0,
    cut_one_way=0.0,
    hand_over=0.3,
    clock_ppm=100_000,
    bad_builders=frozenset(),
    bad_block=0.0,
    seals=0,
    storm_ms=STORM_MS,
    with_codec=False,
    with_replay=False,
    twins=frozenset({0}),
)
BFT = replace(RAFT, nodes=4, cut=1.0, engines=(EngineKind.BFT,), twins=frozenset({0, 1}))


class Recorder(Oracle):
    """Forbid nothing; remember what was signed, what became final and who was accused."""

    def __init__(self, plan: object) -> None:
        super().__init__(plan, FakeSigner.verify, frozenset())  # type: ignore[arg-type]
        self.said: dict[int, list[Testimony]] = defaultdict(list)
        self.final: dict[int, dict[bytes, Block]] = defaultdict(dict)
        self.accused: set[bytes] = set()

    def on_signed(self, node: int, message: Signed) -> None:
        testimony = conviction.testimony_of(message)
        self.said[testimony.height].append(testimony)

    def on_commit(self, node: int, block: Block, certificate: Certificate) -> None:
        self.final[block.height][block.id] = block
        if block.height == self.height + 1:
            self.chain.append((block, certificate))

    def on_stepped(self, node: int, machine: Consensus) -> None:
        pass

    def on_alarm(self, node: int, reason: str) -> None:
        pass

    def on_evidence(self, node: int, evidence: Evidence) -> None:
        check_evidence(evidence, self._plan.records[evidence.epoch], GENESIS_HASH, self._verify)
        self.accused.add(evidence.accused)

    def find_fork(self) -> int | None:
        return min((height for height, blocks in self.final.items() if len(blocks) > 1), default=None)

    def convict_at(self, height: int) -> set[tuple[int, EvidenceKind]]:
        """Return who is convicted by what was signed at a height and by all elections up to it."""
        below = [t for h in range(height) for t in self.said[h] if t.claim is not None]
        said = below + self.said[height]
        pairs = ((a, convict(a, b)) for a, b in combinations(said, 2))
        return {(first.signer, kind) for first, kind in pairs if kind is not None}


class TraitorWorld(World):
    """A world in which some keys have two nodes."""

    def __init__(self, seed: int, faults: Faults) -> None:
        super().__init__(seed, faults=faults)
        self.recorder = Recorder(self.plan)
        self.oracle = self.recorder

    def find_targets(self, node: Node, key: bytes) -> list[Node]:
        """Say who has a key: mostly the copies of the own half of the world."""
        targets = super().find_targets(node, key)
        pair = next((pair for pair in self.pairs if targets[0] in pair), [])
        if node in pair or not pair or self.random.random() < STRAY:
            return targets
        is_copy = node.index >= self.faults.nodes
        return [pair[is_copy if node not in self.correct else node.index % 2]]

    def _trouble(self) -> None:
        """Part those who are correct for a round or so, besides the usual trouble."""
        if self.random.random() < PARTED:
            one, other = (node.index for node in self.correct)
            pairs = frozenset({(one, other), (other, one)})
            self._cut("parted", pairs, self.random.randint(1, PARTED_MS))
        super()._trouble()

    def storm(self) -> None:
        for node in self.nodes:
            self._begin(node)
        self._trouble_later()
        self._run_until(STORM_MS, lambda: False)


class Tally:
    """What the forks of many worlds convicted."""

    def __init__(self) -> None:
        self.worlds = 0
        self.forks = 0
        self.kinds: Counter[EvidenceKind] = Counter()

    def add(self, seed: int, faults: Faults, guilty_min: int) -> None:
        """Run one world.

        Raises:
            Violation: somebody correct is accused or convicted, or a fork convicts too few.
        """
        world = TraitorWorld(seed, faults)
        world.storm()
        recorder, record = world.recorder, world.plan.records[0]
        keys = {world.signers[twin].public_key for twin in faults.twins}
        if not recorder.accused <= keys:
            raise Violation(Invariant.INNOCENCE, f"somebody correct is accused, seed {seed}")
        self.worlds += 1
        height = recorder.find_fork()
        if height is None:
            return
        self.forks += 1
        convicted = recorder.convict_at(height)
        signers = {signer for signer, _ in convicted}
        if not signers <= {record.index_of(key) for key in keys}:
            raise Violation(Invariant.INNOCENCE, f"a fork convicts somebody correct, seed {seed}")
        if len(signers) < guilty_min:
            raise Violation(Invariant.GUILT, f"a fork convicts {len(signers)} only, seed {seed}")
        self.kinds.update({kind for _, kind in convicted})

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind.name.lower()} {count}" for kind, count in sorted(self.kinds.items()))
        return f"{self.worlds} worlds, {self.forks} forks, each convicts enough and nobody else; with {kinds}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/sim --traitors", description=__doc__)
    parser.add_argument("--seeds", type=int, default=600, help="of each engine")
    seeds = parser.parse_args().seeds
    for name, faults, guilty_min in (("raft 1 of 3", RAFT, 1), ("bft 2 of 4", BFT, 2)):
        tally = Tally()
        for seed in range(seeds):
            tally.add(seed, faults, guilty_min)
        print(f"{name}: {tally}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
