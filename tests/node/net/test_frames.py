"""Length-prefixed frames: any cut gives the same frames, and no claim above the cap is believed."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.net.frames import FRAME_BYTES_MAX, LENGTH, FrameSplitter, join_frames
from node.net.transport import Channel, PeerFault


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(1, 60))
def test_frames_survive_any_cut(frames: list[bytes], cut: int) -> None:
    stream = join_frames(deque(frames), 1 << 20) if frames else b""
    splitter = FrameSplitter(50)
    got = [frame for at in range(0, len(stream), cut) for frame in splitter.feed(stream[at : at + cut])]
    assert got == frames
    assert splitter.held_bytes == 0


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_garbage_raises_nothing_but_peer_fault_and_keeps_little(parts: list[bytes]) -> None:
    splitter = FrameSplitter(100)
    for part in parts:
        try:
            splitter.feed(part)
        except PeerFault:
            return
        assert splitter.held_bytes < LENGTH.size + 100


@pytest.mark.parametrize("channel", Channel)
def test_the_cap_is_checked_before_the_body(channel: Channel) -> None:
    bytes_max = FRAME_BYTES_MAX[channel]
    splitter = FrameSplitter(bytes_max)
    assert splitter.feed(LENGTH.pack(bytes_max)) == []
    assert splitter.feed(bytes(bytes_max)) == [bytes(bytes_max)]
    with pytest.raises(PeerFault):
        splitter.feed(LENGTH.pack(bytes_max + 1))


def test_small_frames_are_joined_and_a_large_one_goes_alone() -> None:
    queue = deque([b"a" * 10, b"b" * 10, b"c" * 10])
    assert len(join_frames(queue, 20)) == 2 * 14
    assert list(queue) == [b"c" * 10]
    assert len(join_frames(deque([bytes(1000), b"x"]), 20)) == 1004
