"""Quadratic voting: everybody has the same credits, and n votes for one thing cost n * n of them.

*Source*: contracts.md 5.6 (priorities); Posner and Weyl, "Voting Squared" (2014).
"""

from typing import Final

VOTE_PARTS: Final = 1_000
"""Parts of one vote: what credits buy is rounded down to a thousandth."""


def compute_votes(credits_spent: int) -> int:
    """Compute what credits on one option buy, in thousandths of a vote: floor(1000 * sqrt(credits))."""
    assert credits_spent >= 0
    return integer_root(credits_spent * VOTE_PARTS * VOTE_PARTS)


def integer_root(value: int) -> int:
    """Compute the largest integer whose square is not above a value, by Newton's method."""
    assert value >= 0
    if value == 0:
        return 0
    guess = 1 << (value.bit_length() + 1) // 2
    while True:
        better = (guess + value // guess) // 2
        if better >= guess:
            return guess
        guess = better
