"""The whole journal against the state: sound as committed, and each planted fault is told."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.books.postings import check_statement, read_record
from node.cluster.founding import CURRENCY_NUMBER, MEMBERS, demo_address
from node.store.check import check_store
from node.store.history import JOURNAL_ENTRY_BYTES
from node.store.journal import by_place, find_journal_faults, walk_moves, walk_postings
from node.store.packing import pack_list, unpack_list
from node.store.store import Store
from node.store.tables import JOURNAL, JOURNAL_RUNS
from protocol.contracts.ledger.accounts import ACCOUNT, MEMBER_FREE, account_key
from protocol.errors import Code, Rejected
from tests.node.job_chain import make_job_chain
from tests.node.small_chain import SmallChain


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[SmallChain]:
    made = make_job_chain(tmp_path / "store", int(time.time() * 1_000) - 60_000)
    yield made
    made.store.close()


def findings(store: Store) -> list[str]:
    """Look at the journal alone: its digest would tell most of it before (`derived.py`)."""
    with store.journal_walk() as (peek, state):
        return list(find_journal_faults(peek, state, is_whole=True))


def test_trial_balance_and_hashes_follow_from_the_journal(chain: SmallChain) -> None:
    assert findings(chain.store) == [] and check_store(chain.store, books=True).is_sound
    with chain.store.journal_walk() as (peek, state):
        rows, moves = list(walk_postings(peek)), list(walk_moves(peek, state))
    assert len(rows) == 2 * len(moves), "no account of this chain keeps silent"
    assert {p.height for p, _ in rows} == {0, 4, 6}, "founding, jobs and payments"
    heights = [p.height for p in sorted(moves, key=by_place)]
    assert heights == sorted(heights)


def change_row(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[SmallChain], None]:
    def spoil(chain: SmallChain) -> None:
        def work(txn) -> None:  # type: ignore[no-untyped-def]
            key = (4).to_bytes(8, "big")
            txn.put(JOURNAL, key, pack_list(change(list(unpack_list(txn.get(JOURNAL, key))))))

        chain.store.environment.write(work)

    return spoil


def drop_last_entry(chain: SmallChain) -> None:
    def work(txn) -> None:  # type: ignore[no-untyped-def]
        key, run = list(txn.ascend(JOURNAL_RUNS))[-1]
        txn.put(JOURNAL_RUNS, key, run[:-JOURNAL_ENTRY_BYTES])

    chain.store.environment.write(work)


SPOILS = {
    "two rows swapped": change_row(lambda rows: [rows[1], rows[0], *rows[2:]]),
    "a bit of a row": change_row(lambda rows: [rows[0][:-1] + bytes([rows[0][-1] ^ 1]), *rows[1:]]),
    "a reference": change_row(lambda rows: [rows[0].replace(b"\xc4\x00", b"\xc4\x01x"), *rows[1:]]),
    "an entry of the index": drop_last_entry,
}


@pytest.mark.parametrize("name", SPOILS)
def test_each_damage_of_the_journal_is_told(chain: SmallChain, name: str) -> None:
    SPOILS[name](chain)
    told = findings(chain.store)
    assert told and all(what.startswith(("journal", "asset")) for what in told), told


def test_one_record_proves_a_whole_statement(chain: SmallChain) -> None:
    for name in MEMBERS:
        account = account_key(demo_address(name), MEMBER_FREE, CURRENCY_NUMBER)
        with chain.store.view() as state:
            record = read_record(account, state.get(ACCOUNT.prefix + account))
        raws = [row.row for row in chain.store.journal(account)][::-1]
        postings = check_statement(account, raws, record)
        assert postings[-1].balance == record.balance and len(postings) == record.sequence > 1
        spoiled = [
            raws[:-1],
            raws[1:],
            [*raws, raws[-1]],
            [raws[1], raws[0], *raws[2:]],
            [raws[0].replace(b"\x00", b"\x01", 1), *raws[1:]],
        ]
        for wrong in spoiled:
            with pytest.raises(Rejected) as caught:
                check_statement(account, wrong, record)
            assert caught.value.code in (Code.BAD_PROOF, Code.MALFORMED, Code.NOT_CANONICAL)
