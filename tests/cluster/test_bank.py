"""Every command of docs/bank-walkthrough.md, run as it stands there on a village whose clocks move ahead by years.

To write the outputs anew, set WRITE_WALKTHROUGH=1; then read what differs.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cluster.local import LocalNet
from tests.cluster.real_cluster import assert_same_chain, assert_sound, coopd
from tests.cluster.walkthrough import ROOT, make_programs, normalise, read_steps, rewrite, run_step

pytestmark = pytest.mark.cluster

DOCUMENT = ROOT / "docs" / "bank-walkthrough.md"


@pytest.fixture
def village(tmp_path: Path) -> Iterator[LocalNet]:
    home = tmp_path / "ln"
    coopd("localnet", "up", "--detach", "--port", "26400", home=home)
    try:
        yield LocalNet.open(home)
    finally:
        LocalNet.open(home).stop()


def test_the_bank_does_what_its_page_shows(village: LocalNet, tmp_path: Path) -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    folder, programs = tmp_path / "here", make_programs(tmp_path / "bin")
    folder.mkdir()
    shown = {step.line: run_step(step, village.home, folder, programs) for step in read_steps(document)}
    if os.environ.get("WRITE_WALKTHROUGH"):
        DOCUMENT.write_text(rewrite(document, shown), encoding="utf-8")
    for step in read_steps(document):
        assert normalise(shown[step.line]) == normalise(step.shown), f"line {step.line}: {step.command}"
    assert_same_chain(village, {})
    village.stop()
    assert_sound(village)
