"""What the daemon answers its gateway while blocks are being written and disks fill up."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio

from node.clock import Clock, FakeClock, SystemClock
from node.handlers import OFFSET_DIGITS_MAX, NodeHandlers
from node.ipc.messages import Proved, Verdict
from node.store.tables import BLOCKS
from node.watch.scrubber import Scrubber
from protocol.errors import Code, Rejected
from protocol.merkle.proof import verify_state
from tests.node.small_chain import SmallChain


async def test_a_proof_waits_for_the_tree_when_the_disk_is_ahead(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    chain = SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000)
    chain.commit()
    parts = SimpleNamespace(executor=chain.executor, store=chain.store)
    block = chain.build(chain.pay("ada", "bo", 7))
    prepared = chain.executor.prepared(block.id)
    assert prepared is not None
    [key, value] = next((k, v) for k, v in prepared.execution.writes.items() if v is not None)
    found: list[Proved] = []

    async def prove() -> None:
        found.append(await NodeHandlers(parts).prove(key))  # type: ignore[arg-type]

    chain.executor.write([(prepared, chain.certify(block))])
    nursery.start_soon(prove)
    await trio.testing.wait_all_tasks_blocked()
    assert found == []
    chain.executor.advance(prepared)
    with trio.fail_after(20):
        while not found:
            await trio.sleep(0.001)
    [proved] = found
    assert (proved.height, proved.value) == (2, value)
    assert verify_state(block.header.state_root, key, value, proved.proof)


@pytest.mark.parametrize("is_disk_low", [True, False])
async def test_work_is_refused_early_when_the_disk_is_almost_full(is_disk_low: bool) -> None:
    async def submit(transactions: tuple[bytes, ...]) -> list[SimpleNamespace]:
        return [SimpleNamespace(refusal=None) for _ in transactions]

    parts = SimpleNamespace(
        driver=SimpleNamespace(is_disk_low=is_disk_low), intake=SimpleNamespace(submit=submit)
    )
    verdicts = await NodeHandlers(parts).submit((b"one", b"two"))  # type: ignore[arg-type]
    full = Verdict(Code.FULL, "the disk of this node is almost full")
    assert verdicts == ((full if is_disk_low else Verdict(0)),) * 2


def moving_parts(*, is_dev: bool, clock: object) -> SimpleNamespace:
    shown: list[bool] = []
    return SimpleNamespace(
        executor=SimpleNamespace(rules=SimpleNamespace(is_dev=is_dev)),
        clock=clock,
        shown=shown,
        builder=SimpleNamespace(show_clock=lambda: shown.append(True)),
    )


async def test_the_clock_goes_forward_on_a_chain_of_development() -> None:
    clock = SystemClock()
    parts = moving_parts(is_dev=True, clock=clock)
    handlers = NodeHandlers(parts)  # type: ignore[arg-type]
    await handlers.admin("clock", ("86400000",))
    await handlers.admin("clock", ("86400000",))
    assert clock.offset_ms == 86_400_000 and parts.shown == [True, True]
    for offset in ("86399999", "-1", "1.5", "", "٣", "9" * 14):
        with pytest.raises(Rejected) as refused:
            await handlers.admin("clock", (offset,))
        assert refused.value.code == Code.MALFORMED
    assert clock.offset_ms == 86_400_000
    await handlers.admin("clock", ("9" * 13,))
    assert clock.offset_ms == 9_999_999_999_999


@pytest.mark.parametrize(("is_dev", "clock"), [(False, SystemClock()), (True, FakeClock())])
async def test_no_other_clock_is_moved(is_dev: bool, clock: Clock) -> None:
    before = clock.wall_ms()
    with pytest.raises(Rejected):
        await NodeHandlers(moving_parts(is_dev=is_dev, clock=clock)).admin("clock", ("86400000",))  # type: ignore[arg-type]
    assert clock.wall_ms() - before < 86_400_000


async def test_a_block_that_a_gateway_doubts_is_looked_at(tmp_path: Path) -> None:
    chain = SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000)
    chain.commit()
    chain.commit()
    handlers = NodeHandlers(
        SimpleNamespace(executor=chain.executor, scrubber=Scrubber(chain.store, chain.executor, 2))  # type: ignore[arg-type]
    )
    key = (2).to_bytes(8, "big")
    chain.store.environment.write(lambda txn: txn.put(BLOCKS, key, b"\x90"))
    await handlers.admin("check", ("1",))
    assert not chain.store.damaged
    await handlers.admin("check", ("2",))
    assert chain.store.damaged == {2}
    for height in ("0", "3", "-1", "", "٣", "1" * 5_000):
        with pytest.raises(Rejected) as refused:
            await handlers.admin("check", (height,))
        assert refused.value.code == Code.MALFORMED


@pytest.mark.parametrize("digits", [OFFSET_DIGITS_MAX, OFFSET_DIGITS_MAX + 1])
async def test_a_clock_goes_no_further_than_so_many_digits_say(digits: int) -> None:
    handlers = NodeHandlers(moving_parts(is_dev=True, clock=SystemClock()))  # type: ignore[arg-type]
    if digits == OFFSET_DIGITS_MAX:
        await handlers.admin("clock", ("1" * digits,))
        return
    with pytest.raises(Rejected) as refused:
        await handlers.admin("clock", ("1" * digits,))
    assert refused.value.code == Code.MALFORMED and "1 to 13 digits, this has 14" in str(refused.value)
