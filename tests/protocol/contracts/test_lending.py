"""lending: products, applications, decisions, disbursement, and repayments in every order."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import Value
from protocol.contracts.ledger.accounts import account_key, get_account
from protocol.contracts.lending import records as l
from protocol.contracts.lending.deciding import Findings, find_referral, find_refusal
from protocol.contracts.lending.posting import OWN_CLASSES
from protocol.contracts.lending.product import get_product
from protocol.contracts.members import records as m
from protocol.errors import Code
from protocol.finance.allocation import DEFAULT_ORDER, FutureRule
from protocol.finance.day_count import ACCRUAL_UNIT, DayCount, position
from protocol.finance.provisioning import DEFAULT_TABLE
from protocol.finance.schedule import Method, PeriodUnit
from protocol.vm.program import literal
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import BOARD1, DAY, HASH, Coop, check_books
from tests.protocol.ledger_world import ALICE, AUTH, BOB, CAROL, COOP, NONE, TILL, Person, World, person

LENDING = 31
OFFICER = person("loan officer")
COMMITTEE1, COMMITTEE2 = person("committee 1"), person("committee 2")
PRODUCT: dict[str, Any] = {
    "name": "Household loan",
    "asset": COOP,
    "principal_min": 2_000,
    "principal_max": 1_000_000,
    "rows_min": 1,
    "rows_max": 60,
    "rate_ppm": 120_000,
    "method": int(Method.EQUAL_INSTALMENT),
    "day_count": int(DayCount.THIRTY_E_360),
    "period_unit": int(PeriodUnit.MONTHS),
    "every": 1,
    "instalment_unit": 1,
    "grace_principal": 0,
    "grace_interest": 0,
    "interest_free": 0,
    "balloon_bp": 0,
    "early_rule": int(FutureRule.NEXT),
    "order": tuple(int(bucket) for bucket in DEFAULT_ORDER),
    "grace_days": 0,
    "penalty_flat": 0,
    "penalty_ppm": 0,
    "cap_bp": 0,
    "fee_flat": 0,
    "fee_bp": 0,
    "months_min": 0,
    "shares_min": 0,
    "loans_max": 3,
    "savings_multiple_bp": 0,
    "dsr_bp": 0,
    "exposure_bp": 0,
    "reserve_bp": 0,
    "auto_max": 500_000,
    "committee": "credit",
    "approvals": 2,
    "class_days": tuple(band.from_days for band in DEFAULT_TABLE),
    "class_bp": tuple(band.allowance_bp for band in DEFAULT_TABLE),
    "floor_bp": 3_500,
    "suspend_days": 61,
    "enforce_days": 0,
    "charge_off_days": 366,
    "waive_max": 1_000,
    "guarantors_max": 3,
    "coverage_bp": 0,
    "score_min": 0,
    "by_score": False,
    "is_daily": False,
    "is_smooth": False,
    "custom_bp": (),
    "spreads_fee": False,
    "fund": 0,
    "guarantors_min": 0,
    "collateral": (),
    "decided_by": 0,
    "forgive_max": 0,
}


def product(**changes: Any) -> Value:
    terms = {**PRODUCT, **changes}
    return (LENDING, 1, NONE, tuple(literal(term) for term in terms.values()))


def call(method: int, *arguments: Value) -> Value:
    return (LENDING, method, 0, arguments)


class Lender(Coop):
    """A co-op with three members, a credit committee, money to lend, and one product."""

    def __init__(self, money: int = 900_000, **changes: Any) -> None:
        super().__init__()
        self.numbers = {who: self.join(who, money) for who in (ALICE, BOB, CAROL)}
        for who in (OFFICER, COMMITTEE1, COMMITTEE2):
            self.gov((AUTH, 1, NONE, (who.address,)))
        self.gov((AUTH, 4, NONE, (OFFICER.address, l.LOAN_OFFICER)))
        for who in (COMMITTEE1, COMMITTEE2):
            self.gov((AUTH, 4, NONE, (who.address, "credit")))
        self.fund(5_000_000)
        self.gov(product(**changes))
        self.run()

    def fund(self, amount: int) -> None:
        """Let the co-op own cash that no member can ask for."""
        reserve: Value = (0, TILL.address, 3020, COOP, 0)
        self.gov((1, 1, NONE, (reserve, None)))
        cash: Value = (0, TILL.address, 1020, COOP, 0)
        self.gov((1, 2, NONE, (cash, reserve, amount, 0, 1, b"")))

    @property
    def day(self) -> int:
        return int(self.time) // DAY

    def days(self, count: int, step: int = 1) -> None:
        for _ in range(0, count, step):
            self.run(seconds=step * DAY - 2)
            self.run(seconds=2)

    def ask_for(self, who: Person, principal: int = 120_000, rows: int = 12, number: int = 1) -> int:
        (loan,) = self.do(who, call(3, who.address, number, principal, rows, 1_000_000, "Roof"))
        assert type(loan) is int
        return loan

    def accept(self, who: Person, loan: int) -> Value:
        (paid,) = self.do(who, call(8, who.address, loan, *self.terms(loan)))
        return paid

    def terms(self, loan: int) -> tuple[Value, Value]:
        """Return the hash of the terms of today, and what they cost a year."""
        offer = self.ask("lending", "offer", loan, self.day)
        assert type(offer) is tuple
        return offer[0], offer[2]

    def borrow(self, who: Person, principal: int = 120_000, rows: int = 12, number: int = 1) -> int:
        loan = self.ask_for(who, principal, rows, number)
        assert self.do(who, call(4, loan)) == (l.APPROVED,)
        self.accept(who, loan)
        return loan

    def pay(self, who: Person, loan: int, amount: int) -> Value:
        return self.do(who, call(10, who.address, loan, amount))[0]

    def loan(self, number: int) -> l.Loan:
        return l.get_loan(View(self.state), number)

    def stored(self, number: int) -> l.State:
        return l.get_state(View(self.state), number)

    def now(self, number: int) -> tuple[Any, ...]:
        found = self.ask("lending", "state", number)
        assert type(found) is tuple
        return found

    def rows_of(self, number: int) -> tuple[tuple[int, ...], ...]:
        found = self.ask("lending", "rows", number)
        assert type(found) is tuple
        return found  # type: ignore[return-value]

    def balance(self, account_class: int, number: int = 1) -> int:
        return find_balance(self, account_class, number)

    def books(self, number: int = 1) -> dict[int, int]:
        return {c: self.balance(c, number) for c in (*OWN_CLASSES, l.FEE_INCOME, l.RECOVERIES)}


def find_balance(world: World, account_class: int, number: int) -> int:
    """Return what an account of a product holds, a debit above 0."""
    row = get_account(View(world.state), account_key(l.ADDRESS_OF, account_class, COOP, number))
    return 0 if row is None else row[3] - row[5]


def check_lending(world: Lender, number: int = 1) -> None:
    """Check the sums of a product as `check_sums`, and all books."""
    check_sums(world, number)
    check_books(world)


def check_sums(world: World, number: int = 1) -> None:
    """Check the sums of a product against its loans, to the last part, and against its accounts."""
    view = View(world.state)
    kept = get_product(view, number)
    total = l.TOTALS.get(view, l.TOTALS.key(number))
    assert total is not None
    exact = slope = principal = penalties = advances = fees = allowances = count = 0
    for key, _ in l.LOANS.scan(view):
        loan = l.get_loan(view, int(str(l.LOANS.parts(key)[0])))
        if loan.product != number or loan.status not in (l.ACTIVE, l.CLOSED, l.CHARGED_OFF):
            continue
        state = l.get_state(view, int(str(l.LOANS.parts(key)[0])))
        earns = 0 if state.is_suspended else state.slope
        convention = DayCount(kept.day_count)
        exact += state.accrued + earns * (position(total[4], convention) - position(state.as_of, convention))
        slope += earns
        principal += state.principal_out
        penalties += state.penalty_booked
        advances += state.advance
        fees += state.fee_left
        allowances += state.allowance
        count += loan.status == l.ACTIVE
        rows = [l.Instalment(*r[1:]) for _, r in l.INSTALMENTS.scan(view, int(str(l.LOANS.parts(key)[0])))]  # type: ignore[arg-type]
        if not loan.reschedules:
            assert sum(r.base_principal for r in rows) == loan.principal
        assert all(r.principal_paid <= r.principal and r.interest_paid <= r.interest for r in rows)
        if loan.status == l.ACTIVE:
            assert sum(r.principal - r.principal_paid for r in rows) == state.principal_out
        else:
            assert not (state.principal_out or state.accrued or state.allowance or state.fee_left)
    assert (exact, slope) == (l.read_exact(total[2]), l.read_exact(total[3]))
    assert (principal, penalties, advances, count) == (total[1], total[6], total[7], total[8])
    assert find_balance(world, l.PRINCIPAL, number) == principal
    assert find_balance(world, l.INTEREST_RECEIVABLE, number) == total[5] == max(exact // ACCRUAL_UNIT, 0)
    assert find_balance(world, l.PENALTY_RECEIVABLE, number) == penalties
    assert find_balance(world, l.ADVANCES, number) == -advances
    assert find_balance(world, l.UNEARNED, number) == -total[13] == -fees
    assert find_balance(world, l.ALLOWANCE, number) == -allowances - total[11]


# --- borrowing


def test_a_loan_is_asked_for_decided_accepted_and_paid_out_in_one_block() -> None:
    bank = Lender(fee_flat=500, fee_bp=100)
    loan = bank.ask_for(ALICE)
    before = bank.free(ALICE)
    assert bank.do(ALICE, call(4, loan)) == (l.APPROVED,)
    assert bank.accept(ALICE, loan) == 120_000 - 500 - 1_200
    assert bank.free(ALICE) == before + 120_000 - 1_700
    assert bank.balance(l.PRINCIPAL) == 120_000 and bank.balance(l.FEE_INCOME) == -1_700
    assert bank.balance(l.ALLOWANCE) == -1_200 == -bank.balance(l.PROVISIONS)
    rows = bank.rows_of(loan)
    assert [row[1] + row[2] for row in rows[:-1]] == [10_662] * 11
    assert sum(row[1] for row in rows) == 120_000
    check_lending(bank)


def test_a_quote_says_what_it_costs() -> None:
    bank = Lender(fee_flat=1_000)
    quote = bank.ask("lending", "quote", 1, 120_000, 12, bank.day)
    assert type(quote) is tuple
    interest, fee, service, rate, rows = quote
    assert type(interest) is int and type(rate) is int and type(rows) is tuple
    assert (fee, len(rows)) == (1_000, 12) and service == 120_000 + interest
    assert 120_000 < rate < 160_000


def test_a_decision_can_be_made_again_from_its_record() -> None:
    bank = Lender(dsr_bp=3_000)
    loan = bank.borrow(ALICE)
    record = bank.ask("lending", "decision", loan)
    assert type(record) is tuple and record[-1] is True
    found = Findings(*record[:-1])  # type: ignore[arg-type]
    kept = get_product(View(bank.state), 1)
    assert find_refusal(kept, found) is None and find_referral(kept, 120_000, found) is None
    assert found.debt == 120_000 and found.income == 1_000_000 and found.loans == 0


def test_debt_is_what_is_out_of_other_loans_and_the_new_one() -> None:
    bank = Lender(auto_max=199_999)
    bank.borrow(ALICE, 100_000)
    assert bank.code(ALICE, call(4, bank.ask_for(ALICE, 100_000))) == l.COMMITTEE
    loan = bank.ask_for(ALICE, 99_999)
    assert bank.do(ALICE, call(4, loan)) == (l.APPROVED,)
    assert bank.ask("lending", "decision", loan)[4] == 199_999  # type: ignore[index]


@pytest.mark.parametrize(
    ("changes", "rule", "limit"),
    [
        ({"months_min": 1}, "lending.months", 1),
        ({"shares_min": 1}, "lending.shares", 1),
        ({"dsr_bp": 1_279}, "lending.dsr_bp", 1_279),
        ({"exposure_bp": 239}, "lending.exposure_bp", 239),
    ],
)
def test_who_is_not_eligible_hears_why(changes: dict[str, Any], rule: str, limit: int) -> None:
    bank = Lender(**changes)
    asked = bank.tx(call(3, ALICE.address, 1, 120_000, 12, 1_000_000, ""), actors=(ALICE,))
    receipt = bank.failed(asked)
    assert receipt.code == l.NOT_ELIGIBLE
    assert receipt.reason is not None and (receipt.reason.rule, receipt.reason.limit) == (rule, limit)


def test_eligible_at_the_limit() -> None:
    bank = Lender(dsr_bp=1_280, exposure_bp=240)
    bank.borrow(ALICE)


def test_as_many_loans_as_the_product_lets_and_one_more() -> None:
    bank = Lender(loans_max=1)
    bank.borrow(ALICE)
    refused = call(3, ALICE.address, 1, 120_000, 12, 1_000_000, "")
    assert bank.code(ALICE, refused) == l.NOT_ELIGIBLE


def test_who_is_suspended_gets_no_new_loan() -> None:
    bank = Lender()
    loan = bank.ask_for(ALICE)
    bank.do(BOARD1, (17, 8, 0, (bank.numbers[ALICE], HASH)))
    assert bank.code(ALICE, call(3, ALICE.address, 1, 2_000, 12, 2_000, "")) == l.NOT_ELIGIBLE
    assert bank.code(ALICE, call(4, loan)) == l.NOT_ELIGIBLE


def test_who_owes_cannot_leave() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    bank.do(ALICE, (17, 13, 0, (ALICE.address,)))
    assert bank.code(BOB, (17, 14, 0, (bank.numbers[ALICE],))) == m.OBLIGED
    bank.pay(BOB, loan, 130_000)
    bank.do(BOB, (17, 14, 0, (bank.numbers[ALICE],)))


def test_beyond_the_policy_a_committee_decides_without_the_borrower() -> None:
    bank = Lender(auto_max=119_999)
    loan = bank.ask_for(ALICE)
    assert bank.code(ALICE, call(4, loan)) == l.COMMITTEE
    assert bank.code(BOB, call(5, loan)) == l.COMMITTEE
    assert bank.do(COMMITTEE1, call(5, loan)) == (l.APPLIED,)
    assert bank.code(COMMITTEE1, call(5, loan)) == l.COMMITTEE
    assert bank.do(COMMITTEE2, call(5, loan)) == (l.APPROVED,)
    bank.accept(ALICE, loan)
    assert bank.ask("lending", "decision", loan)[-1] is False  # type: ignore[index]


def test_an_insider_is_decided_on_by_others() -> None:
    bank = Lender(approvals=1)
    bank.gov((AUTH, 4, NONE, (ALICE.address, "credit")))
    loan = bank.ask_for(ALICE)
    assert bank.code(ALICE, call(4, loan)) == l.COMMITTEE
    assert bank.code(ALICE, call(5, loan)) == l.COMMITTEE
    assert bank.do(COMMITTEE1, call(5, loan)) == (l.APPROVED,)


def test_own_savings_carry_what_the_policy_decides() -> None:
    bank = Lender(savings_multiple_bp=30_000)
    loan = bank.ask_for(ALICE, 3_000)
    assert bank.code(ALICE, call(4, loan)) == l.COMMITTEE
    from tests.protocol.contracts.test_savings import product as savings_product

    bank.gov(savings_product())
    bank.do(ALICE, (30, 3, 0, (ALICE.address, 1, 999)))
    assert bank.code(ALICE, call(4, loan)) == l.COMMITTEE
    bank.do(ALICE, (30, 4, 0, (ALICE.address, 1, 1)))
    assert bank.do(ALICE, call(4, loan)) == (l.APPROVED,)


def test_rejected_and_taken_back() -> None:
    bank = Lender()
    loan = bank.ask_for(ALICE)
    assert bank.code(BOB, call(6, loan)) == l.COMMITTEE
    assert bank.do(COMMITTEE1, call(6, loan)) == (l.REJECTED,)
    assert bank.code(ALICE, call(7, ALICE.address, loan)) == l.STATUS
    other = bank.ask_for(ALICE)
    assert bank.code(BOB, call(7, BOB.address, other)) == l.NO_LOAN
    assert bank.do(ALICE, call(7, ALICE.address, other)) == (l.WITHDRAWN,)


def test_only_the_exact_terms_of_the_day_are_accepted() -> None:
    bank = Lender()
    loan = bank.ask_for(ALICE)
    bank.do(ALICE, call(4, loan))
    terms = bank.terms(loan)
    assert bank.code(ALICE, call(8, ALICE.address, loan, HASH, 1)) == l.TERMS_CHANGED
    bank.days(1)
    assert bank.code(ALICE, call(8, ALICE.address, loan, *terms)) == l.TERMS_CHANGED
    bank.days(l.OFFER_DAYS, 10)
    terms = bank.terms(loan)
    assert bank.code(ALICE, call(8, ALICE.address, loan, *terms)) == l.STATUS


def test_no_more_is_lent_than_is_liquid() -> None:
    bank = Lender(principal_max=10_000_000, auto_max=10_000_000)
    loan = bank.ask_for(ALICE, 5_000_031)
    bank.do(ALICE, call(4, loan))
    terms = bank.terms(loan)
    assert bank.code(ALICE, call(8, ALICE.address, loan, *terms)) == l.NO_FUNDS
    bank.borrow(BOB, 5_000_030)


def test_a_closed_product_and_what_a_product_does_not_lend() -> None:
    bank = Lender(cap_bp=100)
    for principal, rows in ((1_999, 12), (1_000_001, 12), (2_000, 61), (120_000, 12)):
        assert bank.code(ALICE, call(3, ALICE.address, 1, principal, rows, 0, "")) == l.TERMS
    bank.gov((LENDING, 2, NONE, (1,)))
    assert bank.code(ALICE, call(3, ALICE.address, 1, 2_000, 1, 0, "")) == l.NO_PRODUCT
    assert bank.code(ALICE, call(4, 1)) == l.NO_LOAN


# --- paying


def test_every_instalment_on_its_day_closes_the_loan() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    for row in bank.rows_of(loan):
        bank.days(row[0] - bank.day)
        assert bank.now(loan)[1] == row[1] + row[2]
        bank.pay(ALICE, loan, row[1] + row[2])
        check_lending(bank)
    assert bank.loan(loan).status == l.CLOSED
    assert -bank.balance(l.INTEREST_INCOME) == bank.loan(loan).interest
    assert all(not bank.balance(c) for c in (l.PRINCIPAL, l.INTEREST_RECEIVABLE, l.ALLOWANCE))
    assert bank.code(ALICE, call(10, ALICE.address, loan, 1)) == l.STATUS


def test_interest_is_income_every_day() -> None:
    bank = Lender(day_count=int(DayCount.ACT_360), rate_ppm=360_000)
    bank.borrow(ALICE, 100_000, 1)
    bank.days(10)
    assert bank.balance(l.INTEREST_RECEIVABLE) in (900, 1_000)
    check_lending(bank)


@pytest.mark.parametrize("rule", list(FutureRule))
def test_too_much_pays_it_off_and_the_rest_goes_back(rule: FutureRule) -> None:
    bank = Lender(early_rule=int(rule))
    loan = bank.borrow(ALICE)
    bank.days(40)
    payoff = bank.now(loan)[2]
    assert bank.pay(BOB, loan, payoff + 77) == 0
    assert bank.loan(loan).status == l.CLOSED and bank.balance(l.ADVANCES) == -77
    check_lending(bank)
    before = bank.free(ALICE)
    assert bank.do(ALICE, call(12, ALICE.address, loan)) == (77,)
    assert bank.free(ALICE) == before + 77
    assert bank.code(ALICE, call(12, ALICE.address, loan)) == l.NOTHING
    check_lending(bank)


def test_what_is_paid_early_waits_for_the_next_row() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    rows = bank.rows_of(loan)
    bank.pay(ALICE, loan, 11_000)
    assert bank.balance(l.ADVANCES) == -11_000
    bank.days(rows[0][0] - bank.day)
    assert bank.now(loan)[1] == 0 and bank.balance(l.ADVANCES) == -(11_000 - rows[0][1] - rows[0][2])
    check_lending(bank)


def test_early_money_makes_instalments_smaller_or_fewer() -> None:
    found = {}
    for rule in (FutureRule.REDUCE_INSTALMENT, FutureRule.REDUCE_TERM):
        bank = Lender(early_rule=int(rule))
        loan = bank.borrow(ALICE)
        bank.days(bank.rows_of(loan)[0][0] - bank.day)
        bank.pay(ALICE, loan, bank.rows_of(loan)[0][1] + bank.rows_of(loan)[0][2] + 50_000)
        check_lending(bank)
        found[rule] = [row[1] + row[2] for row in bank.rows_of(loan)[1:]]
        for n, row in enumerate(bank.rows_of(loan)):
            if n and bank.loan(loan).status == l.ACTIVE:
                bank.days(row[0] - bank.day, 5)
                bank.pay(ALICE, loan, max(bank.now(loan)[1], 1))
        assert bank.loan(loan).status == l.CLOSED
        check_lending(bank)
    smaller, fewer = found[FutureRule.REDUCE_INSTALMENT], found[FutureRule.REDUCE_TERM]
    assert max(smaller) < 6_000 and min(smaller) > 5_000
    assert fewer[0] == 10_662 and fewer[-1] == 0


def test_what_is_due_is_paid_as_far_as_there_is_money_and_no_more() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    row = bank.rows_of(loan)[0]
    assert bank.do(ALICE, call(11, ALICE.address, loan, 50_000)) == (0,)
    bank.days(row[0] - bank.day)
    assert bank.do(ALICE, call(11, ALICE.address, loan, 1_000)) == (1_000,)
    assert bank.do(ALICE, call(11, ALICE.address, loan, 50_000)) == (row[1] + row[2] - 1_000,)
    assert bank.do(ALICE, call(11, ALICE.address, loan, 50_000)) == (0,)
    check_lending(bank)


# --- late


def test_classes_follow_the_days_and_what_is_set_aside_follows_the_classes() -> None:
    bank = Lender(floor_bp=0)
    loan = bank.borrow(ALICE)
    first = bank.rows_of(loan)[0][0]
    bank.days(first - bank.day + 30)
    assert (bank.stored(loan).loan_class, bank.balance(l.ALLOWANCE)) == (0, -1_200)
    for late, bp in ((31, 500), (61, 2_500), (91, 5_000), (181, 7_500)):
        bank.days(first + late - bank.day)
        assert bank.balance(l.ALLOWANCE) == -120_000 * bp // 10_000
        check_lending(bank)
    assert bank.now(loan)[0] == 181


def test_the_floor_sets_more_aside_than_the_classes_do() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    bank.days(bank.rows_of(loan)[0][0] - bank.day + 31)
    assert bank.balance(l.ALLOWANCE) == -42_000
    bank.pay(ALICE, loan, bank.now(loan)[1])
    bank.days(1)
    assert bank.balance(l.ALLOWANCE) > -1_200
    check_lending(bank)


def test_interest_is_no_income_from_substandard_on_until_it_is_paid() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    bank.days(bank.rows_of(loan)[0][0] - bank.day + 61)
    earned = bank.balance(l.INTEREST_INCOME)
    bank.days(100)
    assert bank.balance(l.INTEREST_INCOME) == earned
    bank.pay(ALICE, loan, bank.now(loan)[1])
    assert bank.balance(l.INTEREST_INCOME) < earned
    now = bank.balance(l.INTEREST_INCOME)
    bank.days(5)
    assert bank.balance(l.INTEREST_INCOME) < now
    check_lending(bank)


def test_penalties_arise_after_grace_and_stop_at_the_cap() -> None:
    bank = Lender(grace_days=5, penalty_flat=100, penalty_ppm=1_000, cap_bp=1_000)
    loan = bank.borrow(ALICE)
    first = bank.rows_of(loan)[0]
    bank.days(first[0] - bank.day + 5)
    assert bank.now(loan)[1] == first[1] + first[2]
    bank.days(1)
    assert bank.now(loan)[1] == first[1] + first[2] + 100
    bank.days(3)
    charged = 100 + (3 * first[1] * 1_000 + 500_000) // 1_000_000
    assert bank.now(loan)[1] == first[1] + first[2] + charged
    check_lending(bank)
    bank.days(300, 3)
    assert bank.loan(loan).interest + bank.stored(loan).penalty_charged <= 12_000
    bank.days(30, 3)
    assert bank.loan(loan).interest + bank.stored(loan).penalty_charged == 12_000
    check_lending(bank)


def test_penalties_are_forgiven_within_a_limit() -> None:
    bank = Lender(penalty_flat=1_500)
    loan = bank.borrow(ALICE)
    bank.days(bank.rows_of(loan)[0][0] - bank.day + 2)
    assert bank.code(ALICE, call(13, loan, False, 1)) == Code.ROLE
    assert bank.code(OFFICER, call(13, loan, False, 1_001)) == l.TOO_MUCH
    assert bank.do(OFFICER, call(13, loan, False, 1_000)) == (500,)
    assert bank.code(OFFICER, call(13, loan, False, 501)) == l.TOO_MUCH
    assert bank.balance(l.PENALTY_INCOME) == -500
    check_lending(bank)


def test_a_day_without_due_rows_asks_for_no_loan() -> None:
    bank = Lender()
    for who in (ALICE, BOB, CAROL):
        bank.borrow(who)
    before = {n: bank.stored(n).as_of for n in (1, 2, 3)}
    bank.days(10)
    assert {n: bank.stored(n).as_of for n in (1, 2, 3)} == before
    check_lending(bank)


def test_a_product_without_loans_runs_no_job() -> None:
    bank = Lender()
    assert bank.ask("lending", "total", 1)[11] == 0  # type: ignore[index]
    loan = bank.borrow(ALICE)
    assert bank.ask("lending", "total", 1)[11]  # type: ignore[index]
    bank.pay(ALICE, loan, 125_000)
    bank.days(2)
    assert bank.ask("lending", "total", 1)[11] == 0  # type: ignore[index]
    bank.do(OFFICER, call(14, loan, 1))
    assert bank.ask("lending", "total", 1)[11]  # type: ignore[index]
    check_lending(bank)


# --- reversal


def test_a_reversal_gives_the_history_without_the_payment() -> None:
    bank, other = (Lender(penalty_flat=50, penalty_ppm=500, grace_days=3) for _ in range(2))
    loan = bank.borrow(ALICE)
    assert other.borrow(ALICE) == loan
    for world in (bank, other):
        world.days(35)
    bank.pay(BOB, loan, 10_662)
    other.run()
    for world in (bank, other):
        world.days(30)
        world.pay(ALICE, loan, 12_000)
        world.days(40)
        world.pay(ALICE, loan, 5_000)
    before = bank.free(BOB)
    bank.do(OFFICER, call(14, loan, 1))
    assert bank.free(BOB) == before + 10_662
    other.run()
    assert bank.code(OFFICER, call(14, loan, 1)) == l.NO_EVENT
    assert bank.code(OFFICER, call(14, loan, 9)) == l.NO_EVENT
    for world in (bank, other):
        world.days(1)
    assert replace(bank.stored(loan), events=0, as_of=0, notices=0) == replace(
        other.stored(loan), events=0, as_of=0, notices=0
    )
    assert bank.rows_of(loan) == other.rows_of(loan)
    assert bank.books() == other.books()
    check_lending(bank)


def test_the_payment_that_closed_a_loan_is_reversed() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    bank.pay(BOB, loan, 125_000)
    assert bank.loan(loan).status == l.CLOSED
    bank.do(ALICE, call(12, ALICE.address, loan))
    assert bank.code(OFFICER, call(14, loan, 1)) == l.NOT_REVERSIBLE
    other = bank.borrow(BOB)
    bank.pay(BOB, other, 125_000)
    bank.do(OFFICER, call(14, other, 1))
    assert bank.loan(other).status == l.ACTIVE and bank.now(other)[2] == 120_000
    check_lending(bank)


# --- properties

BOOLS = st.booleans()
amounts = st.lists(st.tuples(st.integers(0, 45), st.integers(1, 40_000)), min_size=1, max_size=6)
kinds = st.sampled_from(list(FutureRule))


@settings(max_examples=12, deadline=None)
@given(amounts, kinds, st.sampled_from(list(DayCount)))
def test_two_payments_on_a_day_are_one(
    steps: list[tuple[int, int]], rule: FutureRule, convention: DayCount
) -> None:
    changes: dict[str, Any] = {
        "early_rule": int(rule),
        "day_count": int(convention),
        "penalty_flat": 30,
        "penalty_ppm": 700,
        "grace_days": 2,
    }
    whole, split = Lender(**changes), Lender(**changes)
    loan = whole.borrow(ALICE)
    assert split.borrow(ALICE) == loan
    for days, amount in steps:
        for world in (whole, split):
            world.days(days, 9)
        if whole.loan(loan).status == l.CLOSED:
            break
        whole.pay(BOB, loan, amount)
        whole.run()
        split.pay(BOB, loan, amount - amount // 3)
        if amount // 3 and split.loan(loan).status == l.ACTIVE:
            split.pay(BOB, loan, amount // 3)
        else:
            split.run()
            if amount // 3:
                return  # the rest has nothing to pay any more
        assert replace(whole.stored(loan), events=0) == replace(split.stored(loan), events=0)
        assert whole.rows_of(loan) == split.rows_of(loan)
        assert whole.books() == split.books()
    check_lending(whole)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((ALICE, BOB, CAROL)), st.integers(0, 70), st.integers(0, 60_000), st.booleans()
        ),
        max_size=9,
    ),
    kinds,
    st.sampled_from([Method.EQUAL_INSTALMENT, Method.EQUAL_PRINCIPAL, Method.BULLET]),
    st.sampled_from(list(DayCount)),
)
def test_sums_are_those_of_all_loans_whatever_happens(
    steps: list[tuple[Person, int, int, bool]], rule: FutureRule, method: Method, convention: DayCount
) -> None:
    bank = Lender(
        early_rule=int(rule),
        method=int(method),
        day_count=int(convention),
        penalty_flat=30,
        penalty_ppm=700,
        grace_days=2,
        grace_principal=1,
        grace_interest=1,
        interest_free=1,
    )
    loans = {who: bank.borrow(who, 60_000 + 7 * n, 6) for n, who in enumerate((ALICE, BOB, CAROL))}
    for who, days, amount, is_reversed in steps:
        bank.days(days, 7)
        if amount:
            bank.code(who, call(10, who.address, loans[who], amount))
        if is_reversed:
            bank.code(OFFICER, call(14, loans[who], 1))
        check_lending(bank)
