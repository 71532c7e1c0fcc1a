"""The exit queue: what happens when more is asked for than is liquid.

Liquid is what custodians and cashiers hold beyond what members have free; a product asks that it be a part
of all savings. Below that, or while others wait, a member gets a small amount a day, and the rest of what he
asks waits. Whatever becomes liquid is paid by the day, in equal parts of what was asked: who comes first has
no advantage, so nobody has to run.

*Source*: contracts.md D12, 5.9.
"""

from dataclasses import replace
from functools import partial
from typing import Final

from protocol.codec import Value
from protocol.contracts.ledger.accounts import CASHIER_FLOAT, CUSTODY, MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.books import find_balance as find_class
from protocol.contracts.ledger.books import list_balances
from protocol.contracts.ledger.legs import leg
from protocol.contracts.members.records import get_by_account, get_member
from protocol.contracts.savings.interest import change_balance, settle
from protocol.contracts.savings.records import (
    ACCOUNT,
    EXITS,
    FREE_USED,
    ID,
    KIND,
    LIQUIDITY,
    NO_ACCOUNT,
    NO_NOTICE,
    NOT_FREE,
    NOTICE,
    QUEUED,
    SAVINGS,
    TERM,
    TERM_DEPOSIT,
    Account,
    Product,
    find_balance,
    get_product,
    get_savings,
    ledger_key,
    put_savings,
)
from protocol.elections.decision import WHOLE_BP
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import AMOUNT, Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

CODE_EXIT: Final = 3014
EXITS_PER_DAY_MAX: Final = 100
EXITS_GAS: Final = 600_000
"""No more are paid in a day once so many were, or so much was used."""
EXIT_GAS_MAX: Final = 200_000
"""Most that one payment from the queue may use, so that a run that has begun with it ends within its gas."""

WAITS: Final = EventType(
    ID,
    5,
    "waits",
    (Field("account", ACCOUNT), Field("amount", AMOUNT, "0: no more")),
    "A withdrawal waits until enough is liquid.",
)


def compute_budget(view: View, asset: int, reserve_bp: int) -> int:
    """Compute how much can leave savings so that enough stays liquid: the largest x for which
    liquid - x is at least its part of savings - x."""
    balances = list_balances(view, asset)
    liquid = find_class(balances, CUSTODY) + find_class(balances, CASHIER_FLOAT)
    liquid -= find_class(balances, MEMBER_FREE)
    saved = find_class(balances, SAVINGS) + find_class(balances, TERM_DEPOSIT)
    return max(0, (WHOLE_BP * liquid - reserve_bp * saved) // (WHOLE_BP - reserve_bp))


def check_liquid(ctx: Context, member: int, product: Product, amount: int) -> None:
    """Check that an amount may leave a member's savings now.

    Raises:
        CallFailed: LIQUIDITY, with what may still leave today.
    """
    view, today = ctx.view, ctx.environment.day
    is_waited = any(True for _ in EXITS.scan(view, product.asset))
    if not product.reserve_bp or (
        not is_waited and amount <= compute_budget(view, product.asset, product.reserve_bp)
    ):
        return
    key = FREE_USED.key(product.asset, member)
    row = FREE_USED.get(view, key)
    used = row[2] if row is not None and row[1] == today else 0
    if used + amount > product.daily_free:
        fail(LIQUIDITY, "savings.liquidity", product.daily_free - used, amount)
    FREE_USED.put(view, key, (SCHEMA, today, used + amount))


def count_waiting(view: View, asset: int, number: int) -> int:
    """Return what of an account waits in the queue."""
    row = EXITS.get(view, EXITS.key(asset, number))
    return 0 if row is None else row[1]


def use_notice(ctx: Context, account: Account, product: Product, amount: int) -> Account:
    """Use up the notice that a withdrawal needs.

    Raises:
        CallFailed: NO_NOTICE.
    """
    if product.kind != NOTICE:
        return account
    if amount > account.notice or ctx.environment.day < account.notice_day:
        fail(NO_NOTICE, "savings.notice", account.notice, amount)
    return replace(account, notice=account.notice - amount)


def queue_exit(ctx: Context, owner: Address, number: int, amount: int) -> Value:
    """Let a withdrawal wait until enough is liquid, in place of what waited before; 0 takes it back."""
    view = ctx.view
    account = get_savings(view, number)
    product = get_product(view, account.product)
    member, _ = get_by_account(view, owner)
    if account.member != member:
        fail(NO_ACCOUNT, "savings.account_of_member", None, number)
    if product.kind == TERM and ctx.environment.day < account.matures:
        fail(KIND, "savings.term", account.matures, ctx.environment.day)
    free = find_balance(view, number, product) - account.locked
    if amount > free:
        fail(NOT_FREE, "savings.free", free, amount)
    put_savings(view, number, use_notice(ctx, account, product, amount))
    key = EXITS.key(product.asset, number)
    if amount:
        EXITS.put(view, key, (SCHEMA, amount))
    elif EXITS.get(view, key) is None:
        fail(QUEUED, "savings.queue", None, number)
    else:
        EXITS.delete(view, key)
    ctx.emit(WAITS, number, amount)
    return amount


def pay_exits(ctx: Context, product: Product) -> None:
    """Pay who waits, each the same part of what he asked.

    Rules: 1. when more wait than one day pays, they take turns. 2. whom it cannot be paid to, as when his
        balance is frozen, waits on and holds up nobody.
    """
    view, asset = ctx.view, product.asset
    waiting: list[tuple[int, int]] = []
    for key, row in EXITS.scan(view, asset):
        number = EXITS.parts(key)[1]
        assert type(number) is int
        waiting.append((number, row[1]))
    if not waiting:
        return
    asked = sum([amount for _, amount in waiting])
    budget = min(asked, compute_budget(view, asset, product.reserve_bp))
    first, begun = ctx.environment.day * EXITS_PER_DAY_MAX % len(waiting), view.gas_used
    for number, amount in (*waiting[first:], *waiting[:first])[:EXITS_PER_DAY_MAX]:
        part = amount * budget // asked
        if part and view.gas_used - begun < EXITS_GAS:
            ctx.attempt(EXIT_GAS_MAX, partial(_pay, ctx, number, amount, part))


def _pay(ctx: Context, number: int, asked: int, amount: int) -> None:
    view = ctx.view
    account = get_savings(view, number)
    product = get_product(view, account.product)
    account = settle(ctx, number, account, product)
    before = find_balance(view, number, product)
    put_savings(view, number, change_balance(ctx, account, product, before, before - amount, -amount))
    target = account_key(get_member(view, account.member).account, MEMBER_FREE, product.asset)
    open_account(view, target)
    leg(ctx, ledger_key(number, product), target, amount, CODE_EXIT)
    key = EXITS.key(product.asset, number)
    if amount < asked:
        EXITS.put(view, key, (SCHEMA, asked - amount))
    else:
        EXITS.delete(view, key)
    ctx.emit(WAITS, number, asked - amount)
