"""The gateway beside a node: a child process that is started again when it ends, and ended with the node.

The first one is forked by `coopd run` before the node has threads; later ones are started from nothing. What
becomes of the gateway never touches the node. It does not know what a gateway does.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from node.config import ENVIRONMENT_PREFIX
from node.log import get_logger

POLL_SECONDS: Final = 0.5
BACKOFF_SECONDS_MIN: Final = 1.0
BACKOFF_SECONDS_MAX: Final = 30.0

CALM_SECONDS: Final = 60.0
"""Who has run for so long is started again without a longer wait."""


class GatewayChild:
    """Know the process of the gateway.

    Args:
        pid: of the first one.
        start: starts another one and returns its pid.
    """

    __slots__ = ("_pid", "_start", "starts")

    def __init__(self, pid: int, start: Callable[[], int]) -> None:
        self._pid: int | None = pid
        self._start = start
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Return its process; None between two."""
        return self._pid

    async def keep(self) -> None:
        """Start the gateway again whenever it ends; for ever."""
        import trio

        log = get_logger("gateway")
        backoff_seconds = BACKOFF_SECONDS_MIN
        began = trio.current_time()
        while True:
            await trio.sleep(POLL_SECONDS)
            if self._is_alive():
                continue
            if trio.current_time() - began >= CALM_SECONDS:
                backoff_seconds = BACKOFF_SECONDS_MIN
            log.error("gateway.ended", starts_again_in_seconds=backoff_seconds)
            await trio.sleep(backoff_seconds)
            backoff_seconds = min(backoff_seconds * 2, BACKOFF_SECONDS_MAX)
            began = trio.current_time()
            try:
                self._pid = self._start()
                self.starts += 1
            except OSError as failure:
                log.error("gateway.not_started", why=str(failure))

    def end(self) -> None:
        """End the gateway and wait for it."""
        if self._is_alive() and self._pid is not None:
            os.kill(self._pid, signal.SIGTERM)
            os.waitpid(self._pid, 0)
            self._pid = None

    def _is_alive(self) -> bool:
        if self._pid is not None and os.waitpid(self._pid, os.WNOHANG)[0]:
            self._pid = None
        return self._pid is not None


def start_gateway(home: Path, settings: Mapping[str, object]) -> int:
    """Start a gateway from nothing and return its pid.

    Args:
        settings: typed on the command line of the node, by key; None was not typed.

    Raises:
        OSError: the machine starts no process now.
    """
    typed = {
        ENVIRONMENT_PREFIX + key.upper(): str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in settings.items()
        if value is not None
    }
    command = [sys.executable, "-m", "node", "gateway", "--home", str(home)]
    return os.posix_spawn(sys.executable, command, {**os.environ, **typed})
