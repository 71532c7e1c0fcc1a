"""A gateway that dies is started again, later and later, and ends with its node."""

import os
import signal
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from node.cli.operator import gateway_child
from node.cli.operator.gateway_child import (
    BACKOFF_SECONDS_MAX,
    BACKOFF_SECONDS_MIN,
    CALM_SECONDS,
    GatewayChild,
    start_gateway,
)
from node.config import load

PATIENCE_SECONDS = 20


def sleeper() -> int:
    return os.posix_spawn("/bin/sleep", ["sleep", "600"], os.environ)


def failing() -> int:
    return os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        while not condition():
            await trio.sleep(0.01)


async def test_who_dies_is_started_again_and_ends_with_the_node(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    monkeypatch.setattr(gateway_child, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(gateway_child, "BACKOFF_SECONDS_MIN", 0.01)
    child = GatewayChild(sleeper(), sleeper)
    nursery.start_soon(child.keep)
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.starts == 1)
    second = child.pid
    assert second is not None and second != first
    child.end()
    assert child.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)
    child.end()
    nursery.cancel_scope.cancel()


async def test_who_cannot_live_is_tried_less_and_less(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    times: list[float] = []

    def start() -> int:
        times.append(trio.current_time())
        if len(times) == 3:
            raise OSError("no process now")
        return -1

    child = GatewayChild(1, start)
    monkeypatch.setattr(child.__class__, "_is_alive", lambda self: False)
    with trio.move_on_after(300):
        await child.keep()
    gaps = [round(b - a) for a, b in pairwise(times)]
    assert gaps[:4] == [2, 4, 8, 16] and set(gaps[5:]) == {round(BACKOFF_SECONDS_MAX)}
    assert BACKOFF_SECONDS_MIN < BACKOFF_SECONDS_MAX < CALM_SECONDS


def test_another_one_gets_what_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = {"gateway_port": 9_777, "gateway_with_node": True, "log_level": None, "listen_host": "127.0.0.2"}
    started: list[dict[str, str]] = []
    monkeypatch.setattr(os, "posix_spawn", lambda path, command, environ: started.append(environ) or 1)
    start_gateway(Path("/nowhere"), typed)
    monkeypatch.delenv("COOPD_LOG_LEVEL", raising=False)
    config = load(Path("/nowhere"), environ=started[0])
    assert (config.gateway_port, config.gateway_with_node, config.listen_host) == (9_777, True, "127.0.0.2")
