"""Amounts: exactly what was typed, or refused; no fraction is ever lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.rpc.amounts import BadAmount, format_amount, parse_amount
from protocol.params import AMOUNT_MAX


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("25", 2500),
        ("25.5", 2550),
        ("25.50", 2550),
        ("0.01", 1),
        ("1,234.5", 123450),
        ("25CNY", 2500),
        (" 25 cny ", 2500),
        ("0025", 2500),
    ],
)
def test_typed_amounts(text: str, minor: int) -> None:
    assert parse_amount(text, 2, "CNY") == minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0.00",
        "-5",
        "+5",
        "1.005",
        "1e3",
        "1_000",
        "٥",
        "12,34",
        "1,2345",
        ".5",
        "5.",
        "25EUR",
        "1 2",
        "9" * 20,
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(BadAmount):
        parse_amount(text, 2, "CNY")


def test_the_largest_amount_passes_and_one_above_does_not() -> None:
    assert parse_amount(str(AMOUNT_MAX), 0) == AMOUNT_MAX
    with pytest.raises(BadAmount):
        parse_amount(str(AMOUNT_MAX + 1), 0)


@given(st.integers(1, AMOUNT_MAX), st.integers(0, 9))
def test_what_is_shown_can_be_typed_again(minor: int, decimals: int) -> None:
    assert parse_amount(format_amount(minor, decimals, "CNY"), decimals, "CNY") == minor


def test_shown_amounts() -> None:
    assert format_amount(123456, 2, "CNY") == "1,234.56 CNY"
    assert format_amount(-5, 2) == "-0.05" and format_amount(7, 0, "PT") == "7 PT"
