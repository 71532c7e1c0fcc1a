"""ledger, months: closings are what the totals were, whatever moved since, silent months or not."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.contracts.ledger.months import month_before
from tests.protocol.contracts.coop_world import DAY, Coop, check_books
from tests.protocol.ledger_world import ALICE, BOB, COOP

CUSTOMERS, FLOAT, FEES = 2010, 1020, 4020


def moved(coop: Coop, account_class: int, month: int) -> tuple[int, int, int]:
    row = coop.ask("ledger", "period", COOP, account_class, month)
    assert type(row) is tuple
    debits, credits, balance = row
    assert type(debits) is int and type(credits) is int and type(balance) is int
    return debits, credits, balance


def test_a_month_is_the_difference_of_two_closings() -> None:
    coop = Coop()  # 2026-01-01
    coop.join(ALICE, 500)
    assert moved(coop, FLOAT, 202601) == (510, 0, 510)
    assert moved(coop, CUSTOMERS, 202601) == (10, 510, 500)
    coop.run(seconds=31 * DAY)
    assert moved(coop, FLOAT, 202602) == (0, 0, 510)
    coop.ok(coop.cash_in(BOB, 70))
    assert moved(coop, FLOAT, 202601) == (510, 0, 510)
    assert moved(coop, FLOAT, 202602) == (70, 0, 580)
    coop.run(seconds=100 * DAY)  # two silent months
    coop.ok(coop.pay(BOB, ALICE, 20))
    assert moved(coop, CUSTOMERS, 202604) == (0, 0, 570)
    assert moved(coop, CUSTOMERS, 202605) == (20, 20, 570)
    assert moved(coop, FEES, 202512) == (0, 0, 0) and moved(coop, FEES, 202601) == (0, 10, 10)
    check_books(coop)


def test_the_last_second_of_a_month_is_of_it_and_the_next_is_not() -> None:
    coop = Coop()
    coop.run(seconds=31 * DAY - int(coop.time) % DAY - 1)
    coop.ok(coop.cash_in(ALICE, 5))
    assert int(coop.time_ms) // 1_000 % DAY == DAY - 1 or moved(coop, FLOAT, 202601) == (5, 0, 5)
    coop.run(seconds=2)
    coop.ok(coop.cash_in(ALICE, 7))
    assert moved(coop, FLOAT, 202601) == (5, 0, 5) and moved(coop, FLOAT, 202602) == (7, 0, 12)


def test_the_month_before() -> None:
    assert (month_before(202601), month_before(202612)) == (202512, 202611)


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(1, 45), st.integers(1, 90)), max_size=12))
def test_months_sum_to_the_totals(steps: list[tuple[int, int]]) -> None:
    coop = Coop()
    for days, amount in steps:
        coop.run(seconds=days * DAY)
        coop.ok(coop.cash_in(ALICE, amount))
    months = [year * 100 + month for year in (2026, 2027) for month in range(1, 13)]
    assert sum(moved(coop, FLOAT, month)[0] for month in months) == sum(a for _, a in steps)
    opening = 0
    for month in months:
        row = coop.ask("treasury", "cash_flow", COOP, month, month)
        assert type(row) is tuple
        assert row[0] == opening and row[6] == sum(row[:6]) and row[5] == 0  # type: ignore[arg-type]
        opening = row[6]
