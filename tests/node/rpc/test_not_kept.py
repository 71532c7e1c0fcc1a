"""A gateway over a store that began with a snapshot: it says what is not kept, and where its blocks begin."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.executor import Executor
from node.rpc.methods import contracts as contracts_module
from node.snapshot.folder import SnapshotFolder
from node.snapshot.making import create_snapshot, open_snapshot, restore_store
from node.store.store import Store
from tests.node.rpc.conftest import Caller, open_gateway
from tests.node.small_chain import SmallChain


@pytest.fixture
def young(tmp_path: Path) -> Iterator[Caller]:
    """A chain of five blocks, of which the last one is kept."""
    chain = SmallChain(tmp_path / "old", int(time.time() * 1_000) - 60_000)
    for number in range(4):
        chain.commit(chain.pay("ada", "bo", 1, f"{number}"))
    folder = SnapshotFolder(tmp_path / "snapshots")
    create_snapshot(chain.store, folder)
    restore_store(open_snapshot(folder, 4, chain.genesis), folder, tmp_path / "new")
    chain.store = Store.open(tmp_path / "new")
    chain.executor = Executor(chain.store)
    chain.commit(chain.pay("bo", "ada", 1))
    yield from open_gateway(chain)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("chain_getHeader", {"block": 3}),
        ("chain_getBlock", {"block": 3}),
        ("chain_getBlock", {"block": 4, "full": True}),
        ("chain_getBlocks", {"first": 2, "last": 5}),
        ("chain_getCertificate", {"height": 3}),
    ],
)
def test_what_lies_below_is_not_kept(young: Caller, method: str, params: dict[str, object]) -> None:
    error = young.call(method, **params)
    assert error["code"] == 1002 and error["data"]["slug"] == "chain.pruned"
    assert error["data"]["params"]["oldest"] == 5


def test_what_lies_above_is_there(young: Caller) -> None:
    assert young.call("chain_getHeader", block=5)["height"] == 5
    assert young.call("chain_getHeader", block=4)["height"] == 4, "the snapshot stands on it"
    assert young.call("chain_getBlock", block=5)["header"]["height"] == 5


def test_a_cursor_from_below_would_miss_events(young: Caller) -> None:
    assert (
        young.call("coop_getEvents", topic="blocks", cursor="3.0")["data"]["slug"] == "chain.cursor_too_old"
    )
    assert "data" not in young.call("coop_getEvents", topic="blocks", cursor="5.0")


def test_a_gateway_without_a_plugin_says_so(young: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its node has stopped; it goes on to serve blocks, and no answers of contracts."""
    monkeypatch.setattr(contracts_module, "list_missing_versions", lambda _: ((1_048, 1),))
    error = young.call("assets_assets", after=0)
    assert error["data"]["slug"] == "chain.upgrade_missing" and "1048 in version 1" in error["data"]["why"]
    assert young.call("chain_getHeader", block=5)["height"] == 5
