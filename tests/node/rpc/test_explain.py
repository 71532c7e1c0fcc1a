"""`audit_explain`: who, by which authority, which rule and limit, which money, who certified."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cli.member.explain import describe
from node.cluster.founding import demo_address
from protocol.addresses import HRP_TEST, format_address
from tests.node.job_chain import make_job_chain
from tests.node.rpc.conftest import Caller, open_gateway

ADA, BO, CY = (format_address(demo_address(name), HRP_TEST) for name in ("ada", "bo", "cy"))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Caller]:
    yield from open_gateway(make_job_chain(tmp_path / "store", int(time.time() * 1_000) - 60_000))


def test_a_payment_is_explained(gateway: Caller) -> None:
    signed = gateway.chain.pay("bo", "ada", 123, "rice")
    gateway.daemon.commit(signed)
    told = gateway.call("audit_explain", id="0x" + signed.id.hex())
    assert (told["kind"], told["ok"], told["height"], told["failure"]) == ("transaction", True, 7, None)
    (call,) = told["calls"]
    assert (call["contract"], call["method"], call["version"]) == ("assets", "transfer", 1)
    assert call["authority"] == "owner of from" and call["actor"] == BO and "owner of from" in call["needs"]
    assert told["signers"] == [{"actor": BO, "publicKey": "0x" + signed.signatures[0].public_key.hex()}]
    (leg,) = told["legs"]
    assert (leg["debit"], leg["credit"], leg["amount"]) == (f"{BO}/2010/0", f"{ADA}/2010/0", "123")
    for side, who in (("debitBalance", BO), ("creditBalance", ADA)):
        assert leg[side] == gateway.call("assets_balance", address=who, asset=1)["value"]["posted"]
    assert len(told["certifiedBy"]) == 2 and told["payer"] == BO


def test_a_failure_names_rule_limit_and_actual_value(gateway: Caller) -> None:
    signed = gateway.chain.pay("bo", "ada", 1 << 40)
    gateway.daemon.commit(signed)
    told = gateway.call("audit_explain", id="0x" + signed.id.hex())
    assert not told["ok"] and told["legs"] == []
    failure = told["failure"]
    assert (failure["rule"], failure["actual"]) == ("ledger.nonneg_credit", 1 << 40)
    assert 0 < failure["limit"] < 1 << 40 and failure["instruction"] == 0
    assert failure["message"] and failure["why"] and failure["fix"]


def test_runs_of_jobs_are_explained_with_their_program_and_grant(gateway: Caller) -> None:
    runs = gateway.call("chain_getBlock", block=4, full=True)["jobs"]
    to_bo = next(run for run in runs if run["job"] == 1)
    told = gateway.call("audit_explain", id=to_bo["receipt"]["id"])
    assert (told["kind"], told["job"], told["actors"], told["signers"]) == ("job", 1, [ADA], [])
    (call,) = told["calls"]
    assert (call["contract"], call["method"], call["grant"]) == ("assets", "transfer", 1)
    assert call["authority"] == f"grant 1, used by {ADA}"
    (leg,) = told["legs"]
    assert (leg["debit"], leg["credit"], leg["amount"]) == (f"{ADA}/2010/0", f"{BO}/2010/0", "100")


def test_an_explanation_reads_as_lines(gateway: Caller) -> None:
    (run,) = gateway.call("chain_getBlock", block=5)["jobs"]
    text = "\n".join(describe(gateway.call("audit_explain", id=run), gateway))  # type: ignore[arg-type]
    assert "result      failed in call 0" in text and "ledger.nonneg_credit: limit" in text
    (tx_id,) = gateway.call("chain_getBlock", block=4)["transactions"]
    text = "\n".join(describe(gateway.call("audit_explain", id=tx_id), gateway))  # type: ignore[arg-type]
    assert "moved       0.07 CNY" in text and f"  debit     {BO}/2010/0, then 50,000.93" in text


def test_what_is_no_longer_kept_is_left_open(gateway: Caller) -> None:
    from node.store.tables import UNDO

    (run,) = gateway.call("chain_getBlock", block=5)["jobs"]
    gateway.chain.store.environment.write(
        lambda txn: [txn.delete(UNDO, height.to_bytes(8, "big")) for height in range(1, 7)]
    )
    told = gateway.call("audit_explain", id=run)
    assert told["calls"] == [] and not told["ok"] and told["failure"]["rule"] == "ledger.nonneg_credit"
    (tx_id,) = gateway.call("chain_getBlock", block=4)["transactions"]
    assert gateway.call("audit_explain", id=tx_id)["calls"][0]["version"] is None
    assert gateway.call("audit_explain", id="0x" + "00" * 32)["code"] == 1101
