"""Block sync: a lagging node reaches the top whatever single peers do, and believes certificates only."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import crypto
from protocol.chain.block import Block, Header, assemble_block, compute_tx_root, decode_block
from protocol.chain.certificate import Vote, VoteKind, certify
from protocol.chain.validators import NO_HASH, EngineKind, EpochRecord, Validator
from protocol.crypto import SecretKey
from protocol.errors import Code, Rejected
from protocol.sync.messages import (
    RANGE_BLOCKS_MAX,
    AskBlocks,
    AskHeight,
    TellBlocks,
    TellHeight,
    decode_sync,
    encode_sync,
)
from protocol.sync.planner import (
    BEHIND_MS,
    PASSED_OVER_MS,
    REQUEST_MS_MAX,
    REQUESTS_MAX,
    Advanced,
    Blame,
    BlocksCame,
    HandOn,
    HeightTold,
    PeerJoined,
    PeerLeft,
    Planner,
    QueryBlocks,
    SyncEffect,
    Tick,
)
from protocol.types import BlockId, EpochNumber, Hash32, Height, TimeMs, View

GENESIS_HASH = Hash32(b"g" * 32)
KEY = SecretKey(b"\7" * 32)
PUBLIC = crypto.public_key_of(KEY)
RECORD = EpochRecord(EpochNumber(0), EngineKind.RAFT, Height(1), (Validator("n0", PUBLIC, PUBLIC),))
LENGTH = 3 * RANGE_BLOCKS_MAX + 5

Pair = tuple[bytes, bytes]


def _make_chain(length: int, salt: int = 0) -> list[tuple[Block, Pair]]:
    chain: list[tuple[Block, Pair]] = []
    parent = BlockId(GENESIS_HASH)
    for height in range(1, length + 1):
        header = Header(
            GENESIS_HASH,
            Height(height),
            TimeMs(height * 10 + salt),
            EpochNumber(0),
            View(1),
            PUBLIC,
            parent,
            Height(0),
            NO_HASH,
            compute_tx_root(()),
            0,
            compute_tx_root(()),
            NO_HASH,
            NO_HASH,
            RECORD.compute_hash(),
            RECORD.compute_hash(),
        )
        block = assemble_block(header, ())
        vote = Vote(EpochNumber(0), VoteKind.ACK, Height(height), View(1), block.id, None, 0)
        vote = replace(vote, signature=crypto.sign(KEY, vote.compute_digest(GENESIS_HASH)))
        chain.append((block, (block.encode(), certify((vote,)).encode())))
        parent = block.id
    return chain


CHAIN = _make_chain(LENGTH)
PAIRS = [pair for _, pair in CHAIN]

Answer = Callable[[QueryBlocks], tuple[Pair, ...] | None]


def _honest(query: QueryBlocks) -> tuple[Pair, ...]:
    return tuple(PAIRS[query.first - 1 : query.first - 1 + query.count])


def _silent(query: QueryBlocks) -> None:
    return None


def _short(query: QueryBlocks) -> tuple[Pair, ...]:
    return _honest(query)[:1]


def _empty(query: QueryBlocks) -> tuple[Pair, ...]:
    return ()


def _garbage(query: QueryBlocks) -> tuple[Pair, ...]:
    return tuple((b"\x90", b"\x90") for _ in range(query.count))


def _shifted(query: QueryBlocks) -> tuple[Pair, ...]:
    return tuple(PAIRS[query.first : query.first + query.count])


def _uncertified(query: QueryBlocks) -> tuple[Pair, ...]:
    """Blocks of another history, with the certificates of this one."""
    other = _make_chain(query.first + query.count - 1, salt=1)
    return tuple((other[h - 1][1][0], PAIRS[h - 1][1]) for h in range(query.first, query.first + query.count))


def _planner() -> Planner:
    return Planner(
        GENESIS_HASH, Height(0), BlockId(GENESIS_HASH), RECORD, lambda raw: decode_block(raw, _no_tx)
    )


def _no_tx(raw: bytes):  # type: ignore[no-untyped-def]
    raise Rejected(Code.MALFORMED, "no transactions here")


class Run:
    """Drive one planner against peers with given habits until it is at the top or time is up."""

    def __init__(self, habits: dict[bytes, Answer]) -> None:
        self.planner = _planner()
        self.habits = habits
        self.height = 0
        self.blamed: set[bytes] = set()
        self.under_way_max = 0
        self._queue: list[SyncEffect] = []
        self._waiting = 0

    def go(self, target: int = LENGTH, seconds: int = 120) -> None:
        for peer in self.habits:
            self.do(self.planner.step(PeerJoined(peer)))
            self.do(self.planner.step(HeightTold(peer, Height(target))))
        for now_ms in range(0, seconds * 1_000, 250):
            if self.height >= target:
                return
            self.do(self.planner.step(Tick(now_ms)))

    def do(self, effects: list[SyncEffect]) -> None:
        asked = [effect for effect in effects if isinstance(effect, QueryBlocks)]
        self.under_way_max = max(self.under_way_max, len(asked))
        for effect in effects:
            match effect:
                case QueryBlocks(peer, request, _, count):
                    assert 1 <= count <= RANGE_BLOCKS_MAX
                    answer = self.habits[peer](effect)
                    if answer is not None:
                        self.do(self.planner.step(BlocksCame(peer, request, answer)))
                case HandOn(block, certificate):
                    assert block.id == CHAIN[block.height - 1][0].id and certificate.block_id == block.id
                    assert block.height == self.height + 1, "in order, each once"
                    self.height += 1
                    self.do(self.planner.step(Advanced(block.height, block.id, RECORD)))
                case Blame(peer, _):
                    self.blamed.add(peer)
                case _:
                    pass


def test_an_honest_peer_is_enough() -> None:
    run = Run({b"a": _honest})
    run.go()
    assert run.height == LENGTH and not run.blamed and not run.planner.is_behind


def test_ranges_are_asked_of_several_peers_at_once() -> None:
    planner = _planner()
    for peer in (b"a", b"b"):
        planner.step(PeerJoined(peer))
    effects = [
        *planner.step(HeightTold(b"a", Height(LENGTH))),
        *planner.step(HeightTold(b"b", Height(LENGTH))),
    ]
    asked = [effect for effect in effects if isinstance(effect, QueryBlocks)]
    assert len(asked) == REQUESTS_MAX
    assert [query.first for query in asked] == [1 + i * RANGE_BLOCKS_MAX for i in range(REQUESTS_MAX)]
    late = planner.step(Tick(REQUEST_MS_MAX + PASSED_OVER_MS + 1)) + planner.step(
        Tick(REQUEST_MS_MAX + 2 * PASSED_OVER_MS + 2)
    )
    assert any(isinstance(effect, QueryBlocks) for effect in late), "what never came is asked again"


@pytest.mark.parametrize("bad", [_silent, _short, _empty, _garbage, _shifted, _uncertified])
def test_a_bad_peer_only_delays(bad: Answer) -> None:
    run = Run({b"a": bad, b"b": _honest})
    run.go()
    assert run.height == LENGTH
    assert run.blamed == ({b"a"} if bad in (_garbage, _shifted, _uncertified) else set())


@pytest.mark.parametrize("bad", [_garbage, _shifted, _uncertified])
def test_lies_alone_move_nothing(bad: Answer) -> None:
    run = Run({b"a": bad})
    run.go(seconds=30)
    assert run.height == 0 and run.blamed == {b"a"}


def test_a_peer_that_leaves_gives_its_ranges_back() -> None:
    run = Run({b"a": _silent})
    run.go(seconds=1)
    run.do(run.planner.step(PeerLeft(b"a")))
    run.habits = {b"b": _honest}
    run.go()
    assert run.height == LENGTH


def test_a_lag_of_one_counts_when_it_lasts() -> None:
    planner = _planner()
    planner.step(PeerJoined(b"a"))
    planner.step(Tick(0))
    assert not any(isinstance(e, QueryBlocks) for e in planner.step(HeightTold(b"a", Height(1))))
    assert not any(isinstance(e, QueryBlocks) for e in planner.step(Tick(BEHIND_MS - 1)))
    assert any(isinstance(e, QueryBlocks) for e in planner.step(Tick(BEHIND_MS)))


@given(
    st.lists(st.sampled_from([_honest, _silent, _short, _empty, _garbage, _shifted]), min_size=1, max_size=4)
)
def test_one_honest_peer_among_any_others_is_enough(habits: list[Answer]) -> None:
    run = Run({bytes([i]): habit for i, habit in enumerate(habits)} | {b"honest": _honest})
    run.go()
    assert run.height == LENGTH and b"honest" not in run.blamed


def test_messages_are_read_as_written() -> None:
    for message in (
        AskHeight(),
        TellHeight(Height(7)),
        AskBlocks(3, Height(1), RANGE_BLOCKS_MAX),
        TellBlocks(3, tuple(PAIRS[:2])),
    ):
        assert decode_sync(encode_sync(message)) == message
    for bad in (
        AskBlocks(3, Height(1), RANGE_BLOCKS_MAX + 1),
        AskBlocks(3, Height(0), 1),
        AskBlocks(1, Height(1), 0),
    ):
        with pytest.raises(Rejected):
            decode_sync(encode_sync(bad))
