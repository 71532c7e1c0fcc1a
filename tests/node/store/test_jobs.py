"""Runs of jobs in the store: found by id and by account, proven for ever, checked, never lost or doubled."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cluster.founding import demo_address
from node.executor import Ahead, Executor
from node.job_proof import decode_job_proof, verify_run
from node.snapshot.folder import SnapshotFolder
from node.snapshot.making import create_snapshot, open_snapshot, restore_store
from node.store.check import check_store
from node.store.history import JOB_BIT
from node.store.opening import found_store
from node.store.packing import pack_list, unpack_list
from node.store.store import Store
from node.store.tables import JOB_RUNS
from protocol.chain.block import decode_block
from protocol.chain.receipt import Receipt, decode_receipt
from protocol.chain.transaction import decode_signed
from protocol.errors import Code, Rejected
from protocol.merkle.proof import ListProof, prove_item
from protocol.params import BLOCK_TXS_MAX, JOB_INDEX_FIRST, JOBS_PER_BLOCK_MAX
from tests.node.job_chain import make_job_chain
from tests.node.small_chain import SmallChain


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[SmallChain]:
    chain = make_job_chain(tmp_path / "store", int(time.time() * 1_000) - 60_000)
    yield chain
    chain.store.close()


def runs(chain: SmallChain, height: int) -> list[Receipt]:
    return [decode_receipt(raw) for raw in chain.store.run_receipts(height)]


def test_places_of_transactions_and_jobs_never_meet() -> None:
    assert BLOCK_TXS_MAX < JOB_BIT and JOBS_PER_BLOCK_MAX < JOB_BIT


def test_runs_are_stored_with_their_block_and_found_by_id(chain: SmallChain) -> None:
    store = chain.store
    assert [len(runs(chain, height)) for height in range(1, 7)] == [0, 0, 0, 2, 1, 1]
    assert [run.is_ok for height in (4, 5, 6) for run in runs(chain, height)] == [True, True, False, False]
    for height in (4, 5):
        raws, ids = store.run_receipts(height), store.run_ids(height)
        for at, (raw, run) in enumerate(zip(raws, runs(chain, height), strict=True)):
            assert run.index == JOB_INDEX_FIRST + at and ids[at] == run.tx_id
            assert store.receipt(run.tx_id) == (height, run.index, raw)
            assert store.transaction(run.tx_id) is None
    assert store.run_ids(2) == () and store.run_proof(2) is None


def test_an_account_s_history_holds_its_jobs(chain: SmallChain) -> None:
    def places(name: str, before: tuple[int, int] | None = None, limit: int = 50) -> list[tuple[int, int]]:
        found = chain.store.account_transactions(demo_address(name), before, limit)
        return [(place.height, place.index) for place in found]

    job = JOB_INDEX_FIRST
    ada = places("ada")
    assert ada == [(6, job), (6, 0), (5, job), (4, job + 1), (4, job), (4, 0), (3, 1), (3, 0), (2, 0), (1, 0)]
    assert places("bo") == [(6, 0), (4, job), (4, 0)]
    assert places("cy") == [(4, job + 1)]
    for at, before in enumerate(ada):
        assert places("ada", before) == ada[at + 1 :]
    assert places("ada", (5, 0), 2) == ada[3:5]


def test_a_run_is_proven_by_the_header_of_its_block(chain: SmallChain) -> None:
    header, data = chain.store.header(4), chain.store.run_proof(4)
    assert header is not None and data is not None
    raws, proof = chain.store.run_receipts(4), decode_job_proof(data)
    for at, raw in enumerate(raws):
        assert verify_run(header, proof, raw, 2, prove_item(raws, at)) == decode_receipt(raw)
    other = chain.store.header(5)
    assert other is not None
    path = prove_item(raws, 0)
    for wrong in (
        (other, proof, raws[0], 2, path),
        (header, proof, raws[1], 2, path),
        (header, proof, raws[0], 1, path),
        (header, proof, chain.store.receipts(4)[0], 2, path),
        (header, proof, raws[0], 2, ListProof(())),
    ):
        with pytest.raises(Rejected) as caught:
            verify_run(*wrong)
        assert caught.value.code == Code.BAD_PROOF


def test_a_node_that_catches_up_has_the_same_rows(chain: SmallChain, tmp_path: Path) -> None:
    """Blocks that are executed above each other and written together, as a node does that lags."""
    found_store(tmp_path / "lagging", chain.genesis)
    store = Store.open(tmp_path / "lagging")
    executor, ahead = Executor(store), Ahead()
    for height in range(1, 7):
        data, certificate = chain.store.block_bytes(height), chain.store.certificate(height)
        assert data is not None and certificate is not None
        block = decode_block(data, lambda raw: decode_signed(raw, chain.genesis_hash))
        ahead.add(executor.check(block, ahead), certificate)
    executor.write(ahead.blocks)

    def rows(of: Store) -> list[tuple[bytes, bytes]]:
        with of.environment.read() as txn:
            return list(txn.ascend(JOB_RUNS))

    assert rows(store) == rows(chain.store) and len(rows(store)) == 3
    assert check_store(store).is_sound
    store.close()


def test_a_node_that_begins_with_a_snapshot_has_the_runs_above_it(chain: SmallChain, tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path / "snapshots")
    create_snapshot(chain.store, folder, 4)
    restore_store(open_snapshot(folder, 4, chain.genesis), folder, tmp_path / "new")
    store = Store.open(tmp_path / "new")
    executor = Executor(store)
    for height in (5, 6):
        data, certificate = chain.store.block_bytes(height), chain.store.certificate(height)
        assert data is not None and certificate is not None
        block = decode_block(data, lambda raw: decode_signed(raw, chain.genesis_hash))
        prepared = executor.check(block)
        executor.write([(prepared, certificate)])
        executor.advance(prepared)
    for height in (4, 5, 6):
        assert store.run_receipts(height) == (chain.store.run_receipts(height) if height > 4 else ())
        assert store.run_proof(height) == (chain.store.run_proof(height) if height > 4 else None)
    assert store.receipt(chain.store.run_ids(4)[0]) is None
    assert check_store(store, books=True).is_sound and store.oldest_state() == 4
    store.close()


def test_damaged_runs_are_found(chain: SmallChain) -> None:
    assert check_store(chain.store).is_sound
    with chain.store.environment.read() as txn:
        rows = dict(txn.ascend(JOB_RUNS))
    key = (4).to_bytes(8, "big")
    ids, proof, first, second = unpack_list(rows[key])
    for damaged in (
        pack_list((ids, proof, second, first)),
        pack_list((ids, proof, first)),
        pack_list((ids[32:] + ids[:32], proof, first, second)),
        pack_list((ids, proof[:-1], first, second)),
        pack_list((ids, unpack_list(rows[(5).to_bytes(8, "big")])[1], first, second)),
        None,
    ):
        if damaged is None:
            chain.store.environment.write(lambda txn: txn.delete(JOB_RUNS, key))
        else:
            chain.store.environment.write(lambda txn, row=damaged: txn.put(JOB_RUNS, key, row))
        found = check_store(chain.store).findings
        assert any(f.what.startswith("jobs:") for f in found), (damaged, found)
