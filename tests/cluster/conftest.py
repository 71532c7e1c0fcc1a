"""A cluster of three real nodes for a test, always taken down afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cluster.local import LocalNet
from tests.cluster.real_cluster import coopd


@pytest.fixture
def net(tmp_path: Path) -> Iterator[LocalNet]:
    home = tmp_path / "ln"
    coopd("localnet", "up", "--detach", "--port", "21000", "--load-members", "200", home=home)
    try:
        yield LocalNet.open(home)
    finally:
        LocalNet.open(home).stop()
