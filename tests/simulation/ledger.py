"""A stand-in for the ledger: blocks without transactions whose state root is a hash chain, and an epoch plan.

A block is valid when its state root is the digest of its parent's state root and its time, so a node that
skips execution can be told a wrong root that everything else believes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from protocol import crypto
from protocol.chain.block import Block, Header, assemble_block, compute_certificate_hash
from protocol.chain.certificate import Certificate
from protocol.chain.validators import EngineKind, EpochRecord, Validator
from protocol.consensus.inputs import Verdict
from protocol.types import (
    BlockId,
    EpochNumber,
    Hash32,
    Height,
    PublicKey,
    Signature,
    TimeMs,
    View,
)

GENESIS_HASH = Hash32(crypto.sha256(b"simulated chain"))
EMPTY_ROOT = Hash32(crypto.sha256(b""))


class FakeSigner:
    """Signs by hashing key and digest: far cheaper than a curve, and nobody here forges."""

    def __init__(self, node: int) -> None:
        self.public_key = PublicKey(b"\x02" + crypto.sha256(b"node %d" % node))

    def sign(self, digest: Hash32) -> Signature:
        return _fake_signature(self.public_key, digest)

    @staticmethod
    def verify(public_key: bytes, digest: bytes, signature: bytes) -> bool:
        return signature == _fake_signature(public_key, digest)


class RealSigner:
    """Signs on the curve."""

    def __init__(self, node: int) -> None:
        self._secret = crypto.SecretKey(crypto.sha256(b"node %d" % node))
        self.public_key = self._secret.public_key

    def sign(self, digest: Hash32) -> Signature:
        return crypto.sign(self._secret, digest)

    @staticmethod
    def verify(public_key: bytes, digest: bytes, signature: bytes) -> bool:
        return crypto.verify(public_key, digest, signature)


Signer = FakeSigner | RealSigner


def _fake_signature(public_key: bytes, digest: bytes) -> Signature:
    half = crypto.sha256(public_key + digest)
    return Signature(half + half)


class EpochPlan:
    """Says which record certifies which height: what the ledger's vote would have decided.

    Args:
        seals: (last height of an epoch, node numbers of the next one), ascending.
        engines: of the epochs; the last one of all further ones.
    """

    def __init__(
        self,
        signers: list[Signer],
        first: list[int],
        seals: list[tuple[int, list[int]]],
        *engines: EngineKind,
    ) -> None:
        self.records = [_make_record(0, engines[0], 1, [signers[i] for i in first], Hash32(bytes(32)))]
        for number, (height, nodes) in enumerate(seals, 1):
            previous = self.records[-1].compute_hash()
            members = [signers[i] for i in nodes]
            engine = engines[min(number, len(engines) - 1)]
            self.records.append(_make_record(number, engine, height + 1, members, previous))
        self.seals = {height: self.records[i] for i, (height, _) in enumerate(seals, 1)}
        self.hashes = [record.compute_hash() for record in self.records]

    def record_of(self, height: int) -> EpochRecord:
        for record in reversed(self.records):
            if record.first_height <= height:
                return record
        raise AssertionError(height)

    def hash_of(self, height: int) -> Hash32:
        return self.hashes[self.record_of(height).number]


def _make_record(
    number: int, engine: EngineKind, first_height: int, members: list[Signer], previous: Hash32
) -> EpochRecord:
    keys = sorted(signer.public_key for signer in members)
    return EpochRecord(
        EpochNumber(number),
        engine,
        Height(first_height),
        tuple(Validator(f"operator {i}", key, key) for i, key in enumerate(keys)),
        previous,
    )


@dataclass(frozen=True, slots=True)
class Head:
    """What the next block builds on."""

    height: Height
    block_id: BlockId
    time_ms: TimeMs
    state_root: Hash32
    certificate: Certificate | None


ORIGIN = Head(Height(0), BlockId(GENESIS_HASH), TimeMs(0), EMPTY_ROOT, None)


def head_after(block: Block, certificate: Certificate) -> Head:
    return Head(block.height, block.id, block.header.time_ms, block.header.state_root, certificate)


def head_with(block_id: bytes, head: Head, known: Mapping[bytes, Block]) -> Head | None:
    """Return the head if it is this block, or what it will be once this known proposal is decided.

    Its certificate is that of the block below: nobody has another one yet.
    """
    if head.block_id == block_id:
        return head
    block = known.get(block_id)
    if block is None or block.header.parent_id != head.block_id:
        return None
    return replace(
        head,
        height=block.height,
        block_id=block.id,
        time_ms=block.header.time_ms,
        state_root=block.header.state_root,
    )


def build(head: Head, plan: EpochPlan, view: View, proposer: PublicKey, time_ms: int) -> Block:
    """Build the valid block of a proposer on a head."""
    height = Height(head.height + 1)
    time = TimeMs(max(time_ms, head.time_ms + 1))
    certificate = head.certificate
    header = Header(
        GENESIS_HASH,
        height,
        time,
        plan.record_of(height).number,
        view,
        proposer,
        head.block_id,
        Height(0) if certificate is None else certificate.height,
        compute_certificate_hash(certificate),
        EMPTY_ROOT,
        0,
        EMPTY_ROOT,
        _state_after(head.state_root, time, proposer),
        EMPTY_ROOT,
        plan.hash_of(height),
        plan.hash_of(height + 1),
    )
    return assemble_block(header, (), (), certificate)


def spoil(block: Block) -> Block:
    """Return the block with a state root that execution does not give."""
    return assemble_block(replace(block.header, state_root=EMPTY_ROOT), (), (), block.last_certificate)


def is_valid(block: Block, head: Head, plan: EpochPlan) -> bool:
    """Execute: tell whether the roots are right."""
    header, record = block.header, plan.record_of(block.height)
    may_be_early = record.engine is EngineKind.BFT and head.height >= record.first_height
    return (
        header.parent_id == head.block_id
        and head.height - may_be_early <= header.last_certificate_height <= head.height
        and header.time_ms > head.time_ms
        and header.state_root == _state_after(head.state_root, header.time_ms, header.proposer)
        and header.next_epoch_hash == plan.hash_of(header.height + 1)
    )


def judge(block: Block, head: Head, plan: EpochPlan) -> Verdict:
    """Return what a node without wishes says of a block."""
    return Verdict.VALID if is_valid(block, head, plan) else Verdict.INVALID


def _state_after(parent_root: Hash32, time_ms: int, proposer: PublicKey) -> Hash32:
    return crypto.sha256(parent_root + time_ms.to_bytes(8, "big") + proposer)
