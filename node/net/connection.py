"""Drive one `Mux` over one secure session with trio: a reader, a writer and a keepalive.

It knows neither libp2p nor what a stream carries; the session is a port that `host.py` fills. The protocol
stands in `mux.py`.
"""

from dataclasses import dataclass
from typing import Protocol

import trio
from trio.lowlevel import ParkingLot, checkpoint

from node.errors import first_of
from node.net.mux import GoAway, Mux, MuxFault, MuxLimits, Stream, StreamReset
from node.net.transport import PeerFault, PeerId

OUTPUT_BYTES = 256 << 10
"""Session bytes collected for one send."""

FAREWELL_S = 0.2
"""How long a closing side tries to deliver its GoAway."""


class Session(Protocol):
    """Carry plaintext to and from one authenticated peer, in order, over a socket that it owns."""

    @property
    def peer(self) -> PeerId:
        """Name the peer, as proved by the handshake."""
        ...

    @property
    def is_dialer(self) -> bool:
        """Tell whether this side opened the connection."""
        ...

    async def send(self, plain: bytes) -> None:
        """Send all bytes; cancelled half-way, the session is useless."""
        ...

    async def receive(self) -> bytes:
        """Wait for some bytes; b"" when the peer has closed."""
        ...

    def abort(self) -> None:
        """Close the socket at once."""
        ...


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Say how often an idle peer is pinged, and after how much silence its connection is cut, in seconds.

    *Rule*: the silence is short, because TCP repeats ever more rarely what a cut wire has lost: after a cut
    of 10 s it may be silent for 10 s more, while a new connection is there at once.
    """

    interval_s: float = 1.0
    silence_s: float = 3.0


class ConnectionLost(Exception):
    """Report that the connection is over, with the reason."""


class Pipe:
    """Read and write one stream of a connection."""

    __slots__ = ("_readers", "_stream", "_writers", "connection")

    def __init__(self, connection: "Connection", stream: Stream) -> None:
        self.connection = connection
        self._stream = stream
        self._readers = ParkingLot()
        self._writers = ParkingLot()
        stream.on_readable = self._readers.unpark_all
        stream.on_writable = self._writers.unpark_all

    @property
    def stream_id(self) -> int:
        """Name the stream on its connection."""
        return self._stream.id

    @property
    def is_open(self) -> bool:
        """Tell whether either side may still send."""
        stream = self._stream
        return not stream.is_reset and not (stream.fin_queued and stream.is_at_end)

    async def read(self, bytes_max: int) -> bytes:
        """Wait for bytes and return up to `bytes_max` of them; b"" at the end of the peer's side.

        Raises:
            StreamReset: the stream or its connection ended.
        """
        stream = self._stream
        if stream.readable_bytes:
            await checkpoint()
        while not stream.readable_bytes:
            if stream.fin_received:
                return b""
            if stream.is_reset:
                raise StreamReset(self.connection.reason or "the stream was reset")
            await self._readers.park()
        return stream.take(bytes_max)

    async def write(self, data: bytes) -> None:
        """Queue bytes, whole; waits first while too much is queued. Cancelled, it has queued all or nothing.

        Raises:
            StreamReset, StreamClosed: the stream takes no more bytes.
        """
        await checkpoint()
        while not self._stream.has_room(len(data)) and not self._stream.is_reset:
            await self._writers.park()
        self._stream.put(data)

    def close(self) -> None:
        """Close our side after what is queued."""
        self._stream.close()

    def reset(self) -> None:
        """End both sides at once."""
        self._stream.reset()


class Connection:
    """Own one session: every byte in and out passes through its three tasks.

    Rules:
        1. The reader never waits for the writer, so two busy peers cannot block each other.
        2. A peer from which nothing at all comes for `silence_s` is cut.
        3. `abort` closes the socket at once and waits for nothing.
    """

    __slots__ = (
        "_accepts",
        "_heard_at",
        "_idle",
        "_mux",
        "_output",
        "_ping_sent_at",
        "_ping_value",
        "_scope",
        "_session",
        "closed",
        "keepalive",
        "reason",
        "received_bytes",
        "rtt_s",
        "sent_bytes",
        "started",
    )

    def __init__(self, session: Session, keepalive: Keepalive, limits: MuxLimits) -> None:
        self._session = session
        self.keepalive = keepalive
        self._mux = Mux(session.is_dialer, limits)
        self._output = ParkingLot()
        self._idle = ParkingLot()
        self._accepts = ParkingLot()
        self._mux.on_output = self._output.unpark_all
        self._mux.on_accept = self._accepts.unpark_all
        self._mux.on_pong = self._on_pong
        self._scope: trio.CancelScope | None = None
        self._heard_at = 0.0
        self._ping_value = 0
        self._ping_sent_at = 0.0
        self.started = trio.Event()
        self.closed = trio.Event()
        self.reason = ""
        self.rtt_s: float | None = None
        """Round trip of the last answered ping."""
        self.sent_bytes = 0
        self.received_bytes = 0

    @property
    def peer(self) -> PeerId:
        """Name the peer."""
        return self._session.peer

    @property
    def is_dialer(self) -> bool:
        """Tell whether this side opened the connection."""
        return self._session.is_dialer

    @property
    def held_bytes(self) -> int:
        """Count received bytes that nobody has read yet."""
        return self._mux.held_bytes

    def open_stream(self) -> Pipe:
        """Open a stream.

        Raises:
            ConnectionLost: the connection is over.
        """
        if self.closed.is_set():
            raise ConnectionLost(self.reason)
        return Pipe(self, self._mux.open_stream())

    async def accept_stream(self) -> Pipe:
        """Wait for a stream that the peer opens.

        Raises:
            ConnectionLost: the connection is over.
        """
        await checkpoint()
        while not self.closed.is_set():
            stream = self._mux.accept_stream()
            if stream is not None:
                return Pipe(self, stream)
            await self._accepts.park()
        raise ConnectionLost(self.reason)

    async def run(self) -> None:
        """Serve the connection until it ends; then `reason` says why. Faults of peer and network stay in."""
        try:
            if not self.closed.is_set():
                async with trio.open_nursery() as nursery:
                    self._scope = nursery.cancel_scope
                    self._heard_at = trio.current_time()
                    nursery.start_soon(self._read)
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._watch)
                    self.started.set()
        except* (PeerFault, ConnectionLost, trio.BrokenResourceError, trio.ClosedResourceError) as group:
            failure = first_of(group)
            self.reason = self.reason or str(failure)
            if isinstance(failure, MuxFault):
                await self._farewell(GoAway.PROTOCOL_ERROR)
        finally:
            self.started.set()
            self.abort("the node stops")

    def abort(self, reason: str) -> None:
        """Close the socket and end every stream, now."""
        if self.closed.is_set():
            return
        self.reason = self.reason or reason
        self.closed.set()
        self._session.abort()
        self._mux.fail()
        if self._scope is not None:
            self._scope.cancel()

    async def close(self) -> None:
        """Tell the peer goodbye, if that is possible at once, and end the connection."""
        if not self.closed.is_set():
            self.reason = self.reason or "closed by this node"
            self._mux.go_away(GoAway.NORMAL)
            with trio.CancelScope(shield=True, deadline=trio.current_time() + FAREWELL_S):
                await self._idle.park()
        self.abort("closed by this node")
        await checkpoint()

    async def _farewell(self, code: GoAway) -> None:
        self._mux.go_away(code)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + FAREWELL_S):
            try:
                await self._session.send(self._mux.take_output(0))
            except (PeerFault, trio.BrokenResourceError, trio.ClosedResourceError):
                return

    async def _read(self) -> None:
        mux, session = self._mux, self._session
        while True:
            data = await session.receive()
            if not data:
                raise ConnectionLost("the peer closed the connection")
            self._heard_at = trio.current_time()
            self.received_bytes += len(data)
            mux.receive(data)
            if mux.gone is not None:
                raise ConnectionLost(f"the peer went away with {mux.gone.name}")

    async def _write(self) -> None:
        mux, session = self._mux, self._session
        while True:
            data = mux.take_output(OUTPUT_BYTES)
            if data:
                self.sent_bytes += len(data)
                await session.send(data)
            else:
                self._idle.unpark_all()
                await self._output.park()

    async def _watch(self) -> None:
        keepalive = self.keepalive
        while True:
            self._ping_value = self._ping_value + 1 & 0xFFFF_FFFF
            self._ping_sent_at = trio.current_time()
            self._mux.ping(self._ping_value)
            await trio.sleep(keepalive.interval_s)
            if trio.current_time() - self._heard_at > keepalive.silence_s:
                raise ConnectionLost(f"the peer was silent for {keepalive.silence_s:g} s")

    def _on_pong(self, value: int) -> None:
        if value == self._ping_value:
            self.rtt_s = trio.current_time() - self._ping_sent_at
