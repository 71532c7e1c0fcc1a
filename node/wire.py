"""What travels in a frame between two nodes: one byte of kind, then the bytes that belong to it.

The kind says who reads the rest: the driver (consensus), the intake (transactions) or the sync. This file
knows no socket and no meaning beyond that; bytes of peers leave it only as values or as `Rejected`.

A proposal travels as an *outline*: whole but for its transactions, which are named by the digests under the
`tx_root` of the header. Those digests cover the signatures, so a copy that is signed differently is another
one, and a list of them that is not the header's is refused before anything is fetched.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from node.starvation import OPEN_MAX
from protocol import codec, crypto
from protocol.chain.block import decode_bare
from protocol.chain.certificate import UNSIGNED
from protocol.codec import Reader, Value
from protocol.consensus.messages import MESSAGE_BYTES_MAX, Proposal, decode_message, encode_message
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.merkle.proof import list_root_of
from protocol.params import BLOCK_BYTES_MAX, BLOCK_TXS_MAX, INT64_MAX, TX_SIGNED_BYTES_MAX
from protocol.types import BlockId, EpochNumber, Hash32, Height, Signature, TxId

BATCH_BYTES_MAX: Final = 512 * 1024
"""One batch of transactions on the wire; network.md 1.7."""
BATCH_FLUSH_BYTES: Final = 64 * 1024
BATCH_TXS_MAX: Final = 4_096

DIGEST_BYTES: Final = 32
STARVE_BYTES_MAX: Final = OPEN_MAX * (DIGEST_BYTES + 2) + 128
OUTLINE_BYTES_MAX: Final = MESSAGE_BYTES_MAX
BITMAP_BYTES_MAX: Final = BLOCK_TXS_MAX // 8
GET_TXS_BYTES_MAX: Final = BITMAP_BYTES_MAX + 64
"""One bit for each transaction that a block may have."""


class FrameKind(IntEnum):
    """First byte of a frame."""

    CONSENSUS = 1
    TRANSACTIONS = 2
    SYNC = 3
    OUTLINE = 4
    GET_TXS = 5
    TXS = 6
    STARVE = 7
    EVIDENCE = 8
    SNAPSHOT = 9


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
    return fields.records(BATCH_TXS_MAX, _read_raw)


@dataclass(frozen=True, slots=True)
class Outline:
    """A proposal whose block lacks its transactions, and the digests of these in their order."""

    proposal: Proposal
    leaves: tuple[Hash32, ...]


@dataclass(frozen=True, slots=True)
class GetTxs:
    """Ask for transactions of a proposed block.

    Args:
        wanted: bit i for the transaction at place i.
    """

    block_id: BlockId
    wanted: int


@dataclass(frozen=True, slots=True)
class Txs:
    """Answer `GetTxs` with the signed transactions that were wanted, in their order."""

    block_id: BlockId
    raws: tuple[bytes, ...]


def encode_outline(proposal: Proposal, leaves: Sequence[bytes]) -> bytes:
    """Encode a proposal as an outline, with the digests of its transactions."""
    bare = replace(proposal, block=replace(proposal.block, transactions=()))
    return frame(FrameKind.OUTLINE, codec.encode((encode_message(bare), b"".join(leaves))))


def decode_outline(payload: bytes) -> Outline:
    """Decode an outline and check that its digests are those of the header.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`, `INVALID_BLOCK`.
    """
    fields = Reader(codec.decode(payload, OUTLINE_BYTES_MAX), "outline", 2)
    proposal = decode_message(fields.data_up_to(MESSAGE_BYTES_MAX), decode_bare)
    joined = fields.data_up_to(BLOCK_TXS_MAX * DIGEST_BYTES)
    if not isinstance(proposal, Proposal):
        raise Rejected(Code.MALFORMED, "outline: not of a proposal")
    header = proposal.block.header
    leaves = tuple([Hash32(joined[at : at + DIGEST_BYTES]) for at in range(0, len(joined), DIGEST_BYTES)])
    if len(joined) != header.tx_count * DIGEST_BYTES or list_root_of(leaves) != header.tx_root:
        raise Rejected(Code.INVALID_BLOCK, "outline: transactions are not those of the header")
    return Outline(proposal, leaves)


def encode_get_txs(ask: GetTxs) -> bytes:
    """Encode a question for transactions."""
    wanted = ask.wanted.to_bytes(-(-ask.wanted.bit_length() // 8), "little")
    return frame(FrameKind.GET_TXS, codec.encode((ask.block_id, wanted)))


def decode_get_txs(payload: bytes) -> GetTxs:
    """Decode a question for transactions.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(codec.decode(payload, GET_TXS_BYTES_MAX), "question for transactions", 2)
    block_id, wanted = BlockId(fields.data(DIGEST_BYTES)), fields.data_up_to(BITMAP_BYTES_MAX)
    if not wanted or not wanted[-1]:
        raise Rejected(Code.NOT_CANONICAL, "question for transactions: its bitmap ends in zeros")
    return GetTxs(block_id, int.from_bytes(wanted, "little"))


def encode_txs(answer: Txs) -> bytes:
    """Encode transactions that were asked for."""
    return frame(FrameKind.TXS, codec.encode((answer.block_id, answer.raws)))


def decode_txs(payload: bytes) -> Txs:
    """Decode transactions that were asked for; each is still undecoded bytes.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(codec.decode(payload, BLOCK_BYTES_MAX), "transactions", 2)
    return Txs(BlockId(fields.data(DIGEST_BYTES)), fields.records(BLOCK_TXS_MAX, _read_raw))


@dataclass(frozen=True, slots=True)
class Starve:
    """A validator says in public that transactions starve (`starvation.py`).

    Args:
        height: the undecided one, where it says so.
        ids: all that starve now; an empty list takes back what it said before.
    """

    epoch: EpochNumber
    height: Height
    ids: tuple[TxId, ...]
    signature: Signature = UNSIGNED

    def compute_digest(self, genesis_hash: Hash32) -> Hash32:
        """Compute what its author signs."""
        return crypto.digest(Domain.STARVE, genesis_hash, codec.encode((self.epoch, self.height, self.ids)))


def encode_starve(starve: Starve) -> bytes:
    """Encode an attestation."""
    fields = (starve.epoch, starve.height, starve.ids, starve.signature)
    return frame(FrameKind.STARVE, codec.encode(fields))


def decode_starve(payload: bytes) -> Starve:
    """Decode an attestation; its signature is not verified.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(codec.decode(payload, STARVE_BYTES_MAX), "attestation", 4)
    return Starve(
        EpochNumber(fields.uint(32)),
        Height(fields.integer(1, INT64_MAX)),
        fields.records(OPEN_MAX, lambda value: TxId(Reader((value,), "id", 1).data(DIGEST_BYTES))),
        Signature(fields.data(64)),
    )


def _read_raw(value: Value) -> bytes:
    return Reader((value,), "transaction", 1).data_up_to(TX_SIGNED_BYTES_MAX)


_KINDS: Final = frozenset(int(kind) for kind in FrameKind)
