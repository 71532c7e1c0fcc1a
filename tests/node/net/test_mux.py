"""The muxer as a machine: two of them back to back, the published frames, and garbage."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.net.mux import (
    FRAME_PAYLOAD_BYTES,
    HEADER,
    INITIAL_WINDOW_BYTES,
    Flag,
    GoAway,
    Kind,
    Mux,
    MuxFault,
    MuxLimits,
    Stream,
    StreamClosed,
    StreamReset,
)
from node.net.transport import PeerFault

SMALL = MuxLimits(inbound_streams_max=4, shared_window_bytes=1 << 20, control_bytes=600)


def frame(kind: int, flags: int, stream_id: int, value: int, body: bytes = b"") -> bytes:
    return HEADER.pack(0, kind, flags, stream_id, value) + body


def data(stream_id: int, body: bytes, flags: int = 0) -> bytes:
    return frame(Kind.DATA, flags, stream_id, len(body), body)


class Pair:
    """Two muxers, and the wire between them."""

    def __init__(self, limits: MuxLimits = MuxLimits()) -> None:  # noqa: B008
        self.dialer = Mux(True, limits)
        self.listener = Mux(False, limits)

    def settle(self) -> None:
        while (out := self.dialer.take_output(1 << 20)) + (back := self.listener.take_output(1 << 20)):
            self.listener.receive(out)
            self.dialer.receive(back)

    def open(self) -> tuple[Stream, Stream]:
        here = self.dialer.open_stream()
        self.settle()
        there = self.listener.accept_stream()
        assert there is not None and there.id == here.id
        return here, there


def test_bytes_arrive_in_order_whatever_the_sizes() -> None:
    pair = Pair()
    here, there = pair.open()
    sent = [bytes([n % 251]) * (n * 977 % 100_000) for n in range(60)]
    got = bytearray()
    for part in sent:
        here.put(part)
        pair.settle()
        while chunk := there.take(33_333):
            got += chunk
    assert bytes(got) == b"".join(sent)


def test_a_stream_opens_as_the_specification_shows() -> None:
    mux = Mux(True, MuxLimits())
    mux.open_stream()
    grant = MuxLimits().window_bytes - INITIAL_WINDOW_BYTES
    assert mux.take_output(1) == struct.pack("!BBHII", 0, 1, 1, 1, grant)  # window update, SYN, stream 1
    mux.receive(struct.pack("!BBHII", 0, 1, 2, 1, 0))  # window update, ACK
    mux.open_stream()
    assert mux.take_output(1)[4:8] == b"\0\0\0\3"


def test_the_listener_opens_even_streams() -> None:
    mux = Mux(False, MuxLimits())
    assert [mux.open_stream().id for _ in range(3)] == [2, 4, 6]


def test_ping_is_answered_with_its_value() -> None:
    pair = Pair()
    pongs: list[int] = []
    pair.dialer.on_pong = pongs.append
    pair.dialer.ping(77)
    pair.settle()
    assert pongs == [77]


def test_the_sender_stops_at_the_window_and_goes_on_when_bytes_are_read() -> None:
    pair = Pair(MuxLimits(window_bytes=INITIAL_WINDOW_BYTES))
    here, there = pair.open()
    here.put(bytes(INITIAL_WINDOW_BYTES + 1))
    pair.settle()
    assert (there.readable_bytes, here.queued_bytes) == (INITIAL_WINDOW_BYTES, 1)
    assert len(there.take(INITIAL_WINDOW_BYTES // 2 - 1)) == INITIAL_WINDOW_BYTES // 2 - 1
    pair.settle()
    assert here.queued_bytes == 1  # half a window has not been read yet
    there.take(1)
    pair.settle()
    assert here.queued_bytes == 0


def test_one_byte_over_the_window_is_a_fault() -> None:
    for size, is_fault in ((INITIAL_WINDOW_BYTES, False), (INITIAL_WINDOW_BYTES + 1, True)):
        mux = Mux(False, MuxLimits(window_bytes=INITIAL_WINDOW_BYTES))
        mux.receive(frame(Kind.WINDOW, Flag.SYN, 1, 0))
        header = frame(Kind.DATA, 0, 1, size)
        if is_fault:
            with pytest.raises(MuxFault, match="overrun"):
                mux.receive(header)  # before any of the body is there
        else:
            mux.receive(header + bytes(size))
            assert mux.held_bytes >= size


def test_half_close_lets_the_other_side_go_on() -> None:
    pair = Pair()
    here, there = pair.open()
    here.put(b"question")
    here.close()
    pair.settle()
    assert there.take(100) == b"question" and there.is_at_end
    with pytest.raises(StreamClosed):
        here.put(b"more")
    there.put(b"answer")
    there.close()
    pair.settle()
    assert here.take(100) == b"answer" and here.is_at_end
    assert pair.dialer.streams == pair.listener.streams == ()


def test_a_write_larger_than_the_queue_is_taken_whole_when_nothing_waits() -> None:
    pair = Pair()
    here, _ = pair.open()
    limit = pair.dialer.limits.send_queue_bytes
    assert here.has_room(16 << 20)
    here.put(bytes(limit - 1))
    assert here.has_room(1) and not here.has_room(2)


def test_reset_ends_both_sides_and_late_bytes_are_skipped() -> None:
    pair = Pair()
    here, there = pair.open()
    here.put(b"late")
    there.reset()
    pair.settle()
    assert here.is_reset and there.is_reset
    with pytest.raises(StreamReset):
        here.put(b"more")
    assert pair.dialer.streams == pair.listener.streams == ()
    assert there.readable_bytes == 0


def test_a_failed_session_keeps_what_arrived_before_the_end() -> None:
    pair = Pair()
    (done, done_there), (cut, cut_there) = pair.open(), pair.open()
    done.put(b"all")
    done.close()
    cut.put(b"half")
    pair.settle()
    pair.listener.fail()
    assert done_there.take(9) == b"all"
    assert cut_there.is_reset and cut_there.readable_bytes == 0


def test_streams_above_the_limit_are_refused_and_closed_ones_make_room() -> None:
    pair = Pair(SMALL)
    opened = [pair.open() for _ in range(SMALL.inbound_streams_max)]
    refused = pair.dialer.open_stream()
    pair.settle()
    assert refused.is_reset and pair.listener.accept_stream() is None
    opened[0][0].reset()
    pair.settle()
    pair.open()


def test_opening_and_resetting_fast_does_not_pile_up() -> None:
    mux = Mux(False, MuxLimits(inbound_streams_max=4))
    for number in range(2_000):
        stream_id = number * 2 + 1
        mux.receive(frame(Kind.WINDOW, Flag.SYN, stream_id, 0) + frame(Kind.WINDOW, Flag.RST, stream_id, 0))
        mux.take_output(1 << 20)
    waiting = 0
    while mux.accept_stream():
        waiting += 1
    assert waiting == 4 and mux.streams == ()


def test_wide_windows_are_shared_and_given_back() -> None:
    limits = MuxLimits(shared_window_bytes=6 << 20)
    mux = Mux(False, limits)
    for stream_id in (1, 3, 5):
        mux.receive(frame(Kind.WINDOW, Flag.SYN, stream_id, 0))
    grants = [HEADER.unpack(mux_frame)[4] for mux_frame in chunks(mux.take_output(1 << 20), HEADER.size)]
    wide = limits.window_bytes - INITIAL_WINDOW_BYTES
    assert grants == [wide, (6 << 20) - wide, 0]
    mux.receive(frame(Kind.WINDOW, Flag.RST, 1, 0) + frame(Kind.WINDOW, Flag.SYN, 7, 0))
    assert HEADER.unpack(mux.take_output(1 << 20))[4] == wide


def chunks(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def test_a_peer_that_never_reads_its_answers_is_a_fault() -> None:
    mux = Mux(False, SMALL)
    allowed = SMALL.control_bytes // HEADER.size
    mux.receive(frame(Kind.PING, Flag.SYN, 0, 1) * allowed)
    with pytest.raises(MuxFault, match="answers"):
        mux.receive(frame(Kind.PING, Flag.SYN, 0, 1))


def test_single_bytes_do_not_cost_an_object_each() -> None:
    mux = Mux(False, MuxLimits())
    mux.receive(frame(Kind.WINDOW, Flag.SYN, 1, 0))
    stream = mux.accept_stream()
    assert stream is not None
    for _ in range(20_000):
        mux.receive(data(1, b"x"))
    assert len(stream._inbound) < 20
    assert stream.take(1 << 20) == b"x" * 20_000


def test_output_fills_whole_records_and_takes_turns() -> None:
    pair = Pair()
    one, two = pair.open()[0], pair.open()[0]
    one.put(bytes(200_000))
    two.put(b"small")
    out = pair.dialer.take_output(FRAME_PAYLOAD_BYTES + HEADER.size + 1)
    first = HEADER.unpack_from(out)
    second = HEADER.unpack_from(out, HEADER.size + FRAME_PAYLOAD_BYTES)
    assert (first[3], first[4]) == (one.id, FRAME_PAYLOAD_BYTES)
    assert (second[3], second[4]) == (two.id, 5)


@pytest.mark.parametrize(
    "bad",
    [
        b"\x01" + frame(Kind.PING, Flag.SYN, 0, 0)[1:],
        frame(4, 0, 0, 0),
        frame(Kind.WINDOW, Flag.SYN, 0, 0),
        frame(Kind.WINDOW, Flag.SYN, 2, 0),
        frame(Kind.WINDOW, Flag.SYN, 1, 0) * 2,
        frame(Kind.DATA, 0, 0, 1),
        frame(Kind.DATA, 0, 2, 1),
        frame(Kind.WINDOW, Flag.SYN, 1, 0xFFFF_FFFF),
        data(1, b"", Flag.SYN | Flag.FIN) + data(1, b"x"),
        frame(Kind.DATA, 0, 9, (4 << 20) + 1),
    ],
    ids=[
        "version",
        "kind",
        "syn 0",
        "our parity",
        "syn twice",
        "id 0",
        "unopened",
        "window",
        "after fin",
        "late",
    ],
)
def test_broken_rules_are_faults(bad: bytes) -> None:
    with pytest.raises(PeerFault):
        Mux(False, MuxLimits()).receive(bad)


@pytest.mark.parametrize(
    ("code", "name"), [(0, "NORMAL"), (1, "PROTOCOL_ERROR"), (2, "INTERNAL_ERROR"), (99, None)]
)
def test_go_away_is_told(code: int, name: str | None) -> None:
    mux = Mux(False, MuxLimits())
    mux.receive(frame(Kind.GO_AWAY, 0, 0, code))
    assert mux.gone is GoAway[name or "INTERNAL_ERROR"]


def held_bound(limits: MuxLimits) -> int:
    streams = limits.inbound_streams_max + 2  # the fuzz opens two of its own
    return streams * INITIAL_WINDOW_BYTES + limits.shared_window_bytes + limits.control_bytes + 1_000


def feed_until_fault(mux: Mux, parts: list[bytes]) -> None:
    """Feed garbage; only MuxFault may come out, and what is kept stays within the bound."""
    for part in parts:
        try:
            mux.receive(part)
        except MuxFault:
            return
        assert mux.held_bytes <= held_bound(mux.limits)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=20), st.booleans())
def test_random_bytes_raise_nothing_but_mux_fault(parts: list[bytes], is_dialer: bool) -> None:
    mux = Mux(is_dialer, SMALL)
    mux.open_stream()
    feed_until_fault(mux, parts)


FRAMES = st.builds(
    lambda kind, flags, stream_id, value, body: frame(kind, flags, stream_id, value, body),
    st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4]),
    st.integers(0, 15),
    st.sampled_from([0, 1, 2, 3, 4, 5, 7, 9, 11, 0xFFFF_FFFF]),
    st.one_of(st.integers(0, 40), st.sampled_from([1 << 18, (1 << 18) + 1, 1 << 22, 0xFFFF_FFFF])),
    st.binary(max_size=40),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(FRAMES, max_size=40), st.booleans(), st.integers(1, 50))
def test_random_frames_raise_nothing_but_mux_fault(frames: list[bytes], is_dialer: bool, cut: int) -> None:
    mux = Mux(is_dialer, SMALL)
    mux.open_stream()
    feed_until_fault(mux, chunks(b"".join(frames), cut))


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["open", "put", "take", "close", "reset", "settle"]),
        st.integers(0, 7),
        st.integers(0, 90_000),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(ACTIONS)
def test_two_muxers_never_fault_each_other(actions: list[tuple[str, int, int]]) -> None:
    """Whatever the owners do, in any order: no fault, and what is read is a prefix of what was written."""
    pair = Pair(MuxLimits(inbound_streams_max=8, shared_window_bytes=1 << 20))
    streams: list[tuple[Stream, Stream]] = []
    wrote: dict[int, bytearray] = {}
    got: dict[int, bytearray] = {}
    counter = 0

    def act(name: str, index: int, size: int) -> None:
        nonlocal counter
        if name == "open" and len(streams) < 8:
            here, there = pair.open()
            streams.append((here, there))
            wrote[here.id], got[here.id] = bytearray(), bytearray()
        elif name == "settle":
            pair.settle()
        elif streams:
            here, there = streams[index % len(streams)]
            doing: dict[str, Callable[[], object]] = {"close": here.close, "reset": there.reset}
            if name == "put" and not (here.is_reset or here.fin_queued) and here.has_room(size):
                counter += 1
                part = bytes([counter % 256]) * size
                here.put(part)
                wrote[here.id] += part
            elif name == "take":
                got[here.id] += there.take(size)
            elif name in doing:
                doing[name]()

    for name, index, size in actions:
        act(name, index, size)
    pair.settle()
    for here, there in streams:
        while part := there.take(1 << 20):
            got[here.id] += part
            pair.settle()
        assert wrote[here.id].startswith(got[here.id])
        if not here.is_reset:
            assert got[here.id] == wrote[here.id]
