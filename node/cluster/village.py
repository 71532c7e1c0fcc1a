"""The demo co-operative of fifty members: shares, a budget, cashiers with limits, a board, rules of voting.

It writes founding programs; who runs nodes, and how keys are made, is `founding.py`. Every key is public: see
there. Amounts are minor units; money that was brought in lies with the bank, so the books balance.
"""

import hashlib
from dataclasses import replace
from typing import Final

from node.cluster.founding import (
    UTC_OFFSET_SECONDS,
    Operator,
    assemble_genesis,
    demo_address,
    demo_policy,
    load_openings,
    operator_programs,
)
from protocol.chain.genesis import Genesis
from protocol.chain.validators import EngineKind
from protocol.codec import Value
from protocol.contracts import REGISTRY
from protocol.contracts.assets.records import FIAT_CLAIM
from protocol.contracts.lending.product import Product
from protocol.contracts.lending.records import LOAN_OFFICER
from protocol.contracts.policies import compute_address
from protocol.contracts.registry.records import COUNCIL
from protocol.finance.allocation import DEFAULT_ORDER, FutureRule
from protocol.finance.day_count import DayCount
from protocol.finance.provisioning import DEFAULT_TABLE
from protocol.finance.schedule import Method as Schedule
from protocol.finance.schedule import PeriodUnit
from protocol.money import compute_day, date_from_days
from protocol.params import PROGRAM_INSTRUCTIONS_MAX
from protocol.types import Address, Seconds
from protocol.vm.contract import Contract, Method
from protocol.vm.program import NO_ACTOR, literal
from protocol.vm.tables import pack_record

NAMES: Final = (
    *("ada", "bo", "cy", "dan", "eve", "fay", "gus", "hana", "ivo", "jun"),
    *("kai", "lin", "mei", "nils", "oya", "pia", "qiu", "rosa", "sol", "tao"),
    *("uma", "vera", "wen", "xia", "yan", "zoe", "abel", "bela", "chen", "dina"),
    *("emil", "fatou", "gao", "hugo", "ines", "jana", "karl", "leila", "milo", "nora"),
    *("omar", "petra", "ravi", "sana", "theo", "ulla", "viet", "wanda", "yusuf", "zara"),
)
"""The members, by number from 1 on."""
MEMBERS_ON_DISK: Final = 20
"""So many of them have a wallet in the folder of the demo; the others are made from their phrases."""
BOARD: Final = ("dan", "eve", "fay", "gus", "hana")
BOARD_THRESHOLD: Final = 3
TREASURERS: Final = ("eve", "fay", "gus")
CREDIT: Final = ("ivo", "jun", "kai")
"""The committee that decides on loans beyond what the policy decides."""
STAFF: Final = ("till", "desk", "ren", "bank", "audit", "lex", "lou")
"""Two cashiers, the registrar, the custodian, the auditor, the officers of compliance and of loans."""
NEWCOMERS: Final = ("nia", "otto", "pim", "liv")
"""Have keys, but are no members."""

CHAIN_NAME: Final = "riverbend-village"
YUAN: Final = 100
DAY: Final = 86_400
CURRENCY: Final = 1
ACT_365: Final = int(DayCount.ACT_365F)
VAULT: Final = "vault"
"""The cashier who took what founders brought, and handed it on to the bank."""
OPENING: Final = {"ada": 50_000, "bo": 50_000, "cy": 50_000}
OPENING_OTHERS: Final = 2_000
SHARES: Final = 10
PAR: Final = 100 * YUAN
ENTRY_FEE: Final = 20 * YUAN
SHARES_LEAST: Final = 5
GIFT_RUNNING: Final = 120 * YUAN
GIFT_EDUCATION: Final = 40 * YUAN
CASHIER_FLOAT: Final = 50_000 * YUAN
CASHIER_DAILY: Final = 20_000 * YUAN
FOUR_EYES: Final = 5_000 * YUAN
CASHIER_START: Final = 10_000 * YUAN
TIERS: Final = (200 * YUAN, 1_000 * YUAN, 3 * DAY)
CAP: Final = 1 << 62
STEP: Final = 8
"""Members that one founding program takes in."""

BYLAWS: Final = hashlib.sha256(b"The bylaws of the village: one member, one vote.\n").digest()

RUNNING, EDUCATION = 1, 2
LINES: Final = (
    (RUNNING, "seeds", 2_500 * YUAN, ""),
    (RUNNING, "office", 1_200 * YUAN, ""),
    (RUNNING, "repairs", 2_000 * YUAN, "board"),
    (EDUCATION, "courses", 1_500 * YUAN, ""),
)

OFFICES: Final = (
    # role, admin, guardian, delay, longest term, holders, members only
    ("board", "", "", 0, 3 * 366 * DAY, 7, True),
    ("treasurer", "board", "", 0, 2 * 366 * DAY, 5, True),
    ("registrar", "board", "", 0, 0, 3, False),
    ("auditor", "", "", 0, 0, 2, False),
    ("compliance", "", "", 0, 0, 2, False),
    ("credit", "board", "", 0, 0, 5, True),
    (LOAN_OFFICER, "board", "", 0, 0, 2, False),
)

_BUDGET: Final = (
    *("treasury.create_fund", "treasury.appropriate", "treasury.transfer", "treasury.allot"),
    *("treasury.change_line", "treasury.set_tiers", "treasury.approve", "treasury.open_stream"),
    *("treasury.stop_stream", "treasury.close_year"),
)
_ORDINARY: Final = (
    *("assets.create", "assets.set_status", "assets.set_cashier", "assets.set_custodian"),
    *("assets.lift_freeze", "members.admit", "members.lift_suspension", "registry.resume"),
    *("lending.approve", "lending.reject", "lending.reschedule"),
)
_BYLAW: Final = (
    *(
        "voting.set_policy",
        "voting.set_retention",
        "members.set_rules",
        "members.define_role",
        "members.delay_role",
        "shares.create_class",
    ),
    *("shares.set_terms", "auth.set_fee"),
    *("registry.return_to_raft", "registry.cancel_return", "registry.take_over"),
)
_UPGRADE: Final = (*("registry.upgrade", "registry.cancel_upgrade", "registry.propose", "registry.cancel"),)
_PRODUCTS: Final = (
    *("savings.create_product", "savings.set_rates", "lending.create_product", "lending.close_product"),
    *("credit.set_table", "security.set_limits", "security.set_kind"),
)
_RECALL: Final = ("members.revoke_role", "members.announce_expulsion", "members.expel")

# name; quorum, approval, least yes (basis points); discussion, voting, time lock, window (days); calls
POLICIES: Final[tuple[tuple[str, tuple[int, int, int], tuple[int, int, int, int], tuple[str, ...]], ...]] = (
    ("advisory", (0, 5_000, 0), (0, 3, 0, 1), ()),
    ("ordinary", (1_000, 5_000, 0), (1, 5, 2, 14), _ORDINARY),
    ("budget", (1_500, 5_000, 0), (1, 7, 7, 30), _BUDGET),
    ("bylaw", (3_000, 6_670, 2_500), (7, 14, 30, 30), _BYLAW),
    ("parameter", (1_000, 5_000, 0), (1, 5, 2, 14), ("registry.set_parameter",)),
    ("upgrade", (2_000, 6_000, 0), (7, 14, 14, 60), _UPGRADE),
    ("election", (1_000, 5_000, 0), (7, 7, 0, 30), ("members.grant_role",)),
    ("recall", (2_500, 6_670, 0), (3, 7, 1, 30), _RECALL),
    ("shareholders", (2_000, 5_000, 0), (3, 7, 14, 30), ("shares.set_terms",)),
    ("petition", (1_000, 5_000, 0), (7, 7, 2, 30), (*_ORDINARY, "voting.set_calendar")),
    ("products", (1_000, 5_000, 0), (1, 5, 2, 14), _PRODUCTS),
    ("priorities", (1_000, 5_000, 0), (3, 7, 0, 1), ()),
)
"""The types of contracts.md 5.6, numbered from 1 on, one for signatures, and one for saving and lending."""
OBJECTIONS_BP: Final = 1_000
"""Of the members: so many stop what holders of shares have decided."""
NOTICE: Final = 2 * DAY
"""Between a proposal to recall or expel somebody and the hearing."""
SIGNATURES: Final = 3
"""Members who sign a petition before it is discussed."""
RETENTION: Final = (("budget", 1_000), ("bylaw", 1_000))
"""Over which types members may leave, and how many before the decision fails by it (basis points)."""

SAVINGS: Final = (
    # rates (ppm); name, asset, kind, day count, bands from; minimum, days of notice, days of the term, part
    # that a break loses, months between credits, tax, reserve (basis points), always free in a
    # day, what earns (1 the balance, 2 the lowest one), monthly deposit
    (
        *((20_000, 25_000), "savings book", CURRENCY, 1, ACT_365, (0, 10_000 * YUAN)),
        *(0, 0, 0, 0, 1, 0, 1_000, 500 * YUAN, 1, 0),
    ),
    (
        *((30_000,), "thirty days", CURRENCY, 2, ACT_365, (0,)),
        *(0, 30, 0, 0, 1, 0, 1_000, 500 * YUAN, 1, 0),
    ),
    (
        *((40_000,), "one year", CURRENCY, 3, ACT_365, (0,)),
        *(100 * YUAN, 0, 365, 5_000, 12, 0, 1_000, 500 * YUAN, 1, 0),
    ),
    (
        *((35_000,), "every month", CURRENCY, 4, ACT_365, (0,)),
        *(0, 0, 0, 0, 1, 0, 1_000, 500 * YUAN, 1, 100 * YUAN),
    ),
    (
        *((28_000,), "by the quarter", CURRENCY, 1, ACT_365, (0,)),
        *(0, 0, 0, 0, 3, 0, 1_000, 500 * YUAN, 2, 0),
    ),
)


SMALL_LOAN: Final = Product(
    name="small loan",
    asset=CURRENCY,
    principal_min=500 * YUAN,
    principal_max=10_000 * YUAN,
    rows_min=1,
    rows_max=24,
    rate_ppm=120_000,
    method=int(Schedule.EQUAL_INSTALMENT),
    day_count=int(DayCount.THIRTY_E_360),
    period_unit=int(PeriodUnit.MONTHS),
    every=1,
    instalment_unit=1,
    grace_principal=0,
    grace_interest=0,
    interest_free=0,
    balloon_bp=0,
    early_rule=int(FutureRule.NEXT),
    order=tuple([int(bucket) for bucket in DEFAULT_ORDER]),
    grace_days=0,
    penalty_flat=0,
    penalty_ppm=500,
    cap_bp=10_000,
    fee_flat=0,
    fee_bp=100,
    months_min=6,
    shares_min=500 * YUAN,
    loans_max=3,
    savings_multiple_bp=30_000,
    dsr_bp=3_330,
    exposure_bp=2_500,
    reserve_bp=1_000,
    auto_max=10_000 * YUAN,
    committee="credit",
    approvals=2,
    class_days=tuple([band.from_days for band in DEFAULT_TABLE]),
    class_bp=tuple([band.allowance_bp for band in DEFAULT_TABLE]),
    floor_bp=3_500,
    suspend_days=61,
    enforce_days=95,
    charge_off_days=120,
    waive_max=50 * YUAN,
    guarantors_max=3,
    coverage_bp=0,
    score_min=400,
    by_score=False,
    is_daily=False,
    is_smooth=False,
    custom_bp=(),
    spreads_fee=False,
    fund=0,
)
"""The policy decides by itself when the score is in the band and savings carry the debt."""
BACKED_LOAN: Final = replace(
    SMALL_LOAN, name="loan with guarantors", rate_ppm=100_000, savings_multiple_bp=0, coverage_bp=5_000
)
"""Members stand for half of it, at most three."""
LOANS: Final = (SMALL_LOAN, BACKED_LOAN)


def board_policy() -> Value:
    """Return the key policy of the board's account: three of five members."""
    return demo_policy(BOARD_THRESHOLD, BOARD)


def make_village(
    operators: tuple[Operator, ...],
    time_ms: int,
    load_members: int = 0,
    *,
    spare: tuple[Operator, ...] = (),
    engine: EngineKind = EngineKind.RAFT,
) -> Genesis:
    """Found the village; the arguments are those of `founding.make_genesis`."""
    programs = (*_village_programs(time_ms, load_members), *operator_programs((*operators, *spare)))
    return assemble_genesis(operators, time_ms, CHAIN_NAME, engine, programs)


def _village_programs(time_ms: int, load_members: int) -> list[Value]:
    day = compute_day(Seconds(time_ms // 1_000), UTC_OFFSET_SECONDS)
    brought = [(name, OPENING.get(name, OPENING_OTHERS) * YUAN) for name in NAMES]
    more = load_openings(load_members)
    extra = SHARES * PAR + ENTRY_FEE + GIFT_RUNNING + GIFT_EDUCATION
    programs = [_rules(), _treasury_shape()]
    for first in range(0, len(NAMES), STEP):
        programs.append(_joining(brought[first : first + STEP], extra, first, day))
    cash = [_cash_in(address, amount, b"more%d" % at) for at, (address, amount) in enumerate(more)]
    programs += [
        _program((), *cash[at : at + PROGRAM_INSTRUCTIONS_MAX])
        for at in range(0, len(cash), PROGRAM_INSTRUCTIONS_MAX)
    ]
    total = sum(amount + extra for _, amount in brought) + sum(amount for _, amount in more)
    programs += [_budget(day), _money(total), _offices(), *_voting(), _savings(), _loans()]
    return programs


def _rules() -> Value:
    """Currency, where its cash lies, the share class, and what admission asks for."""
    return _program(
        (),
        call("assets.create", "CNY", "Yuan", 2, FIAT_CLAIM, CAP),
        call("assets.set_cashier", demo_address(VAULT), CURRENCY, CAP, CAP, CAP),
        call("assets.set_custodian", demo_address("bank"), CURRENCY, 100 * YUAN),
        call("members.set_rules", CURRENCY, ENTRY_FEE, SHARES_LEAST * PAR, 1, 0, True),
        call(
            "shares.create_class",
            "member share",
            CURRENCY,
            PAR,
            True,
            SHARES_LEAST,
            200,
            30,
            1_000,
            10_000,
            50_000,
        ),
        *(call("auth.open", demo_address(name)) for name in (VAULT, *STAFF)),
    )


def _treasury_shape() -> Value:
    return _program(
        (),
        call("treasury.create_fund", "running", "what the co-op does every day", CURRENCY, False),
        call("treasury.create_fund", "education", "courses for members", CURRENCY, True),
        call("treasury.set_tiers", CURRENCY, *TIERS),
    )


def _joining(people: list[tuple[str, int]], extra: int, first: int, day: int) -> Value:
    """Take members in: applied, attested, cash brought, fee and shares paid, a gift to each fund."""
    founders = sorted(demo_address(name) for name, _ in people)
    calls: list[Value] = []
    for at, (name, amount) in enumerate(people):
        address = demo_address(name)
        actor = founders.index(address)
        calls += [
            call("members.apply", 1, address, _digest("personal data", name), None),
            call(
                "members.attest_kyc",
                first + at + 1,
                1,
                day + 3 * 366,
                _digest("papers", name),
                _digest("tag", name),
            ),
            _cash_in(address, amount + extra, b"found%d" % (first + at)),
            call("members.pay_fee", address, actor=actor),
            call("shares.buy", address, 1, SHARES, actor=actor),
            call("treasury.contribute", address, RUNNING, GIFT_RUNNING, actor=actor),
            call("treasury.contribute", address, EDUCATION, GIFT_EDUCATION, actor=actor),
        ]
    return _program(tuple(founders), *calls)


def _budget(day: int) -> Value:
    year = date_from_days(day)[0]
    return _program(
        (),
        *(
            call("treasury.allot", fund, name, amount, year, True, owner, False)
            for fund, name, amount, owner in LINES
        ),
    )


def _money(total: int) -> Value:
    """Bring everything to the bank; let the two cashiers fetch what they begin with; set their limits."""
    bank, vault, till, desk = (demo_address(name) for name in ("bank", VAULT, "till", "desk"))
    founders = tuple(sorted((bank, till, desk)))
    calls = [
        call("assets.settle", bank, vault, CURRENCY, total, b"founding", actor=founders.index(bank)),
        call("assets.set_cashier", vault, CURRENCY, 0, 0, 0),
    ]
    for cashier in (till, desk):
        calls += [
            call("assets.set_cashier", cashier, CURRENCY, CASHIER_FLOAT, CASHIER_DAILY, FOUR_EYES),
            call(
                "assets.draw",
                cashier,
                bank,
                CURRENCY,
                CASHIER_START,
                b"founding",
                actor=founders.index(cashier),
            ),
        ]
    return _program(founders, *calls)


def _offices() -> Value:
    board = compute_address(board_policy())
    dan = demo_address(BOARD[0])
    term = 2 * 365 * DAY
    founders = tuple(sorted((board, dan)))
    return _program(
        founders,
        *(call("members.define_role", *office) for office in OFFICES),
        *(call("members.grant_role", demo_address(name), "board", term) for name in BOARD),
        *(call("members.grant_role", demo_address(name), "treasurer", term) for name in TREASURERS),
        *(call("members.grant_role", demo_address(name), "credit", 0) for name in CREDIT),
        call("members.grant_role", demo_address("lou"), LOAN_OFFICER, 0),
        call("members.grant_role", demo_address("ren"), "registrar", 0),
        call("members.grant_role", demo_address("audit"), "auditor", 0),
        call("members.grant_role", demo_address("lex"), "compliance", 0),
        call("auth.open", board),
        call("auth.grant_role", board, COUNCIL),
        call("multisig.reveal", board, board_policy(), actor=founders.index(dan)),
        call("docs.register", board, BYLAWS, "bylaws", 0, actor=founders.index(board)),
    )


def _voting() -> list[Value]:
    programs = []
    for number, (name, (quorum, approval, least), days, methods) in enumerate(POLICIES, 1):
        discussion, voting, lock, window = (days_ * DAY for days_ in days)
        by_shares = name == "shareholders"
        policy = (
            *(name, 2 if by_shares else 1, 1 if by_shares else 0, 1_000 if by_shares else 10_000),
            *(quorum, approval, least, 0, SIGNATURES if name == "petition" else 0),
            *(discussion, voting, min(voting, DAY), lock, window),
            *(90 * DAY, 0, 0, False, name != "election", name == "recall", name == "bylaw"),
            *("", OBJECTIONS_BP if by_shares else 0),
            NOTICE if name == "recall" else 0,
            tuple((contract.id, method.id) for contract, method in map(_find, methods)),
        )
        programs.append(_program((), call("voting.set_policy", number, *policy)))
    names = [name for name, *_ in POLICIES]
    terms = [call("voting.set_retention", names.index(name) + 1, most) for name, most in RETENTION]
    return [*programs, _program((), *terms)]


def _savings() -> Value:
    """What members can save in; nothing of it costs a job before somebody does."""
    return _program((), *(call("savings.create_product", *product) for product in SAVINGS))


def _loans() -> Value:
    """What members can borrow, from what is liquid of all savings."""
    return _program((), *(call("lending.create_product", *pack_record(product)[1:]) for product in LOANS))


def _cash_in(member: Address, amount: int, ref: bytes) -> Value:
    return call("assets.cash_in", demo_address(VAULT), member, CURRENCY, amount, ref)


def call(name: str, *arguments: Value, actor: int = NO_ACTOR) -> Value:
    """Return an instruction that calls `contract.method`."""
    contract, method = _find(name)
    return (contract.id, method.id, actor, tuple(literal(argument) for argument in arguments))


def _find(name: str) -> tuple[Contract, Method]:
    contract = REGISTRY.by_name[name.split(".")[0]]
    return contract, next(m for m in contract.methods if m.name == name.split(".")[1])


def _program(founders: tuple[Address, ...], *calls: Value) -> Value:
    return ((), calls, founders)


def _digest(what: str, name: str) -> bytes:
    return hashlib.sha256(f"public demo {what} of {name}".encode()).digest()
