"""What happens to consensus: the closed list of inputs of `Consensus.step`.

The driver makes them, one at a time, in the order in which things happened; the same inputs in the same order
give the same effects. See `effects.py` for the other direction and for the contract between the two.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from protocol.chain.block import Block
from protocol.chain.certificate import Certificate
from protocol.chain.validators import EpochRecord
from protocol.consensus.messages import Message
from protocol.consensus.safety import SafetyRecord
from protocol.consensus.timeouts import TimerKey
from protocol.types import BlockId, EpochNumber, Height, PublicKey, TimeMs, View


@dataclass(frozen=True, slots=True)
class Start:
    """Begin, first and once.

    Args:
        restored: the newest record that was persisted, whatever its height; None when there is none.
        is_held: only follow until `Released`: whether the key may sign is not known yet (W6).
    """

    restored: SafetyRecord | None = None
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class Released:
    """The key may sign: take part, if we are a validator. Nothing happens when nobody was held."""


@dataclass(frozen=True, slots=True)
class Received:
    """A validator's message arrived, or our own came back signed.

    Args:
        sender: from the authenticated link, as index in an epoch record; our own for what we signed.
        message: if it is of that epoch, all of `messages.list_signature_checks` held under that record.
        epoch: number of that record. A message that waited over the end of its epoch means nothing any more:
            its sender may have another index now, and nobody verified it under the new keys.
        waited_ms: of a proposal, how long ago the timer `PROPOSE` of its round was set; 0 when it was not.
    """

    sender: int
    message: Message
    epoch: EpochNumber
    waited_ms: int = 0


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer ran out. Late ones are harmless, so nothing needs to be cancelled."""

    key: TimerKey


@dataclass(frozen=True, slots=True)
class BlockBuilt:
    """Answer `BuildBlock`: a block of our own, executed, so its roots are right."""

    height: Height
    view: View
    block: Block


class Verdict(IntEnum):
    """What a node says of a block that was proposed to it."""

    VALID = 1
    """It follows every rule, and its roots are those of its execution."""
    UNWELCOME = 2
    """It is valid, but this node does not want it while it is fresh: its time is ahead of our clock, or it
    leaves out what has waited too long. Others may see that differently, so once a quorum may stand behind
    it, it counts as valid: a matter of taste never stops a height."""
    INVALID = 3
    """It breaks a rule, for everybody and for ever."""


@dataclass(frozen=True, slots=True)
class BlockChecked:
    """Answer `CheckBlock`. An unwelcome block may become valid later: then the answer comes a second time."""

    block_id: BlockId
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class OwnKey:
    """Our consensus key from an epoch on (M12).

    Args:
        is_held: only follow until `Released`, as with `Start`.
    """

    public_key: PublicKey
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class BlockCommitted:
    """A block is final and stored, by `CommitBlock` or by block sync.

    Args:
        height: above the last committed one; block sync may report only the last of several.
        certificate: its own, that the next block will carry.
        next_record: record of the next epoch when this block is a seal; None otherwise.
        own: our key in that epoch; None: the one so far.
    """

    height: Height
    block_id: BlockId
    time_ms: TimeMs
    certificate: Certificate
    next_record: EpochRecord | None = None
    own: OwnKey | None = None


@dataclass(frozen=True, slots=True)
class HandOverAsked:
    """The operator wants another leader (orderly shutdown); nothing happens when we do not lead."""


@dataclass(frozen=True, slots=True)
class WorkWaiting:
    """Something waits to be put into a block, here and soon everywhere.

    The wait for a proposal begins; on an idle chain nobody is late: rounds of BFT would pass for nothing, and
    leaders of Raft lose their office. To be told once a height when something comes that could stand in the
    next block, or is left over by the last one. Without it a proposer of BFT that is gone is noticed only
    when even the heartbeat block is overdue, and a leader of Raft that beats but makes no blocks, not at all.
    """


Input: TypeAlias = (
    Start
    | Released
    | Received
    | TimerFired
    | BlockBuilt
    | BlockChecked
    | BlockCommitted
    | HandOverAsked
    | WorkWaiting
)
