"""Evidence that waits for a block: bounded, told to the other validators, and kept over a restart.

Who signs twice is noticed by some validators, maybe by one alone, and the next proposer may be the culprit.
So evidence goes to every validator, at once and again until a block says it; each checks it for itself before
it keeps or passes it on, and whoever proposes next puts it first.

Rules:
    1. One piece for each validator, epoch and kind: another pair for the same deed says nothing new.
    2. What does not convict now is refused, and its sender is not heard for `DEAF_SECONDS`: two signature
       checks must not be had for nothing. What is only old or early news is dropped without blame.
    3. A full pool refuses; it holds more than three blocks take, and validators cannot do more than six deeds
       an epoch each.
    4. A restart finds what waited, unless the disk was full; then other validators have it.

It does not know what convicts (`protocol/chain/conviction.py`) or what follows (`protocol/contracts`).

*Source*: consensus.md 2.8.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeAlias

import trio

from node.files import write_whole
from node.log import get_logger
from node.net.transport import PeerId
from node.wire import FrameKind, frame
from protocol import codec
from protocol.chain.evidence import EVIDENCE_BYTES_MAX, Evidence, EvidenceKind, decode_evidence, read_evidence
from protocol.codec import Reader
from protocol.errors import Code, Rejected
from protocol.params import BLOCK_EVIDENCE_MAX
from protocol.types import EpochNumber, PublicKey

WAITING_MAX: Final = 64
"""Pieces that wait; a block takes 16."""

REPEAT_SECONDS: Final = 2.0
"""How often what waits is told again: a cut link only delays it."""

DEAF_SECONDS: Final = 10.0
"""How long a peer that sent something wrong is not heard."""

_Deed: TypeAlias = tuple[PublicKey, EpochNumber, EvidenceKind]


class EvidencePool:
    """Hold evidence until a block carries it.

    Args:
        path: of the file that survives a restart.
        check: raises Rejected when evidence could not stand in the next block.
        spread: tells every validator.
        on_news: called after something was added, to wake whoever makes blocks.
    """

    def __init__(
        self,
        path: Path,
        check: Callable[[Evidence], None],
        spread: Callable[[bytes], object],
        on_news: Callable[[], None],
    ) -> None:
        self._path = path
        self._check = check
        self._spread = spread
        self._on_news = on_news
        self._waiting: dict[_Deed, Evidence] = {}
        self._deaf_until: dict[PeerId, float] = {}
        self.seen_total = 0
        self._log = get_logger("evidence")

    def __len__(self) -> int:
        return len(self._waiting)

    def load(self) -> None:
        """Take up what waited when the node stopped; what a block has said since is dropped."""
        try:
            value = codec.decode(self._path.read_bytes(), WAITING_MAX * EVIDENCE_BYTES_MAX)
            pieces = Reader((value,), "evidence", 1).records(WAITING_MAX, read_evidence)
        except FileNotFoundError:
            return
        except (OSError, Rejected) as failure:
            self._log.warning("evidence.unreadable", file=str(self._path), why=str(failure))
            return
        self._waiting = {_deed_of(piece): piece for piece in pieces if self._is_current(piece)}

    def report(self, evidence: Evidence) -> None:
        """Take what our own consensus noticed."""
        try:
            self.add(evidence)
        except Rejected as refusal:
            self._log.debug("evidence.not_kept", why=str(refusal))

    def on_frame(self, peer: PeerId, payload: bytes) -> None:
        """Take what a peer shows.

        Raises:
            Rejected: it convicts nobody; the peer is at fault.
        """
        now = trio.current_time()
        if now < self._deaf_until.get(peer, now):
            return
        try:
            self.add(decode_evidence(payload))
        except Rejected as refusal:
            if refusal.retry or refusal.code in (Code.EXISTS, Code.EXPIRED):
                return
            self._deaf_until[peer] = now + DEAF_SECONDS
            raise

    def add(self, evidence: Evidence) -> None:
        """Keep evidence for a block and tell the validators.

        Raises:
            Rejected: EXISTS (it waits, or is on the chain), FULL, or why it does not convict.
        """
        deed = _deed_of(evidence)
        if deed in self._waiting:
            raise Rejected(Code.EXISTS, "this evidence waits already")
        if len(self._waiting) >= WAITING_MAX:
            raise Rejected(Code.FULL, f"{WAITING_MAX} pieces of evidence wait already", retry=True)
        self._check(evidence)
        self._waiting[deed] = evidence
        self.seen_total += 1
        self._save()
        self._log.error("evidence.found", **_describe(evidence))
        self._tell(evidence)
        self._on_news()

    def take(self) -> tuple[Evidence, ...]:
        """Choose what the next block carries; it stays until `settle`. What is no news is dropped."""
        taken: list[Evidence] = []
        for deed, evidence in list(self._waiting.items()):
            if len(taken) == BLOCK_EVIDENCE_MAX:
                break
            if self._is_current(evidence):
                taken.append(evidence)
            else:
                del self._waiting[deed]
        return tuple(taken)

    def settle(self, committed: Iterable[Evidence]) -> None:
        """Take note of what a block has said."""
        for evidence in committed:
            self._log.error("evidence.committed", **_describe(evidence))
            if self._waiting.pop(_deed_of(evidence), None) is not None:
                self._save()

    async def run(self) -> None:
        """Tell again what waits; for ever."""
        while True:
            await trio.sleep(REPEAT_SECONDS)
            for evidence in self._waiting.values():
                self._tell(evidence)

    def _tell(self, evidence: Evidence) -> None:
        self._spread(frame(FrameKind.EVIDENCE, evidence.encode()))

    def _is_current(self, evidence: Evidence) -> bool:
        try:
            self._check(evidence)
        except Rejected:
            return False
        return True

    def _save(self) -> None:
        """Write what waits: a few milliseconds, a few times in the life of a co-op."""
        data = codec.encode(tuple([evidence.to_value() for evidence in self._waiting.values()]))
        try:
            write_whole(self._path, data)
        except OSError as failure:
            self._log.warning("evidence.not_saved", file=str(self._path), why=str(failure))


def _deed_of(evidence: Evidence) -> _Deed:
    return evidence.accused, evidence.epoch, evidence.kind


def _describe(evidence: Evidence) -> dict[str, object]:
    return {
        "kind": evidence.kind.name.lower(),
        "accused": evidence.accused.hex(),
        "epoch": evidence.epoch,
        "height": evidence.height,
    }
