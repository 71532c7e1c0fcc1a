"""Moves the chain from one engine to the other and back, again and again, by the commands an operator types.

It keeps trying while nodes fall: a command that fails is given again. What it decided stands in the chain as
acts of operators and council, which the judge (`history.py`) knows from members' payments.
"""

import json
import subprocess
import sys
import threading
import time
from typing import Any, Final

from tests.nemesis.cluster import Cluster

COMMAND_SECONDS: Final = 60.0
REST_SECONDS: Final = 1.5
READY_BLOCKS_MIN: Final = 200
"""Who counts as ready for fewer blocks more says it again."""


class Mover:
    """A thread that decides one change after another; use as a context.

    Args:
        spare: names of the nodes that certify under BFT only.
    """

    def __init__(self, cluster: Cluster, spare: tuple[str, ...] = ()) -> None:
        self._cluster = cluster
        self._spare = spare
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.moves: list[str] = []

    def __enter__(self) -> "Mover":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(2 * COMMAND_SECONDS)
        assert not self._thread.is_alive(), "a command of the council hangs"

    def wait_for(self, moves: int, seconds: float) -> float:
        """Wait until so many moves are done; return how long that took, in seconds."""
        return self._cluster.wait(lambda: len(self.moves) >= moves, f"{moves} moves", seconds)

    def _work(self) -> None:
        last: int | None = None
        while not self._stop.wait(REST_SECONDS):
            status = self._ask("consensus", "status")
            if status is None:
                continue
            number, engine = status["epoch"]["number"], status["epoch"]["protocol"]
            if last is not None and number > last:
                self.moves += [f"{engine} since {status['epoch']['sinceHeight']}"] * (number - last)
            last = number
            if status["pending"] is None:
                self._decide(status)

    def decide(self) -> int | None:
        """Decide a change to the other engine; return the height of its seal, None when that did not work."""
        status = self._ask("consensus", "status")
        return None if status is None or status["pending"] is not None else self._decide(status)

    def _decide(self, status: dict[str, Any]) -> int | None:
        self._say_ready(status)
        change = ("bft", "--add") if status["epoch"]["protocol"] == "raft" else ("raft", "--remove")
        names = [word for name in self._spare for word in (change[1], name)]
        decided = self._ask("consensus", "migrate", "propose", "--engine", change[0], *names, "--yes")
        return None if decided is None else int(decided["sealHeight"])

    def _say_ready(self, status: dict[str, Any]) -> None:
        said = {one["operator"] for one in status["ready"] if one["blocksLeft"] >= READY_BLOCKS_MIN}
        missing = [node.name for node in self._cluster.nodes if node.name not in said]
        if missing:
            self._ask("validator", "ready", *(word for name in missing for word in ("--node", name)))

    def _ask(self, *arguments: str) -> dict[str, Any] | None:
        """Give a command; None when it failed, which while nodes fall is no wonder."""
        command = [sys.executable, "-m", "node", *arguments, "--json", "--home", str(self._cluster.home)]
        began = time.monotonic()
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            self._note(f"{arguments}: nothing in {COMMAND_SECONDS:.0f} s")
            return None
        self._note(f"{arguments}: {done.returncode} after {time.monotonic() - began:.1f} s {done.stderr}")
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout.startswith("{") else None

    def _note(self, line: str) -> None:
        with open(self._cluster.home / "mover.log", "a") as log:
            log.write(line + "\n")
