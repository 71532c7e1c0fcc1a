"""Two of three validators are lost for good: the council restarts the chain, and who accepts it follows."""

import json
import shutil
from pathlib import Path

import pytest

from node.cluster import faults
from node.cluster.local import LocalNet, LocalNode
from node.cluster.processes import spawn, stop_all
from node.config import CONFIG_FILE
from tests.cluster.real_cluster import (
    assert_same_chain,
    assert_sound,
    coop,
    coopd,
    wait_equal,
    wait_ready,
    wait_until,
)

pytestmark = pytest.mark.cluster


def pay(net: LocalNet) -> tuple[str, int, int]:
    paid = coop("pay", "bo", "1", "--as", "ada", "--yes", "--json", home=net.member_home)
    tx_id = json.loads(paid.stdout)["id"]
    state = json.loads(coop("tx", "show", tx_id, "--json", home=net.member_home).stdout)
    return tx_id, state["height"], state["index"]


def restart_chain(net: LocalNet, survivor: LocalNode, file: Path) -> tuple[str, int]:
    """Let the council restart the chain on a stopped node; return the hash, and the height it stands on."""
    home = Path(survivor.home)
    board = ("--board", str(net.board_home))
    keep = ("--engine", "raft", "--keep", survivor.name)
    coopd("consensus", "restart", "propose", str(file), *keep, *board, home=home)
    signed = coopd("consensus", "restart", "sign", str(file), *board, "--yes", "--json", home=home)
    shown = json.loads(signed.stdout)
    assert shown["ratified"] and shown["validators"] == [survivor.name]
    wrong = ("--accept", "0x" + "1" * 64)
    assert coopd("consensus", "restart", "apply", str(file), *wrong, home=home, check=False).returncode
    coopd("consensus", "restart", "apply", str(file), "--accept", shown["hash"], home=home)
    return shown["hash"], shown["height"]


def accept(node: LocalNode, record_hash: str) -> None:
    path = Path(node.home) / CONFIG_FILE
    text, empty = path.read_text(encoding="utf-8"), "# accepted_restarts = []"
    assert empty in text
    path.write_text(text.replace(empty, f'accepted_restarts = ["{record_hash}"]'), encoding="utf-8")


def log_of(node: LocalNode) -> str:
    return (Path(node.home) / "node.log").read_text(encoding="utf-8")


def height_of(node: LocalNode) -> int:
    status = node.status()
    return -1 if status is None else status.height


def come_back(net: LocalNet, back: LocalNode, left: LocalNode, end: int) -> tuple[str, int, int]:
    """Start a node of the old epoch: nobody who crossed listens, and it cannot go on."""
    net.restart(back)
    wait_until(lambda: "restart.not_accepted" in log_of(back), "the old epoch to see the restart")
    again = pay(net)
    wait_until(lambda: height_of(back) == end, "the old epoch's last block")
    status = back.status()
    assert status is not None and (status.epoch, status.height) == (0, end)
    coop("connect", back.url, home=net.member_home)
    refused = coop("verify", "chain", home=net.member_home, check=False)
    assert refused.returncode and "old state" in refused.stderr
    coop("connect", left.url, home=net.member_home)
    return again


def test_the_chain_goes_on_with_who_is_left(net: LocalNet, tmp_path: Path) -> None:
    left, back, lost = (net.node(name) for name in ("n1", "n2", "n3"))
    members = net.member_home
    before = pay(net)
    coop("verify", "chain", home=members)
    wait_equal(net)
    for node in (back, lost, left):
        faults.kill(node)
    stop_all([gone.gateway for gone in (back, lost) if gone.gateway is not None])
    shutil.copytree(back.home, tmp_path / "kept", ignore=shutil.ignore_patterns("*.sock"))
    for node in (back, lost):
        shutil.rmtree(Path(node.home) / "store")

    record_hash, end = restart_chain(net, left, tmp_path / "restart")
    net.restart(left)
    wait_ready(net, left.name)
    assert "chain.was_restarted" in log_of(left)
    for refused_command in (("verify", "chain"), ("pay", "bo", "1", "--as", "ada", "--yes")):
        refused = coop(*refused_command, home=members, check=False)
        assert refused.returncode and record_hash in refused.stderr
    proved = coop("verify", "chain", "--accept-restart", record_hash, home=members).stdout
    assert f"above block {end:,}" in proved and record_hash in proved and "No node was" not in proved
    after = pay(net)
    assert after[1] > end >= before[1]
    for paid, rests_on in (before, "No node was trusted"), (after, f"above block {end:,}"):
        checked = coop("verify", "receipt", paid[0], home=members).stdout
        assert "The receipt is valid" in checked and rests_on in checked

    # Who lost its disk follows up to the restart, and beyond only by its operator's word.
    lost.daemon = spawn(["rejoin", "--home", lost.home, "--yes"], Path(lost.home) / "node.log")
    net.save()
    wait_until(lambda: "restart.not_accepted" in log_of(lost), "the restart to be seen")
    wait_until(lambda: height_of(lost) == end, "the blocks below the restart")
    status = lost.status()
    assert status is not None and status.height == end
    assert any(record_hash in warning for warning in status.warnings)
    assert "peer.bad" not in log_of(lost) and "peer.banned" not in log_of(lost)
    faults.kill(lost)
    accept(lost, record_hash)
    net.restart(lost)
    wait_until(lambda: height_of(lost) >= after[1], "the newcomer to follow over the restart")

    shutil.rmtree(back.home)
    shutil.copytree(tmp_path / "kept", back.home)
    again = come_back(net, back, left, end)

    # Its operator accepts too, and it follows.
    faults.kill(back)
    accept(back, record_hash)
    net.restart(back)
    wait_until(lambda: height_of(back) >= again[1], "the old node to follow over the restart")
    assert_same_chain(net, {tx: (height, index) for tx, height, index in (before, after, again)})
    net.stop()
    assert_sound(net)
