"""Counting: acknowledgements of a height into a certificate, grants of a claim into an election.

Votes count only together when they agree in epoch, height, view and block. To count them over terms forks the
chain (Raft paper, figure 8), because a later leader need not have the block.

Small algebra, no protocol: who may vote when is `raft.py`.
"""

from typing import Final

from protocol.chain.certificate import COMMIT_KIND, Certificate, Vote, VoteKind, certify
from protocol.chain.claim import Claim
from protocol.chain.validators import EpochRecord
from protocol.consensus.election import Election
from protocol.consensus.messages import Decided, Grant
from protocol.consensus.polka import has_quorum
from protocol.types import BlockId, Height

VOTE_VIEWS_KEPT: Final = 4
"""Newest views of which a validator's vote at one height is kept; the certificate comes from one of them."""


class VoteSet:
    """Collect the votes of one kind at one height, at most `VOTE_VIEWS_KEPT` a validator."""

    __slots__ = ("_height", "_kind", "_quorum", "_record", "_votes")

    def __init__(self, record: EpochRecord, kind: VoteKind, height: Height) -> None:
        self._record = record
        self._quorum = record.quorum
        self._kind = kind
        self._height = height
        self._votes: dict[int, list[Vote]] = {}

    def add(self, vote: Vote) -> Certificate | None:
        """Count a vote and return the certificate when it is complete.

        *Rules*: 1. other kinds, heights and epochs do not count, nor what no certificate can say. 2. of one
        validator and view the first counts. 3. a validator that floods views loses its own oldest, nobody
        else's.
        """
        if (vote.epoch, vote.kind, vote.height) != (self._record.number, self._kind, self._height):
            return None
        if vote.valid_view is not None:
            return None
        kept = self._votes.setdefault(vote.validator, [])
        if any(known.view == vote.view for known in kept):
            return None
        kept.append(vote)
        if len(kept) > VOTE_VIEWS_KEPT:
            kept.remove(min(kept, key=lambda known: known.view))
        return self._certify(vote)

    def find_certificate(self, block_id: BlockId) -> Certificate | None:
        """Return a certificate of a block if some view has a quorum for it."""
        for kept in self._votes.values():
            for vote in kept:
                if vote.block_id == block_id and (found := self._certify(vote)) is not None:
                    return found
        return None

    def _certify(self, like: Vote) -> Certificate | None:
        if like.block_id is None:
            return None
        same = [
            vote
            for kept in self._votes.values()
            for vote in kept
            if vote.view == like.view and vote.block_id == like.block_id
        ]
        return certify(tuple(same)) if len(same) >= self._quorum else None


class GrantSet:
    """Collect the grants of one claim."""

    __slots__ = ("_grants", "_quorum", "claim")

    def __init__(self, record: EpochRecord, claim: Claim) -> None:
        self.claim = claim
        self._quorum = record.quorum
        self._grants: dict[int, Grant] = {}

    def add(self, grant: Grant) -> bool:
        """Count a grant of exactly this claim and tell whether a quorum has granted."""
        if grant.claim == self.claim:
            self._grants[grant.voter] = grant
        return self.is_won

    @property
    def is_won(self) -> bool:
        """Tell whether a quorum has granted."""
        return len(self._grants) >= self._quorum

    def elect(self) -> Election:
        """Return the proof of a won election."""
        assert self.is_won
        voters = sorted(self._grants)
        return Election(
            self.claim, sum(1 << voter for voter in voters), tuple(self._grants[v].signature for v in voters)
        )


def is_elected(election: Election, record: EpochRecord) -> bool:
    """Tell whether an election has a quorum of the record; its signatures are verified elsewhere."""
    claim = election.claim
    signers = election.signer_indexes()
    return (
        claim.epoch == record.number
        and not claim.is_pre
        and claim.candidate < len(record.validators)
        and len(signers) >= record.quorum
        and signers[-1] < len(record.validators)
    )


def is_decision(decided: Decided, record: EpochRecord) -> bool:
    """Tell whether a certificate commits its block by the rule of the record.

    Its signatures are verified elsewhere: `messages.list_signature_checks` here, `check_certificate` for
    those who have nobody to do it for them.
    """
    certificate = decided.certificate
    return (
        certificate.epoch == record.number
        and certificate.kind is COMMIT_KIND[record.engine]
        and certificate.block_id == decided.block.id
        and certificate.height == decided.block.height
        and has_quorum(certificate, record)
    )
