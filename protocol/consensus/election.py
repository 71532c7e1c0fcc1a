"""Elections in Raft: the grants that prove that a candidate leads.

Values and their bytes only: who may campaign or grant is `raft.py`, the messages round them `messages.py`.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from protocol.chain.claim import Claim, read_claim
from protocol.codec import Reader, Value
from protocol.errors import Code, Rejected
from protocol.params import VALIDATORS_MAX
from protocol.types import Signature

_BITMAP_BYTES_MAX: Final = (VALIDATORS_MAX + 7) // 8


class Role(IntEnum):
    """What a node is in its term."""

    FOLLOWER = 1
    PRE_CANDIDATE = 2
    CANDIDATE = 3
    LEADER = 4


class HandOverState(IntEnum):
    """How far a leader is with giving its office away."""

    NONE = 0
    WANTED = 1
    ASKED = 2


@dataclass(frozen=True, slots=True)
class Election:
    """Prove that a quorum elected the leader of a term: the signatures of one claim's grants.

    Args:
        signers: bitmap, bit i is validator i.
        signatures: of the set bits, ascending.
    """

    claim: Claim
    signers: int
    signatures: tuple[Signature, ...]

    def signer_indexes(self) -> tuple[int, ...]:
        """List the validators who granted, ascending."""
        return tuple(i for i in range(self.signers.bit_length()) if self.signers >> i & 1)

    def to_value(self) -> Value:
        """Return the election as a canonical value."""
        return (self.claim.to_value(), bitmap_bytes(self.signers), self.signatures)


def read_election(value: Value) -> Election:
    """Read an election from a canonical value; nothing is verified.

    Raises:
        Rejected: `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(value, "election", 3)
    claim = read_claim(fields.any())
    signers = read_bitmap(fields)
    signatures = fields.records(VALIDATORS_MAX, lambda v: Signature(Reader((v,), "signature", 1).data(64)))
    if signers.bit_count() != len(signatures):
        raise Rejected(Code.MALFORMED, "election: as many signatures as signers are needed")
    return Election(claim, signers, signatures)


def bitmap_bytes(bitmap: int) -> bytes:
    """Return a bitmap as bytes, bit i in byte i / 8, without zero bytes at its end."""
    return bitmap.to_bytes((bitmap.bit_length() + 7) // 8, "little")


def read_bitmap(fields: Reader) -> int:
    """Take the next field as a bitmap of validators.

    Raises:
        Rejected: `MALFORMED`, `NOT_CANONICAL`.
    """
    bitmap = fields.data_up_to(_BITMAP_BYTES_MAX)
    if bitmap and not bitmap[-1]:
        raise Rejected(Code.NOT_CANONICAL, "signer bitmap ends in a zero byte")
    return int.from_bytes(bitmap, "little")
