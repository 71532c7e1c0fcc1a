"""Key policies: reading, limits, addresses, and when a tree is met."""

from itertools import combinations

import pytest

from protocol import crypto
from protocol.codec import Value, encode
from protocol.contracts.policies import (
    POLICY_BYTES_MAX,
    Policy,
    address_of_key,
    compute_address,
    is_met,
    list_keys,
    read_policy,
    single_key_policy,
)
from protocol.errors import Code, Rejected
from protocol.params import POLICY_DEPTH_MAX, POLICY_LEAVES_MAX, POLICY_WEIGHT_MAX
from tests.protocol.ledger_world import ALICE, BOB, CAROL, TILL, person


def key_leaf(n: int, weight: int = 1) -> Value:
    return (0, person(f"leaf{n}").key, weight)


def nested(depth: int) -> Value:
    policy: Value = (1, (key_leaf(0),))
    for _ in range(depth - 1):
        assert type(policy) is tuple
        policy = (1, ((3, policy[0], policy[1], 1),))
    return policy


def leaves(first: int, end: int) -> tuple[Value, ...]:
    return tuple(key_leaf(n) for n in range(first, end))


def wide(count: int) -> Value:
    return (1, leaves(0, count))


def test_address_is_the_start_of_the_digest() -> None:
    policy = (1, ((0, ALICE.key, 1),))
    assert single_key_policy(ALICE.key) == policy
    expected = crypto.digest(crypto.Domain.ADDRESS, encode(policy))[:20]
    assert compute_address(policy) == address_of_key(ALICE.key) == ALICE.address == expected


@pytest.mark.parametrize(
    "value, code",
    [
        (7, Code.MALFORMED),
        ((1,), Code.MALFORMED),
        ((0, ((0, ALICE.key, 1),)), Code.MALFORMED),
        ((2, ((0, ALICE.key, 1),)), Code.MALFORMED),
        ((1, ()), Code.MALFORMED),
        ((1, ((0, ALICE.key, 0),)), Code.MALFORMED),
        ((1, ((0, ALICE.key, POLICY_WEIGHT_MAX + 1),)), Code.MALFORMED),
        ((1, ((0, ALICE.key[:32], 1),)), Code.MALFORMED),
        ((1, ((1, ALICE.key, 1),)), Code.MALFORMED),
        ((1, ((2, b"role", 1),)), Code.MALFORMED),
        ((1, ((4, ALICE.key, 1),)), Code.MALFORMED),
        ((1, ((True, ALICE.key, 1),)), Code.MALFORMED),
        ((1, ((0, ALICE.key, 1, 1),)), Code.MALFORMED),
        ((1, ((3, 1, ((0, ALICE.key, 1),)),)), Code.MALFORMED),
        ((1, ((0, ALICE.key, 1), (0, ALICE.key, 1))), Code.MALFORMED),
        ((1, ((0, ALICE.key, 1), (3, 1, ((0, ALICE.key, 1),), 1))), Code.MALFORMED),
        (nested(POLICY_DEPTH_MAX + 1), Code.LIMIT),
        ((1, (*leaves(0, 31), (3, 1, leaves(31, 33), 1))), Code.LIMIT),
    ],
)
def test_refused(value: Value, code: Code) -> None:
    with pytest.raises(Rejected) as failure:
        read_policy(value)
    assert failure.value.code == code


def test_limits_themselves_are_allowed() -> None:
    assert len(list_keys(read_policy(nested(POLICY_DEPTH_MAX)))) == 1
    assert len(list_keys(read_policy(wide(POLICY_LEAVES_MAX)))) == POLICY_LEAVES_MAX
    read_policy((POLICY_WEIGHT_MAX, ((0, ALICE.key, POLICY_WEIGHT_MAX),)))
    with pytest.raises(Rejected):
        read_policy(wide(POLICY_LEAVES_MAX + 1))


def test_largest_policy_fits_its_record() -> None:
    weight = POLICY_WEIGHT_MAX
    chains = [(3, 1, (key_leaf(n, weight),), weight) for n in range(POLICY_LEAVES_MAX)]
    deepest = tuple((3, 1, (chain,), weight) for chain in chains)
    read_policy((1, deepest))
    assert len(encode((1, deepest))) <= POLICY_BYTES_MAX


def met(policy: Policy, *keys: bytes, accounts: frozenset[bytes] = frozenset(), role: str = "") -> bool:
    return is_met(policy, set(keys), accounts, lambda name: name == role)  # type: ignore[arg-type]


def test_two_of_three_by_every_subset() -> None:
    trio = (ALICE.key, BOB.key, CAROL.key)
    policy = read_policy((2, tuple((0, key, 1) for key in trio)))
    for size in range(4):
        for chosen in combinations(trio, size):
            assert met(policy, *chosen) == (size >= 2)


def test_weights_accounts_roles_and_trees() -> None:
    policy = read_policy(
        (
            4,
            (
                (0, ALICE.key, 3),
                (1, BOB.address, 2),
                (2, "board", 1),
                (3, 2, ((0, CAROL.key, 1), (0, TILL.key, 1)), 4),
            ),
        )
    )
    assert not met(policy, ALICE.key)
    assert met(policy, ALICE.key, role="board")
    assert not met(policy, ALICE.key, role="clerk")
    assert met(policy, ALICE.key, accounts=frozenset({BOB.address}))
    assert not met(policy, accounts=frozenset({BOB.address}), role="board")
    assert met(policy, CAROL.key, TILL.key)
    assert not met(policy, CAROL.key)
    assert list_keys(policy) == (ALICE.key, CAROL.key, TILL.key)
