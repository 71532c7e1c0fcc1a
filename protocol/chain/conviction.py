"""Which two signed statements of one validator must not both exist, and whether a piece of evidence holds.

A block carries evidence, so this stands with the chain's records: it reads what was signed out of its bytes
and knows nothing of messages, of rounds or of who is right. Who notices is `consensus/conviction.py`; what
follows is the contract `registry`.

Never accuse on statements of two different signers: two leaders of one term are no equivocation by either.

*Departs* from consensus.md 2.8, where amnesia is shown by two certificates: a correct validator never
prevotes against its own precommit without a polka as new (`consensus/bft.py`), so its two votes say all. Two
certificates of one height and round are two votes of each who signed both; of different rounds they prove a
fork, but may name somebody who did no wrong, so they convict nobody.

*Source*: consensus.md 2.8. Every fork shows one of these pairs (section 3.5 there).
"""

from dataclasses import dataclass

from protocol import codec, crypto
from protocol.chain.certificate import Certificate, VoteKind
from protocol.chain.claim import Claim, read_claim
from protocol.chain.evidence import STATEMENT_BYTES_MAX, Evidence, EvidenceKind, Statement, StatementKind
from protocol.chain.validators import EpochRecord, Validator, VerifySignature
from protocol.codec import Reader, Value
from protocol.errors import Code, Rejected
from protocol.params import INT64_MAX, VALIDATORS_MAX
from protocol.types import BlockId, EpochNumber, Hash32, Height, View


@dataclass(frozen=True, slots=True)
class Testimony:
    """What a validator signed, without the body of a block.

    Args:
        vote_kind: of a vote; None elsewhere.
        block_id: of a vote or proposal; None elsewhere.
        claim: of a request or grant; None elsewhere.
        valid_view: of a prevote, the view of the polka it stands on; None elsewhere.
    """

    signer: int
    epoch: EpochNumber
    height: Height
    view: View
    vote_kind: VoteKind | None
    block_id: BlockId | None
    claim: Claim | None
    statement: Statement
    valid_view: View | None = None


def read_testimony(statement: Statement, signer: int) -> Testimony:
    """Read what a statement says out of the bytes that were signed.

    Args:
        signer: whose signature it bears; a proposal and a request say that themselves.

    Raises:
        Rejected: MALFORMED, NOT_CANONICAL, TOO_LARGE.
    """
    value = codec.decode(statement.content, STATEMENT_BYTES_MAX)
    match statement.kind:
        case StatementKind.VOTE:
            return _read_vote(value, signer, statement)
        case StatementKind.PROPOSAL:
            return _read_proposal(value, statement)
        case StatementKind.VOTE_REQUEST:
            claim = read_claim(value)
            return _of_claim(claim, claim.candidate, statement)
        case StatementKind.GRANT:
            return _of_claim(read_claim(value), signer, statement)


def _read_vote(value: Value, signer: int, statement: Statement) -> Testimony:
    fields = Reader(value, "vote", 6)
    epoch = EpochNumber(fields.uint(32))
    kind = VoteKind(fields.integer(VoteKind.PREVOTE, VoteKind.ACK))
    height = Height(fields.integer(1, INT64_MAX))
    view = View(fields.integer(0, INT64_MAX))
    block_id = fields.optional_data(32)
    return Testimony(
        signer,
        epoch,
        height,
        view,
        kind,
        None if block_id is None else BlockId(block_id),
        None,
        statement,
        _read_view(fields.any()),
    )


def _read_proposal(value: Value, statement: Statement) -> Testimony:
    fields = Reader(value, "proposal", 6)
    epoch = EpochNumber(fields.uint(32))
    height = Height(fields.integer(1, INT64_MAX))
    view = View(fields.integer(0, INT64_MAX))
    proposer = fields.integer(0, VALIDATORS_MAX - 1)
    block_id = BlockId(fields.data(32))
    _read_view(fields.any())
    return Testimony(proposer, epoch, height, view, None, block_id, None, statement)


def _read_view(value: Value) -> View | None:
    return None if value is None else View(Reader((value,), "view", 1).integer(0, INT64_MAX))


def _of_claim(claim: Claim, signer: int, statement: Statement) -> Testimony:
    return Testimony(signer, claim.epoch, claim.height, claim.term, None, None, claim, statement)


def convict(first: Testimony, second: Testimony) -> EvidenceKind | None:
    """Return which rule two statements of one signer and epoch break together; None when they may both exist.

    *Rules*: 1. two votes of one kind, height and view differ. 2. two proposals of one height and view differ.
    3. a candidate claims twice in a term. 4. a voter grants two candidates in a term. 5. who acknowledged
    (height, view) later grants a claim below it. 6. a leader proposes another block than it claimed. 7. who
    precommitted a block later prevotes another one that stands on no polka of that view or a newer one.
    """
    if (first.signer, first.epoch) != (second.signer, second.epoch):
        return None
    if first.statement.kind > second.statement.kind:
        first, second = second, first
    kinds = (first.statement.kind, second.statement.kind)
    is_same_place = (first.height, first.view) == (second.height, second.view)
    match kinds:
        case (StatementKind.VOTE, StatementKind.VOTE):
            is_same_kind = first.vote_kind == second.vote_kind
            if is_same_place and is_same_kind and first.statement.content != second.statement.content:
                return EvidenceKind.DUPLICATE_VOTE
            if _has_forgotten(first, second) or _has_forgotten(second, first):
                return EvidenceKind.AMNESIA
        case (StatementKind.PROPOSAL, StatementKind.PROPOSAL):
            if is_same_place and first.statement.content != second.statement.content:
                return EvidenceKind.DUPLICATE_PROPOSAL
        case (StatementKind.VOTE_REQUEST, StatementKind.VOTE_REQUEST):
            if _is_binding(first) and _is_binding(second) and first.view == second.view:
                return EvidenceKind.DUPLICATE_CLAIM if first.claim != second.claim else None
        case (StatementKind.GRANT, StatementKind.GRANT):
            if _is_binding(first) and _is_binding(second) and first.view == second.view:
                return EvidenceKind.DUPLICATE_VOTE if _candidate(first) != _candidate(second) else None
        case (StatementKind.VOTE, StatementKind.GRANT):
            return EvidenceKind.STALE_GRANT if _is_stale(first, second) else None
        case (StatementKind.PROPOSAL, StatementKind.VOTE_REQUEST):
            claim = second.claim
            if is_same_place and claim is not None and not claim.is_pre and claim.accepted_id is not None:
                return EvidenceKind.FALSE_CLAIM if claim.accepted_id != first.block_id else None
        case _:
            pass
    return None


def _is_binding(testimony: Testimony) -> bool:
    return testimony.claim is not None and not testimony.claim.is_pre


def _candidate(testimony: Testimony) -> int:
    assert testimony.claim is not None
    return testimony.claim.candidate


def _is_stale(ack: Testimony, grant: Testimony) -> bool:
    claim = grant.claim
    if claim is None or claim.is_pre or ack.vote_kind is not VoteKind.ACK or grant.view <= ack.view:
        return False
    return (claim.height, claim.accepted_term) < (ack.height, ack.view)


def _has_forgotten(precommit: Testimony, prevote: Testimony) -> bool:
    kinds = (precommit.vote_kind, prevote.vote_kind)
    if kinds != (VoteKind.PRECOMMIT, VoteKind.PREVOTE) or precommit.height != prevote.height:
        return False
    if None in (precommit.block_id, prevote.block_id) or precommit.block_id == prevote.block_id:
        return False
    is_later = prevote.view > precommit.view
    return is_later and (prevote.valid_view is None or prevote.valid_view < precommit.view)


# --- evidence


@dataclass(frozen=True, slots=True)
class Conviction:
    """Who did it, and in which term or round."""

    validator: Validator
    view: View


def check_evidence(
    evidence: Evidence, record: EpochRecord, genesis_hash: Hash32, verify: VerifySignature = crypto.verify
) -> Conviction:
    """Check that evidence convicts whom it accuses.

    *Rules*: 1. it is of the record's epoch. 2. the accused is a validator of it. 3. both statements are of
    that epoch and by the accused. 4. together they break the rule of its kind, at its height. 5. both
    signatures hold.

    Args:
        record: of the epoch that the evidence names.

    Raises:
        Rejected: BAD_PROOF, or what reading a statement raises.

    Cost: two signature checks, about 100 us.
    """
    if evidence.epoch != record.number:
        raise Rejected(Code.BAD_PROOF, f"evidence of epoch {evidence.epoch}, record is of {record.number}")
    index = record.index_of(evidence.accused)
    if index is None:
        raise Rejected(Code.BAD_PROOF, f"evidence against no validator of epoch {record.number}")
    pair = [read_testimony(statement, index) for statement in (evidence.first, evidence.second)]
    if any((testimony.signer, testimony.epoch) != (index, record.number) for testimony in pair):
        raise Rejected(Code.BAD_PROOF, "evidence: a statement of another validator or epoch")
    kind = convict(*pair)
    if kind is not evidence.kind or evidence.height != max(testimony.height for testimony in pair):
        raise Rejected(Code.BAD_PROOF, f"evidence: the statements do not show {evidence.kind.name}")
    for testimony in pair:
        statement = testimony.statement
        if not verify(evidence.accused, statement.compute_digest(genesis_hash), statement.signature):
            raise Rejected(Code.BAD_PROOF, "evidence: a signature does not hold")
    return Conviction(record.validators[index], max(testimony.view for testimony in pair))


def compare_certificates(first: Certificate, second: Certificate, record: EpochRecord) -> list[Evidence]:
    """Return the evidence that two certificates of one epoch hold against those who signed both.

    Empty when they agree, or are of different places: then they prove a fork, but nobody's guilt.

    Args:
        record: of their epoch; the signatures are checked already.
    """
    places = [(c.epoch, c.kind, c.height, c.view) for c in (first, second)]
    if places[0] != places[1] or first.block_id == second.block_id or first.epoch != record.number:
        return []
    sides = [dict(zip(c.signer_indexes(), _statements_of(c), strict=True)) for c in (first, second)]
    return [
        Evidence(
            EvidenceKind.DUPLICATE_VOTE,
            record.number,
            first.height,
            record.validators[index].consensus_key,
            statement,
            sides[1][index],
        )
        for index, statement in sides[0].items()
        if index in sides[1]
    ]


def _statements_of(certificate: Certificate) -> list[Statement]:
    """Return the votes that a certificate joins, as each was signed."""
    content = codec.encode(
        (
            certificate.epoch,
            int(certificate.kind),
            certificate.height,
            certificate.view,
            certificate.block_id,
            None,
        )
    )
    return [Statement(StatementKind.VOTE, content, signature) for signature in certificate.signatures]
