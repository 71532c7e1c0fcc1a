"""Links against a member of the roster who does not keep the rules."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from node.net import links as links_module
from node.net.connection import Connection, Pipe
from node.net.frames import FRAME_BYTES_MAX, LENGTH
from node.net.host import DialFailed, Host, peer_id_from_secret
from node.net.links import FRAME_COST_BYTES, INBOX_BYTES_MAX, PROTOCOLS, READ_BYTES, Links
from node.net.transport import Address, Channel, Frame, PeerDown, PeerEntry, PeerUp

ANY_PORT = (Address("127.0.0.1", 0),)
# The greater key never dials the smaller one's address, so the hostile node is the only one to act.
OURS, HOSTILE = sorted((bytes([1]) * 32, bytes([2]) * 32), key=peer_id_from_secret, reverse=True)
HOSTILE_PEER = peer_id_from_secret(HOSTILE)
PATIENCE_S = 20


@asynccontextmanager
async def attacked() -> AsyncIterator[tuple[Links, Host, Connection]]:
    entries = (PeerEntry(peer_id_from_secret(OURS), ANY_PORT), PeerEntry(HOSTILE_PEER, ()))
    ours = Links(OURS, ANY_PORT, entries)
    hostile = Host(HOSTILE, lambda _: True)
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(ours.run)
        await nursery.start(hostile.run, ANY_PORT)
        with trio.fail_after(PATIENCE_S):
            yield ours, hostile, await hostile.dial(ours.me, address)
        nursery.cancel_scope.cancel()


async def open_lanes(hostile: Host, connection: Connection, ours: Links) -> dict[Channel, Pipe]:
    pipes = {channel: await hostile.open_stream(connection, PROTOCOLS[channel]) for channel in Channel}
    assert await ours.receive() == PeerUp(HOSTILE_PEER)
    return pipes


async def expect_down(ours: Links, reason: str) -> None:
    while not isinstance(received := await ours.receive(), PeerDown):
        pass
    assert reason in received.reason
    assert ours.peers() == ()


@pytest.mark.parametrize("channel", Channel)
async def test_a_claim_above_the_cap_costs_the_connection(channel: Channel) -> None:
    async with attacked() as (ours, hostile, connection):
        pipes = await open_lanes(hostile, connection, ours)
        await pipes[channel].write(LENGTH.pack(FRAME_BYTES_MAX[channel] + 1))
        await expect_down(ours, f"{FRAME_BYTES_MAX[channel]} are allowed")


async def test_a_lane_opened_twice_costs_the_connection() -> None:
    async with attacked() as (ours, hostile, connection):
        await open_lanes(hostile, connection, ours)
        with suppress(DialFailed):
            await hostile.open_stream(connection, PROTOCOLS[Channel.VOTE])
        await expect_down(ours, "opened twice")


async def test_one_lane_alone_is_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "LANES_S", 0.1)
    async with attacked() as (ours, hostile, connection):
        await hostile.open_stream(connection, PROTOCOLS[Channel.VOTE])
        await connection.closed.wait()
        assert ours.peers() == ()


async def test_who_leaves_the_roster_is_cut_even_without_a_lane() -> None:
    async with attacked() as (ours, _, connection):
        await trio.sleep(0.1)
        ours.set_roster(())
        await connection.closed.wait()


@pytest.mark.parametrize("channel", Channel)
async def test_a_closed_or_reset_lane_ends_the_link(channel: Channel) -> None:
    for end in (Pipe.close, Pipe.reset):
        async with attacked() as (ours, hostile, connection):
            pipes = await open_lanes(hostile, connection, ours)
            end(pipes[channel])
            await expect_down(ours, "")


async def write_many(pipe: Pipe, data: bytes) -> None:
    for _ in range(1_000):
        await pipe.write(data)


@pytest.mark.parametrize("size", [0, 1_000, 100_000])
async def test_what_nobody_receives_is_bounded(size: int) -> None:
    async with attacked() as (ours, hostile, connection):
        pipes = await open_lanes(hostile, connection, ours)
        frame = LENGTH.pack(size) + bytes(size)
        burst = frame * (1 + (256 << 10) // len(frame))
        lane = ours._links[HOSTILE_PEER].lanes[Channel.VOTE]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_many, pipes[Channel.VOTE], burst)
            while lane.inbox_bytes <= INBOX_BYTES_MAX[Channel.VOTE]:
                await trio.sleep(0.01)
            await trio.sleep(0.2)  # give it the chance to take more
            nursery.cancel_scope.cancel()
        in_one_read = READ_BYTES // len(frame) + 1
        bound = INBOX_BYTES_MAX[Channel.VOTE] + in_one_read * (FRAME_COST_BYTES + size)
        assert lane.inbox_bytes <= bound
        assert ours.peers() == (HOSTILE_PEER,)
        # Once somebody receives, the rest follows.
        before = ours.counters.received_frames
        for _ in range(before + 1):
            assert isinstance(await ours.receive(), Frame)


async def test_votes_do_not_starve_bulk() -> None:
    async with attacked() as (ours, hostile, connection):
        pipes = await open_lanes(hostile, connection, ours)
        await pipes[Channel.BULK].write(LENGTH.pack(4) + b"bulk")
        await pipes[Channel.VOTE].write((LENGTH.pack(4) + b"vote") * 200)
        while ours.counters.received_frames < 201:
            await trio.sleep(0.01)
        order = [await ours.receive() for _ in range(201)]
        place = next(at for at, got in enumerate(order) if isinstance(got, Frame) and got.data == b"bulk")
        assert place <= links_module.VOTES_IN_A_ROW_MAX
