"""Block sync as a machine: `step(input) -> [effect]`. It asks several peers for ranges and believes none.

    1. What peers say about their height is a reason to ask, nothing more.
    2. Ranges of the window above our height are asked of different peers at once.
    3. The next block is handed on only when it follows the last one and its certificate holds under the
       record of its epoch; later ones wait, because the record after a seal is known only once that is
       committed.
    4. A peer whose block does not hold is blamed and not asked again; one that is silent or short is passed
       over for a while.

It has no clock (`Tick` brings the time), chance, disk or network, and executes nothing: the driver does,
and compares the roots.

*Source*: consensus.md 2.7. *Departs*: every certificate is checked, not one a range; it is stored, so it must
be one we can hand on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from protocol import crypto
from protocol.chain.block import Block
from protocol.chain.certificate import Certificate, check_certificate, decode_certificate
from protocol.chain.validators import EpochRecord, VerifySignature
from protocol.errors import Code, Rejected
from protocol.sync.messages import RANGE_BLOCKS_MAX
from protocol.types import BlockId, Hash32, Height

PeerName: TypeAlias = bytes

REQUESTS_MAX: Final = 4
"""Ranges under way at once."""

WINDOW_BLOCKS: Final = REQUESTS_MAX * RANGE_BLOCKS_MAX
"""Blocks above our height that may be under way or waiting."""

REQUEST_MS_MAX: Final = 5_000
"""A range that has not come by then is asked of somebody else."""

PASSED_OVER_MS: Final = 2_000
"""How long a peer is passed over after a request that brought nothing."""

BEHIND_MS: Final = 1_000
"""A lag of one block counts only when it lasts this long: usually that block is on its way already."""

ASK_HEIGHT_MS: Final = 2_000
PEERS_MAX: Final = 256


# --- inputs


@dataclass(frozen=True, slots=True)
class PeerJoined:
    """A peer can be asked."""

    peer: PeerName


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """A peer is gone; so is what was asked of it."""

    peer: PeerName


@dataclass(frozen=True, slots=True)
class HeightTold:
    """A peer says, or shows by its votes, that it has this height."""

    peer: PeerName
    height: Height


@dataclass(frozen=True, slots=True)
class BlocksCame:
    """A peer answered a request."""

    peer: PeerName
    request: int
    blocks: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Advanced:
    """The chain on our disk has grown, by sync or by consensus."""

    height: Height
    block_id: BlockId
    record: EpochRecord


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""

    now_ms: int


SyncInput: TypeAlias = PeerJoined | PeerLeft | HeightTold | BlocksCame | Advanced | Tick


# --- effects


@dataclass(frozen=True, slots=True)
class QueryHeight:
    """Ask a peer for its height."""

    peer: PeerName


@dataclass(frozen=True, slots=True)
class QueryBlocks:
    """Ask a peer for a range."""

    peer: PeerName
    request: int
    first: Height
    count: int


@dataclass(frozen=True, slots=True)
class HandOn:
    """A block above the head whose certificate holds: execute and commit it; answered by `Advanced`."""

    block: Block
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Blame:
    """A peer sent what does not hold."""

    peer: PeerName
    why: str


SyncEffect: TypeAlias = QueryHeight | QueryBlocks | HandOn | Blame


class _Peer:
    """What is known of one peer; `failures` counts requests in a row that brought nothing."""

    __slots__ = ("failures", "height", "is_blamed", "passed_over_until_ms")

    def __init__(self) -> None:
        self.height = Height(0)
        self.is_blamed = False
        self.failures = 0
        self.passed_over_until_ms = 0

    def fail(self, now_ms: int) -> None:
        self.failures += 1
        self.passed_over_until_ms = now_ms + PASSED_OVER_MS


@dataclass(frozen=True, slots=True)
class _Request:
    peer: PeerName
    first: Height
    count: int
    asked_ms: int


class Planner:
    """Plan how a node that lags catches up.

    Args:
        decode_block: decodes a block of this chain and checks that the body is its header's.
    """

    __slots__ = (
        "_arrived",
        "_asked_height_ms",
        "_behind_since_ms",
        "_block_id",
        "_decode_block",
        "_genesis_hash",
        "_handed",
        "_height",
        "_next_request",
        "_now_ms",
        "_peers",
        "_record",
        "_requests",
        "_verify",
    )

    def __init__(
        self,
        genesis_hash: Hash32,
        height: Height,
        block_id: BlockId,
        record: EpochRecord,
        decode_block: Callable[[bytes], Block],
        verify: VerifySignature = crypto.verify,
    ) -> None:
        self._genesis_hash = genesis_hash
        self._height = height
        self._block_id = block_id
        self._record = record
        self._decode_block = decode_block
        self._verify = verify
        self._peers: dict[PeerName, _Peer] = {}
        self._requests: dict[int, _Request] = {}
        self._arrived: dict[Height, tuple[PeerName, bytes, bytes]] = {}
        self._handed = Height(0)
        self._next_request = 1
        self._now_ms = 0
        self._asked_height_ms = -ASK_HEIGHT_MS
        self._behind_since_ms: int | None = None

    @property
    def target(self) -> Height:
        """Return the highest height that a peer claims to have."""
        heights = [peer.height for peer in self._peers.values() if not peer.is_blamed]
        return max(heights, default=self._height)

    @property
    def is_behind(self) -> bool:
        """Tell whether blocks must be fetched: two are missing, or one for a while."""
        lag = self.target - self._height
        since = self._behind_since_ms
        return lag >= 2 or (lag == 1 and since is not None and self._now_ms - since >= BEHIND_MS)

    def step(self, event: SyncInput) -> list[SyncEffect]:
        """Take one input and return what is to be done, in order."""
        effects: list[SyncEffect] = []
        match event:
            case PeerJoined(peer):
                if len(self._peers) < PEERS_MAX:
                    self._peers.setdefault(peer, _Peer())
                effects.append(QueryHeight(peer))
            case PeerLeft(peer):
                self._peers.pop(peer, None)
                self._forget_requests(lambda request: request.peer == peer)
            case HeightTold(peer, height):
                if peer in self._peers:
                    self._peers[peer].height = max(self._peers[peer].height, height)
            case BlocksCame(peer, request, blocks):
                self._take(peer, request, blocks)
            case Advanced(height, block_id, record):
                self._advance(height, block_id, record)
            case Tick(now_ms):
                self._now_ms = now_ms
                effects += self._ask_heights()
                self._pass_over_the_silent()
            case _:
                assert_never(event)
        self._note_lag()
        return effects + self._hand_on() + self._ask_ranges()

    # --- asking

    def _ask_heights(self) -> list[SyncEffect]:
        if self._now_ms - self._asked_height_ms < ASK_HEIGHT_MS:
            return []
        self._asked_height_ms = self._now_ms
        return [QueryHeight(name) for name in sorted(self._peers) if not self._peers[name].is_blamed]

    def _pass_over_the_silent(self) -> None:
        for request in self._requests.values():
            if self._now_ms - request.asked_ms > REQUEST_MS_MAX and request.peer in self._peers:
                self._peers[request.peer].fail(self._now_ms)
        self._forget_requests(lambda request: self._now_ms - request.asked_ms > REQUEST_MS_MAX)

    def _forget_requests(self, is_void: Callable[[_Request], bool]) -> None:
        self._requests = {number: r for number, r in self._requests.items() if not is_void(r)}

    def _ask_ranges(self) -> list[SyncEffect]:
        effects: list[SyncEffect] = []
        while self.is_behind and len(self._requests) < REQUESTS_MAX:
            missing = self._find_missing()
            if missing is None:
                break
            first, count = missing
            name = self._choose_peer(first)
            if name is None:
                break
            count = min(count, self._peers[name].height - first + 1)
            number, self._next_request = self._next_request, self._next_request + 1
            self._requests[number] = _Request(name, first, count, self._now_ms)
            effects.append(QueryBlocks(name, number, first, count))
        return effects

    def _find_missing(self) -> tuple[Height, int] | None:
        """Return the first range of the window that neither waits here nor is under way."""
        end = min(self.target, self._height + WINDOW_BLOCKS)
        asked = [(r.first, r.first + r.count) for r in self._requests.values()]

        def is_missing(height: int) -> bool:
            return height not in self._arrived and not any(low <= height < high for low, high in asked)

        first = next((h for h in range(self._height + 1, end + 1) if is_missing(h)), None)
        if first is None:
            return None
        count = 1
        while count < RANGE_BLOCKS_MAX and first + count <= end and is_missing(first + count):
            count += 1
        return Height(first), count

    def _choose_peer(self, height: Height) -> PeerName | None:
        """Return who has the height: the most reliable one, then who has the fewest requests, then by name.

        Two silent peers must not take turns for ever while an honest one waits, hence failures come first.
        """
        load = [request.peer for request in self._requests.values()]
        fit = [
            (peer.failures, load.count(name), name)
            for name, peer in self._peers.items()
            if peer.height >= height and not peer.is_blamed and peer.passed_over_until_ms <= self._now_ms
        ]
        return min(fit)[2] if fit else None

    # --- answers

    def _take(self, peer: PeerName, number: int, blocks: tuple[tuple[bytes, bytes], ...]) -> None:
        request = self._requests.get(number)
        if request is None or request.peer != peer:
            return
        del self._requests[number]
        known = self._peers.get(peer)
        if known is not None and blocks:
            known.failures = 0
        elif known is not None:
            known.height = Height(min(known.height, request.first - 1))
            known.fail(self._now_ms)
        for offset, (block, certificate) in enumerate(blocks[: request.count]):
            height = Height(request.first + offset)
            if height > self._height:
                self._arrived.setdefault(height, (peer, block, certificate))

    def _advance(self, height: Height, block_id: BlockId, record: EpochRecord) -> None:
        if height <= self._height:
            return
        self._height, self._block_id, self._record = height, block_id, record
        self._arrived = {h: waiting for h, waiting in self._arrived.items() if h > height}
        self._behind_since_ms = None

    def _note_lag(self) -> None:
        if self.target <= self._height:
            self._behind_since_ms = None
        elif self._behind_since_ms is None:
            self._behind_since_ms = self._now_ms

    def _hand_on(self) -> list[SyncEffect]:
        """Check the next block if it is here and hand it on, one at a time."""
        height = Height(self._height + 1)
        if self._handed >= height or height not in self._arrived:
            return []
        peer, block_bytes, certificate_bytes = self._arrived[height]
        try:
            block, certificate = self._check(height, block_bytes, certificate_bytes)
        except Rejected as refusal:
            return self._blame(peer, f"block {height}: {refusal}")
        self._handed = height
        return [HandOn(block, certificate)]

    def _check(
        self, height: Height, block_bytes: bytes, certificate_bytes: bytes
    ) -> tuple[Block, Certificate]:
        block, certificate = self._decode_block(block_bytes), decode_certificate(certificate_bytes)
        check_certificate(certificate, self._record, self._genesis_hash, self._verify)
        if (certificate.height, certificate.block_id) != (height, block.id) or block.height != height:
            raise Rejected(Code.BAD_PROOF, "its certificate is of another block")
        if block.header.parent_id != self._block_id:
            raise Rejected(Code.BAD_PROOF, "it does not follow our head")
        return block, certificate

    def _blame(self, name: PeerName, why: str) -> list[SyncEffect]:
        peer = self._peers.get(name)
        if peer is not None:
            peer.is_blamed = True
        self._arrived = {h: waiting for h, waiting in self._arrived.items() if waiting[0] != name}
        self._forget_requests(lambda request: request.peer == name)
        return [Blame(name, why), *self._hand_on()]
