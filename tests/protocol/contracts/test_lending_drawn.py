"""lending, over products drawn at random: whatever a product says, its sums are those of its loans after each
block, two payments of a day are one, a payment that is reversed never was, and who pays earlier is not scored
lower for it."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocol.contracts.credit.doors import collect_facts, compute_for
from protocol.contracts.lending import records as l
from protocol.contracts.lending.product import get_product
from protocol.finance.allocation import FutureRule
from protocol.finance.schedule import PeriodUnit
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import BOARD1, DAY, HASH, TREASURY, check_books
from tests.protocol.contracts.test_lending import (
    COMMITTEE1,
    COMMITTEE2,
    OFFICER,
    Lender,
    call,
    check_lending,
    check_sums,
    product,
)
from tests.protocol.contracts.test_lending_enforcement import Strict
from tests.protocol.contracts.test_security import call as secure
from tests.protocol.contracts.test_security import offer
from tests.protocol.drawn_products import draw_product
from tests.protocol.ledger_world import ALICE, BOB, CAROL, COOP, Person

ACTIONS = ("pay", "pay", "pay", "due", "due", "refund", "reverse", "waive", "plan", "ask", "recover")
PRODUCTS = (2, 3, 4)
STEPS = 50
SEEDS = 10
DATE = st.integers(0, (1 << 32) - 1)


class Drawn(Strict):
    """A co-op that lends by three drawn products, whose sums are checked after every block."""

    def __init__(self, random: Random) -> None:
        self.is_ready = False
        super().__init__()
        self.random = random
        self.done: dict[str, int] = {}
        self.do(BOARD1, (TREASURY, 1, 0, ("Losses", "", COOP, True)))
        self.do(BOB, (TREASURY, 3, 0, (BOB.address, 1, 60_000)))
        for _ in PRODUCTS:
            self.gov(product(**self._draw()))
        self.is_ready = True

    def _draw(self) -> dict[str, Any]:
        random = self.random
        lateness = {
            "enforce_days": random.choice((0, 30)),
            "charge_off_days": random.choice((90, 366)),
            "cap_bp": random.choice((0, 10_000)),
            "fund": random.choice((0, 1)),
            "principal_max": 400_000,
            "forgive_max": 20,
        }
        return draw_product(random, **lateness)

    def keep(self, *executed: Any) -> None:
        super().keep(*executed)
        if self.is_ready:
            for number in PRODUCTS:
                check_sums(self, number)

    def act(self) -> None:
        """Do one thing that somebody could do; most of them succeed."""
        random = self.random
        who, officer = random.choice((ALICE, BOB, CAROL)), random.choice((OFFICER, COMMITTEE1))
        action = random.choice(ACTIONS)
        if action == "ask" or not self.count_loans():
            return self._lend(who, random.choice(PRODUCTS))
        loan, amount = random.randint(1, self.count_loans()), random.choice((1, 700, 9_000, 40_000, 300_000))
        made = {
            "pay": (who, call(10, who.address, loan, amount)),
            "due": (who, call(11, who.address, loan, 1 << 40)),
            "refund": (who, call(12, who.address, loan)),
            "waive": (officer, call(13, loan, random.random() < 0.5, random.choice((1, 20)))),
            "reverse": (officer, call(14, loan, random.randint(1, 4))),
            "recover": (who, call(15, who.address, loan, amount)),
            "plan": (who, call(17, who.address, loan, random.randint(1, 12))),
        }
        person, chosen = made[action]
        self._count(action, self.code(person, chosen))
        if action == "plan":
            self._count("reschedule", self.code(COMMITTEE1, call(18, loan)))

    def _lend(self, who: Person, number: int) -> None:
        terms = get_product(View(self.state), number)
        rows = self.random.randint(terms.rows_min, terms.rows_max)
        asked = call(3, who.address, number, self.random.randint(2_000, 400_000), rows, 1 << 40, "Roof")
        if self.code(who, asked):
            return
        loan = self.count_loans()
        if self.random.random() < 0.5 and who is not CAROL:
            self.code(CAROL, offer(CAROL, self.savings[CAROL], self.random.randint(1, 9_000), loan))
        if self.random.random() < 0.3:
            self.code(who, secure(8, who, loan, HASH))
        if self.code(who, call(4, loan)):
            self.code(COMMITTEE1, call(5, loan))
            self.code(COMMITTEE2, call(5, loan))
        self._count("lend", self.code(who, call(8, who.address, loan, *self.terms(loan))))

    def count_loans(self) -> int:
        counted = l.COUNTER.get(View(self.state), l.COUNTER.key())
        return 0 if counted is None else counted[2]

    def _count(self, action: str, code: int) -> None:
        self.done[action] = self.done.get(action, 0) + (code == 0)


def run_history(seed: int, steps: int) -> dict[str, int]:
    """Let three members borrow, pay and forget for so many steps; returns what was done how often."""
    bank = Drawn(Random(seed))
    for _ in range(steps):
        bank.act()
        for _ in range(bank.random.choice((0, 0, 1, 3))):
            bank.run(seconds=bank.random.choice((1, 5, 16)) * DAY)
    check_books(bank)
    return bank.done


def test_sums_are_those_of_the_loans_after_every_block_whatever_a_product_says() -> None:
    done: dict[str, int] = {}
    for seed in range(SEEDS):
        for action, count in run_history(seed, STEPS).items():
            done[action] = done.get(action, 0) + count
    assert all(done.get(action) for action in ("lend", "pay", "due", "refund", "reverse")), done


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(8))
def test_sums_over_many_histories(part: int) -> None:
    for seed in range(100 + 25 * part, 125 + 25 * part):
        run_history(seed, 3 * STEPS)


# --- two histories of one loan


def lend_twice(seed: int, **fixed: Any) -> tuple[Lender, Lender]:
    """Return two co-ops with a drawn product, of which Alice has borrowed in both."""
    random = Random(seed)
    terms = draw_product(random, by_score=False, floor_bp=0, rows_max=random.choice((3, 6, 12)), **fixed)
    banks = Lender(**terms), Lender(**terms)
    for bank in banks:
        assert bank.borrow(ALICE, 120_000, terms["rows_max"]) == 1
    return banks


def compare(bank: Lender, other: Lender) -> None:
    """Check that a loan stands in both as if one history were the other."""
    mine, theirs = (replace(world.stored(1), events=0, notices=0) for world in (bank, other))
    assert mine == theirs
    assert bank.rows_of(1) == other.rows_of(1)
    assert bank.books() == other.books()
    member = bank.numbers[ALICE]
    facts = [collect_facts(View(world.state), member, world.day) for world in (bank, other)]
    assert facts[0] == facts[1]


@settings(max_examples=12, deadline=None)
@given(DATE, st.lists(st.tuples(st.integers(0, 45), st.integers(3, 40_000)), min_size=1, max_size=5))
def test_two_payments_of_a_day_are_one_whatever_a_product_says(
    seed: int, steps: list[tuple[int, int]]
) -> None:
    whole, split = lend_twice(seed)
    for days, amount in steps:
        for world in (whole, split):
            world.run(seconds=days * DAY + 1)
        if whole.loan(1).status != l.ACTIVE:
            break
        whole.pay(BOB, 1, amount)
        whole.run()
        split.pay(BOB, 1, amount - amount // 3)
        if split.loan(1).status != l.ACTIVE:
            break  # the rest has nothing to pay any more
        split.pay(BOB, 1, amount // 3)
        compare(whole, split)
    check_lending(whole)


@settings(max_examples=12, deadline=None)
@given(
    DATE,
    st.lists(st.tuples(st.integers(0, 45), st.integers(1, 30_000)), min_size=1, max_size=5),
    st.integers(0, 4),
    st.integers(1, 40_000),
)
def test_a_reversed_payment_never_was_whatever_a_product_says(
    seed: int, steps: list[tuple[int, int]], at: int, amount: int
) -> None:
    bank, other = lend_twice(seed)
    at = min(at, len(steps) - 1)
    for n, (days, paid) in enumerate(steps):
        for world in (bank, other):
            world.run(seconds=days * DAY + 1)
        if n == at:
            assume(bank.loan(1).status == l.ACTIVE)
            bank.pay(BOB, 1, amount)
            other.run()
        assume(bank.loan(1).status == other.loan(1).status == l.ACTIVE)
        for world in (bank, other):
            world.pay(ALICE, 1, paid)
    before = bank.free(BOB)
    bank.do(OFFICER, call(14, 1, at + 1))
    other.run()
    assert bank.free(BOB) == before + amount
    assume(bank.loan(1).status == other.loan(1).status == l.ACTIVE)
    for world in (bank, other):  # so that both were looked at today
        world.pay(BOB, 1, 1)
    compare(bank, other)
    check_lending(bank)


@settings(max_examples=8, deadline=None)
@given(DATE, st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70)), min_size=3, max_size=3))
def test_who_pays_earlier_is_never_scored_lower_whatever_a_product_says(
    seed: int, delays: list[tuple[int, int]]
) -> None:
    """Each row is paid with its own amount so many days after it fell due, or some of these days earlier."""
    fixed = {"period_unit": int(PeriodUnit.MONTHS), "every": 1, "penalty_flat": 0, "penalty_ppm": 0}
    early, late = lend_twice(seed, early_rule=int(FutureRule.NEXT), **fixed)
    paid = [(row[0], row[1] + row[2], *days) for row, days in zip(late.rows_of(1), delays, strict=False)]
    for day in range(late.day, paid[-1][0] + 75):
        for world, is_early in ((early, True), (late, False)):
            world.run(seconds=(day - world.day) * DAY + 1)
            for due, amount, days, less in paid:
                if amount and day == due + days - min(days, less) * is_early:
                    world.pay(ALICE, 1, amount)
    scores = [compute_for(View(bank.state), bank.numbers[ALICE], bank.day).score for bank in (early, late)]
    assert scores[0] >= scores[1]
