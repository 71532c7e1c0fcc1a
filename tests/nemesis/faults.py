"""Which faults befall a cluster and when: drawn from a seed, and carried out.

Two tracks run beside each other: one hurts processes, disks and wires outright, one fault at a time; the
other changes the weather of the whole network. Who is meant by "leader" is found when the fault begins. It
knows no load and judges nothing.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tests.nemesis.cluster import Cluster
from tests.nemesis.disks import SmallDisk
from tests.netns.switch import Wire

Undo = Callable[[], object]


class Kind(Enum):
    """A fault."""

    KILL_LEADER = "kill leader"
    KILL_FOLLOWER = "kill follower"
    KILL_ALL = "kill all"
    PAUSE_LEADER = "pause leader"
    PAUSE_FOLLOWER = "pause follower"
    RESTART = "restart"
    ISOLATE_LEADER = "isolate leader"
    ISOLATE_FOLLOWER = "isolate follower"
    DEAF_LEADER = "leader hears nobody"
    DUMB_LEADER = "nobody hears the leader"
    BRIDGE = "two nodes see each other only through the others"
    SHATTER = "nobody sees anybody"
    DISK_LOW = "disk almost full"
    DISK_FULL = "disk full to the brim"
    CLOCK_AHEAD = "clock 3 s ahead"
    CLOCK_BEHIND = "clock 3 s behind"
    CLOCK_TOMORROW = "clock a day ahead"
    CLOCK_YESTERDAY = "clock a day behind"
    CLOCK_FAST = "clock twice as fast"
    CLOCK_SLOW = "clock half as fast"
    DELAY = "delay 50 +- 30 ms"
    LOSS = "loss 5 %"
    DUPLICATES = "duplicates 10 %"
    NARROW = "2 Mbit/s"


WEATHER: Final = {
    Kind.DELAY: Wire(delay_ms=50, jitter_ms=30),
    Kind.LOSS: Wire(loss=0.05),
    Kind.DUPLICATES: Wire(duplicate=0.10),
    Kind.NARROW: Wire(rate_kbit=2_000),
}
HURTS: Final = tuple(kind for kind in Kind if kind not in WEATHER)
DAY_MS: Final = 86_400_000
CLOCKS: Final = {
    Kind.CLOCK_AHEAD: (3_000, 0),
    Kind.CLOCK_BEHIND: (-3_000, 0),
    Kind.CLOCK_TOMORROW: (DAY_MS, 0),
    Kind.CLOCK_YESTERDAY: (-DAY_MS, 0),
    Kind.CLOCK_FAST: (0, 1_000_000),
    Kind.CLOCK_SLOW: (0, -500_000),
}
"""Offset in milliseconds and drift in millionths."""
ON_SMALL_DISK: Final = (Kind.DISK_LOW, Kind.DISK_FULL)
KILLS: Final = (Kind.KILL_LEADER, Kind.KILL_FOLLOWER, Kind.KILL_ALL)


@dataclass(frozen=True, slots=True)
class Pace:
    """Between which bounds a fault lasts, and the rest after it, in seconds."""

    fault_seconds: tuple[float, float] = (0.5, 4.0)
    rest_seconds: tuple[float, float] = (0.3, 2.0)


KILL_LOOP: Final = Pace((0.05, 0.3), (0.3, 1.5))
"""Kill, start at once, kill again."""


@dataclass(frozen=True, slots=True)
class Step:
    """A fault with its time, in seconds since the start.

    Args:
        pick: chooses among the nodes that it may befall.
    """

    begin: float
    end: float
    kind: Kind
    pick: int


def plan(
    seed: int, seconds: float, kinds: Sequence[Kind] = tuple(Kind), pace: Pace = Pace()
) -> tuple[Step, ...]:
    """Draw what happens; every kind comes once before any comes twice."""
    chance = random.Random(f"nemesis {seed}")
    steps: list[Step] = []
    for track in (HURTS, tuple(WEATHER)):
        steps += _draw_track(chance, seconds, [kind for kind in kinds if kind in track], pace)
    return tuple(sorted(steps, key=lambda step: step.begin))


def _draw_track(chance: random.Random, seconds: float, kinds: list[Kind], pace: Pace) -> Iterable[Step]:
    now = 0.0
    bag: list[Kind] = []
    while kinds:
        bag = bag or chance.sample(kinds, len(kinds))
        begin = now + chance.uniform(*pace.rest_seconds)
        now = begin + chance.uniform(*pace.fault_seconds)
        if now > seconds:
            return
        yield Step(begin, now, bag.pop(), chance.randrange(1 << 16))


class Nemesis:
    """Carry out faults on a cluster, and take them back."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._cuts: list[tuple[int, int]] = []
        self._weather = Wire()

    def begin(self, step: Step) -> tuple[str, Undo]:
        """Let a fault happen; return whom it befalls, and what takes it back."""
        if step.kind in WEATHER:
            self._set_weather(WEATHER[step.kind])
            return "all", lambda: self._set_weather(Wire())
        leader = self._cluster.leader()
        everybody = list(range(self._cluster.count))
        if leader is None:
            leader = everybody[step.pick % len(everybody)]
        followers = [at for at in everybody if at != leader]
        follower = followers[step.pick % len(followers)] if followers else leader
        return self._hurt(step, leader, follower, everybody)

    def heal(self) -> None:
        """Make the network whole and calm."""
        self._cuts, self._weather = [], Wire()
        self._spread()

    def _hurt(self, step: Step, leader: int, follower: int, everybody: list[int]) -> tuple[str, Undo]:
        cluster = self._cluster
        others = [at for at in everybody if at != leader]
        match step.kind:
            case Kind.KILL_LEADER:
                return self._kill([leader])
            case Kind.KILL_FOLLOWER:
                return self._kill([follower])
            case Kind.KILL_ALL:
                return self._kill(everybody)
            case Kind.PAUSE_LEADER | Kind.PAUSE_FOLLOWER:
                at = leader if step.kind is Kind.PAUSE_LEADER else follower
                cluster.pause(at)
                return f"n{at + 1}", lambda: cluster.resume(at)
            case Kind.RESTART:
                cluster.stop(leader)
                return f"n{leader + 1}", lambda: cluster.start(leader)
            case Kind.ISOLATE_LEADER:
                return f"n{leader + 1}", self._cut(_both(leader, others))
            case Kind.ISOLATE_FOLLOWER:
                return f"n{follower + 1}", self._cut(
                    _both(follower, [at for at in everybody if at != follower])
                )
            case Kind.DEAF_LEADER:
                return f"n{leader + 1}", self._cut([(at, leader) for at in others])
            case Kind.DUMB_LEADER:
                return f"n{leader + 1}", self._cut([(leader, at) for at in others])
            case Kind.BRIDGE:
                return f"n{leader + 1}, n{follower + 1}", self._cut(_both(leader, [follower]))
            case Kind.SHATTER:
                return "all", self._cut(cluster.net.all_lanes())
            case Kind.DISK_LOW | Kind.DISK_FULL:
                at, disk = self._small_disk()
                disk.fill(to_the_brim=step.kind is Kind.DISK_FULL)
                return f"n{at + 1}", disk.free
            case _:
                at = everybody[step.pick % len(everybody)]
                clock = cluster.clock(at)
                clock.set(*CLOCKS[step.kind])
                return f"n{at + 1}", clock.set

    def _kill(self, nodes: list[int]) -> tuple[str, Undo]:
        self._cluster.kill_all(nodes)

        def undo() -> None:
            for at in nodes:
                self._cluster.start(at)

        return ", ".join(f"n{at + 1}" for at in nodes), undo

    def _small_disk(self) -> tuple[int, SmallDisk]:
        for at in range(self._cluster.count):
            disk = self._cluster.disk(at)
            if isinstance(disk, SmallDisk):
                return at, disk
        raise AssertionError("no node has a small disk")

    def _cut(self, lanes: list[tuple[int, int]]) -> Undo:
        self._cuts = lanes
        self._spread()

        def undo() -> None:
            self._cuts = []
            self._spread()

        return undo

    def _set_weather(self, wire: Wire) -> None:
        self._weather = wire
        self._spread()

    def _spread(self) -> None:
        self._cluster.net.set(self._weather)
        if self._cuts:
            self._cluster.net.set(Wire(cut=True), self._cuts)


def _both(one: int, others: Iterable[int]) -> list[tuple[int, int]]:
    return [way for other in others for way in ((one, other), (other, one))]
