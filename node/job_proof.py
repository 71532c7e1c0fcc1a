"""What proves the run of a job to one who trusts a header: a state proof of `sched.history`, and a list path.

Receipts of jobs are not under the receipts root (ADR 10): the state record `sched.history` holds the root of
those of the newest block in which jobs ran, and a rolling hash over all of them. It does not know where runs
are kept (`store/jobs.py`), nor whether a header is final (`protocol/light.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocol import codec, crypto
from protocol.chain.block import Header
from protocol.chain.receipt import Receipt, decode_receipt
from protocol.codec import Reader
from protocol.contracts.sched import HISTORY
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.merkle.proof import ListProof, StateProof, list_root, verify_item, verify_state
from protocol.params import INT64_MAX, JOB_INDEX_FIRST, JOBS_PER_BLOCK_MAX, STATE_VALUE_BYTES_MAX
from protocol.types import Height

HISTORY_KEY: Final = HISTORY.prefix
PROOF_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class JobHistory:
    """What `sched.history` says after a block in which jobs ran.

    Args:
        receipts: of all runs so far.
        rolled: rolling hash over all of them.
        root: list root of those of this block.
    """

    receipts: int
    rolled: bytes
    height: Height
    root: bytes

    def is_named_by(self, value: bytes | None) -> bool:
        """Tell whether a value of the record, None when there is none, says the same."""
        return self == (NO_RUNS if value is None else read_history(value))


NO_RUNS: Final = JobHistory(0, bytes(32), Height(0), b"")


@dataclass(frozen=True, slots=True)
class JobProof:
    """The value of `sched.history` after a block, with its way to the state root of that block."""

    value: bytes
    proof: StateProof

    def encode(self) -> bytes:
        """Encode the proof."""
        return codec.encode((self.value, self.proof.to_value()))


def decode_job_proof(data: bytes) -> JobProof:
    """Decode the proof of a block's runs.

    Raises:
        Rejected: MALFORMED, NOT_CANONICAL, TOO_LARGE.
    """
    fields = Reader(codec.decode(data, PROOF_BYTES_MAX), "job proof", 2)
    return JobProof(fields.data_up_to(STATE_VALUE_BYTES_MAX), StateProof.from_value(fields.any()))


def read_history(value: bytes) -> JobHistory:
    """Read a value of the record.

    Raises:
        Rejected: MALFORMED, NOT_CANONICAL.
    """
    fields = Reader(codec.decode(value, STATE_VALUE_BYTES_MAX), "job history", 5)
    fields.uint(16)
    count, rolled = fields.integer(0, INT64_MAX), fields.data(32)
    return JobHistory(count, rolled, Height(fields.integer(0, INT64_MAX)), fields.data(32))


def check_job_proof(header: Header, proof: JobProof) -> JobHistory:
    """Check that a header proves the record, and that it speaks of jobs of this very block.

    Raises:
        Rejected: BAD_PROOF, or what decoding raises.
    """
    if not verify_state(header.state_root, HISTORY_KEY, proof.value, proof.proof):
        raise Rejected(Code.BAD_PROOF, "state: the record of jobs does not stand under the state root")
    found = read_history(proof.value)
    if found.height != header.height:
        raise Rejected(Code.BAD_PROOF, f"state: jobs ran last at {found.height}, header of {header.height}")
    return found


def verify_run(header: Header, proof: JobProof, receipt_bytes: bytes, count: int, path: ListProof) -> Receipt:
    """Check that a job ran in the block of a header that is final, with this receipt; returns it decoded.

    Args:
        count: runs of that block.

    Raises:
        Rejected: BAD_PROOF, or what decoding raises.
    """
    history, receipt = check_job_proof(header, proof), decode_receipt(receipt_bytes)
    place = receipt.index - JOB_INDEX_FIRST
    if receipt.height != header.height or not 0 <= place < count <= JOBS_PER_BLOCK_MAX:
        raise Rejected(Code.BAD_PROOF, "receipt: it is not of a job of this block")
    if not verify_item(history.root, count, place, receipt_bytes, path):
        raise Rejected(Code.BAD_PROOF, "receipt: it does not stand among the runs that the state names")
    return receipt


def follow_runs(before: JobHistory, receipts: Sequence[bytes], height: Height) -> JobHistory:
    """Compute what `sched.history` says after these runs."""
    rolled = before.rolled
    for raw in receipts:
        rolled = crypto.digest(Domain.JOURNAL, rolled, raw)
    return JobHistory(before.receipts + len(receipts), rolled, height, list_root(receipts))
