"""Real processes for the cluster tests: start by the command line, pay from threads, compare nodes."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.cli.payments import build_transfer, read_clock, send, sign_transaction
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Failure
from node.cluster.founding import CURRENCY_NUMBER, load_key
from node.cluster.local import LocalNet, LocalNode
from node.ipc.messages import Status
from protocol.contracts.policies import address_of_key

WAIT_SECONDS = 60.0
"""How long something real may take before a test gives up; no test passes or fails by speed."""


def own_port(first: int) -> int:
    """Return where a cluster's ports begin: elsewhere for each process that runs tests beside others."""
    return first + 400 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def coopd(*arguments: str, home: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run("node", *arguments, "--home", str(home), check=check)


def coop(*arguments: str, home: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run("node.cli.coop", *arguments, "--home", str(home), check=check)


def run(module: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    code = f"import sys; from {module if module != 'node' else 'node.__main__'} import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "NO_COLOR": "1", "LANG": "C.UTF-8"},
    )
    if check and done.returncode:
        raise AssertionError(f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def wait_until(condition: Callable[[], bool], what: str, every_seconds: float = 0.05) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {WAIT_SECONDS:.0f} s in vain for: {what}")
        time.sleep(every_seconds)


def leader_of(net: LocalNet, besides: str = "") -> LocalNode:
    """Return who leads according to a node that is not `besides`."""
    found: list[LocalNode] = []

    def look() -> bool:
        for node in net.state.nodes:
            status = node.status(0.5) if node.name != besides else None
            if status is not None and status.leader not in ("", besides) and status.role == "leader":
                found[:] = [node]
                return True
        return False

    wait_until(look, "a leader")
    return found[0]


def wait_ready(net: LocalNet, name: str) -> None:
    """Wait until a node follows the chain."""

    def look() -> bool:
        status = net.node(name).status(0.5)
        return status is not None and status.ready

    wait_until(look, f"{name} is ready")


class Payers:
    """Threads that pay without pause through all gateways, and remember what was acknowledged.

    Args:
        follows_chain: ask before each payment what time it is there, as the clocks of the nodes are moved.
    """

    def __init__(self, net: LocalNet, threads: int = 4, *, follows_chain: bool = False) -> None:
        self._net = net
        self._follows_chain = follows_chain
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.acknowledged: dict[str, tuple[int, int]] = {}
        self.refusals: dict[str, int] = {}
        self._threads = [threading.Thread(target=self._pay, args=(at,), daemon=True) for at in range(threads)]

    def __enter__(self) -> "Payers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive()

    def wait_for_more(self, count: int = 5) -> None:
        """Wait until so many further payments are acknowledged."""
        wanted = len(self.acknowledged) + count
        wait_until(
            lambda: len(self.acknowledged) >= wanted, f"{count} more payments; refused: {self.refusals}"
        )

    def _pay(self, number: int) -> None:
        genesis, nodes = self._net.genesis, self._net.state.nodes
        members = self._net.state.load_members
        turn = number
        while not self._stop.is_set():
            turn += len(self._threads)
            payer, payee = load_key(turn % members), load_key((turn + 1) % members)
            tx = build_transfer(
                genesis,
                address_of_key(payer.public_key),
                address_of_key(payee.public_key),
                CURRENCY_NUMBER,
                1,
                now=self._read_clock() if self._follows_chain else None,
            )
            signed = sign_transaction(genesis, tx, payer)
            # The same bytes to one gateway after another until one of them acknowledges: must pay once.
            for attempt in range(20):
                client = RpcClient(nodes[(turn + attempt) % len(nodes)].url, timeout=5)
                try:
                    receipt = send(client, signed, wait_ms=3_000)
                except Failure as failure:
                    with self._lock:
                        self.refusals[failure.label] = self.refusals.get(failure.label, 0) + 1
                    if self._stop.wait(0.05):
                        return
                    continue
                finally:
                    client.close()
                assert receipt["ok"], receipt
                with self._lock:
                    self.acknowledged[receipt["id"]] = (receipt["height"], receipt["index"])
                break

    def _read_clock(self) -> int:
        client = RpcClient(self._net.node("n1").url, timeout=5)
        try:
            return read_clock(client, self._net.genesis)
        finally:
            client.close()


def wait_equal(net: LocalNet) -> list[Status]:
    """Wait until all nodes stand at one height with nothing waiting; return how they are."""
    found: list[Status] = []

    def look() -> bool:
        statuses = [node.status(1) for node in net.state.nodes]
        found[:] = [status for status in statuses if status is not None]
        return (
            len(found) == len(statuses)
            and len({status.height for status in found}) == 1
            and not any(status.mempool_txs for status in found)
        )

    wait_until(look, "equal heights")
    return found


def assert_same_chain(net: LocalNet, acknowledged: dict[str, tuple[int, int]]) -> None:
    """Check that all nodes hold the same chain, with every acknowledged payment at its place."""
    wait_equal(net)
    answers = []
    for node in net.state.nodes:
        client = RpcClient(node.url)
        header = client.call("chain_getHeader", block="latest")
        places = {}
        for tx_id in acknowledged:
            state = client.call("tx_get", id=tx_id)
            assert state["status"] == "committed", (node.name, state)
            places[tx_id] = (state["height"], state["index"])
        client.close()
        assert places == acknowledged, f"{node.name} has an acknowledged payment elsewhere"
        answers.append((header["id"], header["stateRoot"], header["height"]))
    assert len(set(answers)) == 1, answers


def assert_sound(net: LocalNet) -> None:
    """Check every database: links, certificates, roots, and that no money was made or lost."""
    for node in net.state.nodes:
        report: dict[str, Any] = json.loads(coopd("db", "check", "--json", home=Path(node.home)).stdout)
        assert report["sound"], report
