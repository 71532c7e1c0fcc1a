"""Payment requests: `coop:<address>?amount=123.45&cur=CNY&ref=...&memo=...&exp=...`.

A parameter that begins with `req-` and is not known makes the whole request unusable; others are passed over.

*Source*: BIP-21 for the form and the `req-` rule.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from protocol.addresses import parse_address
from protocol.errors import Rejected

URI_CHARS_MAX: Final = 1_024
TEXT_CHARS_MAX: Final = 256
_SCHEME: Final = "coop:"
_AMOUNT: Final = re.compile(r"[0-9]{1,19}(\.[0-9]{1,9})?", re.ASCII)


class BadPaymentUri(ValueError):
    """The text is not a payment request; the message says why."""


@dataclass(frozen=True, slots=True)
class PaymentUri:
    """A request to pay.

    Args:
        amount: in display units, exactly as written; None lets the payer choose.
        expires: Unix seconds.
    """

    address: str
    amount: str | None = None
    currency: str | None = None
    memo: str | None = None
    reference: str | None = None
    expires: int | None = None


def parse_payment_uri(text: str) -> PaymentUri:
    """Read a payment request.

    Raises:
        BadPaymentUri: and nothing else.
    """
    if len(text) > URI_CHARS_MAX or not text.lower().startswith(_SCHEME):
        raise BadPaymentUri(f"a payment request begins with {_SCHEME} and is short")
    address, _, query = text[len(_SCHEME) :].partition("?")
    try:
        parse_address(address)
    except Rejected as rejected:
        raise BadPaymentUri(rejected.detail) from None
    values = _read_query(query)
    amount, expires = values.get("amount"), values.get("exp")
    if amount is not None and not _AMOUNT.fullmatch(amount):
        raise BadPaymentUri("amount is a decimal number")
    if expires is not None and not re.fullmatch(r"[0-9]{1,12}", expires, re.ASCII):
        raise BadPaymentUri("exp is a time in seconds")
    return PaymentUri(
        address.lower(),
        amount,
        values.get("cur"),
        values.get("memo"),
        values.get("ref"),
        None if expires is None else int(expires),
    )


def _read_query(query: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, separator, raw = pair.partition("=")
        required = name.startswith("req-")
        name = name.removeprefix("req-")
        if name not in ("amount", "cur", "ref", "memo", "exp"):
            if required:
                raise BadPaymentUri(f"it demands {name[:20]!r}, which this program does not know")
            continue
        try:
            text = unquote(raw, errors="strict")
        except UnicodeDecodeError:
            raise BadPaymentUri(f"{name} is not UTF-8") from None
        if not separator or name in values or not 0 < len(text) <= TEXT_CHARS_MAX or not text.isprintable():
            raise BadPaymentUri(f"{name} is empty, twice there, too long or not printable")
        values[name] = text
    return values
