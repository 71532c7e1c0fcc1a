"""What waits for the driver: inputs of our own making, and a bounded share for each peer.

Whoever floods loses only its own messages, so a correct validator is always heard. This file does not know
what an input means.
"""

from collections import deque
from typing import Final

import trio

from node.net.transport import PeerId
from protocol.consensus.inputs import Input

PEER_MESSAGES_MAX: Final = 256
"""Messages of one peer that may wait; more are dropped, as a network may drop them."""

PEER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bytes of one peer's messages that may wait: a few of the largest proposals."""


class Inbox:
    """Hold inputs in the order in which they came."""

    __slots__ = ("_arrived", "_shares", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[tuple[Input, PeerId | None, int]] = deque()
        self._shares: dict[PeerId, tuple[int, int]] = {}
        self._arrived = trio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, event: Input, peer: PeerId | None = None, size_bytes: int = 0) -> None:
        """Add an input; of a peer only when `has_room` says so."""
        self._waiting.append((event, peer, size_bytes))
        if peer is not None:
            messages, held_bytes = self._shares.get(peer, (0, 0))
            self._shares[peer] = messages + 1, held_bytes + size_bytes
        self._arrived.set()

    def has_room(self, peer: PeerId, size_bytes: int) -> bool:
        """Tell whether one more message of a peer may wait."""
        messages, held_bytes = self._shares.get(peer, (0, 0))
        return messages < PEER_MESSAGES_MAX and held_bytes + size_bytes <= PEER_BYTES_MAX

    def take(self) -> Input:
        """Take the oldest input out; there is one."""
        event, peer, size_bytes = self._waiting.popleft()
        if peer is not None:
            messages, held_bytes = self._shares.pop(peer)
            if messages > 1:
                self._shares[peer] = messages - 1, held_bytes - size_bytes
        return event

    async def wait(self) -> None:
        """Wait until there is an input."""
        while not self._waiting:
            self._arrived = trio.Event()
            await self._arrived.wait()
