"""Subscriptions on one WebSocket: `coop_subscribe`, `coop_unsubscribe`, and every other method beside them.

Each subscription is one task that reads behind its own cursor and sends; the socket's back pressure is its
pace. So a slow reader delays only itself, and nothing is dropped.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec

from node.rpc.access import Caller
from node.rpc.dispatch import Dispatcher, Limits, Method
from node.rpc.events import (
    SUBSCRIPTIONS_MAX,
    Cursor,
    EventFilter,
    Topic,
    parse_cursor,
    parse_topic,
    read_events,
)
from node.rpc.failure import RpcFailure
from node.rpc.methods.params import CursorParam, Params
from node.rpc.readers import check_topic, guard
from node.rpc.service import Call, Service

CALLS_RUNNING_MAX: Final = 64
"""Calls of one socket that are answered at once; further ones wait in the socket."""


class SubscribeParams(Params):
    """A topic, a filter, and the cursor behind which to begin; without one, behind the head."""

    topic: str
    filter: EventFilter = msgspec.field(default_factory=EventFilter)
    from_: CursorParam = msgspec.field(default=None, name="from")


class UnsubscribeParams(Params):
    """The id that `coop_subscribe` gave."""

    sub: str


async def follow(
    service: Service, topic: Topic, after: Cursor, caller: Caller
) -> AsyncIterator[tuple[Cursor, Any]]:
    """Yield the events behind a cursor, in order, without a gap, as long as the caller may see them."""
    while True:
        # Take the bell before looking: a block that comes in between rings it.
        bell = service.news.bell()
        head = service.store.head().height
        try:
            check_topic(service.open_call(caller), topic)
        except RpcFailure:
            return  # the sign-in is over, or the books are public no longer
        page = read_events(service.store, service.facts, topic, after, head)
        for cursor, event in page.events:
            yield cursor, event
        after = page.reached
        if page.is_end:
            await bell.wait()
        else:
            await asyncio.sleep(0)  # a long reading lets others have their turn


class Session:
    """One WebSocket: its subscriptions, and a dispatcher that knows them.

    Args:
        send: sends one text; waits while the other end does not read.
    """

    def __init__(
        self,
        service: Service,
        methods: tuple[Method[Any], ...],
        send: Callable[[str], Awaitable[None]],
        on_call: Callable[[str, int], None],
        on_event: Callable[[], None],
        caller: Caller,
    ) -> None:
        self._service = service
        self._caller = caller
        self._send = send
        self._on_event = on_event
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(CALLS_RUNNING_MAX)
        self._ids = itertools.count(1)
        own: tuple[Method[Any], ...] = (
            Method(
                "coop_subscribe",
                SubscribeParams,
                str,
                "Follow a topic.",
                self._subscribe,
                ("chain.no_topic", "chain.too_many_subscriptions", "chain.cursor_too_old"),
            ),
            Method("coop_unsubscribe", UnsubscribeParams, bool, "End a subscription.", self._unsubscribe),
        )
        self._dispatcher: Dispatcher[Call] = Dispatcher((*methods, *map(guard, own)), on_call)

    async def receive(self, data: bytes, limits: Limits, language: str) -> None:
        """Begin to answer one text of the client; waits while too many others are being answered.

        A call that waits for a commit does not hold up those behind it, so answers may change places.
        """
        await self._room.acquire()
        task = asyncio.create_task(self._answer(data, limits, language))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def close(self) -> None:
        """End all subscriptions and answers."""
        tasks = [*self._tasks.values(), *self._answers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, data: bytes, limits: Limits, language: str) -> None:
        try:
            call = self._service.open_call(self._caller, language)
            answer = await self._dispatcher.answer(data, call, limits, language)
            if answer is not None:
                await self._send(answer.decode())
        finally:
            self._room.release()

    async def _subscribe(self, call: Call, params: SubscribeParams) -> str:
        if len(self._tasks) >= SUBSCRIPTIONS_MAX:
            raise RpcFailure("chain.too_many_subscriptions", limit=SUBSCRIPTIONS_MAX)
        topic = parse_topic(params.topic, params.filter, call.facts)
        after = parse_cursor(params.from_, call.height, call.store.base())
        sub = f"s{next(self._ids)}"
        self._tasks[sub] = asyncio.create_task(self._push(sub, topic, after))
        return sub

    async def _unsubscribe(self, call: Call, params: UnsubscribeParams) -> bool:
        task = self._tasks.pop(params.sub, None)
        if task is None:
            return False
        task.cancel()
        return True

    async def _push(self, sub: str, topic: Topic, after: Cursor) -> None:
        async for cursor, event in follow(self._service, topic, after, self._caller):
            await self._send(
                encode_text(
                    {
                        "jsonrpc": "2.0",
                        "method": "coop_event",
                        "params": {
                            "sub": sub,
                            "cursor": str(cursor),
                            "height": cursor.height,
                            "event": event,
                        },
                    }
                )
            )
            self._on_event()


def encode_text(value: Any) -> str:
    """Write a value as JSON text."""
    return msgspec.json.encode(value).decode()
