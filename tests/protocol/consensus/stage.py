"""A stage for directed schedules: nothing moves unless the test says so, and the oracle watches.

Messages wait on their links, timers wait to be fired, builders wait to be asked. Execution and storage answer
at once unless held. Crashes lose what was not synced, like in the simulation.
"""

from collections import deque
from typing import assert_never

from protocol.chain.block import Block
from protocol.chain.certificate import Certificate, Vote
from protocol.chain.evidence import Evidence
from protocol.chain.validators import EngineKind
from protocol.consensus.bft import Bft
from protocol.consensus.effects import (
    Alarm,
    Broadcast,
    BuildBlock,
    CheckBlock,
    CommitBlock,
    Effect,
    PersistSafety,
    ReportEvidence,
    RequestSync,
    Send,
    ServeDecided,
    SetTimer,
)
from protocol.consensus.election import Role
from protocol.consensus.engine import Consensus
from protocol.consensus.inputs import (
    BlockBuilt,
    BlockChecked,
    BlockCommitted,
    HandOverAsked,
    Input,
    Received,
    Start,
    TimerFired,
    Verdict,
)
from protocol.consensus.messages import (
    Decided,
    Grant,
    Message,
    Proposal,
    VoteRequest,
    attach_signature,
    compute_sign_digest,
)
from protocol.consensus.raft import Raft
from protocol.consensus.safety import SafetyRecord
from protocol.consensus.timeouts import LOCAL, TimerKey, TimerKind
from protocol.types import Height
from tests.simulation import ledger
from tests.simulation.ledger import GENESIS_HASH, ORIGIN, EpochPlan, FakeSigner, Head, Signer
from tests.simulation.oracle import Oracle


class Actor:
    """One node on the stage; `index` is its place in the first epoch record."""

    def __init__(self, index: int, signer: Signer, machine: Consensus) -> None:
        self.index = index
        self.signer = signer
        self.machine = machine
        self.chain: list[tuple[Block, Certificate]] = []
        self.durable: SafetyRecord | None = None
        self.unsynced: list[SafetyRecord] = []
        self.timers: dict[TimerKind, TimerKey] = {}
        self.wanted: BuildBlock | None = None
        self.known: dict[bytes, Block] = {}
        self.held_checks: list[Block] = []
        self.held_commits: list[tuple[Block, Certificate]] = []
        self.is_up = True
        self.crash_after: int | None = None
        self.alarms: list[str] = []
        self.evidence: list[Evidence] = []
        self.syncs: list[RequestSync] = []
        self.trace: list[Effect] = []
        self.inputs: deque[Input] = deque()
        self.is_busy = False

    @property
    def role(self) -> Role:
        assert isinstance(self.machine.engine, Raft)
        return self.machine.engine.role

    @property
    def bft(self) -> Bft:
        assert isinstance(self.machine.engine, Bft)
        return self.machine.engine

    @property
    def term(self) -> int:
        return self.machine.term

    @property
    def accepted(self) -> Block | None:
        assert isinstance(self.machine.engine, Raft)
        return self.machine.engine._pledges.accepted

    @property
    def head(self) -> Head:
        return ledger.head_after(*self.chain[-1]) if self.chain else ORIGIN

    def head_with(self, block_id: bytes) -> Head | None:
        return ledger.head_with(block_id, self.head, self.known)


class Stage:
    """Hold n nodes of one epoch (and further ones by plan) under the hand of a test.

    Args:
        first: the validators of the first epoch; all when not given.
    """

    def __init__(
        self,
        nodes: int = 3,
        seals: list[tuple[int, list[int]]] | None = None,
        engines: tuple[EngineKind, ...] = (EngineKind.RAFT,),
        first: list[int] | None = None,
    ) -> None:
        signers: list[Signer] = sorted((FakeSigner(i) for i in range(nodes)), key=lambda s: s.public_key)
        self.plan = EpochPlan(signers, first or list(range(nodes)), seals or [], *engines)
        self.oracle = Oracle(self.plan, FakeSigner.verify, frozenset(range(nodes)))
        self.links: dict[tuple[int, int], deque[Message]] = {
            (a, b): deque() for a in range(nodes) for b in range(nodes) if a != b
        }
        self.hold_checks = False
        self.hold_commits = False
        self.time_ms = 0
        self.nodes = [Actor(i, signer, self._machine(signer, [])) for i, signer in enumerate(signers)]
        for node in self.nodes:
            self.step(node, Start(None))

    def _machine(self, signer: Signer, chain: list[tuple[Block, Certificate]]) -> Consensus:
        height = Height(len(chain))
        block_id = chain[-1][0].id if chain else ORIGIN.block_id
        return Consensus(
            GENESIS_HASH, signer.public_key, self.plan.record_of(height + 1), height, block_id, LOCAL
        )

    # --- what a test does

    def fire(self, index: int, kind: TimerKind = TimerKind.ELECTION) -> None:
        """Let a timer run out."""
        node = self.nodes[index]
        self.step(node, TimerFired(node.timers[kind]))

    def time_out(self, index: int) -> None:
        """Let a follower's patience end: its lease, then its wait. It becomes a pre-candidate."""
        self.fire(index)
        if self.nodes[index].role is Role.FOLLOWER:
            self.fire(index)

    def leaders(self) -> list[int]:
        """Return who leads."""
        return [node.index for node in self.nodes if node.role is Role.LEADER]

    def build(self, index: int) -> Block:
        """Let a builder answer what it was last asked."""
        node = self.nodes[index]
        wanted = node.wanted
        assert wanted is not None, "no block was asked for"
        self.time_ms += 1
        head = node.head_with(wanted.parent_id)
        assert head is not None, "its parent is not known"
        block = ledger.build(head, self.plan, wanted.view, node.signer.public_key, self.time_ms)
        node.known[block.id] = block
        self.oracle.on_built(block, True)
        self.step(node, BlockBuilt(wanted.height, wanted.view, block))
        return block

    def deliver(self, a: int, b: int, kind: type[Message] | None = None) -> Message | None:
        """Deliver the oldest message of a link (of a kind); None when there is none."""
        link = self.links[a, b]
        for position, message in enumerate(link):
            if kind is None or isinstance(message, kind):
                del link[position]
                if self.nodes[b].is_up:
                    self.receive(b, a, message)
                return message
        return None

    def deliver_all_of_kind(self, kind: type[Message], to: list[int]) -> None:
        """Deliver every message of a kind that is on the way to some nodes."""
        for source, target in self.links:
            while target in to and self.deliver(source, target, kind) is not None:
                pass

    def deliver_all(self, among: list[int] | None = None, rounds: int = 1_000) -> None:
        """Deliver until nothing is on the way among some nodes."""
        chosen = range(len(self.nodes)) if among is None else among
        for _ in range(rounds):
            delivered = [self.deliver(a, b) for a in chosen for b in chosen if a != b]
            if delivered.count(None) == len(delivered):
                return
        raise AssertionError("the nodes never stop talking")

    def drop(self, a: int | None = None, b: int | None = None) -> None:
        """Lose what is on the way, from a, to b, or everywhere."""
        for (source, target), link in self.links.items():
            if a in (None, source) and b in (None, target):
                link.clear()

    def elect(self, index: int, voters: list[int] | None = None) -> None:
        """Make a node leader with the grants of some others, who lose patience first."""
        chosen = [i for i in range(len(self.nodes)) if i != index] if voters is None else voters
        for voter in chosen:
            if self.nodes[voter].role is Role.FOLLOWER and self.nodes[voter].timers:
                self.fire(voter)
        self.time_out(index)
        for kind in (VoteRequest, Grant, VoteRequest, Grant):
            for voter in chosen:
                pair = (index, voter) if kind is VoteRequest else (voter, index)
                self.deliver(*pair, kind)
        assert self.nodes[index].role is Role.LEADER, self.nodes[index].role

    def crash(self, index: int) -> None:
        """End a process: what was not synced is lost."""
        node = self.nodes[index]
        node.is_up = False
        node.inputs.clear()
        node.unsynced.clear()
        node.timers.clear()
        node.wanted = None
        node.held_checks.clear()
        node.held_commits.clear()

    def restart(self, index: int) -> None:
        """Begin again from what is durable."""
        node = self.nodes[index]
        node.is_up = True
        node.crash_after = None
        node.machine = self._machine(node.signer, node.chain)
        self.step(node, Start(node.durable))

    def follow(self, index: int, other: int) -> None:
        """Let a node take by block sync what another one has."""
        for block, certificate in self.nodes[other].chain[len(self.nodes[index].chain) :]:
            self.oracle.on_commit(index, block, certificate)
            self._commit(self.nodes[index], block, certificate)

    def hand_over(self, index: int) -> None:
        self.step(self.nodes[index], HandOverAsked())

    def receive(self, index: int, sender: int, message: Message) -> None:
        """Deliver any message, also one that nobody sent."""
        node = self.nodes[index]
        place = node.machine.record.index_of(self.nodes[sender].signer.public_key)
        if place is not None:
            self.step(node, Received(place, message, node.machine.record.number))

    def sign(self, index: int, message: Message) -> Message:
        """Sign in the name of a node without the oracle noticing: for liars."""
        digest = compute_sign_digest(message, GENESIS_HASH)
        assert digest is not None
        return attach_signature(message, self.nodes[index].signer.sign(digest))

    def release_checks(self, index: int, verdict: Verdict = Verdict.VALID) -> None:
        node = self.nodes[index]
        held, node.held_checks = node.held_checks, []
        for block in held:
            self.step(node, BlockChecked(block.id, verdict))

    def release_commits(self, index: int) -> None:
        node = self.nodes[index]
        held, node.held_commits = node.held_commits, []
        for block, certificate in held:
            self._commit(node, block, certificate)

    @property
    def heights(self) -> list[int]:
        return [len(node.chain) for node in self.nodes]

    # --- the driver

    def step(self, node: Actor, event: Input) -> None:
        """Take one input after the other; what comes back while effects are carried out waits."""
        node.inputs.append(event)
        if node.is_busy:
            return
        node.is_busy = True
        while node.inputs:
            self._step(node, node.inputs.popleft())
        node.is_busy = False

    def _step(self, node: Actor, event: Input) -> None:
        effects = node.machine.step(event)
        self.oracle.on_stepped(node.index, node.machine)
        node.trace.extend(effects)
        for effect in effects:
            if node.crash_after == 0:
                self.crash(node.index)
            if not node.is_up:
                return
            if node.crash_after is not None:
                node.crash_after -= 1
            self._perform(node, effect)

    def _perform(self, node: Actor, effect: Effect) -> None:
        match effect:
            case PersistSafety():
                node.unsynced.append(effect.record)
            case Send():
                self._send(node, effect.validator, self._sign(node, effect.message))
            case Broadcast():
                message = self._sign(node, effect.message)
                for validator in range(len(node.machine.record.validators)):
                    self._send(node, validator, message)
            case SetTimer():
                node.timers[effect.key.kind] = effect.key
            case BuildBlock():
                node.wanted = effect
            case CheckBlock():
                node.known[effect.block.id] = effect.block
                if self.hold_checks:
                    node.held_checks.append(effect.block)
                else:
                    verdict = ledger.judge(effect.block, node.head, self.plan)
                    self.step(node, BlockChecked(effect.block.id, verdict))
            case CommitBlock():
                self.oracle.on_commit(node.index, effect.block, effect.certificate)
                if self.hold_commits:
                    node.held_commits.append((effect.block, effect.certificate))
                else:
                    self._commit(node, effect.block, effect.certificate)
            case ServeDecided():
                if effect.height <= len(node.chain):
                    self._send(node, effect.validator, Decided(*node.chain[effect.height - 1]))
            case RequestSync():
                node.syncs.append(effect)
            case ReportEvidence():
                node.evidence.append(effect.evidence)
            case Alarm():
                node.alarms.append(effect.reason)
            case _:
                assert_never(effect)

    def _commit(self, node: Actor, block: Block, certificate: Certificate) -> None:
        node.chain.append((block, certificate))
        next_record = self.plan.seals.get(block.height)
        time_ms = block.header.time_ms
        self.step(node, BlockCommitted(block.height, block.id, time_ms, certificate, next_record))

    def _sign(self, node: Actor, message: Message) -> Message:
        if node.unsynced:
            node.durable = node.unsynced[-1]
            node.unsynced.clear()
        if not isinstance(message, Proposal | Vote | VoteRequest | Grant):
            return message
        self.oracle.on_signed(node.index, message)
        return self.sign(node.index, message)

    def _send(self, node: Actor, validator: int, message: Message) -> None:
        key = node.machine.record.validators[validator].consensus_key
        target = next(other for other in self.nodes if other.signer.public_key == key)
        if target is not node:
            self.links[node.index, target.index].append(message)
        elif isinstance(message, Proposal | Vote | VoteRequest | Grant):
            self.receive(node.index, node.index, message)
