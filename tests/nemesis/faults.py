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

from tests.nemesis.cluster import Cluster, find_faketime
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
    DISK_FULL = "disk full"
    CLOCK_AHEAD = "clock 3 s ahead"
    CLOCK_BEHIND = "clock 3 s behind"
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
SKEW_SECONDS: Final = {Kind.CLOCK_AHEAD: 3, Kind.CLOCK_BEHIND: -3}
FAULT_SECONDS: Final = (0.5, 4.0)
REST_SECONDS: Final = (0.3, 2.0)


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


def plan(seed: int, seconds: float, kinds: Sequence[Kind] = tuple(Kind)) -> tuple[Step, ...]:
    """Draw what happens; every kind comes once before any comes twice."""
    chance = random.Random(f"nemesis {seed}")
    steps: list[Step] = []
    for track in (HURTS, tuple(WEATHER)):
        steps += _draw_track(chance, seconds, [kind for kind in kinds if kind in track])
    return tuple(sorted(steps, key=lambda step: step.begin))


def _draw_track(chance: random.Random, seconds: float, kinds: list[Kind]) -> Iterable[Step]:
    now = 0.0
    bag: list[Kind] = []
    while kinds:
        bag = bag or chance.sample(kinds, len(kinds))
        begin = now + chance.uniform(*REST_SECONDS)
        now = begin + chance.uniform(*FAULT_SECONDS)
        if now > seconds:
            return
        yield Step(begin, now, bag.pop(), chance.randrange(1 << 16))


def possible(kinds: Sequence[Kind]) -> tuple[Kind, ...]:
    """Leave out what this machine cannot do."""
    has_faketime = find_faketime() is not None
    return tuple(kind for kind in kinds if has_faketime or kind not in SKEW_SECONDS)


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
            case Kind.CLOCK_AHEAD | Kind.CLOCK_BEHIND:
                at = everybody[step.pick % len(everybody)]
                self._start_anew(at, SKEW_SECONDS[step.kind])
                return f"n{at + 1}", lambda: self._start_anew(at, 0)
            case Kind.DISK_FULL:
                cluster.fill_disk()
                return f"n{(cluster.small_disk or 0) + 1}", cluster.free_disk
            case _:
                raise AssertionError(f"{step.kind} is weather")

    def _kill(self, nodes: list[int]) -> tuple[str, Undo]:
        for at in nodes:
            self._cluster.kill(at)

        def undo() -> None:
            for at in nodes:
                self._cluster.start(at)

        return ", ".join(f"n{at + 1}" for at in nodes), undo

    def _start_anew(self, at: int, skew_seconds: int) -> None:
        self._cluster.stop(at)
        self._cluster.start(at, skew_seconds)

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
