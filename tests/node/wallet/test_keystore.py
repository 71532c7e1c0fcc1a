"""Sealed keys against the official documents, and documents that ask for too much."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import OperationError
from node.wallet import keystore
from node.wallet.keystore import decrypt, encrypt
from protocol.crypto import SecretKey

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
SECRET = SecretKey(b"\x5a" * 32)


def official(name: str) -> Any:
    return json.loads((VECTORS / "keystore" / "web3_secret_storage_v3.json").read_bytes())[name]


def sealed() -> Any:
    return encrypt(SECRET, "correct horse", demo=True)


def refuse(document: Any, passphrase: str = "correct horse") -> OperationError:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(OperationError) as refused:
        decrypt(data, passphrase)
    assert not passphrase or passphrase not in str(refused.value)
    return refused.value


@pytest.mark.parametrize("name", ["test1", "test2"], ids=["pbkdf2", "scrypt with r=1"])
def test_official_documents_open(name: str) -> None:
    vector = official(name)
    assert decrypt(json.dumps(vector["json"]).encode(), vector["password"]).reveal().hex() == vector["priv"]


def test_what_is_sealed_opens_and_only_with_its_passphrase() -> None:
    document = sealed()
    assert decrypt(json.dumps(document).encode(), "correct horse").reveal() == SECRET.reveal()
    assert refuse(document, "Correct horse").slug == "key.wrong_passphrase"
    assert refuse(document, "").slug == "key.wrong_passphrase"


def test_member_keys_are_sealed_at_full_cost_and_demo_keys_at_less() -> None:
    params = encrypt(SECRET, "slow")["crypto"]["kdfparams"]  # type: ignore[index]
    assert (params["n"], params["r"], params["p"]) == (1 << 17, 8, 1)
    assert sealed()["crypto"]["kdfparams"]["n"] == 1 << 12


def test_two_seals_share_no_bytes() -> None:
    one, two = sealed(), sealed()
    assert one["crypto"]["kdfparams"]["salt"] != two["crypto"]["kdfparams"]["salt"]
    assert one["crypto"]["cipherparams"]["iv"] != two["crypto"]["cipherparams"]["iv"]
    assert one["crypto"]["ciphertext"] != two["crypto"]["ciphertext"]
    assert SECRET.reveal().hex() not in json.dumps(one)


def test_a_passphrase_is_the_same_in_every_unicode_form() -> None:
    passphrase = "Zoë 密码 café"
    composed, taken_apart = (unicodedata.normalize(form, passphrase) for form in ("NFC", "NFD"))
    assert composed != taken_apart
    document = json.dumps(encrypt(SECRET, composed, demo=True)).encode()
    assert decrypt(document, taken_apart).reveal() == SECRET.reveal()


def test_a_passphrase_that_a_terminal_could_not_decode_raises_nothing() -> None:
    document = json.dumps(encrypt(SECRET, "\udcff\ud800", demo=True)).encode()
    assert decrypt(document, "\udcff\ud800").reveal() == SECRET.reveal()


@pytest.mark.parametrize("field", ["ciphertext", "mac"])
def test_a_changed_bit_is_found(field: str) -> None:
    document = sealed()
    data = bytearray.fromhex(document["crypto"][field])
    data[5] ^= 4
    document["crypto"][field] = data.hex()
    assert refuse(document).slug == "key.wrong_passphrase"


@pytest.mark.parametrize(
    "change",
    [
        {"n": keystore.SCRYPT_MEMORY_BYTES_MAX // 128 // 8 * 2},
        {"n": 1 << 62},
        {"r": 1 << 40},
        {"p": keystore.SCRYPT_LANES_MAX + 1},
        {"n": 1},
        {"n": 3},
        {"n": 0},
        {"n": -4096},
        {"r": 0},
        {"p": 0},
        {"dklen": 31},
        {"dklen": 64},
        {"salt": "zz"},
        {"salt": "00" * (keystore.SALT_BYTES_MAX + 1)},
        {"salt": 7},
        {"n": None},
    ],
    ids=str,
)
def test_scrypt_parameters_that_are_refused(change: dict[str, Any]) -> None:
    document = sealed()
    document["crypto"]["kdfparams"].update(change)
    assert refuse(document).slug == "key.malformed"


@pytest.mark.parametrize(
    "change", [{"c": 0}, {"c": keystore.PBKDF2_ROUNDS_MAX + 1}, {"prf": "hmac-md5"}], ids=str
)
def test_pbkdf2_parameters_that_are_refused(change: dict[str, Any]) -> None:
    document = official("test1")["json"]
    document["crypto"]["kdfparams"].update(change)
    assert refuse(document).slug == "key.malformed"


def test_parameters_at_their_limits_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[int, int, int]] = []

    def note(_passphrase: str, _salt: bytes, n: int, r: int, p: int) -> bytes:
        tried.append((n, r, p))
        return bytes(32)

    document = sealed()
    limits = {"n": keystore.SCRYPT_MEMORY_BYTES_MAX // 128 // 8, "p": keystore.SCRYPT_LANES_MAX}
    limits_salt = "00" * keystore.SALT_BYTES_MAX
    document["crypto"]["kdfparams"].update({**limits, "salt": limits_salt})
    monkeypatch.setattr(keystore, "_run_scrypt", note)
    assert refuse(document).slug == "key.wrong_passphrase"
    assert tried == [(limits["n"], 8, limits["p"])]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b"null",
        b'{"version": 3, "crypto": {}}',
        b"[" * 5_000,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_documents_that_are_none(document: bytes) -> None:
    assert refuse(document).slug == "key.malformed"


def test_the_longest_document_and_one_above() -> None:
    document = json.dumps(sealed()).encode().ljust(keystore.DOCUMENT_BYTES_MAX)
    assert decrypt(document, "correct horse").reveal() == SECRET.reveal()
    assert "longer than 65,536 bytes" in refuse(document + b" ").why


def test_other_versions_ciphers_and_sizes_are_refused() -> None:
    for path, value in [
        (("version",), 1),
        (("crypto", "cipher"), "aes-128-cbc"),
        (("crypto", "kdf"), "argon2id"),
        (("crypto", "ciphertext"), "00" * 31),
        (("crypto", "mac"), "00" * 31),
        (("crypto", "cipherparams"), {"iv": "00" * 15}),
    ]:
        document = sealed()
        place = document if len(path) == 1 else document[path[0]]
        place[path[-1]] = value
        assert refuse(document).slug == "key.malformed"


def test_a_sealed_zero_is_no_key() -> None:
    # A seal with a right checksum over a value that no key has.
    class Zero:
        def reveal(self) -> bytes:
            return bytes(32)

    document = encrypt(Zero(), "correct horse", demo=True)  # type: ignore[arg-type]
    assert refuse(document).slug == "key.malformed"


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_the_error(data: bytes) -> None:
    assert refuse(data).slug == "key.malformed"
