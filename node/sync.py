"""Carries out the plan by which a node that lags fetches and commits blocks, and serves those who lag.

What to ask of whom, and what to believe, is decided by `protocol/sync/planner.py`; this file moves its
requests and answers over the bulk lane, notices what is not answered in time, leaves out for a while whom the
plan dropped, and hands runs of checked blocks to the driver, the only one that commits. A node that syncs
takes no part in consensus at heights it has not reached, by the rules of that machine.

It also fetches again what was found damaged on this node's own disk (`Store.damaged`).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

import trio

from node.driver import Driver
from node.errors import OperationError
from node.executor import Executor
from node.log import get_logger
from node.net.transport import Channel, PeerId, Transport
from node.store.store import Store
from node.wire import FrameKind, frame
from protocol.chain.block import Block
from protocol.chain.certificate import Certificate, decode_certificate
from protocol.errors import Code, Rejected
from protocol.sync.messages import (
    RANGE_BYTES_MAX,
    Blocks,
    ChainStatus,
    GetBlocks,
    GetStatus,
    SyncMessage,
    decode_sync,
    encode_sync,
)
from protocol.sync.planner import (
    Applied,
    ApplyRun,
    BlocksArrived,
    CaughtUp,
    EpochClaimed,
    NonsenseArrived,
    PeerFails,
    PeerGone,
    PeerIsBad,
    PeerStatus,
    Request,
    RequestFailed,
    RequestSlow,
    SyncEffect,
    SyncInput,
    SyncPlanner,
)
from protocol.types import Hash32, Height, PublicKey

TICK_SECONDS: Final = 0.5

STATUS_SECONDS: Final = 2.0
"""How often peers are asked how far they are."""

SLOW_SECONDS: Final = 1.0
"""A range that has not come by then is asked of another peer too."""

REQUEST_SECONDS_MAX: Final = 5.0
"""A range that has not come by then counts as refused."""

LAG_SECONDS: Final = 1.0
"""A lag of one block is fetched only when it lasts this long: usually that block is on its way already."""

FAILING_SECONDS: Final = 2.0
FAILING_SECONDS_MAX: Final = 60.0
"""How long a peer is not listened to that did not bring what it claims: at first, and at most, as the time
doubles with each repetition. An honest peer may be slow for a while."""

LYING_SECONDS: Final = 60.0
LYING_SECONDS_MAX: Final = 960.0
"""The same for one that sent what no correct peer sends."""

INPUTS_WAITING_MAX: Final = 1_024
"""Inputs that may wait before what peers say of themselves is dropped."""

SERVED_BYTES_A_TICK_MAX: Final = 8 * 1024 * 1024
"""Above this, what a peer asks for in one tick waits for the next: more than it can execute meanwhile."""

SERVED_WAITING_MAX: Final = 4
"""Requests of one peer that may wait to be served; a correct one has two at a time, and one for a repair."""

UNASKED_BYTES_MAX: Final = 1_024
"""What a message may have of a peer that was asked for nothing: only blocks are larger."""

ASKED_MAX: Final = 8
"""Requests to one peer that are remembered; the oldest will not be answered any more."""

_Raw = tuple[bytes, bytes]
"""Encoded block, encoded certificate."""


@dataclass(slots=True)
class _Asked:
    """A request under way, or one that failed and may still be answered; of no number when it is a repair."""

    request: int | None
    first: Height
    since: float
    is_slow: bool = False
    is_failed: bool = False


class BlockSync:
    """Keep one planner informed and do what it says."""

    def __init__(
        self,
        store: Store,
        executor: Executor,
        driver: Driver,
        network: Transport,
        is_held: Callable[[Height], bool] = lambda target: False,
        on_claim: Callable[[PeerId, Height, Hash32], None] = lambda peer, height, epoch_hash: None,
        on_liar: Callable[[PeerId], None] = lambda peer: None,
    ) -> None:
        """Join the parts.

        Args:
            is_held: tells that blocks up to a height are not to be fetched for now.
            on_claim: is told that a peer shows a restart of the chain.
            on_liar: is told that a peer sent what is wrong; who is only slow is no liar.
        """
        self._is_held = is_held
        self._on_claim = on_claim
        self._on_liar = on_liar
        self._store = store
        self._executor = executor
        self._driver = driver
        self._network = network
        head = executor.head
        # A store that takes a snapshot is opened anew.
        self._own_lowest = Height(store.base() + 1)
        self._planner = SyncPlanner(executor.rules.genesis_hash, executor.record, head.height, head.block_id)
        self._inputs: deque[SyncInput] = deque()
        self._answers: deque[tuple[PeerId, tuple[_Raw, ...]]] = deque()
        self._arrived = trio.Event()
        self._asked: dict[PeerId, deque[_Asked]] = {}
        self._lowest: dict[PeerId, Height] = {}
        self._ahead_by_one: dict[PeerId, float] = {}
        self._left_out: dict[PeerId, tuple[float, float]] = {}
        self._to_serve: dict[PeerId, deque[GetBlocks]] = {}
        self._serving_due = trio.Event()
        self._served_bytes: dict[PeerId, int] = {}
        self._repair_turn = 0
        self.repaired = 0
        self._log = get_logger("sync")

    @property
    def target(self) -> Height:
        """Return the highest height that a peer claims and has not failed to bring."""
        return self._planner.target

    @property
    def is_stranded(self) -> bool:
        """Tell whether peers are ahead and none of them has the block that this node needs next."""
        return self._planner.is_stranded

    @property
    def is_unaware(self) -> bool:
        """Tell whether no peer that is connected has said yet how far it is."""
        return not self._lowest

    @property
    def is_behind(self) -> bool:
        """Tell whether several blocks are missing."""
        return self._planner.target > self._executor.head.height + 1

    def ask(self, peer: PeerId, height: Height) -> None:
        """Take note that a validator shows a height by its messages, once it has said which blocks it has."""
        if peer in self._lowest:
            self._note_height(peer, height)

    def greet(self, peer: PeerId) -> None:
        """Ask a new peer how far it is."""
        self._send(peer, GetStatus())

    def lose(self, peer: PeerId) -> None:
        """Take note of a peer that is gone. Why it was left out is remembered: it may come back at once."""
        for kept in (
            self._asked,
            self._lowest,
            self._ahead_by_one,
            self._served_bytes,
            self._to_serve,
        ):
            kept.pop(peer, None)
        self._answers = deque(answer for answer in self._answers if answer[0] != peer)
        self._feed(PeerGone(PublicKey(peer)))

    def advance(self, block: Block) -> None:
        """Take note of a block that was committed."""
        following = self._executor.record if block.header.is_seal else None
        self._tell_observers(block)
        self._feed(Applied(block.height, block.id, following))

    def on_frame(self, peer: PeerId, payload: bytes) -> None:
        """Queue a request, or an answer.

        Raises:
            Rejected: it does not decode, or nobody asked for so much; the peer is at fault.
        """
        if len(payload) > UNASKED_BYTES_MAX and not self._has_room(peer):
            raise Rejected(Code.TOO_LARGE, "blocks that nobody asked for")
        message = decode_sync(payload)
        match message:
            case GetStatus():
                head = self._executor.head
                self._send(peer, ChainStatus(head.height, head.block_id, self._own_lowest))
            case ChainStatus(height, _, lowest):
                self._lowest[peer] = lowest
                self._note_height(peer, height)
            case GetBlocks():
                waiting = self._to_serve.setdefault(peer, deque())
                if len(waiting) < SERVED_WAITING_MAX:
                    waiting.append(message)
                    self._serving_due.set()
            case Blocks(blocks):
                if self._has_room(peer):
                    self._answers.append((peer, blocks))
                    self._arrived.set()
            case _:
                assert_never(message)

    async def run(self) -> None:
        """Step the planner and carry out its effects; for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            nursery.start_soon(self._serve)
            while True:
                while self._inputs or self._answers:
                    while self._inputs:
                        for effect in self._planner.step(self._inputs.popleft()):
                            await self._perform(effect)
                    if self._answers:
                        await self._read_answer(*self._answers.popleft())
                self._arrived = trio.Event()
                await self._arrived.wait()

    # --- asking

    async def _perform(self, effect: SyncEffect) -> None:
        match effect:
            case Request(request, peer, first, count):
                self._request(PeerId(peer), request, first, count)
            case ApplyRun(blocks):
                await self._driver.commit_run(blocks)
            case PeerIsBad(peer, reason):
                self._note_liar(PeerId(peer), reason)
            case PeerFails(peer):
                self._log.info("peer.fails", peer=peer.hex())
                self._leave_out(PeerId(peer), FAILING_SECONDS)
            case EpochClaimed(peer, height, epoch_hash):
                self._leave_out(PeerId(peer), FAILING_SECONDS)
                self._on_claim(PeerId(peer), height, epoch_hash)
            case CaughtUp(height):
                self._log.debug("caught_up", height=height)
            case _:
                assert_never(effect)

    def _request(self, peer: PeerId, request: int | None, first: Height, count: int) -> None:
        asked = self._asked.setdefault(peer, deque(maxlen=ASKED_MAX))
        asked.append(_Asked(request, first, trio.current_time()))
        self._send(peer, GetBlocks(first, count))

    def _has_room(self, peer: PeerId) -> bool:
        """Tell whether a peer owes us more answers than wait to be read."""
        return sum(1 for name, _ in self._answers if name == peer) < len(self._asked.get(peer, ()))

    async def _read_answer(self, peer: PeerId, raws: tuple[_Raw, ...]) -> None:
        """Decode blocks, letting others run between them, and find what they answer."""
        blocks: list[tuple[Block, Certificate]] = []
        fault = ""
        try:
            for data, proof in raws:
                blocks.append((self._driver.decode_block(data), decode_certificate(proof)))
                await trio.lowlevel.checkpoint()
        except Rejected as refusal:
            fault = f"a block does not decode: {refusal}"
        # Any answer may be lost on the way, so the order does not tell what it belongs to.
        asked = self._asked.get(peer, deque())
        matching = [one for one in asked if fault or not blocks or one.first == blocks[0][0].height]
        if not matching:
            return
        one = min(matching, key=lambda one: one.is_failed)
        asked.remove(one)
        if one.request is None:
            if fault:
                self._note_liar(peer, fault)
            elif blocks:
                await self._repair(peer, one.first, raws[0])
        elif fault:
            self._feed(NonsenseArrived(one.request, fault))
        else:
            self._feed(BlocksArrived(one.request, tuple(blocks)))

    def _note_liar(self, peer: PeerId, why: str) -> None:
        self._log.warning("peer.bad", peer=peer.hex(), why=why)
        self._leave_out(peer, LYING_SECONDS)
        self._on_liar(peer)

    def _leave_out(self, peer: PeerId, seconds: float) -> None:
        """Do not listen to what a peer claims for a while; longer when it was left out not long ago."""
        now = trio.current_time()
        if peer in self._left_out:
            most = LYING_SECONDS_MAX if seconds >= LYING_SECONDS else FAILING_SECONDS_MAX
            seconds = max(seconds, min(2 * self._left_out[peer][1], most))
        self._left_out[peer] = now + seconds, seconds

    async def _watch(self) -> None:
        """Ask for heights, and notice what was not answered."""
        asked_at = -STATUS_SECONDS
        while True:
            now = trio.current_time()
            self._served_bytes.clear()
            self._serving_due.set()
            if now - asked_at >= STATUS_SECONDS:
                asked_at = now
                for peer in self._network.peers():
                    self._send(peer, GetStatus())
            for peer, (until, seconds) in list(self._left_out.items()):
                if now > until + max(seconds, LYING_SECONDS):
                    del self._left_out[peer]
            self._look_at_clock(now)
            self._ask_for_repairs()
            await trio.sleep(TICK_SECONDS)

    def _look_at_clock(self, now: float) -> None:
        unread = {peer for peer, _ in self._answers}
        for peer, waiting in self._asked.items():
            # While we have not read what came, its sender is not late.
            for asked in () if peer in unread else waiting:
                seconds = now - asked.since
                if seconds > SLOW_SECONDS and not asked.is_slow:
                    asked.is_slow = True
                    if asked.request is not None:
                        self._feed(RequestSlow(asked.request))
                if seconds > REQUEST_SECONDS_MAX and not asked.is_failed:
                    asked.is_failed = True
                    if asked.request is not None:
                        self._feed(RequestFailed(asked.request))

    def _note_height(self, peer: PeerId, height: Height) -> None:
        if self._is_held(height):
            return
        own = self._executor.head.height
        now = trio.current_time()
        if now < self._left_out.get(peer, (0.0, 0.0))[0]:
            return
        if height != own + 1 or not self._driver.machine.is_validating:
            self._ahead_by_one.pop(peer, None)
        elif now - self._ahead_by_one.setdefault(peer, now) < LAG_SECONDS:
            return
        self._feed(PeerStatus(PublicKey(peer), height, self._lowest[peer]))

    def _tell_observers(self, block: Block) -> None:
        """Announce a block to peers that take no part in consensus and so hear of it nowhere else."""
        validators = {PeerId(validator.node_key) for validator in self._driver.machine.record.validators}
        if self._network.me not in validators:
            return
        for peer in self._network.peers():
            if peer not in validators:
                self._send(peer, ChainStatus(block.height, block.id, self._own_lowest))

    def _feed(self, event: SyncInput) -> None:
        """Queue an input; what a peer says of itself may be dropped, as it will say it again."""
        if isinstance(event, PeerStatus) and len(self._inputs) >= INPUTS_WAITING_MAX:
            return
        self._inputs.append(event)
        self._arrived.set()

    def _send(self, peer: PeerId, message: SyncMessage) -> None:
        self._network.send(peer, Channel.BULK, frame(FrameKind.SYNC, encode_sync(message)))

    # --- repairing

    def _ask_for_repairs(self) -> None:
        """Ask one peer after another for what is damaged here, one block at a time from each."""
        everybody = self._network.peers()
        for height in sorted(self._store.damaged)[: len(everybody)]:
            peers = [peer for peer in everybody if self._lowest.get(peer, height) <= height]
            if not peers:
                continue
            self._repair_turn += 1
            peer = peers[self._repair_turn % len(peers)]
            waiting = self._asked.get(peer, ())
            if not any(asked.request is None and not asked.is_failed for asked in waiting):
                self._request(peer, None, height, 1)

    async def _repair(self, peer: PeerId, height: Height, raw: _Raw) -> None:
        """Put a certified block in the place of a damaged one."""
        if height not in self._store.damaged:
            return
        try:
            await trio.to_thread.run_sync(self._store.repair_block, height, *raw)
        except Rejected as refusal:
            self._note_liar(peer, str(refusal))
        except OperationError as failure:
            if failure.slug != "store.disk_low":
                raise
        else:
            self.repaired += 1
            self._log.warning("block.repaired", height=height, peer=peer.hex())

    # --- serving

    async def _serve(self) -> None:
        """Serve those who ask, in turn; who had its share of a tick waits for the next."""
        while True:
            peer = next((name for name in self._to_serve if self._may_serve(name)), None)
            if peer is None:
                self._serving_due = trio.Event()
                await self._serving_due.wait()
                continue
            waiting = self._to_serve.pop(peer)
            ask = waiting.popleft()
            if waiting:
                self._to_serve[peer] = waiting
            self._send(peer, Blocks(await self._read_range(peer, ask)))

    def _may_serve(self, peer: PeerId) -> bool:
        return self._served_bytes.get(peer, 0) < SERVED_BYTES_A_TICK_MAX

    async def _read_range(self, peer: PeerId, ask: GetBlocks) -> tuple[_Raw, ...]:
        """Read consecutive certified blocks as they are stored; what is damaged here is not served."""
        found: list[_Raw] = []
        size = 0
        for height in range(ask.first, min(ask.first + ask.count, self._executor.head.height + 1)):
            raw = self._store.served_block(height)
            await trio.lowlevel.checkpoint()
            if raw is None or (found and size + len(raw[0]) > RANGE_BYTES_MAX):
                break
            found.append(raw)
            size += len(raw[0])
        self._served_bytes[peer] = self._served_bytes.get(peer, 0) + size
        return tuple(found)
