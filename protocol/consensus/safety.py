"""The safety record: all that a validator must remember over a crash so as not to break its word.

One record, overwritten as a whole before any signature that relies on it leaves (W1, W2). It carries the
block that was accepted, so the body is durable before the vote on it (W3), and its content is what was
signed, so a crash between persisting and sending signs the same bytes again.

It does not know where it is kept. *Source*: consensus.md 2.4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocol import codec
from protocol.chain.block import Block
from protocol.codec import Reader, Value
from protocol.errors import Code, Rejected
from protocol.params import BLOCK_BYTES_MAX, INT64_MAX, VALIDATORS_MAX
from protocol.types import EpochNumber, Height, View

SAFETY_VERSION: Final = 1
SAFETY_BYTES_MAX: Final = BLOCK_BYTES_MAX + 1_024


@dataclass(frozen=True, slots=True)
class SafetyRecord:
    """Remember the promises of a Raft validator.

    *Rules*: 1. never goes back: (epoch, term), and within a term `voted_for` once set. 2. `accepted_term` is
    0 exactly when `accepted` is None, and never above `term`.

    Args:
        height: the undecided height that `accepted` is of.
        term: highest term in which this node granted, campaigned or acknowledged.
        voted_for: who got our grant in `term`; None when nobody did.
        accepted_term: term of our acknowledgement of `accepted`.
        accepted: block that we acknowledged at `height`; None when none.
    """

    epoch: EpochNumber
    height: Height
    term: View
    voted_for: int | None
    accepted_term: View
    accepted: Block | None

    def encode(self) -> bytes:
        """Encode the record with the accepted block."""
        return codec.encode(
            (
                SAFETY_VERSION,
                self.epoch,
                self.height,
                self.term,
                self.voted_for,
                self.accepted_term,
                None if self.accepted is None else self.accepted.encode(),
            )
        )


def decode_safety(data: bytes, decode_block: Callable[[bytes], Block]) -> SafetyRecord:
    """Decode a safety record.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`, and what `decode_block` raises.
    """
    fields = Reader(codec.decode(data, SAFETY_BYTES_MAX), "safety record", 7)
    fields.integer(SAFETY_VERSION, SAFETY_VERSION)
    epoch = EpochNumber(fields.uint(32))
    height = Height(fields.integer(1, INT64_MAX))
    term = View(fields.integer(0, INT64_MAX))
    voted_for = _read_voted_for(fields.any())
    accepted_term = View(fields.integer(0, INT64_MAX))
    body: Value = fields.any()
    if body is None:
        accepted = None
    elif type(body) is bytes:
        accepted = decode_block(body)
    else:
        raise Rejected(Code.MALFORMED, "safety record: accepted is neither nil nor bytes")
    if (accepted is None) != (accepted_term == 0) or accepted_term > term:
        raise Rejected(Code.MALFORMED, "safety record: accepted term and block disagree")
    if accepted is not None and accepted.height != height:
        raise Rejected(Code.MALFORMED, "safety record: accepted block is of another height")
    return SafetyRecord(epoch, height, term, voted_for, accepted_term, accepted)


def _read_voted_for(value: Value) -> int | None:
    return None if value is None else Reader((value,), "voted for", 1).integer(0, VALIDATORS_MAX - 1)
