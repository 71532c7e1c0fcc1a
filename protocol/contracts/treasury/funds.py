"""Funds and their budget lines, and the closing of a year: all that moves equity within the co-op.

What leaves it is `spending.py`.
"""

from typing import Final

from protocol.codec import Value
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key, get_account, open_account
from protocol.contracts.ledger.books import compute_result, find_balance, list_balances
from protocol.contracts.ledger.legs import leg
from protocol.contracts.treasury.records import (
    ADDRESS_OF,
    ALLOTMENT,
    BUDGET,
    CLOSING_SUB,
    FUND,
    FUNDS,
    ID,
    LINE,
    LINES,
    NO_SURPLUS,
    NOTHING,
    RESTRICTED,
    SURPLUS,
    TERMS,
    TIERS,
    TOO_EARLY,
    YEAR,
    YEAR_CLOSED,
    YEARS,
    FundRow,
    check_deficit,
    get_fund,
    get_line,
    next_number,
    reserve_key,
    surplus_key,
)
from protocol.money import check_amount, date_from_days
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import AMOUNT, ASSET, BALANCE, Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

CODE_APPROPRIATE: Final = 2002
CODE_GIFT: Final = 2004
CODE_TRANSFER: Final = 2006
CODE_CLOSE: Final = 2008
CODE_LOSS: Final = 2014
CODE_LOSS_BACK: Final = 2016

FUND_CREATED: Final = EventType(ID, 1, "fund_created", (Field("fund", FUND),), "A fund exists from now on.")
FUNDED: Final = EventType(
    ID, 2, "funded", (Field("fund", FUND), Field("amount", AMOUNT)), "A fund has so much more."
)
ALLOTTED: Final = EventType(
    ID, 3, "allotted", (Field("line", LINE), Field("amount", AMOUNT)), "A budget line has this amount."
)
CLOSED: Final = EventType(
    ID,
    4,
    "year_closed",
    (Field("asset", ASSET), Field("year", YEAR), Field("result", BALANCE)),
    "A year is closed with this result.",
)


def create_fund(ctx: Context, name: str, purpose: str, asset: int, restricted: bool) -> Value:
    """Create an empty fund; returns its number."""
    number = next_number(ctx.view, 0)
    FUNDS.put(ctx.view, FUNDS.key(number), (SCHEMA, name, purpose, asset, restricted, 0))
    open_account(ctx.view, reserve_key(number, asset))
    open_account(ctx.view, surplus_key(asset))
    ctx.emit(FUND_CREATED, number)
    return number


def appropriate(ctx: Context, number: int, amount: int, deficit: bool) -> Value:
    """Move surplus to a fund; returns the amount."""
    view = ctx.view
    fund = get_fund(view, number)
    check_deficit(ctx, deficit)
    balances = list_balances(view, fund[3])
    surplus = find_balance(balances, SURPLUS) + compute_result(balances)
    if amount > surplus and not deficit:
        fail(NO_SURPLUS, "treasury.surplus", max(0, surplus), amount)
    leg(ctx, surplus_key(fund[3]), reserve_key(number, fund[3]), amount, CODE_APPROPRIATE)
    ctx.emit(FUNDED, number, amount)
    return amount


def contribute(ctx: Context, account: Address, number: int, amount: int) -> Value:
    """Give to a fund; returns the amount."""
    fund = get_fund(ctx.view, number)
    source = account_key(account, MEMBER_FREE, fund[3])
    leg(ctx, source, reserve_key(number, fund[3]), amount, CODE_GIFT)
    ctx.emit(FUNDED, number, amount)
    return amount


def transfer(ctx: Context, source: int, target: int, amount: int) -> Value:
    """Move from an unrestricted fund what its lines do not need; returns the amount."""
    view = ctx.view
    giver, taker = get_fund(view, source), get_fund(view, target)
    if giver[4]:
        fail(RESTRICTED, "treasury.restricted", None, source)
    leg(ctx, reserve_key(source, giver[3]), reserve_key(target, taker[3]), amount, CODE_TRANSFER)
    _check_allotted(view, source, giver, False)
    ctx.emit(FUNDED, target, amount)
    return amount


def bear_loss(ctx: Context, number: int, amount: int) -> int:
    """Let a fund bear a loss that is booked as cost, with what its lines leave it; returns how much it bore.

    A door for lending: the reserve is freed for the surplus that the loss has lowered, as a payment frees it.
    """
    fund = get_fund(ctx.view, number)
    part = min(amount, max(fund_balance(ctx.view, number, fund) - fund[5], 0))
    if part:
        leg(ctx.enter(ID), reserve_key(number, fund[3]), surplus_key(fund[3]), part, CODE_LOSS)
    return part


def restore_loss(ctx: Context, number: int, amount: int) -> None:
    """Give a fund back what of a loss that it bore has come in as income; at most what it bore.

    A door for lending: `bear_loss` the other way.
    """
    fund = get_fund(ctx.view, number)
    leg(ctx.enter(ID), surplus_key(fund[3]), reserve_key(number, fund[3]), amount, CODE_LOSS_BACK)
    ctx.emit(FUNDED, number, amount)


def allot(
    ctx: Context, number: int, name: str, amount: int, year: int, carry: bool, owner: str, deficit: bool
) -> Value:
    """Make a budget line; returns its number."""
    view = ctx.view
    check_deficit(ctx, deficit)
    fund = get_fund(view, number)
    line = next_number(view, 1)
    LINES.put(view, LINES.key(line), (SCHEMA, number, name, amount, 0, 0, year, carry, owner))
    _allot(view, number, fund, amount, deficit)
    ctx.emit(ALLOTTED, line, amount)
    return line


def change_line(ctx: Context, line: int, amount: int, deficit: bool) -> Value:
    """Change the amount of a line, never below what is spent or committed; returns it."""
    view = ctx.view
    check_deficit(ctx, deficit)
    row = get_line(view, line)
    if amount < row[4] + row[5]:
        fail(BUDGET, "treasury.line_used", row[4] + row[5], amount)
    LINES.put(view, LINES.key(line), (*row[:3], amount, *row[4:]))
    _allot(view, row[1], get_fund(view, row[1]), amount - row[3], deficit)
    ctx.emit(ALLOTTED, line, amount)
    return amount


def lapse(ctx: Context, line: int) -> Value:
    """Give a fund back what a line of a past year, which does not carry over, has left; returns how much."""
    view = ctx.view
    row = get_line(view, line)
    this_year = date_from_days(ctx.environment.day)[0]
    if row[7] or row[6] >= this_year:
        fail(TOO_EARLY, "treasury.line_year", None if row[7] else row[6] + 1, this_year)
    left = row[3] - row[4] - row[5]
    if not left:
        fail(NOTHING, "treasury.lapse", 0, 0)
    LINES.put(view, LINES.key(line), (*row[:3], row[3] - left, *row[4:]))
    _allot(view, row[1], get_fund(view, row[1]), -left, False)
    ctx.emit(ALLOTTED, line, row[3] - left)
    return left


def _allot(view: View, number: int, fund: FundRow, more: int, deficit: bool) -> None:
    new = (*fund[:5], check_amount(fund[5] + more))
    FUNDS.put(view, FUNDS.key(number), new)
    if more > 0:
        _check_allotted(view, number, new, deficit)


def _check_allotted(view: View, number: int, fund: FundRow, deficit: bool) -> None:
    balance = fund_balance(view, number, fund)
    if fund[5] > balance and not deficit:
        fail(ALLOTMENT, "treasury.allotted", balance, fund[5])


def fund_balance(view: View, number: int, fund: FundRow) -> int:
    """Return what a fund has."""
    row = get_account(view, reserve_key(number, fund[3]))
    assert row is not None, "create_fund has opened it"
    return row[5] - row[3]


def set_tiers(ctx: Context, asset: int, first: int, second: int, delay_seconds: int) -> Value:
    """Set who must approve how much."""
    if first > second:
        fail(TERMS, "treasury.tiers", second, first)
    TIERS.put(ctx.view, TIERS.key(asset), (SCHEMA, first, second, delay_seconds))
    return True


def close_year(ctx: Context, asset: int, year: int) -> Value:
    """Take every class of income and cost to zero against the surplus; returns the result.

    Rules: 1. the year is over. 2. each year once. 3. one leg for each class, against a closing account of the
        class, because its accounts belong to many.
    """
    view = ctx.view
    this_year = date_from_days(ctx.environment.day)[0]
    if year >= this_year:
        fail(TOO_EARLY, "treasury.year", this_year - 1, year)
    key = YEARS.key(asset, year)
    if YEARS.get(view, key) is not None:
        fail(YEAR_CLOSED, "treasury.year_closed", None, year)
    surplus = surplus_key(asset)
    open_account(view, surplus)
    balances = list_balances(view, asset)
    for account_class, balance in balances:
        is_income = account_class // 1_000 == 4
        if not balance or not (is_income or account_class // 1_000 == 5):
            continue
        closing = account_key(ADDRESS_OF, account_class, asset, CLOSING_SUB)
        open_account(view, closing, 0)
        debit, credit = (closing, surplus) if is_income == (balance > 0) else (surplus, closing)
        leg(ctx, debit, credit, check_amount(abs(balance)), CODE_CLOSE)
    result = compute_result(balances)
    check_amount(abs(result))
    YEARS.put(view, key, (SCHEMA, result))
    ctx.emit(CLOSED, asset, year, result)
    return result
