"""The schema of assets: what a program can call, and what can be asked."""

from typing import Final

from protocol.codec import Value
from protocol.contracts.assets import cash, custody, escrow, issue, orders, payments
from protocol.contracts.assets.records import (
    ACTIVE,
    ASSET_FIELDS,
    ASSET_PAUSED,
    ASSETS,
    AUDITOR,
    CASH_REF,
    CASH_REFS,
    CASHIER_LIMITS,
    CASHIERS,
    COUNTER,
    CUSTODIANS,
    CUSTODIANS_MAX,
    DAILY_LIMIT,
    ESCROWS,
    FLOAT_LIMIT,
    FROZEN,
    ID,
    MEMO,
    MINTING_PAUSED,
    NO_ATTESTATION,
    NO_CUSTODIAN,
    NO_ESCROW,
    NOT_FROZEN,
    NOT_NEWER,
    NOT_PARTY,
    PAUSED,
    PAYMENT,
    REF_USED,
    SECOND_CASHIER,
    SUPPLY_CAP,
    SYMBOL,
    SYMBOL_FORM,
    SYMBOL_TAKEN,
    TERMS,
    find_asset,
)
from protocol.contracts.ledger.accounts import (
    ACCOUNT,
    CASHIER_FLOAT,
    COMPLIANCE,
    MEMBER_FREE,
    AccountRow,
    account_key,
)
from protocol.contracts.ledger.contract import STATEMENT_ROW, query_statement
from protocol.params import ARGUMENT_LIST_ITEMS_MAX, PAUSE_EXIT_SECONDS_MAX, QUERY_ITEMS_MAX, UINT32_MAX
from protocol.types import Address
from protocol.vm.context import QueryContext
from protocol.vm.contract import GOV, Contract, ErrorType, Method, Owner, Query, Role, Signed, System
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    ASSET,
    BALANCE,
    BOOL,
    HASH,
    HOLD,
    POSITIVE,
    SECONDS,
    U8,
    U32,
    U48,
    Field,
    Fields,
    Integer,
    Many,
    Maybe,
)
from protocol.vm.view import View


def _query_asset(query: QueryContext, asset: int) -> Value:
    row = ASSETS.get(query.view, ASSETS.key(asset))
    return None if row is None else (asset, *row[1:])


def _query_by_symbol(query: QueryContext, symbol: str) -> Value:
    asset = find_asset(query.view, symbol)
    return None if asset is None else _query_asset(query, asset)


def _query_assets(query: QueryContext, after: int) -> Value:
    page = ASSETS.page_rows(query.view, after=(after,) if after else ())
    return tuple([(*key, *row[1:]) for key, row in page])


def _query_balance(query: QueryContext, address: Address, asset: int) -> Value:
    return _read_balance(query.view, account_key(address, MEMBER_FREE, asset))


def _read_balance(view: View, claim: bytes) -> tuple[int, int, int, int]:
    row = ACCOUNT.get(view, ACCOUNT.prefix + claim)
    return (0, 0, 0, 0) if row is None else _show_balance(row)


def _show_balance(row: AccountRow) -> tuple[int, int, int, int]:
    _, _, dp, d, cp, c, _, _ = row
    return (c - d, c - d - dp, dp, cp)


def _query_balances(query: QueryContext, address: Address, after: int | None) -> Value:
    behind = () if after is None else (after, UINT32_MAX)
    rows = ACCOUNT.page_rows(query.view, address, MEMBER_FREE, after=behind)
    return tuple([(key[2], *_show_balance(row)) for key, row in rows])


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


def _query_custodians(query: QueryContext, asset: int) -> Value:
    return tuple(
        (custodian, *row[1:], custody.compute_books(query.view, Address(custodian), asset))
        for key, row in CUSTODIANS.scan(query.view, asset)
        if type(custodian := CUSTODIANS.parts(key)[1]) is bytes
    )


def _query_escrow(query: QueryContext, number: int) -> Value:
    row = ESCROWS.get(query.view, ESCROWS.key(number))
    return None if row is None else row[1:]


def _query_freeze(query: QueryContext, account: Address, asset: int) -> Value:
    row = FROZEN.get(query.view, FROZEN.key(account, asset))
    return None if row is None else row[1:]


_BALANCE_FIELDS: Final = (
    Field("posted", BALANCE),
    Field("available", BALANCE, "posted less what is on hold"),
    Field("outgoing", AMOUNT, "on hold to be paid"),
    Field("incoming", AMOUNT, "on hold to be received"),
)
_ASSET_STATE: Final = Fields((Field("asset", ASSET), *ASSET_FIELDS))
_ADDRESS: Final = Field("address", ADDRESS)
_ASSET: Final = Field("asset", ASSET)
_CASH_OUT_DOC: Final = (
    "Ask a cashier for cash; the amount is on hold until it is confirmed. Returns the hold."
)

_MOVING: Final = (
    Method(
        1,
        "create",
        ASSET_FIELDS[:5],
        ASSET,
        (GOV,),
        100,
        issue.create,
        "Create an asset; returns its number.",
    ),
    Method(
        2,
        "set_status",
        (_ASSET, Field("status", Integer("status", ACTIVE, PAUSED))),
        BOOL,
        (GOV,),
        20,
        issue.set_status,
        "Pause an asset or let it move again.",
    ),
    Method(
        3,
        "set_cashier",
        (Field("cashier", ADDRESS), _ASSET, *CASHIER_LIMITS),
        BOOL,
        (GOV,),
        20,
        issue.set_cashier,
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
        cash.cash_in,
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
        cash.cash_out,
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
        cash.confirm_cash,
        "Confirm cash in as a second cashier, or cash out as the cashier who pays; returns the amount.",
        PAUSE_EXIT_SECONDS_MAX,
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
        payments.transfer,
        "Pay another account; returns the amount.",
    ),
    Method(
        8,
        "transfer_many",
        (Field("from", ADDRESS), _ASSET, Field("payments", Many(PAYMENT, ARGUMENT_LIST_ITEMS_MAX, 1))),
        AMOUNT,
        (Owner("from"),),
        20,
        payments.transfer_many,
        "Pay many accounts, all or none; returns the sum.",
    ),
)

_CUSTODIAN: Final = Field("custodian", ADDRESS)
_CASHIER: Final = Field("cashier", ADDRESS)
_ACCOUNT: Final = Field("account", ADDRESS)
_HOLD: Final = Field("hold", HOLD)
_STATEMENT: Final = Field("statement", HASH, "of the custodian's statement")
_CASH_MOVED: Final = (_ASSET, Field("amount", POSITIVE), Field("ref", CASH_REF, "each only once"))

_CUSTODY: Final = (
    Method(
        9,
        "set_custodian",
        (_CUSTODIAN, _ASSET, Field("tolerance", AMOUNT, "by which an attestation may be below the books")),
        BOOL,
        (GOV,),
        20,
        custody.set_custodian,
        "Let an account, such as a bank's, keep what the co-op owns.",
    ),
    Method(
        10,
        "settle",
        (_CUSTODIAN, _CASHIER, *_CASH_MOVED),
        AMOUNT,
        (Owner("custodian"),),
        20,
        custody.settle,
        "Confirm cash that a cashier has brought; returns the amount.",
    ),
    Method(
        11,
        "draw",
        (_CASHIER, _CUSTODIAN, *_CASH_MOVED),
        AMOUNT,
        (Owner("cashier"),),
        20,
        custody.draw,
        "Confirm cash that was fetched from a custodian; returns the amount.",
    ),
    Method(
        12,
        "attest",
        (_CUSTODIAN, _ASSET, Field("amount", AMOUNT), _STATEMENT, Field("as_of", SECONDS)),
        BOOL,
        (Owner("custodian"),),
        20,
        custody.attest,
        "Say what is kept; returns whether it is enough. When not, nothing is issued any more.",
        0,
    ),
    Method(
        13,
        "confirm_attestation",
        (Field("auditor", ADDRESS), _CUSTODIAN, _ASSET, _STATEMENT),
        BOOL,
        (Role(AUDITOR),),
        20,
        custody.confirm_attestation,
        "Confirm the newest attestation as an auditor; returns whether more may be issued now.",
    ),
)
_ESCROW: Final = (
    Method(
        14,
        "escrow",
        (
            Field("payer", ADDRESS),
            Field("payee", ADDRESS),
            _ASSET,
            Field("amount", POSITIVE),
            Field("arbiter", ADDRESS),
            Field("deadline", SECONDS, "when it is given back by itself"),
            Field("terms", HASH, "of what was agreed"),
        ),
        HOLD,
        (Owner("payer"),),
        20,
        escrow.open_escrow,
        "Set an amount aside until what was agreed has happened; returns the hold.",
    ),
    Method(
        15,
        "release_escrow",
        (_ACCOUNT, _HOLD),
        AMOUNT,
        (Owner("account"),),
        20,
        escrow.release_escrow,
        "Pay what was set aside, as the payer or the arbiter; returns the amount.",
    ),
    Method(
        16,
        "refund_escrow",
        (_ACCOUNT, _HOLD),
        AMOUNT,
        (Owner("account"),),
        20,
        escrow.refund_escrow,
        "Give back what was set aside, as the payee or the arbiter; returns the amount.",
    ),
)
_ORDERS: Final = (
    Method(
        17,
        "freeze",
        (_ACCOUNT, _ASSET, Field("document", HASH, "the order"), Field("until", SECONDS)),
        BOOL,
        (Role(COMPLIANCE), GOV),
        20,
        orders.freeze,
        "Let nothing leave a free balance for a while, by a document.",
    ),
    Method(
        orders.LIFT_METHOD,
        "lift_freeze",
        (_ACCOUNT, _ASSET),
        BOOL,
        (System("sched:assets"), GOV),
        20,
        orders.lift,
        "Free what an order froze, when its time has come or the members say so.",
        0,
    ),
)

CONTRACT: Final = Contract(
    ID,
    "assets",
    layer=1,
    version=1,
    doc="Assets, cashiers, custody, payments and escrow.",
    tables=(ASSETS, CASHIERS, CASH_REFS, COUNTER, CUSTODIANS, ESCROWS, FROZEN),
    methods=(*_MOVING, *_CUSTODY, *_ESCROW, *_ORDERS),
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
            (_ADDRESS, Field("after", Maybe(ASSET), "the last of the page before")),
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
                        *CASHIER_LIMITS,
                        Field("day", U32),
                        Field("cashed_in", AMOUNT),
                        Field("float", BALANCE, "cash in hand"),
                    )
                )
            ),
            _query_cashier,
            "Return limits and float of a cashier.",
        ),
        Query(
            "custodians",
            (_ASSET,),
            Many(
                Fields((_CUSTODIAN, *CUSTODIANS.fields, Field("books", AMOUNT, "kept by the books"))),
                CUSTODIANS_MAX,
            ),
            _query_custodians,
            "List who keeps an asset, and what they said of it.",
        ),
        Query(
            "escrow", (_HOLD,), Maybe(Fields(ESCROWS.fields)), _query_escrow, "Return an escrow by its hold."
        ),
        Query(
            "freeze",
            (_ACCOUNT, _ASSET),
            Maybe(Fields(FROZEN.fields)),
            _query_freeze,
            "Return the newest order against a free balance; its time may have passed.",
        ),
    ),
    events=(
        issue.CREATED,
        issue.CASHIER_SET,
        cash.CASHED_IN,
        cash.CASHED_OUT,
        cash.CASH_WAITS,
        payments.TRANSFERRED,
        custody.SETTLED,
        custody.DRAWN,
        custody.RESERVE_SHORT,
        custody.ATTESTED,
        escrow.OPENED,
        escrow.ENDED,
        orders.FROZE,
    ),
    errors=(
        ErrorType(SYMBOL_TAKEN, "SYMBOL_TAKEN", "Another asset has this symbol."),
        ErrorType(SYMBOL_FORM, "SYMBOL_FORM", "A symbol is 1 to 12 characters of A-Z and 0-9."),
        ErrorType(SUPPLY_CAP, "SUPPLY_CAP", "More than the cap would be issued."),
        ErrorType(REF_USED, "REF_USED", "The cashier has used this reference."),
        ErrorType(FLOAT_LIMIT, "FLOAT_LIMIT", "The cashier would hold more cash than allowed."),
        ErrorType(DAILY_LIMIT, "DAILY_LIMIT", "The cashier would take more cash in a day than allowed."),
        ErrorType(ASSET_PAUSED, "ASSET_PAUSED", "The asset is paused."),
        ErrorType(SECOND_CASHIER, "SECOND_CASHIER", "A second cashier must confirm, not the first."),
        ErrorType(MINTING_PAUSED, "MINTING_PAUSED", "A custodian keeps too little; nothing is issued."),
        ErrorType(NO_CUSTODIAN, "NO_CUSTODIAN", "This account keeps nothing of the asset for the co-op."),
        ErrorType(
            NO_ATTESTATION, "NO_ATTESTATION", "There is no such attestation that waits for an auditor."
        ),
        ErrorType(NOT_NEWER, "NOT_NEWER", "A statement is newer than the last one and not of the future."),
        ErrorType(NO_ESCROW, "NO_ESCROW", "There is no such escrow."),
        ErrorType(NOT_PARTY, "NOT_PARTY", "This account has no say in it."),
        ErrorType(NOT_FROZEN, "NOT_FROZEN", "No order has frozen this balance."),
        ErrorType(TERMS, "TERMS", "The terms are outside of what is allowed."),
    ),
)
