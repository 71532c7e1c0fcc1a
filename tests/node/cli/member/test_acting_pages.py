"""coop: a list is shown whole, however many pages it has."""

from typing import Any, cast

import pytest

from node.cli.member.acting import ask_all
from node.cli.rpc_client import RpcClient
from protocol.params import QUERY_ITEMS_MAX


class Listing:
    """A node that lists `count` rows by number, a page at a time."""

    def __init__(self, count: int) -> None:
        self.count = count

    def call(self, method: str, after: int | None, owner: str) -> dict[str, Any]:
        assert (method, owner) == ("sched_byOwner", "ada")
        first = (after or 0) + 1
        return {"value": list(range(first, min(first + QUERY_ITEMS_MAX, self.count + 1)))}


@pytest.mark.parametrize("count", [0, 1, QUERY_ITEMS_MAX, QUERY_ITEMS_MAX + 1, 2 * QUERY_ITEMS_MAX + 1])
def test_all_pages_are_fetched(count: int) -> None:
    found = ask_all(cast(RpcClient, Listing(count)), "sched_byOwner", owner="ada")
    assert found == list(range(1, count + 1))
