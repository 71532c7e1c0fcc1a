"""Catching up: which blocks to ask of whom, and what to believe of the answers."""
