"""A snapshot: the state after one block, cut into chunks that each prove themselves.

A chunk is one whole subtree of the state tree: all rows whose key hash begins with a path of nibbles. Its
digest is the digest of that node, so the digests of all chunks fold up to the state root: whoever has the
certified header knows of a manifest that it is right before a single chunk is fetched, and of each chunk the
moment it comes, whoever sent it. Chunks are known by their digest, so those that two snapshots share need
not be fetched twice.

The cut is a function of the rows alone: a subtree of at most `CHUNK_WEIGHT_MAX` is a chunk, a heavier one is
cut into its 16 children. So all nodes cut alike, and only the depth of each chunk need be said: in order,
depths determine the paths.

What a snapshot stands on is its *anchor*: the seals of all epochs before, and the certified header. It holds
no block, no history, no key and no promise of a validator.

It knows no disk and no network. See `snapshot_planner.py` for how chunks are fetched.

*Source*: consensus.md 2.7. *Departs*: performance.md has buckets as chunks; a chunk of one or of many
buckets serves a small state in one request and a large one in even pieces.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from typing import Final

from protocol import codec
from protocol.chain.block import HEADER_BYTES_MAX, Header, decode_header
from protocol.chain.certificate import Certificate, read_certificate
from protocol.chain.genesis import Genesis
from protocol.chain.validators import EpochRecord, read_epoch
from protocol.codec import Reader, Value
from protocol.errors import Code, Rejected
from protocol.light import Trust, cross_epoch, trust_genesis, verify_header
from protocol.merkle.proof import (
    KEY_PREFIX,
    NODE_PREFIX,
    PAGE_ENTRIES_MAX,
    STATE_LEVELS_MAX,
    VALUE_PREFIX,
    hash_subtree,
    nibble_of,
)
from protocol.params import DECODE_LIST_ITEMS_MAX, INT64_MAX, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX
from protocol.types import BlockId, EpochNumber, Hash32, Height

SNAPSHOT_VERSION: Final = 1

CHUNK_WEIGHT_MAX: Final = 1024 * 1024
"""Weight of a chunk that need not be cut: its bytes, and `ROW_WEIGHT` a row."""

ROW_WEIGHT: Final = 64
"""What a row weighs beside key and value; more than its frame takes, so that no chunk has very many rows."""

CHUNK_BYTES_MAX: Final = PAGE_ENTRIES_MAX * (ROW_WEIGHT + STATE_KEY_BYTES_MAX + STATE_VALUE_BYTES_MAX)
"""The largest chunk: a page is never cut, however heavy."""

CHUNKS_MAX: Final = DECODE_LIST_ITEMS_MAX
"""Chunks of one snapshot: 4 GiB of state at the least."""

MANIFEST_BYTES_MAX: Final = 512 + 48 * CHUNKS_MAX
ANCHOR_EPOCHS_MAX: Final = 10_000
ANCHOR_BYTES_MAX: Final = 64 * 1024 * 1024

Row = tuple[bytes, bytes, bytes]
"""Key hash, key, value."""


@dataclass(frozen=True, slots=True)
class ChunkEntry:
    """Name a chunk.

    Args:
        depth: nibbles of its path.
        digest: of its node in the state tree.
        size_bytes: of its encoding; for progress and for people, as no root proves it.
    """

    depth: int
    digest: Hash32
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Say what a snapshot is of, and which chunks it has, in order of their paths.

    Args:
        epoch: of the header.
        rows: number of keys; for people, as no root proves it.
    """

    genesis_hash: Hash32
    height: Height
    block_id: BlockId
    state_root: Hash32
    epoch: EpochNumber
    rows: int
    chunks: tuple[ChunkEntry, ...]

    @property
    def size_bytes(self) -> int:
        """Return the size of all chunks."""
        return sum([chunk.size_bytes for chunk in self.chunks])

    def encode(self) -> bytes:
        """Encode the manifest."""
        chunks = tuple([(chunk.depth, chunk.digest, chunk.size_bytes) for chunk in self.chunks])
        fields: tuple[Value, ...] = (
            self.genesis_hash,
            self.height,
            self.block_id,
            self.state_root,
            self.epoch,
            self.rows,
            chunks,
        )
        return codec.encode((SNAPSHOT_VERSION, *fields))


@dataclass(frozen=True, slots=True)
class Seal:
    """The end of an epoch: its last header, the certificate of that, and the record that follows."""

    header: Header
    certificate: Certificate
    record: EpochRecord

    def to_value(self) -> Value:
        """Return the seal as a canonical value."""
        return self.header.encode(), self.certificate.to_value(), self.record.to_value()


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a snapshot stands on.

    Args:
        seals: of all epochs up to the one that certifies the block above `header`, in order.
        header: of the block whose state it is.
    """

    seals: tuple[Seal, ...]
    header: Header
    certificate: Certificate

    def encode(self) -> bytes:
        """Encode the anchor."""
        seals = tuple([seal.to_value() for seal in self.seals])
        return codec.encode((SNAPSHOT_VERSION, seals, self.header.encode(), self.certificate.to_value()))


# --- making


def make_row(key: bytes, value: bytes) -> Row:
    """Put the hash by which rows are ordered before a key and its value."""
    return sha256(KEY_PREFIX + key).digest(), key, value


def cut_rows(
    rows: Sequence[Row], tree_bits: int, weight_max: int = CHUNK_WEIGHT_MAX
) -> Iterator[tuple[ChunkEntry, bytes]]:
    """Cut all rows of a state into chunks, each with its bytes.

    Args:
        rows: ascending by key hash.

    Cost: about 4 us a row.
    """
    weights = [0, *accumulate(ROW_WEIGHT + len(key) + len(value) for _, key, value in rows)]
    levels = tree_bits // 4

    def walk(first: int, end: int, depth: int) -> Iterator[tuple[ChunkEntry, bytes]]:
        is_page = depth >= levels and end - first <= PAGE_ENTRIES_MAX
        if is_page or weights[end] - weights[first] <= weight_max:
            part = rows[first:end]
            data = codec.encode(tuple([(key, value) for _, key, value in part]))
            yield ChunkEntry(depth, _digest_of(part, depth, levels), len(data)), data
            return
        for nibble in range(16):
            low, first = (
                first,
                bisect_left(rows, nibble + 1, first, end, key=lambda row: nibble_of(row[0], depth)),
            )
            yield from walk(low, first, depth + 1)

    return walk(0, len(rows), 0)


def _digest_of(rows: Iterable[Row], depth: int, levels: int) -> Hash32:
    entries = b"".join([row[0] + sha256(VALUE_PREFIX + row[2]).digest() for row in rows])
    return hash_subtree(entries, depth, levels)


# --- reading


def decode_manifest(data: bytes) -> Manifest:
    """Decode a manifest; `check_manifest` tells whether it is right.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(codec.decode(data, MANIFEST_BYTES_MAX), "manifest", 8)
    fields.integer(SNAPSHOT_VERSION, SNAPSHOT_VERSION)
    return Manifest(
        Hash32(fields.data(32)),
        Height(fields.integer(1, INT64_MAX)),
        BlockId(fields.data(32)),
        Hash32(fields.data(32)),
        EpochNumber(fields.uint(32)),
        fields.integer(0, INT64_MAX),
        fields.records(CHUNKS_MAX, _read_entry),
    )


def _read_entry(value: Value) -> ChunkEntry:
    fields = Reader(value, "chunk of a manifest", 3)
    return ChunkEntry(
        fields.integer(0, STATE_LEVELS_MAX), Hash32(fields.data(32)), fields.integer(1, CHUNK_BYTES_MAX)
    )


def read_seal(value: Value) -> Seal:
    """Read a seal from a canonical value.

    Raises:
        Rejected: `MALFORMED` and others of the decoders.
    """
    fields = Reader(value, "seal", 3)
    header = decode_header(fields.data_up_to(HEADER_BYTES_MAX))
    return Seal(header, read_certificate(fields.any()), read_epoch(fields.any()))


def decode_anchor(data: bytes) -> Anchor:
    """Decode an anchor; `check_anchor` tells whether it holds.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(codec.decode(data, ANCHOR_BYTES_MAX), "anchor", 4)
    fields.integer(SNAPSHOT_VERSION, SNAPSHOT_VERSION)
    seals = fields.records(ANCHOR_EPOCHS_MAX, read_seal)
    header = decode_header(fields.data_up_to(HEADER_BYTES_MAX))
    return Anchor(seals, header, read_certificate(fields.any()))


# --- checking


def check_anchor(
    genesis: Genesis,
    anchor: Anchor,
    accepted: tuple[Hash32, ...] = (),
) -> EpochRecord:
    """Check that the header of an anchor is final, trusting the genesis document alone.

    Args:
        accepted: restarts of the chain that the owner accepted by hand.

    Returns: the record that certifies the block above it.

    Raises:
        Rejected: `BAD_PROOF`, naming the step.
    """
    trust = trust_genesis(genesis, accepted)
    trusts = [trust]
    for seal in anchor.seals:
        trust = cross_seal(trust, seal)
        trusts.append(trust)
    header = anchor.header
    if len(anchor.seals) != header.epoch + header.is_seal:
        raise _refusal("anchor", f"{len(anchor.seals)} seals, header of epoch {header.epoch}")
    check_header(trusts[header.epoch], header, anchor.certificate)
    if header.is_seal and anchor.seals[-1].header != header:
        raise _refusal("anchor", "the last seal is another header")
    return trust.record


def cross_seal(trust: Trust, seal: Seal) -> Trust:
    """Go from one epoch to the next.

    Raises:
        Rejected: `BAD_PROOF`.
    """
    if seal.header.height < trust.record.first_height:
        raise _refusal("seal", f"height {seal.header.height} is below its epoch")
    return cross_epoch(trust, seal.header, seal.certificate, seal.record)


def check_header(trust: Trust, header: Header, certificate: Certificate) -> None:
    """Check that a header is final and of the trusted epoch.

    Raises:
        Rejected: `BAD_PROOF`.
    """
    if header.height < trust.record.first_height:
        raise _refusal("header", f"height {header.height} is below its epoch")
    verify_header(trust, header, certificate)


def check_manifest(manifest: Manifest, header: Header) -> tuple[bytes, ...]:
    """Check that a manifest is of a header, and that its chunks make up the state root.

    Returns: the path of each chunk, one nibble a byte.

    Raises:
        Rejected: `BAD_PROOF`.
    """
    claimed = manifest.genesis_hash, manifest.height, manifest.block_id, manifest.state_root, manifest.epoch
    if claimed != (
        header.genesis_hash,
        header.height,
        header.compute_id(),
        header.state_root,
        header.epoch,
    ):
        raise _refusal("manifest", "it is of another block than the header")
    paths: list[bytes] = []

    def fold(path: bytes) -> bytes:
        if len(paths) == len(manifest.chunks):
            raise _refusal("manifest", "chunks are missing")
        entry = manifest.chunks[len(paths)]
        if entry.depth <= len(path):
            if entry.depth < len(path):
                raise _refusal("manifest", "its chunks overlap")
            paths.append(path)
            return entry.digest
        return sha256(NODE_PREFIX + b"".join([fold(path + bytes((n,))) for n in range(16)])).digest()

    if fold(b"") != header.state_root or len(paths) != len(manifest.chunks):
        raise _refusal("manifest", "its chunks do not make up the state root")
    return tuple(paths)


def check_chunk(data: bytes, path: bytes, digest: Hash32, tree_bits: int) -> tuple[tuple[bytes, bytes], ...]:
    """Check that bytes are the chunk of this path and digest; return its keys and values.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`, `BAD_PROOF`.

    Cost: about 4 us a row.
    """
    decoded = codec.decode(data, CHUNK_BYTES_MAX)
    pairs = Reader((decoded,), "chunk", 1).records(DECODE_LIST_ITEMS_MAX, _read_row)
    rows = [make_row(key, value) for key, value in pairs]
    last = b""
    for row in rows:
        if row[0] <= last or any(nibble_of(row[0], depth) != n for depth, n in enumerate(path)):
            raise _refusal("chunk", "its rows are out of order, or of another chunk")
        last = row[0]
    if _digest_of(rows, len(path), tree_bits // 4) != digest:
        raise _refusal("chunk", "it is not the one that the state root names")
    return pairs


def _read_row(value: Value) -> tuple[bytes, bytes]:
    fields = Reader(value, "row", 2)
    return fields.data_up_to(STATE_KEY_BYTES_MAX), fields.data_up_to(STATE_VALUE_BYTES_MAX)


def _refusal(step: str, detail: str) -> Rejected:
    return Rejected(Code.BAD_PROOF, f"{step}: {detail}")
