"""What runs in the processes of a cluster under test: the real daemon and gateway, forked with imports done.

Two things differ from `coopd run`: the wall clock can be set wrong while the daemon runs (`ClockFile`), and
every signature is written down before it is handed out, so that no run can hide a second one
(`list_contradictions`). Timers and the monotonic clock are those of the machine. It knows no faults.
"""

import ctypes
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from node.config import load
from node.log import set_up
from node.signer import Place, Signer, SignKind
from protocol.types import EpochNumber, Hash32, Height, Signature, View

_CONTEXT: Final = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["node.daemon", "node.rpc.gateway", "tests.nemesis.child"])
_CLOCK: Final = struct.Struct("qqq")
_CLONE_NEWNET: Final = 0x40000000
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a process runs.

    Args:
        namespace: of the network; None is that of this machine.
        log: file for what it prints.
    """

    home: Path
    log: Path
    namespace: Path | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that was handed out: its place, and the digest of what it says."""

    place: Place
    digest: Hash32


class ClockFile:
    """How wrong the wall clock of a daemon is: set by the test, read by the daemon at every look."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_CLOCK.pack(0, 0, 0))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), _CLOCK.size)

    def set(self, offset_ms: int = 0, rate_ppm: int = 0) -> None:
        """Put the clock wrong by an offset at once, and by so much more with every second that passes."""
        self._map[:] = _CLOCK.pack(offset_ms, rate_ppm, time.monotonic_ns() // 1_000_000)

    def wall_ms(self) -> int:
        """Return Unix time in milliseconds as this clock has it."""
        offset_ms, rate_ppm, since_ms = (int(part) for part in _CLOCK.unpack(self._map[:]))
        drift_ms = (self.monotonic_ms() - since_ms) * rate_ppm // 1_000_000
        return time.time_ns() // 1_000_000 + offset_ms + drift_ms

    def monotonic_ms(self) -> int:
        """Return milliseconds since the machine started; this clock is always right."""
        return time.monotonic_ns() // 1_000_000


def start_daemon(seat: Seat, clock: Path, signed: Path) -> BaseProcess:
    """Start a daemon without a gateway; it dies with this process."""
    return _start(_run_daemon, seat, clock, signed)


def start_gateway(seat: Seat) -> BaseProcess:
    """Start a gateway; it dies with this process."""
    return _start(_run_gateway, seat)


def read_signed(path: Path) -> list[Signed]:
    """Read what a daemon has signed, in that order; a line that a kill cut short was not handed out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) == 6 and words[5] == ".":
            kind, epoch, height, view = map(int, words[:4])
            place = Place(SignKind(kind), EpochNumber(epoch), Height(height), View(view))
            found.append(Signed(place, Hash32(bytes.fromhex(words[4]))))
    return found


def list_contradictions(signed: Sequence[Signed]) -> list[str]:
    """Say where one key signed two contents at one place, or went back behind what it had signed."""
    found: list[str] = []
    last: dict[int, Signed] = {}
    for one in signed:
        before = last.get(one.place.slot)
        if before is not None:
            if one.place.order() < before.place.order():
                found.append(f"signed {one.place} after {before.place}")
            elif one.place.order() == before.place.order() and one.digest != before.digest:
                found.append(f"signed two contents at {one.place}")
        last[one.place.slot] = one
    return found


class _RecordingSigner(Signer):
    """The signer of the node, with a record of what it gave out that no power cut takes away."""

    __slots__ = ()
    record: int = -1

    def sign_at(self, place: Place, digest: Hash32) -> Signature:
        signature = super().sign_at(place, digest)
        line = f"{place.kind:d} {place.epoch} {place.height} {place.view} {digest.hex()} .\n"
        os.write(_RecordingSigner.record, line.encode())
        return signature


def _start(run: Callable[..., None], seat: Seat, *arguments: Path) -> BaseProcess:
    process = _CONTEXT.Process(target=_enter, args=(run, seat, *arguments))
    process.start()
    return process


def _enter(run: Callable[..., None], seat: Seat, *arguments: Path) -> None:
    """Become a process of its own, in its namespace, and run."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    with open(seat.log, "ab", buffering=0) as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    if seat.namespace is not None:
        with open(seat.namespace) as there:
            if libc.setns(there.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
    run(seat, *arguments)


def _run_daemon(seat: Seat, clock: Path, signed: Path) -> None:
    import trio

    from node import daemon, keychain

    config = load(seat.home, environ={})
    set_up(config.log_level, config.log_format)
    _RecordingSigner.record = os.open(signed, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    vars(keychain)["Signer"] = _RecordingSigner
    trio.run(daemon.run_node, config, ClockFile(clock))


def _run_gateway(seat: Seat) -> None:
    from node.rpc.gateway import run_gateway

    run_gateway(load(seat.home, environ={}))
