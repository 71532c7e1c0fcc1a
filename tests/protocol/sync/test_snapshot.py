"""The cut of a state into chunks, and that nothing false is ever taken for a part of it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import codec
from protocol.chain.block import Header
from protocol.errors import Code, Rejected
from protocol.light import trust_genesis
from protocol.merkle.proof import STATE_LEVELS_MAX
from protocol.merkle.tree import StateTree
from protocol.params import STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX
from protocol.sync.snapshot import (
    ANCHOR_EPOCHS_MAX,
    CHUNK_BYTES_MAX,
    CHUNK_WEIGHT_MAX,
    CHUNKS_MAX,
    ROW_WEIGHT,
    Anchor,
    ChunkEntry,
    Manifest,
    Row,
    Seal,
    check_anchor,
    check_chunk,
    check_manifest,
    cross_seal,
    cut_rows,
    decode_anchor,
    decode_manifest,
    make_row,
)
from protocol.types import Hash32
from tests.node.store.chain_maker import ChainMaker

BITS = 8
Cut = list[tuple[ChunkEntry, bytes]]


def rows_of(state: dict[bytes, bytes]) -> list[Row]:
    return sorted(make_row(key, value) for key, value in state.items())


def header_of(state: dict[bytes, bytes], bits: int = BITS) -> Header:
    """A header, of which only the state root is looked at."""
    header = ChainMaker().next().block.header
    return replace(header, state_root=StateTree.build(bits, state.items()).root)


def manifest_of(header: Header, chunks: Cut, rows: int = 0) -> Manifest:
    return Manifest(
        header.genesis_hash,
        header.height,
        header.compute_id(),
        header.state_root,
        header.epoch,
        rows,
        tuple(entry for entry, _ in chunks),
    )


def numbered(count: int) -> dict[bytes, bytes]:
    return {b"key%d" % n: b"value%d" % n * 3 for n in range(count)}


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.binary(min_size=1, max_size=64), st.binary(max_size=80), max_size=120),
    st.sampled_from([4, 8, 12]),
    st.integers(0, 4_000),
)
def test_any_state_comes_back_from_its_chunks(state: dict[bytes, bytes], bits: int, weight_max: int) -> None:
    header = header_of(state, bits)
    chunks = list(cut_rows(rows_of(state), bits, weight_max))
    manifest = manifest_of(header, chunks, len(state))
    assert decode_manifest(manifest.encode()) == manifest
    paths = check_manifest(manifest, header)
    found: dict[bytes, bytes] = {}
    for (entry, data), path in zip(chunks, paths, strict=True):
        assert len(data) == entry.size_bytes
        found.update(check_chunk(data, path, entry.digest, bits))
    assert found == state
    assert StateTree.build(bits, found.items()).root == header.state_root


def test_a_page_that_is_too_full_is_cut_below_the_buckets() -> None:
    state = numbered(3 * 16 * 256)
    chunks = list(cut_rows(rows_of(state), 4, 0))
    assert max(entry.depth for entry, _ in chunks) == 2
    assert len(check_manifest(manifest_of(header_of(state, 4), chunks), header_of(state, 4))) == 256


@pytest.mark.parametrize(("above", "chunks"), [(0, 1), (1, 16)])
def test_the_limit_of_a_chunk(above: int, chunks: int) -> None:
    state = {b"%02d" % n: bytes(1_000) for n in range(10)}
    weight = sum(ROW_WEIGHT + len(key) + len(value) for key, value in state.items())
    assert len(list(cut_rows(rows_of(state), BITS, weight - above))) == chunks


def test_the_heaviest_page_is_a_chunk_that_can_be_read() -> None:
    state = {n.to_bytes(STATE_KEY_BYTES_MAX, "big"): bytes(STATE_VALUE_BYTES_MAX) for n in range(256 * 16)}
    sizes = [(entry, len(data)) for entry, data in cut_rows(rows_of(state), 4)]
    assert CHUNK_WEIGHT_MAX < CHUNK_BYTES_MAX and all(size <= CHUNK_BYTES_MAX for _, size in sizes)


@pytest.mark.parametrize("above", [0, 1])
def test_a_chunk_of_too_many_bytes_is_refused(above: int) -> None:
    with pytest.raises(Rejected) as caught:
        check_chunk(b"\xc1" * (CHUNK_BYTES_MAX + above), b"", header_of({}).state_root, BITS)
    assert (caught.value.code == Code.TOO_LARGE) is bool(above)


@pytest.mark.parametrize("weight_max", [0, 2_000, 1 << 20])
def test_one_flipped_bit_anywhere_in_a_chunk_is_found(weight_max: int) -> None:
    state = numbered(40)
    header = header_of(state)
    chunks = list(cut_rows(rows_of(state), BITS, weight_max))
    paths = check_manifest(manifest_of(header, chunks), header)
    entry, data = max(chunks, key=lambda chunk: len(chunk[1]))
    path = paths[chunks.index((entry, data))]
    check_chunk(data, path, entry.digest, BITS)
    for bit in range(8 * len(data)):
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Rejected):
            check_chunk(bytes(bad), path, entry.digest, BITS)


def test_one_flipped_bit_in_what_a_manifest_proves_is_found() -> None:
    state = numbered(40)
    header = header_of(state)
    manifest = manifest_of(header, list(cut_rows(rows_of(state), BITS, 2_000)), 40)
    data = manifest.encode()
    for bit in range(8 * len(data)):
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        try:
            found = decode_manifest(bytes(bad))
            check_manifest(found, header)
        except Rejected:
            continue
        # Sizes and the number of rows are for people; all else is bound to the header.
        plain = replace(found, rows=40, chunks=manifest.chunks)
        assert plain == manifest
        assert [(c.depth, c.digest) for c in found.chunks] == [(c.depth, c.digest) for c in manifest.chunks]


def test_chunks_of_another_place_are_refused() -> None:
    state = numbered(60)
    header = header_of(state)
    chunks = list(cut_rows(rows_of(state), BITS, 0))
    paths = check_manifest(manifest_of(header, chunks), header)
    full = [(e, d, p) for (e, d), p in zip(chunks, paths, strict=True) if len(d) > 1]
    (first, data, path), (second, _, other) = full[:2]
    for wrong_path, wrong_digest in ((other, first.digest), (path, second.digest), (path[:-1], first.digest)):
        with pytest.raises(Rejected):
            check_chunk(data, wrong_path, wrong_digest, BITS)


def test_rows_out_of_order_or_twice_are_refused() -> None:
    state = numbered(3)
    [(entry, data)] = cut_rows(rows_of(state), BITS)
    pairs = codec.decode(data, 1_000)
    assert isinstance(pairs, tuple)
    for wrong in (pairs[::-1], (*pairs, pairs[-1]), pairs[1:]):
        with pytest.raises(Rejected):
            check_chunk(codec.encode(wrong), b"", entry.digest, BITS)


def test_a_cover_with_a_gap_or_an_overlap_is_refused() -> None:
    state = numbered(60)
    header = header_of(state)
    chunks = list(cut_rows(rows_of(state), BITS, 4_000))
    assert len(chunks) == 16
    for wrong in (chunks[1:], chunks[:-1], [*chunks, chunks[-1]], chunks[::-1], []):
        with pytest.raises(Rejected):
            check_manifest(manifest_of(header, wrong), header)
    deeper = [(replace(entry, depth=2), data) for entry, data in chunks]
    with pytest.raises(Rejected, match="missing"):
        check_manifest(manifest_of(header, deeper), header)
    mixed = [(replace(chunks[0][0], depth=2), b""), *chunks[1:]]
    with pytest.raises(Rejected, match="overlap"):
        check_manifest(manifest_of(header, mixed), header)


class Epochs:
    """A chain of three epochs with the anchors of all heights."""

    def __init__(self) -> None:
        self.maker = ChainMaker()
        self.seals: list[Seal] = []
        self.anchors: list[Anchor] = []
        for at in range(6):
            record = self.maker.next_record() if at in (1, 3) else None
            commit = self.maker.next(next_record=record)
            if record is not None:
                self.seals.append(Seal(commit.block.header, commit.certificate, record))
            self.anchors.append(Anchor(tuple(self.seals), commit.block.header, commit.certificate))


def test_an_anchor_leads_from_genesis_to_every_height() -> None:
    epochs = Epochs()
    for at, anchor in enumerate(epochs.anchors):
        assert decode_anchor(anchor.encode()) == anchor
        record = check_anchor(epochs.maker.genesis, anchor)
        assert record.number == (0, 1, 1, 2, 2, 2)[at]


def test_the_chunks_of_a_manifest_and_the_epochs_of_an_anchor_at_the_limit_and_one_above() -> None:
    header = ChainMaker().next().block.header
    heaviest = ChunkEntry(STATE_LEVELS_MAX, Hash32(b"\xff" * 32), CHUNK_BYTES_MAX)
    manifest = replace(manifest_of(header, []), chunks=(heaviest,) * CHUNKS_MAX)
    assert decode_manifest(manifest.encode()) == manifest
    anchor = Epochs().anchors[-1]
    longest = replace(anchor, seals=anchor.seals[:1] * ANCHOR_EPOCHS_MAX)
    assert len(decode_anchor(longest.encode()).seals) == ANCHOR_EPOCHS_MAX
    for data, decode in (
        (replace(manifest, chunks=(*manifest.chunks, heaviest)).encode(), decode_manifest),
        (replace(longest, seals=(*longest.seals, longest.seals[0])).encode(), decode_anchor),
    ):
        with pytest.raises(Rejected) as refused:
            decode(data)  # type: ignore[operator]
        assert refused.value.code == Code.MALFORMED


def test_a_broken_anchor_is_refused() -> None:
    epochs = Epochs()
    last = epochs.anchors[-1]
    first, second = last.seals
    other = ChainMaker({b"other": b"1"}).next()
    wrongs = [
        replace(last, seals=()),
        replace(last, seals=(first,)),
        replace(last, seals=(second, first)),
        replace(last, seals=(first, first)),
        replace(last, certificate=epochs.anchors[0].certificate),
        replace(last, header=replace(last.header, state_root=first.header.tx_root)),
        replace(epochs.anchors[1], seals=()),
        replace(epochs.anchors[2], header=other.block.header, certificate=other.certificate),
        replace(epochs.anchors[0], seals=(first,)),
    ]
    for wrong in wrongs:
        with pytest.raises(Rejected) as caught:
            check_anchor(epochs.maker.genesis, wrong)
        assert caught.value.code == Code.BAD_PROOF
    with pytest.raises(Rejected, match="below its epoch"):
        cross_seal(replace(trust_genesis(epochs.maker.genesis), record=second.record), first)
