"""From nothing to a proven receipt, by the commands that the README names."""

import json
from pathlib import Path

import pytest

from node.cluster.local import LocalNet
from tests.cluster.real_cluster import assert_sound, coop, coopd

pytestmark = pytest.mark.cluster


def test_a_member_pays_and_proves_it_when_no_node_is_there(net: LocalNet, tmp_path: Path) -> None:
    members = net.member_home
    trial = ("pay", "bo", "25.50", "--as", "ada", "--dry-run", "--json")
    assert json.loads(coop(*trial, home=members).stdout)["ok"]
    before = json.loads(coop("me", "--as", "bo", "--json", home=members).stdout)
    paid = json.loads(coop("pay", "bo", "25.50", "--as", "ada", "--yes", "--json", home=members).stdout)
    after = json.loads(coop("me", "--as", "bo", "--json", home=members).stdout)
    assert paid["amount"] == "2550" and len(paid["signers"]) >= 2
    gained = int(after["balances"][0]["posted"]) - int(before["balances"][0]["posted"])
    assert gained == 2550

    refused = coop("pay", "bo", "99999999", "--as", "ada", "--yes", home=members, check=False)
    assert refused.returncode == 1 and "E1210 ledger.funds" in refused.stderr

    assert json.loads(coopd("health", "--json", home=Path(net.node("n1").home)).stdout)["ready"]
    coopd("localnet", "down", home=net.home)
    assert coopd("health", home=Path(net.node("n1").home), check=False).returncode == 3
    assert coop("me", "--as", "bo", home=members, check=False).returncode == 3

    receipt = Path(paid["receipt"])
    assert json.loads(coop("verify", "receipt", str(receipt), "--json", home=members).stdout)["valid"]
    assert json.loads(coop("verify", "receipt", paid["id"], "--json", home=members).stdout)["valid"]
    forged = json.loads(receipt.read_text())
    forged["receipt"] = forged["receipt"][:-2] + ("00" if forged["receipt"][-2:] != "00" else "01")
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    assert coop("verify", "receipt", str(tmp_path / "forged.json"), home=members, check=False).returncode == 1
    assert_sound(net)


def test_a_second_cluster_moves_to_other_ports_and_the_chain_goes_on_after_a_stop(
    net: LocalNet, tmp_path: Path
) -> None:
    home = tmp_path / "second"
    shown = coopd(
        "localnet", "up", "-d", "--nodes", "1", "--port", str(net.state.base_port), home=home
    ).stdout
    second = LocalNet.open(home)
    try:
        assert second.state.base_port != net.state.base_port and "were busy" in shown
        height = second.wait_height(1)
        coopd("localnet", "down", home=home)
        coopd("localnet", "up", "-d", home=home)
        assert LocalNet.open(home).wait_height(height) >= height
    finally:
        LocalNet.open(home).stop()
    coopd("localnet", "clean", home=home)
    assert not home.exists()
