"""A small founded chain for the tests of the ledger tower: people, an asset, cashiers, blocks by hand."""

from dataclasses import dataclass, replace
from typing import Any

from protocol import crypto
from protocol.chain.genesis import Genesis
from protocol.chain.receipt import Receipt, decode_receipt
from protocol.chain.transaction import UNORDERED, SignedTransaction, Transaction, TxSignature, assemble
from protocol.chain.validators import EngineKind, EpochRecord, Validator
from protocol.codec import Value
from protocol.contracts.policies import address_of_key
from protocol.crypto import SecretKey
from protocol.transition import (
    BlockContext,
    Execution,
    answer_query,
    apply_genesis,
    execute_block,
    rules_of,
)
from protocol.types import (
    Address,
    BlockId,
    EpochNumber,
    Gas,
    Height,
    PublicKey,
    Seconds,
    Signature,
    TimeMs,
)
from protocol.vm.view import JournalRow, MemoryState

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
NONE = 255
AUTH, LEDGER, ASSETS = 2, 1, 16
COOP = 1
"""Number of the asset that the world founds."""


@dataclass(frozen=True, slots=True)
class Person:
    """A key and the address of its single-key account."""

    key: PublicKey
    address: Address


def person(name: str) -> Person:
    key = SecretKey(crypto.sha256(name.encode())).public_key
    return Person(key, address_of_key(key))


ALICE, BOB, CAROL, TILL, TILL2, STRANGER = (
    person(name) for name in ("alice", "bob", "carol", "till", "till2", "stranger")
)


def program(*instructions: Value) -> Value:
    return ((), instructions)


def create_asset(symbol: str = "COOP", cap: int = 1 << 62) -> Value:
    return program((ASSETS, 1, NONE, (symbol, "Co-op credit", 2, 2, cap)))


def founding() -> tuple[Value, ...]:
    return (
        create_asset(),
        program((ASSETS, 3, NONE, (TILL.address, COOP, 1 << 50, 1 << 50, 1_000_000))),
        program((ASSETS, 3, NONE, (TILL2.address, COOP, 1 << 50, 1 << 50, 1_000_000))),
        program(*[(AUTH, 1, NONE, (p.address,)) for p in (ALICE, BOB, CAROL)]),
    )


def genesis(programs: tuple[Value, ...] | None = None) -> Genesis:
    validator = Validator("north", person("validator").key, person("node").key)
    record = EpochRecord(EpochNumber(0), EngineKind.RAFT, Height(1), (validator,))
    chosen = founding() if programs is None else programs
    return Genesis("test-1", TimeMs(START_MS), record, 8, 0, True, chosen)


def parent_for(transactions: tuple[SignedTransaction, ...]) -> BlockId:
    """Find a parent under which a test's transactions stand in order as they are."""
    senders = dict.fromkeys(tx.tx.nonce_holder for tx in transactions)
    for n in range(100_000):
        parent_id = BlockId(crypto.sha256(b"parent %d" % n))
        places = [crypto.digest(crypto.Domain.ORDER, parent_id, sender) for sender in senders]
        if places == sorted(places):
            return parent_id
    raise AssertionError(f"{len(senders)} senders are too many to stand in the order of a test")


class World:
    """A state in memory, its rules, and the next block."""

    def __init__(self, programs: tuple[Value, ...] | None = None) -> None:
        self.genesis = genesis(programs)
        self.rules = rules_of(self.genesis)
        self.state = MemoryState()
        self.state.apply(apply_genesis(self.genesis).writes)
        self.height = 0
        self.time_ms = START_MS
        self.journal: dict[bytes, list[JournalRow]] = {}
        self._nonce = 0

    @property
    def time(self) -> Seconds:
        """Time of the next block in seconds."""
        return Seconds(self.next_context().time_ms // 1_000)

    def next_context(self, seconds: int = 1) -> BlockContext:
        record = self.genesis.epoch
        return BlockContext(
            Height(self.height + 1),
            TimeMs(self.time_ms + seconds * 1_000),
            BlockId(bytes(32)),
            record,
            record.validators[0].consensus_key,
        )

    def tx(
        self,
        *instructions: Value,
        actors: tuple[Person, ...] = (ALICE,),
        lane: int = UNORDERED,
        sequence: int | None = None,
        gas: int = 100_000,
        price: int = 0,
        payer: int | Address = 0,
        valid_until: int | None = None,
        chain_name: str = "test-1",
        raw_program: Value = None,
    ) -> SignedTransaction:
        """Make a transaction signed by single keys; the signatures are blank, since nobody here verifies."""
        self._nonce += 1
        ordered = sorted(actors, key=lambda p: p.address)
        body = Transaction(
            chain_name,
            tuple(p.address for p in ordered),
            payer,
            lane,
            self._nonce if sequence is None else sequence,
            Seconds(self.time + 300 if valid_until is None else valid_until),
            Gas(gas),
            price,
            program(*instructions) if raw_program is None else raw_program,
        )
        return self.sign(body, *[(i, p.key) for i, p in enumerate(ordered)])

    def sign(
        self, body: Transaction, *keys: tuple[int, PublicKey], reveals: tuple[tuple[int, Value], ...] = ()
    ) -> SignedTransaction:
        signatures = tuple(TxSignature(i, key, 0, Signature(bytes(64))) for i, key in keys)
        return assemble(body, self.rules.genesis_hash, signatures, reveals)

    def pay(self, source: Person, target: Person, amount: int, **options: Any) -> SignedTransaction:
        call = (ASSETS, 7, 0, (source.address, target.address, COOP, amount, None))
        return self.tx(call, actors=(source,), **options)

    def cash_in(self, member: Person, amount: int, cashier: Person = TILL) -> SignedTransaction:
        ref = crypto.sha256(b"%d" % self._nonce)[:8]
        call = (ASSETS, 4, 0, (cashier.address, member.address, COOP, amount, ref))
        return self.tx(call, actors=(cashier,))

    def run(self, *transactions: SignedTransaction, seconds: int = 1) -> Execution:
        """Execute the next block and keep what it did."""
        context = replace(self.next_context(seconds), parent_id=parent_for(transactions))
        execution = execute_block(self.state, self.rules, context, transactions, ())
        self.keep(context, transactions, execution)
        return execution

    def write(self, writes: dict[bytes, bytes | None]) -> None:
        """Put rows into the state past every rule, between two blocks."""
        self.state.apply(writes)

    def keep(
        self, context: BlockContext, transactions: tuple[SignedTransaction, ...], execution: Execution
    ) -> None:
        """Apply a block that was executed on this state."""
        self.state.apply(execution.writes)
        self.height, self.time_ms = context.height, context.time_ms
        assert tuple(decode_receipt(raw) for raw in execution.receipt_bytes) == execution.receipts
        for row in execution.journal:
            self.journal.setdefault(row.account, []).append(row)

    def ok(self, *transactions: SignedTransaction, seconds: int = 1) -> tuple[Receipt, ...]:
        """Run a block in which every program must succeed."""
        receipts = self.run(*transactions, seconds=seconds).receipts
        assert [(r.code, r.reason) for r in receipts] == [(0, None)] * len(receipts)
        return receipts

    def failed(self, transaction: SignedTransaction, seconds: int = 1) -> Receipt:
        """Run a block of one program that must fail."""
        (receipt,) = self.run(transaction, seconds=seconds).receipts
        assert receipt.code != 0
        return receipt

    def rows(self, account: bytes, before: int, limit: int) -> tuple[JournalRow, ...]:
        """Serve as the journal of queries."""
        rows = [row for row in self.journal.get(account, []) if row.sequence < before]
        return tuple(reversed(rows))[:limit]

    def ask(self, contract: str, query: str, *arguments: Value) -> Value:
        return answer_query(self.state, Seconds(self.time_ms // 1_000), contract, query, arguments, self)
