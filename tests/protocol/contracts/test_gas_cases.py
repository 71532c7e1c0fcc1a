"""Every method has a calibration case, and every case succeeds, so `scripts/calibrate_gas` sees them all."""

from protocol.contracts import BUILTINS
from protocol.errors import Code
from tests.bench.gas_cases import list_missing, make_cases, make_world, prepare, run_case


def test_every_method_has_a_case_that_succeeds() -> None:
    world = make_world()
    cases = make_cases(int(world.time))
    assert list_missing(cases) == []
    for (contract, method), case in cases.items():
        outcome, gas = run_case(world.state, *prepare(case, world))
        assert (outcome.code, outcome.reason) == (Code.OK, None), (contract, method)
        assert gas > 0


def test_a_method_without_a_case_is_seen() -> None:
    world = make_world()
    cases = make_cases(int(world.time))
    del cases[16, 7]
    assert list_missing(cases) == ["assets.transfer"]
    assert len({(int(c.id), m.id) for c in BUILTINS for m in c.methods}) >= len(cases)
