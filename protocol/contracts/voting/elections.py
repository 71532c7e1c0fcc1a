"""Elections: who fills an office. A proposal whose program is what the count says.

Who wants an office stands for it while the election is discussed. A paper ranks candidates (by a single
transferable vote) or names them (by approval); equal papers are kept as one with a count, so counting costs
what members said, not how many they are. The result is a program that gives the office to the elected, run
like any other that has passed. A seat that falls vacant is filled by a countback of the same papers.

Nobody casts another's paper: delegates vote on proposals only. The lot for ties comes from the papers
themselves, so no proposer of a block can grind it. How they are counted is `counting.py`.

*Source*: contracts.md D18, 3.3, 5.6.
"""

from typing import Final, TypeAlias

from protocol import codec, crypto
from protocol.codec import Value
from protocol.contracts.members.records import (
    ACTIVE,
    MEMBER,
    ROLE,
    ROLE_TERM_SECONDS_MAX,
    get_by_account,
)
from protocol.contracts.voting.ballots import find_open, take_part
from protocol.contracts.voting.records import (
    ID,
    NOT_ELIGIBLE,
    OPEN,
    PROPOSAL,
    STATE,
    get_proposal,
)
from protocol.elections.stv import CANDIDATES_MAX
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.keys import data_key, uint_key
from protocol.vm.kinds import BOOL, SECONDS, U8, U63, Field, Integer, Many
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

NO_ELECTION: Final = 2218
CANDIDACY: Final = 2219
RANKING: Final = 2220
IN_OFFICE: Final = 2221

STV: Final = 1
APPROVAL: Final = 2

SEATS_MAX: Final = 32
PREFERENCES_MAX: Final = 32
"""Candidates that one paper names."""
GRANT_ROLE_METHOD: Final = 19

SEAT_COUNT: Final = Integer("seats", 1, SEATS_MAX)
METHOD_OF_COUNT: Final = Integer("method", STV, APPROVAL)
TERM: Final = Integer("seconds", 1, ROLE_TERM_SECONDS_MAX)
CANDIDATE: Final = Integer("candidate", 0, CANDIDATES_MAX - 1)
PAPER: Final = Many(CANDIDATE, PREFERENCES_MAX, 1)

ElectionRow: TypeAlias = tuple[int, str, int, int, int, int, tuple[int, ...], int]
"""(schema, role, seats, term, method, candidates, elected, term end)"""
CandidateRow: TypeAlias = tuple[int, int, bool]
PaperRow: TypeAlias = tuple[int, tuple[int, ...]]
BundleRow: TypeAlias = tuple[int, int, tuple[int, ...]]

ELECTION_FIELDS: Final = (
    Field("role", ROLE),
    Field("seats", SEAT_COUNT),
    Field("term", TERM, "of the office"),
    Field("method", METHOD_OF_COUNT, "1 single transferable vote, 2 approval"),
)
ELECTIONS: Final[Table[ElectionRow]] = Table(
    ID,
    16,
    "election",
    (uint_key("proposal", 32),),
    (
        *ELECTION_FIELDS,
        Field("candidates", U8),
        Field("elected", Many(CANDIDATE, SEATS_MAX), "in the order of election; none: not counted yet"),
        Field("term_end", SECONDS, "0: not counted yet"),
    ),
    doc="Which office an election fills.",
)
CANDIDATES: Final[Table[CandidateRow]] = Table(
    ID,
    17,
    "candidate",
    (uint_key("proposal", 32), uint_key("candidate", 8)),
    (Field("member", MEMBER), Field("has_left", BOOL, "stood down, or left the office")),
    doc="Who stands for election.",
)
PAPERS: Final[Table[PaperRow]] = Table(
    ID,
    18,
    "paper",
    (uint_key("proposal", 32), uint_key("member", 32)),
    (Field("ranking", PAPER),),
    doc="Who ranked whom.",
)
BUNDLES: Final[Table[BundleRow]] = Table(
    ID,
    19,
    "bundle",
    (uint_key("proposal", 32), data_key("digest", 32)),
    (Field("count", U63), Field("ranking", PAPER)),
    doc="Papers that say the same.",
)

STOOD: Final = EventType(
    ID,
    7,
    "stood",
    (Field("proposal", PROPOSAL), Field("candidate", CANDIDATE), Field("member", MEMBER)),
    "A member stands for election.",
)
ELECTED: Final = EventType(
    ID,
    8,
    "elected",
    (Field("proposal", PROPOSAL), Field("members", Many(MEMBER, SEATS_MAX))),
    "Who is elected, in the order of election.",
)


# --- standing and voting


def open_election(view: View, number: int, role: str, seats: int, term: int, method: int) -> None:
    """Make a proposal an election."""
    ELECTIONS.put(view, ELECTIONS.key(number), (SCHEMA, role, seats, term, method, 0, (), 0))


def stand(ctx: Context, account: Address, number: int) -> Value:
    """Stand for election before the vote starts; returns the number of the candidate."""
    view = ctx.view
    proposal, row = get_proposal(view, number), get_election(view, number)
    if proposal.state != OPEN or ctx.environment.time >= proposal.starts:
        fail(STATE, "voting.candidacy", OPEN, proposal.state)
    member, record = get_by_account(view, account)
    if record.status != ACTIVE:
        fail(NOT_ELIGIBLE, "voting.candidate", ACTIVE, record.status)
    if _find_candidate(view, number, member) is not None:
        fail(CANDIDACY, "voting.candidate_once", None, member)
    if row[5] >= CANDIDATES_MAX:
        fail(CANDIDACY, "voting.candidates", CANDIDATES_MAX, row[5] + 1)
    CANDIDATES.put(view, CANDIDATES.key(number, row[5]), (SCHEMA, member, False))
    ELECTIONS.put(view, ELECTIONS.key(number), (*row[:5], row[5] + 1, *row[6:]))
    ctx.emit(STOOD, number, row[5], member)
    return row[5]


def stand_down(ctx: Context, account: Address, number: int) -> Value:
    """Stand for election no more; papers pass on to whom they name next."""
    view = ctx.view
    proposal = get_proposal(view, number)
    if proposal.state != OPEN or ctx.environment.time >= proposal.ends:
        fail(STATE, "voting.candidacy", OPEN, proposal.state)
    member, _ = get_by_account(view, account)
    candidate = _find_candidate(view, number, member)
    if candidate is None:
        fail(CANDIDACY, "voting.candidate", None, member)
    CANDIDATES.put(view, CANDIDATES.key(number, candidate), (SCHEMA, member, True))
    return True


def rank(ctx: Context, account: Address, number: int, ranking: tuple[int, ...]) -> Value:
    """Cast a paper, or another one where the policy allows it; returns how many papers say the same."""
    view = ctx.view
    proposal, policy = find_open(ctx, number)
    row = get_election(view, number)
    if len(set(ranking)) != len(ranking) or max(ranking) >= row[5]:
        fail(RANKING, "voting.ranking", row[5], max(ranking))
    if row[4] == APPROVAL:
        ranking = tuple(sorted(ranking))
    member, _ = get_by_account(view, account)
    key = PAPERS.key(number, member)
    old = PAPERS.get(view, key)
    take_part(ctx, number, proposal, policy, member, is_first=old is None)
    if old is not None:
        _bundle(view, number, old[1], -1)
    PAPERS.put(view, key, (SCHEMA, ranking))
    return _bundle(view, number, ranking, 1)


def _bundle(view: View, number: int, ranking: tuple[int, ...], step: int) -> int:
    key = BUNDLES.key(number, crypto.sha256(codec.encode(ranking)))
    row = BUNDLES.get(view, key)
    count = step if row is None else row[1] + step
    if count:
        BUNDLES.put(view, key, (SCHEMA, count, ranking))
    else:
        BUNDLES.delete(view, key)
    return count


def find_election(view: View, number: int) -> ElectionRow | None:
    """Return the election that a proposal is, or None."""
    return ELECTIONS.get(view, ELECTIONS.key(number))


def get_election(view: View, number: int) -> ElectionRow:
    """Return an election.

    Raises:
        CallFailed: NO_ELECTION.
    """
    row = find_election(view, number)
    if row is None:
        fail(NO_ELECTION, "voting.election", None, number)
    return row


def _find_candidate(view: View, number: int, member: int) -> int | None:
    for key, row in CANDIDATES.scan(view, number):
        if row[1] == member:
            candidate = CANDIDATES.parts(key)[1]
            assert type(candidate) is int
            return candidate
    return None
