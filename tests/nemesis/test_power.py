"""Loss of power in short forms, on real daemons and disks: what `scripts/power` does as long as one likes."""

from pathlib import Path

import pytest

from protocol.chain.validators import EngineKind
from tests.nemesis.power import Course, missing, run_and_keep

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(missing() is not None, reason=missing() or "")]


def test_one_node_that_is_the_whole_chain_keeps_what_it_showed(tmp_path: Path) -> None:
    figures = run_and_keep(tmp_path / "ln", Course(1, 4))
    assert figures.cuts == 4


def test_all_nodes_lose_power_at_the_seal_to_bft_and_at_the_seal_back(tmp_path: Path) -> None:
    figures = run_and_keep(tmp_path / "ln", Course(2, 2, nodes=3, is_at_seal=True))
    assert figures.cuts == 8


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "nodes"), [(EngineKind.RAFT, 3), (EngineKind.BFT, 4)])
def test_one_most_or_all_lose_power(engine: EngineKind, nodes: int, tmp_path: Path) -> None:
    assert run_and_keep(tmp_path / "ln", Course(3, 8, nodes, engine)).cuts >= 8
