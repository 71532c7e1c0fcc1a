"""What members decide, for people and programs: proposals, who may vote, ballots, and tallies with proof.

The plain records are there as `voting_*`; these methods put together what a page of decisions shows, say why
somebody has no vote, and prove a tally to one who knows genesis. How votes are counted is `contracts/voting`.
"""

from typing import Annotated, Any, Final

import msgspec

from node.rpc.dispatch import Method
from node.rpc.failure import RpcFailure
from node.rpc.forms import Form
from node.rpc.methods.books import RecordProof, prove_record
from node.rpc.methods.params import AddressParam, At, Params
from node.rpc.service import Call
from node.rpc.values import camel, kind_json, read_address, to_hex
from protocol.contracts.members.records import find_by_account
from protocol.contracts.stored import load_program
from protocol.contracts.voting import records as v
from protocol.contracts.voting import vetoes, weights
from protocol.elections.decision import WHOLE_BP, count_missing_yes
from protocol.errors import CallFailed
from protocol.params import QUERY_ITEMS_MAX
from protocol.vm.view import View

STATES: Final = {
    v.DRAFT: "draft", v.OPEN: "open", v.PASSED: "passed", v.REJECTED: "rejected", v.NO_QUORUM: "no_quorum",
    v.VETOED: "vetoed", v.EXECUTED: "executed", v.LAPSED: "lapsed", v.WITHDRAWN: "withdrawn",
    v.COUNTING: "counting",
}  # fmt: skip
CHOICES: Final = {v.YES: "yes", v.NO: "no", v.ABSTAIN: "abstain"}
KINDS: Final = {v.PROGRAM_KIND: "program", v.ELECTION_KIND: "election", v.PRIORITIES_KIND: "priorities"}

_Number = Annotated[int, msgspec.Meta(ge=1, le=(1 << 32) - 1)]
_Type = Annotated[int, msgspec.Meta(ge=1, le=v.TYPES_MAX)]


class GovListParams(Params):
    """Proposals in a state, above a number."""

    state: str = "open"
    after: Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)] = 0
    at: At = None


class ProposalParams(Params):
    """A proposal."""

    proposal: _Number
    at: At = None


class TallyParams(Params):
    """A proposal, and whether to prove what was cast; a proof is of the newest height that has one."""

    proposal: _Number
    prove: bool = False
    at: At = None


class VoterParams(Params):
    """A proposal and a member's account."""

    proposal: _Number
    address: AddressParam
    at: At = None


class PowerParams(Params):
    """A member's account and a type of proposals."""

    address: AddressParam
    type: _Type
    at: At = None


class ProposalLine(Form):
    """A proposal in a list."""

    proposal: int
    title: str
    type: str
    state: str
    starts: int
    ends: int


class ProposalPage(Form):
    """Proposals in order; ask again after `next`, nil at the end."""

    height: int
    items: list[ProposalLine]
    next: int | None


class TallyForm(Form):
    """Weights that were cast.

    `quorum` is the least that takes part; `missingYes` how many more yes it takes to pass, null when it
    cannot pass any more. `value` of the proof is the record of the first six figures.
    """

    height: int
    yes: int
    no: int
    abstain: int
    carried_yes: int
    carried_no: int
    carried_abstain: int
    electorate: int
    quorum: int
    missing_yes: int | None
    proof: RecordProof | None = None


class ProposalForm(Form):
    """A proposal with its rules, its times and how it stands; `program` is what runs when it has passed.

    `signers` are the members who have signed for it, as its policy may ask before it is discussed; `ends` of
    a draft is until when. `objections` are those of members who would stop what has passed.
    """

    height: int
    proposal: int
    title: str
    type: str
    kind: str
    state: str
    document: str
    program: str | None
    program_hash: str
    proposer: int
    snapshot: int
    starts: int
    ends: int
    ready: int
    expires: int
    tries: int
    code: int
    reading: int
    signatures: int
    signers: list[int]
    objections: int
    objections_needed: int
    policy: dict[str, Any]
    tally: TallyForm


class VoteForm(Form):
    """A ballot; `choice` is null while nothing is cast, and abstain for a sealed one that is not opened."""

    height: int
    member: int | None
    choice: str | None
    own: int
    carried: int
    is_sealed: bool


class Eligibility(Form):
    """Whether somebody may vote; when not, the rule that says so, with its limit and what is here."""

    height: int
    member: int | None
    may_vote: bool
    weight: int
    rule: str | None
    limit: int | str | None
    actual: int | str | None


class Power(Form):
    """Who votes for a member on a type, and for whom the member votes, as it counts for the next proposal."""

    height: int
    member: int | None
    delegate: int | None
    delegators: list[int]


async def list_proposals(call: Call, params: GovListParams) -> ProposalPage:
    """List proposals in a state."""
    numbers = {name: number for number, name in STATES.items()}
    if params.state not in numbers:
        raise RpcFailure("rpc.bad_params", detail=f"one of {', '.join(numbers)} - at `$.state`")
    height = call.state_height_of(params.at)
    after = (params.after,) if params.after else ()
    with call.state(height) as state:
        view = View(state)
        page = v.PROPOSALS.page(view, v.BY_STATE, numbers[params.state], after=after)
        items = []
        for (number,), row in page:
            assert type(number) is int
            proposal = v.Proposal(*row[1:])  # type: ignore[arg-type]
            name = v.get_frozen(view, number).name
            shown = STATES[proposal.state]
            items.append(ProposalLine(number, proposal.title, name, shown, proposal.starts, proposal.ends))
    return ProposalPage(height, items, items[-1].proposal if len(items) == QUERY_ITEMS_MAX else None)


async def get_proposal(call: Call, params: ProposalParams) -> ProposalForm:
    """Show a proposal with everything that a member needs to decide on it."""
    height = call.state_height_of(params.at)
    with call.state(height) as state:
        view = View(state)
        proposal, policy = _find(view, params.proposal), v.get_frozen(view, params.proposal)
        raw = load_program(view, v.PROGRAMS, params.proposal)
        tally = _tally(view, height, params.proposal, proposal, policy)
        signers = [v.SPONSORS.parts(key)[1] for key, _ in v.SPONSORS.scan(view, params.proposal)]
        objections = vetoes.count_objections(view, params.proposal)
        needed = vetoes.count_needed(view, proposal, policy)
    shown = {camel(field.name): kind_json(field.kind, getattr(policy, field.name), call.facts.hrp)
             for field in v.POLICIES.fields}  # fmt: skip
    return ProposalForm(
        height,
        params.proposal,
        proposal.title,
        policy.name,
        KINDS[proposal.kind],
        STATES[proposal.state],
        to_hex(proposal.document),
        to_hex(raw) if raw else None,
        to_hex(proposal.program_hash),
        proposal.proposer,
        proposal.snapshot,
        proposal.starts,
        proposal.ends,
        proposal.ready,
        proposal.expires,
        proposal.tries,
        proposal.code,
        proposal.reading,
        proposal.sponsors,
        [int(number) for number in signers],
        objections,
        needed,
        shown,
        tally,
    )


async def get_tally(call: Call, params: TallyParams) -> TallyForm:
    """Show what was cast; with a proof, as of the height that the proof is of."""
    proof = await prove_record(call, v.TALLIES.key(params.proposal)) if params.prove else None
    height = call.state_height_of(params.at if proof is None else proof.height)
    with call.state(height) as state:
        view = View(state)
        proposal, policy = _find(view, params.proposal), v.get_frozen(view, params.proposal)
        return _tally(view, height, params.proposal, proposal, policy, proof)


async def get_vote(call: Call, params: VoterParams) -> VoteForm:
    """Show how a member voted."""
    height = call.state_height_of(params.at)
    with call.state(height) as state:
        view = View(state)
        _find(view, params.proposal)
        member = _find_member(call, view, params.address)
        if member is None:
            return VoteForm(height, None, None, 0, 0, False)
        row = v.BALLOTS.get(view, v.BALLOTS.key(params.proposal, member))
        is_sealed = v.SEALED_BALLOTS.get(view, v.SEALED_BALLOTS.key(params.proposal, member)) is not None
    if row is None:
        return VoteForm(height, member, None, 0, 0, is_sealed)
    return VoteForm(height, member, CHOICES[row[1]], row[2], row[3], is_sealed)


async def get_eligibility(call: Call, params: VoterParams) -> Eligibility:
    """Say whether a member may vote on a proposal, and why not."""
    height = call.state_height_of(params.at)
    with call.state(height) as state:
        view = View(state)
        proposal, policy = _find(view, params.proposal), v.get_frozen(view, params.proposal)
        member = _find_member(call, view, params.address)
        if member is None:
            return Eligibility(height, None, False, 0, "voting.member", None, None)
        try:
            weight = weights.find_weight(view, policy, proposal, member)
        except CallFailed as failed:
            rule, limit, actual = failed.reason.rule, failed.reason.limit, failed.reason.actual
            assert not isinstance(limit, bytes) and not isinstance(actual, bytes)
            return Eligibility(height, member, False, 0, rule, limit, actual)
    return Eligibility(height, member, True, weight, None, None, None)


async def get_power(call: Call, params: PowerParams) -> Power:
    """Show who votes for whom on a type of proposals."""
    height = call.state_height_of(params.at)
    with call.state(height) as state:
        view = View(state)
        member = _find_member(call, view, params.address)
        if member is None:
            return Power(height, None, None, [])
        delegate = weights.find_delegate(view, member, params.type, v.HEIGHT_LAST)
        delegators = weights.list_delegators(view, member, params.type, v.HEIGHT_LAST)
    return Power(height, member, delegate, delegators)


def _find(view: View, number: int) -> v.Proposal:
    row = v.PROPOSALS.get(view, v.PROPOSALS.key(number))
    if row is None:
        raise RpcFailure("voting.no_proposal", rule="voting.proposal", limit="-", actual=number)
    return v.Proposal(*row[1:])  # type: ignore[arg-type]


def _find_member(call: Call, view: View, address: str) -> int | None:
    return find_by_account(view, read_address(address, call.facts.hrp))


def _tally(
    view: View,
    height: int,
    number: int,
    proposal: v.Proposal,
    policy: v.Policy,
    proof: RecordProof | None = None,
) -> TallyForm:
    row = v.get_tally(view, number)
    missing = count_missing_yes(v.read_tally(row), proposal.electorate, policy.threshold)
    quorum = -(-policy.quorum_bp * proposal.electorate // WHOLE_BP)
    return TallyForm(height, *row[1:], proposal.electorate, quorum, missing, proof)


_UNKNOWN: Final = ("voting.no_proposal", "chain.pruned")
METHODS: tuple[Method[Any], ...] = (
    Method(
        "gov_list", GovListParams, ProposalPage, "Proposals in a state.", list_proposals, ("chain.pruned",)
    ),
    Method(
        "gov_get",
        ProposalParams,
        ProposalForm,
        "A proposal: its rules, times, program and signatures, how it stands, and how many yes are missing.",
        get_proposal,
        _UNKNOWN,
    ),
    Method(
        "gov_getTally",
        TallyParams,
        TallyForm,
        "What was cast on a proposal, with a proof if one is asked for.",
        get_tally,
        (*_UNKNOWN, "chain.height_unavailable"),
    ),
    Method("gov_getVote", VoterParams, VoteForm, "How a member voted.", get_vote, _UNKNOWN),
    Method(
        "gov_getEligibility",
        VoterParams,
        Eligibility,
        "Whether a member may vote on a proposal, and why not.",
        get_eligibility,
        _UNKNOWN,
    ),
    Method("gov_getPower", PowerParams, Power, "Who votes for whom on a type.", get_power, ("chain.pruned",)),
)
