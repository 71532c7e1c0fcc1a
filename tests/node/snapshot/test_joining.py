"""The parts around the planner: what is served, what nobody asked for, a chunk that rots before its use."""

import time
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from node.config import Config
from node.errors import OperationError
from node.net.transport import Channel, PeerId
from node.snapshot import joining as joining_module
from node.snapshot.folder import SnapshotFolder
from node.snapshot.joining import (
    ALONE_SECONDS_MAX,
    EMPTY_BLOCKS_MAX,
    REQUEST_SECONDS_MAX,
    TICK_SECONDS,
    UNASKED_BYTES_MAX,
    Joining,
)
from node.snapshot.making import adopt_snapshot, create_snapshot
from node.store.check import check_store
from node.store.opening import found_store
from node.store.store import Store
from node.wire import FrameKind, split
from protocol.errors import Code, Rejected
from protocol.sync.snapshot import Anchor, Manifest
from protocol.sync.snapshot_messages import (
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
from protocol.types import EpochNumber, Hash32, Height
from tests.node.small_chain import SmallChain

PEER, OTHER = PeerId(b"\2" + bytes(32)), PeerId(b"\3" + bytes(32))


class Node:
    """A node as its joining sees it: a store, a folder, and a wire."""

    def __init__(self, store: Store, folder: SnapshotFolder) -> None:
        self.store, self.folder = store, folder
        self.sent: list[tuple[PeerId, SnapshotMessage]] = []
        self.up: tuple[PeerId, ...] = (PEER,)
        self.height = Height(0)
        self.stops = 0
        config = Config(folder.path.parent, snapshot_lag_blocks=10)
        self.liars: list[PeerId] = []
        self.joining = Joining(config, store, self, lambda: self.height, self.stop, self.liars.append)  # type: ignore[arg-type]

    def stop(self) -> None:
        self.stops += 1

    def peers(self) -> tuple[PeerId, ...]:
        return self.up

    def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        kind, payload = split(data)
        assert (kind, channel) == (FrameKind.SNAPSHOT, Channel.BULK)
        self.sent.append((peer, decode_snapshot_message(payload)))
        return True

    def hear(self, peer: PeerId, message: SnapshotMessage) -> None:
        self.joining.on_frame(peer, encode_snapshot_message(message))


@pytest.fixture
def full(tmp_path: Path) -> Node:
    chain = SmallChain(tmp_path / "full", int(time.time() * 1_000) - 60_000)
    for _ in range(20):
        chain.commit()
    node = Node(chain.store, SnapshotFolder(tmp_path / "a" / "snapshots"))
    create_snapshot(chain.store, node.folder)
    return node


@pytest.fixture
def empty(tmp_path: Path, full: Node) -> Node:
    found_store(tmp_path / "empty", full.store.genesis())
    return Node(Store.open(tmp_path / "empty"), SnapshotFolder(tmp_path / "b" / "snapshots"))


def answer_all(full: Node, empty: Node) -> None:
    """Let the full node answer what the empty one has asked."""
    asked, empty.sent[:] = list(empty.sent), []
    for peer, ask in asked:
        full.sent.clear()
        full.hear(OTHER, ask)
        [(_, answer)] = full.sent
        empty.hear(peer, answer)


def fetched(node: Node) -> tuple[Manifest, Anchor]:
    assert node.stops == 1 and node.joining.fetched is not None
    return node.joining.fetched


async def fetch(full: Node, empty: Node) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(empty.joining.run)
        assert empty.joining.holds_blocks(Height(20)) and empty.joining.is_fetching
        while not empty.stops:
            await trio.testing.wait_all_tasks_blocked()
            answer_all(full, empty)
        nursery.cancel_scope.cancel()


async def test_an_empty_node_takes_the_place_of_its_peers(
    full: Node, empty: Node, autojump_clock: MockClock
) -> None:
    empty.store.save_safety(b"a promise")
    await fetch(full, empty)
    adopt_snapshot(empty.store, empty.folder, *fetched(empty))
    assert empty.store.head() == full.store.head() and empty.store.base() == 20
    assert check_store(empty.store).is_sound and empty.folder.incoming() == frozenset()
    assert empty.store.load_safety() == b"a promise", "only a chain that has passed its height makes it void"


async def test_who_sends_another_chunk_is_a_liar(full: Node, empty: Node, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(empty.joining.run)
        assert empty.joining.holds_blocks(Height(20))
        while not any(isinstance(ask, GetChunk) for _, ask in empty.sent):
            await trio.testing.wait_all_tasks_blocked()
            answer_all(full, empty)
            await trio.testing.wait_all_tasks_blocked()
        assert not empty.liars
        [*_, ask] = [ask for _, ask in empty.sent if isinstance(ask, GetChunk)]
        empty.hear(PEER, Chunk(ask.digest, b"another"))
        await trio.testing.wait_all_tasks_blocked()
        assert empty.liars == [PEER]
        nursery.cancel_scope.cancel()


async def test_a_chunk_that_rots_before_it_is_used_is_fetched_again(
    full: Node, empty: Node, autojump_clock: MockClock
) -> None:
    await fetch(full, empty)
    before = empty.store.head()
    [digest, *_] = empty.folder.incoming()
    data = bytearray(empty.folder.load_incoming(digest) or b"")
    data[len(data) // 2] ^= 1
    empty.folder.save_incoming(digest, bytes(data))
    with pytest.raises(OperationError) as caught:
        adopt_snapshot(empty.store, empty.folder, *fetched(empty))
    assert caught.value.slug == "snapshot.damaged"
    assert empty.store.head() == before and digest not in empty.folder.incoming()
    again = Node(empty.store, empty.folder)
    await fetch(full, again)
    adopt_snapshot(again.store, again.folder, *fetched(again))
    assert again.store.head() == full.store.head()


@pytest.mark.parametrize(
    ("own", "target", "held"),
    [(0, 10, False), (0, 11, True), (EMPTY_BLOCKS_MAX, 500, True), (EMPTY_BLOCKS_MAX + 1, 500, False)],
)
def test_who_fetches_a_snapshot(full: Node, empty: Node, own: int, target: int, held: bool) -> None:
    empty.height = Height(own)
    assert empty.joining.holds_blocks(Height(target)) is held


async def test_without_an_offer_blocks_are_let_through(
    full: Node, empty: Node, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(empty.joining.run)
        assert empty.joining.holds_blocks(Height(20))
        await trio.sleep(REQUEST_SECONDS_MAX + 1)
        assert not empty.joining.holds_blocks(Height(20)) and not empty.joining.is_fetching
        nursery.cancel_scope.cancel()


async def test_who_finds_nobody_to_ask_fetches_blocks_after_a_while(
    empty: Node, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(empty.joining.run)
        assert empty.joining.holds_blocks(Height(20))
        empty.joining.lose(PEER)
        await trio.sleep(ALONE_SECONDS_MAX - TICK_SECONDS)
        assert empty.joining.is_fetching
        await trio.sleep(3 * TICK_SECONDS)
        assert not empty.joining.holds_blocks(Height(20))
        nursery.cancel_scope.cancel()


def test_what_is_served(full: Node, empty: Node) -> None:
    newest = full.folder.load_manifest(20)
    full.hear(PEER, GetOffer())
    full.hear(PEER, GetEpochs(EpochNumber(1)))
    full.hear(PEER, GetChunk(Height(20), newest.chunks[0].digest))
    full.hear(PEER, GetChunk(Height(19), newest.chunks[0].digest))
    offer, epochs, chunk, nothing = [message for _, message in full.sent]
    assert isinstance(offer, Offer) and offer.manifest == newest
    assert epochs == Epochs(EpochNumber(1), ())
    assert isinstance(chunk, Chunk) and chunk.data == full.folder.load_chunk(20, newest.chunks[0].digest)
    assert nothing == Chunk(newest.chunks[0].digest, None)
    empty.hear(PEER, GetOffer())
    assert empty.sent == [(PEER, NoOffer())]


def test_a_greedy_peer_waits_for_the_next_tick(full: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    full.hear(PEER, GetOffer())
    monkeypatch.setattr(
        joining_module, "SERVED_BYTES_A_TICK_MAX", len(encode_snapshot_message(full.sent[0][1]))
    )
    full.hear(PEER, GetOffer())
    assert len(full.sent) == 1
    full.hear(OTHER, GetOffer())
    assert len(full.sent) == 2


@pytest.mark.parametrize("above", [0, 1])
def test_what_nobody_asked_for_is_not_even_decoded(empty: Node, above: int) -> None:
    with pytest.raises(Rejected) as caught:
        empty.joining.on_frame(PEER, b"\xc1" * (UNASKED_BYTES_MAX + above))
    assert (caught.value.code == Code.TOO_LARGE) is bool(above)


def test_answers_that_nobody_asked_for_change_nothing(empty: Node) -> None:
    empty.hear(PEER, Chunk(Hash32(bytes(32)), b"x"))
    empty.hear(PEER, NoOffer())
    assert not empty.sent and not empty.joining.is_fetching
