"""The port through which the driver speaks to other nodes, and the values that cross it.

It knows no socket, no libp2p and no meaning of a frame: a frame is bytes from an authenticated peer.
Real links stand in `links.py`, simulated ones in `simulated.py`.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NewType, Protocol

PeerId = NewType("PeerId", bytes)
"""Compressed secp256k1 public key of a node's identity key, 33 bytes."""

PEER_ID_BYTES = 33


class Channel(IntEnum):
    """Name one of the two lanes between two peers; frames keep their order within a lane, not across."""

    VOTE = 0
    """Small and urgent: votes, headers, heartbeats."""
    BULK = 1
    """Large and patient: transaction batches, block bodies, sync."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Carry one whole message of an authenticated peer."""

    peer: PeerId
    channel: Channel
    data: bytes


@dataclass(frozen=True, slots=True)
class PeerUp:
    """Say that both lanes to the peer are open."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class PeerDown:
    """Say that the lanes to the peer are gone, and what was still queued for it with them."""

    peer: PeerId
    reason: str


Received = Frame | PeerUp | PeerDown


@dataclass(frozen=True, slots=True)
class Address:
    """Name one place where a node listens: a host name or IP, and a TCP port (0: any, to listen only)."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class PeerEntry:
    """List one node of the roster.

    Rules:
        1. Addresses are tried in order; a node without an address is never dialled, it dials.
        2. Only validators are reached by `Transport.broadcast`; observers by `Transport.send`.
    """

    peer: PeerId
    addresses: tuple[Address, ...]
    validator: bool = True


class PeerFault(Exception):
    """Report that a peer broke the rules of the wire; costs it its connection and never leaves `node.net`."""


class Transport(Protocol):
    """Carry frames between this node and the nodes of its roster.

    Rules:
        1. A peer is named only after it proved its key; its frames come between its PeerUp and its PeerDown,
           except that bulk frames read before a PeerDown may come after it.
        2. A frame is delivered whole and in the order of its channel, or not at all; PeerDown announces loss.
    """

    @property
    def me(self) -> PeerId:
        """Name this node."""
        ...

    def peers(self) -> tuple[PeerId, ...]:
        """List the peers that are up, in byte order."""
        ...

    def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        """Queue one frame for a peer without ever waiting; False means it was not queued."""
        ...

    def broadcast(self, channel: Channel, data: bytes) -> int:
        """Queue one frame for every validator that is up; return how many took it."""
        ...

    async def receive(self) -> Received:
        """Wait for the next frame or event; votes and events go before bulk."""
        ...


def dials(me: PeerEntry, other: PeerEntry) -> bool:
    """Tell whether `me` is the one of the two that opens the connection.

    Rules:
        1. Whoever cannot be reached dials; between two that can be reached the smaller PeerId dials.
    """
    if not other.addresses:
        return False
    return not me.addresses or me.peer < other.peer
