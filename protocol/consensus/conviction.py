"""Which two signed statements of one validator must not both exist, and the witness who notices.

Never accuse on statements of two different signers: two leaders of one term are no equivocation by either.

*Departs* from consensus.md 2.8, where amnesia is shown by two certificates: a correct validator never
prevotes against its own precommit without a polka as new (`bft.py`), so its two votes say all.

*Source*: consensus.md 2.8. Every fork shows one of these pairs (section 3.5 there).
"""

from dataclasses import dataclass
from typing import Final

from protocol.chain.certificate import Vote, VoteKind
from protocol.chain.claim import Claim
from protocol.chain.evidence import Evidence, EvidenceKind, Statement, StatementKind
from protocol.chain.validators import EpochRecord
from protocol.consensus.election import Election
from protocol.consensus.messages import Grant, Proposal, Signed, signer_of, statement_of
from protocol.types import BlockId, Height, View

STATEMENTS_KEPT: Final = 8
"""Newest signed statements kept of each validator."""


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
    height: Height
    view: View
    vote_kind: VoteKind | None
    block_id: BlockId | None
    claim: Claim | None
    statement: Statement
    valid_view: View | None = None


def testimony_of(message: Signed) -> Testimony:
    """Return what a signed message is worth as evidence."""
    statement = statement_of(message)
    if isinstance(message, Vote):
        return Testimony(
            message.validator,
            message.height,
            message.view,
            message.kind,
            message.block_id,
            None,
            statement,
            message.valid_view,
        )
    if isinstance(message, Proposal):
        return Testimony(
            message.proposer, message.height, message.view, None, message.block.id, None, statement
        )
    claim = message.claim
    return Testimony(signer_of(message), claim.height, claim.term, None, None, claim, statement)


def convict(first: Testimony, second: Testimony) -> EvidenceKind | None:
    """Return which rule two statements of one signer and epoch break together; None when they may both exist.

    *Rules*: 1. two votes of one kind, height and view differ. 2. two proposals of one height and view differ.
    3. a candidate claims twice in a term. 4. a voter grants two candidates in a term. 5. who acknowledged
    (height, view) later grants a claim below it. 6. a leader proposes another block than it claimed. 7. who
    precommitted a block later prevotes another one that stands on no polka of that view or a newer one.
    """
    if first.signer != second.signer:
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


class Witness:
    """Remember the newest statements of every validator and report each kind of crime once."""

    __slots__ = ("_kept", "_record", "_reported")

    def __init__(self, record: EpochRecord) -> None:
        self._record = record
        self._kept: list[list[Testimony]] = [[] for _ in record.validators]
        self._reported: set[tuple[int, EvidenceKind]] = set()

    def hear(self, message: Signed) -> Evidence | None:
        """Compare a signed message of this epoch with what its signer said before."""
        new = testimony_of(message)
        kept = self._kept[new.signer]
        evidence = None
        for old in kept:
            if old.statement.content == new.statement.content and old.statement.kind is new.statement.kind:
                return evidence
            if old.height != new.height and old.claim is None and new.claim is None:
                # Only what is said of terms binds over heights.
                continue
            kind = convict(old, new)
            if kind is not None and evidence is None and (new.signer, kind) not in self._reported:
                self._reported.add((new.signer, kind))
                accused = self._record.validators[new.signer].consensus_key
                height = max(old.height, new.height)
                evidence = Evidence(kind, self._record.number, height, accused, old.statement, new.statement)
        if evidence is None:
            kept.append(new)
            if len(kept) > STATEMENTS_KEPT:
                kept.pop(0)
        return evidence

    def hear_election(self, election: Election) -> list[Evidence]:
        """Compare every grant in an election with what its voter said before."""
        grants = zip(election.signer_indexes(), election.signatures, strict=True)
        heard = [self.hear(Grant(election.claim, voter, signature)) for voter, signature in grants]
        return [evidence for evidence in heard if evidence is not None]
