"""Who reads what: every method is decided, own rows by a proof, the books of all when the members say so."""

import asyncio
import base64
import time
from dataclasses import replace
from typing import Any

import pytest

from node.cluster.founding import demo_address, demo_key
from node.rpc import readers, server, sign_in
from node.rpc.access import Caller, Trust
from node.rpc.events import Cursor, EventFilter, parse_topic
from node.rpc.failure import RpcFailure
from node.rpc.methods.table import build_methods
from node.rpc.readers import BY_TOPIC, OWN, PUBLIC
from node.rpc.sign_in import HOST_BYTES_MAX, PROOF_BYTES_MAX, SIGN_IN_SECONDS_MAX, sign_proof
from node.rpc.subscriptions import follow
from protocol import codec, crypto
from protocol.addresses import HRP_TEST, format_address
from protocol.contracts import REGISTRY
from protocol.contracts.parameters import BOOKS_PUBLIC
from protocol.errors import Rejected

ADA, BO, CY = (format_address(demo_address(name), HRP_TEST) for name in ("ada", "bo", "cy"))
ELSEWHERE = "192.0.2.7"
TRUSTED_ALONE = """
    assets_cashier assets_custodians assets_escrow assets_freeze audit_explain chain_getBlock credit_dispute
    docs_document docs_find grants_grant ledger_account ledger_hold ledger_statement members_hearing
    members_members multisig_pending multisig_program net_getPeers sched_due sched_history sched_job
    sched_program shares_position treasury_payment treasury_stream treasury_waiting voting_leaving
    voting_objections
"""


def proof_of(gateway: Any, name: str = "ada", **other: Any) -> str:
    terms = {
        "genesis_hash": gateway.chain.genesis_hash,
        "host": "localhost",
        "address": demo_address(name),
        "expires": int(time.time()) + 600,
        **other,
    }
    return sign_proof(terms.pop("secret", demo_key(name)), **terms)


def ask(gateway: Any, method: str, proof: str | None = None, **params: Any) -> Any:
    """Call from elsewhere, as nobody or with a proof."""
    headers = {} if proof is None else {"authorization": f"Member {proof}"}
    body = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
    answer = gateway.post(body, client=ELSEWHERE, headers=headers)
    return answer.get("result") or answer["error"]["data"]["slug"]


def test_every_method_is_decided() -> None:
    names = {method.name for method in build_methods(REGISTRY)}
    sets = [
        PUBLIC - {"coop_unsubscribe"},
        set(OWN),
        BY_TOPIC - {"coop_subscribe"},
        set(TRUSTED_ALONE.split()),
    ]
    assert set().union(*sets) == names
    assert sum(map(len, sets)) == len(names), "a method is decided twice"


def test_every_own_method_has_the_param_that_says_whose() -> None:
    for method in build_methods(REGISTRY):
        if method.name in OWN:
            assert OWN[method.name][0] in method.params.__struct_fields__, method.name


def test_nobody_sees_what_is_public_and_no_rows(gateway: Any) -> None:
    assert ask(gateway, "chain_getHeader", block=2)["height"] == 2
    assert ask(gateway, "ledger_totals", asset=1)["height"] == 3
    for method, params in (
        ("assets_balance", {"address": ADA, "asset": 1}),
        ("tx_list", {"address": ADA}),
        ("chain_getBlock", {"block": 2, "full": True}),
        ("members_members", {"after": 0}),
        ("coop_getEvents", {"topic": "txs", "cursor": "1.0"}),
        ("coop_getEvents", {"topic": f"account:{ADA}", "cursor": "1.0"}),
    ):
        assert ask(gateway, method, **params) == "rpc.not_yours", method
    assert ask(gateway, "coop_getEvents", topic="blocks", cursor="1.0")["items"]


def test_a_member_sees_his_own_rows_and_no_others(gateway: Any) -> None:
    ada = proof_of(gateway)
    assert ask(gateway, "assets_balance", ada, address=ADA, asset=1)["height"] == 3
    assert ask(gateway, "assets_balance", ada, address=BO, asset=1) == "rpc.not_yours"
    (paid,) = ask(gateway, "tx_list", ada, address=ADA)["items"]
    assert ask(gateway, "tx_get", ada, id=paid["id"])["id"] == paid["id"]
    bo, cy = proof_of(gateway, "bo"), proof_of(gateway, "cy")
    assert ask(gateway, "tx_getReceipt", bo, id=paid["id"])["receipt"]["ok"], "it touched his account"
    assert ask(gateway, "tx_get", cy, id=paid["id"]) == "rpc.not_yours"
    assert ask(gateway, "tx_get", ada, id="0x" + "00" * 32) == "rpc.not_yours"
    assert ask(gateway, "chain_getBlock", ada, block=2, full=True) == "rpc.not_yours"
    assert ask(gateway, "member_getStatement", ada, address=ADA, prove=True)["proof"]
    assert ask(gateway, "member_getStatement", ada, address=CY) == "rpc.not_yours"
    assert ask(gateway, "members_members", ada, after=0) == "rpc.not_yours"


def test_a_member_follows_his_own_account_alone(gateway: Any) -> None:
    ada = proof_of(gateway)
    assert ask(gateway, "coop_getEvents", ada, topic=f"account:{ADA}", cursor="1.0")["items"]
    assert ask(gateway, "coop_getEvents", ada, topic=f"account:{BO}", cursor="1.0") == "rpc.not_yours"
    mine, all_of_them = {"address": ADA}, {"contract": "assets"}
    assert ask(gateway, "coop_getEvents", ada, topic="txs", filter=mine, cursor="1.0")["items"]
    assert (
        ask(gateway, "coop_getEvents", ada, topic="txs", filter=all_of_them, cursor="1.0") == "rpc.not_yours"
    )
    answer = gateway.request("GET", f"/events?topic=account:{ADA}&from=1.0", client=ELSEWHERE)
    assert (answer.status_code, answer.json()["error"]["data"]["slug"]) == (400, "rpc.not_yours")


def test_a_member_tries_only_what_he_alone_would_do(gateway: Any) -> None:
    mine, other = (gateway.chain.pay(who, "cy", 5) for who in ("ada", "bo"))
    for form in (mine.raw, mine.tx.encode()):
        assert ask(gateway, "tx_simulate", proof_of(gateway), tx="0x" + form.hex())["ok"]
    assert ask(gateway, "tx_simulate", proof_of(gateway), tx="0x" + other.raw.hex()) == "rpc.not_yours"


def test_a_proof_of_a_ledger_record_is_for_its_owner(gateway: Any) -> None:
    key = ask(gateway, "member_getStatement", proof_of(gateway), address=ADA, prove=True)["proof"]["key"]
    assert ask(gateway, "proof_get", proof_of(gateway), key=key)["value"]
    assert ask(gateway, "proof_get", proof_of(gateway, "bo"), key=key) == "rpc.not_yours"
    assert ask(gateway, "proof_get", proof_of(gateway), key="0x") == "rpc.not_yours"


def test_public_books_show_everybody_everything(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "BOOKS_PUBLIC", replace(BOOKS_PUBLIC, default=1))
    assert ask(gateway, "assets_balance", address=ADA, asset=1)["height"] == 3
    assert ask(gateway, "chain_getBlock", block=2, full=True)["transactions"]
    assert ask(gateway, "assets_balance", proof_of(gateway), address=BO, asset=1)["height"] == 3


@pytest.mark.parametrize(
    ("terms", "slug"),
    [
        ({"host": "coop.example"}, "signin.other_host"),
        ({"genesis_hash": bytes(32)}, "signin.other_chain"),
        ({"expires": int(time.time()) - 1}, "signin.expired"),
        ({"expires": int(time.time()) + SIGN_IN_SECONDS_MAX + 600}, "signin.too_long"),
        ({"secret": demo_key("bo")}, "signin.wrong_key"),
    ],
)
def test_a_proof_that_does_not_hold(gateway: Any, terms: dict[str, Any], slug: str) -> None:
    assert ask(gateway, "assets_balance", proof_of(gateway, **terms), address=ADA, asset=1) == slug


def test_a_changed_proof_and_bytes_that_are_none(gateway: Any) -> None:
    text = proof_of(gateway)
    (content, signature) = codec.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), 512)  # type: ignore[misc]
    stolen = (content[0], content[1], demo_address("bo"), *content[3:])  # type: ignore[index, misc]
    changed = base64.urlsafe_b64encode(codec.encode((stolen, signature))).decode()
    assert ask(gateway, "node_getInfo", changed) == "signin.signature"
    for nonsense in ("", "x", "!!", "A" * 2_000, base64.b64encode(b"\xc0").decode()):
        assert ask(gateway, "node_getInfo", nonsense) == "signin.malformed"


def test_a_proof_holds_until_its_second_and_for_twelve_hours_at_most(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expires = 2_000_000_000
    ada = proof_of(gateway, expires=expires)

    def at(seconds: int) -> Any:
        for module in (readers, server):
            monkeypatch.setattr(module.time, "time", lambda: seconds)
        return ask(gateway, "auth_account", ada, address=ADA)

    assert at(expires - SIGN_IN_SECONDS_MAX)["height"] == 3
    assert at(expires - SIGN_IN_SECONDS_MAX - 1) == "signin.too_long"
    assert at(expires - 1)["height"] == 3
    assert at(expires) == "signin.expired"
    assert sign_in.SIGN_IN_SECONDS_MAX == 43_200


def test_a_host_name_is_of_253_bytes_at_most(gateway: Any) -> None:
    assert len(sign_in.read_proof(proof_of(gateway, host="a" * HOST_BYTES_MAX)).host) == HOST_BYTES_MAX
    with pytest.raises(RpcFailure, match=r"signin\.malformed"):
        sign_in.read_proof(proof_of(gateway, host="a" * (HOST_BYTES_MAX + 1)))


def test_a_proof_is_of_512_bytes_at_most(gateway: Any) -> None:
    # Both hold no proof, but only one of them is looked into.
    for size, taken in ((PROOF_BYTES_MAX, True), (PROOF_BYTES_MAX + 1, False)):
        raw = codec.encode(b"x" * (size - 3))
        assert len(raw) == size
        try:
            codec.decode(raw, PROOF_BYTES_MAX)
        except Rejected:
            assert not taken
        else:
            assert taken
        with pytest.raises(RpcFailure, match=r"signin\.malformed"):
            sign_in.read_proof(base64.urlsafe_b64encode(raw).decode())


def test_another_key_of_the_policy_in_force_signs_in_and_the_old_one_no_longer(gateway: Any) -> None:
    new = demo_key("cy")
    rotated = gateway.chain.act("ada", (2, 3, 0, (demo_address("ada"), crypto.public_key_of(new))))
    gateway.daemon.commit(rotated)
    assert ask(gateway, "auth_account", proof_of(gateway), address=ADA) == "signin.wrong_key"
    assert ask(gateway, "auth_account", proof_of(gateway, secret=new), address=ADA)["height"] == 4


def test_over_a_socket_events_end_with_the_right_to_see_them(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "BOOKS_PUBLIC", replace(BOOKS_PUBLIC, default=1))
    topic = parse_topic("txs", EventFilter(), gateway.service.facts)

    async def go() -> list[int]:
        seen: list[int] = []
        async for cursor, _ in follow(gateway.service, topic, Cursor(1, 0), Caller(Trust.ANONYMOUS)):
            seen.append(cursor.height)
            monkeypatch.setattr(readers, "BOOKS_PUBLIC", BOOKS_PUBLIC)
            if len(seen) == 3:
                asyncio.get_running_loop().call_later(0.01, gateway.service.news.announce, 3)
        return seen

    assert asyncio.run(go()) == [2, 2, 3]
