"""The consensus keys of a node: found by the epoch alone, never two for one epoch, whole or not there."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.config import CONSENSUS_KEY, Config
from node.errors import OperationError
from node.keychain import Keychain, OwnKey, OwnKeys, read_kept_passphrase
from node.signer import Place, Signer, SignKind, has_signed
from node.wallet.keyring import Keyring
from protocol.chain.validators import EngineKind, EpochRecord, Validator, order_validators
from protocol.crypto import SecretKey, sha256
from protocol.types import EpochNumber, Hash32, Height, PublicKey, View

OTHERS = tuple(SecretKey(sha256(b"other %d" % i)).public_key for i in range(2))
DIGEST = Hash32(sha256(b"digest"))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return set_up(tmp_path)


def set_up(folder: Path) -> Config:
    config = Config(folder / "node")
    entry = Keyring(config.keys_path).create(CONSENSUS_KEY, None)
    Signer.create(config.guard_path, entry.public_key)
    return config


def keys_of(config: Config) -> OwnKeys:
    return OwnKeys(config, lambda: None)


def epoch(number: int, *keys: PublicKey) -> EpochRecord:
    validators = tuple(Validator(f"n{i}", key, key) for i, key in enumerate((*keys, *OTHERS)))
    return EpochRecord(
        EpochNumber(number), EngineKind.RAFT, Height(10 * number + 1), order_validators(validators)
    )


def sign(signer: Signer, number: int) -> bytes:
    place = Place(SignKind.ACK, EpochNumber(number), Height(10 * number + 1), View(1))
    return signer.sign_at(place, DIGEST)


@pytest.fixture
def chain(config: Config) -> Iterator[Keychain]:
    found = Keychain.open(keys_of(config), epoch(0, keys_of(config).list()[0].public_key))
    yield found
    found.close()


def test_a_fresh_key_is_private_and_has_a_guard_of_its_own(config: Config) -> None:
    keys = keys_of(config)
    fresh = keys.create()
    assert [key.public_key for key in keys.list()][1:] == [fresh.public_key]
    assert fresh.is_fresh and fresh.may_sign
    path = config.consensus_path / f"{fresh.name}.json"
    assert path.stat().st_mode & 0o777 == 0o600 == fresh.guard.stat().st_mode & 0o777
    assert config.consensus_path.stat().st_mode & 0o777 == 0o700


def test_a_sealed_node_seals_its_fresh_keys(config: Config) -> None:
    asked: list[None] = []
    keys = OwnKeys(config, lambda: asked.append(None) or "open sesame")  # type: ignore[func-returns-value]
    keys.load(keys.list()[0])
    assert not asked, "what lies open needs no passphrase"
    fresh = keys.create()
    assert fresh.ring.entry(fresh.name).encrypted
    assert keys.load(fresh).public_key == fresh.public_key


def test_another_key_signs_from_its_epoch_on_and_the_old_one_until_then(
    config: Config, chain: Keychain
) -> None:
    keys = keys_of(config)
    old, fresh = keys.list()[0].public_key, keys.create().public_key
    following = epoch(1, fresh)
    chain.prepare(following)
    assert chain.signer(EpochNumber(0)).public_key == old
    assert chain.signer(EpochNumber(1)).public_key == fresh
    assert sign(chain.signer(EpochNumber(0)), 0) and sign(chain.signer(EpochNumber(1)), 1)
    before = chain.signer(EpochNumber(0))
    chain.leave_before(EpochNumber(1))
    with pytest.raises(OperationError):
        sign(before, 0)
    assert sign(chain.signer(EpochNumber(1)), 1)


def test_the_key_so_far_stays_when_none_stands_in_the_epoch(chain: Keychain) -> None:
    before = chain.signer(EpochNumber(0))
    assert chain.prepare(epoch(1)) is before


def test_a_key_may_come_back_before_the_epoch_between_is_left(config: Config, chain: Keychain) -> None:
    keys = keys_of(config)
    old, fresh = keys.list()[0].public_key, keys.create().public_key
    chain.prepare(epoch(1, fresh))
    assert chain.prepare(epoch(2, old)) is chain.signer(EpochNumber(0))
    chain.leave_before(EpochNumber(2))
    assert sign(chain.signer(EpochNumber(2)), 2)


def test_a_leaving_key_answers_for_its_epoch_until_it_is_destroyed(config: Config, chain: Keychain) -> None:
    """A node whose database was set back below the seal stands in the old epoch again (M10)."""
    keys = keys_of(config)
    old, fresh = keys.list()[0], keys.create()
    chain.close()
    again = Keychain.open(keys, epoch(0, old.public_key))
    assert sign(again.signer(EpochNumber(0)), 0)
    again.close()
    keys.destroy(old)
    after = Keychain.open(keys, epoch(0, old.public_key))
    assert after.signer(EpochNumber(0)).public_key == fresh.public_key, "which stands in no epoch yet"
    after.close()


def test_a_key_without_its_guard_is_mute_and_a_fresh_one_is_not(config: Config) -> None:
    keys = keys_of(config)
    old = keys.list()[0]
    config.guard_path.unlink()
    assert not old.may_sign and not old.is_fresh and has_signed(old.guard)
    chain = Keychain.open(keys, epoch(0, old.public_key))
    assert chain.signer(EpochNumber(0)).is_mute
    fresh = keys.create()
    signer = chain.prepare(epoch(1, fresh.public_key))
    assert not signer.is_mute and signer.is_at_home and sign(signer, 1)
    chain.close()


def test_a_node_without_any_key_gets_one(tmp_path: Path) -> None:
    keys = keys_of(Config(tmp_path / "node"))
    chain = Keychain.open(keys, epoch(0))
    assert [key.public_key for key in keys.list()] == [chain.signer(EpochNumber(0)).public_key]
    chain.close()


def test_a_key_that_has_signed_is_not_fresh(config: Config, chain: Keychain) -> None:
    key = keys_of(config).list()[0]
    assert key.is_fresh
    sign(chain.signer(EpochNumber(0)), 0)
    assert not key.is_fresh


# --- a crash at every step


class _Crash(BaseException):
    """The power is gone."""


def crash_at(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """End the process before the so-many-th thing that it does to the disk."""
    import os

    left = [count]
    for name in ("link", "unlink", "fsync", "rename", "write"):
        real = getattr(os, name)

        def act(*args: object, real=real, **more: object) -> object:  # type: ignore[no-untyped-def]
            left[0] -= 1
            if left[0] < 0:
                raise _Crash
            return real(*args, **more)

        monkeypatch.setattr(os, name, act)


@pytest.mark.parametrize("count", range(14))
def test_a_key_that_is_half_made_is_not_there(
    config: Config, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    keys = keys_of(config)
    with monkeypatch.context() as patch, suppress(_Crash):
        crash_at(patch, count)
        keys.create()
    made: list[OwnKey] = list(keys.list()[1:])
    assert all(key.may_sign and key.is_fresh for key in made), "a key is never there before its guard"
    assert keys.load(keys.create()).public_key in [key.public_key for key in keys.list()]


@pytest.mark.parametrize("count", range(8))
def test_a_key_that_is_half_destroyed_is_gone(
    config: Config, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    keys = keys_of(config)
    old, fresh = keys.list()[0], keys.create()
    with monkeypatch.context() as patch, suppress(_Crash):
        crash_at(patch, count)
        keys.destroy(old)
    chain = Keychain.open(keys, epoch(1, fresh.public_key))
    assert sign(chain.signer(EpochNumber(1)), 1)
    chain.close()
    left = [path for path in config.keys_path.iterdir() if path.suffix == ".destroyed"]
    assert not left, "what was begun is finished at the next start"
    assert [key for key in keys.list() if key.public_key == old.public_key] in ([], [old])


# --- never two keys for one epoch

ACTS = st.lists(st.sampled_from(["create", "seal", "seal with old", "seal without", "restart"]), max_size=12)


@given(acts=ACTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_never_two_keys_sign_for_one_epoch(acts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    config = set_up(tmp_path_factory.mktemp("rotation"))
    keys = keys_of(config)
    record = epoch(0, keys.list()[0].public_key)
    chain = Keychain.open(keys, record)
    signed: dict[int, PublicKey] = {}
    for act in acts:
        if act == "create":
            keys.create()
        elif act == "restart":
            chain.close()
            chain = Keychain.open(keys, record)
        else:
            which = keys.list()
            stands = {"seal": (which[-1],), "seal with old": (which[0],), "seal without": ()}[act]
            record = epoch(record.number + 1, *[key.public_key for key in stands])
            chain.prepare(record)
            chain.leave_before(record.number)
        signer = chain.signer(record.number)
        if record.index_of(signer.public_key) is not None:
            sign(signer, record.number)
            assert signed.setdefault(record.number, signer.public_key) == signer.public_key
        else:
            held = {key.public_key for key in keys.list()}
            assert not any(v.consensus_key in held for v in record.validators), "ours stands there, unused"
    chain.close()


def test_a_passphrase_is_read_from_the_file_that_the_settings_name(config: Config) -> None:
    kept = config.home / "passphrase"
    kept.write_text("two words\n")
    named = replace(config, passphrase_file=str(kept))
    assert read_kept_passphrase(config) is None and read_kept_passphrase(named) == "two words"
    kept.unlink()
    with pytest.raises(OperationError) as caught:
        read_kept_passphrase(named)
    assert caught.value.slug == "key.passphrase" and str(kept) in caught.value.why
