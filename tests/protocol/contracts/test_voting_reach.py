"""What a vote reaches: consensus itself, parameters, offices, budgets, pauses; each by its own type only."""

from typing import Any

import pytest

from protocol.chain.validators import EngineKind
from protocol.codec import Value
from protocol.contracts.registry.records import NOT_READY
from protocol.contracts.voting import records as v
from protocol.params import EPOCH_DELAY_BLOCKS
from tests.protocol.contracts.coop_world import MEMBERS, TREASURY
from tests.protocol.contracts.test_registry import NODES, REGISTRY, VALIDATORS, _prove
from tests.protocol.contracts.test_voting import Hall, stored
from tests.protocol.ledger_world import ALICE, AUTH, BOB, CAROL, COOP, NONE

BFT = int(EngineKind.BFT)
MOVE: Value = (REGISTRY, 2, NONE, (BFT, (0, *[who.key for who in VALIDATORS[:4]]), 0, 0))


def make_hall(*methods: tuple[int, int], **changes: Any) -> Hall:
    hall = Hall(methods=methods, window=1 << 20, **changes)
    hall.gov(*[(AUTH, 1, NONE, (node.address,)) for node in NODES])
    return hall


def get_ready(hall: Hall, count: int) -> None:
    for index, node in enumerate(NODES[:count]):
        key, proof = VALIDATORS[index].key, _prove(index, node)
        call = (REGISTRY, 1, 0, (node.address, node.key, key, proof, f"op{index}", "1.0", 3, 0))
        hall.ok(hall.tx(call, actors=(node,)))


def decide(hall: Hall, *calls: Value) -> int:
    """Let three of five members decide something, and wait until it has run."""
    number = hall.propose(program=stored(*calls))
    hall.vote(number, (ALICE, 1), (BOB, 1), (CAROL, 1))
    hall.run(seconds=1_000)
    hall.run(seconds=101)
    return number


def test_members_move_the_running_chain_from_raft_to_bft() -> None:
    hall = make_hall((REGISTRY, 2))
    get_ready(hall, 4)
    number = decide(hall, MOVE)
    assert hall.state_of(number) == v.EXECUTED
    records = [hall.run().next_record for _ in range(EPOCH_DELAY_BLOCKS)]
    (record,) = [r for r in records if r is not None]
    assert record.engine is EngineKind.BFT and len(record.validators) == 4


def test_a_move_waits_for_validators_who_are_not_ready() -> None:
    hall = make_hall((REGISTRY, 2))
    get_ready(hall, 3)
    number = decide(hall, MOVE)
    assert hall.state_of(number) == v.PASSED and hall.field(number, 18) == NOT_READY
    get_ready(hall, 4)
    hall.run(seconds=3_600)
    assert hall.state_of(number) == v.EXECUTED


def test_members_cancel_a_move_before_its_seal() -> None:
    hall = make_hall((REGISTRY, 2), (REGISTRY, 3))
    get_ready(hall, 4)
    far: Value = (REGISTRY, 2, NONE, (*MOVE[3][:2], hall.height + 500, 0))  # type: ignore[index]
    decide(hall, far)
    number = hall.propose(BOB, stored((REGISTRY, 3, NONE, ())))
    hall.vote(number, (ALICE, 1), (BOB, 1))
    hall.run(seconds=1_000)
    hall.run(seconds=101)
    assert hall.state_of(number) == v.EXECUTED
    assert hall.ask("registry", "pending") is None


@pytest.mark.parametrize(
    "call",
    [
        (REGISTRY, 4, NONE, (16, 7, 60)),
        (MEMBERS, 18, NONE, ("council", "board", "", 0, 1_000, 3, True)),
        (TREASURY, 1, NONE, ("roof", "a new roof", COOP, False)),
    ],
    ids=["a pause", "an office", "a fund"],
)
def test_a_vote_reaches_what_a_board_key_reaches(call: Value) -> None:
    assert type(call) is tuple and type(call[0]) is int and type(call[1]) is int
    hall = make_hall((call[0], call[1]))
    assert hall.state_of(decide(hall, call)) == v.EXECUTED
    other = make_hall((AUTH, 4))
    program = stored(call)
    assert other.code(ALICE, (22, 2, 0, (ALICE.address, 1, "reach", bytes(32), program))) == v.NOT_ALLOWED
