"""Names and meanings of everything that /metrics shows; the numbers come from daemon and gateway.

The daemon collects its numbers in a `Meter` and hands them to the gateway as samples, so it never speaks
HTTP. Base units, whole millionths on the way; no label with an unbounded set of values. A metric is one line
in `DAEMON_METRICS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "coopd_"
MICRO: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Metric:
    """Describe one metric: name without prefix, `gauge` or `counter`, its labels, what it says."""

    name: str
    kind: str
    doc: str
    labels: tuple[str, ...] = ()


DAEMON_METRICS: Final = (
    Metric("block_interval_seconds", "gauge", "Time between the last two blocks."),
    Metric("commit_seconds", "gauge", "Time of the last block in one phase of its commit.", ("phase",)),
    Metric("commit_seconds_total", "counter", "Time spent in one phase of all commits.", ("phase",)),
    Metric("blocks_total", "counter", "Blocks committed by this process."),
    Metric("transactions_total", "counter", "Transactions committed by this process.", ("result",)),
    Metric("rounds_total", "counter", "Terms or rounds this process took part in."),
    Metric("consensus_protocol_info", "gauge", "1 for the engine in force.", ("protocol",)),
    Metric("leader", "gauge", "1 when this node leads."),
    Metric("certificate_signers", "gauge", "Validators who signed the last certificate."),
    Metric("operator_last_signed_height", "gauge", "Last height an operator signed.", ("operator",)),
    Metric("votes_late_total", "counter", "Votes that came after their block was committed."),
    Metric("double_sign_evidence_total", "counter", "Proofs of two signatures that must not both exist."),
    Metric("state_root_seconds", "gauge", "Time to compute the last state root."),
    Metric("gossip_bytes_total", "counter", "Bytes exchanged with peers.", ("direction",)),
    Metric("gossip_duplicates_total", "counter", "Transactions received more than once."),
    Metric("peer_rtt_seconds", "gauge", "Round trip to a node of the roster.", ("peer",)),
    Metric("lmdb_used_bytes", "gauge", "Bytes of the database in use."),
    Metric("lmdb_map_bytes", "gauge", "Bytes of the database's map."),
    Metric("lmdb_commit_seconds", "gauge", "Time of the last write transaction."),
    Metric("disk_free_bytes", "gauge", "Free bytes of the disk with the data folder."),
    Metric("loop_lag_seconds", "gauge", "How late the event loop ran its last timer."),
    Metric("memory_resident_bytes", "gauge", "Resident memory of the daemon."),
    Metric("cpu_seconds_total", "counter", "CPU time of the daemon."),
    Metric("log_messages_total", "counter", "Log lines by level.", ("level",)),
)

_BY_NAME: Final[Mapping[str, Metric]] = {metric.name: metric for metric in DAEMON_METRICS}


class Meter:
    """Collect the numbers of a process. One dictionary write a call, about 0.3 us."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[tuple[str, tuple[str, ...]], int] = {}

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge, in its base unit."""
        assert name in _BY_NAME and len(labels) == len(_BY_NAME[name].labels), name
        self._values[name, labels] = int(value * MICRO)

    def add(self, name: str, value: float = 1, *labels: str) -> None:
        """Add to a counter, in its base unit."""
        assert name in _BY_NAME and len(labels) == len(_BY_NAME[name].labels), name
        key = name, labels
        self._values[key] = self._values.get(key, 0) + int(value * MICRO)

    def items(self) -> list[tuple[str, int, tuple[tuple[str, str], ...]]]:
        """List (name, millionths, labels), as the samples of `ipc.messages` want them."""
        return [
            (name, micro, tuple(zip(_BY_NAME[name].labels, labels, strict=True)))
            for (name, labels), micro in self._values.items()
        ]
