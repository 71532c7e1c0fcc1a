"""Block sync: catches up from several peers, whatever some of them do, and applies only what holds."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.chain.block import Block
from protocol.chain.certificate import Certificate, Vote, VoteKind, certify
from protocol.chain.validators import EngineKind
from protocol.errors import Rejected
from protocol.params import BLOCK_BYTES_MAX
from protocol.sync import planner as planner_module
from protocol.sync.messages import (
    RANGE_BLOCKS_MAX,
    RANGE_BYTES_MAX,
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
    RUN_BLOCKS_MAX,
    RUN_BYTES_MAX,
    Applied,
    ApplyRun,
    BlocksArrived,
    CaughtUp,
    NonsenseArrived,
    PeerFails,
    PeerGone,
    PeerIsBad,
    PeerStatus,
    Request,
    RequestFailed,
    RequestSlow,
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
        self.runs: list[int] = []
        self.failing: list[PublicKey] = []
        self.work: list[Request | ApplyRun] = []
        self.bad: list[PublicKey] = []
        self.caught_up = 0
        self.open_max = 0

    def give(self, event: SyncInput) -> None:
        for effect in self.planner.step(event):
            match effect:
                case Request() | ApplyRun():
                    self.work.append(effect)
                case PeerIsBad():
                    self.bad.append(effect.peer)
                case PeerFails():
                    self.failing.append(effect.peer)
                case CaughtUp():
                    self.caught_up = effect.height

    def run(self) -> None:
        while self.work:
            requests = [w for w in self.work if isinstance(w, Request)]
            self.open_max = max(self.open_max, len(requests))
            applies = [w for w in self.work if isinstance(w, ApplyRun)]
            work: Request | ApplyRun
            work = applies[0] if applies and self.random.random() < 0.7 else self.random.choice(self.work)
            if isinstance(work, ApplyRun):
                work = applies[0]
                self.work.remove(work)
                for block, _ in work.blocks:
                    assert block.height == len(self.applied) + 1
                    self.applied.append(block.id)
                assert not any(block.header.is_seal for block, _ in work.blocks[:-1])
                last = work.blocks[-1][0]
                self.runs.append(len(work.blocks))
                self.give(Applied(last.height, last.id, PLAN.seals.get(last.height)))
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
    assert 1 < max(shell.runs) <= RUN_BLOCKS_MAX


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


def plan() -> SyncPlanner:
    return SyncPlanner(GENESIS_HASH, PLAN.records[0], Height(0), ORIGIN.block_id, FakeSigner.verify)


def test_a_peer_that_fails_is_dropped_until_it_is_let_in_again() -> None:
    planner = plan()
    effects = planner.step(PeerStatus(PEERS[0], Height(10)))
    for _ in range(FAILURES_MAX - 1):
        effects = planner.step(RequestFailed(requests_of(effects)[0].request))
        assert requests_of(effects) and planner.target == 10
    effects = planner.step(RequestFailed(requests_of(effects)[0].request))
    assert PeerFails(PEERS[0]) in effects and not requests_of(effects) and planner.target == 0
    assert requests_of(planner.step(PeerStatus(PEERS[0], Height(10))))


def test_a_height_that_nobody_brings_is_no_target_for_long() -> None:
    """A liar who feeds every new block as it comes still cannot keep a claim of more."""
    planner, answered = plan(), 0
    effects = planner.step(PeerStatus(PEERS[0], Height(1 << 60)))
    while planner.target > answered + 1:
        [request, *_] = requests_of(effects)
        blocks = tuple(CHAIN[request.first - 1 : request.first])
        effects = planner.step(
            BlocksArrived(request.request, blocks if request.first == answered + 1 else ())
        )
        answered = max(answered, request.first)
        effects += planner.step(Applied(CHAIN[answered - 1][0].height, CHAIN[answered - 1][0].id))
        assert answered <= FAILURES_MAX
    assert PeerFails(PEERS[0]) in effects


def test_an_honest_peer_may_fail_now_and_then() -> None:
    planner, failed = plan(), 0
    effects = planner.step(PeerStatus(PEERS[0], Height(600)))
    waiting = requests_of(effects)
    done = 0
    while waiting:
        request = waiting.pop(0)
        if failed % FAILURES_MAX != FAILURES_MAX - 1 and request.first > 1:
            failed += 1
            waiting += requests_of(planner.step(RequestFailed(request.request)))
            continue
        failed += 1
        blocks = tuple(CHAIN[request.first - 1 : request.first - 1 + request.count])
        effects = planner.step(BlocksArrived(request.request, blocks))
        assert PeerFails(PEERS[0]) not in effects
        for effect in effects:
            if isinstance(effect, ApplyRun):
                last = effect.blocks[-1][0]
                done = last.height
                effects += planner.step(Applied(last.height, last.id, PLAN.seals.get(last.height)))
        waiting += requests_of(effects)
    assert done == 600


def test_a_slow_range_is_asked_of_another_peer_too_and_either_answer_serves() -> None:
    for first_to_answer in (0, 1):
        planner = plan()
        [slow] = requests_of(planner.step(PeerStatus(PEERS[0], Height(10))))
        assert not requests_of(planner.step(RequestSlow(slow.request))), "never the same peer twice"
        [second] = requests_of(planner.step(PeerStatus(PEERS[1], Height(10))))
        assert (second.peer, second.first, second.count) == (PEERS[1], 1, 10)
        answer = (slow, second)[first_to_answer]
        effects = planner.step(BlocksArrived(answer.request, tuple(CHAIN[:10])))
        assert [len(e.blocks) for e in effects if isinstance(e, ApplyRun)] == [10]
        late = planner.step(BlocksArrived((second, slow)[first_to_answer].request, tuple(CHAIN[:10])))
        assert not [e for e in late if isinstance(e, ApplyRun | PeerIsBad | PeerFails)]


def test_nonsense_condemns_its_sender_alone() -> None:
    planner = plan()
    [request] = requests_of(planner.step(PeerStatus(PEERS[0], Height(10))))
    planner.step(PeerStatus(PEERS[1], Height(10)))
    effects = planner.step(NonsenseArrived(request.request, "no block"))
    assert PeerIsBad(PEERS[0], "no block") in effects
    assert [r.peer for r in requests_of(effects)] == [PEERS[1]]


@pytest.mark.parametrize(
    ("size", "runs"), [(RUN_BYTES_MAX // 2, [2, 1]), (RUN_BYTES_MAX // 2 + 1, [1, 1, 1])]
)
def test_a_run_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch, size: int, runs: list[int]) -> None:
    monkeypatch.setattr(planner_module, "_size_of", lambda block: size)
    planner = plan()
    [request] = requests_of(planner.step(PeerStatus(PEERS[0], Height(3))))
    effects = planner.step(BlocksArrived(request.request, tuple(CHAIN[:3])))
    assert [len(e.blocks) for e in effects if isinstance(e, ApplyRun)] == runs


@pytest.mark.parametrize(
    ("size", "is_broken"), [(RANGE_BYTES_MAX // 2, False), (RANGE_BYTES_MAX // 2 - 1, True)]
)
def test_a_range_that_is_short_though_it_was_not_full_is_a_broken_claim(
    monkeypatch: pytest.MonkeyPatch, size: int, is_broken: bool
) -> None:
    monkeypatch.setattr(planner_module, "_size_of", lambda block: size)
    planner = plan()
    [request] = requests_of(planner.step(PeerStatus(PEERS[0], Height(10))))
    planner.step(BlocksArrived(request.request, tuple(CHAIN[:1])))
    assert bool(planner._peers[PEERS[0]].failures) is is_broken


class Adversary:
    """Peers that Hypothesis plays: each answer is right, short, empty, late, of others, forged or lost."""

    def __init__(self, data: st.DataObject, *honest: PublicKey) -> None:
        self.data, self.honest = data, honest
        self.claims: dict[PublicKey, tuple[int, int]] = {}
        self.planner = plan()
        self.open: list[Request] = []
        self.applied = 0
        self.out: set[PublicKey] = set()

    def give(self, event: SyncInput) -> None:
        if isinstance(event, PeerStatus):
            self.claims[event.peer] = event.lowest, event.height
        applied: list[SyncInput] = []
        for effect in self.planner.step(event):
            match effect:
                case Request():
                    lowest, highest = self.claims[effect.peer]
                    assert lowest <= effect.first <= effect.first + effect.count - 1 <= highest
                    assert effect.peer not in self.out and 1 <= effect.count <= RANGE_BLOCKS_MAX
                    assert self.applied < effect.first <= self.applied + BLOCKS_AHEAD_MAX
                    self.open.append(effect)
                case ApplyRun():
                    for block, certificate in effect.blocks:
                        assert (block, certificate) == CHAIN[self.applied], "only the one true chain"
                        self.applied += 1
                    last = effect.blocks[-1][0]
                    applied.append(Applied(last.height, last.id, PLAN.seals.get(last.height)))
                case PeerIsBad(peer, _) | PeerFails(peer):
                    assert peer not in self.honest
                    self.out.add(peer)
                    self.open = [request for request in self.open if request.peer != peer]
        assert len(self.planner._open) - len(self.planner._slow) <= RANGES_OPEN_MAX
        for done in applied:  # after all effects of the step, as it takes a while
            self.give(done)

    def answer(self, request: Request, height: int) -> None:
        right = tuple(CHAIN[:height][request.first - 1 : request.first - 1 + request.count])
        number = request.request
        ways = ["right"] if request.peer in self.honest else WAYS
        match self.data.draw(st.sampled_from(ways)):
            case "right":
                self.give(BlocksArrived(number, right))
            case "empty":
                self.give(BlocksArrived(number, ()))
            case "short":
                self.give(BlocksArrived(number, right[:1]))
            case "shifted":
                self.give(BlocksArrived(number, right[1:]))
            case "forged":
                spoilt = tuple((ledger.spoil(block), proof) for block, proof in right[-1:])
                self.give(BlocksArrived(number, (*right[:-1], *spoilt)))
            case "nonsense":
                self.give(NonsenseArrived(number, "nonsense"))
            case "slow":
                self.give(RequestSlow(number))
                self.open.append(request)
            case _:
                self.give(RequestFailed(number))


WAYS = ["right", "empty", "short", "shifted", "forged", "nonsense", "slow", "lost"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_honest_peer_among_any_others_is_enough(data: st.DataObject) -> None:
    height = data.draw(st.integers(1, 200))
    whole, pruned, *others = PEERS
    game = Adversary(data, whole, pruned)
    for peer in others:
        claim = data.draw(st.integers(1, 1 << 62))
        lowest = data.draw(st.one_of(st.just(1), st.integers(1, min(claim, 300))))
        game.give(PeerStatus(peer, Height(claim), Height(lowest)))
    game.give(PeerStatus(pruned, Height(height), Height(data.draw(st.integers(1, height + 1)))))
    game.give(PeerStatus(whole, Height(height)))
    for _ in range(2_000):
        if not game.open:
            break
        game.answer(game.open.pop(data.draw(st.integers(0, len(game.open) - 1))), height)
    assert game.applied == height
    claims = [game.claims[peer] for peer in others if peer not in game.out]
    # Who is left may claim more only where it was never asked: beyond blocks that nobody else has.
    assert game.planner.target == max(
        [height, *(highest for lowest, highest in claims if lowest <= height + 1)]
    ) or any(height + 1 < lowest for lowest, _ in claims)


# --- messages


RAW = [(block.encode(), certificate.encode()) for block, certificate in CHAIN[: RANGE_BLOCKS_MAX + 1]]


@pytest.mark.parametrize(
    "message",
    [
        GetStatus(),
        ChainStatus(Height(7), CHAIN[6][0].id, Height(1)),
        GetBlocks(Height(1), RANGE_BLOCKS_MAX),
        Blocks(()),
        Blocks(tuple(RAW[:RANGE_BLOCKS_MAX])),
    ],
)
def test_messages_round_trip(message: SyncMessage) -> None:
    assert decode_sync(encode_sync(message)) == message


def test_nobody_is_asked_for_what_lies_below_its_snapshot() -> None:
    planner = plan()
    assert requests_of(planner.step(PeerStatus(PEERS[0], Height(100), Height(51)))) == []
    assert (planner.target, planner.is_stranded) == (0, True)
    first, second = requests_of(planner.step(PeerStatus(PEERS[1], Height(60))))
    assert (first.peer, first.first, first.count) == (PEERS[1], 1, 60)
    assert (second.peer, second.first, second.count) == (PEERS[0], 61, 40)
    assert (planner.target, planner.is_stranded) == (100, False)


def test_a_claim_that_nobody_can_lead_to_is_no_target() -> None:
    """Else a liar who claims great heights and no blocks below them would never be asked, nor found out."""
    planner = plan()
    planner.step(PeerStatus(PEERS[0], Height(1 << 60), Height(1 << 60)))
    assert (planner.target, planner.is_stranded) == (0, True)
    planner.step(PeerStatus(PEERS[0], Height(1 << 60), Height(1)))
    assert (planner.target, planner.is_stranded) == (1 << 60, False)


def test_a_peer_that_has_begun_with_a_snapshot_anew_says_so() -> None:
    planner = plan()
    asked = requests_of(planner.step(PeerStatus(PEERS[0], Height(10))))
    planner.step(PeerStatus(PEERS[0], Height(10), Height(11)))
    effects = planner.step(RequestFailed(asked[0].request))
    assert effects == [] and planner.is_stranded and planner.target == 0


@pytest.mark.parametrize(("lowest", "is_good"), [(0, False), (1, True), (8, True), (9, False)])
def test_limits_of_the_lowest_block(lowest: int, is_good: bool) -> None:
    data = encode_sync(ChainStatus(Height(7), CHAIN[6][0].id, Height(lowest)))
    if is_good:
        decode_sync(data)
    else:
        with pytest.raises(Rejected):
            decode_sync(data)


@pytest.mark.parametrize(
    "message",
    [
        GetBlocks(Height(1), RANGE_BLOCKS_MAX + 1),
        GetBlocks(Height(0), 1),
        Blocks(tuple(RAW)),
    ],
)
def test_limits_of_messages(message: SyncMessage) -> None:
    with pytest.raises(Rejected):
        decode_sync(encode_sync(message))


def test_size_limit() -> None:
    assert SYNC_BYTES_MAX > BLOCK_BYTES_MAX
    with pytest.raises(Rejected):
        decode_sync(bytes(SYNC_BYTES_MAX + 1))


def test_hostile_bytes_are_only_ever_rejected() -> None:
    random = Random(5)
    good = encode_sync(Blocks(tuple(RAW[:2])))
    for _ in range(2_000):
        data = bytearray(good)
        for _ in range(random.randint(1, 4)):
            data[random.randrange(len(data))] = random.randrange(256)
        try:
            decode_sync(bytes(data[: random.randint(1, len(data))]))
        except Rejected:
            pass
