"""The links of a simulated world: delay, loss, duplication, order and cuts, and a message on its way.

A message that is broadcast is one `Parcel`, encoded, decoded and verified once however many get it. It does
not know nodes: it is told from where to where, and answers when a copy arrives.
"""

from collections import Counter
from collections.abc import Callable
from random import Random

from protocol.chain.validators import EpochRecord, VerifySignature
from protocol.consensus.messages import (
    Message,
    decode_message,
    encode_message,
    epoch_of,
    list_signature_checks,
)
from tests.simulation.disk import decode_plain_block
from tests.simulation.faults import Faults
from tests.simulation.ledger import GENESIS_HASH

Pairs = frozenset[tuple[int, int]]


class Parcel:
    """A message on its way from one node, to any number of others."""

    __slots__ = ("message", "sender", "verified_by")

    def __init__(self, sender: int, message: Message) -> None:
        self.sender = sender
        self.message = message
        self.verified_by: EpochRecord | None = None

    def travel_as_bytes(self) -> None:
        """Encode and decode the message."""
        self.message = decode_message(encode_message(self.message), decode_plain_block)

    def verify(self, record: EpochRecord, verify: VerifySignature) -> None:
        """Check every signature that the message holds, once a record."""
        if self.verified_by is record or epoch_of(self.message) != record.number:
            return
        self.verified_by = record
        for key, digest, signature in list_signature_checks(self.message, record, GENESIS_HASH):
            assert verify(key, digest, signature), f"a signature does not hold: {self.message!r:.120}"


class Network:
    """Say when a message arrives.

    Attributes:
        rushing: nodes whose messages, and to whom messages, take no time: who rushes hears all before it
            speaks, and is heard first.
    """

    __slots__ = ("_blocked", "_faults", "_link_free", "_random", "counts", "is_calm", "rushing")

    def __init__(self, faults: Faults, random: Random, counts: "Counter[str]") -> None:
        self._faults = faults
        self._random = random
        self._blocked: dict[int, Pairs] = {}
        self._link_free: dict[tuple[int, int], int] = {}
        self.counts = counts
        self.is_calm = False
        self.rushing: frozenset[int] = frozenset()

    def cut(self, name: int, pairs: Pairs) -> Callable[[], None]:
        """Block links, and return what heals them again."""
        self._blocked[name] = pairs
        return lambda: self._heal(name)

    def _heal(self, name: int) -> None:
        self._blocked.pop(name, None)

    def heal_all(self) -> None:
        self._blocked.clear()
        self.is_calm = True

    def is_cut(self, one: int, other: int) -> bool:
        """Tell whether two nodes cannot talk."""
        links = {(one, other), (other, one)}
        return any(links & pairs for pairs in self._blocked.values())

    def list_arrivals_ms(self, now_ms: int, sender: int, target: int) -> list[int]:
        """List the times at which copies of a message arrive; none when it is lost."""
        faults, random = self._faults, self._random.random
        copies = 1
        if not self.is_calm:
            if self._blocked and any((sender, target) in pairs for pairs in self._blocked.values()):
                self.counts["message cut off"] += 1
                return []
            if faults.loss and random() < faults.loss:
                self.counts["message lost"] += 1
                return []
            if faults.duplicate and random() < faults.duplicate:
                self.counts["message doubled"] += 1
                copies = 2
        if self.rushing and (sender in self.rushing or target in self.rushing):
            return [now_ms] * copies
        least, most = faults.delay_ms
        if copies == 1 and not faults.is_ordered:
            return [now_ms + least + int(random() * (most - least + 1))]
        arrivals = [now_ms + least + int(random() * (most - least + 1)) for _ in range(copies)]
        if faults.is_ordered:
            link = (sender, target)
            free_ms = self._link_free.get(link, 0)
            arrivals = [max(arrival_ms, free_ms) for arrival_ms in arrivals]
            self._link_free[link] = max(arrivals)
        return arrivals
