"""Calibration cases of what stands behind loans. They run in the hall of `coop_gas_cases.py`.

Alice stands for the first loan of Dan, Bob has offered to; the papers behind his second loan are for sale.
"""

from protocol.codec import Value
from protocol.contracts.credit.records import ASSESSOR, DEFAULT_BANDS
from protocol.contracts.security import doors
from protocol.contracts.security.records import PAPER, VALUER
from protocol.vm.program import literal
from tests.bench.gas_cases import Case
from tests.protocol.contracts.coop_world import BOARD2, HASH, MEMBERS
from tests.protocol.contracts.test_elections import Assembly
from tests.protocol.contracts.test_savings import call as save
from tests.protocol.contracts.test_security import SECURITY, call, offer, worth
from tests.protocol.contracts.test_voting import PEOPLE
from tests.protocol.ledger_world import ALICE, BOB, CAROL, COOP, NONE, Person

CREDIT = 32
DAN = PEOPLE[3]
Cases = dict[int, Case]


def found_security(hall: Assembly) -> None:
    hall.gov((SECURITY, 2, NONE, (COOP, 1_000, 9_000)), (SECURITY, 2, NONE, (PAPER, 1_000, 9_000)))
    hall.gov(
        (MEMBERS, 18, NONE, (VALUER, "", "", 0, 0, 5, False)),
        (MEMBERS, 19, NONE, (BOARD2.address, VALUER, 0)),
    )
    accounts = [int(str(hall.do(who, save(3, who, 1, 100))[0])) for who in (ALICE, BOB)]
    with hall.door() as ctx:
        for loan in (1, 2):
            doors.register(ctx, loan, hall.numbers[DAN], COOP, 5)
    hall.do(ALICE, offer(ALICE, accounts[0], 10, 1))
    hall.do(DAN, call(7, DAN, 1, COOP, 10), call(8, DAN, 2, HASH))
    hall.do(BOARD2, worth(2, 1, 20))
    with hall.door() as ctx:
        doors.bind(ctx, 1, 5)
        doors.auction(ctx, 2, 15)
    hall.do(BOB, offer(BOB, accounts[1], 10, 1))


def found_credit(hall: Assembly) -> None:
    """Alice has said that a part of her score is wrong."""
    roles = ((MEMBERS, 18, NONE, (ASSESSOR, "", "", 0, 0, 5, False)),)
    hall.gov(*roles, (MEMBERS, 19, NONE, (BOARD2.address, ASSESSOR, 0)))
    hall.do(ALICE, (CREDIT, 3, 0, (ALICE.address, 1, HASH)))


def credit_cases(hall: Assembly) -> Cases:
    return {
        1: Case(((CREDIT, 1, NONE, (COOP, literal(DEFAULT_BANDS), 100)),), (), "gov"),
        2: Case(((CREDIT, 2, 0, (hall.numbers[ALICE], 1, 1 << 31, HASH)),), (BOARD2.address,)),
        3: Case(((CREDIT, 3, 0, (ALICE.address, 1, HASH)),), (ALICE.address,)),
        4: Case(((CREDIT, 4, 0, (1, HASH, 50, 100)),), (BOARD2.address,)),
    }


def security_cases(hall: Assembly) -> Cases:
    def by(who: Person, method: int, *arguments: Value) -> Case:
        return Case((call(method, who, *arguments),), (who.address,), None, 0)

    return {
        1: Case(((SECURITY, 1, NONE, (5, 10_000, 3, 12_000, 6_000, 3_600, 48)),), (), "gov"),
        2: Case(((SECURITY, 2, NONE, (9, 1_000, 9_000)),), (), "gov"),
        3: by(CAROL, 3, 2, 1, 10),
        4: by(BOB, 4, 1),
        5: by(DAN, 5, 1, hall.numbers[BOB]),
        6: by(ALICE, 6, 1, hall.numbers[BOB]),
        7: by(DAN, 7, 1, COOP, 5),
        8: by(DAN, 8, 1, HASH),
        9: by(DAN, 9, 1, 1, 5),
        10: by(DAN, 10, 1, 1, 1),
        11: Case((worth(2, 1, 30),), (BOARD2.address,)),
        12: by(CAROL, 12, 2, 1, 50),
    }
