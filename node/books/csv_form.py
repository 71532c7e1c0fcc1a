"""CSV (RFC 4180): one row a posting, with a header line.

*Rule*: a text that a spreadsheet would take for a formula gets an apostrophe in front; numbers are our own
and stay numbers.
"""

import csv
import io
from collections.abc import Iterable

from node.books.export import AccountExport, Place, show_ref, write_amount
from node.books.postings import Posting, asset_of

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
ACCOUNT_COLUMNS = (
    "sequence",
    "date",
    "time",
    "height",
    "index",
    "contra",
    "side",
    "amount",
    "balance",
    "currency",
    "code",
    "reference",
)
JOURNAL_COLUMNS = (
    "date",
    "time",
    "height",
    "index",
    "debit",
    "credit",
    "amount",
    "currency",
    "code",
    "reference",
)


def write_account(export: AccountExport, place: Place) -> str:
    """Write the postings of one account with their running balance."""
    asset = place.asset(asset_of(export.account))
    rows = (
        (
            p.sequence,
            place.day(p.time),
            place.clock(p.time),
            p.height,
            p.index,
            safe_text(place.account(p.contra)),
            "credit" if p.is_credit else "debit",
            write_amount(p.amount, asset.decimals),
            write_amount(p.balance, asset.decimals),
            safe_text(asset.symbol),
            p.code,
            safe_text(show_ref(p.ref)),
        )
        for p in export.postings
    )
    return _write(ACCOUNT_COLUMNS, rows)


def write_journal(postings: Iterable[Posting], place: Place) -> str:
    """Write a journal: one row a movement, given by the posting of either of its accounts."""

    def row(p: Posting) -> tuple[object, ...]:
        asset = place.asset(asset_of(p.account))
        debit, credit = (p.contra, p.account) if p.is_credit else (p.account, p.contra)
        return (
            place.day(p.time),
            place.clock(p.time),
            p.height,
            p.index,
            safe_text(place.account(debit)),
            safe_text(place.account(credit)),
            write_amount(p.amount, asset.decimals),
            safe_text(asset.symbol),
            p.code,
            safe_text(show_ref(p.ref)),
        )

    return _write(JOURNAL_COLUMNS, map(row, postings))


def safe_text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return "'" + text if text.startswith(_FORMULA) else text


def _write(columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
