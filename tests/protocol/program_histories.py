"""Histories of random programs in a town, each step checked: what `scripts/programs` and a test run.

A history draws programs, puts those that are admissible into blocks and those of the board between them, lets
time pass, and at its end takes everything once more from genesis. The same seed makes the same history.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from protocol import crypto
from protocol.chain.transaction import SignedTransaction
from protocol.chain.validators import EngineKind
from protocol.codec import decode
from protocol.contracts import REGISTRY, sched
from protocol.contracts.ledger import accounts as ledger
from protocol.errors import Rejected
from protocol.params import BLOCK_BYTES_MAX, BLOCK_GAS_MAX, BLOCK_TXS_MAX, STATE_VALUE_BYTES_MAX
from protocol.transition import BlockContext, build_block, execute_block, simulate
from protocol.types import BlockId, Hash32, Seconds
from protocol.vm.program import parse_template
from protocol.vm.view import View
from tests.bench.gas_cases import REGISTER
from tests.protocol.contracts.coop_world import DAY, TREASURY
from tests.protocol.drawn_programs import Draft, Drawer, list_instructions, sign
from tests.protocol.ledger_world import NONE
from tests.protocol.town import GovStep, Town, found_town
from tests.protocol.town_books import Books, check_no_trace

HISTORY_PROGRAMS: Final = 500
BLOCK_PROGRAMS: Final = 8
SLOW: Final = (1, 1, 1, 5, 20, 60)
PAUSES: Final = (
    SLOW,
    (*SLOW, 100, 400, 1_000),
    (1, 60, 400, 4_000, 40_000, 90_000),
    (1, 4_000, 90_000, 3 * DAY, 16 * DAY, 61 * DAY, 366 * DAY),
)
"""Seconds between blocks; each history keeps to one line, so that some see a vote through and some a year."""
ALONE: Final = 0.25
"""Share of the programs that are also simulated and run alone."""
SHUFFLED: Final = 0.1
"""Share of the blocks whose independent programs are also run in another order."""
HALTED: Final = 0.2
"""Share of the towns in which payments do not go out by themselves for a week, and have to be asked for."""
ON_BFT: Final = 0.2
"""Share of the towns that run BFT, from which a door of its own leads back to Raft."""
LIMITS: Final = (BLOCK_TXS_MAX, BLOCK_BYTES_MAX, BLOCK_GAS_MAX)


@dataclass(slots=True)
class Report:
    """What was run. Reports of several histories can be added."""

    programs: int = 0
    succeeded: int = 0
    failed: int = 0
    refused: int = 0
    jobs: int = 0
    alone: int = 0
    shuffled: int = 0
    blocks: int = 0
    tried: Counter[tuple[int, int]] = field(default_factory=Counter)
    done: Counter[tuple[int, int]] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    roots: list[Hash32] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        """Add another report to this one."""
        for name in ("programs", "succeeded", "failed", "refused", "jobs", "alone", "shuffled", "blocks"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.tried += other.tried
        self.done += other.done
        self.codes += other.codes
        self.roots += other.roots

    def list_never(self) -> list[str]:
        """List the methods that never succeeded."""
        return [
            f"{contract.name}.{method.name}"
            for contract in REGISTRY.contracts
            for method in contract.methods
            if not self.done[int(contract.id), method.id]
        ]


class History:
    """One town, what is drawn for it and what is found out."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.town: Town = found_town()
        if random.random() < ON_BFT:
            self.town.record = replace(self.town.genesis.epoch, engine=EngineKind.BFT)
        if random.random() < HALTED:
            self.town.gov((REGISTER, 4, NONE, (TREASURY, 16, 7 * DAY)))
        self.report = Report()
        self._drawer = Drawer(random, self.town)
        self._books = Books(self.town.state)
        self._sequence = 1 << 32
        self._pauses = random.choice(PAUSES)

    def run(self, programs: int) -> Report:
        """Run so many programs, then take the whole history again.

        Raises:
            AssertionError: a rule does not hold.
        """
        report = self.report
        for draft, seconds in self._drawer.opening()[:programs]:
            self._run([draft], seconds)
        while report.programs < programs:
            self._step(min(BLOCK_PROGRAMS, programs - report.programs))
        report.roots.append(self.town.replay())
        return report

    def _step(self, count: int) -> None:
        """Draw programs and run them: those of the board, then a block of the rest."""
        drafts = [self._drawer.draft() for _ in range(self.random.randint(1, count))]
        self._run(drafts, self.random.choice(self._pauses))

    def _run(self, drafts: list[Draft], seconds: int) -> None:
        town, report = self.town, self.report
        report.programs += len(drafts)
        for draft in drafts:
            for contract, number, _, _ in draft.calls:
                report.tried[contract, number] += 1
        for draft in drafts:
            if draft.is_gov:
                self._run_gov(draft)
        made: list[SignedTransaction] = []
        for draft in drafts:
            if not draft.is_gov:
                self._sequence += 1
                made.append(sign(town, draft, self._sequence, seconds))
        self._run_block(made, seconds)
        self._stop_upgrades()

    def _run_gov(self, draft: Draft) -> None:
        try:
            outcome = self.town.gov_outcome(*list_instructions(draft))
        except Rejected as rejected:
            self._refuse(rejected)
            return
        step = self.town.steps[-1]
        assert isinstance(step, GovStep)
        self._books.check(step.writes, step.journal)
        self._count(outcome.code)
        if outcome.code == 0:
            self._learn(tuple((c, m) for c, m, _, _ in draft.calls), outcome.results)

    def _run_block(self, made: list[SignedTransaction], seconds: int) -> None:
        random, town = self.random, self.town
        parent_id = BlockId(crypto.sha256(b"%d" % random.getrandbits(32)))
        context = replace(town.next_context(seconds), parent_id=parent_id)
        jobs = self._list_jobs(Seconds(context.time_ms // 1_000))
        built, taken, dropped = build_block(town.state, town.rules, context, made, (), *LIMITS)
        for _, why in dropped:
            self._refuse(why)
        for tx in taken:
            if random.random() < ALONE:
                self._run_alone(context, tx)
        if len(taken) > 2 and random.random() < SHUFFLED:
            self._shuffle(context, taken)
        town.keep(context, taken, built)
        self.report.blocks += 1
        self._books.check(built.writes, built.journal)
        for tx, receipt, touched in zip(taken, built.receipts, built.touched, strict=True):
            self._count(receipt.code)
            assert receipt.gas <= tx.tx.gas_limit
            if receipt.is_ok:
                self._learn(_list_called(tx), receipt.results)
            else:
                assert receipt.events == () and receipt.results == () and touched == tx.tx.actors
        for receipt in built.job_receipts:
            self.report.jobs += 1
            assert receipt.is_ok or [e.contract for e in receipt.events] == [sched.ID]
            if receipt.is_ok:
                self.report.done.update(jobs.get(receipt.tx_id, ()))

    def _run_alone(self, context: BlockContext, tx: SignedTransaction) -> None:
        """Simulate a program and run it as the only one of a block: the same receipt, or no trace."""
        town = self.town
        try:
            expected = simulate(town.state, town.rules, context, tx)
        except Rejected:
            return  # it stands on another one of its block
        alone = execute_block(town.state, town.rules, context, (tx,), ())
        assert alone.receipts == (expected,), "simulation differs"
        if not expected.is_ok:
            check_no_trace(alone, execute_block(town.state, town.rules, context, (), ()))
        self.report.alone += 1

    def _shuffle(self, context: BlockContext, taken: tuple[SignedTransaction, ...]) -> None:
        """Run the programs of a block that do not read what another writes, in two orders: the same state."""
        town = self.town
        chosen = self._choose_independent(context, taken)
        if len(chosen) < 2:
            return
        found = []
        for n in range(2):
            parent_id = BlockId(crypto.sha256(context.parent_id + bytes([n])))
            other = replace(context, parent_id=parent_id)
            done, order, _ = build_block(town.state, town.rules, other, chosen, (), *LIMITS)
            receipts = {tx.id: (r.code, r.results, r.gas) for tx, r in zip(order, done.receipts, strict=True)}
            found.append((receipts, {key: _strip(key, raw) for key, raw in done.writes.items()}))
        assert found[0] == found[1], "another order, another state"
        self.report.shuffled += 1

    def _choose_independent(
        self, context: BlockContext, taken: tuple[SignedTransaction, ...]
    ) -> list[SignedTransaction]:
        """Choose programs of which none reads what another writes; adding to the same total is allowed."""
        town = self.town
        chosen: list[SignedTransaction] = []
        read: set[bytes] = set()
        walked: set[bytes] = set()
        written: set[bytes] = set()
        totals: set[bytes] = set()
        usual = _Watched(town)
        empty = execute_block(usual, town.rules, context, (), ())
        for tx in taken:
            reader = _Watched(town)
            try:
                alone = execute_block(reader, town.rules, context, (tx,), ())
            except Rejected:
                continue
            changed = {key for key in alone.writes if alone.writes[key] != empty.writes.get(key, b"")}
            mine = {key for key in changed if key[:3] != ledger.TOTAL.prefix}
            their_reads = reader.read | mine
            walks = set(reader.walked - usual.walked)
            crosses = mine & (read | written) or their_reads & written
            crosses = crosses or any(key.startswith(p) for key in changed for p in walked)
            if crosses or any(key.startswith(p) for key in totals | written for p in walks):
                continue
            chosen.append(tx)
            read |= their_reads
            walked |= walks
            written |= mine
            totals |= changed
        return chosen

    def _list_jobs(self, time: Seconds) -> dict[bytes, list[tuple[int, int]]]:
        """Find what the jobs that are due will call, by the id of their run."""
        view = View(self.town.state)
        found = {}
        for number in sched.list_due(view, time):
            row = sched.get_job(view, number)
            assert row is not None
            try:
                program = decode(sched.get_program(view, number), 1 << 15)
                template = parse_template(program, REGISTRY, 1, must_pin=False)
            except Rejected:
                continue
            calls = [s for s in template.program if hasattr(s, "method")]
            found[bytes(sched.compute_run_id(number, row))] = [
                (int(c.contract.id), c.method.id) for c in calls
            ]
        return found

    def _stop_upgrades(self) -> None:
        """Call upgrades off that a validator says it has: nobody here has another version to go on with."""
        upgrades = self.town.ask("registry", "upgrades")
        assert type(upgrades) is tuple
        for row in upgrades:
            assert type(row) is tuple
            self.town.gov((REGISTER, 8, NONE, (row[0],)))

    def _learn(self, called: tuple[tuple[int, int], ...], results: tuple[object, ...]) -> None:
        for (contract, number), result in zip(called, results, strict=False):
            if not contract:
                continue  # an assertion
            self.report.done[contract, number] += 1
            self._drawer.learn(REGISTRY.methods[contract, number][1].result, result)  # type: ignore[arg-type]

    def _count(self, code: int) -> None:
        self.report.codes[code] += 1
        self.report.succeeded += code == 0
        self.report.failed += code != 0

    def _refuse(self, why: Rejected) -> None:
        self.report.codes[int(why.code)] += 1
        self.report.refused += 1


class _Watched:
    """A state that remembers what was read of it."""

    def __init__(self, town: Town) -> None:
        self._state = town.state
        self.read: set[bytes] = set()
        self.walked: Counter[bytes] = Counter()

    def get(self, key: bytes) -> bytes | None:
        if key[:3] != ledger.TOTAL.prefix:
            self.read.add(key)
        return self._state.get(key)

    def scan(self, prefix: bytes, start: bytes | None = None):  # type: ignore[no-untyped-def]
        self.walked[prefix] += 1
        return self._state.scan(prefix, start)


def _list_called(tx: SignedTransaction) -> tuple[tuple[int, int], ...]:
    instructions = tx.tx.program[1]  # type: ignore[index]
    return tuple((call[0], call[1]) for call in instructions)  # type: ignore[index, union-attr, misc]


def _strip(key: bytes, raw: bytes | None) -> object:
    """Leave out of an account what says where in the block it moved."""
    if raw is None or key[:3] != ledger.ACCOUNT.prefix:
        return raw
    row = decode(raw, STATE_VALUE_BYTES_MAX)
    assert type(row) is tuple
    return row[:7]


def run_history(seed: int, programs: int = HISTORY_PROGRAMS) -> Report:
    """Run the history of a seed."""
    return History(Random(seed)).run(programs)


def list_seeds(first: int, programs: int) -> list[int]:
    """List the seeds of so many programs: one for each history, whichever process runs it."""
    return list(range(first, first - (-programs // HISTORY_PROGRAMS)))
