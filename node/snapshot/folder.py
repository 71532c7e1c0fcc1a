"""Where snapshots lie: one folder each, whole or not there, and a pool of chunks that are being fetched.

    snapshots/<height>/manifest, anchor, <digest>.chunk
    snapshots/incoming/<digest>.chunk

Every file is written beside its place, synced and renamed. A chunk is named by its digest, so what was
fetched for one snapshot serves for the next one too, and a stop at any moment loses at most one chunk.

Nothing read here is believed; whoever reads checks it (`protocol/sync/snapshot.py`). No key, safety record or
double-sign guard is ever written here.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from node.errors import OperationError
from node.files import sync, write_part, write_whole
from protocol.errors import Rejected
from protocol.sync.snapshot import (
    Anchor,
    ChunkEntry,
    Manifest,
    decode_anchor,
    decode_manifest,
)
from protocol.types import Hash32, Height

SNAPSHOTS_KEPT: Final = 2
"""One that is being fetched from us must not vanish when the next one is made."""

INCOMING: Final = "incoming"
_MANIFEST: Final = "manifest"
_ANCHOR: Final = "anchor"
_DRAFT: Final = ".draft-"


class SnapshotFolder:
    """The snapshots of one node."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def heights(self) -> tuple[Height, ...]:
        """List the heights of which there is a snapshot, ascending."""
        names = [entry.name for entry in self.path.iterdir()] if self.path.is_dir() else []
        return tuple(sorted(Height(int(name)) for name in names if name.isdecimal()))

    def place(self, height: int) -> Path:
        """Return the folder of a snapshot."""
        return self.path / str(height)

    def load_manifest(self, height: int) -> Manifest:
        """Read a manifest.

        Raises:
            OperationError: snapshot.missing, snapshot.damaged.
        """
        try:
            return decode_manifest(self._read(height, _MANIFEST))
        except Rejected as refusal:
            raise damaged(height, f"its manifest: {refusal}") from refusal

    def load_anchor(self, height: int) -> Anchor:
        """Read what a snapshot stands on.

        Raises:
            OperationError: snapshot.missing, snapshot.damaged.
        """
        try:
            return decode_anchor(self._read(height, _ANCHOR))
        except Rejected as refusal:
            raise damaged(height, f"its anchor: {refusal}") from refusal

    def load_chunk(self, height: int, digest: Hash32) -> bytes:
        """Read a chunk.

        Raises:
            OperationError: snapshot.missing.
        """
        return self._read(height, chunk_name(digest))

    def save(self, anchor: Anchor, rows: int, chunks: Iterable[tuple[ChunkEntry, bytes]]) -> Manifest:
        """Write a snapshot, whole or not at all, over an older one of its height; forget the oldest ones.

        Args:
            rows: number of keys.
        """
        header = anchor.header
        draft = self.path / f"{_DRAFT}{header.height}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        entries = []
        for entry, data in chunks:
            write_part(draft / chunk_name(entry.digest), data)
            entries.append(entry)
        manifest = Manifest(
            header.genesis_hash,
            header.height,
            header.compute_id(),
            header.state_root,
            header.epoch,
            rows,
            tuple(entries),
        )
        write_part(draft / _ANCHOR, anchor.encode())
        write_part(draft / _MANIFEST, manifest.encode())
        sync(draft)
        shutil.rmtree(self.place(header.height), ignore_errors=True)
        draft.rename(self.place(header.height))
        sync(self.path)
        for height in self.heights()[:-SNAPSHOTS_KEPT]:
            if height != header.height:
                shutil.rmtree(self.place(height), ignore_errors=True)
        return manifest

    def clear_drafts(self) -> None:
        """Remove what stopped processes left half written."""
        for draft in self.path.glob(_DRAFT + "*"):
            shutil.rmtree(draft, ignore_errors=True)

    # --- what is being fetched

    def incoming(self) -> frozenset[Hash32]:
        """List the digests of the chunks that were fetched."""
        place = self.path / INCOMING
        files = place.glob("*.chunk") if place.is_dir() else ()
        return frozenset(Hash32(bytes.fromhex(file.stem)) for file in files)

    def save_incoming(self, digest: Hash32, data: bytes) -> None:
        """Keep a chunk that was fetched and checked; on disk when it returns."""
        place = self.path / INCOMING
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(place / chunk_name(digest), data)

    def load_incoming(self, digest: Hash32) -> bytes | None:
        """Read a chunk that was fetched; None when it is not there."""
        try:
            return (self.path / INCOMING / chunk_name(digest)).read_bytes()
        except FileNotFoundError:
            return None

    def drop_incoming(self, digest: Hash32) -> None:
        """Forget a chunk that was fetched."""
        (self.path / INCOMING / chunk_name(digest)).unlink(missing_ok=True)

    def clear_incoming(self) -> None:
        """Forget all chunks that were fetched."""
        shutil.rmtree(self.path / INCOMING, ignore_errors=True)

    def _read(self, height: int, name: str) -> bytes:
        try:
            return (self.place(height) / name).read_bytes()
        except OSError as failure:
            is_there = self.place(height).is_dir()
            if is_there:
                raise damaged(height, f"{name}: {failure.strerror}") from failure
            raise OperationError(
                "snapshot.missing",
                f"There is no snapshot of height {height:,}.",
                f"{self.path} has: {', '.join(map(str, self.heights())) or 'none'}.",
                "list them: coopd snapshot ls, or make one: coopd snapshot create",
            ) from None


def chunk_name(digest: Hash32) -> str:
    """Return the name of the file of a chunk."""
    return digest.hex() + ".chunk"


def damaged(height: int, why: str) -> OperationError:
    """Return the error of a snapshot that is not what it says."""
    return OperationError(
        "snapshot.damaged",
        f"The snapshot of height {height:,} is not what it says it is.",
        f"{why}.",
        "do not use it; make a new one: coopd snapshot create, or take another copy",
    )
