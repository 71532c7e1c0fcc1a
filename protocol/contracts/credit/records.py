"""What credit keeps of a member: marks by month, what is owed and overdue, attestations, disputes.

Knows no formula (`parts.py`).
"""

from typing import Final, TypeAlias

from protocol.contracts.members.records import MEMBER
from protocol.elections.decision import WHOLE_BP
from protocol.types import Address, ContractId
from protocol.vm.keys import uint_key
from protocol.vm.kinds import ADDRESS, AMOUNT, ASSET, HASH, U8, U32, Data, Field, Fields, Integer, Many
from protocol.vm.tables import Table

ID: Final = ContractId(32)
ASSESSOR: Final = "assessor"

NO_DISPUTE: Final = 3201
ANSWERED: Final = 3202
TOO_MANY: Final = 3203
OWN_CASE: Final = 3204
TERMS: Final = 3205

PUNCTUALITY: Final = 1
REGULARITY: Final = 2
DEPTH: Final = 3
TENURE: Final = 4
GUARANTEES: Final = 5
USE: Final = 6
ATTESTATIONS: Final = 7
PART_POINTS: Final = (350, 200, 150, 100, 100, 50, 50)
"""Most points of each part, in the order of their numbers."""
SCORE_MAX: Final = 1_000
NEUTRAL: Final = 400
"""Of 1,000: what a part begins with."""

TERM_DAYS_MIN: Final = 30
"""A loan of less counts nothing."""
TERM_DAYS_MAX: Final = 366
"""The days of a loan that count at most."""
MARK_MONTHS_MAX: Final = 60
"""Marks that are older count nothing, and are forgotten."""
LOANS_MAX: Final = 64
"""Loans of a member that are looked at."""
BANDS_MAX: Final = 10
DISPUTES_OPEN_MAX: Final = 3
"""Disputes of one member that wait for an answer."""
RELIEF_DAYS_MAX: Final = 731
ADDON_PPM_MAX: Final = 1_000_000
WEIGHT_BYTES: Final = 16

INCOME: Final = 1
COMMUNITY: Final = 2
COURSES: Final = 3

LOAN: Final = Integer("loan", 1, (1 << 40) - 1)
PART: Final = Integer("part", PUNCTUALITY, ATTESTATIONS)
PART_DOC: Final = "1 punctuality, 2 regularity, 3 depth, 4 tenure, 5 guarantees, 6 use, 7 attestations"
POINTS: Final = Integer("points", 0, SCORE_MAX)
KIND: Final = Integer("attestation", INCOME, COURSES)
WEIGHT: Final = Data("weight", WEIGHT_BYTES, WEIGHT_BYTES)
DISPUTE: Final = Integer("dispute", 1, (1 << 32) - 1)

MarkRow: TypeAlias = tuple[int, bytes, bytes, int]
"""(schema, weight, points, rows)"""
MARKS: Final[Table[MarkRow]] = Table(
    ID,
    1,
    "mark",
    (uint_key("member", 32), uint_key("month", 32)),
    (
        Field("weight", WEIGHT, "sum of principal * days"),
        Field("points", WEIGHT, "sum of principal * days * points for punctuality, of 1,000"),
        Field("rows", U32),
    ),
    doc="What fell due in a month, and how late it was paid.",
)
OpenRow: TypeAlias = tuple[int, int, int, int, int, int, int]
"""(schema, asset, lent, owed, overdue, due day, term)"""
LOANS: Final[Table[OpenRow]] = Table(
    ID,
    2,
    "loan",
    (uint_key("member", 32), uint_key("loan", 40)),
    (
        Field("asset", ASSET),
        Field("lent", AMOUNT),
        Field("owed", AMOUNT, "principal that is out"),
        Field("overdue", AMOUNT, "principal that is overdue"),
        Field("due_day", U32, "of the oldest overdue row"),
        Field("term_days", U32),
    ),
    doc="Loans that are not over.",
)
GuaranteeRow: TypeAlias = tuple[int, int, int]
"""(schema, good, bad)"""
STOOD: Final[Table[GuaranteeRow]] = Table(
    ID,
    3,
    "stood",
    (uint_key("member", 32), uint_key("month", 32)),
    (Field("good", U32, "halves of guarantees that ended well"), Field("bad", U32, "that did not")),
    doc="How the loans for which a member stood have ended, by month.",
)
AttestedRow: TypeAlias = tuple[int, Address, int, bytes]
"""(schema, by, last day, document)"""
ATTESTED: Final[Table[AttestedRow]] = Table(
    ID,
    4,
    "attested",
    (uint_key("member", 32), uint_key("kind", 8)),
    (Field("by", ADDRESS), Field("until_day", U32), Field("document", HASH)),
    doc="What an assessor has seen: income, community work, courses.",
)
DisputeRow: TypeAlias = tuple[int, int, int, bytes, bytes, int]
"""(schema, member, part, document, answer, relief)"""
DISPUTE_FIELDS: Final = (
    Field("member", MEMBER),
    Field("part", PART, PART_DOC),
    Field("document", HASH),
    Field("answer", Data("document", 0, 32), "empty: waits"),
    Field("relief", POINTS, "granted"),
)
DISPUTES: Final[Table[DisputeRow]] = Table(
    ID, 5, "dispute", (uint_key("dispute", 32),), DISPUTE_FIELDS, doc="What members say is wrong."
)
OpenDisputesRow: TypeAlias = tuple[int, int]
DISPUTES_OPEN: Final[Table[OpenDisputesRow]] = Table(
    ID,
    6,
    "disputes_open",
    (uint_key("member", 32),),
    (Field("count", U8),),
    doc="How many disputes of a member wait.",
)
ReliefRow: TypeAlias = tuple[int, int, int]
"""(schema, points, last day)"""
RELIEF: Final[Table[ReliefRow]] = Table(
    ID,
    7,
    "relief",
    (uint_key("member", 32), uint_key("part", 8)),
    (Field("points", POINTS), Field("until_day", U32)),
    doc="Points that an answer has given back.",
)
CounterRow: TypeAlias = tuple[int, int]
COUNTER: Final[Table[CounterRow]] = Table(
    ID, 8, "counter", (), (Field("disputes", U32),), doc="Number of the newest dispute."
)
Band: TypeAlias = tuple[int, int, int]
"""(least score, multiplier of savings, addition to the rate)"""
BAND: Final = Fields(
    (
        Field("score_from", POINTS),
        Field("multiplier_bp", Integer("basis points", 0, 100 * WHOLE_BP), "of the member's savings"),
        Field("addon_ppm", Integer("ppm a year", 0, ADDON_PPM_MAX), "on the rate of the product"),
    )
)
BANDS: Final = Many(BAND, BANDS_MAX, 1)
BandsRow: TypeAlias = tuple[int, tuple[Band, ...], int]
"""(schema, bands, starter)"""
TABLE_FIELDS: Final = (
    Field("bands", BANDS, "ascending; the first from 0"),
    Field("starter", AMOUNT, "that can be lent whatever is saved, from 400 points on"),
)
TABLE: Final[Table[BandsRow]] = Table(
    ID, 9, "bands", (uint_key("asset", 32),), TABLE_FIELDS, doc="What a score is worth, for each asset."
)
DEFAULT_BANDS: Final[tuple[Band, ...]] = (
    (0, 0, 0),
    (300, WHOLE_BP, 40_000),
    (400, 2 * WHOLE_BP, 20_000),
    (600, 3 * WHOLE_BP, 10_000),
    (800, 4 * WHOLE_BP, 0),
)


def pack_weight(value: int) -> bytes:
    """Return a weight as the bytes that are kept."""
    return value.to_bytes(WEIGHT_BYTES, "big")


def read_weight(data: bytes) -> int:
    """Return a weight."""
    return int.from_bytes(data, "big")
