"""Gas: what each unit of work of a program costs, so that every program and every block ends in known time.

1 gas is 50 ns on the reference core. This file knows prices only; `vm/view.py` counts, `contracts/auth.py`
says who pays.

*Source*: contracts.md 3.5. *Departs*: a record is priced by the largest size its table allows, not by its
size today, so a price is known before the record is read and no record has to be packed twice; the start of
a walk has a price, since one that finds nothing is work, too.
"""

from typing import Final

CALL: Final = 100
ASSERTION: Final = 20
ARGUMENT_BYTES_PER_GAS: Final = 16
READ: Final = 40
READ_BYTES_PER_GAS: Final = 32
WRITE: Final = 120
WRITE_BYTES_PER_GAS: Final = 16
DELETE: Final = 60
INDEX_ENTRY: Final = 60
SEEK: Final = 40
"""The start of a walk, whether or not it finds anything."""
SCAN_ITEM: Final = 10
EVENT: Final = 20
EVENT_BYTES_PER_GAS: Final = 32
SIGNATURE: Final = 1_000
JOURNAL_ROW: Final = 40
STORED_BYTE: Final = 1
"""A byte of a stored program: it is decoded and typed each time it runs."""


def compute_read_gas(size_bytes_max: int) -> int:
    """Compute the gas of reading a record of at most so many bytes."""
    return READ + size_bytes_max // READ_BYTES_PER_GAS


def compute_write_gas(size_bytes_max: int) -> int:
    """Compute the gas of writing a record of at most so many bytes, its later hashing included."""
    return WRITE + size_bytes_max // WRITE_BYTES_PER_GAS


def compute_envelope_gas(size_bytes: int, signatures: int) -> int:
    """Compute the gas of a transaction before its program: its bytes and its signatures."""
    return size_bytes // ARGUMENT_BYTES_PER_GAS + signatures * SIGNATURE
