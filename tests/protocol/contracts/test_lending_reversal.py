"""lending: whatever was paid when, reversing a payment gives the history in which it never was."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocol.contracts.credit.doors import collect_facts
from protocol.contracts.lending import records as l
from protocol.errors import Code
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
    st.booleans(),
)
def test_a_reversal_is_the_history_without_the_payment(
    history: list[tuple[int, int]], at: int, amount: int, rule: FutureRule, convention: DayCount, daily: bool
) -> None:
    changes: dict[str, Any] = {
        "early_rule": int(rule),
        "day_count": int(convention),
        "penalty_flat": 40,
        "penalty_ppm": 900,
        "grace_days": 3,
        "floor_bp": 0,  # the floor follows once a day
        "is_daily": daily,
        "fee_bp": 700,
        "spreads_fee": True,
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


@pytest.mark.parametrize(("above", "code"), [(0, Code.OK), (1, l.NOT_REVERSIBLE)])
def test_so_much_is_done_over_and_no_more(above: int, code: int) -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    bank.pay(BOB, loan, 100)
    view = View(bank.state)
    state = l.get_state(view, loan)
    row = l.EVENTS.get(view, l.EVENTS.key(loan, 1))
    assert row is not None and (state.sealed, state.events) == (0, 1)
    state.events = l.REPLAY_EVENTS_MAX + above
    for event in range(2, state.events + 1):  # payments that were reversed before
        l.EVENTS.put(view, l.EVENTS.key(loan, event), (*row[:5], True))
    l.put_state(view, loan, 1, state)
    bank.write(view.collect_writes())
    assert bank.run(bank.tx(call(14, loan, 1), actors=(OFFICER,), gas=1_000_000)).receipts[0].code == code


def test_as_many_loans_are_open_as_a_member_may_have_and_not_one_more() -> None:
    bank = Lender(loans_max=l.LOANS_OPEN_MAX, reserve_bp=0)
    for _ in range(l.LOANS_OPEN_MAX):
        bank.ask_for(ALICE, 12_000)
    one_more = bank.tx(call(3, ALICE.address, 1, 12_000, 12, 1_000_000, "Roof"), actors=(ALICE,), gas=400_000)
    receipt = bank.run(one_more).receipts[0]
    assert receipt.code == l.NOT_ELIGIBLE and receipt.reason is not None
    assert (receipt.reason.rule, receipt.reason.limit) == ("lending.open", l.LOANS_OPEN_MAX)


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
