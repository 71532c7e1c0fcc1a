"""Leaving over a decision: who voted against may take the shares out before it counts, and too many end it.

A type of proposals may have terms for it: most members, and most shares of a class, that may leave while a
proposal of the type waits for its time lock, in basis points of the electorate. Who voted no or abstained
leaves at the price that everybody gets, ahead of the queue; the membership ends in the usual way. When more
leave than the terms allow, the proposal has failed. The terms are frozen when the proposal is made.

Knows no price and no queue (`shares/queue.py`).

*Source*: contracts.md 5.7 (ragequit). *Departs*: terms are a record of their own and not a part of the
policy, since most types have none; who has left stays out when the proposal fails by it.
"""

from typing import Final, TypeAlias

from protocol import codec
from protocol.codec import Value
from protocol.contracts.members.records import MEMBER, get_by_account
from protocol.contracts.members.standing import change, check_step, count_eligible
from protocol.contracts.shares.queue import REDEEM_ALL_METHOD
from protocol.contracts.shares.records import HOLDINGS, count_issued_at
from protocol.contracts.shares.records import ID as SHARES_ID
from protocol.contracts.voting.records import (
    BALLOTS,
    BASIS_POINTS,
    COUNTER,
    ID,
    NOT_ELIGIBLE,
    PASSED,
    POLICY,
    PROPOSAL,
    STATE,
    WEAKENS_ITSELF,
    YES,
    Proposal,
    get_policy,
    get_proposal,
)
from protocol.elections.decision import WHOLE_BP
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.keys import uint_key
from protocol.vm.kinds import U32, U63, Field
from protocol.vm.program import NO_ACTOR
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

NO_LEAVING: Final = 2224

RetentionRow: TypeAlias = tuple[int, int]
LeavingRow: TypeAlias = tuple[int, int, int]
SharesRow: TypeAlias = tuple[int, int]

_RETENTION: Final = Field("retention_bp", BASIS_POINTS, "most that may leave; 0: nobody leaves over it")
RETENTIONS: Final[Table[RetentionRow]] = Table(
    ID, 23, "retention", (uint_key("type", 8),), (_RETENTION,), doc="Who may leave over which type."
)
LEAVING: Final[Table[LeavingRow]] = Table(
    ID,
    24,
    "leaving",
    (uint_key("proposal", 32),),
    (_RETENTION, Field("members", U32, "who have left over it")),
    doc="The terms of a proposal, as they were when it was made, and how many have left.",
)
LEFT_SHARES: Final[Table[SharesRow]] = Table(
    ID,
    25,
    "left_shares",
    (uint_key("proposal", 32), uint_key("class", 16)),
    (Field("shares", U63),),
    doc="Shares that were taken out over a proposal.",
)
LEFT: Final = EventType(
    ID,
    9,
    "left",
    (Field("proposal", PROPOSAL), Field("member", MEMBER), Field("shares", U63)),
    "A member leaves over a decision, with all shares that are free.",
)


def set_retention(ctx: Context, proposal_type: int, retention_bp: int) -> Value:
    """Set how many may leave over a type that waits; its own vote never makes that more, or nobody."""
    view = ctx.view
    policy = get_policy(view, proposal_type)
    if retention_bp and not policy.timelock:
        fail(POLICY, "voting.retention_timelock", 1, 0)
    key = RETENTIONS.key(proposal_type)
    old, counter = RETENTIONS.get(view, key), COUNTER.get(view, COUNTER.key())
    is_own = counter is not None and counter[2] and get_proposal(view, counter[2]).type == proposal_type
    if is_own and old is not None and not 0 < retention_bp <= old[1]:
        fail(WEAKENS_ITSELF, "voting.retention_bp", old[1], retention_bp)
    if retention_bp:
        RETENTIONS.put(view, key, (SCHEMA, retention_bp))
    else:
        RETENTIONS.delete(view, key)
    return True


def freeze_terms(view: View, number: int, proposal_type: int) -> None:
    """Keep with a proposal what its type says about leaving, if it says anything."""
    row = RETENTIONS.get(view, RETENTIONS.key(proposal_type))
    if row is not None:
        LEAVING.put(view, LEAVING.key(number), (SCHEMA, row[1], 0))


def carry_terms(view: View, number: int, first: int) -> None:
    """Keep with a second reading what its first one says about leaving."""
    row = LEAVING.get(view, LEAVING.key(first))
    if row is not None:
        LEAVING.put(view, LEAVING.key(number), (SCHEMA, row[1], 0))


def begin_leaving(ctx: Context, account: Address, number: int) -> tuple[int, bytes]:
    """Let a member leave over a proposal; returns the member, and the program that pays the shares.

    Rules: 1. it has passed and waits for its time lock. 2. the member himself voted no or abstained. 3. all
        shares that are not pledged go.
    """
    view, now = ctx.view, int(ctx.environment.time)
    proposal, row = get_proposal(view, number), LEAVING.get(view, LEAVING.key(number))
    if row is None:
        fail(NO_LEAVING, "voting.retention", None, number)
    if proposal.state != PASSED or now >= proposal.ready:
        fail(STATE, "voting.leave", PASSED, proposal.state)
    member, record = get_by_account(view, account)
    ballot = BALLOTS.get(view, BALLOTS.key(number, member))
    if ballot is None or ballot[1] == YES:
        fail(NOT_ELIGIBLE, "voting.voted_against", None, member)
    change(ctx, member, record, check_step(record, "exit"))
    shares = 0
    for key, holding in HOLDINGS.page_rows(view, member):
        share_class = key[1]
        left_key = LEFT_SHARES.key(number, share_class)
        left = LEFT_SHARES.get(view, left_key)
        free = holding[1] - holding[3]
        LEFT_SHARES.put(view, left_key, (SCHEMA, free + (0 if left is None else left[1])))
        shares += free
    LEAVING.put(view, LEAVING.key(number), (SCHEMA, row[1], row[2] + 1))
    ctx.emit(LEFT, number, member, shares)
    if not shares:
        return member, b""
    shares_contract = ctx.registry.by_id[SHARES_ID]
    call = (SHARES_ID, REDEEM_ALL_METHOD, NO_ACTOR, (member,))
    return member, codec.encode((((SHARES_ID, shares_contract.version),), (call,)))


def have_too_many_left(view: View, number: int, proposal: Proposal) -> bool:
    """Tell whether more members, or shares of a class, have left over a proposal than its terms allow."""
    row = LEAVING.get(view, LEAVING.key(number))
    assert row is not None, "somebody leaves"
    if row[2] * WHOLE_BP > row[1] * count_eligible(view, proposal.snapshot):
        return True
    for key, left in LEFT_SHARES.scan(view, number):
        share_class = LEFT_SHARES.parts(key)[1]
        assert type(share_class) is int
        if left[1] * WHOLE_BP > row[1] * count_issued_at(view, share_class, proposal.snapshot):
            return True
    return False
