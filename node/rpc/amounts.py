"""Amounts as people type and read them, to whole minor units and back, without a fraction in between.

`25`, `25.5`, `1,234.50`, `25CNY`, `25 CNY`. Knows no asset: decimals and currency come from the caller.
"""

import re
from typing import Final

from protocol.params import AMOUNT_MAX

_TYPED: Final = re.compile(
    r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,19})(?:\.(?P<part>[0-9]{1,9}))?\s*(?P<currency>[A-Za-z]{1,12})?",
    re.ASCII,
)


class BadAmount(ValueError):
    """The text is not an amount of this asset; the message says why."""


def parse_amount(text: str, decimals: int, currency: str = "") -> int:
    """Read what somebody typed as minor units.

    Args:
        currency: code of the asset; when the text names one it must be this.

    Raises:
        BadAmount: not a number, more decimals than the asset has, another currency, zero or too large.
    """
    found = _TYPED.fullmatch(text.strip())
    if not found:
        raise BadAmount(f"{text[:40]!r} is not an amount such as 25 or 25.50")
    if found["currency"] and found["currency"].upper() != currency.upper():
        raise BadAmount(f"{found['currency']} is not {currency or 'the currency here'}")
    part = found["part"] or ""
    if len(part) > decimals:
        raise BadAmount(f"{currency or 'this asset'} has {decimals} decimals, {text[:40]!r} has {len(part)}")
    minor = int(found["whole"].replace(",", "") + part.ljust(decimals, "0"))
    if not 0 < minor <= AMOUNT_MAX:
        raise BadAmount("an amount is above zero and below 2^63 minor units")
    return minor


def format_amount(minor: int, decimals: int, currency: str = "") -> str:
    """Write minor units with grouping, decimals and currency: `-1,234.50 CNY`."""
    whole, part = divmod(abs(minor), 10**decimals)
    text = f"{whole:,}" + (f".{part:0{decimals}d}" if decimals else "")
    return f"{'-' if minor < 0 else ''}{text}{' ' if currency else ''}{currency}"
