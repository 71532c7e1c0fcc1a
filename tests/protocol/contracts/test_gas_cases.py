"""Every method has a calibration case, and every case succeeds, so `scripts/calibrate_gas` sees them all."""

from protocol.contracts import BUILTINS
from protocol.errors import Code
from tests.bench.coop_gas_cases import make_coop_cases, make_coop_world
from tests.bench.gas_cases import Case, list_missing, make_cases, make_world, prepare, run_case
from tests.protocol.ledger_world import World


def run_all(world: World, cases: dict[tuple[int, int], Case]) -> None:
    for (contract, method), case in cases.items():
        outcome, gas = run_case(world.state, *prepare(case, world))
        assert (outcome.code, outcome.reason) == (Code.OK, None), (contract, method)
        assert gas > 0


def test_every_method_has_a_case_that_succeeds() -> None:
    world, hall = make_world(), make_coop_world()
    cases, of_coop = make_cases(int(world.time)), make_coop_cases(hall)
    assert list_missing(cases | of_coop) == []
    run_all(world, cases)
    run_all(hall, of_coop)


def test_a_method_without_a_case_is_seen() -> None:
    every = {(int(c.id), m.id): Case(()) for c in BUILTINS for m in c.methods}
    del every[16, 7]
    assert list_missing(every) == ["assets.transfer"]
