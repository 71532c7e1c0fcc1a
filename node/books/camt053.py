"""camt.053.001.08: the bank-to-customer statement of ISO 20022, for one account.

Rules:
    1. What XML 1.0 cannot hold becomes U+FFFD; texts are cut to the length of their type.
    2. A currency that is no ISO 4217 code is written as `NO_CURRENCY`; its symbol is in the account's name.
    3. Amounts have at most 5 decimals (`ActiveOrHistoricCurrencyAndAmount`): other assets are refused.

*Source*: ISO 20022 message definition report, Bank-to-Customer Cash Management, camt.053.001.08.
"""

import base64
import re
import xml.etree.ElementTree as ET
from typing import Final

from node.books.export import AccountExport, Place, show_ref, write_amount
from node.books.postings import Posting, asset_of
from protocol.errors import Code, Rejected

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
DECIMALS_MAX: Final = 5
NO_CURRENCY: Final = 3 * "X"
"""The code of ISO 4217 for what is no currency."""
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ISO_CURRENCY: Final = re.compile("[A-Z]{3}", re.ASCII)


def write_account(export: AccountExport, place: Place) -> str:
    """Write the statement of one account.

    Raises:
        Rejected: LIMIT (rule 3).
    """
    asset = place.asset(asset_of(export.account))
    if asset.decimals > DECIMALS_MAX:
        raise Rejected(
            Code.LIMIT, f"camt.053 holds {DECIMALS_MAX} decimals, {asset.symbol} has {asset.decimals}"
        )
    currency = asset.symbol if _ISO_CURRENCY.fullmatch(asset.symbol) else NO_CURRENCY
    made = _date_time(place, place.time)
    mark = f"{place.height}-{base64.b32encode(export.account[:10]).decode().lower()}"
    document = ET.Element("Document", xmlns=NAMESPACE)
    root = _child(document, "BkToCstmrStmt")
    header = _child(root, "GrpHdr")
    _child(header, "MsgId", clean_text(mark, 35))
    _child(header, "CreDtTm", made)
    statement = _child(root, "Stmt")
    _child(statement, "Id", clean_text(mark, 35))
    _child(statement, "CreDtTm", made)
    if export.postings:
        period = _child(statement, "FrToDt")
        _child(period, "FrDtTm", _date_time(place, export.postings[0].time))
        _child(period, "ToDtTm", _date_time(place, export.postings[-1].time))
    account = _child(statement, "Acct")
    other = _child(_child(account, "Id"), "Othr")
    # 34 characters hold the owner's 20 bytes in base 32 and no more; the whole name stands below.
    _child(other, "Id", base64.b32encode(export.account[:20]).decode())
    _child(account, "Ccy", currency)
    name = (
        place.account(export.account)
        if currency == asset.symbol
        else f"{asset.symbol} {place.account(export.account)}"
    )
    _child(account, "Nm", clean_text(name, 70))
    first = export.postings[0].time if export.postings else place.time
    last = export.postings[-1].time if export.postings else place.time
    _balance(statement, "OPBD", export.opening, currency, asset.decimals, place.day(first))
    _balance(statement, "CLBD", export.closing, currency, asset.decimals, place.day(last))
    for posting in export.postings:
        _entry(statement, posting, currency, asset.decimals, place)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(document, encoding="unicode") + "\n"


def clean_text(text: str, length_max: int) -> str:
    """Return a text that XML 1.0 can hold, not longer than its type allows."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)[:length_max]


def _entry(parent: ET.Element, posting: Posting, currency: str, decimals: int, place: Place) -> None:
    entry = _child(parent, "Ntry")
    _child(entry, "NtryRef", str(posting.sequence))
    _amount(entry, posting.amount, currency, decimals)
    # For the customer a credit is what makes the balance larger.
    _child(entry, "CdtDbtInd", "CRDT" if posting.signed >= 0 else "DBIT")
    _child(_child(entry, "Sts"), "Cd", "BOOK")
    for tag in ("BookgDt", "ValDt"):
        _child(_child(entry, tag), "DtTm", _date_time(place, posting.time))
    _child(entry, "AcctSvcrRef", f"{posting.height}.{posting.index}")
    _child(_child(_child(entry, "BkTxCd"), "Prtry"), "Cd", str(posting.code))
    details = _child(_child(entry, "NtryDtls"), "TxDtls")
    if posting.ref:
        _child(_child(details, "Refs"), "EndToEndId", clean_text(show_ref(posting.ref), 35))
    _child(_child(details, "RmtInf"), "Ustrd", clean_text(place.account(posting.contra), 140))


def _balance(parent: ET.Element, kind: str, minor: int, currency: str, decimals: int, day: str) -> None:
    balance = _child(parent, "Bal")
    _child(_child(_child(balance, "Tp"), "CdOrPrtry"), "Cd", kind)
    _amount(balance, abs(minor), currency, decimals)
    _child(balance, "CdtDbtInd", "CRDT" if minor >= 0 else "DBIT")
    _child(_child(balance, "Dt"), "Dt", day)


def _amount(parent: ET.Element, minor: int, currency: str, decimals: int) -> None:
    _child(parent, "Amt", write_amount(minor, decimals)).set("Ccy", currency)


def _date_time(place: Place, time: int) -> str:
    minutes = place.utc_offset_seconds // 60
    sign, hours = "-" if minutes < 0 else "+", abs(minutes)
    return f"{place.day(time)}T{place.clock(time)}{sign}{hours // 60:02d}:{hours % 60:02d}"


def _child(parent: ET.Element, tag: str, text: str | None = None) -> ET.Element:
    child = ET.SubElement(parent, tag)
    child.text = text
    return child
