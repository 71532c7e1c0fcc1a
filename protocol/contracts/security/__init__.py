"""security: who stands for a loan, and what does: guarantees of members and collateral.

It knows of a loan its number, its borrower, its asset, and what the caller of a door says; the contract
lending is above. A guarantee locks a part of the guarantor's savings from the offer on, so a promise is
always worth its amount. Collateral is an asset that this contract keeps, or something on paper that valuers
have valued; what it counts for is its value less a haircut.

A ring of members who stand for one another is worth less than it looks: who would close one of up to three
members, whichever way each promise points, is refused. The co-op may allow rings; then credit counts them
half.

When a loan is not paid, the guarantors pay in equal parts of what they hold, by largest remainder, out of
what is locked; collateral is sold by an auction whose price falls by the hour or the day, to the first who
bids. What nobody wants at the floor goes back to the list of the loan, from which it can be offered again.

*Source*: contracts.md 5.10 (table), 5.12. *Departs*: the part of the savings that a guarantee holds is what
savings locks, not a hold of the ledger, because it goes on earning; collateral that is kept lies in class
2040 with the number of its loan, because a hold cannot be given back in part. An auction that nobody wins
ends by the clock, without a job.

Read `records.py`, `guarantees.py`, `collateral.py`, `auctions.py`, `doors.py`, `contract.py`.
"""
