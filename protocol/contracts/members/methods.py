"""What a program can do with memberships: apply, attest, admit, suspend, leave, and what follows a death.

The table of steps and their consequences is `standing.py`; who may call is in the schema, `contract.py`.
"""

from dataclasses import replace
from typing import Final

from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.ledger.accounts import FEE_INCOME, MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.legs import leg
from protocol.contracts.members.records import (
    APPLICANT,
    BOARD,
    COUNTER,
    DECEASED,
    DUPLICATE,
    ESTATE_SECONDS,
    EXITING,
    FEE_PAID,
    HAS_APPLIED,
    HEARING_SECONDS,
    HEARINGS,
    ID,
    LEVEL,
    MEMBER,
    MEMBER_KIND,
    OPEN_STATUSES,
    PROBATION,
    RULE_NOT_MET,
    RULES,
    SECOND_PERSON,
    STANDING,
    SUSPENDED,
    SUSPENSION_SECONDS,
    TAGS,
    TOO_EARLY,
    Member,
    find_by_account,
    get_by_account,
    get_member,
    put_member,
)
from protocol.contracts.members.roles import TURNED
from protocol.contracts.members.standing import (
    CHANGED,
    admit,
    admit_if_met,
    begin_history,
    change,
    check_free,
    check_step,
    freeze_free_balance,
    settle_due,
)
from protocol.errors import Code
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import GOV, EventType
from protocol.vm.kinds import ADDRESS, AMOUNT, HASH, SECONDS, Field
from protocol.vm.tables import SCHEMA

CODE_ENTRY_FEE: Final = 1702
CODE_FEE_BACK: Final = 1704

APPLIED: Final = EventType(
    ID,
    1,
    "applied",
    (Field("member", MEMBER), Field("account", ADDRESS), Field("kind", MEMBER_KIND)),
    "Somebody wants to join.",
)
ATTESTED: Final = EventType(
    ID,
    2,
    "attested",
    (Field("member", MEMBER), Field("level", LEVEL), Field("evidence", HASH)),
    "A registrar has seen who a member is.",
)
FEE_EVENT: Final = EventType(
    ID, 7, "fee_paid", (Field("member", MEMBER), Field("amount", AMOUNT)), "An entry fee was paid."
)
DOCUMENT: Final = EventType(
    ID, 8, "document", (Field("member", MEMBER), Field("document", HASH)), "What a decision rests on."
)
HEARING: Final = EventType(
    ID,
    9,
    "hearing",
    (Field("member", MEMBER), Field("from_time", SECONDS), Field("document", HASH)),
    "An expulsion was announced; it can be decided from that time on.",
)
ESTATE: Final = EventType(
    ID,
    10,
    "estate",
    (Field("member", MEMBER), Field("executor", ADDRESS)),
    "An executor acts for the account of a deceased member.",
)


# --- joining


def set_rules(
    ctx: Context, asset: int, fee: int, shares: int, level: int, probation_days: int, by_itself: bool
) -> Value:
    """Set what admission asks for."""
    RULES.put(ctx.view, RULES.key(), (SCHEMA, asset, fee, shares, level, probation_days, by_itself))
    return True


def apply(ctx: Context, kind: int, account: Address, kyc_commit: bytes, referrer: int | None) -> Value:
    """Open an application; returns the member's number."""
    view = ctx.view
    held = find_by_account(view, account)
    if held is not None:
        fail(HAS_APPLIED, "members.one_for_each_account", held, account)
    if referrer is not None:
        get_member(view, referrer)
    auth.open_account(view, account)
    counter = COUNTER.get(view, COUNTER.key())
    number = 1 if counter is None else counter[1] + 1
    COUNTER.put(view, COUNTER.key(), (SCHEMA, number))
    new = Member(kind, account, APPLICANT, 0, 0, kyc_commit, 0, 0, b"", referrer or 0, 0, 0, 0, 0, 0, b"")
    put_member(view, number, new)
    begin_history(view, int(ctx.environment.height), number)
    ctx.emit(APPLIED, number, account, kind)
    return number


def attest_kyc(ctx: Context, number: int, level: int, until: int, evidence: bytes, tag: bytes) -> Value:
    """Attest a level until a day; returns the standing, since an applicant may be admitted by it."""
    view = ctx.view
    member = get_member(view, number)
    if member.status not in OPEN_STATUSES:
        fail(STANDING, "members.attest_kyc", None, member.status)
    if ctx.actor == member.account:
        fail(SECOND_PERSON, "members.attest_oneself", None, member.account)
    taken = TAGS.get(view, TAGS.key(tag))
    if taken is not None and taken[1] != number:
        fail(DUPLICATE, "members.tag", taken[1], number)
    if member.tag and member.tag != tag:
        TAGS.delete(view, TAGS.key(member.tag))
    TAGS.put(view, TAGS.key(tag), (SCHEMA, number))
    put_member(view, number, replace(member, kyc_level=level, kyc_until=until, tag=tag))
    ctx.emit(ATTESTED, number, level, evidence)
    return admit_if_met(ctx, number)


def update_kyc(ctx: Context, account: Address, kyc_commit: bytes) -> Value:
    """Replace the commitment; what was attested counts no more until a registrar has looked again."""
    number, member = get_by_account(ctx.view, account)
    put_member(ctx.view, number, replace(member, kyc_commit=kyc_commit, kyc_level=0, kyc_until=0))
    return number


def pay_fee(ctx: Context, account: Address) -> Value:
    """Pay the entry fee that the rules ask; returns the amount."""
    view = ctx.view
    number, member = get_by_account(view, account)
    if member.status != APPLICANT:
        fail(STANDING, "members.pay_fee", None, member.status)
    rules = RULES.get(view, RULES.key())
    if rules is None:
        fail(RULE_NOT_MET, "members.rules")
    asset, fee = rules[1:3]
    owed = fee - (member.fee_paid if member.fee_asset in (0, asset) else fee)
    if owed <= 0:
        fail(FEE_PAID, "members.entry_fee", fee, member.fee_paid)
    income = account_key(ctx.contract.address, FEE_INCOME, asset)
    open_account(view, income)
    leg(ctx, account_key(account, MEMBER_FREE, asset), income, owed, CODE_ENTRY_FEE)
    put_member(view, number, replace(member, fee_asset=asset, fee_paid=member.fee_paid + owed))
    ctx.emit(FEE_EVENT, number, owed)
    admit_if_met(ctx, number)
    return owed


def admit_member(ctx: Context, number: int) -> Value:
    """Admit an applicant who meets the rule."""
    return admit(ctx, number, get_member(ctx.view, number))


def decline(ctx: Context, number: int) -> Value:
    """End an application, by the board or by the applicant; an entry fee goes back."""
    view = ctx.view
    member = get_member(view, number)
    after = check_step(member, "decline")
    if ctx.actor != member.account or ctx.grant:
        _check_board(ctx)
    check_free(view, number)
    if member.fee_paid:
        income = account_key(ctx.contract.address, FEE_INCOME, member.fee_asset)
        payee = account_key(member.account, MEMBER_FREE, member.fee_asset)
        leg(ctx, income, payee, member.fee_paid, CODE_FEE_BACK)
    return change(ctx, number, replace(member, fee_paid=0), after).status


# --- suspension and expulsion


def suspend(ctx: Context, number: int, document: bytes) -> Value:
    """Suspend a member for 60 days; returns the time at which it ends unless it is confirmed."""
    member = get_member(ctx.view, number)
    after = check_step(member, "suspend")
    until = ctx.environment.time + SUSPENSION_SECONDS
    change(ctx, number, member, after, until, ctx.actor or b"")
    ctx.emit(DOCUMENT, number, document)
    return until


def confirm_suspension(ctx: Context, number: int, document: bytes) -> Value:
    """Let a suspension last, by somebody other than who suspended."""
    member = get_member(ctx.view, number)
    check_step(member, "confirm")
    _check_second(ctx, member)
    put_member(ctx.view, number, replace(member, until=0))
    ctx.emit(DOCUMENT, number, document)
    return True


def lift_suspension(ctx: Context, number: int) -> Value:
    """End a suspension."""
    member = get_member(ctx.view, number)
    return change(ctx, number, member, check_step(member, "lift")).status


def announce_expulsion(ctx: Context, number: int, document: bytes) -> Value:
    """Announce that an expulsion will be decided; returns the time from which it can be."""
    member = get_member(ctx.view, number)
    check_step(member, "expel")
    from_time = ctx.environment.time + HEARING_SECONDS
    HEARINGS.put(ctx.view, HEARINGS.key(number), (SCHEMA, from_time, document))
    ctx.emit(HEARING, number, from_time, document)
    return from_time


def expel(ctx: Context, number: int) -> Value:
    """Expel a member after the hearing; what is theirs stays theirs."""
    view, now = ctx.view, int(ctx.environment.time)
    member = get_member(view, number)
    after = check_step(member, "expel")
    hearing = HEARINGS.get(view, HEARINGS.key(number))
    if hearing is None or now < hearing[1]:
        fail(TOO_EARLY, "members.hearing", None if hearing is None else hearing[1], now)
    HEARINGS.delete(view, HEARINGS.key(number))
    return change(ctx, number, member, after).status


# --- leaving


def exit_member(ctx: Context, account: Address) -> Value:
    """Begin to leave: the vote ends at once, shares can be redeemed in full."""
    number, member = get_by_account(ctx.view, account)
    return change(ctx, number, member, check_step(member, "exit")).status


def leave(ctx: Context, number: int) -> Value:
    """End a membership that nothing holds any more; anybody may do it."""
    member = get_member(ctx.view, number)
    after = check_step(member, "leave")
    check_free(ctx.view, number)
    if member.status == DECEASED and member.until:
        fail(TOO_EARLY, "members.estate", member.until + ESTATE_SECONDS, int(ctx.environment.time))
    return change(ctx, number, member, after).status


def report_death(ctx: Context, number: int, document: bytes) -> Value:
    """Record a death: the vote ends, and the free balance is frozen until the estate is opened."""
    member = get_member(ctx.view, number)
    after = check_step(member, "report_death")
    change(ctx, number, member, after, int(ctx.environment.time), ctx.actor or b"")
    freeze_free_balance(ctx.view, member.account, True)
    ctx.emit(DOCUMENT, number, document)
    return True


def refute_death(ctx: Context, account: Address) -> Value:
    """Say, under the member's own key, that the report was wrong; only before the estate is opened."""
    number, member = get_by_account(ctx.view, account)
    after = check_step(member, "refute_death")
    if not member.until:
        fail(STANDING, "members.estate_open", None, member.status)
    now = int(ctx.environment.time)
    freeze_free_balance(ctx.view, account, False)
    if member.before == SUSPENDED:
        return change(ctx, number, member, SUSPENDED, now + SUSPENSION_SECONDS).status
    if member.before == PROBATION:
        return change(ctx, number, member, PROBATION, now + 1).status
    return change(ctx, number, member, EXITING if member.before == EXITING else after).status


def open_estate(ctx: Context, number: int, executor: Address, document: bytes) -> Value:
    """Let an executor act for the account of the deceased, by somebody other than who reported the death."""
    view, now = ctx.view, int(ctx.environment.time)
    member = get_member(view, number)
    if member.status != DECEASED or not member.until:
        fail(STANDING, "members.open_estate", None, member.status)
    _check_second(ctx, member)
    if now < member.until + ESTATE_SECONDS:
        fail(TOO_EARLY, "members.estate", member.until + ESTATE_SECONDS, now)
    if executor == member.account or not auth.is_open(view, executor):
        fail(Code.NO_ACCOUNT, "members.executor", None, executor)
    auth.replace_policy(view, member.account, (1, ((1, executor, 1),)))  # whatever the executor signs
    freeze_free_balance(view, member.account, False)
    put_member(view, number, replace(member, until=0))
    ctx.emit(ESTATE, number, executor)
    ctx.emit(DOCUMENT, number, document)
    return True


# --- what comes due


def settle(ctx: Context) -> Value:
    """Do what has come due; returns how many things."""
    changes, roles = settle_due(ctx.view, int(ctx.environment.height), int(ctx.environment.time))
    for number, before, after in changes:
        ctx.emit(CHANGED, number, before, after)
    for holder, role, holds in roles:
        ctx.emit(TURNED, holder, role, holds)
    return len(changes) + len(roles)


# --- who may


def _check_board(ctx: Context) -> None:
    from_gov = ctx.environment.system == GOV.name
    actor = ctx.actor
    if not from_gov and (actor is None or not auth.has_role(ctx.view, actor, BOARD, ctx.environment.waited)):
        fail(Code.ROLE, "members.board", BOARD, actor)


def _check_second(ctx: Context, member: Member) -> None:
    """Check that a second person decides, not the one who began nor the one it is about."""
    if ctx.environment.system != GOV.name and ctx.actor in (member.by, member.account):
        fail(SECOND_PERSON, "members.second_person", None, ctx.actor)
