"""What the co-op offers: products are made once, never changed, and closed.

*Source*: contracts.md 5.10.
"""

from typing import Final

from protocol.codec import Value
from protocol.contracts.lending.book import NOTICE_DAYS
from protocol.contracts.lending.posting import open_books
from protocol.contracts.lending.product import BY_VOTE, Product, get_product, list_bands, put_product
from protocol.contracts.lending.records import COUNTER, ID, PRODUCT, TERMS
from protocol.contracts.lending.terms import compute_fee
from protocol.contracts.treasury.records import get_fund
from protocol.elections.decision import WHOLE_BP
from protocol.finance.allocation import FutureRule, check_order
from protocol.finance.provisioning import check_table
from protocol.finance.schedule import Method
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

PRODUCT_MADE: Final = EventType(
    ID, 1, "product_made", (Field("product", PRODUCT),), "Members can borrow in a new way."
)


def create_product(ctx: Context, *values: Value) -> Value:
    """Create a product; returns its number."""
    view = ctx.view
    product = Product(*values)  # type: ignore[arg-type]
    _check_product(view, product)
    _, products, loans = COUNTER.get(view, COUNTER.key()) or (SCHEMA, 0, 0)
    number = products + 1
    COUNTER.put(view, COUNTER.key(), (SCHEMA, number, loans))
    put_product(view, number, product, True)
    open_books(ctx, number, product)
    ctx.emit(PRODUCT_MADE, number)
    return number


def _check_product(view: View, product: Product) -> None:
    rules = (
        ("lending.principal", product.principal_max, product.principal_min),
        ("lending.rows", product.rows_max, product.rows_min),
        ("lending.classes", len(product.class_days), len(product.class_bp)),
        ("lending.classes", len(product.class_bp), len(product.class_days)),
        ("lending.reserve_bp", WHOLE_BP - 1, product.reserve_bp),
        ("lending.suspend_days", product.suspend_days, product.grace_days + 1),
        ("lending.charge_off_days", product.charge_off_days, product.suspend_days),
        ("lending.enforce_days", product.enforce_days or NOTICE_DAYS[2], NOTICE_DAYS[2]),
        ("lending.fee", product.principal_min, compute_fee(product, product.principal_min)),
        ("lending.balloon_bp", WHOLE_BP if product.method == Method.BALLOON else 0, product.balloon_bp),
        ("lending.guarantors_max", product.guarantors_max, product.guarantors_min),
    )
    for rule, limit, actual in rules:
        if actual > limit:
            fail(TERMS, rule, limit, actual)
    # What is paid early has no meaning for interest that does not follow what is owed.
    if product.method == Method.FLAT and product.early_rule != FutureRule.NEXT:
        fail(TERMS, "lending.early_rule", FutureRule.NEXT, product.early_rule)
    if product.method == Method.FLAT and product.is_daily:
        fail(TERMS, "lending.is_daily", False, True)
    if product.method == Method.CUSTOM:
        rows = len(product.custom_bp)
        for limit, actual in ((rows, product.rows_min), (rows, product.rows_max)):
            if limit != actual:
                fail(TERMS, "lending.custom_rows", limit, actual)
    if sum(product.custom_bp) != (WHOLE_BP if product.method == Method.CUSTOM else 0):
        fail(TERMS, "lending.custom_bp", WHOLE_BP, sum(product.custom_bp))
    if not product.committee and product.decided_by != BY_VOTE:
        fail(TERMS, "lending.decided_by", BY_VOTE, product.decided_by)
    if product.fund:
        fund = get_fund(view, product.fund)
        if fund[3] != product.asset:
            fail(TERMS, "lending.fund_asset", product.asset, fund[3])
    check_order(product.order)
    check_table(list_bands(product))


def close_product(ctx: Context, number: int) -> Value:
    """Take no more applications for a product; its loans go on."""
    put_product(ctx.view, number, get_product(ctx.view, number), False)
    return True
