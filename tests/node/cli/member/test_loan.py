"""`coop loan` in the village: a quote, an application, what an officer does, and an approval that lapses."""

import time
from pathlib import Path

import pytest

from node.cli.member.loan import apply_for, quote, show, waive
from node.cli.terminal import Failure
from node.cluster.founding import demo_address
from protocol.contracts.lending.records import OFFER_DAYS
from protocol.contracts.savings import records as savings
from tests.node.cli.member.in_process import open_session
from tests.node.small_chain import SmallChain

DAY = 86_400
MONTHS = 200 * DAY
"""After which a member of the village can borrow."""


def test_a_member_sees_what_becomes_of_an_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    began = int(time.time()) - MONTHS - 60 * DAY
    chain = SmallChain(tmp_path / "store", began * 1_000, is_village=True)
    monkeypatch.setattr("time.time", lambda: float(chain.executor.head.time_ms // 1_000))
    chain.commit_later(MONTHS)
    chain.commit(chain.act("ada", (savings.ID, 3, 0, (demo_address("ada"), 1, 30_000))))

    def told() -> str:
        return capsys.readouterr().out

    for _ in open_session(chain, tmp_path / "home", monkeypatch):
        quote(1, "600", 12)
        assert "small loan   600.00 CNY in 12 rows at" in told()
        apply_for(1, "600", 12, "480000", "a shed")
        told()
        show()
        assert "loan 1   600.00 CNY in 12 rows   approved" in told()
        with pytest.raises(Failure) as refused:
            waive(1, "1", interest=True)
        assert refused.value.label.endswith("auth.role"), refused.value
        chain.commit_later((OFFER_DAYS + 2) * DAY)
        show(loan=1)
        assert told() == "loan 1   600.00 CNY in 12 rows   lapsed\n"
        show()
        assert told() == "nothing is borrowed\n"
