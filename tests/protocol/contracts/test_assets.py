"""assets: creation, cashiers with their limits and second pair of eyes, cash out, transfers, queries."""

import pytest

from protocol.chain.transaction import SignedTransaction
from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.assets import records as assets
from protocol.contracts.ledger import accounts as ledger
from protocol.errors import Code, Rejected
from protocol.params import (
    AMOUNT_MAX,
    ARGUMENT_LIST_ITEMS_MAX,
    ASSET_DECIMALS_MAX,
    CASH_CONFIRM_SECONDS,
    MEMO_BYTES_MAX,
    QUERY_ITEMS_MAX,
    SYMBOL_CHARS_MAX,
)
from tests.protocol.ledger_world import (
    ALICE,
    ASSETS,
    AUTH,
    BOB,
    COOP,
    NONE,
    STRANGER,
    TILL,
    TILL2,
    Person,
    World,
    create_asset,
    founding,
    person,
    program,
)

EYES = 1_000_000
"""Four-eyes limit of both cashiers of the world."""


@pytest.fixture
def world() -> World:
    made = World()
    made.ok(made.cash_in(ALICE, 1_000))
    return made


def balance(world: World, who: Person, asset: int = COOP) -> Value:
    return world.ask("assets", "balance", who.address, asset)


def by_till(world: World, *calls: Value, cashier: Person = TILL) -> SignedTransaction:
    return world.tx(*calls, actors=(cashier,))


def cash_in(
    amount: int, ref: bytes, member: Person = ALICE, cashier: Person = TILL, asset: int = COOP
) -> Value:
    return (ASSETS, 4, 0, (cashier.address, member.address, asset, amount, ref))


def set_cashier(cashier: Person, float_limit: int, daily_limit: int, four_eyes: int) -> Value:
    return program((ASSETS, 3, NONE, (cashier.address, COOP, float_limit, daily_limit, four_eyes)))


def founding_code(*programs: Value) -> int:
    with pytest.raises(Rejected) as failure:
        World((*founding(), *programs))
    return failure.value.code


# --- assets


@pytest.mark.parametrize("symbol", ["", "coop", "CO OP", "CO-OP", "\u0410BC"])
def test_symbol_form(symbol: str) -> None:
    assert founding_code(create_asset(symbol)) == assets.SYMBOL_FORM


def test_symbol_at_the_limit_and_one_beyond() -> None:
    longest = "A1" * (SYMBOL_CHARS_MAX // 2)
    world = World((*founding(), create_asset(longest)))
    found = world.ask("assets", "by_symbol", longest)
    assert type(found) is tuple and found[:2] == (2, longest)
    assert founding_code(create_asset(longest + "A")) == Code.TYPE


def test_symbol_is_unique() -> None:
    assert founding_code(create_asset("COOP")) == assets.SYMBOL_TAKEN
    World((*founding(), create_asset("COO"), create_asset("COOPS")))


def test_decimals_at_the_limit_and_one_beyond() -> None:
    def made(decimals: int) -> Value:
        return program((ASSETS, 1, NONE, ("X", "", decimals, 1, 1)))

    World((*founding(), made(ASSET_DECIMALS_MAX)))
    assert founding_code(made(ASSET_DECIMALS_MAX + 1)) == Code.TYPE


def test_creation_needs_gov(world: World) -> None:
    receipt = world.failed(world.tx((ASSETS, 1, 0, ("X", "", 2, 1, 1))))
    assert receipt.code == Code.ROLE


def test_paused_asset_moves_no_more() -> None:
    world = World((*founding(), program((ASSETS, 2, NONE, (COOP, 2)))))
    assert world.failed(world.cash_in(ALICE, 5)).code == assets.ASSET_PAUSED
    assert world.failed(world.pay(ALICE, BOB, 5)).code == assets.ASSET_PAUSED


def test_unknown_asset(world: World) -> None:
    call = (ASSETS, 7, 0, (ALICE.address, BOB.address, 9, 1, None))
    assert world.failed(world.tx(call)).code == Code.ASSET
    assert founding_code(program((ASSETS, 2, NONE, (9, 1)))) == Code.ASSET


# --- cash in


def test_cash_in_opens_the_member_and_counts_what_is_issued(world: World) -> None:
    (receipt,) = world.ok(world.cash_in(STRANGER, 7))
    assert receipt.results == (0,)
    assert receipt.events[-1].fields == (TILL.address, STRANGER.address, COOP, 7)
    assert world.ask("auth", "account", STRANGER.address) is not None
    asset = world.ask("assets", "asset", COOP)
    assert type(asset) is tuple and asset[-1] == 1_007
    cashier = world.ask("assets", "cashier", TILL.address, COOP)
    assert type(cashier) is tuple and cashier[4:] == (1_007, 1_007)
    totals = world.ask("ledger", "totals", COOP)
    assert totals == ((COOP, 1020, 0, 1_007, 0, 0, 0, 0), (COOP, 2010, 0, 0, 0, 1_007, 0, 0))


def test_reference_is_used_once(world: World) -> None:
    world.ok(by_till(world, cash_in(1, b"r")))
    assert world.failed(by_till(world, cash_in(1, b"r"))).code == assets.REF_USED
    world.ok(by_till(world, cash_in(1, b"r", cashier=TILL2), cashier=TILL2))


def test_only_cashiers_take_cash(world: World) -> None:
    call = cash_in(1, b"r", cashier=ALICE)
    assert world.failed(world.tx(call)).code == Code.ROLE
    assert world.failed(by_till(world, call)).code == Code.POLICY_UNMET
    retired = World((*founding(), set_cashier(TILL, 0, 1, 1)))
    assert retired.failed(retired.cash_in(ALICE, 1)).code == Code.ROLE


def test_daily_limit_at_the_limit_and_one_beyond() -> None:
    world = World((*founding(), set_cashier(TILL, AMOUNT_MAX, 100, AMOUNT_MAX)))
    world.ok(world.cash_in(ALICE, 60), world.cash_in(ALICE, 40))
    assert world.failed(world.cash_in(ALICE, 1)).code == assets.DAILY_LIMIT
    world.run(seconds=86_400)
    world.ok(world.cash_in(ALICE, 100))


def test_float_limit_at_the_limit_and_one_beyond() -> None:
    world = World((*founding(), set_cashier(TILL, 100, AMOUNT_MAX, AMOUNT_MAX)))
    world.ok(world.cash_in(ALICE, 100))
    receipt = world.failed(world.cash_in(ALICE, 1))
    assert receipt.code == assets.FLOAT_LIMIT and receipt.reason is not None and receipt.reason.limit == 0


def test_supply_cap_at_the_limit_and_one_beyond() -> None:
    world = World((create_asset(cap=100), *founding()[1:]))
    world.ok(world.cash_in(ALICE, 100))
    assert world.failed(world.cash_in(ALICE, 1)).code == assets.SUPPLY_CAP


# --- four eyes


def confirm(world: World, hold: int, who: Person) -> SignedTransaction:
    return world.tx((ASSETS, 6, 0, (hold,)), actors=(who,))


def test_large_cash_in_waits_for_a_second_cashier(world: World) -> None:
    world.ok(world.cash_in(BOB, EYES))
    (receipt,) = world.ok(world.cash_in(BOB, EYES + 1))
    assert receipt.results == (1,)
    assert balance(world, BOB) == (EYES, EYES, 0, EYES + 1)
    assert world.failed(confirm(world, 1, TILL)).code == assets.SECOND_CASHIER
    assert world.failed(confirm(world, 1, ALICE)).code == Code.ROLE
    (receipt,) = world.ok(confirm(world, 1, TILL2))
    assert receipt.results == (EYES + 1,)
    assert balance(world, BOB) == (2 * EYES + 1, 2 * EYES + 1, 0, 0)
    assert world.failed(confirm(world, 1, TILL2)).code == Code.HOLD_STATE
    assert world.failed(confirm(world, 9, TILL2)).code == Code.HOLD_STATE


def test_confirmation_checks_the_cap_again() -> None:
    world = World((create_asset(cap=2 * EYES), *founding()[1:]))
    world.ok(world.cash_in(BOB, EYES + 1), world.cash_in(ALICE, EYES))
    assert world.failed(confirm(world, 1, TILL2)).code == assets.SUPPLY_CAP


def test_unconfirmed_cash_in_goes_back_in_its_last_second(world: World) -> None:
    world.ok(world.cash_in(BOB, EYES + 1))
    world.run(seconds=CASH_CONFIRM_SECONDS - 1)
    assert balance(world, BOB) == (0, 0, 0, EYES + 1)
    assert world.failed(confirm(world, 1, TILL2)).code == Code.HOLD_STATE  # its time came with this block
    assert balance(world, BOB) == (0, 0, 0, 0)


# --- cash out


def cash_out(world: World, amount: int, cashier: Person = TILL) -> SignedTransaction:
    return world.tx((ASSETS, 5, 0, (ALICE.address, cashier.address, COOP, amount, b"out")))


def test_cash_out_reserves_and_pays_when_the_cashier_confirms(world: World) -> None:
    (receipt,) = world.ok(cash_out(world, 400))
    assert receipt.results == (1,)
    assert balance(world, ALICE) == (1_000, 600, 400, 0)
    assert world.failed(world.pay(ALICE, BOB, 601)).code == Code.FUNDS
    assert world.failed(confirm(world, 1, TILL2)).code == Code.ROLE
    world.ok(confirm(world, 1, TILL))
    assert balance(world, ALICE) == (600, 600, 0, 0)
    asset = world.ask("assets", "asset", COOP)
    assert type(asset) is tuple and asset[-1] == 600


def test_cash_out_by_silence_costs_nothing(world: World) -> None:
    world.ok(cash_out(world, 400))
    world.run(seconds=CASH_CONFIRM_SECONDS)
    assert balance(world, ALICE) == (1_000, 1_000, 0, 0)


def test_cash_out_limits(world: World) -> None:
    assert world.failed(cash_out(world, 1_001)).code == Code.FUNDS
    assert world.failed(cash_out(world, 1, cashier=BOB)).code == Code.ROLE
    assert world.failed(cash_out(world, 1, cashier=TILL2)).code == Code.EXCEEDS_DEBITS  # an empty till


# --- transfers


def test_transfer_says_what_it_did(world: World) -> None:
    memo = b"m" * MEMO_BYTES_MAX
    (receipt,) = world.ok(world.tx((ASSETS, 7, 0, (ALICE.address, BOB.address, COOP, 5, memo))))
    assert [(e.contract, e.event) for e in receipt.events] == [(ASSETS, 6)]
    assert receipt.events[0].fields == (ALICE.address, BOB.address, COOP, 5, memo)
    too_long = world.tx((ASSETS, 7, 0, (ALICE.address, BOB.address, COOP, 5, memo + b"m")))
    with pytest.raises(Rejected) as failure:
        world.run(too_long)
    assert failure.value.code == Code.TYPE


def test_all_and_one_more_than_all(world: World) -> None:
    assert world.failed(world.pay(ALICE, BOB, 1_001)).code == Code.FUNDS
    world.ok(world.pay(ALICE, BOB, 1_000))
    assert balance(world, ALICE) == (0, 0, 0, 0)


def test_transfer_to_oneself_to_nobody_and_of_others_money(world: World) -> None:
    assert world.failed(world.pay(ALICE, ALICE, 1)).code == Code.SAME_ACCOUNT
    assert world.failed(world.pay(ALICE, STRANGER, 1)).code == Code.NO_ACCOUNT
    theft = world.tx((ASSETS, 7, 0, (ALICE.address, BOB.address, COOP, 1, None)), actors=(BOB,))
    assert world.failed(theft).code == Code.POLICY_UNMET
    unsigned = world.tx((ASSETS, 7, NONE, (ALICE.address, BOB.address, COOP, 1, None)))
    assert world.failed(unsigned).code == Code.POLICY_UNMET


def test_payer_without_an_account_in_the_asset() -> None:
    world = World((*founding(), create_asset("OTHER")))
    call = (ASSETS, 7, 0, (ALICE.address, BOB.address, 2, 1, None))
    assert world.failed(world.tx(call)).code == Code.NO_ACCOUNT


def pay_many(*payments: tuple[Person, int]) -> Value:
    return (ASSETS, 8, 0, (ALICE.address, COOP, (0, *[(0, p.address, n) for p, n in payments])))


def test_transfer_many_is_all_or_none(world: World) -> None:
    (receipt,) = world.ok(world.tx(pay_many((BOB, 10), (TILL, 20), (BOB, 30))))
    assert receipt.results == (60,) and len(receipt.events) == 3
    assert balance(world, BOB) == (40, 40, 0, 0)
    assert world.failed(world.tx(pay_many((BOB, 10), (TILL, 931)))).code == Code.FUNDS
    assert balance(world, BOB) == (40, 40, 0, 0)


def test_transfer_many_at_the_limit_and_one_beyond() -> None:
    people = [person(f"crowd{n}") for n in range(ARGUMENT_LIST_ITEMS_MAX)]
    opens = [
        program(*[(AUTH, 1, NONE, (p.address,)) for p in people[n : n + 64]]) for n in range(0, 1_024, 64)
    ]
    world = World((*founding(), program((AUTH, 6, NONE, (COOP, 0))), *opens))
    world.ok(world.cash_in(ALICE, 5_000))
    payments = [(p, 1) for p in people]
    (receipt,) = world.ok(world.tx(pay_many(*payments), gas=2_000_000))
    assert receipt.results == (ARGUMENT_LIST_ITEMS_MAX,)
    for wrong in ([*payments, (BOB, 1)], []):
        with pytest.raises(Rejected):
            world.run(world.tx(pay_many(*wrong), gas=2_000_000))


def test_frozen_account(world: World) -> None:
    name = (0, ALICE.address, ledger.MEMBER_FREE, COOP, 0)
    freeze = program((1, 1, NONE, (name, None)), (1, 6, NONE, (name, ledger.FROZEN_OUT)))
    world = World((*founding(), freeze))
    world.ok(world.cash_in(ALICE, 100))
    assert world.failed(world.pay(ALICE, BOB, 1)).code == Code.FROZEN


# --- queries


def test_lists(world: World) -> None:
    listed = world.ask("assets", "assets", 0)
    assert listed == (world.ask("assets", "asset", COOP),)
    assert world.ask("assets", "assets", COOP) == () == world.ask("assets", "assets", (1 << 32) - 1)
    assert world.ask("assets", "balances", ALICE.address) == ((COOP, 1_000, 1_000, 0, 0),)
    assert world.ask("assets", "balances", STRANGER.address) == ()
    assert world.ask("assets", "by_symbol", "NONE") is None
    assert world.ask("assets", "asset", 9) is None
    assert world.ask("assets", "cashier", ALICE.address, COOP) is None
    assert world.ask("assets", "by_symbol", "\u00c4") is None


def test_lists_are_bounded() -> None:
    many = [create_asset(f"A{n}") for n in range(QUERY_ITEMS_MAX + 1)]
    world = World((*founding(), *many))
    first = world.ask("assets", "assets", 0)
    assert type(first) is tuple and len(first) == QUERY_ITEMS_MAX
    last = first[-1]
    assert type(last) is tuple
    rest = world.ask("assets", "assets", last[0])
    assert type(rest) is tuple and len(rest) == 2
    names = [(0, ALICE.address, ledger.MEMBER_FREE, n + 1, 0) for n in range(QUERY_ITEMS_MAX + 1)]
    opened = [program((1, 1, NONE, (name, None))) for name in names]
    world = World((*founding(), *opened))
    for contract, query in (("assets", "balances"), ("ledger", "accounts")):
        answer = world.ask(contract, query, ALICE.address)
        assert type(answer) is tuple and len(answer) == QUERY_ITEMS_MAX
    assert auth.ID == AUTH
