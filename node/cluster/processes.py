"""Processes of this machine that we started: fork or spawn, signal, wait. Linux only.

A process is remembered by its id and the moment it began, so a recycled id is never signalled. Each gets a
session of its own: an interrupt on the terminal reaches the supervisor alone.
"""

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

STOP_SECONDS: Final = 8.0
_POLL_SECONDS: Final = 0.02


class Started(msgspec.Struct, frozen=True):
    """A process we started: its id, and the clock ticks after boot at which it began."""

    pid: int
    began: int


def fork_into(log: Path, run: Callable[[], object]) -> Started:
    """Run a function in a child process; its output goes to a file. Must be called without other threads."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Started(pid, _began(pid) or 0)
    code = 1
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        with open(os.devnull) as nothing, open(log, "ab", buffering=0) as out:
            os.dup2(nothing.fileno(), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def spawn(arguments: Sequence[str], log: Path) -> Started:
    """Start this program anew with other arguments; its output goes to a file."""
    with open(log, "ab", buffering=0) as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "node", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    # Whoever waits for it is the caller, by its id; Popen shall not complain that nobody did.
    child.returncode = 0
    return Started(child.pid, _began(child.pid) or 0)


def is_alive(process: Started | None) -> bool:
    """Tell whether a process still runs; a zombie does not."""
    return process is not None and _began(process.pid) == process.began


def is_paused(process: Started | None) -> bool:
    """Tell whether a process was stopped by a signal."""
    return process is not None and is_alive(process) and _state(process.pid) in ("T", "t")


def send_signal(process: Started | None, number: int) -> bool:
    """Signal a process if it is still the one we started."""
    if process is None or not is_alive(process):
        return False
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)
        return True
    return False


def stop_all(processes: Sequence[Started], seconds: float = STOP_SECONDS) -> None:
    """End processes: ask, wait, then kill what is left."""
    for process in processes:
        send_signal(process, signal.SIGTERM)
        send_signal(process, signal.SIGCONT)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        reap()
        if not any(is_alive(process) for process in processes):
            return
        time.sleep(_POLL_SECONDS)
    for process in processes:
        send_signal(process, signal.SIGKILL)
    wait_gone(processes, 2)


def wait_gone(processes: Sequence[Started], seconds: float) -> bool:
    """Wait until processes are gone; tell whether they are."""
    deadline = time.monotonic() + seconds
    while any(is_alive(process) for process in processes):
        reap()
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def reap() -> list[int]:
    """Take note of children that ended; returns their ids."""
    ended = []
    with suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            ended.append(pid)
    return ended


def cpu_seconds(process: Started) -> float:
    """Return the CPU time a process has used."""
    fields = _stat(process.pid)
    return 0.0 if fields is None else (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(process: Started) -> int:
    """Return the resident memory of a process."""
    try:
        return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def _began(pid: int) -> int | None:
    fields = _stat(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[19])


def _state(pid: int) -> str:
    fields = _stat(pid)
    return "" if fields is None else fields[0]


def _stat(pid: int) -> list[str] | None:
    """Read /proc/PID/stat behind the name, which may hold spaces: state is field 0 here."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
