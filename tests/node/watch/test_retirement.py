"""Old consensus keys are kept for a week of chain time after the seal of their last epoch, then destroyed."""

import time
from pathlib import Path
from typing import Any

import pytest

from node.config import CONSENSUS_KEY, Config
from node.keychain import OwnKeys
from node.signer import Signer
from node.wallet.keyring import Keyring
from node.watch.retirement import Retirement
from protocol.chain.validators import EngineKind
from protocol.crypto import public_key_of
from protocol.params import KEY_GRACE_SECONDS
from protocol.types import PublicKey, TimeMs
from tests.node.small_chain import SmallChain

GRACE_MS = KEY_GRACE_SECONDS * 1_000


class Town:
    """A chain whose fourth operator leaves, and the keys of one node on it."""

    def __init__(self, folder: Path, operator: int) -> None:
        self.chain = SmallChain(folder / "store", int(time.time() * 1_000) - 60_000, 4)
        self.config = Config(folder / "node")
        secret = self.chain.operators[operator].consensus_key
        self.first = public_key_of(secret)
        Keyring(self.config.keys_path).save(CONSENSUS_KEY, secret, None)
        Signer.create(self.config.guard_path, self.first)
        self.keys = OwnKeys(self.config, lambda: None)
        self.retirement = Retirement(self.keys, self.chain.store, self.chain.executor)

    @property
    def held(self) -> list[PublicKey]:
        return [key.public_key for key in self.keys.list()]

    def pass_until(self, time_ms: int) -> None:
        """Commit a block of a time, and look."""
        block = self.chain.build(time_ms=time_ms)
        self.commit(block)
        self.retirement.look()

    def commit(self, block) -> None:  # type: ignore[no-untyped-def]
        prepared = self.chain.executor.prepared(block.id)
        assert prepared is not None
        self.chain.executor.write([(prepared, self.chain.certify(block))])
        self.chain.executor.advance(prepared)

    def leave(self) -> int:
        """Let the first three go on alone; returns the time of the seal, ms."""
        self.chain.cross(EngineKind.RAFT, 0, 1, 2)
        return self.chain.executor.head.time_ms


@pytest.fixture
def leaver(tmp_path: Path) -> Town:
    return Town(tmp_path, 3)


def test_who_stays_keeps_its_key(tmp_path: Path) -> None:
    town = Town(tmp_path, 0)
    seal_ms = town.leave()
    town.pass_until(seal_ms + 2 * GRACE_MS)
    assert town.held == [town.first]


def test_a_key_goes_when_the_grace_is_over_and_not_before(leaver: Town) -> None:
    fresh = leaver.keys.create().public_key
    seal_ms = leaver.leave()
    leaver.retirement.look()
    leaver.pass_until(seal_ms + GRACE_MS - 1)
    assert leaver.held == [leaver.first, fresh]
    leaver.pass_until(seal_ms + GRACE_MS)
    assert leaver.held == [fresh], "which waits for an epoch and is kept"
    assert not leaver.config.guard_path.exists()


def test_who_left_for_good_can_be_ready_again(leaver: Town) -> None:
    seal_ms = leaver.leave()
    leaver.pass_until(seal_ms + GRACE_MS)
    [fresh] = leaver.keys.list()
    assert fresh.public_key != leaver.first and fresh.is_fresh


def test_a_key_that_is_wanted_again_is_kept(leaver: Town) -> None:
    seal_ms = leaver.leave()
    leaver.chain.commit(leaver.chain.say_ready(3))
    leaver.pass_until(seal_ms + GRACE_MS)
    assert leaver.held == [leaver.first], "its word counts"


def test_a_restart_counts_from_the_same_seal(leaver: Town) -> None:
    seal_ms = leaver.leave()
    leaver.pass_until(seal_ms + GRACE_MS // 2)
    leaver.retirement = Retirement(leaver.keys, leaver.chain.store, leaver.chain.executor)
    key = leaver.keys.list()[0]
    found = leaver.retirement.find_seal(key)
    assert found is not None and found[1] == TimeMs(seal_ms)
    leaver.pass_until(seal_ms + GRACE_MS)
    assert leaver.first not in leaver.held


def test_a_key_that_does_not_go_is_told_and_tried_again(leaver: Town, logged: list[Any]) -> None:
    leaver.keys.create()
    seal_ms = leaver.leave()
    strange = leaver.config.consensus_path / "strange.json"
    strange.write_text("no key")
    leaver.pass_until(seal_ms + GRACE_MS)
    assert [one["event"] for one in logged] == ["key.not_destroyed"]
    strange.unlink()
    assert leaver.first in leaver.held
    leaver.retirement.look()
    assert leaver.first not in leaver.held and logged[-1]["event"] == "key.destroyed"
