"""What others are told of a loan: security frees what is paid, credit keeps what it says of the borrower.

*Source*: contracts.md 5.10 to 5.12.
"""

from protocol.contracts.credit import doors as credit
from protocol.contracts.lending.book import NOTICE_DAYS, Book
from protocol.contracts.lending.records import ACTIVE, CLOSED, State
from protocol.contracts.security import doors as security
from protocol.vm.context import Context

LATE_DAYS = 30
"""Days past due beyond which a borrower stands for nobody."""


def tell(ctx: Context, number: int, book: Book, before: State) -> None:
    """Tell what has changed of a loan that was written."""
    loan, state = book.loan, book.state
    if loan.status not in (ACTIVE, CLOSED):
        return
    if loan.status == ACTIVE:
        if state.principal_out < before.principal_out:
            security.shrink(ctx, number, state.principal_out, loan.principal)
        late = book.days_late()
        security.mark_late(ctx, number, late > LATE_DAYS)
        if state.notices == len(NOTICE_DAYS) > before.notices:
            _judge_guarantors(ctx, number, False)
    elif before.principal_out:
        _judge_guarantors(ctx, number, True)
        security.release(ctx, number)
    overdue = book.count_overdue()
    oldest = book.row(state.unpaid_n).due_day if overdue else 0
    asset, owed = book.product.asset, state.principal_out
    term = count_term(book)
    credit.note_loan(ctx, loan.member, number, asset, loan.principal, owed, term, overdue, oldest)


def count_term(book: Book) -> int:
    """Return the days for which a loan was lent."""
    return book.row(book.loan.rows - 1).due_day - book.loan.start


def _judge_guarantors(ctx: Context, number: int, is_good: bool) -> None:
    for guarantor, _ in security.guarantors(ctx, number):
        credit.note_guarantee(ctx, guarantor, is_good, security.is_in_ring(ctx.view, number, guarantor))
