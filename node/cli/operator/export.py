"""`coopd export`: the books of a node as CSV or beancount, whole or by days; reads the database only."""

from pathlib import Path
from typing import Final

from node.books import beancount_form, csv_form
from node.books.export import Asset, Place
from node.books.postings import Posting, read_record
from node.cli.session import session
from node.cli.terminal import Exit, Failure
from node.store.journal import by_place, walk_moves, walk_postings
from node.store.state import StateView
from node.store.store import Store
from protocol.addresses import HRP_MAIN, HRP_TEST
from protocol.contracts.assets.records import ASSETS
from protocol.contracts.ledger.accounts import ACCOUNT, compute_balance
from protocol.vm.view import View

FORMS: Final = ("csv", "beancount")


def export_books(store_path: Path, form: str, out: Path, from_day: str, to_day: str) -> None:
    """Write the journal of the books to a file.

    Raises:
        Failure: there is no such form.
        OperationError: those of opening a store.
    """
    if form not in FORMS:
        raise Failure(
            "Nothing was exported.",
            f"there is no form {form[:20]!r} for whole books.",
            f"use {' or '.join(FORMS)}",
            "cli.usage",
            Exit.USAGE,
        )
    store = Store.open(store_path, readonly=True)
    try:
        text, rows = write_books(store, form, from_day, to_day)
    finally:
        store.close()
    out.write_text(text, encoding="utf-8", newline="")
    session.terminal.show({"rows": rows, "file": str(out)}, f"{rows:,} movements in {out}")


def write_books(store: Store, form: str, from_day: str = "", to_day: str = "") -> tuple[str, int]:
    """Write the journal of the books in a form; returns it with the number of its movements.

    *Cost*: about 20 us and 1 KiB of memory a movement.
    """
    genesis = store.genesis()
    with store.journal_walk() as (peek, state):
        head = state.head
        hrp = HRP_TEST if genesis.is_dev else HRP_MAIN
        offset, assets = genesis.utc_offset_seconds, _list_assets(state)
        place = Place(genesis.name, hrp, offset, assets, head.height, head.time_ms // 1_000)

        def is_inside(posting: Posting) -> bool:
            day = place.day(posting.time)
            return (not from_day or day >= from_day) and (not to_day or day <= to_day)

        moves = sorted([move for move in walk_moves(peek, state) if is_inside(move)], key=by_place)
        if form == "csv":
            return csv_form.write_journal(moves, place), len(moves)
        openings, closings = dict[bytes, int](), dict[bytes, int]()
        for posting, _ in walk_postings(peek):
            sign, day = compute_balance(posting.account, 1, 0), place.day(posting.time)
            if from_day and day < from_day:
                openings[posting.account] = sign * posting.balance
            if to_day and day <= to_day:
                closings[posting.account] = sign * posting.balance
        if not to_day:
            closings = {}
            for key, value in state.scan(ACCOUNT.prefix):
                account = key[len(ACCOUNT.prefix) :]
                closings[account] = compute_balance(account, 1, 0) * read_record(account, value).balance
    return beancount_form.write_journal(moves, place, openings, closings), len(moves)


def _list_assets(state: StateView) -> dict[int, Asset]:
    found = {}
    for key, row in ASSETS.scan(View(state)):
        number = ASSETS.parts(key)[0]
        assert isinstance(number, int)
        found[number] = Asset(row[1], row[3])
    return found
