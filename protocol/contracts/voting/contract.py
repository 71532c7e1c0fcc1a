"""The schema of voting: what a program can call, and what can be asked."""

from typing import Final

from protocol.contracts.members.records import MEMBER
from protocol.contracts.stored import PROGRAM
from protocol.contracts.voting import (
    ballots,
    counting,
    deadlines,
    elections,
    hearings,
    leaving,
    policies,
    priorities,
    proposals,
    queries,
    shapes,
    vetoes,
    weights,
)
from protocol.contracts.voting.records import (
    ABSTAIN,
    BALLOTS,
    BASIS_POINTS,
    CHOICE,
    COOLDOWN,
    COUNTER,
    DELEGATES_FULL,
    DELEGATIONS,
    DELEGATORS_MAX,
    DEPOSITS,
    FROZEN,
    ID,
    NO_POLICY,
    NO_PROPOSAL,
    NOT_ALLOWED,
    NOT_DELEGATED,
    NOT_ELIGIBLE,
    NOT_SEALED,
    OPEN_PROPOSALS,
    OTHER_BALLOT,
    POLICIES,
    POLICY,
    POLICY_FIELDS,
    PROGRAMS,
    PROPOSAL,
    PROPOSAL_FIELDS,
    PROPOSAL_STATE,
    PROPOSALS,
    SALT_BYTES_MIN,
    SEALED,
    SEALED_BALLOTS,
    SLOTS,
    SPONSORED,
    SPONSORS,
    STATE,
    TALLIES,
    TOO_EARLY,
    TYPE,
    TYPES_MAX,
    VOTED,
    WEAKENS_ITSELF,
)
from protocol.elections.stv import CANDIDATES_MAX
from protocol.params import PAUSE_EXIT_SECONDS_MAX, QUERY_ITEMS_MAX
from protocol.vm.contract import GOV, Change, Contract, ErrorType, Invariant, Method, Owner, Query, Signed
from protocol.vm.kinds import (
    ADDRESS,
    BOOL,
    HASH,
    SECONDS,
    U8,
    U32,
    U63,
    Data,
    Field,
    Fields,
    Many,
    Maybe,
    Text,
)


def _is_tally_whole(changes: list[Change]) -> bool:
    for _, _, row in changes:
        if row is None:
            return False
        for choice in (1, 2, 3):
            cast, carried = row[choice], row[choice + ABSTAIN]
            assert type(cast) is int and type(carried) is int
            if not 0 <= carried <= cast:
                return False
    return True


_STAGE: Final = Fields(
    (
        Field("action", U8, "1 first preferences, 2 surplus, 3 exclusion"),
        Field("candidate", Maybe(elections.CANDIDATE)),
        Field("votes", Many(U63, CANDIDATES_MAX), "of each candidate, in 100,000ths"),
        Field("non_transferable", U63),
        Field("lost", U63, "by rounding"),
    )
)
_ACCOUNT: Final = Field("account", ADDRESS)
_PROPOSAL: Final = Field("proposal", PROPOSAL)
_TYPE: Final = Field("type", TYPE)
_MEMBER: Final = Field("member", MEMBER)
_WEIGHT: Final = U63
_PROPOSE_FIELDS: Final = (
    _ACCOUNT,
    _TYPE,
    Field("title", Text("title", 128)),
    Field("document", HASH, "of the text"),
    Field("program", Data("program or nothing", 0, PROGRAM.high), "canonical bytes; empty: none"),
)

_MAKING: Final = (
    Method(
        1,
        "set_policy",
        (_TYPE, *POLICY_FIELDS),
        U32,
        (GOV,),
        100,
        policies.set_policy,
        "Set what it takes to decide a type of proposals; returns the version.",
        0,
    ),
    Method(
        2,
        "propose",
        _PROPOSE_FIELDS,
        PROPOSAL,
        (Owner("account"),),
        100,
        proposals.propose,
        "Propose something; returns its number.",
    ),
    Method(
        3,
        "sponsor",
        (_ACCOUNT, _PROPOSAL),
        U32,
        (Owner("account"),),
        40,
        proposals.sponsor,
        "Sign for a proposal; returns how many have signed.",
    ),
    Method(
        4,
        "withdraw",
        (_ACCOUNT, _PROPOSAL),
        BOOL,
        (Owner("account"),),
        40,
        proposals.withdraw,
        "Take a proposal back before the vote starts.",
        0,
    ),
)
_HEARING: Final = Method(
    23,
    "call_hearing",
    (*_PROPOSE_FIELDS, Field("hearing", SECONDS, "inside the discussion, with the notice of the type")),
    PROPOSAL,
    (Owner("account"),),
    100,
    proposals.call_hearing,
    "Propose something about somebody who is heard before the vote; returns its number.",
)
_DECIDING: Final = (
    Method(
        5,
        "vote",
        (_ACCOUNT, _PROPOSAL, Field("choice", CHOICE, "1 yes, 2 no, 3 abstain")),
        _WEIGHT,
        (Owner("account"),),
        300,
        ballots.vote,
        "Vote; returns the weight, with what it carries.",
        0,
    ),
    Method(
        6,
        "commit",
        (_ACCOUNT, _PROPOSAL, Field("commitment", HASH, "of chain, proposal, member, choice and salt")),
        _WEIGHT,
        (Owner("account"),),
        300,
        ballots.commit,
        "Leave a sealed ballot; returns the weight, with what it carries.",
        0,
    ),
    Method(
        deadlines.CLOSE_METHOD,
        "close",
        (_PROPOSAL,),
        U8,
        (Signed(),),
        60,
        proposals.close,
        "Decide a vote that is over; returns the state. For anybody.",
        0,
    ),
    Method(
        8,
        "reveal",
        (_ACCOUNT, _PROPOSAL, Field("choice", CHOICE), Field("salt", Data("salt", SALT_BYTES_MIN, 64))),
        _WEIGHT,
        (Owner("account"),),
        60,
        ballots.reveal,
        "Open a sealed ballot after the vote; returns the weight that counts.",
        0,
    ),
    Method(
        deadlines.EXECUTE_METHOD,
        "execute",
        (_PROPOSAL,),
        U8,
        (Signed(),),
        100,
        proposals.execute,
        "Run what has passed, when its time has come; returns the state. For anybody.",
    ),
    Method(
        10,
        "veto",
        (_ACCOUNT, _PROPOSAL),
        BOOL,
        (Owner("account"),),
        100,
        proposals.veto,
        "Object to what has passed before it runs, by an office or as a member; tells whether it is stopped.",
        0,
    ),
)
_DELEGATING: Final = (
    Method(
        11,
        "delegate",
        (_ACCOUNT, _TYPE, Field("to", ADDRESS)),
        MEMBER,
        (Owner("account"),),
        40,
        weights.delegate,
        "Let another member vote on proposals of a type that are made from now on; returns who it is.",
    ),
    Method(
        12,
        "undelegate",
        (_ACCOUNT, _TYPE),
        BOOL,
        (Owner("account"),),
        40,
        weights.undelegate,
        "Vote oneself again on proposals that are made from now on.",
        0,
    ),
)

_CANDIDATE: Final = Field("candidate", elections.CANDIDATE)
_ELECTING: Final = (
    Method(
        13,
        "call_election",
        (
            _ACCOUNT,
            _TYPE,
            Field("title", Text("title", 128)),
            Field("document", HASH, "of the text"),
            *elections.ELECTION_FIELDS,
        ),
        PROPOSAL,
        (Owner("account"),),
        100,
        proposals.call_election,
        "Propose that members elect who holds an office; returns its number.",
    ),
    Method(
        14,
        "stand",
        (_ACCOUNT, _PROPOSAL),
        elections.CANDIDATE,
        (Owner("account"),),
        60,
        elections.stand,
        "Stand for election before the vote starts; returns the number of the candidate.",
    ),
    Method(
        15,
        "stand_down",
        (_ACCOUNT, _PROPOSAL),
        BOOL,
        (Owner("account"),),
        40,
        elections.stand_down,
        "Stand for election no more.",
        0,
    ),
    Method(
        16,
        "rank",
        (_ACCOUNT, _PROPOSAL, Field("ranking", elections.PAPER, "candidates, the best first")),
        _WEIGHT,
        (Owner("account"),),
        60,
        elections.rank,
        "Cast a paper in an election; returns how many papers say the same.",
        0,
    ),
    Method(
        deadlines.COUNTBACK_METHOD,
        "countback",
        (_PROPOSAL, _CANDIDATE),
        Maybe(elections.CANDIDATE),
        (Signed(),),
        200,
        proposals.countback,
        "Fill the seat of an elected candidate who has left the office; returns the successor, nil while it "
        "is counted. For anybody.",
    ),
)
_RANKING: Final = (
    Method(
        18,
        "call_priorities",
        (
            _ACCOUNT,
            _TYPE,
            Field("title", Text("title", 128)),
            Field("document", HASH, "of the text"),
            Field("options", priorities.OPTION_NAMES),
            Field("credits", priorities.CREDIT_COUNT, "of each member"),
        ),
        PROPOSAL,
        (Owner("account"),),
        100,
        proposals.call_priorities,
        "Ask members to rank options; returns the number of the proposal.",
    ),
    Method(
        19,
        "spread",
        (_ACCOUNT, _PROPOSAL, Field("spread", priorities.SPREAD, "n votes cost n * n credits")),
        _WEIGHT,
        (Owner("account"),),
        60,
        priorities.spread,
        "Spread one's credits over options; returns what is left of them.",
        0,
    ),
)

_LEAVING: Final = (
    Method(
        20,
        "set_retention",
        (
            _TYPE,
            Field("retention_bp", BASIS_POINTS, "of members and of each class; 0: nobody leaves"),
        ),
        BOOL,
        (GOV,),
        40,
        leaving.set_retention,
        "Set how many may leave over decisions of a type before they fail by it.",
        0,
    ),
    Method(
        21,
        "leave",
        (_ACCOUNT, _PROPOSAL),
        U8,
        (Owner("account"),),
        200,
        proposals.leave,
        "Leave over what has passed against one's vote, with all free shares; returns the proposal's state.",
        PAUSE_EXIT_SECONDS_MAX,
    ),
)

_CALENDAR: Final = Method(
    22,
    "set_calendar",
    deadlines.REST_FIELDS,
    BOOL,
    (GOV,),
    20,
    deadlines.set_calendar,
    "Name the days on which no vote ends, in place of those named before.",
)

CONTRACT: Final = Contract(
    ID,
    "voting",
    layer=2,
    version=1,
    doc="Proposals, votes, delegation, and running what was decided.",
    tables=(
        POLICIES,
        FROZEN,
        PROPOSALS,
        PROGRAMS,
        TALLIES,
        BALLOTS,
        SEALED_BALLOTS,
        SPONSORS,
        DELEGATIONS,
        SLOTS,
        COUNTER,
        DEPOSITS,
        elections.ELECTIONS,
        elections.CANDIDATES,
        elections.PAPERS,
        elections.BUNDLES,
        priorities.PRIORITIES,
        priorities.OPTIONS,
        priorities.SPREADS,
        leaving.RETENTIONS,
        leaving.LEAVING,
        leaving.LEFT_SHARES,
        deadlines.CALENDAR,
        shapes.CALLS,
        shapes.REFUSED,
        vetoes.OBJECTIONS,
        vetoes.OBJECTION_COUNTS,
        counting.COUNTS,
        counting.STAGES,
        counting.PAGES,
        hearings.HEARINGS,
    ),
    methods=(*_MAKING, *_DECIDING, *_DELEGATING, *_ELECTING, *_RANKING, *_LEAVING, _CALENDAR, _HEARING),
    queries=(
        Query("policy", (_TYPE,), Maybe(Fields(POLICIES.fields)), queries.query_policy, "Return a policy."),
        Query(
            "policies",
            (),
            Many(Fields((_TYPE, Field("name", Text("name", 32)))), TYPES_MAX),
            queries.query_policies,
            "List the types of proposals.",
        ),
        Query(
            "proposal",
            (_PROPOSAL,),
            Maybe(Fields((_PROPOSAL, *PROPOSAL_FIELDS))),
            queries.query_proposal,
            "Return a proposal.",
        ),
        Query(
            "by_state",
            (PROPOSAL_STATE, Field("after", U32, "number of the last one seen; 0: from the first")),
            Many(
                Fields((_PROPOSAL, Field("title", Text("title", 128)), Field("ends", U63))), QUERY_ITEMS_MAX
            ),
            queries.query_by_state,
            "List proposals in a state.",
        ),
        Query(
            "leaving",
            (_PROPOSAL,),
            Maybe(Fields(leaving.LEAVING.fields)),
            queries.query_leaving,
            "Return how many may leave over a proposal, and how many have.",
        ),
        Query(
            "objections",
            (_PROPOSAL,),
            Fields((Field("members", U32), Field("needed", U32, "to stop it; 0: members do not"))),
            queries.query_objections,
            "Return how many members object to what has passed.",
        ),
        Query("program", (_PROPOSAL,), Maybe(PROGRAM), queries.query_program, "Return what would run."),
        Query(
            "hearing", (_PROPOSAL,), Maybe(SECONDS), queries.query_hearing, "Return when somebody is heard."
        ),
        Query(
            "tally",
            (_PROPOSAL,),
            Maybe(
                Fields(
                    (
                        *TALLIES.fields,
                        Field("electorate", U63),
                        Field("missing_yes", Maybe(U63), "to pass; nil: it cannot pass any more"),
                    )
                )
            ),
            queries.query_tally,
            "Return what was cast, and how many yes are missing.",
        ),
        Query(
            "ballot",
            (_PROPOSAL, _MEMBER),
            Maybe(Fields(BALLOTS.fields)),
            queries.query_ballot,
            "Return a ballot.",
        ),
        Query(
            "may_vote",
            (_PROPOSAL, _MEMBER),
            BOOL,
            queries.query_may_vote,
            "Tell whether a member may vote on it.",
        ),
        Query(
            "delegate",
            (_MEMBER, _TYPE),
            Maybe(MEMBER),
            queries.query_delegate,
            "Return who votes for a member.",
        ),
        Query(
            "delegators",
            (_MEMBER, _TYPE),
            Many(MEMBER, DELEGATORS_MAX),
            queries.query_delegators,
            "List for whom a member votes.",
        ),
        Query(
            "election",
            (_PROPOSAL,),
            Maybe(Fields(elections.ELECTIONS.fields)),
            queries.query_election,
            "Return which office an election fills.",
        ),
        Query(
            "candidates",
            (_PROPOSAL,),
            Many(Fields((_CANDIDATE, *elections.CANDIDATES.fields)), CANDIDATES_MAX),
            queries.query_candidates,
            "List who stands for election.",
        ),
        Query(
            "ranking",
            (_PROPOSAL,),
            Many(
                Fields(
                    (
                        Field("option", priorities.OPTION),
                        Field("name", priorities.OPTION_NAME),
                        Field("votes", U63, "in thousandths"),
                    )
                ),
                priorities.OPTIONS_MAX,
            ),
            queries.query_ranking,
            "List options, the most wanted first.",
        ),
        Query(
            "count",
            (_PROPOSAL,),
            Maybe(
                Fields(
                    (
                        Field("quota", U63),
                        Field("elected", Many(elections.CANDIDATE, elections.SEATS_MAX)),
                        Field("stages", Many(_STAGE, CANDIDATES_MAX)),
                    )
                )
            ),
            queries.query_count,
            "Show the last count of an election, stage by stage, as far as it has come; nil: none has begun.",
        ),
    ),
    events=(
        policies.POLICY_SET,
        ballots.CAST,
        ballots.EXTENDED,
        proposals.PROPOSED,
        proposals.STATE_CHANGED,
        proposals.RUN_FAILED,
        elections.STOOD,
        elections.ELECTED,
        leaving.LEFT,
        vetoes.OBJECTED,
        hearings.HEARING,
    ),
    errors=(
        ErrorType(NO_POLICY, "NO_POLICY", "There is no such type of proposals."),
        ErrorType(POLICY, "POLICY", "The policy contradicts itself or names what no vote may call."),
        ErrorType(WEAKENS_ITSELF, "WEAKENS_ITSELF", "A vote never loosens the rules that bind it."),
        ErrorType(NO_PROPOSAL, "NO_PROPOSAL", "There is no such proposal."),
        ErrorType(STATE, "STATE", "The proposal is not in the state that this takes."),
        ErrorType(NOT_ELIGIBLE, "NOT_ELIGIBLE", "This member has no vote here."),
        ErrorType(VOTED, "VOTED", "The member has voted, and a vote is not changed here."),
        ErrorType(NOT_ALLOWED, "NOT_ALLOWED", "A proposal of this type may not call that."),
        ErrorType(COOLDOWN, "COOLDOWN", "The same was refused too recently."),
        ErrorType(TOO_EARLY, "TOO_EARLY", "Its time has not come."),
        ErrorType(SPONSORED, "SPONSORED", "The member has signed already."),
        ErrorType(DELEGATES_FULL, "DELEGATES_FULL", "So many members have delegated to this one already."),
        ErrorType(NOT_DELEGATED, "NOT_DELEGATED", "The member has not delegated this type."),
        ErrorType(SEALED, "SEALED", "Ballots of this proposal are sealed."),
        ErrorType(NOT_SEALED, "NOT_SEALED", "Ballots of this proposal are open."),
        ErrorType(OTHER_BALLOT, "OTHER_BALLOT", "This is not the ballot that was sealed."),
        ErrorType(OPEN_PROPOSALS, "OPEN_PROPOSALS", "The member has too many open proposals."),
        ErrorType(elections.NO_ELECTION, "NO_ELECTION", "This proposal is no election."),
        ErrorType(elections.CANDIDACY, "CANDIDACY", "This member cannot stand, or nobody is left to."),
        ErrorType(elections.RANKING, "RANKING", "A paper names candidates of this election, each once."),
        ErrorType(elections.IN_OFFICE, "IN_OFFICE", "The seat is not vacant."),
        ErrorType(priorities.NO_PRIORITIES, "NO_PRIORITIES", "This proposal ranks no options."),
        ErrorType(leaving.NO_LEAVING, "NO_LEAVING", "Nobody leaves over a proposal of this type."),
        ErrorType(
            hearings.HEARING_TERMS,
            "HEARING_TERMS",
            "A hearing and its document are named where the type asks for them, in the discussion.",
        ),
        ErrorType(priorities.CREDITS, "CREDITS", "More credits than a member has, or not on these options."),
    ),
    invariants=(
        Invariant(
            "voting.tally",
            TALLIES,
            _is_tally_whole,
            "What delegates carry is a part of what was cast, and nothing is negative.",
        ),
    ),
)
