"""When to propose, and with what: waits until a block is worth building, then builds it.

A leader that is asked for a block waits for the first transaction, then a batch window for company; with
nothing to do it proposes an empty block only as a heartbeat. Consensus knows nothing of this: it asked,
and the answer may take minutes. Execution of a block is held to a time budget by the measured cost of the
last ones, so that a leader is never deaf for longer than its heartbeat allows.

It does not know what a transaction does (`executor.py`), nor which of those that wait are due (`mempool.py`).
"""

import math
from dataclasses import dataclass
from typing import Final

import trio

from node.clock import Clock
from node.evidence import EvidencePool
from node.executor import BLOCK_OVERHEAD_BYTES, Executor, Prepared
from node.mempool import Mempool
from protocol.chain.block import Block
from protocol.chain.certificate import Certificate
from protocol.chain.transaction import SignedTransaction
from protocol.params import BLOCK_BYTES_MAX, BLOCK_GAS_MAX, HEARTBEAT_BLOCK_SECONDS
from protocol.types import PublicKey, TimeMs, View

EXECUTION_BUDGET_SECONDS: Final = 0.1
"""Longest time that one block may keep the node's loop busy, at the leader and at each follower."""

TXS_MIN: Final = 50
"""A block is never held below this by the budget, however slow the machine."""

RETRY_SECONDS: Final = 1.0
"""When nothing that waits could run, only time or a new transaction changes that: then it is tried again."""

_COST_MEMORY: Final = 0.2
_COST_START_SECONDS: Final = 100e-6


@dataclass(frozen=True, slots=True)
class Pace:
    """Bound blocks in time and size.

    Args:
        window_ms: how long the first waiting transaction waits for company.
        interval_ms_min: least time between two blocks.
        idle_seconds: an idle chain makes an empty block after this time.
        txs_max: most transactions of one block.
    """

    window_ms: int
    interval_ms_min: int
    txs_max: int
    idle_seconds: int = HEARTBEAT_BLOCK_SECONDS


class Builder:
    """Answer the effect `BuildBlock`, one at a time."""

    def __init__(
        self,
        executor: Executor,
        mempool: Mempool,
        evidence: EvidencePool,
        clock: Clock,
        me: PublicKey,
        pace: Pace,
    ) -> None:
        self._executor = executor
        self._mempool = mempool
        self._evidence = evidence
        self._clock = clock
        self._me = me
        self._pace = pace
        self._pending = trio.Event()
        self._idle = trio.CancelScope()
        self._is_clock_moved = False
        self._cost_seconds = _COST_START_SECONDS
        self._is_barren = False
        self._last_built = -math.inf
        # A wait that is begun anew, as its parent was decided meanwhile, is not begun from nothing.
        self._window_began = math.inf
        self.last_build_seconds = 0.0

    def sign_as(self, me: PublicKey) -> None:
        """Build as another key from now on."""
        self._me = me

    def wake(self) -> None:
        """Say that transactions or evidence are waiting."""
        self._pending.set()

    def show_clock(self) -> None:
        """Let the next block come at once, even an empty one: the clock was moved, and all shall see it."""
        self._is_clock_moved = True
        self._idle.deadline = trio.current_time()

    async def wait_for_work(self, parent: Prepared | None = None) -> bool:
        """Wait for evidence, for a transaction and its batch window, or for the idle time to pass.

        Args:
            parent: an undecided block whose transactions do not wait any more.

        Returns: whether the idle time has passed, so that even an empty block is due.
        """
        others = () if parent is None else parent.block.transactions
        taken = sum(self._mempool.get(signed.id) is not None for signed in others)
        with trio.move_on_after(self._idle_seconds()) as self._idle:
            if self._is_barren:
                with trio.move_on_after(RETRY_SECONDS):
                    await self._news()
            while len(self._mempool) <= taken and not len(self._evidence):
                await self._news()
            now = trio.current_time()
            self._window_began = min(self._window_began, now)
            since_last = now - self._last_built
            window_ms = self._pace.window_ms - (now - self._window_began) * 1_000
            wait_ms = max(window_ms, self._pace.interval_ms_min - since_last * 1_000)
            if len(self._evidence) or len(self._mempool) - taken >= self._affordable_txs():
                wait_ms = self._pace.interval_ms_min - since_last * 1_000
            await trio.sleep(max(wait_ms, 0) / 1_000)
        return self._idle.cancelled_caught

    def build(
        self,
        view: View,
        last_certificate: Certificate | None,
        *,
        even_empty: bool,
        parent: Prepared | None = None,
    ) -> Block | None:
        """Build a block on the head; None when nothing that waits can run now and an empty one is not due.

        Args:
            last_certificate: of the head.
            parent: a proposal on the head that may be decided soon; then the block is built on it.
        """
        started = trio.current_time()
        self._last_built, self._window_began, self._is_clock_moved = started, math.inf, False
        taken = () if parent is None else parent.block.transactions
        below_ms = self._executor.head.time_ms if parent is None else parent.block.header.time_ms
        time_ms = TimeMs(max(self._clock.wall_ms(), below_ms + 1))
        txs_max = self._affordable_txs()
        candidates = self._take(txs_max, taken)
        evidence = self._evidence.take() if parent is None or not parent.block.evidence else ()
        block, dropped = self._executor.build(
            view, self._me, time_ms, last_certificate, candidates, evidence, txs_max, parent
        )
        for tx_id, refusal in dropped:
            if not refusal.retry:
                self._mempool.drop(tx_id)
        self.last_build_seconds = trio.current_time() - started
        self._learn_cost(len(block.transactions), self.last_build_seconds)
        has_waiting = len(candidates) > 0 if parent is not None else len(self._mempool) > 0
        self._is_barren = has_waiting and not block.transactions
        return block if block.transactions or block.evidence or even_empty else None

    def _take(self, txs_max: int, taken: tuple[SignedTransaction, ...]) -> list[SignedTransaction]:
        """Choose candidates besides what an undecided parent has taken: it is still in the mempool."""
        bytes_max = BLOCK_BYTES_MAX - BLOCK_OVERHEAD_BYTES
        if not taken:
            return self._mempool.take(txs_max, bytes_max, BLOCK_GAS_MAX)
        ids = {signed.id for signed in taken}
        size_bytes = sum(len(signed.raw) for signed in taken)
        found = self._mempool.take(txs_max + len(taken), bytes_max + size_bytes, 2 * BLOCK_GAS_MAX)
        return [signed for signed in found if signed.id not in ids][:txs_max]

    def _idle_seconds(self) -> float:
        """Return how long members may be waited for."""
        head, idle_seconds = self._executor.head, float(self._pace.idle_seconds)
        if head.height == 0 or self._is_clock_moved:
            return 0.0  # The first block shows that the chain runs.
        left_seconds = idle_seconds - (self._clock.wall_ms() - head.time_ms) / 1_000
        due = self._executor.next_due_time()
        if due is not None:
            # A job that waits for a block must not wait for members; one that stays due comes at our pace.
            left_seconds = min(left_seconds, max(due - self._clock.wall_ms() / 1_000, self._pace_seconds()))
        # A clock that was set back must not silence the chain for longer.
        return min(max(left_seconds, 0.0), idle_seconds)

    def _pace_seconds(self) -> float:
        return self._last_built + self._pace.interval_ms_min / 1_000 - trio.current_time()

    async def _news(self) -> None:
        self._pending = trio.Event()
        await self._pending.wait()

    def _affordable_txs(self) -> int:
        affordable = int(EXECUTION_BUDGET_SECONDS / self._cost_seconds)
        return max(TXS_MIN, min(self._pace.txs_max, affordable))

    def _learn_cost(self, count: int, seconds: float) -> None:
        if count >= TXS_MIN:
            self._cost_seconds += _COST_MEMORY * (seconds / count - self._cost_seconds)
