"""The year of a co-op: join, save, borrow, pay, default, provision, close; a real reader checks the books.

Every rule of lending is tried alone in test_lending*.py; here they meet, and nothing may be left over.
"""

from collections import Counter

import pytest

from node.books import beancount_form
from node.books.export import Asset, Place
from node.books.postings import Posting, decode_posting, read_record
from node.store.journal import load_record
from protocol.addresses import HRP_TEST
from protocol.contracts.credit.records import SCORE_MAX
from protocol.contracts.ledger.accounts import ACCOUNT, NO_HISTORY, compute_balance
from protocol.contracts.lending import records as l
from protocol.contracts.treasury.records import SURPLUS
from protocol.money import date_from_days
from tests.protocol.contracts.coop_world import BOARD1, DAY, TREASURY, check_books
from tests.protocol.contracts.test_lending import call, check_lending
from tests.protocol.contracts.test_lending_enforcement import Strict
from tests.protocol.contracts.test_savings import product as savings_product
from tests.protocol.contracts.test_security import offer
from tests.protocol.ledger_world import ALICE, BOB, CAROL, COOP, Person, person

DAN, EVE = person("dan"), person("eve")
INCOME, COST = 4, 5


class Year(Strict):
    """A lender that keeps what falls due and what becomes of it, for a year."""

    def __init__(self) -> None:
        super().__init__(
            coverage_bp=5_000,
            penalty_ppm=500,
            cap_bp=10_000,
            fee_bp=100,
            enforce_days=62,
            charge_off_days=120,
        )
        self.told: Counter[int] = Counter()
        self.gov(savings_product((30_000,)))

    def save(self, who: Person, amount: int) -> int:
        (number,) = self.do(who, (30, 3, 0, (who.address, 2, amount)))
        assert type(number) is int
        return number

    def until(self, month: int, day: int) -> None:
        """Let days pass until that day of the calendar, the next one that comes."""
        while True:
            for run in self.run(seconds=DAY).job_receipts:
                assert run.is_ok, run
                self.told.update([event.event for event in run.events if event.contract == l.ID])
            if date_from_days(self.day)[1:] == (month, day):
                return

    def lend(self, who: Person, principal: int, guarantors: dict[Person, int]) -> int:
        loan = self.ask_for(who, principal)
        for guarantor, account in guarantors.items():
            self.do(guarantor, offer(guarantor, account, principal // 4, loan))
        assert self.do(who, call(4, loan)) == (l.APPROVED,)
        self.accept(who, loan)
        return loan

    def pay_due(self, who: Person, loan: int) -> None:
        due = self.now(loan)[1]
        if due:
            self.pay(who, loan, due)

    def moves(self) -> list[Posting]:
        """List every movement once, in the order of the blocks."""
        found = []
        for rows in self.journal.values():
            for row in rows:
                posting = decode_posting(row.account, row.sequence, row.raw)
                if not posting.is_credit or load_record(self.state, posting.contra).flags & NO_HISTORY:
                    found.append(posting)
        return sorted(found, key=lambda move: (move.height, move.index, move.account, move.sequence))

    def closings(self) -> dict[bytes, int]:
        """Return what each account ends with, debits first."""
        found = {}
        for key, value in self.state.scan(ACCOUNT.prefix):
            account = key[len(ACCOUNT.prefix) :]
            found[account] = compute_balance(account, 1, 0) * read_record(account, value).balance
        return found

    def classes(self) -> Counter[int]:
        """Sum up the accounts by class."""
        found: Counter[int] = Counter()
        for account, minor in self.closings().items():
            found[int.from_bytes(account[20:22], "big")] += minor
        return found


def run_year() -> Year:
    """Alice pays on every day, Dan stops after two rows, Carol borrows in summer and is late once."""
    bank = Year()
    bank.until(1, 5)
    for who in (DAN, EVE):
        bank.numbers[who] = bank.join(who, 100_000)
    guarantors = {BOB: bank.save(BOB, 300_000), EVE: bank.save(EVE, 80_000)}
    good = bank.lend(ALICE, 120_000, guarantors)
    bad = bank.lend(DAN, 60_000, guarantors)
    for month in range(2, 13):
        bank.until(month, 5)
        bank.pay_due(ALICE, good)
        if month < 4:
            bank.pay_due(DAN, bad)
        if month == 6:
            late = bank.lend(CAROL, 48_000, guarantors)
        if month > 7:
            bank.pay_due(CAROL, late)
        check_lending(bank)
    assert bank.loan(bad).status == l.CHARGED_OFF
    bank.do(DAN, call(15, DAN.address, bad, 5_000))
    bank.until(1, 5)
    bank.pay_due(ALICE, good)
    check_lending(bank)
    return bank


@pytest.fixture(scope="module")
def bank() -> Year:
    return run_year()


def test_every_step_of_a_default_was_told(bank: Year) -> None:
    due, noticed, classed, enforced, charged_off = (bank.told[event] for event in (9, 10, 11, 12, 13))
    assert due >= 20 and noticed >= 7 and classed >= 4 and enforced >= 2 and charged_off == 1


def test_who_has_paid_on_the_day_has_the_best_score(bank: Year) -> None:
    assert bank.score(DAN) < bank.score(CAROL) < bank.score(ALICE) <= SCORE_MAX


def test_the_books_of_the_year_balance_for_a_real_reader_before_and_after_they_are_closed(bank: Year) -> None:
    year = date_from_days(bank.day)[0] - 1
    before = bank.classes()
    result = -sum(minor for number, minor in before.items() if number // 1_000 in (INCOME, COST))
    assert before[l.INTEREST_INCOME] < 0 < before[l.PROVISIONS] and before[l.RECOVERIES] == -5_000
    _read(bank)
    assert bank.do(BOARD1, (TREASURY, 15, 0, (COOP, year))) == (result,)
    after = bank.classes()
    assert not any(minor for number, minor in after.items() if number // 1_000 in (INCOME, COST))
    assert after[SURPLUS] == before[SURPLUS] - result
    assert sum(after.values()) == 0
    check_books(bank)
    check_lending(bank)
    _read(bank)


def _read(bank: Year) -> None:
    loader = pytest.importorskip("beancount.loader")
    moves, closings = bank.moves(), bank.closings()
    openings = dict(closings)
    for move in moves:
        debit, credit = (move.contra, move.account) if move.is_credit else (move.account, move.contra)
        openings[debit] -= move.amount
        openings[credit] += move.amount
    assert not any(openings.values()), "the journal holds everything"
    place = Place("year", HRP_TEST, 0, {COOP: Asset("CNY", 2)}, bank.height, bank.time_ms // 1_000)
    entries, errors, _ = loader.load_string(beancount_form.write_journal(moves, place, {}, closings))
    assert [error.message for error in errors] == []
    assert sum(type(entry).__name__ == "Transaction" for entry in entries) == len(moves) > 500
    wrong = {**closings, max(closings, key=closings.__getitem__): 1}
    assert loader.load_string(beancount_form.write_journal(moves, place, {}, wrong))[1]
