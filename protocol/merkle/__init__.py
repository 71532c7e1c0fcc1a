"""Merkle commitments: `tree.py` keeps the state tree, `proof.py` checks proofs. Deliberately empty of names."""
