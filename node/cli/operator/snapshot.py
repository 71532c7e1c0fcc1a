"""`coopd snapshot`: make, list and check snapshots of the state, and found a node on one."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from node.cli.session import session
from node.config import load
from node.errors import OperationError

if TYPE_CHECKING:
    from node.snapshot.folder import SnapshotFolder
    from node.snapshot.making import Progress, Verified
    from protocol.sync.snapshot import Manifest

snapshot_app = App(name="snapshot", help="Snapshots of the state: how a new node begins without all blocks.")


@snapshot_app.command
def create(*, height: int | None = None) -> None:
    """Make a snapshot of a running or stopped node; the newest two are kept.

    Args:
        height: Of which height; the newest if not said.
    """
    from node.snapshot.folder import SnapshotFolder
    from node.snapshot.making import create_snapshot
    from node.store.store import Store

    os.nice(10)  # the node comes first
    config = load(session.home)
    folder = SnapshotFolder(config.snapshots_path)
    store = Store.open(config.store_path, readonly=True)
    try:
        manifest = create_snapshot(store, folder, height)
    finally:
        store.close()
    _show(manifest, folder.place(manifest.height), "Made")


@snapshot_app.command(name="ls")
def list_() -> None:
    """List the snapshots of this node."""
    from node.snapshot.folder import SnapshotFolder

    folder = SnapshotFolder(load(session.home).snapshots_path)
    manifests = [folder.load_manifest(height) for height in folder.heights()]
    session.terminal.show(
        [_form(manifest, folder.place(manifest.height)) for manifest in manifests],
        "\n".join(_line(manifest) for manifest in manifests) or "no snapshots yet: coopd snapshot create",
    )


@snapshot_app.command
def verify(height: int | None = None, /, *, source: Path | None = None, block: str = "") -> None:
    """Check every chunk of a snapshot, and the epochs from genesis to it.

    Args:
        height: Which snapshot; the newest if not said.
        source: Folder of snapshots; that of this node if not said.
        block: Block id that it must have, as somebody you trust tells you.
    """
    from node.snapshot.making import check_rows

    folder, verified = _open(height, source, block)
    check_rows(verified, folder, _progress("checked"))
    _show(verified.manifest, folder.place(verified.manifest.height), "Everything holds:")


@snapshot_app.command
def restore(height: int | None = None, /, *, source: Path | None = None, block: str = "") -> None:
    """Found the database of this node on a snapshot; the folder must have none.

    Args:
        height: Which snapshot; the newest if not said.
        source: Folder of snapshots; that of this node if not said.
        block: Block id that it must have, as somebody you trust tells you.
    """
    from node.snapshot.making import restore_store

    config = load(session.home)
    folder, verified = _open(height, source, block)
    restore_store(verified, folder, config.store_path, _progress("restored"))
    _show(verified.manifest, config.store_path, "Restored", "Blocks above it come from peers: coopd run")


def _open(height: int | None, source: Path | None, block: str) -> "tuple[SnapshotFolder, Verified]":
    from node.snapshot.folder import SnapshotFolder
    from node.snapshot.making import open_snapshot
    from node.store.opening import load_genesis

    config = load(session.home)
    genesis = load_genesis(config.genesis_path)
    folder = SnapshotFolder(config.snapshots_path if source is None else source)
    newest = max(folder.heights(), default=0)
    verified = open_snapshot(folder, newest if height is None else height, genesis, config.restarts)
    block_id = verified.manifest.block_id.hex()
    if block and block.removeprefix("0x") != block_id:
        raise OperationError(
            "snapshot.other",
            "This is not the snapshot that you trust.",
            f"height {verified.manifest.height:,} has block {block_id} here.",
            "take another copy, and ask other operators for the id of that block",
        )
    return folder, verified


def _progress(what: str) -> "Progress":
    def note(done: int, total: int) -> None:
        if done == total or done % 64 == 0:
            session.terminal.note(f"{what} {done:,} of {total:,} chunks")

    return note


def _show(manifest: "Manifest", place: Path, what: str, then: str = "") -> None:
    session.terminal.show(_form(manifest, place), f"{what} {_line(manifest)}\n  {place}\n{then}")


def _form(manifest: "Manifest", place: Path) -> dict[str, Any]:
    return {
        "height": manifest.height,
        "block": "0x" + manifest.block_id.hex(),
        "stateRoot": "0x" + manifest.state_root.hex(),
        "epoch": manifest.epoch,
        "rows": manifest.rows,
        "chunks": len(manifest.chunks),
        "sizeBytes": manifest.size_bytes,
        "place": str(place),
    }


def _line(manifest: "Manifest") -> str:
    return (
        f"height {manifest.height:,}   {manifest.rows:,} rows   {len(manifest.chunks):,} chunks   "
        f"{manifest.size_bytes:,} bytes   epoch {manifest.epoch}   state {manifest.state_root.hex()[:16]}..."
    )
