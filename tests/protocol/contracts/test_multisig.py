"""multisig: a pending program runs once, when those whom the policy names have approved those very bytes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import crypto
from protocol.chain.receipt import Receipt
from protocol.codec import Value, encode
from protocol.contracts import multisig
from protocol.contracts.multisig import CANCELLED, EXECUTED, EXPIRED, OPEN, VOID
from protocol.contracts.policies import compute_address
from protocol.errors import Code, Rejected
from protocol.params import (
    PENDING_APPROVALS_MAX,
    PENDING_DELAY_SECONDS_MAX,
    PENDING_SECONDS_MAX,
    POLICY_LEAVES_MAX,
    PROGRAM_NESTING_MAX,
)
from protocol.transition import simulate
from protocol.types import Address, PublicKey
from tests.protocol.ledger_world import (
    ALICE,
    ASSETS,
    AUTH,
    BOB,
    CAROL,
    COOP,
    NONE,
    STRANGER,
    TILL,
    Person,
    World,
    founding,
    person,
    program,
)

MULTISIG = 21
TWO_OF_THREE: Value = (2, ((0, ALICE.key, 1), (0, BOB.key, 1), (0, CAROL.key, 1)))
CLUB = Person(PublicKey(b""), compute_address(TWO_OF_THREE))
PINS: Value = ((ASSETS, 1),)
HOUR = 3_600


def tagged(policy: Value) -> Value:
    """Return a policy as an argument."""
    if type(policy) is not tuple:
        return policy
    return (0, *[tagged(item) for item in policy])


def world_of(*accounts: Value, more: tuple[Value, ...] = ()) -> World:
    """Found a world with accounts of these policies, revealed, with 1,000 each."""
    addresses = [compute_address(policy) for policy in accounts]
    opened = program(*[(AUTH, 1, NONE, (a,)) for a in (*addresses, STRANGER.address)])
    world = World((*founding(), opened, *more))
    for policy, address in zip(accounts, addresses, strict=True):
        world.ok(world.tx((MULTISIG, 7, 0, (address, tagged(policy)))))
        world.ok(world.cash_in(Person(PublicKey(b""), address), 1_000))
    return world


def club_world() -> World:
    return world_of(TWO_OF_THREE)


def stored(*calls: Value, pins: Value = PINS) -> bytes:
    return encode((pins, calls))


def pay(amount: int = 100, to: Person = CAROL, source: Address = CLUB.address) -> Value:
    return (ASSETS, 7, 0, (source, to.address, COOP, amount, None))


PAY = stored(pay())


def propose(
    world: World, raw: bytes = PAY, by: Person = ALICE, account: Address = CLUB.address, lasts: int = HOUR
) -> Any:
    return world.tx((MULTISIG, 1, 0, (by.address, account, raw, world.time + lasts)), actors=(by,))


def approve(world: World, by: Person, number: int = 1, raw: bytes = PAY) -> Any:
    return world.tx((MULTISIG, 2, 0, (by.address, number, crypto.sha256(raw))), actors=(by,))


def simple(world: World, method: int, by: Person, number: int = 1) -> Any:
    return world.tx((MULTISIG, method, 0, (by.address, number)), actors=(by,))


def configure(world: World, veto: bool = False, needs_another: bool = False, delay: int = 0) -> None:
    tx = world.tx((MULTISIG, 6, 0, (CLUB.address, veto, needs_another, delay)), actors=(CLUB,))
    world.ok(world.sign(tx.tx, (0, ALICE.key), (0, BOB.key)))


def result(receipts: tuple[Receipt, ...]) -> Value:
    (receipt,) = receipts
    return receipt.results[0]


def balance(world: World, address: Address) -> int:
    answer = world.ask("assets", "balance", address, COOP)
    assert type(answer) is tuple and type(answer[0]) is int
    return answer[0]


def state_of(world: World, number: int = 1) -> Value:
    answer = world.ask("multisig", "pending", number)
    assert type(answer) is tuple
    return answer[-1]


# --- the usual way


def test_the_last_approval_runs_it() -> None:
    world = club_world()
    assert result(world.ok(propose(world))) == (1, OPEN, 0)
    assert world.ask("multisig", "open", CLUB.address) == (1,)
    assert world.ask("multisig", "program", 1) == PAY
    (receipt,) = world.ok(approve(world, BOB))
    assert receipt.results == ((EXECUTED, 0),)
    names = [(e.contract, e.event) for e in receipt.events]
    assert names == [(MULTISIG, 2), (MULTISIG, 6), (ASSETS, 6), (MULTISIG, 4)]
    assert (balance(world, CLUB.address), balance(world, CAROL.address)) == (900, 100)
    assert world.ask("multisig", "open", CLUB.address) == ()
    assert world.ask("multisig", "program", 1) is None
    for tx in (
        approve(world, CAROL),
        simple(world, 5, ALICE),
        simple(world, 3, ALICE),
        simple(world, 4, ALICE),
    ):
        assert world.failed(tx).code == multisig.NOT_OPEN
    assert balance(world, CLUB.address) == 900


def test_one_signature_can_be_enough() -> None:
    one = (1, ((0, ALICE.key, 1), (0, BOB.key, 1)))
    world = world_of(one)
    address = compute_address(one)
    raw = stored(pay(source=address))
    assert result(world.ok(propose(world, raw, account=address))) == (1, EXECUTED, 0)
    assert balance(world, CAROL.address) == 100


def test_accounts_and_roles_sign_too() -> None:
    body: Value = (2, ((1, BOB.address, 1), (2, "board", 1)))
    address = compute_address(body)
    world = world_of(body, more=(program((AUTH, 4, NONE, (CAROL.address, "board"))),))
    raw = stored(pay(source=address))
    assert world.failed(propose(world, raw, by=ALICE, account=address)).code == multisig.NOT_SIGNER
    world.ok(propose(world, raw, by=BOB, account=address))
    assert result(world.ok(approve(world, CAROL, raw=raw))) == (EXECUTED, 0)


def test_trees_inside_count_as_one() -> None:
    inner: Value = (3, 2, ((0, BOB.key, 1), (0, CAROL.key, 1)), 1)
    body: Value = (2, ((0, ALICE.key, 1), inner))
    address = compute_address(body)
    world = world_of(body)
    raw = stored(pay(source=address))
    world.ok(propose(world, raw, account=address))
    assert result(world.ok(approve(world, CAROL, raw=raw))) == (OPEN, 0)
    assert result(world.ok(approve(world, BOB, raw=raw))) == (EXECUTED, 0)


def test_simulation_is_execution() -> None:
    world = club_world()
    world.ok(propose(world))
    tx = approve(world, BOB)
    expected = simulate(world.state, world.rules, world.next_context(), tx)
    assert world.run(tx).receipts == (expected,)


# --- who and what


def test_strangers_sign_nothing() -> None:
    world = club_world()
    assert world.failed(propose(world, by=STRANGER)).code == multisig.NOT_SIGNER
    world.ok(propose(world))
    assert world.failed(approve(world, STRANGER)).code == multisig.NOT_SIGNER
    assert world.failed(simple(world, 5, STRANGER)).code == multisig.NOT_SIGNER
    call = (MULTISIG, 2, 0, (BOB.address, 1, crypto.sha256(PAY)))
    assert world.failed(world.tx(call, actors=(CAROL,))).code == Code.POLICY_UNMET


def test_an_approval_is_bound_to_the_bytes() -> None:
    world = club_world()
    world.ok(propose(world))
    assert world.failed(approve(world, BOB, raw=stored(pay(101)))).code == multisig.OTHER_PROGRAM


def test_nobody_counts_twice() -> None:
    world = club_world()
    world.ok(propose(world))
    assert world.failed(approve(world, ALICE)).code == multisig.APPROVED_ALREADY


def test_approvals_are_not_given_by_grant() -> None:
    world = club_world()
    methods: Value = (0, *[(0, MULTISIG, n) for n in range(1, 7)])
    terms = (ALICE.address, STRANGER.address, methods, (0,), (0,), None, 0, (0, 0, 1, 0), 0)
    world.ok(world.tx((6, 1, 0, terms)), propose(world, by=BOB))
    digest = crypto.sha256(PAY)
    for call, code in (
        ((MULTISIG, 1, (0, 1), (ALICE.address, CLUB.address, PAY, world.time + 9)), multisig.NOT_SIGNER),
        ((MULTISIG, 2, (0, 1), (ALICE.address, 1, digest)), multisig.NOT_SIGNER),
        ((MULTISIG, 3, (0, 1), (ALICE.address, 1)), multisig.NOT_APPROVED),
        ((MULTISIG, 4, (0, 1), (ALICE.address, 1)), multisig.NOT_SIGNER),
        ((MULTISIG, 6, (0, 1), (ALICE.address, True, True, 0)), multisig.NOT_SIGNER),
    ):
        assert world.failed(world.tx(call, actors=(STRANGER,))).code == code


def test_what_is_not_there() -> None:
    world = club_world()
    for tx in (approve(world, BOB, 9), simple(world, 3, BOB, 9)):
        assert world.failed(tx).code == multisig.NO_PENDING
    assert world.failed(propose(world, account=TILL.address)).code == multisig.POLICY_UNKNOWN
    assert world.failed(propose(world, account=person("nobody").address)).code == Code.NO_ACCOUNT
    assert world.ask("multisig", "pending", 9) is None


def test_programs_that_are_refused_at_once() -> None:
    world = club_world()
    for raw, code in (
        (stored(pay(), pins=()), Code.VERSION_PIN),
        (stored((ASSETS, 7, 0, ())), Code.TYPE),
        (stored((ASSETS, 7, 1, ())), Code.TYPE),
        (stored(pay((2, 0))), multisig.TERMS),  # type: ignore[arg-type]
        (b"\xc1", Code.MALFORMED),
    ):
        receipt = world.failed(propose(world, raw))
        assert receipt.code in (code, Code.MALFORMED)


def test_time_to_expire_at_the_limit_and_one_beyond() -> None:
    world = club_world()
    for lasts, is_fine in (
        (0, False),
        (1, True),
        (PENDING_SECONDS_MAX, True),
        (PENDING_SECONDS_MAX + 1, False),
    ):
        (receipt,) = world.run(propose(world, lasts=lasts)).receipts
        assert receipt.code == (Code.OK if is_fine else multisig.TERMS)


# --- ends


def test_revoked_approvals_do_not_count() -> None:
    world = club_world()
    world.ok(propose(world))
    assert world.failed(simple(world, 3, BOB)).code == multisig.NOT_APPROVED
    assert result(world.ok(simple(world, 3, ALICE))) == (OPEN, 0)
    assert result(world.ok(approve(world, BOB))) == (OPEN, 0)
    assert result(world.ok(approve(world, ALICE))) == (EXECUTED, 0)


def test_expiry_at_the_limit_and_one_beyond() -> None:
    for seconds, state in ((9, EXECUTED), (10, EXPIRED)):
        world = club_world()
        world.ok(propose(world, lasts=9))
        tx = approve(world, BOB)
        assert result(world.ok(tx, seconds=seconds)) == (state, 0)
        assert state_of(world) == state
        assert world.ask("multisig", "program", 1) is None


@pytest.mark.parametrize("method", [2, 3, 4, 5])
def test_a_change_of_policy_makes_it_void(method: int) -> None:
    world = club_world()
    world.ok(propose(world))
    change = world.tx((AUTH, 2, 0, (CLUB.address, tagged(TWO_OF_THREE))), actors=(CLUB,))
    world.ok(world.sign(change.tx, (0, BOB.key), (0, CAROL.key)))
    tx = approve(world, BOB) if method == 2 else simple(world, method, ALICE)
    assert result(world.ok(tx)) == (VOID, 0)
    assert state_of(world) == VOID and balance(world, CLUB.address) == 1_000


def test_cancelling() -> None:
    world = club_world()
    world.ok(propose(world), propose(world), propose(world))
    assert world.failed(simple(world, 4, BOB)).code == multisig.NOT_SIGNER
    assert result(world.ok(simple(world, 4, ALICE))) == (CANCELLED, 0)
    own = world.tx((MULTISIG, 4, 0, (CLUB.address, 2)), actors=(CLUB,))
    assert result(world.ok(world.sign(own.tx, (0, BOB.key), (0, CAROL.key)))) == (CANCELLED, 0)
    configure(world, veto=True)
    assert world.failed(simple(world, 4, STRANGER, 3)).code == multisig.NOT_SIGNER
    assert result(world.ok(simple(world, 4, CAROL, 3))) == (CANCELLED, 0)


# --- settings


def test_the_author_alone_is_not_enough_where_the_account_says_so() -> None:
    one = (1, ((0, ALICE.key, 1), (0, BOB.key, 1)))
    address = compute_address(one)
    world = world_of(one)
    tx = world.tx((MULTISIG, 6, 0, (address, False, True, 0)), actors=(Person(PublicKey(b""), address),))
    world.ok(world.sign(tx.tx, (0, BOB.key)))
    raw = stored(pay(source=address))
    assert result(world.ok(propose(world, raw, account=address))) == (1, OPEN, 0)
    assert world.failed(simple(world, 5, ALICE)).code == multisig.NOT_READY
    assert result(world.ok(approve(world, BOB, raw=raw))) == (EXECUTED, 0)


def test_the_delay_at_the_limit_and_one_below() -> None:
    world = club_world()
    configure(world, delay=100)
    assert world.ask("multisig", "settings", CLUB.address) == (False, False, 100)
    world.ok(propose(world))
    assert result(world.ok(approve(world, BOB))) == (OPEN, 0)
    early = world.failed(simple(world, 5, CAROL), seconds=99)
    assert early.code == multisig.NOT_READY
    assert result(world.ok(simple(world, 5, CAROL))) == (EXECUTED, 0)


def test_an_approval_taken_back_starts_the_delay_again() -> None:
    world = club_world()
    configure(world, delay=100)
    world.ok(propose(world))
    world.ok(approve(world, BOB))
    world.ok(simple(world, 3, BOB), seconds=90)
    world.ok(approve(world, CAROL))
    assert world.failed(simple(world, 5, CAROL), seconds=20).code == multisig.NOT_READY


def test_settings_need_the_account_and_stay_in_bounds() -> None:
    world = club_world()
    call = (MULTISIG, 6, 0, (CLUB.address, True, True, 0))
    assert world.failed(world.tx(call)).code == Code.POLICY_UNMET
    configure(world, delay=PENDING_DELAY_SECONDS_MAX)
    with pytest.raises(Rejected):
        configure(world, delay=PENDING_DELAY_SECONDS_MAX + 1)


def test_only_the_policy_of_the_address_is_revealed() -> None:
    world = World((*founding(), program((AUTH, 1, NONE, (CLUB.address,)))))
    other: Value = (1, ((0, ALICE.key, 1), (0, BOB.key, 1)))
    broken: Value = (9, ((0, ALICE.key, 1),))
    assert world.failed(world.tx((MULTISIG, 7, 0, (CLUB.address, tagged(other))))).code == Code.POLICY_UNMET
    assert world.failed(world.tx((MULTISIG, 7, 0, (CLUB.address, tagged(broken))))).code == Code.MALFORMED
    nobody = compute_address(other)
    assert world.failed(world.tx((MULTISIG, 7, 0, (nobody, tagged(other))))).code == Code.NO_ACCOUNT
    world.ok(world.tx((MULTISIG, 7, 0, (CLUB.address, tagged(TWO_OF_THREE)))))
    answer = world.ask("auth", "account", CLUB.address)
    assert type(answer) is tuple and answer[3] == TWO_OF_THREE


# --- runs that fail, runs inside runs


def test_a_failed_run_leaves_no_trace_and_can_be_tried_again() -> None:
    world = club_world()
    raw = stored(pay(600), pay(600))
    world.ok(propose(world, raw))
    (receipt,) = world.ok(approve(world, BOB, raw=raw))
    assert receipt.results == ((OPEN, int(Code.FUNDS)),)
    assert receipt.events[-1].event == 5 and receipt.events[-1].fields == (1, CLUB.address, 51, 1)
    assert not any(e.contract == ASSETS for e in receipt.events)
    assert (balance(world, CLUB.address), state_of(world)) == (1_000, OPEN)
    world.ok(world.cash_in(CLUB, 500))
    assert result(world.ok(simple(world, 5, CAROL))) == (EXECUTED, 0)
    assert balance(world, CLUB.address) == 300


def test_a_run_without_gas_takes_the_approval_back_too() -> None:
    world = club_world()
    world.ok(propose(world))
    call = (MULTISIG, 2, 0, (BOB.address, 1, crypto.sha256(PAY)))
    used = simulate(world.state, world.rules, world.next_context(), world.tx(call, actors=(BOB,))).gas
    receipt = world.failed(world.tx(call, actors=(BOB,), gas=used - 200))
    assert receipt.code == Code.GAS
    pending = world.ask("multisig", "pending", 1)
    assert type(pending) is tuple and pending[5] == (ALICE.address,)
    world.ok(world.tx(call, actors=(BOB,), gas=used))


def nested_world(levels: int) -> tuple[World, list[Address]]:
    """Found accounts each of which is the only signer of the next; the first is signed by Alice alone."""
    chain: list[Value] = [(1, ((0, ALICE.key, 1), (0, BOB.key, 1)))]
    for _ in range(levels - 1):
        chain.append((1, ((1, compute_address(chain[-1]), 1),)))
    return world_of(*chain), [compute_address(policy) for policy in chain]


@pytest.mark.parametrize("levels", [1, PROGRAM_NESTING_MAX, PROGRAM_NESTING_MAX + 1])
def test_nesting_at_the_limit_and_one_beyond(levels: int) -> None:
    world, addresses = nested_world(levels)
    raw, signer = stored(pay(source=addresses[-1])), addresses[-1]
    for below in reversed(addresses[:-1]):
        call = (MULTISIG, 1, 0, (below, signer, raw, world.time + HOUR))
        raw, signer = stored(call, pins=((MULTISIG, 1),)), below
    (receipt,) = world.run(propose(world, raw, account=signer)).receipts
    paid = balance(world, CAROL.address)
    if levels > PROGRAM_NESTING_MAX:
        assert receipt.is_ok and paid == 0
        assert Code.LIMIT in [e.fields[2] for e in receipt.events if e.event == 5 and e.contract == MULTISIG]
    else:
        assert receipt.results == ((1, EXECUTED, 0),) and paid == 100


def test_a_program_that_approves_itself_runs_once() -> None:
    both: Value = (2, ((0, ALICE.key, 1), (0, BOB.key, 1)))
    address = compute_address(both)
    world = world_of(both)
    again = (MULTISIG, 5, 0, (address, 1))
    raw = stored(pay(source=address), again, pins=((ASSETS, 1), (MULTISIG, 1)))
    world.ok(propose(world, raw, account=address))
    assert result(world.ok(approve(world, BOB, raw=raw))) == (OPEN, multisig.NOT_OPEN)
    assert balance(world, CAROL.address) == 0


def test_approvals_at_the_limit_and_one_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PENDING_APPROVALS_MAX == 2 * POLICY_LEAVES_MAX
    monkeypatch.setattr(multisig, "PENDING_APPROVALS_MAX", 2)
    body: Value = (3, ((0, ALICE.key, 1), (0, BOB.key, 1), (0, CAROL.key, 1)))
    address = compute_address(body)
    world = world_of(body)
    raw = stored(pay(source=address))
    world.ok(propose(world, raw, account=address))
    world.ok(approve(world, BOB, raw=raw))
    assert world.failed(approve(world, CAROL, raw=raw)).code == Code.LIMIT


# --- whatever is tried

people = st.sampled_from([ALICE, BOB, CAROL, STRANGER])
steps = st.lists(st.tuples(st.sampled_from([1, 2, 2, 2, 3, 4, 5]), people, st.integers(1, 2)), max_size=12)


@settings(max_examples=40)
@given(steps, st.sampled_from([0, 30]), st.booleans())
def test_a_program_runs_at_most_once_and_never_without_two_signers(
    history: list[tuple[int, Person, int]], delay: int, veto: bool
) -> None:
    world = club_world()
    configure(world, veto=veto, delay=delay)
    signed: dict[int, set[Address]] = {}
    proposed = 0
    for method, who, number in history:
        if method == 1:
            tx = propose(world, by=who)
        else:
            tx = approve(world, who, number) if method == 2 else simple(world, method, who, number)
        expected = simulate(world.state, world.rules, world.next_context(7), tx)
        before = balance(world, CLUB.address)
        (receipt,) = world.run(tx, seconds=7).receipts
        assert receipt == expected
        if receipt.is_ok and method == 1:
            proposed += 1
            signed[proposed] = {who.address}
        elif receipt.is_ok and method == 2:
            signed[number].add(who.address)
        elif receipt.is_ok and method == 3:
            signed[number].discard(who.address)
        spent = before - balance(world, CLUB.address)
        assert spent in (0, 100)
        if spent:
            assert method in (2, 5) and len(signed[number]) >= 2
            assert STRANGER.address not in signed[number]
    executed = [n for n in range(1, proposed + 1) if state_of(world, n) == EXECUTED]
    assert balance(world, CLUB.address) == 1_000 - 100 * len(executed)


# --- rules for a method

ALL_THREE: Value = (3, ((0, ALICE.key, 1), (0, BOB.key, 1), (0, CAROL.key, 1)))
STRICT = compute_address(ALL_THREE)
ANY: Value = (1, ((0, ALICE.key, 1), (0, BOB.key, 1), (0, CAROL.key, 1)))
DAY = 24 * HOUR


def set_rule(world: World, tier: int, most: int, delay: int, policy: Value) -> Any:
    call = (MULTISIG, 8, 0, (STRICT, ASSETS, 7, tier, most, delay, tagged(policy)))
    tx = world.tx(call, actors=(Person(PublicKey(b""), STRICT),), gas=200_000)
    return world.sign(tx.tx, (0, ALICE.key), (0, BOB.key), (0, CAROL.key))


def strict_world() -> World:
    """All three for everything; one up to 10, two and a day up to 100, of what `assets.transfer` moves."""
    world = world_of(ALL_THREE)
    world.ok(set_rule(world, 1, 10, 0, ANY))
    world.ok(set_rule(world, 2, 100, DAY, TWO_OF_THREE))
    return world


def spend(*amounts: int) -> bytes:
    return stored(*[pay(amount, STRANGER, STRICT) for amount in amounts])


@pytest.mark.parametrize(
    ("amounts", "state"), [((10,), EXECUTED), ((4, 6), EXECUTED), ((11,), OPEN), ((5, 6), OPEN)]
)
def test_a_small_amount_needs_one_signer(amounts: tuple[int, ...], state: int) -> None:
    world = strict_world()
    assert result(world.ok(propose(world, spend(*amounts), account=STRICT))) == (1, state, 0)
    assert balance(world, STRANGER.address) if state == EXECUTED else state_of(world) == OPEN


def test_a_larger_one_needs_two_and_a_day() -> None:
    world = strict_world()
    raw = spend(100)
    world.ok(propose(world, raw, account=STRICT, lasts=3 * DAY))
    assert result(world.ok(approve(world, BOB, raw=raw))) == (OPEN, 0)
    world.run(seconds=DAY - 2)
    assert world.failed(simple(world, 5, ALICE)).code == multisig.NOT_READY
    assert result(world.ok(simple(world, 5, ALICE))) == (EXECUTED, 0)


@pytest.mark.parametrize(
    "raw",
    [spend(101), stored(pay(1, STRANGER, STRICT), (ASSETS, 8, 0, (STRICT, COOP, (0, (0, BOB.address, 1)))))],
)
def test_beyond_every_tier_and_with_other_calls_the_own_policy_counts(raw: bytes) -> None:
    world = strict_world()
    world.ok(propose(world, raw, account=STRICT))
    assert result(world.ok(approve(world, BOB, raw=raw))) == (OPEN, 0)
    assert result(world.ok(approve(world, CAROL, raw=raw))) == (EXECUTED, 0)


def test_another_rule_voids_what_is_open_and_only_the_own_policy_sets_one() -> None:
    world = strict_world()
    raw = spend(100)
    world.ok(propose(world, raw, account=STRICT))
    world.ok(set_rule(world, 2, 100, 0, ANY))
    assert result(world.ok(approve(world, BOB, raw=raw))) == (VOID, 0)
    rules = world.ask("multisig", "rules", STRICT, ASSETS, 7)
    assert rules == ((1, 10, 0, ANY), (2, 100, 0, ANY))
    world.ok(set_rule(world, 1, 0, 0, None))
    assert result(world.ok(propose(world, spend(100), account=STRICT))) == (2, EXECUTED, 0)
    lone = world.tx((MULTISIG, 8, 0, (STRICT, ASSETS, 7, 1, 999, 0, tagged(ANY))))
    assert world.failed(lone).code == Code.POLICY_UNMET
    unmet: Value = (9, ((0, ALICE.key, 1),))
    assert world.failed(set_rule(world, 1, 9, 0, unmet)).code == Code.MALFORMED
