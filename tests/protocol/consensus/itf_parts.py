"""Replay traces of two parts of the Quint model of Tendermint: its vote keeper and its round state machine.

The vote keeper weighs validators; here a weight of 10 w is w validators of one vote each, who say the same
one after the other. What it emits is what `Rounds` then knows, compared after each of its votes.

The round state machine is told what the votes amount to (`PolkaAny`, `PolkaNil`, ...); we get votes that
amount to that. By design two things differ: we prevote our own proposal when we make it, the model when it
comes back; and where the model skips a round and then begins the next one, we do both at once.
"""

from collections.abc import Callable
from itertools import pairwise

from protocol.chain.block import Block
from protocol.chain.certificate import Vote, VoteKind
from protocol.chain.validators import EngineKind
from protocol.consensus.messages import Phase
from protocol.consensus.rounds import Rounds
from protocol.consensus.timeouts import TimerKind
from protocol.types import BlockId, EpochNumber, Height, View
from tests.protocol.consensus.itf import KINDS, PHASES, Json, plain
from tests.protocol.consensus.play import PRECOMMIT, PREVOTE, Play, said
from tests.simulation import ledger
from tests.simulation.ledger import EpochPlan, FakeSigner, Signer

WEIGHT_OF_ONE = 10


def replay_votes(trace: Json) -> int:
    """Replay a trace of the vote keeper; return how many of its states were compared."""
    states = [plain(state) for state in trace["states"]]
    weights: dict[str, int] = states[0]["bookkeeper"]["validatorSet"]
    count = sum(weights.values()) // WEIGHT_OF_ONE
    signers: list[Signer] = [FakeSigner(i) for i in range(count)]
    rounds = Rounds(EpochPlan(signers, list(range(count)), [], EngineKind.BFT).records[0])
    first = 0
    validators: dict[str, range] = {}
    for name, weight in weights.items():
        validators[name] = range(first, first + weight // WEIGHT_OF_ONE)
        first += weight // WEIGHT_OF_ONE
    found: set[tuple[str, int]] = set()
    for before, state in pairwise(states):
        if state["weightedVote"] != before["weightedVote"]:
            vote, _, current = state["weightedVote"]["value"]
            for validator in validators[vote["srcAddress"]]:
                given = make_vote(vote, validator)
                rounds.note(given)
                rounds.add(given)
            found |= list_facts(rounds, vote, current)
        emitted = {
            (output["tag"].removesuffix("VKOutput"), said_of["round"])
            for said_of in state["bookkeeper"]["rounds"].values()
            for output in said_of["emittedOutputs"]
        }
        assert found == emitted, f"we know {sorted(found)}, the model {sorted(emitted)}"
    return len(states) - 1


def make_vote(given: Json, validator: int) -> Vote:
    value = given["valueId"]
    block_id = None if value is None else BlockId(value.encode().ljust(32, b"\0"))
    kind = KINDS[given["voteType"]["tag"]]
    view = View(given["round"])
    return Vote(EpochNumber(0), kind, Height(given["height"]), view, block_id, None, validator)


def list_facts(rounds: Rounds, given: Json, current: int) -> set[tuple[str, int]]:
    """List what a vote made known, in the words of the model: the strongest of what its round has."""
    view, kind = View(given["round"]), KINDS[given["voteType"]["tag"]]
    if rounds.skip_view > current:
        return {("Skip", int(rounds.skip_view))}
    if not rounds.has_quorum(view, kind):
        return set()
    votes, name = rounds.get(view), "Polka" if kind is PREVOTE else "Precommit"
    proof = votes.polka if kind is PREVOTE else votes.certificate
    if proof is not None:
        return {(f"{name}Value", int(view))}
    nils = [v for v in votes.prevotes.values() if v.block_id is None]
    is_nil = kind is PREVOTE and rounds.is_hopeless(view) and len(nils) == len(votes.prevotes)
    return {(f"{name}Nil" if is_nil else f"{name}Any", int(view))}


class Driven(Play):
    """One machine that is given whatever the model's round state machine is told."""

    def __init__(self, is_first: bool) -> None:
        super().__init__()
        # The model's validator proposes in round 0, or in none of the rounds here.
        self.me = self.order[0] if is_first else self.order[3]
        self.blocks: dict[str, Block] = {}
        self.tell: dict[str, Callable[[Json], None]] = {
            "ProposeValueCInput": self.build_value,
            "ProposalCInput": lambda value: self.propose_value(value[1]),
            "ProposalInvalidCInput": lambda _: self.propose_value("invalid"),
            "ProposalAndPolkaAndValidCInput": lambda value: self.give(PREVOTE, [value, value, value]),
            "ProposalAndCommitAndValidCInput": lambda value: self.give(PRECOMMIT, [value[1]] * 3),
            "PolkaAnyCInput": lambda _: self.give(PREVOTE, [None, self.some_value()]),
            "PolkaNilCInput": lambda _: self.give(PREVOTE, [None, None, None]),
            "PrecommitAnyCInput": lambda _: self.give(PRECOMMIT, [None, None]),
            "TimeoutProposeCInput": lambda _: self.end(TimerKind.PROPOSE),
            "TimeoutPrevoteCInput": lambda _: self.end(TimerKind.PREVOTE),
            "TimeoutPrecommitCInput": lambda _: self.end(TimerKind.PRECOMMIT),
            # We were there before.
            "NewRoundCInput": lambda _: None,
            "NewRoundProposerCInput": lambda _: None,
        }

    def some_value(self) -> str | None:
        """Return the value that was proposed, so that a quorum for nil is still open."""
        return next(iter(self.blocks), None)

    def view(self) -> int:
        return int(self.nodes[self.me].term)

    def block_of(self, value: str) -> Block:
        if value not in self.blocks:
            block = self.make_block(self.view() % 4)
            self.blocks[value] = ledger.spoil(block) if value == "invalid" else block
        return self.blocks[value]

    def build_value(self, value: str) -> None:
        self.blocks[value] = self.build(self.me)

    def propose_value(self, value: str) -> None:
        if self.order[self.view() % 4] != self.me:
            self.propose(self.me, self.view(), self.block_of(value))

    def give(self, kind: VoteKind, values: list[str | None]) -> None:
        for voter, value in zip(self.others(self.me), values, strict=False):
            block_id = None if value is None else self.block_of(value).id
            self.receive(self.me, voter, self.vote(voter, kind, self.view(), block_id))

    def end(self, kind: TimerKind) -> None:
        self.fire(self.me, kind)


def replay_machine(trace: Json) -> int:
    """Replay a trace of the round state machine; return how many of its states were compared."""
    states = [plain(state) for state in trace["states"]]
    inputs = [state["input"] for state in states]
    driven = Driven(is_first=any(given["tag"] == "NewRoundProposerCInput" for given in inputs))
    node = driven.nodes[driven.me]
    compared = 0
    for before, state in pairwise(states):
        if (before["input"], before["state"]) == (state["input"], state["state"]):
            continue
        node.trace.clear()
        tag, output = state["input"]["tag"], state["output"]
        driven.tell[tag](state["input"]["value"])
        cs = state["state"]
        if output["tag"] == "SkipRoundOutput":
            assert driven.view() == output["value"]
        elif output["tag"] == "DecidedOutput":
            assert node.chain[0][0].id == driven.blocks[output["value"][1]].id
        elif output["tag"] == "ProposalOutput":
            # The model prevotes when its own proposal comes back.
            assert node.bft.phase is Phase.PREVOTE
        else:
            assert (driven.view(), node.bft.phase) == (cs["round"], PHASES[cs["step"]["tag"]]), tag
            assert node.bft.locked == pair_of(driven, cs["lockedRound"], cs["lockedValue"]), tag
            assert node.bft.valid == pair_of(driven, cs["validRound"], cs["validValue"]), tag
        if output["tag"] == "VoteOutput" and tag != "ProposalCInput":
            compare_vote(driven, output["value"])
        compared += 1
    return compared


def pair_of(driven: Driven, round_: int, value: str | None) -> tuple[int, BlockId] | None:
    return None if value is None or round_ < 0 else (round_, driven.blocks[value].id)


def compare_vote(driven: Driven, expected: Json) -> None:
    """Demand that the vote which the model sends is the one that we sent."""
    kind = KINDS[expected["voteType"]["tag"]]
    (vote,) = said(driven.nodes[driven.me].trace, kind)
    value = expected["valueId"]
    block_id = None if value is None else driven.blocks[value].id
    assert (vote.view, vote.block_id) == (expected["round"], block_id)
