"""assets beyond cash and transfers: custodians and their attestations, escrow, orders of freezing."""

from typing import Any

import pytest

from protocol.codec import Value
from protocol.contracts.assets import records as assets
from protocol.contracts.assets.orders import LIFT_METHOD
from protocol.contracts.ledger.accounts import (
    COMPLIANCE,
    FROZEN_BY_ORDER,
    FROZEN_OUT,
    account_key,
    get_account,
)
from protocol.errors import Code
from protocol.params import HOLD_SECONDS_MAX
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import Coop
from tests.protocol.ledger_world import (
    ALICE,
    ASSETS,
    AUTH,
    BOB,
    CAROL,
    COOP,
    NONE,
    STRANGER,
    TILL,
    Person,
    World,
    founding,
    person,
    program,
)

BANK, OTHER_BANK, AUDITOR, OFFICER = (person(name) for name in ("bank", "other bank", "auditor", "officer"))
PAPER, PAPER2 = bytes(32), bytes(range(32))
DAY = 86_400


@pytest.fixture
def world() -> World:
    made = World(
        (
            *founding(),
            program(
                (ASSETS, 9, NONE, (BANK.address, COOP, 10)),
                (AUTH, 4, NONE, (AUDITOR.address, assets.AUDITOR)),
                (AUTH, 4, NONE, (OFFICER.address, COMPLIANCE)),
                (AUTH, 1, NONE, (AUDITOR.address,)),
                (AUTH, 1, NONE, (OFFICER.address,)),
            ),
        )
    )
    made.ok(made.cash_in(ALICE, 1_000))
    return made


def refused(world: World, who: Person, code: int, *call: Any, rule: str = "") -> None:
    receipt = world.failed(world.tx((ASSETS, call[0], 0, call[1]), actors=(who,)))
    assert receipt.code == code
    assert not rule or (receipt.reason is not None and receipt.reason.rule == rule)


def done(world: World, who: Person, method: int, *arguments: Value, seconds: int = 1) -> Value:
    (receipt,) = world.ok(world.tx((ASSETS, method, 0, arguments), actors=(who,)), seconds=seconds)
    return receipt.results[0]


def status(world: World) -> Value:
    row = world.ask("assets", "asset", COOP)
    assert type(row) is tuple
    return row[6]


def balance(world: World, who: Person) -> Value:
    row = world.ask("assets", "balance", who.address, COOP)
    assert type(row) is tuple
    return row[:2]


def settle(world: World, amount: int = 600, ref: bytes = b"s1") -> None:
    assert done(world, BANK, 10, BANK.address, TILL.address, COOP, amount, ref) == amount


# --- custody


def test_cash_goes_to_the_custodian_and_comes_back(world: World) -> None:
    settle(world)
    ((_, tolerance, _, _, _, _, _, books),) = world.ask("assets", "custodians", COOP)  # type: ignore[misc]
    assert (tolerance, books) == (10, 600)
    assert done(world, TILL, 11, TILL.address, BANK.address, COOP, 100, b"d1") == 100
    cashier = world.ask("assets", "cashier", TILL.address, COOP)
    assert type(cashier) is tuple and cashier[-1] == 500
    assert world.ask("assets", "custodians", COOP)[0][-1] == 500  # type: ignore[index]


def test_a_custodian_cannot_receive_what_no_cashier_has(world: World) -> None:
    refused(world, BANK, Code.EXCEEDS_DEBITS, 10, (BANK.address, TILL.address, COOP, 1_001, b"s"))
    refused(world, TILL, Code.EXCEEDS_DEBITS, 11, (TILL.address, BANK.address, COOP, 1, b"d"))


def test_a_reference_counts_once_and_only_custodians_receive(world: World) -> None:
    settle(world)
    refused(world, BANK, assets.REF_USED, 10, (BANK.address, TILL.address, COOP, 1, b"s1"))
    refused(world, BOB, assets.NO_CUSTODIAN, 10, (BOB.address, TILL.address, COOP, 1, b"s2"))


def test_an_asset_has_so_many_custodians_and_not_one_more() -> None:
    appointed = [
        program((ASSETS, 9, NONE, (person(f"bank {n}").address, COOP, 0)))
        for n in range(assets.CUSTODIANS_MAX)
    ]
    World((*founding(), *appointed))
    with pytest.raises(Exception, match="LIMIT"):
        World((*founding(), *appointed, program((ASSETS, 9, NONE, (BANK.address, COOP, 0)))))


def test_a_short_attestation_stops_issuing_at_once_and_nothing_else(world: World) -> None:
    settle(world)
    now = world.time
    assert done(world, BANK, 12, BANK.address, COOP, 590, PAPER, now - 1) is True
    assert status(world) == assets.ACTIVE
    assert done(world, BANK, 12, BANK.address, COOP, 589, PAPER2, now) is False
    assert status(world) == assets.MINT_PAUSED
    receipt = world.failed(world.cash_in(BOB, 5))
    assert receipt.code == assets.MINTING_PAUSED
    world.ok(world.pay(ALICE, BOB, 5))
    assert done(world, ALICE, 5, ALICE.address, TILL.address, COOP, 5, b"out")


def test_issuing_goes_on_when_an_auditor_has_seen_enough(world: World) -> None:
    settle(world)
    done(world, BANK, 12, BANK.address, COOP, 0, PAPER, world.time)
    confirm = (AUDITOR.address, BANK.address, COOP)
    assert done(world, AUDITOR, 13, *confirm, PAPER) is False
    refused(world, AUDITOR, assets.NO_ATTESTATION, 13, (*confirm, PAPER))
    assert done(world, BANK, 12, BANK.address, COOP, 600, PAPER2, world.time) is True
    assert status(world) == assets.MINT_PAUSED
    refused(world, BOB, Code.ROLE, 13, (BOB.address, BANK.address, COOP, PAPER2))
    refused(world, AUDITOR, assets.NO_ATTESTATION, 13, (*confirm, PAPER))
    assert done(world, AUDITOR, 13, *confirm, PAPER2) is True
    assert status(world) == assets.ACTIVE


def test_one_short_custodian_is_enough_to_stop() -> None:
    both = [(ASSETS, 9, NONE, (bank.address, COOP, 0)) for bank in (BANK, OTHER_BANK)]
    auditor = [(AUTH, 4, NONE, (AUDITOR.address, assets.AUDITOR)), (AUTH, 1, NONE, (AUDITOR.address,))]
    world = World((*founding(), program(*both, *auditor)))
    world.ok(world.cash_in(ALICE, 1_000))
    for n, bank in enumerate((BANK, OTHER_BANK)):
        assert done(world, bank, 10, bank.address, TILL.address, COOP, 100, b"s%d" % n)
        assert done(world, bank, 12, bank.address, COOP, 99, PAPER, world.time) is False
        assert done(world, bank, 12, bank.address, COOP, 100, PAPER2, world.time) is True
    for bank, may_issue in ((BANK, False), (OTHER_BANK, True)):
        assert done(world, AUDITOR, 13, AUDITOR.address, bank.address, COOP, PAPER2) is may_issue


def test_a_pause_by_the_members_outlasts_any_attestation() -> None:
    auditor = [(AUTH, 4, NONE, (AUDITOR.address, assets.AUDITOR)), (AUTH, 1, NONE, (AUDITOR.address,))]
    paused = program((ASSETS, 9, NONE, (BANK.address, COOP, 0)), *auditor, (ASSETS, 2, NONE, (COOP, 2)))
    world = World((*founding(), paused))
    assert done(world, BANK, 12, BANK.address, COOP, 0, PAPER, world.time) is True
    assert done(world, AUDITOR, 13, AUDITOR.address, BANK.address, COOP, PAPER) is False
    assert status(world) == assets.PAUSED


def test_a_statement_is_newer_than_the_last_and_not_of_the_future(world: World) -> None:
    now = world.time
    refused(world, BANK, assets.NOT_NEWER, 12, (BANK.address, COOP, 0, PAPER, now + 1))
    assert done(world, BANK, 12, BANK.address, COOP, 0, PAPER, now + 1) is True
    refused(world, BANK, assets.NOT_NEWER, 12, (BANK.address, COOP, 0, PAPER, now + 1))


def test_nobody_confirms_his_own_attestation() -> None:
    roles = program(
        (ASSETS, 9, NONE, (BANK.address, COOP, 0)), (AUTH, 4, NONE, (BANK.address, assets.AUDITOR))
    )
    world = World((*founding(), roles))
    done(world, BANK, 12, BANK.address, COOP, 0, PAPER, world.time)
    refused(world, BANK, assets.NOT_PARTY, 13, (BANK.address, BANK.address, COOP, PAPER))


# --- escrow


def escrow(world: World, amount: int = 100, seconds: int = 50) -> Value:
    terms = (ALICE.address, BOB.address, COOP, amount, CAROL.address, world.time + seconds, PAPER)
    return done(world, ALICE, 14, *terms)


def test_payer_or_arbiter_releases(world: World) -> None:
    for who in (ALICE, CAROL):
        number = escrow(world)
        refused(world, BOB, assets.NOT_PARTY, 15, (BOB.address, number))
        assert done(world, who, 15, who.address, number) == 100
    assert balance(world, BOB) == (200, 200) and balance(world, ALICE) == (800, 800)


def test_payee_or_arbiter_gives_back(world: World) -> None:
    for who in (BOB, CAROL):
        number = escrow(world)
        assert balance(world, ALICE) == (1_000, 900)
        refused(world, ALICE, assets.NOT_PARTY, 16, (ALICE.address, number))
        assert done(world, who, 16, who.address, number) == 100
    assert balance(world, ALICE) == (1_000, 1_000)


def test_the_deadline_gives_back_by_itself(world: World) -> None:
    number = escrow(world, seconds=3)
    world.run(seconds=3)
    assert balance(world, ALICE) == (1_000, 1_000)
    refused(world, ALICE, Code.HOLD_EXPIRED, 15, (ALICE.address, number))
    assert world.ask("assets", "escrow", number) == (ALICE.address, BOB.address, CAROL.address, PAPER)


def test_an_escrow_is_not_cash_that_its_payee_could_confirm(world: World) -> None:
    number = escrow(world)
    refused(world, BOB, Code.HOLD_STATE, 6, (number,))
    refused(world, ALICE, assets.NO_ESCROW, 15, (ALICE.address, number + 1))  # type: ignore[operator]


@pytest.mark.parametrize("arbiter", [ALICE, BOB])
def test_an_arbiter_is_a_third_person(world: World, arbiter: Person) -> None:
    terms = (ALICE.address, BOB.address, COOP, 1, arbiter.address, world.time + 9, PAPER)
    refused(world, ALICE, assets.TERMS, 14, terms)


@pytest.mark.parametrize(("seconds", "code"), [(HOLD_SECONDS_MAX, 0), (HOLD_SECONDS_MAX + 1, Code.LIMIT)])
def test_a_deadline_at_the_limit_and_one_beyond(world: World, seconds: int, code: int) -> None:
    terms = (ALICE.address, BOB.address, COOP, 1, CAROL.address, world.time + seconds, PAPER)
    assert world.run(world.tx((ASSETS, 14, 0, terms))).receipts[0].code == code


def test_a_payee_has_to_exist(world: World) -> None:
    terms = (ALICE.address, STRANGER.address, COOP, 1, CAROL.address, world.time + 9, PAPER)
    refused(world, ALICE, Code.NO_ACCOUNT, 14, terms)


# --- orders


def flags(world: World, who: Person) -> int:
    row = get_account(View(world.state), account_key(who.address, 2010, COOP))
    assert row is not None
    return row[1]


def test_an_order_stops_what_leaves_and_ends_by_itself(world: World) -> None:
    done(world, OFFICER, 17, ALICE.address, COOP, PAPER, world.time + 10)
    receipt = world.failed(world.pay(ALICE, BOB, 5))
    assert receipt.code == Code.FROZEN
    assert receipt.reason is not None and receipt.reason.rule == "ledger.frozen_by_order"
    world.ok(world.cash_in(ALICE, 7))
    world.run(seconds=10)
    world.ok(world.pay(ALICE, BOB, 5))
    assert not flags(world, ALICE) & FROZEN_BY_ORDER


def test_the_end_of_an_order_leaves_other_freezes_alone() -> None:
    name: Value = (0, ALICE.address, 2010, COOP, 0)
    frozen = program((1, 1, NONE, (name, None)), (1, 6, NONE, (name, FROZEN_OUT)))
    officer = program((AUTH, 4, NONE, (OFFICER.address, COMPLIANCE)), (AUTH, 1, NONE, (OFFICER.address,)))
    world = World((*founding(), frozen, officer))
    done(world, OFFICER, 17, ALICE.address, COOP, PAPER, world.time + 2)
    assert flags(world, ALICE) & FROZEN_BY_ORDER
    world.run(seconds=9)
    assert flags(world, ALICE) & (FROZEN_OUT | FROZEN_BY_ORDER) == FROZEN_OUT


def test_the_role_orders_at_most_thirty_days_and_pauses_as_long(world: World) -> None:
    most = assets.FREEZE_SECONDS_MAX
    order = (ALICE.address, COOP, PAPER)
    refused(world, OFFICER, assets.TERMS, 17, (*order, world.time + most + 1), rule="assets.freeze_until")
    refused(world, OFFICER, assets.TERMS, 17, (*order, world.time), rule="assets.freeze_until")
    until = world.time + most
    done(world, OFFICER, 17, *order, until)
    world.run(seconds=most)
    again = (ALICE.address, COOP, PAPER2)
    refused(world, OFFICER, assets.TERMS, 17, (*again, world.time + 9), rule="assets.freeze_again")
    world.run(seconds=until + most - int(world.time) - 1)
    refused(world, OFFICER, assets.TERMS, 17, (*again, world.time + 9), rule="assets.freeze_again")
    done(world, OFFICER, 17, *again, world.time + 9)


def test_nobody_lifts_an_order_but_the_chain_and_the_members(world: World) -> None:
    done(world, OFFICER, 17, ALICE.address, COOP, PAPER, world.time + DAY)
    for who in (ALICE, OFFICER):
        refused(world, who, Code.ROLE, LIFT_METHOD, (ALICE.address, COOP))
    refused(world, ALICE, Code.ROLE, 17, (ALICE.address, COOP, PAPER, world.time + 5))


def test_what_no_order_has_frozen_is_not_lifted() -> None:
    outcome = Coop().gov_outcome((ASSETS, LIFT_METHOD, NONE, (ALICE.address, COOP)))
    assert outcome.code == assets.NOT_FROZEN
