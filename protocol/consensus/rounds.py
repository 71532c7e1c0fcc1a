"""Counting in BFT: the votes of each round of one height, and what a quorum of them proves.

Small algebra, no protocol: what a node may say when is `bft.py`. Of one validator, round and kind the first
vote counts, so a liar is counted once; a polka that comes as a whole is taken as a whole (B3), because who
signed it may have said something else to us before.

*Rules*: 1. only rounds near ours are kept (B5). 2. prevotes for one block that stood on different polkas do
not add up. 3. f + 1 validators in later rounds show that a correct one is in the least of these or beyond.

*Departs* from lines 34, 47 and 55 of the paper, which count the votes of one round: here it also counts who
went on to a later round, since it says nothing more in this one. In the paper nobody forgets a vote; here a
crash takes from us what others said, and with one validator gone for good those who are left would wait for
each other in two rounds for ever. No lock, vote or decision stands on this: only waits begin and end by it.

*Source*: consensus.md 2.3 (B3, B5, B8); Buchman, Kwon, Milosevic, The latest gossip on BFT consensus, 2018.
"""

from typing import Final

from protocol.chain.certificate import Certificate, Vote, VoteKind, certify
from protocol.chain.validators import EpochRecord
from protocol.consensus.polka import Polka, form_polka
from protocol.types import BlockId, View

VIEWS_AHEAD_MAX: Final = 8
"""Rounds above ours whose votes and proposals are kept (B5)."""

VIEWS_BEHIND_MAX: Final = 8
"""Rounds below ours whose votes and blocks are kept: for a late decision, and for those who are there."""


def is_well_formed(vote: Vote) -> bool:
    """Tell whether a vote says something that BFT knows: only a prevote for a block stands on a polka."""
    if vote.kind is VoteKind.PRECOMMIT:
        return vote.valid_view is None
    is_founded = vote.valid_view is None or (vote.block_id is not None and vote.valid_view < vote.view)
    return vote.kind is VoteKind.PREVOTE and is_founded


class Round:
    """The votes of one round.

    Attributes:
        prevotes, precommits: by validator, the first of each.
        polka: at most one exists while at most f validators lie; the first that was found.
        certificate: likewise.
    """

    __slots__ = ("certificate", "polka", "precommits", "prevotes")

    def __init__(self) -> None:
        self.prevotes: dict[int, Vote] = {}
        self.precommits: dict[int, Vote] = {}
        self.polka: Polka | None = None
        self.certificate: Certificate | None = None

    @property
    def voters(self) -> int:
        """Return how many validators voted here."""
        return len(self.prevotes.keys() | self.precommits.keys())

    def lacking(self, prevotes: int, precommits: int) -> tuple[Vote, ...]:
        """List the votes here of validators that are not in two bitmaps."""
        return tuple(
            vote
            for have, votes in ((prevotes, self.prevotes), (precommits, self.precommits))
            for validator, vote in sorted(votes.items())
            if not have >> validator & 1
        )


NOTHING: Final = Round()
"""Of a round that nobody voted in; never changed."""


class Rounds:
    """Collect the votes of one height, of the rounds near the current one."""

    __slots__ = ("_n", "_newest", "_quorum", "_rounds", "blocking", "certificates", "skip_view")

    def __init__(self, record: EpochRecord) -> None:
        self._n = len(record.validators)
        self._quorum = record.quorum
        self.blocking = (self._n - 1) // 3 + 1
        self._rounds: dict[View, Round] = {}
        # Found by any round; what each of them decides is the same.
        self.certificates: list[Certificate] = []
        # Of each validator, the latest round in which it voted, and the latest that f + 1 of them reached.
        self._newest: dict[int, View] = {}
        self.skip_view = View(0)

    def get(self, view: View) -> Round:
        """Return what is known of a round."""
        return self._rounds.get(view, NOTHING)

    def add(self, vote: Vote) -> None:
        """Count a well-formed vote of this height, unless its author has voted there before."""
        found = self._rounds.setdefault(vote.view, Round())
        votes = found.prevotes if vote.kind is VoteKind.PREVOTE else found.precommits
        if vote.validator in votes:
            return
        votes[vote.validator] = vote
        if vote.block_id is None or len(votes) < self._quorum:
            return
        content = (vote.block_id, vote.valid_view)
        same = tuple(v for v in votes.values() if (v.block_id, v.valid_view) == content)
        if len(same) < self._quorum:
            return
        if vote.kind is VoteKind.PREVOTE:
            found.polka = found.polka or form_polka(same)
        elif found.certificate is None:
            found.certificate = certify(same)
            self.certificates.append(found.certificate)

    def note(self, vote: Vote) -> None:
        """Remember how far the author of a vote is, even when the vote itself is not kept (B9)."""
        if vote.view > self._newest.get(vote.validator, View(-1)):
            self._newest[vote.validator] = vote.view
            views = sorted(self._newest.values(), reverse=True)
            if len(views) >= self.blocking:
                self.skip_view = views[self.blocking - 1]

    def add_polka(self, polka: Polka) -> None:
        """Take a polka as a whole."""
        found = self._rounds.setdefault(polka.view, Round())
        found.polka = found.polka or polka

    def has_quorum(self, view: View, kind: VoteKind) -> bool:
        """Tell whether a quorum voted in a round, for whatever, or went on to later ones."""
        found = self.get(view)
        voters = (found.prevotes if kind is VoteKind.PREVOTE else found.precommits).keys()
        if len(voters) >= self._quorum:
            return True
        gone = {validator for validator, newest in self._newest.items() if newest > view}
        return len(voters | gone) >= self._quorum

    def is_hopeless(self, view: View) -> bool:
        """Tell whether the prevotes that are still to come can make no polka for any block (B8)."""
        prevotes = self.get(view).prevotes.values()
        counts: dict[tuple[BlockId, View | None], int] = {}
        for vote in prevotes:
            if vote.block_id is not None:
                content = (vote.block_id, vote.valid_view)
                counts[content] = counts.get(content, 0) + 1
        return max(counts.values(), default=0) + self._n - len(prevotes) < self._quorum

    def keep_near(self, view: View) -> None:
        """Forget the rounds that are too far below a round."""
        for old in [v for v in self._rounds if v < view - VIEWS_BEHIND_MAX]:
            del self._rounds[old]


def is_near(view: View, current: View) -> bool:
    """Tell whether votes and proposals of a round are kept (B5)."""
    return current - VIEWS_BEHIND_MAX <= view <= current + VIEWS_AHEAD_MAX


def to_bitmap(votes: dict[int, Vote]) -> int:
    """Return whose votes there are, bit i for validator i."""
    return sum(1 << validator for validator in votes)
