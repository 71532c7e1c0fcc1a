"""Processes we started: only they are ever signalled, paused ones are told from running ones."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from node.cluster.local import LocalNet, find_ports, is_free
from node.cluster.processes import (
    Started,
    cpu_seconds,
    is_alive,
    is_paused,
    resident_bytes,
    send_signal,
    spawn,
    stop_all,
    wait_gone,
)
from node.errors import OperationError


@pytest.fixture
def sleeper(tmp_path: Path) -> Started:
    return spawn(["gateway", "--home", str(tmp_path / "nothing")], tmp_path / "log")  # waits for a store


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_is_paused_resumed_and_ended(sleeper: Started) -> None:
    assert is_alive(sleeper) and not is_paused(sleeper)
    assert send_signal(sleeper, signal.SIGSTOP)
    wait_for(lambda: is_paused(sleeper))
    assert send_signal(sleeper, signal.SIGCONT)
    wait_for(lambda: not is_paused(sleeper))
    assert cpu_seconds(sleeper) >= 0 and resident_bytes(sleeper) > 0
    stop_all([sleeper])
    assert not is_alive(sleeper) and not send_signal(sleeper, signal.SIGTERM)
    assert wait_gone([sleeper], 0)


def test_a_recycled_id_is_never_signalled() -> None:
    me = Started(os.getpid(), 1)
    assert not is_alive(me) and not send_signal(me, signal.SIGKILL)
    assert not is_alive(None) and not send_signal(None, signal.SIGKILL)


def test_a_paused_process_can_be_ended(sleeper: Started) -> None:
    send_signal(sleeper, signal.SIGSTOP)
    stop_all([sleeper], seconds=0.2)
    assert not is_alive(sleeper)


def test_a_busy_port_moves_the_whole_block() -> None:
    base = find_ports(23_000, 3)
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", base + 53))
        busy.listen()
        assert not is_free(base + 53)
        moved = find_ports(base, 3)
    assert moved > base and (moved - base) % 100 == 0


def test_no_ports_at_all_is_said() -> None:
    with pytest.raises(OperationError) as refused:
        find_ports(65_500, 3)
    assert refused.value.slug == "localnet.ports"


def test_a_cluster_is_made_once_and_found_again(tmp_path: Path) -> None:
    made = LocalNet.create(tmp_path / "ln", 2, 23_000, load_members=3)
    found = LocalNet.open(tmp_path / "ln")
    assert found.state == made.state and found.processes == []
    assert found.genesis.epoch.quorum == 2 and (found.member_home / "contacts.json").exists()
    for bad, slug in (
        (lambda: LocalNet.create(tmp_path / "ln"), "localnet.exists"),
        (lambda: LocalNet.create(tmp_path / "x", 21), "localnet.nodes"),
        (lambda: LocalNet.create(tmp_path / "x", 0), "localnet.nodes"),
        (lambda: LocalNet.open(tmp_path / "y"), "localnet.missing"),
        (lambda: found.node("n9"), "localnet.no_node"),
    ):
        with pytest.raises(OperationError) as refused:
            bad()
        assert refused.value.slug == slug
    found.clean()
    assert not (tmp_path / "ln").exists()
