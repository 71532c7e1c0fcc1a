"""Namespaces joined by the switch: what passes, what a cut stops, and that nothing is left afterwards."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.netns.namespaces import PREFIX, Namespaces, missing, sweep
from tests.netns.switch import Wire

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(missing() is not None, reason=missing() or "")]

SERVE = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 7000)); print("up", flush=True)
while True:
    data, who = s.recvfrom(2000); s.sendto(data, who)
"""
ASK = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(float(sys.argv[2]))
try:
    s.sendto(b"hello", (sys.argv[1], 7000)); print(s.recv(100).decode())
except OSError as failure: print(type(failure).__name__)
"""


@pytest.fixture
def net() -> Iterator[Namespaces]:
    with Namespaces(3) as net:
        yield net


@pytest.fixture
def server(net: Namespaces) -> Iterator["subprocess.Popen[str]"]:
    command = net.inside(1, [sys.executable, "-S", "-c", SERVE])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def ask(net: Namespaces, node: int, target: str, seconds: float) -> str:
    command = net.inside(node, [sys.executable, "-S", "-c", ASK, target, str(seconds)])
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def names() -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in listed.splitlines() if line.startswith(PREFIX)]


def test_nodes_reach_each_other_until_they_are_cut(net: Namespaces, server: object) -> None:
    assert ask(net, 0, net.host(1), 20) == "hello"
    net.cut([1], [0], both_ways=False)  # the question arrives, the answer does not
    assert ask(net, 0, net.host(1), 0.3) == "TimeoutError"
    assert ask(net, 2, net.host(1), 20) == "hello"
    counts = net.counts()
    assert counts["0>1"]["dropped"] == 0 and counts["1>0"]["dropped"] == 1
    net.cut([0, 2], [1])
    assert ask(net, 2, net.host(1), 0.3) == "TimeoutError"  # silence, no error: as a cut wire
    net.set(Wire(delay_ms=5))
    assert ask(net, 0, net.host(1), 20) == "hello"


def test_nothing_leads_out(net: Namespaces) -> None:
    assert ask(net, 0, "192.0.2.1", 1) == "OSError"
    routes = subprocess.run(net.inside(0, ["ip", "route"]), capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in routes.splitlines()] == ["10.213.0.0/24"]


def test_nothing_is_left_after_a_failure() -> None:
    before = names()
    with pytest.raises(ZeroDivisionError), Namespaces(2):
        assert len(names()) == len(before) + 2
        raise ZeroDivisionError
    assert names() == before
    devices = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert "coopdtap" not in devices


def test_what_a_killed_run_left_is_swept() -> None:
    before = names()
    code = "import os, tests.netns.namespaces as n; n.Namespaces(1).__enter__(); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    sweep()
    assert names() == before
