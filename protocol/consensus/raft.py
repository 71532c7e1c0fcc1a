"""Raft for blocks: one engine instance serves one epoch and agrees on one height after the other.

The protocol, where it departs from the Raft paper:
    - Index is height, and at most one height is undecided. There is no log suffix, hence nothing to repair
      or to truncate: a node that lags fetches final blocks.
    - A follower executes a block before it acknowledges it, and acknowledgements are signed and broadcast, so
      every node puts the certificate together itself.
    - A new leader proposes the accepted block again *under its own term*. Acknowledgements count only within
      one (epoch, height, term, block), so figure 8 of the paper cannot happen, every block gets a certificate
      of its own, and no empty block is needed after an election.
    - The election is signed too. A follower acknowledges nothing of a leader whose election it has not seen.
    - Who leads and makes no block although something waits for one is left, as if it were silent: its beats
      buy no more patience at this height (`_on_work_timer`). The paper knows leaders that crash only.
    - PreVote (thesis 9.6) keeps a node that was cut off from disturbing; CheckQuorum makes a cut-off leader
      step down.

Safety in one sentence: if a majority accepted (t, h, b), every leader of a later term at h was granted by one
of them after it accepted, so it claims an accepted term of t or more at h (or is above h), and by induction
it proposes b.

It does not know other epochs, buffers for later heights or block sync (`engine.py`), nor clocks and disks.

*Source*: consensus.md 2.2, 2.4, 2.5; Ongaro's thesis 3.4, 3.10, 6.2, 9.6.
"""

from typing import Final, assert_never

from protocol.chain.block import Block
from protocol.chain.certificate import Certificate, Vote
from protocol.chain.claim import Claim
from protocol.chain.validators import EpochRecord
from protocol.consensus.conviction import Witness
from protocol.consensus.course import Course
from protocol.consensus.effects import (
    Alarm,
    Broadcast,
    BuildBlock,
    CheckBlock,
    CommitBlock,
    Effect,
    PersistSafety,
    ReportEvidence,
    Send,
    ServeDecided,
)
from protocol.consensus.election import Election, HandOverState, Role
from protocol.consensus.inputs import Verdict
from protocol.consensus.messages import (
    Beat,
    BftStatus,
    Decided,
    Grant,
    HandOver,
    Message,
    PolkaShown,
    Proposal,
    Status,
    Step,
    VoteBundle,
    VoteRequest,
    signer_of,
    view_of,
)
from protocol.consensus.office import Office
from protocol.consensus.pledges import NO_TERM, Pledges
from protocol.consensus.proposed import Proposed
from protocol.consensus.safety import RaftSafety
from protocol.consensus.timeouts import (
    WORK_PERIODS_MAX,
    Timeouts,
    TimerKey,
    TimerKind,
    compute_jitter_ms,
)
from protocol.consensus.timers import Timers
from protocol.consensus.trust import Trust
from protocol.consensus.votes import GrantSet, is_decision, is_elected
from protocol.params import LEADER_HANDOVER_BLOCKS
from protocol.types import BlockId, Hash32, Height, View

TERM_AHEAD_MAX: Final = 1 << 20
"""A term further ahead of ours is not believed, or one message could use up the number space."""


class Raft:
    """Agree on the blocks of one epoch.

    Args:
        record: of the epoch.
        own: our index in it.
        height: the undecided height.
        parent_id: of the block below it.
    """

    __slots__ = (
        "_course",
        "_expected_term",
        "_grants",
        "_has_work",
        "_height",
        "_is_decided",
        "_key",
        "_leader",
        "_lease",
        "_office",
        "_out",
        "_own",
        "_parent_id",
        "_pledges",
        "_proposed",
        "_record",
        "_role",
        "_shunned",
        "_timeouts",
        "_timers",
        "_trust",
        "_witness",
    )

    def __init__(
        self,
        genesis_hash: Hash32,
        record: EpochRecord,
        own: int,
        height: Height,
        parent_id: BlockId,
        timeouts: Timeouts,
    ) -> None:
        self._course = Course(genesis_hash, record)
        self._record = record
        self._own = own
        self._key = record.validators[own].consensus_key
        self._timeouts = timeouts
        self._height = height
        self._parent_id = parent_id

        # Changed only together with a PersistSafety before the next signature.
        self._pledges = Pledges(record.number, height, own)

        # This height.
        self._proposed = Proposed(record, height)
        self._is_decided = False

        # A block is due: something waits for it. The timer for that runs for the leader of this term.
        self._has_work = False
        self._expected_term = NO_TERM
        # Who brought none has no grant of ours before we have had our own turn to campaign.
        self._shunned: int | None = None

        # This term.
        self._role = Role.FOLLOWER
        self._leader: int | None = None
        self._grants: GrantSet | None = None
        self._trust = Trust()
        # A leader was heard within the shortest election timeout: nobody gets our PreVote.
        self._lease = False

        self._office = Office(record, own)
        self._witness = Witness(record)
        self._timers = Timers(record.number)
        self._out: list[Effect] = []

    # --- what the outside may look at

    @property
    def term(self) -> View:
        """Return the current term."""
        return self._pledges.term

    @property
    def leader(self) -> int | None:
        """Return who leads the current term, as far as we know."""
        return self._leader

    @property
    def role(self) -> Role:
        """Return our role in the current term."""
        return self._role

    @property
    def accepted(self) -> tuple[View, BlockId] | None:
        """Return term and id of the block accepted at the undecided height."""
        accepted = self._pledges.accepted
        return None if accepted is None else (self._pledges.accepted_term, accepted.id)

    # --- inputs

    def start(self, restored: RaftSafety | None, *, is_crossing: bool = False) -> list[Effect]:
        """Begin, with the promises of an earlier process if there are any.

        Args:
            restored: of this epoch, at most of this height.
            is_crossing: the epoch begins now, for everybody. One validator is called to campaign at once, so
                the chain does not stand still for an election timeout. Should it be gone, others follow.
        """
        if restored is not None:
            self._pledges.restore(restored)
        is_fresh = is_crossing and restored is None
        is_called = is_fresh and self._course.proposer_of(self._height, NO_TERM) == self._own
        if self._record.quorum == 1 or is_called:
            self._campaign(is_pre=False)
        else:
            self._await_election()
        return self._take()

    def receive(self, sender: int, message: Message) -> list[Effect]:
        """Take a message of this epoch whose signatures hold.

        Args:
            message: a proposal or vote above the undecided height waits in `engine.py`.
        """
        self._office.hear(sender)
        if isinstance(message, Proposal | Vote | VoteRequest | Grant):
            if signer_of(message) != sender:
                self._alarm(f"validator {sender} sent a message of validator {signer_of(message)}")
                return self._take()
            if (evidence := self._witness.hear(message)) is not None:
                self._out.append(ReportEvidence(evidence))
        if view_of(message) <= self.term + TERM_AHEAD_MAX:
            self._dispatch(sender, message)
        return self._take()

    def fire(self, key: TimerKey) -> list[Effect]:
        """Take the end of a timer; any but the newest of its kind does nothing."""
        if self._timers.end(key):
            match key.kind:
                case TimerKind.ELECTION:
                    self._on_election_timer()
                case TimerKind.BEAT:
                    if self._role is Role.LEADER:
                        self._beat()
                case TimerKind.QUORUM:
                    self._on_quorum_timer()
                case TimerKind.WORK:
                    self._on_work_timer(key)
                case _:
                    raise AssertionError(f"not a timer of Raft: {key.kind!r}")
        return self._take()

    def built(self, height: Height, view: View, block: Block) -> list[Effect]:
        """Take the block that we asked for; propose it if we still want it."""
        if self._role is not Role.LEADER or (height, view) != (self._height, self.term):
            return []
        if self._pledges.accepted is not None or not self._may_propose():
            return []
        assert self._is_next(block), "the builder made a block that does not follow its parent"
        self._propose(block)
        return self._take()

    def checked(self, block_id: BlockId, verdict: Verdict) -> list[Effect]:
        """Take the verdict on a proposed block; acknowledge it if its term is still the current one."""
        proposal = self._proposed.judge(block_id, verdict)
        if proposal is None or self._is_decided:
            return []
        if verdict is Verdict.INVALID:
            self._proposed.put_away()
            self._refuse(proposal, "an invalid block")
        else:
            self._weigh(proposal)
        return self._take()

    def hear_certificate(self, certificate: Certificate) -> list[Effect]:
        """Take note of who signed a certificate of this epoch, which holds, wherever it came from."""
        self._hear_certificates(certificate)
        return self._take()

    def advance(self, height: Height, parent_id: BlockId) -> list[Effect]:
        """Go on to the next undecided height: the one below is final and stored."""
        self._height = height
        self._parent_id = parent_id
        self._pledges.begin_height(height)
        self._office.begin_height()
        self._proposed = Proposed(self._record, height)
        self._is_decided = False
        self._trust.begin_height()
        self._has_work, self._expected_term = False, NO_TERM
        if self._role in (Role.PRE_CANDIDATE, Role.CANDIDATE):
            # The claim is outdated; the timer that runs will ask again with the new height.
            self._role, self._grants = Role.FOLLOWER, None
        if self._role is Role.LEADER:
            is_turn = (height - 1) % LEADER_HANDOVER_BLOCKS == 0
            if is_turn and self._office.hand_over is HandOverState.NONE:
                self._want_hand_over()
            self._propose_or_build()
        return self._take()

    def wake(self) -> list[Effect]:
        """Take note that something waits for a block: who leads and brings none is left in the end."""
        self._has_work = True
        if self._leader is not None:
            self._expect_block()
        return self._take()

    def ask_hand_over(self) -> list[Effect]:
        """Give leadership away as soon as no block is under way; nothing when we do not lead."""
        if self._role is Role.LEADER and self._office.hand_over is HandOverState.NONE:
            self._want_hand_over()
        return self._take()

    # --- elections

    def _campaign(self, is_pre: bool) -> None:
        if is_pre:
            self._role, self._leader = Role.PRE_CANDIDATE, None
        else:
            self._enter_term(View(self.term + 1))
            self._role, self._pledges.voted_for = Role.CANDIDATE, self._own
            self._persist()
        claim = self._pledges.make_claim(is_pre=is_pre)
        self._grants = GrantSet(self._record, claim)
        self._out.append(Broadcast(VoteRequest(claim)))
        self._out.append(Send(self._own, Grant(claim, self._own)))
        self._await_election()

    def _on_vote_request(self, sender: int, claim: Claim) -> None:
        if sender == self._own:
            return
        if claim.is_pre:
            self._on_pre_vote(sender, claim)
            return
        if claim.term > self.term:
            self._enter_term(claim.term)
        if claim.term < self.term:
            self._send_status(sender)
        elif self._is_worthy(sender, claim) and self._pledges.voted_for in (None, sender):
            self._pledges.voted_for = sender
            self._persist()
            self._out.append(Send(sender, Grant(claim, self._own)))
            self._lease = False
            self._await_election()

    def _on_pre_vote(self, sender: int, claim: Claim) -> None:
        if claim.term <= self.term:
            self._send_status(sender)
        elif self._is_worthy(sender, claim) and not self._lease and self._role is not Role.LEADER:
            self._out.append(Send(sender, Grant(claim, self._own)))

    def _is_worthy(self, sender: int, claim: Claim) -> bool:
        """Tell whether a candidate has at least what we have; help it along when it lags."""
        if claim.height < self._height:
            self._out.append(ServeDecided(sender, claim.height))
        return self._pledges.is_worthy(claim) and sender != self._shunned

    def _on_grant(self, grant: Grant) -> None:
        grants = self._grants
        if grants is None or not grants.add(grant):
            return
        if grants.claim.is_pre:
            self._campaign(is_pre=False)
        else:
            self._lead(grants.elect())

    def _lead(self, election: Election) -> None:
        self._role, self._leader = Role.LEADER, self._own
        self._grants = None
        self._trust.prove(election)
        self._office.enter(election)
        self._beat()
        # The longest timeout: messages of a whole election timeout may wait behind a slow step of ours.
        self._set_timer(TimerKind.QUORUM, self._timeouts.election_ms_max)
        self._propose_or_build()

    def _enter_term(self, term: View) -> None:
        """Go to a later term: nobody's follower, no vote. Becomes durable with the first promise in it."""
        self._pledges.enter_term(term)
        if self._role is not Role.FOLLOWER:
            self._await_election()
        self._role, self._leader = Role.FOLLOWER, None
        self._grants = None

    def _follow(self, leader: int) -> None:
        """Take a validator for the leader of our term and wait for its next sign of life."""
        self._role, self._leader = Role.FOLLOWER, leader
        self._grants = None
        self._lease = True
        self._set_timer(TimerKind.ELECTION, self._timeouts.election_ms_min)
        self._expect_block()

    def _heed(self, leader: int) -> None:
        """Follow a leader of our term unless it proposed what we do not want."""
        if self._trust.has_patience(self.term):
            self._follow(leader)

    def _expect_block(self) -> None:
        """Begin to wait for a block of a leader, once a height and term, when something waits for it."""
        if self._has_work and self._expected_term != self.term:
            self._expected_term = self.term
            self._set_timer(TimerKind.WORK, WORK_PERIODS_MAX * self._timeouts.election_ms_max)

    def _on_work_timer(self, key: TimerKey) -> None:
        """Give up a leader that made no block which we could check, as long as it makes none.

        It may be silent on purpose, have a full disk, or send outlines that nobody can complete. Who is still
        checking is slow itself. It is nobody's fault for certain, so nobody is accused; and one follower that
        leaves alone, because it lags or knows more, gets no PreVote from those who still follow.
        """
        if (key.height, key.view) != (self._height, self.term) or self._role is Role.LEADER:
            return
        if self._is_decided or self._pledges.has_accepted:
            return
        if self._proposed.is_checking(self.term):
            self._expected_term = NO_TERM
            self._expect_block()
        elif self._trust.doubt(self.term):
            self._lease, self._shunned = False, self._leader
            self._await_election()

    def _on_election_timer(self) -> None:
        self._shunned = None
        if self._role is Role.LEADER:
            return
        if self._lease:
            self._lease = False
            self._set_timer(TimerKind.ELECTION, self._jitter_ms())
        else:
            self._campaign(is_pre=True)

    def _await_election(self) -> None:
        self._set_timer(TimerKind.ELECTION, self._timeouts.election_ms_min + self._jitter_ms())

    # --- the leader

    def _may_propose(self) -> bool:
        return not self._is_decided and self._office.hand_over is HandOverState.NONE

    def _propose_or_build(self) -> None:
        if not self._may_propose():
            return
        pledges = self._pledges
        if pledges.accepted is None:
            self._out.append(BuildBlock(self._height, self.term, self._parent_id))
        elif not pledges.has_accepted:
            self._propose(pledges.accepted)

    def _propose(self, block: Block) -> None:
        # The proposal may leave before anything is durable: who crashes now never leads this term again.
        self._out.append(Broadcast(self._make_proposal(block, self._office.announce())))
        self._accept(block)

    def _make_proposal(self, block: Block, election: Election | None) -> Proposal:
        return Proposal(self._record.number, self._height, self.term, self._own, None, block, election)

    def _beat(self) -> None:
        counter, has_block = self._office.count_beat(), self._pledges.accepted is not None
        self._out.append(Broadcast(Beat(self._record.number, self._height, self.term, counter, has_block)))
        self._set_timer(TimerKind.BEAT, self._timeouts.heartbeat_ms)

    def _on_quorum_timer(self) -> None:
        if self._role is not Role.LEADER:
            return
        has_block = self._pledges.accepted is not None
        if not self._office.is_tenable(has_block=has_block):
            self._role, self._leader = Role.FOLLOWER, None
            self._await_election()
            return
        self._set_timer(TimerKind.QUORUM, self._timeouts.election_ms_max)
        if self._office.hand_over is not HandOverState.NONE and not has_block:
            # Nobody took the office.
            self._office.hand_over = HandOverState.NONE
            self._propose_or_build()

    def _want_hand_over(self) -> None:
        if len(self._record.validators) > 1:
            self._office.hand_over = HandOverState.WANTED
            self._beat()

    def _on_status(self, sender: int, status: Status) -> None:
        if status.term > self.term:
            self._enter_term(status.term)
        if self._role is not Role.LEADER or sender == self._own:
            return
        if status.height < self._height:
            if self._office.needs_decision(sender, status):
                self._out.append(ServeDecided(sender, status.height))
        elif (status.height, status.term) == (self._height, self.term):
            self._help_follower(sender, status)

    def _help_follower(self, sender: int, status: Status) -> None:
        office, block = self._office, self._pledges.accepted
        if block is None:
            if office.hand_over is HandOverState.WANTED and not self._is_decided:
                office.hand_over = HandOverState.ASKED
                self._out.append(Send(sender, HandOver(self._record.number, self._height, self.term)))
        elif not self._is_decided and status.step is Step.IDLE and office.needs_proposal(sender, status):
            self._out.append(Send(sender, self._make_proposal(block, office.election)))

    # --- the follower

    def _on_beat(self, sender: int, beat: Beat) -> None:
        if sender == self._own:
            return
        if beat.term > self.term:
            self._enter_term(beat.term)
        if beat.term == self.term:
            if self._role is Role.LEADER:
                self._alarm(f"validator {sender} claims to lead term {self.term}, which we lead")
                return
            self._heed(sender)
            if beat.height < self._height:
                self._out.append(ServeDecided(sender, beat.height))
            elif beat.has_block and beat.height == self._height and self._pledges.has_accepted:
                self._out.append(Send(sender, self._pledges.make_ack()))
        self._send_status(sender, beat.counter)

    def _send_status(self, to: int, beat_counter: int = 0) -> None:
        step = Step.IDLE
        if self._pledges.has_accepted:
            step = Step.ACCEPTED
        elif self._is_decided or self._trust.is_refused(self.term) or self._proposed.is_checking(self.term):
            step = Step.CHECKING
        self._out.append(Send(to, Status(self._record.number, self._height, self.term, beat_counter, step)))

    def _on_proposal(self, sender: int, proposal: Proposal) -> None:
        if sender == self._own or proposal.height != self._height or self._is_decided:
            return
        if proposal.view < self.term:
            self._send_status(sender)
            return
        if proposal.view > self.term:
            self._enter_term(proposal.view)
        election = proposal.election
        if election is not None and is_elected(election, self._record):
            for evidence in self._witness.hear_election(election):
                self._out.append(ReportEvidence(evidence))
            if (election.claim.term, election.claim.candidate) == (self.term, sender):
                self._trust.prove(election)
        if self._role is Role.LEADER or self._trust.is_refused(self.term):
            return
        if not self._trust.is_proven(self.term, sender):
            # Our status will tell the leader that we are idle, and it will repeat itself with the proof.
            return
        self._heed(sender)
        self._consider(proposal)

    def _consider(self, proposal: Proposal) -> None:
        """Check what can be told without execution, then have the block executed."""
        block, accepted = proposal.block, self._pledges.accepted
        if self._trust.is_broken(self._height, block.id):
            self._refuse(proposal, "another block than it claimed")
        elif not self._is_next(block):
            self._refuse(proposal, "a block that does not follow ours")
        elif (certificate := self._proposed.find_certificate(block.id)) is not None:
            self._decide(block, certificate)
        elif accepted is not None and self._pledges.has_accepted:
            if accepted.id == block.id:
                self._out.append(Send(proposal.proposer, self._pledges.make_ack()))
        elif accepted is not None and accepted.id == block.id:
            self._accept(block)
        elif self._proposed.take_up(proposal):
            self._out.append(CheckBlock(block))
        elif self._proposed.checking is proposal and self._proposed.is_unwelcome:
            self._weigh(proposal)

    def _weigh(self, proposal: Proposal) -> None:
        """Accept a valid block of our term. One that is unwelcome only if its leader was elected with it:
        then a majority may stand behind it. Otherwise it waits, and its leader loses our patience."""
        block = proposal.block
        if proposal.view != self.term:
            self._proposed.put_away()
        elif not self._proposed.is_unwelcome or self._trust.is_backed(self._height, block.id):
            self._accept(block)
        elif self._trust.doubt(self.term):
            self._lease = False
            self._await_election()

    def _refuse(self, proposal: Proposal, what: str) -> None:
        """Give a leader up that no correct one could be: its term gets no acknowledgement and no patience."""
        self._alarm(f"leader {proposal.proposer} of term {proposal.view} proposed {what}")
        if proposal.view == self.term:
            self._trust.refuse(self.term)
            self._lease = False
            self._await_election()

    def _is_next(self, block: Block) -> bool:
        return self._course.is_next(block, self._height, self._parent_id)

    def _accept(self, block: Block) -> None:
        """Promise to stand behind a block that was executed, and say so once the promise is durable."""
        self._pledges.accept(block)
        self._proposed.put_away()
        self._persist()
        self._out.append(Broadcast(self._pledges.make_ack()))

    def _on_hand_over(self, sender: int, message: HandOver) -> None:
        is_ours = (message.height, message.term) == (self._height, self.term) and not self._is_decided
        if is_ours and self._role is Role.FOLLOWER and sender == self._leader:
            self._campaign(is_pre=False)

    # --- decisions

    def _on_vote(self, vote: Vote) -> None:
        if not self._is_decided and (found := self._proposed.add_ack(vote, self._pledges.accepted)):
            self._decide(*found)

    def _on_decided(self, sender: int, decided: Decided) -> None:
        block, certificate = decided.block, decided.certificate
        if self._is_decided or block.height != self._height:
            return
        if is_decision(decided, self._record) and self._is_next(block):
            self._decide(block, certificate)
        else:
            self._alarm(f"validator {sender} sent a decision that does not hold at height {self._height}")

    def _decide(self, block: Block, certificate: Certificate) -> None:
        self._is_decided = True
        self._proposed.put_away()
        self._hear_certificates(block.last_certificate, certificate)
        self._out.append(CommitBlock(block, certificate))

    # --- the rest

    def _dispatch(self, sender: int, message: Message) -> None:
        match message:
            case Vote():
                self._on_vote(message)
            case Proposal():
                self._on_proposal(sender, message)
            case Beat():
                self._on_beat(sender, message)
            case Status():
                self._on_status(sender, message)
            case VoteRequest():
                self._on_vote_request(sender, message.claim)
            case Grant():
                self._on_grant(message)
            case Decided():
                self._on_decided(sender, message)
            case HandOver():
                self._on_hand_over(sender, message)
            case BftStatus() | PolkaShown() | VoteBundle():
                pass
            case _:
                assert_never(message)

    def _hear_certificates(self, *certificates: Certificate | None) -> None:
        for certificate in certificates:
            self._out += map(ReportEvidence, self._witness.hear_certificate(certificate))

    def _persist(self) -> None:
        self._out.append(PersistSafety(self._pledges.make_record()))

    def _set_timer(self, kind: TimerKind, delay_ms: int) -> None:
        self._out.append(self._timers.set(kind, self._height, self.term, delay_ms))

    def _jitter_ms(self) -> int:
        spread_ms = self._timeouts.election_ms_max - self._timeouts.election_ms_min
        return compute_jitter_ms(
            spread_ms, self._key, self._record.number, self._height, self.term, self._timers.count
        )

    def _alarm(self, reason: str) -> None:
        self._out.append(Alarm(reason))

    def _take(self) -> list[Effect]:
        effects, self._out = self._out, []
        return effects
