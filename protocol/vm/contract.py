"""The schema of a builtin contract: tables, methods, queries, events, errors. Everything about it that others
derive.

JSON-RPC queries, command line and reference documentation come from these objects, so a contract is one
module and one line in `contracts/__init__.py`. This file does not run anything (`vm/execute.py`).

*Source*: contracts.md 3.6, 3.12.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeAlias

from protocol import codec, crypto
from protocol.codec import Value
from protocol.crypto import Domain
from protocol.errors import CallFailed, Code, Reason, Rejected
from protocol.params import PAUSE_SECONDS_MAX, RESULT_BYTES_MAX
from protocol.types import Address, ContractId, Hash32, Seconds
from protocol.vm import gas
from protocol.vm.kinds import Field, Fields, Kind
from protocol.vm.tables import Table
from protocol.vm.view import Row, View

ADDRESS_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class Owner:
    """The actor is the address in the named argument."""

    argument: str


@dataclass(frozen=True, slots=True)
class Role:
    """The actor holds a role."""

    name: str


@dataclass(frozen=True, slots=True)
class System:
    """A program that the kernel itself runs, such as a founding program or a passed proposal."""

    name: str


@dataclass(frozen=True, slots=True)
class Signed:
    """Any actor; the method says which records it may touch."""


Capability: TypeAlias = Owner | Role | System | Signed

GOV: Final = System("gov")


@dataclass(frozen=True, slots=True)
class Method:
    """A call that a program can make.

    Args:
        run: called with the context and the typed arguments; returns a value of kind `result`.
        capabilities: any one of them suffices.
        base_gas: work beside tables and events, which count by themselves.
        pause_seconds_max: longest time for which it can be paused; 0: never.
    """

    id: int
    name: str
    arguments: tuple[Field, ...]
    result: Kind
    capabilities: tuple[Capability, ...]
    base_gas: int
    run: Callable[..., Value]
    doc: str
    pause_seconds_max: int = PAUSE_SECONDS_MAX
    owner_at: int = field(init=False)
    call_gas: int = field(init=False)
    holds: tuple[Callable[[Value], bool], ...] = field(init=False)

    def __post_init__(self) -> None:
        if self.result.size_bytes_max > RESULT_BYTES_MAX:
            raise ValueError(f"{self.name}: results of {self.result.size_bytes_max} bytes")
        names = [f.name for f in self.arguments]
        owners = [names.index(c.argument) for c in self.capabilities if isinstance(c, Owner)]
        object.__setattr__(self, "owner_at", owners[0] if owners else -1)
        object.__setattr__(self, "call_gas", gas.CALL + self.base_gas)
        object.__setattr__(self, "holds", tuple([f.kind.holds for f in self.arguments]))


@dataclass(frozen=True, slots=True)
class Query:
    """A question about a state, answered without changing it: `run(query context, arguments...)`."""

    name: str
    arguments: tuple[Field, ...]
    result: Kind
    run: Callable[..., Value]
    doc: str


@dataclass(frozen=True, slots=True)
class EventType:
    """What a contract says beside its results, for those who watch."""

    contract: ContractId
    id: int
    name: str
    fields: tuple[Field, ...]
    doc: str
    gas: int = field(init=False)

    def __post_init__(self) -> None:
        size = Fields(self.fields).size_bytes_max
        object.__setattr__(self, "gas", gas.EVENT + size // gas.EVENT_BYTES_PER_GAS)


@dataclass(frozen=True, slots=True)
class ErrorType:
    """A code of a contract (contract id * 100 + n) with its meaning."""

    code: int
    name: str
    doc: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that may change inside bounds while the chain runs.

    Args:
        id: never used again for anything else.
        is_founding: only the founding programs set it; else the council or gov does.
    """

    id: int
    name: str
    unit: str
    low: int
    high: int
    default: int
    doc: str
    is_founding: bool = False


Change: TypeAlias = tuple[bytes, Row | None, Row | None]
"""(key, record before the program, record after it)"""


@dataclass(frozen=True, slots=True)
class Invariant:
    """What every program must leave true of the records of a table that it has touched.

    Args:
        holds: told all changes of the table by one program; false aborts the program, never the chain.
    """

    name: str
    table: Table[Any]
    holds: Callable[[list[Change]], bool]
    doc: str


@dataclass(frozen=True, slots=True)
class Contract:
    """A builtin contract.

    Args:
        layer: it may call contracts of lower layers only, so re-entrancy cannot be written.
        version: what pins refer to.
        code_hash: of the source of a plugin; empty for what belongs to this program.
    """

    id: ContractId
    name: str
    layer: int
    version: int
    doc: str
    tables: tuple[Table[Any], ...] = ()
    methods: tuple[Method, ...] = ()
    queries: tuple[Query, ...] = ()
    events: tuple[EventType, ...] = ()
    errors: tuple[ErrorType, ...] = ()
    invariants: tuple[Invariant, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    code_hash: bytes = b""
    address: Address = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", compute_contract_address(self.name))

    def compute_fingerprint(self) -> Hash32:
        """Compute the digest of number, name, version and all signatures: what an upgrade is decided for.

        *Departs* from contracts.md 3.12, which always hashes the code too: two builds of one release differ
        in bytes and not in meaning, and a build that differs in meaning shows at the first root. A plugin
        comes from elsewhere, so its source counts.
        """
        tables = tuple([(t.number, t.name, _signature(t.fields)) for t in self.tables])
        methods = tuple(
            [(m.id, m.name, _signature(m.arguments), m.result.name.encode()) for m in self.methods]
        )
        queries = tuple([(q.name, _signature(q.arguments), q.result.name.encode()) for q in self.queries])
        events = tuple([(e.id, e.name, _signature(e.fields)) for e in self.events])
        value = (int(self.id), self.name, self.layer, self.version, tables, methods, queries, events)
        schema = crypto.digest(Domain.CONTRACT_SCHEMA, codec.encode(value))
        return crypto.digest(Domain.CONTRACT_SCHEMA, schema, self.code_hash) if self.code_hash else schema


def _signature(fields: tuple[Field, ...]) -> Value:
    return tuple([(f.name, f.kind.name.encode()) for f in fields])


def compute_contract_address(name: str) -> Address:
    """Compute the address of a contract's pseudo-account: first 20 bytes of the digest of its name."""
    return Address(crypto.digest(Domain.CONTRACT_ADDRESS, name.encode())[:ADDRESS_BYTES])


class GrantKeeper(Protocol):
    """Keep grants: who may use another account's authority, for what, and how much of it is left."""

    def use(
        self, view: View, time: Seconds, day: int, grant: int, grantee: Address, contract: int, method: int
    ) -> Address: ...

    def spend(
        self, view: View, grant: int, asset: int, amount: int, in_call: int, counterparty: bytes
    ) -> None: ...


class _NoGrants:
    """A chain without grants: none is found."""

    __slots__ = ()

    def use(
        self, view: View, time: Seconds, day: int, grant: int, grantee: Address, contract: int, method: int
    ) -> Address:
        raise CallFailed(Code.GRANT_EXCEEDED, Reason("vm.grants", None, grant))

    def spend(
        self, view: View, grant: int, asset: int, amount: int, in_call: int, counterparty: bytes
    ) -> None:
        raise AssertionError("no grant is in use")


Versions: TypeAlias = tuple[tuple[int, int], ...]
"""(contract, version) of every contract that has been upgraded or added, ascending by contract."""

RETIRED: Final = 0
"""Version of a contract that was taken out: its records can be read, and it has no methods."""


class Registry:
    """The contracts of a chain by number and name. Built once from an explicit tuple.

    Args:
        contracts: with which a chain begins.
        has_role: whether an account may act in a role in a program that has waited so many seconds.
        grants: the contract that keeps grants.
        paused_until: time at which the pause of a method ends; 0: it is not paused.
        newer: other versions and further contracts that this software has; a chain may come to use them.
        find_holding: why a contract cannot be taken out yet: money or jobs under its address; None: it can.
    """

    __slots__ = (
        "_at",
        "_fingerprints",
        "by_id",
        "by_name",
        "contracts",
        "find_holding",
        "grants",
        "has_role",
        "invariants",
        "methods",
        "newer",
        "paused_until",
        "typed",
    )

    def __init__(
        self,
        contracts: tuple[Contract, ...],
        has_role: Callable[[View, Address, str, int], bool],
        grants: GrantKeeper | None = None,
        paused_until: Callable[[View, int, int], int] | None = None,
        newer: tuple[Contract, ...] = (),
        find_holding: Callable[[View, Address], Reason | None] | None = None,
    ) -> None:
        self.contracts = contracts
        self.has_role = has_role
        self.grants: GrantKeeper = _NoGrants() if grants is None else grants
        self.paused_until = paused_until
        self.newer = newer
        self.find_holding = find_holding
        self._fingerprints: dict[tuple[int, int], Hash32] = {}
        self.typed: dict[bytes, Any] = {}
        self._at: dict[Versions, Registry] = {}
        self.invariants: dict[bytes, tuple[Invariant, ...]] = {}
        for invariant in [i for c in contracts for i in c.invariants]:
            prefix = invariant.table.prefix
            self.invariants[prefix] = (*self.invariants.get(prefix, ()), invariant)
        self.by_id: dict[int, Contract] = {c.id: c for c in contracts}
        self.by_name = {c.name: c for c in contracts}
        self.methods: dict[tuple[int, int], tuple[Contract, Method]] = {
            (c.id, m.id): (c, m) for c in contracts for m in c.methods
        }
        if len(self.by_id) != len(contracts) or len(self.by_name) != len(contracts):
            raise ValueError("two contracts with one number or name")
        if len(self.methods) != sum([len(c.methods) for c in contracts]):
            raise ValueError("two methods of one contract with one number")

    def install(self, plugins: tuple[Contract, ...]) -> None:
        """Add what the plugins of this machine have to what a chain may come to use.

        *Rule*: once, as the process starts and before any block runs.
        """
        self.newer = (*self.newer, *plugins)

    def find(self, contract: int, version: int) -> Contract | None:
        """Return a version of a contract that this software has, or None; RETIRED: what reads its records."""
        known = {c.version: c for c in (*self.contracts, *self.newer) if c.id == contract}
        if version == RETIRED and known:
            return replace(known[max(known)], version=RETIRED, methods=())
        return known.get(version)

    def has(self, contract: int, version: int, fingerprint: Hash32) -> bool:
        """Tell whether this software has the very version that was decided."""
        found = self.find(contract, version)
        if found is None:
            return False
        known = self._fingerprints.get((contract, version))
        if known is None:
            known = self._fingerprints[contract, version] = found.compute_fingerprint()
        return known == fingerprint

    def at(self, versions: Versions) -> "Registry | None":
        """Return the registry in which some contracts have these versions; None when one is not installed.
        Nothing needs to be installed of one that is retired.

        *Cost*: built once for each combination of versions, which are as many as a chain has had upgrades.
        """
        if not versions:
            return self
        found = self._at.get(versions)
        if found is None:
            wanted = {number: self.find(number, version) for number, version in versions}
            gone = [n for n, version in versions if version == RETIRED and wanted[n] is None]
            changed = {number: contract for number, contract in wanted.items() if number not in gone}
            kept = [changed.pop(c.id, c) for c in self.contracts]
            contracts = tuple([c for c in (*kept, *changed.values()) if c is not None])
            if len(contracts) != len(kept) + len(changed):
                return None
            found = Registry(
                contracts,
                self.has_role,
                self.grants,
                self.paused_until,
                find_holding=self.find_holding,
            )
            self._at[versions] = found
        return found

    def find_query(self, contract: str, query: str) -> Query:
        """Return a query by name.

        Raises:
            Rejected: UNKNOWN_METHOD.
        """
        found = self.by_name.get(contract)
        for candidate in () if found is None else found.queries:
            if candidate.name == query:
                return candidate
        raise Rejected(Code.UNKNOWN_METHOD, f"no query {contract}.{query}")
