"""Standing orders: one that always fails waits in quarantine, is shown so, and is sent on by its owner."""

import time
from pathlib import Path

import pytest

from node.cli.member.cash import list_orders, retry_order
from node.cli.terminal import Failure
from protocol.params import JOB_RETRY_SECONDS
from tests.node.cli.member.in_process import open_session
from tests.node.job_chain import allow_self, order
from tests.node.small_chain import SmallChain


def test_an_order_in_quarantine_is_shown_and_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    began = int(time.time()) - 60 - sum(JOB_RETRY_SECONDS)
    chain = SmallChain(tmp_path / "store", began * 1_000)
    monkeypatch.setattr("time.time", lambda: float(chain.executor.head.time_ms // 1_000))
    chain.commit(allow_self(chain, "ada"))
    chain.commit(order(chain, "ada", "cy", 1 << 50, 2))
    for _ in open_session(chain, tmp_path / "home", monkeypatch):
        list_orders()
        assert "order 1" in capsys.readouterr().out
        with pytest.raises(Failure) as refused:
            retry_order(1)
        assert "not in quarantine" in refused.value.what, refused.value
        for seconds in (2, *JOB_RETRY_SECONDS):
            chain.commit_later(seconds)
        list_orders()
        assert "in quarantine   8 runs" in capsys.readouterr().out
        retry_order(1)
        list_orders()
        assert "waits   8 runs" in capsys.readouterr().out
