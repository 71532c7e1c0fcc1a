"""Execute block proposals on the head state, once, and keep what came out for the commit.

A proposal is executed before it is voted on; the result (writes, receipts, the change of the state tree)
waits here under the block's id until consensus commits that block or another one of the same height.
Nothing of it is on disk before `commit`. This file does not know who proposed, who votes, or when.

*Cost*: about 35 us a transfer, in the caller's thread; `commit` waits for the disk and belongs in a worker.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from node.store.records import BlockCommit, Head
from node.store.store import Store
from protocol.chain.block import (
    Block,
    Header,
    assemble_block,
    check_link,
    compute_certificate_hash,
    compute_evidence_root,
    compute_tx_root,
)
from protocol.chain.certificate import Certificate, check_certificate
from protocol.chain.evidence import Evidence
from protocol.chain.transaction import SignedTransaction
from protocol.chain.validators import EpochRecord
from protocol.errors import Code, Rejected
from protocol.merkle.tree import StateTree, TreeDelta
from protocol.params import BLOCK_BYTES_MAX, BLOCK_GAS_MAX
from protocol.transition import (
    BlockContext,
    Execution,
    build_block,
    execute_block,
    is_epoch_ending,
    next_due_time,
    rules_of,
)
from protocol.types import BlockId, Height, PublicKey, Seconds, TimeMs, TxId, View

CACHED_PROPOSALS_MAX = 8
"""Executed proposals of one height that may wait; more views than that in a row are executed again."""

BLOCK_OVERHEAD_BYTES = 64 * 1024
"""Room for header, evidence and certificate inside `BLOCK_BYTES_MAX`."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Hold an executed block: what it writes and what that does to the state tree."""

    block: Block
    execution: Execution
    delta: TreeDelta


class Executor:
    """Know the head state and what every proposal above it would do.

    Args:
        store: open for writing.
    """

    def __init__(self, store: Store) -> None:
        genesis = store.genesis()
        self.rules = rules_of(genesis)
        self.head: Head = store.head()
        self.record: EpochRecord = store.epoch_at(Height(self.head.height + 1))
        self._store = store
        self._prepared: dict[BlockId, Prepared] = {}
        with store.view() as view:
            self.tree = StateTree.build(genesis.tree_bits, view.items())
        if self.tree.root != self.head.state_root:
            raise AssertionError(f"state on disk is not the state of the head at height {self.head.height}")

    def build(
        self,
        view: View,
        proposer: PublicKey,
        time_ms: TimeMs,
        last_certificate: Certificate | None,
        candidates: Iterable[SignedTransaction],
        evidence: tuple[Evidence, ...],
        txs_max: int,
    ) -> tuple[Block, tuple[tuple[TxId, Rejected], ...]]:
        """Build and execute the next block from candidates in their order.

        Returns: the block, and the candidates that are not admissible, with the reason.
        """
        context = self._context(time_ms, proposer)
        with self._store.view() as state:
            execution, included, dropped = build_block(
                state,
                self.rules,
                context,
                candidates,
                evidence,
                txs_max,
                BLOCK_BYTES_MAX - BLOCK_OVERHEAD_BYTES,
                BLOCK_GAS_MAX,
            )
        delta = self.tree.preview(execution.writes)
        following = execution.next_record or self.record
        header = Header(
            self.rules.genesis_hash,
            context.height,
            time_ms,
            self.record.number,
            view,
            proposer,
            self.head.block_id,
            Height(0) if last_certificate is None else last_certificate.height,
            compute_certificate_hash(last_certificate),
            compute_tx_root(included),
            len(included),
            compute_evidence_root(evidence),
            delta.root,
            execution.receipts_root,
            self.record.compute_hash(),
            following.compute_hash(),
        )
        block = assemble_block(header, included, evidence, last_certificate)
        self._keep(Prepared(block, execution, delta))
        return block, dropped

    def check(self, block: Block) -> None:
        """Execute a proposal and check every claim of its header; a known proposal costs nothing.

        *Rules*: 1. it follows the head. 2. it belongs to this chain and epoch. 3. it carries a certificate of
        its parent. 4. all transactions are admissible. 5. roots and next epoch are those of the execution.

        Raises:
            Rejected: `INVALID_BLOCK`, `BAD_PROOF`, or the code by which a transaction is not admissible.
        """
        if block.id in self._prepared:
            return
        header = block.header
        check_link(header, self.head.block_id, self.head.height, self.head.time_ms)
        if header.genesis_hash != self.rules.genesis_hash:
            raise Rejected(Code.WRONG_CHAIN, "block of another chain")
        if header.epoch != self.record.number or header.epoch_hash != self.record.compute_hash():
            raise Rejected(Code.INVALID_BLOCK, "block of another epoch")
        if self.record.index_of(header.proposer) is None:
            raise Rejected(Code.INVALID_BLOCK, "proposer is not a validator of the epoch")
        self._check_last_certificate(block)
        with self._store.view() as state:
            execution = execute_block(
                state,
                self.rules,
                self._context(header.time_ms, header.proposer),
                block.transactions,
                block.evidence,
            )
        delta = self.tree.preview(execution.writes)
        following = execution.next_record or self.record
        for name, claimed, found in (
            ("state root", header.state_root, delta.root),
            ("receipts root", header.receipts_root, execution.receipts_root),
            ("next epoch", header.next_epoch_hash, following.compute_hash()),
        ):
            if claimed != found:
                raise Rejected(Code.INVALID_BLOCK, f"{name}: claims {claimed.hex()}, is {found.hex()}")
        self._keep(Prepared(block, execution, delta))

    def next_due_time(self) -> Seconds | None:
        """Return the earliest time at which the chain has work of its own, or None."""
        with self._store.view() as state:
            return next_due_time(state)

    def is_epoch_ending(self) -> bool:
        """Tell whether the end of the epoch is decided."""
        with self._store.view() as state:
            return is_epoch_ending(state)

    def prepared(self, block_id: BlockId) -> Prepared | None:
        """Return an executed proposal of the next height, or None."""
        return self._prepared.get(block_id)

    def forget_proposals(self) -> None:
        """Forget executed proposals; they are executed again when asked for."""
        self._prepared.clear()

    def write(self, prepared: Prepared, certificate: Certificate) -> None:
        """Make a certified block durable in one transaction; waits for the disk: for a worker thread."""
        execution = prepared.execution
        self._store.commit_block(
            BlockCommit(
                prepared.block,
                certificate,
                execution.writes,
                execution.receipt_bytes,
                tuple([(r.account + r.sequence.to_bytes(6, "big"), r.raw) for r in execution.journal]),
                execution.touched,
                execution.next_record,
            )
        )

    def advance(self, prepared: Prepared) -> None:
        """Make a durable block the head of what is kept in memory."""
        self.tree.commit(prepared.delta)
        self.head = self._store.head()
        assert self.head.block_id == prepared.block.id
        self.record = prepared.execution.next_record or self.record
        self.forget_proposals()

    def _context(self, time_ms: TimeMs, proposer: PublicKey) -> BlockContext:
        return BlockContext(Height(self.head.height + 1), time_ms, self.head.block_id, self.record, proposer)

    def _check_last_certificate(self, block: Block) -> None:
        certificate = block.last_certificate
        if self.head.height == 0:
            if certificate is not None:
                raise Rejected(Code.INVALID_BLOCK, "the first block has no parent to certify")
            return
        if certificate is None or (certificate.height, certificate.block_id) != (
            self.head.height,
            self.head.block_id,
        ):
            raise Rejected(Code.INVALID_BLOCK, "carries no certificate of its parent")
        if certificate != self._store.certificate(self.head.height):
            record = self._store.epoch_at(self.head.height)
            check_certificate(certificate, record, self.rules.genesis_hash)

    def _keep(self, prepared: Prepared) -> None:
        while len(self._prepared) >= CACHED_PROPOSALS_MAX:
            self._prepared.pop(next(iter(self._prepared)))
        self._prepared[prepared.block.id] = prepared
