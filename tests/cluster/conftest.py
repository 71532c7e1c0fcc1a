"""A cluster of three real nodes for a test, always taken down afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cluster.local import LocalNet
from tests.cluster.real_cluster import coopd, own_port


@pytest.fixture
def net(tmp_path: Path) -> Iterator[LocalNet]:
    home = tmp_path / "ln"
    coopd("localnet", "up", "--detach", "--port", str(own_port(21_000)), "--load-members", "200", home=home)
    try:
        yield LocalNet.open(home)
    finally:
        LocalNet.open(home).stop()


@pytest.fixture
def spare_net(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalNet]:
    """Three validators on Raft and a spare node, all of which have said that they are ready.

    Args:
        request: its parameter is the scenario; without one, the village.
    """
    home = tmp_path / "ln"
    scenario = getattr(request, "param", "village")
    ports = ("--port", str(own_port(25_000)), "--load-members", "200", "--scenario", scenario)
    coopd("localnet", "up", "--detach", "--nodes", "3", "--spare", "1", *ports, home=home)
    try:
        coopd("validator", "ready", home=home)
        yield LocalNet.open(home)
    finally:
        LocalNet.open(home).stop()
