"""Kinds of values: the types of record fields, arguments, results and event fields.

A kind can tell whether a value is of it, whether every value of another kind is (so that a program is typed
before it runs), how large it can become, and what it is called in the documentation. It does not know where
it is used.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from protocol.codec import Value, is_text
from protocol.params import AMOUNT_MAX, INT64_MAX

INTEGER_BYTES: Final = 9


class Kind(Protocol):
    """A set of values with a name."""

    @property
    def name(self) -> str: ...

    @property
    def size_bytes_max(self) -> int: ...

    def holds(self, value: Value) -> bool: ...

    def accepts(self, other: "Kind") -> bool: ...


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer of [low, high]."""

    name: str
    low: int
    high: int

    @property
    def size_bytes_max(self) -> int:
        """Return the most bytes of its canonical form."""
        return 1 if self.low >= 0 and self.high < 128 else INTEGER_BYTES

    def holds(self, value: Value) -> bool:
        """Tell whether a value is of this kind."""
        return type(value) is int and self.low <= value <= self.high

    def accepts(self, other: Kind) -> bool:
        """Tell whether every value of another kind is of this one."""
        return isinstance(other, Integer) and self.low <= other.low and other.high <= self.high


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a length of [low, high]."""

    name: str
    low: int
    high: int

    @property
    def size_bytes_max(self) -> int:
        """Return the most bytes of its canonical form."""
        return self.high + 3

    def holds(self, value: Value) -> bool:
        """Tell whether a value is of this kind."""
        return type(value) is bytes and self.low <= len(value) <= self.high

    def accepts(self, other: Kind) -> bool:
        """Tell whether every value of another kind is of this one."""
        return isinstance(other, Data) and self.low <= other.low and other.high <= self.high


@dataclass(frozen=True, slots=True)
class Text:
    """Text of at most so many UTF-8 bytes, NFC, without control characters."""

    name: str
    high: int

    @property
    def size_bytes_max(self) -> int:
        """Return the most bytes of its canonical form."""
        return self.high + 3

    def holds(self, value: Value) -> bool:
        """Tell whether a value is of this kind."""
        return type(value) is str and is_text(value, self.high)

    def accepts(self, other: Kind) -> bool:
        """Tell whether every value of another kind is of this one."""
        return isinstance(other, Text) and other.high <= self.high


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    name: str = "bool"
    size_bytes_max: int = 1

    def holds(self, value: Value) -> bool:
        """Tell whether a value is of this kind."""
        return type(value) is bool

    def accepts(self, other: Kind) -> bool:
        """Tell whether every value of another kind is of this one."""
        return isinstance(other, Flag)


@dataclass(frozen=True, slots=True)
class Maybe:
    """Nil or a value of a kind."""

    kind: Kind

    @property
    def name(self) -> str:
        """Return the name in the documentation."""
        return f"{self.kind.name}?"

    @property
    def size_bytes_max(self) -> int:
        """Return the most bytes of its canonical form."""
        return self.kind.size_bytes_max

    def holds(self, value: Value) -> bool:
        """Tell whether a value is of this kind."""
        return value is None or self.kind.holds(value)

    def accepts(self, other: Kind) -> bool:
        """Tell whether every value of another kind is of this one."""
        return self.kind.accepts(other.kind if isinstance(other, Maybe) else other)


@dataclass(frozen=True, slots=True)
class Many:
    """An array of low to high values of one kind."""

    kind: Kind
    high: int
    low: int = 0

    @property
    def name(self) -> str:
        """Return the name in the documentation."""
        return f"[{self.kind.name} x {self.low}..{self.high}]"

    @property
    def size_bytes_max(self) -> int:
        """Return the most bytes of its canonical form."""
        return 3 + self.high * self.kind.size_bytes_max

    def holds(self, value: Value) -> bool:
        """Tell whether a value is of this kind."""
        if type(value) is not tuple or not self.low <= len(value) <= self.high:
            return False
        holds = self.kind.holds
        return all(holds(item) for item in value)

    def accepts(self, other: Kind) -> bool:
        """Tell whether every value of another kind is of this one."""
        if not isinstance(other, Many) or other.low < self.low or other.high > self.high:
            return False
        return self.kind.accepts(other.kind)


@dataclass(frozen=True, slots=True)
class Field:
    """A named value: of a record, an argument, a result or an event."""

    name: str
    kind: Kind
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Fields:
    """An array with one value of its own kind at each place."""

    fields: tuple[Field, ...]

    @property
    def name(self) -> str:
        """Return the name in the documentation."""
        return "[" + ", ".join([f"{f.name} {f.kind.name}" for f in self.fields]) + "]"

    @property
    def size_bytes_max(self) -> int:
        """Return the most bytes of its canonical form."""
        return 3 + sum([f.kind.size_bytes_max for f in self.fields])

    def holds(self, value: Value) -> bool:
        """Tell whether a value is of this kind."""
        if type(value) is not tuple or len(value) != len(self.fields):
            return False
        return all(f.kind.holds(item) for f, item in zip(self.fields, value, strict=True))

    def accepts(self, other: Kind) -> bool:
        """Tell whether every value of another kind is of this one."""
        if not isinstance(other, Fields) or len(other.fields) != len(self.fields):
            return False
        return all(f.kind.accepts(g.kind) for f, g in zip(self.fields, other.fields, strict=True))


@dataclass(frozen=True, slots=True)
class Anything:
    """A value whose form the method checks itself, such as a key policy."""

    name: str
    size_bytes_max: int

    def holds(self, value: Value) -> bool:
        """Tell whether a value is of this kind."""
        return True

    def accepts(self, other: Kind) -> bool:
        """Tell whether every value of another kind is of this one."""
        return isinstance(other, Anything) and other.name == self.name


U8: Final = Integer("u8", 0, (1 << 8) - 1)
U16: Final = Integer("u16", 0, (1 << 16) - 1)
U32: Final = Integer("u32", 0, (1 << 32) - 1)
U48: Final = Integer("u48", 0, (1 << 48) - 1)
U63: Final = Integer("u63", 0, INT64_MAX)
AMOUNT: Final = Integer("amount", 0, AMOUNT_MAX)
POSITIVE: Final = Integer("amount > 0", 1, AMOUNT_MAX)
BALANCE: Final = Integer("balance", -AMOUNT_MAX, AMOUNT_MAX)
SECONDS: Final = Integer("seconds", 0, (1 << 48) - 1)
HEIGHT: Final = Integer("height", 0, INT64_MAX)
ASSET: Final = Integer("asset", 0, (1 << 32) - 1)
HOLD: Final = Integer("hold", 0, (1 << 48) - 1)
BOOL: Final = Flag()
ADDRESS: Final = Data("address", 20, 20)
HASH: Final = Data("hash", 32, 32)
PUBLIC_KEY: Final = Data("public key", 33, 33)
