"""A connection over a pipe in memory: streams, keepalive in virtual time, bounds, and ends of every kind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from node.net.connection import Connection, ConnectionLost, Keepalive, Pipe
from node.net.mux import HEADER, Flag, Kind, MuxLimits, StreamClosed, StreamReset
from node.net.transport import PeerId

PEER = PeerId(bytes(33))


class PlainSession:
    """A session without a cipher."""

    peer = PEER

    def __init__(self, stream: trio.StapledStream, is_dialer: bool):
        self.stream = stream
        self.is_dialer = is_dialer

    async def send(self, plain: bytes) -> None:
        await self.stream.send_all(plain)

    async def receive(self) -> bytes:
        return bytes(await self.stream.receive_some())

    def abort(self) -> None:
        self.stream.send_stream.close()  # type: ignore[attr-defined]
        self.stream.receive_stream.close()  # type: ignore[attr-defined]


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0)


@asynccontextmanager
async def connected(
    limits: MuxLimits | None = None, *, lockstep: bool = False
) -> AsyncIterator[tuple[Connection, Connection]]:
    """Connect two; in lockstep a send waits until the other side has received every byte."""
    end_one, end_two = lockstep_stream_pair() if lockstep else memory_stream_pair()
    limits = limits or MuxLimits()
    one = Connection(PlainSession(end_one, True), Keepalive(), limits)
    two = Connection(PlainSession(end_two, False), Keepalive(), limits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        nursery.start_soon(two.run)
        yield one, two
        one.abort("the test is over")
        two.abort("the test is over")


@asynccontextmanager
async def connected_to_raw() -> AsyncIterator[tuple[Connection, PlainSession]]:
    """Connect to a peer that speaks only what the test makes it say."""
    end_one, end_two = memory_stream_pair()
    one = Connection(PlainSession(end_one, True), Keepalive(), MuxLimits())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        yield one, PlainSession(end_two, False)
        one.abort("the test is over")


async def test_a_question_and_its_answer(clock: MockClock) -> None:
    async with connected() as (one, two):
        here = one.open_stream()
        await here.write(b"question")
        there = await two.accept_stream()
        assert await there.read(100) == b"question"
        await there.write(b"answer")
        there.close()
        assert await here.read(3) == b"ans"
        assert await here.read(100) == b"wer"
        assert await here.read(100) == b""
        here.close()
        assert not here.is_open
        with pytest.raises(StreamClosed):
            await here.write(b"more")


async def test_a_cancelled_write_has_queued_all_or_nothing(clock: MockClock) -> None:
    async with connected(MuxLimits(send_queue_bytes=1_000, shared_window_bytes=0)) as (one, two):
        here = one.open_stream()
        await here.write(bytes(300_000))  # more than the window: 37 856 bytes stay queued
        await wait_all_tasks_blocked()
        with trio.move_on_after(1) as scope:
            await here.write(b"never")
        assert scope.cancelled_caught
        there = await two.accept_stream()
        got = 0
        with trio.move_on_after(1):
            while part := await there.read(1 << 20):
                got += len(part)
        assert got == 300_000
        await here.write(b"then")
        assert await there.read(100) == b"then"


async def test_a_silent_peer_is_cut_and_its_streams_end(clock: MockClock) -> None:
    async with connected_to_raw() as (one, _):
        pipe = one.open_stream()
        started = trio.current_time()
        with pytest.raises(StreamReset, match="silent"):
            await pipe.read(1)
        keepalive = Keepalive()
        silence_s = trio.current_time() - started
        assert keepalive.silence_s < silence_s <= keepalive.silence_s + keepalive.interval_s
        with pytest.raises(ConnectionLost):
            one.open_stream()


async def test_a_peer_that_answers_pings_stays(clock: MockClock) -> None:
    async with connected() as (one, two):
        await trio.sleep(300)
        assert not one.closed.is_set() and not two.closed.is_set()
        assert one.rtt_s == 0.0


async def test_garbage_ends_the_connection_with_a_protocol_error(clock: MockClock) -> None:
    async with connected_to_raw() as (one, raw):
        await raw.send(b"\xff" * 50)
        await one.closed.wait()
        assert "version" in one.reason
        said = b""
        while part := await raw.receive():
            said += part
        assert said.endswith(HEADER.pack(0, Kind.GO_AWAY, 0, 0, 1))


async def test_go_away_ends_the_connection_and_says_so(clock: MockClock) -> None:
    async with connected() as (one, two):
        await one.close()
        await two.closed.wait()
        assert two.reason == "the peer went away with NORMAL"
        with pytest.raises(ConnectionLost):
            await two.accept_stream()


async def test_abort_waits_for_nothing_even_when_a_send_is_stuck(clock: MockClock) -> None:
    async with connected_to_raw() as (one, raw):
        await raw.send(HEADER.pack(0, Kind.WINDOW, Flag.SYN, 2, 1 << 30))
        stream = await one.accept_stream()
        blocked = trio.Event()

        async def stuck(plain: bytes) -> None:
            blocked.set()
            await trio.sleep_forever()

        one._session.send = stuck  # type: ignore[method-assign]
        await stream.write(bytes(100))
        await blocked.wait()
        before = trio.current_time()
        one.abort("enough")
        assert one.closed.is_set() and trio.current_time() == before
        with pytest.raises(StreamReset, match="enough"):
            await stream.read(1)


async def test_two_busy_peers_with_stream_opens_do_not_block_each_other(clock: MockClock) -> None:
    """Both write more than pipe and windows hold, while streams come and go: the stock muxer stops here."""
    total, opens = 3_000_000, 60

    async def pour(connection: Connection) -> None:
        pipe = connection.open_stream()
        for _ in range(total // 100_000):
            await pipe.write(bytes(100_000))
        pipe.close()

    async def come_and_go(connection: Connection) -> None:
        for _ in range(opens):
            pipe = connection.open_stream()
            await pipe.write(b"x")
            pipe.close()
            await trio.lowlevel.checkpoint()

    async def drain(connection: Connection, got: list[int]) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(opens + 1):
                pipe = await connection.accept_stream()
                nursery.start_soon(drain_one, pipe, got)

    async def drain_one(pipe: Pipe, got: list[int]) -> None:
        while part := await pipe.read(1 << 20):
            got.append(len(part))
        pipe.close()

    async with connected(MuxLimits(inbound_streams_max=256), lockstep=True) as (one, two):
        got: list[int] = []
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for connection in (one, two):
                    nursery.start_soon(pour, connection)
                    nursery.start_soon(come_and_go, connection)
                    nursery.start_soon(drain, connection, got)
        assert sum(got) == 2 * (total + opens)
