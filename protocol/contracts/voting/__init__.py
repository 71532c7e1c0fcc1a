"""voting: members decide, and what they decided is done.

A proposal is a program with a type. The type's policy says who votes with what weight, how long, what
passing takes, and which methods such a program may call at all; policy, program, electorate and weights are
fixed when the proposal is made. Votes are counted as they come, so a tally is always there and costs nothing.
What has passed waits for its time lock and then runs by itself, with the authority `gov`, but only what its
type may.

Sealed ballots are votes that are opened later; delegates carry the votes of members who do not vote
themselves. Elections are `elections.py`. What "may" means is kept in policies, and a policy changes by a vote
of the type that may call `set_policy`, never in favour of the vote that changes it.

*Source*: contracts.md D8, D9, 5.6. *Departs*: the resubmission rule looks at each call of a program and upon
which things, not at amounts (`shapes.py`); a job runs at most 1 M gas, so a larger program is run by whoever
calls `execute`; secret ballots are not there yet.

Read `records.py`, `policies.py`, `weights.py`, `ballots.py`, `proposals.py`, `shapes.py`, `deadlines.py`,
`vetoes.py`, `hearings.py`, `leaving.py`, `elections.py`, `counting.py`, `priorities.py`, `queries.py` and
`contract.py`.
"""
