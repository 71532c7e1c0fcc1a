"""One of four validators breaks the rules, on real processes: the chain goes on, and the deed is on it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.cli.member.member_home import MemberHome
from node.cli.rpc_client import RpcClient
from node.cluster import faults
from node.cluster.local import LocalNet
from node.config import CONSENSUS_KEY, load
from node.wallet.keyring import Keyring
from tests.cluster.byzantine import corrupt
from tests.cluster.real_cluster import (
    Payers,
    assert_same_chain,
    assert_sound,
    coop,
    coopd,
    own_port,
    run,
    wait_ready,
    wait_until,
)
from tests.protocol.accuse import double_vote_by

pytestmark = pytest.mark.cluster

CULPRIT = "n4"


@pytest.fixture
def bft_net(tmp_path: Path) -> Iterator[LocalNet]:
    """Four validators on BFT."""
    home = tmp_path / "ln"
    ports = ("--port", str(own_port(27_000)), "--load-members", "200")
    coopd("localnet", "up", "--detach", "--bft", *ports, home=home)
    try:
        yield LocalNet.open(home)
    finally:
        LocalNet.open(home).stop()


def convictions(net: LocalNet, name: str) -> dict[str, Any]:
    """Return what `coopd validator evidence` shows on a node."""
    shown = coopd("validator", "evidence", "--json", home=Path(net.node(name).home)).stdout
    answer: dict[str, Any] = json.loads(shown)
    return answer


@pytest.mark.parametrize("mode", ["equivocate", "silent", "lie"])
def test_the_chain_goes_on_with_one_of_four_against_it(bft_net: LocalNet, mode: str) -> None:
    net = bft_net
    corrupt(net, CULPRIT, mode)
    honest = [node for node in net.state.nodes if node.name != CULPRIT]
    for node in honest:
        wait_ready(net, node.name)
    with Payers(net) as payers:
        payers.wait_for_more(60)
        client = RpcClient(honest[0].url)
        first = client.call("chain_getHeader", block="latest")["height"]
        wait_until(lambda: client.call("chain_getHeader", block="latest")["height"] > first + 12, "12 blocks")
        payers.wait_for_more(20)
        if mode == "equivocate":
            wait_until(
                lambda: all(convictions(net, node.name)["suspended"] == [CULPRIT] for node in honest),
                "evidence on every node",
            )
    found = {json.dumps(convictions(net, node.name)["items"], sort_keys=True) for node in honest}
    assert len(found) == 1, "nodes disagree on who is convicted"
    items = json.loads(found.pop())
    # Who lies may contradict what it says elsewhere; who is silent contradicts nothing.
    assert {item["operator"] for item in items} <= (set() if mode == "silent" else {CULPRIT})
    if mode == "equivocate":
        assert {item["kind"] for item in items} & {"duplicate_vote", "duplicate_proposal"}
        table = run("node", "validator", "evidence", "--home", honest[0].home).stdout
        assert "duplicate" in table and f"until the council lifts it: {CULPRIT}" in table
        refuse_the_culprit(net)
    faults.kill(net.node(CULPRIT))
    net.restart(net.node(CULPRIT))
    wait_ready(net, CULPRIT)
    assert_same_chain(net, payers.acknowledged)
    assert convictions(net, CULPRIT)["items"] == items, "the culprit sees it too"
    if mode == "silent":
        a_member_accuses(net)
    if mode == "equivocate":
        the_council_lifts_it(net)
    net.stop()
    assert_sound(net)


def a_member_accuses(net: LocalNet) -> None:
    """Let a member show two certified contradictions, as a fork would leave them, to a node."""
    secret = Keyring(load(Path(net.node(CULPRIT).home), environ={}).keys_path).load(CONSENSUS_KEY, None)
    evidence = double_vote_by(secret, net.genesis.compute_hash(), height=3, view=99)
    MemberHome(net.member_home).save_evidence((evidence,))
    shown = json.loads(coop("verify", "accuse", "--json", home=net.member_home).stdout)
    assert [one["known"] for one in shown] == [False]
    wait_until(
        lambda: all(convictions(net, node.name)["suspended"] == [CULPRIT] for node in net.state.nodes),
        "what the member shows is on every node",
    )
    again = json.loads(coop("verify", "accuse", "--json", home=net.member_home).stdout)
    assert [one["known"] for one in again] == [True]


def refuse_the_culprit(net: LocalNet) -> None:
    """Check that the council cannot decide an epoch with the culprit, before it lifts what stands."""
    for name in ("n1", "n2", "n3"):
        coopd("validator", "ready", home=Path(net.node(name).home))
    coopd("validator", "ready", home=Path(net.node(CULPRIT).home))
    refused = coopd(
        "consensus",
        "migrate",
        "propose",
        "--engine",
        "bft",
        "--yes",
        home=Path(net.node("n1").home),
        check=False,
    )
    assert refused.returncode and "Evidence stands against a validator" in refused.stderr, refused.stderr


def the_council_lifts_it(net: LocalNet) -> None:
    """Let the council decide that the culprit may go on, and see that it can be in the next epoch again."""
    home = Path(net.node("n1").home)
    coopd("validator", "lift", CULPRIT, "--yes", home=home)
    nobody = coopd("validator", "lift", CULPRIT, "--yes", home=home, check=False)
    assert nobody.returncode and "registry.not_suspended" in nobody.stderr
    assert "lifted at" in coopd("validator", "evidence", home=home).stdout
    coopd("consensus", "migrate", "propose", "--engine", "bft", "--yes", home=home)
