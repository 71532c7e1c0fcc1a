"""Takes the power from nodes under load, round after round, and looks at what their disks held.

Each node has a disk of its own that loses whatever was not synced (`disks.py`). Before a node starts again,
its disk must hold every payment that its gateway has shown as final, a safety record that knows every promise
which left the node, and a guard that refuses to sign anything else there. With `--seal` all nodes lose power
as the last block of an epoch becomes final, in one direction and the other. At the end the judge
(`history.py`) must find nothing.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Final

from node.cluster.founding import LOAD_OPENING_MINOR
from node.config import CONSENSUS_KEY
from node.errors import OperationError
from node.signer import Signer, SignKind
from node.wallet.keyring import Keyring
from protocol.chain.block import decode_block
from protocol.chain.transaction import decode_signed
from protocol.chain.validators import EngineKind
from protocol.consensus.safety import BftSafety, RaftSafety, SafetyRecord, decode_safety
from protocol.errors import Rejected
from protocol.params import BFT_VALIDATORS_MIN
from protocol.types import Hash32
from tests.nemesis import disks
from tests.nemesis.bank import Bank
from tests.nemesis.child import Signed
from tests.nemesis.cluster import Cluster
from tests.nemesis.disks import LoopDisk
from tests.nemesis.history import judge
from tests.nemesis.mover import Mover
from tests.nemesis.run import Failed, log_tails, wait_level
from tests.nemesis.witness import HeightWatch, gather
from tests.netns import namespaces

LOOK_SECONDS: Final = 0.0005
AIM_SECONDS_MAX: Final = 30.0
"""A chain that is idle by then loses its power as it is."""
DECIDE_SECONDS_MAX: Final = 240.0
RUN_SECONDS: Final = (0.05, 0.5)
AFTER_SECONDS: Final = (0.0, 0.006)
PAYMENTS_BETWEEN_MIN: Final = 3
OTHER_CONTENT: Final = Hash32(b"\xa5" * 32)


class Aim(Enum):
    """The moment at which the power goes."""

    ANY = "at any moment"
    SIGNATURE = "after a signature"
    COMMIT = "after a commit"


@dataclass(frozen=True, slots=True)
class Course:
    """What a run shall be.

    Args:
        is_at_seal: whether all nodes lose power at the seal of an epoch.
    """

    seed: int
    rounds: int
    nodes: int = 1
    engine: EngineKind = EngineKind.RAFT
    is_at_seal: bool = False

    @property
    def spare(self) -> int:
        """How many nodes more BFT needs, which only follow at first."""
        return max(0, BFT_VALIDATORS_MIN - self.nodes) if self.is_at_seal else 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run has shown.

    Args:
        cuts: machines that lost power, over all rounds.
        signatures: that were handed out in all.
    """

    course: Course
    cuts: int
    height: int
    payments: str
    signatures: int
    seconds: float

    def to_text(self) -> str:
        rounds = self.course.rounds
        return (
            f"seed {self.course.seed}: {rounds} rounds, power cut {self.cuts} times, in {self.seconds:.0f} s "
            f"({self.seconds / rounds:.1f} s a round), height {self.height}; payments {self.payments}; "
            f"{self.signatures} signatures; nothing acknowledged was lost, nothing was signed twice"
        )


class Run:
    """One run in one folder."""

    def __init__(self, home: Path, course: Course, tell: Callable[[str], None]) -> None:
        self._course = course
        self._tell = tell
        self._chance = random.Random(f"power {course.seed}")
        self._cluster = Cluster(
            home,
            course.nodes,
            course.seed,
            spare=course.spare,
            engine=course.engine,
            disks={at: LoopDisk() for at in range(course.nodes + course.spare)},
        )
        self._shown = 0

    def run(self) -> Figures:
        """Run it.

        Raises:
            Failed: a disk, or the judge, says no.
        """
        course, cuts = self._course, 0
        with self._cluster as cluster:
            genesis, urls = cluster.local.genesis, [node.url for node in cluster.nodes]
            with HeightWatch(cluster) as watch:
                with Bank(genesis, urls, cluster.local.state.load_members, course.seed) as bank:
                    began = time.monotonic()
                    mover = Mover(cluster, tuple(node.name for node in cluster.nodes[course.nodes :]))
                    for number in range(1, course.rounds + 1):
                        cuts += self._round(number, bank, mover)
                    seconds = time.monotonic() - began
                payments = bank.payments
                wait_level(cluster)
            found = judge(
                payments, gather(cluster, bank, payments, course.seed), watch.heights, LOAD_OPENING_MINOR
            )
            if found:
                raise Failed("\n".join(found[:20]))
            signatures = sum(len(cluster.signed(at)) for at in range(cluster.count))
            return Figures(course, cuts, cluster.height(0), bank.figures(), signatures, seconds)

    def _round(self, number: int, bank: Bank, mover: Mover) -> int:
        """Let the cluster work, take power from some nodes, look, start them; return how many lost it."""
        cluster = self._cluster
        wanted = bank.acknowledged + PAYMENTS_BETWEEN_MIN
        cluster.wait(lambda: bank.acknowledged >= wanted, "payments between two cuts")
        if self._course.is_at_seal:
            victims, moment = list(range(cluster.count)), self._wait_for_seal(mover)
        else:
            victims, moment = self._draw_victims(), self._wait_for_moment()
        began = time.monotonic()
        cluster.cut_power(victims)
        found = [*self._list_lost(bank), *(w for at in victims for w in list_broken_words(cluster, at))]
        if found:
            raise Failed(f"round {number}, {moment}: " + "\n".join(found[:20]))
        for at in victims:
            cluster.start(at)
            cluster.start_gateway(at)
        goal = max(cluster.heights())
        cluster.wait(
            lambda: all(map(cluster.is_following, range(cluster.count))) and min(cluster.heights()) > goal,
            "all nodes follow the chain again, and it goes on",
        )
        names = ", ".join(cluster.nodes[at].name for at in victims)
        self._tell(
            f"round {number}: {names} {moment}, height {goal}; up after {time.monotonic() - began:.1f} s"
        )
        return len(victims)

    def _draw_victims(self) -> list[int]:
        nodes = list(range(self._cluster.count))
        how_many = self._chance.choice([1, len(nodes) // 2 + 1, len(nodes), len(nodes)])
        return sorted(self._chance.sample(nodes, min(how_many, len(nodes))))

    def _wait_for_moment(self) -> str:
        cluster = self._cluster
        time.sleep(self._chance.uniform(*RUN_SECONDS))
        aim = self._chance.choice(list(Aim))
        at = self._chance.randrange(cluster.count)
        match aim:
            case Aim.SIGNATURE:
                _wait_for_change(lambda: cluster.signed_bytes(at))
            case Aim.COMMIT:
                _wait_for_change(lambda: cluster.height(at))
            case Aim.ANY:
                pass
        time.sleep(self._chance.uniform(*AFTER_SECONDS))
        return aim.value

    def _wait_for_seal(self, mover: Mover) -> str:
        """Decide a change, and wait until a node has its last block but one, or its last."""
        cluster = self._cluster
        seal: list[int] = []

        def decide() -> bool:
            seal[:] = [height for height in [mover.decide()] if height is not None]
            return bool(seal)

        cluster.wait(decide, "a change is decided", DECIDE_SECONDS_MAX)
        blocks_before = self._chance.choice([0, 0, 1])
        began = time.monotonic()
        while max(cluster.heights()) < seal[0] - blocks_before:
            if time.monotonic() - began > AIM_SECONDS_MAX:
                raise Failed(f"the seal {seal[0]} is not reached: {cluster.describe()}")
            time.sleep(LOOK_SECONDS)
        delay = 0.0 if blocks_before == 0 else self._chance.uniform(0, 0.1)
        time.sleep(delay)
        return f"{'at' if blocks_before == 0 else f'{delay * 1_000:.0f} ms after the block before'} its seal"

    def _list_lost(self, bank: Bank) -> Iterator[str]:
        """Say which payment a gateway has shown as final that the disk of its node does not hold there."""
        count = bank.submitted
        for payment in bank.shown_since(self._shown):
            place = self._cluster.store(payment.gateway).place_of(bytes.fromhex(payment.id[2:]))
            if place is None or (place.height, place.index) != (payment.height, payment.index):
                name = self._cluster.nodes[payment.gateway].name
                yield f"LOST: {name} showed {payment.id} at {payment.height}, {payment.index}; it is {place}"
        self._shown = count


def list_broken_words(cluster: Cluster, at: int) -> Iterator[str]:
    """Say what a node that is down has signed and no longer knows."""
    name = cluster.nodes[at].name
    last = {one.place.slot: one for one in cluster.signed(at)}
    yield from (f"{name}: {what}" for what in _check_safety(cluster, at, last.values()))
    config = cluster.config(at)
    signer = Signer.open(config.guard_path, Keyring(config.keys_path).load(CONSENSUS_KEY, None))
    try:
        for one in last.values():
            with suppress(OperationError):
                signer.sign_at(one.place, OTHER_CONTENT)
                yield f"{name}: its guard would sign something else at {one.place}"
    finally:
        signer.close()


def _check_safety(cluster: Cluster, at: int, signed: Iterable[Signed]) -> Iterator[str]:
    """Say which promise that left a node its safety record does not know."""
    store, genesis_hash = cluster.store(at), cluster.local.genesis.compute_hash()
    head, data = store.head(), store.load_safety()
    record: SafetyRecord | None = None
    try:
        decode_tx = partial(decode_signed, genesis_hash=genesis_hash)
        record = None if data is None else decode_safety(data, lambda raw: decode_block(raw, decode_tx))
    except Rejected as refusal:
        yield f"its safety record cannot be read: {refusal}"
    if record is not None and record.height > head.height + 1:
        yield f"its safety record is of height {record.height}, its chain ends at {head.height}"
    epoch = store.epoch_at(head.height + 1).number
    for one in signed:
        place = one.place
        early = 1 if place.kind is SignKind.PROPOSAL else 0
        if place.height > head.height + 1 + early:
            yield f"it signed {place}, its chain ends at {head.height}"
        elif place.epoch == epoch and place.height == head.height + 1 and not _is_known(record, one):
            yield f"it signed {place}, and its safety record does not know that: {record!r:.300}"


def _is_known(record: SafetyRecord | None, signed: Signed) -> bool:
    """Tell whether a record of the height of a signature knows it, or something later."""
    kind, view = signed.place.kind, signed.place.view
    if record is None or (record.epoch, record.height) < (signed.place.epoch, signed.place.height):
        return kind is SignKind.PROPOSAL
    match record:
        case RaftSafety():
            return kind is SignKind.PROPOSAL or record.term >= view
        case BftSafety():
            return record.view >= view


def _wait_for_change(look: Callable[[], object]) -> None:
    before, began = look(), time.monotonic()
    while look() == before and time.monotonic() - began < AIM_SECONDS_MAX:
        time.sleep(LOOK_SECONDS)


def run_and_keep(home: Path, course: Course, tell: Callable[[str], None] = lambda line: None) -> Figures:
    """Run once; on failure say where the logs are.

    Raises:
        Failed: with the seed, the folder of the logs, and their last lines.
    """
    try:
        return Run(home, course, tell).run()
    except (Failed, AssertionError) as failure:
        raise Failed(f"seed {course.seed}: {failure}\nlogs in {home}\n{log_tails(home)}") from failure


def missing() -> str | None:
    """Say what this machine does not give; None when all is there."""
    return namespaces.missing() or disks.missing()


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/power", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=1, help="validators of the first epoch")
    parser.add_argument("--engine", choices=("raft", "bft"), default="raft")
    parser.add_argument("--seal", action="store_true", help="all nodes, at the seal of an epoch")
    options = parser.parse_args()
    reason = missing()
    if reason is not None:
        print(f"not possible here: {reason}", file=sys.stderr)
        return 2
    engine = EngineKind[options.engine.upper()]
    course = Course(options.seed, options.rounds, options.nodes, engine, options.seal)
    home = Path(tempfile.mkdtemp(prefix="coopd-power-"))
    try:
        figures = run_and_keep(home / "ln", course, lambda line: print(line, flush=True))
    except Failed as failure:
        print(f"FAILED {failure}")
        print(f"again: scripts/power {' '.join(sys.argv[1:])}")
        return 1
    print(figures.to_text())
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
