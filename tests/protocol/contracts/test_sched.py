"""sched: jobs run when they are due, in order, in budgets; a failure leaves no trace and stops nothing."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import crypto, transition
from protocol.chain.receipt import Receipt, decode_receipt
from protocol.codec import Value, encode
from protocol.contracts import BUILTINS, REGISTRY, auth, sched
from protocol.contracts.parameters import JOBS_GAS
from protocol.contracts.periods import DAYS, MONTHS, ONCE
from protocol.errors import Code, Rejected
from protocol.merkle.proof import list_root
from protocol.money import days_from_date
from protocol.params import (
    JOB_AHEAD_SECONDS_MAX,
    JOB_GAS_MAX,
    JOB_GAS_MIN,
    JOB_INDEX_FIRST,
    JOB_PARAMETERS_BYTES_MAX,
    JOB_RETRY_SECONDS,
    JOBS_BLOCK_GAS_MAX,
    JOBS_PER_BLOCK_MAX,
)
from protocol.transition import Execution, build_block, execute_block, next_due_time
from protocol.types import ContractId
from protocol.vm import gas
from protocol.vm.context import Context
from protocol.vm.contract import Contract, Method, Registry, Signed, System
from protocol.vm.kinds import U8, U32, Field
from protocol.vm.program import literal
from tests.protocol.ledger_world import (
    ALICE,
    ASSETS,
    AUTH,
    BOB,
    CAROL,
    COOP,
    NONE,
    START_MS,
    Person,
    World,
    founding,
    program,
)

SCHED, GRANTS = 3, 6
START = START_MS // 1_000
DAY = 86_400
GAS = 20_000
PINS: Value = ((ASSETS, 1),)
EMPTY = encode(())


def transfer(owner: Person, amount: Value = 10, to: Person = CAROL, grant: int = 1) -> Value:
    return (ASSETS, 7, (0, grant), (owner.address, to.address, COOP, amount, None))


def create(
    owner: Person,
    *calls: Value,
    due: int,
    parameters: tuple[Value, ...] = (),
    unit: int = ONCE,
    every: int = 1,
    ends: int = 0,
    catches_up: bool = True,
    gas: int = GAS,
    pins: Value = PINS,
    raw: bytes | None = None,
) -> Value:
    stored = encode((pins, calls)) if raw is None else raw
    filled = encode(parameters)
    return (SCHED, 1, 0, (owner.address, stored, filled, due, unit, every, ends, catches_up, gas))


def saver_world() -> World:
    """Found a world where Alice and Bob each let themselves pay by job: grants 1 and 2."""
    world = World((*founding(), program((AUTH, 4, NONE, (CAROL.address, sched.SCHEDULER)))))
    world.ok(world.cash_in(ALICE, 10_000), world.cash_in(BOB, 10_000))
    for who in (ALICE, BOB):
        terms: tuple[Value, ...] = (who.address, who.address, ((ASSETS, 7),), ((COOP, 1_000, 1 << 40),), ())
        call = (GRANTS, 1, 0, (*[literal(t) for t in terms], None, 0, (0, 0, 1, 0), 0))
        world.ok(world.tx(call, actors=(who,)))
    return world


def at(world: World, time: int) -> Execution:
    """Run an empty block at a time."""
    return world.run(seconds=time - world.time_ms // 1_000)


def only(execution: Execution) -> Receipt:
    (receipt,) = execution.job_receipts
    return receipt


def told(receipt: Receipt) -> tuple[int, tuple[Value, ...]]:
    """Return number and fields of what sched says of a run."""
    assert receipt.events[-1].contract == SCHED
    return receipt.events[-1].event, receipt.events[-1].fields


def balance(world: World, person: Person) -> int:
    answer = world.ask("assets", "balance", person.address, COOP)
    assert type(answer) is tuple and type(answer[0]) is int
    return answer[0]


# --- running


def test_a_job_runs_once_when_it_is_due() -> None:
    world = saver_world()
    (receipt,) = world.ok(world.tx(create(ALICE, transfer(ALICE), due=START + 100)))
    assert receipt.results == (1,) and next_due_time(world.state) == START + 100
    assert at(world, START + 99).job_receipts == ()
    execution = at(world, START + 100)
    run = only(execution)
    assert run.is_ok and run.results == (10,) and run.index == JOB_INDEX_FIRST
    assert told(run) == (sched.RAN.id, (1, ALICE.address, 0))
    assert execution.job_touched == ((ALICE.address, CAROL.address),)
    assert tuple(decode_receipt(raw) for raw in execution.job_receipt_bytes) == execution.job_receipts
    assert balance(world, CAROL) == 10
    assert at(world, START + 101).job_receipts == ()
    assert world.ask("sched", "job", 1) is None and world.ask("sched", "program", 1) is None
    assert next_due_time(world.state) is None


def test_an_idle_block_writes_nothing() -> None:
    world = saver_world()
    world.run(seconds=700)
    assert dict(world.run().writes) == {}


def test_statement_rows_of_jobs_have_places_of_their_own() -> None:
    world = saver_world()
    world.ok(world.tx(create(ALICE, transfer(ALICE), due=START + 100)))
    at(world, START + 100)
    rows = world.ask("assets", "statement", CAROL.address, COOP, None, 1)
    assert type(rows) is tuple and type(rows[0]) is tuple and rows[0][3] == JOB_INDEX_FIRST


def test_order_is_due_time_then_number() -> None:
    world = saver_world()
    for due in (START + 60, START + 50, START + 60):
        world.ok(world.tx(create(ALICE, transfer(ALICE), due=due)))
    assert world.ask("sched", "due") == ((START + 50, 2), (START + 60, 1), (START + 60, 3))
    execution = at(world, START + 60)
    assert [told(r)[1][0] for r in execution.job_receipts] == [2, 1, 3]
    assert [r.index - JOB_INDEX_FIRST for r in execution.job_receipts] == [0, 1, 2]
    assert len({r.tx_id for r in execution.job_receipts}) == 3


def test_transactions_of_the_block_come_after_its_jobs() -> None:
    world = saver_world()
    world.ok(world.tx(create(ALICE, transfer(ALICE, 10_000 - 9_500), due=START + 50)))
    world.run(seconds=40)
    pays = world.pay(ALICE, BOB, 9_501), world.pay(ALICE, BOB, 9_500)
    seconds = START + 50 - world.time_ms // 1_000
    execution = world.run(*pays, seconds=seconds)
    assert [r.code for r in execution.receipts] == [Code.FUNDS, Code.OK]
    assert [r.index for r in execution.receipts] == [0, 1]


def test_builder_and_checker_agree_on_jobs() -> None:
    world = saver_world()
    world.ok(world.tx(create(ALICE, transfer(ALICE), due=START + 20, unit=DAYS)))
    context = world.next_context(40)
    txs = (world.pay(BOB, CAROL, 1),)
    execution, taken, _ = build_block(world.state, world.rules, context, txs, (), 10, 1 << 20, 10**8)
    assert execution == execute_block(world.state, world.rules, context, taken, ())
    assert len(execution.job_receipts) == 1 and len(execution.receipt_bytes) == 1


def test_parameters_are_filled_when_it_runs() -> None:
    world = saver_world()
    call = transfer(ALICE, (2, 0))
    world.ok(world.tx(create(ALICE, call, due=START + 20, parameters=(77,))))
    assert only(at(world, START + 20)).results == (77,)
    for wrong in ((), (0,), ("77",), (1, 2)):
        assert world.failed(world.tx(create(ALICE, call, due=START + 90, parameters=wrong))).code == Code.TYPE


def test_environment_of_a_run() -> None:
    world = saver_world()
    world.rules = replace(world.rules, utc_offset_seconds=3_600)
    checks: tuple[Value, ...] = (
        (0, 0, 0, (3, "time"), START + DAY - 3_600, 1),
        (0, 0, 0, (3, "day"), START // DAY + 1, 2),
        (0, 0, 0, (3, "actor", 0), ALICE.address, 3),
        (0, 0, 1, (3, "self"), bytes(32), 4),
    )
    world.ok(world.tx(create(ALICE, *checks, due=START + 20)))
    assert only(at(world, START + DAY - 3_600)).is_ok


# --- recurrence


def test_the_31st_is_the_last_day_of_shorter_months() -> None:
    world = saver_world()
    noon = 12 * 3_600

    def due(month: int, day: int) -> int:
        return days_from_date(2028, month, day) * DAY + noon

    at(world, due(1, 1))
    world.ok(world.tx(create(ALICE, transfer(ALICE), due=due(1, 31), unit=MONTHS)))
    for now, following in (((1, 31), (2, 29)), ((2, 29), (3, 31)), ((3, 31), (4, 30)), ((4, 30), (5, 31))):
        assert told(only(at(world, due(*now))))[1][2] == due(*following)
    assert balance(world, CAROL) == 40


def test_due_days_follow_the_calendar_of_the_co_op() -> None:
    world = saver_world()
    world.rules = replace(world.rules, utc_offset_seconds=3_600)
    midnight = days_from_date(2026, 1, 31) * DAY - 3_600  # 31 Jan begins at 23:00 UTC of the 30th
    world.ok(world.tx(create(ALICE, transfer(ALICE), due=midnight, unit=MONTHS)))
    assert told(only(at(world, midnight)))[1][2] == days_from_date(2026, 2, 28) * DAY - 3_600


@pytest.mark.parametrize("catches_up, runs, following", [(True, 4, 4), (False, 1, 4)])
def test_missed_days_are_caught_up_or_collapse(catches_up: bool, runs: int, following: int) -> None:
    world = saver_world()
    first = START + 100
    world.ok(world.tx(create(ALICE, transfer(ALICE), due=first, unit=DAYS, catches_up=catches_up)))
    executions = [at(world, first + 3 * DAY + n) for n in range(6)]
    receipts = [r for e in executions for r in e.job_receipts]
    assert len(receipts) == runs and balance(world, CAROL) == 10 * runs
    assert all(len(e.job_receipts) <= 1 for e in executions), "one run a block"
    assert told(receipts[-1])[1][2] == first + following * DAY


def test_the_end_at_the_limit_and_one_beyond() -> None:
    for ends, following in ((START + 100 + DAY, START + 100 + DAY), (START + 99 + DAY, 0)):
        world = saver_world()
        world.ok(world.tx(create(ALICE, transfer(ALICE), due=START + 100, unit=DAYS, ends=ends)))
        assert told(only(at(world, START + 100)))[1][2] == following
        assert (world.ask("sched", "job", 1) is None) == (following == 0)


# --- failing


def doomed_world(**options: Any) -> World:
    world = saver_world()
    calls = (transfer(ALICE, 5), (0, 0, 0, 1, 2, 7))
    world.ok(world.tx(create(ALICE, *calls, due=START + 100, **options)))
    return world


def test_back_off_then_quarantine_then_help() -> None:
    world = doomed_world()
    now = START + 100
    for tries, wait in enumerate(JOB_RETRY_SECONDS, 1):
        assert at(world, now - 1).job_receipts == ()
        run = only(at(world, now))
        assert (run.code, run.failed_instruction, run.results) == (9_007, 1, ())
        now += wait
        assert told(run) == (sched.FAILED.id, (1, ALICE.address, tries, now)) and len(run.events) == 1
    assert told(only(at(world, now))) == (sched.QUARANTINE.id, (1, ALICE.address, 8))
    assert next_due_time(world.state) is None
    assert at(world, now + 30 * DAY).job_receipts == ()
    retry = (SCHED, 3, 0, (ALICE.address, 1))
    assert world.failed(world.tx(retry, actors=(BOB,))).code == Code.POLICY_UNMET
    world.ok(world.tx(retry, actors=(CAROL,)))
    run = only(world.run())
    assert world.failed(world.tx(retry)).code == sched.NOT_QUARANTINED
    assert told(run)[0] == sched.FAILED.id and told(run)[1][2] == 1
    assert balance(world, ALICE) == 10_000


def test_a_failed_run_leaves_only_its_receipt_its_due_time_and_its_gas() -> None:
    world = doomed_world()
    execution = at(world, START + 100)
    tables = {key[:3] for key in execution.writes}
    mine = {t.prefix for t in sched.CONTRACT.tables} | {
        b"\x00\x03\x01",
        auth.ACCOUNT.prefix,
        auth.SEEN.prefix,
    }
    assert tables <= mine and execution.journal == ()
    assert execution.job_touched == ((ALICE.address,),)


def test_a_failing_job_does_not_hold_up_the_others() -> None:
    world = doomed_world()
    world.ok(world.tx(create(BOB, transfer(BOB, grant=2), due=START + 100), actors=(BOB,)))
    assert [r.code for r in at(world, START + 100).job_receipts] == [9_007, Code.OK]


def test_a_success_ends_the_count_of_failures() -> None:
    world = saver_world()
    call = transfer(ALICE, 1_000)
    world.ok(world.pay(ALICE, BOB, 9_500))
    world.ok(world.tx(create(ALICE, call, due=START + 100, unit=DAYS)))
    assert only(at(world, START + 100)).code == Code.FUNDS
    world.ok(world.pay(BOB, ALICE, 1_000))
    run = only(at(world, START + 103))
    assert told(run) == (sched.RAN.id, (1, ALICE.address, START + 100 + DAY))
    job = world.ask("sched", "job", 1)
    assert type(job) is tuple and job[-2:] == (0, 3)


def test_grants_bind_jobs() -> None:
    world = saver_world()
    world.ok(world.tx(create(ALICE, transfer(ALICE, 1_001), due=START + 50)))
    assert only(at(world, START + 50)).code == Code.GRANT_EXCEEDED


def test_a_member_pays_with_free_gas_at_the_limit_and_one_beyond() -> None:
    for short in (0, 1):
        world = saver_world()
        world.ok(world.tx(create(ALICE, transfer(ALICE), due=START + 50)))
        debt = (auth.QUOTA_CAPACITY - GAS + short) * auth.QUOTA_UNIT
        world.state.apply({auth.ACCOUNT.key(ALICE.address): encode((1, 0, (), debt, START + 50))})
        run = only(at(world, START + 50))
        assert run.code == (Code.NO_QUOTA if short else Code.OK)
        answer = world.ask("auth", "account", ALICE.address)
        assert type(answer) is tuple and answer[2] == GAS - short - run.gas


def test_gas_of_a_run_is_bounded_by_its_own_limit() -> None:
    world = saver_world()
    world.ok(world.tx(create(ALICE, transfer(ALICE), due=START + 50, gas=JOB_GAS_MIN)))
    run = only(at(world, START + 50))
    assert (run.code, run.gas) == (Code.GAS, JOB_GAS_MIN)


def test_a_pin_that_holds_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    world = saver_world()
    world.ok(world.tx(create(ALICE, transfer(ALICE), due=START + 50)))
    newer = tuple(replace(c, version=2) if c.id == ASSETS else c for c in BUILTINS)
    monkeypatch.setattr(transition, "REGISTRY", Registry(newer, REGISTRY.has_role, REGISTRY.grants))
    assert only(at(world, START + 50)).code == Code.VERSION_PIN


# --- what is refused


def test_full_power_is_not_for_jobs() -> None:
    world = saver_world()
    call = (ASSETS, 7, 0, (ALICE.address, CAROL.address, COOP, 1, None))
    assert world.failed(world.tx(create(ALICE, call, due=START + 90))).code == sched.FULL_POWER
    assert world.failed(world.tx(create(ALICE, transfer(ALICE), due=START + 90), actors=(BOB,))).code == (
        Code.POLICY_UNMET
    )


def test_a_members_job_has_no_authority_of_the_kernel() -> None:
    world = saver_world()
    calls: tuple[Value, ...] = (
        (ASSETS, 1, NONE, ("NEW", "New", 2, 1, 5)),
        (SCHED, 3, NONE, (BOB.address, 1)),
        (ASSETS, 7, NONE, (BOB.address, ALICE.address, COOP, 1, None)),
    )
    for call in calls:
        world.ok(world.tx(create(ALICE, call, due=world.time + 5, pins=((SCHED, 1), (ASSETS, 1)))))
    codes = [r.code for r in world.run(seconds=10).job_receipts]
    assert codes == [Code.ROLE, Code.POLICY_UNMET, Code.POLICY_UNMET]


def test_due_time_at_the_limits_and_one_beyond() -> None:
    for ahead, is_fine in (
        (0, False),
        (1, True),
        (JOB_AHEAD_SECONDS_MAX, True),
        (JOB_AHEAD_SECONDS_MAX + 1, False),
    ):
        world = saver_world()
        (receipt,) = world.run(world.tx(create(ALICE, transfer(ALICE), due=world.time + ahead))).receipts
        assert receipt.code == (Code.OK if is_fine else sched.DUE_TIME)
    assert world.failed(world.tx(create(ALICE, transfer(ALICE), due=START + 90, ends=START + 89))).code == (
        sched.DUE_TIME
    )


@pytest.mark.parametrize(
    "options",
    [
        {"gas": JOB_GAS_MIN - 1},
        {"gas": JOB_GAS_MAX + 1},
        {"unit": 4},
        {"every": 0},
        {"every": 367},
        {"raw": b""},
    ],
)
def test_arguments_beyond_their_limits(options: dict[str, Any]) -> None:
    world = saver_world()
    with pytest.raises(Rejected) as failure:
        world.run(world.tx(create(ALICE, transfer(ALICE), due=START + 90, **options)))
    assert failure.value.code == Code.TYPE


def test_sizes_at_the_limit_and_one_beyond() -> None:
    world = saver_world()
    call = (0, 0, 0, (2, 0), b"", 1)
    fits = b"x" * (JOB_PARAMETERS_BYTES_MAX - 4)
    world.ok(world.tx(create(ALICE, call, due=START + 90, parameters=(fits,))))
    with pytest.raises(Rejected):
        world.run(world.tx(create(ALICE, call, due=START + 90, parameters=(fits + b"x",))))


def test_ill_formed_programs_and_parameters() -> None:
    world = saver_world()
    for raw, code in ((b"\xc1", Code.MALFORMED), (encode((PINS, ())), Code.MALFORMED)):
        assert world.failed(world.tx(create(ALICE, due=START + 90, raw=raw))).code == code
    assert world.failed(world.tx(create(ALICE, transfer(ALICE), due=START + 90, pins=()))).code == (
        Code.VERSION_PIN
    )
    call = create(ALICE, transfer(ALICE), due=START + 90)
    assert type(call) is tuple and type(call[3]) is tuple
    for parameters in (b"\xc1", encode(7)):
        wrong = (*call[:3], (*call[3][:2], parameters, *call[3][3:]))
        assert world.failed(world.tx(wrong)).code == Code.MALFORMED


def test_cancelling() -> None:
    world = saver_world()
    world.ok(world.tx(create(ALICE, transfer(ALICE), due=START + 90)))
    cancel = (SCHED, 2, 0, ((3, "actor", 0), 1))
    assert world.failed(world.tx(cancel, actors=(BOB,))).code == sched.NO_JOB
    assert world.ask("sched", "by_owner", ALICE.address) == (1,)
    world.ok(world.tx(cancel))
    assert world.ask("sched", "by_owner", ALICE.address) == ()
    assert at(world, START + 90).job_receipts == ()
    assert not [key for key in world.state.items() if key.startswith(sched.PROGRAMS.prefix)]


# --- jobs of contracts

ROBOT = ContractId(900)


def _arm(ctx: Context, count: int) -> Value:
    """Schedule so many jobs, each of which arms the robot again."""
    calls = ((ROBOT, 2, 0, (1,)),)
    for _ in range(count):
        sched.schedule(ctx, ((), calls), (), ctx.environment.time + 10, gas=50_000)
    return count


def _stop(ctx: Context, number: int) -> Value:
    sched.cancel(ctx, number)
    return number


def _stop_later(ctx: Context, number: int) -> Value:
    return _later(ctx, (ROBOT, 4, 0, (number,)))


def _daily(ctx: Context) -> int:
    return sched.schedule(ctx, ((), ((ROBOT, 8, 0, ()),)), (), START + DAY, (DAYS, 1))


def _later(ctx: Context, call: Value) -> int:
    return sched.schedule(ctx, ((), (call,)), (), ctx.environment.time + 5)


COUNT = (Field("count", U8),)
OF_ROBOT = System("sched:robot")
ROBOT_CONTRACT = Contract(
    ROBOT,
    "robot",
    1,
    1,
    "",
    methods=(
        Method(1, "arm", COUNT, U8, (Signed(),), 1, _arm, ""),
        Method(2, "rearm", COUNT, U8, (OF_ROBOT,), 1, lambda ctx, n: _arm(ctx, n), ""),
        Method(3, "rearm_twice", (), U8, (OF_ROBOT,), 1, lambda ctx: _arm(ctx, 2), ""),
        Method(4, "stop", COUNT, U8, (OF_ROBOT,), 1, _stop, ""),
        Method(5, "stop_later", COUNT, U32, (Signed(),), 1, _stop_later, ""),
        Method(
            6,
            "twice_later",
            (),
            U32,
            (Signed(),),
            1,
            lambda ctx: _later(ctx, (ROBOT, 3, 0, ())),
            "",
        ),
        Method(7, "daily", (), U32, (Signed(),), 1, _daily, ""),
        Method(8, "tick", (), U8, (OF_ROBOT,), 1, lambda _: 1, ""),
    ),
)


@pytest.fixture
def robots(monkeypatch: pytest.MonkeyPatch) -> World:
    registry = Registry((*BUILTINS, ROBOT_CONTRACT), REGISTRY.has_role, REGISTRY.grants)
    monkeypatch.setattr(transition, "REGISTRY", registry)
    return saver_world()


def test_a_contracts_job_has_the_contracts_authority_and_may_go_on(robots: World) -> None:
    world = robots
    world.ok(world.tx((ROBOT, 1, 0, (1,))))
    for _ in range(3):
        due = next_due_time(world.state)
        assert due is not None
        run = only(at(world, due))
        assert run.is_ok and next_due_time(world.state) == due + 10
    assert world.failed(world.tx((ROBOT, 2, 0, (1,)))).code == Code.ROLE


def test_a_contracts_recurring_job_follows_its_upgrade_and_a_members_stays_pinned(
    robots: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = robots
    world.ok(world.tx((ROBOT, 7, 0, ())))
    world.ok(world.tx(create(ALICE, transfer(ALICE), due=START + DAY, unit=DAYS)))
    assert [run.code for run in at(world, START + DAY).job_receipts] == [Code.OK, Code.OK]
    newer = [replace(one, version=2) if one.id == ASSETS else one for one in BUILTINS]
    second = replace(ROBOT_CONTRACT, version=2)
    registry = Registry((*newer, second), REGISTRY.has_role, REGISTRY.grants)
    monkeypatch.setattr(transition, "REGISTRY", registry)
    of_robot, of_alice = at(world, START + 2 * DAY).job_receipts
    assert of_robot.code == Code.OK and told(of_robot) == (3, (1, second.address, START + 3 * DAY))
    assert of_alice.code == Code.VERSION_PIN


def test_a_run_schedules_one_job_and_not_two(robots: World) -> None:
    world = robots
    world.ok(world.tx((ROBOT, 1, 0, (2,))))  # a transaction may
    at(world, world.time + 9)
    world.ok(world.tx((ROBOT, 6, 0, ())))
    runs = at(world, world.time + 4).job_receipts
    assert runs[-1].code == sched.ONE_A_RUN


def test_a_job_may_take_back_another_that_is_due_and_itself(robots: World) -> None:
    world = robots
    world.ok(world.tx((ROBOT, 5, 0, (2,)), (ROBOT, 5, 0, (2,))))
    runs = at(world, world.time + 4).job_receipts
    assert [r.is_ok for r in runs] == [True] and next_due_time(world.state) is None
    world.ok(world.tx((ROBOT, 5, 0, (3,))))
    run = only(at(world, world.time + 4))
    assert run.is_ok and [e.event for e in run.events] == [sched.CANCELLED.id]


# --- budgets of a block


def many_jobs(world: World, count: int) -> None:
    for n in range(count):
        who = (ALICE, BOB)[n % 2]
        call = transfer(who, 600 + n, (CAROL, (BOB, ALICE)[n % 2])[n % 3 == 1], grant=1 + n % 2)
        world.ok(
            world.tx(create(who, call, due=START + 100 + n % 4, unit=DAYS if n == 1 else ONCE), actors=(who,))
        )


@pytest.mark.parametrize(
    "room, short, sizes", [(0, 0, [1] * 6), (1, 0, [2] * 3), (1, 1, [1] * 6), (5, 0, [6]), (5, 1, [5, 1])]
)
def test_gas_budget_of_a_block_at_the_limit_and_one_below(
    monkeypatch: pytest.MonkeyPatch, room: int, short: int, sizes: list[int]
) -> None:
    world = saver_world()
    call = (0, 0, 0, 1, 1, 1)
    for _ in range(6):
        world.ok(world.tx(create(ALICE, call, due=START + 100)))
    used = gas.ASSERTION + gas.STORED_BYTE * len(encode((PINS, (call,))))
    monkeypatch.setattr(transition, "JOBS_GAS", replace(JOBS_GAS, default=GAS + room * used - short))
    executions = [at(world, START + 100 + n) for n in range(8)]
    assert all(r.gas == used for e in executions for r in e.job_receipts)
    assert [len(e.job_receipts) for e in executions if e.job_receipts] == sizes


def test_largest_job_fits_a_block() -> None:
    assert JOB_GAS_MAX <= JOBS_BLOCK_GAS_MAX


def test_number_of_jobs_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    assert JOBS_PER_BLOCK_MAX == 1_000
    monkeypatch.setattr(sched, "JOBS_PER_BLOCK_MAX", 2)
    world = saver_world()
    many_jobs(world, 5)
    assert [len(at(world, START + 200 + n).job_receipts) for n in range(4)] == [2, 2, 1, 0]


@settings(max_examples=25)
@given(
    st.integers(1, 12), st.sampled_from([GAS, 2 * GAS, 3 * GAS + 1, JOBS_BLOCK_GAS_MAX]), st.integers(1, 5)
)
def test_results_do_not_depend_on_the_budget_except_for_the_block(count: int, budget: int, step: int) -> None:
    def run(limit: int) -> tuple[list[tuple[Value, ...]], list[int]]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transition, "JOBS_GAS", replace(JOBS_GAS, default=limit))
            world = saver_world()
            many_jobs(world, count)
            receipts: list[Receipt] = []
            for n in range(40):
                receipts += at(world, START + 110 + n * step).job_receipts
            outcomes = [(r.tx_id, r.code, r.results, r.reason is None) for r in receipts]
            return sorted(outcomes), [balance(world, p) for p in (ALICE, BOB, CAROL)]

    assert run(budget) == run(JOBS_BLOCK_GAS_MAX)


# --- what proves it


def test_history_proves_every_receipt() -> None:
    world = saver_world()
    many_jobs(world, 5)
    assert world.ask("sched", "history") is None
    rolled, count = bytes(32), 0
    for n in range(4):
        execution = at(world, START + 100 + n)
        for raw in execution.job_receipt_bytes:
            rolled, count = crypto.digest(crypto.Domain.JOURNAL, rolled, raw), count + 1
        root = list_root(execution.job_receipt_bytes)
        assert world.ask("sched", "history") == (count, rolled, world.height, root)
    assert count == 5
    before = world.height
    world.run()
    history = world.ask("sched", "history")
    assert type(history) is tuple and history[2] == before


def test_owner_that_does_not_exist() -> None:
    world = saver_world()
    world.ok(world.tx(create(ALICE, transfer(ALICE), due=START + 50)))
    world.state.apply({auth.ACCOUNT.key(ALICE.address): None})
    assert only(at(world, START + 50)).code == Code.NO_ACCOUNT
