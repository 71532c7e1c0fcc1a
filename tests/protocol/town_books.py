"""What must hold after every step of a town: the books balance, flags are kept, journals have no gap.

It follows the writes of each step, so that the state is not read through each time;
`test_ledger_properties.py` reads it through and holds the same.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from protocol import crypto
from protocol.codec import decode
from protocol.contracts import auth, grants
from protocol.contracts.ledger import accounts as ledger
from protocol.params import AMOUNT_MAX, STATE_VALUE_BYTES_MAX
from protocol.transition import Execution
from protocol.vm.view import JournalRow, MemoryState

OWN_TABLES: Final = (auth.ACCOUNT.prefix, auth.SEEN.prefix, grants.GRANTS.prefix)
"""Tables that an aborted program may write: gas, nonce, and what a sponsor has paid."""


class Books:
    """The accounts, totals and holds of a state, and each account's journal as far as it was hashed."""

    def __init__(self, state: MemoryState) -> None:
        self._accounts: dict[bytes, Any] = {}
        self._totals: dict[bytes, Any] = {}
        self._holds: dict[bytes, Any] = {}
        self._journals: dict[bytes, tuple[int, bytes]] = {}
        self._follow(state.items())
        for name, row in self._accounts.items():
            self._journals[name] = (row[6], row[7])

    def check(self, writes: Mapping[bytes, bytes | None], journal: Iterable[JournalRow]) -> None:
        """Check every rule after a step that wrote this.

        Raises:
            AssertionError: one does not hold.
        """
        for row in journal:
            sequence, rolled = self._journals.get(row.account, (0, bytes(32)))
            assert row.sequence == sequence + 1, "a journal has a gap"
            rolled = crypto.digest(crypto.Domain.JOURNAL, rolled, row.raw)
            self._journals[row.account] = (row.sequence, rolled)
        self._follow(writes)
        self._check_sums(self._check_accounts())

    def _follow(self, writes: Mapping[bytes, bytes | None]) -> None:
        tables = {
            ledger.ACCOUNT.prefix: self._accounts,
            ledger.TOTAL.prefix: self._totals,
            ledger.HOLDS.prefix: self._holds,
        }
        for key, raw in writes.items():
            rows = tables.get(key[:3])
            if rows is not None:
                assert raw is not None, "the ledger deletes nothing"
                rows[key[3:]] = decode(raw, STATE_VALUE_BYTES_MAX)

    def _check_accounts(self) -> dict[bytes, list[int]]:
        """Check each account; returns the sums of each asset and class."""
        sums: dict[bytes, list[int]] = {}
        journals = self._journals
        for name, (_, flags, dp, d, cp, c, sequence, rolled) in self._accounts.items():
            assert min(dp, d, cp, c) >= 0 and dp + d <= AMOUNT_MAX and cp + c <= AMOUNT_MAX, "out of bounds"
            assert not flags & ledger.NONNEG_CREDIT or dp + d <= c, "the owner owes"
            assert not flags & ledger.NONNEG_DEBIT or cp + c <= d, "more is taken than was there"
            assert journals.get(name, (0, bytes(32))) == (sequence, rolled), (
                "a journal is not what its hash says"
            )
            total = sums.setdefault(name[22:26] + name[20:22], [0, 0, 0, 0])
            total[0] += dp
            total[1] += d
            total[2] += cp
            total[3] += c
        return sums

    def _check_sums(self, sums: dict[bytes, list[int]]) -> None:
        assets: dict[bytes, list[int]] = {}
        pending = 0
        for key, (dp, d, cp, c) in sums.items():
            posted = (dp, d % (AMOUNT_MAX + 1), cp, c % (AMOUNT_MAX + 1))
            assert self._totals.get(key, (1, 0, 0, 0, 0))[1:] == posted, "a total is not its accounts' sum"
            pending += dp
            asset = assets.setdefault(key[:4], [0, 0])
            asset[0] += dp - cp
            asset[1] += d - c
        assert not any(sum(map(abs, asset)) for asset in assets.values()), "debits are not credits"
        held = sum(row[4] for row in self._holds.values() if row[6] == ledger.PENDING)
        assert held == pending, "what is pending is not what is held"


def check_no_trace(alone: Execution, empty: Execution) -> None:
    """Check that a program that failed, alone in a block, has left nonce and gas behind and nothing else."""
    (receipt,), (touched,) = alone.receipts, alone.touched
    assert receipt.events == () and receipt.results == () and receipt.reason is not None
    assert len(alone.journal) - len(empty.journal) in (0, 2), "only a fee may be posted"
    has_fee = len(alone.journal) > len(empty.journal)
    for key in {*alone.writes, *empty.writes}:
        if alone.writes.get(key, b"") != empty.writes.get(key, b""):
            is_money = has_fee and key[:3] in (ledger.ACCOUNT.prefix, ledger.TOTAL.prefix)
            assert is_money or key[:3] in OWN_TABLES, f"an aborted program wrote {key.hex()}"
    assert len(touched) <= 16
