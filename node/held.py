"""Frames of the next epoch that came before this node has crossed into it.

Nobody can verify them yet: their signatures are by keys of a record that is not in force. They wait as bytes,
bounded by sender, height and size, and are read again after the crossing; what does not fit is lost, as a
network may lose it. This file does not know what a frame means.

*Source*: consensus.md 1.3 (M9).
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from node.net.transport import PeerId
from protocol.types import Height

HELD_HEIGHTS: Final = 2
"""Heights above the undecided one whose frames wait."""

HELD_FRAMES_MAX: Final = 64
"""Frames that wait for one height."""

HELD_PEER_FRAMES_MAX: Final = 8
"""Of these, of one peer: a proposal, its votes and some of later rounds."""

HELD_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bytes that wait in all: a few of the largest proposals."""

Read: TypeAlias = Callable[[PeerId, bytes], None]


class Held:
    """Hold frames in the order in which they came."""

    __slots__ = ("_frames", "_size_bytes")

    def __init__(self) -> None:
        self._frames: list[tuple[Height, PeerId, bytes, Read]] = []
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, undecided: Height, height: Height, peer: PeerId, payload: bytes, read: Read) -> bool:
        """Hold a frame; False when there is no room for it.

        Args:
            undecided: the height that is undecided here.
            height: what the frame is about.
            read: takes it again after the crossing.
        """
        same = [held_peer for held_height, held_peer, _, _ in self._frames if held_height == height]
        if not undecided < height <= undecided + HELD_HEIGHTS:
            return False
        if len(same) >= HELD_FRAMES_MAX or same.count(peer) >= HELD_PEER_FRAMES_MAX:
            return False
        if self._size_bytes + len(payload) > HELD_BYTES_MAX:
            return False
        self._size_bytes += len(payload)
        self._frames.append((height, peer, payload, read))
        return True

    def take(self) -> list[tuple[PeerId, bytes, Read]]:
        """Take everything out."""
        frames, self._frames, self._size_bytes = self._frames, [], 0
        return [(peer, payload, read) for _, peer, payload, read in frames]
