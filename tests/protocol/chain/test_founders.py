"""Founding programs with founders: who acts in them, and how many they may be."""

import pytest

from node.cluster.founding import demo_address, make_genesis, make_operators
from node.cluster.village import call
from protocol.chain.genesis import Genesis, read_founding
from protocol.codec import Value
from protocol.errors import Code, Rejected
from protocol.params import ACTORS_MAX
from protocol.transition import apply_genesis
from protocol.types import Address

PLAIN: Value = ((), ((0, 0, 0, 1, 1, 0),))


def founded(program: Value) -> Genesis:
    genesis = make_genesis(make_operators(1), 1_767_225_600_000)
    return Genesis(
        *(genesis.name, genesis.time_ms, genesis.epoch, genesis.tree_bits, genesis.utc_offset_seconds, True),
        (*genesis.programs, program),
    )


def pay(actor: int, founder: str) -> Value:
    transfer = call("assets.transfer", demo_address("ada"), demo_address("bo"), 1, 100, None, actor=actor)
    return ((), (transfer,), (demo_address(founder),))


def test_a_program_without_founders_is_taken_as_it_is() -> None:
    assert read_founding(PLAIN) == ((), PLAIN)


@pytest.mark.parametrize("count", [0, 1, ACTORS_MAX])
def test_as_many_founders_as_a_transaction_has_actors(count: int) -> None:
    founders = tuple(Address(bytes([n]) * 20) for n in range(count))
    assert read_founding((*PLAIN, founders)) == (founders, PLAIN)  # type: ignore[misc]


@pytest.mark.parametrize(
    "founders", [tuple(bytes([n]) * 20 for n in range(ACTORS_MAX + 1)), (bytes(19),), (1,), 7]
)
def test_other_founders_are_refused(founders: Value) -> None:
    with pytest.raises(Rejected) as refused:
        read_founding((*PLAIN, founders))  # type: ignore[misc]
    assert refused.value.code == Code.MALFORMED


def test_a_founder_acts_for_himself_and_for_nobody_else() -> None:
    apply_genesis(founded(pay(0, "ada")))
    with pytest.raises(Rejected) as refused:
        apply_genesis(founded(pay(0, "bo")))
    assert refused.value.code == Code.POLICY_UNMET
