"""One loan over time: what falls due, what is late, what a payment pays. A machine that knows no ledger.

It is told days and payments in order and nothing else; what happens between two days (a row falls due, a row
is late, interest is no income any more) it finds itself, in the order of the days. So the state on a day
depends on what was paid when, never on when somebody looked, and doing it over without one payment gives the
history in which that payment never was. `posting.py` brings the difference of two states to the ledger.

Interest grows by a slope, an exact integer for each part of a year, from row to row, and meets the interest
of the row when it falls due. A payment goes to what is due; the rest follows the early rule of the product.

*Source*: contracts.md D4, D5, D19, D20, 5.10.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from protocol.contracts.lending.product import Product, list_bands
from protocol.contracts.lending.records import (
    DAY_NEVER,
    Instalment,
    Loan,
    State,
)
from protocol.elections.decision import WHOLE_BP
from protocol.finance.allocation import Bucket, FutureRule, Kind, Owed, allocate
from protocol.finance.day_count import ACCRUAL_UNIT, DayCount, count_parts, position
from protocol.finance.provisioning import classify, compute_allowance, count_days_past_due
from protocol.finance.schedule import Method, compute_interest
from protocol.money import Rounding, mul_div

PENALTY_UNIT: Final = 1_000_000
"""Sum of principal * days * ppm that makes one minor unit of penalty."""
NOTICE_DAYS: Final = (1, 15, 30, 90)
"""Days past due on which borrower and guarantors are told; nothing is taken before the third."""


class Book:
    """A loan as it stands on a day.

    Args:
        state: is changed in place.
        load: returns a row of the schedule; each is asked for once.
    """

    __slots__ = ("_bands", "_convention", "_load", "_rows", "changed", "loan", "product", "state")

    def __init__(self, product: Product, loan: Loan, state: State, load: Callable[[int], Instalment]) -> None:
        self.product = product
        self.loan = loan
        self.state = state
        self.changed: dict[int, Instalment] = {}
        self._load = load
        self._rows: dict[int, Instalment] = {}
        self._convention = DayCount(product.day_count)
        self._bands = list_bands(product)

    def row(self, n: int) -> Instalment:
        """Return a row as it is now."""
        if n not in self._rows:
            self._rows[n] = self._load(n)
        return self._rows[n]

    def _set(self, n: int, row: Instalment) -> None:
        self._rows[n] = self.changed[n] = row

    # --- time

    def begin(self) -> None:
        """Let interest of the first row that is not due begin to arise."""
        self._refresh()
        self._set_slope()
        self._classify()

    def settle(self, day: int) -> None:
        """Let everything happen up to the beginning of a day; a day that has passed changes nothing."""
        while True:
            at = self._find_next()
            if at > day:
                break
            self._grow(at)
            self._happen(at)
        if day > self.state.as_of:
            self._grow(day)
        self._classify()

    def _find_next(self) -> int:
        state, product = self.state, self.product
        found = DAY_NEVER
        if state.due_n < self.loan.rows:
            found = self.row(state.due_n).due_day
        if state.late_n < state.due_n:
            found = min(found, self.row(state.late_n).due_day + product.grace_days + 1)
        if not state.is_suspended and state.unpaid_n < state.due_n:
            found = min(found, self.row(state.unpaid_n).due_day + product.suspend_days)
        if state.is_suspended and self.loan.restructured > state.as_of:
            found = min(found, self.loan.restructured)
        return found

    def _grow(self, day: int) -> None:
        state = self.state
        parts = position(day, self._convention) - position(state.as_of, self._convention)
        grown = state.slope * parts
        state.undue += grown
        if not state.is_suspended:
            state.accrued += grown
        if self.product.penalty_ppm:
            late = sum([self._open_principal(n) for n in range(state.unpaid_n, state.late_n)])
            state.penalty_exact += late * self.product.penalty_ppm * (day - state.as_of)
        state.as_of = day
        self._charge()

    def _happen(self, day: int) -> None:
        state = self.state
        while state.due_n < self.loan.rows and self.row(state.due_n).due_day <= day:
            self._fall_due()
        while state.late_n < state.due_n and self.row(state.late_n).due_day + self.product.grace_days < day:
            if not _is_paid(self.row(state.late_n)):
                state.penalty_exact += self.product.penalty_flat * PENALTY_UNIT
            state.late_n += 1
        self._charge()
        self._refresh()

    def _fall_due(self) -> None:
        state, row = self.state, self.row(self.state.due_n)
        if self.product.is_daily:
            row = self._meet(state.due_n, row)
        rest = (row.deferred + row.interest) * ACCRUAL_UNIT - state.undue
        state.undue = row.deferred * ACCRUAL_UNIT
        if not state.is_suspended:
            state.accrued += rest
        state.interest_charged += row.interest
        state.fee_left -= state.fee_left // (self.loan.rows - state.due_n)
        state.due_n += 1
        self._set_slope()
        state.advance -= self._allocate(state.advance)
        self._refresh()

    def _meet(self, n: int, row: Instalment) -> Instalment:
        """Return a row that is due with the interest that has arisen, as far as the cap lets."""
        arisen, is_held = self._round_undue(), is_held_back(self.product, n, self.loan.rows)
        if self.product.cap_bp:
            charged = self.state.interest_charged + self.state.penalty_charged
            arisen = min(arisen, max(self._cap() - charged, 0))
        row = replace(row, interest=0 if is_held else arisen, deferred=arisen if is_held else 0)
        self._set(n, row)
        return row

    def _cap(self) -> int:
        return mul_div(self.loan.principal, self.product.cap_bp, WHOLE_BP, Rounding.FLOOR)

    def _set_slope(self) -> None:
        state = self.state
        state.slope = 0
        if state.due_n < self.loan.rows and self.product.is_daily:
            state.slope = state.principal_out * self.loan_rate(state.due_n)
        elif state.due_n < self.loan.rows:
            row = self.row(state.due_n)
            parts = position(row.due_day, self._convention) - position(state.as_of, self._convention)
            rest = (row.deferred + row.interest) * ACCRUAL_UNIT - state.undue
            state.slope = max(rest, 0) // parts if parts > 0 else 0

    def _charge(self) -> None:
        """Charge the penalties that have arisen, as far as the cap lets."""
        state = self.state
        total = mul_div(state.penalty_exact, 1, PENALTY_UNIT, Rounding.HALF_EVEN)
        if self.product.cap_bp:
            interest = max(self.loan.interest, state.interest_charged)
            total = min(total, max(self._cap() - interest, 0))
        total = max(total, state.penalty_charged)
        if not state.is_suspended:
            state.penalty_booked += total - state.penalty_charged
        state.penalty_charged = total

    def _refresh(self) -> None:
        state = self.state
        while state.unpaid_n < state.due_n and _is_paid(self.row(state.unpaid_n)):
            state.unpaid_n += 1
        held = state.as_of < self.loan.restructured
        limit = classify(self.product.suspend_days, self._bands)
        state.is_suspended = self.days_late() >= self.product.suspend_days or (
            held and state.held_class >= limit
        )

    def _classify(self) -> None:
        state = self.state
        found = classify(self.days_late(), self._bands)
        if state.as_of < self.loan.restructured:
            found = max(found, state.held_class)
        state.loan_class = found
        state.allowance = compute_allowance(state.principal_out, self.product.class_bp[found])
        state.next_day = self._find_touch()

    def _find_touch(self) -> int:
        """Return the next day on which somebody has to look, for the books or for a notice."""
        state, product = self.state, self.product
        days = [self._find_next()]
        if state.unpaid_n < state.due_n:
            oldest = self.row(state.unpaid_n).due_day
            steps = (*product.class_days, product.enforce_days, product.charge_off_days, *NOTICE_DAYS)
            days += [oldest + step for step in (*steps, product.grace_days + 1)]
        days.append(self.loan.restructured)
        return min([day for day in days if day > state.as_of], default=DAY_NEVER)

    def days_late(self) -> int:
        """Return the days since the oldest row fell due that is not paid; 0 within grace."""
        state = self.state
        oldest = self.row(state.unpaid_n).due_day if state.unpaid_n < state.due_n else None
        return count_days_past_due(oldest, state.as_of, self.product.grace_days)

    # --- what is owed

    def count_overdue(self) -> int:
        """Return the principal that is due and not paid."""
        return sum([self._open_principal(n) for n in range(self.state.unpaid_n, self.state.due_n)])

    def _open_principal(self, n: int) -> int:
        row = self.row(n)
        return row.principal - row.principal_paid

    def count_penalty(self) -> int:
        """Return the penalties that are owed."""
        return self.state.penalty_charged - self.state.penalty_paid

    def count_interest(self) -> int:
        """Return the interest that is due and not paid."""
        rows = [self.row(n) for n in range(self.state.unpaid_n, self.state.due_n)]
        return sum([row.interest - row.interest_paid for row in rows])

    def count_due(self) -> int:
        """Return what is due and not paid, penalties included."""
        rows = [self.row(n) for n in range(self.state.unpaid_n, self.state.due_n)]
        open_rows = [r.principal + r.interest - r.principal_paid - r.interest_paid for r in rows]
        return self.count_penalty() + sum(open_rows)

    def count_payoff(self) -> int:
        """Return what pays the loan off today, beside what is there in advance."""
        state = self.state
        rest = state.principal_out - self.count_overdue() + self._round_undue()
        return max(self.count_due() + rest - state.advance, 0)

    def _round_undue(self) -> int:
        return mul_div(self.state.undue, 1, ACCRUAL_UNIT, Rounding.HALF_EVEN)

    def is_settled(self) -> bool:
        """Tell whether nothing is owed any more."""
        state = self.state
        return not (state.principal_out or state.undue or self.count_due())

    # --- payments

    def pay(self, amount: int) -> None:
        """Take a payment of today: what is due first, the rest by the early rule; what is left is kept."""
        state = self.state
        rest = amount - self._allocate(amount)
        at_hand = rest + state.advance
        if at_hand >= state.principal_out + self._round_undue() and not self.count_due():
            state.advance = at_hand - self._pay_off()
        elif self.product.early_rule == FutureRule.NEXT or not rest:
            state.advance += rest
        else:
            early = min(at_hand, state.principal_out)
            state.principal_out -= early
            state.advance = at_hand - early
            self._remake()
        if self.product.is_daily:
            self._set_slope()
        self._refresh()
        self._classify()

    def waive(self, amount: int) -> None:
        """Forgive penalties; at most what is owed of them."""
        self._pay_penalty(amount)
        self._classify()

    def forgive(self, amount: int) -> None:
        """Forgive interest that is due, of the oldest row first; at most what is owed of it."""
        for n in range(self.state.unpaid_n, self.state.due_n):
            row = self.row(n)
            part = min(amount, row.interest - row.interest_paid)
            if part:
                self._pay_interest(part)
                self._pay_row(n, part, 0)
                amount -= part
        self._refresh()
        self._classify()

    def _allocate(self, amount: int) -> int:
        """Pay what is due in the order of the product; returns how much of the amount was needed."""
        if not amount:
            return 0
        state = self.state
        penalty = (self.count_penalty(), 0, 0, 0)
        # Penalties are of the loan; they stand with the oldest row that is due.
        numbers = range(state.unpaid_n, state.due_n)
        first = self.row(numbers[0]).due_day if numbers else state.as_of
        owed = [Owed(first, penalty, 0), *[self._show_owed(n) for n in numbers]]
        order = [Bucket(bucket) for bucket in self.product.order]
        done = allocate(owed, amount, state.as_of, order, FutureRule.NEXT)
        self._pay_penalty(done.total(Kind.PENALTY))
        for n, (_, _, interest, principal) in zip(numbers, done.paid[1:], strict=True):
            if interest or principal:
                self._pay_interest(interest)
                state.principal_out -= principal
                self._pay_row(n, interest, principal)
        return amount - done.rest

    def _pay_row(self, n: int, interest: int, principal: int) -> None:
        """Note what of a row is paid now."""
        row = self.row(n)
        paid = row.principal_paid + principal
        row = replace(row, principal_paid=paid, interest_paid=row.interest_paid + interest)
        self._set(n, replace(row, paid_day=self.state.as_of if _is_paid(row) else 0))

    def _show_owed(self, n: int) -> Owed:
        row = self.row(n)
        amounts = (0, 0, row.interest - row.interest_paid, row.principal - row.principal_paid)
        return Owed(row.due_day, amounts, row.principal)

    def _pay_penalty(self, amount: int) -> None:
        state = self.state
        state.penalty_booked = max(state.penalty_booked, amount) - amount
        state.penalty_paid += amount

    def _pay_interest(self, amount: int) -> None:
        """Pay interest; what was no income yet becomes it."""
        state = self.state
        state.accrued = max(state.accrued, amount * ACCRUAL_UNIT) - amount * ACCRUAL_UNIT
        state.interest_paid += amount

    def _pay_off(self) -> int:
        """Pay all that is not due, when nothing else is owed; returns it."""
        state, first = self.state, self.state.due_n
        self._end_rows()
        interest = self.row(first).interest if first < self.loan.rows else 0
        self._pay_interest(interest)
        amount = state.principal_out + interest
        for n in range(first, self.loan.rows):
            row = self.row(n)
            paid = replace(row, principal_paid=row.principal, interest_paid=row.interest)
            self._set(n, replace(paid, paid_day=state.as_of))
        state.principal_out = state.accrued = 0
        state.unpaid_n = state.late_n = self.loan.rows
        return amount

    def call_in(self) -> None:
        """Let all that is owed be due today, whatever the rows say; nothing arises on it any more.

        *Rule*: what was paid until then can no longer be reversed.
        """
        state, first = self.state, self.state.due_n
        self._end_rows()
        if first < self.loan.rows:
            self._set(first, replace(self.row(first), due_day=state.as_of))
        state.late_n, state.sealed = self.loan.rows, state.events
        self.state.advance -= self._allocate(self.state.advance)
        self._refresh()
        self._classify()

    def _end_rows(self) -> None:
        """Let the first row that is not due take all that is not; nothing is left of the rows after it."""
        state, interest, numbers = self.state, self._round_undue(), range(self.state.due_n, self.loan.rows)
        if not state.is_suspended:
            state.accrued += interest * ACCRUAL_UNIT - state.undue
        state.interest_charged += interest
        rest = state.principal_out - self.count_overdue()
        for n in numbers:
            is_first = n == numbers[0]
            principal, due = (rest, interest) if is_first else (0, 0)
            self._set(n, replace(self.row(n), principal=principal, interest=due, deferred=0))
        state.undue = state.slope = state.fee_left = 0
        state.due_n = self.loan.rows

    def _remake(self) -> None:
        """Make the rows that are not due anew, from what is still owed."""
        state, numbers = self.state, range(self.state.due_n, self.loan.rows)
        left, before, deferred = state.principal_out, state.as_of, self._round_undue()
        whole = sum([self.row(n).base_principal for n in numbers]) or 1
        seen = given = 0
        for n in numbers:
            row = self.row(n)
            parts = count_parts(before, row.due_day, self._convention)
            arisen = compute_interest(left, self.loan_rate(n), parts)
            is_held = is_held_back(self.product, n, self.loan.rows)
            deferred += arisen
            interest, deferred = (0, deferred) if is_held else (deferred, 0)
            if self.product.early_rule == FutureRule.REDUCE_TERM:
                principal = min(left, max(row.principal + row.interest - interest, 0))
            else:
                seen += row.base_principal
                principal = state.principal_out * seen // whole - given
                given += principal
            if n == self.loan.rows - 1:
                principal = left
            left -= principal
            before = row.due_day
            self._set(n, replace(row, principal=principal, interest=interest, deferred=deferred))
        self._set_slope()

    def loan_rate(self, n: int) -> int:
        """Return the rate of a row, ppm a year."""
        return 0 if n < self.product.interest_free else self.product.rate_ppm


def _is_paid(row: Instalment) -> bool:
    return row.principal_paid == row.principal and row.interest_paid == row.interest


def is_held_back(product: Product, n: int, rows: int) -> bool:
    """Tell whether the interest of a row falls due with a later one."""
    return n < (rows - 1 if product.method == Method.BULLET else min(product.grace_interest, rows - 1))


def reset(row: Instalment) -> Instalment:
    """Return a row as it was agreed, with nothing paid."""
    return Instalment(
        row.due_day,
        *(row.base_principal, row.base_interest, row.base_deferred),
        *(row.base_principal, row.base_interest, row.base_deferred),
        0,
        0,
        0,
    )


def empty_state(principal: int, day: int) -> State:
    """Return how a loan stands on the day of its disbursement."""
    return State(
        principal_out=principal,
        accrued=0,
        undue=0,
        slope=0,
        as_of=day,
        due_n=0,
        unpaid_n=0,
        late_n=0,
        penalty_exact=0,
        penalty_charged=0,
        penalty_booked=0,
        penalty_paid=0,
        interest_paid=0,
        interest_charged=0,
        advance=0,
        is_suspended=False,
        loan_class=0,
        held_class=0,
        allowance=0,
        next_day=DAY_NEVER,
        events=0,
        sealed=0,
        notices=0,
        fee_left=0,
    )
