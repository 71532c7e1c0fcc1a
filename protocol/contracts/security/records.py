"""What security keeps: a file for each loan, its guarantees, its collateral, and the terms of the co-op.

Knows no movement (`guarantees.py`, `collateral.py`, `auctions.py`).
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol.contracts.ledger.accounts import account_key
from protocol.contracts.members.records import MEMBER
from protocol.contracts.savings.records import ACCOUNT as SAVINGS_ACCOUNT
from protocol.elections.decision import WHOLE_BP
from protocol.types import Address, ContractId
from protocol.vm.contract import compute_contract_address
from protocol.vm.keys import KeyPart, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    ASSET,
    BOOL,
    HASH,
    SECONDS,
    U8,
    U16,
    U32,
    Data,
    Field,
    Fields,
    Integer,
    Many,
)
from protocol.vm.tables import Index, Table, pack_record, read_record
from protocol.vm.view import Row, View

ID: Final = ContractId(33)
ADDRESS_OF: Final[Address] = compute_contract_address("security")
VALUER: Final = "valuer"

ESCROW: Final = 2040
SUB_MAX: Final = (1 << 32) - 1
"""The part of a loan's number that names its accounts: four billion loans come before two share one."""
GUARANTEES: Final = 9010
GUARANTEES_CONTRA: Final = 9011

NO_LOAN: Final = 3301
NO_GUARANTEE: Final = 3302
NO_COLLATERAL: Final = 3303
STANDING: Final = 3304
TOO_MANY: Final = 3305
TOO_MUCH: Final = 3306
LATE: Final = 3307
RING: Final = 3308
STATE: Final = 3309
TERMS: Final = 3310
COVER: Final = 3311
PRICE: Final = 3312

GUARANTEES_MAX: Final = 16
"""Guarantors of one loan, those who only offer included."""
COLLATERAL_MAX: Final = 8
"""Pieces of collateral of one loan."""
KINDS_MAX: Final = 8
"""Kinds of collateral that the terms of one loan can name."""
LOANS_MAX: Final = 32
"""Loans of one member that are not over, and guarantees that one member gives."""
VALUATIONS_MAX: Final = 3
"""Newest valuations that are kept, one of each valuer."""
VALUATION_DAYS: Final = 366
"""So long a valuation counts."""
MARGIN_DAYS: Final = 7
"""From a margin call to the day on which the loan can be enforced."""

OFFERED: Final = 1
ACTIVE: Final = 2

PLEDGED: Final = 1
FOR_SALE: Final = 2

PAPER: Final = 0
"""Stands for documented collateral where the number of an asset stands."""

LOAN: Final = Integer("loan", 1, (1 << 40) - 1)
PIECE: Final = Integer("collateral", 1, COLLATERAL_MAX)
BASIS_POINTS: Final = Integer("basis points", 0, WHOLE_BP)
RATIO: Final = Integer("basis points, also more than all", 0, 10 * WHOLE_BP)
STEP: Final = Integer("seconds of a step", 60, 86_400)
DOCUMENT: Final = Data("document", 0, 32)


@dataclass(frozen=True, slots=True)
class Case:
    """What stands for a loan, as a whole; in the order of its record.

    Args:
        guarantors_max: how many may stand for it.
        is_bound: it was disbursed; before that everybody may take back what he offered.
        required: cover that the loan needs now, in its asset; it falls with the principal.
        required_first: what it needed when it was bound.
        is_late: it is overdue for so long that its borrower may not stand for others.
        margin_day: last day to bring back the cover; 0: it is there.
        owed: what the auctions of its collateral are for; 0: none runs.
        proceeds: what they have brought and nobody has collected.
        kinds: assets, or PAPER, that are taken as its collateral; none: all that the co-op takes.
    """

    borrower: int
    asset: int
    guarantors_max: int
    is_bound: bool
    required: int
    required_first: int
    is_late: bool
    margin_day: int
    owed: int
    proceeds: int
    kinds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What a member promises, in the order of its record.

    Args:
        account: savings account in which it is locked.
        amount: promised; what can be called falls with the principal.
        held: locked now.
        called: paid already.
        state: 1 offered, 2 active.
    """

    borrower: int
    account: int
    amount: int
    held: int
    called: int
    state: int


Valuation: TypeAlias = tuple[Address, int, int, bytes]
"""(valuer, value, day, document)"""


@dataclass(frozen=True, slots=True)
class Collateral:
    """Something that stands for a loan, in the order of its record.

    Args:
        owner: whose it is.
        asset: what is kept; PAPER: something documented.
        amount: of the asset; of a document 1.
        haircut_bp: of the value, that does not count.
        state: 1 pledged, 2 for sale.
        start_price: of the auction, in the asset of the loan.
        begins: first second of the auction.
        step_seconds: after which its price falls.
        steps: in which it falls from the first to the last.
    """

    owner: Address
    asset: int
    amount: int
    document: bytes
    haircut_bp: int
    valuations: tuple[Valuation, ...]
    state: int
    start_price: int
    floor_price: int
    begins: int
    step_seconds: int
    steps: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What the co-op lets its members promise, and how it sells; in the order of its record.

    Args:
        guarantees_max: that one member gives.
        factor_bp: of his savings that can be promised in all.
        ring_length: longest ring that is refused; 0: none is.
        start_bp: first price of an auction, of the value.
        floor_bp: last price.
        step_seconds: after which the price falls.
        steps: in which it falls from the first to the last.
    """

    guarantees_max: int = 5
    factor_bp: int = WHOLE_BP
    ring_length: int = 3
    start_bp: int = 12_000
    floor_bp: int = 6_000
    step_seconds: int = 3_600
    steps: int = 48


CASE_FIELDS: Final = (
    Field("borrower", MEMBER),
    Field("asset", ASSET),
    Field("guarantors_max", U8),
    Field("is_bound", BOOL, "the loan was disbursed"),
    Field("required", AMOUNT, "cover that it needs now"),
    Field("required_first", AMOUNT),
    Field("is_late", BOOL, "its borrower may not stand for others"),
    Field("margin_day", U32, "last day to bring back the cover; 0: it is there"),
    Field("owed", AMOUNT, "what its collateral is sold for"),
    Field("proceeds", AMOUNT, "of auctions, not collected yet"),
    Field("kinds", Many(ASSET, KINDS_MAX), "of collateral, 0: on paper; none: all that the co-op takes"),
)


def _select_borrower(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    borrower = row[1]
    assert type(borrower) is int
    return (borrower,)


def _select_guarantor(parts: tuple[KeyPart, ...], _: Row) -> tuple[KeyPart, ...] | None:
    return (parts[1],)


BY_BORROWER: Final = Index(2, "by_borrower", (uint_key("borrower", 32),), _select_borrower)
BY_GUARANTOR: Final = Index(4, "by_guarantor", (uint_key("guarantor_first", 32),), _select_guarantor)

CASES: Final[Table[Row]] = Table(
    ID,
    1,
    "case",
    (uint_key("loan", 40),),
    CASE_FIELDS,
    (BY_BORROWER,),
    doc="Loans for which something can stand.",
)
GUARANTEE_FIELDS: Final = (
    Field("borrower", MEMBER),
    Field("account", SAVINGS_ACCOUNT, "of savings, in which it is locked"),
    Field("amount", AMOUNT, "promised"),
    Field("held", AMOUNT, "locked now"),
    Field("called", AMOUNT, "paid already"),
    Field("state", U8, "1 offered, 2 active"),
)
GUARANTEE: Final[Table[Row]] = Table(
    ID,
    3,
    "guarantee",
    (uint_key("loan", 40), uint_key("guarantor", 32)),
    GUARANTEE_FIELDS,
    (BY_GUARANTOR,),
    doc="Who stands for which loan, and with how much of his savings.",
)
VALUATION: Final = Fields(
    (
        Field("valuer", ADDRESS),
        Field("value", AMOUNT, "in the asset of the loan"),
        Field("day", U32),
        Field("document", HASH),
    )
)
COLLATERAL_FIELDS: Final = (
    Field("owner", ADDRESS),
    Field("asset", ASSET, "0: on paper"),
    Field("amount", AMOUNT),
    Field("document", DOCUMENT),
    Field("haircut_bp", BASIS_POINTS, "of the value, that does not count"),
    Field("valuations", Many(VALUATION, VALUATIONS_MAX), "newest last"),
    Field("state", U8, "1 pledged, 2 for sale"),
    Field("start_price", AMOUNT, "of the auction"),
    Field("floor_price", AMOUNT),
    Field("begins", SECONDS, "of the auction"),
    Field("step_seconds", U32, "after which its price falls"),
    Field("steps", U16, "in which it falls to the floor"),
)
COLLATERAL: Final[Table[Row]] = Table(
    ID,
    5,
    "collateral",
    (uint_key("loan", 40), uint_key("piece", 8)),
    COLLATERAL_FIELDS,
    doc="What stands for which loan.",
)
KindRow: TypeAlias = tuple[int, int, int]
"""(schema, haircut, margin)"""
KINDS: Final[Table[KindRow]] = Table(
    ID,
    6,
    "kind",
    (uint_key("asset", 32),),
    (
        Field("haircut_bp", BASIS_POINTS, "of the value, that does not count"),
        Field("margin_bp", BASIS_POINTS, "of the cover that is needed, below which more is asked for"),
    ),
    doc="What is taken as collateral; 0 stands for what is on paper.",
)
LIMIT_FIELDS: Final = (
    Field("guarantees_max", Integer("guarantees", 0, LOANS_MAX), "that one member gives"),
    Field("factor_bp", BASIS_POINTS, "of a member's savings that he can promise in all"),
    Field("ring_length", Integer("members", 0, 3), "longest ring that is refused; 0: none is"),
    Field("start_bp", RATIO, "first price of an auction, of the value"),
    Field("floor_bp", RATIO, "last price"),
    Field("step_seconds", STEP, "after which the price falls"),
    Field("steps", Integer("steps", 1, 1_000), "from the first price to the last"),
)
LIMITS: Final[Table[Row]] = Table(
    ID, 7, "limits", (), LIMIT_FIELDS, doc="What members can promise, and how collateral is sold."
)


def get_case(view: View, loan: int) -> Case:
    """Return what stands for a loan, as a whole.

    Raises:
        CallFailed: NO_LOAN.
    """
    row = CASES.need(view, CASES.key(loan), NO_LOAN, "security.loan", loan)
    return read_record(Case, row)


def put_case(view: View, loan: int, case: Case) -> None:
    """Write the file of a loan."""
    CASES.put(view, CASES.key(loan), pack_record(case))


def get_guarantee(view: View, loan: int, guarantor: int) -> Guarantee:
    """Return a guarantee.

    Raises:
        CallFailed: NO_GUARANTEE.
    """
    row = GUARANTEE.need(view, GUARANTEE.key(loan, guarantor), NO_GUARANTEE, "security.guarantee", guarantor)
    return read_record(Guarantee, row)


def put_guarantee(view: View, loan: int, guarantor: int, guarantee: Guarantee) -> None:
    """Write a guarantee."""
    GUARANTEE.put(view, GUARANTEE.key(loan, guarantor), pack_record(guarantee))


def list_guarantees(view: View, loan: int) -> tuple[tuple[int, Guarantee], ...]:
    """List (guarantor, guarantee) of a loan, those only offered included."""
    found: list[tuple[int, Guarantee]] = []
    for key, row in GUARANTEE.scan(view, loan):
        guarantor = GUARANTEE.parts(key)[1]
        assert type(guarantor) is int
        found.append((guarantor, read_record(Guarantee, row)))
    return tuple(found)


def list_given(view: View, guarantor: int) -> tuple[tuple[int, Guarantee], ...]:
    """List (loan, guarantee) of what a member has promised."""
    found: list[tuple[int, Guarantee]] = []
    for key, row in GUARANTEE.page(view, BY_GUARANTOR, guarantor):
        assert type(key[0]) is int
        found.append((key[0], read_record(Guarantee, row)))
    return tuple(found)


def list_cases(view: View, borrower: int) -> tuple[tuple[int, Case], ...]:
    """List (loan, file) of what a member borrows or asks for."""
    found: list[tuple[int, Case]] = []
    for key, row in CASES.page(view, BY_BORROWER, borrower):
        assert type(key[0]) is int
        found.append((key[0], read_record(Case, row)))
    return tuple(found)


def get_collateral(view: View, loan: int, piece: int) -> Collateral:
    """Return a piece of collateral.

    Raises:
        CallFailed: NO_COLLATERAL.
    """
    row = COLLATERAL.need(view, COLLATERAL.key(loan, piece), NO_COLLATERAL, "security.collateral", piece)
    return read_record(Collateral, row)


def put_collateral(view: View, loan: int, piece: int, collateral: Collateral) -> None:
    """Write a piece of collateral."""
    COLLATERAL.put(view, COLLATERAL.key(loan, piece), pack_record(collateral))


def list_collateral(view: View, loan: int) -> tuple[tuple[int, Collateral], ...]:
    """List (piece, collateral) of a loan."""
    found: list[tuple[int, Collateral]] = []
    for key, row in COLLATERAL.scan(view, loan):
        piece = COLLATERAL.parts(key)[1]
        assert type(piece) is int
        found.append((piece, read_record(Collateral, row)))
    return tuple(found)


def get_limits(view: View) -> Limits:
    """Return what members can promise, and how collateral is sold."""
    row = LIMITS.get(view, LIMITS.key())
    return Limits() if row is None else read_record(Limits, row)


def put_limits(view: View, limits: Limits) -> None:
    """Write the limits."""
    LIMITS.put(view, LIMITS.key(), pack_record(limits))


def escrow_key(loan: int, asset: int) -> bytes:
    """Return the ledger account in which the collateral and the proceeds of a loan lie."""
    return account_key(ADDRESS_OF, ESCROW, asset, loan & SUB_MAX)
