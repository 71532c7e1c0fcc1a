"""A newcomer follows over a restart by people once its operator accepted it; nobody is blamed before."""

import time
from pathlib import Path

import pytest

from node.crossing import CLAIMS_MAX, Crossing, begin_epoch
from node.errors import OperationError
from node.executor import Ahead, Executor
from node.net.transport import Channel, PeerId
from node.snapshot.folder import SnapshotFolder
from node.snapshot.joining import SnapshotServer
from node.snapshot.making import create_snapshot, open_snapshot, restore_store
from node.store.check import check_store
from node.store.opening import found_store
from node.store.store import Store
from node.wire import FrameKind, split
from protocol.chain.restart import make_record
from protocol.chain.validators import EngineKind, EpochRecord
from protocol.errors import Code, Rejected
from protocol.sync.planner import (
    ApplyRun,
    BlocksArrived,
    EpochClaimed,
    PeerIsBad,
    PeerStatus,
    Request,
    SyncPlanner,
)
from protocol.sync.snapshot_messages import (
    Epochs,
    GetEpochs,
    GetOffer,
    Offer,
    SnapshotMessage,
    decode_snapshot_message,
    encode_snapshot_message,
)
from protocol.sync.snapshot_planner import (
    Answered,
    Ask,
    LiarFound,
    NothingOffered,
    PeerFound,
    SnapshotEffect,
    SnapshotPlanner,
)
from protocol.types import EpochNumber, Hash32, Height, PublicKey
from tests.node.small_chain import SmallChain

PEER = PeerId(b"\2" + bytes(32))
RESTARTED_AT = 2


class Newcomer:
    """A node that has come to the block above which the chain was restarted, and a wire."""

    def __init__(self, chain: "Restarted", path: Path, blocks: int = RESTARTED_AT) -> None:
        found_store(path, chain.genesis)
        self.store = Store.open(path)
        self.executor = Executor(self.store)
        self.sent: list[SnapshotMessage] = []
        self.stops = 0
        for height in range(1, blocks + 1):
            block = chain.blocks[height - 1]
            certificate = chain.store.certificate(height)
            assert certificate is not None
            ahead = Ahead()
            ahead.add(self.executor.check(block, ahead), certificate)
            self.executor.write(ahead.blocks)
            self.executor.advance(ahead.blocks[-1][0])

    def crossing(self, *accepted: Hash32) -> Crossing:
        return Crossing(accepted, self.executor, self, self.stop)  # type: ignore[arg-type]

    def stop(self) -> None:
        self.stops += 1

    def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        kind, payload = split(data)
        assert (kind, channel) == (FrameKind.SNAPSHOT, Channel.BULK)
        self.sent.append(decode_snapshot_message(payload))
        return True


class Restarted(SmallChain):
    """A chain that people restarted with one validator above its second block, and two blocks after that."""

    def __init__(self, path: Path) -> None:
        super().__init__(path / "store", int(time.time() * 1_000) - 60_000)
        self.blocks = [self.commit(self.pay("ada", "bo", 1)), self.commit()]
        header = self.store.header(RESTARTED_AT)
        assert header is not None
        previous = self.store.epoch_at(RESTARTED_AT)
        name = previous.validators[0].operator
        self.record: EpochRecord = make_record(header, previous, EngineKind.RAFT, (name,))
        self.hash = self.record.compute_hash()
        self.store.restart(self.record)
        self.executor = Executor(self.store)
        self.blocks += [self.commit(self.pay("ada", "bo", 2)), self.commit()]
        self.folder = SnapshotFolder(path / "snapshots")
        self.server = SnapshotServer(self.store, self.folder)

    def answer(self, ask: GetOffer | GetEpochs) -> bytes:
        data = self.server.answer(PEER, ask)
        assert data is not None
        return data


@pytest.fixture
def chain(tmp_path: Path) -> Restarted:
    return Restarted(tmp_path)


def test_block_sync_stops_below_a_restart_and_blames_nobody(chain: Restarted) -> None:
    origin = chain.blocks[0].header.parent_id
    planner = SyncPlanner(chain.genesis_hash, chain.genesis.epoch, Height(0), origin)
    [asked, *_] = planner.step(PeerStatus(PublicKey(PEER), Height(4)))
    assert isinstance(asked, Request)
    blocks = [(block, chain.store.certificate(block.height)) for block in chain.blocks]
    effects = planner.step(BlocksArrived(asked.request, tuple((b, c) for b, c in blocks if c is not None)))
    assert EpochClaimed(PublicKey(PEER), Height(3), chain.hash) in effects
    assert not any(isinstance(effect, PeerIsBad) for effect in effects)
    [run] = [effect for effect in effects if isinstance(effect, ApplyRun)]
    assert [block.height for block, _ in run.blocks] == [1, 2]
    assert planner.target == RESTARTED_AT, "who shows what we do not follow is no measure of how far we lag"
    after = SyncPlanner(chain.genesis_hash, chain.record, Height(2), chain.blocks[1].id)
    [asked, *_] = after.step(PeerStatus(PublicKey(PEER), Height(4)))
    assert isinstance(asked, Request)
    effects = after.step(BlocksArrived(asked.request, tuple((b, c) for b, c in blocks[2:] if c is not None)))
    assert [len(effect.blocks) for effect in effects if isinstance(effect, ApplyRun)] == [2]


def test_an_accepted_restart_is_fetched_proved_and_begun(chain: Restarted, tmp_path: Path) -> None:
    node = Newcomer(chain, tmp_path / "new")
    crossing = node.crossing(chain.hash)
    answer = chain.answer(GetEpochs(EpochNumber(1)))
    assert not crossing.on_frame(PEER, answer), "nobody asked"
    crossing.note(PEER, Height(3), chain.hash)
    assert node.sent == [GetEpochs(EpochNumber(1))] and crossing.warning == ""
    assert crossing.on_frame(PEER, answer)
    assert crossing.fetched == chain.record and node.stops == 1
    begin_epoch(node.store, chain.record)
    begin_epoch(node.store, chain.record)
    assert Executor(node.store).record == chain.record
    assert check_store(node.store).is_sound and check_store(chain.store).is_sound


def test_what_was_not_accepted_is_said_and_changes_nothing(chain: Restarted, tmp_path: Path) -> None:
    node = Newcomer(chain, tmp_path / "new")
    crossing = node.crossing(Hash32(b"\1" * 32))
    crossing.note(PEER, Height(3), chain.hash)
    assert node.sent == [] and chain.hash.hex() in crossing.warning and "above block 2" in crossing.warning
    assert not crossing.on_frame(PEER, chain.answer(GetEpochs(EpochNumber(1))))
    for number in range(2, CLAIMS_MAX + 1):
        crossing.note(PEER, Height(3), Hash32(bytes([number]) * 32))
    assert chain.hash.hex() in crossing.warning
    crossing.note(PEER, Height(3), Hash32(bytes(32)))
    assert chain.hash.hex() not in crossing.warning, "what peers say takes no more room than this"
    begin_epoch(node.store, chain.genesis.epoch)
    assert Executor(node.store).record == chain.genesis.epoch and crossing.fetched is None


def test_a_peer_that_proves_another_record_is_at_fault(chain: Restarted, tmp_path: Path) -> None:
    node = Newcomer(chain, tmp_path / "new")
    other = Hash32(b"\1" * 32)
    crossing = node.crossing(chain.hash, other)
    for wanted, answer in (
        (other, chain.answer(GetEpochs(EpochNumber(1)))),
        (chain.hash, encode_snapshot_message(Epochs(EpochNumber(1), ()))),
    ):
        crossing.note(PEER, Height(3), wanted)
        with pytest.raises(Rejected) as refused:
            crossing.on_frame(PEER, answer)
        assert refused.value.code == Code.BAD_PROOF
    crossing.note(PEER, Height(3), chain.hash)
    crossing.lose(PEER)
    assert not crossing.on_frame(PEER, chain.answer(GetEpochs(EpochNumber(1)))) and node.stops == 0


def test_a_node_that_is_not_at_that_block_waits_for_it(chain: Restarted, tmp_path: Path) -> None:
    node = Newcomer(chain, tmp_path / "new", blocks=1)
    crossing = node.crossing(chain.hash)
    crossing.note(PEER, Height(3), chain.hash)
    assert crossing.on_frame(PEER, chain.answer(GetEpochs(EpochNumber(1))))
    assert crossing.fetched is None and node.stops == 0
    begin_epoch(node.store, chain.record)
    assert Executor(node.store).record == chain.genesis.epoch


def test_a_snapshot_above_a_restart_is_trusted_by_who_accepted_it(chain: Restarted, tmp_path: Path) -> None:
    create_snapshot(chain.store, chain.folder)
    with pytest.raises(OperationError, match="accepted"):
        open_snapshot(chain.folder, 4, chain.genesis)
    verified = open_snapshot(chain.folder, 4, chain.genesis, (chain.hash,))
    restore_store(verified, chain.folder, tmp_path / "restored")
    restored = Store.open(tmp_path / "restored")
    assert check_store(restored).is_sound and Executor(restored).record == chain.record

    def begin(*accepted: Hash32) -> list[SnapshotEffect]:
        planner = SnapshotPlanner(chain.genesis, Height(0), accepted=accepted)
        effects = planner.step(PeerFound(PublicKey(PEER)))
        for _ in range(2):
            [ask] = [effect for effect in effects if isinstance(effect, Ask)]
            assert isinstance(ask.message, GetOffer | GetEpochs)
            answer = decode_snapshot_message(chain.answer(ask.message))
            assert isinstance(answer, Offer | Epochs)
            effects = planner.step(Answered(ask.request, answer))
        return effects

    assert begin() == [NothingOffered()]
    effects = begin(chain.hash)
    assert effects and not any(isinstance(effect, LiarFound | NothingOffered) for effect in effects)


def test_validators_join_a_restarted_chain_by_an_ordinary_change(chain: Restarted) -> None:
    chain.commit(*[chain.say_ready(index) for index in range(3)])
    chain.commit(chain.decide(EngineKind.RAFT, 0, 1, 2))
    while not chain.commit().header.is_seal:
        assert chain.executor.head.height < 20
    assert chain.executor.record.number == 2 and len(chain.executor.record.validators) == 3
    chain.commit(chain.pay("ada", "bo", 3))
    assert check_store(chain.store).is_sound
