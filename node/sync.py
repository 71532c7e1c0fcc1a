"""Carries out the plan by which a node that lags fetches and commits blocks, and serves those who lag.

What to ask of whom, and what to believe, is decided by `protocol/sync/planner.py`; this file moves its
requests and answers over the bulk lane, notices what is not answered in time, and hands checked blocks to
the driver, the only one that commits. A node that syncs takes no part in consensus at heights it has not
reached, by the rules of that machine.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, assert_never

import trio

from node.driver import Driver
from node.executor import Executor
from node.log import get_logger
from node.net.transport import Channel, PeerId, Transport
from node.store.store import Store
from node.wire import FrameKind, frame
from protocol.chain.block import Block
from protocol.chain.certificate import Certificate
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
    ApplyBlock,
    BlocksArrived,
    CaughtUp,
    PeerGone,
    PeerIsBad,
    PeerStatus,
    Request,
    RequestFailed,
    SyncEffect,
    SyncInput,
    SyncPlanner,
)
from protocol.types import Height, PublicKey

TICK_SECONDS: Final = 0.5

STATUS_SECONDS: Final = 2.0
"""How often peers are asked how far they are."""

REQUEST_SECONDS_MAX: Final = 5.0
"""A range that has not come by then counts as refused."""

LAG_SECONDS: Final = 1.0
"""A lag of one block is fetched only when it lasts this long: usually that block is on its way already."""

INPUTS_WAITING_MAX: Final = 1_024
"""Inputs that may wait before what peers say of themselves is dropped."""

SERVED_BYTES_A_TICK_MAX: Final = 8 * 1024 * 1024
"""What one peer is served in one tick: more than it can execute meanwhile; a greedy one has to wait."""

UNASKED_BYTES_MAX: Final = 1_024
"""What a message may have of a peer that was asked for nothing: only blocks are larger."""

ASKED_MAX: Final = 8
"""Requests to one peer that are remembered; the oldest will not be answered any more."""


@dataclass(slots=True)
class _Asked:
    """A request under way, or one that failed and may still be answered."""

    request: int
    first: Height
    deadline: float
    is_failed: bool = False


class BlockSync:
    """Keep one planner informed and do what it says."""

    def __init__(self, store: Store, executor: Executor, driver: Driver, network: Transport) -> None:
        self._store = store
        self._executor = executor
        self._driver = driver
        self._network = network
        head = executor.head
        self._planner = SyncPlanner(executor.rules.genesis_hash, executor.record, head.height, head.block_id)
        self._inputs: deque[SyncInput] = deque()
        self._arrived = trio.Event()
        self._asked: dict[PeerId, deque[_Asked]] = {}
        self._ahead_by_one: dict[PeerId, float] = {}
        self._served_bytes: dict[PeerId, int] = {}
        self._log = get_logger("sync")

    @property
    def target(self) -> Height:
        """Return the highest height that a peer claims."""
        return self._planner.target

    @property
    def is_behind(self) -> bool:
        """Tell whether several blocks are missing."""
        return self._planner.target > self._executor.head.height + 1

    def ask(self, peer: PeerId, height: Height) -> None:
        """Take note that a validator shows a height by its messages."""
        self._note_height(peer, height)

    def greet(self, peer: PeerId) -> None:
        """Ask a new peer how far it is."""
        self._send(peer, GetStatus())

    def lose(self, peer: PeerId) -> None:
        """Take note of a peer that is gone."""
        for kept in (self._asked, self._ahead_by_one, self._served_bytes):
            kept.pop(peer, None)
        self._feed(PeerGone(PublicKey(peer)))

    def advance(self, block: Block) -> None:
        """Take note of a block that was committed."""
        following = self._executor.record if block.header.is_seal else None
        self._tell_observers(block)
        self._feed(Applied(block.height, block.id, following))

    def on_frame(self, peer: PeerId, payload: bytes) -> None:
        """Serve a request, or take an answer.

        Raises:
            Rejected: it does not decode, or nobody asked for so much; the peer is at fault.
        """
        if len(payload) > UNASKED_BYTES_MAX and not self._asked.get(peer):
            raise Rejected(Code.TOO_LARGE, "blocks that nobody asked for")
        message = decode_sync(payload, self._driver.decode_block)
        match message:
            case GetStatus():
                head = self._executor.head
                self._send(peer, ChainStatus(head.height, head.block_id))
            case ChainStatus(height, _):
                self._note_height(peer, height)
            case GetBlocks(first, count):
                self._send(peer, Blocks(self._read_range(peer, first, count)))
            case Blocks(blocks):
                self._take_answer(peer, blocks)
            case _:
                assert_never(message)

    def _take_answer(self, peer: PeerId, blocks: tuple[tuple[Block, Certificate], ...]) -> None:
        """Find what these blocks answer: any answer may be lost on the way, so the order does not tell."""
        asked = self._asked.get(peer, deque())
        matching = [one for one in asked if not blocks or one.first == blocks[0][0].height]
        if matching:
            one = min(matching, key=lambda one: one.is_failed)
            asked.remove(one)
            self._feed(BlocksArrived(one.request, blocks))

    async def run(self) -> None:
        """Step the planner and carry out its effects; for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            while True:
                while self._inputs:
                    for effect in self._planner.step(self._inputs.popleft()):
                        await self._perform(effect)
                self._arrived = trio.Event()
                await self._arrived.wait()

    async def _perform(self, effect: SyncEffect) -> None:
        match effect:
            case Request(request, peer, first, count):
                deadline = trio.current_time() + REQUEST_SECONDS_MAX
                asked = self._asked.setdefault(PeerId(peer), deque(maxlen=ASKED_MAX))
                asked.append(_Asked(request, first, deadline))
                self._send(PeerId(peer), GetBlocks(first, count))
            case ApplyBlock(block, certificate):
                await self._driver.commit(block, certificate)
            case PeerIsBad(peer, reason):
                self._log.warning("peer.bad", peer=peer.hex(), why=reason)
            case CaughtUp(height):
                self._log.debug("caught_up", height=height)
            case _:
                assert_never(effect)

    async def _watch(self) -> None:
        """Ask for heights, and notice what was not answered."""
        asked_at = -STATUS_SECONDS
        while True:
            now = trio.current_time()
            self._served_bytes.clear()
            if now - asked_at >= STATUS_SECONDS:
                asked_at = now
                for peer in self._network.peers():
                    self._send(peer, GetStatus())
            for waiting in self._asked.values():
                for asked in waiting:
                    if now > asked.deadline and not asked.is_failed:
                        asked.is_failed = True
                        self._feed(RequestFailed(asked.request))
            await trio.sleep(TICK_SECONDS)

    def _note_height(self, peer: PeerId, height: Height) -> None:
        own = self._executor.head.height
        now = trio.current_time()
        if height != own + 1 or not self._driver.machine.is_validating:
            self._ahead_by_one.pop(peer, None)
        elif now - self._ahead_by_one.setdefault(peer, now) < LAG_SECONDS:
            return
        self._feed(PeerStatus(PublicKey(peer), height))

    def _tell_observers(self, block: Block) -> None:
        """Announce a block to peers that take no part in consensus and so hear of it nowhere else."""
        validators = {PeerId(validator.node_key) for validator in self._driver.machine.record.validators}
        if self._network.me not in validators:
            return
        for peer in self._network.peers():
            if peer not in validators:
                self._send(peer, ChainStatus(block.height, block.id))

    def _feed(self, event: SyncInput) -> None:
        """Queue an input; what a peer says of itself may be dropped, as it will say it again."""
        if isinstance(event, PeerStatus) and len(self._inputs) >= INPUTS_WAITING_MAX:
            return
        self._inputs.append(event)
        self._arrived.set()

    def _send(self, peer: PeerId, message: SyncMessage) -> None:
        self._network.send(peer, Channel.BULK, frame(FrameKind.SYNC, encode_sync(message)))

    def _read_range(self, peer: PeerId, first: Height, count: int) -> tuple[tuple[Block, Certificate], ...]:
        """Read consecutive certified blocks; their links are checked again, because a disk may rot."""
        found: list[tuple[Block, Certificate]] = []
        size = 0
        for height in range(first, first + count):
            certificate = self._store.certificate(height)
            data = self._store.checked_block_bytes(height)
            served = self._served_bytes.get(peer, 0)
            if certificate is None or data is None or served + len(data) > SERVED_BYTES_A_TICK_MAX:
                break
            if found and size + len(data) > RANGE_BYTES_MAX:
                break
            found.append((self._driver.decode_block(data), certificate))
            size += len(data)
            self._served_bytes[peer] = served + len(data)
        return tuple(found)
