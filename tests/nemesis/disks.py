"""Disks that can be filled or lose their power, for the folder of one node each.

`SmallDisk` is a file system in memory, just above what a node wants to have free. `LoopDisk` is ext4 on a
file: `cut` is the loss of power, by the shutdown call of ext4 without a flush of its log, after which only
what was synced is there again. Needs root; `missing` says what else is not there. Knows no nodes.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, Protocol

SMALL_DISK_MIB: Final = 320
"""Just above what a node wants to have free before it writes."""
LOOP_DISK_MIB: Final = 4_096
"""Of holes at first: it takes only what is written."""
_SHUTDOWN: Final = 0x8004587D
_WITHOUT_LOG_FLUSH: Final = struct.pack("I", 2)
_BUSY_SECONDS: Final = 10.0


class Disk(Protocol):
    """Somewhere to put a folder."""

    def mount(self, folder: Path) -> None:
        """Make an empty file system there."""

    def unmount(self) -> None:
        """Take it away; nothing is left on the machine."""


class SmallDisk:
    """A disk that can be filled."""

    def mount(self, folder: Path) -> None:
        """Make an empty file system there."""
        folder.mkdir(mode=0o700, parents=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MIB}m,mode=0700", "coopd-small", str(folder))
        self._folder = folder

    def unmount(self) -> None:
        """Take it away."""
        subprocess.run(["umount", "-l", str(self._folder)], check=False)

    def fill(self, *, to_the_brim: bool) -> None:
        """Take so much of it that its node may not write, or all that there is."""
        with open(self._ballast, "wb") as file:
            space = os.fstatvfs(file.fileno())
            taken = space.f_bavail * space.f_frsize if to_the_brim else SMALL_DISK_MIB << 18
            os.posix_fallocate(file.fileno(), 0, taken)

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self._folder / "ballast"


class LoopDisk:
    """A disk that can lose its power."""

    def mount(self, folder: Path) -> None:
        """Make an empty file system there, in a file beside it."""
        folder.mkdir(mode=0o700, parents=True)
        self._folder = folder
        self._image = folder.with_name(folder.name + ".ext4")
        with open(self._image, "wb") as image:
            image.truncate(LOOP_DISK_MIB << 20)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        self._attach()
        shutil.rmtree(folder / "lost+found")
        os.chmod(folder, 0o700)

    def unmount(self) -> None:
        """Take it away."""
        subprocess.run(["umount", "-l", str(self._folder)], check=False, stderr=subprocess.DEVNULL)
        self._image.unlink(missing_ok=True)

    def cut(self) -> None:
        """Lose the power: nothing reaches the disk any more, and nobody can write."""
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _SHUTDOWN, _WITHOUT_LOG_FLUSH)
        finally:
            os.close(folder)

    def power_up(self) -> None:
        """Bring back what reached the disk; who used it before must have ended."""
        began = time.monotonic()
        while subprocess.run(["umount", str(self._folder)], capture_output=True, check=False).returncode:
            if time.monotonic() - began > _BUSY_SECONDS:
                raise OSError(f"{self._folder} is still in use")
            time.sleep(0.01)
        self._attach()

    def _attach(self) -> None:
        _run("mount", "-o", "loop,noatime", str(self._image), str(self._folder))


@cache
def missing() -> str | None:
    """Say what a loss of power needs and this machine does not give; None when all is there."""
    if os.geteuid() != 0:
        return "disks that lose their power need root"
    for program in ("mount", "mkfs.ext4"):
        if shutil.which(program) is None:
            return f"the program {program} is not there (packages mount, e2fsprogs)"
    with tempfile.TemporaryDirectory() as home:
        disk = LoopDisk()
        try:
            disk.mount(Path(home) / "probe")
            disk.cut()
            disk.power_up()
        except (OSError, subprocess.CalledProcessError) as failure:
            return f"no disk that loses its power can be made here: {failure}"
        finally:
            with suppress(AttributeError):
                disk.unmount()
    return None


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
