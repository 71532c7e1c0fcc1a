"""A seeded sequence of faults on real daemons under load, then calm, then judgement: one line of figures.

After the last fault everything is healed and started. Then every gateway must acknowledge payments again, all
nodes must stand at one height within a bound, and the judge (`history.py`) must find nothing. With
`--migrate` the chain moves between Raft and BFT all the while.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.cluster.founding import LOAD_OPENING_MINOR
from node.intake import REPEAT_SECONDS
from protocol.chain.validators import EngineKind
from protocol.params import BFT_VALIDATORS_MIN
from tests.nemesis.bank import Bank
from tests.nemesis.cluster import Cluster
from tests.nemesis.disks import SmallDisk
from tests.nemesis.faults import KILL_LOOP, KILLS, ON_SMALL_DISK, Kind, Nemesis, Pace, Step, Undo, plan
from tests.nemesis.history import judge
from tests.nemesis.mover import Mover
from tests.nemesis.witness import HeightWatch, gather
from tests.netns.namespaces import missing

CALM_SECONDS_MAX: Final = 60.0
"""From the last heal to progress through every gateway and equal heights."""
QUIET_SECONDS: Final = 2 * REPEAT_SECONDS
"""A node offers what waits again after `REPEAT_SECONDS`; one that was overtaken waits until it expires."""
MOVE_SECONDS_MAX: Final = 240.0
LOG_LINES_SHOWN: Final = 15


class Failed(Exception):
    """What must not be has been seen."""


MOVES_MIN: Final = 2
"""With `--migrate` the chain must have gone there and back."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a run shall be.

    Args:
        seconds: how long faults go on.
        nodes: validators of the first epoch.
        is_moving: whether the chain moves between the engines all the while.
    """

    seed: int
    seconds: float
    nodes: int = 3
    engine: EngineKind = EngineKind.RAFT
    kinds: tuple[Kind, ...] = tuple(Kind)
    pace: Pace = Pace()
    is_moving: bool = False

    @property
    def spare(self) -> int:
        """How many nodes more BFT needs, which only follow at first."""
        return max(0, BFT_VALIDATORS_MIN - self.nodes) if self.is_moving else 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run has shown.

    Args:
        calm_seconds: from the heal to progress through every gateway and all nodes level.
    """

    seed: int
    faults: tuple[str, ...]
    height: int
    payments: str
    calm_seconds: float
    exits_on_full_disk: int
    seconds: float
    moves: int = 0

    def to_text(self) -> str:
        return (
            f"seed {self.seed}: {len(self.faults)} faults in {self.seconds:.0f} s, height {self.height}; "
            f"payments {self.payments}; calm after {self.calm_seconds:.1f} s"
            + (f"; ended on a full disk {self.exits_on_full_disk} times" if self.exits_on_full_disk else "")
            + (f"; moved {self.moves} times between the engines" if self.moves else "")
            + "; nothing lost, nothing twice, all nodes agree"
        )


class Run:
    """One run in one folder."""

    def __init__(self, home: Path, course: Course, tell: Callable[[str], None]) -> None:
        nodes = course.nodes + course.spare
        disks = {nodes - 1: SmallDisk()} if set(ON_SMALL_DISK) & set(course.kinds) else {}
        self._cluster = Cluster(
            home, course.nodes, course.seed, spare=course.spare, engine=course.engine, disks=disks
        )
        self._course = course
        self._tell = tell
        self._exits_on_full = 0
        self._disk_is_full = False

    def run(self) -> Figures:
        """Run it.

        Raises:
            Failed: the judge or a bound says no.
        """
        course = self._course
        with self._cluster as cluster:
            genesis, urls = cluster.local.genesis, [node.url for node in cluster.nodes]
            began = time.monotonic()
            with HeightWatch(cluster) as watch:
                with ExitStack() as stack:
                    bank = stack.enter_context(
                        Bank(genesis, urls, cluster.local.state.load_members, course.seed)
                    )
                    mover = stack.enter_context(self._mover()) if course.is_moving else None
                    faults = self._disturb(Nemesis(cluster), began)
                    calm = self._demand_calm(bank)
                    if mover is not None:
                        mover.wait_for(max(MOVES_MIN, len(mover.moves) + 1), MOVE_SECONDS_MAX)
                seconds = time.monotonic() - began
                payments = bank.payments
                wait_level(cluster)
            found = judge(
                payments, gather(cluster, bank, payments, course.seed), watch.heights, LOAD_OPENING_MINOR
            )
            if found:
                raise Failed("\n".join(found[:20]))
            return Figures(
                course.seed,
                faults,
                cluster.height(0),
                bank.figures(),
                calm,
                self._exits_on_full,
                seconds,
                0 if mover is None else len(mover.moves),
            )

    def _mover(self) -> Mover:
        return Mover(self._cluster, tuple(node.name for node in self._cluster.nodes[self._course.nodes :]))

    def _disturb(self, nemesis: Nemesis, began: float) -> tuple[str, ...]:
        """Begin and end every fault at its time; what the faults have stopped is running afterwards."""
        done: list[str] = []
        open_: list[tuple[float, Step, Undo]] = []
        course = self._course
        waiting = list(plan(course.seed, course.seconds, course.kinds, course.pace))
        while waiting or open_:
            now = time.monotonic() - began
            for entry in [entry for entry in open_ if entry[0] <= now]:
                open_.remove(entry)
                entry[2]()
                self._disk_is_full = self._disk_is_full and entry[1].kind not in ON_SMALL_DISK
            if waiting and waiting[0].begin <= now:
                step = waiting.pop(0)
                whom, undo = nemesis.begin(step)
                self._disk_is_full = self._disk_is_full or step.kind in ON_SMALL_DISK
                open_.append((max(step.end, now + 0.1), step, undo))
                done.append(f"{step.kind.value} ({whom})")
                self._tell(f"{now:6.1f} s  {done[-1]} for {step.end - step.begin:.1f} s")
            self._look_for_deaths()
            time.sleep(0.02)
        nemesis.heal()
        return tuple(done)

    def _look_for_deaths(self) -> None:
        for at in self._cluster.ended_alone():
            if not (self._disk_is_full and isinstance(self._cluster.disk(at), SmallDisk)):
                code = self._cluster.forget(at)
                raise Failed(f"n{at + 1} ended by itself with {code}")
            self._exits_on_full += 1
            self._cluster.forget(at)
            self._tell(f"          n{at + 1} ended on a full disk")

    def _demand_calm(self, bank: Bank) -> float:
        """Wait until every gateway has acknowledged a payment and all nodes stand level, under load."""
        cluster = self._cluster
        for at in range(cluster.count):
            if not cluster.is_up(at):
                cluster.start(at)
        healed = time.monotonic()
        goal = max(cluster.heights())

        def is_calm() -> bool:
            heard = [bank.last_by_gateway.get(at, 0.0) > healed for at in range(cluster.count)]
            return all(heard) and min(cluster.heights()) > goal

        try:
            return cluster.wait(is_calm, "progress through every gateway, and catch-up", CALM_SECONDS_MAX)
        except AssertionError as failure:
            silent = [
                f"the gateway of {node.name} acknowledged nothing, last it said {bank.last_refusals.get(at)}"
                for at, node in enumerate(cluster.nodes)
                if bank.last_by_gateway.get(at, 0.0) <= healed
            ]
            raise Failed("\n".join([str(failure), *silent])) from failure


def wait_level(cluster: Cluster) -> None:
    """Wait until all nodes stand at one height for so long that nothing can be on its way any more."""
    heights: set[int] = set()
    since = time.monotonic()

    def is_level() -> bool:
        nonlocal heights, since
        seen = set(cluster.heights())
        if len(seen) > 1 or seen != heights:
            heights, since = seen, time.monotonic()
        return time.monotonic() - since > QUIET_SECONDS

    cluster.wait(is_level, "one height on all nodes", CALM_SECONDS_MAX)


def run_and_keep(home: Path, course: Course, tell: Callable[[str], None] = lambda line: None) -> Figures:
    """Run once; on failure say where the logs are.

    Raises:
        Failed: with the seed, the folder of the logs, and their last lines.
    """
    try:
        return Run(home, course, tell).run()
    except (Failed, AssertionError) as failure:
        raise Failed(f"seed {course.seed}: {failure}\nlogs in {home}\n{log_tails(home)}") from failure


def log_tails(home: Path) -> str:
    """Return the last lines that every daemon printed."""
    tails = []
    for log in sorted(home.glob("n*-node.log")):
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        tails.append(f"--- {log.name}\n" + "\n".join(line[:300] for line in lines))
    return "\n".join(tails)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/nemesis", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults go on")
    parser.add_argument("--nodes", type=int, default=3, help="validators of the first epoch")
    parser.add_argument("--engine", choices=("raft", "bft"), default="raft")
    parser.add_argument("--migrate", action="store_true", help="move between the engines all the while")
    parser.add_argument("--kill-loop", action="store_true", help="kill -9 one, or all, again and again")
    parser.add_argument("--only", default="", help="kinds of faults, by name, separated by commas")
    options = parser.parse_args()
    reason = missing()
    if reason is not None:
        print(f"not possible here: {reason}", file=sys.stderr)
        return 2
    names = [name.upper().replace("-", "_") for name in options.only.split(",") if name]
    course = Course(
        options.seed,
        options.seconds,
        options.nodes,
        EngineKind[options.engine.upper()],
        tuple(Kind[name] for name in names) or (KILLS if options.kill_loop else tuple(Kind)),
        KILL_LOOP if options.kill_loop else Pace(),
        options.migrate,
    )
    home = Path(tempfile.mkdtemp(prefix="coopd-nemesis-"))
    try:
        figures = run_and_keep(home / "ln", course, lambda line: print(line, flush=True))
    except Failed as failure:
        print(f"FAILED {failure}")
        print(f"again: scripts/nemesis {' '.join(sys.argv[1:])}")
        return 1
    print(figures.to_text())
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
