"""Why the contract of a plugin cannot be taken out yet: what is under its address.

Money comes first: it is paid out or moved by the contract's own methods, which are gone afterwards. A job
that waits would fail; one in quarantine has. What records the contract keeps does not matter: they stay, and
can be read. Who decides a retirement, and when it happens, is the registry's.

*Source*: contracts.md 3.12.
"""

from protocol.contracts.ledger.accounts import ACCOUNT
from protocol.contracts.sched import BY_OWNER, JOBS, WAITING
from protocol.errors import Reason
from protocol.params import RETIREMENT_ACCOUNTS_MAX
from protocol.types import Address
from protocol.vm.view import View


def find_holding(view: View, owner: Address) -> Reason | None:
    """Return what stands in the way of taking a contract out, or None.

    Rules: 1. no account of it has a balance. 2. nothing is pending on one. 3. no job of it waits. 4. it
        has at most 10,000 accounts.
    """
    for count, (_, row) in enumerate(ACCOUNT.scan(view, owner), 1):
        if count > RETIREMENT_ACCOUNTS_MAX:
            return Reason("registry.retired_accounts", RETIREMENT_ACCOUNTS_MAX, count)
        _, _, debits_pending, debits, credits_pending, credits, _, _ = row
        if debits_pending or credits_pending:
            return Reason("registry.retired_pending", 0, debits_pending + credits_pending)
        if debits != credits:
            return Reason("registry.retired_balance", 0, credits - debits)
    for _, job in JOBS.scan_index(view, BY_OWNER, owner):
        assert type(job) is int
        found = JOBS.get(view, JOBS.key(job))
        if found is not None and found[11] == WAITING:
            return Reason("registry.retired_job", None, job)
    return None
