"""Subscriptions over WebSocket and SSE, through a real server on a real socket: order, resume, no gap."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
import websockets

from node.cluster.founding import demo_address
from node.cluster.local import find_ports
from node.rpc import http_protocol
from node.rpc import server as server_module
from node.rpc.events import SUBSCRIPTIONS_MAX
from node.rpc.gateway import SOCKET_BYTES_MAX, configure_server
from node.rpc.http_protocol import HEAD_BYTES_MAX, BoundedHttp
from protocol.addresses import HRP_TEST, format_address

CY = format_address(demo_address("cy"), HRP_TEST)


class Hasty(BoundedHttp):
    """Gives a head less time, so that nobody waits for the test."""

    head_timeout_seconds = 0.5


def live(
    gateway: Any, use: Callable[[str, int], Awaitable[None]], http: type[BoundedHttp] = BoundedHttp
) -> None:
    """Serve the gateway on a free port while `use` talks to it."""

    async def go() -> None:
        port = find_ports(24_000, 1) + 1
        server = uvicorn.Server(configure_server(gateway.app, "127.0.0.1", port, http))
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            async with asyncio.timeout(30):
                await use(f"127.0.0.1:{port}", port)
        finally:
            server.should_exit = True
            await task

    asyncio.run(go())


async def ask(socket: Any, method: str, **params: Any) -> Any:
    await socket.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}))
    answer = json.loads(await socket.recv())
    return answer.get("result", answer.get("error"))


async def next_event(socket: Any) -> dict[str, Any]:
    notice = json.loads(await socket.recv())
    assert notice["method"] == "coop_event" and "id" not in notice
    return dict(notice["params"])


def test_old_events_come_first_and_new_ones_follow(gateway: Any) -> None:
    async def use(host: str, port: int) -> None:
        async with websockets.connect(f"ws://{host}/ws") as socket:
            sub = await ask(socket, "coop_subscribe", topic="txs", **{"from": "0.0"})
            seen = [await next_event(socket) for _ in range(3)]
            assert [event["cursor"] for event in seen] == ["2.0", "2.1", "3.0"]
            assert {event["sub"] for event in seen} == {sub}
            assert seen[0]["event"]["memo"] == "" and seen[0]["event"]["program"][0]["method"] == "transfer"
            gateway.daemon.commit(gateway.chain.pay("ada", "bo", 3))
            assert (await next_event(socket))["cursor"] == "4.0"
        async with websockets.connect(f"ws://{host}/ws") as socket:
            await ask(socket, "coop_subscribe", topic="txs", **{"from": "2.1"})
            assert [(await next_event(socket))["cursor"] for _ in range(2)] == ["3.0", "4.0"]

    live(gateway, use)


def test_without_a_cursor_only_what_is_new_comes(gateway: Any) -> None:
    async def use(host: str, port: int) -> None:
        async with websockets.connect(f"ws://{host}/ws") as socket:
            await ask(socket, "coop_subscribe", topic="blocks", filter={"ids": True})
            signed = gateway.chain.pay("ada", "cy", 3)
            gateway.daemon.commit(signed)
            event = await next_event(socket)
            assert (event["cursor"], event["height"]) == ("4.0", 4)
            assert event["event"]["ids"] == ["0x" + signed.id.hex()]

    live(gateway, use)


def test_many_subscriptions_share_a_socket_and_end_one_by_one(gateway: Any) -> None:
    async def use(host: str, port: int) -> None:
        async with websockets.connect(f"ws://{host}/ws") as socket:
            first = await ask(socket, "coop_subscribe", topic="blocks")
            second = await ask(socket, "coop_subscribe", topic=f"account:{CY}")
            assert first != second and await ask(socket, "coop_unsubscribe", sub=first) is True
            assert await ask(socket, "coop_unsubscribe", sub=first) is False
            gateway.daemon.commit(gateway.chain.pay("ada", "bo", 1))
            gateway.daemon.commit(gateway.chain.pay("bo", "cy", 1))
            event = await next_event(socket)
            assert (event["sub"], event["cursor"]) == (second, "5.0")
            assert (await ask(socket, "chain_getHeader", block=5))["height"] == 5

    live(gateway, use)


def test_subscriptions_have_a_limit_and_topics_must_exist(gateway: Any) -> None:
    async def use(host: str, port: int) -> None:
        async with websockets.connect(f"ws://{host}/ws") as socket:
            assert (await ask(socket, "coop_subscribe", topic="weather"))["code"] == 1005
            assert (await ask(socket, "coop_subscribe", topic="blocks", **{"from": "9.0"}))["code"] == 1004
            for _ in range(SUBSCRIPTIONS_MAX):
                assert isinstance(await ask(socket, "coop_subscribe", topic="blocks"), str)
            assert (await ask(socket, "coop_subscribe", topic="blocks"))["code"] == 1003
            await socket.send("{")
            assert json.loads(await socket.recv())["error"]["code"] == -32700

    live(gateway, use)


def test_another_origin_gets_no_socket(gateway: Any) -> None:
    async def use(host: str, port: int) -> None:
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
            with pytest.raises((websockets.InvalidStatus, websockets.InvalidMessage)):
                async with websockets.connect(f"ws://{host}/ws", additional_headers=headers):
                    pass

    live(gateway, use)


def test_sse_resumes_behind_the_last_event_id(gateway: Any) -> None:
    async def use(host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /events?topic=blocks HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 1.0\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head and b"text/event-stream" in head
        text = b""
        while text.count(b"\ndata: ") < 2:
            text += await reader.read(65_536)
        assert b"id: 2.0\n" in text and b"id: 3.0\n" in text and b"id: 1.0\n" not in text
        gateway.daemon.commit()
        while b"id: 4.0\n" not in text:
            text += await reader.read(65_536)
        writer.close()

    live(gateway, use)


def test_sse_refuses_what_it_does_not_know(gateway: Any) -> None:
    assert gateway.request("GET", "/events?topic=weather").status_code == 400
    assert gateway.request("GET", "/events?topic=blocks&from=9.0").json()["error"]["code"] == 1004
    assert gateway.request("GET", "/events?topic=account:x").json()["error"]["code"] == 1130


@pytest.mark.parametrize("said", [b"", b"POST /rpc HTTP/1.1\r\nHost: local", b"GARBAGE"])
def test_a_head_that_does_not_come_costs_the_connection(gateway: Any, said: bytes) -> None:
    async def use(host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        try:
            assert b"200 OK" not in await reader.read()  # until the other end closes
        except ConnectionResetError:
            pass
        writer.close()

    live(gateway, use, Hasty)


def test_a_second_head_on_the_same_connection_must_come_as_well(gateway: Any) -> None:
    async def use(host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        text = await reader.readuntil(b"true}")
        writer.write(b"GET /livez HT")
        try:
            text += await reader.read()
        except ConnectionResetError:
            pass
        assert text.count(b"HTTP/1.1") == 1
        writer.close()

    live(gateway, use, Hasty)


def test_a_head_at_the_limit_is_read_and_a_longer_one_is_not(gateway: Any) -> None:
    async def use(host: str, port: int) -> None:
        for size, served in ((HEAD_BYTES_MAX, True), (HEAD_BYTES_MAX + 1, False)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: "
            writer.write(head + b"x" * (size - len(head)))
            await writer.drain()
            try:
                await asyncio.sleep(0.1)
                writer.write(b"\r\nConnection: close\r\n\r\n")
                text = await reader.read()
            except (ConnectionResetError, BrokenPipeError):
                text = b""
            assert (b"200 OK" in text) == served
            writer.close()

    live(gateway, use)


def test_a_call_that_waits_does_not_hold_up_those_behind_it(gateway: Any) -> None:
    async def use(host: str, port: int) -> None:
        gateway.daemon.commits = False
        signed = gateway.chain.pay("ada", "bo", 1)
        async with websockets.connect(f"ws://{host}/ws") as socket:
            params = {"tx": "0x" + signed.raw.hex(), "timeoutMs": 30_000}
            wait = {"jsonrpc": "2.0", "method": "tx_submitAndWait", "params": params, "id": "w"}
            await socket.send(json.dumps(wait))
            assert (await ask(socket, "chain_getHeader", block=3))["height"] == 3
            gateway.daemon.commit(signed)
            answer = json.loads(await socket.recv())
            assert answer["id"] == "w" and answer["result"]["height"] == 4

    live(gateway, use)


def test_one_connection_more_than_the_limit_is_turned_away(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "CONNECTIONS_MAX", 2)
    asked = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def use(host: str, port: int) -> None:
        opened = []
        for served in (True, True, False):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            opened.append(writer)
            try:
                writer.write(asked)
                found = await reader.read(12)
            except (ConnectionResetError, BrokenPipeError):
                found = b""
            assert (found == b"HTTP/1.1 200") == served
        for writer in opened:
            writer.close()

    live(gateway, use)


def test_one_websocket_more_than_the_limit_is_refused(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "WEBSOCKETS_MAX", 1)

    async def use(host: str, port: int) -> None:
        async with websockets.connect(f"ws://{host}/ws") as first:
            assert "height" in await ask(first, "node_getStatus")
            with pytest.raises(websockets.InvalidStatus):
                await websockets.connect(f"ws://{host}/ws")
            assert "height" in await ask(first, "node_getStatus")

    live(gateway, use)


@pytest.mark.parametrize("size", [SOCKET_BYTES_MAX, SOCKET_BYTES_MAX + 1])
def test_a_text_of_a_socket_has_at_most_so_many_bytes(size: int, gateway: Any) -> None:
    async def use(host: str, port: int) -> None:
        text = json.dumps({"jsonrpc": "2.0", "method": "node_getInfo", "id": 1})
        async with websockets.connect(f"ws://{host}/ws") as socket:
            await socket.send(text.ljust(size))
            if size <= SOCKET_BYTES_MAX:
                assert json.loads(await socket.recv())["id"] == 1
            else:
                with pytest.raises(websockets.ConnectionClosedError, match="1009"):
                    await socket.recv()

    live(gateway, use)
