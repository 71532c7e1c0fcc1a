"""Evidence convicts by what was signed, and nothing that is not signed by the accused convicts anybody."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec, crypto
from protocol.chain.certificate import Vote, VoteKind, certify
from protocol.chain.conviction import check_evidence, compare_certificates, convict, read_testimony
from protocol.chain.evidence import (
    STATEMENT_BYTES_MAX,
    Evidence,
    EvidenceKind,
    Statement,
    StatementKind,
    read_evidence,
)
from protocol.chain.validators import EngineKind, EpochRecord, Validator, order_validators
from protocol.consensus import conviction
from protocol.consensus.messages import Signed, attach_signature, compute_sign_digest, signer_of, statement_of
from protocol.crypto import SecretKey
from protocol.errors import Code, Rejected
from protocol.types import BlockId, EpochNumber, Hash32, Height, Signature, View
from tests.protocol.consensus.test_conviction import GUILTY, INNOCENT, A, B

CHAIN = Hash32(bytes([7]) * 32)
SECRETS = {secret.public_key: secret for secret in (SecretKey(bytes([n]) * 32) for n in range(1, 6))}
RECORD = EpochRecord(
    EpochNumber(0),
    EngineKind.BFT,
    Height(1),
    order_validators(tuple(Validator(f"n{i}", key, key) for i, key in enumerate(list(SECRETS)[:4]))),
)
NO_SIGNATURE = Signature(bytes(64))
OUTSIDER = list(SECRETS)[4]


def sign(message: Signed) -> Statement:
    digest = compute_sign_digest(message, CHAIN)
    assert digest is not None
    secret = SECRETS[RECORD.validators[signer_of(message)].consensus_key]
    signed = attach_signature(message, crypto.sign(secret, digest))
    return statement_of(signed)  # type: ignore[arg-type]


def accuse(first: Signed, second: Signed, kind: EvidenceKind) -> Evidence:
    accused = RECORD.validators[signer_of(first)].consensus_key
    height = max(conviction.testimony_of(one).height for one in (first, second))
    return Evidence(kind, RECORD.number, height, accused, sign(first), sign(second))


def refusal(evidence: Evidence, record: EpochRecord = RECORD, chain: Hash32 = CHAIN) -> str:
    with pytest.raises(Rejected) as failure:
        check_evidence(evidence, record, chain)
    return failure.value.detail


@pytest.mark.parametrize(("first", "second", "kind"), GUILTY)
def test_every_kind_convicts_from_its_bytes(first: Signed, second: Signed, kind: EvidenceKind) -> None:
    evidence = accuse(first, second, kind)
    read = read_evidence(codec.decode(codec.encode(evidence.to_value()), 4_096))
    assert read == evidence
    found = check_evidence(read, RECORD, CHAIN)
    assert found.validator == RECORD.validators[signer_of(first)]
    assert found.view == max(conviction.testimony_of(first).view, conviction.testimony_of(second).view)


@pytest.mark.parametrize(("first", "second"), INNOCENT)
def test_no_kind_accuses_the_innocent(first: Signed, second: Signed) -> None:
    for kind in EvidenceKind:
        assert refusal(accuse(first, second, kind))


@pytest.mark.parametrize("message", [one for first, second, _ in GUILTY for one in (first, second)])
def test_what_was_signed_says_the_same_as_the_message(message: Signed) -> None:
    assert read_testimony(statement_of(message), signer_of(message)) == conviction.testimony_of(message)


SPOILED: list[tuple[str, Callable[[Evidence], Evidence]]] = [
    ("record is of 0", lambda e: replace(e, epoch=EpochNumber(1))),
    ("no validator", lambda e: replace(e, accused=OUTSIDER)),
    ("signature does not hold", lambda e: replace(e, accused=RECORD.validators[0].consensus_key)),
    ("do not show AMNESIA", lambda e: replace(e, kind=EvidenceKind.AMNESIA)),
    ("do not show", lambda e: replace(e, height=Height(6))),
    ("do not show", lambda e: replace(e, second=e.first)),
    ("signature does not hold", lambda e: replace(e, first=replace(e.first, signature=e.second.signature))),
    (
        "signature does not hold",
        lambda e: replace(e, second=replace(e.second, signature=Signature(bytes(64)))),
    ),
]


@pytest.mark.parametrize(("why", "spoil"), SPOILED)
def test_each_part_is_checked(why: str, spoil: Callable[[Evidence], Evidence]) -> None:
    first, second, kind = GUILTY[0]
    assert why in refusal(spoil(accuse(first, second, kind)))


def test_of_another_chain_or_epoch_it_says_nothing() -> None:
    first, second, kind = GUILTY[0]
    evidence = accuse(first, second, kind)
    assert "signature" in refusal(evidence, chain=Hash32(bytes(32)))
    assert "record is of 1" in refusal(evidence, replace(RECORD, number=EpochNumber(1)))
    # Said in another epoch, the same words are another matter.
    later = accuse(replace(first, epoch=EpochNumber(1)), second, kind)  # type: ignore[arg-type]
    assert "another validator or epoch" in refusal(later)


@pytest.mark.parametrize("which", [1, 2])
def test_a_proposal_or_request_of_another_proposer_convicts_nobody(which: int) -> None:
    first, second, kind = GUILTY[which]
    evidence = accuse(first, second, kind)
    other = RECORD.validators[(signer_of(first) + 1) % 4].consensus_key
    assert "another validator" in refusal(replace(evidence, accused=other))


@given(st.sampled_from(StatementKind), st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(kind: StatementKind, content: bytes) -> None:
    try:
        read_testimony(Statement(kind, content, Signature(bytes(64))), 0)
    except Rejected:
        pass


def test_statement_at_its_limit_and_above() -> None:
    for size, code in ((STATEMENT_BYTES_MAX, Code.MALFORMED), (STATEMENT_BYTES_MAX + 1, Code.TOO_LARGE)):
        content = b"\xc5" + (size - 3).to_bytes(2, "big") + bytes(size - 3)
        with pytest.raises(Rejected) as failure:
            read_testimony(Statement(StatementKind.VOTE, content, Signature(bytes(64))), 0)
        assert failure.value.code == code


def certificate_of(block_id: BlockId, voters: tuple[int, ...], view: int = 2) -> tuple[Vote, ...]:
    votes = []
    for index in voters:
        vote = Vote(RECORD.number, VoteKind.PRECOMMIT, Height(5), View(view), block_id, None, index)
        votes.append(replace(vote, signature=sign(vote).signature))
    return tuple(votes)


def test_two_certificates_of_a_round_convict_who_signed_both() -> None:
    first = certify(certificate_of(A.id, (0, 1, 2)))
    second = certify(certificate_of(B.id, (1, 2, 3)))
    found = compare_certificates(first, second, RECORD)
    assert [e.accused for e in found] == [RECORD.validators[i].consensus_key for i in (1, 2)]
    for evidence in found:
        assert check_evidence(evidence, RECORD, CHAIN).view == 2


def test_two_certificates_of_two_rounds_accuse_nobody() -> None:
    """Whoever precommitted in both may have had a polka in between: only the votes between tell."""
    first = certify(certificate_of(A.id, (0, 1, 2)))
    assert compare_certificates(first, certify(certificate_of(B.id, (0, 1, 2), view=3)), RECORD) == []
    assert compare_certificates(first, first, RECORD) == []
    assert (
        compare_certificates(
            first, certify(certificate_of(B.id, (1, 2, 3))), replace(RECORD, number=EpochNumber(1))
        )
        == []
    )


def test_statements_of_two_epochs_are_no_pair() -> None:
    first, second, _ = GUILTY[0]
    one, other = conviction.testimony_of(first), conviction.testimony_of(second)
    assert convict(one, replace(other, epoch=EpochNumber(1))) is None
