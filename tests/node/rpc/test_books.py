"""Statements and exports through the gateway: pages, days, proofs that hold offline, limits, the past."""

import csv
import io
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.books.camt053 import NAMESPACE
from node.cli.member import statements
from node.cli.member.epoch_chain import EpochChain
from node.cli.member.statements import fetch_statement
from node.cluster.founding import CURRENCY_NUMBER, demo_address
from node.rpc.methods import books
from node.snapshot.folder import SnapshotFolder
from node.snapshot.making import create_snapshot, open_snapshot, restore_store
from node.store.store import Store
from protocol.addresses import HRP_TEST, format_address
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key
from protocol.errors import Code, Rejected
from tests.node.job_chain import make_job_chain
from tests.node.rpc.conftest import Caller, open_gateway

ADA = format_address(demo_address("ada"), HRP_TEST)
ACCOUNT = account_key(demo_address("ada"), MEMBER_FREE, CURRENCY_NUMBER)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Caller]:
    yield from open_gateway(make_job_chain(tmp_path / "store", int(time.time() * 1_000) - 60_000))


def test_pages_lead_from_the_first_row_to_the_balance(gateway: Caller) -> None:
    rows: list[dict[str, Any]] = []
    first: int | None = 1
    while first is not None:
        page = gateway.call("member_getStatement", address=ADA, first=first, limit=2)
        assert int(page["opening"]) == (int(rows[-1]["balance"]) if rows else 0)
        rows += page["rows"]
        assert int(page["closing"]) == int(rows[-1]["balance"])
        first = page["next"]
    assert [row["sequence"] for row in rows] == list(range(1, page["rowsTotal"] + 1)) and len(rows) > 4
    balance = gateway.call("assets_balance", address=ADA, asset=CURRENCY_NUMBER)["value"]["posted"]
    assert rows[-1]["balance"] == balance and page["currency"] == "CNY" and page["decimals"] == 2


def test_a_statement_of_the_past_ends_there(gateway: Caller) -> None:
    for height in range(1, 7):
        page = gateway.call("member_getStatement", address=ADA, limit=200, at=height)
        balance = gateway.call("assets_balance", address=ADA, asset=CURRENCY_NUMBER, at=height)["value"]
        assert page["closing"] == balance["posted"] and all(row["height"] <= height for row in page["rows"])


def test_days_cut_a_statement(gateway: Caller) -> None:
    whole = gateway.call("member_getStatement", address=ADA, limit=200)
    days = [row["date"] for row in whole["rows"]]
    inside = gateway.call("member_getStatement", address=ADA, limit=200, fromDay=days[0], toDay=days[-1])
    assert inside["rows"] == whole["rows"]
    before = gateway.call("member_getStatement", address=ADA, toDay="1999-12-31")
    after = gateway.call("member_getStatement", address=ADA, fromDay="2199-12-31")
    assert before["rows"] == after["rows"] == [] and before["next"] is after["next"] is None
    assert (before["opening"], after["opening"]) == ("0", whole["closing"])
    for day in ("2026-02-30", "2026-13-01", "0000-01-01", "1969-12-31"):
        assert gateway.call("member_getStatement", address=ADA, fromDay=day)["code"] == -32602


def fetch(gateway: Any) -> Any:
    epochs = EpochChain(gateway.chain.genesis)
    return fetch_statement(gateway, ACCOUNT, HRP_TEST, epochs)


def test_a_statement_is_proven_by_one_record(gateway: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "PAGE_ROWS", 2)
    proven = fetch(gateway)
    assert proven.header.height == 6 and len(proven.signers) == 2 and len(proven.postings) > 4


class Liar:
    """A node that changes one thing of what it says."""

    def __init__(self, gateway: Caller, change: str) -> None:
        self.chain, self._gateway, self._change = gateway.chain, gateway, change

    def call(self, method: str, **params: Any) -> Any:
        page = self._gateway.call(method, **params)
        rows, proof = page["rows"], page["proof"]
        match self._change:
            case "amount":
                rows[0]["raw"] = rows[0]["raw"].replace(f"{5_000_000:08x}", f"{5_000_001:08x}")
            case "left out":
                del rows[1:2]
            case "order":
                rows[0], rows[1] = rows[1], rows[0]
            case "end":
                page["rows"] = rows[:-1] if params.get("first", 1) == 1 else []
            case "record" if proof is not None:
                proof["value"] = proof["value"][:-2] + ("00" if proof["value"][-2:] != "00" else "01")
            case "header" if proof is not None:
                old = self.chain.store.header(5)
                proof["header"] = "0x" + old.encode().hex()
        return page


@pytest.mark.parametrize("change", ["amount", "left out", "order", "end", "record", "header"])
def test_whoever_hands_over_a_statement_cannot_change_it(gateway: Caller, change: str) -> None:
    with pytest.raises(Rejected) as caught:
        fetch(Liar(gateway, change))
    assert caught.value.code == Code.BAD_PROOF


def test_exports_hold_the_same_rows(gateway: Caller) -> None:
    total = gateway.call("member_getStatement", address=ADA)["rowsTotal"]
    texts = {
        form: gateway.call("audit_export", format=form, address=ADA)["text"]
        for form in ("csv", "camt053", "beancount")
    }
    assert len(list(csv.DictReader(io.StringIO(texts["csv"])))) == total
    assert len(ET.fromstring(texts["camt053"]).findall(f".//{{{NAMESPACE}}}Ntry")) == total
    assert texts["beancount"].count(" * ") == total
    assert gateway.call("audit_export", format="ofx", address=ADA)["code"] == -32602


def test_an_export_has_a_limit_that_is_told(gateway: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    total = gateway.call("member_getStatement", address=ADA)["rowsTotal"]
    monkeypatch.setattr(books, "EXPORT_ROWS_MAX", total)
    assert gateway.call("audit_export", format="csv", address=ADA)["rows"] == total
    monkeypatch.setattr(books, "EXPORT_ROWS_MAX", total - 1)
    refused = gateway.call("audit_export", format="csv", address=ADA)
    assert refused["code"] == -32003 and str(total) in refused["data"]["why"]


def test_a_node_that_began_with_a_snapshot_says_that_it_lacks_the_beginning(
    gateway: Caller, tmp_path: Path
) -> None:
    chain, folder = gateway.chain, SnapshotFolder(tmp_path / "snapshots")
    create_snapshot(chain.store, folder, 5)
    restore_store(open_snapshot(folder, 5, chain.genesis), folder, tmp_path / "new")
    whole, gateway.service.store = gateway.service.store, Store.open(tmp_path / "new")
    try:
        for method, more in (("member_getStatement", {}), ("audit_export", {"format": "csv"})):
            refused = gateway.call(method, address=ADA, **more)
            assert refused["code"] == 1002 and refused["data"]["params"]["oldest"] == 6
        total = gateway.call("ledger_accounts", owner=ADA)["value"][0]["sequence"]
        assert gateway.call("member_getStatement", address=ADA, first=total + 1)["rows"] == []
    finally:
        gateway.service.store.close()
        gateway.service.store = whole


def test_a_state_that_is_not_kept_is_told_with_the_oldest_that_is(gateway: Caller) -> None:
    from node.store.tables import UNDO

    gateway.chain.store.environment.write(
        lambda txn: [txn.delete(UNDO, height.to_bytes(8, "big")) for height in (1, 2, 3)]
    )
    assert gateway.call("member_getStatement", address=ADA, at=3)["height"] == 3
    for call in (
        lambda: gateway.call("member_getStatement", address=ADA, at=2),
        lambda: gateway.call("assets_balance", address=ADA, asset=1, at=0),
    ):
        refused = call()
        assert refused["code"] == 1002 and refused["data"]["params"]["oldest"] == 3
    assert gateway.call("assets_balance", address=ADA, asset=1, at="earliest")["height"] == 3
