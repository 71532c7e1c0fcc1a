"""`coopd snapshot` by its commands: made beside an open store, listed, checked, and a node founded on one."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.real_cluster import coopd
from tests.node.small_chain import SmallChain


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder whose store another process, this one, has open."""
    home = tmp_path / "node"
    chain = SmallChain(home / "store", int(time.time() * 1_000) - 60_000)
    for number in range(3):
        chain.commit(chain.pay("ada", "bo", 1, f"{number}"))
    (home / "genesis.bin").write_bytes(chain.genesis.encode())
    return home


def ask(home: Path, *arguments: str) -> Any:
    return json.loads(coopd("snapshot", *arguments, "--json", home=home, check=False).stdout)


def test_a_node_begins_with_the_snapshot_of_another_one(home: Path, tmp_path: Path) -> None:
    made = ask(home, "create")
    assert made["height"] == 3 and made["chunks"] >= 1 and made["rows"] > 0
    assert ask(home, "ls") == [made]
    assert ask(home, "verify") == made
    new = tmp_path / "new"
    new.mkdir()
    (new / "genesis.bin").write_bytes((home / "genesis.bin").read_bytes())
    wrong = ask(new, "restore", "--source", str(home / "snapshots"), "--block", "0x00")
    assert wrong["error"]["label"] == "E0193 snapshot.other" and not (new / "store").exists()
    restored = ask(new, "restore", "3", "--source", str(home / "snapshots"), "--block", made["block"])
    assert restored["stateRoot"] == made["stateRoot"]
    checked = json.loads(coopd("db", "check", "--json", home=new).stdout)
    assert checked["sound"] and checked["base"] == 3
    again = ask(new, "restore", "--source", str(home / "snapshots"))
    assert again["error"]["label"] == "E0121 store.exists"
    assert {path.name for path in new.iterdir()} == {"genesis.bin", "store", "store.lock"}


def test_what_is_not_there_or_damaged_is_said(home: Path) -> None:
    assert ask(home, "ls") == []
    assert ask(home, "verify")["error"]["label"] == "E0190 snapshot.missing"
    assert ask(home, "create", "--height", "9")["error"]["label"] == "E0192 snapshot.unavailable"
    place = Path(ask(home, "create")["place"])
    chunk = next(place.glob("*.chunk"))
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"\xff")
    refused = ask(home, "verify", "3")
    assert refused["error"]["label"] == "E0191 snapshot.damaged" and "chunk" in refused["error"]["why"]
