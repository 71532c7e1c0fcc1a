"""lending: a standing order pays what is due, as a job of the borrower under a grant, and no more than it."""

from protocol.codec import Value
from protocol.contracts.lending import records as l
from protocol.contracts.periods import DAYS
from protocol.errors import Code
from protocol.vm.program import literal
from tests.protocol.contracts.coop_world import DAY
from tests.protocol.contracts.test_lending import LENDING, Lender, check_lending
from tests.protocol.contracts.test_sched import GRANTS, create
from tests.protocol.ledger_world import ALICE, BOB, COOP, World

GAS = 20_000
ONE_RUN = 11_000


def order(bank: Lender, loan: int, at_most: int = ONE_RUN) -> int:
    """Let Alice's own job pay what is due every morning from the first due day on; returns the job."""
    limits: Value = ((COOP, at_most, 1 << 40),)
    terms: tuple[Value, ...] = (ALICE.address, ALICE.address, ((LENDING, 11),), limits, ())
    bank.do(ALICE, (GRANTS, 1, 0, (*[literal(term) for term in terms], None, 0, (0, 0, 1, 0), 0)))
    rows = bank.rows_of(loan)
    pay = (LENDING, 11, (0, 1), (ALICE.address, loan, 1 << 40))
    morning = rows[0][0] * DAY + 600
    ends = (rows[-1][0] + 30) * DAY
    pins: Value = ((LENDING, 1),)
    (job,) = bank.do(ALICE, create(ALICE, pay, due=morning, unit=DAYS, ends=ends, gas=GAS, pins=pins))
    bank.run(seconds=1_000)
    assert type(job) is int
    return job


def test_a_standing_order_pays_every_row_on_its_day_and_ends_with_the_loan() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    job = order(bank, loan)
    due = [row[0] for row in bank.rows_of(loan)]
    bank.days(due[-1] - bank.day + 1)
    assert bank.loan(loan).status == l.CLOSED
    assert [row[9] for row in bank.rows_of(loan)] == due
    check_lending(bank)
    bank.days(31)
    assert bank.ask("sched", "job", job) is None


def test_a_standing_order_without_money_fails_not_and_pays_as_money_comes() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    job = order(bank, loan)
    free = bank.free(ALICE)
    bank.ok(World.pay(bank, ALICE, BOB, free))
    due = bank.rows_of(loan)[0][0]
    bank.days(due - bank.day + 1)
    row = bank.ask("sched", "job", job)
    assert type(row) is tuple and row[-2] == 0, "a run with nothing to pay is no failure"
    assert bank.now(loan)[1] == 10_662
    bank.ok(World.pay(bank, BOB, ALICE, 4_000))
    bank.days(1)
    assert bank.now(loan)[1] == 6_662 and bank.free(ALICE) == 0
    bank.ok(World.pay(bank, BOB, ALICE, 50_000))
    bank.days(1)
    assert bank.now(loan)[1] == 0 and bank.free(ALICE) == 50_000 - 6_662
    check_lending(bank)


def test_a_standing_order_takes_no_more_than_its_grant() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    order(bank, loan, 10_661)
    before = bank.free(ALICE)
    bank.days(bank.rows_of(loan)[0][0] - bank.day - 1)
    (run,) = [r for r in bank.run(seconds=DAY).job_receipts if r.code]
    assert run.code == Code.GRANT_EXCEEDED and bank.free(ALICE) == before
