"""Where each microsecond of a committed transfer goes on one node, stage by stage, without network.

CPU time of this process, medians over blocks; beside each stage stands its budget from performance.md 6. The
last line gives the sum in units of one signature check of the same run, so that machines can be compared.

    .venv/bin/python -m tests.bench.bench_node [accounts] [transactions a block]
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.executor import Executor
from node.mempool import Mempool
from node.store.store import Store
from node.wire import decode_batch, encode_batch, split
from protocol import crypto
from protocol.chain.block import decode_block
from protocol.chain.certificate import Vote, VoteKind, certify
from protocol.chain.genesis import Genesis
from protocol.chain.transaction import (
    SCHEME_ECDSA,
    UNORDERED,
    SignedTransaction,
    Transaction,
    TxSignature,
    assemble,
    decode_signed,
)
from protocol.chain.validators import EngineKind, EpochRecord, Validator
from protocol.contracts.policies import address_of_key
from protocol.crypto import SecretKey
from protocol.merkle.tree import StateTree
from protocol.transition import apply_genesis, check_admission
from protocol.types import EpochNumber, Gas, Height, Seconds, TimeMs, View

START_MS = 1_750_000_000_000
BLOCKS = 5
SENDERS = 200

BUDGET_US = {
    "receive and decode": 3.0,
    "signature": 55.0,
    "admission": 0.0,
    "mempool": 3.0,
    "execute and pack (leader)": 11.0,
    "roots, header (leader)": 11.5,
    "encode proposal": 1.0,
    "decode proposal (follower)": 1.0,
    "check (follower)": 0.0,
    "write": 7.0,
}


def _key(number: int) -> SecretKey:
    return SecretKey(number.to_bytes(32, "big"))


class Bench:
    """One node with a genesis of many accounts, and signed transfers between them."""

    def __init__(self, folder: Path, accounts: int, count: int) -> None:
        self.count = count
        self.seconds: dict[str, list[float]] = {stage: [] for stage in BUDGET_US}
        self.keys = [_key(i + 1) for i in range(min(SENDERS, accounts))]
        self.senders = [address_of_key(crypto.public_key_of(key)) for key in self.keys]
        others = [crypto.sha256(i.to_bytes(4, "big"))[:20] for i in range(accounts - len(self.senders))]
        self.people = [*self.senders, *others]
        public = crypto.public_key_of(self.keys[0])
        record = EpochRecord(EpochNumber(0), EngineKind.RAFT, Height(1), (Validator("n0", public, public),))
        opened = [
            ((), tuple((2, 1, 255, (address,)) for address in self.people[at : at + 64]))
            for at in range(0, len(self.people), 64)
        ]
        assets = ((), ((16, 1, 255, ("CNY", "renminbi", 2, 2, 10**17)),))
        cashier = ((), ((16, 3, 255, (self.senders[0], 1, 10**16, 10**16, 10**16)),))
        self.genesis = Genesis("bench-1", TimeMs(START_MS), record, 12, 0, True, (*opened, assets, cashier))
        self.hash = self.genesis.compute_hash()
        execution = apply_genesis(self.genesis)
        items = ((key, value) for key, value in execution.writes.items() if value is not None)
        Store.create(
            folder / "store",
            self.genesis,
            execution.writes,
            StateTree.build(self.genesis.tree_bits, items).root,
        )
        self.store = Store.open(folder / "store")
        self.executor = Executor(self.store)
        self.mempool = Mempool()
        self.sequence = 0

    def sign(self, sender: int, program: Any) -> SignedTransaction:
        """Sign one transaction of a sender."""
        self.sequence += 1
        tx = Transaction(
            "bench-1",
            (self.senders[sender],),
            0,
            UNORDERED,
            self.sequence,
            Seconds(START_MS // 1_000 + 300),
            Gas(20_000),
            0,
            ((), (program,)),
        )
        blank = assemble(tx, self.hash, ())
        key = self.keys[sender]
        signature = TxSignature(0, crypto.public_key_of(key), SCHEME_ECDSA, crypto.sign(key, blank.id))
        return assemble(tx, self.hash, (signature,))

    def time(self, stage: str, work: Callable[[], Any]) -> Any:
        """Run a stage and note its CPU time."""
        began = time.process_time()
        result = work()
        self.seconds[stage].append(time.process_time() - began)
        return result

    def fund(self) -> None:
        """Give every sender money, in one block that is not measured."""
        program = [(16, 4, 0, (self.senders[0], s, 1, 10**9, b"%d" % i)) for i, s in enumerate(self.senders)]
        self._commit([self.sign(0, call) for call in program])
        for stage in self.seconds.values():
            stage.clear()

    def measured_block(self, number: int) -> None:
        """Take one block of transfers through every stage."""
        transfers = []
        for i in range(self.count):
            payer = i % len(self.senders)
            payee = self.people[(i * 7_919 + number * 31 + 1) % len(self.people)]
            if payee != self.senders[payer]:
                transfers.append(self.sign(payer, (16, 7, 0, (self.senders[payer], payee, 1, 5, None))))
        self._commit(transfers)

    def _commit(self, transactions: list[SignedTransaction]) -> None:
        executor, store = self.executor, self.store
        frame = encode_batch(t.raw for t in transactions)
        signed = self.time(
            "receive and decode", lambda: [decode_signed(r, self.hash) for r in decode_batch(split(frame)[1])]
        )
        checks = [check for t in signed for check in t.signature_checks()]
        assert all(self.time("signature", lambda: crypto.verify_many(checks)))

        def admit() -> list[Any]:
            found = []
            for one in signed:
                with store.view() as state:
                    found.append(check_admission(state, executor.rules, Seconds(START_MS // 1_000), one))
            return found

        admitted = self.time("admission", admit)

        def pool() -> list[SignedTransaction]:
            for one, admission in zip(signed, admitted, strict=True):
                self.mempool.add(one, admission.payer, admission.gas)
            return self.mempool.take(5_000, 1 << 22, 10**9)

        candidates = self.time("mempool", pool)
        certificate = store.certificate(executor.head.height) if executor.head.height else None
        me = self.genesis.epoch.validators[0].consensus_key
        time_ms = TimeMs(executor.head.time_ms + 1)
        block, dropped = self.time(
            "execute and pack (leader)",
            lambda: executor.build(View(1), me, time_ms, certificate, candidates, (), 5_000),
        )
        assert not dropped, dropped[0]
        self.seconds["roots, header (leader)"].append(0.0)
        data = self.time("encode proposal", block.encode)
        known = {t.raw: t for t in signed}
        self.time("decode proposal (follower)", lambda: decode_block(data, known.__getitem__))
        prepared = executor.prepared(block.id)
        assert prepared is not None
        executor.forget_proposals()
        self.time("check (follower)", lambda: executor.check(block))
        vote = Vote(EpochNumber(0), VoteKind.ACK, block.height, View(1), block.id, None, 0)
        signature = crypto.sign(self.keys[0], vote.compute_digest(self.hash))
        proof = certify(
            (Vote(EpochNumber(0), VoteKind.ACK, block.height, View(1), block.id, None, 0, signature),)
        )
        self.time("write", lambda: executor.write([(prepared, proof)]))
        executor.advance(prepared)
        self.mempool.remove_committed([t.id for t in block.transactions])


def main() -> None:
    """Measure and print."""
    accounts, count = (int(a) for a in (sys.argv[1:] + ["20000", "1000"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), accounts, count)
        bench.fund()
        for number in range(BLOCKS):
            bench.measured_block(number)
        bench.store.close()
    print(f"{accounts} accounts, blocks of {count} transfers; CPU us a transfer, median of {BLOCKS} blocks")
    total = 0.0
    found = {stage: statistics.median(times) / count * 1e6 for stage, times in bench.seconds.items()}
    for stage, us in found.items():
        total += us
        print(f"  {stage:<28} {us:7.1f}   budget {BUDGET_US[stage]:5.1f}")
    print(
        f"  {'sum of leader and follower':<28} {total:7.1f}   = {total / found['signature']:.2f} signatures"
    )


if __name__ == "__main__":
    main()
