"""The schema of savings: what a program can call, and what can be asked."""

from typing import Final

from protocol.codec import Value
from protocol.contracts.members.records import MEMBER
from protocol.contracts.registry.contract import DECIDERS
from protocol.contracts.savings import exits, interest, methods
from protocol.contracts.savings.records import (
    ACCOUNT,
    ACCOUNT_FIELDS,
    ACCOUNTS,
    ACCOUNTS_MAX,
    BELOW_MINIMUM,
    BY_MEMBER,
    COUNTER,
    DAY_LAST,
    DEPOSIT_MONTHS,
    EXITS,
    FREE_USED,
    ID,
    KIND,
    LIQUIDITY,
    NO_ACCOUNT,
    NO_NOTICE,
    NO_PRODUCT,
    NOT_FREE,
    PRODUCT,
    PRODUCT_FIELDS,
    PRODUCTS,
    QUEUED,
    RATE_HISTORY,
    RATES,
    STANDING,
    TERMS,
    TOTALS,
    find_balance,
    get_product,
    get_savings,
    read_exact,
)
from protocol.finance.day_count import ACCRUAL_UNIT
from protocol.money import Rounding, mul_div
from protocol.params import PAUSE_EXIT_SECONDS_MAX, QUERY_ITEMS_MAX
from protocol.vm.context import QueryContext
from protocol.vm.contract import Contract, ErrorType, Method, Owner, Query, System
from protocol.vm.kinds import ADDRESS, AMOUNT, BOOL, POSITIVE, U16, U32, Field, Fields, Many, Maybe


def _query_product(query: QueryContext, number: int) -> Value:
    row = PRODUCTS.get(query.view, PRODUCTS.key(number))
    return None if row is None else row[1:]


def _query_products(query: QueryContext) -> Value:
    found: list[Value] = []
    for key, row in PRODUCTS.scan(query.view):
        found.append((PRODUCTS.parts(key)[0], *row[1:]))
        if len(found) == QUERY_ITEMS_MAX:
            break
    return tuple(found)


def _query_rates(query: QueryContext, number: int) -> Value:
    found: list[Value] = []
    for key, row in RATE_HISTORY.scan(query.view, number):
        from_last = RATE_HISTORY.parts(key)[1]
        assert type(from_last) is int
        found.append((DAY_LAST - from_last, row[1]))
        if len(found) == QUERY_ITEMS_MAX:
            break
    return tuple(found)


def _describe(query: QueryContext, number: int) -> Value:
    account = get_savings(query.view, number)
    product = get_product(query.view, account.product)
    balance = find_balance(query.view, number, product)
    more, base, put_in = interest.compute_more(query.view, account, product, balance, query.day)
    earned = max(read_exact(account.earned) + more, 0)
    row = ACCOUNTS.get(query.view, ACCOUNTS.key(number))
    assert row is not None, "it was found above"
    waiting = exits.count_waiting(query.view, product.asset, number)
    return (
        number,
        *row[1:-2],
        base,
        put_in,
        balance,
        waiting,
        mul_div(earned, 1, ACCRUAL_UNIT, Rounding.HALF_EVEN),
    )


def _query_account(query: QueryContext, number: int) -> Value:
    known = ACCOUNTS.get(query.view, ACCOUNTS.key(number))
    return None if known is None else _describe(query, number)


def _query_accounts(query: QueryContext, member: int) -> Value:
    page = ACCOUNTS.page(query.view, BY_MEMBER, member)
    return tuple(_describe(query, number) for (number,), _ in page if type(number) is int)


def _query_total(query: QueryContext, number: int) -> Value:
    row = TOTALS.get(query.view, TOTALS.key(number))
    return None if row is None else row[1:]


def _query_liquidity(query: QueryContext, number: int) -> Value:
    product = get_product(query.view, number)
    waiting = sum([row[1] for _, row in EXITS.scan(query.view, product.asset)])
    return (exits.compute_budget(query.view, product.asset, product.reserve_bp), waiting)


_FROM: Final = Field("from", ADDRESS)
_PRODUCT: Final = Field("product", PRODUCT)
_ACCOUNT: Final = Field("account", ACCOUNT)
_AMOUNT: Final = Field("amount", POSITIVE)
_STATE: Final = Fields(
    (
        _ACCOUNT,
        *ACCOUNT_FIELDS,
        Field("balance", AMOUNT),
        Field("waiting", AMOUNT, "in the exit queue"),
        Field("interest", AMOUNT, "earned up to today and not credited"),
    )
)

_PRODUCTS: Final = (
    Method(
        1,
        "create_product",
        (Field("rates", RATES, "one for each band"), *PRODUCT_FIELDS),
        PRODUCT,
        DECIDERS,
        200,
        methods.create_product,
        "Create a product; returns its number.",
    ),
    Method(
        2,
        "set_rates",
        (_PRODUCT, Field("rates", RATES)),
        BOOL,
        DECIDERS,
        40,
        methods.set_rates,
        "Set what a product earns from today on.",
    ),
)
_SAVING: Final = (
    Method(
        3,
        "open",
        (_FROM, _PRODUCT, _AMOUNT),
        ACCOUNT,
        (Owner("from"),),
        100,
        methods.open_savings,
        "Open an account with a first deposit; returns its number.",
    ),
    Method(
        4,
        "deposit",
        (_FROM, _ACCOUNT, _AMOUNT),
        AMOUNT,
        (Owner("from"),),
        100,
        methods.deposit,
        "Put more aside; returns the balance.",
    ),
    Method(
        5,
        "withdraw",
        (_FROM, _ACCOUNT, _AMOUNT),
        AMOUNT,
        (Owner("from"),),
        100,
        methods.withdraw,
        "Take money back; returns the balance.",
        PAUSE_EXIT_SECONDS_MAX,
    ),
    Method(
        6,
        "give_notice",
        (_FROM, _ACCOUNT, _AMOUNT),
        U32,
        (Owner("from"),),
        40,
        methods.give_notice,
        "Give notice of a withdrawal; returns the first day of it.",
        0,
    ),
    Method(
        7,
        "end_term",
        (_FROM, _ACCOUNT),
        AMOUNT,
        (Owner("from"),),
        200,
        methods.end_term,
        "Take a term deposit back; returns the amount.",
        PAUSE_EXIT_SECONDS_MAX,
    ),
    Method(
        8,
        "close",
        (_FROM, _ACCOUNT),
        AMOUNT,
        (Owner("from"),),
        200,
        methods.close,
        "Close an account with all that it has earned; returns the amount.",
        PAUSE_EXIT_SECONDS_MAX,
    ),
    Method(
        9,
        "queue_exit",
        (_FROM, _ACCOUNT, Field("amount", AMOUNT, "0: wait no more")),
        AMOUNT,
        (Owner("from"),),
        60,
        exits.queue_exit,
        "Let a withdrawal wait until enough is liquid; returns what waits.",
        0,
    ),
    Method(
        methods.DAILY_METHOD,
        "run_day",
        (_PRODUCT,),
        BOOL,
        (System("sched:savings"),),
        200,
        methods.run_day,
        "Bring a product up to today, by the chain itself.",
    ),
    Method(
        methods.CREDIT_METHOD,
        "credit_some",
        (_PRODUCT, Field("after", U32, "number of the last account that was credited")),
        U16,
        (System("sched:savings"),),
        200,
        methods.credit_some,
        "Credit the interest of some accounts, by the chain itself; returns how many.",
    ),
)

CONTRACT: Final = Contract(
    ID,
    "savings",
    layer=3,
    version=1,
    doc="Savings accounts, notice and term deposits, their interest, and the exit queue.",
    tables=(PRODUCTS, RATE_HISTORY, TOTALS, ACCOUNTS, EXITS, FREE_USED, COUNTER, DEPOSIT_MONTHS),
    methods=(*_PRODUCTS, *_SAVING),
    queries=(
        Query("product", (_PRODUCT,), Maybe(Fields(PRODUCT_FIELDS)), _query_product, "Return a product."),
        Query(
            "products",
            (),
            Many(Fields((_PRODUCT, *PRODUCT_FIELDS)), QUERY_ITEMS_MAX),
            _query_products,
            "List the products.",
        ),
        Query(
            "rates",
            (_PRODUCT,),
            Many(Fields((Field("from_day", U32), Field("rates", RATES))), QUERY_ITEMS_MAX),
            _query_rates,
            "List the rates of a product, newest first.",
        ),
        Query("account", (_ACCOUNT,), Maybe(_STATE), _query_account, "Return an account."),
        Query(
            "accounts",
            (Field("member", MEMBER),),
            Many(_STATE, ACCOUNTS_MAX),
            _query_accounts,
            "List the accounts of a member.",
        ),
        Query("total", (_PRODUCT,), Maybe(Fields(TOTALS.fields)), _query_total, "Return sums of a product."),
        Query(
            "liquidity",
            (_PRODUCT,),
            Fields((Field("budget", AMOUNT, "that may leave now"), Field("waiting", AMOUNT))),
            _query_liquidity,
            "Return how much may leave savings, and how much waits.",
        ),
    ),
    events=(
        methods.PRODUCT_MADE,
        methods.OPENED,
        methods.MOVED,
        interest.CREDITED,
        exits.WAITS,
    ),
    errors=(
        ErrorType(NO_PRODUCT, "NO_PRODUCT", "There is no such savings product."),
        ErrorType(NO_ACCOUNT, "NO_ACCOUNT", "The member has no such savings account."),
        ErrorType(TERMS, "TERMS", "The terms contradict themselves or go beyond a limit."),
        ErrorType(STANDING, "STANDING", "The member's standing does not allow this."),
        ErrorType(BELOW_MINIMUM, "BELOW_MINIMUM", "Less than the minimum would be in the account."),
        ErrorType(NOT_FREE, "NOT_FREE", "So much of the account is not free."),
        ErrorType(NO_NOTICE, "NO_NOTICE", "Notice was not given for so much, or its day has not come."),
        ErrorType(LIQUIDITY, "LIQUIDITY", "Too little is liquid today; the rest can wait in the queue."),
        ErrorType(KIND, "KIND", "The product does not work that way."),
        ErrorType(QUEUED, "QUEUED", "Nothing of this account waits."),
    ),
)
