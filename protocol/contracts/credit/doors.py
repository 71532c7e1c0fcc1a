"""The doors of credit for lending: what it is told after each event of a loan, and what it can ask.

Once for each event: `note_loan` with the loan as it stands, `note_row` for what was due and is now paid in
full (or was charged off), `note_guarantee` as a loan ends or is 90 days late. `score` and `limit` answer.
"""

from dataclasses import dataclass

from protocol.contracts.credit.parts import (
    Facts,
    Mark,
    Part,
    compute_limit,
    compute_parts,
    compute_score,
    compute_weight,
    find_band,
)
from protocol.contracts.credit.records import (
    ATTESTED,
    DEFAULT_BANDS,
    LOANS,
    LOANS_MAX,
    MARK_MONTHS_MAX,
    MARKS,
    PART_POINTS,
    RELIEF,
    STOOD,
    TABLE,
    TERM_DAYS_MIN,
    TOO_MANY,
    Band,
    pack_weight,
    read_weight,
)
from protocol.contracts.members.records import find_member
from protocol.contracts.savings.records import count_deposit_months, count_months, list_saved, sum_savings
from protocol.vm.context import Context, fail
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View


@dataclass(frozen=True, slots=True)
class Score:
    """A score, its parts in the order of their numbers, and the day for which it holds."""

    score: int
    parts: tuple[Part, ...]
    as_of: int


@dataclass(frozen=True, slots=True)
class Offer:
    """How much a score and savings carry, what is added to the rate, and the score."""

    amount: int
    addon_ppm: int
    score: int


# --- what is told


def note_loan(
    ctx: Context,
    member: int,
    loan: int,
    asset: int,
    lent: int,
    owed: int,
    term_days: int,
    overdue: int = 0,
    due_day: int = 0,
) -> None:
    """Note a loan as it stands after an event.

    Args:
        owed: principal that is out; 0: the loan is over.
        overdue: principal of the rows that are overdue.
        due_day: of the oldest of them. How late it is follows from the day on which it is asked.
    """
    key = LOANS.key(member, loan)
    if not owed:
        LOANS.delete(ctx.view, key)
        return
    if LOANS.get(ctx.view, key) is None:
        count = sum([1 for _ in LOANS.scan(ctx.view, member)])
        if count >= LOANS_MAX:
            fail(TOO_MANY, "credit.loans", LOANS_MAX, count + 1)
    LOANS.put(ctx.view, key, (SCHEMA, asset, lent, owed, overdue, due_day, term_days))


def note_row(
    ctx: Context, member: int, due_day: int, principal: int, days_late: int, term_days: int, fresh: bool
) -> None:
    """Note what was due and has been paid, in the month in which it was due.

    Rules: 1. a loan of less than 30 days, or what was paid with a fresh loan, counts nothing.

    Args:
        days_late: below 0: before it was due.
        fresh: paid with money that was lent for it.
    """
    if term_days < TERM_DAYS_MIN or fresh or not principal:
        return
    _add_mark(ctx.view, member, due_day, principal, days_late, term_days, 1)
    _forget(ctx.view, member, count_months(ctx.environment.day))


def undo_row(
    ctx: Context, member: int, due_day: int, principal: int, days_late: int, term_days: int, fresh: bool
) -> None:
    """Take back what `note_row` has noted: the payment was reversed."""
    if term_days < TERM_DAYS_MIN or fresh or not principal:
        return
    if MARKS.get(ctx.view, MARKS.key(member, count_months(due_day))) is not None:
        _add_mark(ctx.view, member, due_day, principal, days_late, term_days, -1)


def _add_mark(
    view: View, member: int, due_day: int, principal: int, days_late: int, term_days: int, sign: int
) -> None:
    key = MARKS.key(member, count_months(due_day))
    _, weight, points, rows = MARKS.get(view, key) or (SCHEMA, pack_weight(0), pack_weight(0), 0)
    more, points_more = compute_weight(principal, days_late, term_days)
    weight = pack_weight(read_weight(weight) + sign * more)
    points = pack_weight(read_weight(points) + sign * points_more)
    if rows + sign:
        MARKS.put(view, key, (SCHEMA, weight, points, rows + sign))
    else:
        MARKS.delete(view, key)


def note_guarantee(ctx: Context, guarantor: int, is_good: bool, in_ring: bool) -> None:
    """Note that a loan for which a member stood has ended well, or is 90 days late; half of it in a ring."""
    month = count_months(ctx.environment.day)
    key = STOOD.key(guarantor, month)
    _, good, bad = STOOD.get(ctx.view, key) or (SCHEMA, 0, 0)
    halves = 1 if in_ring else 2
    STOOD.put(ctx.view, key, (SCHEMA, good + halves * is_good, bad + halves * (not is_good)))


def _forget(view: View, member: int, month: int) -> None:
    """Forget a month that counts nothing any more, if there is one."""
    for key, _ in MARKS.scan(view, member):
        first = MARKS.parts(key)[1]
        assert type(first) is int
        if month - first >= MARK_MONTHS_MAX:
            MARKS.delete(view, key)
        return


# --- what is asked


def score(ctx: Context, member: int) -> Score:
    """Return the score of a member today."""
    return compute_for(ctx.view, member, ctx.environment.day)


def limit(
    ctx: Context, member: int, asset: int, product_max: int, debt_service_max: int, exposure_max: int
) -> Offer:
    """Return how much can be lent to a member in an asset, and what is added to the rate."""
    view, today = ctx.view, ctx.environment.day
    found = compute_for(view, member, today).score
    bands, starter = get_table(view, asset)
    band = find_band(bands, found)
    saved = sum_savings(view, member, asset)
    amount = compute_limit(band, found, saved, starter, product_max, debt_service_max, exposure_max)
    return Offer(amount, band[2], found)


def compute_for(view: View, member: int, today: int) -> Score:
    """Compute the score of a member on a day."""
    parts = compute_parts(collect_facts(view, member, today))
    return Score(compute_score(parts), parts, today)


def get_table(view: View, asset: int) -> tuple[tuple[Band, ...], int]:
    """Return (bands, starter) of an asset."""
    row = TABLE.get(view, TABLE.key(asset))
    return (DEFAULT_BANDS, 0) if row is None else row[1:]


def collect_facts(view: View, member: int, today: int) -> Facts:
    """Collect all that the score of a member comes from."""
    month = count_months(today)
    found = find_member(view, member)
    joined = found.joined_day if found is not None and found.joined_day else today
    marks = _list_marks(view, member, month)
    saved = list_saved(view, member)
    owed: dict[int, int] = {}
    in_use = 0
    for _, (_, asset, lent, out, overdue, due_day, term_days) in LOANS.scan(view, member):
        owed[asset] = owed.get(asset, 0) + out
        in_use = max(in_use, -(-out * 1_000 // max(lent, 1)))
        if overdue and term_days >= TERM_DAYS_MIN:
            weight, points = compute_weight(overdue, max(today - due_day, 0), term_days)
            marks.append(Mark(max(month - count_months(due_day), 0), weight, points, 1))
    savings = dict(saved)
    ratios = [savings.get(asset, 0) * 1_000 // amount for asset, amount in owed.items()]
    stood = []
    for key, row in STOOD.scan(view, member):
        noted = STOOD.parts(key)[1]
        assert type(noted) is int
        stood.append((month - noted, row[1], row[2]))
    return Facts(
        marks=tuple(marks),
        deposits=count_deposit_months(view, member, today),
        months=max(month - count_months(joined), 0),
        saves=any(amount for _, amount in saved),
        has_borrowed=bool(marks or owed),
        saved_for_debt=min(ratios, default=0),
        in_use=in_use,
        stood=tuple(stood),
        attested=sum([1 for _, row in ATTESTED.scan(view, member) if row[2] >= today]),
        relief=_list_relief(view, member, today),
    )


def _list_marks(view: View, member: int, month: int) -> list[Mark]:
    found: list[Mark] = []
    for key, (_, weight, points, rows) in MARKS.scan(view, member):
        due = MARKS.parts(key)[1]
        assert type(due) is int
        found.append(Mark(max(month - due, 0), read_weight(weight), read_weight(points), rows))
    return found


def _list_relief(view: View, member: int, today: int) -> tuple[int, ...]:
    rows = [RELIEF.get(view, RELIEF.key(member, part)) for part in range(1, len(PART_POINTS) + 1)]
    return tuple([row[1] if row is not None and row[2] >= today else 0 for row in rows])
