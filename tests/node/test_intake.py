"""What becomes of a transaction that comes in, what it costs, and what is sent on."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from node import intake as intake_module
from node.intake import REPEAT_SECONDS, Intake
from node.mempool import Mempool, MempoolLimits
from node.net.transport import Channel
from node.wire import BATCH_FLUSH_BYTES, BATCH_TXS_MAX, decode_batch, split
from protocol import crypto
from protocol.chain.transaction import SignedTransaction, assemble
from protocol.errors import Code, Rejected
from protocol.transition import Admission, check_admission
from protocol.types import Seconds
from tests.node.small_chain import SmallChain


class Wire:
    """A network that keeps what is broadcast."""

    def __init__(self) -> None:
        self.batches: list[tuple[bytes, ...]] = []

    def broadcast(self, channel: Channel, data: bytes) -> int:
        assert channel is Channel.BULK
        self.batches.append(decode_batch(split(data)[1]))
        return 2

    def sent(self) -> list[bytes]:
        return [raw for batch in self.batches for raw in batch]


class Stage:
    def __init__(self, folder: Path, limits: MempoolLimits | None = None) -> None:
        self.chain = SmallChain(folder / "store", int(time.time() * 1_000) - 60_000)
        self.pool, self.wire, self.woken = Mempool(limits), Wire(), 0
        self.intake = Intake(
            self.chain.genesis_hash,
            self.pool,
            self.wire,
            self.admit,
            lambda tx_id: self.chain.store.place_of(tx_id) is not None,
            self.wake,
        )

    def admit(self, transactions):  # type: ignore[no-untyped-def]
        found: list[Admission | Rejected] = []
        with self.chain.store.view() as state:
            for signed in transactions:
                try:
                    now = Seconds(int(time.time()))
                    found.append(check_admission(state, self.chain.executor.rules, now, signed))
                except Rejected as refusal:
                    found.append(refusal)
        return found

    def wake(self) -> None:
        self.woken += 1

    def pay(self, memo: str = "") -> SignedTransaction:
        return self.chain.pay("ada", "bo", 1, memo)

    def forge(self) -> SignedTransaction:
        return self.chain.forge("ada", "bo")

    async def submit(self, *transactions: SignedTransaction) -> list[int]:
        outcomes = await self.intake.submit([signed.raw for signed in transactions])
        return [0 if one.refusal is None else one.refusal.code for one in outcomes]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def test_each_of_a_batch_has_its_own_outcome(stage: Stage) -> None:
    good, forged, foreign = stage.pay(), stage.forge(), stage.pay()
    foreign = assemble(replace(foreign.tx, chain_name="other"), stage.chain.genesis_hash, foreign.signatures)
    outcomes = await stage.intake.submit([good.raw, b"junk", forged.raw, good.raw, foreign.raw])
    codes = [None if one.refusal is None else one.refusal.code for one in outcomes]
    assert codes[0] is None and codes[2:] == [Code.BAD_SIG, Code.EXISTS, Code.BAD_SIG]
    assert outcomes[1].tx_id is None and codes[1] in (Code.MALFORMED, Code.NOT_CANONICAL)
    assert [one.tx_id for one in outcomes[2:]] == [forged.id, good.id, foreign.id]
    assert stage.pool.ids() == [good.id] and stage.woken == 1


async def test_what_was_received_or_committed_exists(stage: Stage) -> None:
    signed = stage.pay()
    assert await stage.submit(signed) == [Code.OK]
    checked = stage.intake.signatures_checked
    assert await stage.submit(signed) == [Code.EXISTS]
    assert stage.intake.signatures_checked == checked
    stage.chain.commit(signed)
    late = Stage.__new__(Stage)
    late.__dict__.update(stage.__dict__, pool=Mempool())
    late.intake = Intake(
        stage.chain.genesis_hash, late.pool, stage.wire, late.admit, lambda _: True, stage.wake
    )
    assert await late.submit(signed) == [Code.EXISTS]


async def test_a_full_mempool_refuses_with_retry(tmp_path: Path) -> None:
    stage = Stage(tmp_path, MempoolLimits(txs=1))
    assert await stage.submit(stage.pay()) == [Code.OK]
    [outcome] = await stage.intake.submit([stage.pay().raw])
    assert outcome.refusal is not None and outcome.refusal.code == Code.FULL and outcome.refusal.retry


async def test_a_signature_is_checked_once_until_the_block_is_committed(stage: Stage) -> None:
    signed = stage.pay()
    await stage.submit(signed)
    await stage.intake.check_signatures([signed])
    assert stage.intake.signatures_checked == 1
    assert stage.intake.decode(signed.raw) is stage.intake.decode(signed.raw)
    stage.intake.forget([signed])
    assert stage.intake.decode(signed.raw) is not stage.intake.decode(signed.raw)
    await stage.intake.check_signatures([signed])
    assert stage.intake.signatures_checked == 2


async def test_a_block_with_a_forged_signature_is_refused_again_and_again(stage: Stage) -> None:
    good, forged = stage.pay(), stage.forge()
    for _ in range(2):
        with pytest.raises(Rejected) as caught:
            await stage.intake.check_signatures([good, forged])
        assert caught.value.code == Code.BAD_SIG


async def test_what_is_refused_is_not_kept(stage: Stage) -> None:
    """Otherwise anybody with a key of his own fills the memory, account or not."""
    stranger = stage.chain.pay("ada", "bo", 1)
    expired = stage.chain.pay_until("ada", "bo", int(time.time()) - 10)
    assert await stage.submit(expired) == [Code.EXPIRED]
    assert stage.intake.decode(expired.raw) is not stage.intake.decode(expired.raw)
    assert await stage.submit(stranger) == [Code.OK]
    assert stage.intake.decode(stranger.raw) is stage.intake.decode(stranger.raw)


@pytest.mark.parametrize("room", [0, -1])
async def test_verified_bytes_are_limited(stage: Stage, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    one, two = stage.pay("one"), stage.pay("two")
    monkeypatch.setattr(intake_module, "VERIFIED_BYTES_MAX", len(one.raw) + len(two.raw) + room)
    await stage.submit(one, two)
    kept = [stage.intake.decode(s.raw) is stage.intake.decode(s.raw) for s in (one, two)]
    assert kept == [room == 0, True]


@pytest.mark.parametrize("room", [0, -1])
async def test_verified_transactions_are_limited(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(intake_module, "VERIFIED_TXS_MAX", 2 + room)
    one, two = stage.pay(), stage.pay()
    await stage.submit(one, two)
    kept = [stage.intake.decode(s.raw) is stage.intake.decode(s.raw) for s in (one, two)]
    assert kept == [room == 0, True]


async def test_members_transactions_are_sent_once_and_others_never(
    stage: Stage, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    nursery.start_soon(stage.intake.run)
    own, others = [stage.pay(), stage.pay()], stage.pay()
    await stage.submit(own[0])
    await stage.submit(own[1], stage.forge())
    await stage.intake.accept([others.raw])
    await trio.sleep(0.1)
    assert stage.wire.batches == [tuple(signed.raw for signed in own)]


async def test_what_still_waits_is_sent_again_and_counts_from_its_first_day(
    stage: Stage, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    nursery.start_soon(stage.intake.run)
    lost, taken = stage.pay(), stage.pay()
    await stage.submit(lost, taken)
    await trio.sleep(REPEAT_SECONDS / 2)
    stage.pool.remove_committed([taken.id])
    await trio.sleep(4 * REPEAT_SECONDS)
    sent = stage.wire.sent()
    assert sent.count(taken.raw) == 1 and sent.count(lost.raw) in (3, 4, 5)
    assert stage.intake.oldest_ms() == round(4.5 * REPEAT_SECONDS * 1_000)
    stage.pool.drop(lost.id)
    await trio.sleep(REPEAT_SECONDS)
    assert stage.intake.oldest_ms() == 0


@pytest.mark.parametrize(("count", "size"), [(BATCH_TXS_MAX + 1, 1), (5, BATCH_FLUSH_BYTES // 2)])
async def test_batches_on_the_wire_are_bounded(stage: Stage, count: int, size: int) -> None:
    stage.intake._outbox.extend([b"x" * size] * count)
    stage.intake._flush()
    assert len(stage.wire.sent()) == count and len(stage.wire.batches) > 1
    assert all(len(batch) <= BATCH_TXS_MAX for batch in stage.wire.batches)
    assert all(sum(map(len, batch[:-1])) < BATCH_FLUSH_BYTES for batch in stage.wire.batches)


async def test_what_a_commit_took_while_signatures_were_checked_does_not_come_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed, real = stage.pay(), crypto.verify_many

    def commit_meanwhile(checks):  # type: ignore[no-untyped-def]
        stage.chain.commit(signed)
        stage.pool.remove_committed([signed.id])
        return real(checks)

    monkeypatch.setattr("node.intake.crypto.verify_many", commit_meanwhile)
    assert await stage.submit(signed) == [Code.EXISTS]
    assert len(stage.pool) == 0
