"""Many streams over one secure session: the `/yamux/1.0.0` wire protocol, as a machine that does no I/O.

Why our own: py-libp2p's can deadlock two busy peers for good, and does not enforce its receive window.
This one is byte-compatible with it and with js-libp2p.

It knows no socket, clock or task, and no libp2p. `connection.py` drives it, `host.py` puts it under libp2p.

Rules:
    1. Reading never writes: answers wait in the machine until `take_output` is called.
    2. Everything a peer can make us keep is bounded by `MuxLimits`. Bytes that break a bound or the protocol
       raise MuxFault; no bytes raise anything else.
    3. Both sides of a stream close independently (FIN); RST ends both at once.

Source: hashicorp/yamux spec.md; libp2p specs, yamux/README.md.
Departs: window beyond the initial 256 KiB is shared by all streams of a connection, first come first served.
So a connection's memory is bounded, and the few long-lived lanes get wide windows.
"""

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from node.net.transport import PeerFault

HEADER = struct.Struct("!BBHII")
INITIAL_WINDOW_BYTES = 256 << 10
"""What each side may send on a fresh stream; fixed by the protocol."""

FRAME_PAYLOAD_BYTES = 65_519 - HEADER.size
"""Payload that makes header and payload exactly one full Noise record."""


SMALL_PART_BYTES = 4 << 10
"""Received parts below this size are copied together."""


class Kind(IntEnum):
    """Name the frame types of the protocol."""

    DATA = 0
    WINDOW = 1
    PING = 2
    GO_AWAY = 3


class Flag(IntFlag):
    """Name the frame flags of the protocol."""

    SYN = 1
    ACK = 2
    FIN = 4
    RST = 8


class GoAway(IntEnum):
    """Say why a side ends the session."""

    NORMAL = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2


class MuxFault(PeerFault):
    """Report that the peer broke the muxer protocol or one of our bounds."""


class StreamReset(Exception):
    """Report that a stream ended at once: by either side, or with its connection."""


class StreamClosed(Exception):
    """Report a write on a stream that this side has closed."""


@dataclass(frozen=True, slots=True)
class MuxLimits:
    """Bound what one connection may cost.

    Rules:
        1. Received bytes held never exceed
           (inbound_streams_max + our own streams) x 256 KiB + shared_window_bytes.
    """

    inbound_streams_max: int = 64
    window_bytes: int = 4 << 20
    """Receive window of one stream, as far as the shared window reaches."""
    shared_window_bytes: int = 16 << 20
    """Window granted beyond the initial one, over all streams of the connection."""
    send_queue_bytes: int = 1 << 20
    """A stream takes writes until this much is queued; a larger one is taken whole when nothing is queued."""
    control_bytes: int = 64 << 10
    """Answers owed to a peer that sends but does not read."""


def _nothing() -> None:
    return None


class Stream:
    """Hold one stream of a `Mux`: what has come in, what is still to go out, and which sides are closed."""

    __slots__ = (
        "_grant_bytes",
        "_inbound",
        "_inbound_bytes",
        "_mux",
        "_outbound",
        "_outbound_bytes",
        "_receive_window",
        "_scheduled",
        "_send_window",
        "_target_bytes",
        "fin_queued",
        "fin_received",
        "fin_sent",
        "id",
        "is_reset",
        "on_readable",
        "on_writable",
        "opened_here",
    )

    def __init__(self, mux: "Mux", stream_id: int, opened_here: bool, target_bytes: int) -> None:
        self._mux = mux
        self.id = stream_id
        self.opened_here = opened_here
        self._send_window = INITIAL_WINDOW_BYTES
        self._target_bytes = target_bytes
        self._receive_window = target_bytes
        self._grant_bytes = 0
        self._inbound: deque[bytes | bytearray | memoryview] = deque()
        self._inbound_bytes = 0
        self._outbound: deque[bytes | memoryview] = deque()
        self._outbound_bytes = 0
        self._scheduled = False
        self.fin_queued = self.fin_sent = self.fin_received = self.is_reset = False
        self.on_readable: Callable[[], object] = _nothing
        self.on_writable: Callable[[], object] = _nothing

    @property
    def readable_bytes(self) -> int:
        """Count the bytes that have arrived and were not taken."""
        return self._inbound_bytes

    @property
    def queued_bytes(self) -> int:
        """Count the bytes written and not yet handed to the session."""
        return self._outbound_bytes

    @property
    def is_at_end(self) -> bool:
        """Tell whether the peer has closed its side and everything was read."""
        return self.fin_received and not self._inbound_bytes

    def has_room(self, size_bytes: int) -> bool:
        """Tell whether a write of this size would be taken now."""
        limit_bytes = self._mux.limits.send_queue_bytes
        return not self._outbound_bytes or self._outbound_bytes + size_bytes <= limit_bytes

    def take(self, bytes_max: int) -> bytes:
        """Remove and return up to `bytes_max` received bytes; b"" when none are there."""
        parts: list[bytes | bytearray | memoryview] = []
        left = bytes_max
        while left and self._inbound:
            part = self._inbound[0]
            if len(part) <= left:
                parts.append(self._inbound.popleft())
                left -= len(part)
            else:
                parts.append(part[:left])
                self._inbound[0] = memoryview(part)[left:]
                left = 0
        taken_bytes = bytes_max - left
        self._inbound_bytes -= taken_bytes
        self._grant_bytes += taken_bytes
        if self._grant_bytes * 2 >= self._target_bytes and not (self.fin_received or self.is_reset):
            self._mux._grant(self)
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    def put(self, data: bytes) -> None:
        """Queue bytes to be sent, whole. The caller has asked `has_room`.

        Raises:
            StreamReset, StreamClosed: the stream takes no more bytes.
        """
        if self.is_reset:
            raise StreamReset(f"stream {self.id} was reset")
        if self.fin_queued:
            raise StreamClosed(f"stream {self.id} is closed for writing")
        if data:
            self._outbound.append(data)
            self._outbound_bytes += len(data)
            self._mux._schedule(self)

    def close(self) -> None:
        """Close our side after what is queued; the peer may go on sending."""
        if not (self.fin_queued or self.is_reset):
            self.fin_queued = True
            self._mux._schedule(self)

    def reset(self) -> None:
        """End both sides at once and forget everything queued."""
        if not self.is_reset:
            self._mux._refuse(self.id)
            self._mux._end(self)

    def _keep(self, part: bytes) -> None:
        """Keep received bytes; small parts are joined, or a peer could cost us an object for every byte."""
        inbound = self._inbound
        if inbound and isinstance(inbound[-1], bytearray) and len(inbound[-1]) < SMALL_PART_BYTES:
            inbound[-1] += part
        else:
            inbound.append(part if len(part) >= SMALL_PART_BYTES else bytearray(part))
        self._inbound_bytes += len(part)
        self.on_readable()

    def _move_output(self, budget_bytes: int, parts: list[bytes | memoryview]) -> int:
        """Move up to `budget_bytes` of queued bytes into `parts`."""
        size = left = min(self._outbound_bytes, self._send_window, budget_bytes)
        while left:
            part = self._outbound[0]
            if len(part) <= left:
                parts.append(self._outbound.popleft())
                left -= len(part)
            else:
                parts.append(memoryview(part)[:left])
                self._outbound[0] = memoryview(part)[left:]
                left = 0
        self._send_window -= size
        self._outbound_bytes -= size
        return size


class Mux:
    """Turn session bytes into streams and streams into session bytes."""

    __slots__ = (
        "_accepted",
        "_body_flags",
        "_body_left",
        "_body_stream",
        "_control",
        "_head",
        "_inbound_streams",
        "_is_dialer",
        "_next_id",
        "_ready",
        "_shared_left_bytes",
        "_streams",
        "gone",
        "limits",
        "on_accept",
        "on_output",
        "on_pong",
    )

    def __init__(self, is_dialer: bool, limits: MuxLimits) -> None:
        self.limits = limits
        self._is_dialer = is_dialer
        self._next_id = 1 if is_dialer else 2
        self._streams: dict[int, Stream] = {}
        self._inbound_streams = 0
        self._shared_left_bytes = limits.shared_window_bytes
        self._accepted: deque[Stream] = deque()
        self._control = bytearray()
        self._ready: deque[Stream] = deque()
        self._head = b""
        self._body_left = 0
        self._body_stream: Stream | None = None
        self._body_flags = 0
        self.gone: GoAway | None = None
        """The code with which the peer said that it ends the session."""
        self.on_output: Callable[[], object] = _nothing
        self.on_accept: Callable[[], object] = _nothing
        self.on_pong: Callable[[int], None] = lambda _value: None

    # ---- what the owner asks for

    @property
    def streams(self) -> tuple[Stream, ...]:
        """List the streams that are not yet over."""
        return tuple(self._streams.values())

    @property
    def held_bytes(self) -> int:
        """Count received bytes kept for readers, and answers kept for the peer."""
        readable_bytes = sum(stream.readable_bytes for stream in self._streams.values())
        return readable_bytes + len(self._control) + len(self._head)

    def open_stream(self) -> Stream:
        """Open a stream; the peer learns of it with the next output."""
        stream = self._add_stream(self._next_id, opened_here=True)
        self._next_id += 2
        self._answer(Kind.WINDOW, Flag.SYN, stream.id, stream._target_bytes - INITIAL_WINDOW_BYTES)
        return stream

    def accept_stream(self) -> Stream | None:
        """Return the next stream that the peer opened, oldest first."""
        return self._accepted.popleft() if self._accepted else None

    def ping(self, value: int) -> None:
        """Ask the peer to answer `value`; `on_pong` is called with it."""
        self._answer(Kind.PING, Flag.SYN, 0, value)

    def go_away(self, code: GoAway) -> None:
        """Tell the peer that this side ends the session."""
        self._answer(Kind.GO_AWAY, Flag(0), 0, code)

    def fail(self) -> None:
        """End every stream, because the session is gone. What arrived before a peer's FIN stays readable."""
        for stream in self.streams:
            self._end(stream)
        self._accepted.clear()
        self.on_accept()

    # ---- session bytes out

    def take_output(self, budget_bytes: int) -> bytes:
        """Remove and return about `budget_bytes` for the session; b"" when there is nothing to say.

        Rules:
            1. Answers go first, then one frame a stream in turn.
        """
        parts: list[bytes | memoryview] = [bytes(self._control)] if self._control else []
        self._control.clear()
        left = budget_bytes
        for _ in range(len(self._ready)):
            if left <= 0:
                break
            stream = self._ready.popleft()
            stream._scheduled = False
            left -= self._output_of(stream, parts)
        return b"".join(parts)

    def _output_of(self, stream: Stream, parts: list[bytes | memoryview]) -> int:
        if stream.is_reset:
            return 0
        size = 0
        if stream._outbound_bytes and stream._send_window:
            at = len(parts)
            parts.append(b"")
            size = stream._move_output(FRAME_PAYLOAD_BYTES, parts)
            parts[at] = HEADER.pack(0, Kind.DATA, 0, stream.id, size)
            if stream._outbound_bytes * 2 <= self.limits.send_queue_bytes:
                stream.on_writable()
        if stream._outbound_bytes:
            if stream._send_window:
                self._schedule(stream)
        elif stream.fin_queued and not stream.fin_sent:
            parts.append(HEADER.pack(0, Kind.WINDOW, Flag.FIN, stream.id, 0))
            stream.fin_sent = True
            self._forget_when_over(stream)
        return size + HEADER.size

    def _answer(self, kind: Kind, flags: Flag, stream_id: int, value: int) -> None:
        self._control += HEADER.pack(0, kind, flags, stream_id, value)
        self.on_output()

    def _schedule(self, stream: Stream) -> None:
        if not stream._scheduled:
            stream._scheduled = True
            self._ready.append(stream)
            self.on_output()

    def _grant(self, stream: Stream) -> None:
        size, stream._grant_bytes = stream._grant_bytes, 0
        stream._receive_window += size
        self._answer(Kind.WINDOW, Flag(0), stream.id, size)

    def _refuse(self, stream_id: int) -> None:
        self._answer(Kind.WINDOW, Flag.RST, stream_id, 0)

    # ---- session bytes in

    def receive(self, data: bytes) -> None:
        """Take the next bytes of the session.

        Raises:
            MuxFault: the peer broke the protocol or a bound; the session must end.
        """
        if self._head:
            data = self._head + data
            self._head = b""
        at, end = 0, len(data)
        while at < end:
            if self._body_left:
                size = min(self._body_left, end - at)
                self._on_body(data[at : at + size] if size < end else data)
                at += size
            elif end - at < HEADER.size:
                self._head = data[at:]
                break
            else:
                self._on_header(*HEADER.unpack_from(data, at))
                at += HEADER.size
        if len(self._control) > self.limits.control_bytes:
            raise MuxFault("the peer asks for more answers than it reads")

    def _on_header(self, version: int, kind: int, flags: int, stream_id: int, value: int) -> None:
        if version != 0:
            raise MuxFault(f"version {version} is not known")
        if kind == Kind.PING:
            self._on_ping(flags, value)
        elif kind == Kind.GO_AWAY:
            self.gone = GoAway(value) if value in GoAway._value2member_map_ else GoAway.INTERNAL_ERROR
        elif kind == Kind.DATA or kind == Kind.WINDOW:
            self._on_stream_frame(Kind(kind), flags, stream_id, value)
        else:
            raise MuxFault(f"frame type {kind} is not known")

    def _on_ping(self, flags: int, value: int) -> None:
        if flags & Flag.SYN:
            self._answer(Kind.PING, Flag.ACK, 0, value)
        elif flags & Flag.ACK:
            self.on_pong(value)

    def _on_stream_frame(self, kind: Kind, flags: int, stream_id: int, value: int) -> None:
        if flags & Flag.SYN:
            stream = self._on_syn(stream_id)
        else:
            stream = self._streams.get(stream_id)
            if stream is None and not self._was_ever_open(stream_id):
                raise MuxFault(f"stream {stream_id} was never opened")
        if kind == Kind.WINDOW:
            if stream is not None:
                self._on_window(stream, value)
            self._on_flags(stream, flags)
            return
        if stream is not None:
            if value > stream._receive_window:
                raise MuxFault(f"{value} bytes overrun the window of {stream._receive_window}")
            if value and stream.fin_received:
                raise MuxFault(f"stream {stream_id} sends after its end")
            stream._receive_window -= value
        elif value > self.limits.window_bytes:
            # Late data for a stream that we have reset is skipped, but only as much as we could have granted.
            raise MuxFault(f"{value} bytes for a stream that is over")
        self._body_left, self._body_stream, self._body_flags = value, stream, flags
        if not value:
            self._on_flags(stream, flags)

    def _on_syn(self, stream_id: int) -> Stream | None:
        if stream_id == 0 or bool(stream_id & 1) == self._is_dialer:
            raise MuxFault(f"stream {stream_id} is not the peer's to open")
        if stream_id in self._streams:
            raise MuxFault(f"stream {stream_id} is opened twice")
        streams_max = self.limits.inbound_streams_max
        if self._inbound_streams >= streams_max or len(self._accepted) >= streams_max:
            self._refuse(stream_id)
            return None
        stream = self._add_stream(stream_id, opened_here=False)
        self._answer(Kind.WINDOW, Flag.ACK, stream_id, stream._target_bytes - INITIAL_WINDOW_BYTES)
        self._accepted.append(stream)
        self.on_accept()
        return stream

    def _was_ever_open(self, stream_id: int) -> bool:
        """Tell whether this may be a stream that is over; of the peer's we keep no list."""
        if stream_id == 0:
            return False
        ours = bool(stream_id & 1) == self._is_dialer
        return stream_id < self._next_id if ours else True

    def _on_window(self, stream: Stream, size: int) -> None:
        if stream._send_window + size > 0xFFFF_FFFF:
            raise MuxFault(f"stream {stream.id} is granted more than a window can hold")
        stream._send_window += size
        if size and stream._outbound_bytes:
            self._schedule(stream)

    def _on_body(self, part: bytes) -> None:
        self._body_left -= len(part)
        stream = self._body_stream
        if stream is not None and not stream.is_reset:
            stream._keep(part)
        if not self._body_left:
            self._body_stream = None
            self._on_flags(stream, self._body_flags)

    def _on_flags(self, stream: Stream | None, flags: int) -> None:
        if stream is None or stream.is_reset:
            return
        if flags & Flag.RST:
            self._end(stream)
        elif flags & Flag.FIN:
            stream.fin_received = True
            stream.on_readable()
            self._forget_when_over(stream)

    # ---- the table of streams

    def _add_stream(self, stream_id: int, opened_here: bool) -> Stream:
        shared_bytes = min(self.limits.window_bytes - INITIAL_WINDOW_BYTES, self._shared_left_bytes)
        self._shared_left_bytes -= shared_bytes
        stream = Stream(self, stream_id, opened_here, INITIAL_WINDOW_BYTES + shared_bytes)
        self._streams[stream_id] = stream
        self._inbound_streams += not opened_here
        return stream

    def _forget_when_over(self, stream: Stream) -> None:
        if stream.fin_sent and stream.fin_received:
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        if self._streams.pop(stream.id, None) is not None:
            self._shared_left_bytes += stream._target_bytes - INITIAL_WINDOW_BYTES
            self._inbound_streams -= not stream.opened_here

    def _end(self, stream: Stream) -> None:
        if not stream.fin_received:
            stream._inbound.clear()
            stream._inbound_bytes = 0
        stream._outbound.clear()
        stream._outbound_bytes = 0
        stream.is_reset = True
        self._forget(stream)
        stream.on_readable()
        stream.on_writable()
