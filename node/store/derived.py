"""Find damage in what no header covers: indexes, journals, and what blocks replaced in the state.

All of it follows from the blocks, but only executing them again would tell everything. So runs and journal
rows carry a digest of their own, which tells a flipped bit where it stands; undoing block after block must
lead from the root of the head back to the roots of the headers below.

It repairs nothing: who finds damage here takes the chain from peers again. Blocks, receipts and the state
themselves are `check.py`; whether a journal rolls up to the hash that its account names is `journal.py`.
"""

from collections.abc import Iterator
from struct import error as StructError
from typing import Final

from node.store import blocks
from node.store.environment import Txn
from node.store.history import is_journal_sound
from node.store.packing import pack_changes
from node.store.runs import is_run_sound
from node.store.state import StateView
from node.store.tables import ACCOUNT_RUNS, JOURNAL, JOURNAL_RUNS, SCHEMA, TX_RUNS, UNDO
from protocol.merkle.tree import StateTree

CHECKED: Final = (TX_RUNS, ACCOUNT_RUNS, JOURNAL_RUNS, JOURNAL)
"""Tables whose rows carry a digest."""


def find_table_faults(txn: Txn) -> Iterator[str]:
    """Yield each table that has not as many rows as the database has counted."""
    for table in SCHEMA.tables:
        if sum(1 for _ in txn.descend_keys(table)) != txn.count(table):
            yield f"{table}: rows are missing"


def find_row_faults(txn: Txn) -> Iterator[str]:
    """Yield each row of `CHECKED` that its digest does not cover."""
    for table in CHECKED:
        for key, row in txn.ascend(table):
            if not _is_sound(table, key, row):
                yield _tell(table, key)


def find_next_fault(txn: Txn, table: str, after: bytes) -> tuple[bytes | None, str | None]:
    """Look at the first row with a greater key: return its key, None at the end, and its fault."""
    found = next(txn.ascend(table, after + b"\0" if after else b""), None)
    if found is None:
        return None, None
    return found[0], None if _is_sound(table, *found) else _tell(table, found[0])


def _is_sound(table: str, key: bytes, row: bytes) -> bool:
    return is_journal_sound(key, row) if table == JOURNAL else is_run_sound(key, row)


def _tell(table: str, key: bytes) -> str:
    return f"{table}: what was written at height {int.from_bytes(key[:8], 'big'):,} is damaged"


def find_undo_fault(txn: Txn, view: StateView, tree: StateTree) -> str | None:
    """Undo all blocks that can be undone, in a tree of the state of the head, and compare the roots."""
    heights = [int.from_bytes(key, "big") for key in txn.descend_keys(UNDO)]
    if heights != list(range(view.height, view.height - len(heights), -1)):
        return "undo: other heights than the last ones"
    for height in heights:
        try:
            undo = view.undo(height)
        except (ValueError, IndexError, AssertionError, StructError):
            undo = None
        below = blocks.load_root(txn, height - 1)
        packed = txn.get(UNDO, blocks.height_key(height))
        if undo is None or below is None or pack_changes(list(undo.items())) != packed:
            return f"undo of height {height:,}: cannot be read"
        tree.commit(tree.preview(undo))
        if tree.root != below:
            return f"undo of height {height:,}: leads to another state than the block below"
    return None
