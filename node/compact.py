"""Proposals that come without their transactions: found here, or fetched from whoever has them.

A proposal travels as an outline (`wire.py`). What this node has is put in at once; the rest is asked of the
proposer, then of peers that voted for the block, one after the other, and arrives with its proposal as if it
had come whole: consensus never sees a part of a block. So a vote always stands on a full body.

Pure in-memory structures for the loop thread: no task, clock, disk or socket. Time is handed in.

Rules:
    1. Who lies harms himself: digests are checked against the header before anything is asked, transactions
       against their digests when they come, and an answer counts only from whoever was asked.
    2. What waits is bounded for each sender; a newer proposal of a sender pushes his oldest out. Bounded are
       also the questions for one proposal, and what a peer is served of one block.
    3. Whoever lacked more than a fifth of a block gets the next ones whole: it saves him the way back.

*Departs* from consensus.md 2.6: what is asked for is always exactly what is missing. That is never more than
the whole body, so there is no other question; if nobody answers, the engines repeat the proposal whole.
The mempool needs no word of this: what was found is held here, whatever is pushed out there meanwhile.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from node.net.transport import PeerId
from node.wire import GetTxs, Outline, Txs
from protocol.chain.block import Block
from protocol.chain.transaction import SignedTransaction
from protocol.consensus.messages import Proposal
from protocol.errors import Code, Rejected
from protocol.merkle.proof import hash_leaf
from protocol.types import BlockId, Hash32, Height

WHOLE_BYTES_MAX: Final = 4 * 1024
"""A block with less than this in transactions goes whole: it fits a few packets, and nobody needs to ask."""

WAITING_MAX: Final = 3
"""Proposals of one sender that may wait: this height, the next one, and one of another round."""

ASK_SECONDS: Final = 0.4
"""How long an answer may take before somebody else is asked; above a round trip round the world."""

ASKS_MAX: Final = 8
"""Questions for one proposal; then it is given up, and comes again whole or not at all."""

BODIES_MAX: Final = 8
"""Proposed blocks whose transactions are kept to be served: a few rounds of two heights."""

SERVINGS_MAX: Final = 2
"""How often a peer may have all of one block."""

MISSING_PARTS_MAX: Final = 5
"""A peer that asks for more than one part in so many of a block gets the next ones whole."""

WHOLE_BLOCKS: Final = 16
"""How many."""

Deliver = tuple[PeerId, Proposal, int]
"""A proposal that is complete now, who sent it, and the bytes of its transactions."""

Ask = tuple[PeerId, GetTxs]
"""A question, and whom to ask."""


class _Waiting:
    """A proposal that lacks transactions: `found[i]` is None where one is missing."""

    __slots__ = (
        "answered",
        "asked",
        "asks",
        "deadline",
        "found",
        "leaves",
        "missing",
        "outline",
        "sender",
        "voters",
    )

    def __init__(self, sender: PeerId, outline: Outline) -> None:
        self.sender = sender
        self.outline = outline
        self.found: list[SignedTransaction | None] = [None] * len(outline.leaves)
        self.missing: dict[Hash32, int] = {}
        self.asked: set[PeerId] = set()
        self.answered: set[PeerId] = set()
        self.voters: dict[PeerId, None] = {}
        self.leaves = frozenset(outline.leaves)
        self.asks = 0
        self.deadline = 0.0

    @property
    def block(self) -> Block:
        return self.outline.proposal.block


class Gathering:
    """Complete proposals that came as outlines.

    Args:
        find: returns a transaction that this node has, by its digest; its signatures may be unchecked.
        decode: decodes a transaction of this chain.
    """

    __slots__ = ("_decode", "_find", "_waiting", "fetched_txs", "outlines")

    def __init__(
        self,
        find: Callable[[Hash32], SignedTransaction | None],
        decode: Callable[[bytes], SignedTransaction],
    ) -> None:
        self._find = find
        self._decode = decode
        self._waiting: list[_Waiting] = []
        self.outlines = 0
        self.fetched_txs = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, sender: PeerId, outline: Outline, now: float) -> tuple[list[Deliver], list[Ask]]:
        """Take an outline whose proposal is signed: complete it, or ask its sender for what is missing."""
        self.outlines += 1
        waiting = _Waiting(sender, outline)
        for place, leaf in enumerate(outline.leaves):
            waiting.found[place] = signed = self._find(leaf)
            if signed is None:
                if leaf in waiting.missing:
                    return [], []  # twice the same: no valid block
                waiting.missing[leaf] = place
        if not waiting.missing:
            return [_complete(waiting)], []
        same = [w for w in self._waiting if w.sender == sender]
        if any(w.outline == outline for w in same):
            return [], []
        if len(same) >= WAITING_MAX:
            self._waiting.remove(same[0])
        self._waiting.append(waiting)
        return [], [_ask(waiting, sender, now)]

    def note_vote(self, voter: PeerId, block_id: BlockId) -> None:
        """Take note that a peer voted for a block, so it has the whole of it."""
        for waiting in self._waiting:
            if waiting.block.id == block_id:
                waiting.voters[voter] = None

    def is_asked(self, peer: PeerId) -> bool:
        """Tell whether an answer of a peer is awaited."""
        return any(peer in waiting.asked for waiting in self._waiting)

    def add(self, peer: PeerId, answer: Txs) -> list[Deliver]:
        """Take an answer.

        Raises:
            Rejected: `MALFORMED`: a transaction that was not asked of this peer.
        """
        complete: list[Deliver] = []
        asked = [w for w in self._waiting if w.block.id == answer.block_id and peer in w.asked]
        for waiting in asked:
            waiting.asked.discard(peer)
            waiting.answered.add(peer)
            for raw in answer.raws:
                leaf = hash_leaf(raw)
                place = waiting.missing.get(leaf)
                if place is None:
                    if leaf not in waiting.leaves:
                        raise Rejected(Code.MALFORMED, "a transaction that was not asked for")
                    continue
                try:
                    waiting.found[place] = self._decode(raw)
                except Rejected:
                    # The proposer signed for these bytes, not whoever has served them.
                    self._waiting.remove(waiting)
                    break
                del waiting.missing[leaf]
                self.fetched_txs += 1
            else:
                complete += self._finish(waiting)
        return complete

    def tick(self, now: float) -> tuple[list[Deliver], list[Ask]]:
        """Look again for what has arrived by itself; ask somebody else where an answer is overdue."""
        complete: list[Deliver] = []
        asks: list[Ask] = []
        for waiting in list(self._waiting):
            for leaf, place in list(waiting.missing.items()):
                signed = self._find(leaf)
                if signed is not None:
                    waiting.found[place] = signed
                    del waiting.missing[leaf]
            finished = self._finish(waiting)
            complete += finished
            if finished or now < waiting.deadline:
                continue
            if waiting.asks >= ASKS_MAX:
                self._waiting.remove(waiting)
                continue
            fresh = [v for v in waiting.voters if v not in waiting.asked and v not in waiting.answered]
            asks.append(_ask(waiting, fresh[0] if fresh else waiting.sender, now))
        return complete, asks

    def forget(self, height: Height) -> None:
        """Let go of proposals at or below a height that is decided."""
        self._waiting = [w for w in self._waiting if w.block.height > height]

    def _finish(self, waiting: _Waiting) -> list[Deliver]:
        if waiting.missing:
            return []
        self._waiting.remove(waiting)
        return [_complete(waiting)]


@dataclass(slots=True)
class _Body:
    """A proposed block and how many of its transactions each peer was sent."""

    block: Block
    sent: dict[PeerId, int]


class Bodies:
    """Keep proposed blocks for a while and serve their transactions; say who gets blocks whole."""

    __slots__ = ("_bodies", "_whole_left")

    def __init__(self) -> None:
        self._bodies: OrderedDict[BlockId, _Body] = OrderedDict()
        self._whole_left: dict[PeerId, int] = {}

    def keep(self, block: Block) -> None:
        """Keep a block that somebody may ask for."""
        if block.transactions and block.id not in self._bodies:
            self._bodies[block.id] = _Body(block, {})
            if len(self._bodies) > BODIES_MAX:
                self._bodies.popitem(last=False)

    def answer(self, peer: PeerId, ask: GetTxs) -> Txs | None:
        """Answer a question; None when the block is not here or this peer had enough of it.

        Raises:
            Rejected: `MALFORMED`: the block has no such place.
        """
        body = self._bodies.get(ask.block_id)
        if body is None:
            return None
        transactions = body.block.transactions
        if ask.wanted >> len(transactions):
            raise Rejected(Code.MALFORMED, f"asks for more than {len(transactions)} transactions of a block")
        raws = tuple([signed.raw for place, signed in enumerate(transactions) if ask.wanted >> place & 1])
        sent = body.sent.get(peer, 0) + len(raws)
        if sent > SERVINGS_MAX * len(transactions):
            return None
        body.sent[peer] = sent
        if len(raws) * MISSING_PARTS_MAX > len(transactions):
            self._whole_left[peer] = WHOLE_BLOCKS
        return Txs(ask.block_id, raws)

    def is_whole(self, peer: PeerId, block: Block) -> bool:
        """Tell whether a peer is sent this block, which is new, whole rather than as an outline."""
        left = self._whole_left.get(peer, 0)
        if left > 1:
            self._whole_left[peer] = left - 1
        elif left:
            del self._whole_left[peer]
        return left > 0 or is_small(block)


def is_small(block: Block) -> bool:
    """Tell whether a block goes whole to everybody."""
    return sum([len(signed.raw) for signed in block.transactions]) < WHOLE_BYTES_MAX


def list_leaves(transactions: Sequence[SignedTransaction]) -> list[Hash32]:
    """List the digests by which transactions stand under the root of their header."""
    return [hash_leaf(signed.raw) for signed in transactions]


def _ask(waiting: _Waiting, peer: PeerId, now: float) -> Ask:
    waiting.asked.add(peer)
    waiting.asks += 1
    waiting.deadline = now + ASK_SECONDS
    return peer, GetTxs(waiting.block.id, sum([1 << place for place in waiting.missing.values()]))


def _complete(waiting: _Waiting) -> Deliver:
    transactions = tuple([signed for signed in waiting.found if signed is not None])
    assert len(transactions) == len(waiting.outline.leaves)
    proposal = waiting.outline.proposal
    whole = replace(proposal, block=replace(proposal.block, transactions=transactions))
    return waiting.sender, whole, sum([len(signed.raw) for signed in transactions])
