"""lending: what members borrow, how they pay it back, and what the books foresee when they do not.

A loan keeps the product it was made under, rows that are stored, and a state that moves. `book.py` is the
loan over time, told of days and payments only; `posting.py` brings the difference of two states to the
ledger, so a payment, a row that falls due and a reversal are posted by one rule. What the loans of a
product earn is one entry a day from the sum of their slopes, and agrees with every loan to the last part.

*Source*: contracts.md D3 to D5, D11, D19, D20, 3.4, 5.10. *Departs*: a product is not versioned, it never
changes; a new one takes its place. Interest that is not paid is carried into a new schedule, not made
principal, so no reschedule makes income. A partial payment beyond what is due follows the early rule at once.

What was free once stays free: a reversal binds no guarantor and no collateral again, so a loan that was
closed with any of them is not opened again. What comes in on a loss is the co-op's first, then the
guarantors' who were called, each his part; whoever pays for another stands behind the lender until the lender
has all. A row that may have been paid with another loan, as much lent within 30 days, counts nothing for the
score. A loan that fails in the daily job is put off to the next day, and holds up no other.

Read `records.py`, `product.py`, `terms.py`, `book.py`, `posting.py`, `offering.py`, `applying.py`,
`deciding.py`, `lapsing.py`, `serving.py`, `ageing.py`, `enforcing.py`, `rescheduling.py`, `telling.py`,
`contract.py`.
"""
