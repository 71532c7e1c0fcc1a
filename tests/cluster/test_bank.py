"""Every command of the pages on the bank, run as it stands there on a village whose clocks move by years.

At the end a real reader finds the books in balance.

To write the outputs anew, set WRITE_WALKTHROUGH=1; then read what differs.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cluster.local import LocalNet
from tests.cluster.real_cluster import assert_same_chain, assert_sound, coopd, own_port
from tests.cluster.walkthrough import ROOT, make_programs, walk

pytestmark = pytest.mark.cluster

PAGES = (ROOT / "docs" / "bank-walkthrough.md", ROOT / "docs" / "bank-walkthrough-2.md")
"""In this order, on one cluster."""


@pytest.fixture
def village(tmp_path: Path) -> Iterator[LocalNet]:
    home = tmp_path / "ln"
    coopd("localnet", "up", "--detach", "--port", str(own_port(17_000)), home=home)
    try:
        yield LocalNet.open(home)
    finally:
        LocalNet.open(home).stop()


def test_the_bank_does_what_its_pages_show(village: LocalNet, tmp_path: Path) -> None:
    folder, programs = tmp_path / "here", make_programs(tmp_path / "bin")
    folder.mkdir()
    for page in PAGES:
        walk(page, village.home, folder, programs)
    assert_same_chain(village, {})
    village.stop()
    assert_sound(village)
    loader = pytest.importorskip("beancount.loader")
    entries, errors, _ = loader.load_file(str(folder / "books.beancount"))
    assert [error.message for error in errors] == []
    assert sum(type(entry).__name__ == "Transaction" for entry in entries) > 500
