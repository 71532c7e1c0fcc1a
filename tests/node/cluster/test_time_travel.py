"""How time passes in a local cluster: in steps, of which there are few enough to wait for."""

from types import SimpleNamespace
from typing import Any

import pytest

from node.cluster import time_travel
from node.cluster.time_travel import STEPS_MAX, advance


@pytest.mark.parametrize(
    ("asked", "taken"),
    [(0, STEPS_MAX), (1, 1), (STEPS_MAX, STEPS_MAX), (STEPS_MAX + 1, STEPS_MAX)],
)
def test_time_passes_in_at_most_so_many_steps(
    asked: int, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With something due in each second, as many steps are made as there may be."""
    net: Any = SimpleNamespace(state=SimpleNamespace(nodes=(), ahead_ms=0))
    now = [0]
    monkeypatch.setattr(time_travel, "compute_now_ms", lambda _: now[0])
    monkeypatch.setattr(time_travel, "_move", lambda _, now_ms: now.__setitem__(0, now_ms))
    monkeypatch.setattr(time_travel, "_await_jobs", lambda *_: None)
    target_ms = 2 * STEPS_MAX * (STEPS_MAX - 1) * 1_000
    assert advance(net, target_ms, lambda: now[0] // 1_000 + 2, asked) == taken
    assert now[0] == target_ms
