"""Jobs through the gateway: receipts by run id, in blocks, histories and events, with proof."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from node.cli.member.epoch_chain import EpochChain
from node.cli.member.receipts import decode_bundle, explain, make_bundle, verify_bundle
from node.cluster.founding import demo_address
from protocol.addresses import HRP_TEST, format_address
from protocol.errors import Code, Rejected
from protocol.params import JOB_INDEX_FIRST
from tests.node.job_chain import make_job_chain
from tests.node.rpc.conftest import Caller, open_gateway

ADA, BO, CY = (format_address(demo_address(name), HRP_TEST) for name in ("ada", "bo", "cy"))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Caller]:
    yield from open_gateway(make_job_chain(tmp_path / "store", int(time.time() * 1_000) - 60_000))


def test_a_block_shows_the_jobs_that_ran_in_it(gateway: Caller) -> None:
    assert gateway.call("chain_getBlock", block=3)["jobs"] == []
    ids = gateway.call("chain_getBlock", block=4)["jobs"]
    whole = gateway.call("chain_getBlock", block=4, full=True)["jobs"]
    assert [run["receipt"]["id"] for run in whole] == ids and len(ids) == 2
    assert (whole[0]["job"], whole[0]["owner"], whole[0]["receipt"]["ok"]) == (1, ADA, True)
    failed = gateway.call("chain_getBlock", block=5, full=True)["jobs"][0]
    assert not failed["receipt"]["ok"] and failed["receipt"]["reason"]["actual"] == 1 << 50


def test_a_run_is_found_by_its_id_and_in_the_histories_it_touched(gateway: Caller) -> None:
    run_id = gateway.call("chain_getBlock", block=4)["jobs"][0]
    state = gateway.call("tx_get", id=run_id)
    assert (state["status"], state["height"], state["index"]) == ("committed", 4, JOB_INDEX_FIRST)
    assert state["transaction"] is None and state["job"] == 1
    found = gateway.call("tx_list", address=BO)["items"]
    assert [item["job"] for item in found] == [None, 1, None]
    first = gateway.call("tx_list", address=BO, limit=2)
    rest = gateway.call("tx_list", address=BO, limit=2, cursor=first["cursor"])
    assert first["items"] + rest["items"] == found
    assert gateway.call("tx_list", address=CY)["items"][0]["job"] is not None


@pytest.mark.parametrize("topic", ["txs", f"account:{ADA}"])
def test_events_hold_runs_and_resume_behind_each(gateway: Caller, topic: str) -> None:
    def read(cursor: str) -> list[tuple[str, str]]:
        page = gateway.call("coop_getEvents", topic=topic, cursor=cursor, limit=200)
        return [(item["cursor"], item["event"]["type"]) for item in page["items"]]

    events, job = read("0.0"), JOB_INDEX_FIRST
    assert [at for at, kind in events if kind == "job"] == [
        f"4.{job}",
        f"4.{job + 1}",
        f"5.{job}",
        f"6.{job}",
    ]
    for at, (cursor, _) in enumerate(events):
        assert read(cursor) == events[at + 1 :]


def test_block_events_name_the_runs(gateway: Caller) -> None:
    page = gateway.call("coop_getEvents", topic="blocks", cursor="3.0", filter={"ids": True})
    assert [len(item["event"]["jobs"]) for item in page["items"]] == [2, 1, 1]


def test_a_proven_receipt_of_a_run_holds_offline_and_no_other_does(gateway: Caller) -> None:
    runs = gateway.call("chain_getBlock", block=4)["jobs"]
    answers = [gateway.call("tx_getReceipt", id=run, prove=True) for run in runs]
    bundle = decode_bundle(msgspec.json.encode(make_bundle(answers[0], "")))
    proven = verify_bundle(bundle, EpochChain(gateway.chain.genesis))
    assert proven.receipt.is_ok and proven.signed is None and len(proven.signers) == 2
    assert any("among the jobs" in line for line in explain(proven))
    swapped = make_bundle({**answers[0], "receipt": answers[1]["receipt"]}, "")
    plain = gateway.call(
        "tx_getReceipt", id=gateway.call("chain_getBlock", block=4)["transactions"][0], prove=True
    )
    for wrong in (swapped, make_bundle({**answers[0], "receipt": plain["receipt"]}, "")):
        with pytest.raises(Rejected) as caught:
            verify_bundle(wrong, EpochChain(gateway.chain.genesis))
        assert caught.value.code == Code.BAD_PROOF
