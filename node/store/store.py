"""The store of a node: one database, one write transaction a block, everything in it or nothing.

A block commit holds block, certificate, receipts, state, journal, indexes, undo, head, and at a seal the next
epoch record and the end of the old safety record: so crossing an epoch is atomic (M7), and no two parts ever
disagree after a crash. It is on disk when `commit_blocks` returns. The safety record is a write of its own,
on disk before any signature that it stands for leaves (W1).

Threads: `commit_blocks` and `save_safety` wait for the disk, so the driver calls them in a worker thread, one
at a time; everything else reads, takes microseconds and may run anywhere, also meanwhile. A view is used by
one thread and is not held across an `await` in the loop: old views keep old pages alive.

*Departs* from performance.md 0.8: one environment instead of two. The certified chain and the state that
follows from it are never apart, and there is no unclean stop to repair.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from node.store import blocks, history, jobs, state
from node.store.environment import Environment, Peek, Txn
from node.store.packing import Changes
from node.store.past import PastState
from node.store.records import BlockCommit, Head, JournalRow, TxPlace
from node.store.sound import KnownRows, SoundReader
from node.store.state import StateView
from node.store.tables import BLOCKS, CERTIFICATES, HEADERS, META, SCHEMA, STATE, UNDO
from protocol.chain.block import Header
from protocol.chain.certificate import Certificate
from protocol.chain.evidence import Evidence
from protocol.chain.genesis import Genesis
from protocol.chain.validators import EpochRecord
from protocol.sync.snapshot import Anchor
from protocol.types import Hash32, Height, TxId
from protocol.vm.view import StateReader


class Store:
    """Keep the chain, its state and its history; made by `create`, then `open`."""

    __slots__ = ("_environment", "_known", "_past_blocks", "damaged")

    def __init__(self, environment: Environment, past_blocks: int = state.PAST_BLOCKS) -> None:
        self._environment = environment
        self._known = KnownRows()
        self._past_blocks = past_blocks
        self.damaged: set[Height] = set()
        """Heights whose stored block or certificate was found damaged and is not repaired yet."""

    @classmethod
    def create(
        cls,
        path: Path,
        genesis: Genesis,
        state_writes: Mapping[bytes, bytes | None],
        state_root: Hash32,
        journal: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """Found the database of a chain, whole or not at all; open it afterwards.

        Args:
            journal: rows of the founding programs, as in `BlockCommit`.

        Raises:
            OperationError: `store.exists`, `store.locked`, `store.disk_low`.
        """

        def fill(txn: Txn) -> None:
            blocks.save_genesis(txn, genesis, state_root)
            state.save_first_state(txn, state_writes)
            history.save_journal(txn, Height(0), journal)

        Environment.create(path, SCHEMA, fill)

    @classmethod
    def restore(
        cls, path: Path, genesis: Genesis, anchor: Anchor, chunks: Iterable[Iterable[tuple[bytes, bytes]]]
    ) -> None:
        """Make a database whose chain begins with a snapshot, whole or not at all; all of it was checked.

        Args:
            chunks: keys and values of the state, each key once.

        Raises:
            OperationError: as `create`.
        """

        def fill(txn: Txn) -> None:
            blocks.save_anchor(txn, genesis, anchor)
            for chunk in chunks:
                txn.put_many(STATE, sorted(chunk))

        Environment.create(path, SCHEMA, fill)

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False, past_blocks: int = state.PAST_BLOCKS) -> "Store":
        """Open the database of a chain; at most one process for writing, others beside it `readonly`.

        Args:
            past_blocks: heights below the head whose state can be asked for.

        Raises:
            OperationError: `store.missing`, `store.locked`, `store.newer`, `store.older`.
            StorageBroken: the file cannot be read as a database.
        """
        return cls(Environment.open(path, SCHEMA, readonly=readonly), past_blocks)

    @staticmethod
    def remove(path: Path) -> None:
        """Remove a database, readable or not, with its safety record: the double-sign guard outlives it.

        Raises:
            OperationError: `store.locked`.
        """
        Environment.remove(path)

    @property
    def environment(self) -> Environment:
        """Return the environment, for its figures and for housekeeping."""
        return self._environment

    def close(self) -> None:
        """Close the database; all views must have ended."""
        self._environment.close()

    # --- writing

    def commit_blocks(self, commits: Sequence[BlockCommit]) -> Head:
        """Commit blocks that follow the head and each other, all or none; on disk when it returns.

        Cost: about 10 us a transfer, and one wait for the disk.

        Raises:
            OperationError: `store.disk_low`: nothing was written; may be tried again.
            StorageBroken: end the process.
            AssertionError: not the next block, or parts that do not belong together.
        """

        assert commits, "nothing to commit"

        def work(txn: Txn) -> Head:
            for commit in commits:
                head = blocks.save_block(txn, commit)
                history.save_history(txn, commit)
                state.save_state(txn, commit.writes, head.height, self._past_blocks)
            return head

        return self._environment.write(work)

    def adopt(self, anchor: Anchor, read: Callable[[], Iterable[Iterable[tuple[bytes, bytes]]]]) -> None:
        """Put a snapshot that was checked in the place of a chain that is shorter, all of it or nothing.

        The safety record stays: only a chain that has passed its height makes it void (W7).

        Args:
            read: yields keys and values of the state, each key once; may be called again.

        Raises:
            OperationError: `store.disk_low`, and what `read` raises.
            StorageBroken: end the process.
        """
        genesis = self.genesis()

        def work(txn: Txn) -> None:
            assert anchor.header.height > blocks.load_head(txn).height, "the chain here is longer"
            for table in SCHEMA.tables:
                if table != META:
                    txn.clear(table)
            blocks.save_anchor(txn, genesis, anchor)
            for chunk in read():
                txn.put_many(STATE, sorted(chunk))

        self._environment.write(work)

    def save_safety(self, record: bytes) -> None:
        """Replace the safety record; on disk when it returns.

        Raises:
            OperationError: `store.disk_low`.
            StorageBroken: end the process.
        """
        self._environment.write(lambda txn: txn.put(META, blocks.SAFETY_KEY, record))

    def restart(self, record: EpochRecord) -> None:
        """Begin an epoch above the head that no seal names; on disk when it returns. See `chain/restart.py`.

        Raises:
            OperationError: `store.disk_low`.
        """
        self._environment.write(lambda txn: blocks.save_restart(txn, record))

    # --- the chain

    def genesis(self) -> Genesis:
        """Return the genesis document."""
        with self._environment.read() as txn:
            return blocks.load_genesis(txn)

    def head(self) -> Head:
        """Return where the chain stands. Cost: about 10 us."""
        with self._environment.read() as txn:
            return blocks.load_head(txn)

    def base(self) -> Height:
        """Return the height of the snapshot that this store began with: blocks and history are kept above it
        only. 0 when all are kept."""
        with self._environment.read() as txn:
            return blocks.load_base(txn)

    def load_safety(self) -> bytes | None:
        """Return the safety record, or None when this epoch has none yet."""
        with self._environment.read() as txn:
            return txn.get(META, blocks.SAFETY_KEY)

    def block_bytes(self, height: int) -> bytes | None:
        """Return an encoded block as it is on disk."""
        with self._environment.read() as txn:
            return txn.get(BLOCKS, blocks.height_key(height))

    def served_block(self, height: int) -> tuple[bytes, bytes] | None:
        """Return a block and its certificate, both encoded, for a peer; None when they are not here.

        They are held against what a quorum signed. What is damaged is not given out but noted in `damaged`.
        """
        try:
            with self._environment.read() as txn:
                return blocks.load_served(txn, height)
        except blocks.BlockDamaged:
            self.damaged.add(Height(height))
            return None

    def check_block(self, height: Height) -> tuple[str, ...]:
        """Hold a block against what a quorum signed, and what became of its programs against the block.

        What a peer can send again is noted in `damaged`; the rest is returned: no peer has it to send.

        Cost: as `served_block`, and 5 us a transaction.
        """
        block = self.served_block(height)
        if block is None:
            return ()
        with self._environment.read() as txn:
            if not blocks.is_indexed(txn, height, block[0]):
                self.damaged.add(height)
                return ()
        with self.sound() as reader:
            return reader.find_faults(height)

    def repair_block(self, height: Height, block: bytes, certificate: bytes) -> None:
        """Replace a damaged block and its certificate by what a peer sent; waits for the disk.

        Raises:
            Rejected: `BAD_PROOF`, or it does not decode: not what was committed; the peer is at fault.
            OperationError: `store.disk_low`.
        """
        self._environment.write(lambda txn: blocks.save_again(txn, height, block, certificate))
        self.damaged.discard(height)

    def header_bytes(self, height: int) -> bytes | None:
        """Return an encoded header."""
        with self._environment.read() as txn:
            return txn.get(HEADERS, blocks.height_key(height))

    def header(self, height: int) -> Header | None:
        """Return a header; None for genesis and beyond the head."""
        with self._environment.read() as txn:
            return blocks.load_header(txn, height)

    def certificate(self, height: int) -> Certificate | None:
        """Return the certificate that committed a height."""
        with self._environment.read() as txn:
            return blocks.load_certificate(txn, height)

    def certificate_bytes(self, height: int) -> bytes | None:
        """Return the encoded certificate that committed a height."""
        with self._environment.read() as txn:
            return txn.get(CERTIFICATES, blocks.height_key(height))

    def block_height_of(self, block_id: bytes) -> Height | None:
        """Return the height of a committed block."""
        with self._environment.read() as txn:
            return blocks.load_block_height(txn, block_id)

    def epoch(self, number: int) -> EpochRecord | None:
        """Return an epoch record."""
        with self._environment.read() as txn:
            return blocks.load_epoch(txn, number)

    def epoch_at(self, height: int) -> EpochRecord:
        """Return the record that certifies a height >= 1; beyond the head, the last one known."""
        with self._environment.read() as txn:
            return blocks.load_epoch_at(txn, height)

    @contextmanager
    def sound(self) -> Iterator[SoundReader]:
        """Open the chain at one moment for reads that are held against hashes.

        Raises:
            RowDamaged: bytes changed on disk; whatever it reads raises it, too.
        """
        # The peek opens first, so the reader has every block that an index of the peek names.
        with self._environment.peek() as peek, self._environment.read() as txn:
            yield SoundReader(txn, peek, self._known)

    # --- history

    def place_of(self, tx_id: bytes) -> TxPlace | None:
        """Return where a committed transaction, or the run of a job, stands."""
        with self._environment.peek() as peek:
            return history.find_transaction(peek, tx_id)

    def transaction(self, tx_id: bytes) -> tuple[Height, int, bytes] | None:
        """Return (height, index, signed bytes) of a committed transaction; None for the run of a job."""
        place = self.place_of(tx_id)
        if place is None or place.is_job:
            return None
        with self._environment.read() as txn:
            raw = blocks.load_transaction_bytes(txn, place.height, place.index)
        return place.height, place.index, raw

    def receipt(self, tx_id: bytes) -> tuple[Height, int, bytes] | None:
        """Return (height, index, receipt bytes) of a committed transaction, or of the run of a job."""
        with self._environment.peek() as peek:
            place = history.find_transaction(peek, tx_id)
            if place is None:
                return None
            return place.height, place.index, history.load_receipt(peek, place)

    def receipts(self, height: int) -> tuple[bytes, ...]:
        """Return the receipts of all transactions of a block, in order."""
        with self._environment.read() as txn:
            return history.load_receipts(txn, height)

    def run_receipts(self, height: int) -> tuple[bytes, ...]:
        """Return the receipts of all jobs that ran in a block, in order."""
        with self._environment.read() as txn:
            return jobs.load_run_receipts(txn, height)

    def run_ids(self, height: int) -> tuple[TxId, ...]:
        """Return the ids of all runs of jobs in a block, in order."""
        with self._environment.read() as txn:
            return jobs.load_run_ids(txn, height)

    def run_proof(self, height: int) -> bytes | None:
        """Return what proves the receipts of a block's jobs (`JobProof`); None when none ran."""
        with self._environment.read() as txn:
            return jobs.load_run_proof(txn, height)

    def evidence(self, height: int) -> tuple[Evidence, ...]:
        """Return the evidence that a block carries."""
        with self._environment.read() as txn:
            return blocks.load_evidence(txn, height)

    def tx_ids(self, height: int) -> tuple[TxId, ...]:
        """Return the ids of all transactions of a block, in order."""
        with self._environment.read() as txn:
            return history.load_tx_ids(txn, height)

    def account_transactions(
        self, address: bytes, before: tuple[int, int] | None = None, limit: int = 50
    ) -> list[TxPlace]:
        """Return the transactions and jobs that touched an account, newest first, below (height, index)."""
        with self._environment.peek() as peek:
            return history.find_account_transactions(peek, address, before, limit)

    def journal(self, account: bytes, before: int | None = None, limit: int = 50) -> list[JournalRow]:
        """Return the journal rows of a ledger account (30 bytes), newest first, below a sequence."""
        with self._environment.peek() as peek:
            return history.find_journal(peek, account, before, limit)

    def journal_rows(self, height: int) -> tuple[bytes, ...]:
        """Return all journal rows of a block in the order in which they were posted."""
        with self._environment.read() as txn:
            return history.load_journal_rows(txn, height)

    # --- the state

    @contextmanager
    def view(self) -> Iterator[StateView]:
        """Open the state at the head; it stays as it is until the block ends."""
        with self._environment.read() as txn:
            yield StateView(txn)

    @contextmanager
    def view_at(self, height: int) -> Iterator[StateReader | None]:
        """Open the state after a block at or below the head; None when it is not kept any more."""
        # The peek opens second, so it holds every block of the view; what was pruned in between is missing.
        with self.view() as view, self._environment.peek() as peek:
            rows = [peek.get(UNDO, blocks.height_key(later)) for later in range(height + 1, view.height + 1)]
            kept = [Changes(row) for row in rows if row is not None]
            if height > view.height or len(kept) < len(rows):
                yield None
            else:
                yield view if not kept else PastState(view, kept)

    def oldest_state(self) -> Height:
        """Return the lowest height whose state can be asked for."""
        with self.view() as view:
            return view.oldest()

    def undo(self, height: int) -> dict[bytes, bytes | None] | None:
        """Return what the keys that a block changed held before it; None when that is not kept."""
        with self.view() as view:
            return view.undo(height)

    # --- housekeeping

    @contextmanager
    def snapshot(self) -> Iterator[tuple[Txn, StateView]]:
        """Open everything at one moment, for a long walk such as the check."""
        with self._environment.read() as txn:
            yield txn, StateView(txn)

    @contextmanager
    def journal_walk(self) -> Iterator[tuple[Peek, StateView]]:
        """Open the whole journal and the state at one moment, for a long walk."""
        while True:
            with self.view() as view, self._environment.peek() as peek:
                if bytes(peek.get(META, blocks.HEAD_KEY) or b"") == view.head.encode():
                    yield peek, view
                    return

    @contextmanager
    def peek(self) -> Iterator[Peek]:
        """Open history at one moment, without copies."""
        with self._environment.peek() as peek:
            yield peek
