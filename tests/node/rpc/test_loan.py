"""`loan_*`: a loan, a page of them, rows, a quote, and what is out on loans by how late it is."""

import asyncio
from typing import Any

import pytest

from node.rpc.failure import RpcFailure
from node.rpc.methods import loan
from protocol.addresses import HRP_TEST, format_address
from protocol.contracts.lending import records as l
from protocol.contracts.members.records import UNKNOWN_MEMBER
from protocol.errors import Rejected
from tests.node.rpc.test_credit import StateOnly
from tests.protocol.contracts.coop_world import DAY
from tests.protocol.contracts.test_lending import Lender
from tests.protocol.contracts.test_lending import call as lend
from tests.protocol.contracts.test_lending_enforcement import Strict
from tests.protocol.contracts.test_lending_products import set_table
from tests.protocol.contracts.test_security import offer
from tests.protocol.ledger_world import ALICE, BOB, Person, person


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


def get_one(lender: Lender, number: int) -> loan.LoanForm:
    call: Any = StateOnly(lender)
    return asyncio.run(loan.get_one(call, loan.LoanParams(number))).loan


def list_numbers(lender: Lender, who: Person | None = None, **params: Any) -> tuple[list[int], int | None]:
    call: Any = StateOnly(lender)
    address = None if who is None else format_address(who.address, HRP_TEST)
    page = asyncio.run(loan.list_loans(call, loan.LoansParams(address, **params)))
    return [item.loan for item in page.items], page.next


def test_a_loan_is_shown_from_its_application_until_it_is_lost() -> None:
    lender = Lender(enforce_days=0, charge_off_days=61)
    asked = lender.ask_for(ALICE)
    shown = get_one(lender, asked)
    assert (shown.status, shown.start_day, shown.payoff, shown.owed) == ("applied", None, "0", None)
    number = lender.borrow(BOB, 12_000, 12)
    lender.days(31)
    days_late, due, payoff = lender.now(number)[:3]
    shown = get_one(lender, number)
    assert (shown.status, shown.principal_out, shown.address) == (
        "active", "12000", format_address(BOB.address, HRP_TEST),
    )  # fmt: skip
    assert (shown.days_late, shown.due, shown.payoff) == (days_late, str(due), str(payoff))
    lender.days(62)
    shown = get_one(lender, number)
    assert (shown.status, shown.due, shown.payoff) == ("charged_off", "0", "0")
    assert shown.owed is not None and int(shown.owed) > 12_000
    with pytest.raises(Rejected) as refused:
        get_one(lender, 3)
    assert refused.value.code == l.NO_LOAN


def test_loans_are_listed_page_by_page_or_of_a_member() -> None:
    lender = Lender()
    alices = [lender.borrow(ALICE, 12_000), lender.ask_for(ALICE)]
    bobs = lender.borrow(BOB, 12_000)
    assert list_numbers(lender) == ([1, 2, 3], None)
    assert list_numbers(lender, limit=2) == ([1, 2], 2) and list_numbers(lender, after=2) == ([3], None)
    assert list_numbers(lender, ALICE) == (alices, None) and list_numbers(lender, BOB) == ([bobs], None)
    assert list_numbers(lender, ALICE, limit=1) == (alices[:1], alices[0])
    with pytest.raises(RpcFailure):
        list_numbers(lender, person("nobody"))


def test_a_quote_has_the_rows_that_the_loan_then_has() -> None:
    lender = Lender(fee_flat=500)
    call: Any = StateOnly(lender)
    params = loan.QuoteParams(1, "120000", 12)
    offered = asyncio.run(loan.quote(call, params))
    number = lender.borrow(ALICE)
    lender.days(31)
    lender.pay(ALICE, number, lender.now(number)[1])
    rows = asyncio.run(loan.get_schedule(call, loan.LoanParams(number))).rows
    assert [row.is_paid for row in rows] == [True] + [False] * 11 == [row.is_due for row in rows]
    assert [(r.due_day, r.principal, r.interest) for r in rows] == [
        (r.due_day, r.principal, r.interest) for r in offered.rows
    ]
    assert offered.fee == "500" and int(offered.interest) == sum(int(row.interest) for row in rows)
    for principal, count in (("1999", 12), ("1000001", 12), ("120000", 61), ("9" * 19, 12)):
        with pytest.raises(Rejected) as refused:
            asyncio.run(loan.quote(call, loan.QuoteParams(1, principal, count)))
        assert refused.value.code == l.TERMS


def test_a_quote_for_a_member_says_what_would_be_decided() -> None:
    lender = Lender(dsr_bp=3_000, auto_max=200_000)
    call: Any = StateOnly(lender)
    before = dict(lender.state.items())

    def ask(principal: str, income: str, who: Person = ALICE) -> loan.DecisionForm:
        address = format_address(who.address, HRP_TEST)
        params = loan.QuoteParams(1, principal, 12, address=address, income=income)
        found = asyncio.run(loan.quote(call, params)).decision
        assert found is not None
        return found

    approved = ask("120000", "9" * 19)
    assert (approved.outcome, approved.rule) == ("approved", None) and approved.score >= 400
    asked = ask("250000", "9" * 18)
    assert (asked.outcome, asked.rule) == ("committee", "lending.auto_max")
    assert (asked.limit, asked.actual) == (200_000, 250_000)
    refused = ask("120000", "400000")
    assert (refused.outcome, refused.rule, refused.limit) == ("refused", "lending.dsr_bp", 3_000)
    with pytest.raises(Rejected) as unknown:
        ask("120000", "1", person("nobody"))
    assert unknown.value.code == UNKNOWN_MEMBER
    assert lender.state.items() == before, "nothing is kept of the trial"


def test_a_quote_for_a_member_is_at_the_rate_that_his_score_gets() -> None:
    lender = Lender(by_score=True)
    call: Any = StateOnly(lender)
    address = format_address(ALICE.address, HRP_TEST)
    income = "9" * 18
    plain = asyncio.run(loan.quote(call, loan.QuoteParams(1, "120000", 12)))
    found = asyncio.run(loan.quote(call, loan.QuoteParams(1, "120000", 12, address=address, income=income)))
    assert plain.decision is None and found.decision is not None
    number = lender.ask_for(ALICE)
    assert found.decision.rate_ppm == lender.loan(number).rate_ppm > 120_000
    assert int(found.interest) == lender.loan(number).interest > int(plain.interest)


def test_a_quote_of_a_product_that_asks_the_score_says_from_where_to_where_its_rate_goes() -> None:
    def rates(lender: Lender) -> tuple[int, int]:
        call: Any = StateOnly(lender)
        found = asyncio.run(loan.quote(call, loan.QuoteParams(1, "120000", 12)))
        assert sum(int(row.interest) for row in found.rows) == int(found.interest)
        return found.rate_from_ppm, found.rate_to_ppm

    assert rates(Lender()) == (120_000, 120_000)
    lender = Lender(by_score=True)
    assert rates(lender) == (120_000, 160_000)
    lender.gov(set_table((0, 0, 50_000), (400, 20_000, 30_000)))
    assert rates(lender) == (150_000, 170_000)
    assert rates(Lender(by_score=True, rate_ppm=l.RATE_MAX_PPM)) == (l.RATE_MAX_PPM, l.RATE_MAX_PPM)


def test_an_application_is_shown_as_secured_and_an_approval_as_lapsed() -> None:
    bank = Strict(coverage_bp=5_000, guarantors_min=1)
    asked = bank.ask_for(ALICE)
    shown = get_one(bank, asked)
    assert (shown.status, shown.cover, shown.guarantors) == ("applied", "0", 0)
    bank.do(BOB, offer(BOB, bank.savings[BOB], 60_000, asked))
    shown = get_one(bank, asked)
    assert (shown.status, shown.cover, shown.guarantors) == ("secured", "60000", 1)
    bank.do(ALICE, lend(4, asked))
    assert get_one(bank, asked).status == "approved"
    bank.days(l.OFFER_DAYS, 10)
    assert get_one(bank, asked).status == "approved"
    bank.run(seconds=86_000)
    bank.time_ms += 400_000  # past midnight, before the daily job
    assert (bank.loan(asked).status, get_one(bank, asked).status) == (l.APPROVED, "lapsed")
    bank.run(seconds=DAY)
    shown = get_one(bank, asked)
    assert (shown.status, shown.cover, shown.guarantors) == ("lapsed", "0", 0)


def test_every_status_has_a_name() -> None:
    assert len(loan.STATUSES) == l.LAPSED
