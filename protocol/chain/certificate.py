"""Votes and certificates: one format for both engines.

A certificate is a quorum of votes over one block. Which engine and which quorum apply is read from the epoch
record, never from the certificate itself. Every signature covers chain, epoch, kind, height and view, so a
Raft acknowledgement can never be read as a BFT precommit (M5).

*Source*: consensus.md 0.5, 2.3.
"""

from dataclasses import dataclass
from enum import IntEnum

from protocol import codec, crypto
from protocol.chain.validators import EngineKind, EpochRecord, VerifySignature
from protocol.codec import Reader, Value
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.params import INT64_MAX, VALIDATORS_MAX
from protocol.types import BlockId, EpochNumber, Hash32, Height, Signature, View

CERTIFICATE_BYTES_MAX = 16 * 1024
UNSIGNED = Signature(b"")


class VoteKind(IntEnum):
    """What a vote says about a block."""

    PREVOTE = 1
    PRECOMMIT = 2
    ACK = 3


COMMIT_KIND = {EngineKind.RAFT: VoteKind.ACK, EngineKind.BFT: VoteKind.PRECOMMIT}
"""The kind of vote that commits a block under each engine."""


@dataclass(frozen=True, slots=True)
class Vote:
    """Say that a validator stands behind a block (or none) at a height and view.

    Args:
        view: Raft term or BFT round.
        block_id: None is a vote for no block (BFT only).
        valid_view: view of the polka behind a prevote (BFT, accountable variant); None elsewhere.
        validator: index in the epoch record.
        signature: empty until the driver has signed it.
    """

    epoch: EpochNumber
    kind: VoteKind
    height: Height
    view: View
    block_id: BlockId | None
    valid_view: View | None
    validator: int
    signature: Signature = UNSIGNED

    def compute_digest(self, genesis_hash: Hash32) -> Hash32:
        """Compute what the validator signs."""
        return compute_vote_digest(
            genesis_hash, self.epoch, self.kind, self.height, self.view, self.block_id, self.valid_view
        )

    def to_value(self) -> Value:
        """Return the vote with its signature as a canonical value."""
        return (
            self.epoch,
            int(self.kind),
            self.height,
            self.view,
            self.block_id,
            self.valid_view,
            self.validator,
            self.signature,
        )


def compute_vote_digest(
    genesis_hash: Hash32,
    epoch: int,
    kind: int,
    height: int,
    view: int,
    block_id: bytes | None,
    valid_view: int | None,
) -> Hash32:
    """Compute the digest that a vote signs; equal for all voters of a certificate."""
    content = codec.encode((epoch, int(kind), height, view, block_id, valid_view))
    return crypto.digest(Domain.VOTE, genesis_hash, content)


def read_vote(value: Value) -> Vote:
    """Read a vote from a canonical value; its signature is not verified.

    Raises:
        Rejected: `MALFORMED`.
    """
    fields = Reader(value, "vote", 8)
    return Vote(
        EpochNumber(fields.uint(32)),
        VoteKind(fields.integer(VoteKind.PREVOTE, VoteKind.ACK)),
        Height(fields.integer(1, INT64_MAX)),
        View(fields.integer(0, INT64_MAX)),
        _read_block_id(fields.optional_data(32)),
        _read_view(fields.any()),
        fields.integer(0, VALIDATORS_MAX - 1),
        Signature(fields.data(64)),
    )


@dataclass(frozen=True, slots=True)
class Certificate:
    """Prove that a quorum stands behind a block.

    Args:
        signers: bitmap, bit i (1 << i) is validator i of the epoch record.
        signatures: of the set bits, ascending.
    """

    epoch: EpochNumber
    kind: VoteKind
    height: Height
    view: View
    block_id: BlockId
    signers: int
    signatures: tuple[Signature, ...]

    def to_value(self) -> Value:
        """Return the certificate as a canonical value."""
        return (
            self.epoch,
            int(self.kind),
            self.height,
            self.view,
            self.block_id,
            self.signers.to_bytes((self.signers.bit_length() + 7) // 8, "little"),
            self.signatures,
        )

    def encode(self) -> bytes:
        """Encode the certificate."""
        return codec.encode(self.to_value())

    def signer_indexes(self) -> tuple[int, ...]:
        """List the validators who signed, ascending."""
        return tuple(i for i in range(self.signers.bit_length()) if self.signers >> i & 1)


def certify(votes: tuple[Vote, ...]) -> Certificate:
    """Join votes of one (epoch, kind, height, view, block) into a certificate."""
    ordered = sorted(votes, key=lambda v: v.validator)
    first = ordered[0]
    assert first.block_id is not None
    assert all(
        (v.epoch, v.kind, v.height, v.view, v.block_id)
        == (first.epoch, first.kind, first.height, first.view, first.block_id)
        for v in ordered
    )
    signers = 0
    for vote in ordered:
        signers |= 1 << vote.validator
    return Certificate(
        first.epoch,
        first.kind,
        first.height,
        first.view,
        first.block_id,
        signers,
        tuple(v.signature for v in ordered),
    )


def read_certificate(value: Value) -> Certificate:
    """Read a certificate from a canonical value; its signatures are not verified.

    Raises:
        Rejected: `MALFORMED`.
    """
    fields = Reader(value, "certificate", 7)
    epoch = EpochNumber(fields.uint(32))
    kind = VoteKind(fields.integer(VoteKind.PREVOTE, VoteKind.ACK))
    height = Height(fields.integer(1, INT64_MAX))
    view = View(fields.integer(0, INT64_MAX))
    block_id = BlockId(fields.data(32))
    bitmap = fields.data_up_to((VALIDATORS_MAX + 7) // 8)
    if bitmap and not bitmap[-1]:
        raise Rejected(Code.NOT_CANONICAL, "certificate: signer bitmap ends in a zero byte")
    signers = int.from_bytes(bitmap, "little")
    signatures = fields.records(VALIDATORS_MAX, lambda v: Signature(Reader((v,), "signature", 1).data(64)))
    if signers.bit_count() != len(signatures):
        raise Rejected(Code.MALFORMED, "certificate: as many signatures as signers are needed")
    return Certificate(epoch, kind, height, view, block_id, signers, signatures)


def decode_certificate(data: bytes) -> Certificate:
    """Decode a certificate.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    return read_certificate(codec.decode(data, CERTIFICATE_BYTES_MAX))


def check_certificate(
    certificate: Certificate,
    record: EpochRecord,
    genesis_hash: Hash32,
    verify: VerifySignature = crypto.verify,
) -> None:
    """Check that a certificate commits its block under the rule and set of its epoch.

    *Rules*: 1. epoch and kind are those of the record. 2. the height is not before the epoch. 3. signers are
    validators of the record. 4. at least a quorum signed. 5. every signature holds.

    Raises:
        Rejected: `BAD_PROOF`.

    Cost: one signature check a signer, about 50 us each.
    """
    if certificate.epoch != record.number or certificate.kind is not COMMIT_KIND[record.engine]:
        raise Rejected(Code.BAD_PROOF, "certificate of another epoch or engine")
    if certificate.height < record.first_height:
        raise Rejected(Code.BAD_PROOF, "certificate below its epoch")
    if certificate.signers.bit_length() > len(record.validators):
        raise Rejected(Code.BAD_PROOF, "certificate names a validator that the epoch does not have")
    signers = certificate.signer_indexes()
    if len(signers) < record.quorum or len(signers) != len(certificate.signatures):
        raise Rejected(Code.BAD_PROOF, f"{len(signers)} signers, quorum is {record.quorum}")
    digest = compute_vote_digest(
        genesis_hash,
        certificate.epoch,
        certificate.kind,
        certificate.height,
        certificate.view,
        certificate.block_id,
        None,
    )
    for index, signature in zip(signers, certificate.signatures, strict=True):
        if not verify(record.validators[index].consensus_key, digest, signature):
            raise Rejected(Code.BAD_PROOF, f"signature of validator {index} does not hold")


def _read_block_id(value: bytes | None) -> BlockId | None:
    return None if value is None else BlockId(value)


def _read_view(value: Value) -> View | None:
    return None if value is None else View(Reader((value,), "view", 1).integer(0, INT64_MAX))
