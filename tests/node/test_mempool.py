"""The mempool: fair by gas, lanes in order, limits at the limit and one above, eviction that pays nobody."""

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.mempool import (
    MEMPOOL_BYTES_MAX,
    MEMPOOL_PAYER_TXS_MAX,
    MEMPOOL_TXS_MAX,
    SEEN_IDS_MAX,
    TURN_GAS_MIN,
    Mempool,
    MempoolLimits,
)
from protocol import crypto
from protocol.chain.transaction import UNORDERED, SignedTransaction, Transaction, TxSignature, assemble
from protocol.errors import Code, Rejected
from protocol.types import Address, Gas, PublicKey, Seconds, Signature

GENESIS = crypto.sha256(b"genesis")
MANY = 10**12


def address(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


def tx(
    actor: int, sequence: int, lane: int = 0, *, memo: bytes = b"", valid_until: int = 1_000
) -> SignedTransaction:
    body = Transaction(
        "test-1", (address(actor),), 0, lane, sequence, Seconds(valid_until), Gas(20_000), 0, ((), ()), memo
    )
    signature = TxSignature(0, PublicKey(b"\x02" + bytes(32)), 0, Signature(bytes(64)))
    return assemble(body, GENESIS, (signature,))


def refused(pool: Mempool, signed: SignedTransaction, payer: int, code: Code) -> Rejected:
    before = pool.ids()
    with pytest.raises(Rejected) as caught:
        pool.add(signed, address(payer), 100)
    assert caught.value.code == code
    assert pool.ids() == before
    return caught.value


def take_all(pool: Mempool) -> list[SignedTransaction]:
    return pool.take(MANY, MANY, MANY)


def test_what_is_added_waits_until_it_is_removed() -> None:
    pool, one, two = Mempool(), tx(1, 1), tx(2, 1)
    pool.add(one, address(1), 100)
    pool.add(two, address(2), 100)
    assert len(pool) == 2 and pool.ids() == [one.id, two.id]
    assert pool.get(one.id) is one and pool.known(one.id)
    assert take_all(pool) == take_all(pool) == [one, two]
    pool.remove_committed([one.id])
    assert pool.get(one.id) is None and pool.known(one.id) and take_all(pool) == [two]
    pool.drop(two.id)
    assert len(pool) == 0 and pool.known(two.id)
    figures = pool.figures()
    assert (figures.txs, figures.size_bytes, figures.payers) == (0, 0, 0)


def test_the_same_again_exists() -> None:
    pool, one = Mempool(), tx(1, 1)
    pool.add(one, address(1), 100)
    refused(pool, one, 1, Code.EXISTS)
    pool.remove_committed([one.id])
    refused(pool, one, 1, Code.EXISTS)


def test_an_id_that_was_committed_without_waiting_here_is_known() -> None:
    pool, one = Mempool(), tx(1, 1)
    pool.remove_committed([one.id])
    refused(pool, one, 1, Code.EXISTS)


def test_seen_ids_are_bounded() -> None:
    pool = Mempool(MempoolLimits(seen_ids=3))
    txs = [tx(1, n) for n in range(4)]
    pool.remove_committed([t.id for t in txs[:3]])
    assert all(pool.known(t.id) for t in txs[:3])
    pool.remove_committed([txs[3].id])
    assert [pool.known(t.id) for t in txs] == [False, True, True, True]


@pytest.mark.parametrize("lane", [0, 15])
def test_one_nonce_waits_once(lane: int) -> None:
    pool = Mempool()
    pool.add(tx(1, 7, lane), address(1), 100)
    refused(pool, tx(1, 7, lane, memo=b"other"), 1, Code.NONCE_USED)
    pool.add(tx(1, 8, lane), address(1), 100)
    pool.add(tx(2, 7, lane), address(2), 100)
    pool.add(tx(1, 7, 3), address(1), 100)
    pool.drop(tx(1, 7, lane).id)
    pool.add(tx(1, 7, lane, memo=b"other"), address(1), 100)


def test_the_count_is_limited() -> None:
    pool = Mempool(MempoolLimits(txs=3))
    for n in range(3):
        pool.add(tx(1, n), address(1), 100)
    assert refused(pool, tx(1, 3), 1, Code.FULL).retry
    assert pool.figures().refused_full_total == 1


def test_bytes_are_limited() -> None:
    size = len(tx(1, 0).raw)
    pool = Mempool(MempoolLimits(size_bytes=2 * size))
    pool.add(tx(1, 0), address(1), 100)
    pool.add(tx(2, 1), address(2), 100)
    pool.drop(tx(1, 0).id)
    refused(pool, tx(3, 0, memo=b"x"), 3, Code.FULL)
    pool.add(tx(3, 0), address(3), 100)
    assert pool.figures().size_bytes == 2 * size


def test_more_bytes_than_there_are_never_fit() -> None:
    refused(Mempool(MempoolLimits(size_bytes=10)), tx(1, 0), 1, Code.FULL)


def test_a_payer_is_limited() -> None:
    pool = Mempool(MempoolLimits(payer_txs=2))
    for n in range(2):
        pool.add(tx(1, n), address(1), 100)
    refused(pool, tx(1, 2), 1, Code.FULL)
    refused(pool, tx(5, 2), 1, Code.FULL)
    pool.add(tx(2, 2), address(2), 100)


def test_a_newcomer_pushes_out_the_newest_of_the_heaviest() -> None:
    pool = Mempool(MempoolLimits(txs=5))
    heavy = [tx(1, n) for n in range(3)]
    for signed in heavy:
        pool.add(signed, address(1), 100)
    for n in range(2):
        pool.add(tx(2, n), address(2), 100)
    pool.add(tx(3, 0), address(3), 100)
    assert pool.get(heavy[2].id) is None and not pool.known(heavy[2].id)
    assert len(pool) == 5 and pool.figures().evicted_total == 1
    # Payers 1 and 2 hold two each now: payer 3 may come as far as them, not further.
    refused(pool, tx(3, 1), 3, Code.FULL)
    refused(pool, heavy[2], 1, Code.FULL)


def test_who_is_pushed_out_keeps_at_least_as_much() -> None:
    pool = Mempool(MempoolLimits(txs=4))
    for n in range(3):
        pool.add(tx(1, n), address(1), 100)
    pool.add(tx(2, 0), address(2), 100)
    pool.add(tx(2, 1), address(2), 100)
    assert [pool.get(tx(1, n).id) is None for n in range(3)] == [False, False, True]
    refused(pool, tx(2, 2), 2, Code.FULL)


def test_the_heaviest_is_known_after_others_left() -> None:
    pool = Mempool(MempoolLimits(txs=10))
    for payer, count in ((1, 5), (2, 4), (3, 1)):
        for n in range(count):
            pool.add(tx(payer, n), address(payer), 100)
    pool.add(tx(4, 0), address(4), 100)  # payer 1 has four left
    pool.remove_committed([tx(1, n).id for n in range(3)])
    for n in range(3):
        pool.add(tx(5, n), address(5), 100)
    pool.add(tx(6, 0), address(6), 100)
    assert pool.get(tx(2, 3).id) is None and pool.get(tx(1, 3).id) is not None


def test_a_pool_that_was_full_once_remembers_nothing_of_it_for_ever() -> None:
    pool = Mempool(MempoolLimits(txs=2))
    for number in range(3):
        pool.add(tx(1, number, UNORDERED), address(1 + number // 2), 100)
    pool.remove_committed(pool.ids())
    for number in range(1_000):
        one = tx(1, 10 + number, UNORDERED)
        pool.add(one, address(1), 100)
        pool.remove_committed([one.id])
    assert len(pool._heavy) < 100


def test_a_large_newcomer_pushes_out_several_or_none() -> None:
    size = len(tx(1, 0).raw)
    pool = Mempool(MempoolLimits(size_bytes=10 * size))
    for n in range(8):
        pool.add(tx(1, n), address(1), 100)
    for n in range(2):
        pool.add(tx(2, n), address(2), 100)
    large = tx(3, 0, memo=bytes(200))
    assert size < len(large.raw) <= 3 * size
    pool.add(large, address(3), 100)
    assert pool.figures().evicted_total == -(-len(large.raw) // size)
    assert pool.figures().size_bytes <= 10 * size
    refused(pool, tx(1, 9, memo=bytes(200)), 1, Code.FULL)


def test_payers_share_a_block_by_gas() -> None:
    pool = Mempool()
    for n in range(50):
        pool.add(tx(1, n), address(1), 1_000)
    for n in range(50):
        pool.add(tx(2, n), address(2), 5_000)
    pool.add(tx(3, 0), address(3), 1_000)
    taken = pool.take(MANY, MANY, 41_000)
    share = [sum(1 for t in taken if t.tx.actors[0] == address(n)) for n in (1, 2, 3)]
    assert share == [20, 4, 1]


def test_one_payer_fills_a_block_when_nobody_else_has_work() -> None:
    pool = Mempool()
    txs = [tx(1, n) for n in range(20)]
    for signed in txs:
        pool.add(signed, address(1), 1_000)
    assert pool.take(10, MANY, MANY) == txs[:10]


def test_whoever_had_a_turn_goes_to_the_end() -> None:
    pool = Mempool()
    for payer in range(4):
        for n in range(2):
            pool.add(tx(payer, n), address(payer), 1_000)
    first = pool.take(2, MANY, MANY)
    pool.remove_committed([t.id for t in first])
    second = pool.take(2, MANY, MANY)
    assert [t.tx.actors[0] for t in first + second] == [address(n) for n in range(4)]


def test_transactions_without_gas_end() -> None:
    pool = Mempool()
    for n in range(3):
        pool.add(tx(1, n), address(1), 0)
        pool.add(tx(2, n), address(2), 0)
    assert [t.tx.actors[0] for t in take_all(pool)] == [address(1), address(2)] * 3


@pytest.mark.parametrize("limit", ["txs", "bytes", "gas"])
def test_a_block_is_filled_to_its_limit_and_not_above(limit: str) -> None:
    pool, size = Mempool(), len(tx(1, 0).raw)
    for n in range(10):
        pool.add(tx(n, 0), address(n), 1_000)
    exact = {"txs": (4, MANY, MANY), "bytes": (MANY, 4 * size, MANY), "gas": (MANY, MANY, 4_000)}[limit]
    below = tuple(n if n == MANY else n - 1 for n in exact)
    assert len(pool.take(*exact)) == 4
    assert len(pool.take(*below)) == 3


def test_one_that_does_not_fit_does_not_stop_others() -> None:
    pool = Mempool()
    pool.add(tx(1, 0), address(1), 9_000)
    pool.add(tx(1, 1), address(1), 10)
    pool.add(tx(2, 0), address(2), 1_000)
    assert [t.tx.actors[0] for t in pool.take(MANY, MANY, 5_000)] == [address(2)]


def test_a_lane_leaves_in_order_however_it_came() -> None:
    pool = Mempool()
    for sequence in (5, 3, 4, 9, 1):
        pool.add(tx(1, sequence), address(1), 1_000)
    assert [t.tx.sequence for t in take_all(pool)] == [1, 3, 4, 5, 9]
    assert [t.tx.sequence for t in pool.take(2, MANY, MANY)] == [1, 3]


def test_unordered_ones_leave_as_they_came() -> None:
    """Their number is no nonce: the state remembers their ids."""
    pool = Mempool()
    txs = [tx(1, n, UNORDERED, memo=memo) for n, memo in ((2, b""), (1, b""), (1, b"other"))]
    for signed in txs:
        pool.add(signed, address(1), 1_000)
    assert take_all(pool) == txs
    pool.remove_committed([txs[0].id])
    assert take_all(pool) == txs[1:]


def test_a_nonce_is_its_holders_whoever_pays() -> None:
    """Two members of one sponsor have lanes of their own; one member with two sponsors has not."""
    pool = Mempool()
    pool.add(tx(1, 2), address(9), 1_000)
    pool.add(tx(3, 2), address(9), 1_000)
    refused(pool, tx(1, 2, memo=b"other"), 8, Code.NONCE_USED)
    pool.add(tx(3, 1), address(9), 1_000)
    assert [(t.tx.actors[0], t.tx.sequence) for t in take_all(pool) if t.tx.actors[0] == address(3)] == [
        (address(3), 1),
        (address(3), 2),
    ]


def test_a_committed_sequence_drops_what_it_overtook() -> None:
    """Two transactions with one nonce went to two nodes; here waits the one that lost."""
    pool = Mempool()
    lost, next_one = tx(1, 3), tx(1, 4)
    bystanders = [tx(1, 3, lane=1), tx(2, 3), tx(1, 2, UNORDERED)]
    for signed in (lost, next_one, *bystanders):
        pool.add(signed, signed.tx.actors[0], 100)
    pool.drop_overtaken([tx(1, 3, memo=b"won"), tx(1, 9, UNORDERED)])
    assert pool.ids() == [one.id for one in (next_one, *bystanders)]
    assert pool.known(lost.id)


def test_expired_ones_leave() -> None:
    pool = Mempool()
    early, late = tx(1, 0, valid_until=100), tx(2, 0, valid_until=101)
    pool.add(early, address(1), 100)
    pool.add(late, address(2), 100)
    assert pool.prune(100) == [] and len(pool) == 2
    assert pool.prune(101) == [early.id] and pool.ids() == [late.id]
    assert pool.prune(102) == [late.id] and pool.figures().expired_total == 2


CALLS = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"),
            st.integers(1, 4),  # actor
            st.integers(0, 6),  # sequence
            st.sampled_from([0, 1, UNORDERED]),
            st.integers(1, 3),  # payer
            st.integers(0, 120),  # memo bytes
            st.integers(0, 5_000),  # gas
        ),
        st.tuples(st.just("commit"), st.integers(0, 8)),
        st.tuples(st.just("drop"), st.integers(0, 30)),
        st.tuples(st.just("prune"), st.integers(0, 8)),
    ),
    max_size=80,
)


@given(CALLS)
def test_limits_order_and_fairness_hold_always(calls: list[tuple[object, ...]]) -> None:
    limits = MempoolLimits(txs=12, size_bytes=3_000, payer_txs=7, seen_ids=5)
    pool = Mempool(limits)
    gas_of: dict[bytes, int] = {}
    for call in calls:
        match call:
            case ("add", int(actor), int(sequence), int(lane), int(payer), int(memo), int(gas)):
                signed = tx(actor, sequence, lane, memo=bytes(memo), valid_until=sequence)
                gas_of[signed.id] = gas
                try:
                    pool.add(signed, address(payer), gas)
                except Rejected as refusal:
                    assert refusal.code in (Code.EXISTS, Code.FULL, Code.NONCE_USED)
            case ("commit", int(count)):
                pool.remove_committed([t.id for t in pool.take(count, MANY, MANY)])
            case ("drop", int(at)) if len(pool):
                pool.drop(pool.ids()[at % len(pool)])
            case ("prune", int(seconds)):
                pool.prune(seconds)
        check(pool, limits)
        some = pool.take(5, 1_000, 6_000)
        assert sum(len(t.raw) for t in some) <= 1_000
        assert sum(gas_of[t.id] for t in some) <= 6_000
        check_lanes(some, pool)


def check(pool: Mempool, limits: MempoolLimits) -> None:
    everything = take_all(pool)
    assert sorted(t.id for t in everything) == sorted(pool.ids())
    figures = pool.figures()
    assert figures.txs == len(everything) <= limits.txs
    assert figures.size_bytes == sum(len(t.raw) for t in everything) <= limits.size_bytes
    assert take_all(pool) == everything
    check_lanes(everything, pool)


def check_lanes(taken: list[SignedTransaction], pool: Mempool) -> None:
    """Sequences ascend, and none that waits is left out below one that was taken."""
    lanes: dict[tuple[Address, int], list[int]] = defaultdict(list)
    waiting: dict[tuple[Address, int], list[int]] = defaultdict(list)
    for signed in taken:
        lanes[signed.tx.nonce_holder, signed.tx.lane].append(signed.tx.sequence)
    for tx_id in pool.ids():
        signed = pool.get(tx_id)  # type: ignore[assignment]
        waiting[signed.tx.nonce_holder, signed.tx.lane].append(signed.tx.sequence)
    for (holder, lane), sequences in lanes.items():
        if lane != UNORDERED:
            assert all(a < b for a, b in pairwise(sequences))
            assert sequences == sorted(waiting[holder, lane])[: len(sequences)]


# --- what starves


def test_what_is_favoured_leaves_first_and_once() -> None:
    pool = Mempool()
    txs = [tx(actor, n, UNORDERED) for actor in (1, 2) for n in range(3)] + [tx(3, n) for n in (1, 2, 3)]
    for signed in txs:
        pool.add(signed, address(signed.tx.actors[0][-1]), 100)
    usual = take_all(pool)
    alone, first_of_lane, later_of_lane = txs[5], txs[6], txs[7]
    pool.favour([alone.id, crypto.sha256(b"unknown"), later_of_lane.id, first_of_lane.id])  # type: ignore[list-item]
    favoured = take_all(pool)
    assert favoured[:2] == [alone, first_of_lane]
    assert len(favoured) == len(usual) and {t.id for t in favoured} == {t.id for t in usual}
    lane = [t.tx.sequence for t in favoured if t.tx.actors[0] == address(3)]
    assert lane == [1, 2, 3]
    assert pool.take(1, MANY, MANY) == [alone]
    pool.favour([])
    assert take_all(pool) == usual


def test_what_is_favoured_finds_room_however_full_it_is() -> None:
    pool = Mempool(MempoolLimits(txs=2, payer_txs=2))
    for n in (1, 2):
        pool.add(tx(1, n), address(1), 100)
    refused(pool, tx(1, 3), 1, Code.FULL)
    pool.favour([tx(1, 3).id])
    pool.add(tx(1, 3), address(1), 100)
    assert len(pool) == 3


def test_the_next_of_each_payer_whoever_waits_longest_first() -> None:
    pool = Mempool()
    for signed in (tx(1, 2), tx(1, 1), tx(2, 7, UNORDERED), tx(2, 1, UNORDERED)):
        pool.add(signed, address(signed.tx.actors[0][-1]), 100)
    assert [s.tx.sequence for s in pool.next_of_payers()] == [1, 7]
    pool.remove_committed([tx(1, 1).id])
    assert [s.tx.sequence for s in pool.next_of_payers()] == [7, 2]


def test_one_payer_fills_his_share_and_no_more() -> None:
    pool = Mempool()
    for n in range(MEMPOOL_PAYER_TXS_MAX):
        pool.add(tx(1, n), address(1), 100)
    assert f"{MEMPOOL_PAYER_TXS_MAX} transactions" in str(refused(pool, tx(1, 9_999), 1, Code.FULL))


def test_by_itself_a_mempool_holds_so_many_so_many_bytes_and_so_many_ids() -> None:
    assert MempoolLimits() == MempoolLimits(
        txs=MEMPOOL_TXS_MAX,
        size_bytes=MEMPOOL_BYTES_MAX,
        payer_txs=MEMPOOL_PAYER_TXS_MAX,
        seen_ids=SEEN_IDS_MAX,
    )
    pool = Mempool(MempoolLimits(payer_txs=MEMPOOL_TXS_MAX))
    for n in range(MEMPOOL_TXS_MAX):
        pool.add(tx(1, n), address(1), 100)
    refused(pool, tx(1, MEMPOOL_TXS_MAX), 1, Code.FULL)
    large = Mempool(MempoolLimits(payer_txs=MEMPOOL_TXS_MAX))
    memo = bytes(MEMPOOL_BYTES_MAX // 4 - len(tx(1, 1, memo=bytes(1 << 16)).raw) + (1 << 16))
    for n in range(4):
        large.add(tx(1, n + 1, memo=memo), address(1), 100)
    assert large.figures().size_bytes == MEMPOOL_BYTES_MAX
    refused(large, tx(1, 9), 1, Code.FULL)


def test_so_many_ids_are_remembered_and_the_one_before_is_forgotten() -> None:
    pool = Mempool()
    ids = [crypto.sha256(n.to_bytes(4, "big")) for n in range(SEEN_IDS_MAX + 1)]
    pool.remove_committed(ids[:-1])  # type: ignore[arg-type]
    assert pool.known(ids[0])  # type: ignore[arg-type]
    pool.remove_committed(ids[-1:])  # type: ignore[arg-type]
    assert [pool.known(ids[at]) for at in (0, 1, -1)] == [False, True, True]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gas", "order"), [(0, "122121"), (TURN_GAS_MIN, "122121"), (TURN_GAS_MIN + 1, "121212")]
)
def test_a_turn_counts_at_least_so_much_gas(gas: int, order: str) -> None:
    pool = Mempool()
    for n in range(3):
        pool.add(tx(1, n), address(1), TURN_GAS_MIN + 1)
        pool.add(tx(2, n), address(2), gas)
    assert [signed.tx.actors[0] for signed in take_all(pool)] == [address(int(who)) for who in order]
