"""Settings: order of origins, every key explained, nothing unknown or out of bounds accepted."""

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from node.config import CONFIG_BYTES_MAX, PEERS_MAX, VERSION, Config, Peer, is_loopback, load, render
from node.errors import OperationError
from protocol.crypto import SecretKey

KEY = SecretKey(bytes([7]) * 32).public_key


def test_flag_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    assert load(tmp_path, environ={}).listen_port == 9400
    (tmp_path / "coopd.toml").write_text("listen_port = 1\n")
    assert load(tmp_path, environ={}).listen_port == 1
    environ = {"COOPD_LISTEN_PORT": "2", "COOPD_SOMETHING_ELSE": "x"}
    assert load(tmp_path, environ=environ).listen_port == 2
    assert load(tmp_path, {"listen_port": 3, "timers": None}, environ).listen_port == 3


def test_home_comes_from_the_environment_when_not_named(tmp_path: Path) -> None:
    assert load(environ={"COOPD_HOME": str(tmp_path)}).home == tmp_path


def test_the_default_file_explains_every_key_and_changes_nothing(tmp_path: Path) -> None:
    text = render(Config(tmp_path))
    for entry in fields(Config):
        if entry.name not in ("home", "peers"):
            assert f"# {entry.metadata['doc']}\n# {entry.name} = " in text
    (tmp_path / "coopd.toml").write_text(text)
    assert load(tmp_path, environ={}) == Config(tmp_path)


def test_a_rendered_file_says_the_same(tmp_path: Path) -> None:
    config = Config(
        tmp_path,
        operator='the "mill"\\',
        listen_port=65_535,
        gateway_with_node=False,
        gateway_names=("a", "b"),
        peers=(Peer("n1", KEY, "10.0.0.1", 1),),
    )
    (tmp_path / "coopd.toml").write_text(render(config))
    assert load(tmp_path, environ={}) == config


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("listen_prot = 1", "config.unknown_key"),
        ("home = '/'", "config.unknown_key"),
        ("listen_port = 65536", "config.bad_value"),
        ("listen_port = 0", "config.bad_value"),
        ("listen_port = '1'", "config.bad_value"),
        ("listen_port = true", "config.bad_value"),
        ("timers = 'fast'", "config.bad_value"),
        ("block_txs_max = 5001", "config.bad_value"),
        ("gateway_names = [1]", "config.bad_value"),
        ("peers = 1", "config.bad_value"),
        ("[[peers]]\noperator = 'a'", "config.bad_value"),
        (f"[[peers]]\noperator='a'\nhost='b'\nport=1\nnode_key='{'0' * 66}'", "config.bad_value"),
        (f"[[peers]]\noperator='a'\nhost='b'\nport=70000\nnode_key='{KEY.hex()}'", "config.bad_value"),
        (f"[[peers]]\noperator='a'\nhost=1\nport=1\nnode_key='{KEY.hex()}'", "config.bad_value"),
        ("[", "config.unreadable"),
        ("a = " + "[" * 5_000, "config.unreadable"),
        ("# " + "x" * (1024 * 1024), "config.unreadable"),
    ],
)
def test_a_bad_file_is_refused_with_a_cure(tmp_path: Path, text: str, slug: str) -> None:
    (tmp_path / "coopd.toml").write_text(text)
    with pytest.raises(OperationError) as caught:
        load(tmp_path, environ={})
    assert caught.value.slug == slug and caught.value.do


def test_the_version_is_the_one_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


def test_loopback_is_known_by_its_addresses() -> None:
    assert [is_loopback(h) for h in ("127.0.0.1", "127.8.8.8", "::1", "localhost")] == [True] * 4
    assert [is_loopback(h) for h in ("0.0.0.0", "10.0.0.1", "::", "example.org", "")] == [False] * 5


def test_a_file_and_its_peers_at_their_limits_and_one_above(tmp_path: Path) -> None:
    file = tmp_path / "coopd.toml"
    for beyond in (0, 1):
        file.write_text("#".ljust(CONFIG_BYTES_MAX + beyond))
        if beyond:
            with pytest.raises(OperationError, match="cannot be read"):
                load(tmp_path, environ={})
        else:
            assert load(tmp_path, environ={}) == Config(tmp_path)
        peers = tuple(Peer(f"n{n}", KEY, "10.0.0.1", 1) for n in range(PEERS_MAX + beyond))
        file.write_text(render(Config(tmp_path, peers=peers)))
        if beyond:
            with pytest.raises(OperationError, match="peers"):
                load(tmp_path, environ={})
        else:
            assert load(tmp_path, environ={}).peers == peers
