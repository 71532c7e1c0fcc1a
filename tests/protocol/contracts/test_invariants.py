"""Invariants: each can be broken, and whoever breaks one loses the program, not the chain."""

from typing import Any

import pytest

from protocol import transition
from protocol.codec import Value
from protocol.contracts import BUILTINS, REGISTRY
from protocol.contracts.ledger.accounts import (
    ACCOUNT,
    HOLDS,
    MEMBER_FREE,
    NONNEG_CREDIT,
    NONNEG_DEBIT,
    account_key,
)
from protocol.contracts.ledger.invariants import (
    are_books_balanced,
    are_flags_kept,
    are_holds_resolved_once,
    are_journals_gapless,
)
from protocol.errors import Code
from protocol.params import AMOUNT_MAX
from protocol.types import Address, ContractId
from protocol.vm.context import Context
from protocol.vm.contract import Contract, Method, Registry, Signed
from protocol.vm.kinds import ADDRESS, AMOUNT, BOOL, Field
from tests.protocol.ledger_world import ALICE, ASSETS, BOB, COOP, World

THIEF = ContractId(901)


def _print_money(ctx: Context, owner: Address, amount: int) -> Value:
    key = ACCOUNT.prefix + account_key(owner, MEMBER_FREE, COOP)
    row: Any = ACCOUNT.get(ctx.view, key)
    ACCOUNT.put(ctx.view, key, (*row[:5], row[5] + amount, *row[6:]))
    return True


def _erase(ctx: Context, owner: Address, amount: int) -> Value:
    ACCOUNT.delete(ctx.view, ACCOUNT.prefix + account_key(owner, MEMBER_FREE, COOP))
    return True


ARGUMENTS = (Field("owner", ADDRESS), Field("amount", AMOUNT))
THIEVES = Contract(
    THIEF,
    "thief",
    3,
    1,
    "",
    methods=(
        Method(1, "print", ARGUMENTS, BOOL, (Signed(),), 1, _print_money, ""),
        Method(2, "erase", ARGUMENTS, BOOL, (Signed(),), 1, _erase, ""),
    ),
)


@pytest.mark.parametrize("method, rule", [(1, "ledger.balance"), (2, "ledger.flags")])
def test_a_contract_with_a_mistake_loses_its_program(
    monkeypatch: pytest.MonkeyPatch, method: int, rule: str
) -> None:
    monkeypatch.setattr(transition, "REGISTRY", Registry((*BUILTINS, THIEVES), REGISTRY.has_role))
    world = World()
    world.ok(world.cash_in(ALICE, 1_000))
    pay = (ASSETS, 7, 0, (ALICE.address, BOB.address, COOP, 5, None))
    receipt = world.failed(world.tx(pay, (THIEF, method, 0, (ALICE.address, 7))))
    assert (receipt.code, receipt.failed_instruction, receipt.events) == (Code.INVARIANT, None, ())
    assert receipt.reason is not None and receipt.reason.rule == rule
    assert world.ask("assets", "balance", ALICE.address, COOP) == (1_000, 1_000, 0, 0)
    world.ok(world.pay(ALICE, BOB, 5))


def account(
    flags: int = 0, dp: int = 0, d: int = 0, cp: int = 0, c: int = 0, n: int = 1, h: bytes = b"h"
) -> Any:
    return (1, flags, dp, d, cp, c, n, h)


KEY = ACCOUNT.prefix + account_key(ALICE.address, MEMBER_FREE, COOP)
OTHER = ACCOUNT.prefix + account_key(BOB.address, MEMBER_FREE, COOP)
FOREIGN = ACCOUNT.prefix + account_key(BOB.address, MEMBER_FREE, 2)


@pytest.mark.parametrize(
    "row, holds",
    [
        (account(NONNEG_CREDIT, dp=2, d=3, c=5), True),
        (account(NONNEG_CREDIT, dp=2, d=4, c=5), False),
        (account(NONNEG_DEBIT, cp=2, c=3, d=5), True),
        (account(NONNEG_DEBIT, cp=3, c=3, d=5), False),
        (account(dp=1, d=AMOUNT_MAX - 1), True),
        (account(dp=1, d=AMOUNT_MAX), False),
        (account(cp=1, c=AMOUNT_MAX), False),
        (account(dp=-1), False),
        (account(cp=-1), False),
        (None, False),
    ],
)
def test_flags_and_bounds(row: Any, holds: bool) -> None:
    assert are_flags_kept([(KEY, None, row)]) is holds


@pytest.mark.parametrize(
    "key, row, holds",
    [
        (OTHER, account(c=5), True),
        (OTHER, account(c=4), False),
        (FOREIGN, account(c=5), False),
        (OTHER, account(c=5, cp=1), False),
    ],
)
def test_books(key: bytes, row: Any, holds: bool) -> None:
    assert are_books_balanced([(KEY, account(d=2), account(d=7)), (key, None, row)]) is holds


@pytest.mark.parametrize(
    "new, holds",
    [
        (account(n=1, h=b"h"), True),
        (account(n=2, h=b"i"), True),
        (account(n=1, h=b"i"), False),
        (account(n=2, h=b"h"), False),
        (account(n=0, h=b"i"), False),
        (None, True),
    ],
)
def test_journals(new: Any, holds: bool) -> None:
    assert are_journals_gapless([(KEY, account(), new)]) is holds


def hold(state: int, amount: int = 9) -> Any:
    return (1, 16, b"d", b"c", amount, 0, state, 0, 1, b"")


@pytest.mark.parametrize(
    "old, new, holds",
    [
        (None, hold(0), True),
        (hold(0), hold(1), True),
        (hold(1), hold(1), True),
        (hold(1), hold(2), False),
        (hold(2), hold(0), False),
        (hold(0), hold(1, 8), False),
        (hold(0), None, False),
    ],
)
def test_holds(old: Any, new: Any, holds: bool) -> None:
    assert are_holds_resolved_once([(HOLDS.key(1), old, new)]) is holds
