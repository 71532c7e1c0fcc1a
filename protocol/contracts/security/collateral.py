"""Collateral: pledged, valued, topped up, given back in part, and what it counts for.

An asset lies in class 2040 of this contract under the number of the loan. What is documented stays where it
is; the chain keeps the commitment to its papers. Who values it holds the role `valuer`.
"""

from dataclasses import replace
from typing import Final

from protocol.codec import Value
from protocol.contracts.assets.records import get_moving
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.legs import leg
from protocol.contracts.members.records import find_by_account
from protocol.contracts.security.records import (
    ACTIVE,
    COLLATERAL,
    COLLATERAL_MAX,
    COVER,
    ID,
    KINDS,
    LOAN,
    MARGIN_DAYS,
    NO_COLLATERAL,
    PAPER,
    PIECE,
    PLEDGED,
    STANDING,
    STATE,
    TERMS,
    TOO_MANY,
    VALUATION_DAYS,
    VALUATIONS_MAX,
    Case,
    Collateral,
    escrow_key,
    get_case,
    get_collateral,
    list_collateral,
    list_guarantees,
    put_case,
    put_collateral,
)
from protocol.elections.decision import WHOLE_BP
from protocol.money import Rounding, check_amount, is_within_ratio, mul_div
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import AMOUNT, U32, Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

CODE_PLEDGE: Final = 3316
CODE_GIVE_BACK: Final = 3318

_OF_PIECE: Final = (Field("loan", LOAN), Field("piece", PIECE))
PLEDGE: Final = EventType(
    ID, 5, "pledged", (*_OF_PIECE, Field("amount", AMOUNT, "kept now")), "Something stands for a loan."
)
VALUED: Final = EventType(
    ID, 6, "valued", (*_OF_PIECE, Field("value", AMOUNT, "without haircut")), "Collateral was valued."
)
MARGIN: Final = EventType(
    ID,
    7,
    "margin",
    (Field("loan", LOAN), Field("missing", AMOUNT), Field("until_day", U32, "0: the cover is there again")),
    "What stands for a loan is worth too little, or enough again.",
)


# --- methods


def set_kind(ctx: Context, asset: int, haircut_bp: int, margin_bp: int) -> Value:
    """Take an asset, or what is on paper, as collateral from now on; what is pledged keeps its haircut."""
    KINDS.put(ctx.view, KINDS.key(asset), (SCHEMA, haircut_bp, margin_bp))
    return True


def pledge(ctx: Context, owner: Address, loan: int, asset: int, amount: int) -> Value:
    """Let an asset stand for a loan; returns the number of the piece."""
    if asset == PAPER:
        fail(TERMS, "security.asset_named", 1, PAPER)
    get_moving(ctx.view, asset)
    number = _add(ctx, owner, loan, asset, amount, b"")
    _keep(ctx, owner, loan, asset, amount)
    ctx.emit(PLEDGE, loan, number, amount)
    _settle_margin(ctx, loan)
    return number


def pledge_document(ctx: Context, owner: Address, loan: int, document: bytes) -> Value:
    """Let something stand for a loan that is known by its papers; returns the number of the piece."""
    number = _add(ctx, owner, loan, PAPER, 1, document)
    ctx.emit(PLEDGE, loan, number, 1)
    return number


def top_up(ctx: Context, owner: Address, loan: int, number: int, amount: int) -> Value:
    """Add to what is pledged; returns what is kept. What was valued counts for as much more."""
    piece = _find_own(ctx, owner, loan, number)
    if piece.asset == PAPER:
        fail(TERMS, "security.asset_named", 1, PAPER)
    _keep(ctx, owner, loan, piece.asset, amount)
    put_collateral(ctx.view, loan, number, _resize(piece, check_amount(piece.amount + amount)))
    ctx.emit(PLEDGE, loan, number, piece.amount + amount)
    _settle_margin(ctx, loan)
    return piece.amount + amount


def take_back(ctx: Context, owner: Address, loan: int, number: int, amount: int) -> Value:
    """Take back a part of what is pledged, or all of it; returns what is kept.

    Rules: 1. what the loan needs stays, once it is disbursed. 2. nothing while something is for sale.
    """
    view = ctx.view
    piece = _find_own(ctx, owner, loan, number)
    case = get_case(view, loan)
    if amount > piece.amount:
        fail(COVER, "security.kept", piece.amount, amount)
    left = piece.amount - amount
    if left:
        put_collateral(view, loan, number, _resize(piece, left))
    else:
        COLLATERAL.delete(view, COLLATERAL.key(loan, number))
    cover = compute_cover(view, loan, case, ctx.environment.day)
    if case.is_bound and cover < case.required:
        fail(COVER, "security.cover", case.required, cover)
    if piece.asset != PAPER:
        give(ctx, loan, piece.asset, piece.owner, amount)
    ctx.emit(PLEDGE, loan, number, left)
    return left


def value(ctx: Context, loan: int, number: int, worth: int, document: bytes) -> Value:
    """Say what a piece is worth in the asset of the loan, in place of what one said before; returns what it
    counts for."""
    view, today = ctx.view, ctx.environment.day
    valuer, piece = ctx.actor, get_collateral(view, loan, number)
    assert valuer is not None, "somebody holds the role"
    if valuer == piece.owner:
        fail(TERMS, "security.valuer", None, valuer)
    others = [known for known in piece.valuations if known[0] != valuer]
    kept = (*others[-(VALUATIONS_MAX - 1) :], (valuer, worth, today, document))
    piece = replace(piece, valuations=kept)
    put_collateral(view, loan, number, piece)
    ctx.emit(VALUED, loan, number, worth)
    _settle_margin(ctx, loan)
    return count_for(piece, get_case(view, loan), today)


# --- what it counts for


def find_value(piece: Collateral, case: Case, today: int) -> int:
    """Return what a piece is worth: the least that a valuer has said within a year; of the loan's own asset
    its amount."""
    if piece.asset == case.asset:
        return piece.amount
    said = [worth for _, worth, day, _ in piece.valuations if today - day <= VALUATION_DAYS]
    return min(said, default=0)


def count_for(piece: Collateral, case: Case, today: int) -> int:
    """Return what a piece counts for: its value less the haircut."""
    return mul_div(find_value(piece, case, today), WHOLE_BP - piece.haircut_bp, WHOLE_BP, Rounding.FLOOR)


def compute_cover(view: View, loan: int, case: Case, today: int) -> int:
    """Compute what stands for a loan in its asset: what guarantors hold, and what collateral counts for."""
    held = sum([g.held for _, g in list_guarantees(view, loan) if g.state == ACTIVE or not case.is_bound])
    return held + sum([count_for(piece, case, today) for _, piece in list_collateral(view, loan)])


def _settle_margin(ctx: Context, loan: int) -> None:
    """Ask for more cover when there is too little of it, and take that back when there is enough.

    Rules: 1. too little: below the part of what is needed that the strictest kind pledged names.
    """
    view, today = ctx.view, ctx.environment.day
    case = get_case(view, loan)
    if not case.is_bound:
        return
    cover = compute_cover(view, loan, case, today)
    rows = [KINDS.get(view, KINDS.key(piece.asset)) for _, piece in list_collateral(view, loan)]
    margin = max([row[2] for row in rows if row is not None], default=0)
    if cover < case.required and not is_within_ratio(margin, WHOLE_BP, cover, case.required):
        if not case.margin_day:
            case = replace(case, margin_day=today + MARGIN_DAYS)
            put_case(view, loan, case)
            ctx.emit(MARGIN, loan, case.required - cover, case.margin_day)
    elif case.margin_day:
        put_case(view, loan, replace(case, margin_day=0))
        ctx.emit(MARGIN, loan, 0, 0)


# --- moving it


def _add(ctx: Context, owner: Address, loan: int, asset: int, amount: int, document: bytes) -> int:
    view = ctx.view
    case = get_case(view, loan)
    if find_by_account(view, owner) != case.borrower:
        fail(STANDING, "security.borrower", case.borrower, owner)
    kind = KINDS.get(view, KINDS.key(asset))
    if kind is None or (case.kinds and asset not in case.kinds):
        fail(TERMS, "security.kind", None, asset)
    used = [number for number, _ in list_collateral(view, loan)]
    free = [number for number in range(1, COLLATERAL_MAX + 1) if number not in used]
    if not free:
        fail(TOO_MANY, "security.pieces", COLLATERAL_MAX, COLLATERAL_MAX + 1)
    piece = Collateral(owner, asset, amount, document, kind[1], (), PLEDGED, 0, 0, 0, 0, 0)
    put_collateral(view, loan, free[0], piece)
    return free[0]


def _find_own(ctx: Context, owner: Address, loan: int, number: int) -> Collateral:
    piece = get_collateral(ctx.view, loan, number)
    if piece.owner != owner:
        fail(NO_COLLATERAL, "security.owner", None, number)
    if piece.state != PLEDGED or get_case(ctx.view, loan).owed:
        fail(STATE, "security.pledged", PLEDGED, piece.state)
    return piece


def _resize(piece: Collateral, amount: int) -> Collateral:
    """Return a piece of another size, which is worth as much for each unit."""
    valuations = tuple(
        [
            (valuer, check_amount(mul_div(worth, amount, piece.amount, Rounding.FLOOR)), day, document)
            for valuer, worth, day, document in piece.valuations
        ]
    )
    return replace(piece, amount=amount, valuations=valuations)


def _keep(ctx: Context, owner: Address, loan: int, asset: int, amount: int) -> None:
    target = escrow_key(loan, asset)
    open_account(ctx.view, target)
    leg(ctx, account_key(owner, MEMBER_FREE, asset), target, amount, CODE_PLEDGE)


def give(ctx: Context, loan: int, asset: int, owner: Address, amount: int) -> None:
    """Give an amount that is kept for a loan to a free balance."""
    target = account_key(owner, MEMBER_FREE, asset)
    open_account(ctx.view, target)
    leg(ctx.enter(ID), escrow_key(loan, asset), target, amount, CODE_GIVE_BACK)
