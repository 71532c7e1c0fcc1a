"""The schema of members: what a program can call, and what can be asked."""

from typing import Final

from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.members import methods, roles, standing
from protocol.contracts.members.records import (
    BOARD,
    COUNTER,
    DUPLICATE,
    ELIGIBLE,
    FEE_PAID,
    HAS_APPLIED,
    HEARINGS,
    ID,
    LEVEL,
    MEMBER,
    MEMBER_FIELDS,
    MEMBER_KIND,
    MEMBERS,
    NOT_ACTIVE,
    OBLIGED,
    OFFICE_FIELDS,
    OFFICES,
    REGISTRAR,
    ROLE,
    ROLE_FIELDS,
    ROLE_FULL,
    ROLE_HELD,
    ROLE_NOT_HELD,
    ROLE_TERM,
    ROLE_TERM_SECONDS_MAX,
    ROLE_UNKNOWN,
    ROLES,
    RULE_FIELDS,
    RULE_NOT_MET,
    RULES,
    SECOND_PERSON,
    STANDING,
    STANDINGS,
    STATUS,
    TAGS,
    TIES,
    TOO_EARLY,
    UNKNOWN_MEMBER,
    find_by_account,
    find_member,
)
from protocol.params import PENDING_DELAY_SECONDS_MAX, QUERY_ITEMS_MAX
from protocol.types import Address
from protocol.vm.context import QueryContext
from protocol.vm.contract import GOV, Contract, ErrorType, Method, Owner, Query, Role, Signed
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    BOOL,
    HASH,
    HEIGHT,
    SECONDS,
    U16,
    U32,
    Data,
    Field,
    Fields,
    Integer,
    Many,
    Maybe,
)


def _query_member(query: QueryContext, number: int) -> Value:
    member = find_member(query.view, number)
    return None if member is None else (number, *member.pack())


def _query_by_account(query: QueryContext, account: Address) -> Value:
    number = find_by_account(query.view, account)
    return None if number is None else _query_member(query, number)


def _query_members(query: QueryContext, after: int) -> Value:
    page = MEMBERS.page_rows(query.view, after=(after,) if after else ())
    return tuple([(number, *row[1:4]) for (number,), row in page])


def _query_standing_at(query: QueryContext, number: int, height: int) -> Value:
    return standing.find_standing(query.view, number, height)


def _query_eligible_at(query: QueryContext, height: int) -> Value:
    return standing.count_eligible(query.view, height)


def _query_ties(query: QueryContext, number: int, after: int | None) -> Value:
    page = TIES.page_rows(query.view, number, after=() if after is None else (after,))
    return tuple([(key[1], row[1]) for key, row in page])


def _query_rules(query: QueryContext) -> Value:
    row = RULES.get(query.view, RULES.key())
    return None if row is None else row[1:]


def _query_hearing(query: QueryContext, number: int) -> Value:
    row = HEARINGS.get(query.view, HEARINGS.key(number))
    return None if row is None else row[1:]


def _query_role(query: QueryContext, role: str) -> Value:
    row = ROLES.get(query.view, ROLES.key(role))
    return None if row is None else row[1:]


def _query_offices(query: QueryContext, holder: Address, after: str | None) -> Value:
    page = OFFICES.page_rows(query.view, holder, after=() if after is None else (after,))
    return tuple([(key[1], *row[1:]) for key, row in page])


_NUMBER: Final = Field("member", MEMBER)
_ACCOUNT: Final = Field("account", ADDRESS)
_COMMIT: Final = Field("kyc_commit", HASH, "salted commitment to personal data")
_DOCUMENT: Final = Field("document", HASH, "of the decision")
_ROLE: Final = Field("role", ROLE)
_HOLDER: Final = Field("holder", ADDRESS)
_BY_BOARD: Final = (GOV, Role(BOARD))
_TAG: Final = Field(
    "tag", Data("tag", 32, 32), "keyed digest of the national number, of a secret of registrars"
)
_STATE: Final = Maybe(Fields((_NUMBER, *MEMBER_FIELDS)))

_JOINING: Final = (
    Method(1, "set_rules", RULE_FIELDS, BOOL, (GOV,), 20, methods.set_rules, "Set what admission asks for."),
    Method(
        2,
        "apply",
        (Field("kind", MEMBER_KIND), _ACCOUNT, _COMMIT, Field("referrer", Maybe(MEMBER))),
        MEMBER,
        (Owner("account"), Role(REGISTRAR), GOV),
        40,
        methods.apply,
        "Ask to join; opens the account when it is new. Returns the member's number.",
    ),
    Method(
        3,
        "attest_kyc",
        (
            _NUMBER,
            Field("level", LEVEL),
            Field("until", U32, "last day on which it counts"),
            Field("evidence", HASH),
            _TAG,
        ),
        STATUS,
        (Role(REGISTRAR), GOV),
        40,
        methods.attest_kyc,
        "Attest who a member is, by digests only; returns the standing, which may follow from it.",
    ),
    Method(
        4,
        "update_kyc",
        (_ACCOUNT, _COMMIT),
        MEMBER,
        (Owner("account"),),
        20,
        methods.update_kyc,
        "Commit to other personal data; they count after the next attestation.",
    ),
    Method(
        5,
        "pay_fee",
        (_ACCOUNT,),
        AMOUNT,
        (Owner("account"),),
        40,
        methods.pay_fee,
        "Pay the entry fee; returns the amount.",
    ),
    Method(
        6,
        "admit",
        (_NUMBER,),
        STATUS,
        _BY_BOARD,
        40,
        methods.admit_member,
        "Admit an applicant who meets the rule; returns the standing.",
    ),
    Method(
        7,
        "decline",
        (_NUMBER,),
        STATUS,
        (Signed(), GOV),
        40,
        methods.decline,
        "End an application, as the board or the applicant; an entry fee goes back.",
    ),
)
_DISCIPLINE: Final = (
    Method(
        8,
        "suspend",
        (_NUMBER, _DOCUMENT),
        SECONDS,
        _BY_BOARD,
        40,
        methods.suspend,
        "Suspend a member; returns the time at which it ends unless it is confirmed.",
    ),
    Method(
        9,
        "confirm_suspension",
        (_NUMBER, _DOCUMENT),
        BOOL,
        _BY_BOARD,
        20,
        methods.confirm_suspension,
        "Let a suspension last, by a second member of the board.",
    ),
    Method(
        10,
        "lift_suspension",
        (_NUMBER,),
        STATUS,
        _BY_BOARD,
        40,
        methods.lift_suspension,
        "End a suspension.",
        0,
    ),
    Method(
        11,
        "announce_expulsion",
        (_NUMBER, _DOCUMENT),
        SECONDS,
        _BY_BOARD,
        20,
        methods.announce_expulsion,
        "Announce a hearing; returns the time from which the expulsion can be decided.",
    ),
    Method(12, "expel", (_NUMBER,), STATUS, (GOV,), 40, methods.expel, "Expel a member after the hearing."),
)
_LEAVING: Final = (
    Method(
        13,
        "exit",
        (_ACCOUNT,),
        STATUS,
        (Owner("account"),),
        40,
        methods.exit_member,
        "Begin to leave: the vote ends, and all shares can be redeemed.",
    ),
    Method(
        14,
        "leave",
        (_NUMBER,),
        STATUS,
        (Signed(), GOV),
        40,
        methods.leave,
        "End a membership that nothing holds any more.",
    ),
    Method(
        15,
        "report_death",
        (_NUMBER, _DOCUMENT),
        BOOL,
        (Role(REGISTRAR), GOV),
        40,
        methods.report_death,
        "Record a death; the free balance is frozen until the estate is opened.",
    ),
    Method(
        16,
        "refute_death",
        (_ACCOUNT,),
        STATUS,
        (Owner("account"),),
        40,
        methods.refute_death,
        "Say that a report of one's own death was wrong.",
        0,
    ),
    Method(
        17,
        "open_estate",
        (_NUMBER, Field("executor", ADDRESS), _DOCUMENT),
        BOOL,
        _BY_BOARD,
        60,
        methods.open_estate,
        "Let an executor act for the account of the deceased.",
    ),
)
_ROLES: Final = (
    Method(
        18,
        "define_role",
        (_ROLE, *ROLE_FIELDS),
        BOOL,
        (GOV,),
        20,
        roles.define_role,
        "Set delay, term, admin and guardian of an office.",
    ),
    Method(
        19,
        "grant_role",
        (_HOLDER, _ROLE, Field("term_seconds", Integer("seconds", 0, ROLE_TERM_SECONDS_MAX), "0: no end")),
        SECONDS,
        (Signed(), GOV),
        40,
        roles.grant_role,
        "Give an office, as its admin; returns the time at which it takes effect.",
    ),
    Method(
        20,
        "cancel_role",
        (_HOLDER, _ROLE),
        BOOL,
        (Signed(), GOV),
        20,
        roles.cancel_role,
        "Take back, as guardian, what has not taken effect.",
        0,
    ),
    Method(
        21,
        "revoke_role",
        (_HOLDER, _ROLE),
        BOOL,
        (Signed(), GOV),
        20,
        roles.revoke_role,
        "Take an office, as its admin, or lay it down.",
        0,
    ),
    Method(
        22,
        "settle",
        (),
        U16,
        (Signed(), GOV),
        100,
        methods.settle,
        "Do what has come due: ends of probations and suspensions, offices that begin or end. For anybody.",
    ),
    Method(
        23,
        "delay_role",
        (_ROLE, Field("seconds", Integer("seconds", 0, PENDING_DELAY_SECONDS_MAX), "0: it acts at once")),
        BOOL,
        (GOV,),
        20,
        roles.delay_role,
        "Set how long a program must wait before it can use an office; its guardian may cancel it meanwhile.",
    ),
)

CONTRACT: Final = Contract(
    ID,
    "members",
    layer=1,
    version=1,
    doc="Memberships, standing with its history, attestations and offices.",
    tables=(MEMBERS, STANDINGS, ELIGIBLE, TAGS, TIES, RULES, COUNTER, HEARINGS, ROLES, OFFICES),
    methods=(*_JOINING, *_DISCIPLINE, *_LEAVING, *_ROLES),
    queries=(
        Query("member", (_NUMBER,), _STATE, _query_member, "Return a membership by number."),
        Query(
            "by_account", (_ACCOUNT,), _STATE, _query_by_account, "Return the open membership of an account."
        ),
        Query(
            "members",
            (Field("after", MEMBER, "number of the last one of the page before; 0: from the start"),),
            Many(Fields((_NUMBER, *MEMBER_FIELDS[:3])), QUERY_ITEMS_MAX),
            _query_members,
            "List memberships by number.",
        ),
        Query(
            "standing_at",
            (_NUMBER, Field("height", HEIGHT)),
            Maybe(STATUS),
            _query_standing_at,
            "Return the standing of a member after the block of a height.",
        ),
        Query(
            "eligible_at",
            (Field("height", HEIGHT),),
            U32,
            _query_eligible_at,
            "Return the number of active members after the block of a height.",
        ),
        Query(
            "obligations",
            (_NUMBER, Field("after", Maybe(U16), "the last of the page before")),
            Many(Fields((Field("contract", U16), Field("count", U32))), QUERY_ITEMS_MAX),
            _query_ties,
            "List what keeps a member from leaving.",
        ),
        Query("rules", (), Maybe(Fields(RULE_FIELDS)), _query_rules, "Return what admission asks for."),
        Query(
            "hearing",
            (_NUMBER,),
            Maybe(Fields(HEARINGS.fields)),
            _query_hearing,
            "Return the announced expulsion of a member.",
        ),
        Query(
            "role_delay",
            (_ROLE,),
            U32,
            lambda query, role: auth.get_role_delay(query.view, role),
            "Return how long a program must have waited to use an office, seconds; 0: not at all.",
        ),
        Query("role", (_ROLE,), Maybe(Fields(ROLES.fields)), _query_role, "Return the terms of an office."),
        Query(
            "offices",
            (_HOLDER, Field("after", Maybe(ROLE), "the last of the page before")),
            Many(Fields((_ROLE, *OFFICE_FIELDS)), QUERY_ITEMS_MAX),
            _query_offices,
            "List the offices that an account holds or will hold.",
        ),
    ),
    events=(
        methods.APPLIED,
        methods.ATTESTED,
        standing.CHANGED,
        roles.DEFINED,
        roles.GRANTED,
        roles.TURNED,
        methods.FEE_EVENT,
        methods.DOCUMENT,
        methods.HEARING,
        methods.ESTATE,
    ),
    errors=(
        ErrorType(UNKNOWN_MEMBER, "UNKNOWN_MEMBER", "No such membership."),
        ErrorType(STANDING, "STANDING", "The member's standing does not allow this."),
        ErrorType(HAS_APPLIED, "HAS_APPLIED", "The account has a membership or an open application."),
        ErrorType(DUPLICATE, "DUPLICATE", "Another membership is of the same person."),
        ErrorType(RULE_NOT_MET, "RULE_NOT_MET", "The rule of admission is not met."),
        ErrorType(FEE_PAID, "FEE_PAID", "No entry fee is owed."),
        ErrorType(SECOND_PERSON, "SECOND_PERSON", "Somebody else must do this."),
        ErrorType(OBLIGED, "OBLIGED", "Obligations keep the member from leaving."),
        ErrorType(TOO_EARLY, "TOO_EARLY", "The time for this has not come."),
        ErrorType(ROLE_UNKNOWN, "ROLE_UNKNOWN", "No such office."),
        ErrorType(ROLE_TERM, "ROLE_TERM", "The term is longer than the office allows, or missing."),
        ErrorType(ROLE_HELD, "ROLE_HELD", "The office is held already, or has taken effect."),
        ErrorType(ROLE_NOT_HELD, "ROLE_NOT_HELD", "The account does not hold the office."),
        ErrorType(ROLE_FULL, "ROLE_FULL", "The office has as many holders as it may."),
        ErrorType(NOT_ACTIVE, "NOT_ACTIVE", "Only an active member may hold the office."),
    ),
)
