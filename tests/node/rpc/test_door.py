"""How the gateway is opened: loopback without a token, elsewhere only with one that nobody else can read."""

from pathlib import Path

import pytest

from node.config import Config
from node.errors import OperationError
from node.rpc.gateway import open_door


def token(home: Path, mode: int = 0o600, text: str = "secret\n") -> None:
    (home / "gateway.token").write_text(text)
    (home / "gateway.token").chmod(mode)


def test_loopback_needs_no_token(tmp_path: Path) -> None:
    door = open_door(Config(tmp_path, gateway_names=("Coop.Example",)))
    assert door.token is None and not door.is_open and "coop.example" in door.names


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_elsewhere_needs_one(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        token(tmp_path, text=text)
    with pytest.raises(OperationError) as refused:
        open_door(Config(tmp_path, gateway_host="0.0.0.0"))
    assert refused.value.slug == "gateway.no_token" and "coopd keys token" in refused.value.do
    token(tmp_path)
    assert open_door(Config(tmp_path, gateway_host="0.0.0.0")).token == "secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_token_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    token(tmp_path, mode)
    with pytest.raises(OperationError) as refused:
        open_door(Config(tmp_path))
    assert refused.value.slug == "gateway.token_mode"
