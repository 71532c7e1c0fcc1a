"""A `Transport` without a network, for tests of whole nodes in virtual time.

Run it under `trio.testing.MockClock(autojump_threshold=0)`. All chance comes from one seed, drawn when a
frame is sent, so a run is as repeatable as the order in which trio runs the nodes' tasks.
It knows no socket and no libp2p; the real links stand in `links.py`.
"""

import random
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

import trio
from trio.lowlevel import ParkingLot, checkpoint_if_cancelled

from node.net.frames import FRAME_BYTES_MAX
from node.net.transport import Channel, Frame, PeerDown, PeerId, PeerUp, Received


@dataclass(frozen=True, slots=True, order=True)
class _Delivery:
    """Carry one frame that is under way; ordered by time, then by when it was sent."""

    at_s: float
    number: int
    receiver: "SimTransport" = field(compare=False)
    frame: Frame = field(compare=False)


class SimHub:
    """Join simulated transports, and do to their network what a test asks for.

    Rules:
        1. Two nodes are up for each other unless a partition lies between them; both hear of it at once.
        2. Frames of one channel between two nodes keep their order; a cut loses what is under way.

    Departs: `loss_share` drops single frames, which a real link never does; consensus must bear it anyhow.

    Args:
        seed: where all chance comes from.
        delay_s: shortest and longest time a frame is under way, in seconds.
        loss_share: share of frames that never arrive, 0 to 1.
    """

    __slots__ = (
        "_due",
        "_group_of",
        "_last_at_s",
        "_nodes",
        "_number",
        "_random",
        "_sent",
        "delay_s",
        "loss_share",
    )

    def __init__(
        self, seed: int = 0, delay_s: tuple[float, float] = (0.001, 0.05), loss_share: float = 0.0
    ) -> None:
        self.delay_s = delay_s
        self.loss_share = loss_share
        self._random = random.Random(seed)
        self._nodes: dict[PeerId, SimTransport] = {}
        self._group_of: dict[PeerId, int] | None = None
        self._due: list[_Delivery] = []
        self._number = 0
        self._last_at_s: dict[tuple[PeerId, PeerId, Channel], float] = {}
        self._sent = ParkingLot()

    def join(self, peer: PeerId, *, validator: bool = True) -> "SimTransport":
        """Add a node, or bring one back after `leave`."""
        assert peer not in self._nodes, "a node joins once"
        node = SimTransport(self, peer, validator)
        self._nodes[peer] = node
        for other in self.list_linked(node):
            node.deliver(PeerUp(other.me))
            other.deliver(PeerUp(peer))
        return node

    def leave(self, peer: PeerId) -> None:
        """Take a node away, as a crash does; its transport then sends and receives nothing more."""
        node = self._nodes[peer]
        for other in self.list_linked(node):
            other.deliver(PeerDown(peer, "the node left"))
        del self._nodes[peer]

    def partition(self, *groups: tuple[PeerId, ...]) -> None:
        """Let only nodes of one group reach each other; a node in no group reaches nobody."""
        self._regroup({peer: number for number, group in enumerate(groups) for peer in group})

    def heal(self) -> None:
        """End the partition."""
        self._regroup(None)

    def list_linked(self, node: "SimTransport") -> list["SimTransport"]:
        """List the nodes that `node` reaches, in byte order of their names."""
        if self._nodes.get(node.me) is not node:
            return []
        return [self._nodes[peer] for peer in sorted(self._nodes) if self._is_linked(node.me, peer)]

    def carry(self, sender: "SimTransport", peer: PeerId, channel: Channel, data: bytes) -> bool:
        """Put one frame under way; False when the peer is not up."""
        assert len(data) <= FRAME_BYTES_MAX[channel], f"a frame of {len(data)} bytes is too large to be taken"
        receiver = self._nodes.get(peer)
        if receiver is None or receiver not in self.list_linked(sender):
            return False
        delay_s = self._random.uniform(*self.delay_s)
        if self._random.random() < self.loss_share:
            return True
        lane = (sender.me, peer, channel)
        at_s = max(trio.current_time() + delay_s, self._last_at_s.get(lane, 0.0))
        self._last_at_s[lane] = at_s
        self._number += 1
        heappush(self._due, _Delivery(at_s, self._number, receiver, Frame(sender.me, channel, data)))
        self._sent.unpark_all()
        return True

    async def run(self) -> None:
        """Deliver what is under way, each frame at its time, until cancelled."""
        while True:
            if not self._due:
                await self._sent.park()
            elif self._due[0].at_s > trio.current_time():
                with trio.move_on_at(self._due[0].at_s):
                    await self._sent.park()
            else:
                delivery = heappop(self._due)
                delivery.receiver.deliver(delivery.frame)

    def _is_linked(self, one: PeerId, two: PeerId) -> bool:
        if one == two:
            return False
        return self._group_of is None or self._group_of.get(one, one) == self._group_of.get(two, two)

    def _regroup(self, group_of: dict[PeerId, int] | None) -> None:
        pairs = [(one, two) for one in sorted(self._nodes) for two in sorted(self._nodes) if one != two]
        before = [self._is_linked(*pair) for pair in pairs]
        self._group_of = group_of
        for (one, two), was_linked in zip(pairs, before, strict=True):
            if was_linked != self._is_linked(one, two):
                self._nodes[one].deliver(PeerDown(two, "the network is cut") if was_linked else PeerUp(two))
        # Leaving out of a heap's list what was cut could break its order, so it is sorted again.
        self._due = sorted(due for due in self._due if self._is_linked(due.frame.peer, due.receiver.me))


class SimTransport:
    """Be one node's `Transport` on a `SimHub`."""

    __slots__ = ("_arrived", "_hub", "_inbox", "me", "validator")

    def __init__(self, hub: SimHub, me: PeerId, validator: bool) -> None:
        self.me = me
        self.validator = validator
        self._hub = hub
        self._inbox: deque[Received] = deque()
        self._arrived = ParkingLot()

    def peers(self) -> tuple[PeerId, ...]:
        """List the peers that are up, in byte order."""
        return tuple(node.me for node in self._hub.list_linked(self))

    def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        """Queue one frame for a peer without waiting; False means it was not queued."""
        return self._hub.carry(self, peer, channel, data)

    def broadcast(self, channel: Channel, data: bytes) -> int:
        """Queue one frame for every validator that is up; return how many took it."""
        validators = [node.me for node in self._hub.list_linked(self) if node.validator]
        return sum(self.send(peer, channel, data) for peer in validators)

    async def receive(self) -> Received:
        """Wait for the next frame or event."""
        await checkpoint_if_cancelled()
        while not self._inbox:
            await self._arrived.park()
        return self._inbox.popleft()

    def deliver(self, received: Received) -> None:
        """Put something into the inbox; the hub does."""
        self._inbox.append(received)
        self._arrived.unpark_all()
