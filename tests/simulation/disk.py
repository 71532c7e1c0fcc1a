"""The disk of a simulated node: what a crash may take from it, and what rot may change on it.

Writes are kept in order; a crash keeps what was synced and any first part of the rest. Rot flips one bit of
what is durable. What comes back is read by the project's own decoders, which must notice: `load` says so, and
what was noticed is not believed. It does not know who reads it.
"""

from dataclasses import dataclass, field
from random import Random
from typing import NoReturn

from protocol.chain.block import Block, decode_block
from protocol.chain.certificate import Certificate, Vote
from protocol.consensus.safety import BftSafety, RaftSafety, SafetyRecord, decode_safety
from protocol.errors import Rejected

Row = tuple[Block, Certificate]


@dataclass(slots=True)
class Disk:
    """Keep the chain and the one safety record."""

    chain: list[Row] = field(default_factory=list)
    safety: SafetyRecord | None = None
    pending: list[SafetyRecord | Row] = field(default_factory=list)

    def sync(self) -> None:
        for write in self.pending:
            if isinstance(write, tuple):
                self.chain.append(write)
            else:
                self.safety = write
        self.pending.clear()

    def crash(self, random: Random) -> int:
        """Lose some of what was not synced; return how many writes."""
        kept = random.randint(0, len(self.pending))
        lost = len(self.pending) - kept
        del self.pending[kept:]
        self.sync()
        return lost

    def rot_safety(self, random: Random) -> None:
        """Flip a bit of the safety record and read it.

        Raises:
            AssertionError: it reads as another record than was written.
        """
        assert self.safety is not None
        try:
            found = decode_safety(flip(self.safety.encode(), random), decode_plain_block)
        except Rejected:
            return
        raise AssertionError(f"a damaged safety record is believed: {found!r:.200}")

    def rot_block(self, random: Random) -> None:
        """Flip a bit of a block, notice it, and drop the chain from there: it comes back by block sync.

        Raises:
            AssertionError: it reads as the block that the chain names, or as another one of its place.
        """
        place = random.randrange(len(self.chain))
        block = self.chain[place][0]
        try:
            found = decode_block(flip(block.encode(), random), _refuse_tx)
            assert found.id != block.id, f"a damaged block is believed: {found!r:.200}"
        except Rejected:
            pass
        del self.chain[place:]

    def holds(self, vote: Vote) -> bool:
        """Tell whether the body that a vote is for is durable, or one with a newer polka (W3)."""
        safety = self.safety
        match safety:
            case RaftSafety():
                kept = safety.accepted
            case BftSafety():
                kept = safety.block
                if safety.polka is not None and safety.polka.view > vote.view:
                    return True
            case _:
                return False
        return kept is not None and kept.id == vote.block_id


def flip(data: bytes, random: Random) -> bytes:
    """Return bytes with one bit changed."""
    bit = random.randrange(8 * len(data))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def decode_plain_block(data: bytes) -> Block:
    """Decode a block of the simulated ledger."""
    return decode_block(data, _refuse_tx)


def _refuse_tx(raw: bytes) -> NoReturn:
    raise AssertionError("no transactions here")
