"""Parameters: a new value inside the bounds, from a later block on; at the founding at once."""

from protocol.codec import Value
from protocol.contracts.parameters import BY_NAME, NEXT_VALUES, PARAMETERS, VALUES, get_value
from protocol.contracts.registry.records import (
    FOUNDING_ONLY,
    HEIGHT_TERMS,
    NO_PARAMETER,
    OUT_OF_BOUNDS,
    VALUE_DECIDED,
)
from protocol.params import PARAMETER_AHEAD_BLOCKS_MAX, PARAMETER_DELAY_BLOCKS
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.tables import SCHEMA


def set_value(ctx: Context, name: str, value: int, from_height: int) -> Value:
    """Decide another value; returns the height from which it counts."""
    parameter, height = BY_NAME.get(name), ctx.environment.height
    if parameter is None:
        fail(NO_PARAMETER, "registry.parameter", None, name)
    if not parameter.low <= value <= parameter.high:
        limit = parameter.low if value < parameter.low else parameter.high
        fail(OUT_OF_BOUNDS, f"registry.{name}", limit, value)
    if parameter.is_founding and height:
        fail(FOUNDING_ONLY, "registry.founding", None, name)
    key = VALUES.key(parameter.id)
    if height:
        check_height(ctx, from_height, PARAMETER_DELAY_BLOCKS, PARAMETER_AHEAD_BLOCKS_MAX)
        from_height = from_height or height + PARAMETER_DELAY_BLOCKS
        NEXT_VALUES.put(ctx.view, NEXT_VALUES.key(parameter.id), (SCHEMA, value, from_height))
    else:
        from_height = 1
        VALUES.put(ctx.view, key, (SCHEMA, value))
    ctx.emit(VALUE_DECIDED, parameter.id, value, from_height)
    return from_height


def check_height(ctx: Context, chosen: int, delay: int, ahead_max: int) -> None:
    """Check a height that somebody chose; 0 asks for the soonest.

    Raises:
        CallFailed: HEIGHT_TERMS.
    """
    first, last = ctx.environment.height + delay, ctx.environment.height + ahead_max
    if chosen and not first <= chosen <= last:
        fail(HEIGHT_TERMS, "registry.first_height", first if chosen < first else last, chosen)


def query_parameters(query: QueryContext) -> Value:
    """List all parameters."""
    found: list[Value] = []
    for parameter in PARAMETERS:
        following = NEXT_VALUES.get(query.view, NEXT_VALUES.key(parameter.id))
        found.append(
            (
                parameter.name,
                parameter.unit,
                get_value(query.view, parameter),
                parameter.default,
                parameter.low,
                parameter.high,
                parameter.is_founding,
                None if following is None else following[1:],
            )
        )
    return tuple(found)
