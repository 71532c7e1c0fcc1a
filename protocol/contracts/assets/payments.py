"""Payments between members."""

from typing import Final

from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.assets.records import ID, MEMO, get_moving
from protocol.contracts.ledger.accounts import ACCOUNT, MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.legs import leg
from protocol.errors import Code
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import ADDRESS, AMOUNT, ASSET, Field

CODE_TRANSFER: Final = 1606

TRANSFERRED: Final = EventType(
    ID,
    6,
    "transferred",
    (
        Field("from", ADDRESS),
        Field("to", ADDRESS),
        Field("asset", ASSET),
        Field("amount", AMOUNT),
        Field("memo", MEMO),
    ),
    "A member paid another.",
)


def transfer(
    ctx: Context, payer: Address, payee: Address, asset: int, amount: int, memo: bytes | None
) -> Value:
    """Pay another account; returns the amount."""
    get_moving(ctx.view, asset)
    _pay(ctx, payer, payee, asset, amount)
    ctx.emit(TRANSFERRED, payer, payee, asset, amount, memo)
    return amount


def transfer_many(
    ctx: Context, payer: Address, asset: int, payments: tuple[tuple[Address, int], ...]
) -> Value:
    """Pay many accounts, all or none; returns the sum."""
    get_moving(ctx.view, asset)
    total = 0
    for payee, amount in payments:
        _pay(ctx, payer, payee, asset, amount)
        ctx.emit(TRANSFERRED, payer, payee, asset, amount, None)
        total += amount
    return total


def _pay(ctx: Context, payer: Address, payee: Address, asset: int, amount: int) -> None:
    leg(
        ctx,
        account_key(payer, MEMBER_FREE, asset),
        find_claim(ctx, payee, asset),
        amount,
        CODE_TRANSFER,
    )


def find_claim(ctx: Context, payee: Address, asset: int) -> bytes:
    """Return the free balance of a payee who exists, opened in this asset when there is none.

    Raises:
        CallFailed: NO_ACCOUNT.
    """
    claim = account_key(payee, MEMBER_FREE, asset)
    if ctx.view.get(ACCOUNT.prefix + claim) is None:
        if not auth.is_open(ctx.view, payee):
            fail(Code.NO_ACCOUNT, "assets.payee", None, payee)
        open_account(ctx.view, claim)
    return claim
