"""Beancount: double entry as plain text, one transaction a movement, with balance assertions at the end.

An account of the ledger becomes `Liabilities:C2010:M-<address>:S0`; memoranda (9xxx) stand under Equity, for
they are balanced among themselves. Debits are positive, as beancount writes them.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from node.books.export import AccountExport, Place, show_ref, write_amount
from node.books.postings import Posting, asset_of, format_day
from protocol.addresses import format_address
from protocol.contracts.ledger.accounts import compute_balance, read_account_key
from protocol.money import compute_day

_ROOTS: Final = {1: "Assets", 2: "Liabilities", 3: "Equity", 4: "Income", 5: "Expenses", 9: "Equity"}


def write_journal(
    postings: Iterable[Posting], place: Place, openings: Mapping[bytes, int], closings: Mapping[bytes, int]
) -> str:
    """Write a journal: one transaction a movement, given by the posting of either of its accounts.

    Args:
        openings: debits less credits that accounts had before the first posting, against the equity account
            `Equity:Opening`.
        closings: debits less credits after the last one, which the reader holds against its own sums.
    """
    moves = list(postings)
    first = min([move.time for move in moves], default=place.time)
    start = format_day(compute_day(first, place.utc_offset_seconds))
    end = format_day(compute_day(max([place.time, *[m.time for m in moves]]), place.utc_offset_seconds) + 1)
    accounts = sorted({*openings, *closings, *[m.account for m in moves], *[m.contra for m in moves]})
    names = {account: name_account(account, place) for account in accounts}
    lines = [f'option "title" {quote(f"{place.name}, height {place.height}")}', ""]
    symbols = sorted({name_asset(asset_of(account), place) for account in accounts})
    lines += [f"{start} commodity {symbol}" for symbol in symbols]
    lines += [f"{start} open {name}" for name in sorted({*names.values(), "Equity:Opening"})]
    lines.append("")
    for account, minor in sorted(openings.items()):
        if minor:
            lines += [f'{start} * "opening balance"', _leg(names[account], minor, account, place)]
            lines += [_leg("Equity:Opening", -minor, account, place), ""]
    for move in moves:
        debit, credit = (move.contra, move.account) if move.is_credit else (move.account, move.contra)
        reference = f" {show_ref(move.ref)}" if move.ref else ""
        lines += [
            f"{place.day(move.time)} * {quote(f'code {move.code}{reference}')}",
            f"  height: {move.height}",
            f"  index: {move.index}",
            _leg(names[debit], move.amount, debit, place),
            _leg(names[credit], -move.amount, credit, place),
            "",
        ]
    for account, minor in sorted(closings.items()):
        asset = place.asset(asset_of(account))
        amount = write_amount(minor, asset.decimals)
        # `~ 0`: without it the reader lets one minor unit pass.
        lines.append(f"{end} balance {names[account]}  {amount} ~ 0 {name_asset(asset_of(account), place)}")
    return "\n".join(lines) + "\n"


def write_account(export: AccountExport, place: Place) -> str:
    """Write the postings of one account, with its balances before and after."""
    account = export.account
    sign = compute_balance(account, 1, 0)
    openings, closings = {account: sign * export.opening}, {account: sign * export.closing}
    return write_journal(export.postings, place, openings, closings)


def name_account(account: bytes, place: Place) -> str:
    """Return the name of an account, as beancount can read it."""
    owner, account_class, _, sub = read_account_key(account)
    return f"{_ROOTS[account_class // 1_000]}:C{account_class}:M-{format_address(owner, place.hrp)}:S{sub}"


def name_asset(number: int, place: Place) -> str:
    """Return the name of an asset: a commodity begins with a letter, ends with letter or digit, has two or
    more."""
    symbol = place.asset(number).symbol
    return symbol if len(symbol) > 1 and symbol[0].isalpha() else f"ASSET{number}-{symbol}"


def quote(text: str) -> str:
    """Write a text inside quotes; nothing in it can end them."""
    plain = "".join([char if char >= " " else " " for char in text])
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _leg(name: str, minor: int, account: bytes, place: Place) -> str:
    asset = place.asset(asset_of(account))
    return f"  {name}  {write_amount(minor, asset.decimals)} {name_asset(asset_of(account), place)}"
