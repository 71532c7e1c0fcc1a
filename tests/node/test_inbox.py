"""What waits for the driver: in order, ours always, a peer's up to its share and no more."""

import pytest
import trio

from node.inbox import PEER_BYTES_MAX, PEER_MESSAGES_MAX, Inbox
from node.net.transport import PeerId
from protocol.consensus.inputs import HandOverAsked, Start

ONE, TWO = PeerId(b"\2" + bytes(32)), PeerId(b"\3" + bytes(32))


def test_inputs_leave_in_order() -> None:
    inbox = Inbox()
    inbox.put(Start())
    inbox.put(HandOverAsked(), ONE, 5)
    assert [inbox.take(), inbox.take()] == [Start(), HandOverAsked()]
    assert not inbox


def test_messages_of_one_peer_are_limited_and_nobody_elses() -> None:
    inbox = Inbox()
    for _ in range(PEER_MESSAGES_MAX):
        assert inbox.has_room(ONE, 1)
        inbox.put(HandOverAsked(), ONE, 1)
    assert not inbox.has_room(ONE, 1) and inbox.has_room(TWO, 1)
    inbox.take()
    assert inbox.has_room(ONE, 1)


@pytest.mark.parametrize("above", [0, 1])
def test_bytes_of_one_peer_are_limited(above: int) -> None:
    inbox = Inbox()
    inbox.put(HandOverAsked(), ONE, PEER_BYTES_MAX - 10)
    assert inbox.has_room(ONE, 10 + above) is (above == 0)
    inbox.take()
    assert inbox.has_room(ONE, PEER_BYTES_MAX)


def test_what_is_ours_always_has_room_and_takes_none() -> None:
    inbox = Inbox()
    for _ in range(PEER_MESSAGES_MAX + 1):
        inbox.put(HandOverAsked())
    assert len(inbox) == PEER_MESSAGES_MAX + 1 and inbox.has_room(ONE, PEER_BYTES_MAX)


async def test_wait_ends_when_there_is_something(nursery: trio.Nursery) -> None:
    inbox = Inbox()
    nursery.start_soon(inbox.wait)
    await trio.testing.wait_all_tasks_blocked()
    assert nursery.child_tasks
    inbox.put(Start())
    await trio.testing.wait_all_tasks_blocked()
    assert not nursery.child_tasks
    await inbox.wait()
