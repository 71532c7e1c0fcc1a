"""Carries out the plan by which a node that lags fetches and commits blocks, and serves those who lag.

What to ask of whom, and what to believe, is decided by `protocol/sync/planner.py`; this file moves its
requests and answers over the bulk lane and hands checked blocks to the driver, the only one that commits.
A node that syncs takes no part in consensus at heights it has not reached, by the rules of that machine.
"""

from typing import Final

import trio

from node.driver import Driver
from node.executor import Executor
from node.log import get_logger
from node.net.transport import Channel, PeerId, Transport
from node.store.store import Store
from node.wire import FrameKind, frame
from protocol.sync.messages import (
    RANGE_BYTES_MAX,
    AskBlocks,
    AskHeight,
    SyncMessage,
    TellBlocks,
    TellHeight,
    decode_sync,
    encode_sync,
)
from protocol.sync.planner import (
    Advanced,
    Blame,
    BlocksCame,
    HandOn,
    HeightTold,
    PeerJoined,
    PeerLeft,
    Planner,
    QueryBlocks,
    QueryHeight,
    SyncInput,
    Tick,
)
from protocol.types import Height

TICK_SECONDS: Final = 0.25

SERVED_BYTES_A_SECOND_MAX: Final = 64 * 1024 * 1024
"""What one peer may be served; a lagging node gets its ranges, a greedy one waits for its bucket."""


class BlockSync:
    """Keep one planner informed and do what it says."""

    def __init__(self, store: Store, executor: Executor, driver: Driver, network: Transport) -> None:
        self._store = store
        self._executor = executor
        self._driver = driver
        self._network = network
        head = executor.head
        self._planner = Planner(
            executor.rules.genesis_hash, head.height, head.block_id, executor.record, driver.decode_block
        )
        self._inputs_in, self._inputs_out = trio.open_memory_channel[SyncInput](1_024)
        self._served_bytes: dict[PeerId, int] = {}
        self._log = get_logger("sync")

    @property
    def target(self) -> Height:
        """Return the highest height that a peer claims."""
        return self._planner.target

    @property
    def is_behind(self) -> bool:
        """Tell whether blocks are being fetched."""
        return self._planner.is_behind

    def ask(self, peer: PeerId, height: Height) -> None:
        """Take note that a validator shows a height by its messages."""
        self._feed(HeightTold(peer, height))

    def greet(self, peer: PeerId) -> None:
        """Take note of a peer that can be asked."""
        self._feed(PeerJoined(peer))

    def lose(self, peer: PeerId) -> None:
        """Take note of a peer that is gone."""
        self._feed(PeerLeft(peer))
        self._served_bytes.pop(peer, None)

    def advance(self) -> None:
        """Take note of the new head."""
        head = self._executor.head
        self._feed(Advanced(head.height, head.block_id, self._executor.record))

    def on_frame(self, peer: PeerId, payload: bytes) -> None:
        """Serve a request, or take an answer.

        Raises:
            Rejected: it does not decode; the peer is at fault.
        """
        match decode_sync(payload):
            case AskHeight():
                self._send(peer, TellHeight(self._executor.head.height))
            case TellHeight(height):
                self._feed(HeightTold(peer, height))
            case AskBlocks(request, first, count):
                self._send(peer, TellBlocks(request, self._read_range(peer, first, count)))
            case TellBlocks(request, blocks):
                self._feed(BlocksCame(peer, request, blocks))

    async def run(self) -> None:
        """Step the planner and carry out its effects; for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick)
            async for event in self._inputs_out:
                for effect in self._planner.step(event):
                    match effect:
                        case QueryHeight(peer):
                            self._send(PeerId(peer), AskHeight())
                        case QueryBlocks(peer, request, first, count):
                            self._send(PeerId(peer), AskBlocks(request, first, count))
                        case HandOn(block, certificate):
                            await self._driver.commit(block, certificate)
                        case Blame(peer, why):
                            self._log.warning("peer.blamed", peer=peer.hex(), why=why)

    async def _tick(self) -> None:
        while True:
            self._served_bytes.clear()
            self.advance()
            self._feed(Tick(int(trio.current_time() * 1_000)))
            await trio.sleep(TICK_SECONDS)

    def _feed(self, event: SyncInput) -> None:
        try:
            self._inputs_in.send_nowait(event)
        except trio.WouldBlock:
            # Only peers can be that loud. What they say is asked for again, our own height told each tick.
            self._log.warning("input.dropped", kind=type(event).__name__)

    def _send(self, peer: PeerId, message: SyncMessage) -> None:
        self._network.send(peer, Channel.BULK, frame(FrameKind.SYNC, encode_sync(message)))

    def _read_range(self, peer: PeerId, first: Height, count: int) -> tuple[tuple[bytes, bytes], ...]:
        """Read consecutive certified blocks, whose links are checked again because a disk may rot."""
        found: list[tuple[bytes, bytes]] = []
        size = 0
        budget = int(SERVED_BYTES_A_SECOND_MAX * TICK_SECONDS)
        for height in range(first, first + count):
            certificate = self._store.certificate_bytes(height)
            block = self._store.checked_block_bytes(height)
            served = self._served_bytes.get(peer, 0)
            if certificate is None or block is None or served > budget:
                break
            found.append((block, certificate))
            size += len(block)
            self._served_bytes[peer] = served + len(block)
            if size > RANGE_BYTES_MAX:
                break
        return tuple(found)
