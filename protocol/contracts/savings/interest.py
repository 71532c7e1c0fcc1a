"""Interest: exact while it grows, rounded once when it is credited, and in the books every day.

An account and the sum of all accounts of its product grow by the same rule, band by band, so they agree to
the last part whatever happens when. `settle_total` brings the books up to a day; `settle` an account.
"""

from dataclasses import replace
from typing import Final

from protocol.contracts.ledger.accounts import account_key, open_account
from protocol.contracts.ledger.legs import leg
from protocol.contracts.savings.records import (
    ADDRESS_OF,
    DAY_LAST,
    INTEREST_COST,
    INTEREST_PAYABLE,
    RATE_HISTORY,
    TAX_PAYABLE,
    TOTALS,
    Account,
    Product,
    find_balance,
    ledger_key,
    pack_exact,
    put_savings,
    read_exact,
)
from protocol.elections.decision import WHOLE_BP
from protocol.finance.day_count import ACCRUAL_UNIT, DayCount, position
from protocol.money import Rounding, check_amount, mul_div
from protocol.vm.context import Context
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

CODE_EARNED: Final = 3002
CODE_EARNED_BACK: Final = 3004
CODE_CREDIT: Final = 3006
CODE_TAX: Final = 3008


def list_bands(floors: tuple[int, ...], balance: int) -> list[int]:
    """List what of a balance lies in each band."""
    tops = (*floors[1:], max(balance, floors[-1]))
    return [min(max(balance - floor, 0), top - floor) for floor, top in zip(floors, tops, strict=True)]


def compute_earned(
    view: View, number: int, product: Product, bands: list[int], first_day: int, end_day: int
) -> int:
    """Compute exactly what bands earn between two days, under the rates of each day."""
    convention = DayCount(product.day_count)
    total, end = 0, end_day
    for key, row in RATE_HISTORY.scan(view, number, start=RATE_HISTORY.key(number, DAY_LAST - end_day)):
        from_last = RATE_HISTORY.parts(key)[1]
        assert type(from_last) is int
        begin = max(first_day, DAY_LAST - from_last)
        if begin < end:
            weight = sum([amount * rate for amount, rate in zip(bands, row[1], strict=True)])
            total += weight * (position(end, convention) - position(begin, convention))
            end = begin
        if end <= first_day:
            break
    return total


def settle(ctx: Context, number: int, account: Account, product: Product) -> Account:
    """Bring what an account has earned up to today; to be called before its balance changes."""
    view, today = ctx.view, ctx.environment.day
    if account.as_of == today:
        return account
    bands = list_bands(product.floors, find_balance(view, number, product))
    more = compute_earned(view, account.product, product, bands, account.as_of, today)
    return replace(account, earned=pack_exact(read_exact(account.earned) + more), as_of=today)


def settle_total(ctx: Context, number: int, product: Product) -> None:
    """Bring what all accounts of a product have earned up to today, and into the books."""
    _settle_total(ctx, number, product, 0, [0] * len(product.floors))


def change_balance(ctx: Context, number: int, product: Product, before: int, after: int) -> None:
    """Note that an account of a product has another balance from today on."""
    old, new = list_bands(product.floors, before), list_bands(product.floors, after)
    _settle_total(ctx, number, product, 0, [b - a for a, b in zip(old, new, strict=True)])


def _settle_total(ctx: Context, number: int, product: Product, credited: int, change: list[int]) -> None:
    """Let the sum grow up to today, take what was credited, and change the bands.

    Rules: 1. class 2060 holds the whole units that are owed, never less than nothing.
    """
    view, today = ctx.view, ctx.environment.day
    row = TOTALS.get(view, TOTALS.key(number))
    assert row is not None, "a product has its sum"
    _, bands, earned_bytes, as_of, booked, job = row
    earned = read_exact(earned_bytes) + compute_earned(view, number, product, list(bands), as_of, today)
    earned -= credited * ACCRUAL_UNIT
    target = check_amount(max(earned // ACCRUAL_UNIT, 0))
    _book(ctx, number, product, target - booked)
    new = tuple([check_amount(amount + more) for amount, more in zip(bands, change, strict=True)])
    TOTALS.put(view, TOTALS.key(number), (SCHEMA, new, pack_exact(earned), today, target, job))


def _book(ctx: Context, number: int, product: Product, more: int) -> None:
    cost = account_key(ADDRESS_OF, INTEREST_COST, product.asset, number)
    owed = account_key(ADDRESS_OF, INTEREST_PAYABLE, product.asset, number)
    for name in (cost, owed):
        open_account(ctx.view, name)
    if more > 0:
        leg(ctx, cost, owed, more, CODE_EARNED)
    elif more < 0:
        leg(ctx, owed, cost, -more, CODE_EARNED_BACK)


def credit(ctx: Context, number: int, account: Account, product: Product) -> tuple[Account, int]:
    """Credit an account that is settled with what it has earned, half-even, less tax; returns what it got."""
    view = ctx.view
    earned = read_exact(account.earned)
    if earned <= 0:
        return account, 0
    amount = mul_div(earned, 1, ACCRUAL_UNIT, Rounding.HALF_EVEN)
    if not amount:
        return account, 0
    account = replace(account, earned=pack_exact(earned - amount * ACCRUAL_UNIT))
    owed = account_key(ADDRESS_OF, INTEREST_PAYABLE, product.asset, account.product)
    settle_total(ctx, account.product, product)
    row = TOTALS.get(view, TOTALS.key(account.product))
    assert row is not None, "a product has its sum"
    if amount > row[4]:  # the roundings of many accounts can be more than the sum has whole units
        _book(ctx, account.product, product, amount - row[4])
        TOTALS.put(view, TOTALS.key(account.product), (*row[:4], amount, row[5]))
    tax = mul_div(amount, product.withholding_bp, WHOLE_BP, Rounding.HALF_EVEN)
    before = find_balance(view, number, product)
    if tax:
        kept = account_key(ADDRESS_OF, TAX_PAYABLE, product.asset)
        open_account(view, kept)
        leg(ctx, owed, kept, tax, CODE_TAX)
    if amount > tax:
        leg(ctx, owed, ledger_key(number, product), amount - tax, CODE_CREDIT)
    _take_credited(ctx, account.product, product, amount, before, before + amount - tax)
    put_savings(view, number, account)
    return account, amount - tax


def _take_credited(ctx: Context, number: int, product: Product, amount: int, before: int, after: int) -> None:
    """Note that an amount has left class 2060 for an account."""
    view = ctx.view
    row = TOTALS.get(view, TOTALS.key(number))
    assert row is not None, "a product has its sum"
    TOTALS.put(view, TOTALS.key(number), (*row[:4], row[4] - amount, row[5]))
    old, new = list_bands(product.floors, before), list_bands(product.floors, after)
    _settle_total(ctx, number, product, amount, [b - a for a, b in zip(old, new, strict=True)])
