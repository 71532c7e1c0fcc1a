"""Decide whether a caller who has proved nothing yet may begin a handshake: few at once, and not too often.

A handshake costs about 20 ms of CPU, and its sender almost nothing. Pure: the caller brings the time.
Who passes is asked for a key by `host.py`; this file knows addresses only.
"""

import ipaddress

AT_ONCE_MAX = 128
"""Handshakes under way, from everywhere."""
AT_ONCE_PER_SOURCE_MAX = 16
BURST_PER_SOURCE = 64
"""Handshakes that a source may begin after a pause."""
RATE_PER_SOURCE_PER_S = 4.0
"""Handshakes a second that a source may go on with."""
SOURCES_MAX = 4_096
"""Sources remembered; beyond them a new source is refused until one has paused."""


def source_of(ip: str) -> str:
    """Name the source of an address: the address itself, or the /64 that one IPv6 caller usually owns."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


class Doorstep:
    """Count who stands before the door."""

    __slots__ = ("_inside", "_spent", "_total")

    def __init__(self) -> None:
        self._total = 0
        self._inside: dict[str, int] = {}
        self._spent: dict[str, tuple[float, float]] = {}  # source: handshakes spent, and when that was true

    def enter(self, ip: str, now_s: float) -> bool:
        """Let a caller begin a handshake, or refuse; `leave` must follow only a True."""
        source = source_of(ip)
        inside = self._inside.get(source, 0)
        if self._total >= AT_ONCE_MAX or inside >= AT_ONCE_PER_SOURCE_MAX:
            return False
        if source not in self._spent and len(self._spent) >= SOURCES_MAX:
            self._forget(now_s)
            if len(self._spent) >= SOURCES_MAX:
                return False
        spent = self._spent_by(source, now_s)
        if spent > BURST_PER_SOURCE - 1:
            return False
        self._spent[source] = spent + 1, now_s
        self._inside[source] = inside + 1
        self._total += 1
        return True

    def leave(self, ip: str) -> None:
        """Note that a caller's handshake ended, well or badly."""
        source = source_of(ip)
        self._total -= 1
        self._inside[source] -= 1
        if not self._inside[source]:
            del self._inside[source]

    def _spent_by(self, source: str, now_s: float) -> float:
        spent, at_s = self._spent.get(source, (0.0, now_s))
        return max(0.0, spent - (now_s - at_s) * RATE_PER_SOURCE_PER_S)

    def _forget(self, now_s: float) -> None:
        paused = [source for source in self._spent if not self._spent_by(source, now_s)]
        for source in paused:
            del self._spent[source]
