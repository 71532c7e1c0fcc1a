"""Messages: bytes and back, what signatures cover, limits, and hostile bytes."""

from dataclasses import fields, replace
from random import Random

import pytest

from protocol import codec
from protocol.chain.block import Block, decode_block
from protocol.chain.certificate import UNSIGNED, Certificate, Vote, VoteKind
from protocol.chain.claim import Claim
from protocol.consensus import election
from protocol.consensus.election import Election
from protocol.consensus.messages import (
    BUNDLE_VOTES_MAX,
    MESSAGE_BYTES_MAX,
    Beat,
    BftStatus,
    Decided,
    Grant,
    HandOver,
    Message,
    Phase,
    PolkaShown,
    Proposal,
    Signed,
    Status,
    Step,
    VoteBundle,
    VoteRequest,
    attach_signature,
    compute_sign_digest,
    decode_message,
    encode_message,
    epoch_of,
    height_of,
    list_signature_checks,
    view_of,
)
from protocol.consensus.polka import Polka, form_polka, list_votes
from protocol.consensus.safety import (
    SAFETY_BYTES_MAX,
    BftSafety,
    RaftSafety,
    SafetyRecord,
    Said,
    decode_safety,
)
from protocol.errors import Code, Rejected
from protocol.params import BLOCK_BYTES_MAX, VALIDATORS_MAX
from protocol.types import BlockId, EpochNumber, Hash32, Height, Signature, View
from tests.protocol.consensus.stage import Stage
from tests.simulation import ledger
from tests.simulation.ledger import GENESIS_HASH, ORIGIN

STAGE = Stage(3)
RECORD = STAGE.plan.records[0]
BLOCK = ledger.build(ORIGIN, STAGE.plan, View(1), RECORD.validators[0].consensus_key, 5)
SIGNATURE = Signature(bytes(range(64)))
CLAIM = Claim(EpochNumber(0), Height(1), View(3), 2, View(2), BLOCK.id, False)
ELECTION = Election(CLAIM, 0b101, (SIGNATURE, SIGNATURE))
VOTE = Vote(EpochNumber(0), VoteKind.ACK, Height(1), View(3), BLOCK.id, None, 1, SIGNATURE)
CERTIFICATE = Certificate(
    EpochNumber(0), VoteKind.ACK, Height(1), View(3), BLOCK.id, 0b11, (SIGNATURE, SIGNATURE)
)
PROPOSAL = Proposal(EpochNumber(0), Height(1), View(3), 2, None, BLOCK, ELECTION, SIGNATURE)
POLKA = Polka(replace(CERTIFICATE, kind=VoteKind.PREVOTE), View(1))
PREVOTE = replace(VOTE, kind=VoteKind.PREVOTE, valid_view=View(1))
STATUS = BftStatus(
    EpochNumber(0), Height(1), View(3), Phase.PREVOTE, 0b101, (1 << VALIDATORS_MAX) - 1, True, View(2), 2
)
BUNDLE = VoteBundle(EpochNumber(0), Height(1), (PREVOTE, replace(PREVOTE, block_id=None, valid_view=None)))
SIGNED: list[Signed] = [PROPOSAL, VOTE, VoteRequest(CLAIM, SIGNATURE), Grant(CLAIM, 1, SIGNATURE)]
MESSAGES: list[Message] = [
    *SIGNED,
    replace(PROPOSAL, election=None, valid_view=View(2)),
    VoteRequest(replace(CLAIM, accepted_term=View(0), accepted_id=None, is_pre=True), SIGNATURE),
    Beat(EpochNumber(0), Height(1), View(3), 77, True),
    Status(EpochNumber(0), Height(1), View(3), 77, Step.CHECKING),
    Decided(BLOCK, CERTIFICATE),
    HandOver(EpochNumber(0), Height(1), View(3)),
    replace(PROPOSAL, election=None, valid_view=View(2), polka=POLKA),
    PolkaShown(POLKA, BLOCK),
    PolkaShown(replace(POLKA, valid_view=None)),
    BUNDLE,
    replace(BUNDLE, votes=(), proposal=replace(PROPOSAL, election=None)),
    replace(STATUS, polka_view=None),
    STATUS,
]


def decode_body(data: bytes) -> Block:
    def refuse(raw: bytes) -> None:
        raise AssertionError

    return decode_block(data, refuse)  # type: ignore[arg-type]


def decode(data: bytes) -> Message:
    return decode_message(data, decode_body)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_round_trip(message: Message) -> None:
    data = encode_message(message)
    assert decode(data) == message
    assert encode_message(decode(data)) == data
    assert (epoch_of(message), height_of(message)) == (0, 1)
    assert view_of(message) == (0 if isinstance(message, Decided | VoteBundle) else 3)


def test_digests_of_different_kinds_and_chains_differ() -> None:
    digests = {compute_sign_digest(message, GENESIS_HASH) for message in SIGNED}
    digests |= {compute_sign_digest(message, Hash32(bytes(32))) for message in SIGNED}
    assert len(digests) == 2 * len(SIGNED) and None not in digests
    assert compute_sign_digest(MESSAGES[-1], GENESIS_HASH) is None


def test_a_vote_signs_what_a_certificate_verifies() -> None:
    assert compute_sign_digest(VOTE, GENESIS_HASH) == VOTE.compute_digest(GENESIS_HASH)


OTHER_VALUES: dict[str, object] = {
    "epoch": EpochNumber(9),
    "kind": VoteKind.PRECOMMIT,
    "height": Height(9),
    "view": View(9),
    "term": View(9),
    "block_id": BlockId(bytes(32)),
    "valid_view": View(1),
    "proposer": 1,
    "candidate": 1,
    "accepted_term": View(1),
    "accepted_id": BlockId(bytes(32)),
    "is_pre": True,
    "block": ledger.build(ORIGIN, STAGE.plan, View(1), RECORD.validators[1].consensus_key, 6),
}


@pytest.mark.parametrize("message", [VOTE, PROPOSAL], ids=lambda m: type(m).__name__)
def test_signature_covers_every_field(message: Vote | Proposal) -> None:
    """All but who signs (its key tells), the proofs (signed by others) and the signature."""
    for field in fields(message):
        if field.name in ("validator", "election", "polka", "signature"):
            continue
        other = replace(message, **{field.name: OTHER_VALUES[field.name]})  # type: ignore[arg-type]
        assert compute_sign_digest(other, GENESIS_HASH) != compute_sign_digest(message, GENESIS_HASH), field


def test_signature_covers_every_field_of_a_claim() -> None:
    for field in fields(Claim):
        other = replace(CLAIM, **{field.name: OTHER_VALUES[field.name]})  # type: ignore[arg-type]
        for kind in (VoteRequest(CLAIM), Grant(CLAIM, 1)):
            changed = replace(kind, claim=other)
            assert compute_sign_digest(changed, GENESIS_HASH) != compute_sign_digest(kind, GENESIS_HASH)


def test_every_signature_inside_is_listed() -> None:
    counts = {type(m).__name__: len(list_signature_checks(m, RECORD, GENESIS_HASH)) for m in MESSAGES[:4]}
    assert counts == {"Proposal": 3, "Vote": 1, "VoteRequest": 1, "Grant": 1}
    assert len(list_signature_checks(Decided(BLOCK, CERTIFICATE), RECORD, GENESIS_HASH)) == 2
    assert len(list_signature_checks(PolkaShown(POLKA), RECORD, GENESIS_HASH)) == 2
    founded = replace(PROPOSAL, election=None, polka=POLKA)
    assert len(list_signature_checks(founded, RECORD, GENESIS_HASH)) == 3
    assert len(list_signature_checks(replace(BUNDLE, proposal=founded), RECORD, GENESIS_HASH)) == 5
    assert list_signature_checks(STATUS, RECORD, GENESIS_HASH) == []


def test_signatures_of_a_polka_cover_what_its_voters_stood_on() -> None:
    signed = [replace(PREVOTE, validator=i, signature=UNSIGNED) for i in (0, 1)]
    digests = [compute_sign_digest(vote, GENESIS_HASH) for vote in signed]
    votes = [
        attach_signature(vote, STAGE.nodes[vote.validator].signer.sign(digest))
        for vote, digest in zip(signed, digests, strict=True)
        if digest is not None
    ]
    polka = form_polka(tuple(vote for vote in votes if isinstance(vote, Vote)))
    verify = STAGE.nodes[0].signer.verify
    checks = list_signature_checks(PolkaShown(polka), RECORD, GENESIS_HASH)
    assert len(checks) == 2 and all(verify(*check) for check in checks)
    for other in (replace(polka, valid_view=None), replace(polka, valid_view=View(2))):
        checks = list_signature_checks(PolkaShown(other), RECORD, GENESIS_HASH)
        assert not any(verify(*check) for check in checks)
    assert list_votes(polka.votes, polka.valid_view) == tuple(votes)


def test_listed_signatures_hold_for_what_was_signed() -> None:
    for unsigned in (replace(VOTE, signature=Signature(b"")), Grant(CLAIM, 1), VoteRequest(CLAIM)):
        digest = compute_sign_digest(unsigned, GENESIS_HASH)
        assert digest is not None
        index = 2 if isinstance(unsigned, VoteRequest) else 1
        signer = STAGE.nodes[index].signer
        signed = attach_signature(unsigned, signer.sign(digest))
        ((key, listed, signature),) = list_signature_checks(signed, RECORD, GENESIS_HASH)
        assert signer.verify(key, listed, signature)


@pytest.mark.parametrize(
    "message",
    [
        replace(VOTE, epoch=EpochNumber(1)),
        replace(VOTE, validator=3),
        Grant(CLAIM, 3, SIGNATURE),
        replace(PROPOSAL, election=replace(ELECTION, signers=0b1001)),
        Decided(BLOCK, replace(CERTIFICATE, signers=0b1001)),
        PolkaShown(replace(POLKA, votes=replace(POLKA.votes, signers=0b1001))),
        replace(PROPOSAL, polka=replace(POLKA, votes=replace(POLKA.votes, epoch=EpochNumber(1)))),
        replace(BUNDLE, votes=(replace(VOTE, validator=3),)),
        replace(BUNDLE, votes=(replace(VOTE, epoch=EpochNumber(1)),)),
        replace(BUNDLE, proposal=replace(PROPOSAL, proposer=3)),
    ],
    ids=range(10),
)
def test_foreign_epochs_and_validators_are_refused(message: Message) -> None:
    with pytest.raises(Rejected):
        list_signature_checks(message, RECORD, GENESIS_HASH)


@pytest.mark.parametrize(
    "message",
    [
        replace(PROPOSAL, proposer=VALIDATORS_MAX),
        Grant(CLAIM, VALIDATORS_MAX, SIGNATURE),
        VoteRequest(replace(CLAIM, accepted_term=View(3)), SIGNATURE),
        VoteRequest(replace(CLAIM, accepted_id=None), SIGNATURE),
        VoteRequest(replace(CLAIM, accepted_term=View(0)), SIGNATURE),
        replace(PROPOSAL, election=replace(ELECTION, signers=0b111)),
        Beat(EpochNumber(0), Height(0), View(1), 1, False),
        Beat(EpochNumber(0), Height(1), View(1), 1 << 48, False),
        replace(VOTE, signature=Signature(bytes(63))),
        PolkaShown(replace(POLKA, votes=CERTIFICATE)),
        replace(BUNDLE, votes=(replace(VOTE, height=Height(2)),)),
        replace(BUNDLE, votes=(replace(VOTE, epoch=EpochNumber(1)),)),
        replace(BUNDLE, proposal=replace(PROPOSAL, height=Height(2))),
        replace(STATUS, asked=VALIDATORS_MAX),
        replace(STATUS, prevotes=1 << 8 * ((VALIDATORS_MAX + 7) // 8)),
    ],
    ids=range(15),
)
def test_what_no_correct_node_says_is_refused(message: Message) -> None:
    with pytest.raises(Rejected):
        decode(encode_message(message))


@pytest.mark.parametrize("count", [VALIDATORS_MAX, VALIDATORS_MAX + 1])
def test_election_of_all_validators_fits(count: int) -> None:
    election = Election(CLAIM, (1 << count) - 1, (SIGNATURE,) * count)
    data = encode_message(replace(PROPOSAL, election=election))
    assert len(data) - len(BLOCK.encode()) < MESSAGE_BYTES_MAX - BLOCK_BYTES_MAX
    if count > VALIDATORS_MAX:
        with pytest.raises(Rejected):
            decode(data)
    else:
        decode(data)


@pytest.mark.parametrize("count", [VALIDATORS_MAX, VALIDATORS_MAX + 1])
def test_polka_of_all_validators_fits_beside_the_largest_block(count: int) -> None:
    votes = replace(POLKA.votes, signers=(1 << count) - 1, signatures=(SIGNATURE,) * count)
    message = replace(PROPOSAL, election=None, polka=replace(POLKA, votes=votes))
    data = encode_message(replace(BUNDLE, votes=(), proposal=message))
    assert len(data) - len(BLOCK.encode()) < MESSAGE_BYTES_MAX - BLOCK_BYTES_MAX
    if count > VALIDATORS_MAX:
        with pytest.raises(Rejected):
            decode(data)
    else:
        decode(data)


@pytest.mark.parametrize("count", [BUNDLE_VOTES_MAX, BUNDLE_VOTES_MAX + 1])
def test_bundle_is_bounded(count: int) -> None:
    data = encode_message(replace(BUNDLE, votes=(PREVOTE,) * count))
    assert len(data) < MESSAGE_BYTES_MAX - BLOCK_BYTES_MAX
    if count > BUNDLE_VOTES_MAX:
        with pytest.raises(Rejected):
            decode(data)
    else:
        decode(data)


def test_unknown_kinds_versions_and_extra_fields_are_refused() -> None:
    value = codec.decode(encode_message(VOTE), MESSAGE_BYTES_MAX)
    assert isinstance(value, tuple)
    for wrong in ((2, *value[1:]), (1, 9, *value[2:]), (1, 0, *value[2:]), (*value, 1), value[:-1], (1,), 7):
        with pytest.raises(Rejected):
            decode(codec.encode(wrong))
    with pytest.raises(Rejected):
        decode(bytes(MESSAGE_BYTES_MAX + 1))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_hostile_bytes_are_only_ever_rejected(message: Message) -> None:
    random = Random(7)
    good = encode_message(message)
    for _ in range(500):
        data = bytearray(good)
        for _ in range(random.randint(1, 4)):
            data[random.randrange(len(data))] = random.randrange(256)
        try:
            decode(bytes(data[: random.randint(1, len(data))]))
        except Rejected:
            pass


# --- the safety record

NO_PROMISE = BftSafety(EpochNumber(0), Height(1), None, None, None, None, None, None, None)
PROMISES = BftSafety(
    EpochNumber(0),
    Height(1),
    View(0),
    Said(View(5), BLOCK.id, View(3)),
    Said(View(4), None),
    View(2),
    BLOCK.id,
    POLKA,
    BLOCK,
)


def test_safety_record_is_small_beside_its_block() -> None:
    votes = replace(POLKA.votes, signers=0b1111, signatures=(SIGNATURE,) * 4)
    record = replace(PROMISES, polka=replace(POLKA, votes=votes))
    assert len(record.encode()) - len(BLOCK.encode()) < 1_024
    assert (NO_PROMISE.view, PROMISES.view) == (0, 5)


@pytest.mark.parametrize(
    "record",
    [
        RaftSafety(EpochNumber(0), Height(1), View(0), None, View(0), None),
        RaftSafety(EpochNumber(0), Height(1), View(4), 2, View(3), BLOCK),
        NO_PROMISE,
        PROMISES,
    ],
    ids=["raft, empty", "raft, full", "bft, empty", "bft, full"],
)
def test_safety_record_round_trip(record: SafetyRecord) -> None:
    assert decode_safety(record.encode(), decode_body) == record
    assert SAFETY_BYTES_MAX > BLOCK_BYTES_MAX


@pytest.mark.parametrize(
    "record",
    [
        RaftSafety(EpochNumber(0), Height(1), View(4), 2, View(5), BLOCK),
        RaftSafety(EpochNumber(0), Height(1), View(4), 2, View(0), BLOCK),
        RaftSafety(EpochNumber(0), Height(1), View(4), 2, View(3), None),
        RaftSafety(EpochNumber(0), Height(2), View(4), 2, View(3), BLOCK),
        replace(PROMISES, locked_view=None),
        replace(PROMISES, locked_id=None),
        replace(PROMISES, locked_view=View(4)),
        replace(PROMISES, polka=None),
        replace(PROMISES, block=None),
        replace(PROMISES, height=Height(2)),
        replace(PROMISES, epoch=EpochNumber(1)),
        replace(NO_PROMISE, locked_view=View(1), locked_id=BLOCK.id),
    ],
    ids=range(12),
)
def test_safety_record_that_contradicts_itself_is_refused(record: SafetyRecord) -> None:
    with pytest.raises(Rejected):
        decode_safety(record.encode(), decode_body)


def test_a_bitmap_has_a_bit_for_each_validator_and_no_byte_more() -> None:
    whole = (1 << 8 * election._BITMAP_BYTES_MAX) - 1
    assert whole.bit_length() >= VALIDATORS_MAX > whole.bit_length() - 8
    assert election.read_bitmap(codec.Reader((election.bitmap_bytes(whole),), "signers", 1)) == whole
    with pytest.raises(Rejected) as refused:
        election.read_bitmap(codec.Reader((election.bitmap_bytes(whole + 1),), "signers", 1))
    assert refused.value.code == Code.MALFORMED
