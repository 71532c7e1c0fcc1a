"""Exports are read back by real readers: Python's csv, an XML parser, and beancount where it is installed."""

import csv
import io
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.books import beancount_form, camt053, csv_form
from node.books.export import AccountExport, Asset, Place, show_ref, write_amount
from node.books.postings import Posting, check_statement, read_record
from node.cluster.founding import CURRENCY_NUMBER, demo_address
from node.store.journal import by_place, walk_moves
from protocol.addresses import HRP_TEST, format_address
from protocol.contracts.ledger.accounts import ACCOUNT, MEMBER_FREE, account_key
from protocol.errors import Code, Rejected
from protocol.params import AMOUNT_MAX, ASSET_DECIMALS_MAX
from tests.node.job_chain import make_job_chain

ADA = account_key(demo_address("ada"), MEMBER_FREE, CURRENCY_NUMBER)
NS = {"c": camt053.NAMESPACE}


class Books:
    """The demo's books: ada's statement, all movements, what every account ends with."""

    def __init__(self, folder: Path) -> None:
        chain = make_job_chain(folder / "store", int(time.time() * 1_000) - 60_000)
        head = chain.store.head()
        assets = {CURRENCY_NUMBER: Asset("CNY", 2)}
        self.place = Place("riverbend-demo", HRP_TEST, 8 * 3_600, assets, head.height, head.time_ms // 1_000)
        with chain.store.journal_walk() as (peek, state):
            self.moves = sorted(walk_moves(peek, state), key=by_place)
            record = read_record(ADA, state.get(ACCOUNT.prefix + ADA))
            self.closings = {
                key[len(ACCOUNT.prefix) :]: _debit_side(value) for key, value in state.scan(ACCOUNT.prefix)
            }
        raws = [row.row for row in chain.store.journal(ADA)][::-1]
        self.ada = AccountExport(ADA, 0, check_statement(ADA, raws, record))
        chain.store.close()


def _debit_side(value: bytes) -> int:
    from protocol import codec

    row = codec.decode(value, 4_096)
    assert isinstance(row, tuple) and isinstance(row[3], int) and isinstance(row[5], int)
    return row[3] - row[5]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    yield Books(tmp_path_factory.mktemp("books"))


def local_time(posting: Posting) -> datetime:
    return datetime.fromtimestamp(posting.time, timezone(timedelta(hours=8)))


# --- CSV


def test_csv_of_an_account_is_its_statement(books: Books) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_form.write_account(books.ada, books.place))))
    assert [int(row["sequence"]) for row in rows] == list(range(1, len(rows) + 1))
    balance = Decimal(0)
    for row, posting in zip(rows, books.ada.postings, strict=True):
        balance += Decimal(row["amount"]) * (1 if row["side"] == "credit" else -1)
        assert Decimal(row["balance"]) == balance == Decimal(posting.balance) / 100
        assert row["currency"] == "CNY" and row["contra"].startswith("tcoop1")
    made = local_time(books.ada.postings[0])
    assert rows[0]["date"] == f"{made:%Y-%m-%d}" and rows[0]["time"] == f"{made:%H:%M:%S}"


def test_csv_of_the_books_sums_up_to_every_account(books: Books) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_form.write_journal(books.moves, books.place))))
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums[row["debit"]] = sums.get(row["debit"], Decimal(0)) + Decimal(row["amount"])
        sums[row["credit"]] = sums.get(row["credit"], Decimal(0)) - Decimal(row["amount"])
    named = {books.place.account(account): Decimal(minor) / 100 for account, minor in books.closings.items()}
    assert {name: total for name, total in sums.items() if total} == {n: t for n, t in named.items() if t}


def hostile(books: Books, symbol: str = "CNY", ref: bytes = b"") -> tuple[AccountExport, Place]:
    postings = [replace(posting, ref=ref) for posting in books.ada.postings]
    return replace(books.ada, postings=postings), replace(books.place, assets={1: Asset(symbol, 2)})


@pytest.mark.parametrize(
    "ref", [b"=HYPERLINK(1)", b"+1", b"-1", b"@SUM(A1)", b"a\"b,c'd", b"<&>]]>", b'\\"x']
)
def test_no_reference_becomes_a_formula_or_breaks_a_form(books: Books, ref: bytes) -> None:
    export, place = hostile(books, ref=ref)
    rows = list(csv.DictReader(io.StringIO(csv_form.write_account(export, place))))
    text = ref.decode()
    assert {row["reference"] for row in rows} == {"'" + text if text[0] in "=+-@" else text}
    found = ET.fromstring(camt053.write_account(export, place)).findall(".//c:EndToEndId", NS)
    assert {one.text for one in found} == {text}


@given(st.text(max_size=40))
def test_texts_stay_one_cell_and_are_never_a_formula(text: str) -> None:
    safe = csv_form.safe_text(text)
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) and safe.endswith(text)
    document = ET.fromstring(f"<a>{_escape(camt053.clean_text(text, 35))}</a>")
    assert len(document.text or "") <= 35


def _escape(text: str) -> str:
    from xml.sax.saxutils import escape

    return escape(text, {"\r": "&#13;"})


@pytest.mark.parametrize("ref", [b"\x00\x01", b"\xff", b"a\nb", "七月".encode()])
def test_what_is_no_printable_text_is_written_in_hex(ref: bytes) -> None:
    assert show_ref(ref) == "0x" + ref.hex()


# --- camt.053


def test_camt_holds_balances_and_entries_that_add_up(books: Books) -> None:
    root = ET.fromstring(camt053.write_account(books.ada, books.place))
    statement = root.find("c:BkToCstmrStmt/c:Stmt", NS)
    assert root.tag == f"{{{camt053.NAMESPACE}}}Document" and statement is not None
    tags = [child.tag.split("}")[1] for child in statement]
    assert [tag for at, tag in enumerate(tags) if tag not in tags[:at]] == [
        "Id",
        "CreDtTm",
        "FrToDt",
        "Acct",
        "Bal",
        "Ntry",
    ]

    def signed(element: ET.Element) -> Decimal:
        amount = element.find("c:Amt", NS)
        assert amount is not None and amount.text is not None and amount.get("Ccy") == "CNY"
        return Decimal(amount.text) * (1 if element.findtext("c:CdtDbtInd", None, NS) == "CRDT" else -1)

    balances = {
        b.findtext("c:Tp/c:CdOrPrtry/c:Cd", None, NS): signed(b) for b in statement.findall("c:Bal", NS)
    }
    entries = statement.findall("c:Ntry", NS)
    assert len(entries) == len(books.ada.postings) > 3
    assert (
        balances["OPBD"] + sum(map(signed, entries)) == balances["CLBD"] == Decimal(books.ada.closing) / 100
    )
    order = [child.tag.split("}")[1] for child in entries[0]]
    wanted = ["NtryRef", "Amt", "CdtDbtInd", "Sts", "BookgDt", "ValDt", "AcctSvcrRef", "BkTxCd", "NtryDtls"]
    assert order == wanted
    for path, length in (
        ("c:GrpHdr/c:MsgId", 35),
        ("c:Stmt/c:Acct/c:Id/c:Othr/c:Id", 34),
        ("c:Stmt/c:Acct/c:Nm", 70),
    ):
        text = root.findtext(f"c:BkToCstmrStmt/{path}", None, NS)
        assert text and len(text) <= length
    booked = root.findtext(".//c:BookgDt/c:DtTm", None, NS)
    assert booked is not None and datetime.fromisoformat(booked) == local_time(books.ada.postings[0])
    assert booked.endswith("+08:00")


def test_camt_of_other_assets(books: Books) -> None:
    export, place = hostile(books, symbol="RICE")
    root = ET.fromstring(camt053.write_account(export, place))
    assert root.findtext(".//c:Acct/c:Ccy", None, NS) == camt053.NO_CURRENCY
    assert (root.findtext(".//c:Acct/c:Nm", None, NS) or "").startswith("RICE ")
    fine = replace(place, assets={1: Asset("FINE", camt053.DECIMALS_MAX)})
    assert camt053.write_account(export, fine)
    with pytest.raises(Rejected) as caught:
        camt053.write_account(export, replace(place, assets={1: Asset("FINE", camt053.DECIMALS_MAX + 1)}))
    assert caught.value.code == Code.LIMIT


def test_an_account_without_postings_has_a_statement(books: Books) -> None:
    empty = AccountExport(ADA, 0, ())
    root = ET.fromstring(camt053.write_account(empty, books.place))
    assert len(root.findall(".//c:Bal", NS)) == 2 and not root.findall(".//c:Ntry", NS)
    assert csv_form.write_account(empty, books.place).count("\n") == 1


# --- beancount


def load(text: str):  # type: ignore[no-untyped-def]
    loader = pytest.importorskip("beancount.loader")
    entries, errors, _ = loader.load_string(text)
    return entries, [error.message for error in errors]


def test_beancount_accepts_the_books_and_finds_the_same_balances(books: Books) -> None:
    text = beancount_form.write_journal(books.moves, books.place, {}, books.closings)
    entries, errors = load(text)
    assert errors == []
    assert sum(type(entry).__name__ == "Transaction" for entry in entries) == len(books.moves)
    assert sum(type(entry).__name__ == "Balance" for entry in entries) == len(books.closings)
    # Its own sums are what the state says: another number is refused.
    account = next(account for account, minor in books.closings.items() if minor)
    wrong = {**books.closings, account: books.closings[account] + 1}
    assert load(beancount_form.write_journal(books.moves, books.place, {}, wrong))[1]


def test_beancount_accepts_a_part_with_opening_balances(books: Books) -> None:
    part = [move for move in books.moves if move.height > 0]
    openings = dict(books.closings)
    for move in part:
        debit, credit = (move.contra, move.account) if move.is_credit else (move.account, move.contra)
        openings[debit] -= move.amount
        openings[credit] += move.amount
    assert load(beancount_form.write_journal(part, books.place, openings, books.closings))[1] == []


@pytest.mark.parametrize("symbol", ["CNY", "A", "9X", "ABCDEFGHIJ12"])
@pytest.mark.parametrize("ref", [b'"; drop', b"\\", b'\\"', b"x"])
def test_beancount_reads_every_symbol_and_reference(books: Books, symbol: str, ref: bytes) -> None:
    place = replace(books.place, assets={1: Asset(symbol, 2)})
    moves = [replace(move, ref=ref) for move in books.moves]
    entries, errors = load(beancount_form.write_journal(moves, place, {}, books.closings))
    assert errors == []
    told = {entry.narration for entry in entries if type(entry).__name__ == "Transaction"}
    assert all(ref.decode() in one for one in told)


# --- amounts


@given(st.integers(-AMOUNT_MAX, AMOUNT_MAX), st.integers(0, ASSET_DECIMALS_MAX))
def test_amounts_keep_every_minor_unit(minor: int, decimals: int) -> None:
    text = write_amount(minor, decimals)
    assert Decimal(text).scaleb(decimals) == minor
    assert len(text.partition(".")[2]) == decimals


def test_a_posting_knows_how_it_changes_its_balance() -> None:
    cash = account_key(demo_address("ada"), 1010, 1)
    base = (1, 0, 0, 0, ADA, False, 5, 0, b"", 5)
    assert Posting(cash, *base).signed == 5 and Posting(ADA, *base).signed == -5
    assert (
        format_address(demo_address("ada"), HRP_TEST)
        == Place("x", HRP_TEST, 0, {}, 0, 0).account(cash).split("/")[0]
    )
