"""Signatures against published vectors, and what no vector says.

Bytes from outside never raise, and secrets never show themselves.
"""

import copy
import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import crypto
from protocol.crypto import (
    Domain,
    SecretKey,
    digest,
    is_public_key,
    public_key_of,
    sha256,
    sign,
    tweak_secret,
    verify,
    verify_many,
)
from protocol.errors import Code, Rejected
from protocol.types import Hash32

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141

SECRETS = st.integers(1, ORDER - 1).map(lambda n: SecretKey(n.to_bytes(32, "big")))
# Real digests: one that is 0 modulo the order would verify under the negated key too (a property of ECDSA).
DIGESTS = st.binary(max_size=64).map(sha256)
ONE = SecretKey((1).to_bytes(32, "big"))


def load(path: str) -> Any:
    return json.loads((VECTORS / path).read_bytes())


def compress(uncompressed: str) -> bytes:
    point = bytes.fromhex(uncompressed)
    return bytes([2 + (point[-1] & 1)]) + point[1:33]


def wycheproof(name: str) -> list[tuple[bytes, bytes, bytes, bool]]:
    return [
        (
            compress(group["publicKey"]["uncompressed"]),
            hashlib.sha256(bytes.fromhex(case["msg"])).digest(),
            bytes.fromhex(case["sig"]),
            case["result"] == "valid",
        )
        for group in load(f"wycheproof/{name}")["testGroups"]
        for case in group["tests"]
    ]


def test_wycheproof_p1363_with_high_s_refused() -> None:
    cases = wycheproof("ecdsa_secp256k1_sha256_p1363_test.json")
    high = 0
    for public_key, hashed, signature, valid in cases:
        is_high = len(signature) == 64 and int.from_bytes(signature[32:], "big") > ORDER // 2
        high += valid and is_high
        assert verify(public_key, hashed, signature) is (valid and not is_high)
    assert len(cases) == 252
    assert high > 0, "no case shows that the upper half is refused"


def test_wycheproof_bitcoin_signatures_that_have_a_compact_form() -> None:
    cases = wycheproof("ecdsa_secp256k1_sha256_bitcoin_test.json")
    mapped = 0
    for public_key, hashed, der, valid in cases:
        try:
            r, s = decode_dss_signature(der)
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        except (ValueError, OverflowError):
            assert not valid, "a valid signature has a compact form"
            continue
        mapped += 1
        assert verify(public_key, hashed, signature) is valid
    assert len(cases) == 463
    assert mapped > 200


def test_rfc6979_sha256() -> None:
    cases = load("rfc6979/secp256k1_sha256.json")
    for case in cases:
        secret = SecretKey(bytes.fromhex(case["key"]))
        assert sign(secret, sha256(case["msg"].encode())).hex() == case["sig_low_s"]
    assert len(cases) == 6


def test_rfc6979_over_ready_digests() -> None:
    # `extraEntropy` of this file does not apply: we sign without any.
    cases = load("rfc6979/secp256k1_ecdsa_tiny.json")["valid"]
    for case in cases:
        secret = SecretKey(bytes.fromhex(case["d"]))
        hashed, signature = Hash32(bytes.fromhex(case["m"])), bytes.fromhex(case["signature"])
        assert sign(secret, hashed) == signature
        assert verify(public_key_of(secret), hashed, signature)
    assert len(cases) == 2020


def test_refused_secret_keys_points_and_signatures() -> None:
    invalid = load("rfc6979/secp256k1_ecdsa_tiny.json")["invalid"]
    for case in invalid["sign"]:
        with pytest.raises(Rejected) as refused:
            SecretKey(bytes.fromhex(case["d"]))
        assert refused.value.code == Code.MALFORMED
    for case in invalid["verify"]:
        public_key, hashed, signature = (bytes.fromhex(case[field]) for field in ("Q", "m", "signature"))
        assert verify(public_key, hashed, signature) is False
        assert is_public_key(public_key) is ("Expected Point" not in case.get("exception", ""))


@given(SECRETS, DIGESTS)
def test_what_is_signed_verifies_and_is_the_same_again(secret: SecretKey, hashed: Hash32) -> None:
    signature = sign(secret, hashed)
    assert verify(public_key_of(secret), hashed, signature)
    assert sign(secret, hashed) == signature
    assert int.from_bytes(signature[32:], "big") <= ORDER // 2


@given(SECRETS, DIGESTS, st.integers(0, (33 + 32 + 64) * 8 - 1))
def test_one_bit_flipped_anywhere_is_false(secret: SecretKey, hashed: Hash32, bit: int) -> None:
    record = bytearray(public_key_of(secret) + hashed + sign(secret, hashed))
    record[bit // 8] ^= 1 << bit % 8
    assert verify(bytes(record[:33]), bytes(record[33:65]), bytes(record[65:])) is False


@given(SECRETS, DIGESTS)
def test_the_other_s_is_false(secret: SecretKey, hashed: Hash32) -> None:
    signature = sign(secret, hashed)
    other = ORDER - int.from_bytes(signature[32:], "big")
    assert verify(public_key_of(secret), hashed, signature[:32] + other.to_bytes(32, "big")) is False


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
@example(bytes(33), bytes(32), bytes(64))
@example(b"\x02" + b"\xff" * 32, bytes(32), b"\xff" * 64)
@example(public_key_of(ONE), bytes(32), bytes(64))
@example(public_key_of(ONE), bytes(32), b"\xff" * 64)
@example(b"\x02" * (1 << 20), b"", b"")
def test_bytes_from_outside_never_raise(public_key: bytes, hashed: bytes, signature: bytes) -> None:
    assert verify(public_key, hashed, signature) is False
    assert verify_many([(public_key, hashed, signature)]) == [False]
    is_public_key(public_key)


def test_lengths_one_below_at_and_one_above() -> None:
    hashed = sha256(b"length")
    public_key, signature = public_key_of(ONE), sign(ONE, hashed)
    assert verify(public_key, hashed, signature)
    changes: list[Callable[[bytes], bytes]] = [lambda data: data[:-1], lambda data: data + b"\x00"]
    for change in changes:
        assert not verify(change(public_key), hashed, signature)
        assert not verify(public_key, change(hashed), signature)
        assert not verify(public_key, hashed, change(signature))
        assert not is_public_key(change(public_key))
        with pytest.raises(Rejected):
            SecretKey(change(ONE.reveal()))


def test_verify_many_answers_in_order() -> None:
    hashed = [sha256(bytes([i])) for i in range(4)]
    items = [(public_key_of(ONE), one, sign(ONE, one)) for one in hashed]
    items[2] = (public_key_of(ONE), hashed[0], items[2][2])
    assert verify_many(items) == [True, True, False, True]
    assert verify_many([]) == []


def test_the_cache_of_keys_is_bounded_and_keeps_no_long_bytes() -> None:
    cache = crypto._parse_33_bytes
    cache.cache_clear()
    is_public_key(b"\x02" * 1_000_000)
    assert cache.cache_info().currsize == 0
    for i in range(crypto.PARSED_KEYS_MAX + 1):
        is_public_key(b"\x02" + i.to_bytes(32, "big"))
    assert cache.cache_info().currsize == crypto.PARSED_KEYS_MAX


def test_a_digest_depends_on_domain_and_parts() -> None:
    assert digest(Domain.TX, b"a", b"b") == hashlib.sha256(b"\x0acoopd/tx/1ab").digest()
    assert len({digest(domain, b"same") for domain in Domain}) == len(Domain)


def test_no_domain_begins_like_another() -> None:
    prefixes = [domain.prefix for domain in Domain]
    for domain in Domain:
        assert domain.value.isascii()
        assert sum(prefix.startswith(domain.prefix) for prefix in prefixes) == 1


@given(SECRETS, st.integers(0, ORDER - 1))
def test_a_tweak_is_an_addition_modulo_the_order(secret: SecretKey, tweak: int) -> None:
    total = (int.from_bytes(secret.reveal(), "big") + tweak) % ORDER
    if total:
        assert tweak_secret(secret, tweak.to_bytes(32, "big")).reveal() == total.to_bytes(32, "big")


def test_a_tweak_that_leaves_the_group_is_refused() -> None:
    for tweak in (ORDER - 1, ORDER, 2**256 - 1):
        with pytest.raises(Rejected):
            tweak_secret(ONE, tweak.to_bytes(32, "big"))
    assert ONE.reveal() == (1).to_bytes(32, "big")


def test_a_secret_key_shows_itself_nowhere() -> None:
    secret = SecretKey(b"\x5a" * 32)
    shown = [repr(secret), str(secret), f"{secret}", repr([secret]), repr({"key": secret})]
    with pytest.raises(Rejected) as refused:
        SecretKey(b"\x5a" * 31)
    shown += [str(refused.value), repr(refused.value)]
    for text in shown:
        assert "5a5a5a" not in text and "ZZZ" not in text
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.copy(secret)
