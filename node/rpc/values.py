"""Canonical values as JSON and back, guided by the kinds of a contract's schema.

Amounts are decimal strings of minor units, addresses bech32m text, bytes 0x-hex, records objects; other whole
numbers are JSON numbers below 2^53 and strings above. It knows kinds, not contracts.
"""

import re
from typing import Any, Final, assert_never, cast

from protocol.addresses import format_address, parse_address
from protocol.codec import Value
from protocol.errors import Code, Rejected
from protocol.types import Address
from protocol.vm.kinds import Anything, Data, Fields, Flag, Integer, Kind, Many, Maybe, Text

JSON_INTEGER_MAX: Final = (1 << 53) - 1
AMOUNT_NAMES: Final = frozenset({"amount", "amount > 0", "balance"})
_AMOUNT: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)


def to_hex(data: bytes) -> str:
    """Write bytes as 0x-hex."""
    return "0x" + data.hex()


def from_hex(text: str, what: str = "bytes") -> bytes:
    """Read 0x-hex.

    Raises:
        Rejected: MALFORMED.
    """
    lower = text.lower()
    if not lower.startswith("0x"):
        raise Rejected(Code.MALFORMED, f"{what}: 0x-hex is needed")
    try:
        # `fromhex` also skips spaces, which would make one value many texts.
        data = bytes.fromhex(lower[2:])
    except ValueError:
        raise Rejected(Code.MALFORMED, f"{what}: 0x-hex is needed") from None
    if 2 * len(data) != len(lower) - 2:
        raise Rejected(Code.MALFORMED, f"{what}: 0x-hex is needed")
    return data


def plain_json(value: Value) -> Any:
    """Write a value of unknown meaning."""
    match value:
        case bytes():
            return to_hex(value)
        case tuple():
            return [plain_json(item) for item in value]
        case bool() | None | str():
            return value
        case int():
            return value if abs(value) <= JSON_INTEGER_MAX else str(value)
        case _:
            assert_never(value)


def kind_json(kind: Kind, value: Value, hrp: str) -> Any:
    """Write a value of a kind."""
    match kind:
        case Maybe(kind=inner):
            return None if value is None else kind_json(inner, value, hrp)
        case Many(kind=inner) if isinstance(value, tuple):
            return [kind_json(inner, item, hrp) for item in value]
        case Fields(fields=fields) if isinstance(value, tuple):
            return {
                camel(field.name): kind_json(field.kind, item, hrp)
                for field, item in zip(fields, value, strict=False)
            }
        case Integer(name=name) if name in AMOUNT_NAMES:
            return str(value)
        case Data(name="address") if isinstance(value, bytes) and len(value) == 20:
            return format_address(Address(value), hrp)
        case _:
            return plain_json(value)


def kind_value(kind: Kind, given: Any, hrp: str, name: str) -> Value:
    """Read a value of a kind from JSON.

    Raises:
        Rejected: TYPE or BAD_ADDRESS, naming the parameter.
    """
    value = _read(kind, given, hrp, name)
    if not kind.holds(value):
        raise Rejected(Code.TYPE, f"{name}: not of kind {kind.name}")
    return value


def _read(kind: Kind, given: Any, hrp: str, name: str) -> Value:
    match kind:
        case Maybe(kind=inner):
            return None if given is None else kind_value(inner, given, hrp, name)
        case Many(kind=inner) if isinstance(given, list):
            return tuple(kind_value(inner, item, hrp, f"{name}[{at}]") for at, item in enumerate(given))
        case Fields(fields=fields) if isinstance(given, dict):
            return tuple(
                kind_value(f.kind, given.get(camel(f.name)), hrp, f"{name}.{f.name}") for f in fields
            )
        case Integer(name=kind_name) if kind_name in AMOUNT_NAMES or isinstance(given, str):
            if not isinstance(given, str) or not _AMOUNT.fullmatch(given):
                raise Rejected(Code.TYPE, f"{name}: an amount is a decimal string of minor units")
            return int(given)
        case Data(name="address") if isinstance(given, str) and not given.startswith("0x"):
            return read_address(given, hrp)
        case Data() if isinstance(given, str):
            return from_hex(given, name)
        case Anything() if isinstance(given, str) and given.startswith("0x"):
            return from_hex(given, name)
        case _:
            return cast(Value, given) if isinstance(given, int | str | bool | None) else None


def kind_schema(kind: Kind) -> dict[str, Any]:
    """Describe a kind as JSON Schema."""
    match kind:
        case Maybe(kind=inner):
            return {"anyOf": [kind_schema(inner), {"type": "null"}]}
        case Many(kind=inner, low=low, high=high):
            return {"type": "array", "items": kind_schema(inner), "minItems": low, "maxItems": high}
        case Fields(fields=fields):
            return {
                "type": "object",
                "properties": {
                    camel(f.name): {**kind_schema(f.kind), **({"description": f.doc} if f.doc else {})}
                    for f in fields
                },
            }
        case Integer(name=name) if name in AMOUNT_NAMES:
            return {"type": "string", "pattern": "^-?[0-9]{1,19}$", "description": "minor units"}
        case Integer(low=low, high=high) if high <= JSON_INTEGER_MAX:
            return {"type": "integer", "minimum": low, "maximum": high}
        case Integer():
            return {"type": ["integer", "string"]}
        case Data(name="address"):
            return {"type": "string", "description": "address, bech32m"}
        case Data(low=low, high=high):
            return {"type": "string", "pattern": f"^0x[0-9a-f]{{{2 * low},{2 * high}}}$"}
        case Text(high=high):
            return {"type": "string", "maxLength": high}
        case Flag():
            return {"type": "boolean"}
        case _:
            return {"description": kind.name}


def read_address(text: str, hrp: str) -> Address:
    """Read an address of this network.

    Raises:
        Rejected: BAD_ADDRESS; also for the address of another network.
    """
    found, address = parse_address(text)
    if found != hrp:
        raise Rejected(Code.BAD_ADDRESS, f"an address of this network begins with {hrp}1")
    return address


def camel(name: str) -> str:
    """Turn a name with underscores into camelCase, as JSON-RPC names are written."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)
