"""The state at the head as key and value, and what each of the last blocks replaced.

`StateView` is what the machine reads through (`protocol/vm/view.py`) and what the state tree is built from.
It does not know the tree: its pages are derived and live in memory.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from node.errors import OperationError
from node.store.blocks import height_key, load_head
from node.store.environment import Txn
from node.store.packing import Changes, pack_changes
from node.store.records import Head
from node.store.tables import STATE, UNDO
from protocol.params import STATE_KEY_BYTES_MAX
from protocol.types import Height

PAST_BLOCKS: Final = 1_000
"""Heights below the head whose state can be asked for, when the operator sets nothing else."""

PRUNED_MAX: Final = 16
"""What a block prunes at most when the operator keeps fewer heights than before."""


class StateView:
    """The state at one moment; valid until the block that opened it ends."""

    __slots__ = ("_get", "_txn", "head")

    def __init__(self, txn: Txn) -> None:
        self._txn = txn
        self._get = txn.getter(STATE)
        self.head: Head = load_head(txn)

    @property
    def height(self) -> int:
        """Return the height of the last block in this state."""
        return self.head.height

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key; any bytes may be asked for. Cost: about 2 us."""
        return self._get(key) if 0 < len(key) <= STATE_KEY_BYTES_MAX else None

    def scan(self, prefix: bytes, start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk the rows whose key has a prefix, ascending, from the first key >= start."""
        first = prefix if start is None else max(prefix, start)
        # No key is longer than the limit, so what is cut off only leaves out rows that do not match anyway.
        for key, value in self._txn.ascend(STATE, first[: STATE_KEY_BYTES_MAX + 1]):
            if not key.startswith(prefix):
                return
            yield key, value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Walk all rows, ascending. Cost: about 0.5 us a row."""
        return self._txn.ascend(STATE)

    def count(self) -> int:
        """Return the number of rows."""
        return self._txn.count(STATE)

    def undo(self, height: int) -> dict[bytes, bytes | None] | None:
        """Return what the keys that a block changed held before it; None when that is not kept any more."""
        row = self._txn.get(UNDO, height_key(height))
        return None if row is None else dict(Changes(row).items())

    def oldest(self) -> Height:
        """Return the lowest height whose state can be put together."""
        first = next(self._txn.ascend_keys(UNDO), None)
        return self.head.height if first is None else Height(int.from_bytes(first, "big") - 1)


def state_damaged(height: int, why: str) -> OperationError:
    """Make the error of a state that is not the one of the head: the node must end."""
    return OperationError(
        "store.state_damaged",
        "The node stops: its books on disk are not those that were committed.",
        f"state at height {height}: {why}; bytes changed on the disk.",
        "check the disk, move the folder `store` away, and start again: the chain comes from the peers.",
    )


class StateAhead:
    """A state with changes above it that are not written yet: None deletes."""

    __slots__ = ("_below", "_keys", "_writes")

    def __init__(self, below: StateView, writes: Mapping[bytes, bytes | None]) -> None:
        self._below = below
        self._writes = writes
        self._keys = sorted(writes)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key."""
        return self._writes[key] if key in self._writes else self._below.get(key)

    def scan(self, prefix: bytes, start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk the rows whose key has a prefix, ascending, from the first key >= start."""
        first = prefix if start is None else max(prefix, start)
        writes, keys = self._writes, self._keys
        at = bisect_left(keys, first)
        for key, value in self._below.scan(prefix, start):
            while at < len(keys) and keys[at] <= key:
                written = writes[keys[at]]
                if written is not None:
                    yield keys[at], written
                at += 1
            if key not in writes:
                yield key, value
        while at < len(keys) and keys[at].startswith(prefix):
            written = writes[keys[at]]
            if written is not None:
                yield keys[at], written
            at += 1


def save_state(txn: Txn, writes: Mapping[bytes, bytes | None], height: int, past_blocks: int) -> None:
    """Apply the changes of a block, keeping what they replaced for so many heights."""
    keys = sorted(writes)
    get = txn.getter(STATE)
    txn.append(UNDO, height_key(height), pack_changes([(key, get(key)) for key in keys]))
    for key in list(islice(txn.ascend_keys(UNDO), PRUNED_MAX)):
        if int.from_bytes(key, "big") <= height - past_blocks:
            txn.delete(UNDO, key)
    rows, doomed = [], []
    for key in keys:
        value = writes[key]
        if value is None:
            doomed.append(key)
        else:
            rows.append((key, value))
    txn.put_many(STATE, rows)
    for key in doomed:
        txn.delete(STATE, key)


def save_first_state(txn: Txn, writes: Mapping[bytes, bytes | None]) -> None:
    """Write the state of genesis."""
    txn.put_many(STATE, ((key, value) for key in sorted(writes) if (value := writes[key]) is not None))
