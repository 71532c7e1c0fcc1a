"""What the books say as a whole: exact balances of classes, and the equity that follows from them.

Reads totals only, never accounts, so its cost does not grow with the number of members. Moves nothing.

*Source*: contracts.md 5.1, 5.4.
"""

from protocol.contracts.ledger.accounts import TOTAL, TURNS
from protocol.params import AMOUNT_MAX
from protocol.vm.view import View


def list_balances(view: View, asset: int) -> tuple[tuple[int, int], ...]:
    """Return (class, balance) of every class in use: debits less credits for 1xxx, 5xxx and 9xxx, else the
    reverse. A balance of a class can be larger than an amount."""
    found: list[tuple[int, int]] = []
    for key, row in TOTAL.scan(view, asset):
        account_class = TOTAL.parts(key)[1]
        assert type(account_class) is int
        turns = TURNS.get(view, TURNS.prefix + key[len(TOTAL.prefix) :]) or (0, 0, 0)
        balance = row[2] - row[4] + (turns[1] - turns[2]) * (AMOUNT_MAX + 1)
        is_debit_side = account_class // 1_000 in (1, 5, 9)
        found.append((account_class, balance if is_debit_side else -balance))
    return tuple(found)


def sum_leading(balances: tuple[tuple[int, int], ...], leading: int) -> int:
    """Return the sum of the balances whose class begins with a digit."""
    return sum([balance for account_class, balance in balances if account_class // 1_000 == leading])


def find_balance(balances: tuple[tuple[int, int], ...], account_class: int) -> int:
    """Return the balance of one class; 0 when it is not in use."""
    return sum([balance for other, balance in balances if other == account_class])


def compute_result(balances: tuple[tuple[int, int], ...]) -> int:
    """Return income less expenses that are not closed yet; negative: a loss."""
    return sum_leading(balances, 4) - sum_leading(balances, 5)


def compute_equity(balances: tuple[tuple[int, int], ...]) -> int:
    """Return assets less liabilities: share capital, reserves, surplus and the result not closed yet."""
    return sum_leading(balances, 3) + compute_result(balances)
