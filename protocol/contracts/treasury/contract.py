"""The schema of treasury: what a program can call, and what can be asked."""

from typing import Final

from protocol.codec import Value
from protocol.contracts.ledger.accounts import CASHIER_FLOAT, CUSTODY, account_key, get_account
from protocol.contracts.ledger.books import (
    compute_equity,
    compute_result,
    find_balance,
    list_balances,
    sum_leading,
)
from protocol.contracts.ledger.months import MONTH, find_closing, list_changes, month_before
from protocol.contracts.members.records import BOARD, ROLE
from protocol.contracts.treasury import funds, spending
from protocol.contracts.treasury.records import (
    ADDRESS_OF,
    ALLOTMENT,
    BUDGET,
    COST,
    COUNTER,
    FUND,
    FUND_FIELDS,
    FUNDS,
    ID,
    LINE,
    LINE_FIELDS,
    LINE_YEAR,
    LINES,
    LINES_OF_FUND,
    NAME,
    NO_SURPLUS,
    NOTHING,
    OPEN_PAYMENTS,
    PAYMENT,
    PAYMENT_FIELDS,
    PAYMENTS,
    RATE,
    RESTRICTED,
    SECOND_PERSON,
    STATE,
    STREAM,
    STREAM_FIELDS,
    STREAMS,
    STREAMS_OF_PAYEE,
    TERMS,
    TIER_FIELDS,
    TIERS,
    TOO_EARLY,
    UNKNOWN_FUND,
    UNKNOWN_LINE,
    UNKNOWN_PAYMENT,
    UNKNOWN_STREAM,
    YEAR,
    YEAR_CLOSED,
    YEARS,
    get_fund,
)
from protocol.params import AMOUNT_MAX, QUERY_ITEMS_MAX
from protocol.types import Address
from protocol.vm.context import QueryContext
from protocol.vm.contract import GOV, Contract, ErrorType, Method, Owner, Query, Role, Signed, System
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
    U16,
    Field,
    Fields,
    Integer,
    Many,
    Maybe,
)

CASH: Final = (CUSTODY, CASHIER_FLOAT)
SHARE_CAPITAL: Final = 3010


def _query_fund(query: QueryContext, number: int) -> Value:
    row = FUNDS.get(query.view, FUNDS.key(number))
    return None if row is None else (number, *row[1:], funds.fund_balance(query.view, number, row))


def _query_funds(query: QueryContext, after: int) -> Value:
    found: list[Value] = []
    for (number,), row in FUNDS.page_rows(query.view, after=(after,) if after else ()):
        assert type(number) is int
        found.append((number, *row[1:], funds.fund_balance(query.view, number, row)))
    return tuple(found)


def _query_line(query: QueryContext, number: int) -> Value:
    row = LINES.get(query.view, LINES.key(number))
    return None if row is None else (number, *row[1:])


def _query_lines(query: QueryContext, fund: int, after: int | None) -> Value:
    page = LINES.page(query.view, LINES_OF_FUND, fund, after=() if after is None else (after,))
    return tuple([(line, *row[1:]) for (line,), row in page])


def _query_payment(query: QueryContext, number: int) -> Value:
    row = PAYMENTS.get(query.view, PAYMENTS.key(number))
    return None if row is None else (number, *row[1:])


def _query_waiting(query: QueryContext, state: int, after: int | None) -> Value:
    page = PAYMENTS.page(query.view, OPEN_PAYMENTS, state, after=() if after is None else (after,))
    return tuple([(payment, *row[1:]) for (payment,), row in page[: QUERY_ITEMS_MAX // 2]])


def _query_stream(query: QueryContext, number: int) -> Value:
    row = STREAMS.get(query.view, STREAMS.key(number))
    return None if row is None else (number, *row[1:], spending.compute_due(row, int(query.time)))


def _query_streams(query: QueryContext, payee: Address, after: int | None) -> Value:
    page = STREAMS.page(query.view, STREAMS_OF_PAYEE, payee, after=() if after is None else (after,))
    now = int(query.time)
    return tuple([(stream, *row[1:], spending.compute_due(row, now)) for (stream,), row in page])


def _query_tiers(query: QueryContext, asset: int) -> Value:
    row = TIERS.get(query.view, TIERS.key(asset))
    return None if row is None else row[1:]


def _query_year(query: QueryContext, asset: int, year: int) -> Value:
    row = YEARS.get(query.view, YEARS.key(asset, year))
    return None if row is None else row[1]


def _query_report(query: QueryContext, asset: int) -> Value:
    balances = list_balances(query.view, asset)
    assets, liabilities = sum_leading(balances, 1), sum_leading(balances, 2)
    equity = compute_equity(balances)
    sums = (assets, liabilities, equity, sum_leading(balances, 4), sum_leading(balances, 5))
    result = compute_result(balances)
    classes = tuple([(account_class, _bound(balance)) for account_class, balance in balances])
    is_balanced = assets == liabilities + equity
    return (*[_bound(value) for value in (*sums, result)], is_balanced, classes[:QUERY_ITEMS_MAX])


def _query_cash_flow(query: QueryContext, asset: int, first: int, last: int) -> Value:
    before = month_before(first)
    changes = list_changes(query.view, asset, before, last)
    cash = [find_closing(query.view, asset, c, before) for c in CASH]
    opening = sum([debits - credits for debits, credits in cash])
    capital = find_balance(changes, SHARE_CAPITAL)
    results = sum([sum_leading(changes, leading) for leading in (3, 4, 5)]) - capital
    change = -sum([find_balance(changes, account_class) for account_class in CASH])
    others = sum_leading(changes, 1) + change
    flows = (results, sum_leading(changes, 2), others, capital)
    rest = change - sum(flows)  # memoranda balance among themselves
    return tuple([_bound(value) for value in (opening, *flows, rest, opening + change)])


def _query_actuals(query: QueryContext, fund: int, after: int) -> Value:
    page = LINES.page(query.view, LINES_OF_FUND, fund, after=(after,) if after else ())
    asset = 0 if not page else get_fund(query.view, fund)[3]
    found: list[Value] = []
    for (line,), row in page:
        assert type(line) is int
        cost = get_account(query.view, account_key(ADDRESS_OF, COST, asset, line))
        actual = 0 if cost is None else cost[3] - cost[5]
        found.append((line, row[2], row[6], row[3], row[5], actual, row[3] - row[5] - actual))
    return tuple(found)


def _bound(balance: int) -> int:
    """Return a sum as far as a balance can say it; one beyond 2^63-1 is beyond every supply cap."""
    return max(-AMOUNT_MAX, min(AMOUNT_MAX, balance))


_FUND: Final = Field("fund", FUND)
_LINE: Final = Field("line", LINE)
_PAYMENT: Final = Field("payment", PAYMENT)
_STREAM: Final = Field("stream", STREAM)
_ASSET: Final = Field("asset", ASSET)
_AMOUNT: Final = Field("amount", POSITIVE)
_PAYEE: Final = Field("payee", ADDRESS)
_YEAR: Final = Field("year", YEAR)
_DEFICIT: Final = Field("deficit", BOOL, "allow more than there is; only gov")
_BY_BOARD: Final = (GOV, Role(BOARD))
_ANYBODY: Final = (Signed(), GOV)
_FUND_STATE: Final = Fields((_FUND, *FUNDS.fields, Field("balance", AMOUNT)))
_LINE_STATE: Final = Fields((_LINE, *LINE_FIELDS))
_PAYMENT_STATE: Final = Fields((_PAYMENT, *PAYMENT_FIELDS))
_STREAM_STATE: Final = Fields((_STREAM, *STREAM_FIELDS, Field("due", AMOUNT, "earned and not paid")))
_REPORT: Final = Fields(
    (
        Field("assets", BALANCE),
        Field("liabilities", BALANCE),
        Field("equity", BALANCE, "the result included"),
        Field("income", BALANCE),
        Field("cost", BALANCE),
        Field("result", BALANCE, "income less cost, since the last closing"),
        Field("is_balanced", BOOL, "assets are liabilities and equity"),
        Field("classes", Many(Fields((Field("class", U16), Field("balance", BALANCE))), QUERY_ITEMS_MAX)),
    )
)

_CASH_FLOW: Final = Fields(
    (
        Field("opening", BALANCE, "cash with custodians and cashiers before the first month"),
        Field("results", BALANCE, "income less cost, and other equity"),
        Field("members", BALANCE, "deposits and other liabilities"),
        Field("assets", BALANCE, "loans, investments and other assets; what they took is negative"),
        Field("capital", BALANCE, "shares"),
        Field("rest", BALANCE, "0 as long as the books are balanced"),
        Field("closing", BALANCE, "cash at the end of the last month"),
    )
)
_ACTUAL: Final = Fields(
    (
        Field("line", LINE),
        Field("name", NAME),
        Field("year", YEAR),
        Field("budget", AMOUNT),
        Field("committed", AMOUNT),
        Field("actual", BALANCE, "cost in the books"),
        Field("left", BALANCE),
    )
)

_FUNDS: Final = (
    Method(
        1,
        "create_fund",
        FUND_FIELDS,
        FUND,
        _BY_BOARD,
        40,
        funds.create_fund,
        "Create an empty fund; returns its number.",
    ),
    Method(
        2,
        "appropriate",
        (_FUND, _AMOUNT, _DEFICIT),
        AMOUNT,
        _BY_BOARD,
        60,
        funds.appropriate,
        "Move surplus to a fund; returns the amount.",
    ),
    Method(
        3,
        "contribute",
        (Field("from", ADDRESS), _FUND, _AMOUNT),
        AMOUNT,
        (Owner("from"),),
        40,
        funds.contribute,
        "Give to a fund from the free balance; returns the amount.",
    ),
    Method(
        4,
        "transfer",
        (Field("source", FUND), Field("target", FUND), _AMOUNT),
        AMOUNT,
        _BY_BOARD,
        40,
        funds.transfer,
        "Move from an unrestricted fund what its lines do not need; returns the amount.",
    ),
    Method(
        5,
        "allot",
        (
            _FUND,
            Field("name", NAME),
            _AMOUNT,
            _YEAR,
            Field("carry", BOOL, "may be spent after its year"),
            Field("owner", ROLE),
            _DEFICIT,
        ),
        LINE,
        _BY_BOARD,
        40,
        funds.allot,
        "Make a budget line; returns its number.",
    ),
    Method(
        6,
        "change_line",
        (_LINE, Field("amount", AMOUNT), _DEFICIT),
        AMOUNT,
        _BY_BOARD,
        40,
        funds.change_line,
        "Change the amount of a budget line; returns it.",
    ),
    Method(
        7,
        "set_tiers",
        (_ASSET, *TIER_FIELDS),
        BOOL,
        (GOV,),
        20,
        funds.set_tiers,
        "Set who approves how much.",
    ),
)
_SPENDING: Final = (
    Method(
        8,
        "request",
        (_LINE, _PAYEE, _AMOUNT, Field("document", HASH, "the invoice")),
        PAYMENT,
        (Signed(),),
        40,
        spending.request,
        "Ask for a payment; returns its number.",
    ),
    Method(
        9,
        "approve",
        (_PAYMENT,),
        U8,
        _ANYBODY,
        60,
        spending.approve,
        "Approve a payment; the last approval pays it unless it has a delay. Returns the state.",
    ),
    Method(
        10,
        "reject",
        (_PAYMENT,),
        U8,
        _ANYBODY,
        40,
        spending.reject,
        "Refuse a payment, or take one's own request back; returns the state.",
        0,
    ),
    Method(
        11,
        "pay",
        (_PAYMENT,),
        U8,
        _ANYBODY,
        40,
        spending.pay,
        "Pay an approved payment that is due; returns the state. For anybody.",
    ),
    Method(
        12,
        "open_stream",
        (
            _LINE,
            _PAYEE,
            Field("rate_numerator", RATE),
            Field("rate_denominator", RATE, "seconds"),
            Field("from_time", SECONDS),
            Field("until", SECONDS),
        ),
        STREAM,
        _BY_BOARD,
        40,
        spending.open_stream,
        "Promise a payment that grows with every second; returns its number.",
    ),
    Method(
        13,
        "claim_stream",
        (_STREAM,),
        AMOUNT,
        _ANYBODY,
        40,
        spending.claim_stream,
        "Pay what a stream has earned; returns the amount. For anybody.",
    ),
    Method(
        14,
        "stop_stream",
        (_STREAM,),
        AMOUNT,
        _BY_BOARD,
        40,
        spending.stop_stream,
        "End a stream and pay it up to now; returns the amount.",
        0,
    ),
    Method(
        15,
        "close_year",
        (_ASSET, _YEAR),
        BALANCE,
        _BY_BOARD,
        400,
        funds.close_year,
        "Close income and cost into the surplus; returns the result.",
    ),
    Method(
        spending.PAY_DUE_METHOD,
        "pay_due",
        (_PAYMENT,),
        U8,
        (System("sched:treasury"),),
        40,
        spending.pay_due,
        "Pay what is due, by the chain itself; returns the state.",
    ),
    Method(
        17,
        "lapse",
        (_LINE,),
        AMOUNT,
        _ANYBODY,
        40,
        funds.lapse,
        "Give back what a line of a past year has left, unless it carries over; returns it. For anybody.",
    ),
)

CONTRACT: Final = Contract(
    ID,
    "treasury",
    layer=2,
    version=1,
    doc="Funds, budgets, approved payments, streams and the books of a year.",
    tables=(FUNDS, LINES, PAYMENTS, STREAMS, TIERS, YEARS, COUNTER),
    methods=(*_FUNDS, *_SPENDING),
    queries=(
        Query("fund", (_FUND,), Maybe(_FUND_STATE), _query_fund, "Return a fund with its balance."),
        Query(
            "funds",
            (Field("after", FUND, "number of the last one of the page before; 0: from the start"),),
            Many(_FUND_STATE, QUERY_ITEMS_MAX),
            _query_funds,
            "List funds by number.",
        ),
        Query("line", (_LINE,), Maybe(_LINE_STATE), _query_line, "Return a budget line and its use."),
        Query(
            "budget",
            (_FUND, Field("after", Maybe(LINE), "the last of the page before")),
            Many(_LINE_STATE, QUERY_ITEMS_MAX),
            _query_lines,
            "List the budget lines of a fund: amount, spent, committed.",
        ),
        Query("payment", (_PAYMENT,), Maybe(_PAYMENT_STATE), _query_payment, "Return a payment."),
        Query(
            "waiting",
            (
                Field("state", Integer("state", 1, 2), "1 requested, 2 approved"),
                Field("after", Maybe(PAYMENT), "the last of the page before"),
            ),
            Many(_PAYMENT_STATE, QUERY_ITEMS_MAX // 2),
            _query_waiting,
            "List payments that wait for approval, or for their time; oldest first.",
        ),
        Query("stream", (_STREAM,), Maybe(_STREAM_STATE), _query_stream, "Return a stream."),
        Query(
            "streams",
            (_PAYEE, Field("after", Maybe(STREAM), "the last of the page before")),
            Many(_STREAM_STATE, QUERY_ITEMS_MAX),
            _query_streams,
            "List the streams of a payee.",
        ),
        Query("tiers", (_ASSET,), Maybe(Fields(TIER_FIELDS)), _query_tiers, "Return who approves how much."),
        Query(
            "closed_year",
            (_ASSET, _YEAR),
            Maybe(BALANCE),
            _query_year,
            "Return the result of a closed year.",
        ),
        Query(
            "report",
            (_ASSET,),
            _REPORT,
            _query_report,
            "Return balance sheet and income statement of an asset, from class totals.",
        ),
        Query(
            "cash_flow",
            (_ASSET, Field("first", MONTH, "as 202601"), Field("last", MONTH)),
            _CASH_FLOW,
            _query_cash_flow,
            "Return where the cash of some months came from and went to, from class totals.",
        ),
        Query(
            "actuals",
            (_FUND, Field("after", LINE, "number of the last line of the page before; 0: from the start")),
            Many(_ACTUAL, QUERY_ITEMS_MAX),
            _query_actuals,
            "List the budget lines of a fund against what the books say was spent.",
        ),
    ),
    events=(
        funds.FUND_CREATED,
        funds.FUNDED,
        funds.ALLOTTED,
        funds.CLOSED,
        spending.ASKED,
        spending.DECIDED,
        spending.STREAMED,
    ),
    errors=(
        ErrorType(UNKNOWN_FUND, "UNKNOWN_FUND", "No such fund."),
        ErrorType(UNKNOWN_LINE, "UNKNOWN_LINE", "No such budget line."),
        ErrorType(UNKNOWN_PAYMENT, "UNKNOWN_PAYMENT", "No such payment."),
        ErrorType(UNKNOWN_STREAM, "UNKNOWN_STREAM", "No such stream."),
        ErrorType(ALLOTMENT, "ALLOTMENT", "The lines would be allotted more than the fund has."),
        ErrorType(BUDGET, "BUDGET", "The budget line has not so much left."),
        ErrorType(SECOND_PERSON, "SECOND_PERSON", "Somebody else must approve."),
        ErrorType(STATE, "STATE", "The payment or stream is not in the state for this."),
        ErrorType(TOO_EARLY, "TOO_EARLY", "The time for this has not come."),
        ErrorType(NO_SURPLUS, "NO_SURPLUS", "There is not so much surplus."),
        ErrorType(RESTRICTED, "RESTRICTED", "A restricted fund pays its own lines only."),
        ErrorType(LINE_YEAR, "LINE_YEAR", "The budget line is of another year."),
        ErrorType(YEAR_CLOSED, "YEAR_CLOSED", "The year is closed already."),
        ErrorType(NOTHING, "NOTHING", "There is nothing to pay."),
        ErrorType(TERMS, "TERMS", "These terms contradict each other."),
    ),
)
