"""Guarantees: offered, taken back, replaced, made smaller as the loan is repaid, and called.

A promise is locked in the guarantor's savings as it is made, so nothing has to be looked for when it is
called. The books keep what is promised as a memorandum, Dr 9010, Cr 9011.
"""

from dataclasses import replace
from typing import Final

from protocol.codec import Value
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.legs import leg
from protocol.contracts.members.records import ACTIVE as MEMBER_ACTIVE
from protocol.contracts.members.records import MEMBER, find_by_account, get_by_account, get_member
from protocol.contracts.members.standing import bind, unbind
from protocol.contracts.savings.methods import lock, seize, unlock
from protocol.contracts.savings.records import NO_ACCOUNT as NO_SAVINGS
from protocol.contracts.savings.records import get_product, get_savings, sum_savings
from protocol.contracts.security.records import (
    ACTIVE,
    ADDRESS_OF,
    GUARANTEE,
    GUARANTEES,
    GUARANTEES_CONTRA,
    GUARANTEES_MAX,
    ID,
    LATE,
    LOAN,
    OFFERED,
    RING,
    STANDING,
    STATE,
    SUB_MAX,
    TERMS,
    TOO_MANY,
    TOO_MUCH,
    Case,
    Guarantee,
    get_case,
    get_guarantee,
    get_limits,
    list_cases,
    list_given,
    list_guarantees,
    put_guarantee,
)
from protocol.elections.decision import WHOLE_BP
from protocol.money import Rounding, mul_div, split_by_weight
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import AMOUNT, Field
from protocol.vm.view import View

CODE_PROMISE: Final = 3310
CODE_PROMISE_OVER: Final = 3312
CODE_CALL: Final = 3314
CODE_PAY_BACK: Final = 3326

_OF_GUARANTEE: Final = (Field("loan", LOAN), Field("guarantor", MEMBER))
STOOD: Final = EventType(
    ID, 1, "stood", (*_OF_GUARANTEE, Field("amount", AMOUNT)), "A member offers to stand for a loan."
)
HOLDS: Final = EventType(
    ID,
    2,
    "holds",
    (*_OF_GUARANTEE, Field("held", AMOUNT, "0: the guarantee is over")),
    "A guarantee holds less, or nothing any more.",
)
CALLED: Final = EventType(
    ID, 3, "called", (*_OF_GUARANTEE, Field("amount", AMOUNT)), "A guarantor has paid for a loan."
)
REPLACED: Final = EventType(
    ID, 4, "replaced", (*_OF_GUARANTEE, Field("by", MEMBER)), "Another member stands for a loan instead."
)


# --- methods


def offer_guarantee(ctx: Context, owner: Address, loan: int, account: int, amount: int) -> Value:
    """Offer to stand for another's loan with a part of one's savings; returns what is offered.

    Rules: 1. an active member, not the borrower, once for a loan. 2. as many as the loan takes, and as the
        co-op lets a member give. 3. all that a member promises is at most its part of what he saves. 4. no
        loan of his own is long overdue. 5. nobody closes a ring.
    """
    view = ctx.view
    case = get_case(view, loan)
    guarantor, record = get_by_account(view, owner)
    if record.status != MEMBER_ACTIVE:
        fail(STANDING, "security.guarantor", MEMBER_ACTIVE, record.status)
    if guarantor == case.borrower:
        fail(TERMS, "security.other_member", None, guarantor)
    if GUARANTEE.get(view, GUARANTEE.key(loan, guarantor)) is not None:
        fail(STATE, "security.once", 1, 2)
    _check_count(view, loan, case, guarantor)
    _check_own_loans(view, guarantor)
    savings = get_savings(view, account)
    if savings.member != guarantor:
        fail(NO_SAVINGS, "security.account_of_member", None, account)
    if get_product(view, savings.product).asset != case.asset:
        fail(TERMS, "security.asset", case.asset, get_product(view, savings.product).asset)
    _check_sum(view, guarantor, case.asset, amount)
    check_ring(view, guarantor, case.borrower)
    lock(ctx, account, amount)
    put_guarantee(view, loan, guarantor, Guarantee(case.borrower, account, amount, amount, 0, OFFERED))
    bind(view, guarantor, ID)
    ctx.emit(STOOD, loan, guarantor, amount)
    return amount


def withdraw_guarantee(ctx: Context, owner: Address, loan: int) -> Value:
    """Take an offer back before the loan is disbursed, or one that was not needed; returns what is free."""
    guarantor, _ = get_by_account(ctx.view, owner)
    return _end_offer(ctx, loan, guarantor)


def decline_guarantee(ctx: Context, owner: Address, loan: int, guarantor: int) -> Value:
    """Do without an offer, as the borrower; returns what is free again."""
    case = get_case(ctx.view, loan)
    if find_by_account(ctx.view, owner) != case.borrower:
        fail(STANDING, "security.borrower", case.borrower, owner)
    return _end_offer(ctx, loan, guarantor)


def _end_offer(ctx: Context, loan: int, guarantor: int) -> int:
    guarantee = get_guarantee(ctx.view, loan, guarantor)
    if guarantee.state != OFFERED:
        fail(STATE, "security.offered", OFFERED, guarantee.state)
    end_guarantee(ctx, loan, guarantor, guarantee)
    return guarantee.held


def substitute(ctx: Context, owner: Address, loan: int, by: int) -> Value:
    """Let another member stand in one's place; returns what he holds.

    Rules: 1. he has offered at least as much, which is his consent. 2. what he offered beyond it is free.
    """
    view = ctx.view
    case = get_case(view, loan)
    guarantor, _ = get_by_account(view, owner)
    old, new = get_guarantee(view, loan, guarantor), get_guarantee(view, loan, by)
    if old.state != ACTIVE or new.state != OFFERED:
        fail(STATE, "security.substitute", OFFERED, new.state)
    if new.held < old.held:
        fail(TOO_MUCH, "security.substitute", old.held, new.held)
    _check_own_loans(view, by)
    unlock(ctx, new.account, new.held - old.held)
    put_guarantee(view, loan, by, replace(old, account=new.account, called=0))
    _note(ctx, case, loan, old.held)
    end_guarantee(ctx, loan, guarantor, old)
    ctx.emit(REPLACED, loan, guarantor, by)
    return old.held


# --- limits


def _check_count(view: View, loan: int, case: Case, guarantor: int) -> None:
    others = list_guarantees(view, loan)
    most = GUARANTEES_MAX if case.is_bound else min(case.guarantors_max, GUARANTEES_MAX)
    if len(others) >= most:
        fail(TOO_MANY, "security.guarantors", most, len(others) + 1)
    given, limit = len(list_given(view, guarantor)), get_limits(view).guarantees_max
    if given >= limit:
        fail(TOO_MANY, "security.guarantees", limit, given + 1)


def _check_own_loans(view: View, guarantor: int) -> None:
    for loan, case in list_cases(view, guarantor):
        if case.is_late:
            fail(LATE, "security.own_loan", None, loan)


def _check_sum(view: View, guarantor: int, asset: int, more: int) -> None:
    """Check that all that a member promises in an asset is at most its part of what he saves in it."""
    promised = sum([g.held for loan, g in list_given(view, guarantor) if get_case(view, loan).asset == asset])
    most = sum_savings(view, guarantor, asset) * get_limits(view).factor_bp // WHOLE_BP
    if promised + more > most:
        fail(TOO_MUCH, "security.savings", max(most - promised, 0), more)


def list_neighbours(view: View, member: int) -> tuple[int, ...]:
    """List whom a member stands for and who stands for him, ascending."""
    found = [guarantee.borrower for _, guarantee in list_given(view, member)]
    for loan, _ in list_cases(view, member):
        found += [guarantor for guarantor, _ in list_guarantees(view, loan)]
    return tuple(sorted(dict.fromkeys(found)))


def find_ring(view: View, guarantor: int, borrower: int) -> int:
    """Return the length of the ring that a promise is part of, or would close; 0: none of up to three.

    Rules: 1. two members who stand for each other. 2. three of whom each two are tied, whichever way: what
        one cannot pay falls on the others.
    """
    if any(g.borrower == guarantor for _, g in list_given(view, borrower)):
        return 2
    mine, theirs = list_neighbours(view, guarantor), list_neighbours(view, borrower)
    return 3 if any(third in theirs for third in mine if third not in (guarantor, borrower)) else 0


def check_ring(view: View, guarantor: int, borrower: int) -> None:
    """Check that a promise closes no ring that the co-op refuses.

    Raises:
        CallFailed: RING.
    """
    limit = get_limits(view).ring_length
    length = find_ring(view, guarantor, borrower) if limit else 0
    if length and length <= limit:
        fail(RING, "security.ring", limit, length)


# --- doors


def begin(ctx: Context, loan: int, case: Case) -> None:
    """Let the offers for a loan count from now on."""
    for guarantor, guarantee in list_guarantees(ctx.view, loan):
        put_guarantee(ctx.view, loan, guarantor, replace(guarantee, state=ACTIVE))
        _note(ctx, case, loan, guarantee.held)


def shrink_guarantees(ctx: Context, loan: int, case: Case, out: int, whole: int, spare: int) -> int:
    """Free what guarantees hold beyond their part of the principal that is out; returns the sum.

    Rules: 1. no more than the loan can spare; if that is less, each frees his part of it.
    """
    active = [(n, g) for n, g in list_guarantees(ctx.view, loan) if g.state == ACTIVE]
    needed = [mul_div(g.amount, out, whole, Rounding.CEIL) for _, g in active]
    more = tuple([max(g.held - left, 0) for (_, g), left in zip(active, needed, strict=True)])
    freed = min(sum(more), spare)
    if not freed:
        return 0
    for (guarantor, guarantee), part in zip(active, split_by_weight(freed, more), strict=True):
        if part:
            unlock(ctx, guarantee.account, part)
            _note(ctx, case, loan, -part)
            put_guarantee(ctx.view, loan, guarantor, replace(guarantee, held=guarantee.held - part))
            ctx.emit(HOLDS, loan, guarantor, guarantee.held - part)
    return freed


def call_guarantees(ctx: Context, loan: int, amount: int, target: bytes) -> int:
    """Let the guarantors of a loan pay an amount, each by what he holds; returns what was paid.

    Rules: 1. by largest remainder, ties to the smaller number. 2. nobody pays more than he holds.
    """
    active = [(n, g) for n, g in list_guarantees(ctx.view, loan) if g.state == ACTIVE and g.held]
    amount = min(amount, sum([g.held for _, g in active]))
    if not amount:
        return 0
    parts = split_by_weight(amount, tuple([g.held for _, g in active]))
    for (guarantor, guarantee), part in zip(active, parts, strict=True):
        if not part:
            continue
        seize(ctx, guarantee.account, part, target, CODE_CALL)
        _note(ctx, get_case(ctx.view, loan), loan, -part)
        paid = replace(guarantee, held=guarantee.held - part, called=guarantee.called + part)
        put_guarantee(ctx.view, loan, guarantor, paid)
        ctx.emit(CALLED, loan, guarantor, part)
    return amount


def pay_back_guarantors(ctx: Context, loan: int, case: Case, source: bytes, amount: int) -> int:
    """Give guarantors back what they have paid, each his part of what is left of it; returns the sum.

    Rules: 1. by largest remainder, ties to the smaller number. 2. nobody gets more than he has paid.
    """
    called = [(n, g) for n, g in list_guarantees(ctx.view, loan) if g.called]
    amount = min(amount, sum([g.called for _, g in called]))
    if not amount:
        return 0
    parts = split_by_weight(amount, tuple([g.called for _, g in called]))
    for (guarantor, guarantee), part in zip(called, parts, strict=True):
        if part:
            target = account_key(get_member(ctx.view, guarantor).account, MEMBER_FREE, case.asset)
            open_account(ctx.view, target)
            leg(ctx, source, target, part, CODE_PAY_BACK, loan.to_bytes(5, "big"))
            put_guarantee(ctx.view, loan, guarantor, replace(guarantee, called=guarantee.called - part))
    return amount


def end_guarantee(ctx: Context, loan: int, guarantor: int, guarantee: Guarantee) -> None:
    """Free what a guarantee holds, and forget it."""
    view = ctx.view
    unlock(ctx, guarantee.account, guarantee.held)
    if guarantee.state == ACTIVE:
        _note(ctx, get_case(view, loan), loan, -guarantee.held)
    GUARANTEE.delete(view, GUARANTEE.key(loan, guarantor))
    unbind(view, guarantor, ID)
    ctx.emit(HOLDS, loan, guarantor, 0)


def _note(ctx: Context, case: Case, loan: int, more: int) -> None:
    """Keep the memorandum of what is promised."""
    given, contra = (
        account_key(ADDRESS_OF, number, case.asset, loan & SUB_MAX)
        for number in (GUARANTEES, GUARANTEES_CONTRA)
    )
    for name in (given, contra):
        open_account(ctx.view, name)
    if more > 0:
        leg(ctx.enter(ID), given, contra, more, CODE_PROMISE)
    elif more < 0:
        leg(ctx.enter(ID), contra, given, -more, CODE_PROMISE_OVER)
