"""The check of the books: silent on a sound state, and a sentence for each planted fault."""

import pytest

from node.cli.operator.money_check import find_money_faults
from node.cluster.founding import CURRENCY_NUMBER, demo_address, make_genesis, make_operators
from protocol import codec
from protocol.contracts.ledger.accounts import ACCOUNT, MEMBER_FREE, TOTAL, account_key
from protocol.transition import apply_genesis
from protocol.vm.view import MemoryState

KEY = ACCOUNT.prefix + account_key(demo_address("ada"), MEMBER_FREE, CURRENCY_NUMBER)


@pytest.fixture
def state() -> MemoryState:
    founded = MemoryState()
    founded.apply(apply_genesis(make_genesis(make_operators(1), 1_767_225_600_000, 5)).writes)
    return founded


def change(state: MemoryState, key: bytes, at: int, by: int) -> None:
    raw = state.get(key)
    assert raw is not None
    row = list(codec.decode(raw, 10_000))  # type: ignore[arg-type]
    row[at] += by  # type: ignore[operator]
    state.apply({key: codec.encode(tuple(row))})


def test_a_founded_chain_is_sound(state: MemoryState) -> None:
    assert list(find_money_faults(state)) == []


def test_money_out_of_nothing_is_found(state: MemoryState) -> None:
    change(state, KEY, 5, 1)
    faults = list(find_money_faults(state))
    assert any("debits" in fault for fault in faults) and any("total" in fault for fault in faults)


def test_a_debt_that_must_not_be_is_found(state: MemoryState) -> None:
    change(state, KEY, 3, 1 << 40)
    assert any("owes" in fault for fault in find_money_faults(state))


def test_a_total_that_drifted_is_found(state: MemoryState) -> None:
    key = next(key for key, _ in state.scan(TOTAL.prefix))
    change(state, key, 2, 5)
    assert any("is not the sum" in fault for fault in find_money_faults(state))


def test_a_missing_total_is_found(state: MemoryState) -> None:
    state.apply(dict.fromkeys([key for key, _ in state.scan(TOTAL.prefix)]))
    assert any("has no total" in fault for fault in find_money_faults(state))
