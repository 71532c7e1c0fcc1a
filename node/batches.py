"""Transaction batches of other nodes that wait for their signatures to be checked, fair to who sent them.

Each sender has a share of its own and its turn; who sends more than is checked loses only what is too much,
and what is lost is sent again by whoever a member gave it to.

What waits can be found by its digest: a proposal may name it before its signatures are checked here. It
holds bytes, checks nothing (`intake.py`), and does not know who is a validator.
"""

from collections import OrderedDict, deque
from typing import Final

import trio

from node.net.transport import PeerId
from protocol.merkle.proof import hash_leaf
from protocol.types import Hash32

WAITING_BYTES_MAX: Final = 4 * 1024 * 1024
"""What may wait of one sender: some seconds of checking."""

RAW_BYTES: Final = 200
"""What a transaction costs here beside its bytes."""


class Batches:
    """Queue batches a sender, and take them out in turn. `None` sends what came by gossip."""

    __slots__ = ("_arrived", "_by_leaf", "_queues")

    def __init__(self) -> None:
        self._queues: OrderedDict[PeerId | None, tuple[deque[tuple[bytes, ...]], int]] = OrderedDict()
        self._by_leaf: dict[Hash32, bytes] = {}
        self._arrived = trio.Event()

    def put(self, sender: PeerId | None, raws: tuple[bytes, ...]) -> bool:
        """Add a batch; False when there is no room for it."""
        queue, held_bytes = self._queues.get(sender, (deque[tuple[bytes, ...]](), 0))
        held_bytes += _size_of(raws)
        if held_bytes > WAITING_BYTES_MAX:
            return False
        queue.append(raws)
        for raw in raws:
            self._by_leaf[hash_leaf(raw)] = raw
        self._queues[sender] = queue, held_bytes
        self._arrived.set()
        return True

    def find(self, leaf: Hash32) -> bytes | None:
        """Return the bytes with a digest, if they wait or are being checked."""
        return self._by_leaf.get(leaf)

    def release(self, raws: tuple[bytes, ...]) -> None:
        """Let go of a batch that was taken and is checked now."""
        for raw in raws:
            self._by_leaf.pop(hash_leaf(raw), None)

    async def take(self) -> tuple[bytes, ...]:
        """Wait for the next batch of whoever waits longest for a turn; to be released when it is checked."""
        while not self._queues:
            self._arrived = trio.Event()
            await self._arrived.wait()
        sender, (queue, held_bytes) = self._queues.popitem(last=False)
        raws = queue.popleft()
        if queue:
            self._queues[sender] = queue, held_bytes - _size_of(raws)
        return raws


def _size_of(raws: tuple[bytes, ...]) -> int:
    """Return the bytes that a batch holds, empty transactions counted too."""
    return sum(len(raw) + RAW_BYTES for raw in raws) + RAW_BYTES
