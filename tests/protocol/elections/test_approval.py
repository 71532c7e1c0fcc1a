"""Approval voting: most approvals, ties by lot, nobody without any."""

import pytest

from protocol.elections.approval import elect_by_approval


@pytest.mark.parametrize(
    ("approvals", "seats", "lot", "elected"),
    [
        ((3, 5, 1), 2, (0, 1, 2), (1, 0)),
        ((3, 3, 3), 2, (2, 0, 1), (2, 0)),
        ((0, 2, 0), 3, (0, 1, 2), (1,)),
        ((), 1, (), ()),
    ],
)
def test_the_most_approved_are_elected(
    approvals: tuple[int, ...], seats: int, lot: tuple[int, ...], elected: tuple[int, ...]
) -> None:
    assert elect_by_approval(approvals, seats, lot) == elected
