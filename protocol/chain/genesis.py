"""Genesis: how a chain is founded; its hash is the identity of the chain.

The document fixes the first epoch, the shape of the state tree and a list of founding programs that run with
the founders' authority before height 1. This file does not run them (`transition.py`).
"""

from dataclasses import dataclass

from protocol import codec, crypto
from protocol.chain.validators import EpochRecord, read_epoch
from protocol.codec import Reader, Value
from protocol.crypto import Domain
from protocol.params import ACTORS_MAX, CHAIN_NAME_BYTES_MAX, INT64_MAX
from protocol.types import Address, Hash32, TimeMs

GENESIS_VERSION = 1
GENESIS_BYTES_MAX = 4 * 1024 * 1024
GENESIS_PROGRAMS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Genesis:
    """Found a chain.

    Args:
        name: short name, also in every transaction, such as `riverbend-1`.
        time_ms: block time of height 0.
        epoch: record of epoch 0.
        tree_bits: the state tree has 2^bits buckets.
        utc_offset_seconds: shifts the co-op's calendar day.
        is_dev: allows `dev_*` methods; never true for real money.
        programs: founding programs `[pins, calls]` or `[pins, calls, founders]`, run in order with authority
            `system("gov")` and that of the founders: whoever accepts the document accepts what they do in it.
    """

    name: str
    time_ms: TimeMs
    epoch: EpochRecord
    tree_bits: int
    utc_offset_seconds: int
    is_dev: bool
    programs: tuple[Value, ...]

    def encode(self) -> bytes:
        """Encode the document."""
        return codec.encode(
            (
                GENESIS_VERSION,
                self.name,
                self.time_ms,
                self.epoch.to_value(),
                self.tree_bits,
                self.utc_offset_seconds,
                self.is_dev,
                self.programs,
            )
        )

    def compute_hash(self) -> Hash32:
        """Compute the identity of the chain; also the parent id of height 1."""
        return crypto.digest(Domain.GENESIS, self.encode())


def decode_genesis(data: bytes) -> Genesis:
    """Decode a genesis document.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(codec.decode(data, GENESIS_BYTES_MAX), "genesis", 8)
    fields.integer(GENESIS_VERSION, GENESIS_VERSION)
    return Genesis(
        fields.text(CHAIN_NAME_BYTES_MAX),
        TimeMs(fields.integer(0, INT64_MAX)),
        read_epoch(fields.any()),
        fields.integer(4, 24),
        fields.integer(-86_400, 86_400),
        fields.flag(),
        fields.items(GENESIS_PROGRAMS_MAX),
    )


def read_founding(value: Value) -> tuple[tuple[Address, ...], Value]:
    """Take a founding program apart: who acts in it, and the program.

    Rule: at most 16 founders, as in a transaction.

    Raises:
        Rejected: `MALFORMED`.
    """
    if not isinstance(value, tuple) or len(value) != 3:
        return (), value
    fields = Reader(value, "founding program", 3)
    program = (fields.any(), fields.any())
    return fields.records(ACTORS_MAX, _read_founder), program


def _read_founder(value: Value) -> Address:
    return Address(Reader((value,), "founder", 1).data(20))
