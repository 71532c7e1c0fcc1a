"""Proposals a height ahead: who makes one, on what, who looks at it when, and what is promised (M3, B6)."""

import pytest

from protocol.chain.block import Block
from protocol.consensus.effects import Broadcast, BuildBlock, CheckBlock
from protocol.consensus.inputs import BlockBuilt
from protocol.consensus.messages import Decided, Proposal
from protocol.consensus.timeouts import TimerKind
from protocol.types import Height, View
from tests.protocol.consensus.play import ENGINES, PRECOMMIT, PREVOTE, Play, said, sent
from tests.protocol.consensus.stage import Stage
from tests.simulation import ledger


def precommitted(play: Play) -> tuple[int, Block]:
    """Let the proposer of height 2 precommit a block of height 1 and nobody decide it; return both."""
    node = play.order[1]
    block = play.make_block()
    play.propose(node, 0, block)
    play.say(node, play.others(node)[:2], PREVOTE, 0, block.id)
    assert said(play.nodes[node].trace, PRECOMMIT)[-1].block_id == block.id
    return node, block


def asked(play: Play, node: int) -> list[BuildBlock]:
    return [e for e in play.nodes[node].trace if isinstance(e, BuildBlock) and e.height == 2]


def test_who_precommits_and_comes_next_builds_on_what_it_precommitted() -> None:
    play = Play()
    node, block = precommitted(play)
    assert asked(play, node) == [BuildBlock(Height(2), View(0), block.id)]
    for other in play.others(node):
        play.propose(other, 0, block)
        play.say(other, play.others(other), PREVOTE, 0, block.id)
        assert not asked(play, other), "another one comes next"


def hop(play: Play) -> None:
    """Let everybody build who was asked to, then deliver what is on the way, and nothing that it causes."""
    for actor in play.nodes:
        if actor.wanted is not None and actor.head_with(actor.wanted.parent_id) is not None:
            play.build(actor.index)
            actor.wanted = None
    on_the_way = [(link, len(waiting)) for link, waiting in play.links.items()]
    for link, count in on_the_way:
        for _ in range(count):
            play.deliver(*link)


def test_two_hops_from_block_to_block() -> None:
    play = Play()
    heights = []
    for _ in range(11):
        hop(play)
        heights.append(min(play.heights))
    assert heights == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]


def test_an_early_proposal_is_looked_at_when_its_parent_is_final() -> None:
    play = Play()
    node, block = precommitted(play)
    play.build(node)
    other = play.order[2]
    play.propose(other, 0, block)
    play.nodes[other].trace.clear()
    play.deliver(node, other, Proposal)
    checks = [e for e in play.nodes[other].trace if isinstance(e, CheckBlock)]
    assert not checks and not said(play.nodes[other].trace, PREVOTE)
    play.say(other, play.others(other), PRECOMMIT, 0, block.id)
    assert play.heights[other] == 1
    (vote,) = said(play.nodes[other].trace, PREVOTE)
    assert vote.height == 2 and vote.block_id is not None


def test_an_early_proposal_is_durable_before_it_leaves_and_the_only_one_over_a_crash() -> None:
    play = Play()
    node, block = precommitted(play)
    play.build(node)
    record = play.nodes[node].durable
    assert record is not None and record.height == 1 and record.early  # type: ignore[union-attr]
    play.crash(node)
    play.restart(node)
    play.propose(node, 0, block)
    play.say(node, play.others(node), PRECOMMIT, 0, block.id)
    assert play.heights[node] == 1 and play.nodes[node].machine.leader == node
    assert not asked(play, node)[1:], "nothing more is built where an early proposal was signed"
    # Once more, before anything was signed at height 2.
    play.crash(node)
    play.restart(node)
    assert play.nodes[node].machine.height == 2 and not asked(play, node)[1:]


def test_an_early_proposal_whose_parent_lost_is_nobodys() -> None:
    play = Play()
    node, lost = precommitted(play)
    early = play.build(node)
    winner = play.make_block()
    for i in range(4):
        if i != node:
            play.propose(i, 0, winner)
        play.say(i, play.others(i), PRECOMMIT, 0, winner.id)
    play.receive(node, play.order[2], Decided(*play.nodes[play.order[2]].chain[0]))
    assert play.heights == [1] * 4 and winner.id != lost.id
    play.deliver_all_of_kind(Proposal, to=[0, 1, 2, 3])
    assert not any(play.nodes[i].alarms for i in range(4)), "no liar was at work"
    assert early.id not in {vote.block_id for actor in play.nodes for vote in said(actor.trace, PREVOTE)}
    assert not asked(play, node)[1:], "who proposed early is silent in that round"
    for i in range(4):
        play.fire(i, TimerKind.PROPOSE)
    play.deliver_all()
    for i in range(4):
        play.fire(i, TimerKind.PRECOMMIT)
    play.build(play.order[2])
    play.deliver_all()
    assert play.heights == [2] * 4, "the next round has a block"


@pytest.mark.parametrize("is_seal", [False, True])
def test_nothing_is_early_across_a_seal(is_seal: bool) -> None:
    stage = Stage(4, [(1, [0, 1, 2, 3])] if is_seal else [], ENGINES)
    stage.deliver_all()
    proposer = next(i for i in range(4) if stage.nodes[i].wanted is not None)
    stage.hold_commits = True
    stage.build(proposer)
    stage.deliver_all()
    early = [e for n in stage.nodes for e in n.trace if isinstance(e, BuildBlock) and e.height == 2]
    assert bool(early) is not is_seal


def test_a_block_that_was_not_asked_for_is_not_proposed_early() -> None:
    play = Play()
    node, block = precommitted(play)
    actor = play.nodes[node]
    key = actor.signer.public_key
    stranger = ledger.build(actor.head, play.plan, View(0), key, 99)
    actor.trace.clear()
    play.step(actor, BlockBuilt(Height(2), View(0), stranger))
    assert not [e for e in actor.trace if isinstance(e, Broadcast)], "its parent is not what we precommitted"
    play.build(node)
    assert len(sent(actor.trace, Proposal)) == 1
    play.step(actor, BlockBuilt(Height(2), View(0), block))
    assert len(sent(actor.trace, Proposal)) == 1
