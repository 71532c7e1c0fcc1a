"""What every program must leave true of the accounts and holds that it touched.

The rules of `legs.py` and `holds.py` say the same in another way; here they are looked at from outside, after
a program, so that a mistake in a contract above aborts the program that would use it.

*Source*: contracts.md D7, 5.1.
"""

from typing import Any, Final

from protocol.contracts.ledger.accounts import (
    ACCOUNT,
    HOLDS,
    NONNEG_CREDIT,
    NONNEG_DEBIT,
    PENDING,
)
from protocol.params import AMOUNT_MAX
from protocol.vm.contract import Change, Invariant

_NOTHING: Final = (1, 0, 0, 0, 0, 0, 0, b"")


def are_flags_kept(changes: list[Change]) -> bool:
    """Tell whether every account keeps its flags and its counters their bounds."""
    row: Any
    for _, _, row in changes:
        if row is None:
            return False  # an account is closed, never deleted
        _, flags, dp, d, cp, c, _, _ = row
        if dp < 0 or cp < 0 or dp + d > AMOUNT_MAX or cp + c > AMOUNT_MAX:
            return False
        if (flags & NONNEG_CREDIT and dp + d > c) or (flags & NONNEG_DEBIT and cp + c > d):
            return False
    return True


def are_books_balanced(changes: list[Change]) -> bool:
    """Tell whether as much was debited as credited of each asset, pending and posted."""
    asset = changes[0][0][25:29]  # prefix 3, owner 20, class 2
    pending = posted = 0
    others: list[Change] = []
    old: Any
    new: Any
    for change in changes:
        key, old, new = change
        if key[25:29] != asset:
            others.append(change)
            continue
        _, _, old_dp, old_d, old_cp, old_c, _, _ = old or _NOTHING
        _, _, dp, d, cp, c, _, _ = new or _NOTHING
        pending += dp - old_dp - cp + old_cp
        posted += d - old_d - c + old_c
    return not pending and not posted and (not others or are_books_balanced(others))


def are_journals_gapless(changes: list[Change]) -> bool:
    """Tell whether no journal went back, and none changed its hash without a new row."""
    old: Any
    new: Any
    for _, old, new in changes:
        if old is None or new is None:
            continue
        if new[6] < old[6] or (new[6] == old[6]) != (new[7] == old[7]):
            return False
    return True


def are_holds_resolved_once(changes: list[Change]) -> bool:
    """Tell whether holds were resolved once at most, and nothing else of them changed."""
    for _, old, new in changes:
        if new is None:
            return False
        if old is not None and old != new and (old[6] != PENDING or old[:6] + old[7:] != new[:6] + new[7:]):
            return False
    return True


INVARIANTS: Final = (
    Invariant("ledger.flags", ACCOUNT, are_flags_kept, "Flags and bounds of every account hold."),
    Invariant("ledger.balance", ACCOUNT, are_books_balanced, "Debits are credits for each asset."),
    Invariant("ledger.journal", ACCOUNT, are_journals_gapless, "A journal only grows."),
    Invariant("ledger.holds", HOLDS, are_holds_resolved_once, "A hold is resolved once."),
)
