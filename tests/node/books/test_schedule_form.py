"""Schedules for a spreadsheet and a calendar."""

import csv
import io

from node.books.schedule_form import (
    LINE_OCTETS_MAX,
    Schedule,
    ScheduleRow,
    fold,
    parse_rows,
    write_csv,
    write_icalendar,
)

ROWS = (ScheduleRow(20_454, 100_000, 1_000, 101_000), ScheduleRow(20_485, 100_001, 500, 40_000))
SCHEDULE = Schedule("rice, 1", 7, "CNY", 2, ROWS)


def test_all_rows_are_in_the_csv_with_what_is_left() -> None:
    first, second = list(csv.DictReader(io.StringIO(write_csv(SCHEDULE), newline="")))
    assert first["due"] == "2026-01-01" and (first["instalment"], first["left"]) == ("1010.00", "0.00")
    assert (second["principal"], second["paid"], second["left"]) == ("1000.01", "400.00", "605.01")
    assert second["currency"] == "CNY"


def test_what_is_not_paid_is_in_the_calendar_as_rfc_5545_wants_it() -> None:
    text = write_icalendar(SCHEDULE, 20_460 * 86_400 + 3_661)
    lines = text.split("\r\n")
    assert (
        lines[0] == "BEGIN:VCALENDAR" and lines[-2:] == ["END:VCALENDAR", ""] and "\n" not in "".join(lines)
    )
    assert text.count("BEGIN:VEVENT") == text.count("END:VEVENT") == 1
    assert "UID:loan-7-2@rice\\, 1" in lines and "DTSTAMP:20260107T010101Z" in lines
    assert "DTSTART;VALUE=DATE:20260201" in lines and "DTEND;VALUE=DATE:20260202" in lines
    assert "SUMMARY:Loan 7: 605.01 CNY" in lines
    assert all(len(line.encode()) <= LINE_OCTETS_MAX for line in lines)


def test_a_line_is_folded_at_its_limit_and_never_within_a_character() -> None:
    assert fold("x" * LINE_OCTETS_MAX) == "x" * LINE_OCTETS_MAX + "\r\n"
    assert fold("x" * (LINE_OCTETS_MAX + 1)) == "x" * LINE_OCTETS_MAX + "\r\n x\r\n"
    folded = fold("米" * 60)
    assert all(len(line.encode()) <= LINE_OCTETS_MAX for line in folded.split("\r\n"))
    assert folded.replace("\r\n ", "") == "米" * 60 + "\r\n"


def test_rows_of_an_answer_are_read() -> None:
    row = {"dueDay": 5, "principal": "10", "interest": "2", "principalPaid": "3", "interestPaid": "1"}
    assert parse_rows([row]) == (ScheduleRow(5, 10, 2, 4),)
