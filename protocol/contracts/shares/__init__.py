"""shares: classes of share capital, holdings, instalments, pledges, and the queue of those who want out.

A share is paid from the free balance (Dr 2010, Cr 3010). The capital of a member is the contract's own ledger
account with the member's number as `sub`, so a redemption needs no authority of the member when its turn
comes. An instalment waits in class 2040 until it makes a whole share; so the sum of holdings times par is the
total of class 3010, exactly.

Redemption is first come, first served, within a yearly cap and a solvency test, at par less the member's
part of losses: when equity, reserves included, is less than share capital, a share is worth
`floor(par * equity / capital)`, and the rest is credited to the surplus account. Reserves are never paid out.
What is owed to the co-op comes first through pledges: a pledged share cannot be redeemed.

*Source*: contracts.md 5.7. *Departs*: the redemption period counts from the newest purchase, not by lots; an
applicant takes share capital back at par and at once, since it never was at risk. Who leaves over a vote is
paid ahead of the queue (`voting/leaving.py`).

Read `records.py`, `methods.py` (buying), `queue.py` (leaving), `contract.py`.
"""
