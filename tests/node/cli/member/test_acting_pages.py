"""coop: a list is shown whole and from one height, however many pages it has; its limit is said."""

from typing import Any, cast

import pytest

from node.cli.member.acting import LIST_ROWS_MAX, ask_all, ask_all_at
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Failure
from protocol.params import QUERY_ITEMS_MAX


class Listing:
    """A node that lists `count` rows by number, a page at a time, and commits a block after each answer."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.head = 7

    def call(self, method: str, after: int | None, owner: str, at: int | None = None) -> dict[str, Any]:
        assert (method, owner) == ("sched_byOwner", "ada")
        height = self.head if at is None else at
        self.head += 1
        first = (after or 0) + 1
        count = self.count - (height - 7)  # a row goes with each block
        return {"height": height, "value": list(range(first, min(first + QUERY_ITEMS_MAX, count + 1)))}


@pytest.mark.parametrize("count", [0, 1, QUERY_ITEMS_MAX, QUERY_ITEMS_MAX + 1, 2 * QUERY_ITEMS_MAX + 1])
def test_all_pages_are_fetched_from_the_height_of_the_first(count: int) -> None:
    client = cast(RpcClient, Listing(count))
    assert ask_all(client, "sched_byOwner", owner="ada") == list(range(1, count + 1))
    assert ask_all_at(cast(RpcClient, Listing(count)), "sched_byOwner", owner="ada")[0] == 7


def test_a_list_at_the_limit_is_shown_and_one_row_more_is_said() -> None:
    whole = ask_all(cast(RpcClient, Listing(LIST_ROWS_MAX - 1)), "sched_byOwner", owner="ada")
    assert len(whole) == LIST_ROWS_MAX - 1
    whole = ask_all(cast(RpcClient, Listing(LIST_ROWS_MAX)), "sched_byOwner", owner="ada")
    assert len(whole) == LIST_ROWS_MAX
    with pytest.raises(Failure) as caught:
        ask_all(cast(RpcClient, Listing(LIST_ROWS_MAX + 1)), "sched_byOwner", owner="ada")
    assert caught.value.label == "cli.list_too_long" and f"{LIST_ROWS_MAX:,} rows" in caught.value.why
