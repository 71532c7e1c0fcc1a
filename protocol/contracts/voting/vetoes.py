"""Who stops what has passed before it runs: an office, or so many of the members.

A type of proposals names one of both. An office is whoever holds it; that it takes three of five is for the
key policy of an account that holds it. Members stop a decision when enough of those who were members at the
snapshot object to it, each with one vote, whatever weight the proposal went by: so shareholders decide among
themselves, and not against the co-op.

*Source*: contracts.md 5.6 (veto: body and basis points; a share-class matter: no veto of members).
"""

from typing import Final, TypeAlias

from protocol.contracts.members.records import MEMBER, get_by_account
from protocol.contracts.members.standing import count_eligible
from protocol.contracts.voting.records import (
    ID,
    PASSED,
    PROPOSAL,
    STATE,
    VOTED,
    Policy,
    Proposal,
)
from protocol.contracts.voting.weights import find_weight_of_one
from protocol.elections.decision import WHOLE_BP
from protocol.errors import Code
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.keys import uint_key
from protocol.vm.kinds import U32, Field
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

ObjectionRow: TypeAlias = tuple[int]
CountRow: TypeAlias = tuple[int, int]

OBJECTIONS: Final[Table[ObjectionRow]] = Table(
    ID,
    27,
    "objection",
    (uint_key("proposal", 32), uint_key("member", 32)),
    (),
    doc="Who objects to what has passed.",
)
OBJECTION_COUNTS: Final[Table[CountRow]] = Table(
    ID,
    28,
    "objections",
    (uint_key("proposal", 32),),
    (Field("members", U32),),
    doc="How many object to what has passed.",
)
OBJECTED: Final = EventType(
    ID,
    10,
    "objected",
    (Field("proposal", PROPOSAL), Field("member", MEMBER), Field("members", U32, "who object so far")),
    "A member objects to what has passed.",
)


def object_to(ctx: Context, account: Address, number: int, proposal: Proposal, policy: Policy) -> bool:
    """Object to what has passed; tells whether it is stopped by that.

    Raises:
        CallFailed: ROLE (this type is stopped by nobody, or by an office only), STATE, NOT_ELIGIBLE, VOTED.
    """
    view, waited = ctx.view, ctx.environment.waited
    is_in_office = policy.veto_role and ctx.registry.has_role(view, account, policy.veto_role, waited)
    if not is_in_office and not policy.veto_bp:
        fail(Code.ROLE, "voting.veto_role", policy.veto_role, account)
    if proposal.state != PASSED:
        fail(STATE, "voting.veto", PASSED, proposal.state)
    if is_in_office:
        return True
    member, _ = get_by_account(view, account)
    find_weight_of_one(view, policy, proposal, member)
    key = OBJECTIONS.key(number, member)
    if OBJECTIONS.get(view, key) is not None:
        fail(VOTED, "voting.veto_once", None, member)
    OBJECTIONS.put(view, key, (SCHEMA,))
    count = count_objections(view, number) + 1
    OBJECTION_COUNTS.put(view, OBJECTION_COUNTS.key(number), (SCHEMA, count))
    ctx.emit(OBJECTED, number, member, count)
    return count >= count_needed(view, proposal, policy)


def count_objections(view: View, number: int) -> int:
    """Count the members who object to a proposal."""
    row = OBJECTION_COUNTS.get(view, OBJECTION_COUNTS.key(number))
    return 0 if row is None else row[1]


def count_needed(view: View, proposal: Proposal, policy: Policy) -> int:
    """Count how many members it takes to stop a proposal; 0: members do not."""
    return -(-policy.veto_bp * count_eligible(view, proposal.snapshot) // WHOLE_BP)
