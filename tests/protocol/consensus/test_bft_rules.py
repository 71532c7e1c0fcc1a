"""Tendermint for blocks: rules B1 to B9, and the hidden lock."""

from dataclasses import replace

import pytest

from protocol.chain.certificate import Vote
from protocol.chain.evidence import EvidenceKind
from protocol.consensus.effects import Broadcast, Effect
from protocol.consensus.inputs import WorkWaiting
from protocol.consensus.messages import (
    Decided,
    Phase,
    PolkaShown,
    Proposal,
    VoteBundle,
)
from protocol.consensus.polka import form_polka
from protocol.consensus.promises import Promises
from protocol.consensus.rounds import VIEWS_AHEAD_MAX
from protocol.consensus.timeouts import TimerKind
from protocol.types import Height, View
from tests.protocol.consensus.play import EPOCH, PRECOMMIT, PREVOTE, Play, said, sent

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
    assert (ahead in play.nodes[0].bft._heard.rounds._rounds) is is_kept


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


@pytest.mark.parametrize(("views", "reached"), [([50, 60], 50), ([60, 50], 50), ([2, 60], 2), ([60], 0)])
def test_b9_votes_in_different_rounds_take_us_to_the_least_of_them(views: list[int], reached: int) -> None:
    play = Play()
    for voter, view in enumerate(views, 1):
        play.receive(0, voter, play.vote(voter, PREVOTE, view, None))
    assert play.nodes[0].term == reached


def test_b9_who_went_on_is_not_waited_for() -> None:
    """After crashes one is a round ahead and one is gone for good: the other two get there by their waits."""
    play = Play()
    timers = play.nodes[0].timers
    play.receive(0, 1, play.vote(1, PREVOTE, 0, play.make_block().id))
    play.fire(0, TimerKind.PROPOSE)
    assert TimerKind.PREVOTE not in timers
    play.receive(0, 2, play.vote(2, PREVOTE, 1, None))
    play.fire(0, TimerKind.PREVOTE)
    assert TimerKind.PRECOMMIT not in timers
    play.receive(0, 1, play.vote(1, PRECOMMIT, 0, None))
    play.fire(0, TimerKind.PRECOMMIT)
    assert play.nodes[0].term == 1


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

    def show_precommit_alone(promises: Promises) -> list[Effect]:
        return [Broadcast(promises.make_vote(PRECOMMIT))]

    monkeypatch.setattr(Promises, "_show_precommit", show_precommit_alone)
    ends = [HiddenLock(place, taste).play(rounds=60) for place in range(4) for taste in range(3)]
    assert None in ends, ends
