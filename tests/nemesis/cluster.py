"""A local cluster whose daemons live in namespaces: real processes over a network that can break.

The gateways stay outside: they reach their daemon over its UNIX socket and its store, so members reach every
node at all times, and the wires carry what nodes say to each other alone. A node may have a disk of its own
that fills or loses its power (`disks.py`), and its clock can be wrong (`child.py`). It knows no fault plan
(`faults.py`) and no load (`bank.py`). Processes are started by the main thread: they die with it.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from node.cluster.local import LocalNet, LocalNode, is_free
from node.config import CONFIG_FILE, Config, load, render
from node.ipc.messages import Status
from node.store.store import Store
from protocol.chain.validators import EngineKind
from tests.nemesis.child import ClockFile, Seat, Signed, read_signed, start_daemon, start_gateway
from tests.nemesis.disks import Disk, LoopDisk
from tests.netns.namespaces import Namespaces

BASE_PORT: Final = 28_000 + os.getpid() % 40 * 100
"""Of this process: a cluster that lost its power for a moment does not find another one in its place."""
LOAD_MEMBERS: Final = 200
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0


class Cluster:
    """So many nodes on so many namespaces, made anew in a folder; use as a context.

    Args:
        nodes: validators of the first epoch.
        spare: nodes more that only follow at first.
        disks: nodes that have their folder on a file system of its own, by number.
    """

    def __init__(
        self,
        home: Path,
        nodes: int = 3,
        seed: int = 0,
        *,
        spare: int = 0,
        engine: EngineKind = EngineKind.RAFT,
        disks: Mapping[int, Disk] | None = None,
    ) -> None:
        self.home = home
        self.count = nodes + spare
        self.net = Namespaces(self.count, seed)
        self._validators = nodes
        self._engine = engine
        self._disks = dict(disks or {})
        self._daemons: list[BaseProcess | None] = [None] * self.count
        self._gateways: list[BaseProcess | None] = [None] * self.count
        self._stores: list[Store | None] = [None] * self.count
        self._heights = [0] * self.count
        self._looking = threading.Lock()
        self._clocks: list[ClockFile] = []
        self.paused: set[int] = set()
        self._stack = ExitStack()

    def __enter__(self) -> "Cluster":
        with ExitStack() as stack:
            stack.enter_context(self.net)
            for at, disk in self._disks.items():
                disk.mount(self.home / f"n{at + 1}")
                stack.callback(disk.unmount)
            self.local = LocalNet.create(
                self.home,
                self._validators,
                BASE_PORT,
                LOAD_MEMBERS,
                spare=self.count - self._validators,
                engine=self._engine,
            )
            self._move_into_namespaces()
            for at in self._disks:  # what an operator set up long ago is on disk
                subprocess.run(["sync", "-f", self.nodes[at].home], check=True)
            self._clocks = [ClockFile(self._beside(at, "clock")) for at in range(self.count)]
            stack.callback(self._end)
            for at in range(self.count):
                self.start(at)
                self.start_gateway(at)
            self.wait(lambda: all(self.is_following(at) for at in range(self.count)), "the first block")
            self.wait(lambda: not any(is_free(node.gateway_port) for node in self.nodes), "the gateways")
            for at in range(self.count):
                self._open_store(at)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def nodes(self) -> list[LocalNode]:
        return self.local.state.nodes

    def config(self, at: int) -> Config:
        """Return the settings of a node."""
        return load(Path(self.nodes[at].home), environ={})

    # --- processes

    def start(self, at: int) -> None:
        """Start a daemon in its namespace."""
        seat = Seat(Path(self.nodes[at].home), self._beside(at, "node.log"), self.net.path(at))
        self._daemons[at] = start_daemon(seat, self._beside(at, "clock"), self._beside(at, "signed"))

    def start_gateway(self, at: int) -> None:
        """Start the gateway of a node, outside of its namespace."""
        self._gateways[at] = start_gateway(Seat(Path(self.nodes[at].home), self._beside(at, "gateway.log")))

    def kill(self, at: int) -> None:
        """End a daemon at once (kill -9)."""
        self.kill_all([at])

    def kill_all(self, nodes: Sequence[int]) -> None:
        """End several daemons at once, in the same moment as far as that is possible."""
        for at in nodes:
            self._signal(at, signal.SIGKILL)
        for at in nodes:
            process, self._daemons[at] = self._daemons[at], None
            self.paused.discard(at)
            if process is not None:
                process.join()

    def stop(self, at: int) -> None:
        """End a daemon in order."""
        self._signal(at, signal.SIGTERM)
        process, self._daemons[at] = self._daemons[at], None
        if process is not None:
            process.join(STOP_SECONDS)
            if process.exitcode is None:
                process.kill()
                process.join()
                raise AssertionError(f"n{at + 1} did not end within {STOP_SECONDS:.0f} s of SIGTERM")

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

    def processes(self) -> list[tuple[str, int]]:
        """List name and id of all processes that were started and not ended by us."""
        return [
            (f"{node.name}-{kind}", process.pid)
            for kind, started in (("node", self._daemons), ("gateway", self._gateways))
            for node, process in zip(self.nodes, started, strict=True)
            if process is not None and process.pid is not None and process.exitcode is None
        ]

    def ended_alone(self) -> list[int]:
        """List the daemons that ended although nobody ended them."""
        return [
            at
            for at, daemon in enumerate(self._daemons)
            if daemon is not None and daemon.exitcode is not None
        ]

    def forget(self, at: int) -> int:
        """Take note that a daemon ended by itself; returns its exit code."""
        process, self._daemons[at] = self._daemons[at], None
        assert process is not None
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    def cut_power(self, nodes: Sequence[int]) -> None:
        """Take the power from the machines of some nodes, daemon, gateway and disk, in the same moment.

        Afterwards the disks are there again with what was synced, and nothing runs on them (`start`,
        `start_gateway`).
        """
        disks = [self.loop_disk(at) for at in nodes]
        for disk in disks:
            disk.cut()
        self.kill_all(nodes)
        for at in nodes:
            process, self._gateways[at] = self._gateways[at], None
            if process is not None:
                process.kill()
                process.join()
            with self._looking:
                store, self._stores[at] = self._stores[at], None
                if store is not None:
                    store.close()
        for disk in disks:
            disk.power_up()
        for at in nodes:
            self._open_store(at)

    # --- looking

    def status(self, at: int, seconds: float = 0.5) -> Status | None:
        """Ask a daemon how it is; None when it is down, paused, or does not answer."""
        return None if not self.is_up(at) or at in self.paused else self.nodes[at].status(seconds)

    def leader(self, besides: int | None = None) -> int | None:
        """Return who leads in the newest term that any node speaks of, or proposes now, or None."""
        found = [
            (status.epoch, status.view, at)
            for at in range(self.count)
            if at != besides
            and (status := self.status(at)) is not None
            and status.role in ("leader", "proposer")
        ]
        return max(found)[2] if found else None

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
        with self._looking:
            store = self._stores[at]
            if store is not None:
                self._heights[at] = store.head().height
            return self._heights[at]

    def heights(self) -> list[int]:
        """Return the heights of all nodes."""
        return [self.height(at) for at in range(self.count)]

    def store(self, at: int) -> Store:
        """Return the store of a node, for reading."""
        store = self._stores[at]
        assert store is not None
        return store

    def signed(self, at: int) -> list[Signed]:
        """List all that a node has signed."""
        return read_signed(self._beside(at, "signed"))

    def signed_bytes(self, at: int) -> int:
        """Return how much is written of what a node has signed: it grows with every signature."""
        record = self._beside(at, "signed")
        return record.stat().st_size if record.exists() else 0

    def log_text(self, at: int) -> str:
        """Return what a daemon has printed."""
        return self._beside(at, "node.log").read_text(errors="replace")

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> float:
        """Wait for a condition; return how long that took, in seconds."""
        began = time.monotonic()
        while not condition():
            if self.ended_alone():
                raise AssertionError(
                    f"n{self.ended_alone()[0] + 1} ended by itself while we waited for {what}"
                )
            for at, gateway in enumerate(self._gateways):
                if gateway is not None and gateway.exitcode is not None:
                    raise AssertionError(f"the gateway of n{at + 1} ended by itself")
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

    # --- disks and clocks

    def disk(self, at: int) -> Disk | None:
        """Return the disk of its own that a node has."""
        return self._disks.get(at)

    def loop_disk(self, at: int) -> LoopDisk:
        """Return the disk of a node that can lose its power."""
        disk = self._disks[at]
        assert isinstance(disk, LoopDisk)
        return disk

    def clock(self, at: int) -> ClockFile:
        """Return the wall clock of a node."""
        return self._clocks[at]

    # --- making and ending

    def _move_into_namespaces(self) -> None:
        hosts = {node.name: self.net.host(at) for at, node in enumerate(self.nodes)}
        for node in self.nodes:
            home = Path(node.home)
            config = load(home, environ={})
            peers = tuple(replace(peer, host=hosts[peer.operator]) for peer in config.peers)
            moved = replace(config, listen_host=hosts[node.name], peers=peers, log_format="text")
            (home / CONFIG_FILE).write_text(render(moved), encoding="utf-8")

    def _beside(self, at: int, what: str) -> Path:
        """Return a file of a node that is not on its disk."""
        return self.home / f"{self.nodes[at].name}-{what}"

    def _open_store(self, at: int) -> None:
        store = Store.open(Path(self.nodes[at].home) / "store", readonly=True)
        with self._looking:
            self._stores[at] = store

    def _signal(self, at: int, number: int) -> None:
        process = self._daemons[at]
        if process is not None and process.pid is not None and process.exitcode is None:
            os.kill(process.pid, number)

    def _end(self) -> None:
        for store in self._stores:
            if store is not None:
                store.close()
        running = [
            process
            for process in (*self._daemons, *self._gateways)
            if process is not None and process.exitcode is None
        ]
        for process in running:
            assert process.pid is not None
            process.terminate()
            os.kill(process.pid, signal.SIGCONT)
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                process.kill()
                process.join()
