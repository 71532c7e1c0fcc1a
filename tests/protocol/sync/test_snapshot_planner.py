"""Fetching a snapshot from peers that stop, forget or lie; every schedule ends with the right chunks."""

from dataclasses import replace
from random import Random

import pytest

from protocol.codec import encode
from protocol.errors import Code, Rejected
from protocol.merkle.tree import StateTree
from protocol.sync.snapshot import Anchor, Manifest, Seal, check_anchor, check_chunk, check_manifest, cut_rows
from protocol.sync.snapshot_messages import (
    EPOCHS_A_PAGE_MAX,
    SNAPSHOT_MESSAGE_BYTES_MAX,
    Chunk,
    Epochs,
    GetChunk,
    GetEpochs,
    GetOffer,
    NoOffer,
    Offer,
    SnapshotMessage,
    decode_snapshot_message,
    encode_snapshot_message,
)
from protocol.sync.snapshot_planner import (
    CHUNKS_A_PEER_MAX,
    CHUNKS_OPEN_MAX,
    FAILURES_MAX,
    PEERS_MAX,
    Answered,
    Ask,
    AskFailed,
    KeepChunk,
    LiarFound,
    NothingOffered,
    PeerFound,
    PeerLost,
    SnapshotEffect,
    SnapshotPlanner,
    SnapshotReady,
)
from protocol.types import EpochNumber, Hash32, Height, PublicKey
from tests.node.store.chain_maker import TREE_BITS, ChainMaker
from tests.protocol.sync.test_snapshot import rows_of


class World:
    """A chain of two epochs, and a snapshot of its state in many chunks."""

    def __init__(self, heights: int = 4, seals: int = 1) -> None:
        self.state = {b"key%d" % n: b"value%d" % n for n in range(120)}
        self.maker = ChainMaker(self.state)
        self.seals: list[Seal] = []
        self.offers: dict[Height, Offer] = {}
        self.chunks: dict[Hash32, bytes] = {}
        for at in range(heights):
            record = self.maker.next_record() if at < seals else None
            key = b"key%d" % at
            self.state[key] = b"changed"
            commit = self.maker.next(writes={key: b"changed"}, next_record=record)
            if record is not None:
                self.seals.append(Seal(commit.block.header, commit.certificate, record))
            header = commit.block.header
            cut = list(cut_rows(rows_of(self.state), TREE_BITS, 1_500))
            self.chunks.update({entry.digest: data for entry, data in cut})
            manifest = Manifest(
                header.genesis_hash,
                header.height,
                header.compute_id(),
                header.state_root,
                header.epoch,
                len(self.state),
                tuple(entry for entry, _ in cut),
            )
            self.offers[header.height] = Offer(manifest, header, commit.certificate)

    @property
    def newest(self) -> Offer:
        return self.offers[max(self.offers)]

    def planner(self, kept: tuple[Hash32, ...] = ()) -> SnapshotPlanner:
        return SnapshotPlanner(self.maker.genesis, Height(0), kept)

    def answer(self, ask: Ask, offer: Offer | None = None) -> SnapshotMessage:
        """Answer as a correct peer does; over the wire."""
        answer: SnapshotMessage
        match ask.message:
            case GetOffer():
                answer = offer or self.newest
            case GetEpochs(first):
                answer = Epochs(first, tuple(self.seals[first - 1 :][:EPOCHS_A_PAGE_MAX]))
            case GetChunk(_, digest):
                answer = Chunk(digest, self.chunks[digest])
        return decode_snapshot_message(encode_snapshot_message(answer))


def name(number: int) -> PublicKey:
    return PublicKey(b"\x02" + number.to_bytes(32, "big"))


def asks(effects: list[SnapshotEffect]) -> list[Ask]:
    return [effect for effect in effects if isinstance(effect, Ask)]


def run(
    world: World, planner: SnapshotPlanner, peers: int, chance: Random, liars: int = 0, stop_after: int = -1
) -> tuple[dict[Hash32, bytes], SnapshotEffect | None, set[PublicKey]]:
    """Let peers answer in any order, the first `liars` of them falsely; stop after so many kept chunks."""
    kept: dict[Hash32, bytes] = {}
    found: set[PublicKey] = set()
    waiting: list[Ask] = []
    effects = [effect for n in range(peers) for effect in planner.step(PeerFound(name(n)))]
    while True:
        for effect in effects:
            match effect:
                case Ask():
                    waiting.append(effect)
                case KeepChunk(digest, data):
                    kept[digest] = data
                    if len(kept) == stop_after:
                        return kept, None, found
                case LiarFound(peer, _):
                    found.add(peer)
                case SnapshotReady() | NothingOffered():
                    return kept, effect, found
        assert waiting, "nothing under way, and not at an end"
        open_chunks = [ask for ask in waiting if isinstance(ask.message, GetChunk)]
        assert len(open_chunks) <= CHUNKS_OPEN_MAX + liars * CHUNKS_A_PEER_MAX
        ask = waiting.pop(chance.randrange(len(waiting)))
        if chance.random() < 0.1:
            effects = planner.step(AskFailed(ask.request))
            continue
        answer = world.answer(ask)
        if ask.peer < name(liars):
            answer = lie(answer, chance)
        effects = planner.step(Answered(ask.request, answer))


def lie(answer: SnapshotMessage, chance: Random) -> SnapshotMessage:
    match answer:
        case Chunk(digest, bytes() as data):
            bad = bytearray(data)
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
            return chance.choice([Chunk(digest, bytes(bad)), Chunk(digest, None), Chunk(digest, encode(()))])
        case Offer(manifest, header, certificate):
            first = replace(manifest.chunks[0], digest=Hash32(bytes(32)))
            wrong = replace(manifest, chunks=(first, *manifest.chunks[1:]))
            return chance.choice([answer, Offer(wrong, header, certificate), NoOffer()])
        case _:
            return answer


def assert_whole(world: World, kept: dict[Hash32, bytes], ready: SnapshotReady) -> None:
    record = check_anchor(world.maker.genesis, ready.anchor)
    assert record == world.maker.record
    paths = check_manifest(ready.manifest, ready.anchor.header)
    state: dict[bytes, bytes] = {}
    for entry, path in zip(ready.manifest.chunks, paths, strict=True):
        state.update(check_chunk(kept[entry.digest], path, entry.digest, TREE_BITS))
    assert StateTree.build(TREE_BITS, state.items()).root == ready.anchor.header.state_root


def test_a_snapshot_is_fetched_whole_whatever_the_order() -> None:
    world = World()
    for seed in range(60):
        kept, end, liars = run(world, world.planner(), 3, Random(seed))
        if isinstance(end, SnapshotReady):
            assert_whole(world, kept, end)
        assert not liars


def test_liars_are_found_and_change_nothing() -> None:
    world, ready = World(), 0
    for seed in range(120):
        kept, end, found = run(world, world.planner(), 4, Random(seed), liars=2)
        assert found <= {name(0), name(1)}
        if isinstance(end, SnapshotReady):
            ready += 1
            assert_whole(world, kept, end)
    assert ready > 100


def test_what_was_fetched_before_a_stop_is_not_asked_for_again() -> None:
    world = World()
    total = {chunk.digest for chunk in world.newest.manifest.chunks}
    for stop in range(1, len(total)):
        kept, end, _ = run(world, world.planner(), 3, Random(stop), stop_after=stop)
        assert end is None and len(kept) == stop
        planner = world.planner(tuple(kept))
        more, end, _ = run(world, planner, 3, Random(stop))
        assert isinstance(end, SnapshotReady) and not set(more) & set(kept)
        assert_whole(world, kept | more, end)
        assert planner.progress == (len(total), len(total))


def test_a_chunk_that_two_snapshots_share_serves_both() -> None:
    world = World()
    older, newer = (
        {chunk.digest for chunk in world.offers[Height(h)].manifest.chunks} for h in (3, 4)
    )  # fmt: skip
    assert older & newer
    more, end, _ = run(world, world.planner(tuple(older)), 2, Random(1))
    assert isinstance(end, SnapshotReady) and set(more) == newer - older


def test_the_snapshot_that_most_peers_have_is_taken_and_lower_ones_do_not_help() -> None:
    world = World()
    planner = SnapshotPlanner(world.maker.genesis, Height(2))
    first = [ask for n in range(4) for ask in asks(planner.step(PeerFound(name(n))))]
    heights = (2, 3, 3, 4)
    effects: list[SnapshotEffect] = []
    for ask, height in zip(first, heights, strict=True):
        effects += planner.step(Answered(ask.request, world.answer(ask, world.offers[Height(height)])))
    seals = [ask for ask in asks(effects) if isinstance(ask.message, GetEpochs)]
    assert {ask.peer for ask in seals} == {name(1), name(2), name(3)}
    effects = [e for ask in seals for e in planner.step(Answered(ask.request, world.answer(ask)))]
    chunks = asks(effects)
    assert {ask.peer for ask in chunks} == {name(1), name(2)}
    assert {ask.message.height for ask in chunks if isinstance(ask.message, GetChunk)} == {3}
    assert len(chunks) == 2 * CHUNKS_A_PEER_MAX


def test_a_peer_that_forgot_its_snapshot_is_asked_for_its_newest() -> None:
    world = World()
    planner = world.planner()
    [ask] = asks(planner.step(PeerFound(name(1))))
    [ask] = asks(planner.step(Answered(ask.request, world.answer(ask, world.offers[Height(3)]))))
    first, second = asks(planner.step(Answered(ask.request, world.answer(ask))))
    assert isinstance(first.message, GetChunk) and isinstance(second.message, GetChunk)
    [again] = asks(planner.step(Answered(first.request, Chunk(first.message.digest, None))))
    assert again.message == GetOffer()
    assert not planner.step(Answered(second.request, world.answer(second)))[1:]
    effects = planner.step(Answered(again.request, world.answer(again)))
    assert {a.message.height for a in asks(effects) if isinstance(a.message, GetChunk)} == {4}


@pytest.mark.parametrize("answer", [NoOffer(), None])
def test_without_an_offer_blocks_are_fetched(answer: NoOffer | None) -> None:
    planner = World().planner()
    [ask] = asks(planner.step(PeerFound(name(1))))
    event = AskFailed(ask.request) if answer is None else Answered(ask.request, answer)
    assert planner.step(event) == [NothingOffered()]
    assert planner.step(PeerFound(name(2))) == []


def test_epochs_come_by_pages() -> None:
    world = World(heights=EPOCHS_A_PAGE_MAX + 3, seals=EPOCHS_A_PAGE_MAX + 1)
    kept, end, _ = run(world, world.planner(), 1, Random(3))
    assert isinstance(end, SnapshotReady)
    assert_whole(world, kept, end)


def test_epochs_that_lead_nowhere_are_not_followed() -> None:
    world = World()
    planner = world.planner()
    [ask] = asks(planner.step(PeerFound(name(1))))
    [ask] = asks(planner.step(Answered(ask.request, world.answer(ask))))
    assert planner.step(Answered(ask.request, Epochs(EpochNumber(1), ()))) == [NothingOffered()]
    planner = world.planner()
    [ask] = asks(planner.step(PeerFound(name(1))))
    [ask] = asks(planner.step(Answered(ask.request, world.answer(ask))))
    forged = replace(world.seals[0], certificate=world.newest.certificate)
    [liar] = planner.step(Answered(ask.request, Epochs(EpochNumber(1), (forged,))))
    assert isinstance(liar, LiarFound) and planner.is_alone
    assert planner.step(PeerFound(name(1))) == [], "a liar that came first does not decide for the others"
    assert asks(planner.step(PeerFound(name(2)))) and not planner.is_alone


def test_a_liar_that_comes_again_is_not_asked() -> None:
    world = World()
    planner = world.planner()
    [bad] = asks(planner.step(PeerFound(name(1))))
    [good] = asks(planner.step(PeerFound(name(2))))
    forged = replace(world.newest, certificate=world.offers[Height(1)].certificate)
    [seals] = asks(planner.step(Answered(bad.request, forged)))
    [liar] = planner.step(Answered(seals.request, world.answer(seals)))
    assert isinstance(liar, LiarFound)
    assert planner.step(PeerLost(name(1))) == [] and planner.step(PeerFound(name(1))) == []
    assert len(asks(planner.step(Answered(good.request, world.answer(good))))) == CHUNKS_A_PEER_MAX


@pytest.mark.parametrize("failures", [FAILURES_MAX - 1, FAILURES_MAX])
def test_a_peer_that_does_not_answer_is_left_out(failures: int) -> None:
    world = World()
    planner = world.planner()
    [ask] = asks(planner.step(PeerFound(name(1))))
    [ask] = asks(planner.step(Answered(ask.request, world.answer(ask))))
    effects = planner.step(Answered(ask.request, world.answer(ask)))
    for _ in range(failures):
        first = asks(effects)[0]
        effects = planner.step(AskFailed(first.request))
    assert bool(asks(effects)) is (failures < FAILURES_MAX)


@pytest.mark.parametrize("above", [0, 1])
def test_the_limit_of_peers(above: int) -> None:
    planner = World().planner()
    found = [ask for n in range(PEERS_MAX + above) for ask in asks(planner.step(PeerFound(name(n))))]
    assert len(found) == PEERS_MAX


@pytest.mark.parametrize("above", [0, 1])
def test_the_limit_of_a_message(above: int) -> None:
    with pytest.raises(Rejected) as caught:
        decode_snapshot_message(b"\xc1" * (SNAPSHOT_MESSAGE_BYTES_MAX + above))
    assert (caught.value.code == Code.TOO_LARGE) is bool(above)


def test_any_bytes_are_a_message_or_refused() -> None:
    world, chance = World(), Random(7)
    messages = [
        world.newest,
        NoOffer(),
        GetOffer(),
        GetEpochs(EpochNumber(1)),
        Epochs(EpochNumber(1), tuple(world.seals)),
        GetChunk(Height(4), Hash32(bytes(32))),
        Chunk(Hash32(bytes(32)), b"x"),
    ]
    for message in messages:
        data = encode_snapshot_message(message)
        assert decode_snapshot_message(data) == message
        for _ in range(300):
            bad = bytearray(data)
            bad[chance.randrange(len(bad))] = chance.randrange(256)
            try:
                decode_snapshot_message(bytes(bad[: chance.randrange(1, len(bad) + 1)]))
            except Rejected:
                continue


def test_an_anchor_of_a_lower_epoch_takes_only_its_own_seals() -> None:
    world = World(heights=6, seals=2)
    offer = world.offers[Height(2)]
    planner = world.planner()
    [ask] = asks(planner.step(PeerFound(name(1))))
    effects = planner.step(Answered(ask.request, offer))
    while not any(isinstance(effect, SnapshotReady) for effect in effects):
        [ask, *_] = asks(effects)
        answered = [planner.step(Answered(a.request, world.answer(a))) for a in asks(effects)]
        effects = [effect for part in answered for effect in part]
    ready = effects[-1]
    assert isinstance(ready, SnapshotReady)
    assert ready.anchor == Anchor(tuple(world.seals), offer.header, offer.certificate)
