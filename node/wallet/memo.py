"""Private memos: words about a payment that payer, payee and an auditor can read, and nobody else.

    memo = FF 01 | count | ephemeral public key (33) | wrapped key (24) a reader | sealed text | tag (16)

A fresh 128-bit key seals the text (AES-GCM) and is wrapped for each reader (AES key wrap) under what ECDH
gives between the ephemeral key and the reader's view key. Payer and payee are bound into the seal, so a memo
copied to another payment cannot be read there. The first byte is none of UTF-8, so no plain memo begins so.

A view key is derived from the key that signs; it is published in the contract docs. Whoever gets it can read
memos and cannot pay. There is no forward secrecy: a view key opens all memos of its account.

*Source*: contracts.md 5.22; RFC 3394 (key wrap), SP 800-38D (GCM); SEC 1, 6.1 (ECDH).
"""

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from node.errors import OperationError
from protocol import crypto
from protocol.crypto import PUBLIC_KEY_BYTES, Domain, SecretKey
from protocol.errors import Rejected
from protocol.params import MEMO_BYTES_MAX
from protocol.types import Address, PublicKey

PREFIX: Final = b"\xff\x01"
READERS_MAX: Final = 3
"""Payer, payee, auditor."""
KEY_BYTES: Final = 16
WRAPPED_BYTES: Final = 24
TAG_BYTES: Final = 16
_NONCE: Final = bytes(12)
"""Each key seals one text, so its only nonce may be zero."""
_HEAD_BYTES: Final = len(PREFIX) + 1 + PUBLIC_KEY_BYTES


def compute_text_bytes_max(readers: int) -> int:
    """Compute how many bytes of text fit into a memo for so many readers."""
    return MEMO_BYTES_MAX - _HEAD_BYTES - readers * WRAPPED_BYTES - TAG_BYTES


def derive_view_key(secret: SecretKey) -> SecretKey:
    """Derive the secret that opens memos from the one that signs; it does not lead back."""
    return SecretKey(crypto.digest(Domain.VIEW_KEY, secret.reveal()))


def is_private(memo: bytes) -> bool:
    """Tell whether a memo is sealed."""
    return memo.startswith(PREFIX)


def seal(text: str, payer: Address, payee: Address, readers: tuple[PublicKey, ...]) -> bytes:
    """Seal a text for the holders of some view keys.

    Raises:
        OperationError: memo.too_long, memo.readers.
    """
    readers = tuple(dict.fromkeys(readers))
    if not 1 <= len(readers) <= READERS_MAX:
        raise OperationError(
            "memo.readers",
            "The memo was not sealed.",
            f"it has {len(readers)} readers; 1 to {READERS_MAX} can be.",
            "name the payer, the payee and at most one auditor",
        )
    plain, limit = text.encode(), compute_text_bytes_max(len(readers))
    if len(plain) > limit:
        raise OperationError(
            "memo.too_long",
            "The memo was not sealed.",
            f"it has {len(plain)} bytes; for {len(readers)} readers at most {limit} fit.",
            "write less",
        )
    ephemeral, key = SecretKey(secrets.token_bytes(32)), secrets.token_bytes(KEY_BYTES)
    head = PREFIX + bytes([len(readers)]) + crypto.public_key_of(ephemeral)
    head += b"".join([aes_key_wrap(_compute_wrap(ephemeral, reader), key) for reader in readers])
    return head + AESGCM(key).encrypt(_NONCE, plain, head + payer + payee)


def open_memo(memo: bytes, view_secret: SecretKey, payer: Address, payee: Address) -> str | None:
    """Open a sealed memo of a payment; None when it is not for this view key.

    Raises:
        OperationError: memo.damaged.
    """
    count = memo[len(PREFIX)] if len(memo) > _HEAD_BYTES and is_private(memo) else 0
    end = _HEAD_BYTES + count * WRAPPED_BYTES
    if not 1 <= count <= READERS_MAX or len(memo) < end + TAG_BYTES:
        raise _damaged("its form is not that of a sealed memo")
    try:
        wrap = _compute_wrap(view_secret, PublicKey(memo[len(PREFIX) + 1 : _HEAD_BYTES]))
    except Rejected:
        raise _damaged("it names no public key") from None
    for at in range(_HEAD_BYTES, end, WRAPPED_BYTES):
        try:
            key = aes_key_unwrap(wrap, memo[at : at + WRAPPED_BYTES])
        except InvalidUnwrap:
            continue
        try:
            return AESGCM(key).decrypt(_NONCE, memo[end:], memo[:end] + payer + payee).decode()
        except (InvalidTag, UnicodeDecodeError):
            raise _damaged("it was changed, or belongs to another payment") from None
    return None


def _compute_wrap(secret: SecretKey, public_key: PublicKey) -> bytes:
    return crypto.digest(Domain.MEMO_WRAP, crypto.exchange(secret, public_key))


def _damaged(why: str) -> OperationError:
    return OperationError(
        "memo.damaged", "The memo cannot be opened.", f"{why}.", "ask the payer what it said"
    )
