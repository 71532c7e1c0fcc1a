"""Keys of members and operators: phrases, derivation, files.

Deliberately empty of names. Start at `keyring.py`.
"""
