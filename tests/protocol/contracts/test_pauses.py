"""Pauses of one method: by the council, not for long, not again at once, never of the kernel."""

import pytest

from protocol.codec import Value
from protocol.contracts import multisig, recovery
from protocol.contracts.assets import contract as assets
from protocol.contracts.members import contract as members
from protocol.contracts.registry import records as registry
from protocol.contracts.treasury import contract as treasury
from protocol.contracts.voting import contract as voting
from protocol.errors import Code, Rejected
from protocol.params import PAUSE_EXIT_SECONDS_MAX, PAUSE_REST_SECONDS, PAUSE_SECONDS_MAX
from protocol.vm.contract import Contract
from tests.protocol.ledger_world import ALICE, ASSETS, AUTH, BOB, CAROL, NONE, World, founding, program

REGISTRY = 4
TRANSFER = (ASSETS, 7)


def council_world() -> World:
    world = World((*founding(), program((AUTH, 4, NONE, (CAROL.address, registry.COUNCIL)))))
    world.ok(world.cash_in(ALICE, 1_000))
    return world


def pause(contract: int, method: int, seconds: int = 100) -> Value:
    return (REGISTRY, 4, 0, (contract, method, seconds))


def test_a_paused_method_fails_until_the_pause_ends_by_itself() -> None:
    world = council_world()
    (receipt,) = world.ok(world.tx(pause(*TRANSFER), actors=(CAROL,)))
    until = world.time_ms // 1_000 + 100
    assert receipt.results == (until,) and world.ask("registry", "paused") == ((*TRANSFER, until),)
    failed = world.failed(world.pay(ALICE, BOB, 1), seconds=99)
    assert failed.code == Code.PAUSED and failed.reason is not None
    assert (failed.reason.rule, failed.reason.limit, failed.reason.actual) == (
        "registry.paused",
        until,
        "transfer",
    )
    world.ok(world.pay(ALICE, BOB, 1))
    assert world.ask("registry", "paused") == ()


def test_other_methods_go_on() -> None:
    world = council_world()
    world.ok(world.tx(pause(*TRANSFER), actors=(CAROL,)))
    world.ok(world.cash_in(BOB, 5))


def test_only_the_council_pauses_and_resumes() -> None:
    world = council_world()
    assert world.failed(world.tx(pause(*TRANSFER))).code == Code.ROLE
    world.ok(world.tx(pause(*TRANSFER), actors=(CAROL,)))
    resume = (REGISTRY, 5, 0, TRANSFER)
    assert world.failed(world.tx(resume)).code == Code.ROLE
    world.ok(world.tx(resume, actors=(CAROL,)))
    world.ok(world.pay(ALICE, BOB, 1))
    assert world.failed(world.tx(resume, actors=(CAROL,))).code == registry.NOT_PAUSED


@pytest.mark.parametrize(
    "method, limit",
    [
        (TRANSFER, PAUSE_SECONDS_MAX),
        ((ASSETS, 5), PAUSE_EXIT_SECONDS_MAX),
        ((AUTH, 3), 0),
        ((multisig.ID, 4), 0),
    ],
)
def test_length_at_the_limit_and_one_beyond(method: tuple[int, int], limit: int) -> None:
    world = council_world()
    if limit < PAUSE_SECONDS_MAX:
        receipt = world.failed(world.tx(pause(*method, limit + 1), actors=(CAROL,)))
        assert receipt.code == registry.PAUSE_TERMS and receipt.reason is not None
        assert (receipt.reason.limit, receipt.reason.actual) == (limit, limit + 1)
    else:
        with pytest.raises(Rejected):
            world.run(world.tx(pause(*method, limit + 1), actors=(CAROL,)))
    if limit:
        world.ok(world.tx(pause(*method, limit), actors=(CAROL,)))


def test_no_pause_is_prolonged_and_the_next_waits() -> None:
    world = council_world()
    world.ok(world.tx(pause(*TRANSFER), actors=(CAROL,)))
    assert world.failed(world.tx(pause(*TRANSFER), actors=(CAROL,))).code == registry.PAUSE_TERMS
    until = world.time_ms // 1_000 + 99
    world.run(seconds=until + PAUSE_REST_SECONDS - 1 - world.time_ms // 1_000 - 1)
    assert world.failed(world.tx(pause(*TRANSFER), actors=(CAROL,))).code == registry.PAUSE_TERMS
    world.ok(world.tx(pause(*TRANSFER), actors=(CAROL,)))


def test_a_method_that_is_not_there() -> None:
    world = council_world()
    assert world.failed(world.tx(pause(ASSETS, 99), actors=(CAROL,))).code == Code.UNKNOWN_METHOD


@pytest.mark.parametrize(
    ("contract", "names", "limit"),
    [
        (assets.CONTRACT, ("cash_out", "confirm_cash"), PAUSE_EXIT_SECONDS_MAX),
        (assets.CONTRACT, ("attest", "lift_freeze"), 0),
        (members.CONTRACT, ("lift_suspension", "refute_death", "cancel_role", "revoke_role"), 0),
        (multisig.CONTRACT, ("revoke", "cancel"), 0),
        (recovery.CONTRACT, ("cancel",), 0),
        (treasury.CONTRACT, ("reject", "stop_stream"), 0),
        (
            voting.CONTRACT,
            (
                *("set_policy", "withdraw", "vote", "commit", "close", "reveal"),
                *("veto", "undelegate", "stand_down", "rank", "spread", "set_retention"),
            ),
            0,
        ),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_lets_money_out_stops_something_or_gives_it_back(
    contract: Contract, names: tuple[str, ...], limit: int
) -> None:
    """Whoever may pause could else keep a cashier from paying, or a guardian from saying no."""
    assert tuple([m.name for m in contract.methods if m.pause_seconds_max == limit]) == names


def test_cash_that_was_asked_for_is_paid_after_three_days_at_the_latest() -> None:
    world = council_world()
    confirm = (ASSETS, 6)
    refused = world.failed(world.tx(pause(*confirm, PAUSE_EXIT_SECONDS_MAX + 1), actors=(CAROL,)))
    assert refused.code == registry.PAUSE_TERMS and refused.reason is not None
    assert refused.reason.limit == PAUSE_EXIT_SECONDS_MAX
