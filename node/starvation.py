"""When a transaction starves, who has said so, and what a fresh block must hold therefore. Pure.

A proposer who leaves somebody out breaks no rule of the chain, so nobody can refuse its block as invalid. But
validators see what waits. Each counts the blocks that passed over a transaction although they had room, and
says so in public; when enough of them say it, at least one is honest, and a block that still leaves it out is
unwelcome: nobody votes for it while it is fresh.

Rules:
    1. A block passes over a transaction when it is not full and either is small, or serves some payer twice
       and this one not at all. An honest proposer, who serves least-served payers first, does neither; how
       slow its machine is does not matter.
    2. We attest what waited `STARVE_SECONDS`, was passed over by `STARVE_BLOCKS` blocks and could run now, at
       most `OPEN_MAX` at once, until it is gone. A validator's newest word replaces its older one.
    3. Whoever proposes puts first what a blocking number of validators attest; `list_due` is what a block
       must hold that is proposed `STARVE_HEIGHTS` heights after the last of them was heard here. The heights
       are those of hearing: nobody can date his word back.
    4. So while it can run, a transaction waits at most `STARVE_SECONDS`, `STARVE_BLOCKS` and `STARVE_HEIGHTS`
       more blocks, and what a change of proposer takes.

It does not know clocks, signatures, state or the wire: see `fairness.py`.

*Source*: consensus.md 2.6. *Departs*: "not full" is rule 1, because a proposer that is held by its machine to
fewer transactions than the limit would be accused wrongly.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from protocol.chain.block import Block
from protocol.chain.transaction import SignedTransaction
from protocol.chain.validators import EngineKind, EpochRecord
from protocol.params import BLOCK_BYTES_MAX, BLOCK_GAS_MAX, BLOCK_TXS_MAX
from protocol.types import Address, Height, TxId

STARVE_SECONDS: Final = 2.0
STARVE_BLOCKS: Final = 3
STARVE_HEIGHTS: Final = 2

OPEN_MAX: Final = 8
"""Transactions that one validator attests at once. All that can become due fits the smallest block."""

SUSPECTS_MAX: Final = 256
"""Payers whose next transaction is watched: who is left out comes to the front, all others are served."""

SMALL_BLOCK_TXS: Final = 50
"""However slow its machine, a proposer can put so many into a block (`builder.TXS_MIN`)."""

RAFT_ATTESTATIONS: Final = 2
"""In Raft nobody lies, but one validator may have heard what the others have not."""

BODY_BYTES_MAX: Final = BLOCK_BYTES_MAX - 64 * 1024
"""What transactions may take of a block beside its header, evidence and certificate."""


class Suspicion:
    """Count the blocks that passed over what waits longest."""

    __slots__ = ("_suspects",)

    def __init__(self) -> None:
        self._suspects: dict[TxId, tuple[float, int]] = {}

    def note_block(
        self, block: Block, first: Iterable[SignedTransaction], now: float
    ) -> list[SignedTransaction]:
        """Count a committed block; return what starves by rule 2, if it can run.

        Args:
            first: the transaction of each payer that is next, of who waits longest for a turn first; the
                first `SUSPECTS_MAX` count.
            now: seconds of a clock that never goes back.
        """
        served = Counter(payer_of(signed) for signed in block.transactions)
        room = Room(block)
        is_small = len(block.transactions) < SMALL_BLOCK_TXS
        is_greedy = max(served.values(), default=0) > 1
        suspects: dict[TxId, tuple[float, int]] = {}
        starving: list[SignedTransaction] = []
        for signed in islice(first, SUSPECTS_MAX):
            since, passed = self._suspects.get(signed.id, (now, -1))
            is_unfair = is_small or (is_greedy and payer_of(signed) not in served)
            is_passed = is_unfair and room.fits(signed)
            # The block in which it was first seen waiting may have been proposed before it came.
            passed = max(passed, 0) + (is_passed and passed >= 0)
            suspects[signed.id] = (since, passed)
            if passed >= STARVE_BLOCKS and now - since >= STARVE_SECONDS:
                starving.append(signed)
        self._suspects = suspects
        return starving


class Attestations:
    """Count who says that a transaction starves, in one epoch.

    Args:
        record: of the epoch.
    """

    __slots__ = ("_blocking", "_said")

    def __init__(self, record: EpochRecord) -> None:
        n = len(record.validators)
        self._blocking = RAFT_ATTESTATIONS if record.engine is EngineKind.RAFT else (n - 1) // 3 + 1
        self._said: dict[int, dict[TxId, Height]] = {}

    def hear(self, validator: int, ids: Sequence[TxId], height: Height) -> None:
        """Take what a validator attests now; what it has said before keeps its height.

        Args:
            height: the undecided one here.
        """
        before = self._said.get(validator, {})
        self._said[validator] = {tx_id: before.get(tx_id, height) for tx_id in ids[:OPEN_MAX]}

    def list_attested(self) -> list[TxId]:
        """List what a proposer puts first, in the order in which it was heard."""
        return [tx_id for tx_id, heights in self._by_id().items() if len(heights) >= self._blocking]

    def list_due(self, height: Height) -> list[TxId]:
        """List what a fresh block of a height must hold if it can."""
        return [
            tx_id
            for tx_id, heights in self._by_id().items()
            if len(heights) >= self._blocking
            and sorted(heights)[self._blocking - 1] + STARVE_HEIGHTS < height
        ]

    def forget(self, ids: Iterable[TxId]) -> None:
        """Let go of what was committed."""
        for tx_id in ids:
            for said in self._said.values():
                said.pop(tx_id, None)

    def _by_id(self) -> dict[TxId, list[Height]]:
        found: dict[TxId, list[Height]] = {}
        for _, said in sorted(self._said.items()):
            for tx_id, height in said.items():
                found.setdefault(tx_id, []).append(height)
        return found


def list_left_out(
    block: Block, due: Iterable[SignedTransaction], could_run_after: Callable[[SignedTransaction], bool]
) -> list[SignedTransaction]:
    """List what a block leaves out although it is due, would fit and could run.

    Args:
        could_run_after: whether a transaction is admissible on the state that the block leaves behind; so
            what the block itself made impossible accuses nobody.
    """
    held = {signed.id for signed in block.transactions}
    room = Room(block)
    return [s for s in due if s.id not in held and room.fits(s) and could_run_after(s)]


class Room:
    """What is left in a block by the limits that hold for everybody."""

    __slots__ = ("_gas", "_size_bytes", "_txs")

    def __init__(self, block: Block) -> None:
        transactions = block.transactions
        self._txs = BLOCK_TXS_MAX - len(transactions)
        self._size_bytes = BODY_BYTES_MAX - sum([len(t.raw) for t in transactions])
        self._gas = BLOCK_GAS_MAX - sum([t.tx.gas_limit for t in transactions])

    def fits(self, signed: SignedTransaction) -> bool:
        """Tell whether one more transaction fits."""
        return self._txs > 0 and len(signed.raw) <= self._size_bytes and signed.tx.gas_limit <= self._gas


def payer_of(signed: SignedTransaction) -> Address:
    """Return whose share of a block a transaction uses."""
    payer = signed.tx.payer
    return signed.tx.actors[payer] if isinstance(payer, int) else payer
