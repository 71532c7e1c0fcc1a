"""The blocks that a BFT node has heard of at one height, and what execution said of them.

Of each round at most two come here (`bft.py`, B4), and rounds too far below ours are forgotten, so the memory
is bounded by rounds, not by what liars send.
"""

from protocol.chain.block import Block
from protocol.consensus.inputs import Verdict
from protocol.consensus.rounds import is_near
from protocol.types import BlockId, View


class Blocks:
    """Keep blocks by id, each with the newest round that needs it."""

    __slots__ = ("_asked", "_kept", "_verdicts")

    def __init__(self) -> None:
        self._kept: dict[BlockId, tuple[View, Block]] = {}
        self._verdicts: dict[BlockId, Verdict] = {}
        self._asked: set[BlockId] = set()

    def keep(self, view: View, block: Block) -> None:
        """Keep a block for a round."""
        known = self._kept.get(block.id)
        if known is None or known[0] < view:
            self._kept[block.id] = (view, block)

    def find(self, block_id: BlockId) -> Block | None:
        """Return a block; None when we do not have it."""
        known = self._kept.get(block_id)
        return None if known is None else known[1]

    def verdict(self, block_id: BlockId) -> Verdict | None:
        """Return what execution said of a block; None when it has not answered."""
        return self._verdicts.get(block_id)

    def is_first_question(self, block_id: BlockId) -> bool:
        """Note that execution is asked about a block, and tell whether it was not asked before."""
        is_first = block_id not in self._asked
        self._asked.add(block_id)
        return is_first

    def judge(self, block_id: BlockId, verdict: Verdict) -> bool:
        """Note a verdict and tell whether the block is still of interest."""
        is_known = block_id in self._kept
        if is_known:
            self._verdicts[block_id] = verdict
        return is_known

    def forget(self, current: View, but: BlockId | None) -> None:
        """Drop the blocks of rounds too far from the current one, but one."""
        for block_id in [i for i, (view, _) in self._kept.items() if not is_near(view, current) and i != but]:
            del self._kept[block_id]
            self._verdicts.pop(block_id, None)
            self._asked.discard(block_id)
