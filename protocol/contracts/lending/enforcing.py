"""When a loan is not paid: what stands for it is used, what is lost is charged off, what comes later is kept.

The ladder is climbed by the daily job: own savings that are free, then collateral, sold from a falling price,
then the guarantors in equal parts of what they hold. It is climbed for what is due, and one last time for all
that is owed, before a loan is charged off. What is charged off leaves the books against what was set aside
for it, and stays owed beside them.

*Source*: contracts.md D11, 5.10.
"""

from dataclasses import replace
from typing import Final

from protocol.codec import Value
from protocol.contracts.credit import doors as credit
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.legs import leg
from protocol.contracts.lending.posting import add_event, count_loan, load_book, post_change, save_book
from protocol.contracts.lending.product import Product, clearing_key, get_product, ledger_key
from protocol.contracts.lending.records import (
    ACTIVE,
    ADDRESS_OF,
    ALLOWANCE,
    CHARGED_OFF,
    CLAIMS,
    DAY_NEVER,
    ID,
    LOAN,
    NOTHING,
    RECOVERED,
    RECOVERIES,
    TAKEN,
    Loan,
    get_instalment,
    get_loan,
    get_state,
    put_loan,
    put_state,
)
from protocol.contracts.lending.telling import count_term
from protocol.contracts.members.records import MEMBER, get_member
from protocol.contracts.members.standing import unbind
from protocol.contracts.savings import records as savings
from protocol.contracts.savings.exits import count_waiting
from protocol.contracts.savings.methods import lock, seize
from protocol.contracts.security import doors as security
from protocol.contracts.treasury.funds import bear_loss, restore_loss
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import AMOUNT, U8, Field
from protocol.vm.tables import SCHEMA

CODE_SET_OFF: Final = 3130
CODE_RECOVERED: Final = 3132
CODE_SURPLUS: Final = 3134
SAVINGS: Final = 1
COLLATERAL: Final = 2
GUARANTORS: Final = 3
CALL_IN_GAS: Final = 60
"""Of each row of a loan that is called in."""
FIRST_LOSS: Final = 4

_OF_LOAN: Final = (Field("loan", LOAN), Field("member", MEMBER))
ENFORCED: Final = EventType(
    ID,
    12,
    "enforced",
    (
        *_OF_LOAN,
        Field("step", U8, "1 own savings, 2 collateral, 3 guarantors, 4 fund"),
        Field("amount", AMOUNT),
    ),
    "What stands for a loan has paid on it.",
)
WRITTEN_OFF: Final = EventType(
    ID, 13, "charged_off", (*_OF_LOAN, Field("owed", AMOUNT)), "A loan has left the books; it stays owed."
)
CAME_BACK: Final = EventType(
    ID, 14, "came_back", (*_OF_LOAN, Field("amount", AMOUNT)), "Something was paid on a loan charged off."
)

CALLED_IN: Final = EventType(
    ID, 18, "called_in", (*_OF_LOAN, Field("amount", AMOUNT, "due now")), "All of a loan is due at once."
)
PAID_BACK: Final = EventType(
    ID, 17, "paid_back", (*_OF_LOAN, Field("amount", AMOUNT)), "Guarantors got back what they had paid."
)


def enforce(ctx: Context, number: int) -> None:
    """Use what stands for a loan, a step at a time, until nothing is due or nothing is left."""
    target = _begin(ctx, number)
    _use_own(ctx, number, target)
    if get_loan(ctx.view, number).status != ACTIVE:
        return
    book, before = load_book(ctx, number, get_loan(ctx.view, number))
    if not book.count_due():
        return
    if security.auction(ctx, number, book.count_due()):
        book.state.next_day = book.state.as_of + 1
        save_book(ctx, number, book, before, b"", 0)
    else:
        _take(ctx, number, GUARANTORS, security.call(ctx, number, book.count_due(), target))


def enforce_all(ctx: Context, number: int) -> None:
    """Call in all that is owed, and use what stands for it at once, before the loan is charged off.

    *Rule*: guarantors wait for no sale any more; what it brings later is the co-op's first, then theirs.
    """
    target = _begin(ctx, number)
    _call_in(ctx, number, get_loan(ctx.view, number, ACTIVE))
    _use_own(ctx, number, target)
    if get_loan(ctx.view, number).status != ACTIVE:
        return
    book, _ = load_book(ctx, number, get_loan(ctx.view, number))
    security.auction(ctx, number, book.count_due())
    _take(ctx, number, GUARANTORS, security.call(ctx, number, book.count_due(), target))


def call_in(ctx: Context, number: int) -> Value:
    """Call in a loan whose margin call was not met in time, and sell its collateral; returns what is due now.

    *Rule*: what a sale leaves is collected as of any loan that is late, from the day of the call on.
    """
    loan = get_loan(ctx.view, number, ACTIVE)
    if not security.is_short(ctx, number):
        fail(NOTHING, "lending.margin", None, number)
    due = _call_in(ctx, number, loan)
    security.auction(ctx, number, due)
    ctx.emit(CALLED_IN, number, loan.member, due)
    return due


def _call_in(ctx: Context, number: int, loan: Loan) -> int:
    """Let all of a loan fall due today; returns what is due."""
    ctx.view.charge(CALL_IN_GAS * loan.rows)
    book, before = load_book(ctx, number, loan)
    book.call_in()
    save_book(ctx, number, book, before, b"", 0)
    return book.count_due()


def _begin(ctx: Context, number: int) -> bytes:
    target = clearing_key(get_product(ctx.view, get_loan(ctx.view, number).product))
    open_account(ctx.view, target)
    return target


def _use_own(ctx: Context, number: int, target: bytes) -> None:
    """Let the borrower's own savings pay what is due, then what was sold of the collateral."""
    loan = get_loan(ctx.view, number, ACTIVE)
    book, _ = load_book(ctx, number, loan)
    _take(ctx, number, SAVINGS, _set_off(ctx, loan, book.product, book.count_due(), target))
    _take(ctx, number, COLLATERAL, security.collect(ctx, number, target))


def _set_off(ctx: Context, loan: Loan, product: Product, amount: int, target: bytes) -> int:
    """Take what is due from the borrower's own savings that are free and not for a term; returns it."""
    view, taken = ctx.view, 0
    numbers = [number for _, number in savings.ACCOUNTS.scan_index(view, savings.BY_MEMBER, loan.member)]
    for number in numbers:
        assert type(number) is int
        account = savings.get_savings(view, number)
        kept = savings.get_product(view, account.product)
        if kept.asset != product.asset or kept.kind == savings.TERM:
            continue
        waiting = count_waiting(view, kept.asset, number)
        free = savings.find_balance(view, number, kept) - account.locked - waiting
        part = min(amount - taken, max(free, 0))
        if part:
            lock(ctx, number, part)
            seize(ctx, number, part, target, CODE_SET_OFF)
            taken += part
    return taken


def _take(ctx: Context, number: int, step: int, amount: int) -> None:
    """Let what has come in from security pay on a loan."""
    if not amount:
        return
    loan = get_loan(ctx.view, number, ACTIVE)
    book, before = load_book(ctx, number, loan)
    book.pay(amount)
    add_event(ctx, number, book.state, TAKEN, amount, ADDRESS_OF)
    save_book(ctx, number, book, before, clearing_key(book.product), amount)
    ctx.emit(ENFORCED, number, loan.member, step, amount)


def charge_off(ctx: Context, number: int) -> None:
    """Take a loan out of the books, against what is set aside for all of it.

    *Rule*: the fund of the product bears the loss as far as its lines leave it anything; the loan stays owed.
    """
    loan = get_loan(ctx.view, number, ACTIVE)
    book, before = load_book(ctx, number, loan)
    owed, state = book.count_payoff(), book.state
    state.allowance = state.principal_out
    save_book(ctx, number, book, before, b"", 0)
    before = replace(state)
    state.principal_out = state.accrued = state.undue = state.slope = state.penalty_booked = 0
    state.fee_left = 0
    state.allowance, state.next_day, state.is_suspended = 0, DAY_NEVER, True
    put_state(ctx.view, number, loan.product, state)
    aside = ledger_key(ALLOWANCE, book.product, loan.product)
    post_change(ctx, loan.product, book.product, before, state, aside, before.principal_out, number)
    borne = 0
    if book.product.fund:
        borne = bear_loss(ctx, book.product.fund, before.principal_out)
        ctx.emit(ENFORCED, number, loan.member, FIRST_LOSS, borne)
    put_loan(ctx.view, number, replace(loan, status=CHARGED_OFF))
    count_loan(ctx, loan.product, -1)
    CLAIMS.put(ctx.view, CLAIMS.key(number), (SCHEMA, owed, 0, borne))
    lost, term, oldest = before.principal_out, count_term(book), book.row(state.unpaid_n).due_day
    asset = book.product.asset
    credit.note_loan(ctx, loan.member, number, asset, loan.principal, lost, term, lost, oldest)
    security.mark_late(ctx, number, True)
    ctx.emit(WRITTEN_OFF, number, loan.member, owed)


def recover(ctx: Context, payer: Address, number: int, amount: int) -> Value:
    """Pay on a loan that was charged off, at most what is owed to the co-op and to those who have paid for
    the borrower; returns what was taken."""
    loan = get_loan(ctx.view, number, CHARGED_OFF)
    product = get_product(ctx.view, loan.product)
    return _recover(ctx, number, loan, product, account_key(payer, MEMBER_FREE, product.asset), amount)


def collect(ctx: Context, number: int) -> Value:
    """Let what the sale of collateral has brought pay on a loan, also one charged off; returns what it took.

    *Rule*: what a sale brings beyond all that is owed is the borrower's.
    """
    loan = get_loan(ctx.view, number, ACTIVE, CHARGED_OFF)
    product = get_product(ctx.view, loan.product)
    target = clearing_key(product)
    open_account(ctx.view, target)
    amount = security.collect(ctx, number, target)
    if not amount:
        fail(NOTHING, "lending.proceeds", 1, 0)
    if loan.status == ACTIVE:
        _take(ctx, number, COLLATERAL, amount)
        return amount
    taken = _recover(ctx, number, loan, product, target, amount)
    if amount > taken:
        owner = account_key(get_member(ctx.view, loan.member).account, MEMBER_FREE, product.asset)
        open_account(ctx.view, owner)
        leg(ctx, target, owner, amount - taken, CODE_SURPLUS, number.to_bytes(5, "big"))
    return taken


def _recover(ctx: Context, number: int, loan: Loan, product: Product, source: bytes, amount: int) -> int:
    """Take what the co-op has lost, then what guarantors have paid for the borrower; returns both.

    Rules: 1. the co-op first: who has paid for another stands behind the lender until the lender has all.
        2. of what is the co-op's, the fund that bore the loss gets back first what it bore.
    """
    key = CLAIMS.key(number)
    row = CLAIMS.get(ctx.view, key)
    assert row is not None, "what was charged off is owed"
    own = min(amount, row[1] - row[2])
    if own:
        income = ledger_key(RECOVERIES, product, loan.product)
        open_account(ctx.view, income)
        leg(ctx, source, income, own, CODE_RECOVERED, number.to_bytes(5, "big"))
        CLAIMS.put(ctx.view, key, (SCHEMA, row[1], row[2] + own, row[3]))
        restored = min(row[2] + own, row[3]) - min(row[2], row[3])
        if restored:
            restore_loss(ctx, product.fund, restored)
    passed_on = security.pay_back(ctx, number, source, amount - own)
    if passed_on:
        ctx.emit(PAID_BACK, number, loan.member, passed_on)
    is_whole = row[2] + own == row[1]
    if is_whole and not any(g.called for _, g in security.guarantors(ctx, number)):
        put_loan(ctx.view, number, replace(loan, status=RECOVERED))
        unbind(ctx.view, loan.member, ID)
        _note_recovered(ctx, number, loan, product)
        security.release(ctx, number)
    ctx.emit(CAME_BACK, number, loan.member, own + passed_on)
    return own + passed_on


def _note_recovered(ctx: Context, number: int, loan: Loan, product: Product) -> None:
    """Let credit know that what was lost has been paid, and how late."""
    view, today = ctx.view, ctx.environment.day
    rows = [get_instalment(view, number, n) for n in range(loan.rows)]
    lost = sum([row.principal - row.principal_paid for row in rows])
    oldest = rows[get_state(view, number).unpaid_n]
    term = rows[-1].due_day - loan.start
    credit.note_row(ctx, loan.member, oldest.due_day, lost, today - oldest.due_day, term, False)
    credit.note_loan(ctx, loan.member, number, product.asset, loan.principal, 0, term)
