"""Our host among libp2p hosts: identity, gate, guards, slots, and the stock muxer on the other side."""

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from libp2p import new_host
from libp2p.crypto.secp256k1 import create_new_key_pair
from libp2p.crypto.serialization import deserialize_public_key
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519_key_pair
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_ID
from libp2p.security.noise.transport import Transport as NoiseTransport
from multiaddr import Multiaddr

from node.net.connection import Connection, Keepalive, Pipe
from node.net.doorstep import AT_ONCE_PER_SOURCE_MAX
from node.net.host import (
    CONNECTIONS_MAX,
    DialFailed,
    Host,
    decode_libp2p_id,
    encode_libp2p_id,
    format_peer_id,
    peer_id_from_secret,
)
from node.net.mux import StreamReset
from node.net.transport import Address, PeerId

ECHO = "/test/echo/1"
SECRET_ONE, SECRET_TWO, SECRET_THREE = (bytes([n]) * 32 for n in (1, 2, 3))
ANY_PORT = (Address("127.0.0.1", 0),)
VECTORS = Path(__file__).parents[2] / "vectors" / "libp2p" / "peer_id_keys.json"


async def echo(pipe: Pipe) -> None:
    while data := await pipe.read(1 << 20):
        await pipe.write(data)
    pipe.close()


@asynccontextmanager
async def running(host: Host) -> AsyncIterator[Address]:
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(host.run, ANY_PORT)
        yield address
        nursery.cancel_scope.cancel()


def make_host(secret: bytes, *allowed: bytes, **options: Any) -> Host:
    peers = {peer_id_from_secret(secret) for secret in allowed}
    host = Host(secret, peers.__contains__, **options)
    host.handle(ECHO, echo)
    return host


@asynccontextmanager
async def stock_host(secret: bytes, *, plaintext: bool = False) -> AsyncIterator[Any]:
    """Run py-libp2p as it comes, with its own muxer and listener."""
    keys = create_new_key_pair(secret)
    noise = NoiseTransport(keys, noise_privkey=create_x25519_key_pair().private_key)
    security: Any = (
        {TProtocol(PLAINTEXT_PROTOCOL_ID): InsecureTransport(keys)} if plaintext else {NOISE_ID: noise}
    )
    host = new_host(key_pair=keys, sec_opt=security)

    async def stock_echo(stream: Any) -> None:
        try:
            while data := await stream.read(1 << 16):
                await stream.write(data)
        except Exception:
            await stream.close()

    host.set_stream_handler(TProtocol(ECHO), stock_echo)
    async with host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        try:
            yield host
        finally:
            with trio.CancelScope(shield=True):
                await host.close()


def place(address: Address, host: Host) -> Multiaddr:
    return Multiaddr(f"/ip4/{address.host}/tcp/{address.port}/p2p/{format_peer_id(host.me)}")


def address_of(stock: Any) -> Address:
    return Address("127.0.0.1", int(stock.get_transport_addrs()[0].value_for_protocol("tcp")))


async def read_exactly(read: Callable[[int], Awaitable[bytes]], size: int) -> bytes:
    got = b""
    with trio.fail_after(30):
        while len(got) < size:
            got += await read(min(size - len(got), 1 << 16))
    return got


# ---- identity


def test_peer_ids_are_those_that_libp2p_publishes() -> None:
    keys = json.loads(VECTORS.read_text())
    public = deserialize_public_key(bytes.fromhex(keys["secp256k1 public key"]))
    private = bytes.fromhex(keys["secp256k1 private key"])[-32:]
    assert peer_id_from_secret(private) == public.to_bytes()
    libp2p_id = ID.from_pubkey(public)
    assert decode_libp2p_id(libp2p_id) == public.to_bytes()
    assert encode_libp2p_id(PeerId(public.to_bytes())) == libp2p_id
    assert format_peer_id(PeerId(public.to_bytes())) == str(libp2p_id)


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_other_kinds_of_key_are_nobody(kind: str) -> None:
    public = deserialize_public_key(bytes.fromhex(json.loads(VECTORS.read_text())[f"{kind} public key"]))
    assert decode_libp2p_id(ID.from_pubkey(public)) is None


# ---- with the stock muxer on the other side


async def test_we_dial_a_stock_host() -> None:
    ours = make_host(SECRET_ONE, SECRET_TWO)
    async with stock_host(SECRET_TWO) as stock, running(ours):
        connection = await ours.dial(peer_id_from_secret(SECRET_TWO), address_of(stock))
        pipe = await ours.open_stream(connection, ECHO)
        body = bytes(range(256)) * 4_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipe.write, body)
            assert await read_exactly(pipe.read, len(body)) == body
        pipe.close()
        with trio.fail_after(10):
            assert await pipe.read(1) == b""


async def test_a_stock_host_dials_us() -> None:
    ours = make_host(SECRET_ONE, SECRET_TWO)
    async with stock_host(SECRET_TWO) as stock, running(ours) as address:
        libp2p_id = encode_libp2p_id(ours.me)
        await stock.get_network().dial_addr(place(address, ours), libp2p_id)
        stream = await stock.new_stream(libp2p_id, [TProtocol(ECHO)])
        body = bytes(range(256)) * 4_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.write, body)
            assert await read_exactly(stream.read, len(body)) == body
        await stream.close()


async def test_a_peer_without_our_protocol_is_told_apart() -> None:
    ours = make_host(SECRET_ONE, SECRET_TWO)
    async with stock_host(SECRET_TWO) as stock, running(ours):
        connection = await ours.dial(peer_id_from_secret(SECRET_TWO), address_of(stock))
        with pytest.raises(DialFailed, match="/no/such/1"):
            await ours.open_stream(connection, "/no/such/1")
        assert not connection.closed.is_set()


# ---- the gate


async def test_a_stranger_is_refused_and_leaves_no_trace() -> None:
    ours = make_host(SECRET_ONE, SECRET_THREE)
    async with stock_host(SECRET_TWO) as stock, running(ours) as address:
        slots = ours.inbound_slots_free
        with pytest.raises(Exception):  # noqa: B017 - what the stock host makes of it is its own affair
            await stock.get_network().dial_addr(place(address, ours), encode_libp2p_id(ours.me))
        await until(lambda: ours.inbound_slots_free == slots)
        assert ours.connections == ()


async def test_we_do_not_talk_to_a_stranger_whom_we_dialled() -> None:
    ours = make_host(SECRET_ONE, SECRET_THREE)
    async with stock_host(SECRET_TWO) as stock, running(ours):
        for expected in (SECRET_TWO, SECRET_THREE):  # not listed; listed, but somebody else answers
            with pytest.raises(DialFailed):
                await ours.dial(peer_id_from_secret(expected), address_of(stock))


async def test_plaintext_is_not_spoken() -> None:
    ours = make_host(SECRET_ONE, SECRET_TWO)
    async with stock_host(SECRET_TWO, plaintext=True) as stock, running(ours) as address:
        with pytest.raises(Exception):  # noqa: B017
            await stock.get_network().dial_addr(place(address, ours), encode_libp2p_id(ours.me))
        assert ours.connections == ()


# ---- guards


@asynccontextmanager
async def pair(**options: Any) -> AsyncIterator[tuple[Host, Host, Connection]]:
    """Run two of our hosts, the second dialled by the first."""
    one, two = make_host(SECRET_ONE, SECRET_TWO, **options), make_host(SECRET_TWO, SECRET_ONE, **options)
    async with running(one), running(two) as address:
        yield one, two, await one.dial(two.me, address)


async def ask(host: Host, connection: Connection, text: bytes) -> bytes:
    with trio.fail_after(10):
        pipe = await host.open_stream(connection, ECHO)
        await pipe.write(text)
        pipe.close()
        answer = await pipe.read(100)
        assert await pipe.read(1) == b""
        return answer


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not condition():
            await trio.sleep(0.01)


@pytest.mark.parametrize(
    "packet",
    [
        b"\x13/multistream/1.0.0\n\x05\xff\xfe\xfd\xfc\n",
        b"\x05\xff\xfe\xfd\xfc\n",
        b"\x80" * 20,
        b"\xff\xff\xff\xff\x0f" + bytes(200),
        b"\x00",
        b"",
    ],
    ids=["bad utf-8 protocol", "bad utf-8 hello", "varint", "huge length", "empty line", "nothing"],
)
async def test_a_packet_that_kills_a_stock_host_costs_one_stream(packet: bytes) -> None:
    async with pair() as (one, two, connection):
        pipe = connection.open_stream()
        await pipe.write(packet)
        pipe.close()
        with trio.move_on_after(1):
            try:
                while await pipe.read(100):
                    pass
            except StreamReset:
                pass
        assert await ask(one, connection, b"still there") == b"still there"
        assert len(two.connections) == 1


async def test_a_handler_that_fails_costs_one_stream_and_is_counted() -> None:
    async def fail(pipe: Pipe) -> None:
        raise ValueError(await pipe.read(10))

    async with pair() as (one, two, connection):
        two.handle("/test/fail/1", fail)
        pipe = await one.open_stream(connection, "/test/fail/1")
        await pipe.write(b"x")
        with trio.fail_after(10), pytest.raises(StreamReset):
            await pipe.read(1)
        assert two.faults == 1
        assert await ask(one, connection, b"still there") == b"still there"


# ---- slots


async def test_slots_come_back_after_many_connections() -> None:
    """A stock host takes as many inbound connections in its whole life as it has slots."""
    one = make_host(SECRET_ONE, SECRET_TWO)
    two = make_host(SECRET_TWO, SECRET_ONE, connections_max=6)
    async with running(one), running(two) as address:
        for _ in range(20):
            connection = await one.dial(two.me, address)
            assert await ask(one, connection, b"hello") == b"hello"
            connection.abort("again")
            await until(lambda: two.inbound_slots_free > 0)
        await until(lambda: two.inbound_slots_free == 6)
        await until(lambda: two.connections == ())
        assert two.faults == 0


async def test_one_address_gets_few_handshakes_and_they_run_out() -> None:
    ours = make_host(SECRET_ONE, SECRET_TWO)
    async with running(ours) as address:
        idle = [await trio.open_tcp_stream(address.host, address.port) for _ in range(AT_ONCE_PER_SOURCE_MAX)]
        extra = await trio.open_tcp_stream(address.host, address.port)
        with trio.fail_after(5):
            try:
                assert await extra.receive_some(1) == b""
            except trio.BrokenResourceError:
                pass
        for stream in idle:
            await stream.aclose()
        two = make_host(SECRET_TWO, SECRET_ONE)
        async with running(two):
            await two.dial(ours.me, address)


async def test_the_newest_connection_of_a_peer_wins() -> None:
    async with pair() as (one, two, connection):
        assert await ask(one, connection, b"old") == b"old"
        newer = await one.dial(two.me, two.addresses[0])
        await until(lambda: connection.closed.is_set())
        assert await ask(one, newer, b"new") == b"new"
        await until(lambda: len(two.connections) == 1)


async def test_a_closed_host_does_not_listen() -> None:
    ours = make_host(SECRET_ONE, SECRET_TWO)
    async with running(ours) as address:
        pass
    with pytest.raises(OSError):
        await trio.open_tcp_stream(address.host, address.port)


# ---- load


async def test_bulk_both_ways_and_streams_that_come_and_go_do_not_block_each_other() -> None:
    """The load on which the stock muxer stops for good, on real sockets."""
    bulk_bytes, opens = 8 << 20, 20

    async def pour(host: Host, connection: Connection) -> None:
        pipe = await host.open_stream(connection, "/test/sink/1")
        for _ in range(bulk_bytes >> 18):
            await pipe.write(bytes(1 << 18))
        pipe.close()

    async def come_and_go(host: Host, connection: Connection) -> None:
        for _ in range(opens):
            assert await ask(host, connection, b"hello") == b"hello"

    got = 0

    async def sink(pipe: Pipe) -> None:
        nonlocal got
        while data := await pipe.read(1 << 20):
            got += len(data)

    async with pair() as (one, two, connection):
        ends = ((one, connection), (two, two.connections[0]))
        one.handle("/test/sink/1", sink)
        two.handle("/test/sink/1", sink)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for host, end in ends:
                    for _ in range(2):
                        nursery.start_soon(pour, host, end)
                    for _ in range(4):
                        nursery.start_soon(come_and_go, host, end)
            await until(lambda: got == 4 * bulk_bytes)


# ---- time


async def test_a_dial_gives_up_long_before_the_kernel_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener whose backlog is full drops the first packet of every further connection."""
    monkeypatch.setattr("node.net.host.CONNECT_S", 0.3)
    monkeypatch.setattr("node.net.host.HANDSHAKE_S", 3_600.0)
    one = make_host(SECRET_ONE, SECRET_TWO)
    with socket.socket() as silent, ExitStack() as fillers:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        for _ in range(2):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(silent.getsockname())
        async with running(one):
            with trio.fail_after(60), pytest.raises(DialFailed):
                await one.dial(peer_id_from_secret(SECRET_TWO), Address(*silent.getsockname()))


async def test_a_frozen_peer_is_cut() -> None:
    """The proxy forwards until it is frozen; then both sides hear nothing, but no socket closes."""
    keepalive = Keepalive(interval_s=0.2, silence_s=0.6)
    one, two = make_host(SECRET_ONE, SECRET_TWO, keepalive=keepalive), make_host(SECRET_TWO, SECRET_ONE)
    frozen = False

    async def forward(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            while data := await source.receive_some():
                if not frozen:
                    await sink.send_all(bytes(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async with running(one), running(two) as address, trio.open_nursery() as nursery:

        async def proxy(near: trio.SocketStream) -> None:
            far = await trio.open_tcp_stream(address.host, address.port)
            async with trio.open_nursery() as directions:
                directions.start_soon(forward, near, far)
                directions.start_soon(forward, far, near)

        listeners = await nursery.start(partial(trio.serve_tcp, proxy, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        connection = await one.dial(two.me, Address("127.0.0.1", port))
        pipe = await one.open_stream(connection, ECHO)
        frozen = True
        with trio.fail_after(20), pytest.raises(StreamReset, match="silent"):
            await pipe.read(1)
        nursery.cancel_scope.cancel()


async def test_one_connection_more_than_there_are_slots_is_turned_away() -> None:
    assert make_host(SECRET_ONE).inbound_slots_free == CONNECTIONS_MAX, "what holds when nothing is said"
    first, second = make_host(SECRET_ONE, SECRET_TWO), make_host(SECRET_THREE, SECRET_TWO)
    ours = make_host(SECRET_TWO, SECRET_ONE, SECRET_THREE, connections_max=1)
    async with running(first), running(second), running(ours) as address:
        connection = await first.dial(ours.me, address)
        assert await ask(first, connection, b"hello") == b"hello" and ours.inbound_slots_free == 0
        with trio.fail_after(10), pytest.raises((DialFailed, StreamReset)):
            await ask(second, await second.dial(ours.me, address), b"hello")
        assert await ask(first, connection, b"still there") == b"still there"
