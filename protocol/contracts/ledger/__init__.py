"""ledger: the only place where money moves, always as a leg from one account to another.

A leg debits one account and credits another by one amount of one asset, so an unbalanced entry cannot be
said. A hold is a leg that is pending: it reserves on both sides until it is captured, released or expires.
Every posted leg adds one row to the journal of each account, and the account carries a rolling hash of its
rows, so that one proof of the account proves its whole statement.

An account is (owner, class, asset, sub), 30 bytes: who it belongs to says what it is, so a balance is read
and proven by one key. `sub` tells several accounts of one owner, class and asset apart (a product, a loan, a
budget line). This contract does not know assets, members or keys; the contracts above decide who may move
what.

*Source*: contracts.md 5.1; TigerBeetle, docs/concepts/debit-credit.md and docs/coding/two-phase-transfers.md.
*Departs*: no account numbers and no index by owner (see above); resolved holds keep their record, so that a
second capture is told from one that never was.

Read `accounts.py` (what is kept), `legs.py`, `holds.py`, then `contract.py` (what a program can call).
"""
