"""The judge sees what must not be: one planted breach for every rule, and none in a sound history."""

from dataclasses import replace

import pytest

from tests.nemesis.bank import Outcome, Payment
from tests.nemesis.history import BlockSeen, NodeSeen, judge

OPENING = 100
PAYMENTS = (
    Payment("a", 0, 1, 30, "a", Outcome.COMMITTED, height=1, index=0, ok=True),
    Payment("b", 1, 0, 500, "b", Outcome.COMMITTED, height=1, index=1, ok=False),
    Payment("c", 1, 2, 5, "c", Outcome.UNKNOWN),
    Payment("d", 1, 2, 6, "c", Outcome.REFUSED, why="tx.nonce_used"),
    Payment("e", 2, 0, 7, "e", Outcome.UNKNOWN),
)
BLOCKS = (
    BlockSeen(1, "b1", "b0", "s1", ("a", "b")),
    BlockSeen(2, "b2", "b1", "s2", ("c",)),
)
SOUND = NodeSeen("n1", BLOCKS, {"a": True, "b": False, "c": True}, {0: 70, 1: 125, 2: 105})
LATE = NodeSeen("n2", BLOCKS[:1], {"a": True, "b": False}, {0: 70, 1: 130, 2: 100})
HEIGHTS = {"n1": [0, 1, 2], "n2": [0, 1]}


def test_a_sound_history_with_a_node_that_is_behind_is_not_blamed() -> None:
    assert judge(PAYMENTS, [SOUND, LATE], HEIGHTS, OPENING) == []


def second(block: BlockSeen) -> NodeSeen:
    return replace(SOUND, name="n3", blocks=(BLOCKS[0], block))


@pytest.mark.parametrize(
    ("node", "word"),
    [
        (replace(SOUND, damage=("a flipped bit",)), "a flipped bit"),
        (second(replace(BLOCKS[1], id="other")), "differ in block 2"),
        (second(replace(BLOCKS[1], state_root="other")), "state root of height 2"),
        (second(replace(BLOCKS[1], parent="other")), "does not follow 1"),
        (second(replace(BLOCKS[1], tx_ids=("c", "a"))), "stands at [(1, 0), (2, 1)]"),
        (second(replace(BLOCKS[1], tx_ids=("c", "x"))), "nobody submitted"),
        (replace(second(replace(BLOCKS[1], tx_ids=("c", "x"))), acts=frozenset("y")), "nobody submitted"),
        (second(replace(BLOCKS[1], tx_ids=("c", "d"))), "was refused (tx.nonce_used) and stands"),
        (second(replace(BLOCKS[1], tx_ids=("c", "d"))), "2 payments under the number of c"),
        (
            replace(SOUND, blocks=(replace(BLOCKS[0], tx_ids=("b",)), BLOCKS[1])),
            "LOST: a, acknowledged at (1, 0)",
        ),
        (
            replace(SOUND, blocks=(replace(BLOCKS[0], tx_ids=("b", "a")), BLOCKS[1])),
            "was acknowledged at (1, 0) and stands at [(1, 1)]",
        ),
        (replace(SOUND, results={**SOUND.results, "b": True}), "b has another result"),
        (replace(SOUND, balances={**SOUND.balances, 1: 126}), "member 1 has 126"),
        (replace(SOUND, balances={**SOUND.balances, 1: 126}), "all members have 301, there were 300"),
        (
            replace(SOUND, balances={0: 40, 1: 155, 2: 105}),
            "member 0 has 40, the payments make 70",
        ),  # a applied twice
    ],
)
def test_a_planted_breach_is_seen(node: NodeSeen, word: str) -> None:
    found = judge(PAYMENTS, [SOUND, node], HEIGHTS, OPENING)
    assert any(word in finding for finding in found), found


def test_a_height_that_goes_back_is_seen() -> None:
    found = judge(PAYMENTS, [SOUND], {"n1": [0, 2, 1]}, OPENING)
    assert found == ["n1: its height went back from 2 to 1"]
