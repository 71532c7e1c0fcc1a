"""Consensus: the one machine that the driver steps. It knows where the chain is; the engine, how to agree.

    step(input) -> [effect, ...]

It holds the epoch record, the committed height and the engine of the epoch; buffers what is of the next
heights; sends laggards what is final; asks for block sync when it lags itself; and crosses epochs: the commit
of a seal is the only trigger, and the new engine keeps nothing of the old one.

It has no clock, chance, disk, network, keys or log. See `effects.py` for the contract with the driver, and
`raft.py` and `bft.py` for the protocols.

*Source*: consensus.md 1.3 (M3, M4, M7 to M9), 2.4 (W5), 3.1.
"""

from typing import Final, assert_never

from protocol.chain.certificate import Vote
from protocol.chain.validators import EngineKind, EpochRecord
from protocol.consensus.bft import Bft
from protocol.consensus.effects import Alarm, Effect, RequestSync, ServeDecided
from protocol.consensus.inputs import (
    BlockBuilt,
    BlockChecked,
    BlockCommitted,
    HandOverAsked,
    Input,
    Received,
    Released,
    Start,
    TimerFired,
    WorkWaiting,
)
from protocol.consensus.messages import (
    Decided,
    Message,
    PolkaShown,
    Proposal,
    VoteBundle,
    epoch_of,
    height_of,
)
from protocol.consensus.raft import Raft
from protocol.consensus.safety import BftSafety, RaftSafety, SafetyRecord
from protocol.consensus.timeouts import Timeouts
from protocol.types import BlockId, Hash32, Height, PublicKey, View

BUFFER_HEIGHTS: Final = 2
"""Heights above the undecided one whose proposals and votes wait for it (M9)."""

BUFFER_MESSAGES_MAX: Final = 64
"""Messages that wait for one of these heights; of each validator one proposal at most."""

SYNC_LAG_HEIGHTS: Final = 2
"""A validator this far above us makes us ask for block sync; below that, decisions come by themselves."""


class Consensus:
    """Agree on block after block, over epochs.

    *Rules*: 1. nothing is accepted, proposed or voted above the undecided height (M3). 2. of another epoch
    nothing counts (M4). 3. a node that is no validator of the epoch, whose safety record is ahead of its
    chain (W5), or that is held, only follows.

    Args:
        own_key: our consensus key; whether it validates is read from the record. Each seal may bring another.
        record: of the epoch that certifies `height` + 1.
        height: last committed height, durable; 0 at genesis.
        block_id: of that block; the genesis hash at height 0.
    """

    __slots__ = (
        "_block_id",
        "_buffers",
        "_engine",
        "_genesis_hash",
        "_height",
        "_is_held",
        "_is_started",
        "_own_key",
        "_record",
        "_restored",
        "_sync_target",
        "_timeouts",
    )

    def __init__(
        self,
        genesis_hash: Hash32,
        own_key: PublicKey,
        record: EpochRecord,
        height: Height,
        block_id: BlockId,
        timeouts: Timeouts,
    ) -> None:
        self._genesis_hash = genesis_hash
        self._own_key = own_key
        self._record = record
        self._height = height
        self._block_id = block_id
        self._timeouts = timeouts
        self._engine: Raft | Bft | None = None
        self._restored: SafetyRecord | None = None
        self._buffers: dict[Height, list[tuple[int, Message]]] = {}
        self._sync_target = height
        self._is_started = False
        self._is_held = False

    # --- what the outside may look at

    @property
    def record(self) -> EpochRecord:
        """Return the record of the epoch that certifies the undecided height."""
        return self._record

    @property
    def own_index(self) -> int | None:
        """Return our place in the record; None when we do not validate this epoch."""
        return self._record.index_of(self._own_key)

    @property
    def height(self) -> Height:
        """Return the undecided height: the last committed one + 1."""
        return Height(self._height + 1)

    @property
    def term(self) -> View:
        """Return the current term or round; 0 while we only follow."""
        return View(0) if self._engine is None else self._engine.term

    @property
    def leader(self) -> int | None:
        """Return the validator who leads the term or proposes in the round, as far as we know."""
        return None if self._engine is None else self._engine.leader

    @property
    def is_validating(self) -> bool:
        """Tell whether we take part in this epoch, not only follow."""
        return self._engine is not None

    @property
    def engine(self) -> Raft | Bft | None:
        """Return the engine of the epoch, to look at."""
        return self._engine

    # --- the one door

    def step(self, event: Input) -> list[Effect]:
        """Take one input and return what is to be done, in order."""
        if isinstance(event, Start):
            assert not self._is_started, "started twice"
            self._is_started, self._is_held = True, event.is_held
            return self._begin(event.restored)
        assert self._is_started, "not started"
        if isinstance(event, BlockCommitted):
            return self._on_committed(event)
        if isinstance(event, Received):
            is_current = event.epoch == self._record.number
            return self._on_received(event.sender, event.message, event.waited_ms) if is_current else []
        if isinstance(event, Released):
            was_held, self._is_held = self._is_held, False
            return self._begin(self._restored) if was_held else []
        engine = self._engine
        if engine is None:
            return []
        match event:
            case TimerFired():
                return engine.fire(event.key)
            case BlockBuilt():
                return engine.built(event.height, event.view, event.block)
            case BlockChecked():
                return engine.checked(event.block_id, event.verdict)
            case HandOverAsked():
                return engine.ask_hand_over()
            case WorkWaiting():
                return engine.wake()
            case _:
                assert_never(event)

    # --- epochs

    def _begin(self, restored: SafetyRecord | None, *, is_crossing: bool = False) -> list[Effect]:
        """Open the engine of the epoch at the undecided height, or only follow.

        *Rules*: a safety record of an earlier epoch promises nothing here (M4); one that is ahead of the
        chain says that blocks were lost from our disk, and waits until the chain is there again (W5).
        """
        own = self.own_index
        if restored is not None and restored.epoch < self._record.number:
            restored = None
        if self._is_held:
            self._restored = restored
            return []
        was_waiting, self._restored = self._restored is not None, None
        if restored is not None and (restored.epoch, restored.height) > (self._record.number, self.height):
            self._restored = restored
            return (
                []
                if was_waiting
                else [
                    Alarm(
                        f"safety record of height {restored.height}, chain ends at {self._height}: "
                        "following until it is caught up"
                    )
                ]
            )
        if own is None:
            return []
        match self._record.engine:
            case EngineKind.RAFT:
                assert restored is None or isinstance(restored, RaftSafety), "not a record of this epoch"
                raft = self._engine = Raft(
                    self._genesis_hash, self._record, own, self.height, self._block_id, self._timeouts
                )
                return raft.start(restored, is_crossing=is_crossing)
            case EngineKind.BFT:
                assert restored is None or isinstance(restored, BftSafety), "not a record of this epoch"
                bft = self._engine = Bft(
                    self._genesis_hash, self._record, own, self.height, self._block_id, self._timeouts
                )
                return bft.start(restored)
            case _:
                assert_never(self._record.engine)

    def _on_committed(self, event: BlockCommitted) -> list[Effect]:
        if event.height <= self._height:
            return []
        self._height, self._block_id = event.height, event.block_id
        heard = [] if self._engine is None else self._engine.hear_certificate(event.certificate)
        return heard + self._go_on(event)

    def _go_on(self, event: BlockCommitted) -> list[Effect]:
        if event.next_record is not None:
            assert event.next_record.first_height == self.height, "the next epoch starts right after its seal"
            self._record, self._engine = event.next_record, None
            self._buffers.clear()
            if event.own is not None:
                self._own_key, self._is_held = event.own.public_key, event.own.is_held
            return self._begin(self._restored, is_crossing=True)
        if self._engine is None:
            return self._begin(self._restored) if self._restored is not None else []
        effects = self._engine.advance(self.height, self._block_id)
        return effects + self._replay()

    # --- messages

    def _on_received(self, sender: int, message: Message, waited_ms: int) -> list[Effect]:
        epoch, height = epoch_of(message), height_of(message)
        if epoch < self._record.number:
            # Its sender has not crossed yet; the block it lacks is what helps (M9). Late votes are normal,
            # and to answer a decision by a decision would never end.
            is_place = not isinstance(message, Vote | Decided | PolkaShown | VoteBundle)
            is_place = is_place and height <= self._height
            is_place = is_place and sender != self.own_index
            return [ServeDecided(sender, height)] if is_place else []
        effects = self._follow_up(sender, epoch, height, message)
        if epoch > self._record.number or self._engine is None:
            return effects
        if height > self.height and isinstance(message, Proposal | Vote):
            self._buffer(sender, height, message)
            return effects
        if isinstance(message, Proposal) and isinstance(self._engine, Bft):
            self._engine.note_arrival(message, waited_ms)
        return effects + self._engine.receive(sender, message)

    def _follow_up(self, sender: int, epoch: int, height: Height, message: Message) -> list[Effect]:
        """Ask for block sync when a message shows that its sender is well ahead."""
        target = height if isinstance(message, Decided) else height - 1
        lag = SYNC_LAG_HEIGHTS if epoch == self._record.number and self._engine is not None else 1
        if target < self._height + lag or target <= self._sync_target:
            return []
        self._sync_target = Height(target)
        return [RequestSync(sender, Height(target))]

    def _buffer(self, sender: int, height: Height, message: Message) -> None:
        if height > self.height + BUFFER_HEIGHTS:
            return
        waiting = self._buffers.setdefault(height, [])
        if isinstance(message, Proposal):
            waiting[:] = [w for w in waiting if not (w[0] == sender and isinstance(w[1], Proposal))]
        if len(waiting) < BUFFER_MESSAGES_MAX:
            waiting.append((sender, message))

    def _replay(self) -> list[Effect]:
        effects: list[Effect] = []
        for height in sorted(h for h in self._buffers if h <= self.height):
            waiting = self._buffers.pop(height)
            if height == self.height and self._engine is not None:
                for sender, message in waiting:
                    effects += self._engine.receive(sender, message)
        return effects
