"""Tendermint for blocks: one engine instance serves one epoch and agrees on one height after the other.

The protocol of the paper, in the words of its lines: a height has rounds; a round has a proposer, who
proposes a block; validators prevote it (22, 28) or nil; a quorum of prevotes, a polka, makes them lock and
precommit it (36) or nil (44); a quorum of precommits decides it (49). Who is locked prevotes another block
only if it comes with a polka that is not older than the lock.

What is here beyond the paper, because the paper leaves it to a gossip that delivers everything:
    B1  A re-proposal carries its polka; without a valid one for exactly that block and view it is absent.
    B2  From round 1 on, a precommit for a block travels with its polka, so no lock is hidden.
    B3  Polkas and certificates are taken as a whole, whatever a signer said to us before (`rounds.py`).
    B4  Of a round two blocks are kept: the first proposed and one that a polka or certificate stands behind.
    B5  Rounds near ours are kept, one vote of each validator, round and kind (`rounds.py`).
    B6  Who signed a proposal in a round never signs another there, also over a crash.
    M3  Who proposes first at the height above does so early, on the block that it has just precommitted;
        votes are never early, and nothing is early across a seal. Others keep the proposal until they get
        there. If its parent loses, the proposal is nobody's, and its author is silent in that round (B6).
    B7  A block that was built late is proposed even when we have prevoted nil: others may still wait for it.
    B8  When no block can get a polka any more, nil is precommitted at once. The wait for precommits is never
        shortened: a decision may be on its way.
    B9  f + 1 validators in later rounds take us to the least of these, however far it is (`rounds.py`).
    Status: everybody says regularly where it is and what it has; others send what it lacks, the newest polka
    above all. After it the next proposer who is correct knows every lock of a correct node.

Departures from the paper:
    - A prevote signs the view of the polka that its proposal stood on, and who is locked on a block prevotes
      even that block again only with a polka not older than the lock (28 without "or lockedValue = v"). So
      two statements convict whoever forgets a lock, and nobody else (`conviction.py`).
    - A block is executed before it is prevoted or precommitted; a proposal or polka waits for that.
    - On an idle chain the first round does not time out: the wait begins when something waits to be put into
      a block, when a proposal is there, or when f + 1 others vote.
    - Block time against the own clock (B10) is the business of those who execute.

It does not know other epochs, buffers for later heights or block sync (`engine.py`), nor clocks and disks.

*Source*: consensus.md 2.3 to 2.5; Buchman, Kwon, Milosevic, The latest gossip on BFT consensus, 2018.
"""

from typing import Final, assert_never

from protocol.chain.block import Block
from protocol.chain.certificate import Certificate, Vote, VoteKind
from protocol.chain.validators import EpochRecord
from protocol.consensus.arrivals import Arrivals
from protocol.consensus.conviction import Witness
from protocol.consensus.course import Course
from protocol.consensus.effects import (
    Alarm,
    Broadcast,
    BuildBlock,
    CheckBlock,
    CommitBlock,
    Effect,
    ReportEvidence,
    Send,
    ServeDecided,
)
from protocol.consensus.exchange import Exchange
from protocol.consensus.heard import Heard
from protocol.consensus.inputs import Verdict
from protocol.consensus.messages import (
    Beat,
    BftStatus,
    Decided,
    Grant,
    HandOver,
    Message,
    Phase,
    PolkaShown,
    Proposal,
    Signed,
    Status,
    VoteBundle,
    VoteRequest,
    signer_of,
)
from protocol.consensus.polka import Polka, list_votes
from protocol.consensus.promises import FIRST_VIEW, Promises
from protocol.consensus.rounds import is_near
from protocol.consensus.safety import BftSafety
from protocol.consensus.timeouts import Timeouts, TimerKey, TimerKind, compute_round_ms
from protocol.consensus.timers import Timers
from protocol.consensus.votes import is_decision
from protocol.params import HEARTBEAT_BLOCK_SECONDS
from protocol.types import BlockId, Hash32, Height, View

IDLE_MS: Final = HEARTBEAT_BLOCK_SECONDS * 1_000
"""On an idle chain a proposer is late when even the heartbeat block does not come."""


class Bft:
    """Agree on the blocks of one epoch.

    Args:
        record: of the epoch.
        own: our index in it.
        height: the undecided height.
        parent_id: of the block below it.
    """

    __slots__ = (
        "_arrivals",
        "_course",
        "_exchange",
        "_heard",
        "_height",
        "_is_awake",
        "_is_decided",
        "_out",
        "_own",
        "_parent_id",
        "_phase",
        "_promises",
        "_record",
        "_timeouts",
        "_timers",
        "_view",
        "_waited",
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
        self._timeouts = timeouts
        self._arrivals = Arrivals(len(record.validators))
        self._witness = Witness(record)
        self._exchange = Exchange(record.number, len(record.validators), own)
        self._timers = Timers(record.number)
        self._out: list[Effect] = []
        self._begin_height(height, parent_id)

    def _begin_height(self, height: Height, parent_id: BlockId) -> None:
        self._height = height
        self._parent_id = parent_id
        self._is_decided = False
        self._is_awake = False

        # Changed only together with a PersistSafety before the next signature.
        self._promises = Promises(self._record.number, height, self._own)

        # This round. Its view is never below that of a promise.
        self._view = FIRST_VIEW
        self._phase = Phase.PROPOSE
        self._waited: set[TimerKind] = set()
        self._heard = Heard(self._course, height, parent_id)

    # --- what the outside may look at

    @property
    def term(self) -> View:
        """Return the current round."""
        return self._view

    @property
    def leader(self) -> int:
        """Return the proposer of the current round."""
        return self._course.proposer_of(self._height, self._view)

    @property
    def phase(self) -> Phase:
        """Return what we wait for in this round."""
        return self._phase

    @property
    def locked(self) -> tuple[View, BlockId] | None:
        """Return view and block of our lock."""
        return self._promises.locked

    @property
    def valid(self) -> tuple[View, BlockId] | None:
        """Return view and block of the newest polka that we could propose again."""
        valid = self._promises.valid
        return None if valid is None else (valid[0].view, valid[0].block_id)

    # --- inputs

    def start(self, restored: BftSafety | None) -> list[Effect]:
        """Begin, with the promises of an earlier process if there are any.

        Args:
            restored: of this epoch, at most of this height; below it, it promises nothing (W5) but not to
                propose a second time where an early proposal was made.
        """
        if restored is None or restored.height != self._height:
            if restored is not None and restored.early and restored.height + 1 == self._height:
                self._promises.proposed_view = FIRST_VIEW
            self._begin_view(FIRST_VIEW)
        else:
            self._restore(restored)
        self._on_status_timer()
        self._react()
        return self._take()

    def receive(self, sender: int, message: Message) -> list[Effect]:
        """Take a message of this epoch whose signatures hold.

        Args:
            message: a proposal or vote above the undecided height waits in `engine.py`.
        """
        match message:
            case Vote() | Proposal():
                if signer_of(message) != sender:
                    self._alarm(f"validator {sender} sent a message of validator {signer_of(message)}")
                else:
                    self._hear(message)
            case PolkaShown():
                self._on_polka_shown(message)
            case BftStatus():
                self._on_status(sender, message)
            case VoteBundle():
                self._on_bundle(message)
            case Decided():
                self._on_decided(sender, message)
            case VoteRequest() | Grant() | Beat() | Status() | HandOver():
                pass
            case _:
                assert_never(message)
        self._react()
        return self._take()

    def note_arrival(self, proposal: Proposal, waited_ms: int) -> None:
        """Learn how long a proposal of another took, so that its like is waited for."""
        is_first = proposal.height == self._height and proposal.view not in self._heard.proposals
        if is_first and self._is_awake and proposal.proposer != self._own:
            self._arrivals.note(proposal.proposer, waited_ms)

    def fire(self, key: TimerKey) -> list[Effect]:
        """Take the end of a timer; any but the newest of its kind does nothing."""
        if self._timers.end(key):
            if key.kind is TimerKind.STATUS:
                self._on_status_timer()
            elif (key.height, key.view) == (self._height, self._view) and not self._is_decided:
                self._on_round_timer(key.kind)
                self._react()
        return self._take()

    def wake(self) -> list[Effect]:
        """Begin the wait for a proposal: something waits to be put into a block."""
        self._wake()
        return self._take()

    def built(self, height: Height, view: View, block: Block) -> list[Effect]:
        """Take the block that we asked for; propose it if nothing was proposed in its round (B6, B7)."""
        if (height, view) == (self._height + 1, FIRST_VIEW):
            self._propose_early(block)
        elif (height, view) == (self._height, self._view) and self._is_my_turn():
            assert self._heard.is_next(block), "the builder made a block that does not follow its parent"
            self._wake()
            self._heard.blocks.keep(view, block)
            self._heard.blocks.judge(block.id, Verdict.VALID)
            self._propose(block, None)
            self._react()
        return self._take()

    def checked(self, block_id: BlockId, verdict: Verdict) -> list[Effect]:
        """Take the verdict on a block."""
        if self._heard.blocks.judge(block_id, verdict):
            if verdict is Verdict.INVALID:
                self._alarm(f"an invalid block was proposed at height {self._height}")
            self._react()
        return self._take()

    def hear_certificate(self, certificate: Certificate) -> list[Effect]:
        """Take note of who signed a certificate of this epoch, which holds, wherever it came from."""
        self._hear_certificates(certificate)
        return self._take()

    def advance(self, height: Height, parent_id: BlockId) -> list[Effect]:
        """Go on to the next undecided height: the one below is final and stored. Locks end with theirs."""
        is_proposed = self._promises.has_early and height == self._height + 1
        self._begin_height(height, parent_id)
        if is_proposed:
            self._promises.proposed_view = FIRST_VIEW
        self._begin_view(FIRST_VIEW)
        self._set_timer(TimerKind.STATUS, self._timeouts.status_idle_ms)
        return self._take()

    def ask_hand_over(self) -> list[Effect]:
        """Do nothing: the proposer changes by itself."""
        return []

    # --- rounds

    def _begin_view(self, view: View, phase: Phase = Phase.PROPOSE) -> None:
        self._view, self._phase = view, phase
        self._waited.clear()
        valid = self._promises.valid
        self._heard.forget(view, None if valid is None else valid[0].block_id)
        if view > FIRST_VIEW or self._is_awake:
            self._wait_for_proposal()
        else:
            self._set_timer(TimerKind.PROPOSE, IDLE_MS + self._timeouts.propose_ms)
        self._propose_or_build()

    def _wait_for_proposal(self) -> None:
        self._is_awake = True
        timeouts = self._timeouts
        first_ms = self._arrivals.compute_patience_ms(timeouts.propose_ms)
        delay_ms = compute_round_ms(first_ms, timeouts.propose_step_ms, self._view)
        self._set_timer(TimerKind.PROPOSE, delay_ms)
        self._set_timer(TimerKind.STATUS, timeouts.status_ms)

    def _wake(self) -> None:
        if not self._is_awake and not self._is_decided and self._phase is Phase.PROPOSE:
            self._wait_for_proposal()

    def _on_round_timer(self, kind: TimerKind) -> None:
        match kind:
            case TimerKind.PROPOSE:
                if self._phase is Phase.PROPOSE:
                    self._say_prevote(None, None)
            case TimerKind.PREVOTE:
                if self._phase is Phase.PREVOTE:
                    self._say_precommit(None)
            case TimerKind.PRECOMMIT:
                self._begin_view(View(self._view + 1))
            case _:
                raise AssertionError(f"not a timer of BFT: {kind!r}")

    # --- the proposer

    def _is_my_turn(self) -> bool:
        """Tell whether we may still sign a proposal in this round (B6)."""
        return self.leader == self._own and self._promises.may_propose(self._view) and not self._is_decided

    def _propose_or_build(self) -> None:
        if not self._is_my_turn():
            return
        valid = self._promises.valid
        if valid is None:
            self._out.append(BuildBlock(self._height, self._view, self._parent_id))
        else:
            self._propose(valid[1], valid[0])

    def _propose(self, block: Block, polka: Polka | None) -> None:
        self._heard.blocks.keep(self._view, block)
        is_in_time = self._phase is Phase.PROPOSE
        self._out += self._promises.propose(self._view, block, polka, is_in_time=is_in_time)
        if is_in_time:
            self._phase = Phase.PREVOTE
            self._is_awake = True

    def _propose_early(self, block: Block) -> None:
        if self._promises.may_propose_early(self._course, block.header.parent_id):
            assert self._course.is_next(block, Height(self._height + 1), block.header.parent_id)
            self._out += self._promises.propose_early(block)

    # --- what others say

    def _hear(self, message: Vote | Proposal) -> None:
        """Take a vote or proposal from whoever handed it on."""
        self._bear_witness(message)
        if message.height != self._height:
            return
        if isinstance(message, Proposal):
            self._on_proposal(message)
        else:
            self._heard.add_vote(message, self._view)

    def _on_proposal(self, proposal: Proposal) -> None:
        heard = self._heard
        if heard.is_orphan(proposal) and not heard.is_next(proposal.block):
            return
        if not heard.is_proposer(proposal):
            self._alarm(f"validator {proposal.proposer} proposed what cannot be in round {proposal.view}")
        elif heard.is_founded(proposal):
            if proposal.polka is not None:
                self._hear_polka(proposal.polka)
            if heard.add_proposal(proposal, self._view):
                self._wake()

    def _hear_polka(self, polka: Polka) -> None:
        """Count the votes of a polka that was not known, and take it as a whole (B3)."""
        if self._heard.is_new(polka):
            for vote in list_votes(polka.votes, polka.valid_view):
                self._hear(vote)
            if is_near(polka.view, self._view):
                self._heard.rounds.add_polka(polka)

    def _on_polka_shown(self, message: PolkaShown) -> None:
        polka, block = message.polka, message.block
        if self._is_decided or not self._heard.is_ours(polka):
            return
        if polka.view > self._view:
            # A quorum was there, however far it is (B9).
            self._begin_view(polka.view)
        self._hear_polka(polka)
        self._heard.note_newest(polka)
        if block is not None and block.id == polka.block_id and self._heard.is_next(block):
            self._heard.blocks.keep(polka.view, block)

    def _on_bundle(self, bundle: VoteBundle) -> None:
        if bundle.height != self._height or self._is_decided:
            return
        for vote in bundle.votes:
            self._heard.rounds.note(vote)
        view = self._heard.rounds.skip_view
        if view > self._view and not is_near(view, self._view):
            # Before we read them: votes as far as these are not kept.
            self._begin_view(view)
        for vote in bundle.votes:
            self._hear(vote)
        if bundle.proposal is not None:
            self._hear(bundle.proposal)

    # --- rules of the paper

    def _react(self) -> None:
        """Apply the rules until none applies."""
        while not self._is_decided and (
            self._try_decide() or self._try_skip() or self._try_prevote() or self._try_precommit()
        ):
            pass
        if not self._is_decided:
            self._note_quorums()

    def _try_decide(self) -> bool:
        """Line 49, in any round."""
        for certificate in self._heard.rounds.certificates:
            block = self._heard.blocks.find(certificate.block_id)
            if block is not None:
                self._decide(block, certificate)
                return True
        return False

    def _try_skip(self) -> bool:
        """Line 55."""
        view = self._heard.rounds.skip_view
        if view <= self._view:
            if self._heard.rounds.get(FIRST_VIEW).voters >= self._heard.rounds.blocking:
                self._wake()
            return False
        self._begin_view(view)
        return True

    def _try_prevote(self) -> bool:
        """Lines 22 and 28. An unwelcome block is prevoted only when a polka stands behind it."""
        proposal = self._heard.proposals.get(self._view)
        if self._phase is not Phase.PROPOSE or proposal is None:
            return False
        is_allowed = self._promises.may_prevote(proposal.valid_view)
        verdict = self._judge(proposal.block) if is_allowed else Verdict.INVALID
        if verdict is None:
            return False
        if verdict is Verdict.VALID or (verdict is Verdict.UNWELCOME and proposal.valid_view is not None):
            self._say_prevote(proposal.block.id, proposal.valid_view)
        else:
            self._say_prevote(None, None)
        return True

    def _try_precommit(self) -> bool:
        """Lines 36 and 44; B8."""
        polka = self._heard.rounds.get(self._view).polka
        if polka is not None:
            self._heard.note_newest(polka)
        has_moved = self._follow_newest()
        if self._phase is not Phase.PREVOTE:
            return has_moved
        valid = self._promises.valid
        if valid is not None and valid[0].view == self._view:
            self._say_precommit(valid[0])
            return True
        if polka is None and self._heard.rounds.is_hopeless(self._view):
            self._say_precommit(None)
            return True
        return has_moved

    def _follow_newest(self) -> bool:
        """Stand on the newest polka once its block is executed; propose it if it is still our turn."""
        newest, valid = self._heard.newest, self._promises.valid
        if newest is None or (valid is not None and valid[0].view >= newest.view):
            return False
        if newest.view >= self._view and self._phase is Phase.PROPOSE:
            # First the prevote (22, 28), then the polka of the same round (36).
            return False
        block = self._heard.blocks.find(newest.block_id)
        if block is None or self._judge(block) in (None, Verdict.INVALID):
            return False
        self._promises.valid = (newest, block)
        if newest.view < self._view:
            self._propose_or_build()
        return True

    def _judge(self, block: Block) -> Verdict | None:
        """Return what execution says of a block; ask for it when that is not known."""
        verdict = self._heard.blocks.verdict(block.id)
        if verdict is None and self._heard.blocks.is_first_question(block.id):
            self._out.append(CheckBlock(block))
        return verdict

    def _note_quorums(self) -> None:
        """Begin the waits of lines 34 and 47, once a round each."""
        timeouts = self._timeouts
        delay_ms = compute_round_ms(timeouts.vote_ms, timeouts.vote_step_ms, self._view)
        is_waiting = self._phase is Phase.PREVOTE and TimerKind.PREVOTE not in self._waited
        if is_waiting and self._heard.rounds.has_quorum(self._view, VoteKind.PREVOTE):
            self._waited.add(TimerKind.PREVOTE)
            self._set_timer(TimerKind.PREVOTE, delay_ms)
        if TimerKind.PRECOMMIT not in self._waited and self._heard.rounds.has_quorum(
            self._view, VoteKind.PRECOMMIT
        ):
            self._waited.add(TimerKind.PRECOMMIT)
            self._set_timer(TimerKind.PRECOMMIT, delay_ms)

    # --- what we say

    def _say_prevote(self, block_id: BlockId | None, valid_view: View | None) -> None:
        self._out += self._promises.say_prevote(self._view, block_id, valid_view)
        self._phase = Phase.PREVOTE
        self._is_awake = True

    def _say_precommit(self, polka: Polka | None) -> None:
        """Lock on the block of a polka, or not at all; who proposes first above it asks for a block on it."""
        promises = self._promises
        self._out += promises.say_precommit(self._view, polka)
        self._phase = Phase.PRECOMMIT
        if polka is not None and promises.may_look_ahead(self._course):
            self._out.append(BuildBlock(Height(self._height + 1), FIRST_VIEW, polka.block_id))

    def _restore(self, record: BftSafety) -> None:
        """Stand where we last signed, and say the same again: it may not have left."""
        promises = self._promises
        promises.restore(record)
        if promises.valid is not None:
            polka, block = promises.valid
            self._heard.note_newest(polka)
            self._heard.blocks.keep(polka.view, block)
            self._heard.blocks.judge(block.id, Verdict.VALID)
        self._out += promises.say_again()
        self._is_awake = True
        self._begin_view(record.view, promises.phase_in(record.view))

    # --- status: what was lost is found again

    def _on_status_timer(self) -> None:
        self._exchange.begin_turn()
        self._out.append(Broadcast(self._make_status()))
        timeouts = self._timeouts
        self._set_timer(TimerKind.STATUS, timeouts.status_ms if self._is_awake else timeouts.status_idle_ms)

    def _make_status(self) -> BftStatus:
        return self._exchange.make_status(self._height, self._view, self._phase, self._heard, self._promises)

    def _on_status(self, sender: int, status: BftStatus) -> None:
        if sender == self._own:
            return
        if status.height < self._height:
            self._out.append(ServeDecided(sender, status.height))
        elif self._is_decided:
            return
        elif status.height > self._height:
            # It has what we lack; our own status asks for it.
            self._out.append(Send(sender, self._make_status()))
        else:
            found = self._exchange.list_help(sender, status, self._view, self._heard)
            self._out += [Send(sender, message) for message in found]

    # --- decisions

    def _on_decided(self, sender: int, decided: Decided) -> None:
        block, certificate = decided.block, decided.certificate
        if self._is_decided or block.height != self._height:
            return
        if not is_decision(decided, self._record) or not self._heard.is_next(block):
            self._alarm(f"validator {sender} sent a decision that does not hold at height {self._height}")
            return
        self._decide(block, certificate)

    def _decide(self, block: Block, certificate: Certificate) -> None:
        self._is_decided = True
        self._hear_certificates(block.last_certificate, certificate)
        self._out.append(CommitBlock(block, certificate))

    # --- the rest

    def _bear_witness(self, message: Signed) -> None:
        evidence = self._witness.hear(message)
        if evidence is not None:
            self._out.append(ReportEvidence(evidence))

    def _hear_certificates(self, *certificates: Certificate | None) -> None:
        for certificate in certificates:
            self._out += map(ReportEvidence, self._witness.hear_certificate(certificate))

    def _set_timer(self, kind: TimerKind, delay_ms: int) -> None:
        self._out.append(self._timers.set(kind, self._height, self._view, delay_ms))

    def _alarm(self, reason: str) -> None:
        self._out.append(Alarm(reason))

    def _take(self) -> list[Effect]:
        effects, self._out = self._out, []
        return effects
