"""The mempool: signed transactions that wait for a block, fair to those who pay for them.

Pure in-memory structure for the loop thread: no task, clock or disk. Signatures and admission are checked
before `add` (`intake.py`); this file knows neither state nor peers.

Rules:
    1. Fair: `take` serves, again and again, the payer who got least gas so far in this block; ties go to who
       waits longest for a turn. So one payer fills a block only if nobody else has work.
    2. In order: the transactions of a payer's ordered lane leave with ascending sequences, whatever order
       they came in; each place of the lane in the turn serves the lowest sequence that is left.
    3. Full: a newcomer may push out the newest transactions of the payer who holds most bytes, and only if
       that payer then still holds at least as much as the newcomer's payer: nobody gains by sending more,
       and nobody is pushed out by somebody heavier. Otherwise it is refused with `FULL`.
    4. Known: an id that waits, was committed or was dropped is not taken again for a while, so a duplicate
       costs no signature check. Pushed-out ids are forgotten: they may come again. An id is independent of
       its signatures, so one whose signature did not hold must never be remembered.
    5. Favoured: what validators attest to be starving (`starvation.py`) leaves first, and finds room however
       full it is.
    6. Nothing here depends on the order of a set or on time but through `prune`.

*Source*: contracts.md 3.8. *Departs*: least-served-first instead of deficit round robin; the same shares,
without a quantum and without rounds that serve nobody.

*Cost*: about 1.5 us to add, 1 us to take and 0.7 us to remove a transaction.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final, NoReturn, TypeAlias

from protocol.chain.transaction import UNORDERED, SignedTransaction
from protocol.errors import Code, Rejected
from protocol.types import Address, TxId

MEMPOOL_TXS_MAX: Final = 20_000
MEMPOOL_BYTES_MAX: Final = 32 << 20
MEMPOOL_PAYER_TXS_MAX: Final = 2_000
"""Waiting transactions of one payer: about what one block holds."""

TURN_GAS_MIN: Final = 1_000
"""What a turn counts at least, so that transactions without gas end."""

SEEN_IDS_MAX: Final = 65_536
"""Ids remembered after they left; about 10 MB."""


_LaneKey: TypeAlias = tuple[Address, int]
"""Whose nonce it is, and the lane."""


@dataclass(frozen=True, slots=True)
class MempoolLimits:
    """Bound what waits."""

    txs: int = MEMPOOL_TXS_MAX
    size_bytes: int = MEMPOOL_BYTES_MAX
    payer_txs: int = MEMPOOL_PAYER_TXS_MAX
    seen_ids: int = SEEN_IDS_MAX


@dataclass(frozen=True, slots=True)
class MempoolFigures:
    """Say what waits and what happened since the start, for metrics."""

    txs: int
    size_bytes: int
    payers: int
    evicted_total: int
    expired_total: int
    refused_full_total: int


class _Entry:
    """A waiting transaction; `lane` is the list of its lane, shared and sorted; unordered ones are alone."""

    __slots__ = ("gas", "key", "lane", "payer", "sequence", "signed", "size_bytes")

    def __init__(
        self,
        signed: SignedTransaction,
        payer: Address,
        gas: int,
        sequence: int,
        size_bytes: int,
        key: "_LaneKey",
        lane: "list[_Entry]",
    ) -> None:
        self.signed = signed
        self.payer = payer
        self.gas = gas
        self.sequence = sequence
        self.size_bytes = size_bytes
        self.key = key
        self.lane = lane


class _Queue:
    """What one payer has waiting, in order of arrival."""

    __slots__ = ("entries", "size_bytes")

    def __init__(self) -> None:
        self.entries: dict[TxId, _Entry] = {}
        self.size_bytes = 0


class Mempool:
    """Hold signed transactions until they are committed, dropped, expired or pushed out."""

    __slots__ = (
        "_bytes",
        "_entries",
        "_evicted",
        "_expired",
        "_favoured",
        "_heavy",
        "_lanes",
        "_limits",
        "_pruned_until",
        "_queues",
        "_refused",
        "_seen",
    )

    def __init__(self, limits: MempoolLimits | None = None) -> None:
        self._limits = limits or MempoolLimits()
        self._entries: dict[TxId, _Entry] = {}
        self._queues: dict[Address, _Queue] = {}
        self._lanes: dict[_LaneKey, list[_Entry]] = {}
        # Taking the oldest entry out of a plain dict walks over the gaps of all that went before.
        self._seen: OrderedDict[TxId, None] = OrderedDict()
        self._heavy: list[tuple[int, Address]] = []
        self._favoured: tuple[TxId, ...] = ()
        self._bytes = 0
        self._pruned_until = 0
        self._evicted = self._expired = self._refused = 0

    def __len__(self) -> int:
        return len(self._entries)

    def ids(self) -> list[TxId]:
        """List the ids that wait, in order of arrival."""
        return list(self._entries)

    def known(self, tx_id: TxId) -> bool:
        """Tell whether an id waits or left a short while ago."""
        return tx_id in self._entries or tx_id in self._seen

    def get(self, tx_id: TxId) -> SignedTransaction | None:
        """Return a waiting transaction."""
        entry = self._entries.get(tx_id)
        return None if entry is None else entry.signed

    def favour(self, ids: Iterable[TxId]) -> None:
        """Let these leave first from now on, and only these."""
        self._favoured = tuple(ids)

    def next_of_payers(self) -> Iterator[SignedTransaction]:
        """Walk over the next transaction of each payer, of who waits longest for a turn first."""
        for queue in self._queues.values():
            yield next(iter(queue.entries.values())).lane[0].signed

    def add(self, signed: SignedTransaction, payer: Address, gas: int) -> None:
        """Let a transaction wait; its signatures and admission are checked already.

        Args:
            payer: whose share of a block it uses.
            gas: it may use at most.

        Raises:
            Rejected: `EXISTS`, `NONCE_USED` (another transaction with the same nonce waits in an
                ordered lane), `FULL` (may be sent again later).
        """
        tx_id = signed.id
        if tx_id in self._entries or tx_id in self._seen:
            raise Rejected(Code.EXISTS, "this transaction was already received")
        tx, size = signed.tx, len(signed.raw)
        sequence = tx.sequence
        key = (tx.nonce_holder, tx.lane)
        lane = self._lanes.get(key)
        at = 0
        if lane is not None:
            at = len(lane) if sequence > lane[-1].sequence else bisect_left(lane, sequence, key=_sequence_of)
            if at < len(lane) and lane[at].sequence == sequence:
                raise Rejected(Code.NONCE_USED, f"sequence {sequence} of lane {tx.lane} waits already")
        queue = self._queues.get(payer)
        limits = self._limits
        is_favoured = tx_id in self._favoured
        if is_favoured:
            pass
        elif len(self._entries) >= limits.txs or self._bytes + size > limits.size_bytes:
            self._make_room(queue, size)
            # Whoever had to leave may have been of this lane or the last of this payer.
            queue, lane = self._queues.get(payer), self._lanes.get(key)
            at = 0 if lane is None else bisect_left(lane, sequence, key=_sequence_of)
        if queue is None:
            queue = self._queues[payer] = _Queue()
        elif len(queue.entries) >= limits.payer_txs and not is_favoured:
            self._refuse(f"{limits.payer_txs} transactions of this payer wait already")
        if lane is None:
            lane = []
            if tx.lane != UNORDERED:
                self._lanes[key] = lane
        entry = _Entry(signed, payer, gas, sequence, size, key, lane)
        lane.insert(at, entry)
        self._entries[tx_id] = queue.entries[tx_id] = entry
        queue.size_bytes += size
        self._bytes += size
        if len(self._heavy) > self._heavy_max():
            self._heavy.clear()  # nobody has asked for long; it is made again from the queues
        elif self._heavy:
            heappush(self._heavy, (-queue.size_bytes, payer))

    def take(self, txs_max: int, bytes_max: int, gas_max: int) -> list[SignedTransaction]:
        """Choose candidates for a block, in fair order; they stay until they are removed.

        Args:
            bytes_max: of their signed bytes together.
            gas_max: of their gas together.
        """
        taken: list[SignedTransaction] = []
        next_of_lane: dict[_LaneKey, int] = {}
        for favoured in self._first_favoured(txs_max, bytes_max, gas_max):
            taken.append(favoured.signed)
            bytes_max -= favoured.size_bytes
            gas_max -= favoured.gas
            next_of_lane[favoured.key] = 1
        first_ids = {signed.id for signed in taken}
        # Who has had nothing yet comes before everybody who has had something.
        fresh = enumerate(self._queues.values())
        served: list[tuple[int, int, Iterator[_Entry]]] = []
        while len(taken) < txs_max:
            first = next(fresh, None)
            if first is not None:
                gas_had, turn, waiting = 0, first[0], iter(first[1].entries.values())
            elif served:
                gas_had, turn, waiting = heappop(served)
            else:
                break
            entry = next(waiting, None)
            if entry is None:
                continue
            if entry.signed.id in first_ids and len(entry.lane) == 1:
                heappush(served, (gas_had, turn, waiting))
                continue
            if len(entry.lane) > 1:
                key = entry.key
                at = next_of_lane.get(key, 0)
                if at == len(entry.lane):  # its first one left before all others
                    heappush(served, (gas_had, turn, waiting))
                    continue
                entry = entry.lane[at]
                if entry.size_bytes <= bytes_max and entry.gas <= gas_max:
                    next_of_lane[key] = at + 1
            if entry.size_bytes > bytes_max or entry.gas > gas_max:
                continue  # this payer is done: what follows may follow in a lane
            taken.append(entry.signed)
            bytes_max -= entry.size_bytes
            gas_max -= entry.gas
            heappush(served, (gas_had + max(entry.gas, TURN_GAS_MIN), turn, waiting))
        return taken

    def _first_favoured(self, txs_max: int, bytes_max: int, gas_max: int) -> Iterator[_Entry]:
        """Walk over what is favoured, next in its lane, and fits."""
        for tx_id in self._favoured:
            entry = self._entries.get(tx_id)
            if entry is None or entry.lane[0] is not entry or txs_max <= 0:
                continue
            if entry.size_bytes <= bytes_max and entry.gas <= gas_max:
                txs_max, bytes_max, gas_max = txs_max - 1, bytes_max - entry.size_bytes, gas_max - entry.gas
                yield entry

    def remove_committed(self, ids: Iterable[TxId]) -> None:
        """Remove what a block took, remember its ids, and send its payers to the end of the turn."""
        payers: dict[Address, None] = {}
        for tx_id in ids:
            self._remember(tx_id)
            entry = self._entries.get(tx_id)
            if entry is not None:
                self._remove(entry)
                payers[entry.payer] = None
        for payer in payers:
            queue = self._queues.pop(payer, None)
            if queue is not None:
                self._queues[payer] = queue

    def drop_overtaken(self, committed: Iterable[SignedTransaction]) -> None:
        """Drop what waits in an ordered lane at or below a sequence that was committed: it can never run."""
        for signed in committed:
            tx = signed.tx
            lane = self._lanes.get((tx.nonce_holder, tx.lane), ())
            for entry in [entry for entry in lane if entry.sequence <= tx.sequence]:
                self.drop(entry.signed.id)

    def drop(self, tx_id: TxId) -> None:
        """Remove a transaction that can never be admitted, and remember its id."""
        self._remember(tx_id)
        entry = self._entries.get(tx_id)
        if entry is not None:
            self._remove(entry)

    def prune(self, block_seconds: int) -> list[TxId]:
        """Remove what can no longer run at a block time; return the ids. Cost: 0.1 us an entry."""
        if block_seconds <= self._pruned_until:
            return []
        self._pruned_until = block_seconds
        expired = [e for e in self._entries.values() if e.signed.tx.valid_until < block_seconds]
        for entry in expired:
            self._remove(entry)
        self._expired += len(expired)
        return [entry.signed.id for entry in expired]

    def figures(self) -> MempoolFigures:
        """Return the figures for metrics."""
        return MempoolFigures(
            len(self._entries), self._bytes, len(self._queues), self._evicted, self._expired, self._refused
        )

    def _remember(self, tx_id: TxId) -> None:
        if len(self._seen) >= self._limits.seen_ids:
            self._seen.popitem(last=False)
        self._seen[tx_id] = None

    def _remove(self, entry: _Entry) -> None:
        tx_id = entry.signed.id
        del self._entries[tx_id]
        self._bytes -= entry.size_bytes
        queue = self._queues[entry.payer]
        del queue.entries[tx_id]
        queue.size_bytes -= entry.size_bytes
        if not queue.entries:
            del self._queues[entry.payer]
        entry.lane.remove(entry)
        if not entry.lane:
            self._lanes.pop(entry.key, None)

    def _make_room(self, queue: _Queue | None, size_bytes: int) -> None:
        """Push out what a newcomer of a payer with this queue may push out by rule 3, or refuse it."""
        limits = self._limits
        if queue is not None and len(queue.entries) >= limits.payer_txs:
            return  # it is refused for that reason
        if not self._queues:
            self._refuse(f"{size_bytes} bytes are more than the mempool holds")
        heaviest = self._heaviest()
        held = size_bytes + (0 if queue is None else queue.size_bytes)
        left, need_bytes = heaviest.size_bytes, self._bytes + size_bytes - limits.size_bytes
        leaving: list[_Entry] = []
        for entry in reversed(heaviest.entries.values()):
            if leaving and need_bytes <= 0:
                break
            leaving.append(entry)
            left -= entry.size_bytes
            need_bytes -= entry.size_bytes
        if need_bytes > 0 or left < held:
            self._refuse("the mempool is full, and nobody holds more of it than this payer")
        for entry in leaving:
            self._remove(entry)
        self._evicted += len(leaving)

    def _heaviest(self) -> _Queue:
        """Find the queue with most bytes; ties go to the higher address.

        The heap holds every payer at least once with at least the bytes he has, or more often; what is out of
        date is put right when it comes up. So a full mempool costs a logarithm a transaction, and one that is
        not full nothing.
        """
        heavy = self._heavy
        if not heavy or len(heavy) > self._heavy_max():
            heavy[:] = [(-queue.size_bytes, address) for address, queue in self._queues.items()]
            heapify(heavy)
        while True:
            size, address = heavy[0]
            queue = self._queues.get(address)
            if queue is None:
                heappop(heavy)
            elif queue.size_bytes != -size:
                heapreplace(heavy, (-queue.size_bytes, address))
            else:
                return queue

    def _heavy_max(self) -> int:
        return 4 * len(self._queues) + 64

    def _refuse(self, why: str) -> NoReturn:
        self._refused += 1
        raise Rejected(Code.FULL, why, retry=True)


def _sequence_of(entry: _Entry) -> int:
    return entry.sequence
