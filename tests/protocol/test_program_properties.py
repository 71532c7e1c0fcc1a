"""Whatever grants, jobs, pending programs and sponsors do in any order: the books balance, limits hold.

The same as test_ledger_properties.py, for programs that run by another's authority (contracts.md 9).
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import crypto
from protocol.chain.transaction import SignedTransaction
from protocol.codec import Value, decode, encode
from protocol.contracts import grants, multisig, sched
from protocol.contracts.policies import compute_address
from protocol.transition import build_block, execute_block, simulate
from protocol.types import PublicKey
from protocol.vm.program import literal
from protocol.vm.view import MemoryState
from tests.protocol.ledger_world import (
    ALICE,
    ASSETS,
    AUTH,
    BOB,
    CAROL,
    COOP,
    NONE,
    Person,
    World,
    founding,
    program,
)
from tests.protocol.test_ledger_properties import check_books

SCHED, GRANTS, MULTISIG = 3, 6, 21
POLICY: Value = (2, ((0, ALICE.key, 1), (0, BOB.key, 1), (0, CAROL.key, 1)))
CLUB = Person(PublicKey(b""), compute_address(POLICY))
PINS: Value = ((ASSETS, 1),)
SELF = (3, "actor", 0)
MEMBERS = (ALICE, BOB, CAROL)

members = st.sampled_from(MEMBERS)
payees = st.sampled_from((*MEMBERS, CLUB))
amounts = st.sampled_from([1, 40, 100, 101, 700])
numbers = st.integers(1, 4)


def transfer(source: Value, to: Person, amount: Value, actor: Value = 0) -> Value:
    return (ASSETS, 7, actor, (source, to.address, COOP, amount, None))


def grant(me: Person, grantee: Person, gas: int, unit: int) -> Value:
    period = (unit, 1, 20_000)
    terms: tuple[Value, ...] = (((ASSETS, 7), (ASSETS, 8)), ((COOP, 100, 250),), (), 6, 0, period, gas)
    return (GRANTS, 1, 0, (me.address, grantee.address, *[literal(t) for t in terms]))


def job(
    me: Person, source: Person, to: Person, amount: int, number: int, due: int, unit: int, bad: bool
) -> Value:
    calls: tuple[Value, ...] = (transfer(source.address, to, (2, 0), (0, number)),)
    raw = encode((PINS, (*calls, (0, 0, 0, 1, 2, 3)) if bad else calls))
    return (SCHED, 1, 0, (me.address, raw, encode((amount,)), due, unit, 1, 0, bad, 30_000))


def pending(me: Person, to: Person, amount: int, expires: int) -> Value:
    raw = encode((PINS, (transfer(CLUB.address, to, amount),)))
    return (MULTISIG, 1, 0, (me.address, CLUB.address, raw, expires))


Step = tuple[str, Person, Person, Person, int, int, bool]
steps: st.SearchStrategy[Step] = st.tuples(
    st.sampled_from(
        ["pull", "pull", "grant", "revoke", "job", "job", "propose", "approve", "approve", "sponsored"]
    ),
    members,
    members,
    payees,
    amounts,
    numbers,
    st.booleans(),
)


def make(world: World, step: Step, time: int) -> SignedTransaction:
    kind, me, other, to, amount, number, flag = step
    options: dict[str, Any] = {"actors": (me,), "valid_until": time}
    mine: Any = world.ask("grants", "by_grantee", me.address)
    if mine and number < 4:  # mostly a grant that can be used
        number = mine[number % len(mine)] if kind in ("pull", "job") else number
        terms: Any = world.ask("grants", "grant", mine[number % len(mine)] if kind == "sponsored" else number)
        other = next((p for p in MEMBERS if terms is not None and p.address == terms[1]), other)
    match kind:
        case "pull":
            call = transfer(other.address, to, amount, (0, number))
        case "grant":
            call = grant(me, other, 200_000 * flag, 1 if flag else 0)
        case "revoke":
            call = (GRANTS, 2, 0, (me.address, number))
        case "job":
            call = job(me, other, to, amount, number, time + amount, int(amount == 40), flag)
        case "propose":
            call = pending(me, to, amount * 3, time + 1_000)
        case "approve":
            answer = world.ask("multisig", "pending", number)
            digest = answer[2] if type(answer) is tuple else bytes(32)
            call = (MULTISIG, 2, 0, (me.address, number, digest))
        case _:
            return world.pay(me, to, amount, payer=other.address, gas=60_000, valid_until=time)
    return world.tx(call, **options)


def founded() -> World:
    opened = program((AUTH, 1, NONE, (CLUB.address,)))
    world = World((*founding(), opened))
    world.ok(*[world.cash_in(who, 1_000) for who in (*MEMBERS, CLUB)])
    shown: Value = (0, 2, (0, *[(0, 0, p.key, 1) for p in MEMBERS]))
    world.ok(world.tx((MULTISIG, 7, 0, (CLUB.address, shown))))
    first = [(ALICE, ALICE), (BOB, BOB), (ALICE, BOB), (BOB, CAROL)]
    for me, grantee in first:
        world.ok(world.tx(grant(me, grantee, 300_000, 1), actors=(me,)))
    return world


def check_limits(world: World) -> None:
    """Check that no grant is overdrawn and that nothing pending has lost or kept its program wrongly."""
    programs: dict[bytes, int] = {}
    for key, raw in world.state.items().items():
        row: Any = decode(raw, 4_096)
        if key.startswith(grants.GRANTS.prefix):
            caps, uses, spent = row[4], row[6], row[11]
            assert uses is None or uses >= 0
            assert all(n <= cap[2] for n, cap in zip(spent, caps, strict=True))
            assert row[12] <= row[9]
        elif key.startswith((sched.JOBS.prefix, multisig.PENDINGS.prefix)):
            is_kept = key.startswith(sched.JOBS.prefix) or row[9] == multisig.OPEN
            programs[key[:2] + key[3:9]] = programs.get(key[:2] + key[3:9], 0) + is_kept
        elif key.startswith((sched.PROGRAMS.prefix, multisig.PROGRAMS.prefix)):
            programs[key[:2] + key[3:9]] = programs.get(key[:2] + key[3:9], 0) - 1
    assert not any(programs.values())


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(steps, min_size=2, max_size=6), st.sampled_from([1, 40, 150, 4_000, 90_000])),
        min_size=4,
        max_size=9,
    )
)
def test_any_history_keeps_books_and_limits(history: list[tuple[list[Step], int]]) -> None:
    world = founded()
    rolled = bytes(32)
    for drafts, seconds in history:
        context = world.next_context(seconds)
        made = [make(world, step, context.time_ms // 1_000) for step in drafts]
        before = MemoryState(world.state.items())
        limits = (100, 1 << 20, 120_000_000)
        _, taken, _ = build_block(before, world.rules, context, made, (), *limits)
        first = simulate(before, world.rules, context, taken[0]) if taken else None
        execution = world.run(*taken, seconds=seconds)
        assert not taken or execution.receipts[0] == first
        assert execute_block(before, world.rules, context, taken, ()) == execution, "a replay differs"
        for receipt in execution.receipts:
            assert receipt.is_ok or (receipt.events, receipt.results) == ((), ())
        for receipt, raw in zip(execution.job_receipts, execution.job_receipt_bytes, strict=True):
            assert receipt.is_ok or [e.contract for e in receipt.events] == [SCHED]
            rolled = crypto.digest(crypto.Domain.JOURNAL, rolled, raw)
        history_row = world.ask("sched", "history")
        assert rolled == (history_row[1] if type(history_row) is tuple else bytes(32))
        check_books(world)
        check_limits(world)
