"""Holds that the commands start light: import-linter's finding, seen in a running process."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

# Module that a command loads first, and what it must not have loaded by then (law 5; interfaces of `coop`).
DOORS = [
    ("node.cli.coop", ("libp2p", "lmdb")),
    ("node.__main__", ("libp2p",)),
    ("node.wallet", ("libp2p", "lmdb")),
    ("node.rpc", ("libp2p",)),
]


@pytest.mark.parametrize(("door", "heavy"), DOORS)
def test_door_loads_nothing_heavy(door: str, heavy: tuple[str, ...]) -> None:
    if find_spec(door) is None:
        pytest.skip(f"{door} is not built yet")
    program = f"import sys, {door}; print(*[name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not found.stdout.strip(), f"{door} loads {found.stdout.strip()}; import it inside the function"
