"""Measure the store: CPU microseconds a transfer of `commit_blocks`, bytes written, and lookups.

Prints, decides nothing. Blocks of 1,000 transfers: 2 state keys, 1 transaction, 1 receipt, 2 accounts
touched, 2 journal rows each. Goal: 12 us. Run it from the root of the project:
`python tests/bench/bench_store.py [accounts] [blocks]`.
"""

import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from node.store.records import BlockCommit
from node.store.store import Store
from tests.node.store.chain_maker import ChainMaker, address, journal_key, transfer

TXS = 1_000


def written_bytes() -> int:
    """Bytes that this process handed to the disk."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])


def make_commits(maker: ChainMaker, accounts: int, blocks: int, txs: int) -> list[BlockCommit]:
    chance = random.Random(1)
    sequences = [0] * accounts
    commits = []
    for height in range(1, blocks + 1):
        transactions, writes, journal = [], {}, []
        for index in range(txs):
            pair = chance.sample(range(accounts), 2)
            transactions.append(transfer(height * txs + index, actor=pair[0]))
            for account in pair:
                sequences[account] += 1
                writes[b"\0\1\1" + address(account)] = chance.randbytes(80)
                journal.append((journal_key(account, sequences[account]), chance.randbytes(100)))
        commits.append(maker.next(transactions, writes, journal))
    return commits


def report(label: str, values: list[float]) -> None:
    print(f"{label:<44} median {statistics.median(values):8.2f}   max {max(values):8.2f}")


def main(accounts: int, blocks: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-store-"))
    state = {b"\0\1\1" + address(n): bytes(80) for n in range(accounts)}
    maker = ChainMaker(state)
    Store.create(folder / "chain", maker.genesis, maker.first_state, maker.first_root)
    commits = make_commits(maker, accounts, blocks, TXS)
    store = Store.open(folder / "chain")
    cpu, wall, start_bytes = [], [], written_bytes()
    for commit in commits:
        began, began_wall = time.thread_time_ns(), time.perf_counter_ns()
        store.commit_blocks([commit])
        cpu.append((time.thread_time_ns() - began) / 1_000 / TXS)
        wall.append((time.perf_counter_ns() - began_wall) / 1e6)
    print(f"{accounts} accounts, {blocks} blocks of {TXS} transfers")
    report("commit_blocks, CPU us a transfer", cpu)
    report("commit_blocks, ms wall a block", wall)
    print(f"written, KB a transfer: {(written_bytes() - start_bytes) / 1_000 / TXS / blocks:.2f}")
    print(f"database MB: {store.environment.used_bytes() / 1e6:.0f}")

    def timed(label: str, work: object, rounds: int = 200) -> None:
        times = []
        for n in range(rounds):
            began = time.thread_time_ns()
            work(n)  # type: ignore[operator]
            times.append((time.thread_time_ns() - began) / 1_000)
        report(label, times)

    ids = [t.id for commit in commits for t in commit.block.transactions]
    chance = random.Random(2)
    timed("save_safety(400 B), CPU us", lambda n: store.save_safety(bytes(400)), 50)
    timed("head, us", lambda n: store.head())
    timed("receipt by id, us", lambda n: store.receipt(chance.choice(ids)))
    timed("receipt of an unknown id, us", lambda n: store.receipt(chance.randbytes(32)))
    timed("50 transactions of an account, us", lambda n: store.account_transactions(address(n)))
    timed("served_block of 1,000, us", lambda n: store.served_block(1 + n % blocks), 20)
    with store.view() as view:
        timed("state get, us", lambda n: view.get(b"\0\1\1" + address(n * 7_919 % accounts)))
    with store.view_at(0) as past:
        assert past is not None
        timed(
            f"state get, {blocks} blocks back, us",
            lambda n: past.get(b"\0\1\1" + address(n * 7_919 % accounts)),
        )
    store.close()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:3] or ("100000", "100")))
