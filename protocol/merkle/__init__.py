"""Merkle commitments: `tree.py` keeps the state tree, `proof.py` checks proofs. Empty of names on purpose."""
