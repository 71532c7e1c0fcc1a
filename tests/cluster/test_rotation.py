"""Consensus keys of real validators change while they run, over a kill, and the old ones go with time."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.cluster import faults
from node.cluster.local import LocalNet
from tests.cluster.real_cluster import (
    Payers,
    assert_same_chain,
    assert_sound,
    coopd,
    own_port,
    wait_ready,
    wait_until,
)
from tests.cluster.test_migration import migration, propose, wait_epoch

pytestmark = pytest.mark.cluster


@pytest.fixture
def bft_net(tmp_path: Path) -> Iterator[LocalNet]:
    home = tmp_path / "ln"
    ports = ("--port", str(own_port(15_000)), "--load-members", "200")
    coopd("localnet", "up", "--detach", "--bft", *ports, home=home)
    try:
        yield LocalNet.open(home)
    finally:
        LocalNet.open(home).stop()


def rotate(net: LocalNet, name: str, *arguments: str) -> dict[str, Any]:
    """Give a validator a fresh key; returns what was shown."""
    shown = coopd("validator", "rotate", "--node", name, "--yes", "--json", *arguments, home=net.home)
    answer: dict[str, Any] = json.loads(shown.stdout.splitlines()[-1])
    return answer


def keys_on_chain(net: LocalNet) -> dict[str, str]:
    """Return which key certifies for whom."""
    return {one["operator"]: one["consensusKey"] for one in migration(net)["epoch"]["validators"]}


def own_states(net: LocalNet, name: str) -> list[str]:
    """Return what `coopd validator ls` says of the keys of a node."""
    answer = json.loads(coopd("validator", "ls", "--json", home=net.home).stdout)
    return [one["state"] for one in answer["own"] if one["operator"] == name]


def assert_needed(net: LocalNet, payers: Payers, name: str, without: str) -> None:
    """Check that a validator signs: while another is paused nothing is certified without it."""
    faults.pause(net.node(without))
    payers.wait_for_more(10)
    faults.resume(net.node(without))
    wait_ready(net, without)
    assert name in keys_on_chain(net)


def key_files(net: LocalNet, name: str) -> list[str]:
    home = Path(net.node(name).home)
    return sorted(path.name for folder in ("keys", "consensus") for path in (home / folder).glob("*.json"))


@pytest.mark.slow
def test_keys_change_under_load_twice_and_over_a_kill(net: LocalNet, tmp_path: Path) -> None:
    first = keys_on_chain(net)
    with Payers(net) as payers:
        payers.wait_for_more()
        for epoch in (1, 2):
            said = rotate(net, "n1")
            wait_epoch(net, epoch)
            assert keys_on_chain(net)["n1"] == said["keys"][0]["consensusKey"] != first["n1"]
            assert_needed(net, payers, "n1", without="n3")

        said = rotate(net, "n2", "--board", str(tmp_path / "none"))
        fresh = said["keys"][0]["consensusKey"]
        assert said["decided"] is None and migration(net)["pending"] is None
        faults.kill(net.node("n2"))
        height = int(migration(net, "n1")["height"])
        words = ("--engine", "raft", "--remove", "n2", "--add", fresh[2:18], "--at-height", str(height + 40))
        propose(net, *words)
        coopd("localnet", "restart", "n2", home=net.home)
        net = LocalNet.open(net.home)
        wait_epoch(net, 3)
        wait_ready(net, "n2")
        assert keys_on_chain(net)["n2"] == fresh
        assert_needed(net, payers, "n2", without="n1")
        faults.kill(net.node("n2"))
        coopd("localnet", "restart", "n2", home=net.home)
        net = LocalNet.open(net.home)
        wait_ready(net, "n2")
        assert_needed(net, payers, "n2", without="n3")
    assert own_states(net, "n1") == ["old", "old", "signs"] or sorted(own_states(net, "n1")) == [
        "old",
        "old",
        "signs",
    ]
    assert own_states(net, "n3") == ["signs"] and keys_on_chain(net)["n3"] == first["n3"]
    assert_same_chain(net, payers.acknowledged)
    assert_sound(net)

    assert len(key_files(net, "n1")) == 4
    coopd("localnet", "advance", "6d", home=net.home)
    assert len(key_files(net, "n1")) == 4 and "consensus.json" in key_files(net, "n2")
    coopd("localnet", "advance", "7d", home=net.home)
    wait_until(
        lambda: [len(key_files(net, name)) for name in ("n1", "n2", "n3")] == [2, 2, 2],
        "the old keys go",
    )
    assert "consensus.json" not in key_files(net, "n1") + key_files(net, "n2")
    assert [own_states(net, name) for name in ("n1", "n2", "n3")] == [["signs"]] * 3
    assert all(status is not None and status.ready for node in net.state.nodes for status in [node.status()])


def test_a_node_that_lost_what_it_signed_comes_back_with_a_fresh_key(net: LocalNet) -> None:
    node = net.node("n1")
    faults.kill(node)
    (Path(node.home) / "sign_state").unlink()
    coopd("localnet", "restart", "n1", home=net.home)
    net = LocalNet.open(net.home)
    wait_until(
        lambda: any("does not sign" in text for text in getattr(net.node("n1").status(), "warnings", ())),
        "it says that it does not sign",
    )
    said = rotate(net, "n1")
    wait_epoch(net, 1)
    with Payers(net) as payers:
        payers.wait_for_more(5)
        assert keys_on_chain(net)["n1"] == said["keys"][0]["consensusKey"]
        assert_needed(net, payers, "n1", without="n2")
    status = net.node("n1").status()
    assert status is not None and not status.warnings


def test_a_key_changes_under_bft(bft_net: LocalNet) -> None:
    net = bft_net
    with Payers(net) as payers:
        payers.wait_for_more()
        said = rotate(net, "n2")
        wait_epoch(net, 1)
        assert keys_on_chain(net)["n2"] == said["keys"][0]["consensusKey"]
        assert_needed(net, payers, "n2", without="n4")
    assert_same_chain(net, payers.acknowledged)
    assert_sound(net)
