"""shares: buying, instalments, pledges, the queue with its limits, par less losses, and joining whole."""

from dataclasses import replace
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import Value
from protocol.contracts.ledger import accounts as ledger
from protocol.contracts.ledger.books import find_balance, list_balances
from protocol.contracts.members import records as m
from protocol.contracts.members.standing import bind, unbind
from protocol.contracts.shares import records as s
from protocol.errors import Code, Rejected
from protocol.params import AMOUNT_MAX, QUERY_ITEMS_MAX
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import (
    BOARD1,
    DAY,
    HASH,
    MEMBERS,
    REGISTRAR,
    SHARES,
    Coop,
    attest,
    check_books,
    tag_of,
)
from tests.protocol.ledger_world import ALICE, ASSETS, BOB, CAROL, COOP, LEDGER, NONE, TILL2, Person

PAR = 50


def create(
    minimum: int = 2,
    maximum: int = 20,
    after: int = 0,
    cap: int = 10_000,
    solvency: int = 0,
    par: int = PAR,
) -> Value:
    return (
        SHARES,
        1,
        NONE,
        ("Member share", COOP, par, True, minimum, maximum, after, cap, solvency, 60_000),
    )


def set_terms(minimum: int = 2, maximum: int = 20, after: int = 0, cap: int = 10_000, sol: int = 0) -> Value:
    return (SHARES, 2, NONE, (1, minimum, maximum, after, cap, sol, 60_000))


def call(method: int, who: Person, *arguments: Value) -> Value:
    return (SHARES, method, 0, (who.address, *arguments))


def redeem(items: int = 10) -> Value:
    return (SHARES, 10, 0, (1, items))


@pytest.fixture
def coop() -> Coop:
    coop = Coop()
    coop.gov(create())
    coop.join(ALICE)
    coop.join(BOB)
    return coop


def holding(coop: Coop, member: int) -> Value:
    held = coop.ask("shares", "holdings", member)
    assert type(held) is tuple
    return held[0] if held else None


def total(coop: Coop, account_class: int) -> int:
    return find_balance(list_balances(View(coop.state), COOP), account_class)


def lose(coop: Coop, amount: int) -> None:
    """Book a cost: Dr 5020, Cr 2010 of Carol."""
    cost = (0, BOARD1.address, 5020, COOP, 0)
    free = (0, CAROL.address, 2010, COOP, 0)
    coop.gov((LEDGER, 1, NONE, (cost, None)), (LEDGER, 1, NONE, (free, None)))
    coop.gov((LEDGER, 2, NONE, (cost, free, amount, 0, 1, b"")))


# --- joining, as section 6 of the specification tells it


def test_join() -> None:
    """Apply, attest, cash in with four eyes, ten shares, active."""
    coop = Coop()
    coop.gov(create(minimum=10), (MEMBERS, 1, NONE, (COOP, 10, 10 * PAR, 1, 0, True)))
    (number,) = coop.do(ALICE, (MEMBERS, 2, 0, (1, ALICE.address, HASH, None)))
    coop.do(REGISTRAR, attest(number, tag_of(ALICE)))
    (receipt,) = coop.ok(coop.cash_in(ALICE, 2_000_000))
    coop.do(TILL2, (ASSETS, 6, 0, receipt.results))
    results = coop.do(ALICE, (MEMBERS, 5, 0, (ALICE.address,)), call(3, ALICE, 1, 10))
    assert results == (10, 10)
    assert coop.member(1).status == m.ACTIVE and coop.member(1).shares_paid == 10 * PAR
    assert coop.free(ALICE) == 2_000_000 - 10 - 10 * PAR
    assert coop.ask("members", "eligible_at", coop.height) == 1
    assert holding(coop, 1) == (1, 10, 0, 0, 0, coop.time // DAY)
    check_books(coop)


def test_the_ninth_share_does_not_admit() -> None:
    coop = Coop()
    coop.gov(create(), (MEMBERS, 1, NONE, (COOP, 10, 10 * PAR, 1, 0, True)))
    coop.join(ALICE)
    coop.do(ALICE, call(3, ALICE, 1, 9))
    assert coop.member(1).status == m.APPLICANT
    assert coop.code(ALICE, call(8, ALICE, 1, 1)) == s.STANDING
    coop.do(ALICE, call(3, ALICE, 1, 1))
    assert coop.member(1).status == m.ACTIVE
    assert coop.code(ALICE, call(11, ALICE, 1)) == s.STANDING


def test_an_applicant_takes_the_capital_back() -> None:
    coop = Coop()
    coop.gov(create(), (MEMBERS, 1, NONE, (COOP, 10, 10 * PAR, 1, 0, True)))
    coop.join(ALICE)
    coop.do(ALICE, call(3, ALICE, 1, 9))
    assert coop.code(ALICE, (MEMBERS, 7, 0, (1,))) == m.OBLIGED
    assert coop.do(ALICE, call(11, ALICE, 1)) == (9 * PAR,)
    assert coop.code(ALICE, call(11, ALICE, 1)) == s.NOTHING
    assert coop.member(1).shares_paid == 0
    coop.do(ALICE, (MEMBERS, 7, 0, (1,)))
    assert coop.free(ALICE) == 1_010
    check_books(coop)


# --- classes and buying


def test_terms(coop: Coop) -> None:
    assert coop.gov_outcome(create(minimum=21)).code == s.TERMS
    assert coop.gov_outcome(set_terms(minimum=21)).code == s.TERMS
    coop.gov(set_terms(minimum=20))
    row = coop.ask("shares", "class", 1)
    assert row == (1, "Member share", COOP, PAR, True, 20, 20, 0, 10_000, 0, 60_000, 0, 0)
    assert coop.ask("shares", "classes") == (row,)
    assert coop.ask("shares", "class", 2) is None and coop.ask("shares", "price", 2) is None
    assert coop.code(ALICE, (SHARES, 2, 0, (1, 1, 1, 0, 0, 0, 0))) == Code.ROLE


@pytest.mark.parametrize(
    "place, limit",
    [(4, s.COUNT_MAX), (5, s.COUNT_MAX), (6, s.REDEEM_AFTER_DAYS_MAX), (7, 10_000), (8, s.SOLVENCY_BP_MAX)],
)
def test_terms_at_the_limit_and_one_beyond(coop: Coop, place: int, limit: int) -> None:
    terms = [0, s.COUNT_MAX, 0, 0, 0, 0]
    terms[place - 4] = limit
    coop.gov((SHARES, 2, NONE, (1, *terms)))
    terms[place - 4] = limit + 1
    with pytest.raises(Rejected):
        coop.gov((SHARES, 2, NONE, (1, *terms)))


def test_holding_at_the_limit_and_one_beyond(coop: Coop) -> None:
    receipt = coop.failed(coop.tx(call(3, ALICE, 1, 21)))
    assert receipt.code == s.MAX_HOLDING and receipt.reason is not None
    assert (receipt.reason.limit, receipt.reason.actual) == (20, 21)
    assert coop.do(ALICE, call(3, ALICE, 1, 20)) == (20,)
    assert coop.code(ALICE, call(4, ALICE, 1, 1)) == s.MAX_HOLDING
    assert coop.free(ALICE) == 0 and total(coop, s.SHARE_CAPITAL) == 1_000


def test_who_buys(coop: Coop) -> None:
    assert coop.code(CAROL, call(3, CAROL, 1, 1)) == m.UNKNOWN_MEMBER
    assert coop.code(ALICE, call(3, ALICE, 2, 1)) == s.UNKNOWN_CLASS
    assert coop.code(BOB, call(3, ALICE, 1, 1)) == Code.POLICY_UNMET
    coop.do(BOARD1, (MEMBERS, 8, 0, (1, HASH)))
    assert coop.code(ALICE, call(3, ALICE, 1, 1)) == s.STANDING


def test_price_beyond_an_amount(coop: Coop) -> None:
    coop.gov(create(par=AMOUNT_MAX))
    assert coop.code(ALICE, call(3, ALICE, 2, 2)) == Code.OVERFLOW


# --- instalments


def test_instalments_become_shares_when_they_are_whole(coop: Coop) -> None:
    assert coop.do(ALICE, call(4, ALICE, 1, PAR - 1)) == (0,)
    assert (total(coop, s.ESCROW), total(coop, s.SHARE_CAPITAL)) == (PAR - 1, 0)
    assert coop.do(ALICE, call(4, ALICE, 1, PAR + 2)) == (2,)
    assert (total(coop, s.ESCROW), total(coop, s.SHARE_CAPITAL)) == (1, 2 * PAR)
    assert coop.member(1).shares_paid == 2 * PAR
    assert coop.do(ALICE, call(5, ALICE, 1)) == (1,)
    assert coop.code(ALICE, call(5, ALICE, 1)) == s.NOTHING
    check_books(coop)


def test_what_was_paid_in_keeps_a_member(coop: Coop) -> None:
    coop.do(ALICE, call(4, ALICE, 1, 1), (MEMBERS, 13, 0, (ALICE.address,)))
    assert coop.code(BOB, (MEMBERS, 14, 0, (1,))) == m.OBLIGED
    coop.do(ALICE, call(5, ALICE, 1), (MEMBERS, 14, 0, (1,)))
    assert coop.member(1).status == m.EXITED


# --- pledges


def test_pledged_shares_stay(coop: Coop) -> None:
    coop.do(ALICE, call(3, ALICE, 1, 10))
    assert coop.do(ALICE, call(6, ALICE, 1, 3, BOB.address), call(6, ALICE, 1, 4, BOB.address)) == (3, 7)
    assert coop.code(ALICE, call(6, ALICE, 1, 4, BOB.address)) == s.TOO_FEW
    assert coop.code(ALICE, call(8, ALICE, 1, 4)) == s.TOO_FEW
    assert coop.ask("shares", "pledges", 1) == ((1, BOB.address, 7),)
    release = (SHARES, 7, 0, (BOB.address, 1, 1, 6))
    assert coop.code(ALICE, release) == Code.POLICY_UNMET
    assert coop.do(BOB, release) == (1,)
    assert coop.code(BOB, (SHARES, 7, 0, (BOB.address, 1, 1, 2))) == s.NO_PLEDGE
    coop.do(BOB, (SHARES, 7, 0, (BOB.address, 1, 1, 1)))
    assert coop.ask("shares", "pledges", 1) == ()
    assert coop.code(ALICE, call(6, ALICE, 1, 1, bytes(20))) == Code.NO_ACCOUNT


# --- the queue


def test_first_come_first_served(coop: Coop) -> None:
    coop.do(ALICE, call(3, ALICE, 1, 10))
    coop.do(BOB, call(3, BOB, 1, 10))
    assert coop.do(BOB, call(8, BOB, 1, 4)) == (1,)
    assert coop.do(ALICE, call(8, ALICE, 1, 3), call(8, ALICE, 1, 2)) == (2, 3)
    assert coop.ask("shares", "position", 1, 1) == (0, 0)
    assert coop.ask("shares", "position", 1, 3) == (2, 7)
    assert coop.ask("shares", "position", 1, 9) is None
    day = coop.time // DAY
    assert coop.ask("shares", "requests", 1) == ((1, 2, 1, 3, day), (1, 3, 1, 2, day))
    assert coop.do(CAROL, redeem(1)) == (4,)
    assert coop.free(BOB) == 1_000 - 6 * PAR
    assert holding(coop, 2) == (1, 6, 0, 0, 0, day)
    assert coop.do(ALICE, call(9, ALICE, 1, 3)) == (2,)
    assert coop.code(ALICE, call(9, ALICE, 1, 3)) == s.NO_REQUEST
    assert coop.code(BOB, call(9, BOB, 1, 2)) == s.NO_REQUEST
    assert coop.do(CAROL, redeem()) == (3,)
    assert coop.code(CAROL, redeem()) == s.NO_REQUEST
    assert coop.code(CAROL, (SHARES, 10, 0, (9, 1))) == s.UNKNOWN_CLASS
    assert total(coop, s.SHARE_CAPITAL) == 13 * PAR
    check_books(coop)


def test_position_is_bounded(coop: Coop) -> None:
    view = View(coop.state)
    for n in range(QUERY_ITEMS_MAX + 2):
        s.REQUESTS.put(view, s.REQUESTS.key(1, n + 1), (1, 1, 1, 0))
    coop.state.apply(view.collect_writes())
    assert coop.ask("shares", "position", 1, QUERY_ITEMS_MAX) == (QUERY_ITEMS_MAX - 1, QUERY_ITEMS_MAX - 1)
    assert coop.ask("shares", "position", 1, QUERY_ITEMS_MAX + 2) == (QUERY_ITEMS_MAX, QUERY_ITEMS_MAX)
    with pytest.raises(Rejected):
        coop.run(coop.tx(redeem(s.REDEEM_ITEMS_MAX + 1)))


def test_minimum_as_long_as_one_is_a_member(coop: Coop) -> None:
    coop.do(ALICE, call(3, ALICE, 1, 5))
    assert coop.code(ALICE, call(8, ALICE, 1, 4)) == s.BELOW_MINIMUM
    coop.do(ALICE, call(8, ALICE, 1, 3))
    assert coop.code(ALICE, call(8, ALICE, 1, 1)) == s.BELOW_MINIMUM
    coop.do(ALICE, (MEMBERS, 13, 0, (ALICE.address,)), call(8, ALICE, 1, 2))
    coop.do(BOB, redeem(), (MEMBERS, 14, 0, (1,)))
    assert coop.member(1).status == m.EXITED and coop.free(ALICE) == 1_000


def test_the_waiting_time_after_a_purchase(coop: Coop) -> None:
    coop.gov(set_terms(after=30))
    coop.do(ALICE, call(3, ALICE, 1, 5))
    coop.run(seconds=30 * DAY - DAY)
    assert coop.code(ALICE, call(8, ALICE, 1, 1)) == s.TOO_SOON
    coop.run(seconds=DAY)
    coop.do(ALICE, call(8, ALICE, 1, 1))


def test_yearly_cap_at_the_limit_and_one_beyond(coop: Coop) -> None:
    coop.gov(set_terms(minimum=0, cap=1_000))
    coop.do(ALICE, call(3, ALICE, 1, 20))
    coop.do(BOB, call(3, BOB, 1, 20))
    coop.do(ALICE, call(8, ALICE, 1, 3))
    coop.do(BOB, call(8, BOB, 1, 5))
    assert coop.do(CAROL, redeem()) == (4,)  # ten per cent of forty
    assert coop.ask("shares", "year", 1, 2026) == (40 * PAR, 4 * PAR)
    receipt = coop.failed(coop.tx(redeem()))
    assert receipt.code == s.YEARLY_CAP
    assert coop.ask("shares", "year", 1, 2027) is None
    coop.run(seconds=366 * DAY)  # the chain pays by itself: ten per cent of what is left, floor
    assert coop.ask("shares", "year", 1, 2027) == (36 * PAR, 3 * PAR)
    assert coop.code(CAROL, redeem()) == s.YEARLY_CAP
    check_books(coop)


def test_the_chain_pays_the_queue_once_a_day_while_anybody_waits(coop: Coop) -> None:
    coop.gov(set_terms(minimum=0))
    coop.do(ALICE, call(3, ALICE, 1, 4))
    coop.do(BOB, call(3, BOB, 1, 4))
    coop.do(ALICE, call(8, ALICE, 1, 2))
    coop.do(BOB, call(8, BOB, 1, 1))
    assert coop.ask("sched", "due") != ()
    coop.run(seconds=DAY)
    assert coop.ask("shares", "requests", 1) == () == coop.ask("shares", "requests", 2)
    assert coop.ask("sched", "due") == ()
    assert coop.code(CAROL, (SHARES, 13, 0, (1,))) == Code.ROLE


def test_solvency_at_the_limit_and_one_beyond(coop: Coop) -> None:
    coop.do(ALICE, call(3, ALICE, 1, 10), call(8, ALICE, 1, 4))
    # Net assets 2,020 (two entry fees) for 2,000 of deposits and capital: 101 per cent.
    coop.gov(set_terms(sol=10_101))
    assert coop.code(CAROL, redeem()) == s.SOLVENCY
    coop.gov(set_terms(sol=10_100))
    assert coop.do(CAROL, redeem()) == (4,)


def test_par_less_losses_reserves_first(coop: Coop) -> None:
    coop.do(ALICE, call(3, ALICE, 1, 10))
    coop.do(BOB, call(3, BOB, 1, 10), call(8, BOB, 1, 3))
    lose(coop, 20)  # eaten by the two entry fees
    assert coop.ask("shares", "price", 1) == PAR
    lose(coop, 1)
    assert coop.ask("shares", "price", 1) == PAR - 1
    lose(coop, 332)  # 667 for 20 shares: 33.35 a share
    assert coop.ask("shares", "price", 1) == 33
    coop.do(CAROL, redeem())
    assert coop.free(BOB) == 500 + 99
    assert total(coop, s.SURPLUS) == 3 * (PAR - 33)
    assert total(coop, s.SHARE_CAPITAL) == 17 * PAR
    assert coop.ask("shares", "price", 1) == 33  # who stays is not worse off
    check_books(coop)


def test_nothing_is_left(coop: Coop) -> None:
    coop.do(ALICE, call(3, ALICE, 1, 10), call(8, ALICE, 1, 3))
    lose(coop, 10_000)
    assert coop.ask("shares", "price", 1) == 0
    assert coop.code(CAROL, redeem()) == s.SOLVENCY


def test_nobody_holds_up_the_queue(coop: Coop) -> None:
    coop.do(ALICE, call(3, ALICE, 1, 10), call(8, ALICE, 1, 3))
    name = (0, ALICE.address, 2010, COOP, 0)
    coop.gov((LEDGER, 6, NONE, (name, ledger.FROZEN_IN)))
    coop.do(CAROL, redeem())
    assert coop.code(ALICE, call(12, ALICE, COOP)) == Code.FROZEN
    coop.do(ALICE, (MEMBERS, 13, 0, (ALICE.address,)), call(8, ALICE, 1, 7), redeem())
    assert coop.ask("shares", "holdings", 1) == ()
    assert coop.code(ALICE, (MEMBERS, 14, 0, (1,))) == m.OBLIGED
    coop.gov((LEDGER, 7, NONE, (name, ledger.FROZEN_IN)))
    assert coop.do(ALICE, call(12, ALICE, COOP)) == (10 * PAR,)
    assert coop.code(ALICE, call(12, ALICE, COOP)) == s.NOTHING
    coop.do(ALICE, (MEMBERS, 14, 0, (1,)))
    check_books(coop)


def test_the_estate_redeems_only_when_it_is_open(coop: Coop) -> None:
    coop.do(ALICE, call(3, ALICE, 1, 10))
    coop.do(REGISTRAR, (MEMBERS, 15, 0, (1, HASH)))
    assert coop.code(ALICE, call(8, ALICE, 1, 1)) == s.STANDING
    coop.write_member(1, replace(coop.member(1), until=0))
    coop.do(ALICE, call(8, ALICE, 1, 10))


# --- whatever is called

PEOPLE = (ALICE, BOB, CAROL)


@st.composite
def calls(draw: st.DrawFn) -> tuple[Person, Value]:
    who = draw(st.sampled_from(PEOPLE))
    count = draw(st.sampled_from([1, 2, 5, 21]))
    method = draw(st.sampled_from([3, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 10, 11, 12, 100, 101]))
    if method == 100:
        return who, (MEMBERS, 13, 0, (who.address,))
    if method == 101:
        return who, (MEMBERS, 14, 0, (draw(st.integers(1, 3)),))
    arguments: dict[int, tuple[Value, ...]] = {
        4: (who.address, 1, draw(st.integers(1, 120))),
        5: (who.address, 1),
        6: (who.address, 1, count, draw(st.sampled_from(PEOPLE)).address),
        7: (who.address, draw(st.integers(1, 3)), 1, count),
        9: (who.address, 1, draw(st.integers(1, 5))),
        10: (1, draw(st.integers(1, 3))),
        11: (who.address, 1),
        12: (who.address, COOP),
    }
    return who, (SHARES, method, 0, arguments.get(method, (who.address, 1, count)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(calls(), min_size=20, max_size=50),
    st.sampled_from([1, 40 * DAY]),
    st.sampled_from([1_000, 10_000]),
    st.sampled_from([0, 0, 300, 10_000]),
)
def test_invariants(drafts: list[tuple[Person, Value]], pause: int, cap: int, loss: int) -> None:
    coop = Coop()
    coop.gov(create(cap=cap))
    for who in PEOPLE:
        coop.join(who)
    for who in PEOPLE:
        coop.do(who, call(3, who, 1, 9))
    if loss:
        lose(coop, loss)
    for who, instruction in drafts:
        coop.run(seconds=pause)
        coop.run(coop.tx(instruction, actors=(who,)))
        check_shares(coop)
    check_books(coop)


def check_shares(coop: Coop) -> None:
    """Check holdings against capital, escrow, the class's sums, requests, pledges and ties."""
    view = View(coop.state)
    held = {s.HOLDINGS.parts(key): row for key, row in s.HOLDINGS.scan(view)}
    assert sum(row[1] for row in held.values()) * PAR == total(coop, s.SHARE_CAPITAL)
    assert sum(row[2] for row in held.values()) == total(coop, s.ESCROW)
    share = s.get_class(view, 1)
    assert share[11] == sum(row[1] for row in held.values())
    requests = [row for _, row in s.REQUESTS.scan(view)]
    pledges = {s.PLEDGES.parts(key): row[1] for key, row in s.PLEDGES.scan(view)}
    assert share[12] == sum(row[2] for row in requests)
    for (member, _), (_, count, instalment, pledged, queued, _) in held.items():
        assert type(member) is int
        assert 0 <= instalment < PAR and pledged + queued <= count <= 20
        assert queued == sum(row[2] for row in requests if row[1] == member)
        assert pledged == sum(n for parts, n in pledges.items() if parts[0] == member)
        record = coop.member(member)
        assert record.shares_paid == count * PAR and record.status != m.EXITED
        if record.status == m.ACTIVE and count:
            assert count - queued >= 2 or not queued


# --- the plan of leaving


def test_the_exit_plan_names_what_keeps_a_member_in_the_order_of_settling(
    coop: Coop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert coop.ask("shares", "exit_plan", 1, None) == ()
    coop.do(ALICE, call(3, ALICE, 1, 5), call(4, ALICE, 1, 7))
    coop.do(ALICE, call(6, ALICE, 1, 1, BOB.address), call(8, ALICE, 1, 2))
    view = View(coop.state)
    bind(view, 1, 31)
    coop.state.apply(view.collect_writes())
    plan = ((1, 31, 1, 0), (2, 1, 1, 0), (3, 1, 0, 7), (4, 1, 2, 0), (5, 1, 2, 0))
    assert coop.ask("shares", "exit_plan", 1, None) == plan
    for at, row in enumerate(plan, 1):
        assert coop.ask("shares", "exit_plan", 1, row[:2]) == plan[at:]
    assert coop.ask("shares", "exit_plan", 1, (1, 0)) == plan
    for limit in (4, 5, 6):
        monkeypatch.setattr(import_module("protocol.contracts.shares.contract"), "QUERY_ITEMS_MAX", limit)
        assert coop.ask("shares", "exit_plan", 1, None) == plan[:limit]
    assert coop.ask("shares", "exit_plan", 1, (4, 1)) == plan[4:]
    coop.do(ALICE, (MEMBERS, 13, 0, (ALICE.address,)))
    assert coop.code(BOB, (MEMBERS, 14, 0, (1,))) == m.OBLIGED
    view = View(coop.state)
    unbind(view, 1, 31)
    coop.state.apply(view.collect_writes())
    free: Value = (0, ALICE.address, 2010, COOP, 0)
    coop.do(BOB, (SHARES, 7, 0, (BOB.address, 1, 1, 1)))
    coop.do(ALICE, call(5, ALICE, 1), call(8, ALICE, 1, 3))
    coop.gov((LEDGER, 6, NONE, (free, ledger.FROZEN_IN)))
    coop.do(BOB, redeem())
    assert coop.ask("shares", "exit_plan", 1, None) == ((6, COOP, 0, 5 * PAR),)
    coop.gov((LEDGER, 7, NONE, (free, ledger.FROZEN_IN)))
    coop.do(ALICE, call(12, ALICE, COOP))
    assert coop.ask("shares", "exit_plan", 1, None) == ()
    assert coop.do(BOB, (MEMBERS, 14, 0, (1,))) == (m.EXITED,)
