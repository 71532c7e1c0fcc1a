"""The outside oracle: sees everything that leaves a node or becomes final, and knows what must never happen.

The numbers are the invariants of docs/consensus.md, 3.6. It trusts no machine: certificates are checked
again, and what each validator signed is remembered over its crashes.
"""

from collections import defaultdict

from protocol.chain.block import Block
from protocol.chain.certificate import Certificate, Vote, check_certificate
from protocol.chain.evidence import Evidence
from protocol.chain.validators import VerifySignature
from protocol.consensus.engine import BUFFER_HEIGHTS, BUFFER_MESSAGES_MAX, Consensus
from protocol.consensus.messages import Grant, Proposal, Signed, VoteRequest, view_of
from protocol.consensus.raft import Role
from protocol.errors import Rejected
from tests.simulation.ledger import GENESIS_HASH, ORIGIN, EpochPlan, Head, head_after, is_valid


class Violation(Exception):
    """An invariant does not hold."""


class Oracle:
    """Check the invariants of one run.

    Args:
        bad_builders: nodes whose builder may make invalid blocks; nothing else about them is wrong.
    """

    def __init__(self, plan: EpochPlan, verify: VerifySignature, bad_builders: frozenset[int]) -> None:
        self._plan = plan
        self._verify = verify
        self._bad_builders = bad_builders
        self.chain: list[tuple[Block, Certificate]] = []
        self._signed: dict[tuple[object, ...], object] = {}
        self._views: dict[tuple[int, int], int] = {}
        self._leaders: dict[tuple[int, int], int] = {}
        self._acks: dict[tuple[int, int, int, bytes], set[int]] = defaultdict(set)
        self._chosen: dict[int, tuple[int, bytes]] = {}
        self._valid: dict[bytes, bool] = {}

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
        epoch = claim.epoch if claim is not None else message.epoch  # type: ignore[union-attr]
        view = view_of(message)
        self._check_once(node, epoch, view, message)
        last = self._views.get((node, epoch), 0)
        if view < last:
            raise Violation(f"I8: node {node} signed in term {view} after term {last} of epoch {epoch}")
        self._views[node, epoch] = view
        if isinstance(message, Vote):
            self._on_ack(node, message)
        elif isinstance(message, Proposal):
            self._on_proposal(message)

    def _check_once(self, node: int, epoch: int, view: int, message: Signed) -> None:
        key: tuple[object, ...]
        content: object
        if isinstance(message, Vote):
            key, content = (node, epoch, "vote", message.height, view), message.block_id
        elif isinstance(message, Proposal):
            key, content = (node, epoch, "proposal", message.height, view), message.block.id
        elif isinstance(message, Grant):
            key, content = (node, epoch, "grant", view), message.claim.candidate
        else:
            key, content = (node, epoch, "request", view), message.claim
        if self._signed.setdefault(key, content) != content:
            raise Violation(f"I4: node {node} signed two contents for {key[1:]}")

    def _on_ack(self, node: int, vote: Vote) -> None:
        assert vote.block_id is not None
        if not self._valid.get(vote.block_id, True) and node not in self._bad_builders:
            raise Violation(f"I13: node {node} acknowledged an invalid block at height {vote.height}")
        record = self._plan.record_of(vote.height)
        if vote.epoch != record.number:
            raise Violation(f"I7: node {node} acknowledged height {vote.height} in epoch {vote.epoch}")
        voters = self._acks[vote.epoch, vote.height, vote.view, vote.block_id]
        voters.add(node)
        if len(voters) >= record.quorum:
            chosen = self._chosen.setdefault(vote.height, (vote.view, vote.block_id))
            if chosen[1] != vote.block_id:
                raise Violation(f"I1: two blocks have a quorum at height {vote.height}")

    def _on_proposal(self, proposal: Proposal) -> None:
        chosen = self._chosen.get(proposal.height)
        if chosen is not None and proposal.view > chosen[0] and proposal.block.id != chosen[1]:
            raise Violation(f"I6: height {proposal.height}: chosen block not proposed again")

    def on_built(self, block: Block, is_good: bool) -> None:
        """Remember whether a block that a builder made is valid."""
        self._valid[block.id] = is_good

    # --- what becomes final

    def on_commit(self, node: int, block: Block, certificate: Certificate) -> None:
        """Check a block that a node is about to make final."""
        height = block.height
        if height <= self.height:
            if self.chain[height - 1][0].id != block.id:
                raise Violation(f"I1: node {node} commits another block at height {height}")
        elif height != self.height + 1:
            raise Violation(f"I2: node {node} commits height {height}, nobody has {height - 1}")
        if certificate.block_id != block.id or certificate.height != height:
            raise Violation(f"I3: certificate at height {height} is of another block")
        try:
            check_certificate(certificate, self._plan.record_of(height), GENESIS_HASH, self._verify)
        except Rejected as refusal:
            raise Violation(f"I3: node {node}, height {height}: {refusal}") from None
        if height == self.height + 1:
            if not is_valid(block, self.head_at(height - 1), self._plan):
                raise Violation(f"I13: node {node} commits an invalid block at height {height}")
            self.chain.append((block, certificate))

    # --- what a machine looks like

    def on_stepped(self, node: int, machine: Consensus) -> None:
        """Check a machine after a step: one leader a term, bounded buffers."""
        engine = machine.engine
        if engine is not None and engine.role is Role.LEADER:
            key = (machine.record.number, engine.term)
            if self._leaders.setdefault(key, node) != node:
                raise Violation(f"I6: nodes {self._leaders[key]} and {node} both lead term {engine.term}")
        buffers = machine._buffers
        if len(buffers) > BUFFER_HEIGHTS or any(len(b) > BUFFER_MESSAGES_MAX for b in buffers.values()):
            raise Violation(f"I12: node {node} buffers more than it may")

    def on_alarm(self, node: int, reason: str) -> None:
        """An alarm says that somebody is not correct."""
        if not self._bad_builders:
            raise Violation(f"I9: node {node} raises an alarm among correct nodes: {reason}")

    def on_evidence(self, node: int, evidence: Evidence) -> None:
        """Nobody here signs two things, not even those who build bad blocks."""
        raise Violation(f"I9: node {node} accuses a correct validator: {evidence.kind.name}")
