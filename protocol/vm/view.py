"""The state as one block sees it: a cache of decoded records over a reader, with an undo log and marks.

A record is a tuple, replaced as a whole, so undoing is putting the old tuple back; it is packed once, when
the block ends, however often it changed. The view also collects what a program says beside the state (events,
journal rows, addresses touched), because an abort takes those back too, and it counts the gas.

It does not know what a record means (`vm/tables.py`), nor where the state is kept: `StateReader` is all it
asks.

*Source*: performance.md 3, measures (b) and (c); contracts.md 3.9.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from protocol import codec
from protocol.chain.receipt import Event
from protocol.codec import Value
from protocol.errors import CallFailed, Code, Reason
from protocol.params import EVENTS_PER_TX_MAX, STATE_KEY_BYTES_MAX
from protocol.types import Address

Row: TypeAlias = tuple[Value, ...]
"""A decoded record: schema version, then the fields of its table."""

Mark: TypeAlias = tuple[int, int, int]

INSERTED_ONE_BY_ONE_MAX: Final = 32
"""Keys that are put in their place one by one; more are sorted together with the rest."""

_UNREAD: Final[Row] = ("unread",)
"""Stands for a row that is not in memory; told by identity."""

_BEYOND: Final = b"\xff" * (STATE_KEY_BYTES_MAX + 1)
"""After a prefix: later than every key with that prefix."""

GAS_UNLIMITED: Final = 1 << 62
"""For work that the block itself does: expiries, founding programs, queries."""


class StateReader(Protocol):
    """Read one version of the state. The only thing the ledger tower asks of the world."""

    def get(self, key: bytes) -> bytes | None: ...

    def scan(self, prefix: bytes, start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]: ...


class MemoryState:
    """Keep a state in a dictionary: for founding a chain and for tests."""

    __slots__ = ("_ordered", "_values")

    def __init__(self, values: Mapping[bytes, bytes] | None = None) -> None:
        self._values: dict[bytes, bytes] = dict(values or {})
        self._ordered: list[bytes] | None = None

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""
        return self._values.get(key)

    def scan(self, prefix: bytes, start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys with a prefix from `start` on, ascending."""
        if self._ordered is None:
            self._ordered = sorted(self._values)
        keys = self._ordered
        for at in range(bisect_left(keys, max(prefix, start or b"")), len(keys)):
            if not keys[at].startswith(prefix):
                return
            yield keys[at], self._values[keys[at]]

    def apply(self, writes: Mapping[bytes, bytes | None]) -> None:
        """Put the writes of a block; None deletes."""
        self._ordered = None
        for key, value in writes.items():
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value

    def items(self) -> dict[bytes, bytes]:
        """Return a copy of everything."""
        return dict(self._values)


@dataclass(slots=True)
class JournalRow:
    """One posted movement of one ledger account, as its statement shows it. Never changed.

    Not frozen only because a frozen dataclass takes four times as long to make, and each transfer makes two.

    Args:
        account: 30 bytes, owner | class | asset | sub (`contracts/ledger/accounts.py`).
        sequence: from 1, without gaps for each account.
        raw: canonical bytes; the account's rolling hash covers them.
    """

    account: bytes
    sequence: int
    raw: bytes


class View:
    """Read and write the state within one block.

    Rules:
        1. `rewind` restores rows, events and journal exactly as they were at the mark.
        2. A key whose row is what it was when the block began is not among the writes.
    """

    __slots__ = (
        "_first",
        "_ordered",
        "_reader",
        "_rows",
        "_undo",
        "_unordered",
        "events",
        "gas_limit",
        "gas_used",
        "journal",
        "touched",
    )

    def __init__(self, reader: StateReader) -> None:
        self._reader = reader
        self._rows: dict[bytes, Row | None] = {}
        self._first: dict[bytes, Row | None] = {}
        self._ordered: list[bytes] = []
        self._unordered: list[bytes] = []
        self._undo: list[tuple[bytes, Row | None]] = []
        self.events: list[Event] = []
        self.journal: list[JournalRow] = []
        self.touched: dict[Address, None] = {}
        self.gas_used = 0
        self.gas_limit = GAS_UNLIMITED

    def charge(self, gas: int) -> None:
        """Count gas.

        Raises:
            CallFailed: GAS.
        """
        self.gas_used = used = self.gas_used + gas
        if used > self.gas_limit:
            self.gas_used = self.gas_limit
            raise CallFailed(Code.GAS, Reason("gas.limit", self.gas_limit, used))

    def get(self, key: bytes) -> Row | None:
        """Return a row, or None."""
        row = self._rows.get(key, _UNREAD)
        if row is _UNREAD:
            raw = self._reader.get(key)
            row = self._rows[key] = None if raw is None else _decode_row(raw)
        return row

    def put(self, key: bytes, row: Row | None) -> None:
        """Replace a row; None deletes it."""
        rows = self._rows
        old = rows.get(key, _UNREAD)
        if old is _UNREAD:
            old = self.get(key)
        self._undo.append((key, old))
        if key not in self._first:
            self._first[key] = old
            self._unordered.append(key)
        rows[key] = row

    def scan(self, prefix: bytes, start: bytes | None = None) -> Iterator[tuple[bytes, Row]]:
        """Walk the rows with a prefix from `start` on, ascending, as they are now.

        Rules: 1. Writing while walking changes nothing in this walk's keys; collect first, then write.
        """
        own = self._list_own(prefix, start)
        at = 0
        for key, raw in self._reader.scan(prefix, start):
            while at < len(own) and own[at] < key:
                row = self._rows[own[at]]
                if row is not None:
                    yield own[at], row
                at += 1
            if at < len(own) and own[at] == key:
                row = self._rows[key]
                at += 1
            else:
                row = _decode_row(raw)
            if row is not None:
                yield key, row
        for key in own[at:]:
            row = self._rows[key]
            if row is not None:
                yield key, row

    def _list_own(self, prefix: bytes, start: bytes | None) -> list[bytes]:
        """List the keys with a prefix, from `start` on, that this block has written, ascending.

        Cost: a seek, and the keys that are new since the last walk: a block that writes much is not read
        through by each walk in it.
        """
        keys, new = self._ordered, self._unordered
        if len(new) > INSERTED_ONE_BY_ONE_MAX:
            keys.extend(new)
            keys.sort()
        else:
            for key in new:
                insort(keys, key)
        new.clear()
        return keys[bisect_left(keys, max(prefix, start or b"")) : bisect_left(keys, prefix + _BEYOND)]

    def emit(self, event: Event) -> None:
        """Add an event.

        Raises:
            CallFailed: LIMIT, when one program says too much.
        """
        if len(self.events) >= EVENTS_PER_TX_MAX:
            raise CallFailed(Code.LIMIT, Reason("vm.events", EVENTS_PER_TX_MAX, len(self.events) + 1))
        self.events.append(event)

    def mark(self) -> Mark:
        """Return a point to come back to."""
        return len(self._undo), len(self.events), len(self.journal)

    def rewind(self, mark: Mark) -> None:
        """Take back everything since the mark."""
        undo, events, journal = mark
        log, rows = self._undo, self._rows
        while len(log) > undo:
            key, old = log.pop()
            rows[key] = old
        del self.events[events:]
        del self.journal[journal:]

    def list_changes(self, mark: Mark) -> list[tuple[bytes, Row | None, Row | None]]:
        """Return the keys written since the mark, each with its row as it was at the mark and as it is."""
        before: dict[bytes, Row | None] = {}
        for key, old in self._undo[mark[0] :]:
            if key not in before:
                before[key] = old
        rows = self._rows
        return [(key, old, rows[key]) for key, old in before.items()]

    def forget_undo(self) -> None:
        """Drop the undo log: nothing before this point will be taken back."""
        self._undo.clear()

    def collect_writes(self) -> dict[bytes, bytes | None]:
        """Pack what the block changed, ascending by key; None deletes. About 1 us a record."""
        writes: dict[bytes, bytes | None] = {}
        rows, first = self._rows, self._first
        for key in sorted(first):
            row = rows[key]
            if row != first[key]:
                writes[key] = None if row is None else codec.encode(row)
        return writes


def _decode_row(raw: bytes) -> Row:
    row = codec.decode_own(raw)
    assert type(row) is tuple, "a state value is an array"
    return row
