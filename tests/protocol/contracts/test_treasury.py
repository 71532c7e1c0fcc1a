"""treasury: funds and lines, tiers of approval, payments once, streams, the books, closing a year."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import Value
from protocol.contracts.ledger.books import find_balance, list_balances
from protocol.contracts.treasury import records as t
from protocol.errors import Code, Rejected
from protocol.params import QUERY_ITEMS_MAX
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import BOARD1, DAY, HASH, TREASURY, Coop, check_books
from tests.protocol.ledger_world import ALICE, AUTH, BOB, CAROL, COOP, LEDGER, NONE, STRANGER, Person, person

T1, T2, T3 = (person(f"treasurer{n}") for n in (1, 2, 3))
YEAR = 2026


def call(method: int, *arguments: Value) -> Value:
    return (TREASURY, method, 0, arguments)


def gov_call(method: int, *arguments: Value) -> Value:
    return (TREASURY, method, NONE, arguments)


def request(amount: int, payee: Person = BOB, line: int = 1) -> Value:
    return call(8, line, payee.address, amount, HASH)


@pytest.fixture
def coop() -> Coop:
    return found()


def found() -> Coop:
    """A fund of 1,000 with a line of 600, three treasurers, tiers of 100 and 300 and a delay of two days."""
    coop = Coop()
    for who in (T1, T2, T3):
        coop.gov((AUTH, 1, NONE, (who.address,)), (AUTH, 4, NONE, (who.address, t.TREASURER)))
    coop.join(ALICE, 2_000)
    coop.join(BOB, 0)
    coop.do(BOARD1, call(1, "House", "Repairs", COOP, False), call(1, "School", "", COOP, True))
    coop.do(ALICE, call(3, ALICE.address, 1, 1_000))
    coop.do(BOARD1, call(5, 1, "Roof", 600, YEAR, False, "", False))
    coop.gov(gov_call(7, COOP, 100, 300, 2 * DAY))
    return coop


def line(coop: Coop, number: int = 1) -> tuple[Value, ...]:
    """Return amount, spent, committed."""
    row = coop.ask("treasury", "line", number)
    assert type(row) is tuple
    return row[3:6]


def fund(coop: Coop, number: int = 1) -> tuple[Value, ...]:
    """Return allotted and balance."""
    row = coop.ask("treasury", "fund", number)
    assert type(row) is tuple
    return row[5:]


def total(coop: Coop, account_class: int) -> int:
    return find_balance(list_balances(View(coop.state), COOP), account_class)


# --- funds and lines


def test_a_gift_fills_a_fund(coop: Coop) -> None:
    assert fund(coop) == (600, 1_000) and coop.free(ALICE) == 1_000
    assert coop.code(ALICE, call(3, ALICE.address, 9, 1)) == t.UNKNOWN_FUND
    assert coop.code(ALICE, call(3, ALICE.address, 1, 1_001)) == Code.FUNDS
    assert coop.code(BOB, call(3, ALICE.address, 1, 1)) == Code.POLICY_UNMET
    check_books(coop)


def test_surplus_at_the_limit_and_one_beyond(coop: Coop) -> None:
    receipt = coop.failed(coop.tx(call(2, 1, 21, False), actors=(BOARD1,)))  # two entry fees of 10
    assert receipt.code == t.NO_SURPLUS and receipt.reason is not None
    assert (receipt.reason.limit, receipt.reason.actual) == (20, 21)
    coop.do(BOARD1, call(2, 1, 20, False))
    assert coop.code(BOARD1, call(2, 1, 1, True)) == Code.ROLE
    coop.gov(gov_call(2, 1, 1, True))
    assert fund(coop) == (600, 1_021)
    assert coop.code(ALICE, call(2, 1, 1, False)) == Code.ROLE


def test_allotment_at_the_limit_and_one_beyond(coop: Coop) -> None:
    assert coop.code(BOARD1, call(5, 1, "Wall", 401, YEAR, False, "", False)) == t.ALLOTMENT
    assert coop.code(BOARD1, call(5, 1, "Wall", 401, YEAR, False, "", True)) == Code.ROLE
    coop.do(BOARD1, call(5, 1, "Wall", 400, YEAR, False, "", False))
    assert coop.code(BOARD1, call(6, 2, 401, False)) == t.ALLOTMENT
    coop.gov(gov_call(6, 2, 401, True))
    assert fund(coop) == (1_001, 1_000)
    coop.do(BOARD1, call(6, 2, 0, False))
    assert coop.code(BOARD1, call(6, 9, 1, False)) == t.UNKNOWN_LINE


def test_a_line_is_never_below_its_use(coop: Coop) -> None:
    coop.do(ALICE, request(100))
    coop.do(T1, call(9, 1))
    assert coop.code(BOARD1, call(6, 1, 99, False)) == t.BUDGET
    coop.do(BOARD1, call(6, 1, 100, False))
    assert line(coop) == (100, 100, 0)


def test_between_funds(coop: Coop) -> None:
    assert coop.code(BOARD1, call(4, 1, 2, 401)) == t.ALLOTMENT
    coop.do(BOARD1, call(4, 1, 2, 400))
    assert fund(coop, 2) == (0, 400)
    assert coop.code(BOARD1, call(4, 2, 1, 1)) == t.RESTRICTED
    assert coop.code(BOARD1, call(4, 1, 9, 1)) == t.UNKNOWN_FUND


def test_tiers(coop: Coop) -> None:
    assert coop.gov_outcome(gov_call(7, COOP, 2, 1, 0)).code == t.TERMS
    coop.gov(gov_call(7, COOP, 1, 1, t.DELAY_SECONDS_MAX))
    with pytest.raises(Rejected):
        coop.gov(gov_call(7, COOP, 1, 1, t.DELAY_SECONDS_MAX + 1))
    assert coop.ask("treasury", "tiers", COOP) == (1, 1, t.DELAY_SECONDS_MAX)
    assert coop.ask("treasury", "tiers", 9) is None


# --- payments


def test_one_approval_up_to_the_first_tier(coop: Coop) -> None:
    assert coop.do(ALICE, request(100)) == (1,)
    assert coop.ask("treasury", "waiting", t.REQUESTED) == (coop.ask("treasury", "payment", 1),)
    assert coop.do(T1, call(9, 1)) == (t.PAID,)
    assert coop.free(BOB) == 100 and line(coop) == (600, 100, 0) and fund(coop) == (500, 900)
    assert (total(coop, t.COST), total(coop, t.SURPLUS)) == (100, 100)
    assert coop.code(T2, call(9, 1)) == t.STATE
    assert coop.code(T2, call(11, 1)) == t.STATE
    assert coop.code(T2, call(10, 1)) == t.STATE
    assert coop.ask("treasury", "waiting", t.REQUESTED) == ()
    check_books(coop)


def test_two_approvals_above_it(coop: Coop) -> None:
    coop.do(ALICE, request(101), request(300))
    for number in (1, 2):
        assert coop.do(T1, call(9, number)) == (t.REQUESTED,)
        assert coop.code(T1, call(9, number)) == t.SECOND_PERSON
        assert coop.do(T2, call(9, number)) == (t.PAID,)
    assert coop.free(BOB) == 401


def test_three_and_a_delay_above_the_second(coop: Coop) -> None:
    coop.do(ALICE, request(301))
    assert [coop.do(who, call(9, 1)) for who in (T1, T2, T3)] == [(1,), (1,), (t.APPROVED,)]
    assert line(coop) == (600, 0, 301)
    coop.run(seconds=2 * DAY - 2)
    assert coop.code(STRANGER_OPEN, call(11, 1)) == t.TOO_EARLY
    assert coop.free(BOB) == 0
    coop.run()  # the chain pays by itself
    assert coop.free(BOB) == 301 and line(coop) == (600, 301, 0)
    assert coop.code(STRANGER_OPEN, call(11, 1)) == t.STATE


def test_a_payment_that_was_rejected_is_not_paid_when_its_time_comes(coop: Coop) -> None:
    coop.do(ALICE, request(301))
    for who in (T1, T2, T3):
        coop.do(who, call(9, 1))
    coop.do(T1, call(10, 1))
    coop.run(seconds=3 * DAY)
    assert coop.free(BOB) == 0 and line(coop) == (600, 0, 0)
    assert coop.code(T1, call(16, 1)) == Code.ROLE


STRANGER_OPEN = CAROL
"""An account without a membership."""


def test_gov_approves_alone_but_waits(coop: Coop) -> None:
    coop.do(ALICE, request(300), request(300))
    assert coop.gov(gov_call(9, 1)) == (t.PAID,)
    coop.gov(gov_call(7, COOP, 0, 299, DAY))
    assert coop.gov(gov_call(9, 2)) == (t.APPROVED,)


def test_without_tiers_everything_needs_three() -> None:
    coop = found()
    coop.state.apply({t.TIERS.key(COOP): None})
    coop.do(ALICE, request(1))
    assert [coop.do(who, call(9, 1)) for who in (T1, T2, T3)] == [(1,), (1,), (t.APPROVED,)]
    row = t.PAYMENTS.get(View(coop.state), t.PAYMENTS.key(1))
    assert row is not None and len(row[7]) == t.APPROVALS_MAX
    coop.gov((AUTH, 4, NONE, (BOB.address, "treasurer")))
    assert coop.code(BOB, call(9, 1)) == t.STATE


def test_neither_author_nor_payee_approves(coop: Coop) -> None:
    coop.do(T1, request(1), request(1, payee=T2))
    assert coop.code(T1, call(9, 1)) == t.SECOND_PERSON
    assert coop.code(T2, call(9, 2)) == t.SECOND_PERSON
    assert coop.code(ALICE, call(9, 1)) == Code.ROLE
    assert coop.code(T1, call(9, 9)) == t.UNKNOWN_PAYMENT


def test_the_owner_of_a_line(coop: Coop) -> None:
    coop.gov((AUTH, 4, NONE, (CAROL.address, "mason")), (AUTH, 4, NONE, (BOB.address, "mason")))
    coop.do(BOARD1, call(5, 1, "Wall", 400, YEAR, False, "mason", False))
    assert coop.code(ALICE, request(1, line=2)) == Code.ROLE
    coop.do(CAROL, request(100, payee=ALICE, line=2), request(101, payee=ALICE, line=2))
    assert coop.do(BOB, call(9, 1)) == (t.PAID,)
    assert coop.code(BOB, call(9, 2)) == Code.ROLE  # above the first tier only treasurers


def test_who_asks_for_what(coop: Coop) -> None:
    assert coop.code(STRANGER_OPEN, request(1)) == Code.ROLE
    assert coop.code(ALICE, request(1, payee=STRANGER)) == Code.NO_ACCOUNT
    assert coop.code(ALICE, request(1, line=9)) == t.UNKNOWN_LINE
    receipt = coop.failed(coop.tx(request(601)))
    assert receipt.code == t.BUDGET and receipt.reason is not None
    assert (receipt.reason.limit, receipt.reason.actual) == (600, 601)
    coop.do(ALICE, request(600))


def test_a_budget_is_committed_by_the_last_approval(coop: Coop) -> None:
    coop.do(ALICE, request(301), request(300))
    for who in (T1, T2, T3):
        coop.do(who, call(9, 1))
    coop.do(T1, call(9, 2))
    assert coop.code(T2, call(9, 2)) == t.BUDGET
    assert coop.code(STRANGER_OPEN, call(10, 1)) == Code.ROLE
    assert coop.do(BOARD1, call(10, 1)) == (t.REJECTED,)
    assert coop.do(T2, call(9, 2)) == (t.PAID,)
    assert line(coop) == (600, 300, 0)


def test_a_request_is_taken_back(coop: Coop) -> None:
    coop.do(ALICE, request(10))
    assert coop.do(ALICE, call(10, 1)) == (t.REJECTED,)
    assert coop.code(T1, call(9, 1)) == t.STATE


def test_a_fund_pays_no_more_than_it_has(coop: Coop) -> None:
    coop.gov(gov_call(5, 2, "Books", 50, YEAR, False, "", True))
    coop.do(ALICE, request(50, line=2))
    assert coop.code(T1, call(9, 1)) == Code.FUNDS
    coop.do(ALICE, call(3, ALICE.address, 2, 50))
    coop.do(T1, call(9, 1))
    assert fund(coop, 2) == (0, 0)


def test_lines_end_with_their_year(coop: Coop) -> None:
    coop.do(BOARD1, call(5, 1, "Later", 10, YEAR + 1, False, "", False))
    coop.do(BOARD1, call(5, 1, "Carried", 10, YEAR, True, "", False))
    assert coop.code(ALICE, request(1, line=2)) == t.LINE_YEAR
    coop.run(seconds=366 * DAY)
    assert coop.code(ALICE, request(1)) == t.LINE_YEAR
    coop.do(ALICE, request(1, line=2), request(1, line=3))


# --- streams


def stream(coop: Coop, numerator: int, denominator: int, start: int, seconds: int) -> int:
    (number,) = coop.do(BOARD1, call(12, 1, BOB.address, numerator, denominator, start, start + seconds))
    assert type(number) is int
    return number


def test_a_stream_pays_the_floor_of_what_has_passed(coop: Coop) -> None:
    start = coop.time + 1
    number = stream(coop, 2, 7, start, 700)
    assert line(coop) == (600, 0, 200)
    coop.run(seconds=start + 9 - coop.time)
    assert coop.do(STRANGER_OPEN, call(13, number)) == (18 // 7,)
    assert coop.code(STRANGER_OPEN, call(13, number)) == t.NOTHING  # 20/7 is two and something
    coop.run(seconds=10_000)
    coop.do(STRANGER_OPEN, call(13, number))
    assert coop.free(BOB) == 200 and line(coop) == (600, 200, 0)
    assert coop.do(BOARD1, call(14, number)) == (0,)
    assert coop.code(BOARD1, call(14, number)) == t.STATE
    assert coop.code(STRANGER_OPEN, call(13, number)) == t.NOTHING
    check_books(coop)


def test_a_stopped_stream_pays_up_to_now(coop: Coop) -> None:
    start = coop.time + 1
    number = stream(coop, 1, 1, start, 600)
    assert coop.code(BOARD1, call(12, 1, BOB.address, 1, 1, coop.time + 1, coop.time + 2)) == t.BUDGET
    coop.run(seconds=start + 99 - coop.time)
    assert coop.do(BOARD1, call(14, number)) == (99,)
    assert line(coop) == (600, 99, 0)
    shown = coop.ask("treasury", "stream", number)
    assert type(shown) is tuple and shown[7:] == (99, False, 0)
    assert coop.ask("treasury", "streams", BOB.address) == (shown,)


def test_terms_of_streams(coop: Coop) -> None:
    now = coop.time
    assert coop.code(BOARD1, call(12, 1, BOB.address, 1, 1, now - 1, now + 9)) == t.TERMS
    assert coop.code(BOARD1, call(12, 1, BOB.address, 1, 1, now + 9, now + 9)) == t.TERMS
    assert coop.code(BOARD1, call(12, 1, STRANGER.address, 1, 1, now + 9, now + 10)) == Code.NO_ACCOUNT
    assert coop.code(BOARD1, call(13, 9)) == t.UNKNOWN_STREAM
    assert coop.ask("treasury", "stream", 9) is None


# --- books


def test_a_year_is_closed_once_and_when_it_is_over(coop: Coop) -> None:
    coop.do(ALICE, request(100))
    coop.do(T1, call(9, 1))
    assert coop.code(BOARD1, call(15, COOP, YEAR)) == t.TOO_EARLY
    coop.run(seconds=366 * DAY)
    before = coop.ask("treasury", "report", COOP)
    assert type(before) is tuple and before[3:7] == (20, 100, -80, True)
    assert coop.do(BOARD1, call(15, COOP, YEAR)) == (-80,)
    assert coop.code(BOARD1, call(15, COOP, YEAR)) == t.YEAR_CLOSED
    after = coop.ask("treasury", "report", COOP)
    assert type(after) is tuple and after[:3] == before[:3] and after[3:7] == (0, 0, 0, True)
    assert total(coop, t.SURPLUS) == 100 - 80
    assert coop.ask("treasury", "closed_year", COOP, YEAR) == -80
    assert coop.ask("treasury", "closed_year", COOP, YEAR - 1) is None
    check_books(coop)


def test_a_class_on_the_other_side_is_closed_too(coop: Coop) -> None:
    free, back = (0, BOB.address, 2010, COOP, 0), (0, BOARD1.address, 4030, COOP, 0)
    cost = (0, BOARD1.address, 5040, COOP, 0)
    coop.gov(
        (LEDGER, 1, NONE, (back, None)), (LEDGER, 1, NONE, (cost, None)), (LEDGER, 1, NONE, (free, None))
    )
    coop.gov((LEDGER, 2, NONE, (back, free, 7, 0, 1, b"")), (LEDGER, 2, NONE, (free, cost, 3, 0, 1, b"")))
    coop.run(seconds=366 * DAY)
    assert coop.do(BOARD1, call(15, COOP, YEAR)) == (20 - 7 + 3,)
    assert [total(coop, account_class) for account_class in (4020, 4030, 5040)] == [0, 0, 0]
    check_books(coop)


def test_lists_and_absences(coop: Coop) -> None:
    for query in ("fund", "line", "payment"):
        assert coop.ask("treasury", query, 9) is None
    assert coop.ask("treasury", "budget", 1) == (coop.ask("treasury", "line", 1),)
    for _ in range(QUERY_ITEMS_MAX):
        coop.gov(gov_call(1, "F", "", COOP, False))
    first = coop.ask("treasury", "funds", 0)
    assert type(first) is tuple and len(first) == QUERY_ITEMS_MAX
    rest = coop.ask("treasury", "funds", QUERY_ITEMS_MAX)
    assert type(rest) is tuple and len(rest) == 2
    assert coop.ask("treasury", "funds", (1 << 32) - 1) == ()


# --- whatever is called

PEOPLE = (ALICE, BOB, T1, T2, T3, BOARD1)


@st.composite
def calls(draw: st.DrawFn) -> tuple[Person, Value]:
    method = draw(st.sampled_from([2, 3, 4, 5, 6, 8, 8, 9, 9, 9, 9, 10, 11, 12, 13, 14]))
    who, payee = draw(st.sampled_from(PEOPLE)), draw(st.sampled_from(PEOPLE)).address
    amount = draw(st.sampled_from([1, 20, 100, 101, 301, 600]))
    number = draw(st.integers(1, 4))
    arguments: dict[int, tuple[Value, ...]] = {
        2: (number, amount, False),
        3: (who.address, number, amount),
        4: (1, 2, amount),
        5: (number, "L", amount, YEAR, True, "", False),
        6: (number, amount, False),
        8: (number, payee, amount, HASH),
    }
    if method == 12:
        return BOARD1, call(12, number, payee, 1, 1 << 30, (3, "time"), 1 << 32)
    return who, call(method, *arguments.get(method, (number,)))


@settings(max_examples=60, deadline=None)
@given(st.lists(calls(), min_size=20, max_size=60), st.sampled_from([1, DAY]))
def test_invariants(drafts: list[tuple[Person, Value]], pause: int) -> None:
    coop = found()
    for who, instruction in drafts:
        coop.run(seconds=pause)
        coop.run(coop.tx(instruction, actors=(who,)))
        check_treasury(coop)
    check_books(coop)


def check_treasury(coop: Coop) -> None:
    """Check lines against funds, payments and the ledger, and that the books balance."""
    view = View(coop.state)
    lines = {t.LINES.parts(key)[0]: row for key, row in t.LINES.scan(view)}
    payments = [row for _, row in t.PAYMENTS.scan(view)]
    streams = [row for _, row in t.STREAMS.scan(view)]
    for number, (_, _, _, amount, spent, committed, _, _, _) in lines.items():
        assert spent + committed <= amount
        paid = sum(p[3] for p in payments if p[1] == number and p[6] == t.PAID)
        assert spent == paid + sum(s[7] for s in streams if s[1] == number)
        promised = sum((s[6] - s[5]) * s[3] // s[4] - s[7] for s in streams if s[1] == number and s[8])
        waiting = sum(p[3] for p in payments if p[1] == number and p[6] == t.APPROVED)
        assert committed == promised + waiting
    for key, row in t.FUNDS.scan(view):
        number = t.FUNDS.parts(key)[0]
        assert row[5] == sum(line[3] - line[4] for line in lines.values() if line[1] == number)
        assert type(number) is int
        shown = coop.ask("treasury", "fund", number)
        assert type(shown) is tuple and type(shown[-1]) is int
        assert row[5] <= shown[-1]
    for payment in payments:
        assert payment[5] not in payment[7] and payment[2] not in payment[7]
        assert len(payment[7]) == len(set(payment[7]))
    assert sum(row[4] for row in lines.values()) == total(coop, t.COST)
    report = coop.ask("treasury", "report", COOP)
    assert type(report) is tuple and report[6] is True


# --- reports of a period


def test_cash_flow_tells_where_cash_came_from(coop: Coop) -> None:
    start = coop.ask("treasury", "cash_flow", COOP, 202601, 202601)
    # Alice and Bob brought 2,020 in cash, of which 20 are fees and 1,000 a gift.
    assert start == (0, 1_020, 1_000, 0, 0, 0, 2_020)
    coop.run(seconds=31 * DAY)
    coop.do(ALICE, request(50, BOB))
    coop.do(T1, call(9, 1))
    assert coop.ask("treasury", "cash_flow", COOP, 202602, 202602) == (2_020, -50, 50, 0, 0, 0, 2_020)
    assert coop.ask("treasury", "cash_flow", COOP, 202601, 202602) == (0, 970, 1_050, 0, 0, 0, 2_020)


def test_lines_stand_against_what_the_books_say(coop: Coop) -> None:
    coop.do(ALICE, request(50, BOB), request(400, BOB))
    coop.do(T1, call(9, 1))
    for who in (T1, T2, T3):
        coop.do(who, call(9, 2))
    assert coop.ask("treasury", "actuals", 1, 0) == ((1, "Roof", YEAR, 600, 400, 50, 150),)
    coop.do(BOARD1, call(5, 1, "Door", 30, YEAR, False, "", False))
    assert coop.ask("treasury", "actuals", 1, 1) == ((2, "Door", YEAR, 30, 0, 0, 30),)
    coop.run(seconds=366 * DAY)
    coop.do(BOARD1, call(15, COOP, YEAR))
    actuals = coop.ask("treasury", "actuals", 1, 0)
    assert type(actuals) is tuple and actuals[0] == (1, "Roof", YEAR, 600, 0, 450, 150)


def test_what_a_line_leaves_goes_back_unless_it_carries_over(coop: Coop) -> None:
    coop.do(BOARD1, call(5, 1, "Wood", 100, YEAR, True, "", False))
    coop.do(ALICE, request(50, BOB))
    coop.do(T1, call(9, 1))
    assert coop.code(CAROL, call(17, 1)) == t.TOO_EARLY
    coop.run(seconds=365 * DAY - int(coop.time) % DAY - 2)
    assert coop.code(CAROL, call(17, 1)) == t.TOO_EARLY  # the last second of the year
    coop.run(seconds=2)
    assert coop.do(CAROL, call(17, 1)) == (550,) and line(coop) == (50, 50, 0)
    assert fund(coop) == (100, 950)
    assert coop.code(CAROL, call(17, 1)) == t.NOTHING
    assert coop.code(CAROL, call(17, 2)) == t.TOO_EARLY
