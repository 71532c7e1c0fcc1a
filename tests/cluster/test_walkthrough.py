"""Every command of the walk through the village, run as it stands there; what it shows is what the pages say.

To write the outputs anew, set WRITE_WALKTHROUGH=1; then read what differs.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cluster.local import LocalNet
from tests.cluster.real_cluster import assert_same_chain, assert_sound, coopd, own_port
from tests.cluster.walkthrough import HOME, ROOT, make_programs, walk

pytestmark = pytest.mark.cluster

PAGES: tuple[tuple[Path, dict[str, str]], ...] = (
    (ROOT / "docs" / "walkthrough.md", {}),
    (
        ROOT / "docs" / "walkthrough-2.md",
        {"COOP_PLUGINS": "coop-rosca==2.0.0", "PYTHONPATH": f"{HOME}/plugins"},
    ),
)
"""In this order, on one cluster; each with what it puts into the environment."""


@pytest.fixture
def village(tmp_path: Path) -> Iterator[LocalNet]:
    home = tmp_path / "ln"
    coopd("localnet", "up", "--detach", "--port", str(own_port(16_000)), home=home)
    try:
        yield LocalNet.open(home)
    finally:
        LocalNet.open(home).stop()


def test_the_walkthrough_shows_what_happens(village: LocalNet, tmp_path: Path) -> None:
    folder, programs = tmp_path / "here", make_programs(tmp_path / "bin")
    folder.mkdir()
    (folder / "tests").symlink_to(ROOT / "tests")
    for page, settings in PAGES:
        settings = {name: value.replace(HOME, str(village.home)) for name, value in settings.items()}
        walk(page, village.home, folder, programs, settings)
    assert_same_chain(village, {})
    village.stop()
    assert_sound(village)
