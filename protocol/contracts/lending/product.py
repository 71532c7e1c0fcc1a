"""What members can borrow: the record of a product, and the accounts that it has in the books.

Knows no loan over time and no movement: who makes a product is `offering.py`, what it asks of a borrower
`deciding.py`, what rows it gives a loan `terms.py`.
"""

from dataclasses import dataclass, replace
from typing import Final

from protocol.contracts.ledger.accounts import account_key
from protocol.contracts.lending.records import (
    ADDRESS_OF,
    ADVANCES,
    ID,
    LOANS_OPEN_MAX,
    NO_PRODUCT,
    RATE,
    Loan,
)
from protocol.contracts.security.records import GUARANTEES_MAX, KINDS_MAX
from protocol.contracts.treasury.records import FUND
from protocol.elections.decision import WHOLE_BP
from protocol.finance.allocation import Bucket, FutureRule
from protocol.finance.day_count import RATE_UNIT, DayCount
from protocol.finance.provisioning import CLASSES_MAX, Band
from protocol.finance.schedule import EVERY_MAX, ROWS_MAX, Method, PeriodUnit
from protocol.params import ROLE_NAME_BYTES_MAX
from protocol.vm.context import fail
from protocol.vm.keys import uint_key
from protocol.vm.kinds import AMOUNT, ASSET, BOOL, POSITIVE, Field, Integer, Many, Text
from protocol.vm.tables import Table, pack_record
from protocol.vm.view import Row, View

DAYS_MAX: Final = 3_660
CUSTOM_ROWS_MAX: Final = 120
"""Rows whose parts of the principal a product can name."""
APPROVALS_MAX: Final = 7

BY_COMMITTEE: Final = 0
INSIDERS_BY_VOTE: Final = 1
BY_VOTE: Final = 2

ROW_NUMBER: Final = Integer("row", 0, ROWS_MAX - 1)
BASIS_POINTS: Final = Integer("basis points", 0, WHOLE_BP)
MANY_BP: Final = Integer("basis points", 0, 1_000 * WHOLE_BP)
DAYS: Final = Integer("days", 0, DAYS_MAX)
ROLE: Final = Text("role", ROLE_NAME_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Product:
    """What members can borrow, in the order of its record. It never changes: a loan keeps what it was made
    under, and a change is a new product after which the old one is closed."""

    name: str
    asset: int
    principal_min: int
    principal_max: int
    rows_min: int
    rows_max: int
    rate_ppm: int
    method: int
    day_count: int
    period_unit: int
    every: int
    instalment_unit: int
    grace_principal: int
    grace_interest: int
    interest_free: int
    balloon_bp: int
    early_rule: int
    order: tuple[int, ...]
    grace_days: int
    penalty_flat: int
    penalty_ppm: int
    cap_bp: int
    fee_flat: int
    fee_bp: int
    months_min: int
    shares_min: int
    loans_max: int
    savings_multiple_bp: int
    dsr_bp: int
    exposure_bp: int
    reserve_bp: int
    auto_max: int
    committee: str
    approvals: int
    class_days: tuple[int, ...]
    class_bp: tuple[int, ...]
    floor_bp: int
    suspend_days: int
    enforce_days: int
    charge_off_days: int
    waive_max: int
    guarantors_max: int
    coverage_bp: int
    score_min: int
    by_score: bool
    is_daily: bool
    is_smooth: bool
    custom_bp: tuple[int, ...]
    spreads_fee: bool
    fund: int
    guarantors_min: int = 0
    collateral: tuple[int, ...] = ()
    decided_by: int = BY_COMMITTEE
    forgive_max: int = 0


PRODUCT_FIELDS: Final = (
    Field("name", Text("name", 64)),
    Field("asset", ASSET),
    Field("principal_min", POSITIVE),
    Field("principal_max", POSITIVE),
    Field("rows_min", Integer("rows", 1, ROWS_MAX)),
    Field("rows_max", Integer("rows", 1, ROWS_MAX)),
    Field("rate_ppm", RATE),
    Field(
        "method",
        Integer("method", min(Method), max(Method)),
        "1 flat, 2 equal instalment, 3 equal principal, 4 bullet, 5 interest then equal, 6 balloon, 7 custom",
    ),
    Field("day_count", Integer("day count", min(DayCount), max(DayCount)), "as of savings"),
    Field("period_unit", Integer("unit", min(PeriodUnit), max(PeriodUnit)), "1 days, 2 weeks, 3 months"),
    Field("every", Integer("every", 1, EVERY_MAX)),
    Field("instalment_unit", POSITIVE, "an instalment is a multiple of it"),
    Field("grace_principal", ROW_NUMBER, "first rows that repay no principal"),
    Field("grace_interest", ROW_NUMBER, "first rows whose interest falls due with the row after them"),
    Field("interest_free", Integer("rows", 0, ROWS_MAX), "first rows in which no interest arises"),
    Field("balloon_bp", BASIS_POINTS, "of the principal, left for the last row"),
    Field(
        "early_rule",
        Integer("early rule", min(FutureRule), max(FutureRule)),
        "of what is paid before it is due: 1 smaller instalments, 2 fewer, 3 kept for the next rows",
    ),
    Field(
        "order", Many(Integer("bucket", 0, max(Bucket)), len(Bucket), len(Bucket)), "of what is paid first"
    ),
    Field("grace_days", DAYS, "in which a row that is due is not late yet"),
    Field("penalty_flat", AMOUNT, "for a row that is late"),
    Field("penalty_ppm", Integer("ppm a day", 0, RATE_UNIT), "of the principal that is late"),
    Field("cap_bp", MANY_BP, "of the principal: most that interest and penalties can be; 0: no cap"),
    Field("fee_flat", AMOUNT, "at disbursement"),
    Field("fee_bp", BASIS_POINTS, "of the principal, at disbursement"),
    Field("months_min", Integer("months", 0, 600), "of membership"),
    Field("shares_min", AMOUNT, "share capital paid in"),
    Field("loans_max", Integer("loans", 1, LOANS_OPEN_MAX), "of one member at a time"),
    Field("savings_multiple_bp", MANY_BP, "most debt for own savings; 0: not asked"),
    Field("dsr_bp", BASIS_POINTS, "most of a year's income that a year's instalments take; 0: not asked"),
    Field("exposure_bp", BASIS_POINTS, "most of the co-op's equity that one member owes; 0: not asked"),
    Field("reserve_bp", BASIS_POINTS, "of all savings, that stay liquid after a disbursement"),
    Field("auto_max", AMOUNT, "most debt for which no committee is asked"),
    Field("committee", ROLE, "role that decides the rest"),
    Field("approvals", Integer("approvals", 1, APPROVALS_MAX), "of so many who hold it"),
    Field("class_days", Many(DAYS, CLASSES_MAX, 1), "days past due from which each class counts; first 0"),
    Field("class_bp", Many(BASIS_POINTS, CLASSES_MAX, 1), "of the principal, set aside in each class"),
    Field("floor_bp", BASIS_POINTS, "of all that is 31 to 365 days late, set aside at least"),
    Field("suspend_days", Integer("days", 1, DAYS_MAX), "days past due from which interest is no income"),
    Field("enforce_days", DAYS, "days past due from which security is used; 0: never"),
    Field("charge_off_days", Integer("days", 1, DAYS_MAX)),
    Field("waive_max", AMOUNT, "of penalties, that one decision of a loan officer forgives"),
    Field("guarantors_max", Integer("guarantors", 0, GUARANTEES_MAX)),
    Field("coverage_bp", MANY_BP, "of the principal, for which guarantees and collateral stand; 0: none"),
    Field("score_min", Integer("score", 0, 1_000), "with which the policy decides; 0: not asked"),
    Field("by_score", BOOL, "the table of credit adds to the rate, and says what the policy lends"),
    Field("is_daily", BOOL, "interest follows what is out each day; else it is that of the rows"),
    Field("is_smooth", BOOL, "what the last level instalment differs by is spread over all"),
    Field("custom_bp", Many(BASIS_POINTS, CUSTOM_ROWS_MAX), "of custom: parts of the principal, row by row"),
    Field("spreads_fee", BOOL, "the fee is income as rows fall due; else at once"),
    Field("fund", FUND, "of the treasury, that bears what is lost first; 0: none"),
    Field("guarantors_min", Integer("guarantors", 0, GUARANTEES_MAX), "with whom the policy decides"),
    Field("collateral", Many(ASSET, KINDS_MAX), "that stands for it, 0: on paper; none: all the co-op takes"),
    Field(
        "decided_by",
        Integer("decided by", BY_COMMITTEE, BY_VOTE),
        "what the policy does not: 0 the committee, 1 it too, but on insiders members vote, 2 members vote",
    ),
    Field("forgive_max", AMOUNT, "of interest that is due, that one decision of a loan officer forgives"),
)


PRODUCTS: Final[Table[Row]] = Table(
    ID,
    1,
    "product",
    (uint_key("product", 16),),
    (*PRODUCT_FIELDS, Field("is_open", BOOL, "for applications")),
    doc="What members can borrow.",
)


def list_bands(product: Product) -> tuple[Band, ...]:
    """Return the classes of a product."""
    return tuple([Band(*pair) for pair in zip(product.class_days, product.class_bp, strict=True)])


def find_product(view: View, number: int) -> tuple[Product, bool] | None:
    """Return a product and whether it is open, or None."""
    row = PRODUCTS.get(view, PRODUCTS.key(number))
    return None if row is None else (Product(*row[1:-1]), row[-1] is True)  # type: ignore[arg-type]


def get_product(view: View, number: int) -> Product:
    """Return a product.

    Raises:
        CallFailed: NO_PRODUCT.
    """
    found = find_product(view, number)
    if found is None:
        fail(NO_PRODUCT, "lending.product", None, number)
    return found[0]


def put_product(view: View, number: int, product: Product, is_open: bool) -> None:
    """Write a product."""
    PRODUCTS.put(view, PRODUCTS.key(number), (*pack_record(product), is_open))


def get_terms(view: View, loan: Loan) -> Product:
    """Return the product of a loan, with the rate that was fixed for it."""
    return replace(get_product(view, loan.product), rate_ppm=loan.rate_ppm)


def clearing_key(product: Product) -> bytes:
    """Return the account through which what security brings comes in."""
    return account_key(ADDRESS_OF, ADVANCES, product.asset)


def ledger_key(account_class: int, product: Product, number: int) -> bytes:
    """Return the account of a class for a product."""
    return account_key(ADDRESS_OF, account_class, product.asset, number)
