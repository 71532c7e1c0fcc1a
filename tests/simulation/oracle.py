"""The outside oracle: sees everything that leaves a node or becomes final, and knows what must never happen.

It trusts no machine: certificates are checked again, and what each validator signed is remembered over its
crashes. What it demands is `Invariant`; what each of them means is docs/specification/consensus.md, 3.6.
"""

from collections import defaultdict
from dataclasses import is_dataclass
from enum import StrEnum

from protocol.chain.block import Block
from protocol.chain.certificate import Certificate, Vote, VoteKind, check_certificate
from protocol.chain.conviction import check_evidence
from protocol.chain.evidence import Evidence
from protocol.chain.validators import EngineKind, EpochRecord, VerifySignature
from protocol.consensus.election import Role
from protocol.consensus.engine import BUFFER_HEIGHTS, BUFFER_MESSAGES_MAX, Consensus
from protocol.consensus.inputs import Verdict
from protocol.consensus.messages import Grant, Message, Proposal, Signed, VoteRequest, view_of
from protocol.consensus.raft import Raft
from protocol.consensus.rounds import VIEWS_AHEAD_MAX, VIEWS_BEHIND_MAX
from protocol.errors import Rejected
from tests.simulation.disk import Disk, Row
from tests.simulation.ledger import GENESIS_HASH, ORIGIN, EpochPlan, Head, head_after, is_valid

VIEWS_KEPT = VIEWS_AHEAD_MAX + VIEWS_BEHIND_MAX + 1

MEMORY_CHECK_STEPS = 1_000
"""How often the memory of a node is looked at, in steps: what is kept too long is there for many."""

KEPT_MAX = 150
"""Things that a machine may keep (I12): two buffers of 64, and the little that it has once."""

KEPT_A_VALIDATOR_MAX = 50
"""And what it may keep of each validator: newest statements, votes of the rounds near ours."""

ROUNDS_CALM_MAX = 8
"""Rounds or terms that a height may take in calm, beyond where the storm left it (I11); 3 were seen."""


class Invariant(StrEnum):
    """What must hold in every world; the numbers are those of consensus.md, 3.6."""

    AGREEMENT = "I1 one block per height"
    CHAIN = "I2 every block on its parent"
    CERTIFICATE = "I3 every commit has a certificate of its epoch"
    ONE_WORD = "I4 nobody correct signs two contents in one place"
    LOCK = "I5 a lock yields only to a polka as new"
    LEADER = "I6 one leader a term; a chosen block is proposed again"
    EPOCH = "I7 every height in one epoch"
    FORWARD = "I8 heights, terms and views never go back"
    INNOCENCE = "I9 nobody correct is accused"
    GUILT = "I10 a fork convicts a third of BFT, one of Raft"
    PROGRESS = "I11 calm brings blocks in bounded time and rounds"
    MEMORY = "I12 memory is bounded"
    EXECUTION = "I13 nobody stands behind roots that execution does not give"
    REPLAY = "I14 the same inputs give the same effects"
    BODY = "I15 a promised body is durable, a final one is served"
    PATIENCE = "I16 no transaction waits beyond its bound"
    TASTE = "I17 a fresh block that is unwelcome gets no vote"
    WINDOW = "I18 a vote waits for the height below to be final, an early proposal does not cross a seal"


class Violation(Exception):
    """An invariant does not hold."""

    def __init__(self, invariant: Invariant, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant = invariant


def quorum_of(record: EpochRecord) -> int:
    """Return how many must agree, from the number that may fail and not from the code that is tested."""
    n = len(record.validators)
    return n - (n - 1) // 2 if record.engine is EngineKind.RAFT else n - (n - 1) // 3


def count_kept(part: object) -> int:
    """Count what a machine and its parts keep, a value as one."""
    if isinstance(part, dict):
        return sum(1 + count_kept(item) for item in part.values())
    if isinstance(part, list | set | tuple):
        return sum(1 + count_kept(item) for item in part)
    is_machine = type(part).__module__.startswith("protocol.consensus") and not is_dataclass(part)
    names = getattr(part, "__slots__", ()) if is_machine else ()
    return sum(count_kept(getattr(part, name, None)) for name in names)


class Oracle:
    """Check the invariants of one run.

    Args:
        bad_builders: nodes whose builder may make invalid blocks; nothing else about them is wrong.
        liars: nodes that may say anything, and their keys.
    """

    def __init__(
        self,
        plan: EpochPlan,
        verify: VerifySignature,
        bad_builders: frozenset[int],
        liars: frozenset[int] = frozenset(),
        liar_keys: frozenset[bytes] = frozenset(),
    ) -> None:
        self._plan = plan
        self._verify = verify
        self._bad_builders = bad_builders
        self._liars = liars
        self._liar_keys = liar_keys
        self.chain: list[tuple[Block, Certificate]] = []
        self._signed: dict[tuple[object, ...], object] = {}
        self._views: dict[tuple[object, ...], tuple[int, int]] = {}
        self._leaders: dict[tuple[int, int], int] = {}
        self._votes: dict[tuple[int, VoteKind, int, int, bytes], set[int]] = defaultdict(set)
        self._locks: dict[tuple[int, int, int], tuple[int, bytes]] = {}
        self._chosen: dict[int, tuple[int, bytes]] = {}
        self._valid: dict[bytes, bool] = {}
        self._unwelcome: set[tuple[int, bytes]] = set()
        self._final: dict[int, int] = defaultdict(int)
        self._welcome: set[tuple[int, bytes]] = set()
        self._claimed: set[tuple[int, int, bytes | None]] = set()
        self._steps = 0
        self._rotten: set[int] = set()
        self._forgetful: set[int] = set()
        # Where the calm began, and how far the views had come by then.
        self._calm_from: int | None = None
        self._calm_view = 0
        self.rounds_calm_max = 0
        self.convicted: set[bytes] = set()

    @property
    def height(self) -> int:
        return len(self.chain)

    def head_at(self, height: int) -> Head:
        return ORIGIN if height == 0 else head_after(*self.chain[height - 1])

    # --- what is signed

    def on_signed(self, node: int, message: Signed) -> None:
        """Check a message that a node signed and let go."""
        claim = message.claim if isinstance(message, VoteRequest | Grant) else None
        if claim is not None and claim.is_pre:
            return
        if isinstance(message, Vote):
            self._count(message)
        elif isinstance(message, VoteRequest):
            self._claimed.add((message.claim.epoch, message.claim.term, message.claim.accepted_id))
        if node in self._liars:
            return
        epoch = self._check_place(node, message)
        if isinstance(message, Vote | Proposal):
            ahead = 2 if isinstance(message, Proposal) else 1
            is_across = epoch != self._plan.record_of(message.height).number
            if is_across or message.height > self._final[node] + ahead:
                raise Violation(Invariant.WINDOW, f"node {node} is early at height {message.height}")
        if isinstance(message, Vote):
            self._on_vote(node, message)
        elif isinstance(message, Proposal):
            self._on_proposal(message)

    def would_sign(self, node: int, message: Message) -> bool:
        """Tell whether the double-sign guard of a node that forgot what it promised lets a message go."""
        self._forgetful.add(node)
        if isinstance(message, VoteRequest | Grant) and message.claim.is_pre:
            return True
        try:
            if isinstance(message, Vote | Proposal | VoteRequest | Grant):
                self._check_place(node, message)
        except Violation:
            return False
        return True

    def _check_place(self, node: int, message: Signed) -> int:
        """Check that a node says one thing in one place, and none before the last; returns the epoch."""
        claim = message.claim if isinstance(message, VoteRequest | Grant) else None
        epoch = claim.epoch if claim is not None else message.epoch  # type: ignore[union-attr]
        self._check_once(node, epoch, view_of(message), message)
        if self._plan.records[epoch].engine is EngineKind.RAFT:
            # The guard knows an order for each kind only.
            kinds = (type(message),) if node in self._forgetful else ()
            self._check_order((node, epoch, *kinds), (0, view_of(message)))
        else:
            assert isinstance(message, Vote | Proposal), "not a message of BFT"
            kind = message.kind if isinstance(message, Vote) else None
            # A proposal may be a height ahead, so two heights have an order each.
            lane = message.height % 2 if kind is None else 0
            self._check_order((node, epoch, kind, lane), (message.height, message.view))
        return epoch

    def _check_order(self, who: tuple[object, ...], place: tuple[int, int]) -> None:
        last = self._views.get(who, (0, 0))
        if place < last:
            raise Violation(Invariant.FORWARD, f"node {who[0]} signed in (height, view) {place} after {last}")
        self._views[who] = place

    def _check_once(self, node: int, epoch: int, view: int, message: Signed) -> None:
        key: tuple[object, ...]
        content: object
        if isinstance(message, Vote):
            key = (node, epoch, message.kind, message.height, view)
            content = (message.block_id, message.valid_view)
        elif isinstance(message, Proposal):
            key = (node, epoch, "proposal", message.height, view)
            content = (message.block.id, message.valid_view)
        elif isinstance(message, Grant):
            key, content = (node, epoch, "grant", view), message.claim.candidate
        else:
            key, content = (node, epoch, "request", view), message.claim
        if self._signed.setdefault(key, content) != content:
            raise Violation(Invariant.ONE_WORD, f"node {node} signed two contents for {key[1:]}")

    def _count(self, vote: Vote) -> None:
        """Count who signed what, liars too: a quorum is a quorum."""
        if vote.block_id is None:
            return
        record = self._plan.records[vote.epoch]
        voters = self._votes[vote.epoch, vote.kind, vote.height, vote.view, vote.block_id]
        voters.add(vote.validator)
        if vote.kind is not VoteKind.PREVOTE and len(voters) >= quorum_of(record):
            chosen = self._chosen.setdefault(vote.height, (vote.view, vote.block_id))
            if chosen[1] != vote.block_id:
                raise Violation(Invariant.AGREEMENT, f"two blocks have a quorum at height {vote.height}")

    def _on_vote(self, node: int, vote: Vote) -> None:
        record = self._plan.record_of(vote.height)
        if vote.epoch != record.number:
            raise Violation(
                Invariant.EPOCH, f"node {node} voted at height {vote.height} in epoch {vote.epoch}"
            )
        if vote.block_id is None:
            return
        if not self._valid.get(vote.block_id, True) and node not in self._bad_builders:
            raise Violation(
                Invariant.EXECUTION, f"node {node} voted for an invalid block at height {vote.height}"
            )
        wish = (node, vote.block_id)
        is_unwelcome = wish in self._unwelcome and wish not in self._welcome
        if is_unwelcome and not self._is_backed(vote):
            raise Violation(Invariant.TASTE, f"node {node} wants an unwelcome block at height {vote.height}")
        lock = self._locks.get((node, vote.epoch, vote.height))
        if vote.kind is VoteKind.PRECOMMIT:
            self._check_polka(vote, vote.view)
            self._locks[node, vote.epoch, vote.height] = (vote.view, vote.block_id)
        elif vote.kind is VoteKind.PREVOTE:
            if vote.valid_view is not None:
                self._check_polka(vote, vote.valid_view)
            is_older = lock is not None and (vote.valid_view is None or vote.valid_view < lock[0])
            if lock is not None and lock[0] < vote.view and is_older:
                raise Violation(
                    Invariant.LOCK, f"node {node}, locked in {lock[0]}, prevoted another block in {vote.view}"
                )

    def _is_backed(self, vote: Vote) -> bool:
        """Tell whether a quorum may stand behind a block: a polka, or the claim of an elected leader."""
        if vote.kind is VoteKind.ACK:
            return (vote.epoch, vote.view, vote.block_id) in self._claimed
        return vote.kind is VoteKind.PRECOMMIT or vote.valid_view is not None

    def on_checked(self, node: int, block: Block, verdict: Verdict) -> None:
        """Remember what a node was told of a block."""
        # Once it was welcome its vote may be durable, and is said again after a crash.
        if verdict is Verdict.VALID:
            self._welcome.add((node, block.id))
        elif verdict is Verdict.UNWELCOME:
            self._unwelcome.add((node, block.id))

    def _check_polka(self, vote: Vote, view: int) -> None:
        assert vote.block_id is not None
        voters = self._votes[vote.epoch, VoteKind.PREVOTE, vote.height, view, vote.block_id]
        if len(voters) < quorum_of(self._plan.records[vote.epoch]):
            raise Violation(
                Invariant.LOCK, f"a vote stands on a polka of view {view} that is none: {vote!r:.120}"
            )

    def _on_proposal(self, proposal: Proposal) -> None:
        if self._plan.records[proposal.epoch].engine is not EngineKind.RAFT:
            return
        chosen = self._chosen.get(proposal.height)
        if chosen is not None and proposal.view > chosen[0] and proposal.block.id != chosen[1]:
            raise Violation(Invariant.LEADER, f"height {proposal.height}: chosen block not proposed again")

    def on_built(self, block: Block, is_good: bool) -> None:
        """Remember whether a block that a builder made is valid."""
        self._valid[block.id] = is_good

    # --- what becomes final

    def on_commit(self, node: int, block: Block, certificate: Certificate) -> None:
        """Check a block that a node is about to make final."""
        height = block.height
        self._final[node] = max(self._final[node], height)
        if height <= self.height:
            if self.chain[height - 1][0].id != block.id:
                raise Violation(Invariant.AGREEMENT, f"node {node} commits another block at height {height}")
        elif height != self.height + 1:
            raise Violation(Invariant.CHAIN, f"node {node} commits height {height}, nobody has {height - 1}")
        if certificate.block_id != block.id or certificate.height != height:
            raise Violation(Invariant.CERTIFICATE, f"certificate at height {height} is of another block")
        record = self._plan.record_of(height)
        if certificate.signers.bit_count() < quorum_of(record):
            raise Violation(Invariant.CERTIFICATE, f"certificate at height {height} of too few")
        try:
            check_certificate(certificate, record, GENESIS_HASH, self._verify)
        except Rejected as refusal:
            raise Violation(Invariant.CERTIFICATE, f"node {node}, height {height}: {refusal}") from None
        if height == self.height + 1:
            if not is_valid(block, self.head_at(height - 1), self._plan):
                raise Violation(
                    Invariant.EXECUTION, f"node {node} commits an invalid block at height {height}"
                )
            self.chain.append((block, certificate))
            self._check_rounds(height, certificate, record)

    # --- what a machine looks like

    def on_stepped(self, node: int, machine: Consensus) -> None:
        """Check a machine after a step: one leader a term, bounded memory."""
        engine = machine.engine
        if type(engine) is Raft and engine.role is Role.LEADER:
            key = (machine.record.number, engine.term)
            if self._leaders.setdefault(key, node) != node:
                raise Violation(
                    Invariant.LEADER, f"nodes {self._leaders[key]} and {node} both lead term {engine.term}"
                )
        self._steps += 1
        if not self._steps % MEMORY_CHECK_STEPS:
            self._check_memory(node, machine)

    def _check_memory(self, node: int, machine: Consensus) -> None:
        """Count what a machine keeps; a validator may add what its votes and statements are, and no more."""
        count = count_kept(machine)
        most = KEPT_MAX + len(machine.record.validators) * KEPT_A_VALIDATOR_MAX
        if count > most:
            raise Violation(Invariant.MEMORY, f"node {node} keeps {count} things, {most} are enough")
        buffers = machine._buffers
        if len(buffers) > BUFFER_HEIGHTS or any(len(b) > BUFFER_MESSAGES_MAX for b in buffers.values()):
            raise Violation(Invariant.MEMORY, f"node {node} buffers more than it may")

    def on_promised(self, node: int, vote: Vote, disk: Disk) -> None:
        """Check that the body of a block is durable when a node is about to stand behind it (W3)."""
        if vote.block_id is not None and node not in self._liars and not disk.holds(vote):
            raise Violation(Invariant.BODY, f"node {node} signs for a body that it may lose: {vote!r:.120}")

    def on_rotten(self, node: int) -> None:
        """Remember that the disk of a node lost blocks: it says so, and is right."""
        self._rotten.add(node)

    def on_calm(self, view: int) -> None:
        """Note that the storm is over, and the greatest term or round in which anybody is."""
        self._calm_from, self._calm_view = self.height, view

    def on_end(self, target: int, chains: list[list[Row]]) -> None:
        """Check that each correct node can serve each final block up to a height."""
        for height, (block, _) in enumerate(self.chain[:target], 1):
            if any(chain[height - 1][0] != block for chain in chains):
                raise Violation(Invariant.BODY, f"a correct node does not serve block {height}")

    def _check_rounds(self, height: int, certificate: Certificate, record: EpochRecord) -> None:
        """Count the rounds of a height that was decided in calm."""
        if self._calm_from is None:
            return
        before = self.chain[-2][1] if len(self.chain) > 1 else None
        is_first = height == self._calm_from + 1
        if is_first:
            start = min(self._calm_view, certificate.view)
        elif record.engine is EngineKind.RAFT and before is not None and before.epoch == record.number:
            start = before.view
        else:
            start = 0
        rounds = certificate.view - start
        self.rounds_calm_max = max(self.rounds_calm_max, rounds)
        if rounds > ROUNDS_CALM_MAX:
            raise Violation(Invariant.PROGRESS, f"height {height} took {rounds} rounds in calm")

    def on_alarm(self, node: int, reason: str) -> None:
        """An alarm says that somebody is not correct."""
        if not self._bad_builders and not self._liars and node not in self._rotten:
            raise Violation(Invariant.INNOCENCE, f"node {node} raises an alarm among correct nodes: {reason}")

    def on_evidence(self, node: int, evidence: Evidence) -> None:
        """Nobody but a liar signs two things, not even those who build bad blocks."""
        if evidence.accused in self._liar_keys:
            # What a machine reports must hold wherever it is shown: a block takes it.
            check_evidence(evidence, self._plan.records[evidence.epoch], GENESIS_HASH, self._verify)
            self.convicted.add(evidence.accused)
            return
        raise Violation(Invariant.INNOCENCE, f"node {node} accuses a correct validator: {evidence.kind.name}")
