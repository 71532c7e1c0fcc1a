"""voting, the run of what has passed: its gas, its reason when it fails, the contracts it was made for."""

from dataclasses import replace

import pytest

from protocol import transition
from protocol.contracts import BUILTINS, REGISTRY, auth
from protocol.contracts.registry.records import VERSIONS
from protocol.contracts.voting import proposals
from protocol.contracts.voting import records as v
from protocol.errors import Code
from protocol.params import JOB_GAS_MAX
from protocol.vm.contract import Contract, Registry
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import Coop
from tests.protocol.contracts.test_voting import PEOPLE, VOTING, YES, Hall, stored
from tests.protocol.ledger_world import ALICE, ASSETS, AUTH, BOB, NONE

EVE = PEOPLE[4]


def put_in_force(hall: Coop, monkeypatch: pytest.MonkeyPatch, newer: Contract) -> None:
    """Let the next blocks run another version of a contract."""
    installed = Registry(BUILTINS, REGISTRY.has_role, REGISTRY.grants, REGISTRY.paused_until, (newer,))
    monkeypatch.setattr(transition, "REGISTRY", installed)
    view = View(hall.state)
    VERSIONS.put(view, VERSIONS.prefix, (SCHEMA, ((newer.id, newer.version),)))
    hall.write(view.collect_writes())


def test_a_program_that_uses_up_the_gas_leaves_its_reason_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hall = Hall(window=1 << 20)
    roles = [(AUTH, 4, NONE, (BOB.address, f"role {at}")) for at in range(40)]
    number = hall.propose(program=stored(*roles))
    hall.vote(number, (ALICE, YES), (BOB, YES))
    hall.run(seconds=1_000)
    with monkeypatch.context() as patched:
        patched.setattr(proposals, "AFTERWARDS_GAS", JOB_GAS_MAX - 5_000)
        hall.run(seconds=101)
        assert (hall.field(number, 17), hall.field(number, 18)) == (1, Code.GAS)
        assert hall.state_of(number) == v.PASSED and not hall.has_role(role="role 0")
    hall.run(seconds=3_601)
    assert hall.state_of(number) == v.EXECUTED and hall.has_role(role="role 39")


def test_what_is_kept_back_pays_for_writing_how_a_run_ended() -> None:
    hall = Hall(methods=((ASSETS, 2),), window=1 << 20)
    number = hall.propose(program=stored((ASSETS, 2, NONE, (77, 2))))
    hall.vote(number, (ALICE, YES), (BOB, YES))
    hall.run(seconds=1_000)
    (receipt,) = hall.run(hall.tx((VOTING, 9, 0, (number,)), actors=(EVE,)), seconds=101).receipts
    assert hall.field(number, 17) > 0  # type: ignore[operator]
    assert receipt.is_ok and receipt.gas < proposals.AFTERWARDS_GAS


def test_a_program_whose_contract_was_swapped_after_the_vote_does_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hall = Hall()
    number = hall.propose()
    hall.vote(number, (ALICE, YES), (BOB, YES))
    put_in_force(hall, monkeypatch, replace(auth.CONTRACT, version=2))
    hall.run(seconds=1_000)
    hall.run(seconds=101)
    assert hall.field(number, 18) == Code.VERSION_PIN
    assert hall.state_of(number) == v.PASSED and not hall.has_role()
