"""A node that lost its disk comes back by one command: by a snapshot of its peers, then by blocks.

One of the two that it can ask offers a snapshot that is not what the state root says.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.cli.rpc_client import RpcClient
from node.cluster import faults
from node.cluster.local import LocalNet, LocalNode
from node.cluster.processes import spawn
from tests.cluster.byzantine import corrupt
from tests.cluster.real_cluster import (
    Payers,
    assert_sound,
    coopd,
    own_port,
    wait_equal,
    wait_ready,
    wait_until,
)

pytestmark = pytest.mark.cluster

EVERY = 10
LAG = 15


@pytest.fixture
def net(tmp_path: Path) -> Iterator[LocalNet]:
    """Three validators that make a snapshot every few blocks."""
    home = tmp_path / "ln"
    LocalNet.create(
        home, 3, own_port(26_000), 100, {"snapshot_every_blocks": EVERY, "snapshot_lag_blocks": LAG}
    )
    coopd("localnet", "up", "--detach", home=home)
    try:
        yield LocalNet.open(home)
    finally:
        LocalNet.open(home).stop()


def snapshots_of(node: LocalNode) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = json.loads(coopd("snapshot", "ls", "--json", home=Path(node.home)).stdout)
    return answer


def lose_disk(node: LocalNode, *, with_guard: bool) -> None:
    """Kill a node and take all that it knows of the chain; its signing record too, or not."""
    faults.kill(node)
    home = Path(node.home)
    shutil.rmtree(home / "store")
    shutil.rmtree(home / "snapshots", ignore_errors=True)
    if with_guard:
        os.unlink(home / "sign_state")


def rejoin(net: LocalNet, node: LocalNode) -> None:
    node.daemon = spawn(["rejoin", "--home", node.home, "--yes"], Path(node.home) / "node.log")
    net.save()


def pay_past(net: LocalNet, payers: Payers, height: int) -> None:
    while (status := net.node("n1").status()) is None or status.height < height:
        payers.wait_for_more(1)


def log_of(node: LocalNode) -> str:
    return (Path(node.home) / "node.log").read_text()


def condemned(node: LocalNode) -> list[str]:
    return [line for line in log_of(node).splitlines() if "peer.bad" in line]


def node_key_of(net: LocalNet, node: LocalNode) -> str:
    """Return the name that the logs of others give a node."""
    return next(v.node_key.hex() for v in net.genesis.epoch.validators if v.operator == node.name)


def roots_of(net: LocalNet) -> set[tuple[int, str]]:
    """The height and the state root of every node, once they stand still."""
    wait_equal(net)
    answers = set()
    for node in net.state.nodes:
        shown = coopd("snapshot", "create", "--json", home=Path(node.home)).stdout
        made = json.loads(shown)
        answers.add((made["height"], made["stateRoot"]))
    return answers


def signed_by(net: LocalNet, name: str, first: int) -> list[int]:
    """The heights from one on whose certificates have a signature of this operator."""
    client = RpcClient(net.node("n1").url)
    head = client.call("chain_getHeader", block="latest")["height"]
    found = []
    for height in range(first, head + 1):
        certificate = client.call("chain_getCertificate", height=height)
        if name in json.dumps(certificate):
            found.append(height)
    client.close()
    return found


@pytest.mark.parametrize("with_guard", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_validator_that_lost_its_disk_comes_back_by_one_command(net: LocalNet, with_guard: bool) -> None:
    lost, liar = net.node("n3"), net.node("n2")
    corrupt(net, liar.name, "snapshot")
    wait_ready(net, liar.name)
    with Payers(net) as payers:
        pay_past(net, payers, 4 * EVERY)
        wait_until(lambda: len(snapshots_of(net.node("n1"))) == 2, "two snapshots")
        assert signed_by(net, "n3", 1)
        lose_disk(lost, with_guard=with_guard)
        payers.wait_for_more()
        at = net.node("n1").status()
        assert at is not None
        faults.pause(net.node("n1"))
        rejoin(net, lost)
        wait_until(lambda: bool(condemned(lost)), "the liar to be found, who alone can be asked")
        faults.resume(net.node("n1"))
        wait_ready(net, "n3")
        pay_past(net, payers, at.height + 2 * EVERY)
    assert "snapshot.fetched" in log_of(lost)
    assert all(node_key_of(net, liar) in line for line in condemned(lost))
    assert len(roots_of(net)) == 1
    status = lost.status()
    assert status is not None
    if with_guard:
        assert status.role == "observer" and "does not sign" in " ".join(status.warnings)
        assert not signed_by(net, "n3", at.height + 2), "a key whose record is lost signed"
    else:
        assert status.role == "follower" and not any("sign" in line for line in status.warnings)
    net.stop()
    assert_sound(net)
