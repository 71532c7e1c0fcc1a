"""The programs as people start them: in the foreground until Ctrl-C, from a fresh folder, under load."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from node.cluster.local import LocalNet
from node.cluster.processes import is_alive
from tests.cluster.real_cluster import assert_same_chain, assert_sound, coop, coopd, wait_until

pytestmark = pytest.mark.cluster


def test_a_cluster_in_the_foreground_ends_with_an_interrupt(tmp_path: Path) -> None:
    home = tmp_path / "ln"
    command = [sys.executable, "-m", "node", "localnet", "up", "--port", "22000", "--home", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as shown:
        assert shown.stdout is not None
        first = shown.stdout.readline()
        assert "3 nodes on Raft" in first
        processes = LocalNet.open(home).processes
        assert len(processes) == 6
        os.kill(shown.pid, signal.SIGINT)
        rest = shown.stdout.read()
        assert shown.wait(30) == 0
    assert f"coop --home {home}/coop --as ada pay bo 25" in rest and "Ctrl-C" in rest
    assert not any(is_alive(process) for process in processes)


def test_a_newcomer_connects_and_reads_but_cannot_be_paid_before_an_account_exists(
    net: LocalNet, tmp_path: Path
) -> None:
    home, url = tmp_path / "eve", net.state.nodes[1].url
    connected = json.loads(coop("connect", url, "--json", home=home).stdout)
    assert connected["genesisHash"] == net.genesis.compute_hash().hex()
    address = json.loads(coop("key", "new", "eve", "--plain", "--json", home=home).stdout)["address"]
    assert "nothing yet" in coop("me", home=home).stdout
    refused = coop("pay", address, "1", "--as", "ada", "--yes", home=net.member_home, check=False)
    assert refused.returncode == 1 and "E1230 ledger.no_account" in refused.stderr
    paid = json.loads(coop("pay", "cy", "1", "--as", "bo", "--yes", "--json", home=net.member_home).stdout)
    assert json.loads(coop("tx", "show", paid["id"], "--json", home=home).stdout)["status"] == "committed"
    assert json.loads(coop("tx", "wait", paid["id"], "--json", home=home).stdout)["status"] == "committed"
    assert "The receipt is valid" in coop("verify", "receipt", paid["id"], home=home).stdout
    assert coop("connect", url, home=net.member_home).returncode == 0


def test_load_is_committed_without_loss_and_accounted_for(net: LocalNet) -> None:
    command = ("load", "run", "--seconds", "2", "--tps", "100", "--batch", "10", "--json")
    report = json.loads(coopd(*command, home=net.home).stdout)
    assert report["committed"] == report["sent"] > 0 and report["lost"] == report["refused"] == 0
    assert [node["name"] for node in report["nodes"]] == ["n1", "n2", "n3"]
    assert_same_chain(net, {})
    assert_sound(net)


def test_a_node_with_its_gateway_runs_as_one_command(net: LocalNet) -> None:
    node = net.node("n2")
    net.stop()
    for other in ("n1", "n3"):
        net.restart(net.node(other))
    command = [sys.executable, "-m", "node", "run", "--gateway", "--home", node.home]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as shown:
        coopd_health = ("health", "--json")
        wait_until(lambda: coopd(*coopd_health, home=Path(node.home), check=False).returncode == 0, "health")
        client = ("me", "--as", "ada", "--rpc", node.url)
        wait_until(lambda: coop(*client, home=net.member_home, check=False).returncode == 0, "its gateway")
        os.kill(shown.pid, signal.SIGTERM)
        assert shown.wait(30) == 0
    assert coop(*client, home=net.member_home, check=False).returncode == 3
