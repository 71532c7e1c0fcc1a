"""Plan block sync: which range to ask of whom, what to make of the answer, and what may be applied next.

    step(input) -> [effect, ...]

Ranges are asked of several peers at a time, ahead of what is applied. Blocks are checked in order of
height: the link to the block below and the whole certificate under the record of their epoch; a seal stops
the checking until it is applied and the next record is known. Whoever sends a bad block or does not answer
is left out.

It has no clock (the shell says when a request failed), executes nothing (the shell does, and stops the node
when a certified block gives other roots) and does not vote: consensus joins in at the tip by itself.

*Source*: consensus.md 2.7.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from protocol import crypto
from protocol.chain.block import Block
from protocol.chain.certificate import Certificate, check_certificate
from protocol.chain.validators import EpochRecord, VerifySignature
from protocol.errors import Code, Rejected
from protocol.sync.messages import RANGE_BLOCKS_MAX
from protocol.types import BlockId, Hash32, Height, PublicKey

RANGES_OPEN_MAX: Final = 8
"""Requests under way."""

RANGES_A_PEER_MAX: Final = 2
"""Requests under way at one peer: one is served while the other's answer travels."""

BLOCKS_AHEAD_MAX: Final = 8 * RANGE_BLOCKS_MAX
"""Heights above the last applied one that may be asked for or held."""

HELD_BYTES_MAX: Final = 32 * 1024 * 1024
"""Bytes of transactions held; above it only the next block is asked for. What is under way comes on top."""

FAILURES_MAX: Final = 3
"""Failed requests in a row after which a peer is left out until it tells its status again."""

PEERS_MAX: Final = 64


# --- inputs


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A peer says how far it is."""

    peer: PublicKey
    height: Height


@dataclass(frozen=True, slots=True)
class PeerGone:
    """A peer is no longer connected."""

    peer: PublicKey


@dataclass(frozen=True, slots=True)
class BlocksArrived:
    """The answer to a request."""

    request: int
    blocks: tuple[tuple[Block, Certificate], ...]


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """A request was refused, cut off, undecodable, or not answered in time."""

    request: int


@dataclass(frozen=True, slots=True)
class Applied:
    """A block is final and stored, by this plan or by consensus.

    Args:
        next_record: record of the next epoch when it was a seal; None otherwise.
    """

    height: Height
    block_id: BlockId
    next_record: EpochRecord | None = None


SyncInput: TypeAlias = PeerStatus | PeerGone | BlocksArrived | RequestFailed | Applied


# --- effects


@dataclass(frozen=True, slots=True)
class Request:
    """Ask a peer for a range; answered by `BlocksArrived` or `RequestFailed` with the same number."""

    request: int
    peer: PublicKey
    first: Height
    count: int


@dataclass(frozen=True, slots=True)
class ApplyBlock:
    """Execute and store a block whose link and certificate hold; answered by `Applied`, in order."""

    block: Block
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class PeerIsBad:
    """A peer sent what no correct one sends; it is asked nothing more."""

    peer: PublicKey
    reason: str


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """No usable peer is ahead of us."""

    height: Height


SyncEffect: TypeAlias = Request | ApplyBlock | PeerIsBad | CaughtUp


@dataclass(slots=True)
class _Peer:
    height: Height
    open_requests: int = 0
    failures: int = 0
    is_bad: bool = False

    @property
    def is_usable(self) -> bool:
        return not self.is_bad and self.failures < FAILURES_MAX


class SyncPlanner:
    """Fetch final blocks until no peer is ahead.

    Args:
        record: of the epoch that certifies `height` + 1.
        height: last final block; 0 at genesis.
        block_id: of that block; the genesis hash at height 0.
        verify: checks a signature; the shell may pass one that asks what worker threads found.
    """

    __slots__ = (
        "_applied",
        "_block_id",
        "_blocks",
        "_checked",
        "_genesis_hash",
        "_held_bytes",
        "_is_waiting_for_record",
        "_open",
        "_out",
        "_peers",
        "_record",
        "_requests",
        "_verify",
        "_was_caught_up",
    )

    def __init__(
        self,
        genesis_hash: Hash32,
        record: EpochRecord,
        height: Height,
        block_id: BlockId,
        verify: VerifySignature = crypto.verify,
    ) -> None:
        self._genesis_hash = genesis_hash
        self._record = record
        self._applied = height
        # Heights up to here were handed out by ApplyBlock; block_id is of the last of them.
        self._checked = height
        self._block_id = block_id
        self._is_waiting_for_record = False
        self._verify = verify
        self._peers: dict[PublicKey, _Peer] = {}
        self._blocks: dict[Height, tuple[PublicKey, Block, Certificate]] = {}
        self._held_bytes = 0
        self._open: dict[int, Request] = {}
        self._requests = 0
        self._was_caught_up = False
        self._out: list[SyncEffect] = []

    @property
    def target(self) -> Height:
        """Return the greatest height that a usable peer claims, at least our own."""
        return max([self._checked, *(p.height for p in self._peers.values() if p.is_usable)])

    def step(self, event: SyncInput) -> list[SyncEffect]:
        """Take one input and return what is to be done, in order."""
        match event:
            case PeerStatus():
                self._on_status(event)
            case PeerGone():
                self._peers.pop(event.peer, None)
                self._open = {n: r for n, r in self._open.items() if r.peer != event.peer}
            case BlocksArrived():
                self._on_blocks(event)
            case RequestFailed():
                peer = self._close(event.request)
                if peer is not None:
                    self._peers[peer].failures += 1
            case Applied():
                self._on_applied(event)
            case _:
                assert_never(event)
        self._check_ready()
        self._ask()
        is_caught_up = self._applied >= self.target
        if is_caught_up and not self._was_caught_up:
            self._out.append(CaughtUp(self._applied))
        self._was_caught_up = is_caught_up
        effects, self._out = self._out, []
        return effects

    def _on_status(self, event: PeerStatus) -> None:
        peer = self._peers.get(event.peer)
        if peer is None:
            if len(self._peers) < PEERS_MAX:
                self._peers[event.peer] = _Peer(event.height)
        else:
            peer.height = event.height
            # One more try; a peer that never has what it claims costs one request a status.
            peer.failures = min(peer.failures, FAILURES_MAX - 1)

    def _on_blocks(self, event: BlocksArrived) -> None:
        request = self._open.get(event.request)
        name = self._close(event.request)
        if request is None or name is None:
            return
        peer = self._peers[name]
        heights = [block.height for block, _ in event.blocks]
        if len(heights) > request.count or heights != list(
            range(request.first, request.first + len(heights))
        ):
            self._condemn(name, "sent other blocks than it was asked for")
        elif not heights:
            # It does not have what it claimed, or no longer.
            peer.failures += 1
        else:
            peer.failures = 0
            for block, certificate in event.blocks:
                if block.height > self._checked and block.height not in self._blocks:
                    self._blocks[block.height] = (name, block, certificate)
                    self._held_bytes += _size_of(block)

    def _on_applied(self, event: Applied) -> None:
        if event.height <= self._applied:
            return
        self._applied = event.height
        if event.height >= self._checked:
            # Consensus may have been faster than we.
            self._checked, self._block_id = event.height, event.block_id
            for height in [h for h in self._blocks if h <= event.height]:
                self._drop(height)
            self._is_waiting_for_record = False
        if event.next_record is not None:
            self._record = event.next_record

    def _check_ready(self) -> None:
        """Check and hand out what follows without a gap."""
        while not self._is_waiting_for_record:
            height = Height(self._checked + 1)
            found = self._blocks.get(height)
            if found is None:
                return
            name, block, certificate = found
            try:
                self._check_block(block, certificate)
            except Rejected as refusal:
                self._condemn(name, f"height {height}: {refusal.detail}")
                return
            self._drop(height)
            self._checked, self._block_id = height, block.id
            self._is_waiting_for_record = block.header.is_seal
            self._out.append(ApplyBlock(block, certificate))

    def _check_block(self, block: Block, certificate: Certificate) -> None:
        header = block.header
        if header.genesis_hash != self._genesis_hash or header.parent_id != self._block_id:
            raise Rejected(Code.INVALID_BLOCK, "it does not follow the block below")
        if header.epoch != self._record.number or header.epoch_hash != self._record.compute_hash():
            raise Rejected(Code.INVALID_BLOCK, "it is of another epoch")
        if certificate.block_id != block.id or certificate.height != header.height:
            raise Rejected(Code.BAD_PROOF, "the certificate is of another block")
        check_certificate(certificate, self._record, self._genesis_hash, self._verify)

    def _ask(self) -> None:
        """Open requests for the lowest heights that nobody was asked for."""
        height = self._checked + 1
        ahead = BLOCKS_AHEAD_MAX if self._held_bytes <= HELD_BYTES_MAX else 1
        limit = min(self.target, max(self._applied, self._checked if ahead == 1 else 0) + ahead)
        while height <= limit and len(self._open) < RANGES_OPEN_MAX:
            end = self._end_of_asked(height)
            if end is not None:
                height = end
                continue
            first = height
            while (
                height <= limit and height - first < RANGE_BLOCKS_MAX and self._end_of_asked(height) is None
            ):
                height += 1
            name = self._choose_peer(Height(first))
            if name is None:
                return
            peer = self._peers[name]
            count = min(height - first, peer.height - first + 1)
            height = first + count
            self._requests += 1
            peer.open_requests += 1
            request = Request(self._requests, name, Height(first), count)
            self._open[self._requests] = request
            self._out.append(request)

    def _end_of_asked(self, height: int) -> int | None:
        """Return the first height after what we hold or asked for at a height; None when it is neither."""
        if height in self._blocks:
            return height + 1
        for request in self._open.values():
            if request.first <= height < request.first + request.count:
                return request.first + request.count
        return None

    def _choose_peer(self, height: Height) -> PublicKey | None:
        able = [
            (peer.failures, peer.open_requests, name)
            for name, peer in self._peers.items()
            if peer.is_usable and peer.height >= height and peer.open_requests < RANGES_A_PEER_MAX
        ]
        return min(able)[2] if able else None

    def _drop(self, height: Height) -> None:
        self._held_bytes -= _size_of(self._blocks.pop(height)[1])

    def _close(self, number: int) -> PublicKey | None:
        request = self._open.pop(number, None)
        if request is None:
            return None
        self._peers[request.peer].open_requests -= 1
        return request.peer

    def _condemn(self, name: PublicKey, reason: str) -> None:
        """Leave a peer out and forget all that it sent."""
        for height in [h for h, found in self._blocks.items() if found[0] == name]:
            self._drop(height)
        self._open = {n: r for n, r in self._open.items() if r.peer != name}
        if name in self._peers:
            self._peers[name].is_bad = True
            self._peers[name].open_requests = 0
        self._out.append(PeerIsBad(name, reason))


def _size_of(block: Block) -> int:
    return sum([len(signed.raw) for signed in block.transactions])
