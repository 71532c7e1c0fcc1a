"""The switch on socket pairs: no root needed, and every fault it can make."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.netns.switch import QUEUE_SECONDS_MAX, Control, Switch, Wire

WAIT_SECONDS = 20.0


class Bench:
    """Three ports, of which this test holds the other ends."""

    def __init__(self) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(4)]
        self.ends = [ours for ours, _ in pairs]
        self._theirs = [theirs for _, theirs in pairs]
        for end in self.ends:
            end.settimeout(WAIT_SECONDS)
        self.control = Control(self.ends[3])
        switch = Switch(7, self._theirs[3], [end.fileno() for end in self._theirs[:3]])
        self._thread = threading.Thread(target=switch.run, daemon=True)
        self._thread.start()

    def send(self, source: int, target: int, text: str) -> None:
        self.ends[source].send(
            bytes([2, 0, 0, 0, 0, target + 1])
            + bytes([2, 0, 0, 0, 0, source + 1])
            + b"\x08\0"
            + text.encode()
        )

    def receive(self, port: int) -> str:
        return self.ends[port].recv(2_000)[14:].decode()

    def all_handled(self, way: str, count: int) -> dict[str, int]:
        """Wait until so many frames of a lane were passed or dropped."""
        while True:
            counts = self.control.counts()[way]
            if counts["passed"] + counts["dropped"] - counts["duplicated"] >= count:
                return counts

    def close(self) -> None:
        self.ends[3].close()
        self._thread.join(WAIT_SECONDS)
        for end in (*self.ends, *self._theirs):
            end.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    try:
        yield bench
    finally:
        bench.close()


def test_frames_go_to_their_port_alone_and_in_order(bench: Bench) -> None:
    for number in range(50):
        bench.send(0, 1, f"to one {number}")
    bench.send(0, 2, "to two")
    assert [bench.receive(1) for _ in range(50)] == [f"to one {number}" for number in range(50)]
    assert bench.receive(2) == "to two"
    counts = bench.control.counts()
    assert counts["0>1"]["passed"] == 50 and counts["2>1"]["passed"] == 0


def test_what_is_for_all_for_nobody_or_no_frame_is_not_passed_on(bench: Bench) -> None:
    bench.ends[0].send(b"\xff" * 6 + bytes(20))
    bench.ends[0].send(bytes([2, 0, 0, 0, 0, 9]) + bytes(20))
    bench.ends[0].send(bytes([2, 0, 0, 0, 0, 1]) + bytes(20))  # to itself
    bench.ends[0].send(b"short")
    bench.send(0, 1, "after")
    assert bench.receive(1) == "after"
    assert sum(counts["passed"] for counts in bench.control.counts().values()) == 1


def test_a_cut_is_one_way_and_holds_at_once_also_for_what_is_on_its_way(bench: Bench) -> None:
    bench.control.set([(0, 1)], Wire(delay_ms=200))
    bench.send(0, 1, "on its way")
    bench.send(2, 1, "as a mark")
    assert bench.receive(1) == "as a mark"
    bench.control.set([(0, 1)], Wire(cut=True))
    bench.send(0, 1, "lost")
    assert bench.all_handled("0>1", 2) == {"passed": 0, "dropped": 2, "duplicated": 0}
    bench.send(1, 0, "the other way")
    assert bench.receive(0) == "the other way"
    bench.control.set([(0, 1)], Wire())
    bench.send(0, 1, "healed")
    assert bench.receive(1) == "healed"


def test_a_delay_holds_back_and_keeps_the_order(bench: Bench) -> None:
    bench.control.set([(0, 1)], Wire(delay_ms=60, jitter_ms=50))
    for number in range(20):
        bench.send(0, 1, str(number))
    bench.send(2, 1, "quick")
    assert bench.receive(1) == "quick"
    assert [bench.receive(1) for _ in range(20)] == [str(number) for number in range(20)]


def test_loss_and_duplication_have_about_their_probability(bench: Bench) -> None:
    sent = 0
    bench.control.set([(0, 1)], Wire(loss=0.2))
    bench.control.set([(0, 2)], Wire(duplicate=0.2))
    for _ in range(20):
        for number in range(50):
            bench.send(0, 1, str(number))
            bench.send(0, 2, str(number))
        sent += 50
        lost = bench.all_handled("0>1", sent)["dropped"]
        twice = bench.all_handled("0>2", sent)["duplicated"]
        for port in (1, 2):
            bench.ends[port].setblocking(False)
            while True:
                try:
                    bench.receive(port)
                except BlockingIOError:
                    break
    assert 120 < lost < 280 and 120 < twice < 280


def test_a_rate_drops_what_its_queue_cannot_hold(bench: Bench) -> None:
    bench.control.set([(0, 1)], Wire(rate_kbit=800))  # 100 bytes a millisecond
    for _ in range(100):
        bench.send(0, 1, "x" * (1_000 - 14))
    counts = bench.all_handled("0>1", 100)
    assert counts["passed"] >= 1_000 * QUEUE_SECONDS_MAX / 10 and counts["dropped"] > 0


def test_the_switch_ends_with_its_control_socket() -> None:
    bench = Bench()
    bench.close()
    assert not bench._thread.is_alive()
