"""Calibration cases of the contracts that make a co-op: members, shares, treasury, voting and savings.

One hall with five members, an election behind it, a proposal in every state that a method takes, a fund with
payments and a queue of shares. Cases run after it, by the seconds that each names.
"""

from typing import Final

from protocol.codec import Value
from protocol.contracts.ledger.accounts import FROZEN_IN, MEMBER_FREE
from protocol.contracts.treasury.records import TREASURER
from protocol.contracts.voting.ballots import compute_commitment
from protocol.types import Address
from tests.bench.bank_gas_cases import CREDIT, credit_cases, found_credit, found_security, security_cases
from tests.bench.gas_cases import Case
from tests.bench.lending_gas_cases import found_lending, lending_cases
from tests.protocol.contracts.coop_world import (
    BOARD1,
    BOARD2,
    DAY,
    HASH,
    MEMBERS,
    REGISTRAR,
    SHARES,
    TREASURY,
    attest,
    tag_of,
)
from tests.protocol.contracts.test_elections import Assembly, election, held, rank, stand
from tests.protocol.contracts.test_lending import LENDING
from tests.protocol.contracts.test_savings import SAVINGS, call, product
from tests.protocol.contracts.test_security import SECURITY
from tests.protocol.contracts.test_shares import create
from tests.protocol.contracts.test_voting import PEOPLE, SECRET, VOTING, propose, set_policy, vote
from tests.protocol.contracts.test_voting import make_auditor as program
from tests.protocol.ledger_world import ALICE, AUTH, BOB, CAROL, COOP, LEDGER, NONE, STRANGER, Person, person

DAN, EVE = PEOPLE[3:]
FAY, GIL, HAL, IDA, JIM = (person(name) for name in ("fay", "gil", "hal", "ida", "jim"))
T1, T2, T3 = (person(f"gas treasurer {n}") for n in (1, 2, 3))
YEAR: Final = 2026
ORDINARY, SPONSORED, SEALED, HEARD = 2, 3, 4, 5
ELECTION, PASSED, OPEN, DRAFT, BALLOT, OFFICE = 1, 2, 3, 4, 5, 6
"""Proposals of the hall, in the order in which they are made."""
Cases = dict[int, Case]


def by(who: Person, *calls: Value, after: int = 0) -> Case:
    return Case(calls, (who.address,), None, after)


def gov(*calls: Value) -> Case:
    return Case(calls, (), "gov")


def make_coop_world(hall: Assembly | None = None) -> Assembly:
    """Found the hall in which every case succeeds, in a new world unless one is given."""
    hall = Assembly() if hall is None else hall
    _found_members(hall)
    _found_shares(hall)
    _found_treasury(hall)
    _found_votes(hall)
    _found_savings(hall)
    found_security(hall)
    found_credit(hall)
    found_lending(hall)
    return hall


def _found_members(hall: Assembly) -> None:
    """Fay has applied, Gil could be admitted, Hal is reported dead, Ida is suspended, Jim will be heard."""
    for who in (HAL, IDA, JIM):
        hall.numbers[who] = hall.join(who)
    hall.gov((MEMBERS, 1, NONE, (COOP, 10, 0, 1, 0, False)))
    for who in (FAY, GIL):
        (number,) = hall.do(REGISTRAR, (MEMBERS, 2, 0, (1, who.address, HASH, None)))
        hall.ok(hall.cash_in(who, 1_000))
        if who is GIL:
            hall.do(REGISTRAR, attest(number, tag_of(who)))
            hall.do(who, (MEMBERS, 5, 0, (who.address,)))
        hall.numbers[who] = int(str(number))
    hall.do(REGISTRAR, (MEMBERS, 15, 0, (hall.numbers[HAL], HASH)))
    hall.do(BOARD1, (MEMBERS, 8, 0, (hall.numbers[IDA], HASH)), (MEMBERS, 11, 0, (hall.numbers[JIM], HASH)))
    hall.gov((MEMBERS, 18, NONE, ("slow", "board", "board", 1_000, 0, 5, False)))


def _found_shares(hall: Assembly) -> None:
    """Alice can buy, Bob waits to redeem, Carol is owed what could not be credited, Fay has paid in."""
    hall.gov(create(minimum=0))
    for who in (ALICE, BOB, CAROL, FAY):
        hall.do(who, (SHARES, 3, 0, (who.address, 1, 4)))
    free: Value = (0, CAROL.address, MEMBER_FREE, COOP, 0)
    hall.gov((LEDGER, 6, NONE, (free, FROZEN_IN)))
    hall.do(CAROL, (SHARES, 8, 0, (CAROL.address, 1, 2)))
    hall.do(BOARD1, (SHARES, 10, 0, (1, 5)))
    hall.gov((LEDGER, 7, NONE, (free, FROZEN_IN)))
    hall.do(BOB, (SHARES, 8, 0, (BOB.address, 1, 2)))


def _found_treasury(hall: Assembly) -> None:
    """Two funds, a line, payment 1 requested and 2 approved with a delay, a stream."""
    for who in (T1, T2, T3):
        hall.gov((AUTH, 1, NONE, (who.address,)), (AUTH, 4, NONE, (who.address, TREASURER)))
    hall.do(
        BOARD1,
        (TREASURY, 1, 0, ("House", "Repairs", COOP, False)),
        (TREASURY, 1, 0, ("School", "", COOP, False)),
    )
    hall.do(EVE, (TREASURY, 3, 0, (EVE.address, 1, 900)))
    hall.do(BOARD1, (TREASURY, 5, 0, (1, "Roof", 800, YEAR, False, "", False)))
    hall.gov((TREASURY, 7, NONE, (COOP, 100, 300, 2 * DAY)))
    for amount in (50, 400):
        hall.do(DAN, (TREASURY, 8, 0, (1, BOB.address, amount, HASH)))
    for who in (T1, T2, T3):
        hall.do(who, (TREASURY, 9, 0, (2,)))
    start = int(hall.time) + 5
    hall.do(BOARD1, (TREASURY, 12, 0, (1, BOB.address, 1, 100, start, start + 10_000)))


def _found_votes(hall: Assembly) -> None:
    """An election that is over, and a proposal in each state that a method takes."""
    assert held(hall, 2, dict.fromkeys(PEOPLE, (1, 2))) == ELECTION
    hall.do(CAROL, (MEMBERS, 21, 0, (CAROL.address, "auditor")))
    hall.gov(
        set_policy(ORDINARY, veto_role="board"),
        set_policy(SPONSORED, sponsors=1),
        set_policy(SEALED, sealed=True, quiet=200),
        set_policy(HEARD, notice=50, discussion=100),
    )
    hall.gov((VOTING, 20, NONE, (ORDINARY, 5_000)))
    assert hall.propose(BOB, program(), ORDINARY) == PASSED
    hall.vote(PASSED, *[(who, 1) for who in PEOPLE[1:]], (ALICE, 2))
    hall.run(seconds=1_000)
    assert hall.propose(ALICE, program(EVE), ORDINARY) == OPEN
    hall.vote(OPEN, *[(who, 1) for who in (BOB, CAROL, DAN)])
    assert hall.propose(DAN, program(DAN), SPONSORED) == DRAFT
    assert hall.propose(CAROL, program(CAROL), SEALED) == BALLOT
    sealed = compute_commitment(hall.rules.genesis_hash, BALLOT, hall.numbers[BOB], 1, SECRET)
    hall.do(BOB, (VOTING, 6, 0, (BOB.address, BALLOT, sealed)))
    hall.do(BOB, (VOTING, 11, 0, (BOB.address, ORDINARY, CAROL.address)))
    assert hall.call(2) == OFFICE
    for who in PEOPLE[1:]:
        hall.do(who, stand(who, OFFICE))


def _found_savings(hall: Assembly) -> None:
    """Carol saves on demand (account 1), with notice (2) and for a term (3)."""
    hall.gov(
        product((10_000, 20_000, 30_000), floors=(0, 50, 80), reserve_bp=100),
        product(kind=2, notice_days=1),
        product(kind=3, term_days=30, break_bp=5_000),
    )
    for number in (1, 2, 3):
        hall.do(CAROL, call(3, CAROL, number, 100))


def _savings_cases() -> Cases:
    return {
        1: gov(product()),
        2: gov((SAVINGS, 2, NONE, (1, (0, 5, 6, 7)))),
        3: by(CAROL, call(3, CAROL, 1, 10)),
        4: by(CAROL, call(4, CAROL, 1, 10), after=DAY),
        5: by(CAROL, call(5, CAROL, 1, 10), after=DAY),
        6: by(CAROL, call(6, CAROL, 2, 10)),
        7: by(CAROL, call(7, CAROL, 3), after=DAY),
        8: by(CAROL, call(8, CAROL, 1), after=DAY),
        9: by(CAROL, call(9, CAROL, 1, 10)),
        12: Case(((SAVINGS, 12, NONE, (1,)),), (), "sched:savings", DAY),
        13: Case(((SAVINGS, 13, NONE, (1, 0)),), (), "sched:savings", 40 * DAY),
    }


def _members_cases(hall: Assembly) -> Cases:
    number = hall.numbers
    fresh: Value = (MEMBERS, 2, 0, (1, STRANGER.address, HASH, None))
    suspend: Value = (MEMBERS, 8, 0, (number[BOB], HASH))
    death: Value = (MEMBERS, 15, 0, (number[BOB], HASH))
    leave: Value = (MEMBERS, 13, 0, (DAN.address,))
    slow: Value = (MEMBERS, 19, 0, (EVE.address, "slow", 0))
    return {
        1: gov((MEMBERS, 1, NONE, (COOP, 10, 0, 1, 0, True))),
        2: by(REGISTRAR, fresh),
        3: by(REGISTRAR, attest(number[FAY], tag_of(FAY))),
        4: by(ALICE, (MEMBERS, 4, 0, (ALICE.address, HASH))),
        5: by(FAY, (MEMBERS, 5, 0, (FAY.address,))),
        6: by(BOARD1, (MEMBERS, 6, 0, (number[GIL],))),
        7: by(BOARD1, (MEMBERS, 7, 0, (number[GIL],))),
        8: by(BOARD1, suspend),
        9: by(BOARD2, (MEMBERS, 9, 0, (number[IDA], HASH))),
        10: by(BOARD2, (MEMBERS, 10, 0, (number[IDA],))),
        11: by(BOARD1, (MEMBERS, 11, 0, (number[BOB], HASH))),
        12: Case(((MEMBERS, 12, NONE, (number[JIM],)),), (), "gov", 15 * DAY),
        13: by(DAN, leave),
        14: by(DAN, leave, (MEMBERS, 14, 0, (number[DAN],))),
        15: by(REGISTRAR, death),
        16: Case((death, (MEMBERS, 16, 1, (BOB.address,))), (REGISTRAR.address, BOB.address)),
        17: by(BOARD1, (MEMBERS, 17, 0, (number[HAL], EVE.address, HASH)), after=31 * DAY),
        18: gov((MEMBERS, 18, NONE, ("clerk", "board", "", 0, 0, 5, False))),
        19: by(BOARD1, slow),
        20: by(BOARD1, slow, (MEMBERS, 20, 0, (EVE.address, "slow"))),
        21: by(BOB, (MEMBERS, 21, 0, (BOB.address, "auditor"))),
        22: by(ALICE, (MEMBERS, 22, 0, ()), after=61 * DAY),
        23: gov((MEMBERS, 23, NONE, ("slow", 3_600))),
    }


def _shares_cases(hall: Assembly) -> Cases:
    def mine(method: int, who: Person, *arguments: Value) -> Value:
        return (SHARES, method, 0, (who.address, *arguments))

    part = mine(4, EVE, 1, 30)
    pledge = mine(6, ALICE, 1, 2, BOB.address)
    keeper: tuple[Address, ...] = (ALICE.address, BOB.address)
    free = (SHARES, 7, 1, (BOB.address, hall.numbers[ALICE], 1, 2))
    return {
        1: gov(create()),
        2: gov((SHARES, 2, NONE, (1, 1, 30, 0, 10_000, 0, 60_000))),
        3: by(ALICE, mine(3, ALICE, 1, 2)),
        4: by(EVE, part),
        5: by(EVE, part, mine(5, EVE, 1)),
        6: by(ALICE, pledge),
        7: Case((pledge, free), keeper),
        8: by(ALICE, mine(8, ALICE, 1, 2)),
        9: by(BOB, mine(9, BOB, 1, 2)),
        10: by(ALICE, (SHARES, 10, 0, (1, 5))),
        11: by(FAY, mine(11, FAY, 1)),
        12: by(CAROL, mine(12, CAROL, COOP)),
        13: Case(((SHARES, 13, NONE, (1,)),), (), "sched:shares"),
        14: gov((SHARES, 14, NONE, (hall.numbers[ALICE],))),
    }


def _treasury_cases() -> Cases:
    def board(method: int, *arguments: Value, after: int = 0) -> Case:
        return by(BOARD1, (TREASURY, method, 0, arguments), after=after)

    start = 1 << 31
    return {
        1: board(1, "Seeds", "", COOP, False),
        2: board(2, 2, 5, False),
        3: by(ALICE, (TREASURY, 3, 0, (ALICE.address, 1, 10))),
        4: board(4, 1, 2, 10),
        5: board(5, 1, "Door", 50, YEAR, False, "", False),
        6: board(6, 1, 850, False),
        7: gov((TREASURY, 7, NONE, (COOP, 100, 400, DAY))),
        8: by(ALICE, (TREASURY, 8, 0, (1, BOB.address, 5, HASH))),
        9: by(T1, (TREASURY, 9, 0, (1,))),
        10: by(T1, (TREASURY, 10, 0, (1,))),
        11: by(ALICE, (TREASURY, 11, 0, (2,)), after=3 * DAY),
        12: board(12, 1, BOB.address, 1, 100, start, start + 5_000),
        13: by(ALICE, (TREASURY, 13, 0, (1,)), after=500),
        14: board(14, 1, after=500),
        15: board(15, COOP, YEAR, after=366 * DAY),
        16: Case(((TREASURY, 16, NONE, (2,)),), (), "sched:treasury", 3 * DAY),
        17: by(ALICE, (TREASURY, 17, 0, (1,)), after=366 * DAY),
    }


def _voting_cases(hall: Assembly) -> Cases:
    call = election(2)
    new: Value = (1, 0)
    terms: Value = (ALICE.address, ORDINARY, "what first", HASH, (0, "roof", "well"), 100)
    ask: Value = (VOTING, 18, 0, terms)
    wishes: Value = (0, (0, 0, 50), (0, 1, 50))
    heard = int(hall.time) + 80
    return {
        1: gov(set_policy(6)),
        2: by(ALICE, propose(ALICE, program(ALICE, "clerk"), ORDINARY)),
        23: by(
            ALICE, (VOTING, 23, 0, (ALICE.address, HEARD, "a recall", HASH, program(ALICE, "clerk"), heard))
        ),
        3: by(ALICE, (VOTING, 3, 0, (ALICE.address, DRAFT))),
        4: by(DAN, (VOTING, 4, 0, (DAN.address, DRAFT))),
        5: by(ALICE, vote(ALICE, OPEN, 1)),
        6: by(CAROL, (VOTING, 6, 0, (CAROL.address, BALLOT, HASH))),
        7: by(ALICE, (VOTING, 7, 0, (OPEN,)), after=1_000),
        8: by(BOB, (VOTING, 8, 0, (BOB.address, BALLOT, 1, SECRET)), after=1_000),
        9: by(ALICE, (VOTING, 9, 0, (PASSED,)), after=200),
        10: by(BOARD1, (VOTING, 10, 0, (BOARD1.address, PASSED))),
        11: by(ALICE, (VOTING, 11, 0, (ALICE.address, ORDINARY, CAROL.address))),
        12: by(BOB, (VOTING, 12, 0, (BOB.address, ORDINARY))),
        13: by(ALICE, call),
        14: by(ALICE, call, (VOTING, 14, 0, (ALICE.address, new))),
        15: by(BOB, (VOTING, 15, 0, (BOB.address, OFFICE))),
        16: by(ALICE, rank(ALICE, OFFICE, 1, 2), after=100),
        17: by(ALICE, (VOTING, 17, 0, (ELECTION, 2))),
        20: gov((VOTING, 20, NONE, (ORDINARY, 1_000))),
        22: gov((VOTING, 22, NONE, ((0, 5, 6), (0, 21_000, 21_001)))),
        21: by(ALICE, (VOTING, 21, 0, (ALICE.address, PASSED))),
        18: by(ALICE, ask),
        19: by(ALICE, ask, (VOTING, 19, 0, (ALICE.address, new, wishes))),
    }


def make_coop_cases(hall: Assembly) -> dict[tuple[int, int], Case]:
    """Return the case of each (contract, method)."""
    cases: dict[tuple[int, int], Case] = {}
    for contract, found in (
        (MEMBERS, _members_cases(hall)),
        (SHARES, _shares_cases(hall)),
        (TREASURY, _treasury_cases()),
        (VOTING, _voting_cases(hall)),
        (SAVINGS, _savings_cases()),
        (SECURITY, security_cases(hall)),
        (CREDIT, credit_cases(hall)),
        (LENDING, lending_cases(hall)),
    ):
        cases |= {(contract, method): case for method, case in found.items()}
    return cases
