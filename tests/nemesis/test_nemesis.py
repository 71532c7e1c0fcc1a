"""The nemesis in short forms, on real daemons: what `scripts/nemesis` does for as long as one likes."""

from pathlib import Path

import pytest

from protocol.chain.validators import EngineKind
from tests.nemesis.faults import Kind
from tests.nemesis.run import Course, run_and_keep
from tests.netns.namespaces import missing

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(missing() is not None, reason=missing() or "")]


def test_killed_paused_and_cut_off_leaders_lose_nothing(tmp_path: Path) -> None:
    kinds = (Kind.KILL_LEADER, Kind.PAUSE_LEADER, Kind.ISOLATE_LEADER)
    figures = run_and_keep(tmp_path / "ln", Course(5, 8, kinds=kinds))
    # How many fit into the time is the machine's affair.
    struck = {fault.partition(" (")[0] for fault in figures.faults}
    assert struck and struck <= {kind.value for kind in kinds}


@pytest.mark.slow
def test_the_chain_goes_to_bft_and_back_while_nodes_fall_and_a_clock_is_wrong(tmp_path: Path) -> None:
    kinds = (Kind.KILL_LEADER, Kind.ISOLATE_FOLLOWER, Kind.CLOCK_TOMORROW, Kind.LOSS)
    figures = run_and_keep(tmp_path / "ln", Course(6, 8, kinds=kinds, is_moving=True))
    assert figures.moves >= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "nodes"), [(EngineKind.BFT, 4), (EngineKind.BFT, 7), (EngineKind.RAFT, 7)]
)
def test_every_fault_on_either_engine(engine: EngineKind, nodes: int, tmp_path: Path) -> None:
    figures = run_and_keep(tmp_path / "ln", Course(7, 30, nodes, engine))
    assert len(figures.faults) > 5


@pytest.mark.slow
def test_every_fault_that_there_is(tmp_path: Path) -> None:
    figures = run_and_keep(tmp_path / "ln", Course(2, 40))
    assert len({fault.partition(" (")[0] for fault in figures.faults}) > 10
