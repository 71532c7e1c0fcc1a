"""One secret key under a passphrase: Web3 Secret Storage, version 3.

Bytes in, bytes out; where the document lies is `keyring.py`. Any wallet that reads this format can import
our keys, and the other way round. The optional field `address` is not written: it would tie a member to an
account of Ethereum.

Source: Ethereum wiki, Web3 Secret Storage Definition; RFC 7914 (scrypt); FIPS 197 (AES).
Departs: only AES-128-CTR, a 32-byte derived key and a 32-byte secret are read, and the cost has an upper
bound.

The primitives are PyCryptodome's: OpenSSL lacks Keccak-256 in the versions in use, and refuses scrypt with
r = 1, which an official vector needs.
"""

import hashlib
import hmac
import secrets
import unicodedata
import uuid
from typing import Final, Literal

import msgspec
from Crypto.Cipher import AES
from Crypto.Hash import keccak
from Crypto.Protocol.KDF import scrypt

from node.errors import OperationError
from protocol.crypto import SecretKey
from protocol.errors import Rejected

DOCUMENT_BYTES_MAX: Final = 65_536
SCRYPT_MEMORY_BYTES_MAX: Final = 1 << 29
SCRYPT_LANES_MAX: Final = 16
PBKDF2_ROUNDS_MAX: Final = 4_000_000
SALT_BYTES_MAX: Final = 1_024
"""What a document from elsewhere may ask for: a few seconds on a small machine, and no more."""

_SCRYPT_N: Final = 1 << 17
_SCRYPT_N_DEMO: Final = 1 << 12
_SCRYPT_R: Final = 8
_SCRYPT_P: Final = 1
_DERIVED_BYTES: Final = 32
_SECRET_BYTES: Final = 32
_IV_BYTES: Final = 16


class _Scrypt(msgspec.Struct, frozen=True):
    n: int
    r: int
    p: int
    dklen: Literal[32]
    salt: str


class _Pbkdf2(msgspec.Struct, frozen=True):
    c: int
    prf: Literal["hmac-sha256"]
    dklen: Literal[32]
    salt: str


class _CipherParams(msgspec.Struct, frozen=True):
    iv: str


class _Crypto(msgspec.Struct, frozen=True):
    cipher: Literal["aes-128-ctr"]
    cipherparams: _CipherParams
    ciphertext: str
    kdf: Literal["scrypt", "pbkdf2"]
    kdfparams: dict[str, int | str]
    mac: str


class _Document(msgspec.Struct, frozen=True):
    version: Literal[3]
    crypto: _Crypto


def encrypt(secret: SecretKey, passphrase: str, *, demo: bool = False) -> dict[str, object]:
    """Seal a secret key; returns the document as plain values, ready for JSON.

    Args:
        demo: a scrypt 32 times cheaper, for keys of local test networks.

    Cost: about 0.4 s and 128 MiB; for demo keys 15 ms and 4 MiB.
    """
    salt, iv = secrets.token_bytes(32), secrets.token_bytes(_IV_BYTES)
    n = _SCRYPT_N_DEMO if demo else _SCRYPT_N
    key = _run_scrypt(passphrase, salt, n, _SCRYPT_R, _SCRYPT_P)
    ciphertext = _aes_ctr(key, iv, secret.reveal())
    return {
        "version": 3,
        "id": str(uuid.uuid4()),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": iv.hex()},
            "ciphertext": ciphertext.hex(),
            "kdf": "scrypt",
            "kdfparams": {
                "n": n,
                "r": _SCRYPT_R,
                "p": _SCRYPT_P,
                "dklen": _DERIVED_BYTES,
                "salt": salt.hex(),
            },
            "mac": _mac(key, ciphertext).hex(),
        },
    }


def decrypt(document: bytes, passphrase: str) -> SecretKey:
    """Open a sealed key.

    Raises:
        OperationError: key.malformed, or key.wrong_passphrase.
    Cost: as the document says, at most `SCRYPT_MEMORY_BYTES_MAX`.
    """
    crypto = _read(document)
    iv = _hex(crypto.cipherparams.iv, _IV_BYTES)
    ciphertext = _hex(crypto.ciphertext, _SECRET_BYTES)
    mac = _hex(crypto.mac, 32)
    key = _derive(crypto, passphrase)
    if not hmac.compare_digest(_mac(key, ciphertext), mac):
        raise OperationError(
            "key.wrong_passphrase",
            "The key was not opened.",
            "the passphrase does not fit this key, or the file was changed.",
            "try again; without the passphrase, recover the key from its phrase",
        )
    try:
        return SecretKey(_aes_ctr(key, iv, ciphertext))
    except Rejected:
        raise _malformed("what it holds is no secret key") from None


def _read(document: bytes) -> _Crypto:
    if len(document) > DOCUMENT_BYTES_MAX:
        raise _malformed(f"it is longer than {DOCUMENT_BYTES_MAX:,} bytes")
    try:
        return msgspec.json.decode(document, type=_Document).crypto
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _malformed("it is no Web3 Secret Storage document of version 3 with aes-128-ctr") from None


def _derive(crypto: _Crypto, passphrase: str) -> bytes:
    try:
        if crypto.kdf == "scrypt":
            return _derive_scrypt(msgspec.convert(crypto.kdfparams, _Scrypt), passphrase)
        return _derive_pbkdf2(msgspec.convert(crypto.kdfparams, _Pbkdf2), passphrase)
    except msgspec.ValidationError:
        raise _malformed(
            f"the parameters of {crypto.kdf} are incomplete, or others than this program reads"
        ) from None


def _derive_scrypt(params: _Scrypt, passphrase: str) -> bytes:
    n, r, p = params.n, params.r, params.p
    if n < 2 or n & (n - 1) or r < 1 or p < 1:
        raise _malformed("scrypt needs n, a power of two above 1, and r and p from 1")
    if 128 * n * r > SCRYPT_MEMORY_BYTES_MAX or p > SCRYPT_LANES_MAX:
        raise _malformed(
            f"scrypt asks for more than {SCRYPT_MEMORY_BYTES_MAX >> 20} MiB or {SCRYPT_LANES_MAX} lanes"
        )
    return _run_scrypt(passphrase, _hex(params.salt), n, r, p)


def _derive_pbkdf2(params: _Pbkdf2, passphrase: str) -> bytes:
    if not 1 <= params.c <= PBKDF2_ROUNDS_MAX:
        raise _malformed(f"pbkdf2 asks for {params.c} rounds; 1 to {PBKDF2_ROUNDS_MAX:,} are allowed")
    return hashlib.pbkdf2_hmac("sha256", _to_bytes(passphrase), _hex(params.salt), params.c, _DERIVED_BYTES)


def _run_scrypt(passphrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return bytes(scrypt(_to_bytes(passphrase), salt, _DERIVED_BYTES, n, r, p))


def _to_bytes(passphrase: str) -> bytes:
    # Keyboards write the same characters in several Unicode forms: one of them is hashed. What a terminal
    # could not decode is kept apart, and raises nothing.
    return unicodedata.normalize("NFC", passphrase).encode(errors="surrogatepass")


def _aes_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    return AES.new(key[:16], AES.MODE_CTR, nonce=b"", initial_value=iv).encrypt(data)


def _mac(key: bytes, ciphertext: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=key[16:32] + ciphertext).digest()


def _hex(text: str, size_bytes: int | None = None) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise _malformed("a field is not hexadecimal") from None
    if len(data) > SALT_BYTES_MAX or size_bytes not in (None, len(data)):
        raise _malformed("a field has the wrong length")
    return data


def _malformed(why: str) -> OperationError:
    return OperationError(
        "key.malformed", "The key file cannot be read.", f"{why}.", "restore the file, or recover the key"
    )
