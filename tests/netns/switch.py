"""An Ethernet switch in user space: copies frames between ports, and disturbs every directed wire on demand.

A port is a file descriptor that gives and takes one frame at a time: a TAP device, or a socket pair in tests.
Frames find their port by the last byte of the destination address; multicast and broadcast are dropped, so a
cut is silent. Commands come as one JSON object a packet; the answer means that the change holds, also for
frames that are already on their way. It knows nothing of namespaces (`namespaces.py`) or of what is carried.

Run as a process of its own, so that neither the load nor the tests take its time:

    python switch.py SEED CONTROL_FD PORT_FD...
"""

import heapq
import json
import os
import random
import select
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

FRAME_BYTES_MAX = 65_536
FRAMES_A_TURN = 64
COMMAND_BYTES_MAX = 65_536
QUEUE_SECONDS_MAX = 0.5
"""What a rate-limited wire holds back at most; more is dropped, as the queue of a router does."""


@dataclass(frozen=True, slots=True)
class Wire:
    """How frames fare from one port to another.

    Args:
        delay_ms: one way; jitter is added or taken away, and frames keep their order.
        loss, duplicate: probability for each frame.
        rate_kbit: bits a second in thousands; 0 is no limit.
    """

    cut: bool = False
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    rate_kbit: int = 0


@dataclass(slots=True)
class Lane:
    """A directed wire with what is on it."""

    wire: Wire = Wire()
    busy_until: float = 0.0
    last_due: float = 0.0
    counts: dict[str, int] = field(default_factory=lambda: {"passed": 0, "dropped": 0, "duplicated": 0})


class Switch:
    """Copy frames until the control socket closes."""

    def __init__(self, seed: int, control: socket.socket, ports: Sequence[int]) -> None:
        self._random = random.Random(seed)
        self._control = control
        self._ports = list(ports)
        self._lanes = {(a, b): Lane() for a in range(len(ports)) for b in range(len(ports)) if a != b}
        self._waiting: list[tuple[float, int, tuple[int, int], bytes]] = []
        self._number = 0

    def run(self) -> None:
        poll = select.epoll()
        poll.register(self._control.fileno(), select.EPOLLIN)
        port_of = {fd: port for port, fd in enumerate(self._ports)}
        for fd in self._ports:
            os.set_blocking(fd, False)
            poll.register(fd, select.EPOLLIN)
        while True:
            wait = max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else -1
            for fd, _ in poll.poll(wait):
                if fd != self._control.fileno():
                    self._receive(port_of[fd])
                elif not self._obey():
                    return
            self._deliver()

    def _obey(self) -> bool:
        data = self._control.recv(COMMAND_BYTES_MAX)
        if not data:
            return False
        command = json.loads(data)
        for a, b in command.get("lanes", ()):
            self._lanes[a, b].wire = Wire(**command["wire"])
        answer = {f"{a}>{b}": lane.counts for (a, b), lane in self._lanes.items()}
        self._control.send(json.dumps(answer).encode())
        return True

    def _receive(self, port: int) -> None:
        for _ in range(FRAMES_A_TURN):
            try:
                frame = os.read(self._ports[port], FRAME_BYTES_MAX)
            except BlockingIOError:
                return
            target = frame[5] - 1 if len(frame) >= 14 and not frame[0] & 1 else -1
            if (port, target) in self._lanes:
                self._carry((port, target), frame)

    def _carry(self, way: tuple[int, int], frame: bytes) -> None:
        lane = self._lanes[way]
        wire, now = lane.wire, time.monotonic()
        if wire.cut or self._random.random() < wire.loss:
            lane.counts["dropped"] += 1
            return
        due = now
        if wire.rate_kbit:
            if lane.busy_until - now > QUEUE_SECONDS_MAX:
                lane.counts["dropped"] += 1
                return
            due = lane.busy_until = max(lane.busy_until, now) + len(frame) * 8 / (wire.rate_kbit * 1_000)
        due += (wire.delay_ms + self._random.uniform(-wire.jitter_ms, wire.jitter_ms)) / 1_000
        lane.last_due = due = max(due, lane.last_due, now)
        copies = 1
        if self._random.random() < wire.duplicate:
            lane.counts["duplicated"] += 1
            copies = 2
        for _ in range(copies):
            if due <= now:
                self._hand_out(way, frame)
            else:
                self._number += 1
                heapq.heappush(self._waiting, (due, self._number, way, frame))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, way, frame = heapq.heappop(self._waiting)
            self._hand_out(way, frame)

    def _hand_out(self, way: tuple[int, int], frame: bytes) -> None:
        lane = self._lanes[way]
        try:
            if not lane.wire.cut:
                os.write(self._ports[way[1]], frame)
        except OSError:  # the queue of the port is full, or its device is down
            lane.counts["dropped"] += 1
        else:
            lane.counts["dropped" if lane.wire.cut else "passed"] += 1


class Control:
    """The other end of the control socket.

    A change holds when the call returns, which takes well under a millisecond.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def set(self, lanes: Sequence[tuple[int, int]], wire: Wire) -> None:
        """Let frames fare so on these directed wires, from now on."""
        self._ask({"lanes": list(lanes), "wire": asdict(wire)})

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many frames passed and were dropped, by `from>to`."""
        return self._ask({})

    def _ask(self, command: dict[str, object]) -> dict[str, dict[str, int]]:
        self._control.send(json.dumps(command).encode())
        answer: dict[str, dict[str, int]] = json.loads(self._control.recv(COMMAND_BYTES_MAX))
        return answer


if __name__ == "__main__":
    seed, control, *ports = map(int, sys.argv[1:])
    Switch(seed, socket.socket(fileno=control), ports).run()
