"""Interest: exact while it grows, rounded once when it is credited, and in the books every day.

An account and the sum of all accounts of its product grow by the same rule, band by band, so they agree to
the last part whatever happens when. `settle_total` brings the books up to a day; `settle` an account.

What a period has earned is credited as of the first day of the next one, on whichever day a block comes to
do it: what has grown since then is made up for, in the account and the sum. So it does not matter on which
days the chain had blocks.

What earns is the base of an account. It is the balance, but for two kinds of product, whose bases are renewed
by the calendar alone, so the sum follows without a walk over accounts:

- *minimum*: the lowest balance of the posting period, or of its part in which the account was open. When it
  falls, what the difference has earned since the period began is taken back, from the account and the sum;
  so nothing of a period is credited before its end. A period that begins renews it to the balance, and on its
  first day every movement still counts.
- *regular*: nothing from the first of a month on, and the balance from the day on which the month's deposit
  is complete. A missed month earns nothing; the next one begins afresh.

An *average* is the sum of balance and days, divided when it is credited; see ADR 25 for why its products
have one band.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from protocol.contracts.ledger.accounts import account_key, open_account
from protocol.contracts.ledger.legs import leg
from protocol.contracts.members.records import MEMBER
from protocol.contracts.savings.records import (
    ACCOUNT,
    ADDRESS_OF,
    DAY_LAST,
    ID,
    INTEREST_COST,
    INTEREST_PAYABLE,
    MINIMUM,
    RATE_HISTORY,
    REGULAR,
    TAX_PAYABLE,
    TERM,
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
from protocol.money import Rounding, check_amount, date_from_days, days_from_date, mul_div
from protocol.vm.context import Context
from protocol.vm.contract import EventType
from protocol.vm.kinds import AMOUNT, Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

CODE_EARNED: Final = 3002
CODE_EARNED_BACK: Final = 3004
CODE_CREDIT: Final = 3006
CODE_TAX: Final = 3008

CREDITED: Final = EventType(
    ID,
    4,
    "credited",
    (Field("account", ACCOUNT), Field("member", MEMBER), Field("amount", AMOUNT, "after tax")),
    "Interest was credited.",
)


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


def find_renewal(product: Product, day: int, later: int = 0) -> int:
    """Return the first day of the period a day lies in, or of a later one: a month for regular savings, what
    is credited together for others."""
    return _find_period(1 if product.kind == REGULAR else product.posting_months, day, later)


def find_posting(product: Product, day: int, later: int = 0) -> int:
    """Return the first day of the posting period a day lies in, or of a later one: on it, interest of the
    period before is credited."""
    return _find_period(product.posting_months, day, later)


def _find_period(months: int, day: int, later: int) -> int:
    year, month, _ = date_from_days(day)
    count = (year * 12 + month - 1) // months * months + later * months
    return days_from_date(count // 12, count % 12 + 1, 1)


def compute_more(
    view: View, account: Account, product: Product, balance: int, day: int
) -> tuple[int, int, int]:
    """Compute exactly (earned since the account was settled, base, put in this month) of a day."""
    bands = list_bands(product.floors, account.base)
    renewed = 0 if product.kind == REGULAR else balance
    turned = list_bands(product.floors, renewed)
    earned, is_new = _grow(view, account.product, product, (bands, turned), account.as_of, day)
    return (earned, renewed, 0) if is_new else (earned, account.base, account.put_in)


def _grow(
    view: View,
    number: int,
    product: Product,
    bands: tuple[list[int], list[int]],
    first_day: int,
    end_day: int,
) -> tuple[int, bool]:
    """Compute what bands earn, with others from the day of renewal on; also say whether it has come."""
    turn = end_day + 1
    if product.kind == REGULAR or product.basis == MINIMUM:
        turn = find_renewal(product, first_day, 1)
    earned = compute_earned(view, number, product, bands[0], first_day, min(turn, end_day))
    if turn > end_day:
        return earned, False
    return earned + compute_earned(view, number, product, bands[1], turn, end_day), True


def settle(ctx: Context, number: int, account: Account, product: Product) -> Account:
    """Bring what an account has earned up to today, and credit it where a period has ended on the way; to be
    called before its balance is looked at or changes. Who calls it writes the account.

    Rules: 1. a term deposit is credited when it ends.
    """
    view, today = ctx.view, ctx.environment.day
    if account.as_of == today:
        return account
    before = balance = find_balance(view, number, product)
    plain = _earn(view, account, product, before, today)
    if product.kind == TERM or find_posting(product, account.as_of, 1) > today:
        return plain
    settle_total(ctx, account.product, product)
    for day in _list_postings(product, account.as_of, today):
        account = _earn(view, account, product, balance, day)
        amount, net = _pay_interest(ctx, number, account, product, read_exact(account.earned))
        if not amount:
            continue
        balance += net
        account = replace(
            account,
            earned=pack_exact(read_exact(account.earned) - amount * ACCRUAL_UNIT),
            base=0 if product.kind == REGULAR else balance,
        )
        if net:
            ctx.emit(CREDITED, number, account.member, net)
    account = _earn(view, account, product, balance, today)
    gone = read_exact(plain.earned) - read_exact(account.earned)
    change = (_subtract(product, plain.base, account.base), _subtract(product, before, balance))
    _settle_total(ctx, account.product, product, gone, change)
    return account


def _earn(view: View, account: Account, product: Product, balance: int, day: int) -> Account:
    more, base, put_in = compute_more(view, account, product, balance, day)
    earned = pack_exact(read_exact(account.earned) + more)
    return replace(account, earned=earned, as_of=day, base=base, put_in=put_in)


def _list_postings(product: Product, after: int, today: int) -> Iterator[int]:
    day = find_posting(product, after, 1)
    while day <= today:
        yield day
        day = find_posting(product, day, 1)


def settle_total(ctx: Context, number: int, product: Product) -> None:
    """Bring what all accounts of a product have earned up to today, and into the books."""
    none = [0] * len(product.floors)
    _settle_total(ctx, number, product, 0, (none, none))


def change_balance(
    ctx: Context,
    account: Account,
    product: Product,
    before: int,
    after: int,
    put_in: int = 0,
    credited: int = 0,
) -> Account:
    """Note that a settled account has another balance from today on; returns the account.

    Args:
        put_in: what the member himself puts aside, or takes: below zero.
        credited: interest that the account has got.
    """
    assert account.as_of == ctx.environment.day, "what it has earned depends on what it had"
    month = max(account.put_in + put_in, 0) if product.kind == REGULAR else 0
    base, gone = after, 0
    if product.kind == REGULAR:
        base = after if month >= product.monthly else 0
    elif product.basis == MINIMUM and _begin_period(account, product) < account.as_of:
        base = min(account.base, after)
        gone = compute_open(ctx.view, account, product) - compute_open(
            ctx.view, replace(account, base=base), product
        )
    gone += credited * ACCRUAL_UNIT
    change = (_subtract(product, account.base, base), _subtract(product, before, after))
    _settle_total(ctx, account.product, product, gone, change)
    return replace(account, earned=pack_exact(read_exact(account.earned) - gone), base=base, put_in=month)


def compute_open(view: View, account: Account, product: Product) -> int:
    """Compute exactly what of a settled account's interest a fall of its balance can still take back."""
    if product.basis != MINIMUM:
        return 0
    bands, begin = list_bands(product.floors, account.base), _begin_period(account, product)
    return compute_earned(view, account.product, product, bands, begin, account.as_of)


def _begin_period(account: Account, product: Product) -> int:
    return max(find_renewal(product, account.as_of), account.opened)


def _subtract(product: Product, before: int, after: int) -> list[int]:
    old, new = list_bands(product.floors, before), list_bands(product.floors, after)
    return [b - a for a, b in zip(old, new, strict=True)]


def _settle_total(
    ctx: Context, number: int, product: Product, gone: int, change: tuple[list[int], list[int]]
) -> None:
    """Let the sum grow up to today, take what is gone of it, and change the bands: what earns, what there is.

    Rules: 1. class 2060 holds the whole units that are owed, never less than nothing.
    """
    view, today = ctx.view, ctx.environment.day
    row = TOTALS.get(view, TOTALS.key(number))
    assert row is not None, "a product has its sum"
    _, kept, earned_bytes, as_of, booked, job, balances, credited = row
    bands, renewed = list(kept), [0] * len(kept) if product.kind == REGULAR else list(balances)
    more, is_new = _grow(view, number, product, (bands, renewed), as_of, today)
    earned = read_exact(earned_bytes) + more - gone
    target = check_amount(max(earned // ACCRUAL_UNIT, 0))
    _book(ctx, number, product, target - booked)
    new = _add(renewed if is_new else bands, change[0])
    TOTALS.put(
        view,
        TOTALS.key(number),
        (SCHEMA, new, pack_exact(earned), today, target, job, _add(list(balances), change[1]), credited),
    )


def _add(bands: list[int], change: list[int]) -> tuple[int, ...]:
    return tuple([check_amount(amount + more) for amount, more in zip(bands, change, strict=True)])


def _book(ctx: Context, number: int, product: Product, more: int) -> None:
    cost = account_key(ADDRESS_OF, INTEREST_COST, product.asset, number)
    owed = account_key(ADDRESS_OF, INTEREST_PAYABLE, product.asset, number)
    for name in (cost, owed):
        open_account(ctx.view, name)
    if more > 0:
        leg(ctx, cost, owed, more, CODE_EARNED)
    elif more < 0:
        leg(ctx, owed, cost, -more, CODE_EARNED_BACK)


def credit(ctx: Context, number: int, account: Account, product: Product) -> Account:
    """Credit an account that is settled and ends today with what it has earned in this period."""
    settle_total(ctx, account.product, product)
    before = find_balance(ctx.view, number, product)
    earned = read_exact(account.earned) - compute_open(ctx.view, account, product)
    amount, net = _pay_interest(ctx, number, account, product, earned)
    if not amount:
        return account
    account = change_balance(ctx, account, product, before, before + net, credited=amount)
    put_savings(ctx.view, number, account)
    return account


def _pay_interest(
    ctx: Context, number: int, account: Account, product: Product, earned: int
) -> tuple[int, int]:
    """Pay exact interest into an account, half-even, less tax; returns (interest, what the account got).

    Rules: 1. the sum is settled before, and learns of it afterwards.
    """
    view = ctx.view
    amount = mul_div(max(earned, 0), 1, ACCRUAL_UNIT, Rounding.HALF_EVEN)
    if not amount:
        return 0, 0
    owed = account_key(ADDRESS_OF, INTEREST_PAYABLE, product.asset, account.product)
    row = TOTALS.get(view, TOTALS.key(account.product))
    assert row is not None, "a product has its sum"
    booked = row[4]
    if amount > booked:  # the roundings of many accounts can be more than the sum has whole units
        _book(ctx, account.product, product, amount - booked)
        booked = amount
    tax = mul_div(amount, product.withholding_bp, WHOLE_BP, Rounding.HALF_EVEN)
    if tax:
        kept = account_key(ADDRESS_OF, TAX_PAYABLE, product.asset)
        open_account(view, kept)
        leg(ctx, owed, kept, tax, CODE_TAX)
    if amount > tax:
        leg(ctx, owed, ledger_key(number, product), amount - tax, CODE_CREDIT)
    TOTALS.put(view, TOTALS.key(account.product), (*row[:4], booked - amount, *row[5:]))
    return amount, amount - tax
