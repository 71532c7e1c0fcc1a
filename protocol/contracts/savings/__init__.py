"""savings: what members put aside, what it earns, and how they get it back.

An account is the contract's own ledger account (class 2020, or 2030 for a term deposit) with its number as
`sub`, so money leaves it only by this contract's rules, and always to the member's free balance. Interest is
an exact integer that grows with every day a balance stands; it is rounded once, half-even, when it is
credited. What all accounts of a product have earned is kept as one more exact integer from the sums of their
balance bands, so the books know what is owed every day without a walk over accounts, and both agree to the
last part.

Interest on the way is Dr 5010, Cr 2060; crediting is Dr 2060, Cr the account, less tax to 2090. It counts
from the first day of a period on, whichever day has a block to do it.

When too little is liquid, withdrawals wait in a queue that is paid by the day in equal parts of what was
asked, not to whoever comes first.

*Source*: contracts.md D4, D5, D12, D13, 3.4, 5.9. *Departs*: an average has one band (ADR 25);
a group's parts are its own affair, its account is one; pools are not there yet. A product's bands stay, its
rates change. A term deposit earns until it is ended, also after its last day.

Read `records.py`, `interest.py`, `methods.py`, `exits.py`, `contract.py`.
"""
