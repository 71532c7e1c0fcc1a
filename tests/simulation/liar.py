"""A validator that lies: what its machine says leaves it changed, to each receiver in another way.

It signs whatever helps it but forges nothing: other votes, other blocks, proposals on polkas of another
round, another block or too few voters. Silence towards some is a lie too.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final, TypeVar

from protocol.chain.block import Block
from protocol.chain.certificate import UNSIGNED, Vote, VoteKind
from protocol.consensus.messages import Message, PolkaShown, Proposal
from protocol.consensus.polka import Polka, form_polka, list_votes
from protocol.types import BlockId, View

KEPT: Final = 16

T = TypeVar("T")


class Liar:
    """Change messages on their way out.

    Args:
        sign: signs in the liar's name, unseen by its machine.
    """

    def __init__(self, random: Random, sign: Callable[[Message], Message]) -> None:
        self._random = random
        self._sign = sign
        self._ids: list[BlockId] = []
        self._polkas: list[Polka] = []
        self._blocks: list[Block] = []

    def learn(self, message: Message) -> None:
        """Remember what may be of use."""
        if isinstance(message, Vote) and message.block_id is not None:
            _remember(self._ids, message.block_id)
            if message.kind is VoteKind.PREVOTE:
                self._learn_prevote(message)
        elif isinstance(message, Proposal):
            _remember(self._blocks, message.block)
            if message.polka is not None:
                _remember(self._polkas, message.polka)
        elif isinstance(message, PolkaShown):
            _remember(self._polkas, message.polka)

    def _learn_prevote(self, vote: Vote) -> None:
        """Make a polka of what there is: of one vote, if need be."""
        if vote.signature == UNSIGNED:
            return
        same = [
            polka
            for polka in self._polkas
            if (polka.height, polka.view, polka.block_id, polka.valid_view)
            == (vote.height, vote.view, vote.block_id, vote.valid_view)
        ]
        votes = {vote.validator: vote}
        for polka in same:
            votes |= {known.validator: known for known in list_votes(polka.votes, polka.valid_view)}
        _remember(self._polkas, form_polka(tuple(votes.values())))

    def twist(self, message: Message) -> Message | None:
        """Return what one receiver gets instead; None for nothing."""
        self.learn(message)
        lie = self._random.random()
        if lie < 0.1:
            return None
        if lie < 0.6:
            return message
        if isinstance(message, Vote):
            return self._twist_vote(message)
        if isinstance(message, Proposal):
            return self._twist_proposal(message)
        return message

    def _twist_vote(self, vote: Vote) -> Message:
        block_id = self._random.choice([None, *self._ids[-4:]])
        valid_view = None
        if vote.kind is VoteKind.PREVOTE and block_id is not None and vote.view > 0:
            valid_view = self._random.choice([None, View(vote.view - 1), View(0)])
        return self._sign(replace(vote, block_id=block_id, valid_view=valid_view))

    def _twist_proposal(self, proposal: Proposal) -> Message:
        blocks = [block for block in self._blocks if block.height == proposal.height]
        polkas = [polka for polka in self._polkas if polka.height == proposal.height]
        block = self._random.choice([proposal.block, *blocks])
        polka = self._random.choice([proposal.polka, None, *polkas])
        fitting = [block for block in blocks if polka is not None and block.id == polka.block_id]
        if fitting and self._random.random() < 0.7:
            block = fitting[0]
        if polka is not None and self._random.random() < 0.5:
            polka = weaken(polka)
        valid_view = None if polka is None else polka.view
        if self._random.random() < 0.2:
            valid_view = View(0)
        return self._sign(replace(proposal, block=block, polka=polka, valid_view=valid_view))


def _remember(kept: list[T], item: T) -> None:
    if item not in kept:
        kept.append(item)
        del kept[:-KEPT]


def weaken(polka: Polka) -> Polka:
    """Return a polka without its first voter."""
    votes = polka.votes
    lowest = votes.signers & -votes.signers
    fewer = replace(votes, signers=votes.signers ^ lowest, signatures=votes.signatures[1:])
    return replace(polka, votes=fewer)
