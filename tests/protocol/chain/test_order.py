"""The order inside a block is fixed by its parent and the senders: nobody chooses it, everybody checks it."""

from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import crypto
from protocol.chain.order import check_order, order_transactions
from protocol.chain.transaction import UNORDERED, SignedTransaction, Transaction, assemble
from protocol.errors import Code, Rejected
from protocol.types import Address, BlockId, Gas, Hash32, Seconds

PARENT = BlockId(bytes(32))


def sent(who: int, lane: int, sequence: int, sponsor: int | None = None) -> SignedTransaction:
    actor, other = (Address(crypto.sha256(b"%d" % n)[:20]) for n in (who, 99))
    payer = 0 if sponsor is None else Address(crypto.sha256(b"%d" % sponsor)[:20])
    actors = (actor,) if sponsor is None else (actor, other)
    tx = Transaction("test-1", actors, payer, lane, sequence, Seconds(1), Gas(1), 0, ((), ()))
    return assemble(tx, Hash32(bytes(32)), ())


SENT = st.builds(sent, st.integers(0, 6), st.sampled_from((0, 3, UNORDERED)), st.integers(0, 9))


def refusal(transactions: list[SignedTransaction], parent_id: BlockId = PARENT) -> str:
    with pytest.raises(Rejected) as failure:
        check_order(parent_id, transactions)
    assert failure.value.code == Code.INVALID_BLOCK
    return failure.value.detail


@given(
    st.lists(SENT, max_size=20, unique_by=lambda tx: tx.id),
    st.binary(min_size=32, max_size=32),
    st.randoms(use_true_random=False),
)
def test_one_order_whatever_came_first(
    transactions: list[SignedTransaction], parent: bytes, chance: Random
) -> None:
    ordered = order_transactions(BlockId(parent), transactions)
    check_order(BlockId(parent), ordered)
    chance.shuffle(transactions)
    assert order_transactions(BlockId(parent), transactions) == ordered


def test_no_other_order_is_legal() -> None:
    transactions = [sent(0, 0, 1), sent(0, 0, 2), sent(0, 3, 1), sent(1, 0, 1), sent(2, UNORDERED, 7)]
    legal = order_transactions(PARENT, transactions)
    others = [list(order) for order in permutations(legal) if list(order) != legal]
    assert len(others) == 119
    assert {refusal(order) for order in others} == {
        "order of transactions: senders by hash(parent, sender)",
        "order of transactions: nonces of a sender ascend",
    }


def test_a_nonce_stands_in_a_block_once() -> None:
    one = sent(0, 0, 1)
    assert "nonces" in refusal([one, one])


def test_another_parent_is_another_order() -> None:
    transactions = [sent(who, 0, 1) for who in range(8)]
    orders = {
        tuple(tx.id for tx in order_transactions(BlockId(crypto.sha256(b"%d" % n)), transactions))
        for n in range(20)
    }
    assert len(orders) == 20


def test_a_sponsored_transaction_stands_with_whose_nonce_it_uses() -> None:
    pair = order_transactions(PARENT, [sent(1, 0, 2, sponsor=5), sent(0, 0, 1), sent(1, 0, 1)])
    places = [pair.index(tx) for tx in (sent(1, 0, 1), sent(1, 0, 2, sponsor=5))]
    assert places[1] == places[0] + 1
    check_order(PARENT, pair)


def test_an_empty_block_is_in_order() -> None:
    check_order(PARENT, [])
