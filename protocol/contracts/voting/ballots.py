"""Casting votes: open ones, sealed ones, changed ones, and those that delegates carry.

Every weight is in the tally the moment it is cast. A sealed ballot takes part at once, as an abstention, and
counts as what it says when it is opened; so who never opens it has taken part and no more.
"""

from dataclasses import replace
from typing import Final

from protocol import codec, crypto
from protocol.codec import Value
from protocol.contracts.members.records import MEMBER, get_by_account
from protocol.contracts.voting.deadlines import CLOSE_METHOD, call_later, find_end
from protocol.contracts.voting.records import (
    ABSTAIN,
    BALLOTS,
    CHOICE,
    ID,
    NOT_ALLOWED,
    NOT_SEALED,
    OPEN,
    OTHER_BALLOT,
    PROGRAM_KIND,
    PROPOSAL,
    SEALED,
    SEALED_BALLOTS,
    STATE,
    TALLIES,
    TOO_EARLY,
    VOTED,
    YES,
    Policy,
    Proposal,
    get_frozen,
    get_proposal,
    get_tally,
    put_proposal,
    read_tally,
)
from protocol.contracts.voting.weights import find_delegate, find_weight, is_eligible, list_delegators
from protocol.elections.decision import Outcome, Tally, decide, foresee
from protocol.types import Address, Hash32
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import SECONDS, U63, Field
from protocol.vm.tables import SCHEMA

CAST: Final = EventType(
    ID,
    2,
    "cast",
    (
        Field("proposal", PROPOSAL),
        Field("member", MEMBER),
        Field("choice", CHOICE, "3 for a sealed ballot"),
        Field("weight", U63, "with what it carries"),
    ),
    "A member voted, or changed his vote.",
)
EXTENDED: Final = EventType(
    ID,
    3,
    "extended",
    (Field("proposal", PROPOSAL), Field("ends", SECONDS)),
    "The result turned close to the end, so the vote takes longer.",
)


def compute_commitment(genesis_hash: Hash32, proposal: int, member: int, choice: int, salt: bytes) -> Hash32:
    """Compute what a sealed ballot shows: bound to chain, proposal and member, so nobody can copy it."""
    return crypto.sha256(codec.encode(("ballot", genesis_hash, proposal, member, choice, salt)))


def vote(ctx: Context, account: Address, number: int, choice: int) -> Value:
    """Vote; returns the weight, with what it carries."""
    proposal, policy = find_open(ctx, number)
    if proposal.kind != PROGRAM_KIND:
        fail(NOT_ALLOWED, "voting.kind", PROGRAM_KIND, proposal.kind)
    if policy.sealed:
        fail(SEALED, "voting.sealed", None, number)
    member, _ = get_by_account(ctx.view, account)
    before = read_tally(get_tally(ctx.view, number))
    weight = _cast(ctx, number, proposal, policy, member, choice)
    _watch_end(ctx, number, proposal, policy, before)
    return weight


def commit(ctx: Context, account: Address, number: int, commitment: bytes) -> Value:
    """Leave a sealed ballot; returns the weight, with what it carries."""
    proposal, policy = find_open(ctx, number)
    if not policy.sealed:
        fail(NOT_SEALED, "voting.sealed", None, number)
    member, _ = get_by_account(ctx.view, account)
    weight = _cast(ctx, number, proposal, policy, member, ABSTAIN)
    SEALED_BALLOTS.put(ctx.view, SEALED_BALLOTS.key(number, member), (SCHEMA, commitment))
    return weight


def reveal(ctx: Context, account: Address, number: int, choice: int, salt: bytes) -> Value:
    """Open a sealed ballot after the vote; returns the weight that counts."""
    view, now = ctx.view, int(ctx.environment.time)
    proposal, policy = get_proposal(view, number), get_frozen(view, number)
    if proposal.state != OPEN or now >= closing_time(proposal, policy):
        fail(STATE, "voting.opening", OPEN, proposal.state)
    if now < proposal.ends:
        fail(TOO_EARLY, "voting.ends", proposal.ends, now)
    member, _ = get_by_account(view, account)
    key = SEALED_BALLOTS.key(number, member)
    row, genesis_hash = SEALED_BALLOTS.get(view, key), ctx.environment.genesis_hash
    assert genesis_hash is not None, "ballots are opened in a block"
    if row is None or row[1] != compute_commitment(genesis_hash, number, member, choice, salt):
        fail(OTHER_BALLOT, "voting.commitment", None if row is None else row[1])
    SEALED_BALLOTS.delete(view, key)
    return _cast(ctx, number, proposal, replace(policy, replace=True), member, choice)


def find_open(ctx: Context, number: int) -> tuple[Proposal, Policy]:
    """Return a proposal that is put to the vote now, and its policy.

    Raises:
        CallFailed: NO_PROPOSAL, STATE, TOO_EARLY.
    """
    proposal, now = get_proposal(ctx.view, number), int(ctx.environment.time)
    if proposal.state != OPEN or now >= proposal.ends:
        fail(STATE, "voting.open", OPEN, proposal.state)
    if now < proposal.starts:
        fail(TOO_EARLY, "voting.starts", proposal.starts, now)
    return proposal, get_frozen(ctx.view, number)


def closing_time(proposal: Proposal, policy: Policy) -> int:
    """Return when a vote is decided at the latest: its end, and the time to open sealed ballots."""
    return proposal.ends + (policy.quiet if policy.sealed else 0)


def _cast(ctx: Context, number: int, proposal: Proposal, policy: Policy, member: int, choice: int) -> int:
    """Count a vote in place of an older one, and give back what a delegate carried for this member."""
    view, key = ctx.view, BALLOTS.key(number, member)
    old = BALLOTS.get(view, key)
    if old is not None:
        if not policy.replace:
            fail(VOTED, "voting.replace", None, member)
        _, before, own, carried = old
        _add(ctx, number, before, -own, -carried)
    else:
        own = find_weight(view, policy, proposal, member)
        _take_back(ctx, number, proposal, member, own)
        carried = 0
        for other in list_delegators(view, member, proposal.type, proposal.snapshot):
            has_voted = BALLOTS.get(view, BALLOTS.key(number, other)) is not None
            if not has_voted and is_eligible(view, policy, proposal, other):
                carried += find_weight(view, policy, proposal, other)
    BALLOTS.put(view, key, (SCHEMA, choice, own, carried))
    _add(ctx, number, choice, own, carried)
    ctx.emit(CAST, number, member, choice, own + carried)
    return own + carried


def take_part(
    ctx: Context, number: int, proposal: Proposal, policy: Policy, member: int, *, is_first: bool
) -> None:
    """Let a member cast a paper that is not yes or no, or another one in its place; it counts for the quorum.

    Raises:
        CallFailed: NOT_ELIGIBLE, VOTED.
    """
    find_weight(ctx.view, policy, proposal, member)
    if is_first:
        _add(ctx, number, YES, 1, 0)
    elif not policy.replace:
        fail(VOTED, "voting.replace", None, member)
    ctx.emit(CAST, number, member, YES, 1)


def _take_back(ctx: Context, number: int, proposal: Proposal, member: int, weight: int) -> None:
    """Take what a member votes himself from the delegate who has voted for him."""
    view = ctx.view
    delegate = find_delegate(view, member, proposal.type, proposal.snapshot)
    key = None if delegate is None else BALLOTS.key(number, delegate)
    row = None if key is None else BALLOTS.get(view, key)
    if key is not None and row is not None:
        BALLOTS.put(view, key, (*row[:3], row[3] - weight))
        _add(ctx, number, row[1], 0, -weight)


def _add(ctx: Context, number: int, choice: int, own: int, carried: int) -> None:
    row = list(get_tally(ctx.view, number))
    row[choice] += own + carried
    row[choice + ABSTAIN] += carried
    TALLIES.put(ctx.view, TALLIES.key(number), tuple(row))  # type: ignore[arg-type]


def _watch_end(ctx: Context, number: int, proposal: Proposal, policy: Policy, earlier: Tally) -> None:
    """End a vote that is decided for good; give it more time, once, when it turns close to its end."""
    view, now = ctx.view, int(ctx.environment.time)
    row = get_tally(view, number)
    tally, threshold = read_tally(row), policy.threshold
    if policy.early:
        certain = Tally(*[row[c] - row[c + ABSTAIN] for c in (1, 2, 3)])
        undecided = proposal.electorate - certain.cast
        if foresee(certain, proposal.electorate, threshold, undecided) is not None:
            put_proposal(view, number, replace(proposal, ends=now))
            call_later(ctx, number, CLOSE_METHOD, now + 1)
            return
    is_late = now + policy.quiet >= proposal.ends and proposal.ends == proposal.first_end
    if not policy.quiet or not is_late:
        return
    before = decide(earlier, proposal.electorate, threshold)
    after = decide(tally, proposal.electorate, threshold)
    if (before is Outcome.PASSED) != (after is Outcome.PASSED) or (
        before is Outcome.NO_QUORUM and after is not Outcome.NO_QUORUM
    ):
        ends = find_end(ctx, proposal.ends + policy.quiet)
        put_proposal(view, number, replace(proposal, ends=ends))
        ctx.emit(EXTENDED, number, ends)
