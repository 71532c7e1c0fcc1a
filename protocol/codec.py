"""Canonical bytes: one value, one byte string, and back; the only way in for data from outside.

Canonical form: MessagePack restricted to integers in their shortest form, byte strings, UTF-8 text,
booleans, nil and arrays. No maps, no floats, no extension types. A decoded value re-encodes to exactly its
input, so two byte strings can never mean one thing.

This file does not know what a value means: `Reader` is how the record types of `chain/` and of the consensus
messages take one apart, field by field, with bounds. It is the only file that imports msgpack.
"""

import unicodedata
from collections.abc import Callable
from typing import Final, NoReturn, TypeAlias, TypeVar

import msgpack

from protocol.errors import Code, Rejected
from protocol.params import DECODE_DEPTH_MAX, DECODE_LIST_ITEMS_MAX

Value: TypeAlias = "int | bytes | str | bool | tuple[Value, ...] | None"
"""What the canonical form can say. Arrays are tuples."""

_T = TypeVar("_T")

INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 64) - 1

# Unicode 3.2 data is frozen in every Python version, so normalisation by it is the same on all nodes.
_UNICODE: Final = unicodedata.ucd_3_2_0


def encode(value: Value) -> bytes:
    """Encode a value in canonical form.

    Floats and maps are kept out by the type of the argument alone; checking again here would cost as much as
    packing, and `decode` refuses them on every node.

    Raises:
        AssertionError: the value cannot be packed (our own bug).
    """
    try:
        packed: bytes = _pack(value)
    except (TypeError, ValueError, OverflowError) as failure:
        raise AssertionError(f"not a canonical value: {failure}") from failure
    return packed


def decode(data: bytes, size_bytes_max: int) -> Value:
    """Decode canonical bytes.

    Args:
        data: the whole record, nothing after it.
        size_bytes_max: limit that the caller's kind of record has.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED` (not MessagePack, forbidden type, too deep, too wide) or
            `NOT_CANONICAL` (another spelling of the same value exists).

    Cost: about 2 us for a transaction of 240 bytes.
    """
    size = len(data)
    if size > size_bytes_max:
        raise Rejected(Code.TOO_LARGE, f"{size} bytes, limit {size_bytes_max}")
    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            use_list=False,
            strict_map_key=False,
            object_pairs_hook=_refuse_map,
            ext_hook=_refuse_ext,
            max_str_len=size,
            max_bin_len=size,
            max_array_len=DECODE_LIST_ITEMS_MAX,
            max_map_len=0,
            max_ext_len=0,
        )
        if type(value) is tuple:
            _check_items(value, 1)
        elif type(value) is float:
            raise Rejected(Code.MALFORMED, "floating point number")
        # Comparing with the canonical spelling refuses long integers, long headers and trailing bytes.
        canonical = _pack(value)
    except Rejected:
        raise
    except Exception as failure:  # msgpack raises many kinds; none of them may leave this function
        raise Rejected(Code.MALFORMED, f"not canonical MessagePack: {type(failure).__name__}") from None
    if canonical != data:
        raise Rejected(Code.NOT_CANONICAL, "bytes differ from the canonical spelling of their value")
    return value  # type: ignore[no-any-return]


def decode_own(data: bytes) -> Value:
    """Decode bytes that `encode` made in this very node, such as its state; a fifth of the cost of `decode`.

    Raises:
        AssertionError: they are not MessagePack: the state was changed behind our back.
    """
    try:
        value: Value = msgpack.unpackb(data, use_list=False)
    except Exception as failure:
        raise AssertionError(f"not bytes of our own: {type(failure).__name__}") from failure
    return value


def is_text(text: str, size_bytes_max: int) -> bool:
    """Tell whether text may enter a record: NFC, no control characters, at most so many UTF-8 bytes.

    *Source*: contracts.md 3.3. *Departs*: normalisation by Unicode 3.2, the only table that all supported
    Python versions share; later characters pass unchanged.
    """
    if text.isascii():
        return len(text) <= size_bytes_max and text.isprintable()
    if len(text.encode("utf-8", "surrogatepass")) > size_bytes_max:
        return False
    if any(c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" for c in text):
        return False
    return _UNICODE.normalize("NFC", text) == text


class Reader:
    """Take a decoded record apart, field by field; anything unexpected is `Rejected(MALFORMED)`.

    Args:
        value: a decoded value, which must be an array.
        name: of the record, for messages.
        fields: how many fields it must have.
    """

    __slots__ = ("_at", "_name", "_values")

    def __init__(self, value: Value, name: str, fields: int | None = None) -> None:
        if type(value) is not tuple or (fields is not None and len(value) != fields):
            raise Rejected(Code.MALFORMED, f"{name}: not an array of {fields} fields")
        self._values = value
        self._name = name
        self._at = 0

    def any(self) -> Value:
        """Take the next field as it is."""
        at = self._at
        if at >= len(self._values):
            self._refuse("missing")
        self._at = at + 1
        return self._values[at]

    def integer(self, low: int, high: int) -> int:
        """Take an integer of [low, high]."""
        value = self.any()
        if type(value) is not int or not low <= value <= high:
            self._refuse(f"not an integer of {low}..{high}")
        return value

    def uint(self, bits: int) -> int:
        """Take an unsigned integer of so many bits."""
        value = self.any()
        if type(value) is not int or value < 0 or value >> bits:
            self._refuse(f"not an unsigned integer of {bits} bits")
        return value

    def data(self, size: int) -> bytes:
        """Take exactly so many bytes."""
        value = self.any()
        if type(value) is not bytes or len(value) != size:
            self._refuse(f"not {size} bytes")
        return value

    def data_up_to(self, size_max: int) -> bytes:
        """Take at most so many bytes."""
        value = self.any()
        if type(value) is not bytes or len(value) > size_max:
            self._refuse(f"not at most {size_max} bytes")
        return value

    def optional_data(self, size: int) -> bytes | None:
        """Take nil or exactly so many bytes."""
        value = self.any()
        if value is None:
            return None
        if type(value) is not bytes or len(value) != size:
            self._refuse(f"neither nil nor {size} bytes")
        return value

    def text(self, size_max: int) -> str:
        """Take text of at most so many UTF-8 bytes, NFC and without control characters."""
        value = self.any()
        if type(value) is not str or not is_text(value, size_max):
            self._refuse(f"not text of at most {size_max} bytes")
        return value

    def flag(self) -> bool:
        """Take true or false."""
        value = self.any()
        if type(value) is not bool:
            self._refuse("not a boolean")
        return value

    def items(self, items_max: int) -> tuple[Value, ...]:
        """Take an array of at most so many values."""
        value = self.any()
        if type(value) is not tuple or len(value) > items_max:
            self._refuse(f"not an array of at most {items_max}")
        return value

    def records(self, items_max: int, read: Callable[[Value], _T]) -> tuple[_T, ...]:
        """Take an array of records of one kind."""
        return tuple([read(value) for value in self.items(items_max)])

    def end(self) -> None:
        """Check that no field is left."""
        if self._at != len(self._values):
            self._refuse("too many fields")

    def _refuse(self, why: str) -> NoReturn:
        raise Rejected(Code.MALFORMED, f"{self._name} field {self._at}: {why}")


def _check_items(items: tuple[object, ...], depth: int) -> None:
    for item in items:
        kind = type(item)
        if kind is tuple:
            if depth >= DECODE_DEPTH_MAX:
                raise Rejected(Code.MALFORMED, f"deeper than {DECODE_DEPTH_MAX}")
            _check_items(item, depth + 1)  # type: ignore[arg-type]
        elif kind is float:
            raise Rejected(Code.MALFORMED, "floating point number")


def _refuse_map(pairs: object) -> NoReturn:
    raise Rejected(Code.MALFORMED, "map")


def _refuse_ext(code: int, data: bytes) -> NoReturn:
    raise Rejected(Code.MALFORMED, "extension type")


# One packer for the process: the core runs in one thread at a time and packing never yields.
_pack = msgpack.Packer(use_bin_type=True, autoreset=True).pack
