"""JSON-RPC 2.0 without I/O: bytes in, bytes out, by a table of methods.

Params are typed by a `msgspec.Struct` and come by name or by position. Anything a client sends gives an error
object, never an exception; an exception of a method itself is our bug and becomes -32603. It knows neither
HTTP nor what a method does. All calls of one body get the same context, which is how a batch reads at one
height.

*Source*: JSON-RPC 2.0 specification; interfaces.md 5.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, TypeVar

import msgspec

from node.rpc.failure import RpcFailure, error_object, failure_of
from node.rpc.json_text import BadJson, parse_json
from protocol.errors import Rejected, VersionsMissing

ID_CHARS_MAX: Final = 128
METHOD_CHARS_MAX: Final = 64
INTEGER_ID_MAX: Final = (1 << 53) - 1


class Scope(Enum):
    """What a token must allow for a method."""

    READ = "read"
    SUBMIT = "submit"


class NoParams(msgspec.Struct, forbid_unknown_fields=True):
    """Params of a method that takes none."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one body may hold.

    Args:
        batch_max: calls in one batch.
        body_bytes_max: size of the body.
    """

    batch_max: int
    body_bytes_max: int


TRUSTED_LIMITS: Final = Limits(100, 5 * 1024 * 1024)
"""For this machine, or with a token."""
ANONYMOUS_LIMITS: Final = Limits(10, 1024 * 1024)

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Method(Generic[C]):
    """One method: name, typed params, what it does, and what is written about it.

    Args:
        run: gets the context and the params.
        result: a type that msgspec can describe, for the OpenRPC document.
        errors: slugs it may refuse with, beside those that every method shares.
    """

    name: str
    params: type[msgspec.Struct]
    result: Any
    summary: str
    run: Callable[[C, Any], Awaitable[Any]]
    errors: tuple[str, ...] = ()
    scope: Scope = Scope.READ


class Dispatcher(Generic[C]):
    """Answer bodies by a table of methods.

    Args:
        on_call: told the method's name (`?` for an unknown one) and the code of each answer, 0 for success.
        on_bug: told of an exception that no method may raise.
    """

    def __init__(
        self,
        methods: Sequence[Method[C]],
        on_call: Callable[[str, int], None] = lambda name, code: None,
        on_bug: Callable[[str, BaseException], None] = lambda name, bug: None,
    ) -> None:
        self._methods = {method.name: method for method in methods}
        assert len(self._methods) == len(methods), "two methods of one name"
        self._on_call = on_call
        self._on_bug = on_bug

    @property
    def methods(self) -> tuple[Method[C], ...]:
        """List the methods, by name."""
        return tuple(self._methods[name] for name in sorted(self._methods))

    async def answer(self, body: bytes, context: C, limits: Limits, language: str = "en") -> bytes | None:
        """Answer one body; None when there is nothing to say (notifications only)."""
        if len(body) > limits.body_bytes_max:
            return _encode(_refusal(None, _too_large(len(body), "bytes", limits.body_bytes_max), language))
        try:
            value = parse_json(body)
        except BadJson as bad:
            self._on_call("?", -32700)
            return _encode(_refusal(None, RpcFailure("rpc.parse", detail=str(bad)), language))
        if not isinstance(value, list):
            answer = await self._answer_one(value, context, language)
            return None if answer is None else _encode(answer)
        if not value:
            return _encode(
                _refusal(None, RpcFailure("rpc.invalid_request", detail="an empty batch"), language)
            )
        if len(value) > limits.batch_max:
            return _encode(_refusal(None, _too_large(len(value), "calls", limits.batch_max), language))
        answers = await asyncio.gather(*(self._answer_one(call, context, language) for call in value))
        said = [answer for answer in answers if answer is not None]
        return _encode(said) if said else None

    async def _answer_one(self, call: Any, context: C, language: str) -> dict[str, Any] | None:
        call_id, is_notification, name = None, False, "?"
        try:
            call_id, is_notification = _read_id(call)
            method, params = self._read_call(call)
            name = method.name
            result = await method.run(context, params)
        except RpcFailure as refusal:
            failure = refusal
        except Rejected as rejected:
            failure = failure_of(rejected)
        except VersionsMissing as missing:
            failure = RpcFailure("chain.upgrade_missing", detail=f"it runs contract {missing}")
        except Exception as bug:
            self._on_bug(name, bug)
            failure = RpcFailure("rpc.internal", detail=type(bug).__name__)
        else:
            self._on_call(name, 0)
            return None if is_notification else {"jsonrpc": "2.0", "result": result, "id": call_id}
        self._on_call(name, failure.entry.number)
        # A notification is not answered; what is no request at all is, with id null (specification, 5).
        return None if is_notification else _refusal(call_id, failure, language)

    def _read_call(self, call: dict[str, Any]) -> tuple[Method[C], msgspec.Struct]:
        name = call["method"]
        method = self._methods.get(name)
        if method is None:
            raise RpcFailure("rpc.no_method", method=name[:METHOD_CHARS_MAX])
        return method, convert_params(method.params, call.get("params"))


def convert_params(kind: type[msgspec.Struct], given: Any) -> msgspec.Struct:
    """Type the params of a call, by name or by position.

    Raises:
        RpcFailure: rpc.bad_params, with the path.
    """
    if given is None:
        given = {}
    if isinstance(given, list):
        names = kind.__struct_encode_fields__
        if len(given) > len(names):
            raise RpcFailure("rpc.bad_params", detail=f"{len(given)} params, at most {len(names)} are taken")
        given = dict(zip(names, given, strict=False))
    try:
        return msgspec.convert(given, kind, strict=True)
    except msgspec.ValidationError as invalid:
        raise RpcFailure("rpc.bad_params", detail=str(invalid)) from None


def _read_id(call: Any) -> tuple[str | int | None, bool]:
    """Return the id, and whether the call is a notification; refuse what is no request."""
    if not isinstance(call, dict):
        raise RpcFailure("rpc.invalid_request", detail="a call is an object")
    # A bad id cannot be echoed; everything else that is wrong still has its id.
    call_id = call.get("id")
    if not (call_id is None or isinstance(call_id, str) or type(call_id) is int):
        raise RpcFailure("rpc.invalid_request", detail="an id is a text, a whole number or null")
    if isinstance(call_id, str) and len(call_id) > ID_CHARS_MAX:
        raise RpcFailure("rpc.invalid_request", detail=f"an id has at most {ID_CHARS_MAX} characters")
    if type(call_id) is int and abs(call_id) > INTEGER_ID_MAX:
        raise RpcFailure("rpc.invalid_request", detail="an id is below 2^53")
    if call.get("jsonrpc") != "2.0" or not isinstance(call.get("method"), str):
        raise _Malformed(call_id)
    if not isinstance(call.get("params", {}), dict | list):
        raise _Malformed(call_id)
    return call_id, "id" not in call


class _Malformed(RpcFailure):
    """Refuse what is no request, but has an id that can be echoed."""

    def __init__(self, call_id: str | int | None) -> None:
        super().__init__("rpc.invalid_request", detail="jsonrpc is not 2.0, or method or params are wrong")
        self.call_id = call_id


def _refusal(call_id: str | int | None, failure: RpcFailure, language: str) -> dict[str, Any]:
    if isinstance(failure, _Malformed):
        call_id = failure.call_id
    return {
        "jsonrpc": "2.0",
        "error": error_object(failure.entry, failure.params, language),
        "id": call_id,
    }


def _too_large(asked: int, unit: str, limit: int) -> RpcFailure:
    return RpcFailure("rpc.too_large", asked=asked, unit=unit, limit=limit)


_encode = msgspec.json.Encoder().encode
