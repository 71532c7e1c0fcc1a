"""What `coopd db check` asks of the books: no asset is ever made or lost.

Reads every ledger account of a state once and compares sums; it changes nothing and knows no disk.

Rules:
    1. For each asset the debits of all accounts equal their credits, posted and pending.
    2. The totals by class that the chain keeps are the sums over its accounts.
    3. No account breaks its own flag (owing where it must not).
"""

from collections import defaultdict
from collections.abc import Iterator

from protocol import codec
from protocol.contracts.ledger.accounts import (
    ACCOUNT,
    NONNEG_CREDIT,
    NONNEG_DEBIT,
    TOTAL,
    read_account_key,
)
from protocol.params import STATE_VALUE_BYTES_MAX
from protocol.vm.view import StateReader

Counters = list[int]
"""Debits pending, debits posted, credits pending, credits posted."""


def find_money_faults(state: StateReader) -> Iterator[str]:
    """Yield one sentence for everything that does not add up."""
    by_asset: dict[int, Counters] = defaultdict(lambda: [0, 0, 0, 0])
    by_class: dict[tuple[int, int], Counters] = defaultdict(lambda: [0, 0, 0, 0])
    for key, raw in state.scan(ACCOUNT.prefix):
        account = key[len(ACCOUNT.prefix) :]
        _, account_class, asset, _ = read_account_key(account)
        flags, counters = _read_row(raw)
        for sums in (by_asset[asset], by_class[asset, account_class]):
            for at, number in enumerate(counters):
                sums[at] += number
        debits_pending, debits, credits_pending, credits = counters
        if (flags & NONNEG_CREDIT and debits + debits_pending > credits) or (
            flags & NONNEG_DEBIT and credits + credits_pending > debits
        ):
            yield f"account {account.hex()}: owes although it must not"
    for asset, sums in sorted(by_asset.items()):
        if sums[:2] != sums[2:]:
            yield f"asset {asset}: debits {sums[1]} and credits {sums[3]} differ"
    for key, raw in state.scan(TOTAL.prefix):
        asset = int.from_bytes(key[3:7], "big")
        account_class = int.from_bytes(key[7:9], "big")
        row = codec.decode(raw, STATE_VALUE_BYTES_MAX)
        assert isinstance(row, tuple)
        if list(row[1:]) != by_class.pop((asset, account_class), [0, 0, 0, 0]):
            yield f"asset {asset}, class {account_class}: the total is not the sum over its accounts"
    for (asset, account_class), sums in sorted(by_class.items()):
        if any(sums):
            yield f"asset {asset}, class {account_class}: has no total"


def _read_row(raw: bytes) -> tuple[int, Counters]:
    row = codec.decode(raw, STATE_VALUE_BYTES_MAX)
    assert isinstance(row, tuple)
    flags, *counters = (number for number in row[1:6] if isinstance(number, int))
    return flags, counters
