"""Journal rows as postings, and the check that they are the whole journal of an account.

An account's record carries a rolling hash over its rows and their number (D22). So one state proof of that
record authenticates a whole statement, whoever hands the rows over: `check_statement`. It does not know where
rows or proofs come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocol import codec, crypto
from protocol.codec import Reader
from protocol.contracts.ledger.accounts import (
    ACCOUNT_BYTES,
    REF_BYTES_MAX,
    SIDE_CREDIT,
    SIDE_DEBIT,
    compute_balance,
    read_account_key,
)
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.money import date_from_days
from protocol.params import AMOUNT_MAX, INT64_MAX, JOURNAL_ROW_BYTES_MAX, STATE_VALUE_BYTES_MAX

NO_ROWS: Final = bytes(32)
"""The rolling hash of an account without rows."""


@dataclass(frozen=True, slots=True)
class Posting:
    """One posted movement of an account.

    Args:
        account: 30 bytes, owner | class | asset | sub; `contra` is the other account of the movement.
        time: block time in seconds.
        index: of the transaction in its block; from `JOB_INDEX_FIRST` on, of the run of a job.
        balance: of the account after it.
    """

    account: bytes
    sequence: int
    time: int
    height: int
    index: int
    contra: bytes
    is_credit: bool
    amount: int
    code: int
    ref: bytes
    balance: int

    @property
    def signed(self) -> int:
        """Return the amount as it changes the balance."""
        debit = 0 if self.is_credit else self.amount
        return compute_balance(self.account, debit, self.amount - debit)


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """What the state says of an account, as far as its statement goes."""

    balance: int
    sequence: int
    rolled: bytes
    flags: int


def decode_posting(account: bytes, sequence: int, raw: bytes) -> Posting:
    """Decode a journal row.

    Raises:
        Rejected: TOO_LARGE, MALFORMED, NOT_CANONICAL.
    """
    fields = Reader(codec.decode(raw, JOURNAL_ROW_BYTES_MAX), "journal row", 9)
    return Posting(
        account,
        sequence,
        fields.integer(0, INT64_MAX),
        fields.integer(0, INT64_MAX),
        fields.uint(32),
        fields.data(ACCOUNT_BYTES),
        fields.integer(SIDE_DEBIT, SIDE_CREDIT) == SIDE_CREDIT,
        fields.integer(0, AMOUNT_MAX),
        fields.uint(16),
        fields.data_up_to(REF_BYTES_MAX),
        fields.integer(-AMOUNT_MAX, AMOUNT_MAX),
    )


def read_record(account: bytes, value: bytes | None) -> AccountRecord:
    """Read the value of an account's record; None is an account that does not exist.

    Raises:
        Rejected: MALFORMED, NOT_CANONICAL.
    """
    if value is None:
        return AccountRecord(0, 0, NO_ROWS, 0)
    fields = Reader(codec.decode(value, STATE_VALUE_BYTES_MAX), "account", 8)
    fields.uint(16)
    flags = fields.uint(8)
    _, debits, _, credits = [fields.integer(0, AMOUNT_MAX) for _ in range(4)]
    sequence = fields.uint(48)
    return AccountRecord(compute_balance(account, debits, credits), sequence, fields.data(32), flags)


def roll(rolled: bytes, raw: bytes) -> bytes:
    """Add a row to the rolling hash of an account."""
    return crypto.digest(Domain.JOURNAL, rolled, raw)


def check_statement(account: bytes, raws: Sequence[bytes], record: AccountRecord) -> tuple[Posting, ...]:
    """Check that rows are the whole journal of an account whose record is proven, and return them decoded.

    Rules: 1. they are as many as the record says, and their rolling hash is its. 2. each balance follows from
        the one before, and the last is the record's.

    Raises:
        Rejected: BAD_PROOF, or what decoding raises.
    """
    if len(raws) != record.sequence:
        raise Rejected(Code.BAD_PROOF, f"statement: {len(raws)} rows, the state proves {record.sequence}")
    rolled, balance = NO_ROWS, 0
    postings = []
    for sequence, raw in enumerate(raws, 1):
        rolled = roll(rolled, raw)
        posting = decode_posting(account, sequence, raw)
        balance += posting.signed
        if posting.balance != balance:
            raise Rejected(Code.BAD_PROOF, f"statement: balance of row {sequence} does not follow")
        postings.append(posting)
    if rolled != record.rolled:
        raise Rejected(Code.BAD_PROOF, "statement: rows are not those that the state proves")
    if balance != record.balance:
        raise Rejected(Code.BAD_PROOF, f"statement: ends with {balance}, the state says {record.balance}")
    return tuple(postings)


def asset_of(account: bytes) -> int:
    """Return the asset of an account."""
    return read_account_key(account)[2]


def format_day(days: int) -> str:
    """Write a calendar day as 2026-07-31."""
    year, month, day = date_from_days(days)
    return f"{year:04d}-{month:02d}-{day:02d}"
