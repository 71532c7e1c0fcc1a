"""The light client refuses each single lie, and says which step fails."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest

from protocol.chain.block import Header
from protocol.chain.certificate import Certificate, Vote, VoteKind, certify
from protocol.chain.genesis import Genesis
from protocol.chain.receipt import Receipt
from protocol.chain.validators import EngineKind, EpochRecord, Validator
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.light import Trust, cross_epoch, trust_genesis, verify_header, verify_receipt, verify_state
from protocol.merkle.proof import StateProof, list_root, prove_item
from protocol.types import (
    BlockId,
    EpochNumber,
    Gas,
    Hash32,
    Height,
    TimeMs,
    TxId,
    View,
)
from tests.simulation.ledger import EMPTY_ROOT, RealSigner

SIGNERS = sorted((RealSigner(i) for i in range(4)), key=lambda s: s.public_key)


def make_record(number: int, first: int, signers: list[RealSigner], previous: Hash32) -> EpochRecord:
    validators = tuple(Validator(f"operator {i}", s.public_key, s.public_key) for i, s in enumerate(signers))
    return EpochRecord(EpochNumber(number), EngineKind.RAFT, Height(first), validators, previous)


FIRST = make_record(0, 1, SIGNERS[:3], Hash32(bytes(32)))
SECOND = make_record(1, 8, SIGNERS[1:], FIRST.compute_hash())
GENESIS = Genesis("light-1", TimeMs(0), FIRST, 12, 0, True, ())
TRUST = trust_genesis(GENESIS)

RECEIPTS = [
    Receipt(TxId(bytes([i]) * 32), Height(7), i, Code.OK, Gas(100), (), ()).encode() for i in range(5)
]


def make_header(record: EpochRecord, next_record: EpochRecord, height: int = 7) -> Header:
    return Header(
        TRUST.genesis_hash,
        Height(height),
        TimeMs(1_000),
        record.number,
        View(1),
        record.validators[0].consensus_key,
        BlockId(bytes(32)),
        Height(0),
        Hash32(bytes(32)),
        EMPTY_ROOT,
        len(RECEIPTS),
        EMPTY_ROOT,
        EMPTY_ROOT,
        list_root(RECEIPTS),
        record.compute_hash(),
        next_record.compute_hash(),
    )


def make_certificate(record: EpochRecord, header: Header, signers: list[RealSigner]) -> Certificate:
    votes = []
    for signer in signers:
        index = record.index_of(signer.public_key)
        assert index is not None
        vote = Vote(record.number, VoteKind.ACK, header.height, View(3), header.compute_id(), None, index)
        votes.append(replace(vote, signature=signer.sign(vote.compute_digest(TRUST.genesis_hash))))
    return certify(tuple(votes))


SEAL = make_header(FIRST, SECOND)
SEAL_PROOF = make_certificate(FIRST, SEAL, SIGNERS[:2])


@dataclass(frozen=True)
class Case:
    """All that a node hands to a member."""

    trust: Trust = TRUST
    header: Header = SEAL
    certificate: Certificate = SEAL_PROOF
    receipt: bytes = RECEIPTS[3]
    proof_index: int = 3

    def verify(self) -> Receipt:
        proof = prove_item(RECEIPTS, self.proof_index)
        return verify_receipt(self.trust, self.header, self.certificate, self.receipt, proof)


def test_receipt_holds() -> None:
    assert Case().verify().index == 3


OTHER = replace(SEAL, state_root=Hash32(b"\x07" * 32))

LIES: list[tuple[str, Callable[[], Case]]] = [
    ("chain", lambda: Case(trust=replace(TRUST, genesis_hash=Hash32(bytes(32))))),
    ("epoch", lambda: Case(trust=replace(TRUST, record=SECOND))),
    ("certificate", lambda: Case(header=OTHER)),
    ("certificate", lambda: Case(certificate=make_certificate(FIRST, SEAL, SIGNERS[:1]))),
    (
        "certificate",
        lambda: Case(
            certificate=replace(SEAL_PROOF, signatures=(SEAL_PROOF.signatures[0], SEAL_PROOF.signatures[0]))
        ),
    ),
    ("certificate", lambda: Case(certificate=replace(SEAL_PROOF, view=View(4)))),
    ("certificate", lambda: Case(certificate=replace(SEAL_PROOF, kind=VoteKind.PRECOMMIT))),
    ("certificate", lambda: Case(certificate=replace(SEAL_PROOF, epoch=EpochNumber(1)))),
    ("receipt", lambda: Case(receipt=RECEIPTS[2])),
    ("receipt", lambda: Case(proof_index=2)),
    (
        "receipt",
        lambda: Case(receipt=Receipt(TxId(bytes(32)), Height(6), 3, Code.OK, Gas(1), (), ()).encode()),
    ),
]


@pytest.mark.parametrize(("step", "lie"), LIES, ids=range(len(LIES)))
def test_each_lie_is_refused_with_its_step(step: str, lie: Callable[[], Case]) -> None:
    with pytest.raises(Rejected, match=f"BAD_PROOF: {step}:"):
        lie().verify()


def test_epoch_is_crossed_by_its_seal() -> None:
    trust = cross_epoch(TRUST, SEAL, SEAL_PROOF, SECOND)
    header = make_header(SECOND, SECOND, 8)
    verify_header(trust, header, make_certificate(SECOND, header, SIGNERS[2:]))
    with pytest.raises(Rejected, match="BAD_PROOF: epoch:"):
        verify_header(trust, SEAL, SEAL_PROOF)


def test_no_other_header_crosses() -> None:
    plain = make_header(FIRST, FIRST)
    with pytest.raises(Rejected, match="BAD_PROOF: seal:"):
        cross_epoch(TRUST, plain, make_certificate(FIRST, plain, SIGNERS[:2]), SECOND)
    with pytest.raises(Rejected, match="BAD_PROOF: seal:"):
        cross_epoch(TRUST, SEAL, SEAL_PROOF, replace(SECOND, decided_by=Hash32(b"\1" * 32)))
    for wrong in (
        replace(SECOND, number=EpochNumber(2)),
        replace(SECOND, first_height=Height(9)),
        replace(SECOND, previous_hash=Hash32(bytes(32))),
    ):
        seal = make_header(FIRST, wrong)
        with pytest.raises(Rejected, match="BAD_PROOF: seal:"):
            cross_epoch(TRUST, seal, make_certificate(FIRST, seal, SIGNERS[:2]), wrong)


def test_state_proof_that_does_not_hold_is_refused() -> None:
    with pytest.raises(Rejected, match="BAD_PROOF: state:"):
        verify_state(TRUST, SEAL, SEAL_PROOF, b"key", b"value", StateProof(b"", ()))


def test_state_absence_under_an_empty_page() -> None:
    root = Hash32(sha256(Domain.STATE_PAGE.prefix).digest())  # the empty page is the whole tree
    header = replace(SEAL, state_root=root)
    certificate = make_certificate(FIRST, header, SIGNERS[1:3])
    verify_state(TRUST, header, certificate, b"key", None, StateProof(b"", ()))
    with pytest.raises(Rejected, match="BAD_PROOF: state:"):
        verify_state(TRUST, header, certificate, b"key", b"value", StateProof(b"", ()))
