"""Who may vote with what weight, as it was at the snapshot; and who votes for whom.

A weight is one for a member, or his shares up to a cap. A delegate carries the weight of at most so many
members on one type of proposals, directly and never on; who votes himself takes his weight back.
"""

from protocol.codec import Value
from protocol.contracts.members.records import ACTIVE, find_member, get_by_account
from protocol.contracts.members.standing import count_eligible, find_standing
from protocol.contracts.shares.records import count_held_at, count_issued_at
from protocol.contracts.voting.records import (
    BY_MEMBER,
    DELEGATES_FULL,
    DELEGATIONS,
    DELEGATORS_MAX,
    HEIGHT_LAST,
    NOT_DELEGATED,
    NOT_ELIGIBLE,
    SLOTS,
    Policy,
    Proposal,
    get_policy,
)
from protocol.elections.decision import WHOLE_BP
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View


def compute_electorate(view: View, policy: Policy, snapshot: int) -> int:
    """Compute the sum of all weights after the block of a height. One seek."""
    if policy.weight == BY_MEMBER:
        return count_eligible(view, snapshot)
    return count_issued_at(view, policy.share_class, snapshot)


def find_weight(view: View, policy: Policy, proposal: Proposal, number: int) -> int:
    """Return with what a member votes.

    Raises:
        CallFailed: NOT_ELIGIBLE, with the rule that says why.
    """
    find_weight_of_one(view, policy, proposal, number)
    if policy.weight == BY_MEMBER:
        return 1
    held = count_held_at(view, number, policy.share_class, proposal.snapshot)
    if not held:
        fail(NOT_ELIGIBLE, "voting.shares_at_snapshot", 1, 0)
    return min(held, max(1, proposal.electorate * policy.cap_bp // WHOLE_BP))


def find_weight_of_one(view: View, policy: Policy, proposal: Proposal, number: int) -> int:
    """Return the one vote that a member has as a member, whatever he holds.

    Raises:
        CallFailed: NOT_ELIGIBLE, with the rule that says why.
    """
    if find_standing(view, number, proposal.snapshot) != ACTIVE:
        fail(NOT_ELIGIBLE, "voting.active_at_snapshot", proposal.snapshot, number)
    member = find_member(view, number)
    assert member is not None, "who has a standing is a member"
    since = member.joined_day + policy.member_days
    if since > proposal.created_day:
        fail(NOT_ELIGIBLE, "voting.member_days", policy.member_days, proposal.created_day - member.joined_day)
    return 1


def is_eligible(view: View, policy: Policy, proposal: Proposal, number: int) -> bool:
    """Tell whether a member may vote on a proposal."""
    member = find_member(view, number)
    if member is None or find_standing(view, number, proposal.snapshot) != ACTIVE:
        return False
    if member.joined_day + policy.member_days > proposal.created_day:
        return False
    return policy.weight == BY_MEMBER or bool(
        count_held_at(view, number, policy.share_class, proposal.snapshot)
    )


# --- delegation


def delegate(ctx: Context, account: Address, proposal_type: int, to: Address) -> Value:
    """Let another member vote on proposals of a type that come from now on; returns his number."""
    view = ctx.view
    get_policy(view, proposal_type)
    member, _ = get_by_account(view, account)
    other, record = get_by_account(view, to)
    if other == member or record.status != ACTIVE:
        fail(NOT_ELIGIBLE, "voting.delegate", ACTIVE, record.status)
    if find_delegate(view, member, proposal_type, HEIGHT_LAST) is not None:
        _leave(ctx, member, proposal_type)
    for slot in range(1, DELEGATORS_MAX + 1):
        if _find_in_slot(view, other, proposal_type, slot, HEIGHT_LAST) is None:
            _put(ctx, member, proposal_type, other, slot)
            return other
    fail(DELEGATES_FULL, "voting.delegators", DELEGATORS_MAX, DELEGATORS_MAX + 1)


def undelegate(ctx: Context, account: Address, proposal_type: int) -> Value:
    """Vote oneself again on proposals that are made from now on."""
    member, _ = get_by_account(ctx.view, account)
    if find_delegate(ctx.view, member, proposal_type, HEIGHT_LAST) is None:
        fail(NOT_DELEGATED, "voting.delegation", None, proposal_type)
    _leave(ctx, member, proposal_type)
    return True


def find_delegate(view: View, member: int, proposal_type: int, height: int) -> int | None:
    """Return who votes for a member on a type, after the block of a height. One seek."""
    start = DELEGATIONS.key(member, proposal_type, HEIGHT_LAST - height)
    for _, row in DELEGATIONS.scan(view, member, proposal_type, start=start):
        return row[1] if row[2] else None
    return None


def list_delegators(view: View, member: int, proposal_type: int, height: int) -> list[int]:
    """List for whom a member votes on a type, after the block of a height. One seek for each slot."""
    found = [
        _find_in_slot(view, member, proposal_type, slot, height) for slot in range(1, DELEGATORS_MAX + 1)
    ]
    return [number for number in found if number is not None]


def _find_in_slot(view: View, member: int, proposal_type: int, slot: int, height: int) -> int | None:
    start = SLOTS.key(member, proposal_type, slot, HEIGHT_LAST - height)
    for _, row in SLOTS.scan(view, member, proposal_type, slot, start=start):
        return row[1] if row[2] else None
    return None


def _leave(ctx: Context, member: int, proposal_type: int) -> None:
    for _, row in DELEGATIONS.scan(ctx.view, member, proposal_type):
        _put(ctx, member, proposal_type, row[1], row[2], is_taken=False)
        return


def _put(ctx: Context, member: int, proposal_type: int, other: int, slot: int, is_taken: bool = True) -> None:
    at = HEIGHT_LAST - int(ctx.environment.height)
    row = (SCHEMA, other, slot if is_taken else 0)
    DELEGATIONS.put(ctx.view, DELEGATIONS.key(member, proposal_type, at), row)
    SLOTS.put(ctx.view, SLOTS.key(other, proposal_type, slot, at), (SCHEMA, member, is_taken))
