"""A year of votes on real processes, as docs/voting-walkthrough.md tells it; at its end consensus moves.

Every command is run as it stands there. From `LOAD_FROM` on others pay without pause while the running chain
goes from three Raft validators to four under BFT: nothing acknowledged is lost, no process starts anew.
To write the outputs anew, set WRITE_WALKTHROUGH=1; then read what differs.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.cluster.local import LocalNet
from tests.cluster.real_cluster import Payers, assert_same_chain, assert_sound, coopd, own_port
from tests.cluster.walkthrough import ROOT, check_page, make_programs, normalise, read_steps, run_step

pytestmark = pytest.mark.cluster

DOCUMENT = ROOT / "docs" / "voting-walkthrough.md"
LOAD_FROM = "for node in n1 n2 n3 n4; do coopd validator ready --node $node; done"


@pytest.fixture
def village(tmp_path: Path) -> Iterator[LocalNet]:
    home = tmp_path / "ln"
    options = ("--spare", "1", "--load-members", "50", "--port", str(own_port(14_000)))
    coopd("localnet", "up", "--detach", *options, home=home)
    try:
        yield LocalNet.open(home)
    finally:
        LocalNet.open(home).stop()


def bare(text: str) -> str:
    """Take out what the load of other members changes from run to run."""
    text = normalise(re.sub(r"0x[0-9a-f]{66}", "0x...", text))
    text = re.sub(r"[0-9] of [34] operators.*|signed by .*", "OPERATORS", text)
    return re.sub(r"\b(from|to|block) [0-9,]+(?= |$)", r"\1 N", text, flags=re.MULTILINE)


def test_members_decide_for_a_year_and_move_consensus(village: LocalNet, tmp_path: Path) -> None:
    processes = list(village.processes)
    folder, programs = tmp_path / "here", make_programs(tmp_path / "bin")
    folder.mkdir()
    shown: dict[int, str] = {}
    payers = Payers(village, threads=2, follows_chain=True)
    with ExitStack() as load:
        for step in read_steps(DOCUMENT.read_text(encoding="utf-8")):
            if step.command == LOAD_FROM:
                load.enter_context(payers)
                payers.wait_for_more()
            shown[step.line] = run_step(step, village.home, folder, programs)
        payers.wait_for_more(20)
    check_page(DOCUMENT, shown, bare)
    assert village.processes == processes, "a process was restarted"
    assert {status.epoch for node in village.state.nodes if (status := node.status())} == {1}
    assert_same_chain(village, payers.acknowledged)
    village.stop()
    assert_sound(village)
