"""Hashes with a domain, ECDSA signatures over them, and the point arithmetic that key derivation needs.

The only file that knows the curve library. It makes no chance: keys come in from outside, and nonces are
those of RFC 6979, so one key and one digest give one signature on every machine. It does not know what is
signed (`chain/`), how an address is made from a key policy, or where keys are kept (`node/wallet/`).

Every call into the curve library releases the GIL, so worker threads may verify beside the main loop; the
cache of parsed keys is safe to share between them.
"""

import hashlib
from collections.abc import Sequence
from enum import Enum, unique
from functools import lru_cache
from typing import Any, Final, NoReturn

from coincurve._libsecp256k1 import ffi, lib  # type: ignore[import-not-found]  # compiled, has no stub
from coincurve.context import GLOBAL_CONTEXT

from protocol.errors import Code, Rejected
from protocol.types import Hash32, PublicKey, Signature

HASH_BYTES: Final = 32
SECRET_KEY_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 33
SIGNATURE_BYTES: Final = 64

PARSED_KEYS_MAX: Final = 16_384
"""Parsed public keys kept, about 400 bytes each. A miss costs one parse, about 7 us."""

_CONTEXT: Final[Any] = GLOBAL_CONTEXT.ctx
_SIGNATURE: Final[Any] = ffi.typeof("secp256k1_ecdsa_signature *")
_PUBLIC_KEY: Final[Any] = ffi.typeof("secp256k1_pubkey *")
_BYTES_64: Final[Any] = ffi.typeof("unsigned char[64]")
_BYTES_33: Final[Any] = ffi.typeof("unsigned char[33]")
_BYTES_32: Final[Any] = ffi.typeof("unsigned char[32]")
_COMPRESSED: Final[int] = lib.SECP256K1_EC_COMPRESSED


@unique
class Domain(Enum):
    """Name what a digest is of, so that bytes of one kind can never be read as another (consensus M5).

    To add a kind, add a line: a name, an ASCII text that no other line has, and the version of its layout.
    A text is never reused for another layout.
    """

    TX = "coopd/tx/1"
    ORDER = "coopd/order/1"
    HEADER = "coopd/header/1"
    GENESIS = "coopd/genesis/1"
    EPOCH = "coopd/epoch/1"
    RESTART = "coopd/restart/1"
    RATIFICATION = "coopd/ratification/1"

    PROPOSAL = "coopd/proposal/1"
    VOTE = "coopd/vote/1"
    VOTE_REQUEST = "coopd/vote_request/1"
    GRANT = "coopd/grant/1"
    READY = "coopd/ready/1"
    STARVE = "coopd/starve/1"
    EVIDENCE = "coopd/evidence/1"
    JITTER = "coopd/jitter/1"
    PROPOSERS = "coopd/proposers/1"

    ADDRESS = "coopd/address/1"
    CONTRACT_ADDRESS = "coopd/contract_address/1"
    CONTRACT_SCHEMA = "coopd/contract_schema/1"
    STATE_KEY = "coopd/state_key/1"
    STATE_VALUE = "coopd/state_value/1"
    STATE_PAGE = "coopd/state_page/1"
    STATE_NODE = "coopd/state_node/1"
    JOURNAL = "coopd/journal/1"

    VIEW_KEY = "coopd/view_key/1"
    MEMO_WRAP = "coopd/memo_wrap/1"
    PAPERS = "coopd/papers/1"
    SIGN_IN = "coopd/sign_in/1"

    def __init__(self, text: str) -> None:
        self.prefix = bytes([len(text)]) + text.encode("ascii")


def sha256(data: bytes) -> Hash32:
    """Hash bytes that are no record of ours: files, foreign formats, the bytes inside a domain."""
    return Hash32(hashlib.sha256(data).digest())


def digest(domain: Domain, *parts: bytes) -> Hash32:
    """Hash the parts under a domain: sha256(length byte of the domain | domain | parts one after the other).

    Rules:
        1. Parts carry no lengths here: each must have a fixed length for its domain, or be the last one.
           Otherwise two lists of parts could give the same bytes.
    """
    return Hash32(hashlib.sha256(domain.prefix + b"".join(parts)).digest())


class SecretKey:
    """Hold a secp256k1 scalar, 1 .. n-1, that shows itself in no text, log, copy or pickle.

    Args:
        data: 32 bytes, big-endian.

    Raises:
        Rejected: MALFORMED when the length or the range is wrong; the message never contains the data.

    Cost: one point multiplication, about 20 us; `sign` costs about 26 us.
    """

    __slots__ = ("_data", "public_key")

    def __init__(self, data: bytes) -> None:
        point = ffi.new(_PUBLIC_KEY)
        if len(data) != SECRET_KEY_BYTES or not lib.secp256k1_ec_pubkey_create(_CONTEXT, point, bytes(data)):
            raise Rejected(Code.MALFORMED, "a secret key is 32 bytes with a value from 1 to n-1")
        self._data = bytes(data)
        self.public_key = _serialize_point(point)

    def reveal(self) -> bytes:
        """Return the 32 secret bytes, for the one caller who encrypts or derives."""
        return self._data

    def __repr__(self) -> str:
        return f"SecretKey(of {self.public_key.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret key is neither copied nor pickled")


def public_key_of(secret: SecretKey) -> PublicKey:
    """Return the compressed public key of a secret key."""
    return secret.public_key


def sign(secret: SecretKey, digest: Hash32) -> Signature:
    """Sign a digest: r || s, with s in the lower half.

    Source: RFC 6979 for the nonce (HMAC-SHA-256, no extra entropy); BIP-62 for low s.
    """
    assert len(digest) == HASH_BYTES, "only a 32-byte digest is signed"
    signature = ffi.new(_SIGNATURE)
    # Fails only for a scalar out of range, which SecretKey has already refused.
    signed = lib.secp256k1_ecdsa_sign(_CONTEXT, signature, digest, secret.reveal(), ffi.NULL, ffi.NULL)
    assert signed, "the curve library refused a valid secret key"
    output = ffi.new(_BYTES_64)
    lib.secp256k1_ecdsa_signature_serialize_compact(_CONTEXT, output, signature)
    return Signature(bytes(ffi.buffer(output)))


def verify(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Say whether the signature over the digest is by the holder of the public key.

    Rules:
        1. Any bytes are allowed; wrong lengths, points off the curve and scalars out of range give False.
        2. A signature with s in the upper half is False, or anybody could make a second one from a first.

    Cost: about 50 us with the key in the cache, 57 us without.
    """
    if len(digest) != HASH_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    point = _parse_point(public_key)
    if point is None:
        return False
    parsed = ffi.new(_SIGNATURE)
    if not lib.secp256k1_ecdsa_signature_parse_compact(_CONTEXT, parsed, signature):
        return False
    # The library itself refuses the upper half (secp256k1.h, secp256k1_ecdsa_verify).
    return bool(lib.secp256k1_ecdsa_verify(_CONTEXT, parsed, digest, point))


def verify_many(items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """Verify each (public key, digest, signature), in order: the unit of work for a worker thread."""
    return [verify(public_key, digest, signature) for public_key, digest, signature in items]


def is_public_key(data: bytes) -> bool:
    """Say whether the bytes are a compressed point on the curve."""
    return _parse_point(data) is not None


def tweak_secret(secret: SecretKey, tweak: bytes) -> SecretKey:
    """Add a scalar of 32 bytes to a secret key.

    Raises:
        Rejected: MALFORMED when the tweak is not below n or the sum is 0; chance 2^-127.
    """
    assert len(tweak) == SECRET_KEY_BYTES, "a tweak is 32 bytes"
    result = ffi.new(_BYTES_32, secret.reveal())
    if not lib.secp256k1_ec_seckey_tweak_add(_CONTEXT, result, tweak):
        raise Rejected(Code.MALFORMED, "the tweak leads outside the group")
    return SecretKey(bytes(ffi.buffer(result)))


def exchange(secret: SecretKey, public_key: PublicKey) -> Hash32:
    """Return what two key holders share and nobody else: SHA-256 of the common point, compressed (ECDH).

    Raises:
        Rejected: MALFORMED when the public key is no point.
    """
    point = _parse_point(public_key)
    if point is None:
        raise Rejected(Code.MALFORMED, "not a public key")
    shared = ffi.new(_BYTES_32)
    assert lib.secp256k1_ecdh(_CONTEXT, shared, point, secret.reveal(), ffi.NULL, ffi.NULL) == 1
    return Hash32(bytes(ffi.buffer(shared)))


def _parse_point(data: bytes) -> Any:
    """Parse a compressed point; None when it is none. Length comes first: the cache keeps no long bytes."""
    return _parse_33_bytes(data) if len(data) == PUBLIC_KEY_BYTES else None


@lru_cache(maxsize=PARSED_KEYS_MAX)
def _parse_33_bytes(data: bytes) -> Any:
    point = ffi.new(_PUBLIC_KEY)
    return point if lib.secp256k1_ec_pubkey_parse(_CONTEXT, point, data, PUBLIC_KEY_BYTES) else None


def _serialize_point(point: Any) -> PublicKey:
    output = ffi.new(_BYTES_33)
    size = ffi.new("size_t *", PUBLIC_KEY_BYTES)
    lib.secp256k1_ec_pubkey_serialize(_CONTEXT, output, size, point, _COMPRESSED)
    return PublicKey(bytes(ffi.buffer(output)))
