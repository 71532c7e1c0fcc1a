"""Time travel on real nodes: all of them agree what time it is, also one that was started anew, and what a
step sets in motion is done when it ends.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cli.rpc_client import RpcClient
from node.cluster.local import LocalNet
from node.cluster.time_travel import advance, compute_now_ms
from tests.cluster.real_cluster import assert_same_chain, coop, coopd, own_port, wait_equal, wait_ready

pytestmark = pytest.mark.cluster

DAY_MS = 86_400_000


@pytest.fixture(params=["--raft", "--bft"])
def village(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalNet]:
    home = tmp_path / "ln"
    coopd("localnet", "up", "--detach", "--port", str(own_port(24_000)), request.param, home=home)
    try:
        yield LocalNet.open(home)
    finally:
        LocalNet.open(home).stop()


def find_due(client: RpcClient) -> int | None:
    due = client.call("sched_due")["value"]
    return int(due[0]["due"]) if due else None


def test_all_nodes_agree_what_time_it_is(village: LocalNet) -> None:
    began_ms = max(status.time_ms for status in wait_equal(village))
    coopd("localnet", "pause", "n2", home=village.home)
    refused = coopd("localnet", "advance", "30d", home=village.home, check=False)
    assert refused.returncode and "n2 is paused" in refused.stderr
    coopd("localnet", "resume", "n2", home=village.home)
    coopd("localnet", "advance", "30d", home=village.home)
    times = {status.time_ms for status in wait_equal(village)}
    assert len(times) == 1 and times.pop() >= began_ms + 30 * DAY_MS
    coopd("localnet", "restart", "n2", home=village.home)
    wait_ready(village, "n2")
    coop("--as", "ada", "--yes", "pay", "bo", "25", home=village.member_home)
    for status in wait_equal(village):
        assert status.time_ms >= began_ms + 30 * DAY_MS
        assert any("the clock was moved" in warning for warning in status.warnings)
    coop("--as", "ada", "--yes", "savings", "open", "1", "10000", home=village.member_home)
    client = RpcClient(village.state.nodes[0].url)
    net = LocalNet.open(village.home)
    advance(net, compute_now_ms(net) + 45 * DAY_MS, lambda: find_due(client), 1)
    saved = client.call("savings_account", account=1)["value"]
    assert int(saved["balance"]) > 1_000_000, "what the job of the day left for the next second is done"
    wait_equal(village)
    assert_same_chain(village, {})
