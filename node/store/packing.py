"""How many byte strings share one row: by position, with their ends in front.

Our own files only, so nothing here is a canonical form; a torn row is a broken disk, not a peer's lie.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from struct import pack, unpack_from
from typing import Final

_PRESENT: Final = 0x80
"""Beside the length of a key, of at most 64 bytes: a value follows."""


def pack_list(items: Sequence[bytes]) -> bytes:
    """Pack byte strings: count u32, end of each u32, then the strings."""
    ends = accumulate(map(len, items))
    return pack(f">{len(items) + 1}I", len(items), *ends) + b"".join(items)


def unpack_item(row: bytes | memoryview, index: int) -> bytes:
    """Return the string at a position.

    Raises:
        AssertionError: there is none.
    """
    (count,) = unpack_from(">I", row)
    assert 0 <= index < count
    head = 4 * (count + 1)
    start = 0 if index == 0 else unpack_from(">I", row, 4 * index)[0]
    (end,) = unpack_from(">I", row, 4 * (index + 1))
    return bytes(row[head + start : head + end])


def unpack_list(row: bytes) -> tuple[bytes, ...]:
    """Return all strings."""
    (count,) = unpack_from(">I", row)
    ends = unpack_from(f">{count}I", row, 4)
    head = 4 * (count + 1)
    return tuple(row[head + a : head + b] for a, b in zip((0, *ends), ends, strict=False))


def pack_changes(changes: Sequence[tuple[bytes, bytes | None]]) -> bytes:
    """Pack keys with a value or its absence: count u32, end of each u32, then key length u8, key, value each.

    Args:
        changes: by ascending key.
    """
    parts = [
        pack(">B", len(key)) + key if value is None else pack(">B", len(key) | _PRESENT) + key + value
        for key, value in changes
    ]
    return pack_list(parts)


class Changes:
    """What `pack_changes` packed, read in place: a key is found by bisection, nothing else is touched."""

    __slots__ = ("_count", "_head", "_row")

    def __init__(self, row: bytes | memoryview) -> None:
        self._row = row
        count: int = unpack_from(">I", row)[0]
        self._count = count
        self._head = 4 * (self._count + 1)

    def __len__(self) -> int:
        return self._count

    def key(self, at: int) -> bytes:
        """Return the key at a position."""
        start = self._start(at)
        end = start + 1 + (self._row[start] & ~_PRESENT)
        return bytes(self._row[start + 1 : end])

    def value(self, at: int) -> bytes | None:
        """Return the value at a position; None is absence."""
        start = self._start(at)
        mark = self._row[start]
        if not mark & _PRESENT:
            return None
        return bytes(self._row[start + 1 + (mark & ~_PRESENT) : self._start(at + 1)])

    def find(self, key: bytes) -> int | None:
        """Return the position of a key, or None."""
        at = bisect_left(range(self._count), key, key=self.key)
        return at if at < self._count and self.key(at) == key else None

    def items(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Walk all keys with their values, ascending."""
        for at in range(self._count):
            yield self.key(at), self.value(at)

    def _start(self, at: int) -> int:
        end: int = unpack_from(">I", self._row, 4 * at)[0] if at else 0
        return self._head + end
