"""What time it is: the only place of the node that asks the machine.

The wall clock gives block times and is trusted for nothing else; durations are measured by the monotonic one.
Tests use `FakeClock`; tasks that sleep do so by trio's own clock, which tests replace apart.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Tell the time."""

    def wall_ms(self) -> int:
        """Unix time in milliseconds, as people set it: may jump."""

    def monotonic_ms(self) -> int:
        """Milliseconds since some moment; never goes back."""


class SystemClock:
    """The clock of this machine.

    Attributes:
        offset_ms: added to the wall clock; only for chains of `is_dev`, to try what happens in a month.
    """

    __slots__ = ("offset_ms",)

    def __init__(self) -> None:
        self.offset_ms = 0

    def wall_ms(self) -> int:
        """Unix time in milliseconds, shifted by the offset."""
        return time.time_ns() // 1_000_000 + self.offset_ms

    def monotonic_ms(self) -> int:
        """Milliseconds since the machine started."""
        return time.monotonic_ns() // 1_000_000


class FakeClock:
    """A clock that moves only when a test says so."""

    __slots__ = ("_monotonic_ms", "_wall_ms")

    def __init__(self, wall_ms: int = 1_700_000_000_000) -> None:
        self._wall_ms = wall_ms
        self._monotonic_ms = 0

    def wall_ms(self) -> int:
        """Unix time in milliseconds."""
        return self._wall_ms

    def monotonic_ms(self) -> int:
        """Milliseconds since the clock was made."""
        return self._monotonic_ms

    def advance(self, duration_ms: int) -> None:
        """Let time pass."""
        assert duration_ms >= 0
        self._wall_ms += duration_ms
        self._monotonic_ms += duration_ms

    def set_wall(self, wall_ms: int) -> None:
        """Set the wall clock, as a person or a time server does; the monotonic one does not notice."""
        self._wall_ms = wall_ms
