"""The tables of the database: their names, what a row is, and the version of all that.

A change of any row's form is a new `SCHEMA.version`. It does not know lmdb (`environment.py`).

Numbers in keys are big-endian, so that order of bytes is order of numbers. Rows by height are only ever
appended: they fill pages one after another, where a row by hash or address would dirty a page of its own for
each transaction. What must be found by hash or address is therefore kept in sorted runs (`runs.py`).
"""

from dataclasses import dataclass
from typing import Final

META: Final = "meta"
"""`schema`, `genesis`, `head`, `safety`, `founded` (the root of the state of genesis), and `base` of a store
that began with a snapshot: one row each."""

EPOCHS: Final = "epochs"
"""number u32 -> epoch record."""

HEADERS: Final = "headers"
"""height u64 -> header, also in the block: walking headers must not read bodies. Those of seals are kept
below a snapshot too, with their certificates."""

BLOCKS: Final = "blocks"
"""height u64 -> block."""

CERTIFICATES: Final = "certificates"
"""height u64 -> the certificate that committed it; never replaced."""

BLOCK_HEIGHTS: Final = "block_heights"
"""block id -> height u64."""

STATE: Final = "state"
"""key -> value of the authenticated state at the head."""

UNDO: Final = "undo"
"""height u64 -> values that the block replaced, for as many heights as the operator wants to ask about."""

TX_IDS: Final = "tx_ids"
"""height u64 -> the ids of its transactions, 32 bytes each."""

RECEIPTS: Final = "receipts"
"""height u64 -> its receipts, packed."""

JOB_RUNS: Final = "job_runs"
"""height u64 -> the runs of its jobs, packed: their ids together, what proves them, one receipt each."""

JOURNAL: Final = "journal"
"""height u64 -> its journal rows and their digest, packed; those of the founding programs stand at 0."""

TX_RUNS: Final = "tx_runs"
"""Runs of: first 8 bytes of the id of a transaction or of a job's run | height u48 | index u16; the top bit
of an index marks a job."""

ACCOUNT_RUNS: Final = "account_runs"
"""Runs of: address | height u48 | index u16, for every account that a transaction or a
job touched."""

JOURNAL_RUNS: Final = "journal_runs"
"""Runs of: ledger account, 30 bytes | sequence u48 | height u48 | position u32 in the packed rows."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Fix the tables of a database and the version of their rows."""

    version: int
    tables: tuple[str, ...]


SCHEMA: Final = Schema(
    3,
    (
        META,
        EPOCHS,
        HEADERS,
        BLOCKS,
        CERTIFICATES,
        BLOCK_HEIGHTS,
        STATE,
        UNDO,
        TX_IDS,
        RECEIPTS,
        JOB_RUNS,
        JOURNAL,
        TX_RUNS,
        ACCOUNT_RUNS,
        JOURNAL_RUNS,
    ),
)
