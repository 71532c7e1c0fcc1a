"""Makes a snapshot every so many blocks, in a process of its own.

Walking a large state takes seconds of computing: beside the daemon's loop it would cost votes their time, in
a process of its own, which takes what time others leave, it costs one old reader of the database. A height
that was passed while one was being made is left out, unless it is the newest.
"""

import sys
from typing import Final

import trio

from node.config import Config
from node.log import get_logger
from node.snapshot.folder import SnapshotFolder

WHY_CHARS_MAX: Final = 400


class SnapshotMaker:
    """Wait for heights that are due, and let the command line make their snapshots."""

    def __init__(self, config: Config, folder: SnapshotFolder) -> None:
        self._config = config
        self._folder = folder
        self._wanted: int | None = None
        self._due = trio.Event()
        self._log = get_logger("snapshot")

    def note(self, height: int) -> None:
        """Take note of a block that was committed."""
        every = self._config.snapshot_every_blocks
        if every and height % every == 0:
            self._wanted = height
            self._due.set()

    async def run(self) -> None:
        """Make what is due; for ever."""
        self._folder.clear_drafts()
        while True:
            await self._due.wait()
            self._due = trio.Event()
            height, self._wanted = self._wanted, None
            if height is not None:
                await self._make(height)

    async def _make(self, height: int) -> None:
        began = trio.current_time()
        command = ["snapshot", "create", "--height", str(height), "--home", str(self._config.home), "--json"]
        try:
            done = await trio.run_process(
                ["nice", "-n", "19", sys.executable, "-m", "node", *command],
                check=False,
                capture_stdout=True,
                capture_stderr=True,
            )
        except OSError as failure:
            self._log.error("snapshot.failed", height=height, why=str(failure))
            return
        seconds = round(trio.current_time() - began, 3)
        if done.returncode:
            why = (done.stdout + done.stderr).decode(errors="replace")[:WHY_CHARS_MAX]
            self._log.error("snapshot.failed", height=height, why=why)
        else:
            self._log.info("snapshot.made", height=height, seconds=seconds)
