"""The disks: a loss of power keeps what was synced and nothing else; a full disk refuses."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nemesis.disks import LoopDisk, SmallDisk, missing

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(missing() is not None, reason=missing() or "")]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    disk = LoopDisk()
    disk.mount(tmp_path / "n1")
    try:
        yield disk
    finally:
        disk.unmount()


def write(path: Path, data: bytes, *, sync: bool) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)


def test_what_was_synced_is_there_after_a_loss_of_power_and_the_rest_is_not(
    disk: LoopDisk, tmp_path: Path
) -> None:
    folder = tmp_path / "n1"
    for turn in range(3):
        write(folder / f"synced {turn}", b"x" * 5_000, sync=True)
        write(folder / f"not synced {turn}", b"x" * 5_000, sync=False)
        disk.cut()
        with pytest.raises(OSError):
            write(folder / "too late", b"", sync=True)
        disk.power_up()
        assert {path.name for path in folder.iterdir()} == {f"synced {n}" for n in range(turn + 1)}
        assert (folder / f"synced {turn}").read_bytes() == b"x" * 5_000


def test_nothing_is_left_of_a_disk(tmp_path: Path) -> None:
    disk = LoopDisk()
    disk.mount(tmp_path / "n1")
    disk.unmount()
    assert not (tmp_path / "n1.ext4").exists()
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


def test_a_full_disk_refuses_until_it_is_freed(tmp_path: Path) -> None:
    disk = SmallDisk()
    disk.mount(tmp_path / "n1")
    try:
        disk.fill(to_the_brim=True)
        with pytest.raises(OSError) as refused:
            write(tmp_path / "n1" / "more", b"x" * 5_000, sync=True)
        assert refused.value.errno == errno.ENOSPC
        disk.free()
        write(tmp_path / "n1" / "more", b"x" * 5_000, sync=True)
    finally:
        disk.unmount()
