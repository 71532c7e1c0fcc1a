"""Who costs us more than his share: frames above the rate of their kind, and frames that are wrong.

Pure: time is handed in, and what a kind means is the caller's affair. Peers are those of the roster, so what
is kept is bounded by it.

Rules:
    1. Of each peer and kind so many frames a second are read, and a burst above that; the rest is dropped
       unread and counts `OVER_RATE_POINTS` each. Rates are far above what a correct node sends.
    2. A wrong frame counts `WRONG_POINTS`. Points are forgiven with time, `FORGIVEN_A_SECOND`.
    3. Who has `POINTS_MAX` or more is to be cut off, and is not heard for `BAN_SECONDS`; then he begins anew.
       Short, because every validator counts: a liar has a burst in that time, an unlucky one is back soon.

*Source*: reliability.md 3, rows "peer: frames" and "peer: eclipse, slow, amplification".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from node.net.transport import PeerId

OVER_RATE_POINTS: Final = 1
WRONG_POINTS: Final = 100
POINTS_MAX: Final = 1_000
FORGIVEN_A_SECOND: Final = 20
BAN_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Rate:
    """Bound the frames of one kind from one peer."""

    frames_a_second: int
    burst_frames: int


class _Bucket:
    """What a peer may still send of a kind at once."""

    __slots__ = ("at", "left")

    def __init__(self, left: float, at: float) -> None:
        self.left = left
        self.at = at


class Offences:
    """Keep score of every peer.

    Args:
        rates: of each kind of frame; a kind without one is not limited.
    """

    __slots__ = ("_banned_until", "_buckets", "_points", "_rates")

    def __init__(self, rates: Mapping[int, Rate]) -> None:
        self._rates = rates
        self._buckets: dict[tuple[PeerId, int], _Bucket] = {}
        self._points: dict[PeerId, tuple[float, float]] = {}
        self._banned_until: dict[PeerId, float] = {}

    def is_banned(self, peer: PeerId, now: float) -> bool:
        """Tell whether a peer is not heard now."""
        until = self._banned_until.get(peer)
        if until is None:
            return False
        if now < until:
            return True
        del self._banned_until[peer]
        return False

    def allows(self, peer: PeerId, kind: int, now: float) -> bool:
        """Take one frame out of a peer's share; False when there is nothing left of it."""
        rate = self._rates.get(kind)
        if rate is None:
            return True
        bucket = self._buckets.get((peer, kind))
        if bucket is None:
            bucket = self._buckets[peer, kind] = _Bucket(rate.burst_frames, now)
        bucket.left = min(bucket.left + (now - bucket.at) * rate.frames_a_second, rate.burst_frames)
        bucket.at = now
        if bucket.left < 1:
            return False
        bucket.left -= 1
        return True

    def note(self, peer: PeerId, points: int, now: float) -> bool:
        """Count an offence; True when the peer is to be cut off now."""
        before, at = self._points.get(peer, (0.0, now))
        score = max(before - (now - at) * FORGIVEN_A_SECOND, 0.0) + points
        self._points[peer] = score, now
        if score < POINTS_MAX or self.is_banned(peer, now):
            return False
        del self._points[peer]
        self._banned_until[peer] = now + BAN_SECONDS
        return True
