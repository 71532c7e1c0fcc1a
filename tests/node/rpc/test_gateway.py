"""The gateway over a small chain: what each group of methods answers, limits by trust, health."""

import json
from typing import Any

import msgspec
import pytest

from node.cli.member.epoch_chain import EpochChain
from node.cli.member.receipts import explain, make_bundle, verify_bundle
from node.cluster.founding import demo_address
from node.ipc.messages import Verdict
from protocol.addresses import HRP_TEST, format_address, format_tx_id
from protocol.chain.block import decode_header
from protocol.errors import Code, Rejected
from protocol.merkle.proof import StateProof, verify_state

ADA, BO, CY = (format_address(demo_address(name), HRP_TEST) for name in ("ada", "bo", "cy"))


def first_payment(gateway: Any) -> str:
    return str(gateway.call("chain_getBlock", block=2)["transactions"][0])


def test_node_methods(gateway: Any) -> None:
    info = gateway.call("node_getInfo")
    assert info["protocol"] == "raft" and info["chainId"].startswith("coop:") and info["isDev"]
    assert [v["operator"] for v in info["operators"]] and info["addressPrefix"] == "tcoop"
    status = gateway.call("node_getStatus")
    assert (status["height"], status["role"], status["lastCommitMs"]) == (3, "leader", 41)
    assert gateway.call("node_getLimits")["batch"] == 100
    assert gateway.call("net_getPeers")[0]["operator"] == "n2"
    assert gateway.call("mempool_getStatus")["transactions"] == 0


def test_blocks_by_height_id_and_tag(gateway: Any) -> None:
    header = gateway.call("chain_getHeader", block=2)
    assert gateway.call("chain_getHeader", block=header["id"]) == header
    assert gateway.call("chain_getHeader", block="earliest")["height"] == 1
    assert gateway.call("chain_getHeader", block="latest")["height"] == 3
    assert [h["height"] for h in gateway.call("chain_getBlocks", first=1, last=3)] == [1, 2, 3]
    assert decode_header(bytes.fromhex(header["raw"][2:])).height == 2
    block = gateway.call("chain_getBlock", block=2, full=True)
    # Two senders paid in block 2; which of them stands first, the parent's id decides.
    (call,) = [tx["program"][0] for tx in block["transactions"] if tx["actors"] == [ADA]]
    assert (call["contract"], call["method"]) == ("assets", "transfer")
    assert call["arguments"]["from"] == ADA and call["arguments"]["amount"] == "2500"
    assert len(block["certificate"]["signers"]) == 2
    for missing in (0, 4, "0x" + "00" * 32):
        assert gateway.call("chain_getBlock", block=missing)["code"] == 1001
    assert gateway.call("chain_getBlocks", first=1, last=201)["code"] == -32602
    assert gateway.call("chain_getCertificate", height=0)["code"] == 1001
    assert gateway.call("chain_getValidators")["quorum"] == 2


def test_a_transaction_is_found_by_both_forms_of_its_id(gateway: Any) -> None:
    tx_id = first_payment(gateway)
    state = gateway.call("tx_get", id=tx_id)
    assert (state["status"], state["height"], state["index"]) == ("committed", 2, 0)
    assert gateway.call("tx_get", id=state["transaction"]["ref"]) == state
    assert gateway.call("tx_get", id="0x" + "00" * 32)["code"] == 1101
    assert gateway.call("tx_get", id="0x00")["code"] == -32602
    assert gateway.call("tx_get", id="tx1nonsense")["code"] == 1130
    failed = gateway.call("chain_getBlock", block=3)["transactions"][0]
    receipt = gateway.call("tx_getReceipt", id=failed)["receipt"]
    assert not receipt["ok"] and receipt["code"] == 9_007


def test_a_receipt_proves_itself(gateway: Any) -> None:
    tx_id = first_payment(gateway)
    answer = gateway.call("tx_getReceipt", id=tx_id, prove=True)
    raw = gateway.call("tx_get", id=tx_id)["transaction"]["raw"]
    proven = verify_bundle(make_bundle(answer, raw), EpochChain(gateway.chain.genesis))
    assert proven.receipt.is_ok and len(list(explain(proven))) == 6


def test_lists_go_backwards_page_by_page(gateway: Any) -> None:
    page = gateway.call("tx_list", address=BO, limit=1)
    assert [item["index"] for item in page["items"]] == [1] and page["cursor"] == "2.1"
    page = gateway.call("tx_list", address=BO, limit=1, cursor=page["cursor"])
    assert [item["index"] for item in page["items"]] == [0]
    assert gateway.call("tx_list", address=BO, limit=1, cursor=page["cursor"])["items"] == []
    for cursor in ("x.y", "1", "1.4294967296", "9" * 16 + ".0"):
        assert gateway.call("tx_list", address=BO, cursor=cursor)["code"] == -32602
    assert len(gateway.call("tx_list", address=BO, cursor="999999999999999.4294967295")["items"]) == 2
    assert gateway.call("tx_list", address="coop1wrong")["code"] == 1130


def test_submitting_waits_for_the_receipt_and_repeats_are_harmless(gateway: Any) -> None:
    signed = gateway.chain.pay("ada", "cy", 7)
    receipt = gateway.call("tx_submitAndWait", tx="0x" + signed.raw.hex(), timeoutMs=5_000)
    assert receipt["ok"] and receipt["height"] == 4 and receipt["ref"] == format_tx_id(signed.id)
    gateway.daemon.verdict = Verdict(int(Code.EXISTS), "known")
    again = gateway.call("tx_submitAndWait", tx="0x" + signed.raw.hex())
    assert again == receipt
    assert gateway.call("tx_submit", tx="0x" + signed.raw.hex())["id"] == "0x" + signed.id.hex()


def test_a_timeout_says_that_the_outcome_is_unknown(gateway: Any) -> None:
    gateway.daemon.commits = False
    signed = gateway.chain.pay("ada", "cy", 7)
    error = gateway.call("tx_submitAndWait", tx="0x" + signed.raw.hex(), timeoutMs=10)
    assert error["code"] == -32002 and error["data"]["outcome"] == "unknown"
    assert format_tx_id(signed.id) in error["data"]["fix"]
    assert gateway.call("tx_get", id="0x" + signed.id.hex())["status"] == "pending"


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (Code.BAD_SIG, 1103),
        (Code.EXPIRED, 1106),
        (Code.FULL, 1108),
        (Code.NONCE_GAP, 1113),
        (Code.NO_QUOTA, 1110),
    ],
)
def test_a_refusal_of_the_daemon_gets_its_public_number(gateway: Any, code: Code, number: int) -> None:
    gateway.daemon.verdict = Verdict(int(code), "because")
    error = gateway.call("tx_submit", tx="0x" + gateway.chain.pay("ada", "bo", 1).raw.hex())
    assert error["code"] == number and "because" in error["data"]["why"]


def test_bytes_that_are_no_transaction_never_reach_the_daemon(gateway: Any) -> None:
    for tx in ("0x", "0x00", "0xc1", "0x93"):
        assert gateway.call("tx_submit", tx=tx)["code"] == 1102
    assert gateway.call("tx_submit", tx="zz")["code"] == -32602
    assert gateway.call("tx_submit", tx="0x" + "00" * 60_000)["code"] == 1109
    assert gateway.daemon.submitted == []


def test_simulation_changes_nothing(gateway: Any) -> None:
    signed = gateway.chain.pay("ada", "bo", 5_000_000_000)
    receipt = gateway.call("tx_simulate", tx="0x" + signed.raw.hex())
    assert not receipt["ok"] and receipt["code"] == Code.FUNDS
    receipt = gateway.call("tx_simulate", tx="0x" + gateway.chain.pay("ada", "bo", 5).tx.encode().hex())
    assert receipt["ok"] and receipt["height"] == 4
    assert gateway.call("node_getStatus")["height"] == 3


def test_contract_queries_now_and_then(gateway: Any) -> None:
    now = gateway.call("assets_balance", address=BO, asset=1)
    before = gateway.call("assets_balance", address=BO, asset=1, at=1)
    assert (now["height"], before["height"]) == (3, 1)
    assert int(now["value"]["posted"]) - int(before["value"]["posted"]) == 2_400
    assert gateway.call("assets_bySymbol", symbol="CNY")["value"]["decimals"] == 2
    gateway.daemon.commit(gateway.chain.pay("bo", "ada", 1_000))
    posted = [
        int(gateway.call("assets_balance", address=BO, asset=1, at=at)["value"]["posted"])
        for at in ("earliest", 2, 3, "latest")
    ]
    assert [later - posted[0] for later in posted] == [0, 2_400, 2_400, 1_400]
    rows = gateway.call("assets_statement", address=BO, asset=1, limit=10)["value"]
    assert len(rows) >= 2
    assert gateway.call("assets_balance", address=BO, asset="x")["code"] == 1121
    assert gateway.call("assets_balance", address=BO)["code"] == -32602
    assert gateway.call("assets_balance", address=BO, asset=1, at=9)["code"] == 1001


def test_all_reads_of_a_batch_are_at_one_height(gateway: Any) -> None:
    signed = gateway.chain.pay("ada", "bo", 5)
    read = {"jsonrpc": "2.0", "method": "assets_balance", "params": {"address": BO, "asset": 1}}
    wait = {"jsonrpc": "2.0", "method": "tx_submitAndWait", "params": {"tx": "0x" + signed.raw.hex()}}
    answers = gateway.post([{**read, "id": 1}, {**wait, "id": 2}, {**read, "id": 3}])
    assert answers[0]["result"] == answers[2]["result"] and answers[0]["result"]["height"] == 3
    assert answers[1]["result"]["height"] == 4


def test_state_proofs_hold(gateway: Any) -> None:
    with gateway.chain.store.view() as state:
        key, value = next(iter(state.items()))
    for wanted, held in ((key, value), (b"\xff" * 8, None)):
        answer = gateway.call("proof_get", key="0x" + wanted.hex())
        root = decode_header(bytes.fromhex(answer["header"]["raw"][2:])).state_root
        siblings = tuple(bytes.fromhex(level[2:]) for level in answer["siblings"])
        proof = StateProof(bytes.fromhex(answer["page"][2:]), siblings)
        assert verify_state(root, wanted, held, proof)
    assert gateway.call("proof_get", key="0x" + "00" * 65)["code"] == -32602


def test_tools(gateway: Any) -> None:
    assert gateway.call("util_decodeAddress", address=ADA)["isHere"]
    assert not gateway.call("util_decodeAddress", address=format_address(demo_address("ada")))["isHere"]
    assert gateway.call("util_formatAmount", amount="123456", currency="CNY") == "1,234.56 CNY"
    assert gateway.call("util_parseUri", uri=f"coop:{ADA}?amount=5")["amount"] == "5"
    assert gateway.call("util_parseUri", uri="http://x")["code"] == -32602


def test_events_are_paged_without_a_gap(gateway: Any) -> None:
    def cursors(topic: str, cursor: str, **more: Any) -> list[str]:
        found = []
        while True:
            page = gateway.call("coop_getEvents", topic=topic, cursor=cursor, limit=1, **more)
            if not page["items"]:
                return found
            cursor = page["cursor"]
            found.append(cursor)

    assert cursors("blocks", "0.0") == ["1.0", "2.0", "3.0"]
    assert cursors("txs", "0.0") == ["2.0", "2.1", "3.0"]
    assert cursors("txs", "2.0") == ["2.1", "3.0"]
    assert cursors("txs", "0.0", filter={"address": CY}) == ["3.0"]
    assert cursors("txs", "0.0", filter={"contract": "assets"}) == ["2.0", "2.1"]
    # Two senders paid in block 2; which of them stands first, the parent's id decides.
    first, *rest = cursors(f"account:{CY}", "0.0")
    assert first in ("2.0", "2.1") and rest == cursors(f"account:{CY}", first) == ["3.0"]
    page = gateway.call("coop_getEvents", topic="blocks", cursor="1.0", filter={"ids": True})
    assert [len(item["event"]["ids"]) for item in page["items"]] == [2, 1]
    assert gateway.call("coop_getEvents", topic="weather")["code"] == 1005
    assert gateway.call("coop_getEvents", topic="blocks", cursor="4.0")["code"] == 1004
    assert gateway.call("coop_getEvents", topic="blocks", cursor="x")["code"] == -32602


def test_a_long_reading_is_cut_into_pages_without_a_gap(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(12):
        gateway.daemon.commit(*([gateway.chain.pay("ada", "cy", 1)] if step % 5 == 0 else []))
    monkeypatch.setattr("node.rpc.events.STEPS_MAX", 2)
    monkeypatch.setattr("node.rpc.events.STRETCH_BLOCKS", 2)
    # Two senders paid in block 2; which of them stands first, the parent's id decides.
    (first, *_) = gateway.call("coop_getEvents", topic=f"account:{CY}", cursor="0.0")["items"]
    for topic, wanted in (
        (f"account:{CY}", [first["cursor"], "3.0", "4.0", "9.0", "14.0"]),
        ("txs", ["2.0", "2.1", "3.0", "4.0", "9.0", "14.0"]),
    ):
        cursor, found = "0.0", []
        for _ in range(100):
            page = gateway.call("coop_getEvents", topic=topic, cursor=cursor)
            found += [item["cursor"] for item in page["items"]]
            assert len(page["items"]) <= 2 and (page["cursor"] != cursor or page["isEnd"])
            cursor = page["cursor"]
            if page["isEnd"]:
                break
        assert found == wanted and cursor == "15.4294967295"


def test_without_its_daemon_the_gateway_reads_and_says_so(gateway: Any) -> None:
    gateway.daemon.is_up = False
    assert gateway.call("chain_getHeader", block=3)["height"] == 3
    assert gateway.call("node_getStatus")["code"] == -32001
    error = gateway.call("tx_submit", tx="0x" + gateway.chain.pay("ada", "bo", 1).raw.hex())
    assert error["code"] == -32001 and error["data"]["outcome"] == "not_applied"
    ready = gateway.request("GET", "/readyz")
    assert ready.status_code == 503 and ready.json()["reasons"]
    assert gateway.request("GET", "/livez").status_code == 200
    assert b"coopd_build_info" in gateway.request("GET", "/metrics").content


def test_health_metrics_and_version(gateway: Any) -> None:
    assert gateway.request("GET", "/readyz").json() == {"ready": True, "reasons": []}
    gateway.call("node_getInfo")
    text = gateway.request("GET", "/metrics").text
    assert (
        "coopd_height 3.0" in text and 'coopd_rpc_requests_total{code="0",method="node_getInfo"} 1.0' in text
    )
    assert gateway.request("GET", "/version").json()["chainId"].startswith("coop:")
    assert gateway.request("GET", "/e/1210").json()["slug"] == "ledger.funds"
    for number in ("1", "x", "²", "9999999"):
        assert gateway.request("GET", f"/e/{number}").status_code == 404


def test_anonymous_callers_have_smaller_limits(gateway: Any) -> None:
    calls = [{"jsonrpc": "2.0", "method": "node_getLimits", "id": n} for n in range(11)]
    assert len(gateway.post(calls)) == 11
    assert gateway.post(calls, client="192.0.2.1")["error"]["code"] == -32003
    assert len(gateway.post(calls[:10], client="192.0.2.1")) == 10
    assert len(gateway.post(calls, client="192.0.2.1", headers={"authorization": "Bearer token"})) == 11


def test_a_large_body_is_refused_before_it_is_read(gateway: Any) -> None:
    body = '{"jsonrpc":"2.0","method":"node_getLimits","id":1}'
    headers = {"content-type": "application/json"}
    for client, limit in (("192.0.2.1", 1024 * 1024), ("127.0.0.1", 5 * 1024 * 1024)):
        for size, ok in ((limit, True), (limit + 1, False)):
            response = gateway.request(
                "POST", "/rpc", content=body.ljust(size), headers=headers, client=client
            ).json()
            assert ("result" in response) == ok


def test_refused_heads_and_methods(gateway: Any) -> None:
    assert gateway.request("POST", "/rpc", content="{}").status_code == 415
    assert gateway.request("GET", "/rpc").status_code == 405
    headers = {"content-type": "application/json", "origin": "http://evil.example"}
    assert gateway.request("POST", "/rpc", content="{}", headers=headers).status_code == 403
    headers = {"content-type": "application/json", "host": "evil.example"}
    assert gateway.request("POST", "/rpc", content="{}", headers=headers).status_code == 403


def test_only_notifications_have_no_answer(gateway: Any) -> None:
    response = gateway.request(
        "POST",
        "/rpc",
        content='{"jsonrpc":"2.0","method":"node_getInfo"}',
        headers={"content-type": "application/json"},
    )
    assert response.status_code == 204 and response.content == b""


def test_messages_follow_the_language_of_the_caller(gateway: Any) -> None:
    body = {"jsonrpc": "2.0", "method": "nothing", "id": 1}
    assert gateway.post(body, headers={"accept-language": "zh-CN"})["error"]["message"] == "没有此方法"
    assert gateway.post(body, headers={"accept-language": "en"})["error"]["message"] == "Method not found"


def test_every_method_is_described(gateway: Any) -> None:
    document = gateway.call("rpc.discover")
    names = [method["name"] for method in document["methods"]]
    assert names == sorted(names) and {"tx_submit", "assets_balance", "rpc.discover"} <= set(names)
    text = json.dumps(document)
    for method in document["methods"]:
        for reference in method["errors"]:
            assert reference["$ref"].rpartition("/")[2] in document["components"]["errors"]
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"]


def test_a_forged_bundle_is_refused_whatever_is_forged(gateway: Any) -> None:
    tx_id = first_payment(gateway)
    answer = gateway.call("tx_getReceipt", id=tx_id, prove=True)
    raw = gateway.call("tx_get", id=tx_id)["transaction"]["raw"]
    bundle = make_bundle(answer, raw)
    other = gateway.call("chain_getBlock", block=2)["transactions"][1]
    swapped = {
        "transaction": gateway.call("tx_get", id=other)["transaction"]["raw"],
        "receipt": gateway.call("tx_getReceipt", id=other)["receipt"]["raw"],
        "header": gateway.call("chain_getHeader", block=1)["raw"],
        "certificate": gateway.call("chain_getCertificate", height=1)["raw"],
        "genesis_hash": "0x" + "00" * 32,
        "proof": [],
    }
    for name, value in swapped.items():
        with pytest.raises(Rejected):
            verify_bundle(msgspec.structs.replace(bundle, **{name: value}), EpochChain(gateway.chain.genesis))
    for name in ("transaction", "receipt", "header", "certificate", "genesis_hash"):
        text = getattr(bundle, name)
        for at in range(2, len(text), 37):
            digit = "0" if text[at] != "0" else "1"
            forged = msgspec.structs.replace(bundle, **{name: text[:at] + digit + text[at + 1 :]})
            with pytest.raises(Rejected):
                verify_bundle(forged, EpochChain(gateway.chain.genesis))
    assert verify_bundle(bundle, EpochChain(gateway.chain.genesis)).receipt.is_ok
