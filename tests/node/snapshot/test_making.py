"""Snapshots of a store: alike on all nodes, whole on disk, checked; and a chain that goes on from one."""

import hashlib
import shutil
import time
from pathlib import Path

import pytest

from node.cli.operator.money_check import find_money_faults
from node.errors import OperationError
from node.executor import Executor
from node.snapshot.folder import SNAPSHOTS_KEPT, SnapshotFolder
from node.snapshot.making import check_rows, create_snapshot, open_snapshot, restore_store
from node.store.check import check_store
from node.store.store import Store
from protocol.chain.validators import EngineKind
from protocol.types import Height
from tests.node.small_chain import SmallChain


def chain_of(path: Path, blocks: int = 4, **more: int) -> SmallChain:
    chain = SmallChain(path, int(time.time() * 1_000) - 60_000, **more)
    for number in range(blocks):
        chain.commit(chain.pay("ada", "bo", 1, f"{number}"))
    return chain


def files_of(place: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in place.iterdir()}


def restored(chain: SmallChain, folder: SnapshotFolder, height: int, path: Path) -> Store:
    verified = open_snapshot(folder, height, chain.genesis)
    restore_store(verified, folder, path)
    return Store.open(path)


def test_a_snapshot_of_a_height_is_alike_whenever_it_is_made(tmp_path: Path) -> None:
    chain = chain_of(tmp_path / "store")
    early, late = SnapshotFolder(tmp_path / "a"), SnapshotFolder(tmp_path / "b")
    made = create_snapshot(chain.store, early)
    for _ in range(3):
        chain.commit(chain.pay("bo", "ada", 2))
    assert create_snapshot(chain.store, late, 4) == made
    assert files_of(early.place(4)) == files_of(late.place(4))
    assert create_snapshot(chain.store, late).state_root == chain.executor.head.state_root


@pytest.mark.parametrize("height", [0, 5])
def test_heights_that_have_no_snapshot(tmp_path: Path, height: int) -> None:
    chain = chain_of(tmp_path / "store")
    with pytest.raises(OperationError) as caught:
        create_snapshot(chain.store, SnapshotFolder(tmp_path / "s"), height)
    assert caught.value.slug == "snapshot.unavailable"


def test_the_newest_are_kept(tmp_path: Path) -> None:
    chain, folder = chain_of(tmp_path / "store"), SnapshotFolder(tmp_path / "s")
    for height in (2, 3, 4):
        create_snapshot(chain.store, folder, height)
    assert folder.heights() == (3, 4)[-SNAPSHOTS_KEPT:]
    create_snapshot(chain.store, folder, 1)
    assert folder.heights() == (1, 3, 4), "one that was asked for is there"


def test_a_chain_goes_on_from_a_snapshot(tmp_path: Path) -> None:
    chain, folder = chain_of(tmp_path / "store"), SnapshotFolder(tmp_path / "s")
    create_snapshot(chain.store, folder)
    store = restored(chain, folder, 4, tmp_path / "new")
    assert store.head() == chain.store.head() and store.base() == 4 and chain.store.base() == 0
    executor = Executor(store)
    assert executor.tree.root == chain.executor.tree.root
    for _ in range(2):
        block = chain.commit(chain.pay("ada", "bo", 7))
        executor.check(block)
        prepared = executor.prepared(block.id)
        certificate = chain.store.certificate(block.height)
        assert prepared is not None and certificate is not None
        executor.write([(prepared, certificate)])
        executor.advance(prepared)
    assert executor.head == chain.executor.head
    report = check_store(store, find_money_faults)
    assert report.is_sound and (report.height, report.base, report.transactions) == (6, 4, 2)
    with store.view() as view:
        assert store.header(4) is not None and store.header(3) is None and view.undo(4) is None
    assert store.served_block(4) is None and store.served_block(5) is not None and not store.damaged
    again = SnapshotFolder(tmp_path / "again")
    assert create_snapshot(store, again) == create_snapshot(chain.store, SnapshotFolder(tmp_path / "c"))
    with pytest.raises(OperationError):
        create_snapshot(store, again, 3)


@pytest.mark.parametrize("at_the_seal", [True, False])
def test_a_snapshot_of_a_later_epoch(tmp_path: Path, at_the_seal: bool) -> None:
    chain = chain_of(tmp_path / "store", operators=4)
    chain.cross(EngineKind.BFT, 0, 1, 2, 3)
    chain.cross(EngineKind.RAFT, 0, 1, 2)
    if not at_the_seal:
        chain.commit()
    folder = SnapshotFolder(tmp_path / "s")
    height = create_snapshot(chain.store, folder).height
    store = restored(chain, folder, height, tmp_path / "new")
    assert store.head() == chain.store.head()
    assert store.epoch_at(Height(height + 1)) == chain.executor.record
    for number in range(3):
        assert store.epoch(number) == chain.store.epoch(number)
    seal = chain.executor.record.first_height - 1
    assert store.header(seal) == chain.store.header(seal)
    assert store.certificate(seal) == chain.store.certificate(seal)
    assert check_store(store).is_sound


def test_a_check_finds_what_a_snapshot_stands_on_broken(tmp_path: Path) -> None:
    chain, folder = chain_of(tmp_path / "store"), SnapshotFolder(tmp_path / "s")
    create_snapshot(chain.store, folder)
    store = restored(chain, folder, 4, tmp_path / "new")
    wrong = chain.store.certificate_bytes(3)
    assert wrong is not None
    store.environment.write(lambda txn: txn.put("certificates", (4).to_bytes(8, "big"), wrong))
    assert [finding.height for finding in check_store(store).findings] == [4]


def test_any_flipped_bit_in_the_files_is_found(tmp_path: Path) -> None:
    chain, folder = chain_of(tmp_path / "store"), SnapshotFolder(tmp_path / "s")
    create_snapshot(chain.store, folder)
    check_rows(open_snapshot(folder, 4, chain.genesis), folder)
    for file in folder.place(4).iterdir():
        data = file.read_bytes()
        for at in range(0, len(data), max(1, len(data) // 150)):
            file.write_bytes(data[:at] + bytes((data[at] ^ 1 << at % 8,)) + data[at + 1 :])
            with pytest.raises(OperationError) as caught:
                check_rows(open_snapshot(folder, 4, chain.genesis), folder)
            assert caught.value.slug == "snapshot.damaged"
        file.write_bytes(data)
    check_rows(open_snapshot(folder, 4, chain.genesis), folder)


def test_a_snapshot_that_lacks_a_file_founds_nothing(tmp_path: Path) -> None:
    chain, folder = chain_of(tmp_path / "store"), SnapshotFolder(tmp_path / "s")
    create_snapshot(chain.store, folder)
    verified = open_snapshot(folder, 4, chain.genesis)
    next(folder.place(4).glob("*.chunk")).unlink()
    with pytest.raises(OperationError) as caught:
        restore_store(verified, folder, tmp_path / "new")
    assert caught.value.slug == "snapshot.damaged" and not (tmp_path / "new").exists()
    shutil.rmtree(folder.place(4))
    with pytest.raises(OperationError) as caught:
        open_snapshot(folder, 4, chain.genesis)
    assert caught.value.slug == "snapshot.missing"


def test_a_snapshot_of_another_chain_is_refused(tmp_path: Path) -> None:
    chain, folder = chain_of(tmp_path / "store"), SnapshotFolder(tmp_path / "s")
    create_snapshot(chain.store, folder)
    other = chain_of(tmp_path / "other", 1)
    with pytest.raises(OperationError) as caught:
        open_snapshot(folder, 4, other.genesis)
    assert caught.value.slug == "snapshot.damaged"


def test_no_store_is_overwritten(tmp_path: Path) -> None:
    chain, folder = chain_of(tmp_path / "store"), SnapshotFolder(tmp_path / "s")
    create_snapshot(chain.store, folder)
    chain.store.close()
    with pytest.raises(OperationError) as caught:
        restored(chain, folder, 4, tmp_path / "store")
    assert caught.value.slug == "store.exists"
