"""The real `Transport`: a link of two framed lanes to every node of the roster, kept up for ever.

It knows nothing of what a frame means. The wire below stands in `host.py`, the port in `transport.py`.

Rules:
    1. A link is one connection with two streams, `/coopd/vote/1` and `/coopd/bulk/1`. It is up when both are
       open; when either ends, the connection is cut and dialled anew.
    2. `send` never waits. A peer that lets the vote queue fill up is cut; bulk that finds no room is refused.
    3. What a peer may leave unread here is bounded per lane; beyond that its lane is no longer read.
    4. One task writes a lane and one reads it.
"""

import logging
import random
from collections import deque
from collections.abc import Sequence
from functools import partial

import trio
from trio.lowlevel import ParkingLot, checkpoint_if_cancelled

from node.errors import OperationError, first_of
from node.net.connection import Connection, Keepalive, Pipe
from node.net.frames import FRAME_BYTES_MAX, LENGTH, FrameSplitter, join_frames
from node.net.host import DialFailed, Host, Started, format_peer_id
from node.net.mux import StreamClosed, StreamReset
from node.net.transport import (
    Address,
    Channel,
    Frame,
    PeerDown,
    PeerEntry,
    PeerFault,
    PeerId,
    PeerUp,
    Received,
    dials,
)

PROTOCOLS = {Channel.VOTE: "/coopd/vote/1", Channel.BULK: "/coopd/bulk/1"}

QUEUE_BYTES_MAX = {Channel.VOTE: 4 << 20, Channel.BULK: 64 << 20}
"""What may wait to be sent to one peer."""

INBOX_BYTES_MAX = {Channel.VOTE: 4 << 20, Channel.BULK: 16 << 20}
"""Frames of one peer that may wait for `receive`; at least one frame always may."""

FRAME_COST_BYTES = 256
"""What an empty frame costs us in memory."""

VOTES_IN_A_ROW_MAX = 64
"""After so many votes and events a waiting bulk frame has its turn."""

READ_BYTES = 256 << 10
LANES_S = 10.0
"""From the first lane of a connection to the second."""

FIRST_BACKOFF_S = 0.2
LAST_BACKOFF_S = 1.0
"""A dial to a node that is away costs one packet, and a longer wait is one that members feel."""

log = logging.getLogger("coopd.net")


class Counters:
    """Count what the links did since the start; read by the metrics page."""

    __slots__ = (
        "cut_peers",
        "dial_failures",
        "dials",
        "peers_down",
        "peers_up",
        "received_bytes",
        "received_frames",
        "refused_frames",
        "sent_bytes",
        "sent_frames",
    )

    def __init__(self) -> None:
        self.sent_frames = 0
        self.sent_bytes = 0
        self.received_frames = 0
        self.received_bytes = 0
        self.refused_frames = 0
        self.cut_peers = 0
        self.dials = 0
        self.dial_failures = 0
        self.peers_up = 0
        self.peers_down = 0


class _Lane:
    """Hold one channel of a link: frames to send, and how much of the inbox is this lane's."""

    __slots__ = ("drained", "filled", "inbox_bytes", "pipe", "queue", "queued_bytes")

    def __init__(self) -> None:
        self.pipe: Pipe | None = None
        self.queue: deque[bytes] = deque()
        self.queued_bytes = 0
        self.filled = ParkingLot()
        self.inbox_bytes = 0
        self.drained = ParkingLot()


class _Link:
    """Hold one connection that is, or is about to be, a link."""

    __slots__ = ("connection", "is_up", "lanes", "settled")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lanes = {channel: _Lane() for channel in Channel}
        self.is_up = False
        self.settled = trio.Event()


class Links:
    """Keep a link to every node of the roster, and carry frames over it.

    Args:
        secret: private key of the node's network identity, 32 bytes.
        listen: where to accept connections.
        roster: every node that may connect; this node's own entry says whether it can be dialled.
    """

    def __init__(
        self,
        secret: bytes,
        listen: Sequence[Address],
        roster: Sequence[PeerEntry],
        *,
        keepalive: Keepalive | None = None,
    ) -> None:
        self.counters = Counters()
        self._listen = tuple(listen)
        self._host = Host(secret, self._is_allowed, keepalive=keepalive)
        self._roster: dict[PeerId, PeerEntry] = {}
        self._banned: set[PeerId] = set()
        self._dialers: dict[PeerId, trio.CancelScope] = {}
        self._links: dict[PeerId, _Link] = {}
        self._nursery: trio.Nursery | None = None
        self._urgent: deque[tuple[_Lane | None, Received]] = deque()
        self._bulk: deque[tuple[_Lane | None, Received]] = deque()
        self._urgent_in_a_row = 0
        self._arrived = ParkingLot()
        for channel, protocol in PROTOCOLS.items():
            self._host.handle(protocol, partial(self._serve, channel))
        self.set_roster(roster)

    # ---- the port

    @property
    def me(self) -> PeerId:
        """Name this node."""
        return self._host.me

    @property
    def host(self) -> Host:
        """Lend the host, for gossip towards observers."""
        return self._host

    def peers(self) -> tuple[PeerId, ...]:
        """List the peers that are up, in byte order."""
        return tuple(sorted(peer for peer, link in self._links.items() if link.is_up))

    def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        """Queue one frame for a peer without waiting; False means it was not queued."""
        assert len(data) <= FRAME_BYTES_MAX[channel], f"a frame of {len(data)} bytes is too large to be taken"
        link = self._links.get(peer)
        if link is None or not link.is_up:
            return False
        lane = link.lanes[channel]
        if lane.queued_bytes + len(data) > QUEUE_BYTES_MAX[channel]:
            self.counters.refused_frames += 1
            if channel is Channel.VOTE:
                self.counters.cut_peers += 1
                self._drop(link, "the peer does not take its votes")
            return False
        lane.queue.append(data)
        lane.queued_bytes += LENGTH.size + len(data)
        lane.filled.unpark_all()
        return True

    def broadcast(self, channel: Channel, data: bytes) -> int:
        """Queue one frame for every validator that is up; return how many took it."""
        validators = [peer for peer in self.peers() if self._roster[peer].validator]
        return sum(self.send(peer, channel, data) for peer in validators)

    async def receive(self) -> Received:
        """Wait for the next frame or event; votes and events go before bulk."""
        await checkpoint_if_cancelled()
        while not (self._urgent or self._bulk):
            await self._arrived.park()
        if self._urgent and (self._urgent_in_a_row < VOTES_IN_A_ROW_MAX or not self._bulk):
            self._urgent_in_a_row += 1
            lane, received = self._urgent.popleft()
        else:
            self._urgent_in_a_row = 0
            lane, received = self._bulk.popleft()
        if lane is not None and isinstance(received, Frame):
            lane.inbox_bytes -= FRAME_COST_BYTES + len(received.data)
            lane.drained.unpark_all()
        return received

    # ---- the roster

    def set_roster(self, roster: Sequence[PeerEntry]) -> None:
        """Take over a new roster: who left it is cut, who came is dialled, every other link stays."""
        self._roster = {entry.peer: entry for entry in roster}
        for peer, link in list(self._links.items()):
            if not self._is_allowed(peer):
                self._drop(link, "the peer left the roster")
        for connection in self._host.connections:
            if not self._is_allowed(connection.peer):
                connection.abort("the peer left the roster")
        for peer, scope in self._dialers.items():
            if not self._dials(peer):
                scope.cancel()
        for peer in self._roster:
            self._begin_dialling(peer)

    def ban(self, peer: PeerId, seconds: float, reason: str) -> None:
        """Cut a peer off and let it back after a while; nothing when that is under way."""
        if self._nursery is None or peer in self._banned:
            return
        self._banned.add(peer)
        self._nursery.start_soon(self._pardon, peer, seconds)
        link = self._links.get(peer)
        if link is not None:
            self._drop(link, reason)

    async def _pardon(self, peer: PeerId, seconds: float) -> None:
        await trio.sleep(seconds)
        self._banned.discard(peer)
        self._begin_dialling(peer)

    def _is_allowed(self, peer: PeerId) -> bool:
        return peer in self._roster and peer != self.me and peer not in self._banned

    def _dials(self, peer: PeerId) -> bool:
        own = self._roster.get(self.me, PeerEntry(self.me, ()))
        return self._is_allowed(peer) and dials(own, self._roster[peer])

    def _begin_dialling(self, peer: PeerId) -> None:
        if self._nursery is not None and peer not in self._dialers and self._dials(peer):
            scope = self._dialers[peer] = trio.CancelScope()
            self._nursery.start_soon(self._keep_dialling, peer, scope)

    # ---- the life of the links

    async def run(self, *, task_status: Started = trio.TASK_STATUS_IGNORED) -> None:
        """Listen, dial and serve until cancelled; reports the real addresses when ready. Runs once.

        Raises:
            OperationError: an address cannot be listened on (net.listen).
        """
        failure: Exception | None = None
        try:
            async with trio.open_nursery() as nursery:
                addresses = await nursery.start(self._host.run, self._listen)
                self._nursery = nursery
                for peer in self._roster:
                    self._begin_dialling(peer)
                task_status.started(addresses)
        except* OperationError as group:
            failure = first_of(group)
        finally:
            self._nursery = None
            for link in list(self._links.values()):
                self._drop(link, "the node stops")
        if failure is not None:
            raise failure

    async def _keep_dialling(self, peer: PeerId, scope: trio.CancelScope) -> None:
        backoff_s = FIRST_BACKOFF_S
        with scope:
            while self._dials(peer):
                began = trio.current_time()
                for address in self._roster[peer].addresses:
                    await self._wait_while_linked(peer)
                    began = trio.current_time()
                    if await self._link_once(peer, address):
                        backoff_s, began = FIRST_BACKOFF_S, trio.current_time()
                        break
                # A dial that nobody answered was a wait already: the wire may be whole again by now.
                await trio.sleep_until(began + backoff_s * random.uniform(0.5, 1.5))
                backoff_s = min(backoff_s * 2, LAST_BACKOFF_S)
        del self._dialers[peer]
        self._begin_dialling(peer)  # it may have come back into the roster meanwhile

    async def _wait_while_linked(self, peer: PeerId) -> None:
        while link := self._links.get(peer):
            await link.connection.closed.wait()

    async def _link_once(self, peer: PeerId, address: Address) -> bool:
        """Dial and serve one link until it ends; tell whether its lanes were opened."""
        self.counters.dials += 1
        try:
            connection = await self._host.dial(peer, address)
        except DialFailed as error:
            self.counters.dial_failures += 1
            log.debug("%s", error)
            return False
        try:
            pipes = [await self._host.open_stream(connection, PROTOCOLS[channel]) for channel in Channel]
            async with trio.open_nursery() as nursery:
                for channel, pipe in zip(Channel, pipes, strict=True):
                    nursery.start_soon(self._serve, channel, pipe)
        except DialFailed as error:
            self.counters.dial_failures += 1
            log.debug("%s", error)
            return False
        finally:
            connection.abort("the link ended")
        return True

    async def _serve(self, channel: Channel, pipe: Pipe) -> None:
        """Serve one lane until its connection ends."""
        connection = pipe.connection
        if connection.closed.is_set() or not self._is_allowed(connection.peer):
            connection.abort("the peer is not in the roster")
            return
        link = self._link_of(connection)
        lane = link.lanes[channel]
        if lane.pipe is not None:
            self._drop(link, f"the {channel.name} lane was opened twice")
            return
        lane.pipe = pipe
        if all(lane.pipe for lane in link.lanes.values()):
            self._raise(link)
        try:
            with trio.move_on_after(LANES_S):
                await link.settled.wait()
            if link.is_up:
                await self._pump(channel, link, pipe)
        finally:
            self._drop(link, "a lane was not opened in time" if not link.settled.is_set() else "a lane ended")

    async def _pump(self, channel: Channel, link: _Link, pipe: Pipe) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, channel, link, pipe)
            nursery.start_soon(self._write, channel, link, pipe)
            await link.connection.closed.wait()
            nursery.cancel_scope.cancel()

    async def _read(self, channel: Channel, link: _Link, pipe: Pipe) -> None:
        splitter = FrameSplitter(FRAME_BYTES_MAX[channel])
        lane, peer = link.lanes[channel], link.connection.peer
        inbox = self._urgent if channel is Channel.VOTE else self._bulk
        try:
            while data := await pipe.read(READ_BYTES):
                frames = splitter.feed(data)
                for frame in frames:
                    lane.inbox_bytes += FRAME_COST_BYTES + len(frame)
                    inbox.append((lane, Frame(peer, channel, frame)))
                self.counters.received_frames += len(frames)
                self.counters.received_bytes += len(data)
                if frames:
                    self._arrived.unpark_all()
                while lane.inbox_bytes > INBOX_BYTES_MAX[channel]:
                    await lane.drained.park()
            self._drop(link, f"the peer closed its {channel.name} lane")
        except (PeerFault, StreamReset) as error:
            self._drop(link, str(error))

    async def _write(self, channel: Channel, link: _Link, pipe: Pipe) -> None:
        lane = link.lanes[channel]
        try:
            while True:
                while not lane.queue:
                    await lane.filled.park()
                waiting = len(lane.queue)
                data = join_frames(lane.queue)
                self.counters.sent_frames += waiting - len(lane.queue)
                self.counters.sent_bytes += len(data)
                await pipe.write(data)
                lane.queued_bytes -= len(data)
        except (StreamReset, StreamClosed) as error:
            self._drop(link, str(error))

    # ---- the table of links

    def _link_of(self, connection: Connection) -> _Link:
        """Find the link of this connection, or begin it; an older connection of the peer gives way."""
        link = self._links.get(connection.peer)
        if link is not None and link.connection is connection:
            return link
        if link is not None:
            self._drop(link, "replaced by a newer connection")
        link = self._links[connection.peer] = _Link(connection)
        return link

    def _raise(self, link: _Link) -> None:
        link.is_up = True
        link.settled.set()
        self.counters.peers_up += 1
        self._tell(PeerUp(link.connection.peer))
        log.info("peer %s is up", format_peer_id(link.connection.peer))

    def _drop(self, link: _Link, reason: str) -> None:
        """Cut the connection and forget the link, once."""
        link.connection.abort(reason)
        peer = link.connection.peer
        if self._links.get(peer) is not link:
            return
        del self._links[peer]
        link.settled.set()
        if link.is_up:
            link.is_up = False
            self.counters.peers_down += 1
            self._tell(PeerDown(peer, link.connection.reason))
            log.info("peer %s is down: %s", format_peer_id(peer), link.connection.reason)

    def _tell(self, event: PeerUp | PeerDown) -> None:
        self._urgent.append((None, event))
        self._arrived.unpark_all()
