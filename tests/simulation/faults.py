"""What can go wrong, drawn per seed: each kind of fault is absent, rare or frequent, whatever the others are.

Swarm testing: a run with everything at once hides what only a run without some faults can reach.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from protocol.chain.validators import EngineKind
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
        engines: of the epochs; the last one of all further ones.
        first: the nodes of the first epoch; all when empty.
        twins: nodes that run twice with one key, each copy with a disk of its own.
        silent: nodes that never run.
        liars: nodes whose messages leave them changed (`liar.py`).
        unwelcome: of a check, to find a valid block unwelcome; later it is welcome.
        is_rushing: liars hear every message before it arrives anywhere, and are heard first.
        mute: nodes that never build a block, also in calm, whatever office they hold.
        rotten: nodes whose disks lose bits when they crash.
        rot: of a crash of such a node, that a stored block is damaged; an eighth of it, the safety record.
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
    engines: tuple[EngineKind, ...] = (EngineKind.RAFT,)
    first: tuple[int, ...] = ()
    twins: frozenset[int] = frozenset()
    silent: frozenset[int] = frozenset()
    liars: frozenset[int] = frozenset()
    unwelcome: float = 0.0
    is_rushing: bool = False
    mute: frozenset[int] = frozenset()
    rotten: frozenset[int] = frozenset()
    rot: float = 0.0


class Plan(StrEnum):
    """Which engines a world has."""

    RAFT = "raft"
    BFT = "bft"
    MIGRATE = "migrate"
    """Three nodes on Raft, four on BFT, three on Raft again, as often as there are seals."""
    ALL = "all"
    """One of the others, drawn."""


def draw_faults(seed: int, random: Random, nodes: int | None = None, plan: Plan = Plan.ALL) -> Faults:
    """Draw the world of a seed; the worlds of Raft do not depend on the others."""
    if plan is Plan.ALL:
        plan = Random(f"plan of {seed}").choice((Plan.RAFT, Plan.BFT, Plan.MIGRATE))
    match plan:
        case Plan.BFT:
            faults = _draw_bft(random, nodes)
        case Plan.MIGRATE:
            faults = _draw_migration(random)
        case _:
            faults = _with_rot(random, _draw(random, nodes or random.choice((3, 3, 3, 5, 5, 1, 2, 4))))
    faults = replace(faults, unwelcome=Random(f"wishes of {seed}").choice((0.0, 0.0, 0.1, 0.5)))
    return _with_mute(Random(f"silence of {seed}"), faults)


def _with_mute(random: Random, faults: Faults) -> Faults:
    """Let one node lead without ever making a block, where no other is bad: the others are a quorum."""
    is_other_bad = faults.bad_builders or faults.twins or faults.silent or faults.liars or faults.rotten
    if faults.nodes < 3 or len(faults.first) in (1, 2) or is_other_bad or random.random() < 0.8:
        return faults
    return replace(faults, mute=frozenset({random.randrange(faults.nodes)}))


def _with_rot(random: Random, faults: Faults) -> Faults:
    """Let the disk of one node lose bits, where no other is bad: the others are a quorum."""
    is_other_bad = faults.bad_builders or faults.twins or faults.silent or faults.liars
    if faults.nodes < 3 or is_other_bad or random.random() < 0.6:
        return faults
    return replace(faults, rotten=frozenset({random.randrange(faults.nodes)}), rot=random.choice((0.1, 0.5)))


def _draw_bft(random: Random, nodes: int | None) -> Faults:
    """Draw a world of BFT in which one validator of four may lie or be silent."""
    count = max(nodes or random.choice((4, 4, 4, 4, 4, 4, 4, 7)), 4)
    faults = replace(_draw(random, count), engines=(EngineKind.BFT,))
    bad = frozenset({random.randrange(count)})
    faults = replace(faults, seals=0 if (kind := random.randrange(5)) < 3 else faults.seals)
    match kind:
        case 0:
            return replace(faults, twins=bad, bad_builders=frozenset())
        case 1:
            return replace(faults, silent=bad, bad_builders=frozenset())
        case 2:
            is_rushing = random.random() < 0.5
            return replace(faults, liars=bad, bad_builders=frozenset(), is_rushing=is_rushing)
        case _:
            return _with_rot(random, faults)


def _draw_migration(random: Random) -> Faults:
    faults = replace(_draw(random, 4), bad_builders=frozenset(), first=(0, 1, 2))
    engines = (EngineKind.RAFT, EngineKind.BFT, EngineKind.RAFT, EngineKind.BFT)
    turn = random.choice((0, 0, 1))
    first = (0, 1, 2, 3) if turn else (0, 1, 2)
    silent = frozenset({random.randrange(4)}) if random.random() < 0.15 else frozenset()
    seals = random.choice((1, 2, 3 - turn))
    faults = replace(faults, engines=engines[turn:], first=first, seals=seals, silent=silent)
    return _with_rot(random, faults)


def _draw(random: Random, count: int) -> Faults:
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
