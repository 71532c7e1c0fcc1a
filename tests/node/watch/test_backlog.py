"""Jobs that are late, fail, or wait in quarantine are told to whoever runs a node."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.watch import backlog as backlog_module
from node.watch.backlog import LATE_SECONDS, Backlog
from protocol.params import JOB_RETRY_SECONDS
from protocol.types import TimeMs
from tests.node.job_chain import allow_self, order
from tests.node.small_chain import SmallChain


@pytest.fixture
def chain(tmp_path: Path) -> SmallChain:
    return SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000)


def test_runs_and_failures_are_counted_since_the_process_began(chain: SmallChain) -> None:
    chain.commit(allow_self(chain, "ada"))
    chain.commit(order(chain, "ada", "bo", 100, 2), order(chain, "ada", "cy", 1 << 50, 2))
    backlog = Backlog(chain.store, chain.executor)
    backlog.look()
    assert (backlog.runs, backlog.failed) == (0, 0)
    chain.commit()
    backlog.look()
    assert backlog.runs == 2 and backlog.failed == 1 and backlog.quarantined == 0
    backlog.look()
    assert backlog.runs == 2, "each run counts once"
    assert Backlog(chain.store, chain.executor).runs == 0


def test_a_job_in_quarantine_is_told_once(chain: SmallChain, logged: list[Any]) -> None:
    chain.commit(allow_self(chain, "ada"))
    chain.commit(order(chain, "ada", "cy", 1 << 50, 2))
    backlog = Backlog(chain.store, chain.executor)
    for seconds in (2, *JOB_RETRY_SECONDS):
        chain.commit_later(seconds)
        backlog.look()
    assert backlog.quarantined == 1 and backlog.failed == len(JOB_RETRY_SECONDS) + 1
    assert [one["event"] for one in logged] == ["job.quarantined"]


@pytest.mark.parametrize("seconds", [LATE_SECONDS - 1, LATE_SECONDS])
def test_what_is_late_is_warned_of_at_the_limit_and_not_below(
    chain: SmallChain, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.commit(allow_self(chain, "ada"))
    chain.commit(order(chain, "ada", "bo", 1, 2), order(chain, "ada", "cy", 1, 2))
    backlog, due = Backlog(chain.store, chain.executor), chain.executor.next_due_time()
    assert due is not None
    # A head of that time, in whose block there was no room for them.
    chain.executor.head = replace(chain.executor.head, time_ms=TimeMs((due + seconds) * 1_000))
    backlog.look()
    assert backlog.late == 2 and len(backlog.warnings) == (seconds == LATE_SECONDS)
    for warning in backlog.warnings:
        assert warning.startswith(f"2 jobs of the chain are late, the oldest by {seconds} s")
    monkeypatch.setattr("node.watch.backlog.JOBS_PER_BLOCK_MAX", 2)
    backlog.look()
    assert all("2 or more jobs" in warning for warning in backlog.warnings)


@pytest.mark.parametrize("limit", [1, 2])
def test_so_many_blocks_are_looked_at_and_no_older_one(
    chain: SmallChain, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog_module, "LOOK_BLOCKS_MAX", limit)
    chain.commit(allow_self(chain, "ada"))
    chain.commit(order(chain, "ada", "bo", 100, 2), order(chain, "ada", "cy", 1 << 50, 2))
    backlog = Backlog(chain.store, chain.executor)
    heights = [chain.commit().height, chain.commit().height]
    runs = [len(chain.store.run_receipts(height)) for height in heights]
    assert runs[0], "the older of the two blocks ran jobs"
    backlog.look()
    assert backlog.runs == sum(runs[-limit:])
