"""Books for people and their programs: statements that one state proof proves, and exports.

A statement is the rows of one account as they are hashed (D22); whoever has the account's proven record
checks them without trusting this node (`node/books/postings.py`). It does not know how forms are written
(`node/books/`).
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec

from node.books import beancount_form, camt053, csv_form
from node.books.export import AccountExport, Asset, Place, show_ref
from node.books.postings import AccountRecord, Posting, decode_posting, read_record
from node.ipc.messages import Prove, Proved
from node.rpc.dispatch import Method
from node.rpc.failure import RpcFailure
from node.rpc.forms import Form, SealForm
from node.rpc.methods.chain import find_header
from node.rpc.methods.epochs import seal_form
from node.rpc.methods.params import AddressParam, At, Limit, Params
from node.rpc.service import Call
from node.rpc.values import read_address, to_hex
from protocol.contracts.assets.records import ASSETS
from protocol.contracts.ledger.accounts import ACCOUNT, MEMBER_FREE, account_key
from protocol.money import SECONDS_PER_DAY, days_from_date, days_in_month
from protocol.vm.view import View

EXPORT_ROWS_MAX: Final = 2_000
"""Rows that one answer holds; `coopd export` has no limit."""
SEQUENCE_MAX: Final = (1 << 48) - 1

_U16 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 16) - 1)]
_U32 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)]
Day = Annotated[str, msgspec.Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="such as 2026-07-31")]


class AccountParams(Params, kw_only=True):
    """An account of the ledger and a stretch of days of the co-op's calendar, both ends included."""

    address: AddressParam
    account_class: _U16 = MEMBER_FREE
    asset: _U32 = 1
    sub: _U32 = 0
    from_day: Day | None = None
    to_day: Day | None = None


class StatementParams(AccountParams, kw_only=True):
    """Which rows: from a sequence on, at most so many; and whether to prove the account's record."""

    first: Annotated[int, msgspec.Meta(ge=1, le=SEQUENCE_MAX)] = 1
    limit: Limit = 30
    prove: bool = False
    at: At = None


class ExportParams(AccountParams, kw_only=True):
    """A form: csv, camt053 or beancount."""

    format: str
    at: At = None


class RowForm(Form):
    """A posting with the balance after it; `raw` is the row as the account's hash covers it."""

    sequence: int
    date: str
    time: int
    height: int
    index: int
    contra: str
    side: str
    amount: str
    balance: str
    code: int
    reference: str
    raw: str


class RecordProof(Form):
    """The account's record at the newest height, with everything that proves it to one who knows genesis."""

    height: int
    key: str
    value: str | None
    page: str
    siblings: list[str]
    header: str | None
    certificate: str | None
    seals: list[SealForm]


class StatementForm(Form):
    """Rows in order; `next` is the sequence to go on with, nil at the end."""

    height: int
    account: str
    currency: str
    decimals: int
    rows_total: int
    opening: str
    closing: str
    rows: list[RowForm]
    next: int | None
    proof: RecordProof | None = None


class ExportForm(Form):
    """A document."""

    height: int
    format: str
    rows: int
    text: str


async def get_statement(call: Call, params: StatementParams) -> StatementForm:
    """Return postings of an account with their running balance."""
    account, record, place = _open_account(call, params)
    low, high = _find_stretch(call, account, record.sequence, params)
    first = max(low, params.first)
    rows = _load(call, account, first, min(high, first + params.limit - 1))
    _check_begin(call, first, high, rows)
    following = rows[-1][0].sequence + 1 if rows else high + 1
    opening = rows[0][0].balance - rows[0][0].signed if rows else _balance_before(call, account, first)
    asset = place.asset(params.asset)
    return StatementForm(
        place.height,
        place.account(account),
        asset.symbol,
        asset.decimals,
        record.sequence,
        str(opening),
        str(rows[-1][0].balance if rows else opening),
        [_row_form(posting, raw, place) for posting, raw in rows],
        following if following <= high else None,
        await prove_record(call, ACCOUNT.prefix + account) if params.prove else None,
    )


async def export(call: Call, params: ExportParams) -> ExportForm:
    """Write the postings of an account in a form that other programs read."""
    write = _FORMS.get(params.format)
    if write is None:
        raise RpcFailure("rpc.bad_params", detail=f"one of {', '.join(_FORMS)} - at `$.format`")
    account, record, place = _open_account(call, params)
    low, high = _find_stretch(call, account, record.sequence, params)
    if high - low >= EXPORT_ROWS_MAX:
        raise RpcFailure("rpc.too_large", asked=high - low + 1, unit="rows", limit=EXPORT_ROWS_MAX)
    rows = _load(call, account, low, high)
    _check_begin(call, low, high, rows)
    postings = [posting for posting, _ in rows]
    opening = postings[0].balance - postings[0].signed if postings else _balance_before(call, account, low)
    text = write(AccountExport(account, opening, postings), place)
    return ExportForm(place.height, params.format, len(postings), text)


def _open_account(call: Call, params: StatementParams | ExportParams) -> tuple[bytes, AccountRecord, Place]:
    """Return the key and the record of an account, and where it is looked at from."""
    owner = read_address(params.address, call.facts.hrp)
    account = account_key(owner, params.account_class, params.asset, params.sub)
    genesis, height = call.facts.genesis, call.state_height_of(params.at)
    with call.state(height) as state:
        record = read_record(account, state.get(ACCOUNT.prefix + account))
        row = ASSETS.get(View(state), ASSETS.key(params.asset))
    assets = {} if row is None else {params.asset: Asset(row[1], row[3])}
    time = call.time_ms_of(height) // 1_000
    place = Place(genesis.name, call.facts.hrp, genesis.utc_offset_seconds, assets, height, time)
    return account, record, place


def _find_stretch(call: Call, account: bytes, count: int, params: AccountParams) -> tuple[int, int]:
    """Return the first and the last sequence inside the days that were asked."""

    def time_of(sequence: int) -> int:
        rows = _load(call, account, sequence, sequence)
        return rows[0][0].time if rows else -1  # below a snapshot: before everything that is kept

    low, high = 1, count
    if params.from_day is not None:
        low = 1 + bisect_left(range(1, count + 1), _begin_of(call, params.from_day, 0), key=time_of)
    if params.to_day is not None:
        high = bisect_left(range(1, count + 1), _begin_of(call, params.to_day, 1), key=time_of)
    return low, high


def _begin_of(call: Call, text: str, days_later: int) -> int:
    year, month, day = map(int, text.split("-"))
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= days_in_month(year, month)):
        raise RpcFailure("rpc.bad_params", detail=f"{text} is no day of the calendar")
    days = days_from_date(year, month, day) + days_later
    return days * SECONDS_PER_DAY - call.facts.genesis.utc_offset_seconds


def _load(call: Call, account: bytes, first: int, last: int) -> list[tuple[Posting, bytes]]:
    if last < first:
        return []
    found = call.store.journal(account, last + 1, last - first + 1)
    return [
        (decode_posting(account, row.sequence, row.row), row.row)
        for row in reversed(found)
        if row.sequence >= first
    ]


def _check_begin(call: Call, first: int, last: int, rows: list[tuple[Posting, bytes]]) -> None:
    """Refuse a stretch whose first rows lie below the snapshot that this node began with.

    Raises:
        RpcFailure: chain.pruned.
    """
    if first <= last and (not rows or rows[0][0].sequence > first):
        raise RpcFailure("chain.pruned", asked=0, oldest=call.store.base() + 1)


def _balance_before(call: Call, account: bytes, sequence: int) -> int:
    """Return the balance that the row before a sequence left; 0 when there is none."""
    found = call.store.journal(account, sequence, 1)
    return decode_posting(account, found[0].sequence, found[0].row).balance if found else 0


def _row_form(posting: Posting, raw: bytes, place: Place) -> RowForm:
    return RowForm(
        posting.sequence,
        place.day(posting.time),
        posting.time,
        posting.height,
        posting.index,
        place.account(posting.contra),
        "credit" if posting.is_credit else "debit",
        str(posting.amount),
        str(posting.balance),
        posting.code,
        show_ref(posting.ref),
        to_hex(raw),
    )


async def prove_record(call: Call, key: bytes) -> RecordProof:
    """Prove a record of the state at the newest height, or that there is none."""
    proved = await call.service.ask(Prove(key))
    assert isinstance(proved, Proved)
    if not proved.height:
        raise RpcFailure("chain.height_unavailable", asked=1, height=0)
    header = find_header(call, proved.height)
    with call.sound() as chain:
        certificate = chain.certificate(header)[0]
        seals = [seal_form(chain.seal(number)) for number in range(1, header.epoch + 1)]
    return RecordProof(
        proved.height,
        to_hex(key),
        None if proved.value is None else to_hex(proved.value),
        to_hex(proved.proof.page),
        [to_hex(level) for level in proved.proof.siblings],
        to_hex(header.encode()),
        to_hex(certificate.encode()),
        seals,
    )


_FORMS: Final[dict[str, Callable[[AccountExport, Place], str]]] = {
    "csv": csv_form.write_account,
    "camt053": camt053.write_account,
    "beancount": beancount_form.write_account,
}

METHODS: tuple[Method[Any], ...] = (
    Method(
        "member_getStatement",
        StatementParams,
        StatementForm,
        "Postings of an account with their running balance; one proof proves all of them.",
        get_statement,
        ("chain.height_unavailable", "chain.pruned"),
    ),
    Method(
        "audit_export",
        ExportParams,
        ExportForm,
        "Postings of an account as CSV, camt.053 or beancount.",
        export,
        ("rpc.too_large", "chain.pruned"),
    ),
)
