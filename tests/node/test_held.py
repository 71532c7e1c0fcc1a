"""Frames of the next epoch: each bound at its limit and one above."""

import pytest

from node.held import HELD_BYTES_MAX, HELD_FRAMES_MAX, HELD_HEIGHTS, HELD_PEER_FRAMES_MAX, Held
from node.net.transport import PeerId
from protocol.types import Height

UNDECIDED = Height(7)


def read(peer: PeerId, payload: bytes) -> None:
    raise AssertionError("nothing is read before it is taken")


def put(held: Held, height: int = 8, peer: int = 0, payload: bytes = b"x") -> bool:
    return held.put(UNDECIDED, Height(height), PeerId(bytes([peer]) * 33), payload, read)


def test_what_was_held_comes_out_once_in_its_order() -> None:
    held = Held()
    assert put(held, 9, 1, b"a") and put(held, 8, 2, b"b")
    assert [(peer[0], payload) for peer, payload, _ in held.take()] == [(1, b"a"), (2, b"b")]
    assert not held.take() and not len(held)


@pytest.mark.parametrize(
    ("height", "is_held"), [(7, False), (8, True), (7 + HELD_HEIGHTS, True), (10, False)]
)
def test_only_the_next_heights_wait(height: int, is_held: bool) -> None:
    assert put(Held(), height) is is_held


def test_a_peer_has_its_share_of_a_height() -> None:
    held = Held()
    assert [put(held) for _ in range(HELD_PEER_FRAMES_MAX + 1)].count(True) == HELD_PEER_FRAMES_MAX
    assert put(held, peer=1) and put(held, height=9)


def test_a_height_has_its_bound() -> None:
    held = Held()
    assert all(put(held, peer=i // HELD_PEER_FRAMES_MAX) for i in range(HELD_FRAMES_MAX))
    assert not put(held, peer=99) and put(held, height=9, peer=99)


def test_bytes_have_their_bound_which_is_free_again_afterwards() -> None:
    held = Held()
    assert put(held, payload=bytes(HELD_BYTES_MAX)) and not put(held, peer=1)
    held.take()
    assert put(held, peer=1)
