"""savings: the exit queue, when more is asked for than is liquid."""

from bisect import bisect_left

import pytest

from protocol.codec import Value
from protocol.contracts.ledger.accounts import ACCOUNT, CLOSED, MEMBER_FREE, account_key, get_account
from protocol.contracts.savings import exits
from protocol.contracts.savings import records as s
from protocol.contracts.savings.exits import compute_budget
from protocol.contracts.savings.methods import lock
from protocol.errors import CallFailed
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import DAY, check_books
from tests.protocol.contracts.test_savings import Bank, call
from tests.protocol.ledger_world import ALICE, BOB, CAROL, COOP, NONE, TILL, Person


def short_bank() -> tuple[Bank, dict[Person, int]]:
    """A bank whose members have saved all and whose cash is mostly out."""
    bank = Bank(money=1_000, reserve_bp=2_000, daily_free=50)
    accounts = {who: bank.open(who, 1_000) for who in (ALICE, BOB, CAROL)}
    # Two thirds of the cash leave as an expense: what is liquid falls to about a third of savings.
    out: Value = ((0, TILL.address, 5020, COOP, 0), None)
    bank.gov((1, 1, NONE, out))
    held = bank.ask("assets", "cashier", TILL.address, COOP)
    assert type(held) is tuple and type(held[-1]) is int
    spend: Value = (
        (0, TILL.address, 5020, COOP, 0),
        (0, TILL.address, 1020, COOP, 0),
        held[-1] - 700,
        0,
        1,
        b"",
    )
    bank.gov((1, 2, NONE, spend))
    return bank, accounts


def test_short_of_cash_a_little_is_free_and_the_rest_waits_in_equal_parts() -> None:
    bank, accounts = short_bank()
    budget = compute_budget(View(bank.state), COOP, 2_000)
    assert budget == (10_000 * 700 - 2_000 * 3_000) // 8_000 == 125
    assert bank.code(ALICE, call(5, ALICE, accounts[ALICE], 126)) == s.LIQUIDITY
    bank.do(ALICE, call(9, ALICE, accounts[ALICE], 600))
    bank.do(BOB, call(9, BOB, accounts[BOB], 300))
    assert bank.code(ALICE, call(5, ALICE, accounts[ALICE], 401)) == s.NOT_FREE
    # While others wait, Carol has what is free in a day, and no more.
    assert bank.code(CAROL, call(5, CAROL, accounts[CAROL], 51)) == s.LIQUIDITY
    bank.do(CAROL, call(5, CAROL, accounts[CAROL], 50))
    assert bank.code(CAROL, call(5, CAROL, accounts[CAROL], 1)) == s.LIQUIDITY
    before = {who: bank.free(who) for who in (ALICE, BOB)}
    bank.run(seconds=DAY)
    bank.run(seconds=DAY)
    paid = {who: bank.free(who) - before[who] for who in (ALICE, BOB)}
    assert paid[ALICE] > 0 and paid[ALICE] // 2 == paid[BOB]
    assert compute_budget(View(bank.state), COOP, 2_000) <= 1
    check_books(bank)


def test_who_waits_is_paid_whole_when_enough_is_liquid_again() -> None:
    bank, accounts = short_bank()
    bank.do(ALICE, call(9, ALICE, accounts[ALICE], 600))
    bank.gov(
        (1, 2, NONE, ((0, TILL.address, 1020, COOP, 0), (0, TILL.address, 5020, COOP, 0), 2_000, 0, 1, b""))
    )
    bank.run(seconds=2 * DAY)
    bank.run(seconds=DAY)
    assert bank.balance(accounts[ALICE]) == 400 + (bank.balance(accounts[ALICE]) - 400)
    assert bank.free(ALICE) == 600
    assert bank.ask("savings", "liquidity", 1)[1] == 0  # type: ignore[index]


def test_what_waits_is_not_locked_and_what_is_free_in_a_day_is_of_the_member() -> None:
    bank, accounts = short_bank()
    bank.do(ALICE, call(5, ALICE, accounts[ALICE], 40))
    second = bank.open(ALICE, 20)
    bank.do(BOB, call(9, BOB, accounts[BOB], 300))
    ctx = bank.context()
    lock(ctx, accounts[BOB], 700)
    with pytest.raises(CallFailed) as caught:
        lock(ctx, accounts[BOB], 1)
    assert caught.value.code == s.NOT_FREE
    bank.do(ALICE, call(5, ALICE, accounts[ALICE], 40))
    assert bank.code(ALICE, call(5, ALICE, second, 11)) == s.LIQUIDITY
    bank.do(ALICE, call(5, ALICE, second, 10))
    assert bank.code(ALICE, call(5, ALICE, accounts[ALICE], 1)) == s.LIQUIDITY


def test_who_cannot_be_paid_holds_up_nobody() -> None:
    bank, accounts = short_bank()
    for who in (ALICE, BOB):
        bank.do(who, call(9, who, accounts[who], 300))
    key = account_key(ALICE.address, MEMBER_FREE, COOP)
    row = get_account(View(bank.state), key)
    assert row is not None
    view = View(bank.state)
    ACCOUNT.put(view, ACCOUNT.prefix + key, (row[0], row[1] | CLOSED, *row[2:]))
    bank.state.apply(view.collect_writes())
    before = bank.free(BOB)
    runs = [*bank.run(seconds=DAY).job_receipts, *bank.run(seconds=DAY).job_receipts]
    assert runs and all(run.is_ok for run in runs)
    assert bank.free(BOB) > before and bank.balance(accounts[ALICE]) >= 1_000
    assert bank.ask("savings", "account", accounts[ALICE])[-2] == 300  # type: ignore[index]


def test_who_needs_more_gas_than_one_payment_may_use_waits_on(monkeypatch: pytest.MonkeyPatch) -> None:
    bank, accounts = short_bank()
    bank.do(ALICE, call(9, ALICE, accounts[ALICE], 300))
    product = s.get_product(View(bank.state), 1)

    def is_paid(gas_max: int) -> bool:
        monkeypatch.setattr(exits, "EXIT_GAS_MAX", gas_max)
        ctx = bank.context()
        exits.pay_exits(ctx, product)
        return exits.count_waiting(ctx.view, COOP, accounts[ALICE]) < 300

    most = exits.EXIT_GAS_MAX
    needed = bisect_left(range(most), True, key=is_paid)
    assert 0 < needed < most and is_paid(needed) and not is_paid(needed - 1)


def test_when_more_wait_than_a_day_pays_they_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exits, "EXITS_PER_DAY_MAX", 1)
    bank, accounts = short_bank()
    for who in (ALICE, BOB):
        bank.do(who, call(9, who, accounts[who], 300))
    before = {who: bank.free(who) for who in (ALICE, BOB)}
    bank.run(seconds=DAY)
    for days in (1, 2):
        bank.run(seconds=DAY)
        paid = [bank.free(who) - before[who] for who in (ALICE, BOB)]
        assert len([amount for amount in paid if amount]) == days
    assert max(paid) <= 125 // 2 and min(paid) >= 125 // 4


def test_a_term_deposit_whose_end_has_come_waits_like_others() -> None:
    bank = Bank(money=10_000, kind=s.TERM, term_days=10, reserve_bp=2_000)
    account = bank.open(ALICE, 1_000)
    assert bank.code(ALICE, call(9, ALICE, account, 400)) == s.KIND
    bank.run(seconds=8 * DAY)
    assert bank.code(ALICE, call(9, ALICE, account, 400)) == s.KIND
    bank.run(seconds=2 * DAY)
    bank.do(ALICE, call(9, ALICE, account, 400))
    assert bank.code(ALICE, call(7, ALICE, account)) == s.NOT_FREE
    before = bank.free(ALICE)
    bank.run(seconds=DAY)
    bank.run(seconds=DAY)
    assert bank.free(ALICE) == before + 400
    (rest,) = bank.do(ALICE, call(7, ALICE, account))
    assert type(rest) is int and rest >= 600 and bank.exact_total() == 0
    check_books(bank)


def test_waiting_is_taken_back_and_never_more_than_there_is() -> None:
    bank, accounts = short_bank()
    assert bank.code(ALICE, call(9, ALICE, accounts[ALICE], 1_001)) == s.NOT_FREE
    assert bank.code(ALICE, call(9, ALICE, accounts[ALICE], 0)) == s.QUEUED
    bank.do(ALICE, call(9, ALICE, accounts[ALICE], 1_000))
    assert bank.do(ALICE, call(9, ALICE, accounts[ALICE], 0)) == (0,)
    assert bank.code(BOB, call(9, BOB, accounts[ALICE], 1)) == s.NO_ACCOUNT
