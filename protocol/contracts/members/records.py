"""What members keeps: memberships, their history, tags, ties, rules and offices.

Knows no step from one standing to another (`standing.py`).
"""

from dataclasses import dataclass, fields
from typing import Final, TypeAlias

from protocol.codec import Value
from protocol.contracts import auth
from protocol.params import ROLE_NAME_BYTES_MAX
from protocol.types import Address, ContractId
from protocol.vm.context import fail
from protocol.vm.keys import KeyPart, data_key, text_key, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    ASSET,
    BOOL,
    HASH,
    HEIGHT,
    SECONDS,
    U8,
    U16,
    U32,
    Data,
    Field,
    Integer,
    Text,
)
from protocol.vm.tables import SCHEMA, Index, Table, read_record
from protocol.vm.view import Row, View

ID: Final = ContractId(17)

BOARD: Final = "board"
REGISTRAR: Final = auth.REGISTRAR

PERSON: Final = 1
ORGANISATION: Final = 2
GROUP: Final = 3

APPLICANT: Final = 1
PROBATION: Final = 2
ACTIVE: Final = 3
SUSPENDED: Final = 4
EXITING: Final = 5
EXITED: Final = 6
DECEASED: Final = 7
EXPELLED: Final = 8
DECLINED: Final = 9
OPEN_STATUSES: Final = (APPLICANT, PROBATION, ACTIVE, SUSPENDED, EXITING, DECEASED, EXPELLED)
"""As long as a membership is in one of these, its account cannot apply again and its tag is taken."""

UNKNOWN_MEMBER: Final = 1701
STANDING: Final = 1702
HAS_APPLIED: Final = 1703
DUPLICATE: Final = 1704
RULE_NOT_MET: Final = 1705
FEE_PAID: Final = 1706
SECOND_PERSON: Final = 1707
OBLIGED: Final = 1708
TOO_EARLY: Final = 1709
ROLE_UNKNOWN: Final = 1710
ROLE_TERM: Final = 1711
ROLE_HELD: Final = 1712
ROLE_NOT_HELD: Final = 1713
ROLE_FULL: Final = 1714
NOT_ACTIVE: Final = 1715

KYC_LEVEL_MAX: Final = 5
PROBATION_DAYS_MAX: Final = 730
SUSPENSION_SECONDS: Final = 60 * 86_400
"""A suspension that nobody confirms ends by itself."""
HEARING_SECONDS: Final = 14 * 86_400
"""From the announcement of an expulsion to the first second in which it can be decided."""
ESTATE_SECONDS: Final = 30 * 86_400
"""From the report of a death to the estate; so long the owner can refute it."""
ROLE_DELAY_SECONDS_MAX: Final = 90 * 86_400
ROLE_TERM_SECONDS_MAX: Final = 10 * 366 * 86_400
ROLE_HOLDERS_MAX: Final = 100
DUE_PER_BLOCK_MAX: Final = 100
"""Terms, delays, probations and suspensions that one step ends; the rest waits for the next one."""

HEIGHT_LAST: Final = (1 << 40) - 1

MEMBER: Final = Integer("member", 0, (1 << 32) - 1)
STATUS: Final = Integer("status", APPLICANT, DECLINED)
MEMBER_KIND: Final = Integer("member kind", PERSON, GROUP)
LEVEL: Final = Integer("kyc level", 0, KYC_LEVEL_MAX)
DAYS: Final = Integer("days", 0, PROBATION_DAYS_MAX)
ROLE: Final = Text("role", ROLE_NAME_BYTES_MAX)
TAG: Final = Data("tag", 0, 32)


@dataclass(frozen=True, slots=True)
class Member:
    """A membership, in the order of its record."""

    kind: int
    account: Address
    status: int
    joined_height: int
    joined_day: int
    kyc_commit: bytes
    kyc_level: int
    kyc_until: int
    tag: bytes
    referrer: int
    until: int
    fee_asset: int
    fee_paid: int
    shares_paid: int
    before: int
    by: bytes

    def pack(self) -> tuple[Value, ...]:
        """Return the record's fields."""
        return tuple([getattr(self, name) for name in _NAMES])


_NAMES: Final = tuple([f.name for f in fields(Member)])

MEMBER_FIELDS: Final = (
    Field("kind", MEMBER_KIND, "1 person, 2 organisation, 3 group"),
    Field("account", ADDRESS),
    Field(
        "status",
        STATUS,
        "1 applicant, 2 probation, 3 active, 4 suspended, 5 exiting, 6 exited, 7 deceased, 8 expelled, "
        "9 declined",
    ),
    Field("joined_height", HEIGHT, "0: not admitted yet"),
    Field("joined_day", U32),
    Field("kyc_commit", HASH, "salted commitment to personal data that stay off the chain"),
    Field("kyc_level", LEVEL, "attested; 0: not, or not since the commitment changed"),
    Field("kyc_until", U32, "last day of the attestation"),
    Field("tag", TAG, "the same for the same person; empty: not attested yet"),
    Field("referrer", MEMBER, "0: none"),
    Field("until", SECONDS, "end of probation or suspension, or report of the death; 0: no end"),
    Field("fee_asset", ASSET),
    Field("fee_paid", AMOUNT),
    Field("shares_paid", AMOUNT, "share capital paid in, as the contract shares says"),
    Field("before", U8, "status before the last step; 0: none"),
    Field("by", Data("address or nothing", 0, 20), "who suspended, or reported the death"),
)


def _select_account(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    account, status = row[2], row[3]
    assert type(account) is bytes
    return (account,) if status in OPEN_STATUSES else None


def _select_due(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    status, until = row[3], row[11]
    assert type(until) is int
    return (until,) if until and status in (PROBATION, SUSPENDED) else None


def _select_role_due(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    effective_at, term_end, in_effect = row[2], row[3], row[4]
    assert type(effective_at) is int and type(term_end) is int
    if not in_effect:
        return (effective_at,)
    return (term_end,) if term_end else None


MemberRow: TypeAlias = tuple[Value, ...]
CountRow: TypeAlias = tuple[int, int]
TagRow: TypeAlias = tuple[int, int]
RulesRow: TypeAlias = tuple[int, int, int, int, int, int, bool]
"""(schema, asset, entry fee, shares, level, probation days, by itself)"""
HearingRow: TypeAlias = tuple[int, int, bytes]
RoleRow: TypeAlias = tuple[int, str, str, int, int, int, bool, int]
"""(schema, admin, guardian, delay, longest term, most holders, members only, holders)"""
OfficeRow: TypeAlias = tuple[int, int, int, int, bool]
"""(schema, granted at, effective at, term end, in effect)"""

BY_ACCOUNT: Final = Index(2, "by_account", (data_key("account", 20),), _select_account)
MEMBER_DUE: Final = Index(4, "member_due", (uint_key("until", 48),), _select_due)
MEMBERS: Final[Table[MemberRow]] = Table(
    ID,
    1,
    "member",
    (uint_key("member", 32),),
    MEMBER_FIELDS,
    (BY_ACCOUNT, MEMBER_DUE),
    doc="Who belongs, applied or belonged.",
)
STANDINGS: Final[Table[CountRow]] = Table(
    ID,
    3,
    "standing",
    (uint_key("member", 32), uint_key("height_from_end", 40)),
    (Field("status", STATUS),),
    doc="Standing after the block of each height at which it changed, newest first: `2^40-1 - height`.",
)
ELIGIBLE: Final[Table[CountRow]] = Table(
    ID,
    5,
    "eligible",
    (uint_key("height_from_end", 40),),
    (Field("count", U32),),
    doc="Number of active members after the block of each height at which it changed, newest first.",
)
TAGS: Final[Table[TagRow]] = Table(
    ID, 6, "tag", (data_key("tag", 32),), (Field("member", MEMBER),), doc="Tags that are taken, and by whom."
)
TIES: Final[Table[CountRow]] = Table(
    ID,
    7,
    "tie",
    (uint_key("member", 32), uint_key("contract", 16)),
    (Field("count", U32),),
    doc="What keeps a member from leaving, as the contracts above have said.",
)
RULE_FIELDS: Final = (
    Field("asset", ASSET, "of the entry fee"),
    Field("entry_fee", AMOUNT),
    Field("shares", AMOUNT, "least share capital paid in"),
    Field("kyc_level", LEVEL, "least attested level"),
    Field("probation_days", DAYS),
    Field("by_itself", BOOL, "whoever meets the rule is admitted without the board"),
)
RULES: Final[Table[RulesRow]] = Table(ID, 8, "rules", (), RULE_FIELDS, doc="What admission asks for.")
COUNTER: Final[Table[CountRow]] = Table(
    ID, 9, "counter", (), (Field("members", U32),), doc="Number of the newest membership."
)
HEARINGS: Final[Table[HearingRow]] = Table(
    ID,
    10,
    "hearing",
    (uint_key("member", 32),),
    (Field("from_time", SECONDS, "the expulsion can be decided from then on"), Field("document", HASH)),
    doc="Announced expulsions.",
)
ROLE_FIELDS: Final = (
    Field("admin", ROLE, "role that grants and revokes; empty: only gov"),
    Field("guardian", ROLE, "role that can cancel a grant before it takes effect; empty: only gov"),
    Field("delay_seconds", Integer("seconds", 0, ROLE_DELAY_SECONDS_MAX)),
    Field("term_seconds_max", Integer("seconds", 0, ROLE_TERM_SECONDS_MAX), "0: no term"),
    Field("holders_max", Integer("holders", 1, ROLE_HOLDERS_MAX)),
    Field("members_only", BOOL, "held by active members, and lost with that standing"),
)
ROLES: Final[Table[RoleRow]] = Table(
    ID,
    11,
    "role",
    (text_key("name", ROLE_NAME_BYTES_MAX),),
    (*ROLE_FIELDS, Field("holders", U16, "those whose grant waits included")),
    doc="Offices and their terms.",
)
OFFICE_FIELDS: Final = (
    Field("granted_at", SECONDS),
    Field("effective_at", SECONDS),
    Field("term_end", SECONDS, "0: none"),
    Field("in_effect", BOOL),
)
ROLE_DUE: Final = Index(13, "role_due", (uint_key("time", 48),), _select_role_due)
OFFICES: Final[Table[OfficeRow]] = Table(
    ID,
    12,
    "office",
    (data_key("holder", 20), text_key("role", ROLE_NAME_BYTES_MAX)),
    OFFICE_FIELDS,
    (ROLE_DUE,),
    doc="Who holds which office, or will.",
)


def find_member(view: View, number: int) -> Member | None:
    """Return a membership by number, or None."""
    row = MEMBERS.get(view, MEMBERS.key(number))
    return None if row is None else read_record(Member, row)


def get_member(view: View, number: int) -> Member:
    """Return a membership by number.

    Raises:
        CallFailed: UNKNOWN_MEMBER.
    """
    member = find_member(view, number)
    if member is None:
        fail(UNKNOWN_MEMBER, "members.unknown", None, number)
    return member


def put_member(view: View, number: int, member: Member) -> None:
    """Write a membership."""
    MEMBERS.put(view, MEMBERS.key(number), (SCHEMA, *member.pack()))


def find_by_account(view: View, account: Address) -> int | None:
    """Return the number of the open membership of an account, or None."""
    for _, number in MEMBERS.scan_index(view, BY_ACCOUNT, account):
        assert type(number) is int
        return number
    return None


def get_by_account(view: View, account: Address) -> tuple[int, Member]:
    """Return the open membership of an account.

    Raises:
        CallFailed: UNKNOWN_MEMBER.
    """
    number = find_by_account(view, account)
    if number is None:
        fail(UNKNOWN_MEMBER, "members.account", None, account)
    return number, get_member(view, number)
