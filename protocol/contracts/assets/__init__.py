"""assets: what is owed and paid in, who turns cash into claims and back, custody, payments and escrow.

A member's free balance is class 2010, a cashier's float class 1020, what lies with a custodian (a bank) class
1010: cash that comes in debits the float and credits the member, so what all members can claim is always what
somebody holds. Above a cashier's own limit the movement is a hold that a second cashier confirms. A custodian
says what really lies with him; when that is less than the books say, nothing more is issued until an auditor
has seen that it is enough.

This contract knows no membership: who may receive is whoever has an account, and a cashier opens accounts for
those who bring cash.

*Source*: contracts.md 5.2. *Departs*: the asset has no issuer role, since issuing is cash in; escrow is a
hold with an arbiter, so a deadline gives it back without a job; a frozen balance still receives, and its
order cannot follow another without a pause.

Read `records.py`, `issue.py`, `cash.py`, `custody.py`, `payments.py`, `escrow.py`, `orders.py` and
`contract.py`.
"""
