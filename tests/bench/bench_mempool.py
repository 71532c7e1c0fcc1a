"""Measure the mempool: CPU microseconds a transaction to add, take and remove. Goal: 3 us together.

Prints, decides nothing. Run it from the root of the project: `python tests/bench/bench_mempool.py`.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from node.mempool import Mempool, MempoolLimits
from tests.node.store.chain_maker import transfer

TXS = 10_000


def main() -> None:
    for payers, limit in ((10_000, TXS), (100, TXS), (100, TXS // 2)):
        txs = [transfer(n, actor=n % payers, sequence=n // payers) for n in range(TXS)]
        add, take, remove = [], [], []
        for _ in range(7):
            pool = Mempool(MempoolLimits(txs=limit, seen_ids=TXS))
            began = time.process_time_ns()
            for signed in txs:
                try:
                    pool.add(signed, signed.tx.actors[0], 7_000)
                except Exception:
                    pass
            added = time.process_time_ns()
            taken = pool.take(1_000, 1 << 30, 1 << 40)
            took = time.process_time_ns()
            pool.remove_committed([t.id for t in taken])
            removed = time.process_time_ns()
            add.append((added - began) / 1_000 / TXS)
            take.append((took - added) / 1_000 / len(taken))
            remove.append((removed - took) / 1_000 / len(taken))
        figures = " ".join(
            f"{name} {statistics.median(times):.2f}"
            for name, times in (("add", add), ("take", take), ("remove", remove))
        )
        print(f"{payers:>6} payers, room for {limit:>6}: us a transaction: {figures}")


if __name__ == "__main__":
    main()
