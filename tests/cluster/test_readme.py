"""Every command of the README, run as it stands there, on a cluster of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from node.cluster.local import LocalNet

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
DEFAULT_HOME = "~/.local/share/coopd/localnet"


def _blocks() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```console\n(.*?)```", text, re.DOTALL)


def test_the_commands_of_the_readme(net: LocalNet) -> None:
    """The doors are the first and last block; what stands between runs against a cluster that is up."""
    blocks = _blocks()
    assert blocks[0] == "./scripts/localnet\n" and blocks[-1] == "./scripts/test\n"
    script = "set -e\n" + "".join(blocks[1:-1]).replace(DEFAULT_HOME, str(net.home))
    assert str(net.member_home) in script
    script = script.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=ROOT,
        env={**os.environ, "COOPD_LOCALNET": str(net.home), "NO_COLOR": "1", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The receipt is valid. No node was trusted for this." in done.stdout
    assert done.stdout.count("committed tx1") == 2
    assert done.stdout.splitlines()[-3].startswith("n1")
