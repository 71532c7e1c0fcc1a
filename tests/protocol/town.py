"""A co-op with everything in it, which remembers each of its steps: what random programs run in.

It is the hall of the gas cases with a council, keepers of cash, an account of several keys and an open quota.
A step is a block, or a program with the authority of a passed proposal, run between two blocks. `replay`
takes all steps again from genesis. `drawn_programs.py` says what is drawn, `town_books.py` what must hold.
"""

from dataclasses import dataclass, replace

from protocol.chain.transaction import SignedTransaction
from protocol.chain.validators import EpochRecord
from protocol.codec import Value, encode
from protocol.contracts import REGISTRY, auth, sched
from protocol.contracts.assets.records import AUDITOR
from protocol.contracts.conduct import CONVICTIONS
from protocol.contracts.ledger.accounts import CUSTODY
from protocol.contracts.members.records import BOARD
from protocol.contracts.policies import list_keys, read_policy
from protocol.contracts.registry.records import COUNCIL
from protocol.crypto import sha256
from protocol.merkle.tree import StateTree
from protocol.money import compute_day
from protocol.transition import BlockContext, Execution, apply_genesis, execute_block
from protocol.types import Address, Hash32, Height, PublicKey, Seconds
from protocol.vm.context import Environment
from protocol.vm.execute import Outcome, run_program
from protocol.vm.program import parse_program
from protocol.vm.view import JournalRow, MemoryState, View
from tests.bench.coop_gas_cases import DAN, make_coop_world
from tests.bench.gas_cases import (
    BANK,
    CLUB,
    MULTISIG,
    NODE,
    NORTH,
    PAY_OUT,
    PINS,
    RECOVERY,
    REGISTER,
    SCHED,
    SHY,
    TWO,
    account,
    propose,
    tagged,
)
from tests.protocol.contracts.test_elections import Assembly
from tests.protocol.ledger_world import (
    ALICE,
    ASSETS,
    AUTH,
    BOB,
    CAROL,
    COOP,
    LEDGER,
    NONE,
    STRANGER,
    TILL,
    person,
)

QUOTA_GAS_PER_DAY = 20_000_000
"""The most that the parameter allows: here nobody stands still for want of gas."""
TREE_BITS = 8
NEWCOMERS = tuple(person(f"newcomer {n}") for n in range(4))


@dataclass(frozen=True, slots=True)
class BlockStep:
    """A block as it was executed."""

    context: BlockContext
    transactions: tuple[SignedTransaction, ...]
    execution: Execution


@dataclass(frozen=True, slots=True)
class GovStep:
    """A program with the authority of a passed proposal, and what came of it."""

    environment: Environment
    calls: tuple[Value, ...]
    code: int
    writes: dict[bytes, bytes | None]
    journal: tuple[JournalRow, ...]


Step = BlockStep | GovStep


class Town(Assembly):
    """A world that remembers its steps."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.record: EpochRecord | None = None
        super().__init__()

    def next_context(self, seconds: int = 1) -> BlockContext:
        record = self.genesis.epoch if self.record is None else self.record
        proposer = record.validators[0].consensus_key
        return replace(super().next_context(seconds), record=record, proposer=proposer)

    def keep(
        self, context: BlockContext, transactions: tuple[SignedTransaction, ...], execution: Execution
    ) -> None:
        super().keep(context, transactions, execution)
        self.record = execution.next_record or self.record
        self.steps.append(BlockStep(context, transactions, execution))

    def gov_outcome(self, *calls: Value) -> Outcome:
        context = self.next_context()
        time = Seconds(context.time_ms // 1_000)
        day = compute_day(time, self.genesis.utc_offset_seconds)
        number = sha256(b"gov %d" % len(self.steps))
        environment = Environment(time, day, context.height, 0, number, (), "gov", epoch=context.record)
        outcome, view = run_gov(self.state, environment, calls)
        step = GovStep(environment, calls, outcome.code, view.collect_writes(), tuple(view.journal))
        self.state.apply(step.writes)
        for row in step.journal:
            self.journal.setdefault(row.account, []).append(row)
        self.steps.append(step)
        return outcome

    def keys_of(self, address: Address, own: PublicKey) -> tuple[PublicKey, ...]:
        """Return every key of an account's policy."""
        stored = auth.POLICIES.peek(View(self.state), auth.POLICIES.prefix + address)
        return (own,) if stored is None else list_keys(read_policy(stored[1]))

    def write(self, writes: dict[bytes, bytes | None]) -> None:
        super().write(writes)
        environment = Environment(self.time, 0, Height(0), 0, bytes(32), (), "gov")
        self.steps.append(GovStep(environment, (), 0, writes, ()))

    def replay(self) -> Hash32:
        """Take all steps from genesis once more; returns the root, which is that of the state as it stands.

        Raises:
            AssertionError: a step does not do what it did.
        """
        state, tree = MemoryState(), StateTree.build(TREE_BITS, ())
        founding = apply_genesis(self.genesis).writes
        state.apply(founding)
        tree.commit(tree.preview(founding))
        for number, step in enumerate(self.steps):
            if isinstance(step, BlockStep):
                again = execute_block(state, self.rules, step.context, step.transactions, ())
                assert again == step.execution, f"step {number}: a replay differs"
                writes = again.writes
            else:
                writes = step.writes
                if step.calls:
                    outcome, view = run_gov(state, step.environment, step.calls)
                    assert outcome.code == step.code, f"step {number}: a replay differs"
                    assert view.collect_writes() == writes, f"step {number}: a replay differs"
            state.apply(writes)
            tree.commit(tree.preview(writes))
        assert state.items() == self.state.items(), "a replay ends elsewhere"
        assert tree.root == StateTree.build(TREE_BITS, self.state.items().items()).root, "roots differ"
        return tree.root


def run_gov(state: MemoryState, environment: Environment, calls: tuple[Value, ...]) -> tuple[Outcome, View]:
    """Type a program and run it between two blocks.

    Raises:
        Rejected: it is not well-typed.
    """
    view = View(state)
    outcome = run_program(view, REGISTRY, environment, parse_program(((), calls), REGISTRY, 0))
    if outcome.code:
        assert not view.collect_writes() and not view.journal and not view.events, "an abort left a trace"
    return outcome, view


def found_town() -> Town:
    """Found a town in which every gas case can succeed."""
    town = Town()
    make_coop_world(town)
    town.gov((REGISTER, 6, NONE, ("quota_gas_per_day", QUOTA_GAS_PER_DAY, 0)))
    town.gov(
        *[(AUTH, 4, NONE, (ALICE.address, role)) for role in (COUNCIL, sched.SCHEDULER)],
        *[(AUTH, 1, NONE, (who.address,)) for who in (CLUB, SHY, NODE, NORTH, BANK, *NEWCOMERS)],
        *[(AUTH, 4, NONE, (who.address, BOARD)) for who in (BOB, CAROL)],
        (AUTH, 4, NONE, (DAN.address, AUDITOR)),
        (LEDGER, 1, NONE, (account(ALICE, CUSTODY), None)),
        (ASSETS, 9, NONE, (BANK.address, COOP, 5)),
    )
    town.ok(*[town.cash_in(who, 10_000) for who in (ALICE, BOB, CLUB)])
    town.ok(town.tx((MULTISIG, 7, 0, (CLUB.address, tagged(TWO)))))
    lost = (RECOVERY, 3, 0, (TILL.address, tagged(TWO), bytes(32)))
    town.ok(town.tx(lost, actors=(BOB,)))
    slow = town.tx((MULTISIG, 6, 0, (CLUB.address, True, False, 2)), actors=(CLUB,))
    town.ok(town.sign(slow.tx, (0, ALICE.key), (0, BOB.key)))
    for _ in range(2):
        town.ok(town.tx(propose(int(town.time)), actors=(ALICE,)))
    town.ok(town.tx((MULTISIG, 2, 0, (BOB.address, 1, sha256(PAY_OUT))), actors=(BOB,)))
    raw = encode((PINS, ((0, 0, 0, 1, 2, 3),)))
    failing = (SCHED, 1, 0, (ALICE.address, raw, encode(()), int(town.time) + 1, 0, 1, 0, True, 1_000))
    town.ok(town.tx(failing))
    conviction = (1, "south", STRANGER.key, 1, 0, 1, bytes(32), 0)
    town.write({CONVICTIONS.key(STRANGER.key, 0, 1): encode(conviction)})
    town.run()
    return town
