"""Programs: what is well-typed, what is refused and with which code, and every limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import Value
from protocol.contracts import REGISTRY as REAL
from protocol.errors import Code, Rejected
from protocol.params import (
    ARGUMENT_BYTES_MAX,
    ARGUMENT_LIST_ITEMS_MAX,
    PROGRAM_INSTRUCTIONS_MAX,
    PROGRAM_PINS_MAX,
    TEXT_BYTES_MAX,
)
from protocol.vm.program import (
    ASSERT_CODE_MAX,
    NO_ACTOR,
    Assertion,
    Call,
    ListOf,
    ResultOf,
    literal,
    parse_program,
)
from tests.protocol.vm.toy import ACTOR, REGISTRY, TOY

PUT = (TOY, 1, 0, (1, 5))
PAIR = (TOY, 4, 0, (1, ACTOR))
ECHO = (TOY, 2, 0, ((3, "time"), (3, "day"), (3, "height"), (3, "self"), (3, "actor", 1)))
NIL = (TOY, 9, 0, (None,))


def take(**changes: Value) -> Value:
    arguments: dict[str, Value] = {
        "small": 1,
        "flag": True,
        "text": "abcd",
        "data": b"",
        "maybe": None,
        "many": (0,),
        "pair": (0, 1, ACTOR),
        "any": (0, 1, (0, b"x")),
    }
    return (TOY, 3, 0, tuple((arguments | changes).values()))


def parse(*instructions: Value, pins: Value = (), actors: int = 2) -> tuple[Call | Assertion, ...]:
    return parse_program((pins, instructions), REGISTRY, actors)


def code_of(value: Value) -> int:
    with pytest.raises(Rejected) as failure:
        parse_program(value, REGISTRY, 2)
    return failure.value.code


def refusal(*instructions: Value) -> int:
    return code_of(((), instructions))


def test_fixed_program_is_used_as_it_is() -> None:
    (call,) = parse(PUT)
    assert isinstance(call, Call) and call.is_fixed and call.arguments is PUT[3]


def test_literal_lists_lose_their_tags() -> None:
    (call,) = parse(take(many=(0, 1, 2)))
    assert isinstance(call, Call) and call.is_fixed
    assert call.arguments[-3:] == ((1, 2), (1, ACTOR), (1, (b"x",)))


def test_literal_is_what_the_parser_takes_apart() -> None:
    assert literal(5) == 5 and literal(b"x") == b"x" and literal(()) == (0,)
    pair: Value = (1, (ACTOR, (2, ())))
    (call,) = parse(take(any=literal(pair)))
    assert isinstance(call, Call) and call.arguments[-1] == pair
    (nil,) = parse((TOY, 9, 0, (None,)))
    assert isinstance(nil, Call) and nil.arguments == (None,)


def test_references_anywhere() -> None:
    steps = parse(
        PUT, PAIR, ECHO, take(many=(0, (1, 1, 0), 7), pair=(0, 3, (3, "actor", 0)), maybe=(1, 1, 0))
    )
    last = steps[-1]
    assert isinstance(last, Call) and not last.is_fixed
    assert last.arguments[5] == ListOf((ResultOf(1, 0), 7))
    assert last.arguments[4] == ResultOf(1, 0)


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        (),
        ((),),
        ((), (), ()),
        ((), ()),
        ((), 7),
        ((), (7,)),
        ((), ((),)),
        ((), ((TOY, 1, 0),)),
        ((), ((TOY, 1, 0, (1, 5), 0),)),
        ((), ((TOY, 1, 0, 7),)),
        ((), ((b"", 1, 0, ()),)),
        ((), ((TOY, None, 0, ()),)),
        ((), ((TOY, 1, 2, (1, 5)),)),
        ((), ((TOY, 1, -1, (1, 5)),)),
        ((), ((TOY, 1, 254, (1, 5)),)),
        ((), ((TOY, 1, True, (1, 5)),)),
        ((), ((TOY, 1, 0, ((), 5)),)),
        ((), ((TOY, 1, 0, (("0",), 5)),)),
        ((), ((TOY, 1, 0, ((4, 1), 5)),)),
        ((), ((TOY, 1, 0, ((1,), 5)),)),
        ((), ((TOY, 1, 0, ((1, "0"), 5)),)),
        ((), (PUT, (TOY, 1, 0, ((1, 0, None), 5)))),
        ((), (PUT, (TOY, 1, 0, ((1, 0, 0, 0), 5)))),
        ((), ((TOY, 1, 0, ((3, "clock"), 5)),)),
        ((), ((TOY, 1, 0, ((3,), 5)),)),
        ((), ((TOY, 1, 0, ((3, "time", 1), 5)),)),
        ((), ((TOY, 4, 0, (1, (3, "actor", 2))),)),
        ((), ((TOY, 4, 0, (1, (3, "actor", -1))),)),
        ((), ((TOY, 4, 0, (1, (3, "actor"))),)),
        ((), ((0, 0, 0, 1, 1),)),
        ((), ((0, 1, 0, 1, 1, 0),)),
        ((), ((0, 0, 6, 1, 1, 0),)),
        ((), ((0, 0, -1, 1, 1, 0),)),
        ((), ((0, 0, True, 1, 1, 0),)),
        (7, (PUT,)),
        ((7,), (PUT,)),
        (((TOY,),), (PUT,)),
        (((TOY, "3"),), (PUT,)),
        (((TOY, 3), (TOY, 3)), (PUT,)),
    ],
)
def test_malformed(value: Value) -> None:
    assert code_of(value) == Code.MALFORMED


@pytest.mark.parametrize(
    "instructions",
    [
        ((TOY, 1, 0, ()),),
        ((TOY, 1, 0, (1, 5, 5)),),
        ((TOY, 1, 0, (256, 5)),),
        ((TOY, 1, 0, ("1", 5)),),
        ((TOY, 1, 0, (1, -1)),),
        ((TOY, 1, 0, ((0, 1), 5)),),
        ((TOY, 1, 0, ((2, 0), 5)),),
        ((TOY, 1, 0, ((1, 0), 5)),),
        (PUT, (TOY, 1, 0, ((1, 1), 5))),
        (PUT, (TOY, 1, 0, ((1, -1), 5))),
        (PUT, (TOY, 1, 0, ((1, 0), 5))),  # an amount is not a small number
        (PUT, (TOY, 1, 0, (1, (1, 0, 0)))),  # no field of a number
        (PAIR, (TOY, 1, 0, ((1, 0, 2), 5))),
        (PAIR, (TOY, 1, 0, ((1, 0, 1), 5))),
        (PAIR, (TOY, 1, 0, ((1, 0), 5))),
        (NIL, (TOY, 1, 0, (1, (1, 0)))),  # could be nil
        ((0, 0, 0, 1, 1, 0), (TOY, 1, 0, ((1, 0), 5))),  # an assertion has no result
        ((TOY, 1, 0, (1, (3, "self"))),),
        ((TOY, 1, 0, (1, (3, "actor", 0))),),
        (take(pair=(0, 1)),),
        (take(pair=(0, 1, ACTOR, 1)),),
        (take(pair=(0, 1, 1)),),
        (take(many=(0, 65_536)),),
        (take(flag=1),),
        (take(text="a\n"),),
        ((0, 0, 2, b"a", 1, 0),),
        ((0, 0, 2, True, 1, 0),),
        (PAIR, (0, 0, 2, (1, 0, 1), 1, 0)),
        (PAIR, (0, 0, 0, (1, 0), 1, 0)),
        ((0, 0, 0, (0, 1), 1, 0),),
    ],
)
def test_ill_typed(instructions: tuple[Value, ...]) -> None:
    assert refusal(*instructions) == Code.TYPE


def test_unknown_methods() -> None:
    assert refusal((TOY, 99, 0, ())) == refusal((9_999, 1, 0, ())) == Code.UNKNOWN_METHOD
    # an assertion has no second spelling
    assert refusal((False, 0, 0, 1, 1, 0)) == refusal((0, False, 0, 1, 1, 0)) == Code.MALFORMED


def test_instructions_at_the_limit_and_one_beyond() -> None:
    parse(*[PUT] * PROGRAM_INSTRUCTIONS_MAX)
    assert refusal(*[PUT] * (PROGRAM_INSTRUCTIONS_MAX + 1)) == Code.LIMIT


def test_list_items_at_the_limit_and_one_beyond() -> None:
    parse(take(many=(0, *[1] * ARGUMENT_LIST_ITEMS_MAX)))
    assert refusal(take(many=(0, *[1] * (ARGUMENT_LIST_ITEMS_MAX + 1)))) == Code.LIMIT


def test_assertion_code_at_the_limit_and_one_beyond() -> None:
    parse((0, 0, 5, 1, 1, ASSERT_CODE_MAX))
    assert refusal((0, 0, 5, 1, 1, ASSERT_CODE_MAX + 1)) == Code.LIMIT
    assert refusal((0, 0, 5, 1, 1, "0")) == Code.LIMIT


def test_compared_bytes_and_text_at_the_limit_and_one_beyond() -> None:
    for most in (bytes(ARGUMENT_BYTES_MAX), "x" * TEXT_BYTES_MAX):
        parse((0, 0, 0, most, most, 0))
        assert refusal((0, 0, 0, most, most + most[:1], 0)) == Code.TYPE  # type: ignore[operator]


def test_pins() -> None:
    parse(PUT, pins=((TOY, 3), (100, 1)))
    assert code_of((((TOY, 2),), (PUT,))) == Code.VERSION_PIN
    assert code_of((((9_999, 1),), (PUT,))) == Code.VERSION_PIN
    many = tuple((n, 1) for n in range(PROGRAM_PINS_MAX))
    assert code_of((many, (PUT,))) == Code.VERSION_PIN
    assert code_of(((*many, (999, 1)), (PUT,))) == Code.LIMIT


def test_actor_or_none() -> None:
    parse((TOY, 1, 1, (1, 5)), (TOY, 1, NO_ACTOR, (1, 5)))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.sampled_from([b"", ACTOR, "time", "actor", TOY, 16]),
    lambda inner: st.lists(inner, max_size=5).map(tuple),
    max_leaves=20,
)
arguments = st.lists(values, max_size=5).map(tuple)
shaped = st.lists(
    st.tuples(st.sampled_from([1, 2, 16]), st.integers(1, 8), st.sampled_from([0, 255]), arguments)
    | st.tuples(st.just(0), st.just(0), st.integers(0, 5), values, values, st.integers(0, 9)),
    max_size=4,
).map(lambda calls: ((), tuple(calls)))


@given(values | shaped)
def test_any_value_is_a_program_or_rejected(value: Value) -> None:
    try:
        parse_program(value, REAL, 1)
    except Rejected as rejected:
        assert rejected.code in (
            Code.MALFORMED,
            Code.TYPE,
            Code.LIMIT,
            Code.UNKNOWN_METHOD,
            Code.VERSION_PIN,
        )
