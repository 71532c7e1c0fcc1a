"""The functional core: everything all nodes must agree on, pure and deterministic.

Deliberately empty of names. It knows no clock, chance, thread, file, socket or logger; `node/` is the shell
that does. Start at `types.py`, then `codec.py`, then `chain/`.
"""
