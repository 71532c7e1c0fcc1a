"""Frames: any cutting of the stream gives the same frames; the limit holds before anything is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ipc.frames import FRAME_BYTES_MAX, FrameReader, frame
from protocol.errors import Code, Rejected


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 9), min_size=1))
def test_any_cutting_gives_the_same_frames(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame, payloads))
    reader, found, at, turn = FrameReader(), [], 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        found += reader.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert found == payloads


def test_a_frame_of_the_limit_passes_and_one_above_is_refused_by_its_header() -> None:
    assert FrameReader(3).feed(frame(b"abc")) == [b"abc"]
    with pytest.raises(Rejected) as caught:
        FrameReader(3).feed(frame(b"abcd")[:4])
    assert caught.value.code == Code.TOO_LARGE


def test_by_itself_a_frame_has_at_most_so_many_bytes() -> None:
    head = FRAME_BYTES_MAX.to_bytes(4, "big")
    assert frame(bytes(FRAME_BYTES_MAX))[:4] == head and FrameReader().feed(head) == []
    with pytest.raises(Rejected) as caught:
        FrameReader().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
    assert caught.value.code == Code.TOO_LARGE
    with pytest.raises(AssertionError):
        frame(bytes(FRAME_BYTES_MAX + 1))
