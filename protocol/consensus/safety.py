"""The safety record: all that a validator must remember over a crash so as not to break its word.

One record, overwritten as a whole before any signature that relies on it leaves (W1, W2). Its form is the
engine's. It carries the block that a promise is about, so the body is durable before the vote on it (W3), and
its content is what was signed, so a crash between persisting and sending signs the same bytes again.

It does not know where it is kept. *Source*: consensus.md 2.4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from protocol import codec, crypto
from protocol.chain.block import Block
from protocol.chain.validators import EngineKind
from protocol.codec import Reader, Value
from protocol.consensus.polka import Polka, read_optional_view, read_polka
from protocol.errors import Code, Rejected
from protocol.params import BLOCK_BYTES_MAX, INT64_MAX, VALIDATORS_MAX
from protocol.types import BlockId, EpochNumber, Height, View

SAFETY_VERSION: Final = 1
CHECKSUM_BYTES: Final = 32
"""The disk notices no flipped bit, and a lock with one bit changed is still a lock: so the record notices."""

SAFETY_BYTES_MAX: Final = BLOCK_BYTES_MAX + 16 * 1024
"""The largest block, a polka of 100 signatures, and the rest; below 1 KiB beside the block with 4 of them."""


@dataclass(frozen=True, slots=True)
class RaftSafety:
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
        return _seal(
            (
                SAFETY_VERSION,
                int(EngineKind.RAFT),
                self.epoch,
                self.height,
                self.term,
                self.voted_for,
                self.accepted_term,
                None if self.accepted is None else self.accepted.encode(),
            )
        )


@dataclass(frozen=True, slots=True)
class Said:
    """What a vote said: its content without the place that the record gives it.

    Args:
        block_id: None for no block.
        valid_view: of a prevote, the view of the polka that its proposal stood on.
    """

    view: View
    block_id: BlockId | None
    valid_view: View | None = None

    def to_value(self) -> Value:
        """Return the content as a canonical value."""
        return (self.view, self.block_id, self.valid_view)


@dataclass(frozen=True, slots=True)
class BftSafety:
    """Remember the promises of a BFT validator at one height; no promise outlives its height.

    *Rules*: 1. nothing in it goes back. 2. a lock is the view and block of a precommit. 3. `polka` is of
    `block`, and not older than the lock.

    *Departs* from W2: the lock needs no body of its own. While at most f validators lie, a polka newer than
    the lock means that no quorum precommitted the locked block, so nobody will ask us for it; until then it
    is `block`. A proposal is remembered by its view only: after a crash we are silent in that view.

    Args:
        proposed_view: newest view in which we signed a proposal (B6).
        prevote, precommit: our newest of each kind.
        locked_view, locked_id: our newest precommit for a block.
        polka, block: what we propose when it is our turn.
        early: we signed a proposal in the first round of the height above, and sign no other there.
    """

    epoch: EpochNumber
    height: Height
    proposed_view: View | None
    prevote: Said | None
    precommit: Said | None
    locked_view: View | None
    locked_id: BlockId | None
    polka: Polka | None
    block: Block | None
    early: bool = False

    @property
    def view(self) -> View:
        """Return the newest view in which we signed anything."""
        views = [said.view for said in (self.prevote, self.precommit) if said is not None]
        return max([*views, self.proposed_view or View(0)])

    def encode(self) -> bytes:
        """Encode the record with the block of its polka."""
        return _seal(
            (
                SAFETY_VERSION,
                int(EngineKind.BFT),
                self.epoch,
                self.height,
                self.proposed_view,
                None if self.prevote is None else self.prevote.to_value(),
                None if self.precommit is None else self.precommit.to_value(),
                self.locked_view,
                self.locked_id,
                None if self.polka is None else self.polka.to_value(),
                None if self.block is None else self.block.encode(),
                self.early,
            )
        )


SafetyRecord: TypeAlias = RaftSafety | BftSafety


def _seal(fields: tuple[Value, ...]) -> bytes:
    content = codec.encode(fields)
    return content + crypto.sha256(content)


def find_version(data: bytes) -> int | None:
    """Return the version of the form of an undamaged record, older or newer ones too; None when damaged.

    Every version begins with its number and ends with the checksum.
    """
    content, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if crypto.sha256(content) != checksum:
        return None
    try:
        value = codec.decode(content, SAFETY_BYTES_MAX)
    except Rejected:
        return None
    version = value[0] if isinstance(value, tuple) and value else None
    return version if type(version) is int else None


def decode_safety(data: bytes, decode_block: Callable[[bytes], Block]) -> SafetyRecord:
    """Decode a safety record.

    Raises:
        Rejected: `MALFORMED` (also when a bit of it changed), `TOO_LARGE`, `NOT_CANONICAL`, and what
            `decode_block` raises.
    """
    content, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if crypto.sha256(content) != checksum:
        raise Rejected(Code.MALFORMED, "safety record: damaged, its checksum does not fit")
    fields = Reader(codec.decode(content, SAFETY_BYTES_MAX), "safety record")
    fields.integer(SAFETY_VERSION, SAFETY_VERSION)
    kind = EngineKind(fields.integer(EngineKind.RAFT, EngineKind.BFT))
    epoch = EpochNumber(fields.uint(32))
    height = Height(fields.integer(1, INT64_MAX))
    record: SafetyRecord
    match kind:
        case EngineKind.RAFT:
            record = _read_raft(fields, epoch, height, decode_block)
        case EngineKind.BFT:
            record = _read_bft(fields, epoch, height, decode_block)
        case _:
            assert_never(kind)
    fields.end()
    return record


def _read_raft(
    fields: Reader, epoch: EpochNumber, height: Height, decode_block: Callable[[bytes], Block]
) -> RaftSafety:
    term = View(fields.integer(0, INT64_MAX))
    voted_for = _read_voted_for(fields.any())
    accepted_term = View(fields.integer(0, INT64_MAX))
    accepted = _read_block(fields.any(), height, decode_block)
    if (accepted is None) != (accepted_term == 0) or accepted_term > term:
        raise Rejected(Code.MALFORMED, "safety record: accepted term and block disagree")
    return RaftSafety(epoch, height, term, voted_for, accepted_term, accepted)


def _read_bft(
    fields: Reader, epoch: EpochNumber, height: Height, decode_block: Callable[[bytes], Block]
) -> BftSafety:
    proposed_view = read_optional_view(fields.any())
    prevote, precommit = _read_said(fields.any()), _read_said(fields.any())
    locked_view = read_optional_view(fields.any())
    locked_id = fields.optional_data(32)
    polka_value = fields.any()
    polka = None if polka_value is None else read_polka(polka_value)
    block = _read_block(fields.any(), height, decode_block)
    early = fields.flag()
    if (locked_view is None) != (locked_id is None) or (polka is None) != (block is None):
        raise Rejected(Code.MALFORMED, "safety record: half a lock or half a polka")
    if polka is not None and block is not None:
        place = (polka.votes.epoch, polka.height, polka.block_id)
        if place != (epoch, height, block.id):
            raise Rejected(Code.MALFORMED, "safety record: polka and block disagree")
    if locked_view is not None and (polka is None or polka.view < locked_view):
        raise Rejected(Code.MALFORMED, "safety record: a lock without its polka")
    return BftSafety(
        epoch,
        height,
        proposed_view,
        prevote,
        precommit,
        locked_view,
        None if locked_id is None else BlockId(locked_id),
        polka,
        block,
        early,
    )


def _read_said(value: Value) -> Said | None:
    if value is None:
        return None
    fields = Reader(value, "safety record: vote", 3)
    view = View(fields.integer(0, INT64_MAX))
    block_id = fields.optional_data(32)
    return Said(view, None if block_id is None else BlockId(block_id), read_optional_view(fields.any()))


def _read_block(value: Value, height: Height, decode_block: Callable[[bytes], Block]) -> Block | None:
    if value is None:
        return None
    if type(value) is not bytes:
        raise Rejected(Code.MALFORMED, "safety record: block is neither nil nor bytes")
    block = decode_block(value)
    if block.height != height:
        raise Rejected(Code.MALFORMED, "safety record: its block is of another height")
    return block


def _read_voted_for(value: Value) -> int | None:
    return None if value is None else Reader((value,), "voted for", 1).integer(0, VALIDATORS_MAX - 1)
