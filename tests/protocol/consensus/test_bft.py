"""Tendermint for blocks: the lines of the paper, locks, restarts, time, liars, and what was lost."""

from dataclasses import replace

import pytest

from protocol.chain.certificate import Vote, VoteKind
from protocol.chain.evidence import EvidenceKind
from protocol.consensus.bft import IDLE_MS
from protocol.consensus.course import order_proposers
from protocol.consensus.effects import Broadcast, CheckBlock, PersistSafety, SetTimer
from protocol.consensus.inputs import Received, Verdict, WorkWaiting
from protocol.consensus.messages import (
    BftStatus,
    Decided,
    Message,
    Phase,
    PolkaShown,
    Proposal,
    VoteBundle,
)
from protocol.consensus.timeouts import LOCAL, ROUND_MS_MAX, WAN, TimerKind, compute_round_ms
from protocol.types import EpochNumber, Height, View
from tests.protocol.consensus.play import EPOCH, PRECOMMIT, PREVOTE, Play, said
from tests.simulation import ledger

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


def test_unwelcome_block_gets_nil_while_it_is_fresh() -> None:
    play = Play()
    play.hold_checks = True
    node = play.order[1]
    play.propose(node, 0, play.make_block())
    play.release_checks(node, Verdict.UNWELCOME)
    (vote,) = said(play.nodes[node].trace, PREVOTE)
    assert vote.block_id is None and not play.nodes[node].alarms


def test_unwelcome_block_with_a_polka_is_as_good_as_valid() -> None:
    play = Play()
    play.hold_checks = True
    node = play.order[3]
    block = play.make_block()
    play.propose(node, 0, block)
    play.release_checks(node, Verdict.UNWELCOME)
    polka = play.polka(play.others(node), 0, block.id)
    play.go(node, 1)
    play.propose(node, 1, block, polka, valid=0)
    assert [vote.block_id for vote in said(play.nodes[node].trace, PREVOTE)] == [None, block.id]
    play.say(node, play.others(node), PREVOTE, 1, block.id, valid=0)
    assert said(play.nodes[node].trace, PRECOMMIT)[-1].block_id == block.id


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


def test_what_is_large_is_sent_once_between_two_statuses() -> None:
    """Or a liar could make us send blocks all day."""
    play = Play()
    owner, other = play.order[0], play.order[2]
    block = play.lock(owner)
    status = BftStatus(EPOCH, Height(1), View(0), Phase.PROPOSE, 0, 0, False, None, owner)

    def ask() -> list[bool]:
        play.drop()
        play.receive(owner, other, status)
        return [m.block is not None for m in play.links[owner, other] if isinstance(m, PolkaShown)]

    assert [ask(), ask()] == [[True], [False]]
    play.fire(owner, TimerKind.STATUS)
    assert ask() == [True] and play.nodes[owner].bft.locked == (0, block.id)


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


def test_a_slow_proposal_is_waited_for_longer_the_next_time() -> None:
    play = Play()
    node = play.nodes[play.order[3]]
    arrivals = node.bft._arrivals
    block = play.make_block()
    proposal = play.sign(play.order[0], Proposal(EPOCH, Height(1), View(0), play.order[0], None, block))
    play.step(node, Received(play.order[0], proposal, EPOCH, waited_ms=5_000))
    assert not any(arrivals._newest_ms), "nobody was waiting"
    later = play.sign(play.order[1], Proposal(EPOCH, Height(1), View(1), play.order[1], None, block))
    play.step(node, Received(play.order[1], later, EPOCH, waited_ms=300))
    play.step(node, Received(play.order[1], later, EPOCH, waited_ms=900))
    assert [list(newest) for newest in arrivals._newest_ms if newest] == [[300]], "the first of a round"


def test_timeouts_grow_by_a_step_up_to_their_cap() -> None:
    for profile in (LOCAL, WAN):
        first, step = profile.propose_ms, profile.propose_step_ms
        assert [compute_round_ms(first, step, View(v)) - first for v in (0, 1, 5)] == [0, step, 5 * step]
        at_cap = (ROUND_MS_MAX - first + step - 1) // step
        assert compute_round_ms(first, step, View(at_cap - 1)) < ROUND_MS_MAX
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
