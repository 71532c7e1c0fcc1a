"""Run a typed program on a view: all of it, or nothing but the reason.

Knows no contract, no payer and no nonce (`transition.py`); those stand outside the mark that an abort goes
back to.

*Source*: contracts.md 3.2, 3.9.
"""

from typing import Final, assert_never

from protocol import codec
from protocol.codec import Value
from protocol.errors import USER_ASSERT_BASE, CallFailed, Code, Reason, Rejected
from protocol.types import Address
from protocol.vm import gas
from protocol.vm.context import Context, Environment, run_method
from protocol.vm.contract import Change, Invariant, Registry
from protocol.vm.keys import PREFIX_BYTES
from protocol.vm.program import (
    NO_ACTOR,
    Argument,
    Assertion,
    Call,
    FromEnvironment,
    ListOf,
    Operator,
    Parameter,
    Program,
    ResultOf,
    parse_template,
)
from protocol.vm.view import Mark, View


class Outcome:
    """How a program ended: results when it ran through, else where and why it stopped."""

    __slots__ = ("code", "failed_instruction", "reason", "results")

    def __init__(
        self,
        code: int,
        results: tuple[Value, ...],
        failed_instruction: int | None = None,
        reason: Reason | None = None,
    ) -> None:
        self.code = code
        self.results = results
        self.failed_instruction = failed_instruction
        self.reason = reason


REASON_CHARS_MAX: Final = 64

_OK: Final = int(Code.OK)


def run_program(view: View, registry: Registry, environment: Environment, program: Program) -> Outcome:
    """Run a program; when it fails, or breaks an invariant, the view is as it was, except for the gas.

    Cost: about 6 us for one transfer.
    """
    mark = view.mark()
    results: list[Value] = []
    actors = environment.actors
    try:
        for step in program:
            if isinstance(step, Call):
                arguments = step.arguments
                if not step.is_fixed:
                    arguments = tuple([resolve(a, results, environment) for a in arguments])
                actor = None if step.actor == NO_ACTOR else actors[step.actor]
                if step.grant:
                    actor = _use_grant(view, registry, environment, step)
                context = Context(view, registry, environment, step.contract, actor, 0, step.grant)
                results.append(run_method(context, step.method, arguments))  # type: ignore[arg-type]
            else:
                view.charge(gas.ASSERTION)
                _check_assertion(step, results, environment)
                results.append(None)
    except CallFailed as failure:
        view.rewind(mark)
        return Outcome(int(failure.code), (), len(results), failure.reason)
    if registry.invariants:
        broken = _find_broken(view, registry, mark)
        if broken is not None:
            view.rewind(mark)
            return Outcome(int(Code.INVARIANT), (), None, Reason(broken.name))
    return Outcome(_OK, tuple(results))


def _find_broken(view: View, registry: Registry, mark: Mark) -> Invariant | None:
    """Return an invariant that a program has broken: looked for among the records that it touched."""
    invariants = registry.invariants
    touched: dict[bytes, list[Change]] = {}
    for change in view.list_changes(mark):
        prefix = change[0][:PREFIX_BYTES]
        if prefix in touched:
            touched[prefix].append(change)
        elif prefix in invariants:
            touched[prefix] = [change]
    for prefix, changes in touched.items():
        for invariant in invariants[prefix]:
            if not invariant.holds(changes):
                return invariant
    return None


def run_stored(
    view: View, registry: Registry, environment: Environment, raw: bytes, must_pin: bool = True
) -> Outcome:
    """Type a stored program against the contracts of this block and run it with the environment's parameters.

    Rules: 1. a pin that no longer holds is a failure like any other: VERSION_PIN, before the first
        instruction. 2. typing counts gas for each byte.
    """
    try:
        view.charge(len(raw) * gas.STORED_BYTE)
        template = parse_template(codec.decode_own(raw), registry, len(environment.actors), must_pin)
        template.check_parameters(environment.parameters)
    except CallFailed as failure:
        return Outcome(int(failure.code), (), None, failure.reason)
    except Rejected as rejected:
        return Outcome(int(rejected.code), (), None, Reason("vm.stored_program"))
    return run_program(view, registry, environment, template.program)


def _use_grant(view: View, registry: Registry, environment: Environment, step: Call) -> Address:
    """Return the account whose authority a call uses by a grant."""
    grantee = environment.actors[step.actor]
    time, day = environment.time, environment.day
    return registry.grants.use(view, time, day, step.grant, grantee, step.contract.id, step.method.id)


def resolve(argument: Argument, results: list[Value], environment: Environment) -> Value:
    """Return the value of an argument; typing has made sure that it exists and fits."""
    match argument:
        case ResultOf():
            value = results[argument.instruction]
            if argument.field is None:
                return value
            assert type(value) is tuple
            return value[argument.field]
        case FromEnvironment(name="time"):
            return environment.time
        case FromEnvironment(name="day"):
            return environment.day
        case FromEnvironment(name="height"):
            return environment.height
        case FromEnvironment(name="self"):
            return environment.program_id
        case FromEnvironment():
            return environment.actors[argument.actor]
        case Parameter():
            return environment.parameters[argument.number]
        case ListOf():
            return tuple([resolve(item, results, environment) for item in argument.items])
        case _:
            return argument


def _check_assertion(step: Assertion, results: list[Value], environment: Environment) -> None:
    left = resolve(step.left, results, environment)
    right = resolve(step.right, results, environment)
    if not _compare(step.operator, left, right):
        reason = Reason(f"assert.{step.operator.name.lower()}", _show(right), _show(left))
        raise CallFailed(USER_ASSERT_BASE + step.code, reason)


def _show(value: Value) -> int | str | bytes | None:
    """Return what a reason can say of a value: nothing when it is no number and long."""
    if type(value) is int:
        return value
    if type(value) is bytes or type(value) is str:
        return value if len(value) <= REASON_CHARS_MAX else None
    return None


def _compare(operator: Operator, left: Value, right: Value) -> bool:
    if operator is Operator.EQ:
        return type(left) is type(right) and left == right
    if operator is Operator.NE:
        return type(left) is not type(right) or left != right
    assert type(left) is int and type(right) is int, "typing lets only integers be ordered"
    match operator:
        case Operator.LT:
            return left < right
        case Operator.LE:
            return left <= right
        case Operator.GT:
            return left > right
        case Operator.GE:
            return left >= right
        case _:
            assert_never(operator)
