"""What a method of a plugin is given: its own records and money, time, events, lower layers; nothing else.

A plugin's money lies on accounts of one class, 2040, which cannot be overdrawn, so it can never pay out more
than came in. It debits a member only by the authority that his call carries. It writes no table but its own.
Nothing here relies on `assert`, which a process may run without: a plugin's mistake is the same everywhere.

*Source*: contracts.md 3.6, 3.12.
"""

from typing import Final, NoReturn

from protocol import money
from protocol.codec import Value
from protocol.contracts import sched
from protocol.contracts.ledger import holds, legs
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key, get_account, open_account
from protocol.errors import CallFailed, Code, Reason
from protocol.money import Rounding
from protocol.params import PLUGIN_SCAN_MAX, QUERY_ITEMS_MAX
from protocol.plugin.schema import Key, Record, Records
from protocol.types import Address
from protocol.vm.context import Context, QueryContext, Take
from protocol.vm.contract import ErrorType, EventType
from protocol.vm.keys import KeyField
from protocol.vm.kinds import ASSET, POSITIVE, SECONDS, U16, U32, Kind
from protocol.vm.program import literal
from protocol.vm.view import View

ESCROW: Final = 2040
"""Class of a plugin's accounts."""


def fail(error: ErrorType, limit: int | bytes | None = None, actual: int | bytes | None = None) -> NoReturn:
    """Fail the program with an error of the plugin; `limit` and `actual` are for who reads the receipt.

    Raises:
        CallFailed: always.
    """
    raise CallFailed(error.code, Reason(f"plugin.{error.name.lower()}", limit, actual))


def require(
    holds: bool, error: ErrorType, limit: int | bytes | None = None, actual: int | bytes | None = None
) -> None:
    """Fail the program with an error of the plugin unless something holds."""
    if holds is not True:
        fail(error, limit, actual)


def mul_div(value: int, numerator: int, denominator: int, rounding: Rounding) -> int:
    """Compute value * numerator / denominator, exact until the one rounding at the end."""
    if value < 0 or numerator < 0 or denominator <= 0:
        _refuse(Code.TYPE, "plugin.mul_div")
    return money.mul_div(value, numerator, denominator, rounding)


def split_by_weight(total: int, weights: tuple[int, ...]) -> tuple[int, ...]:
    """Split a total over weights by largest remainder, ties to the earlier one; the parts sum to it."""
    if total < 0 or any(weight < 0 for weight in weights):
        _refuse(Code.TYPE, "plugin.split")
    return money.split_by_weight(total, weights)


class QueryCtx:
    """What a query is given: records and balances of its own contract, and the time of the state."""

    __slots__ = ("_address", "_contract", "_time", "_view")

    def __init__(self, view: View, contract: int, address: Address, time: int) -> None:
        self._view = view
        self._contract = contract
        self._address = address
        self._time = time

    @property
    def time(self) -> int:
        """Time of the block, seconds since 1970."""
        return self._time

    @property
    def address(self) -> Address:
        """Address of the contract's pseudo-account."""
        return self._address

    def get(self, records: Records, *key: int | bytes | str) -> Record | None:
        """Return the fields of a record, brought up to the present schema, or None."""
        row = records.table.get(self._view, self._key(records, key, whole=True))
        return None if row is None else records.read(row)

    def scan(
        self, records: Records, *begins: int | bytes | str, after: Key = (), limit: int = QUERY_ITEMS_MAX
    ) -> tuple[tuple[Key, Record], ...]:
        """List records whose key begins with these parts, ascending: keys and fields.

        Args:
            after: key of the last record of the page before.
            limit: 1 to 1,000.
        """
        if not 1 <= limit <= PLUGIN_SCAN_MAX:
            _refuse(Code.LIMIT, "plugin.scan", PLUGIN_SCAN_MAX, limit)
        self._key(records, begins, whole=False)
        start = self._key(records, after, whole=True) + b"\x00" if after else None
        found: list[tuple[Key, Record]] = []
        for key, row in records.table.scan(self._view, *begins, start=start):
            self._view.charge(records.table.read_gas)
            found.append((records.table.parts(key), records.read(row)))
            if len(found) == limit:
                break
        return tuple(found)

    def find(
        self, records: Records, lookup: str, *values: int | bytes | str, after: Key = ()
    ) -> tuple[tuple[Key, Record], ...]:
        """List records that a lookup finds under these values, a page at most: keys and fields."""
        self._own(records)
        index = records.lookups[lookup]
        _check_key(index.fields, values)
        if after:
            _check_key(records.table.key_fields, after, whole=True)
        page = records.table.page(self._view, index, *values, after=after)
        return tuple([(key, records.read(row)) for key, row in page])

    def balance(self, asset: int, sub: int = 0) -> int:
        """Return what an own account can pay out now, minor units."""
        row = get_account(self._view, account_key(self._address, ESCROW, _typed(ASSET, asset), _sub(sub)))
        return 0 if row is None else row[5] - row[3] - row[2]

    def _key(self, records: Records, parts: Key, *, whole: bool) -> bytes:
        self._own(records)
        _check_key(records.table.key_fields, parts, whole=whole)
        return records.table.key(*parts)

    def _own(self, records: Records) -> None:
        if records.table.contract != self._contract:
            _refuse(Code.TYPE, "plugin.other_contract", self._contract, records.table.contract)


class Ctx(QueryCtx):
    """What a method is given."""

    __slots__ = ("_ctx",)

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx.view, ctx.contract.id, ctx.contract.address, ctx.environment.time)
        self._ctx = ctx

    @property
    def day(self) -> int:
        """Day of the co-op's calendar, days since 1970-01-01."""
        return self._ctx.environment.day

    @property
    def height(self) -> int:
        """Height of the block."""
        return self._ctx.environment.height

    @property
    def actor(self) -> Address | None:
        """Account whose authority the call uses, or None."""
        return self._ctx.actor

    # --- records

    def put(self, records: Records, key: Key, *fields: Value) -> None:
        """Add or replace a record.

        Raises:
            CallFailed: TYPE when a value is not of its field's kind.
        """
        place = self._key(records, key, whole=True)
        table = records.table
        if len(fields) != len(table.fields):
            _refuse(Code.TYPE, "plugin.fields", len(table.fields), len(fields))
        for field, value in zip(table.fields, fields, strict=True):
            if not field.kind.holds(value):
                raise CallFailed(Code.TYPE, Reason("plugin.field", field.kind.name, field.name))
        old = table.peek(self._view, place)
        if old is not None and old[0] != records.schema:
            table.delete(self._view, place)  # so that a lookup that is new finds it
        table.put(self._view, place, (records.schema, *fields))

    def delete(self, records: Records, *key: int | bytes | str) -> None:
        """Delete a record; deleting what is not there does nothing."""
        records.table.delete(self._view, self._key(records, key, whole=True))

    # --- money

    def open(self, asset: int, sub: int = 0) -> bool:
        """Open an own account unless it exists; tell whether it is new."""
        return open_account(self._view, account_key(self._address, ESCROW, _typed(ASSET, asset), _sub(sub)))

    def collect(self, owner: Address, asset: int, amount: int, sub: int = 0, ref: bytes = b"") -> int:
        """Move an amount from a member's free balance to an own account; returns the amount.

        *Rule*: the owner is the actor, or the calling contract handed a token on.
        """
        self._authority(owner)
        debit, credit = self._pair(owner, asset, amount, sub)
        return legs.leg(self._ctx, debit, credit, amount, self._contract, ref)

    def leg(self, payee: Address, asset: int, amount: int, sub: int = 0, ref: bytes = b"") -> int:
        """Move an amount from an own account to a member's free balance; returns the amount."""
        credit, debit = self._pair(payee, asset, amount, sub)
        return legs.leg(self._ctx, debit, credit, amount, self._contract, ref)

    def move(self, asset: int, amount: int, sub: int, to_sub: int, ref: bytes = b"") -> int:
        """Move an amount between two own accounts; returns the amount."""
        _, debit = self._pair(self._address, asset, amount, sub)
        _, credit = self._pair(self._address, asset, amount, to_sub)
        return legs.leg(self._ctx, debit, credit, amount, self._contract, ref)

    def hold(
        self, owner: Address, asset: int, amount: int, expires: int, sub: int = 0, ref: bytes = b""
    ) -> int:
        """Reserve an amount of a member's free balance for an own account; returns the hold.

        Args:
            expires: seconds; 0: never.
        """
        self._authority(owner)
        debit, credit = self._pair(owner, asset, amount, sub)
        return holds.hold(self._ctx, debit, credit, amount, _typed(SECONDS, expires), self._contract, ref)

    def capture(self, hold: int, amount: int | None = None) -> int:
        """Post an own hold, all of it or a part; the rest is released. Returns the amount."""
        if amount is not None:
            _typed(POSITIVE, amount)
        return holds.capture(self._ctx, hold, amount)

    def release(self, hold: int) -> int:
        """Give an own hold back; returns the amount."""
        return holds.release(self._ctx, hold)

    def take(self, owner: Address, asset: int, at_most: int) -> Take:
        """Make a token by which one call of a lower contract may debit an owner at most so much."""
        self._authority(owner)
        return self._ctx.take(owner, _typed(ASSET, asset), _typed(POSITIVE, at_most))

    # --- others

    def call(self, contract: int, method: int, *arguments: Value, takes: tuple[Take, ...] = ()) -> Value:
        """Call a method of a contract of a lower layer as this contract.

        Raises:
            CallFailed: UNKNOWN_METHOD, LIMIT when it is not lower, TYPE, or what the method raises.
        """
        found = self._ctx.registry.methods.get((contract, method))
        if found is None:
            _refuse(Code.UNKNOWN_METHOD, "plugin.call", None, contract)
        layer = self._ctx.contract.layer
        if found[0].layer >= layer:
            _refuse(Code.LIMIT, "plugin.call_layer", layer - 1, found[0].layer)
        return self._ctx.call(contract, method, *arguments, takes=takes)

    def at(self, due: int, method: int, *arguments: Value) -> int:
        """Let the chain call an own method at a time, with authority `sched:<name>`; returns the job.

        *Rule*: it calls the method of that number of whichever version is in force by then.
        """
        call = (self._contract, method, 0, tuple([literal(argument) for argument in arguments]))
        return sched.schedule(self._ctx, ((), (call,)), (), _typed(SECONDS, due))

    def emit(self, event: EventType, *fields: Value) -> None:
        """Say an event of this contract."""
        if event.contract != self._contract or len(fields) != len(event.fields):
            _refuse(Code.TYPE, "plugin.event", self._contract, event.contract)
        for field, value in zip(event.fields, fields, strict=True):
            if not field.kind.holds(value):
                raise CallFailed(Code.TYPE, Reason("plugin.event", field.kind.name, field.name))
        self._ctx.emit(event, *fields)

    def _authority(self, owner: Address) -> None:
        if owner != self._ctx.actor and not any(take.owner == owner for take in self._ctx.takes):
            _refuse(Code.POLICY_UNMET, "plugin.owner", None, owner)

    def _pair(self, member: Address, asset: int, amount: int, sub: int) -> tuple[bytes, bytes]:
        """Return a member's free account and an own one."""
        _typed(POSITIVE, amount)
        own = account_key(self._address, ESCROW, _typed(ASSET, asset), _sub(sub))
        return account_key(_address(member), MEMBER_FREE, asset), own


def _refuse(code: int, rule: str, limit: int | None = None, actual: int | bytes | None = None) -> NoReturn:
    raise CallFailed(code, Reason(rule, limit, actual))


def _typed(kind: Kind, value: int) -> int:
    if not kind.holds(value):
        raise CallFailed(Code.TYPE, Reason("plugin.kind", kind.name))
    return value


def _sub(sub: int) -> int:
    return _typed(U32, sub)


def _address(value: Address) -> Address:
    if type(value) is not bytes or len(value) != 20:
        _refuse(Code.TYPE, "plugin.address")
    return value


def _check_key(fields: tuple[KeyField, ...], parts: Key, *, whole: bool = False) -> None:
    """Check that parts are those of a key, or its first ones."""
    if len(parts) > len(fields) or (whole and len(parts) != len(fields)):
        _refuse(Code.TYPE, "plugin.key", len(fields), len(parts))
    for field, part in zip(fields, parts, strict=False):
        if field.kind == "uint":
            is_fit = type(part) is int and 0 <= part < 1 << 8 * field.width
        elif field.kind == "data":
            is_fit = type(part) is bytes and len(part) == field.width
        else:
            is_fit = type(part) is str and len(part.encode()) <= field.width
        if not is_fit:
            raise CallFailed(Code.TYPE, Reason("plugin.key", field.width, field.name))


def wrap_query(query: QueryContext, contract: int, address: Address) -> QueryCtx:
    """Return what a query of a plugin is given."""
    return QueryCtx(query.view, _typed(U16, contract), address, query.time)
