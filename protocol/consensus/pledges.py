"""What a Raft validator has promised in its epoch, and what that forbids it to say next.

Term and vote hold for the whole epoch, the accepted block at its height only. Claims, acknowledgements and
the safety record are made here, so nothing is signed that was not noted first. When to say what is `raft.py`;
the order of disk and network is there too.

*Source*: consensus.md 2.2, 2.4.
"""

from typing import Final

from protocol.chain.block import Block
from protocol.chain.certificate import Vote, VoteKind
from protocol.chain.claim import Claim
from protocol.consensus.safety import RaftSafety
from protocol.types import EpochNumber, Height, View

NO_TERM: Final = View(0)


class Pledges:
    """Note what we sign.

    *Rules*: 1. terms ascend. 2. one grant a term. 3. one acknowledgement a term and height. 4. a candidate
    that has less than what we acknowledged gets no grant.
    """

    __slots__ = ("_epoch", "_own", "accepted", "accepted_term", "height", "term", "voted_for")

    def __init__(self, epoch: EpochNumber, height: Height, own: int) -> None:
        self._epoch = epoch
        self._own = own
        self.height = height
        self.term = NO_TERM
        self.voted_for: int | None = None
        self.accepted_term = NO_TERM
        self.accepted: Block | None = None

    def restore(self, record: RaftSafety) -> None:
        """Take the promises of an earlier process.

        *Departs* from W5, which drops term and vote with the height: a second grant in one term elects two
        leaders, and then an accepted term no longer says which block a majority may have accepted.
        """
        self.term, self.voted_for = record.term, record.voted_for
        if record.height == self.height:
            self.accepted_term, self.accepted = record.accepted_term, record.accepted

    def enter_term(self, term: View) -> None:
        """Go to a later term, in which we have promised nothing."""
        self.term, self.voted_for = term, None

    def begin_height(self, height: Height) -> None:
        """Go to the next height, where nothing is accepted."""
        self.height = height
        self.accepted_term, self.accepted = NO_TERM, None

    def accept(self, block: Block) -> None:
        """Note that we stand behind a block in the current term."""
        self.accepted, self.accepted_term = block, self.term

    @property
    def has_accepted(self) -> bool:
        """Tell whether we stand behind a block of the current term."""
        return self.accepted is not None and self.accepted_term == self.term

    def is_worthy(self, claim: Claim) -> bool:
        """Tell whether a candidate has at least what we have."""
        return (claim.height, claim.accepted_term) >= (self.height, self.accepted_term)

    def make_claim(self, *, is_pre: bool) -> Claim:
        """Return what we say of ourselves as a candidate; a question is about the term to come."""
        term = View(self.term + 1) if is_pre else self.term
        accepted_id = None if self.accepted is None else self.accepted.id
        return Claim(self._epoch, self.height, term, self._own, self.accepted_term, accepted_id, is_pre)

    def make_ack(self) -> Vote:
        """Return the acknowledgement of the accepted block, unsigned."""
        assert self.accepted is not None, "nothing was accepted"
        return Vote(
            self._epoch,
            VoteKind.ACK,
            self.height,
            self.accepted_term,
            self.accepted.id,
            None,
            self._own,
        )

    def make_record(self) -> RaftSafety:
        """Return all this as the safety record."""
        return RaftSafety(
            self._epoch, self.height, self.term, self.voted_for, self.accepted_term, self.accepted
        )
