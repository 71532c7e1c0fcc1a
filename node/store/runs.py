"""Sorted runs: find history by hash or address, written in order of time.

A B-tree row per transaction id, touched account and journal row would dirty a page of 4 KiB each: some 40 us
and 20 KB written per transfer on a large chain. Instead a block appends its entries to an index as one row,
sorted: a *run*. When `RUNS_MERGED` runs of one size class stand at the end, they are merged into one, so an
entry is rewritten once per factor of 8 until its run has `RUN_BYTES_DONE`. Lookups go from the newest run to
the oldest and bisect each.

The key of a run is `height u64 | size u32 | digest`, height of its newest entry and size in bytes: no header
covers an index, so the digest is all that tells a flipped bit (`is_run_sound`).

An entry is fixed-width bytes: what is searched first, then what is found. Runs cover ascending stretches of
heights without overlap, so where entries ascend with time behind their prefix, walking back is newest first.

Cost: adding, about 0.6 us an entry, merges included; finding, about 5 us a run, and 10^7 transactions have
some 500 runs of the widest index.

It does not know what entries mean: see `history.py`.
"""

from bisect import bisect_left
from collections.abc import Iterator
from struct import iter_unpack
from typing import Final

from node.store.environment import Peek, Txn
from protocol import crypto

RUNS_MERGED: Final = 8
RUN_DIGEST_BYTES: Final = 8
"""Enough against chance: who can write to the disk can write anything."""

RUN_BYTES_DONE: Final = 256 * 1024
"""A run of this size is not merged again: merging must never hold up a block for more than a few ms."""


def append_run(txn: Txn, table: str, entry_bytes: int, height: int, entries: list[bytes]) -> None:
    """Add the entries of a block to an index.

    Args:
        height: above that of every run before.
        entries: unique, in any order.
    """
    if not entries:
        return
    size = entry_bytes * len(entries)
    merged, peers, peers_bytes = list[bytes](), list[bytes](), 0
    for key in txn.descend_keys(table):
        older_bytes = int.from_bytes(key[8:12], "big")
        if max(older_bytes, size) >= RUN_BYTES_DONE or _class_of(older_bytes) > _class_of(size):
            break
        peers.append(key)
        peers_bytes += older_bytes
        if len(peers) == RUNS_MERGED - 1:
            merged += peers
            size += peers_bytes
            peers, peers_bytes = [], 0
    form = f"{entry_bytes}s"
    for key in merged:
        run = txn.get(table, key)
        assert run is not None
        entries += [entry for (entry,) in iter_unpack(form, run)]
        txn.delete(table, key)
    entries.sort()
    run = b"".join(entries)
    txn.append(table, _name_run(height.to_bytes(8, "big"), run), run)


def is_run_sound(key: bytes, run: bytes) -> bool:
    """Tell whether a run and its key are what was written. Cost: 1 us a KiB."""
    return _name_run(key[:8], run) == key


def find_entries(
    peek: Peek, table: str, entry_bytes: int, prefix: bytes, below: bytes | None = None
) -> Iterator[bytes]:
    """Walk the entries with a prefix, newest run first and descending inside a run.

    Args:
        below: yield entries under this one only; must begin with the prefix.
    """
    limit = below or prefix + b"\xff" * (entry_bytes - len(prefix) + 1)
    for _, run in peek.descend(table):

        def entry_at(index: int, run: memoryview = run) -> bytes:
            return bytes(run[index * entry_bytes : (index + 1) * entry_bytes])

        at = bisect_left(range(len(run) // entry_bytes), limit, key=entry_at)
        while at > 0:
            at -= 1
            entry = entry_at(at)
            if not entry.startswith(prefix):
                break
            yield entry


def _name_run(height: bytes, run: bytes) -> bytes:
    name = height + len(run).to_bytes(4, "big")
    return name + crypto.sha256(name + crypto.sha256(run))[:RUN_DIGEST_BYTES]


def _class_of(size_bytes: int) -> int:
    return size_bytes.bit_length() // 3
