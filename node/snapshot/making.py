"""Make a snapshot of a store, check one, and found a store on one.

Making reads one moment of the database: the node goes on meanwhile, and the pages it replaces are kept alive
until the walk ends (some seconds). The state of an earlier height is put together from what later blocks
replaced, so that all nodes make a snapshot of the same height whenever they come to it.

Cost: about 10 us a row to make, 5 to check, 10 to found a store; the rows are held in memory while it is
made, some 300 bytes each, which is why the daemon lets a process of its own do it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from node.errors import OperationError
from node.snapshot.folder import SnapshotFolder, damaged
from node.store.anchor import load_anchor
from node.store.store import Store
from protocol.chain.genesis import Genesis
from protocol.errors import Rejected
from protocol.sync.snapshot import (
    Anchor,
    Manifest,
    check_anchor,
    check_chunk,
    check_manifest,
    cut_rows,
    make_row,
)
from protocol.types import Hash32, Height

Progress = Callable[[int, int], None]
"""Told how many of how many chunks are done."""


def create_snapshot(store: Store, folder: SnapshotFolder, height: int | None = None) -> Manifest:
    """Make a snapshot of a height; None is the head.

    Raises:
        OperationError: snapshot.unavailable.
    """
    genesis = store.genesis()
    height = store.head().height if height is None else height
    with store.snapshot() as (txn, view), store.view_at(height) as state:
        anchor = load_anchor(txn, height) if 0 < height <= view.height else None
        if state is None or anchor is None:
            raise OperationError(
                "snapshot.unavailable",
                f"No snapshot was made of height {height:,}.",
                f"the chain ends at {view.height:,}, and states are kept from height {view.oldest():,} on; "
                "genesis needs no snapshot.",
                "choose a height in between, or none for the newest",
            )
        rows = [make_row(key, value) for key, value in state.scan(b"")]
    rows.sort()
    manifest = folder.save(anchor, len(rows), cut_rows(rows, genesis.tree_bits))
    try:
        check_manifest(manifest, anchor.header)
    except Rejected as refusal:
        raise AssertionError(f"the state of height {height} has another root: {refusal}") from refusal
    return manifest


@dataclass(frozen=True, slots=True)
class Verified:
    """A snapshot whose anchor and manifest hold; its chunks are checked as they are read.

    Args:
        paths: of the chunks, in order.
    """

    genesis: Genesis
    manifest: Manifest
    anchor: Anchor
    paths: tuple[bytes, ...]

    def read(
        self, folder: SnapshotFolder, on_chunk: Progress | None = None
    ) -> Iterator[tuple[tuple[bytes, bytes], ...]]:
        """Read the keys and values of each chunk, checked.

        Raises:
            OperationError: snapshot.missing, snapshot.damaged.
        """
        height, chunks = self.manifest.height, self.manifest.chunks
        for at, (entry, path) in enumerate(zip(chunks, self.paths, strict=True), 1):
            data = folder.load_chunk(height, entry.digest)
            try:
                pairs = check_chunk(data, path, entry.digest, self.genesis.tree_bits)
            except Rejected as refusal:
                raise damaged(height, f"chunk {at} of {len(chunks)}: {refusal}") from refusal
            if len(data) != entry.size_bytes:
                raise damaged(height, f"chunk {at} has {len(data)} bytes, the manifest says otherwise")
            yield pairs
            if on_chunk is not None:
                on_chunk(at, len(chunks))


def open_snapshot(
    folder: SnapshotFolder, height: int, genesis: Genesis, accepted: tuple[Hash32, ...] = ()
) -> Verified:
    """Check anchor and manifest of a snapshot; trusts the genesis document alone.

    Args:
        accepted: restarts of the chain that the operator accepted by hand.

    Raises:
        OperationError: snapshot.missing, snapshot.damaged.
    """
    manifest, anchor = folder.load_manifest(height), folder.load_anchor(height)
    try:
        if anchor.header.height != height:
            raise damaged(height, f"it is of height {anchor.header.height:,}")
        check_anchor(genesis, anchor, accepted=accepted)
        return Verified(genesis, manifest, anchor, check_manifest(manifest, anchor.header))
    except Rejected as refusal:
        raise damaged(height, str(refusal)) from refusal


def check_rows(verified: Verified, folder: SnapshotFolder, on_chunk: Progress | None = None) -> None:
    """Check every chunk of a snapshot.

    Raises:
        OperationError: snapshot.missing, snapshot.damaged.
    """
    rows = sum(len(pairs) for pairs in verified.read(folder, on_chunk))
    if rows != verified.manifest.rows:
        raise damaged(verified.manifest.height, f"{rows:,} rows; the manifest says otherwise")


def adopt_snapshot(store: Store, folder: SnapshotFolder, manifest: Manifest, anchor: Anchor) -> None:
    """Put a snapshot that was fetched in the place of a shorter chain, and forget what was fetched.

    Raises:
        OperationError: snapshot.damaged: a chunk changed on disk; it is to be fetched again. store.disk_low.
    """
    bits = store.genesis().tree_bits
    chunks = list(zip(manifest.chunks, check_manifest(manifest, anchor.header), strict=True))

    def read() -> Iterator[tuple[tuple[bytes, bytes], ...]]:
        for entry, path in chunks:
            try:
                yield check_chunk(folder.load_incoming(entry.digest) or b"", path, entry.digest, bits)
            except Rejected as refusal:
                folder.drop_incoming(entry.digest)
                raise damaged(manifest.height, f"a chunk that was fetched: {refusal}") from refusal

    store.adopt(anchor, read)
    folder.clear_incoming()


def restore_store(
    verified: Verified, folder: SnapshotFolder, path: Path, on_chunk: Progress | None = None
) -> Height:
    """Found a store on a snapshot, whole or not at all; return its height.

    Raises:
        OperationError: snapshot.missing, snapshot.damaged, store.exists, store.locked, store.disk_low.
    """
    Store.restore(path, verified.genesis, verified.anchor, verified.read(folder, on_chunk))
    return verified.manifest.height
