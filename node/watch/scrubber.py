"""Reads everything that is stored again, slowly, and holds it against its hashes: a disk may rot in silence.

A damaged block or certificate is noted in `Store.damaged`; `sync.py` fetches it again from a peer. A damaged
state ends the node: no node goes on with wrong books. The state is held against the tree in memory, which was
built from it at start, when its root was that of the head. Damaged receipts, indexes and journals are
reported: what members are told of their past may be missing until the operator fetches the chain anew.

It looks at a little at a time and rests in between, so that it never takes more than its share of a core. It
does not know who votes. What blocks replaced in the state is left to `coopd db check`: it is held against
the roots below by undoing block after block from the head, which takes a tree of its own, as large as the one
that the node works with, and a head that stays where it is.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

import trio

from node.executor import Executor
from node.log import get_logger
from node.store.derived import CHECKED, find_next_fault
from node.store.state import state_damaged
from node.store.store import Store
from protocol.types import Height

STATE_KEYS_A_STEP: Final = 100
"""Keys of the state that are looked at in one go: about 0.4 ms."""

REST_SECONDS_MIN: Final = 0.05
"""Least rest between two steps: a small chain needs no haste."""


class Scrubber:
    """Check one piece after another, for ever.

    Args:
        share_pct: of one core that it may take; 0 turns it off.
    """

    def __init__(self, store: Store, executor: Executor, share_pct: int) -> None:
        self._store = store
        self._executor = executor
        self._share_pct = share_pct
        self._log = get_logger("scrubber")
        self.passes = 0
        self.history_faults: frozenset[str] = frozenset()
        """What the last pass found wrong with indexes and journals."""

    async def run(self) -> None:
        """Check everything again and again.

        Raises:
            OperationError: `store.state_damaged`: end the process.
        """
        while self._share_pct:
            began = trio.current_time()
            for _ in self.check_all():
                spent = trio.current_time() - began
                await trio.sleep(max(REST_SECONDS_MIN, spent * (100 - self._share_pct) / self._share_pct))
                began = trio.current_time()
            self.passes += 1
            self._log.debug("pass.done", passes=self.passes, damaged=len(self._store.damaged))

    def check_all(self) -> Iterator[None]:
        """Check the state, every block up to the head, indexes and journals; yields between two pieces."""
        yield from self._check_state()
        found = set[str]()
        height = self._store.base()
        while height < self._executor.head.height:
            height = Height(height + 1)
            found |= self.check_block(height)
            yield
        yield from self._check_indexes(found)
        self.history_faults = frozenset(found)

    def check_block(self, height: Height) -> frozenset[str]:
        """Check a block at or below the head with its receipts; returns what is wrong with those."""
        known = height in self._store.damaged
        faults = frozenset([f"block {height:,}: {fault}" for fault in self._store.check_block(height)])
        if height in self._store.damaged and not known:
            self._log.error("block.damaged", height=height)
        for fault in faults - self.history_faults:
            self._log.error("history.damaged", why=fault)
        self.history_faults |= faults
        return faults

    def _check_indexes(self, found: set[str]) -> Iterator[None]:
        """Look at rows one by one; no old page of the database is kept alive while it rests."""
        for table in CHECKED:
            key: bytes | None = b""
            while key is not None:
                with self._store.snapshot() as (txn, _):
                    key, fault = find_next_fault(txn, table, key)
                if fault is not None:
                    self._log.error("history.damaged", why=fault)
                    found.add(fault)
                yield

    def _check_state(self) -> Iterator[None]:
        after = b""
        is_done = False
        while not is_done:
            with self._store.view() as state:
                # While a block is being written the disk is ahead of the tree: then look again later.
                if state.head == self._executor.head:
                    rows = list(islice(state.scan(b"", after), STATE_KEYS_A_STEP))
                    for key, value in rows:
                        if not self._executor.tree.holds(key, value):
                            raise state_damaged(state.height, f"the value of key {key.hex()} is another one")
                    is_done = len(rows) < STATE_KEYS_A_STEP
                    if is_done and state.count() != self._executor.tree.size:
                        raise state_damaged(state.height, "keys are missing")
                    after = rows[-1][0] + b"\0" if rows else after
            yield
