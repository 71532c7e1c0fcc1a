"""What a node will lack is said while there is time: a version that is decided, a key that an epoch names."""

import time
from pathlib import Path
from typing import Any

import pytest

from node.config import CONSENSUS_KEY, Config
from node.keychain import OwnKeys
from node.wallet.keyring import Keyring
from node.watch.foresight import Foresight
from protocol.chain.validators import EngineKind
from protocol.contracts.registry import contract as registry
from protocol.params import UPGRADE_DELAY_BLOCKS, UPGRADE_RETRIES_MAX, UPGRADE_RETRY_SECONDS
from tests.node.small_chain import SmallChain

ASSETS = 16
METHODS = {method.name: method.id for method in registry.CONTRACT.methods}


@pytest.fixture
def chain(tmp_path: Path) -> SmallChain:
    return SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000, spare=1)


def foresight_of(chain: SmallChain, folder: Path, index: int = 0, *, with_key: bool = True) -> Foresight:
    config, operator = Config(folder), chain.operators[index]
    if with_key:
        Keyring(config.keys_path).save(CONSENSUS_KEY, operator.consensus_key, None)
    keys = OwnKeys(config, lambda: None)
    return Foresight(chain.executor, keys, lambda: operator.node_key.public_key)


def upgrade(chain: SmallChain, version: int) -> None:
    arguments = (ASSETS, version, b"\1" * 32, "coop-assets==9", 0)
    chain.commit(chain.sign_as_board((registry.CONTRACT.id, METHODS["upgrade"], 0, arguments)))


def test_a_version_that_is_missing_is_named_before_it_begins(
    chain: SmallChain, tmp_path: Path, logged: list[Any]
) -> None:
    foresight = foresight_of(chain, tmp_path / "home")
    foresight.look()
    assert not foresight.warnings
    upgrade(chain, 9)
    foresight.look()
    foresight.look()
    [warning] = foresight.warnings
    first = chain.executor.head.height + UPGRADE_DELAY_BLOCKS
    assert f"contract {ASSETS} runs in version 9 (package coop-assets==9) from block {first:,}" in warning
    assert [one["event"] for one in logged] == ["not_ready"]
    chain.commit(chain.sign_as_board((registry.CONTRACT.id, METHODS["cancel_upgrade"], 0, (ASSETS,))))
    foresight.look()
    assert foresight.warnings == () and logged[-1]["event"] == "upgrade.cancelled"


def test_an_upgrade_that_lapses_and_one_that_begins_are_logged(
    chain: SmallChain, tmp_path: Path, logged: list[Any]
) -> None:
    foresight = foresight_of(chain, tmp_path / "home")
    upgrade(chain, 9)
    foresight.look()
    foresight._note_ended((), ((ASSETS, 9),))
    assert logged[-1]["event"] == "upgrade.activated"
    for _ in range(UPGRADE_DELAY_BLOCKS + UPGRADE_RETRIES_MAX + 1):
        later = chain.executor.head.time_ms + UPGRADE_RETRY_SECONDS * 1_000
        block = chain.build(time_ms=later)
        prepared = chain.executor.prepared(block.id)
        assert prepared is not None
        chain.executor.write([(prepared, chain.certify(block))])
        chain.executor.advance(prepared)
        foresight.look()
    assert foresight.warnings == () and logged[-1]["event"] == "upgrade.lapsed"


def test_a_key_that_is_not_here_is_missed_in_this_epoch_and_in_the_next(
    chain: SmallChain, tmp_path: Path
) -> None:
    here, away = foresight_of(chain, tmp_path / "a"), foresight_of(chain, tmp_path / "b", with_key=False)
    spare = foresight_of(chain, tmp_path / "c", 3, with_key=False)
    for one in (here, away, spare):
        one.look()
    assert not here.warnings and not spare.warnings
    key = chain.operators[0].consensus_key.public_key.hex()[:16]
    assert f"epoch 0 names consensus key {key}" in away.warnings[0]
    chain.commit(*[chain.say_ready(index) for index in range(4)])
    chain.commit(chain.decide(EngineKind.BFT, 0, 1, 2, 3))
    spare.look()
    assert "epoch 1 names consensus key" in spare.warnings[0]
