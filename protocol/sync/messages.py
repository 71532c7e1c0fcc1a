"""The messages of block sync: what a peer has, and ranges of final blocks with their certificates.

Wire: the canonical array `(version, kind, field, ...)`. Nothing is signed: every block comes with a
certificate, and whoever lies about heights only wastes a request. Blocks travel as the bytes that are stored:
who serves them decodes none, and who asked decodes them one by one, when it has time.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias, assert_never

from protocol import codec
from protocol.chain.certificate import CERTIFICATE_BYTES_MAX
from protocol.codec import Reader, Value
from protocol.params import BLOCK_BYTES_MAX, INT64_MAX
from protocol.types import BlockId, Height

SYNC_VERSION: Final = 3
RANGE_BLOCKS_MAX: Final = 64
RANGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A range ends before the block that would exceed this; the first block always goes, whatever its size."""

SYNC_BYTES_MAX: Final = BLOCK_BYTES_MAX + RANGE_BLOCKS_MAX * (CERTIFICATE_BYTES_MAX + 64)


class SyncKind(IntEnum):
    """The second field of every message."""

    GET_STATUS = 1
    STATUS = 2
    GET_BLOCKS = 3
    BLOCKS = 4


@dataclass(frozen=True, slots=True)
class GetStatus:
    """Ask how far a peer is."""


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """Say how far we are, and from where on we have blocks.

    Args:
        height: of the last final block; 0 at genesis.
        block_id: of that block; the genesis hash at height 0.
        lowest: height of the lowest block that we can send: 1, or above the snapshot that we began with;
            one above `height` when there is no block yet.
    """

    height: Height
    block_id: BlockId
    lowest: Height


@dataclass(frozen=True, slots=True)
class GetBlocks:
    """Ask for final blocks.

    Args:
        first: the lowest height.
        count: how many, 1 .. `RANGE_BLOCKS_MAX`; the answer may stop earlier.
    """

    first: Height
    count: int


@dataclass(frozen=True, slots=True)
class Blocks:
    """Answer `GetBlocks`: final blocks from the first height asked for; none when we lack it.

    Args:
        blocks: encoded block and encoded certificate, ascending.
    """

    blocks: tuple[tuple[bytes, bytes], ...]


SyncMessage: TypeAlias = GetStatus | ChainStatus | GetBlocks | Blocks


def encode_sync(message: SyncMessage) -> bytes:
    """Encode a message of block sync."""
    match message:
        case GetStatus():
            fields: tuple[Value, ...] = (int(SyncKind.GET_STATUS),)
        case ChainStatus():
            fields = (int(SyncKind.STATUS), message.height, message.block_id, message.lowest)
        case GetBlocks():
            fields = (int(SyncKind.GET_BLOCKS), message.first, message.count)
        case Blocks():
            fields = (int(SyncKind.BLOCKS), message.blocks)
        case _:
            assert_never(message)
    return codec.encode((SYNC_VERSION, *fields))


def decode_sync(data: bytes) -> SyncMessage:
    """Decode a message of block sync; blocks and certificates stay bytes.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(codec.decode(data, SYNC_BYTES_MAX), "sync message")
    fields.integer(SYNC_VERSION, SYNC_VERSION)
    message = _read(SyncKind(fields.integer(SyncKind.GET_STATUS, SyncKind.BLOCKS)), fields)
    fields.end()
    return message


def _read(kind: SyncKind, fields: Reader) -> SyncMessage:
    match kind:
        case SyncKind.GET_STATUS:
            return GetStatus()
        case SyncKind.STATUS:
            height = fields.integer(0, INT64_MAX - 1)
            block_id = BlockId(fields.data(32))
            return ChainStatus(Height(height), block_id, Height(fields.integer(1, height + 1)))
        case SyncKind.GET_BLOCKS:
            return GetBlocks(Height(fields.integer(1, INT64_MAX)), fields.integer(1, RANGE_BLOCKS_MAX))
        case SyncKind.BLOCKS:
            return Blocks(fields.records(RANGE_BLOCKS_MAX, _read_item))
        case _:
            assert_never(kind)


def _read_item(value: Value) -> tuple[bytes, bytes]:
    fields = Reader(value, "block of a range", 2)
    return fields.data_up_to(BLOCK_BYTES_MAX), fields.data_up_to(CERTIFICATE_BYTES_MAX)
