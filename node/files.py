"""Files that are there whole and on disk or not at all, and files whose content is destroyed.

All are for their owner alone (mode 0600). This file knows no content, and what goes wrong leaves it as an
`OSError`: whoever calls knows what was lost by it, and says so.
"""

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Put content under a name, in the place of what was there; on disk when it returns."""
    draft = _draft_of(path, data)
    try:
        draft.replace(path)
    except OSError:
        draft.unlink()
        raise
    sync(path.parent)


def write_new(path: Path, data: bytes) -> None:
    """Put content under a name that nothing has; on disk when it returns.

    Raises:
        FileExistsError: something has that name; it stays as it was.
    """
    draft = _draft_of(path, data)
    try:
        os.link(draft, path)  # Unlike a rename it fails when the name is taken.
    finally:
        draft.unlink()
    sync(path.parent)


def write_part(path: Path, data: bytes) -> None:
    """Write a file that nobody looks for yet; content on disk when it returns, name after `sync`."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def wipe(path: Path) -> None:
    """Destroy a file: its content first, so that half of it is never found under any name."""
    with open(path, "r+b", buffering=0) as file:
        file.write(bytes(path.stat().st_size))
        os.fsync(file.fileno())
    path.unlink()
    sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _draft_of(path: Path, data: bytes) -> Path:
    """Write content under a name that no other process draws."""
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        write_part(draft, data)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft
