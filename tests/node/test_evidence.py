"""Evidence waits once, is told to everybody, survives a restart, and leaves when a block says it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from node.builder import Builder, Pace
from node.clock import FakeClock
from node.evidence import DEAF_SECONDS, REPEAT_SECONDS, WAITING_MAX, EvidencePool
from node.mempool import Mempool
from node.net.transport import PeerId
from node.wire import FrameKind, split
from protocol.chain.evidence import Evidence, decode_evidence
from protocol.errors import Code, Rejected
from protocol.params import BLOCK_EVIDENCE_MAX
from protocol.types import PublicKey, View
from tests.node.small_chain import SmallChain

PEER, OTHER = PeerId(bytes(33)), PeerId(bytes([1]) * 33)


@dataclass
class Stage:
    """A pool over a real chain, and what it told."""

    folder: Path
    chain: SmallChain
    told: list[Evidence] = field(default_factory=list)
    woken: int = 0

    def pool(self, check: Callable[[Evidence], None] | None = None) -> EvidencePool:
        def tell(data: bytes) -> None:
            kind, payload = split(data)
            assert kind is FrameKind.EVIDENCE
            self.told.append(decode_evidence(payload))

        def wake() -> None:
            self.woken += 1

        return EvidencePool(
            self.folder / "evidence.bin", check or self.chain.executor.check_accusation, tell, wake
        )

    def guilty(self, index: int = 1, view: int = 4, epoch: int = 0) -> Evidence:
        """Return two acknowledgements of a validator for one height and term."""
        return self.chain.double_vote(index, view, epoch)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000))


def refusal(act: Callable[[], object]) -> Rejected:
    with pytest.raises(Rejected) as failure:
        act()
    return failure.value


def test_evidence_waits_once_and_everybody_hears_of_it(stage: Stage) -> None:
    pool, evidence = stage.pool(), stage.guilty()
    pool.report(evidence)
    pool.report(evidence)
    pool.report(stage.guilty(view=5))
    assert (stage.told, stage.woken, len(pool), pool.seen_total) == ([evidence], 1, 1, 1)
    assert pool.take() == pool.take() == (evidence,)
    pool.report(stage.guilty(index=2))
    assert len(pool) == len(stage.told) == 2


def test_a_block_that_says_it_ends_the_waiting(stage: Stage) -> None:
    pool = stage.pool()
    pool.report(stage.guilty())
    pool.settle((stage.guilty(view=9),))
    assert len(pool) == 0 and stage.pool().take() == ()


def test_evidence_gets_into_the_next_block_and_is_news_once(stage: Stage) -> None:
    pool, executor = stage.pool(), stage.chain.executor
    pool.report(stage.guilty())
    block = stage.chain.build(evidence=pool.take())
    executor.forget_proposals()
    executor.check(block)
    assert block.evidence == (stage.guilty(),)
    assert stage.chain.commit(evidence=pool.take()).evidence == block.evidence
    assert pool.take() == (), "what the chain knows is not said again"
    assert refusal(lambda: pool.add(stage.guilty())).code == Code.EXISTS


async def test_an_idle_chain_makes_a_block_for_it(stage: Stage, autojump_clock: MockClock) -> None:
    stage.chain.commit()
    executor, woken = stage.chain.executor, trio.Event()
    pool = EvidencePool(stage.folder / "e", executor.check_accusation, lambda data: 0, lambda: builder.wake())
    me = executor.record.validators[0].consensus_key
    clock = FakeClock(executor.head.time_ms)
    builder = Builder(executor, Mempool(), pool, clock, me, Pace(50, 100, 1_000, 300))
    waited: list[tuple[bool, float]] = []

    async def wait() -> None:
        is_idle = await builder.wait_for_work()
        waited.append((is_idle, trio.current_time()))
        woken.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(7)
        pool.report(stage.guilty())
        began = trio.current_time()
        await woken.wait()
    assert waited == [(False, began)], "at once, and not for the heartbeat"
    block = builder.build(View(1), stage.chain.store.certificate(1), even_empty=False)
    assert block is not None and block.evidence == (stage.guilty(),) and not block.transactions


def test_a_restart_finds_what_waited(stage: Stage) -> None:
    stage.pool().report(stage.guilty())
    after = stage.pool()
    after.load()
    assert after.take() == (stage.guilty(),)
    assert len(stage.told) == 1, "told again only after a while"

    def nothing_is_news(evidence: Evidence) -> None:
        raise Rejected(Code.EXISTS, "known")

    known = stage.pool(nothing_is_news)
    known.load()
    assert len(known) == 0


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x92\x01\x02", b"\x91\x91\x01"])
def test_a_file_that_cannot_be_read_stops_nobody(stage: Stage, data: bytes) -> None:
    (stage.folder / "evidence.bin").write_bytes(data)
    pool = stage.pool()
    pool.load()
    assert len(pool) == 0
    pool.report(stage.guilty())
    assert len(pool) == 1


def test_a_disk_that_refuses_costs_only_the_restart(stage: Stage) -> None:
    (stage.folder / "evidence.bin").mkdir()
    pool = stage.pool()
    pool.report(stage.guilty())
    assert pool.take() == (stage.guilty(),)


async def test_what_a_peer_shows_is_checked(stage: Stage, autojump_clock: MockClock) -> None:
    pool, evidence = stage.pool(), stage.guilty()
    wrong = replace(evidence, first=evidence.second)
    assert refusal(lambda: pool.on_frame(PEER, wrong.encode())).code == Code.BAD_PROOF
    assert refusal(lambda: pool.on_frame(OTHER, b"nonsense")).code == Code.MALFORMED
    pool.on_frame(PEER, evidence.encode())
    assert len(pool) == 0, "who was wrong is not heard for a while"
    await trio.sleep(DEAF_SECONDS)
    pool.on_frame(PEER, evidence.encode())
    assert pool.take() == (evidence,) and stage.told == [evidence]
    pool.on_frame(OTHER, evidence.encode())


async def test_old_and_early_news_are_nobody_s_fault(stage: Stage) -> None:
    pool = stage.pool()
    pool.on_frame(PEER, stage.guilty(epoch=1).encode())
    pool.on_frame(PEER, stage.guilty().encode())
    assert pool.take() == (stage.guilty(),)


async def test_what_waits_is_told_again(
    stage: Stage, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    pool, evidence = stage.pool(), stage.guilty()
    nursery.start_soon(pool.run)
    pool.report(evidence)
    await trio.sleep(2 * REPEAT_SECONDS + 0.1)
    assert stage.told == [evidence] * 3
    pool.settle((evidence,))
    await trio.sleep(REPEAT_SECONDS)
    assert len(stage.told) == 3


def test_it_is_full_at_its_limit_and_a_block_takes_its_share(stage: Stage) -> None:
    pool, evidence = stage.pool(lambda evidence: None), stage.guilty()
    for number in range(WAITING_MAX):
        pool.add(replace(evidence, accused=PublicKey(bytes([2, number]) + bytes(31))))
    full = refusal(lambda: pool.add(evidence))
    assert full.code == Code.FULL and full.retry
    assert len(pool.take()) == BLOCK_EVIDENCE_MAX
    after = stage.pool(lambda evidence: None)
    after.load()
    assert len(after) == WAITING_MAX
