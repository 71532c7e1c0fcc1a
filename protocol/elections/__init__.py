"""elections: how ballots become seats, as pure functions that anybody can recompute.

They do not know members, proposals, secrecy or gas; `contracts/voting` says who may vote and when. Read
`decision.py` (yes or no), `stv.py` (proportional, ranked), `approval.py`
(plain) and `quadratic.py` (priorities).
"""
