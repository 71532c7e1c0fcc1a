"""Reads of the chain that are held against hashes: what a gateway may tell a member.

LMDB notices no flipped bit, so a row that still decodes proves nothing. Here a header must have the id by
which the chain knows it, and what lies beside it the root that the header names; else `RowDamaged` says so,
and nobody is told what is not true. That something is *not* there is held against the index as a whole, whose
runs are looked at once each. One answer is taken as it is: that no block has an id; the scrubber checks that.

Nothing is repaired: that is `sync.py` for blocks. What a whole store must hold is `check.py`.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from struct import error as StructError
from typing import Final

from node.errors import OperationError
from node.job_proof import HISTORY_KEY, NO_RUNS, JobHistory, decode_job_proof, read_history
from node.store import blocks, history, jobs
from node.store.environment import Peek, Txn
from node.store.packing import pack_list
from node.store.runs import find_entries, is_run_sound
from node.store.tables import BLOCKS, CERTIFICATES, HEADERS, JOB_RUNS, RECEIPTS, STATE, TX_IDS, TX_RUNS
from protocol.chain.block import Header, compute_block_id, decode_header
from protocol.chain.certificate import Certificate, check_certificate, decode_certificate
from protocol.chain.receipt import decode_receipt
from protocol.chain.restart import check_restart
from protocol.chain.transaction import peek_id
from protocol.chain.validators import EpochRecord
from protocol.crypto import sha256
from protocol.errors import Rejected
from protocol.merkle.proof import list_root
from protocol.params import JOB_INDEX_FIRST
from protocol.sync.snapshot import Seal
from protocol.types import EpochNumber, Height, TxId

KNOWN_ROWS_MAX: Final = 1_024
"""Rows whose digest is remembered because they were sound: a large one is not taken apart again."""

_FAULTS: Final = (Rejected, StructError, ValueError, IndexError, AssertionError, TypeError)
"""What reading a row may raise whose bytes changed, or that an index names and that is gone."""


class RowDamaged(OperationError):
    """A stored row is not what was committed.

    Args:
        height: of the block that it belongs to; 0 when it belongs to none.
    """

    def __init__(self, height: int, fault: str) -> None:
        super().__init__(
            "store.row_damaged",
            f"What is stored of block {height:,} is not what was committed.",
            f"{fault}: bytes changed on the disk.",
            "ask another gateway; let the node fetch the block again, and check the disk.",
        )
        self.height = height
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Found:
    """A committed transaction, or the run of a job, in its block."""

    header: Header
    index: int
    receipt: bytes

    @property
    def is_job(self) -> bool:
        """Tell whether this is a job's run."""
        return self.index >= JOB_INDEX_FIRST


class KnownRows:
    """Remember what was sound, for as long as the process lives."""

    __slots__ = ("_digests", "runs")

    def __init__(self) -> None:
        self._digests: OrderedDict[bytes, None] = OrderedDict()
        self.runs: frozenset[bytes] = frozenset()
        """Keys of the runs of the index of transactions that were looked at."""

    def knows(self, digest: bytes) -> bool:
        """Tell whether a row of this digest was sound."""
        return digest in self._digests

    def add(self, digest: bytes) -> None:
        """Remember a sound row, and forget the oldest one."""
        self._digests[digest] = None
        if len(self._digests) > KNOWN_ROWS_MAX:
            self._digests.popitem(last=False)


class SoundReader:
    """Read at one moment; each method raises `RowDamaged` for what is not as it was committed."""

    __slots__ = ("_head", "_known", "_peek", "_txn")

    def __init__(self, txn: Txn, peek: Peek, known: KnownRows) -> None:
        self._txn = txn
        self._peek = peek
        self._known = known
        with _reading(0, "head"):
            self._head = blocks.load_head(txn)

    @property
    def last_epoch(self) -> EpochNumber:
        """Return the number of the epoch that certifies the block above the head."""
        return self._head.epoch

    def header(self, height: int) -> Header | None:
        """Return a header; None when no block of this height is kept. Cost: about 10 us more than reading."""
        data = self._txn.get(HEADERS, blocks.height_key(height))
        head = self._head
        if data is None:
            if blocks.load_base(self._txn) < height <= head.height:
                raise RowDamaged(height, "header: missing")
            return None
        with _reading(height, "header"):
            header, block_id = decode_header(data), compute_block_id(data)
        # Either witness will do: it is a hash. So damage of a neighbour does not hide this header.
        if header.height != height or not (
            head.block_id == block_id
            if height >= head.height
            else blocks.load_block_height(self._txn, block_id) == height
            or blocks.load_committed_id(self._txn, height) == block_id
        ):
            raise RowDamaged(height, "header: not the one that was committed")
        return header

    def header_of(self, block_id: bytes) -> Header | None:
        """Return the header of a block by its id."""
        height = blocks.load_block_height(self._txn, block_id)
        if height is None:
            return None
        header = self.header(height)
        if header is None or header.compute_id() != block_id:
            raise RowDamaged(height, "index of blocks: another block")
        return header

    def certificate(self, header: Header) -> tuple[Certificate, EpochRecord]:
        """Return what committed a block, and who could.

        Cost: one signature check a signer, about 50 us each.
        """
        height, data = header.height, self._txn.get(CERTIFICATES, blocks.height_key(header.height))
        with _reading(height, "certificate"):
            record = blocks.load_epoch(self._txn, header.epoch)
            if data is None or record is None or record.compute_hash() != header.epoch_hash:
                raise RowDamaged(height, "certificate: it is missing, or its epoch is another one")
            certificate = decode_certificate(data)
            if (certificate.height, certificate.block_id) != (height, header.compute_id()):
                raise RowDamaged(height, "certificate: of another block")
            check_certificate(certificate, record, header.genesis_hash)
        return certificate, record

    def seal(self, number: int) -> Seal:
        """Return what leads to an epoch that exists, but to that of genesis."""
        with _reading(0, f"epoch {number}"):
            record = blocks.load_epoch(self._txn, number)
        header = None if record is None else self.header(record.first_height - 1)
        if record is None or header is None:
            raise RowDamaged(0, f"epoch {number}: its record or the header below it is missing")
        certificate, before = self.certificate(header)
        above = self.header(record.first_height)
        if record.compute_hash() not in (header.next_epoch_hash, above and above.epoch_hash):
            if above is not None:
                raise RowDamaged(header.height, f"epoch {number}: another record")
            with _reading(header.height, f"epoch {number}"):
                check_restart(header, before, record)
        return Seal(header, certificate, record)

    def block(self, header: Header) -> bytes | None:
        """Return a block as it is stored; None when it is not kept.

        Cost: 1 us a transaction the first time, then 1 us a KiB.
        """
        data = self._txn.get(BLOCKS, blocks.height_key(header.height))
        if data is None:
            if header.height > blocks.load_base(self._txn):
                raise RowDamaged(header.height, "block: missing")
            return None
        digest = _digest(BLOCKS, header.height, data)
        if not self._known.knows(digest):
            fault = blocks.find_block_fault(data, header.compute_id())
            if fault is not None:
                raise RowDamaged(header.height, f"block: {fault}")
            self._known.add(digest)
        return data

    def transactions(self, header: Header) -> tuple[bytes, ...]:
        """Return the transactions of a block that is kept, as they were signed."""
        data = self.block(header)
        if data is None:
            raise RowDamaged(header.height, "block: missing")
        return blocks.read_transactions(data)

    def tx_ids(self, header: Header) -> tuple[TxId, ...]:
        """Return the ids of the transactions of a block that is kept.

        Cost: about 4 us each, the first time.
        """
        ids = history.load_tx_ids(self._txn, header.height)
        digest = _digest(TX_IDS, header.height, b"".join(ids))
        if not self._known.knows(digest):
            if ids != _compute_ids(self.transactions(header), header):
                raise RowDamaged(header.height, "transaction ids: not those of the block")
            self._known.add(digest)
        return ids

    def receipts(self, header: Header) -> tuple[bytes, ...]:
        """Return the receipts of the transactions of a block."""
        row = self._txn.get(RECEIPTS, blocks.height_key(header.height))
        digest = _digest(RECEIPTS, header.height, row or b"")
        with _reading(header.height, "receipts"):
            receipts = history.load_receipts(self._txn, header.height)
        if not self._known.knows(digest):
            if len(receipts) != header.tx_count or list_root(receipts) != header.receipts_root:
                raise RowDamaged(header.height, "receipts: not those of the header")
            self._known.add(digest)
        return receipts

    def runs(self, header: Header) -> tuple[bytes, ...]:
        """Return the receipts of the jobs that ran in a block."""
        with _reading(header.height, "jobs"):
            if self._txn.get(JOB_RUNS, blocks.height_key(header.height)) is None:
                self._check_no_runs(header.height)
                return ()
            jobs.check_runs(self._txn, header, None)
            return jobs.load_run_receipts(self._txn, header.height)

    def find_faults(self, height: int) -> tuple[str, ...]:
        """Find what is wrong with receipts, ids and runs of a block that is sound itself."""
        faults = list[str]()
        try:
            header = self.header(height)
            if header is not None:
                faults += find_history_faults(self._txn, header)
                self.runs(header)
        except RowDamaged as damage:
            faults.append(damage.fault)
        return tuple(faults)

    def run_proof(self, header: Header) -> bytes:
        """Return what proves the runs of a block that has some; read `runs` first."""
        data = jobs.load_run_proof(self._txn, header.height)
        assert data is not None, "runs without what proves them"
        return data

    def find(self, tx_id: bytes) -> Found | None:
        """Find a committed transaction or the run of a job; None when there is none."""
        doubted = list[int]()
        prefix = tx_id[: history.ID_PREFIX_BYTES]
        for entry in find_entries(self._peek, TX_RUNS, history.TX_ENTRY_BYTES, prefix):
            where = entry[history.ID_PREFIX_BYTES :]
            try:
                place = history.read_place(self._peek, where)
            except _FAULTS:
                place = None
            if place is not None and place.tx_id == tx_id:
                return self._read_found(tx_id, place.height, place.index)
            doubted.append(int.from_bytes(where[:6], "big"))
        self._check_index()
        for height in doubted:
            self._check_ids(height)
        return None

    def _read_found(self, tx_id: bytes, height: int, index: int) -> Found:
        header = self.header(height)
        if header is None:
            raise RowDamaged(height, "index of transactions: no such block")
        if index >= JOB_INDEX_FIRST:
            receipts, at = self.runs(header), index - JOB_INDEX_FIRST
        else:
            receipts, at = self.receipts(header), index
        if at >= len(receipts) or decode_receipt(receipts[at]).tx_id != tx_id:
            raise RowDamaged(height, "index of transactions: another one stands there")
        return Found(header, index, receipts[at])

    def _check_index(self) -> None:
        """Look at the runs of the index that were not looked at yet. Cost: 1 us a KiB of them."""
        keys = list(self._txn.descend_keys(TX_RUNS))
        for key in keys:
            if key not in self._known.runs:
                run = self._txn.get(TX_RUNS, key)
                if run is None or not is_run_sound(key, run):
                    raise RowDamaged(int.from_bytes(key[:8], "big"), "index of transactions")
        if len(keys) != self._txn.count(TX_RUNS):
            raise RowDamaged(0, "index of transactions: rows are missing")
        self._known.runs = frozenset(keys)

    def _check_ids(self, height: int) -> None:
        """Hold the ids of a block against it: one was expected there, and another one found."""
        header = self.header(height)
        if header is None:
            raise RowDamaged(height, "index of transactions: no such block")
        self.runs(header)
        self.tx_ids(header)

    def _check_no_runs(self, height: int) -> None:
        """Check that the runs before a block and those after it leave no room for some in between."""
        key, before = blocks.height_key(height), NO_RUNS
        below = next(self._txn.descend_below(JOB_RUNS, key), None)
        if below is not None:
            before = _read_runs(*below)
        elif blocks.load_base(self._txn):
            return  # what ran below a snapshot is not kept
        above = next(self._txn.ascend(JOB_RUNS, key), None)
        if above is None:
            is_whole = before.is_named_by(self._txn.get(STATE, HISTORY_KEY))
        else:
            after = _read_runs(*above)
            is_whole = after.receipts - len(jobs.load_run_ids(self._txn, after.height)) == before.receipts
        if not is_whole:
            raise RowDamaged(height, "jobs: runs are missing")


def find_history_faults(txn: Txn, header: Header) -> Iterator[str]:
    """Yield what is wrong with the receipts and ids of the transactions of a block.

    Cost: about 5 us a transaction.
    """
    try:
        receipts = history.load_receipts(txn, header.height)
    except _FAULTS:
        receipts = ()
    if len(receipts) != header.tx_count or list_root(receipts) != header.receipts_root:
        yield "receipts: not those of the header"
    elif receipts and pack_list(receipts) != txn.get(RECEIPTS, blocks.height_key(header.height)):
        yield "receipts: not packed as they are written"
    try:
        ids = _compute_ids(blocks.load_transactions(txn, header.height), header)
    except Rejected:
        ids = ()
    if history.load_tx_ids(txn, header.height) != ids:
        yield "transaction ids: not those of the block"


def _compute_ids(raws: Sequence[bytes], header: Header) -> tuple[TxId, ...]:
    return tuple([peek_id(raw, header.genesis_hash) for raw in raws])


def _read_runs(key: bytes, row: bytes) -> JobHistory:
    found = read_history(decode_job_proof(jobs.read_run_proof(row)).value)
    if blocks.height_key(found.height) != key:
        raise RowDamaged(found.height, "jobs: runs of another block")
    return found


def _digest(table: str, height: Height, row: bytes) -> bytes:
    return sha256(b"%s %d " % (table.encode(), height) + sha256(row))


@contextmanager
def _reading(height: int, what: str) -> Iterator[None]:
    try:
        yield
    except RowDamaged:
        raise
    except _FAULTS as fault:
        raise RowDamaged(height, f"{what}: {fault}") from fault
