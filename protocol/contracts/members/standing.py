"""The steps from one standing to another, as one table; what follows from each; what comes due by itself.

Also the doors for the contracts above: ties, paid shares, and what was true at a height. Knows no caller and
no capability (`methods.py`).
"""

from dataclasses import replace
from typing import Final, TypeAlias

from protocol.contracts.ledger.accounts import ACCOUNT as LEDGER_ACCOUNT
from protocol.contracts.ledger.accounts import FROZEN_OUT, MEMBER_FREE
from protocol.contracts.members.records import (
    ACTIVE,
    APPLICANT,
    DECEASED,
    DECLINED,
    DUE_PER_BLOCK_MAX,
    ELIGIBLE,
    EXITED,
    EXITING,
    EXPELLED,
    HEIGHT_LAST,
    ID,
    MEMBER,
    MEMBER_DUE,
    MEMBERS,
    OBLIGED,
    PROBATION,
    RULE_NOT_MET,
    RULES,
    STANDING,
    STANDINGS,
    STATUS,
    SUSPENDED,
    TAGS,
    TIES,
    Member,
    get_member,
    put_member,
)
from protocol.contracts.members.roles import RoleChange, settle_roles, strip_roles
from protocol.money import SECONDS_PER_DAY
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

STEPS: Final[dict[str, tuple[tuple[int, ...], int]]] = {
    "admit": ((APPLICANT,), ACTIVE),  # or PROBATION, when the rules have one
    "decline": ((APPLICANT,), DECLINED),
    "pass": ((PROBATION,), ACTIVE),
    "suspend": ((ACTIVE,), SUSPENDED),
    "confirm": ((SUSPENDED,), SUSPENDED),
    "lift": ((SUSPENDED,), ACTIVE),
    "exit": ((PROBATION, ACTIVE, SUSPENDED), EXITING),
    "leave": ((EXITING, DECEASED), EXITED),
    "expel": ((PROBATION, ACTIVE, SUSPENDED), EXPELLED),
    "report_death": ((PROBATION, ACTIVE, SUSPENDED, EXITING), DECEASED),
    "refute_death": ((DECEASED,), ACTIVE),  # or what it was before
}
"""Every step: from which standings, and to which. What is not here is refused with STANDING."""

CHANGED: Final = EventType(
    ID,
    3,
    "changed",
    (Field("member", MEMBER), Field("from", STATUS), Field("to", STATUS)),
    "A member is in another standing.",
)

Change: TypeAlias = tuple[int, int, int]
"""(member, from, to)"""


def check_step(member: Member, step: str) -> int:
    """Return the standing that a step leads to.

    Raises:
        CallFailed: STANDING, with the standing that forbids it.
    """
    before, after = STEPS[step]
    if member.status not in before:
        fail(STANDING, f"members.{step}", None, member.status)
    return after


def change(ctx: Context, number: int, member: Member, status: int, until: int = 0, by: bytes = b"") -> Member:
    """Write another standing with everything that follows from it, and say so."""
    changed = _change(ctx.view, ctx.environment.height, number, member, status, until, by)
    if changed.status == EXITED or changed.status == DECLINED:
        _free_tag(ctx.view, changed)
    ctx.emit(CHANGED, number, member.status, status)
    return changed


def _change(
    view: View, height: int, number: int, member: Member, status: int, until: int, by: bytes
) -> Member:
    changed = replace(member, status=status, until=until, by=by, before=member.status)
    put_member(view, number, changed)
    STANDINGS.put(view, STANDINGS.key(number, HEIGHT_LAST - height), (SCHEMA, status))
    step = (status == ACTIVE) - (member.status == ACTIVE)
    if step:
        count = _newest_count(view, height) + step
        ELIGIBLE.put(view, ELIGIBLE.key(HEIGHT_LAST - height), (SCHEMA, count))
    if member.status == ACTIVE and status != ACTIVE:
        strip_roles(view, member.account)
    return changed


def begin_history(view: View, height: int, number: int) -> None:
    """Write the first standing of an application."""
    STANDINGS.put(view, STANDINGS.key(number, HEIGHT_LAST - height), (SCHEMA, APPLICANT))


def _free_tag(view: View, member: Member) -> None:
    if member.tag:
        TAGS.delete(view, TAGS.key(member.tag))


def freeze_free_balance(view: View, account: Address, on: bool) -> None:
    """Stop what leaves the free balance of an account in every asset, or let it leave again."""
    found = list(LEDGER_ACCOUNT.scan(view, account, MEMBER_FREE))
    for key, row in found:
        flags = row[1] | FROZEN_OUT if on else row[1] & ~FROZEN_OUT
        LEDGER_ACCOUNT.put(view, key, (row[0], flags, *row[2:]))


# --- admission


def check_rule(view: View, member: Member, day: int) -> int:
    """Check that an applicant meets the rule of admission; returns the days of probation.

    Raises:
        CallFailed: RULE_NOT_MET, with what is asked and what is there.
    """
    rules = RULES.get(view, RULES.key())
    if rules is None:
        fail(RULE_NOT_MET, "members.rules")
    _, _, fee, shares, level, probation_days, _ = rules
    if member.kyc_level < level:
        fail(RULE_NOT_MET, "members.kyc_level", level, member.kyc_level)
    if level and member.kyc_until < day:
        fail(RULE_NOT_MET, "members.kyc_until", day, member.kyc_until)
    if member.fee_paid < fee:
        fail(RULE_NOT_MET, "members.entry_fee", fee, member.fee_paid)
    if member.shares_paid < shares:
        fail(RULE_NOT_MET, "members.shares", shares, member.shares_paid)
    return probation_days


def admit(ctx: Context, number: int, member: Member) -> int:
    """Admit an applicant who meets the rule; returns the new standing.

    Raises:
        CallFailed: STANDING, RULE_NOT_MET.
    """
    after = check_step(member, "admit")
    environment = ctx.environment
    probation_days = check_rule(ctx.view, member, environment.day)
    joined = replace(member, joined_height=int(environment.height), joined_day=environment.day)
    if probation_days:
        until = environment.time + probation_days * SECONDS_PER_DAY
        return change(ctx, number, joined, PROBATION, until).status
    return change(ctx, number, joined, after).status


def admit_if_met(ctx: Context, number: int) -> int:
    """Admit an applicant when the rules admit by themselves and are met; returns the standing.

    *Rule*: called wherever something changes that the rule asks for.
    """
    view = ctx.view
    member = get_member(view, number)
    rules = RULES.get(view, RULES.key())
    if member.status != APPLICANT or rules is None or not rules[6]:
        return member.status
    _, _, fee, shares, level, _, _ = rules
    is_attested = member.kyc_level >= level and (not level or member.kyc_until >= ctx.environment.day)
    if not is_attested or member.fee_paid < fee or member.shares_paid < shares:
        return member.status
    return admit(ctx, number, member)


# --- doors for the contracts above


def set_shares_paid(ctx: Context, number: int, amount: int) -> int:
    """Say how much share capital a member has paid in; returns the standing, which may follow from it."""
    view = ctx.view
    put_member(view, number, replace(get_member(view, number), shares_paid=amount))
    return admit_if_met(ctx, number)


def bind(view: View, number: int, contract: int) -> None:
    """Keep a member from leaving: one more obligation of a contract."""
    key = TIES.key(number, contract)
    row = TIES.get(view, key)
    TIES.put(view, key, (SCHEMA, 1 if row is None else row[1] + 1))


def unbind(view: View, number: int, contract: int) -> None:
    """Take back one `bind`."""
    key = TIES.key(number, contract)
    row = TIES.get(view, key)
    assert row is not None, "every unbind has had its bind"
    if row[1] == 1:
        TIES.delete(view, key)
    else:
        TIES.put(view, key, (SCHEMA, row[1] - 1))


def check_free(view: View, number: int) -> None:
    """Check that nothing keeps a member from leaving.

    Raises:
        CallFailed: OBLIGED, with the contract that says so.
    """
    for key, _ in TIES.scan(view, number):
        contract = TIES.parts(key)[1]
        fail(OBLIGED, "members.obligation", 0, contract)


def find_standing(view: View, number: int, height: int) -> int | None:
    """Return the standing of a member after the block of a height, or None before the application.

    Cost: one seek.
    """
    if not 0 <= height <= HEIGHT_LAST:
        return None
    for _, row in STANDINGS.scan(view, number, start=STANDINGS.key(number, HEIGHT_LAST - height)):
        return row[1]
    return None


def count_eligible(view: View, height: int) -> int:
    """Return the number of active members after the block of a height. One seek."""
    return _newest_count(view, min(max(height, 0), HEIGHT_LAST))


def _newest_count(view: View, height: int) -> int:
    for _, row in ELIGIBLE.scan(view, start=ELIGIBLE.key(HEIGHT_LAST - height)):
        return row[1]
    return 0


# --- what comes due


def settle_due(view: View, height: int, time: int) -> tuple[list[Change], list[RoleChange]]:
    """End probations and suspensions whose time has come, and begin and end offices; oldest first.

    *Rule*: at most 100 of each; the rest waits for the next step. It needs no authority, so anybody may
    cause it, and a block may do it by itself.

    Returns: what changed, for those who say it.
    """
    due: list[int] = []
    for until, number in MEMBERS.scan_index(view, MEMBER_DUE):
        assert type(until) is int and type(number) is int
        if until > time or len(due) == DUE_PER_BLOCK_MAX:
            break
        due.append(number)
    changes: list[Change] = []
    for number in due:
        member = get_member(view, number)
        _change(view, height, number, member, ACTIVE, 0, b"")
        changes.append((number, member.status, ACTIVE))
    return changes, settle_roles(view, time)
