"""The block: header, body, identity, and the checks that need nothing but the block and its parent.

The header carries the state root *after* the block, so what is certified is the state itself and a bug of
determinism stalls the chain instead of forking it. This file does not execute anything (`transition.py`) and
does not know how a block becomes final (`consensus/`).

*Source*: consensus.md 2.3, performance.md 0.7.
"""

from collections.abc import Callable
from dataclasses import dataclass

from protocol import codec, crypto
from protocol.chain.certificate import Certificate, read_certificate
from protocol.chain.evidence import Evidence, read_evidence
from protocol.chain.transaction import SignedTransaction
from protocol.chain.validators import NO_HASH
from protocol.codec import Reader, Value
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.merkle.proof import list_root
from protocol.params import (
    BLOCK_BYTES_MAX,
    BLOCK_EVIDENCE_MAX,
    BLOCK_TXS_MAX,
    BLOCK_VERSION,
    INT64_MAX,
    TX_SIGNED_BYTES_MAX,
)
from protocol.types import BlockId, EpochNumber, Hash32, Height, PublicKey, TimeMs, View

HEADER_BYTES_MAX = 1_024


@dataclass(frozen=True, slots=True)
class Header:
    """Fix everything about a block.

    Args:
        genesis_hash: identity of the chain.
        time_ms: proposer's clock, above the parent's.
        view: of the first proposal of this block; a later leader proposes the same block again.
        parent_id: genesis hash for height 1.
        last_certificate_height: whose certificate the body carries; 0 when none does.
        last_certificate_hash: of that certificate; zero bytes when none.
        tx_root: RFC 6962 root of the transactions' bytes.
        state_root: of the state after this block.
        receipts_root: RFC 6962 root of the receipts' bytes.
        epoch_hash: of the record that certifies this block.
        next_epoch_hash: of the record that certifies the next one; differs at a seal only.
    """

    genesis_hash: Hash32
    height: Height
    time_ms: TimeMs
    epoch: EpochNumber
    view: View
    proposer: PublicKey
    parent_id: BlockId
    last_certificate_height: Height
    last_certificate_hash: Hash32
    tx_root: Hash32
    tx_count: int
    evidence_root: Hash32
    state_root: Hash32
    receipts_root: Hash32
    epoch_hash: Hash32
    next_epoch_hash: Hash32

    def encode(self) -> bytes:
        """Encode the header; its digest is the block id."""
        return codec.encode(
            (
                BLOCK_VERSION,
                self.genesis_hash,
                self.height,
                self.time_ms,
                self.epoch,
                self.view,
                self.proposer,
                self.parent_id,
                self.last_certificate_height,
                self.last_certificate_hash,
                self.tx_root,
                self.tx_count,
                self.evidence_root,
                self.state_root,
                self.receipts_root,
                self.epoch_hash,
                self.next_epoch_hash,
            )
        )

    def compute_id(self) -> BlockId:
        """Compute the block id, about 3 us."""
        return compute_block_id(self.encode())

    @property
    def is_seal(self) -> bool:
        """Tell whether this is the last block of its epoch."""
        return self.epoch_hash != self.next_epoch_hash


def compute_block_id(header_bytes: bytes) -> BlockId:
    """Compute the block id of an encoded header."""
    return BlockId(crypto.digest(Domain.HEADER, header_bytes))


def decode_header(data: bytes) -> Header:
    """Decode a header.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(codec.decode(data, HEADER_BYTES_MAX), "header", 17)
    fields.integer(BLOCK_VERSION, BLOCK_VERSION)
    return Header(
        Hash32(fields.data(32)),
        Height(fields.integer(1, INT64_MAX)),
        TimeMs(fields.integer(0, INT64_MAX)),
        EpochNumber(fields.uint(32)),
        View(fields.integer(0, INT64_MAX)),
        PublicKey(fields.data(33)),
        BlockId(fields.data(32)),
        Height(fields.integer(0, INT64_MAX)),
        Hash32(fields.data(32)),
        Hash32(fields.data(32)),
        fields.integer(0, BLOCK_TXS_MAX),
        Hash32(fields.data(32)),
        Hash32(fields.data(32)),
        Hash32(fields.data(32)),
        Hash32(fields.data(32)),
        Hash32(fields.data(32)),
    )


@dataclass(frozen=True, slots=True)
class Block:
    """A header with the body it binds.

    Args:
        id: digest of the header.
        last_certificate: of the block at `header.last_certificate_height`; None when that is 0.
    """

    id: BlockId
    header: Header
    transactions: tuple[SignedTransaction, ...]
    evidence: tuple[Evidence, ...] = ()
    last_certificate: Certificate | None = None

    @property
    def height(self) -> Height:
        """Return the height."""
        return self.header.height

    def encode(self) -> bytes:
        """Encode header and body."""
        certificate = self.last_certificate
        return codec.encode(
            (
                self.header.encode(),
                tuple([t.raw for t in self.transactions]),
                tuple([e.to_value() for e in self.evidence]),
                None if certificate is None else certificate.to_value(),
            )
        )


def assemble_block(
    header: Header,
    transactions: tuple[SignedTransaction, ...],
    evidence: tuple[Evidence, ...] = (),
    last_certificate: Certificate | None = None,
) -> Block:
    """Join a header and the body it was computed from."""
    return Block(header.compute_id(), header, transactions, evidence, last_certificate)


def compute_tx_root(transactions: tuple[SignedTransaction, ...]) -> Hash32:
    """Compute the root over the transactions' bytes, signatures included."""
    return list_root([t.raw for t in transactions])


def compute_evidence_root(evidence: tuple[Evidence, ...]) -> Hash32:
    """Compute the root over the hashes of the evidence."""
    return list_root([e.compute_hash() for e in evidence])


def compute_certificate_hash(certificate: Certificate | None) -> Hash32:
    """Compute the hash by which a header binds the certificate in its body; zero bytes for none."""
    return NO_HASH if certificate is None else crypto.sha256(certificate.encode())


def decode_block(data: bytes, decode_tx: Callable[[bytes], SignedTransaction]) -> Block:
    """Decode a block and check that the body is the one its header binds.

    Args:
        decode_tx: decodes a signed transaction of this chain; the caller may answer from a cache.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`, `INVALID_BLOCK`.
    """
    block = _read_block(data, decode_tx)
    check_body(block)
    return block


def decode_bare(data: bytes) -> Block:
    """Decode a block whose transactions travel on their own; all else is checked against the header.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`, `INVALID_BLOCK`.
    """
    block = _read_block(data, _refuse_tx)
    _check_rest(block)
    return block


def _read_block(data: bytes, decode_tx: Callable[[bytes], SignedTransaction]) -> Block:
    fields = Reader(codec.decode(data, BLOCK_BYTES_MAX), "block", 4)
    header_bytes = fields.data_up_to(HEADER_BYTES_MAX)
    header = decode_header(header_bytes)
    transactions = fields.records(BLOCK_TXS_MAX, lambda value: decode_tx(_read_tx(value)))
    evidence = fields.records(BLOCK_EVIDENCE_MAX, read_evidence)
    certificate_value: Value = fields.any()
    certificate = None if certificate_value is None else read_certificate(certificate_value)
    return Block(compute_block_id(header_bytes), header, transactions, evidence, certificate)


def _refuse_tx(raw: bytes) -> SignedTransaction:
    raise Rejected(Code.MALFORMED, "bare block: holds a transaction")


def check_body(block: Block) -> None:
    """Check that a body is the one its header binds.

    Raises:
        Rejected: `INVALID_BLOCK`.
    """
    header = block.header
    if header.tx_count != len(block.transactions) or header.tx_root != compute_tx_root(block.transactions):
        raise Rejected(Code.INVALID_BLOCK, "transactions are not those of the header")
    _check_rest(block)


def _check_rest(block: Block) -> None:
    header = block.header
    if header.evidence_root != compute_evidence_root(block.evidence):
        raise Rejected(Code.INVALID_BLOCK, "evidence is not that of the header")
    certificate = block.last_certificate
    if header.last_certificate_hash != compute_certificate_hash(certificate):
        raise Rejected(Code.INVALID_BLOCK, "last certificate is not that of the header")
    if header.last_certificate_height != (0 if certificate is None else certificate.height):
        raise Rejected(Code.INVALID_BLOCK, "last certificate is of another height than the header says")


def check_link(header: Header, parent_id: BlockId, parent_height: Height, parent_time_ms: TimeMs) -> None:
    """Check that a header follows its parent.

    *Rules*: 1. height is the parent's + 1. 2. it names the parent. 3. time goes forward.

    Raises:
        Rejected: `INVALID_BLOCK`.
    """
    if header.height != parent_height + 1:
        raise Rejected(Code.INVALID_BLOCK, f"height {header.height} after {parent_height}")
    if header.parent_id != parent_id:
        raise Rejected(Code.INVALID_BLOCK, "another parent")
    if header.time_ms <= parent_time_ms:
        raise Rejected(Code.INVALID_BLOCK, f"time {header.time_ms} ms, parent has {parent_time_ms} ms")


def _read_tx(value: Value) -> bytes:
    if type(value) is not bytes or len(value) > TX_SIGNED_BYTES_MAX:
        raise Rejected(Code.MALFORMED, f"transaction: not at most {TX_SIGNED_BYTES_MAX} bytes")
    return value
