"""The check of a store: sound as committed, and each kind of damage is found where it is."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.store.blocks import GENESIS_KEY
from node.store.check import FINDINGS_MAX, CheckReport, Finding, check_store
from node.store.store import Store
from node.store.tables import (
    BLOCK_HEIGHTS,
    BLOCKS,
    CERTIFICATES,
    EPOCHS,
    HEADERS,
    META,
    RECEIPTS,
    STATE,
    TX_IDS,
    UNDO,
)
from protocol import codec
from protocol.types import Hash32
from tests.node.store.chain_maker import ChainMaker, transfer

BLOCKS_MADE = 6
SEAL = 3


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    maker = ChainMaker({b"a": b"1", b"b": b"2"})
    Store.create(tmp_path / "chain", maker.genesis, maker.first_state, maker.first_root)
    opened = Store.open(tmp_path / "chain")
    for height in range(1, BLOCKS_MADE + 1):
        txs = [transfer(height * 10 + n) for n in range(2)]
        record = maker.next_record() if height == SEAL else None
        opened.commit_blocks([maker.next(txs, {b"k%d" % height: b"v"}, next_record=record)])
    yield opened
    opened.close()


def test_a_sound_store(store: Store) -> None:
    seen: list[int] = []
    report = check_store(store, on_height=seen.append)
    assert report == CheckReport(BLOCKS_MADE, 0, 2 * BLOCKS_MADE, 2, 2 + BLOCKS_MADE, ())  # type: ignore[arg-type]
    assert report.is_sound and seen == list(range(1, BLOCKS_MADE + 1))


def test_an_empty_chain_is_sound(tmp_path: Path) -> None:
    maker = ChainMaker()
    Store.create(tmp_path / "empty", maker.genesis, maker.first_state, maker.first_root)
    empty = Store.open(tmp_path / "empty")
    assert check_store(empty).is_sound
    empty.close()


def test_further_checks_of_the_state(store: Store) -> None:
    report = check_store(store, lambda view: ["coins were made"] if view.get(b"a") == b"1" else [])
    assert [(f.height, f.what) for f in report.findings] == [(BLOCKS_MADE, "state: coins were made")]


def flip(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("height", [1, SEAL, BLOCKS_MADE])
@pytest.mark.parametrize(
    ("table", "word", "damage"),
    [
        (HEADERS, "header", None),
        (HEADERS, "header", flip),
        (BLOCKS, "block", None),
        (BLOCKS, "block", flip),
        (CERTIFICATES, "certificate", None),
        (CERTIFICATES, "certificate", flip),
        (RECEIPTS, "receipts", None),
        (RECEIPTS, "receipts", flip),
        (TX_IDS, "transaction ids", None),
    ],
)
def test_damage_by_height_is_found(
    store: Store, table: str, word: str, damage: Callable[[bytes], bytes] | None, height: int
) -> None:
    key = height.to_bytes(8, "big")

    def spoil(txn) -> None:  # type: ignore[no-untyped-def]
        if damage is None:
            txn.delete(table, key)
        else:
            txn.put(table, key, damage(txn.get(table, key)))

    store.environment.write(spoil)
    report = check_store(store)
    assert any(f.height == height and f.what.startswith(word) for f in report.findings), report.findings


def test_other_damage_is_found(store: Store) -> None:
    write = store.environment.write
    write(lambda txn: txn.put(STATE, b"a", b"2"))
    assert [f.what for f in check_store(store).findings] == ["state: another root than the head's"]
    write(lambda txn: txn.put(STATE, b"a", b"1"))
    write(lambda txn: txn.delete(STATE, b"k2"))
    assert not check_store(store).is_sound
    write(lambda txn: txn.put(STATE, b"k2", b"v"))
    assert check_store(store).is_sound
    write(lambda txn: txn.delete(EPOCHS, (1).to_bytes(4, "big")))
    assert check_store(store).findings[0].height == SEAL


def test_another_epoch_record_is_found(store: Store) -> None:
    key = (1).to_bytes(4, "big")
    record = store.epoch(1)
    assert record is not None
    other = replace(record, decided_by=Hash32(bytes([1]) * 32))
    store.environment.write(lambda txn: txn.put(EPOCHS, key, codec.encode(other.to_value())))
    assert Finding(SEAL, "epoch: the next record is not the one that the seal names") in (
        check_store(store).findings
    )


def test_another_genesis_is_found(store: Store) -> None:
    other = replace(store.genesis(), name="other-1")
    store.environment.write(lambda txn: txn.put(META, GENESIS_KEY, other.encode()))
    assert Finding(1, "header: does not follow the one before") in check_store(store).findings


def test_a_missing_id_is_found(store: Store) -> None:
    header = store.header(2)
    assert header is not None
    store.environment.write(lambda txn: txn.delete(BLOCK_HEIGHTS, header.compute_id()))
    assert [(f.height, f.what) for f in check_store(store).findings] == [(2, "block: not found by its id")]


def test_findings_are_bounded(tmp_path: Path) -> None:
    maker = ChainMaker()
    Store.create(tmp_path / "many", maker.genesis, maker.first_state, maker.first_root)
    many = Store.open(tmp_path / "many")
    for _ in range(FINDINGS_MAX + 5):
        many.commit_blocks([maker.next([transfer(maker.height)])])
    heights = range(1, FINDINGS_MAX + 6)
    many.environment.write(lambda txn: [txn.delete(RECEIPTS, h.to_bytes(8, "big")) for h in heights])
    report = check_store(many)
    assert len(report.findings) == FINDINGS_MAX
    many.close()


def put(store: Store, table: str, key: bytes, row: bytes) -> None:
    store.environment.write(lambda txn: txn.put(table, key, row))


def test_damage_in_what_blocks_replaced_is_found(store: Store) -> None:
    for height in (1, SEAL, BLOCKS_MADE):
        key = height.to_bytes(8, "big")
        with store.environment.read() as txn:
            row = txn.get(UNDO, key)
        assert row is not None
        for at in range(len(row)):
            bad = row[:at] + bytes([row[at] ^ 1]) + row[at + 1 :]
            put(store, UNDO, key, bad)
            [finding] = check_store(store).findings
            assert finding.what.startswith(f"undo of height {height}: ")
        put(store, UNDO, key, row)
    store.environment.write(lambda txn: txn.delete(UNDO, (SEAL).to_bytes(8, "big")))
    assert [f.what for f in check_store(store).findings] == ["undo: other heights than the last ones"]
