"""The records of a finished Noise session: 2-byte length, then ChaCha20-Poly1305 ciphertext, a nonce each.

Pure: given a cipher and bytes. It knows neither the handshake (libp2p does it, see `host.py`) nor sockets.
Source: libp2p specs, noise/README.md, "Wire format"; Noise specification revision 34, sections 5.1 and 11.4.
"""

from typing import Protocol

from cryptography.exceptions import InvalidTag

from node.net.transport import PeerFault

TAG_BYTES = 16
RECORD_BYTES_MAX = 65_535
PLAIN_BYTES_MAX = RECORD_BYTES_MAX - TAG_BYTES
"""Plaintext that fits one record."""

NONCE_LIMIT = 2**64 - 1
"""Noise reserves the last nonce. A session that gets there ends, it is never rekeyed: libp2p has no rekey."""


class Cipher(Protocol):
    """Encrypt and decrypt with associated data, as `cryptography`'s ChaCha20Poly1305 does."""

    def encrypt(self, nonce: bytes, data: bytes | memoryview, associated_data: bytes | None) -> bytes:
        """Return ciphertext and tag."""
        ...

    def decrypt(self, nonce: bytes, data: bytes | memoryview, associated_data: bytes | None) -> bytes:
        """Return plaintext, or raise InvalidTag."""
        ...


def _nonce(counter: int) -> bytes:
    return b"\0\0\0\0" + counter.to_bytes(8, "little")


class RecordSealer:
    """Turn plaintext into records."""

    __slots__ = ("_cipher", "_counter")

    def __init__(self, cipher: Cipher, counter: int) -> None:
        self._cipher = cipher
        self._counter = counter

    def seal(self, plain: bytes) -> bytes:
        """Return the records of `plain`, full ones first.

        Raises:
            PeerFault: the nonces of this session are used up.
        """
        records: list[bytes] = []
        view = memoryview(plain)
        for at in range(0, len(plain), PLAIN_BYTES_MAX):
            if self._counter >= NONCE_LIMIT:
                raise PeerFault("the session has used up its nonces")
            sealed = self._cipher.encrypt(_nonce(self._counter), view[at : at + PLAIN_BYTES_MAX], None)
            self._counter += 1
            records.append(len(sealed).to_bytes(2, "big"))
            records.append(sealed)
        return b"".join(records)


class RecordOpener:
    """Turn received bytes into plaintext; holds at most one unfinished record."""

    __slots__ = ("_buffer", "_cipher", "_counter")

    def __init__(self, cipher: Cipher, counter: int) -> None:
        self._cipher = cipher
        self._counter = counter
        self._buffer = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes from the socket and return the plaintext of every record that is now whole.

        Raises:
            PeerFault: a record is forged or damaged, or the nonces are used up.
        """
        buffer = self._buffer
        buffer += data
        plains: list[bytes] = []
        at, end = 0, len(buffer)
        with memoryview(buffer) as view:
            while end - at >= 2:
                size = view[at] << 8 | view[at + 1]
                if end - at - 2 < size:
                    break
                plains.append(self._open(view[at + 2 : at + 2 + size]))
                at += 2 + size
        del buffer[:at]
        return plains[0] if len(plains) == 1 else b"".join(plains)

    def _open(self, sealed: memoryview) -> bytes:
        if self._counter >= NONCE_LIMIT:
            raise PeerFault("the session has used up its nonces")
        with sealed:
            try:
                plain = self._cipher.decrypt(_nonce(self._counter), sealed, None)
            except InvalidTag:
                raise PeerFault("a record is not authentic") from None
        self._counter += 1
        return plain
