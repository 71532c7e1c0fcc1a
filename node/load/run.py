"""Send transfers to all gateways, follow the commits on one of them, and say what it cost.

The loader shares the machine with the nodes, so it does as little as it can while the clock runs: everything
is signed and encoded before, requests are bytes on plain sockets, commits come as one message a block.
Latency is from the moment a batch is handed to the socket to the moment its block is announced: certified,
on disk, and seen by a client.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import uvloop
import websockets

from node.cluster.local import LocalNet
from node.cluster.processes import Started, cpu_seconds, resident_bytes
from node.errors import OperationError
from node.load.connection import Connection
from node.load.transfers import Transfers

FASTEST_TPS: Final = 4_000
"""What is signed beforehand for each second when as much as possible is offered."""
CONNECTIONS_PER_GATEWAY: Final = 4
DRAIN_SECONDS: Final = 20.0


class NodeCost(msgspec.Struct, rename="camel"):
    """What one node spent on one transfer, in microseconds of CPU, and its memory.

    Args:
        phases: how the daemon's share divides, by its own clock; `persist` and `write` wait for the disk, and
            what is left is network, consensus and IPC.
    """

    name: str
    phases: dict[str, float]
    daemon_us: float
    gateway_us: float
    daemon_mib: float
    gateway_mib: float


class LoadReport(msgspec.Struct, rename="camel"):
    """What a run has shown."""

    protocol: str
    sent: int
    committed: int
    refused: int
    lost: int
    seconds: float
    tps: float
    p50_ms: float
    p99_ms: float
    blocks: int
    txs_per_block: float
    loader_us: float
    nodes: list[NodeCost]
    refusals: dict[str, int]

    def to_text(self) -> str:
        """Write the report for people."""
        lines = [
            f"committed {self.committed:,} transfers in {self.seconds:.1f} s: {self.tps:,.0f} a second, "
            f"{len(self.nodes)} nodes, {self.protocol.upper()}",
            f"submit to certified: p50 {self.p50_ms:,.0f} ms, p99 {self.p99_ms:,.0f} ms",
            f"blocks {self.blocks:,}, {self.txs_per_block:,.0f} transfers each; refused {self.refused:,}, "
            f"not committed in time {self.lost:,}",
            f"{'':<10}{'us a transfer':>14}{'gateway us':>12}{'MiB':>8}{'gateway MiB':>13}",
        ]
        for node in self.nodes:
            lines.append(
                f"{node.name:<10}{node.daemon_us:>14.0f}{node.gateway_us:>12.0f}"
                f"{node.daemon_mib:>8.0f}{node.gateway_mib:>13.0f}"
            )
            lines.append(" " * 12 + "  ".join(f"{phase} {us:.0f}" for phase, us in node.phases.items()))
        lines.append(f"{'loader':<10}{self.loader_us:>14.0f}")
        lines += [f"refused: {slug}  {count:,}" for slug, count in sorted(self.refusals.items())]
        return "\n".join(lines)


class _Error(msgspec.Struct):
    message: str = ""
    data: dict[str, Any] = {}


class _Answer(msgspec.Struct):
    id: int | None = None
    error: _Error | None = None


class _Event(msgspec.Struct):
    ids: list[str] = []


class _Params(msgspec.Struct):
    event: _Event
    height: int = 0


class _Notice(msgspec.Struct):
    params: _Params | None = None


def run_load(
    net: LocalNet, seconds: float, tps: int, outstanding: int, batch: int, note: Callable[[str], None]
) -> LoadReport:
    """Run a load and report.

    Raises:
        OperationError: load.no_members, load.no_gateway.
    """
    members = need_members(net)
    count = int((tps or FASTEST_TPS) * seconds)
    note(f"signing {count:,} transfers of {members:,} members")
    transfers = Transfers(net.genesis, members, count, secrets.token_bytes(16), lambda done: None)
    note("sending")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Load(net, transfers, seconds, tps, outstanding, batch).run())


def need_members(net: LocalNet) -> int:
    """Return how many members a cluster has for load tests.

    Raises:
        OperationError: load.no_members.
    """
    members = net.state.load_members
    if members < 2:
        raise OperationError(
            "load.no_members",
            "Nothing was sent: this cluster has no members for load tests.",
            "transfers need many payers, each with a free quota.",
            "coopd localnet clean, then: coopd localnet up --load-members 2000",
        )
    return members


class _Load:
    """One run."""

    def __init__(
        self, net: LocalNet, transfers: Transfers, seconds: float, tps: int, outstanding: int, batch: int
    ) -> None:
        self._net = net
        self._calls = transfers.calls
        self._ids = transfers.ids
        self._seconds = seconds
        self._tps = tps
        self._outstanding_max = outstanding
        self._batch = batch
        self._sent_at: dict[str, float] = {}
        self._latencies: list[float] = []
        self._refusals: dict[str, int] = {}
        self._next = 0
        self._blocks = 0
        self._last_commit = 0.0
        self._room = asyncio.Event()
        self._began = 0.0

    async def run(self) -> LoadReport:
        first = self._net.state.nodes[0]
        url = f"ws://127.0.0.1:{first.gateway_port}/ws"
        try:
            socket = await websockets.connect(url, compression=None, max_size=1 << 24)
        except OSError as failure:
            raise OperationError(
                "load.no_gateway", "Nothing was sent.", f"{url}: {failure}.", "start it: coopd localnet up"
            ) from failure
        async with socket:
            await socket.send(
                '{"jsonrpc":"2.0","method":"coop_subscribe","params":{"topic":"blocks","filter":{"ids":true}},"id":1}'
            )
            await socket.recv()
            follower = asyncio.create_task(self._follow(socket))
            before = self._costs()
            loader_before = time.process_time()
            self._began = self._last_commit = time.perf_counter()
            senders = [
                self._send(node.gateway_port)
                for node in self._net.state.nodes
                for _ in range(CONNECTIONS_PER_GATEWAY)
            ]
            await asyncio.gather(*senders)
            await self._drain()
            loader = time.process_time() - loader_before
            after = self._costs()
            follower.cancel()
        return self._report(before, after, loader)

    async def _send(self, port: int) -> None:
        """Send batch after batch on one connection, as long as there is time and room."""
        connection = Connection(port)
        try:
            while self._next < len(self._calls) and time.perf_counter() - self._began < self._seconds:
                if len(self._sent_at) + self._batch > self._outstanding_max:
                    await self._wait_room()
                    continue
                if self._tps and self._next > self._tps * (time.perf_counter() - self._began):
                    await asyncio.sleep(0.005)
                    continue
                start = self._next
                end = self._next = min(start + self._batch, len(self._calls))
                now = time.perf_counter()
                for at in range(start, end):
                    self._sent_at[self._ids[at]] = now
                body = b"[" + b",".join(self._calls[start:end]) + b"]"
                self._take_answers(await connection.post(body))
        finally:
            connection.close()

    def _take_answers(self, data: bytes) -> None:
        if b'"error"' not in data:
            return
        for answer in msgspec.json.decode(data, type=list[_Answer]):
            if answer.error is not None and answer.id is not None:
                self._sent_at.pop(self._ids[answer.id], None)
                slug = str(answer.error.data.get("slug", "?"))
                self._refusals[slug] = self._refusals.get(slug, 0) + 1

    async def _follow(self, socket: Any) -> None:
        decoder = msgspec.json.Decoder(_Notice)
        async for text in socket:
            notice = decoder.decode(text)
            if notice.params is None:
                continue
            now = time.perf_counter()
            ours = 0
            for tx_id in notice.params.event.ids:
                sent = self._sent_at.pop(tx_id, None)
                if sent is not None:
                    ours += 1
                    self._latencies.append(now - sent)
            if ours:
                self._blocks += 1
                self._last_commit = now
                self._room.set()

    async def _drain(self) -> None:
        """Wait for what is still on its way; commits ring for room."""
        deadline = time.perf_counter() + DRAIN_SECONDS
        while self._sent_at and time.perf_counter() < deadline:
            await self._wait_room()

    async def _wait_room(self) -> None:
        self._room.clear()
        try:
            async with asyncio.timeout(0.1):
                await self._room.wait()
        except TimeoutError:
            pass

    def _costs(self) -> dict[tuple[str, str], float]:
        """Return the seconds that each node's processes and phases have taken so far, by (node, part)."""
        costs = {
            (node.name, part): cpu_seconds(process)
            for node in self._net.state.nodes
            for part, process in (("daemon", node.daemon), ("gateway", node.gateway))
            if process is not None
        }
        for node in self._net.state.nodes:
            status = node.status()
            for sample in () if status is None else status.samples:
                if sample.name == "phase_seconds_total":
                    costs[node.name, sample.labels[0][1]] = sample.micro / 1e6
        return costs

    def _report(
        self, before: dict[tuple[str, str], float], after: dict[tuple[str, str], float], loader: float
    ) -> LoadReport:
        committed = len(self._latencies)
        seconds = max(self._last_commit - self._began, 1e-9)
        ordered = sorted(self._latencies) or [0.0]

        def micro(name: str, part: str) -> float:
            return (after.get((name, part), 0) - before.get((name, part), 0)) * 1e6 / max(1, committed)

        def mib(process: Started | None) -> float:
            return 0.0 if process is None else resident_bytes(process) / (1 << 20)

        nodes = [
            NodeCost(
                node.name,
                {
                    phase: micro(name, phase)
                    for name, phase in after
                    if name == node.name and phase not in ("daemon", "gateway")
                },
                micro(node.name, "daemon"),
                micro(node.name, "gateway"),
                mib(node.daemon),
                mib(node.gateway),
            )
            for node in self._net.state.nodes
        ]
        statuses = [node.status() for node in self._net.state.nodes]
        return LoadReport(
            next((status.protocol for status in statuses if status is not None), "unknown engine"),
            self._next,
            committed,
            sum(self._refusals.values()),
            len(self._sent_at),
            seconds,
            committed / seconds,
            1_000 * ordered[len(ordered) // 2],
            1_000 * ordered[int(len(ordered) * 0.99)],
            self._blocks,
            committed / max(1, self._blocks),
            loader * 1e6 / max(1, committed),
            nodes,
            dict(self._refusals),
        )
