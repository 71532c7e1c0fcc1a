"""lending: interest that is forgiven was income, and a fund that bore a loss gets back what comes first."""

from protocol.contracts.ledger.books import find_balance as find_books
from protocol.contracts.ledger.books import list_balances
from protocol.contracts.lending import records as l
from protocol.errors import Code
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import BOARD1, TREASURY, check_books
from tests.protocol.contracts.test_lending import OFFICER, Lender, call, check_lending, product
from tests.protocol.contracts.test_lending_enforcement import Strict
from tests.protocol.ledger_world import ALICE, BOB, COOP, NONE


def forgive(loan: int, amount: int) -> tuple[int, int, int, tuple[int, bool, int]]:
    return (l.ID, 13, 0, (loan, True, amount))


def test_interest_that_is_due_is_forgiven_within_a_limit_and_is_income_no_more() -> None:
    bank = Lender(forgive_max=2_000)
    loan = bank.borrow(ALICE)
    assert bank.code(OFFICER, forgive(loan, 1)) == l.TOO_MUCH, "nothing is due"
    bank.days(bank.rows_of(loan)[1][0] - bank.day)
    interest = sum(row[2] for row in bank.rows_of(loan)[:2])
    income, due = bank.balance(l.INTEREST_INCOME), bank.now(loan)[1]
    assert bank.code(ALICE, forgive(loan, 1)) == Code.ROLE
    assert bank.code(OFFICER, forgive(loan, 2_001)) == l.TOO_MUCH
    assert bank.do(OFFICER, forgive(loan, 1_500)) == (interest - 1_500,)
    assert bank.balance(l.INTEREST_INCOME) == income + 1_500
    assert bank.now(loan)[1] == due - 1_500 and bank.balance(l.PRINCIPAL) == 120_000
    assert [row[8] for row in bank.rows_of(loan)[:2]] == [1_200, 300], "of the oldest row first"
    assert bank.code(OFFICER, forgive(loan, interest - 1_499)) == l.TOO_MUCH
    check_lending(bank)
    assert bank.gov((*forgive(loan, interest - 1_500)[:2], NONE, (loan, True, interest - 1_500))) == (0,)
    row = bank.rows_of(loan)[0]
    bank.pay(ALICE, loan, row[1])
    assert bank.rows_of(loan)[0][9] == bank.day, "what is left of the row pays it"
    check_lending(bank)


def test_interest_that_was_no_income_yet_is_forgiven_without_a_loss() -> None:
    bank = Lender(forgive_max=10_000)
    loan = bank.borrow(ALICE)
    bank.days(bank.rows_of(loan)[0][0] + 100 - bank.day, 5)
    assert bank.stored(loan).is_suspended
    books, due = bank.books(), sum(row[2] for row in bank.rows_of(loan)[: bank.stored(loan).due_n])
    receivable = books[l.INTEREST_RECEIVABLE]
    assert 0 < receivable < due
    bank.do(OFFICER, forgive(loan, due))
    assert bank.balance(l.INTEREST_RECEIVABLE) == 0
    assert bank.balance(l.INTEREST_INCOME) == books[l.INTEREST_INCOME] + receivable
    check_lending(bank)


def test_a_loan_of_which_only_interest_is_left_is_closed_as_that_is_forgiven() -> None:
    bank = Lender(forgive_max=5_000, order=(0, 1, 3, 2, 4, 5, 7, 6, 8, 9, 10, 11))
    loan = bank.borrow(ALICE, rows=1)
    bank.days(bank.rows_of(loan)[0][0] - bank.day + 1)
    bank.pay(ALICE, loan, 120_000)
    assert bank.loan(loan).status == l.ACTIVE and bank.stored(loan).principal_out == 0
    assert bank.do(OFFICER, forgive(loan, bank.now(loan)[1])) == (0,)
    assert bank.loan(loan).status == l.CLOSED
    check_lending(bank)


def test_what_was_forgiven_is_forgiven_once_more_after_a_reversal() -> None:
    bank, other = Lender(forgive_max=5_000), Lender(forgive_max=5_000)
    for world in (bank, other):
        assert world.borrow(ALICE) == 1
        world.days(world.rows_of(1)[0][0] - world.day + 3)
    bank.pay(BOB, 1, 50)
    other.run()
    for world in (bank, other):
        world.do(OFFICER, forgive(1, 1_150))
    bank.do(OFFICER, call(14, 1, 1))
    other.run()
    assert bank.rows_of(1) == other.rows_of(1) and bank.books() == other.books()
    check_lending(bank)


def test_a_fund_that_bore_a_loss_gets_back_what_comes_first() -> None:
    bank = Strict(enforce_days=0)
    bank.do(BOARD1, (TREASURY, 1, 0, ("Losses", "", COOP, True)))
    bank.gov(product(enforce_days=0, charge_off_days=120, fund=1))
    bank.do(BOB, (TREASURY, 3, 0, (BOB.address, 1, 50_000)))
    loan = bank.borrow(ALICE, number=2)
    bank.wait_late(loan, 120)
    owed = bank.lost(loan)
    assert bank.ask("lending", "claim", loan) == (owed, 0, 50_000) and owed > 120_000
    held = []
    for amount in (30_000, 19_999, 2, 40_000):
        surplus = find_books(list_balances(View(bank.state), COOP), 3050)
        bank.do(BOB, call(15, BOB.address, loan, amount))
        balances = list_balances(View(bank.state), COOP)
        held.append(find_books(balances, 3030))
        before = held[-2] if len(held) > 1 else 0
        assert find_books(balances, 3050) == surplus - (held[-1] - before)
        check_books(bank)
    assert held == [30_000, 49_999, 50_000, 50_000]
    assert bank.balance(l.RECOVERIES, 2) == -(30_000 + 19_999 + 2 + 40_000), "all of it is income"
    bank.do(BOB, call(15, BOB.address, loan, 500_000))
    assert bank.loan(loan).status == l.RECOVERED
    check_lending(bank, 2)
