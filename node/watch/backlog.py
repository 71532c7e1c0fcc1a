"""Watches the jobs of the chain: how many are late, how many runs failed, which job waits in quarantine.

A job never stops a block, so nobody would notice one that always fails, or a block's budget that no longer
suffices. Its owner finds it in the events of his account; the operators, and through them the auditors, are
told here: by the log, `coopd status` and /metrics. It changes nothing, and does not know who asks.

*Source*: contracts.md 3.11 (backlog metric, alarm; quarantine is told).
"""

from typing import Final

from node.executor import Executor
from node.log import get_logger
from node.store.store import Store
from protocol.chain.receipt import decode_receipt
from protocol.contracts import sched
from protocol.params import JOBS_PER_BLOCK_MAX
from protocol.types import Seconds
from protocol.vm.view import View

LOOK_BLOCKS_MAX: Final = 1_000
"""Blocks whose runs one look reads; what lies further back was seen by others."""
LATE_SECONDS: Final = 60
"""From when on jobs that wait are worth a warning: a burst is over by then."""


class Backlog:
    """Watch the jobs of one node's chain.

    Attributes:
        late: jobs whose time has come and that no block has run yet; at most `JOBS_PER_BLOCK_MAX`.
        runs, failed, quarantined: since this process began.
    """

    __slots__ = (
        "_executor",
        "_log",
        "_looked_at",
        "_store",
        "failed",
        "late",
        "quarantined",
        "runs",
        "warnings",
    )

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        self._looked_at = int(executor.head.height)
        self._log = get_logger("backlog")
        self.late = 0
        self.runs = 0
        self.failed = 0
        self.quarantined = 0
        self.warnings: tuple[str, ...] = ()

    def look(self) -> None:
        """See what is late now, and what ran since the last look."""
        head = self._executor.head
        now = Seconds(head.time_ms // 1_000)
        with self._store.view() as state:
            view = View(state)
            self.late, oldest = len(sched.list_due(view, now)), sched.next_due(view)
        for height in range(max(self._looked_at, head.height - LOOK_BLOCKS_MAX) + 1, head.height + 1):
            self._count_runs(height)
        self._looked_at = head.height
        behind = now - oldest if self.late and oldest is not None else 0
        self.warnings = (_late(self.late, behind),) if behind >= LATE_SECONDS else ()

    def _count_runs(self, height: int) -> None:
        for raw in self._store.run_receipts(height):
            receipt = decode_receipt(raw)
            self.runs += 1
            self.failed += not receipt.is_ok
            for event in receipt.events:
                if (event.contract, event.event) == (sched.ID, sched.QUARANTINE.id):
                    self.quarantined += 1
                    self._log.warning(
                        "job.quarantined", job=event.fields[0], code=receipt.code, height=height
                    )


def _late(count: int, seconds: int) -> str:
    shown = f"{count:,}" if count < JOBS_PER_BLOCK_MAX else f"{count:,} or more"
    return f"{shown} jobs of the chain are late, the oldest by {seconds:,} s: jobs_block_gas may be too small"
