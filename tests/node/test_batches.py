"""Batches wait in turn, and who floods loses only its own."""

import pytest
import trio

from node import batches as batches_module
from node.batches import RAW_BYTES, Batches
from node.net.transport import PeerId

ONE, TWO = PeerId(b"\2" + bytes(32)), PeerId(b"\3" + bytes(32))


async def take_all(batches: Batches) -> list[tuple[bytes, ...]]:
    taken = []
    with trio.move_on_after(0):
        while batches._queues:
            taken.append(await batches.take())
    return taken


async def test_senders_take_turns() -> None:
    batches = Batches()
    for number in range(4):
        assert batches.put(ONE, (b"one %d" % number,))
    assert batches.put(TWO, (b"two",)) and batches.put(None, (b"gossip",))
    assert [raws[0] for raws in await take_all(batches)] == [
        b"one 0",
        b"two",
        b"gossip",
        b"one 1",
        b"one 2",
        b"one 3",
    ]


@pytest.mark.parametrize("room", [0, -1])
async def test_bytes_of_one_sender_are_limited_and_nobody_elses(
    monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(batches_module, "WAITING_BYTES_MAX", 2 * (100 + 2 * RAW_BYTES) + room)
    batches, raws = Batches(), (bytes(100),)
    assert [batches.put(ONE, raws) for _ in range(3)] == [True, room == 0, False]
    assert batches.put(TWO, raws)
    assert len(await take_all(batches)) == 3 + room
    assert [batches.put(ONE, raws) for _ in range(2)] == [True, room == 0]


async def test_batches_of_nothing_end_too() -> None:
    batches = Batches()
    with trio.fail_after(20):
        while batches.put(ONE, ()):
            await trio.lowlevel.checkpoint()


async def test_take_waits(nursery: trio.Nursery) -> None:
    batches = Batches()
    found: list[tuple[bytes, ...]] = []

    async def take() -> None:
        found.append(await batches.take())

    nursery.start_soon(take)
    await trio.testing.wait_all_tasks_blocked()
    assert found == []
    batches.put(ONE, (b"x",))
    await trio.testing.wait_all_tasks_blocked()
    assert found == [(b"x",)]
