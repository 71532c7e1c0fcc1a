"""The polka: a quorum of prevotes for one block in one view, the proof on which a lock stands.

A prevote says on which earlier polka its proposal stood (`valid_view`), and votes form a polka only when they
agree on that too. So a polka shows what its voters relied on, and who prevoted against an own precommit is
convicted by two statements (`conviction.py`).

Proofs only: who may do what with one is `bft.py`. Signatures are verified before, as
`messages.list_signature_checks` says.

*Source*: consensus.md 2.3, 2.8.
"""

from dataclasses import dataclass

from protocol.chain.certificate import Certificate, Vote, VoteKind, certify, read_certificate
from protocol.chain.validators import EpochRecord
from protocol.codec import Reader, Value
from protocol.errors import Code, Rejected
from protocol.params import INT64_MAX
from protocol.types import BlockId, Height, View


@dataclass(frozen=True, slots=True)
class Polka:
    """Prove that a quorum prevoted one block.

    Args:
        votes: the certificate of kind PREVOTE that they make.
        valid_view: that every one of them names; None when the proposal was fresh.
    """

    votes: Certificate
    valid_view: View | None

    @property
    def height(self) -> Height:
        """Return the height."""
        return self.votes.height

    @property
    def view(self) -> View:
        """Return the view of the prevotes."""
        return self.votes.view

    @property
    def block_id(self) -> BlockId:
        """Return the block that was prevoted."""
        return self.votes.block_id

    def to_value(self) -> Value:
        """Return the polka as a canonical value."""
        return (self.votes.to_value(), self.valid_view)


def form_polka(votes: tuple[Vote, ...]) -> Polka:
    """Join prevotes of one content into a polka."""
    return Polka(certify(votes), votes[0].valid_view)


def is_polka(polka: Polka, record: EpochRecord) -> bool:
    """Tell whether a polka has a quorum of the record, and claims no view that was not before it."""
    votes = polka.votes
    return (
        votes.epoch == record.number
        and votes.kind is VoteKind.PREVOTE
        and (polka.valid_view is None or polka.valid_view < votes.view)
        and has_quorum(votes, record)
    )


def has_quorum(certificate: Certificate, record: EpochRecord) -> bool:
    """Tell whether enough validators of the record, and nobody else, are named as signers."""
    signers, n = certificate.signers, len(record.validators)
    return signers.bit_count() >= record.quorum and signers.bit_length() <= n


def list_votes(certificate: Certificate, valid_view: View | None = None) -> tuple[Vote, ...]:
    """List the signed votes that a certificate was made of."""
    return tuple(
        Vote(
            certificate.epoch,
            certificate.kind,
            certificate.height,
            certificate.view,
            certificate.block_id,
            valid_view,
            validator,
            signature,
        )
        for validator, signature in zip(certificate.signer_indexes(), certificate.signatures, strict=True)
    )


def read_polka(value: Value) -> Polka:
    """Read a polka from a canonical value; nothing is verified.

    Raises:
        Rejected: `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(value, "polka", 2)
    votes = read_certificate(fields.any())
    if votes.kind is not VoteKind.PREVOTE:
        raise Rejected(Code.MALFORMED, "polka: not made of prevotes")
    return Polka(votes, read_optional_view(fields.any()))


def read_optional_view(value: Value) -> View | None:
    """Read nil or a view from a canonical value.

    Raises:
        Rejected: `MALFORMED`.
    """
    return None if value is None else View(Reader((value,), "view", 1).integer(0, INT64_MAX))
