"""The doors of security for lending, in the order of a loan's life. Nobody else knocks here.

`register` with the application; `cover` and `guarantors` for the decision; `bind` on disbursement, or `drop`
when there will be none; `shrink` after each repayment; `mark_late` by ageing; `auction`, `collect` and `call`
to enforce; `pay_back` when a loss is recovered; `release` when the loan is over.
"""

from dataclasses import replace

from protocol.contracts.ledger.legs import leg
from protocol.contracts.members.records import get_member
from protocol.contracts.security.auctions import CODE_COLLECT, begin_sales, end_sales
from protocol.contracts.security.collateral import compute_cover, give
from protocol.contracts.security.guarantees import (
    begin,
    call_guarantees,
    end_guarantee,
    find_ring,
    pay_back_guarantors,
    shrink_guarantees,
)
from protocol.contracts.security.records import (
    CASES,
    COLLATERAL,
    ID,
    LOANS_MAX,
    PAPER,
    TOO_MANY,
    Case,
    Guarantee,
    escrow_key,
    get_case,
    list_cases,
    list_collateral,
    list_guarantees,
    put_case,
)
from protocol.money import Rounding, check_amount, mul_div
from protocol.vm.context import Context, fail
from protocol.vm.view import View


def register(
    ctx: Context, loan: int, borrower: int, asset: int, guarantors_max: int, kinds: tuple[int, ...] = ()
) -> None:
    """Let guarantees and collateral be offered for a loan that a member asks for.

    Args:
        kinds: of collateral that its terms take; none: all that the co-op does.

    Raises:
        CallFailed: TOO_MANY loans of one member.
    """
    count = len(list_cases(ctx.view, borrower))
    if count >= LOANS_MAX:
        fail(TOO_MANY, "security.loans", LOANS_MAX, count + 1)
    put_case(ctx.view, loan, Case(borrower, asset, guarantors_max, False, 0, 0, False, 0, 0, 0, kinds))


def cover(ctx: Context, loan: int) -> int:
    """Return what stands for a loan in its asset: what guarantors hold, and collateral less its haircut."""
    return compute_cover(ctx.view, loan, get_case(ctx.view, loan), ctx.environment.day)


def guarantors(ctx: Context, loan: int) -> tuple[tuple[int, Guarantee], ...]:
    """List (member, guarantee) of a loan."""
    return list_guarantees(ctx.view, loan)


def is_in_ring(view: View, loan: int, guarantor: int) -> bool:
    """Tell whether a guarantor and the borrower of a loan are of one ring of up to three."""
    return find_ring(view, guarantor, get_case(view, loan).borrower) > 0


def bind(ctx: Context, loan: int, required: int | None = None) -> None:
    """Let what was offered count: the loan is disbursed.

    Args:
        required: cover that it needs while all of its principal is out; None: all that is there.
    """
    case = get_case(ctx.view, loan)
    needed = check_amount(cover(ctx, loan) if required is None else required)
    case = replace(case, is_bound=True, required=needed, required_first=needed)
    put_case(ctx.view, loan, case)
    begin(ctx, loan, case)


def drop(ctx: Context, loan: int) -> None:
    """Give everything back: the loan will not be disbursed."""
    release(ctx, loan)


def shrink(ctx: Context, loan: int, principal_out: int, principal: int) -> int:
    """Free what guarantees hold beyond their part of the principal that is out; returns the sum.

    Rules: 1. what is needed falls in the same way, rounded up, and stays covered.
    """
    assert 0 <= principal_out <= principal and principal > 0
    case = get_case(ctx.view, loan)
    needed = mul_div(case.required_first, principal_out, principal, Rounding.CEIL)
    case = replace(case, required=needed)
    put_case(ctx.view, loan, case)
    spare = max(cover(ctx, loan) - needed, 0)
    return shrink_guarantees(ctx, loan, case, principal_out, principal, spare)


def mark_late(ctx: Context, loan: int, is_late: bool) -> None:
    """Say that a loan is overdue by more than 30 days, or not any more: its borrower stands for nobody."""
    case = get_case(ctx.view, loan)
    if case.is_late != is_late:
        put_case(ctx.view, loan, replace(case, is_late=is_late))


def is_short(ctx: Context, loan: int) -> bool:
    """Tell whether the last day to bring back the cover has gone by."""
    margin_day = get_case(ctx.view, loan).margin_day
    return 0 < margin_day < ctx.environment.day


def call(ctx: Context, loan: int, amount: int, to_account: bytes) -> int:
    """Let the guarantors pay up to an amount to a ledger account that is open; returns what came."""
    return call_guarantees(ctx, loan, amount, to_account)


def pay_back(ctx: Context, loan: int, source: bytes, amount: int) -> int:
    """Pay guarantors back what they have paid, at most an amount that the caller may debit; returns it."""
    return pay_back_guarantors(ctx, loan, get_case(ctx.view, loan), source, amount)


def auction(ctx: Context, loan: int, amount: int) -> int:
    """Sell what stands for a loan until an amount has come in; returns how many pieces are for sale.

    The amount is what is still owed; what has come in and was not collected counts towards it. To be called
    again to offer what stayed unsold, and with 0 to sell nothing any more.
    """
    return begin_sales(ctx, loan, amount)


def collect(ctx: Context, loan: int, to_account: bytes) -> int:
    """Move what sales have brought to a ledger account that is open; returns it."""
    case = get_case(ctx.view, loan)
    if case.proceeds:
        leg(ctx.enter(ID), escrow_key(loan, case.asset), to_account, case.proceeds, CODE_COLLECT)
        put_case(ctx.view, loan, replace(case, owed=max(case.owed - case.proceeds, 0), proceeds=0))
    return case.proceeds


def release(ctx: Context, loan: int) -> None:
    """Give back all that stands for a loan, and forget it: the loan is over."""
    view = ctx.view
    case = get_case(view, loan)
    for guarantor, guarantee in list_guarantees(view, loan):
        end_guarantee(ctx, loan, guarantor, guarantee)
    end_sales(ctx, loan)
    for number, piece in list_collateral(view, loan):
        if piece.asset != PAPER:
            give(ctx, loan, piece.asset, piece.owner, piece.amount)
        COLLATERAL.delete(view, COLLATERAL.key(loan, number))
    if case.proceeds:
        give(ctx, loan, case.asset, get_member(view, case.borrower).account, case.proceeds)
    CASES.delete(view, CASES.key(loan))
