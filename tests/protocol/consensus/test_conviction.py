"""Which pairs convict, which do not, and that each crime is reported once."""

from dataclasses import replace

import pytest

from protocol.chain.certificate import Vote, VoteKind, certify
from protocol.chain.claim import Claim
from protocol.chain.conviction import convict
from protocol.chain.evidence import EvidenceKind
from protocol.chain.validators import EngineKind
from protocol.consensus import conviction
from protocol.consensus.conviction import STATEMENTS_KEPT, Witness
from protocol.consensus.inputs import BlockCommitted, Received
from protocol.consensus.messages import Decided, Grant, Proposal, Signed, VoteRequest
from protocol.types import BlockId, EpochNumber, Height, Signature, View
from tests.protocol.consensus.stage import Stage
from tests.simulation import ledger
from tests.simulation.ledger import ORIGIN

STAGE = Stage(3)
RECORD = STAGE.plan.records[0]
KEY = RECORD.validators[0].consensus_key
A, B = (ledger.build(ORIGIN, STAGE.plan, View(1), KEY, time) for time in (5, 6))
SIGNATURE = Signature(bytes(64))

ACK = Vote(EpochNumber(0), VoteKind.ACK, Height(5), View(3), A.id, None, 1, SIGNATURE)
CLAIM = Claim(EpochNumber(0), Height(5), View(4), 2, View(3), A.id, False)
BELOW = replace(CLAIM, accepted_term=View(2))
PRE = replace(BELOW, is_pre=True)
PROPOSAL = Proposal(EpochNumber(0), Height(5), View(4), 2, None, A, None, SIGNATURE)

PRECOMMIT = Vote(EpochNumber(0), VoteKind.PRECOMMIT, Height(5), View(3), A.id, None, 1, SIGNATURE)
PREVOTE = Vote(EpochNumber(0), VoteKind.PREVOTE, Height(5), View(4), B.id, View(2), 1, SIGNATURE)

GUILTY: list[tuple[Signed, Signed, EvidenceKind]] = [
    (ACK, replace(ACK, block_id=B.id), EvidenceKind.DUPLICATE_VOTE),
    (PROPOSAL, replace(PROPOSAL, block=B), EvidenceKind.DUPLICATE_PROPOSAL),
    (VoteRequest(CLAIM), VoteRequest(BELOW), EvidenceKind.DUPLICATE_CLAIM),
    (Grant(CLAIM, 1), Grant(replace(CLAIM, candidate=0), 1), EvidenceKind.DUPLICATE_VOTE),
    (ACK, Grant(BELOW, 1), EvidenceKind.STALE_GRANT),
    (ACK, Grant(replace(CLAIM, height=Height(4)), 1), EvidenceKind.STALE_GRANT),
    (replace(PROPOSAL, block=B), VoteRequest(CLAIM), EvidenceKind.FALSE_CLAIM),
    (PREVOTE, replace(PREVOTE, block_id=None, valid_view=None), EvidenceKind.DUPLICATE_VOTE),
    (PREVOTE, replace(PREVOTE, valid_view=View(3)), EvidenceKind.DUPLICATE_VOTE),
    (PRECOMMIT, PREVOTE, EvidenceKind.AMNESIA),
    (PRECOMMIT, replace(PREVOTE, valid_view=None), EvidenceKind.AMNESIA),
]

INNOCENT: list[tuple[Signed, Signed]] = [
    (ACK, ACK),
    (ACK, replace(ACK, view=View(4), block_id=B.id)),
    (ACK, replace(ACK, height=Height(6), block_id=B.id)),
    (ACK, replace(ACK, validator=2, block_id=B.id)),
    (ACK, replace(ACK, kind=VoteKind.PREVOTE, block_id=B.id)),
    (PROPOSAL, replace(PROPOSAL, view=View(5), block=B)),
    (PROPOSAL, replace(PROPOSAL, proposer=1, block=B)),
    (VoteRequest(CLAIM), VoteRequest(replace(BELOW, term=View(5)))),
    (VoteRequest(CLAIM), VoteRequest(PRE)),
    (Grant(CLAIM, 1), Grant(replace(CLAIM, candidate=0, is_pre=True), 1)),
    (Grant(CLAIM, 1), Grant(replace(CLAIM, candidate=0), 2)),
    (ACK, Grant(CLAIM, 1)),
    (ACK, Grant(PRE, 1)),
    (ACK, Grant(BELOW, 2)),
    (ACK, Grant(replace(BELOW, term=View(3), accepted_term=View(1)), 1)),
    (ACK, Grant(replace(BELOW, height=Height(6)), 1)),
    (PROPOSAL, VoteRequest(CLAIM)),
    (replace(PROPOSAL, block=B), VoteRequest(replace(CLAIM, accepted_term=View(0), accepted_id=None))),
    (replace(PROPOSAL, height=Height(6), block=B), VoteRequest(CLAIM)),
    (PRECOMMIT, replace(PREVOTE, valid_view=View(3))),
    (PRECOMMIT, replace(PREVOTE, block_id=A.id)),
    (PRECOMMIT, replace(PREVOTE, block_id=None, valid_view=None)),
    (PRECOMMIT, replace(PREVOTE, view=View(3))),
    (PRECOMMIT, replace(PREVOTE, view=View(2), valid_view=None)),
    (PRECOMMIT, replace(PREVOTE, height=Height(6))),
    (PRECOMMIT, replace(PREVOTE, validator=2)),
    (replace(PRECOMMIT, block_id=None), PREVOTE),
    (PRECOMMIT, replace(PRECOMMIT, view=View(4), block_id=B.id)),
]


@pytest.mark.parametrize(("first", "second", "kind"), GUILTY)
def test_guilty(first: Signed, second: Signed, kind: EvidenceKind) -> None:
    assert convict(conviction.testimony_of(first), conviction.testimony_of(second)) is kind
    assert convict(conviction.testimony_of(second), conviction.testimony_of(first)) is kind


@pytest.mark.parametrize(("first", "second"), INNOCENT)
def test_innocent(first: Signed, second: Signed) -> None:
    assert convict(conviction.testimony_of(first), conviction.testimony_of(second)) is None
    assert convict(conviction.testimony_of(second), conviction.testimony_of(first)) is None


def test_each_crime_is_reported_once() -> None:
    witness = Witness(RECORD)
    assert witness.hear(ACK) is None
    found = [witness.hear(replace(ACK, block_id=BlockId(bytes([i]) * 32))) for i in range(4)]
    assert [evidence is not None for evidence in found] == [True, False, False, False]
    assert found[0] is not None and found[0].accused == RECORD.validators[1].consensus_key


@pytest.mark.parametrize(("between", "found"), [(STATEMENTS_KEPT - 1, True), (STATEMENTS_KEPT, False)])
def test_memory_is_bounded(between: int, found: bool) -> None:
    witness = Witness(RECORD)
    witness.hear(ACK)
    for height in range(between):
        witness.hear(replace(ACK, height=Height(10 + height)))
    assert (witness.hear(replace(ACK, block_id=B.id)) is not None) is found


def test_two_certificates_of_one_place_convict_who_signed_both() -> None:
    """And they are all that is needed: nobody has to hear the votes themselves."""
    halves = [
        certify(tuple(replace(ACK, block_id=block.id, validator=voter) for voter in voters))
        for block, voters in ((A, (0, 1)), (B, (1, 2)))
    ]
    witness = Witness(RECORD)
    assert witness.hear_certificate(halves[0]) == [] and witness.hear_certificate(None) == []
    assert witness.hear_certificate(replace(halves[1], epoch=EpochNumber(1))) == []
    [evidence] = witness.hear_certificate(halves[1])
    assert evidence.kind is EvidenceKind.DUPLICATE_VOTE
    assert evidence.accused == RECORD.validators[1].consensus_key


@pytest.mark.parametrize("where", ["last certificate", "decided", "synced"])
@pytest.mark.parametrize("engine", [EngineKind.RAFT, EngineKind.BFT])
def test_a_certificate_from_anywhere_meets_what_was_heard_before(where: str, engine: EngineKind) -> None:
    stage = Stage(4, engines=(engine,))
    node, record = stage.nodes[0], stage.plan.records[0]
    kind = VoteKind.ACK if engine is EngineKind.RAFT else VoteKind.PRECOMMIT
    first = ledger.build(ORIGIN, stage.plan, View(1), record.validators[1].consensus_key, 5)
    other = BlockId(b"o" * 32)
    split = stage.sign(3, Vote(record.number, kind, Height(1), View(0), other, None, 3))
    stage.step(node, Received(3, split, record.number))
    votes = [Vote(record.number, kind, Height(1), View(0), first.id, None, voter) for voter in (1, 2, 3)]
    proof = certify(tuple(stage.sign(vote.validator, vote) for vote in votes))
    match where:
        case "decided":
            stage.step(node, Received(1, Decided(first, proof), record.number))
        case "synced":
            node.chain.append((first, proof))
            stage.step(node, BlockCommitted(Height(1), first.id, first.header.time_ms, proof))
        case _:
            honest = certify(tuple(stage.sign(v.validator, v) for v in votes[:2]))
            node.chain.append((first, proof))
            stage.step(node, BlockCommitted(Height(1), first.id, first.header.time_ms, honest))
            assert node.evidence == []
            stage.oracle.on_commit(1, first, proof)
            second = ledger.build(node.head, stage.plan, View(0), record.validators[1].consensus_key, 9)
            more = [replace(vote, height=Height(2), block_id=second.id) for vote in votes]
            signed = certify(tuple(stage.sign(vote.validator, vote) for vote in more))
            stage.step(node, Received(1, Decided(second, signed), record.number))
    [evidence] = node.evidence
    assert evidence.accused == record.validators[3].consensus_key
