"""Versions of contracts: decided, gated on validators, in force from a height on, the same in a replay."""

from dataclasses import replace

import pytest

from protocol import transition
from protocol.chain.receipt import Receipt
from protocol.chain.transaction import SignedTransaction
from protocol.codec import Value
from protocol.contracts import BUILTINS, REGISTRY
from protocol.contracts.registry import records as registry
from protocol.errors import Code, Rejected, VersionsMissing
from protocol.params import (
    UPGRADE_AHEAD_BLOCKS_MAX,
    UPGRADE_DELAY_BLOCKS,
    UPGRADE_RETRIES_MAX,
    UPGRADE_RETRY_SECONDS,
    UPGRADES_MAX,
)
from protocol.transition import list_missing_versions
from protocol.types import ContractId
from protocol.vm.context import Context, QueryContext
from protocol.vm.contract import Contract, Method, Query, Registry, Signed
from protocol.vm.kinds import U63, Field
from protocol.vm.tables import Table
from tests.protocol.ledger_world import ALICE, AUTH, BOB, NONE, Person, World, founding, person, program

NUMBER = 4
COUNTER = ContractId(1_000)
NORTH = person("node")
COUNTS: Table[tuple[int, int]] = Table(COUNTER, 1, "count", (), (Field("count", U63),), doc="The count.")


def _counter(version: int, step: int) -> Contract:
    def count(ctx: Context) -> Value:
        row = COUNTS.get(ctx.view, COUNTS.key())
        value = (0 if row is None else row[1]) + step
        COUNTS.put(ctx.view, COUNTS.key(), (version, value))
        return value

    def show(query: QueryContext) -> Value:
        row = COUNTS.get(query.view, COUNTS.key())
        return 0 if row is None else row[1]

    methods = [Method(1, "count", (), U63, (Signed(),), 10, count, "Count.")]
    if version > 1:
        methods.append(Method(2, "recount", (), U63, (Signed(),), 10, count, "Count again."))
    queries = (Query("show", (), U63, show, "Show."),)
    return Contract(COUNTER, "counter", 4, version, "Counts.", (COUNTS,), tuple(methods), queries)


FIRST, SECOND = _counter(1, 1), _counter(2, 10)
COUNT, RECOUNT = (COUNTER, 1, 0, ()), (COUNTER, 2, 0, ())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    _install(monkeypatch, (SECOND,))
    council = program((AUTH, 4, NONE, (ALICE.address, registry.COUNCIL)))
    return World((*founding(), council, program((AUTH, 1, NONE, (NORTH.address,)))))


def _install(monkeypatch: pytest.MonkeyPatch, newer: tuple[Contract, ...]) -> None:
    contracts = (*BUILTINS, FIRST)
    installed = Registry(contracts, REGISTRY.has_role, REGISTRY.grants, REGISTRY.paused_until, newer)
    monkeypatch.setattr(transition, "REGISTRY", installed)


def _one(world: World, call: Value, who: Person = ALICE) -> Receipt:
    (receipt,) = world.run(world.tx(call, actors=(who,))).receipts
    return receipt


def _upgrade(
    world: World, version: int = 2, first: int = 0, contract: int = COUNTER, by: Person = ALICE
) -> Receipt:
    return _one(world, (NUMBER, 7, 0, (contract, version, SECOND.compute_fingerprint(), "", first)), by)


def _installed(world: World, who: Person = NORTH, version: int = 2, print_: bytes | None = None) -> Receipt:
    digest = SECOND.compute_fingerprint() if print_ is None else print_
    return _one(world, (NUMBER, 9, 0, (who.address, who.key, COUNTER, version, digest)), who)


def test_a_block_runs_the_version_of_its_height(world: World) -> None:
    assert _one(world, COUNT).results == (1,)
    decided = _upgrade(world, first=world.height + 6)
    assert decided.results == (decided.height + 5,) and _installed(world).is_ok
    while world.height + 1 < decided.height + 5:
        assert world.ask("registry", "versions") == ()
        assert _one(world, COUNT).is_ok
    assert world.ask("registry", "versions") == ((COUNTER, 2),) and world.ask("registry", "upgrades") == ()
    before = world.ask("counter", "show")
    assert isinstance(before, int) and _one(world, RECOUNT).results == (before + 10,)


def test_a_method_of_the_next_version_is_not_there_before(world: World) -> None:
    with pytest.raises(Rejected) as refused:
        _one(world, RECOUNT)
    assert refused.value.code == Code.UNKNOWN_METHOD


def test_replay_from_genesis_gives_the_same(world: World) -> None:
    blocks: list[tuple[SignedTransaction, ...]] = []
    found = []

    def run(*transactions: SignedTransaction) -> None:
        blocks.append(transactions)
        found.append(world.run(*transactions))

    run(world.tx(COUNT))
    run(world.tx((NUMBER, 7, 0, (COUNTER, 2, SECOND.compute_fingerprint(), "", 0))))
    said = (NORTH.address, NORTH.key, COUNTER, 2, SECOND.compute_fingerprint())
    run(world.tx((NUMBER, 9, 0, said), actors=(NORTH,)))
    for _ in range(4):
        run(world.tx(COUNT))
    again = World(world.genesis.programs)
    transition.REGISTRY.typed.clear()  # type: ignore[attr-defined]
    for transactions, first in zip(blocks, found, strict=True):
        second = again.run(*transactions)
        assert (second.writes, second.receipts_root) == (first.writes, first.receipts_root)
    assert [e.receipts[0].results[0] for e in found[3:]] == [2, 12, 22, 32]


def test_a_node_without_the_version_knows_it_before_that_block(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = _upgrade(world)
    _installed(world)
    _install(monkeypatch, ())
    assert (
        world.height == decided.height + UPGRADE_DELAY_BLOCKS - 2 and list_missing_versions(world.state) == ()
    )
    world.run()
    assert list_missing_versions(world.state) == ((COUNTER, 2),)
    for act in (world.run, lambda: world.ask("registry", "versions")):
        with pytest.raises(VersionsMissing, match="1000 in version 2") as missing:
            act()
        assert missing.value.versions == ((COUNTER, 2),)


def test_too_few_validators_put_it_off_five_days_and_then_it_lapses(world: World) -> None:
    decided = _upgrade(world)
    while world.height < decided.height + UPGRADE_DELAY_BLOCKS - 1:
        world.run()
    for tries in range(1, UPGRADE_RETRIES_MAX + 1):
        [row] = world.ask("registry", "upgrades")  # type: ignore[misc,str-unpack]
        assert row[5] == tries  # type: ignore[index]
        world.run(seconds=UPGRADE_RETRY_SECONDS - 1)
        assert world.ask("registry", "upgrades") == (row,)
        world.run(seconds=1)
    assert world.ask("registry", "upgrades") == () == world.ask("registry", "versions")
    assert _upgrade(world).is_ok and _installed(world).is_ok


def test_who_is_ready_on_the_second_day_is_enough(world: World) -> None:
    decided = _upgrade(world)
    while world.height < decided.height + UPGRADE_DELAY_BLOCKS:
        world.run()
    assert _installed(world).is_ok
    world.run(seconds=UPGRADE_RETRY_SECONDS)
    assert world.ask("registry", "versions") == ((COUNTER, 2),)


@pytest.mark.parametrize(
    ("ahead", "code"),
    [
        (UPGRADE_DELAY_BLOCKS - 1, registry.HEIGHT_TERMS),
        (UPGRADE_DELAY_BLOCKS, Code.OK),
        (UPGRADE_AHEAD_BLOCKS_MAX, Code.OK),
        (UPGRADE_AHEAD_BLOCKS_MAX + 1, registry.HEIGHT_TERMS),
    ],
)
def test_its_height_can_be_chosen(world: World, ahead: int, code: int) -> None:
    assert _upgrade(world, first=world.height + 1 + ahead).code == code


def test_what_is_refused(world: World) -> None:
    assert _upgrade(world, by=BOB).code == Code.ROLE
    assert _upgrade(world, version=1).code == registry.SAME_VERSION
    assert _one(world, (NUMBER, 8, 0, (COUNTER,))).code == registry.NO_UPGRADE
    assert _installed(world).code == registry.NO_UPGRADE
    assert _upgrade(world).is_ok
    assert _upgrade(world).code == registry.UPGRADE_PENDING
    assert _installed(world, who=BOB).code == registry.NO_VALIDATOR
    assert _installed(world, version=3).code == registry.NO_UPGRADE
    assert _installed(world, print_=bytes(32)).code == registry.NO_UPGRADE
    other = (NUMBER, 9, 0, (ALICE.address, NORTH.key, COUNTER, 2, bytes(32)))
    assert _one(world, other).code == registry.OTHER_KEY
    assert _one(world, (NUMBER, 8, 0, (COUNTER,))).is_ok
    assert world.ask("registry", "upgrades") == ()


def test_so_many_contracts_at_the_limit_and_one_above(world: World) -> None:
    for number in range(UPGRADES_MAX):
        assert _upgrade(world, first=world.height + 100, contract=2_000 + number).is_ok
    assert _upgrade(world, first=world.height + 100, contract=1_999).code == Code.LIMIT


def test_the_fingerprint_is_that_of_the_schema() -> None:
    assert FIRST.compute_fingerprint() != SECOND.compute_fingerprint()
    same = replace(SECOND, doc="Other words.")
    assert same.compute_fingerprint() == SECOND.compute_fingerprint()
