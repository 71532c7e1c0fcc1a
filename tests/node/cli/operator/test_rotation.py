"""A fresh consensus key: the other validators of this machine say again that they are ready."""

from types import SimpleNamespace
from typing import Any

import pytest

from node.cli.operator import rotation
from node.cli.operator.rotation import READY_LEFT_MIN


@pytest.mark.parametrize(("left", "said"), [(READY_LEFT_MIN, []), (READY_LEFT_MIN - 1, ["n2"])])
def test_whoever_is_ready_for_fewer_blocks_says_so_again(
    left: int, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "_node_key", lambda config: config)
    monkeypatch.setattr(rotation, "say_ready", lambda config: config)
    place: Any = SimpleNamespace(configs=("n1", "n2", "n4"))
    validators = [{"nodeKey": name, "consensusKey": f"key of {name}"} for name in ("n1", "n2", "n3")]
    ready = [{"consensusKey": "key of n2", "blocksLeft": left}]
    answer = {"epoch": {"validators": validators}, "ready": ready}
    rotating: Any = ["n1"]
    found = rotation._renew_others(place, answer, rotating)
    assert found == said, "n1 rotates, n3 and n4 are not ours to ask"
