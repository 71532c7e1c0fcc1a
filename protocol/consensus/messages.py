"""The messages of consensus: their fields, canonical bytes, what each signature covers, and what to verify.

Wire: the canonical array `(version, kind, field, ...)`, fields in the order of the class. A block travels as
one byte string, so that its decoder (which knows transactions and may use a cache) is a port.

Signed kinds: `Proposal`, `Vote`, `VoteRequest`, `Grant`: whatever can move safety, so that every fork
convicts somebody. What is signed is (genesis hash | canonical array) under a domain of its own, and the array
holds epoch, height and view, so a signature means one thing only (M5). `Beat`, `Status`, `HandOver` can only
waste time; they are believed because the link is authenticated. `Decided` carries a certificate.

*Departs* from consensus.md 2.3: a grant repeats the candidate's claim (height, accepted term and block). All
grants of an election then sign one content, the election certificate shows what the leader must propose
again, and a grant alone with an acknowledgement convicts a stale grant.

BFT adds kinds from 16 on and fills `Proposal.valid_view`; nothing here needs to change for it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, TypeAlias, assert_never

from protocol import codec, crypto
from protocol.chain.block import Block
from protocol.chain.certificate import (
    UNSIGNED,
    Certificate,
    Vote,
    compute_vote_digest,
    read_certificate,
    read_vote,
)
from protocol.chain.evidence import Statement, StatementKind
from protocol.chain.validators import EpochRecord
from protocol.codec import Reader, Value
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.params import BLOCK_BYTES_MAX, INT64_MAX, VALIDATORS_MAX
from protocol.types import BlockId, EpochNumber, Hash32, Height, PublicKey, Signature, View

MESSAGE_VERSION: Final = 1
MESSAGE_BYTES_MAX: Final = BLOCK_BYTES_MAX + 64 * 1024
"""A proposal with the largest block, an election certificate of 100 signatures, and its own fields."""

BEAT_COUNTER_BITS: Final = 48

_BITMAP_BYTES_MAX: Final = (VALIDATORS_MAX + 7) // 8


class MessageKind(IntEnum):
    """The second field of every message."""

    PROPOSAL = 1
    VOTE = 2
    VOTE_REQUEST = 3
    GRANT = 4
    BEAT = 5
    STATUS = 6
    DECIDED = 7
    HAND_OVER = 8


class Step(IntEnum):
    """How far a follower is with the proposal of its (height, term)."""

    IDLE = 0
    CHECKING = 1
    ACCEPTED = 2


@dataclass(frozen=True, slots=True)
class Claim:
    """What a candidate says about itself and every voter signs with it.

    Args:
        height: undecided height of the candidate.
        accepted_term: term in which it accepted a block at that height; 0 when it did not.
        accepted_id: that block; None when none.
        is_pre: a question only: nobody's term changes and nothing is promised (PreVote).
    """

    epoch: EpochNumber
    height: Height
    term: View
    candidate: int
    accepted_term: View
    accepted_id: BlockId | None
    is_pre: bool

    def to_value(self) -> tuple[Value, ...]:
        """Return the claim as a canonical value."""
        return (
            self.epoch,
            self.height,
            self.term,
            self.candidate,
            self.accepted_term,
            self.accepted_id,
            self.is_pre,
        )


@dataclass(frozen=True, slots=True)
class Election:
    """Prove that a quorum elected the leader of a term: the signatures of one claim's grants.

    Args:
        signers: bitmap, bit i is validator i.
        signatures: of the set bits, ascending.
    """

    claim: Claim
    signers: int
    signatures: tuple[Signature, ...]

    def signer_indexes(self) -> tuple[int, ...]:
        """List the validators who granted, ascending."""
        return tuple(i for i in range(self.signers.bit_length()) if self.signers >> i & 1)

    def to_value(self) -> Value:
        """Return the election as a canonical value."""
        bitmap = self.signers.to_bytes((self.signers.bit_length() + 7) // 8, "little")
        return (self.claim.to_value(), bitmap, self.signatures)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Propose a block in a view.

    Args:
        valid_view: BFT: view of the polka behind a re-proposal; None in Raft.
        election: Raft: proof that the proposer leads the term; not repeated to those who have seen it.
    """

    epoch: EpochNumber
    height: Height
    view: View
    proposer: int
    valid_view: View | None
    block: Block
    election: Election | None = None
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class VoteRequest:
    """Ask for grants."""

    claim: Claim
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class Grant:
    """Grant a claim: at most one a term, unless it is a PreVote."""

    claim: Claim
    voter: int
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class Beat:
    """The leader lives, and where it is.

    Args:
        counter: of this leader's beats; answers repeat it.
        has_block: it has proposed at this height.
    """

    epoch: EpochNumber
    height: Height
    term: View
    counter: int
    has_block: bool


@dataclass(frozen=True, slots=True)
class Status:
    """Answer a beat, or correct somebody whose term is behind.

    Args:
        beat_counter: of the beat that is answered; 0 when none is.
    """

    epoch: EpochNumber
    height: Height
    term: View
    beat_counter: int
    step: Step


@dataclass(frozen=True, slots=True)
class Decided:
    """Help somebody who lags: a final block with its certificate."""

    block: Block
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class HandOver:
    """The leader of a term asks a follower to campaign at once (Raft thesis 3.10, TimeoutNow)."""

    epoch: EpochNumber
    height: Height
    term: View


Message: TypeAlias = Proposal | Vote | VoteRequest | Grant | Beat | Status | Decided | HandOver
Signed: TypeAlias = Proposal | Vote | VoteRequest | Grant


# --- where a message belongs


def epoch_of(message: Message) -> EpochNumber:
    """Return the epoch that a message is of."""
    match message:
        case VoteRequest() | Grant():
            return message.claim.epoch
        case Decided():
            return message.certificate.epoch
        case _:
            return message.epoch


def height_of(message: Message) -> Height:
    """Return the height that a message is of."""
    match message:
        case VoteRequest() | Grant():
            return message.claim.height
        case Decided():
            return message.certificate.height
        case _:
            return message.height


def view_of(message: Message) -> View:
    """Return the term or round in which a message speaks; 0 when it speaks in none."""
    match message:
        case Proposal() | Vote():
            return message.view
        case VoteRequest() | Grant():
            return message.claim.term
        case Beat() | Status() | HandOver():
            return message.term
        case Decided():
            return View(0)
        case _:
            assert_never(message)


def signer_of(message: Signed) -> int:
    """Return the index of the validator who must have signed a message."""
    match message:
        case Proposal():
            return message.proposer
        case Vote():
            return message.validator
        case VoteRequest():
            return message.claim.candidate
        case Grant():
            return message.voter
        case _:
            assert_never(message)


# --- what is signed


def statement_of(message: Signed) -> Statement:
    """Return what a message's signature covers, as it stands in evidence."""
    match message:
        case Proposal():
            content = codec.encode(
                (
                    message.epoch,
                    message.height,
                    message.view,
                    message.proposer,
                    message.block.id,
                    message.valid_view,
                )
            )
            return Statement(StatementKind.PROPOSAL, content, message.signature)
        case Vote():
            content = codec.encode(
                (
                    message.epoch,
                    int(message.kind),
                    message.height,
                    message.view,
                    message.block_id,
                    message.valid_view,
                )
            )
            return Statement(StatementKind.VOTE, content, message.signature)
        case VoteRequest():
            content = codec.encode(message.claim.to_value())
            return Statement(StatementKind.VOTE_REQUEST, content, message.signature)
        case Grant():
            content = codec.encode(message.claim.to_value())
            return Statement(StatementKind.GRANT, content, message.signature)
        case _:
            assert_never(message)


def compute_sign_digest(message: Message, genesis_hash: Hash32) -> Hash32 | None:
    """Compute what its author signs; None for the kinds that are not signed."""
    if isinstance(message, Proposal | Vote | VoteRequest | Grant):
        return statement_of(message).compute_digest(genesis_hash)
    return None


def attach_signature(message: Message, signature: Signature) -> Message:
    """Return a message of a signed kind with its signature."""
    assert isinstance(message, Proposal | Vote | VoteRequest | Grant), "not a signed kind"
    return replace(message, signature=signature)


def list_signature_checks(
    message: Message, record: EpochRecord, genesis_hash: Hash32
) -> list[tuple[PublicKey, Hash32, Signature]]:
    """List every (public key, digest, signature) that must hold before consensus may see a message.

    Args:
        record: of the message's epoch.

    Raises:
        Rejected: `BAD_SIG`: it is of another epoch, or names validators that the record does not have.

    Cost: checking costs about 50 us an item; a proposal has one plus its election, `Decided` a quorum.
    """
    if epoch_of(message) != record.number:
        raise Rejected(Code.BAD_SIG, f"message of epoch {epoch_of(message)}, record is of {record.number}")
    checks: list[tuple[PublicKey, Hash32, Signature]] = []
    match message:
        case Proposal() | Vote() | VoteRequest() | Grant():
            digest = statement_of(message).compute_digest(genesis_hash)
            checks.append((_key_of(record, signer_of(message)), digest, message.signature))
            if isinstance(message, Proposal) and message.election is not None:
                election = message.election
                content = codec.encode(election.claim.to_value())
                granted = crypto.digest(Domain.GRANT, genesis_hash, content)
                signers = zip(election.signer_indexes(), election.signatures, strict=True)
                checks += [(_key_of(record, index), granted, signature) for index, signature in signers]
        case Decided():
            proof = message.certificate
            voted = compute_vote_digest(
                genesis_hash, proof.epoch, proof.kind, proof.height, proof.view, proof.block_id, None
            )
            voters = zip(proof.signer_indexes(), proof.signatures, strict=True)
            checks += [(_key_of(record, index), voted, signature) for index, signature in voters]
        case Beat() | Status() | HandOver():
            pass
        case _:
            assert_never(message)
    return checks


def _key_of(record: EpochRecord, index: int) -> PublicKey:
    if index >= len(record.validators):
        raise Rejected(Code.BAD_SIG, f"no validator {index} in epoch {record.number}")
    return record.validators[index].consensus_key


# --- bytes


def encode_message(message: Message) -> bytes:
    """Encode a message."""
    return codec.encode((MESSAGE_VERSION, *_fields_of(message)))


def _fields_of(message: Message) -> tuple[Value, ...]:
    match message:
        case Proposal():
            election = None if message.election is None else message.election.to_value()
            return (
                int(MessageKind.PROPOSAL),
                message.epoch,
                message.height,
                message.view,
                message.proposer,
                message.valid_view,
                message.block.encode(),
                election,
                message.signature,
            )
        case Vote():
            return int(MessageKind.VOTE), message.to_value()
        case VoteRequest():
            return int(MessageKind.VOTE_REQUEST), message.claim.to_value(), message.signature
        case Grant():
            return int(MessageKind.GRANT), message.claim.to_value(), message.voter, message.signature
        case Beat():
            return (
                int(MessageKind.BEAT),
                message.epoch,
                message.height,
                message.term,
                message.counter,
                message.has_block,
            )
        case Status():
            return (
                int(MessageKind.STATUS),
                message.epoch,
                message.height,
                message.term,
                message.beat_counter,
                int(message.step),
            )
        case Decided():
            return int(MessageKind.DECIDED), message.block.encode(), message.certificate.to_value()
        case HandOver():
            return int(MessageKind.HAND_OVER), message.epoch, message.height, message.term
        case _:
            assert_never(message)


def decode_message(data: bytes, decode_block: Callable[[bytes], Block]) -> Message:
    """Decode a message; no signature is verified.

    Args:
        decode_block: decodes a block of this chain and checks that the body is its header's.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`, and what `decode_block` raises.
    """
    fields = Reader(codec.decode(data, MESSAGE_BYTES_MAX), "consensus message")
    fields.integer(MESSAGE_VERSION, MESSAGE_VERSION)
    kind = MessageKind(fields.integer(MessageKind.PROPOSAL, MessageKind.HAND_OVER))
    message = _read_message(kind, fields, decode_block)
    fields.end()
    return message


def _read_message(kind: MessageKind, fields: Reader, decode_block: Callable[[bytes], Block]) -> Message:
    match kind:
        case MessageKind.PROPOSAL:
            return _read_proposal(fields, decode_block)
        case MessageKind.VOTE:
            return read_vote(fields.any())
        case MessageKind.VOTE_REQUEST:
            return VoteRequest(_read_claim(fields.any()), Signature(fields.data(64)))
        case MessageKind.GRANT:
            return Grant(_read_claim(fields.any()), _read_index(fields), Signature(fields.data(64)))
        case MessageKind.BEAT:
            return Beat(*_read_place(fields), fields.uint(BEAT_COUNTER_BITS), fields.flag())
        case MessageKind.STATUS:
            place = _read_place(fields)
            counter = fields.uint(BEAT_COUNTER_BITS)
            return Status(*place, counter, Step(fields.integer(Step.IDLE, Step.ACCEPTED)))
        case MessageKind.DECIDED:
            block = decode_block(fields.data_up_to(BLOCK_BYTES_MAX))
            return Decided(block, read_certificate(fields.any()))
        case MessageKind.HAND_OVER:
            return HandOver(*_read_place(fields))
        case _:
            assert_never(kind)


def _read_proposal(fields: Reader, decode_block: Callable[[bytes], Block]) -> Proposal:
    place = _read_place(fields)
    proposer = _read_index(fields)
    valid_view = fields.any()
    if valid_view is not None:
        valid_view = Reader((valid_view,), "valid view", 1).integer(0, INT64_MAX)
    body = fields.data_up_to(BLOCK_BYTES_MAX)
    election = fields.any()
    return Proposal(
        *place,
        proposer,
        None if valid_view is None else View(valid_view),
        decode_block(body),
        None if election is None else _read_election(election),
        Signature(fields.data(64)),
    )


def _read_place(fields: Reader) -> tuple[EpochNumber, Height, View]:
    epoch = EpochNumber(fields.uint(32))
    return epoch, Height(fields.integer(1, INT64_MAX)), View(fields.integer(0, INT64_MAX))


def _read_index(fields: Reader) -> int:
    return fields.integer(0, VALIDATORS_MAX - 1)


def _read_claim(value: Value) -> Claim:
    fields = Reader(value, "claim", 7)
    epoch, height, term = _read_place(fields)
    candidate = _read_index(fields)
    accepted_term = View(fields.integer(0, INT64_MAX))
    accepted_id = fields.optional_data(32)
    if (accepted_id is None) != (accepted_term == 0) or accepted_term >= max(term, 1):
        raise Rejected(
            Code.MALFORMED, "claim: accepted term and block disagree, or not below the term asked for"
        )
    return Claim(
        epoch,
        height,
        term,
        candidate,
        accepted_term,
        None if accepted_id is None else BlockId(accepted_id),
        fields.flag(),
    )


def _read_election(value: Value) -> Election:
    fields = Reader(value, "election", 3)
    claim = _read_claim(fields.any())
    bitmap = fields.data_up_to(_BITMAP_BYTES_MAX)
    if bitmap and not bitmap[-1]:
        raise Rejected(Code.NOT_CANONICAL, "election: signer bitmap ends in a zero byte")
    signers = int.from_bytes(bitmap, "little")
    signatures = fields.records(VALIDATORS_MAX, lambda v: Signature(Reader((v,), "signature", 1).data(64)))
    if signers.bit_count() != len(signatures):
        raise Rejected(Code.MALFORMED, "election: as many signatures as signers are needed")
    return Election(claim, signers, signatures)
