"""The contract of a plugin is taken out when it holds nothing; its records stay, and it may come back."""

from collections.abc import Callable

import pytest

from protocol import transition
from protocol.chain.receipt import Receipt
from protocol.codec import Value
from protocol.contracts import BUILTINS, REGISTRY, retirement
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.legs import post
from protocol.contracts.registry import records as registry
from protocol.errors import Code, Rejected
from protocol.params import PLUGIN_ID_MIN, UPGRADE_DELAY_BLOCKS, UPGRADE_RETRY_SECONDS
from protocol.transition import find_package, list_missing_versions
from protocol.types import ContractId, Height
from protocol.vm.context import Context, Environment, QueryContext
from protocol.vm.contract import RETIRED, Contract, Method, Query, Registry, Signed
from protocol.vm.kinds import U63, Field
from protocol.vm.tables import Table
from protocol.vm.view import View
from tests.protocol.ledger_world import ALICE, AUTH, COOP, NONE, Person, World, founding, person, program

NUMBER = 4
JAR = ContractId(PLUGIN_ID_MIN)
NORTH = person("node")
COUNTS: Table[tuple[int, int]] = Table(JAR, 1, "count", (), (Field("count", U63),), doc="The count.")


def _jar(version: int, code: bytes = b"one") -> Contract:
    def count(ctx: Context) -> Value:
        row = COUNTS.get(ctx.view, COUNTS.key())
        value = (0 if row is None else row[1]) + version
        COUNTS.put(ctx.view, COUNTS.key(), (1, value))
        return value

    def show(query: QueryContext) -> Value:
        row = COUNTS.get(query.view, COUNTS.key())
        return 0 if row is None else row[1]

    methods = (Method(1, "count", (), U63, (Signed(),), 10, count, "Count."),)
    queries = (Query("show", (), U63, show, "Show."),)
    return Contract(JAR, "jar", 4, version, "Counts.", (COUNTS,), methods, queries, code_hash=code)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_installed(*plugins: Contract) -> None:
        known = Registry(BUILTINS, REGISTRY.has_role, REGISTRY.grants, find_holding=retirement.find_holding)
        known.install(plugins)
        monkeypatch.setattr(transition, "REGISTRY", known)

    return set_installed


@pytest.fixture
def world(install: Callable[..., None]) -> World:
    """A chain that runs the first version of the jar."""
    install(_jar(1), _jar(2))
    council = program((AUTH, 4, NONE, (ALICE.address, registry.COUNCIL)))
    made = World((*founding(), council, program((AUTH, 1, NONE, (NORTH.address,)))))
    _bring(made, _jar(1))
    return made


def _one(world: World, call: Value, who: Person = ALICE) -> Receipt:
    (receipt,) = world.run(world.tx(call, actors=(who,))).receipts
    return receipt


def _decide(world: World, version: int, print_: bytes = bytes(32), contract: int = JAR) -> Receipt:
    return _one(world, (NUMBER, 7, 0, (contract, version, print_, "jar 1.0" if version else "", 0)))


def _say(world: World, jar: Contract) -> Receipt:
    said = (NORTH.address, NORTH.key, JAR, jar.version, jar.compute_fingerprint())
    return _one(world, (NUMBER, 9, 0, said), NORTH)


def _bring(world: World, jar: Contract) -> None:
    assert _decide(world, jar.version, jar.compute_fingerprint()).is_ok and _say(world, jar).is_ok
    _wait(world)


def _wait(world: World, blocks: int = UPGRADE_DELAY_BLOCKS) -> None:
    for _ in range(blocks):
        world.run()


def _move(world: World, amount: int) -> None:
    """Pay into the jar's account, or out of it, past every rule."""
    view, keys = (
        View(world.state),
        [account_key(a, MEMBER_FREE, COOP) for a in (ALICE.address, _jar(1).address)],
    )
    for key in keys:
        open_account(view, key)
    environment = Environment(world.time, 0, Height(world.height + 1), 0, bytes(32), ())
    post(view, environment, *(keys if amount > 0 else reversed(keys)), abs(amount), 1)
    world.state.apply(view.collect_writes())


def test_added_used_taken_out_and_read(world: World, install: Callable[..., None]) -> None:
    assert _one(world, (JAR, 1, 0, ())).results == (1,)
    assert find_package(world.state, JAR) == "jar 1.0" and find_package(world.state, 16) == ""
    assert _decide(world, RETIRED).is_ok
    assert _one(world, (JAR, 1, 0, ())).results == (2,), "it works until it is out"
    _wait(world)
    assert world.ask("registry", "versions") == ((JAR, RETIRED),)
    with pytest.raises(Rejected) as refused:
        _one(world, (JAR, 1, 0, ()))
    assert refused.value.code == Code.UNKNOWN_METHOD
    assert world.ask("jar", "show") == 2, "its records can be read"
    assert _decide(world, RETIRED).code == registry.NOT_A_PLUGIN
    install()
    assert list_missing_versions(world.state) == (), "nobody needs it any more"
    world.run()
    with pytest.raises(Rejected):
        world.ask("jar", "show")


def test_it_may_come_back_as_it_was_or_newer(world: World) -> None:
    _one(world, (JAR, 1, 0, ()))
    _bring(world, _jar(2))
    _decide(world, RETIRED)
    _wait(world)
    assert _decide(world, 1, _jar(1).compute_fingerprint()).code == registry.SAME_VERSION
    assert _decide(world, 2, _jar(2, b"other").compute_fingerprint()).code == registry.SAME_VERSION
    _bring(world, _jar(2))
    assert _one(world, (JAR, 1, 0, ())).results == (3,), "on the records of before"


def test_money_must_be_out_before(world: World) -> None:
    assert world.ok(world.cash_in(ALICE, 100))
    _move(world, 7)
    refused = _decide(world, RETIRED)
    assert refused.code == registry.STILL_HOLDS and refused.reason is not None
    assert (refused.reason.rule, refused.reason.actual) == ("registry.retired_balance", 7)
    _move(world, -7)
    assert _decide(world, RETIRED).is_ok


def test_money_that_came_after_the_decision_puts_it_off(world: World) -> None:
    assert world.ok(world.cash_in(ALICE, 100))
    assert _decide(world, RETIRED).is_ok
    _move(world, 7)
    _wait(world)
    assert world.ask("registry", "versions") == ((JAR, 1),)
    _move(world, -7)
    world.run(seconds=UPGRADE_RETRY_SECONDS)
    assert world.ask("registry", "versions") == ((JAR, RETIRED),)


def test_more_accounts_than_are_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retirement, "RETIREMENT_ACCOUNTS_MAX", 2)
    for sub, code in ((1, Code.OK), (2, Code.OK), (3, registry.STILL_HOLDS)):
        view = View(world.state)
        open_account(view, account_key(_jar(1).address, MEMBER_FREE, COOP, sub))
        world.state.apply(view.collect_writes())
        assert _decide(world, RETIRED).code == code
        _one(world, (NUMBER, 8, 0, (JAR,)))


@pytest.mark.parametrize("contract", [16, PLUGIN_ID_MIN - 1, PLUGIN_ID_MIN + 1])
def test_only_what_runs_of_a_plugin_is_taken_out(world: World, contract: int) -> None:
    assert _decide(world, RETIRED, contract=contract).code == registry.NOT_A_PLUGIN


def test_other_code_under_the_same_version_is_missing(world: World, install: Callable[..., None]) -> None:
    other = _jar(1, b"two")
    install(other)
    assert list_missing_versions(world.state) == ((JAR, 1),)
    install(_jar(2), _jar(1))
    assert list_missing_versions(world.state) == ()


def test_a_validator_with_other_code_is_refused(world: World) -> None:
    assert _decide(world, 2, _jar(2).compute_fingerprint()).is_ok
    assert _say(world, _jar(2, b"other")).code == registry.NO_UPGRADE
    assert _say(world, _jar(2)).is_ok
