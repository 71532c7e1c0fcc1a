"""Typed tables over the view: records by key, and indexes that only this file writes.

A table is schema: its number, the layout of its key, its fields and its indexes. Reading and writing a record
counts its gas and keeps every index row in the same undo log, so an index cannot drift from its records. It
does not know what a record means; a contract names its tables and its row type.

A row is a plain tuple `(schema version, field...)`, because that is what is cheap to make, compare and pack.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any, Final, Generic, TypeVar, cast

from protocol.codec import Value
from protocol.errors import CallFailed, Reason
from protocol.params import QUERY_ITEMS_MAX, STATE_VALUE_BYTES_MAX
from protocol.vm import gas
from protocol.vm.keys import KeyField, KeyPart, check_layout, pack_key, table_prefix, unpack_key
from protocol.vm.kinds import Field
from protocol.vm.view import Row, View

R = TypeVar("R", bound=Row)
T = TypeVar("T")

SCHEMA: Final = 1
"""Schema version of every record so far; a record of an older one is upgraded when it is read."""

INDEX_ROW: Final[Row] = (SCHEMA,)


def pack_record(record: Any) -> tuple[Value, ...]:
    """Return the row of a record that a contract reads as a dataclass, in the order of its fields."""
    return (SCHEMA, *[getattr(record, known.name) for known in fields(record)])


def read_record(kind: Callable[..., T], row: Row) -> T:
    """Return the record of a row that `pack_record` made."""
    return kind(*row[1:])


@dataclass(frozen=True, slots=True)
class Index:
    """A second way to a table's records.

    Args:
        number: table number of the index rows, unique in the contract.
        select: (key parts, row) -> the first parts of the index key, or None when the row is not indexed. The
            record's own key parts follow, so that index rows are unique.
        fields: layout of the selected parts.
    """

    number: int
    name: str
    fields: tuple[KeyField, ...]
    select: Callable[[tuple[KeyPart, ...], Row], tuple[KeyPart, ...] | None]


@dataclass(frozen=True, slots=True)
class Table(Generic[R]):
    """A table of one contract; `R` is the tuple type of its rows, schema version first."""

    contract: int
    number: int
    name: str
    key_fields: tuple[KeyField, ...]
    fields: tuple[Field, ...]
    indexes: tuple[Index, ...] = ()
    doc: str = ""
    prefix: bytes = field(init=False)
    read_gas: int = field(init=False)
    write_gas: int = field(init=False)

    def __post_init__(self) -> None:
        size = 4 + sum([f.kind.size_bytes_max for f in self.fields])
        if size > STATE_VALUE_BYTES_MAX:
            raise ValueError(f"table {self.name}: records of {size} bytes, limit {STATE_VALUE_BYTES_MAX}")
        key_bytes = check_layout(self.key_fields)
        for index in self.indexes:
            check_layout((*index.fields, *self.key_fields))
        object.__setattr__(self, "prefix", table_prefix(self.contract, self.number))
        object.__setattr__(self, "read_gas", gas.compute_read_gas(size))
        object.__setattr__(self, "write_gas", gas.compute_write_gas(key_bytes + size))

    def key(self, *parts: KeyPart) -> bytes:
        """Return the state key of a record, or the prefix of a scan when parts are left out."""
        return pack_key(self.prefix, self.key_fields, parts)

    def parts(self, key: bytes) -> tuple[KeyPart, ...]:
        """Return the key fields of a state key."""
        return unpack_key(key, self.key_fields)

    def get(self, view: View, key: bytes) -> R | None:
        """Return a record by its state key, or None."""
        view.charge(self.read_gas)
        return view.get(key)  # type: ignore[return-value]

    def need(self, view: View, key: bytes, code: int, rule: str, actual: int | str | bytes) -> R:
        """Return a record that a program names.

        Raises:
            CallFailed: the code, when there is none.
        """
        view.charge(self.read_gas)
        row = view.get(key)
        if row is None:
            raise CallFailed(code, Reason(rule, None, actual))
        return row  # type: ignore[return-value]

    def peek(self, view: View, key: bytes) -> R | None:
        """Return a record without counting gas: for the kernel's own checks, whose price is elsewhere."""
        return view.get(key)  # type: ignore[return-value]

    def put(self, view: View, key: bytes, row: R) -> None:
        """Add or replace a record, and its index rows."""
        view.charge(self.write_gas)
        if self.indexes:
            self._reindex(view, key, view.get(key), row)
        view.put(key, row)

    def delete(self, view: View, key: bytes) -> None:
        """Delete a record, and its index rows; deleting what is not there does nothing."""
        view.charge(gas.DELETE)
        if self.indexes:
            self._reindex(view, key, view.get(key), None)
        view.put(key, None)

    def scan(self, view: View, *parts: KeyPart, start: bytes | None = None) -> Iterator[tuple[bytes, R]]:
        """Walk the records whose key begins with the parts, ascending."""
        view.charge(gas.SEEK)
        for key, row in view.scan(self.key(*parts), start):
            view.charge(gas.SCAN_ITEM)
            yield key, cast(R, row)

    def scan_index(
        self, view: View, index: Index, *parts: KeyPart, after: tuple[KeyPart, ...] = ()
    ) -> Iterator[tuple[KeyPart, ...]]:
        """Walk an index from its start, or within the parts: yields selected parts, then the record's key.

        Args:
            after: what follows the parts in the index row behind which the walk begins.
        """
        layout = (*index.fields, *self.key_fields)
        prefix = table_prefix(self.contract, index.number)
        start = pack_key(prefix, layout, (*parts, *after)) + b"\x00" if after else None
        view.charge(gas.SEEK)
        for key, _ in view.scan(pack_key(prefix, layout, parts), start):
            view.charge(gas.SCAN_ITEM)
            yield unpack_key(key, layout)

    def page(
        self, view: View, index: Index, *parts: KeyPart, after: tuple[KeyPart, ...] = ()
    ) -> tuple[tuple[tuple[KeyPart, ...], R], ...]:
        """List records that an index finds under the parts: their keys and rows, `QUERY_ITEMS_MAX` at most.

        Args:
            after: key of the last record of the page before; none for the first page.
        """
        layout = (*index.fields, *self.key_fields)
        prefix = table_prefix(self.contract, index.number)
        start = pack_key(prefix, layout, (*parts, *after)) + b"\x00" if after else None
        found: list[tuple[tuple[KeyPart, ...], R]] = []
        view.charge(gas.SEEK)
        for index_key, _ in islice(view.scan(pack_key(prefix, layout, parts), start), QUERY_ITEMS_MAX):
            view.charge(gas.SCAN_ITEM)
            key = unpack_key(index_key, layout)[len(index.fields) :]
            row = self.get(view, self.key(*key))
            assert row is not None, "an index follows its table"
            found.append((key, row))
        return tuple(found)

    def page_keys(
        self, view: View, index: Index, *parts: KeyPart, after: tuple[KeyPart, ...] = ()
    ) -> tuple[tuple[KeyPart, ...], ...]:
        """List the keys of the records that an index finds under the parts, `QUERY_ITEMS_MAX` at most.

        Args:
            after: key of the last record of the page before; none for the first page.
        """
        walk = islice(self.scan_index(view, index, *parts, after=after), QUERY_ITEMS_MAX)
        return tuple([found[len(index.fields) :] for found in walk])

    def page_rows(
        self, view: View, *parts: KeyPart, after: tuple[KeyPart, ...] = ()
    ) -> tuple[tuple[tuple[KeyPart, ...], R], ...]:
        """List records under the parts in the order of their keys: keys and rows, `QUERY_ITEMS_MAX` at most.

        Args:
            after: what follows the parts in the key of the last record of the page before.
        """
        start = self.key(*parts, *after) + b"\x00" if after else None
        walk = islice(self.scan(view, *parts, start=start), QUERY_ITEMS_MAX)
        return tuple([(self.parts(key), row) for key, row in walk])

    def _reindex(self, view: View, key: bytes, old: Row | None, new: Row | None) -> None:
        parts = self.parts(key)
        for index in self.indexes:
            before = None if old is None else index.select(parts, old)
            after = None if new is None else index.select(parts, new)
            if before == after:
                continue
            view.charge(gas.INDEX_ENTRY)
            prefix = table_prefix(self.contract, index.number)
            layout = (*index.fields, *self.key_fields)
            if before is not None:
                view.put(pack_key(prefix, layout, (*before, *parts)), None)
            if after is not None:
                view.put(pack_key(prefix, layout, (*after, *parts)), INDEX_ROW)
