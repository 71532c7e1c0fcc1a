"""lending: what a product can say of its rate and its rows; and that a disclosed rate is checked."""

from dataclasses import replace
from typing import Any

import pytest

from protocol.codec import Value
from protocol.contracts.ledger.books import find_balance as find_books
from protocol.contracts.ledger.books import list_balances
from protocol.contracts.lending import records as l
from protocol.contracts.lending.deciding import Findings, find_referral
from protocol.contracts.lending.product import CUSTOM_ROWS_MAX, get_product
from protocol.contracts.treasury import records as t
from protocol.errors import Rejected
from protocol.finance.allocation import FutureRule
from protocol.finance.annual_rate import TOLERANCE_PPM
from protocol.finance.day_count import DayCount
from protocol.finance.schedule import Method
from protocol.vm.program import literal
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import BOARD1, DAY, TREASURY
from tests.protocol.contracts.test_lending import (
    COMMITTEE1,
    OFFICER,
    Lender,
    call,
    check_lending,
    product,
)
from tests.protocol.contracts.test_lending_enforcement import Strict
from tests.protocol.ledger_world import ALICE, ASSETS, BOB, COOP, NONE, Person

CREDIT = 32


def set_table(*bands: tuple[int, int, int], starter: int = 0) -> Value:
    return (CREDIT, 1, NONE, (COOP, literal(bands), starter))


def accept_at(bank: Lender, who: Person, loan: int, annual_ppm: int) -> int:
    return bank.code(who, call(8, who.address, loan, bank.terms(loan)[0], annual_ppm))


# --- what it costs a year


def test_what_a_loan_is_said_to_cost_is_checked() -> None:
    bank = Lender(fee_bp=100)
    loan = bank.ask_for(ALICE)
    bank.do(ALICE, call(4, loan))
    true = bank.terms(loan)[1]
    assert type(true) is int
    assert 120_000 < true < 160_000, "interest, compounded, and the fee"
    for wrong in (true - TOLERANCE_PPM - 1, true + TOLERANCE_PPM + 1, 120_000, 0):
        assert accept_at(bank, ALICE, loan, wrong) == l.TERMS
    assert accept_at(bank, ALICE, loan, true + TOLERANCE_PPM - 1) == 0
    assert bank.loan(loan).annual_ppm == true + TOLERANCE_PPM - 1


def test_what_has_no_rate_cannot_be_accepted() -> None:
    bank = Lender(fee_flat=1_900, period_unit=1)
    loan = bank.ask_for(ALICE, 2_000, 1)
    bank.do(ALICE, call(4, loan))
    assert bank.terms(loan)[1] is None
    assert accept_at(bank, ALICE, loan, (1 << 32) - 1) == l.TERMS


# --- the score


def test_the_score_adds_to_the_rate_and_limits_what_the_policy_lends() -> None:
    bank = Strict(by_score=True)
    bank.gov(set_table((0, 0, 50_000), (300, 20_000, 30_000), (700, 40_000, 0), starter=15_000))
    loan = bank.ask_for(ALICE, 15_000)
    assert bank.loan(loan).rate_ppm == 150_000
    assert bank.do(ALICE, call(4, loan)) == (l.APPROVED,)
    record = bank.ask("lending", "decision", loan)
    assert type(record) is tuple
    found = Findings(*record[:-1])  # type: ignore[arg-type]
    assert (found.carried, found.rate_ppm) == (15_000, 150_000), "nothing but the beginner's amount"
    kept = get_product(View(bank.state), 1)
    assert find_referral(kept, 15_000, found) is None
    reason = find_referral(kept, 15_001, replace(found, debt=15_001))
    assert reason is not None and (reason.rule, reason.limit) == ("lending.score_limit", 15_000)
    assert bank.code(ALICE, call(4, bank.ask_for(ALICE, 15_001))) == l.COMMITTEE
    # Savings carry more: twice 200,000.
    loan = bank.ask_for(BOB, 400_000)
    assert bank.do(BOB, call(4, loan)) == (l.APPROVED,)


def test_the_rate_of_a_decision_stays_whatever_the_table_says_later() -> None:
    bank = Strict(by_score=True)
    bank.gov(set_table((0, 100_000, 10_000)))
    loan = bank.ask_for(ALICE, 12_000)
    bank.gov(set_table((0, 100_000, 20_000)))
    bank.do(ALICE, call(4, loan))
    bank.gov(set_table((0, 100_000, 90_000)))
    bank.accept(ALICE, loan)
    assert bank.loan(loan).rate_ppm == 140_000
    assert bank.rows_of(loan)[0][2] == 140, "a month of it"
    # What is made anew after an early payment has it, too.
    early = Strict(by_score=True, early_rule=1)
    early.gov(set_table((0, 100_000, 30_000)))
    loan = early.borrow(ALICE, 12_000)
    early.pay(ALICE, loan, 6_000)
    assert [row[2] for row in early.rows_of(loan)][:2] == [75, 69]
    check_lending(early)


# --- interest of each day


def test_daily_interest_follows_what_is_out() -> None:
    kinds = {"day_count": int(DayCount.ACT_365F), "method": int(Method.EQUAL_PRINCIPAL), "rate_ppm": 365_000}
    banks = {daily: Lender(is_daily=daily, early_rule=1, **kinds) for daily in (False, True)}
    loans = {daily: bank.borrow(ALICE, 120_000) for daily, bank in banks.items()}
    assert banks[True].rows_of(1) == banks[False].rows_of(1)
    first = banks[True].rows_of(1)[0]
    for daily, bank in banks.items():
        bank.days(first[0] - bank.day)
        assert bank.now(1)[1] == first[1] + first[2], "until the first row is due both are one"
        bank.days(10)
        bank.pay(ALICE, loans[daily], first[1] + first[2])
        bank.days(bank.rows_of(1)[1][0] - bank.day)
        check_lending(bank)
    scheduled, by_day = banks[False].rows_of(1)[1], banks[True].rows_of(1)[1]
    days = scheduled[0] - first[0]
    assert scheduled[2] == 110 * days
    assert by_day[2] == 120 * 10 + 110 * (days - 10), "ten days longer on what was not paid"
    for bank in banks.values():
        bank.do(ALICE, call(10, ALICE.address, 1, bank.now(1)[2]))
        assert bank.loan(1).status == l.CLOSED
        check_lending(bank)


def test_daily_interest_stays_within_the_cap() -> None:
    bank = Lender(is_daily=True, cap_bp=1_000, rate_ppm=170_000, penalty_ppm=1_000, charge_off_days=720)
    loan = bank.borrow(ALICE)
    most = 0
    for _ in range(14):
        bank.days(30, 10)
        state = bank.stored(loan)
        most = max(most, state.interest_charged + state.penalty_charged)
        check_lending(bank)
    assert most == 12_000


def test_a_daily_loan_is_the_same_whoever_looks_and_after_a_reversal() -> None:
    def live(*, reverses: bool) -> tuple[object, ...]:
        bank = Lender(is_daily=True, early_rule=2)
        loan = bank.borrow(ALICE)
        bank.days(45)
        if reverses:
            bank.pay(ALICE, loan, 30_000)
        bank.days(20)
        bank.pay(ALICE, loan, 9_000)
        bank.days(30)
        if reverses:
            bank.do(OFFICER, call(14, loan, 1))
        check_lending(bank)
        return bank.rows_of(loan), bank.now(loan)[:9]

    assert live(reverses=True) == live(reverses=False)


# --- fees and funds


def test_a_fee_that_is_spread_is_income_row_after_row() -> None:
    bank = Lender(fee_flat=1_000, spreads_fee=True)
    loan = bank.borrow(ALICE, rows=3)
    assert (bank.balance(l.FEE_INCOME), bank.balance(l.UNEARNED)) == (0, -1_000)
    left = []
    for due_day, *_ in bank.rows_of(loan):
        bank.days(due_day - bank.day)
        bank.run(seconds=DAY // 2)
        left.append(-bank.balance(l.UNEARNED))
        check_lending(bank)
    assert left == [667, 334, 0] and bank.balance(l.FEE_INCOME) == -1_000


@pytest.mark.parametrize("ends", ["paid off", "charged off", "rescheduled"])
def test_what_is_left_of_a_fee_is_income_as_the_loan_ends(ends: str) -> None:
    bank = Strict(fee_flat=1_000, spreads_fee=True, enforce_days=0)
    loan = bank.borrow(ALICE)
    if ends == "paid off":
        bank.pay(ALICE, loan, bank.now(loan)[2])
        assert bank.balance(l.FEE_INCOME) == -1_000
        bank.do(OFFICER, call(14, loan, 1))
        assert (bank.balance(l.FEE_INCOME), bank.balance(l.UNEARNED)) == (0, -1_000), "as if not paid"
    elif ends == "charged off":
        bank.wait_late(loan, 120)
        assert bank.loan(loan).status == l.CHARGED_OFF
        assert (bank.balance(l.FEE_INCOME), bank.balance(l.UNEARNED)) == (-1_000, 0)
    else:
        bank.wait_late(loan, 1)
        bank.do(ALICE, call(17, ALICE.address, loan, 4))
        bank.do(COMMITTEE1, call(18, loan))
        assert bank.balance(l.UNEARNED) == -917 == -bank.stored(loan).fee_left
        bank.days(bank.rows_of(loan)[0][0] + 1 - bank.day)
        assert bank.balance(l.UNEARNED) == -(917 - 917 // 4)
    check_lending(bank)


@pytest.mark.parametrize(("given", "borne"), [(119_999, 119_999), (120_000, 120_000), (120_001, 120_000)])
def test_a_fund_bears_what_is_lost_as_far_as_it_reaches(given: int, borne: int) -> None:
    bank = Strict(enforce_days=0)
    bank.do(BOARD1, (TREASURY, 1, 0, ("Losses", "", COOP, True)))
    bank.gov(product(enforce_days=0, charge_off_days=120, fund=1))
    bank.do(BOB, (TREASURY, 3, 0, (BOB.address, 1, given)))
    loan = bank.borrow(ALICE, number=2)
    surplus = find_books(list_balances(View(bank.state), COOP), 3050)
    bank.wait_late(loan, 120)
    assert bank.loan(loan).status == l.CHARGED_OFF and bank.balance(l.PROVISIONS, 2) == 120_000
    balances = list_balances(View(bank.state), COOP)
    assert find_books(balances, 3030) == given - borne
    assert find_books(balances, 3050) == surplus + borne
    assert bank.lost(loan) >= 120_000, "it stays owed"
    check_lending(bank, 2)


def test_a_fund_is_of_the_asset_of_its_product_and_keeps_what_its_lines_need() -> None:
    bank = Strict(enforce_days=0)
    assert bank.gov_outcome(product(fund=1)).code == t.UNKNOWN_FUND
    bank.gov((ASSETS, 1, NONE, ("GOLD", "", 2, 2, 1_000_000)))
    for name, asset in (("Other", COOP + 1), ("Losses", COOP)):
        bank.do(BOARD1, (TREASURY, 1, 0, (name, "", asset, True)))
    assert bank.gov_outcome(product(fund=1)).code == l.TERMS
    bank.gov(product(charge_off_days=120, fund=2))
    bank.do(BOB, (TREASURY, 3, 0, (BOB.address, 2, 1_000)))
    bank.do(BOARD1, (TREASURY, 5, 0, (2, "Courses", 400, 2026, False, "", False)))
    loan = bank.borrow(ALICE, number=2)
    bank.wait_late(loan, 120)
    assert find_books(list_balances(View(bank.state), COOP), 3030) == 400
    check_lending(bank, 2)


# --- rows


def test_custom_rows_are_parts_of_the_principal() -> None:
    parts = (0, 0, 3_333, 0, 6_667)
    bank = Lender(method=int(Method.CUSTOM), custom_bp=parts, rows_min=5, rows_max=5)
    loan = bank.borrow(ALICE, 100_001, 5)
    assert [row[1] for row in bank.rows_of(loan)] == [0, 0, 33_330, 0, 66_671]
    assert [row[2] for row in bank.rows_of(loan)] == [1_000, 1_000, 1_000, 667, 667]
    bank.pay(ALICE, loan, 50_000)
    check_lending(bank)


def test_level_instalments_can_be_smooth() -> None:
    last = []
    for is_smooth in (False, True):
        bank = Lender(is_smooth=is_smooth, instalment_unit=100)
        rows = bank.rows_of(bank.borrow(ALICE, 120_000, 60))
        last.append(abs(rows[-1][1] + rows[-1][2] - rows[0][1] - rows[0][2]))
    assert last[1] <= last[0]


def test_so_many_rows_can_be_custom_and_no_more() -> None:
    parts = (0,) * (CUSTOM_ROWS_MAX - 1) + (10_000,)
    custom = {"method": int(Method.CUSTOM), "rows_min": len(parts), "rows_max": len(parts)}
    bank = Lender(**custom, custom_bp=parts)
    with pytest.raises(Rejected, match="TYPE"):
        bank.gov(product(**custom, custom_bp=(0, *parts)))


@pytest.mark.parametrize(
    "changes",
    [
        {"principal_min": 2, "principal_max": 1},
        {"rows_min": 3, "rows_max": 2},
        {"class_bp": (100,)},
        {"suspend_days": 5, "grace_days": 5},
        {"charge_off_days": 60},
        {"balloon_bp": 1},
        {"method": int(Method.FLAT), "early_rule": int(FutureRule.REDUCE_TERM)},
        {"fee_flat": 2_001},
        {"reserve_bp": 10_000},
        {"custom_bp": (10_000,)},
        {"method": 7, "custom_bp": (5_000, 4_999), "rows_min": 2, "rows_max": 2},
        {"method": 7, "custom_bp": (5_000, 5_000), "rows_min": 1, "rows_max": 2},
        {"method": 7, "custom_bp": (5_000, 5_000), "rows_min": 2, "rows_max": 3},
        {"method": 7, "rows_min": 1, "rows_max": 1},
        {"method": 1, "is_daily": True},
    ],
)
def test_products_that_contradict_themselves(changes: dict[str, Any]) -> None:
    assert Lender().gov_outcome(product(**changes)).code == l.TERMS


def test_a_rate_is_at_most_a_thousand_percent_a_year_the_score_included() -> None:
    bank = Strict(by_score=True, rate_ppm=l.RATE_MAX_PPM)
    bank.gov(set_table((0, 100_000, 50_000)))
    assert bank.loan(bank.ask_for(ALICE, 12_000)).rate_ppm == l.RATE_MAX_PPM
    with pytest.raises(Rejected, match="TYPE"):
        bank.gov(product(rate_ppm=l.RATE_MAX_PPM + 1))
