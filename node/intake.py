"""The way of a transaction into this node: decode, verify its signatures once, admit it, pass it on.

Members' transactions come through the gateway, other nodes' in batches. Both take the same checks and end
in the mempool. What a member gave to this node is sent to every validator in one hop and never relayed
further; what is still waiting after `REPEAT_SECONDS` is sent again, so a cut link only delays it.

This file does not know consensus. It reads the head state through `admit`, which the daemon binds to
`transition.check_admission`.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import trio

from node.batches import Batches
from node.mempool import Mempool
from node.net.transport import Channel
from node.wire import BATCH_FLUSH_BYTES, BATCH_TXS_MAX, encode_batch
from protocol import crypto
from protocol.chain.transaction import SignedTransaction, decode_signed
from protocol.errors import Code, Rejected
from protocol.merkle.proof import hash_leaf
from protocol.transition import Admission
from protocol.types import Hash32, TxId

VERIFY_CHUNK: Final = 32
"""Signatures checked in one go, about 1.7 ms, before other tasks may run."""

FLUSH_SECONDS: Final = 0.005
"""How long a lone transaction waits for company on the wire."""

REPEAT_SECONDS: Final = 2.0

VERIFIED_TXS_MAX: Final = 20_000
"""Verified transactions kept in decoded form, so that a proposal full of them costs one look-up each."""

VERIFIED_BYTES_MAX: Final = 32 << 20
"""Signed bytes of these together: what the mempool holds at most."""


class Broadcast(Protocol):
    """What the intake asks of the network."""

    def broadcast(self, channel: Channel, data: bytes) -> int:
        """Queue one frame for every validator; return how many took it."""
        ...


@dataclass(slots=True)
class _Own:
    """What a member gave to this node: since when it waits, and when it was sent last."""

    raw: bytes
    since: float
    sent: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Say what became of one submitted transaction.

    Args:
        tx_id: None when the bytes could not be decoded.
        refusal: None when it waits in the mempool now.
    """

    tx_id: TxId | None
    refusal: Rejected | None


class Intake:
    """Admit transactions to the mempool of this node.

    Args:
        admit: checks transactions against the head state, each for itself, and says who pays.
        is_committed: whether an id is on the chain; asked only when its nonce is used already.
        on_pending: called after transactions were added, to wake the block builder.
    """

    def __init__(
        self,
        genesis_hash: Hash32,
        mempool: Mempool,
        network: Broadcast,
        admit: Callable[[Sequence[SignedTransaction]], list[Admission | Rejected]],
        is_committed: Callable[[TxId], bool],
        on_pending: Callable[[], None],
    ) -> None:
        self._genesis_hash = genesis_hash
        self._mempool = mempool
        self._network = network
        self._admit = admit
        self._is_committed = is_committed
        self._on_pending = on_pending
        self._outbox: list[bytes] = []
        self._outbox_filled = trio.Event()
        self._own: dict[TxId, _Own] = {}
        # Taking the oldest entry out of a plain dict walks over the gaps of all that went before.
        self._verified: OrderedDict[bytes, SignedTransaction] = OrderedDict()
        self._verified_bytes = 0
        self._by_leaf: dict[Hash32, SignedTransaction] = {}
        self.batches = Batches()
        self.signatures_checked = 0
        self.phase_seconds = {"decode": 0.0, "verify": 0.0, "admit": 0.0}

    def decode(self, raw: bytes) -> SignedTransaction:
        """Decode a transaction of this chain; one that was verified here is answered from memory.

        Raises:
            Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
        """
        return self._verified.get(raw) or decode_signed(raw, self._genesis_hash)

    def find(self, leaf: Hash32) -> SignedTransaction | None:
        """Return a transaction that this node has, by the digest under which blocks name it.

        One that came from another node may still wait for its signatures to be checked.
        """
        found = self._by_leaf.get(leaf)
        if found is not None:
            return found
        raw = self.batches.find(leaf)
        if raw is None:
            return None
        try:
            return self.decode(raw)
        except Rejected:
            return None

    async def check_signatures(self, transactions: Sequence[SignedTransaction]) -> None:
        """Check the signatures of a block's transactions, each once in the life of this process.

        Raises:
            Rejected: `BAD_SIG`.
        """
        fresh = [signed for signed in transactions if signed.raw not in self._verified]
        if fresh and not all(await self.verify(fresh)):
            raise Rejected(Code.BAD_SIG, "block holds a transaction whose signature does not hold")
        for signed in fresh:
            self._remember(signed)

    async def submit(self, raws: Sequence[bytes]) -> list[Outcome]:
        """Admit what members gave to this node and send it to the validators."""
        outcomes = await self._take(raws)
        now = trio.current_time()
        for raw, outcome in zip(raws, outcomes, strict=True):
            if outcome.refusal is None and outcome.tx_id is not None:
                self._own[outcome.tx_id] = _Own(raw, now, now)
                self._outbox.append(raw)
        if self._outbox:
            self._outbox_filled.set()
        return outcomes

    async def accept(self, raws: Sequence[bytes]) -> None:
        """Admit what another node sent; refusals are its affair."""
        await self._take(raws)

    async def accept_waiting(self) -> None:
        """Admit what other nodes sent, batch by batch in turn; for ever."""
        while True:
            raws = await self.batches.take()
            await self.accept(raws)
            self.batches.release(raws)

    def oldest_ms(self) -> int:
        """Return how long the oldest transaction that was given to this node has waited, in milliseconds."""
        first = next(iter(self._own.values()), None)
        return 0 if first is None else round((trio.current_time() - first.since) * 1_000)

    async def run(self) -> None:
        """Send what members gave to this node; for ever."""
        while True:
            with trio.move_on_after(REPEAT_SECONDS / 2):
                await self._outbox_filled.wait()
                await trio.sleep(FLUSH_SECONDS)
            self._outbox_filled = trio.Event()
            self._repeat_waiting()
            self._flush()

    async def verify(self, transactions: Sequence[SignedTransaction]) -> list[bool]:
        """Tell for each transaction whether all its signatures hold."""
        verdicts: list[bool] = []
        chunk: list[tuple[bytes, bytes, bytes]] = []
        owners: list[int] = []
        for index, signed in enumerate(transactions):
            verdicts.append(True)
            for check in signed.signature_checks():
                chunk.append(check)
                owners.append(index)
            if len(chunk) >= VERIFY_CHUNK or index == len(transactions) - 1:
                self.signatures_checked += len(chunk)
                began = trio.current_time()
                for owner, holds in zip(owners, crypto.verify_many(chunk), strict=True):
                    verdicts[owner] = verdicts[owner] and holds
                self._spent("verify", began)
                chunk.clear()
                owners.clear()
                await trio.lowlevel.checkpoint()
        return verdicts

    async def _take(self, raws: Sequence[bytes]) -> list[Outcome]:
        outcomes: list[Outcome | None] = []
        fresh: list[tuple[int, SignedTransaction]] = []
        began = trio.current_time()
        for place, raw in enumerate(raws):
            try:
                signed = self.decode(raw)
            except Rejected as refusal:
                outcomes.append(Outcome(None, refusal))
                continue
            known = self._refuse_known(signed.id)
            outcomes.append(None if known is None else Outcome(signed.id, known))
            if known is None:
                fresh.append((place, signed))
        self._spent("decode", began)
        verdicts = await self.verify([signed for _, signed in fresh])
        began = trio.current_time()
        # Between this look at the head state and the last `add` nothing awaits.
        admissions = self._admit([signed for _, signed in fresh]) if fresh else []
        for (place, signed), holds, admission in zip(fresh, verdicts, admissions, strict=True):
            outcomes[place] = Outcome(signed.id, self._add(signed, holds, admission))
        self._spent("admit", began)
        if fresh:
            self._on_pending()
        return [outcome for outcome in outcomes if outcome is not None]

    def _spent(self, phase: str, began: float) -> None:
        self.phase_seconds[phase] += trio.current_time() - began

    def forget(self, transactions: Iterable[SignedTransaction]) -> None:
        """Let go of the decoded form of transactions that are committed."""
        for signed in transactions:
            if self._verified.pop(signed.raw, None) is not None:
                self._verified_bytes -= len(signed.raw)
                del self._by_leaf[hash_leaf(signed.raw)]

    def _remember(self, signed: SignedTransaction) -> None:
        if signed.raw in self._verified:
            return
        self._verified[signed.raw] = self._by_leaf[hash_leaf(signed.raw)] = signed
        self._verified_bytes += len(signed.raw)
        while len(self._verified) > VERIFIED_TXS_MAX or self._verified_bytes > VERIFIED_BYTES_MAX:
            raw, _ = self._verified.popitem(last=False)
            self._verified_bytes -= len(raw)
            del self._by_leaf[hash_leaf(raw)]

    def _refuse_known(self, tx_id: TxId) -> Rejected | None:
        return _exists() if self._mempool.known(tx_id) else None

    def _add(
        self, signed: SignedTransaction, holds: bool, admission: Admission | Rejected
    ) -> Rejected | None:
        if not holds:
            return Rejected(Code.BAD_SIG, "a signature does not hold")
        if isinstance(admission, Rejected):
            is_repeated = admission.code == Code.NONCE_USED and self._is_committed(signed.id)
            return _exists() if is_repeated else admission
        try:
            self._mempool.add(signed, admission.payer, admission.gas)
        except Rejected as refusal:
            return refusal
        self._remember(signed)
        return None

    def _repeat_waiting(self) -> None:
        """Queue again what members gave here and no block has taken yet."""
        now = trio.current_time()
        for tx_id, own in list(self._own.items()):
            if self._mempool.get(tx_id) is None:
                del self._own[tx_id]
            elif now - own.sent > REPEAT_SECONDS:
                own.sent = now
                self._outbox.append(own.raw)

    def _flush(self) -> None:
        batch: list[bytes] = []
        size = 0
        for raw in self._outbox:
            batch.append(raw)
            size += len(raw)
            if size >= BATCH_FLUSH_BYTES or len(batch) >= BATCH_TXS_MAX:
                self._network.broadcast(Channel.BULK, encode_batch(batch))
                batch, size = [], 0
        if batch:
            self._network.broadcast(Channel.BULK, encode_batch(batch))
        self._outbox.clear()


def _exists() -> Rejected:
    return Rejected(Code.EXISTS, "this transaction was already received")
