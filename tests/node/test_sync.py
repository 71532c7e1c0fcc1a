"""Block sync over a wire that loses, with peers that lie, flood or are greedy."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from node import sync as sync_module
from node.executor import Ahead, Executor
from node.net.transport import Channel, PeerId
from node.store.blocks import BASE_KEY
from node.store.opening import found_store
from node.store.store import Store
from node.store.tables import BLOCKS, META
from node.sync import (
    ASKED_MAX,
    FAILING_SECONDS_MAX,
    INPUTS_WAITING_MAX,
    LAG_SECONDS,
    LYING_SECONDS,
    LYING_SECONDS_MAX,
    REQUEST_SECONDS_MAX,
    SERVED_WAITING_MAX,
    STATUS_SECONDS,
    TICK_SECONDS,
    UNASKED_BYTES_MAX,
    BlockSync,
)
from node.wire import FrameKind, split
from protocol.chain.block import Block, decode_block
from protocol.chain.certificate import Certificate
from protocol.chain.transaction import decode_signed
from protocol.errors import Code, Rejected
from protocol.sync.messages import (
    Blocks,
    ChainStatus,
    GetBlocks,
    GetStatus,
    SyncMessage,
    decode_sync,
    encode_sync,
)
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
        self.liars: list[PeerId] = []
        self.sync = BlockSync(store, executor, self, self, on_liar=self.liars.append)  # type: ignore[arg-type]

    def decode_block(self, data: bytes) -> Block:
        return decode_block(data, lambda raw: decode_signed(raw, self.chain.genesis_hash))

    async def commit_run(self, run: Sequence[tuple[Block, Certificate]]) -> None:
        await trio.lowlevel.checkpoint()
        ahead = Ahead()
        for block, certificate in run:
            ahead.add(self.executor.check(block, ahead), certificate)
        self.executor.write(ahead.blocks)
        self.executor.advance(ahead.blocks[-1][0])
        for block, _ in run:
            self.sync.advance(block)

    def peers(self) -> tuple[PeerId, ...]:
        return tuple(self.up)

    def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        assert channel is Channel.BULK
        kind, payload = split(data)
        assert kind is FrameKind.SYNC
        self.sent.append((peer, decode_sync(payload)))
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
    found_store(folder / "lagging", full.chain.genesis)
    store = Store.open(folder / "lagging")
    node = Node(full.chain, store, Executor(store))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.sync.run)
        await trio.testing.wait_all_tasks_blocked()
        yield node
        nursery.cancel_scope.cancel()


async def answer(full: Node, ask: GetBlocks) -> Blocks:
    """Return what a correct peer answers."""
    full.sent.clear()
    full.hear(OBSERVER, ask)
    with trio.move_on_after(0.01):
        await full.sync._serve()
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
        node.hear(peer, await answer(full, node.asked(peer)[0]))
        await trio.testing.wait_all_tasks_blocked()
        assert node.executor.head == full.executor.head and not node.sync.is_behind


async def test_a_node_says_from_where_on_it_has_blocks_and_is_asked_for_no_other(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    full = serving(tmp_path, 5)
    async with lagging(tmp_path, full) as node:
        begun, whole = node.up
        node.sync.ask(begun, Height(5))
        await trio.testing.wait_all_tasks_blocked()
        assert not node.asked(begun), "it has not said what it has"
        node.hear(begun, ChainStatus(Height(5), full.executor.head.block_id, Height(4)))
        await trio.testing.wait_all_tasks_blocked()
        assert not node.asked(begun) and node.sync.is_stranded and not node.sync.is_behind
        node.store.damaged.add(Height(2))
        node.sync._ask_for_repairs()
        assert not node.asked(begun) and node.asked(whole) == [GetBlocks(Height(2), 1)]
        node.hear(whole, ChainStatus(Height(5), full.executor.head.block_id, Height(1)))
        await trio.testing.wait_all_tasks_blocked()
        assert node.asked(whole)[1:] == [GetBlocks(Height(1), 5)] and not node.sync.is_stranded


def test_the_status_of_a_node_that_began_with_a_snapshot(tmp_path: Path) -> None:
    full = serving(tmp_path, 3)
    full.store.environment.write(lambda txn: txn.put(META, BASE_KEY, (2).to_bytes(8, "big")))
    node = Node(full.chain, full.store, full.executor)
    node.hear(OBSERVER, GetStatus())
    assert node.sent == [(OBSERVER, ChainStatus(Height(3), full.executor.head.block_id, Height(3)))]


async def test_an_answer_that_is_lost_does_not_shift_the_later_ones(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    full = serving(tmp_path, 3)
    head = ChainStatus(Height(3), full.executor.head.block_id, Height(1))
    async with lagging(tmp_path, full) as node:
        peer = node.up[0]
        node.hear(peer, ChainStatus(Height(2), full.executor.head.block_id, Height(1)))
        await trio.sleep(REQUEST_SECONDS_MAX + 1)
        node.hear(peer, head)
        await trio.testing.wait_all_tasks_blocked()
        lost, *later = node.asked(peer)
        assert lost == GetBlocks(Height(1), 2) and len(later) == 2
        for ask in later:
            node.hear(peer, await answer(full, ask))
        await trio.testing.wait_all_tasks_blocked()
        assert node.executor.head.height == 3


async def test_a_range_that_comes_late_is_asked_for_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    full = serving(tmp_path, 6)
    async with lagging(tmp_path, full) as node:
        one, two = node.up
        node.hear(one, ChainStatus(Height(6), full.executor.head.block_id, Height(1)))
        await trio.testing.wait_all_tasks_blocked()
        node.hear(two, ChainStatus(Height(6), full.executor.head.block_id, Height(1)))
        await trio.sleep(REQUEST_SECONDS_MAX + 1)
        [again] = node.asked(two)
        node.hear(two, await answer(full, again))
        await trio.testing.wait_all_tasks_blocked()
        assert node.executor.head.height == 6


async def test_a_flood_of_claims_loses_no_answer(tmp_path: Path, autojump_clock: MockClock) -> None:
    full = serving(tmp_path, 3)
    async with lagging(tmp_path, full) as node:
        peer = node.up[0]
        status = ChainStatus(Height(3), full.executor.head.block_id, Height(1))
        node.hear(peer, status)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(INPUTS_WAITING_MAX + 1):
            node.hear(node.up[1], status)
        assert len(node.sync._inputs) == INPUTS_WAITING_MAX
        node.hear(peer, await answer(full, node.asked(peer)[0]))
        await trio.testing.wait_all_tasks_blocked()
        assert node.executor.head.height == 3


async def test_blocks_that_nobody_asked_for_change_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    full = serving(tmp_path, 4)
    async with lagging(tmp_path, full) as node:
        peer = node.up[0]
        with pytest.raises(Rejected, match="nobody asked"):
            node.hear(peer, await answer(full, GetBlocks(Height(1), 4)))
        node.hear(peer, ChainStatus(Height(4), full.executor.head.block_id, Height(1)))
        await trio.testing.wait_all_tasks_blocked()
        node.hear(peer, await answer(full, GetBlocks(Height(3), 2)))
        node.hear(peer, await answer(full, node.asked(peer)[0]))
        await trio.testing.wait_all_tasks_blocked()
        assert node.executor.head.height == 4


async def test_a_peer_that_never_answers_leaves_little_behind(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    full = serving(tmp_path, 3)
    async with lagging(tmp_path, full) as node:
        peer = node.up[0]
        for _ in range(4 * ASKED_MAX):
            node.hear(peer, ChainStatus(Height(3), full.executor.head.block_id, Height(1)))
            await trio.sleep(REQUEST_SECONDS_MAX + 1)
        assert len(node.asked(peer)) > ASKED_MAX
        assert len(node.sync._asked[peer]) == ASKED_MAX
        assert not node.liars, "who is slow does not lie"
        node.sync.lose(peer)
        assert peer not in node.sync._asked


@pytest.mark.parametrize("is_validating", [True, False])
async def test_a_validator_gives_the_next_block_a_moment(
    tmp_path: Path, autojump_clock: MockClock, is_validating: bool
) -> None:
    full = serving(tmp_path, 1)
    async with lagging(tmp_path, full) as node:
        node.machine.is_validating = is_validating
        peer, status = node.up[0], ChainStatus(Height(1), full.executor.head.block_id, Height(1))
        node.hear(peer, status)
        await trio.testing.wait_all_tasks_blocked()
        assert len(node.asked(peer)) == (0 if is_validating else 1)
        await trio.sleep(LAG_SECONDS)
        node.hear(peer, status)
        await trio.testing.wait_all_tasks_blocked()
        assert len(node.asked(peer)) == 1


async def test_a_greedy_peer_waits_for_the_next_tick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    full = serving(tmp_path, 2)
    size = len(full.store.block_bytes(1) or b"")
    monkeypatch.setattr(sync_module, "SERVED_BYTES_A_TICK_MAX", size)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(full.sync.run)
        await trio.testing.wait_all_tasks_blocked()
        full.sent.clear()
        for _ in range(SERVED_WAITING_MAX + 1):
            full.hear(OBSERVER, GetBlocks(Height(1), 1))
        full.hear(full.up[0], GetBlocks(Height(2), 1))
        await trio.testing.wait_all_tasks_blocked()
        assert [peer for peer, _ in full.sent] == [OBSERVER, full.up[0]], "others are served meanwhile"
        await trio.sleep((SERVED_WAITING_MAX - 2) * TICK_SECONDS)
        assert len(served_to(full, OBSERVER)) < SERVED_WAITING_MAX
        await trio.sleep(SERVED_WAITING_MAX * TICK_SECONDS)
        assert [len(message.blocks) for message in served_to(full, OBSERVER)] == [1] * SERVED_WAITING_MAX
        nursery.cancel_scope.cancel()


def served_to(node: Node, peer: PeerId) -> list[Blocks]:
    return [message for to, message in node.sent if to == peer and isinstance(message, Blocks)]


@pytest.mark.parametrize("room", [0, -1])
async def test_a_range_ends_before_its_bytes_but_is_never_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, autojump_clock: MockClock
) -> None:
    full = serving(tmp_path, 2)
    sizes = [len(full.store.block_bytes(height) or b"") for height in (1, 2)]
    monkeypatch.setattr(sync_module, "RANGE_BYTES_MAX", sum(sizes) + room)
    assert len((await answer(full, GetBlocks(Height(1), 9))).blocks) == 2 + room
    monkeypatch.setattr(sync_module, "RANGE_BYTES_MAX", 1)
    assert len((await answer(full, GetBlocks(Height(1), 9))).blocks) == 1


@pytest.mark.parametrize("first", [3, 1 << 40, (1 << 63) - 1])
async def test_heights_that_nobody_has_are_answered_by_nothing(
    tmp_path: Path, first: int, autojump_clock: MockClock
) -> None:
    full = serving(tmp_path, 2)
    assert (await answer(full, GetBlocks(Height(first), 64))).blocks == ()


# --- peers that are left out, and damage


async def test_a_claim_that_nobody_keeps_is_believed_less_and_less(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    full = serving(tmp_path, 1)
    async with lagging(tmp_path, full) as node:
        liar, behind = node.up[0], 0
        for _ in range(600):
            node.hear(liar, ChainStatus(Height(1 << 40), full.executor.head.block_id, Height(1)))
            await trio.testing.wait_all_tasks_blocked()
            for _ in node.asked(liar):
                node.hear(liar, Blocks(()))
            node.sent.clear()
            await trio.testing.wait_all_tasks_blocked()
            behind += node.sync.is_behind
            await trio.sleep(STATUS_SECONDS)
        assert 0 < behind < 60


async def test_a_peer_that_sends_bad_blocks_is_not_asked_again_for_a_while(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    full = serving(tmp_path, 3)
    head = ChainStatus(Height(3), full.executor.head.block_id, Height(1))
    async with lagging(tmp_path, full) as node:
        liar = node.up[0]
        node.hear(liar, head)
        await trio.testing.wait_all_tasks_blocked()
        [ask] = node.asked(liar)
        good = (await answer(full, ask)).blocks
        node.hear(liar, Blocks(((good[0][0], good[1][1]), *good[1:])))
        await trio.testing.wait_all_tasks_blocked()
        node.sync.lose(liar)
        node.hear(liar, head)
        await trio.testing.wait_all_tasks_blocked()
        assert len(node.asked(liar)) == 1 and node.executor.head.height == 0
        await trio.sleep(LYING_SECONDS)
        node.hear(liar, head)
        await trio.testing.wait_all_tasks_blocked()
        assert len(node.asked(liar)) == 2


async def test_blocks_that_do_not_decode_condemn_their_sender(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    full = serving(tmp_path, 3)
    async with lagging(tmp_path, full) as node:
        liar, other = node.up
        for peer in node.up:
            node.hear(peer, ChainStatus(Height(3), full.executor.head.block_id, Height(1)))
        await trio.testing.wait_all_tasks_blocked()
        assert node.asked(liar) and not node.asked(other)
        node.hear(liar, Blocks(((b"\xc1", b"\xc1"),)))
        await trio.testing.wait_all_tasks_blocked()
        [ask] = node.asked(other)
        node.hear(other, await answer(full, ask))
        await trio.testing.wait_all_tasks_blocked()
        assert node.executor.head.height == 3 and node.liars == [liar]


async def test_a_damaged_block_is_not_served_and_fetched_again_from_whoever_has_it(tmp_path: Path) -> None:
    full = serving(tmp_path, 4)
    sound = [full.store.served_block(height) or (b"", b"") for height in range(1, 5)]
    bad = bytearray(sound[1][0])
    bad[-9] ^= 4
    key = (2).to_bytes(8, "big")
    full.store.environment.write(lambda txn: txn.put(BLOCKS, key, bytes(bad)))
    assert len((await answer(full, GetBlocks(Height(1), 4))).blocks) == 1
    assert full.store.damaged == {2}
    full.sync._ask_for_repairs()
    full.sync._ask_for_repairs()
    assert [full.asked(peer) for peer in full.up] == [[GetBlocks(Height(2), 1)]] * 2
    async with trio.open_nursery() as nursery:
        nursery.start_soon(full.sync.run)
        liar, honest = full.up
        full.hear(liar, Blocks(((bytes(bad), sound[1][1]),)))
        await trio.sleep(0.05)
        assert full.store.damaged == {2}
        full.hear(honest, Blocks((sound[1],)))
        with trio.move_on_after(60):
            while full.store.damaged:
                await trio.sleep(0.002)
        nursery.cancel_scope.cancel()
    assert [full.store.served_block(height) for height in range(1, 5)] == sound and full.sync.repaired == 1
    assert full.liars == [liar]


def test_observers_are_told_of_each_block_and_validators_are_not(tmp_path: Path) -> None:
    full = serving(tmp_path, 0)
    full.me = PeerId(full.executor.record.validators[0].node_key)
    full.up.append(OBSERVER)
    block = full.chain.commit()
    full.sync.advance(block)
    assert full.sent == [(OBSERVER, ChainStatus(Height(1), block.id, Height(1)))]


@pytest.mark.parametrize("data", [b"", b"\xc1", bytes(50), b"\x92\x01\x09"])
def test_nonsense_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Rejected):
        serving(tmp_path, 0).sync.on_frame(OBSERVER, data)


@pytest.mark.parametrize("above", [0, 1])
def test_what_nobody_asked_for_is_not_even_decoded(tmp_path: Path, above: int) -> None:
    with pytest.raises(Rejected) as caught:
        serving(tmp_path, 0).sync.on_frame(OBSERVER, b"\xc1" * (UNASKED_BYTES_MAX + above))
    assert (caught.value.code == Code.TOO_LARGE) is bool(above)


@pytest.mark.parametrize(
    ("first", "most"),
    [(sync_module.FAILING_SECONDS, FAILING_SECONDS_MAX), (LYING_SECONDS, LYING_SECONDS_MAX)],
)
async def test_a_peer_is_left_out_twice_as_long_each_time_up_to_a_limit(first: float, most: float) -> None:
    kept: Any = SimpleNamespace(_left_out={})
    times = []
    for _ in range(10):
        BlockSync._leave_out(kept, OBSERVER, first)
        times.append(kept._left_out[OBSERVER][1])
    assert times == [min(first * 2**turn, most) for turn in range(10)] and times[-1] == most
