"""Network namespaces joined by the switch: for each node one, with a TAP device, an address, and static ARP.

Nothing leaves them: no route, no bridge, no other device. Needs root, /dev/net/tun, iproute2 and nsenter;
`missing()` says what is not there. Everything is gone when the context ends, and what a killed run left
behind is swept by the next one. It knows neither nodes nor tests.
"""

import fcntl
import itertools
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Final

from tests.netns.switch import Control, Wire

PREFIX: Final = "coopd-netns"
NODES_MAX: Final = 20
_TUNSETIFF: Final = 0x400454CA
_IFF_TAP_WITHOUT_INFO: Final = 0x1002
_STOP_SECONDS: Final = 5
_serial = itertools.count()


def missing() -> str | None:
    """Say what namespaces need and this machine does not give; None when all is there."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun is not there"
    for program in ("ip", "nsenter", "setpriv"):
        if shutil.which(program) is None:
            return f"the program {program} is not there (packages iproute2, util-linux)"
    probe = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return "this machine lets nobody make a network namespace" if probe.returncode else None


class Namespaces:
    """So many namespaces on one switch; node i is reached at `host(i)` from the others.

    Args:
        seed: of what the switch draws (loss, jitter, duplicates).
    """

    def __init__(self, count: int, seed: int = 0) -> None:
        assert 1 <= count <= NODES_MAX
        serial = next(_serial)
        self._names = [f"{PREFIX}-{os.getpid()}-{serial}-{at}" for at in range(count)]
        self._seed = seed
        self._stack = ExitStack()
        self._control: Control | None = None

    def __enter__(self) -> "Namespaces":
        sweep()
        with ExitStack() as stack:
            taps = [self._make(stack, at) for at in range(len(self._names))]
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.callback(ours.close)
            with theirs:
                ends = (theirs.fileno(), *(tap.fileno() for tap in taps))
                program = [sys.executable, "-I", str(Path(__file__).with_name("switch.py"))]
                process = subprocess.Popen([*program, *map(str, (self._seed, *ends))], pass_fds=ends)
            stack.callback(_stop, process)
            for tap in taps:  # the switch alone holds them now: when it ends, so do the devices
                tap.close()
            self._control = Control(ours)
            self._control.counts()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def host(self, node: int) -> str:
        """Return the address of a node."""
        return f"10.213.0.{node + 1}"

    def path(self, node: int) -> Path:
        """Return the file that is the namespace of a node, for `setns`."""
        return Path("/run/netns") / self._names[node]

    def inside(self, node: int, command: Sequence[str]) -> list[str]:
        """Return the command that runs another one in the namespace of a node, and dies with this process."""
        return [
            *("setpriv", "--pdeathsig", "KILL"),
            *("nsenter", f"--net={self.path(node)}", "--", *command),
        ]

    # --- faults

    def set(self, wire: Wire, lanes: Iterable[tuple[int, int]] | None = None) -> None:
        """Let frames fare so on these directed wires, or on all."""
        assert self._control is not None
        self._control.set(list(lanes) if lanes is not None else self.all_lanes(), wire)

    def cut(self, one: Iterable[int], other: Iterable[int], *, both_ways: bool = True) -> None:
        """Lose everything that goes from one side to the other, and back unless only one way is cut."""
        ways = [(a, b) for a, b in itertools.product(list(one), list(other)) if a != b]
        self.set(Wire(cut=True), [*ways, *((b, a) for a, b in ways if both_ways)])

    def heal(self) -> None:
        """Let everything pass at once."""
        self.set(Wire())

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many frames passed and were dropped, by `from>to`."""
        assert self._control is not None
        return self._control.counts()

    def all_lanes(self) -> list[tuple[int, int]]:
        """List all directed wires."""
        return list(itertools.permutations(range(len(self._names)), 2))

    # --- making

    def _make(self, stack: ExitStack, node: int) -> FileIO:
        """Make one namespace with its device; return the other end of the device."""
        name = self._names[node]
        _ip("netns", "add", name)
        stack.callback(_ip, "netns", "delete", name, check=False)
        tap = stack.enter_context(FileIO("/dev/net/tun", "r+"))
        asked = struct.pack("16sH22x", b"coopdtap%d", _IFF_TAP_WITHOUT_INFO)
        device = fcntl.ioctl(tap, _TUNSETIFF, asked)[:16].rstrip(b"\0").decode()
        _ip("link", "set", "dev", device, "netns", name)
        neighbours = (
            f"neigh replace {self.host(other)} lladdr {_mac(other)} dev {device} nud permanent"
            for other in range(len(self._names))
            if other != node
        )
        script = (
            f"link set dev {device} address {_mac(node)} addrgenmode none",
            f"addr add {self.host(node)}/24 dev {device}",
            f"link set dev {device} up",
            "link set dev lo up",
            *neighbours,
        )
        _ip("-n", name, "-batch", "-", text="\n".join(script))
        return tap


def sweep() -> None:
    """Remove the namespaces of runs that were killed."""
    for name in _ip("netns", "list").split():
        found = re.fullmatch(rf"{PREFIX}-([0-9]+)-[0-9]+-[0-9]+", name)
        if found and not Path(f"/proc/{found[1]}").exists():
            _ip("netns", "delete", name, check=False)


def _mac(node: int) -> str:
    return f"02:00:00:00:00:{node + 1:02x}"


def _ip(*arguments: str, text: str = "", check: bool = True) -> str:
    done = subprocess.run(["ip", *arguments], input=text, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
