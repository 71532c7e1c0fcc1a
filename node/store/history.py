"""What became of transactions and jobs, and who took part: receipts, places, accounts' histories, journals.

Bodies are rows by height, written once in order; what finds them is sorted runs (`runs.py`). None of it is
needed to go on with the chain: it can be made again by executing the blocks.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from struct import error as StructError
from typing import Final

from node.store.blocks import height_key
from node.store.environment import Peek, Txn
from node.store.jobs import peek_run_id, peek_run_receipt, save_runs
from node.store.packing import pack_list, unpack_item, unpack_list
from node.store.records import BlockCommit, JournalRow, TxPlace
from node.store.runs import append_run, find_entries
from node.store.tables import ACCOUNT_RUNS, JOURNAL, JOURNAL_RUNS, RECEIPTS, TX_IDS, TX_RUNS
from protocol.crypto import sha256
from protocol.params import JOB_INDEX_FIRST
from protocol.transition import Execution
from protocol.types import Height, TxId

ID_PREFIX_BYTES: Final = 8
ADDRESS_BYTES: Final = 20
JOURNAL_ACCOUNT_BYTES: Final = 30
"""A ledger account: owner | class | asset | sub."""

JOURNAL_KEY_BYTES: Final = JOURNAL_ACCOUNT_BYTES + 6
"""The account and the sequence u48 of its row."""

JOURNAL_DIGEST_BYTES: Final = 8
"""The last item beside the rows of a height: no header covers them."""

PLACE_BYTES: Final = 8
"""Height u48, index u16."""

JOB_BIT: Final = 1 << 15
"""In the index of a place: a job ran here. Neither transactions nor jobs of a block come near this number."""

TX_ENTRY_BYTES: Final = ID_PREFIX_BYTES + PLACE_BYTES
ACCOUNT_ENTRY_BYTES: Final = ADDRESS_BYTES + PLACE_BYTES
JOURNAL_ENTRY_BYTES: Final = JOURNAL_KEY_BYTES + 6 + 4


def save_history(txn: Txn, commit: BlockCommit) -> None:
    """Write receipts, journal rows and indexes of a block."""
    block = commit.block
    height, key = block.header.height, height_key(block.header.height)
    assert len(commit.receipt_bytes) == len(block.transactions), "one receipt a transaction"
    assert len(commit.touched) in (0, len(block.transactions))
    if block.transactions:
        ids = [signed.id for signed in block.transactions]
        txn.append(TX_IDS, key, b"".join(ids))
        txn.append(RECEIPTS, key, pack_list(commit.receipt_bytes))
    else:
        ids = []
    runs = _save_runs(txn, commit)
    append_run(txn, TX_RUNS, TX_ENTRY_BYTES, height, list_tx_entries(height, ids, runs))
    touched = [*enumerate(commit.touched), *enumerate(commit.job_touched, JOB_INDEX_FIRST)]
    entries = [address + _place(height, index) for index, accounts in touched for address in accounts]
    append_run(txn, ACCOUNT_RUNS, ACCOUNT_ENTRY_BYTES, height, entries)
    save_journal(txn, height, commit.journal)


def _save_runs(txn: Txn, commit: BlockCommit) -> list[TxId]:
    receipts, touched = commit.job_receipt_bytes, commit.job_touched
    assert len(touched) in (0, len(receipts))
    return save_runs(txn, commit.block.header.height, receipts, commit.job_proof) if receipts else []


def save_journal(txn: Txn, height: Height, journal: Sequence[tuple[bytes, bytes]]) -> None:
    """Write the journal rows of a block, or at height 0 those of the founding programs."""
    if not journal:
        return
    assert all(len(row_key) == JOURNAL_KEY_BYTES for row_key, _ in journal)
    key, rows = height_key(height), [row for _, row in journal]
    txn.append(JOURNAL, key, pack_list([*rows, _digest_journal(key, rows)]))
    where = height.to_bytes(6, "big")
    entries = [row_key + where + index.to_bytes(4, "big") for index, (row_key, _) in enumerate(journal)]
    append_run(txn, JOURNAL_RUNS, JOURNAL_ENTRY_BYTES, height, entries)


def list_journal_rows(execution: Execution) -> tuple[tuple[bytes, bytes], ...]:
    """List what an execution posted as rows of a commit."""
    return tuple([(row.account + row.sequence.to_bytes(6, "big"), row.raw) for row in execution.journal])


def list_tx_entries(height: Height, ids: Sequence[TxId], runs: Sequence[TxId] = ()) -> list[bytes]:
    """List the entries by which the transactions of a block and the runs of its jobs are found."""
    places = [*enumerate(ids), *enumerate(runs, JOB_INDEX_FIRST)]
    return [run_id[:ID_PREFIX_BYTES] + _place(height, index) for index, run_id in places]


def walk_tx_runs(txn: Txn) -> Iterator[list[bytes]]:
    """Walk the runs of entries by which transactions are found."""
    for _, run in txn.ascend(TX_RUNS):
        yield [run[at : at + TX_ENTRY_BYTES] for at in range(0, len(run), TX_ENTRY_BYTES)]


def _digest_journal(key: bytes, rows: Sequence[bytes]) -> bytes:
    return sha256(key + pack_list(rows))[:JOURNAL_DIGEST_BYTES]


def is_journal_sound(key: bytes, packed: bytes) -> bool:
    """Tell whether the journal rows of a height are what was written. Cost: 1 us a row."""
    try:
        rows = unpack_list(packed)
    except StructError:
        return False
    return bool(rows) and pack_list(rows) == packed and _digest_journal(key, rows[:-1]) == rows[-1]


def _place(height: int, index: int) -> bytes:
    short = min(index, JOB_BIT) if index < JOB_INDEX_FIRST else JOB_BIT | (index - JOB_INDEX_FIRST)
    return (height << 16 | short).to_bytes(PLACE_BYTES, "big")


def find_transaction(peek: Peek, tx_id: bytes) -> TxPlace | None:
    """Find the place of a committed transaction, or of the run of a job."""
    for entry in find_entries(peek, TX_RUNS, TX_ENTRY_BYTES, tx_id[:ID_PREFIX_BYTES]):
        place = read_place(peek, entry[ID_PREFIX_BYTES:])
        if place.tx_id == tx_id:
            return place
    return None


def find_account_transactions(
    peek: Peek, address: bytes, before: tuple[int, int] | None, limit: int
) -> list[TxPlace]:
    """Find the transactions and jobs that touched an account, newest first; jobs stand above the transactions
    of their block.

    Args:
        before: (height, index) below which to begin; None begins at the newest.
    """
    assert len(address) == ADDRESS_BYTES
    below = None if before is None else address + _place(*before)
    entries = find_entries(peek, ACCOUNT_RUNS, ACCOUNT_ENTRY_BYTES, address, below)
    return [read_place(peek, entry[ADDRESS_BYTES:]) for entry in islice(entries, limit)]


def find_journal(peek: Peek, account: bytes, before: int | None, limit: int) -> list[JournalRow]:
    """Find the journal rows of a ledger account, newest first.

    Args:
        before: sequence below which to begin; None begins at the newest.
    """
    assert len(account) == JOURNAL_ACCOUNT_BYTES
    below = None if before is None else account + before.to_bytes(6, "big")
    found = find_entries(peek, JOURNAL_RUNS, JOURNAL_ENTRY_BYTES, account, below)
    rows = []
    for entry in islice(found, limit):
        sequence, height, at = entry[30:36], entry[36:42], entry[42:]
        packed = peek.get(JOURNAL, b"\0\0" + height)
        assert packed is not None, "an index entry without its row"
        row = unpack_item(packed, int.from_bytes(at, "big"))
        rows.append(JournalRow(int.from_bytes(sequence, "big"), row))
    return rows


def load_receipt(peek: Peek, place: TxPlace) -> bytes:
    """Read the receipt of a committed transaction, or of the run of a job."""
    if place.is_job:
        return peek_run_receipt(peek, place.height, place.index - JOB_INDEX_FIRST)
    packed = peek.get(RECEIPTS, height_key(place.height))
    assert packed is not None, "a transaction without a receipt"
    return unpack_item(packed, place.index)


def load_receipts(txn: Txn, height: int) -> tuple[bytes, ...]:
    """Read all receipts of a block."""
    packed = txn.get(RECEIPTS, height_key(height))
    return () if packed is None else unpack_list(packed)


def load_journal_rows(txn: Txn, height: int) -> tuple[bytes, ...]:
    """Read all journal rows of a block."""
    packed = txn.get(JOURNAL, height_key(height))
    return () if packed is None else unpack_list(packed)[:-1]


def load_tx_ids(txn: Txn, height: int) -> tuple[TxId, ...]:
    """Read the ids of all transactions of a block."""
    ids = txn.get(TX_IDS, height_key(height)) or b""
    return tuple(TxId(ids[at : at + 32]) for at in range(0, len(ids), 32))


def read_place(peek: Peek, place: bytes) -> TxPlace:
    """Read what an entry of an index leads to."""
    number = int.from_bytes(place, "big")
    height, index = Height(number >> 16), number & 0xFFFF
    if index & JOB_BIT:
        at = index ^ JOB_BIT
        return TxPlace(height, JOB_INDEX_FIRST + at, peek_run_id(peek, height, at))
    ids = peek.get(TX_IDS, height_key(height))
    assert ids is not None, "an index entry without its block"
    return TxPlace(height, index, TxId(bytes(ids[32 * index : 32 * index + 32])))
