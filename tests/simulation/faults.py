"""What can go wrong, drawn per seed: each kind of fault is absent, rare or frequent, whatever the others are.

Swarm testing: a run with everything at once hides what only a run without some faults can reach.
"""

from dataclasses import dataclass
from random import Random

from protocol.consensus.timeouts import LOCAL, WAN, Timeouts


@dataclass(frozen=True, slots=True)
class Faults:
    """The world of one seed; probabilities are per message, per step or per second of a node.

    Args:
        delay_ms: least and most time on the way.
        is_ordered: links keep the order of messages.
        build_ms: least and most time until a builder has something.
        never_build: of a build request, that it is not answered.
        work_ms: most time of an execution or a commit.
        crash_step: of a step, to end inside its effects.
        crash, pause, cut, cut_one_way, hand_over: per second.
        clock_ppm: by how much a timer of a node may run fast or slow.
        bad_block: of a build by a bad builder.
    """

    nodes: int
    timeouts: Timeouts
    delay_ms: tuple[int, int]
    is_ordered: bool
    loss: float
    duplicate: float
    build_ms: tuple[int, int]
    never_build: float
    work_ms: int
    crash_step: float
    crash: float
    pause: float
    cut: float
    cut_one_way: float
    hand_over: float
    clock_ppm: int
    bad_builders: frozenset[int]
    bad_block: float
    seals: int
    storm_ms: int
    with_codec: bool
    with_replay: bool


def draw_faults(random: Random, nodes: int | None = None) -> Faults:
    """Draw the world of a seed."""
    count = nodes or random.choice((3, 3, 3, 5, 5, 1, 2, 4))
    timeouts = random.choice((LOCAL, LOCAL, WAN))
    slowest = timeouts.heartbeat_ms // random.choice((2, 5, 10))
    build_slow = random.choice((1, 2, 4)) * timeouts.heartbeat_ms // 2
    bad = frozenset({random.randrange(count)}) if count > 2 and random.random() < 0.15 else frozenset()
    return Faults(
        nodes=count,
        timeouts=timeouts,
        delay_ms=(1, slowest),
        is_ordered=random.random() < 0.5,
        loss=random.choice((0.0, 0.0, 0.02, 0.1, 0.3)),
        duplicate=random.choice((0.0, 0.0, 0.05, 0.2)),
        build_ms=(timeouts.heartbeat_ms // 5, build_slow),
        never_build=random.choice((0.0, 0.0, 0.05)),
        work_ms=random.choice((1, timeouts.heartbeat_ms // 2, 2 * timeouts.heartbeat_ms)),
        crash_step=random.choice((0.0, 0.0, 0.002, 0.01)),
        crash=random.choice((0.0, 0.1, 0.5)),
        pause=random.choice((0.0, 0.0, 0.3)),
        cut=random.choice((0.0, 0.0, 0.3, 1.0)),
        cut_one_way=random.choice((0.0, 0.0, 0.3)),
        hand_over=random.choice((0.0, 0.0, 0.3)),
        clock_ppm=random.choice((0, 50_000, 300_000)),
        bad_builders=bad,
        bad_block=random.choice((0.1, 0.5)),
        seals=random.choice((0, 0, 1, 3)),
        storm_ms=random.choice((50, 200)) * timeouts.heartbeat_ms,
        with_codec=random.random() < 0.1,
        with_replay=random.random() < 0.1,
    )
