"""Plan block sync: which range to ask of whom, what to make of the answer, and what may be applied next.

    step(input) -> [effect, ...]

Ranges are asked of several peers at a time, ahead of what is applied. Blocks are checked in order of
height: the link to the block below and the whole certificate under the record of their epoch; a seal stops
the checking until it is applied and the next record is known. What follows without a gap is applied in runs,
so that one wait for the disk serves many blocks.

A claim of heights is believed only as far as it is kept, and nobody is asked for what it does not claim:
below the snapshot that it began with, a node has no blocks. Whoever sends what no correct peer sends, or does
not bring what it claims to have, is dropped with all its claims; for how long, the shell decides. So is, and
without blame, who shows an epoch that no seal named: a restart, which only the operator can accept.

It has no clock (the shell says when a request is slow or failed), executes nothing (the shell does, and stops
the node when a certified block gives other roots) and does not vote: consensus joins in at the tip by itself.

*Source*: consensus.md 2.7.

*Departs*: all signatures of all certificates are checked, not of one certificate a range, because all of them
are stored and served to others; that is a tenth of the cost of a small block.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from protocol import crypto
from protocol.chain.block import Block
from protocol.chain.certificate import Certificate, check_certificate
from protocol.chain.validators import EpochRecord, VerifySignature
from protocol.errors import Code, Rejected
from protocol.sync.messages import RANGE_BLOCKS_MAX, RANGE_BYTES_MAX
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
"""Broken claims after which a peer is left out: requests that failed or brought less than was claimed."""

RUN_BLOCKS_MAX: Final = 64
RUN_BYTES_MAX: Final = 1024 * 1024
"""Bounds of a run: what is executed in one go and held in memory until it is on disk. A block always goes."""

PEERS_MAX: Final = 64


# --- inputs


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A peer says how far it is, and the lowest height that it has a block of: 1 when it has all."""

    peer: PublicKey
    height: Height
    lowest: Height = Height(1)


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
class NonsenseArrived:
    """The answer to a request does not decode."""

    request: int
    reason: str


@dataclass(frozen=True, slots=True)
class RequestSlow:
    """A request has not been answered for a while: somebody else may be asked beside."""

    request: int


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """A request was not answered in time."""

    request: int


@dataclass(frozen=True, slots=True)
class Applied:
    """A block, with all below it, is final and stored, by this plan or by consensus.

    Args:
        next_record: record of the next epoch when it was a seal; None otherwise.
    """

    height: Height
    block_id: BlockId
    next_record: EpochRecord | None = None


SyncInput: TypeAlias = (
    PeerStatus | PeerGone | BlocksArrived | NonsenseArrived | RequestSlow | RequestFailed | Applied
)


# --- effects


@dataclass(frozen=True, slots=True)
class Request:
    """Ask a peer for a range; ends with what arrived, or `RequestFailed`, under the same number."""

    request: int
    peer: PublicKey
    first: Height
    count: int


@dataclass(frozen=True, slots=True)
class ApplyRun:
    """Execute and store blocks whose links and certificates hold; answered by `Applied` for the last of them.

    Only the last one may be a seal.
    """

    blocks: tuple[tuple[Block, Certificate], ...]


@dataclass(frozen=True, slots=True)
class PeerIsBad:
    """A peer sent what no correct one sends, and was dropped; it comes back with its next status."""

    peer: PublicKey
    reason: str


@dataclass(frozen=True, slots=True)
class PeerFails:
    """A peer did not bring what it claimed to have, and was dropped; it comes back with its next status."""

    peer: PublicKey


@dataclass(frozen=True, slots=True)
class EpochClaimed:
    """A peer's block at a height is of a next epoch that no seal named: the chain was restarted there by
    people, or so it says. The peer was dropped; it comes back with its next status.

    Args:
        epoch_hash: of the record that the block names.
    """

    peer: PublicKey
    height: Height
    epoch_hash: Hash32


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """No peer is ahead of us with blocks that reach down to ours."""

    height: Height


SyncEffect: TypeAlias = Request | ApplyRun | PeerIsBad | PeerFails | EpochClaimed | CaughtUp


@dataclass(slots=True)
class _Peer:
    height: Height
    lowest: Height
    open_requests: int = 0
    failures: int = 0


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
        "_slow",
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
        # Heights up to here were handed out by ApplyRun; block_id is of the last of them.
        self._checked = height
        self._block_id = block_id
        self._is_waiting_for_record = False
        self._verify = verify
        self._peers: dict[PublicKey, _Peer] = {}
        self._blocks: dict[Height, tuple[PublicKey, Block, Certificate]] = {}
        self._held_bytes = 0
        self._open: dict[int, Request] = {}
        self._slow: set[int] = set()
        self._requests = 0
        self._was_caught_up = False
        self._out: list[SyncEffect] = []

    @property
    def target(self) -> Height:
        """Return the greatest height that the blocks of peers lead to without a gap, at least our own.

        What a peer claims beyond a gap cannot be asked for, so no claim there could ever be found broken.
        """
        reached = self._checked
        for lowest, height in sorted([(peer.lowest, peer.height) for peer in self._peers.values()]):
            if lowest <= reached + 1:
                reached = max(reached, height)
        return reached

    @property
    def is_stranded(self) -> bool:
        """Tell whether peers are ahead of us and none has the block that we need next."""
        ahead = [peer for peer in self._peers.values() if peer.height > self._checked]
        return bool(ahead) and self.target == self._checked

    def step(self, event: SyncInput) -> list[SyncEffect]:
        """Take one input and return what is to be done, in order."""
        match event:
            case PeerStatus():
                self._on_status(event)
            case PeerGone():
                self._forget(event.peer)
            case BlocksArrived():
                self._on_blocks(event)
            case NonsenseArrived():
                request = self._close(event.request)
                if request is not None:
                    self._condemn(request.peer, event.reason)
            case RequestSlow():
                if event.request in self._open:
                    self._slow.add(event.request)
            case RequestFailed():
                request = self._close(event.request)
                if request is not None:
                    self._note_broken(request.peer)
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
                self._peers[event.peer] = _Peer(event.height, event.lowest)
        else:
            peer.height, peer.lowest = event.height, event.lowest

    def _on_blocks(self, event: BlocksArrived) -> None:
        request = self._close(event.request)
        if request is None:
            return
        name, peer = request.peer, self._peers[request.peer]
        heights = [block.height for block, _ in event.blocks]
        if len(heights) > request.count or heights != list(
            range(request.first, request.first + len(heights))
        ):
            self._condemn(name, "sent other blocks than it was asked for")
            return
        for block, certificate in event.blocks:
            if block.height > self._checked and block.height not in self._blocks:
                self._blocks[block.height] = (name, block, certificate)
                self._held_bytes += _size_of(block)
        size = sum([_size_of(block) for block, _ in event.blocks])
        if len(heights) < request.count and size < RANGE_BYTES_MAX // 2:
            # It does not have what it claimed, or no longer.
            self._note_broken(name)
        elif request.count == RANGE_BLOCKS_MAX or heights[-1] == peer.height or size >= RANGE_BYTES_MAX // 2:
            # A whole range, or all that it has: a liar cannot bring that for a height that does not exist.
            peer.failures = 0

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
        """Check what follows without a gap, and hand it out in runs."""
        run: list[tuple[Block, Certificate]] = []
        size = 0
        while not self._is_waiting_for_record:
            height = Height(self._checked + 1)
            found = self._blocks.get(height)
            if found is None:
                break
            name, block, certificate = found
            if self._claims_epoch(block):
                self._leave(name)
                self._out.append(EpochClaimed(name, height, block.header.epoch_hash))
                break
            try:
                self._check_block(block, certificate)
            except Rejected as refusal:
                self._condemn(name, f"height {height}: {refusal.detail}")
                break
            self._drop(height)
            self._checked, self._block_id = height, block.id
            self._is_waiting_for_record = block.header.is_seal
            size += _size_of(block)
            if run and (size > RUN_BYTES_MAX or len(run) == RUN_BLOCKS_MAX):
                self._out.append(ApplyRun(tuple(run)))
                run, size = [], _size_of(block)
            run.append((block, certificate))
        if run:
            self._out.append(ApplyRun(tuple(run)))

    def _claims_epoch(self, block: Block) -> bool:
        """Tell whether a block goes on from ours in a next epoch, though ours has not been sealed."""
        header = block.header
        is_next = (header.genesis_hash, header.parent_id) == (self._genesis_hash, self._block_id)
        return is_next and header.epoch == self._record.number + 1

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
        while height <= limit and len(self._open) - len(self._slow) < RANGES_OPEN_MAX:
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
        for number, request in self._open.items():
            if request.first <= height < request.first + request.count and number not in self._slow:
                return request.first + request.count
        return None

    def _choose_peer(self, height: Height) -> PublicKey | None:
        slow = {self._open[number].peer for number in self._slow}
        able = [
            (peer.failures, peer.open_requests, name)
            for name, peer in self._peers.items()
            if peer.lowest <= height <= peer.height
            and peer.open_requests < RANGES_A_PEER_MAX
            and name not in slow
        ]
        return min(able)[2] if able else None

    def _drop(self, height: Height) -> None:
        self._held_bytes -= _size_of(self._blocks.pop(height)[1])

    def _close(self, number: int) -> Request | None:
        self._slow.discard(number)
        request = self._open.pop(number, None)
        if request is not None:
            self._peers[request.peer].open_requests -= 1
        return request

    def _note_broken(self, name: PublicKey) -> None:
        """Count a claim that was not kept; drop whoever breaks too many."""
        peer = self._peers[name]
        peer.failures += 1
        if peer.failures >= FAILURES_MAX:
            self._forget(name)
            self._out.append(PeerFails(name))

    def _condemn(self, name: PublicKey, reason: str) -> None:
        self._leave(name)
        self._out.append(PeerIsBad(name, reason))

    def _leave(self, name: PublicKey) -> None:
        """Drop a peer and all that it sent."""
        for height in [h for h, found in self._blocks.items() if found[0] == name]:
            self._drop(height)
        self._forget(name)

    def _forget(self, name: PublicKey) -> None:
        self._peers.pop(name, None)
        self._open = {number: r for number, r in self._open.items() if r.peer != name}
        self._slow &= self._open.keys()


def _size_of(block: Block) -> int:
    return sum([len(signed.raw) for signed in block.transactions])
