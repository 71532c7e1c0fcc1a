"""What shares keeps: classes, holdings, pledges, requests and what each year has redeemed.

Knows no rule of buying (`methods.py`) or redeeming (`queue.py`).
"""

from typing import Final, TypeAlias

from protocol.contracts.ledger.accounts import account_key
from protocol.contracts.members.records import HEIGHT_LAST, MEMBER
from protocol.contracts.members.standing import bind, unbind
from protocol.types import Address, ContractId
from protocol.vm.context import Context
from protocol.vm.contract import compute_contract_address
from protocol.vm.keys import KeyPart, data_key, uint_key
from protocol.vm.kinds import AMOUNT, ASSET, BOOL, POSITIVE, U16, U32, U48, U63, Field, Integer, Text
from protocol.vm.tables import SCHEMA, Index, Table
from protocol.vm.view import Row, View

ID: Final = ContractId(23)
ADDRESS_OF: Final[Address] = compute_contract_address("shares")

ESCROW: Final = 2040
PAYABLE: Final = 2050
SHARE_CAPITAL: Final = 3010
SURPLUS: Final = 3050

UNKNOWN_CLASS: Final = 2301
MAX_HOLDING: Final = 2302
STANDING: Final = 2303
TOO_FEW: Final = 2304
BELOW_MINIMUM: Final = 2305
TOO_SOON: Final = 2306
NOTHING: Final = 2307
YEARLY_CAP: Final = 2308
SOLVENCY: Final = 2309
NO_REQUEST: Final = 2310
NO_PLEDGE: Final = 2311
TERMS: Final = 2312

COUNT_MAX: Final = 1_000_000_000
"""Most shares that one member may hold in a class."""
REDEEM_AFTER_DAYS_MAX: Final = 3_660
BASIS_POINTS: Final = 10_000
SOLVENCY_BP_MAX: Final = 30_000
REDEEM_ITEMS_MAX: Final = 100
"""Requests that one call looks at."""

CLASS: Final = Integer("share class", 0, (1 << 16) - 1)
COUNT: Final = Integer("shares", 0, COUNT_MAX)
SOME: Final = Integer("shares > 0", 1, COUNT_MAX)
NAME: Final = Text("name", 64)

ClassRow: TypeAlias = tuple[int, str, int, int, bool, int, int, int, int, int, int, int, int]
"""(schema, name, asset, par, membership, min, max, after days, cap, solvency, dividend cap, count, queued)"""
HoldingRow: TypeAlias = tuple[int, int, int, int, int, int]
"""(schema, count, instalment, pledged, queued, since day)"""
RequestRow: TypeAlias = tuple[int, int, int, int]
"""(schema, member, shares left, day)"""
YearRow: TypeAlias = tuple[int, int, int]
CountRow: TypeAlias = tuple[int, int]

TERM_FIELDS: Final = (
    Field("minimum", COUNT, "kept as long as one is a member"),
    Field("maximum", SOME, "most that one member may hold"),
    Field("redeem_after_days", Integer("days", 0, REDEEM_AFTER_DAYS_MAX), "after the newest purchase"),
    Field(
        "yearly_cap_bp", Integer("basis points", 0, BASIS_POINTS), "of the capital at its first redemption"
    ),
    Field(
        "solvency_bp",
        Integer("basis points", 0, SOLVENCY_BP_MAX),
        "net assets for deposits and capital, before and after a redemption; PEARLS P6 asks 11,100",
    ),
    Field("dividend_cap_ppm", U32),
)
CLASS_FIELDS: Final = (
    Field("name", NAME),
    Field("asset", ASSET),
    Field("par", POSITIVE),
    Field("membership", BOOL, "counts for the rule of admission"),
    *TERM_FIELDS,
)
CLASSES: Final[Table[ClassRow]] = Table(
    ID,
    1,
    "class",
    (uint_key("class", 16),),
    (*CLASS_FIELDS, Field("count", U63, "shares of all members"), Field("queued", U63, "shares")),
    doc="Classes of shares.",
)
HOLDING_FIELDS: Final = (
    Field("count", COUNT),
    Field("instalment", AMOUNT, "paid towards the next share"),
    Field("pledged", COUNT),
    Field("queued", COUNT, "waits to be redeemed"),
    Field("since_day", U32, "of the newest purchase"),
)
HOLDINGS: Final[Table[HoldingRow]] = Table(
    ID,
    2,
    "holding",
    (uint_key("member", 32), uint_key("class", 16)),
    HOLDING_FIELDS,
    doc="Shares of a member.",
)


def _select_member(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    member = row[1]
    assert type(member) is int
    return (member,)


BY_MEMBER: Final = Index(4, "by_member", (uint_key("member", 32),), _select_member)
REQUEST_FIELDS: Final = (
    Field("member", MEMBER),
    Field("shares", COUNT, "not redeemed yet"),
    Field("day", U32, "of the request"),
)
REQUESTS: Final[Table[RequestRow]] = Table(
    ID,
    3,
    "request",
    (uint_key("class", 16), uint_key("request", 48)),
    REQUEST_FIELDS,
    (BY_MEMBER,),
    doc="Who waits to redeem, first come first served.",
)
PLEDGES: Final[Table[CountRow]] = Table(
    ID,
    5,
    "pledge",
    (uint_key("member", 32), uint_key("class", 16), data_key("keeper", 20)),
    (Field("shares", COUNT),),
    doc="Shares that secure something; the keeper gives them free.",
)
YEARS: Final[Table[YearRow]] = Table(
    ID,
    6,
    "year",
    (uint_key("class", 16), uint_key("year", 16)),
    (Field("capital", AMOUNT, "at the year's first redemption"), Field("redeemed", AMOUNT, "at par")),
    doc="What was redeemed in each calendar year.",
)
COUNTER: Final[Table[YearRow]] = Table(
    ID, 7, "counter", (), (Field("classes", U16), Field("requests", U48)), doc="Newest numbers."
)

QUEUE_JOBS: Final[Table[CountRow]] = Table(
    ID,
    10,
    "queue_job",
    (uint_key("class", 16),),
    (Field("job", U48),),
    doc="The job that pays the queue of a class next.",
)
HELD_AT: Final[Table[CountRow]] = Table(
    ID,
    8,
    "held_at",
    (uint_key("member", 32), uint_key("class", 16), uint_key("height_from_end", 40)),
    (Field("shares", COUNT),),
    doc="Shares of a member after the block of each height at which they changed, newest first.",
)
ISSUED_AT: Final[Table[CountRow]] = Table(
    ID,
    9,
    "issued_at",
    (uint_key("class", 16), uint_key("height_from_end", 40)),
    (Field("shares", U63),),
    doc="Shares of a class after the block of each height at which they changed, newest first.",
)

NO_HOLDING: Final[HoldingRow] = (SCHEMA, 0, 0, 0, 0, 0)


def get_class(view: View, number: int) -> ClassRow:
    """Return a class.

    Raises:
        CallFailed: UNKNOWN_CLASS.
    """
    return CLASSES.need(view, CLASSES.key(number), UNKNOWN_CLASS, "shares.class", number)


def get_holding(view: View, member: int, number: int) -> HoldingRow:
    """Return a holding; nothing of everything when there is none."""
    return HOLDINGS.get(view, HOLDINGS.key(member, number)) or NO_HOLDING


def put_holding(ctx: Context, member: int, number: int, old: HoldingRow, new: HoldingRow) -> None:
    """Write a holding, its class's sums and their history; whoever holds anything cannot leave."""
    view, key = ctx.view, HOLDINGS.key(member, number)
    had, has = old[1] + old[2] > 0, new[1] + new[2] > 0
    if has:
        HOLDINGS.put(view, key, new)
    elif had:
        HOLDINGS.delete(view, key)
    if has and not had:
        bind(view, member, ID)
    if had and not has:
        unbind(view, member, ID)
    row = get_class(view, number)
    if (old[1], old[4]) != (new[1], new[4]):
        sums = (row[11] + new[1] - old[1], row[12] + new[4] - old[4])
        CLASSES.put(view, CLASSES.key(number), (*row[:11], *sums))
    if old[1] != new[1]:
        at = HEIGHT_LAST - int(ctx.environment.height)
        HELD_AT.put(view, HELD_AT.key(member, number, at), (SCHEMA, new[1]))
        ISSUED_AT.put(view, ISSUED_AT.key(number, at), (SCHEMA, row[11] + new[1] - old[1]))


def count_held_at(view: View, member: int, number: int, height: int) -> int:
    """Return the shares of a member after the block of a height. One seek."""
    for _, row in HELD_AT.scan(view, member, number, start=HELD_AT.key(member, number, HEIGHT_LAST - height)):
        return row[1]
    return 0


def count_issued_at(view: View, number: int, height: int) -> int:
    """Return the shares of a class after the block of a height. One seek."""
    for _, row in ISSUED_AT.scan(view, number, start=ISSUED_AT.key(number, HEIGHT_LAST - height)):
        return row[1]
    return 0


def capital_key(member: int, asset: int) -> bytes:
    """Return the ledger account of a member's share capital."""
    return account_key(ADDRESS_OF, SHARE_CAPITAL, asset, member)
