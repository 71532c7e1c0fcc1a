"""The live move between engines on real processes: nothing acknowledged is lost, whatever happens then."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from node.cluster import faults
from node.cluster.local import LocalNet
from tests.cluster.block_watch import BlockWatch
from tests.cluster.real_cluster import (
    Payers,
    assert_same_chain,
    assert_sound,
    coop,
    coopd,
    leader_of,
    wait_until,
)

pytestmark = pytest.mark.cluster

TO_BFT = ("--engine", "bft", "--add", "n4")


def propose(net: LocalNet, *arguments: str, through: str = "n1") -> int:
    """Decide a change by way of one node; returns the height of the seal."""
    home = Path(net.node(through).home)
    shown = coopd("consensus", "migrate", "propose", *arguments, "--yes", "--json", home=home).stdout
    return int(json.loads(shown)["sealHeight"])


def migration(net: LocalNet, node: str = "n2") -> dict[str, Any]:
    shown = coopd("consensus", "status", "--json", home=Path(net.node(node).home)).stdout
    answer: dict[str, Any] = json.loads(shown)
    return answer


def wait_epoch(net: LocalNet, number: int, *names: str) -> None:
    """Wait until these nodes, or all, stand in an epoch."""
    nodes = [net.node(name) for name in names] or net.state.nodes

    def look() -> bool:
        statuses = [node.status(0.5) for node in nodes]
        return all(status is not None and status.epoch == number for status in statuses)

    wait_until(look, f"epoch {number} at {', '.join(node.name for node in nodes)}")


def pay(net: LocalNet) -> dict[str, Any]:
    """Pay as a member who has always been there; the receipt is proved at once."""
    paid = coop("pay", "bo", "1", "--as", "ada", "--yes", "--json", home=net.member_home)
    answer: dict[str, Any] = json.loads(paid.stdout)
    return answer


def verify(net: LocalNet, receipt: str, *flags: str) -> dict[str, Any]:
    shown = coop("verify", "receipt", receipt, *flags, "--json", home=net.member_home).stdout
    answer: dict[str, Any] = json.loads(shown)
    return answer


def light_client(net: LocalNet) -> str:
    """Let the member's program follow the chain from where it stood last; return which engine it proved."""
    shown = coop("verify", "chain", "--json", home=net.member_home).stdout
    return str(json.loads(shown)["protocol"])


def assert_crossed(net: LocalNet, seal_height: int, engine: str, operators: set[str]) -> None:
    """Check that every node changed at the announced height and at no other."""
    for node in net.state.nodes:
        answer = migration(net, node.name)
        old, new = answer["epochs"][-2:]
        assert old["seal"]["height"] == seal_height and new["sinceHeight"] == seal_height + 1
        assert new["protocol"] == engine and set(new["operators"]) == operators and answer["pending"] is None


def test_raft_becomes_bft_under_load_without_a_restart(
    spare_net: LocalNet, capsys: pytest.CaptureFixture[str]
) -> None:
    net = spare_net
    processes = list(net.processes)
    before = pay(net)
    assert light_client(net) == "raft"
    assert {s.role for node in net.state.nodes if (s := node.status())} == {"leader", "follower", "observer"}
    with BlockWatch(net.node("n2")) as watch, Payers(net) as payers:
        payers.wait_for_more(20)
        seal = propose(net, *TO_BFT)
        wait_epoch(net, 1)
        payers.wait_for_more(40)
        watch.wait_for(seal + 8)
    gap, raft, bft = (
        watch.interval_ms(seal + 1),
        watch.ordinary_ms(2, seal),
        watch.ordinary_ms(seal + 2, max(watch.seen)),
    )
    with capsys.disabled():
        print(f"\n  seal {seal} to next block {gap:.0f} ms; block interval Raft {raft:.0f}, BFT {bft:.0f} ms")
    assert net.processes == processes, "a process was restarted"
    assert_crossed(net, seal, "bft", {"n1", "n2", "n3", "n4"})
    assert_same_chain(net, payers.acknowledged)
    heights = [height for height, _ in payers.acknowledged.values()]
    assert min(heights) < seal < max(heights)
    after = pay(net)
    assert light_client(net) == "bft"
    late = coopd("consensus", "migrate", "cancel", "--yes", home=net.home, check=False)
    assert late.returncode == 1 and "registry.no_change" in late.stderr
    status = coopd("localnet", "status", home=net.home).stdout
    assert status.count("BFT") == 4 and "observer" not in status
    net.stop()
    assert_sound(net)
    assert verify(net, before["receipt"])["protocol"] == "raft"
    proved = verify(net, after["receipt"])
    assert proved["protocol"] == "bft" and len(proved["signers"]) >= 3


def test_the_leader_dies_at_the_seal(spare_net: LocalNet) -> None:
    net = spare_net
    assert light_client(net) == "raft"
    leader = leader_of(net)
    survivor = next(node for node in net.state.nodes[:3] if node.name != leader.name)
    with BlockWatch(survivor) as watch, Payers(net) as payers:
        payers.wait_for_more()
        seal = propose(net, *TO_BFT, through=survivor.name)
        watch.wait_for(seal - 1)
        faults.kill(leader)
        wait_epoch(net, 1, *(node.name for node in net.state.nodes if node.name != leader.name))
        payers.wait_for_more(20)
        coopd("localnet", "restart", leader.name, home=net.home)
        net = LocalNet.open(net.home)
        wait_epoch(net, 1)
        payers.wait_for_more()
    assert_crossed(net, seal, "bft", {"n1", "n2", "n3", "n4"})
    assert_same_chain(net, payers.acknowledged)
    assert light_client(net) == "bft"
    assert_sound(net)


def test_a_validator_that_is_cut_off_across_the_switch_follows_when_it_is_back(spare_net: LocalNet) -> None:
    net = spare_net
    assert light_client(net) == "raft"
    lost = next(node for node in net.state.nodes[:3] if node.name != leader_of(net).name)
    rest = [node.name for node in net.state.nodes if node.name != lost.name]
    with Payers(net) as payers:
        payers.wait_for_more()
        faults.cut(net, [lost])
        seal = propose(net, *TO_BFT, through=rest[0])
        wait_epoch(net, 1, *rest)
        payers.wait_for_more(20)
        alone = lost.status()
        assert alone is not None and alone.epoch == 0 and alone.height < seal
        faults.heal(net)
        wait_epoch(net, 1)
        payers.wait_for_more()
    assert_crossed(net, seal, "bft", {"n1", "n2", "n3", "n4"})
    assert_same_chain(net, payers.acknowledged)
    assert light_client(net) == "bft"
    assert_sound(net)


@pytest.mark.parametrize("blocks_before", [pytest.param(1, marks=pytest.mark.slow), 0])
def test_all_nodes_lose_power_at_the_seal(spare_net: LocalNet, blocks_before: int) -> None:
    net = spare_net
    assert light_client(net) == "raft"
    with BlockWatch(net.node("n2")) as watch, Payers(net) as payers:
        payers.wait_for_more()
        seal = propose(net, *TO_BFT)
        watch.wait_for(seal - blocks_before)
        kills = [threading.Thread(target=faults.kill, args=(node,)) for node in net.state.nodes]
        for kill in kills:
            kill.start()
        for kill in kills:
            kill.join()
        for node in list(net.state.nodes):
            coopd("localnet", "restart", node.name, home=net.home)
        net = LocalNet.open(net.home)
        wait_epoch(net, 1)
        payers.wait_for_more(20)
    assert_crossed(net, seal, "bft", {"n1", "n2", "n3", "n4"})
    assert_same_chain(net, payers.acknowledged)
    assert light_client(net) == "bft"
    assert_sound(net)


@pytest.mark.slow
def test_bft_goes_on_without_the_newcomer_and_stands_still_without_two(spare_net: LocalNet) -> None:
    net = spare_net
    faults.kill(net.node("n4"))
    with Payers(net) as payers:
        payers.wait_for_more()
        seal = propose(net, *TO_BFT)
        wait_epoch(net, 1, "n1", "n2", "n3")
        payers.wait_for_more(20)
    faults.kill(net.node("n3"))
    stood = {s.height for name in ("n1", "n2") if (s := net.node(name).status())}
    refused = coop(
        "pay", "bo", "1", "--as", "ada", "--yes", "--rpc", net.node("n1").url,
        home=net.member_home, check=False,
    )  # fmt: skip
    assert refused.returncode == 4, refused.stderr
    now = {s.height for name in ("n1", "n2") if (s := net.node(name).status())}
    # What had its votes before may still be decided, the payment never.
    assert max(now) <= max(stood) + 1 and now == {max(now)}
    assert migration(net)["epoch"]["protocol"] == "bft"
    for name in ("n3", "n4"):
        coopd("localnet", "restart", name, home=net.home)
    net = LocalNet.open(net.home)
    wait_epoch(net, 1)
    with Payers(net) as more:
        more.wait_for_more(20)
    assert_crossed(net, seal, "bft", {"n1", "n2", "n3", "n4"})
    assert_same_chain(net, {**payers.acknowledged, **more.acknowledged})
    assert_sound(net)


@pytest.mark.parametrize("spare_net", ["plain"], indirect=True)
def test_back_to_raft_by_an_explicit_act_that_members_must_accept(spare_net: LocalNet) -> None:
    net = spare_net
    assert light_client(net) == "raft"
    with Payers(net) as payers:
        payers.wait_for_more()
        propose(net, *TO_BFT)
        wait_epoch(net, 1)
        payers.wait_for_more()
        under_bft = pay(net)
        refused = coopd(
            "consensus", "migrate", "propose", "--engine", "bft", "--remove", "n4", "--yes",
            home=net.home, check=False,
        )  # fmt: skip
        assert refused.returncode == 1 and "at least 4; this change has 3" in refused.stderr
        seal = propose(net, "--engine", "raft", "--remove", "n4")
        wait_epoch(net, 2)
        payers.wait_for_more(20)
    assert_crossed(net, seal, "raft", {"n1", "n2", "n3"})
    assert {s.role for node in net.state.nodes if (s := node.status())} == {"leader", "follower", "observer"}
    assert_same_chain(net, payers.acknowledged)
    chain = coop("verify", "chain", home=net.member_home, check=False)
    assert chain.returncode == 1 and "went back from BFT to Raft" in chain.stderr
    paid = coop("pay", "bo", "1", "--as", "ada", "--yes", home=net.member_home, check=False)
    assert paid.returncode == 1 and "member.fell_back" in paid.stderr and "committed tx1" in paid.stderr
    assert verify(net, under_bft["receipt"])["protocol"] == "bft"
    accepted = coop("verify", "chain", "--accept-raft", "--json", home=net.member_home).stdout
    assert json.loads(accepted)["protocol"] == "raft"
    under_raft = pay(net)
    net.stop()
    assert verify(net, under_raft["receipt"])["protocol"] == "raft"
    assert_sound(net)
