"""The schema of the ledger: what a program can call, and what can be asked.

Every method needs the authority of the kernel or of a role; members move money through the contracts above.
"""

from typing import Final

from protocol import codec
from protocol.codec import Reader, Value
from protocol.contracts.ledger.accounts import (
    ACCOUNT,
    ACCOUNT_NAME,
    CLOSED,
    COUNTER,
    COUNTERS,
    FLAGS_ALL,
    FROZEN_IN,
    FROZEN_OUT,
    HOLD_FIELDS,
    HOLDS,
    ID,
    REF,
    TOTAL,
    TURNS,
    account_key,
    compute_balance,
    get_account,
    is_account_class,
    open_account,
    read_account_key,
)
from protocol.contracts.ledger.holds import HELD, RESOLVED, capture, get_hold, hold, release
from protocol.contracts.ledger.invariants import INVARIANTS
from protocol.contracts.ledger.legs import leg
from protocol.contracts.ledger.months import BOOK, CLOSINGS, MONTH, find_closing, month_before
from protocol.errors import Code
from protocol.params import AMOUNT_MAX, JOURNAL_ROW_BYTES_MAX, QUERY_ITEMS_MAX
from protocol.types import Address
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.contract import GOV, Contract, EventType, Method, Query
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    ASSET,
    BALANCE,
    BOOL,
    HEIGHT,
    HOLD,
    SECONDS,
    U8,
    U16,
    U32,
    U48,
    Field,
    Fields,
    Many,
    Maybe,
)
from protocol.vm.view import JournalRow

FLAGS_SET: Final = EventType(
    ID, 3, "flags_set", (Field("account", ACCOUNT_NAME), Field("flags", U8)), "An account has other flags."
)


# --- methods


def _open(ctx: Context, account: tuple[Address, int, int, int], flags: int | None) -> Value:
    if not is_account_class(account[1]):
        fail(Code.TYPE, "ledger.class", None, account[1])
    if flags is not None and flags & ~(FLAGS_ALL & ~CLOSED):
        fail(Code.LIMIT, "ledger.flags", FLAGS_ALL & ~CLOSED, flags)
    return open_account(ctx.view, account_key(*account), flags)


def _leg(
    ctx: Context,
    debit: tuple[Address, int, int, int],
    credit: tuple[Address, int, int, int],
    amount: int,
    at_most: int,
    code: int,
    ref: bytes,
) -> Value:
    return leg(ctx, account_key(*debit), account_key(*credit), amount, code, ref, at_most)


def _hold(
    ctx: Context,
    debit: tuple[Address, int, int, int],
    credit: tuple[Address, int, int, int],
    amount: int,
    at_most: int,
    closing: int,
    expires: int,
    code: int,
    ref: bytes,
) -> Value:
    names = account_key(*debit), account_key(*credit)
    return hold(ctx, *names, amount, expires, code, ref, at_most, closing)


def _set_frozen(ctx: Context, account: tuple[Address, int, int, int], flags: int, on: bool) -> Value:
    if flags & ~(FROZEN_IN | FROZEN_OUT):
        fail(Code.LIMIT, "ledger.flags", FROZEN_IN | FROZEN_OUT, flags)
    key = ACCOUNT.prefix + account_key(*account)
    row = ACCOUNT.get(ctx.view, key)
    if row is None:
        fail(Code.NO_ACCOUNT, "ledger.account", None, key[3:])
    new = row[1] | flags if on else row[1] & ~flags
    ACCOUNT.put(ctx.view, key, (row[0], new, *row[2:]))
    ctx.emit(FLAGS_SET, account, new)
    return new


def _freeze(ctx: Context, account: tuple[Address, int, int, int], flags: int) -> Value:
    return _set_frozen(ctx, account, flags, True)


def _unfreeze(ctx: Context, account: tuple[Address, int, int, int], flags: int) -> Value:
    return _set_frozen(ctx, account, flags, False)


def _close(ctx: Context, account: tuple[Address, int, int, int]) -> Value:
    key = ACCOUNT.prefix + account_key(*account)
    row = ACCOUNT.get(ctx.view, key)
    if row is None:
        fail(Code.NO_ACCOUNT, "ledger.account", None, key[3:])
    schema, flags, dp, d, cp, c, seq, journal_hash = row
    if flags & CLOSED:
        fail(Code.CLOSED, "ledger.closed", None, key[3:])
    if dp or cp or d != c:
        fail(Code.FUNDS, "ledger.close_empty", 0, max(dp, cp, abs(d - c)))
    ACCOUNT.put(ctx.view, key, (schema, flags | CLOSED, dp, d, cp, c, seq, journal_hash))
    ctx.emit(FLAGS_SET, account, flags | CLOSED)
    return True


# --- queries

STATEMENT_ROW: Final = Fields(
    (
        Field("sequence", U48),
        Field("time", SECONDS),
        Field("height", HEIGHT),
        Field("index", U32, "of the transaction in its block"),
        Field("contra_owner", ADDRESS),
        Field("contra_class", U16),
        Field("contra_sub", U32),
        Field("side", U8, "0 debit, 1 credit"),
        Field("amount", AMOUNT),
        Field("code", U16),
        Field("ref", REF),
        Field("balance", BALANCE, "after this row"),
    )
)
_OF_OWNER: Final = (Field("class", U16), Field("asset", ASSET), Field("sub", U32))
_ACCOUNT_STATE: Final = Fields((Field("balance", BALANCE), *ACCOUNT.fields))
_TOTAL_STATE: Final = Fields((Field("asset", ASSET), Field("class", U16), *COUNTERS, *TURNS.fields))


def read_journal_row(row: JournalRow) -> Value:
    """Return a journal row as `STATEMENT_ROW` says."""
    fields = Reader(codec.decode(row.raw, JOURNAL_ROW_BYTES_MAX), "journal row", 9)
    time, height, index = fields.any(), fields.any(), fields.any()
    owner, account_class, _, sub = read_account_key(fields.data(30))
    rest = [fields.any() for _ in range(5)]
    return (row.sequence, time, height, index, owner, account_class, sub, *rest)


def _query_account(query: QueryContext, account: tuple[Address, int, int, int]) -> Value:
    name = account_key(*account)
    row = ACCOUNT.get(query.view, ACCOUNT.prefix + name)
    return None if row is None else (compute_balance(name, row[3], row[5]), *row[1:])


def _query_accounts(query: QueryContext, owner: Address, after: tuple[int, int, int] | None) -> Value:
    found: list[Value] = []
    for key, row in ACCOUNT.page_rows(query.view, owner, after=after or ()):
        name = ACCOUNT.key(*key)[len(ACCOUNT.prefix) :]
        found.append((*key[1:], compute_balance(name, row[3], row[5]), *row[1:]))
    return tuple(found)


def _query_totals(query: QueryContext, asset: int, after: int | None) -> Value:
    found: list[Value] = []
    for key, row in TOTAL.page_rows(query.view, asset, after=() if after is None else (after,)):
        turns = TURNS.get(query.view, TURNS.key(*key)) or (0, 0, 0)
        found.append((*key, *row[1:], *turns[1:]))
    return tuple(found)


def _query_period(query: QueryContext, asset: int, account_class: int, month: int) -> Value:
    debits, credits = find_closing(query.view, asset, account_class, month)
    before = find_closing(query.view, asset, account_class, month_before(month))
    balance = debits - credits if account_class // 1_000 in (1, 5, 9) else credits - debits
    return (
        min(debits - before[0], AMOUNT_MAX),
        min(credits - before[1], AMOUNT_MAX),
        max(-AMOUNT_MAX, min(AMOUNT_MAX, balance)),
    )


def _query_hold(query: QueryContext, number: int) -> Value:
    row = get_hold(query.view, number)
    return None if row is None else row[1:]


def query_statement(
    query: QueryContext, account: tuple[Address, int, int, int], before: int | None, limit: int
) -> Value:
    """Return the newest rows of an account's journal below a sequence, newest first."""
    if query.journal is None:
        return ()
    name = account_key(*account)
    row = get_account(query.view, name)
    if row is None:
        return ()
    # A journal goes on after the state that is asked: the account's own sequence ends its statement.
    end = row[6] + 1
    rows = query.journal.rows(name, end if before is None else min(before, end), min(limit, QUERY_ITEMS_MAX))
    return tuple([read_journal_row(row) for row in rows])


CONTRACT: Final = Contract(
    ID,
    "ledger",
    layer=0,
    version=1,
    doc="Double entry: accounts, legs, holds, totals and statements.",
    tables=(ACCOUNT, TOTAL, HOLDS, COUNTER, TURNS, BOOK, CLOSINGS),
    methods=(
        Method(
            1,
            "open",
            (Field("account", ACCOUNT_NAME), Field("flags", Maybe(U8), "nil: those of the class")),
            BOOL,
            (GOV,),
            20,
            _open,
            "Open an account; false when it exists already.",
        ),
        Method(
            2,
            "leg",
            (
                Field("debit", ACCOUNT_NAME),
                Field("credit", ACCOUNT_NAME),
                Field("amount", AMOUNT),
                Field("at_most", U8, "1: what the debited account has; 2: what the credited account owes"),
                Field("code", U16),
                Field("ref", REF),
            ),
            AMOUNT,
            (GOV,),
            20,
            _leg,
            "Move an amount; returns the amount moved.",
        ),
        Method(
            3,
            "hold",
            (
                Field("debit", ACCOUNT_NAME),
                Field("credit", ACCOUNT_NAME),
                Field("amount", AMOUNT),
                Field("at_most", U8),
                Field("closing", U8, "1: close the debited account while pending; 2: the credited one"),
                Field("expires", SECONDS, "0: never"),
                Field("code", U16),
                Field("ref", REF),
            ),
            HOLD,
            (GOV,),
            20,
            _hold,
            "Reserve an amount on both accounts; returns the number of the hold.",
        ),
        Method(
            4,
            "capture",
            (Field("hold", HOLD), Field("amount", Maybe(AMOUNT), "nil: all of it")),
            AMOUNT,
            (GOV,),
            20,
            capture,
            "Post a hold of this contract, or a part of it; returns the amount posted.",
        ),
        Method(
            5,
            "release",
            (Field("hold", HOLD),),
            AMOUNT,
            (GOV,),
            20,
            release,
            "Give a hold of this contract back; returns its amount.",
        ),
        Method(
            6,
            "freeze",
            (Field("account", ACCOUNT_NAME), Field("flags", U8, "4: no debit; 8: no credit")),
            U8,
            (GOV,),
            20,
            _freeze,
            "Stop debits, credits or both; returns the flags.",
        ),
        Method(
            7,
            "unfreeze",
            (Field("account", ACCOUNT_NAME), Field("flags", U8)),
            U8,
            (GOV,),
            20,
            _unfreeze,
            "Allow debits, credits or both again; returns the flags.",
        ),
        Method(
            8,
            "close",
            (Field("account", ACCOUNT_NAME),),
            BOOL,
            (GOV,),
            20,
            _close,
            "Close an account that is empty and has nothing pending.",
        ),
    ),
    queries=(
        Query(
            "account",
            (Field("account", ACCOUNT_NAME),),
            Maybe(_ACCOUNT_STATE),
            _query_account,
            "Return balance, flags and counters of an account.",
        ),
        Query(
            "accounts",
            (
                Field("owner", ADDRESS),
                Field("after", Maybe(Fields(_OF_OWNER)), "the last of the page before"),
            ),
            Many(
                Fields(
                    (
                        *_OF_OWNER,
                        *_ACCOUNT_STATE.fields,
                    )
                ),
                QUERY_ITEMS_MAX,
            ),
            _query_accounts,
            "List the accounts of an owner.",
        ),
        Query(
            "totals",
            (Field("asset", ASSET), Field("after", Maybe(U16), "the last of the page before")),
            Many(_TOTAL_STATE, QUERY_ITEMS_MAX),
            _query_totals,
            "Return the trial balance of an asset: sums by class, and how often each posted sum began again.",
        ),
        Query(
            "period",
            (Field("asset", ASSET), Field("class", U16), Field("month", MONTH, "as 202611")),
            Fields(
                (
                    Field("debits", AMOUNT, "in that month"),
                    Field("credits", AMOUNT, "in that month"),
                    Field("balance", BALANCE, "at its end"),
                )
            ),
            _query_period,
            "Return what a class moved in a month, and its balance at the end of it.",
        ),
        Query(
            "hold",
            (Field("hold", HOLD),),
            Maybe(Fields(HOLD_FIELDS)),
            _query_hold,
            "Return a hold.",
        ),
        Query(
            "statement",
            (
                Field("account", ACCOUNT_NAME),
                Field("before", Maybe(U48), "sequence; nil: from the newest"),
                Field("limit", U8),
            ),
            Many(STATEMENT_ROW, QUERY_ITEMS_MAX),
            query_statement,
            "List posted movements of an account, newest first.",
        ),
    ),
    events=(HELD, RESOLVED, FLAGS_SET),
    invariants=INVARIANTS,
)
