"""The definition of the chain: what a block does to the state. Nothing here keeps anything; the caller
applies.

It joins the program machine (`vm/`) with the builtin contracts (`contracts/`) and says when a transaction may
stand in a block. It does not know how blocks are agreed on, signed, stored or sent.

*Rule*: a transaction that is not admissible makes its block invalid, so it never has a receipt; a program
that fails while it runs has one, and has used its nonce and its gas. Signatures are verified by the caller,
once.

*Source*: contracts.md 3; ARCHITECTURE.md, The walk of a block.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from protocol.chain.evidence import Evidence
from protocol.chain.genesis import Genesis
from protocol.chain.receipt import Receipt
from protocol.chain.transaction import SignedTransaction
from protocol.chain.validators import EpochRecord
from protocol.errors import Rejected
from protocol.types import Address, BlockId, Gas, Hash32, Height, PublicKey, Seconds, TimeMs, TxId
from protocol.vm.view import JournalRow, StateReader


@dataclass(frozen=True, slots=True)
class ChainRules:
    """What genesis fixes for every block."""

    genesis_hash: Hash32
    chain_name: str
    utc_offset_seconds: int
    is_dev: bool


@dataclass(frozen=True, slots=True)
class BlockContext:
    """What a block knows before its transactions run."""

    height: Height
    time_ms: TimeMs
    parent_id: BlockId
    record: EpochRecord
    proposer: PublicKey


@dataclass(frozen=True, slots=True)
class Admission:
    """Say who pays for a transaction and how much gas it may use at most."""

    payer: Address
    gas: Gas


@dataclass(frozen=True, slots=True)
class Execution:
    """What a block did.

    Args:
        writes: state keys that changed, ascending; None deletes.
        receipts: one a transaction, in order.
        receipt_bytes: the same, encoded, as they stand under the root.
        journal: posted movements in order.
        touched: for each transaction the addresses it concerns, in order of appearance.
        gas: sum of the gas used.
        next_record: the epoch record that follows this block, when the block is a seal.
    """

    writes: Mapping[bytes, bytes | None]
    receipts: tuple[Receipt, ...]
    receipt_bytes: tuple[bytes, ...]
    receipts_root: Hash32
    journal: tuple[JournalRow, ...]
    touched: tuple[tuple[Address, ...], ...]
    gas: Gas
    next_record: EpochRecord | None = None


def rules_of(genesis: Genesis) -> ChainRules:
    """Return the rules that a genesis document fixes."""
    return ChainRules(genesis.compute_hash(), genesis.name, genesis.utc_offset_seconds, genesis.is_dev)


def apply_genesis(genesis: Genesis) -> Execution:
    """Run the founding programs on an empty state, with authority `system("gov")`.

    Raises:
        Rejected: a program is ill-typed or fails; the detail says which.
    """
    raise NotImplementedError


def execute_block(
    state: StateReader,
    rules: ChainRules,
    context: BlockContext,
    transactions: tuple[SignedTransaction, ...],
    evidence: tuple[Evidence, ...],
) -> Execution:
    """Run a block on the state before it; nothing is written.

    Raises:
        Rejected: INVALID_BLOCK when a limit is broken, else the code of the inadmissible transaction.
    """
    raise NotImplementedError


def build_block(
    state: StateReader,
    rules: ChainRules,
    context: BlockContext,
    candidates: Iterable[SignedTransaction],
    evidence: tuple[Evidence, ...],
    txs_max: int,
    bytes_max: int,
    gas_max: int,
) -> tuple[Execution, tuple[SignedTransaction, ...], tuple[tuple[TxId, Rejected], ...]]:
    """Take the admissible candidates in order until a limit is met, and run them.

    Returns: the execution, the transactions taken, and those refused with the reason (those that merely did
        not fit are in neither).
    """
    raise NotImplementedError


def check_admission(state: StateReader, rules: ChainRules, time: Seconds, tx: SignedTransaction) -> Admission:
    """Check whether a transaction could stand in a block at this time on this state.

    Raises:
        Rejected: with the code of the first rule that is broken; NONCE_GAP can be tried again.
    """
    raise NotImplementedError


def simulate(state: StateReader, rules: ChainRules, context: BlockContext, tx: SignedTransaction) -> Receipt:
    """Return the receipt that a transaction would have as the only one of a block.

    Rules: 1. a transaction without any signature is run as if its actors had signed.

    Raises:
        Rejected: it is not admissible.
    """
    raise NotImplementedError
