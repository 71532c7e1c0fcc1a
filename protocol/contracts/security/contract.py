"""The schema of security: what a program can call, and what can be asked."""

from typing import Final

from protocol.codec import Value
from protocol.contracts.members.records import MEMBER
from protocol.contracts.registry.contract import DECIDERS
from protocol.contracts.savings.records import ACCOUNT as SAVINGS_ACCOUNT
from protocol.contracts.security import auctions, collateral, guarantees
from protocol.contracts.security.records import (
    BASIS_POINTS,
    CASE_FIELDS,
    CASES,
    COLLATERAL,
    COLLATERAL_FIELDS,
    COLLATERAL_MAX,
    COVER,
    GUARANTEE,
    GUARANTEE_FIELDS,
    GUARANTEES_MAX,
    ID,
    KINDS,
    LATE,
    LIMIT_FIELDS,
    LIMITS,
    LOAN,
    LOANS_MAX,
    NO_COLLATERAL,
    NO_GUARANTEE,
    NO_LOAN,
    PIECE,
    PRICE,
    RING,
    STANDING,
    STATE,
    TERMS,
    TOO_MANY,
    TOO_MUCH,
    VALUER,
    Limits,
    get_case,
    get_limits,
    list_collateral,
    list_given,
    list_guarantees,
    put_limits,
)
from protocol.money import compute_day
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.contract import (
    Change,
    Contract,
    ErrorType,
    Invariant,
    Method,
    Owner,
    Query,
    Role,
)
from protocol.vm.kinds import ADDRESS, AMOUNT, ASSET, BOOL, HASH, POSITIVE, Field, Fields, Many, Maybe
from protocol.vm.tables import pack_record


def _set_limits(ctx: Context, *values: int) -> Value:
    limits = Limits(*values)
    if limits.floor_bp > limits.start_bp:
        fail(TERMS, "security.floor_bp", limits.start_bp, limits.floor_bp)
    put_limits(ctx.view, limits)
    return True


# --- queries


def _query_case(query: QueryContext, loan: int) -> Value:
    row = CASES.get(query.view, CASES.key(loan))
    return None if row is None else row[1:]


def _query_guarantees(query: QueryContext, loan: int) -> Value:
    return tuple([(number, *pack_record(g)[1:]) for number, g in list_guarantees(query.view, loan)])


def _query_given(query: QueryContext, member: int) -> Value:
    return tuple([(loan, *pack_record(g)[1:]) for loan, g in list_given(query.view, member)])


def _query_collateral(query: QueryContext, loan: int) -> Value:
    found: list[Value] = []
    for number, piece in list_collateral(query.view, loan):
        price = auctions.find_price(piece, int(query.time))
        found.append((number, *pack_record(piece)[1:], price))
    return tuple(found)


def _query_cover(query: QueryContext, loan: int) -> Value:
    if CASES.get(query.view, CASES.key(loan)) is None:
        return 0
    case = get_case(query.view, loan)
    return collateral.compute_cover(query.view, loan, case, compute_day(int(query.time), 0))


def _query_limits(query: QueryContext) -> Value:
    return pack_record(get_limits(query.view))[1:]


# --- invariants


def _is_promise_kept(changes: list[Change]) -> bool:
    """Tell whether no guarantee holds, or has paid, more than was promised, and none grew."""
    for _, old, new in changes:
        if new is None:
            continue
        _, borrower, account, amount, held, called, state = new
        assert type(amount) is int and type(held) is int and type(called) is int
        if held < 0 or called < 0 or held + called > amount:
            return False
        if old is not None and old[6] == state and (old[1:4] != (borrower, account, amount)):
            return False
    return True


def _is_case_sound(changes: list[Change]) -> bool:
    """Tell whether no file needs more than when it was bound, or lets sales bring more than is owed."""
    for _, _, new in changes:
        if new is None:
            continue
        required, first, owed, proceeds = new[5], new[6], new[9], new[10]
        assert type(required) is int and type(first) is int and type(owed) is int and type(proceeds) is int
        if required > first or proceeds < 0 or (owed and proceeds > owed):
            return False
    return True


_OWNER: Final = (Field("owner", ADDRESS),)
_LOAN: Final = Field("loan", LOAN)
_PIECE: Final = Field("piece", PIECE)
_AMOUNT: Final = Field("amount", POSITIVE)

_TERMS: Final = (
    Method(
        1,
        "set_limits",
        LIMIT_FIELDS,
        BOOL,
        DECIDERS,
        20,
        _set_limits,
        "Set what members can promise, and how collateral is sold.",
    ),
    Method(
        2,
        "set_kind",
        (
            Field("asset", ASSET, "0: what is on paper"),
            Field("haircut_bp", BASIS_POINTS),
            Field("margin_bp", BASIS_POINTS),
        ),
        BOOL,
        DECIDERS,
        20,
        collateral.set_kind,
        "Take an asset as collateral, with its haircut and its margin.",
    ),
)
_STANDING: Final = (
    Method(
        3,
        "offer_guarantee",
        (*_OWNER, _LOAN, Field("account", SAVINGS_ACCOUNT), _AMOUNT),
        AMOUNT,
        (Owner("owner"),),
        200,
        guarantees.offer_guarantee,
        "Offer to stand for a loan with a part of one's savings; returns the amount.",
    ),
    Method(
        4,
        "withdraw_guarantee",
        (*_OWNER, _LOAN),
        AMOUNT,
        (Owner("owner"),),
        60,
        guarantees.withdraw_guarantee,
        "Take an offer back before the loan is disbursed; returns what is free.",
        0,
    ),
    Method(
        5,
        "decline_guarantee",
        (*_OWNER, _LOAN, Field("guarantor", MEMBER)),
        AMOUNT,
        (Owner("owner"),),
        60,
        guarantees.decline_guarantee,
        "Do without an offer, as the borrower; returns what is free.",
    ),
    Method(
        6,
        "substitute",
        (*_OWNER, _LOAN, Field("by", MEMBER, "who has offered as much")),
        AMOUNT,
        (Owner("owner"),),
        120,
        guarantees.substitute,
        "Let another member stand in one's place; returns what he holds.",
    ),
)
_PLEDGES: Final = (
    Method(
        7,
        "pledge",
        (*_OWNER, _LOAN, Field("asset", ASSET), _AMOUNT),
        PIECE,
        (Owner("owner"),),
        120,
        collateral.pledge,
        "Let an asset stand for one's loan; returns the number of the piece.",
    ),
    Method(
        8,
        "pledge_document",
        (*_OWNER, _LOAN, Field("document", HASH)),
        PIECE,
        (Owner("owner"),),
        60,
        collateral.pledge_document,
        "Let something documented stand for one's loan; returns the number of the piece.",
    ),
    Method(
        9,
        "top_up",
        (*_OWNER, _LOAN, _PIECE, _AMOUNT),
        AMOUNT,
        (Owner("owner"),),
        120,
        collateral.top_up,
        "Add to what is pledged; returns what is kept.",
        0,
    ),
    Method(
        10,
        "take_back",
        (*_OWNER, _LOAN, _PIECE, _AMOUNT),
        AMOUNT,
        (Owner("owner"),),
        120,
        collateral.take_back,
        "Take back what the loan does not need; returns what is kept.",
    ),
    Method(
        11,
        "value",
        (
            _LOAN,
            _PIECE,
            Field("value", AMOUNT, "in the asset of the loan"),
            Field("document", HASH),
        ),
        AMOUNT,
        (Role(VALUER),),
        60,
        collateral.value,
        "Say what a piece is worth; returns what it counts for.",
    ),
    Method(
        12,
        "bid",
        (Field("buyer", ADDRESS), _LOAN, _PIECE, Field("price_most", AMOUNT)),
        AMOUNT,
        (Owner("buyer"),),
        120,
        auctions.bid,
        "Take a piece that is for sale at its price; returns the price.",
    ),
)

CONTRACT: Final = Contract(
    ID,
    "security",
    layer=3,
    version=1,
    doc="What stands for a loan: guarantees of members, collateral, and its auctions.",
    tables=(CASES, GUARANTEE, COLLATERAL, KINDS, LIMITS),
    methods=(*_TERMS, *_STANDING, *_PLEDGES),
    queries=(
        Query("case", (_LOAN,), Maybe(Fields(CASE_FIELDS)), _query_case, "Return the file of a loan."),
        Query("cover", (_LOAN,), AMOUNT, _query_cover, "Return what stands for a loan, in its asset."),
        Query(
            "guarantees",
            (_LOAN,),
            Many(Fields((Field("guarantor", MEMBER), *GUARANTEE_FIELDS)), GUARANTEES_MAX),
            _query_guarantees,
            "List who stands for a loan.",
        ),
        Query(
            "given",
            (Field("member", MEMBER),),
            Many(Fields((_LOAN, *GUARANTEE_FIELDS)), LOANS_MAX),
            _query_given,
            "List what a member stands for.",
        ),
        Query(
            "collateral",
            (_LOAN,),
            Many(
                Fields((_PIECE, *COLLATERAL_FIELDS, Field("price", Maybe(AMOUNT), "nil: not for sale"))),
                COLLATERAL_MAX,
            ),
            _query_collateral,
            "List what is pledged for a loan, and its price when it is for sale.",
        ),
        Query("limits", (), Fields(LIMIT_FIELDS), _query_limits, "Return the limits in force."),
    ),
    events=(
        guarantees.STOOD,
        guarantees.HOLDS,
        guarantees.CALLED,
        guarantees.REPLACED,
        collateral.PLEDGE,
        collateral.VALUED,
        collateral.MARGIN,
        auctions.OFFER,
        auctions.SOLD,
    ),
    errors=(
        ErrorType(NO_LOAN, "NO_LOAN", "Nothing can stand for a loan of this number."),
        ErrorType(NO_GUARANTEE, "NO_GUARANTEE", "The member does not stand for this loan."),
        ErrorType(NO_COLLATERAL, "NO_COLLATERAL", "There is no such collateral of this owner."),
        ErrorType(STANDING, "STANDING", "The member's standing does not allow this."),
        ErrorType(TOO_MANY, "TOO_MANY", "There are as many already as a limit allows."),
        ErrorType(TOO_MUCH, "TOO_MUCH", "More is promised than the savings allow, or less than is needed."),
        ErrorType(LATE, "LATE", "A loan of the guarantor is overdue for more than 30 days."),
        ErrorType(RING, "RING", "The promise would close a ring of members who stand for one another."),
        ErrorType(STATE, "STATE", "It is not at the step that this needs."),
        ErrorType(TERMS, "TERMS", "The terms do not fit the loan or contradict themselves."),
        ErrorType(COVER, "COVER", "Less would stand for the loan than it needs."),
        ErrorType(PRICE, "PRICE", "The price is above what was named."),
    ),
    invariants=(
        Invariant("security.promise", GUARANTEE, _is_promise_kept, "Nobody pays more than he promised."),
        Invariant("security.case", CASES, _is_case_sound, "A loan needs and takes no more than it should."),
    ),
)
