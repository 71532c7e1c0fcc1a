"""Gossip over real hosts in a line: what the ends say reaches the other end only through the middle."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any, ClassVar

import pytest
import trio
import trio.testing

from node.net import gossip as gossip_module
from node.net.connection import Connection
from node.net.gossip import MESSAGE_BYTES_MAX, PEER_QUEUE_MAX, PROTOCOL, RPC_BYTES_MAX, Gossip, GossipNet
from node.net.host import RPC, Host, Message, peer_id_from_secret
from node.net.mux import StreamReset
from node.net.transport import Address

TX = "coopd/test/tx/1"
ANY_PORT = (Address("127.0.0.1", 0),)
SECRETS = [bytes([n]) * 32 for n in (1, 2, 3)]
PEERS = [peer_id_from_secret(secret) for secret in SECRETS]
PATIENCE_S = 30


def check(topic: str, data: bytes) -> bool:
    if data == b"raise":
        raise ValueError("a check that fails refuses")
    return not data.startswith(b"bad")


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.01)


@asynccontextmanager
async def line(count: int) -> AsyncIterator[list[GossipNet]]:
    """Run some hosts, each linked to the next, with gossip on all."""
    nets = [GossipNet(Host(secret, PEERS.__contains__), [TX], check) for secret in SECRETS[:count]]
    async with trio.open_nursery() as nursery:
        addresses = [(await nursery.start(net.host.run, ANY_PORT))[0] for net in nets]
        for net, following, address in zip(nets, nets[1:], addresses[1:], strict=False):
            await net.host.dial(following.host.me, address)
        for net in nets:
            nursery.start_soon(net.run)
        for net, following in pairwise(nets):
            await until(lambda net=net, other=following: other.host.me in net.neighbours(TX))  # type: ignore[misc]
            await until(lambda net=net, other=following: net.host.me in other.neighbours(TX))  # type: ignore[misc]
        yield nets
        nursery.cancel_scope.cancel()


async def receive(net: GossipNet) -> Gossip:
    with trio.fail_after(PATIENCE_S):
        return await net.receive()


async def test_a_message_goes_through_the_middle_with_its_origin() -> None:
    async with line(3) as (one, two, three):
        assert one.publish(TX, b"hello")
        assert await receive(three) == await receive(two) == Gossip(TX, PEERS[0], b"hello")
        assert three.publish(TX, bytes(MESSAGE_BYTES_MAX))
        assert (await receive(one)).data == bytes(MESSAGE_BYTES_MAX)
        with pytest.raises(AssertionError):
            one.publish(TX, bytes(MESSAGE_BYTES_MAX + 1))


async def test_a_burst_is_not_lost() -> None:
    """libp2p's own limits would let 10 a second, or 32 at once, through."""
    async with line(3) as (one, _, three):
        sent = {bytes([n]) * 300 for n in range(200)}
        for data in sorted(sent):
            assert one.publish(TX, data)
        assert {(await receive(three)).data for _ in sent} == sent


async def test_what_the_check_refuses_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with line(3) as (one, two, three):
        monkeypatch.setattr(one, "_check", lambda topic, data: True)
        for data in (b"bad", b"raise", b"good"):
            assert one.publish(TX, data)
        assert (await receive(three)).data == b"good"
        assert (await receive(two)).data == b"good"
        assert (two.refused_messages, two.faults, three.refused_messages) == (2, 1, 0)


async def test_the_same_content_is_delivered_once() -> None:
    async with line(2) as (one, two):
        for data in (b"same", b"same", b"other"):
            assert one.publish(TX, data)
        assert [(await receive(two)).data for _ in range(2)] == [b"same", b"other"]


async def test_when_nobody_receives_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip_module, "INBOX_BYTES_MAX", 10_000)
    async with line(2) as (one, two):
        for n in range(30):
            assert one.publish(TX, bytes([n]) * 1_000)
        await until(lambda: two.received_messages == 30)
        assert two._inbox_bytes <= 10_000
        assert two.dropped_messages == 24
        assert (await receive(two)).data == bytes([24]) * 1_000


def test_publishing_refuses_when_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip_module, "OUTBOX_BYTES_MAX", 2 * (1_000 + gossip_module.MESSAGE_COST_BYTES))
    net = GossipNet(Host(SECRETS[0], lambda _: True), [TX], check)
    assert [net.publish(TX, bytes(1_000)) for _ in range(3)] == [True, True, False]


def hostile_message() -> bytes:
    """Make a well-formed RPC with a message whose key does not parse."""
    message = Message(
        data=b"x", topicIDs=[TX], from_id=b"\x12\x03abc", seqno=bytes(8), signature=b"s", key=b"\xff"
    )
    body = message.SerializeToString()
    return rpc(b"\x12" + bytes([len(body)]) + body)


def rpc(body: bytes) -> bytes:
    return bytes([len(body)]) + body


@pytest.mark.parametrize(
    "packet",
    [
        rpc(b"\xff" * 40),
        hostile_message(),
        b"\xff" * 10,
        rpc(b"\x1a\x04\x0a\x02\x0a\x00"),
        b"\xff\xff\xff\x7f",
    ],
    ids=["no protobuf", "no key", "no length", "control", "too large"],
)
async def test_a_packet_that_kills_stock_gossip_costs_a_stream(packet: bytes) -> None:
    async with line(2) as (one, two):
        connection: Connection = one.host.connections[0]
        pipe = await one.host.open_stream(connection, PROTOCOL)
        await pipe.write(packet)
        pipe.close()
        await trio.sleep(0.2)
        assert one.publish(TX, b"still there")
        assert (await receive(two)).data == b"still there"
        assert two.restarts == 0


async def test_structured_garbage_does_not_stop_gossip() -> None:
    """Well-formed RPCs with every field that there is, filled by chance."""
    chance = random.Random(1)
    async with line(3) as (one, two, three):
        connection = one.host.connections[0]
        for _ in range(10):
            pipe = await one.host.open_stream(connection, PROTOCOL)
            for _ in range(30):
                with suppress(StreamReset):
                    await pipe.write(rpc_by_chance(chance))
            pipe.close()
        await trio.sleep(0.2)
        assert three.publish(TX, b"still there")  # what becomes of its own messages is the sender's affair
        assert (await receive(two)).data == b"still there"
        assert two.restarts == 0


def rpc_by_chance(chance: random.Random) -> bytes:
    def some() -> bytes:
        return chance.choice([b"", b"\xff", PEERS[0], chance.randbytes(chance.randrange(60)), bytes(39)])

    def topic() -> str:
        return chance.choice([TX, "", "other", "\x00"])

    packet = RPC()
    for _ in range(chance.randrange(3)):
        topics = [topic() for _ in range(chance.randrange(3))]
        packet.publish.append(
            Message(from_id=some(), data=some(), seqno=some(), topicIDs=topics, signature=some(), key=some())
        )
    for _ in range(chance.randrange(3)):
        packet.subscriptions.add(subscribe=chance.random() < 0.5, topicid=topic())
    if chance.random() < 0.5:
        packet.control.ihave.add(topicID=topic(), messageIDs=[some()])
        packet.control.iwant.add(messageIDs=[some()])
        packet.control.graft.add(topicID=topic())
        packet.control.prune.add(topicID=topic(), backoff=chance.choice([0, 1, 1 << 63]))
    if chance.random() < 0.2:
        packet.senderRecord = some()
    body = packet.SerializeToString()
    return bytes([len(body) & 127 | 128, len(body) >> 7 & 127 | 128, len(body) >> 14]) + body


async def test_a_new_connection_carries_gossip_at_once() -> None:
    async with line(2) as (one, two):
        old = one.host.connections[0]
        await one.host.dial(two.host.me, two.host.addresses[0])
        assert old.closed.is_set()
        pubsub: Any = one._pubsub
        await until(lambda: PEERS[1] in one.neighbours(TX) and PEERS[0] in two.neighbours(TX))
        assert one.publish(TX, b"one") and two.publish(TX, b"two")
        assert [(await receive(two)).data, (await receive(one)).data] == [b"one", b"two"]
        assert one._pubsub is pubsub


async def test_gossip_that_dies_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip_module, "RESTART_S", 0.0)
    async with line(2) as (one, two):

        async def die(*_: Any) -> None:
            raise RuntimeError("a bug in the library")

        pubsub: Any = two._pubsub
        pubsub.manager.run_task(die)
        await until(lambda: two.restarts == 1)
        await until(lambda: two._pubsub is not pubsub and one.neighbours(TX) == (PEERS[1],))
        await until(lambda: two.neighbours(TX) == (PEERS[0],))
        assert two.publish(TX, b"back")
        assert (await receive(one)).data == b"back"


def varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


@pytest.mark.parametrize("size", [RPC_BYTES_MAX, RPC_BYTES_MAX + 1])
async def test_a_frame_has_at_most_so_many_bytes(size: int) -> None:
    """A frame with a word that is understood, filled with a field that nobody knows."""
    word = RPC(subscriptions=[RPC.SubOpts(subscribe=False, topicid=TX)]).SerializeToString()
    filling = size - len(word) - 4
    body = word + b"\x7a" + varint(filling) + bytes(filling)
    async with line(2) as (one, two):
        pipe = await one.host.open_stream(one.host.connections[0], PROTOCOL)
        with suppress(StreamReset):
            await pipe.write(varint(len(body)) + body)
        if size <= RPC_BYTES_MAX:
            await until(lambda: one.host.me not in two.neighbours(TX))
        else:
            with trio.fail_after(PATIENCE_S), pytest.raises(StreamReset):
                while await pipe.read(1):
                    pass
            assert one.host.me in two.neighbours(TX)


@pytest.mark.parametrize("waiting", [PEER_QUEUE_MAX - 1, PEER_QUEUE_MAX])
async def test_publishing_waits_while_a_neighbour_has_so_many_before_it(
    waiting: int, autojump_clock: trio.testing.MockClock
) -> None:
    class Queues:
        peer_queues: ClassVar = {"slow": [b"x"] * waiting}
        published_at = -1.0

        async def publish(self, topic: str, data: bytes) -> None:
            self.published_at = trio.current_time()

    net = GossipNet(Host(SECRETS[0], PEERS.__contains__), [TX], check)
    assert net.publish(TX, b"hello")
    began, queues = trio.current_time(), Queues()
    with trio.move_on_after(2 * gossip_module.PATIENCE_S):
        await net._publish_forever(queues)  # type: ignore[arg-type]
    is_held = queues.published_at - began >= gossip_module.PATIENCE_S
    assert queues.published_at >= 0 and is_held is (waiting >= PEER_QUEUE_MAX)
