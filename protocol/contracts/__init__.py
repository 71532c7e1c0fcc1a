"""The builtin contracts. To add one, write its module and add its line here.

Numbers and layers are those of contracts.md 5; a contract calls lower layers only.
"""

from typing import Final

from protocol.contracts import auth, documents, grants, multisig, recovery, sched
from protocol.contracts.assets import contract as assets
from protocol.contracts.credit import contract as credit
from protocol.contracts.ledger import contract as ledger
from protocol.contracts.lending import contract as lending
from protocol.contracts.members import contract as members
from protocol.contracts.registry import contract as registry
from protocol.contracts.registry.pauses import paused_until
from protocol.contracts.retirement import find_holding
from protocol.contracts.savings import contract as savings
from protocol.contracts.security import contract as security
from protocol.contracts.shares import contract as shares
from protocol.contracts.treasury import contract as treasury
from protocol.contracts.voting import contract as voting
from protocol.vm.contract import Contract, Registry

BUILTINS: Final[tuple[Contract, ...]] = (
    ledger.CONTRACT,
    auth.CONTRACT,
    sched.CONTRACT,
    registry.CONTRACT,
    grants.CONTRACT,
    assets.CONTRACT,
    members.CONTRACT,
    multisig.CONTRACT,
    recovery.CONTRACT,
    shares.CONTRACT,
    treasury.CONTRACT,
    voting.CONTRACT,
    savings.CONTRACT,
    security.CONTRACT,
    credit.CONTRACT,
    lending.CONTRACT,
    documents.CONTRACT,
)

REGISTRY: Final = Registry(BUILTINS, auth.has_role, grants, paused_until, find_holding=find_holding)
