"""What travels in a frame between two nodes: one byte of kind, then the bytes that belong to it.

The kind says who reads the rest: the driver (consensus), the intake (transactions) or the sync. This file
knows no socket and no meaning beyond that; bytes of peers leave it only as values or as `Rejected`.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from protocol import codec
from protocol.codec import Reader
from protocol.errors import Code, Rejected
from protocol.params import TX_SIGNED_BYTES_MAX

BATCH_BYTES_MAX: Final = 512 * 1024
"""One batch of transactions on the wire; network.md 1.7."""
BATCH_FLUSH_BYTES: Final = 64 * 1024
BATCH_TXS_MAX: Final = 4_096


class FrameKind(IntEnum):
    """First byte of a frame."""

    CONSENSUS = 1
    TRANSACTIONS = 2
    SYNC = 3


def frame(kind: FrameKind, payload: bytes) -> bytes:
    """Put the kind before a payload."""
    return bytes((kind,)) + payload


def split(data: bytes) -> tuple[FrameKind, bytes]:
    """Take kind and payload apart.

    Raises:
        Rejected: `MALFORMED`.
    """
    if not data or data[0] not in _KINDS:
        raise Rejected(Code.MALFORMED, "frame of unknown kind")
    return FrameKind(data[0]), data[1:]


def encode_batch(raws: Iterable[bytes]) -> bytes:
    """Encode signed transactions for the wire."""
    return frame(FrameKind.TRANSACTIONS, codec.encode(tuple(raws)))


def decode_batch(payload: bytes) -> tuple[bytes, ...]:
    """Decode the signed transactions of a batch; each is still undecoded bytes.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader((codec.decode(payload, BATCH_BYTES_MAX),), "batch", 1)
    return fields.records(
        BATCH_TXS_MAX, lambda value: Reader((value,), "transaction", 1).data_up_to(TX_SIGNED_BYTES_MAX)
    )


_KINDS: Final = frozenset(int(kind) for kind in FrameKind)
