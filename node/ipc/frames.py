"""Frames on a stream: four bytes of length, big-endian, then that many bytes. Knows no socket.

A frame longer than the limit is refused before a byte of it is kept.
"""

from typing import Final

from protocol.errors import Code, Rejected

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
_HEADER_BYTES: Final = 4


def frame(data: bytes) -> bytes:
    """Put a length in front."""
    assert len(data) <= FRAME_BYTES_MAX
    return len(data).to_bytes(_HEADER_BYTES, "big") + data


class FrameReader:
    """Cut a stream into frames.

    Args:
        size_bytes_max: longest frame that is accepted.
    """

    __slots__ = ("_buffer", "_size_bytes_max")

    def __init__(self, size_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._size_bytes_max = size_bytes_max

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they come; return the frames they complete, in order.

        Raises:
            Rejected: `TOO_LARGE`.
        """
        buffer = self._buffer
        buffer += data
        frames = []
        start, size = 0, len(buffer)
        while size - start >= _HEADER_BYTES:
            length = int.from_bytes(buffer[start : start + _HEADER_BYTES], "big")
            if length > self._size_bytes_max:
                raise Rejected(Code.TOO_LARGE, f"frame of {length} bytes, limit {self._size_bytes_max}")
            end = start + _HEADER_BYTES + length
            if size < end:
                break
            frames.append(bytes(buffer[start + _HEADER_BYTES : end]))
            start = end
        del buffer[:start]
        return frames
