"""A folder of keys: nothing lost, nothing overwritten, nothing shown, nothing loose."""

import json
import os
import stat
from pathlib import Path

import pytest

from node.errors import OperationError
from node.wallet.derivation import compute_member_key
from node.wallet.keyring import KEY_FILE_BYTES_MAX, NAME_CHARS_MAX, KeyEntry, Keyring
from node.wallet.phrase import new_phrase, read_phrase
from protocol.crypto import public_key_of

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "keys"


@pytest.fixture
def keyring(path: Path) -> Keyring:
    return Keyring(path, demo=True)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("passphrase", [None, "open sesame"])
def test_a_key_comes_back(keyring: Keyring, path: Path, passphrase: str | None) -> None:
    entry = keyring.create("bo", passphrase)
    secret = Keyring(path).load("bo", passphrase)
    assert entry == KeyEntry("bo", public_key_of(secret), encrypted=passphrase is not None)
    assert Keyring(path).entry("bo") == entry
    assert (secret.reveal().hex() in (path / "bo.json").read_text()) is (passphrase is None)


def test_a_phrase_leads_to_the_same_key_on_another_machine(keyring: Keyring, tmp_path: Path) -> None:
    phrase = new_phrase()
    first = keyring.recover("ada", phrase, None)
    second = Keyring(tmp_path / "other", demo=True).recover("ada", phrase.reveal(), "new passphrase")
    assert first.public_key == second.public_key
    assert first.public_key == public_key_of(compute_member_key(phrase.seed()))
    assert keyring.recover("known", WORDS, None).public_key == public_key_of(
        compute_member_key(read_phrase(WORDS).seed())
    )


def test_two_new_keys_differ(keyring: Keyring) -> None:
    assert keyring.create("a", None).public_key != keyring.create("b", None).public_key


def test_names_are_sorted_and_strangers_left_out(keyring: Keyring, path: Path) -> None:
    assert keyring.names() == ()
    for name in ("n2", "bo", "n1"):
        keyring.create(name, None)
    (path / "notes.txt").write_text("x")
    (path / "UPPER.json").write_text("x")
    (path / ".bo.json.0011223344556677").write_text("left by a crash")
    assert keyring.names() == ("bo", "n1", "n2")


def test_files_are_private_and_marked(keyring: Keyring, path: Path) -> None:
    before = os.umask(0)
    try:
        keyring.create("raw", None)
        keyring.create("sealed", "passphrase")
    finally:
        os.umask(before)
    assert mode_of(path) == 0o700
    assert [mode_of(path / f"{name}.json") for name in ("raw", "sealed")] == [0o600, 0o600]
    assert "UNENCRYPTED" in json.loads((path / "raw.json").read_text())["warning"]
    assert json.loads((path / "sealed.json").read_text())["version"] == 3
    assert sorted(os.listdir(path)) == ["raw.json", "sealed.json"], "no temporary file is left"


def test_a_key_is_never_overwritten(keyring: Keyring, path: Path) -> None:
    keyring.create("bo", None)
    before = (path / "bo.json").read_bytes()
    for again in (lambda: keyring.create("bo", None), lambda: keyring.recover("bo", WORDS, "p")):
        with pytest.raises(OperationError) as refused:
            again()
        assert refused.value.slug == "key.exists"
    assert (path / "bo.json").read_bytes() == before
    assert os.listdir(path) == ["bo.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644])
def test_a_loose_file_is_refused(keyring: Keyring, path: Path, mode: int) -> None:
    keyring.create("bo", None)
    (path / "bo.json").chmod(mode)
    for read in (lambda: keyring.load("bo", None), lambda: keyring.entry("bo")):
        with pytest.raises(OperationError, match="chmod 600") as refused:
            read()
        assert refused.value.slug == "key.mode"
    assert mode_of(path / "bo.json") == mode, "refused, not repaired"
    (path / "bo.json").chmod(0o400)
    keyring.load("bo", None)


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_a_loose_folder_is_refused(keyring: Keyring, path: Path, mode: int) -> None:
    keyring.create("bo", None)
    path.chmod(mode)
    for act in (lambda: keyring.load("bo", None), lambda: keyring.create("ada", None)):
        with pytest.raises(OperationError, match="chmod 700") as refused:
            act()
        assert refused.value.slug == "key.mode"
    assert os.listdir(path) == ["bo.json"]


@pytest.mark.parametrize(
    "name", ["", "A", "a b", "../bo", "a/b", ".bo", "-a", "bo\n", "é", "a" * (NAME_CHARS_MAX + 1)]
)
def test_names_that_are_refused(keyring: Keyring, name: str) -> None:
    for act in (lambda: keyring.create(name, None), lambda: keyring.load(name, None)):
        with pytest.raises(OperationError) as refused:
            act()
        assert refused.value.slug == "key.name"
    assert keyring.names() == ()


def test_the_longest_name(keyring: Keyring) -> None:
    keyring.create("a" * NAME_CHARS_MAX, None)
    assert keyring.names() == ("a" * NAME_CHARS_MAX,)


def test_what_is_missing_or_wrong_is_said(keyring: Keyring) -> None:
    keyring.create("bo", "passphrase")
    for act, slug in [
        (lambda: keyring.load("ada", None), "key.missing"),
        (lambda: keyring.load("bo", None), "key.passphrase"),
        (lambda: keyring.load("bo", "passphrasE"), "key.wrong_passphrase"),
        (lambda: keyring.create("ada", ""), "key.passphrase"),
        (lambda: keyring.recover("ada", WORDS[:-1], None), "phrase.word"),
    ]:
        with pytest.raises(OperationError) as refused:
            act()
        assert refused.value.slug == slug
        assert refused.value.what and refused.value.why and refused.value.do
    assert keyring.names() == ("bo",)


@pytest.mark.parametrize("field", ["public_key", "secret_key"])
@pytest.mark.parametrize("value", ["", "zz", "00" * 32, "02" + "00" * 32, "0" * 63])
def test_a_damaged_file_is_refused_and_not_quoted(
    keyring: Keyring, path: Path, field: str, value: str
) -> None:
    keyring.create("bo", None)
    fields = json.loads((path / "bo.json").read_text())
    secret = fields["secret_key"]
    (path / "bo.json").write_text(json.dumps({**fields, field: value}))
    with pytest.raises(OperationError) as refused:
        keyring.load("bo", None)
    assert refused.value.slug == "key.malformed"
    assert secret not in str(refused.value) and refused.value.__cause__ is None


def test_a_public_key_of_another_secret_is_found(keyring: Keyring, path: Path) -> None:
    mine, other = keyring.create("bo", "p").public_key, keyring.create("ada", "p").public_key
    text = (path / "bo.json").read_text()
    (path / "bo.json").write_text(text.replace(mine.hex(), other.hex()))
    with pytest.raises(OperationError, match="not that of its secret key"):
        keyring.load("bo", "p")


@pytest.mark.parametrize("document", [b"", b"{}", b"\xff", b"[" * 9_999, b'{"kind":"other","public_key":""}'])
def test_a_file_that_is_no_key_is_refused(keyring: Keyring, path: Path, document: bytes) -> None:
    keyring.create("bo", None)
    (path / "bo.json").write_bytes(document)
    with pytest.raises(OperationError) as refused:
        keyring.load("bo", None)
    assert refused.value.slug == "key.malformed"


def test_the_longest_file_and_one_above(keyring: Keyring, path: Path) -> None:
    keyring.create("bo", None)
    file = path / "bo.json"
    file.write_bytes(file.read_bytes().ljust(KEY_FILE_BYTES_MAX))
    keyring.load("bo", None)
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(OperationError, match="longer than 65,536"):
        keyring.load("bo", None)


def test_a_pipe_or_a_folder_in_the_place_of_a_key_is_refused(keyring: Keyring, path: Path) -> None:
    keyring.create("bo", None)
    os.mkfifo(path / "pipe.json", 0o600)
    (path / "folder.json").mkdir(0o700)
    with pytest.raises(OperationError, match="no regular file"):
        keyring.load("pipe", None)
    with pytest.raises(OperationError) as refused:
        keyring.load("folder", None)
    assert refused.value.slug in ("key.malformed", "key.disk")


def test_a_full_disk_leaves_nothing_and_says_so(
    keyring: Keyring, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OperationError, match="No space left") as refused:
        keyring.create("bo", None)
    assert refused.value.slug == "key.disk"
    assert os.listdir(path) == []


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("x")
    with pytest.raises(OperationError) as refused:
        Keyring(tmp_path / "keys").create("bo", None)
    assert refused.value.slug == "key.disk"
