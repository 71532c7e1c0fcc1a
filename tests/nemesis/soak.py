"""Lets a cluster work for hours without faults: what is acknowledged stays, and memory does not grow.

The bank (`bank.py`) pays without pause. `--check` lets the judge (`history.py`) look at everything
afterwards; `--rss` reports the memory of every process that is its own (mapped pages of the database are the
kernel's), and how fast it grew in the second half of the run. The goals are of reliability.md 4.
"""

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.cluster.founding import LOAD_OPENING_MINOR
from protocol.chain.validators import EngineKind
from tests.nemesis.bank import Bank
from tests.nemesis.cluster import Cluster
from tests.nemesis.history import judge
from tests.nemesis.run import Failed, log_tails, wait_level
from tests.nemesis.witness import HeightWatch, gather
from tests.netns.namespaces import missing

SAMPLE_SECONDS: Final = 1.0
TELL_SECONDS: Final = 30.0
MIB_MAX: Final = 200.0
GROWTH_MIB_HOUR_MAX: Final = 1.0
GROWTH_SECONDS_MIN: Final = 3_600.0
"""A shorter run shows how caches fill, not what leaks."""
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Memory:
    """What one process took, in MiB: at most, and by how much more an hour in the second half."""

    name: str
    most: float
    growth_hour: float

    def to_text(self) -> str:
        return f"{self.name:<12} {self.most:>6.1f} MiB at most, {self.growth_hour:+.1f} MiB an hour"


def compute_growth(samples: list[tuple[float, int]]) -> float:
    """Fit a line through samples of (seconds, bytes); return its slope in MiB an hour."""
    count = len(samples)
    if count < 2:
        return 0.0
    mean_time = sum(time for time, _ in samples) / count
    mean_bytes = sum(size for _, size in samples) / count
    spread = sum((time - mean_time) ** 2 for time, _ in samples)
    slope = sum((time - mean_time) * (size - mean_bytes) for time, size in samples) / spread
    return slope * 3_600 / MIB


def read_own_bytes(pid: int) -> int:
    """Return the memory of a process that no file backs."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1_024
    raise AssertionError("this kernel does not tell RssAnon")


def soak(cluster: Cluster, seconds: float, threads: int, *, check: bool) -> list[Memory]:
    """Let a cluster work for so long.

    Raises:
        Failed: the judge says no.
    """
    genesis, urls = cluster.local.genesis, [node.url for node in cluster.nodes]
    samples: dict[str, list[tuple[float, int]]] = {}
    with HeightWatch(cluster) as watch:
        with Bank(genesis, urls, cluster.local.state.load_members, 1, threads) as bank:
            began = told = time.monotonic()
            while (now := time.monotonic()) - began < seconds:
                for name, pid in cluster.processes():
                    samples.setdefault(name, []).append((now - began, read_own_bytes(pid)))
                if now - told > TELL_SECONDS:
                    told = now
                    sizes = "  ".join(f"{name} {seen[-1][1] / MIB:.0f}" for name, seen in samples.items())
                    height = cluster.height(0)
                    print(
                        f"{now - began:8.0f} s  height {height}  {bank.figures()}  MiB: {sizes}", flush=True
                    )
                if cluster.ended_alone():
                    raise Failed(f"n{cluster.ended_alone()[0] + 1} ended by itself")
                time.sleep(SAMPLE_SECONDS)
        payments = bank.payments
        wait_level(cluster)
    print(f"payments {bank.figures()}; {bank.acknowledged / seconds:,.0f} acknowledged a second")
    if check:
        found = judge(payments, gather(cluster, bank, payments, 1), watch.heights, LOAD_OPENING_MINOR)
        if found:
            raise Failed("\n".join(found[:20]))
        print("checked: nothing lost, nothing twice, all nodes agree")
    return [
        Memory(name, max(size for _, size in seen) / MIB, compute_growth(seen[len(seen) // 2 :]))
        for name, seen in samples.items()
    ]


def judge_memory(memories: list[Memory], seconds: float) -> list[str]:
    """Say which process took too much, or grew too fast when the run was long enough to tell."""
    found = [f"{m.name} took {m.most:.0f} MiB" for m in memories if m.most > MIB_MAX]
    if seconds >= GROWTH_SECONDS_MIN:
        found += [
            f"{m.name} grew by {m.growth_hour:.1f} MiB an hour"
            for m in memories
            if m.growth_hour > GROWTH_MIB_HOUR_MAX
        ]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--engine", choices=("raft", "bft"), default="raft")
    parser.add_argument("--threads", type=int, default=8, help="payers; each waits for its receipt")
    parser.add_argument("--check", action="store_true", help="let the judge look at everything afterwards")
    parser.add_argument("--rss", action="store_true", help="fail when memory is above its goal")
    options = parser.parse_args()
    reason = missing()
    if reason is not None:
        print(f"not possible here: {reason}", file=sys.stderr)
        return 2
    home = Path(tempfile.mkdtemp(prefix="coopd-soak-"))
    engine = EngineKind[options.engine.upper()]
    try:
        with Cluster(home / "ln", options.nodes, engine=engine) as cluster:
            memories = soak(cluster, options.seconds, options.threads, check=options.check)
    except (Failed, AssertionError) as failure:
        print(f"FAILED {failure}\nlogs in {home}/ln\n{log_tails(home / 'ln')}")
        return 1
    for memory in memories:
        print(memory.to_text())
    shutil.rmtree(home)
    found = judge_memory(memories, options.seconds) if options.rss else []
    for what in found:
        print(f"FAILED {what}; the goals are {MIB_MAX:.0f} MiB, and {GROWTH_MIB_HOUR_MAX:.0f} MiB an hour")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
