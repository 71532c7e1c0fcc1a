"""What assets keeps: assets, cashiers, used references, custodians, escrows and frozen balances.

Knows no movement.
"""

from typing import Final, TypeAlias

from protocol.errors import Code
from protocol.params import ASSET_DECIMALS_MAX, MEMO_BYTES_MAX, SYMBOL_CHARS_MAX
from protocol.types import Address, ContractId
from protocol.vm.context import fail
from protocol.vm.keys import KeyPart, data_key, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    BOOL,
    HASH,
    POSITIVE,
    SECONDS,
    U8,
    U32,
    Data,
    Field,
    Fields,
    Integer,
    Maybe,
    Text,
)
from protocol.vm.tables import Index, Table
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
MINT_PAUSED: Final = 3
"""Custody is short: nothing comes in; everything else goes on."""

SYMBOL_TAKEN: Final = 1601
SYMBOL_FORM: Final = 1602
SUPPLY_CAP: Final = 1603
REF_USED: Final = 1604
FLOAT_LIMIT: Final = 1605
DAILY_LIMIT: Final = 1606
ASSET_PAUSED: Final = 1607
SECOND_CASHIER: Final = 1608
MINTING_PAUSED: Final = 1609
NO_CUSTODIAN: Final = 1610
NO_ATTESTATION: Final = 1611
NOT_NEWER: Final = 1612
NO_ESCROW: Final = 1613
NOT_PARTY: Final = 1614
NOT_FROZEN: Final = 1615
TERMS: Final = 1616

AUDITOR: Final = "auditor"

FREEZE_SECONDS_MAX: Final = 30 * 86_400
"""Longest order of the role `compliance`; for longer the members decide."""
CUSTODIANS_MAX: Final = 16
"""Custodians of one asset; each attestation looks at all of them."""

AssetRow: TypeAlias = tuple[int, str, str, int, int, int, int, int]
"""(schema, symbol, name, decimals, kind, cap, status, issued)"""
CashierRow: TypeAlias = tuple[int, int, int, int, int, int]
"""(schema, float limit, daily limit, four-eyes limit, day, cashed in on that day)"""
RefRow: TypeAlias = tuple[int]
CounterRow: TypeAlias = tuple[int, int]
CustodianRow: TypeAlias = tuple[int, int, int, bytes, int, bool, bool]
"""(schema, tolerance, attested, statement, as of, is short, is confirmed)"""
EscrowRow: TypeAlias = tuple[int, Address, Address, Address, bytes]
"""(schema, payer, payee, arbiter, terms)"""
FrozenRow: TypeAlias = tuple[int, bytes, int]
"""(schema, document, until)"""

SYMBOL: Final = Text("symbol", SYMBOL_CHARS_MAX)
DECIMALS: Final = Integer("decimals", 0, ASSET_DECIMALS_MAX)
KIND: Final = Integer("asset kind", NATIVE_POINT, BRIDGED)
MEMO: Final = Maybe(Data("memo", 0, MEMO_BYTES_MAX))
CASH_REF: Final = Data("cash ref", 1, 16)
PAYMENT: Final = Fields((Field("to", ADDRESS), Field("amount", POSITIVE)))

ASSET_FIELDS: Final = (
    Field("symbol", SYMBOL, "A-Z and 0-9, unique"),
    Field("name", Text("name", 64)),
    Field("decimals", DECIMALS),
    Field("kind", KIND, "1 point, 2 fiat claim, 3 custody, 4 security, 5 pool share, 6 bridged"),
    Field("cap", AMOUNT, "most that may be issued"),
    Field("status", U8, "1 active, 2 paused, 3 nothing comes in"),
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
    ID, 1, "asset", (uint_key("asset", 32),), ASSET_FIELDS, (BY_SYMBOL,), doc="What can be owed."
)
CASHIER_LIMITS: Final = (
    Field("float_limit", AMOUNT, "most cash a cashier may hold; 0: no cashier any more"),
    Field("daily_limit", AMOUNT, "most cash in on one calendar day"),
    Field("four_eyes_limit", AMOUNT, "above it a second cashier confirms"),
)
CASHIERS: Final[Table[CashierRow]] = Table(
    ID,
    3,
    "cashier",
    (data_key("cashier", 20), uint_key("asset", 32)),
    (*CASHIER_LIMITS, Field("day", U32), Field("cashed_in", AMOUNT, "on that day")),
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
CUSTODIANS: Final[Table[CustodianRow]] = Table(
    ID,
    6,
    "custodian",
    (uint_key("asset", 32), data_key("custodian", 20)),
    (
        Field("tolerance", AMOUNT, "by which an attestation may be below the books"),
        Field("attested", AMOUNT, "by the newest attestation"),
        Field("statement", HASH, "of the statement it rests on"),
        Field("as_of", SECONDS, "of the statement; 0: nothing attested yet"),
        Field("is_short", BOOL, "less than the books say"),
        Field("is_confirmed", BOOL, "an auditor has seen the statement"),
    ),
    doc="Who keeps what the co-op owns, such as a bank.",
)
ESCROWS: Final[Table[EscrowRow]] = Table(
    ID,
    7,
    "escrow",
    (uint_key("hold", 48),),
    (
        Field("payer", ADDRESS),
        Field("payee", ADDRESS),
        Field("arbiter", ADDRESS),
        Field("terms", HASH, "of what was agreed"),
    ),
    doc="Payments that wait for what was agreed, by their hold.",
)
FROZEN: Final[Table[FrozenRow]] = Table(
    ID,
    8,
    "frozen",
    (data_key("account", 20), uint_key("asset", 32)),
    (Field("document", HASH, "the order"), Field("until", SECONDS)),
    doc="Free balances that nothing may leave.",
)


def get_asset(view: View, asset: int) -> AssetRow:
    """Return an asset.

    Raises:
        CallFailed: ASSET.
    """
    return ASSETS.need(view, ASSETS.prefix + asset.to_bytes(4, "big"), Code.ASSET, "assets.unknown", asset)


def get_moving(view: View, asset: int) -> AssetRow:
    """Return an asset that moves.

    Raises:
        CallFailed: ASSET, ASSET_PAUSED.
    """
    row = get_asset(view, asset)
    if row[6] == PAUSED:
        fail(ASSET_PAUSED, "assets.paused", None, asset)
    return row


def get_issuing(view: View, asset: int) -> AssetRow:
    """Return an asset of which more may be issued.

    Raises:
        CallFailed: ASSET, ASSET_PAUSED, MINTING_PAUSED.
    """
    row = get_moving(view, asset)
    if row[6] == MINT_PAUSED:
        fail(MINTING_PAUSED, "assets.custody_short", None, asset)
    return row


def get_cashier(view: View, cashier: Address, asset: int) -> CashierRow:
    """Return the limits of a cashier.

    Raises:
        CallFailed: ROLE.
    """
    row = CASHIERS.get(view, CASHIERS.key(cashier, asset))
    if row is None or row[1] == 0:
        fail(Code.ROLE, "assets.cashier", asset, cashier)
    return row


def put_status(view: View, asset: int, row: AssetRow, status: int) -> None:
    """Write another status of an asset."""
    ASSETS.put(view, ASSETS.key(asset), (*row[:6], status, row[7]))


def find_asset(view: View, symbol: str) -> int | None:
    """Return the number of the asset with a symbol, or None."""
    if not symbol.isascii() or len(symbol) > SYMBOL_CHARS_MAX:
        return None
    for _, asset in ASSETS.scan_index(view, BY_SYMBOL, pad_symbol(symbol)):
        assert type(asset) is int
        return asset
    return None
