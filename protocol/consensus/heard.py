"""What a BFT validator has been told at one height: votes, proposals, blocks and the newest polka.

It judges what can be judged without a step of its own: whether a block follows ours, who may propose, whether
a re-proposal stands on the polka it claims (B1). Of each round it keeps two blocks (B4), of rounds near ours
only (B5), so its memory is bounded by rounds and not by what liars send. What to make of it all is `bft.py`.

*Source*: consensus.md 2.3.
"""

from protocol.chain.block import Block
from protocol.chain.certificate import Vote
from protocol.consensus.blocks import Blocks
from protocol.consensus.course import Course
from protocol.consensus.messages import BftStatus, PolkaShown, Proposal, VoteBundle
from protocol.consensus.polka import Polka, is_polka
from protocol.consensus.rounds import Rounds, is_near, is_well_formed
from protocol.types import BlockId, Height, View


class Heard:
    """Keep what was said at a height.

    Attributes:
        proposals: of each round the first that was seen.
        newest: the polka of the latest round; its block may be missing or not executed yet.
    """

    __slots__ = ("_course", "_height", "_parent_id", "blocks", "newest", "proposals", "rounds")

    def __init__(self, course: Course, height: Height, parent_id: BlockId) -> None:
        self._course = course
        self._height = height
        self._parent_id = parent_id
        self.rounds = Rounds(course.record)
        self.blocks = Blocks()
        self.proposals: dict[View, Proposal] = {}
        self.newest: Polka | None = None

    def add_vote(self, vote: Vote, current: View) -> None:
        """Count a vote of this height; of one that is too far from us only where its author is."""
        if is_well_formed(vote):
            self.rounds.note(vote)
            if is_near(vote.view, current):
                self.rounds.add(vote)

    def is_proposer(self, proposal: Proposal) -> bool:
        """Tell whether a proposal is of its round's proposer and of a block that may stand here."""
        proposer = self._course.proposer_of(self._height, proposal.view)
        return proposal.proposer == proposer and self.is_next(proposal.block)

    def is_orphan(self, proposal: Proposal) -> bool:
        """Tell whether a proposal was made early, on a block that was not decided."""
        is_fresh = proposal.view == 0 and proposal.valid_view is None
        parent_id = proposal.block.header.parent_id
        is_next = self._course.is_next(proposal.block, self._height, parent_id)
        return is_fresh and is_next and proposal.proposer == self._course.proposer_of(self._height, View(0))

    def is_next(self, block: Block) -> bool:
        """Tell whether a block follows ours."""
        return self._course.is_next(block, self._height, self._parent_id)

    def is_founded(self, proposal: Proposal) -> bool:
        """Tell whether a proposal is fresh, or carries the polka that it claims (B1)."""
        polka = proposal.polka
        if polka is None or proposal.valid_view is None:
            return polka is None and proposal.valid_view is None
        place = (polka.height, polka.view, polka.block_id)
        return (
            place == (self._height, proposal.valid_view, proposal.block.id)
            and polka.view < proposal.view
            and self.is_ours(polka)
        )

    def is_ours(self, polka: Polka) -> bool:
        """Tell whether a polka is one of this height."""
        return polka.height == self._height and is_polka(polka, self._course.record)

    def add_proposal(self, proposal: Proposal, current: View) -> bool:
        """Keep the first proposal of a round, and of another one the block if a quorum stands behind it (B4).

        Returns: whether it is the first.
        """
        view, block = proposal.view, proposal.block
        if not is_near(view, current):
            return False
        is_first = view not in self.proposals
        if is_first:
            self.proposals[view] = proposal
        if is_first or self._is_backed(view, block.id):
            self.blocks.keep(view, block)
        return is_first

    def _is_backed(self, view: View, block_id: BlockId) -> bool:
        found = self.rounds.get(view)
        return any(
            proof is not None and proof.block_id == block_id for proof in (found.polka, found.certificate)
        )

    def is_new(self, polka: Polka) -> bool:
        """Tell whether no polka is known in its round."""
        return self.rounds.get(polka.view).polka is None

    def note_newest(self, polka: Polka) -> None:
        """Take a polka for the newest, if it is."""
        if self.newest is None or self.newest.view < polka.view:
            self.newest = polka

    def forget(self, current: View, but: BlockId | None) -> None:
        """Drop what is of rounds too far from the current one, but one block."""
        self.rounds.keep_near(current)
        for old in [view for view in self.proposals if not is_near(view, current)]:
            del self.proposals[old]
        self.blocks.forget(current, but)

    def list_help(self, status: BftStatus, current: View, is_asked: bool) -> list[PolkaShown | VoteBundle]:
        """List what a validator at this height lacks: votes of its round and ours, and the newest polka.

        Args:
            is_asked: send what is large too: the proposal of its round, and the block of the polka.
        """
        found: list[PolkaShown | VoteBundle] = []
        votes = self.rounds.get(status.view).lacking(status.prevotes, status.precommits)
        if status.view < current:
            votes += self.rounds.get(current).lacking(0, 0)
        if votes:
            found.append(VoteBundle(status.epoch, self._height, votes))
        newest = self.newest
        if newest is not None and (status.polka_view is None or status.polka_view < newest.view):
            found.append(PolkaShown(newest, self.blocks.find(newest.block_id) if is_asked else None))
        proposal = self.proposals.get(status.view)
        if is_asked and proposal is not None and not status.has_proposal:
            found.append(VoteBundle(status.epoch, self._height, (), proposal))
        return found
