"""The composition root: builds every part of a node once, runs them in one nursery, stops them in order.

Nothing is decided here: who speaks to whom is, and what happens when somebody falls. A broken invariant of
our own ends the process and leaves the last inputs in `crash.txt`; so does a disk that cannot be trusted.
"""

import gc
import math
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import trio

from node.builder import Builder, Pace
from node.clock import Clock, SystemClock
from node.config import NODE_KEY, Config
from node.crossing import Crossing, begin_epoch, find_restart
from node.driver import Driver
from node.errors import OperationError, first_of
from node.evidence import EvidencePool
from node.executor import Executor, explain_missing
from node.handlers import NodeHandlers, Parts
from node.intake import Intake
from node.ipc.server import IpcServer
from node.keychain import Keychain, OwnKeys, read_kept_passphrase
from node.log import get_logger
from node.mempool import Mempool
from node.net.connection import Keepalive
from node.net.cuts import CuttableTransport
from node.net.links import Links
from node.net.offences import BAN_SECONDS, OVER_RATE_POINTS, WRONG_POINTS, Offences, Rate
from node.net.spread import Spread
from node.net.transport import Address, Channel, Frame, PeerDown, PeerEntry, PeerId, PeerUp
from node.plugin.loading import install_plugins
from node.signer import Signer
from node.snapshot.folder import SnapshotFolder
from node.snapshot.joining import Joining
from node.snapshot.making import adopt_snapshot
from node.store.opening import open_store
from node.store.store import Store
from node.sync import BlockSync
from node.vigil import Vigil
from node.wallet.keyring import Keyring
from node.watch.backlog import Backlog
from node.watch.foresight import Foresight
from node.watch.retirement import Retirement
from node.watch.rounds import look_after_blocks
from node.watch.scrubber import Scrubber
from node.wire import BATCH_BYTES_MAX, FrameKind, decode_batch, split
from protocol.chain.block import Block
from protocol.chain.certificate import Certificate
from protocol.chain.transaction import SignedTransaction
from protocol.chain.validators import EpochRecord
from protocol.consensus.engine import Consensus
from protocol.consensus.inputs import HandOverAsked, Released, Start
from protocol.consensus.safety import SAFETY_VERSION, SafetyRecord, decode_safety, find_version
from protocol.consensus.timeouts import LOCAL, WAN
from protocol.crypto import SecretKey
from protocol.errors import Code, Rejected, VersionsMissing
from protocol.params import BLOCK_INTERVAL_MS_MIN
from protocol.sync.snapshot import Anchor, Manifest
from protocol.transition import Admission, check_admission
from protocol.types import PublicKey, Seconds

SWITCH_SECONDS: Final = 0.0005
"""How long a busy thread keeps the interpreter. The default of 5 ms makes a commit of 1,000 keys in a worker
wait 0.4 s beside a busy loop; with this it waits 5 ms (docs/performance.md)."""

COLLECT_THRESHOLDS: Final = (50_000, 20, 100)
"""Objects between two runs of the cycle collector, and how rarely it looks at older ones. Transactions and
records hold no cycles, so the default of 700 only walks over them again and again (docs/performance.md)."""

WAN_KEEPALIVE: Final = Keepalive(5.0, 15.0)
"""Between towns a silence of seconds is no death (network.md 1.11); else the values of the links hold."""

REFUSALS_LOG_SECONDS: Final = 10.0
"""A peer that sends nonsense is logged once in this time, so that it cannot fill the disk."""

TIDY_SECONDS: Final = 60.0
"""How often readers of the database are looked for whose process died; there are slots for 256."""

FRAME_RATES: Final = {
    int(FrameKind.CONSENSUS): Rate(1_000, 2_000),
    int(FrameKind.TRANSACTIONS): Rate(400, 800),
    int(FrameKind.SYNC): Rate(1_000, 2_000),
    int(FrameKind.OUTLINE): Rate(50, 100),
    int(FrameKind.GET_TXS): Rate(50, 100),
    int(FrameKind.TXS): Rate(50, 100),
    int(FrameKind.STARVE): Rate(20, 50),
    int(FrameKind.EVIDENCE): Rate(100, 400),
    int(FrameKind.SNAPSHOT): Rate(1_000, 2_000),
}
"""What is read of one peer. A correct one sends some ten blocks a second with a few messages each, a batch
every 5 ms at most, and evidence again every 2 s."""

HAND_OVER_SECONDS: Final = 1.0
"""How long a stopping leader waits for another one."""


class Daemon:
    """One node: everything it is made of."""

    def __init__(
        self, config: Config, clock: Clock, node_key: SecretKey, own_keys: OwnKeys, store: Store
    ) -> None:
        self.config = config
        self.store = store
        self.log = get_logger("daemon")
        self.executor = Executor(store)
        self.mempool = Mempool()
        genesis = store.genesis()
        roster = _roster(config, self.executor.record, node_key.public_key)
        listen = (Address(config.listen_host, config.listen_port),)
        keepalive = None if config.timers == "local" else WAN_KEEPALIVE
        self.links = Links(node_key.reveal(), listen, roster, keepalive=keepalive)
        self.network = CuttableTransport(self.links)
        self.spread = Spread(genesis.name, self.network, self.links.host, _is_batch, self._on_gossip)
        self.spread.observe(_has_observers(roster))
        self.intake = Intake(
            self.executor.rules.genesis_hash,
            self.mempool,
            self.spread,
            self._admit,
            lambda tx_id: store.place_of(tx_id) is not None,
            self._on_pending,
        )
        self.evidence = self._evidence()
        pace = Pace(config.batch_window_ms, BLOCK_INTERVAL_MS_MIN, config.block_txs_max)
        self.keys = Keychain.open(own_keys, self.executor.record)
        me = self.signer.public_key
        self.builder = Builder(self.executor, self.mempool, self.evidence, clock, me, pace)
        self.driver = Driver(
            self._machine(me),
            self.executor,
            self.builder,
            self.intake,
            self.mempool,
            self.evidence,
            store,
            self.keys,
            self.network,
            clock,
            self._on_committed,
            lambda peer, height: self.sync.ask(peer, height),
            lambda signer: self.vigil.take(signer),
        )
        self.snapshots = Joining(
            config, store, self.network, lambda: self.executor.head.height, self.stop, self._blame
        )
        self.scrubber = Scrubber(store, self.executor, config.scrub_share_pct)
        self.retirement = Retirement(own_keys, store, self.executor)
        self.backlog = Backlog(store, self.executor)
        self.foresight = Foresight(self.executor, own_keys, lambda: PublicKey(self.links.me))
        self.crossing = Crossing(config.restarts, self.executor, self.network, self.stop)
        self.sync = self._block_sync()
        self.vigil = self._vigil()
        self.clock = clock
        self.ipc = IpcServer(config.socket_path, NodeHandlers(self._parts()))
        self.offences = Offences(FRAME_RATES)
        self._logged: dict[PeerId, float] = {}
        self.stopping = trio.Event()

    async def run(self, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Run until stopped by a signal or an operator's command."""
        restored = self._restored()
        self.vigil.begin(self.store, restored)
        self.driver.feed(Start(restored, is_held=self.vigil.is_holding))
        self.evidence.load()
        async with trio.open_nursery() as nursery:
            await nursery.start(self.links.run)
            await nursery.start(self.ipc.run)
            nursery.start_soon(self.driver.run)
            nursery.start_soon(self.intake.run)
            nursery.start_soon(self.sync.run)
            nursery.start_soon(self.scrubber.run)
            nursery.start_soon(self._watch)
            nursery.start_soon(self.evidence.run)
            nursery.start_soon(self.spread.run)
            nursery.start_soon(self._tidy_readers)
            nursery.start_soon(self.snapshots.run)
            nursery.start_soon(self.vigil.watch)
            nursery.start_soon(self._listen)
            nursery.start_soon(self.intake.accept_waiting)
            if restarted := find_restart(self.store):
                self.log.warning(
                    "chain.was_restarted", height=restarted.first_height - 1, epoch=restarted.number
                )
            self.log.info("node.started", operator=self.config.operator, height=self.executor.head.height)
            task_status.started()
            await self.stopping.wait()
            await self._hand_over()
            nursery.cancel_scope.cancel()
        self.log.info("node.stopped", height=self.executor.head.height)

    @property
    def signer(self) -> Signer:
        """Return who signs for us at the next height."""
        return self.keys.signer(self.executor.record.number)

    def stop(self) -> None:
        """Ask for an orderly end."""
        self.stopping.set()

    # --- parts that need each other

    def _parts(self) -> Parts:
        return Parts(
            self.config,
            self.clock,
            self.store,
            self.executor,
            self.mempool,
            self.intake,
            self.builder,
            self.driver,
            self.sync,
            self.snapshots,
            self.links,
            self.network,
            self.stop,
            self.vigil,
            self.crossing,
            self.foresight,
            self.backlog,
            self.scrubber,
        )

    def _admit(self, transactions: Sequence[SignedTransaction]) -> list[Admission | Rejected]:
        """Check each transaction for itself against the head state, at the time of a block made now."""
        time = Seconds(max(self.executor.head.time_ms, self.clock.wall_ms()) // 1_000)
        found: list[Admission | Rejected] = []
        with self.store.view() as state:
            for signed in transactions:
                try:
                    found.append(check_admission(state, self.executor.rules, time, signed))
                except Rejected as refusal:
                    found.append(refusal)
        return found

    def _machine(self, me: PublicKey) -> Consensus:
        head = self.executor.head
        timeouts = LOCAL if self.config.timers == "local" else WAN
        genesis_hash = self.executor.rules.genesis_hash
        return Consensus(genesis_hash, me, self.executor.record, head.height, head.block_id, timeouts)

    def _evidence(self) -> EvidencePool:
        return EvidencePool(
            self.config.evidence_path,
            self.executor.check_accusation,
            lambda data: self.network.broadcast(Channel.BULK, data),
            self._on_pending,
        )

    def _block_sync(self) -> BlockSync:
        return BlockSync(
            self.store,
            self.executor,
            self.driver,
            self.network,
            self.snapshots.holds_blocks,
            self.crossing.note,
            self._blame,
        )

    def _vigil(self) -> Vigil:
        return Vigil(
            self.signer,
            self.executor.head.height,
            lambda: self.sync.is_behind or self.snapshots.is_fetching,
            lambda: self.driver.feed(Released()),
        )

    def _restored(self) -> SafetyRecord | None:
        data = self.store.load_safety()
        try:
            return None if data is None else decode_safety(data, self.driver.decode_block)
        except Rejected as refusal:
            if data is not None and find_version(data) not in (None, SAFETY_VERSION):
                raise OperationError(
                    "safety.other_version",
                    "Node did not start: another version of this program wrote what this validator promised.",
                    f"the record is of version {find_version(data)}, this program reads {SAFETY_VERSION}.",
                    "run the version that wrote it until its epoch has ended, or give this one a new key.",
                ) from refusal
            raise OperationError(
                "safety.damaged",
                "Node did not start: the record of what this validator promised cannot be read.",
                f"{refusal.detail}: it is unknown which block it stands behind.",
                "check the disk; then run the node without validating, and give the validator a new key.",
            ) from refusal

    def _on_committed(self, block: Block, certificate: Certificate) -> None:
        self.snapshots.note(block.height)
        self.vigil.note(block.header, certificate, self.store.epoch_at(block.height))
        self.ipc.publish_committed(block.height)
        self.sync.advance(block)
        if block.header.is_seal:
            roster = _roster(self.config, self.executor.record, PublicKey(self.links.me))
            self.links.set_roster(roster)
            self.spread.observe(_has_observers(roster))

    async def _listen(self) -> None:
        """Hand every frame to the part that reads it; a peer that sends nonsense is noted."""
        while True:
            received = await self.network.receive()
            match received:
                case Frame(peer, _, data):
                    self._read(peer, data)
                case PeerUp(peer):
                    self.log.info("peer.up", peer=peer.hex())
                    self.sync.greet(peer)
                    self.snapshots.greet(peer)
                case PeerDown(peer, reason):
                    self.log.info("peer.down", peer=peer.hex(), why=reason)
                    self.sync.lose(peer)
                    self.snapshots.lose(peer)
                    self.crossing.lose(peer)
            # `receive` goes on at once while frames wait: without this a flood would stop everything else.
            await trio.lowlevel.checkpoint()

    def _read(self, peer: PeerId, data: bytes) -> None:
        """Read a frame unless its peer has had its share; who is wrong or floods for long is cut off."""
        now = trio.current_time()
        if self.offences.is_banned(peer, now):
            return
        points = 0
        if not self.offences.allows(peer, data[0] if data else 0, now):
            points = OVER_RATE_POINTS
        else:
            try:
                self._on_frame(peer, data)
            except Rejected as refusal:
                self._log_refusal(peer, refusal, now)
                # Who votes in an epoch that this node does not know yet is wrong by no rule.
                points = 0 if refusal.code == Code.ROLE or refusal.retry else WRONG_POINTS
        if points:
            self._blame(peer, points)

    def _blame(self, peer: PeerId, points: int = WRONG_POINTS) -> None:
        """Count an offence of a peer; who has too many is cut off for a while."""
        if self.offences.note(peer, points, trio.current_time()):
            self.log.error("peer.banned", peer=peer.hex(), seconds=BAN_SECONDS)
            self.links.ban(peer, BAN_SECONDS, "it floods, or sends what is wrong")

    def _log_refusal(self, peer: PeerId, refusal: Rejected, now: float) -> None:
        if now >= self._logged.get(peer, -math.inf) + REFUSALS_LOG_SECONDS:
            self._logged[peer] = now
            self.log.warning("peer.refused", peer=peer.hex(), why=str(refusal))

    def _on_frame(self, peer: PeerId, data: bytes) -> None:
        kind, payload = split(data)
        match kind:
            case FrameKind.CONSENSUS:
                self.driver.hearing.on_frame(peer, payload)
            case FrameKind.OUTLINE:
                self.driver.hearing.on_outline(peer, payload)
            case FrameKind.GET_TXS:
                self.driver.hearing.on_get_txs(peer, payload)
            case FrameKind.TXS:
                self.driver.hearing.on_txs(peer, payload)
            case FrameKind.STARVE:
                self.driver.hearing.on_starve(peer, payload)
            case FrameKind.TRANSACTIONS:
                self.intake.batches.put(peer, decode_batch(payload))
            case FrameKind.EVIDENCE:
                self.evidence.on_frame(peer, payload)
            case FrameKind.SYNC:
                self.sync.on_frame(peer, payload)
            case FrameKind.SNAPSHOT:
                if not self.crossing.on_frame(peer, payload):
                    self.snapshots.on_frame(peer, payload)

    def _on_pending(self) -> None:
        """Tell those who make blocks, and those who wait for one, that there is work."""
        self.builder.wake()
        self.driver.note_work()

    def _on_gossip(self, data: bytes) -> None:
        try:
            self.intake.batches.put(None, decode_batch(split(data)[1]))
        except Rejected as refusal:
            self.log.debug("gossip.refused", why=str(refusal))

    async def _watch(self) -> None:
        """Look after each block what it means for this node."""
        looks = (self.retirement.look, self.foresight.look, self.backlog.look)
        await look_after_blocks(lambda: self.executor.head.height, looks)

    async def _tidy_readers(self) -> None:
        """Free what gateways that were killed still hold of the database."""
        while True:
            await trio.sleep(TIDY_SECONDS)
            freed = await trio.to_thread.run_sync(self.store.environment.release_dead_readers)
            if freed:
                self.log.info("readers.freed", count=freed)

    async def _hand_over(self) -> None:
        """Let another validator lead before this one goes, so that nobody waits for an election."""
        self.driver.feed(HandOverAsked())
        with trio.move_on_after(HAND_OVER_SECONDS):
            await self.driver.stops_leading()


async def run_node(
    config: Config, clock: Clock | None = None, beside: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Run one node in this process until SIGTERM or SIGINT.

    Args:
        beside: runs as long as the node does, and raises nothing.

    Raises:
        OperationError: it cannot start, or its disk or network failed.
        BaseExceptionGroup: a bug of ours; `crash.txt` holds the last inputs.
    """
    install_plugins(config.plugins)
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*COLLECT_THRESHOLDS)
    keyring = Keyring(config.keys_path)
    passphrase = read_kept_passphrase(config)
    node_key, own_keys = keyring.load(NODE_KEY, passphrase), OwnKeys(config, lambda: passphrase)
    while (
        fetched := await _run_daemon(config, clock or SystemClock(), node_key, own_keys, beside)
    ) is not None:
        await trio.to_thread.run_sync(_begin_anew, config, fetched)


async def _run_daemon(
    config: Config,
    clock: Clock,
    node_key: SecretKey,
    own_keys: OwnKeys,
    beside: Callable[[], Awaitable[None]] | None,
) -> tuple[Manifest, Anchor] | EpochRecord | None:
    """Run one daemon to its end; return the snapshot or restart with which to begin anew, if any."""
    store = open_store(config)
    daemon = Daemon(config, clock, node_key, own_keys, store)
    gc.collect()
    gc.freeze()  # Modules, keys and the state tree stay; nobody needs to look at them again.
    failure: OperationError | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, daemon, nursery.cancel_scope)
            if beside is not None:
                nursery.start_soon(beside)
            await daemon.run()
            nursery.cancel_scope.cancel()
    except* OperationError as group:
        failure = first_of(group)
    except* VersionsMissing as group:
        # A thread that only reads met the written block before the executor stopped at it.
        with store.view() as state:
            failure = explain_missing(state, first_of(group).versions)
    except* Exception as group:
        _leave_trace(config.home / "crash.txt", daemon, group)
        raise
    finally:
        store.close()
        daemon.keys.close()
    if failure is not None:
        daemon.log.critical("node.failed", slug=failure.slug, why=failure.why)
        raise failure
    return daemon.snapshots.fetched or daemon.crossing.fetched


def _begin_anew(config: Config, fetched: tuple[Manifest, Anchor] | EpochRecord) -> None:
    """Put what was fetched into the store; when a part of a snapshot is damaged, it is fetched again."""
    store = open_store(config)
    try:
        if isinstance(fetched, EpochRecord):
            begin_epoch(store, fetched)
        else:
            adopt_snapshot(store, SnapshotFolder(config.snapshots_path), *fetched)
    except OperationError as failure:
        if failure.slug != "snapshot.damaged":
            raise
        get_logger("daemon").error("snapshot.damaged", why=failure.why)
    finally:
        store.close()


async def _stop_on_signal(daemon: Daemon, scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            daemon.snapshots.fetched = daemon.crossing.fetched = None
            if daemon.stopping.is_set():
                scope.cancel()
            daemon.stop()


def _leave_trace(path: Path, daemon: Daemon, failure: BaseException) -> None:
    inputs = "".join(f"{event!r}\n" for event in daemon.driver.trace)
    with suppress(OSError):
        path.write_text("".join(traceback.format_exception(failure)) + inputs)
    daemon.log.critical("invariant.broken", trace=str(path), why=repr(failure)[:500])


def _has_observers(roster: Sequence[PeerEntry]) -> bool:
    return not all(entry.validator for entry in roster)


def _is_batch(data: bytes) -> bool:
    return 0 < len(data) <= BATCH_BYTES_MAX and data[0] == FrameKind.TRANSACTIONS


def _roster(config: Config, record: EpochRecord, me: PublicKey) -> tuple[PeerEntry, ...]:
    """Join who may certify (chain) with where nodes are (configuration)."""
    validators = {validator.node_key for validator in record.validators}
    places = {peer.node_key: (Address(peer.host, peer.port),) for peer in config.peers}
    places[me] = (Address(config.listen_host, config.listen_port),)
    return tuple(
        PeerEntry(PeerId(key), places.get(key, ()), key in validators)
        for key in sorted(validators | places.keys())
    )
