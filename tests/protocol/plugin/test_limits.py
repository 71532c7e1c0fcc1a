"""Limits of what a plugin may be, each at the limit and one beyond, and of what it may read at once."""

from collections.abc import Callable
from typing import Any

import pytest

from protocol import transition
from protocol.codec import Value
from protocol.contracts import BUILTINS, REGISTRY
from protocol.errors import Code
from protocol.params import PLUGIN_ID_MIN, PLUGIN_LAYER_MIN, PLUGIN_SCAN_MAX
from protocol.plugin import v1
from protocol.plugin.schema import LAYER_MAX, NAME_CHARS_MAX, NUMBER_MAX, TABLE_NUMBER_MAX
from protocol.types import ContractId
from protocol.vm.contract import Registry
from tests.protocol.ledger_world import ALICE, BOB, COOP, World, founding

USED: dict[str, Any] = {"number": 2_000, "name": "probe", "version": 1, "layer": PLUGIN_LAYER_MIN}


@pytest.mark.parametrize(
    ("part", "limit", "beyond"),
    [
        ("number", PLUGIN_ID_MIN, PLUGIN_ID_MIN - 1),
        ("number", NUMBER_MAX, NUMBER_MAX + 1),
        ("layer", PLUGIN_LAYER_MIN, PLUGIN_LAYER_MIN - 1),
        ("layer", LAYER_MAX, LAYER_MAX + 1),
        ("version", 1, 0),
        ("version", NUMBER_MAX, NUMBER_MAX + 1),
        ("name", "abc", "ab"),
        ("name", "a" * NAME_CHARS_MAX, "a" * (NAME_CHARS_MAX + 1)),
    ],
)
def test_a_contract_at_each_limit_and_one_beyond(part: str, limit: Any, beyond: Any) -> None:
    v1.contract(doc="Probe.", **(USED | {part: limit}))
    with pytest.raises(ValueError, match=str(beyond) if part != "name" else "name"):
        v1.contract(doc="Probe.", **(USED | {part: beyond}))


@pytest.mark.parametrize(
    ("part", "limit", "make"),
    [
        ("records", TABLE_NUMBER_MAX, lambda n: v1.Records(2_000, n, "r", (v1.uint_key("n", 16),), (), "R.")),
        ("methods", NUMBER_MAX, lambda n: v1.Method(n, "m", (), v1.BOOL, (v1.Signed(),), 1, bool, "M.")),
        ("events", NUMBER_MAX, lambda n: v1.EventType(ContractId(2_000), n, "e", (), "E.")),
    ],
)
def test_the_number_of_a_part_at_its_limit_and_one_beyond(
    part: str, limit: int, make: Callable[[int], Any]
) -> None:
    v1.contract(doc="Probe.", **(USED | {part: (make(limit),)}))
    with pytest.raises(ValueError, match=f"1 to {limit}$"):
        v1.contract(doc="Probe.", **(USED | {part: (make(limit + 1),)}))


def probe() -> v1.Contract:
    """Make a contract whose methods hand on what they are given to the calls that move money."""
    count = v1.Records(2_000, 1, "count", (v1.uint_key("n", 16),), (v1.Field("count", v1.U8),), "Numbers.")

    def scan(ctx: v1.Ctx, limit: int) -> int:
        return len(ctx.scan(count, limit=limit))

    def hold(ctx: v1.Ctx, owner: v1.Address, amount: int) -> int:
        ctx.open(COOP)
        return ctx.hold(owner, COOP, amount, 0)

    def capture(ctx: v1.Ctx, hold: int, amount: int) -> int:
        return ctx.capture(hold, amount)

    def release(ctx: v1.Ctx, hold: int) -> int:
        return ctx.release(hold)

    def send(ctx: v1.Ctx, owner: v1.Address, at_most: int, amount: int) -> bool:
        token = ctx.take(owner, COOP, at_most)
        ctx.call(2_001, 1, owner, amount, takes=(token,))
        return True

    owner, amount = v1.Field("owner", v1.ADDRESS), v1.Field("amount", v1.POSITIVE)
    held, signed = v1.Field("hold", v1.HOLD), (v1.Signed(),)
    methods = (
        v1.Method(1, "scan", (v1.Field("limit", v1.U32),), v1.U32, signed, 1, scan, "Count."),
        v1.Method(2, "hold", (owner, amount), v1.HOLD, signed, 1, hold, "Hold."),
        v1.Method(3, "capture", (held, amount), v1.AMOUNT, signed, 1, capture, "Capture."),
        v1.Method(4, "release", (held,), v1.AMOUNT, signed, 1, release, "Release."),
        v1.Method(
            5, "send", (owner, v1.Field("at_most", v1.POSITIVE), amount), v1.BOOL, signed, 1, send, "Send."
        ),
    )
    return v1.contract(
        records=(count,), methods=methods, doc="Probe.", **(USED | {"layer": PLUGIN_LAYER_MIN + 1})
    )


def keeper() -> v1.Contract:
    """Make a contract of the layer below, which collects from whom its caller has a token of."""

    def collect(ctx: v1.Ctx, owner: v1.Address, amount: int) -> int:
        ctx.open(COOP)
        return ctx.collect(owner, COOP, amount)

    fields = (v1.Field("owner", v1.ADDRESS), v1.Field("amount", v1.POSITIVE))
    method = v1.Method(1, "collect", fields, v1.AMOUNT, (v1.Signed(),), 1, collect, "Collect.")
    return v1.contract(2_001, "keeper", 1, "Keeper.", methods=(method,))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    registry = Registry((*BUILTINS, keeper(), probe()), REGISTRY.has_role, REGISTRY.grants)
    monkeypatch.setattr(transition, "REGISTRY", registry)
    world = World(founding())
    world.ok(world.cash_in(ALICE, 1_000), world.cash_in(BOB, 1_000))
    return world


def code(world: World, method: int, *arguments: Value) -> int:
    return world.run(world.tx((2_000, method, 0, arguments))).receipts[0].code


def free(world: World, who: Any = ALICE) -> Value:
    return world.ask("assets", "balance", who.address, COOP)


def test_a_page_of_records_at_the_limit_and_one_beyond(world: World) -> None:
    assert code(world, 1, PLUGIN_SCAN_MAX) == Code.OK
    assert code(world, 1, PLUGIN_SCAN_MAX + 1) == code(world, 1, 0) == Code.LIMIT


def test_a_hold_is_captured_in_part_or_released_once(world: World) -> None:
    before = free(world)
    assert code(world, 2, ALICE.address, 1_001) == Code.FUNDS
    assert code(world, 2, BOB.address, 1) == Code.POLICY_UNMET
    (receipt,) = world.ok(world.tx((2_000, 2, 0, (ALICE.address, 1_000))))
    first = receipt.results[0]
    assert code(world, 3, first, 1_001) == Code.EXCEEDS_HOLD
    (receipt,) = world.ok(world.tx((2_000, 3, 0, (first, 400))))
    assert receipt.results == (400,) and code(world, 4, first) == Code.HOLD_STATE
    assert free(world) != before and free(world)[0] == 600  # type: ignore[index]
    (receipt,) = world.ok(world.tx((2_000, 2, 0, (ALICE.address, 600))))
    second = receipt.results[0]
    assert code(world, 4, second) == Code.OK and code(world, 3, second, 1) == Code.HOLD_STATE
    assert free(world)[0] == 600  # type: ignore[index]


def test_a_token_gives_so_much_and_no_more(world: World) -> None:
    assert code(world, 5, ALICE.address, 300, 301) == Code.GRANT_EXCEEDED
    assert code(world, 5, BOB.address, 300, 300) == Code.POLICY_UNMET
    assert code(world, 5, ALICE.address, 300, 300) == Code.OK
    assert (free(world)[0], free(world, BOB)[0]) == (700, 1_000)  # type: ignore[index]
