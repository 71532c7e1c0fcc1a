"""The scrubber finds what changed on disk, takes no more than its share, and never lets wrong books pass."""

import time
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from node.errors import OperationError
from node.executor import Executor
from node.store.check import check_store
from node.store.tables import (
    ACCOUNT_RUNS,
    BLOCK_HEIGHTS,
    BLOCKS,
    CERTIFICATES,
    HEADERS,
    JOB_RUNS,
    JOURNAL,
    JOURNAL_RUNS,
    RECEIPTS,
    STATE,
    TX_IDS,
    TX_RUNS,
)
from node.watch.scrubber import REST_SECONDS_MIN, Scrubber
from protocol.types import Height
from tests.node.job_chain import make_job_chain
from tests.node.small_chain import SmallChain


def make_chain(folder: Path, blocks: int = 4) -> SmallChain:
    chain = SmallChain(folder / "chain", int(time.time() * 1_000) - 60_000)
    for number in range(blocks):
        chain.commit(chain.pay("ada", "bo", 1, f"{number}"))
    return chain


def scrub(chain: SmallChain) -> None:
    for _ in Scrubber(chain.store, chain.executor, 2).check_all():
        pass


def test_a_sound_store_is_left_alone(tmp_path: Path) -> None:
    chain = make_chain(tmp_path)
    scrubber = Scrubber(chain.store, chain.executor, 2)
    for _ in scrubber.check_all():
        pass
    assert not chain.store.damaged and not scrubber.history_faults


@pytest.mark.parametrize("table", [HEADERS, BLOCKS, CERTIFICATES])
def test_every_damaged_block_is_noted(tmp_path: Path, table: str) -> None:
    chain = make_chain(tmp_path)
    for height in (1, 3, 4):
        key = height.to_bytes(8, "big")
        with chain.store.environment.read() as txn:
            row = bytearray(txn.get(table, key) or b"")
        row[len(row) // 2] ^= 1
        chain.store.environment.write(lambda txn, k=key, r=bytes(row): txn.put(table, k, r))  # type: ignore[misc]
    scrub(chain)
    assert chain.store.damaged == {1, 3, 4}


@pytest.mark.parametrize("how", ["value", "gone", "new"])
def test_a_damaged_state_ends_the_node_while_it_runs_and_at_the_next_start(tmp_path: Path, how: str) -> None:
    chain = make_chain(tmp_path)
    with chain.store.view() as view:
        key, value = list(view.items())[7]
    match how:
        case "value":
            chain.store.environment.write(lambda txn: txn.put(STATE, key, value[:-1] + b"\x7f"))
        case "gone":
            chain.store.environment.write(lambda txn: txn.delete(STATE, key))
        case _:
            chain.store.environment.write(lambda txn: txn.put(STATE, key + b"x", value))
    for look in (lambda: scrub(chain), lambda: Executor(chain.store)):
        with pytest.raises(OperationError) as caught:
            look()
        assert caught.value.slug == "store.state_damaged"


def test_a_block_that_is_being_written_is_no_damage(tmp_path: Path) -> None:
    """The disk is ahead of the tree for a moment: the scrubber looks again later."""
    chain = make_chain(tmp_path)
    walk = Scrubber(chain.store, chain.executor, 2).check_all()
    block = chain.build(chain.pay("ada", "bo", 1))
    prepared = chain.executor.prepared(block.id)
    assert prepared is not None
    chain.executor.write([(prepared, chain.certify(block))])
    for _ in range(5):
        next(walk)
    chain.executor.advance(prepared)
    assert sum(1 for _ in walk) >= 5 and not chain.store.damaged


@pytest.mark.parametrize(("share_pct", "is_on"), [(0, False), (10, True)])
async def test_it_takes_its_share_and_no_more(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch, share_pct: int, is_on: bool
) -> None:
    chain = make_chain(tmp_path, 1)
    scrubber = Scrubber(chain.store, chain.executor, share_pct)
    steps = 0

    def slow() -> object:
        nonlocal steps
        while True:
            mock_clock.jump(REST_SECONDS_MIN)
            steps += 1
            yield

    monkeypatch.setattr(scrubber, "check_all", slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scrubber.run)
        for _ in range(100):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(REST_SECONDS_MIN)
        nursery.cancel_scope.cancel()
    assert (5 <= steps <= 20) is is_on and (steps > 0) is is_on


@pytest.mark.parametrize("table", [RECEIPTS, TX_IDS, JOB_RUNS])
@pytest.mark.parametrize("where", ["bit", "gone"])
def test_damaged_receipts_and_ids_are_reported(tmp_path: Path, table: str, where: str) -> None:
    chain = make_job_chain(tmp_path / "chain", int(time.time() * 1_000) - 60_000)
    with chain.store.environment.read() as txn:
        key, row = list(txn.ascend(table))[1]
    bad = row[:-1] + bytes((row[-1] ^ 1,))
    chain.store.environment.write(lambda txn: txn.delete(table, key))
    if where == "bit":
        chain.store.environment.write(lambda txn: txn.put(table, key, bad))
    scrubber, height = Scrubber(chain.store, chain.executor, 2), int.from_bytes(key, "big")
    for _ in scrubber.check_all():
        pass
    assert any(fault.startswith(f"block {height}: ") for fault in scrubber.history_faults)
    assert not chain.store.damaged and not check_store(chain.store).is_sound
    chain.store.environment.write(lambda txn: txn.put(table, key, row))
    for _ in scrubber.check_all():
        pass
    assert not scrubber.history_faults and check_store(chain.store).is_sound


def test_a_block_that_is_not_found_by_its_id_is_fetched_again(tmp_path: Path) -> None:
    chain = make_chain(tmp_path)
    block, certificate = chain.store.served_block(2) or (b"", b"")
    with chain.store.environment.read() as txn:
        key = next(key for key, height in txn.ascend(BLOCK_HEIGHTS) if height == (2).to_bytes(8, "big"))
    chain.store.environment.write(lambda txn: txn.delete(BLOCK_HEIGHTS, key))
    scrub(chain)
    assert chain.store.damaged == {2} and chain.store.block_height_of(key) is None
    chain.store.repair_block(Height(2), block, certificate)
    scrub(chain)
    assert not chain.store.damaged and chain.store.block_height_of(key) == 2


@pytest.mark.parametrize("table", [TX_RUNS, ACCOUNT_RUNS, JOURNAL_RUNS, JOURNAL])
@pytest.mark.parametrize("where", ["first", "middle", "last", "key"])
def test_every_damaged_row_of_history_is_reported(tmp_path: Path, table: str, where: str) -> None:
    chain = make_chain(tmp_path)
    with chain.store.environment.read() as txn:
        key, row = list(txn.ascend(table))[-1]
    bad = bytearray(row)
    bad[{"first": 0, "middle": len(row) // 2, "last": -1, "key": 0}[where]] ^= where != "key"
    other = key[:7] + b"\x70" + key[8:] if where == "key" else key
    chain.store.environment.write(lambda txn: txn.delete(table, key))
    chain.store.environment.write(lambda txn: txn.put(table, other, bytes(bad)))
    scrubber = Scrubber(chain.store, chain.executor, 2)
    for _ in scrubber.check_all():
        pass
    [fault] = scrubber.history_faults
    assert fault.startswith(f"{table}: ") and not chain.store.damaged
    assert not check_store(chain.store).is_sound
