"""Flip single bits in copies of a database, and see what a node would make of each: nothing wrong may pass.

    .venv/bin/python -m tests.node.store.rot --flips 1000 [--seed N]

A flip is *ended* when the process cannot go on (an error of the storage, or a crash inside LMDB), *found*
when the start or the check of the store names it, *harmless* when every row is what it was, and *missed*
otherwise. Beside that, what a peer would be served and a member be told is compared with what was committed:
anything but that, or a refusal, is a *wrong answer*. Each flip runs in a process of its own, because LMDB
trusts its pages.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from node.errors import OperationError
from node.executor import Executor
from node.store.check import check_store
from node.store.sound import RowDamaged, SoundReader
from node.store.store import Store
from node.store.tables import SCHEMA
from protocol.types import TxId
from tests.node.small_chain import SmallChain

CHILD_SECONDS_MAX: Final = 60
ENDED, FOUND, HARMLESS, MISSED, WRONG = range(5)
NAMES: Final = ("ended", "found", "harmless", "missed", "wrong answer")

Rows = dict[str, dict[bytes, bytes]]


def read_rows(store: Store) -> Rows:
    """Read every row of every table."""
    with store.environment.read() as txn:
        return {table: dict(txn.ascend(table)) for table in SCHEMA.tables}


def answer_members(store: Store, ids: list[TxId], height: int) -> list[Any]:
    """Read what a gateway tells of every block and transaction; None is a refusal."""

    def answer(ask: Callable[[SoundReader], Any]) -> Any:
        try:
            with store.sound() as chain:
                return ask(chain)
        except RowDamaged:
            return None

    def tell(chain: SoundReader, at: int, part: str) -> Any:
        header = chain.header(at)
        assert header is not None
        return header if part == "header" else getattr(chain, part)(header)

    parts = ("header", "certificate", "block", "tx_ids", "receipts", "runs")
    told = [answer(partial(tell, at=at, part=part)) for at in range(1, height + 1) for part in parts]
    found = [answer(lambda chain, tx_id=tx_id: chain.find(tx_id) or "not here") for tx_id in ids]  # type: ignore[misc]
    return told + found


def judge(
    folder: Path, sound: Rows, served: list[tuple[bytes, bytes] | None], ids: list[TxId], told: list[Any]
) -> int:
    """Open a damaged copy as a node does, and say what became of the flip."""
    try:
        store = Store.open(folder)
        answers = [store.served_block(height) for height in range(1, len(served) + 1)]
        if any(answer not in (None, right) for answer, right in zip(answers, served, strict=True)):
            return WRONG
        answers = answer_members(store, ids, len(served))
        if any(answer not in (None, right) for answer, right in zip(answers, told, strict=True)):
            return WRONG
        Executor(store)
        if store.damaged or not check_store(store, books=True).is_sound:
            return FOUND
        rows = read_rows(store)
    except OperationError as failure:
        return FOUND if failure.slug == "store.state_damaged" else ENDED
    except Exception:
        return ENDED
    changed = {table for table in SCHEMA.tables if rows[table] != sound[table]}
    if not changed:
        return HARMLESS
    print(f"missed in {sorted(changed)}", file=sys.stderr)
    return MISSED


def judge_apart(folder: Path, *sound: Any) -> int:
    """Judge in a process of its own; one that dies has ended."""
    child = os.fork()
    if child == 0:
        signal.alarm(CHILD_SECONDS_MAX)
        os._exit(judge(folder, *sound))
    _, status = os.waitpid(child, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else ENDED


def flip_many(home: Path, flips: int, seed: int) -> Counter[str]:
    """Make a chain, flip one bit after another in copies of it, and count what became of them."""
    chain = SmallChain(home / "chain", int(time.time() * 1_000) - 60_000)
    for number in range(30):
        chain.commit(*[chain.pay("ada", "bo", 1, f"{number} {i}") for i in range(number % 4)])
    sound = read_rows(chain.store)
    served = [chain.store.served_block(height) for height in range(1, 31)]
    ids = [tx_id for height in range(1, 31) for tx_id in chain.store.tx_ids(height)]
    told = answer_members(chain.store, [*ids, TxId(bytes(32))], 30)
    used_bytes = chain.store.environment.used_bytes()
    chain.store.close()
    shutil.copytree(home / "chain", home / "copy")
    numbers, found = random.Random(seed), Counter[str]()
    with open(home / "copy" / "data.mdb", "r+b") as file:
        for _ in range(flips):
            at, bit = numbers.randrange(used_bytes), 1 << numbers.randrange(8)
            byte = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([byte[0] ^ bit]), at)
            outcome = judge_apart(home / "copy", sound, served, [*ids, TxId(bytes(32))], told)
            found[NAMES[outcome]] += 1
            if outcome in (MISSED, WRONG):
                print(f"{NAMES[outcome]}: byte {at}, bit {bit:08b}", file=sys.stderr)
            os.pwrite(file.fileno(), byte, at)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/rot", description=__doc__)
    parser.add_argument("--flips", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coopd-rot-") as home:
        found = flip_many(Path(home), options.flips, options.seed)
    print("   ".join(f"{name} {found[name]}" for name in NAMES))
    return 1 if found["missed"] or found["wrong answer"] else 0


if __name__ == "__main__":
    sys.exit(main())
