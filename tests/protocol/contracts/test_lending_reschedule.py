"""lending: another schedule for what is still owed, with the borrower's word and the committee's."""

from protocol.contracts.lending import records as l
from protocol.vm.view import View
from tests.protocol.contracts.test_lending import COMMITTEE1, OFFICER, Lender, call, check_lending
from tests.protocol.ledger_world import ALICE, BOB


def test_what_is_owed_gets_another_schedule_and_keeps_its_class() -> None:
    bank = Lender(floor_bp=0)
    loan = bank.borrow(ALICE)
    bank.days(bank.rows_of(loan)[0][0] - bank.day + 65, 5)
    assert bank.code(COMMITTEE1, call(18, loan)) == l.NOTHING
    assert bank.code(BOB, call(17, BOB.address, loan, 24)) == l.NO_LOAN
    assert bank.code(ALICE, call(17, ALICE.address, loan, 61)) == l.TERMS
    bank.do(ALICE, call(17, ALICE.address, loan, 24))
    assert bank.code(ALICE, call(18, loan)) == l.COMMITTEE
    owed, income = bank.now(loan)[2], bank.balance(l.INTEREST_INCOME)
    assert bank.do(COMMITTEE1, call(18, loan)) == (24,)
    assert bank.now(loan)[:3] == (0, 0, owed) and bank.balance(l.INTEREST_INCOME) == income
    assert bank.stored(loan).loan_class == 2 and bank.stored(loan).is_suspended
    rows = bank.rows_of(loan)
    assert len(rows) == 24 and sum(row[1] for row in rows) == 120_000
    assert len(list(l.ARCHIVE.scan(View(bank.state), loan))) == 12
    check_lending(bank)
    for n, row in enumerate(rows[:4]):
        bank.days(row[0] - bank.day, 5)
        bank.pay(ALICE, loan, row[1] + row[2])
        state = bank.stored(loan)
        is_held = state.as_of < bank.loan(loan).restructured
        assert is_held == (n < 2) == (state.loan_class == 2) == state.is_suspended
        check_lending(bank)
    bank.do(OFFICER, call(14, loan, 4))
    assert bank.now(loan)[1] == rows[3][1] + rows[3][2]
    check_lending(bank)


def test_as_many_schedules_as_a_loan_may_have_and_one_more() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    bank.pay(ALICE, loan, 100)
    for n in range(l.RESCHEDULES_MAX):
        bank.do(ALICE, call(17, ALICE.address, loan, 20 + n))
        bank.do(COMMITTEE1, call(18, loan))
    assert bank.code(ALICE, call(17, ALICE.address, loan, 20)) == l.TOO_MUCH
    assert bank.code(OFFICER, call(14, loan, 1)) == l.NOT_REVERSIBLE
    check_lending(bank)


def test_the_class_is_held_for_so_many_days_and_not_one_more() -> None:
    bank = Lender(floor_bp=0, period_unit=1, every=120, rows_max=3)
    loan = bank.borrow(ALICE, rows=3)
    bank.days(bank.rows_of(loan)[0][0] - bank.day + 61, 5)
    bank.do(ALICE, call(17, ALICE.address, loan, 3))
    bank.do(COMMITTEE1, call(18, loan))
    first = bank.day
    bank.days(l.HELD_DAYS - 1)
    bank.pay(BOB, loan, 1)
    assert bank.day == first + l.HELD_DAYS - 1
    assert bank.stored(loan).loan_class == 2 and bank.stored(loan).is_suspended
    bank.days(1)
    assert bank.stored(loan).loan_class == 0 and not bank.stored(loan).is_suspended
    check_lending(bank)
