"""The records of a Noise session: whole at any cut, refused when touched, and no nonce is used twice."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from node.net.noise import NONCE_LIMIT, PLAIN_BYTES_MAX, RECORD_BYTES_MAX, RecordOpener, RecordSealer
from node.net.transport import PeerFault

CIPHER = ChaCha20Poly1305(bytes(range(32)))


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=10), st.integers(1, 100))
def test_plaintext_survives_any_cut(plains: list[bytes], cut: int) -> None:
    sealer, opener = RecordSealer(CIPHER, 0), RecordOpener(CIPHER, 0)
    stream = b"".join(sealer.seal(plain) for plain in plains)
    got = b"".join(opener.feed(stream[at : at + cut]) for at in range(0, len(stream), cut))
    assert got == b"".join(plains)


def test_a_full_record_is_full_and_one_byte_more_is_two() -> None:
    assert len(RecordSealer(CIPHER, 0).seal(bytes(PLAIN_BYTES_MAX))) == 2 + RECORD_BYTES_MAX
    two = RecordSealer(CIPHER, 0).seal(bytes(PLAIN_BYTES_MAX + 1))
    assert len(two) == 2 + RECORD_BYTES_MAX + 2 + 1 + 16
    assert RecordOpener(CIPHER, 0).feed(two) == bytes(PLAIN_BYTES_MAX + 1)


@given(st.binary(min_size=1, max_size=400))
def test_garbage_raises_nothing_but_peer_fault(garbage: bytes) -> None:
    opener = RecordOpener(CIPHER, 0)
    try:
        assert opener.feed(garbage) == b""
    except PeerFault:
        pass


def test_a_repeated_record_is_refused() -> None:
    record, opener = RecordSealer(CIPHER, 0).seal(b"once"), RecordOpener(CIPHER, 0)
    assert opener.feed(record) == b"once"
    with pytest.raises(PeerFault, match="authentic"):
        opener.feed(record)


def test_the_reserved_nonce_is_never_used() -> None:
    sealer, opener = RecordSealer(CIPHER, NONCE_LIMIT - 1), RecordOpener(CIPHER, NONCE_LIMIT - 1)
    assert opener.feed(sealer.seal(b"last")) == b"last"
    with pytest.raises(PeerFault, match="nonces"):
        sealer.seal(b"x")
    with pytest.raises(PeerFault, match="nonces"):
        opener.feed(b"\0\x11" + bytes(17))
