"""What makes a proposal the same as one that was refused: a call of the same method upon the same things.

A thing is what an argument names: an account, a member, a fund, a parameter. How much, how long, from when
and with which paper is none, so one more yuan, another date or another document is not another proposal. Each
call counts for itself, whatever else stands beside it and whatever type it is proposed as.

*Source*: contracts.md 5.6 (same target or line). *Departs*: less of the same waits as well.
"""

from typing import Final, TypeAlias

from protocol import codec, crypto
from protocol.contracts.voting.records import COOLDOWN, ID
from protocol.types import Hash32
from protocol.vm.context import Context, fail
from protocol.vm.keys import data_key, uint_key
from protocol.vm.kinds import ADDRESS, SECONDS, Field, Kind
from protocol.vm.program import Call, Template
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

THINGS: Final = (
    *("asset", "engine", "fund", "hold", "line", "loan", "loan product", "member", "name", "operator"),
    *(
        "payment",
        "proposal type",
        "role",
        "savings product",
        "share class",
        "stream",
        "symbol",
        "u16",
        "year",
    ),
    ADDRESS.name,
)
"""Kinds of arguments that name a thing; all others say how much, when, or why."""

CallRow: TypeAlias = tuple[int]
RefusedRow: TypeAlias = tuple[int, int]
CALLS: Final[Table[CallRow]] = Table(
    ID,
    29,
    "call",
    (uint_key("proposal", 32), data_key("call", 32)),
    (),
    doc="What proposals call and upon what, as long as they may be refused.",
)
REFUSED: Final[Table[RefusedRow]] = Table(
    ID,
    4,
    "refused",
    (data_key("call", 32),),
    (Field("time", SECONDS),),
    doc="When a call upon the same things was refused last.",
)


def is_thing(kind: Kind) -> bool:
    """Tell whether arguments of a kind name a thing."""
    return kind.name in THINGS


def list_calls(template: Template) -> tuple[Hash32, ...]:
    """List what a program calls and upon what, one digest for each different call, in ascending order."""
    found = []
    for step in template.program:
        if isinstance(step, Call):
            named = [
                value
                for field, value in zip(step.method.arguments, step.arguments, strict=True)
                if is_thing(field.kind) and isinstance(value, int | str | bytes)
            ]
            found.append(crypto.sha256(codec.encode((step.contract.id, step.method.id, tuple(named)))))
    return tuple(sorted(set(found)))


def check_cooldown(ctx: Context, calls: tuple[bytes, ...], cooldown: int) -> None:
    """Check that nothing of what a program calls was refused so recently.

    Raises:
        CallFailed: COOLDOWN.
    """
    for call in calls:
        row = REFUSED.get(ctx.view, REFUSED.key(call))
        if row is not None and ctx.environment.time < row[1] + cooldown:
            fail(COOLDOWN, "voting.cooldown", row[1] + cooldown, ctx.environment.time)


def keep_calls(view: View, number: int, calls: tuple[bytes, ...]) -> None:
    """Keep with a proposal what it calls."""
    for call in calls:
        CALLS.put(view, CALLS.key(number, call), (SCHEMA,))


def move_calls(view: View, first: int, second: int) -> None:
    """Keep with a second reading what its first one calls."""
    for key, row in list(CALLS.scan(view, first)):
        CALLS.put(view, CALLS.key(second, CALLS.parts(key)[1]), row)
        CALLS.delete(view, key)


def drop_calls(ctx: Context, number: int, *, is_refused: bool) -> None:
    """Forget what a proposal calls once it has ended; of a refused one every call is refused now."""
    for key, _ in list(CALLS.scan(ctx.view, number)):
        if is_refused:
            REFUSED.put(ctx.view, REFUSED.key(CALLS.parts(key)[1]), (SCHEMA, int(ctx.environment.time)))
        CALLS.delete(ctx.view, key)
