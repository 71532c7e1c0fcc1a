"""sched: jobs, programs that the chain runs by itself when their time has come.

A job has an owner, a program with parameters, a due time, perhaps a calendar period, and its own gas limit.
Due jobs run as a block starts, in the order of due time and number. A run that fails leaves no trace but its
receipt; it is tried again after 1, 2, 4, 8 seconds, 1, 6 and 24 hours, and after the eighth failure the job
is quarantined until its owner or the role `scheduler` retries it. So a job cannot stop a block.

A member's job never has its owner's full power: each of its calls uses a grant. It is pinned to the versions
that its owner knew. A contract's job acts as the contract, with authority `sched:<name>`, and follows it to
whichever version is in force when it runs (ADR 21). What a run did is a receipt like any other; the record
`history` carries a rolling hash of all of them and the root of those of the newest block that had any, so a
state proof proves them (ADR 10). This file keeps jobs; `transition.py` runs them and knows who pays.

*Source*: contracts.md 3.11. *Departs*: the first retries wait for seconds instead of blocks, so that the due
index alone says what is next, and a chain of many small blocks is not flooded.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Final, TypeAlias

from protocol import codec, crypto
from protocol.chain.receipt import Event
from protocol.codec import Value
from protocol.contracts.periods import ONCE, PERIOD, Period
from protocol.contracts.stored import (
    PROGRAM,
    delete_program,
    load_program,
    program_table,
    read_template,
    save_program,
)
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.merkle.proof import list_root
from protocol.money import SECONDS_PER_DAY
from protocol.params import (
    JOB_AHEAD_SECONDS_MAX,
    JOB_GAS_MAX,
    JOB_GAS_MIN,
    JOB_PARAMETERS_BYTES_MAX,
    JOB_RETRY_SECONDS,
    JOBS_PER_BLOCK_MAX,
    QUERY_ITEMS_MAX,
)
from protocol.types import Address, ContractId, Hash32, Height, Seconds
from protocol.vm.context import Context, Environment, QueryContext, fail
from protocol.vm.contract import Contract, ErrorType, EventType, Method, Owner, Query, Role
from protocol.vm.keys import KeyPart, data_key, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    BOOL,
    HASH,
    HEIGHT,
    SECONDS,
    U8,
    U16,
    U32,
    U48,
    Data,
    Field,
    Fields,
    Integer,
    Many,
    Maybe,
)
from protocol.vm.program import NO_ACTOR, Call
from protocol.vm.tables import SCHEMA, Index, Table
from protocol.vm.view import Row, View

ID: Final = ContractId(3)
SCHEDULER: Final = "scheduler"

WAITING: Final = 0
QUARANTINED: Final = 1

NO_JOB: Final = 301
FULL_POWER: Final = 302
DUE_TIME: Final = 303
ONE_A_RUN: Final = 304
NOT_QUARANTINED: Final = 305

JobRow: TypeAlias = tuple[
    int, Address, int, bytes, int, tuple[int, int, int], int, int, int, bool, int, int, int, int
]
"""(schema, owner, contract, parameters, due, period, second of the day, occurrence, ends, catches up, gas,
state, tries, runs)"""
CounterRow: TypeAlias = tuple[int, int]
HistoryRow: TypeAlias = tuple[int, int, bytes, int, bytes]
"""(schema, receipts, rolling hash, height of the newest, their root)"""

JOB: Final = Integer("job", 1, (1 << 48) - 1)
JOB_GAS: Final = Integer("job gas", JOB_GAS_MIN, JOB_GAS_MAX)
PARAMETERS: Final = Data("parameters", 1, JOB_PARAMETERS_BYTES_MAX)

_JOB_FIELDS: Final = (
    Field("owner", ADDRESS),
    Field("contract", U16, "whose job it is; 0: a member's"),
    Field("parameters", PARAMETERS, "canonical bytes of an array"),
    Field("due", SECONDS),
    Field("period", PERIOD),
    Field("second", Integer("second", 0, SECONDS_PER_DAY - 1), "of the co-op's day, at which it is due"),
    Field("occurrence", U32, "number of the period it is due in"),
    Field("ends", SECONDS, "last due time; 0: never"),
    Field("catches_up", BOOL, "true: a run for each period that was missed; false: one for all of them"),
    Field("gas", JOB_GAS, "most that one run may use"),
    Field("state", U8, "0 waiting, 1 quarantined"),
    Field("tries", U8, "failures in a row"),
    Field("runs", U48, "so far, failed ones included"),
)


def _select_due(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    due, state = row[4], row[11]
    assert type(due) is int
    return (due,) if state == WAITING else None


def _select_owner(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    assert type(row[1]) is bytes
    return (row[1],)


DUE: Final = Index(1, "due", (uint_key("due", 48),), _select_due)
BY_OWNER: Final = Index(4, "by_owner", (data_key("owner", 20),), _select_owner)
JOBS: Final[Table[JobRow]] = Table(
    ID, 2, "job", (uint_key("job", 48),), _JOB_FIELDS, (DUE, BY_OWNER), doc="Programs that wait for a time."
)
PROGRAMS: Final = program_table(ID, 3)
COUNTER: Final[Table[CounterRow]] = Table(
    ID, 5, "counter", (), (Field("jobs", U48),), doc="Number of the newest job."
)
HISTORY: Final[Table[HistoryRow]] = Table(
    ID,
    6,
    "history",
    (),
    (
        Field("receipts", U48, "of all runs so far"),
        Field("hash", HASH, "rolling hash of them"),
        Field("height", HEIGHT, "newest block in which jobs ran"),
        Field("root", HASH, "of the receipts of that block's jobs"),
    ),
    doc="What proves the receipts of jobs.",
)

_OF_JOB: Final = (Field("job", JOB), Field("owner", ADDRESS))
SCHEDULED: Final = EventType(ID, 1, "scheduled", (*_OF_JOB, Field("due", SECONDS)), "A job waits.")
CANCELLED: Final = EventType(ID, 2, "cancelled", _OF_JOB, "A job was taken back.")
RAN: Final = EventType(
    ID, 3, "ran", (*_OF_JOB, Field("next_due", SECONDS, "0: it was the last run")), "A job ran."
)
FAILED: Final = EventType(
    ID,
    4,
    "failed",
    (*_OF_JOB, Field("tries", U8), Field("next_due", SECONDS)),
    "A job failed and will be tried again.",
)
QUARANTINE: Final = EventType(
    ID, 5, "quarantined", (*_OF_JOB, Field("tries", U8)), "A job failed too often and waits for help."
)
RETRIED: Final = EventType(ID, 6, "retried", _OF_JOB, "A quarantined job waits again.")


# --- methods


def _create(
    ctx: Context,
    owner: Address,
    program: bytes,
    parameters: bytes,
    due: int,
    unit: int,
    every: int,
    ends: int,
    catches_up: bool,
    gas: int,
) -> Value:
    return _add(ctx, owner, 0, program, parameters, due, (unit, every), ends, catches_up, gas)


def schedule(
    ctx: Context,
    program: Value,
    parameters: tuple[Value, ...],
    due: int,
    recurrence: tuple[int, int] = (ONCE, 1),
    catches_up: bool = True,
    gas: int = JOB_GAS_MAX,
) -> int:
    """Schedule a job of the contract whose code runs; it acts as that contract. Returns the job.

    Rules: 1. those of the method `create`, but for the pins. 2. within a run of a job, once.

    Args:
        program: `((), calls)`. Without pins it is typed again at each run, by the versions that are then
            in force, so a job outlives the upgrade of its contract; with pins it fails once another one runs.

    Raises:
        CallFailed: ONE_A_RUN, DUE_TIME, or why the program is refused.
    """
    run = ctx.environment.job
    if run is not None:
        if run.has_scheduled:
            fail(ONE_A_RUN, "sched.one_a_run", 1, 2)
        run.has_scheduled = True
    contract = ctx.contract
    raw, filled = codec.encode(program), codec.encode(parameters)
    return _add(ctx, contract.address, contract.id, raw, filled, due, recurrence, 0, catches_up, gas)


def _add(
    ctx: Context,
    owner: Address,
    contract: int,
    program: bytes,
    parameters: bytes,
    due: int,
    recurrence: tuple[int, int],
    ends: int,
    catches_up: bool,
    gas: int,
) -> int:
    view, environment = ctx.view, ctx.environment
    template = read_template(ctx, program, 1, must_pin=not contract)
    try:
        values = codec.decode(parameters, JOB_PARAMETERS_BYTES_MAX)
        if type(values) is not tuple:
            raise Rejected(Code.MALFORMED, "parameters: not an array")
        template.check_parameters(values)
    except Rejected as rejected:
        fail(rejected.code, "sched.parameters")
    if not contract and any(
        isinstance(s, Call) and s.actor != NO_ACTOR and not s.grant for s in template.program
    ):
        fail(FULL_POWER, "sched.calls_use_grants")
    if not environment.time < due <= environment.time + JOB_AHEAD_SECONDS_MAX:
        fail(DUE_TIME, "sched.due", JOB_AHEAD_SECONDS_MAX, due - environment.time)
    if ends and ends < due:
        fail(DUE_TIME, "sched.ends", due, ends)
    counter = COUNTER.get(view, COUNTER.prefix)
    number = 1 if counter is None else counter[1] + 1
    COUNTER.put(view, COUNTER.prefix, (SCHEMA, number))
    day, second = divmod(due + environment.utc_offset_seconds, SECONDS_PER_DAY)
    period = (*recurrence, day)
    row: JobRow = (
        *(SCHEMA, owner, contract, parameters, due, period, second),
        *(0, ends, catches_up, gas, WAITING, 0, 0),
    )
    JOBS.put(view, JOBS.key(number), row)
    save_program(view, PROGRAMS, number, program)
    ctx.emit(SCHEDULED, number, owner, due)
    return number


def _cancel(ctx: Context, owner: Address, number: int) -> Value:
    row = _find(ctx.view, owner, number)
    _delete(ctx.view, number)
    ctx.emit(CANCELLED, number, row[1])
    return True


def cancel(ctx: Context, number: int) -> None:
    """Take back a job of the contract whose code runs.

    Raises:
        CallFailed: NO_JOB.
    """
    _cancel(ctx, ctx.contract.address, number)


def _retry(ctx: Context, owner: Address, number: int) -> Value:
    view, time = ctx.view, ctx.environment.time
    row = _find(view, owner, number)
    if row[11] != QUARANTINED:
        fail(NOT_QUARANTINED, "sched.quarantined", QUARANTINED, row[11])
    JOBS.put(view, JOBS.key(number), (*row[:4], int(time), *row[5:11], WAITING, 0, row[13]))
    ctx.emit(RETRIED, number, row[1])
    return True


def _find(view: View, owner: Address, number: int) -> JobRow:
    row = JOBS.get(view, JOBS.key(number))
    if row is None or row[1] != owner:
        fail(NO_JOB, "sched.job", None, number)
    return row


def _delete(view: View, number: int) -> None:
    JOBS.delete(view, JOBS.key(number))
    delete_program(view, PROGRAMS, number)


# --- kernel: running


def list_due(view: View, time: Seconds) -> list[int]:
    """List the jobs whose time has come, in order; at most 1,000."""
    found: list[int] = []
    for due, number in JOBS.scan_index(view, DUE):
        assert type(due) is int and type(number) is int
        if due > time or len(found) == JOBS_PER_BLOCK_MAX:
            break
        found.append(number)
    return found


def next_due(view: View) -> Seconds | None:
    """Return the earliest time at which a job is due, or None."""
    for due, _ in JOBS.scan_index(view, DUE):
        assert type(due) is int
        return Seconds(due)
    return None


def get_job(view: View, number: int) -> JobRow | None:
    """Return a job, or None: an earlier one of the block may have taken it back."""
    return JOBS.peek(view, JOBS.key(number))


def read_parameters(row: JobRow) -> tuple[Value, ...]:
    """Return the values of a job's parameters."""
    values = codec.decode_own(row[3])
    assert type(values) is tuple
    return values


def compute_run_id(number: int, row: JobRow) -> Hash32:
    """Compute the id of a job's next run, which stands where the id of a transaction does."""
    return Hash32(crypto.sha256(codec.encode(("job", number, row[13]))))


def get_program(view: View, number: int) -> bytes:
    """Return the program of a job, as canonical bytes."""
    return load_program(view, PROGRAMS, number)


def finish_run(view: View, environment: Environment, number: int, has_succeeded: bool) -> Event | None:
    """Say when a job that has run is due again, if ever; returns what is told about it.

    Returns: None when the run itself has taken the job back.
    """
    key = JOBS.key(number)
    row = JOBS.peek(view, key)
    if row is None:
        return None
    owner, runs, time = row[1], row[13] + 1, environment.time
    if not has_succeeded:
        tries = row[12] + 1
        if tries > len(JOB_RETRY_SECONDS):
            JOBS.put(view, key, (*row[:11], QUARANTINED, tries, runs))
            return Event(ID, QUARANTINE.id, (number, owner, tries))
        due = time + JOB_RETRY_SECONDS[tries - 1]
        JOBS.put(view, key, (*row[:4], due, *row[5:12], tries, runs))
        return Event(ID, FAILED.id, (number, owner, tries, due))
    occurrence, due = _find_next(row, environment)
    if due == 0 or (row[8] and due > row[8]):
        _delete(view, number)
        return Event(ID, RAN.id, (number, owner, 0))
    new = (*row[:4], due, *row[5:7], occurrence, *row[8:12], 0, runs)
    JOBS.put(view, key, new)
    return Event(ID, RAN.id, (number, owner, due))


def _find_next(row: JobRow, environment: Environment) -> tuple[int, int]:
    """Return the next occurrence of a job and its due time; 0 when there is none."""
    period, second, occurrence, catches_up = Period(*row[5]), row[6], row[7] + 1, row[9]
    if period.unit == ONCE:
        return 0, 0
    offset = environment.utc_offset_seconds
    if not catches_up:
        today = (environment.time + offset) // SECONDS_PER_DAY
        occurrence = max(occurrence, period.index_of(today))
        if period.first_day(occurrence) * SECONDS_PER_DAY + second - offset <= environment.time:
            occurrence += 1
    return occurrence, period.first_day(occurrence) * SECONDS_PER_DAY + second - offset


def keep_history(view: View, height: Height, receipts: Sequence[bytes]) -> None:
    """Add the receipts of a block's jobs to what a state proof proves."""
    _, count, rolled, _, _ = HISTORY.peek(view, HISTORY.prefix) or (SCHEMA, 0, bytes(32), 0, b"")
    for raw in receipts:
        rolled = crypto.digest(Domain.JOURNAL, rolled, raw)
    row = (SCHEMA, count + len(receipts), rolled, int(height), list_root(receipts))
    HISTORY.put(view, HISTORY.prefix, row)


# --- queries


def _query_job(query: QueryContext, number: int) -> Value:
    row = JOBS.get(query.view, JOBS.key(number))
    return None if row is None else (number, *row[1:])


def _query_program(query: QueryContext, number: int) -> Value:
    return load_program(query.view, PROGRAMS, number) or None


def _query_by_owner(query: QueryContext, owner: Address, after: int | None) -> Value:
    page = JOBS.page_keys(query.view, BY_OWNER, owner, after=() if after is None else (after,))
    return tuple([number for (number,) in page])


def _query_due(query: QueryContext, after: tuple[int, int] | None) -> Value:
    return tuple(islice(JOBS.scan_index(query.view, DUE, after=after or ()), QUERY_ITEMS_MAX))


def _query_history(query: QueryContext) -> Value:
    row = HISTORY.get(query.view, HISTORY.prefix)
    return None if row is None else row[1:]


_JOB: Final = Field("job", JOB)
_DUE_JOB: Final = Fields((Field("due", SECONDS), _JOB))

CONTRACT: Final = Contract(
    ID,
    "sched",
    layer=0,
    version=1,
    doc="Jobs: programs that the chain runs by itself when their time has come.",
    tables=(JOBS, PROGRAMS, COUNTER, HISTORY),
    methods=(
        Method(
            1,
            "create",
            (
                Field("owner", ADDRESS),
                Field("program", PROGRAM, "canonical bytes; actor 0 is the owner, always with a grant"),
                Field("parameters", PARAMETERS, "canonical bytes of an array"),
                Field("due", SECONDS, "of the first run"),
                *PERIOD.fields[:2],
                Field("ends", SECONDS, "last due time; 0: never"),
                Field("catches_up", BOOL, "whether a period that was missed has its own run"),
                Field("gas", JOB_GAS, "most that one run may use, from the owner's free gas"),
            ),
            JOB,
            (Owner("owner"),),
            200,
            _create,
            "Let a program run at a time, once or again and again by the calendar; returns the job.",
        ),
        Method(
            2,
            "cancel",
            (Field("owner", ADDRESS), _JOB),
            BOOL,
            (Owner("owner"),),
            20,
            _cancel,
            "Take back a job.",
        ),
        Method(
            3,
            "retry",
            (Field("owner", ADDRESS), _JOB),
            BOOL,
            (Owner("owner"), Role(SCHEDULER)),
            20,
            _retry,
            "Let a quarantined job run again.",
        ),
    ),
    queries=(
        Query("job", (_JOB,), Maybe(Fields((_JOB, *_JOB_FIELDS))), _query_job, "Return a job."),
        Query("program", (_JOB,), Maybe(PROGRAM), _query_program, "Return the program of a job."),
        Query(
            "by_owner",
            (Field("owner", ADDRESS), Field("after", Maybe(JOB), "the last of the page before")),
            Many(JOB, QUERY_ITEMS_MAX),
            _query_by_owner,
            "List the jobs of an owner.",
        ),
        Query(
            "due",
            (Field("after", Maybe(_DUE_JOB), "the last of the page before"),),
            Many(_DUE_JOB, QUERY_ITEMS_MAX),
            _query_due,
            "List what is due next, in order.",
        ),
        Query(
            "history",
            (),
            Maybe(Fields(HISTORY.fields)),
            _query_history,
            "Return what proves receipts of jobs.",
        ),
    ),
    events=(SCHEDULED, CANCELLED, RAN, FAILED, QUARANTINE, RETRIED),
    errors=(
        ErrorType(NO_JOB, "NO_JOB", "There is no such job of this owner."),
        ErrorType(FULL_POWER, "FULL_POWER", "A call of a member's job must use a grant."),
        ErrorType(DUE_TIME, "DUE_TIME", "A job is due after now and within ten years, and ends after that."),
        ErrorType(ONE_A_RUN, "ONE_A_RUN", "A run of a job may schedule one job, not more."),
        ErrorType(NOT_QUARANTINED, "NOT_QUARANTINED", "Only a quarantined job can be retried."),
    ),
)
