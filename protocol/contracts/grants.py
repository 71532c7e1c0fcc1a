"""grants: let another account use one's own authority, for named methods and within named limits.

A grant names who may use it, which methods, how much of which asset for each call and each calendar period,
to whom, how often and until when. Limits count what was really moved or held. A program says that it uses a
grant by writing `[actor, grant]` where the actor of a call stands; nothing is found by guessing. A grant may
also pay for the gas of its grantee's transactions: a sponsor.

A grant gives an owner's authority and nothing else: no role, no signature, and no method of the kernel (keys,
grants, jobs), so what was granted cannot grow. This file does not know programs (`vm/execute.py`).

*Source*: contracts.md 3.6. *Departs*: one sponsoring grant for a pair of accounts, because a transaction
names its sponsor and not a grant; a second one is refused and never replaces the first.
"""

from typing import Final, TypeAlias

from protocol.codec import Value
from protocol.contracts.periods import PERIOD, Period
from protocol.errors import Code, Rejected
from protocol.params import (
    AMOUNT_MAX,
    GRANT_ASSETS_MAX,
    GRANT_COUNTERPARTIES_MAX,
    GRANT_METHODS_MAX,
    INT64_MAX,
    QUERY_ITEMS_MAX,
)
from protocol.types import Address, ContractId, Seconds
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.contract import Contract, ErrorType, EventType, Method, Owner, Query, Registry
from protocol.vm.keys import KeyPart, data_key, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    ASSET,
    BOOL,
    SECONDS,
    U16,
    U32,
    U48,
    U63,
    Field,
    Fields,
    Integer,
    Many,
    Maybe,
)
from protocol.vm.tables import SCHEMA, Index, Table
from protocol.vm.view import Row, View

ID: Final = ContractId(6)

NO_GRANT: Final = 601
NOT_GRANTABLE: Final = 602
SPONSORED: Final = 603
TERMS: Final = 604

Cap: TypeAlias = tuple[int, int, int]
"""(asset, per call, per period)"""
GrantRow: TypeAlias = tuple[
    int,
    Address,
    Address,
    tuple[tuple[int, int], ...],
    tuple[Cap, ...],
    tuple[Address, ...],
    int | None,
    int,
    tuple[int, int, int],
    int,
    int,
    tuple[int, ...],
    int,
]
"""(schema, grantor, grantee, methods, caps, counterparties, uses left, expires, period, gas, index of the
period, spent in it by asset, gas used in it)"""
SponsorRow: TypeAlias = tuple[int, int]
CounterRow: TypeAlias = tuple[int, int]

GRANT: Final = Integer("grant", 1, (1 << 48) - 1)
METHOD: Final = Fields((Field("contract", U16), Field("method", U16)))
CAP: Final = Fields((Field("asset", ASSET), Field("per_call", AMOUNT), Field("per_period", AMOUNT)))

_TERMS: Final = (
    Field("grantor", ADDRESS, "whose authority it is"),
    Field("grantee", ADDRESS, "who may use it"),
    Field("methods", Many(METHOD, GRANT_METHODS_MAX), "what may be called; none: it only pays for gas"),
    Field("caps", Many(CAP, GRANT_ASSETS_MAX), "most that may move; nothing of an asset that is not named"),
    Field("counterparties", Many(ADDRESS, GRANT_COUNTERPARTIES_MAX), "to whom; none named: anybody"),
    Field("uses", Maybe(U32), "calls that are left; nil: any number"),
    Field("expires", SECONDS, "last second; 0: never"),
    Field("period", PERIOD),
    Field("gas", U63, "of the grantee's transactions, paid for in each period"),
)


def _select_grantor(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    assert type(row[1]) is bytes
    return (row[1],)


def _select_grantee(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    assert type(row[2]) is bytes
    return (row[2],)


BY_GRANTOR: Final = Index(2, "by_grantor", (data_key("grantor", 20),), _select_grantor)
BY_GRANTEE: Final = Index(3, "by_grantee", (data_key("grantee", 20),), _select_grantee)
GRANTS: Final[Table[GrantRow]] = Table(
    ID,
    1,
    "grant",
    (uint_key("grant", 48),),
    (
        *_TERMS,
        Field("period_index", U32, "of the newest use"),
        Field("spent", Many(AMOUNT, GRANT_ASSETS_MAX), "in that period, in the order of the caps"),
        Field("gas_used", U63, "in that period"),
    ),
    (BY_GRANTOR, BY_GRANTEE),
    doc="Authority that one account lets another use.",
)
SPONSORS: Final[Table[SponsorRow]] = Table(
    ID,
    4,
    "sponsor",
    (data_key("sponsor", 20), data_key("grantee", 20)),
    (Field("grant", GRANT),),
    doc="The grant by which an account pays for another's gas.",
)
COUNTER: Final[Table[CounterRow]] = Table(
    ID, 5, "counter", (), (Field("grants", U48),), doc="Number of the newest grant."
)

_PAIR: Final = (Field("grant", GRANT), Field("grantor", ADDRESS), Field("grantee", ADDRESS))
GRANTED: Final = EventType(ID, 1, "granted", _PAIR, "An account may use another's authority.")
REVOKED: Final = EventType(ID, 2, "revoked", _PAIR, "A grant is no more.")


# --- methods


def _create(
    ctx: Context,
    grantor: Address,
    grantee: Address,
    methods: tuple[tuple[int, int], ...],
    caps: tuple[Cap, ...],
    counterparties: tuple[Address, ...],
    uses: int | None,
    expires: int,
    period: tuple[int, int, int],
    gas: int,
) -> Value:
    view = ctx.view
    for contract, method in methods:
        _check_grantable(ctx.registry, contract, method)
    for name, items in (("method", methods), ("asset", [c[0] for c in caps]), ("party", counterparties)):
        if len(set(items)) != len(items):
            fail(TERMS, f"grants.{name}_once")
    if not methods and not gas:
        fail(TERMS, "grants.allows_nothing")
    if expires and expires < ctx.environment.time:
        fail(TERMS, "grants.expires", ctx.environment.time, expires)
    counter = COUNTER.get(view, COUNTER.prefix)
    number = 1 if counter is None else counter[1] + 1
    if gas:
        key = SPONSORS.key(grantor, grantee)
        other = SPONSORS.get(view, key)
        if other is not None:
            fail(SPONSORED, "grants.one_sponsoring_grant", 1, other[1])
        SPONSORS.put(view, key, (SCHEMA, number))
    COUNTER.put(view, COUNTER.prefix, (SCHEMA, number))
    terms = (grantor, grantee, methods, caps, counterparties, uses, expires, period, gas)
    GRANTS.put(view, GRANTS.key(number), (SCHEMA, *terms, 0, (0,) * len(caps), 0))
    ctx.emit(GRANTED, number, grantor, grantee)
    return number


def _check_grantable(registry: Registry, contract_id: int, method_id: int) -> None:
    found = registry.methods.get((contract_id, method_id))
    if found is None:
        fail(Code.UNKNOWN_METHOD, "grants.method", None, method_id)
    contract, method = found
    if contract.layer == 0 or method.owner_at < 0:
        fail(NOT_GRANTABLE, "grants.method", contract.name, method.name)


def _revoke(ctx: Context, account: Address, number: int) -> Value:
    view, key = ctx.view, GRANTS.key(number)
    row = GRANTS.get(view, key)
    if row is None or account not in row[1:3]:
        fail(NO_GRANT, "grants.unknown", None, number)
    _, grantor, grantee, *_ = row
    if row[9]:
        SPONSORS.delete(view, SPONSORS.key(grantor, grantee))
    GRANTS.delete(view, key)
    ctx.emit(REVOKED, number, grantor, grantee)
    return True


# --- kernel: using a grant


def use(
    view: View, time: Seconds, day: int, grant: int, grantee: Address, contract: int, method: int
) -> Address:
    """Use a grant for one call; returns the account whose authority it gives.

    Raises:
        CallFailed: GRANT_EXCEEDED (unknown, another's, another method, used up), EXPIRED, NOT_YET.
    """
    key = GRANTS.key(grant)
    row = GRANTS.get(view, key)
    if row is None or row[2] != grantee:
        fail(Code.GRANT_EXCEEDED, "grants.unknown", None, grant)
    if (contract, method) not in row[3]:
        fail(Code.GRANT_EXCEEDED, "grants.method", None, grant)
    uses, expires = row[6], row[7]
    if expires and time > expires:
        fail(Code.EXPIRED, "grants.expires", expires, time)
    if uses == 0:
        fail(Code.GRANT_EXCEEDED, "grants.uses", 0, 1)
    now = _roll(row, day)
    if now is None:
        fail(Code.NOT_YET, "grants.anchor_day", row[8][2], day)
    left = None if uses is None else uses - 1
    GRANTS.put(view, key, (*now[:6], left, *now[7:]))
    return row[1]


def spend(view: View, grant: int, asset: int, amount: int, in_call: int, counterparty: bytes) -> None:
    """Count what a call moved under a grant.

    Args:
        in_call: sum of what this call has moved of the asset, this amount included.

    Raises:
        CallFailed: GRANT_EXCEEDED.
    """
    key = GRANTS.key(grant)
    row = GRANTS.need(view, key, Code.GRANT_EXCEEDED, "grants.unknown", grant)
    caps, counterparties, spent = row[4], row[5], row[11]
    if counterparties and counterparty not in counterparties:
        fail(Code.GRANT_EXCEEDED, "grants.counterparty", None, counterparty)
    at = _find_cap(caps, asset)
    if at < 0:
        fail(Code.GRANT_EXCEEDED, "grants.asset", None, asset)
    _, per_call, per_period = caps[at]
    if in_call > per_call:
        fail(Code.GRANT_EXCEEDED, "grants.per_call", per_call, in_call)
    if spent[at] + amount > per_period:
        fail(Code.GRANT_EXCEEDED, "grants.per_period", per_period - spent[at], amount)
    spent = (*spent[:at], spent[at] + amount, *spent[at + 1 :])
    GRANTS.put(view, key, (*row[:11], spent, row[12]))


def _find_cap(caps: tuple[Cap, ...], asset: int) -> int:
    return next((at for at, cap in enumerate(caps) if cap[0] == asset), -1)


def _roll(row: GrantRow, day: int) -> GrantRow | None:
    """Return a grant as it stands on a day: a new period begins with nothing spent. None before the first."""
    index = Period(*row[8]).index_of(day)
    if index < 0:
        return None
    if index == row[10]:
        return row
    return (*row[:10], index, (0,) * len(row[4]), 0)


# --- kernel: sponsors


def find_sponsor(
    view: View, time: Seconds, day: int, sponsor: Address, actors: tuple[Address, ...]
) -> tuple[int, GrantRow]:
    """Return the grant by which a sponsor pays for one of the actors, as it stands on a day.

    Raises:
        Rejected: GRANT_EXCEEDED, EXPIRED, NOT_YET.
    """
    for actor in actors:
        found = SPONSORS.peek(view, SPONSORS.key(sponsor, actor))
        if found is None:
            continue
        row = GRANTS.peek(view, GRANTS.key(found[1]))
        assert row is not None, "a sponsor names a grant that is kept"
        if row[7] and time > row[7]:
            raise Rejected(Code.EXPIRED, f"grant {found[1]} was valid until {row[7]}")
        now = _roll(row, day)
        if now is None:
            raise Rejected(Code.NOT_YET, f"grant {found[1]} begins on day {row[8][2]}", retry=True)
        return found[1], now
    raise Rejected(Code.GRANT_EXCEEDED, "the sponsor has granted nothing to these actors")


def check_sponsor(row: GrantRow, gas_limit: int, asset: int, fee: int) -> None:
    """Check that a grant, as it stands today, pays for a transaction.

    Raises:
        Rejected: GRANT_EXCEEDED.
    """
    if row[12] + gas_limit > row[9]:
        raise Rejected(Code.GRANT_EXCEEDED, f"gas limit {gas_limit}, {row[9] - row[12]} are left", retry=True)
    if fee:
        at = _find_cap(row[4], asset)
        left = min(row[4][at][1], row[4][at][2] - row[11][at]) if at >= 0 else 0
        if fee > left:
            raise Rejected(Code.GRANT_EXCEEDED, f"fee {fee}, {left} are left", retry=True)


def charge_sponsor(view: View, day: int, number: int, gas: int, asset: int, fee: int) -> None:
    """Count gas and fee of a transaction that has run against the grant that paid for it."""
    key = GRANTS.key(number)
    row = GRANTS.peek(view, key)
    if row is None:
        return  # revoked by the very program that it paid for
    now = _roll(row, day)
    assert now is not None, "admission has looked at this day"
    spent = now[11]
    if fee:
        at = _find_cap(now[4], asset)
        # A program that spent from its own sponsor's cap cannot lift the sum above what an amount can say.
        spent = (*spent[:at], min(spent[at] + fee, AMOUNT_MAX), *spent[at + 1 :])
    GRANTS.put(view, key, (*now[:11], spent, min(now[12] + gas, INT64_MAX)))


# --- queries

_STATE: Final = Fields((Field("grant", GRANT), *GRANTS.fields))


def _query_grant(query: QueryContext, number: int) -> Value:
    row = GRANTS.get(query.view, GRANTS.key(number))
    return None if row is None else (number, *row[1:])


def _list_by(query: QueryContext, index: Index, address: Address, after: int | None) -> Value:
    page = GRANTS.page_keys(query.view, index, address, after=() if after is None else (after,))
    return tuple([number for (number,) in page])


def _query_by_grantor(query: QueryContext, address: Address, after: int | None) -> Value:
    return _list_by(query, BY_GRANTOR, address, after)


def _query_by_grantee(query: QueryContext, address: Address, after: int | None) -> Value:
    return _list_by(query, BY_GRANTEE, address, after)


_LISTED: Final = (
    Field("address", ADDRESS),
    Field("after", Maybe(GRANT), "the last of the page before"),
)


CONTRACT: Final = Contract(
    ID,
    "grants",
    layer=0,
    version=1,
    doc="Authority that one account lets another use, within limits; sponsors of gas.",
    tables=(GRANTS, SPONSORS, COUNTER),
    methods=(
        Method(
            1,
            "create",
            _TERMS,
            GRANT,
            (Owner("grantor"),),
            100,
            _create,
            "Let an account use methods in the grantor's name, within limits; returns the grant.",
        ),
        Method(
            2,
            "revoke",
            (Field("account", ADDRESS, "grantor or grantee"), Field("grant", GRANT)),
            BOOL,
            (Owner("account"),),
            20,
            _revoke,
            "End a grant, by whoever gave it or has it.",
        ),
    ),
    queries=(
        Query("grant", (Field("grant", GRANT),), Maybe(_STATE), _query_grant, "Return a grant."),
        Query(
            "by_grantor",
            _LISTED,
            Many(GRANT, QUERY_ITEMS_MAX),
            _query_by_grantor,
            "List the grants that an account gave.",
        ),
        Query(
            "by_grantee",
            _LISTED,
            Many(GRANT, QUERY_ITEMS_MAX),
            _query_by_grantee,
            "List the grants that an account has.",
        ),
    ),
    events=(GRANTED, REVOKED),
    errors=(
        ErrorType(NO_GRANT, "NO_GRANT", "There is no such grant of this account."),
        ErrorType(NOT_GRANTABLE, "NOT_GRANTABLE", "This method cannot be granted."),
        ErrorType(SPONSORED, "SPONSORED", "The account is sponsored by another grant of this grantor."),
        ErrorType(TERMS, "TERMS", "The terms of the grant contradict themselves."),
    ),
)
