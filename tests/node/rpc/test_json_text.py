"""Strict JSON against JSONTestSuite, and the further refusals."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.rpc.json_text import INTEGER_CHARS_MAX, JSON_DEPTH_MAX, NUMBER_CHARS_MAX, BadJson, parse_json

CASES = json.loads(
    (Path(__file__).parents[2] / "vectors/json/jsontestsuite_parsing.json").read_text(encoding="utf-8")
)
DEPARTURES = {
    # RFC 8259 says names SHOULD be unique; two readers may take different ones.
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_suite_is_obeyed(case: dict[str, Any]) -> None:
    if "b64" in case:
        data = base64.b64decode(case["b64"])
    else:  # too long to be written out: its beginning, repeated
        head = base64.b64decode(case["head_b64"])
        data = head * (int(case["repeat"]) // len(head) + 1)
    accepted = True
    try:
        parse_json(data, depth_max=1_000)
    except BadJson:
        accepted = False
    if case["name"] in DEPARTURES:
        assert not accepted
    elif case["name"].startswith("y_"):
        assert accepted
    elif case["name"].startswith("n_"):
        assert not accepted


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[-Infinity]",
        "1e400",
        '{"a":1,"a":2}',
        '"\\ud800"',
        '"\\uDFFF x"',
        "9" * (INTEGER_CHARS_MAX + 1),
        "1." + "1" * 127,
        "\ufeff{}",
        "[" * (JSON_DEPTH_MAX + 1) + "]" * (JSON_DEPTH_MAX + 1),
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
    ids=lambda text: text[:20].encode("unicode_escape").decode(),
)
def test_what_two_parsers_could_read_differently_is_refused(text: str) -> None:
    with pytest.raises(BadJson):
        parse_json(text.encode("utf-8", "surrogatepass"))


def test_at_the_limits_it_is_still_accepted() -> None:
    assert parse_json(b"9" * INTEGER_CHARS_MAX) == int("9" * INTEGER_CHARS_MAX)
    assert parse_json(b"[" * JSON_DEPTH_MAX + b"]" * JSON_DEPTH_MAX) is not None
    assert parse_json(b"0." + b"3" * (NUMBER_CHARS_MAX - 2)) == 1 / 3
    with pytest.raises(BadJson, match=f"more than {NUMBER_CHARS_MAX}"):
        parse_json(b"0." + b"3" * (NUMBER_CHARS_MAX - 1))
    assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        parse_json(data)
    except BadJson:
        pass
