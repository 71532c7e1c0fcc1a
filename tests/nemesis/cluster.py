"""A local cluster whose daemons live in namespaces: real processes over a network that can break.

The gateways stay outside: they reach their daemon over its UNIX socket and its store, so members reach every
node at all times, and the wires carry what nodes say to each other alone. It knows no fault plan
(`faults.py`) and no load (`bank.py`). Processes are started by the main thread: they die with it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from node.cluster.local import LocalNet, LocalNode, is_free
from node.config import CONFIG_FILE, load, render
from node.ipc.messages import Status
from node.store.store import Store
from tests.netns.namespaces import Namespaces

BASE_PORT: Final = 23_000
LOAD_MEMBERS: Final = 200
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
SMALL_DISK_MIB: Final = 320
"""Just above what a node wants to have free before it writes."""

Process = subprocess.Popen[bytes]


def find_faketime() -> Path | None:
    """Return the library that lies about the clock, when it is installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


class Cluster:
    """So many nodes on so many namespaces, made anew in a folder; use as a context.

    Args:
        small_disk: which node has its folder on a file system of its own that can be filled.
    """

    def __init__(self, home: Path, nodes: int = 3, seed: int = 0, small_disk: int | None = None) -> None:
        self.home = home
        self.net = Namespaces(nodes, seed)
        self.count = nodes
        self._small_disk = small_disk
        self._daemons: list[Process | None] = [None] * nodes
        self._gateways: list[Process] = []
        self._stores: list[Store] = []
        self.paused: set[int] = set()
        self._stack = ExitStack()

    def __enter__(self) -> "Cluster":
        with ExitStack() as stack:
            stack.enter_context(self.net)
            if self._small_disk is not None:
                self._mount(stack, self.home / f"n{self._small_disk + 1}")
            self.local = LocalNet.create(self.home, self.count, BASE_PORT, LOAD_MEMBERS)
            self._move_into_namespaces()
            stack.callback(self._end)
            for at, node in enumerate(self.local.state.nodes):
                self.start(at)
                command = [sys.executable, "-m", "node", "gateway", "--home", node.home]
                self._gateways.append(
                    self._spawn(["setpriv", "--pdeathsig", "KILL", *command], node, "gateway")
                )
            self.wait(lambda: all(self.is_following(at) for at in range(self.count)), "the first block")
            self.wait(lambda: not any(is_free(node.gateway_port) for node in self.nodes), "the gateways")
            self._stores += [Store.open(Path(node.home) / "store", readonly=True) for node in self.nodes]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def nodes(self) -> list[LocalNode]:
        return self.local.state.nodes

    # --- processes

    def start(self, at: int, skew_seconds: int = 0) -> None:
        """Start a daemon in its namespace; with a skew its clock is wrong by that, and its timers are not."""
        node = self.nodes[at]
        command = [sys.executable, "-m", "node", "run", "--no-gateway", "--home", node.home]
        if skew_seconds:
            settings = {
                "LD_PRELOAD": str(find_faketime()),
                "FAKETIME": f"{skew_seconds:+d}s",
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
            command = ["env", *(f"{name}={value}" for name, value in settings.items()), *command]
        self._daemons[at] = self._spawn(self.net.inside(at, command), node, "node")

    def kill(self, at: int) -> None:
        """End a daemon at once (kill -9)."""
        self._signal(at, signal.SIGKILL)
        process, self._daemons[at] = self._daemons[at], None
        self.paused.discard(at)
        if process is not None:
            process.wait()

    def stop(self, at: int) -> None:
        """End a daemon in order."""
        self._signal(at, signal.SIGTERM)
        process, self._daemons[at] = self._daemons[at], None
        if process is not None:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError(
                    f"n{at + 1} did not end within {STOP_SECONDS:.0f} s of SIGTERM"
                ) from None

    def pause(self, at: int) -> None:
        """Stop a daemon in its tracks."""
        self._signal(at, signal.SIGSTOP)
        self.paused.add(at)

    def resume(self, at: int) -> None:
        """Let a paused daemon go on."""
        self._signal(at, signal.SIGCONT)
        self.paused.discard(at)

    def is_up(self, at: int) -> bool:
        """Tell whether a daemon was started and not ended by us."""
        return self._daemons[at] is not None

    def ended_alone(self) -> list[int]:
        """List the daemons that ended although nobody ended them."""
        return [
            at for at, daemon in enumerate(self._daemons) if daemon is not None and daemon.poll() is not None
        ]

    def forget(self, at: int) -> int:
        """Take note that a daemon ended by itself; returns its exit code."""
        process, self._daemons[at] = self._daemons[at], None
        assert process is not None
        return process.wait()

    # --- looking

    def status(self, at: int, seconds: float = 0.5) -> Status | None:
        """Ask a daemon how it is; None when it is down, paused, or does not answer."""
        return None if not self.is_up(at) or at in self.paused else self.nodes[at].status(seconds)

    def leader(self, besides: int | None = None) -> int | None:
        """Return who leads in the newest term that any node speaks of, or None."""
        found = [
            (status.view, at)
            for at in range(self.count)
            if at != besides and (status := self.status(at)) is not None and status.role == "leader"
        ]
        return max(found)[1] if found else None

    def wait_leader(self, besides: int | None = None) -> int:
        """Wait until somebody leads."""
        found: list[int | None] = [None]

        def look() -> bool:
            found[0] = self.leader(besides)
            return found[0] is not None

        self.wait(look, "a leader")
        assert found[0] is not None
        return found[0]

    def is_following(self, at: int) -> bool:
        """Tell whether a daemon follows the chain and knows a leader."""
        status = self.status(at)
        return status is not None and status.ready

    def height(self, at: int) -> int:
        """Return the height that a node has on disk, whether it runs or not. Cost: about 10 us."""
        return self._stores[at].head().height

    def store(self, at: int) -> Store:
        """Return the store of a node, for reading."""
        return self._stores[at]

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> float:
        """Wait for a condition; return how long that took, in seconds."""
        began = time.monotonic()
        while not condition():
            if self.ended_alone():
                raise AssertionError(
                    f"n{self.ended_alone()[0] + 1} ended by itself while we waited for {what}"
                )
            if time.monotonic() - began > seconds:
                raise AssertionError(f"waited {seconds:.0f} s in vain for: {what}; {self.describe()}")
            time.sleep(0.01)
        return time.monotonic() - began

    def describe(self) -> str:
        """Say how every node is, in one line."""
        parts = []
        for at in range(self.count):
            status = self.status(at)
            if status is None:
                parts.append(f"n{at + 1} {'paused' if at in self.paused else 'down or silent'}")
            else:
                parts.append(
                    f"n{at + 1} {status.role} term {status.view} height {status.height} "
                    f"target {status.target_height} peers {status.peers} waiting {status.mempool_txs}"
                )
        return "; ".join(parts)

    # --- disk

    @property
    def ballast(self) -> Path:
        """Return the file that fills the small disk."""
        assert self._small_disk is not None
        return Path(self.nodes[self._small_disk].home) / "ballast"

    @property
    def small_disk(self) -> int | None:
        """Return which node has the small disk."""
        return self._small_disk

    def fill_disk(self) -> None:
        """Take so much of the small disk that its node may not write."""
        with open(self.ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, SMALL_DISK_MIB << 18)

    def free_disk(self) -> None:
        """Give it back."""
        self.ballast.unlink(missing_ok=True)

    # --- making and ending

    def _move_into_namespaces(self) -> None:
        hosts = {node.name: self.net.host(at) for at, node in enumerate(self.nodes)}
        for node in self.nodes:
            home = Path(node.home)
            config = load(home, environ={})
            peers = tuple(replace(peer, host=hosts[peer.operator]) for peer in config.peers)
            moved = replace(config, listen_host=hosts[node.name], peers=peers, log_format="text")
            (home / CONFIG_FILE).write_text(render(moved), encoding="utf-8")

    def _spawn(self, command: list[str], node: LocalNode, kind: str) -> Process:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("COOPD_")}
        with open(self.home / f"{node.name}-{kind}.log", "ab", buffering=0) as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
            )

    def _signal(self, at: int, number: int) -> None:
        process = self._daemons[at]
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def _end(self) -> None:
        for store in self._stores:
            store.close()
        running = [process for process in (*self._daemons, *self._gateways) if process is not None]
        for process in running:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _mount(self, stack: ExitStack, folder: Path) -> None:
        assert shutil.which("mount") is not None
        folder.mkdir(mode=0o700, parents=True)
        options = f"size={SMALL_DISK_MIB}m,mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "coopd-small", str(folder)], check=True)
        stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=False)
