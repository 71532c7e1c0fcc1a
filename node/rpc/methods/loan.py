"""Loans for people who run the co-op: the portfolio at risk. The plain records are there as `lending_*`.

Portfolio at risk is what is out, whole, of loans of which anything is so many days late: PAR30, PAR60, PAR90.
How late a loan is, is lending's (`contracts/lending/book.py`).
"""

from dataclasses import replace
from functools import partial
from typing import Any, Final

from node.rpc.dispatch import Method
from node.rpc.forms import Form
from node.rpc.methods.params import At, Params
from node.rpc.service import Call
from protocol.contracts.lending.book import Book
from protocol.contracts.lending.records import STATES, get_instalment, get_loan, get_product, get_state
from protocol.elections.decision import WHOLE_BP
from protocol.money import SECONDS_PER_DAY
from protocol.vm.view import View

LATE_DAYS: Final = (1, 30, 60, 90)
LOANS_WALKED_MAX: Final = 100_000
"""Loans that one answer looks at; `isComplete` says whether there are more."""


class RiskParams(Params):
    """The loans of an asset."""

    asset: int = 1
    at: At = None


class RiskLine(Form):
    """What is out of loans that are more than so many days late, and its part of all that is out."""

    days: int
    loans: int
    principal: str
    part_bp: int


class Risk(Form):
    """The portfolio of an asset on a day (UTC, from 1970)."""

    height: int
    as_of: int
    loans: int
    principal: str
    allowance: str
    at_risk: list[RiskLine]
    is_complete: bool


async def get_risk(call: Call, params: RiskParams) -> Risk:
    """Add up what is out by how late it is."""
    height = call.state_height_of(params.at)
    today = call.time_ms_of(height) // 1_000 // SECONDS_PER_DAY
    with call.state(height) as state:
        found, is_complete = _walk(View(state), params.asset, today)
    principal = sum([out for out, _, _ in found])
    lines = []
    for days in LATE_DAYS:
        late = [out for out, _, days_late in found if days_late >= days + (days > 1)]
        part = sum(late) * WHOLE_BP // principal if principal else 0
        lines.append(RiskLine(days, len(late), str(sum(late)), part))
    allowance = sum([kept for _, kept, _ in found])
    return Risk(height, today, len(found), str(principal), str(allowance), lines, is_complete)


def _walk(view: View, asset: int, today: int) -> tuple[list[tuple[int, int, int]], bool]:
    """List (principal that is out, allowance, days late) of the loans of an asset that are out."""
    found: list[tuple[int, int, int]] = []
    for count, (key, _) in enumerate(STATES.scan(view)):
        if count == LOANS_WALKED_MAX:
            return found, False
        number = STATES.parts(key)[0]
        assert type(number) is int
        loan, kept = get_loan(view, number), get_state(view, number)
        product = get_product(view, loan.product)
        if product.asset != asset or not kept.principal_out:
            continue
        book = Book(product, loan, replace(kept), partial(get_instalment, view, number))
        book.settle(today)
        found.append((book.state.principal_out, kept.allowance, book.days_late()))
    return found, True


METHODS: tuple[Method[Any], ...] = (
    Method(
        "loan_getRisk",
        RiskParams,
        Risk,
        "What is out on loans, and how much of it is late by more than 0, 30, 60 and 90 days.",
        get_risk,
        ("chain.pruned",),
    ),
)
