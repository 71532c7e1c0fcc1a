"""Hearings: who is to lose an office or the membership is heard before the members vote.

A type of proposals may ask for that. Each of its proposals then names a document, which says what the matter
is, and a time in its discussion at which the one concerned is heard, with so much notice as the type gives.

*Source*: contracts.md 5.6 (recall, expulsion: a hearing document).
"""

from typing import Final, TypeAlias

from protocol.contracts.voting.records import ID, PROPOSAL, Policy
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.keys import uint_key
from protocol.vm.kinds import HASH, SECONDS, Field
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

HEARING_TERMS: Final = 2225

NO_DOCUMENT: Final = bytes(32)

HearingRow: TypeAlias = tuple[int, int]
HEARINGS: Final[Table[HearingRow]] = Table(
    ID, 33, "hearing", (uint_key("proposal", 32),), (Field("time", SECONDS),), doc="When somebody is heard."
)
HEARING: Final = EventType(
    ID,
    11,
    "hearing",
    (Field("proposal", PROPOSAL), Field("time", SECONDS), Field("document", HASH)),
    "Before the members vote, somebody is heard about a document.",
)


def check_hearing(ctx: Context, policy: Policy, document: bytes, time: int) -> None:
    """Check that a proposal names a hearing just where its type asks for one, with a document and in time.

    Args:
        time: of the hearing; 0: none is named.

    Raises:
        CallFailed: HEARING_TERMS.
    """
    if bool(time) is not bool(policy.notice):
        fail(HEARING_TERMS, "voting.hearing")
    if not time:
        return
    if document == NO_DOCUMENT:
        fail(HEARING_TERMS, "voting.hearing_document")
    now = int(ctx.environment.time)
    first, last = now + policy.notice, now + policy.discussion
    if not first <= time <= last:
        fail(HEARING_TERMS, "voting.hearing_time", first if time < first else last, time)


def keep_hearing(ctx: Context, number: int, document: bytes, time: int) -> None:
    """Keep with a proposal when somebody is heard about it."""
    HEARINGS.put(ctx.view, HEARINGS.key(number), (SCHEMA, time))
    ctx.emit(HEARING, number, time, document)


def find_hearing(view: View, number: int) -> int | None:
    """Return when somebody is heard about a proposal, or None."""
    row = HEARINGS.get(view, HEARINGS.key(number))
    return None if row is None else row[1]
