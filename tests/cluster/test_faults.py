"""Kill, pause, restart and cut real nodes under load: nothing acknowledged is lost, and all catch up."""

import pytest

from node.cluster import faults
from node.cluster.local import LocalNet
from node.cluster.processes import is_alive
from tests.cluster.real_cluster import (
    Payers,
    assert_same_chain,
    assert_sound,
    coopd,
    leader_of,
    wait_ready,
)

pytestmark = pytest.mark.cluster


def test_kill_minus_nine_of_the_leader(net: LocalNet) -> None:
    with Payers(net) as payers:
        payers.wait_for_more()
        leader = leader_of(net)
        faults.kill(leader)
        assert not is_alive(leader.daemon)
        payers.wait_for_more()
        assert leader_of(net, besides=leader.name).name != leader.name
        coopd("localnet", "restart", leader.name, home=net.home)
        payers.wait_for_more()
    net = LocalNet.open(net.home)
    assert_same_chain(net, payers.acknowledged)
    assert_sound(net)


def test_a_paused_leader_comes_back_as_a_follower(net: LocalNet) -> None:
    with Payers(net) as payers:
        payers.wait_for_more()
        leader = leader_of(net)
        faults.pause(leader)
        payers.wait_for_more()
        assert leader_of(net, besides=leader.name).name != leader.name
        faults.resume(leader)
        payers.wait_for_more()
    assert_same_chain(net, payers.acknowledged)
    assert_sound(net)


def test_a_leader_that_is_cut_off_commits_nothing_and_catches_up(net: LocalNet) -> None:
    with Payers(net) as payers:
        payers.wait_for_more()
        leader = leader_of(net)
        faults.cut(net, [leader])
        payers.wait_for_more()
        other = leader_of(net, besides=leader.name)
        alone, rest = leader.status(), other.status()
        assert alone is not None and rest is not None and alone.height < rest.height
        faults.heal(net)
        payers.wait_for_more()
    assert_same_chain(net, payers.acknowledged)
    assert_sound(net)


def test_all_nodes_restart_one_after_another(net: LocalNet) -> None:
    with Payers(net) as payers:
        for node in list(net.state.nodes):
            payers.wait_for_more()
            coopd("localnet", "restart", node.name, home=net.home)
            net = LocalNet.open(net.home)
            wait_ready(net, node.name)
    assert_same_chain(net, payers.acknowledged)
    assert_sound(net)
