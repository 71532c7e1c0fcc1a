"""Length-prefixed frames on a byte stream: 4-byte big-endian length, then that many bytes.

Pure: no socket and no clock, and no idea what a frame means. The lanes that use it stand in `links.py`.
"""

import struct
from collections import deque

from node.net.transport import Channel, PeerFault

LENGTH = struct.Struct("!I")

FRAME_BYTES_MAX = {Channel.VOTE: 1 << 20, Channel.BULK: 16 << 20}
"""Largest frame of each channel; a larger claim costs the peer its connection before a byte of it is kept."""

WRITE_BYTES = 256 << 10
"""Small frames are joined up to this many bytes for one write."""


class FrameSplitter:
    """Cut a byte stream into frames.

    Rules:
        1. A length above `bytes_max` raises PeerFault as soon as its four bytes are there; no body is kept.
        2. At most one unfinished frame and the bytes of the last `feed` are held.
    """

    __slots__ = ("_buffer", "_bytes_max")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream and return the frames that they complete.

        Raises:
            PeerFault: a frame claims more than `bytes_max`.
        """
        buffer = self._buffer
        buffer += data
        frames: list[bytes] = []
        at, end = 0, len(buffer)
        with memoryview(buffer) as view:
            while end - at >= LENGTH.size:
                (size,) = LENGTH.unpack_from(view, at)
                if size > self._bytes_max:
                    raise PeerFault(f"a frame claims {size} bytes, {self._bytes_max} are allowed")
                if end - at - LENGTH.size < size:
                    break
                frames.append(bytes(view[at + LENGTH.size : at + LENGTH.size + size]))
                at += LENGTH.size + size
        del buffer[:at]
        return frames

    @property
    def held_bytes(self) -> int:
        """Count the bytes of the unfinished frame."""
        return len(self._buffer)


def join_frames(queue: deque[bytes], budget_bytes: int = WRITE_BYTES) -> bytes:
    """Take whole frames off the queue, at least one, to about `budget_bytes`, as the bytes of one write."""
    parts: list[bytes] = []
    taken_bytes = 0
    while queue and taken_bytes < budget_bytes:
        frame = queue.popleft()
        parts.append(LENGTH.pack(len(frame)))
        parts.append(frame)
        taken_bytes += LENGTH.size + len(frame)
    return b"".join(parts)
