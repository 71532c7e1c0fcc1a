"""The sample plugin on a real cluster: decided, used, upgraded, taken out; a node without it stops."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.cli.payments import build_transaction, send, sign_transaction
from node.cli.rpc_client import RpcClient
from node.cluster.founding import CURRENCY_NUMBER, load_key
from node.cluster.local import LocalNet
from protocol.codec import Value
from protocol.contracts.policies import address_of_key
from tests.cluster.real_cluster import Payers, assert_same_chain, assert_sound, coopd, own_port, wait_until

pytestmark = pytest.mark.cluster

SAMPLE = Path(__file__).parents[1] / "plugin_sample"
ROSCA = 1_048
PLUGIN = ("coop-rosca==2.0.0",)


@pytest.fixture
def plugin_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalNet]:
    """Three validators that have the plugin, and a spare node that has not."""
    site = tmp_path / "site"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(SAMPLE)], check=True)
    monkeypatch.setenv("PYTHONPATH", str(site))
    home = tmp_path / "ln"
    net = LocalNet.create(home, 3, own_port(13_000), 10, {"plugins": PLUGIN}, spare=1)
    spare = Path(net.node("n4").home) / "coopd.toml"
    spare.write_text(spare.read_text().replace('"coop-rosca==2.0.0"', ""))
    coopd("localnet", "up", "--detach", home=home)
    try:
        yield LocalNet.open(home)
    finally:
        LocalNet.open(home).stop()


def call(net: LocalNet, who: int, method: int, *arguments: Value) -> dict[str, Any]:
    key, genesis = load_key(who), net.genesis
    program: Value = (ROSCA, method, 0, arguments)
    tx = build_transaction(genesis, address_of_key(key.public_key), (program,), 200_000)
    client = RpcClient(net.node("n1").url)
    receipt: dict[str, Any] = send(client, sign_transaction(genesis, tx, key))
    client.close()
    return receipt


def activate(net: LocalNet, version: int) -> None:
    status = net.node("n1").status()
    assert status is not None
    first = str(status.height + 30)  # nobody is asked to be quick
    decided = ("contract", "decide", str(ROSCA), str(version), "--from-height", first, "--yes")
    coopd(*decided, home=net.home)
    if version:
        for name in ("n1", "n2", "n3"):
            coopd("contract", "installed", str(ROSCA), str(version), home=Path(net.node(name).home))
    with Payers(net):
        wait_until(lambda: versions(net) == [[ROSCA, version]], f"version {version} is in force")


def versions(net: LocalNet) -> list[list[int]]:
    client = RpcClient(net.node("n1").url)
    found = client.call("registry_versions")["value"]
    client.close()
    return [[one["contract"], one["version"]] for one in found]


def decided(net: LocalNet) -> list[tuple[str, Any, Any]]:
    """Return what whoever follows migrations has heard of contracts since genesis."""
    client, cursor, told = RpcClient(net.node("n1").url), "0.0", []
    while True:
        page = client.call("coop_getEvents", topic="migration", cursor=cursor)
        told += [one for item in page["items"] for one in item["event"].get("events", [])]
        if page["isEnd"]:
            break
        cursor = page["cursor"]
    client.close()
    return [(one["event"], one["fields"]["contract"], one["fields"]["version"]) for one in told]


def test_add_use_upgrade_and_take_out(plugin_net: LocalNet) -> None:
    net = plugin_net
    members = [address_of_key(load_key(n).public_key) for n in (0, 1)]
    listed = json.loads(coopd("contract", "ls", "--json", home=net.home).stdout)
    assert [(one["contract"], one["version"]) for one in listed] == [(ROSCA, 1), (ROSCA, 2)]
    activate(net, 1)
    wait_until(lambda: net.node("n4").status(0.5) is None, "the node without the plugin stops")
    said = (Path(net.node("n4").home) / "node.log").read_text()
    assert "upgrade.missing" in said and "package coop-rosca 2.0.0" in said
    assert call(net, 0, 1, CURRENCY_NUMBER, 100, 2, 1)["ok"]
    assert call(net, 0, 2, members[0], 1)["ok"]
    activate(net, 2)
    assert call(net, 0, 5, members[0], 1)["ok"], "a seat of version 1 is given back by version 2"
    activate(net, 0)
    assert decided(net) == [("upgradeDecided", ROSCA, version) for version in (1, 2, 0)]
    wait_until(lambda: net.node("n3").status(0.5) is not None, "the others go on")
    spare = net.node("n4")
    config = Path(spare.home) / "coopd.toml"
    config.write_text(config.read_text().replace("plugins = []", 'plugins = ["coop-rosca==2.0.0"]'))
    assert 'plugins = ["coop-rosca==2.0.0"]' in config.read_text()
    coopd("localnet", "restart", "n4", home=net.home)
    net = LocalNet.open(net.home)
    assert_same_chain(net, {})
    assert_sound(net)
