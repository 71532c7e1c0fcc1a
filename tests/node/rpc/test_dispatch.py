"""JSON-RPC 2.0 without I/O: the examples of its specification, limits, and hostile bodies."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.rpc.dispatch import (
    ANONYMOUS_LIMITS,
    ID_CHARS_MAX,
    INTEGER_ID_MAX,
    METHOD_CHARS_MAX,
    TRUSTED_LIMITS,
    Dispatcher,
    Limits,
    Method,
    NoParams,
)
from node.rpc.failure import RpcFailure
from protocol.errors import Code, Rejected

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors/jsonrpc/spec_examples.json").read_text(encoding="utf-8")
)
SMALL = Limits(3, 1_000)


class Subtract(msgspec.Struct, forbid_unknown_fields=True):
    minuend: int
    subtrahend: int


class Numbers(msgspec.Struct):
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    e: int = 0


async def subtract(context: str, params: Subtract) -> int:
    return params.minuend - params.subtrahend


async def total(context: str, params: Numbers) -> int:
    return params.a + params.b + params.c


async def get_data(context: str, params: NoParams) -> list[Any]:
    return ["hello", 5]


async def say_context(context: str, params: NoParams) -> str:
    return context


async def fail(context: str, params: Numbers) -> None:
    match params.a:
        case 0:
            raise RpcFailure("chain.height_unavailable", asked=9, height=4)
        case 1:
            raise Rejected(Code.FUNDS, "not enough")
        case _:
            raise KeyError("a bug")


METHODS: list[Method[str]] = [
    Method("subtract", Subtract, int, "", subtract),
    Method("sum", Numbers, int, "", total),
    Method("get_data", NoParams, list[Any], "", get_data),
    Method("notify_hello", Numbers, int, "", total),
    Method("notify_sum", Numbers, int, "", total),
    Method("update", Numbers, int, "", total),
    Method("context", NoParams, str, "", say_context),
    Method("fail", Numbers, None, "", fail),
]


def answer(body: bytes | str, limits: Limits = TRUSTED_LIMITS, language: str = "en", **hooks: Any) -> Any:
    import asyncio

    data = body.encode() if isinstance(body, str) else body
    said = asyncio.run(Dispatcher(METHODS, **hooks).answer(data, "here", limits, language))
    return None if said is None else json.loads(said)


def strip(value: Any) -> Any:
    """Leave of an error what the specification's examples show: number and message."""
    if isinstance(value, list):
        return [strip(item) for item in value]
    if isinstance(value, dict) and "error" in value:
        error = value["error"]
        return {**value, "error": {"code": error["code"], "message": error["message"]}}
    return value


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["send"][:60])
def test_the_examples_of_the_specification(case: dict[str, Any]) -> None:
    said = strip(answer(case["send"]))
    if case.get("order") == "any":
        assert sorted(map(json.dumps, said)) == sorted(map(json.dumps, case["expect"]))
    else:
        assert said == case["expect"]


def test_ids_come_back_as_they_were() -> None:
    for call_id in ("", "x" * 128, 0, -5, INTEGER_ID_MAX, None):
        body = json.dumps({"jsonrpc": "2.0", "method": "get_data", "id": call_id})
        assert answer(body)["id"] == call_id


@pytest.mark.parametrize("call_id", ["x" * 129, INTEGER_ID_MAX + 1, 1.5, True, [], {}])
def test_other_ids_are_refused_with_null(call_id: Any) -> None:
    said = answer(json.dumps({"jsonrpc": "2.0", "method": "get_data", "id": call_id}))
    assert said["id"] is None and said["error"]["code"] == -32600


def test_params_are_typed_with_the_path_in_the_message() -> None:
    body = '{"jsonrpc":"2.0","method":"subtract","params":{"minuend":"4","subtrahend":1},"id":1}'
    error = answer(body)["error"]
    assert error["code"] == -32602 and "$.minuend" in error["data"]["why"]
    for params in ([1], [1, 2, 3], {"minuend": 1, "subtrahend": 2, "x": 3}, [1.0, 2]):
        said = answer(json.dumps({"jsonrpc": "2.0", "method": "subtract", "params": params, "id": 1}))
        assert said["error"]["code"] == -32602


def test_an_id_at_its_limit_is_echoed_and_a_method_no_longer_than_its_own() -> None:
    def ask(size: int, method: str = "context") -> Any:
        return answer(json.dumps({"jsonrpc": "2.0", "method": method, "id": "x" * size}))

    assert ask(ID_CHARS_MAX)["id"] == "x" * ID_CHARS_MAX
    assert ask(ID_CHARS_MAX + 1)["error"]["code"] == -32600 and ask(ID_CHARS_MAX + 1)["id"] is None
    for size in (METHOD_CHARS_MAX, METHOD_CHARS_MAX + 1):
        error = ask(1, "m" * size)["error"]
        assert error["data"]["params"]["method"] == "m" * METHOD_CHARS_MAX


def test_a_batch_at_the_limit_is_answered_and_one_above_is_not() -> None:
    call = {"jsonrpc": "2.0", "method": "context", "id": 1}
    assert [a["result"] for a in answer(json.dumps([call] * 3), SMALL)] == ["here"] * 3
    assert answer(json.dumps([call] * 4), SMALL)["error"]["code"] == -32003


def test_a_body_at_the_limit_is_answered_and_one_above_is_not() -> None:
    body = '{"jsonrpc":"2.0","method":"context","id":1}'
    assert answer(body.ljust(1_000), SMALL)["result"] == "here"
    assert answer(body.ljust(1_001), SMALL)["error"]["data"]["params"]["limit"] == 1_000


def test_the_limits_are_those_of_the_specification() -> None:
    assert (TRUSTED_LIMITS.batch_max, TRUSTED_LIMITS.body_bytes_max) == (100, 5 * 1024 * 1024)
    assert (ANONYMOUS_LIMITS.batch_max, ANONYMOUS_LIMITS.body_bytes_max) == (10, 1024 * 1024)


def test_refusals_speak_both_languages_and_number_and_slug_stay() -> None:
    body = '{"jsonrpc":"2.0","method":"fail","id":1}'
    english, chinese = answer(body)["error"], answer(body, language="zh")["error"]
    assert english["code"] == chinese["code"] == 1001
    assert english["data"]["slug"] == chinese["data"]["slug"] == "chain.height_unavailable"
    assert english["message"] != chinese["message"]
    assert english["data"]["outcome"] == "not_applied" and english["data"]["retry"] == "later"
    assert "9" in english["data"]["why"] and "9" in chinese["data"]["why"]


def test_what_is_rejected_below_gets_its_public_number() -> None:
    assert answer('{"jsonrpc":"2.0","method":"fail","params":[1],"id":1}')["error"]["code"] == 1210


def test_a_bug_is_an_internal_error_without_its_text_and_is_told() -> None:
    bugs: list[str] = []
    said = answer(
        '{"jsonrpc":"2.0","method":"fail","params":[2],"id":1}', on_bug=lambda name, bug: bugs.append(name)
    )
    assert said["error"]["code"] == -32603 and "a bug" not in json.dumps(said) and bugs == ["fail"]


def test_every_answer_is_counted() -> None:
    calls: list[tuple[str, int]] = []
    body = '[{"jsonrpc":"2.0","method":"context"},{"jsonrpc":"2.0","method":"no"},1]'
    answer(body, on_call=lambda name, code: calls.append((name, code)))
    assert calls == [("context", 0), ("?", -32601), ("?", -32600)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["jsonrpc", "method", "params", "id", "a", "minuend"]), inner, max_size=5
        )
    ),
    max_leaves=12,
)


@given(json_values | st.lists(json_values, max_size=3))
def test_any_json_is_answered_by_something_that_is_json(value: Any) -> None:
    answer(json.dumps(value))


@given(st.binary(max_size=80))
def test_any_bytes_are_answered(data: bytes) -> None:
    assert answer(data)["error"]["code"] in (-32700, -32600)
