"""lending: a credit committee whose office acts with a delay."""

from protocol.codec import encode
from protocol.contracts import multisig
from protocol.contracts.lending import records as l
from protocol.contracts.policies import single_key_policy
from protocol.errors import Code
from protocol.vm.program import literal
from tests.protocol.contracts.coop_world import DAY, MEMBERS
from tests.protocol.contracts.test_lending import COMMITTEE1, LENDING, Lender, call
from tests.protocol.ledger_world import ALICE, AUTH, BOB, NONE

MULTISIG = 21


def found_slow() -> Lender:
    """Found a lender whose committee, Alice among them, acts with a delay of a day."""
    bank = Lender(approvals=1, auto_max=119_999)
    bank.gov(
        (MEMBERS, 18, NONE, ("credit", "", "registrar", 0, 0, 3, False)),
        (AUTH, 4, NONE, (ALICE.address, "credit")),
        (MEMBERS, 23, NONE, ("credit", DAY)),
    )
    return bank


def test_a_committee_with_a_delay_decides_by_what_has_waited() -> None:
    bank, who = found_slow(), COMMITTEE1.address
    bank.ok(bank.tx((MULTISIG, 7, 0, (who, literal(single_key_policy(COMMITTEE1.key))))))
    loan = bank.ask_for(BOB)
    assert bank.code(COMMITTEE1, call(5, loan)) == l.COMMITTEE
    raw = encode((((LENDING, 1),), (call(5, loan),)))
    proposed = bank.do(COMMITTEE1, (MULTISIG, 1, 0, (who, who, raw, bank.time + 5 * DAY)))
    assert proposed == ((1, multisig.OPEN, l.COMMITTEE),)
    bank.wait(DAY)
    assert bank.do(COMMITTEE1, (MULTISIG, 5, 0, (who, 1))) == ((multisig.EXECUTED, Code.OK),)
    assert bank.loan(loan).status == l.APPROVED


def test_who_decides_with_a_delay_is_an_insider_all_the_same() -> None:
    bank = found_slow()
    loan = bank.ask_for(ALICE, 2_000)
    assert bank.code(ALICE, call(4, loan)) == l.COMMITTEE
    bank.gov((AUTH, 5, NONE, (ALICE.address, "credit")))
    assert bank.do(ALICE, call(4, loan)) == (l.APPROVED,)
