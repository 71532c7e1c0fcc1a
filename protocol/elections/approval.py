"""Approval voting: each paper names as many candidates as it likes; who is named most often is elected.

*Source*: contracts.md 5.6 (most approvals, tie by lot).
"""

from collections.abc import Sequence


def elect_by_approval(approvals: Sequence[int], seats: int, lot: Sequence[int]) -> tuple[int, ...]:
    """Return the elected, best first.

    Args:
        approvals: of each candidate; who has none is not elected.
        lot: every candidate once; who stands earlier wins a tie.
    """
    place = {candidate: at for at, candidate in enumerate(lot)}
    assert len(place) == len(lot) == len(approvals)
    named = [candidate for candidate, count in enumerate(approvals) if count]
    return tuple(sorted(named, key=lambda c: (-approvals[c], place[c]))[:seats])
