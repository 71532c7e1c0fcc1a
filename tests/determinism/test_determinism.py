"""One history, the same roots: whatever the hash seed, with and without `-O`, on every supported Python.

`roots.txt` holds what this version of the protocol computes. It changes only together with the protocol:
`.venv/bin/python -m tests.determinism.replay > tests/determinism/roots.txt`, and the change says why.
`scripts/determinism` runs the same on every Python of this machine.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FROZEN = Path(__file__).with_name("roots.txt").read_text()


def _replay(hash_seed: str, *flags: str) -> str:
    done = subprocess.run(
        [sys.executable, *flags, "-m", "tests.determinism.replay"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("flags", [(), ("-O",)], ids=["plain", "optimised"])
@pytest.mark.parametrize("hash_seed", ["0", "1", "4294967295"])
def test_the_history_has_the_frozen_roots(hash_seed: str, flags: tuple[str, ...]) -> None:
    assert _replay(hash_seed, *flags) == FROZEN


def test_the_history_is_worth_replaying() -> None:
    """Guard of the test above: blocks hold transactions, and states differ from block to block."""
    lines = [line.split() for line in FROZEN.splitlines()]
    assert len(lines) == 41
    assert sum(int(line[4]) for line in lines) > 400
    assert len({line[1] for line in lines}) == len(lines)
