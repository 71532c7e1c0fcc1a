"""The authenticated state tree: what the state root of a header commits to, kept whole in memory.

2^bits buckets by the hash of the key; a bucket's *page* is its sorted 64-byte entries key_hash |
value_hash; above them `bits // 4` levels of nodes with 16 children (the hash rules stand in `proof.py`).
Few wide hashes beat many narrow ones: a call costs about what 1 KB of hashing costs, so a changed key costs
two hashes for its entry, one page and a third of a node.

Key and value are hashed apart. A value hash over both would save one hash only for a caller that keeps key
hashes: a cache to bound and to keep right, for 0.5 us of some 5 us a key. What binds the two is that they
stand side by side in a hashed page. Their domains differ, so no value hash equals a key hash, and a key is
found in a page by plain search.

The tree is derived data: built from the state at start, changed once a block. It knows no values (they are in
the store), no disk and no heights; only its present contents can be proven.

Source: performance.md, decision 6 and section 2 ("FBM").
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias

from protocol.merkle.proof import (
    ENTRY_BYTES,
    KEY_PREFIX,
    NODE_PREFIX,
    PAGE_BYTES_MAX,
    VALUE_PREFIX,
    StateProof,
    hash_page,
    nibble_of,
    split_page,
)
from protocol.types import Hash32

BITS_MAX: Final = 20
"""2^20 buckets serve 3e7 keys; an empty tree of that size takes 50 MB."""

_NODE_HEAD: Final = len(NODE_PREFIX)
"""Nodes are kept as they are hashed: prefix, then 16 digests."""

_Edit: TypeAlias = tuple[bytes, bytes | None]
"""Key hash and new value hash; None deletes."""


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
        bits: log2 of the number of buckets, a multiple of 4 up to `BITS_MAX`; a parameter of the chain.
            Serves best with 8 to 64 keys per bucket.

    Cost: 150 B of memory per key (1e6 keys in 2^16 buckets).
    """

    __slots__ = ("_nodes", "_pages", "_root", "_shift", "_size")

    def __init__(self, bits: int) -> None:
        self._reset(bits, [b""] * _bucket_count(bits))

    @classmethod
    def build(cls, bits: int, items: Iterable[tuple[bytes, bytes]]) -> "StateTree":
        """Build the tree of (key, value) pairs: any order, each key once. Cost: about 3 us a key."""
        tree = cls.__new__(cls)
        buckets = [bytearray() for _ in range(_bucket_count(bits))]
        shift = 32 - bits
        for key, value in items:
            key_hash = sha256(KEY_PREFIX + key).digest()
            value_hash = sha256(VALUE_PREFIX + value).digest()
            buckets[int.from_bytes(key_hash[:4], "big") >> shift] += key_hash + value_hash
        tree._reset(bits, [_sort_page(entries) for entries in buckets])
        return tree

    def _reset(self, bits: int, pages: list[bytes]) -> None:
        self._shift = 32 - bits
        self._pages = pages
        self._size = sum(map(len, pages)) // ENTRY_BYTES
        empty = hash_page(b"", 0)
        hashes = [hash_page(page, bits // 4) if page else empty for page in pages]
        levels = []
        while len(hashes) > 1:
            level = [NODE_PREFIX + b"".join(hashes[at : at + 16]) for at in range(0, len(hashes), 16)]
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

    def preview(self, changes: Mapping[bytes, bytes | None], above: TreeDelta | None = None) -> TreeDelta:
        """Compute the tree after changes without changing it.

        Args:
            changes: new value by key; None deletes (also a key that is not there).
            above: what was computed before and is not in place yet; the outcome holds it too.

        Cost: 5 to 9 us a key with 1,000 changes in 1e5 keys: each touched page and node is copied and hashed
        once, whatever the number of its changes.
        """
        edits: dict[int, list[_Edit]] = {}
        shift = self._shift
        for key, value in changes.items():
            key_hash = sha256(KEY_PREFIX + key).digest()
            edit = key_hash, None if value is None else sha256(VALUE_PREFIX + value).digest()
            index = int.from_bytes(key_hash[:4], "big") >> shift
            if index in edits:
                edits[index].append(edit)
            else:
                edits[index] = [edit]
        if above is None:
            above = TreeDelta(self._root, self._root, self._size, {}, tuple({} for _ in self._nodes))
        assert above.base == self._root, "delta of another tree"
        depth = len(self._nodes)
        pages = dict(above.pages)
        hashes = {}
        growth = 0
        for index, batch in edits.items():
            before = pages.get(index, self._pages[index])
            pages[index] = page = _edit_page(before, batch)
            growth += len(page) - len(before)
            hashes[index] = hash_page(page, depth)
        root, nodes = self._rehash(hashes, above)
        return TreeDelta(root, self._root, above.size + growth // ENTRY_BYTES, pages, nodes)

    def _rehash(
        self, hashes: dict[int, bytes], above: TreeDelta
    ) -> tuple[Hash32, tuple[dict[int, bytes], ...]]:
        """Carry changed page hashes up to the root; each touched node is hashed once."""
        changed = []
        for level, before in zip(reversed(self._nodes), reversed(above.nodes), strict=True):
            touched: dict[int, bytearray] = {}
            for index, digest in hashes.items():
                node = touched.get(index >> 4)
                if node is None:
                    at = index >> 4
                    touched[at] = node = bytearray(before.get(at, level[at]))
                at = _NODE_HEAD + 32 * (index & 15)
                node[at : at + 32] = digest
            hashes = {index: sha256(node).digest() for index, node in touched.items()}
            changed.append({**before, **{index: bytes(node) for index, node in touched.items()}})
        return Hash32(hashes.get(0, above.root)), tuple(reversed(changed))

    def commit(self, delta: TreeDelta) -> None:
        """Put a delta in place, which must have been made on the present contents."""
        assert delta.base == self._root, "delta of another tree"
        for stored, changed in zip((self._pages, *self._nodes), (delta.pages, *delta.nodes), strict=True):
            for index, content in changed.items():
                stored[index] = content
        self._size = delta.size
        self._root = delta.root

    def holds(self, key: bytes, value: bytes) -> bool:
        """Tell whether a key has this value at the present root. Cost: about 2 us."""
        key_hash = sha256(KEY_PREFIX + key).digest()
        page = self._pages[int.from_bytes(key_hash[:4], "big") >> self._shift]
        at = page.find(key_hash)
        return at >= 0 and page[at + 32 : at + ENTRY_BYTES] == sha256(VALUE_PREFIX + value).digest()

    def prove(self, key: bytes, above: TreeDelta | None = None) -> StateProof:
        """Prove what a key holds at the present root, or that it is absent; `verify_state` checks it.

        Args:
            above: prove at the root of what is computed and not in place yet.
        """
        assert above is None or above.base == self._root, "delta of another tree"
        key_hash = sha256(KEY_PREFIX + key).digest()
        index = int.from_bytes(key_hash[:4], "big") >> self._shift
        page, siblings = self._pages[index], self._siblings(index, above)
        if above is not None:
            page = above.pages.get(index, page)
        while len(page) > PAGE_BYTES_MAX:
            depth = len(siblings)
            parts = split_page(page, depth)
            page = parts.pop(nibble_of(key_hash, depth))
            siblings += (b"".join([hash_page(part, depth + 1) for part in parts]),)
        return StateProof(page, siblings)

    def _siblings(self, index: int, above: TreeDelta | None = None) -> tuple[bytes, ...]:
        siblings = []
        changed = ({},) * len(self._nodes) if above is None else above.nodes
        for level, edited in zip(reversed(self._nodes), reversed(changed), strict=True):
            node, at = edited.get(index >> 4, level[index >> 4]), _NODE_HEAD + 32 * (index & 15)
            siblings.append(node[_NODE_HEAD:at] + node[at + 32 :])
            index >>= 4
        return tuple(reversed(siblings))


def _bucket_count(bits: int) -> int:
    assert 0 < bits <= BITS_MAX and bits % 4 == 0
    return 1 << bits


def _sort_page(entries: bytearray) -> bytes:
    ordered = sorted([bytes(entries[at : at + ENTRY_BYTES]) for at in range(0, len(entries), ENTRY_BYTES)])
    assert len({entry[:32] for entry in ordered}) == len(ordered), "a key twice"
    return b"".join(ordered)


def _edit_page(page: bytes, edits: list[_Edit]) -> bytes:
    if len(edits) == 1:
        key_hash, value_hash = edits[0]
        at = page.find(key_hash) + 32
        if at > 31 and value_hash is not None:
            return page[:at] + value_hash + page[at + 32 :]
    edited = bytearray(page)
    for key_hash, value_hash in edits:
        at = _place_of(edited, key_hash)
        end = at + ENTRY_BYTES if edited.startswith(key_hash, at) else at
        edited[at:end] = b"" if value_hash is None else key_hash + value_hash
    return bytes(edited)


def _place_of(page: bytearray, key_hash: bytes) -> int:
    """Find the offset in bytes at which the entry of a key stands or would stand."""
    if len(page) <= PAGE_BYTES_MAX and (at := page.find(key_hash)) >= 0:
        return at  # several times as fast as bisection while the page is short
    entries = range(0, len(page), ENTRY_BYTES)
    return ENTRY_BYTES * bisect_left(entries, key_hash, key=lambda at: bytes(page[at : at + 32]))
