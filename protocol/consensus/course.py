"""What is the same at all heights of an epoch: the chain, the record, and the order in which validators come.

Both engines stand on it. It knows nothing of votes, and nothing that changes.

*Source*: consensus.md 2.3.
"""

from protocol import crypto
from protocol.chain.block import Block
from protocol.chain.validators import EpochRecord
from protocol.crypto import Domain
from protocol.types import BlockId, Hash32, Height, View


def order_proposers(record: EpochRecord) -> tuple[int, ...]:
    """Return the validators in the order in which they propose, another one in every epoch.

    *Departs* from consensus.md 2.3, where the seal's id is the anchor: the record's own hash is known after a
    restart too, and the proposer of the seal cannot search for one that suits it.
    """
    anchor = record.compute_hash()
    places = [crypto.digest(Domain.PROPOSERS, anchor, v.consensus_key) for v in record.validators]
    return tuple(sorted(range(len(places)), key=places.__getitem__))


class Course:
    """What is the same at all heights of an epoch: the chain, the record, and the order of proposers."""

    __slots__ = ("_epoch_hash", "_genesis_hash", "_proposers", "record")

    def __init__(self, genesis_hash: Hash32, record: EpochRecord) -> None:
        self._genesis_hash = genesis_hash
        self.record = record
        self._epoch_hash = record.compute_hash()
        self._proposers = order_proposers(record)

    def proposer_of(self, height: Height, view: View) -> int:
        """Return who proposes in a round."""
        return self._proposers[(height + view) % len(self._proposers)]

    def is_next(self, block: Block, height: Height, parent_id: BlockId) -> bool:
        """Tell whether a block is of this chain and epoch and follows its parent."""
        header = block.header
        return (
            header.genesis_hash == self._genesis_hash
            and header.height == height
            and header.epoch == self.record.number
            and header.epoch_hash == self._epoch_hash
            and header.parent_id == parent_id
        )
