"""The scenario files of etcd's Raft that map to our profile (tests/vectors/consensus/README.md)."""

import re
from pathlib import Path

import pytest

from protocol.chain.certificate import Vote, VoteKind
from protocol.chain.claim import Claim
from protocol.chain.validators import EngineKind, EpochRecord
from protocol.consensus.election import Role
from protocol.consensus.messages import Grant
from protocol.consensus.raft import Raft
from protocol.consensus.timeouts import TimerKind
from protocol.consensus.votes import GrantSet, VoteSet
from protocol.types import BlockId, EpochNumber, Height, View
from tests.protocol.consensus.stage import Stage
from tests.simulation.ledger import EpochPlan, FakeSigner, Signer

FOLDER = Path(__file__).parents[2] / "vectors" / "consensus" / "etcd-raft"

Block = tuple[str, str]
"""A command with its arguments, and the text that must follow."""


def read_blocks(text: str) -> list[Block]:
    """Split a file into commands and what follows them."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    blocks: list[Block] = []
    at = 0
    while "----" in lines[at:]:
        mark = lines.index("----", at)
        command = next(line for line in reversed(lines[:mark]) if line.strip())
        end = next((i for i in range(mark + 1, len(lines)) if not lines[i].strip()), len(lines))
        blocks.append((command, "\n".join(lines[mark + 1 : end])))
        at = end
    return blocks


def list_of(command: str, name: str) -> list[str]:
    found = re.search(rf"{name}=\(([^)]*)\)", command)
    return [] if found is None or not found[1].strip() else [part.strip() for part in found[1].split(",")]


def make_record(count: int) -> EpochRecord:
    signers: list[Signer] = [FakeSigner(i) for i in range(count)]
    return EpochPlan(signers, list(range(count)), [], EngineKind.RAFT).records[0]


VOTES = [b for b in read_blocks((FOLDER / "majority_vote.txt").read_text()) if list_of(b[0], "cfg")]
COMMITS = [b for b in read_blocks((FOLDER / "majority_commit.txt").read_text()) if list_of(b[0], "cfg")]


@pytest.mark.parametrize(("command", "expected"), VOTES)
def test_majority_vote(command: str, expected: str) -> None:
    votes = list_of(command, "votes")
    record = make_record(len(list_of(command, "cfg")))
    claim = Claim(EpochNumber(0), Height(1), View(1), 0, View(0), None, False)
    grants = GrantSet(record, claim)
    for voter, vote in enumerate(votes):
        if vote == "y":
            grants.add(Grant(claim, voter))
    assert grants.is_won is (expected.strip() == "VoteWon")


@pytest.mark.parametrize(("command", "expected"), COMMITS)
def test_majority_commit(command: str, expected: str) -> None:
    indexes = [0 if i == "_" else int(i) for i in list_of(command, "idx")]
    record = make_record(len(list_of(command, "cfg")))
    committed = 0
    for height in sorted(set(indexes) - {0}):
        votes = VoteSet(record, VoteKind.ACK, Height(height))
        block_id = BlockId(bytes(32))
        for voter, index in enumerate(indexes):
            if index >= height:
                vote = Vote(EpochNumber(0), VoteKind.ACK, Height(height), View(1), block_id, None, voter)
                if votes.add(vote) is not None:
                    committed = height
    assert str(committed) == expected.splitlines()[-1].strip()


def test_the_files_are_read_whole() -> None:
    assert len(VOTES) == (FOLDER / "majority_vote.txt").read_text().count("----") - 1
    assert len(COMMITS) == (FOLDER / "majority_commit.txt").read_text().count("----") - 1


# --- conversations

STATES = {
    "follower": Role.FOLLOWER,
    "pre-candidate": Role.PRE_CANDIDATE,
    "candidate": Role.CANDIDATE,
    "leader": Role.LEADER,
}


class Conversation:
    """Speaks etcd's commands to a stage. Its nodes count from 1; what is sent leaves at once."""

    def __init__(self) -> None:
        self.stage = Stage(1)

    def run(self, blocks: list[Block]) -> int:
        checked = 0
        for command, expected in blocks:
            name, *arguments = command.split()
            self.do(name, [int(a) - 1 for a in arguments if a.isdigit()], command)
            found = re.findall(r"(\d) became ([a-z-]+) at term (\d+)", expected)
            last = {int(n): (state, int(term)) for n, state, term in found}
            if name == "add-nodes" or (name == "campaign" and "became candidate" in expected):
                continue  # without PreVote a campaign begins with the second step of ours
            for number, (state, term) in last.items():
                node = self.stage.nodes[number - 1]
                assert (node.role, node.term) == (STATES[state], term), (command, number)
                checked += 1
        return checked

    def do(self, name: str, nodes: list[int], command: str) -> None:
        stage = self.stage
        match name:
            case "add-nodes":
                self.stage = Stage(len(list_of(command, "voters")))
            case "campaign":
                if len(stage.nodes) > 1:
                    stage.time_out(nodes[0])
            case "stabilize":
                stage.deliver_all()
            case "deliver-msgs":
                for target in nodes:
                    for source in range(len(stage.nodes)):
                        while source != target and stage.deliver(source, target) is not None:
                            pass
            case "propose":
                stage.build(nodes[0])
            case "tick-election":
                node = stage.nodes[nodes[0]]
                if node.role is Role.LEADER:
                    stage.fire(nodes[0], TimerKind.QUORUM)
                elif isinstance(node.machine.engine, Raft) and node.machine.engine._lease:
                    stage.fire(nodes[0])
            case "log-level" | "process-ready" | "raft-log" | "set-randomized-election-timeout":
                pass
            case _:
                raise AssertionError(command)


CONVERSATIONS = [
    ("campaign.txt", None, None, 1),
    ("single_node.txt", None, None, 1),
    ("prevote_checkquorum.txt", None, None, 8),
    ("prevote.txt", None, "# Let 2 campaign", 2),
    ("checkquorum.txt", "# Tick the leader", "# We'll now send", 1),
]


@pytest.mark.parametrize(("name", "begin", "end", "least"), CONVERSATIONS)
def test_conversation(name: str, begin: str | None, end: str | None, least: int) -> None:
    text = (FOLDER / name).read_text()
    head = ""
    if begin is not None:
        head, text = text.split("log-level debug", 1)[0], text[text.index(begin) :]
    if end is not None:
        text = text[: text.index(end)]
    assert Conversation().run(read_blocks(head + text)) >= least
