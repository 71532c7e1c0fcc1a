"""How the memory of a long run is judged; `scripts/soak` is the run."""

from pathlib import Path

import pytest

from tests.nemesis.cluster import Cluster
from tests.nemesis.soak import (
    GROWTH_MIB_HOUR_MAX,
    GROWTH_SECONDS_MIN,
    MIB,
    MIB_MAX,
    Memory,
    compute_growth,
    judge_memory,
    soak,
)
from tests.netns.namespaces import missing


def test_a_line_has_its_slope_and_noise_has_none() -> None:
    assert compute_growth([(second, 100 * MIB + second * MIB) for second in range(10)]) == 3_600
    assert abs(compute_growth([(second, second % 2 * MIB) for second in range(10_001)])) < 0.1
    assert compute_growth([(0, 5)]) == 0


def test_memory_is_judged_at_its_limits_and_growth_only_after_an_hour() -> None:
    at = Memory("n1", MIB_MAX, GROWTH_MIB_HOUR_MAX)
    above = Memory("n1", MIB_MAX + 1, GROWTH_MIB_HOUR_MAX + 1)
    assert judge_memory([at], GROWTH_SECONDS_MIN) == []
    assert len(judge_memory([above], GROWTH_SECONDS_MIN)) == 2
    assert len(judge_memory([above], GROWTH_SECONDS_MIN - 1)) == 1


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.skipif(missing() is not None, reason=missing() or "")
def test_a_short_run_of_all(tmp_path: Path) -> None:
    with Cluster(tmp_path / "ln") as cluster:
        memories = soak(cluster, 15, 8, check=True)
    assert len(memories) == 6 and judge_memory(memories, 15) == []
