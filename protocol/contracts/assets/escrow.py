"""Escrow: a payment that waits until what was agreed has happened, with an arbiter for when two disagree.

The payer or the arbiter releases it, the payee or the arbiter gives it back; at the deadline the ledger gives
it back by itself. The agreement stays off the chain, which keeps its hash.
"""

from typing import Final

from protocol.codec import Value
from protocol.contracts.assets.payments import find_claim
from protocol.contracts.assets.records import (
    ESCROWS,
    ID,
    NO_ESCROW,
    NOT_PARTY,
    TERMS,
    EscrowRow,
    get_moving,
)
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key
from protocol.contracts.ledger.holds import capture, hold, release
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import ADDRESS, AMOUNT, ASSET, BOOL, HOLD, SECONDS, Field
from protocol.vm.tables import SCHEMA

CODE_ESCROW: Final = 1612

OPENED: Final = EventType(
    ID,
    11,
    "escrow_opened",
    (
        Field("hold", HOLD),
        Field("payer", ADDRESS),
        Field("payee", ADDRESS),
        Field("asset", ASSET),
        Field("amount", AMOUNT),
        Field("deadline", SECONDS),
    ),
    "A payment waits for what was agreed.",
)
ENDED: Final = EventType(
    ID,
    12,
    "escrow_ended",
    (Field("hold", HOLD), Field("is_paid", BOOL, "false: given back"), Field("by", ADDRESS)),
    "A payment that waited was made or given back.",
)


def open_escrow(
    ctx: Context,
    payer: Address,
    payee: Address,
    asset: int,
    amount: int,
    arbiter: Address,
    deadline: int,
    terms: bytes,
) -> Value:
    """Set an amount aside for a payee; returns the hold."""
    if len({payer, payee, arbiter}) != 3:
        fail(TERMS, "assets.three_parties", 3, len({payer, payee, arbiter}))
    get_moving(ctx.view, asset)
    claim = find_claim(ctx, payee, asset)
    number = hold(ctx, account_key(payer, MEMBER_FREE, asset), claim, amount, deadline, CODE_ESCROW)
    ESCROWS.put(ctx.view, ESCROWS.key(number), (SCHEMA, payer, payee, arbiter, terms))
    ctx.emit(OPENED, number, payer, payee, asset, amount, deadline)
    return number


def release_escrow(ctx: Context, account: Address, number: int) -> Value:
    """Pay what was set aside, as the payer or the arbiter; returns the amount."""
    row = _find(ctx, number)
    if account not in (row[1], row[3]):
        fail(NOT_PARTY, "assets.escrow_release", None, account)
    amount = capture(ctx, number, None)
    ctx.emit(ENDED, number, True, account)
    return amount


def refund_escrow(ctx: Context, account: Address, number: int) -> Value:
    """Give back what was set aside, as the payee or the arbiter; returns the amount."""
    row = _find(ctx, number)
    if account not in (row[2], row[3]):
        fail(NOT_PARTY, "assets.escrow_refund", None, account)
    amount = release(ctx, number)
    ctx.emit(ENDED, number, False, account)
    return amount


def _find(ctx: Context, number: int) -> EscrowRow:
    return ESCROWS.need(ctx.view, ESCROWS.key(number), NO_ESCROW, "assets.escrow", number)
