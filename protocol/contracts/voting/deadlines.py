"""When a vote may end, and the jobs by which the chain comes back to it.

No vote ends on a day on which the co-op rests, so nobody has to vote on a holiday. The members name weekdays
and holidays; an end that falls on one of them moves on by whole days. A chain whose members name none has no
such days. Ends that are set already stay where they are.

*Source*: contracts.md 5.6 (no voting deadline falls on a holiday or weekend of the co-op calendar).
"""

from typing import Final, TypeAlias

from protocol.codec import Value
from protocol.contracts import sched
from protocol.contracts.voting.records import ID, POLICY
from protocol.money import SECONDS_PER_DAY, compute_day
from protocol.vm.context import Context, fail
from protocol.vm.kinds import U32, Field, Integer, Many
from protocol.vm.tables import SCHEMA, Table

CLOSE_METHOD: Final = 7
EXECUTE_METHOD: Final = 9
COUNTBACK_METHOD: Final = 17
HOLIDAYS_MAX: Final = 64
"""Days that a calendar names beside weekdays; those that are over are left out of the next one."""
WEEKDAYS_MAX: Final = 6
"""One day of the week is left to end on."""

CalendarRow: TypeAlias = tuple[int, tuple[int, ...], tuple[int, ...]]
REST_FIELDS: Final = (
    Field("weekdays", Many(Integer("weekday", 0, 6), WEEKDAYS_MAX), "0 is Monday"),
    Field("holidays", Many(U32, HOLIDAYS_MAX), "days since 1970-01-01"),
)
CALENDAR: Final[Table[CalendarRow]] = Table(
    ID, 26, "calendar", (), REST_FIELDS, doc="Days on which no vote ends."
)


def set_calendar(ctx: Context, weekdays: tuple[int, ...], holidays: tuple[int, ...]) -> Value:
    """Name the days on which no vote ends; they take the place of those named before."""
    for days in (weekdays, holidays):
        if tuple(sorted(set(days))) != days:
            fail(POLICY, "voting.days_ascend")
    CALENDAR.put(ctx.view, CALENDAR.key(), (SCHEMA, weekdays, holidays))
    return True


def find_end(ctx: Context, end: int) -> int:
    """Return an end, Unix seconds, or the same time of the next day that is not one of rest."""
    row = CALENDAR.get(ctx.view, CALENDAR.key())
    if row is None:
        return end
    _, weekdays, holidays = row
    day = compute_day(end, ctx.environment.utc_offset_seconds)
    moved = day
    while (moved + 3) % 7 in weekdays or moved in holidays:
        moved += 1
    return end + (moved - day) * SECONDS_PER_DAY


def call_later(ctx: Context, number: int, method: int, due: int, *more: Value) -> None:
    """Let the chain take a step by itself; a proposal that is due at once is for whoever calls."""
    if due > ctx.environment.time:
        sched.schedule(ctx, ((), ((ID, method, 0, (number, *more)),)), (), due)
