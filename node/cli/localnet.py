"""`coopd localnet`: a co-operative on this machine, to try and to disturb."""

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from node.cli.session import session
from node.cli.terminal import Failure
from node.config import DEFAULT_HOME

if TYPE_CHECKING:
    from node.cluster.local import LocalNet

localnet_app = App(name="localnet", help="A demo co-operative of several nodes on this machine.")

FIRST_BLOCK_SECONDS = 20.0


def localnet_home() -> Path:
    """Return the folder of the local cluster: --home, COOPD_LOCALNET, or the default one."""
    return session.home.expanduser().absolute() if session.home else _default_home()


def _default_home() -> Path:
    return Path(os.environ.get("COOPD_LOCALNET") or f"{DEFAULT_HOME}/localnet").expanduser().absolute()


@localnet_app.command
def up(
    *,
    nodes: int = 3,
    port: int = 9_400,
    load_members: int = 0,
    detach: Annotated[bool, Parameter(name=["--detach", "-d"])] = False,
    raft: bool = True,
) -> None:
    """Start the cluster; makes it the first time. Ctrl-C stops it.

    Args:
        nodes: How many nodes.
        port: First port to try; the block moves by 100 while ports are busy.
        load_members: Members more, for load tests.
        detach: Leave it running and return.
        raft: Under the Raft engine, the only one so far.
    """
    from node.cluster.local import STATE_FILE, LocalNet

    if not raft:
        raise Failure(
            "No cluster was made.", "there is only the Raft engine yet.", "leave --no-raft out", "cli.usage"
        )
    home = localnet_home()
    is_new = not (home / STATE_FILE).exists()
    began = time.monotonic()
    net = LocalNet.create(home, nodes, port, load_members) if is_new else LocalNet.open(home)
    if net.processes and not is_new:
        raise Failure(
            "The cluster runs already.",
            f"{len(net.processes)} of its processes are alive.",
            "see it: coopd localnet status, or end it: coopd localnet down",
            "localnet.running",
        )
    try:
        net.start()
        _await_first_block(net)
        took = time.monotonic() - began
        # Before the screen says how to stop, stopping must work.
        interrupted = None if detach else _catch_interrupts()
        wanted_port = port if is_new else net.state.base_port
        session.terminal.show(_screen_json(net), lambda: _screen(net, wanted_port, took, detach=detach))
        if interrupted is not None:
            _stay(net, interrupted)
    except BaseException:
        net.stop()
        raise


@localnet_app.command
def status() -> None:
    """Show every node on one line."""
    net = _open()
    rows, lines = [], []
    for node in net.state.nodes:
        row = _row(node)
        rows.append(row)
        lines.append(
            f"{row['name']:<4} {row['state']:<8} height {row['height']:>8,}   {row['role']:<9} "
            f"leader {row['leader'] or '-':<4} peers {row['peers']}   mempool {row['mempool']:,}   "
            f"{row['url']}"
        )
    session.terminal.show(rows, "\n".join(lines))


@localnet_app.command
def kill(node: str, /) -> None:
    """End a node at once, as a power cut would."""
    from node.cluster import faults

    faults.kill(_open().node(node))
    session.terminal.show({"node": node, "killed": True}, f"{node} is killed")


@localnet_app.command
def pause(node: str, /) -> None:
    """Stop a node in its tracks; `resume` lets it go on."""
    from node.cluster import faults

    faults.pause(_open().node(node))
    session.terminal.show({"node": node, "paused": True}, f"{node} is paused")


@localnet_app.command
def resume(node: str, /) -> None:
    """Let a paused node go on."""
    from node.cluster import faults

    faults.resume(_open().node(node))
    session.terminal.show({"node": node, "paused": False}, f"{node} goes on")


@localnet_app.command
def restart(node: str, /) -> None:
    """Start a node anew; ends it first, in order, when it still runs."""
    from node.cluster.processes import stop_all

    net = _open()
    found = net.node(node)
    if found.daemon is not None:
        stop_all([found.daemon])
    net.restart(found)
    session.terminal.show({"node": node, "restarted": True}, f"{node} starts again")


@localnet_app.command
def cut(*nodes: str) -> None:
    """Part some nodes from all others; `heal` joins them again."""
    from node.cluster import faults

    net = _open()
    faults.cut(net, [net.node(name) for name in nodes])
    session.terminal.show({"cut": list(nodes)}, f"cut off: {', '.join(nodes)}")


@localnet_app.command
def heal() -> None:
    """Let all nodes talk to each other again."""
    from node.cluster import faults

    faults.heal(_open())
    session.terminal.show({"healed": True}, "all nodes talk to each other")


@localnet_app.command
def down() -> None:
    """End all processes; the chain stays."""
    net = _open()
    count = len(net.processes)
    net.stop()
    session.terminal.show({"ended": count}, f"{count} processes ended; go on with: coopd localnet up")


@localnet_app.command
def clean() -> None:
    """End all processes and forget the chain."""
    net = _open()
    net.clean()
    session.terminal.show({"removed": str(net.home)}, f"{net.home} is removed")


@localnet_app.command
def logs(node: str, /, *, lines: int = 20) -> None:
    """Show the last log lines of a node.

    Args:
        node: Its name.
        lines: How many.
    """
    path = Path(_open().node(node).home) / "node.log"
    text = path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    session.terminal.show({"log": text}, "\n".join(text))


def _open() -> "LocalNet":
    from node.cluster.local import LocalNet

    return LocalNet.open(localnet_home())


def _row(node: Any) -> dict[str, Any]:
    from node.cluster.processes import is_alive, is_paused

    status = None if is_paused(node.daemon) else node.status()
    state = "down"
    if is_alive(node.daemon):
        state = "paused" if is_paused(node.daemon) else "up" if status is not None else "starting"
    return {
        "name": node.name,
        "state": state,
        "height": 0 if status is None else status.height,
        "role": "-" if status is None else status.role,
        "leader": "" if status is None else status.leader,
        "peers": 0 if status is None else status.peers,
        "mempool": 0 if status is None else status.mempool_txs,
        "url": node.url,
    }


def _await_first_block(net: "LocalNet") -> None:
    """Wait until every node has the first block, and every gateway listens."""
    from node.cluster.local import is_free

    if not net.wait(
        lambda all_: (
            all(s is not None and s.height > 0 for s in all_)
            and not any(is_free(node.gateway_port) for node in net.state.nodes)
        ),
        FIRST_BLOCK_SECONDS,
    ):
        raise _not_started(net)


def _not_started(net: "LocalNet") -> Failure:
    said = ""
    for node in net.state.nodes:
        log = Path(node.home) / "node.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        said = next((line.strip(" |") for line in reversed(lines) if "Error" in line), said)
    return Failure(
        "The cluster did not start.",
        f"no block came; the last error in the logs is: {said[:300] or 'none'}.",
        f"look into {net.home}/n1/node.log, then: coopd localnet clean",
        "localnet.no_block",
    )


def _screen_json(net: "LocalNet") -> dict[str, Any]:
    return {
        "home": str(net.home),
        "memberHome": str(net.member_home),
        "nodes": [{"name": node.name, "url": node.url, "home": node.home} for node in net.state.nodes],
        "basePort": net.state.base_port,
    }


def _screen(net: "LocalNet", wanted_port: int, took: float, *, detach: bool) -> str:
    first = net.state.nodes[0]
    coop = f"{_program('coop')} --home {net.member_home}"
    coopd = _program("coopd") + ("" if net.home == _default_home() else f" --home {net.home}")
    status = first.status()
    lines = [
        f"{net.genesis.name}: {len(net.state.nodes)} nodes on Raft, height {status.height if status else 1}, "
        f"after {took:.1f} s",
        "",
        *(f"  {node.name:<9} {node.url}/rpc   log {node.home}/node.log" for node in net.state.nodes),
        f"  metrics   {first.url}/metrics   ready {first.url}/readyz",
        f"  data      {net.home}",
        f"  members   ada, bo, cy, and the cashier till: public demo keys in {net.member_home}/keys",
        f"  stop      {f'{coopd} localnet down' if detach else 'Ctrl-C'}; forget: {coopd} localnet clean",
        "",
        "Try, in another terminal:",
        f"  {coop} --as ada me",
        f"  {coop} --as ada pay bo 25 --memo seeds",
        f"  {coop} verify receipt",
        f"  {coopd} localnet kill n2 && sleep 2 && {coopd} localnet status",
    ]
    if net.state.base_port != wanted_port:
        lines.insert(1, f"  Ports from {wanted_port} on were busy; these are {net.state.base_port} and up.")
    return "\n".join(lines)


def _program(name: str) -> str:
    """Return how a program of ours is called from here: by its name when it is on the path."""
    if shutil.which(name) is not None:
        return name
    path = Path(sys.argv[0]).absolute().with_name(name)
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _catch_interrupts() -> threading.Event:
    """Return what Ctrl-C and a request to end set from now on."""
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: interrupted.set())
    return interrupted


def _stay(net: "LocalNet", interrupted: threading.Event) -> None:
    """Stay in the foreground until interrupted, then end everything that runs, also what was restarted."""
    from node.cluster.local import LocalNet
    from node.cluster.processes import reap

    while not interrupted.wait(0.2):
        reap()
        if not net.home.exists():
            return  # cleaned from another terminal
    session.terminal.note("stopping")
    LocalNet.open(net.home).stop()
