"""The driver keeps its contract: order, disk before words, one commit a height, and no way to stall it.

Machine, executor, store, signer and intake are the real ones; only the network is a list, and time stands
still until a test moves it.
"""

import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from node import driver as driver_module
from node import hearing as hearing_module
from node.builder import Builder, Pace
from node.clock import FakeClock
from node.driver import (
    ALARM_SECONDS,
    DISK_RETRY_SECONDS,
    GRACE_SECONDS,
    LATE_SECONDS,
    SERVING_SHARE,
    VOTE_CHANNEL_BYTES_MAX,
    WORK_LOOKED_AT_MAX,
    Driver,
)
from node.errors import OperationError
from node.evidence import EvidencePool
from node.inbox import PEER_MESSAGES_MAX
from node.intake import Intake
from node.keychain import Keychain
from node.mempool import Mempool
from node.net.transport import Channel, PeerId
from node.signer import Signer
from node.store.environment import StorageBroken
from node.store.store import Store
from node.wire import split
from protocol import crypto
from protocol.chain.block import Block, assemble_block
from protocol.chain.certificate import UNSIGNED, Vote, VoteKind
from protocol.consensus.effects import Alarm
from protocol.consensus.engine import Consensus
from protocol.consensus.inputs import (
    BlockBuilt,
    BlockChecked,
    BlockCommitted,
    HandOverAsked,
    Input,
    Received,
    Start,
    TimerFired,
    Verdict,
    WorkWaiting,
)
from protocol.consensus.messages import (
    Beat,
    Claim,
    Decided,
    Election,
    Grant,
    Message,
    Proposal,
    Status,
    Step,
    VoteRequest,
    attach_signature,
    compute_sign_digest,
    decode_message,
    encode_message,
)
from protocol.consensus.safety import decode_safety
from protocol.consensus.timeouts import LOCAL, TimerKey, TimerKind
from protocol.crypto import Hash32
from protocol.errors import Rejected
from protocol.params import CLOCK_AHEAD_MS_MAX, CLOCK_AHEAD_PROPOSE_MS_MAX
from protocol.types import EpochNumber, Height, Signature, View
from tests.node.small_chain import SmallChain

POLLS = 4_000
EPOCH = EpochNumber(0)


@dataclass
class Stage:
    """One driver; validator 0 is ours, the others are played by the test."""

    chain: SmallChain
    driver: Driver
    clock: FakeClock
    mempool: Mempool
    sent: list[tuple[PeerId, Message]] = field(default_factory=list)
    safety_when_sent: list[bytes | None] = field(default_factory=list)
    committed: list[Height] = field(default_factory=list)

    def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        message = decode_message(split(data)[1], self.driver.decode_block)
        self.sent.append((peer, message))
        self.safety_when_sent.append(self.chain.store.load_safety())
        return True

    def peer(self, index: int) -> PeerId:
        return PeerId(self.chain.executor.record.validators[index].node_key)

    def sign(self, index: int, message: Message) -> Message:
        digest = compute_sign_digest(message, self.chain.genesis_hash)
        assert digest is not None
        return attach_signature(message, crypto.sign(self.chain.secret(index), Hash32(digest)))

    def hear(self, index: int, message: Message) -> None:
        """Let a frame of another validator arrive."""
        self.driver.hearing.on_frame(self.peer(index), encode_message(message))

    def said(self, kind: type[Message]) -> list[Message]:
        return [message for _, message in self.sent if isinstance(message, kind)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait in real time, as worker threads do not know the clock of the test."""
        for _ in range(POLLS):
            if condition():
                return
            await trio.to_thread.run_sync(time.sleep, 0.002)
        raise AssertionError("it never happened")

    async def settle(self) -> None:
        """Let everything run that can run, worker threads too."""
        for _ in range(20):
            await trio.testing.wait_all_tasks_blocked()
            await trio.to_thread.run_sync(time.sleep, 0.002)

    def elect(self, index: int, term: int) -> Election:
        claim = Claim(EPOCH, self.driver.machine.height, View(term), index, View(0), None, False)
        voters = sorted({index, (index + 1) % 3})
        grants = [self.sign(voter, Grant(claim, voter)) for voter in voters]
        return Election(claim, sum(1 << voter for voter in voters), tuple(g.signature for g in grants))

    def propose(self, index: int, term: int, block: Block) -> Proposal:
        message = Proposal(EPOCH, block.height, View(term), index, None, block, self.elect(index, term))
        proposal = self.sign(index, message)
        assert isinstance(proposal, Proposal)
        return proposal

    def ack(self, index: int, term: int, block: Block) -> Message:
        return self.sign(
            index, Vote(EPOCH, VoteKind.ACK, block.height, View(term), block.id, None, index, UNSIGNED)
        )

    def waiting(self) -> list[Input]:
        return [event for event, _, _ in self.driver._inbox._waiting]


def make_stage(folder: Path, validators: int) -> Stage:
    now_ms = int(time.time() * 1_000)
    chain = SmallChain(folder / "store", now_ms - 60_000, validators)
    executor, clock, mempool = chain.executor, FakeClock(now_ms), Mempool()
    evidence = EvidencePool(folder / "evidence.bin", executor.check_accusation, lambda data: 0, lambda: None)
    me, secret = executor.record.validators[0].consensus_key, chain.secret(0)
    stage = Stage.__new__(Stage)
    intake = Intake(chain.genesis_hash, mempool, None, lambda _: [], lambda _: False, lambda: None)  # type: ignore[arg-type]
    Signer.create(folder / "guard", me)
    head = executor.head
    driver = Driver(
        Consensus(chain.genesis_hash, me, executor.record, head.height, head.block_id, LOCAL),
        executor,
        Builder(executor, mempool, evidence, clock, me, Pace(5, 10, 1_000)),
        intake,
        mempool,
        evidence,
        chain.store,
        Keychain(Signer.open(folder / "guard", secret), executor.record),
        stage,
        clock,
        lambda block, _: stage.committed.append(block.height),
        lambda peer, height: None,
    )
    Stage.__init__(stage, chain, driver, clock, mempool)
    return stage


@asynccontextmanager
async def running(folder: Path, validators: int = 3) -> AsyncIterator[Stage]:
    stage = make_stage(folder, validators)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.driver.run)
        stage.driver.feed(Start(None))
        yield stage
        nursery.cancel_scope.cancel()


def fault_of(caught: pytest.ExceptionInfo[BaseExceptionGroup]) -> BaseException:
    found: BaseException = caught.value
    while isinstance(found, BaseExceptionGroup):
        [found] = found.exceptions
    return found


# --- the walk of a block


async def test_a_single_validator_leads_and_commits(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path, 1) as stage:
        await stage.until(lambda: stage.chain.executor.head.height == 1)
        await stage.until(lambda: stage.driver.machine.height == 2)
        assert stage.committed == [1] and stage.driver.is_leading


async def test_a_follower_promises_on_disk_before_it_speaks(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path) as stage:
        claim = Claim(EPOCH, Height(1), View(1), 1, View(0), None, False)
        stage.hear(1, stage.sign(1, VoteRequest(claim)))
        await stage.until(lambda: stage.said(Grant))
        safety = decode_safety(stage.safety_when_sent[-1] or b"", stage.driver.decode_block)
        assert (safety.term, safety.voted_for) == (1, 1)
        block = stage.chain.build(stage.chain.pay("ada", "bo", 3), proposer=1)
        stage.chain.executor.forget_proposals()
        stage.hear(1, stage.propose(1, 1, block))
        await stage.until(lambda: len(stage.said(Vote)) == 2)
        safety = decode_safety(stage.safety_when_sent[-2] or b"", stage.driver.decode_block)
        assert safety.accepted is not None and safety.accepted.id == block.id
        stage.hear(1, stage.ack(1, 1, block))
        await stage.until(lambda: stage.driver.machine.height == 2)
        assert stage.committed == [1] and stage.chain.store.head().block_id == block.id
        assert stage.chain.store.certificate(1) is not None


async def test_a_body_with_a_forged_signature_gets_no_acknowledgement(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    async with running(tmp_path) as stage:
        block = stage.chain.build(stage.chain.forge("ada", "bo"), proposer=1)
        stage.chain.executor.forget_proposals()
        stage.hear(1, stage.propose(1, 1, block))
        await stage.until(lambda: BlockChecked(block.id, Verdict.INVALID) in stage.driver.trace)
        await stage.settle()
        assert not stage.said(Vote)


async def test_a_height_is_committed_once_whoever_brings_it(
    tmp_path: Path, mock_clock: MockClock, nursery: trio.Nursery
) -> None:
    stage = make_stage(tmp_path, 3)
    block = stage.chain.build(stage.chain.pay("ada", "bo", 3))
    certificate = stage.chain.certify(block)
    for _ in range(2):
        nursery.start_soon(stage.driver.commit, block, certificate)
    await stage.until(lambda: not nursery.child_tasks)
    assert stage.committed == [1] and stage.driver.blocks_committed == 1
    assert [type(event) for event in stage.waiting()] == [BlockCommitted]


def test_consensus_hears_once_a_height_of_what_could_be_in_a_block(tmp_path: Path) -> None:
    stage = make_stage(tmp_path, 3)
    stage.driver.note_work()
    gap = stage.chain.pay_at("ada", "bo", sequence=9)
    stage.mempool.add(gap, gap.tx.actors[0], 1)
    stage.driver.note_work()
    assert stage.waiting() == [], "nothing, and then what cannot run yet"
    good = stage.chain.pay("cy", "bo", 1)
    stage.mempool.add(good, good.tx.actors[0], 1)
    for _ in range(3):
        stage.driver.note_work()
    assert stage.waiting() == [WorkWaiting()]
    stage.chain.commit()
    stage.driver.note_work()
    assert stage.waiting() == [WorkWaiting()] * 2


async def test_a_commit_takes_what_it_holds_out_of_the_mempool(tmp_path: Path, mock_clock: MockClock) -> None:
    stage = make_stage(tmp_path, 3)
    taken, late, waits = (stage.chain.pay_until("ada", "bo", int(time.time()) + n) for n in (60, -50, 61))
    for signed in (taken, late, waits):
        stage.mempool.add(signed, signed.tx.actors[0], 1)
    block = stage.chain.build(taken, time_ms=stage.clock.wall_ms())
    await stage.driver.commit(block, stage.chain.certify(block))
    assert stage.mempool.ids() == [waits.id] and stage.mempool.known(taken.id)


@pytest.mark.parametrize("fault", ["root", "signature"])
async def test_an_invalid_certified_block_stops_the_node(
    tmp_path: Path, mock_clock: MockClock, fault: str
) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with running(tmp_path) as stage:
            forged = stage.chain.forge("ada", "bo")
            block = stage.chain.build(forged if fault == "signature" else stage.chain.pay("ada", "bo", 3))
            stage.chain.executor.forget_proposals()
            if fault == "root":
                header = replace(block.header, state_root=Hash32(bytes(32)))
                block = assemble_block(header, block.transactions)
            stage.hear(1, Decided(block, stage.chain.certify(block)))
            await stage.settle()
            await trio.sleep_forever()
    assert isinstance(fault_of(caught), AssertionError) and "certified block 1" in str(fault_of(caught))


# --- what happens while a block is being written


class SlowDisk:
    """Let a commit reach the disk, and hold its worker thread there until the test says so."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_written, self._go = threading.Event(), threading.Event()
        real = stage.chain.executor.write

        def write(blocks) -> None:  # type: ignore[no-untyped-def]
            real(blocks)
            self.is_written.set()
            assert self._go.wait(20)

        monkeypatch.setattr(stage.chain.executor, "write", write)

    def go_on(self) -> None:
        self._go.set()


async def commit_slowly(
    stage: Stage, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> tuple[SlowDisk, Block]:
    block = stage.chain.build(stage.chain.pay("ada", "bo", 3))
    disk = SlowDisk(stage, monkeypatch)
    nursery.start_soon(stage.driver.commit, block, stage.chain.certify(block))
    await stage.until(disk.is_written.is_set)
    assert stage.chain.store.head().height == 1 and stage.chain.executor.head.height == 0
    return disk, block


async def test_no_proposal_is_judged_by_a_state_that_is_ahead_of_the_head(
    tmp_path: Path, mock_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(tmp_path, 3)
    rival = stage.chain.build(stage.chain.pay("bo", "ada", 1), proposer=1)
    stage.chain.executor.forget_proposals()
    disk, _ = await commit_slowly(stage, nursery, monkeypatch)
    nursery.start_soon(stage.driver._check, rival)
    await stage.settle()
    disk.go_on()
    await stage.until(lambda: not nursery.child_tasks)
    assert [type(event) for event in stage.waiting()] == [BlockCommitted]


async def test_no_block_is_built_on_a_state_that_is_ahead_of_the_head(
    tmp_path: Path, mock_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(tmp_path, 3)
    parent_id = stage.chain.executor.head.block_id
    disk, _ = await commit_slowly(stage, nursery, monkeypatch)
    ask = driver_module.BuildBlock(Height(1), View(1), parent_id)
    nursery.start_soon(stage.driver._build, ask, trio.CancelScope())
    await stage.settle()
    disk.go_on()
    await stage.until(lambda: not nursery.child_tasks)
    assert not any(isinstance(event, BlockBuilt) for event in stage.waiting())


async def test_the_end_waits_for_a_write_that_has_begun(
    tmp_path: Path, mock_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(tmp_path, 3)
    ended = trio.Event()

    async def live() -> None:
        async with trio.open_nursery() as inner:
            disk, _ = await commit_slowly(stage, inner, monkeypatch)
            inner.cancel_scope.cancel()
            threading.Timer(0.05, disk.go_on).start()
        stage.chain.store.close()
        ended.set()

    nursery.start_soon(live)
    await stage.until(ended.is_set)
    assert stage.chain.executor.head.height == 1


# --- disks and keys that fail


async def test_a_disk_that_is_almost_full_is_waited_for(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(tmp_path, 3)
    attempts: list[int] = []

    def refuse() -> None:
        attempts.append(len(attempts))
        if len(attempts) < 3:
            raise OperationError("store.disk_low", "what", "why", "do")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.driver._write, "persist", refuse)
        for tries in (1, 2):
            await stage.until(lambda tries=tries: len(attempts) == tries and stage.driver.is_disk_low)
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(DISK_RETRY_SECONDS)
    assert len(attempts) == 3 and not stage.driver.is_disk_low


async def test_a_broken_store_ends_the_node(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object, record: bytes) -> None:
        raise StorageBroken("store.broken", "what", "why", "do")

    monkeypatch.setattr("node.store.store.Store.save_safety", fail)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with running(tmp_path, 1) as stage:
            await stage.settle()
            await trio.sleep_forever()
    assert isinstance(fault_of(caught), StorageBroken)


async def test_a_refused_signature_is_silence_and_the_node_goes_on(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    async with running(tmp_path) as stage:
        claim = Claim(EPOCH, Height(1), View(1), 1, View(0), None, False)
        rival = replace(claim, candidate=2)
        digest = compute_sign_digest(Grant(rival, 0), stage.chain.genesis_hash)
        assert digest is not None
        await stage.driver._keys.signer(rival.epoch).sign(Grant(rival, 0), digest)
        stage.hear(1, stage.sign(1, VoteRequest(claim)))
        stage.hear(1, Beat(EPOCH, Height(1), View(1), 7, False))
        await stage.until(lambda: stage.said(Status))
        assert not stage.said(Grant)


# --- peers who mean no good


async def test_a_stranger_is_refused_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(tmp_path, 3)
    monkeypatch.setattr(hearing_module, "decode_message", None)
    with pytest.raises(Rejected, match="no validator"):
        stage.driver.hearing.on_frame(PeerId(b"\2" + bytes(32)), b"anything")


async def test_a_signature_that_does_not_hold_is_refused(tmp_path: Path) -> None:
    stage = make_stage(tmp_path, 3)
    claim = Claim(EPOCH, Height(1), View(1), 1, View(0), None, False)
    with pytest.raises(Rejected, match="a signature does not hold"):
        stage.hear(1, stage.sign(2, VoteRequest(claim)))
    block = stage.chain.build()
    certificate = stage.chain.certify(block)
    forged = replace(certificate, signatures=tuple(reversed(certificate.signatures)))
    with pytest.raises(Rejected, match="a signature does not hold"):
        stage.hear(1, Decided(block, forged))
    assert stage.waiting() == []


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x93\x01\x05\x00", bytes(100)])
async def test_nonsense_is_refused(tmp_path: Path, data: bytes) -> None:
    stage = make_stage(tmp_path, 3)
    with pytest.raises(Rejected):
        stage.driver.hearing.on_frame(stage.peer(1), data)


async def test_who_floods_loses_only_its_own_messages(tmp_path: Path) -> None:
    stage = make_stage(tmp_path, 3)
    for counter in range(PEER_MESSAGES_MAX + 5):
        stage.hear(1, Status(EPOCH, Height(1), View(0), counter, Step.IDLE))
    stage.hear(2, Status(EPOCH, Height(1), View(0), 1, Step.IDLE))
    senders = [event.sender for event in stage.waiting() if isinstance(event, Received)]
    assert senders == [1] * PEER_MESSAGES_MAX + [2]


async def test_a_laggard_gets_its_share_of_our_time_and_no_more(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(tmp_path, 3)
    stage.chain.commit()
    real = Store.served_block

    def slow(store: Store, height: int) -> tuple[bytes, bytes] | None:
        mock_clock.jump(0.125)
        return real(store, height)

    monkeypatch.setattr(Store, "served_block", slow)
    monkeypatch.setattr(stage, "send", lambda *frame: stage.sent.append(frame))

    def ask(validator: int) -> int:
        stage.driver._serve_decided(validator, Height(1))
        return len(stage.sent)

    assert [ask(1), ask(1), ask(2)] == [1, 1, 2]
    mock_clock.jump(SERVING_SHARE * 0.125 - 0.25)
    assert ask(1) == 2
    mock_clock.jump(0.25)
    assert ask(1) == 3


async def test_alarms_do_not_fill_the_log(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    stage = make_stage(tmp_path, 3)
    said: list[str] = []
    monkeypatch.setattr(stage.driver._log, "error", lambda event, **_: said.append(event), raising=False)
    for _ in range(50):
        await stage.driver._perform(Alarm("hostile"), nursery)
    assert said == ["consensus.alarm"]
    mock_clock.jump(ALARM_SECONDS)
    await stage.driver._perform(Alarm("hostile"), nursery)
    assert said == ["consensus.alarm"] * 2


# --- time


async def test_whoever_keeps_the_inbox_full_cannot_stop_the_timers(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    stage = make_stage(tmp_path, 3)
    key = TimerKey(TimerKind.ELECTION, EPOCH, Height(1), View(0), 1)
    stage.driver._timers[TimerKind.ELECTION] = driver_module._Timer(trio.current_time() + 1, key)
    mock_clock.jump(1)
    waited = 0.0
    stage.driver.feed(HandOverAsked())
    while (event := await stage.driver._next()) != TimerFired(key):
        assert event == HandOverAsked()
        stage.driver.feed(HandOverAsked())
        mock_clock.jump(GRACE_SECONDS / 4)
        waited += GRACE_SECONDS / 4
        assert waited < 4 * (GRACE_SECONDS + LATE_SECONDS)


async def test_what_arrived_while_the_node_was_held_up_is_read_before_a_late_timer_counts(
    tmp_path: Path, mock_clock: MockClock, nursery: trio.Nursery
) -> None:
    stage = make_stage(tmp_path, 3)
    key = TimerKey(TimerKind.ELECTION, EPOCH, Height(1), View(0), 1)
    stage.driver._timers[TimerKind.ELECTION] = driver_module._Timer(trio.current_time() + 1, key)
    mock_clock.jump(5)
    seen: list[Input] = []

    async def read() -> None:
        while True:
            seen.append(await stage.driver._next())

    nursery.start_soon(read)
    await trio.testing.wait_all_tasks_blocked()
    assert seen == []
    stage.driver.feed(HandOverAsked())
    await trio.testing.wait_all_tasks_blocked()
    assert seen == [HandOverAsked()]
    mock_clock.jump(GRACE_SECONDS)
    await trio.testing.wait_all_tasks_blocked()
    assert seen == [HandOverAsked(), TimerFired(key)]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("above_ms", [0, 1])
async def test_a_block_from_the_far_future_is_not_waited_for(
    tmp_path: Path, mock_clock: MockClock, nursery: trio.Nursery, above_ms: int
) -> None:
    stage = make_stage(tmp_path, 3)
    ahead_ms = CLOCK_AHEAD_MS_MAX + CLOCK_AHEAD_PROPOSE_MS_MAX + above_ms
    block = stage.chain.build(time_ms=stage.clock.wall_ms() + ahead_ms, proposer=1)
    nursery.start_soon(stage.driver._check, block)
    await trio.testing.wait_all_tasks_blocked()
    assert stage.waiting() == [BlockChecked(block.id, Verdict.UNWELCOME)]
    assert len(nursery.child_tasks) == 1 - above_ms
    nursery.cancel_scope.cancel()


async def test_an_invalid_block_from_the_future_is_invalid(tmp_path: Path, mock_clock: MockClock) -> None:
    stage = make_stage(tmp_path, 3)
    good = stage.chain.build(time_ms=stage.clock.wall_ms() + 60_000, proposer=1)
    header = replace(good.header, state_root=Hash32(bytes(32)))
    block = assemble_block(header, good.transactions, good.evidence, good.last_certificate)
    await stage.driver._check(block)
    assert stage.waiting() == [BlockChecked(block.id, Verdict.INVALID)]


@pytest.mark.parametrize("above_ms", [0, 1])
async def test_a_block_of_a_fast_clock_is_unwelcome_until_its_time(
    tmp_path: Path, mock_clock: MockClock, nursery: trio.Nursery, above_ms: int
) -> None:
    stage = make_stage(tmp_path, 3)
    ahead_ms = CLOCK_AHEAD_MS_MAX + above_ms
    block = stage.chain.build(time_ms=stage.clock.wall_ms() + ahead_ms, proposer=1)
    nursery.start_soon(stage.driver._check, block)
    await trio.testing.wait_all_tasks_blocked()
    verdict = Verdict.UNWELCOME if above_ms else Verdict.VALID
    assert stage.waiting() == [BlockChecked(block.id, verdict)]
    stage.clock.advance(above_ms)
    mock_clock.jump(0.001)
    await trio.testing.wait_all_tasks_blocked()
    assert stage.waiting()[-1] == BlockChecked(block.id, Verdict.VALID)


async def test_a_block_that_waited_for_its_time_and_was_decided_meanwhile_is_nobodys(
    tmp_path: Path, mock_clock: MockClock, nursery: trio.Nursery
) -> None:
    stage = make_stage(tmp_path, 3)
    block = stage.chain.build(time_ms=stage.clock.wall_ms() + 1_000, proposer=1)
    nursery.start_soon(stage.driver._check, block)
    await trio.testing.wait_all_tasks_blocked()
    await stage.driver.commit(block, stage.chain.certify(block))
    stage.clock.advance(1_000)
    mock_clock.jump(1)
    await trio.testing.wait_all_tasks_blocked()
    assert [type(event) for event in stage.waiting()] == [BlockChecked, BlockCommitted]


async def test_clocks_that_were_set_back_do_not_stop_the_chain(tmp_path: Path, mock_clock: MockClock) -> None:
    stage = make_stage(tmp_path, 3)
    head_ms = stage.chain.commit().header.time_ms
    stage.clock.set_wall(head_ms - 3_600_000)
    block = stage.chain.build(time_ms=head_ms + 1, proposer=1)
    await stage.driver._check(block)
    assert stage.waiting() == [BlockChecked(block.id, Verdict.VALID)]


# --- the next epoch


async def test_what_is_of_the_next_epoch_waits_for_the_crossing_and_is_verified_then(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    async with running(tmp_path) as stage:
        record = stage.chain.executor.record
        following = replace(
            record, number=EpochNumber(1), first_height=Height(2), previous_hash=record.compute_hash()
        )
        claim = Claim(EpochNumber(1), Height(2), View(1), 1, View(0), None, False)
        request = stage.sign(1, VoteRequest(claim))
        forged = VoteRequest(replace(claim, candidate=2), Signature(bytes(63) + b"\1"))
        stage.hear(1, request)
        stage.hear(2, forged)
        await stage.settle()
        assert Received(1, request, EpochNumber(1)) not in stage.driver.trace
        block = stage.chain.build()
        stage.driver._keys.prepare(following)
        stage.driver.feed(
            BlockCommitted(Height(1), block.id, block.header.time_ms, stage.chain.certify(block), following)
        )
        await stage.until(lambda: Received(1, request, EpochNumber(1)) in stage.driver.trace)
        await stage.settle()
        assert Received(2, forged, EpochNumber(1)) not in stage.driver.trace


# --- what is left behind


async def test_the_trace_keeps_no_bodies(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path) as stage:
        block = stage.chain.build(stage.chain.pay("ada", "bo", 3), proposer=1)
        stage.hear(1, stage.propose(1, 1, block))
        await stage.until(lambda: len(stage.said(Vote)) == 2)
        heard = [event.message for event in stage.driver.trace if isinstance(event, Received)]
        [kept] = [message for message in heard if isinstance(message, Proposal)]
        assert kept.block.id == block.id and kept.block.transactions == ()
        assert isinstance(stage.driver.trace[0], Start)


async def test_no_certificate_means_nothing_to_serve(tmp_path: Path) -> None:
    stage = make_stage(tmp_path, 3)
    stage.driver._serve_decided(1, Height(7))
    assert stage.sent == []


@pytest.mark.parametrize("stuck", [WORK_LOOKED_AT_MAX - 1, WORK_LOOKED_AT_MAX])
def test_work_is_seen_behind_so_many_that_cannot_run_and_not_behind_more(stuck: int) -> None:
    waiting = [*["stuck"] * stuck, "runs"]
    parts: Any = SimpleNamespace(
        evidence=(),
        _mempool=SimpleNamespace(next_of_payers=lambda: iter(waiting)),
        _executor=SimpleNamespace(can_run=lambda signed: signed == "runs"),
    )
    assert driver_module.Driver._has_work(parts) == (stuck < WORK_LOOKED_AT_MAX)


@pytest.mark.parametrize(
    ("size", "channel"),
    [(VOTE_CHANNEL_BYTES_MAX, Channel.VOTE), (VOTE_CHANNEL_BYTES_MAX + 1, Channel.BULK)],
)
async def test_what_is_larger_than_a_vote_goes_its_own_way(
    size: int, channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    async with running(tmp_path, 3) as stage:
        sent: list[Any] = []
        monkeypatch.setattr(stage, "send", lambda *frame: sent.append(frame))
        stage.driver._send(stage.chain.executor.record, 1, bytes(size))
        assert sent[-1] == (stage.peer(1), channel, bytes(size))
