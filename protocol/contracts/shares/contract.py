"""The schema of shares: what a program can call, and what can be asked."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from protocol.codec import Value
from protocol.contracts.ledger.accounts import account_key, get_account
from protocol.contracts.members.records import MEMBER, TIES
from protocol.contracts.shares import methods, queue
from protocol.contracts.shares.records import (
    ADDRESS_OF,
    BELOW_MINIMUM,
    BY_MEMBER,
    CLASS,
    CLASS_FIELDS,
    CLASSES,
    COUNT,
    COUNTER,
    HELD_AT,
    HOLDING_FIELDS,
    HOLDINGS,
    ID,
    ISSUED_AT,
    MAX_HOLDING,
    NO_PLEDGE,
    NO_REQUEST,
    NOTHING,
    PAYABLE,
    PLEDGES,
    QUEUE_JOBS,
    REDEEM_ITEMS_MAX,
    REQUEST_FIELDS,
    REQUESTS,
    SOLVENCY,
    SOME,
    STANDING,
    TERM_FIELDS,
    TERMS,
    TOO_FEW,
    TOO_SOON,
    UNKNOWN_CLASS,
    YEARLY_CAP,
    YEARS,
    HoldingRow,
)
from protocol.params import QUERY_ITEMS_MAX
from protocol.types import Address
from protocol.vm.context import QueryContext
from protocol.vm.contract import GOV, Contract, ErrorType, Method, Owner, Query, Signed, System
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    ASSET,
    BOOL,
    POSITIVE,
    U8,
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
from protocol.vm.view import View

OBLIGATION, PLEDGE, INSTALMENT, REQUEST, WAIT, CLAIM = range(1, 7)
_STEPS: Final[tuple[tuple[int, Callable[[HoldingRow], tuple[int, int]]], ...]] = (
    (PLEDGE, lambda row: (row[3], 0)),
    (INSTALMENT, lambda row: (0, row[2])),
    (REQUEST, lambda row: (row[1] - row[3] - row[4], 0)),
    (WAIT, lambda row: (row[4], 0)),
)


def _query_class(query: QueryContext, number: int) -> Value:
    row = CLASSES.get(query.view, CLASSES.key(number))
    return None if row is None else (number, *row[1:])


def _query_classes(query: QueryContext, after: int | None) -> Value:
    page = CLASSES.page_rows(query.view, after=() if after is None else (after,))
    return tuple([(*key, *row[1:]) for key, row in page])


def _query_price(query: QueryContext, number: int) -> Value:
    row = CLASSES.get(query.view, CLASSES.key(number))
    return None if row is None else queue.compute_price(query.view, row)


def _query_holdings(query: QueryContext, member: int, after: int | None) -> Value:
    page = HOLDINGS.page_rows(query.view, member, after=() if after is None else (after,))
    return tuple([(*key[1:], *row[1:]) for key, row in page])


def _query_requests(query: QueryContext, member: int, after: tuple[int, int] | None) -> Value:
    page = REQUESTS.page(query.view, BY_MEMBER, member, after=after or ())
    return tuple([(*key, *row[1:]) for key, row in page])


def _query_position(query: QueryContext, number: int, request: int) -> Value:
    if REQUESTS.get(query.view, REQUESTS.key(number, request)) is None:
        return None
    ahead = shares = 0
    for key, row in REQUESTS.scan(query.view, number):
        if REQUESTS.parts(key)[1] == request or ahead == QUERY_ITEMS_MAX:
            break
        ahead, shares = ahead + 1, shares + row[2]
    return (ahead, shares)


def _query_pledges(query: QueryContext, member: int, after: tuple[int, Address] | None) -> Value:
    page = PLEDGES.page_rows(query.view, member, after=after or ())
    return tuple([(*key[1:], row[1]) for key, row in page])


def _query_exit_plan(query: QueryContext, member: int, after: tuple[int, int] | None) -> Value:
    """List what keeps a member from leaving, in the order in which it is settled."""
    plan = (row for row in _list_exit_plan(query.view, member) if after is None or row[:2] > after)
    return tuple(islice(plan, QUERY_ITEMS_MAX))


def _list_exit_plan(view: View, member: int) -> Iterator[tuple[int, int, int, int]]:
    """Walk through the whole plan by step and what it is of."""
    for key, tie in TIES.scan(view, member):
        contract = int(str(TIES.parts(key)[1]))
        if contract != ID:
            yield OBLIGATION, contract, tie[1], 0
    holdings = [(int(str(HOLDINGS.parts(key)[1])), row) for key, row in HOLDINGS.scan(view, member)]
    for step, read in _STEPS:
        for number, row in holdings:
            count, amount = read(row)
            if count or amount:
                yield step, number, count, amount
    for asset in sorted(dict.fromkeys([row[2] for _, row in CLASSES.scan(view)])):
        payable = get_account(view, account_key(ADDRESS_OF, PAYABLE, asset, member))
        if payable is not None and payable[5] > payable[3]:
            yield CLAIM, asset, 0, payable[5] - payable[3]


def _query_year(query: QueryContext, number: int, year: int) -> Value:
    row = YEARS.get(query.view, YEARS.key(number, year))
    return None if row is None else row[1:]


_FROM: Final = Field("from", ADDRESS)
_CLASS: Final = Field("class", CLASS)
_SOME: Final = Field("shares", SOME)
_MEMBER: Final = Field("member", MEMBER)
_CLASS_STATE: Final = Fields((_CLASS, *CLASSES.fields))
_REQUEST: Final = Field("request", U48)
_KEEPER: Final = Field("keeper", ADDRESS)

_HOLDING: Final = (
    Method(
        1,
        "create_class",
        CLASS_FIELDS,
        CLASS,
        (GOV,),
        20,
        methods.create_class,
        "Create a class of shares; returns its number.",
    ),
    Method(
        2,
        "set_terms",
        (_CLASS, *TERM_FIELDS),
        BOOL,
        (GOV,),
        20,
        methods.set_terms,
        "Change limits of a class; asset and par stay.",
    ),
    Method(
        3,
        "buy",
        (_FROM, _CLASS, _SOME),
        COUNT,
        (Owner("from"),),
        40,
        methods.buy,
        "Pay shares from the free balance; returns how many the member holds.",
    ),
    Method(
        4,
        "pay_instalment",
        (_FROM, _CLASS, Field("amount", POSITIVE)),
        COUNT,
        (Owner("from"),),
        40,
        methods.pay_instalment,
        "Pay towards shares; returns how many became whole.",
    ),
    Method(
        5,
        "return_instalment",
        (_FROM, _CLASS),
        AMOUNT,
        (Owner("from"),),
        40,
        methods.return_instalment,
        "Take back what was paid towards a share; returns the amount.",
    ),
    Method(
        6,
        "pledge",
        (_FROM, _CLASS, _SOME, Field("keeper", ADDRESS)),
        COUNT,
        (Owner("from"),),
        40,
        methods.pledge,
        "Bind shares until a keeper frees them; returns how many are pledged to it.",
    ),
    Method(
        7,
        "release_pledge",
        (Field("keeper", ADDRESS), _MEMBER, _CLASS, _SOME),
        COUNT,
        (Owner("keeper"),),
        40,
        methods.release_pledge,
        "Free pledged shares; returns how many stay pledged.",
    ),
)
_LEAVING: Final = (
    Method(
        8,
        "request",
        (_FROM, _CLASS, _SOME),
        U48,
        (Owner("from"),),
        40,
        queue.request,
        "Ask to redeem shares; returns the number of the request.",
    ),
    Method(
        9,
        "cancel_request",
        (_FROM, _CLASS, _REQUEST),
        COUNT,
        (Owner("from"),),
        40,
        queue.cancel_request,
        "Leave the queue; returns the shares that are free again.",
    ),
    Method(
        10,
        "redeem",
        (_CLASS, Field("items", Integer("requests", 1, REDEEM_ITEMS_MAX), "most that are looked at")),
        AMOUNT,
        (Signed(), GOV),
        100,
        queue.redeem,
        "Pay requests in their order within cap and solvency; returns the shares redeemed. For anybody.",
    ),
    Method(
        11,
        "refund",
        (_FROM, _CLASS),
        AMOUNT,
        (Owner("from"),),
        40,
        queue.refund,
        "Take share capital back as an applicant; returns the amount.",
    ),
    Method(
        12,
        "claim",
        (_FROM, Field("asset", ASSET)),
        AMOUNT,
        (Owner("from"),),
        40,
        queue.claim,
        "Take what could not be credited when shares were redeemed; returns the amount.",
    ),
    Method(
        queue.DAILY_METHOD,
        "redeem_daily",
        (_CLASS,),
        AMOUNT,
        (System("sched:shares"),),
        100,
        queue.redeem_daily,
        "Pay what the limits allow, once a day while anybody waits; returns the shares redeemed.",
    ),
    Method(
        queue.REDEEM_ALL_METHOD,
        "redeem_all",
        (_MEMBER,),
        COUNT,
        (GOV,),
        200,
        queue.redeem_all,
        "Pay all shares of a member at once, ahead of the queue and its cap; returns how many.",
    ),
)

CONTRACT: Final = Contract(
    ID,
    "shares",
    layer=2,
    version=1,
    doc="Share capital: classes, holdings, instalments, pledges and redemption.",
    tables=(CLASSES, HOLDINGS, REQUESTS, PLEDGES, YEARS, COUNTER, HELD_AT, ISSUED_AT, QUEUE_JOBS),
    methods=(*_HOLDING, *_LEAVING),
    queries=(
        Query("class", (_CLASS,), Maybe(_CLASS_STATE), _query_class, "Return a class of shares."),
        Query(
            "classes",
            (Field("after", Maybe(CLASS), "the last of the page before"),),
            Many(_CLASS_STATE, QUERY_ITEMS_MAX),
            _query_classes,
            "List the classes.",
        ),
        Query("price", (_CLASS,), Maybe(AMOUNT), _query_price, "Return what a share would be redeemed at."),
        Query(
            "holdings",
            (_MEMBER, Field("after", Maybe(CLASS), "the last of the page before")),
            Many(Fields((_CLASS, *HOLDING_FIELDS)), QUERY_ITEMS_MAX),
            _query_holdings,
            "List the shares of a member.",
        ),
        Query(
            "requests",
            (_MEMBER, Field("after", Maybe(Fields((_CLASS, _REQUEST))), "the last of the page before")),
            Many(Fields((_CLASS, _REQUEST, *REQUEST_FIELDS)), QUERY_ITEMS_MAX),
            _query_requests,
            "List what a member waits to redeem.",
        ),
        Query(
            "position",
            (_CLASS, _REQUEST),
            Maybe(Fields((Field("requests", U16, "ahead; 200: or more"), Field("shares", U63, "ahead")))),
            _query_position,
            "Return what stands ahead of a request.",
        ),
        Query(
            "pledges",
            (_MEMBER, Field("after", Maybe(Fields((_CLASS, _KEEPER))), "the last of the page before")),
            Many(Fields((_CLASS, _KEEPER, Field("shares", COUNT))), QUERY_ITEMS_MAX),
            _query_pledges,
            "List the pledged shares of a member.",
        ),
        Query(
            "exit_plan",
            (
                _MEMBER,
                Field(
                    "after",
                    Maybe(Fields((Field("step", U8), Field("of", U32)))),
                    "the last of the page before",
                ),
            ),
            Many(
                Fields(
                    (
                        Field(
                            "step",
                            U8,
                            "1 obligations elsewhere, 2 pledges, 3 instalments, 4 shares to request, "
                            "5 shares that wait, 6 amounts to claim",
                        ),
                        Field("of", U32, "contract of step 1, class of 2 to 5, asset of 6"),
                        Field("count", U32, "of obligations or shares, in steps 1, 2, 4 and 5"),
                        Field("amount", AMOUNT, "in steps 3 and 6"),
                    )
                ),
                QUERY_ITEMS_MAX,
            ),
            _query_exit_plan,
            "List what keeps a member from leaving, in the order in which it is settled.",
        ),
        Query(
            "year",
            (_CLASS, Field("year", U16)),
            Maybe(Fields(YEARS.fields)),
            _query_year,
            "Return what a calendar year has redeemed.",
        ),
    ),
    events=(
        methods.CREATED,
        methods.BOUGHT,
        methods.INSTALMENT,
        methods.PLEDGED,
        queue.REQUESTED,
        queue.REDEEMED,
    ),
    errors=(
        ErrorType(UNKNOWN_CLASS, "UNKNOWN_CLASS", "No such class of shares."),
        ErrorType(MAX_HOLDING, "MAX_HOLDING", "A member may not hold so many shares."),
        ErrorType(STANDING, "STANDING", "The member's standing does not allow this."),
        ErrorType(TOO_FEW, "TOO_FEW", "The member has not so many shares free."),
        ErrorType(BELOW_MINIMUM, "BELOW_MINIMUM", "A member keeps the minimum of shares."),
        ErrorType(TOO_SOON, "TOO_SOON", "The shares were bought too recently."),
        ErrorType(NOTHING, "NOTHING", "There is nothing to take back."),
        ErrorType(YEARLY_CAP, "YEARLY_CAP", "This year's redemptions have reached their cap."),
        ErrorType(SOLVENCY, "SOLVENCY", "The co-op would not be solvent enough after it."),
        ErrorType(NO_REQUEST, "NO_REQUEST", "No such request waits."),
        ErrorType(NO_PLEDGE, "NO_PLEDGE", "The keeper holds no such pledge."),
        ErrorType(TERMS, "TERMS", "The minimum is above the maximum."),
    ),
)
