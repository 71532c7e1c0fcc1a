"""What /metrics shows: the gateway's own counts, and the daemon's numbers as it last told them.

*Source*: Prometheus text format, written by prometheus_client.
"""

from collections.abc import Iterable
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from node.config import VERSION
from node.ipc.messages import MICRO, Status
from node.metrics import DAEMON_METRICS, PREFIX

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Exposition:
    """Collect the gateway's numbers and write them all as text."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._status: Status | None = None
        self._requests = Counter(
            f"{PREFIX}rpc_requests", "Calls by method and code.", ("method", "code"), registry=self._registry
        )
        self._seconds = Histogram(
            f"{PREFIX}rpc_seconds", "Time to answer one body.", buckets=_SECONDS, registry=self._registry
        )
        self.ws_clients = Gauge(f"{PREFIX}ws_clients", "Open WebSockets.", registry=self._registry)
        self._events = Counter(f"{PREFIX}ws_events", "Events sent.", registry=self._registry)

    def count_call(self, method: str, code: int) -> None:
        """Count one answered call."""
        self._requests.labels(method, str(code)).inc()

    def count_event(self) -> None:
        """Count one event sent."""
        self._events.inc()

    def observe_body(self, seconds: float) -> None:
        """Note how long one body took."""
        self._seconds.observe(seconds)

    def write(self, status: Status | None) -> bytes:
        """Write everything; without the status of the daemon its numbers are left out."""
        self._status = status
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Give the daemon's numbers to the library."""
        info = GaugeMetricFamily(f"{PREFIX}build_info", "Version of this program.", labels=["version"])
        info.add_metric([VERSION], 1)
        yield info
        status = self._status
        if status is None:
            return
        for name, value, doc in (
            ("height", status.height, "Last committed block."),
            ("block_time_seconds", status.time_ms / 1_000, "Time of the last block, Unix seconds."),
            ("sync_height_target", status.target_height, "Highest height seen anywhere."),
            ("mempool_transactions", status.mempool_txs, "Waiting transactions."),
            ("mempool_bytes", status.mempool_bytes, "Bytes of waiting transactions."),
            ("peers", status.peers, "Connected nodes."),
            ("epoch", status.epoch, "Epoch that certifies the next block."),
        ):
            yield GaugeMetricFamily(f"{PREFIX}{name}", doc, value=value)
        engine = GaugeMetricFamily(f"{PREFIX}engine_info", "Engine of the epoch.", labels=["protocol"])
        engine.add_metric([status.protocol], 1)
        yield engine
        yield from self._collect_samples(status)

    def _collect_samples(self, status: Status) -> Iterable[Metric]:
        for metric in DAEMON_METRICS:
            samples = [sample for sample in status.samples if sample.name == metric.name]
            if not samples:
                continue
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(f"{PREFIX}{metric.name}", metric.doc, labels=list(metric.labels))
            for sample in samples:
                labels = dict(sample.labels)
                family.add_metric([labels.get(name, "") for name in metric.labels], sample.micro / MICRO)
            yield family
