"""Metrics: names follow the conventions; the meter keeps whole millionths."""

import re

import pytest

from node.metrics import DAEMON_METRICS, Meter, Metric


@pytest.mark.parametrize("metric", DAEMON_METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z_]*", metric.name) and metric.doc.endswith(".")
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert not any(word in metric.name for word in ("_ms", "_percent", "_per_"))


def test_a_counter_adds_and_a_gauge_replaces() -> None:
    meter = Meter()
    meter.add("transactions_total", 2, "ok")
    meter.add("transactions_total", 3, "ok")
    meter.set("commit_seconds", 0.5, "sync")
    meter.set("commit_seconds", 0.25, "sync")
    assert meter.items() == [
        ("transactions_total", 5_000_000, (("result", "ok"),)),
        ("commit_seconds", 250_000, (("phase", "sync"),)),
    ]


def test_an_unknown_name_or_wrong_labels_are_our_bug() -> None:
    with pytest.raises(AssertionError):
        Meter().add("no_such_total")
    with pytest.raises(AssertionError):
        Meter().set("commit_seconds", 1)
