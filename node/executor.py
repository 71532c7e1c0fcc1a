"""Execute block proposals on the head state, once, and keep what came out for the commit.

A proposal is executed before it is voted on; the result (writes, receipts, the change of the state tree)
waits here under the block's id until consensus commits that block or another one of the same height.
Nothing of it is on disk before `write`. This file does not know who proposed, who votes, or when.

*Cost*: about 35 us a transfer, in the caller's thread; `write` waits for the disk and belongs in a worker.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from node.config import VERSION
from node.errors import OperationError
from node.job_proof import HISTORY_KEY, JobProof
from node.store.history import list_journal_rows
from node.store.records import BlockCommit, Head
from node.store.state import StateAhead, state_damaged
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
from protocol.chain.validators import EngineKind, EpochRecord
from protocol.errors import Code, Rejected
from protocol.merkle.tree import StateTree, TreeDelta
from protocol.params import BLOCK_BYTES_MAX, BLOCK_GAS_MAX
from protocol.transition import (
    BlockContext,
    Execution,
    answer_query,
    build_block,
    check_accusation,
    check_admission,
    execute_block,
    find_package,
    is_epoch_ending,
    list_missing_versions,
    next_due_time,
    rules_of,
)
from protocol.types import BlockId, Height, PublicKey, Seconds, TimeMs, TxId, View
from protocol.vm.contract import Versions
from protocol.vm.view import StateReader

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


class Ahead:
    """Certified blocks that are executed above the head, one after another, and written together."""

    __slots__ = ("blocks", "writes")

    def __init__(self) -> None:
        self.blocks: list[tuple[Prepared, Certificate]] = []
        self.writes: dict[bytes, bytes | None] = {}

    def add(self, prepared: Prepared, certificate: Certificate) -> None:
        """Add the next block."""
        self.blocks.append((prepared, certificate))
        self.writes.update(prepared.execution.writes)


@dataclass(frozen=True, slots=True)
class _Tip:
    """What a block stands on: the head, or the last block ahead of it."""

    head: Head
    record: EpochRecord
    certificate: Certificate | None
    parent_id: BlockId
    delta: TreeDelta | None = None


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
            raise state_damaged(self.head.height, "its root is not that of the block")
        self._require_versions()

    def build(
        self,
        view: View,
        proposer: PublicKey,
        time_ms: TimeMs,
        last_certificate: Certificate | None,
        candidates: Iterable[SignedTransaction],
        evidence: tuple[Evidence, ...],
        txs_max: int,
        parent: Prepared | None = None,
    ) -> tuple[Block, tuple[tuple[TxId, Rejected], ...]]:
        """Build and execute the next block from candidates in their order.

        Args:
            last_certificate: of the head.
            parent: a proposal on the head to build upon, not yet decided and no seal; None for the head.

        Returns: the block, and the candidates that are not admissible, with the reason.
        """
        head, below = self.head, None
        if parent is not None:
            assert self.may_build_on(parent), "the parent is not one to build upon"
            head, below = _head_after(parent), parent.delta
        context = self._context(head, time_ms, proposer)
        with self._store.view() as state:
            require_versions(state)
            execution, included, dropped = build_block(
                state if parent is None else StateAhead(state, parent.execution.writes),
                self.rules,
                context,
                candidates,
                evidence,
                txs_max,
                BLOCK_BYTES_MAX - BLOCK_OVERHEAD_BYTES,
                BLOCK_GAS_MAX,
            )
        delta = self.tree.preview(execution.writes, below)
        following = execution.next_record or self.record
        header = Header(
            self.rules.genesis_hash,
            context.height,
            time_ms,
            self.record.number,
            view,
            proposer,
            head.block_id,
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

    def may_build_on(self, parent: Prepared) -> bool:
        """Tell whether to build on an undecided proposal: on the head, no seal, what follows runs here."""
        header = parent.block.header
        if header.parent_id != self.head.block_id or header.is_seal:
            return False
        with self._store.view() as state:
            return not list_missing_versions(StateAhead(state, parent.execution.writes))

    def check(self, block: Block, ahead: Ahead | None = None) -> Prepared:
        """Execute a proposal and check every claim of its header; a known proposal costs nothing.

        Args:
            ahead: blocks of the same epoch that it follows; it follows the head when there are none.

        *Rules*: 1. it follows the head. 2. it belongs to this chain and epoch. 3. it carries a certificate of
        its parent; or of its grandparent, when it was proposed early: under BFT, above the first block of the
        epoch. 4. all transactions are admissible. 5. roots and next epoch are those of the execution.

        Raises:
            Rejected: `INVALID_BLOCK`, `BAD_PROOF`, or the code by which a transaction is not admissible.
        """
        known = self._prepared.get(block.id)
        if known is not None:
            return known
        header, tip = block.header, self._tip(ahead)
        check_link(header, tip.head.block_id, tip.head.height, tip.head.time_ms)
        if header.genesis_hash != self.rules.genesis_hash:
            raise Rejected(Code.WRONG_CHAIN, "block of another chain")
        if header.epoch != tip.record.number or header.epoch_hash != tip.record.compute_hash():
            raise Rejected(Code.INVALID_BLOCK, "block of another epoch")
        if tip.record.index_of(header.proposer) is None:
            raise Rejected(Code.INVALID_BLOCK, "proposer is not a validator of the epoch")
        self._check_last_certificate(block, tip)
        with self._store.view() as state:
            before = state if ahead is None else StateAhead(state, ahead.writes)
            require_versions(before)
            execution = execute_block(
                before,
                self.rules,
                self._context(tip.head, header.time_ms, header.proposer),
                block.transactions,
                block.evidence,
            )
        delta = self.tree.preview(execution.writes, tip.delta)
        following = execution.next_record or tip.record
        for name, claimed, found in (
            ("state root", header.state_root, delta.root),
            ("receipts root", header.receipts_root, execution.receipts_root),
            ("next epoch", header.next_epoch_hash, following.compute_hash()),
        ):
            if claimed != found:
                raise Rejected(Code.INVALID_BLOCK, f"{name}: claims {claimed.hex()}, is {found.hex()}")
        prepared = Prepared(block, execution, delta)
        if tip.head is self.head:
            self._keep(prepared)
        return prepared

    def can_run(self, signed: SignedTransaction) -> bool:
        """Tell whether a transaction could stand in a block on the head."""
        with self._store.view() as state:
            return self._is_admissible(state, self.head.time_ms, signed)

    def can_run_after(self, prepared: Prepared, signed: SignedTransaction) -> bool:
        """Tell whether a transaction could stand at the end of a proposal of the next height as well."""
        with self._store.view() as state:
            after = StateAhead(state, prepared.execution.writes)
            return self._is_admissible(after, prepared.block.header.time_ms, signed)

    def _is_admissible(self, state: StateReader, time_ms: TimeMs, signed: SignedTransaction) -> bool:
        try:
            check_admission(state, self.rules, Seconds(time_ms // 1_000), signed)
        except Rejected:
            return False
        return True

    def check_accusation(self, evidence: Evidence) -> None:
        """Check whether evidence could stand in a block on the head.

        Raises:
            Rejected: as `transition.check_accusation`.
        """
        context = self._context(self.head, self.head.time_ms, self.record.validators[0].consensus_key)
        with self._store.view() as state:
            check_accusation(state, self.rules, context, evidence)

    def next_due_time(self) -> Seconds | None:
        """Return the earliest time at which the chain has work of its own, or None."""
        with self._store.view() as state:
            return next_due_time(state)

    def ask_registry(self, *queries: str) -> tuple[Any, ...]:
        """Return the answers of the registry to queries without arguments, all on one state."""
        now = Seconds(self.head.time_ms // 1_000)
        with self._store.view() as state:
            return tuple([answer_query(state, now, "registry", query, (), None) for query in queries])

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

    def write(self, blocks: Sequence[tuple[Prepared, Certificate]]) -> None:
        """Make certified blocks durable in one transaction, all or none; waits for the disk: for a worker."""
        self._store.commit_blocks(
            [self._commit_of(prepared, certificate) for prepared, certificate in blocks]
        )

    def _commit_of(self, prepared: Prepared, certificate: Certificate) -> BlockCommit:
        execution, proof = prepared.execution, b""
        if execution.job_receipts:
            value = execution.writes[HISTORY_KEY]
            assert value is not None, "runs of jobs are named by the state"
            proof = JobProof(value, self.tree.prove(HISTORY_KEY, prepared.delta)).encode()
        return BlockCommit(
            prepared.block,
            certificate,
            execution.writes,
            execution.receipt_bytes,
            list_journal_rows(execution),
            execution.touched,
            execution.job_receipt_bytes,
            execution.job_touched,
            proof,
            execution.next_record,
        )

    def advance(self, prepared: Prepared) -> None:
        """Make a durable block, the last one written, the head of what is kept in memory."""
        self.tree.commit(prepared.delta)
        self.head = self._store.head()
        assert self.head.block_id == prepared.block.id
        self.record = prepared.execution.next_record or self.record
        early = [p for p in self._prepared.values() if p.block.header.parent_id == self.head.block_id]
        self.forget_proposals()
        for child in early:
            # What it changes was computed above this block, so it holds these changes too.
            self._keep(replace(child, delta=replace(child.delta, base=self.tree.root)))
        self._require_versions()

    def _require_versions(self) -> None:
        with self._store.view() as state:
            require_versions(state)

    def _tip(self, ahead: Ahead | None) -> _Tip:
        if ahead is None or not ahead.blocks:
            height = self.head.height
            certificate = self._store.certificate(height) if height else None
            header = self._store.header(height) if height else None
            below = self.head.block_id if header is None else header.parent_id
            return _Tip(self.head, self.record, certificate, below)
        last, certificate = ahead.blocks[-1]
        assert last.execution.next_record is None, "nothing is executed above a seal that is not written"
        below = last.block.header.parent_id
        return _Tip(_head_after(last), self.record, certificate, below, last.delta)

    def _context(self, parent: Head, time_ms: TimeMs, proposer: PublicKey) -> BlockContext:
        return BlockContext(
            Height(parent.height + 1),
            time_ms,
            parent.block_id,
            self.record,
            proposer,
            self._store.epoch,
        )

    def _check_last_certificate(self, block: Block, tip: _Tip) -> None:
        certificate, parent = block.last_certificate, tip.head
        if parent.height == 0:
            if certificate is not None:
                raise Rejected(Code.INVALID_BLOCK, "the first block has no parent to certify")
            return
        place = (0, None) if certificate is None else (certificate.height, certificate.block_id)
        if place != (parent.height, parent.block_id):
            may_be_early = tip.record.engine is EngineKind.BFT and parent.height >= tip.record.first_height
            below = (parent.height - 1, tip.parent_id if parent.height > 1 else None)
            if not may_be_early or place != below:
                raise Rejected(Code.INVALID_BLOCK, "carries no certificate of its parent")
        if certificate is not None and certificate != tip.certificate:
            record = self._store.epoch_at(certificate.height)
            check_certificate(certificate, record, self.rules.genesis_hash)

    def _keep(self, prepared: Prepared) -> None:
        while len(self._prepared) >= CACHED_PROPOSALS_MAX:
            self._prepared.pop(next(iter(self._prepared)))
        self._prepared[prepared.block.id] = prepared


def require_versions(state: StateReader) -> None:
    """Check that this software has every contract in the version that the block after a state runs.

    Raises:
        OperationError: `upgrade.missing`: the node stops before that block; it would make another one of it
            than the others.
    """
    missing = list_missing_versions(state)
    if missing:
        raise explain_missing(state, missing)


def explain_missing(state: StateReader, missing: Versions) -> OperationError:
    """Return `upgrade.missing`, with the packages by which what a state runs and we lack comes."""
    names = ", ".join(_name_version(state, number, version) for number, version in missing)
    return OperationError(
        "upgrade.missing",
        "Node stopped: the next block needs another version of a contract.",
        f"the co-operative decided contract {names}; this node, {VERSION}, does not have just that.",
        "install it (a plugin must also stand in the setting plugins), then start the node: it goes on",
    )


def _name_version(state: StateReader, contract: int, version: int) -> str:
    package = find_package(state, contract)
    return f"{contract} in version {version}" + (f" (package {package})" if package else "")


def _head_after(prepared: Prepared) -> Head:
    header = prepared.block.header
    return Head(header.height, prepared.block.id, header.time_ms, header.state_root, header.epoch)
