"""Plan the fetching of a snapshot: whom to ask for what, what to believe, and when all of it is there.

    step(input) -> [effect, ...]

Every peer is asked for an offer. An offer counts once the chain of epochs leads from genesis to its certified
header and its chunks make up the state root of that; of those that count, the one that most peers have is
fetched, the highest of equals. Chunks are asked of all peers that have it, several at a time, and checked as
they come: whoever sends a false one is asked nothing more, and another peer is asked for that chunk. Chunks
that were fetched before, for this snapshot or for another, are not asked for again.

It has no clock (the shell says when a request failed) and no disk (`KeepChunk` asks the shell to write).

*Source*: consensus.md 2.7.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from protocol.chain.genesis import Genesis
from protocol.errors import Rejected
from protocol.light import Trust, needs_acceptance, trust_genesis
from protocol.sync.snapshot import (
    Anchor,
    Manifest,
    Seal,
    check_chunk,
    check_header,
    check_manifest,
    cross_seal,
)
from protocol.sync.snapshot_messages import (
    Chunk,
    Epochs,
    GetChunk,
    GetEpochs,
    GetOffer,
    NoOffer,
    Offer,
    SnapshotMessage,
)
from protocol.types import EpochNumber, Hash32, Height, PublicKey

CHUNKS_OPEN_MAX: Final = 8
"""Chunks under way: 8 MiB at most."""

CHUNKS_A_PEER_MAX: Final = 2
FAILURES_MAX: Final = 3
"""Requests in a row without a usable answer after which a peer is left out."""

PEERS_MAX: Final = 64


# --- inputs


@dataclass(frozen=True, slots=True)
class PeerFound:
    """A peer is connected."""

    peer: PublicKey


@dataclass(frozen=True, slots=True)
class PeerLost:
    """A peer is no longer connected."""

    peer: PublicKey


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a request: of its kind, and repeating what it answers."""

    request: int
    message: SnapshotMessage


@dataclass(frozen=True, slots=True)
class AskFailed:
    """A request was not answered in time, or by what cannot be decoded."""

    request: int


SnapshotInput: TypeAlias = PeerFound | PeerLost | Answered | AskFailed


# --- effects


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a peer; answered by `Answered` or `AskFailed` with the same number."""

    request: int
    peer: PublicKey
    message: GetOffer | GetEpochs | GetChunk


@dataclass(frozen=True, slots=True)
class KeepChunk:
    """Write down a chunk that was checked, so that it need not be fetched again after a stop."""

    digest: Hash32
    data: bytes


@dataclass(frozen=True, slots=True)
class LiarFound:
    """A peer sent what no correct one sends; it is asked nothing more."""

    peer: PublicKey
    reason: str


@dataclass(frozen=True, slots=True)
class SnapshotReady:
    """All chunks are kept. Nothing follows."""

    manifest: Manifest
    anchor: Anchor


@dataclass(frozen=True, slots=True)
class NothingOffered:
    """No peer that is connected has a snapshot that helps; fetch blocks instead. Nothing follows.

    Liars are no peers: one that came first may not decide this for those who come after it.
    """


SnapshotEffect: TypeAlias = Ask | KeepChunk | LiarFound | SnapshotReady | NothingOffered


@dataclass(slots=True)
class _Peer:
    """What is known of a peer. `is_asked`: for an offer; `offer`: waits for epochs; `has`: counts."""

    is_asked: bool = False
    offer: Offer | None = None
    has: Manifest | None = None
    open_requests: int = 0
    failures: int = 0

    @property
    def is_usable(self) -> bool:
        return self.failures < FAILURES_MAX


class SnapshotPlanner:
    """Fetch one snapshot.

    Args:
        above: heights at or below do not help.
        kept: digests of chunks that were fetched and checked before.
        accepted: restarts of the chain that the operator accepted by hand.
    """

    __slots__ = (
        "_above",
        "_anchor",
        "_chosen",
        "_genesis",
        "_is_done",
        "_kept",
        "_liars",
        "_missing",
        "_open",
        "_out",
        "_peers",
        "_requests",
        "_seals",
        "_trusts",
    )

    def __init__(
        self,
        genesis: Genesis,
        above: Height,
        kept: Iterable[Hash32] = (),
        accepted: tuple[Hash32, ...] = (),
    ) -> None:
        self._genesis = genesis
        self._above = above
        self._kept = set(kept)
        self._trusts: list[Trust] = [trust_genesis(genesis, accepted)]
        self._seals: list[Seal] = []
        self._peers: dict[PublicKey, _Peer] = {}
        self._liars: set[PublicKey] = set()
        self._open: dict[int, Ask] = {}
        self._requests = 0
        self._chosen: Manifest | None = None
        self._anchor: Anchor | None = None
        # Path by digest of the chunks still to be fetched, in order.
        self._missing: dict[Hash32, bytes] = {}
        self._is_done = False
        self._out: list[SnapshotEffect] = []

    @property
    def progress(self) -> tuple[int, int]:
        """Return how many of how many chunks of the chosen snapshot are kept."""
        if self._chosen is None:
            return 0, 0
        total = len({chunk.digest for chunk in self._chosen.chunks})
        return total - len(self._missing), total

    @property
    def is_alone(self) -> bool:
        """Tell whether there is nobody to ask."""
        return not self._peers

    def step(self, event: SnapshotInput) -> list[SnapshotEffect]:
        """Take one input and return what is to be done, in order."""
        if self._is_done:
            return []
        match event:
            case PeerFound(name):
                if len(self._peers) < PEERS_MAX and name not in self._liars:
                    self._peers.setdefault(name, _Peer())
            case PeerLost(name):
                self._forget(name)
            case AskFailed(request):
                ask = self._close(request)
                if ask is not None:
                    self._peers[ask.peer].failures += 1
            case Answered(request, message):
                self._on_answer(request, message)
            case _:
                assert_never(event)
        self._advance()
        effects, self._out = self._out, []
        return effects

    def _on_answer(self, request: int, message: SnapshotMessage) -> None:
        ask = self._close(request)
        if ask is None:
            return
        peer = self._peers[ask.peer]
        peer.failures = 0
        try:
            match ask.message, message:
                case GetOffer(), Offer():
                    # One that is too low to help is as good as none.
                    peer.offer = message if message.header.height > self._above else None
                case GetOffer(), NoOffer():
                    peer.offer = None
                case GetEpochs(first), Epochs(_, seals):
                    self._on_seals(peer, first, seals)
                case GetChunk(_, digest), Chunk(_, data):
                    self._on_chunk(peer, digest, data)
                case _:
                    raise AssertionError("an answer of another kind than its question")
        except Rejected as refusal:
            self._condemn(ask.peer, str(refusal))

    def _on_seals(self, peer: _Peer, first: EpochNumber, seals: tuple[Seal, ...]) -> None:
        if not seals:
            peer.offer = None
        for number, seal in enumerate(seals, first):
            if number == len(self._trusts):
                if needs_acceptance(self._trusts[-1], seal.header, seal.record):
                    # An honest peer may be beyond a restart; it is for the operator to accept, not for us.
                    peer.failures = FAILURES_MAX
                    return
                self._trusts.append(cross_seal(self._trusts[-1], seal))
                self._seals.append(seal)

    def _on_chunk(self, peer: _Peer, digest: Hash32, data: bytes | None) -> None:
        path = self._missing.get(digest)
        if data is None:
            # It has made a newer one meanwhile, and forgotten this one.
            peer.offer, peer.has, peer.is_asked = None, None, False
            peer.failures += 1
        elif path is not None:
            check_chunk(data, path, digest, self._genesis.tree_bits)
            self._kept.add(digest)
            del self._missing[digest]
            self._out.append(KeepChunk(digest, data))

    def _advance(self) -> None:
        for name in sorted(self._peers):
            self._judge_offer(name)
        for name, peer in sorted(self._peers.items()):
            if not peer.is_asked and peer.is_usable:
                peer.is_asked = True
                self._ask(name, GetOffer())
        chosen = self._chosen
        if chosen is None or not any(p.has is chosen for p in self._peers.values() if p.is_usable):
            self._choose()
        if self._chosen is not None:
            self._fetch(self._chosen)
        elif not self._open and self._peers:
            self._is_done = True
            self._out.append(NothingOffered())

    def _judge_offer(self, name: PublicKey) -> None:
        """Count an offer when the epochs lead to it; ask for them, or leave out whoever made it up."""
        peer = self._peers[name]
        offer = peer.offer
        if offer is None or peer.has is not None or peer.open_requests or not peer.is_usable:
            return
        header = offer.header
        if len(self._seals) < header.epoch + header.is_seal:
            self._ask(name, GetEpochs(EpochNumber(len(self._trusts))))
            return
        try:
            check_header(self._trusts[header.epoch], header, offer.certificate)
            check_manifest(offer.manifest, header)
        except Rejected as refusal:
            self._condemn(name, str(refusal))
            return
        # Equal ones become one, so that later a look at the object is enough.
        known = [other.has for other in self._peers.values() if other.has == offer.manifest]
        peer.has = known[0] if known else offer.manifest

    def _choose(self) -> None:
        """Take the snapshot that most peers have, once all have answered."""
        self._chosen = None
        self._missing = {}
        shown = [
            (peer.has, peer.offer)
            for peer in self._peers.values()
            if peer.is_usable and peer.has and peer.offer
        ]
        if self._open or not shown:
            return
        chosen, offer = max(shown, key=lambda one: (sum(h is one[0] for h, _ in shown), one[0].height))
        self._chosen = chosen
        seals = tuple(self._seals[: offer.header.epoch + offer.header.is_seal])
        self._anchor = Anchor(seals, offer.header, offer.certificate)
        chunks = zip(chosen.chunks, check_manifest(chosen, offer.header), strict=True)
        self._missing = {c.digest: path for c, path in chunks if c.digest not in self._kept}

    def _fetch(self, chosen: Manifest) -> None:
        if not self._missing:
            assert self._anchor is not None
            self._is_done = True
            self._out.append(SnapshotReady(chosen, self._anchor))
            return
        under_way = {ask.message.digest for ask in self._open.values() if isinstance(ask.message, GetChunk)}
        for digest in self._missing:
            if len(under_way) >= CHUNKS_OPEN_MAX:
                return
            if digest in under_way:
                continue
            able = [
                (peer.failures, peer.open_requests, name)
                for name, peer in self._peers.items()
                if peer.has is chosen and peer.is_usable and peer.open_requests < CHUNKS_A_PEER_MAX
            ]
            if not able:
                return
            under_way.add(digest)
            self._ask(min(able)[2], GetChunk(chosen.height, digest))

    def _ask(self, name: PublicKey, message: GetOffer | GetEpochs | GetChunk) -> None:
        self._requests += 1
        self._peers[name].open_requests += 1
        ask = self._open[self._requests] = Ask(self._requests, name, message)
        self._out.append(ask)

    def _close(self, request: int) -> Ask | None:
        ask = self._open.pop(request, None)
        if ask is not None:
            self._peers[ask.peer].open_requests -= 1
        return ask

    def _forget(self, name: PublicKey) -> None:
        self._peers.pop(name, None)
        self._open = {n: ask for n, ask in self._open.items() if ask.peer != name}

    def _condemn(self, name: PublicKey, reason: str) -> None:
        """Ask a peer nothing more, also when it comes again."""
        self._forget(name)
        self._liars.add(name)
        self._out.append(LiarFound(name, reason))
