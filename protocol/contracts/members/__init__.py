"""members: who belongs to the co-op, in which standing, and who holds which office.

A membership begins as an application and moves along one table of transitions (`standing.py`); every other
step has a code. Personal data never come here: an applicant leaves a salted commitment, a registrar attests a
level and posts a tag that is the same for the same person, so that nobody joins twice.

Rules that span layers: members lies below shares, loans and guarantees, so it does not ask them. They write
down here what it must know: `set_shares_paid` for admission, `bind` and `unbind` for every obligation that
keeps somebody from leaving. Standing reaches the ledger, which lies lower still, by the flags of accounts:
the free balance of the dead is frozen until the estate is opened. A transfer therefore asks nothing of
members: who has an account can receive, and everybody may keep, withdraw and repay what is theirs.

*Source*: contracts.md 5.3. *Departs*: no `pk_policy` at application, since an address is the digest of its
first policy; keys rotate in auth; the estate's executor takes the place of the dead in the key policy after a
delay, instead of a grant for each contract; DECLINED ends an application that did not become a membership.

Read `records.py` (what is kept), `standing.py`, `roles.py`, then `methods.py` and `contract.py`.
"""
