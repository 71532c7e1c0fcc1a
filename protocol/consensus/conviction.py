"""The witness: remembers what validators signed, and notices what must not both exist.

Which pairs convict is `chain/conviction.py`, where every validator checks evidence again. Evidence that is
found leaves as an effect; it gets into a block by the driver.

*Source*: consensus.md 2.8.
"""

from typing import Final

from protocol.chain.certificate import Certificate, Vote
from protocol.chain.conviction import Testimony, convict
from protocol.chain.evidence import Evidence, EvidenceKind
from protocol.chain.validators import EpochRecord
from protocol.consensus.election import Election
from protocol.consensus.messages import Grant, Proposal, Signed, signer_of, statement_of
from protocol.consensus.polka import list_votes

STATEMENTS_KEPT: Final = 8
"""Newest signed statements kept of each validator."""


def testimony_of(message: Signed) -> Testimony:
    """Return what a signed message is worth as evidence."""
    statement = statement_of(message)
    if isinstance(message, Vote):
        return Testimony(
            message.validator,
            message.epoch,
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
            message.proposer,
            message.epoch,
            message.height,
            message.view,
            None,
            message.block.id,
            None,
            statement,
        )
    claim = message.claim
    return Testimony(signer_of(message), claim.epoch, claim.height, claim.term, None, None, claim, statement)


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

    def hear_certificate(self, certificate: Certificate | None) -> list[Evidence]:
        """Compare every vote in a certificate, which holds, with what its signer said before.

        Who tells each half of its peers another thing is found out when a certificate of one half meets a
        vote or a certificate of the other. Cost: some 10 us a vote.
        """
        if certificate is None or certificate.epoch != self._record.number:
            return []
        heard = [self.hear(vote) for vote in list_votes(certificate)]
        return [evidence for evidence in heard if evidence is not None]

    def hear_election(self, election: Election) -> list[Evidence]:
        """Compare every grant in an election with what its voter said before."""
        grants = zip(election.signer_indexes(), election.signatures, strict=True)
        heard = [self.hear(Grant(election.claim, voter, signature)) for voter, signature in grants]
        return [evidence for evidence in heard if evidence is not None]
