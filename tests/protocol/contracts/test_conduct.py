"""registry, conduct: evidence in a block is written down once, and suspends its operator until lifted."""

from dataclasses import replace

import pytest

from protocol import crypto
from protocol.chain.evidence import Evidence, EvidenceKind
from protocol.chain.receipt import Receipt
from protocol.chain.validators import EngineKind, EpochRecord
from protocol.codec import Value
from protocol.contracts import conduct
from protocol.contracts.registry import records as registry
from protocol.contracts.registry.epochs import compute_ready_digest
from protocol.crypto import SecretKey
from protocol.errors import Code, Rejected
from protocol.params import BLOCK_EVIDENCE_MAX, EVIDENCE_BLOCKS_MAX
from protocol.transition import BlockContext, Execution, check_accusation, execute_block
from protocol.types import EpochNumber, Height
from tests.protocol.accuse import double_vote, forget, record_of
from tests.protocol.ledger_world import ALICE, AUTH, BOB, NONE, Person, World, founding, person, program

NAMES = ("v0", "v1", "v2", "v3")
REGISTRY = 4
OLD = record_of(NAMES)
NEW = record_of(NAMES, 1, 50)
NOW = record_of(NAMES, 2, 100)
RECORDS = {record.number: record for record in (OLD, NEW, NOW)}


def _world() -> World:
    council = program((AUTH, 4, NONE, (ALICE.address, registry.COUNCIL)))
    opened = program(*[(AUTH, 1, NONE, (person(f"node-{name}").address,)) for name in (*NAMES, "v4", "x")])
    return World((*founding(), council, opened))


def _context(world: World, height: int = 0, record: EpochRecord = OLD) -> BlockContext:
    context = world.next_context()
    at = Height(height or context.height)
    return replace(context, height=at, record=record, find_epoch=RECORDS.get)


def _convict(world: World, *evidence: Evidence, height: int = 0, record: EpochRecord = OLD) -> Execution:
    context = _context(world, height, record)
    execution = execute_block(world.state, world.rules, context, (), evidence)
    world.state.apply(execution.writes)
    world.height, world.time_ms = context.height, context.time_ms
    return execution


def _refusal(world: World, evidence: Evidence, height: int = 0, record: EpochRecord = OLD) -> Rejected:
    with pytest.raises(Rejected) as failure:
        check_accusation(world.state, world.rules, _context(world, height, record), evidence)
    with pytest.raises(Rejected) as again:
        _convict(world, evidence, height=height, record=record)
    assert again.value.code == failure.value.code
    return failure.value


def _one(world: World, instruction: Value, who: Person) -> Receipt:
    (receipt,) = world.run(world.tx(instruction, actors=(who,))).receipts
    return receipt


def _ready(world: World, key: str, operator: str, node: str) -> None:
    who, secret = person(node), SecretKey(crypto.sha256(key.encode()))
    proof = crypto.sign(secret, compute_ready_digest(who.key, secret.public_key))
    arguments = (who.address, who.key, secret.public_key, proof, operator, "1.0", 3, 0)
    assert _one(world, (REGISTRY, 1, 0, arguments), who).is_ok


def _propose(world: World, *names: str) -> Receipt:
    keys: Value = (0, *[person(name).key for name in names])
    return _one(world, (REGISTRY, 2, 0, (int(EngineKind.RAFT), keys, 0, 0)), ALICE)


def _lift(world: World, operator: str, by: Person = ALICE) -> Receipt:
    return _one(world, (REGISTRY, 16, 0, (operator,)), by)


def test_evidence_of_a_block_is_written_down() -> None:
    world = _world()
    evidence = double_vote("v1", world.rules.genesis_hash, height=1, view=3)
    execution = _convict(world, evidence, height=7)
    assert execution.receipts == () and execution.gas == 0
    row = (person("v1").key, 0, EvidenceKind.DUPLICATE_VOTE, "v1", person("node-v1").key, 1, 3, 7)
    assert world.ask("registry", "convictions") == ((*row, evidence.compute_hash(), 0),)


def test_a_deed_is_news_once_however_it_is_shown() -> None:
    world, chain = _world(), _world().rules.genesis_hash
    _convict(world, double_vote("v1", chain), forget("v1", chain), double_vote("v2", chain))
    for again in (
        double_vote("v1", chain),
        double_vote("v1", chain, salt=5),
        double_vote("v1", chain, height=9),
    ):
        assert _refusal(world, again).code == Code.EXISTS
    one = double_vote("v3", chain)
    with pytest.raises(Rejected) as failure:
        _convict(world, one, replace(one, first=one.second, second=one.first))
    assert failure.value.code == Code.EXISTS


def test_nobody_is_convicted_without_proof() -> None:
    world, chain = _world(), _world().rules.genesis_hash
    honest = double_vote("v1", chain)
    for wrong in (
        double_vote("stranger", chain),
        replace(honest, accused=person("v2").key),
        replace(honest, second=honest.first),
        replace(honest, kind=EvidenceKind.AMNESIA),
        replace(honest, second=double_vote("v1", chain, view=1).second),
    ):
        assert _refusal(world, wrong).code == Code.BAD_PROOF
    assert world.ask("registry", "convictions") == ()


def test_evidence_of_an_epoch_that_ended_lies_inside_it() -> None:
    chain = _world().rules.genesis_hash
    for height, holds in ((49, False), (50, True), (99, True), (100, False)):
        evidence = double_vote("v1", chain, epoch=1, height=height)
        if holds:
            _convict(_world(), evidence, height=200, record=NOW)
        else:
            assert _refusal(_world(), evidence, 200, NOW).code == Code.BAD_PROOF
    assert _refusal(_world(), double_vote("v1", chain, epoch=3, height=150), 200, NOW).code == Code.BAD_PROOF
    # A member of no epoch but the first cannot be accused in a later one.
    assert _refusal(_world(), double_vote("v1", chain, epoch=1, height=60), 60).code == Code.BAD_PROOF


def test_evidence_at_the_age_limit_and_one_above() -> None:
    evidence = double_vote("v1", _world().rules.genesis_hash, height=5)
    _convict(_world(), evidence, height=5 + EVIDENCE_BLOCKS_MAX)
    assert _refusal(_world(), evidence, 6 + EVIDENCE_BLOCKS_MAX).code == Code.EXPIRED


def test_as_many_pieces_as_a_block_takes() -> None:
    names = tuple(f"many{n}" for n in range(BLOCK_EVIDENCE_MAX + 1))
    world, record = _world(), record_of(names)
    pieces = [double_vote(name, world.rules.genesis_hash) for name in names]
    _convict(_world(), *pieces[:-1], record=record)
    with pytest.raises(Rejected, match="17 pieces") as failure:
        _convict(world, *pieces, record=record)
    assert failure.value.code == Code.INVALID_BLOCK


@pytest.mark.parametrize(
    ("key", "operator", "node"),
    [("v1", "another", "node-x"), ("v4", "v1", "node-x"), ("v4", "another", "node-v1")],
    ids=["by its key", "by its name", "on its node"],
)
def test_a_suspended_operator_is_in_no_next_epoch(key: str, operator: str, node: str) -> None:
    world = _world()
    _ready(world, "v0", "v0", "node-v0")
    _ready(world, key, operator, node)
    _convict(world, double_vote("v1", world.rules.genesis_hash))
    refused = _propose(world, "v0", key)
    assert refused.code == conduct.SUSPENDED
    assert refused.reason is not None and refused.reason.actual == operator
    assert _propose(world, "v0").is_ok, "the others go on"


def test_the_council_lifts_what_stands_and_only_what_comes_after_counts_again() -> None:
    world, chain = _world(), _world().rules.genesis_hash
    _ready(world, "v1", "v1", "node-v1")
    _convict(world, double_vote("v1", chain, height=2), forget("v1", chain))
    assert _lift(world, "v1", BOB).code == Code.ROLE
    assert _lift(world, "v2").code == conduct.NOT_SUSPENDED
    lifted = _lift(world, "v1")
    assert lifted.is_ok and lifted.results == (2,)
    assert _lift(world, "v1").code == conduct.NOT_SUSPENDED
    assert _propose(world, "v1").is_ok
    assert _one(world, (REGISTRY, 3, 0, ()), ALICE).is_ok
    old = double_vote("v1", chain, height=lifted.height, salt=3)
    assert _refusal(world, old).code == Code.EXISTS
    _convict(world, double_vote("v1", chain, height=lifted.height + 1))
    assert _propose(world, "v1").code == conduct.SUSPENDED


def test_nothing_changes_by_itself() -> None:
    """What is decided already happens (M13): the council may cancel it, evidence may not."""
    world = _world()
    _ready(world, "v1", "v1", "node-v1")
    decided = _propose(world, "v1")
    _convict(world, double_vote("v1", world.rules.genesis_hash))
    world.run()
    record = world.run().next_record
    assert record is not None and decided.results == (record.first_height - 1,)
    assert [validator.operator for validator in record.validators] == ["v1"]


def test_epoch_records_are_those_that_are_given() -> None:
    world = _world()
    context = replace(_context(world, 200, NOW), find_epoch=None)
    with pytest.raises(Rejected, match="no epoch 1") as failure:
        evidence = double_vote("v1", world.rules.genesis_hash, epoch=1, height=60)
        check_accusation(world.state, world.rules, context, evidence)
    assert failure.value.code == Code.BAD_PROOF
    assert RECORDS.get(EpochNumber(9)) is None
