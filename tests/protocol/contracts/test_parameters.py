"""Parameters: inside their bounds, from a later block on, some at the founding alone; and they count."""

import pytest

from protocol.chain.receipt import Receipt
from protocol.codec import Value
from protocol.contracts.parameters import PARAMETERS, READY_BLOCKS
from protocol.contracts.registry import records as registry
from protocol.errors import Code, Rejected
from protocol.params import (
    BLOCK_BYTES_MAX,
    BLOCK_GAS_MAX,
    INT64_MAX,
    PARAMETER_AHEAD_BLOCKS_MAX,
    PARAMETER_DELAY_BLOCKS,
    QUOTA_DAYS,
    TX_GAS_MAX,
)
from protocol.transition import build_block
from protocol.vm.contract import Parameter
from tests.protocol.ledger_world import ALICE, AUTH, BOB, NONE, Person, World, founding, program

REGISTRY = 4


def _world(*founded: Value) -> World:
    council = program((AUTH, 4, NONE, (ALICE.address, registry.COUNCIL)), *founded)
    return World((*founding(), council))


def _set(
    world: World, name: str, value: int, from_height: int = 0, by: Person = ALICE, gas: int = 100_000
) -> Receipt:
    (receipt,) = world.run(
        world.tx((REGISTRY, 6, 0, (name, value, from_height)), actors=(by,), gas=gas)
    ).receipts
    return receipt


def _value(world: World, name: str) -> int:
    rows = world.ask("registry", "parameters")
    assert isinstance(rows, tuple)
    return next(row[2] for row in rows if row[0] == name)  # type: ignore[index,return-value]


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: str(p.name))
def test_a_value_stays_inside_its_bounds(parameter: Parameter) -> None:
    for value, code in (
        (parameter.low - 1, registry.OUT_OF_BOUNDS),
        (parameter.low, Code.OK),
        (parameter.high, Code.OK),
        (parameter.high + 1, registry.OUT_OF_BOUNDS),
    ):
        if value < 0:
            continue
        if parameter.is_founding:
            founded = (REGISTRY, 6, NONE, (parameter.name, value, 0))
            if code == Code.OK:
                assert _value(_world(founded), parameter.name) == value
                continue
            with pytest.raises(Rejected) as refused:
                _world(founded)
            assert refused.value.code == code
        else:
            assert _set(_world(), parameter.name, value).code == code


def test_every_default_lies_inside_its_bounds() -> None:
    assert all(0 <= p.low <= p.default <= p.high <= INT64_MAX for p in PARAMETERS)
    assert len({p.id for p in PARAMETERS}) == len({p.name for p in PARAMETERS}) == len(PARAMETERS)


def test_a_value_counts_from_its_height_on() -> None:
    world = _world()
    decided = _set(world, "ready_blocks", 500)
    assert decided.results == (decided.height + PARAMETER_DELAY_BLOCKS,)
    for _ in range(PARAMETER_DELAY_BLOCKS - 1):
        world.run()
        assert _value(world, "ready_blocks") == READY_BLOCKS.default
    world.run()
    assert _value(world, "ready_blocks") == 500
    rows = world.ask("registry", "parameters")
    assert [row[7] for row in rows] == [None] * len(PARAMETERS)  # type: ignore[index,union-attr]


def test_a_later_decision_takes_the_place_of_one_that_does_not_count_yet() -> None:
    world = _world()
    _set(world, "ready_blocks", 500)
    _set(world, "ready_blocks", 600, from_height=world.height + 10)
    for _ in range(5):
        world.run()
    assert _value(world, "ready_blocks") == READY_BLOCKS.default
    for _ in range(5):
        world.run()
    assert _value(world, "ready_blocks") == 600


@pytest.mark.parametrize(
    ("ahead", "code"),
    [
        (PARAMETER_DELAY_BLOCKS - 1, registry.HEIGHT_TERMS),
        (PARAMETER_DELAY_BLOCKS, Code.OK),
        (PARAMETER_AHEAD_BLOCKS_MAX, Code.OK),
        (PARAMETER_AHEAD_BLOCKS_MAX + 1, registry.HEIGHT_TERMS),
    ],
)
def test_the_height_can_be_chosen(ahead: int, code: int) -> None:
    world = _world()
    assert _set(world, "block_gas", 20_000_000, from_height=world.height + 1 + ahead).code == code


def test_only_the_council_decides_and_only_what_there_is() -> None:
    world = _world()
    assert _set(world, "block_gas", 20_000_000, by=BOB).code == Code.ROLE
    assert _set(world, "speed", 1).code == registry.NO_PARAMETER
    assert _set(world, "raft_return_seconds", 86_400).code == registry.FOUNDING_ONLY


def test_the_free_quota_follows_its_parameter() -> None:
    world = _world((REGISTRY, 6, NONE, ("quota_gas_per_day", 20_000, 0)))

    def free() -> int:
        account = world.ask("auth", "account", BOB.address)
        assert isinstance(account, tuple) and type(account[2]) is int
        return account[2]

    assert free() == 20_000 * QUOTA_DAYS
    _set(world, "quota_gas_per_day", 40_000, gas=50_000)
    for _ in range(PARAMETER_DELAY_BLOCKS):
        world.run()
    assert free() == 40_000 * QUOTA_DAYS


@pytest.mark.parametrize(("limit", "taken"), [(TX_GAS_MAX, 1), (2 * TX_GAS_MAX, 3)])
def test_the_gas_of_a_block_follows_its_parameter(limit: int, taken: int) -> None:
    founded = (("quota_gas_per_day", 20_000_000, 0), ("block_gas", limit, 0))
    world = _world(*[(REGISTRY, 6, NONE, arguments) for arguments in founded])
    world.ok(world.cash_in(ALICE, 10))
    payments = [world.pay(ALICE, BOB, 1, gas=TX_GAS_MAX) for _ in range(3)]
    _, found, _ = build_block(
        world.state, world.rules, world.next_context(), payments, (), 10, BLOCK_BYTES_MAX, BLOCK_GAS_MAX
    )
    assert len(found) == taken, "what could pass the limit waits"
