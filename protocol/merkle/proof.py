"""Proofs against a root: the state (`StateProof`) and lists (`ListProof`, RFC 6962).

State: a hash trie with 16 children to a node. Its path is the nibbles of the key's hash; its leaves are
*pages*, the sorted 64-byte entries key_hash | value_hash of all keys that share the path. The `bits // 4`
upper levels always stand (that is what makes 2^bits *buckets*); below them a page of more than
`PAGE_ENTRIES_MAX` entries is hashed as a node over its 16 parts, and so on. So the root depends on the set
of keys and values alone, and a proof stays small even for a bucket that somebody fills on purpose.

Key, value, page and node are each hashed under their own domain (`crypto.Domain`), lists under the tag
bytes of RFC 6962. One kind can never be read as another, hence a verifier needs neither the number of
buckets nor the depth: the prover cannot choose them. The empty page is the digest of its domain alone.

*Departs*: consistency proofs of RFC 6962 are left out, because no list here ever grows after it has a root.

This file does not know where pages are kept: see `tree.py`. It is what a light client needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.types import Hash32

ENTRY_BYTES: Final = 64
"""One key in a page: 32 bytes key hash, 32 bytes value hash."""

PAGE_ENTRIES_MAX: Final = 256
"""Entries of one hashed page; a bucket of 24 on average never gets there by chance. 16 KiB in a proof."""

STATE_LEVELS_MAX: Final = 16
"""Levels above a page. One more would take `PAGE_ENTRIES_MAX` + 1 keys whose hashes share 64 bits."""

SIBLINGS_BYTES: Final = 15 * 32
"""The other 15 children of a node, in order."""

LIST_LEVELS_MAX: Final = 32
"""Levels of a list proof: lists have at most 2^32 items."""

PAGE_BYTES_MAX: Final = PAGE_ENTRIES_MAX * ENTRY_BYTES

KEY_PREFIX: Final = Domain.STATE_KEY.prefix
VALUE_PREFIX: Final = Domain.STATE_VALUE.prefix
NODE_PREFIX: Final = Domain.STATE_NODE.prefix
_PAGE_PREFIX: Final = Domain.STATE_PAGE.prefix
_LIST_LEAF: Final = b"\x00"
_LIST_NODE: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class StateProof:
    """Show what one key holds, or that it holds nothing.

    Args:
        page: the entries of all keys that share the path.
        siblings: per level, root first, the 15 other children as 480 bytes.
    """

    page: bytes
    siblings: tuple[bytes, ...]

    def to_value(self) -> tuple[bytes, tuple[bytes, ...]]:
        """Give the form that the codec takes."""
        return self.page, self.siblings

    @staticmethod
    def from_value(value: object) -> "StateProof":
        """Take the proof out of a decoded value.

        Raises:
            Rejected: `MALFORMED`: any size or type that no honest proof has.
        """
        if type(value) is not tuple or len(value) != 2:
            raise Rejected(Code.MALFORMED, "state proof: not page and siblings")
        page, siblings = value
        if type(page) is not bytes or not _is_page_size(page):
            raise Rejected(Code.MALFORMED, f"state proof: not a page of at most {PAGE_ENTRIES_MAX} entries")
        if not _is_path(siblings, STATE_LEVELS_MAX, SIBLINGS_BYTES):
            raise Rejected(Code.MALFORMED, f"state proof: not at most {STATE_LEVELS_MAX} levels of siblings")
        return StateProof(page, siblings)


@dataclass(frozen=True, slots=True)
class ListProof:
    """Show that an item stands in a list.

    Args:
        path: sibling digests, leaf first (RFC 6962, 2.1.1).
    """

    path: tuple[bytes, ...]

    def to_value(self) -> tuple[bytes, ...]:
        """Give the form that the codec takes."""
        return self.path

    @staticmethod
    def from_value(value: object) -> "ListProof":
        """Take the proof out of a decoded value.

        Raises:
            Rejected: `MALFORMED`: too long, or not all digests.
        """
        if type(value) is not tuple or not _is_path(value, LIST_LEVELS_MAX, 32):
            raise Rejected(Code.MALFORMED, f"list proof: not at most {LIST_LEVELS_MAX} digests")
        return ListProof(value)


# --- state


def verify_state(root: bytes, key: bytes, value: bytes | None, proof: StateProof) -> bool:
    """Tell whether the state under a root holds exactly this value at a key; None: the key is absent.

    Never raises, whatever the bytes: wrong sizes are simply no proof. Cost: about 5 us.
    """
    page, siblings = proof.page, proof.siblings
    if not _is_page_size(page) or not _is_path(siblings, STATE_LEVELS_MAX, SIBLINGS_BYTES):
        return False
    key_hash = sha256(KEY_PREFIX + key).digest()
    at = page.find(key_hash)
    held = None if at < 0 else page[at + 32 : at + 64]
    if held != (None if value is None else sha256(VALUE_PREFIX + value).digest()):
        return False
    path = int.from_bytes(key_hash, "big") >> 256 - 4 * len(siblings)
    return _fold(sha256(_PAGE_PREFIX + page).digest(), path, siblings) == root


def hash_page(page: bytes, depth: int) -> bytes:
    """Compute the digest of all entries below a path of `depth` nibbles.

    Args:
        page: well-formed: ascending entries that share the path. Any number of them.
    """
    if len(page) <= PAGE_BYTES_MAX:
        return sha256(_PAGE_PREFIX + page).digest()
    digests = [hash_page(part, depth + 1) for part in split_page(page, depth)]
    return sha256(NODE_PREFIX + b"".join(digests)).digest()


def hash_subtree(entries: bytes, depth: int, levels: int) -> Hash32:
    """Compute the digest of the node at a path of `depth` nibbles: what a chunk of a snapshot is known by.

    Args:
        entries: well-formed: all entries below the path, ascending.
        levels: levels that always stand, `bits // 4` of the tree.
    """
    if depth >= levels:
        return Hash32(hash_page(entries, depth))
    if entries:
        below = b"".join([hash_subtree(part, depth + 1, levels) for part in split_page(entries, depth)])
    else:
        below = hash_subtree(b"", depth + 1, levels) * 16
    return Hash32(sha256(NODE_PREFIX + below).digest())


def split_page(page: bytes, depth: int) -> list[bytes]:
    """Cut a well-formed page into its 16 parts by nibble `depth` of the key hash."""
    shift = 0 if depth & 1 else 4
    nibbles = [octet >> shift & 15 for octet in page[depth // 2 :: ENTRY_BYTES]]
    parts = []
    start = 0
    for nibble in range(16):
        end = start + nibbles.count(nibble) * ENTRY_BYTES
        parts.append(page[start:end])
        start = end
    return parts


def nibble_of(key_hash: bytes, depth: int) -> int:
    """Give the child of a node at `depth` on the way to a key."""
    return key_hash[depth // 2] >> (0 if depth & 1 else 4) & 15


def _fold(digest: bytes, path: int, siblings: tuple[bytes, ...]) -> bytes:
    for others in reversed(siblings):
        at = (path & 15) * 32
        digest = sha256(NODE_PREFIX + others[:at] + digest + others[at:]).digest()
        path >>= 4
    return digest


def _is_page_size(page: bytes) -> bool:
    return len(page) <= PAGE_BYTES_MAX and len(page) % ENTRY_BYTES == 0


def _is_path(steps: object, levels_max: int, step_bytes: int) -> bool:
    if type(steps) is not tuple or len(steps) > levels_max:
        return False
    return all(type(step) is bytes and len(step) == step_bytes for step in steps)


# --- lists


def list_root(leaves: Sequence[bytes]) -> Hash32:
    """Compute the Merkle tree hash of a list.

    Source: RFC 6962, 2.1. Its recursive cut at the largest power of two is the same as pairing from the left
    and handing an odd last digest up unchanged.
    """
    return list_root_of(_leaf_level(leaves))


def hash_leaf(item: bytes) -> Hash32:
    """Compute the digest by which one item stands in its list."""
    return Hash32(sha256(_LIST_LEAF + item).digest())


def list_root_of(digests: Sequence[bytes]) -> Hash32:
    """Compute the Merkle tree hash of a list whose items are known by `hash_leaf` only.

    Whoever takes digests from outside must know how many items the list has: the digests of one level above
    have the same root.
    """
    if not digests:
        return Hash32(sha256(b"").digest())
    level = list(digests)
    while len(level) > 1:
        level = _level_above(level)
    return Hash32(level[0])


def prove_item(leaves: Sequence[bytes], index: int) -> ListProof:
    """Make the audit path of one item. Cost: the whole list is hashed, like `list_root`.

    Args:
        index: 0 <= index < len(leaves).
    """
    assert 0 <= index < len(leaves)
    level = _leaf_level(leaves)
    path = []
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        level = _level_above(level)
        index >>= 1
    return ListProof(tuple(path))


def verify_item(root: bytes, size: int, index: int, leaf: bytes, proof: ListProof) -> bool:
    """Tell whether item `index` of the list of `size` items under a root is `leaf`. Never raises on bad data.

    Source: RFC 9162, 2.1.3.2 (the algorithm for the tree of RFC 6962).
    """
    return verify_leaf_hash(root, size, index, sha256(_LIST_LEAF + leaf).digest(), proof)


def verify_leaf_hash(root: bytes, size: int, index: int, leaf_hash: bytes, proof: ListProof) -> bool:
    """Like `verify_item`, for a caller that has only the digest of the item."""
    if not 0 <= index < size or len(leaf_hash) != 32 or not _is_path(proof.path, LIST_LEVELS_MAX, 32):
        return False
    digest, last = leaf_hash, size - 1
    for sibling in proof.path:
        if last == 0:
            return False
        if index & 1 or index == last:
            digest = sha256(_LIST_NODE + sibling + digest).digest()
            # An odd last digest went up unchanged: skip the levels at which it had no sibling.
            while not index & 1:
                index >>= 1
                last >>= 1
        else:
            digest = sha256(_LIST_NODE + digest + sibling).digest()
        index >>= 1
        last >>= 1
    return last == 0 and digest == root


def _leaf_level(leaves: Sequence[bytes]) -> list[bytes]:
    return [sha256(_LIST_LEAF + leaf).digest() for leaf in leaves]


def _level_above(level: list[bytes]) -> list[bytes]:
    pairs = zip(level[::2], level[1::2], strict=False)
    above = [sha256(_LIST_NODE + left + right).digest() for left, right in pairs]
    if len(level) & 1:
        above.append(level[-1])
    return above
