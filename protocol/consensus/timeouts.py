"""Timers: their keys, the two profiles, and the jitter that keeps candidates apart.

Jitter is a digest of who and when, not chance: the same inputs give the same effects. Knows no clock; delays
are carried out by the driver.

*Source*: consensus.md 2.5; Raft thesis 3.4 (randomised timeouts), 9.3 (their width).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from protocol import codec, crypto
from protocol.crypto import Domain
from protocol.types import EpochNumber, Height, View


class TimerKind(IntEnum):
    """What a timer is for."""

    ELECTION = 1
    """Follower: the leader's lease, then the wait before campaigning. Candidate: the wait for grants."""
    BEAT = 2
    """Leader: the next heartbeat."""
    QUORUM = 3
    """Leader: have I heard a majority since the last time (CheckQuorum)?"""
    PROPOSE = 4
    """BFT: the wait for the proposal of a round."""
    PREVOTE = 5
    """BFT: the wait for more prevotes when a quorum of them does not agree."""
    PRECOMMIT = 6
    """BFT: the wait for more precommits before the next round."""
    STATUS = 7
    """BFT: the next status, by which lost messages are found."""
    WORK = 8
    """Raft: the wait for a block while something waits to be put into one."""


@dataclass(frozen=True, slots=True)
class TimerKey:
    """Say which timer of its kind this is; only the newest means anything.

    Args:
        counter: how many timers of this machine came before; never repeats within an engine.
    """

    kind: TimerKind
    epoch: EpochNumber
    height: Height
    view: View
    counter: int


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Hold the delays of a profile, all in milliseconds.

    *Rules*: heartbeat < election_min < election_max; an election takes several heartbeats of silence.

    Args:
        propose_ms, propose_step_ms: wait for a proposal in round 0, and what each later round adds. The
            first is the least: the wait grows with what proposals were seen to take (`arrivals.py`).
        vote_ms, vote_step_ms: likewise, for stray votes after a quorum.
        status_ms, status_idle_ms: between two statuses while a block is under way, and while none is.
    """

    heartbeat_ms: int
    election_ms_min: int
    election_ms_max: int
    propose_ms: int
    propose_step_ms: int
    vote_ms: int
    vote_step_ms: int
    status_ms: int
    status_idle_ms: int


LOCAL: Final = Timeouts(50, 250, 500, 250, 200, 100, 100, 200, 1_000)
"""One machine or one room."""

WAN: Final = Timeouts(250, 1_250, 2_500, 1_000, 500, 500, 250, 1_000, 5_000)
"""Operators in different towns (consensus.md 2.5)."""

WORK_PERIODS_MAX: Final = 4
"""Longest election timeouts for which a Raft follower waits for a block while something could be in it: 2 s
and 10 s. A leader that beats and makes none is not followed after that."""

ROUND_MS_MAX: Final = 10_000
"""Timeouts grow by a step a round up to this; doubling ends in waits of an hour."""


def compute_round_ms(first_ms: int, step_ms: int, view: View) -> int:
    """Compute a timeout of a round."""
    return min(first_ms + step_ms * view, ROUND_MS_MAX)


def compute_jitter_ms(
    spread_ms: int, key: bytes, epoch: EpochNumber, height: Height, term: View, counter: int
) -> int:
    """Compute a delay of 0 .. spread_ms - 1 that differs between validators and between attempts.

    Args:
        key: consensus key of the validator.
    """
    content = codec.encode((key, epoch, height, term, counter))
    return int.from_bytes(crypto.digest(Domain.JITTER, content)[:8], "big") % max(spread_ms, 1)
