"""lending: what must stand for a loan, who decides beside the policy, and approvals that nobody accepts."""

from typing import Any

import pytest

from protocol.contracts.lending import ageing, lapsing
from protocol.contracts.lending import records as l
from protocol.contracts.lending.deciding import find_missing, is_secured
from protocol.contracts.lending.product import BY_COMMITTEE, BY_VOTE, INSIDERS_BY_VOTE, get_product
from protocol.contracts.savings.records import get_savings
from protocol.contracts.security.records import (
    COLLATERAL_MAX,
    GUARANTEES_MAX,
    KINDS_MAX,
    NO_GUARANTEE,
    PAPER,
    TERMS,
)
from protocol.errors import Rejected
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import BOARD2, DAY, HASH
from tests.protocol.contracts.test_lending import (
    COMMITTEE1,
    COMMITTEE2,
    OFFICER,
    Lender,
    call,
    check_lending,
    product,
)
from tests.protocol.contracts.test_lending_enforcement import Strict
from tests.protocol.contracts.test_security import SECURITY, offer, worth
from tests.protocol.contracts.test_security import call as secure
from tests.protocol.ledger_world import ALICE, AUTH, BOB, CAROL, COOP, NONE, Person, person


def accept(bank: Lender, who: Person, loan: int) -> tuple[int, str]:
    """Accept the terms of today; returns (code, rule)."""
    asked = bank.tx(call(8, who.address, loan, *bank.terms(loan)), actors=(who,), gas=400_000)
    receipt = bank.run(asked).receipts[0]
    return receipt.code, "" if receipt.reason is None else receipt.reason.rule


def locked(bank: Strict, who: Person) -> int:
    return get_savings(View(bank.state), bank.savings[who]).locked


# --- what stands for a loan


def test_a_product_asks_for_so_many_guarantors() -> None:
    bank = Strict(guarantors_min=2)
    loan = bank.ask_for(ALICE)
    for who in (BOB, CAROL):
        assert bank.code(ALICE, call(4, loan)) == l.COMMITTEE
        bank.do(who, offer(who, bank.savings[who], 1, loan))
    assert bank.do(ALICE, call(4, loan)) == (l.APPROVED,)
    assert accept(bank, ALICE, loan) == (0, "")
    record = bank.ask("lending", "decision", loan)
    assert type(record) is tuple and record[9:11] == (2, 2), "cover, and who gives it"
    assert bank.gov_outcome(product(guarantors_min=4, guarantors_max=3)).code == l.TERMS
    bank.gov(product(guarantors_min=3, guarantors_max=3))


@pytest.mark.parametrize(
    ("asks", "cover", "guarantors", "rule"),
    [
        ({"coverage_bp": 5_000}, 60_000, 0, None),
        ({"coverage_bp": 5_000}, 59_999, 0, "lending.coverage_bp"),
        ({"guarantors_min": 2}, 0, 2, None),
        ({"guarantors_min": 2}, 0, 1, "lending.guarantors_min"),
    ],
)
def test_an_application_is_secured_when_all_that_is_asked_for_is_there(
    asks: dict[str, int], cover: int, guarantors: int, rule: str | None
) -> None:
    kept = get_product(View(Lender(**asks).state), 1)
    missing = find_missing(kept, 120_000, cover, guarantors)
    assert (missing and missing.rule) == rule
    assert is_secured(kept, 120_000, cover, guarantors) == (rule is None)


def test_nothing_is_secured_where_nothing_is_asked_for() -> None:
    assert not is_secured(get_product(View(Lender().state), 1), 120_000, 120_000, 3)


def test_a_product_takes_the_collateral_that_it_names() -> None:
    bank = Strict(collateral=(COOP,))
    bank.gov(product(collateral=(PAPER, COOP)))
    bank.gov((SECURITY, 2, NONE, (COOP, 0, 9_000)))
    loan = bank.ask_for(ALICE)
    assert bank.code(ALICE, secure(8, ALICE, loan, HASH)) == TERMS
    bank.do(ALICE, secure(7, ALICE, loan, COOP, 500))
    other = bank.ask_for(BOB, number=2)
    bank.do(BOB, secure(8, BOB, other, HASH))
    many = tuple(range(KINDS_MAX))
    bank.gov(product(collateral=many))
    with pytest.raises(Rejected, match="TYPE"):
        bank.gov(product(collateral=(*many, KINDS_MAX)))


# --- between the decision and the loan


def test_a_guarantor_who_leaves_before_the_loan_takes_the_approval_with_him() -> None:
    bank = Strict(coverage_bp=5_000, approvals=1)
    loan = bank.ask_for(ALICE)
    bank.do(BOB, offer(BOB, bank.savings[BOB], 60_000, loan))
    bank.do(ALICE, call(4, loan))
    bank.do(BOB, secure(4, BOB, loan))
    assert accept(bank, ALICE, loan) == (l.COMMITTEE, "lending.coverage_bp")
    assert bank.do(COMMITTEE1, call(5, loan)) == (l.APPROVED,), "people can want it all the same"
    assert accept(bank, ALICE, loan) == (0, "")
    assert bank.ask("lending", "decision", loan)[-1] is False  # type: ignore[index]
    check_lending(bank)


def test_two_approvals_of_the_policy_are_not_twice_its_limit() -> None:
    bank = Lender(auto_max=150_000)
    loans = [bank.ask_for(ALICE, 100_000) for _ in range(2)]
    for loan in loans:
        assert bank.do(ALICE, call(4, loan)) == (l.APPROVED,)
    assert accept(bank, ALICE, loans[0]) == (0, "")
    assert accept(bank, ALICE, loans[1]) == (l.COMMITTEE, "lending.auto_max")
    bank.pay(ALICE, loans[0], 50_000 + 1_000)
    bank.pay(ALICE, loans[0], 60_000)
    assert accept(bank, ALICE, loans[1]) == (0, "")
    check_lending(bank)


def test_what_the_committee_has_seen_stands_there_as_the_loan_is_paid_out() -> None:
    bank = Strict(auto_max=1, approvals=1)
    loan = bank.ask_for(ALICE)
    for who in (BOB, CAROL):
        bank.do(who, offer(who, bank.savings[who], 500, loan))
    bank.do(ALICE, secure(8, ALICE, loan, HASH))
    bank.do(BOARD2, worth(loan, 1, 1_000))
    bank.do(COMMITTEE1, call(5, loan))
    bank.do(BOARD2, worth(loan, 1, 999))
    assert accept(bank, ALICE, loan) == (l.NOT_ELIGIBLE, "lending.cover_seen")
    bank.do(BOARD2, worth(loan, 1, 2_000))
    bank.do(BOB, secure(4, BOB, loan))
    assert accept(bank, ALICE, loan) == (l.NOT_ELIGIBLE, "lending.guarantors_seen")
    bank.do(BOB, offer(BOB, bank.savings[BOB], 1, loan))
    assert accept(bank, ALICE, loan) == (0, "")


# --- who decides


@pytest.mark.parametrize(
    ("decided_by", "is_insider", "code"),
    [
        (BY_COMMITTEE, True, 0),
        (INSIDERS_BY_VOTE, False, 0),
        (INSIDERS_BY_VOTE, True, l.COMMITTEE),
        (BY_VOTE, False, l.COMMITTEE),
    ],
)
def test_members_vote_on_what_the_product_leaves_to_them(
    decided_by: int, is_insider: bool, code: int
) -> None:
    bank = Lender(auto_max=1, approvals=2, decided_by=decided_by)
    if is_insider:
        bank.gov((AUTH, 4, NONE, (ALICE.address, "board")))
    loan = bank.ask_for(ALICE)
    for method in (5, 6):
        if code:
            assert bank.code(COMMITTEE1, call(method, loan)) == code
    if not code:
        assert bank.do(COMMITTEE1, call(5, loan)) == (l.APPLIED,)
    assert bank.gov(vote_for(5, loan)) == (l.APPROVED,), "one vote is enough, and reaches every application"
    assert accept(bank, ALICE, loan) == (0, "")
    bank.days(40, 10)
    bank.do(ALICE, call(17, ALICE.address, loan, 20))
    assert bank.gov(vote_for(18, loan)) == (20,)
    other = bank.ask_for(BOB)
    assert bank.gov(vote_for(6, other)) == (l.REJECTED,)
    check_lending(bank)


def vote_for(method: int, loan: int) -> tuple[Any, ...]:
    """A call as a vote of the members makes it."""
    return (l.ID, method, NONE, (loan,))


def test_a_product_without_a_committee_is_decided_by_a_vote() -> None:
    bank = Lender(auto_max=1)
    assert bank.gov_outcome(product(committee="")).code == l.TERMS
    assert bank.gov_outcome(product(committee="", decided_by=INSIDERS_BY_VOTE)).code == l.TERMS
    bank.gov(product(committee="", decided_by=BY_VOTE, auto_max=1))
    loan = bank.ask_for(ALICE, number=2)
    assert bank.code(COMMITTEE1, call(5, loan)) == l.COMMITTEE
    bank.gov(vote_for(5, loan))
    assert accept(bank, ALICE, loan) == (0, "")


# --- approvals that nobody accepts


def test_an_approval_lapses_and_frees_what_stood_for_it() -> None:
    bank = Strict()
    loan = bank.ask_for(ALICE)
    bank.do(BOB, offer(BOB, bank.savings[BOB], 500, loan))
    bank.do(ALICE, call(4, loan))
    bank.days(l.OFFER_DAYS, 10)
    assert (bank.loan(loan).status, locked(bank, BOB)) == (l.APPROVED, 500)
    told = [event for run in bank.run(seconds=DAY).job_receipts for event in run.events]
    member = bank.numbers[ALICE]
    assert [e.fields for e in told if e.contract == l.ID and e.event == lapsing.DECIDED.id] == [
        (loan, member, l.LAPSED)
    ]
    assert (bank.loan(loan).status, locked(bank, BOB)) == (l.LAPSED, 0)
    assert accept(bank, ALICE, loan)[0] == l.STATUS and bank.code(BOB, secure(4, BOB, loan)) == NO_GUARANTEE
    assert bank.ask("lending", "loans", member) == ()
    bank.days(1)
    assert bank.ask("lending", "total", 1)[11] == 0, "nobody is left to look at"  # type: ignore[index]
    bank.borrow(ALICE)
    check_lending(bank)


def test_an_approval_is_accepted_on_its_last_day_and_never_lapses_then() -> None:
    bank = Lender()
    loan = bank.ask_for(ALICE)
    bank.do(ALICE, call(4, loan))
    bank.days(l.OFFER_DAYS, 10)
    bank.accept(ALICE, loan)
    bank.days(3)
    assert bank.loan(loan).status == l.ACTIVE
    check_lending(bank)


def test_approvals_lapse_a_few_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = Lender()
    loans = [bank.ask_for(who) for who in (ALICE, BOB, CAROL)]
    for loan in loans:
        bank.do(ALICE, call(4, loan))
    monkeypatch.setattr(ageing, "RUN_LOANS_MAX", 2)
    bank.days(l.OFFER_DAYS, 10)
    bank.run(seconds=DAY)
    assert [bank.loan(loan).status for loan in loans] == [l.LAPSED, l.LAPSED, l.APPROVED]
    bank.run(seconds=2)
    assert bank.loan(loans[2]).status == l.LAPSED


def test_what_cannot_be_given_back_as_an_approval_lapses_is_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank = Strict()
    loan = bank.ask_for(ALICE)
    bank.do(BOB, offer(BOB, bank.savings[BOB], 500, loan))
    bank.do(ALICE, call(4, loan))
    monkeypatch.setattr(lapsing, "OFFER_GAS_MAX", 100)
    bank.days(l.OFFER_DAYS + 1, 10)
    assert (bank.loan(loan).status, locked(bank, BOB)) == (l.LAPSED, 500)
    bank.do(BOB, secure(4, BOB, loan))
    assert locked(bank, BOB) == 0


def test_who_has_approved_cannot_renew_it_and_what_is_paid_out_is_decided() -> None:
    bank = Lender(auto_max=1)
    loan = bank.ask_for(ALICE)
    for who in (COMMITTEE1, COMMITTEE2):
        bank.do(who, call(5, loan))
    assert bank.code(COMMITTEE1, call(5, loan)) == l.COMMITTEE
    bank.accept(ALICE, loan)
    assert bank.code(COMMITTEE1, call(5, loan)) == l.STATUS == bank.code(COMMITTEE2, call(6, loan))
    assert bank.code(OFFICER, call(5, loan)) == l.STATUS


def test_the_largest_approval_lapses_within_its_gas(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = Strict(guarantors_max=GUARANTEES_MAX)
    bank.gov((SECURITY, 2, NONE, (COOP, 0, 9_000)))
    loan = bank.ask_for(ALICE)
    for number in range(GUARANTEES_MAX):
        who = person(f"guarantor {number}")
        bank.join(who, 200_000)
        (bank.savings[who],) = bank.do(who, (30, 3, 0, (who.address, 1, 100_000)))  # type: ignore[assignment]
        bank.do(who, offer(who, bank.savings[who], 5_000, loan))
    for _ in range(COLLATERAL_MAX):
        bank.do(ALICE, secure(7, ALICE, loan, COOP, 500))
    bank.do(ALICE, call(4, loan))
    free = bank.free(ALICE)
    monkeypatch.setattr(lapsing, "OFFER_GAS_MAX", lapsing.OFFER_GAS_MAX // 2)
    bank.days(l.OFFER_DAYS + 1, 10)
    assert bank.loan(loan).status == l.LAPSED and bank.free(ALICE) == free + 500 * COLLATERAL_MAX
    assert not any(locked(bank, who) for who in bank.savings if who is not ALICE)
