"""lending, what it tells credit: fresh money counts nothing, a loss counts until it is paid, and after."""

import pytest

from protocol.contracts.credit import records as c
from protocol.contracts.credit.doors import collect_facts
from protocol.contracts.credit.parts import Facts
from protocol.contracts.lending import records as l
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import DAY, HASH
from tests.protocol.contracts.test_lending import OFFICER, Lender, call, check_lending
from tests.protocol.contracts.test_lending_enforcement import Strict
from tests.protocol.contracts.test_security import call as secure
from tests.protocol.ledger_world import ALICE, BOB


def facts(bank: Lender) -> Facts:
    return collect_facts(View(bank.state), bank.numbers[ALICE], bank.day)


def marks(bank: Lender) -> list[object]:
    return list(c.MARKS.scan(View(bank.state), bank.numbers[ALICE]))


@pytest.mark.parametrize(
    ("days", "principal", "counts"),
    [(0, 12_000, False), (l.FRESH_DAYS, 12_000, False), (l.FRESH_DAYS + 1, 12_000, True), (0, 9_461, True)],
)
def test_what_is_paid_with_another_loan_counts_nothing(days: int, principal: int, counts: bool) -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    row = bank.rows_of(loan)[0]
    assert row[1] == 9_462
    bank.days(row[0] - bank.day - days)
    bank.borrow(ALICE, principal)
    bank.days(days)
    bank.pay(ALICE, loan, row[1] + row[2])
    assert len(marks(bank)) == counts
    assert bank.rows_of(loan)[0][10] is not counts
    bank.do(OFFICER, call(14, loan, 1))
    assert not marks(bank)
    check_lending(bank)


def test_a_row_that_an_advance_pays_counts_though_nobody_looked_that_day() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    row = bank.rows_of(loan)[0]
    bank.pay(ALICE, loan, row[1] + row[2])
    bank.run(seconds=(row[0] - bank.day + 3) * DAY)
    bank.run(seconds=DAY)
    assert bank.rows_of(loan)[0][9] == row[0] and len(facts(bank).marks) == 1


def test_a_loss_counts_until_it_is_paid_and_as_late_as_it_was() -> None:
    bank = Strict(enforce_days=0)
    loan = bank.borrow_with()
    before = bank.score(ALICE)
    bank.wait_late(loan, 121)
    assert bank.loan(loan).status == l.CHARGED_OFF
    lost = facts(bank)
    assert lost.in_use == 1_000 and len(lost.marks) == 1
    low = bank.score(ALICE)
    assert low < before
    bank.do(BOB, call(15, BOB.address, loan, 500_000))
    paid = facts(bank)
    assert paid.in_use == 0 and paid.marks == lost.marks
    check_lending(bank)


def test_a_loan_that_was_closed_with_security_is_not_opened_again() -> None:
    bank = Strict()
    loan = bank.borrow_with((BOB, 6_000))
    bank.pay(BOB, loan, 130_000)
    assert bank.loan(loan).status == l.CLOSED
    assert bank.code(OFFICER, call(14, loan, 1)) == l.NOT_REVERSIBLE
    other = bank.ask_for(ALICE)
    bank.do(ALICE, secure(8, ALICE, other, HASH))
    bank.do(ALICE, call(4, other))
    bank.accept(ALICE, other)
    bank.pay(BOB, other, 130_000)
    bank.do(OFFICER, call(14, other, 1))
    assert bank.loan(other).status == l.ACTIVE
    check_lending(bank)
