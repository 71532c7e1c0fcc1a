"""A file is whole or not there; what cannot be written leaves nothing behind; what is wiped is gone."""

import os
from pathlib import Path

import pytest

from node.files import sync, wipe, write_new, write_part, write_whole


@pytest.mark.parametrize("write", [write_whole, write_new, write_part])
def test_a_file_holds_what_was_written_for_its_owner_alone(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    before = os.umask(0)
    try:
        write(tmp_path / "file", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "file").read_bytes() == b"content"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_what_was_there_is_replaced_by_one_and_kept_by_the_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"first, and longer")
    write_whole(path, b"second")
    with pytest.raises(FileExistsError):
        write_new(path, b"third")
    assert path.read_bytes() == b"second" and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("write", [write_whole, write_new])
def test_what_cannot_have_its_name_leaves_no_draft(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError):
        write(tmp_path / "taken", b"content")
    assert os.listdir(tmp_path) == ["taken"]


def test_everything_is_brought_to_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        order.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "content")
        real_fsync(handle)

    def replace(path: Path, target: Path) -> Path:
        order.append("name")
        return real_replace(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_whole(tmp_path / "file", b"content")
    assert order == ["content", "name", "folder"]
    wipe(tmp_path / "file")
    assert order[3:] == ["content", "folder"]


def test_what_is_wiped_is_overwritten_also_where_another_name_has_it(tmp_path: Path) -> None:
    write_new(tmp_path / "file", b"secret")
    os.link(tmp_path / "file", tmp_path / "copy")
    wipe(tmp_path / "file")
    assert (tmp_path / "copy").read_bytes() == bytes(6) and os.listdir(tmp_path) == ["copy"]


def test_a_folder_that_is_not_there_cannot_be_synced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "none")
