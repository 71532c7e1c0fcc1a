"""State keys: `[contract u16][table u8][fields, fixed width, big-endian]`, in the order of numbers.

Knows widths only. Which table has which key is in the table's schema (`vm/tables.py`).

*Source*: contracts.md 4.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol.params import STATE_KEY_BYTES_MAX

PREFIX_BYTES: Final = 3

KeyPart: TypeAlias = int | bytes | str


@dataclass(frozen=True, slots=True)
class KeyField:
    """One field of a key.

    Args:
        kind: `uint` (width bytes, big-endian), `data` (exactly width bytes) or `text` (at most width bytes of
            UTF-8, only as the last field).
    """

    name: str
    kind: str
    width: int


def uint_key(name: str, bits: int) -> KeyField:
    """Return an unsigned integer field of so many bits, a multiple of 8."""
    assert bits % 8 == 0
    return KeyField(name, "uint", bits // 8)


def data_key(name: str, size_bytes: int) -> KeyField:
    """Return a field of exactly so many bytes."""
    return KeyField(name, "data", size_bytes)


def text_key(name: str, size_bytes_max: int) -> KeyField:
    """Return a text field; only the last field of a key may be one."""
    return KeyField(name, "text", size_bytes_max)


def table_prefix(contract: int, table: int) -> bytes:
    """Return the first three bytes of every key of a table."""
    return contract.to_bytes(2, "big") + table.to_bytes(1, "big")


def check_layout(fields: tuple[KeyField, ...]) -> int:
    """Return the most bytes a key of this layout has, prefix included; refuse one that cannot be a key.

    Raises:
        ValueError: too long, or text that is not last: the schema is wrong.
    """
    size = PREFIX_BYTES + sum([f.width for f in fields])
    if size > STATE_KEY_BYTES_MAX:
        raise ValueError(f"a key of {size} bytes, limit {STATE_KEY_BYTES_MAX}")
    if any(f.kind == "text" for f in fields[:-1]):
        raise ValueError("text may only be the last field of a key")
    return size


def pack_key(prefix: bytes, fields: tuple[KeyField, ...], parts: tuple[KeyPart, ...]) -> bytes:
    """Pack the first fields of a key (all of them, or fewer for a scan).

    Raises:
        AssertionError: a part does not fit its field (our own bug: arguments are typed before).
    """
    out = [prefix]
    for field, part in zip(fields, parts, strict=False):
        match field.kind, part:
            case "uint", int():
                assert 0 <= part < 1 << 8 * field.width, field.name
                out.append(part.to_bytes(field.width, "big"))
            case "data", bytes():
                assert len(part) == field.width, field.name
                out.append(part)
            case "text", str():
                data = part.encode()
                assert len(data) <= field.width, field.name
                out.append(data)
            case _:
                raise AssertionError(f"key field {field.name}: not {field.kind}")
    return b"".join(out)


def unpack_key(key: bytes, fields: tuple[KeyField, ...]) -> tuple[KeyPart, ...]:
    """Take a key apart into its fields."""
    at = PREFIX_BYTES
    parts: list[KeyPart] = []
    for field in fields:
        data = key[at : at + field.width]
        at += field.width
        parts.append(
            int.from_bytes(data, "big")
            if field.kind == "uint"
            else data.decode()
            if field.kind == "text"
            else data
        )
    return tuple(parts)
