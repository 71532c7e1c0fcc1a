"""Dutch auctions: the price of a piece falls by steps, and the first who bids pays it at once.

An auction needs nobody to end it: after the last step at the floor its time is over, and the piece is on the
list of the loan, unsold. The money waits in class 2040 until lending collects it; what the loan is not owed
goes to the owner of the piece.
"""

from dataclasses import replace
from typing import Final

from protocol.codec import Value
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.legs import leg
from protocol.contracts.security.collateral import find_value, give
from protocol.contracts.security.records import (
    COLLATERAL,
    FOR_SALE,
    ID,
    LOAN,
    PAPER,
    PIECE,
    PLEDGED,
    PRICE,
    STATE,
    Case,
    Collateral,
    Limits,
    escrow_key,
    get_case,
    get_collateral,
    get_limits,
    list_collateral,
    put_case,
    put_collateral,
)
from protocol.elections.decision import WHOLE_BP
from protocol.money import Rounding, check_amount, mul_div
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import ADDRESS, AMOUNT, SECONDS, Field

CODE_SALE: Final = 3320
CODE_SALE_REST: Final = 3322
CODE_COLLECT: Final = 3324

OFFER: Final = EventType(
    ID,
    8,
    "for_sale",
    (
        Field("loan", LOAN),
        Field("piece", PIECE),
        Field("start_price", AMOUNT),
        Field("floor_price", AMOUNT),
        Field("ends", SECONDS, "first second in which it cannot be had"),
    ),
    "A piece is for sale at a price that falls.",
)
SOLD: Final = EventType(
    ID,
    9,
    "sold",
    (Field("loan", LOAN), Field("piece", PIECE), Field("buyer", ADDRESS), Field("price", AMOUNT)),
    "A piece was sold.",
)


def compute_end(piece: Collateral) -> int:
    """Return the first second in which a piece cannot be had any more."""
    return piece.begins + (piece.steps + 1) * piece.step_seconds


def find_price(piece: Collateral, time: int) -> int | None:
    """Return the price of a piece now, or None when it is not for sale."""
    if piece.state != FOR_SALE or not piece.begins <= time < compute_end(piece):
        return None
    step = min((time - piece.begins) // piece.step_seconds, piece.steps)
    return piece.start_price - (piece.start_price - piece.floor_price) * step // piece.steps


def bid(ctx: Context, buyer: Address, loan: int, number: int, price_most: int) -> Value:
    """Take a piece at the price of this second, if it is not above what the bidder names; returns it."""
    view, time = ctx.view, int(ctx.environment.time)
    case, piece = get_case(view, loan), get_collateral(view, loan, number)
    price = find_price(piece, time)
    if price is None:
        fail(STATE, "security.for_sale", FOR_SALE, piece.state)
    if price > price_most:
        fail(PRICE, "security.price", price, price_most)
    kept = min(price, case.owed - case.proceeds)
    source = account_key(buyer, MEMBER_FREE, case.asset)
    _move(ctx, source, escrow_key(loan, case.asset), kept, CODE_SALE)
    if piece.owner != buyer:
        _move(ctx, source, account_key(piece.owner, MEMBER_FREE, case.asset), price - kept, CODE_SALE_REST)
    if piece.asset != PAPER:
        give(ctx, loan, piece.asset, buyer, piece.amount)
    COLLATERAL.delete(view, COLLATERAL.key(loan, number))
    case = replace(case, proceeds=case.proceeds + kept)
    put_case(view, loan, case)
    if case.proceeds == case.owed:
        end_sales(ctx, loan)
    ctx.emit(SOLD, loan, number, buyer, price)
    return price


# --- doors


def begin_sales(ctx: Context, loan: int, amount: int) -> int:
    """Offer what stands for a loan, until an amount has come in; returns how many pieces are for sale.

    Rules: 1. of the loan's own asset so much is taken at once. 2. what nobody has valued within a year is not
        sold. 3. what is for sale already goes on; what stayed unsold begins anew.
    """
    view, now, today = ctx.view, int(ctx.environment.time), ctx.environment.day
    case = get_case(view, loan)
    case = replace(case, owed=max(amount, case.proceeds))
    limits, count = get_limits(view), 0
    for number, piece in list_collateral(view, loan):
        if piece.asset == case.asset:
            case = _take(ctx, loan, number, piece, case)
        elif find_price(piece, now) is not None:
            count += 1
        elif find_value(piece, case, today) and case.proceeds < case.owed:
            piece = _offer(piece, find_value(piece, case, today), limits, now)
            put_collateral(view, loan, number, piece)
            ctx.emit(OFFER, loan, number, piece.start_price, piece.floor_price, compute_end(piece))
            count += 1
    put_case(view, loan, case)
    if case.proceeds == case.owed:
        end_sales(ctx, loan)
        return 0
    return count


def end_sales(ctx: Context, loan: int) -> None:
    """Take what is for sale off the market; it goes on standing for the loan."""
    for number, piece in list_collateral(ctx.view, loan):
        if piece.state == FOR_SALE:
            put_collateral(ctx.view, loan, number, replace(piece, state=PLEDGED))


def _offer(piece: Collateral, worth: int, limits: Limits, now: int) -> Collateral:
    start = check_amount(mul_div(worth, limits.start_bp, WHOLE_BP, Rounding.CEIL))
    floor = min(start, check_amount(mul_div(worth, limits.floor_bp, WHOLE_BP, Rounding.CEIL)))
    return replace(
        piece,
        state=FOR_SALE,
        start_price=start,
        floor_price=floor,
        begins=now,
        step_seconds=limits.step_seconds,
        steps=limits.steps,
    )


def _take(ctx: Context, loan: int, number: int, piece: Collateral, case: Case) -> Case:
    """Use what is kept in the loan's own asset, which needs no auction."""
    taken = min(piece.amount, max(case.owed - case.proceeds, 0))
    if taken == piece.amount:
        COLLATERAL.delete(ctx.view, COLLATERAL.key(loan, number))
    else:
        put_collateral(ctx.view, loan, number, replace(piece, amount=piece.amount - taken))
    return replace(case, proceeds=case.proceeds + taken)


def _move(ctx: Context, source: bytes, target: bytes, amount: int, code: int) -> None:
    if amount:
        open_account(ctx.view, target)
        leg(ctx, source, target, amount, code)
