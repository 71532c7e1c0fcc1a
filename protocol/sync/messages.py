"""The messages of block sync and their canonical bytes: `(kind, field, ...)`, fields in the order of the
class.

They carry blocks as bytes; nothing here is signed, because every block comes with its certificate. This
file does not know who asks or when (`planner.py`), nor where blocks are stored.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from protocol import codec
from protocol.codec import Reader, Value
from protocol.errors import Code, Rejected
from protocol.params import BLOCK_BYTES_MAX, INT64_MAX
from protocol.types import Height

RANGE_BLOCKS_MAX: Final = 64
RANGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A range ends with the block that passes this, so one block always fits (consensus.md 2.7)."""
SYNC_BYTES_MAX: Final = RANGE_BYTES_MAX + BLOCK_BYTES_MAX + 256 * 1024
REQUEST_BITS: Final = 48
CERTIFICATE_BYTES_MAX: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class AskHeight:
    """Ask a peer how high its chain is."""


@dataclass(frozen=True, slots=True)
class TellHeight:
    """Say how high the chain is; believed only as a reason to ask for blocks."""

    height: Height


@dataclass(frozen=True, slots=True)
class AskBlocks:
    """Ask for blocks from a height on, at most `count`."""

    request: int
    first: Height
    count: int


@dataclass(frozen=True, slots=True)
class TellBlocks:
    """Answer with consecutive blocks from the height asked for, each certified; may be fewer, or none.

    Args:
        blocks: (block bytes, certificate bytes), not decoded.
    """

    request: int
    blocks: tuple[tuple[bytes, bytes], ...]


SyncMessage: TypeAlias = AskHeight | TellHeight | AskBlocks | TellBlocks


def encode_sync(message: SyncMessage) -> bytes:
    """Encode a message."""
    match message:
        case AskHeight():
            return codec.encode((1,))
        case TellHeight(height):
            return codec.encode((2, height))
        case AskBlocks(request, first, count):
            return codec.encode((3, request, first, count))
        case TellBlocks(request, blocks):
            return codec.encode((4, request, blocks))
        case _:
            assert_never(message)


def decode_sync(data: bytes) -> SyncMessage:
    """Decode a message; blocks stay bytes.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(codec.decode(data, SYNC_BYTES_MAX), "sync message")
    message = _read(fields.integer(1, 4), fields)
    fields.end()
    return message


def _read(kind: int, fields: Reader) -> SyncMessage:
    match kind:
        case 1:
            return AskHeight()
        case 2:
            return TellHeight(Height(fields.integer(0, INT64_MAX)))
        case 3:
            request, first = fields.uint(REQUEST_BITS), Height(fields.integer(1, INT64_MAX))
            return AskBlocks(request, first, fields.integer(1, RANGE_BLOCKS_MAX))
        case _:
            return TellBlocks(fields.uint(REQUEST_BITS), fields.records(RANGE_BLOCKS_MAX, _read_pair))


def _read_pair(value: Value) -> tuple[bytes, bytes]:
    fields = Reader(value, "certified block", 2)
    block, certificate = fields.data_up_to(BLOCK_BYTES_MAX), fields.data_up_to(CERTIFICATE_BYTES_MAX)
    if not block or not certificate:
        raise Rejected(Code.MALFORMED, "certified block: empty")
    return block, certificate
