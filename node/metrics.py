"""Names and meanings of everything that /metrics shows; the numbers come from daemon and gateway.

The daemon hands its numbers to the gateway as samples, so it never speaks HTTP. Base units, whole millionths
on the way; no label with an unbounded set of values. A metric is one line in `DAEMON_METRICS`.
"""

from dataclasses import dataclass
from typing import Final

PREFIX: Final = "coopd_"


@dataclass(frozen=True, slots=True)
class Metric:
    """Describe one metric: name without prefix, `gauge` or `counter`, its labels, what it says."""

    name: str
    kind: str
    doc: str
    labels: tuple[str, ...] = ()


DAEMON_METRICS: Final = (
    Metric("blocks_total", "counter", "Blocks committed by this process."),
    Metric("transactions_total", "counter", "Transactions committed by this process."),
    Metric("signatures_checked_total", "counter", "Signatures of transactions checked by this process."),
    Metric("outlines_total", "counter", "Proposals that came without their transactions."),
    Metric("transactions_fetched_total", "counter", "Transactions of proposals that had to be fetched."),
    Metric("phase_seconds_total", "counter", "Time spent in one phase of the life of a block.", ("phase",)),
    Metric("starving_attested_total", "counter", "Words of this validator that a transaction starves."),
    Metric("blocks_unwelcome_total", "counter", "Valid proposals that left out what starved."),
    Metric("double_sign_evidence_total", "counter", "Proofs against validators that this process has seen."),
    Metric("mempool_evicted_total", "counter", "Waiting transactions pushed out by others."),
    Metric("mempool_expired_total", "counter", "Waiting transactions that expired."),
    Metric("mempool_refused_total", "counter", "Transactions refused for want of room."),
    Metric("net_sent_bytes_total", "counter", "Bytes sent to peers."),
    Metric("net_received_bytes_total", "counter", "Bytes received from peers."),
    Metric("net_refused_frames_total", "counter", "Frames of peers that were refused."),
    Metric("net_dials_total", "counter", "Connections this node tried to make."),
    Metric("jobs_late", "gauge", "Jobs of the chain whose time has come and that no block has run yet."),
    Metric("jobs_run_total", "counter", "Runs of jobs seen by this process."),
    Metric("jobs_failed_total", "counter", "Runs of jobs that failed."),
    Metric("jobs_quarantined_total", "counter", "Jobs that failed too often and wait for help."),
    Metric("blocks_repaired_total", "counter", "Damaged blocks that were fetched again from a peer."),
)
