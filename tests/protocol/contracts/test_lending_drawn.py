"""lending, over products drawn at random: whatever a product says, its sums are those of its loans after each
block, two payments of a day are one, a payment that is reversed never was, and who pays earlier is not scored
lower for it."""

from random import Random
from typing import Any

import pytest

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
PAIRS = 60


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
        terms_hash, annual_ppm = self.terms(loan)  # some cost more a year than a rate says
        self._count("lend", self.code(who, call(8, who.address, loan, terms_hash, annual_ppm or 0)))

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


def lend_twice(random: Random, **fixed: Any) -> tuple[Lender, Lender]:
    """Return two co-ops with a drawn product, of which Alice has borrowed in both."""
    terms = draw_product(random, by_score=False, floor_bp=0, rows_max=random.choice((3, 6, 12)), **fixed)
    if terms["period_unit"] == PeriodUnit.DAYS:
        terms |= {"fee_flat": 0, "fee_bp": 0}  # else some cost more a year than a rate says
    banks = Lender(**terms), Lender(**terms)
    for bank in banks:
        assert bank.borrow(ALICE, 120_000, terms["rows_max"]) == 1
    return banks


def draw_steps(random: Random) -> list[tuple[int, int]]:
    """Draw (days to wait, amount to pay) of a few payments."""
    return [(random.randint(0, 45), random.randint(3, 40_000)) for _ in range(random.randint(1, 5))]


def is_open(*banks: Lender) -> bool:
    return all(bank.loan(1).status == l.ACTIVE for bank in banks)


def show_today(bank: Lender) -> dict[str, Any]:
    """Return how a loan stands today, but for how often it was paid and told of."""
    names = ("days_late", "due", "payoff", *[field.name for field in l.STATE_FIELDS])
    found = dict(zip(names, bank.now(1), strict=True))
    return {name: value for name, value in found.items() if name not in ("events", "notices", "next_day")}


def compare(bank: Lender, other: Lender) -> None:
    """Check that a loan stands in both as if one history were the other.

    What was paid early is in no row, and what pays a loan off is in its last: so the rows of a loan that is
    over say in how many payments it was paid off, and so does the record of its borrower.
    """
    assert show_today(bank) == show_today(other)
    assert bank.books() == other.books()
    if not is_open(bank):
        return
    assert bank.rows_of(1) == other.rows_of(1)
    member = bank.numbers[ALICE]
    facts = [collect_facts(View(world.state), member, world.day) for world in (bank, other)]
    assert facts[0] == facts[1]


def pay_in_two(random: Random) -> bool:
    """Pay at once, and the same in two; False: the loan was over with the first of them."""
    whole, split = lend_twice(random)
    for days, amount in draw_steps(random):
        for world in (whole, split):
            world.run(seconds=days * DAY + 1)
        whole.pay(BOB, 1, amount)
        whole.run()
        split.pay(BOB, 1, amount - amount // 3)
        if not is_open(split):
            return False
        split.pay(BOB, 1, amount // 3)
        compare(whole, split)
        if not is_open(whole):
            break
    check_lending(whole)
    return True


def test_two_payments_of_a_day_are_one_whatever_a_product_says() -> None:
    assert sum(pay_in_two(Random(seed)) for seed in range(PAIRS)) > PAIRS // 2


def reverse_one(random: Random) -> bool:
    """Reverse a payment that another history never had; False: the loan was over before."""
    bank, other = lend_twice(random)
    steps = draw_steps(random)
    at, amount = random.randrange(len(steps)), random.randint(1, 40_000)
    for n, (days, paid) in enumerate(steps):
        for world in (bank, other):
            world.run(seconds=days * DAY + 1)
        if n == at and is_open(bank, other):
            bank.pay(BOB, 1, amount)
            other.run()
        if not is_open(bank, other):
            return False
        if n != at or random.random() < 0.5:
            for world in (bank, other):
                world.pay(ALICE, 1, paid)
    before = bank.free(BOB)
    events = [row[0] for row in bank.ask("lending", "events", 1, 0) if row[4] == BOB.address]  # type: ignore[union-attr, index]
    bank.do(OFFICER, call(14, 1, events[0]))
    other.run()
    assert bank.free(BOB) == before + amount
    if not is_open(bank, other):
        return False
    assert show_today(bank) == show_today(other) and bank.rows_of(1) == other.rows_of(1)
    for world in (bank, other):  # so that the books of both have seen it today
        world.pay(BOB, 1, 1)
    compare(bank, other)
    check_lending(bank)
    return True


def test_a_reversed_payment_never_was_whatever_a_product_says() -> None:
    assert sum(reverse_one(Random(seed)) for seed in range(PAIRS)) > PAIRS // 2


def pay_earlier(random: Random) -> tuple[int, int]:
    """Pay each of the first rows so many days late, or some of these days earlier; returns both scores."""
    fixed = {"period_unit": int(PeriodUnit.MONTHS), "every": 1, "penalty_flat": 0, "penalty_ppm": 0}
    early, late = lend_twice(random, early_rule=int(FutureRule.NEXT), **fixed)
    paid = []
    for row in late.rows_of(1)[:3]:
        days = random.randint(0, 70)
        paid.append((row[0] + random.randint(0, days), row[0] + days, row[1] + row[2]))
    for day in range(late.day, paid[-1][1] + 5):
        for place, world in enumerate((early, late)):
            world.run(seconds=(day - world.day) * DAY + 1)
            for row in paid:
                if row[2] and row[place] == day:
                    world.pay(ALICE, 1, row[2])
    scores = [compute_for(View(bank.state), bank.numbers[ALICE], bank.day).score for bank in (early, late)]
    return scores[0], scores[1]


def test_who_pays_earlier_is_never_scored_lower_whatever_a_product_says() -> None:
    found = [pay_earlier(Random(seed)) for seed in range(PAIRS // 2)]
    assert all(early >= late for early, late in found), found
    assert sum(early > late for early, late in found) > PAIRS // 4
