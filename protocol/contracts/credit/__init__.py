"""credit: what a member's own record at the co-op says about lending to him, as a number with its reasons.

A score is of 0 to 1,000 points in seven parts, each a piecewise-linear function of integers: punctuality 350,
regular saving 200, savings beside debt 150, time as a member 100, guarantees given 100, use of what was lent
50, attestations 50. It is computed when it is asked for, from few sums for each member; nothing is scored by
hand and nobody's vote, office or proposal counts.

Whoever has no record has 400 points: every part begins at two fifths and gives way to the record as that
grows, so nobody needs a bank's paper to begin. What was long ago counts less: half after twelve months.

Rules that make the score hard to play: what is due of a loan of less than 30 days, or is paid with a fresh
loan, counts nothing; a guarantee within a ring counts half; what is overdue counts before it is paid, so
waiting wins nothing. To pay earlier never lowers the score.

*Source*: contracts.md 5.11. *Departs*: use is that of the loan of which the most is out, because the closing
of one loan would else raise the use of the others, and lower the score of who pays.

Read `records.py`, `parts.py`, `doors.py`, `methods.py`, `contract.py`.
"""
