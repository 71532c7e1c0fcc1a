"""What a Raft follower thinks of the leader of its term: proven or not, doubted or refused.

Doubt ends with the height, refusal with the term, and a proof is of one term only. What follows from it is
`raft.py`.
"""

from protocol.consensus.election import Election
from protocol.consensus.pledges import NO_TERM
from protocol.types import BlockId, Height, View


class Trust:
    """Remember by term, so that nothing has to be forgotten when a term ends."""

    __slots__ = ("_doubted_term", "_proof", "_refused_term")

    def __init__(self) -> None:
        self._proof: Election | None = None
        # Its leader proposed what cannot be; its beats no longer keep us from an election.
        self._refused_term = NO_TERM
        # Likewise, at this height only: its leader's block is unwelcome.
        self._doubted_term = NO_TERM

    def prove(self, election: Election) -> None:
        """Take the election of a leader, which holds."""
        self._proof = election

    def is_proven(self, term: View, leader: int) -> bool:
        """Tell whether a validator was elected in a term."""
        proof = self._proof
        return proof is not None and (proof.claim.term, proof.claim.candidate) == (term, leader)

    def is_backed(self, height: Height, block_id: BlockId) -> bool:
        """Tell whether the leader was elected with this block: then a majority may stand behind it."""
        proof = self._proof
        return proof is not None and (proof.claim.height, proof.claim.accepted_id) == (height, block_id)

    def is_broken(self, height: Height, block_id: BlockId) -> bool:
        """Tell whether the leader was elected with another block than this one."""
        proof = self._proof
        has_block = proof is not None and proof.claim.height == height and proof.claim.accepted_id is not None
        return has_block and not self.is_backed(height, block_id)

    def refuse(self, term: View) -> None:
        """Have no patience with a leader in its term, and nothing to do with what it proposes."""
        self._refused_term = term

    def is_refused(self, term: View) -> bool:
        """Tell whether the leader of a term was refused."""
        return term == self._refused_term

    def doubt(self, term: View) -> bool:
        """Have no patience with a leader at this height; tell whether that is new."""
        is_new = self._doubted_term != term
        self._doubted_term = term
        return is_new

    def begin_height(self) -> None:
        """End the doubt: others acknowledged what was unwelcome here, or another leader came."""
        self._doubted_term = NO_TERM

    def has_patience(self, term: View) -> bool:
        """Tell whether the leader's signs of life keep us from an election."""
        return term not in (self._refused_term, self._doubted_term)
