"""Calibration cases of lending. They run in the hall of `coop_gas_cases.py`.

Alice has applied twice, Bob is approved, Carol pays a loan with an instalment a day and has paid ahead once.
"""

from dataclasses import replace

from protocol.codec import Value
from protocol.contracts.lending import records as l
from protocol.contracts.lending.enforcing import charge_off
from protocol.contracts.security import doors
from protocol.contracts.security.records import get_case, put_case
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View
from tests.bench.gas_cases import Case
from tests.protocol.contracts.coop_world import BOARD2, DAY, HASH
from tests.protocol.contracts.test_elections import Assembly
from tests.protocol.contracts.test_lending import COMMITTEE1, LENDING, OFFICER, call, product
from tests.protocol.contracts.test_security import call as secure
from tests.protocol.contracts.test_security import worth
from tests.protocol.ledger_world import ALICE, AUTH, BOB, CAROL, COOP, NONE, TILL, Person

Cases = dict[int, Case]
FIRST = 101
"""Number of the first loan; lower ones belong to the cases of security."""


def ask_for(who: Person) -> Value:
    return call(3, who.address, 1, 2_000, 12, 1_000_000, "Roof")


def found_lending(hall: Assembly) -> None:
    for who, role in ((COMMITTEE1, "credit"), (OFFICER, l.LOAN_OFFICER)):
        hall.gov((AUTH, 1, NONE, (who.address,)), (AUTH, 4, NONE, (who.address, role)))
    reserve: Value = (0, TILL.address, 3020, COOP, 0)
    cash: Value = (0, TILL.address, 1020, COOP, 0)
    hall.gov((1, 1, NONE, (reserve, None)), (1, 2, NONE, (cash, reserve, 1_000_000, 0, 1, b"")))
    # Income beside it, so that losses leave the co-op the surplus that the cases of treasury need.
    income: Value = (0, TILL.address, 4020, COOP, 0)
    hall.gov((1, 1, NONE, (income, None)), (1, 2, NONE, (cash, income, 10_000, 0, 1, b"")))
    hall.gov(product(period_unit=1, penalty_flat=50, approvals=1))
    view = View(hall.state)
    l.COUNTER.put(view, l.COUNTER.key(), (SCHEMA, 1, FIRST - 1))
    hall.write(view.collect_writes())
    for who in (ALICE, ALICE, BOB, CAROL):
        hall.do(who, ask_for(who))
    for who, loan in ((BOB, FIRST + 2), (CAROL, FIRST + 3)):
        hall.do(who, call(4, loan))
    hall.do(CAROL, accept(hall, CAROL, FIRST + 3))
    _found_losses(hall)
    _found_short(hall)
    hall.do(CAROL, call(10, CAROL.address, FIRST + 3, 20), call(17, CAROL.address, FIRST + 3, 24))


def _found_losses(hall: Assembly) -> None:
    """Carol's second loan is charged off, and what stood for it is sold."""
    loss = FIRST + 4
    hall.do(CAROL, ask_for(CAROL))
    hall.do(CAROL, secure(8, CAROL, loss, HASH), call(4, loss))
    hall.do(BOARD2, worth(loss, 1, 100))
    hall.do(CAROL, accept(hall, CAROL, loss))
    with hall.door() as below:
        ctx = below.enter(l.ID)
        doors.auction(ctx, loss, 100)
        charge_off(ctx, loss)
        doors.mark_late(ctx, loss, False)  # she stands for others in the cases of security
    hall.do(BOB, secure(12, BOB, loss, 1, 500))


def _found_short(hall: Assembly) -> None:
    """Carol's third loan has too little behind it, and nobody has added to it."""
    short = FIRST + 5
    hall.do(CAROL, ask_for(CAROL))
    hall.do(CAROL, secure(8, CAROL, short, HASH), call(4, short))
    hall.do(BOARD2, worth(short, 1, 100))
    hall.do(CAROL, accept(hall, CAROL, short))
    view = View(hall.state)
    put_case(view, short, replace(get_case(view, short), margin_day=1))
    hall.write(view.collect_writes())


def accept(hall: Assembly, who: Person, loan: int) -> Value:
    offer = hall.ask("lending", "offer", loan, int(hall.time) // DAY)
    assert type(offer) is tuple
    return call(8, who.address, loan, offer[0], offer[2])


def lending_cases(hall: Assembly) -> Cases:
    def by(who: Person, method: int, *arguments: Value, after: int = 0) -> Case:
        return Case((call(method, *arguments),), (who.address,), None, after)

    paid = FIRST + 3
    return {
        1: Case((product(),), (), "gov"),
        2: Case(((LENDING, 2, NONE, (1,)),), (), "gov"),
        3: Case((ask_for(BOB),), (BOB.address,)),
        4: by(ALICE, 4, FIRST),
        5: by(COMMITTEE1, 5, FIRST + 1),
        6: by(COMMITTEE1, 6, FIRST),
        7: by(ALICE, 7, ALICE.address, FIRST),
        8: Case((accept(hall, BOB, FIRST + 2),), (BOB.address,)),
        10: by(CAROL, 10, CAROL.address, paid, 100),
        11: by(CAROL, 11, CAROL.address, paid, 100, after=DAY),
        12: by(CAROL, 12, CAROL.address, paid),
        13: by(OFFICER, 13, paid, False, 10, after=3 * DAY),
        14: by(OFFICER, 14, paid, 1),
        15: by(CAROL, 15, CAROL.address, FIRST + 4, 10),
        16: by(CAROL, 16, FIRST + 4),
        17: by(CAROL, 17, CAROL.address, paid, 20),
        18: by(COMMITTEE1, 18, paid),
        19: by(OFFICER, 19, FIRST + 5),
        30: Case(((LENDING, 30, NONE, (1,)),), (), "sched:lending", 2 * DAY),
    }
