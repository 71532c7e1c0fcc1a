"""Derivation against the vectors of BIP-32, and one whole way from words to a member's key."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from node.wallet.derivation import (
    HARDENED,
    SEED_BYTES_MAX,
    SEED_BYTES_MIN,
    ExtendedKey,
    compute_key_at,
    compute_master_key,
    compute_member_key,
)
from node.wallet.phrase import read_phrase
from protocol.crypto import SecretKey, is_public_key, public_key_of
from protocol.errors import Rejected

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "bip"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_bytes())


def decode_extended(text: str) -> tuple[bytes, bytes]:
    """Read the chain code and the key field (33 bytes) of an xprv or xpub."""
    number = 0
    for char in text:
        number = number * 58 + BASE58.index(char)
    data = number.to_bytes(82, "big")
    assert hashlib.sha256(hashlib.sha256(data[:78]).digest()).digest()[:4] == data[78:], "checksum"
    return data[13:45], data[45:78]


def parse_path(text: str) -> tuple[int, ...]:
    steps = text.split("/")[1:]
    return tuple(int(step.rstrip("'")) + (HARDENED if step.endswith("'") else 0) for step in steps)


def check(key: ExtendedKey, secret: bytes, public_key: bytes, chain_code: bytes) -> None:
    assert key.secret.reveal() == secret
    assert public_key_of(key.secret) == public_key
    assert key.chain_code == chain_code


def test_bip32_specification() -> None:
    chains = 0
    for vector in load("bip32_spec.json"):
        for chain in vector["chains"]:
            chain_code, private = decode_extended(chain["xprv"])
            assert private[0] == 0
            key = compute_key_at(bytes.fromhex(vector["seed"]), parse_path(chain["path"]))
            check(key, private[1:], decode_extended(chain["xpub"])[1], chain_code)
            chains += 1
    assert chains == 17


def test_bip32_bitcoinjs() -> None:
    children = 0
    for vector in load("bip32_bitcoinjs.json")["valid"]:
        if "seed" not in vector["master"]:
            continue  # begins from an xprv, which is not read here
        seed = bytes.fromhex(vector["master"]["seed"])
        for child in [{"path": "m", **vector["master"]}, *vector["children"]]:
            secret, public_key, chain_code = (
                bytes.fromhex(child[field]) for field in ("privKey", "pubKey", "chainCode")
            )
            check(compute_key_at(seed, parse_path(child["path"])), secret, public_key, chain_code)
            children += 1
    assert children >= 12


def test_bip32_keys_that_are_none() -> None:
    # The other invalid texts are about versions, depths and checksums of xprv and xpub: not read here.
    seen = 0
    for vector in load("bip32_spec.json"):
        for case in vector["invalid"]:
            if "not in 1..n-1" in case["why"]:
                with pytest.raises(Rejected):
                    SecretKey(decode_extended(case["key"])[1][1:])
                seen += 1
            elif "invalid pubkey" in case["why"]:
                assert not is_public_key(decode_extended(case["key"])[1])
                seen += 1
    assert seen == 5


def test_bip39_phrases_lead_to_their_root() -> None:
    for _, words, _, xprv in load("bip39_trezor.json")["english"]:
        chain_code, private = decode_extended(xprv)
        root = compute_master_key(read_phrase(words).seed("TREZOR"))
        assert (root.chain_code, root.secret.reveal()) == (chain_code, private[1:])


def test_member_keys_lie_at_the_path_of_test_networks() -> None:
    seed = bytes(range(64))
    for index in (0, 1, 5):
        expected = compute_key_at(seed, parse_path(f"m/44'/1'/0'/0/{index}")).secret
        assert compute_member_key(seed, index).reveal() == expected.reveal()


def test_seed_of_16_and_64_bytes_and_one_beyond() -> None:
    for size_bytes in (16, 64):
        compute_master_key(bytes(size_bytes))
    for size_bytes in (15, 65):
        with pytest.raises(AssertionError):
            compute_master_key(bytes(size_bytes))


def test_an_extended_key_does_not_show_its_chain_code() -> None:
    key = compute_master_key(bytes(64))
    assert key.chain_code.hex() not in repr(key) and repr(key.chain_code) not in repr(key)
    assert key.secret.reveal().hex() not in repr(key)


@pytest.mark.parametrize(("size", "beyond"), [(SEED_BYTES_MIN, -1), (SEED_BYTES_MAX, 1)])
def test_a_seed_of_another_size_is_our_own_bug(size: int, beyond: int) -> None:
    assert compute_master_key(bytes(size))
    with pytest.raises(AssertionError):
        compute_master_key(bytes(size + beyond))
