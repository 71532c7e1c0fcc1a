"""A node that was away for a thousand blocks comes back under load, though killed while it catches up."""

import pytest

from node.cluster import faults
from node.cluster.local import LocalNet
from tests.cluster import real_cluster
from tests.cluster.real_cluster import (
    Payers,
    assert_same_chain,
    assert_sound,
    leader_of,
    wait_ready,
    wait_until,
)

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

BLOCKS_AWAY = 1_000
KILLS = 5


def test_a_thousand_blocks_behind_and_killed_again_and_again(
    net: LocalNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_cluster, "WAIT_SECONDS", 600.0)
    with Payers(net) as payers:
        payers.wait_for_more()
        leader = leader_of(net)
        away = next(node for node in net.state.nodes if node.name != leader.name)
        before = height_of(net, away.name)
        faults.kill(away)
        wait_until(lambda: height_of(net, leader.name) > before + BLOCKS_AWAY, "blocks to miss", 1.0)
        reached = [before]
        for _ in range(KILLS):
            net.restart(net.node(away.name))
            wait_until(lambda: height_of(net, away.name) > reached[-1], "progress", 0.002)
            reached.append(height_of(net, away.name))
            faults.kill(net.node(away.name))
        net.restart(net.node(away.name))
        wait_ready(net, away.name)
        payers.wait_for_more()
    assert reached == sorted(reached)
    assert_same_chain(net, payers.acknowledged)
    assert_sound(net)


def height_of(net: LocalNet, name: str) -> int:
    status = net.node(name).status(1)
    return 0 if status is None else status.height
