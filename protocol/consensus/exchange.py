"""Statuses in BFT: whom we ask for what is large, and whom we have given it since we last spoke.

Everybody says regularly where it is and what it has; others send what it lacks. Votes go to whoever lacks
them, proposals and blocks only to who asks us by name, once between two statuses of ours. What is lacking is
told by `heard.py`.

*Source*: consensus.md 2.3, 2.5.
"""

from protocol.consensus.heard import Heard
from protocol.consensus.messages import BftStatus, Phase, PolkaShown, VoteBundle
from protocol.consensus.promises import Promises
from protocol.consensus.rounds import to_bitmap
from protocol.types import EpochNumber, Height, View


class Exchange:
    """Take turns in asking, and give each validator its share."""

    __slots__ = ("_asked", "_epoch", "_helped", "_n", "_own")

    def __init__(self, epoch: EpochNumber, n: int, own: int) -> None:
        self._epoch = epoch
        self._n = n
        self._own = own
        self._asked = own
        self._helped = 0

    def begin_turn(self) -> None:
        """Ask the next validator from now on, and help everybody anew."""
        self._asked = (self._asked + 1) % self._n
        if self._asked == self._own:
            self._asked = (self._asked + 1) % self._n
        self._helped = 0

    def make_status(
        self, height: Height, view: View, phase: Phase, heard: Heard, promises: Promises
    ) -> BftStatus:
        """Say where we are and what we have."""
        votes, valid = heard.rounds.get(view), promises.valid
        return BftStatus(
            self._epoch,
            height,
            view,
            phase,
            to_bitmap(votes.prevotes),
            to_bitmap(votes.precommits),
            view in heard.proposals,
            None if valid is None else valid[0].view,
            self._asked,
        )

    def list_help(
        self, sender: int, status: BftStatus, view: View, heard: Heard
    ) -> list[PolkaShown | VoteBundle]:
        """List what to send a validator at our height, who is there in a round as it says."""
        is_asked = status.asked == self._own and not self._helped >> sender & 1
        self._helped |= is_asked << sender
        return heard.list_help(status, view, is_asked)
