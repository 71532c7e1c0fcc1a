"""Classes, buying, instalments and pledges: all that makes a holding larger or binds it.

What makes it smaller is `queue.py`.
"""

from typing import Final

from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.legs import leg
from protocol.contracts.members.records import ACTIVE, APPLICANT, MEMBER, PROBATION, Member, get_by_account
from protocol.contracts.members.standing import set_shares_paid
from protocol.contracts.shares.records import (
    ADDRESS_OF,
    CLASS,
    CLASSES,
    COUNT,
    COUNTER,
    ESCROW,
    ID,
    MAX_HOLDING,
    NO_PLEDGE,
    NOTHING,
    PLEDGES,
    STANDING,
    TERMS,
    TOO_FEW,
    ClassRow,
    HoldingRow,
    capital_key,
    get_class,
    get_holding,
    put_holding,
)
from protocol.errors import Code
from protocol.money import check_amount
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import ADDRESS, AMOUNT, Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

CODE_BUY: Final = 2302
CODE_INSTALMENT: Final = 2304
CODE_INSTALMENT_BACK: Final = 2306

CREATED: Final = EventType(ID, 1, "class_created", (Field("class", CLASS),), "A class of shares exists.")
BOUGHT: Final = EventType(
    ID,
    2,
    "bought",
    (Field("member", MEMBER), Field("class", CLASS), Field("shares", COUNT), Field("paid", AMOUNT)),
    "A member has paid shares.",
)
INSTALMENT: Final = EventType(
    ID,
    3,
    "instalment",
    (Field("member", MEMBER), Field("class", CLASS), Field("amount", AMOUNT)),
    "A member has paid towards a share.",
)
PLEDGED: Final = EventType(
    ID,
    4,
    "pledged",
    (Field("member", MEMBER), Field("class", CLASS), Field("keeper", ADDRESS), Field("shares", COUNT)),
    "So many shares of a member are pledged to a keeper now.",
)


def create_class(
    ctx: Context, name: str, asset: int, par: int, membership: bool, minimum: int, maximum: int, *terms: int
) -> Value:
    """Create a class; returns its number."""
    view = ctx.view
    _check_terms(minimum, maximum)
    _, classes, requests = COUNTER.get(view, COUNTER.key()) or (SCHEMA, 0, 0)
    number = classes + 1
    COUNTER.put(view, COUNTER.key(), (SCHEMA, number, requests))
    after, cap, solvency, dividend = terms
    row = (SCHEMA, name, asset, par, membership, minimum, maximum, after, cap, solvency, dividend, 0, 0)
    CLASSES.put(view, CLASSES.key(number), row)
    ctx.emit(CREATED, number)
    return number


def set_terms(ctx: Context, number: int, minimum: int, maximum: int, *terms: int) -> Value:
    """Change what may change in a class; asset and par may not."""
    row = get_class(ctx.view, number)
    _check_terms(minimum, maximum)
    after, cap, solvency, dividend = terms
    new = (*row[:5], minimum, maximum, after, cap, solvency, dividend, *row[11:])
    CLASSES.put(ctx.view, CLASSES.key(number), new)
    return True


def _check_terms(minimum: int, maximum: int) -> None:
    if minimum > maximum:
        fail(TERMS, "shares.minimum", maximum, minimum)


def buy(ctx: Context, account: Address, number: int, count: int) -> Value:
    """Pay shares from the free balance; returns how many the member holds."""
    view = ctx.view
    member, record, row, holding = _find(view, account, number)
    _check_buyer(record, row, holding, count)
    amount = check_amount(count * row[3])
    capital = capital_key(member, row[2])
    open_account(view, capital)
    leg(ctx, account_key(account, MEMBER_FREE, row[2]), capital, amount, CODE_BUY)
    _add(ctx, member, record, number, row, holding, count, holding[2])
    return holding[1] + count


def pay_instalment(ctx: Context, account: Address, number: int, amount: int) -> Value:
    """Pay towards shares; what makes whole ones becomes capital. Returns how many it made."""
    view = ctx.view
    member, record, row, holding = _find(view, account, number)
    count, rest = divmod(holding[2] + amount, row[3])
    _check_buyer(record, row, holding, count + (rest > 0))
    waiting = account_key(ADDRESS_OF, ESCROW, row[2], member)
    open_account(view, waiting)
    leg(ctx, account_key(account, MEMBER_FREE, row[2]), waiting, amount, CODE_INSTALMENT)
    ctx.emit(INSTALMENT, member, number, amount)
    if count:
        capital = capital_key(member, row[2])
        open_account(view, capital)
        leg(ctx, waiting, capital, check_amount(count * row[3]), CODE_BUY)
    _add(ctx, member, record, number, row, holding, count, rest)
    return count


def return_instalment(ctx: Context, account: Address, number: int) -> Value:
    """Take back what was paid towards a share; returns the amount."""
    view = ctx.view
    member, _, row, holding = _find(view, account, number)
    amount = holding[2]
    if not amount:
        fail(NOTHING, "shares.instalment", 0, 0)
    waiting = account_key(ADDRESS_OF, ESCROW, row[2], member)
    leg(ctx, waiting, account_key(account, MEMBER_FREE, row[2]), amount, CODE_INSTALMENT_BACK)
    put_holding(ctx, member, number, holding, (SCHEMA, holding[1], 0, *holding[3:]))
    return amount


def _find(view: View, account: Address, number: int) -> tuple[int, Member, ClassRow, HoldingRow]:
    member, record = get_by_account(view, account)
    return member, record, get_class(view, number), get_holding(view, member, number)


def _check_buyer(record: Member, row: ClassRow, holding: HoldingRow, count: int) -> None:
    if record.status not in (APPLICANT, PROBATION, ACTIVE):
        fail(STANDING, "shares.buy", None, record.status)
    if holding[1] + count > row[6]:
        fail(MAX_HOLDING, "shares.maximum", row[6], holding[1] + count)


def _add(
    ctx: Context,
    member: int,
    record: Member,
    number: int,
    row: ClassRow,
    holding: HoldingRow,
    count: int,
    rest: int,
) -> None:
    since = ctx.environment.day if count else holding[5]
    new = (SCHEMA, holding[1] + count, rest, holding[3], holding[4], since)
    put_holding(ctx, member, number, holding, new)
    if count:
        ctx.emit(BOUGHT, member, number, count, count * row[3])
        if row[4]:
            set_shares_paid(ctx, member, check_amount(record.shares_paid + count * row[3]))


def pledge(ctx: Context, account: Address, number: int, count: int, keeper: Address) -> Value:
    """Bind shares until the keeper frees them; returns how many are pledged to the keeper."""
    view = ctx.view
    member, _, _, holding = _find(view, account, number)
    if not auth.is_open(view, keeper):
        fail(Code.NO_ACCOUNT, "shares.keeper", None, keeper)
    free = holding[1] - holding[3] - holding[4]
    if count > free:
        fail(TOO_FEW, "shares.free", free, count)
    new = (SCHEMA, holding[1], holding[2], holding[3] + count, *holding[4:])
    put_holding(ctx, member, number, holding, new)
    key = PLEDGES.key(member, number, keeper)
    old = PLEDGES.get(view, key)
    total = count if old is None else old[1] + count
    PLEDGES.put(view, key, (SCHEMA, total))
    ctx.emit(PLEDGED, member, number, keeper, total)
    return total


def release_pledge(ctx: Context, keeper: Address, member: int, number: int, count: int) -> Value:
    """Free pledged shares; returns how many stay pledged to the keeper."""
    view = ctx.view
    key = PLEDGES.key(member, number, keeper)
    old = PLEDGES.get(view, key)
    held = 0 if old is None else old[1]
    if count > held:
        fail(NO_PLEDGE, "shares.pledge", held, count)
    if count == held:
        PLEDGES.delete(view, key)
    else:
        PLEDGES.put(view, key, (SCHEMA, held - count))
    holding = get_holding(view, member, number)
    new = (SCHEMA, holding[1], holding[2], holding[3] - count, *holding[4:])
    put_holding(ctx, member, number, holding, new)
    ctx.emit(PLEDGED, member, number, keeper, held - count)
    return held - count
