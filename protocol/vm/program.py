"""Programs: their canonical form, and the typing that refuses an ill-formed one before it runs.

Program   = [pins, instructions]
pins      = [[contract id, version], ...], ascending
instruction = [contract id, method id, actor, [argument, ...]]   actor: index into the actors, 255 = none
              actor may be [k, grant]: actor k uses what the grant of this number allows
            | [0, 0, op, a, b, code]                             assertion; op 0..5 = eq ne lt le gt ge
argument    = int | bytes | str | bool | nil                     itself
            | [0, argument...]                                   list
            | [1, i]  |  [1, i, k]                               result of instruction i, or field k of it
            | [2, n]                                             parameter n of a template
            | [3, name]  |  [3, "actor", k]                      environment: time, day, height, self, actor k

A template is a stored program with parameters, which are filled each time it runs; it must pin every contract
that it calls, unless a contract keeps it for itself.

Every reference is typed by the schema of the method that makes the value, so a program is well-typed or
refused: running it cannot meet a value of the wrong kind. An assertion that fails ends the program with
9,000 + code. This file does not run programs (`vm/execute.py`).

*Source*: contracts.md 3.2, 3.3. *Departs*: references are tagged arrays, since canonical bytes have no
extension types.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NoReturn, TypeAlias

from protocol.codec import Value, is_text
from protocol.errors import Code, Rejected
from protocol.params import (
    ARGUMENT_BYTES_MAX,
    ARGUMENT_LIST_ITEMS_MAX,
    PROGRAM_INSTRUCTIONS_MAX,
    PROGRAM_PARAMETERS_MAX,
    PROGRAM_PINS_MAX,
    PROGRAM_STORED_INSTRUCTIONS_MAX,
    TEXT_BYTES_MAX,
)
from protocol.vm.contract import Contract, Method, Registry
from protocol.vm.kinds import (
    ADDRESS,
    HASH,
    HEIGHT,
    SECONDS,
    U32,
    U48,
    Anything,
    Fields,
    Integer,
    Kind,
    Many,
    Maybe,
)

NO_ACTOR: Final = 255
ASSERT_CODE_MAX: Final = 999

TAG_LIST: Final = 0
TAG_RESULT: Final = 1
TAG_PARAMETER: Final = 2
TAG_ENVIRONMENT: Final = 3


class Operator(IntEnum):
    """How an assertion compares."""

    EQ = 0
    NE = 1
    LT = 2
    LE = 3
    GT = 4
    GE = 5


@dataclass(frozen=True, slots=True)
class ResultOf:
    """The result of an earlier instruction, or one field of it."""

    instruction: int
    field: int | None


@dataclass(frozen=True, slots=True)
class FromEnvironment:
    """A value of the environment."""

    name: str
    actor: int = 0


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list with a reference somewhere inside."""

    items: tuple["Argument", ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a template, filled when it runs."""

    number: int


Argument: TypeAlias = "Value | ResultOf | FromEnvironment | ListOf | Parameter"


class Call:
    """A typed call; `is_fixed` when no argument is a reference, `grant` 0 when the actor acts itself."""

    __slots__ = ("actor", "arguments", "contract", "grant", "is_fixed", "method")

    def __init__(
        self,
        contract: Contract,
        method: Method,
        actor: int,
        arguments: tuple[Argument, ...],
        is_fixed: bool,
        grant: int = 0,
    ) -> None:
        self.contract = contract
        self.method = method
        self.actor = actor
        self.arguments = arguments
        self.is_fixed = is_fixed
        self.grant = grant


class Assertion:
    """A typed assertion."""

    __slots__ = ("code", "left", "operator", "right")

    def __init__(self, operator: Operator, left: Argument, right: Argument, code: int) -> None:
        self.operator = operator
        self.left = left
        self.right = right
        self.code = code


Step: TypeAlias = Call | Assertion
Program: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A typed stored program.

    Args:
        parameters: kind of each parameter.
    """

    program: Program
    parameters: tuple[Kind, ...]

    def check_parameters(self, values: tuple[Value, ...]) -> None:
        """Check that there is one value of the right kind for each parameter.

        Raises:
            Rejected: TYPE.
        """
        if len(values) != len(self.parameters):
            _refuse(Code.TYPE, f"{len(values)} parameters, {len(self.parameters)} expected")
        for number, (kind, value) in enumerate(zip(self.parameters, values, strict=True)):
            if not kind.holds(value):
                _refuse(Code.TYPE, f"parameter {number}: not {kind.name}")


class _Scope:
    """What a reference can point at.

    Args:
        parameters: kinds found so far, in a template; None: there are none.
    """

    __slots__ = ("actors", "parameters", "results")

    def __init__(self, actors: int, parameters: dict[int, Kind] | None = None) -> None:
        self.actors = actors
        self.results: list[Kind | None] = []
        self.parameters = parameters


_ENVIRONMENT: Final[dict[str, Kind]] = {"time": SECONDS, "day": U32, "height": HEIGHT, "self": HASH}
_SCALARS: Final = (int, bool, type(None))


def literal(value: Value) -> Value:
    """Return a plain value as an argument: every array gets the tag of a list. For writers."""
    return (TAG_LIST, *[literal(item) for item in value]) if type(value) is tuple else value


def parse_program(
    value: Value, registry: Registry, actors: int, instructions_max: int = PROGRAM_INSTRUCTIONS_MAX
) -> Program:
    """Type a program against the schemas of the contracts.

    Args:
        actors: how many actors the envelope has.

    Raises:
        Rejected: MALFORMED, TYPE, LIMIT, UNKNOWN_METHOD, VERSION_PIN.

    Cost: about 2 us an instruction.
    """
    return _parse(value, registry, _Scope(actors), instructions_max)


def parse_template(value: Value, registry: Registry, actors: int, must_pin: bool = True) -> Template:
    """Type a stored program, which may have parameters.

    Rules: 1. at most 256 instructions. 2. parameters are numbered from 0 without gaps, at most 16. 3. with
        `must_pin` it pins every contract that it calls.

    Raises:
        Rejected: as `parse_program`.
    """
    kinds: dict[int, Kind] = {}
    program = _parse(value, registry, _Scope(actors, kinds), PROGRAM_STORED_INSTRUCTIONS_MAX)
    assert type(value) is tuple and type(value[0]) is tuple, "_parse has read the pins"
    pinned = [pin[0] for pin in value[0] if type(pin) is tuple]
    for step in program if must_pin else ():
        if isinstance(step, Call) and step.contract.id not in pinned:
            _refuse(Code.VERSION_PIN, f"contract {step.contract.id} is called but not pinned")
    if sorted(kinds) != list(range(len(kinds))):
        _refuse(Code.MALFORMED, "parameters: not numbered from 0 without gaps")
    return Template(program, tuple([kinds[n] for n in range(len(kinds))]))


def _parse(value: Value, registry: Registry, scope: _Scope, instructions_max: int) -> Program:
    if type(value) is not tuple or len(value) != 2:
        _refuse(Code.MALFORMED, "program: not [pins, instructions]")
    pins, instructions = value
    if pins != ():
        _check_pins(pins, registry)
    if type(instructions) is not tuple or not instructions:
        _refuse(Code.MALFORMED, "program: no instruction")
    if len(instructions) > instructions_max:
        _refuse(Code.LIMIT, f"program: {len(instructions)} instructions, limit {instructions_max}")
    return tuple([_parse_step(raw, registry, scope) for raw in instructions])


def _check_pins(pins: Value, registry: Registry) -> None:
    if type(pins) is not tuple:
        _refuse(Code.MALFORMED, "pins: not an array")
    if len(pins) > PROGRAM_PINS_MAX:
        _refuse(Code.LIMIT, f"pins: {len(pins)}, limit {PROGRAM_PINS_MAX}")
    last = -1
    for pin in pins:
        if type(pin) is not tuple or len(pin) != 2:
            _refuse(Code.MALFORMED, "pin: not [contract, version]")
        number, version = pin
        if type(number) is not int or type(version) is not int or number <= last:
            _refuse(Code.MALFORMED, "pins: not ascending numbers")
        contract = registry.by_id.get(number)
        if contract is None or contract.version != version:
            _refuse(Code.VERSION_PIN, f"contract {number} is not at version {version}")
        last = number


def _parse_step(raw: Value, registry: Registry, scope: _Scope) -> Step:
    if type(raw) is not tuple or len(raw) < 4:
        _refuse(Code.MALFORMED, "instruction: not an array of 4 or 6")
    if type(raw[0]) is int and raw[0] == 0:
        return _parse_assertion(raw, scope)
    if len(raw) != 4:
        _refuse(Code.MALFORMED, "call: not [contract, method, actor, arguments]")
    contract_id, method_id, actor, arguments = raw
    if type(contract_id) is not int or type(method_id) is not int or type(arguments) is not tuple:
        _refuse(Code.MALFORMED, "call: not [contract, method, actor, arguments]")
    found = registry.methods.get((contract_id, method_id))
    if found is None:
        _refuse(Code.UNKNOWN_METHOD, f"no method {contract_id}.{method_id}")
    contract, method = found
    grant = 0
    if type(actor) is tuple:
        actor, grant = _parse_grant(actor, contract, method)
    if type(actor) is not int or (not 0 <= actor < scope.actors and actor != NO_ACTOR):
        _refuse(Code.MALFORMED, "call: no such actor")
    declared = method.arguments
    if len(arguments) != len(declared):
        _refuse(Code.TYPE, f"{contract.name}.{method.name}: {len(declared)} arguments expected")
    if tuple not in map(type, arguments):
        for holds, argument in zip(method.holds, arguments, strict=True):
            if not holds(argument):
                at = [f.kind.holds(a) for f, a in zip(declared, arguments, strict=True)].index(False)
                wrong = declared[at]
                _refuse(Code.TYPE, f"{contract.name}.{method.name}: {wrong.name} is not {wrong.kind.name}")
        scope.results.append(method.result)
        return Call(contract, method, actor, arguments, True, grant)
    parsed = [_parse_argument(a, f.kind, scope) for f, a in zip(declared, arguments, strict=True)]
    scope.results.append(method.result)
    is_fixed = all(fixed for _, fixed in parsed)
    return Call(contract, method, actor, tuple([value for value, _ in parsed]), is_fixed, grant)


def _parse_grant(raw: tuple[Value, ...], contract: Contract, method: Method) -> tuple[int, int]:
    actor, grant = raw if len(raw) == 2 else (None, None)
    if type(actor) is not int or actor == NO_ACTOR or type(grant) is not int or not U48.holds(grant):
        _refuse(Code.MALFORMED, "call: neither an actor nor [actor, grant]")
    if grant == 0 or method.owner_at < 0:
        _refuse(Code.TYPE, f"{contract.name}.{method.name}: no grant gives this authority")
    return actor, grant


def _parse_assertion(raw: tuple[Value, ...], scope: _Scope) -> Assertion:
    if len(raw) != 6 or type(raw[1]) is not int or raw[1] != 0:
        _refuse(Code.MALFORMED, "assertion: not [0, 0, op, a, b, code]")
    _, _, op, left, right, code = raw
    if type(op) is not int or not Operator.EQ <= op <= Operator.GE:
        _refuse(Code.MALFORMED, "assertion: no such operator")
    if type(code) is not int or not 0 <= code <= ASSERT_CODE_MAX:
        _refuse(Code.LIMIT, f"assertion: code is not of 0..{ASSERT_CODE_MAX}")
    operator = Operator(op)
    sides = []
    for side in (left, right):
        kind = _INTEGER if operator >= Operator.LT else _SCALAR
        sides.append(_parse_argument(side, kind, scope)[0])
    scope.results.append(None)
    return Assertion(operator, sides[0], sides[1], code)


def _parse_argument(raw: Value, kind: Kind, scope: _Scope) -> tuple[Argument, bool]:
    """Return the typed argument and whether it is free of references."""
    if type(raw) is not tuple:
        if not kind.holds(raw):
            _refuse(Code.TYPE, f"not {kind.name}")
        return raw, True
    if not raw or type(raw[0]) is not int:
        _refuse(Code.MALFORMED, "argument: an array without a tag")
    tag = raw[0]
    if tag == TAG_LIST:
        return _parse_list(raw[1:], kind, scope)
    if tag == TAG_RESULT:
        return _parse_reference(raw, kind, scope.results), False
    if tag == TAG_ENVIRONMENT:
        return _parse_environment(raw, kind, scope.actors), False
    if tag == TAG_PARAMETER:
        return _parse_parameter(raw, kind, scope.parameters), False
    _refuse(Code.MALFORMED, "argument: no such tag")


def _parse_parameter(raw: tuple[Value, ...], kind: Kind, parameters: dict[int, Kind] | None) -> Parameter:
    number = raw[1] if len(raw) == 2 else None
    if parameters is None:
        _refuse(Code.TYPE, "argument: a parameter outside a template")
    if type(number) is not int or number < 0:
        _refuse(Code.MALFORMED, "parameter: not [2, number]")
    if number >= PROGRAM_PARAMETERS_MAX:
        _refuse(Code.LIMIT, f"parameter {number}, limit {PROGRAM_PARAMETERS_MAX}")
    known = parameters.setdefault(number, kind)
    if known.accepts(kind):
        parameters[number] = kind  # the narrower of the two
    elif not kind.accepts(known):
        _refuse(Code.TYPE, f"parameter {number}: {known.name} and {kind.name}")
    return Parameter(number)


def _parse_list(items: tuple[Value, ...], kind: Kind, scope: _Scope) -> tuple[Argument, bool]:
    if len(items) > ARGUMENT_LIST_ITEMS_MAX:
        _refuse(Code.LIMIT, f"list: {len(items)} items, limit {ARGUMENT_LIST_ITEMS_MAX}")
    if isinstance(kind, Maybe):
        kind = kind.kind
    if isinstance(kind, Many):
        if not kind.low <= len(items) <= kind.high:
            _refuse(Code.TYPE, f"list: {len(items)} items, {kind.low}..{kind.high} expected")
        kinds: list[Kind] = [kind.kind] * len(items)
    elif isinstance(kind, Fields):
        if len(items) != len(kind.fields):
            _refuse(Code.TYPE, f"list: {len(items)} fields, {len(kind.fields)} expected")
        kinds = [f.kind for f in kind.fields]
    elif isinstance(kind, Anything):
        kinds = [kind] * len(items)
    else:
        _refuse(Code.TYPE, f"a list where {kind.name} is expected")
    parsed = [_parse_argument(item, k, scope) for item, k in zip(items, kinds, strict=True)]
    if all(fixed for _, fixed in parsed):
        return tuple([value for value, _ in parsed]), True  # type: ignore[misc]
    return ListOf(tuple([value for value, _ in parsed])), False


def _parse_reference(raw: tuple[Value, ...], kind: Kind, results: list[Kind | None]) -> ResultOf:
    at = raw[1] if len(raw) in (2, 3) else None
    field = raw[2] if len(raw) == 3 else None
    if type(at) is not int or (len(raw) == 3 and type(field) is not int):
        _refuse(Code.MALFORMED, "reference: not [1, instruction] or [1, instruction, field]")
    if not 0 <= at < len(results):
        _refuse(Code.TYPE, f"reference to instruction {at}, which has not run")
    source = results[at]
    if type(field) is int:
        if not isinstance(source, Fields) or not 0 <= field < len(source.fields):
            _refuse(Code.TYPE, f"reference to field {field} of instruction {at}, which has none such")
        source = source.fields[field].kind
    if source is None or not kind.accepts(source):
        _refuse(Code.TYPE, f"reference to {'nothing' if source is None else source.name}, not {kind.name}")
    return ResultOf(at, field if type(field) is int else None)


def _parse_environment(raw: tuple[Value, ...], kind: Kind, actors: int) -> FromEnvironment:
    name = raw[1] if len(raw) > 1 else None
    if name == "actor" and len(raw) == 3:
        actor = raw[2]
        if type(actor) is not int or not 0 <= actor < actors:
            _refuse(Code.MALFORMED, "environment: no such actor")
        source: Kind = ADDRESS
    elif type(name) is str and name in _ENVIRONMENT and len(raw) == 2:
        actor, source = 0, _ENVIRONMENT[name]
    else:
        _refuse(Code.MALFORMED, "environment: no such name")
    if not kind.accepts(source):
        _refuse(Code.TYPE, f"environment: {source.name}, not {kind.name}")
    assert type(name) is str
    return FromEnvironment(name, actor)


class _AnyInteger:
    """What an ordering compares: every integer."""

    __slots__ = ()
    name = "integer"
    size_bytes_max = 9

    def holds(self, value: Value) -> bool:
        return type(value) is int

    def accepts(self, other: Kind) -> bool:
        return isinstance(other, Integer)


class _AnyScalar:
    """What equality compares: everything that is not a list."""

    __slots__ = ()
    name = "scalar"
    size_bytes_max = ARGUMENT_BYTES_MAX

    def holds(self, value: Value) -> bool:
        if type(value) is bytes:
            return len(value) <= ARGUMENT_BYTES_MAX
        if type(value) is str:
            return is_text(value, TEXT_BYTES_MAX)
        return type(value) in _SCALARS

    def accepts(self, other: Kind) -> bool:
        return not isinstance(other, Many | Fields | Anything)


_INTEGER: Final[Kind] = _AnyInteger()
_SCALAR: Final[Kind] = _AnyScalar()


def _refuse(code: Code, detail: str) -> NoReturn:
    raise Rejected(code, detail)
