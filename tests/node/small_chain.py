"""A chain of a few real blocks in a real store, without network or consensus, for tests of what reads it."""

from pathlib import Path

from node.cli.payments import build_transaction, build_transfer, sign_transaction
from node.cluster.founding import CURRENCY_NUMBER, demo_address, demo_key, make_genesis, make_operators
from node.executor import Executor
from node.store.store import Store
from protocol import crypto
from protocol.chain.block import Block
from protocol.chain.certificate import Vote, VoteKind, certify
from protocol.chain.transaction import SignedTransaction
from protocol.crypto import public_key_of
from protocol.merkle.tree import StateTree
from protocol.transition import apply_genesis
from protocol.types import Hash32, TimeMs, View


class SmallChain:
    """Three operators, of whom two sign each block."""

    def __init__(self, path: Path, time_ms: int) -> None:
        self.operators = make_operators(3)
        self.genesis = make_genesis(self.operators, time_ms)
        self.genesis_hash = self.genesis.compute_hash()
        execution = apply_genesis(self.genesis)
        items = [(key, value) for key, value in execution.writes.items() if value is not None]
        Store.create(
            path, self.genesis, execution.writes, StateTree.build(self.genesis.tree_bits, items).root
        )
        self.store = Store.open(path)
        self.executor = Executor(self.store)
        self._by_key = {public_key_of(o.consensus_key): o.consensus_key for o in self.operators}

    def pay(self, payer: str, payee: str, amount: int, memo: str = "") -> SignedTransaction:
        tx = build_transfer(
            self.genesis, demo_address(payer), demo_address(payee), CURRENCY_NUMBER, amount, memo
        )
        return sign_transaction(self.genesis, tx, demo_key(payer))

    def nonsense(self, payer: str) -> SignedTransaction:
        """Return a transaction whose program fails: it asserts that 1 equals 2."""
        tx = build_transaction(self.genesis, demo_address(payer), ((0, 0, 0, 1, 2, 7),))
        return sign_transaction(self.genesis, tx, demo_key(payer))

    def commit(self, *transactions: SignedTransaction) -> Block:
        head, record = self.executor.head, self.executor.record
        proposer = record.validators[0].consensus_key
        last = self.store.certificate(head.height) if head.height else None
        block, dropped = self.executor.build(
            View(1), proposer, TimeMs(head.time_ms + 1_000), last, transactions, (), 5_000
        )
        assert not dropped, dropped
        votes = []
        for index in range(record.quorum):
            vote = Vote(record.number, VoteKind.ACK, block.height, View(1), block.id, None, index)
            secret = self._by_key[record.validators[index].consensus_key]
            signature = crypto.sign(secret, Hash32(vote.compute_digest(self.genesis_hash)))
            votes.append(
                Vote(record.number, VoteKind.ACK, block.height, View(1), block.id, None, index, signature)
            )
        prepared = self.executor.prepared(block.id)
        assert prepared is not None
        self.executor.write(prepared, certify(tuple(votes)))
        self.executor.advance(prepared)
        return block
