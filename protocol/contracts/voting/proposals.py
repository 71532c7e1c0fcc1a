"""The life of a proposal: made, signed for, put to the vote, decided, and run.

What comes due runs as a job of this contract; every step that a job takes anybody may take too, so nothing
waits for the chain's own clock. A program that fails leaves its reason and is tried again.
"""

from dataclasses import replace
from typing import Final

from protocol import codec, crypto
from protocol.codec import Value
from protocol.contracts.ledger.accounts import FEE_INCOME, MEMBER_FREE, account_key, open_account
from protocol.contracts.ledger.legs import leg
from protocol.contracts.members.records import ACTIVE, MEMBER, find_by_account, get_by_account
from protocol.contracts.members.records import ID as MEMBERS_ID
from protocol.contracts.shares.records import CLASS
from protocol.contracts.stored import delete_program, load_program, read_template, save_program
from protocol.contracts.voting.ballots import closing_time
from protocol.contracts.voting.counting import is_counting, make_result, make_successor
from protocol.contracts.voting.deadlines import (
    CLOSE_METHOD,
    COUNTBACK_METHOD,
    EXECUTE_METHOD,
    call_later,
    find_end,
)
from protocol.contracts.voting.elections import GRANT_ROLE_METHOD, open_election
from protocol.contracts.voting.hearings import check_hearing, keep_hearing
from protocol.contracts.voting.leaving import (
    begin_leaving,
    carry_terms,
    freeze_terms,
    have_too_many_left,
)
from protocol.contracts.voting.priorities import open_priorities
from protocol.contracts.voting.records import (
    ADDRESS_OF,
    BY_MEMBER,
    BY_PROPOSER,
    BY_SHARES,
    COUNTER,
    COUNTING,
    DEPOSITS,
    DRAFT,
    ELECTION_KIND,
    ESCROW,
    EXECUTED,
    FROZEN,
    ID,
    LAPSED,
    NO_QUORUM,
    NOT_ALLOWED,
    NOT_ELIGIBLE,
    OPEN,
    OPEN_PER_MEMBER_MAX,
    OPEN_PROPOSALS,
    PASSED,
    PRIORITIES_KIND,
    PROGRAM_KIND,
    PROGRAMS,
    PROPOSAL,
    PROPOSAL_STATE,
    PROPOSALS,
    REJECTED,
    SPONSORED,
    SPONSORS,
    STATE,
    TOO_EARLY,
    TRIES_MAX,
    VETOED,
    WITHDRAWN,
    Policy,
    Proposal,
    get_frozen,
    get_policy,
    get_proposal,
    get_tally,
    put_proposal,
    read_tally,
)
from protocol.contracts.voting.shapes import check_cooldown, drop_calls, keep_calls, list_calls, move_calls
from protocol.contracts.voting.vetoes import object_to
from protocol.contracts.voting.weights import compute_electorate
from protocol.elections.decision import Outcome as Decision
from protocol.elections.decision import decide
from protocol.errors import Code
from protocol.types import Address
from protocol.vm.context import Context, Environment, fail
from protocol.vm.contract import GOV, EventType
from protocol.vm.execute import Outcome, run_stored
from protocol.vm.kinds import HASH, SECONDS, U8, U32, Field
from protocol.vm.program import Call
from protocol.vm.tables import SCHEMA, pack_record

CODE_DEPOSIT: Final = 2202
CODE_DEPOSIT_BACK: Final = 2204
CODE_DEPOSIT_LOST: Final = 2206

RETRY_SECONDS: Final = 3_600
AFTERWARDS_GAS: Final = 20_000
"""Kept back from a program that a job runs: how it ended is written, and the next try is scheduled."""
NO_PROGRAM: Final = bytes(32)

_DECISIONS: Final = {Decision.PASSED: PASSED, Decision.REJECTED: REJECTED, Decision.NO_QUORUM: NO_QUORUM}

PROPOSED: Final = EventType(
    ID,
    4,
    "proposed",
    (Field("proposal", PROPOSAL), Field("proposer", MEMBER), Field("program_hash", HASH)),
    "A member proposes something.",
)
STATE_CHANGED: Final = EventType(
    ID,
    5,
    "changed",
    (
        Field("proposal", PROPOSAL),
        PROPOSAL_STATE,
        Field("time", SECONDS, "of what comes next; 0: nothing"),
    ),
    "A proposal is in another state.",
)
RUN_FAILED: Final = EventType(
    ID,
    6,
    "run_failed",
    (Field("proposal", PROPOSAL), Field("code", U32), Field("tries", U8)),
    "The program of a proposal that passed has failed.",
)


# --- before the vote


def propose(
    ctx: Context, account: Address, proposal_type: int, title: str, document: bytes, program: bytes
) -> Value:
    """Propose something; returns its number.

    Rules: 1. by an active member with few open proposals. 2. the program calls only what the type may, for
        the co-op and nobody else; holders of a class of shares decide on that class. 3. what was refused
        waits for its cooldown. 4. electorate and weights are those after the block before this one.
    """
    return _propose(ctx, account, proposal_type, title, document, program)


def call_hearing(
    ctx: Context,
    account: Address,
    proposal_type: int,
    title: str,
    document: bytes,
    program: bytes,
    hearing: int,
) -> Value:
    """Propose something about somebody who is heard before the vote; returns its number.

    Rules: 1. those of `propose`. 2. the type asks for a hearing, and gets a document and a time inside the
        discussion, with the notice that it gives.
    """
    return _propose(ctx, account, proposal_type, title, document, program, hearing=hearing)


def call_election(
    ctx: Context,
    account: Address,
    proposal_type: int,
    title: str,
    document: bytes,
    role: str,
    seats: int,
    term: int,
    method: int,
) -> Value:
    """Propose that members elect who holds an office; returns its number.

    Rules: 1. those of `propose`. 2. the type may give offices, a member has one vote, nothing is sealed, and
        one reading decides.
    """
    policy = get_policy(ctx.view, proposal_type)
    if (MEMBERS_ID, GRANT_ROLE_METHOD) not in policy.methods:
        fail(NOT_ALLOWED, "voting.election", MEMBERS_ID, GRANT_ROLE_METHOD)
    is_plain = not (policy.sealed or policy.early or policy.two_readings)
    if policy.weight != BY_MEMBER or not is_plain or not policy.discussion:
        fail(NOT_ALLOWED, "voting.election_policy", BY_MEMBER, policy.weight)
    number = _propose(ctx, account, proposal_type, title, document, b"", ELECTION_KIND)
    open_election(ctx.view, number, role, seats, term, method)
    return number


def call_priorities(
    ctx: Context,
    account: Address,
    proposal_type: int,
    title: str,
    document: bytes,
    names: tuple[str, ...],
    credit_count: int,
) -> Value:
    """Ask members to rank options by spreading equal credits; returns the number of the proposal.

    Rules: 1. those of `propose`. 2. a member has one vote, nothing is sealed, nothing ends early, and one
        reading decides.
    """
    policy = get_policy(ctx.view, proposal_type)
    if policy.weight != BY_MEMBER or policy.sealed or policy.early or policy.two_readings:
        fail(NOT_ALLOWED, "voting.priorities_policy", BY_MEMBER, policy.weight)
    number = _propose(ctx, account, proposal_type, title, document, b"", PRIORITIES_KIND)
    open_priorities(ctx.view, number, names, credit_count)
    return number


def countback(ctx: Context, number: int, leaver: int) -> Value:
    """Fill the seat of an elected candidate who has left the office; returns the successor. For anybody.

    Returns: None while it is counted; the chain goes on with it. What it goes on with and cannot end, as the
        seat is taken again or nobody is left for it, it does not try again.
    """
    if ctx.environment.job is None:
        return _fill_seat(ctx, number, leaver)
    found: list[int | None] = []
    failure = ctx.attempt(ctx.view.gas_limit, lambda: found.append(_fill_seat(ctx, number, leaver)))
    if failure is not None:
        ctx.emit(RUN_FAILED, number, int(failure.code), 0)
        return None
    return found[0]


def _fill_seat(ctx: Context, number: int, leaver: int) -> int | None:
    is_begun = is_counting(ctx.view, number)
    found = make_successor(ctx, number, leaver)
    if found is None:
        _count_later(ctx, number, COUNTBACK_METHOD, leaver, is_begun=is_begun)
        return None
    raw, successor = found
    outcome = _run_as_coop(ctx, number, raw)
    if outcome.code != Code.OK:
        fail(outcome.code, "voting.countback", None, successor)
    return successor


def _propose(
    ctx: Context,
    account: Address,
    proposal_type: int,
    title: str,
    document: bytes,
    program: bytes,
    kind: int = PROGRAM_KIND,
    hearing: int = 0,
) -> int:
    view, environment = ctx.view, ctx.environment
    policy = get_policy(view, proposal_type)
    check_hearing(ctx, policy, document, hearing)
    member, record = get_by_account(view, account)
    if record.status != ACTIVE:
        fail(NOT_ELIGIBLE, "voting.proposer", ACTIVE, record.status)
    count = sum([1 for _ in PROPOSALS.scan_index(view, BY_PROPOSER, member)])
    if count >= OPEN_PER_MEMBER_MAX:
        fail(OPEN_PROPOSALS, "voting.open_proposals", OPEN_PER_MEMBER_MAX, count + 1)
    calls = _check_program(ctx, policy, program)
    check_cooldown(ctx, calls, policy.cooldown)
    snapshot = int(environment.height) - 1
    proposal = Proposal(
        proposal_type,
        title,
        document,
        crypto.sha256(program) if program else NO_PROGRAM,
        len(calls),
        member,
        snapshot,
        compute_electorate(view, policy, snapshot),
        environment.day,
        *(DRAFT, 0, 0, int(environment.time) + policy.window, 0, 0, 0, 0, 0, 1, kind),
    )
    number = _add(ctx, proposal, policy, program)
    freeze_terms(view, number, proposal_type)
    keep_calls(view, number, calls)
    if policy.deposit:
        _take_deposit(ctx, number, account, policy)
    ctx.emit(PROPOSED, number, member, proposal.program_hash)
    if hearing:
        keep_hearing(ctx, number, document, hearing)
    if policy.sponsors:
        call_later(ctx, number, CLOSE_METHOD, proposal.ends)
    else:
        _open(ctx, number, proposal, policy)
    return number


def _add(ctx: Context, proposal: Proposal, policy: Policy, program: bytes) -> int:
    view = ctx.view
    _, newest, running = COUNTER.get(view, COUNTER.key()) or (SCHEMA, 0, 0)
    number = newest + 1
    COUNTER.put(view, COUNTER.key(), (SCHEMA, number, running))
    FROZEN.put(view, FROZEN.key(number), pack_record(policy))
    put_proposal(view, number, proposal)
    if program:
        save_program(view, PROGRAMS, number, program)
    return number


def _check_program(ctx: Context, policy: Policy, program: bytes) -> tuple[bytes, ...]:
    """Check what a program may call; returns a digest of each of its calls."""
    if not program:
        return ()
    template = read_template(ctx, program, 0)
    if template.parameters:
        fail(NOT_ALLOWED, "voting.no_parameters", 0, len(template.parameters))
    for step in template.program:
        if not isinstance(step, Call):
            continue
        if (step.contract.id, step.method.id) not in policy.methods:
            fail(NOT_ALLOWED, "voting.method", step.contract.name, step.method.name)
        for field, value in zip(step.method.arguments, step.arguments, strict=True):
            if policy.weight == BY_SHARES and field.kind is CLASS and value != policy.share_class:
                fail(NOT_ALLOWED, "voting.share_class", policy.share_class)
    return list_calls(template)


def _take_deposit(ctx: Context, number: int, account: Address, policy: Policy) -> None:
    kept = account_key(ADDRESS_OF, ESCROW, policy.deposit_asset, number)
    open_account(ctx.view, kept)
    source = account_key(account, MEMBER_FREE, policy.deposit_asset)
    leg(ctx, source, kept, policy.deposit, CODE_DEPOSIT)
    DEPOSITS.put(ctx.view, DEPOSITS.key(number), (SCHEMA, account, policy.deposit_asset, policy.deposit))


def sponsor(ctx: Context, account: Address, number: int) -> Value:
    """Sign for a proposal; the last signature that it takes opens it. Returns how many there are.

    A petition is this: a text and signatures, and with enough of them a proposal that is discussed by itself.
    Who is a member on that day decides on it, as signing may take long.
    """
    view = ctx.view
    proposal, policy = get_proposal(view, number), get_frozen(view, number)
    if proposal.state != DRAFT or ctx.environment.time >= proposal.ends:
        fail(STATE, "voting.draft", DRAFT, proposal.state)
    member, record = get_by_account(view, account)
    if record.status != ACTIVE:
        fail(NOT_ELIGIBLE, "voting.sponsor", ACTIVE, record.status)
    key = SPONSORS.key(number, member)
    if SPONSORS.get(view, key) is not None:
        fail(SPONSORED, "voting.sponsor_once", None, member)
    SPONSORS.put(view, key, (SCHEMA,))
    proposal = replace(proposal, sponsors=proposal.sponsors + 1)
    put_proposal(view, number, proposal)
    if proposal.sponsors >= policy.sponsors:
        _open(ctx, number, _renew(ctx, proposal, policy), policy)
    return proposal.sponsors


def _renew(ctx: Context, proposal: Proposal, policy: Policy) -> Proposal:
    """Return a proposal with those who are members now for its electorate."""
    snapshot = int(ctx.environment.height) - 1
    electorate = compute_electorate(ctx.view, policy, snapshot)
    return replace(proposal, snapshot=snapshot, electorate=electorate, created_day=ctx.environment.day)


def _open(ctx: Context, number: int, proposal: Proposal, policy: Policy) -> None:
    starts = int(ctx.environment.time) + policy.discussion
    ends = find_end(ctx, starts + policy.voting)
    opened = replace(proposal, state=OPEN, starts=starts, ends=ends, first_end=ends)
    put_proposal(ctx.view, number, opened)
    call_later(ctx, number, CLOSE_METHOD, closing_time(opened, policy))
    ctx.emit(STATE_CHANGED, number, OPEN, starts)


def withdraw(ctx: Context, account: Address, number: int) -> Value:
    """Take a proposal back before the vote starts; its deposit comes back."""
    view, now = ctx.view, ctx.environment.time
    proposal = get_proposal(view, number)
    if find_by_account(view, account) != proposal.proposer:
        fail(NOT_ELIGIBLE, "voting.proposer", proposal.proposer, account)
    if proposal.state not in (DRAFT, OPEN) or (proposal.state == OPEN and now >= proposal.starts):
        fail(STATE, "voting.withdraw", DRAFT, proposal.state)
    _end(ctx, number, proposal, WITHDRAWN)
    return True


# --- the decision


def close(ctx: Context, number: int) -> Value:
    """Decide a vote that is over, or let a draft lapse; returns the state. For anybody."""
    view, now = ctx.view, int(ctx.environment.time)
    proposal, policy = get_proposal(view, number), get_frozen(view, number)
    due = closing_time(proposal, policy) if proposal.state == OPEN else proposal.ends
    if proposal.state not in (DRAFT, OPEN) or now < due:
        return _wait(ctx, number, proposal, CLOSE_METHOD, due)
    if proposal.state == DRAFT:
        return _end(ctx, number, proposal, LAPSED)
    tally = read_tally(get_tally(view, number))
    state = _DECISIONS[decide(tally, proposal.electorate, policy.threshold)]
    if state != PASSED:
        return _end(ctx, number, proposal, state)
    ready = now + policy.timelock
    passed = replace(proposal, state=PASSED, ready=ready, expires=ready + policy.window)
    put_proposal(view, number, passed)
    _give_deposit_back(ctx, number, is_lost=False)
    ctx.emit(STATE_CHANGED, number, PASSED, ready)
    if policy.timelock:
        call_later(ctx, number, EXECUTE_METHOD, ready)
        return PASSED
    return _run(ctx, number, passed, policy)


def _wait(ctx: Context, number: int, proposal: Proposal, method: int, due: int) -> int:
    """Say that it is too early; a job that came too early, as the vote takes longer, comes again."""
    if ctx.environment.job is None:
        if proposal.state in (DRAFT, OPEN, PASSED):
            fail(TOO_EARLY, "voting.due", due, ctx.environment.time)
        fail(STATE, "voting.close", OPEN, proposal.state)
    if proposal.state in (DRAFT, OPEN, PASSED) and due > ctx.environment.time:
        call_later(ctx, number, method, due)
    return proposal.state


def veto(ctx: Context, account: Address, number: int) -> Value:
    """Object to what has passed, by an office or as a member; tells whether it is stopped by that."""
    proposal, policy = get_proposal(ctx.view, number), get_frozen(ctx.view, number)
    is_stopped = object_to(ctx, account, number, proposal, policy)
    if is_stopped:
        _end(ctx, number, proposal, VETOED)
    return is_stopped


def leave(ctx: Context, account: Address, number: int) -> Value:
    """Leave the co-op over a decision, with all free shares; returns the state of the proposal."""
    member, raw = begin_leaving(ctx, account, number)
    if raw:
        outcome = _run_as_coop(ctx, number, raw)
        if outcome.code != Code.OK:
            fail(outcome.code, "voting.leave", None, member)
    proposal = get_proposal(ctx.view, number)
    if have_too_many_left(ctx.view, number, proposal):
        return _end(ctx, number, proposal, REJECTED)
    return PASSED


def _end(ctx: Context, number: int, proposal: Proposal, state: int) -> int:
    """Write a state after which nothing comes, and settle the deposit."""
    ended = proposal
    if state != LAPSED and proposal.state == OPEN:
        ended = replace(proposal, ends=min(proposal.ends, int(ctx.environment.time)))
    put_proposal(ctx.view, number, replace(ended, state=state))
    drop_calls(ctx, number, is_refused=state in (REJECTED, NO_QUORUM, VETOED))
    delete_program(ctx.view, PROGRAMS, number)
    _give_deposit_back(ctx, number, is_lost=state in (NO_QUORUM, LAPSED))
    ctx.emit(STATE_CHANGED, number, state, 0)
    return state


def _give_deposit_back(ctx: Context, number: int, *, is_lost: bool) -> None:
    view = ctx.view
    row = DEPOSITS.get(view, DEPOSITS.key(number))
    if row is None:
        return
    _, account, asset, amount = row
    kept = account_key(ADDRESS_OF, ESCROW, asset, number)
    target = (
        account_key(ADDRESS_OF, FEE_INCOME, asset) if is_lost else account_key(account, MEMBER_FREE, asset)
    )
    open_account(view, target)
    leg(ctx, kept, target, amount, CODE_DEPOSIT_LOST if is_lost else CODE_DEPOSIT_BACK)
    DEPOSITS.delete(view, DEPOSITS.key(number))


# --- the run


def execute(ctx: Context, number: int) -> Value:
    """Run what has passed, when its time has come; returns the state. For anybody."""
    proposal, policy = get_proposal(ctx.view, number), get_frozen(ctx.view, number)
    now = ctx.environment.time
    if proposal.state not in (PASSED, COUNTING) or now < proposal.ready:
        return _wait(ctx, number, proposal, EXECUTE_METHOD, proposal.ready)
    if now > proposal.expires and proposal.state == PASSED:
        return _end(ctx, number, proposal, LAPSED)
    return _run(ctx, number, proposal, policy)


def _run(ctx: Context, number: int, proposal: Proposal, policy: Policy) -> int:
    """Run a program as the co-op. It is marked as executed before, so it runs once."""
    view, outer = ctx.view, ctx.environment
    if policy.two_readings and proposal.reading == 1:
        return _read_again(ctx, number, proposal, policy)
    if proposal.kind == ELECTION_KIND:
        counted = make_result(ctx, number)
        if counted is None:
            return _count_on(ctx, number, proposal)
        raw = counted
    else:
        raw = load_program(view, PROGRAMS, number)
        assert not raw or crypto.sha256(raw) == proposal.program_hash, "it runs what was voted on"
    put_proposal(view, number, replace(proposal, state=EXECUTED))
    if not raw:
        ctx.emit(STATE_CHANGED, number, EXECUTED, 0)
        return EXECUTED
    outcome = _run_as_coop(ctx, number, raw)
    if outcome.code == Code.OK:
        delete_program(view, PROGRAMS, number)
        drop_calls(ctx, number, is_refused=False)
        ctx.emit(STATE_CHANGED, number, EXECUTED, 0)
        return EXECUTED
    tries = min(proposal.tries + 1, 255)
    put_proposal(view, number, replace(proposal, state=PASSED, tries=tries, code=outcome.code))
    ctx.emit(RUN_FAILED, number, outcome.code, tries)
    again = int(outer.time) + RETRY_SECONDS
    may_schedule = outer.job is None or not outer.job.has_scheduled
    if tries < TRIES_MAX and again <= proposal.expires and may_schedule:
        call_later(ctx, number, EXECUTE_METHOD, again)
    return PASSED


def _count_on(ctx: Context, number: int, proposal: Proposal) -> int:
    """Say that an election is counted, over several runs; what was begun in its window comes to its end."""
    is_begun = proposal.state == COUNTING
    if not is_begun:
        put_proposal(ctx.view, number, replace(proposal, state=COUNTING))
        ctx.emit(STATE_CHANGED, number, COUNTING, ctx.environment.time + 1)
    _count_later(ctx, number, EXECUTE_METHOD, is_begun=is_begun)
    return COUNTING


def _count_later(ctx: Context, number: int, method: int, *more: int, is_begun: bool) -> None:
    """Let a count go on a second later; who helps one that goes on already brings no job of his own."""
    if ctx.environment.job is not None or not is_begun:
        call_later(ctx, number, method, int(ctx.environment.time) + 1, *more)


def _run_as_coop(ctx: Context, number: int, raw: bytes) -> Outcome:
    """Run a program with the authority of the co-op, in the name of a proposal."""
    newest = _set_running(ctx, number)
    inner = ctx.environment.enter(crypto.sha256(codec.encode(("proposal", number))), (), GOV.name)
    outcome = _run_within(ctx, inner, raw)
    assert newest == _set_running(ctx, 0), "no program makes proposals"
    return outcome


def _run_within(ctx: Context, inner: Environment, raw: bytes) -> Outcome:
    """Run a program; one that uses up the gas of its job leaves enough to write down that it did."""
    view = ctx.view
    limit = view.gas_limit
    if ctx.environment.job is not None:
        view.gas_limit = max(view.gas_used, limit - AFTERWARDS_GAS)
    outcome = run_stored(view, ctx.registry, inner, raw)
    view.gas_limit = limit
    return outcome


def _set_running(ctx: Context, number: int) -> int:
    row = COUNTER.get(ctx.view, COUNTER.key())
    assert row is not None, "there is a proposal"
    COUNTER.put(ctx.view, COUNTER.key(), (SCHEMA, row[1], number))
    return row[1]


def _read_again(ctx: Context, number: int, proposal: Proposal, policy: Policy) -> int:
    """Put what has passed its first reading to a second vote, of those who are members now."""
    view = ctx.view
    raw = load_program(view, PROGRAMS, number)
    second = replace(_renew(ctx, proposal, policy), reading=2)
    again = _add(ctx, second, policy, raw)
    carry_terms(view, again, number)
    move_calls(view, number, again)
    put_proposal(view, number, replace(proposal, state=EXECUTED))
    delete_program(view, PROGRAMS, number)
    ctx.emit(STATE_CHANGED, number, EXECUTED, 0)
    ctx.emit(PROPOSED, again, proposal.proposer, proposal.program_hash)
    _open(ctx, again, second, policy)
    return EXECUTED
