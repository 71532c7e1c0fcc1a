"""Toy contracts for the tests of the program machine: one that makes values, and a tower."""

from collections.abc import Callable

from protocol.codec import Value
from protocol.params import CALL_DEPTH_MAX
from protocol.types import Address, ContractId, Height, Seconds
from protocol.vm.context import Context, Environment
from protocol.vm.contract import (
    GOV,
    Capability,
    Contract,
    EventType,
    Method,
    Owner,
    Registry,
    Role,
    Signed,
)
from protocol.vm.keys import uint_key
from protocol.vm.kinds import (
    ADDRESS,
    BOOL,
    HASH,
    HEIGHT,
    SECONDS,
    U8,
    U16,
    U32,
    U63,
    Anything,
    Data,
    Field,
    Fields,
    Kind,
    Many,
    Maybe,
    Text,
)
from protocol.vm.tables import Table
from protocol.vm.view import View

TOY = ContractId(90)
ACTOR, OTHER = Address(b"a" * 20), Address(b"b" * 20)
PAIR = Fields((Field("n", U8), Field("who", ADDRESS)))
CELLS: Table[tuple[int, int]] = Table(
    TOY, 1, "cell", (uint_key("n", 8),), (Field("value", U63),), doc="A cell."
)
POKED = EventType(TOY, 1, "poked", (Field("n", U8),), "A cell has another value.")


def _put(ctx: Context, n: int, value: int) -> Value:
    CELLS.put(ctx.view, CELLS.key(n), (1, value))
    ctx.emit(POKED, n)
    return value


def _echo(ctx: Context, *arguments: Value) -> Value:
    return arguments


def _dive(ctx: Context, levels: int) -> Value:
    """Call down the tower as often as asked, then answer the depth."""
    if levels == 0:
        return ctx.depth
    return ctx.call(int(ctx.contract.id) - 1, 1, levels - 1)


def _liar(ctx: Context) -> Value:
    return -1


def _who(ctx: Context) -> Value:
    return (ctx.actor, ctx.may_debit(ACTOR), ctx.may_debit(ctx.contract.address))


_ECHOED = (
    Field("time", SECONDS),
    Field("day", U32),
    Field("height", HEIGHT),
    Field("self", HASH),
    Field("actor", ADDRESS),
)
_ALL = (
    Field("small", U8),
    Field("flag", BOOL),
    Field("text", Text("t", 4)),
    Field("data", Data("d", 0, 20_000)),
    Field("maybe", Maybe(U16)),
    Field("many", Many(U16, 2_000)),
    Field("pair", PAIR),
    Field("any", Anything("any", 64)),
)


def method(
    number: int,
    name: str,
    arguments: tuple[Field, ...],
    result: Kind,
    run: Callable[..., Value],
    *capabilities: Capability,
) -> Method:
    return Method(number, name, arguments, result, capabilities or (GOV, Signed()), 7, run, "Do it.")


CONTRACT = Contract(
    TOY,
    "toy",
    layer=1,
    version=3,
    doc="A toy.",
    tables=(CELLS,),
    methods=(
        method(1, "put", (Field("n", U8), Field("value", U63)), U63, _put),
        method(2, "echo", _ECHOED, Fields(_ECHOED), _echo),
        method(3, "take", _ALL, Anything("all", 16_000), _echo),
        method(4, "pair", (Field("n", U8), Field("who", ADDRESS)), PAIR, _echo),
        method(5, "owned", (Field("n", U8), Field("who", ADDRESS)), PAIR, _echo, Owner("who")),
        method(6, "ruled", (), Fields(()), _echo, Role("king")),
        method(7, "founded", (), Fields(()), _echo, GOV),
        method(8, "liar", (), U8, _liar),
        method(9, "nil", (Field("maybe", Maybe(U16)),), Maybe(U16), lambda ctx, value: value),
        method(10, "signed", (), Fields(()), _echo, Signed()),
        method(
            11, "maybe_many", (Field("many", Maybe(Many(U8, 3))),), Anything("m", 9), lambda ctx, value: value
        ),
    ),
    events=(POKED,),
)

TOWER = tuple(
    Contract(
        ContractId(100 + level),
        f"floor{level}",
        layer=level,
        version=1,
        doc="A floor.",
        methods=(
            method(1, "dive", (Field("levels", U8),), U8, _dive),
            method(2, "who", (), Anything("who", 64), _who),
            method(3, "ask", (), Anything("who", 64), lambda ctx: ctx.call(int(ctx.contract.id) - 1, 2)),
            method(4, "up", (), U8, lambda ctx: ctx.call(int(ctx.contract.id) + 1, 1, 0)),
            method(5, "wrong", (), U8, lambda ctx: ctx.call(int(ctx.contract.id) - 1, 1, 256)),
            method(6, "short", (), U8, lambda ctx: ctx.call(int(ctx.contract.id) - 1, 1)),
        ),
    )
    for level in range(CALL_DEPTH_MAX + 2)
)

REGISTRY = Registry(
    (CONTRACT, *TOWER), lambda _view, address, role, _waited: (address, role) == (OTHER, "king")
)


def environment(system: str | None = None) -> Environment:
    return Environment(Seconds(1_000), 20_000, Height(7), 2, bytes(range(32)), (ACTOR, OTHER), system)


def context(view: View, contract: Contract, actor: Address | None = ACTOR) -> Context:
    return Context(view, REGISTRY, environment(), contract, actor)
