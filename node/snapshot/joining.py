"""How an empty node gets a snapshot from its peers, and how a node serves those that it has.

What to ask of whom, and what to believe, is decided by `protocol/sync/snapshot_planner.py`; this file moves
its requests over the bulk lane, notices what is not answered, and writes checked chunks down. When all are
there it says so; the daemon then ends its parts, puts the snapshot into the store and begins anew, because
nothing in memory may stand on a state that is replaced. A node that has a chain of its own never comes here.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

import trio

from node.config import Config
from node.errors import OperationError
from node.log import get_logger
from node.net.transport import Channel, PeerId, Transport
from node.snapshot.folder import SnapshotFolder
from node.snapshot.maker import SnapshotMaker
from node.store.anchor import load_seal
from node.store.store import Store
from node.wire import FrameKind, frame
from protocol.errors import Code, Rejected
from protocol.sync.snapshot import Anchor, Manifest
from protocol.sync.snapshot_messages import (
    EPOCHS_A_PAGE_MAX,
    Chunk,
    Epochs,
    GetChunk,
    GetEpochs,
    GetOffer,
    NoOffer,
    Offer,
    SnapshotMessage,
    decode_snapshot_message,
    encode_snapshot_message,
)
from protocol.sync.snapshot_planner import (
    Answered,
    Ask,
    AskFailed,
    KeepChunk,
    LiarFound,
    NothingOffered,
    PeerFound,
    PeerLost,
    SnapshotEffect,
    SnapshotInput,
    SnapshotPlanner,
    SnapshotReady,
)
from protocol.types import Height, PublicKey

EMPTY_BLOCKS_MAX: Final = 64
"""A node with so few blocks counts as empty: they are what it was told while it found out how far it lags."""

REQUEST_SECONDS_MAX: Final = 5.0
"""What has not come by then counts as refused."""

ALONE_SECONDS_MAX: Final = 10.0
"""How long a snapshot is waited for while nobody is there whom to ask; then blocks are fetched."""

TICK_SECONDS: Final = 0.5
SERVED_BYTES_A_TICK_MAX: Final = 8 * 1024 * 1024
"""What one peer is served in one tick; a greedy one has to wait."""

UNASKED_BYTES_MAX: Final = 1_024
"""What a message may have of a peer that was asked for nothing."""


class SnapshotServer:
    """Answer those who begin, out of the folder of snapshots and the chain of epochs."""

    __slots__ = ("_folder", "_offer", "_served_bytes", "_store")

    def __init__(self, store: Store, folder: SnapshotFolder) -> None:
        self._store = store
        self._folder = folder
        self._offer: Offer | NoOffer = NoOffer()
        self._served_bytes: dict[PeerId, int] = {}

    def tick(self) -> None:
        """Let everybody have a share again."""
        self._served_bytes.clear()

    def answer(self, peer: PeerId, ask: GetOffer | GetEpochs | GetChunk) -> bytes | None:
        """Return the encoded answer; None when the peer has had its share."""
        if self._served_bytes.get(peer, 0) >= SERVED_BYTES_A_TICK_MAX:
            return None
        data = encode_snapshot_message(self._find(ask))
        self._served_bytes[peer] = self._served_bytes.get(peer, 0) + len(data)
        return data

    def _find(self, ask: GetOffer | GetEpochs | GetChunk) -> SnapshotMessage:
        match ask:
            case GetOffer():
                return self._newest()
            case GetEpochs(first):
                with self._store.snapshot() as (txn, _):
                    numbers = range(first, min(first + EPOCHS_A_PAGE_MAX, 1 << 32))
                    seals = []
                    for number in numbers:
                        seal = load_seal(txn, number)
                        if seal is None:
                            break
                        seals.append(seal)
                return Epochs(first, tuple(seals))
            case GetChunk(height, digest):
                try:
                    return Chunk(digest, self._folder.load_chunk(height, digest))
                except OperationError:
                    return Chunk(digest, None)
            case _:
                assert_never(ask)

    def _newest(self) -> Offer | NoOffer:
        height = max(self._folder.heights(), default=None)
        if height is None:
            return NoOffer()
        if not isinstance(self._offer, Offer) or self._offer.header.height != height:
            try:
                manifest, anchor = self._folder.load_manifest(height), self._folder.load_anchor(height)
            except OperationError as failure:
                get_logger("snapshot").error("snapshot.damaged", height=height, why=failure.why)
                return NoOffer()
            self._offer = Offer(manifest, anchor.header, anchor.certificate)
        return self._offer


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request under way. Only what is asked tells which answer belongs to it."""

    request: int
    asked: GetOffer | GetEpochs | GetChunk
    deadline: float

    def is_answered_by(self, message: SnapshotMessage) -> bool:
        match self.asked, message:
            case GetOffer(), Offer() | NoOffer():
                return True
            case GetEpochs(first), Epochs(answered, _):
                return first == answered
            case GetChunk(_, digest), Chunk(found, _):
                return digest == found
            case _:
                return False


class Joining:
    """Fetch a snapshot when this node is empty and far behind; make and serve snapshots in any case.

    Args:
        height: tells our head.
        stop: called once all chunks lie in the folder: then `fetched` says with what to begin anew.
        on_liar: is told that a peer sent what is wrong.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        network: Transport,
        height: Callable[[], Height],
        stop: Callable[[], None],
        on_liar: Callable[[PeerId], None] = lambda peer: None,
    ) -> None:
        self._store = store
        self._folder = folder = SnapshotFolder(config.snapshots_path)
        self._maker = SnapshotMaker(config, folder)
        self._network = network
        self._lag_blocks = config.snapshot_lag_blocks
        self._accepted = config.restarts
        self._height = height
        self._stop = stop
        self._on_liar = on_liar
        self.fetched: tuple[Manifest, Anchor] | None = None
        self._server = SnapshotServer(store, folder)
        self._planner: SnapshotPlanner | None = None
        self._is_over = False
        self._waiting: dict[PeerId, list[_Waiting]] = {}
        self._inputs: deque[SnapshotInput] = deque()
        self._arrived = trio.Event()
        self._log = get_logger("snapshot")

    @property
    def is_fetching(self) -> bool:
        """Tell whether a snapshot is being fetched."""
        return self._planner is not None and not self._is_over

    @property
    def progress(self) -> tuple[int, int]:
        """Return how many of how many chunks are there."""
        return (0, 0) if self._planner is None else self._planner.progress

    def holds_blocks(self, target: Height) -> bool:
        """Tell whether blocks up to a height that a peer claims should not be fetched for the time being;
        the first time that it is so, begin to fetch a snapshot."""
        if self._is_over:
            return False
        if self._planner is None:
            own = self._height()
            if own > EMPTY_BLOCKS_MAX or target - own <= self._lag_blocks:
                return False
            self._planner = SnapshotPlanner(
                self._store.genesis(),
                Height(own + self._lag_blocks),
                self._folder.incoming(),
                accepted=self._accepted,
            )
            self._log.info("snapshot.wanted", height=own, target=target)
            for peer in self._network.peers():
                self._feed(PeerFound(PublicKey(peer)))
        return True

    def note(self, height: Height) -> None:
        """Take note of a block that was committed."""
        self._maker.note(height)

    def greet(self, peer: PeerId) -> None:
        """Take note of a peer that is connected."""
        if self._planner is not None:
            self._feed(PeerFound(PublicKey(peer)))

    def lose(self, peer: PeerId) -> None:
        """Take note of a peer that is gone."""
        self._waiting.pop(peer, None)
        if self._planner is not None:
            self._feed(PeerLost(PublicKey(peer)))

    def on_frame(self, peer: PeerId, payload: bytes) -> None:
        """Serve a request, or take an answer.

        Raises:
            Rejected: it does not decode, or nobody asked for so much; the peer is at fault.
        """
        if len(payload) > UNASKED_BYTES_MAX and not self._waiting.get(peer):
            # It may be late only, so it is no offence.
            raise Rejected(Code.TOO_LARGE, "a part of a snapshot that nobody asked for", retry=True)
        message = decode_snapshot_message(payload)
        match message:
            case GetOffer() | GetEpochs() | GetChunk():
                answer = self._server.answer(peer, message)
                if answer is not None:
                    self._network.send(peer, Channel.BULK, frame(FrameKind.SNAPSHOT, answer))
            case Offer() | NoOffer() | Epochs() | Chunk():
                waiting = self._waiting.get(peer, [])
                matching = [one for one in waiting if one.is_answered_by(message)]
                if matching:
                    waiting.remove(matching[0])
                    self._feed(Answered(matching[0].request, message))
            case _:
                assert_never(message)

    async def run(self) -> None:
        """Step the planner and carry out its effects; for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            nursery.start_soon(self._maker.run)
            while True:
                while self._inputs and self._planner is not None:
                    for effect in self._planner.step(self._inputs.popleft()):
                        await self._perform(effect)
                    await trio.lowlevel.checkpoint()
                self._arrived = trio.Event()
                await self._arrived.wait()

    async def _perform(self, effect: SnapshotEffect) -> None:
        match effect:
            case Ask(request, peer, message):
                waiting = _Waiting(request, message, trio.current_time() + REQUEST_SECONDS_MAX)
                self._waiting.setdefault(PeerId(peer), []).append(waiting)
                data = encode_snapshot_message(message)
                self._network.send(PeerId(peer), Channel.BULK, frame(FrameKind.SNAPSHOT, data))
            case KeepChunk(digest, data):
                await trio.to_thread.run_sync(self._folder.save_incoming, digest, data)
            case LiarFound(peer, reason):
                self._log.warning("peer.bad", peer=peer.hex(), why=reason)
                self._on_liar(PeerId(peer))
            case SnapshotReady(manifest, anchor):
                self._log.info("snapshot.fetched", height=manifest.height, chunks=len(manifest.chunks))
                # Nothing in memory may stand on a state that is replaced: all parts end, `run_node` goes on.
                self.fetched = manifest, anchor
                self._stop()
            case NothingOffered():
                self._give_up("no peer has one that helps")
            case _:
                assert_never(effect)

    def _give_up(self, why: str) -> None:
        self._log.info("snapshot.none", why=f"{why}: fetching blocks instead")
        self._is_over = True

    async def _watch(self) -> None:
        """Notice what was not answered, and that nobody is there who could."""
        accompanied_at = trio.current_time()
        while True:
            now = trio.current_time()
            self._server.tick()
            if self._planner is None or not self._planner.is_alone:
                accompanied_at = now
            elif self.is_fetching and now - accompanied_at > ALONE_SECONDS_MAX:
                self._give_up("nobody is there to ask")
            for waiting in self._waiting.values():
                for late in [one for one in waiting if now > one.deadline]:
                    waiting.remove(late)
                    self._feed(AskFailed(late.request))
            await trio.sleep(TICK_SECONDS)

    def _feed(self, event: SnapshotInput) -> None:
        self._inputs.append(event)
        self._arrived.set()
