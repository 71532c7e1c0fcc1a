"""Leaving with share capital: requests in order of time, and their payment within cap and solvency.

Buying is `methods.py`.
"""

from typing import Final

from protocol.codec import Value
from protocol.contracts import sched
from protocol.contracts.ledger.accounts import (
    CLOSED,
    FROZEN_IN,
    MEMBER_FREE,
    account_key,
    get_account,
    open_account,
)
from protocol.contracts.ledger.books import compute_equity, find_balance, list_balances
from protocol.contracts.ledger.legs import leg
from protocol.contracts.members.records import (
    ACTIVE,
    APPLICANT,
    DECEASED,
    MEMBER,
    PROBATION,
    SUSPENDED,
    Member,
    get_by_account,
    get_member,
)
from protocol.contracts.members.standing import bind, set_shares_paid, unbind
from protocol.contracts.shares.records import (
    ADDRESS_OF,
    BASIS_POINTS,
    BELOW_MINIMUM,
    BY_MEMBER,
    CLASS,
    COUNT,
    COUNTER,
    HOLDINGS,
    ID,
    NO_REQUEST,
    NOTHING,
    PAYABLE,
    QUEUE_JOBS,
    REQUESTS,
    SHARE_CAPITAL,
    SOLVENCY,
    STANDING,
    SURPLUS,
    TOO_FEW,
    TOO_SOON,
    YEARLY_CAP,
    YEARS,
    ClassRow,
    RequestRow,
    capital_key,
    get_class,
    get_holding,
    put_holding,
)
from protocol.money import SECONDS_PER_DAY, date_from_days
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import AMOUNT, U48, Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

CODE_REDEEM: Final = 2308
CODE_LOSS: Final = 2310
CODE_REFUND: Final = 2312
CODE_CLAIM: Final = 2314

DAILY_METHOD: Final = 13
REDEEM_ALL_METHOD: Final = 14
DAILY_ITEMS: Final = 50
"""Requests that one day's run looks at."""

DEPOSITS: Final = (2010, 2020, 2030)

REQUESTED: Final = EventType(
    ID,
    5,
    "redemption_requested",
    (Field("member", MEMBER), Field("class", CLASS), Field("request", U48), Field("shares", COUNT)),
    "A member waits to redeem shares.",
)
REDEEMED: Final = EventType(
    ID,
    6,
    "redeemed",
    (Field("member", MEMBER), Field("class", CLASS), Field("shares", COUNT), Field("paid", AMOUNT)),
    "Shares were paid back.",
)


def request(ctx: Context, account: Address, number: int, count: int) -> Value:
    """Ask to redeem shares; returns the number of the request."""
    view, day = ctx.view, ctx.environment.day
    member, record = get_by_account(view, account)
    row, holding = get_class(view, number), get_holding(view, member, number)
    if record.status == APPLICANT or (record.status == DECEASED and record.until):
        fail(STANDING, "shares.request", None, record.status)
    free = holding[1] - holding[3] - holding[4]
    if count > free:
        fail(TOO_FEW, "shares.free", free, count)
    if record.status in (PROBATION, ACTIVE, SUSPENDED):
        left = holding[1] - holding[4] - count
        if left < row[5]:
            fail(BELOW_MINIMUM, "shares.minimum", row[5], left)
        if day < holding[5] + row[7]:
            fail(TOO_SOON, "shares.redeem_after", holding[5] + row[7], day)
    _, classes, requests = COUNTER.get(view, COUNTER.key()) or (SCHEMA, 0, 0)
    COUNTER.put(view, COUNTER.key(), (SCHEMA, classes, requests + 1))
    REQUESTS.put(view, REQUESTS.key(number, requests + 1), (SCHEMA, member, count, day))
    put_holding(ctx, member, number, holding, (*holding[:4], holding[4] + count, holding[5]))
    ctx.emit(REQUESTED, member, number, requests + 1, count)
    _run_tomorrow(ctx, number)
    return requests + 1


def cancel_request(ctx: Context, account: Address, number: int, request_number: int) -> Value:
    """Leave the queue; returns the shares that are free again."""
    view = ctx.view
    member, _ = get_by_account(view, account)
    key = REQUESTS.key(number, request_number)
    row = REQUESTS.get(view, key)
    if row is None or row[1] != member:
        fail(NO_REQUEST, "shares.request_of_member", None, request_number)
    REQUESTS.delete(view, key)
    holding = get_holding(view, member, number)
    put_holding(ctx, member, number, holding, (*holding[:4], holding[4] - row[2], holding[5]))
    return row[2]


def redeem(ctx: Context, number: int, items: int) -> Value:
    """Pay requests in their order until a limit is met; returns the shares redeemed.

    Rules: 1. the first request is paid as far as the limits allow before the second is looked at. 2. when
        not one share can be paid, the call fails with the limit that forbids it. Anybody may call it.
    """
    get_class(ctx.view, number)
    total, limit = _redeem_waiting(ctx, number, items)
    if not total:
        code, rule, wanted = limit
        fail(code, rule, 0, wanted)
    return total


def redeem_daily(ctx: Context, number: int) -> Value:
    """Pay requests as far as the limits allow, and come again tomorrow while any waits; returns how many."""
    view = ctx.view
    QUEUE_JOBS.delete(view, QUEUE_JOBS.key(number))
    total, _ = _redeem_waiting(ctx, number, DAILY_ITEMS)
    for _ in REQUESTS.scan(view, number):
        _run_tomorrow(ctx, number)
        break
    return total


def _run_tomorrow(ctx: Context, number: int) -> None:
    """Let the chain pay the queue of a class tomorrow, unless it will already."""
    key = QUEUE_JOBS.key(number)
    if QUEUE_JOBS.get(ctx.view, key) is not None:
        return
    due = int(ctx.environment.time) + SECONDS_PER_DAY
    job = sched.schedule(ctx, ((), ((ID, DAILY_METHOD, 0, (number,)),)), (), due)
    QUEUE_JOBS.put(ctx.view, key, (SCHEMA, job))


def _redeem_waiting(ctx: Context, number: int, items: int) -> tuple[int, tuple[int, str, int]]:
    """Pay requests in their order: how many shares, and the limit that stopped it."""
    waiting: list[tuple[bytes, RequestRow]] = []
    for found in REQUESTS.scan(ctx.view, number):
        waiting.append(found)
        if len(waiting) == items:
            break
    total, limit = 0, (NO_REQUEST, "shares.queue", number)
    for key, row in waiting:
        paid, code, rule = _redeem_some(ctx, number, key, row)
        total += paid
        if paid < row[2]:
            limit = (code, rule, row[2])
            break
    return total, limit


def _redeem_some(ctx: Context, number: int, key: bytes, row: RequestRow) -> tuple[int, int, str]:
    """Pay as much of one request as the limits allow: how much, and what forbids more."""
    view = ctx.view
    share = get_class(view, number)
    price = compute_price(view, share)
    year_key, year = _get_year(ctx, number, share)
    cap_left = year[1] * share[8] // BASIS_POINTS - year[2]
    count = min(row[2], max(0, cap_left) // share[3])
    if not count:
        return 0, YEARLY_CAP, "shares.yearly_cap"
    if not price or not _is_solvent(view, share, price, count):
        return 0, SOLVENCY, "shares.solvency"
    YEARS.put(view, year_key, (SCHEMA, year[1], year[2] + count * share[3]))
    if count == row[2]:
        REQUESTS.delete(view, key)
    else:
        REQUESTS.put(view, key, (SCHEMA, row[1], row[2] - count, row[3]))
    _pay(ctx, row[1], number, share, price, count)
    return count, YEARLY_CAP, "shares.yearly_cap"


def _get_year(ctx: Context, number: int, share: ClassRow) -> tuple[bytes, tuple[int, int, int]]:
    key = YEARS.key(number, date_from_days(ctx.environment.day)[0])
    return key, YEARS.get(ctx.view, key) or (SCHEMA, share[11] * share[3], 0)


def compute_price(view: View, share: ClassRow) -> int:
    """Compute what one share is worth: par, or less when equity is less than share capital."""
    balances = list_balances(view, share[2])
    equity, capital = compute_equity(balances), find_balance(balances, SHARE_CAPITAL)
    if equity >= capital:
        return share[3]
    return share[3] * max(0, equity) // capital


def _is_solvent(view: View, share: ClassRow, price: int, count: int) -> bool:
    """Tell whether net assets cover deposits and capital before and after a payment leaves the co-op."""
    balances = list_balances(view, share[2])
    deposits = sum([find_balance(balances, account_class) for account_class in DEPOSITS])
    net = deposits + compute_equity(balances)
    owed = deposits + find_balance(balances, SHARE_CAPITAL)
    return all(
        (net - price * paid) * BASIS_POINTS >= share[9] * (owed - share[3] * paid) for paid in (0, count)
    )


def _pay(ctx: Context, member: int, number: int, share: ClassRow, price: int, count: int) -> None:
    view, asset, par = ctx.view, share[2], share[3]
    record = get_member(view, member)
    capital = capital_key(member, asset)
    leg(ctx, capital, _find_payee(view, member, record, asset), price * count, CODE_REDEEM)
    if price < par:
        surplus = account_key(ADDRESS_OF, SURPLUS, asset)
        open_account(view, surplus)
        leg(ctx, capital, surplus, (par - price) * count, CODE_LOSS)
    holding = get_holding(view, member, number)
    new = (SCHEMA, holding[1] - count, holding[2], holding[3], holding[4] - count, holding[5])
    put_holding(ctx, member, number, holding, new)
    if share[4]:
        set_shares_paid(ctx, member, record.shares_paid - count * par)
    ctx.emit(REDEEMED, member, number, count, price * count)


def redeem_all(ctx: Context, member: int) -> Value:
    """Pay all shares of a member that are not pledged, ahead of the queue; returns how many."""
    view = ctx.view
    waiting = [key for key, _ in REQUESTS.page(view, BY_MEMBER, member)]
    total = 0
    for key, holding in HOLDINGS.page_rows(view, member):
        number = key[1]
        assert type(number) is int
        count = holding[1] - holding[3]
        if not count:
            continue
        share = get_class(view, number)
        price = compute_price(view, share)
        if not price or not _is_solvent(view, share, price, count):
            fail(SOLVENCY, "shares.solvency", 0, count)
        for request_key in waiting:
            if request_key[0] == number:
                REQUESTS.delete(view, REQUESTS.key(*request_key))
        put_holding(ctx, member, number, holding, (*holding[:4], count, holding[5]))
        _pay(ctx, member, number, share, price, count)
        total += count
    if not total:
        fail(NOTHING, "shares.redeem_all", 0, 0)
    return total


def _find_payee(view: View, member: int, record: Member, asset: int) -> bytes:
    """Return the member's free balance, or a payable when that takes nothing: nobody holds up the queue."""
    free = account_key(record.account, MEMBER_FREE, asset)
    open_account(view, free)
    row = get_account(view, free)
    assert row is not None, "it was opened above"
    if not row[1] & (FROZEN_IN | CLOSED):
        return free
    payable = account_key(ADDRESS_OF, PAYABLE, asset, member)
    open_account(view, payable)
    waiting = get_account(view, payable)
    assert waiting is not None, "it was opened above"
    if waiting[5] == waiting[3]:
        bind(view, member, ID)  # nobody leaves who is still owed
    return payable


def claim(ctx: Context, account: Address, asset: int) -> Value:
    """Take what could not be credited when shares were redeemed; returns the amount."""
    view = ctx.view
    member, _ = get_by_account(view, account)
    payable = account_key(ADDRESS_OF, PAYABLE, asset, member)
    row = get_account(view, payable)
    amount = 0 if row is None else row[5] - row[3]
    if not amount:
        fail(NOTHING, "shares.claim", 0, 0)
    leg(ctx, payable, account_key(account, MEMBER_FREE, asset), amount, CODE_CLAIM)
    unbind(view, member, ID)
    return amount


def refund(ctx: Context, account: Address, number: int) -> Value:
    """Give an applicant's share capital back at par, at once; returns the amount."""
    view = ctx.view
    member, record = get_by_account(view, account)
    share, holding = get_class(view, number), get_holding(view, member, number)
    if record.status != APPLICANT:
        fail(STANDING, "shares.refund", APPLICANT, record.status)
    count = holding[1] - holding[3]
    if not count:
        fail(NOTHING, "shares.refund", 0, 0)
    amount = count * share[3]
    payee = account_key(account, MEMBER_FREE, share[2])
    leg(ctx, capital_key(member, share[2]), payee, amount, CODE_REFUND)
    put_holding(ctx, member, number, holding, (SCHEMA, holding[3], *holding[2:]))
    if share[4]:
        set_shares_paid(ctx, member, record.shares_paid - amount)
    ctx.emit(REDEEMED, member, number, count, amount)
    return amount
