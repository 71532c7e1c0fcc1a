"""Private memos: who holds a key reads, nobody else; a changed or copied one is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import OperationError
from node.wallet import memo as m
from protocol import crypto
from protocol.contracts.policies import address_of_key
from protocol.crypto import SecretKey
from protocol.params import MEMO_BYTES_MAX
from protocol.types import Address, PublicKey

ADA, BO, CY, EVE = (SecretKey(crypto.sha256(name)) for name in (b"ada", b"bo", b"cy", b"eve"))
PAYER, PAYEE = (address_of_key(crypto.public_key_of(secret)) for secret in (ADA, BO))


def view(secret: SecretKey) -> PublicKey:
    return crypto.public_key_of(m.derive_view_key(secret))


def sealed(text: str, *readers: SecretKey) -> bytes:
    return m.seal(text, PAYER, PAYEE, tuple(view(reader) for reader in readers))


def opened(memo: bytes, secret: SecretKey, payer: Address = PAYER, payee: Address = PAYEE) -> str | None:
    return m.open_memo(memo, m.derive_view_key(secret), payer, payee)


@given(st.text(max_size=40).filter(lambda text: len(text.encode()) <= 132), st.integers(1, 3))
def test_every_reader_reads_and_nobody_else(text: str, count: int) -> None:
    readers = (ADA, BO, CY)[:count]
    memo = sealed(text, *readers)
    assert m.is_private(memo) and len(memo) <= MEMO_BYTES_MAX
    assert [opened(memo, secret) for secret in readers] == [text] * count
    assert opened(memo, EVE) is None
    assert m.open_memo(memo, ADA, PAYER, PAYEE) is None  # the key that signs is not the one that reads


@pytest.mark.parametrize(("readers", "limit"), [((ADA,), 180), ((ADA, BO), 156), ((ADA, BO, CY), 132)])
def test_the_size_at_its_limit_and_one_above(readers: tuple[SecretKey, ...], limit: int) -> None:
    assert m.compute_text_bytes_max(len(readers)) == limit
    memo = sealed("x" * limit, *readers)
    assert len(memo) == MEMO_BYTES_MAX and opened(memo, ADA) == "x" * limit
    with pytest.raises(OperationError, match="at most"):
        sealed("x" * (limit + 1), *readers)


def test_readers_are_one_to_three_and_each_counts_once() -> None:
    assert len(sealed("hi", ADA, ADA)) == len(sealed("hi", ADA))
    assert len((ADA, BO, CY)) == m.READERS_MAX
    for readers in ((), (ADA, BO, CY, EVE)):
        with pytest.raises(OperationError, match="readers"):
            sealed("hi", *readers)


def test_a_changed_byte_is_never_read() -> None:
    memo = sealed("twenty for seeds", ADA, BO)
    for at in range(len(memo)):
        changed = memo[:at] + bytes([memo[at] ^ 1]) + memo[at + 1 :]
        try:
            assert opened(changed, BO) is None
        except OperationError as error:
            assert error.slug == "memo.damaged"


def test_a_memo_is_not_read_at_another_payment() -> None:
    memo = sealed("hi", ADA, BO)
    for payer, payee in ((PAYEE, PAYER), (PAYER, PAYER)):
        with pytest.raises(OperationError, match="another payment"):
            opened(memo, BO, payer, payee)


@given(st.binary(max_size=MEMO_BYTES_MAX))
def test_any_bytes_are_refused_in_words(rest: bytes) -> None:
    for memo in (rest, m.PREFIX + rest):
        try:
            assert opened(memo, ADA) is None
        except OperationError as error:
            assert error.slug == "memo.damaged"


def test_a_plain_memo_is_not_taken_for_a_private_one() -> None:
    assert not any(m.is_private(text.encode()) for text in ("", "seeds", "\u00ff", "谢谢"))


def test_two_memos_of_one_text_differ() -> None:
    assert sealed("hi", ADA) != sealed("hi", ADA)
