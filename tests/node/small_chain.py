"""A chain of a few real blocks in a real store, without network or consensus, for tests of what reads it."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from node.cli.payments import build_transaction, build_transfer, sign_transaction
from node.cluster.founding import (
    BOARD,
    BOARD_THRESHOLD,
    CURRENCY_NUMBER,
    board_policy,
    demo_address,
    demo_key,
    make_genesis,
    make_operators,
)
from node.cluster.village import make_village
from node.executor import Executor
from node.store.opening import found_store
from node.store.store import Store
from protocol import crypto
from protocol.chain.block import Block
from protocol.chain.certificate import Certificate, Vote, VoteKind, certify
from protocol.chain.evidence import Evidence
from protocol.chain.receipt import decode_receipt
from protocol.chain.transaction import (
    SCHEME_ECDSA,
    SignedTransaction,
    TxSignature,
    assemble,
    compute_tx_id,
)
from protocol.chain.validators import EngineKind
from protocol.codec import Value
from protocol.contracts.policies import address_of_key, compute_address
from protocol.contracts.registry import records as registry
from protocol.contracts.registry.epochs import compute_ready_digest
from protocol.crypto import SecretKey, public_key_of
from protocol.types import BlockId, Hash32, Height, Seconds, TimeMs, View
from tests.protocol.accuse import double_vote_by


class SmallChain:
    """Three operators, of whom two sign each block; or as many as a test needs, and spare ones."""

    def __init__(
        self,
        path: Path,
        time_ms: int,
        operators: int = 3,
        spare: int = 0,
        load_members: int = 0,
        *,
        is_village: bool = False,
    ) -> None:
        self.operators = make_operators(operators + spare)
        self.genesis = (make_village if is_village else make_genesis)(
            self.operators[:operators], time_ms, load_members=load_members, spare=self.operators[operators:]
        )
        self.genesis_hash = self.genesis.compute_hash()
        found_store(path, self.genesis)
        self.store = Store.open(path)
        self.executor = Executor(self.store)
        self._by_key = {public_key_of(o.consensus_key): o.consensus_key for o in self.operators}

    def pay(self, payer: str, payee: str, amount: int, memo: str = "") -> SignedTransaction:
        tx = build_transfer(
            self.genesis, demo_address(payer), demo_address(payee), CURRENCY_NUMBER, amount, memo.encode()
        )
        return sign_transaction(self.genesis, tx, demo_key(payer))

    def act(self, who: str, call: Value) -> SignedTransaction:
        """Do one call as a member."""
        tx = build_transaction(self.genesis, demo_address(who), (call,), 200_000)
        return sign_transaction(self.genesis, tx, demo_key(who))

    def pay_until(self, payer: str, payee: str, until: int) -> SignedTransaction:
        """Pay one minor unit with an expiry of its own, in Unix seconds."""
        tx = build_transfer(self.genesis, demo_address(payer), demo_address(payee), CURRENCY_NUMBER, 1)
        return sign_transaction(self.genesis, replace(tx, valid_until=Seconds(until)), demo_key(payer))

    def pay_at(self, payer: str, payee: str, sequence: int) -> SignedTransaction:
        """Pay one minor unit at a place of the payer's first ordered lane."""
        tx = build_transfer(self.genesis, demo_address(payer), demo_address(payee), CURRENCY_NUMBER, 1)
        tx = replace(tx, lane=0, sequence=sequence)
        return sign_transaction(self.genesis, tx, demo_key(payer))

    def forge(self, payer: str, payee: str) -> SignedTransaction:
        """Return a payment under the signature of another one: of the right key, and void."""
        right, other = self.pay(payer, payee, 1), self.pay(payer, payee, 2)
        signature = replace(right.signatures[0], signature=other.signatures[0].signature)
        return assemble(right.tx, self.genesis_hash, (signature,))

    def nonsense(self, payer: str) -> SignedTransaction:
        """Return a transaction whose program fails: it asserts that 1 equals 2."""
        tx = build_transaction(self.genesis, demo_address(payer), ((0, 0, 0, 1, 2, 7),))
        return sign_transaction(self.genesis, tx, demo_key(payer))

    def say_ready(self, index: int) -> SignedTransaction:
        """Say for an operator that it could validate."""
        operator = self.operators[index]
        key, node_key = public_key_of(operator.consensus_key), public_key_of(operator.node_key)
        address, height = address_of_key(node_key), self.executor.head.height
        proof = crypto.sign(operator.consensus_key, compute_ready_digest(node_key, key))
        call: Value = (registry.ID, 1, 0, (address, node_key, key, proof, operator.name, "test", 3, height))
        tx = build_transaction(self.genesis, address, (call,), 100_000)
        return sign_transaction(self.genesis, tx, operator.node_key)

    def decide(self, engine: EngineKind, *indexes: int, not_before: int = 0) -> SignedTransaction:
        """Decide as the board that these operators certify the next epoch."""
        keys = sorted(public_key_of(self.operators[index].consensus_key) for index in indexes)
        chosen: tuple[Value, ...] = ((0, *keys), 0, not_before)
        if (self.executor.record.engine, engine) == (EngineKind.BFT, EngineKind.RAFT):
            return self.sign_as_board((registry.ID, 10, 0, chosen))
        return self.sign_as_board((registry.ID, 2, 0, (int(engine), *chosen)))

    def sign_as_board(self, call: Value) -> SignedTransaction:
        """Sign a call with two of the three keys of the board."""
        policy = board_policy()
        tx = build_transaction(self.genesis, compute_address(policy), (call,), 200_000)
        digest = Hash32(compute_tx_id(tx.encode(), self.genesis_hash))
        signatures = tuple(
            TxSignature(0, public_key_of(key), SCHEME_ECDSA, crypto.sign(key, digest))
            for key in map(demo_key, BOARD[:BOARD_THRESHOLD])
        )
        return assemble(tx, self.genesis_hash, signatures, ((0, policy),))

    def cross(self, engine: EngineKind, *indexes: int) -> None:
        """Commit what it takes until these operators certify the next block by this engine."""
        self.commit(*[self.say_ready(index) for index in indexes])
        block = self.commit(self.decide(engine, *indexes))
        assert decode_receipt(self.store.receipts(block.height)[0]).is_ok, "the change was refused"
        number = self.executor.record.number
        while self.executor.record.number == number:
            self.commit()

    def commit(self, *transactions: SignedTransaction, evidence: tuple[Evidence, ...] = ()) -> Block:
        return self._write(self.build(*transactions, evidence=evidence))

    def commit_later(self, seconds: int) -> Block:
        """Commit a block without transactions, so many seconds after the head."""
        return self._write(self.build(time_ms=self.executor.head.time_ms + seconds * 1_000))

    def _write(self, block: Block) -> Block:
        prepared = self.executor.prepared(block.id)
        assert prepared is not None
        self.executor.write([(prepared, self.certify(block))])
        self.executor.advance(prepared)
        return block

    def build(
        self,
        *transactions: SignedTransaction,
        time_ms: int = 0,
        proposer: int = 0,
        evidence: tuple[Evidence, ...] = (),
    ) -> Block:
        """Build a block on the head, which stays prepared."""
        head, record = self.executor.head, self.executor.record
        last = self.store.certificate(head.height) if head.height else None
        block, dropped = self.executor.build(
            View(1),
            record.validators[proposer].consensus_key,
            TimeMs(time_ms or head.time_ms + 1_000),
            last,
            transactions,
            evidence,
            5_000,
        )
        assert not dropped, dropped
        return block

    def certify(self, block: Block) -> Certificate:
        """Sign a block, whatever it holds, as a quorum does."""
        return self.certify_by(block.height, block.id, range(self.executor.record.quorum))

    def certify_by(self, height: Height, block_id: BlockId, signers: Iterable[int]) -> Certificate:
        """Sign a block id as these validators do."""
        epoch = self.executor.record.number
        kind = VoteKind.ACK if self.executor.record.engine is EngineKind.RAFT else VoteKind.PRECOMMIT
        votes = []
        for index in signers:
            vote = Vote(epoch, kind, height, View(1), block_id, None, index)
            signature = crypto.sign(self.secret(index), Hash32(vote.compute_digest(self.genesis_hash)))
            votes.append(replace(vote, signature=signature))
        return certify(tuple(votes))

    def double_vote(self, index: int, view: int = 4, epoch: int = 0, height: int = 1) -> Evidence:
        """Return two votes of a validator for two blocks of one height and term."""
        kind = VoteKind.ACK if self.executor.record.engine is EngineKind.RAFT else VoteKind.PRECOMMIT
        secret, chain = self.secret(index), self.genesis_hash
        return double_vote_by(secret, chain, epoch=epoch, height=height, view=view, kind=kind)

    def secret(self, index: int) -> SecretKey:
        """Return the consensus key of a validator."""
        return self._by_key[self.executor.record.validators[index].consensus_key]
