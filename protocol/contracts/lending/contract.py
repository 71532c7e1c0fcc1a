"""The schema of lending: what a program can call, and what can be asked."""

from typing import Final

from protocol.codec import Value
from protocol.contracts.lending import (
    ageing,
    applying,
    deciding,
    enforcing,
    lapsing,
    offering,
    rescheduling,
    serving,
)
from protocol.contracts.lending.posting import open_book
from protocol.contracts.lending.product import PRODUCT_FIELDS, PRODUCTS, get_product, get_terms
from protocol.contracts.lending.records import (
    APPROVALS,
    ARCHIVE,
    BY_MEMBER,
    CLAIMS,
    COMMITTEE,
    COUNTER,
    DECISION_FIELDS,
    DECISIONS,
    EVENT_FIELDS,
    EVENTS,
    ID,
    INSTALMENT_FIELDS,
    INSTALMENTS,
    LENT,
    LOAN,
    LOAN_FIELDS,
    LOAN_OFFICER,
    LOANS,
    LOANS_OPEN_MAX,
    NO_EVENT,
    NO_FUNDS,
    NO_LOAN,
    NO_PRODUCT,
    NOT_ELIGIBLE,
    NOT_REVERSIBLE,
    NOTHING,
    ORIGINS,
    PLANS,
    PRODUCT,
    ROW_COUNT,
    STATE_FIELDS,
    STATES,
    STATUS,
    TERMS,
    TERMS_CHANGED,
    TOO_MUCH,
    TOTAL_STATE,
    TOTALS,
    get_loan,
    get_state,
    pack_state,
)
from protocol.contracts.lending.terms import (
    compute_fee,
    compute_rate,
    compute_service,
    compute_terms_hash,
    make_rows,
)
from protocol.contracts.members.records import MEMBER
from protocol.contracts.registry.contract import DECIDERS
from protocol.finance.schedule import ROWS_MAX
from protocol.params import QUERY_ITEMS_MAX
from protocol.vm.context import QueryContext
from protocol.vm.contract import (
    GOV,
    Change,
    Contract,
    ErrorType,
    Invariant,
    Method,
    Owner,
    Query,
    Role,
    Signed,
    System,
)
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    BOOL,
    HASH,
    POSITIVE,
    U32,
    Field,
    Fields,
    Integer,
    Many,
    Maybe,
    Text,
)

# --- queries


def _query_product(query: QueryContext, number: int) -> Value:
    row = PRODUCTS.get(query.view, PRODUCTS.key(number))
    return None if row is None else row[1:]


def _query_products(query: QueryContext) -> Value:
    return tuple([(*key, *row[1:]) for key, row in PRODUCTS.page_rows(query.view)])


def _query_quote(query: QueryContext, number: int, principal: int, rows: int, day: int) -> Value:
    product = get_product(query.view, number)
    applying.check_range(product, principal, rows)
    made = make_rows(product, principal, rows, day)
    interest = sum([row.interest for row in made])
    fee = compute_fee(product, principal)
    listed = tuple([(row.due_day, row.principal, row.interest) for row in made])
    return (interest, fee, compute_service(made, day), compute_rate(product, principal, made), listed)


def _query_offer(query: QueryContext, number: int, day: int) -> Value:
    loan = get_loan(query.view, number)
    product = get_terms(query.view, loan)
    made = make_rows(product, loan.principal, loan.rows, day)
    listed = tuple([(row.due_day, row.principal, row.interest) for row in made])
    terms_hash = compute_terms_hash(number, product, loan.principal, day, made)
    rate = compute_rate(product, loan.principal, made)
    return (terms_hash, compute_fee(product, loan.principal), rate, listed)


def _query_loan(query: QueryContext, number: int) -> Value:
    row = LOANS.get(query.view, LOANS.key(number))
    return None if row is None else (number, *row[1:])


def _query_loans(query: QueryContext, member: int) -> Value:
    return tuple([(*key, *row[1:]) for key, row in LOANS.page(query.view, BY_MEMBER, member)])


def _query_decision(query: QueryContext, number: int) -> Value:
    row = DECISIONS.get(query.view, DECISIONS.key(number))
    return None if row is None else row[1:]


def _query_rows(query: QueryContext, number: int) -> Value:
    return tuple([row[1:] for _, row in INSTALMENTS.scan(query.view, number)])


def _query_events(query: QueryContext, number: int, after: int) -> Value:
    page = EVENTS.page_rows(query.view, number, after=(after,))
    return tuple([(key[1], *row[1:]) for key, row in page])


def _query_state(query: QueryContext, number: int) -> Value:
    if STATES.get(query.view, STATES.key(number)) is None:
        return None
    loan = get_loan(query.view, number)
    product, state = get_product(query.view, loan.product), get_state(query.view, number)
    book = open_book(query.view, number, loan, product, state, query.day)
    return (book.days_late(), book.count_due(), book.count_payoff(), *pack_state(book.state)[1:])


def _query_claim(query: QueryContext, number: int) -> Value:
    row = CLAIMS.get(query.view, CLAIMS.key(number))
    return None if row is None else row[1:]


def _query_total(query: QueryContext, number: int) -> Value:
    row = TOTALS.get(query.view, TOTALS.key(number))
    return None if row is None else row[1:]


# --- what every program must leave true


def _are_rows_within(changes: list[Change]) -> bool:
    for _, _, row in changes:
        if row is None:
            continue
        _, _, principal, interest, *_, principal_paid, interest_paid, _, _ = row
        assert type(principal) is int and type(interest) is int
        assert type(principal_paid) is int and type(interest_paid) is int
        if principal_paid > principal or interest_paid > interest:
            return False
    return True


def _are_totals_sums(changes: list[Change]) -> bool:
    for _, _, row in changes:
        assert row is not None, "sums are never deleted"
        principal, by_class = row[1], row[9]
        assert type(by_class) is tuple
        if sum([int(str(amount)) for amount in by_class]) != principal:
            return False
    return True


_FROM: Final = Field("from", ADDRESS)
_LOAN: Final = Field("loan", LOAN)
_PRODUCT: Final = Field("product", PRODUCT)
_AMOUNT: Final = Field("amount", POSITIVE)
_ROWS: Final = Field("rows", Integer("rows", 1, ROWS_MAX))
_STATUS: Final = LOAN_FIELDS[2].kind
_LISTED: Final = Many(
    Fields((Field("due_day", U32), Field("principal", AMOUNT), Field("interest", AMOUNT))), ROWS_MAX
)
_OFFICER: Final = (Role(LOAN_OFFICER), GOV)
_BY_PEOPLE: Final = (Signed(), GOV)

_APPLYING: Final = (
    Method(
        1,
        "create_product",
        PRODUCT_FIELDS,
        PRODUCT,
        DECIDERS,
        300,
        offering.create_product,
        "Create a product; returns its number.",
    ),
    Method(
        2,
        "close_product",
        (_PRODUCT,),
        BOOL,
        DECIDERS,
        40,
        offering.close_product,
        "Take no more applications for a product; its loans go on.",
    ),
    Method(
        3,
        "apply",
        (
            _FROM,
            _PRODUCT,
            Field("principal", POSITIVE),
            _ROWS,
            Field("income", AMOUNT, "of a year"),
            Field("purpose", Text("purpose", 128)),
        ),
        LOAN,
        (Owner("from"),),
        2_000,
        applying.apply,
        "Ask for a loan; returns its number.",
    ),
    Method(
        4,
        "decide",
        (_LOAN,),
        _STATUS,
        (Signed(),),
        100,
        deciding.decide,
        "Let the policy decide on an application; returns its status.",
    ),
    Method(
        5,
        "approve",
        (_LOAN,),
        _STATUS,
        _BY_PEOPLE,
        100,
        deciding.approve,
        "Approve an application as one of the committee, or by a vote; returns its status.",
    ),
    Method(
        6,
        "reject",
        (_LOAN,),
        _STATUS,
        _BY_PEOPLE,
        60,
        deciding.reject,
        "Reject an application as one of the committee, or by a vote; returns its status.",
    ),
    Method(
        7,
        "withdraw",
        (_FROM, _LOAN),
        _STATUS,
        (Owner("from"),),
        60,
        applying.withdraw,
        "Take an application back; returns its status.",
    ),
    Method(
        8,
        "accept",
        (_FROM, _LOAN, Field("terms_hash", HASH), Field("annual_ppm", U32, "as the offer says")),
        AMOUNT,
        (Owner("from"),),
        2_000,
        applying.accept,
        "Accept the exact terms of today and what they cost a year, and be paid out; returns what arrives.",
    ),
)
_SERVING: Final = (
    Method(
        10,
        "repay",
        (_FROM, _LOAN, _AMOUNT),
        AMOUNT,
        (Owner("from"),),
        300,
        serving.repay,
        "Pay on a loan, anybody's; returns what still pays it off.",
        0,
    ),
    Method(
        11,
        "pay_due",
        (_FROM, _LOAN, Field("at_most", POSITIVE)),
        AMOUNT,
        (Owner("from"),),
        300,
        serving.pay_due,
        "Pay what is due today, as far as there is free balance; returns it.",
        0,
    ),
    Method(
        12,
        "refund",
        (_FROM, _LOAN),
        AMOUNT,
        (Owner("from"),),
        200,
        serving.refund,
        "Get back what is kept in advance; returns it.",
    ),
    Method(
        13,
        "waive",
        (_LOAN, Field("of_interest", BOOL, "else of penalties"), _AMOUNT),
        AMOUNT,
        _OFFICER,
        200,
        serving.waive,
        "Forgive penalties or interest that are due; returns what is owed of them still.",
    ),
    Method(
        14,
        "reverse",
        (_LOAN, Field("event", U32)),
        AMOUNT,
        _OFFICER,
        1_000,
        serving.reverse,
        "Reverse a payment and do over what came after it; returns what now pays the loan off.",
    ),
    Method(
        15,
        "recover",
        (_FROM, _LOAN, _AMOUNT),
        AMOUNT,
        (Owner("from"),),
        200,
        enforcing.recover,
        "Pay on a loan that was charged off: the co-op first, then its guarantors; returns what was taken.",
        0,
    ),
    Method(
        16,
        "collect",
        (_LOAN,),
        AMOUNT,
        (Signed(),),
        300,
        enforcing.collect,
        "Let what the sale of collateral has brought pay on a loan; returns it.",
    ),
    Method(
        17,
        "ask_plan",
        (_FROM, _LOAN, _ROWS),
        ROW_COUNT,
        (Owner("from"),),
        60,
        rescheduling.ask_plan,
        "Ask to pay what is still owed in so many rows; returns them.",
    ),
    Method(
        18,
        "reschedule",
        (_LOAN,),
        ROW_COUNT,
        _BY_PEOPLE,
        2_000,
        rescheduling.reschedule,
        "Grant as one of the committee, or by a vote, what the borrower has asked for; returns the rows.",
    ),
    Method(
        19,
        "call_in",
        (_LOAN,),
        AMOUNT,
        _OFFICER,
        300,
        enforcing.call_in,
        "Call in a loan whose margin call was not met, and sell its collateral; returns what is due now.",
    ),
    Method(
        ageing.DAILY_METHOD,
        "run_day",
        (_PRODUCT,),
        BOOL,
        (System("sched:lending"),),
        200,
        ageing.run_day,
        "Look at the loans and approvals of a product for which it is time, by the chain itself.",
    ),
)

CONTRACT: Final = Contract(
    ID,
    "lending",
    layer=3,
    version=1,
    doc="Loans: products, decisions, schedules, repayments, what is late and what is set aside for it.",
    tables=(
        PRODUCTS,
        LOANS,
        STATES,
        INSTALMENTS,
        ORIGINS,
        ARCHIVE,
        EVENTS,
        TOTALS,
        COUNTER,
        DECISIONS,
        APPROVALS,
        CLAIMS,
        PLANS,
        LENT,
    ),
    methods=(*_APPLYING, *_SERVING),
    queries=(
        Query("product", (_PRODUCT,), Maybe(Fields(PRODUCTS.fields)), _query_product, "Return a product."),
        Query(
            "products",
            (),
            Many(Fields((_PRODUCT, *PRODUCTS.fields)), QUERY_ITEMS_MAX),
            _query_products,
            "List the products.",
        ),
        Query(
            "quote",
            (_PRODUCT, Field("principal", POSITIVE), _ROWS, Field("day", U32, "of the disbursement")),
            Fields(
                (
                    Field("interest", AMOUNT),
                    Field("fee", AMOUNT),
                    Field("service", AMOUNT, "due in the first year"),
                    Field("rate_ppm", Maybe(U32), "of all that it costs a year, as the European Union says"),
                    Field("rows", _LISTED),
                )
            ),
            _query_quote,
            "Say what a loan would cost.",
        ),
        Query(
            "offer",
            (_LOAN, Field("day", U32, "of the disbursement")),
            Fields(
                (
                    Field("terms_hash", HASH),
                    Field("fee", AMOUNT),
                    Field("annual_ppm", Maybe(U32), "of all that it costs a year; checked as it is accepted"),
                    Field("rows", _LISTED),
                )
            ),
            _query_offer,
            "Return the exact terms of an application, and the hash that accepts them on that day.",
        ),
        Query("loan", (_LOAN,), Maybe(Fields((_LOAN, *LOAN_FIELDS))), _query_loan, "Return a loan."),
        Query(
            "loans",
            (Field("member", MEMBER),),
            Many(Fields((_LOAN, *LOAN_FIELDS)), LOANS_OPEN_MAX),
            _query_loans,
            "List the applications and loans of a member that are open.",
        ),
        Query(
            "decision",
            (_LOAN,),
            Maybe(Fields(DECISION_FIELDS)),
            _query_decision,
            "Return what an application was decided from.",
        ),
        Query(
            "rows",
            (_LOAN,),
            Many(Fields(INSTALMENT_FIELDS), ROWS_MAX),
            _query_rows,
            "List the rows of a loan.",
        ),
        Query(
            "events",
            (_LOAN, Field("after", U32, "0: from the first")),
            Many(Fields((Field("event", U32), *EVENT_FIELDS)), QUERY_ITEMS_MAX),
            _query_events,
            "List what was paid on a loan.",
        ),
        Query(
            "state",
            (_LOAN,),
            Maybe(
                Fields(
                    (
                        Field("days_late", U32),
                        Field("due", AMOUNT, "and not paid"),
                        Field("payoff", AMOUNT, "that pays it off today"),
                        *STATE_FIELDS,
                    )
                )
            ),
            _query_state,
            "Return how a loan stands today.",
        ),
        Query(
            "claim",
            (_LOAN,),
            Maybe(Fields(CLAIMS.fields)),
            _query_claim,
            "Return what is owed of a loan that was charged off.",
        ),
        Query("total", (_PRODUCT,), Maybe(TOTAL_STATE), _query_total, "Return sums of a product."),
    ),
    events=(
        offering.PRODUCT_MADE,
        applying.ASKED,
        lapsing.DECIDED,
        applying.DISBURSED,
        serving.REPAID,
        serving.GAVE_BACK,
        serving.REVERSED,
        serving.FORGAVE,
        ageing.FELL_DUE,
        ageing.NOTICED,
        ageing.CLASSED,
        enforcing.ENFORCED,
        enforcing.WRITTEN_OFF,
        enforcing.CAME_BACK,
        rescheduling.RESCHEDULED,
        ageing.PUT_OFF,
        enforcing.PAID_BACK,
        enforcing.CALLED_IN,
    ),
    errors=(
        ErrorType(NO_PRODUCT, "NO_PRODUCT", "There is no such loan product, or it is closed."),
        ErrorType(NO_LOAN, "NO_LOAN", "The member has no such loan."),
        ErrorType(TERMS, "TERMS", "The terms contradict themselves or go beyond a limit."),
        ErrorType(NOT_ELIGIBLE, "NOT_ELIGIBLE", "A rule of the product refuses the application."),
        ErrorType(STATUS, "STATUS", "The loan is in another state."),
        ErrorType(TERMS_CHANGED, "TERMS_CHANGED", "The terms of today are others than what was accepted."),
        ErrorType(NO_FUNDS, "NO_FUNDS", "Too little is liquid for another loan."),
        ErrorType(COMMITTEE, "COMMITTEE", "A committee has to decide, and the actor is not of it."),
        ErrorType(NO_EVENT, "NO_EVENT", "There is no such payment to reverse."),
        ErrorType(NOT_REVERSIBLE, "NOT_REVERSIBLE", "Too much has followed from the payment."),
        ErrorType(NOTHING, "NOTHING", "Nothing is there to give back."),
        ErrorType(TOO_MUCH, "TOO_MUCH", "It is more than is owed, or than one decision may be."),
    ),
    invariants=(
        Invariant("lending.rows", INSTALMENTS, _are_rows_within, "No row is paid twice."),
        Invariant("lending.totals", TOTALS, _are_totals_sums, "Classes sum to the principal."),
    ),
)
