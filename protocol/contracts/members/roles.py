"""Offices: roles with a delay before they take effect, a term that ends, and a guardian who can say no.

An office may act with a delay, too (ADR 22): what its holder does with it must have waited, as a pending
program that everybody can see (`multisig.py`), and its guardian can stop that program.

What counts is what auth says (`auth.ROLES`); this file puts a role there when its delay is over and takes it
away when its term is. Knows no standing (`standing.py`), except that some offices are lost with it.
"""

from typing import Final, TypeAlias

from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.members.records import (
    ACTIVE,
    DUE_PER_BLOCK_MAX,
    ID,
    NOT_ACTIVE,
    OFFICES,
    ROLE,
    ROLE_DUE,
    ROLE_FULL,
    ROLE_HELD,
    ROLE_NOT_HELD,
    ROLE_TERM,
    ROLE_UNKNOWN,
    ROLES,
    OfficeRow,
    RoleRow,
    find_by_account,
    get_member,
)
from protocol.errors import Code
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import GOV, EventType
from protocol.vm.kinds import ADDRESS, BOOL, SECONDS, Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

DEFINED: Final = EventType(ID, 4, "role_defined", (Field("role", ROLE),), "An office has other terms.")
GRANTED: Final = EventType(
    ID,
    5,
    "role_granted",
    (Field("holder", ADDRESS), Field("role", ROLE), Field("effective_at", SECONDS)),
    "An office was given, and takes effect at a time.",
)
TURNED: Final = EventType(
    ID,
    6,
    "role_turned",
    (Field("holder", ADDRESS), Field("role", ROLE), Field("holds", BOOL)),
    "Somebody holds an office from now on, or no more.",
)

RoleChange: TypeAlias = tuple[Address, str, bool]
"""(holder, role, holds it now)"""


def define_role(
    ctx: Context,
    role: str,
    admin: str,
    guardian: str,
    delay_seconds: int,
    term_seconds_max: int,
    holders_max: int,
    members_only: bool,
) -> Value:
    """Set the terms of an office; those who hold it keep what they were given."""
    view, key = ctx.view, ROLES.key(role)
    old = ROLES.get(view, key)
    holders = 0 if old is None else old[7]
    terms = (admin, guardian, delay_seconds, term_seconds_max, holders_max, members_only)
    ROLES.put(view, key, (SCHEMA, *terms, holders))
    ctx.emit(DEFINED, role)
    return True


def delay_role(ctx: Context, role: str, seconds: int) -> Value:
    """Set with which delay an office acts, from now on and for all who hold it."""
    _get_role(ctx.view, role)
    auth.set_role_delay(ctx.view, role, seconds)
    ctx.emit(DEFINED, role)
    return True


def guards_delayed(view: View, guardian: Address, holder: Address) -> bool:
    """Tell whether an account is the guardian of an office that its holder uses with a delay."""
    for name in auth.list_roles(view, holder):
        row = ROLES.get(view, ROLES.key(name)) if auth.get_role_delay(view, name) else None
        if row is not None and row[2] and auth.has_role(view, guardian, row[2]):
            return True
    return False


def grant_role(ctx: Context, holder: Address, role: str, term_seconds: int) -> Value:
    """Give an office; returns the time at which it takes effect."""
    view, now = ctx.view, int(ctx.environment.time)
    row = _get_role(view, role)
    _, admin, _, delay, term_max, holders_max, members_only, holders = row
    _check_authority(ctx, admin, "members.role_admin")
    if term_max and not 0 < term_seconds <= term_max:
        fail(ROLE_TERM, "members.role_term", term_max, term_seconds)
    if OFFICES.get(view, OFFICES.key(holder, role)) is not None:
        fail(ROLE_HELD, "members.role_held", role, holder)
    if holders >= holders_max:
        fail(ROLE_FULL, "members.role_holders", holders_max, holders + 1)
    if members_only and not is_active(view, holder):
        fail(NOT_ACTIVE, "members.role_members_only", role, holder)
    if not auth.is_open(view, holder):
        fail(Code.NO_ACCOUNT, "members.role_holder", role, holder)
    effective_at = now + delay
    term_end = effective_at + term_seconds if term_seconds else 0
    OFFICES.put(view, OFFICES.key(holder, role), (SCHEMA, now, effective_at, term_end, False))
    ROLES.put(view, ROLES.key(role), (*row[:7], holders + 1))
    ctx.emit(GRANTED, holder, role, effective_at)
    if not delay:
        _begin(view, holder, role, (SCHEMA, now, effective_at, term_end, False))
        ctx.emit(TURNED, holder, role, True)
    return effective_at


def cancel_role(ctx: Context, holder: Address, role: str) -> Value:
    """Take back a grant that has not taken effect."""
    row = _get_role(ctx.view, role)
    _check_authority(ctx, row[2], "members.role_guardian")
    office = _get_office(ctx.view, holder, role)
    if office[4] or office[2] <= ctx.environment.time:
        fail(ROLE_HELD, "members.role_in_effect", office[2], int(ctx.environment.time))
    _end(ctx.view, holder, role)
    ctx.emit(TURNED, holder, role, False)
    return True


def revoke_role(ctx: Context, holder: Address, role: str) -> Value:
    """Take an office away at once; the holder may lay it down, too."""
    row = _get_role(ctx.view, role)
    if ctx.actor != holder or ctx.grant:
        _check_authority(ctx, row[1], "members.role_admin")
    _get_office(ctx.view, holder, role)
    _end(ctx.view, holder, role)
    ctx.emit(TURNED, holder, role, False)
    return True


def is_active(view: View, account: Address) -> bool:
    """Tell whether an account is that of an active member."""
    number = find_by_account(view, account)
    return number is not None and get_member(view, number).status == ACTIVE


def strip_roles(view: View, holder: Address) -> None:
    """Take the offices that only active members hold."""
    lost: list[str] = []
    for key, _ in OFFICES.scan(view, holder):
        name = OFFICES.parts(key)[1]
        assert type(name) is str
        lost.append(name)
    for name in lost:
        if _get_role(view, name)[6]:
            _end(view, holder, name)


def settle_roles(view: View, time: int) -> list[RoleChange]:
    """Begin the offices whose delay is over, and end those whose term is; oldest first, at most 100."""
    due: list[tuple[Address, str]] = []
    for at, holder, name in OFFICES.scan_index(view, ROLE_DUE):
        assert type(at) is int and type(holder) is bytes and type(name) is str
        if at > time or len(due) == DUE_PER_BLOCK_MAX:
            break
        due.append((Address(holder), name))
    changes: list[RoleChange] = []
    for address, name in due:
        office = _get_office(view, address, name)
        begins = not office[4] and not 0 < office[3] <= time
        if begins:
            _begin(view, address, name, office)
        else:
            _end(view, address, name)
        changes.append((address, name, begins))
    return changes


def _begin(view: View, holder: Address, role: str, office: OfficeRow) -> None:
    OFFICES.put(view, OFFICES.key(holder, role), (*office[:4], True))
    auth.ROLES.put(view, auth.ROLES.key(holder, role), (SCHEMA, office[2]))


def _end(view: View, holder: Address, role: str) -> None:
    OFFICES.delete(view, OFFICES.key(holder, role))
    auth.ROLES.delete(view, auth.ROLES.key(holder, role))
    row = _get_role(view, role)
    ROLES.put(view, ROLES.key(role), (*row[:7], row[7] - 1))


def _get_role(view: View, role: str) -> RoleRow:
    return ROLES.need(view, ROLES.key(role), ROLE_UNKNOWN, "members.role_unknown", role)


def _get_office(view: View, holder: Address, role: str) -> OfficeRow:
    row = OFFICES.get(view, OFFICES.key(holder, role))
    if row is None:
        fail(ROLE_NOT_HELD, "members.role_not_held", role, holder)
    return row


def _check_authority(ctx: Context, role: str, rule: str) -> None:
    """Check that the call is gov's, or made by a holder of a role. An empty role is held by nobody."""
    if ctx.environment.system == GOV.name:
        return
    actor = ctx.actor
    if (
        not role
        or actor is None
        or ctx.grant
        or not auth.has_role(ctx.view, actor, role, ctx.environment.waited)
    ):
        fail(Code.ROLE, rule, role, actor)
