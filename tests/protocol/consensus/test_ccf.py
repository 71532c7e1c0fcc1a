"""The Raft scenarios of CCF, step by step in our terms (tests/vectors/consensus/ccf)."""

from protocol.chain.certificate import Vote
from protocol.consensus.election import Role
from protocol.consensus.messages import Grant, Proposal, Status, VoteRequest
from protocol.consensus.timeouts import TimerKind
from tests.protocol.consensus.stage import Stage


def place(stage: Stage, index: int) -> tuple[Role, int]:
    return stage.nodes[index].role, stage.nodes[index].term


def retire(stage: Stage, leader: int) -> None:
    """Let a leader that hears nobody step down (CheckQuorum)."""
    stage.fire(leader, TimerKind.QUORUM)
    if stage.nodes[leader].role is Role.LEADER:
        stage.fire(leader, TimerKind.QUORUM)
    assert stage.nodes[leader].role is Role.FOLLOWER


def test_former_candidate_double_vote() -> None:
    """Node 1 votes for itself, steps down before a leader that it cannot follow, and is asked by node 3."""
    stage = Stage(5)
    # Nodes 1, 2 and 3 all become candidates of one term: everybody grants their questions.
    for candidate in (1, 2, 3):
        stage.time_out(candidate)
    stage.deliver_all_of_kind(VoteRequest, to=[0, 4])
    for candidate in (1, 2, 3):
        for voter in (0, 4):
            stage.deliver(voter, candidate, Grant)
    assert [stage.nodes[i].role for i in (1, 2, 3)] == [Role.CANDIDATE] * 3
    assert {stage.nodes[i].term for i in (1, 2, 3)} == {1}
    # Nodes 0 and 4 elect node 2.
    for voter in (0, 4):
        stage.deliver(2, voter, VoteRequest)
        stage.deliver(voter, 2, Grant)
    assert stage.nodes[2].role is Role.LEADER
    # Node 1 refuses node 2's request, hears its beat and steps down.
    while stage.deliver(2, 1) is not None:
        pass
    assert stage.nodes[1].role is Role.FOLLOWER and stage.nodes[1].term == 1
    # The delayed request of node 3 must not get a second vote of node 1.
    while stage.deliver(3, 1, VoteRequest) is not None:
        pass
    assert not [m for m in stage.links[1, 3] if isinstance(m, Grant) and not m.claim.is_pre]


def test_pre_vote() -> None:
    stage = Stage(3)
    stage.elect(0)
    stage.deliver_all()
    # Node 1 steps up; node 2 answers its question without a change of term.
    stage.fire(2)
    stage.time_out(1)
    assert place(stage, 1) == (Role.PRE_CANDIDATE, 1)
    stage.deliver(1, 2, VoteRequest)
    assert place(stage, 2) == (Role.FOLLOWER, 1)
    stage.deliver(2, 1, Grant)
    assert place(stage, 1) == (Role.CANDIDATE, 2)
    stage.deliver(1, 2, VoteRequest)
    stage.deliver(2, 1, Grant)
    assert place(stage, 1) == (Role.LEADER, 2)
    # Node 0, cut off, steps down by CheckQuorum and cannot become a candidate.
    retire(stage, 0)
    stage.fire(0)
    assert place(stage, 0) == (Role.PRE_CANDIDATE, 1)
    # What node 1 sends makes it a follower of the new term.
    stage.deliver_all()
    assert place(stage, 0) == (Role.FOLLOWER, 2)
    # A question from an older log is denied: node 2 has accepted a block that node 0 has not.
    stage.build(1)
    stage.deliver(1, 2, Proposal)
    stage.drop()
    stage.fire(2)
    stage.time_out(0)
    stage.deliver(0, 2, VoteRequest)
    while stage.deliver(2, 0, Grant) is not None:
        pass
    assert place(stage, 0) == (Role.PRE_CANDIDATE, 2)


def test_rollback_safety() -> None:
    """A final block stays, although its leader is gone and stale answers of earlier terms arrive late."""
    stage = Stage(5)
    stage.elect(0)
    stage.deliver_all()
    # Nodes 3 and 4 are cut off; the block of node 0 reaches node 1 only.
    block = stage.build(0)
    stage.deliver(0, 1, Proposal)
    stage.drop()
    # Node 1 wins the next term; node 2's answer to its beat stays on the way.
    retire(stage, 0)
    stage.elect(1, [0, 2])
    stage.deliver(1, 0, Proposal)
    stage.deliver(1, 2)
    stale = [m for m in stage.links[2, 1] if isinstance(m, Status)]
    stage.drop()
    # Node 0 wins the term after that and makes its block final with nodes 1 and 2.
    retire(stage, 1)
    stage.elect(0, [1, 2])
    for other in (1, 2):
        stage.deliver(0, other, Proposal)
        stage.deliver(other, 0, Vote)
    assert stage.heights == [1, 0, 0, 0, 0]
    stage.drop()
    # Node 1 wins with nodes 2 and 3 while node 0 is gone, and the stale answer of node 2 arrives.
    stage.crash(0)
    stage.elect(1, [2, 3])
    for message in stale:
        stage.receive(1, 2, message)
    stage.deliver_all(among=[1, 2, 3, 4])
    stage.fire(1, TimerKind.BEAT)
    stage.deliver_all(among=[1, 2, 3, 4])
    assert [node.chain[0][0].id for node in stage.nodes] == [block.id] * 5
