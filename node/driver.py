"""The one loop that feeds consensus and carries out its effects, in their order.

Everything that happens to consensus passes the inbox and leaves as effects; the contract it fulfils is
written in `protocol/consensus/effects.py`. The driver signs what the machine says behind the double-sign
guard, and turns commits into durable blocks. It keeps the last inputs, so that a broken invariant leaves a
trace that can be replayed. What other validators say comes through `hearing.py`.

It does not know what a message means, what a transaction does or how bytes travel.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Protocol, assert_never

import trio

from node.builder import Builder
from node.clock import Clock
from node.compact import list_leaves
from node.errors import OperationError
from node.evidence import EvidencePool
from node.executor import Ahead, Executor, Prepared
from node.fairness import Fairness
from node.hearing import Hearing
from node.inbox import Inbox
from node.intake import Intake
from node.keychain import Keychain
from node.log import get_logger
from node.mempool import Mempool
from node.net.transport import Channel, PeerId
from node.signer import Signer
from node.store.store import Store
from node.wire import FrameKind, encode_outline, frame
from protocol.chain.block import Block, decode_block
from protocol.chain.certificate import Certificate
from protocol.chain.validators import EngineKind, EpochRecord
from protocol.consensus.effects import (
    Alarm,
    Broadcast,
    BuildBlock,
    CheckBlock,
    CommitBlock,
    Effect,
    PersistSafety,
    ReportEvidence,
    RequestSync,
    Send,
    ServeDecided,
    SetTimer,
)
from protocol.consensus.engine import Consensus
from protocol.consensus.inputs import (
    BlockBuilt,
    BlockChecked,
    BlockCommitted,
    Input,
    OwnKey,
    Received,
    TimerFired,
    Verdict,
    WorkWaiting,
)
from protocol.consensus.messages import (
    Decided,
    Message,
    Proposal,
    attach_signature,
    compute_sign_digest,
    encode_decided,
    encode_message,
)
from protocol.consensus.timeouts import TimerKey, TimerKind
from protocol.errors import Rejected
from protocol.params import CLOCK_AHEAD_MS_MAX, CLOCK_AHEAD_PROPOSE_MS_MAX
from protocol.types import EpochNumber, Hash32, Height, View

TRACE_INPUTS: Final = 512
"""Inputs kept for the record of a broken invariant."""

LATE_SECONDS: Final = 0.02
"""A timer that fires later than this was held up by this node's own work."""

GRACE_SECONDS: Final = 0.01
"""Time for what has arrived meanwhile to be read before such a timer counts."""

WORK_LOOKED_AT_MAX: Final = 8
"""Waiting transactions, each of another payer, that are looked at to see whether a block is due."""

VOTE_CHANNEL_BYTES_MAX: Final = 64 * 1024

DISK_RETRY_SECONDS: Final = 2.0
"""How often a node whose disk is almost full looks for room."""

ALARM_SECONDS: Final = 1.0
"""Alarms are logged once in this time, so that a hostile validator cannot fill the disk with them."""

SERVING_SHARE: Final = 10
"""A validator that lags is sent what was decided for at most one part in so many of this node's time."""


class Network(Protocol):
    """What the driver asks of the network."""

    def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        """Queue one frame for one peer."""
        ...


@dataclass(frozen=True, slots=True)
class _Timer:
    """A timer that runs. `is_graced`: it came late, and what arrived meanwhile is being read first."""

    due: float
    key: TimerKey
    is_graced: bool = False


class Driver:
    """Drive one consensus machine.

    Args:
        machine: not yet started.
        on_committed: called after a block is durable and is the head.
        on_sync: called when blocks up to a height should be fetched from a validator.
        on_own_key: called when another key is ours from the next height on; tells whether it is held.
    """

    def __init__(
        self,
        machine: Consensus,
        executor: Executor,
        builder: Builder,
        intake: Intake,
        mempool: Mempool,
        evidence: EvidencePool,
        store: Store,
        keys: Keychain,
        network: Network,
        clock: Clock,
        on_committed: Callable[[Block, Certificate], None],
        on_sync: Callable[[PeerId, Height], None],
        on_own_key: Callable[[Signer], bool] = lambda signer: False,
    ) -> None:
        self._machine = machine
        self._executor = executor
        self._builder = builder
        self._intake = intake
        self._mempool = mempool
        self.evidence = evidence
        self._store = store
        self._keys = keys
        self._network = network
        self._clock = clock
        self._on_committed = on_committed
        self._on_sync = on_sync
        self._on_own_key = on_own_key
        self._genesis_hash: Hash32 = executor.rules.genesis_hash
        self._inbox = Inbox()
        self.fairness = Fairness(
            executor, mempool, network, lambda digest: keys.signer(executor.record.number).attest(digest)
        )
        self.hearing = Hearing(
            machine, executor, intake, self.fairness, network, self._inbox, self.decode_block
        )
        self._timers: dict[TimerKind, _Timer] = {}
        self._waits: dict[tuple[Height, View], float] = {}
        self._serve_after: dict[int, float] = {}
        self._building = trio.CancelScope()
        # Held while the state on disk may be ahead of the head in memory: nothing is executed meanwhile.
        self._committing = trio.Lock()
        self.trace: deque[Input] = deque(maxlen=TRACE_INPUTS)
        self.phase_seconds = {"build": 0.0, "check": 0.0, "persist": 0.0, "write": 0.0}
        self.blocks_committed = 0
        self.txs_committed = 0
        self.last_commit_ms = 0
        self._work_told_at: Height | None = None
        self.is_disk_low = False
        self._proposed_at = 0.0
        self._alarmed_at = -math.inf
        self._not_leading = trio.Event()
        self._seen_leader: tuple[int, int | None] = (0, None)
        self._log = get_logger("driver")

    @property
    def machine(self) -> Consensus:
        """Return the machine, to look at."""
        return self._machine

    @property
    def is_leading(self) -> bool:
        """Tell whether this node leads."""
        return self._machine.own_index is not None and self._machine.leader == self._machine.own_index

    async def stops_leading(self) -> None:
        """Wait until this node does not lead."""
        await self._not_leading.wait()

    # --- what happens

    def feed(self, event: Input) -> None:
        """Queue an input of our own making."""
        self._inbox.put(event)

    def decode_block(self, data: bytes) -> Block:
        """Decode a block of this chain; transactions that this node has verified are not decoded again."""
        return decode_block(data, self._intake.decode)

    async def run(self) -> None:
        """Carry out inputs, one at a time, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.hearing.run)
            while True:
                event = await self._next()
                epoch = self._machine.record.number
                if isinstance(event, Received) and isinstance(event.message, Proposal):
                    event = replace(event, waited_ms=self._waited_ms(event.message))
                self.trace.append(_without_bodies(event))
                for effect in self._machine.step(event):
                    await self._perform(effect, nursery)
                if self._machine.record.number != epoch:
                    self._keys.leave_before(self._machine.record.number)
                    self.hearing.cross()
                self._note_leader()

    def _note_leader(self) -> None:
        if not self.is_leading:
            self._not_leading.set()
        elif self._not_leading.is_set():
            self._not_leading = trio.Event()
        seen = (self._machine.term, self._machine.leader)
        if seen != self._seen_leader:
            self._seen_leader = seen
            validators = self._machine.record.validators
            name = None if seen[1] is None else validators[seen[1]].operator
            # Under BFT the office changes with every height; only a later round is news.
            is_usual = self._machine.record.engine is EngineKind.BFT and seen[0] == 0
            log = self._log.debug if is_usual else self._log.info
            log("leader.changed", term=seen[0], leader=name, height=self._machine.height)

    def _waited_ms(self, proposal: Proposal) -> int:
        """Return how long a proposal of the current height was waited for."""
        now = trio.current_time()
        return round((now - self._waits.get((proposal.height, proposal.view), now)) * 1_000)

    async def _next(self) -> Input:
        """Wait for an input or a timer. Who keeps the inbox full holds a timer up for a moment at most."""
        while True:
            now = trio.current_time()
            kind, timer = min(self._timers.items(), key=lambda item: item[1].due, default=(None, None))
            if kind is not None and timer is not None and timer.due <= now:
                is_late = now - timer.due > LATE_SECONDS
                if is_late and not timer.is_graced:
                    self._timers[kind] = _Timer(now + GRACE_SECONDS, timer.key, is_graced=True)
                    continue
                if is_late or not self._inbox:
                    del self._timers[kind]
                    return TimerFired(timer.key)
            if self._inbox:
                return self._inbox.take()
            with trio.move_on_at(math.inf if timer is None else timer.due):
                await self._inbox.wait()

    # --- what is to be done

    async def _perform(self, effect: Effect, nursery: trio.Nursery) -> None:
        match effect:
            case PersistSafety(safety):
                data = safety.encode()
                await self._write("persist", lambda: self._store.save_safety(data))
            case Send(validator, message):
                await self._say(message, (validator,))
            case Broadcast(message):
                await self._say(message, None)
            case SetTimer(key, delay_ms):
                now = trio.current_time()
                self._timers[key.kind] = _Timer(now + delay_ms / 1_000, key)
                if key.kind is TimerKind.PROPOSE:
                    self._waits = {k: v for k, v in self._waits.items() if k[0] == key.height}
                    self._waits[key.height, key.view] = now
            case BuildBlock():
                self._building.cancel()
                self._building = trio.CancelScope()
                nursery.start_soon(self._build, effect, self._building)
            case CheckBlock(block):
                nursery.start_soon(self._check, block)
            case CommitBlock(block, certificate):
                nursery.start_soon(self.commit, block, certificate)
            case ServeDecided(validator, height):
                self._serve_decided(validator, height)
            case RequestSync(validator, target_height):
                record = self._machine.record
                if validator < len(record.validators):
                    self._on_sync(PeerId(record.validators[validator].node_key), target_height)
            case ReportEvidence(evidence):
                self.evidence.report(evidence)
            case Alarm(reason):
                if trio.current_time() >= self._alarmed_at + ALARM_SECONDS:
                    self._alarmed_at = trio.current_time()
                    self._log.error("consensus.alarm", reason=reason)
            case _:
                assert_never(effect)

    async def _say(self, message: Message, receivers: tuple[int, ...] | None) -> None:
        """Sign a message behind the guard, send it, and hand it back to the machine if it is for us too."""
        record = self._machine.record
        digest = compute_sign_digest(message, self._genesis_hash)
        if digest is not None:
            try:
                message = attach_signature(
                    message, await self._keys.signer(record.number).sign(message, digest)
                )
            except OperationError as refusal:
                if refusal.slug not in ("sign_state.double_sign", "sign_state.elsewhere"):
                    raise
                # Silence is always safe; a second signature never is. The node goes on without this vote.
                self._log.critical("signer.refused", what=refusal.what, why=refusal.why)
                return
        me = self._machine.own_index
        others = range(len(record.validators)) if receivers is None else receivers
        data: bytes | None = None
        # What goes to one was lacking there, so it goes whole.
        is_for_all = receivers is None
        outlined = self._outline(record, message) if is_for_all and isinstance(message, Proposal) else ()
        for index in others:
            if index == me or index in outlined:
                continue
            data = data or frame(FrameKind.CONSENSUS, encode_message(message))
            self._send(record, index, data)
        if (receivers is None or me in receivers) and me is not None:
            self.feed(Received(me, message, record.number))

    def _outline(self, record: EpochRecord, proposal: Proposal) -> tuple[int, ...]:
        """Send a proposal that is said to all as an outline, and return who got it so."""
        self.hearing.bodies.keep(proposal.block)
        found = tuple(
            index
            for index, validator in enumerate(record.validators)
            if index != self._machine.own_index
            and not self.hearing.bodies.is_whole(PeerId(validator.node_key), proposal.block)
        )
        if found:
            data = encode_outline(proposal, list_leaves(proposal.block.transactions))
            for index in found:
                self._send(record, index, data)
        return found

    def _send(self, record: EpochRecord, index: int, data: bytes) -> None:
        channel = Channel.VOTE if len(data) <= VOTE_CHANNEL_BYTES_MAX else Channel.BULK
        self._network.send(PeerId(record.validators[index].node_key), channel, data)

    async def _write(self, phase: str, work: Callable[[], None]) -> None:
        """Write in a worker thread; while the disk is almost full wait, as silence is always safe."""
        began = trio.current_time()
        while True:
            try:
                await trio.to_thread.run_sync(work)
                break
            except OperationError as failure:
                if failure.slug != "store.disk_low":
                    raise
                self.is_disk_low = True
                self._log.critical("disk.low", why=failure.why, do=failure.do)
            await trio.sleep(DISK_RETRY_SECONDS)
        self.is_disk_low = False
        self.phase_seconds[phase] += trio.current_time() - began

    async def _build(self, ask: BuildBlock, scope: trio.CancelScope) -> None:
        block: Block | None = None
        with scope:
            while block is None:
                is_due = await self._builder.wait_for_work(self._executor.prepared(ask.parent_id))
                async with self._committing:
                    head, parent = self._executor.head, self._executor.prepared(ask.parent_id)
                    if head.block_id == ask.parent_id:
                        parent = None
                    elif parent is None or is_due or not self._executor.may_build_on(parent):
                        return
                    certificate = self._store.certificate(head.height) if head.height else None
                    block = self._builder.build(ask.view, certificate, even_empty=is_due, parent=parent)
                    self.phase_seconds["build"] += self._builder.last_build_seconds
            self.feed(BlockBuilt(ask.height, ask.view, block))

    async def _check(self, block: Block) -> None:
        """Judge a proposal. One that leaves out what starves is unwelcome. One from a fast clock is too, so
        that its leader makes way, but is judged again when its time has come: of three validators the third
        may be down."""
        async with self._committing:
            if block.height <= self._executor.head.height:
                return
            try:
                prepared = await self._execute(block)
            except Rejected as refusal:
                self._log.warning("block.refused", height=block.height, why=str(refusal))
                self.feed(BlockChecked(block.id, Verdict.INVALID))
                return
            if not self.fairness.is_welcome(prepared):
                self.feed(BlockChecked(block.id, Verdict.UNWELCOME))
                return
            early_ms = self._early_ms(block)
        if early_ms:
            self._log.warning("block.early", height=block.height, early_ms=early_ms)
            self.feed(BlockChecked(block.id, Verdict.UNWELCOME))
            if early_ms > CLOCK_AHEAD_PROPOSE_MS_MAX:
                return
            await trio.sleep(early_ms / 1_000)
        if block.height > self._executor.head.height:
            self.feed(BlockChecked(block.id, Verdict.VALID))

    def _early_ms(self, block: Block) -> int:
        """Return how long a block has to wait until our clock allows its time; the earliest time that it may
        have needs no wait."""
        now_ms = max(self._clock.wall_ms() + CLOCK_AHEAD_MS_MAX, self._executor.head.time_ms + 1)
        return max(block.header.time_ms - now_ms, 0)

    async def _execute(self, block: Block, ahead: Ahead | None = None) -> Prepared:
        """Verify and execute a block unless that was done; raises Rejected when it breaks a rule."""
        self._proposed_at = trio.current_time()
        prepared = self._executor.prepared(block.id)
        if prepared is None:
            await self._intake.check_signatures(block.transactions)
            began = trio.current_time()
            prepared = self._executor.check(block, ahead)
            self.phase_seconds["check"] += trio.current_time() - began
        return prepared

    async def commit(self, block: Block, certificate: Certificate) -> None:
        """Make a certified block durable and the head; then tell consensus."""
        await self.commit_run(((block, certificate),))

    async def commit_run(self, run: Sequence[tuple[Block, Certificate]]) -> None:
        """Make certified blocks that follow each other durable in one write; then tell consensus of the last.

        Only the last one may be a seal. A certified block that this node finds invalid means that its books
        or its code differ from the quorum's: the node stops.
        """
        async with self._committing:
            fresh = [one for one in run if one[0].height > self._executor.head.height]
            if not fresh:
                return
            ahead = Ahead()
            for block, certificate in fresh:
                try:
                    ahead.add(await self._execute(block, ahead), certificate)
                except Rejected as refusal:
                    raise AssertionError(
                        f"certified block {block.height} is invalid here: {refusal}"
                    ) from refusal
                await trio.lowlevel.checkpoint()
            last, certificate = ahead.blocks[-1]
            following = last.execution.next_record
            if following is not None:
                # Before the seal is stored: whoever crosses can sign at once, or not at all.
                await trio.to_thread.run_sync(self._keys.prepare, following)
            await self._write("write", lambda: self._executor.write(ahead.blocks))
            self._executor.advance(last)
        for block, proof in fresh:
            self._let_go(block)
            self._on_committed(block, proof)
        self._mempool.prune(last.block.header.time_ms // 1_000)
        own = None if following is None else self._take_key(following)
        if len(fresh) == 1 and self._machine.is_validating:
            me = self._keys.signer(self._executor.record.number).public_key
            self.fairness.note_committed(last.block, self._executor.record.index_of(me))
        self.last_commit_ms = round((trio.current_time() - self._proposed_at) * 1_000)
        head = self._executor.head
        self.feed(BlockCommitted(head.height, head.block_id, head.time_ms, certificate, following, own))
        self.note_work()

    def note_work(self) -> None:
        """Tell consensus, once a height, that something waits which could stand in the next block."""
        height = self._executor.head.height
        if self._work_told_at != height and self._has_work():
            self._work_told_at = height
            self.feed(WorkWaiting())

    def _has_work(self) -> bool:
        """Look at the first that wait. What cannot run yet may wait for ever: no proposer is late."""
        waiting = islice(self._mempool.next_of_payers(), WORK_LOOKED_AT_MAX)
        return bool(len(self.evidence)) or any(self._executor.can_run(signed) for signed in waiting)

    def _take_key(self, following: EpochRecord) -> OwnKey | None:
        """Let another key be ours from the next height on, if one stands in the epoch that follows."""
        signer = self._keys.signer(following.number)
        if signer is self._keys.signer(EpochNumber(following.number - 1)):
            return None
        self._builder.sign_as(signer.public_key)
        self._log.info("key.taken", key=signer.public_key.hex(), epoch=following.number)
        return OwnKey(signer.public_key, self._on_own_key(signer))

    def _let_go(self, block: Block) -> None:
        """Forget what waited for a block that is final now."""
        self.blocks_committed += 1
        self.txs_committed += len(block.transactions)
        self.hearing.gathering.forget(block.height)
        self._intake.forget(block.transactions)
        self._mempool.remove_committed([t.id for t in block.transactions])
        self._mempool.drop_overtaken(block.transactions)
        self.evidence.settle(block.evidence)

    def _serve_decided(self, validator: int, height: Height) -> None:
        """Send a decided block, unless this validator has had its share of our time; then it asks again."""
        began = trio.current_time()
        record = self._machine.record
        if validator >= len(record.validators) or began < self._serve_after.get(validator, 0.0):
            return
        served = self._store.served_block(height)
        if served is None:
            return
        self._send(record, validator, frame(FrameKind.CONSENSUS, encode_decided(*served)))
        now = trio.current_time()
        self._serve_after[validator] = now + SERVING_SHARE * (now - began)


def _without_bodies(event: Input) -> Input:
    """Return an input as the trace keeps it: consensus never looks into a body, and bodies are large."""
    match event:
        case Received(message=(Proposal() | Decided()) as message):
            return replace(event, message=replace(message, block=_without_body(message.block)))
        case BlockBuilt():
            return replace(event, block=_without_body(event.block))
        case _:
            return event


def _without_body(block: Block) -> Block:
    return replace(block, transactions=(), evidence=())
