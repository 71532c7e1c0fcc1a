"""The state after an earlier block: the present one under what later blocks replaced.

Nothing is put together beforehand: a key is looked for in what each later block replaced, from the old block
to the new, and what is found first is its value. So a view of a thousand heights costs its handful of keys
and not the thousand blocks, however large those were.

Cost: about 4 us a key and kept block in between, in memory nothing. It does not know who asks, and proves
nothing: the state tree knows the head only.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from heapq import merge

from node.store.packing import Changes
from protocol.vm.view import StateReader


class PastState:
    """Read the state as it was after a block; valid as long as what it reads.

    Args:
        replaced: what the blocks after that one replaced, in their order.
    """

    __slots__ = ("_found", "_present", "_replaced")

    def __init__(self, present: StateReader, replaced: Sequence[Changes]) -> None:
        self._present = present
        self._replaced = replaced
        self._found: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""
        if key in self._found:
            return self._found[key]
        value = self._found[key] = self._look_up(key)
        return value

    def _look_up(self, key: bytes) -> bytes | None:
        for changes in self._replaced:
            at = changes.find(key)
            if at is not None:
                return changes.value(at)
        return self._present.get(key)

    def scan(self, prefix: bytes, start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys with a prefix from `start` on, ascending."""
        last = None
        for key, order, at in merge(
            *[
                self._walk_changes(order, prefix, max(prefix, start or b""))
                for order in range(len(self._replaced))
            ],
            self._walk_present(prefix, start),
        ):
            if key == last:
                continue  # an older block has said already what it was
            last = key
            value = at if isinstance(at, bytes) else self._replaced[order].value(at)
            if value is not None:
                yield key, value

    def _walk_changes(
        self, order: int, prefix: bytes, first: bytes
    ) -> Iterator[tuple[bytes, int, int | bytes]]:
        changes = self._replaced[order]
        keys = range(len(changes))
        for at in range(bisect_left(keys, first, key=changes.key), len(changes)):
            key = changes.key(at)
            if not key.startswith(prefix):
                return
            yield key, order, at

    def _walk_present(self, prefix: bytes, start: bytes | None) -> Iterator[tuple[bytes, int, int | bytes]]:
        order = len(self._replaced)
        for key, value in self._present.scan(prefix, start):
            yield key, order, value
