"""What the ledger keeps: accounts, totals and holds, their names, flags and balances.

Knows no movement (`legs.py`, `holds.py`).
"""

from functools import lru_cache
from typing import Final, TypeAlias

from protocol.types import Address, ContractId
from protocol.vm.keys import KeyPart, data_key, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    ASSET,
    HASH,
    SECONDS,
    U8,
    U16,
    U32,
    U48,
    Data,
    Field,
    Fields,
)
from protocol.vm.tables import SCHEMA, Index, Table
from protocol.vm.view import Row, View

ID: Final = ContractId(1)
COMPLIANCE: Final = "compliance"

NONNEG_CREDIT: Final = 1
"""Debits, pending ones included, never exceed posted credits: the owner cannot owe."""
NONNEG_DEBIT: Final = 2
"""Credits, pending ones included, never exceed posted debits."""
FROZEN_OUT: Final = 4
"""No new debit."""
FROZEN_IN: Final = 8
"""No new credit."""
CLOSED: Final = 16
"""No new leg or hold, and no capture; pending holds can still be released."""
NO_HISTORY: Final = 32
"""No journal rows."""
FROZEN_BY_ORDER: Final = 64
"""No new debit either, for another reason: each reason ends by itself."""
FLAGS_ALL: Final = 63
"""All flags but that of orders, which no account is opened with."""

DEBIT_AT_MOST: Final = 1
"""Move at most what the debited account has: posted credits less all debits."""
CREDIT_AT_MOST: Final = 2
"""Move at most what the credited account owes: posted debits less all credits."""

CLOSE_DEBIT: Final = 1
"""While the hold is pending, the debited account is closed."""
CLOSE_CREDIT: Final = 2

PENDING: Final = 0
CAPTURED: Final = 1
RELEASED: Final = 2
EXPIRED: Final = 3

SIDE_DEBIT: Final = 0
SIDE_CREDIT: Final = 1

CUSTODY: Final = 1010
CASHIER_FLOAT: Final = 1020
MEMBER_FREE: Final = 2010
FEE_INCOME: Final = 4020

# A loss allowance is contra, an exchange position and a surplus can stand on either side.
_EITHER_SIDE: Final = (1190, 1310, 3050, 3910)

REF_BYTES_MAX: Final = 16
ACCOUNT_BYTES: Final = 30
TAILS_KEPT_MAX: Final = 4_096
"""Ends of account keys kept in memory: classes and assets are few."""

AccountRow: TypeAlias = tuple[int, int, int, int, int, int, int, bytes]
"""(schema, flags, debits pending, debits posted, credits pending, credits posted, sequence, journal hash)"""
TotalRow: TypeAlias = tuple[int, int, int, int, int]
"""(schema, debits pending, debits posted, credits pending, credits posted)"""
TurnsRow: TypeAlias = tuple[int, int, int]
HoldRow: TypeAlias = tuple[int, int, bytes, bytes, int, int, int, int, int, bytes]
"""(schema, keeper, debit, credit, amount, closing, state, expires, code, ref)"""
CounterRow: TypeAlias = tuple[int, int]

REF: Final = Data("ref", 0, REF_BYTES_MAX)
COUNTERS: Final = (
    Field("debits_pending", AMOUNT),
    Field("debits_posted", AMOUNT),
    Field("credits_pending", AMOUNT),
    Field("credits_posted", AMOUNT),
)
ACCOUNT_NAME: Final = Fields(
    (Field("owner", ADDRESS), Field("class", U16), Field("asset", ASSET), Field("sub", U32))
)

ACCOUNT: Final[Table[AccountRow]] = Table(
    ID,
    1,
    "account",
    (data_key("owner", 20), uint_key("class", 16), uint_key("asset", 32), uint_key("sub", 32)),
    (
        Field("flags", U8),
        *COUNTERS,
        Field("sequence", U48, "of the newest journal row"),
        Field("journal_hash", HASH, "rolling hash of the journal rows"),
    ),
    doc="A ledger account.",
)
TOTAL: Final[Table[TotalRow]] = Table(
    ID,
    3,
    "total",
    (uint_key("asset", 32), uint_key("class", 16)),
    COUNTERS,
    doc="Sums over all accounts of one class, the posted ones modulo 2^63: the trial balance.",
)
TURNS: Final[Table[TurnsRow]] = Table(
    ID,
    7,
    "turns",
    (uint_key("asset", 32), uint_key("class", 16)),
    (Field("debits", U32), Field("credits", U32)),
    doc="How often a posted sum has passed 2^63-1 and begun again. No record: never.",
)
HOLD_FIELDS: Final = (
    Field("keeper", U16, "contract that may capture and release it"),
    Field("debit", Data("account", ACCOUNT_BYTES, ACCOUNT_BYTES)),
    Field("credit", Data("account", ACCOUNT_BYTES, ACCOUNT_BYTES)),
    Field("amount", AMOUNT),
    Field("closing", U8),
    Field("state", U8, "0 pending, 1 captured, 2 released, 3 expired"),
    Field("expires", SECONDS, "0: never"),
    Field("code", U16),
    Field("ref", REF),
)


def _select_due(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    state, expires = row[6], row[7]
    return (expires,) if state == PENDING and type(expires) is int and expires else None


HOLD_DUE: Final = Index(5, "hold_due", (uint_key("expires", 48),), _select_due)
HOLDS: Final[Table[HoldRow]] = Table(
    ID, 4, "hold", (uint_key("hold", 48),), HOLD_FIELDS, (HOLD_DUE,), doc="Legs that are or were pending."
)
COUNTER: Final[Table[CounterRow]] = Table(
    ID, 6, "counter", (), (Field("holds", U48),), doc="Number of the newest hold."
)


def account_key(owner: bytes, account_class: int, asset: int, sub: int = 0) -> bytes:
    """Return the 30 bytes that name an account."""
    return owner + _account_tail(account_class, asset, sub)


@lru_cache(TAILS_KEPT_MAX)
def _account_tail(account_class: int, asset: int, sub: int) -> bytes:
    return (account_class << 64 | asset << 32 | sub).to_bytes(10, "big")


def read_account_key(account: bytes) -> tuple[Address, int, int, int]:
    """Return owner, class, asset and sub of an account."""
    tail = int.from_bytes(account[20:], "big")
    return Address(account[:20]), tail >> 64, tail >> 32 & 0xFFFFFFFF, tail & 0xFFFFFFFF


def compute_balance(account: bytes, debits: int, credits: int) -> int:
    """Compute the balance: debits less credits for assets and expenses, the reverse for the rest."""
    return debits - credits if _is_debit_side(account[20:22]) else credits - debits


@lru_cache(TAILS_KEPT_MAX)
def _is_debit_side(account_class: bytes) -> bool:
    return int.from_bytes(account_class, "big") // 1_000 in (1, 5)


def default_flags(account_class: int) -> int:
    """Return the flags that a new account of a class has."""
    leading = account_class // 1_000
    if account_class in _EITHER_SIDE:
        return 0
    if leading in (2, 3):
        return NONNEG_CREDIT
    return NONNEG_DEBIT if leading == 1 else 0


def is_account_class(account_class: int) -> bool:
    """Tell whether a number is a class: 1xxx to 5xxx, or 9xxx for memoranda."""
    return 1 <= account_class // 1_000 <= 5 or account_class // 1_000 == 9


def get_account(view: View, account: bytes) -> AccountRow | None:
    """Return an account's record, or None."""
    return ACCOUNT.get(view, ACCOUNT.prefix + account)


def open_account(view: View, account: bytes, flags: int | None = None) -> bool:
    """Open an account unless it exists, by default with the flags of its class; tell whether it is new."""
    key = ACCOUNT.prefix + account
    if ACCOUNT.get(view, key) is not None:
        return False
    if flags is None:
        flags = default_flags(int.from_bytes(account[20:22], "big"))
    ACCOUNT.put(view, key, (SCHEMA, flags, 0, 0, 0, 0, 0, bytes(32)))
    return True
