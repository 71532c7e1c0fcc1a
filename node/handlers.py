"""What the daemon answers to its gateway and its operator: submissions, proofs, how the node is, acts.

It reads the parts that `daemon.py` built and decides nothing about consensus or money. The language is
`ipc/messages.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from node.builder import Builder
from node.clock import Clock, SystemClock
from node.config import VERSION, Config
from node.crossing import Crossing
from node.driver import Driver
from node.executor import Executor
from node.intake import Intake
from node.ipc.messages import Peers, PeerState, Proved, Sample, Status, Verdict
from node.log import LEVELS, set_level
from node.mempool import Mempool
from node.net.cuts import CuttableTransport
from node.net.links import Links
from node.net.transport import PEER_ID_BYTES, PeerId
from node.snapshot.joining import Joining
from node.store.store import Store
from node.sync import BlockSync
from node.vigil import Vigil
from node.watch.backlog import Backlog
from node.watch.foresight import Foresight
from node.watch.scrubber import Scrubber
from protocol.chain.evidence import decode_evidence
from protocol.chain.validators import EngineKind
from protocol.consensus.inputs import HandOverAsked
from protocol.errors import Code, Rejected
from protocol.types import Height

OFFSET_DIGITS_MAX: Final = 13
SETTLE_SECONDS: Final = 0.001
"""How long a proof waits for a block that is on disk to become the head in memory."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a node that its gateway and operator ask about."""

    config: Config
    clock: Clock
    store: Store
    executor: Executor
    mempool: Mempool
    intake: Intake
    builder: Builder
    driver: Driver
    sync: BlockSync
    snapshots: Joining
    links: Links
    network: CuttableTransport
    stop: Callable[[], None]
    vigil: Vigil
    crossing: Crossing
    foresight: Foresight
    backlog: Backlog
    scrubber: Scrubber


class NodeHandlers:
    """Answer requests; implements `ipc.server.Handlers`."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def submit(self, transactions: tuple[bytes, ...]) -> tuple[Verdict, ...]:
        """Take transactions into the mempool and pass them on."""
        if self._parts.driver.is_disk_low:
            return (Verdict(Code.FULL, "the disk of this node is almost full"),) * len(transactions)
        outcomes = await self._parts.intake.submit(transactions)
        return tuple(
            Verdict(0) if outcome.refusal is None else Verdict(outcome.refusal.code, outcome.refusal.detail)
            for outcome in outcomes
        )

    async def prove(self, key: bytes) -> Proved:
        """Prove what a state key holds at the head.

        Value and proof are of one height: the disk was not ahead of the tree after the value was read.
        """
        executor, store = self._parts.executor, self._parts.store
        while True:
            with store.view() as state:
                value = state.get(key)
            if store.head() == executor.head:
                return Proved(executor.head.height, value, executor.tree.prove(key))
            await trio.sleep(SETTLE_SECONDS)

    async def accuse(self, evidence: bytes) -> None:
        """Take evidence against a validator.

        Raises:
            Rejected: it does not decode, convicts nobody, is known, or there is no room.
        """
        self._parts.driver.evidence.add(decode_evidence(evidence))
        await trio.lowlevel.checkpoint()

    async def admin(self, command: str, arguments: tuple[str, ...]) -> None:
        """Carry out an act of the operator.

        Raises:
            Rejected: `MALFORMED`: no such command, or not on this chain.
        """
        parts = self._parts
        match command, arguments:
            case "handover", ():
                parts.driver.feed(HandOverAsked())
            case "shutdown", ():
                parts.stop()
            case "log", (level,) if level in LEVELS:
                set_level(level)
            case "check", (height,):
                parts.scrubber.check_block(_read_height(height, parts.executor.head.height))
            case "cut", keys if parts.executor.rules.is_dev:
                parts.network.cut([_read_peer(key) for key in keys])
            case "clock", (offset,) if parts.executor.rules.is_dev and isinstance(parts.clock, SystemClock):
                parts.clock.offset_ms = _read_offset(offset, parts.clock.offset_ms)
                parts.builder.show_clock()
            case _:
                raise Rejected(Code.MALFORMED, f"no command {command!r} with {len(arguments)} arguments here")
        await trio.lowlevel.checkpoint()

    def status(self) -> Status:
        """Tell how the node is."""
        parts = self._parts
        machine, head, pool = parts.driver.machine, parts.executor.head, parts.mempool.figures()
        record, leader = machine.record, machine.leader
        is_leaderless = machine.is_validating and leader is None
        is_unaware = not machine.is_validating and parts.sync.is_unaware
        is_lagging = is_unaware or parts.sync.is_behind or parts.sync.is_stranded
        is_ready = not (is_leaderless or is_lagging or parts.driver.is_disk_low)
        warnings = ["no leader is known: the chain cannot go on"] if is_leaderless else []
        if is_unaware:
            warnings.append("no peer has said yet how far the chain is")
        if machine.own_index is not None and parts.vigil.why:
            warnings.append(f"this validator does not sign: {parts.vigil.why}")
        if parts.crossing.warning:
            warnings.append(parts.crossing.warning)
        warnings += parts.foresight.warnings
        warnings += parts.backlog.warnings
        if parts.snapshots.is_fetching:
            warnings.append("fetching a snapshot: {:,} of {:,} chunks".format(*parts.snapshots.progress))
        if parts.driver.is_disk_low:
            warnings.append("the disk is almost full: nothing is written, and this node does not vote")
        if parts.store.damaged:
            warnings.append(
                f"{len(parts.store.damaged)} stored blocks are damaged and fetched again: check the disk"
            )
        if parts.scrubber.history_faults:
            warnings.append(
                f"{len(parts.scrubber.history_faults)} rows of stored history are damaged: check the disk, "
                "then fetch the chain again"
            )
        if isinstance(parts.clock, SystemClock) and parts.clock.offset_ms:
            warnings.append(f"the clock was moved: {parts.clock.offset_ms // 1_000:,} s ahead")
        if parts.sync.is_stranded:
            warnings.append(f"no peer has block {head.height + 1:,}, which is next here: run `coopd rejoin`")
        if parts.sync.is_behind:
            warnings.append(f"catching up: {head.height} of {parts.sync.target}")
        return Status(
            parts.config.operator,
            VERSION,
            head.height,
            head.time_ms,
            Height(max(head.height, parts.sync.target)),
            self._role(),
            "" if leader is None else record.validators[leader].operator,
            machine.term,
            len(parts.network.peers()),
            max(len(parts.config.peers), len(record.validators) - 1),
            pool.txs,
            pool.size_bytes,
            parts.intake.oldest_ms(),
            parts.driver.last_commit_ms,
            is_ready,
            tuple(warnings),
            self._samples(),
            record.number,
            record.engine.name.lower(),
        )

    def peers(self) -> Peers:
        """List the nodes of the roster."""
        parts = self._parts
        up = set(parts.network.peers())
        operators = {v.node_key: v.operator for v in parts.driver.machine.record.validators}
        places = {peer.node_key: peer for peer in parts.config.peers}
        known = sorted((operators.keys() | places.keys()) - {parts.links.me})
        return Peers(
            tuple(
                PeerState(
                    operators.get(key) or places[key].operator,
                    key,
                    f"{places[key].host}:{places[key].port}" if key in places else "",
                    PeerId(key) in up,
                )
                for key in known
            )
        )

    def _role(self) -> str:
        machine = self._parts.driver.machine
        if not machine.is_validating:
            return "observer"
        is_first = machine.leader == machine.own_index
        if machine.record.engine is EngineKind.BFT:
            return "proposer" if is_first else "validator"
        if machine.leader is None:
            return "candidate"
        return "leader" if is_first else "follower"

    def _samples(self) -> tuple[Sample, ...]:
        parts = self._parts
        links, pool = parts.links.counters, parts.mempool.figures()
        counts = {
            "blocks_total": parts.driver.blocks_committed,
            "transactions_total": parts.driver.txs_committed,
            "signatures_checked_total": parts.intake.signatures_checked,
            "outlines_total": parts.driver.hearing.gathering.outlines,
            "transactions_fetched_total": parts.driver.hearing.gathering.fetched_txs,
            "starving_attested_total": parts.driver.fairness.attested_total,
            "blocks_unwelcome_total": parts.driver.fairness.unwelcome_total,
            "mempool_evicted_total": pool.evicted_total,
            "mempool_expired_total": pool.expired_total,
            "mempool_refused_total": pool.refused_full_total,
            "double_sign_evidence_total": parts.driver.evidence.seen_total,
            "net_sent_bytes_total": links.sent_bytes,
            "net_received_bytes_total": links.received_bytes,
            "net_refused_frames_total": links.refused_frames,
            "net_dials_total": links.dials,
            "blocks_repaired_total": parts.sync.repaired,
            "jobs_late": parts.backlog.late,
            "jobs_run_total": parts.backlog.runs,
            "jobs_failed_total": parts.backlog.failed,
            "jobs_quarantined_total": parts.backlog.quarantined,
        }
        whole = [Sample(name, count * 1_000_000) for name, count in counts.items()]
        phases = [
            Sample("phase_seconds_total", round(seconds * 1_000_000), (("phase", phase),))
            for phase, seconds in (parts.intake.phase_seconds | parts.driver.phase_seconds).items()
        ]
        return (*whole, *phases)


def _read_offset(text: str, offset_ms: int) -> int:
    """Read how far the clock shall be ahead; block times never go back, so neither does it."""
    if not (text.isascii() and text.isdecimal() and len(text) <= OFFSET_DIGITS_MAX):
        raise Rejected(
            Code.MALFORMED, f"milliseconds have 1 to {OFFSET_DIGITS_MAX} digits, this has {len(text)}"
        )
    if int(text) < offset_ms:
        raise Rejected(Code.MALFORMED, f"the clock is {offset_ms} ms ahead, and only goes forward")
    return int(text)


def _read_height(text: str, head: Height) -> Height:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(head)) and 1 <= int(text) <= head):
        raise Rejected(Code.MALFORMED, f"a height is from 1 to {head}")
    return Height(int(text))


def _read_peer(text: str) -> PeerId:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != PEER_ID_BYTES:
        raise Rejected(Code.MALFORMED, "a node key has 66 hexadecimal digits")
    return PeerId(key)
