"""Applications that end without a loan: rejected, taken back, or approved and not accepted in time.

What stood for one is free as it ends. An approval waits `OFFER_DAYS` for its borrower; the daily job of the
product then lets it lapse, so that nobody's savings stay locked for a loan that will not be.

*Source*: contracts.md 5.10.
"""

from dataclasses import replace
from functools import partial
from typing import Final

from protocol.contracts.lending.records import (
    BY_OFFER,
    ID,
    LAPSED,
    LOAN,
    LOANS,
    OFFER_DAYS,
    Loan,
    get_loan,
    put_loan,
)
from protocol.contracts.members.records import MEMBER
from protocol.contracts.security import doors as security
from protocol.vm.context import Context
from protocol.vm.contract import EventType
from protocol.vm.kinds import Field
from protocol.vm.view import View

OFFER_GAS_MAX: Final = 50_000
"""Most that the end of one approval may use, with as many guarantors and pieces as a loan can have."""

DECIDED: Final = EventType(
    ID,
    3,
    "decided",
    (Field("loan", LOAN), Field("member", MEMBER), Field("status", LOANS.fields[2].kind)),
    "An application was approved, rejected or taken back, or its approval has lapsed.",
)


def end_application(ctx: Context, number: int, loan: Loan, status: int) -> int:
    """End an application of which no loan will be; returns its status."""
    put_loan(ctx.view, number, replace(loan, status=status))
    security.drop(ctx, number)
    ctx.emit(DECIDED, number, loan.member, status)
    return status


def is_lapsed(loan: Loan, day: int) -> bool:
    """Tell whether an approval has waited longer than an approval does."""
    return day > loan.decided + OFFER_DAYS


def has_offers(view: View, product: int) -> bool:
    """Tell whether an approval of a product waits for its borrower."""
    return any(True for _ in LOANS.scan_index(view, BY_OFFER, product))


def list_lapsed(view: View, product: int, day: int, most: int) -> list[int]:
    """List approvals of a product that have waited too long, the oldest first, so many at most."""
    found: list[int] = []
    for _, decided, number in LOANS.scan_index(view, BY_OFFER, product):
        assert type(decided) is int and type(number) is int
        if day <= decided + OFFER_DAYS or len(found) == most:
            break
        found.append(number)
    return found


def lapse(ctx: Context, number: int) -> None:
    """Let an approval lapse.

    *Rule*: what stood for it and cannot be given back by itself, its owners take back.
    """
    loan = get_loan(ctx.view, number)
    if ctx.attempt(OFFER_GAS_MAX, partial(_lapse, ctx, number, loan)) is not None:
        put_loan(ctx.view, number, replace(loan, status=LAPSED))
        ctx.emit(DECIDED, number, loan.member, LAPSED)


def _lapse(ctx: Context, number: int, loan: Loan) -> None:
    end_application(ctx, number, loan, LAPSED)
