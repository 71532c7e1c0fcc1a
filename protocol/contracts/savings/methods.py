"""Products, deposits, withdrawals, notice and terms, and crediting interest.

What waits because too little is liquid is `exits.py`.
"""

from dataclasses import replace
from typing import Final

from protocol.codec import Value
from protocol.contracts import sched
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.legs import leg
from protocol.contracts.members.records import ACTIVE, EXITING, MEMBER, PROBATION, SUSPENDED, get_by_account
from protocol.contracts.members.records import GROUP as MEMBER_GROUP
from protocol.contracts.members.standing import bind, unbind
from protocol.contracts.periods import DAYS
from protocol.contracts.savings.exits import check_liquid, count_waiting, pay_exits, use_notice
from protocol.contracts.savings.interest import change_balance, credit, find_posting, settle, settle_total
from protocol.contracts.savings.records import (
    ACCOUNT,
    ACCOUNTS,
    ACCOUNTS_MAX,
    AVERAGE,
    BELOW_MINIMUM,
    BY_MEMBER,
    BY_PRODUCT,
    COUNTER,
    DAILY,
    DAY_LAST,
    GROUP,
    ID,
    KIND,
    NO_ACCOUNT,
    NOT_FREE,
    NOTICE,
    PRODUCT,
    PRODUCTS,
    RATE_HISTORY,
    REGULAR,
    STANDING,
    TERM,
    TERMS,
    TOTALS,
    Account,
    Product,
    find_balance,
    get_product,
    get_savings,
    ledger_key,
    note_deposit,
    pack_exact,
    put_savings,
    read_exact,
)
from protocol.elections.decision import WHOLE_BP
from protocol.money import Rounding, compute_midnight, mul_div
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import AMOUNT, Field
from protocol.vm.tables import SCHEMA, pack_record

CODE_DEPOSIT: Final = 3010
CODE_WITHDRAW: Final = 3012

DAILY_METHOD: Final = 12
CREDIT_METHOD: Final = 13
CREDIT_ITEMS: Final = 40
CREDIT_GAS: Final = 500_000
"""A run credits no more accounts once it has credited so many, or used so much; the rest waits a second."""

_OF_ACCOUNT: Final = (Field("account", ACCOUNT), Field("member", MEMBER))
PRODUCT_MADE: Final = EventType(
    ID, 1, "product_made", (Field("product", PRODUCT),), "Members can save in a new way."
)
OPENED: Final = EventType(
    ID, 2, "opened", (*_OF_ACCOUNT, Field("product", PRODUCT)), "A member has a savings account."
)
MOVED: Final = EventType(
    ID,
    3,
    "moved",
    (*_OF_ACCOUNT, Field("paid_in", AMOUNT), Field("paid_out", AMOUNT)),
    "Money was put aside, or taken back.",
)


# --- products


def create_product(ctx: Context, rates: tuple[int, ...], *values: Value) -> Value:
    """Create a product with its rates; returns its number."""
    view, environment = ctx.view, ctx.environment
    product = Product(*values)  # type: ignore[arg-type]
    floors = product.floors
    if floors[0] != 0 or list(floors) != sorted(set(floors)):
        fail(TERMS, "savings.floors", 0, floors[0])
    if (product.kind == TERM) != (product.term_days > 0) or (product.kind == NOTICE) != (
        product.notice_days > 0
    ):
        fail(TERMS, "savings.kind", product.kind, product.term_days or product.notice_days)
    if (product.kind == REGULAR) != (product.monthly > 0):
        fail(TERMS, "savings.monthly", product.kind, product.monthly)
    if (product.basis != DAILY and product.kind in (TERM, REGULAR)) or (
        product.basis == AVERAGE and len(floors) > 1
    ):
        fail(TERMS, "savings.basis", DAILY, product.basis)
    if product.reserve_bp >= WHOLE_BP:
        fail(TERMS, "savings.reserve_bp", WHOLE_BP - 1, product.reserve_bp)
    _, products, accounts = COUNTER.get(view, COUNTER.key()) or (SCHEMA, 0, 0)
    number = products + 1
    COUNTER.put(view, COUNTER.key(), (SCHEMA, number, accounts))
    PRODUCTS.put(view, PRODUCTS.key(number), pack_record(product))
    none, today = (0,) * len(floors), environment.day
    TOTALS.put(
        view,
        TOTALS.key(number),
        (SCHEMA, none, pack_exact(0), today, 0, 0, none, find_posting(product, today)),
    )
    set_rates(ctx, number, rates)
    ctx.emit(PRODUCT_MADE, number)
    return number


def set_rates(ctx: Context, number: int, rates: tuple[int, ...]) -> Value:
    """Set what a product earns from today on; what was earned stays."""
    product = get_product(ctx.view, number)
    if len(rates) != len(product.floors):
        fail(TERMS, "savings.rates", len(product.floors), len(rates))
    key = RATE_HISTORY.key(number, DAY_LAST - ctx.environment.day)
    RATE_HISTORY.put(ctx.view, key, (SCHEMA, rates))
    return True


# --- accounts


def open_savings(ctx: Context, owner: Address, number: int, amount: int) -> Value:
    """Open an account with a first deposit; returns its number."""
    view, today = ctx.view, ctx.environment.day
    product = get_product(view, number)
    member, record = get_by_account(view, owner)
    if record.status not in (ACTIVE, PROBATION):
        fail(STANDING, "savings.open", ACTIVE, record.status)
    if product.kind == GROUP and record.kind != MEMBER_GROUP:
        fail(KIND, "savings.group", MEMBER_GROUP, record.kind)
    count = sum([1 for _ in ACCOUNTS.scan_index(view, BY_MEMBER, member)])
    if count >= ACCOUNTS_MAX:
        fail(TERMS, "savings.accounts", ACCOUNTS_MAX, count + 1)
    if amount < max(product.minimum, 1):
        fail(BELOW_MINIMUM, "savings.minimum", max(product.minimum, 1), amount)
    _, products, accounts = COUNTER.get(view, COUNTER.key()) or (SCHEMA, 0, 0)
    new = accounts + 1
    COUNTER.put(view, COUNTER.key(), (SCHEMA, products, new))
    matures = today + product.term_days if product.kind == TERM else 0
    account = Account(member, number, pack_exact(0), today, 0, 0, 0, today, matures, 0, 0)
    put_savings(view, new, account)
    open_account(view, ledger_key(new, product))
    bind(view, member, ID)
    ctx.emit(OPENED, new, member, number)
    _pay_in(ctx, owner, new, account, product, amount)
    return new


def deposit(ctx: Context, owner: Address, number: int, amount: int) -> Value:
    """Put more into an account that is not for a term; returns the balance."""
    account, product = _find(ctx, owner, number)
    if product.kind == TERM:
        fail(KIND, "savings.term", None, number)
    _, record = get_by_account(ctx.view, owner)
    if record.status not in (ACTIVE, PROBATION, SUSPENDED):
        fail(STANDING, "savings.deposit", ACTIVE, record.status)
    _pay_in(ctx, owner, number, account, product, amount)
    return find_balance(ctx.view, number, product)


def withdraw(ctx: Context, owner: Address, number: int, amount: int) -> Value:
    """Take money back; returns the balance.

    Rules: 1. what is locked or waits in the queue stays. 2. the minimum stays, unless all is taken. 3. with
        notice only what notice was given for, from its day on. 4. when too little is liquid, or others wait,
        only what is always free in a day.
    """
    view = ctx.view
    account, product = _find(ctx, owner, number)
    if product.kind == TERM:
        fail(KIND, "savings.term", account.matures, ctx.environment.day)
    account = settle(ctx, number, account, product)
    balance = find_balance(view, number, product)
    _check_free(ctx, number, account, product, balance, amount)
    account = use_notice(ctx, account, product, amount)
    check_liquid(ctx, account.member, product, amount)
    _pay_out(ctx, number, account, product, owner, amount)
    return balance - amount


def give_notice(ctx: Context, owner: Address, number: int, amount: int) -> Value:
    """Give notice of a withdrawal, in place of an older one; returns the first day of it."""
    account, product = _find(ctx, owner, number)
    if product.kind != NOTICE:
        fail(KIND, "savings.notice", NOTICE, product.kind)
    day = ctx.environment.day + product.notice_days
    put_savings(ctx.view, number, replace(account, notice=amount, notice_day=day))
    return day


def end_term(ctx: Context, owner: Address, number: int) -> Value:
    """Take a term deposit back, with all its interest at the end, or less a part of it before; returns it.

    Rules: 1. interest that was credited already stays.
    """
    view, today = ctx.view, ctx.environment.day
    account, product = _find(ctx, owner, number)
    if product.kind != TERM:
        fail(KIND, "savings.term", TERM, product.kind)
    bound = account.locked + count_waiting(view, product.asset, number)
    if bound:
        fail(NOT_FREE, "savings.locked", 0, bound)
    account = settle(ctx, number, account, product)
    if today < account.matures:
        kept = mul_div(
            max(read_exact(account.earned), 0), WHOLE_BP - product.break_bp, WHOLE_BP, Rounding.FLOOR
        )
        lost = read_exact(account.earned) - kept
        account = replace(account, earned=pack_exact(kept))
        _forget_earned(ctx, account.product, lost)
    account = credit(ctx, number, account, product)
    balance = find_balance(view, number, product)
    check_liquid(ctx, account.member, product, balance)
    _pay_out(ctx, number, account, product, owner, balance)
    _end(ctx, number)
    return balance


def close(ctx: Context, owner: Address, number: int) -> Value:
    """Close an account: its interest is credited and all of it paid out; returns the amount."""
    view = ctx.view
    account, product = _find(ctx, owner, number)
    if product.kind == TERM and find_balance(view, number, product):
        fail(KIND, "savings.term", account.matures, ctx.environment.day)
    account = settle(ctx, number, account, product)
    put_savings(view, number, account)
    account = credit(ctx, number, account, product)
    balance = find_balance(view, number, product)
    if balance:
        _check_free(ctx, number, account, product, balance, balance)
        account = use_notice(ctx, account, product, balance)
        check_liquid(ctx, account.member, product, balance)
        _pay_out(ctx, number, account, product, owner, balance)
    _end(ctx, number)
    return balance


def _end(ctx: Context, number: int) -> None:
    """Forget an account that is empty, with the part of a unit that it has earned."""
    account = get_savings(ctx.view, number)
    _forget_earned(ctx, account.product, read_exact(account.earned))
    ACCOUNTS.delete(ctx.view, ACCOUNTS.key(number))
    unbind(ctx.view, account.member, ID)


def _find(ctx: Context, owner: Address, number: int) -> tuple[Account, Product]:
    account = get_savings(ctx.view, number)
    member, record = get_by_account(ctx.view, owner)
    if account.member != member:
        fail(NO_ACCOUNT, "savings.account_of_member", None, number)
    if record.status not in (ACTIVE, PROBATION, SUSPENDED, EXITING):
        fail(STANDING, "savings.owner", ACTIVE, record.status)
    return account, get_product(ctx.view, account.product)


def _check_free(
    ctx: Context, number: int, account: Account, product: Product, balance: int, amount: int
) -> None:
    waiting = count_waiting(ctx.view, product.asset, number)
    free = balance - account.locked - waiting
    if amount > free:
        fail(NOT_FREE, "savings.free", max(free, 0), amount)
    left = balance - amount
    if 0 < left < product.minimum:
        fail(BELOW_MINIMUM, "savings.minimum", product.minimum, left)


def _pay_in(
    ctx: Context, owner: Address, number: int, account: Account, product: Product, amount: int
) -> None:
    view = ctx.view
    account = settle(ctx, number, account, product)
    before = find_balance(view, number, product)
    put_savings(view, number, change_balance(ctx, account, product, before, before + amount, amount))
    source = account_key(owner, MEMBER_FREE, product.asset)
    leg(ctx, source, ledger_key(number, product), amount, CODE_DEPOSIT)
    _wake(ctx, account.product)
    note_deposit(view, account.member, ctx.environment.day)
    ctx.emit(MOVED, number, account.member, amount, 0)


def _pay_out(
    ctx: Context, number: int, account: Account, product: Product, owner: Address, amount: int
) -> None:
    view = ctx.view
    before = find_balance(view, number, product)
    put_savings(view, number, change_balance(ctx, account, product, before, before - amount, -amount))
    target = account_key(owner, MEMBER_FREE, product.asset)
    open_account(view, target)
    leg(ctx, ledger_key(number, product), target, amount, CODE_WITHDRAW)
    ctx.emit(MOVED, number, account.member, 0, amount)


def _forget_earned(ctx: Context, number: int, lost: int) -> None:
    """Take exact interest that nobody will get from the sum of a product."""
    view = ctx.view
    product = get_product(view, number)
    settle_total(ctx, number, product)
    row = TOTALS.get(view, TOTALS.key(number))
    assert row is not None, "a product has its sum"
    TOTALS.put(view, TOTALS.key(number), (*row[:2], pack_exact(read_exact(row[2]) - lost), *row[3:]))
    settle_total(ctx, number, product)


# --- by the chain itself


def _wake(ctx: Context, number: int) -> None:
    """Let a product be brought up every day from now on, as long as somebody saves in it."""
    row = TOTALS.get(ctx.view, TOTALS.key(number))
    assert row is not None, "a product has its sum"
    if row[5]:
        return
    midnight = compute_midnight(ctx.environment.day + 1, ctx.environment.utc_offset_seconds)
    daily = ((), ((ID, DAILY_METHOD, 0, (number,)),))
    job = sched.schedule(ctx, daily, (), midnight + 60, (DAYS, 1), catches_up=False)
    TOTALS.put(ctx.view, TOTALS.key(number), (*row[:5], job, *row[6:]))


def _sleep(ctx: Context, number: int) -> None:
    """Run no more when nothing is saved and no whole unit is owed."""
    row = TOTALS.get(ctx.view, TOTALS.key(number))
    assert row is not None, "a product has its sum"
    if not any(row[6]) and not row[4] and row[5]:
        sched.cancel(ctx, row[5])
        TOTALS.put(ctx.view, TOTALS.key(number), (*row[:5], 0, *row[6:]))


def run_day(ctx: Context, number: int) -> Value:
    """Bring the books of a product up to today, pay who waits, and begin to credit when a period has ended.

    Rules: 1. a product in which nobody saves rests until somebody does.
    """
    view = ctx.view
    product = get_product(view, number)
    settle_total(ctx, number, product)
    pay_exits(ctx, product)
    row = TOTALS.get(view, TOTALS.key(number))
    assert row is not None, "a product has its sum"
    turn = find_posting(product, ctx.environment.day)
    if row[7] < turn and product.kind != TERM:
        TOTALS.put(view, TOTALS.key(number), (*row[:7], turn))
        _credit_later(ctx, number, 0)
    _sleep(ctx, number)
    return True


def credit_some(ctx: Context, number: int, after: int) -> Value:
    """Credit the interest of some accounts of a product, and come again for the rest; returns how many."""
    view, begun = ctx.view, ctx.view.gas_used
    product = get_product(view, number)
    found: list[int] = []
    for _, account in ACCOUNTS.scan_index(view, BY_PRODUCT, number, after=(after,)):
        assert type(account) is int
        found.append(account)
        if len(found) > CREDIT_ITEMS:
            break
    done = 0
    while done < min(len(found), CREDIT_ITEMS) and view.gas_used - begun < CREDIT_GAS:
        account = found[done]
        put_savings(view, account, settle(ctx, account, get_savings(view, account), product))
        done += 1
    if done < len(found):
        _credit_later(ctx, number, found[done - 1])
    return done


def _credit_later(ctx: Context, number: int, after: int) -> None:
    program = ((), ((ID, CREDIT_METHOD, 0, (number, after)),))
    sched.schedule(ctx, program, (), int(ctx.environment.time) + 1)


# --- doors for the contracts above


def lock(ctx: Context, number: int, amount: int) -> None:
    """Hold so much more of an account for a guarantee.

    Raises:
        CallFailed: NOT_FREE.
    """
    account = get_savings(ctx.view, number)
    product = get_product(ctx.view, account.product)
    free = find_balance(ctx.view, number, product) - account.locked
    free -= count_waiting(ctx.view, product.asset, number)
    if amount > free:
        fail(NOT_FREE, "savings.lock", max(free, 0), amount)
    put_savings(ctx.view, number, replace(account, locked=account.locked + amount))


def unlock(ctx: Context, number: int, amount: int) -> None:
    """Free what was held."""
    account = get_savings(ctx.view, number)
    assert amount <= account.locked, "who frees has locked"
    put_savings(ctx.view, number, replace(account, locked=account.locked - amount))


def seize(ctx: Context, number: int, amount: int, target: bytes, code: int) -> None:
    """Pay so much of what is held of an account to a ledger account, as its owner has promised."""
    inside, view = ctx.enter(ID), ctx.view
    account = get_savings(view, number)
    assert amount <= account.locked, "who takes has locked"
    product = get_product(view, account.product)
    account = settle(inside, number, account, product)
    before = find_balance(view, number, product)
    account = change_balance(inside, account, product, before, before - amount)
    put_savings(view, number, replace(account, locked=account.locked - amount))
    leg(inside, ledger_key(number, product), target, amount, code)
    inside.emit(MOVED, number, account.member, 0, amount)
