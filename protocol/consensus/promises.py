"""What a BFT validator has said at one height, and what that forbids it to say next.

The lock rule stands here, and what we say is made here together with the safety record that comes first, so
nothing is signed that was not noted. When to say what is `bft.py`.

*Source*: consensus.md 2.4; The latest gossip on BFT consensus, lines 22, 28, 36 to 43.
"""

from typing import Final

from protocol.chain.block import Block
from protocol.chain.certificate import Vote, VoteKind
from protocol.consensus.course import Course
from protocol.consensus.effects import Broadcast, Effect, PersistSafety
from protocol.consensus.messages import Phase, PolkaShown, Proposal
from protocol.consensus.polka import Polka
from protocol.consensus.safety import BftSafety, Said
from protocol.types import BlockId, EpochNumber, Height, View

FIRST_VIEW: Final = View(0)


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

    @property
    def locked(self) -> tuple[View, BlockId] | None:
        """Return view and block of our lock."""
        if self.locked_view is None or self.locked_id is None:
            return None
        return self.locked_view, self.locked_id

    def may_look_ahead(self, course: Course) -> bool:
        """Tell whether to build on what we precommitted: we propose first above it, and it is no seal."""
        valid = self.valid
        return valid is not None and not valid[1].header.is_seal and self._is_ours_above(course)

    def may_propose_early(self, course: Course, parent_id: BlockId) -> bool:
        """Tell whether we may propose on a block at the height above: we have precommitted it."""
        return parent_id == self.locked_id and self._is_ours_above(course)

    def _is_ours_above(self, course: Course) -> bool:
        above = Height(self._height + 1)
        return not self.has_early and course.proposer_of(above, FIRST_VIEW) == self._own

    def may_prevote(self, valid_view: View | None) -> bool:
        """Tell whether our lock allows a block whose proposal stands on a polka of a view, or on none."""
        return self.locked_view is None or (valid_view is not None and valid_view >= self.locked_view)

    # --- what we say: each promise before the message that makes it

    def propose(self, view: View, block: Block, polka: Polka | None, *, is_in_time: bool) -> list[Effect]:
        """Propose a block, and prevote it when that is still open. One write serves both."""
        self.proposed_view = view
        valid_view = None if polka is None else polka.view
        if is_in_time:
            self.prevote = Said(view, block.id, valid_view)
        proposal = Proposal(self._epoch, self._height, view, self._own, valid_view, block, polka=polka)
        prevote = [Broadcast(self.make_vote(VoteKind.PREVOTE))] if is_in_time else []
        return [self._persist(), Broadcast(proposal), *prevote]

    def propose_early(self, block: Block) -> list[Effect]:
        """Propose a block at the height above."""
        self.has_early = True
        proposal = Proposal(self._epoch, block.height, FIRST_VIEW, self._own, None, block)
        return [self._persist(), Broadcast(proposal)]

    def say_prevote(self, view: View, block_id: BlockId | None, valid_view: View | None) -> list[Effect]:
        """Prevote a block, or none."""
        self.prevote = Said(view, block_id, valid_view)
        return [self._persist(), Broadcast(self.make_vote(VoteKind.PREVOTE))]

    def say_precommit(self, view: View, polka: Polka | None) -> list[Effect]:
        """Precommit the block of a polka and lock on it; or none, which leaves an older lock as it is."""
        if polka is not None:
            self.locked_view, self.locked_id = polka.view, polka.block_id
        self.precommit = Said(view, None if polka is None else polka.block_id)
        return [self._persist(), *self._show_precommit()]

    def say_again(self) -> list[Effect]:
        """Repeat our newest votes: they may not have left before a crash."""
        votes: list[Effect] = []
        if self.prevote is not None:
            votes.append(Broadcast(self.make_vote(VoteKind.PREVOTE)))
        return votes if self.precommit is None else [*votes, *self._show_precommit()]

    def _show_precommit(self) -> list[Effect]:
        vote = self.make_vote(VoteKind.PRECOMMIT)
        if vote.block_id is None or vote.view == FIRST_VIEW:
            return [Broadcast(vote)]
        # B2. After a restart a newer polka may be there, which shows more.
        assert self.valid is not None, "a lock has its polka"
        return [Broadcast(PolkaShown(self.valid[0])), Broadcast(vote)]

    def _persist(self) -> Effect:
        return PersistSafety(self.make_record())

    def phase_in(self, view: View) -> Phase:
        """Return what we wait for in a round after what we said."""
        if self.precommit is not None and self.precommit.view == view:
            return Phase.PRECOMMIT
        return Phase.PREVOTE if self.prevote is not None and self.prevote.view == view else Phase.PROPOSE

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
