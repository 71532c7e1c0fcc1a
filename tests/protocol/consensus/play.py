"""Four validators on BFT under the hand of a test, and votes, proposals and polkas that nobody made."""

from protocol.chain.block import Block
from protocol.chain.certificate import Vote, VoteKind
from protocol.chain.validators import EngineKind
from protocol.consensus.course import order_proposers
from protocol.consensus.effects import Broadcast, Effect
from protocol.consensus.messages import (
    Message,
    Proposal,
)
from protocol.consensus.polka import Polka, form_polka
from protocol.types import BlockId, EpochNumber, Height, View
from tests.protocol.consensus.stage import Stage
from tests.simulation import ledger
from tests.simulation.ledger import ORIGIN

ENGINES = (EngineKind.BFT,)
EPOCH = EpochNumber(0)
PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT


class Play(Stage):
    """Four validators on BFT, named by when they propose at height 1: `self.order[view]`."""

    def __init__(self, nodes: int = 4) -> None:
        super().__init__(nodes, engines=ENGINES)
        order = order_proposers(self.plan.records[0])
        self.order = [order[(1 + view) % nodes] for view in range(nodes)]
        self.deliver_all()

    def make_block(self, view: int = 0) -> Block:
        """Return a valid block of a round's proposer that no machine has seen."""
        self.time_ms += 1
        key = self.nodes[self.order[view]].signer.public_key
        return ledger.build(ORIGIN, self.plan, View(view), key, self.time_ms)

    def vote(
        self, voter: int, kind: VoteKind, view: int, block_id: BlockId | None, valid: int | None = None
    ) -> Vote:
        """Return a signed vote that the voter's machine knows nothing of."""
        valid_view = None if valid is None else View(valid)
        vote = Vote(EPOCH, kind, Height(1), View(view), block_id, valid_view, voter)
        signed = self.sign(voter, vote)
        self.oracle._count(vote)
        assert isinstance(signed, Vote)
        return signed

    def say(
        self,
        to: int,
        voters: list[int],
        kind: VoteKind,
        view: int,
        block_id: BlockId | None,
        valid: int | None = None,
    ) -> None:
        for voter in voters:
            self.receive(to, voter, self.vote(voter, kind, view, block_id, valid))

    def propose(
        self, to: int, view: int, block: Block, polka: Polka | None = None, valid: int | None = None
    ) -> None:
        """Let the proposer of a round propose to one node, whatever its machine thinks."""
        proposer = self.order[view % len(self.order)]
        valid_view = None if valid is None else View(valid)
        proposal = Proposal(EPOCH, Height(1), View(view), proposer, valid_view, block, polka=polka)
        self.receive(to, proposer, self.sign(proposer, proposal))

    def polka(self, voters: list[int], view: int, block_id: BlockId, valid: int | None = None) -> Polka:
        return form_polka(tuple(self.vote(v, PREVOTE, view, block_id, valid) for v in voters))

    def others(self, *but: int) -> list[int]:
        return [i for i in range(len(self.nodes)) if i not in but]

    def go(self, node: int, view: int) -> None:
        """Take a node to a round in which others are."""
        self.say(node, self.others(node)[:2], PRECOMMIT, view, None)
        assert self.nodes[node].term == view

    def lock(self, node: int, view: int = 0) -> Block:
        """Let one node lock on a block of a round, as one of the few who saw its polka."""
        block = self.make_block(view)
        self.propose(node, view, block)
        self.say(node, self.others(node)[:2], PREVOTE, view, block.id)
        assert self.nodes[node].bft.locked == (view, block.id)
        return block


def said(effects: list[Effect], kind: VoteKind) -> list[Vote]:
    """List the votes of a kind in effects."""
    return [
        e.message
        for e in effects
        if isinstance(e, Broadcast) and isinstance(e.message, Vote) and e.message.kind is kind
    ]


def sent(effects: list[Effect], kind: type[Message]) -> list[Message]:
    return [e.message for e in effects if isinstance(e, Broadcast) and isinstance(e.message, kind)]
