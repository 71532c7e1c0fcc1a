"""The definition of the chain: what a block does to the state. Nothing here keeps anything; the caller
applies.

It joins the program machine (`vm/`) with the builtin contracts (`contracts/`) and says when a transaction may
stand in a block. It does not know how blocks are agreed on, signed, stored or sent.

*Rule*: a transaction that is not admissible makes its block invalid, so it never has a receipt; a program
that fails while it runs has one, and has used its nonce and its gas. Signatures are verified by the caller,
once.

*Source*: contracts.md 3; ARCHITECTURE.md, The walk of a block.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from protocol import codec, crypto
from protocol.admission import ChainRules, admit
from protocol.chain.conviction import Conviction, check_evidence
from protocol.chain.evidence import Evidence
from protocol.chain.genesis import Genesis, read_founding
from protocol.chain.order import check_order, order_transactions
from protocol.chain.receipt import Event, Receipt
from protocol.chain.transaction import SignedTransaction
from protocol.chain.validators import EpochRecord
from protocol.codec import Value
from protocol.contracts import REGISTRY, auth, conduct, grants, sched
from protocol.contracts.ledger.accounts import FEE_INCOME, MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.holds import expire_holds
from protocol.contracts.ledger.legs import post
from protocol.contracts.members.standing import settle_due
from protocol.contracts.parameters import BLOCK_GAS, JOBS_GAS, get_value, settle_values
from protocol.contracts.registry.epochs import find_seal_time, take_seal
from protocol.contracts.registry.upgrades import get_running, get_versions, settle_upgrades
from protocol.errors import CallFailed, Code, Reason, Rejected, VersionsMissing
from protocol.merkle.proof import list_root
from protocol.money import compute_day
from protocol.params import (
    BLOCK_BYTES_MAX,
    BLOCK_EVIDENCE_MAX,
    BLOCK_GAS_MAX,
    BLOCK_TXS_MAX,
    EVIDENCE_BLOCKS_MAX,
    JOB_INDEX_FIRST,
    PROGRAM_STORED_INSTRUCTIONS_MAX,
)
from protocol.types import (
    Address,
    BlockId,
    EpochNumber,
    Gas,
    Hash32,
    Height,
    PublicKey,
    Seconds,
    TimeMs,
    TxId,
)
from protocol.vm.context import Environment, JobRun, JournalReader, QueryContext
from protocol.vm.contract import GOV, RETIRED, Registry, Versions
from protocol.vm.execute import Outcome, run_program, run_stored
from protocol.vm.program import parse_program
from protocol.vm.view import GAS_UNLIMITED, JournalRow, MemoryState, StateReader, View

TIME_MS_MIN: Final = 7 * 86_400_000
"""A chain is founded after the first week of 1970, so that no offset makes a calendar day negative."""
TIME_MS_MAX: Final = (1 << 40) * 1_000
"""Block times fit the 48 bits that keys have for seconds, with room for every expiry."""


@dataclass(frozen=True, slots=True)
class BlockContext:
    """What a block knows before its transactions run.

    Args:
        find_epoch: finds the records of epochs that have ended, for evidence; None: there are none.
    """

    height: Height
    time_ms: TimeMs
    parent_id: BlockId
    record: EpochRecord
    proposer: PublicKey
    find_epoch: Callable[[EpochNumber], EpochRecord | None] | None = None


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
        job_receipts: one a run of a job, in order. They are not under the receipts root: the state record
            `sched.history` proves them, and their places in the block begin at `JOB_INDEX_FIRST`.
        job_receipt_bytes: the same, encoded.
        job_touched: for each run of a job the addresses it concerns.
    """

    writes: Mapping[bytes, bytes | None]
    receipts: tuple[Receipt, ...]
    receipt_bytes: tuple[bytes, ...]
    receipts_root: Hash32
    journal: tuple[JournalRow, ...]
    touched: tuple[tuple[Address, ...], ...]
    gas: Gas
    next_record: EpochRecord | None = None
    job_receipts: tuple[Receipt, ...] = ()
    job_receipt_bytes: tuple[bytes, ...] = ()
    job_touched: tuple[tuple[Address, ...], ...] = ()


def rules_of(genesis: Genesis) -> ChainRules:
    """Return the rules that a genesis document fixes."""
    return ChainRules(genesis.compute_hash(), genesis.name, genesis.utc_offset_seconds, genesis.is_dev)


def apply_genesis(genesis: Genesis) -> Execution:
    """Run the founding programs on an empty state, with authority `system("gov")` and that of the founders.

    Rules: 1. a program has at most 256 instructions. 2. all succeed, or the chain is not founded.

    Raises:
        Rejected: a program is ill-typed or fails; the detail says which and why.
    """
    if not TIME_MS_MIN <= genesis.time_ms <= TIME_MS_MAX:
        raise Rejected(Code.INVALID_BLOCK, f"time {genesis.time_ms} ms, from {TIME_MS_MIN} to {TIME_MS_MAX}")
    run = _Block(MemoryState(), rules_of(genesis), Height(0), genesis.time_ms, genesis.epoch)
    for index, value in enumerate(genesis.programs):
        try:
            founders, raw = read_founding(value)
            program = parse_program(raw, run.registry, len(founders), PROGRAM_STORED_INSTRUCTIONS_MAX)
        except Rejected as rejected:
            raise Rejected(rejected.code, f"founding program {index}: {rejected.detail}") from None
        environment = run.environment(index, crypto.sha256(codec.encode(value)), founders, GOV.name)
        outcome = run_program(run.view, run.registry, environment, program)
        if outcome.code != Code.OK:
            raise Rejected(
                outcome.code,
                f"founding program {index}, instruction {outcome.failed_instruction}: {outcome.reason}",
            )
        run.view.events.clear()
    return run.finish()


def execute_block(
    state: StateReader,
    rules: ChainRules,
    context: BlockContext,
    transactions: tuple[SignedTransaction, ...],
    evidence: tuple[Evidence, ...],
) -> Execution:
    """Run a block on the state before it; nothing is written.

    Rules: 1. at most 5,000 transactions, 4 MiB of them, 16 pieces of evidence, 120 M gas used. 2. the
        transactions stand in the order of `chain/order.py`. 3. each is admissible where it stands. 4. each
        piece of evidence convicts, and is news.

    Raises:
        Rejected: INVALID_BLOCK when a limit is broken, else the code of the inadmissible transaction, or of
            `check_accusation`.

    Cost: see tests/bench/bench_vm.py.
    """
    if len(transactions) > BLOCK_TXS_MAX:
        raise Rejected(Code.INVALID_BLOCK, f"{len(transactions)} transactions, limit {BLOCK_TXS_MAX}")
    size = sum([len(tx.raw) for tx in transactions])
    if size > BLOCK_BYTES_MAX:
        raise Rejected(Code.INVALID_BLOCK, f"{size} bytes of transactions, limit {BLOCK_BYTES_MAX}")
    if len(evidence) > BLOCK_EVIDENCE_MAX:
        raise Rejected(Code.INVALID_BLOCK, f"{len(evidence)} pieces of evidence, limit {BLOCK_EVIDENCE_MAX}")
    if not 0 <= context.time_ms <= TIME_MS_MAX:
        raise Rejected(Code.INVALID_BLOCK, f"time {context.time_ms} ms, limit {TIME_MS_MAX}")
    check_order(context.parent_id, transactions)
    run = _Block(state, rules, context.height, context.time_ms, context.record)
    run.begin(context, evidence)
    for tx in transactions:
        run.apply(tx)
        if run.gas > run.gas_max:
            raise Rejected(Code.INVALID_BLOCK, f"{run.gas} gas, limit {run.gas_max}")
    return run.finish()


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
    """Bring candidates into the order of a block, and run those that are admissible until a limit is met.

    Rules: 1. a candidate that could pass a limit is left out and the rest is still looked at, so a large one
        does not hold up small ones; the walk ends with the number of transactions. 2. whom a limit leaves out
        is chance: a caller for whom that matters brings no more candidates than fit.

    Returns: the execution, the transactions taken, and those refused with the reason (those that merely did
        not fit are in neither).
    """
    assert txs_max <= BLOCK_TXS_MAX and bytes_max <= BLOCK_BYTES_MAX and gas_max <= BLOCK_GAS_MAX
    assert len(evidence) <= BLOCK_EVIDENCE_MAX
    run = _Block(state, rules, context.height, context.time_ms, context.record)
    run.begin(context, evidence)
    taken: list[SignedTransaction] = []
    dropped: list[tuple[TxId, Rejected]] = []
    size = 0
    for tx in order_transactions(context.parent_id, candidates):
        if len(taken) == txs_max:
            break
        if size + len(tx.raw) > bytes_max or run.gas + tx.tx.gas_limit > min(gas_max, run.gas_max):
            continue
        try:
            run.apply(tx)
        except Rejected as rejected:
            dropped.append((tx.id, rejected))
            continue
        taken.append(tx)
        size += len(tx.raw)
    return run.finish(), tuple(taken), tuple(dropped)


def check_admission(state: StateReader, rules: ChainRules, time: Seconds, tx: SignedTransaction) -> Admission:
    """Check whether a transaction could stand in a block at this time on this state.

    Raises:
        Rejected: with the code of the first rule that is broken; NONCE_GAP can be tried again.
        VersionsMissing: a version that runs is not installed here.

    Cost: about 8 us.
    """
    view = View(state)
    admitted = admit(view, _registry_of(view), rules, time, tx)
    if admitted.fee:
        environment = Environment(time, 0, Height(0), 0, tx.id, tx.tx.actors)
        _charge_fee(view, environment, admitted.payer, admitted.fee_asset, admitted.fee)
    return Admission(admitted.payer, tx.tx.gas_limit)


def check_accusation(
    state: StateReader, rules: ChainRules, context: BlockContext, evidence: Evidence
) -> None:
    """Check whether evidence could stand in a block.

    Rules: 1. its epoch runs, or has ended, and the deed lies inside it. 2. the deed is at most 100,000 blocks
        old. 3. the chain does not know of it yet. 4. it convicts (`chain/conviction.py`).

    Raises:
        Rejected: EXISTS, EXPIRED (rule 2), BAD_PROOF (can be tried again when its epoch has not begun), or
            what reading its statements raises.

    Cost: two signature checks, about 100 us.
    """
    _check_accusation(View(state), rules, context, evidence)


def _check_accusation(view: View, rules: ChainRules, context: BlockContext, evidence: Evidence) -> Conviction:
    record, last_height = _find_epoch(context, evidence.epoch)
    is_inside = record.first_height <= evidence.height and (not last_height or evidence.height <= last_height)
    if not is_inside:
        raise Rejected(Code.BAD_PROOF, f"evidence: height {evidence.height} is not in epoch {record.number}")
    age = context.height - evidence.height
    if age > EVIDENCE_BLOCKS_MAX:
        raise Rejected(Code.EXPIRED, f"evidence: {age} blocks old, limit {EVIDENCE_BLOCKS_MAX}")
    conduct.check_news(view, evidence)
    return check_evidence(evidence, record, rules.genesis_hash)


def _find_epoch(context: BlockContext, number: EpochNumber) -> tuple[EpochRecord, int]:
    """Return an epoch's record and last height; 0: it runs."""
    if number == context.record.number:
        return context.record, 0
    find = context.find_epoch
    record = None if find is None or number > context.record.number else find(number)
    following = None if find is None or record is None else find(EpochNumber(number + 1))
    if record is None or following is None:
        is_ahead = number > context.record.number
        raise Rejected(Code.BAD_PROOF, f"evidence: no epoch {number} is known", retry=is_ahead)
    return record, following.first_height - 1


def simulate(state: StateReader, rules: ChainRules, context: BlockContext, tx: SignedTransaction) -> Receipt:
    """Return the receipt that a transaction would have as the only one of a block.

    Rules: 1. a transaction without any signature is run as if its actors had signed.

    Raises:
        Rejected: it is not admissible.
    """
    run = _Block(state, rules, context.height, context.time_ms, context.record)
    run.begin(context)
    run.apply(tx, are_signatures_assumed=not tx.signatures)
    return run.receipts[0]


def is_epoch_ending(state: StateReader) -> bool:
    """Tell whether the end of the epoch is decided."""
    return find_seal_time(View(state)) is not None


def next_due_time(state: StateReader) -> Seconds | None:
    """Return the earliest block time at which a job or the end of the epoch is due, or None: an idle chain
    makes a block then, and so many more as the end of the epoch is away."""
    view = View(state)
    due, seal = sched.next_due(view), find_seal_time(view)
    return due if seal is None else seal if due is None else min(due, seal)


def list_missing_versions(state: StateReader) -> Versions:
    """List the (contract, version) that the block after this state runs and this software does not have.

    A node for which there is one must stop: its next block would be another one than that of the others.
    """
    view = View(state)
    running = [pair for pair in get_versions(view) if pair[1] != RETIRED]
    return tuple([pair for pair in running if not REGISTRY.has(*pair, get_running(view, pair[0])[0])])


def find_package(state: StateReader, contract: int) -> str:
    """Return the package by which the running version of a contract comes; empty: with this program."""
    view = View(state)
    is_changed = any(number == contract for number, _ in get_versions(view))
    return get_running(view, contract)[1] if is_changed else ""


def _registry_of(view: View) -> Registry:
    """Return the contracts in the versions that a state names.

    Raises:
        VersionsMissing: what is written can be read before its node has stopped.
    """
    versions = get_versions(view)
    found = REGISTRY.at(versions)
    if found is None:
        running = [pair for pair in versions if pair[1] != RETIRED]
        raise VersionsMissing(tuple([pair for pair in running if REGISTRY.find(*pair) is None]))
    return found


def answer_query(
    state: StateReader,
    time: Seconds,
    contract: str,
    query: str,
    arguments: Value,
    journal: JournalReader | None,
    utc_offset_seconds: int = 0,
) -> Value:
    """Answer a query of a contract on a state.

    Args:
        arguments: one value for each argument of the query's schema; last ones that may be None can be left
            out.
        journal: rows of statements; without it every statement is empty.
        utc_offset_seconds: of the co-op's calendar.

    Raises:
        Rejected: UNKNOWN_METHOD, or TYPE when an argument is not what the schema says.
        VersionsMissing: a version that runs is not installed here.
    """
    view = View(state)
    found = _registry_of(view).find_query(contract, query)
    if type(arguments) is not tuple:
        raise Rejected(Code.TYPE, f"{contract}.{query} takes a list of arguments")
    arguments += tuple([None for left in found.arguments[len(arguments) :] if left.kind.holds(None)])
    if len(arguments) != len(found.arguments):
        raise Rejected(Code.TYPE, f"{contract}.{query} takes {len(found.arguments)} arguments")
    for field, value in zip(found.arguments, arguments, strict=True):
        if not field.kind.holds(value):
            raise Rejected(Code.TYPE, f"{contract}.{query}: {field.name} is not {field.kind.name}")
    answer = found.run(QueryContext(view, time, journal, utc_offset_seconds), *arguments)
    assert found.result.holds(answer), f"{contract}.{query} answered what its schema does not allow"
    return answer


class _Block:
    """One block while it runs: the view, and what is collected beside it."""

    __slots__ = (
        "_day",
        "_height",
        "_job_receipt_bytes",
        "_job_touched",
        "_next_record",
        "_receipt_bytes",
        "_record",
        "_rules",
        "_time",
        "_touched",
        "gas",
        "gas_max",
        "job_receipts",
        "receipts",
        "registry",
        "view",
    )

    def __init__(
        self, state: StateReader, rules: ChainRules, height: Height, time_ms: TimeMs, record: EpochRecord
    ) -> None:
        self.view = View(state)
        self.registry = _registry_of(self.view)
        self.gas = 0
        self.gas_max = BLOCK_GAS_MAX
        self.receipts: list[Receipt] = []
        self._receipt_bytes: list[bytes] = []
        self._touched: list[tuple[Address, ...]] = []
        self.job_receipts: list[Receipt] = []
        self._job_receipt_bytes: list[bytes] = []
        self._job_touched: list[tuple[Address, ...]] = []
        self._rules = rules
        self._height = height
        self._record = record
        self._next_record: EpochRecord | None = None
        self._time = Seconds(time_ms // 1_000)
        self._day = compute_day(self._time, rules.utc_offset_seconds)

    def begin(self, context: BlockContext, evidence: tuple[Evidence, ...] = ()) -> None:
        """Do what a block does by itself: use the values that were decided, end its epoch when it is due,
        convict by its evidence, put upgrades in force for the next block, give expired holds back, forget
        expired nonces, end and begin what members' terms say, run the jobs whose time has come.

        Raises:
            Rejected: as `check_accusation`.
        """
        view, height, time = self.view, self._height, self._time
        settle_values(view, height)
        self.gas_max = get_value(view, BLOCK_GAS)
        self._next_record = take_seal(view, height, time, self._record)
        for piece in evidence:
            conviction = _check_accusation(view, self._rules, context, piece)
            conduct.convict(view, height, piece, conviction)
        settle_upgrades(view, height, time, self._record, self.registry)
        expire_holds(view, time)
        auth.prune_seen(view, time)
        settle_due(view, int(height), int(time))
        view.forget_undo()
        self._run_jobs()

    def environment(
        self, index: int, program_id: bytes, actors: tuple[Address, ...], system: str | None = None
    ) -> Environment:
        """Return what the program at a place of this block can know."""
        offset = self._rules.utc_offset_seconds
        return Environment(
            self._time,
            self._day,
            self._height,
            index,
            program_id,
            actors,
            system,
            (),
            offset,
            epoch=self._record,
            genesis_hash=self._rules.genesis_hash,
        )

    def _run_jobs(self) -> None:
        """Run due jobs in order, until the next one could pass the gas budget; the rest waits for a block."""
        gas, gas_max = 0, get_value(self.view, JOBS_GAS)
        for number in sched.list_due(self.view, self._time):
            row = sched.get_job(self.view, number)
            if row is None:
                continue
            if gas + row[10] > gas_max:
                break
            gas += self._run_job(number, row)
        if self.job_receipts:
            sched.keep_history(self.view, self._height, self._job_receipt_bytes)
            self.view.forget_undo()

    def _run_job(self, number: int, row: sched.JobRow) -> Gas:
        """Run one job and add its receipt; returns the gas it used."""
        view, owner, contract_id = self.view, row[1], row[2]
        index, run_id = JOB_INDEX_FIRST + len(self.job_receipts), sched.compute_run_id(number, row)
        contract = self.registry.by_id.get(contract_id)
        environment = Environment(
            self._time,
            self._day,
            self._height,
            index,
            run_id,
            (owner,),
            None if contract is None else f"sched:{contract.name}",
            sched.read_parameters(row),
            self._rules.utc_offset_seconds,
            job=JobRun(),
            epoch=self._record,
            genesis_hash=self._rules.genesis_hash,
        )
        view.touched = {owner: None}
        refused = _check_free_gas(view, owner, row[10], self._time) if contract_id == 0 else None
        if refused is not None:
            outcome, gas = refused, Gas(0)
        else:
            program = sched.get_program(view, number)
            view.gas_used, view.gas_limit = 0, row[10]
            outcome = run_stored(view, self.registry, environment, program, contract_id == 0)
            gas, view.gas_limit = Gas(view.gas_used), GAS_UNLIMITED
            if contract_id == 0:
                auth.take_gas(view, owner, gas, self._time)
        told = sched.finish_run(view, environment, number, outcome.code == Code.OK)
        events = (*view.events, told) if told is not None else tuple(view.events)
        receipt = _make_receipt(run_id, self._height, index, outcome, gas, events)
        self.job_receipts.append(receipt)
        self._job_receipt_bytes.append(receipt.encode())
        self._job_touched.append(tuple(view.touched) if outcome.code == Code.OK else (owner,))
        view.events.clear()
        view.forget_undo()
        return gas

    def apply(self, signed: SignedTransaction, are_signatures_assumed: bool = False) -> None:
        """Admit and run one transaction and add its receipt.

        Raises:
            Rejected: it is not admissible; the view is as it was.
        """
        view, tx, time = self.view, signed.tx, self._time
        view.gas_limit = GAS_UNLIMITED
        admitted = admit(view, self.registry, self._rules, time, signed, are_signatures_assumed)
        holder, payer, grant, program, envelope_gas, fee_asset, fee = admitted
        view.touched = dict.fromkeys(tx.actors)
        index = len(self.receipts)
        environment = self.environment(index, signed.id, tx.actors)
        if fee:
            _charge_fee(view, environment, payer, fee_asset, fee)
        if signed.reveals:
            auth.keep_reveals(view, tx.actors, signed.reveals)

        view.gas_used, view.gas_limit = envelope_gas, tx.gas_limit
        outcome = run_program(view, self.registry, environment, program)
        gas, view.gas_limit = Gas(view.gas_used), GAS_UNLIMITED
        if grant:
            auth.use_nonce(view, holder, tx.lane, tx.sequence, tx.valid_until, signed.id)
            auth.take_gas(view, payer, gas, time)
            grants.charge_sponsor(view, self._day, grant, gas, fee_asset, fee)
        else:
            auth.settle(view, payer, tx.lane, tx.sequence, tx.valid_until, signed.id, gas, time)

        receipt = _make_receipt(signed.id, self._height, index, outcome, gas, tuple(view.events))
        self.receipts.append(receipt)
        self._receipt_bytes.append(receipt.encode())
        self._touched.append(tuple(view.touched) if outcome.code == Code.OK else tx.actors)
        self.gas += gas
        view.events.clear()
        view.forget_undo()

    def finish(self) -> Execution:
        """Pack what changed and compute the root of the receipts."""
        return Execution(
            self.view.collect_writes(),
            tuple(self.receipts),
            tuple(self._receipt_bytes),
            list_root(self._receipt_bytes),
            tuple(self.view.journal),
            tuple(self._touched),
            Gas(self.gas),
            self._next_record,
            tuple(self.job_receipts),
            tuple(self._job_receipt_bytes),
            tuple(self._job_touched),
        )


def _make_receipt(
    program_id: bytes, height: Height, index: int, outcome: Outcome, gas: Gas, events: tuple[Event, ...]
) -> Receipt:
    results, failed = outcome.results, outcome.failed_instruction
    return Receipt(
        TxId(program_id), height, index, outcome.code, gas, results, events, failed, outcome.reason
    )


def _check_free_gas(view: View, owner: Address, gas: int, time: Seconds) -> Outcome | None:
    """Return why a member's job cannot be paid for, or None: jobs live on the free quota alone."""
    row = auth.ACCOUNT.peek(view, auth.ACCOUNT.prefix + owner)
    if row is None:
        return Outcome(Code.NO_ACCOUNT, (), None, Reason("sched.owner", None, owner))
    available = auth.available_gas(view, row, time)
    if available < gas:
        return Outcome(Code.NO_QUOTA, (), None, Reason("auth.free_gas", available, gas))
    return None


def _charge_fee(view: View, environment: Environment, payer: Address, asset: int, fee: int) -> None:
    """Post the fee for gas above the free quota.

    Raises:
        Rejected: NO_QUOTA when the payer cannot pay it; the view is as it was.
    """
    income = account_key(auth.CONTRACT.address, FEE_INCOME, asset)
    mark = view.mark()
    try:
        open_account(view, income)
        post(view, environment, account_key(payer, MEMBER_FREE, asset), income, fee, auth.CODE_FEE)
    except CallFailed as failure:
        view.rewind(mark)
        raise Rejected(Code.NO_QUOTA, f"the fee of {fee}: {failure}", retry=True) from None
