"""What members and assessors do: attest, dispute, answer. Nobody sets a score."""

from typing import Final

from protocol.codec import Value
from protocol.contracts.credit.records import (
    ANSWERED,
    ASSESSOR,
    ATTESTED,
    COUNTER,
    DISPUTE,
    DISPUTES,
    DISPUTES_OPEN,
    DISPUTES_OPEN_MAX,
    ID,
    KIND,
    NO_DISPUTE,
    OWN_CASE,
    PART,
    PART_DOC,
    PART_POINTS,
    POINTS,
    RELIEF,
    RELIEF_DAYS_MAX,
    TABLE,
    TERMS,
    TOO_MANY,
    Band,
)
from protocol.contracts.members.records import MEMBER, get_by_account, get_member
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import HASH, U32, Field
from protocol.vm.tables import SCHEMA

SEEN: Final = EventType(
    ID,
    1,
    "attested",
    (Field("member", MEMBER), Field("kind", KIND), Field("until_day", U32)),
    "An assessor has seen what counts for a member.",
)
DISPUTED: Final = EventType(
    ID,
    2,
    "disputed",
    (Field("dispute", DISPUTE), Field("member", MEMBER), Field("part", PART, PART_DOC)),
    "A member says that a part of his score is wrong.",
)
SETTLED: Final = EventType(
    ID,
    3,
    "answered",
    (Field("dispute", DISPUTE), Field("relief", POINTS), Field("document", HASH)),
    "A dispute was answered.",
)


def set_table(ctx: Context, asset: int, bands: tuple[Band, ...], starter: int) -> Value:
    """Set what a score is worth in an asset, from the next application on."""
    floors = [band[0] for band in bands]
    if floors[0] != 0 or floors != sorted(set(floors)):
        fail(TERMS, "credit.bands", 0, floors[0])
    TABLE.put(ctx.view, TABLE.key(asset), (SCHEMA, bands, starter))
    return True


def attest(ctx: Context, member: int, kind: int, until_day: int, document: bytes) -> Value:
    """Say that something counts for a member until a day, in place of what was said before."""
    actor = _check_other(ctx, member)
    key = ATTESTED.key(member, kind)
    if until_day < ctx.environment.day:
        ATTESTED.delete(ctx.view, key)
    else:
        ATTESTED.put(ctx.view, key, (SCHEMA, actor, until_day, document))
    ctx.emit(SEEN, member, kind, until_day)
    return True


def dispute(ctx: Context, owner: Address, part: int, document: bytes) -> Value:
    """Say that a part of one's score is wrong, and why; returns the number of the dispute."""
    view = ctx.view
    member, _ = get_by_account(view, owner)
    row = DISPUTES_OPEN.get(view, DISPUTES_OPEN.key(member))
    count = 0 if row is None else row[1]
    if count >= DISPUTES_OPEN_MAX:
        fail(TOO_MANY, "credit.disputes", DISPUTES_OPEN_MAX, count + 1)
    counter = COUNTER.get(view, COUNTER.key())
    number = 1 if counter is None else counter[1] + 1
    COUNTER.put(view, COUNTER.key(), (SCHEMA, number))
    DISPUTES.put(view, DISPUTES.key(number), (SCHEMA, member, part, document, b"", 0))
    DISPUTES_OPEN.put(view, DISPUTES_OPEN.key(member), (SCHEMA, count + 1))
    ctx.emit(DISPUTED, number, member, part)
    return number


def answer(ctx: Context, number: int, document: bytes, relief: int, days: int) -> Value:
    """Answer a dispute, with points that the member is given back for some days when he is right.

    Rules: 1. once. 2. not in one's own case. 3. relief never lifts a part above its most.
    """
    view = ctx.view
    row = DISPUTES.need(view, DISPUTES.key(number), NO_DISPUTE, "credit.dispute", number)
    _, member, part, reason, before, _ = row
    if before:
        fail(ANSWERED, "credit.answer", None, number)
    _check_other(ctx, member)
    if relief > PART_POINTS[part - 1]:
        fail(TERMS, "credit.relief", PART_POINTS[part - 1], relief)
    if not 0 < days <= RELIEF_DAYS_MAX:
        fail(TERMS, "credit.relief_days", RELIEF_DAYS_MAX, days)
    DISPUTES.put(view, DISPUTES.key(number), (SCHEMA, member, part, reason, document, relief))
    if relief:
        RELIEF.put(view, RELIEF.key(member, part), (SCHEMA, relief, ctx.environment.day + days))
    waiting = DISPUTES_OPEN.get(view, DISPUTES_OPEN.key(member))
    assert waiting is not None, "it was open"
    DISPUTES_OPEN.put(view, DISPUTES_OPEN.key(member), (SCHEMA, waiting[1] - 1))
    ctx.emit(SETTLED, number, relief, document)
    return True


def _check_other(ctx: Context, member: int) -> Address:
    actor = ctx.actor
    assert actor is not None, "somebody holds the role"
    if get_member(ctx.view, member).account == actor:
        fail(OWN_CASE, "credit.own_case", ASSESSOR, actor)
    return actor
