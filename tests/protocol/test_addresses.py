"""The text of addresses against BIP-350, and every single typing error found."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.addresses import (
    TEXT_CHARS_MAX,
    decode_bech32m,
    encode_bech32m,
    format_address,
    format_tx_id,
    parse_address,
    parse_tx_id,
)
from protocol.errors import Code, Rejected
from protocol.types import Address, TxId

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
ADDRESSES = st.binary(min_size=20, max_size=20).map(Address)
TX_IDS = st.binary(min_size=32, max_size=32).map(TxId)


def vectors() -> Any:
    return json.loads((VECTORS / "bip" / "bech32.json").read_bytes())


def refuse(text: str) -> str:
    with pytest.raises(Rejected) as refused:
        parse_address(text)
    assert refused.value.code == Code.BAD_ADDRESS
    return refused.value.detail


def test_bip350_valid_texts_decode() -> None:
    cases = vectors()["bech32m"]["valid"]
    for text in cases:
        hrp, groups = decode_bech32m(text)
        assert text.lower().startswith(f"{hrp}1")
        assert len(groups) == len(text) - len(hrp) - 7
    assert len(cases) == 7


@pytest.mark.parametrize("case", vectors()["bech32m"]["invalid"], ids=lambda case: case["why"])
def test_bip350_invalid_texts_are_refused(case: dict[str, str]) -> None:
    with pytest.raises(Rejected):
        decode_bech32m(case["s"])


def test_bip350_segwit_addresses_of_version_1_and_above() -> None:
    # Ours have no witness version: the first group is taken off, the rest must be the witness program.
    seen = 0
    for case in vectors()["segwit"]["valid"]:
        script = bytes.fromhex(case["script"])
        if script[0] == 0:  # version 0 keeps the older checksum, which is refused
            with pytest.raises(Rejected):
                decode_bech32m(case["addr"])
            continue
        _, groups = decode_bech32m(case["addr"])
        bits = "".join(f"{group:05b}" for group in groups[1:])
        assert groups[0] == script[0] - 0x50
        assert int(bits[: len(script[2:]) * 8], 2).to_bytes(len(script) - 2, "big") == script[2:]
        seen += 1
    assert seen == 5


def test_old_checksums_are_refused() -> None:
    for text in vectors()["bech32"]["valid"]:
        text = text if isinstance(text, str) else text["s"]
        with pytest.raises(Rejected):
            decode_bech32m(text)


@given(ADDRESSES, st.sampled_from(["coop", "tcoop"]))
def test_an_address_comes_back(address: Address, hrp: str) -> None:
    text = format_address(address, hrp)
    assert parse_address(text) == (hrp, address)
    assert parse_address(text.upper()) == (hrp, address)


@given(TX_IDS)
def test_a_transaction_id_comes_back(tx_id: TxId) -> None:
    assert parse_tx_id(format_tx_id(tx_id)) == tx_id


def test_lengths_and_human_parts_of_the_texts() -> None:
    assert format_address(Address(bytes(20))) == "coop1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqd4cxld"
    assert len(format_address(Address(bytes(20)))) == 43
    assert len(format_address(Address(bytes(20)), "tcoop")) == 44
    assert format_tx_id(TxId(bytes(32))).startswith("tx1") and len(format_tx_id(TxId(bytes(32)))) == 61


def test_19_and_21_bytes_are_no_address() -> None:
    for size_bytes in (0, 19, 21, 32):
        assert "20 bytes" in refuse(encode_bech32m("coop", bytes(size_bytes)))
    for size_bytes in (20, 31, 33):
        with pytest.raises(Rejected):
            parse_tx_id(encode_bech32m("tx", bytes(size_bytes)))


def test_a_text_of_another_kind_is_refused() -> None:
    refuse(encode_bech32m("bc", bytes(20)))
    refuse(format_tx_id(TxId(bytes(32))))
    with pytest.raises(Rejected):
        parse_tx_id(format_address(Address(bytes(20))))


def test_upper_and_lower_case_do_not_mix() -> None:
    text = format_address(Address(bytes(range(20))))
    for mixed in ("C" + text[1:], text[:-1] + text[-1].upper(), text.upper()[:-1] + text[-1]):
        assert mixed not in (text, text.upper())
        assert "mixed" in refuse(mixed)


def test_a_checksum_has_six_characters() -> None:
    assert "fewer than 6" in refuse("coop1qqqqq")
    assert "checksum" in refuse("coop1qqqqqq")


def test_padding_bits_must_be_zero() -> None:
    # 32 bytes leave 4 padding bits; this is the id of zeros with the last one set, and a right checksum.
    groups = [0] * 51 + [1]
    text = "tx1" + "".join(ALPHABET[group] for group in groups)
    with pytest.raises(Rejected) as refused:
        parse_tx_id(text + _checksum("tx", groups))
    assert "padding" in refused.value.detail


def test_longest_text_and_one_above() -> None:
    hrp = "c" * (TEXT_CHARS_MAX - 7)
    assert decode_bech32m(encode_bech32m(hrp, b"")) == (hrp, ())
    with pytest.raises(Rejected, match="longer than 90"):
        decode_bech32m(encode_bech32m(hrp + "c", b""))


@given(ADDRESSES, st.integers(0, 42), st.sampled_from(ALPHABET + "1bio-é用"))
def test_every_single_wrong_character_is_found(address: Address, at: int, char: str) -> None:
    text = format_address(address)
    typed = text[:at] + char + text[at + 1 :]
    if typed != text:
        refuse(typed)


@given(st.text(max_size=120))
def test_no_text_raises_anything_but_rejected(text: str) -> None:
    for parse in (parse_address, parse_tx_id, decode_bech32m):
        with pytest.raises(Rejected) as refused:
            parse(text)
        assert refused.value.code == Code.BAD_ADDRESS


def _checksum(hrp: str, groups: list[int]) -> str:
    """Compute the checksum independently of the code under test, by the reference code of BIP-350."""
    values = [ord(x) >> 5 for x in hrp] + [0] + [ord(x) & 31 for x in hrp] + groups
    chk = 1
    for value in [*values, 0, 0, 0, 0, 0, 0]:
        top = chk >> 25
        chk = (chk & 0x1FFFFFF) << 5 ^ value
        for i, gen in enumerate([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]):
            chk ^= gen if ((top >> i) & 1) else 0
    chk ^= 0x2BC830A3
    return "".join(ALPHABET[(chk >> 5 * (5 - i)) & 31] for i in range(6))
