"""Running programs: piping, assertions, capabilities, aborts, gas, calls between contracts."""

import pytest

from protocol.codec import Value
from protocol.errors import USER_ASSERT_BASE, CallFailed, Code
from protocol.params import CALL_DEPTH_MAX, RESULT_BYTES_MAX
from protocol.types import Address, ContractId
from protocol.vm import gas
from protocol.vm.context import Context, run_method
from protocol.vm.contract import (
    GOV,
    Contract,
    Method,
    Owner,
    Registry,
    Role,
    Signed,
    compute_contract_address,
)
from protocol.vm.execute import REASON_CHARS_MAX, Outcome, run_program
from protocol.vm.kinds import ADDRESS, U8, Anything, Field
from protocol.vm.program import NO_ACTOR, parse_program
from protocol.vm.view import MemoryState, View
from tests.protocol.vm.toy import (
    ACTOR,
    CELLS,
    CONTRACT,
    OTHER,
    POKED,
    REGISTRY,
    TOWER,
    TOY,
    context,
    environment,
)

PUT = (TOY, 1, 0, (1, 5))


def run(*instructions: Value, view: View | None = None, system: str | None = None) -> Outcome:
    program = parse_program(((), instructions), REGISTRY, 2)
    return run_program(view or View(MemoryState()), REGISTRY, environment(system), program)


def test_results_in_order_and_piped() -> None:
    outcome = run(PUT, (TOY, 1, 0, (2, (1, 0))), (TOY, 4, 0, (9, ACTOR)), (TOY, 1, 0, ((1, 2, 0), 8)))
    assert outcome.code == Code.OK and outcome.results == (5, 5, (9, ACTOR), 8)


def test_environment() -> None:
    names = ((3, "time"), (3, "day"), (3, "height"), (3, "self"), (3, "actor", 1))
    assert run((TOY, 2, 0, names)).results == ((1_000, 20_000, 7, bytes(range(32)), OTHER),)


def test_lists_with_references_inside() -> None:
    pair = (0, (1, 0, 0), (3, "actor", 1))
    call = (TOY, 3, 0, (1, True, "t", b"", None, (0, 3, (1, 0, 0)), pair, (0, 4)))
    outcome = run((TOY, 4, 0, (7, ACTOR)), call)
    assert outcome.results[1] == (1, True, "t", b"", None, (3, 7), (7, OTHER), (4,))


def test_list_where_nil_is_allowed_too() -> None:
    assert run((TOY, 11, 0, ((0, 1, 2),)), (TOY, 11, 0, (None,))).results == ((1, 2), None)


@pytest.mark.parametrize(
    "op, left, right, holds",
    [
        (0, 1, 1, True),
        (0, 1, 2, False),
        (0, 1, True, False),
        (0, b"a", "a", False),
        (0, None, None, True),
        (1, 1, 2, True),
        (1, 1, 1, False),
        (1, 1, True, True),
        (2, 1, 2, True),
        (2, 2, 2, False),
        (3, 2, 2, True),
        (3, 3, 2, False),
        (4, 3, 2, True),
        (4, 2, 2, False),
        (5, 2, 2, True),
        (5, -2, 2, False),
    ],
)
def test_assertions(op: int, left: Value, right: Value, holds: bool) -> None:
    outcome = run((0, 0, op, left, right, 17))
    assert outcome.code == (Code.OK if holds else USER_ASSERT_BASE + 17)
    assert outcome.results == ((None,) if holds else ())


def test_assertion_over_a_result_says_what_it_saw() -> None:
    outcome = run(PUT, (0, 0, 5, (1, 0), 6, 1))
    assert (outcome.code, outcome.failed_instruction) == (9_001, 1)
    assert outcome.reason is not None
    assert (outcome.reason.rule, outcome.reason.limit, outcome.reason.actual) == ("assert.ge", 6, 5)
    outcome = run((TOY, 9, 0, (None,)), (0, 0, 1, (1, 0), None, 1))
    assert outcome.reason is not None and outcome.reason.actual is None


@pytest.mark.parametrize(
    "value, said",
    [
        (b"a" * REASON_CHARS_MAX, b"a" * REASON_CHARS_MAX),
        (b"a" * (REASON_CHARS_MAX + 1), None),
        ("b", "b"),
        (True, None),
    ],
)
def test_reasons_stay_short(value: Value, said: Value) -> None:
    outcome = run((0, 0, 0, value, 1, 0))
    assert outcome.reason is not None and outcome.reason.actual == said


def test_abort_leaves_no_trace_but_gas() -> None:
    view = View(MemoryState())
    run((TOY, 1, 0, (1, 4)), view=view)
    before = view.collect_writes()
    outcome = run(PUT, (TOY, 1, 0, (2, 5)), (0, 0, 0, 1, 2, 0), view=view)
    assert outcome.failed_instruction == 2 and outcome.results == ()
    assert view.collect_writes() == before and len(view.events) == 1
    assert CELLS.peek(view, CELLS.key(2)) is None
    assert view.gas_used > 0


def test_gas_is_the_sum_of_its_parts_and_one_less_fails() -> None:
    view = View(MemoryState())
    run(PUT, (0, 0, 0, 1, 1, 0), view=view)
    needed = gas.CALL + 7 + CELLS.write_gas + POKED.gas + gas.ASSERTION
    assert view.gas_used == needed
    for limit, code in ((needed, Code.OK), (needed - 1, Code.GAS)):
        view = View(MemoryState())
        view.gas_limit = limit
        assert run(PUT, (0, 0, 0, 1, 1, 0), view=view).code == code
        assert view.gas_used == limit


def test_envelope_gas() -> None:
    assert gas.compute_envelope_gas(319, 2) == 2_019


# --- capabilities


@pytest.mark.parametrize(
    "call, code, system",
    [
        ((TOY, 5, 0, (1, ACTOR)), Code.OK, None),
        ((TOY, 5, 1, (1, ACTOR)), Code.POLICY_UNMET, None),
        ((TOY, 5, NO_ACTOR, (1, ACTOR)), Code.POLICY_UNMET, None),
        ((TOY, 5, NO_ACTOR, (1, ACTOR)), Code.POLICY_UNMET, "gov"),
        ((TOY, 6, 1, ()), Code.OK, None),
        ((TOY, 6, 0, ()), Code.ROLE, None),
        ((TOY, 6, NO_ACTOR, ()), Code.ROLE, None),
        ((TOY, 7, NO_ACTOR, ()), Code.OK, "gov"),
        ((TOY, 7, 0, ()), Code.ROLE, None),
        ((TOY, 7, 0, ()), Code.ROLE, "sched"),
        ((TOY, 10, 0, ()), Code.OK, None),
        ((TOY, 10, NO_ACTOR, ()), Code.ROLE, None),
    ],
)
def test_capabilities(call: Value, code: Code, system: str | None) -> None:
    assert run(call, system=system).code == code


# --- calls between contracts


def test_call_depth_at_the_limit_and_one_beyond() -> None:
    top = TOWER[-1]
    assert run((top.id, 1, 0, (CALL_DEPTH_MAX - 1,))).results == (CALL_DEPTH_MAX - 1,)
    outcome = run((top.id, 1, 0, (CALL_DEPTH_MAX,)))
    assert outcome.code == Code.LIMIT and outcome.reason is not None
    assert (outcome.reason.limit, outcome.reason.actual) == (CALL_DEPTH_MAX, CALL_DEPTH_MAX + 1)


def test_nested_call_acts_as_the_contract_and_not_as_the_user() -> None:
    (direct,) = run((TOWER[1].id, 2, 0, ())).results
    assert direct == (ACTOR, True, True)
    (nested,) = run((TOWER[1].id, 3, 0, ())).results
    assert nested == (TOWER[1].address, False, True)


def test_gov_may_debit_anybody() -> None:
    assert run((TOWER[1].id, 2, NO_ACTOR, ()), system="gov").results == ((None, True, True),)


def test_a_token_lets_a_lower_contract_take_so_much_and_no_more() -> None:
    outer = context(View(MemoryState()), TOWER[1])
    take = outer.take(ACTOR, 1, 100)
    inner = Context(
        outer.view, REGISTRY, outer.environment, TOWER[0], TOWER[1].address, depth=1, takes=(take,)
    )
    assert inner.may_debit(ACTOR) and not inner.may_debit(OTHER)
    inner.spend(ACTOR, 1, 60, OTHER)
    inner.spend(ACTOR, 1, 40, OTHER)
    for asset in (1, 2):
        with pytest.raises(CallFailed) as failure:
            inner.spend(ACTOR, asset, 1, OTHER)
        assert failure.value.code == Code.GRANT_EXCEEDED and failure.value.reason.rule == "vm.take"
    inner.spend(TOWER[0].address, 1, 1_000, OTHER)  # its own money needs no token
    with pytest.raises(CallFailed) as failure:
        outer.take(OTHER, 1, 1)
    assert failure.value.code == Code.POLICY_UNMET


def test_a_token_reaches_the_call_and_counts_against_the_grant_behind_it() -> None:
    spent: list[tuple[int, int, int]] = []

    class Grants:
        def use(self, *_: object) -> Address:
            return ACTOR

        def spend(
            self, view: View, grant: int, asset: int, amount: int, in_call: int, counterparty: bytes
        ) -> None:
            spent.append((grant, amount, in_call))

    def reach(ctx: Context) -> Value:
        return ctx.call(200, 1, takes=(ctx.take(ACTOR, 1, 50),))

    def debit(ctx: Context) -> Value:
        ctx.spend(ACTOR, 1, 20, OTHER)
        ctx.spend(ACTOR, 1, 30, OTHER)
        return 0

    lower = Contract(
        ContractId(200), "low", 0, 1, "", methods=(Method(1, "m", (), U8, (Signed(),), 1, debit, ""),)
    )
    owner = (Field("owner", ADDRESS),)
    top = Method(1, "m", owner, U8, (Owner("owner"),), 1, lambda ctx, owner: reach(ctx), "")
    upper = Contract(ContractId(201), "up", 1, 1, "", methods=(top,))
    registry = Registry((lower, upper), lambda *_: False, Grants())
    program = parse_program(((), ((201, 1, (1, 9), (ACTOR,)),)), registry, 2)
    assert run_program(View(MemoryState()), registry, environment(), program).code == Code.OK
    assert spent == [(9, 20, 20), (9, 30, 50)]


def test_a_grant_gives_no_role_of_its_grantor() -> None:
    class Grants:
        def use(self, *_: object) -> Address:
            return OTHER  # the king

        def spend(self, *_: object) -> None:
            raise AssertionError

    owner = (Field("owner", ADDRESS),)
    either = Method(1, "m", owner, U8, (Owner("owner"), Role("king"), Signed()), 1, lambda ctx, owner: 0, "")
    registry = Registry(
        (Contract(ContractId(200), "low", 0, 1, "", methods=(either,)),), REGISTRY.has_role, Grants()
    )
    for actor, whose, code in (
        (1, ACTOR, Code.OK),
        ((0, 9), OTHER, Code.OK),
        ((0, 9), ACTOR, Code.POLICY_UNMET),
    ):
        program = parse_program(((), ((200, 1, actor, (whose,)),)), registry, 2)
        assert run_program(View(MemoryState()), registry, environment(), program).code == code


def test_without_a_contract_that_keeps_grants_there_are_none() -> None:
    outcome = run((TOY, 5, (1, 4), (1, ACTOR)))
    assert outcome.code == Code.GRANT_EXCEEDED


def test_calls_go_down_only() -> None:
    with pytest.raises(AssertionError):
        run((TOWER[1].id, 4, 0, ()))


def test_nested_arguments_are_typed() -> None:
    assert run((TOWER[1].id, 5, 0, ())).code == Code.TYPE
    assert run((TOWER[1].id, 6, 0, ())).code == Code.TYPE


def test_result_that_breaks_the_schema_is_our_bug() -> None:
    with pytest.raises(AssertionError):
        run((TOY, 8, 0, ()))


def test_missing_role_inside_a_call() -> None:
    with pytest.raises(CallFailed):
        run_method(context(View(MemoryState()), CONTRACT), CONTRACT.methods[5], ())


# --- schemas


def contract(number: int, name: str, *methods: Method) -> Contract:
    return Contract(number, name, 0, 1, "", methods=methods)  # type: ignore[arg-type]


def method(number: int) -> Method:
    return Method(number, "m", (), U8, (GOV,), 1, lambda ctx: 1, "")


@pytest.mark.parametrize(
    "contracts",
    [
        (contract(1, "a"), contract(1, "b")),
        (contract(1, "a"), contract(2, "a")),
        (contract(1, "a", method(1), method(1)),),
    ],
)
def test_registry_refuses_duplicates(contracts: tuple[Contract, ...]) -> None:
    with pytest.raises(ValueError):
        Registry(contracts, lambda *_: False)


def test_result_size_at_the_limit_and_one_beyond() -> None:
    Method(1, "m", (), Anything("x", RESULT_BYTES_MAX), (GOV,), 1, lambda ctx: 1, "")
    with pytest.raises(ValueError):
        Method(1, "m", (), Anything("x", RESULT_BYTES_MAX + 1), (GOV,), 1, lambda ctx: 1, "")


def test_contract_address_depends_on_the_name() -> None:
    assert compute_contract_address("toy") == CONTRACT.address != compute_contract_address("joy")
    assert len(CONTRACT.address) == 20
