"""`loan_getRisk`: what is out on loans by how late it is."""

import asyncio
from typing import Any

import pytest

from node.rpc.methods import loan
from tests.node.rpc.test_credit import StateOnly
from tests.protocol.contracts.coop_world import DAY
from tests.protocol.contracts.test_lending import Lender
from tests.protocol.ledger_world import ALICE, BOB


def ask_risk(lender: Lender, asset: int = 1) -> loan.Risk:
    call: Any = StateOnly(lender)
    return asyncio.run(loan.get_risk(call, loan.RiskParams(asset)))


def late(risk: loan.Risk) -> list[tuple[int, str]]:
    return [(line.loans, line.principal) for line in risk.at_risk]


def test_a_portfolio_is_at_risk_from_the_day_after_the_thirtieth(monkeypatch: pytest.MonkeyPatch) -> None:
    lender = Lender()
    first = lender.borrow(ALICE, 12_000, 12)
    second = lender.borrow(BOB, 36_000, 12)
    risk = ask_risk(lender)
    assert (risk.loans, risk.principal, risk.is_complete) == (2, "48000", True)
    assert late(risk) == [(0, "0")] * 4 and ask_risk(lender, 2).loans == 0
    lender.days(31)
    lender.pay(ALICE, first, int(str(lender.now(first)[2])))
    for days, counts in ((30, [1, 0, 0, 0]), (31, [1, 1, 0, 0]), (60, [1, 1, 0, 0]), (61, [1, 1, 1, 0])):
        while lender.now(second)[0] < days:
            lender.run(seconds=DAY)
        risk = ask_risk(lender)
        assert [line.loans for line in risk.at_risk] == counts
    assert risk.loans == 1 and int(risk.allowance) > 0
    assert (risk.at_risk[0].part_bp, risk.at_risk[0].principal) == (10_000, risk.principal)
    lender.borrow(BOB, 12_000, 12)
    monkeypatch.setattr(loan, "LOANS_WALKED_MAX", 1)
    assert not ask_risk(lender).is_complete
