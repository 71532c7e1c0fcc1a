"""lending, when a loan is not paid: notices, own savings, collateral, guarantors, charge-off and recovery."""

from typing import Any

from protocol.contracts import REGISTRY
from protocol.contracts.credit import doors as credit
from protocol.contracts.lending import ageing
from protocol.contracts.lending import records as l
from protocol.contracts.lending.ageing import LOAN_GAS_MAX
from protocol.contracts.members import records as m
from protocol.contracts.savings import records as s
from protocol.contracts.security import doors
from protocol.contracts.security import records as r
from protocol.contracts.security.records import GUARANTEES_MAX, PAPER, VALUER
from protocol.finance.schedule import ROWS_MAX
from protocol.types import Height
from protocol.vm.context import Context, Environment
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import BOARD2, DAY, HASH, MEMBERS, check_books
from tests.protocol.contracts.test_lending import OFFICER, Lender, call, check_lending
from tests.protocol.contracts.test_savings import product as savings_product
from tests.protocol.contracts.test_security import SECURITY, offer, worth
from tests.protocol.contracts.test_security import call as secure
from tests.protocol.ledger_world import ALICE, BOB, CAROL, NONE, Person, person


class Strict(Lender):
    """A lender whose members save, and which uses security after 30 days."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**{"enforce_days": 30, "charge_off_days": 120, **changes})
        self.gov(savings_product((0,)))
        self.savings: dict[Person, int] = {}
        for who, amount in ((ALICE, 5_000), (BOB, 200_000), (CAROL, 200_000)):
            (number,) = self.do(who, (30, 3, 0, (who.address, 1, amount)))
            self.savings[who] = int(str(number))
        self.gov(
            (MEMBERS, 18, NONE, (VALUER, "", "", 0, 0, 5, False)),
            (MEMBERS, 19, NONE, (BOARD2.address, VALUER, 0)),
            (SECURITY, 2, NONE, (PAPER, 0, 9_000)),
        )

    def saved(self, who: Person) -> int:
        view = View(self.state)
        return s.find_balance(view, self.savings[who], s.get_product(view, 1))

    def borrow_with(self, *guarantors: tuple[Person, int], principal: int = 120_000) -> int:
        loan = self.ask_for(ALICE, principal)
        for who, amount in guarantors:
            self.do(who, offer(who, self.savings[who], amount, loan))
        assert self.do(ALICE, call(4, loan)) == (l.APPROVED,)
        self.accept(ALICE, loan)
        return loan

    def wait_late(self, loan: int, days: int) -> None:
        first = self.rows_of(loan)[0][0]
        self.days(first + days - self.day)
        self.run(seconds=DAY // 2)

    def lost(self, loan: int) -> int:
        claim = self.ask("lending", "claim", loan)
        assert type(claim) is tuple and type(claim[0]) is int
        return claim[0]

    def score(self, who: Person) -> int:
        return credit.compute_for(View(self.state), self.numbers[who], self.day).score


def test_notices_and_classes_are_told_on_their_days() -> None:
    bank = Strict(enforce_days=0)
    loan = bank.borrow_with()
    first = bank.rows_of(loan)[0][0]
    told: list[tuple[int, int, int]] = []
    while bank.day <= first + 95:
        for run in bank.run(seconds=DAY).job_receipts:
            for event in run.events:
                if event.contract == l.ID and event.event in (10, 11):
                    told.append((event.event, int(str(event.fields[2])), bank.now(loan)[0]))
    assert told == [
        (10, 1, 1), (10, 2, 15), (10, 3, 30), (11, 1, 31), (11, 2, 61), (10, 4, 90), (11, 3, 91),
    ]  # fmt: skip


def test_cover_is_asked_for_and_guarantors_are_freed_as_principal_is_paid() -> None:
    bank = Strict(coverage_bp=5_000)
    loan = bank.ask_for(ALICE)
    assert bank.code(ALICE, call(4, loan)) == l.COMMITTEE
    bank.do(BOB, offer(BOB, bank.savings[BOB], 59_999, loan))
    assert bank.code(ALICE, call(4, loan)) == l.COMMITTEE
    bank.do(CAROL, offer(CAROL, bank.savings[CAROL], 1, loan))
    assert bank.do(ALICE, call(4, loan)) == (l.APPROVED,)
    bank.accept(ALICE, loan)
    locked = s.get_savings(View(bank.state), bank.savings[BOB]).locked
    for row in bank.rows_of(loan)[:6]:
        bank.days(row[0] - bank.day, 5)
        bank.pay(ALICE, loan, row[1] + row[2])
    half = s.get_savings(View(bank.state), bank.savings[BOB]).locked
    assert locked // 3 < half < locked * 2 // 3
    bank.pay(ALICE, loan, 100_000)
    assert s.get_savings(View(bank.state), bank.savings[BOB]).locked == 0
    check_lending(bank)


def test_an_application_that_ends_frees_its_guarantors() -> None:
    bank = Strict()
    loan = bank.ask_for(ALICE)
    bank.do(BOB, offer(BOB, bank.savings[BOB], 500, loan))
    bank.do(ALICE, call(7, ALICE.address, loan))
    assert s.get_savings(View(bank.state), bank.savings[BOB]).locked == 0


def test_a_score_decides_and_grows_with_what_is_paid() -> None:
    bank = Strict(score_min=1_000)
    assert bank.code(ALICE, call(4, bank.ask_for(ALICE))) == l.COMMITTEE
    bank = Strict()
    loan = bank.borrow_with()
    late = Strict()
    assert late.borrow_with() == loan
    bank.days(bank.rows_of(loan)[0][0] - bank.day)
    bank.pay(ALICE, loan, bank.now(loan)[1])
    late.days(late.rows_of(loan)[0][0] - late.day + 25)
    late.pay(ALICE, loan, late.now(loan)[1])
    assert bank.score(ALICE) > late.score(ALICE)


def test_own_savings_then_guarantors_pay_what_is_due() -> None:
    bank = Strict()
    loan = bank.borrow_with((BOB, 6_000), (CAROL, 3_000))
    bank.wait_late(loan, 29)
    assert bank.saved(ALICE) == 5_000
    bank.wait_late(loan, 30)
    assert bank.saved(ALICE) == 0
    taken = 400_000 - bank.saved(BOB) - bank.saved(CAROL)
    # What savings have paid of the principal has freed its part of the guarantees before they are called.
    assert 8_500 < taken <= 9_000
    paid = sum(row[7] + row[8] for row in bank.rows_of(loan))
    assert paid == 5_000 + taken and bank.now(loan)[1] == 2 * 10_662 - paid
    assert (200_000 - bank.saved(BOB)) // 2 == 200_000 - bank.saved(CAROL)
    check_lending(bank)


def test_collateral_is_sold_before_guarantors_are_asked() -> None:
    bank = Strict()
    loan = bank.ask_for(ALICE)
    bank.do(ALICE, secure(8, ALICE, loan, HASH))
    bank.do(BOARD2, worth(loan, 1, 50_000))
    bank.do(BOB, offer(BOB, bank.savings[BOB], 6_000, loan))
    bank.do(ALICE, call(4, loan))
    bank.accept(ALICE, loan)
    bank.wait_late(loan, 31)
    assert bank.saved(BOB) == 200_000
    assert bank.code(BOB, call(16, loan)) == l.NOTHING
    owed = bank.now(loan)[1]
    (price,) = bank.do(CAROL, secure(12, CAROL, loan, 1, 100_000))
    assert type(price) is int and price > owed
    assert bank.do(BOB, call(16, loan)) == (owed,)
    assert bank.now(loan)[1] == 0 and bank.saved(BOB) == 200_000
    check_lending(bank)


def test_a_loss_is_charged_off_against_what_was_set_aside_and_comes_back() -> None:
    bank = Strict(enforce_days=0, penalty_flat=10)
    loan = bank.borrow_with()
    bank.wait_late(loan, 119)
    assert bank.loan(loan).status == l.ACTIVE
    owed = bank.now(loan)[2]
    bank.wait_late(loan, 120)
    assert bank.loan(loan).status == l.CHARGED_OFF
    claim = bank.ask("lending", "claim", loan)
    assert type(claim) is tuple and type(claim[0]) is int and claim[0] >= owed and claim[1] == 0
    for account_class in (l.PRINCIPAL, l.INTEREST_RECEIVABLE, l.PENALTY_RECEIVABLE, l.ALLOWANCE):
        assert bank.balance(account_class) == 0
    assert bank.balance(l.PROVISIONS) == 120_000
    assert bank.balance(l.INTEREST_INCOME) == bank.balance(l.PENALTY_INCOME) == 0
    check_lending(bank)
    assert bank.code(ALICE, call(10, ALICE.address, loan, 1)) == l.STATUS
    assert bank.do(BOB, call(15, BOB.address, loan, 50_000)) == (50_000,)
    assert bank.balance(l.RECOVERIES) == -50_000
    bank.do(ALICE, (17, 13, 0, (ALICE.address,)))
    bank.do(ALICE, (30, 8, 0, (ALICE.address, bank.savings[ALICE])))
    assert bank.code(BOB, (17, 14, 0, (bank.numbers[ALICE],))) == m.OBLIGED
    assert bank.do(BOB, call(15, BOB.address, loan, 500_000)) == (claim[0] - 50_000,)
    assert bank.loan(loan).status == l.RECOVERED
    bank.do(BOB, (17, 14, 0, (bank.numbers[ALICE],)))
    check_books(bank)


def test_the_journal_of_a_default_is_that_of_the_table() -> None:
    """Every entry of class 1190 is set aside, taken back, or a loss; nothing else touches it."""
    bank = Strict(enforce_days=0)
    loan = bank.borrow_with()
    bank.wait_late(loan, 31)
    assert bank.balance(l.ALLOWANCE) == -42_000  # the floor: 35 %
    bank.wait_late(loan, 91)
    assert bank.balance(l.ALLOWANCE) == -60_000 == -bank.balance(l.PROVISIONS)
    bank.wait_late(loan, 121)
    assert bank.balance(l.ALLOWANCE) == 0 and bank.balance(l.PROVISIONS) == 120_000


def test_what_comes_back_is_the_co_ops_first_and_then_of_those_who_paid_for_the_borrower() -> None:
    bank = Strict()
    loan = bank.borrow_with((BOB, 6_000), (CAROL, 3_001))
    bank.days(260, 5)
    assert bank.loan(loan).status == l.CHARGED_OFF
    paid = {who: 200_000 - bank.saved(who) for who in (BOB, CAROL)}
    assert all(paid.values())
    owed = bank.lost(loan)
    before = {who: bank.free(who) for who in (BOB, CAROL)}
    assert bank.do(ALICE, call(15, ALICE.address, loan, owed)) == (owed,)
    assert bank.balance(l.RECOVERIES) == -owed and bank.loan(loan).status == l.CHARGED_OFF
    assert {who: bank.free(who) for who in (BOB, CAROL)} == before
    half = sum(paid.values()) // 2
    assert bank.do(ALICE, call(15, ALICE.address, loan, half)) == (half,)
    got = {who: bank.free(who) - before[who] for who in (BOB, CAROL)}
    assert sum(got.values()) == half and all(abs(got[who] * 2 - paid[who]) <= 2 for who in got)
    assert bank.loan(loan).status == l.CHARGED_OFF
    assert bank.do(ALICE, call(15, ALICE.address, loan, 500_000)) == (sum(paid.values()) - half,)
    assert {who: bank.free(who) - before[who] for who in (BOB, CAROL)} == paid
    assert bank.balance(l.RECOVERIES) == -owed and bank.loan(loan).status == l.RECOVERED
    assert s.get_savings(View(bank.state), bank.savings[BOB]).locked == 0
    check_books(bank)


def test_what_a_sale_brings_beyond_a_loss_is_the_borrowers() -> None:
    bank = Strict(enforce_days=0)
    loan = bank.ask_for(ALICE)
    bank.do(ALICE, secure(8, ALICE, loan, HASH))
    bank.do(BOARD2, worth(loan, 1, 500_000))
    bank.do(ALICE, call(4, loan))
    bank.accept(ALICE, loan)
    bank.wait_late(loan, 120)
    owed = bank.lost(loan)
    bank.do(BOB, call(15, BOB.address, loan, owed - 40))
    view = View(bank.state)
    environment = Environment(bank.time, bank.day, Height(bank.height + 1), 0, bytes(32), ())
    doors.auction(Context(view, REGISTRY, environment, REGISTRY.by_id[l.ID], None), loan, 100)
    bank.write(view.collect_writes())
    bank.do(CAROL, secure(12, CAROL, loan, 1, 700_000))
    before = bank.free(ALICE)
    assert bank.do(BOB, call(16, loan)) == (40,)
    assert bank.free(ALICE) == before + 60 and bank.loan(loan).status == l.RECOVERED
    check_books(bank)


def test_a_loan_is_called_in_before_it_is_charged_off_and_all_who_promised_pay() -> None:
    """Nobody buys the collateral, so until then guarantors were asked for nothing."""
    bank = Strict()
    loan = bank.ask_for(ALICE)
    bank.do(ALICE, secure(8, ALICE, loan, HASH))
    bank.do(BOARD2, worth(loan, 1, 50_000))
    for who, amount in ((BOB, 60_000), (CAROL, 30_000)):
        bank.do(who, offer(who, bank.savings[who], amount, loan))
    bank.do(ALICE, call(4, loan))
    bank.accept(ALICE, loan)
    bank.wait_late(loan, 119)
    assert (bank.saved(BOB), bank.saved(CAROL)) == (200_000, 200_000)
    due, payoff = bank.now(loan)[1:3]
    bank.wait_late(loan, 120)
    paid = {who: 200_000 - bank.saved(who) for who in (BOB, CAROL)}
    # What Alice's savings have paid of the principal has freed its part of what they promised.
    assert due < 60_000 and 86_000 < sum(paid.values()) <= 90_000 and abs(paid[BOB] - 2 * paid[CAROL]) <= 2
    assert bank.loan(loan).status == l.CHARGED_OFF
    assert 0 <= bank.lost(loan) - (payoff - sum(paid.values())) < 50, "a day of interest"
    assert bank.balance(l.PRINCIPAL) == bank.balance(l.ADVANCES) == 0
    rows = [l.Instalment(*row) for row in bank.rows_of(loan)]  # type: ignore[arg-type]
    assert sum(row.principal for row in rows) == 120_000
    assert rows[-1].principal == rows[-1].interest == 0
    check_lending(bank)


def test_who_promised_all_of_a_loan_closes_it_as_it_is_called_in() -> None:
    bank = Strict(enforce_days=120)
    loan = bank.borrow_with((BOB, 130_000), (CAROL, 30_000))
    bank.wait_late(loan, 120)
    assert bank.loan(loan).status == l.CLOSED and bank.ask("lending", "claim", loan) is None
    assert all(s.get_savings(View(bank.state), bank.savings[who]).locked == 0 for who in (BOB, CAROL))
    assert bank.code(ALICE, call(14, loan, 1)) != 0
    check_lending(bank)


def test_without_security_in_the_product_nothing_is_used_as_it_is_charged_off() -> None:
    bank = Strict(enforce_days=0)
    loan = bank.borrow_with((BOB, 60_000))
    bank.wait_late(loan, 120)
    assert bank.loan(loan).status == l.CHARGED_OFF and bank.saved(BOB) == 200_000
    check_lending(bank)


def test_a_loan_whose_margin_call_is_not_met_is_called_in_and_its_collateral_sold() -> None:
    bank = Strict(coverage_bp=4_000)
    loan = bank.ask_for(ALICE)
    bank.do(ALICE, secure(8, ALICE, loan, HASH))
    bank.do(BOARD2, worth(loan, 1, 60_000))
    bank.do(ALICE, call(4, loan))
    bank.accept(ALICE, loan)
    bank.days(10)
    bank.do(BOARD2, worth(loan, 1, 20_000))
    case = r.get_case(View(bank.state), loan)
    assert case.margin_day == bank.day + r.MARGIN_DAYS
    bank.days(r.MARGIN_DAYS)
    assert bank.code(OFFICER, call(19, loan)) == l.NOTHING
    bank.days(1)
    owed = bank.now(loan)[2]
    assert bank.do(OFFICER, call(19, loan)) == (owed,)
    assert bank.now(loan)[1:3] == (owed, owed) and bank.rows_of(loan)[0][0] == bank.day
    assert r.get_collateral(View(bank.state), loan, 1).state == r.FOR_SALE
    check_lending(bank)
    assert bank.code(OFFICER, call(19, loan)) == 0, "nothing more becomes due by it"
    assert bank.now(loan)[1] == owed
    bank.pay(BOB, loan, owed)
    assert bank.loan(loan).status == l.CLOSED
    check_lending(bank)


def test_the_largest_loan_is_charged_off_within_its_gas() -> None:
    bank = Strict(
        rows_max=ROWS_MAX,
        guarantors_max=GUARANTEES_MAX,
        enforce_days=120,
        auto_max=1_000_000,
        rate_ppm=20_000,
    )
    loan = bank.ask_for(ALICE, 900_000, ROWS_MAX)
    for number in range(GUARANTEES_MAX):
        who = person(f"guarantor {number}")
        bank.join(who, 200_000)
        (account,) = bank.do(who, (30, 3, 0, (who.address, 1, 100_000)))
        assert type(account) is int
        bank.do(who, offer(who, account, 50_000, loan))
    bank.do(ALICE, call(4, loan))
    bank.accept(ALICE, loan)
    bank.days(bank.rows_of(loan)[0][0] + 119 - bank.day, 10)
    most = 0
    while bank.loan(loan).status == l.ACTIVE:
        for run in bank.run(seconds=DAY).job_receipts:
            assert all(event.event != ageing.PUT_OFF.id for event in run.events if event.contract == l.ID)
            most = max(most, run.gas)
    assert bank.loan(loan).status == l.CHARGED_OFF
    assert 300_000 < most < LOAN_GAS_MAX * 3 // 4, "it is near, so a dearer loan would be put off for ever"
    check_lending(bank)
