"""A Raft leader that beats and makes no blocks: left when something waits, and only then."""

from dataclasses import replace
from random import Random

import pytest

from protocol.consensus.effects import SetTimer
from protocol.consensus.election import Role
from protocol.consensus.inputs import WorkWaiting
from protocol.consensus.raft import Raft
from protocol.consensus.timeouts import LOCAL, WORK_PERIODS_MAX, TimerKind
from tests.protocol.consensus.stage import Stage
from tests.protocol.consensus.test_raft import build_and_settle
from tests.simulation.faults import Plan, draw_faults
from tests.simulation.world import World


def give_work(stage: Stage, *indices: int) -> None:
    for index in indices:
        stage.step(stage.nodes[index], WorkWaiting())


def has_left(stage: Stage, index: int) -> bool:
    engine = stage.nodes[index].machine.engine
    assert isinstance(engine, Raft)
    return not engine._trust.has_patience(engine.term)


def keep_beating(stage: Stage) -> None:
    stage.fire(0, TimerKind.BEAT)
    stage.deliver_all()


def test_a_leader_that_beats_but_makes_no_block_is_left_when_something_waits() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    give_work(stage, 0, 1, 2)
    keep_beating(stage)
    for follower in (1, 2):
        stage.fire(follower, TimerKind.WORK)
        assert has_left(stage, follower) and not stage.nodes[follower].alarms
    keep_beating(stage)
    stage.fire(1)
    stage.deliver_all()
    assert stage.nodes[1].role is Role.LEADER, "beats of the mute leader buy no patience"
    build_and_settle(stage, 1)
    assert stage.heights == [1, 1, 1]
    # With its height the doubt is over, and without new work nobody is late.
    stage.fire(1, TimerKind.BEAT)
    stage.deliver_all()
    stage.fire(2)
    assert stage.nodes[2].role is Role.FOLLOWER


def test_a_mute_leader_is_not_elected_again_before_the_others_had_their_turn() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    give_work(stage, 1, 2)
    for follower in (1, 2):
        stage.fire(follower, TimerKind.WORK)
    stage.crash(0)
    stage.restart(0)
    stage.time_out(0)
    stage.deliver_all()
    assert stage.leaders() == []
    stage.fire(1)
    stage.drop()
    stage.time_out(0)
    stage.deliver_all()
    assert stage.leaders() == [0], "else two who left each other would stand still for ever"


def test_an_idle_chain_leaves_nobody_and_one_follower_alone_disturbs_nobody() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    keep_beating(stage)
    assert TimerKind.WORK not in stage.nodes[1].timers
    give_work(stage, 1)
    stage.fire(1, TimerKind.WORK)
    keep_beating(stage)
    stage.fire(1)
    stage.deliver_all()
    assert stage.nodes[0].role is Role.LEADER and stage.nodes[0].term == 1
    build_and_settle(stage, 0)
    assert stage.heights == [1, 1, 1]


def test_a_leader_is_not_left_for_a_block_that_is_here() -> None:
    stage = Stage(3)
    stage.hold_checks = True
    stage.elect(0)
    stage.deliver_all()
    give_work(stage, 1, 2)
    stage.build(0)
    stage.deliver_all()
    stage.fire(1, TimerKind.WORK)
    assert not has_left(stage, 1), "it is executing the block: it is slow itself"
    stage.release_checks(1)
    stage.fire(1, TimerKind.WORK)
    assert not has_left(stage, 1), "it has acknowledged one"
    stage.release_checks(2)
    stage.deliver_all()
    late = stage.nodes[2].timers[TimerKind.WORK]
    assert late.height == 1 and stage.heights == [1, 1, 1]
    stage.fire(2, TimerKind.WORK)
    assert not has_left(stage, 2), "the height is another one"


def test_the_bound_on_a_mute_leader() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.nodes[1].trace.clear()
    give_work(stage, 1)
    give_work(stage, 1)
    [wait] = [e.delay_ms for e in stage.nodes[1].trace if isinstance(e, SetTimer)]
    assert wait == WORK_PERIODS_MAX * LOCAL.election_ms_max == 2_000


@pytest.mark.parametrize("seed", range(6))
def test_worlds_with_a_mute_leader_go_on(seed: int) -> None:
    """Nobody crashes, nobody is cut off, nobody hands over: only impatience moves the office."""
    drawn = draw_faults(seed, Random(seed), 3, Plan.RAFT)
    nobody = frozenset[int]()
    faults = replace(
        drawn, loss=min(drawn.loss, 0.05), never_build=0.0, crash=0.0, crash_step=0.0, pause=0.0, cut=0.0,
        cut_one_way=0.0, hand_over=0.0, bad_builders=nobody, seals=0, rotten=nobody, unwelcome=0.0,
        mute=frozenset({seed % 3}),
    )  # fmt: skip
    World(seed, faults=faults, heights=20).run()
