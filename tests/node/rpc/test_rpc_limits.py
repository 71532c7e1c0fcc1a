"""What a gateway takes and gives at its limits, and one above."""

import asyncio
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from node.rpc import events, server, service
from node.rpc.events import INDEX_MAX, Cursor, read_cursor
from node.rpc.failure import RpcFailure
from node.rpc.methods import chain, epochs
from node.rpc.methods.books import SEQUENCE_MAX, StatementParams
from node.rpc.methods.loan import PAGE_MAX, LoansParams
from node.rpc.methods.tx import WAIT_MS_MAX, IdParams, WaitParams
from node.rpc.service import Service
from node.rpc.subscriptions import CALLS_RUNNING_MAX, Session
from node.rpc.values import JSON_INTEGER_MAX, plain_json
from protocol.types import TxId


@pytest.mark.parametrize(
    ("params", "name", "limit", "others"),
    [
        (WaitParams, "timeoutMs", WAIT_MS_MAX, {"tx": "0x"}),
        (IdParams, "waitMs", WAIT_MS_MAX, {"id": "0x"}),
        (StatementParams, "first", SEQUENCE_MAX, {"address": "coop1"}),
        (LoansParams, "limit", PAGE_MAX, {}),
    ],
)
def test_a_parameter_at_the_limit_is_taken_and_one_above_is_not(
    params: type[msgspec.Struct], name: str, limit: int, others: dict[str, Any]
) -> None:
    msgspec.convert({name: limit, **others}, params)
    with pytest.raises(msgspec.ValidationError, match=str(limit)):
        msgspec.convert({name: limit + 1, **others}, params)


def test_a_whole_number_above_the_limit_is_a_string() -> None:
    assert plain_json((JSON_INTEGER_MAX, -JSON_INTEGER_MAX)) == [JSON_INTEGER_MAX, -JSON_INTEGER_MAX]
    assert plain_json(JSON_INTEGER_MAX + 1) == str(JSON_INTEGER_MAX + 1)


def test_the_index_of_a_cursor_is_limited() -> None:
    assert read_cursor(f"7.{INDEX_MAX}") == Cursor(7, INDEX_MAX)
    with pytest.raises(RpcFailure):
        read_cursor(f"7.{INDEX_MAX + 1}")


def test_so_many_headers_are_given_at_once(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "HEADERS_MAX", 2)
    assert [header["height"] for header in gateway.call("chain_getBlocks", first=1, last=2)] == [1, 2]
    refused = gateway.call("chain_getBlocks", first=1, last=3)
    assert refused["code"] == -32602 and "1 to 2 heights" in refused["data"]["why"]


def test_so_many_epochs_are_told(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epochs, "HISTORY_MAX", 1)
    gateway.chain.commit()
    assert [one["number"] for one in gateway.call("chain_getMigration")["epochs"]] == [0]
    monkeypatch.setattr(epochs, "HISTORY_MAX", 0)
    assert gateway.call("chain_getMigration")["epochs"] == []


def test_a_page_of_events_has_at_most_so_many_and_looks_at_so_many(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = gateway.chain.executor.head.height
    asked = (gateway.chain.store, gateway.service.facts)
    topic = events.parse_topic("blocks", events.EventFilter(), gateway.service.facts)
    assert gateway.call("coop_getEvents", topic="blocks", cursor="0.0", limit=events.EVENTS_MAX)["items"]
    above = gateway.call("coop_getEvents", topic="blocks", cursor="0.0", limit=events.EVENTS_MAX + 1)
    assert above["code"] == -32602
    monkeypatch.setattr(events, "STEPS_MAX", head)
    page = events.read_events(*asked, topic, Cursor(0, 0), head)
    assert len(page.events) == head
    monkeypatch.setattr(events, "STEPS_MAX", head - 1)
    page = events.read_events(*asked, topic, Cursor(0, 0), head)
    assert len(page.events) == head - 1 and not page.is_end


def test_one_call_more_than_can_be_answered_is_told_to_wait(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ANSWERS_RUNNING_MAX", 1)
    assert "height" in gateway.call("node_getStatus")
    monkeypatch.setattr(server, "ANSWERS_RUNNING_MAX", 0)
    assert "rpc.rate" in str(gateway.call("node_getStatus")["data"])


def test_so_many_submitted_transactions_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SUBMITTED_KEPT_MAX", 2)
    kept: Any = SimpleNamespace(_submitted=OrderedDict())
    ids = [TxId(bytes([number]) * 32) for number in range(3)]
    for tx_id in ids[:2]:
        Service.remember(kept, tx_id, b"raw")
    assert [Service.recall(kept, tx_id) for tx_id in ids] == [b"raw", b"raw", None]
    Service.remember(kept, ids[2], b"raw")
    assert [Service.recall(kept, tx_id) for tx_id in ids] == [None, b"raw", b"raw"]


def test_one_text_more_than_is_answered_at_once_waits_for_its_turn() -> None:
    """The WebSocket of one client: what waits for commits must not pile up without end."""

    def nothing(*_: object) -> None: ...

    async def go() -> None:
        free = asyncio.Event()

        class Slow:
            async def answer(self, *_: object) -> None:
                await free.wait()

        stub: Any = SimpleNamespace(open_call=nothing)
        session = Session(stub, (), nothing, nothing, nothing, stub)  # type: ignore[arg-type]
        session._dispatcher = Slow()  # type: ignore[assignment]
        for _ in range(CALLS_RUNNING_MAX):
            await session.receive(b"{}", stub, "en")
        one_more = asyncio.create_task(session.receive(b"{}", stub, "en"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not one_more.done()
        free.set()
        await one_more
        await session.close()

    asyncio.run(go())
