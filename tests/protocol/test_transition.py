"""The state transition: founding, blocks, admission, limits, fees, and that a replay gives the same bytes."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol import admission, crypto, transition
from protocol.chain.order import order_transactions
from protocol.chain.transaction import SignedTransaction
from protocol.codec import Value, encode
from protocol.contracts import auth
from protocol.contracts.ledger import accounts as ledger
from protocol.errors import Code, Rejected
from protocol.money import compute_day
from protocol.params import (
    BLOCK_GAS_MAX,
    EXPIRY_SECONDS_MAX,
    EXPIRY_UNORDERED_SECONDS_MAX,
    PROGRAM_STORED_INSTRUCTIONS_MAX,
    QUOTA_GAS_PER_DAY,
    TX_GAS_MAX,
)
from protocol.transition import apply_genesis, build_block, check_admission, execute_block, simulate
from protocol.types import Seconds, TimeMs
from protocol.vm.view import View
from tests.protocol.ledger_world import (
    ALICE,
    ASSETS,
    AUTH,
    BOB,
    CAROL,
    COOP,
    NONE,
    START_MS,
    STRANGER,
    TILL,
    World,
    create_asset,
    founding,
    genesis,
    program,
)


@pytest.fixture
def world() -> World:
    made = World()
    made.ok(made.cash_in(ALICE, 1_000))
    return made


def refused(world: World, tx: SignedTransaction) -> Rejected:
    """Return why a transaction is inadmissible, the same by every door."""
    context = world.next_context()
    with pytest.raises(Rejected) as at_head:
        check_admission(world.state, world.rules, world.time, tx)
    with pytest.raises(Rejected) as in_block:
        execute_block(world.state, world.rules, context, (tx,), ())
    with pytest.raises(Rejected) as simulated:
        simulate(world.state, world.rules, context, tx)
    built, taken, dropped = build_block(
        world.state, world.rules, context, [tx], (), 10, 1 << 20, BLOCK_GAS_MAX
    )
    assert taken == () and built.receipts == () and dropped[0][0] == tx.id
    codes = {at_head.value.code, in_block.value.code, simulated.value.code, dropped[0][1].code}
    assert codes == {at_head.value.code}
    return at_head.value


# --- founding


def test_founding_runs_with_the_authority_of_gov() -> None:
    execution = apply_genesis(genesis())
    assert execution.receipts == () and execution.next_record is None
    assert list(execution.writes) == sorted(execution.writes)


@pytest.mark.parametrize(
    "bad, code",
    [
        ((), Code.MALFORMED),
        (program((99, 1, NONE, ())), Code.UNKNOWN_METHOD),
        (program((ASSETS, 1, NONE, ("coop", "", 2, 2, 5))), 1602),
        (create_asset("COOP"), 1601),
    ],
)
def test_founding_fails_as_a_whole(bad: Value, code: int) -> None:
    with pytest.raises(Rejected, match="founding program 4") as failure:
        apply_genesis(genesis((*founding(), bad)))
    assert failure.value.code == code


def test_founding_program_at_the_limit_and_one_beyond() -> None:
    longest = program(*[(AUTH, 1, NONE, (ALICE.address,))] * PROGRAM_STORED_INSTRUCTIONS_MAX)
    apply_genesis(genesis((longest,)))
    assert type(longest) is tuple and type(longest[1]) is tuple
    with pytest.raises(Rejected) as failure:
        apply_genesis(genesis((((), (*longest[1], longest[1][0])),)))
    assert failure.value.code == Code.LIMIT


@pytest.mark.parametrize("at, is_allowed", [(0, True), (-1, False)])
def test_founding_time_at_both_limits(at: int, is_allowed: bool) -> None:
    for time_ms in (transition.TIME_MS_MIN + at, transition.TIME_MS_MAX - at):
        document = replace(genesis(), time_ms=TimeMs(time_ms))
        if is_allowed:
            apply_genesis(document)
        else:
            with pytest.raises(Rejected):
                apply_genesis(document)


# --- a payment


def test_cash_in_then_transfer(world: World) -> None:
    execution = world.run(world.pay(ALICE, BOB, 300))
    (receipt,) = execution.receipts
    assert receipt.is_ok and receipt.results == (300,)
    assert world.ask("assets", "balance", ALICE.address, COOP) == (700, 700, 0, 0)
    assert world.ask("assets", "balance", BOB.address, COOP) == (300, 300, 0, 0)
    assert execution.touched == ((ALICE.address, BOB.address),)
    assert [row.sequence for row in execution.journal] == [2, 1]
    assert execution.gas == receipt.gas
    assert list(execution.writes) == sorted(execution.writes)


def test_failed_program_uses_nonce_and_gas_and_nothing_else(world: World) -> None:
    tx = world.pay(ALICE, BOB, 1_001, lane=0, sequence=1)
    execution = world.run(tx)
    (receipt,) = execution.receipts
    assert (receipt.code, receipt.failed_instruction, receipt.results, receipt.events) == (51, 0, (), ())
    assert receipt.reason is not None
    assert (receipt.reason.rule, receipt.reason.limit, receipt.reason.actual) == (
        "ledger.nonneg_credit",
        1_000,
        1_001,
    )
    assert list(execution.writes) == [auth.ACCOUNT.key(ALICE.address)]
    assert execution.journal == () and execution.touched == ((ALICE.address,),)
    assert refused(world, tx).code == Code.NONCE_USED
    answer = world.ask("auth", "account", ALICE.address)
    assert type(answer) is tuple and answer[2] == auth.QUOTA_CAPACITY - receipt.gas


# --- admission


def test_wrong_chain(world: World) -> None:
    assert refused(world, world.pay(ALICE, BOB, 1, chain_name="test-2")).code == Code.WRONG_CHAIN


def test_expiry_at_the_limit_and_one_beyond(world: World) -> None:
    time = world.time
    for lane, limit in ((0, EXPIRY_SECONDS_MAX), (65_535, EXPIRY_UNORDERED_SECONDS_MAX)):
        for valid_until in (time, time + limit):
            tx = world.pay(ALICE, BOB, 1, lane=lane, sequence=1, valid_until=valid_until)
            check_admission(world.state, world.rules, time, tx)
        early = world.pay(ALICE, BOB, 1, lane=lane, sequence=1, valid_until=time - 1)
        assert refused(world, early).code == Code.EXPIRED
        late = refused(world, world.pay(ALICE, BOB, 1, lane=lane, sequence=1, valid_until=time + limit + 1))
        assert late.code == Code.EXPIRY_TOO_FAR and late.retry


def test_nonces_of_a_lane_count_up_by_one(world: World) -> None:
    gap = refused(world, world.pay(ALICE, BOB, 1, lane=3, sequence=2))
    assert gap.code == Code.NONCE_GAP and gap.retry
    world.ok(*[world.pay(ALICE, BOB, 1, lane=3, sequence=n) for n in (1, 2, 3)])
    world.ok(world.pay(ALICE, BOB, 1, lane=0, sequence=1), world.pay(ALICE, BOB, 1, lane=15, sequence=1))
    assert refused(world, world.pay(ALICE, BOB, 1, lane=3, sequence=3)).code == Code.NONCE_USED
    answer = world.ask("auth", "account", ALICE.address)
    assert type(answer) is tuple and answer[1] == (1, 0, 0, 3, *[0] * 11, 1)


def test_unordered_runs_once_and_is_forgotten_after_its_expiry(world: World) -> None:
    tx = world.pay(ALICE, BOB, 1, valid_until=world.time + 2)
    world.ok(tx)
    assert refused(world, tx).code == Code.EXISTS
    world.run(seconds=1)
    assert refused(world, tx).code == Code.EXISTS  # its last second
    assert len(list(world.state.scan(auth.SEEN.prefix))) == 2  # and the cash in
    world.run()
    world.run()
    assert len(list(world.state.scan(auth.SEEN.prefix))) == 1
    assert refused(world, tx).code == Code.EXPIRED


def test_the_same_transaction_twice_in_a_block_makes_it_invalid(world: World) -> None:
    tx = world.pay(ALICE, BOB, 1)
    with pytest.raises(Rejected) as failure:
        world.run(tx, tx)
    assert failure.value.code == Code.INVALID_BLOCK


def test_ill_typed_program(world: World) -> None:
    assert refused(world, world.tx((ASSETS, 7, 0, ()))).code == Code.TYPE
    assert refused(world, world.tx(raw_program=7)).code == Code.MALFORMED


def test_typed_programs_are_kept_up_to_a_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "PROGRAMS_TYPED_MAX", 2)
    monkeypatch.setattr(transition.REGISTRY, "typed", typed := {})
    first, *rest = [world.pay(ALICE, BOB, 1) for _ in range(3)]
    for tx, kept in ((first, 1), (first, 1), (rest[0], 2), (rest[1], 1)):
        check_admission(world.state, world.rules, world.time, tx)
        assert len(typed) == kept


def test_gas_limit_below_the_envelope(world: World) -> None:
    enough = world.pay(ALICE, BOB, 1)
    envelope = 1_000 + len(enough.raw) // 16
    assert refused(world, world.pay(ALICE, BOB, 1, gas=envelope - 1)).code == Code.GAS
    receipt = world.failed(world.pay(ALICE, BOB, 1, gas=envelope))
    assert (receipt.code, receipt.gas, receipt.failed_instruction) == (Code.GAS, envelope, 0)


def test_gas_limit_exactly_what_is_used(world: World) -> None:
    world.ok(world.pay(ALICE, BOB, 1))
    used = simulate(world.state, world.rules, world.next_context(), world.pay(ALICE, BOB, 1)).gas
    assert world.run(world.pay(ALICE, BOB, 1, gas=used)).receipts[0].is_ok
    assert world.failed(world.pay(ALICE, BOB, 1, gas=used - 1)).code == Code.GAS


def test_payer_must_exist_and_be_an_actor(world: World) -> None:
    missing = refused(world, world.pay(STRANGER, BOB, 1))
    assert missing.code == Code.NO_ACCOUNT and missing.retry
    sponsored = refused(world, world.pay(ALICE, BOB, 1, payer=BOB.address))
    assert sponsored.code == Code.GRANT_EXCEEDED


def test_signature_by_another_key(world: World) -> None:
    tx = world.pay(ALICE, BOB, 1)
    assert refused(world, world.sign(tx.tx, (0, BOB.key))).code == Code.POLICY_UNMET


# --- free gas and fees


def spend(world: World, gas: int) -> None:
    """Set an account's debt as if so much gas had been used at the last block."""
    row = (1, 0, (), gas * auth.QUOTA_UNIT, world.time_ms // 1_000)
    world.state.apply({auth.ACCOUNT.key(ALICE.address): encode(row)})


def test_quota_at_the_limit_and_one_beyond(world: World) -> None:
    spend(world, auth.QUOTA_CAPACITY - 10_000)
    second = QUOTA_GAS_PER_DAY // 86_400  # refilled until the next block
    assert refused(world, world.pay(ALICE, BOB, 1, gas=10_000 + second + 1)).code == Code.NO_QUOTA
    world.ok(world.pay(ALICE, BOB, 1, gas=10_000 + second))


def test_bucket_refills_without_loss(world: World) -> None:
    spend(world, QUOTA_GAS_PER_DAY)
    key = auth.ACCOUNT.key(ALICE.address)

    def left(seconds: int) -> int:
        found = auth.ACCOUNT.peek(View(world.state), key)
        assert found is not None
        return auth.available_gas(View(world.state), found, world.time_ms // 1_000 + seconds)

    assert left(0) == auth.QUOTA_CAPACITY - QUOTA_GAS_PER_DAY
    assert left(43_200) == auth.QUOTA_CAPACITY - QUOTA_GAS_PER_DAY // 2
    assert left(86_399) == auth.QUOTA_CAPACITY - 3  # floor of 2.3 gas still missing
    assert left(86_400) == left(1 << 40) == auth.QUOTA_CAPACITY


def fee_world() -> World:
    world = World((*founding(), program((AUTH, 6, NONE, (COOP, 5_000_000)))))
    world.ok(world.cash_in(ALICE, 1_000_000))
    spend(world, auth.QUOTA_CAPACITY)
    return world


def test_gas_above_the_quota_is_paid() -> None:
    world = fee_world()
    cheap = world.pay(ALICE, BOB, 1, gas=10_002, price=4_999_999)
    assert refused(world, cheap).code == Code.NO_QUOTA
    execution = world.run(world.pay(ALICE, BOB, 1, gas=10_002, price=5_000_000))
    assert execution.receipts[0].is_ok
    fee = (10_002 - 2) * 5  # two gas were refilled within the second
    assert world.ask("assets", "balance", ALICE.address, COOP) == (
        1_000_000 - fee - 1,
        1_000_000 - fee - 1,
        0,
        0,
    )
    income = ledger.account_key(auth.CONTRACT.address, ledger.FEE_INCOME, COOP)
    assert world.journal[income][0].sequence == 1
    assert execution.touched[0] == (ALICE.address, auth.CONTRACT.address, BOB.address)


def test_fee_is_rounded_up() -> None:
    world = World((*founding(), program((AUTH, 6, NONE, (COOP, 1)))))
    world.ok(world.cash_in(ALICE, 1_000))
    spend(world, auth.QUOTA_CAPACITY)
    world.ok(world.pay(ALICE, BOB, 100, gas=10_000, price=1))
    assert world.ask("assets", "balance", ALICE.address, COOP) == (899, 899, 0, 0)
    assert world.ask("auth", "fee") == (COOP, 1)


def test_fee_is_paid_even_by_a_program_that_fails() -> None:
    world = fee_world()
    world.failed(world.pay(ALICE, BOB, 1 << 40, gas=10_002, price=5_000_000))
    assert world.ask("assets", "balance", ALICE.address, COOP) == (950_000, 950_000, 0, 0)


def test_fee_that_the_payer_cannot_pay() -> None:
    world = fee_world()
    assert refused(world, world.pay(ALICE, BOB, 1, gas=200_003, price=5_000_000)).code == Code.NO_QUOTA
    assert world.run(world.pay(ALICE, BOB, 1, gas=200_002, price=5_000_000)).receipts[0].code == Code.FUNDS


# --- limits of a block


def test_block_limits_at_the_limit_and_one_beyond(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    txs = tuple(world.pay(ALICE, BOB, 1) for _ in range(3))
    context = world.next_context()

    def run() -> None:
        execute_block(world.state, world.rules, context, txs, ())

    gas = execute_block(world.state, world.rules, context, txs, ()).gas
    limits: tuple[tuple[str, int], ...] = (
        ("BLOCK_TXS_MAX", 3),
        ("BLOCK_BYTES_MAX", sum(len(tx.raw) for tx in txs)),
        ("BLOCK_GAS", gas),
    )
    for name, value in limits:
        with monkeypatch.context() as patch:
            parameter = getattr(transition, name)
            for low, limit in ((False, value), (True, value - 1)):
                is_number = isinstance(parameter, int)
                patch.setattr(transition, name, limit if is_number else replace(parameter, default=limit))
                if not low:
                    run()
            with pytest.raises(Rejected) as failure:
                run()
            assert failure.value.code == Code.INVALID_BLOCK


def test_block_time_beyond_the_keys(world: World) -> None:
    context = replace(world.next_context(), time_ms=TimeMs(transition.TIME_MS_MAX + 1))
    with pytest.raises(Rejected) as failure:
        execute_block(world.state, world.rules, context, (), ())
    assert failure.value.code == Code.INVALID_BLOCK


def build(world: World, txs: list[SignedTransaction], **limits: int) -> tuple[int, int]:
    full = {"txs_max": 100, "bytes_max": 1 << 20, "gas_max": BLOCK_GAS_MAX, **limits}
    execution, taken, dropped = build_block(world.state, world.rules, world.next_context(), txs, (), **full)
    assert len(execution.receipts) == len(taken)
    again = execute_block(world.state, world.rules, world.next_context(), taken, ())
    assert again == execution
    return len(taken), len(dropped)


def test_a_block_in_another_order_is_invalid_and_the_builder_makes_none(world: World) -> None:
    context = world.next_context()
    txs = [world.pay(payer, BOB, 1) for payer in (TILL, ALICE, CAROL) for _ in range(2)]
    legal = order_transactions(context.parent_id, txs)
    assert build(world, txs) == build(world, txs[::-1]) == (6, 0)
    with pytest.raises(Rejected, match="order of transactions") as failure:
        execute_block(world.state, world.rules, context, tuple(legal[::-1]), ())
    assert failure.value.code == Code.INVALID_BLOCK


def test_builder_stops_at_each_limit(world: World) -> None:
    txs = [world.pay(ALICE, BOB, 1, gas=10_000) for _ in range(5)]
    size = len(txs[0].raw)
    assert build(world, txs) == (5, 0)
    assert build(world, txs, txs_max=3) == (3, 0)
    assert build(world, txs, bytes_max=sum(len(t.raw) for t in txs[:2])) == (2, 0)
    assert build(world, txs, bytes_max=size - 1) == (0, 0)
    assert build(world, txs, gas_max=10_000) == (1, 0)
    assert build(world, txs, gas_max=9_999) == (0, 0)


def test_builder_drops_the_inadmissible_and_goes_on(world: World) -> None:
    good = [world.pay(ALICE, BOB, 1, lane=1, sequence=n) for n in (1, 2)]
    txs = [
        good[0],
        world.pay(STRANGER, BOB, 1),
        good[0],
        world.pay(ALICE, BOB, 1, lane=1, sequence=9),
        good[1],
    ]
    assert build(world, txs) == (2, 3)


# --- queries


@pytest.mark.parametrize(
    "contract, query, arguments, code",
    [
        ("assets", "nothing", (), Code.UNKNOWN_METHOD),
        ("nobody", "asset", (), Code.UNKNOWN_METHOD),
        ("assets", "asset", (), Code.TYPE),
        ("assets", "asset", ("one",), Code.TYPE),
        ("assets", "asset", 1, Code.TYPE),
    ],
)
def test_query_that_cannot_be_asked(
    world: World, contract: str, query: str, arguments: Value, code: Code
) -> None:
    with pytest.raises(Rejected) as failure:
        transition.answer_query(world.state, Seconds(0), contract, query, arguments, None)
    assert failure.value.code == code


def test_statement_is_proven_by_the_account(world: World) -> None:
    world.ok(*[world.pay(ALICE, BOB, n) for n in (1, 2, 3)])
    rows = world.ask("assets", "statement", ALICE.address, COOP, None, 2)
    assert type(rows) is tuple
    assert [row[0] for row in rows if type(row) is tuple] == [4, 3]
    newest = rows[0]
    assert newest == (4, world.time_ms // 1_000, 2, 2, BOB.address, 2010, 0, 0, 3, 1606, b"", 994)
    account = ledger.account_key(ALICE.address, ledger.MEMBER_FREE, COOP)
    state = world.ask("ledger", "account", (ALICE.address, ledger.MEMBER_FREE, COOP, 0))
    assert type(state) is tuple
    rolled = bytes(32)
    for row in world.journal[account]:
        rolled = crypto.digest(crypto.Domain.JOURNAL, rolled, row.raw)
    assert state[-1] == rolled
    assert (
        transition.answer_query(
            world.state, Seconds(0), "assets", "statement", (ALICE.address, COOP, None, 9), None
        )
        == ()
    )


# --- simulation


@pytest.mark.parametrize(
    "make",
    [
        lambda w: w.pay(ALICE, BOB, 5),
        lambda w: w.pay(ALICE, BOB, 5_000),
        lambda w: w.cash_in(BOB, 77),
        lambda w: w.tx((0, 0, 0, 1, 2, 7)),
    ],
)
def test_simulation_is_execution(world: World, make: Callable[[World], SignedTransaction]) -> None:
    tx = make(world)
    simulated = simulate(world.state, world.rules, world.next_context(), tx)
    assert world.run(tx).receipts == (simulated,)


def test_simulation_without_signatures(world: World) -> None:
    signed = world.pay(ALICE, BOB, 5)
    unsigned = world.sign(signed.tx)
    with_signature = simulate(world.state, world.rules, world.next_context(), signed)
    receipt = simulate(world.state, world.rules, world.next_context(), unsigned)
    assert receipt.is_ok and receipt.results == with_signature.results
    assert receipt.gas < with_signature.gas
    with pytest.raises(Rejected):
        execute_block(world.state, world.rules, world.next_context(), (unsigned,), ())


def test_largest_gas_limit_fits_a_full_bucket() -> None:
    assert TX_GAS_MAX > auth.QUOTA_CAPACITY  # such a transaction needs a fee even from a full bucket
    world = World()
    world.ok(world.cash_in(ALICE, 10))
    assert refused(world, world.pay(ALICE, BOB, 1, gas=auth.QUOTA_CAPACITY + 1)).code == Code.NO_QUOTA
    world.ok(world.pay(ALICE, BOB, 1, gas=auth.QUOTA_CAPACITY))


def test_calendar_day_follows_the_offset() -> None:
    assert compute_day(START_MS // 1_000, 0) == 20_454
    world = World()
    world.rules = replace(world.rules, utc_offset_seconds=-3_600)
    receipt = world.ok(world.tx((0, 0, 0, (3, "day"), 20_453, 1)))[0]
    assert receipt.results == (None,)
