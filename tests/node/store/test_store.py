"""The store: what is committed comes back, all of it or nothing, also after kill -9 and flipped bits."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.store.check import check_store
from node.store.records import Head
from node.store.state import StateAhead
from node.store.store import Store
from node.store.tables import BLOCKS, CERTIFICATES, HEADERS
from protocol.chain.transaction import SignedTransaction
from protocol.errors import Rejected
from protocol.types import Height
from tests.node.store.chain_maker import (
    START_MS,
    ChainMaker,
    address,
    journal_key,
    ledger_account,
    transfer,
)


@pytest.fixture
def maker() -> ChainMaker:
    return ChainMaker({b"a": b"1", b"b": b"2", b"ba": b"3"})


@pytest.fixture
def store(tmp_path: Path, maker: ChainMaker) -> Iterator[Store]:
    Store.create(tmp_path / "chain", maker.genesis, maker.first_state, maker.first_root)
    opened = Store.open(tmp_path / "chain")
    yield opened
    opened.close()


def some(start: int, count: int) -> list[SignedTransaction]:
    return [transfer(n, actor=1 + n % 3) for n in range(start, start + count)]


def test_a_new_store_stands_at_genesis(store: Store, maker: ChainMaker) -> None:
    assert store.genesis() == maker.genesis
    assert store.head() == Head(0, maker.genesis_hash, START_MS, maker.first_root, 0)  # type: ignore[arg-type]
    assert store.epoch_at(1) == store.epoch(0) == maker.genesis.epoch
    assert store.epoch(1) is None
    assert store.load_safety() is None
    assert store.header(0) is store.block_bytes(1) is store.certificate(1) is None
    with store.view() as view:
        assert list(view.items()) == [(b"a", b"1"), (b"b", b"2"), (b"ba", b"3")]
        assert view.height == 0


def test_a_committed_block_comes_back(store: Store, maker: ChainMaker) -> None:
    txs = some(0, 5)
    commit = maker.next(txs, {b"a": b"9", b"b": None, b"c": b"4"})
    head = store.commit_blocks([commit])
    block = commit.block
    assert head == store.head() == Head(1, block.id, block.header.time_ms, maker.tree.root, 0)  # type: ignore[arg-type]
    assert store.block_bytes(1) == block.encode()
    assert store.served_block(1) == (block.encode(), commit.certificate.encode())
    assert store.header(1) == block.header and store.header_bytes(1) == block.header.encode()
    assert store.certificate(1) == commit.certificate
    assert store.block_height_of(block.id) == 1 and store.block_height_of(bytes(32)) is None
    assert store.receipts(1) == commit.receipt_bytes and store.receipts(2) == ()
    assert store.tx_ids(1) == tuple(t.id for t in txs)
    for index, signed in enumerate(txs):
        assert store.transaction(signed.id) == (1, index, signed.raw)
        assert store.receipt(signed.id) == (1, index, commit.receipt_bytes[index])
    assert store.transaction(bytes(32)) is store.receipt(bytes(32)) is None
    with store.view() as view:
        assert dict(view.items()) == {b"a": b"9", b"ba": b"3", b"c": b"4"}
    assert store.undo(1) == {b"a": b"1", b"b": b"2", b"c": None}


def test_an_id_with_the_same_beginning_is_another(store: Store, maker: ChainMaker) -> None:
    (signed,) = some(0, 1)
    store.commit_blocks([maker.next([signed])])
    assert store.transaction(signed.id[:8] + bytes(24)) is None


def test_scan_stays_inside_its_prefix(store: Store) -> None:
    with store.view() as view:
        assert view.get(b"b") == b"2" and view.get(b"x") is None
        assert list(view.scan(b"b")) == [(b"b", b"2"), (b"ba", b"3")]
        assert list(view.scan(b"b", b"ba")) == [(b"ba", b"3")]
        assert list(view.scan(b"b", b"a")) == [(b"b", b"2"), (b"ba", b"3")]
        assert list(view.scan(b"b", b"c")) == []


@pytest.mark.parametrize("key", [b"", bytes(64), bytes(65), b"\xff" * 600])
def test_any_bytes_may_be_asked_for(store: Store, key: bytes) -> None:
    """Keys come from outside: none may be taken for a broken disk."""
    assert store.block_height_of(key) is store.transaction(key) is store.receipt(key) is None
    with store.view() as view:
        assert view.get(key) is None
        assert list(view.scan(key, key)) == (list(view.items()) if key == b"" else [])
        assert list(view.scan(b"b", key)) == ([] if key > b"b" else list(view.scan(b"b")))


def test_a_view_keeps_its_moment(store: Store, maker: ChainMaker) -> None:
    with store.view() as view:
        store.commit_blocks([maker.next((), {b"a": b"new"})])
        assert view.get(b"a") == b"1" and view.height == 0
    with store.view() as view:
        assert view.get(b"a") == b"new" and view.height == 1


def test_accounts_and_journals_are_newest_first(store: Store, maker: ChainMaker) -> None:
    """Over many blocks, so that runs of the indexes are merged."""
    expected: list[tuple[int, int, bytes]] = []
    rows: list[tuple[int, bytes]] = []
    number = 0
    for height in range(1, 201):
        txs = some(number, height % 4)
        number += len(txs)
        journal = [(journal_key(7, len(rows) + 1), b"row %d" % height)] if height % 3 else []
        rows += [(len(rows) + 1, b"row %d" % height)] if height % 3 else []
        store.commit_blocks([maker.next(txs, journal=journal)])
        expected += [(height, i, t.id) for i, t in enumerate(txs) if t.tx.actors[0] == address(1)]
    expected.reverse()
    rows.reverse()

    def ask(before: tuple[int, int] | None, limit: int) -> list[tuple[int, int, bytes]]:
        return [(p.height, p.index, p.tx_id) for p in store.account_transactions(address(1), before, limit)]

    assert ask(None, 1_000) == expected and len(expected) == 100
    assert ask(None, 10) == expected[:10]
    assert ask(expected[9][:2], 10) == expected[10:20]
    assert store.account_transactions(address(99)) == []
    found = store.journal(ledger_account(7), limit=1_000)
    assert [(r.sequence, r.row) for r in found] == rows
    assert [r.sequence for r in store.journal(ledger_account(7), before=50, limit=3)] == [49, 48, 47]
    assert store.journal(ledger_account(8)) == []
    for height, index, tx_id in expected:
        assert store.transaction(tx_id)[:2] == (height, index)  # type: ignore[index]


def test_blocks_must_follow_and_belong_together(store: Store, maker: ChainMaker) -> None:
    first, second = maker.next(), maker.next()
    for wrong in (
        second,
        replace(first, certificate=second.certificate),
        replace(first, receipt_bytes=(b"one too many",)),
        replace(first, next_record=maker.next_record()),
    ):
        with pytest.raises(AssertionError):
            store.commit_blocks([wrong])
        assert store.head().height == 0 and store.block_bytes(1) is None
    store.commit_blocks([first])
    with pytest.raises(AssertionError):
        store.commit_blocks([first])
    store.commit_blocks([second])


def test_the_safety_record_is_replaced_and_ends_with_its_epoch(store: Store, maker: ChainMaker) -> None:
    store.save_safety(b"one")
    store.save_safety(b"two")
    store.commit_blocks([maker.next()])
    assert store.load_safety() == b"two"
    record = maker.next_record()
    head = store.commit_blocks([maker.next(next_record=record)])
    assert head.epoch == 1 and store.load_safety() is None
    assert store.epoch_at(2).number == 0 and store.epoch_at(3) == store.epoch(1) == record
    store.commit_blocks([maker.next()])
    assert store.head().epoch == 1


def test_undo_is_kept_for_so_many_blocks(tmp_path: Path, maker: ChainMaker) -> None:
    Store.create(tmp_path / "chain", maker.genesis, maker.first_state, maker.first_root)
    store = Store.open(tmp_path / "chain", past_blocks=3)
    for number in range(1, 6):
        store.commit_blocks([maker.next((), {b"a": b"%d" % number})])
        assert store.oldest_state() == max(0, number - 3)
    assert [store.undo(height) for height in (1, 2)] == [None, None]
    assert store.undo(3) == {b"a": b"2"} and store.undo(5) == {b"a": b"4"}


def test_everything_is_there_after_opening_again(tmp_path: Path, maker: ChainMaker) -> None:
    Store.create(tmp_path / "chain", maker.genesis, maker.first_state, maker.first_root)
    store = Store.open(tmp_path / "chain")
    txs = some(0, 3)
    store.commit_blocks([maker.next(txs, {b"a": b"9"})])
    store.save_safety(b"promise")
    head = store.head()
    store.close()
    store = Store.open(tmp_path / "chain")
    assert store.head() == head and store.load_safety() == b"promise"
    assert store.transaction(txs[2].id) == (1, 2, txs[2].raw)
    store.close()


def test_a_flipped_bit_in_a_block_is_found(store: Store, maker: ChainMaker) -> None:
    for start in range(0, 12, 4):
        store.commit_blocks([maker.next(some(start, 4))])
    for height in (1, 3):
        key = height.to_bytes(8, "big")
        whole = store.block_bytes(height)
        assert whole is not None
        for at in range(0, len(whole), 7):
            bad = bytearray(whole)
            bad[at] ^= 1 << at % 8
            store.environment.write(lambda txn, k=key, v=bytes(bad): txn.put(BLOCKS, k, v))  # type: ignore[misc]
            assert store.served_block(height) is None and store.damaged == {height}
        store.environment.write(lambda txn, k=key, v=whole: txn.put(BLOCKS, k, v))  # type: ignore[misc]
        served = store.served_block(height)
        assert served is not None and served[0] == whole
        store.repair_block(Height(height), *served)
        assert not store.damaged
    assert store.served_block(4) is store.served_block(0) is None and not store.damaged


@pytest.mark.parametrize("table", [HEADERS, BLOCKS, CERTIFICATES])
def test_what_is_damaged_is_replaced_by_what_a_quorum_signed(
    store: Store, maker: ChainMaker, table: str
) -> None:
    for _ in range(3):
        store.commit_blocks([maker.next()])
    sound = [store.served_block(height) or (b"", b"") for height in (1, 2, 3)]
    key = (2).to_bytes(8, "big")
    with store.environment.read() as txn:
        row = bytearray(txn.get(table, key) or b"")
    row[-3] ^= 1
    store.environment.write(lambda txn: txn.put(table, key, bytes(row)))
    assert store.served_block(2) is None and store.damaged == {2}
    for block, certificate in (sound[0], sound[2], (sound[1][0], sound[2][1]), (b"\xc1", sound[1][1])):
        with pytest.raises(Rejected):
            store.repair_block(Height(2), block, certificate)
    assert store.damaged == {2}
    store.repair_block(Height(2), *sound[1])
    assert [store.served_block(height) for height in (1, 2, 3)] == sound and not store.damaged
    assert check_store(store).is_sound


def test_a_damaged_header_does_not_accuse_its_neighbours(store: Store, maker: ChainMaker) -> None:
    for _ in range(3):
        store.commit_blocks([maker.next()])
    header = bytearray(store.header_bytes(2) or b"")
    header[-100] ^= 1
    header[0] ^= 0x10
    store.environment.write(lambda txn: txn.put(HEADERS, (2).to_bytes(8, "big"), bytes(header)))
    assert [store.served_block(height) is None for height in (1, 2, 3)] == [False, True, False]


def test_a_run_of_blocks_is_one_commit_or_none(store: Store, maker: ChainMaker) -> None:
    run = [maker.next(some(0, 3), {b"a": b"9"}), maker.next((), {b"b": None}), maker.next(some(3, 5))]
    with pytest.raises(AssertionError):
        store.commit_blocks((run[0], run[2]))
    assert store.head().height == 0 and store.served_block(1) is None
    assert store.commit_blocks(run).height == 3
    assert check_store(store).is_sound
    assert store.undo(2) == {b"b": b"2"}


def test_the_state_ahead_is_the_state_after_the_writes(store: Store, maker: ChainMaker) -> None:
    writes = {b"a": None, b"aa": b"5", b"b": b"7", b"bb": b"8", b"c": None}
    with store.view() as view:
        ahead = StateAhead(view, writes)
        assert [ahead.get(key) for key in (b"a", b"aa", b"b", b"ba", b"zz")] == [None, b"5", b"7", b"3", None]
        assert list(ahead.scan(b"")) == [(b"aa", b"5"), (b"b", b"7"), (b"ba", b"3"), (b"bb", b"8")]
        assert list(ahead.scan(b"b", b"ba")) == [(b"ba", b"3"), (b"bb", b"8")]
        assert list(ahead.scan(b"a")) == [(b"aa", b"5")] and not list(ahead.scan(b"c"))


WRITER = """
import sys
from pathlib import Path
from node.store.state import StateAhead
from node.store.store import Store
from tests.node.store.chain_maker import ChainMaker, transfer
store = Store.open(Path(sys.argv[1]))
maker = ChainMaker()
done = store.head().height
for height in range(1, 10_000):
    writes = {b"height": height.to_bytes(8, "big"), b"k%d" % (height % 50): b"v"}
    commit = maker.next([transfer(height)], writes)
    if height > done:
        store.commit_blocks([commit])
        store.save_safety(height.to_bytes(8, "big"))
        print(height, flush=True)
"""


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Ten kills of a writing process at ten moments; parts never disagree afterwards."""
    path = tmp_path / "chain"
    maker = ChainMaker()
    Store.create(path, maker.genesis, maker.first_state, maker.first_root)
    acknowledged = 0
    for round_ in range(10):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(1 + round_ % 4):
                acknowledged = int(writer.stdout.readline())
            writer.kill()
            acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))])
        store = Store.open(path)
        head = store.head()
        assert head.height in (acknowledged, acknowledged + 1)
        assert store.served_block(head.height) is not None
        header = store.header(head.height)
        assert header is not None and header.compute_id() == head.block_id
        certificate = store.certificate(head.height)
        assert certificate is not None and certificate.block_id == head.block_id
        with store.view() as view:
            assert view.get(b"height") == head.height.to_bytes(8, "big")
        safety = int.from_bytes(store.load_safety() or b"", "big")
        assert acknowledged <= safety <= head.height
        for height in range(1, head.height + 1):
            assert store.receipt(transfer(height).id) is not None
        store.close()
    assert acknowledged >= 10
