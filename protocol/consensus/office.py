"""What a Raft leader keeps of its office: its election, who was heard, and what was sent to whom since when.

Followers are helped by their answers to beats. Only an answer to a beat that left after the last help shows
that the help did not arrive, so nothing large is sent twice without need. What to do about it is `raft.py`.

*Source*: consensus.md 2.2 (CheckQuorum); Ongaro's thesis 6.2.
"""

from typing import Final

from protocol.chain.validators import EpochRecord
from protocol.consensus.election import Election, HandOverState
from protocol.consensus.messages import Status

STUCK_PERIODS_MAX: Final = 3
"""Longest election timeouts in which a leader that is heard gets no quorum for its block; then a new term
asks everybody anew, also those who refused this one."""


class Office:
    """Count for the leader of a term. Beats are counted on over terms, so an old answer stays old.

    Attributes:
        election: the proof that we lead; None before we first did.
        is_announced: a proposal with that proof has left.
        hand_over: how far we are with giving the office away.
    """

    __slots__ = (
        "_announced_at",
        "_beat_counter",
        "_heard",
        "_own",
        "_proposed_at",
        "_quorum",
        "_served_at",
        "_stuck_periods",
        "election",
        "hand_over",
        "is_announced",
    )

    def __init__(self, record: EpochRecord, own: int) -> None:
        self._own = own
        self._quorum = record.quorum
        self._heard = 0
        self._stuck_periods = 0
        self._beat_counter = 0
        self._announced_at = 0
        self._proposed_at: dict[int, int] = {}
        self._served_at: dict[int, int] = {}
        self.election: Election | None = None
        self.is_announced = False
        self.hand_over = HandOverState.NONE

    def enter(self, election: Election) -> None:
        """Begin with what proves that we lead."""
        self.election, self.is_announced = election, False
        self.hand_over = HandOverState.NONE
        self._heard = 0
        self._proposed_at.clear()
        self._served_at.clear()

    def begin_height(self) -> None:
        """Forget what was about the height below."""
        self._stuck_periods = 0
        self._proposed_at.clear()

    def hear(self, sender: int) -> None:
        """Note a sign of life."""
        self._heard |= 1 << sender

    def is_tenable(self, *, has_block: bool) -> bool:
        """End a period (CheckQuorum) and tell whether to stay: a quorum was heard, and it agrees in time.

        Args:
            has_block: one of ours waits for a quorum.
        """
        self._stuck_periods = self._stuck_periods + 1 if has_block else 0
        is_heard = (self._heard | 1 << self._own).bit_count() >= self._quorum
        self._heard = 0
        return is_heard and self._stuck_periods <= STUCK_PERIODS_MAX

    def count_beat(self) -> int:
        """Return the number of the beat that leaves now."""
        self._beat_counter += 1
        return self._beat_counter

    def announce(self) -> Election | None:
        """Note that a proposal leaves for everybody; return the proof to send with it, once a term."""
        election = None if self.is_announced else self.election
        self.is_announced = True
        self._announced_at = self._beat_counter
        return election

    def needs_decision(self, sender: int, status: Status) -> bool:
        """Tell whether a follower that lags is to be sent a block, and note that it is."""
        return self._note(self._served_at, sender, status, since=0)

    def needs_proposal(self, sender: int, status: Status) -> bool:
        """Tell whether a follower that is idle is to be sent the proposal again, and note that it is."""
        return self._note(self._proposed_at, sender, status, since=self._announced_at)

    def _note(self, sent_at: dict[int, int], sender: int, status: Status, *, since: int) -> bool:
        if status.beat_counter <= sent_at.get(sender, since):
            return False
        sent_at[sender] = self._beat_counter
        return True
