"""How long proposals took to come, and how long to wait for the next one because of it.

Who is slow today is not dead: the wait follows what was seen, and never falls below what the profile says.
The times are measured outside and come as inputs; nothing here knows a clock.

*Departs* from consensus.md 2.5, which takes the 99th percentile of all proposals: a liar who proposes as late
as it may would stretch everybody's wait fourfold, again and again. Here each proposer has its own slowest but
one, and the f largest of these do not count.

*Source*: consensus.md 2.5.
"""

from collections import deque
from typing import Final

ARRIVALS_KEPT: Final = 32
"""Newest proposals of each validator whose time counts; the slowest of them does not."""

PATIENCE: Final = 4
"""A proposal may take so many times as long as others did."""


class Arrivals:
    """Remember how long proposals took, in milliseconds from the beginning of the wait.

    Args:
        n: number of validators.
    """

    __slots__ = ("_liars_max", "_newest_ms")

    def __init__(self, n: int) -> None:
        self._liars_max = (n - 1) // 3
        self._newest_ms: list[deque[int]] = [deque(maxlen=ARRIVALS_KEPT) for _ in range(n)]

    def note(self, proposer: int, waited_ms: int) -> None:
        """Take the time of one proposal."""
        self._newest_ms[proposer].append(waited_ms)

    def compute_patience_ms(self, least_ms: int) -> int:
        """Return how long to wait for a proposal.

        Args:
            least_ms: what the profile says.
        """
        slow_ms = sorted(sorted(newest)[-2] if len(newest) > 1 else 0 for newest in self._newest_ms)
        return max(least_ms, PATIENCE * slow_ms[-1 - self._liars_max])
