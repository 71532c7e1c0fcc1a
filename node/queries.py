"""States and journals for questions to the contracts (`protocol.transition.answer_query`), present or past.

A past state is the present one with what later blocks replaced put back (`store.undo`). It does not know who
asks (`rpc/`), and it proves nothing: proofs come from the state tree, which the daemon holds.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Protocol

from node.store.store import Store
from protocol.vm.view import JournalRow, StateReader

PAST_BLOCKS_MAX = 1_000
"""How far back a state is rebuilt; the store keeps no more."""


class PresentState(StateReader, Protocol):
    """The state at the head, and what each block replaced."""

    @property
    def height(self) -> int: ...

    def undo(self, height: int) -> Mapping[bytes, bytes | None] | None: ...


class PastState:
    """Read the state as it was after a block."""

    __slots__ = ("_keys", "_present", "_replaced")

    def __init__(self, present: StateReader, replaced: Mapping[bytes, bytes | None]) -> None:
        self._present = present
        self._replaced = replaced
        self._keys = sorted(replaced)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""
        if key in self._replaced:
            return self._replaced[key]
        return self._present.get(key)

    def scan(self, prefix: bytes, start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys with a prefix from `start` on, ascending."""
        at = bisect_left(self._keys, max(prefix, start or b""))
        keys = self._keys
        for key, value in self._present.scan(prefix, start):
            while at < len(keys) and keys[at] < key:
                yield from self._row(keys[at])
                at += 1
            if at < len(keys) and keys[at] == key:
                yield from self._row(key)
                at += 1
            else:
                yield key, value
        while at < len(keys) and keys[at].startswith(prefix):
            yield from self._row(keys[at])
            at += 1

    def _row(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        value = self._replaced[key]
        if value is not None:
            yield key, value


def state_at(present: PresentState, height: int) -> StateReader | None:
    """Return the state after a block at or below the head; None when it is no longer kept."""
    if height == present.height:
        return present
    if present.height - height > PAST_BLOCKS_MAX:
        return None
    replaced: dict[bytes, bytes | None] = {}
    for later in range(present.height, height, -1):
        undo = present.undo(later)
        if undo is None:
            return None
        replaced.update(undo)
    return PastState(present, replaced)


class StoredJournal:
    """Read posted rows of an account from the store; implements `protocol.vm.context.JournalReader`."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    def rows(self, account: bytes, before: int, limit: int) -> tuple[JournalRow, ...]:
        """Return rows below a sequence, newest first."""
        found = self._store.journal(account, before, limit)
        return tuple(JournalRow(account, row.sequence, row.row) for row in found)
