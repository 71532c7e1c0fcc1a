"""assets: what is owed and paid in, the cashiers who turn cash into claims and back, and transfers.

A member's free balance is class 2010, a cashier's float class 1020: cash that comes in debits the float and
credits the member, so what all members can claim is always what somebody holds. Above a cashier's own limit
the movement is a hold that a second cashier confirms. This contract knows no membership yet: who may receive
is whoever has an account, and a cashier opens accounts for those who bring cash.

*Source*: contracts.md 5.2.
"""

from typing import Final, TypeAlias

from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.ledger.accounts import (
    ACCOUNT,
    CASHIER_FLOAT,
    MEMBER_FREE,
    PENDING,
    account_key,
    open_account,
    read_account_key,
)
from protocol.contracts.ledger.contract import STATEMENT_ROW, query_statement
from protocol.contracts.ledger.holds import capture, get_hold, hold
from protocol.contracts.ledger.legs import leg
from protocol.errors import Code
from protocol.params import (
    ARGUMENT_LIST_ITEMS_MAX,
    ASSET_DECIMALS_MAX,
    CASH_CONFIRM_SECONDS,
    MEMO_BYTES_MAX,
    PAUSE_EXIT_SECONDS_MAX,
    QUERY_ITEMS_MAX,
    SYMBOL_CHARS_MAX,
)
from protocol.types import Address, ContractId
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.contract import GOV, Contract, ErrorType, EventType, Method, Owner, Query, Signed
from protocol.vm.keys import KeyPart, data_key, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    ASSET,
    BALANCE,
    BOOL,
    HOLD,
    POSITIVE,
    U8,
    U32,
    U48,
    Data,
    Field,
    Fields,
    Integer,
    Many,
    Maybe,
    Text,
)
from protocol.vm.tables import SCHEMA, Index, Table
from protocol.vm.view import Row, View

ID: Final = ContractId(16)

NATIVE_POINT: Final = 1
FIAT_CLAIM: Final = 2
CUSTODY: Final = 3
SECURITY: Final = 4
LP: Final = 5
BRIDGED: Final = 6

ACTIVE: Final = 1
PAUSED: Final = 2

SYMBOL_TAKEN: Final = 1601
SYMBOL_FORM: Final = 1602
SUPPLY_CAP: Final = 1603
REF_USED: Final = 1604
FLOAT_LIMIT: Final = 1605
DAILY_LIMIT: Final = 1606
ASSET_PAUSED: Final = 1607
SECOND_CASHIER: Final = 1608

CODE_CASH_IN: Final = 1602
CODE_CASH_OUT: Final = 1604
CODE_TRANSFER: Final = 1606

AssetRow: TypeAlias = tuple[int, str, str, int, int, int, int, int]
"""(schema, symbol, name, decimals, kind, cap, status, issued)"""
CashierRow: TypeAlias = tuple[int, int, int, int, int, int]
"""(schema, float limit, daily limit, four-eyes limit, day, cashed in on that day)"""
RefRow: TypeAlias = tuple[int]
CounterRow: TypeAlias = tuple[int, int]

SYMBOL: Final = Text("symbol", SYMBOL_CHARS_MAX)
DECIMALS: Final = Integer("decimals", 0, ASSET_DECIMALS_MAX)
KIND: Final = Integer("asset kind", NATIVE_POINT, BRIDGED)
MEMO: Final = Maybe(Data("memo", 0, MEMO_BYTES_MAX))
CASH_REF: Final = Data("cash ref", 1, 16)
PAYMENT: Final = Fields((Field("to", ADDRESS), Field("amount", POSITIVE)))

_ASSET_FIELDS: Final = (
    Field("symbol", SYMBOL, "A-Z and 0-9, unique"),
    Field("name", Text("name", 64)),
    Field("decimals", DECIMALS),
    Field("kind", KIND, "1 point, 2 fiat claim, 3 custody, 4 security, 5 pool share, 6 bridged"),
    Field("cap", AMOUNT, "most that may be issued"),
    Field("status", U8, "1 active, 2 paused"),
    Field("issued", AMOUNT),
)


def _select_symbol(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    symbol = row[1]
    assert type(symbol) is str
    return (pad_symbol(symbol),)


def pad_symbol(symbol: str) -> bytes:
    """Return a symbol as 12 bytes, filled with zeros."""
    return symbol.encode("ascii").ljust(SYMBOL_CHARS_MAX, b"\0")


BY_SYMBOL: Final = Index(2, "by_symbol", (data_key("symbol", SYMBOL_CHARS_MAX),), _select_symbol)
ASSETS: Final[Table[AssetRow]] = Table(
    ID, 1, "asset", (uint_key("asset", 32),), _ASSET_FIELDS, (BY_SYMBOL,), doc="What can be owed."
)
_CASHIER_LIMITS: Final = (
    Field("float_limit", AMOUNT, "most cash a cashier may hold; 0: no cashier any more"),
    Field("daily_limit", AMOUNT, "most cash in on one calendar day"),
    Field("four_eyes_limit", AMOUNT, "above it a second cashier confirms"),
)
CASHIERS: Final[Table[CashierRow]] = Table(
    ID,
    3,
    "cashier",
    (data_key("cashier", 20), uint_key("asset", 32)),
    (*_CASHIER_LIMITS, Field("day", U32), Field("cashed_in", AMOUNT, "on that day")),
    doc="Who may take and give cash.",
)
CASH_REFS: Final[Table[RefRow]] = Table(
    ID,
    4,
    "cash_ref",
    (data_key("cashier", 20), data_key("ref", 16)),
    (),
    doc="References that a cashier has used; each only once.",
)
COUNTER: Final[Table[CounterRow]] = Table(
    ID, 5, "counter", (), (Field("assets", U32),), doc="Number of the newest asset."
)

_CASH_FIELDS: Final = (
    Field("cashier", ADDRESS),
    Field("member", ADDRESS),
    Field("asset", ASSET),
    Field("amount", AMOUNT),
)
CREATED: Final = EventType(
    ID, 1, "created", (Field("asset", ASSET), Field("symbol", SYMBOL)), "An asset exists from now on."
)
CASHIER_SET: Final = EventType(
    ID, 2, "cashier_set", (Field("cashier", ADDRESS), Field("asset", ASSET)), "A cashier has other limits."
)
CASHED_IN: Final = EventType(ID, 3, "cashed_in", _CASH_FIELDS, "Cash came in.")
CASHED_OUT: Final = EventType(ID, 4, "cashed_out", _CASH_FIELDS, "Cash went out.")
CASH_WAITS: Final = EventType(
    ID, 5, "cash_waits", (Field("hold", HOLD), *_CASH_FIELDS), "Cash in or out waits for a cashier."
)
TRANSFERRED: Final = EventType(
    ID,
    6,
    "transferred",
    (
        Field("from", ADDRESS),
        Field("to", ADDRESS),
        Field("asset", ASSET),
        Field("amount", AMOUNT),
        Field("memo", MEMO),
    ),
    "A member paid another.",
)


# --- records


def _get_asset(view: View, asset: int) -> AssetRow:
    row = ASSETS.get(view, ASSETS.prefix + asset.to_bytes(4, "big"))
    if row is None:
        fail(Code.ASSET, "assets.unknown", None, asset)
    return row


def _get_active(view: View, asset: int) -> AssetRow:
    row = _get_asset(view, asset)
    if row[6] != ACTIVE:
        fail(ASSET_PAUSED, "assets.paused", None, asset)
    return row


def _get_cashier(view: View, cashier: Address, asset: int) -> CashierRow:
    row = CASHIERS.get(view, CASHIERS.key(cashier, asset))
    if row is None or row[1] == 0:
        fail(Code.ROLE, "assets.cashier", asset, cashier)
    return row


def _add_issued(view: View, asset: int, row: AssetRow, amount: int) -> None:
    schema, symbol, name, decimals, kind, cap, status, issued = row
    if issued + amount > cap:
        fail(SUPPLY_CAP, "assets.cap", cap - issued, amount)
    new = (schema, symbol, name, decimals, kind, cap, status, issued + amount)
    ASSETS.put(view, ASSETS.key(asset), new)


# --- methods


def _create(ctx: Context, symbol: str, name: str, decimals: int, kind: int, cap: int) -> Value:
    view = ctx.view
    if not symbol or not all("A" <= c <= "Z" or "0" <= c <= "9" for c in symbol):
        fail(SYMBOL_FORM, "assets.symbol_form", None, symbol)
    if find_asset(view, symbol) is not None:
        fail(SYMBOL_TAKEN, "assets.symbol_taken", None, symbol)
    counter = COUNTER.get(view, COUNTER.prefix)
    asset = 1 if counter is None else counter[1] + 1
    COUNTER.put(view, COUNTER.prefix, (SCHEMA, asset))
    ASSETS.put(view, ASSETS.key(asset), (SCHEMA, symbol, name, decimals, kind, cap, ACTIVE, 0))
    ctx.emit(CREATED, asset, symbol)
    return asset


def _set_status(ctx: Context, asset: int, status: int) -> Value:
    row = _get_asset(ctx.view, asset)
    ASSETS.put(ctx.view, ASSETS.key(asset), (*row[:6], status, row[7]))
    return True


def _set_cashier(
    ctx: Context, cashier: Address, asset: int, float_limit: int, daily_limit: int, four_eyes_limit: int
) -> Value:
    view = ctx.view
    _get_asset(view, asset)
    key = CASHIERS.key(cashier, asset)
    old = CASHIERS.get(view, key)
    day, cashed_in = (0, 0) if old is None else old[4:]
    auth.open_account(view, cashier)
    open_account(view, account_key(cashier, CASHIER_FLOAT, asset))
    CASHIERS.put(view, key, (SCHEMA, float_limit, daily_limit, four_eyes_limit, day, cashed_in))
    ctx.emit(CASHIER_SET, cashier, asset)
    return True


def _cash_in(ctx: Context, cashier: Address, member: Address, asset: int, amount: int, ref: bytes) -> Value:
    view = ctx.view
    asset_row = _get_active(view, asset)
    limits = _get_cashier(view, cashier, asset)
    _use_ref(view, cashier, ref)
    _use_daily_limit(ctx, cashier, asset, limits, amount)
    floating = account_key(cashier, CASHIER_FLOAT, asset)
    _check_float(view, floating, limits[1], amount)
    auth.open_account(view, member)
    claim = account_key(member, MEMBER_FREE, asset)
    open_account(view, claim)
    if amount > limits[3]:
        expires = ctx.environment.time + CASH_CONFIRM_SECONDS
        number = hold(ctx, floating, claim, amount, expires, CODE_CASH_IN, ref)
        ctx.emit(CASH_WAITS, number, cashier, member, asset, amount)
        return number
    _add_issued(view, asset, asset_row, amount)
    leg(ctx, floating, claim, amount, CODE_CASH_IN, ref)
    ctx.emit(CASHED_IN, cashier, member, asset, amount)
    return 0


def _use_ref(view: View, cashier: Address, ref: bytes) -> None:
    key = CASH_REFS.key(cashier, ref.ljust(16, b"\0"))
    if CASH_REFS.get(view, key) is not None:
        fail(REF_USED, "assets.ref_used", None, ref)
    CASH_REFS.put(view, key, (SCHEMA,))


def _use_daily_limit(ctx: Context, cashier: Address, asset: int, row: CashierRow, amount: int) -> None:
    schema, float_limit, daily_limit, four_eyes_limit, day, cashed_in = row
    today = ctx.environment.day
    used = cashed_in if day == today else 0
    if used + amount > daily_limit:
        fail(DAILY_LIMIT, "assets.daily_limit", daily_limit - used, amount)
    new = (schema, float_limit, daily_limit, four_eyes_limit, today, used + amount)
    CASHIERS.put(ctx.view, CASHIERS.key(cashier, asset), new)


def _check_float(view: View, floating: bytes, limit: int, amount: int) -> None:
    row = ACCOUNT.get(view, ACCOUNT.prefix + floating)
    assert row is not None, "set_cashier has opened it"
    held = row[3] + row[2] - row[5]
    if held + amount > limit:
        fail(FLOAT_LIMIT, "assets.float_limit", max(0, limit - held), amount)


def _cash_out(ctx: Context, member: Address, cashier: Address, asset: int, amount: int, ref: bytes) -> Value:
    view = ctx.view
    _get_asset(view, asset)
    _get_cashier(view, cashier, asset)
    claim = account_key(member, MEMBER_FREE, asset)
    floating = account_key(cashier, CASHIER_FLOAT, asset)
    expires = ctx.environment.time + CASH_CONFIRM_SECONDS
    number = hold(ctx, claim, floating, amount, expires, CODE_CASH_OUT, ref)
    ctx.emit(CASH_WAITS, number, cashier, member, asset, amount)
    return number


def _confirm_cash(ctx: Context, number: int) -> Value:
    view = ctx.view
    row = get_hold(view, number)
    if row is None or row[1] != ID or row[6] != PENDING:
        fail(Code.HOLD_STATE, "assets.cash_hold", None, number)
    _, _, debit, credit, amount, *_ = row
    debtor, debit_class, asset, _ = read_account_key(debit)
    creditor = read_account_key(credit)[0]
    actor = ctx.actor
    assert actor is not None, "the capability asks for an actor"
    if debit_class == CASHIER_FLOAT:
        if actor == debtor:
            fail(SECOND_CASHIER, "assets.second_cashier", None, actor)
        _get_cashier(view, actor, asset)
        _add_issued(view, asset, _get_active(view, asset), amount)
        capture(ctx, number, None)
        ctx.emit(CASHED_IN, debtor, creditor, asset, amount)
        return amount
    if actor != creditor:
        fail(Code.ROLE, "assets.cashier", asset, actor)
    _add_issued(view, asset, _get_asset(view, asset), -amount)
    capture(ctx, number, None)
    ctx.emit(CASHED_OUT, creditor, debtor, asset, amount)
    return amount


def _transfer(
    ctx: Context, payer: Address, payee: Address, asset: int, amount: int, memo: bytes | None
) -> Value:
    _get_active(ctx.view, asset)
    _pay(ctx, payer, payee, asset, amount)
    ctx.emit(TRANSFERRED, payer, payee, asset, amount, memo)
    return amount


def _transfer_many(
    ctx: Context, payer: Address, asset: int, payments: tuple[tuple[Address, int], ...]
) -> Value:
    _get_active(ctx.view, asset)
    total = 0
    for payee, amount in payments:
        _pay(ctx, payer, payee, asset, amount)
        ctx.emit(TRANSFERRED, payer, payee, asset, amount, None)
        total += amount
    return total


def _pay(ctx: Context, payer: Address, payee: Address, asset: int, amount: int) -> None:
    """Move free balance; a payee who exists gets an account in this asset when it has none."""
    claim = account_key(payee, MEMBER_FREE, asset)
    if ctx.view.get(ACCOUNT.prefix + claim) is None:
        if not auth.is_open(ctx.view, payee):
            fail(Code.NO_ACCOUNT, "assets.payee", None, payee)
        open_account(ctx.view, claim)
    leg(ctx, account_key(payer, MEMBER_FREE, asset), claim, amount, CODE_TRANSFER)


# --- queries


def find_asset(view: View, symbol: str) -> int | None:
    """Return the number of the asset with a symbol, or None."""
    if not symbol.isascii() or len(symbol) > SYMBOL_CHARS_MAX:
        return None
    for _, asset in ASSETS.scan_index(view, BY_SYMBOL, pad_symbol(symbol)):
        assert type(asset) is int
        return asset
    return None


def _query_asset(query: QueryContext, asset: int) -> Value:
    row = ASSETS.get(query.view, ASSETS.key(asset))
    return None if row is None else (asset, *row[1:])


def _query_by_symbol(query: QueryContext, symbol: str) -> Value:
    asset = find_asset(query.view, symbol)
    return None if asset is None else _query_asset(query, asset)


def _query_assets(query: QueryContext, after: int) -> Value:
    found: list[Value] = []
    for key, row in ASSETS.scan(query.view, start=ASSETS.key(min(after + 1, (1 << 32) - 1))):
        number = ASSETS.parts(key)[0]
        if type(number) is int and number > after:
            found.append((number, *row[1:]))
        if len(found) == QUERY_ITEMS_MAX:
            break
    return tuple(found)


def _query_balance(query: QueryContext, address: Address, asset: int) -> Value:
    return _read_balance(query.view, account_key(address, MEMBER_FREE, asset))


def _read_balance(view: View, claim: bytes) -> tuple[int, int, int, int]:
    row = ACCOUNT.get(view, ACCOUNT.prefix + claim)
    if row is None:
        return (0, 0, 0, 0)
    _, _, dp, d, cp, c, _, _ = row
    return (c - d, c - d - dp, dp, cp)


def _query_balances(query: QueryContext, address: Address) -> Value:
    found: list[Value] = []
    free = MEMBER_FREE.to_bytes(2, "big")
    for key, _ in query.view.scan(ACCOUNT.prefix + address + free):
        name = key[3:]
        found.append((read_account_key(name)[2], *_read_balance(query.view, name)))
        if len(found) == QUERY_ITEMS_MAX:
            break
    return tuple(found)


def _query_cashier(query: QueryContext, cashier: Address, asset: int) -> Value:
    row = CASHIERS.get(query.view, CASHIERS.key(cashier, asset))
    if row is None:
        return None
    floating = ACCOUNT.get(query.view, ACCOUNT.prefix + account_key(cashier, CASHIER_FLOAT, asset))
    assert floating is not None, "set_cashier has opened it"
    return (*row[1:], floating[3] - floating[5])


def _query_statement(
    query: QueryContext, address: Address, asset: int, before: int | None, limit: int
) -> Value:
    return query_statement(query, (address, MEMBER_FREE, asset, 0), before, limit)


_BALANCE_FIELDS: Final = (
    Field("posted", BALANCE),
    Field("available", BALANCE, "posted less what is on hold"),
    Field("outgoing", AMOUNT, "on hold to be paid"),
    Field("incoming", AMOUNT, "on hold to be received"),
)
_ASSET_STATE: Final = Fields((Field("asset", ASSET), *_ASSET_FIELDS))
_ADDRESS: Final = Field("address", ADDRESS)
_ASSET: Final = Field("asset", ASSET)
_CASH_OUT_DOC: Final = (
    "Ask a cashier for cash; the amount is on hold until it is confirmed. Returns the hold."
)

CONTRACT: Final = Contract(
    ID,
    "assets",
    layer=1,
    version=1,
    doc="Assets, cashiers and transfers.",
    tables=(ASSETS, CASHIERS, CASH_REFS, COUNTER),
    methods=(
        Method(
            1,
            "create",
            _ASSET_FIELDS[:5],
            ASSET,
            (GOV,),
            100,
            _create,
            "Create an asset; returns its number.",
        ),
        Method(
            2,
            "set_status",
            (_ASSET, Field("status", Integer("status", ACTIVE, PAUSED))),
            BOOL,
            (GOV,),
            20,
            _set_status,
            "Pause an asset or let it move again.",
        ),
        Method(
            3,
            "set_cashier",
            (Field("cashier", ADDRESS), _ASSET, *_CASHIER_LIMITS),
            BOOL,
            (GOV,),
            20,
            _set_cashier,
            "Let an account take and give cash within limits.",
        ),
        Method(
            4,
            "cash_in",
            (
                Field("cashier", ADDRESS),
                Field("member", ADDRESS),
                _ASSET,
                Field("amount", POSITIVE),
                Field("ref", CASH_REF, "of the receipt; each only once"),
            ),
            HOLD,
            (Owner("cashier"), GOV),
            20,
            _cash_in,
            "Credit a member with cash received. Returns 0, or the hold that a second cashier must confirm.",
        ),
        Method(
            5,
            "cash_out",
            (
                Field("member", ADDRESS),
                Field("cashier", ADDRESS),
                _ASSET,
                Field("amount", POSITIVE),
                Field("ref", CASH_REF),
            ),
            HOLD,
            (Owner("member"),),
            20,
            _cash_out,
            _CASH_OUT_DOC,
            PAUSE_EXIT_SECONDS_MAX,
        ),
        Method(
            6,
            "confirm_cash",
            (Field("hold", HOLD),),
            AMOUNT,
            (Signed(),),
            20,
            _confirm_cash,
            "Confirm cash in as a second cashier, or cash out as the cashier who pays; returns the amount.",
        ),
        Method(
            7,
            "transfer",
            (
                Field("from", ADDRESS),
                Field("to", ADDRESS),
                _ASSET,
                Field("amount", POSITIVE),
                Field("memo", MEMO),
            ),
            AMOUNT,
            (Owner("from"),),
            20,
            _transfer,
            "Pay another account; returns the amount.",
        ),
        Method(
            8,
            "transfer_many",
            (Field("from", ADDRESS), _ASSET, Field("payments", Many(PAYMENT, ARGUMENT_LIST_ITEMS_MAX, 1))),
            AMOUNT,
            (Owner("from"),),
            20,
            _transfer_many,
            "Pay many accounts, all or none; returns the sum.",
        ),
    ),
    queries=(
        Query("asset", (_ASSET,), Maybe(_ASSET_STATE), _query_asset, "Return an asset by number."),
        Query(
            "by_symbol",
            (Field("symbol", SYMBOL),),
            Maybe(_ASSET_STATE),
            _query_by_symbol,
            "Return an asset by symbol.",
        ),
        Query(
            "assets",
            (Field("after", ASSET, "number of the last one of the page before; 0: from the start"),),
            Many(_ASSET_STATE, QUERY_ITEMS_MAX),
            _query_assets,
            "List assets by number.",
        ),
        Query(
            "balance",
            (_ADDRESS, _ASSET),
            Fields(_BALANCE_FIELDS),
            _query_balance,
            "Return the free balance of an account in one asset.",
        ),
        Query(
            "balances",
            (_ADDRESS,),
            Many(Fields((_ASSET, *_BALANCE_FIELDS)), QUERY_ITEMS_MAX),
            _query_balances,
            "List the free balances of an account.",
        ),
        Query(
            "statement",
            (_ADDRESS, _ASSET, Field("before", Maybe(U48)), Field("limit", U8)),
            Many(STATEMENT_ROW, QUERY_ITEMS_MAX),
            _query_statement,
            "List what was posted to the free balance of an account, newest first.",
        ),
        Query(
            "cashier",
            (Field("cashier", ADDRESS), _ASSET),
            Maybe(
                Fields(
                    (
                        *_CASHIER_LIMITS,
                        Field("day", U32),
                        Field("cashed_in", AMOUNT),
                        Field("float", BALANCE, "cash in hand"),
                    )
                )
            ),
            _query_cashier,
            "Return limits and float of a cashier.",
        ),
    ),
    events=(CREATED, CASHIER_SET, CASHED_IN, CASHED_OUT, CASH_WAITS, TRANSFERRED),
    errors=(
        ErrorType(SYMBOL_TAKEN, "SYMBOL_TAKEN", "Another asset has this symbol."),
        ErrorType(SYMBOL_FORM, "SYMBOL_FORM", "A symbol is 1 to 12 characters of A-Z and 0-9."),
        ErrorType(SUPPLY_CAP, "SUPPLY_CAP", "More than the cap would be issued."),
        ErrorType(REF_USED, "REF_USED", "The cashier has used this reference."),
        ErrorType(FLOAT_LIMIT, "FLOAT_LIMIT", "The cashier would hold more cash than allowed."),
        ErrorType(DAILY_LIMIT, "DAILY_LIMIT", "The cashier would take more cash in a day than allowed."),
        ErrorType(ASSET_PAUSED, "ASSET_PAUSED", "The asset is paused."),
        ErrorType(SECOND_CASHIER, "SECOND_CASHIER", "A second cashier must confirm, not the first."),
    ),
)
