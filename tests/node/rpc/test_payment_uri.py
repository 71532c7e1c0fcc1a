"""Payment requests: read whole, the `req-` rule, and nothing but refusals for other texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.rpc.payment_uri import (
    TEXT_CHARS_MAX,
    URI_CHARS_MAX,
    BadPaymentUri,
    PaymentUri,
    parse_payment_uri,
)
from protocol.addresses import format_address
from protocol.types import Address

ADDRESS = format_address(Address(bytes(range(20))))


def test_a_request_is_read_whole() -> None:
    memo = "memo=%E4%B8%83%E6%9C%88%20%26%20more"
    text = f"coop:{ADDRESS}?amount=123.45&cur=CNY&ref=tx1&{memo}&exp=1800000000"
    request = PaymentUri(ADDRESS, "123.45", "CNY", "七月 & more", "tx1", 1_800_000_000)
    assert parse_payment_uri(text) == request
    assert parse_payment_uri(f"COOP:{ADDRESS.upper()}") == PaymentUri(ADDRESS)


def test_unknown_parameters_are_passed_over_unless_they_are_required() -> None:
    assert parse_payment_uri(f"coop:{ADDRESS}?colour=red&req-amount=5").amount == "5"
    with pytest.raises(BadPaymentUri):
        parse_payment_uri(f"coop:{ADDRESS}?req-colour=red")


@pytest.mark.parametrize(
    "query",
    [
        "amount=-5",
        "amount=1e9",
        "amount=",
        "amount",
        "amount=1&amount=2",
        "exp=soon",
        "memo=%ff",
        "memo=%0a",
        "memo=" + "x" * (TEXT_CHARS_MAX + 1),
    ],
)
def test_bad_parameters_are_refused(query: str) -> None:
    with pytest.raises(BadPaymentUri):
        parse_payment_uri(f"coop:{ADDRESS}?{query}")


def test_a_text_and_a_whole_request_at_their_limits_and_one_above() -> None:
    longest = f"coop:{ADDRESS}?memo=" + "%41" * TEXT_CHARS_MAX + "&colour="
    longest += "x" * (URI_CHARS_MAX - len(longest))
    assert parse_payment_uri(longest).memo == "A" * TEXT_CHARS_MAX
    with pytest.raises(BadPaymentUri, match="short"):
        parse_payment_uri(longest + "x")


@given(st.text(max_size=80))
def test_any_text_is_refused_or_read(text: str) -> None:
    for candidate in (text, f"coop:{text}", f"coop:{ADDRESS}?{text}"):
        try:
            parse_payment_uri(candidate)
        except BadPaymentUri:
            pass
