"""Whether this validator may sign yet, and whether its key is in use somewhere else.

A validator only follows, and signs nothing,

1. while its double-sign guard is missing: nobody knows what the key has signed. It gets a new key by a change
   of epoch, or its operator adopts the old one.
2. while the guard knows of a vote that the safety record does not: the database was lost or set back, and
   with it the block that the vote was for. From the height of that vote on it may sign again (W5).
3. while it listens: after a start with a guard that was not written by this machine since it was started, or
   that was copied, for two heights, or for `IDLE_SECONDS` when nothing happens (W6).

A guard that never left this machine needs no listening: its lock admits one process, and a twin must have
been made by a copy, which has to listen itself. So a restart costs nothing, and a cluster whose machines were
all started anew, and where everybody listens and nobody speaks, waits for `IDLE_SECONDS` once.

What it listens to is the chain: a certificate or a proposal with our signature above what the guard knows was
made by another holder of the key. That is looked for in every block, also later, and ends all signing.

It does not know what a vote means: it says held or released, and the driver is told.

*Source*: consensus.md 2.4 (W5 to W7), reliability.md 1.9. *Departs*: W6 would have every start listen.
"""

import math
from collections.abc import Callable
from typing import Final

import trio

from node.log import get_logger
from node.signer import Signer, SignKind
from node.store.store import Store
from protocol.chain.block import Header
from protocol.chain.certificate import Certificate
from protocol.chain.validators import EpochRecord
from protocol.consensus.safety import SafetyRecord
from protocol.types import Height

IDLE_SECONDS: Final = 10.0
HEIGHTS_HEARD: Final = 2
LOOK_SECONDS: Final = 0.25
BLOCKS_LOOKED_AT: Final = 64
"""Newest blocks of the database in which our signatures are looked for at the start."""

_VOTES: Final = (SignKind.PREVOTE, SignKind.PRECOMMIT, SignKind.ACK)


class Vigil:
    """Hold one validator back until it may sign, and listen for its key.

    Args:
        height: our head when this process began.
        is_catching_up: tells whether blocks are missing that others have: those are no news.
        release: called once, when the validator may sign.
    """

    def __init__(
        self,
        signer: Signer,
        height: Height,
        is_catching_up: Callable[[], bool],
        release: Callable[[], None],
    ) -> None:
        self._signer = signer
        self._height = height
        self._is_catching_up = is_catching_up
        self._release = release
        self._sign_from = Height(0)
        self._has_listened = signer.is_at_home
        self._heard = ""
        self._quiet_until = math.inf
        self._heights = 0
        self.is_holding = True
        self._taken = trio.Event()
        self._log = get_logger("vigil")

    @property
    def why(self) -> str:
        """Say why this validator does not sign; empty when it may."""
        if self._signer.is_mute:
            return (
                "this key has no signing record, so the node follows and does not sign: give the validator a "
                "new key (coopd validator rotate); or, if no other copy of the key runs "
                "anywhere: coopd keys adopt --after HEIGHT"
            )
        if self._heard:
            return self._heard
        if self._height < self._sign_from:
            return (
                f"it voted at height {self._sign_from:,} and lost the record of it: it signs above that only"
            )
        if not self._has_listened:
            return "it listens whether its key is in use elsewhere"
        return ""

    def take(self, signer: Signer) -> bool:
        """Watch over another key from now on; tells whether it is held. What held the one before back says
        nothing of this one."""
        self._signer, self._sign_from, self._heard = signer, Height(0), ""
        self._has_listened = signer.is_at_home
        self._quiet_until, self._heights = math.inf, 0
        self.is_holding = bool(self.why)
        self._taken.set()
        return self.is_holding

    def note(self, header: Header, certificate: Certificate, record: EpochRecord) -> None:
        """Take note of a block that was committed under a record."""
        self._height = header.height
        if not self._is_catching_up():
            self._heights += 1
        self._look_at(header, certificate, record)

    def begin(self, store: Store, restored: SafetyRecord | None) -> None:
        """Hold the guard against the safety record, and against our signatures in the newest stored blocks: a
        guard that was set back lacks them. Afterwards `is_holding` tells how to start."""
        promised = self._signer.newest_height(*_VOTES)
        known = (restored.epoch, restored.height) if restored is not None else (0, 0)
        if promised > known and not self._signer.is_mute:
            self._sign_from = promised[1]
        lowest = max(store.base(), self._height - BLOCKS_LOOKED_AT)
        for height in range(lowest + 1, self._height + 1):
            header, certificate = store.header(height), store.certificate(height)
            if header is not None and certificate is not None:
                self._look_at(header, certificate, store.epoch_at(height))
        self.is_holding = bool(self.why)

    def _look_at(self, header: Header, certificate: Certificate, record: EpochRecord) -> None:
        signer, height = self._signer, header.height
        own = record.index_of(signer.public_key)
        if signer.is_mute or self._heard or own is None or height <= signer.after_height:
            return
        has_voted = own in certificate.signer_indexes()
        has_proposed = header.proposer == signer.public_key
        is_vote_known = signer.newest_height(*_VOTES)[1] >= height
        is_proposal_known = signer.newest_height(SignKind.PROPOSAL)[1] >= height
        if (has_voted and not is_vote_known) or (has_proposed and not is_proposal_known):
            self._heard = (
                f"block {height:,} has a signature of this key that this node did not make: the key is in "
                "use elsewhere, or its signing record was set back"
            )
            signer.silence(self._heard)
            self._log.critical("key.elsewhere", height=height, why=self._heard)

    async def watch(self) -> None:
        """Hold every key back until it may sign; for ever."""
        while True:
            self._taken = trio.Event()
            await self.run()
            await self._taken.wait()

    async def run(self) -> None:
        """Release the validator when it may sign."""
        if self.is_holding:
            self._log.warning("validator.held", why=self.why)
        while self.is_holding and not self._signer.is_mute and not self._heard:
            self._listen(trio.current_time())
            if not self.why:
                self._signer.settle()
                self.is_holding = False
                self._log.info("validator.released", height=self._height)
                self._release()
                return
            await trio.sleep(LOOK_SECONDS)

    def _listen(self, now: float) -> None:
        if self._is_catching_up():
            self._quiet_until, self._heights = math.inf, 0
        elif self._quiet_until == math.inf:
            self._quiet_until = now + IDLE_SECONDS
        elif now >= self._quiet_until or self._heights >= HEIGHTS_HEARD:
            self._has_listened = True
