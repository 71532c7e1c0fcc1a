"""The authenticated state tree: what the state root of a header commits to, kept whole in memory.

2^bits buckets by the hash of the key; a bucket's *page* is its sorted 64-byte entries key_hash | value_hash; above
them `bits // 4` levels of nodes with 16 children (the hash rules stand in `proof.py`). Few wide hashes beat
many narrow ones: a call costs what 1 KB of hashing costs, and a changed key costs about two hashes of the tree.

Both hashes of an entry are plain: SHA-256(key) and SHA-256(value). Hashing key and value together would save one
hash only for a caller that keeps key hashes, and such a cache is state that has to be bounded and proven fresh;
the saving is 0.5 us of some 5 us per key. An entry binds the two by standing side by side in a tagged page.

The tree is derived data: built from the state at start, changed once a block. It knows no values (they are in the
store), no disk and no heights; only its present contents can be proven.

Source: performance.md, decision 6 and section 2 ("FBM").
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from protocol.merkle.proof import (
    ENTRY_BYTES,
    NODE_TAG,
    PAGE_ENTRIES_MAX,
    StateProof,
    find_entry,
    hash_page,
    split_page,
)
from protocol.types import Hash32

BITS_MAX: Final = 20
"""2^20 buckets serve 3e7 keys; an empty tree of that size takes 16 MB."""

_PAGE_BYTES_MAX: Final = PAGE_ENTRIES_MAX * ENTRY_BYTES


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TreeDelta:
    """The outcome of a batch of changes, not yet applied: give it to `StateTree.commit` or drop it.

    Args:
        root: root after the changes.
        base: root on which it was made.
        size: number of keys after the changes.
        pages: changed pages by bucket.
        nodes: changed nodes by index, per level, root level first.
    """

    root: Hash32
    base: Hash32
    size: int
    pages: Mapping[int, bytes]
    nodes: tuple[Mapping[int, bytes], ...]


class StateTree:
    """Commit to a set of keys and values.

    Rules:
        1. The root depends on `bits` and the set of (key, value) pairs alone, not on the way there.
        2. `preview` changes nothing; `commit` does nothing but put its outcome in place.

    Args:
        bits: log2 of the number of buckets, a multiple of 4 up to `BITS_MAX`; a parameter of the chain. Serves
            best with 8 to 64 keys per bucket.

    Cost: 110 B of memory per key.
    """

    __slots__ = ("_nodes", "_pages", "_root", "_shift", "_size")

    def __init__(self, bits: int) -> None:
        self._reset(bits, [b""] * (1 << bits))

    @classmethod
    def build(cls, bits: int, items: Iterable[tuple[bytes, bytes]]) -> "StateTree":
        """Build the tree of the given (key, value) pairs, in any order, each key once. Cost: about 3 us a key."""
        tree = cls.__new__(cls)
        buckets = [bytearray() for _ in range(1 << bits)]
        shift = 32 - bits
        for key, value in items:
            key_hash = sha256(key).digest()
            buckets[int.from_bytes(key_hash[:4], "big") >> shift] += key_hash + sha256(value).digest()
        tree._reset(bits, [_sort_page(entries) for entries in buckets])
        return tree

    def _reset(self, bits: int, pages: list[bytes]) -> None:
        assert 0 < bits <= BITS_MAX and bits % 4 == 0
        self._shift = 32 - bits
        self._pages = pages
        self._size = sum(map(len, pages)) // ENTRY_BYTES
        empty = hash_page(b"", 0)
        hashes = [hash_page(page, bits // 4) if page else empty for page in pages]
        levels = []
        while len(hashes) > 1:
            level = [NODE_TAG + b"".join(hashes[at : at + 16]) for at in range(0, len(hashes), 16)]
            levels.append(level)
            hashes = [sha256(node).digest() for node in level]
        self._nodes = tuple(reversed(levels))
        self._root = Hash32(hashes[0])

    @property
    def root(self) -> Hash32:
        """Root of the present contents."""
        return self._root

    @property
    def size(self) -> int:
        """Number of keys."""
        return self._size

    def preview(self, changes: Mapping[bytes, bytes | None]) -> TreeDelta:
        """Compute the tree after changes without changing it.

        Args:
            changes: new value by key; None deletes (also a key that is not there).

        Cost: about 5 us a key with 1,000 changes in 1e5 keys: two hashes of the entry, and each touched page and
        node copied and hashed once.
        """
        pages, shift = self._pages, self._shift
        touched: dict[int, bytearray] = {}
        size = self._size
        for key, value in changes.items():
            key_hash = sha256(key).digest()
            index = int.from_bytes(key_hash[:4], "big") >> shift
            page = touched.get(index)
            if page is None:
                touched[index] = page = bytearray(pages[index])
            at = find_entry(page, key_hash)
            if value is None:
                if at >= 0:
                    del page[at : at + ENTRY_BYTES]
                    size -= 1
            elif at >= 0:
                page[at + 32 : at + 64] = sha256(value).digest()
            else:
                at = _place_of(page, key_hash)
                page[at:at] = key_hash + sha256(value).digest()
                size += 1
        depth = len(self._nodes)
        hashes = {index: hash_page(page, depth) for index, page in touched.items()}
        root, nodes = self._rehash(hashes)
        return TreeDelta(root, self._root, size, {index: bytes(page) for index, page in touched.items()}, nodes)

    def _rehash(self, hashes: dict[int, bytes]) -> tuple[Hash32, tuple[dict[int, bytes], ...]]:
        """Carry changed page hashes up to the root; each touched node is hashed once."""
        changed = []
        for level in reversed(self._nodes):
            touched: dict[int, bytearray] = {}
            for index, digest in hashes.items():
                node = touched.get(index >> 4)
                if node is None:
                    touched[index >> 4] = node = bytearray(level[index >> 4])
                at = 1 + 32 * (index & 15)
                node[at : at + 32] = digest
            hashes = {index: sha256(node).digest() for index, node in touched.items()}
            changed.append({index: bytes(node) for index, node in touched.items()})
        return Hash32(hashes.get(0, self._root)), tuple(reversed(changed))

    def commit(self, delta: TreeDelta) -> None:
        """Put a delta in place, which must have been made on the present contents."""
        assert delta.base == self._root, "delta of another tree"
        for stored, changed in zip((self._pages, *self._nodes), (delta.pages, *delta.nodes), strict=True):
            for index, content in changed.items():
                stored[index] = content
        self._size = delta.size
        self._root = delta.root

    def prove(self, key: bytes) -> StateProof:
        """Prove what a key holds at the present root, or that it is absent; `verify_state` checks it."""
        key_hash = sha256(key).digest()
        index = int.from_bytes(key_hash[:4], "big") >> self._shift
        page, siblings = self._pages[index], self._siblings(index)
        while len(page) > _PAGE_BYTES_MAX:
            depth = len(siblings)
            nibble = key_hash[depth // 2] >> (0 if depth & 1 else 4) & 15
            parts = split_page(page, depth)
            siblings += (b"".join([hash_page(part, depth + 1) for part in parts[:nibble] + parts[nibble + 1 :]]),)
            page = bytes(parts[nibble])
        return StateProof(page, siblings)

    def page(self, index: int) -> bytes:
        """Give the entries of a bucket: a natural chunk of a snapshot."""
        return self._pages[index]

    def prove_page(self, index: int) -> tuple[bytes, ...]:
        """Prove a bucket at the present root: the siblings for `verify_page`."""
        return self._siblings(index)

    def _siblings(self, index: int) -> tuple[bytes, ...]:
        siblings = []
        for level in reversed(self._nodes):
            node, at = level[index >> 4], 1 + 32 * (index & 15)
            siblings.append(node[1:at] + node[at + 32 :])
            index >>= 4
        return tuple(reversed(siblings))


def _sort_page(entries: bytearray) -> bytes:
    ordered = sorted([bytes(entries[at : at + ENTRY_BYTES]) for at in range(0, len(entries), ENTRY_BYTES)])
    assert len({entry[:32] for entry in ordered}) == len(ordered), "a key twice"
    return b"".join(ordered)


def _place_of(page: bytearray, key_hash: bytes) -> int:
    """Find the offset in bytes at which a new entry keeps the order."""
    entries = range(0, len(page), ENTRY_BYTES)
    return ENTRY_BYTES * bisect_left(entries, key_hash, key=lambda at: bytes(page[at : at + 32]))
