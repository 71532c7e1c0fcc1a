"""Saving circles: members pay the same every round, and each round one of them gets the pot, once."""
