"""What consensus asks for: the closed list of effects, and the contract with the driver that performs them.

Contract:
    1. Effects of one step are carried out in list order, and steps in their order.
    2. Every `PersistSafety` before a `Send` or `Broadcast` is durable before that message leaves. Several
       steps may share one sync.
    3. Messages come unsigned. The driver signs those that `messages.compute_sign_digest` names, after the
       barrier of rule 2. A `Broadcast` goes to all other validators; its signed form comes back to us as
       `Received(own index, message)`. A `Send` to our own index does only the latter.
    4. A `SetTimer` replaces the timer of the same kind. (Replacing is only thrift: stale keys do nothing.)
    5. `BuildBlock` and `CheckBlock` are asynchronous and may never answer. The builder waits for
       transactions, the batch window or the heartbeat block: that is how there are no empty blocks. A newer
       `BuildBlock` makes the older one void. Several blocks may be under check at once. Who builds nothing
       hears by `WorkWaiting` that others should.
    6. `CommitBlock` may name a block that was never checked in this process (another node's decision, or
       after a restart): the driver executes it then. A certified block whose roots differ stops the node.
       The block, its certificate, the state and the epoch are one write transaction, which need not be
       synced before the next `PersistSafety` is; then `BlockCommitted` follows, once a height.
    7. A crash may fall between any two effects. A restart is a new `Consensus` over what is durable, then
       `Start` with the last durable safety record.
"""

from dataclasses import dataclass
from typing import TypeAlias

from protocol.chain.block import Block
from protocol.chain.certificate import Certificate
from protocol.chain.evidence import Evidence
from protocol.consensus.messages import Message
from protocol.consensus.safety import SafetyRecord
from protocol.consensus.timeouts import TimerKey
from protocol.types import BlockId, Height, View


@dataclass(frozen=True, slots=True)
class PersistSafety:
    """Overwrite the one safety record: a promise that a later message relies on."""

    record: SafetyRecord


@dataclass(frozen=True, slots=True)
class Send:
    """Sign (if of a signed kind) and send to one validator; to ourselves: sign and hand back."""

    validator: int
    message: Message


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Sign (if of a signed kind), send to all other validators and hand back to ourselves."""

    message: Message


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Ask for `TimerFired(key)` after a delay."""

    key: TimerKey
    delay_ms: int


@dataclass(frozen=True, slots=True)
class BuildBlock:
    """Ask for a block on a parent, as the leader of a view; answered by `BlockBuilt` when there is one.

    Args:
        parent_id: the last committed block; under BFT also one that was checked and may be decided soon.
    """

    height: Height
    view: View
    parent_id: BlockId


@dataclass(frozen=True, slots=True)
class CheckBlock:
    """Ask for execution of a proposed block, nothing written; answered by `BlockChecked`."""

    block: Block


@dataclass(frozen=True, slots=True)
class CommitBlock:
    """Make a block final; answered by `BlockCommitted`."""

    block: Block
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class ServeDecided:
    """Send a validator `Decided` with the stored block of a height and its certificate; it lags."""

    validator: int
    height: Height


@dataclass(frozen=True, slots=True)
class RequestSync:
    """Fetch blocks up to a height by block sync; a validator that should have them is named."""

    validator: int
    target_height: Height


@dataclass(frozen=True, slots=True)
class ReportEvidence:
    """Two signed statements convict a validator: keep it for a block and tell the operator."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Alarm:
    """Tell the operator something that no correct validator causes; consensus goes on as far as is safe."""

    reason: str


Effect: TypeAlias = (
    PersistSafety
    | Send
    | Broadcast
    | SetTimer
    | BuildBlock
    | CheckBlock
    | CommitBlock
    | ServeDecided
    | RequestSync
    | ReportEvidence
    | Alarm
)
