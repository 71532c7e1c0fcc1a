"""Block sync over a wire that loses, with peers that lie, flood or are greedy."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
from trio.testing import MockClock

from node import sync as sync_module
from node.executor import Executor
from node.net.transport import Channel, PeerId
from node.store.store import Store
from node.sync import (
    ASKED_MAX,
    INPUTS_WAITING_MAX,
    LAG_SECONDS,
    REQUEST_SECONDS_MAX,
    UNASKED_BYTES_MAX,
    BlockSync,
)
from node.wire import FrameKind, split
from protocol.chain.block import Block, decode_block
from protocol.chain.certificate import Certificate
from protocol.chain.transaction import decode_signed
from protocol.errors import Code, Rejected
from protocol.merkle.tree import StateTree
from protocol.sync.messages import (
    Blocks,
    ChainStatus,
    GetBlocks,
    GetStatus,
    SyncMessage,
    decode_sync,
    encode_sync,
)
from protocol.transition import apply_genesis
from protocol.types import Height
from tests.node.small_chain import SmallChain

ME = PeerId(b"\2" + bytes(32))
OBSERVER = PeerId(b"\3" + bytes(32))


class Node:
    """A node as its block sync sees it: a store, an executor, somebody who commits, and a wire."""

    def __init__(self, chain: SmallChain, store: Store, executor: Executor) -> None:
        self.chain, self.store, self.executor = chain, store, executor
        self.me = ME
        self.up = [PeerId(v.node_key) for v in executor.record.validators[1:]]
        self.sent: list[tuple[PeerId, SyncMessage]] = []
        self.machine = SimpleNamespace(record=executor.record, is_validating=True)
        self.sync = BlockSync(store, executor, self, self)  # type: ignore[arg-type]

    def decode_block(self, data: bytes) -> Block:
        return decode_block(data, lambda raw: decode_signed(raw, self.chain.genesis_hash))

    async def commit(self, block: Block, certificate: Certificate) -> None:
        await trio.lowlevel.checkpoint()
        self.executor.check(block)
        prepared = self.executor.prepared(block.id)
        assert prepared is not None
        self.executor.write([(prepared, certificate)])
        self.executor.advance(prepared)
        self.sync.advance(block)

    def peers(self) -> tuple[PeerId, ...]:
        return tuple(self.up)

    def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        assert channel is Channel.BULK
        kind, payload = split(data)
        assert kind is FrameKind.SYNC
        self.sent.append((peer, decode_sync(payload, self.decode_block)))
        return True

    def hear(self, peer: PeerId, message: SyncMessage) -> None:
        self.sync.on_frame(peer, encode_sync(message))

    def asked(self, peer: PeerId) -> list[GetBlocks]:
        return [message for to, message in self.sent if to == peer and isinstance(message, GetBlocks)]


def serving(folder: Path, blocks: int) -> Node:
    chain = SmallChain(folder / "serving", int(time.time() * 1_000) - 60_000)
    for number in range(blocks):
        chain.commit(chain.pay("ada", "bo", 1, f"{number}"))
    return Node(chain, chain.store, chain.executor)


@asynccontextmanager
async def lagging(folder: Path, full: Node) -> AsyncIterator[Node]:
    genesis = full.chain.genesis
    execution = apply_genesis(genesis)
    items = [(key, value) for key, value in execution.writes.items() if value is not None]
    Store.create(
        folder / "lagging", genesis, execution.writes, StateTree.build(genesis.tree_bits, items).root
    )
    store = Store.open(folder / "lagging")
    node = Node(full.chain, store, Executor(store))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.sync.run)
        await trio.testing.wait_all_tasks_blocked()
        yield node
        nursery.cancel_scope.cancel()


def answer(full: Node, ask: GetBlocks) -> Blocks:
    """Return what a correct peer answers."""
    full.sent.clear()
    full.hear(OBSERVER, ask)
    [(_, blocks)] = full.sent
    assert isinstance(blocks, Blocks)
    return blocks


async def test_a_lagging_node_fetches_and_commits(tmp_path: Path, autojump_clock: MockClock) -> None:
    full = serving(tmp_path, 5)
    async with lagging(tmp_path, full) as node:
        peer = node.up[0]
        node.sync.greet(peer)
        assert node.sent[-1] == (peer, GetStatus())
        full.hear(OBSERVER, GetStatus())
        node.hear(peer, full.sent.pop()[1])
        await trio.testing.wait_all_tasks_blocked()
        assert node.asked(peer) == [GetBlocks(Height(1), 5)] and node.sync.is_behind
        node.hear(peer, answer(full, node.asked(peer)[0]))
        await trio.testing.wait_all_tasks_blocked()
        assert node.executor.head == full.executor.head and not node.sync.is_behind


async def test_an_answer_that_is_lost_does_not_shift_the_later_ones(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    full = serving(tmp_path, 3)
    head = ChainStatus(Height(3), full.executor.head.block_id)
    async with lagging(tmp_path, full) as node:
        peer = node.up[0]
        node.hear(peer, ChainStatus(Height(2), full.executor.head.block_id))
        await trio.sleep(REQUEST_SECONDS_MAX + 1)
        node.hear(peer, head)
        await trio.testing.wait_all_tasks_blocked()
        lost, *later = node.asked(peer)
        assert lost == GetBlocks(Height(1), 2) and len(later) == 2
        for ask in later:
            node.hear(peer, answer(full, ask))
        await trio.testing.wait_all_tasks_blocked()
        assert node.executor.head.height == 3


async def test_a_range_that_comes_late_is_asked_for_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    full = serving(tmp_path, 6)
    async with lagging(tmp_path, full) as node:
        one, two = node.up
        node.hear(one, ChainStatus(Height(6), full.executor.head.block_id))
        await trio.testing.wait_all_tasks_blocked()
        node.hear(two, ChainStatus(Height(6), full.executor.head.block_id))
        await trio.sleep(REQUEST_SECONDS_MAX + 1)
        [again] = node.asked(two)
        node.hear(two, answer(full, again))
        await trio.testing.wait_all_tasks_blocked()
        assert node.executor.head.height == 6


async def test_a_flood_of_claims_loses_no_answer(tmp_path: Path, autojump_clock: MockClock) -> None:
    full = serving(tmp_path, 3)
    async with lagging(tmp_path, full) as node:
        peer = node.up[0]
        status = ChainStatus(Height(3), full.executor.head.block_id)
        node.hear(peer, status)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(INPUTS_WAITING_MAX + 1):
            node.hear(node.up[1], status)
        assert len(node.sync._inputs) == INPUTS_WAITING_MAX
        node.hear(peer, answer(full, node.asked(peer)[0]))
        await trio.testing.wait_all_tasks_blocked()
        assert node.executor.head.height == 3


async def test_blocks_that_nobody_asked_for_change_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    full = serving(tmp_path, 4)
    async with lagging(tmp_path, full) as node:
        peer = node.up[0]
        with pytest.raises(Rejected, match="nobody asked"):
            node.hear(peer, answer(full, GetBlocks(Height(1), 4)))
        node.hear(peer, ChainStatus(Height(4), full.executor.head.block_id))
        await trio.testing.wait_all_tasks_blocked()
        node.hear(peer, answer(full, GetBlocks(Height(3), 2)))
        node.hear(peer, answer(full, node.asked(peer)[0]))
        await trio.testing.wait_all_tasks_blocked()
        assert node.executor.head.height == 4


async def test_a_peer_that_never_answers_leaves_little_behind(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    full = serving(tmp_path, 3)
    async with lagging(tmp_path, full) as node:
        peer = node.up[0]
        for _ in range(4 * ASKED_MAX):
            node.hear(peer, ChainStatus(Height(3), full.executor.head.block_id))
            await trio.sleep(REQUEST_SECONDS_MAX + 1)
        assert len(node.asked(peer)) > ASKED_MAX
        assert len(node.sync._asked[peer]) == ASKED_MAX
        node.sync.lose(peer)
        assert peer not in node.sync._asked


@pytest.mark.parametrize("is_validating", [True, False])
async def test_a_validator_gives_the_next_block_a_moment(
    tmp_path: Path, autojump_clock: MockClock, is_validating: bool
) -> None:
    full = serving(tmp_path, 1)
    async with lagging(tmp_path, full) as node:
        node.machine.is_validating = is_validating
        peer, status = node.up[0], ChainStatus(Height(1), full.executor.head.block_id)
        node.hear(peer, status)
        await trio.testing.wait_all_tasks_blocked()
        assert len(node.asked(peer)) == (0 if is_validating else 1)
        await trio.sleep(LAG_SECONDS)
        node.hear(peer, status)
        await trio.testing.wait_all_tasks_blocked()
        assert len(node.asked(peer)) == 1


@pytest.mark.parametrize(("room", "served"), [(0, 2), (-1, 1)])
def test_a_greedy_peer_gets_no_more_than_a_tick_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, served: int
) -> None:
    full = serving(tmp_path, 2)
    sizes = [len(full.store.checked_block_bytes(height) or b"") for height in (1, 2)]
    monkeypatch.setattr(sync_module, "SERVED_BYTES_A_TICK_MAX", sum(sizes) + room)
    assert len(answer(full, GetBlocks(Height(1), 2)).blocks) == served
    assert len(answer(full, GetBlocks(Height(2), 1)).blocks) == 0
    full.hear(full.up[0], GetBlocks(Height(1), 1))
    assert len(full.sent[-1][1].blocks) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("room", [0, -1])
def test_a_range_ends_before_its_bytes_but_is_never_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    full = serving(tmp_path, 2)
    sizes = [len(full.store.checked_block_bytes(height) or b"") for height in (1, 2)]
    monkeypatch.setattr(sync_module, "RANGE_BYTES_MAX", sum(sizes) + room)
    assert len(answer(full, GetBlocks(Height(1), 9)).blocks) == 2 + room
    monkeypatch.setattr(sync_module, "RANGE_BYTES_MAX", 1)
    assert len(answer(full, GetBlocks(Height(1), 9)).blocks) == 1


@pytest.mark.parametrize("first", [3, 1 << 40, (1 << 63) - 1])
def test_heights_that_nobody_has_are_answered_by_nothing(tmp_path: Path, first: int) -> None:
    full = serving(tmp_path, 2)
    assert answer(full, GetBlocks(Height(first), 64)).blocks == ()


def test_observers_are_told_of_each_block_and_validators_are_not(tmp_path: Path) -> None:
    full = serving(tmp_path, 0)
    full.me = PeerId(full.executor.record.validators[0].node_key)
    full.up.append(OBSERVER)
    block = full.chain.commit()
    full.sync.advance(block)
    assert full.sent == [(OBSERVER, ChainStatus(Height(1), block.id))]


@pytest.mark.parametrize("data", [b"", b"\xc1", bytes(50), b"\x92\x01\x09"])
def test_nonsense_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Rejected):
        serving(tmp_path, 0).sync.on_frame(OBSERVER, data)


@pytest.mark.parametrize("above", [0, 1])
def test_what_nobody_asked_for_is_not_even_decoded(tmp_path: Path, above: int) -> None:
    with pytest.raises(Rejected) as caught:
        serving(tmp_path, 0).sync.on_frame(OBSERVER, b"\xc1" * (UNASKED_BYTES_MAX + above))
    assert (caught.value.code == Code.TOO_LARGE) is bool(above)
