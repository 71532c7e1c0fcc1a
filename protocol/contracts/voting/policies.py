"""Policies: who sets them, what every policy keeps, and that no vote loosens what binds itself."""

from dataclasses import replace
from typing import Final

from protocol.codec import Value
from protocol.contracts.registry.doors import CANCELLED_BY, RETURN_METHODS, take_over
from protocol.contracts.registry.records import ID as REGISTRY_ID
from protocol.contracts.shares.records import CLASS
from protocol.contracts.voting.deadlines import set_calendar
from protocol.contracts.voting.leaving import set_retention
from protocol.contracts.voting.records import (
    BY_SHARES,
    COUNTER,
    ID,
    POLICIES,
    POLICY,
    TYPE,
    WEAKENS_ITSELF,
    Policy,
    find_policy,
    get_frozen,
    get_proposal,
)
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import U32, Field
from protocol.vm.tables import pack_record

POLICY_SET: Final = EventType(
    ID,
    1,
    "policy_set",
    (Field("type", TYPE), Field("version", U32)),
    "A type of proposals is decided by other rules from now on; open proposals keep theirs.",
)


def set_policy(ctx: Context, proposal_type: int, *values: Value) -> Value:
    """Set what it takes to decide a type; returns the version.

    Rules: 1. methods of voting itself may be called by no program, but those that set its rules. 2. who
        votes by shares decides on a class of shares and nothing else. 3. a sealed vote does not end early;
        what can be stopped waits before it runs. 4. what leads back to Raft takes the majority of a bylaw,
        and is no matter of the council any more; who may cancel a decision of the registry may make it. 5. a
        hearing lies in the discussion. 6. a proposal of this very type never lowers its own quorum, majority,
        least yes, waiting times or sponsors, nor makes it harder to stop, nor widens what it may call. 7. nor
        does it give the setting of policies to a type that is easier to pass: what binds it cannot be walked
        around.
    """
    view = ctx.view
    new = Policy(*values)  # type: ignore[arg-type]
    _check(ctx, new)
    old = find_policy(view, proposal_type)
    counter = COUNTER.get(view, COUNTER.key())
    if counter is not None and counter[2]:
        _check_locked(ctx, counter[2], proposal_type, old, new)
    new = replace(new, version=1 if old is None else old.version + 1)
    POLICIES.put(view, POLICIES.key(proposal_type), pack_record(new))
    for contract, method in _RETURNS:
        if (contract, method) in new.methods:
            take_over(ctx.enter(REGISTRY_ID), method)
    ctx.emit(POLICY_SET, proposal_type, new.version)
    return new.version


_OPEN_TO_VOTES: Final = (set_policy, set_retention, set_calendar)
"""What of voting itself a program may call."""


BYLAW: Final = (("quorum_bp", 3_000), ("approval_bp", 6_670), ("least_yes_bp", 2_500))
"""What a bylaw takes at least, and with it the way back to Raft, in every co-op."""
_RETURNS: Final = tuple([(REGISTRY_ID, method) for method in RETURN_METHODS])
_CANCELS: Final[dict[tuple[int, int], tuple[int, int]]] = {
    (REGISTRY_ID, cancel): (REGISTRY_ID, decide) for decide, cancel in CANCELLED_BY.items()
}


def _check(ctx: Context, policy: Policy) -> None:
    if len(set(policy.methods)) != len(policy.methods):
        fail(POLICY, "voting.method_once")
    for contract, method in policy.methods:
        found = ctx.registry.methods.get((contract, method))
        if found is None or (contract == ID and found[1].run not in _OPEN_TO_VOTES):
            fail(POLICY, "voting.method", contract, method)
        if policy.weight == BY_SHARES and all(field.kind is not CLASS for field in found[1].arguments):
            fail(POLICY, "voting.share_class", contract, method)
    _check_consensus(policy)
    if policy.notice > policy.discussion:
        fail(POLICY, "voting.notice", policy.discussion, policy.notice)
    if policy.notice and policy.sponsors:
        fail(POLICY, "voting.notice_or_sponsors", 0, policy.sponsors)
    if policy.veto_bp and policy.veto_role:
        fail(POLICY, "voting.veto_once", 0, policy.veto_bp)
    if (policy.veto_bp or policy.veto_role) and not policy.timelock:
        fail(POLICY, "voting.veto_timelock", 1, 0)
    if policy.sealed and policy.early:
        fail(POLICY, "voting.sealed_or_early")
    if policy.early and policy.replace:
        fail(POLICY, "voting.early_or_replace")
    if policy.quiet > policy.voting:
        fail(POLICY, "voting.quiet", policy.voting, policy.quiet)


def _check_consensus(policy: Policy) -> None:
    """Check that members lower what protects the chain by no less than a bylaw, and cancel as they decide."""
    for method in policy.methods:
        for name, least in BYLAW if method in _RETURNS else ():
            if getattr(policy, name) < least:
                fail(POLICY, f"voting.{name}", least, getattr(policy, name))
        decides = _CANCELS.get(method)
        if decides is not None and decides not in policy.methods:
            fail(POLICY, "voting.cancels", *decides)


def _check_locked(ctx: Context, running: int, proposal_type: int, old: Policy | None, new: Policy) -> None:
    """Check that the proposal which runs loosens nothing that binds it, here or by way of another type."""
    if get_proposal(ctx.view, running).type == proposal_type:
        assert old is not None, "a proposal has a type"
        _check_not_weaker(old, new)
        for contract, method in new.methods:
            if (contract, method) not in old.methods:
                fail(WEAKENS_ITSELF, "voting.method", contract, method)
    elif any(contract == ID for contract, _ in new.methods):
        _check_not_weaker(get_frozen(ctx.view, running), new)


def _check_not_weaker(old: Policy, new: Policy) -> None:
    names = (
        *("quorum_bp", "approval_bp", "least_yes_bp", "member_days", "sponsors", "notice"),
        *("discussion", "voting", "timelock", "cooldown"),
    )
    for name in names:
        least, asked = getattr(old, name), getattr(new, name)
        if asked < least:
            fail(WEAKENS_ITSELF, f"voting.{name}", least, asked)
    if (old.weight, old.share_class) != (new.weight, new.share_class) or old.cap_bp < new.cap_bp:
        fail(WEAKENS_ITSELF, "voting.weight", old.weight, new.weight)
    if (old.two_readings and not new.two_readings) or (new.early and not old.early):
        fail(WEAKENS_ITSELF, "voting.two_readings")
    if old.veto_role and old.veto_role != new.veto_role:
        fail(WEAKENS_ITSELF, "voting.veto_role", old.veto_role, new.veto_role)
    if old.veto_bp and not 0 < new.veto_bp <= old.veto_bp:
        fail(WEAKENS_ITSELF, "voting.veto_bp", old.veto_bp, new.veto_bp)
