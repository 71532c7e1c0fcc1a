"""registry: readiness, the one pending change, when it seals, its cancellation, and what it hands over."""

from dataclasses import replace

import pytest

from protocol import crypto
from protocol.chain.receipt import Receipt
from protocol.chain.validators import EngineKind, EpochRecord
from protocol.codec import Value
from protocol.contracts import multisig
from protocol.contracts.registry import records as registry
from protocol.contracts.registry.contract import CONTRACT
from protocol.contracts.registry.epochs import compute_ready_digest
from protocol.crypto import SecretKey
from protocol.errors import Code, Rejected
from protocol.params import (
    EPOCH_AHEAD_BLOCKS_MAX,
    EPOCH_AHEAD_SECONDS_MAX,
    EPOCH_DELAY_BLOCKS,
    RAFT_RETURN_SECONDS,
    READY_BLOCKS_MAX,
)
from protocol.transition import next_due_time
from protocol.vm.contract import Role
from tests.protocol.contracts.test_multisig import CLUB, MULTISIG, TWO_OF_THREE, approve, stored, tagged
from tests.protocol.contracts.test_multisig import propose as propose_program
from tests.protocol.ledger_world import ALICE, AUTH, BOB, NONE, Person, World, founding, person, program

REGISTRY = 4
VALIDATORS = [person(f"validator{i}") for i in range(5)]
NODES = [person(f"node{i}") for i in range(5)]


def _world() -> World:
    council = program((AUTH, 4, NONE, (ALICE.address, registry.COUNCIL)))
    opened = program(*[(AUTH, 1, NONE, (node.address,)) for node in NODES])
    return World((*founding(), council, opened))


def _one(world: World, instruction: Value, who: Person) -> Receipt:
    (receipt,) = world.run(world.tx(instruction, actors=(who,))).receipts
    return receipt


def _ready(
    world: World,
    index: int,
    operator: str | None = None,
    node: Person | None = None,
    engines: int = 3,
    synced_height: int = 0,
) -> Receipt:
    who = NODES[index] if node is None else node
    name = f"op{index}" if operator is None else operator
    key, proof = VALIDATORS[index].key, _prove(index, who)
    call = (REGISTRY, 1, 0, (who.address, who.key, key, proof, name, "1.0", engines, synced_height))
    return _one(world, call, who)


def _prove(index: int, node: Person) -> bytes:
    """Sign by a validator's consensus key that it is that of a node."""
    secret = SecretKey(crypto.sha256(b"validator%d" % index))
    return crypto.sign(secret, compute_ready_digest(node.key, secret.public_key))


def _propose(
    world: World,
    engine: int,
    indexes: tuple[int, ...],
    by: Person = ALICE,
    seal_height: int = 0,
    not_before: int = 0,
) -> Receipt:
    keys: Value = (0, *[VALIDATORS[i].key for i in indexes])
    return _one(world, (REGISTRY, 2, 0, (int(engine), keys, seal_height, not_before)), by)


def _cancel(world: World) -> Receipt:
    return _one(world, (REGISTRY, 3, 0, ()), ALICE)


def _idle(world: World) -> EpochRecord | None:
    return world.run().next_record


def test_a_decided_change_seals_after_its_delay() -> None:
    world = _world()
    for index in range(4):
        assert _ready(world, index).is_ok
    decided = _propose(world, EngineKind.BFT, (2, 0, 1, 3))
    height = decided.height
    assert decided.is_ok and decided.results == (height + EPOCH_DELAY_BLOCKS,)
    assert next_due_time(world.state) == 0, "the blocks up to the seal wait for nobody"
    for _ in range(EPOCH_DELAY_BLOCKS - 1):
        assert _idle(world) is None
    record = _idle(world)
    assert record is not None and next_due_time(world.state) is None
    assert (record.number, record.engine, record.first_height) == (1, EngineKind.BFT, world.height + 1)
    assert record.previous_hash == world.genesis.epoch.compute_hash() and record.decided_by == decided.tx_id
    keys = [validator.consensus_key for validator in record.validators]
    assert keys == sorted(VALIDATORS[i].key for i in range(4))
    assert _idle(world) is None, "a change happens once"


def test_a_change_can_be_cancelled_until_its_seal() -> None:
    world = _world()
    _ready(world, 0)
    _propose(world, EngineKind.RAFT, (0,))
    for _ in range(EPOCH_DELAY_BLOCKS - 2):
        assert _idle(world) is None
    assert _cancel(world).is_ok
    assert [_idle(world) for _ in range(3)] == [None] * 3
    assert _cancel(world).code == registry.NO_CHANGE
    _propose(world, EngineKind.RAFT, (0,))
    for _ in range(EPOCH_DELAY_BLOCKS - 1):
        _idle(world)
    late = world.run(world.tx((REGISTRY, 3, 0, ()), actors=(ALICE,)))
    assert late.next_record is not None, "at its seal a change is final"
    assert late.receipts[0].code == registry.NO_CHANGE


def test_one_change_at_a_time() -> None:
    world = _world()
    _ready(world, 0)
    assert _propose(world, EngineKind.RAFT, (0,)).is_ok
    assert _propose(world, EngineKind.RAFT, (0,)).code == registry.CHANGE_PENDING


def test_only_the_council_decides() -> None:
    world = _world()
    _ready(world, 0)
    assert _propose(world, EngineKind.RAFT, (0,), by=BOB).code == Code.ROLE
    assert _one(world, (REGISTRY, 3, 0, ()), BOB).code == Code.ROLE


def test_bft_needs_four() -> None:
    world = _world()
    for index in range(4):
        _ready(world, index)
    assert _propose(world, EngineKind.BFT, (0, 1, 2)).code == registry.TOO_FEW
    assert _propose(world, EngineKind.BFT, (0, 1, 2, 3)).is_ok


def test_readiness_is_said_and_recent() -> None:
    world = _world()
    assert _propose(world, EngineKind.RAFT, (0,)).code == registry.NOT_READY
    world.height = 7
    assert _ready(world, 0, synced_height=8).code == registry.NOT_READY, "nobody has the block it stands in"
    world.height = 8
    assert _ready(world, 0, synced_height=8).is_ok
    world.height = 8 + READY_BLOCKS_MAX  # the next block is one more
    assert _propose(world, EngineKind.RAFT, (0,)).code == registry.NOT_READY
    world.height = 8 + READY_BLOCKS_MAX - 1
    assert _propose(world, EngineKind.RAFT, (0,)).is_ok


@pytest.mark.parametrize("case", ["key", "operator", "node"])
def test_nobody_takes_part_twice(case: str) -> None:
    world = _world()
    _ready(world, 0)
    _ready(
        world, 1, operator="op0" if case == "operator" else None, node=NODES[0] if case == "node" else None
    )
    indexes = (0, 0) if case == "key" else (0, 1)
    assert _propose(world, EngineKind.RAFT, indexes).code == registry.TWICE


def test_readiness_is_said_under_both_keys() -> None:
    world, (node, other) = _world(), NODES[:2]
    rest = ("op0", "1.0", 3, 0)
    proof = _prove(0, node)

    def say(who: Person, actor: Person, proof: bytes) -> int:
        call = (REGISTRY, 1, 0, (actor.address, node.key, VALIDATORS[0].key, proof, *rest))
        return _one(world, call, who).code

    assert say(other, other, proof) == registry.OTHER_KEY, "the account is not that of the node key"
    assert say(other, node, proof) == Code.POLICY_UNMET, "nobody speaks for another node"
    assert say(node, node, _prove(0, other)) == registry.OTHER_KEY, "the key signed that it is another's"
    assert say(node, node, _prove(1, node)) == registry.OTHER_KEY, "another key signed"
    assert say(node, node, proof) == Code.OK


def test_the_software_of_every_validator_knows_the_engine() -> None:
    world = _world()
    for index in range(4):
        _ready(world, index, engines=1 if index == 2 else 3)
    refused = _propose(world, EngineKind.BFT, (0, 1, 2, 3))
    assert refused.code == registry.ENGINE_UNSUPPORTED
    assert refused.reason is not None and refused.reason.actual == VALIDATORS[2].key
    assert _propose(world, EngineKind.RAFT, (0, 1, 2, 3)).is_ok


@pytest.mark.parametrize(
    ("ahead", "code"),
    [
        (EPOCH_DELAY_BLOCKS - 1, registry.SEAL_TERMS),
        (EPOCH_DELAY_BLOCKS, Code.OK),
        (EPOCH_AHEAD_BLOCKS_MAX, Code.OK),
        (EPOCH_AHEAD_BLOCKS_MAX + 1, registry.SEAL_TERMS),
    ],
)
def test_the_height_of_a_seal_can_be_chosen(ahead: int, code: int) -> None:
    world = _world()
    _ready(world, 0)
    decided = _propose(world, EngineKind.RAFT, (0,), seal_height=world.height + 1 + ahead)
    assert decided.code == code
    if decided.is_ok:
        world.height += ahead - 1
        assert _idle(world) is not None


@pytest.mark.parametrize(
    ("ahead", "code"),
    [(EPOCH_AHEAD_SECONDS_MAX, Code.OK), (EPOCH_AHEAD_SECONDS_MAX + 1, registry.SEAL_TERMS)],
)
def test_a_seal_can_wait_for_a_time(ahead: int, code: int) -> None:
    world = _world()
    _ready(world, 0)
    until = int(world.time) + ahead
    assert _propose(world, EngineKind.RAFT, (0,), not_before=until).code == code
    if code == Code.OK:
        for _ in range(3 * EPOCH_DELAY_BLOCKS):
            assert _idle(world) is None
        assert next_due_time(world.state) == until
        left = until - world.time_ms // 1_000
        assert world.run(seconds=left - 2).next_record is None
        assert _cancel(world).is_ok and next_due_time(world.state) is None
        assert _propose(world, EngineKind.RAFT, (0,), not_before=until + 60).is_ok
        assert world.run(seconds=60).next_record is None, "the time has come, the height has not"
        assert [_idle(world) is None for _ in range(2)] == [True, False]


def run_bft(world: World) -> None:
    """Let the epoch of a world be one of BFT."""
    world.genesis = replace(world.genesis, epoch=replace(world.genesis.epoch, engine=EngineKind.BFT))


def go_back(seal_height: int = 0, not_before: int = 0, actor: int = 0) -> Value:
    return (REGISTRY, 10, actor, ((0, VALIDATORS[0].key), seal_height, not_before))


def _on_bft() -> World:
    world = _world()
    for index in range(4):
        _ready(world, index)
    run_bft(world)
    return world


def test_back_to_raft_takes_seven_days() -> None:
    world = _on_bft()
    soon = int(world.time) + RAFT_RETURN_SECONDS
    refused = _one(world, go_back(not_before=soon - 1), ALICE)
    assert refused.code == registry.SEAL_TERMS
    assert refused.reason is not None and refused.reason.limit == soon
    assert _propose(world, EngineKind.BFT, (0, 1, 2, 3)).is_ok and _cancel(world).is_ok
    decided = _one(world, go_back(), ALICE)
    until = world.time_ms // 1_000 + RAFT_RETURN_SECONDS
    assert decided.is_ok and world.ask("registry", "pending")[2] == until  # type: ignore[index]
    for _ in range(EPOCH_DELAY_BLOCKS):
        assert _idle(world) is None
    assert world.run(seconds=RAFT_RETURN_SECONDS - EPOCH_DELAY_BLOCKS - 1).next_record is None
    assert _idle(world) is not None


def test_the_way_back_has_a_door_of_its_own_and_so_has_its_cancelling() -> None:
    world = _world()
    _ready(world, 0)
    assert _one(world, go_back(), ALICE).code == registry.WAY_BACK, "nothing to go back from"
    assert _propose(world, EngineKind.RAFT, (0,)).is_ok
    assert _one(world, (REGISTRY, 11, 0, ()), ALICE).code == registry.WAY_BACK
    world = _on_bft()
    assert _propose(world, EngineKind.RAFT, (0,)).code == registry.WAY_BACK
    assert _one(world, (REGISTRY, 11, 0, ()), ALICE).code == registry.NO_CHANGE
    assert _one(world, go_back(), BOB).code == Code.ROLE
    assert _one(world, go_back(), ALICE).is_ok
    assert _cancel(world).code == registry.WAY_BACK
    assert _one(world, (REGISTRY, 11, 0, ()), BOB).code == Code.ROLE
    assert _one(world, (REGISTRY, 11, 0, ()), ALICE).is_ok
    assert world.ask("registry", "pending") is None


def test_the_delay_of_the_way_back_binds_a_program_that_waited_as_well() -> None:
    """What a board of several keys signs one after the other knows the epoch that it runs in."""
    council = program((AUTH, 1, NONE, (CLUB.address,)), (AUTH, 4, NONE, (CLUB.address, registry.COUNCIL)))
    opened = program(*[(AUTH, 1, NONE, (node.address,)) for node in NODES])
    world = World((*founding(), council, opened))
    _ready(world, 0)
    run_bft(world)
    world.ok(world.tx((MULTISIG, 7, 0, (CLUB.address, tagged(TWO_OF_THREE)))))
    soon = int(world.time) + RAFT_RETURN_SECONDS
    raw = stored(go_back(not_before=soon), pins=((REGISTRY, 1),))
    world.ok(propose_program(world, raw))
    (approved,) = world.run(approve(world, BOB, raw=raw)).receipts
    assert approved.results == ((multisig.OPEN, registry.SEAL_TERMS),), "two blocks too early"
    assert world.ask("registry", "pending") is None


# --- members and the council


COUNCIL_DOORS = (2, 3, 4, 5, 6, 7, 8, 10, 11, 16)


@pytest.mark.parametrize("method", COUNCIL_DOORS)
def test_what_members_took_over_the_council_has_no_part_in_for_good(method: int) -> None:
    calls: dict[int, tuple[Value, ...]] = {
        2: (int(EngineKind.RAFT), (0, VALIDATORS[0].key), 0, 0),
        4: (16, 7, 60),
        5: (16, 7),
        6: ("block_gas", 20_000_000, 0),
        7: (16, 2, bytes(32), "", 0),
        8: (16,),
        10: ((0, VALIDATORS[0].key), 0, 0),
        16: ("south",),
    }
    world = _world()
    call = (REGISTRY, method, 0, calls.get(method, ()))
    assert _one(world, call, ALICE).code not in (Code.ROLE, registry.FOR_MEMBERS)
    taken = program((REGISTRY, 12, NONE, (method,)))
    council = program((AUTH, 4, NONE, (ALICE.address, registry.COUNCIL)))
    world = World((*founding(), council, taken))
    assert _one(world, call, ALICE).code == registry.FOR_MEMBERS
    others = [door for door in COUNCIL_DOORS if door != method]
    codes = [_one(world, (REGISTRY, door, 0, calls.get(door, ())), ALICE).code for door in others]
    assert registry.FOR_MEMBERS not in codes
    assert _one(world, (REGISTRY, 12, 0, (method,)), ALICE).code == Code.ROLE
    assert world.ask("registry", "taken_over") == (method,)


@pytest.mark.parametrize("method", [1, 9, 12, 13])
def test_only_doors_of_the_council_can_be_taken_over(method: int) -> None:
    with pytest.raises(Rejected) as refused:
        World((*founding(), program((REGISTRY, 12, NONE, (method,)))))
    assert refused.value.code == Code.UNKNOWN_METHOD


def test_every_door_of_the_council_can_be_taken_over() -> None:
    doors = [m.id for m in CONTRACT.methods if Role(registry.COUNCIL) in m.capabilities]
    assert sorted(doors) == list(COUNCIL_DOORS)


def test_queries_show_what_comes() -> None:
    world = _world()
    assert world.ask("registry", "pending") is None
    _ready(world, 0)
    decided = _propose(world, EngineKind.RAFT, (0,))
    pending = world.ask("registry", "pending")
    assert isinstance(pending, tuple) and pending[1:3] == (decided.height + EPOCH_DELAY_BLOCKS, 0)
    [ready] = world.ask("registry", "ready")  # type: ignore[misc,str-unpack]
    assert ready[:2] == (VALIDATORS[0].key, "op0")  # type: ignore[index]
