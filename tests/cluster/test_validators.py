"""Validators come and go on a running chain, of either engine; a change waits, is cancelled, is tried dry."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.cluster import faults
from node.cluster.local import LocalNet
from tests.cluster.real_cluster import Payers, assert_same_chain, assert_sound, coopd, own_port
from tests.cluster.test_migration import assert_crossed, migration, propose, wait_epoch

pytestmark = pytest.mark.cluster


@pytest.fixture
def five_net(tmp_path: Path) -> Iterator[LocalNet]:
    """Four validators on BFT and a spare node, all of which have said that they are ready."""
    home = tmp_path / "ln"
    ports = ("--port", str(own_port(23_000)), "--load-members", "200")
    coopd("localnet", "up", "--detach", "--bft", "--nodes", "4", "--spare", "1", *ports, home=home)
    try:
        coopd("validator", "ready", home=home)
        yield LocalNet.open(home)
    finally:
        LocalNet.open(home).stop()


def dry_run(net: LocalNet, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Try a change dry; returns the exit code and what was shown."""
    shown = coopd("consensus", "migrate", "dry-run", *arguments, "--json", home=net.home, check=False)
    answer: dict[str, Any] = json.loads(shown.stdout)
    return shown.returncode, answer


def test_a_change_is_tried_dry_waits_and_is_cancelled(spare_net: LocalNet) -> None:
    net = spare_net
    code, tried = dry_run(net, "--engine", "bft", "--add", "n4")
    assert code == 0 and tried["passes"] and tried["reasons"] == []
    assert [one["engines"] for one in tried["validators"]] == [["raft", "bft"]] * 4
    code, tried = dry_run(net, "--engine", "bft")
    assert code == 1 and [one["code"] for one in tried["reasons"]] == ["registry.too_few"]
    assert migration(net)["pending"] is None, "a dry run sends nothing"

    seal = propose(net, "--engine", "bft", "--add", "n4", "--delay", "1h")
    with Payers(net) as payers:
        payers.wait_for_more(20)
    pending = migration(net)["pending"]
    assert pending["sealHeight"] == seal and pending["blocksLeft"] == 0
    assert 3_000 < pending["secondsLeft"] <= 3_600 and migration(net)["height"] > seal
    code, tried = dry_run(net, "--engine", "bft", "--add", "n4")
    assert code == 1 and [one["code"] for one in tried["reasons"]] == ["registry.change_pending"]
    coopd("consensus", "migrate", "cancel", "--yes", home=net.home)
    assert migration(net)["pending"] is None and migration(net)["epoch"]["number"] == 0

    height = migration(net)["height"]
    assert propose(net, "--engine", "bft", "--add", "n4", "--at-height", str(height + 20)) == height + 20
    wait_epoch(net, 1)
    assert_crossed(net, height + 20, "bft", {"n1", "n2", "n3", "n4"})


def test_validators_come_and_go_under_raft(spare_net: LocalNet) -> None:
    net = spare_net
    with Payers(net) as payers:
        payers.wait_for_more()
        seal = propose(net, "--engine", "raft", "--add", "n4")
        wait_epoch(net, 1)
        payers.wait_for_more(20)
        assert_crossed(net, seal, "raft", {"n1", "n2", "n3", "n4"})
        seal = propose(net, "--engine", "raft", "--remove", "n1")
        wait_epoch(net, 2)
        payers.wait_for_more(20)
    assert_crossed(net, seal, "raft", {"n2", "n3", "n4"})
    assert_same_chain(net, payers.acknowledged)
    assert_sound(net)


@pytest.mark.slow
def test_validators_come_and_go_under_bft(five_net: LocalNet) -> None:
    net = five_net
    with Payers(net) as payers:
        payers.wait_for_more()
        seal = propose(net, "--engine", "bft", "--add", "n5")
        wait_epoch(net, 1)
        payers.wait_for_more(20)
        assert_crossed(net, seal, "bft", {"n1", "n2", "n3", "n4", "n5"})
        seal = propose(net, "--engine", "bft", "--remove", "n2")
        wait_epoch(net, 2)
        payers.wait_for_more(20)
    assert_crossed(net, seal, "bft", {"n1", "n3", "n4", "n5"})
    assert_same_chain(net, payers.acknowledged)
    assert_sound(net)


@pytest.mark.slow
def test_who_left_leads_the_last_one_across(spare_net: LocalNet) -> None:
    net = spare_net
    faults.kill(net.node("n3"))
    removed = [argument for name in ("n1", "n2", "n3") for argument in ("--remove", name)]
    propose(net, "--engine", "raft", "--add", "n4", *removed)
    wait_epoch(net, 1, "n1", "n2", "n4")
    faults.kill(net.node("n4"))
    coopd("localnet", "restart", "n3", home=net.home)
    net = LocalNet.open(net.home)
    wait_epoch(net, 1, "n3")
    assert [s.role for name in ("n1", "n2", "n3") if (s := net.node(name).status())] == ["observer"] * 3
