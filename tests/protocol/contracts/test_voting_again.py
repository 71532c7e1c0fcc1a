"""voting, the same proposal after a refusal: in other words, beside others, as another type, it waits."""

import pytest

from protocol.codec import Value
from protocol.contracts import BUILTINS
from protocol.contracts.voting import records as v
from protocol.contracts.voting.shapes import THINGS, is_thing
from protocol.errors import Code
from protocol.vm.contract import GOV
from protocol.vm.kinds import Integer
from tests.protocol.contracts.coop_world import TREASURY
from tests.protocol.contracts.test_voting import NO, Hall, propose, set_policy, stored
from tests.protocol.ledger_world import ALICE, ASSETS, BOB, CAROL, COOP, NONE

OTHER = 2
REGISTRY = 4
SET_PARAMETER, SET_CASHIER, CREATE_FUND = (REGISTRY, 6), (ASSETS, 3), (TREASURY, 1)
QUOTA = "quota_gas_per_day"


def refuse(hall: Hall, *calls: Value) -> None:
    number = hall.propose(program=stored(*calls))
    hall.vote(number, (ALICE, NO), (BOB, NO))
    hall.run(seconds=1_000)
    assert hall.state_of(number) == v.REJECTED


def cashier(limit: int, who: object = BOB) -> Value:
    return (ASSETS, 3, NONE, (who.address, COOP, limit, limit, limit))  # type: ignore[attr-defined]


def parameter(value: int, from_height: int = 0, name: str = QUOTA) -> Value:
    return (REGISTRY, 6, NONE, (name, value, from_height))


@pytest.fixture
def hall() -> Hall:
    hall = Hall(methods=(SET_CASHIER, SET_PARAMETER, CREATE_FUND))
    hall.gov(set_policy(OTHER, methods=(SET_PARAMETER,)))
    return hall


def test_what_was_refused_waits_whatever_its_amount(hall: Hall) -> None:
    refuse(hall, cashier(10))
    assert hall.code(ALICE, propose(ALICE, stored(cashier(11)))) == v.COOLDOWN
    assert hall.code(ALICE, propose(ALICE, stored(cashier(10, CAROL)))) == 0
    hall.run(seconds=5_000)
    assert hall.code(ALICE, propose(ALICE, stored(cashier(11)))) == 0


def test_another_value_height_or_type_does_not_make_it_another(hall: Hall) -> None:
    refuse(hall, parameter(30_000))
    for call in (parameter(30_001), parameter(30_000, 90)):
        assert hall.code(ALICE, propose(ALICE, stored(call))) == v.COOLDOWN
    assert hall.code(ALICE, propose(ALICE, stored(parameter(30_000)), OTHER)) == v.COOLDOWN
    assert hall.code(ALICE, propose(ALICE, stored(parameter(30_000, name="block_gas")))) == 0


def test_another_call_beside_it_does_not_make_it_another(hall: Hall) -> None:
    fund: Value = (TREASURY, 1, NONE, ("roof", "a new roof", COOP, False))
    refuse(hall, parameter(30_000), fund)
    for calls in ((fund,), (cashier(10), parameter(40_000))):
        assert hall.code(ALICE, propose(ALICE, stored(*calls))) == v.COOLDOWN
    other_words: Value = (TREASURY, 1, NONE, ("roof", "the new roof", COOP, True))
    assert hall.code(ALICE, propose(ALICE, stored(other_words))) == v.COOLDOWN
    assert hall.code(ALICE, propose(ALICE, stored(cashier(10)))) == Code.OK


HOW_MUCH = {
    *("amount", "amount > 0", "approvals", "balance basis", "basis points", "days", "decimals", "every"),
    *("basis points, also more than all", "guarantees", "guarantors", "height", "holders", "loans"),
    *("members", "months", "ppm a day", "rate in ppm a year", "rate part", "requests", "row", "rows"),
    *("score", "seconds", "seconds of a step", "shares", "shares > 0", "steps", "unit", "u32", "u63", "u8"),
    *("asset kind", "day count", "early rule", "kyc level", "member kind", "method", "product kind"),
    *("status", "weight", "decided by"),
}
"""Kinds of integers that name no thing."""


def test_of_every_integer_that_a_vote_decides_on_it_is_known_whether_it_names_a_thing() -> None:
    integers = {
        field.kind.name
        for contract in BUILTINS
        for method in contract.methods
        if GOV in method.capabilities
        for field in method.arguments
        if isinstance(field.kind, Integer)
    }
    assert integers - set(THINGS) == HOW_MUCH
    assert is_thing(Integer("fund", 1, 2)) and not is_thing(Integer("amount", 1, 2))
