"""Beyond its bounds an engine forks; the signatures convict the guilty then, and nobody else (I9, I10)."""

import pytest

from protocol.chain.evidence import EvidenceKind
from tests.simulation.faults import Faults
from tests.simulation.traitors import BFT, RAFT, Tally

SEEDS = 60


@pytest.mark.parametrize(
    ("faults", "guilty_min", "kinds"),
    [
        (RAFT, 1, {EvidenceKind.DUPLICATE_VOTE, EvidenceKind.STALE_GRANT}),
        (BFT, 2, {EvidenceKind.DUPLICATE_VOTE, EvidenceKind.AMNESIA}),
    ],
    ids=["raft", "bft"],
)
def test_every_fork_convicts_the_twins_and_nobody_else(
    faults: Faults, guilty_min: int, kinds: set[EvidenceKind]
) -> None:
    tally = Tally()
    for seed in range(SEEDS):
        tally.add(seed, faults, guilty_min)
    assert tally.forks >= 10, "the twins are too tame to prove anything"
    assert kinds <= set(tally.kinds)
