"""Validators, engines and epochs: who may certify which heights, by which rule.

An epoch is a stretch of heights with one engine, one validator set and one set of parameters. Every change of
any of them (a validator more, a new key, Raft to BFT) is the same operation: the old epoch commits its last
block and the next record takes over. Quorums come from the record, never from a certificate.

*Source*: consensus.md 0.1, 1.2, 2.3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from protocol import codec, crypto
from protocol.codec import Reader, Value
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.params import BFT_VALIDATORS_MIN, INT64_MAX, VALIDATORS_MAX
from protocol.types import EpochNumber, Hash32, Height, PublicKey

EPOCH_BYTES_MAX = 32 * 1024
OPERATOR_BYTES_MAX = 64
NO_HASH = Hash32(bytes(32))


class EngineKind(IntEnum):
    """Which rule certifies the blocks of an epoch."""

    RAFT = 1
    BFT = 2


@dataclass(frozen=True, slots=True)
class Validator:
    """A consensus participant.

    Args:
        operator: who runs it, short text.
        consensus_key: signs votes and proposals.
        node_key: identity of its host on the network (the peer id).
    """

    operator: str
    consensus_key: PublicKey
    node_key: PublicKey


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """Fix engine, validators and first height of an epoch.

    *Rules*: 1. validators ascend by consensus key, without repetition. 2. BFT needs at least four (M11).

    Args:
        previous_hash: hash of the record before; 32 zero bytes for epoch 0.
        decided_by: id of the transaction or proposal that decided it; zero bytes for epoch 0.
    """

    number: EpochNumber
    engine: EngineKind
    first_height: Height
    validators: tuple[Validator, ...]
    previous_hash: Hash32 = NO_HASH
    decided_by: Hash32 = NO_HASH

    def to_value(self) -> Value:
        """Return the record as a canonical value."""
        return (
            self.number,
            int(self.engine),
            self.first_height,
            tuple((v.operator, v.consensus_key, v.node_key) for v in self.validators),
            self.previous_hash,
            self.decided_by,
        )

    def compute_hash(self) -> Hash32:
        """Compute the hash that every header of the epoch carries."""
        return crypto.digest(Domain.EPOCH, codec.encode(self.to_value()))

    @property
    def quorum(self) -> int:
        """Return how many validators certify a block: a majority (Raft) or more than two thirds (BFT)."""
        n = len(self.validators)
        return n // 2 + 1 if self.engine is EngineKind.RAFT else 2 * n // 3 + 1

    def index_of(self, consensus_key: bytes) -> int | None:
        """Return a validator's place, or None."""
        for index, validator in enumerate(self.validators):
            if validator.consensus_key == consensus_key:
                return index
        return None


def order_validators(validators: tuple[Validator, ...]) -> tuple[Validator, ...]:
    """Return the validators in the order a record demands."""
    return tuple(sorted(validators, key=lambda v: v.consensus_key))


def read_epoch(value: Value) -> EpochRecord:
    """Read an epoch record from a canonical value.

    Raises:
        Rejected: `MALFORMED`.
    """
    fields = Reader(value, "epoch record", 6)
    record = EpochRecord(
        EpochNumber(fields.uint(32)),
        _read_engine(fields.any()),
        Height(fields.integer(1, INT64_MAX)),
        fields.records(VALIDATORS_MAX, _read_validator),
        Hash32(fields.data(32)),
        Hash32(fields.data(32)),
    )
    keys = [v.consensus_key for v in record.validators]
    if not keys or any(a >= b for a, b in pairwise(keys)):
        raise Rejected(Code.MALFORMED, "epoch record: validators not ascending by key")
    if record.engine is EngineKind.BFT and len(keys) < BFT_VALIDATORS_MIN:
        raise Rejected(Code.MALFORMED, "epoch record: BFT needs at least four validators")
    return record


def _read_engine(value: Value) -> EngineKind:
    return EngineKind(Reader((value,), "engine", 1).integer(EngineKind.RAFT, EngineKind.BFT))


def _read_validator(value: Value) -> Validator:
    fields = Reader(value, "validator", 3)
    return Validator(fields.text(OPERATOR_BYTES_MAX), PublicKey(fields.data(33)), PublicKey(fields.data(33)))


VerifySignature = Callable[[bytes, bytes, bytes], bool]
"""(public key, digest, signature) -> whether it holds; `crypto.verify` or a cache in front of it."""
