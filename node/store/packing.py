"""How many byte strings share one row: by position, with their ends in front.

Our own files only, so nothing here is a canonical form; a torn row is a broken disk, not a peer's lie.
"""

from collections.abc import Sequence
from itertools import accumulate
from struct import pack, unpack_from
from typing import Final

_ABSENT: Final = 0xFFFF_FFFF


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
    """Pack keys with a value or its absence: key length u8, value length u32, key, value."""
    parts = []
    for key, value in changes:
        if value is None:
            parts += [pack(">BI", len(key), _ABSENT), key]
        else:
            parts += [pack(">BI", len(key), len(value)), key, value]
    return b"".join(parts)


def unpack_changes(row: bytes) -> dict[bytes, bytes | None]:
    """Return what `pack_changes` packed."""
    changes: dict[bytes, bytes | None] = {}
    at = 0
    while at < len(row):
        key_bytes, value_bytes = unpack_from(">BI", row, at)
        at += 5
        key = row[at : at + key_bytes]
        at += key_bytes
        if value_bytes == _ABSENT:
            changes[key] = None
        else:
            changes[key] = row[at : at + value_bytes]
            at += value_bytes
    return changes
