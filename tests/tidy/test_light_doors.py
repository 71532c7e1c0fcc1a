"""Holds that the commands start light: import-linter's finding, seen in a running process."""

import subprocess
import sys
from pathlib import Path

import pytest

# Module that a command loads first, and what it must not have loaded by then (law 5; interfaces of `coop`).
DOORS = [
    ("node.cli.coop", ("libp2p", "lmdb")),
    ("node.__main__", ("libp2p",)),
    ("node.wallet", ("libp2p", "lmdb")),
    ("node.rpc", ("libp2p",)),
]


@pytest.mark.parametrize(("door", "heavy"), DOORS)
def test_door_loads_nothing_heavy(door: str, heavy: tuple[str, ...], root: Path) -> None:
    place = root.joinpath(*door.split("."))
    if not place.with_suffix(".py").exists() and not (place / "__init__.py").exists():
        pytest.skip(f"{door} is not built yet")
    program = f"import sys, {door}; print(*[name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not found.stdout.strip(), f"{door} loads {found.stdout.strip()}; import it inside the function"
