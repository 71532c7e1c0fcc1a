"""The messages of consensus: their fields, canonical bytes, what each signature covers, and what to verify.

Wire: the canonical array `(version, kind, field, ...)`, fields in the order of the class. A block travels as
one byte string, so that its decoder (which knows transactions and may use a cache) is a port.

Signed kinds: `Proposal`, `Vote`, `VoteRequest`, `Grant`: whatever can move safety, so that every fork
convicts somebody. What is signed is (genesis hash | canonical array) under a domain of its own, and the array
holds epoch, height and view, so a signature means one thing only (M5). `Beat`, `Status`, `HandOver` can only
waste time; they are believed because the link is authenticated. `Decided` carries a certificate.

BFT has kinds of its own from 16 on. None of them is signed: `PolkaShown` and `VoteBundle` hold what others
signed, so what was lost can come from anybody; `BftStatus` asks for it.

*Departs* from consensus.md 2.3: a grant repeats the candidate's claim (height, accepted term and block). All
grants of an election then sign one content, the election certificate shows what the leader must propose
again, and a grant alone with an acknowledgement convicts a stale grant.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, TypeAlias, assert_never

from protocol import codec, crypto
from protocol.chain.block import Block
from protocol.chain.certificate import (
    CERTIFICATE_BYTES_MAX,
    UNSIGNED,
    Certificate,
    Vote,
    compute_vote_digest,
    read_certificate,
    read_vote,
)
from protocol.chain.claim import Claim, read_claim
from protocol.chain.evidence import Statement, StatementKind
from protocol.chain.validators import EpochRecord
from protocol.codec import Reader, Value
from protocol.consensus.election import Election, bitmap_bytes, read_bitmap, read_election
from protocol.consensus.polka import Polka, read_optional_view, read_polka
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.params import BLOCK_BYTES_MAX, INT64_MAX, VALIDATORS_MAX
from protocol.types import EpochNumber, Hash32, Height, PublicKey, Signature, View

MESSAGE_VERSION: Final = 1
MESSAGE_BYTES_MAX: Final = BLOCK_BYTES_MAX + 64 * 1024
"""A proposal with the largest block, a proof of 100 signatures, and its own fields."""

BEAT_COUNTER_BITS: Final = 48

BUNDLE_VOTES_MAX: Final = 4 * VALIDATORS_MAX
"""Both votes of every validator in two rounds: the asker's and ours."""


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
    POLKA_SHOWN = 16
    BFT_STATUS = 17
    VOTE_BUNDLE = 18


class Step(IntEnum):
    """How far a follower is with the proposal of its (height, term)."""

    IDLE = 0
    CHECKING = 1
    ACCEPTED = 2


class Phase(IntEnum):
    """What a BFT validator waits for in its round: a proposal, a polka, a certificate."""

    PROPOSE = 0
    PREVOTE = 1
    PRECOMMIT = 2


@dataclass(frozen=True, slots=True)
class Proposal:
    """Propose a block in a view.

    Args:
        valid_view: BFT: view of the polka behind a re-proposal; None for a fresh block, and in Raft.
        election: Raft: proof that the proposer leads the term; not repeated to those who have seen it.
        polka: BFT: of `valid_view` and this block; None exactly when `valid_view` is.
    """

    epoch: EpochNumber
    height: Height
    view: View
    proposer: int
    valid_view: View | None
    block: Block
    election: Election | None = None
    signature: Signature = UNSIGNED
    polka: Polka | None = None


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


@dataclass(frozen=True, slots=True)
class PolkaShown:
    """BFT: show why we lock, or the newest polka to somebody who has an older one.

    Args:
        block: of the polka, for somebody who lacks it.
    """

    polka: Polka
    block: Block | None = None


@dataclass(frozen=True, slots=True)
class BftStatus:
    """BFT: say where we are and what we have, so that others send what we lack.

    Args:
        prevotes, precommits: bitmaps of those that we have in this view.
        has_proposal: we have the proposal of this view.
        polka_view: of our newest polka whose block we have.
        asked: the validator who shall send what is large; another one each time.
    """

    epoch: EpochNumber
    height: Height
    view: View
    phase: Phase
    prevotes: int
    precommits: int
    has_proposal: bool
    polka_view: View | None
    asked: int


@dataclass(frozen=True, slots=True)
class VoteBundle:
    """BFT: hand on what others signed.

    *Rules*: votes and proposal are of this epoch and height.
    """

    epoch: EpochNumber
    height: Height
    votes: tuple[Vote, ...]
    proposal: Proposal | None = None


Message: TypeAlias = (
    Proposal
    | Vote
    | VoteRequest
    | Grant
    | Beat
    | Status
    | Decided
    | HandOver
    | PolkaShown
    | BftStatus
    | VoteBundle
)
Signed: TypeAlias = Proposal | Vote | VoteRequest | Grant


# --- where a message belongs


def epoch_of(message: Message) -> EpochNumber:
    """Return the epoch that a message is of."""
    match message:
        case VoteRequest() | Grant():
            return message.claim.epoch
        case Decided():
            return message.certificate.epoch
        case PolkaShown():
            return message.polka.votes.epoch
        case _:
            return message.epoch


def height_of(message: Message) -> Height:
    """Return the height that a message is of."""
    match message:
        case VoteRequest() | Grant():
            return message.claim.height
        case Decided():
            return message.certificate.height
        case PolkaShown():
            return message.polka.height
        case _:
            return message.height


def view_of(message: Message) -> View:
    """Return the term or round in which a message speaks; 0 when it speaks in none."""
    match message:
        case Proposal() | Vote() | BftStatus():
            return message.view
        case PolkaShown():
            return message.polka.view
        case VoteRequest() | Grant():
            return message.claim.term
        case Beat() | Status() | HandOver():
            return message.term
        case Decided() | VoteBundle():
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
) -> list["SignatureCheck"]:
    """List every (public key, digest, signature) that must hold before consensus may see a message.

    Args:
        record: of the message's epoch.

    Raises:
        Rejected: `BAD_SIG`: it is of another epoch, or names validators that the record does not have.

    Cost: checking costs about 50 us an item; a proposal has one plus its proof, `Decided` a quorum.
    """
    if epoch_of(message) != record.number:
        raise Rejected(Code.BAD_SIG, f"message of epoch {epoch_of(message)}, record is of {record.number}")
    match message:
        case Proposal():
            checks = [_check_of(message, record, genesis_hash)]
            if message.election is not None:
                checks += _election_checks(message.election, record, genesis_hash)
            if message.polka is not None:
                polka = message.polka
                checks += _certificate_checks(polka.votes, polka.valid_view, record, genesis_hash)
            return checks
        case Vote() | VoteRequest() | Grant():
            return [_check_of(message, record, genesis_hash)]
        case Decided():
            return _certificate_checks(message.certificate, None, record, genesis_hash)
        case PolkaShown():
            return _certificate_checks(message.polka.votes, message.polka.valid_view, record, genesis_hash)
        case VoteBundle():
            parts: list[Message] = [*message.votes]
            if message.proposal is not None:
                parts.append(message.proposal)
            return [check for part in parts for check in list_signature_checks(part, record, genesis_hash)]
        case Beat() | Status() | HandOver() | BftStatus():
            return []
        case _:
            assert_never(message)


SignatureCheck: TypeAlias = tuple[PublicKey, Hash32, Signature]


def _check_of(message: Signed, record: EpochRecord, genesis_hash: Hash32) -> SignatureCheck:
    digest = statement_of(message).compute_digest(genesis_hash)
    return _key_of(record, signer_of(message)), digest, message.signature


def _election_checks(election: Election, record: EpochRecord, genesis_hash: Hash32) -> list[SignatureCheck]:
    digest = crypto.digest(Domain.GRANT, genesis_hash, codec.encode(election.claim.to_value()))
    signers = zip(election.signer_indexes(), election.signatures, strict=True)
    return [(_key_of(record, index), digest, signature) for index, signature in signers]


def _certificate_checks(
    proof: Certificate, valid_view: View | None, record: EpochRecord, genesis_hash: Hash32
) -> list[SignatureCheck]:
    if proof.epoch != record.number:
        raise Rejected(Code.BAD_SIG, f"votes of epoch {proof.epoch} in a message of {record.number}")
    digest = compute_vote_digest(
        genesis_hash, proof.epoch, proof.kind, proof.height, proof.view, proof.block_id, valid_view
    )
    voters = zip(proof.signer_indexes(), proof.signatures, strict=True)
    return [(_key_of(record, index), digest, signature) for index, signature in voters]


def _key_of(record: EpochRecord, index: int) -> PublicKey:
    if index >= len(record.validators):
        raise Rejected(Code.BAD_SIG, f"no validator {index} in epoch {record.number}")
    return record.validators[index].consensus_key


# --- bytes


def encode_message(message: Message) -> bytes:
    """Encode a message."""
    return codec.encode((MESSAGE_VERSION, *_fields_of(message)))


def encode_decided(block: bytes, certificate: bytes) -> bytes:
    """Encode `Decided` from an encoded block and its encoded certificate, as a store keeps them."""
    proof = codec.decode(certificate, CERTIFICATE_BYTES_MAX)
    return codec.encode((MESSAGE_VERSION, int(MessageKind.DECIDED), block, proof))


def _fields_of(message: Message) -> tuple[Value, ...]:
    match message:
        case Proposal():
            return int(MessageKind.PROPOSAL), *_proposal_fields(message)
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
        case PolkaShown():
            block = None if message.block is None else message.block.encode()
            return int(MessageKind.POLKA_SHOWN), message.polka.to_value(), block
        case BftStatus():
            return (
                int(MessageKind.BFT_STATUS),
                message.epoch,
                message.height,
                message.view,
                int(message.phase),
                bitmap_bytes(message.prevotes),
                bitmap_bytes(message.precommits),
                message.has_proposal,
                message.polka_view,
                message.asked,
            )
        case VoteBundle():
            votes = tuple([vote.to_value() for vote in message.votes])
            proposal = None if message.proposal is None else _proposal_fields(message.proposal)
            return int(MessageKind.VOTE_BUNDLE), message.epoch, message.height, votes, proposal
        case _:
            assert_never(message)


def _proposal_fields(proposal: Proposal) -> tuple[Value, ...]:
    return (
        proposal.epoch,
        proposal.height,
        proposal.view,
        proposal.proposer,
        proposal.valid_view,
        proposal.block.encode(),
        None if proposal.election is None else proposal.election.to_value(),
        proposal.signature,
        None if proposal.polka is None else proposal.polka.to_value(),
    )


def decode_message(data: bytes, decode_block: Callable[[bytes], Block]) -> Message:
    """Decode a message; no signature is verified.

    Args:
        decode_block: decodes a block of this chain and checks that the body is its header's.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`, and what `decode_block` raises.
    """
    fields = Reader(codec.decode(data, MESSAGE_BYTES_MAX), "consensus message")
    fields.integer(MESSAGE_VERSION, MESSAGE_VERSION)
    number = fields.integer(MessageKind.PROPOSAL, MessageKind.VOTE_BUNDLE)
    kind = next((kind for kind in MessageKind if kind == number), None)
    if kind is None:
        raise Rejected(Code.MALFORMED, f"consensus message: no kind {number}")
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
            return VoteRequest(read_claim(fields.any()), Signature(fields.data(64)))
        case MessageKind.GRANT:
            return Grant(read_claim(fields.any()), _read_index(fields), Signature(fields.data(64)))
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
        case MessageKind.POLKA_SHOWN:
            polka = read_polka(fields.any())
            body = fields.any()
            return PolkaShown(polka, None if body is None else decode_block(_as_body(body)))
        case MessageKind.BFT_STATUS:
            return _read_bft_status(fields)
        case MessageKind.VOTE_BUNDLE:
            return _read_bundle(fields, decode_block)
        case _:
            assert_never(kind)


def _read_bft_status(fields: Reader) -> BftStatus:
    return BftStatus(
        *_read_place(fields),
        Phase(fields.integer(Phase.PROPOSE, Phase.PRECOMMIT)),
        read_bitmap(fields),
        read_bitmap(fields),
        fields.flag(),
        read_optional_view(fields.any()),
        _read_index(fields),
    )


def _read_bundle(fields: Reader, decode_block: Callable[[bytes], Block]) -> VoteBundle:
    epoch = EpochNumber(fields.uint(32))
    height = Height(fields.integer(1, INT64_MAX))
    votes = fields.records(BUNDLE_VOTES_MAX, read_vote)
    value = fields.any()
    proposal = None
    if value is not None:
        inner = Reader(value, "proposal", 9)
        proposal = _read_proposal(inner, decode_block)
    parts: list[Vote | Proposal] = [*votes] if proposal is None else [*votes, proposal]
    if any((part.epoch, part.height) != (epoch, height) for part in parts):
        raise Rejected(Code.MALFORMED, "vote bundle: holds something of another place")
    return VoteBundle(epoch, height, votes, proposal)


def _as_body(value: Value) -> bytes:
    return Reader((value,), "block", 1).data_up_to(BLOCK_BYTES_MAX)


def _read_proposal(fields: Reader, decode_block: Callable[[bytes], Block]) -> Proposal:
    place = _read_place(fields)
    proposer = _read_index(fields)
    valid_view = read_optional_view(fields.any())
    block = decode_block(fields.data_up_to(BLOCK_BYTES_MAX))
    election = fields.any()
    signature = Signature(fields.data(64))
    polka = fields.any()
    return Proposal(
        *place,
        proposer,
        valid_view,
        block,
        None if election is None else read_election(election),
        signature,
        None if polka is None else read_polka(polka),
    )


def _read_place(fields: Reader) -> tuple[EpochNumber, Height, View]:
    epoch = EpochNumber(fields.uint(32))
    return epoch, Height(fields.integer(1, INT64_MAX)), View(fields.integer(0, INT64_MAX))


def _read_index(fields: Reader) -> int:
    return fields.integer(0, VALIDATORS_MAX - 1)
