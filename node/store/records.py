"""What goes into the store and comes out of it, as values: the head, a commit, an entry of history."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocol import codec
from protocol.chain.block import Block
from protocol.chain.certificate import Certificate
from protocol.chain.validators import EpochRecord
from protocol.codec import Reader
from protocol.params import INT64_MAX, JOB_INDEX_FIRST
from protocol.types import Address, BlockId, EpochNumber, Hash32, Height, TimeMs, TxId

HEAD_BYTES_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Head:
    """Say where the chain stands.

    Args:
        height: of the last committed block; 0 is genesis.
        block_id: of that block; the genesis hash at 0. The parent of the next block.
        state_root: after that block.
        epoch: that certifies the *next* block: after a seal it is the new one.
    """

    height: Height
    block_id: BlockId
    time_ms: TimeMs
    state_root: Hash32
    epoch: EpochNumber

    def encode(self) -> bytes:
        """Encode the head."""
        return codec.encode((self.height, self.block_id, self.time_ms, self.state_root, self.epoch))


def decode_head(data: bytes) -> Head:
    """Decode the head."""
    fields = Reader(codec.decode(data, HEAD_BYTES_MAX), "head", 5)
    return Head(
        Height(fields.integer(0, INT64_MAX)),
        BlockId(fields.data(32)),
        TimeMs(fields.integer(0, INT64_MAX)),
        Hash32(fields.data(32)),
        EpochNumber(fields.uint(32)),
    )


@dataclass(frozen=True, slots=True)
class BlockCommit:
    """Everything that one committed block changes.

    Args:
        certificate: of this block.
        writes: state changes; None deletes.
        receipt_bytes: one a transaction.
        journal: (ledger account, 30 bytes | sequence u48, row); sequences ascend per account, block by block.
        touched: per transaction, the accounts in whose history it belongs.
        job_receipt_bytes: one a run of a job.
        job_touched: per run of a job, the accounts in whose history it belongs.
        job_proof: what proves these receipts (`jobs.JobProof`); empty when no job ran.
        next_record: the epoch record that takes over, when the block is a seal.
    """

    block: Block
    certificate: Certificate
    writes: Mapping[bytes, bytes | None]
    receipt_bytes: tuple[bytes, ...]
    journal: tuple[tuple[bytes, bytes], ...] = ()
    touched: tuple[tuple[Address, ...], ...] = ()
    job_receipt_bytes: tuple[bytes, ...] = ()
    job_touched: tuple[tuple[Address, ...], ...] = ()
    job_proof: bytes = b""
    next_record: EpochRecord | None = None


@dataclass(frozen=True, slots=True)
class TxPlace:
    """Say where a transaction, or the run of a job, stands in the chain.

    Args:
        index: in its block; runs of jobs begin at `JOB_INDEX_FIRST`.
    """

    height: Height
    index: int
    tx_id: TxId

    @property
    def is_job(self) -> bool:
        """Tell whether a job ran here."""
        return self.index >= JOB_INDEX_FIRST


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One row of an account's journal, as the ledger wrote it."""

    sequence: int
    row: bytes
