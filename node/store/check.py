"""Check a whole store against itself: what `coopd db check` runs, and what a scrubber can run by stretches.

It believes the genesis document and nothing else: hash links from it to the head, certificates under the
epoch records that the seals name, bodies and receipts against their headers, and the state against the root
of the head. Where the store began with a snapshot, the seals lead from genesis to it, and the walk begins
there. It does not execute blocks, and it does not know what a state means: sums over it (no asset is ever
made or lost) come in as a callback.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from node.job_proof import HISTORY_KEY, NO_RUNS, JobHistory
from node.store import blocks, derived, history, jobs
from node.store.anchor import load_anchor
from node.store.environment import Txn
from node.store.journal import find_journal_faults
from node.store.sound import find_history_faults
from node.store.state import StateView
from node.store.store import Store
from node.store.tables import BLOCKS, HEADERS
from protocol import crypto
from protocol.chain.block import Header, compute_block_id, decode_header
from protocol.chain.certificate import check_certificate
from protocol.chain.genesis import Genesis
from protocol.chain.restart import check_restart
from protocol.chain.validators import EpochRecord
from protocol.errors import Rejected
from protocol.merkle.tree import StateTree
from protocol.sync.snapshot import check_anchor
from protocol.types import Height

FINDINGS_MAX: Final = 100
"""After so many the disk is beyond doubt."""

StateCheck = Callable[[StateView], Iterable[str]]
"""Yields one sentence for everything that is wrong with a state."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was committed.

    Args:
        height: where it was found.
    """

    height: int
    what: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Say what was checked and what is wrong; nothing when `findings` is empty.

    Args:
        height: of the head.
        base: of the snapshot that the store began with; 0 when it has every block.
        state_keys: keys of the state.
    """

    height: Height
    base: Height
    transactions: int
    epochs: int
    state_keys: int
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.findings


def check_store(
    store: Store,
    check_state: StateCheck | None = None,
    on_height: Callable[[Height], None] | None = None,
    *,
    books: bool = False,
) -> CheckReport:
    """Check everything, at the head of this moment, while the node may go on.

    Args:
        check_state: further checks of the state, such as the conservation of assets.
        on_height: told after each block, for a progress line.
        books: add up the whole journal, too.

    Cost: about 0.2 ms a block, 30 us a transaction, 4 us a key of the state, 10 us a row of the journal.
    """
    with store.snapshot() as (txn, view):
        walk = _Walk(txn, view, blocks.load_genesis(txn))
        base = blocks.load_base(txn)
        if base:
            walk.check_anchor(base)
        for height in range(base + 1, view.height + 1):
            if len(walk.findings) >= FINDINGS_MAX:
                break
            walk.check_height(Height(height))
            if on_height is not None:
                on_height(Height(height))
        walk.check_derived()
        state_keys = walk.check_state(check_state)
        if books and not walk.findings:
            walk.check_books(store, is_whole=not base)
        return CheckReport(
            view.head.height,
            base,
            walk.transactions,
            walk.record.number + 1,
            state_keys,
            tuple(walk.findings),
        )


class _Walk:
    """Where the walk from genesis stands: the parent it expects next and the epoch that certifies it."""

    __slots__ = (
        "_entries",
        "_genesis",
        "_genesis_hash",
        "_parent",
        "_runs",
        "_txn",
        "_view",
        "findings",
        "record",
        "transactions",
    )

    def __init__(self, txn: Txn, view: StateView, genesis: Genesis) -> None:
        self._txn = txn
        self._view = view
        self._genesis = genesis
        self._genesis_hash = genesis.compute_hash()
        self._parent: bytes = self._genesis_hash
        self.record: EpochRecord = genesis.epoch
        self.transactions = 0
        self._entries = 0
        self._runs: JobHistory | None = NO_RUNS
        self.findings: list[Finding] = []

    def check_height(self, height: Height) -> None:
        header_bytes = self._txn.get(HEADERS, blocks.height_key(height))
        try:
            header = None if header_bytes is None else decode_header(header_bytes)
        except Rejected as rejected:
            self._find(height, f"header: {rejected}")
            header = None
        parent, block_id = self._parent, blocks.load_committed_id(self._txn, height)
        self._parent = block_id
        if header is None or header_bytes is None:
            self._find(height, "header: missing or damaged")
            return
        if compute_block_id(header_bytes) != block_id:
            self._find(height, "header: not the one that the next header names, or the head")
        if header.height != height or header.parent_id != parent:
            self._find(height, "header: does not follow the one before")
        head = self._view.head
        if height == head.height and (header.state_root, header.time_ms) != (head.state_root, head.time_ms):
            self._find(height, "head: is not this block")
        if header.epoch == self.record.number + 1:
            self._follow_restart(height)
        self._check_body(header, block_id)
        self._check_certificate(header, block_id)
        self._check_history(header)
        self._cross(header)

    def check_anchor(self, base: Height) -> None:
        """Check what a snapshot stands on, and begin the walk above it."""
        self._parent = blocks.load_committed_id(self._txn, base)
        self._runs = None
        try:
            anchor = load_anchor(self._txn, base)
            if anchor is None or anchor.header.compute_id() != self._parent:
                self._find(base, "snapshot: its header or a seal below it is missing or damaged")
                return
            # What lies here was accepted when it came.
            known = tuple([seal.record.compute_hash() for seal in anchor.seals])
            self.record = check_anchor(self._genesis, anchor, accepted=known)
        except Rejected as rejected:
            self._find(base, f"snapshot: {rejected}")

    def check_state(self, check: StateCheck | None) -> int:
        """Build the state tree again and compare; return the number of keys."""
        named, found = self._view.get(HISTORY_KEY), self._runs
        if found is not None and not found.is_named_by(named):
            self._find(self._view.height, "jobs: runs are missing that the state names")
        tree = StateTree.build(self._genesis.tree_bits, self._view.items())
        if tree.root != self._view.head.state_root:
            self._find(self._view.height, "state: another root than the head's")
            fault = None
        else:
            fault = derived.find_undo_fault(self._txn, self._view, tree)
        for what in check(self._view) if check is not None else ():
            self._find(self._view.height, f"state: {what}")
        if fault is not None:
            self._find(self._view.height, fault)
        return self._view.count()

    def check_books(self, store: Store, *, is_whole: bool) -> None:
        """Hold the journal of a moment against the state of the same moment."""
        with store.journal_walk() as (peek, view):
            for what in find_journal_faults(peek, view, is_whole=is_whole):
                self._find(view.height, what)

    def _check_body(self, header: Header, block_id: bytes) -> None:
        data = self._txn.get(BLOCKS, blocks.height_key(header.height))
        fault = "missing" if data is None else blocks.find_block_fault(data, block_id)
        if fault is not None:
            self._find(header.height, f"block: {fault}")
        if blocks.load_block_height(self._txn, block_id) != header.height:
            self._find(header.height, "block: not found by its id")

    def _check_certificate(self, header: Header, block_id: bytes) -> None:
        try:
            certificate = blocks.load_certificate(self._txn, header.height)
            if certificate is None or (certificate.height, certificate.block_id) != (header.height, block_id):
                self._find(header.height, "certificate: missing or of another block")
                return
            check_certificate(certificate, self.record, self._genesis_hash, crypto.verify)
        except Rejected as rejected:
            self._find(header.height, f"certificate: {rejected}")

    def _check_history(self, header: Header) -> None:
        self.transactions += header.tx_count
        for fault in find_history_faults(self._txn, header):
            self._find(header.height, fault)
        try:
            self._runs = jobs.check_runs(self._txn, header, self._runs)
        except Rejected as rejected:
            self._find(header.height, f"jobs: {rejected.detail}")
            self._runs = None
        runs = jobs.load_run_ids(self._txn, header.height)
        ids = history.load_tx_ids(self._txn, header.height)
        for entry in history.list_tx_entries(header.height, ids, runs):
            self._entries += _weigh(entry)

    def check_derived(self) -> None:
        """Check what no header covers; the index of transactions against the blocks, in any order."""
        for look in (derived.find_table_faults, derived.find_row_faults):
            for what in look(self._txn):
                self._find(self._view.height, what)
        found = sum([_weigh(entry) for entries in history.walk_tx_runs(self._txn) for entry in entries])
        if found != self._entries:
            self._find(self._view.height, "index of transactions: not the entries that the blocks make")

    def _cross(self, header: Header) -> None:
        if header.epoch_hash != self.record.compute_hash():
            self._find(header.height, "epoch: the header names another record")
        if not header.is_seal:
            return
        try:
            record = blocks.load_epoch(self._txn, self.record.number + 1)
        except Rejected as rejected:
            self._find(header.height, f"epoch: {rejected}")
            return
        if record is None or record.compute_hash() != header.next_epoch_hash:
            self._find(header.height, "epoch: the next record is not the one that the seal names")
        else:
            self.record = record

    def _follow_restart(self, height: Height) -> None:
        """Take the record of a block whose epoch no seal named, if it restarts the chain there (M14)."""
        try:
            below = blocks.load_header(self._txn, height - 1)
            record = blocks.load_epoch(self._txn, self.record.number + 1)
            if below is not None and record is not None:
                check_restart(below, self.record, record)
                self.record = record
        except Rejected as rejected:
            self._find(height, f"epoch: {rejected}")

    def _find(self, height: int, what: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(height, what))


def _weigh(entry: bytes) -> int:
    """Return a number whose sum over many entries does not depend on their order."""
    return int.from_bytes(crypto.sha256(entry), "big")
