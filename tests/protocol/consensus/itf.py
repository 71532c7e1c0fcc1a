"""Replay traces of the Quint model of Tendermint against `Bft` (tests/vectors/consensus/tendermint-itf).

A trace is a list of states of a whole system. In each step one validator takes one input; its state
afterwards, and everything it sent, must be ours. What the model consumed is the difference of its incoming
sets before and after; own messages come back to it through the network, and so to us.

Differences that the model and we have by design, each told apart and counted:
    queued    the model puts what follows from an input into a queue; we compare when the queue is empty.
    proposer  we prevote our own proposal when we make it, the model when it comes back.
    hopeless  B8: we precommit nil when no polka can come any more, the model after its timeout.
    entered   we prevote at once when we enter a round whose proposal we have; the model has that queued, and
              may time out before it comes to it.
    shown     a polka shown as a whole is proposed again even if its round is over; the model forgets it.
    decided   the model takes a certificate from its queue, and stands at its old round or votes until then.
"""

import gc
import json
import lzma
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from protocol.chain.block import Block
from protocol.chain.certificate import Vote, VoteKind
from protocol.chain.validators import EngineKind
from protocol.consensus.bft import Bft
from protocol.consensus.effects import Broadcast, BuildBlock, CheckBlock, CommitBlock, Effect
from protocol.consensus.inputs import Verdict
from protocol.consensus.messages import Phase, PolkaShown, Proposal, VoteBundle, height_of
from protocol.consensus.polka import form_polka
from protocol.consensus.timeouts import LOCAL, TimerKey, TimerKind
from protocol.types import BlockId, EpochNumber, Height, View
from tests.simulation import ledger
from tests.simulation.ledger import GENESIS_HASH, ORIGIN, EpochPlan, FakeSigner, Head, Signer

VECTORS = Path(__file__).parents[2] / "vectors/consensus/tendermint-itf"
EPOCH = EpochNumber(0)
PHASES = {"ProposeStep": Phase.PROPOSE, "PrevoteStep": Phase.PREVOTE, "PrecommitStep": Phase.PRECOMMIT}
TIMERS = {
    "ProposeTimeout": TimerKind.PROPOSE,
    "PrevoteTimeout": TimerKind.PREVOTE,
    "PrecommitTimeout": TimerKind.PRECOMMIT,
}
KINDS = {"Prevote": VoteKind.PREVOTE, "Precommit": VoteKind.PRECOMMIT}

Said = Vote | Proposal | PolkaShown | VoteBundle

Json = Any
"""Decoded JSON of a trace."""


def load_traces(archive: str, is_whole: bool = True) -> Iterator[tuple[str, Json]]:
    """Yield name and trace of every trace of an archive that is of the whole system, or of a part of it."""
    with lzma.open(VECTORS / archive) as data, tarfile.open(fileobj=data) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None:
                gc.disable()  # A trace is millions of small values and no rings.
                trace = json.load(file)
                gc.enable()
                if (find_module(trace) is not None) is is_whole:
                    yield Path(member.name).name.removesuffix(".itf.json"), trace


def find_module(trace: Json) -> str | None:
    """Return the prefix of the variables of a whole-system trace."""
    names = [v for state in trace["states"] for v in state if v == "system" or v.endswith("::system")]
    return names[-1].removesuffix("system") if names else None


def plain(value: Json) -> Json:
    """Return a value of the trace format as plain data: sets and lists as lists, maps as dicts."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "#bigint" in value:
        return int(value["#bigint"])
    for mark in ("#set", "#tup"):
        if mark in value:
            return [plain(item) for item in value[mark]]
    if "#map" in value:
        return {plain(key): plain(item) for key, item in value["#map"]}
    if set(value) == {"tag", "value"} and value["tag"] in ("Val", "Nil"):
        return plain(value["value"]) if value["tag"] == "Val" else None
    return {key: plain(item) for key, item in value.items() if key != "#meta"}


class Place:
    """One validator of the model and our machine beside it."""

    def __init__(self, index: int, machine: Bft) -> None:
        self.index = index
        self.machine = machine
        self.is_started = False
        # At this height: the model has been told to start, or decides without it.
        self.is_open = False
        self.wanted: BuildBlock | None = None
        self.sent: set[tuple[Json, ...]] = set()
        self.model_sent: set[tuple[Json, ...]] = set()
        self.hopeless: set[tuple[Json, ...]] = set()
        self.early: set[tuple[Json, ...]] = set()
        self.decided: dict[int, BlockId] = {}
        self.waiting: list[tuple[int, Said]] = []
        self.unfounded: list[Proposal] = []
        self.shown: set[tuple[int, str]] = set()


class Replay:
    """Replay one trace."""

    def __init__(self, trace: Json) -> None:
        module = find_module(trace)
        assert module is not None
        self.module = module
        self.trace = trace
        first = next(state for state in trace["states"] if module + "system" in state)
        system = dict(first[module + "system"]["#map"])
        any_state = plain(next(iter(system.values())))
        names = sorted(any_state["es"]["valset"])
        self.names = names
        signers: list[Signer] = sorted((FakeSigner(i) for i in range(len(names))), key=lambda s: s.public_key)
        self.plan = EpochPlan(signers, list(range(len(names))), [], EngineKind.BFT)
        record = self.plan.records[0]
        self.places = {
            name: Place(
                names.index(name),
                Bft(GENESIS_HASH, record, names.index(name), Height(1), ORIGIN.block_id, LOCAL),
            )
            for name in system
        }
        self.blocks: dict[tuple[int, str], Block] = {}
        self.names_of: dict[BlockId, str] = {}
        self.valid_views: dict[tuple[int, int, str], int] = {}
        self.compared = 0
        self.different: Counter[str] = Counter()

    # --- the words of the model in ours

    def block(self, height: int, value: str) -> Block:
        """Return the block of a value; all heights stand on one parent id, so forks do not matter here."""
        if (height, value) not in self.blocks:
            head = Head(Height(height), ORIGIN.block_id, ORIGIN.time_ms, ORIGIN.state_root, None)
            key = self.plan.records[0].validators[0].consensus_key
            block = ledger.build(head, self.plan, View(0), key, len(self.blocks) + 1)
            if value == "invalid":
                block = ledger.spoil(block)
            self.blocks[height, value] = block
            self.names_of[block.id] = value
        return self.blocks[height, value]

    def vote(self, said: Json) -> Vote:
        height, view, value = said["height"], said["round"], said["valueId"]
        kind = KINDS[said["voteType"]["tag"]]
        valid = self.valid_views.get((height, view, value), -1) if kind is VoteKind.PREVOTE else -1
        return Vote(
            EPOCH,
            kind,
            Height(height + 1),
            View(view),
            None if value is None else self.block(height, value).id,
            View(valid) if 0 <= valid < view else None,
            self.names.index(said["srcAddress"]),
        )

    def proposal(self, said: Json) -> Proposal:
        valid = said["validRound"]
        return Proposal(
            EPOCH,
            Height(said["height"] + 1),
            View(said["round"]),
            self.names.index(said["srcAddress"]),
            None if valid < 0 else View(valid),
            self.block(said["height"], said["proposal"]),
        )

    # --- the run

    def run(self) -> None:
        before: dict[str, Json] = {}
        for state in self.trace["states"]:
            if self.module + "_hist" not in state:
                continue
            hist = plain(state[self.module + "_hist"])
            if isinstance(hist, list):
                hist = dict(zip(("validator", "input", "output"), hist, strict=True))
            after = dict(state[self.module + "system"]["#map"])
            name = hist["validator"]
            if name in before and before[name] != after[name]:
                old, new = plain(before[name]), plain(after[name])
                if is_step(old, new):
                    self.note_proposals(after)
                    self.take(self.places[name], hist, old, new)
            before = after

    def note_proposals(self, system: dict[str, Json]) -> None:
        """Learn on which polka each proposal stands, so that its prevotes can say it."""
        for state in system.values():
            for said in plain(state["incomingProposals"]) + plain(state["es"]["proposals"]):
                key = (said["height"], said["round"], said["proposal"])
                self.valid_views.setdefault(key, said["validRound"])

    def take(self, place: Place, hist: Json, old: Json, new: Json) -> None:
        tag, value = hist["input"]["tag"], hist["input"]["value"]
        if tag == "StartDInput":
            self.follow(place, new["es"]["cs"]["height"])
        if not place.is_open and (tag == "StartDInput" or new["es"]["cs"]["step"]["tag"] == "DecidedStep"):
            self.open(place)
        round_before = place.machine.term
        if tag == "StartDInput":
            # The model reads at once whatever waits for it.
            self.receive_all(place, old, new)
        elif tag == "TimeoutDInput":
            self.fire(place, value["tag"], old, new)
        elif tag == "ProposalDInput":
            proposal = self.proposal(value)
            if proposal.proposer == place.index:
                self.build(place, proposal)
            self.receive(place, proposal.proposer, proposal)
        elif tag == "VoteDInput":
            vote = self.vote(value)
            self.receive(place, vote.validator, vote)
        elif tag == "CertificateDInput":
            self.receive_certificate(place, value)
        self.follow(place, new["es"]["cs"]["height"])
        if place.machine.term > round_before:
            here = (place.machine._height - 1, int(place.machine.term), "PREVOTE")
            place.early |= {word for word in place.sent if word[:3] == here}
        self.note_sent(place, hist["output"])
        self.compare(place, hist, new)

    def open(self, place: Place) -> None:
        """Begin a height, with what came before."""
        place.is_open = True
        if not place.is_started:
            place.is_started = True
            self.perform(place, place.machine.start(None))
        waiting, place.waiting = place.waiting, []
        for sender, message in waiting:
            self.receive(place, sender, message)

    def fire(self, place: Place, name: str, old: Json, new: Json) -> None:
        gone = [t for t in old["timeouts"] if t not in new["timeouts"]]
        kind = TIMERS[name]
        key = place.machine._timers._newest.get(kind)
        if any(place_of_timer(t) == place_of_key(key) for t in gone) and key is not None:
            self.perform(place, place.machine.fire(key))

    def receive_all(self, place: Place, old: Json, new: Json) -> None:
        for said in old["incomingProposals"]:
            if said not in new["incomingProposals"]:
                proposal = self.proposal(said)
                self.receive(place, proposal.proposer, proposal)
        for said in old["incomingVotes"]:
            if said not in new["incomingVotes"]:
                vote = self.vote(said)
                self.receive(place, vote.validator, vote)

    def build(self, place: Place, proposal: Proposal) -> None:
        wanted = place.wanted
        if wanted is not None and (wanted.height, wanted.view) == (proposal.height, proposal.view):
            place.wanted = None
            self.perform(place, place.machine.built(wanted.height, wanted.view, proposal.block))

    def receive_certificate(self, place: Place, value: Json) -> None:
        votes = tuple(sorted((self.vote(v) for v in value), key=lambda v: v.validator))
        message: PolkaShown | VoteBundle
        if votes[0].kind is VoteKind.PREVOTE:
            message = PolkaShown(form_polka(votes))
            place.shown.add((int(votes[0].view), self.names_of[message.polka.block_id]))
        else:
            message = VoteBundle(EPOCH, votes[0].height, votes)
        self.receive(place, (place.index + 1) % len(self.names), message)

    def receive(self, place: Place, sender: int, message: Said) -> None:
        machine = place.machine
        if not place.is_open or height_of(message) > machine._height:
            place.waiting.append((sender, message))
            return
        if isinstance(message, Proposal) and message.valid_view is not None:
            # B1: here the polka travels with the proposal; in the model its votes come one by one.
            place.unfounded.append(message)
        else:
            self.perform(place, machine.receive(sender, message))
        self.found(place)

    def found(self, place: Place) -> None:
        for proposal in list(place.unfounded):
            assert proposal.valid_view is not None
            polka = place.machine._heard.rounds.get(proposal.valid_view).polka
            if polka is not None and polka.block_id == proposal.block.id:
                place.unfounded.remove(proposal)
                effects = place.machine.receive(proposal.proposer, replace(proposal, polka=polka))
                self.perform(place, effects)

    def follow(self, place: Place, model_height: int) -> None:
        """Go on to the next height when the model does."""
        machine = place.machine
        if model_height + 1 <= machine._height:
            return
        assert machine._is_decided, f"{self.names[place.index]} goes on to {model_height} undecided"
        place.unfounded.clear()
        place.is_open = False
        self.perform(place, machine.advance(Height(model_height + 1), ORIGIN.block_id))

    def perform(self, place: Place, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Broadcast) and isinstance(effect.message, Vote):
                vote = effect.message
                place.sent.add(self.word(vote))
                rounds = place.machine._heard.rounds
                if vote.kind is VoteKind.PRECOMMIT and vote.block_id is None:
                    nils = [v for v in rounds.get(vote.view).prevotes.values() if v.block_id is None]
                    if len(nils) < self.plan.records[0].quorum and rounds.is_hopeless(vote.view):
                        place.hopeless.add(self.word(vote))
            elif isinstance(effect, BuildBlock):
                if effect.height == place.machine._height:  # the model knows no early proposals
                    place.wanted = effect
            elif isinstance(effect, CheckBlock):
                is_invalid = self.names_of[effect.block.id] == "invalid"
                verdict = Verdict.INVALID if is_invalid else Verdict.VALID
                self.perform(place, place.machine.checked(effect.block.id, verdict))
            elif isinstance(effect, CommitBlock):
                place.decided[effect.block.height - 1] = effect.block.id

    def word(self, vote: Vote) -> tuple[Json, ...]:
        value = None if vote.block_id is None else self.names_of[vote.block_id]
        return vote.height - 1, int(vote.view), vote.kind.name, value

    def note_sent(self, place: Place, output: Json) -> None:
        if output["tag"] == "VoteOutput":
            said = output["value"]
            kind = KINDS[said["voteType"]["tag"]].name
            place.model_sent.add((said["height"], said["round"], kind, said["valueId"]))

    # --- the comparison

    def compare(self, place: Place, hist: Json, new: Json) -> None:
        state, machine = new["es"], place.machine
        cs = state["cs"]
        if not place.is_open or cs["height"] + 1 != machine._height:
            return
        step = cs["step"]["tag"]
        is_queued = bool(state["pendingInputs"]) or state["pendingStepChange"]["tag"] != "NoStep"
        if is_queued:
            self.different["queued"] += 1
            return
        if machine._is_decided or step == "DecidedStep":
            if machine._is_decided and step == "DecidedStep":
                value = state["chain"][cs["height"]] if len(state["chain"]) > cs["height"] else None
                name = self.names_of[place.decided[cs["height"]]]
                assert value in (None, name), f"decided {name}, the model {value}"
                self.compared += 1
            else:
                self.different["decided"] += 1
            return
        ours = (int(machine.term), machine.phase, self.pair(machine.locked), self.pair(machine.valid))
        theirs = (
            cs["round"],
            PHASES.get(step),
            pair_of(cs["lockedRound"], cs["lockedValue"]),
            pair_of(cs["validRound"], cs["validValue"]),
        )
        if ours == theirs:
            self.compared += 1
        else:
            self.explain(place, ours, theirs, hist)

    def explain(self, place: Place, ours: Json, theirs: Json, hist: Json) -> None:
        round_, rest = ours[0], (ours[0], *ours[2:])
        is_same_but_step = rest == (theirs[0], *theirs[2:])
        steps = (theirs[1], ours[1])
        own_turn = place.machine.leader == place.index
        here = (place.machine._height - 1, round_, "PREVOTE")
        is_early = any(word[:3] == here for word in place.early)
        word = (*here[:2], "PRECOMMIT", None)
        if is_same_but_step and steps == (Phase.PREVOTE, Phase.PRECOMMIT) and word in place.hopeless:
            self.different["hopeless"] += 1
        elif is_same_but_step and steps == (Phase.PROPOSE, Phase.PREVOTE) and own_turn:
            self.different["proposer"] += 1
        elif is_same_but_step and theirs[1] is Phase.PROPOSE and is_early:
            self.different["entered"] += 1
        elif ours[:3] == theirs[:3] and ours[3] in place.shown:
            self.different["shown"] += 1
        else:
            name = self.names[place.index]
            raise AssertionError(f"{name} after {hist['input']}: we are {ours}, the model is {theirs}")

    def pair(self, found: tuple[View, BlockId] | None) -> tuple[int, str] | None:
        return None if found is None else (int(found[0]), self.names_of[found[1]])

    def compare_sent(self) -> int:
        """Compare all votes that were sent; return how many were."""
        count = 0
        for name, place in self.places.items():
            extra = place.sent - place.model_sent - place.hopeless - place.early
            missing = {w for w in place.model_sent - place.sent if not self.is_needless(place, w)}
            assert not missing, f"{name} did not send {sorted(missing, key=str)}"
            assert not extra, f"{name} sent {sorted(extra, key=str)} besides"
            count += len(place.sent & place.model_sent)
        return count

    def is_needless(self, place: Place, word: tuple[Json, ...]) -> bool:
        """Tell whether the model voted for what we had decided by then, or after we prevoted on entering."""
        if word[2] == "PREVOTE" and any(early[:3] == word[:3] for early in place.early):
            return True
        decided = place.decided.get(word[0])
        return decided is not None and word[3] == self.names_of[decided]


def pair_of(round_: int, value: str | None) -> tuple[int, str] | None:
    return None if round_ < 0 or value is None else (round_, value)


def place_of_timer(timer: Json) -> tuple[str, int, int]:
    tag, height, round_ = timer
    return tag["tag"], height, round_


def place_of_key(key: TimerKey | None) -> tuple[str, int, int] | None:
    if key is None:
        return None
    name = next(name for name, kind in TIMERS.items() if kind is key.kind)
    return name, key.height - 1, int(key.view)


def is_step(old: Json, new: Json) -> bool:
    """Tell whether a validator took an input, not only the network delivered to it."""
    if old["es"] != new["es"]:
        return True
    names = ("incomingVotes", "incomingProposals", "incomingCertificates", "timeouts")
    return any(item not in new[name] for name in names for item in old[name])
