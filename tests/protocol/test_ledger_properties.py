"""Whatever programs run, valid or not: the books balance, no flag is broken, an abort leaves no trace.

Random programs of every method, with random actors, amounts, references and assertions, in random blocks with
random pauses between them (contracts.md 9).
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import crypto
from protocol.chain.order import order_transactions
from protocol.chain.transaction import SignedTransaction
from protocol.codec import Value, decode
from protocol.contracts import REGISTRY, auth
from protocol.contracts.ledger import accounts as ledger
from protocol.errors import Rejected
from protocol.params import AMOUNT_MAX
from protocol.transition import build_block, execute_block, simulate
from protocol.types import BlockId
from protocol.vm.view import MemoryState
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
    TILL2,
    Person,
    World,
)

MEMBERS = (ALICE, BOB, CAROL)
CASHIERS = (TILL, TILL2)
PEOPLE = (*MEMBERS, *CASHIERS)
SELF = (3, "actor", 0)

members = st.sampled_from(MEMBERS)
cashiers = st.sampled_from(CASHIERS)
people = st.sampled_from((*PEOPLE, STRANGER))
small = st.integers(1, 300)
holds = st.integers(1, 3)
references = st.binary(min_size=3, max_size=3)
amounts = st.one_of(small, st.sampled_from([1_000_000, 1_000_001, 1 << 50, AMOUNT_MAX]), st.just((1, 0)))

Draft = tuple[tuple[Person, ...], list[Value], int]


def account(person: Person) -> Value:
    return (0, person.address, ledger.MEMBER_FREE, COOP, 0)


def pay_many(payments: list[tuple[Person, int]]) -> Value:
    return (ASSETS, 8, 0, (SELF, COOP, (0, *[(0, p.address, n) for p, n in payments])))


def draft(person: Person, *calls: Value) -> Draft:
    return (person,), list(calls), 20_000


# What a member or a cashier would do.
transfers = st.builds(lambda to, n: (ASSETS, 7, 0, (SELF, to.address, COOP, n, None)), members, small)
spendings = st.one_of(
    transfers,
    st.lists(st.tuples(members, small), min_size=1, max_size=4).map(pay_many),
    st.builds(
        lambda till, n, ref: (ASSETS, 5, 0, (SELF, till.address, COOP, n, ref)), cashiers, small, references
    ),
)
cash = st.one_of(
    st.builds(
        lambda to, n, ref: (ASSETS, 4, 0, (SELF, to.address, COOP, n, ref)),
        members,
        st.sampled_from([100, 500, 1_000_000, 1_000_001]),
        references,
    ),
    st.builds(lambda hold: (ASSETS, 6, 0, (hold,)), holds),
)
sensible = st.one_of(
    st.builds(draft, members, spendings),
    st.builds(draft, members, transfers, transfers),
    st.builds(draft, cashiers, cash),
)


@st.composite
def wild_calls(draw: st.DrawFn) -> Value:
    """Draw any call or assertion."""
    me, other, amount = draw(people), draw(people), draw(amounts)
    actor, asset = draw(st.sampled_from([0, 0, 1, NONE])), draw(st.sampled_from([COOP, COOP, 2]))
    hold, ref = draw(st.integers(0, 6)), draw(st.binary(min_size=1, max_size=1))
    calls: list[Value] = [
        (ASSETS, 7, actor, (me.address, other.address, asset, amount, ref)),
        (ASSETS, 4, actor, (me.address, other.address, asset, amount, ref)),
        (ASSETS, 6, actor, (hold,)),
        (AUTH, 3, actor, (me.address, other.key)),
        (LEDGER, 2, actor, (account(me), account(other), amount, 0, 1, b"")),
        (LEDGER, 5, actor, (hold,)),
        (LEDGER, 6, actor, (account(me), 12)),
        (0, 0, draw(st.integers(0, 5)), amount, draw(amounts), 1),
    ]
    return draw(st.sampled_from(calls))


wild = st.tuples(
    st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=2, unique=True).map(tuple),
    st.lists(wild_calls() | transfers, min_size=1, max_size=4),
    st.sampled_from([2_000, 20_000]),
)
transactions = st.one_of(sensible, sensible, wild)
blocks = st.lists(
    st.tuples(st.lists(transactions, min_size=1, max_size=8), st.sampled_from([1, 1, 400, 90_000])),
    min_size=1,
    max_size=6,
)


def check_books(world: World) -> None:
    """Check every invariant of the ledger over the whole state."""
    state: dict[bytes, Any] = {key: decode(raw, 4_096) for key, raw in world.state.items().items()}
    sums: dict[tuple[int, int], list[int]] = {}
    claims: dict[int, int] = {}
    for key, row in state.items():
        if not key.startswith(ledger.ACCOUNT.prefix):
            continue
        _, flags, dp, d, cp, c, sequence, journal_hash = row
        _, account_class, asset, _ = ledger.read_account_key(key[3:])
        total = sums.setdefault((asset, account_class), [0, 0, 0, 0])
        for at, value in enumerate((dp, d, cp, c)):
            assert 0 <= value <= AMOUNT_MAX
            total[at] += value
        assert not flags & ledger.NONNEG_CREDIT or dp + d <= c
        assert not flags & ledger.NONNEG_DEBIT or cp + c <= d
        if account_class // 1_000 == 2:
            claims[asset] = claims.get(asset, 0) + c - d
        rows = world.journal.get(key[3:], [])
        assert [r.sequence for r in rows] == list(range(1, sequence + 1))
        rolled = bytes(32)
        for journal_row in rows:
            rolled = crypto.digest(crypto.Domain.JOURNAL, rolled, journal_row.raw)
        assert rolled == journal_hash
    for (asset, account_class), total in sums.items():
        assert list(state.get(ledger.TOTAL.key(asset, account_class), [1, 0, 0, 0, 0])[1:]) == total
    for asset in {asset for asset, _ in sums}:
        columns = [sum(total[at] for (a, _), total in sums.items() if a == asset) for at in range(4)]
        assert columns[0] == columns[2] and columns[1] == columns[3], "debits are not credits"
        assert state[REGISTRY.by_id[ASSETS].tables[0].key(asset)][7] == claims.get(asset, 0)
    pending = sum(
        r[4] for k, r in state.items() if k.startswith(ledger.HOLDS.prefix) and r[6] == ledger.PENDING
    )
    assert pending == sum(total[0] for total in sums.values())


def admissible(world: World, drafts: list[Draft], seconds: int) -> tuple[SignedTransaction, ...]:
    until = world.time + seconds + 100
    made = [world.tx(*calls, actors=who, gas=gas, valid_until=until) for who, calls, gas in drafts]
    context = world.next_context(seconds)
    _, taken, dropped = build_block(world.state, world.rules, context, made, (), 100, 1 << 20, 120_000_000)
    for _, why in dropped:
        assert isinstance(why, Rejected)
    return taken


@settings(max_examples=60)
@given(blocks)
def test_any_history_keeps_the_books(history: list[tuple[list[Draft], int]]) -> None:
    world = World()
    world.ok(world.cash_in(ALICE, 1_000), world.cash_in(BOB, 500))
    for drafts, seconds in history:
        taken = admissible(world, drafts, seconds)
        context = world.next_context(seconds)
        before = MemoryState(world.state.items())
        if taken:
            first = simulate(before, world.rules, context, taken[0])
        execution = world.run(*taken, seconds=seconds)
        assert not taken or execution.receipts[0] == first
        assert execute_block(before, world.rules, context, taken, ()) == execution, "a replay differs"
        for receipt, touched, tx in zip(execution.receipts, execution.touched, taken, strict=True):
            if not receipt.is_ok:
                assert receipt.events == () and receipt.results == () and touched == tx.tx.actors
                assert receipt.reason is not None
            assert receipt.gas <= tx.tx.gas_limit
        check_books(world)


@settings(max_examples=60)
@given(st.lists(transactions, min_size=1, max_size=4))
def test_aborted_programs_leave_no_trace(drafts: list[Draft]) -> None:
    world = World()
    world.ok(world.cash_in(ALICE, 1_000), world.cash_in(BOB, 500))
    doomed: list[Draft] = [(who, [*calls, (0, 0, 0, 1, 2, 5)], gas) for who, calls, gas in drafts]
    taken = admissible(world, doomed, 1)
    execution = world.run(*taken)
    allowed = (auth.ACCOUNT.prefix, auth.SEEN.prefix)
    assert all(key.startswith(allowed) for key in execution.writes)
    assert execution.journal == () and all(not r.is_ok and not r.events for r in execution.receipts)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(PEOPLE), st.integers(1, 50)), max_size=6),
    st.binary(min_size=32, max_size=32),
)
def test_order_of_independent_payments_does_not_matter(
    pays: list[tuple[Person, Person, int]], parent_id: bytes
) -> None:
    results = []
    for parent in (bytes(32), parent_id):
        world = World()
        world.ok(*[world.cash_in(p, 1_000) for p in PEOPLE])
        world.run(*order_transactions(BlockId(parent), [world.pay(a, b, n) for a, b, n in pays]))
        results.append([world.ask("assets", "balance", p.address, COOP) for p in PEOPLE])
    assert results[0] == results[1]
