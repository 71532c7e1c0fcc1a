"""What each program loads: the member's neither database nor network, the operator's only when it must."""

import subprocess
import sys

import pytest

MODULES = {
    "node.cli.coop": ("libp2p", "lmdb", "trio", "starlette", "uvicorn", "prometheus_client"),
    "node.__main__": ("libp2p", "lmdb", "trio", "starlette", "uvicorn"),
    "node.rpc.gateway": ("libp2p", "trio"),
}


@pytest.mark.parametrize("module", MODULES)
def test_a_door_does_not_load_what_it_must_not(module: str) -> None:
    code = f"import sys, {module}; print(*{{m.partition('.')[0] for m in sys.modules}})"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert "node" in loaded and not loaded & set(MODULES[module])
