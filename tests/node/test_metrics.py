"""Metrics: names follow the conventions, and every number the daemon gives has one."""

import re
from pathlib import Path

import pytest

from node.metrics import DAEMON_METRICS, Metric

HANDLERS = Path(__file__).parents[2] / "node" / "handlers.py"


@pytest.mark.parametrize("metric", DAEMON_METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z_]*", metric.name) and metric.doc.endswith(".")
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert not any(word in metric.name for word in ("_ms", "_percent", "_per_"))


def test_every_number_of_the_daemon_is_described_and_every_description_used() -> None:
    given = set(re.findall(r'"([a-z_]+)"(?:: (?:parts|pool|links)|, round)', HANDLERS.read_text()))
    assert given == {metric.name for metric in DAEMON_METRICS}
