"""Measure the state tree and the list roots: process CPU time, medians, and ratios to one SHA-256 of 64 B.

Prints, decides nothing. Goals: performance.md, sections 6 and 8. Run it from the root of the project:
`python tests/bench/bench_merkle.py`.
"""

import hashlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from protocol.merkle.proof import list_root, prove_item, verify_item, verify_state
from protocol.merkle.tree import StateTree

ROUNDS = 9


def median_us(work: Callable[[], object], operations: int, rounds: int = ROUNDS) -> float:
    """Median CPU microseconds of one operation."""
    times = []
    for _ in range(rounds):
        start = time.process_time_ns()
        work()
        times.append(time.process_time_ns() - start)
    return statistics.median(times) / operations / 1_000


def value_of(key: bytes, version: int) -> bytes:
    return (key + version.to_bytes(8, "big")) * 2


def hash_64() -> float:
    data, sha256 = bytes(64), hashlib.sha256

    def work() -> None:
        for _ in range(10_000):
            sha256(data).digest()

    return median_us(work, 10_000)


def bench_tree(keys_n: int, bits: int, changes_n: int, unit: float) -> None:
    keys = [b"account/%d" % n for n in range(keys_n)]
    items = [(key, value_of(key, 0)) for key in keys]
    tree = StateTree.build(bits, items[:1_000])  # warm
    build = median_us(lambda: StateTree.build(bits, items), keys_n, 3 if keys_n <= 100_000 else 1)
    tree = StateTree.build(bits, items)
    batches = []
    for version in range(1, ROUNDS + 1):
        chosen = [keys[(version * 7_919 + n * 10_007) % keys_n] for n in range(changes_n * 9 // 10)]
        batch: dict[bytes, bytes | None] = {key: value_of(key, version) for key in chosen}
        batch |= {b"new/%d/%d" % (version, n): bytes(80) for n in range(changes_n // 10)}
        batches.append(batch)
    pending = iter(batches)

    def update() -> None:
        tree.commit(tree.preview(next(pending)))

    per_key = median_us(update, changes_n)

    def entry_hashes() -> None:
        for key, value in batches[0].items():
            hashlib.sha256(key).digest()
            hashlib.sha256(value or b"").digest()

    prep = median_us(entry_hashes, changes_n)
    some = keys[::101][:500]
    prove = median_us(lambda: [tree.prove(key) for key in some], len(some))
    proofs = [tree.prove(key) for key in some]
    values = [next((b[key] for b in reversed(batches) if key in b), value_of(key, 0)) for key in some]
    triples = list(zip(some, values, proofs, strict=True))
    assert all(verify_state(tree.root, *triple) for triple in triples)
    verify = median_us(lambda: [verify_state(tree.root, *triple) for triple in triples], len(some))
    size = statistics.mean(len(p.page) + sum(map(len, p.siblings)) for p in proofs)
    print(
        f"N={keys_n:>9,} bits={bits:>2} K={changes_n:>6,}: update {per_key:5.2f} us/key"
        f" ({per_key / unit:4.1f} x; entry hashes {prep:.2f}, tree {per_key - prep:.2f}"
        f" = {(per_key - prep) / unit:4.1f} x),"
        f" build {build:.2f}, prove {prove:.1f}, verify {verify:.1f}, proof {size:,.0f} B"
    )


def bench_list(size: int, unit: float) -> None:
    leaves = [hashlib.sha256(b"%d" % n).digest() for n in range(size)]
    root = list_root(leaves)
    proof = prove_item(leaves, size // 3)
    per_leaf = median_us(lambda: list_root(leaves), size)
    verify = median_us(
        lambda: [verify_item(root, size, size // 3, leaves[size // 3], proof) for _ in range(200)], 200
    )
    print(
        f"list of {size:>6,}: root {per_leaf:.2f} us/leaf ({per_leaf / unit:.1f} x), verify {verify:.1f} us,"
        f" proof {32 * len(proof.path)} B"
    )


def main() -> None:
    unit = hash_64()
    print(f"one SHA-256 of 64 B: {unit:.2f} us")
    bench_tree(10_000, 8, 1_000, unit)
    bench_tree(100_000, 12, 1_000, unit)
    bench_tree(100_000, 12, 10_000, unit)
    if "--large" in sys.argv:
        bench_tree(1_000_000, 16, 1_000, unit)
    bench_list(1_000, unit)


if __name__ == "__main__":
    main()
