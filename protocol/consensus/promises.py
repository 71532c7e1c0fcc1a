"""What a BFT validator has said at one height, and what that forbids it to say next.

The lock rule stands here, and the votes and the safety record are made here, so nothing is signed that was
not noted first. When to say what is `bft.py`; the order of disk and network is there too.

*Source*: consensus.md 2.4; The latest gossip on BFT consensus, lines 22, 28, 36 to 43.
"""

from protocol.chain.block import Block
from protocol.chain.certificate import Vote, VoteKind
from protocol.consensus.polka import Polka
from protocol.consensus.safety import BftSafety, Said
from protocol.types import BlockId, EpochNumber, Height, View


class Promises:
    """Note what we sign at a height.

    *Rules*: 1. one proposal, one prevote and one precommit a round, in rounds that ascend. 2. who
    precommitted a block is locked on it, and prevotes only what comes with a polka that is not older. 3. a
    precommit for a block has its polka in `valid`.

    Attributes:
        valid: the newest polka whose block we have executed: what we propose when it is our turn.
        has_early: a proposal of ours is in the first round of the height above.
    """

    __slots__ = (
        "_epoch",
        "_height",
        "_own",
        "has_early",
        "locked_id",
        "locked_view",
        "precommit",
        "prevote",
        "proposed_view",
        "valid",
    )

    def __init__(self, epoch: EpochNumber, height: Height, own: int) -> None:
        self._epoch = epoch
        self._height = height
        self._own = own
        self.proposed_view: View | None = None
        self.prevote: Said | None = None
        self.precommit: Said | None = None
        self.locked_view: View | None = None
        self.locked_id: BlockId | None = None
        self.valid: tuple[Polka, Block] | None = None
        self.has_early = False

    def restore(self, record: BftSafety) -> None:
        """Take the promises of an earlier process."""
        self.proposed_view = record.proposed_view
        self.prevote, self.precommit = record.prevote, record.precommit
        self.locked_view, self.locked_id = record.locked_view, record.locked_id
        self.has_early = record.early
        if record.polka is not None and record.block is not None:
            self.valid = (record.polka, record.block)

    def may_propose(self, view: View) -> bool:
        """Tell whether no proposal of ours is in a round or above it (B6)."""
        return self.proposed_view is None or self.proposed_view < view

    def may_prevote(self, valid_view: View | None) -> bool:
        """Tell whether our lock allows a block whose proposal stands on a polka of a view, or on none."""
        return self.locked_view is None or (valid_view is not None and valid_view >= self.locked_view)

    def note_prevote(self, view: View, block_id: BlockId | None, valid_view: View | None) -> None:
        """Note a prevote; None is for no block."""
        self.prevote = Said(view, block_id, valid_view)

    def note_precommit(self, view: View, polka: Polka | None) -> None:
        """Note a precommit and its lock; None is for no block, and leaves an older lock as it is."""
        if polka is not None:
            self.locked_view, self.locked_id = polka.view, polka.block_id
        self.precommit = Said(view, None if polka is None else polka.block_id)

    def make_vote(self, kind: VoteKind) -> Vote:
        """Return our newest vote of a kind, unsigned."""
        said = self.prevote if kind is VoteKind.PREVOTE else self.precommit
        assert said is not None, "nothing was said"
        return Vote(self._epoch, kind, self._height, said.view, said.block_id, said.valid_view, self._own)

    def make_record(self) -> BftSafety:
        """Return all this as the safety record."""
        polka, block = (None, None) if self.valid is None else self.valid
        return BftSafety(
            self._epoch,
            self._height,
            self.proposed_view,
            self.prevote,
            self.precommit,
            self.locked_view,
            self.locked_id,
            polka,
            block,
            self.has_early,
        )
