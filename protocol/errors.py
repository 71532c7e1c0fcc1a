"""The error tree of the core, by who is at fault, and the stable codes.

- `Rejected`: somebody else's data is wrong. Nothing was applied; the sender gets the code.
- `CallFailed`: a program fails while it runs: the same receipt on every node.
- `AssertionError`: our own bug; the shell records the last inputs and stops the process.
- Failures of our machine (disk, network, configuration) are `node.errors.OperationError`; the core has none.

Codes are never reused. 0-99 belong to the kernel, contract_id * 100 + n to a contract. The texts that a
person reads are `node/catalog.py`, the numbers that JSON-RPC shows are mapped there too.
"""

from dataclasses import dataclass
from enum import IntEnum


class Code(IntEnum):
    """Stable codes of the kernel (contracts.md 3.10)."""

    OK = 0
    EXISTS = 1

    GAS = 10
    MALFORMED = 11
    TYPE = 12
    LIMIT = 13
    UNKNOWN_METHOD = 14
    VERSION_PIN = 15
    PAUSED = 16
    ASSERT = 17
    INVARIANT = 18
    OVERFLOW = 19
    NOT_CANONICAL = 20
    WRONG_CHAIN = 21
    BAD_ADDRESS = 22
    INVALID_BLOCK = 23
    BAD_PROOF = 24

    BAD_SIG = 30
    POLICY_UNMET = 31
    NONCE_USED = 32
    NONCE_GAP = 33
    EXPIRED = 34
    NOT_YET = 35
    NO_QUOTA = 36
    GRANT_EXCEEDED = 37
    ROLE = 38
    EXPIRY_TOO_FAR = 39
    TOO_LARGE = 40
    FULL = 41

    NO_ACCOUNT = 50
    FUNDS = 51
    FROZEN = 52
    CLOSED = 53
    ASSET = 54
    HOLD_STATE = 55
    HOLD_EXPIRED = 56
    EXCEEDS_HOLD = 57
    EXCEEDS_DEBITS = 58
    SAME_ACCOUNT = 59


USER_ASSERT_BASE = 9_000
"""An assertion of a program fails with this number plus the code its author gave."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Say which rule stopped a program, with the limit and the actual value, for people and machines.

    Args:
        rule: stable slug such as `ledger.nonneg_credit`.
        limit: what the rule allows (integer, text or bytes; None when there is no number).
        actual: what was asked.
    """

    rule: str
    limit: int | str | bytes | None = None
    actual: int | str | bytes | None = None


class Rejected(Exception):
    """Somebody else's data is wrong; nothing was applied.

    Args:
        code: stable code.
        detail: one line for a log: what was expected and what came.
        retry: whether the same bytes can succeed later (`NONCE_GAP` can, `BAD_SIG` cannot).
    """

    def __init__(self, code: int, detail: str = "", *, retry: bool = False) -> None:
        super().__init__(f"{_name_of(code)}: {detail}" if detail else _name_of(code))
        self.code = code
        self.detail = detail
        self.retry = retry


class CallFailed(Exception):
    """A program fails: its effects are rewound and every node writes the same receipt.

    Args:
        code: stable code of the kernel or of a contract.
        reason: rule, limit and actual value; a number that no receipt can carry is left out.
    """

    def __init__(self, code: int, reason: Reason) -> None:
        super().__init__(f"{_name_of(code)}: {reason.rule}")
        self.code = code
        self.reason = Reason(reason.rule, _carried(reason.limit), _carried(reason.actual))


class VersionsMissing(Exception):
    """A state runs contracts that this software does not have: nothing is to be computed on it here.

    Args:
        versions: the (contract, version) that are missing.
    """

    def __init__(self, versions: tuple[tuple[int, int], ...]) -> None:
        super().__init__(", ".join(f"{contract} in version {version}" for contract, version in versions))
        self.versions = versions


def _carried(value: int | str | bytes | None) -> int | str | bytes | None:
    """Return a value of a reason, or None for a number of more than 63 bits: sums may pass every amount."""
    return None if type(value) is int and value.bit_length() > 63 else value


def _name_of(code: int) -> str:
    return Code(code).name if code in _KERNEL_CODES else str(code)


_KERNEL_CODES = frozenset(int(code) for code in Code)
