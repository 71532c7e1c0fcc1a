"""The simulated network: order, delay, loss, partitions, and the same run for the same seed."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from node.net.simulated import SimHub, SimTransport
from node.net.transport import Channel, Frame, PeerDown, PeerId, PeerUp, Received, Transport

A, B, C, D = (PeerId(bytes([2]) + bytes([letter]) * 32) for letter in b"abcd")


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0)


async def take(transport: Transport, count: int) -> list[Received]:
    return [await transport.receive() for _ in range(count)]


async def keep_receiving(transport: Transport, into: list[Received]) -> None:
    while True:
        into.append(await transport.receive())


def test_it_is_a_transport() -> None:
    transport: Transport = SimHub().join(A)
    assert transport.peers() == ()


async def test_frames_of_a_channel_keep_order_and_take_time(clock: MockClock, nursery: Any) -> None:
    hub = SimHub(seed=1, delay_s=(0.5, 5.0))
    nursery.start_soon(hub.run)
    one, two = hub.join(A), hub.join(B)
    started = trio.current_time()
    for number in range(100):
        assert one.send(B, Channel.VOTE, bytes([number]))
    assert await take(two, 101) == [PeerUp(A), *(Frame(A, Channel.VOTE, bytes([n])) for n in range(100))]
    assert 4 < trio.current_time() - started <= 5


async def test_a_partition_loses_what_is_under_way_and_heals(clock: MockClock, nursery: Any) -> None:
    hub = SimHub(delay_s=(1.0, 1.0))
    nursery.start_soon(hub.run)
    one, two, three = hub.join(A), hub.join(B), hub.join(C)
    await take(one, 2)
    assert one.send(C, Channel.VOTE, b"lost") and one.send(B, Channel.VOTE, b"kept")
    hub.partition((A, B), (C,))
    assert one.peers() == (B,) and three.peers() == ()
    assert not one.send(C, Channel.VOTE, b"refused")
    await trio.sleep(2)
    hub.heal()
    assert one.send(C, Channel.VOTE, b"after")
    assert await take(one, 2) == [PeerDown(C, "the network is cut"), PeerUp(C)]
    assert await take(two, 5) == [
        PeerUp(A), PeerUp(C), PeerDown(C, "the network is cut"), Frame(A, Channel.VOTE, b"kept"), PeerUp(C),
    ]  # fmt: skip
    assert (await take(three, 7))[-1] == Frame(A, Channel.VOTE, b"after")


async def test_a_node_that_left_is_silent_and_may_come_back(clock: MockClock, nursery: Any) -> None:
    hub = SimHub()
    nursery.start_soon(hub.run)
    one, two = hub.join(A), hub.join(B)
    hub.leave(B)
    hub.partition((B,), (A,))
    hub.heal()
    assert not one.send(B, Channel.VOTE, b"") and not two.send(A, Channel.VOTE, b"")
    again = hub.join(B)
    assert one.send(B, Channel.VOTE, b"hello")
    assert await take(one, 3) == [PeerUp(B), PeerDown(B, "the node left"), PeerUp(B)]
    assert await take(again, 2) == [PeerUp(A), Frame(A, Channel.VOTE, b"hello")]


async def test_broadcast_reaches_validators_only(clock: MockClock, nursery: Any) -> None:
    hub = SimHub()
    nursery.start_soon(hub.run)
    one, _, observer = hub.join(A), hub.join(B), hub.join(C, validator=False)
    assert one.broadcast(Channel.BULK, b"x") == 1
    assert observer.broadcast(Channel.BULK, b"x") == 2


async def test_a_share_of_the_frames_is_lost(clock: MockClock, nursery: Any) -> None:
    hub = SimHub(loss_share=0.5)
    nursery.start_soon(hub.run)
    one, two = hub.join(A), hub.join(B)
    for _ in range(1_000):
        assert one.send(B, Channel.VOTE, b"x")
    await trio.sleep(1)
    got: list[Received] = []
    with trio.move_on_after(1):
        await keep_receiving(two, got)
    assert 400 < len(got) < 600


def test_the_same_seed_gives_the_same_run() -> None:
    def run(seed: int) -> list[tuple[float, PeerId, Received]]:
        return trio.run(_talk, seed, clock=MockClock(autojump_threshold=0))

    assert run(1) == run(1)
    assert run(1) != run(2)


async def _talk(seed: int) -> list[tuple[float, PeerId, Received]]:
    hub = SimHub(seed)
    seen: list[tuple[float, PeerId, Received]] = []

    async def listen(node: SimTransport) -> None:
        while True:
            received = await node.receive()
            seen.append((trio.current_time(), node.me, received))
            if isinstance(received, Frame) and len(received.data) < 20:
                node.broadcast(Channel.VOTE, received.data + b"x")

    async with trio.open_nursery() as nursery:
        nodes = [hub.join(peer) for peer in (A, B, C)]
        nursery.start_soon(hub.run)
        for node in nodes:
            nursery.start_soon(listen, node)
        await trio.sleep(0.001)
        nodes[0].send(B, Channel.VOTE, b"")
        await trio.sleep(0.3)
        nursery.cancel_scope.cancel()
    return sorted(seen, key=lambda entry: (entry[0], entry[1]))
