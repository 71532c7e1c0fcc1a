"""What somebody would try: each attack of the specification's list that the present contracts can meet.

| attack | where it is tried |
|---|---|
| donation to an empty pool | `test_a_gift_to_an_empty_pool_moves_no_price`, below |
| 1-unit deposits x 10^4 | `test_ten_thousand_payments_of_one_unit_lose_nothing`, below |
| dust claims | `test_claims_of_dust_are_never_more_than_was_earned`, below |
| proposal spam | test_voting.py, `test_nobody_floods_the_hall` |
| same proposal after refusal | test_voting_again.py, `test_what_was_refused_waits_whatever_its_amount` |
| vote in the last second | test_voting.py, `test_the_last_second_brings_more_time_once` |
| burst of members | test_voting.py, `test_a_burst_of_members_before_the_snapshot_has_no_vote` |
| cashier replaying a reference | test_assets.py, `test_reference_is_used_once` |
| guarantor ring | test_security.py, `test_rings_of_two_and_three_are_refused_whichever_way_they_turn` |
| grant with stale period | test_grants.py, `test_unused_periods_do_not_add_up` |
| job that always fails | test_sched.py, `test_back_off_then_quarantine_then_help` |
| 64 calls at the gas edge | `test_sixty_four_calls_at_the_gas_edge`, below |
| 4,300-digit integers | `test_integers_of_4300_digits`, below |

Jumps of an oracle and replays of bridge packets come with the contracts that they need.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from node.rpc.amounts import BadAmount, parse_amount
from node.rpc.values import kind_value
from protocol.codec import Value, decode
from protocol.contracts.treasury import records as t
from protocol.errors import Code, Rejected
from protocol.params import PROGRAM_INSTRUCTIONS_MAX
from protocol.types import Gas
from protocol.vm.kinds import AMOUNT
from tests.protocol.contracts.coop_world import BOARD1, DAY, SHARES, TREASURY, Coop, check_books
from tests.protocol.contracts.test_shares import PAR, create
from tests.protocol.ledger_world import ALICE, ASSETS, BOB, CAROL, COOP

YEAR = 2026


@pytest.fixture
def coop() -> Coop:
    coop = Coop()
    coop.gov(create(minimum=0, maximum=1_000))
    coop.join(ALICE, 12_000)
    coop.join(BOB, 1_000)
    return coop


def test_every_attack_of_the_table_has_its_test() -> None:
    assert __doc__ is not None
    here = Path(__file__).parent
    found = re.findall(r"\| (?:(test_\w+\.py), )?`(test_\w+)`", __doc__)
    assert len(found) == 13
    for file, name in found:
        assert f"def {name}" in (here / (file or Path(__file__).name)).read_text(), name


def test_a_gift_to_an_empty_pool_moves_no_price(coop: Coop) -> None:
    coop.do(BOARD1, (TREASURY, 1, 0, ("House", "", COOP, False)))
    coop.do(ALICE, (TREASURY, 3, 0, (ALICE.address, 1, 5_000)))
    assert coop.ask("shares", "price", 1) == PAR
    coop.do(BOB, (SHARES, 3, 0, (BOB.address, 1, 1)))
    assert coop.ask("shares", "price", 1) == PAR and coop.free(BOB) == 1_000 - PAR
    coop.do(BOB, (SHARES, 8, 0, (BOB.address, 1, 1)))
    coop.do(ALICE, (SHARES, 10, 0, (1, 1)))
    assert coop.free(BOB) == 1_000
    check_books(coop)


def test_ten_thousand_payments_of_one_unit_lose_nothing(coop: Coop) -> None:
    ones: Value = (0, *[(0, who.address, 1) for who in (BOB, CAROL) * 50])
    for _ in range(100):
        coop.run(seconds=DAY // 2)  # the free gas of so many comes back
        coop.do(ALICE, (ASSETS, 8, 0, (ALICE.address, COOP, ones)))
    assert (coop.free(ALICE), coop.free(BOB), coop.free(CAROL)) == (2_000, 6_000, 5_000)
    for _ in range(2 * PAR + 1):
        coop.do(ALICE, (SHARES, 4, 0, (ALICE.address, 1, 1)))
    holdings = coop.ask("shares", "holdings", 1)
    assert type(holdings) is tuple and holdings[0][:3] == (1, 2, 1)  # type: ignore[index]
    check_books(coop)


def test_claims_of_dust_are_never_more_than_was_earned(coop: Coop) -> None:
    coop.do(BOARD1, (TREASURY, 1, 0, ("House", "", COOP, False)))
    coop.do(ALICE, (TREASURY, 3, 0, (ALICE.address, 1, 1_000)))
    coop.do(BOARD1, (TREASURY, 5, 0, (1, "Drip", 100, YEAR, False, "", False)))
    start = int(coop.time) + 1
    coop.do(BOARD1, (TREASURY, 12, 0, (1, BOB.address, 1, 7, start, start + 70)))
    paid = 0
    for _ in range(80):
        receipt = coop.run(coop.tx((TREASURY, 13, 0, (1,)), actors=(CAROL,))).receipts[0]
        paid += receipt.code == Code.OK
        earned = min(max(coop.time_ms // 1_000 - start, 0), 70) // 7
        assert receipt.code in (Code.OK, t.NOTHING) and paid == earned
    assert coop.free(BOB) == 1_010
    check_books(coop)


def test_sixty_four_calls_at_the_gas_edge(coop: Coop) -> None:
    pay = (ASSETS, 7, 0, (ALICE.address, BOB.address, COOP, 1, None))
    made = coop.tx(*[pay] * PROGRAM_INSTRUCTIONS_MAX, gas=400_000)
    (receipt,) = coop.ok(made)
    used, before = receipt.gas, coop.free(BOB)
    body = coop.tx(*[pay] * PROGRAM_INSTRUCTIONS_MAX, gas=used).tx
    short = coop.sign(replace(body, gas_limit=Gas(used - 1), sequence=body.sequence + 1_000), (0, ALICE.key))
    receipt = coop.failed(short)
    assert (receipt.code, receipt.events, coop.free(BOB)) == (Code.GAS, (), before)
    coop.ok(coop.sign(body, (0, ALICE.key)))
    assert coop.free(BOB) == before + PROGRAM_INSTRUCTIONS_MAX
    check_books(coop)


@pytest.mark.parametrize("digits", [20, 4_299, 4_300, 4_301])
def test_integers_of_4300_digits(digits: int) -> None:
    """No number from outside is longer than its kind, however it is written; and none is turned into text."""
    text = "9" * digits
    with pytest.raises(BadAmount):
        parse_amount(text, 2, "CNY")
    for given in (text, 10**digits - 1):
        with pytest.raises(Rejected):
            kind_value(AMOUNT, given, "coop", "amount")
    with pytest.raises(Rejected):
        decode(b"\xcf" + bytes(9), 16)  # a byte more than an integer has
