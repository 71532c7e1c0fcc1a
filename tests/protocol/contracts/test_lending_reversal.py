"""lending: whatever was paid when, reversing a payment gives the history in which it never was."""

from dataclasses import replace
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocol.contracts.credit.doors import collect_facts
from protocol.contracts.lending import records as l
from protocol.finance.allocation import FutureRule
from protocol.finance.day_count import DayCount
from protocol.vm.view import View
from tests.protocol.contracts.test_lending import OFFICER, Lender, call, check_lending
from tests.protocol.ledger_world import ALICE, BOB

steps = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 25_000)), min_size=1, max_size=5)


@settings(max_examples=15, deadline=None)
@given(
    steps,
    st.integers(0, 4),
    st.integers(1, 40_000),
    st.sampled_from(list(FutureRule)),
    st.sampled_from(list(DayCount)),
)
def test_a_reversal_is_the_history_without_the_payment(
    history: list[tuple[int, int]], at: int, amount: int, rule: FutureRule, convention: DayCount
) -> None:
    changes: dict[str, Any] = {
        "early_rule": int(rule),
        "day_count": int(convention),
        "penalty_flat": 40,
        "penalty_ppm": 900,
        "grace_days": 3,
        "floor_bp": 0,  # the floor follows once a day
    }
    bank, other = Lender(**changes), Lender(**changes)
    loan = bank.borrow(ALICE)
    assert other.borrow(ALICE) == loan
    at = min(at, len(history) - 1)
    for n, (days, paid) in enumerate(history):
        for world in (bank, other):
            world.days(days, 7)
        if n == at:
            bank.pay(BOB, loan, amount)
            other.run()
        assume(bank.loan(loan).status == other.loan(loan).status == l.ACTIVE)
        for world in (bank, other):
            world.pay(ALICE, loan, paid)
    before = bank.free(BOB)
    bank.do(OFFICER, call(14, loan, at + 1))
    other.run()
    assert bank.free(BOB) == before + amount
    assume(bank.loan(loan).status == other.loan(loan).status == l.ACTIVE)
    for world in (bank, other):  # so that both were looked at today
        world.pay(BOB, loan, 1)
    mine, theirs = (replace(world.stored(loan), events=0, notices=0) for world in (bank, other))
    assert mine == theirs
    assert bank.rows_of(loan) == other.rows_of(loan)
    assert bank.books() == other.books()
    member = bank.numbers[ALICE]
    facts = [collect_facts(View(world.state), member, world.day) for world in (bank, other)]
    assert facts[0] == facts[1]
    check_lending(bank)


def test_a_row_that_is_paid_later_after_a_reversal_counts_as_later() -> None:
    bank, other = Lender(), Lender()
    for world in (bank, other):
        loan = world.borrow(ALICE)
        due = world.rows_of(loan)[0][0]
        world.days(due - world.day)
    bank.pay(BOB, loan, 10_662)
    other.run()
    for world in (bank, other):
        world.days(20)
        world.pay(BOB, loan, 10_662)
    bank.do(OFFICER, call(14, loan, 1))
    other.run()
    assert bank.rows_of(loan)[0][9] == due + 20
    facts = [collect_facts(View(world.state), bank.numbers[ALICE], world.day) for world in (bank, other)]
    assert facts[0] == facts[1] and facts[0].marks
    check_lending(bank)
