"""Take the leader or proposer away again and again, and measure how long nothing is committed.

A steady trickle of transfers goes to the gateways that stay. Under Raft, the time from the fault to the first
block that a client of a surviving node sees is what a member would have waited. Under BFT everybody proposes
in turn, so it is the longest wait while each has had its turn. Faults: kill -9, pause, cut, hand-over.
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import uvloop
import websockets

from node.cluster import faults
from node.cluster.local import LocalNet, LocalNode
from node.errors import OperationError
from node.load.connection import Connection
from node.load.run import need_members
from node.load.transfers import Transfers

TRICKLE_TPS: Final = 50
ROUND_TIMEOUT_SECONDS: Final = 20.0


class FailoverReport(msgspec.Struct, rename="camel"):
    """How long nothing was committed, in milliseconds, round by round."""

    how: str
    gaps_ms: list[int]
    p50_ms: int
    max_ms: int

    def to_text(self) -> str:
        """Write the report for people."""
        return (
            f"{self.how}: fault to next commit p50 {self.p50_ms:,} ms, max {self.max_ms:,} ms "
            f"over {len(self.gaps_ms)} rounds: {', '.join(str(gap) for gap in self.gaps_ms)}"
        )


def run_failover(net: LocalNet, how: str, rounds: int, note: Callable[[str], None]) -> FailoverReport:
    """Measure so many rounds of one fault.

    Raises:
        OperationError: load.no_members, load.stalled.
    """
    members = need_members(net)
    count = int(rounds * (ROUND_TIMEOUT_SECONDS + 5) * TRICKLE_TPS)
    transfers = Transfers(net.genesis, members, count, secrets.token_bytes(16), lambda done: None)
    calls = iter(transfers.calls)
    gaps = []
    for number in range(1, rounds + 1):
        leader, turns = _leader(net)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            gap = runner.run(_measure(net, leader, how, calls, turns))
        gaps.append(round(1_000 * gap))
        note(f"round {number}: {leader.name} {how}, next commit after {gaps[-1]:,} ms")
        _mend(net, leader, how)
    ordered = sorted(gaps)
    return FailoverReport(how, gaps, ordered[len(ordered) // 2], ordered[-1])


async def _measure(net: LocalNet, leader: LocalNode, how: str, calls: Any, turns: int) -> float:
    others = [node for node in net.state.nodes if node.name != leader.name]
    async with websockets.connect(f"ws://127.0.0.1:{others[0].gateway_port}/ws") as socket:
        await socket.send('{"jsonrpc":"2.0","method":"coop_subscribe","params":{"topic":"blocks"},"id":1}')
        await socket.recv()
        trickle = asyncio.create_task(_trickle(others, calls))
        try:
            async with asyncio.timeout(ROUND_TIMEOUT_SECONDS):
                for _ in range(3):
                    await socket.recv()
                began = time.perf_counter()
                await asyncio.to_thread(_break, net, leader, how)
                done = time.perf_counter()
                waits: list[float] = []
                while len(waits) < turns:
                    # What was on its way before the fault may still arrive; the first block after it counts.
                    await socket.recv()
                    now = time.perf_counter()
                    if how == "handover" or now - done > 0.02:
                        waits.append(now - began)
                        began = now
                return max(waits)
        except TimeoutError:
            raise OperationError(
                "load.stalled",
                f"The chain stood still after {leader.name}: {how}.",
                f"no block in {ROUND_TIMEOUT_SECONDS:.0f} s.",
                "see: coopd localnet status",
            ) from None
        finally:
            trickle.cancel()


async def _trickle(nodes: list[LocalNode], calls: Any) -> None:
    """Send one transfer every few milliseconds, to one gateway after the other."""
    connections = [Connection(node.gateway_port) for node in nodes]
    try:
        for connection in itertools.cycle(connections):
            await connection.post(next(calls))
            await asyncio.sleep(1 / TRICKLE_TPS)
    finally:
        for connection in connections:
            connection.close()


def _break(net: LocalNet, leader: LocalNode, how: str) -> None:
    match how:
        case "kill":
            faults.kill(leader)
        case "pause":
            faults.pause(leader)
        case "cut":
            faults.cut(net, [leader])
        case _:
            faults.hand_over(leader)


def _mend(net: LocalNet, leader: LocalNode, how: str) -> None:
    match how:
        case "kill":
            net.restart(leader)
        case "pause":
            faults.resume(leader)
        case "cut":
            faults.heal(net)
    net.wait(
        lambda all_: (
            all(s is not None and s.ready for s in all_)
            and len({s.height for s in all_ if s is not None}) == 1
        )
    )


def _leader(net: LocalNet) -> tuple[LocalNode, int]:
    """Return who leads or proposes, and how many blocks show what its loss costs."""
    found: list[LocalNode] = []
    turns = 1

    def look(statuses: list[Any]) -> bool:
        nonlocal turns
        roles = [(node, s) for node, s in zip(net.state.nodes, statuses, strict=True) if s is not None]
        found[:] = [node for node, s in roles if s.role in ("leader", "proposer")]
        is_bft = any(s.role == "proposer" for _, s in roles)
        turns = sum(s.role != "observer" for _, s in roles) if is_bft else 1
        return len(found) == 1 or (is_bft and bool(found))

    if not net.wait(look):
        raise OperationError(
            "load.stalled",
            "Nobody leads.",
            "no single leader, or no proposer, in time.",
            "see: coopd localnet status",
        )
    return found[0], turns
