"""How long members wait when a leader is gone, and a node that was cut off needs: figures, no judgement.

Payments drip into the gateways of all other nodes without pause, so that there is always something to commit.
A round takes the leader away and measures until a surviving node has a block on disk that was certified in a
later term; `--bft` kills a proposer of four, and measures the longest wait between two blocks until the round
that its absence costs is over. `--heal` cuts a follower off, mends the wire, and measures until the follower
has all blocks but the newest. The nodes run with the timers of the profile `local`, on a network without
delay. The goals (reliability.md 4) are printed beside the figures.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from node.cli.payments import build_transfer, sign_transaction
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Failure
from node.cluster.founding import CURRENCY_NUMBER, load_key
from protocol.chain.validators import EngineKind
from protocol.contracts.policies import address_of_key
from protocol.crypto import public_key_of
from protocol.params import BFT_VALIDATORS_MIN
from tests.nemesis.cluster import Cluster
from tests.netns.namespaces import missing

DRIP_MS: Final = 10.0
LOOK_SECONDS: Final = 0.001
REST_SECONDS: Final = (0.5, 1.5)
ROUND_SECONDS_MAX: Final = 60.0
CUT_SECONDS: Final = 60.0
BEHIND_BLOCKS: Final = 1_000
CUT_SECONDS_MAX: Final = 600.0
SNAPSHOT_GAP: Final = 150
ROUNDS_A_HEAL: Final = 25
"""A cut of a minute is made once in so many rounds that are asked for."""
GOALS_MS: Final = {
    "kill": (400, 1_000),
    "pause": (800, 1_500),
    "isolate": (800, 1_500),
    "bft": (700, 1_500),
    "heal": (2_000, 2_000),
}
"""Median and 99th percentile."""


class Drip:
    """A thread that submits payments at a steady rate, round robin, never to `avoid`; use as a context."""

    def __init__(self, cluster: Cluster, every_seconds: float) -> None:
        self._cluster = cluster
        self._every_seconds = every_seconds
        self.avoid: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Drip":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        genesis = self._cluster.local.genesis
        keys = [load_key(number) for number in range(self._cluster.local.state.load_members)]
        addresses = [address_of_key(public_key_of(key)) for key in keys]
        clients = [RpcClient(node.url, timeout=2) for node in self._cluster.nodes]
        turn = 0
        while not self._stop.wait(self._every_seconds):
            turn += 1
            at = turn % len(clients)
            if at == self.avoid:
                continue
            payer, payee = turn % len(keys), (turn + 1) % len(keys)
            tx = build_transfer(genesis, addresses[payer], addresses[payee], CURRENCY_NUMBER, 1)
            try:
                clients[at].call("tx_submit", tx="0x" + sign_transaction(genesis, tx, keys[payer]).raw.hex())
            except Failure:
                continue


class Measure:
    """Rounds on one cluster."""

    def __init__(self, cluster: Cluster, drip: Drip) -> None:
        self._cluster = cluster
        self._drip = drip
        self._random = random.Random(1)

    def lose_leader(self, take: Callable[[int], object], give_back: Callable[[int], object]) -> float:
        """Take the leader away; return the seconds until the others commit in a later term."""
        leader = self._settle()
        self._drip.avoid = leader
        term = self._term(leader)
        began = time.monotonic()
        take(leader)
        others = [at for at in range(self._cluster.count) if at != leader]
        while not any(self._term(at) > term for at in others):
            if time.monotonic() - began > ROUND_SECONDS_MAX:
                raise AssertionError(f"no commit without n{leader + 1}: {self._cluster.describe()}")
            time.sleep(LOOK_SECONDS)
        seconds = time.monotonic() - began
        give_back(leader)
        self._drip.avoid = None
        return seconds

    def lose_proposer(self) -> float:
        """Kill who proposes; return the longest wait for a block until its turn is over, in seconds."""
        cluster = self._cluster
        proposer = self._settle()
        self._drip.avoid = proposer
        others = [at for at in range(cluster.count) if at != proposer]
        height = max(map(cluster.height, others))
        began = last = time.monotonic()
        cluster.kill(proposer)
        longest, is_over = 0.0, False
        while not is_over:
            now, at = time.monotonic(), max(others, key=cluster.height)
            if cluster.height(at) > height:
                longest, last, height = max(longest, now - last), now, cluster.height(at)
                is_over = self._term(at) > 0
            if now - began > ROUND_SECONDS_MAX:
                raise AssertionError(f"nobody takes the turn of n{proposer + 1}: {cluster.describe()}")
            time.sleep(LOOK_SECONDS)
        cluster.start(proposer)
        self._drip.avoid = None
        return longest

    def heal(self, cut_seconds: float, behind_blocks: int) -> tuple[float, float, int]:
        """Cut a follower off and mend it.

        Returns:
            The seconds to catch up, those of them before the first block came, and how many blocks it lacked.
        """
        cluster = self._cluster
        every = cluster.config(0).snapshot_every_blocks
        # Not within a second of a snapshot, which every node makes at the same heights.
        cluster.wait(
            lambda: SNAPSHOT_GAP <= cluster.height(0) % every < 2 * SNAPSHOT_GAP,
            "a quiet height",
            CUT_SECONDS_MAX,
        )
        leader = self._settle()
        others = [at for at in range(cluster.count) if at != leader]
        victim = self._random.choice(others)
        self._drip.avoid = victim
        rest = [at for at in range(cluster.count) if at != victim]
        cluster.net.cut([victim], rest)
        time.sleep(cut_seconds)
        cluster.wait(lambda: self._gap(victim) >= behind_blocks, "blocks to lack", CUT_SECONDS_MAX)
        lacking, height = self._gap(victim), cluster.height(victim)
        began = time.monotonic()
        cluster.net.heal()
        silent = 0.0
        while self._gap(victim) > 1:
            if silent == 0.0 and cluster.height(victim) > height:
                silent = time.monotonic() - began
            if time.monotonic() - began > ROUND_SECONDS_MAX:
                raise AssertionError(f"n{victim + 1} does not catch up: {cluster.describe()}")
            time.sleep(LOOK_SECONDS)
        seconds = time.monotonic() - began
        self._drip.avoid = None
        return seconds, silent, lacking

    def _settle(self) -> int:
        """Wait until all nodes follow and stand level, then a random while; return who leads."""
        cluster = self._cluster

        def is_calm() -> bool:
            nodes = range(cluster.count)
            return all(cluster.is_following(at) and self._gap(at) <= 1 for at in nodes)

        cluster.wait(is_calm, "all nodes level")
        time.sleep(self._random.uniform(*REST_SECONDS))
        return cluster.wait_leader()

    def _gap(self, at: int) -> int:
        return max(
            self._cluster.height(other) for other in range(self._cluster.count)
        ) - self._cluster.height(at)

    def _term(self, at: int) -> int:
        """Return the term, or the round, in which the newest block on a node's disk was certified."""
        store = self._cluster.store(at)
        certificate = store.certificate(store.head().height)
        return 0 if certificate is None else certificate.view


def describe(name: str, seconds: list[float]) -> str:
    """Write the percentiles of a series on one line, with the goals."""
    ordered = sorted(seconds)
    p50, p99 = (1_000 * ordered[min(len(ordered) - 1, int(len(ordered) * q))] for q in (0.50, 0.99))
    goal50, goal99 = GOALS_MS[name]
    verdict = "met" if p50 <= goal50 and p99 <= goal99 else "MISSED"
    return (
        f"{name:<8} {len(ordered):>3} rounds   p50 {p50:>6,.0f} ms   p99 {p99:>6,.0f} ms   "
        f"min {1_000 * ordered[0]:,.0f}   goal {goal50:,} and {goal99:,}: {verdict}   "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


def measure(cluster: Cluster, kinds: list[str], options: argparse.Namespace) -> None:
    """Measure what was asked for and print one line for each."""
    ways: dict[str, tuple[Callable[[int], object], Callable[[int], object]]] = {
        "kill": (cluster.kill, cluster.start),
        "pause": (cluster.pause, cluster.resume),
        "isolate": (
            lambda at: cluster.net.cut([at], [other for other in range(cluster.count) if other != at]),
            lambda at: cluster.net.heal(),
        ),
    }
    rounds = range(options.rounds)
    with Drip(cluster, options.drip_ms / 1_000) as drip:
        measure = Measure(cluster, drip)
        for kind in kinds:
            if kind == "heal":
                heals = range(max(1, options.rounds // ROUNDS_A_HEAL))
                series = [measure.heal(options.cut_seconds, options.behind) for _ in heals]
                lacked = sorted(blocks for *_, blocks in series)
                silent = sorted(silent for _, silent, _ in series)
                print(describe(kind, [seconds for seconds, *_ in series]))
                print(
                    f"         cut at least {options.cut_seconds:.0f} s, {lacked[0]} to {lacked[-1]} blocks "
                    f"behind; first block after {1_000 * silent[0]:,.0f} to {1_000 * silent[-1]:,.0f} ms"
                )
            elif kind == "bft":
                print(describe(kind, [measure.lose_proposer() for _ in rounds]))
            else:
                print(describe(kind, [measure.lose_leader(*ways[kind]) for _ in rounds]))
            sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/failover", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--nodes", type=int, default=3, help="validators on Raft; on BFT there are four")
    parser.add_argument(
        "--cut-seconds", type=float, default=CUT_SECONDS, help="how long --heal cuts at least"
    )
    parser.add_argument(
        "--drip-ms", type=float, default=DRIP_MS, help="a payment in so many ms: few make many small blocks"
    )
    parser.add_argument("--behind", type=int, default=BEHIND_BLOCKS, help="blocks that --heal lets it lack")
    parser.add_argument("--keep", action="store_true", help="keep folder and logs")
    for kind in GOALS_MS:
        parser.add_argument(f"--{kind}", action="store_true")
    options = parser.parse_args()
    reason = missing()
    if reason is not None:
        print(f"not possible here: {reason}", file=sys.stderr)
        return 2
    asked = [kind for kind in GOALS_MS if getattr(options, kind)] or list(GOALS_MS)
    home = Path(tempfile.mkdtemp(prefix="coopd-failover-"))
    try:
        on_raft = [kind for kind in asked if kind != "bft"]
        if on_raft:
            with Cluster(home / "raft", options.nodes) as cluster:
                measure(cluster, on_raft, options)
        if "bft" in asked:
            with Cluster(home / "bft", BFT_VALIDATORS_MIN, engine=EngineKind.BFT) as cluster:
                measure(cluster, ["bft"], options)
    except AssertionError as failure:
        print(f"FAILED {failure}\nlogs in {home}")
        return 1
    if options.keep:
        print(f"logs in {home}")
    else:
        shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
