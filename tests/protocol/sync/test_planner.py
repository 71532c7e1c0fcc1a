"""Block sync: catches up from several peers, whatever some of them do, and applies only what holds."""

from dataclasses import replace
from random import Random

import pytest

from protocol.chain.block import Block, decode_block
from protocol.chain.certificate import Certificate, Vote, VoteKind, certify
from protocol.chain.validators import EngineKind
from protocol.errors import Rejected
from protocol.params import BLOCK_BYTES_MAX
from protocol.sync import planner as planner_module
from protocol.sync.messages import (
    RANGE_BLOCKS_MAX,
    SYNC_BYTES_MAX,
    Blocks,
    ChainStatus,
    GetBlocks,
    GetStatus,
    SyncMessage,
    decode_sync,
    encode_sync,
)
from protocol.sync.planner import (
    BLOCKS_AHEAD_MAX,
    FAILURES_MAX,
    PEERS_MAX,
    RANGES_A_PEER_MAX,
    RANGES_OPEN_MAX,
    Applied,
    ApplyBlock,
    BlocksArrived,
    CaughtUp,
    PeerGone,
    PeerIsBad,
    PeerStatus,
    Request,
    RequestFailed,
    SyncEffect,
    SyncInput,
    SyncPlanner,
)
from protocol.types import BlockId, Height, PublicKey, View
from tests.simulation import ledger
from tests.simulation.ledger import GENESIS_HASH, ORIGIN, EpochPlan, FakeSigner

SIGNERS = sorted((FakeSigner(i) for i in range(4)), key=lambda s: s.public_key)
PLAN = EpochPlan(list(SIGNERS), [0, 1, 2], [(70, [1, 2, 3]), (71, [0, 1, 2, 3])], EngineKind.RAFT)
PEERS = [PublicKey(b"\x03" + bytes([i]) * 32) for i in range(4)]


def make_chain(height: int) -> list[tuple[Block, Certificate]]:
    chain: list[tuple[Block, Certificate]] = []
    head = ORIGIN
    by_key = {s.public_key: s for s in SIGNERS}
    for _ in range(height):
        block = ledger.build(head, PLAN, View(1), SIGNERS[0].public_key, head.time_ms + 10)
        record = PLAN.record_of(block.height)
        votes = [
            Vote(record.number, VoteKind.ACK, block.height, View(1), block.id, None, i)
            for i in range(record.quorum)
        ]
        signed = [
            replace(
                v,
                signature=by_key[record.validators[v.validator].consensus_key].sign(
                    v.compute_digest(GENESIS_HASH)
                ),
            )
            for v in votes
        ]
        certificate = certify(tuple(signed))
        chain.append((block, certificate))
        head = ledger.head_after(block, certificate)
    return chain


CHAIN = make_chain(600)


class Shell:
    """Answers a planner's requests from a chain, some of them badly."""

    def __init__(
        self, chain: list[tuple[Block, Certificate]], random: Random, liars: dict[PublicKey, str]
    ) -> None:
        self.planner = SyncPlanner(
            GENESIS_HASH, PLAN.records[0], Height(0), ORIGIN.block_id, FakeSigner.verify
        )
        self.chain = chain
        self.random = random
        self.liars = liars
        self.applied: list[BlockId] = []
        self.work: list[Request | ApplyBlock] = []
        self.bad: list[PublicKey] = []
        self.caught_up = 0
        self.open_max = 0

    def give(self, event: SyncInput) -> None:
        for effect in self.planner.step(event):
            match effect:
                case Request() | ApplyBlock():
                    self.work.append(effect)
                case PeerIsBad():
                    self.bad.append(effect.peer)
                case CaughtUp():
                    self.caught_up = effect.height

    def run(self) -> None:
        while self.work:
            requests = [w for w in self.work if isinstance(w, Request)]
            self.open_max = max(self.open_max, len(requests))
            applies = [w for w in self.work if isinstance(w, ApplyBlock)]
            work: Request | ApplyBlock
            work = applies[0] if applies and self.random.random() < 0.7 else self.random.choice(self.work)
            if isinstance(work, ApplyBlock):
                work = applies[0]
                self.work.remove(work)
                assert work.block.height == len(self.applied) + 1
                self.applied.append(work.block.id)
                self.give(Applied(work.block.height, work.block.id, PLAN.seals.get(work.block.height)))
            else:
                self.work.remove(work)
                self.give(self.answer(work))

    def answer(self, request: Request) -> BlocksArrived | RequestFailed:
        blocks = self.chain[request.first - 1 : request.first - 1 + request.count]
        match self.liars.get(request.peer):
            case "silent":
                return RequestFailed(request.request)
            case "empty":
                return BlocksArrived(request.request, ())
            case "short":
                return BlocksArrived(request.request, tuple(blocks[:3]))
            case "shifted":
                return BlocksArrived(request.request, tuple(self.chain[request.first : request.first + 2]))
            case "unsigned":
                block, proof = blocks[0]
                return BlocksArrived(
                    request.request, ((block, replace(proof, signers=1, signatures=proof.signatures[:1])),)
                )
            case "forged":
                block, proof = blocks[0]
                return BlocksArrived(request.request, ((ledger.spoil(block), proof), *blocks[1:]))
            case _:
                return BlocksArrived(request.request, tuple(blocks))


@pytest.mark.parametrize("seed", range(10))
def test_catches_up_over_epochs(seed: int) -> None:
    shell = Shell(CHAIN, Random(seed), {})
    for peer in PEERS:
        shell.give(PeerStatus(peer, Height(600)))
    shell.run()
    assert shell.applied == [block.id for block, _ in CHAIN]
    assert shell.caught_up == 600
    assert not shell.bad
    assert 1 < shell.open_max <= RANGES_OPEN_MAX


@pytest.mark.parametrize("lie", ["silent", "empty", "short", "shifted", "unsigned", "forged"])
def test_one_honest_peer_is_enough(lie: str) -> None:
    shell = Shell(CHAIN[:200], Random(1), dict.fromkeys(PEERS[1:], lie))
    for peer in PEERS:
        shell.give(PeerStatus(peer, Height(200)))
    shell.run()
    assert len(shell.applied) == 200
    assert PEERS[0] not in shell.bad
    assert bool(shell.bad) is (lie in ("shifted", "unsigned", "forged"))


def test_certificate_of_a_minority_is_not_applied() -> None:
    shell = Shell(CHAIN[:10], Random(1), {PEERS[0]: "unsigned"})
    shell.give(PeerStatus(PEERS[0], Height(10)))
    shell.run()
    assert shell.applied == [] and shell.bad == [PEERS[0]]


def test_a_claim_that_nobody_can_keep_does_not_stop_the_rest() -> None:
    shell = Shell(CHAIN[:100], Random(1), {PEERS[0]: "empty"})
    shell.give(PeerStatus(PEERS[0], Height(1 << 60)))
    shell.give(PeerStatus(PEERS[1], Height(100)))
    shell.run()
    assert len(shell.applied) == 100 and shell.caught_up == 100


def test_peer_that_leaves_is_replaced() -> None:
    shell = Shell(CHAIN[:300], Random(1), {})
    shell.give(PeerStatus(PEERS[0], Height(300)))
    shell.give(PeerStatus(PEERS[1], Height(300)))
    shell.give(PeerGone(PEERS[0]))
    shell.work = [w for w in shell.work if not (isinstance(w, Request) and w.peer == PEERS[0])]
    shell.run()
    assert len(shell.applied) == 300


def test_consensus_may_be_faster() -> None:
    planner = SyncPlanner(GENESIS_HASH, PLAN.records[0], Height(0), ORIGIN.block_id, FakeSigner.verify)
    planner.step(PeerStatus(PEERS[0], Height(5)))
    assert planner.step(Applied(Height(5), CHAIN[4][0].id)) == [CaughtUp(Height(5))]


def requests_of(effects: list[SyncEffect]) -> list[Request]:
    return [effect for effect in effects if isinstance(effect, Request)]


def test_limits_of_what_is_under_way() -> None:
    planner = SyncPlanner(GENESIS_HASH, PLAN.records[0], Height(0), ORIGIN.block_id, FakeSigner.verify)
    opened = requests_of(planner.step(PeerStatus(PEERS[0], Height(10_000))))
    assert len(opened) == RANGES_A_PEER_MAX
    assert [r.count for r in opened] == [RANGE_BLOCKS_MAX] * RANGES_A_PEER_MAX
    for i in range(PEERS_MAX + 5):
        peer = PublicKey(b"\x02" + bytes([i]) * 32)
        opened += requests_of(planner.step(PeerStatus(peer, Height(10_000))))
    assert len(opened) == RANGES_OPEN_MAX
    assert max(r.first + r.count - 1 for r in opened) == BLOCKS_AHEAD_MAX
    assert len(planner._peers) == PEERS_MAX


def test_what_is_held_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heights alone would let 512 blocks of 4 MiB wait for the one below them."""
    monkeypatch.setattr(planner_module, "HELD_BYTES_MAX", 1_000)
    monkeypatch.setattr(planner_module, "_size_of", lambda block: 1_001)
    planner = SyncPlanner(GENESIS_HASH, PLAN.records[0], Height(0), ORIGIN.block_id, FakeSigner.verify)
    first, second = requests_of(planner.step(PeerStatus(PEERS[0], Height(600))))
    blocks = tuple(make_chain(second.first + second.count - 1)[second.first - 1 :])
    assert requests_of(planner.step(BlocksArrived(second.request, blocks))) == []
    [again] = requests_of(planner.step(RequestFailed(first.request)))
    assert (again.first, again.count) == (1, 1), "only the next block is asked for"


def test_peer_that_fails_is_left_out_until_it_speaks_again() -> None:
    planner = SyncPlanner(GENESIS_HASH, PLAN.records[0], Height(0), ORIGIN.block_id, FakeSigner.verify)
    opened = requests_of(planner.step(PeerStatus(PEERS[0], Height(10))))
    for _ in range(FAILURES_MAX - 1):
        opened = requests_of(planner.step(RequestFailed(opened[0].request)))
        assert opened
    assert requests_of(planner.step(RequestFailed(opened[0].request))) == []
    assert requests_of(planner.step(PeerStatus(PEERS[0], Height(10))))


# --- messages


def decode(data: bytes) -> SyncMessage:
    def refuse(raw: bytes) -> None:
        raise AssertionError

    return decode_sync(data, lambda body: decode_block(body, refuse))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message",
    [
        GetStatus(),
        ChainStatus(Height(7), CHAIN[6][0].id),
        GetBlocks(Height(1), RANGE_BLOCKS_MAX),
        Blocks(()),
        Blocks(tuple(CHAIN[:RANGE_BLOCKS_MAX])),
    ],
)
def test_messages_round_trip(message: SyncMessage) -> None:
    assert decode(encode_sync(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        GetBlocks(Height(1), RANGE_BLOCKS_MAX + 1),
        GetBlocks(Height(0), 1),
        Blocks(tuple(CHAIN[: RANGE_BLOCKS_MAX + 1])),
    ],
)
def test_limits_of_messages(message: SyncMessage) -> None:
    with pytest.raises(Rejected):
        decode(encode_sync(message))


def test_size_limit() -> None:
    assert SYNC_BYTES_MAX > BLOCK_BYTES_MAX
    with pytest.raises(Rejected):
        decode(bytes(SYNC_BYTES_MAX + 1))


def test_hostile_bytes_are_only_ever_rejected() -> None:
    random = Random(5)
    good = encode_sync(Blocks(tuple(CHAIN[:2])))
    for _ in range(2_000):
        data = bytearray(good)
        for _ in range(random.randint(1, 4)):
            data[random.randrange(len(data))] = random.randrange(256)
        try:
            decode(bytes(data[: random.randint(1, len(data))]))
        except Rejected:
            pass
