"""Spread transaction batches and announcements to nodes without a direct link, by GossipSub 1.1.

Nothing that consensus needs goes this way: validators speak over `links.py`. A message may be lost, and may
come from anybody; whoever receives it checks it as if a stranger had sent it.
It knows topics and bytes, not transactions. To batch is the sender's business: a message costs every node
about 5 ms of CPU whatever its size, so send at 64 KiB or every 200 ms.

Rules:
    1. Messages are signed by their origin and named by their content; nothing is lost by a restart.
    2. `check` sees every message before it is passed on, cheaply. What it refuses goes nowhere.
    3. Both directions are bounded: publishing refuses when too much waits, receiving drops the oldest.
    4. GossipSub's own death is counted, and it is started anew; it never ends the node.

Departs from libp2p's defaults, each measured: its spam guard silences a node at 10 messages a second, its
adaptive mode turns a heartbeat of 1 s into 30 s, its ids repeat after a restart, its message cache and its
equivocation map use those ids whatever ids we give, and its queues hold 32 messages.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

import trio
from trio.lowlevel import ParkingLot, checkpoint_if_cancelled

from node.net.host import (
    ID,
    CacheEntry,
    GossipSub,
    Host,
    INetStream,
    Message,
    MessageCache,
    Pubsub,
    background_trio_service,
    decode_libp2p_id,
    encode_libp2p_id,
    pipe_of,
)
from node.net.transport import PeerId

PROTOCOL = "/meshsub/1.1.0"
"""1.2 would nearly double the cost of small messages: it announces every one to every peer."""

MESSAGE_BYTES_MAX = 512 << 10
RPC_BYTES_MAX = 1 << 20
INBOX_BYTES_MAX = 16 << 20
OUTBOX_BYTES_MAX = 16 << 20
MESSAGE_COST_BYTES = 512
"""What an empty message costs us in memory."""

PEER_QUEUE_MAX = 8
"""Publishing pauses while a peer has this many messages waiting; its queue holds 32."""
PAUSE_S = 0.01
PATIENCE_S = 1.0
"""A peer that is slower than this loses messages; the others do not wait for it."""
RESTART_S = 1.0

log = logging.getLogger("coopd.net")

Check = Callable[[str, bytes], bool]


@dataclass(frozen=True, slots=True)
class Gossip:
    """Carry one message that came by gossip. Its origin signed it; that says nothing about the roster."""

    topic: str
    origin: PeerId
    data: bytes


def compute_message_id(message: Message) -> bytes:
    """Name a message by its content."""
    return sha256(message.data).digest()[:20]


class _ContentCache(MessageCache):
    """Remember recent messages by the same id by which they are announced and asked for."""

    def put(self, msg: Message) -> None:
        message_id = compute_message_id(msg)
        if message_id not in self.msgs:
            self.msgs[message_id] = msg
            self.history[0].append(CacheEntry(message_id, msg.topicIDs))


class _Router(GossipSub):
    def __init__(self) -> None:
        super().__init__(
            cast(Any, [PROTOCOL]),
            degree=6,
            degree_low=4,
            degree_high=12,
            heartbeat_interval=1,
            prune_back_off=10,
            do_px=False,
            adaptive_gossip_enabled=False,
            spam_protection_enabled=False,
            eclipse_protection_enabled=False,
        )
        self.mcache = _ContentCache(3, 5)

    def _check_equivocation(self, msg: Message) -> bool:
        """Keep no map of whole messages; equal content has one id, other content has another."""
        return True


class _Pubsub(Pubsub):
    """Pass messages between GossipSub and a `GossipNet`, and let no fault of a message out."""

    def __init__(self, net: "GossipNet") -> None:
        self._net = net
        super().__init__(
            net.host.libp2p_host,
            _Router(),
            strict_signing=True,
            msg_id_constructor=compute_message_id,
            max_inbound_rpc_size=RPC_BYTES_MAX,
            allowed_topics=frozenset(net.topics),
        )
        self._read_streams: set[INetStream] = set()

    async def stream_handler(self, stream: INetStream) -> None:
        """Read a stream of a neighbour. If it began anew, ours to it may be dead without our notice."""
        self._drop_dead_stream(stream.muxed_conn.peer_id)
        self._read_streams.add(stream)
        try:
            await super().stream_handler(stream)
        finally:
            self._read_streams.discard(stream)

    async def _handle_new_peer(self, peer_id: ID) -> None:
        self._drop_dead_stream(peer_id)
        await super()._handle_new_peer(peer_id)

    def _drop_dead_stream(self, peer_id: ID) -> None:
        stream = self.peers.get(peer_id)
        if stream is not None and not pipe_of(stream).is_open:
            self._handle_dead_peer(peer_id)

    def reset_streams(self) -> None:
        """End all our streams; otherwise neighbours would go on talking to a gossip that is gone."""
        for stream in self._read_streams | set(self.peers.values()):
            pipe_of(stream).reset()

    async def push_msg(self, msg_forwarder: ID, msg: Message) -> None:
        """Check first: when a validator refuses, libp2p prints the whole message, even if nobody listens."""
        if not self._net.is_welcome(msg):
            return
        try:
            await super().push_msg(msg_forwarder, msg)
        except Exception as error:  # a key that does not parse, for one
            self._net.faults += 1
            log.debug("a gossip message was dropped: %r", error)

    async def validate_msg(self, msg_forwarder: ID, msg: Message) -> None:
        """Pass: it was checked, and libp2p's cache of verdicts can be poisoned."""

    def notify_subscriptions(self, publish_message: Message) -> None:
        """Deliver at once, not through libp2p's channel of 32 messages."""
        self._net.deliver(publish_message)


class GossipNet:
    """Publish and receive by gossip on some topics.

    Args:
        host: the running host whose connections carry the gossip.
        topics: what to take part in; nothing else is spoken of.
        check: tells whether a message of a topic may be taken and passed on; must be cheap.
    """

    def __init__(self, host: Host, topics: Sequence[str], check: Check) -> None:
        self.host = host
        self.topics = tuple(topics)
        self._check = check
        self._pubsub: _Pubsub | None = None
        self._inbox: deque[Gossip] = deque()
        self._inbox_bytes = 0
        self._arrived = ParkingLot()
        self._outbox: deque[tuple[str, bytes]] = deque()
        self._outbox_bytes = 0
        self._queued = ParkingLot()
        self.received_messages = 0
        self.refused_messages = 0
        self.dropped_messages = 0
        self.published_messages = 0
        self.faults = 0
        self.restarts = 0

    def publish(self, topic: str, data: bytes) -> bool:
        """Queue a message for all who listen to the topic, without waiting; False means it was not queued."""
        assert topic in self.topics, f"{topic} is not a topic of this node"
        assert len(data) <= MESSAGE_BYTES_MAX, f"a message of {len(data)} bytes is too large to be taken"
        if self._outbox_bytes + MESSAGE_COST_BYTES + len(data) > OUTBOX_BYTES_MAX:
            return False
        self._outbox.append((topic, data))
        self._outbox_bytes += MESSAGE_COST_BYTES + len(data)
        self._queued.unpark_all()
        return True

    async def receive(self) -> Gossip:
        """Wait for the next message of another node."""
        await checkpoint_if_cancelled()
        while not self._inbox:
            await self._arrived.park()
        gossip = self._inbox.popleft()
        self._inbox_bytes -= MESSAGE_COST_BYTES + len(gossip.data)
        return gossip

    def neighbours(self, topic: str) -> tuple[PeerId, ...]:
        """List the connected nodes that take part in a topic, in byte order."""
        peers = self._pubsub.peer_topics.get(topic, set()) if self._pubsub is not None else set()
        return tuple(sorted(peer for peer in map(decode_libp2p_id, peers) if peer is not None))

    async def run(self) -> None:
        """Take part until cancelled. The host must be running."""
        while True:
            try:
                await self._run_once()
            except* Exception as group:
                self.restarts += 1
                log.error("gossip stopped and starts anew: %r", group)
            await trio.sleep(RESTART_S)

    def is_welcome(self, message: Message) -> bool:
        """Tell whether a message may be taken and passed on; a check that fails refuses."""
        try:
            (topic,) = message.topicIDs
            welcome = (
                topic in self.topics
                and len(message.data) <= MESSAGE_BYTES_MAX
                and self._check(topic, message.data)
            )
        except Exception as error:
            self.faults += 1
            log.debug("a gossip message could not be checked: %r", error)
            welcome = False
        self.refused_messages += not welcome
        return welcome

    def deliver(self, message: Message) -> None:
        """Put a message of another node into the inbox; the oldest make room."""
        origin = decode_libp2p_id(ID(message.from_id))
        if origin is None or origin == self.host.me:
            return
        self._inbox.append(Gossip(message.topicIDs[0], origin, message.data))
        self._inbox_bytes += MESSAGE_COST_BYTES + len(message.data)
        self.received_messages += 1
        while self._inbox_bytes > INBOX_BYTES_MAX:
            self._inbox_bytes -= MESSAGE_COST_BYTES + len(self._inbox.popleft().data)
            self.dropped_messages += 1
        self._arrived.unpark_all()

    async def _run_once(self) -> None:
        pubsub = _Pubsub(self)
        router = cast(_Router, pubsub.router)
        try:
            async with background_trio_service(pubsub), background_trio_service(router):
                await pubsub.wait_until_ready()
                for topic in self.topics:
                    await pubsub.subscribe(topic)
                self._pubsub = pubsub
                async with trio.open_nursery() as nursery:
                    for connection in self.host.connections:
                        nursery.start_soon(pubsub.ensure_peer_stream, encode_libp2p_id(connection.peer))
                    await self._publish_forever(pubsub)
        finally:
            pubsub.reset_streams()

    async def _publish_forever(self, pubsub: _Pubsub) -> None:
        while True:
            while not self._outbox:
                await self._queued.park()
            queues = pubsub.peer_queues
            with trio.move_on_after(PATIENCE_S):
                # libp2p's queues tell nobody when they drain.
                while any(len(queue) >= PEER_QUEUE_MAX for queue in queues.values()):  # noqa: ASYNC110
                    await trio.sleep(PAUSE_S)
            topic, data = self._outbox.popleft()
            self._outbox_bytes -= MESSAGE_COST_BYTES + len(data)
            await pubsub.publish(topic, data)
            self.published_messages += 1
