"""Strict JSON: one text, one value, nothing that two parsers could read differently.

Refused beyond what RFC 8259 refuses: duplicate names, numbers that no 64-bit reader keeps, NaN and
infinities, lone surrogates, other encodings than UTF-8, nesting deeper than the limit. Knows no JSON-RPC.

*Source*: reliability.md 2.2.
"""

import json
from math import isinf
from typing import Any, Final, NoReturn

import msgspec

JSON_DEPTH_MAX: Final = 16
INTEGER_CHARS_MAX: Final = 20
NUMBER_CHARS_MAX: Final = 128


class BadJson(ValueError):
    """The text is not the JSON that is accepted here; the message says why, without repeating it."""


def parse_json(data: bytes, depth_max: int = JSON_DEPTH_MAX) -> Any:
    """Parse a whole text.

    Raises:
        BadJson: and nothing else, whatever the bytes.
    """
    try:
        text = data.decode("utf-8")
        value = _DECODER.decode(text)
    except BadJson:
        raise
    except (ValueError, RecursionError) as failure:
        raise BadJson(_explain(failure)) from None
    if _depth(value) > depth_max:
        raise BadJson(f"nested deeper than {depth_max}")
    if "\\ud" in text or "\\uD" in text:
        _refuse_surrogates(value)
    return value


def _explain(failure: Exception) -> str:
    match failure:
        case RecursionError():
            return "nested far too deep"
        case json.JSONDecodeError(msg=message, pos=position):
            return f"{message} at character {position}"
        case UnicodeDecodeError(start=start):
            return f"not UTF-8 at byte {start}"
        case _:
            return "not JSON"


def _refuse_constant(name: str) -> NoReturn:
    raise BadJson(f"{name} is not JSON")


def _read_integer(text: str) -> int:
    if len(text) > INTEGER_CHARS_MAX:
        raise BadJson(f"a whole number of more than {INTEGER_CHARS_MAX} characters")
    return int(text)


def _read_fraction(text: str) -> float:
    if len(text) > NUMBER_CHARS_MAX:
        raise BadJson(f"a number of more than {NUMBER_CHARS_MAX} characters")
    value = float(text)
    if isinf(value):
        raise BadJson("a number beyond every range")
    return value


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise BadJson("a name stands twice in one object")
    return value


def _depth(value: Any) -> int:
    """Count the levels of arrays and objects, without recursion."""
    depth = 0
    level = [value]
    while level:
        deeper: list[Any] = []
        for item in level:
            if type(item) is dict:
                deeper += item.values()
            elif type(item) is list:
                deeper += item
        containers = any(type(item) in (dict, list) for item in level)
        if not containers:
            return depth
        depth += 1
        level = deeper
    return depth


def _refuse_surrogates(value: Any) -> None:
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise BadJson("a lone surrogate") from None


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_read_object,
    parse_constant=_refuse_constant,
    parse_int=_read_integer,
    parse_float=_read_fraction,
)
