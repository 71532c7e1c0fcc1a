"""Addresses and transaction ids as text: bech32m, `coop1...`, `tcoop1...`, `tx1...`.

Knows the text only. How 20 bytes come from a key policy is said where policies live (`chain/`), and an
address that parses need not belong to anybody.

Source: BIP-173 for the alphabet and the rules of the text, BIP-350 for the checksum constant.
Departs: no witness version; the data part is the bytes alone, in 5-bit groups.
"""

from typing import Final

from protocol.errors import Code, Rejected
from protocol.types import Address, TxId

HRP_MAIN: Final = "coop"
HRP_TEST: Final = "tcoop"
HRP_TX: Final = "tx"

ADDRESS_BYTES: Final = 20
TX_ID_BYTES: Final = 32
TEXT_CHARS_MAX: Final = 90
"""Longest bech32m text: up to here the checksum finds any 4 wrong characters (BIP-173)."""

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {char: value for value, char in enumerate(_ALPHABET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32M: Final = 0x2BC830A3
_CHECKSUM_CHARS: Final = 6


def format_address(address: Address, hrp: str = HRP_MAIN) -> str:
    """Return the text of an address: 43 characters on the main network, 44 on a test network."""
    assert len(address) == ADDRESS_BYTES and hrp in (HRP_MAIN, HRP_TEST)
    return encode_bech32m(hrp, address)


def parse_address(text: str) -> tuple[str, Address]:
    """Read an address of the main or a test network.

    Returns: the human part, which names the network, and the address.
    Raises:
        Rejected: BAD_ADDRESS.
    """
    hrp, groups = decode_bech32m(text)
    if hrp not in (HRP_MAIN, HRP_TEST):
        raise _bad(f"the human part must be {HRP_MAIN} or {HRP_TEST}")
    return hrp, Address(_to_bytes(groups, ADDRESS_BYTES))


def format_tx_id(tx_id: TxId) -> str:
    """Return the text of a transaction id: 61 characters."""
    assert len(tx_id) == TX_ID_BYTES
    return encode_bech32m(HRP_TX, tx_id)


def parse_tx_id(text: str) -> TxId:
    """Read a transaction id.

    Raises:
        Rejected: BAD_ADDRESS.
    """
    hrp, groups = decode_bech32m(text)
    if hrp != HRP_TX:
        raise _bad(f"the human part must be {HRP_TX}")
    return TxId(_to_bytes(groups, TX_ID_BYTES))


def encode_bech32m(hrp: str, data: bytes) -> str:
    """Write bytes as bech32m text, in lower case."""
    groups = _to_groups(data)
    checksum = _polymod([*_expand(hrp), *groups, *[0] * _CHECKSUM_CHARS]) ^ _BECH32M
    tail = [(checksum >> 5 * (_CHECKSUM_CHARS - 1 - i)) & 31 for i in range(_CHECKSUM_CHARS)]
    return hrp + "1" + "".join(_ALPHABET[group] for group in (*groups, *tail))


def decode_bech32m(text: str) -> tuple[str, tuple[int, ...]]:
    """Read bech32m text of any human part.

    Returns: the human part in lower case and the data as 5-bit groups, without the checksum.
    Raises:
        Rejected: BAD_ADDRESS; the message says which rule, and never repeats the text.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise _bad(f"longer than {TEXT_CHARS_MAX} characters")
    # "The human-readable part ... each having a value in the range [33-126]"
    if any(not "!" <= char <= "~" for char in text):
        raise _bad("a character outside printable ASCII")
    # "Decoders MUST NOT accept strings where some characters are uppercase and some are lowercase"
    lower = text.lower()
    if text != lower and text != text.upper():
        raise _bad("upper and lower case are mixed")
    # "The separator is the last 1 in the string"
    hrp, separator, data = lower.rpartition("1")
    if not separator or not hrp:
        raise _bad("no human part before the separator 1")
    if len(data) < _CHECKSUM_CHARS:
        raise _bad(f"fewer than {_CHECKSUM_CHARS} characters after the separator")
    groups = [_VALUES.get(char, -1) for char in data]
    if -1 in groups:
        raise _bad("a character that is not in the alphabet of bech32")
    if _polymod([*_expand(hrp), *groups]) != _BECH32M:
        raise _bad("the checksum is wrong: probably a typing error")
    return hrp, tuple(groups[:-_CHECKSUM_CHARS])


def _expand(hrp: str) -> list[int]:
    return [*(ord(char) >> 5 for char in hrp), 0, *(ord(char) & 31 for char in hrp)]


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate(_GENERATOR):
            if top >> i & 1:
                checksum ^= generator
    return checksum


def _to_groups(data: bytes) -> list[int]:
    """Cut bytes into 5-bit groups, the last one padded with zero bits on the right."""
    padding = -len(data) * 8 % 5
    bits = len(data) * 8 + padding
    number = int.from_bytes(data, "big") << padding
    return [number >> shift & 31 for shift in range(bits - 5, -1, -5)]


def _to_bytes(groups: tuple[int, ...], size_bytes: int) -> bytes:
    """Join 5-bit groups to exactly this many bytes; the padding must be as short as it can be, and zero."""
    if len(groups) != (size_bytes * 8 + 4) // 5:
        raise _bad(f"the data must be {size_bytes} bytes")
    number = 0
    for group in groups:
        number = number << 5 | group
    padding = len(groups) * 5 - size_bytes * 8
    if number & ((1 << padding) - 1):
        raise _bad("the padding bits are not zero")
    return (number >> padding).to_bytes(size_bytes, "big")


def _bad(detail: str) -> Rejected:
    return Rejected(Code.BAD_ADDRESS, detail)
