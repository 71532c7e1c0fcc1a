"""A validator says that it is ready only when it has caught up."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from node.cli.operator import place
from node.cli.operator.validator import LAG_BLOCKS_MAX, say_ready
from node.cli.terminal import Failure
from node.config import Config
from node.errors import OperationError


@pytest.mark.parametrize("behind", [LAG_BLOCKS_MAX, LAG_BLOCKS_MAX + 1])
def test_who_lags_by_more_blocks_is_not_ready(
    behind: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: Any = SimpleNamespace(call=lambda _: {"height": 100, "targetHeight": 100 + behind})
    monkeypatch.setattr(place, "client_of", lambda _: client)
    monkeypatch.setattr(place, "read_passphrase", lambda _: None)
    with pytest.raises((Failure, OperationError)) as refused:
        say_ready(Config(tmp_path))
    lags = isinstance(refused.value, Failure) and refused.value.label == "registry.not_synced"
    assert lags is (behind > LAG_BLOCKS_MAX), "else it goes on, and has no key here"
