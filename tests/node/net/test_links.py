"""Links over real libp2p hosts on loopback."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from node.errors import OperationError
from node.net.connection import Keepalive
from node.net.frames import FRAME_BYTES_MAX
from node.net.host import peer_id_from_secret
from node.net.links import QUEUE_BYTES_MAX, Links
from node.net.transport import Address, Channel, Frame, PeerDown, PeerEntry, PeerId, PeerUp

ANY_PORT = (Address("127.0.0.1", 0),)
PATIENCE_S = 20


def secret_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


# Sorted by public key: the first of any two dials the second.
SECRETS = sorted((secret_of(number) for number in range(1, 9)), key=peer_id_from_secret)
PEERS = [peer_id_from_secret(secret) for secret in SECRETS]


@asynccontextmanager
async def serving(links: Links) -> AsyncIterator[tuple[Address, ...]]:
    async with trio.open_nursery() as nursery:
        yield await nursery.start(links.run)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running(links: Links) -> AsyncIterator[Address]:
    async with serving(links) as (address,):
        yield address


def make_links(
    number: int, listen: tuple[Address, ...] = ANY_PORT, keepalive: Keepalive | None = None
) -> Links:
    return Links(SECRETS[number], listen, (), keepalive=keepalive)


def entry(number: int, *addresses: Address, validator: bool = True) -> PeerEntry:
    return PeerEntry(PEERS[number], addresses, validator)


@asynccontextmanager
async def linked_pair(keepalive: Keepalive | None = None) -> AsyncIterator[tuple[Links, Links]]:
    one, two = make_links(0, keepalive=keepalive), make_links(1, keepalive=keepalive)
    async with running(one) as address_one, running(two) as address_two:
        roster = (entry(0, address_one), entry(1, address_two))
        one.set_roster(roster)
        two.set_roster(roster)
        await wait_for(one, PeerUp(PEERS[1]))
        await wait_for(two, PeerUp(PEERS[0]))
        yield one, two


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.01)


async def wait_for(links: Links, event: PeerUp | PeerDown) -> None:
    with trio.fail_after(PATIENCE_S):
        while True:
            received = await links.receive()
            if isinstance(received, type(event)) and received.peer == event.peer:
                return


async def receive_frame(links: Links) -> Frame:
    with trio.fail_after(PATIENCE_S):
        while True:
            received = await links.receive()
            if isinstance(received, Frame):
                return received


async def test_frames_go_both_ways_on_both_channels() -> None:
    async with linked_pair() as (one, two):
        for channel in Channel:
            assert one.send(two.me, channel, b"from one")
            assert await receive_frame(two) == Frame(one.me, channel, b"from one")
            assert two.send(one.me, channel, b"")
            assert await receive_frame(one) == Frame(two.me, channel, b"")
        assert one.peers() == (two.me,)
        assert one.counters.sent_frames == two.counters.received_frames == 2


async def test_frames_keep_their_order() -> None:
    async with linked_pair() as (one, two):
        for number in range(2_000):
            assert one.send(two.me, Channel.VOTE, number.to_bytes(4, "big"))
        for number in range(2_000):
            assert (await receive_frame(two)).data == number.to_bytes(4, "big")


@pytest.mark.parametrize("channel", Channel)
async def test_the_largest_frame_arrives_and_one_byte_more_is_our_bug(channel: Channel) -> None:
    async with linked_pair() as (one, two):
        data = bytes(FRAME_BYTES_MAX[channel])
        assert one.send(two.me, channel, data)
        assert (await receive_frame(two)).data == data
        with pytest.raises(AssertionError):
            one.send(two.me, channel, data + b"x")


async def test_votes_overtake_bulk() -> None:
    async with linked_pair() as (one, two):
        for _ in range(20):
            assert one.send(two.me, Channel.BULK, bytes(100_000))
        assert one.send(two.me, Channel.VOTE, b"vote")
        await until(lambda: two.counters.received_frames == 21)
        assert (await receive_frame(two)).channel is Channel.VOTE


async def test_bulk_without_room_is_refused_and_the_peer_stays() -> None:
    async with linked_pair() as (one, two):
        frame = bytes(FRAME_BYTES_MAX[Channel.BULK])
        sent = 0
        while one.send(two.me, Channel.BULK, frame):
            sent += 1
        assert sent == QUEUE_BYTES_MAX[Channel.BULK] // len(frame) - 1  # the 4-byte lengths count too
        assert one.counters.refused_frames == 1
        assert one.peers() == (two.me,)


async def test_room_comes_back_when_frames_have_gone() -> None:
    """Send six times what a vote queue holds, to a peer that takes it."""
    async with linked_pair() as (one, two):
        frame = bytes(1 << 19)
        for _ in range(6 * QUEUE_BYTES_MAX[Channel.VOTE] // len(frame)):
            assert one.send(two.me, Channel.VOTE, frame)
            assert (await receive_frame(two)).data == frame
        await until(lambda: one._links[two.me].lanes[Channel.VOTE].queued_bytes == 0)


async def test_a_peer_that_takes_no_votes_is_cut() -> None:
    async with linked_pair() as (one, two):
        while one.send(two.me, Channel.VOTE, bytes(1 << 20)):
            pass
        assert one.peers() == ()
        await wait_for(one, PeerDown(two.me, ""))
        await wait_for(one, PeerUp(two.me))  # and comes back by itself


async def test_broadcast_reaches_validators_only() -> None:
    one, two, three = (make_links(number) for number in range(3))
    async with running(one) as at_one, running(two) as at_two, running(three) as at_three:
        roster = (entry(0, at_one), entry(1, at_two), entry(2, at_three, validator=False))
        for links in (one, two, three):
            links.set_roster(roster)
        await wait_for(one, PeerUp(PEERS[1]))
        await until(lambda: len(one.peers()) == 2)
        assert one.broadcast(Channel.BULK, b"to all") == 1
        assert (await receive_frame(two)).data == b"to all"
        assert one.send(three.me, Channel.BULK, b"to you")
        assert (await receive_frame(three)).data == b"to you"


async def test_a_node_that_cannot_be_reached_dials() -> None:
    one, two = make_links(0), make_links(1)
    async with running(one) as at_one, running(two):
        roster = (entry(0, at_one), entry(1))  # two is greater, but has no address
        one.set_roster(roster)
        two.set_roster(roster)
        await wait_for(one, PeerUp(two.me))


@pytest.mark.parametrize("host", ["::1", "localhost"])
async def test_addresses_may_be_ipv6_or_names(host: str) -> None:
    one, two = make_links(0), make_links(1, listen=(Address(host, 0),))
    try:
        for listener in await trio.open_tcp_listeners(0, host="::1"):
            await listener.aclose()
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with running(one) as at_one, serving(two) as addresses:
        roster = (entry(0, at_one), entry(1, Address(host, addresses[0].port)))
        one.set_roster(roster)
        two.set_roster(roster)
        await wait_for(one, PeerUp(two.me))


async def test_every_address_of_a_peer_is_tried() -> None:
    one, two = make_links(0), make_links(1)
    async with running(one) as at_one, running(two) as at_two:
        dead = Address("127.0.0.1", 9)
        roster = (entry(0, at_one), entry(1, dead, at_two))
        one.set_roster(roster)
        two.set_roster(roster)
        await wait_for(one, PeerUp(two.me))


async def test_a_restarted_peer_comes_back() -> None:
    one = make_links(0)
    async with running(one) as at_one:
        two = make_links(1)
        async with running(two) as at_two:
            roster = (entry(0, at_one), entry(1, at_two))
            one.set_roster(roster)
            two.set_roster(roster)
            await wait_for(one, PeerUp(two.me))
        await wait_for(one, PeerDown(two.me, ""))
        assert not one.send(two.me, Channel.VOTE, b"lost")
        again = Links(SECRETS[1], (at_two,), roster)
        async with running(again):
            await wait_for(one, PeerUp(two.me))
            await wait_for(again, PeerUp(one.me))
            assert one.send(two.me, Channel.VOTE, b"back")
            assert (await receive_frame(again)).data == b"back"


async def test_who_leaves_the_roster_is_cut() -> None:
    async with linked_pair() as (one, two):
        one.set_roster(())
        await wait_for(two, PeerDown(one.me, ""))
        assert one.peers() == ()


async def test_a_taken_port_is_an_operation_error() -> None:
    async with running(make_links(0)) as address:
        with pytest.raises(OperationError) as caught:
            await make_links(1, listen=(address,)).run()
        assert caught.value.slug == "net.listen"
    async with running(make_links(1, listen=(address,))):  # closed means closed
        pass


async def test_a_second_instance_with_the_same_key_replaces_the_first() -> None:
    one, two = make_links(1), make_links(0)
    async with running(one) as at_one, running(two) as at_two:
        roster = (entry(1, at_one), entry(0, at_two))
        one.set_roster(roster)
        two.set_roster(roster)
        await wait_for(one, PeerUp(two.me))
        twin = Links(SECRETS[0], ANY_PORT, roster)
        async with running(twin):
            await wait_for(twin, PeerUp(one.me))
            await wait_for(one, PeerDown(two.me, ""))
            await wait_for(one, PeerUp(PeerId(two.me)))


@pytest.mark.parametrize("who", [0, 1])
async def test_who_is_banned_is_cut_and_comes_back_whoever_dials(who: int) -> None:
    async with linked_pair() as pair:
        judge, culprit = pair[who], PEERS[1 - who]
        before = judge.counters.peers_up
        began = trio.current_time()
        judge.ban(culprit, 1.0, "it floods")
        judge.ban(culprit, 60.0, "once is enough")
        assert judge.peers() == ()
        await until(lambda: judge.peers() == (culprit,))
        assert trio.current_time() - began >= 1.0 and judge.counters.peers_up == before + 1
