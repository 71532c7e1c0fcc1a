"""savings: deposits, notice, terms, the exit queue, and interest that is exact to the last part."""

from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import Value
from protocol.contracts import sched
from protocol.contracts.ledger.accounts import account_key, get_account
from protocol.contracts.members import records as m
from protocol.contracts.savings import records as s
from protocol.contracts.savings.interest import compute_more, list_bands
from protocol.contracts.savings.methods import CREDIT_ITEMS, lock, unlock
from protocol.errors import CallFailed, Code
from protocol.finance.day_count import ACCRUAL_UNIT, DayCount
from protocol.money import date_from_days, days_from_date
from protocol.transition import answer_query
from protocol.types import Seconds
from protocol.vm.context import Context, Environment
from protocol.vm.program import literal
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import BOARD1, DAY, HASH, Coop, check_books
from tests.protocol.ledger_world import ALICE, BOB, CAROL, COOP, NONE, Person, person

SAVINGS = 30
YEAR = 365
PRODUCT: dict[str, Any] = {
    "name": "Savings book",
    "asset": COOP,
    "kind": s.DEMAND,
    "day_count": int(DayCount.ACT_365F),
    "floors": (0,),
    "minimum": 0,
    "notice_days": 0,
    "term_days": 0,
    "break_bp": 0,
    "posting_months": 12,
    "withholding_bp": 0,
    "reserve_bp": 0,
    "daily_free": 0,
    "basis": s.DAILY,
    "monthly": 0,
}


def product(rates: tuple[int, ...] = (100_000,), **changes: Any) -> Value:
    terms = {**PRODUCT, **changes}
    return (SAVINGS, 1, NONE, (literal(rates), *[literal(term) for term in terms.values()]))


class Bank(Coop):
    """A co-op with three savers and one product."""

    def __init__(self, rates: tuple[int, ...] = (100_000,), money: int = 900_000, **changes: Any) -> None:
        super().__init__()
        self.numbers = {who: self.join(who, money) for who in (ALICE, BOB, CAROL)}
        self.gov(product(rates, **changes))
        self.run()

    def open(self, who: Person, amount: int, number: int = 1) -> int:
        (account,) = self.do(who, call(3, who, number, amount))
        assert type(account) is int
        return account

    def days(self, count: int, step: int = 1) -> None:
        """Let days pass, with a block at least every so many of them, so that jobs run."""
        for _ in range(0, count, step):
            self.run(seconds=step * DAY - 2)
            self.run(seconds=2)  # what a job has scheduled for the next second

    def account(self, number: int) -> s.Account:
        return s.get_savings(View(self.state), number)

    def balance(self, number: int) -> int:
        view = View(self.state)
        return s.find_balance(view, number, s.get_product(view, s.get_savings(view, number).product))

    def exact(self, number: int) -> Fraction:
        """Return what an account has earned up to its product's day, in minor units."""
        view = View(self.state)
        account = s.get_savings(view, number)
        kept = s.get_product(view, account.product)
        total = s.TOTALS.get(view, s.TOTALS.key(account.product))
        assert total is not None
        more, _, _ = compute_more(view, account, kept, self.balance(number), total[3])
        return Fraction(s.read_exact(account.earned) + more, ACCRUAL_UNIT)

    def exact_total(self, number: int = 1) -> Fraction:
        total = s.TOTALS.get(View(self.state), s.TOTALS.key(number))
        assert total is not None
        return Fraction(s.read_exact(total[2]), ACCRUAL_UNIT)

    def context(self) -> Context:
        from protocol.contracts import REGISTRY
        from protocol.types import Height

        environment = Environment(self.time, int(self.time) // DAY, Height(self.height + 1), 0, bytes(32), ())
        return Context(View(self.state), REGISTRY, environment, REGISTRY.by_name["savings"], None)


def call(method: int, who: Person, *arguments: Value) -> Value:
    return (SAVINGS, method, 0, (who.address, *arguments))


# --- money in and out


def test_money_goes_in_and_comes_back() -> None:
    bank = Bank()
    account = bank.open(ALICE, 300)
    assert bank.do(ALICE, call(4, ALICE, account, 200)) == (500,)
    assert bank.do(ALICE, call(5, ALICE, account, 100)) == (400,)
    assert bank.free(ALICE) == 900_000 - 400
    assert bank.code(ALICE, call(5, ALICE, account, 401)) == s.NOT_FREE
    assert bank.code(BOB, call(5, BOB, account, 1)) == s.NO_ACCOUNT
    assert bank.code(ALICE, call(5, ALICE, account + 1, 1)) == s.NO_ACCOUNT
    assert bank.do(ALICE, call(8, ALICE, account)) == (400,)
    assert bank.ask("savings", "account", account) is None
    check_books(bank)


def test_who_saves_cannot_leave_before_the_account_is_closed() -> None:
    bank = Bank()
    account = bank.open(ALICE, 300)
    bank.do(ALICE, (17, 13, 0, (ALICE.address,)))
    assert bank.code(BOB, (17, 14, 0, (bank.numbers[ALICE],))) == m.OBLIGED
    bank.do(ALICE, call(8, ALICE, account))
    bank.do(BOB, (17, 14, 0, (bank.numbers[ALICE],)))


def test_the_minimum_stays_unless_all_is_taken() -> None:
    bank = Bank(minimum=100)
    assert bank.code(ALICE, call(3, ALICE, 1, 99)) == s.BELOW_MINIMUM
    account = bank.open(ALICE, 100)
    bank.do(ALICE, call(4, ALICE, account, 1))
    assert bank.code(ALICE, call(5, ALICE, account, 2)) == s.BELOW_MINIMUM
    assert bank.do(ALICE, call(5, ALICE, account, 1)) == (100,)
    assert bank.do(ALICE, call(5, ALICE, account, 100)) == (0,)


def test_notice_is_given_waited_for_and_used_up() -> None:
    bank = Bank(kind=s.NOTICE, notice_days=30)
    account = bank.open(ALICE, 1_000)
    assert bank.code(ALICE, call(5, ALICE, account, 1)) == s.NO_NOTICE
    (day,) = bank.do(ALICE, call(6, ALICE, account, 400))
    bank.run(seconds=28 * DAY)
    assert bank.code(ALICE, call(5, ALICE, account, 400)) == s.NO_NOTICE
    bank.run(seconds=DAY)
    bank.run(seconds=DAY)
    assert type(day) is int and int(bank.time) // DAY >= day
    assert bank.code(ALICE, call(5, ALICE, account, 401)) == s.NO_NOTICE
    assert bank.do(ALICE, call(5, ALICE, account, 300)) == (700,)
    assert bank.code(ALICE, call(5, ALICE, account, 101)) == s.NO_NOTICE
    demand = Bank()
    assert demand.code(ALICE, call(6, ALICE, demand.open(ALICE, 5), 1)) == s.KIND


def test_what_is_locked_stays_and_earns() -> None:
    bank = Bank()
    account = bank.open(ALICE, 1_000)
    ctx = bank.context()
    lock(ctx, account, 600)
    with pytest.raises(CallFailed) as caught:
        lock(ctx, account, 401)
    assert caught.value.code == s.NOT_FREE
    bank.state.apply(ctx.view.collect_writes())
    assert bank.code(ALICE, call(5, ALICE, account, 401)) == s.NOT_FREE
    assert bank.do(ALICE, call(5, ALICE, account, 400)) == (600,)
    ctx = bank.context()
    unlock(ctx, account, 600)
    bank.state.apply(ctx.view.collect_writes())
    assert bank.do(ALICE, call(5, ALICE, account, 600)) == (0,)


def test_accounts_of_a_member_at_the_limit_and_one_beyond() -> None:
    bank = Bank()
    for _ in range(s.ACCOUNTS_MAX):
        bank.open(ALICE, 1)
    assert bank.code(ALICE, call(3, ALICE, 1, 1)) == s.TERMS
    assert len(bank.ask("savings", "accounts", bank.numbers[ALICE])) == s.ACCOUNTS_MAX  # type: ignore[arg-type]


def test_an_applicant_does_not_save() -> None:
    bank = Bank()
    stranger = person("applicant")
    assert bank.code(ALICE, call(3, ALICE, 9, 1)) == s.NO_PRODUCT
    bank.ok(bank.cash_in(stranger, 100))
    assert bank.code(stranger, call(3, stranger, 1, 1)) == m.UNKNOWN_MEMBER


def test_who_is_suspended_keeps_saving_but_opens_nothing() -> None:
    bank = Bank()
    account = bank.open(ALICE, 100)
    bank.do(BOARD1, (17, 8, 0, (bank.numbers[ALICE], HASH)))
    assert bank.code(ALICE, call(3, ALICE, 1, 1)) == s.STANDING
    bank.do(ALICE, call(4, ALICE, account, 10))
    assert bank.do(ALICE, call(5, ALICE, account, 60)) == (50,)


@pytest.mark.parametrize(
    "changes",
    [
        {"floors": (1,)},
        {"floors": (0, 10, 10)},
        {"kind": s.TERM},
        {"term_days": 5},
        {"kind": s.NOTICE},
        {"reserve_bp": 10_000},
        {"kind": s.REGULAR},
        {"monthly": 1},
        {"kind": s.REGULAR, "monthly": 1, "basis": s.MINIMUM},
        {"kind": s.TERM, "term_days": 5, "basis": s.MINIMUM},
        {"basis": s.AVERAGE, "floors": (0, 10)},
    ],
)
def test_products_that_contradict_themselves(changes: dict[str, Any]) -> None:
    bank = Bank()
    rates = (1,) * len(changes.get("floors", (0,)))
    assert bank.gov_outcome(product(rates, **changes)).code == s.TERMS


def test_a_rate_for_each_band() -> None:
    bank = Bank()
    assert bank.gov_outcome((SAVINGS, 2, NONE, (1, (0, 1, 2)))).code == s.TERMS


# --- interest


def test_a_year_at_ten_per_cent() -> None:
    bank = Bank(day_count=int(DayCount.ACT_365F))
    account = bank.open(ALICE, 365_000)
    start = bank.account(account).opened
    bank.days(20, 5)
    assert bank.exact(account) == (int(bank.time - 1) // DAY - start) * 100
    bank.days(YEAR, 5)
    assert bank.balance(account) > 365_000  # credited on the first of January
    (back,) = bank.do(ALICE, call(8, ALICE, account))
    held = int(bank.time - 1) // DAY - start
    assert type(back) is int and back > 365_000 + held * 100  # interest on interest since January
    assert bank.free(ALICE) == 900_000 - 365_000 + back
    check_books(bank)


def test_bands_earn_each_their_own_rate_from_the_day_it_is_set() -> None:
    bank = Bank((10_000, 100_000), floors=(0, 1_000), day_count=int(DayCount.ACT_360), posting_months=12)
    account = bank.open(ALICE, 3_000)
    bank.days(10)
    bank.gov((SAVINGS, 2, NONE, (1, (0, 20_000, 0))))
    bank.days(10)
    days = bank.account(account).as_of
    total = s.TOTALS.get(View(bank.state), s.TOTALS.key(1))
    assert total is not None and days < total[3]
    passed = total[3] - days
    old = passed - 10
    expected = Fraction(1_000 * 10_000 + 2_000 * 100_000, 10**6) * old / 360
    expected += Fraction(1_000 * 20_000, 10**6) * 10 / 360
    assert bank.exact(account) == expected == bank.exact_total()


def test_tax_is_kept_back_and_rounding_is_half_even() -> None:
    bank = Bank((100_000,), withholding_bp=2_500, posting_months=1, day_count=int(DayCount.THIRTY_E_360))
    account = bank.open(ALICE, 100_000)
    bank.days(35)
    # The first of January to the first of February: 833.33 at the cent, a quarter of it kept back.
    tax = get_account(View(bank.state), account_key(s.ADDRESS_OF, s.TAX_PAYABLE, COOP))
    assert tax is not None and tax[5] == 208
    assert bank.balance(account) == 100_000 + 833 - 208
    check_books(bank)


def test_more_accounts_than_one_run_credits() -> None:
    bank = Bank(posting_months=1)
    crowd = [person(f"saver {n}") for n in range(CREDIT_ITEMS + 3)]
    accounts = []
    for who in crowd:
        bank.join(who, 100_000)
        accounts.append(bank.open(who, 100_000))
    bank.days(40)
    bank.run(seconds=5)
    assert all(bank.balance(account) > 100_000 for account in accounts)
    assert sum((bank.exact(account) for account in accounts), Fraction()) == bank.exact_total()
    check_books(bank)


def test_a_term_deposit_earns_to_its_end_and_loses_a_part_when_broken() -> None:
    bank = Bank(kind=s.TERM, term_days=90, break_bp=5_000, day_count=int(DayCount.ACT_360))
    kept, broken = bank.open(ALICE, 360_000), bank.open(BOB, 360_000)
    assert bank.code(ALICE, call(4, ALICE, kept, 1)) == s.KIND
    assert bank.code(ALICE, call(5, ALICE, kept, 1)) == s.KIND
    assert bank.code(ALICE, call(8, ALICE, kept)) == s.KIND
    start = bank.account(kept).opened
    bank.days(50)
    (back,) = bank.do(BOB, call(7, BOB, broken))
    held = int(bank.time - 1) // DAY - start
    assert back == 360_000 + held * 100 // 2
    bank.days(45)
    (back,) = bank.do(ALICE, call(7, ALICE, kept))
    held = int(bank.time - 1) // DAY - start
    assert held >= 90 and back == 360_000 + held * 100
    assert bank.exact_total() == 0
    demand = Bank()
    assert demand.code(ALICE, call(7, ALICE, demand.open(ALICE, 5))) == s.KIND
    check_books(bank)


# --- what earns: the lowest balance, the average, months that were kept

KINDS: dict[str, dict[str, Any]] = {
    "daily": {},
    "minimum": {"basis": s.MINIMUM},
    "average": {"basis": s.AVERAGE, "floors": (0,)},
    "regular": {"kind": s.REGULAR, "monthly": 5_000},
    "notice": {"kind": s.NOTICE, "notice_days": 10, "basis": s.MINIMUM},
}


def until(bank: Bank, year: int, month: int, day: int, second: int = 7_200) -> None:
    """Let time pass up to a day, so that the jobs of its first hour have run."""
    bank.run(seconds=days_from_date(year, month, day) * DAY + second - int(bank.time) - 1)
    bank.run(seconds=1)
    bank.run(seconds=1)


def first_of_next_month(bank: Bank) -> tuple[int, int]:
    year, month, _ = date_from_days(int(bank.time) // DAY)
    return year + month // 12, month % 12 + 1


def test_the_lowest_balance_of_a_period_earns_over_all_of_it() -> None:
    bank = Bank(basis=s.MINIMUM, posting_months=1, day_count=int(DayCount.THIRTY_E_360))
    account = bank.open(ALICE, 72_000)
    year, month = first_of_next_month(bank)
    until(bank, year, month, 1)
    credited = bank.balance(account)
    assert credited > 72_000 and bank.exact(account) == bank.exact_total()
    until(bank, year, month, 11)
    assert (
        bank.exact(account) == bank.exact_total() == Fraction(credited * 10, 3_600) + bank_rest(bank, account)
    )
    bank.do(ALICE, call(4, ALICE, account, 50_000))  # more does not earn before the next period
    bank.do(ALICE, call(5, ALICE, account, 50_000))
    until(bank, year, month, 21)
    assert bank.exact(account) == Fraction(credited * 20, 3_600) + bank_rest(bank, account)
    bank.do(ALICE, call(5, ALICE, account, credited - 36_000))
    assert bank.exact(account) == bank.exact_total() == 36_000 * 20 // 3_600 + bank_rest(bank, account)
    until(bank, year + month // 12, month % 12 + 1, 1)
    assert bank.balance(account) == 36_000 + 300
    check_books(bank)


def bank_rest(bank: Bank, account: int) -> Fraction:
    """Return what rounding left in an account when it was last credited: the whole of its first period is
    known to be 72,000 at 10 % from its opening."""
    opened = bank.account(account).opened
    day = date_from_days(opened)[2]
    earned = Fraction(72_000 * (31 - min(day, 30)), 3_600)
    return earned - round(earned)


def test_who_closes_an_account_loses_what_its_lowest_balance_earned_in_the_period() -> None:
    bank = Bank(basis=s.MINIMUM, posting_months=12)
    account = bank.open(ALICE, 365_000)
    bank.days(40, 10)
    bank.run(seconds=2)
    kept = bank.balance(account)
    assert bank.do(ALICE, call(8, ALICE, account)) == (kept,)
    assert bank.exact_total() == 0
    check_books(bank)


def test_the_first_period_of_an_account_begins_when_it_is_opened() -> None:
    bank = Bank(basis=s.MINIMUM, posting_months=12)
    account = bank.open(ALICE, 730_000)
    bank.run(seconds=3 * DAY)
    bank.do(ALICE, call(5, ALICE, account, 365_000))
    held = bank.account(account).as_of - bank.account(account).opened
    assert held == 3 and bank.exact(account) == bank.exact_total() == held * 100


def test_on_the_first_day_of_a_period_every_movement_counts() -> None:
    bank = Bank(basis=s.MINIMUM, posting_months=1)
    account = bank.open(ALICE, 1_000)
    year, month = first_of_next_month(bank)
    until(bank, year, month, 1)
    bank.do(ALICE, call(4, ALICE, account, 9_000))
    assert bank.account(account).base == bank.balance(account)
    until(bank, year, month, 2)
    bank.do(ALICE, call(4, ALICE, account, 9_000))
    assert bank.account(account).base == bank.balance(account) - 9_000


def test_a_month_of_regular_saving_earns_once_its_deposit_is_complete() -> None:
    bank = Bank(kind=s.REGULAR, monthly=100, posting_months=12, day_count=int(DayCount.ACT_365F))
    account = bank.open(ALICE, 99)
    assert bank.account(account).base == 0
    bank.do(ALICE, call(4, ALICE, account, 1))
    assert bank.account(account).base == 100
    bank.do(ALICE, call(5, ALICE, account, 1))
    assert bank.account(account).base == 0
    bank.do(ALICE, call(4, ALICE, account, 36_401))
    year, month = first_of_next_month(bank)
    until(bank, year, month, 1)
    before, balance = bank.exact(account), bank.balance(account)
    until(bank, year, month, 11)
    assert bank.exact(account) == bank.exact_total() == before  # nothing yet in this month
    bank.do(ALICE, call(4, ALICE, account, 100))
    until(bank, year, month, 21)
    assert bank.exact(account) == before + Fraction((balance + 100) * 10, 3_650)
    after = first_of_next_month(bank)
    until(bank, *after, 1)
    kept = bank.exact(account)
    until(bank, *first_of_next_month(bank), 1)  # a missed month
    assert bank.exact(account) == bank.exact_total() == kept
    check_books(bank)


def test_only_a_group_saves_as_a_group() -> None:
    bank = Bank(kind=s.GROUP)
    assert bank.code(ALICE, call(3, ALICE, 1, 100)) == s.KIND
    key = m.MEMBERS.key(bank.numbers[BOB])
    view = View(bank.state)
    m.put_member(view, bank.numbers[BOB], replace(m.get_member(view, bank.numbers[BOB]), kind=m.GROUP))
    assert m.MEMBERS.get(view, key) is not None
    bank.state.apply(view.collect_writes())
    assert bank.open(BOB, 100) == 1


def test_interest_is_asked_for_by_the_calendar_of_the_co_op() -> None:
    bank = Bank()
    account = bank.open(ALICE, 365_000)
    opened = bank.account(account).opened

    def ask(time: int, offset: int) -> Value:
        answer = answer_query(bank.state, Seconds(time), "savings", "account", (account,), None, offset)
        assert type(answer) is tuple
        return answer[-1]

    midnight = (opened + 1) * DAY
    assert (ask(midnight - 1, 0), ask(midnight, 0)) == (0, 100)
    assert (ask(midnight - 28_800 - 1, 28_800), ask(midnight - 28_800, 28_800)) == (0, 100)


@pytest.mark.parametrize("kind", [*KINDS, "group"])
@pytest.mark.parametrize("months", [1, 12])
def test_interest_does_not_ask_on_which_days_there_were_blocks(kind: str, months: int) -> None:
    """A chain with blocks every day, and one that had them only on the days of movements and few others."""
    random = Random(f"{kind} {months}")
    terms = {"floors": (0, 30_000), "posting_months": months, "withholding_bp": 700, **KINDS.get(kind, {})}
    banks = [Bank((20_000, 70_000)[: len(terms["floors"])], **terms) for _ in range(2)]
    people = (ALICE, BOB, CAROL)
    accounts = {who: number for who in people for number in {bank.open(who, 20_000) for bank in banks}}
    for _ in range(16):
        days, gaps = random.randint(1, 70), random.randint(1, 3)
        who, amount, method = random.choice(people), random.randint(1, 25_000), random.choice((4, 5, 6))
        for bank, steps in zip(banks, ([1] * days, _split(random, days, gaps)), strict=True):
            for step in steps:
                bank.run(seconds=step * DAY)
            bank.code(who, call(method, who, accounts[who], amount))
            assert sum((bank.exact(a) for a in accounts.values()), Fraction()) == bank.exact_total()
    for bank in banks:
        bank.run(seconds=DAY)
        bank.run(seconds=DAY)
        check_books(bank)
    daily, rare = banks
    for account in accounts.values():
        assert daily.balance(account) == rare.balance(account)
        assert daily.exact(account) == rare.exact(account)
    assert find_total(daily)[:5] == find_total(rare)[:5] and find_total(daily)[6:] == find_total(rare)[6:]
    for account_class in (s.INTEREST_COST, s.INTEREST_PAYABLE, s.TAX_PAYABLE):
        number = 0 if account_class == s.TAX_PAYABLE else 1
        key = account_key(s.ADDRESS_OF, account_class, COOP, number)
        first, second = (get_account(View(bank.state), key) for bank in banks)
        assert first is not None and second is not None and first[5] - first[3] == second[5] - second[3]


def _split(random: Random, days: int, most: int) -> list[int]:
    ends = sorted({days, *[random.randint(1, days) for _ in range(most - 1)]})
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def find_total(bank: Bank) -> s.TotalRow:
    total = s.TOTALS.get(View(bank.state), s.TOTALS.key(1))
    assert total is not None
    return total


def test_a_period_is_credited_though_its_first_day_had_no_block() -> None:
    """365,000 at 10 % are 100 a day; a year has passed, and the first of January was no day of a block."""
    bank = Bank(posting_months=12)
    account = bank.open(ALICE, 365_000)
    opened = bank.account(account).opened
    year = date_from_days(opened)[0] + 1
    until(bank, year, 3, 5)
    january = days_from_date(year, 1, 1)
    posted = 365_000 + (january - opened) * 100
    assert bank.balance(account) == posted and find_total(bank)[7] == january
    since = Fraction(posted * (days_from_date(year, 3, 5) - january), 3_650)
    assert bank.exact(account) == bank.exact_total() == since
    check_books(bank)


def test_whoever_comes_before_the_chain_credits_his_account_himself() -> None:
    bank = Bank(posting_months=1)
    account = bank.open(ALICE, 100_000)
    year, month = first_of_next_month(bank)
    until(bank, year, month, 1, second=-7_200)
    until(bank, year, month, 1, second=10)
    assert bank.balance(account) == 100_000, "the job of the day comes a minute after midnight"
    (balance,) = bank.do(ALICE, call(5, ALICE, account, 1))
    assert type(balance) is int and balance > 100_000 and balance == bank.balance(account)
    until(bank, year, month, 2)
    assert bank.balance(account) == balance and bank.exact(account) == bank.exact_total()


moves = st.lists(
    st.tuples(st.sampled_from((ALICE, BOB, CAROL)), st.integers(-60_000, 60_000), st.integers(0, 40)),
    max_size=8,
)


@settings(max_examples=30, deadline=None)
@given(moves, st.sampled_from(list(DayCount)), st.sampled_from([1, 3, 12]))
def test_the_sum_is_what_all_accounts_have_earned_whatever_happens(
    steps: list[tuple[Person, int, int]], convention: DayCount, months: int
) -> None:
    bank = Bank(
        (20_000, 70_000, 5_000), floors=(0, 10_000, 50_000), day_count=int(convention), posting_months=months
    )
    accounts = {who: bank.open(who, 20_000) for who in (ALICE, BOB, CAROL)}
    for who, amount, days in steps:
        bank.days(days, 7)
        method = 4 if amount > 0 else 5
        bank.code(who, call(method, who, accounts[who], abs(amount) or 1))
    bank.run(seconds=2 * DAY)
    bank.run(seconds=2 * DAY)
    assert sum((bank.exact(a) for a in accounts.values()), Fraction()) == bank.exact_total()
    bands = [0, 0, 0]
    for account in accounts.values():
        for at, amount in enumerate(list_bands((0, 10_000, 50_000), bank.balance(account))):
            bands[at] += amount
    total = s.TOTALS.get(View(bank.state), s.TOTALS.key(1))
    assert total is not None and total[1] == tuple(bands)
    check_books(bank)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("convention", DayCount)
def test_over_five_years_the_sum_is_what_all_accounts_have_earned(convention: DayCount, kind: str) -> None:
    """Money in and out on drawn days, new rates every year, interest credited each quarter."""
    random = Random(int(convention))
    terms = {"floors": (0, 30_000), "posting_months": 3, **KINDS[kind]}
    rates = (20_000, 70_000)[: len(terms["floors"])]
    bank = Bank(rates, day_count=int(convention), **terms)
    accounts = {who: bank.open(who, 20_000) for who in (ALICE, BOB, CAROL)}
    ends = int(bank.time) + 5 * YEAR * DAY
    while int(bank.time) < ends:
        bank.days(random.randint(20, 60), random.choice((1, 7, 20)))
        who, amount = random.choice(list(accounts)), random.randint(1, 25_000)
        bank.code(who, call(random.choice((4, 5)), who, accounts[who], amount))
        if random.random() < 0.1:
            changed = [random.randint(0, 90_000) for _ in rates]
            bank.gov((SAVINGS, 2, NONE, (1, (0, *changed))))
        assert sum((bank.exact(a) for a in accounts.values()), Fraction()) == bank.exact_total()
    bank.run(seconds=2 * DAY)
    bank.run(seconds=2 * DAY)
    assert sum((bank.exact(a) for a in accounts.values()), Fraction()) == bank.exact_total()
    check_books(bank)


@given(
    st.lists(st.integers(1, 10**6), min_size=0, max_size=5, unique=True).map(lambda f: (0, *sorted(f))),
    st.integers(0, 10**7),
)
def test_bands_are_the_whole_balance(floors: tuple[int, ...], balance: int) -> None:
    bands = list_bands(floors, balance)
    assert sum(bands) == balance and min(bands) >= 0


# --- by the chain itself


def test_only_the_chain_credits_and_runs_the_day() -> None:
    bank = Bank()
    for method, arguments in ((12, (1,)), (13, (1, 0))):
        assert bank.code(ALICE, (SAVINGS, method, 0, arguments)) == Code.ROLE


def test_a_product_in_which_nobody_saves_costs_nothing() -> None:
    """Jobs of a day are as many as products with money in them."""

    def job_of() -> int:
        total = s.TOTALS.get(View(bank.state), s.TOTALS.key(1))
        assert total is not None
        return total[5]

    bank = Bank()
    assert job_of() == 0
    first = bank.open(ALICE, 100_000)
    awake = job_of()
    assert awake and sched.get_job(View(bank.state), awake) is not None
    bank.open(BOB, 100_000)
    bank.days(3)
    assert job_of() == awake
    bank.do(ALICE, call(8, ALICE, first))
    bank.days(2)
    assert job_of() == awake
    bank.do(BOB, call(8, BOB, first + 1))
    bank.days(2)
    assert job_of() == 0 and sched.get_job(View(bank.state), awake) is None
    account = bank.open(CAROL, 365_000)
    start = bank.account(account).opened
    bank.days(10)
    assert job_of() > awake
    assert bank.exact(account) == bank.exact_total() == (int(bank.time - 1) // DAY - start) * 100
    check_books(bank)
