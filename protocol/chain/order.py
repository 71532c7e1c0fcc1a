"""The order of transactions inside a block: not its proposer's choice.

Senders stand in the order of hash(parent id, sender); inside a sender's group nonces ascend. The parent id is
unknown when a transaction is signed, so no place can be bought, or ground cheaply. Who is in a block is the
mempool's business, what a transaction does that of `transition.py`.

*Departs* from consensus.md 2.6 in naming what it leaves open: a sender is whoever's nonce a transaction uses,
and a nonce is (lane, sequence), so the order of a block is strict and no two blocks differ by order alone.

*Source*: consensus.md 2.6.
"""

from collections.abc import Iterable
from typing import Final

from protocol import crypto
from protocol.chain.transaction import SignedTransaction
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.types import Address, BlockId, Hash32

_NO_NONCE: Final = (-1, -1)


def order_transactions(
    parent_id: BlockId, transactions: Iterable[SignedTransaction]
) -> list[SignedTransaction]:
    """Return transactions in the order that a block on this parent demands. Cost: about 1 us each."""
    places: dict[Address, Hash32] = {}
    keyed: list[tuple[Hash32, int, int, int, SignedTransaction]] = []
    for index, signed in enumerate(transactions):
        tx = signed.tx
        sender = tx.nonce_holder
        place = places.get(sender)
        if place is None:
            place = places[sender] = _place_of(parent_id, sender)
        keyed.append((place, tx.lane, tx.sequence, index, signed))
    keyed.sort()
    return [item[4] for item in keyed]


def check_order(parent_id: BlockId, transactions: Iterable[SignedTransaction]) -> None:
    """Check that transactions stand in the order that a block on this parent demands. Cost: about 1 us each.

    *Rules*: 1. senders ascend by their place, each in one group. 2. nonces ascend inside a group.

    Raises:
        Rejected: INVALID_BLOCK.
    """
    sender: Address | None = None
    place, nonce = b"", _NO_NONCE
    for signed in transactions:
        tx = signed.tx
        holder = tx.nonce_holder
        if holder != sender:
            following = _place_of(parent_id, holder)
            if following <= place:
                raise Rejected(Code.INVALID_BLOCK, "order of transactions: senders by hash(parent, sender)")
            sender, place, nonce = holder, following, _NO_NONCE
        following_nonce = (tx.lane, tx.sequence)
        if following_nonce <= nonce:
            raise Rejected(Code.INVALID_BLOCK, "order of transactions: nonces of a sender ascend")
        nonce = following_nonce


def _place_of(parent_id: BlockId, sender: Address) -> Hash32:
    return crypto.digest(Domain.ORDER, parent_id, sender)
