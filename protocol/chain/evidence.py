"""Evidence: two signed statements of one validator that must not both exist.

A statement is what a validator signed, kept as the bytes and the domain of its digest, so this file does not
know what they say: `conviction.py` reads them and says which pairs convict, `consensus/messages.py` makes
them.

*Rule*: never accuse on statements of two different signers.

*Source*: consensus.md 2.8.
"""

from dataclasses import dataclass
from enum import IntEnum

from protocol import codec, crypto
from protocol.codec import Reader, Value
from protocol.crypto import Domain
from protocol.params import INT64_MAX
from protocol.types import EpochNumber, Hash32, Height, PublicKey, Signature

STATEMENT_BYTES_MAX = 2_048
EVIDENCE_BYTES_MAX = 2 * STATEMENT_BYTES_MAX + 512


class EvidenceKind(IntEnum):
    """Which rule the two statements break."""

    DUPLICATE_VOTE = 1
    DUPLICATE_PROPOSAL = 2
    STALE_GRANT = 3
    FALSE_CLAIM = 4
    AMNESIA = 5
    DUPLICATE_CLAIM = 6


class StatementKind(IntEnum):
    """Which kind of message a statement is, hence the domain of its digest."""

    VOTE = 1
    PROPOSAL = 2
    VOTE_REQUEST = 3
    GRANT = 4


_DOMAINS = {
    StatementKind.VOTE: Domain.VOTE,
    StatementKind.PROPOSAL: Domain.PROPOSAL,
    StatementKind.VOTE_REQUEST: Domain.VOTE_REQUEST,
    StatementKind.GRANT: Domain.GRANT,
}


@dataclass(frozen=True, slots=True)
class Statement:
    """What a validator signed: canonical content, without the signature."""

    kind: StatementKind
    content: bytes
    signature: Signature

    def compute_digest(self, genesis_hash: Hash32) -> Hash32:
        """Compute the digest that the validator signed."""
        return crypto.digest(_DOMAINS[self.kind], genesis_hash, self.content)

    def to_value(self) -> Value:
        """Return the statement as a canonical value."""
        return (int(self.kind), self.content, self.signature)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Convict one validator by two statements."""

    kind: EvidenceKind
    epoch: EpochNumber
    height: Height
    accused: PublicKey
    first: Statement
    second: Statement

    def to_value(self) -> Value:
        """Return the evidence as a canonical value."""
        return (
            int(self.kind),
            self.epoch,
            self.height,
            self.accused,
            self.first.to_value(),
            self.second.to_value(),
        )

    def encode(self) -> bytes:
        """Encode the evidence."""
        return codec.encode(self.to_value())

    def compute_hash(self) -> Hash32:
        """Compute the identity of this evidence."""
        return crypto.digest(Domain.EVIDENCE, self.encode())


def decode_evidence(data: bytes) -> Evidence:
    """Decode evidence; nothing is verified.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    return read_evidence(codec.decode(data, EVIDENCE_BYTES_MAX))


def read_evidence(value: Value) -> Evidence:
    """Read evidence from a canonical value; nothing is verified.

    Raises:
        Rejected: `MALFORMED`.
    """
    fields = Reader(value, "evidence", 6)
    return Evidence(
        EvidenceKind(fields.integer(EvidenceKind.DUPLICATE_VOTE, EvidenceKind.DUPLICATE_CLAIM)),
        EpochNumber(fields.uint(32)),
        Height(fields.integer(1, INT64_MAX)),
        PublicKey(fields.data(33)),
        _read_statement(fields.any()),
        _read_statement(fields.any()),
    )


def _read_statement(value: Value) -> Statement:
    fields = Reader(value, "statement", 3)
    return Statement(
        StatementKind(fields.integer(StatementKind.VOTE, StatementKind.GRANT)),
        fields.data_up_to(STATEMENT_BYTES_MAX),
        Signature(fields.data(64)),
    )
