"""When a block is worth building, and that the builder neither hurries nor sleeps for ever."""

import time
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from node.builder import EXECUTION_BUDGET_SECONDS, RETRY_SECONDS, TXS_MIN, Builder, Pace
from node.clock import FakeClock
from node.evidence import EvidencePool
from node.mempool import Mempool
from protocol.chain.transaction import SignedTransaction
from protocol.params import BLOCK_INTERVAL_MS_MIN
from protocol.types import Address, View
from tests.node.small_chain import SmallChain

PACE = Pace(window_ms=50, interval_ms_min=BLOCK_INTERVAL_MS_MIN, txs_max=1_000, idle_seconds=300)
PAYER = Address(bytes(20))


class Stage:
    """A builder over a real chain, its head at height 1 and as old as the clock says."""

    def __init__(self, folder: Path, blocks: int = 1) -> None:
        now_ms = int(time.time() * 1_000)
        self.chain = SmallChain(folder / "store", now_ms - 60_000)
        for _ in range(blocks):
            self.chain.commit()
        self.clock = FakeClock(max(now_ms, self.chain.executor.head.time_ms))
        self.head_age(0)
        self.pool = Mempool()
        self.evidence = EvidencePool(
            folder / "evidence.bin",
            self.chain.executor.check_accusation,
            lambda data: 0,
            lambda: self.builder.wake(),
        )
        me = self.chain.executor.record.validators[0].consensus_key
        self.builder = Builder(self.chain.executor, self.pool, self.evidence, self.clock, me, PACE)

    def head_age(self, age_ms: int) -> None:
        self.clock.set_wall(self.chain.executor.head.time_ms + age_ms)

    def pay(self, valid_seconds: int = 120) -> SignedTransaction:
        return self.chain.pay_until("ada", "bo", self.clock.wall_ms() // 1_000 + valid_seconds)

    def add(self, signed: SignedTransaction) -> SignedTransaction:
        self.pool.add(signed, PAYER, signed.tx.gas_limit)
        self.builder.wake()
        return signed

    def build(self, *, even_empty: bool = False):  # type: ignore[no-untyped-def]
        certificate = self.chain.store.certificate(self.chain.executor.head.height)
        return self.builder.build(View(1), certificate, even_empty=even_empty)


async def seconds_of(wait) -> tuple[bool, float]:  # type: ignore[no-untyped-def]
    began = trio.current_time()
    answer = await wait()
    return answer, round(trio.current_time() - began, 3)


async def test_an_idle_chain_gets_a_block_after_the_idle_time(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    stage = Stage(tmp_path)
    assert await seconds_of(stage.builder.wait_for_work) == (True, 300.0)
    stage.head_age(100_000)
    assert await seconds_of(stage.builder.wait_for_work) == (True, 200.0)
    stage.head_age(10**9)
    assert await seconds_of(stage.builder.wait_for_work) == (True, 0.0)


async def test_a_clock_that_was_set_back_does_not_silence_the_chain(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    stage = Stage(tmp_path)
    stage.head_age(-3_600_000)
    assert await seconds_of(stage.builder.wait_for_work) == (True, 300.0)


async def test_the_first_block_is_due_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    stage = Stage(tmp_path, blocks=0)
    assert await seconds_of(stage.builder.wait_for_work) == (True, 0.0)
    assert stage.build(even_empty=True).height == 1


async def test_the_end_of_an_epoch_does_not_wait_for_members(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path)
    monkeypatch.setattr(stage.chain.executor, "next_due_time", lambda: 0)
    assert await seconds_of(stage.builder.wait_for_work) == (True, 0.0)
    assert stage.build(even_empty=True) is not None
    assert await seconds_of(stage.builder.wait_for_work) == (True, 0.1)


async def test_a_transaction_waits_for_company_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    stage = Stage(tmp_path)
    stage.add(stage.pay())
    assert await seconds_of(stage.builder.wait_for_work) == (False, 0.05)
    assert stage.build().header.tx_count == 1
    # The next block keeps the least interval, window or not.
    assert await seconds_of(stage.builder.wait_for_work) == (False, 0.1)


async def test_what_arrives_wakes_the_builder(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    stage = Stage(tmp_path)

    async def later() -> None:
        await trio.sleep(7)
        stage.add(stage.pay())

    nursery.start_soon(later)
    assert await seconds_of(stage.builder.wait_for_work) == (False, 7.05)


async def test_what_cannot_run_yet_makes_no_empty_blocks(tmp_path: Path, autojump_clock: MockClock) -> None:
    stage = Stage(tmp_path)
    early = stage.add(stage.pay(valid_seconds=601))
    assert await seconds_of(stage.builder.wait_for_work) == (False, 0.05)
    assert stage.build() is None and stage.pool.get(early.id) is early
    assert await seconds_of(stage.builder.wait_for_work) == (False, RETRY_SECONDS + 0.05)
    stage.clock.advance(1_000)
    assert stage.build().transactions == (early,)


async def test_news_shorten_the_wait_for_what_cannot_run_yet(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    stage = Stage(tmp_path)
    stage.add(stage.pay(valid_seconds=700))
    assert stage.build() is None

    async def later() -> None:
        await trio.sleep(0.25)
        stage.add(stage.pay())

    nursery.start_soon(later)
    assert await seconds_of(stage.builder.wait_for_work) == (False, 0.3)
    assert stage.build().header.tx_count == 1


async def test_an_empty_block_is_built_when_it_is_due(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.build() is None
    assert stage.build(even_empty=True).transactions == ()


async def test_what_can_never_run_leaves_the_mempool(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    late = stage.add(stage.pay(valid_seconds=5))
    stage.clock.advance(6_000)
    assert stage.build() is None
    assert stage.pool.get(late.id) is None and stage.pool.known(late.id)


async def test_block_time_goes_forward_whatever_the_clock_says(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    head_ms = stage.chain.executor.head.time_ms
    stage.head_age(-5_000)
    assert stage.build(even_empty=True).header.time_ms == head_ms + 1
    stage.head_age(250)
    assert stage.build(even_empty=True).header.time_ms == head_ms + 250


async def test_a_slow_machine_makes_smaller_blocks_and_never_tiny_ones(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path)
    for _ in range(TXS_MIN + 1):
        stage.add(stage.pay())
    real = stage.chain.executor.build

    def slow(*arguments):  # type: ignore[no-untyped-def]
        autojump_clock.jump(EXECUTION_BUDGET_SECONDS * 1_000)
        return real(*arguments)

    monkeypatch.setattr(stage.chain.executor, "build", slow)
    assert stage.build().header.tx_count == TXS_MIN + 1
    assert stage.build().header.tx_count == TXS_MIN


# --- on a parent that is not decided


async def test_what_the_parent_took_is_neither_waited_for_nor_taken_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    stage = Stage(tmp_path)
    first = stage.add(stage.pay())
    parent = stage.build()
    assert parent is not None
    prepared = stage.chain.executor.prepared(parent.id)
    certificate = stage.chain.store.certificate(stage.chain.executor.head.height)

    def build():  # type: ignore[no-untyped-def]
        return stage.builder.build(View(0), certificate, even_empty=False, parent=prepared)

    assert build() is None, "nothing is left"
    with trio.move_on_after(60) as waiting:
        await stage.builder.wait_for_work(prepared)
    assert waiting.cancelled_caught and stage.pool.get(first.id) is not None
    second = stage.add(stage.pay())
    await stage.builder.wait_for_work(prepared)
    block = build()
    assert block is not None and block.transactions == (second,)
    assert block.header.parent_id == parent.id and block.header.time_ms > parent.header.time_ms


async def test_a_wait_that_is_begun_anew_is_not_longer_for_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    stage = Stage(tmp_path)
    stage.add(stage.pay())
    with trio.move_on_after(0.03):
        await stage.builder.wait_for_work()
    assert await seconds_of(stage.builder.wait_for_work) == (False, 0.02)


async def test_a_clock_that_was_moved_is_shown_by_a_block_at_once(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    stage = Stage(tmp_path)
    assert await seconds_of(stage.builder.wait_for_work) == (True, PACE.idle_seconds)

    async def move() -> None:
        await trio.sleep(2)
        stage.clock.advance(1_000)
        stage.builder.show_clock()

    nursery.start_soon(move)
    assert await seconds_of(stage.builder.wait_for_work) == (True, 2)
    assert await seconds_of(stage.builder.wait_for_work) == (True, 0), "until a block was built"
    assert stage.build(even_empty=True) is not None
    assert await seconds_of(stage.builder.wait_for_work) == (True, PACE.idle_seconds - 1)
