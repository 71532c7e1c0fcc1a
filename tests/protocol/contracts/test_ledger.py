"""ledger: names and balances, the order of checks, flags, holds and who may resolve them, closing."""

from typing import Any

import pytest

from protocol.codec import Value, decode
from protocol.contracts import REGISTRY
from protocol.contracts.ledger import accounts as ledger
from protocol.contracts.ledger import holds, legs
from protocol.errors import CallFailed, Code
from protocol.params import (
    AMOUNT_MAX,
    HOLD_SECONDS_MAX,
    HOLDS_EXPIRED_PER_BLOCK_MAX,
    JOURNAL_ROW_BYTES_MAX,
    QUERY_ITEMS_MAX,
)
from protocol.transition import answer_query
from protocol.types import Height, Seconds
from protocol.vm.context import Context, Environment
from protocol.vm.execute import Outcome, run_program
from protocol.vm.program import parse_program
from protocol.vm.view import MemoryState, View
from tests.protocol.ledger_world import (
    ALICE,
    BOB,
    CAROL,
    COOP,
    LEDGER,
    NONE,
    Person,
    World,
    founding,
    program,
)

A, B, C = (ledger.account_key(p.address, ledger.MEMBER_FREE, 1) for p in (ALICE, BOB, CAROL))
NOW = 1_000_000


class Book:
    """A view with three accounts; programs run with the authority of gov."""

    def __init__(self) -> None:
        self.view = View(MemoryState())
        self.time = NOW
        for name in (A, B, C):
            ledger.open_account(self.view, name, 0)

    def environment(self, system: str | None = "gov") -> Environment:
        return Environment(Seconds(self.time), 0, Height(7), 3, bytes(32), (ALICE.address,), system)

    def run(self, *calls: tuple[int, tuple[Value, ...]]) -> Outcome:
        """Run methods of the ledger, given by number."""
        value = ((), tuple((LEDGER, method, NONE, arguments) for method, arguments in calls))
        return run_program(self.view, REGISTRY, self.environment(), parse_program(value, REGISTRY, 1))

    def code(self, method: int, *arguments: Value) -> int:
        return self.run((method, arguments)).code

    def set(self, name: bytes, flags: int = 0, counters: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
        self.view.put(ledger.ACCOUNT.prefix + name, (1, flags, *counters, 0, bytes(32)))

    def get(self, name: bytes) -> tuple[int, ...]:
        row = ledger.get_account(self.view, name)
        assert row is not None
        return row[1:6]


def said(name: bytes) -> Value:
    return (0, *ledger.read_account_key(name))


def leg(debit: bytes, credit: bytes, amount: int, at_most: int = 0) -> tuple[int, tuple[Value, ...]]:
    return 2, (said(debit), said(credit), amount, at_most, 9, b"ref")


def hold(amount: int, expires: int = 0, debit: bytes = A, credit: bytes = B) -> tuple[int, tuple[Value, ...]]:
    return 3, (said(debit), said(credit), amount, 0, 0, expires, 9, b"")


# --- names


def test_account_key_round_trip() -> None:
    key = ledger.account_key(ALICE.address, 2010, 0xFFFFFFFF, 0xFFFFFFFE)
    assert len(key) == ledger.ACCOUNT_BYTES
    assert ledger.read_account_key(key) == (ALICE.address, 2010, 0xFFFFFFFF, 0xFFFFFFFE)
    assert ledger.ACCOUNT.key(ALICE.address, 2010, 1, 2) == ledger.ACCOUNT.prefix + ledger.account_key(
        ALICE.address, 2010, 1, 2
    )


@pytest.mark.parametrize(
    "account_class, flags, balance",
    [
        (1020, 2, 30),
        (1190, 0, 30),
        (2010, 1, -30),
        (3020, 1, -30),
        (3050, 0, -30),
        (4020, 0, -30),
        (5020, 0, 30),
    ],
)
def test_class_decides_side_and_flags(account_class: int, flags: int, balance: int) -> None:
    assert ledger.default_flags(account_class) == flags
    assert ledger.compute_balance(ledger.account_key(ALICE.address, account_class, 1), 50, 20) == balance


@pytest.mark.parametrize(
    "account_class, is_class", [(999, 0), (1000, 1), (5999, 1), (6000, 0), (8999, 0), (9000, 1), (10_000, 0)]
)
def test_classes(account_class: int, is_class: int) -> None:
    assert ledger.is_account_class(account_class) == bool(is_class)
    name = (0, ALICE.address, account_class, 1, 0)
    assert Book().code(1, name, None) == (Code.OK if is_class else Code.TYPE)


def test_open_flags_at_the_limit_and_beyond() -> None:
    book = Book()
    assert book.code(1, (0, ALICE.address, 2010, 2, 0), 47) == Code.OK
    assert book.code(1, (0, ALICE.address, 2010, 3, 0), ledger.CLOSED) == Code.LIMIT
    assert book.code(1, (0, ALICE.address, 2010, 3, 0), 64) == Code.LIMIT
    assert book.run((1, ((0, ALICE.address, 2010, 2, 0), 0))).results == (False,)


# --- legs


def test_leg_moves_and_tells_both_journals() -> None:
    book = Book()
    outcome = book.run(leg(A, B, 30))
    assert outcome.results == (30,)
    assert book.get(A) == (0, 0, 30, 0, 0) and book.get(B) == (0, 0, 0, 0, 30)
    debit, credit = book.view.journal
    assert (debit.account, debit.sequence, credit.account) == (A, 1, B)
    assert decode(debit.raw, JOURNAL_ROW_BYTES_MAX) == (NOW, 7, 3, B, 0, 30, 9, b"ref", -30)
    assert decode(credit.raw, JOURNAL_ROW_BYTES_MAX) == (NOW, 7, 3, A, 1, 30, 9, b"ref", 30)
    assert list(book.view.touched) == [ALICE.address, BOB.address]


def test_largest_journal_row_fits() -> None:
    book = Book()
    book.time = (1 << 48) - 1
    book.set(A, counters=(0, 0, 0, 0))
    assert book.run((2, (said(A), said(B), AMOUNT_MAX, 0, 65_535, bytes(16)))).code == Code.OK
    assert all(len(row.raw) < JOURNAL_ROW_BYTES_MAX for row in book.view.journal)


def test_order_of_checks() -> None:
    book = Book()
    other = ledger.account_key(ALICE.address, ledger.MEMBER_FREE, 2)
    nobody = ledger.account_key(ALICE.address, ledger.MEMBER_FREE, 1, 5)
    ledger.open_account(book.view, other, 63)
    assert book.run(leg(nobody, other, 1)).code == Code.NO_ACCOUNT
    assert book.run(leg(A, other, 1)).code == Code.ASSET  # though closed and frozen
    assert book.run(leg(A, A, 1)).code == Code.SAME_ACCOUNT
    book.set(A, ledger.CLOSED | ledger.FROZEN_OUT | ledger.NONNEG_CREDIT)
    assert book.run(leg(A, B, 1)).code == Code.CLOSED
    book.set(A, ledger.FROZEN_OUT | ledger.NONNEG_CREDIT)
    assert book.run(leg(A, B, 1)).code == Code.FROZEN
    book.set(A, ledger.NONNEG_CREDIT, (0, 0, 0, 4))
    assert book.run(leg(A, B, 5)).code == Code.FUNDS
    assert book.run(leg(A, B, 5, ledger.DEBIT_AT_MOST)).results == (4,)
    book.set(C, ledger.FROZEN_IN)
    assert book.run(leg(B, C, 1)).code == Code.FROZEN
    book.set(C, ledger.NONNEG_DEBIT, (0, 3, 0, 0))
    assert book.run(leg(B, C, 4)).code == Code.EXCEEDS_DEBITS
    assert book.run(leg(B, C, 4, ledger.CREDIT_AT_MOST)).results == (3,)


def test_counters_at_the_largest_amount_and_one_beyond() -> None:
    book = Book()
    book.set(A, counters=(1, AMOUNT_MAX - 10, 0, 0))
    assert book.run(leg(A, B, 10)).code == Code.OVERFLOW
    assert book.run(leg(A, B, 9)).code == Code.OK
    book.set(B, counters=(0, 0, 1, AMOUNT_MAX - 10))
    assert book.run(leg(C, B, 10)).code == Code.OVERFLOW
    assert book.run(leg(C, B, 9)).code == Code.OK


@pytest.mark.parametrize("credit_class", [2010, 4020])
def test_turnover_of_a_class_begins_again(credit_class: int) -> None:
    book = Book()
    other = ledger.account_key(BOB.address, credit_class, 1)
    ledger.open_account(book.view, other, 0)
    keys = [ledger.TOTAL.key(1, 2010), ledger.TOTAL.key(1, credit_class)]
    for key in keys:
        book.view.put(key, (1, 0, AMOUNT_MAX - 1, 0, AMOUNT_MAX - 1))
    for amount in (1, 1, 5):
        assert book.run(leg(A, other, amount)).code == Code.OK
    found = {row[1]: row for row in ask(book, "totals", 1)}
    assert (found[2010][3], found[2010][6]) == (5, 1)
    assert (found[credit_class][5], found[credit_class][7]) == (5, 1)


def test_pending_of_a_class_at_the_largest_amount_and_one_beyond() -> None:
    book = Book()
    book.view.put(ledger.TOTAL.key(1, 2010), (1, AMOUNT_MAX - 9, 0, AMOUNT_MAX - 9, 0))
    assert book.run(hold(10)).code == Code.OVERFLOW
    assert book.run(hold(9)).code == Code.OK
    assert book.run((4, (1, None))).code == Code.OK


def test_account_without_history() -> None:
    book = Book()
    book.set(A, ledger.NO_HISTORY)
    book.run(leg(A, B, 5))
    assert [row.account for row in book.view.journal] == [B]
    row = ledger.get_account(book.view, A)
    assert row is not None and row[6:] == (0, bytes(32))


def context(book: Book, contract: str, actor: Person | None) -> Context:
    who = None if actor is None else actor.address
    return Context(book.view, REGISTRY, book.environment(None), REGISTRY.by_name[contract], who)


def test_leg_needs_authority_over_the_debited_owner() -> None:
    book = Book()
    assert legs.leg(context(book, "assets", ALICE), A, B, 1, 1) == 1
    for actor in (BOB, None):
        with pytest.raises(CallFailed) as failure:
            legs.leg(context(book, "assets", actor), A, B, 1, 1)
        assert failure.value.code == Code.POLICY_UNMET
        with pytest.raises(CallFailed) as failure:
            holds.hold(context(book, "assets", actor), A, B, 1, 0, 1)
        assert failure.value.code == Code.POLICY_UNMET
    own = ledger.account_key(REGISTRY.by_name["assets"].address, 2040, 1)
    ledger.open_account(book.view, own, 0)
    assert legs.leg(context(book, "assets", None), own, B, 1, 1) == 1


def test_methods_need_a_decision_of_the_coop() -> None:
    compliance = program((2, 4, NONE, (BOB.address, ledger.COMPLIANCE)))
    opened = program((1, 1, NONE, (said(A), None)))
    world = World((*founding(), compliance, opened))
    for method, arguments in ((2, leg(A, B, 1)[1]), (6, (said(A), 4)), (7, (said(A), 4))):
        assert world.failed(world.tx((LEDGER, method, 0, arguments), actors=(BOB,))).code == Code.ROLE


def test_an_account_is_frozen_and_freed() -> None:
    book = Book()
    book.set(A, ledger.NONNEG_CREDIT)
    outcome = book.run((6, (said(A), ledger.FROZEN_OUT)))
    assert outcome.results == (5,)
    assert book.run((7, (said(A), 12))).results == (1,)


# --- holds


def test_hold_reserves_then_captures_a_part() -> None:
    book = Book()
    book.set(A, ledger.NONNEG_CREDIT, (0, 0, 0, 10))
    assert book.run(hold(7)).results == (1,)
    assert book.get(A) == (1, 7, 0, 0, 10) and book.get(B) == (0, 0, 0, 7, 0)
    assert book.run(leg(A, C, 4)).code == Code.FUNDS
    assert book.run(hold(3)).results == (2,)
    assert book.run((4, (1, 8))).code == Code.EXCEEDS_HOLD
    assert book.run((4, (1, 5))).results == (5,)
    assert book.get(A) == (1, 3, 5, 0, 10) and book.get(B) == (0, 0, 0, 3, 5)
    assert book.code(4, 1, None) == Code.HOLD_STATE
    assert book.code(5, 1) == Code.HOLD_STATE
    assert book.run((5, (2,))).results == (3,)
    assert book.get(A) == (1, 0, 5, 0, 10) and book.get(B) == (0, 0, 0, 0, 5)
    assert book.code(5, 3) == Code.HOLD_STATE


@pytest.mark.parametrize(
    "after, code", [(0, Code.LIMIT), (1, 0), (HOLD_SECONDS_MAX, 0), (HOLD_SECONDS_MAX + 1, Code.LIMIT)]
)
def test_expiry_of_a_hold_at_both_limits(after: int, code: int) -> None:
    book = Book()
    assert book.run(hold(1, NOW + after)).code == code


def test_expired_hold_is_gone_even_before_it_is_given_back() -> None:
    book = Book()
    book.run(hold(5, NOW + 10), hold(6, NOW + 11))
    book.time = NOW + 9
    assert holds.expire_holds(book.view, book.time) == 0
    book.time = NOW + 10
    assert book.code(4, 1, None) == Code.HOLD_EXPIRED and book.code(5, 1) == Code.HOLD_EXPIRED
    assert holds.expire_holds(book.view, book.time) == 1
    assert book.get(A) == (0, 6, 0, 0, 0)
    assert book.code(4, 1, None) == Code.HOLD_EXPIRED
    assert book.run((4, (2, None))).results == (6,)
    assert holds.expire_holds(book.view, NOW + 99) == 0


def test_expiry_stops_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert HOLDS_EXPIRED_PER_BLOCK_MAX == 1_000
    monkeypatch.setattr(holds, "HOLDS_EXPIRED_PER_BLOCK_MAX", 2)
    book = Book()
    book.run(*[hold(1, NOW + 5) for _ in range(3)])
    book.time = NOW + 5
    assert holds.expire_holds(book.view, NOW + 5) == 2
    assert book.code(4, 3, None) == Code.HOLD_EXPIRED
    assert holds.expire_holds(book.view, NOW + 5) == 1
    assert book.get(A) == (0, 0, 0, 0, 0)


def test_hold_belongs_to_the_contract_that_made_it() -> None:
    book = Book()
    number = holds.hold(context(book, "assets", ALICE), A, B, 5, 0, 1)
    assert book.code(4, number, None) == Code.HOLD_STATE
    assert book.code(5, number) == Code.HOLD_STATE
    with pytest.raises(CallFailed):
        holds.release(context(book, "ledger", ALICE), number)
    assert holds.release(context(book, "assets", None), number) == 5


def test_capture_into_an_account_frozen_meanwhile() -> None:
    book = Book()
    book.run(hold(5))
    assert book.run((6, (said(B), ledger.FROZEN_IN))).code == Code.OK
    assert book.code(4, 1, None) == Code.FROZEN
    assert book.get(A) == (0, 5, 0, 0, 0)
    assert book.code(5, 1) == Code.OK


# --- flags


def test_freeze_and_close() -> None:
    book = Book()
    assert book.code(6, said(A), ledger.CLOSED) == Code.LIMIT
    assert book.code(7, said(A), 16) == Code.LIMIT
    nobody = (0, ALICE.address, 2010, 9, 0)
    assert {book.code(6, nobody, 4), book.code(8, nobody)} == {Code.NO_ACCOUNT}
    book.run(leg(A, B, 5))
    assert book.code(8, said(A)) == Code.FUNDS
    book.run(leg(B, A, 5), hold(0))
    book.run(hold(1))
    assert book.code(8, said(A)) == Code.FUNDS
    book.run((5, (2,)))
    assert book.code(8, said(A)) == Code.OK
    assert book.code(8, said(A)) == Code.CLOSED
    assert book.run(leg(A, B, 0)).code == Code.CLOSED


# --- queries


def ask(book: Book, query: str, *arguments: Value) -> Any:
    state = MemoryState()
    state.apply(book.view.collect_writes())
    return answer_query(state, Seconds(0), "ledger", query, arguments, None)


def test_queries() -> None:
    book = Book()
    book.run(leg(A, B, 5), hold(3))
    assert ask(book, "account", ledger.read_account_key(B))[:6] == (5, 0, 0, 0, 3, 5)
    assert ask(book, "account", (ALICE.address, 2010, 9, 0)) is None
    assert [row[:4] for row in ask(book, "accounts", BOB.address)] == [(2010, 1, 0, 5)]
    assert ask(book, "totals", COOP) == ((1, 2010, 3, 5, 3, 5, 0, 0),)
    assert ask(book, "hold", 1) == (LEDGER, A, B, 3, 0, 0, 0, 9, b"")
    assert ask(book, "hold", 2) is None
    assert ask(book, "statement", ledger.read_account_key(A), None, 9) == ()


def test_totals_query_is_bounded() -> None:
    book = Book()
    for n in range(QUERY_ITEMS_MAX + 1):
        book.view.put(ledger.TOTAL.key(COOP, 1_000 + n), (1, 0, 0, 0, 0))
    assert len(ask(book, "totals", COOP)) == QUERY_ITEMS_MAX
