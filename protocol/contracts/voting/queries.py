"""What can be asked of voting. What blocks have counted is read, and not counted again."""

from protocol.codec import Value
from protocol.contracts.stored import load_program
from protocol.contracts.voting import (
    counting,
    elections,
    hearings,
    leaving,
    priorities,
    vetoes,
    weights,
)
from protocol.contracts.voting.records import (
    BALLOTS,
    BY_STATE,
    HEIGHT_LAST,
    POLICIES,
    PROGRAMS,
    PROPOSALS,
    Proposal,
    get_frozen,
    get_tally,
    read_tally,
)
from protocol.elections.decision import count_missing_yes
from protocol.vm.context import QueryContext
from protocol.vm.tables import read_record


def query_policy(query: QueryContext, proposal_type: int) -> Value:
    """Return a policy."""
    row = POLICIES.get(query.view, POLICIES.key(proposal_type))
    return None if row is None else row[1:]


def query_policies(query: QueryContext) -> Value:
    """List the types of proposals."""
    return tuple((POLICIES.parts(key)[0], row[1]) for key, row in POLICIES.scan(query.view))


def query_proposal(query: QueryContext, number: int) -> Value:
    """Return a proposal."""
    row = PROPOSALS.get(query.view, PROPOSALS.key(number))
    return None if row is None else (number, *row[1:])


def query_by_state(query: QueryContext, state: int, after: int) -> Value:
    """List proposals in a state."""
    page = PROPOSALS.page(query.view, BY_STATE, state, after=(after,) if after else ())
    return tuple((number, row[2], row[13]) for (number,), row in page)


def query_program(query: QueryContext, number: int) -> Value:
    """Return what would run, or None."""
    return load_program(query.view, PROGRAMS, number) or None


def query_tally(query: QueryContext, number: int) -> Value:
    """Return what was cast, and how many yes are missing."""
    row = PROPOSALS.get(query.view, PROPOSALS.key(number))
    if row is None:
        return None
    proposal = read_record(Proposal, row)
    tally = get_tally(query.view, number)
    threshold = get_frozen(query.view, number).threshold
    missing = count_missing_yes(read_tally(tally), proposal.electorate, threshold)
    return (*tally[1:], proposal.electorate, missing)


def query_ballot(query: QueryContext, number: int, member: int) -> Value:
    """Return a ballot."""
    row = BALLOTS.get(query.view, BALLOTS.key(number, member))
    return None if row is None else row[1:]


def query_may_vote(query: QueryContext, number: int, member: int) -> Value:
    """Tell whether a member may vote."""
    row = PROPOSALS.get(query.view, PROPOSALS.key(number))
    if row is None:
        return False
    proposal = read_record(Proposal, row)
    return weights.is_eligible(query.view, get_frozen(query.view, number), proposal, member)


def query_delegate(query: QueryContext, member: int, proposal_type: int) -> Value:
    """Return who votes for a member."""
    return weights.find_delegate(query.view, member, proposal_type, HEIGHT_LAST)


def query_delegators(query: QueryContext, member: int, proposal_type: int) -> Value:
    """List for whom a member votes."""
    return tuple(weights.list_delegators(query.view, member, proposal_type, HEIGHT_LAST))


def query_election(query: QueryContext, number: int) -> Value:
    """Return which office an election fills."""
    row = elections.find_election(query.view, number)
    return None if row is None else row[1:]


def query_candidates(query: QueryContext, number: int) -> Value:
    """List who stands for election."""
    return tuple(
        (elections.CANDIDATES.parts(key)[1], *row[1:])
        for key, row in elections.CANDIDATES.scan(query.view, number)
    )


def query_count(query: QueryContext, number: int) -> Value:
    """Show the last count of an election, as far as it has come."""
    found = counting.show_count(query.view, number)
    if found is None:
        return None
    quota, elected, stages = found
    shown = [(int(s.action), s.candidate, s.votes, s.non_transferable, s.lost) for s in stages]
    return quota, elected, tuple(shown)


def query_leaving(query: QueryContext, number: int) -> Value:
    """Return how many may leave over a proposal, and how many have."""
    row = leaving.LEAVING.get(query.view, leaving.LEAVING.key(number))
    return None if row is None else row[1:]


def query_hearing(query: QueryContext, number: int) -> Value:
    """Return when somebody is heard, or None."""
    return hearings.find_hearing(query.view, number)


def query_objections(query: QueryContext, number: int) -> Value:
    """Return how many members object, and how many stop it."""
    view, row = query.view, PROPOSALS.get(query.view, PROPOSALS.key(number))
    if row is None:
        return (0, 0)
    needed = vetoes.count_needed(view, read_record(Proposal, row), get_frozen(view, number))
    return (vetoes.count_objections(view, number), needed)


def query_ranking(query: QueryContext, number: int) -> Value:
    """List options, the most wanted first."""
    return priorities.list_ranking(query.view, number)
