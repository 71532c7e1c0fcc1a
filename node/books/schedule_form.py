"""The rows of a loan for other programs: CSV (RFC 4180), and a calendar with a day for each (RFC 5545).

Knows rows as numbers and texts only. A calendar holds what is not paid yet; each entry keeps its identity, so
a calendar that is imported again replaces what it said before.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from node.books.export import write_amount
from protocol.money import SECONDS_PER_DAY, date_from_days

LINE_OCTETS_MAX = 75
"""A content line of RFC 5545 is folded beyond so many octets (3.1)."""
COLUMNS = ("row", "due", "principal", "interest", "instalment", "paid", "left", "currency")


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A row of a loan, minor units; `due_day` counts from 1970-01-01."""

    due_day: int
    principal: int
    interest: int
    paid: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """A loan with its rows, and the asset in which they are."""

    chain: str
    loan: int
    symbol: str
    decimals: int
    rows: tuple[ScheduleRow, ...]

    def show(self, amount: int) -> str:
        """Write an amount."""
        return write_amount(amount, self.decimals)


def show_date(day: int) -> str:
    """Write a day as 2026-07-31."""
    year, month, of_month = date_from_days(day)
    return f"{year}-{month:02}-{of_month:02}"


def write_csv(schedule: Schedule) -> str:
    """Write all rows, paid ones included."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for number, row in enumerate(schedule.rows, 1):
        whole = row.principal + row.interest
        amounts = (row.principal, row.interest, whole, row.paid, whole - row.paid)
        shown = [schedule.show(amount) for amount in amounts]
        writer.writerow((number, show_date(row.due_day), *shown, schedule.symbol))
    return out.getvalue()


def write_icalendar(schedule: Schedule, now: int) -> str:
    """Write a calendar with a whole-day event for each row that is not paid.

    Args:
        now: when it is written, seconds.
    """
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//coopd//loan schedule//EN", "CALSCALE:GREGORIAN"]
    for number, row in enumerate(schedule.rows, 1):
        left = row.principal + row.interest - row.paid
        if not left:
            continue
        amount = f"{schedule.show(left)} {schedule.symbol}"
        lines += [
            "BEGIN:VEVENT",
            f"UID:loan-{schedule.loan}-{number}@{_escape(schedule.chain)}",
            f"DTSTAMP:{_stamp(now)}",
            f"DTSTART;VALUE=DATE:{_date(row.due_day)}",
            f"DTEND;VALUE=DATE:{_date(row.due_day + 1)}",
            f"SUMMARY:{_escape(f'Loan {schedule.loan}: {amount}')}",
            f"DESCRIPTION:{_escape(f'Instalment {number} of {len(schedule.rows)}, {amount} left to pay.')}",
            "TRANSP:TRANSPARENT",
            "END:VEVENT",
        ]
    return "".join([fold(line) for line in (*lines, "END:VCALENDAR")])


def fold(line: str) -> str:
    """Return a content line folded at 75 octets, never within a character, with its end."""
    parts: list[str] = []
    part, octets = "", 0
    for character in line:
        size = len(character.encode())
        if octets + size > LINE_OCTETS_MAX:
            parts.append(part)
            part, octets = " ", 1
        part += character
        octets += size
    return "\r\n".join([*parts, part]) + "\r\n"


def parse_rows(rows: Sequence[dict[str, object]]) -> tuple[ScheduleRow, ...]:
    """Return the rows that `lending_rows` has answered."""
    return tuple(
        [
            ScheduleRow(
                int(str(row["dueDay"])),
                int(str(row["principal"])),
                int(str(row["interest"])),
                int(str(row["principalPaid"])) + int(str(row["interestPaid"])),
            )
            for row in rows
        ]
    )


def _escape(text: str) -> str:
    for mark in ("\\", ";", ","):
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", "\\n")


def _date(day: int) -> str:
    return show_date(day).replace("-", "")


def _stamp(seconds: int) -> str:
    day, second = divmod(seconds, SECONDS_PER_DAY)
    return f"{_date(day)}T{second // 3_600:02}{second // 60 % 60:02}{second % 60:02}Z"
