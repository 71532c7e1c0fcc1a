"""Limits that the kind of an argument checks: a program with one at its limit is typed, one above is not.
And what contracts keep in memory: so many, and not one more.

Limits that a method checks itself stand in the tests of its contract.
"""

from collections.abc import Callable
from typing import Any

import pytest

from protocol.codec import Value
from protocol.contracts import REGISTRY, documents, multisig, policies
from protocol.contracts.credit import records as credit
from protocol.contracts.ledger import accounts
from protocol.contracts.lending import product as loan_product
from protocol.contracts.lending import records as lending
from protocol.contracts.registry import pauses
from protocol.contracts.savings import records as savings
from protocol.contracts.treasury.records import YEAR_MAX
from protocol.contracts.voting import deadlines, elections, priorities
from protocol.contracts.voting import records as voting
from protocol.errors import Code, Rejected
from protocol.finance.provisioning import CLASSES_MAX
from protocol.params import PACKAGE_BYTES_MAX
from protocol.vm.kinds import Data, Fields, Integer, Kind, Many, Text
from protocol.vm.program import literal, parse_program
from tests.protocol.ledger_world import NONE

Make = Callable[[int], Value]
"""Makes the value of an argument that is as large as a number says."""


def number(size: int) -> Value:
    return size


def text(size: int) -> Value:
    return "x" * size


def many(item: Value) -> Make:
    return lambda size: (item,) * size


LIMITS: tuple[tuple[int, str, str, Make], ...] = (
    (accounts.REF_BYTES_MAX, "ledger.hold", "ref", bytes),
    (PACKAGE_BYTES_MAX, "registry.upgrade", "package", text),
    (YEAR_MAX, "treasury.allot", "year", number),
    (multisig.TIERS_MAX, "multisig.set_rule", "tier", number),
    (documents.KIND_BYTES_MAX, "docs.register", "kind", text),
    (voting.TYPES_MAX, "voting.set_policy", "type", number),
    (voting.SPONSORS_MAX, "voting.set_policy", "sponsors", number),
    (voting.VOTING_SECONDS_MAX, "voting.set_policy", "discussion", number),
    (voting.VOTING_SECONDS_MAX, "voting.set_policy", "voting", number),
    (voting.VOTING_SECONDS_MAX, "voting.set_policy", "quiet", number),
    (voting.DELAY_SECONDS_MAX, "voting.set_policy", "timelock", number),
    (voting.DELAY_SECONDS_MAX, "voting.set_policy", "window", number),
    (voting.DELAY_SECONDS_MAX, "voting.set_policy", "cooldown", number),
    (voting.POLICY_METHODS_MAX, "voting.set_policy", "methods", many((1, 1))),
    (elections.SEATS_MAX, "voting.call_election", "seats", number),
    (elections.PREFERENCES_MAX, "voting.rank", "ranking", many(0)),
    (priorities.OPTIONS_MAX, "voting.call_priorities", "options", many("roof")),
    (priorities.OPTIONS_MAX, "voting.spread", "spread", many((0, 1))),
    (priorities.OPTIONS_MAX - 1, "voting.spread", "spread", lambda size: ((size, 1),)),
    (priorities.CREDITS_MAX, "voting.call_priorities", "credits", number),
    (priorities.CREDITS_MAX, "voting.spread", "spread", lambda size: ((0, size),)),
    (deadlines.WEEKDAYS_MAX, "voting.set_calendar", "weekdays", many(0)),
    (deadlines.HOLIDAYS_MAX, "voting.set_calendar", "holidays", many(0)),
    (savings.BANDS_MAX, "savings.create_product", "rates", many(0)),
    (savings.BANDS_MAX, "savings.create_product", "floors", many(0)),
    (savings.BANDS_MAX, "savings.set_rates", "rates", many(0)),
    (savings.RATE_MAX_PPM, "savings.set_rates", "rates", lambda size: (size,)),
    (savings.NOTICE_DAYS_MAX, "savings.create_product", "notice_days", number),
    (savings.TERM_DAYS_MAX, "savings.create_product", "term_days", number),
    (credit.BANDS_MAX, "credit.set_table", "bands", many((0, 0, 0))),
    (credit.ADDON_PPM_MAX, "credit.set_table", "bands", lambda size: ((0, 0, size),)),
    (loan_product.DAYS_MAX, "lending.create_product", "grace_days", number),
    (lending.RATE_MAX_PPM, "lending.create_product", "rate_ppm", number),
    (lending.LOANS_OPEN_MAX, "lending.create_product", "loans_max", number),
    (loan_product.APPROVALS_MAX, "lending.create_product", "approvals", number),
    (CLASSES_MAX, "lending.create_product", "class_days", many(0)),
)


def least(kind: Kind) -> Value:
    """Return the smallest value of a kind."""
    match kind:
        case Integer(low=low):
            return int(low)
        case Data(low=low):
            return bytes(low)
        case Text():
            return ""
        case Many(kind=item, low=low):
            return (least(item),) * low
        case Fields(fields=fields):
            return tuple(least(field.kind) for field in fields)
        case _:
            return False if kind.holds(False) and not kind.holds(None) else None


def call(method_name: str, argument: str, value: Value) -> Value:
    """Return a program that calls a method with the smallest of everything, one argument excepted."""
    contract_name, name = method_name.split(".")
    contract = REGISTRY.by_name[contract_name]
    (method,) = [method for method in contract.methods if method.name == name]
    assert argument in [field.name for field in method.arguments]
    arguments = [value if f.name == argument else least(f.kind) for f in method.arguments]
    return ((), ((contract.id, method.id, NONE, tuple(literal(a) for a in arguments)),))


@pytest.mark.parametrize(
    ("limit", "method", "argument", "make"), LIMITS, ids=[f"{row[1]}.{row[2]}={row[0]}" for row in LIMITS]
)
def test_an_argument_at_its_limit_and_one_above(limit: int, method: str, argument: str, make: Make) -> None:
    parse_program(call(method, argument, make(limit)), REGISTRY, 0)
    with pytest.raises(Rejected) as refused:
        parse_program(call(method, argument, make(limit + 1)), REGISTRY, 0)
    assert refused.value.code == Code.TYPE


@pytest.mark.parametrize(
    ("limit", "kept", "make"),
    [
        (accounts.TAILS_KEPT_MAX, accounts._account_tail, lambda n: (accounts.MEMBER_FREE, 1, n)),
        (accounts.TAILS_KEPT_MAX, accounts._is_debit_side, lambda n: (n.to_bytes(2, "big"),)),
        (pauses.PAUSE_KEYS_MAX, pauses._pause_key, lambda n: (n, 1)),
        (policies.DERIVED_ADDRESSES_MAX, policies.address_of_key, lambda n: (n.to_bytes(33, "big"),)),
    ],
)
def test_so_much_is_kept_in_memory_and_what_is_not_is_computed_again(
    limit: int, kept: Any, make: Callable[[int], tuple[Value, ...]]
) -> None:
    kept.cache_clear()
    for n in range(limit):
        kept(*make(n))
    assert kept.cache_info().currsize == limit
    kept(*make(limit))
    assert kept.cache_info().currsize == limit
    assert kept(*make(0)) == kept.__wrapped__(*make(0))
    assert kept.cache_info().misses == limit + 2
    kept.cache_clear()
