"""Rows of the runs of jobs, block by block: their ids, what proves them, their receipts.

Only the present state can be proven, so the proof of the record that names the receipts is made with the
block and kept beside them: a run can be proven for ever, by every node that has its block. What the proof
says is `node/job_proof.py`; the index that finds a run by its id or by an account is `history.py`.
"""

from collections.abc import Sequence
from typing import Final

from node.job_proof import JobHistory, check_job_proof, decode_job_proof, follow_runs
from node.store.blocks import height_key
from node.store.environment import Peek, Txn
from node.store.packing import pack_list, unpack_item, unpack_list
from node.store.tables import JOB_RUNS
from protocol.chain.block import Header
from protocol.chain.receipt import decode_receipt
from protocol.errors import Code, Rejected
from protocol.params import JOB_INDEX_FIRST
from protocol.types import Height, TxId

_IDS: Final = 0
_PROOF: Final = 1
_RECEIPTS: Final = 2


def save_runs(txn: Txn, height: Height, receipts: Sequence[bytes], proof: bytes) -> list[TxId]:
    """Write the runs of a block; returns their ids."""
    assert proof, "runs without what proves them"
    ids = [decode_receipt(raw).tx_id for raw in receipts]
    txn.append(JOB_RUNS, height_key(height), pack_list((b"".join(ids), proof, *receipts)))
    return ids


def load_run_ids(txn: Txn, height: int) -> tuple[TxId, ...]:
    """Read the ids of all runs of a block."""
    row = txn.get(JOB_RUNS, height_key(height))
    ids = b"" if row is None else unpack_item(row, _IDS)
    return tuple(TxId(ids[at : at + 32]) for at in range(0, len(ids), 32))


def load_run_receipts(txn: Txn, height: int) -> tuple[bytes, ...]:
    """Read the receipts of all runs of a block."""
    row = txn.get(JOB_RUNS, height_key(height))
    return () if row is None else unpack_list(row)[_RECEIPTS:]


def load_run_proof(txn: Txn, height: int) -> bytes | None:
    """Read what proves the receipts of a block's runs; None when no job ran."""
    row = txn.get(JOB_RUNS, height_key(height))
    return None if row is None else read_run_proof(row)


def read_run_proof(row: bytes) -> bytes:
    """Read what proves the runs out of their row."""
    return unpack_item(row, _PROOF)


def peek_run_id(peek: Peek, height: int, at: int) -> TxId:
    """Read the id of one run by its place among those of its block."""
    return TxId(unpack_item(_peek_row(peek, height), _IDS)[32 * at : 32 * at + 32])


def peek_run_receipt(peek: Peek, height: int, at: int) -> bytes:
    """Read the receipt of one run by its place among those of its block."""
    return unpack_item(_peek_row(peek, height), _RECEIPTS + at)


def _peek_row(peek: Peek, height: int) -> memoryview:
    row = peek.get(JOB_RUNS, height_key(height))
    assert row is not None, "an index entry without its run"
    return row


def check_runs(txn: Txn, header: Header, before: JobHistory | None) -> JobHistory | None:
    """Hold the runs of a block against its header and the runs before; returns what the next ones follow.

    Args:
        before: None when the runs before are not kept: then their own block alone speaks for them.

    Raises:
        Rejected: the runs are not those of the block; the text says in what.
    """
    data = load_run_proof(txn, header.height)
    if data is None:
        return before
    history = check_job_proof(header, decode_job_proof(data))
    raws = load_run_receipts(txn, header.height)
    receipts = [decode_receipt(raw) for raw in raws]
    found = follow_runs(before or history, raws, header.height)
    places = [(receipt.height, receipt.index) for receipt in receipts]
    if found.root != history.root or places != [
        (header.height, JOB_INDEX_FIRST + at) for at in range(len(raws))
    ]:
        raise _refusal("receipts are not those that the state names")
    if load_run_ids(txn, header.height) != tuple([receipt.tx_id for receipt in receipts]):
        raise _refusal("ids are not those of the receipts")
    if before is not None and found != history:
        raise _refusal("runs before them are missing")
    return history


def _refusal(what: str) -> Rejected:
    return Rejected(Code.BAD_PROOF, what)
