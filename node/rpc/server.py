"""HTTP: routes, limits and access in front of the dispatcher. An ASGI application on Starlette.

It knows bodies and sockets, not methods. Every request is judged by its head first (`access.py`); a body is
read only as far as its limit.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from node.catalog import by_number, choose_language
from node.config import VERSION
from node.ipc.messages import AskStatus, Status
from node.rpc.access import Caller, Denied, Door, Trust, judge, name_of
from node.rpc.dispatch import ANONYMOUS_LIMITS, TRUSTED_LIMITS, Dispatcher, Limits, Method
from node.rpc.events import EventFilter, parse_cursor, parse_topic
from node.rpc.exposition import Exposition
from node.rpc.failure import RpcFailure, error_object, failure_of
from node.rpc.readers import check_topic
from node.rpc.service import Call, Service
from node.rpc.sign_in import check_now, check_place, read_proof
from node.rpc.subscriptions import Session, encode_text, follow
from protocol.errors import Rejected
from protocol.vm.view import View

ANSWERS_RUNNING_MAX: Final = 1_024
"""Bodies that are answered at once, most of them waiting for a commit; more get 429."""
BODY_TIMEOUT_SECONDS: Final = 30
WEBSOCKETS_MAX: Final = 256
KEEP_ALIVE_SECONDS: Final = 15
RETRY_MS: Final = 1_000


class Web:
    """The routes of one gateway."""

    def __init__(
        self,
        service: Service,
        methods: tuple[Method[Any], ...],
        door: Door,
        exposition: Exposition,
        on_bug: Any,
    ) -> None:
        self._service = service
        self._methods = methods
        self._door = door
        self._numbers = exposition
        self._dispatcher: Dispatcher[Call] = Dispatcher(methods, exposition.count_call, on_bug)
        self._running = 0
        self._sockets = 0

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/rpc", self._rpc, methods=["POST"]),
                Route("/", self._rpc, methods=["POST"]),
                Route("/events", self._events, methods=["GET"]),
                Route("/livez", self._livez, methods=["GET"]),
                Route("/readyz", self._readyz, methods=["GET"]),
                Route("/metrics", self._metrics, methods=["GET"]),
                Route("/version", self._version, methods=["GET"]),
                Route("/e/{number}", self._explain, methods=["GET"]),
                WebSocketRoute("/ws", self._ws),
            ]
        )

    async def _rpc(self, request: Request) -> Response:
        language = choose_language(request.headers.get("accept-language"))
        try:
            caller = self._admit(request, needs_json=True)
        except RpcFailure as refused:
            return _json(_refusal(refused, language), 401)
        if isinstance(caller, Denied):
            return _denied(caller)
        limits = _limits_of(caller)
        if self._running >= ANSWERS_RUNNING_MAX:
            failure = RpcFailure("rpc.rate", limit=ANSWERS_RUNNING_MAX, wait=RETRY_MS)
            return _json(_refusal(failure, language), 429)
        self._running += 1
        began = time.perf_counter()
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                body = await _read_body(request, limits.body_bytes_max)
            answer = await self._dispatcher.answer(
                body, self._service.open_call(caller, language), limits, language
            )
        except (ClientDisconnect, TimeoutError):
            return Response(status_code=408)
        finally:
            self._running -= 1
            self._numbers.observe_body(time.perf_counter() - began)
        if answer is None:
            return Response(status_code=204)
        return Response(answer, media_type="application/json")

    async def _ws(self, socket: WebSocket) -> None:
        try:
            caller = self._admit(socket)
        except RpcFailure:
            caller = Denied(401, "the sign-in does not hold")
        if isinstance(caller, Denied) or self._sockets >= WEBSOCKETS_MAX:
            await socket.close(code=1008)
            return
        await socket.accept()
        language = choose_language(socket.headers.get("accept-language"))
        session = Session(
            self._service,
            self._methods,
            socket.send_text,
            self._numbers.count_call,
            self._numbers.count_event,
            caller,
        )
        self._sockets += 1
        self._numbers.ws_clients.set(self._sockets)
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                data = message.get("bytes") or (message.get("text") or "").encode("utf-8", "surrogatepass")
                await session.receive(data, _limits_of(caller), language)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the other end went away while something was sent to it
        finally:
            self._sockets -= 1
            self._numbers.ws_clients.set(self._sockets)
            await session.close()
            with suppress(RuntimeError):
                if socket.application_state is WebSocketState.CONNECTED:
                    await socket.close()

    async def _events(self, request: Request) -> Response:
        language = choose_language(request.headers.get("accept-language"))
        try:
            caller = self._admit(request)
        except RpcFailure as refused:
            return _json(_refusal(refused, language), 401)
        if isinstance(caller, Denied):
            return _denied(caller)
        query = request.query_params
        try:
            wanted = EventFilter(query.get("address", ""), query.get("contract", ""), "ids" in query)
            topic = parse_topic(query.get("topic", ""), wanted, self._service.facts)
            check_topic(self._service.open_call(caller), topic)
            cursor = request.headers.get("last-event-id") or query.get("from")
            store = self._service.store
            after = parse_cursor(cursor, store.head().height, store.base())
        except RpcFailure as failure:
            return _json(_refusal(failure, language), 400)
        except Rejected as rejected:
            return _json(_refusal(failure_of(rejected), language), 400)

        async def stream() -> AsyncIterator[str]:
            yield f"retry: {RETRY_MS}\n\n"
            async for at, event in follow(self._service, topic, after, caller):
                self._numbers.count_event()
                yield f"id: {at}\ndata: {encode_text(event)}\n\n"

        return StreamingResponse(
            stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def _livez(self, request: Request) -> Response:
        return _json({"live": True}, 200)

    async def _readyz(self, request: Request) -> Response:
        reasons = []
        status = await self._status()
        if status is None:
            reasons.append("the daemon does not answer")
        elif not status.ready:
            reasons += list(status.warnings) or ["the node does not follow the chain yet"]
        return _json({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def _metrics(self, request: Request) -> Response:
        trust = self._judge(request)
        if isinstance(trust, Denied):
            return _denied(trust)
        return Response(self._numbers.write(await self._status()), media_type="text/plain; version=0.0.4")

    async def _version(self, request: Request) -> Response:
        return _json({"version": VERSION, "chainId": self._service.facts.chain_id}, 200)

    async def _explain(self, request: Request) -> Response:
        text = request.path_params["number"]
        entry = by_number(int(text)) if re.fullmatch(r"-?[0-9]{1,6}", text, re.ASCII) else None
        if entry is None:
            return _json({"error": "no such number"}, 404)
        lines = {
            language: {"what": text.what, "why": text.why, "fix": text.fix}
            for language, text in (("en", entry.en), ("zh", entry.zh))
        }
        return _json({"number": entry.number, "slug": entry.slug, "retry": entry.retry.value, **lines}, 200)

    async def _status(self) -> Status | None:
        try:
            answer = await self._service.ask(AskStatus())
        except (RpcFailure, Rejected):
            return None
        assert isinstance(answer, Status)
        return answer

    def _admit(self, connection: HTTPConnection, *, needs_json: bool = False) -> Caller | Denied:
        """Say who calls, by the head of a request.

        Raises:
            RpcFailure: signin.*: a proof does not hold here and now.
        """
        trust = self._judge(connection, needs_json=needs_json)
        if isinstance(trust, Denied) or trust is not Trust.MEMBER:
            return trust if isinstance(trust, Denied) else Caller(trust)
        proof = read_proof(connection.headers["authorization"].partition(" ")[2])
        check_place(proof, self._service.facts.genesis_hash, name_of(connection.headers["host"]))
        with self._service.store.view() as state:
            check_now(proof, View(state), int(time.time()))
        return Caller(trust, proof)

    def _judge(self, connection: HTTPConnection, *, needs_json: bool = False) -> Trust | Denied:
        client = connection.client
        headers = dict(connection.headers)
        if len(connection.headers.getlist("host")) != 1:
            headers["host"] = ""  # two names are none (RFC 9112, 3.2)
        return judge(self._door, headers, "" if client is None else client.host, needs_json=needs_json)


async def _read_body(request: Request, size_bytes_max: int) -> bytes:
    """Read a body up to one byte above the limit: what is longer is refused by the dispatcher."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > size_bytes_max:
        return b"\0" * (size_bytes_max + 1)
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > size_bytes_max:
            break
    return b"".join(parts)


def _limits_of(caller: Caller) -> Limits:
    return TRUSTED_LIMITS if caller.trust is Trust.TRUSTED else ANONYMOUS_LIMITS


def _refusal(failure: RpcFailure, language: str) -> dict[str, Any]:
    error = error_object(failure.entry, failure.params, language)
    return {"jsonrpc": "2.0", "error": error, "id": None}


def _denied(denied: Denied) -> Response:
    failure = RpcFailure("rpc.not_allowed", detail=denied.detail)
    return _json(_refusal(failure, "en"), denied.status)


def _json(value: Any, status: int) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
