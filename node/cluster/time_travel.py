"""Let time pass on a local cluster: every node's clock is moved ahead, in steps that end where a job is due.

Block times follow the clocks, so what comes due runs, in order and at its time. What is due is asked by the
caller; a node refuses to move its clock on any chain but one of development (`handlers.py`).

Rules:
    1. a clock never goes back. 2. whoever builds the next block is told last, so that its block is early for
    nobody. 3. a step waits until every node has a block of that time, and goes on by a second as long as what
    ran leaves more for the next one, so nothing is half done when it ends. 4. at most `steps_max` steps, so
    years pass in minutes; then what is due within one step runs at the end of it, still in order.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from node.cluster.local import LocalNet, LocalNode
from node.cluster.processes import is_alive, is_paused
from node.errors import OperationError
from node.ipc.ask import ask
from node.ipc.messages import Admin

STEPS_MAX: Final = 400
STEP_SECONDS: Final = 30.0
FOLLOWS_MS: Final = 1_000
"""So much later is due what a run leaves for another one."""
FIRST_ROLES: Final = ("leader", "proposer")


def compute_now_ms(net: LocalNet) -> int:
    """Return the time on the clocks of the nodes, Unix milliseconds."""
    return time.time_ns() // 1_000_000 + net.state.ahead_ms


def advance(net: LocalNet, target_ms: int, find_due: Callable[[], int | None], steps: int = 0) -> int:
    """Move all clocks to a time; returns in how many steps.

    Args:
        steps: in so many at most; 0, or more than `STEPS_MAX`, is as many as there may be.
        find_due: asks for the time, Unix seconds, at which the next job is due; None when none waits.

    Raises:
        OperationError: localnet.not_running, localnet.stuck, ipc.unreachable.
    """
    began_ms = compute_now_ms(net)
    target_ms = max(target_ms, began_ms)
    for node in net.state.nodes:
        if is_alive(node.daemon) and is_paused(node.daemon):
            raise OperationError(
                "localnet.not_running",
                "The clocks were not moved.",
                f"{node.name} is paused and would not notice.",
                f"let it go on: coopd localnet resume {node.name}",
            )
    shortest_ms = -(-(target_ms - began_ms) // (steps if 0 < steps < STEPS_MAX else STEPS_MAX))
    taken, now_ms = 0, began_ms
    while taken == 0 or now_ms < target_ms:
        due = find_due()
        due_ms = target_ms if due is None else due * 1_000
        now_ms = min(target_ms, max(due_ms, now_ms + shortest_ms, compute_now_ms(net)))
        _move(net, now_ms)
        _await_jobs(now_ms, find_due)
        while (due := find_due()) is not None and due * 1_000 <= compute_now_ms(net) + FOLLOWS_MS:
            now_ms = max(due * 1_000, compute_now_ms(net))
            _move(net, now_ms)
            _await_jobs(now_ms, find_due)
        taken += 1
    return taken


def tell_clock(net: LocalNet, node: LocalNode) -> None:
    """Tell a node that was started anew how far the clocks are ahead."""
    if net.state.ahead_ms:
        ask(Path(node.home) / "daemon.sock", Admin("clock", (str(net.state.ahead_ms),)))


def _move(net: LocalNet, to_ms: int) -> None:
    net.state.ahead_ms = max(net.state.ahead_ms, to_ms - time.time_ns() // 1_000_000)
    net.save()
    answers = [(node, node.status()) for node in net.state.nodes if is_alive(node.daemon)]
    for node, _ in sorted(answers, key=lambda one: one[1] is not None and one[1].role in FIRST_ROLES):
        tell_clock(net, node)
    alive = [node for node, _ in answers]
    deadline = time.monotonic() + STEP_SECONDS
    while not all((found := node.status()) is not None and found.time_ms >= to_ms for node in alive):
        if time.monotonic() > deadline:
            raise _stuck("not every node has a block of that time")
        time.sleep(0.01)


def _await_jobs(to_ms: int, find_due: Callable[[], int | None]) -> None:
    """Wait until all that was due has run; more than one block can take it."""
    deadline = time.monotonic() + STEP_SECONDS
    while (due := find_due()) is not None and due * 1_000 <= to_ms:
        if time.monotonic() > deadline:
            raise _stuck("jobs are still waiting")
        time.sleep(0.01)


def _stuck(why: str) -> OperationError:
    return OperationError(
        "localnet.stuck",
        "Time passes, but the chain does not follow.",
        f"{why}; waited {STEP_SECONDS:.0f} s.",
        "see: coopd localnet status",
    )
