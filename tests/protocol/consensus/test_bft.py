"""Tendermint for blocks: the lines of the paper, rules B1 to B9, restarts, and what was lost."""

from dataclasses import replace

import pytest

from protocol.chain.block import Block
from protocol.chain.certificate import Vote, VoteKind
from protocol.chain.evidence import EvidenceKind
from protocol.chain.validators import EngineKind
from protocol.consensus.bft import IDLE_MS, Bft
from protocol.consensus.effects import Broadcast, CheckBlock, Effect, PersistSafety, SetTimer
from protocol.consensus.inputs import WorkWaiting
from protocol.consensus.messages import (
    BftStatus,
    Decided,
    Message,
    Phase,
    PolkaShown,
    Proposal,
    VoteBundle,
)
from protocol.consensus.polka import Polka, form_polka
from protocol.consensus.rounds import VIEWS_AHEAD_MAX, order_proposers
from protocol.consensus.timeouts import LOCAL, ROUND_MS_MAX, WAN, TimerKind, compute_round_ms
from protocol.types import BlockId, EpochNumber, Height, View
from tests.protocol.consensus.stage import Stage
from tests.simulation import ledger
from tests.simulation.ledger import ORIGIN

ENGINES = (EngineKind.BFT,)
EPOCH = EpochNumber(0)
PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT


class Play(Stage):
    """Four validators on BFT, named by when they propose at height 1: `self.order[view]`."""

    def __init__(self, nodes: int = 4) -> None:
        super().__init__(nodes, engines=ENGINES)
        order = order_proposers(self.plan.records[0])
        self.order = [order[(1 + view) % nodes] for view in range(nodes)]
        self.deliver_all()

    def make_block(self, view: int = 0) -> Block:
        """Return a valid block of a round's proposer that no machine has seen."""
        self.time_ms += 1
        key = self.nodes[self.order[view]].signer.public_key
        return ledger.build(ORIGIN, self.plan, View(view), key, self.time_ms)

    def vote(
        self, voter: int, kind: VoteKind, view: int, block_id: BlockId | None, valid: int | None = None
    ) -> Vote:
        """Return a signed vote that the voter's machine knows nothing of."""
        valid_view = None if valid is None else View(valid)
        vote = Vote(EPOCH, kind, Height(1), View(view), block_id, valid_view, voter)
        signed = self.sign(voter, vote)
        self.oracle._count(vote)
        assert isinstance(signed, Vote)
        return signed

    def say(
        self,
        to: int,
        voters: list[int],
        kind: VoteKind,
        view: int,
        block_id: BlockId | None,
        valid: int | None = None,
    ) -> None:
        for voter in voters:
            self.receive(to, voter, self.vote(voter, kind, view, block_id, valid))

    def propose(
        self, to: int, view: int, block: Block, polka: Polka | None = None, valid: int | None = None
    ) -> None:
        """Let the proposer of a round propose to one node, whatever its machine thinks."""
        proposer = self.order[view % len(self.order)]
        valid_view = None if valid is None else View(valid)
        proposal = Proposal(EPOCH, Height(1), View(view), proposer, valid_view, block, polka=polka)
        self.receive(to, proposer, self.sign(proposer, proposal))

    def polka(self, voters: list[int], view: int, block_id: BlockId, valid: int | None = None) -> Polka:
        return form_polka(tuple(self.vote(v, PREVOTE, view, block_id, valid) for v in voters))

    def others(self, *but: int) -> list[int]:
        return [i for i in range(len(self.nodes)) if i not in but]

    def go(self, node: int, view: int) -> None:
        """Take a node to a round in which others are."""
        self.say(node, self.others(node)[:2], PRECOMMIT, view, None)
        assert self.nodes[node].term == view

    def lock(self, node: int, view: int = 0) -> Block:
        """Let one node lock on a block of a round, as one of the few who saw its polka."""
        block = self.make_block(view)
        self.propose(node, view, block)
        self.say(node, self.others(node)[:2], PREVOTE, view, block.id)
        assert self.nodes[node].bft.locked == (view, block.id)
        return block


def said(effects: list[Effect], kind: VoteKind) -> list[Vote]:
    """List the votes of a kind in effects."""
    return [
        e.message
        for e in effects
        if isinstance(e, Broadcast) and isinstance(e.message, Vote) and e.message.kind is kind
    ]


def sent(effects: list[Effect], kind: type[Message]) -> list[Message]:
    return [e.message for e in effects if isinstance(e, Broadcast) and isinstance(e.message, kind)]


# --- the lines of the paper


def test_three_hops_to_a_decision_without_a_timer() -> None:
    play = Play()
    block = play.build(play.order[0])
    for kind in (Proposal, Vote, Vote):
        play.deliver_all_of_kind(kind, to=[0, 1, 2, 3])
    assert play.heights == [1, 1, 1, 1]
    certificates = [node.chain[0][1] for node in play.nodes]
    assert {c.kind for c in certificates} == {PRECOMMIT} and {c.view for c in certificates} == {0}
    assert {node.chain[0][0].id for node in play.nodes} == {block.id}


def test_proposers_take_turns() -> None:
    play = Play()
    record = play.plan.records[0]
    seen = []
    for _ in range(8):
        proposer = play.nodes[0].machine.leader
        assert proposer is not None
        seen.append(proposer)
        play.build(proposer)
        play.deliver_all()
    assert sorted(seen[:4]) == [0, 1, 2, 3] and seen[:4] == seen[4:]
    orders = {order_proposers(replace(record, number=EpochNumber(i))) for i in range(8)}
    assert len(orders) > 1, "each epoch has an order of its own"


def test_block_is_checked_before_the_prevote() -> None:
    play = Play()
    play.hold_checks = True
    node = play.order[1]
    play.nodes[node].trace.clear()
    play.propose(node, 0, play.make_block())
    assert [type(e) for e in play.nodes[node].trace if isinstance(e, CheckBlock)] == [CheckBlock]
    assert not said(play.nodes[node].trace, PREVOTE)
    play.release_checks(node)
    assert len(said(play.nodes[node].trace, PREVOTE)) == 1


def test_invalid_block_gets_nil() -> None:
    play = Play()
    node = play.order[1]
    play.propose(node, 0, ledger.spoil(play.make_block()))
    (vote,) = said(play.nodes[node].trace, PREVOTE)
    assert vote.block_id is None and play.nodes[node].alarms


def test_block_is_checked_before_the_precommit() -> None:
    """A polka of the others does not make us precommit what we have not executed."""
    play = Play()
    play.hold_checks = True
    node = play.order[1]
    block = play.make_block()
    play.propose(node, 0, block)
    play.fire(node, TimerKind.PROPOSE)
    play.say(node, play.others(node), PREVOTE, 0, block.id)
    assert not said(play.nodes[node].trace, PRECOMMIT)
    play.release_checks(node)
    (vote,) = said(play.nodes[node].trace, PRECOMMIT)
    assert vote.block_id == block.id


def test_two_prevotes_are_no_polka() -> None:
    play = Play()
    node = play.order[1]
    block = play.make_block()
    play.propose(node, 0, block)
    play.say(node, [play.order[0]], PREVOTE, 0, block.id)
    assert play.nodes[node].bft.phase is Phase.PREVOTE
    play.say(node, [play.order[2]], PREVOTE, 0, block.id)
    assert play.nodes[node].bft.phase is Phase.PRECOMMIT


@pytest.mark.parametrize(("nodes", "quorum"), [(4, 3), (5, 4), (7, 5)])
def test_a_polka_is_more_than_two_thirds(nodes: int, quorum: int) -> None:
    play = Play(nodes)
    node = play.order[1]
    block = play.make_block()
    play.propose(node, 0, block)
    play.say(node, play.others(node)[: quorum - 2], PREVOTE, 0, block.id)
    assert play.nodes[node].bft.locked is None
    play.say(node, play.others(node)[quorum - 2 : quorum - 1], PREVOTE, 0, block.id)
    assert play.nodes[node].bft.locked == (0, block.id)
    play.say(node, play.others(node)[: quorum - 2], PRECOMMIT, 0, block.id)
    assert play.heights[node] == 0
    play.say(node, play.others(node)[quorum - 2 : quorum - 1], PRECOMMIT, 0, block.id)
    assert play.heights[node] == 1


def test_the_wait_for_prevotes_ends_in_nil() -> None:
    """A quorum prevoted and a polka is still possible: then the timer decides."""
    play = Play()
    node = play.order[1]
    block = play.make_block()
    play.propose(node, 0, block)
    assert TimerKind.PREVOTE not in play.nodes[node].timers
    play.say(node, [play.order[0]], PREVOTE, 0, block.id)
    play.say(node, [play.order[2]], PREVOTE, 0, None)
    assert not said(play.nodes[node].trace, PRECOMMIT)
    play.fire(node, TimerKind.PREVOTE)
    assert [vote.block_id for vote in said(play.nodes[node].trace, PRECOMMIT)] == [None]


def test_prevotes_on_different_polkas_do_not_add_up() -> None:
    play = Play()
    node = play.order[1]
    block = play.make_block(2)
    play.go(node, 2)
    play.propose(node, 2, block)
    play.say(node, play.others(node)[:1], PREVOTE, 2, block.id)
    play.say(node, play.others(node)[1:2], PREVOTE, 2, block.id, valid=0)
    assert play.nodes[node].bft.locked is None
    play.say(node, play.others(node)[2:], PREVOTE, 2, block.id)
    assert play.nodes[node].bft.locked == (2, block.id)


@pytest.mark.parametrize("phase", ["prevote", "precommit"])
def test_every_vote_is_durable_before_it_leaves(phase: str) -> None:
    play = Play()
    node = play.order[1]
    block = play.make_block()
    play.propose(node, 0, block)
    if phase == "precommit":
        play.nodes[node].trace.clear()
        play.say(node, play.others(node)[:2], PREVOTE, 0, block.id)
    kinds = [type(e) for e in play.nodes[node].trace]
    voted = next(
        i
        for i, e in enumerate(play.nodes[node].trace)
        if isinstance(e, Broadcast) and isinstance(e.message, Vote)
    )
    assert kinds[voted - 1] is PersistSafety


def test_without_a_proposal_the_round_passes_by_nil() -> None:
    play = Play()
    for node in play.nodes:
        play.step(node, WorkWaiting())
        play.fire(node.index, TimerKind.PROPOSE)
    play.deliver_all()
    assert [node.bft.phase for node in play.nodes] == [Phase.PRECOMMIT] * 4
    for node in play.nodes:
        play.fire(node.index, TimerKind.PRECOMMIT)
    assert [node.term for node in play.nodes] == [1] * 4
    play.build(play.order[1])
    play.deliver_all()
    assert play.heights == [1] * 4
    assert play.nodes[0].chain[0][1].view == 1


def test_locked_block_is_proposed_again_with_its_polka_and_decided() -> None:
    play = Play()
    block = play.build(play.order[0])
    play.deliver_all_of_kind(Proposal, to=[0, 1, 2, 3])
    play.deliver_all_of_kind(Vote, to=[play.order[1]])
    assert play.nodes[play.order[1]].bft.locked == (0, block.id)
    play.drop()
    for node in play.nodes:
        if node.bft.phase is Phase.PREVOTE:
            play.say(node.index, play.others(node.index)[:2], PREVOTE, 0, None)
        play.say(node.index, play.others(node.index)[:2], PRECOMMIT, 0, None)
        play.fire(node.index, TimerKind.PRECOMMIT)
    proposals = [m for m in play.links[play.order[1], play.order[2]] if isinstance(m, Proposal)]
    assert [(p.view, p.valid_view, p.block.id) for p in proposals] == [(1, 0, block.id)]
    play.deliver_all()
    assert [node.chain[0][0].id for node in play.nodes] == [block.id] * 4


def test_decision_in_a_past_round() -> None:
    play = Play()
    node = play.order[1]
    block = play.make_block()
    play.propose(node, 0, block)
    play.go(node, 3)
    play.say(node, play.others(node), PRECOMMIT, 0, block.id)
    assert play.heights[node] == 1
    assert play.nodes[node].chain[0][1].view == 0


# --- locks


def test_lock_refuses_another_block() -> None:
    play = Play()
    node = play.order[3]
    play.lock(node)
    play.say(node, play.others(node)[:2], PREVOTE, 1, None)
    play.propose(node, 1, play.make_block(1))
    vote = said(play.nodes[node].trace, PREVOTE)[-1]
    assert (vote.view, vote.block_id) == (1, None)


@pytest.mark.parametrize(("polka_view", "is_accepted"), [(1, True), (2, True), (0, False)])
def test_lock_yields_to_a_polka_that_is_not_older(polka_view: int, is_accepted: bool) -> None:
    play = Play()
    node = play.order[0]
    other = play.make_block()
    play.go(node, 1)
    play.lock(node, view=1)
    play.go(node, 3)
    polka = play.polka(play.others(node), polka_view, other.id)
    play.propose(node, 3, other, polka, polka_view)
    vote = said(play.nodes[node].trace, PREVOTE)[-1]
    assert (vote.view, vote.block_id) == (3, other.id if is_accepted else None)
    assert vote.valid_view == (polka_view if is_accepted else None)


def test_even_the_locked_block_needs_a_polka_as_new_as_the_lock() -> None:
    """So that a precommit and a later prevote without it convict (the departure from line 28)."""
    play = Play()
    node = play.order[3]
    block = play.lock(node)
    play.say(node, play.others(node)[:2], PREVOTE, 1, None)
    play.propose(node, 1, block)
    assert said(play.nodes[node].trace, PREVOTE)[-1].block_id is None


@pytest.mark.parametrize("lost", [False, True])
def test_lock_survives_a_restart(lost: bool) -> None:
    play = Play()
    node = play.order[3]
    block = play.lock(node)
    if lost:
        # Only the record's block can bring it back: nobody else is asked.
        play.drop()
    play.crash(node)
    play.restart(node)
    assert play.nodes[node].bft.locked == (0, block.id)
    assert play.nodes[node].bft.valid == (0, block.id)
    assert play.nodes[node].bft.phase is Phase.PRECOMMIT
    play.say(node, play.others(node)[:2], PREVOTE, 1, None)
    play.propose(node, 1, play.make_block(1))
    assert said(play.nodes[node].trace, PREVOTE)[-1].block_id is None


def test_locks_end_with_their_height() -> None:
    play = Play()
    play.build(play.order[0])
    play.deliver_all()
    assert all(node.bft.locked is None and node.bft.valid is None for node in play.nodes)


# --- B1 to B9


def test_b1_proposal_without_its_polka_is_absent() -> None:
    play = Play()
    node = play.order[3]
    block, other = play.make_block(), play.make_block()
    voters = play.others(node)
    good = play.polka(voters, 0, block.id)
    for polka, valid in (
        (None, 0),
        (good, None),
        (good, 1),
        (play.polka(voters, 0, other.id), 0),
        (play.polka(voters[:2], 0, block.id), 0),
        (replace(good, votes=replace(good.votes, height=Height(2))), 0),
    ):
        play.say(node, play.others(node)[:2], PREVOTE, 2, None)
        play.propose(node, 2, block, polka, valid)
        assert not said(play.nodes[node].trace, PREVOTE), (polka, valid)
    play.propose(node, 2, block, good, 0)
    assert said(play.nodes[node].trace, PREVOTE)[-1].block_id == block.id


@pytest.mark.parametrize(("view", "shown"), [(0, 0), (1, 1), (2, 1)])
def test_b2_precommit_travels_with_its_polka(view: int, shown: int) -> None:
    play = Play()
    node = play.order[3]
    if view:
        play.go(node, view)
    block = play.lock(node, view)
    trace = play.nodes[node].trace
    shows = sent(trace, PolkaShown)
    assert len(shows) == shown
    if shown:
        assert isinstance(shows[0], PolkaShown)
        assert (shows[0].polka.view, shows[0].polka.block_id) == (view, block.id)
        broadcasts = [e.message for e in trace if isinstance(e, Broadcast)]
        assert broadcasts.index(shows[0]) + 1 == broadcasts.index(said(trace, PRECOMMIT)[0])


def test_b3_polka_counts_as_a_whole() -> None:
    """We counted another prevote of a twin; the polka that it is part of convinces us all the same."""
    play = Play()
    node, twin, third, fourth = play.order[1], play.order[0], play.order[2], play.order[3]
    block, other = play.make_block(), play.make_block()
    play.propose(node, 0, block)
    play.say(node, [twin], PREVOTE, 0, other.id)
    play.say(node, [third], PREVOTE, 0, block.id)
    assert play.nodes[node].bft.locked is None
    votes = [play.vote(node, PREVOTE, 0, block.id), play.vote(third, PREVOTE, 0, block.id)]
    polka = form_polka((*votes, play.vote(twin, PREVOTE, 0, block.id)))
    play.receive(node, fourth, PolkaShown(polka))
    assert play.nodes[node].bft.locked == (0, block.id)
    assert [e.kind for e in play.nodes[node].evidence] == [EvidenceKind.DUPLICATE_VOTE]


def test_b3_no_nil_against_a_polka_whose_block_is_missing() -> None:
    """By the votes that we counted one by one no polka can come any more; but there is one."""
    play = Play()
    node, twin, third, fourth = play.order[1], play.order[0], play.order[2], play.order[3]
    block = play.make_block()
    play.propose(node, 0, play.make_block())
    play.say(node, [twin], PREVOTE, 0, None)
    polka = play.polka([twin, third, fourth], 0, block.id)
    play.receive(node, fourth, PolkaShown(polka))
    assert not said(play.nodes[node].trace, PRECOMMIT)
    play.receive(node, fourth, PolkaShown(polka, block))
    assert play.nodes[node].bft.locked == (0, block.id)


def test_b3_certificate_counts_as_a_whole() -> None:
    play = Play()
    block = play.build(play.order[0])
    slow, twin = play.order[3], play.order[1]
    play.deliver_all(among=play.others(slow))
    assert play.heights[play.order[0]] == 1
    play.say(slow, [twin], PRECOMMIT, 0, None)
    decided = Decided(*play.nodes[play.order[0]].chain[0])
    play.receive(slow, play.order[0], decided)
    assert play.nodes[slow].chain[0][0].id == block.id


def test_b4_second_proposal_is_kept_when_a_polka_stands_behind_it() -> None:
    play = Play()
    node = play.order[1]
    first, second = play.make_block(), play.make_block()
    play.propose(node, 0, first)
    play.say(node, play.others(node), PREVOTE, 0, second.id)
    assert play.nodes[node].bft.locked is None
    play.propose(node, 0, second)
    assert play.nodes[node].bft.locked == (0, second.id)
    assert [e.kind for e in play.nodes[node].evidence] == [EvidenceKind.DUPLICATE_PROPOSAL]


def test_b4_third_proposal_is_not_kept() -> None:
    play = Play()
    node = play.order[1]
    for _ in range(20):
        play.propose(node, 0, play.make_block())
    assert len(play.nodes[node].bft._heard.blocks._kept) == 1


@pytest.mark.parametrize(("ahead", "is_kept"), [(VIEWS_AHEAD_MAX, True), (VIEWS_AHEAD_MAX + 1, False)])
def test_b5_votes_too_far_ahead_are_dropped(ahead: int, is_kept: bool) -> None:
    play = Play()
    play.say(0, [1], PREVOTE, ahead, None)
    play.say(0, [2], PREVOTE, ahead, None)
    assert (play.nodes[0].term == ahead) is is_kept


def test_b5_one_vote_of_each_validator_round_and_kind() -> None:
    play = Play()
    node = play.order[1]
    blocks = [play.make_block() for _ in range(3)]
    for block in blocks:
        play.say(node, [play.order[0]], PREVOTE, 0, block.id)
    kept = play.nodes[node].bft._heard.rounds.get(View(0)).prevotes
    assert [vote.block_id for vote in kept.values()] == [blocks[0].id]
    assert [e.kind for e in play.nodes[node].evidence] == [EvidenceKind.DUPLICATE_VOTE]


@pytest.mark.parametrize("crash_after", range(4))
def test_b6_one_proposal_a_round_over_a_crash(crash_after: int) -> None:
    play = Play()
    node = play.nodes[play.order[0]]
    node.trace.clear()
    node.crash_after = crash_after
    play.build(node.index)
    if node.is_up:
        play.crash(node.index)
    play.restart(node.index)
    if node.wanted is not None:
        play.build(node.index)
    play.deliver_all()
    proposals = [e for e in node.trace if isinstance(e, Broadcast) and isinstance(e.message, Proposal)]
    heard = {
        m.block.id
        for (a, _), link in play.links.items()
        for m in link
        if a == node.index and isinstance(m, Proposal)
    }
    assert len(heard) <= 1 and len(proposals) <= 2


def test_b7_late_block_is_proposed_without_a_second_prevote() -> None:
    play = Play()
    proposer = play.nodes[play.order[0]]
    play.step(proposer, WorkWaiting())
    play.fire(proposer.index, TimerKind.PROPOSE)
    block = play.build(proposer.index)
    assert [vote.block_id for vote in said(proposer.trace, PREVOTE)] == [None]
    play.deliver_all()
    assert [node.chain[0][0].id for node in play.nodes] == [block.id] * 4


@pytest.mark.parametrize(
    ("nils", "blocks", "is_over"),
    [(2, 0, True), (1, 0, False), (1, 1, True), (0, 1, False), (0, 2, True)],
)
def test_b8_nil_at_once_when_no_polka_can_come(nils: int, blocks: int, is_over: bool) -> None:
    """One prevote is for our block; with two others against it, three are out of reach."""
    play = Play()
    node = play.order[1]
    play.propose(node, 0, play.make_block())
    voters = play.others(node)
    play.say(node, voters[:nils], PREVOTE, 0, None)
    for voter in voters[nils : nils + blocks]:
        play.say(node, [voter], PREVOTE, 0, play.make_block().id)
    precommits = said(play.nodes[node].trace, PRECOMMIT)
    assert [vote.block_id for vote in precommits] == ([None] if is_over else [])


def test_b8_wait_for_precommits_is_never_shortened() -> None:
    play = Play()
    node = play.order[1]
    play.propose(node, 0, play.make_block())
    play.say(node, play.others(node), PRECOMMIT, 0, None)
    assert play.nodes[node].term == 0
    play.fire(node, TimerKind.PRECOMMIT)
    assert play.nodes[node].term == 1


@pytest.mark.parametrize(("voters", "is_skipped"), [([1, 2], True), ([1], False), ([1, 1], False)])
def test_b9_votes_of_more_than_a_third_in_one_bundle_take_us_along(
    voters: list[int], is_skipped: bool
) -> None:
    play = Play()
    votes = tuple(play.vote(v, kind, 50, None) for v in voters for kind in (PREVOTE, PRECOMMIT))
    play.receive(0, 3, VoteBundle(EPOCH, Height(1), votes))
    assert (play.nodes[0].term == 50) is is_skipped


def test_b9_a_polka_takes_us_along() -> None:
    play = Play()
    node = play.order[1]
    block = play.make_block(2)
    play.receive(node, play.order[0], PolkaShown(play.polka(play.others(node), 50, block.id), block))
    assert play.nodes[node].term == 50
    assert play.nodes[node].bft.valid is None, "the polka is of this round: first comes the prevote"
    play.fire(node, TimerKind.PROPOSE)
    assert play.nodes[node].bft.locked == (50, block.id)


# --- the hidden lock (consensus.md 3.4)


class HiddenLock(Play):
    """A rushing liar on a synchronous network: its prevote completes a polka, and only one node gets it.

    It begins with two blocks, so that one correct node stands aside. From then on somebody is locked who
    refuses what the others propose, and each time the liar lets one more of them lock alone.
    """

    def __init__(self, place: int, taste: int) -> None:
        super().__init__()
        self.liar = self.order[place]
        self.correct = self.others(self.liar)
        self.taste = taste

    def play(self, rounds: int) -> int | None:
        """Return in which round, counted from the first lock, the height is decided; None for never."""
        first_lock = None
        for view in range(rounds):
            self.propose_to_all(view)
            self.deliver_all_of_kind(Vote, to=self.correct)
            hidden_from = self.show_one(view)
            first_lock = view if first_lock is None and hidden_from else first_lock
            self.deliver_all(among=self.correct)
            if max(self.heights) > 0:
                return view - (first_lock or 0)
            for node in self.correct:
                self.say(node, [self.liar], PRECOMMIT, view, None)
                self.fire(node, TimerKind.PRECOMMIT)
        return None

    def propose_to_all(self, view: int) -> None:
        proposer = self.order[view % 4]
        is_quiet = all(self.nodes[node].bft.locked is None for node in self.correct)
        if proposer != self.liar:
            if self.nodes[proposer].bft.valid is None:
                self.build(proposer)
            self.deliver_all_of_kind(Proposal, to=self.correct)
        elif is_quiet:
            blocks = [self.make_block(view % 4) for _ in range(2)]
            for node in self.correct:
                self.propose(node, view % 4, blocks[node == self.correct[self.taste]])
        for node in self.correct:
            if self.nodes[node].bft.phase is Phase.PROPOSE:
                self.fire(node, TimerKind.PROPOSE)

    def show_one(self, view: int) -> bool:
        """Give the missing prevote to one of two who prevoted a block, and nil to everybody else."""
        votes = {v.validator: v for v in self.prevotes(view) if v.block_id is not None}
        ids = [v.block_id for v in votes.values()]
        wanted = next((i for i in ids if ids.count(i) == 2), None)
        pair = [node for node, vote in votes.items() if vote.block_id == wanted]
        chosen = pair[self.taste % 2] if wanted is not None and pair else None
        for node in self.correct:
            if self.nodes[node].bft.phase is not Phase.PREVOTE:
                continue
            if node == chosen:
                self.say(node, [self.liar], PREVOTE, view, wanted, votes[node].valid_view)
            else:
                self.say(node, [self.liar], PREVOTE, view, None)
                if self.nodes[node].bft.phase is Phase.PREVOTE:
                    self.fire(node, TimerKind.PREVOTE)
        return chosen is not None

    def prevotes(self, view: int) -> list[Vote]:
        kept = [self.nodes[node].bft._heard.rounds.get(View(view)).prevotes for node in self.correct]
        return [votes[node] for node, votes in zip(self.correct, kept, strict=True)]


@pytest.mark.parametrize("taste", range(3))
@pytest.mark.parametrize("place", range(4))
def test_a_hidden_lock_is_over_in_three_rounds(place: int, taste: int) -> None:
    found = HiddenLock(place, taste).play(rounds=12)
    assert found is not None and found <= 3


def test_a_hidden_lock_without_b2_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the liar above is no straw man."""

    def send_precommit_alone(machine: Bft) -> None:
        machine._out.append(Broadcast(machine._promises.make_vote(PRECOMMIT)))

    monkeypatch.setattr(Bft, "_send_precommit", send_precommit_alone)
    ends = [HiddenLock(place, taste).play(rounds=60) for place in range(4) for taste in range(3)]
    assert None in ends, ends


# --- what was lost is found again


@pytest.mark.parametrize("kind", [Proposal, Vote])
def test_lost_messages_are_found_by_status(kind: type[Message]) -> None:
    play = Play()
    late = play.order[3]
    play.build(play.order[0])
    if kind is Vote:
        play.deliver_all_of_kind(Proposal, to=play.others(play.order[0]))
    play.drop()
    for _ in range(4):
        for node in play.nodes:
            play.fire(node.index, TimerKind.STATUS)
        play.deliver_all()
    assert play.heights[late] == 1 and play.heights == [1] * 4


def test_newest_polka_spreads_by_status() -> None:
    """It comes at once; its block, which is large, from whoever is asked."""
    play = Play()
    owner, other = play.order[0], play.order[2]
    play.go(owner, 1)
    block = play.lock(owner, view=1)
    play.go(owner, 3)
    play.go(other, 3)
    play.drop()
    assert play.nodes[other].bft._heard.newest is None
    shown = []
    for _ in range(3):
        play.fire(other, TimerKind.STATUS)
        play.deliver(other, owner, BftStatus)
        shown += [m.block is not None for m in play.links[owner, other] if isinstance(m, PolkaShown)]
        play.deliver_all(among=[owner, other])
    assert play.nodes[other].bft.valid == (1, block.id)
    assert shown[-1] and shown.count(True) == 1


def test_who_is_behind_is_given_the_decision() -> None:
    play = Play()
    slow = play.order[3]
    play.build(play.order[0])
    play.deliver_all(among=play.others(slow))
    play.drop()
    assert play.heights[slow] == 0
    play.fire(play.order[0], TimerKind.STATUS)
    play.deliver(play.order[0], slow, BftStatus)
    assert isinstance(play.deliver(slow, play.order[0], BftStatus), BftStatus)
    assert isinstance(play.deliver(play.order[0], slow, Decided), Decided)
    assert play.heights == [1] * 4


def test_help_is_never_answered() -> None:
    play = Play()
    block = play.make_block()
    node = play.nodes[play.order[1]]
    polka = play.polka(play.others(node.index), 0, block.id)
    node.trace.clear()
    play.receive(node.index, play.order[0], VoteBundle(EPOCH, Height(1), ()))
    play.receive(node.index, play.order[0], PolkaShown(polka))
    assert not [e for e in node.trace if not isinstance(e, SetTimer | PersistSafety)]


# --- restarts


@pytest.mark.parametrize("crash_after", range(10))
@pytest.mark.parametrize("victim", [0, 1])
def test_restart_at_every_point_of_a_height(victim: int, crash_after: int) -> None:
    """The oracle watches that nobody signs twice; the height is decided all the same."""
    play = Play()
    node = play.nodes[play.order[victim]]
    node.crash_after = crash_after
    play.build(play.order[0])
    play.deliver_all()
    if node.is_up:
        play.crash(node.index)
    play.restart(node.index)
    for view in range(1, 4):
        if min(play.heights) >= 1:
            break
        for _ in range(3):
            for each in play.nodes:
                play.fire(each.index, TimerKind.STATUS)
            play.deliver_all()
        for kind in (TimerKind.PROPOSE, TimerKind.PREVOTE, TimerKind.PRECOMMIT):
            for each in play.nodes:
                if kind in each.timers and each.machine.height == 1:
                    play.fire(each.index, kind)
            play.deliver_all()
        proposer = play.nodes[play.order[view]]
        if proposer.wanted is not None and proposer.wanted.view == view and proposer.machine.height == 1:
            play.build(proposer.index)
            play.deliver_all()
    assert min(play.heights) >= 1


def test_all_restart_after_their_precommits_and_decide() -> None:
    play = Play()
    play.hold_commits = True
    block = play.build(play.order[0])
    play.deliver_all()
    assert [node.bft.phase for node in play.nodes] == [Phase.PRECOMMIT] * 4
    for node in play.nodes:
        play.crash(node.index)
    play.drop()
    play.hold_commits = False
    for node in play.nodes:
        play.restart(node.index)
    play.deliver_all()
    assert [node.chain[0][0].id for node in play.nodes] == [block.id] * 4


# --- time


def test_idle_chain_waits_until_something_waits() -> None:
    play = Play()
    timer = [e for e in play.nodes[0].trace if isinstance(e, SetTimer) and e.key.kind is TimerKind.PROPOSE]
    assert [e.delay_ms for e in timer] == [IDLE_MS + LOCAL.propose_ms]
    play.step(play.nodes[0], WorkWaiting())
    play.step(play.nodes[0], WorkWaiting())
    timer = [e for e in play.nodes[0].trace if isinstance(e, SetTimer) and e.key.kind is TimerKind.PROPOSE]
    assert [e.delay_ms for e in timer[1:]] == [LOCAL.propose_ms]


@pytest.mark.parametrize(("voters", "is_awake"), [(1, False), (2, True)])
def test_votes_of_more_than_a_third_end_the_idle_wait(voters: int, is_awake: bool) -> None:
    play = Play()
    play.say(0, [1, 2][:voters], PREVOTE, 0, None)
    timer = [e for e in play.nodes[0].trace if isinstance(e, SetTimer) and e.key.kind is TimerKind.PROPOSE]
    assert (len(timer) == 2) is is_awake


def test_timeouts_grow_by_a_step_up_to_their_cap() -> None:
    for profile in (LOCAL, WAN):
        first, step = profile.propose_ms, profile.propose_step_ms
        assert [compute_round_ms(first, step, View(v)) - first for v in (0, 1, 5)] == [0, step, 5 * step]
        at_cap = (ROUND_MS_MAX - first) // step
        assert compute_round_ms(first, step, View(at_cap)) == ROUND_MS_MAX
        assert compute_round_ms(first, step, View(at_cap + 1)) == ROUND_MS_MAX


def test_late_timers_do_nothing() -> None:
    play = Play()
    node = play.nodes[play.order[1]]
    play.step(node, WorkWaiting())
    late = node.timers[TimerKind.PROPOSE]
    play.say(node.index, play.others(node.index)[:2], PREVOTE, 1, None)
    assert node.bft.fire(late) == []
    assert not said(node.trace, PREVOTE)


# --- liars


def test_proposal_of_another_than_the_proposer_is_refused() -> None:
    play = Play()
    node, liar = play.order[1], play.order[2]
    proposal = Proposal(EPOCH, Height(1), View(0), liar, None, play.make_block())
    play.receive(node, liar, play.sign(liar, proposal))
    assert not said(play.nodes[node].trace, PREVOTE) and play.nodes[node].alarms


def test_a_vote_in_another_name_is_refused() -> None:
    play = Play()
    play.receive(0, 1, play.vote(2, PREVOTE, 0, None))
    assert play.nodes[0].alarms
    assert not play.nodes[0].bft._heard.rounds.get(View(0)).prevotes


def test_votes_that_say_nothing_of_bft_do_not_count() -> None:
    play = Play()
    node = play.order[1]
    block = play.make_block()
    play.propose(node, 0, block)
    play.say(node, play.others(node), PRECOMMIT, 0, block.id, valid=0)
    play.say(node, play.others(node), VoteKind.ACK, 0, block.id)
    assert play.heights[node] == 0


def test_amnesia_is_seen() -> None:
    play = Play()
    node, liar = play.order[1], play.order[0]
    block = play.make_block()
    play.say(node, [liar], PRECOMMIT, 0, block.id)
    play.say(node, [liar], PREVOTE, 1, play.make_block().id)
    assert [e.kind for e in play.nodes[node].evidence] == [EvidenceKind.AMNESIA]
