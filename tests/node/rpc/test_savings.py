"""`savings_get` and `savings_getStatement`, over a gateway of a chain on which somebody saves."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cluster.founding import demo_address
from protocol.addresses import HRP_TEST, format_address
from protocol.contracts.members.records import UNKNOWN_MEMBER
from protocol.contracts.savings.records import ADDRESS_OF, NO_ACCOUNT, SAVINGS
from tests.node.rpc.conftest import Caller, open_gateway
from tests.node.small_chain import SmallChain

ADA = demo_address("ada")
BOOK, TERM = 1, 3
"""Products of the village."""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Caller]:
    chain = SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000, is_village=True)
    chain.commit(chain.act("ada", (30, 3, 0, (ADA, BOOK, 50_000))))
    chain.commit(chain.act("ada", (30, 3, 0, (ADA, TERM, 20_000))))
    chain.commit(chain.act("ada", (30, 5, 0, (ADA, 1, 10_000))))
    chain.commit(chain.act("ada", (30, 9, 0, (ADA, 1, 15_000))))
    yield from open_gateway(chain)


def test_a_member_sees_what_is_saved_and_what_of_it_is_free(gateway: Caller) -> None:
    found = gateway.call("savings_get", address=format_address(ADA, HRP_TEST))
    book, term = found["accounts"]
    assert found["member"] == 1 and (book["account"], term["account"]) == (1, 2)
    assert (book["balance"], book["waiting"], book["free"]) == ("40000", "15000", "25000")
    assert (book["productName"], book["matures"], book["noticeDay"]) == ("savings book", None, None)
    assert (term["balance"], term["productName"]) == ("20000", "one year")
    assert term["matures"] == term["opened"] + 365
    early = gateway.call("savings_get", address=format_address(ADA, HRP_TEST), at=1)
    assert [one["balance"] for one in early["accounts"]] == ["50000"]
    nobody = format_address(demo_address("nobody"), HRP_TEST)
    assert gateway.call("savings_get", address=nobody)["code"] == UNKNOWN_MEMBER


def test_a_statement_is_that_of_the_ledger(gateway: Caller) -> None:
    whole = gateway.call("savings_getStatement", account=1)
    owner = format_address(ADDRESS_OF, HRP_TEST)
    assert whole == gateway.call("member_getStatement", address=owner, accountClass=SAVINGS, sub=1)
    assert [(row["side"], row["amount"], row["balance"]) for row in whole["rows"]] == [
        ("credit", "50000", "50000"),
        ("debit", "10000", "40000"),
    ]
    assert gateway.call("savings_getStatement", account=1, first=2)["opening"] == "50000"
    assert gateway.call("savings_getStatement", account=2)["closing"] == "20000"
    assert gateway.call("savings_getStatement", account=3)["code"] == NO_ACCOUNT
    assert gateway.call("savings_getStatement", account=1, fromDay="never")["code"] == -32602
