"""`coopd localnet`: a co-operative on this machine, to try and to disturb."""

import contextlib
import datetime
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from node.cli.session import session
from node.cli.terminal import Exit, Failure
from node.config import DEFAULT_HOME

if TYPE_CHECKING:
    from node.cluster.local import LocalNet

localnet_app = App(name="localnet", help="A demo co-operative of several nodes on this machine.")

FIRST_BLOCK_SECONDS = 20.0
RAFT_NODES = 3


def localnet_home() -> Path:
    """Return the folder of the local cluster: --home, COOPD_LOCALNET, or the default one."""
    return session.home.expanduser().absolute() if session.home else _default_home()


def _default_home() -> Path:
    return Path(os.environ.get("COOPD_LOCALNET") or f"{DEFAULT_HOME}/localnet").expanduser().absolute()


@localnet_app.command
def up(
    *,
    nodes: int = 0,
    spare: int = 0,
    port: int = 9_400,
    load_members: int = 0,
    detach: Annotated[bool, Parameter(name=["--detach", "-d"])] = False,
    raft: Annotated[bool, Parameter(negative=())] = False,
    bft: Annotated[bool, Parameter(negative=())] = False,
    scenario: Literal["village", "plain"] = "village",
) -> None:
    """Start the cluster; makes it the first time. Ctrl-C stops it.

    Args:
        nodes: How many validators: 3 on Raft, 4 on BFT if not said.
        spare: How many nodes more that only follow, to be taken in later.
        port: First port to try; the block moves by 100 while ports are busy.
        load_members: Members more, for load tests.
        detach: Leave it running and return.
        raft: Found it on Raft, which is what happens if not said.
        bft: Found it on BFT.
        scenario: Found it as a village of fifty members, or plain: three members and a cashier.
    """
    from node.cluster.local import STATE_FILE, LocalNet
    from node.cluster.time_travel import tell_clock
    from protocol.chain.validators import EngineKind
    from protocol.params import BFT_VALIDATORS_MIN

    if raft and bft:
        raise Failure(
            "No cluster was made.",
            "a chain begins on one engine; --raft and --bft were given.",
            "leave one of them out",
            "cli.usage",
            Exit.USAGE,
        )
    home = localnet_home()
    is_new = not (home / STATE_FILE).exists()
    began = time.monotonic()
    if is_new:
        engine = EngineKind.BFT if bft else EngineKind.RAFT
        count = nodes or (BFT_VALIDATORS_MIN if bft else RAFT_NODES)
        net = LocalNet.create(home, count, port, load_members, spare=spare, engine=engine, scenario=scenario)
    else:
        net = LocalNet.open(home)
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
        for node in net.state.nodes:
            tell_clock(net, node)
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
        first = "proposer" if row["protocol"] == "bft" else "leader"
        lines.append(
            f"{row['name']:<4} {row['state']:<8} height {row['height']:>8,}   "
            f"{row['protocol'].upper() or '-':<4} epoch {row['epoch']}   {row['role']:<9} "
            f"{first} {row['leader'] or '-':<4} peers {row['peers']}   "
            f"mempool {row['mempool']:,}   {row['url']}"
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
def restart(node: str, /, *, gateway: bool = False) -> None:
    """Start a node anew; ends it first, in order, when it still runs.

    Args:
        gateway: Its gateway, too, which reads the same settings.
    """
    from node.cluster.local import is_free
    from node.cluster.processes import stop_all
    from node.cluster.time_travel import tell_clock

    net = _open()
    found = net.node(node)
    stop_all([p for p in (found.daemon, found.gateway if gateway else None) if p is not None])
    net.restart(found)
    if gateway:
        net.wait(lambda _: not is_free(found.gateway_port))
    if net.state.ahead_ms:
        net.wait(lambda _: found.status(0.5) is not None)
        tell_clock(net, found)
    session.terminal.show({"node": node, "restarted": True}, f"{node} starts again")


@localnet_app.command
def advance(what: str, /, *, steps: int = 0) -> None:
    """Let time pass: all nodes move their clocks, and what comes due on the way runs in its order.

    Args:
        what: How long, as in 5m, 12h, 30d, 2w; or until when there, as in 2030-01-31 or 2030-01-31T09:00.
        steps: In how many at most, which is faster: what comes due within one runs at the end of it.
    """
    from node.cli.rpc_client import RpcClient
    from node.cluster.processes import is_alive
    from node.cluster.time_travel import advance as advance_clocks
    from node.cluster.time_travel import compute_now_ms

    net = _open()
    offset = net.genesis.utc_offset_seconds
    now_ms = compute_now_ms(net)
    target_ms = read_time_ms(what, now_ms, offset)
    if target_ms < now_ms:
        raise Failure(
            "The clocks were not moved.",
            f"it is {format_time(now_ms // 1_000, offset)} there already, and time does not go back.",
            "name a later time, or begin anew: coopd localnet clean",
            "cli.usage",
            Exit.USAGE,
        )
    url = next((node.url for node in net.state.nodes if is_alive(node.daemon)), net.state.nodes[0].url)
    client = RpcClient(url)

    def find_due() -> int | None:
        due = client.call("sched_due")["value"]
        return int(due[0]["due"]) if due else None

    taken = advance_clocks(net, target_ms, find_due, steps)
    header = client.call("chain_getHeader", block="latest")
    shown = format_time(int(header["time"]) // 1_000, offset)
    session.terminal.show(
        {"time": header["time"], "height": header["height"], "steps": taken},
        f"It is {shown} now, at height {header['height']:,}.",
    )


def read_time_ms(text: str, now_ms: int, utc_offset_seconds: int) -> int:
    """Read a span of time from now on, or a date of the co-op's calendar; returns Unix milliseconds.

    Raises:
        Failure: it is neither.
    """
    number, unit = text[:-1], {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}.get(text[-1:])
    if unit is not None and number.isascii() and number.isdecimal() and len(number) <= 9:
        return now_ms + int(number) * unit * 1_000
    try:
        zone = datetime.timezone(datetime.timedelta(seconds=utc_offset_seconds))
        date = datetime.datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError:
        raise Failure(
            "The clocks were not moved.",
            f"{text[:40]!r} is neither a span of time nor a date.",
            "as in: coopd localnet advance 30d, or coopd localnet advance 2030-01-31T09:00",
            "cli.usage",
            Exit.USAGE,
        ) from None
    return int(date.timestamp()) * 1_000


def format_time(seconds: int, utc_offset_seconds: int) -> str:
    """Write a Unix time as the co-op's calendar and clocks show it."""
    zone = datetime.timezone(datetime.timedelta(seconds=utc_offset_seconds))
    return f"{datetime.datetime.fromtimestamp(seconds, zone):%Y-%m-%d %H:%M}"


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
        "protocol": "" if status is None else status.protocol,
        "epoch": 0 if status is None else status.epoch,
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
    from node.cluster.scenarios import SCENARIOS

    first = net.state.nodes[0]
    coop = f"{_program('coop')} --home {net.member_home}"
    coopd = _program("coopd") + ("" if net.home == _default_home() else f" --home {net.home}")
    status = first.status()
    lines = [
        f"{net.genesis.name}: {_crew(net, status)}, height {status.height if status else 1}, "
        f"after {took:.1f} s",
        "",
        *(f"  {node.name:<9} {node.url}/rpc   log {node.home}/node.log" for node in net.state.nodes),
        f"  metrics   {first.url}/metrics   ready {first.url}/readyz",
        f"  data      {net.home}",
        f"  members   {SCENARIOS[net.state.scenario].people}: public demo keys in {net.member_home}/keys",
        f"  stop      {f'{coopd} localnet down' if detach else 'Ctrl-C'}; forget: {coopd} localnet clean",
        "",
        "Try, in another terminal:",
        f"  {coop} --as ada me",
        f"  {coop} --as ada pay bo 25 --memo seeds",
        f"  {coop} verify receipt",
        f"  {coopd} localnet advance 30d",
        f"  {coopd} localnet kill n2 && sleep 2 && {coopd} localnet status",
    ]
    spare = [node.name for node in net.state.nodes if (found := node.status()) and found.role == "observer"]
    if status is not None and status.protocol == "raft" and len(net.state.nodes) >= 4 and spare:
        added = " ".join(f"--add {name}" for name in spare)
        lines.append(
            f"  {coopd} validator ready && {coopd} consensus migrate propose --engine bft {added} --yes"
        )
    if net.state.base_port != wanted_port:
        lines.insert(1, f"  Ports from {wanted_port} on were busy; these are {net.state.base_port} and up.")
    return "\n".join(lines)


def _crew(net: "LocalNet", status: Any) -> str:
    """Say how many nodes certify, by which engine, and how many only follow."""
    if status is None:
        return f"{len(net.state.nodes)} nodes"
    roles = [found.role for node in net.state.nodes if (found := node.status()) is not None]
    observers = roles.count("observer")
    engine = {"raft": "Raft", "bft": "BFT"}.get(status.protocol, status.protocol)
    return f"{len(net.state.nodes) - observers} nodes on {engine}" + (
        f" and {observers} spare" * bool(observers)
    )


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
