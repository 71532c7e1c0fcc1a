"""Quadratic votes against exact squares."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.elections.quadratic import compute_votes, integer_root


@given(st.integers(0, 1 << 200))
def test_the_root_is_the_largest_whose_square_fits(value: int) -> None:
    assert integer_root(value) == math.isqrt(value)


@pytest.mark.parametrize(
    ("credits_spent", "votes"), [(0, 0), (1, 1_000), (2, 1_414), (4, 2_000), (99, 9_949), (100, 10_000)]
)
def test_n_votes_cost_n_times_n(credits_spent: int, votes: int) -> None:
    assert compute_votes(credits_spent) == votes
