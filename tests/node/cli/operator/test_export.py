"""`coopd export`: the whole books, and parts of them, add up to what the state says."""

import csv
import io
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from node.cli.operator.export import export_books, write_books
from node.cli.terminal import Failure
from tests.node.job_chain import make_job_chain
from tests.node.small_chain import SmallChain


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[SmallChain]:
    made = make_job_chain(tmp_path / "store", int(time.time() * 1_000) - 60_000)
    yield made
    made.store.close()


def read_csv(text: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_journal_is_in_the_order_of_time(chain: SmallChain) -> None:
    text, rows = write_books(chain.store, "csv")
    found = read_csv(text)
    assert len(found) == rows and [int(row["height"]) for row in found] == [0, 0, 0, 4, 4, 4, 6]
    assert sum(Decimal(row["amount"]) for row in found[3:]) == Decimal("3.15")


def test_days_cut_the_books(chain: SmallChain) -> None:
    whole, rows = write_books(chain.store, "csv")
    days = sorted({row["date"] for row in read_csv(whole)})
    assert write_books(chain.store, "csv", days[0], days[-1]) == (whole, rows)
    assert write_books(chain.store, "csv", to_day="1999-12-31")[1] == 0
    assert write_books(chain.store, "csv", "2199-12-31")[1] == 0


@pytest.mark.parametrize(
    "days", [("", ""), ("2199-12-31", ""), ("", "2199-12-31"), ("2000-01-01", "2199-12-31")]
)
def test_beancount_agrees_with_the_state(chain: SmallChain, days: tuple[str, str]) -> None:
    loader = pytest.importorskip("beancount.loader")
    text, rows = write_books(chain.store, "beancount", *days)
    entries, errors, _ = loader.load_string(text)
    assert errors == [] and text.count(" balance ") > 3
    assert sum(type(entry).__name__ == "Transaction" and "height" in entry.meta for entry in entries) == rows


def test_books_are_exported_to_a_file(tmp_path: Path) -> None:
    chain = make_job_chain(tmp_path / "store", int(time.time() * 1_000) - 60_000)
    text = write_books(chain.store, "csv")[0]
    chain.store.close()
    export_books(tmp_path / "store", "csv", tmp_path / "books.csv", "", "")
    assert (tmp_path / "books.csv").read_bytes() == text.encode()
    with pytest.raises(Failure):
        export_books(tmp_path / "store", "camt053", tmp_path / "books.xml", "", "")
