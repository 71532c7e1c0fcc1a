"""`coopd load`: how much a cluster does."""

from typing import Literal

from cyclopts import App

from node.cli.session import session

load_app = App(name="load", help="Measure a cluster under load.")


@load_app.command
def run(
    *,
    seconds: float = 10.0,
    tps: int = 0,
    outstanding: int = 4_000,
    batch: int = 100,
) -> None:
    """Send signed transfers to the local cluster and show what was committed, how fast, at what cost.

    Args:
        seconds: How long to send.
        tps: Transfers a second to offer; 0 offers as many as are taken.
        outstanding: Most transfers that wait for their commit at once.
        batch: Transfers in one JSON-RPC batch.
    """
    from node.cli.operator.localnet import localnet_home
    from node.cluster.local import LocalNet
    from node.load.run import run_load

    net = LocalNet.open(localnet_home())
    report = run_load(net, seconds, tps, outstanding, batch, session.terminal.note)
    session.terminal.show(report, report.to_text)


@load_app.command
def failover(*, how: Literal["kill", "pause", "cut", "handover"] = "kill", rounds: int = 5) -> None:
    """Take the leader away again and again, and show how long nothing is committed.

    Args:
        how: kill -9, pause, cut off, or ask it to hand over.
        rounds: How often.
    """
    from node.cli.operator.localnet import localnet_home
    from node.cluster.local import LocalNet
    from node.load.failover import run_failover

    report = run_failover(LocalNet.open(localnet_home()), how, rounds, session.terminal.note)
    session.terminal.show(report, report.to_text)
