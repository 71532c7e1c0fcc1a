"""The timers of an engine: which one of each kind is the newest. Older ones mean nothing; none is cancelled.

Knows no clock: delays are carried out by the driver, and `timeouts.py` says how long they are.
"""

from protocol.consensus.effects import SetTimer
from protocol.consensus.timeouts import TimerKey, TimerKind
from protocol.types import EpochNumber, Height, View


class Timers:
    """Number the timers of one engine and tell the newest of its kind from late ones."""

    __slots__ = ("_epoch", "_newest", "count")

    def __init__(self, epoch: EpochNumber) -> None:
        self._epoch = epoch
        self._newest: dict[TimerKind, TimerKey] = {}
        self.count = 0

    def set(self, kind: TimerKind, height: Height, view: View, delay_ms: int) -> SetTimer:
        """Begin a timer in the place of an older one of its kind."""
        self.count += 1
        key = self._newest[kind] = TimerKey(kind, self._epoch, height, view, self.count)
        return SetTimer(key, delay_ms)

    def end(self, key: TimerKey) -> bool:
        """Tell whether a timer that ran out is the newest of its kind; once."""
        if self._newest.get(key.kind) != key:
            return False
        del self._newest[key.kind]
        return True
