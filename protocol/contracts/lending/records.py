"""What lending keeps of loans: their rows, what moves of them, events, and the sums of a product.

What a product says is `product.py`. Knows no movement: what a loan does over time is `book.py`, what reaches
the ledger is `posting.py`.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol.contracts.members.records import MEMBER
from protocol.finance.day_count import RATE_UNIT
from protocol.finance.provisioning import CLASSES_MAX
from protocol.finance.schedule import ROWS_MAX
from protocol.types import Address, ContractId
from protocol.vm.context import fail
from protocol.vm.contract import compute_contract_address
from protocol.vm.keys import KeyPart, data_key, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    BOOL,
    HASH,
    POSITIVE,
    U8,
    U16,
    U32,
    U48,
    Data,
    Field,
    Fields,
    Integer,
    Many,
    Text,
)
from protocol.vm.tables import SCHEMA, Index, Table, pack_record, read_record
from protocol.vm.view import Row, View

ID: Final = ContractId(31)
ADDRESS_OF: Final[Address] = compute_contract_address("lending")

PRINCIPAL: Final = 1110
INTEREST_RECEIVABLE: Final = 1120
PENALTY_RECEIVABLE: Final = 1130
ALLOWANCE: Final = 1190
ADVANCES: Final = 2040
UNEARNED: Final = 2080
INTEREST_INCOME: Final = 4010
FEE_INCOME: Final = 4020
PENALTY_INCOME: Final = 4030
RECOVERIES: Final = 4040
PROVISIONS: Final = 5030

NO_PRODUCT: Final = 3101
NO_LOAN: Final = 3102
TERMS: Final = 3103
NOT_ELIGIBLE: Final = 3104
STATUS: Final = 3105
TERMS_CHANGED: Final = 3106
NO_FUNDS: Final = 3107
COMMITTEE: Final = 3108
LOAN_OFFICER: Final = "loan_officer"

NO_EVENT: Final = 3109
NOT_REVERSIBLE: Final = 3110
NOTHING: Final = 3111
TOO_MUCH: Final = 3112

APPLIED: Final = 1
APPROVED: Final = 2
ACTIVE: Final = 3
CLOSED: Final = 4
CHARGED_OFF: Final = 5
REJECTED: Final = 6
WITHDRAWN: Final = 7
RECOVERED: Final = 8
LAPSED: Final = 9

PAID: Final = 1
REFUNDED: Final = 2
WAIVED: Final = 3
TAKEN: Final = 4
FORGIVEN: Final = 5

LOANS_OPEN_MAX: Final = 16
"""Applications and loans of one member that are open at a time."""
RESCHEDULES_MAX: Final = 3
HELD_DAYS: Final = 90
"""Days after a reschedule in which the class of a loan cannot improve."""
FRESH_DAYS: Final = 30
"""Days after another loan in which what is paid may have been paid with it."""
REPLAY_EVENTS_MAX: Final = 400
"""Events after the oldest one that a reversal can do over."""
OFFER_DAYS: Final = 30
"""Days for which an approval waits for the borrower."""
DAY_NEVER: Final = (1 << 32) - 1
EXACT_BYTES: Final = 24

PRODUCT: Final = Integer("loan product", 1, (1 << 16) - 1)
LOAN: Final = Integer("loan", 1, (1 << 32) - 1)
ROW_COUNT: Final = Integer("rows", 0, ROWS_MAX)
RATE_MAX_PPM: Final = 10 * RATE_UNIT
RATE: Final = Integer("rate in ppm a year", 0, RATE_MAX_PPM)
EXACT: Final = Data("exact interest", EXACT_BYTES, EXACT_BYTES)


@dataclass(frozen=True, slots=True)
class Loan:
    """Who borrowed what: fixed but for its status, in the order of its record."""

    member: int
    product: int
    status: int
    principal: int
    rows: int
    interest: int
    income: int
    service: int
    purpose: str
    applied: int
    decided: int
    start: int
    terms_hash: bytes
    approvals: int
    reschedules: int
    restructured: int
    rate_ppm: int
    annual_ppm: int


LOAN_FIELDS: Final = (
    Field("member", MEMBER),
    Field("product", PRODUCT),
    Field(
        "status",
        Integer("loan status", APPLIED, LAPSED),
        "1 applied, 2 approved, 3 active, 4 closed, 5 charged off, 6 rejected, 7 withdrawn, 8 recovered, "
        "9 lapsed",
    ),
    Field("principal", POSITIVE),
    Field("rows", ROW_COUNT),
    Field("interest", AMOUNT, "of all rows, as agreed"),
    Field("income", AMOUNT, "of a year, as the borrower has said"),
    Field("service", AMOUNT, "what falls due in the first year"),
    Field("purpose", Text("purpose", 128)),
    Field("applied", U32, "day"),
    Field("decided", U32, "day; 0: not yet"),
    Field("start", U32, "day of the disbursement; 0: not yet"),
    Field("terms_hash", HASH, "what the borrower has accepted"),
    Field("approvals", U8),
    Field("reschedules", U8),
    Field("restructured", U32, "day until which the class cannot improve; 0: not rescheduled"),
    Field("rate_ppm", RATE, "of its interest; fixed by the decision"),
    Field("annual_ppm", U32, "of all that it costs a year, as its borrower accepted; 0: not yet"),
)


@dataclass(slots=True)
class State:
    """What moves of an active loan, in the order of its record; a working copy that `Book` changes.

    Args:
        accrued: exact interest that is income and not paid, in ppm * parts.
        undue: exact interest that has arisen and is not due.
        slope: exact interest that arises with each part of a year.
        due_n: first row that is not due; unpaid_n: first that is due and not paid; late_n: not late.
        penalty_exact: all penalties so far, in millionths of a unit.
        held_class: class that cannot improve before the end of a restructuring.
    """

    principal_out: int
    accrued: int
    undue: int
    slope: int
    as_of: int
    due_n: int
    unpaid_n: int
    late_n: int
    penalty_exact: int
    penalty_charged: int
    penalty_booked: int
    penalty_paid: int
    interest_paid: int
    interest_charged: int
    advance: int
    is_suspended: bool
    loan_class: int
    held_class: int
    allowance: int
    next_day: int
    events: int
    sealed: int
    notices: int
    fee_left: int


STATE_FIELDS: Final = (
    Field("principal_out", AMOUNT),
    Field("accrued", EXACT, "interest that is income and not paid, in ppm * parts of a year"),
    Field("undue", EXACT, "interest that has arisen and is not due"),
    Field("slope", EXACT, "interest that arises with each part of a year"),
    Field("as_of", U32, "day"),
    Field("due_n", ROW_COUNT, "first row that is not due"),
    Field("unpaid_n", ROW_COUNT, "first row that is not paid"),
    Field("late_n", ROW_COUNT, "first row that is not late"),
    Field("penalty_exact", EXACT, "all penalties so far, in millionths of a unit"),
    Field("penalty_charged", AMOUNT),
    Field("penalty_booked", AMOUNT, "of it, in class 1130"),
    Field("penalty_paid", AMOUNT),
    Field("interest_paid", AMOUNT),
    Field("interest_charged", AMOUNT, "of all rows that are due"),
    Field("advance", AMOUNT, "paid before it is due, in class 2040"),
    Field("is_suspended", BOOL, "its interest is no income until it is paid"),
    Field("loan_class", U8),
    Field("held_class", U8, "below which the class cannot fall while restructured"),
    Field("allowance", AMOUNT, "set aside for it"),
    Field("next_day", U32, "on which something comes due"),
    Field("events", U32, "so far"),
    Field("sealed", U32, "events that can no longer be reversed"),
    Field("notices", U8, "sent about what is late"),
    Field("fee_left", AMOUNT, "of the fee, that is no income yet, in class 2080"),
)
_PACKED: Final = ("accrued", "undue", "slope", "penalty_exact")


@dataclass(frozen=True, slots=True)
class Instalment:
    """A row of a schedule: what was agreed (`base_`), what is due now, and what of it is paid.

    Args:
        deferred: interest that has arisen and is still not due when this row is.
        is_fresh: the borrower was lent as much elsewhere just before it was paid: credit counts it nothing.
    """

    due_day: int
    principal: int
    interest: int
    deferred: int
    base_principal: int
    base_interest: int
    base_deferred: int
    principal_paid: int
    interest_paid: int
    paid_day: int
    is_fresh: bool = False


INSTALMENT_FIELDS: Final = (
    Field("due_day", U32),
    Field("principal", AMOUNT),
    Field("interest", AMOUNT),
    Field("deferred", AMOUNT, "interest that has arisen and is not due with this row"),
    Field("base_principal", AMOUNT, "as agreed, before anything was paid early"),
    Field("base_interest", AMOUNT),
    Field("base_deferred", AMOUNT),
    Field("principal_paid", AMOUNT),
    Field("interest_paid", AMOUNT),
    Field("paid_day", U32, "on which all of it was paid; 0: not yet"),
    Field("is_fresh", BOOL, "paid within days of another loan as high: it counts nothing for the score"),
)


def _select_member(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    member = row[1]
    assert type(member) is int
    return (member,) if row[3] in (APPLIED, APPROVED, ACTIVE, CHARGED_OFF) else None


def _select_offer(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    product, decided = row[2], row[11]
    assert type(product) is int and type(decided) is int
    return (product, decided) if row[3] == APPROVED else None


BY_MEMBER: Final = Index(3, "by_member", (uint_key("member", 32),), _select_member)
BY_OFFER: Final = Index(17, "by_offer", (uint_key("product", 16), uint_key("decided", 32)), _select_offer)
LOANS: Final[Table[Row]] = Table(
    ID, 2, "loan", (uint_key("loan", 32),), LOAN_FIELDS, (BY_MEMBER, BY_OFFER), doc="Applications and loans."
)


def _select_day(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    product, day = row[1], row[21]
    assert type(product) is int and type(day) is int
    return None if day == DAY_NEVER else (product, day)


BY_DAY: Final = Index(5, "by_day", (uint_key("product", 16), uint_key("day", 32)), _select_day)
STATES: Final[Table[Row]] = Table(
    ID,
    4,
    "state",
    (uint_key("loan", 32),),
    (Field("product", PRODUCT), *STATE_FIELDS),
    (BY_DAY,),
    doc="What moves of a loan that was paid out.",
)
INSTALMENTS: Final[Table[Row]] = Table(
    ID,
    6,
    "instalment",
    (uint_key("loan", 32), uint_key("row", 16)),
    INSTALMENT_FIELDS,
    doc="Rows of the schedules.",
)
ORIGINS: Final[Table[Row]] = Table(
    ID,
    7,
    "origin",
    (uint_key("loan", 32),),
    STATE_FIELDS,
    doc="How a loan stood when its rows were made; a reversal does over what came after it.",
)
ARCHIVE: Final[Table[Row]] = Table(
    ID,
    8,
    "archive",
    (uint_key("loan", 32), uint_key("reschedule", 8), uint_key("row", 16)),
    INSTALMENT_FIELDS,
    doc="Rows that a reschedule has replaced.",
)

EventRow: TypeAlias = tuple[int, int, int, int, bytes, bool]
"""(schema, kind, day, amount, payer, is reversed)"""
EVENT_FIELDS: Final = (
    Field(
        "kind",
        Integer("kind", PAID, FORGIVEN),
        "1 paid, 2 refunded, 3 penalties waived, 4 taken from security, 5 interest forgiven",
    ),
    Field("day", U32),
    Field("amount", AMOUNT),
    Field("payer", ADDRESS, "whose money it was"),
    Field("is_reversed", BOOL),
)
EVENTS: Final[Table[EventRow]] = Table(
    ID,
    9,
    "event",
    (uint_key("loan", 32), uint_key("event", 32)),
    EVENT_FIELDS,
    doc="What was paid on a loan.",
)

TotalRow: TypeAlias = tuple[
    int, int, bytes, bytes, int, int, int, int, int, tuple[int, ...], tuple[int, ...], int, int, int
]
"""(schema, principal, exact, slope, as of, booked, penalties, advances, loans, principal of each class,
allowance of each class, allowance by the floor, daily job, fees that are no income yet)"""
TOTALS: Final[Table[TotalRow]] = Table(
    ID,
    10,
    "total",
    (uint_key("product", 16),),
    (
        Field("principal", AMOUNT, "in class 1110"),
        Field("exact", EXACT, "interest that is income and not paid"),
        Field("slope", EXACT, "of all loans that earn"),
        Field("as_of", U32),
        Field("booked", AMOUNT, "interest, in class 1120"),
        Field("penalties", AMOUNT, "in class 1130"),
        Field("advances", AMOUNT, "in class 2040"),
        Field("loans", U32),
        Field("class_principal", Many(AMOUNT, CLASSES_MAX, 1)),
        Field("class_allowance", Many(AMOUNT, CLASSES_MAX, 1)),
        Field("floor_allowance", AMOUNT, "set aside above that of the loans"),
        Field("job", U48, "that looks at the loans every day; 0: there is none to look at"),
        Field("fees", AMOUNT, "that are no income yet, in class 2080"),
    ),
    doc="Sums over the loans of a product.",
)
CounterRow: TypeAlias = tuple[int, int, int]
COUNTER: Final[Table[CounterRow]] = Table(
    ID,
    11,
    "counter",
    (),
    (Field("products", U16), Field("loans", Integer("loans", 0, (1 << 32) - 1))),
    doc="Newest numbers.",
)

DECISION_FIELDS: Final = (
    Field("day", U32),
    Field("months", U32, "of membership"),
    Field("shares", AMOUNT),
    Field("loans", U8, "open ones of the member, this one not counted"),
    Field("debt", AMOUNT, "of the member, this loan included"),
    Field("savings", AMOUNT),
    Field("service", AMOUNT, "what falls due in a year, of all loans"),
    Field("income", AMOUNT),
    Field("equity", AMOUNT, "of the co-op; 0 below"),
    Field("cover", AMOUNT, "by guarantees and collateral"),
    Field("guarantors", U8),
    Field("score", U32),
    Field("carried", AMOUNT, "most debt that score and savings carry"),
    Field("rate_ppm", RATE),
    Field("is_insider", BOOL, "on the board or the committee"),
    Field("is_automatic", BOOL, "no committee was needed"),
)
DECISIONS: Final[Table[Row]] = Table(
    ID,
    12,
    "decision",
    (uint_key("loan", 32),),
    DECISION_FIELDS,
    doc="What a decision was made from, so that anybody can make it again.",
)
APPROVALS: Final[Table[tuple[int, int]]] = Table(
    ID,
    13,
    "approval",
    (uint_key("loan", 32), data_key("by", 20)),
    (Field("day", U32),),
    doc="Who of a committee has approved.",
)
RECOVERED_FIELDS: Final = (
    Field("owed", AMOUNT, "when it was charged off"),
    Field("recovered", AMOUNT),
    Field("borne", AMOUNT, "by the fund of the product, which gets back what comes first"),
)
CLAIMS: Final[Table[tuple[int, int, int, int]]] = Table(
    ID, 14, "claim", (uint_key("loan", 32),), RECOVERED_FIELDS, doc="What is owed beside the books."
)
PLANS: Final[Table[tuple[int, int]]] = Table(
    ID,
    15,
    "plan",
    (uint_key("loan", 32),),
    (Field("rows", ROW_COUNT),),
    doc="In how many rows a borrower asks to pay what he still owes.",
)
LENT: Final[Table[tuple[int, int]]] = Table(
    ID,
    16,
    "lent",
    (uint_key("member", 32), uint_key("day", 32), uint_key("loan", 32)),
    (Field("principal", POSITIVE),),
    doc="When a member was paid out a loan; who pays a loan with another gets no better score for it.",
)
TOTAL_STATE: Final = Fields(TOTALS.fields)


def pack_exact(value: int) -> bytes:
    """Return an accumulator as the bytes that are kept."""
    return value.to_bytes(EXACT_BYTES, "big", signed=True)


def read_exact(data: bytes) -> int:
    """Return an accumulator."""
    return int.from_bytes(data, "big", signed=True)


def get_loan(view: View, number: int, *status: int) -> Loan:
    """Return a loan that has one of the statuses.

    Raises:
        CallFailed: NO_LOAN, STATUS.
    """
    row = LOANS.need(view, LOANS.key(number), NO_LOAN, "lending.loan", number)
    loan = read_record(Loan, row)
    if status and loan.status not in status:
        fail(STATUS, "lending.status", status[0], loan.status)
    return loan


def put_loan(view: View, number: int, loan: Loan) -> None:
    """Write a loan."""
    LOANS.put(view, LOANS.key(number), pack_record(loan))


def _read_state(values: tuple[object, ...]) -> State:
    state = State(*values)  # type: ignore[arg-type]
    for name in _PACKED:
        setattr(state, name, read_exact(getattr(state, name)))
    return state


def pack_state(state: State) -> Row:
    """Return the row of a state."""
    row = pack_record(state)
    names = [field.name for field in STATE_FIELDS]
    packed = {name: pack_exact(getattr(state, name)) for name in _PACKED}
    return (SCHEMA, *[packed.get(name, value) for name, value in zip(names, row[1:], strict=True)])


def get_state(view: View, number: int) -> State:
    """Return what moves of a loan that was paid out."""
    row = STATES.get(view, STATES.key(number))
    assert row is not None, "a loan that was paid out has a state"
    return _read_state(row[2:])


def put_state(view: View, number: int, product: int, state: State) -> None:
    """Write what moves of a loan."""
    STATES.put(view, STATES.key(number), (SCHEMA, product, *pack_state(state)[1:]))


def get_origin(view: View, number: int) -> State:
    """Return how a loan stood when its rows were made."""
    row = ORIGINS.get(view, ORIGINS.key(number))
    assert row is not None, "a loan that was paid out has an origin"
    return _read_state(row[1:])


def put_origin(view: View, number: int, state: State) -> None:
    """Write how a loan stands as its rows are made."""
    ORIGINS.put(view, ORIGINS.key(number), pack_state(state))


def get_instalment(view: View, number: int, n: int) -> Instalment:
    """Return a row of a schedule."""
    row = INSTALMENTS.get(view, INSTALMENTS.key(number, n))
    assert row is not None, "a schedule has all its rows"
    return read_record(Instalment, row)


def put_instalment(view: View, number: int, n: int, row: Instalment) -> None:
    """Write a row of a schedule."""
    INSTALMENTS.put(view, INSTALMENTS.key(number, n), pack_record(row))
