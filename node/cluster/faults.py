"""Disturb a local cluster on purpose: kill, pause, cut, and take it back.

A cut is made inside the nodes: each drops the frames to and from the named others (test chains only).
"""

import signal
from collections.abc import Sequence
from pathlib import Path

from node.cluster.local import LocalNet, LocalNode
from node.cluster.processes import Started, send_signal, wait_gone
from node.errors import OperationError
from node.ipc.ask import ask
from node.ipc.messages import Admin


def kill(node: LocalNode) -> None:
    """End a daemon at once, as a power cut would (kill -9)."""
    process = _running(node)
    send_signal(process, signal.SIGKILL)
    wait_gone([process], 5)


def pause(node: LocalNode) -> None:
    """Stop a daemon in its tracks: it keeps its sockets and says nothing."""
    send_signal(_running(node), signal.SIGSTOP)


def resume(node: LocalNode) -> None:
    """Let a paused daemon go on."""
    send_signal(_running(node), signal.SIGCONT)


def cut(net: LocalNet, side: Sequence[LocalNode]) -> None:
    """Part the nodes of one side from all others, in both directions."""
    names = {node.name for node in side}
    others = [node for node in net.state.nodes if node.name not in names]
    for node in net.state.nodes:
        far = others if node.name in names else list(side)
        ask(_socket(node), Admin("cut", tuple(other.node_key for other in far)))


def heal(net: LocalNet) -> None:
    """Let all nodes talk to each other again."""
    for node in net.state.nodes:
        try:
            ask(_socket(node), Admin("cut", ()))
        except OperationError as failure:
            if failure.slug != "ipc.unreachable":
                raise


def hand_over(node: LocalNode) -> None:
    """Ask a leader to let another one lead."""
    ask(_socket(node), Admin("handover"))


def _running(node: LocalNode) -> Started:
    if node.daemon is None:
        raise OperationError(
            "localnet.not_running",
            f"{node.name} does not run.",
            "it was not started, or was ended before.",
            f"start it: coopd localnet restart {node.name}",
        )
    return node.daemon


def _socket(node: LocalNode) -> Path:
    return Path(node.home) / "daemon.sock"
