"""The table of all methods of a gateway: the explicit ones, and the queries of the chain's contracts."""

from typing import Any

import msgspec

from node.rpc.dispatch import Method, NoParams
from node.rpc.events import EVENTS_MAX, EventFilter, parse_cursor, parse_topic, read_events
from node.rpc.forms import Form
from node.rpc.methods import (
    books,
    chain,
    credit,
    epochs,
    evidence,
    explain,
    gov,
    loan,
    node,
    savings,
    tools,
    tx,
)
from node.rpc.methods.contracts import query_methods
from node.rpc.methods.params import CursorParam, Limit, Params
from node.rpc.openrpc import describe
from node.rpc.readers import guard
from node.rpc.service import Call
from protocol.vm.contract import Registry


class EventsParams(Params):
    """A topic, a filter, and where to go on."""

    topic: str
    filter: EventFilter = msgspec.field(default_factory=EventFilter)
    cursor: CursorParam = None
    limit: Limit = 30


class EventItem(Form):
    """One event with the cursor behind it."""

    cursor: str
    height: int
    event: Any


class EventPage(Form):
    """Events in order; ask again from `cursor`, at once unless this was the end."""

    items: list[EventItem]
    cursor: str
    is_end: bool


async def get_events(call: Call, params: EventsParams) -> EventPage:
    """Read the events behind a cursor: the polling twin of a subscription."""
    topic = parse_topic(params.topic, params.filter, call.facts)
    after = parse_cursor(params.cursor, call.height, call.store.base())
    page = read_events(call.store, call.facts, topic, after, call.height, min(params.limit, EVENTS_MAX))
    items = [EventItem(str(cursor), cursor.height, event) for cursor, event in page.events]
    return EventPage(items, str(page.reached), page.is_end)


def build_methods(registry: Registry) -> tuple[Method[Any], ...]:
    """Return every method of a gateway of this chain, `rpc.discover` among them, each behind its guard."""
    methods: list[Method[Any]] = [
        *node.METHODS,
        *chain.METHODS,
        *epochs.METHODS,
        *evidence.METHODS,
        *tx.METHODS,
        *books.METHODS,
        *credit.METHODS,
        *loan.METHODS,
        *savings.METHODS,
        *gov.METHODS,
        *explain.METHODS,
        *tools.METHODS,
        Method(
            "coop_getEvents",
            EventsParams,
            EventPage,
            "Events of a topic behind a cursor.",
            get_events,
            ("chain.no_topic", "chain.cursor_too_old"),
        ),
        *query_methods(registry),
    ]

    async def discover(call: Call, params: NoParams) -> Any:
        return document

    methods.append(Method("rpc.discover", NoParams, dict[str, Any], "This document.", discover))
    document = describe(methods)
    return tuple(map(guard, methods))
