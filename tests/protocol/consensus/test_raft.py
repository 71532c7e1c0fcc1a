"""Directed schedules: each rule of Raft for blocks, and the histories that random ones seldom find."""

from dataclasses import replace

import pytest

from protocol.chain.certificate import Vote, VoteKind
from protocol.chain.claim import Claim
from protocol.chain.evidence import EvidenceKind
from protocol.consensus import raft
from protocol.consensus.effects import Broadcast, CheckBlock, PersistSafety, Send
from protocol.consensus.election import Role
from protocol.consensus.inputs import BlockChecked, Verdict
from protocol.consensus.messages import Beat, Decided, Grant, HandOver, Proposal, Status, Step, VoteRequest
from protocol.consensus.office import STUCK_PERIODS_MAX
from protocol.consensus.raft import TERM_AHEAD_MAX
from protocol.consensus.timeouts import TimerKind
from protocol.types import EpochNumber, Height, View
from tests.protocol.consensus.stage import Stage


def build_and_settle(stage: Stage, leader: int) -> None:
    stage.build(leader)
    stage.deliver_all()
    # Whoever missed the last acknowledgement learns of the decision by the next beat.
    stage.fire(leader, TimerKind.BEAT)
    stage.deliver_all()


# --- the good case


def test_three_nodes_agree_block_after_block() -> None:
    stage = Stage(3)
    stage.elect(0)
    for height in range(1, 6):
        build_and_settle(stage, 0)
        assert stage.heights == [height] * 3


def test_a_node_alone_decides_at_once() -> None:
    stage = Stage(1)
    assert stage.nodes[0].role is Role.LEADER
    stage.build(0)
    assert stage.heights == [1]
    stage.crash(0)
    stage.restart(0)
    stage.build(0)
    assert stage.heights == [2]


def test_follower_of_three_is_final_after_one_hop() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    stage.deliver(0, 1, Proposal)
    stage.deliver(0, 1, Vote)
    assert stage.heights == [0, 1, 0]


def test_no_block_no_proposal() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    for _ in range(5):
        stage.fire(0, TimerKind.BEAT)
        stage.deliver_all()
    assert not any(isinstance(e, Broadcast) and isinstance(e.message, Proposal) for e in stage.nodes[0].trace)
    assert stage.nodes[1].machine.leader == 0


# --- promises


def test_follower_executes_then_persists_then_acknowledges() -> None:
    stage = Stage(3)
    stage.hold_checks = True
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    stage.nodes[1].trace.clear()
    stage.deliver_all(among=[0, 1])
    assert [type(e) for e in stage.nodes[1].trace if isinstance(e, CheckBlock | PersistSafety)] == [
        CheckBlock
    ]
    stage.release_checks(1)
    kinds = [type(e) for e in stage.nodes[1].trace]
    persisted = kinds.index(PersistSafety)
    acknowledged = next(
        i
        for i, e in enumerate(stage.nodes[1].trace)
        if isinstance(e, Broadcast) and isinstance(e.message, Vote)
    )
    assert kinds.index(CheckBlock) < persisted < acknowledged


def test_invalid_block_is_not_acknowledged_and_its_leader_is_given_up() -> None:
    stage = Stage(3)
    stage.hold_checks = True
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    stage.deliver_all()
    stage.release_checks(1, Verdict.INVALID)
    stage.release_checks(2, Verdict.INVALID)
    stage.deliver_all()
    assert stage.heights == [0, 0, 0]
    assert all(any("invalid" in alarm for alarm in stage.nodes[i].alarms) for i in (1, 2))
    # Its beats no longer count: the others elect one of them while it still beats.
    stage.fire(0, TimerKind.BEAT)
    stage.deliver_all()
    stage.hold_checks = False
    stage.elect(1, [2])
    stage.deliver_all()
    build_and_settle(stage, 1)
    assert stage.heights == [1, 1, 1]


def elect_anew(stage: Stage) -> None:
    """Let 0 crash and 1 elect it again, with the block that it has accepted."""
    stage.crash(0)
    stage.restart(0)
    stage.elect(0, [1])
    stage.deliver_all([0, 1])


def test_unwelcome_block_is_not_acknowledged_and_its_leader_makes_way() -> None:
    stage = Stage(3)
    stage.hold_checks = True
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    stage.deliver_all()
    for follower in (1, 2):
        stage.release_checks(follower, Verdict.UNWELCOME)
    stage.deliver_all()
    assert stage.heights == [0, 0, 0]
    assert not stage.nodes[1].alarms, "a matter of taste is nobody's fault"
    stage.fire(0, TimerKind.BEAT)
    stage.deliver_all()
    stage.hold_checks = False
    stage.fire(1)
    stage.deliver_all()
    assert stage.nodes[1].role is Role.LEADER, "beats of the leader buy no patience"
    build_and_settle(stage, 1)
    assert stage.heights == [1, 1, 1]


def test_unwelcome_block_is_acknowledged_when_it_becomes_welcome() -> None:
    stage = Stage(3)
    stage.hold_checks = True
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    stage.deliver_all()
    stage.release_checks(1, Verdict.UNWELCOME)
    stage.release_checks(2, Verdict.UNWELCOME)
    stage.step(stage.nodes[1], BlockChecked(stage.nodes[0].accepted.id, Verdict.VALID))  # type: ignore[union-attr]
    stage.deliver_all()
    assert stage.heights == [1, 1, 1], "the certificate makes it final where it is unwelcome too"
    # With its height the doubt is over.
    stage.fire(0, TimerKind.BEAT)
    stage.deliver_all()
    stage.fire(2)
    assert stage.nodes[2].role is Role.FOLLOWER


def test_unwelcome_block_that_its_leader_was_elected_with_is_acknowledged() -> None:
    stage = Stage(3)
    stage.hold_checks = True
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    stage.deliver_all()
    stage.release_checks(1, Verdict.UNWELCOME)
    stage.drop()
    elect_anew(stage)
    assert stage.heights == [1, 1, 0], "known as unwelcome"
    stage.build(0)
    stage.drop()
    elect_anew(stage)
    assert stage.heights == [1, 1, 0]
    stage.release_checks(1, Verdict.UNWELCOME)
    stage.deliver_all([0, 1])
    assert stage.heights == [2, 2, 0], "seen only now"


def test_one_vote_a_term_over_a_crash() -> None:
    stage = Stage(3)
    stage.time_out(1)
    stage.fire(2)
    stage.deliver(1, 2)
    stage.deliver(2, 1)
    stage.deliver(1, 2)
    assert stage.nodes[2].term == 1
    stage.crash(2)
    stage.restart(2)
    stage.drop()
    stage.nodes[2].trace.clear()
    claim = Claim(EpochNumber(0), Height(1), View(1), 0, View(0), None, False)
    stage.receive(2, 0, stage.sign(0, VoteRequest(claim)))
    assert not any(isinstance(e, Send) and isinstance(e.message, Grant) for e in stage.nodes[2].trace)


@pytest.mark.parametrize("crash_after", range(4))
def test_grant_is_durable_before_it_leaves(crash_after: int) -> None:
    """Wherever the voter crashes, the oracle never sees a second grant of the term."""
    stage = Stage(3)
    stage.nodes[2].crash_after = crash_after
    for candidate in (1, 0):
        claim = Claim(EpochNumber(0), Height(1), View(1), candidate, View(0), None, False)
        stage.receive(2, candidate, stage.sign(candidate, VoteRequest(claim)))
        if candidate == 1:
            if stage.nodes[2].is_up:
                stage.crash(2)
            stage.restart(2)
    granted = [m for pair in ((2, 0), (2, 1)) for m in stage.links[pair] if isinstance(m, Grant)]
    assert len(granted) == 1


def test_vote_survives_the_commit_of_its_height() -> None:
    """W5 would drop it with the height; then two nodes could lead one term."""
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    build_and_settle(stage, 0)
    stage.crash(2)
    stage.restart(2)
    assert stage.nodes[2].machine.height == 2
    stage.nodes[2].trace.clear()
    claim = Claim(EpochNumber(0), Height(2), View(1), 1, View(0), None, False)
    stage.receive(2, 1, stage.sign(1, VoteRequest(claim)))
    assert not any(isinstance(e, Send) and isinstance(e.message, Grant) for e in stage.nodes[2].trace)


@pytest.mark.parametrize("crash_after", range(6))
@pytest.mark.parametrize("victim", [0, 1])
def test_restart_at_every_point_of_a_height(victim: int, crash_after: int) -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.nodes[victim].crash_after = crash_after
    stage.build(0)
    stage.deliver_all()
    if stage.nodes[victim].is_up:
        stage.crash(victim)
    stage.restart(victim)
    stage.drop()
    leader = 2
    stage.elect(leader, [1 - victim, victim])
    stage.deliver_all()
    if stage.nodes[leader].wanted is not None and stage.nodes[leader].accepted is None:
        stage.build(leader)
    for _ in range(4):
        stage.deliver_all()
        stage.fire(leader, TimerKind.BEAT)
    stage.deliver_all()
    assert min(stage.heights) >= 1


@pytest.mark.parametrize("crash_after", range(5))
def test_restart_at_every_point_of_an_election(crash_after: int) -> None:
    stage = Stage(3)
    stage.fire(1)
    stage.fire(2)
    stage.nodes[0].crash_after = crash_after
    if stage.nodes[0].timers:
        stage.time_out(0)
    stage.deliver_all()
    if stage.nodes[0].is_up:
        stage.crash(0)
    stage.restart(0)
    stage.drop()
    stage.elect(1, [0, 2])
    stage.deliver_all()
    build_and_settle(stage, 1)
    assert stage.heights == [1, 1, 1]


# --- elections


def test_stale_candidate_is_refused() -> None:
    """A candidate without the block that a majority accepted gets no grant of those who have it."""
    stage = Stage(3)
    stage.hold_commits = True
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    stage.deliver(0, 1, Proposal)
    stage.drop()
    assert stage.nodes[1].accepted is not None
    stage.crash(0)
    stage.fire(1)
    stage.time_out(2)
    stage.deliver(2, 1, VoteRequest)
    assert stage.deliver(1, 2, Grant) is None
    claim = Claim(EpochNumber(0), Height(1), View(9), 2, View(0), None, False)
    stage.receive(1, 2, stage.sign(2, VoteRequest(claim)))
    assert stage.deliver(1, 2, Grant) is None
    assert stage.nodes[1].term == 9


def test_new_leader_proposes_the_accepted_block_again_under_its_term() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    block = stage.build(0)
    stage.deliver(0, 1, Proposal)
    stage.drop()
    stage.crash(0)
    stage.elect(1, [2])
    stage.deliver_all()
    assert [chain.chain[0][0].id for chain in stage.nodes[1:]] == [block.id, block.id]
    certificate = stage.nodes[1].chain[0][1]
    assert certificate.view == 2 and block.header.view == 1


def test_figure_8_acknowledgements_of_two_terms_do_not_add_up() -> None:
    """Raft paper, figure 8: a block of term 1 comes back in term 3; its old votes must not count."""
    stage = Stage(5)
    stage.elect(0)
    stage.deliver_all()
    old = stage.build(0)
    stage.deliver(0, 1, Proposal)
    stage.drop()  # (a) 0 and 1 have accepted the old block in term 1
    stage.crash(0)
    stage.elect(4, [2, 3])
    for _ in range(2):
        stage.deliver(4, 1, VoteRequest)  # refused, but 1 learns of the term
    stage.drop()
    new = stage.build(4)  # (b) 4 accepted another one in term 2
    stage.drop()
    stage.crash(4)
    stage.restart(0)
    stage.elect(1, [0, 2, 3])  # (c) 1 leads term 3 and proposes the old block again
    assert stage.nodes[1].term == 3 and old.id != new.id
    proposals = [m for m in stage.links[1, 2] if isinstance(m, Proposal)]
    assert [p.block.id for p in proposals] == [old.id]
    stage.deliver(1, 2, Proposal)
    stage.deliver(2, 1, Vote)
    # 1 and 2 acknowledged in term 3. The acknowledgements of 0 and 1 in term 1 arrive now.
    for voter in (0, 1):
        vote = Vote(EpochNumber(0), VoteKind.ACK, Height(1), View(1), old.id, None, voter)
        signed = stage.sign(voter, vote)
        for node in (1, 2):
            stage.receive(node, voter, signed)
    assert stage.heights == [0, 0, 0, 0, 0]
    # (d) were it final now, 4 could still be elected by 3 and 0 in a later term and make another one final.
    stage.drop()
    stage.crash(1)
    stage.crash(2)
    stage.restart(4)
    stage.receive(4, 3, Status(EpochNumber(0), Height(1), View(3), 0, Step.IDLE))
    stage.elect(4, [0, 3])
    stage.deliver_all(among=[0, 3, 4])
    assert [stage.nodes[i].chain[0][0].id for i in (0, 3, 4)] == [new.id] * 3


def test_pre_vote_does_not_disturb() -> None:
    """A node that was cut off comes back: no term moves, no leader falls."""
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    for _ in range(5):
        stage.time_out(2)
        stage.drop()
    assert stage.nodes[2].term == 1
    stage.fire(0, TimerKind.BEAT)
    stage.deliver(0, 1)
    stage.time_out(2)
    stage.deliver_all()
    assert stage.nodes[0].role is Role.LEADER
    assert [node.term for node in stage.nodes] == [1, 1, 1]


def test_pre_vote_is_refused_while_the_leader_lives() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.time_out(2)
    stage.deliver(2, 1, VoteRequest)
    assert stage.deliver(1, 2, Grant) is None


def test_pre_vote_gives_grants_once_the_lease_is_over() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.fire(1)
    stage.time_out(2)
    stage.deliver(2, 1, VoteRequest)
    assert isinstance(stage.deliver(1, 2, Grant), Grant)
    assert stage.nodes[2].role is Role.CANDIDATE


def test_check_quorum_steps_down() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.fire(0, TimerKind.QUORUM)
    stage.fire(0, TimerKind.BEAT)
    stage.drop()
    stage.fire(0, TimerKind.QUORUM)
    assert stage.nodes[0].role is Role.FOLLOWER
    assert stage.nodes[0].machine.leader is None


def test_check_quorum_keeps_a_heard_leader() -> None:
    stage = Stage(3)
    stage.elect(0)
    for _ in range(5):
        stage.fire(0, TimerKind.BEAT)
        stage.deliver_all(among=[0, 1])
        stage.fire(0, TimerKind.QUORUM)
    assert stage.nodes[0].role is Role.LEADER


def test_a_heard_leader_without_progress_makes_way_for_a_new_term() -> None:
    """One of three is down and the other refuses the proposal: its refusal must not last for ever."""
    stage = Stage(3)
    stage.elect(0)
    stage.drop(b=2)
    stage.hold_checks = True
    stage.build(0)
    stage.deliver_all([0, 1])
    stage.release_checks(1, Verdict.INVALID)
    term = stage.nodes[0].term
    for _ in range(STUCK_PERIODS_MAX):
        stage.fire(0, TimerKind.BEAT)
        stage.deliver_all([0, 1])
        stage.fire(0, TimerKind.QUORUM)
        assert stage.nodes[0].role is Role.LEADER
    stage.fire(0, TimerKind.BEAT)
    stage.deliver_all([0, 1])
    stage.fire(0, TimerKind.QUORUM)
    assert stage.nodes[0].role is Role.FOLLOWER and stage.nodes[0].term == term
    stage.hold_checks = False
    stage.time_out(0)
    stage.deliver_all([0, 1])
    roles = [node.role for node in stage.nodes]
    assert roles[0] is Role.LEADER
    assert stage.nodes[0].term > term
    assert [len(node.chain) for node in stage.nodes[:2]] == [1, 1], "asked anew, the block is fine"


def test_election_without_proof_gets_no_acknowledgement() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    block = stage.build(0)
    stage.drop()
    proposal = Proposal(EpochNumber(0), Height(1), View(5), 2, None, block)
    stage.receive(1, 2, stage.sign(2, proposal))
    assert stage.nodes[1].accepted is None
    # The proof of another election proves nothing.
    election = stage.nodes[0].machine.engine._trust._proof  # type: ignore[union-attr]
    stage.receive(1, 2, stage.sign(2, replace(proposal, view=View(6), election=election)))
    assert stage.nodes[1].accepted is None
    stage.receive(2, 0, stage.sign(0, replace(proposal, view=View(1), proposer=0, election=election)))
    assert stage.nodes[2].accepted is not None
    stage.receive(2, 1, stage.sign(1, replace(proposal, view=View(6), proposer=1)))
    assert stage.nodes[2].machine.engine.accepted == (1, block.id)  # type: ignore[union-attr]


def test_proposal_of_another_block_than_claimed_convicts() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    stage.deliver(0, 1, Proposal)
    stage.drop()
    stage.crash(0)
    stage.elect(1, [2])
    original = next(m for m in stage.links[1, 2] if isinstance(m, Proposal))
    stage.drop()
    other = Stage(3)
    other.elect(1)
    lie = Proposal(original.epoch, original.height, original.view, 1, None, other.build(1), original.election)
    stage.receive(2, 1, stage.sign(1, lie))
    assert stage.nodes[2].accepted is None
    assert [e.kind for e in stage.nodes[2].evidence] == [EvidenceKind.FALSE_CLAIM]


# --- lost messages


def test_lost_proposal_is_repeated_by_a_beat() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    stage.drop()
    stage.fire(0, TimerKind.BEAT)
    stage.deliver_all()
    stage.fire(0, TimerKind.BEAT)
    stage.deliver_all()
    assert stage.heights == [1, 1, 1]


def test_lost_acknowledgement_is_repeated_by_a_beat() -> None:
    stage = Stage(2)
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    stage.deliver(0, 1, Proposal)
    stage.drop(1, 0)
    stage.fire(0, TimerKind.BEAT)
    stage.deliver_all()
    stage.fire(0, TimerKind.BEAT)
    stage.deliver_all()
    assert stage.heights == [1, 1]


def test_follower_that_lags_is_helped_by_the_leader() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    stage.deliver_all(among=[0, 1])
    stage.drop()
    assert stage.heights == [1, 1, 0]
    stage.fire(0, TimerKind.BEAT)
    stage.deliver(0, 2, Beat)
    stage.deliver(2, 0, Status)
    assert isinstance(stage.deliver(0, 2, Decided), Decided)
    assert stage.heights == [1, 1, 1]


def test_leader_that_lags_is_helped_by_a_follower() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.build(0)
    for kind in (Proposal, Vote):
        stage.deliver(0, 1, kind)
    stage.drop()
    assert stage.heights == [0, 1, 0]
    stage.fire(0, TimerKind.BEAT)
    stage.deliver(0, 1, Beat)
    assert isinstance(stage.deliver(1, 0, Decided), Decided)
    assert stage.heights == [1, 1, 0]


# --- handing over


def test_leader_hands_over_on_request() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.hand_over(0)
    stage.deliver_all()
    leaders = [node.index for node in stage.nodes if node.role is Role.LEADER]
    assert leaders and leaders != [0]
    assert stage.nodes[0].term == 2
    build_and_settle(stage, leaders[0])
    assert stage.heights == [1, 1, 1]


def test_leader_hands_over_after_so_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raft, "LEADER_HANDOVER_BLOCKS", 3)
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    for height in range(1, 4):
        assert stage.nodes[0].role is Role.LEADER, height
        build_and_settle(stage, 0)
    assert stage.nodes[0].role is Role.FOLLOWER
    assert stage.nodes[0].term == 2


def test_leader_goes_on_when_nobody_takes_over() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.hand_over(0)
    stage.deliver(0, 1, Beat)
    stage.deliver(1, 0, Status)
    assert any(isinstance(m, HandOver) for m in stage.links[0, 1])
    stage.drop()
    stage.build(0)
    assert stage.nodes[0].accepted is None
    stage.fire(0, TimerKind.QUORUM)
    assert stage.nodes[0].role is Role.LEADER
    build_and_settle(stage, 0)
    assert stage.heights == [1, 1, 1]


def test_only_the_leader_may_hand_over() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    stage.receive(1, 2, HandOver(EpochNumber(0), Height(1), View(1)))
    assert stage.nodes[1].role is Role.FOLLOWER


# --- bounds


@pytest.mark.parametrize(("ahead", "believed"), [(TERM_AHEAD_MAX, True), (TERM_AHEAD_MAX + 1, False)])
def test_terms_do_not_jump(ahead: int, believed: bool) -> None:
    stage = Stage(3)
    stage.receive(1, 0, Beat(EpochNumber(0), Height(1), View(ahead), 1, False))
    assert (stage.nodes[1].term == ahead) is believed


def test_a_message_in_another_name_is_refused() -> None:
    stage = Stage(3)
    claim = Claim(EpochNumber(0), Height(1), View(1), 0, View(0), None, False)
    stage.receive(1, 2, stage.sign(0, VoteRequest(claim)))
    assert stage.nodes[1].term == 0
    assert stage.nodes[1].alarms
