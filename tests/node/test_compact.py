"""A proposal without its transactions is completed, and who lies about one only harms himself."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from trio.testing import MockClock

from node import compact
from node.batches import Batches
from node.compact import (
    ASK_SECONDS,
    ASKS_MAX,
    BODIES_MAX,
    MISSING_PARTS_MAX,
    SERVINGS_MAX,
    WAITING_MAX,
    WHOLE_BLOCKS,
    WHOLE_BYTES_MAX,
    Bodies,
    Gathering,
    is_small,
    list_leaves,
)
from node.net.transport import PeerId
from node.wire import (
    FrameKind,
    GetTxs,
    Outline,
    Txs,
    decode_get_txs,
    decode_outline,
    decode_txs,
    encode_get_txs,
    encode_outline,
    encode_txs,
    frame,
    split,
)
from protocol import codec
from protocol.chain.block import Block, assemble_block
from protocol.chain.transaction import SignedTransaction, assemble, decode_signed
from protocol.consensus.inputs import BlockChecked, Verdict
from protocol.consensus.messages import Proposal, encode_message
from protocol.errors import Code, Rejected
from protocol.merkle.proof import hash_leaf, list_root, list_root_of
from protocol.types import EpochNumber, Hash32, Signature, View
from tests.node.small_chain import SmallChain
from tests.node.test_daemon import ADA, CASHIER, address_of, call, cluster
from tests.node.test_driver import running

VOID = Signature(bytes(64))
LEADER, VOTER, OTHER = (PeerId(bytes((n,)) + bytes(32)) for n in (2, 3, 4))


class Stage:
    """A block of twenty payments, and a node that has some of them."""

    def __init__(self, folder: Path, count: int = 20) -> None:
        self.chain = SmallChain(folder / "store", int(time.time() * 1_000) - 60_000)
        pays = [self.chain.pay("ada", "bo", 1, f"{n}") for n in range(count)]
        self.block = self.chain.build(*pays)
        self.txs = self.block.transactions
        self.has: dict[Hash32, SignedTransaction] = {}
        self.gathering = Gathering(self.has.get, self.decode)
        self.now = 0.0

    def decode(self, raw: bytes) -> SignedTransaction:
        return decode_signed(raw, self.chain.genesis_hash)

    def learn(self, *txs: SignedTransaction) -> None:
        self.has.update({hash_leaf(t.raw): t for t in txs})

    def outline(self, block: Block | None = None, view: int = 1) -> Outline:
        block = block or self.block
        proposal = Proposal(EpochNumber(0), block.height, View(view), 1, None, block, signature=VOID)
        frame = encode_outline(proposal, list_leaves(block.transactions))
        return decode_outline(split(frame)[1])

    def later(self) -> None:
        self.now += ASK_SECONDS


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def wanted(*places: int) -> int:
    return sum(1 << place for place in places)


# --- the receiver


def test_a_node_that_has_everything_asks_nobody(stage: Stage) -> None:
    stage.learn(*stage.txs)
    complete, asks = stage.gathering.take(LEADER, stage.outline(), 0.0)
    [(sender, proposal, size)] = complete
    assert (sender, asks) == (LEADER, []) and proposal.block == stage.block
    assert size == sum(len(t.raw) for t in stage.txs) and not len(stage.gathering)


def test_what_is_missing_is_asked_of_the_proposer_and_checked_by_its_digest(stage: Stage) -> None:
    stage.learn(*(t for n, t in enumerate(stage.txs) if n not in (3, 17)))
    complete, asks = stage.gathering.take(LEADER, stage.outline(), 0.0)
    assert complete == [] and asks == [(LEADER, GetTxs(stage.block.id, wanted(3, 17)))]
    answer = Txs(stage.block.id, (stage.txs[3].raw, stage.txs[17].raw))
    assert stage.gathering.add(OTHER, answer) == [], "nobody asked it"
    [(_, proposal, _)] = stage.gathering.add(LEADER, answer)
    assert proposal.block == stage.block and stage.gathering.fetched_txs == 2


def test_a_wrong_answer_is_its_senders_fault_and_a_voter_is_asked_next(stage: Stage) -> None:
    stage.gathering.take(LEADER, stage.outline(), 0.0)
    with pytest.raises(Rejected) as caught:
        stage.gathering.add(LEADER, Txs(stage.block.id, (stage.chain.pay("ada", "bo", 2).raw,)))
    assert caught.value.code == Code.MALFORMED
    stage.gathering.note_vote(VOTER, stage.block.id)
    stage.later()
    assert [peer for peer, _ in stage.gathering.tick(stage.now)[1]] == [VOTER]
    everything = Txs(stage.block.id, tuple(t.raw for t in stage.txs))
    assert stage.gathering.add(LEADER, everything) == [], "it has had its answer"
    [(_, proposal, _)] = stage.gathering.add(VOTER, everything)
    assert proposal.block == stage.block


def test_silence_makes_one_question_after_the_other_and_then_an_end(stage: Stage) -> None:
    stage.gathering.take(LEADER, stage.outline(), 0.0)
    assert stage.gathering.tick(ASK_SECONDS - 0.01) == ([], [])
    asked = 1
    while len(stage.gathering):
        stage.later()
        asked += len(stage.gathering.tick(stage.now)[1])
    assert asked == ASKS_MAX


def test_what_arrives_by_itself_meanwhile_counts(stage: Stage) -> None:
    stage.gathering.take(LEADER, stage.outline(), 0.0)
    stage.learn(*stage.txs)
    [(_, proposal, _)] = stage.gathering.tick(0.05)[0]
    assert proposal.block == stage.block


def test_another_signature_under_the_same_id_is_another_transaction(stage: Stage) -> None:
    """Ids do not cover signatures, so a node may have a copy that the block does not hold."""
    right = stage.txs[0]
    signature = replace(right.signatures[0], signature=stage.txs[1].signatures[0].signature)
    copy = assemble(right.tx, stage.chain.genesis_hash, (signature,))
    assert copy.id == right.id
    stage.learn(copy, *stage.txs[1:])
    _, [(_, ask)] = stage.gathering.take(LEADER, stage.outline(), 0.0)
    assert ask.wanted == wanted(0)
    [(_, proposal, _)] = stage.gathering.add(LEADER, Txs(stage.block.id, (right.raw,)))
    assert proposal.block.transactions[0].raw == right.raw


@pytest.mark.parametrize("more", [0, 1])
def test_a_sender_has_a_few_waiting_proposals_and_others_keep_theirs(stage: Stage, more: int) -> None:
    stage.gathering.take(VOTER, stage.outline(), 0.0)
    for view in range(1, WAITING_MAX + more + 1):
        stage.gathering.take(LEADER, stage.outline(view=view), 0.0)
    stage.gathering.take(LEADER, stage.outline(view=WAITING_MAX + more), 0.0)
    assert len(stage.gathering) == 1 + WAITING_MAX
    views = [w.outline.proposal.view for w in stage.gathering._waiting if w.sender == LEADER]
    assert views[0] == 1 + more


def test_bytes_that_are_no_transaction_end_the_proposal_not_the_peer(stage: Stage) -> None:
    junk = b"junk"
    header = replace(stage.block.header, tx_root=list_root([junk]), tx_count=1)
    block = assemble_block(header, ())
    proposal = Proposal(EpochNumber(0), block.height, View(1), 1, None, block, signature=VOID)
    stage.gathering.take(LEADER, Outline(proposal, (hash_leaf(junk),)), 0.0)
    assert stage.gathering.add(LEADER, Txs(block.id, (junk,))) == [] and not len(stage.gathering)


def test_what_is_decided_is_let_go(stage: Stage) -> None:
    stage.gathering.take(LEADER, stage.outline(), 0.0)
    stage.gathering.forget(stage.block.height)
    assert not len(stage.gathering)


# --- who serves


def test_a_peer_is_served_what_it_wants_and_not_for_ever(stage: Stage) -> None:
    bodies = Bodies()
    bodies.keep(stage.block)
    every = GetTxs(stage.block.id, (1 << len(stage.txs)) - 1)
    for _ in range(SERVINGS_MAX):
        answer = bodies.answer(OTHER, every)
        assert answer is not None and answer.raws == tuple(t.raw for t in stage.txs)
    assert bodies.answer(OTHER, GetTxs(stage.block.id, 1)) is None
    assert bodies.answer(VOTER, GetTxs(stage.block.id, 4)) == Txs(stage.block.id, (stage.txs[2].raw,))
    with pytest.raises(Rejected):
        bodies.answer(VOTER, GetTxs(stage.block.id, 1 << len(stage.txs)))


def test_old_bodies_make_room(stage: Stage) -> None:
    bodies = Bodies()
    blocks = [replace(stage.block, id=bytes((n,)) * 32) for n in range(BODIES_MAX + 1)]  # type: ignore[arg-type]
    for block in blocks:
        bodies.keep(block)
    kept = [bodies.answer(OTHER, GetTxs(block.id, 1)) is not None for block in blocks]
    assert kept == [False] + [True] * BODIES_MAX


def test_who_lacked_more_than_a_fifth_gets_blocks_whole_for_a_while(stage: Stage) -> None:
    bodies = Bodies()
    bodies.keep(stage.block)
    fifth = (1 << len(stage.txs) // MISSING_PARTS_MAX) - 1
    bodies.answer(OTHER, GetTxs(stage.block.id, fifth))
    assert not bodies.is_whole(OTHER, stage.block)
    bodies.answer(OTHER, GetTxs(stage.block.id, fifth * 2 + 1))
    whole = [bodies.is_whole(OTHER, stage.block) for _ in range(WHOLE_BLOCKS + 1)]
    assert whole == [True] * WHOLE_BLOCKS + [False]
    assert not bodies.is_whole(VOTER, stage.block)


def test_a_small_block_goes_whole(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(len(t.raw) for t in stage.txs)
    assert size >= WHOLE_BYTES_MAX
    monkeypatch.setattr(compact, "WHOLE_BYTES_MAX", size)
    assert not is_small(stage.block)
    monkeypatch.setattr(compact, "WHOLE_BYTES_MAX", size + 1)
    assert is_small(stage.block)


# --- the wire


def test_frames_say_the_same_after_the_way(stage: Stage) -> None:
    ask, answer = GetTxs(stage.block.id, 1 << 4_999), Txs(stage.block.id, (b"", b"x"))
    assert decode_get_txs(split(encode_get_txs(ask))[1]) == ask
    assert decode_txs(split(encode_txs(answer))[1]) == answer
    outline = stage.outline()
    assert outline.leaves == tuple(list_leaves(stage.txs)) and outline.proposal.block.id == stage.block.id
    assert list_root_of(outline.leaves) == stage.block.header.tx_root


@pytest.mark.parametrize("fault", ["order", "short", "above", "body", "evidence"])
def test_an_outline_that_is_not_its_headers_is_refused(stage: Stage, fault: str) -> None:
    block, leaves = stage.block, list_leaves(stage.txs)
    proposal = Proposal(EpochNumber(0), block.height, View(1), 1, None, block, signature=VOID)
    match fault:
        case "order":
            leaves[0], leaves[1] = leaves[1], leaves[0]
        case "short":
            leaves.pop()
        case "above":  # the digests one level above have the same root
            pairs = zip(leaves[::2], leaves[1::2], strict=True)
            leaves = [list_root_of(pair) for pair in pairs]
            assert list_root_of(leaves) == block.header.tx_root
        case "evidence":
            header = replace(block.header, evidence_root=Hash32(bytes(32)))
            proposal = replace(proposal, block=assemble_block(header, ()))
    data = encode_outline(proposal, leaves)
    if fault == "body":
        data = frame(FrameKind.OUTLINE, codec.encode((encode_message(proposal), b"".join(leaves))))
    with pytest.raises(Rejected):
        decode_outline(split(data)[1])


# --- the driver


async def test_a_follower_votes_only_when_the_body_is_whole(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path) as stage:
        pays = [stage.chain.pay("ada", "bo", 1, f"{n}") for n in range(20)]
        block = stage.chain.build(*pays, proposer=1)
        stage.chain.executor.forget_proposals()
        for signed in block.transactions[:-1]:
            stage.driver._intake._remember(signed)
        frames: list[bytes] = []
        stage.driver._network = stage.driver.hearing._network = Frames(frames)  # type: ignore[assignment]
        outline = encode_outline(stage.propose(1, 1, block), list_leaves(block.transactions))
        stage.driver.hearing.on_outline(stage.peer(1), split(outline)[1])
        stage.driver.hearing.on_frame(stage.peer(1), compact_ack(stage, block))
        await stage.settle()
        asks = [decode_get_txs(data[1:]) for data in frames if data[0] == 5]
        assert asks == [GetTxs(block.id, 1 << 19)]
        assert BlockChecked(block.id, Verdict.VALID) not in stage.driver.trace
        answer = encode_txs(Txs(block.id, (block.transactions[-1].raw,)))
        stage.driver.hearing.on_txs(stage.peer(1), split(answer)[1])
        await stage.until(lambda: stage.driver.machine.height == 2)
        assert stage.committed == [1], "the vote that came before its proposal counted"


async def test_an_outline_with_a_void_signature_is_refused(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path) as stage:
        block = stage.chain.build(stage.chain.pay("ada", "bo", 1), proposer=1)
        proposal = replace(stage.propose(1, 1, block), signature=VOID)
        outline = encode_outline(proposal, list_leaves(block.transactions))
        with pytest.raises(Rejected):
            stage.driver.hearing.on_outline(stage.peer(1), split(outline)[1])


class Frames:
    """A network that keeps what is sent."""

    def __init__(self, frames: list[bytes]) -> None:
        self.frames = frames

    def send(self, peer: PeerId, channel: object, data: bytes) -> bool:
        self.frames.append(data)
        return True


def compact_ack(stage, block: Block) -> bytes:  # type: ignore[no-untyped-def]

    return encode_message(stage.ack(1, 1, block))


# --- whole nodes


class Deaf(Batches):
    """Batches of other nodes, of which none arrives."""

    def put(self, sender: PeerId | None, raws: tuple[bytes, ...]) -> bool:
        return False


async def test_who_heard_of_no_transaction_fetches_them_and_gets_the_next_block_whole(tmp_path: Path) -> None:
    async with cluster(tmp_path) as net:
        leader = await net.has_leader()
        await net.until(lambda: all(n.executor.head.height >= 1 for n in net.nodes.values()))
        deaf = net.nodes[(leader + 1) % 3]
        deaf.intake.batches = Deaf()

        async def pay_often(first: int) -> None:
            pays = [
                net.sign(
                    CASHIER,
                    call(16, 4, 0, address_of(CASHIER), address_of(ADA), 1, 1, b"r%d" % n),
                    sequence=n,
                )
                for n in range(first, first + 40)
            ]
            await net.nodes[leader].intake.submit([signed.raw for signed in pays])
            await net.committed(*[signed.id for signed in pays])

        await pay_often(0)
        # Whoever was elected meanwhile on a busy machine, the block came as an outline and was completed.
        assert deaf.driver.hearing.gathering.outlines > 0 and deaf.driver.hearing.gathering.fetched_txs > 0
        assert len(net.roots()) == 1
        await pay_often(100)
        assert len(net.roots()) == 1 and not len(deaf.driver.hearing.gathering)
