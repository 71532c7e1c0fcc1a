"""What savings keeps: products with their rates, accounts, what all of them have earned, and the exit queue.

Knows no movement (`methods.py`, `exits.py`).
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol.contracts.ledger.accounts import account_key, get_account
from protocol.contracts.members.records import MEMBER
from protocol.elections.decision import WHOLE_BP
from protocol.finance.day_count import RATE_UNIT, DayCount
from protocol.money import date_from_days
from protocol.types import Address, ContractId
from protocol.vm.contract import compute_contract_address
from protocol.vm.keys import KeyPart, uint_key
from protocol.vm.kinds import (
    AMOUNT,
    ASSET,
    U16,
    U32,
    U48,
    Data,
    Field,
    Integer,
    Many,
    Text,
)
from protocol.vm.tables import SCHEMA, Index, Table, pack_record, read_record
from protocol.vm.view import Row, View

ID: Final = ContractId(30)
ADDRESS_OF: Final[Address] = compute_contract_address("savings")

SAVINGS: Final = 2020
TERM_DEPOSIT: Final = 2030
INTEREST_PAYABLE: Final = 2060
TAX_PAYABLE: Final = 2090
INTEREST_COST: Final = 5010

DEMAND: Final = 1
NOTICE: Final = 2
TERM: Final = 3
REGULAR: Final = 4
GROUP: Final = 5

DAILY: Final = 1
MINIMUM: Final = 2
AVERAGE: Final = 3

NO_PRODUCT: Final = 3001
NO_ACCOUNT: Final = 3002
TERMS: Final = 3003
STANDING: Final = 3004
BELOW_MINIMUM: Final = 3005
NOT_FREE: Final = 3006
NO_NOTICE: Final = 3007
LIQUIDITY: Final = 3008
KIND: Final = 3009
QUEUED: Final = 3010

BANDS_MAX: Final = 6
RATE_MAX_PPM: Final = 10 * RATE_UNIT
TERM_DAYS_MAX: Final = 3_660
NOTICE_DAYS_MAX: Final = 366
ACCOUNTS_MAX: Final = 16
"""Accounts of one member in one product."""
EXACT_BYTES: Final = 24
"""An exact accumulator: amount * rate * parts over a century, and of all accounts together."""
DAY_LAST: Final = (1 << 32) - 1
REGULAR_MONTHS: Final = 24
"""Months for which it is kept whether a member has put something aside."""

PRODUCT: Final = Integer("savings product", 1, (1 << 16) - 1)
ACCOUNT: Final = Integer("savings account", 1, (1 << 32) - 1)
PRODUCT_KIND: Final = Integer("product kind", DEMAND, GROUP)
RATE: Final = Integer("rate in ppm a year", 0, RATE_MAX_PPM)
RATES: Final = Many(RATE, BANDS_MAX, 1)
EXACT: Final = Data("exact interest", EXACT_BYTES, EXACT_BYTES)
BASIS_POINTS: Final = Integer("basis points", 0, WHOLE_BP)
BASIS: Final = Integer("balance basis", DAILY, AVERAGE)
DAY_COUNT: Final = Integer("day count", min(DayCount), max(DayCount))


@dataclass(frozen=True, slots=True)
class Product:
    """What members can put money into, in the order of its record."""

    name: str
    asset: int
    kind: int
    day_count: int
    floors: tuple[int, ...]
    minimum: int
    notice_days: int
    term_days: int
    break_bp: int
    posting_months: int
    withholding_bp: int
    reserve_bp: int
    daily_free: int
    basis: int
    monthly: int


@dataclass(frozen=True, slots=True)
class Account:
    """A member's account, in the order of its record.

    Args:
        earned: exact interest since it was last credited; below zero by less than half a unit after rounding.
        as_of: day up to which it has earned.
        locked: what a guarantee holds; it stays and earns.
        notice: amount that notice was given for.
        base: amount that earns, as of that day (`interest.py`).
        put_in: net amount put aside in the month of that day, not less than nothing.
    """

    member: int
    product: int
    earned: bytes
    as_of: int
    locked: int
    notice: int
    notice_day: int
    opened: int
    matures: int
    base: int
    put_in: int


def pack_exact(value: int) -> bytes:
    """Return an accumulator as the bytes that are kept."""
    return value.to_bytes(EXACT_BYTES, "big", signed=True)


def read_exact(data: bytes) -> int:
    """Return an accumulator."""
    return int.from_bytes(data, "big", signed=True)


PRODUCT_FIELDS: Final = (
    Field("name", Text("name", 64)),
    Field("asset", ASSET),
    Field("kind", PRODUCT_KIND, "1 on demand, 2 with notice, 3 for a term, 4 regular, 5 of a group"),
    Field("day_count", DAY_COUNT, "1 30/360, 2 30E/360, 3 ACT/360, 4 ACT/365F, 5 ACT/364, 6 ACT/ACT"),
    Field("floors", Many(AMOUNT, BANDS_MAX, 1), "where each band begins; the first at 0"),
    Field("minimum", AMOUNT, "kept as long as the account is open"),
    Field("notice_days", Integer("days", 0, NOTICE_DAYS_MAX)),
    Field("term_days", Integer("days", 0, TERM_DAYS_MAX)),
    Field("break_bp", BASIS_POINTS, "of the interest that is lost when a term is broken"),
    Field("posting_months", Integer("months", 1, 12), "how often interest is credited"),
    Field("withholding_bp", BASIS_POINTS, "of the interest, kept back as tax"),
    Field("reserve_bp", BASIS_POINTS, "liquid assets for deposits, below which withdrawals wait"),
    Field("daily_free", AMOUNT, "that a member may always withdraw in a day"),
    Field("basis", BASIS, "what earns: 1 each day's balance, 2 the lowest of the period, 3 its average"),
    Field("monthly", AMOUNT, "that a regular saver puts aside; a month earns once it is there"),
)
PRODUCTS: Final[Table[Row]] = Table(
    ID, 1, "product", (uint_key("product", 16),), PRODUCT_FIELDS, doc="What members can save in."
)

RatesRow: TypeAlias = tuple[int, tuple[int, ...]]
RATE_HISTORY: Final[Table[RatesRow]] = Table(
    ID,
    2,
    "rates",
    (uint_key("product", 16), uint_key("day_from_end", 32)),
    (Field("rates", RATES, "one for each band"),),
    doc="Rates from a day on, newest first.",
)

TotalRow: TypeAlias = tuple[int, tuple[int, ...], bytes, int, int, int, tuple[int, ...], int]
"""(schema, sums of the bands that earn, earned, as of, booked, daily job, sums of the bands of balances,
credited)"""
TOTALS: Final[Table[TotalRow]] = Table(
    ID,
    3,
    "total",
    (uint_key("product", 16),),
    (
        Field("bands", Many(AMOUNT, BANDS_MAX, 1), "sum over all accounts of what earns in each band"),
        Field("earned", EXACT, "of all accounts, not credited yet"),
        Field("as_of", U32),
        Field("booked", AMOUNT, "of it, in class 2060"),
        Field("job", U48, "that runs every day; 0 while nobody saves"),
        Field("balances", Many(AMOUNT, BANDS_MAX, 1), "sum over all accounts of what lies in each band"),
        Field("credited", U32, "day as of which interest was credited last, or is being credited"),
    ),
    doc="What all accounts of a product have earned.",
)


def _select_member(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    member = row[1]
    assert type(member) is int
    return (member,)


def _select_product(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    product = row[2]
    assert type(product) is int
    return (product,)


BY_MEMBER: Final = Index(5, "by_member", (uint_key("member", 32),), _select_member)
BY_PRODUCT: Final = Index(6, "by_product", (uint_key("product", 16),), _select_product)
ACCOUNT_FIELDS: Final = (
    Field("member", MEMBER),
    Field("product", PRODUCT),
    Field("earned", EXACT, "since interest was last credited, in ppm * parts of a year"),
    Field("as_of", U32, "day up to which it has earned"),
    Field("locked", AMOUNT, "held by guarantees"),
    Field("notice", AMOUNT, "that may be withdrawn from the day of notice on"),
    Field("notice_day", U32),
    Field("opened", U32),
    Field("matures", U32, "of a term deposit; 0: none"),
    Field("base", AMOUNT, "that earns"),
    Field("put_in", AMOUNT, "in the month up to which it has earned, less what was taken"),
)
ACCOUNTS: Final[Table[Row]] = Table(
    ID,
    4,
    "account",
    (uint_key("account", 32),),
    ACCOUNT_FIELDS,
    (BY_MEMBER, BY_PRODUCT),
    doc="Savings accounts.",
)

ExitRow: TypeAlias = tuple[int, int]
EXITS: Final[Table[ExitRow]] = Table(
    ID,
    7,
    "exit",
    (uint_key("asset", 32), uint_key("account", 32)),
    (Field("amount", AMOUNT),),
    doc="Withdrawals that wait for liquidity.",
)
FreeRow: TypeAlias = tuple[int, int, int]
FREE_USED: Final[Table[FreeRow]] = Table(
    ID,
    8,
    "free_used",
    (uint_key("asset", 32), uint_key("member", 32)),
    (Field("day", U32), Field("amount", AMOUNT)),
    doc="What a member has withdrawn on a day although liquidity was short.",
)
CounterRow: TypeAlias = tuple[int, int, int]
COUNTER: Final[Table[CounterRow]] = Table(
    ID, 9, "counter", (), (Field("products", U16), Field("accounts", U32)), doc="Newest numbers."
)

MonthsRow: TypeAlias = tuple[int, int, int]
"""(schema, newest month, bits)"""
DEPOSIT_MONTHS: Final[Table[MonthsRow]] = Table(
    ID,
    10,
    "deposit_months",
    (uint_key("member", 32),),
    (Field("month", U32, "newest, from year 0"), Field("bits", U32, "bit n: n months before it")),
    doc="In which of the last months a member has put something aside.",
)


def note_deposit(view: View, member: int, day: int) -> None:
    """Note that a member has put something aside in the month of a day."""
    month, key = count_months(day), DEPOSIT_MONTHS.key(member)
    _, newest, bits = DEPOSIT_MONTHS.get(view, key) or (SCHEMA, month, 0)
    moved = bits << min(month - newest, REGULAR_MONTHS) & (1 << REGULAR_MONTHS) - 1 | 1
    if (newest, bits) != (month, moved):
        DEPOSIT_MONTHS.put(view, key, (SCHEMA, month, moved))


def count_deposit_months(view: View, member: int, day: int) -> int:
    """Return in how many of the last 24 months, with that of the day, a member has put something aside."""
    month = count_months(day)
    _, newest, bits = DEPOSIT_MONTHS.get(view, DEPOSIT_MONTHS.key(member)) or (SCHEMA, month, 0)
    kept = bits << min(month - newest, REGULAR_MONTHS) & (1 << REGULAR_MONTHS) - 1
    return kept.bit_count()


def count_months(day: int) -> int:
    """Return the number of the month of a day, from year 0."""
    year, month, _ = date_from_days(day)
    return year * 12 + month - 1


def get_product(view: View, number: int) -> Product:
    """Return a product.

    Raises:
        CallFailed: NO_PRODUCT.
    """
    row = PRODUCTS.need(view, PRODUCTS.key(number), NO_PRODUCT, "savings.product", number)
    return read_record(Product, row)


def get_savings(view: View, number: int) -> Account:
    """Return an account.

    Raises:
        CallFailed: NO_ACCOUNT.
    """
    row = ACCOUNTS.need(view, ACCOUNTS.key(number), NO_ACCOUNT, "savings.account", number)
    return read_record(Account, row)


def put_savings(view: View, number: int, account: Account) -> None:
    """Write an account."""
    ACCOUNTS.put(view, ACCOUNTS.key(number), pack_record(account))


def ledger_key(number: int, product: Product) -> bytes:
    """Return the ledger account in which the money of an account lies."""
    account_class = TERM_DEPOSIT if product.kind == TERM else SAVINGS
    return account_key(ADDRESS_OF, account_class, product.asset, number)


def find_balance(view: View, number: int, product: Product) -> int:
    """Return the balance of an account, minor units."""
    row = get_account(view, ledger_key(number, product))
    return 0 if row is None else row[5] - row[3]


def list_saved(view: View, member: int) -> tuple[tuple[int, int], ...]:
    """List (asset, minor units) of what a member saves, ascending."""
    found: dict[int, int] = {}
    for (number,), row in ACCOUNTS.page(view, BY_MEMBER, member):
        assert type(number) is int and type(row[2]) is int
        product = get_product(view, row[2])
        found[product.asset] = found.get(product.asset, 0) + find_balance(view, number, product)
    return tuple(sorted(found.items()))


def sum_savings(view: View, member: int, asset: int) -> int:
    """Return what a member saves in an asset, minor units."""
    return sum([amount for saved_in, amount in list_saved(view, member) if saved_in == asset])
