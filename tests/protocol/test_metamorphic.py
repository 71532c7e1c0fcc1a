"""Two ways to the same end: a payment in two halves, all amounts a thousand times as large, another order.

*Source*: contracts.md 9, metamorphic. Programs of one block in two orders: `program_histories.py`.
"""

from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import Value
from tests.protocol.contracts.coop_world import BOARD1, SHARES, TREASURY, Coop, check_books
from tests.protocol.contracts.test_shares import create
from tests.protocol.ledger_world import ALICE, ASSETS, BOB, CAROL, COOP, Person, World

PEOPLE = (ALICE, BOB, CAROL)
payments = st.lists(
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from(PEOPLE), st.integers(2, 400)), min_size=1, max_size=8
)


def balances(world: World) -> list[Value]:
    return [world.ask("assets", "balance", who.address, COOP) for who in PEOPLE]


def run(moves: list[tuple[Person, Person, int]], scale: int = 1, split: bool = False) -> list[Any]:
    world = World()
    for who in PEOPLE:
        for _ in range(scale):
            world.ok(world.cash_in(who, 1_000))
    codes = []
    for source, target, amount in moves:
        parts = (amount // 2, amount - amount // 2) if split else (amount * scale,)
        calls = [(ASSETS, 7, 0, (source.address, target.address, COOP, part, None)) for part in parts]
        codes.append(world.run(world.tx(*calls, actors=(source,))).receipts[0].code)
    return [codes, balances(world), world.ask("ledger", "totals", COOP)]


@settings(max_examples=25)
@given(payments)
def test_a_payment_in_two_halves_of_one_program_is_the_same_payment(moves: list[Any]) -> None:
    assert run(moves) == run(moves, split=True)


@settings(max_examples=15)
@given(payments)
def test_amounts_three_times_as_large_end_three_times_as_large(moves: list[Any]) -> None:
    (codes, small, _), (same, large, _) = run(moves), run(moves, scale=3)
    assert codes == same
    assert large == [tuple(3 * n for n in row) for row in small]


def founded() -> Coop:
    coop = Coop()
    for who in PEOPLE:
        coop.join(who, 1_000)
    coop.gov(create(minimum=0))
    coop.do(BOARD1, (TREASURY, 1, 0, ("House", "", COOP, False)))
    return coop


@pytest.mark.parametrize("parts", [(90,), (45, 45), (1, 89), (30, 30, 30)])
def test_shares_by_instalments_are_those_of_one_payment(parts: tuple[int, ...]) -> None:
    coop = founded()
    for part in parts:
        coop.do(ALICE, (SHARES, 4, 0, (ALICE.address, 1, part)))
    holding: Any = coop.ask("shares", "holdings", 1)
    once = founded()
    once.do(ALICE, (SHARES, 4, 0, (ALICE.address, 1, 90)))
    assert holding == once.ask("shares", "holdings", 1)
    assert coop.free(ALICE) == once.free(ALICE) == 910
    check_books(coop)


def test_contributions_of_three_members_commute() -> None:
    ends = []
    for order in permutations(((ALICE, 10), (BOB, 20), (CAROL, 300))):
        coop = founded()
        for who, amount in order:
            coop.do(who, (TREASURY, 3, 0, (who.address, 1, amount)))
        ends.append((balances(coop), coop.ask("treasury", "fund", 1), coop.ask("ledger", "totals", COOP)))
    assert all(one == other for one, other in pairwise(ends))
