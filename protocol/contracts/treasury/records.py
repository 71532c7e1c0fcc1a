"""What treasury keeps: funds, lines, payments, streams, tiers and closed years.

Knows no step (`funds.py`, `spending.py`).
"""

from typing import Final, TypeAlias

from protocol.contracts import auth
from protocol.contracts.ledger.accounts import account_key
from protocol.contracts.members.records import ROLE
from protocol.errors import Code
from protocol.types import Address, ContractId
from protocol.vm.context import Context, fail
from protocol.vm.contract import GOV, compute_contract_address
from protocol.vm.keys import KeyPart, data_key, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    ASSET,
    BALANCE,
    BOOL,
    HASH,
    POSITIVE,
    SECONDS,
    U8,
    U32,
    U48,
    Field,
    Integer,
    Many,
    Text,
)
from protocol.vm.tables import SCHEMA, Index, Table
from protocol.vm.view import Row, View

ID: Final = ContractId(20)
ADDRESS_OF: Final[Address] = compute_contract_address("treasury")
TREASURER: Final = "treasurer"

FUND_RESERVE: Final = 3030
SURPLUS: Final = 3050
COST: Final = 5020
CLOSING_SUB: Final = (1 << 32) - 1
"""`sub` of the account that takes a class to zero when a year is closed."""

UNKNOWN_FUND: Final = 2001
UNKNOWN_LINE: Final = 2002
UNKNOWN_PAYMENT: Final = 2003
UNKNOWN_STREAM: Final = 2004
ALLOTMENT: Final = 2005
BUDGET: Final = 2006
SECOND_PERSON: Final = 2007
STATE: Final = 2008
TOO_EARLY: Final = 2009
NO_SURPLUS: Final = 2010
RESTRICTED: Final = 2011
LINE_YEAR: Final = 2012
YEAR_CLOSED: Final = 2013
NOTHING: Final = 2014
TERMS: Final = 2015

REQUESTED: Final = 1
APPROVED: Final = 2
PAID: Final = 3
REJECTED: Final = 4

APPROVALS_MAX: Final = 3
DELAY_SECONDS_DEFAULT: Final = 7 * 86_400
DELAY_SECONDS_MAX: Final = 90 * 86_400
YEAR_MAX: Final = 9_999

FUND: Final = Integer("fund", 0, (1 << 32) - 1)
LINE: Final = Integer("line", 0, (1 << 32) - 1)
PAYMENT: Final = Integer("payment", 0, (1 << 48) - 1)
STREAM: Final = Integer("stream", 0, (1 << 48) - 1)
YEAR: Final = Integer("year", 1970, YEAR_MAX)
NAME: Final = Text("name", 64)
RATE: Final = Integer("rate part", 1, (1 << 32) - 1)

FundRow: TypeAlias = tuple[int, str, str, int, bool, int]
"""(schema, name, purpose, asset, restricted, allotted)"""
LineRow: TypeAlias = tuple[int, int, str, int, int, int, int, bool, str]
"""(schema, fund, name, amount, spent, committed, year, carry, owner role)"""
PaymentRow: TypeAlias = tuple[int, int, Address, int, bytes, Address, int, tuple[Address, ...], int]
"""(schema, line, payee, amount, document, requester, state, approvals, due)"""
StreamRow: TypeAlias = tuple[int, int, Address, int, int, int, int, int, bool]
"""(schema, line, payee, numerator, denominator, from, until, paid, open)"""
TierRow: TypeAlias = tuple[int, int, int, int]
YearRow: TypeAlias = tuple[int, int]
CounterRow: TypeAlias = tuple[int, int, int, int, int]

FUND_FIELDS: Final = (
    Field("name", NAME),
    Field("purpose", Text("purpose", 256)),
    Field("asset", ASSET),
    Field("restricted", BOOL, "pays its own lines only"),
)
FUNDS: Final[Table[FundRow]] = Table(
    ID,
    1,
    "fund",
    (uint_key("fund", 32),),
    (*FUND_FIELDS, Field("allotted", AMOUNT, "what its lines may still spend")),
    doc="Designated reserves.",
)


def _select_fund(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    fund = row[1]
    assert type(fund) is int
    return (fund,)


def _select_open(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    state = row[6]
    assert type(state) is int
    return (state,) if state in (REQUESTED, APPROVED) else None


def _select_payee(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    payee = row[2]
    assert type(payee) is bytes
    return (payee,)


LINES_OF_FUND: Final = Index(3, "by_fund", (uint_key("fund", 32),), _select_fund)
LINE_FIELDS: Final = (
    Field("fund", FUND),
    Field("name", NAME),
    Field("amount", AMOUNT),
    Field("spent", AMOUNT),
    Field("committed", AMOUNT, "approved or promised, not paid yet"),
    Field("year", YEAR),
    Field("carry", BOOL, "may be spent after its year"),
    Field("owner", ROLE, "role that may ask and approve up to the first tier; empty: any active member asks"),
)
LINES: Final[Table[LineRow]] = Table(
    ID, 2, "line", (uint_key("line", 32),), LINE_FIELDS, (LINES_OF_FUND,), doc="Budget lines."
)
OPEN_PAYMENTS: Final = Index(5, "open", (uint_key("state", 8),), _select_open)
PAYMENT_STATE: Final = Field("state", U8, "1 requested, 2 approved, 3 paid, 4 rejected")
PAYMENT_FIELDS: Final = (
    Field("line", LINE),
    Field("payee", ADDRESS),
    Field("amount", POSITIVE),
    Field("document", HASH),
    Field("requester", ADDRESS),
    PAYMENT_STATE,
    Field("approvals", Many(ADDRESS, APPROVALS_MAX)),
    Field("due", SECONDS, "from when it can be paid, once approved"),
)
PAYMENTS: Final[Table[PaymentRow]] = Table(
    ID, 4, "payment", (uint_key("payment", 48),), PAYMENT_FIELDS, (OPEN_PAYMENTS,), doc="Payments."
)
STREAMS_OF_PAYEE: Final = Index(7, "by_payee", (data_key("payee", 20),), _select_payee)
STREAM_FIELDS: Final = (
    Field("line", LINE),
    Field("payee", ADDRESS),
    Field("rate_numerator", RATE),
    Field("rate_denominator", RATE, "seconds"),
    Field("from_time", SECONDS),
    Field("until", SECONDS),
    Field("paid", AMOUNT),
    Field("is_open", BOOL),
)
STREAMS: Final[Table[StreamRow]] = Table(
    ID,
    6,
    "stream",
    (uint_key("stream", 48),),
    STREAM_FIELDS,
    (STREAMS_OF_PAYEE,),
    doc="Payments that grow with every second.",
)
TIER_FIELDS: Final = (
    Field("first", AMOUNT, "one approval up to here"),
    Field("second", AMOUNT, "two approvals up to here; above three, and the delay"),
    Field("delay_seconds", Integer("seconds", 0, DELAY_SECONDS_MAX)),
)
TIERS: Final[Table[TierRow]] = Table(
    ID,
    8,
    "tiers",
    (uint_key("asset", 32),),
    TIER_FIELDS,
    doc="Who must approve how much. No record: three approvals and seven days for everything.",
)
YEARS: Final[Table[YearRow]] = Table(
    ID,
    9,
    "closed_year",
    (uint_key("asset", 32), uint_key("year", 16)),
    (Field("result", BALANCE, "income less cost"),),
    doc="Years that are closed.",
)
COUNTER: Final[Table[CounterRow]] = Table(
    ID,
    10,
    "counter",
    (),
    (Field("funds", U32), Field("lines", U32), Field("payments", U48), Field("streams", U48)),
    doc="Newest numbers.",
)


def next_number(view: View, place: int) -> int:
    """Count one of the counters up and return it: 0 funds, 1 lines, 2 payments, 3 streams."""
    row = COUNTER.get(view, COUNTER.key()) or (SCHEMA, 0, 0, 0, 0)
    counts = list(row[1:])
    counts[place] += 1
    COUNTER.put(view, COUNTER.key(), (SCHEMA, *counts))  # type: ignore[arg-type]
    return counts[place]


def get_fund(view: View, number: int) -> FundRow:
    """Return a fund, or fail with UNKNOWN_FUND."""
    return FUNDS.need(view, FUNDS.key(number), UNKNOWN_FUND, "treasury.fund", number)


def get_line(view: View, number: int) -> LineRow:
    """Return a budget line, or fail with UNKNOWN_LINE."""
    return LINES.need(view, LINES.key(number), UNKNOWN_LINE, "treasury.line", number)


def reserve_key(fund: int, asset: int) -> bytes:
    """Return the ledger account of a fund."""
    return account_key(ADDRESS_OF, FUND_RESERVE, asset, fund)


def surplus_key(asset: int) -> bytes:
    """Return the treasury's part of the surplus of the year."""
    return account_key(ADDRESS_OF, SURPLUS, asset)


def holds_any(ctx: Context, *roles: str) -> bool:
    """Tell whether a call is gov's, or its actor holds one of the roles; an empty role is held by nobody."""
    if ctx.environment.system == GOV.name:
        return True
    actor = ctx.actor
    if actor is None or ctx.grant:
        return False
    return any(role and auth.has_role(ctx.view, actor, role, ctx.environment.waited) for role in roles)


def check_deficit(ctx: Context, deficit: bool) -> None:
    """Check that only gov allows a deficit: ROLE."""
    if deficit and ctx.environment.system != GOV.name:
        fail(Code.ROLE, "treasury.deficit", GOV.name, ctx.actor)
