"""Legs: the one way in which posted money moves.

`leg` asks for authority over the debited account; `post` asks nobody and is the kernel's own. Both keep the
totals and the journal in step with the accounts. Pending money is `holds.py`.
"""

from typing import Any, Final

from protocol import codec, crypto
from protocol.contracts.ledger.accounts import (
    ACCOUNT,
    CLOSED,
    CREDIT_AT_MOST,
    DEBIT_AT_MOST,
    FROZEN_BY_ORDER,
    FROZEN_IN,
    FROZEN_OUT,
    NO_HISTORY,
    NONNEG_CREDIT,
    NONNEG_DEBIT,
    SIDE_CREDIT,
    SIDE_DEBIT,
    TOTAL,
    TURNS,
    AccountRow,
    TotalRow,
    compute_balance,
)
from protocol.contracts.ledger.months import open_month
from protocol.crypto import Domain
from protocol.errors import Code
from protocol.params import AMOUNT_MAX
from protocol.types import Address
from protocol.vm import gas
from protocol.vm.context import Context, Environment, fail
from protocol.vm.tables import SCHEMA
from protocol.vm.view import JournalRow, View

# Two accounts, two totals, two journal rows: what every leg costs, counted at once.
LEG_GAS: Final = (
    2 * (ACCOUNT.read_gas + ACCOUNT.write_gas + TOTAL.read_gas + TOTAL.write_gas) + 2 * gas.JOURNAL_ROW
)


_JOURNAL: Final = Domain.JOURNAL


def leg(
    ctx: Context, debit: bytes, credit: bytes, amount: int, code: int, ref: bytes = b"", at_most: int = 0
) -> int:
    """Move an amount between two accounts; returns the amount moved.

    Rules: 1. the call has authority over the owner of the debited account. 2. the rules of `post`. 3. a grant
        or token is charged with what was moved.

    Raises:
        CallFailed: POLICY_UNMET, GRANT_EXCEEDED, or what `post` raises.
    """
    if not ctx.may_debit(debit[:20]):
        fail(Code.POLICY_UNMET, "ledger.authority", None, debit[:20])
    amount = post(ctx.view, ctx.environment, debit, credit, amount, code, ref, at_most)
    if ctx.grant or ctx.takes:
        ctx.spend(debit[:20], int.from_bytes(debit[22:26], "big"), amount, credit[:20])
    return amount


def post(
    view: View,
    environment: Environment,
    debit: bytes,
    credit: bytes,
    amount: int,
    code: int,
    ref: bytes = b"",
    at_most: int = 0,
) -> int:
    """Move an amount, asking nobody: for `leg` and for the kernel itself.

    Rules, in this order (as TigerBeetle):
        1. both accounts exist, are two, and of one asset. 2. neither is closed. 3. neither is frozen on its
        side. 4. `at_most` lowers the amount. 5. the flags hold after it. 6. no counter passes 2^63-1.

    Raises:
        CallFailed: NO_ACCOUNT, SAME_ACCOUNT, ASSET, CLOSED, FROZEN, FUNDS, EXCEEDS_DEBITS, OVERFLOW.

    Cost: about 5 us.
    """
    view.charge(LEG_GAS)
    dr, cr = find_pair(view, debit, credit)
    if at_most:
        amount = limit_amount(dr, cr, amount, at_most)
    check_debit(dr, amount)
    check_credit(cr, amount)
    _, d_flags, d_dp, d_d, d_cp, d_c, d_seq, d_hash = dr
    _, c_flags, c_dp, c_d, c_cp, c_c, c_seq, c_hash = cr
    d_d += amount
    c_c += amount
    if not d_flags & NO_HISTORY:
        d_seq += 1
        balance = compute_balance(debit, d_d, d_c)
        d_hash = _journal(
            view, environment, debit, d_seq, d_hash, credit, SIDE_DEBIT, amount, code, ref, balance
        )
    if not c_flags & NO_HISTORY:
        c_seq += 1
        balance = compute_balance(credit, c_d, c_c)
        c_hash = _journal(
            view, environment, credit, c_seq, c_hash, debit, SIDE_CREDIT, amount, code, ref, balance
        )
    prefix = ACCOUNT.prefix
    view.put(prefix + debit, (SCHEMA, d_flags, d_dp, d_d, d_cp, d_c, d_seq, d_hash))
    view.put(prefix + credit, (SCHEMA, c_flags, c_dp, c_d, c_cp, c_c, c_seq, c_hash))
    open_month(view, debit[22:26], environment.day)
    add_totals(view, debit, credit, 0, amount)
    return amount


def find_pair(view: View, debit: bytes, credit: bytes) -> tuple[AccountRow, AccountRow]:
    """Return both accounts of a movement, after the checks that ask for no amount.

    Raises:
        CallFailed: NO_ACCOUNT, ASSET, SAME_ACCOUNT, CLOSED.
    """
    prefix = ACCOUNT.prefix
    dr = view.get(prefix + debit)
    cr = view.get(prefix + credit)
    if dr is None or cr is None:
        fail(Code.NO_ACCOUNT, "ledger.account", None, debit if dr is None else credit)
    if debit[22:26] != credit[22:26]:
        fail(
            Code.ASSET,
            "ledger.asset",
            int.from_bytes(debit[22:26], "big"),
            int.from_bytes(credit[22:26], "big"),
        )
    if debit == credit:
        fail(Code.SAME_ACCOUNT, "ledger.same_account", None, debit)
    touched = view.touched
    touched[Address(debit[:20])] = None
    touched[Address(credit[:20])] = None
    d_flags, c_flags = dr[1], cr[1]
    assert type(d_flags) is int and type(c_flags) is int
    if (d_flags | c_flags) & CLOSED:
        fail(Code.CLOSED, "ledger.closed", None, debit if d_flags & CLOSED else credit)
    return dr, cr  # type: ignore[return-value]


def limit_amount(dr: AccountRow, cr: AccountRow, amount: int, at_most: int) -> int:
    """Lower an amount to what `at_most` names."""
    if at_most & DEBIT_AT_MOST:
        amount = min(amount, max(0, dr[5] - dr[3] - dr[2]))
    if at_most & CREDIT_AT_MOST:
        amount = min(amount, max(0, cr[3] - cr[5] - cr[4]))
    return amount


def check_debit(row: AccountRow, amount: int) -> None:
    """Check that an account can be debited: FROZEN, FUNDS, OVERFLOW."""
    _, flags, pending, posted, _, credits, _, _ = row
    after = pending + posted + amount
    if flags & (FROZEN_OUT | FROZEN_BY_ORDER | NONNEG_CREDIT):
        if flags & FROZEN_OUT:
            fail(Code.FROZEN, "ledger.frozen_out")
        if flags & FROZEN_BY_ORDER:
            fail(Code.FROZEN, "ledger.frozen_by_order")
        if flags & NONNEG_CREDIT and after > credits:
            fail(Code.FUNDS, "ledger.nonneg_credit", credits - pending - posted, amount)
    if after > AMOUNT_MAX:
        fail(Code.OVERFLOW, "ledger.overflow", AMOUNT_MAX - pending - posted, amount)


def check_credit(row: AccountRow, amount: int) -> None:
    """Check that an account can be credited: FROZEN, EXCEEDS_DEBITS, OVERFLOW."""
    _, flags, _, debits, pending, posted, _, _ = row
    after = pending + posted + amount
    if flags & (FROZEN_IN | NONNEG_DEBIT):
        if flags & FROZEN_IN:
            fail(Code.FROZEN, "ledger.frozen_in")
        if flags & NONNEG_DEBIT and after > debits:
            fail(Code.EXCEEDS_DEBITS, "ledger.nonneg_debit", debits - pending - posted, amount)
    if after > AMOUNT_MAX:
        fail(Code.OVERFLOW, "ledger.overflow", AMOUNT_MAX - pending - posted, amount)


def _journal(
    view: View,
    environment: Environment,
    account: bytes,
    sequence: int,
    journal_hash: bytes,
    contra: bytes,
    side: int,
    amount: int,
    code: int,
    ref: bytes,
    balance: int,
) -> bytes:
    raw = codec.encode(
        (
            environment.time,
            environment.height,
            environment.index,
            contra,
            side,
            amount,
            code,
            ref,
            balance,
        )
    )
    view.journal.append(JournalRow(account, sequence, raw))
    return crypto.digest(_JOURNAL, journal_hash, raw)


def add_totals(view: View, debit: bytes, credit: bytes, pending: int, posted: int) -> None:
    """Add to the sums of both classes: a hold to what is pending (its release takes away), a leg to posted.

    Rules: 1. a posted sum that passes 2^63-1 begins again and counts the turn: the turnover of a class has no
        end, and nobody may stop an asset by moving it to and fro.

    Raises:
        CallFailed: OVERFLOW when more would be pending than an amount can say.
    """
    prefix, asset = TOTAL.prefix, debit[22:26]
    key = prefix + asset + debit[20:22]
    row: Any = view.get(key) or _NO_TOTAL
    schema, dp, d, cp, c = row
    is_one_class = debit[20:22] == credit[20:22]
    dp, d = dp + pending, d + posted
    if d > AMOUNT_MAX:
        d = _begin_again(view, key, d, 1, 0)
    if not is_one_class:
        view.put(key, (schema, dp, d, cp, c))
        key = prefix + asset + credit[20:22]
        row = view.get(key) or _NO_TOTAL
        schema, dp, d, cp, c = row
    cp, c = cp + pending, c + posted
    if c > AMOUNT_MAX:
        c = _begin_again(view, key, c, 0, 1)
    if pending > 0 and max(dp, cp) > AMOUNT_MAX:
        fail(Code.OVERFLOW, "ledger.total_pending", AMOUNT_MAX)
    view.put(key, (schema, dp, d, cp, c))


def _begin_again(view: View, total_key: bytes, posted: int, debits: int, credits: int) -> int:
    key = TURNS.prefix + total_key[len(TOTAL.prefix) :]
    schema, debits_turns, credits_turns = TURNS.peek(view, key) or (SCHEMA, 0, 0)
    view.put(key, (schema, debits_turns + debits, credits_turns + credits))
    return posted - (AMOUNT_MAX + 1)


_NO_TOTAL: Final[TotalRow] = (SCHEMA, 0, 0, 0, 0)
