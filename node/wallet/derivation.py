"""From a seed to keys: the hierarchical derivation of BIP-32, secret side only.

Knows no words (`phrase.py`) and no files (`keyring.py`). The text forms xprv and xpub are left out, and so
are fingerprints, which exist only inside them: nothing here travels.

Source: BIP-32; BIP-44 for the path; SLIP-44 for the coin type.
Departs: a child outside the group raises instead of moving to the next index; its chance is 2^-127.
"""

import hmac
from dataclasses import dataclass, field
from typing import Final

from protocol.crypto import SecretKey, public_key_of, tweak_secret

HARDENED: Final = 1 << 31
COIN_TYPE: Final = 1
"""SLIP-44 number of test networks; the co-operative has none of its own yet."""

SEED_BYTES_MIN: Final = 16
SEED_BYTES_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class ExtendedKey:
    """Hold a secret key with the chain code that its children need. Whoever has both has all of them."""

    secret: SecretKey
    chain_code: bytes = field(repr=False)


def compute_master_key(seed: bytes) -> ExtendedKey:
    """Derive the root of the tree from a seed of 16 to 64 bytes."""
    assert SEED_BYTES_MIN <= len(seed) <= SEED_BYTES_MAX
    return _split(hmac.digest(b"Bitcoin seed", seed, "sha512"))


def compute_child_key(parent: ExtendedKey, index: int) -> ExtendedKey:
    """Derive one child (CKDpriv). Add `HARDENED` to the index for one that public keys cannot lead to."""
    assert 0 <= index < 2 * HARDENED
    secret = parent.secret
    data = b"\x00" + secret.reveal() if index & HARDENED else public_key_of(secret)
    mixed = hmac.digest(parent.chain_code, data + index.to_bytes(4, "big"), "sha512")
    return ExtendedKey(tweak_secret(secret, mixed[:32]), mixed[32:])


def compute_key_at(seed: bytes, path: tuple[int, ...]) -> ExtendedKey:
    """Derive along a path of indices from the root."""
    key = compute_master_key(seed)
    for index in path:
        key = compute_child_key(key, index)
    return key


def compute_member_key(seed: bytes, index: int = 0) -> SecretKey:
    """Derive the key that members use, at m/44'/1'/0'/0/index."""
    path = (44 + HARDENED, COIN_TYPE + HARDENED, 0 + HARDENED, 0, index)
    return compute_key_at(seed, path).secret


def _split(mixed: bytes) -> ExtendedKey:
    return ExtendedKey(SecretKey(mixed[:32]), mixed[32:])
