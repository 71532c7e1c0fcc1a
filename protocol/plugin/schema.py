"""The schema of a plugin: tables whose records move on by themselves, and one contract made of all parts.

A plugin declares with these; `world.py` is what its methods are given. Its functions are wrapped here, so
that a mistake of a plugin aborts one program and never a node: whatever its code raises becomes INVARIANT
with the rule `plugin.bug`. Only a stack or a memory that is used up ends the node, because where that
happens differs from machine to machine. This file does not know where a plugin comes from.

*Source*: contracts.md 3.12.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, cast

from protocol.codec import Value
from protocol.errors import CallFailed, Code, Reason, Rejected
from protocol.params import PLUGIN_ID_MIN, PLUGIN_LAYER_MIN
from protocol.types import ContractId
from protocol.vm import contract as vm
from protocol.vm.context import Context, QueryContext
from protocol.vm.contract import Capability, Contract, ErrorType, EventType
from protocol.vm.keys import KeyField, KeyPart
from protocol.vm.kinds import Field, Kind
from protocol.vm.tables import Index, Table
from protocol.vm.view import Row

Key: TypeAlias = tuple[KeyPart, ...]
Record: TypeAlias = tuple[Any, ...]
"""Values of the fields of a record, in their order."""

NUMBER_MAX: Final = (1 << 16) - 1
TABLE_NUMBER_MAX: Final = (1 << 8) - 1
LAYER_MAX: Final = 9
BUG: Final = "plugin.bug"
NAME_CHARS_MAX: Final = 32
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_NAME_CHARS: Final = _LETTERS + "0123456789_"


@dataclass(frozen=True, slots=True)
class Lookup:
    """A second way to records: by the values of some fields.

    Args:
        number: of its rows; differs from the numbers of all tables of the contract.
        columns: names of fields, in the order of the walk.
        keys: their layout.
    """

    number: int
    name: str
    columns: tuple[str, ...]
    keys: tuple[KeyField, ...]


class Records:
    """A table of a plugin.

    Args:
        contract: number of the plugin's contract.
        number: of the table; never used again for anything else.
        keys: layout of the key.
        fields: what a record holds beside its key.
        schema: version of the records; one more with every change of `fields`.
        migrations: from schema 1 to 2, from 2 to 3, ...: a function from fields to fields. What a `Lookup`
            finds by must stay as it is.
    """

    __slots__ = ("lookups", "migrations", "schema", "table")

    def __init__(
        self,
        contract: int,
        number: int,
        name: str,
        keys: tuple[KeyField, ...],
        fields: tuple[Field, ...],
        doc: str,
        lookups: tuple[Lookup, ...] = (),
        schema: int = 1,
        migrations: tuple[Callable[[Record], Record], ...] = (),
    ) -> None:
        for given in (number, *[lookup.number for lookup in lookups]):
            if not 1 <= given <= TABLE_NUMBER_MAX:
                raise ValueError(f"{name}: the number {given} of a table is not of 1 to {TABLE_NUMBER_MAX}")
        if len(migrations) != schema - 1:
            raise ValueError(f"{name}: schema {schema} needs {schema - 1} migrations, has {len(migrations)}")
        self.schema = schema
        self.migrations = migrations
        self.lookups = {lookup.name: self._index(lookup, fields) for lookup in lookups}
        indexes = tuple(self.lookups[lookup.name] for lookup in lookups)
        self.table: Table[Row] = Table(contract, number, name, keys, fields, indexes, doc)

    @property
    def fields(self) -> tuple[Field, ...]:
        """Return what a record holds beside its key."""
        return self.table.fields

    def read(self, row: Row) -> Record:
        """Return the fields of a stored record, brought up to this schema."""
        schema, fields = row[0], row[1:]
        assert type(schema) is int
        for migrate in self.migrations[schema - 1 :]:
            fields = migrate(fields)
        return fields

    def _index(self, lookup: Lookup, fields: tuple[Field, ...]) -> Index:
        names = [field.name for field in fields]
        places = [names.index(column) for column in lookup.columns]

        def select(_: Key, row: Row) -> Key:
            record = self.read(row)
            return tuple([record[place] for place in places])

        return Index(lookup.number, lookup.name, lookup.keys, select)


Change: TypeAlias = tuple[Key, Record | None, Record | None]
"""(key, fields before the program, fields after it); None: there is no record"""


@dataclass(frozen=True, slots=True)
class Invariant:
    """What every program must leave true of the records that it has touched; else it is aborted."""

    name: str
    records: Records
    holds: Callable[[tuple[Change, ...]], bool]
    doc: str


@dataclass(frozen=True, slots=True)
class Method:
    """A call that a program can make: `run(ctx, arguments...)` returns a value of kind `result`.

    Args:
        capabilities: any one of them suffices.
        base_gas: work of its own code; tables, money and events count by themselves. 1 gas is 50 ns.
    """

    id: int
    name: str
    arguments: tuple[Field, ...]
    result: Kind
    capabilities: tuple[Capability, ...]
    base_gas: int
    run: Callable[..., Value]
    doc: str


@dataclass(frozen=True, slots=True)
class Query:
    """A question about a state: `run(ctx, arguments...)` returns a value of kind `result`."""

    name: str
    arguments: tuple[Field, ...]
    result: Kind
    run: Callable[..., Value]
    doc: str


def make_contract(
    wrap_call: Callable[[Context], object],
    wrap_query: Callable[[QueryContext], object],
    number: int,
    name: str,
    version: int,
    doc: str,
    records: tuple[Records, ...],
    methods: tuple[Method, ...],
    queries: tuple[Query, ...],
    events: tuple[EventType, ...],
    errors: tuple[ErrorType, ...],
    invariants: tuple[Invariant, ...],
    layer: int,
) -> Contract:
    """Make the contract of a plugin, with every function wrapped.

    Raises:
        ValueError: a number, a name or a part is not one that a plugin may have.
    """
    _check_numbers(number, name, version, layer)
    owned = [*[r.table.contract for r in records], *[e.contract for e in events]]
    owned += [i.records.table.contract for i in invariants]
    if any(owner != number for owner in owned):
        raise ValueError(f"{name}: a table, an event or an invariant belongs to another contract")
    numbers = [n for r in records for n in (r.table.number, *[i.number for i in r.table.indexes])]
    for what, used, most in (
        ("table", numbers, TABLE_NUMBER_MAX),
        ("method", [m.id for m in methods], NUMBER_MAX),
        ("event", [e.id for e in events], NUMBER_MAX),
        ("error", [e.code - number * 100 for e in errors], 99),
    ):
        if len(set(used)) != len(used) or any(not 1 <= n <= most for n in used):
            raise ValueError(f"{name}: a {what} has a number twice, or one that is not of 1 to {most}")
    return Contract(
        ContractId(number),
        name,
        layer,
        version,
        doc,
        tuple(r.table for r in records),
        tuple(_guard_method(m, wrap_call) for m in methods),
        tuple(_guard_query(q, name, wrap_query) for q in queries),
        events,
        errors,
        tuple(_guard_invariant(i) for i in invariants),
    )


def _check_numbers(number: int, name: str, version: int, layer: int) -> None:
    if not PLUGIN_ID_MIN <= number <= NUMBER_MAX:
        raise ValueError(f"{name}: number {number} is not of {PLUGIN_ID_MIN} to {NUMBER_MAX}")
    if not PLUGIN_LAYER_MIN <= layer <= LAYER_MAX:
        raise ValueError(f"{name}: layer {layer} is not of {PLUGIN_LAYER_MIN} to {LAYER_MAX}")
    if not 1 <= version <= NUMBER_MAX:
        raise ValueError(f"{name}: version {version} is not of 1 to {NUMBER_MAX}")
    is_name = 3 <= len(name) <= NAME_CHARS_MAX and name[0] in _LETTERS
    if not is_name or any(char not in _NAME_CHARS for char in name):
        raise ValueError(f"{name[:40]!r}: a name is 3 to 32 of a-z, 0-9 and _, a letter first")


def _guard_method(method: Method, wrap: Callable[[Context], object]) -> vm.Method:
    run, holds = method.run, method.result.holds

    def guarded(ctx: Context, *arguments: Value) -> Value:
        try:
            result = run(wrap(ctx), *arguments)
            is_typed = holds(result)
        except (CallFailed, RecursionError, MemoryError):
            raise
        except Exception:
            raise CallFailed(Code.INVARIANT, Reason(BUG, None, method.name)) from None
        if not is_typed:
            raise CallFailed(Code.INVARIANT, Reason(BUG, None, method.name))
        return result

    return vm.Method(
        method.id,
        method.name,
        method.arguments,
        method.result,
        method.capabilities,
        method.base_gas,
        guarded,
        method.doc,
    )


def _guard_query(query: Query, name: str, wrap: Callable[[QueryContext], object]) -> vm.Query:
    run, holds = query.run, query.result.holds

    def guarded(ctx: QueryContext, *arguments: Value) -> Value:
        try:
            result = run(wrap(ctx), *arguments)
            is_typed = holds(result)
        except (RecursionError, MemoryError):
            raise
        except CallFailed as failure:
            raise Rejected(failure.code, f"{name}.{query.name}: {failure.reason.rule}") from None
        except Exception as bug:
            raise Rejected(Code.INVARIANT, f"{name}.{query.name}: {BUG}, {type(bug).__name__}") from bug
        if not is_typed:
            raise Rejected(Code.INVARIANT, f"{name}.{query.name}: {BUG}, another kind of answer")
        return result

    return vm.Query(query.name, query.arguments, query.result, guarded, query.doc)


def _guard_invariant(invariant: Invariant) -> vm.Invariant:
    records, holds = invariant.records, invariant.holds

    def read(row: Row | None) -> Record | None:
        return None if row is None else records.read(row)

    def guarded(changes: list[vm.Change]) -> bool:
        try:
            told = tuple([(records.table.parts(key), read(old), read(new)) for key, old, new in changes])
            return holds(told) is True
        except (RecursionError, MemoryError):
            raise
        except Exception:
            return False

    return vm.Invariant(invariant.name, cast(Table[Any], records.table), guarded, invariant.doc)


def with_code(contract: Contract, code_hash: bytes) -> Contract:
    """Return a plugin's contract that is bound to its source."""
    return replace(contract, code_hash=code_hash)
