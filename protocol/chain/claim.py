"""What a candidate of a Raft election claims, and every voter signs with it.

It stands here and not with consensus, because claims are part of what convicts (`conviction.py`). Who may
claim or grant is `consensus/raft.py`.
"""

from dataclasses import dataclass

from protocol.codec import Reader, Value
from protocol.errors import Code, Rejected
from protocol.params import INT64_MAX, VALIDATORS_MAX
from protocol.types import BlockId, EpochNumber, Height, View


@dataclass(frozen=True, slots=True)
class Claim:
    """What a candidate says about itself and every voter signs with it.

    Args:
        height: undecided height of the candidate.
        accepted_term: term in which it accepted a block at that height; 0 when it did not.
        accepted_id: that block; None when none.
        is_pre: a question only: nobody's term changes and nothing is promised (PreVote).
    """

    epoch: EpochNumber
    height: Height
    term: View
    candidate: int
    accepted_term: View
    accepted_id: BlockId | None
    is_pre: bool

    def to_value(self) -> tuple[Value, ...]:
        """Return the claim as a canonical value."""
        return (
            self.epoch,
            self.height,
            self.term,
            self.candidate,
            self.accepted_term,
            self.accepted_id,
            self.is_pre,
        )


def read_claim(value: Value) -> Claim:
    """Read a claim from a canonical value; nothing is verified.

    Raises:
        Rejected: `MALFORMED`.
    """
    fields = Reader(value, "claim", 7)
    epoch = EpochNumber(fields.uint(32))
    height = Height(fields.integer(1, INT64_MAX))
    term = View(fields.integer(0, INT64_MAX))
    candidate = fields.integer(0, VALIDATORS_MAX - 1)
    accepted_term = View(fields.integer(0, INT64_MAX))
    accepted_id = fields.optional_data(32)
    if (accepted_id is None) != (accepted_term == 0) or accepted_term >= max(term, 1):
        raise Rejected(
            Code.MALFORMED, "claim: accepted term and block disagree, or not below the term asked for"
        )
    return Claim(
        epoch,
        height,
        term,
        candidate,
        accepted_term,
        None if accepted_id is None else BlockId(accepted_id),
        fields.flag(),
    )
