"""List queries: pages give what one long list would, at the limit of a page and one above."""

from typing import Any

import pytest

from protocol.codec import Value
from protocol.contracts import BUILTINS, auth, grants, multisig, sched
from protocol.contracts.conduct import CONVICTIONS
from protocol.contracts.ledger.accounts import ACCOUNT, MEMBER_FREE, TOTAL
from protocol.contracts.members.records import OFFICES, TIES
from protocol.contracts.registry.records import PAUSES, READY
from protocol.contracts.shares.records import CLASSES
from protocol.params import QUERY_ITEMS_MAX
from protocol.types import Seconds
from protocol.vm.context import QueryContext
from protocol.vm.contract import Contract
from protocol.vm.keys import pack_key, table_prefix
from protocol.vm.tables import INDEX_ROW, Index, Table
from protocol.vm.view import MemoryState, View

OWNER = bytes(range(20))


def make_rows(table: Table[Any], count: int, *first: Any) -> View:
    """Return a state with records under the first parts of the key, whose fields are all 0.

    The last part of the key tells them apart.
    """
    view = View(MemoryState())
    for number in range(1, count + 1):
        last = f"r{number:03}" if table in (auth.ROLES, OFFICES) else number
        key = table.key(*first, *[0] * (len(table.key_fields) - len(first) - 1), last)
        view.put(key, (1, *[0] * len(table.fields)))
    return view


def make_index(table: Table[Any], index: Index, count: int, owner: bytes) -> View:
    """Return a state with rows of an index under its owner, or with two of them due at each second."""
    view, layout = View(MemoryState()), (*index.fields, *table.key_fields)
    for number in range(1, count + 1):
        first = owner or number // 2
        view.put(pack_key(table_prefix(table.contract, index.number), layout, (first, number)), INDEX_ROW)
    return view


def ask(contract: Contract, name: str, view: View, *arguments: Value) -> tuple[Any, ...]:
    (query,) = [query for query in contract.queries if query.name == name]
    found = query.run(QueryContext(view, Seconds(0), None), *arguments)
    assert type(found) is tuple
    return found


@pytest.mark.parametrize(
    ("contract", "name", "table", "index", "owner"),
    [
        (sched.CONTRACT, "by_owner", sched.JOBS, sched.BY_OWNER, OWNER),
        (sched.CONTRACT, "due", sched.JOBS, sched.DUE, b""),
        (grants.CONTRACT, "by_grantor", grants.GRANTS, grants.BY_GRANTOR, OWNER),
        (grants.CONTRACT, "by_grantee", grants.GRANTS, grants.BY_GRANTEE, OWNER),
        (multisig.CONTRACT, "open", multisig.PENDINGS, multisig.BY_ACCOUNT, OWNER),
    ],
)
def test_an_index_is_listed_in_pages(
    contract: Contract, name: str, table: Table[Any], index: Index, owner: bytes
) -> None:
    given: tuple[Value, ...] = (owner,) if owner else ()
    for count in (QUERY_ITEMS_MAX, QUERY_ITEMS_MAX + 1):
        view = make_index(table, index, count, owner)
        first = ask(contract, name, view, *given, None)
        rest = ask(contract, name, view, *given, first[-1])
        assert (len(first), len(rest)) == (QUERY_ITEMS_MAX, count - QUERY_ITEMS_MAX)
        numbers = [one if owner else one[1] for one in first + rest]
        assert numbers == list(range(1, count + 1))


@pytest.mark.parametrize(
    ("path", "name", "table", "first", "key_fields"),
    [
        ("auth", "roles", auth.ROLES, (OWNER,), 0),
        ("members", "offices", OFFICES, (OWNER,), 1),
        ("members", "obligations", TIES, (7,), 1),
        ("shares", "classes", CLASSES, (), 1),
        ("ledger", "accounts", ACCOUNT, (OWNER,), 3),
        ("ledger", "totals", TOTAL, (7,), 2),
    ],
)
def test_records_are_listed_in_pages(
    path: str, name: str, table: Table[Any], first: tuple[Any, ...], key_fields: int
) -> None:
    (contract,) = [one for one in BUILTINS if one.name == path]
    for count in (QUERY_ITEMS_MAX, QUERY_ITEMS_MAX + 1):
        view = make_rows(table, count, *first)
        page = ask(contract, name, view, *first, None)
        last = page[-1] if not key_fields else page[-1][:key_fields]
        after = last if key_fields in (0, 3) else last[-1]
        rest = ask(contract, name, view, *first, after)
        assert (len(page), len(rest)) == (QUERY_ITEMS_MAX, count - QUERY_ITEMS_MAX)
        assert len(set(page + rest)) == count


@pytest.mark.parametrize(
    ("name", "table", "rest", "key_fields"),
    [("ready", READY, (), 1), ("paused", PAUSES, (1,), 2), ("convictions", CONVICTIONS, (1, 1), 3)],
)
def test_the_registry_is_listed_in_pages(
    name: str, table: Table[Any], rest: tuple[int, ...], key_fields: int
) -> None:
    (contract,) = [one for one in BUILTINS if one.name == "registry"]
    for count in (QUERY_ITEMS_MAX, QUERY_ITEMS_MAX + 1):
        view = View(MemoryState())
        for n in range(1, count + 1):
            first = n if table is PAUSES else n.to_bytes(33, "big")
            view.put(table.key(first, *rest), (1, *[1] * len(table.fields)))
        page = ask(contract, name, view, None)
        last = page[-1][0] if key_fields == 1 else page[-1][:key_fields]
        more = ask(contract, name, view, last)
        assert (len(page), len(more)) == (QUERY_ITEMS_MAX, count - QUERY_ITEMS_MAX)
        assert [row[:key_fields] for row in page + more] == sorted({row[:key_fields] for row in page + more})


def test_the_balances_of_an_account_are_listed_in_pages() -> None:
    (contract,) = [one for one in BUILTINS if one.name == "assets"]
    for count in (QUERY_ITEMS_MAX, QUERY_ITEMS_MAX + 1):
        view = View(MemoryState())
        for asset in range(1, count + 1):
            view.put(ACCOUNT.key(OWNER, MEMBER_FREE, asset, 0), (1, 0, 0, 0, 0, asset, 1, b""))
            view.put(ACCOUNT.key(OWNER, MEMBER_FREE + 1, asset, 0), (1, 0, 0, 0, 0, 9, 1, b""))
        page = ask(contract, "balances", view, OWNER, None)
        more = ask(contract, "balances", view, OWNER, page[-1][0])
        assert len(page) == QUERY_ITEMS_MAX
        assert page + more == tuple((asset, asset, asset, 0, 0) for asset in range(1, count + 1))
