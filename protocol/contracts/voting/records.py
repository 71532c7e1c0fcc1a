"""What voting keeps: policies, proposals, tallies, ballots and delegations.

Knows no step (`proposals.py`, `ballots.py`).
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol.contracts.members.records import MEMBER
from protocol.contracts.stored import program_table
from protocol.elections.decision import WHOLE_BP, Tally, Threshold
from protocol.params import ROLE_NAME_BYTES_MAX
from protocol.types import Address, ContractId
from protocol.vm.context import fail
from protocol.vm.contract import compute_contract_address
from protocol.vm.keys import KeyPart, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    ASSET,
    BOOL,
    HASH,
    HEIGHT,
    SECONDS,
    U8,
    U16,
    U32,
    U63,
    Field,
    Fields,
    Integer,
    Many,
    Text,
)
from protocol.vm.tables import SCHEMA, Index, Table, pack_record, read_record
from protocol.vm.view import Row, View

ID: Final = ContractId(22)
ADDRESS_OF: Final[Address] = compute_contract_address("voting")
ESCROW: Final = 2040

NO_POLICY: Final = 2201
POLICY: Final = 2202
WEAKENS_ITSELF: Final = 2203
NO_PROPOSAL: Final = 2204
STATE: Final = 2205
NOT_ELIGIBLE: Final = 2206
VOTED: Final = 2207
NOT_ALLOWED: Final = 2208
COOLDOWN: Final = 2209
TOO_EARLY: Final = 2210
SPONSORED: Final = 2211
DELEGATES_FULL: Final = 2212
NOT_DELEGATED: Final = 2213
SEALED: Final = 2214
NOT_SEALED: Final = 2215
OTHER_BALLOT: Final = 2216
OPEN_PROPOSALS: Final = 2217

DRAFT: Final = 1
"""It waits for sponsors."""
OPEN: Final = 2
"""In discussion until it starts, then put to the vote until it ends."""
PASSED: Final = 3
"""It waits for its time lock, or to be run again."""
REJECTED: Final = 4
NO_QUORUM: Final = 5
VETOED: Final = 6
EXECUTED: Final = 7
LAPSED: Final = 8
WITHDRAWN: Final = 9
COUNTING: Final = 10
"""Its time has come; the papers of an election are counted, over several runs."""

PROGRAM_KIND: Final = 1
ELECTION_KIND: Final = 2
PRIORITIES_KIND: Final = 3

YES: Final = 1
NO: Final = 2
ABSTAIN: Final = 3

BY_MEMBER: Final = 1
BY_SHARES: Final = 2

TYPES_MAX: Final = 32
"""Types of proposals."""
POLICY_METHODS_MAX: Final = 64
"""Methods that a type may call."""
VOTING_SECONDS_MAX: Final = 90 * 86_400
DELAY_SECONDS_MAX: Final = 366 * 86_400
SPONSORS_MAX: Final = 1_000
DELEGATORS_MAX: Final = 10
"""Members who can delegate one topic to one member: so many votes he counts when he votes."""
OPEN_PER_MEMBER_MAX: Final = 3
"""Proposals that one member may have in draft, in discussion or put to the vote."""
TRIES_MAX: Final = 3
"""Runs by the chain itself; then anybody may run it until its window ends."""
SALT_BYTES_MIN: Final = 16
HEIGHT_LAST: Final = (1 << 40) - 1

TYPE: Final = Integer("proposal type", 1, TYPES_MAX)
PROPOSAL: Final = Integer("proposal", 1, (1 << 32) - 1)
CHOICE: Final = Integer("choice", YES, ABSTAIN)
WEIGHT_KIND: Final = Integer("weight", BY_MEMBER, BY_SHARES)
BASIS_POINTS: Final = Integer("basis points", 0, WHOLE_BP)
SHORT: Final = Integer("seconds", 0, VOTING_SECONDS_MAX)
LONG: Final = Integer("seconds", 0, DELAY_SECONDS_MAX)
METHOD: Final = Fields((Field("contract", U16), Field("method", U16)))


@dataclass(frozen=True, slots=True)
class Policy:
    """What it takes to decide a type of proposal, in the order of its record."""

    name: str
    weight: int
    share_class: int
    cap_bp: int
    quorum_bp: int
    approval_bp: int
    least_yes_bp: int
    member_days: int
    sponsors: int
    discussion: int
    voting: int
    quiet: int
    timelock: int
    window: int
    cooldown: int
    deposit_asset: int
    deposit: int
    early: bool
    replace: bool
    sealed: bool
    two_readings: bool
    veto_role: str
    veto_bp: int
    notice: int
    methods: tuple[tuple[int, int], ...]
    version: int = 1

    @property
    def threshold(self) -> Threshold:
        """Return what passing takes."""
        return Threshold(self.quorum_bp, self.approval_bp, self.least_yes_bp)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal, in the order of its record."""

    type: int
    title: str
    document: bytes
    program_hash: bytes
    calls: int
    proposer: int
    snapshot: int
    electorate: int
    created_day: int
    state: int
    sponsors: int
    starts: int
    ends: int
    first_end: int
    ready: int
    expires: int
    tries: int
    code: int
    reading: int
    kind: int


POLICY_FIELDS: Final = (
    Field("name", Text("name", 32)),
    Field("weight", WEIGHT_KIND, "1 a member one vote, 2 shares"),
    Field("share_class", U16, "of weight 2"),
    Field("cap_bp", BASIS_POINTS, "most of all shares that one member votes with"),
    Field("quorum_bp", BASIS_POINTS, "of the electorate, abstentions included"),
    Field("approval_bp", Integer("basis points", 0, WHOLE_BP - 1), "yes is more than this of yes and no"),
    Field("least_yes_bp", BASIS_POINTS, "of the electorate"),
    Field("member_days", Integer("days", 0, 3_660), "for how long a voter is a member already"),
    Field("sponsors", Integer("members", 0, SPONSORS_MAX), "who must sign before it is discussed"),
    Field("discussion", SHORT),
    Field("voting", Integer("seconds", 1, VOTING_SECONDS_MAX)),
    Field(
        "quiet", SHORT, "added once when the leading side changes, or the quorum comes, so close to the end"
    ),
    Field("timelock", LONG, "between passing and running"),
    Field("window", Integer("seconds", 1, DELAY_SECONDS_MAX), "in which it can run"),
    Field("cooldown", LONG, "before the same is proposed again after a refusal"),
    Field("deposit_asset", ASSET),
    Field("deposit", AMOUNT, "given back when the quorum comes"),
    Field("early", BOOL, "ends when nothing can change the result any more"),
    Field("replace", BOOL, "a vote may be changed"),
    Field("sealed", BOOL, "ballots are opened after the vote"),
    Field("two_readings", BOOL, "it passes twice, a time lock apart"),
    Field("veto_role", Text("role", ROLE_NAME_BYTES_MAX), "who may stop it before it runs; empty: no office"),
    Field("veto_bp", BASIS_POINTS, "of the members stop it before it runs; 0: they do not"),
    Field("notice", SHORT, "before the hearing that each proposal names, in its discussion; 0: none"),
    Field("methods", Many(METHOD, POLICY_METHODS_MAX), "what its program may call; none: no program"),
)
POLICIES: Final[Table[Row]] = Table(
    ID,
    1,
    "policy",
    (uint_key("type", 8),),
    (*POLICY_FIELDS, Field("version", U32)),
    doc="What it takes to decide each type of proposal.",
)
FROZEN: Final[Table[Row]] = Table(
    ID,
    2,
    "frozen_policy",
    (uint_key("proposal", 32),),
    POLICIES.fields,
    doc="The policy of a proposal, as it was when it was made.",
)

PROPOSAL_STATE: Final = Field(
    "state",
    U8,
    "1 draft, 2 open, 3 passed, 4 rejected, 5 no quorum, 6 vetoed, 7 executed, 8 lapsed, 9 withdrawn, "
    "10 counting",
)
PROPOSAL_FIELDS: Final = (
    Field("type", TYPE),
    Field("title", Text("title", 128)),
    Field("document", HASH, "of the text"),
    Field("program_hash", HASH, "of the program; zeros: none"),
    Field("calls", U16, "that differ in what they call and upon what"),
    Field("proposer", MEMBER),
    Field("snapshot", HEIGHT, "standing and weights are those after this block"),
    Field("electorate", U63, "sum of all weights"),
    Field("created_day", U32),
    PROPOSAL_STATE,
    Field("sponsors", U32),
    Field("starts", SECONDS, "of the vote"),
    Field("ends", SECONDS),
    Field("first_end", SECONDS, "before an extension"),
    Field("ready", SECONDS, "from when it may run"),
    Field("expires", SECONDS, "until when"),
    Field("tries", U8, "runs that failed"),
    Field("code", U32, "why the last run failed; 0: it did not"),
    Field("reading", U8, "1 or 2"),
    Field("kind", U8, "1 program, 2 election, 3 priorities"),
)  # fmt: skip


def _select_proposer(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    proposer, state = row[6], row[10]
    assert type(proposer) is int
    return (proposer,) if state in (DRAFT, OPEN) else None


def _select_state(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    state = row[10]
    assert type(state) is int
    return (state,)


BY_PROPOSER: Final = Index(5, "by_proposer", (uint_key("proposer", 32),), _select_proposer)
BY_STATE: Final = Index(6, "by_state", (uint_key("state", 8),), _select_state)
PROPOSALS: Final[Table[Row]] = Table(
    ID,
    3,
    "proposal",
    (uint_key("proposal", 32),),
    PROPOSAL_FIELDS,
    (BY_PROPOSER, BY_STATE),
    doc="What was proposed and what became of it.",
)
PROGRAMS: Final = program_table(ID, 7)

TallyRow: TypeAlias = tuple[int, int, int, int, int, int, int]
"""(schema, yes, no, abstain, of them carried by delegates: yes, no, abstain)"""
TALLIES: Final[Table[TallyRow]] = Table(
    ID,
    8,
    "tally",
    (uint_key("proposal", 32),),
    (
        Field("yes", U63),
        Field("no", U63),
        Field("abstain", U63),
        Field("carried_yes", U63, "by delegates, so it can be taken back"),
        Field("carried_no", U63),
        Field("carried_abstain", U63),
    ),
    doc="Weights that were cast, summed as they come.",
)

BallotRow: TypeAlias = tuple[int, int, int, int]
"""(schema, choice, own weight, carried weight)"""
BALLOTS: Final[Table[BallotRow]] = Table(
    ID,
    9,
    "ballot",
    (uint_key("proposal", 32), uint_key("member", 32)),
    (Field("choice", CHOICE), Field("own", U63), Field("carried", U63, "of members who delegated")),
    doc="Who voted how.",
)
SealedRow: TypeAlias = tuple[int, bytes]
SEALED_BALLOTS: Final[Table[SealedRow]] = Table(
    ID,
    10,
    "sealed_ballot",
    (uint_key("proposal", 32), uint_key("member", 32)),
    (Field("commitment", HASH),),
    doc="Ballots that are not opened yet.",
)
SponsorRow: TypeAlias = tuple[int]
SPONSORS: Final[Table[SponsorRow]] = Table(
    ID,
    11,
    "sponsor",
    (uint_key("proposal", 32), uint_key("member", 32)),
    (),
    doc="Who signed for a proposal.",
)

DelegationRow: TypeAlias = tuple[int, int, int]
DELEGATIONS: Final[Table[DelegationRow]] = Table(
    ID,
    12,
    "delegation",
    (uint_key("member", 32), uint_key("type", 8), uint_key("height_from_end", 40)),
    (Field("delegate", MEMBER), Field("slot", Integer("slot", 0, DELEGATORS_MAX), "0: nobody any more")),
    doc="Whom a member lets vote on a type, after the block of each height at which that changed.",
)
SlotRow: TypeAlias = tuple[int, int, bool]
SLOTS: Final[Table[SlotRow]] = Table(
    ID,
    13,
    "slot",
    (uint_key("delegate", 32), uint_key("type", 8), uint_key("slot", 8), uint_key("height_from_end", 40)),
    (Field("member", MEMBER), Field("is_taken", BOOL)),
    doc="Who delegated to a member, slot by slot, after the block of each height at which that changed.",
)

CounterRow: TypeAlias = tuple[int, int, int]
COUNTER: Final[Table[CounterRow]] = Table(
    ID,
    14,
    "counter",
    (),
    (Field("proposals", U32), Field("running", U32, "proposal whose program runs now; 0: none")),
    doc="Number of the newest proposal, and the one that runs.",
)
DepositRow: TypeAlias = tuple[int, Address, int, int]
DEPOSITS: Final[Table[DepositRow]] = Table(
    ID,
    15,
    "deposit",
    (uint_key("proposal", 32),),
    (Field("account", ADDRESS), Field("asset", ASSET), Field("amount", AMOUNT)),
    doc="What was left as a deposit.",
)


def get_policy(view: View, proposal_type: int) -> Policy:
    """Return the policy of a type.

    Raises:
        CallFailed: NO_POLICY.
    """
    policy = find_policy(view, proposal_type)
    if policy is None:
        fail(NO_POLICY, "voting.type", None, proposal_type)
    return policy


def find_policy(view: View, proposal_type: int) -> Policy | None:
    """Return the policy of a type, or None."""
    row = POLICIES.get(view, POLICIES.key(proposal_type))
    return None if row is None else read_record(Policy, row)


def get_frozen(view: View, number: int) -> Policy:
    """Return the policy with which a proposal was made."""
    row = FROZEN.get(view, FROZEN.key(number))
    assert row is not None, "a proposal has its policy"
    return read_record(Policy, row)


def get_proposal(view: View, number: int) -> Proposal:
    """Return a proposal.

    Raises:
        CallFailed: NO_PROPOSAL.
    """
    row = PROPOSALS.need(view, PROPOSALS.key(number), NO_PROPOSAL, "voting.proposal", number)
    return read_record(Proposal, row)


def put_proposal(view: View, number: int, proposal: Proposal) -> None:
    """Write a proposal."""
    PROPOSALS.put(view, PROPOSALS.key(number), pack_record(proposal))


def get_tally(view: View, number: int) -> TallyRow:
    """Return what was cast."""
    return TALLIES.get(view, TALLIES.key(number)) or (SCHEMA, 0, 0, 0, 0, 0, 0)


def read_tally(row: TallyRow) -> Tally:
    """Return what was cast as a sum to decide on."""
    return Tally(row[1], row[2], row[3])
