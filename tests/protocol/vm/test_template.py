"""Templates and stored programs: parameters typed once and filled at run time, pins, pieces."""

import pytest

from protocol import codec
from protocol.codec import Value
from protocol.contracts import stored
from protocol.errors import CallFailed, Code, Rejected
from protocol.params import (
    PROGRAM_PARAMETERS_MAX,
    PROGRAM_STORED_BYTES_MAX,
    PROGRAM_STORED_INSTRUCTIONS_MAX,
    STORED_CHUNK_BYTES_MAX,
)
from protocol.vm import gas
from protocol.vm.context import Environment
from protocol.vm.execute import Outcome, run_stored
from protocol.vm.kinds import U8, U63
from protocol.vm.program import Template, parse_template
from protocol.vm.view import MemoryState, View
from tests.protocol.vm.toy import ACTOR, CONTRACT, OTHER, REGISTRY, TOY, context, environment

PINS: Value = ((TOY, 3),)
PUT: Value = (TOY, 1, 0, ((2, 0), (2, 1)))


def template(*instructions: Value, pins: Value = PINS) -> Template:
    return parse_template((pins, instructions), REGISTRY, 2)


def refused(*instructions: Value, pins: Value = PINS) -> int:
    with pytest.raises(Rejected) as failure:
        template(*instructions, pins=pins)
    return failure.value.code


def run(value: Value, *parameters: Value, view: View | None = None) -> Outcome:
    now = environment()
    filled = Environment(now.time, now.day, now.height, 2, now.program_id, (ACTOR, OTHER), None, parameters)
    return run_stored(view or View(MemoryState()), REGISTRY, filled, codec.encode(value))


def test_parameters_have_the_kinds_of_where_they_stand() -> None:
    assert template(PUT).parameters == (U8, U63)


def test_one_parameter_in_two_places_has_the_narrower_kind() -> None:
    for call in ((TOY, 1, 0, ((2, 0), (2, 0))), (TOY, 1, 0, (1, (2, 0)))):
        narrowed = template(call, (TOY, 1, 0, ((2, 0), 1)))
        assert narrowed.parameters == (U8,)
    assert refused((TOY, 4, 0, ((2, 0), (2, 0)))) == Code.TYPE


def test_parameters_in_lists_and_assertions() -> None:
    call = (TOY, 3, 0, (1, True, "t", b"", None, (0, (2, 0)), (0, (2, 1), OTHER), 7))
    outcome = run((PINS, (call, (0, 0, 2, (2, 0), (2, 1), 5))), 3, 4)
    assert outcome.code == Code.OK
    assert outcome.results[0] == (1, True, "t", b"", None, (3,), (4, OTHER), 7)
    assert run((PINS, (call, (0, 0, 2, (2, 0), (2, 1), 5))), 4, 4).code == 9_005


@pytest.mark.parametrize("values", [(), (1,), (1, 2, 3), (256, 1), (1, "2"), (1, None)])
def test_values_that_do_not_fit(values: tuple[Value, ...]) -> None:
    with pytest.raises(Rejected) as failure:
        template(PUT).check_parameters(values)
    assert failure.value.code == Code.TYPE
    outcome = run((PINS, (PUT,)), *values)
    assert (outcome.code, outcome.failed_instruction) == (Code.TYPE, None)


def test_numbers_at_the_limit_and_one_beyond() -> None:
    many = [(TOY, 1, 0, (1, (2, n))) for n in range(PROGRAM_PARAMETERS_MAX + 1)]
    assert len(template(*many[:-1]).parameters) == PROGRAM_PARAMETERS_MAX
    assert refused(*many) == Code.LIMIT
    assert refused((TOY, 1, 0, (1, (2, 1)))) == Code.MALFORMED


@pytest.mark.parametrize("parameter", [(2,), (2, -1), (2, "0"), (2, 0, 0)])
def test_what_is_no_parameter(parameter: Value) -> None:
    assert refused((TOY, 1, 0, (1, parameter))) == Code.MALFORMED


def test_instructions_at_the_limit_and_one_beyond() -> None:
    call = (TOY, 1, 0, (1, 1))
    template(*[call] * PROGRAM_STORED_INSTRUCTIONS_MAX)
    assert refused(*[call] * (PROGRAM_STORED_INSTRUCTIONS_MAX + 1)) == Code.LIMIT


def test_every_contract_that_is_called_must_be_pinned() -> None:
    assert refused(PUT, pins=()) == Code.VERSION_PIN
    assert refused(PUT, pins=((100, 1),)) == Code.VERSION_PIN
    assert template((0, 0, 0, 1, 1, 1), pins=()).parameters == ()


def test_a_pin_that_holds_no_more_fails_before_the_first_instruction() -> None:
    view = View(MemoryState())
    outcome = run((((TOY, 2),), (PUT,)), 1, 2, view=view)
    assert (outcome.code, outcome.failed_instruction) == (Code.VERSION_PIN, None)
    assert not view.collect_writes()


def test_typing_costs_gas_for_each_byte() -> None:
    value: Value = (PINS, ((0, 0, 0, 1, 1, 1),))
    size = len(codec.encode(value))
    for limit, code in ((size * gas.STORED_BYTE + gas.ASSERTION, Code.OK), (size - 1, Code.GAS)):
        view = View(MemoryState())
        view.gas_limit = limit
        assert run(value, view=view).code == code


# --- keeping them

TABLE = stored.program_table(TOY, 9)


@pytest.mark.parametrize(
    "size", [1, STORED_CHUNK_BYTES_MAX, STORED_CHUNK_BYTES_MAX + 1, PROGRAM_STORED_BYTES_MAX]
)
def test_pieces_come_together_and_go(size: int) -> None:
    view, raw = View(MemoryState()), bytes(range(256)) * (size // 256 + 1)
    stored.save_program(view, TABLE, 7, raw[:size])
    stored.save_program(view, TABLE, 8, b"other")
    assert stored.load_program(view, TABLE, 7) == raw[:size]
    stored.delete_program(view, TABLE, 7)
    assert stored.load_program(view, TABLE, 7) == b""
    assert stored.load_program(view, TABLE, 8) == b"other"
    assert len(view.collect_writes()) == 1


@pytest.mark.parametrize("raw, code", [(b"\xc1", Code.MALFORMED), (b"\x01", Code.MALFORMED)])
def test_what_is_no_program_is_not_stored(raw: bytes, code: Code) -> None:
    with pytest.raises(CallFailed) as failure:
        stored.read_template(context(View(MemoryState()), CONTRACT), raw, 1)
    assert failure.value.code == code
    assert failure.value.reason.rule == "vm.stored_program"
