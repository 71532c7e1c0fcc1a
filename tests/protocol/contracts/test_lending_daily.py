"""lending, what its daily job costs: 10,000 loans as they are and as they fall due, and one that fails."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from protocol.chain.receipt import Event
from protocol.contracts import REGISTRY
from protocol.contracts.credit import records as c
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key
from protocol.contracts.lending import ageing
from protocol.contracts.lending import records as l
from protocol.contracts.lending.book import empty_state
from protocol.contracts.lending.posting import count_loan, post_change
from protocol.contracts.lending.product import get_product
from protocol.contracts.security.records import Case, put_case
from protocol.errors import Code
from protocol.params import JOB_GAS_MAX
from protocol.types import Height
from protocol.vm.context import Context, Environment
from protocol.vm.tables import SCHEMA
from protocol.vm.view import MemoryState, View
from tests.protocol.contracts.coop_world import DAY
from tests.protocol.contracts.test_lending import Lender, check_lending
from tests.protocol.ledger_world import ALICE, COOP

MANY = 10_000


class CountingState(MemoryState):
    """A state that counts the keys that are read, and the rows that are walked over."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        super().__init__(values)
        self.reads = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return super().get(key)

    def scan(self, prefix: bytes, start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        for item in super().scan(prefix, start):
            self.reads += 1
            yield item


def multiply(bank: Lender, loan: int, count: int) -> None:
    """Write a loan of Alice's that was just paid out so often again, each of another member; their money is
    in the books."""
    view = View(bank.state)
    made, state = l.get_loan(view, loan), l.get_state(view, loan)
    rows = [l.get_instalment(view, loan, n) for n in range(made.rows)]
    for n in range(loan + 1, loan + 1 + count):
        l.put_loan(view, n, replace(made, member=1_000 + n))
        l.put_state(view, n, made.product, state)
        l.put_origin(view, n, state)
        put_case(view, n, Case(1_000 + n, COOP, 0, True, 0, 0, False, 0, 0, 0))
        for at, row in enumerate(rows):
            l.put_instalment(view, n, at, row)
    environment = Environment(bank.time, bank.day, Height(bank.height + 1), 0, bytes(32), ())
    ctx = Context(view, REGISTRY, environment, REGISTRY.by_id[l.ID], None)
    names = ("principal_out", "accrued", "undue", "slope", "allowance")
    all_of_them = replace(state, **{name: getattr(state, name) * count for name in names})
    free = account_key(ALICE.address, MEMBER_FREE, COOP)
    product, principal = get_product(view, made.product), made.principal * count
    post_change(ctx, made.product, product, empty_state(0, bank.day), all_of_them, free, -principal, loan)
    count_loan(ctx, made.product, count)
    bank.write(view.collect_writes())


def measure_day(bank: Lender) -> tuple[int, int]:
    """Let a day pass; returns (reads of the state, gas) of its jobs."""
    bank.state = counting = CountingState(bank.state.items())
    (receipt,) = bank.run(seconds=DAY).job_receipts
    assert receipt.code == 0
    return counting.reads, receipt.gas


def run_day(bank: Lender) -> list[Event]:
    """Let a day pass; returns what its jobs have said."""
    return [event for run in bank.run(seconds=DAY).job_receipts for event in run.events]


def test_a_day_without_due_rows_costs_as_much_for_10000_loans_as_for_10() -> None:
    costs = []
    for count in (10, MANY):
        bank = Lender(floor_bp=0)
        multiply(bank, bank.borrow(ALICE), count)
        bank.days(1)
        costs.append(measure_day(bank))
    assert costs[0] == costs[1]
    assert costs[0][1] < 10_000


def test_10000_loans_that_are_due_in_one_day_are_spread_over_blocks() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    multiply(bank, loan, MANY - 1)
    due = bank.rows_of(loan)[0][0]
    bank.days(due - bank.day - 1)
    sizes: list[int] = []
    while sum(sizes) < MANY:
        (receipt,) = bank.run(seconds=2 if sizes else DAY).job_receipts
        assert receipt.code == 0 and receipt.gas <= JOB_GAS_MAX
        sizes.append(sum(event.event == ageing.FELL_DUE.id for event in receipt.events))
    assert sizes == [ageing.RUN_LOANS_MAX] * (MANY // ageing.RUN_LOANS_MAX)
    check_lending(bank)
    assert bank.stored(MANY).due_n == 1


@pytest.mark.parametrize("failing", [1, 3])
def test_a_loan_that_fails_holds_up_no_other_and_is_looked_at_again(failing: int) -> None:
    bank = Lender()
    first = bank.borrow(ALICE)
    multiply(bank, first, 4)
    member = bank.loan(failing).member
    view = View(bank.state)
    note = (SCHEMA, COOP, 1, 1, 0, 0, 60)
    mine = c.LOANS.get(view, c.LOANS.key(member, failing))
    c.LOANS.delete(view, c.LOANS.key(member, failing)) if mine else None
    for n in range(c.LOANS_MAX):
        c.LOANS.put(view, c.LOANS.key(member, 500 + n), note)
    bank.write(view.collect_writes())
    bank.days(bank.rows_of(first)[0][0] - bank.day - 1)
    told = [event for _ in range(3) for event in run_day(bank)]
    put_off = [event.fields for event in told if event.event == ageing.PUT_OFF.id]
    assert put_off and set(put_off) == {(failing, member, c.TOO_MANY)}
    assert [bank.stored(n).due_n for n in range(1, 6)] == [int(n != failing) for n in range(1, 6)]
    assert bank.stored(failing).next_day == bank.day + 1
    check_lending(bank)
    view = View(bank.state)
    c.LOANS.delete(view, c.LOANS.key(member, 500))
    bank.write(view.collect_writes())
    run_day(bank)
    assert bank.stored(failing).due_n == 1
    check_lending(bank)


def test_a_run_ends_with_its_gas_and_a_loan_with_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    multiply(bank, loan, 4)
    bank.days(bank.rows_of(loan)[0][0] - bank.day - 1)
    monkeypatch.setattr(ageing, "RUN_GAS", 5_600)
    sizes = [sum(event.event == ageing.FELL_DUE.id for event in run_day(bank))]
    while sizes[-1]:
        (receipt,) = bank.run(seconds=2).job_receipts or (None,)
        sizes.append((receipt and sum(event.event == ageing.FELL_DUE.id for event in receipt.events)) or 0)
    assert sizes == [3, 2, 0]
    monkeypatch.setattr(ageing, "LOAN_GAS_MAX", 1_000)
    monkeypatch.setattr(ageing, "RUN_GAS", 500_000)
    bank.days(bank.rows_of(loan)[1][0] - bank.day - 1)
    told = run_day(bank)
    assert [event.fields[0] for event in told if event.event == ageing.PUT_OFF.id] == [1, 2, 3, 4, 5]
    assert {event.fields[2] for event in told if event.event == ageing.PUT_OFF.id} == {int(Code.GAS)}
    check_lending(bank)


def test_what_breaks_an_invariant_stops_the_job_of_its_product() -> None:
    bank = Lender()
    loan = bank.borrow(ALICE)
    view = View(bank.state)
    total = l.TOTALS.get(view, l.TOTALS.key(1))
    assert total is not None
    l.TOTALS.put(view, l.TOTALS.key(1), (*total[:7], 1, *total[8:]))
    bank.write(view.collect_writes())
    bank.days(bank.rows_of(loan)[0][0] - bank.day - 1)
    (receipt,) = bank.run(seconds=DAY).job_receipts
    assert receipt.code == Code.INVARIANT and bank.stored(loan).due_n == 0
