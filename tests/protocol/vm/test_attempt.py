"""Context.attempt: a step that fails leaves nothing but its gas, and never more than it was given."""

import pytest

from protocol.contracts import REGISTRY
from protocol.errors import CallFailed, Code
from protocol.types import Height, Seconds
from protocol.vm.context import Context, Environment, fail
from protocol.vm.view import MemoryState, View

KEY = b"\x00\x01\x01key"


def make_context(gas: int) -> Context:
    view = View(MemoryState({}))
    view.gas_limit = gas
    environment = Environment(Seconds(1), 0, Height(1), 0, bytes(32), ())
    return Context(view, REGISTRY, environment, REGISTRY.contracts[0], None)


@pytest.mark.parametrize(("gas", "code"), [(50, None), (51, Code.GAS)])
def test_a_step_has_its_own_gas(gas: int, code: int | None) -> None:
    ctx = make_context(1_000)
    view = ctx.view

    def step() -> None:
        view.put(KEY, (1,))
        view.charge(gas)

    failed = ctx.attempt(50, step)
    assert (failed and failed.code) == code
    assert view.gas_used == 50 and view.gas_limit == 1_000
    assert view.get(KEY) == (None if failed else (1,))


def test_a_step_that_fails_is_taken_back_and_what_was_before_stays() -> None:
    ctx = make_context(1_000)
    view = ctx.view
    view.put(KEY, (1,))

    def step() -> None:
        view.put(KEY, (2,))
        fail(7, "a.rule")

    failed = ctx.attempt(50, step)
    assert failed is not None and failed.code == 7 and view.get(KEY) == (1,)


def test_gas_of_the_program_and_a_broken_invariant_stop_it() -> None:
    ctx = make_context(40)
    with pytest.raises(CallFailed):
        ctx.attempt(50, lambda: ctx.view.charge(41))
    with pytest.raises(CallFailed):
        make_context(100).attempt(50, lambda: fail(Code.INVARIANT, "a.rule"))
