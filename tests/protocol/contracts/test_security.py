"""security: promises that are locked, rings that are refused, collateral, and auctions whose price falls."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import Value
from protocol.contracts.ledger.accounts import (
    MEMBER_FREE,
    account_key,
    get_account,
    open_account,
    read_account_key,
)
from protocol.contracts.ledger.books import find_balance, list_balances
from protocol.contracts.savings.records import NO_ACCOUNT, get_savings
from protocol.contracts.security import doors
from protocol.contracts.security import records as r
from protocol.contracts.security.contract import CONTRACT
from protocol.errors import CallFailed, Code
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import BOARD1, DAY, HASH, MEMBERS, Coop, check_books
from tests.protocol.contracts.test_savings import call as save
from tests.protocol.contracts.test_savings import product
from tests.protocol.ledger_world import (
    ALICE,
    ASSETS,
    AUTH,
    BOB,
    CAROL,
    COOP,
    NONE,
    TILL,
    Person,
    create_asset,
    person,
    program,
)

SECURITY = 33
DAN, EVE, VALUER1, VALUER2 = (person(name) for name in ("dan", "eve", "valuer1", "valuer2"))
GOLD = 2
LOAN = 7
PAID_TO = account_key(person("lending").address, MEMBER_FREE, COOP)


def call(method: int, who: Person, *arguments: Value) -> Value:
    return (SECURITY, method, 0, (who.address, *arguments))


def offer(who: Person, account: int, amount: int, loan: int = LOAN) -> Value:
    return call(3, who, loan, account, amount)


def worth(loan: int, piece: int, value: int) -> Value:
    return (SECURITY, 11, 0, (loan, piece, value, HASH))


class Vault(Coop):
    """Alice asks for a loan; Bob, Carol, Dan and Eve save 1,000 each; two valuers value; gold can be had."""

    def __init__(self) -> None:
        opened = program(*[(AUTH, 1, NONE, (p.address,)) for p in (DAN, EVE, VALUER1, VALUER2)])
        roles = program(*[(AUTH, 4, NONE, (p.address, r.VALUER)) for p in (VALUER1, VALUER2)])
        till = program((ASSETS, 3, NONE, (TILL.address, GOLD, 1 << 50, 1 << 50, 1_000_000)))
        super().__init__(opened, roles, create_asset("GOLD"), till)
        people = (ALICE, BOB, CAROL, DAN, EVE)
        self.numbers = {who: self.join(who, 10_000) for who in people}
        self.gov(product((0,)), (SECURITY, 2, NONE, (GOLD, 2_000, 9_000)))
        self.gov((SECURITY, 2, NONE, (r.PAPER, 5_000, 0)))
        self.run()
        self.savings = {who: int(str(self.do(who, save(3, who, 1, 1_000))[0])) for who in people}
        with self.door() as ctx:
            open_account(ctx.view, PAID_TO)
        self.ask_loan(LOAN, ALICE)
        gold = (ASSETS, 4, 0, (TILL.address, ALICE.address, GOLD, 1_000, b"gold"))
        self.ok(self.tx(gold, actors=(TILL,)))

    def ask_loan(self, loan: int, who: Person, most: int = 5) -> None:
        with self.door() as ctx:
            doors.register(ctx, loan, self.numbers[who], COOP, most)

    def bind(self, required: int | None = None, loan: int = LOAN) -> None:
        with self.door() as ctx:
            doors.bind(ctx, loan, required)

    def locked(self, who: Person) -> int:
        return get_savings(View(self.state), self.savings[who]).locked

    def case(self, loan: int = LOAN) -> r.Case:
        return r.get_case(View(self.state), loan)

    def cover(self) -> int:
        with self.door() as ctx:
            return doors.cover(ctx, LOAN)

    def paid(self) -> int:
        row = get_account(View(self.state), PAID_TO)
        assert row is not None
        return row[5] - row[3]

    def memorandum(self) -> int:
        return find_balance(list_balances(View(self.state), COOP), r.GUARANTEES)

    def gold(self, who: Person) -> int:
        row = get_account(View(self.state), account_key(who.address, MEMBER_FREE, GOLD))
        return 0 if row is None else row[5] - row[3]


# --- guarantees


def test_an_offer_is_locked_bound_shrunk_and_released() -> None:
    vault = Vault()
    assert vault.do(BOB, offer(BOB, vault.savings[BOB], 600)) == (600,)
    vault.do(CAROL, offer(CAROL, vault.savings[CAROL], 301))
    assert (vault.locked(BOB), vault.locked(CAROL), vault.cover(), vault.memorandum()) == (600, 301, 901, 0)
    vault.bind()
    assert (vault.memorandum(), vault.case().required) == (901, 901)
    with vault.door() as ctx:
        assert doors.shrink(ctx, LOAN, 2, 3) == 300
    assert (vault.locked(BOB), vault.locked(CAROL), vault.memorandum()) == (400, 201, 601)
    with vault.door() as ctx:
        assert doors.shrink(ctx, LOAN, 2, 3) == 0
        doors.release(ctx, LOAN)
    assert (vault.locked(BOB), vault.locked(CAROL), vault.memorandum()) == (0, 0, 0)
    assert vault.ask("security", "case", LOAN) is None
    assert (
        vault.ask("security", "guarantees", LOAN) == vault.ask("security", "given", vault.numbers[BOB]) == ()
    )
    vault.do(BOB, (MEMBERS, 13, 0, (BOB.address,)), save(8, BOB, vault.savings[BOB]))
    vault.do(CAROL, (MEMBERS, 14, 0, (vault.numbers[BOB],)))
    check_books(vault)


def test_an_offer_can_be_taken_back_or_declined_until_it_binds() -> None:
    vault = Vault()
    for who in (BOB, CAROL, DAN):
        vault.do(who, offer(who, vault.savings[who], 100))
    assert vault.do(BOB, call(4, BOB, LOAN)) == (100,)
    assert vault.code(EVE, call(5, EVE, LOAN, vault.numbers[CAROL])) == r.STANDING
    assert vault.do(ALICE, call(5, ALICE, LOAN, vault.numbers[CAROL])) == (100,)
    assert (vault.locked(BOB), vault.locked(CAROL), vault.locked(DAN)) == (0, 0, 100)
    vault.bind()
    assert vault.code(DAN, call(4, DAN, LOAN)) == r.STATE
    assert vault.code(ALICE, call(5, ALICE, LOAN, vault.numbers[DAN])) == r.STATE
    assert vault.code(BOB, call(4, BOB, LOAN)) == r.NO_GUARANTEE


def test_who_may_stand_for_a_loan() -> None:
    vault = Vault()
    assert vault.code(BOB, offer(BOB, vault.savings[BOB], 1, 99)) == r.NO_LOAN
    assert vault.code(ALICE, offer(ALICE, vault.savings[ALICE], 1)) == r.TERMS
    assert vault.code(BOB, offer(BOB, vault.savings[CAROL], 1)) == NO_ACCOUNT
    vault.do(BOB, offer(BOB, vault.savings[BOB], 1))
    assert vault.code(BOB, offer(BOB, vault.savings[BOB], 1)) == r.STATE
    vault.do(BOARD1, (MEMBERS, 8, 0, (vault.numbers[CAROL], HASH)))
    assert vault.code(CAROL, offer(CAROL, vault.savings[CAROL], 1)) == r.STANDING
    vault.gov(product((0,), asset=GOLD))
    vault.ok(vault.tx((ASSETS, 4, 0, (TILL.address, DAN.address, GOLD, 10, b"dan")), actors=(TILL,)))
    (other,) = vault.do(DAN, save(3, DAN, 2, 10))
    assert vault.code(DAN, offer(DAN, int(str(other)), 1)) == r.TERMS


def test_as_many_guarantors_as_the_loan_takes() -> None:
    vault = Vault()
    vault.ask_loan(8, ALICE, 2)
    for who in (BOB, CAROL):
        vault.do(who, offer(who, vault.savings[who], 1, 8))
    assert vault.code(DAN, offer(DAN, vault.savings[DAN], 1, 8)) == r.TOO_MANY


def test_a_loan_that_is_bound_takes_no_more_than_the_most() -> None:
    vault = Vault()
    vault.bind()
    view = View(vault.state)
    for number in range(100, 100 + r.GUARANTEES_MAX - 1):
        r.put_guarantee(view, LOAN, number, r.Guarantee(1, 1, 0, 0, 0, r.OFFERED))
    vault.state.apply(view.collect_writes())
    vault.do(BOB, offer(BOB, vault.savings[BOB], 1))
    assert vault.code(CAROL, offer(CAROL, vault.savings[CAROL], 1)) == r.TOO_MANY


def test_as_many_guarantees_as_a_member_may_give_and_no_more_than_he_saves() -> None:
    vault = Vault()
    vault.gov((SECURITY, 1, NONE, (2, 5_000, 3, 12_000, 6_000, 3_600, 48)))
    vault.ask_loan(8, CAROL)
    vault.ask_loan(9, DAN)
    assert vault.code(BOB, offer(BOB, vault.savings[BOB], 501)) == r.TOO_MUCH
    vault.do(BOB, offer(BOB, vault.savings[BOB], 300))
    assert vault.code(BOB, offer(BOB, vault.savings[BOB], 201, 8)) == r.TOO_MUCH
    vault.do(BOB, offer(BOB, vault.savings[BOB], 200, 8))
    assert vault.code(BOB, offer(BOB, vault.savings[BOB], 1, 9)) == r.TOO_MANY


def test_a_member_asks_for_so_many_loans() -> None:
    vault = Vault()
    for loan in range(100, 100 + r.LOANS_MAX - 1):
        vault.ask_loan(loan, ALICE)
    with pytest.raises(CallFailed) as failed:
        vault.ask_loan(200, ALICE)
    assert failed.value.code == r.TOO_MANY


def test_who_is_long_overdue_stands_for_nobody() -> None:
    vault = Vault()
    vault.ask_loan(8, BOB)
    with vault.door() as ctx:
        doors.mark_late(ctx, 8, True)
    assert vault.code(BOB, offer(BOB, vault.savings[BOB], 1)) == r.LATE
    with vault.door() as ctx:
        doors.mark_late(ctx, 8, False)
    vault.do(BOB, offer(BOB, vault.savings[BOB], 1))


def test_rings_of_two_and_three_are_refused_whichever_way_they_turn() -> None:
    for forward in (True, False):
        vault = Vault()
        vault.ask_loan(8, BOB)
        vault.ask_loan(9, CAROL)
        vault.do(BOB, offer(BOB, vault.savings[BOB], 10))  # Bob stands for Alice
        assert vault.code(ALICE, offer(ALICE, vault.savings[ALICE], 10, 8)) == r.RING
        if forward:
            vault.do(CAROL, offer(CAROL, vault.savings[CAROL], 10, 8))  # for Bob
            assert vault.code(ALICE, offer(ALICE, vault.savings[ALICE], 10, 9)) == r.RING
        else:
            vault.do(BOB, offer(BOB, vault.savings[BOB], 10, 9))  # Bob for Carol, too
        assert vault.code(CAROL, offer(CAROL, vault.savings[CAROL], 10)) == r.RING
        vault.do(DAN, offer(DAN, vault.savings[DAN], 10))


def test_a_coop_may_allow_rings_and_can_tell_them() -> None:
    vault = Vault()
    vault.gov((SECURITY, 1, NONE, (5, 10_000, 2, 12_000, 6_000, 3_600, 48)))
    vault.ask_loan(8, BOB)
    vault.do(BOB, offer(BOB, vault.savings[BOB], 10))
    vault.do(CAROL, offer(CAROL, vault.savings[CAROL], 10, 8))
    vault.do(CAROL, offer(CAROL, vault.savings[CAROL], 10))
    assert vault.code(ALICE, offer(ALICE, vault.savings[ALICE], 10, 8)) == r.RING
    view = View(vault.state)
    assert doors.is_in_ring(view, LOAN, vault.numbers[CAROL])
    assert not doors.is_in_ring(view, LOAN, vault.numbers[DAN])


def test_another_takes_a_guarantors_place_with_as_much() -> None:
    vault = Vault()
    vault.do(BOB, offer(BOB, vault.savings[BOB], 600))
    vault.bind()
    with vault.door() as ctx:
        doors.shrink(ctx, LOAN, 1, 2)
    vault.do(CAROL, offer(CAROL, vault.savings[CAROL], 299))
    by = call(6, BOB, LOAN, vault.numbers[CAROL])
    assert vault.code(BOB, by) == r.TOO_MUCH
    vault.do(CAROL, call(4, CAROL, LOAN))
    assert vault.code(BOB, by) == r.NO_GUARANTEE
    vault.do(CAROL, offer(CAROL, vault.savings[CAROL], 400))
    assert vault.code(CAROL, call(6, CAROL, LOAN, vault.numbers[BOB])) == r.STATE
    assert vault.do(BOB, by) == (300,)
    assert (vault.locked(BOB), vault.locked(CAROL), vault.memorandum()) == (0, 300, 300)
    with vault.door() as ctx:
        assert doors.shrink(ctx, LOAN, 1, 4) == 150
    check_books(vault)


def test_guarantors_pay_in_parts_by_largest_remainder() -> None:
    vault = Vault()
    for who, amount in ((BOB, 100), (CAROL, 100), (DAN, 101)):
        vault.do(who, offer(who, vault.savings[who], amount))
    vault.bind()
    vault.do(EVE, offer(EVE, vault.savings[EVE], 500))  # after the loan was paid out: nobody calls it
    with vault.door() as ctx:
        assert doors.call(ctx, LOAN, 200, PAID_TO) == 200
    assert [vault.locked(who) for who in (BOB, CAROL, DAN, EVE)] == [33, 34, 34, 500]
    balances = [vault.ask("savings", "account", vault.savings[who]) for who in (BOB, CAROL, DAN)]
    assert [row[10] for row in balances if type(row) is tuple] == [933, 934, 933]
    assert (vault.paid(), vault.memorandum()) == (200, 101)
    with vault.door() as ctx:
        assert doors.call(ctx, LOAN, 500, PAID_TO) == 101
        assert doors.call(ctx, LOAN, 500, PAID_TO) == 0
    assert vault.paid() == 301
    check_books(vault)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 1_000), min_size=3, max_size=3),
    st.lists(st.tuples(st.booleans(), st.integers(0, 1_500)), max_size=4),
)
def test_what_is_locked_is_what_guarantees_hold(amounts: list[int], steps: list[tuple[bool, int]]) -> None:
    vault = Vault()
    people = (BOB, CAROL, DAN)
    for who, amount in zip(people, amounts, strict=True):
        vault.do(who, offer(who, vault.savings[who], amount))
    vault.bind()
    came = 0
    for is_call, number in steps:
        with vault.door() as ctx:
            if is_call:
                came += doors.call(ctx, LOAN, number, PAID_TO)
            else:
                doors.shrink(ctx, LOAN, min(number, 1_000), 1_000)
        held = {n: g.held for n, g in r.list_guarantees(View(vault.state), LOAN)}
        assert [vault.locked(who) for who in people] == [held[vault.numbers[who]] for who in people]
        assert vault.memorandum() == sum(held.values())
    assert vault.paid() == came <= sum(amounts)
    check_books(vault)


# --- collateral


def test_an_asset_is_pledged_valued_topped_up_and_taken_back() -> None:
    vault = Vault()
    assert vault.code(ALICE, call(7, ALICE, LOAN, r.PAPER, 1)) == r.TERMS
    assert vault.code(ALICE, call(7, ALICE, LOAN, COOP, 1)) == r.TERMS
    assert vault.code(BOB, call(7, BOB, LOAN, GOLD, 1)) == r.STANDING
    assert vault.do(ALICE, call(7, ALICE, LOAN, GOLD, 100)) == (1,)
    assert (vault.gold(ALICE), vault.cover()) == (900, 0)
    assert vault.code(ALICE, worth(LOAN, 1, 1_000)) == Code.ROLE
    assert vault.do(VALUER1, worth(LOAN, 1, 1_000)) == (800,)
    assert vault.do(VALUER2, worth(LOAN, 1, 900)) == (720,)
    assert vault.do(ALICE, call(9, ALICE, LOAN, 1, 100)) == (200,)
    assert vault.cover() == 1_440
    vault.bind(1_000)
    assert vault.code(ALICE, call(10, ALICE, LOAN, 1, 62)) == r.COVER
    assert vault.code(ALICE, call(10, ALICE, LOAN, 1, 201)) == r.COVER
    assert vault.do(ALICE, call(10, ALICE, LOAN, 1, 61)) == (139,)
    assert vault.cover() == 1_800 * 139 // 200 * 8 // 10
    assert vault.code(BOB, call(10, BOB, LOAN, 1, 1)) == r.NO_COLLATERAL
    assert vault.code(ALICE, call(10, ALICE, LOAN, 2, 1)) == r.NO_COLLATERAL
    with vault.door() as ctx:
        doors.shrink(ctx, LOAN, 0, 10)
    assert vault.do(ALICE, call(10, ALICE, LOAN, 1, 139)) == (0,)
    assert vault.gold(ALICE) == 1_000
    check_books(vault)


def test_paper_counts_for_the_least_that_was_said_within_a_year() -> None:
    vault = Vault()
    assert vault.do(ALICE, call(8, ALICE, LOAN, HASH)) == (1,)
    assert vault.code(ALICE, call(9, ALICE, LOAN, 1, 1)) == r.TERMS
    vault.do(VALUER1, worth(LOAN, 1, 500))
    vault.run(seconds=DAY)
    vault.do(VALUER2, worth(LOAN, 1, 800))
    assert vault.cover() == 250
    vault.run(seconds=(r.VALUATION_DAYS - 1) * DAY)
    assert vault.cover() == 250
    vault.run(seconds=DAY)
    assert vault.cover() == 400
    rows = vault.ask("security", "collateral", LOAN)
    assert type(rows) is tuple and type(rows[0]) is tuple and rows[0][-1] is None
    assert vault.do(ALICE, call(10, ALICE, LOAN, 1, 1)) == (0,)


def test_a_valuer_does_not_value_his_own_and_pieces_are_few() -> None:
    vault = Vault()
    view = View(vault.state)
    r.put_collateral(view, LOAN, 1, r.Collateral(VALUER1.address, 0, 1, HASH, 0, (), 1, 0, 0, 0, 0, 0))
    vault.state.apply(view.collect_writes())
    assert vault.code(VALUER1, worth(LOAN, 1, 5)) == r.TERMS
    for number in range(2, r.COLLATERAL_MAX + 1):
        assert vault.do(ALICE, call(8, ALICE, LOAN, HASH)) == (number,)
    assert vault.code(ALICE, call(8, ALICE, LOAN, HASH)) == r.TOO_MANY


def test_so_many_valuations_are_kept_and_the_oldest_gives_way() -> None:
    vault = Vault()
    view = View(vault.state)
    known = tuple((person(f"valuer of old {n}").address, 900 + n, 20_454, HASH) for n in range(2))
    r.put_collateral(view, LOAN, 1, r.Collateral(ALICE.address, 0, 1, HASH, 0, known, 1, 0, 0, 0, 0, 0))
    vault.state.apply(view.collect_writes())
    assert len(known) == r.VALUATIONS_MAX - 1
    names = [row[0] for row in known]
    for valuer in (VALUER1, VALUER2):
        vault.do(valuer, worth(LOAN, 1, 500))
        names = [*names, valuer.address][-r.VALUATIONS_MAX :]
        assert [row[0] for row in r.get_collateral(View(vault.state), LOAN, 1).valuations] == names


def test_the_accounts_of_a_loan_are_named_by_the_last_four_bytes_of_its_number() -> None:
    last = r.escrow_key(r.SUB_MAX, COOP)
    assert read_account_key(last)[3] == r.SUB_MAX
    assert r.escrow_key(r.SUB_MAX + 1, COOP) == r.escrow_key(0, COOP) != last


def test_a_margin_call_is_met_by_a_top_up_or_becomes_a_shortage() -> None:
    vault = Vault()
    vault.do(ALICE, call(7, ALICE, LOAN, GOLD, 100))
    vault.do(VALUER1, worth(LOAN, 1, 1_000))
    vault.bind()
    assert vault.case().required == 800
    vault.do(VALUER1, worth(LOAN, 1, 900))  # 720 of 800: 90 %, the margin itself
    assert vault.case().margin_day == 0
    vault.do(VALUER1, worth(LOAN, 1, 898))
    day = vault.case().margin_day
    assert day == int(vault.time) // DAY + r.MARGIN_DAYS
    vault.do(ALICE, call(9, ALICE, LOAN, 1, 1))
    assert vault.case().margin_day == 0
    vault.do(VALUER1, worth(LOAN, 1, 500))
    vault.run(seconds=r.MARGIN_DAYS * DAY)
    with vault.door() as ctx:
        assert not doors.is_short(ctx, LOAN)
    vault.run(seconds=DAY)
    with vault.door() as ctx:
        assert doors.is_short(ctx, LOAN)


def test_guarantees_stay_when_collateral_has_lost_its_worth() -> None:
    vault = Vault()
    vault.do(BOB, offer(BOB, vault.savings[BOB], 400))
    vault.do(CAROL, offer(CAROL, vault.savings[CAROL], 200))
    vault.do(ALICE, call(7, ALICE, LOAN, GOLD, 100))
    vault.do(VALUER1, worth(LOAN, 1, 1_000))
    vault.bind()
    vault.do(VALUER1, worth(LOAN, 1, 500))  # 1,400 -> 1,000; half of the principal needs 700
    with vault.door() as ctx:
        assert doors.shrink(ctx, LOAN, 1, 2) == 300
        assert doors.shrink(ctx, LOAN, 1, 2) == 0
    vault.do(VALUER1, worth(LOAN, 1, 400))
    with vault.door() as ctx:
        assert doors.cover(ctx, LOAN) == 620
        assert doors.shrink(ctx, LOAN, 2, 5) == 60  # spare is 620 - 560
    assert (vault.locked(BOB), vault.locked(CAROL)) == (160, 80)


# --- auctions


def sell(vault: Vault, amount: int) -> int:
    with vault.door() as ctx:
        return doors.auction(ctx, LOAN, amount)


def test_the_price_falls_and_the_first_bid_takes_the_piece() -> None:
    vault = Vault()
    vault.gov((SECURITY, 1, NONE, (5, 10_000, 3, 12_000, 6_000, 3_600, 4)))
    vault.do(ALICE, call(7, ALICE, LOAN, GOLD, 100))
    vault.do(VALUER1, worth(LOAN, 1, 1_000))
    vault.bind()
    bid = call(12, BOB, LOAN, 1, 900)
    assert vault.code(BOB, bid) == r.STATE
    assert sell(vault, 700) == 1
    assert vault.code(ALICE, call(10, ALICE, LOAN, 1, 1)) == r.STATE
    assert vault.code(BOB, bid) == r.PRICE
    vault.run(seconds=7_200)  # 1,200 - 2 * 150
    before, gets = vault.free(BOB), vault.free(ALICE)
    assert vault.do(BOB, bid) == (900,)
    assert (before - vault.free(BOB), vault.free(ALICE) - gets, vault.gold(BOB)) == (900, 200, 100)
    with vault.door() as ctx:
        assert doors.collect(ctx, LOAN, PAID_TO) == 700
        assert doors.collect(ctx, LOAN, PAID_TO) == 0
    assert (vault.paid(), vault.case().owed) == (700, 0)
    assert vault.code(BOB, bid) == r.NO_COLLATERAL
    check_books(vault)


def test_what_nobody_wants_at_the_floor_is_unsold_and_offered_again() -> None:
    vault = Vault()
    vault.gov((SECURITY, 1, NONE, (5, 10_000, 3, 12_000, 6_000, 3_600, 4)))
    vault.do(ALICE, call(7, ALICE, LOAN, GOLD, 100), call(8, ALICE, LOAN, HASH))
    vault.do(VALUER1, worth(LOAN, 1, 1_000))
    assert sell(vault, 2_000) == 1  # nobody has valued the papers
    begins = r.get_collateral(View(vault.state), LOAN, 1).begins
    vault.run(seconds=begins + 5 * 3_600 - 1 - int(vault.time))
    assert vault.ask("security", "collateral", LOAN)[0][-1] == 600  # type: ignore[index]
    vault.run(seconds=2)
    assert vault.code(BOB, call(12, BOB, LOAN, 1, 5_000)) == r.STATE
    assert sell(vault, 2_000) == 1
    assert vault.do(BOB, call(12, BOB, LOAN, 1, 1_200)) == (1_200,)
    assert vault.case().proceeds == 1_200
    assert sell(vault, 0) == 0
    with vault.door() as ctx:
        doors.release(ctx, LOAN)
    check_books(vault)


def test_the_loans_own_asset_needs_no_auction() -> None:
    vault = Vault()
    vault.gov((SECURITY, 2, NONE, (COOP, 0, 0)))
    vault.do(ALICE, call(7, ALICE, LOAN, COOP, 100), call(7, ALICE, LOAN, COOP, 50))
    assert vault.cover() == 150
    before = vault.free(ALICE)
    assert sell(vault, 120) == 0
    with vault.door() as ctx:
        assert doors.collect(ctx, LOAN, PAID_TO) == 120
        doors.drop(ctx, LOAN)
    assert vault.free(ALICE) == before + 30
    check_books(vault)


def test_a_floor_is_below_the_start() -> None:
    vault = Vault()
    outcome = vault.gov_outcome((SECURITY, 1, NONE, (5, 10_000, 3, 5_999, 6_000, 3_600, 4)))
    assert outcome.code == r.TERMS
    vault.gov((SECURITY, 1, NONE, (5, 10_000, 3, 6_000, 6_000, 3_600, 4)))
    assert vault.ask("security", "limits") == (5, 10_000, 3, 6_000, 6_000, 3_600, 4)


def test_invariants_see_what_no_program_may_leave() -> None:
    promise, sound = (invariant.holds for invariant in CONTRACT.invariants)

    def change(new: Any, old: Any = None) -> list[Any]:
        return [(b"", old, new)]

    kept = (1, 1, 1, 100, 60, 40, 2)
    assert promise(change(kept)) and promise(change(None, kept))
    assert not promise(change((1, 1, 1, 100, 61, 40, 2)))
    assert not promise(change((1, 1, 1, 101, 60, 40, 2), kept))
    case = (1, 1, 1, 5, True, 10, 10, False, 0, 5, 5)
    assert sound(change(case)) and sound(change(None, case))
    assert not sound(change((1, 1, 1, 5, True, 11, 10, False, 0, 5, 5)))
    assert not sound(change((1, 1, 1, 5, True, 10, 10, False, 0, 5, 6)))
