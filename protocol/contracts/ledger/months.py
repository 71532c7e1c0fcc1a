"""Closings: what the class totals were at the end of each month, so that a period is one difference.

The first leg of a month copies the totals of its asset aside, so a leg of any other day costs one look, and
no month needs a job. Months are written 202611; a month in which nothing moved has the closing before it.

Knows totals, never accounts; what a class means is `books.py` and above.

*Source*: contracts.md 4, `ledger.period`. *Departs*: kept as closings instead of sums, since a sum is the
difference of two closings and a closing is no sum.
"""

from typing import Any, Final, TypeAlias

from protocol.contracts.ledger.accounts import COUNTERS, ID, TOTAL, TURNS
from protocol.money import date_from_days, days_from_date
from protocol.params import AMOUNT_MAX
from protocol.vm.keys import uint_key
from protocol.vm.kinds import U32, Field, Integer
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

MONTH_LAST: Final = 999_912
MONTH: Final = Integer("month", 197_001, MONTH_LAST)

BookRow: TypeAlias = tuple[int, int, int]
ClosingRow: TypeAlias = tuple[int, int, int, int, int]
"""(schema, debits, credits, turns of the debits, turns of the credits)"""
Balances: TypeAlias = tuple[tuple[int, int], ...]

BOOK: Final[Table[BookRow]] = Table(
    ID,
    8,
    "book",
    (uint_key("asset", 32),),
    (Field("month", U32, "of the newest leg, as 202611"), Field("last_day", U32, "of that month")),
    doc="The month that is open.",
)
CLOSINGS: Final[Table[ClosingRow]] = Table(
    ID,
    9,
    "closing",
    (uint_key("asset", 32), uint_key("class", 16), uint_key("month_from_last", 32)),
    (COUNTERS[1], COUNTERS[3], Field("debits_turns", U32), Field("credits_turns", U32)),
    doc="Posted sums of a class at the end of each month in which the asset moved, newest first.",
)


def open_month(view: View, asset: bytes, day: int) -> None:
    """Keep the closings of the month before, when a leg is the first of another one."""
    row: Any = view.get(BOOK.prefix + asset)
    if row is not None and day <= row[2]:
        return
    if row is not None:
        _close(view, int.from_bytes(asset, "big"), row[1])
    year, month, _ = date_from_days(day)
    last_day = days_from_date(year + month // 12, month % 12 + 1, 1) - 1
    view.put(BOOK.prefix + asset, (SCHEMA, year * 100 + month, last_day))


def _close(view: View, asset: int, month: int) -> None:
    rows = [(TOTAL.parts(key)[1], row) for key, row in view.scan(TOTAL.key(asset))]
    for account_class, row in rows:
        assert type(account_class) is int and type(row[2]) is int and type(row[4]) is int
        turns = TURNS.peek(view, TURNS.key(asset, account_class)) or (SCHEMA, 0, 0)
        key = CLOSINGS.key(asset, account_class, MONTH_LAST - month)
        view.put(key, (SCHEMA, row[2], row[4], *turns[1:]))


def find_closing(view: View, asset: int, account_class: int, month: int) -> tuple[int, int]:
    """Return all that was ever debited and credited to a class up to the end of a month. One seek."""
    book = BOOK.get(view, BOOK.key(asset))
    if book is None:
        return 0, 0
    if month >= book[1]:
        total = TOTAL.get(view, TOTAL.key(asset, account_class)) or (SCHEMA, 0, 0, 0, 0)
        turns = TURNS.get(view, TURNS.key(asset, account_class)) or (SCHEMA, 0, 0)
        return _whole(total[2], turns[1]), _whole(total[4], turns[2])
    start = CLOSINGS.key(asset, account_class, MONTH_LAST - month)
    for _, row in CLOSINGS.scan(view, asset, account_class, start=start):
        return _whole(row[1], row[3]), _whole(row[2], row[4])
    return 0, 0


def _whole(posted: int, turns: int) -> int:
    return posted + turns * (AMOUNT_MAX + 1)


def list_changes(view: View, asset: int, before: int, until: int) -> Balances:
    """Return (class, credits less debits) of what moved after a month, up to the end of another."""
    found: list[tuple[int, int]] = []
    for key, _ in TOTAL.scan(view, asset):
        account_class = TOTAL.parts(key)[1]
        assert type(account_class) is int
        first, last = (find_closing(view, asset, account_class, month) for month in (before, until))
        found.append((account_class, last[1] - first[1] - last[0] + first[0]))
    return tuple(found)


def month_before(month: int) -> int:
    """Return the month before one."""
    return month - 1 if month % 100 > 1 else month - 89
