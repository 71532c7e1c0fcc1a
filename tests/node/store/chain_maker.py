"""Make certified blocks for tests of the store: three Raft validators, real signatures and roots, plain keys.

It executes nothing: the caller says what a block writes. See `tests/node/store/test_store.py`.
"""

from collections.abc import Mapping, Sequence

from node.store.records import BlockCommit
from protocol import crypto
from protocol.chain.block import (
    Header,
    assemble_block,
    compute_certificate_hash,
    compute_evidence_root,
    compute_tx_root,
)
from protocol.chain.certificate import Certificate, Vote, VoteKind, certify
from protocol.chain.genesis import Genesis
from protocol.chain.receipt import Receipt
from protocol.chain.transaction import (
    SignedTransaction,
    Transaction,
    TxSignature,
    assemble,
)
from protocol.chain.validators import EngineKind, EpochRecord, Validator, order_validators
from protocol.merkle.proof import list_root
from protocol.merkle.tree import StateTree
from protocol.types import (
    Address,
    BlockId,
    EpochNumber,
    Gas,
    Height,
    PublicKey,
    Seconds,
    Signature,
    TimeMs,
    View,
)

TREE_BITS = 4
START_MS = 1_700_000_000_000
SECRETS = {
    crypto.public_key_of(secret): secret
    for secret in (crypto.SecretKey(crypto.sha256(b"validator %d" % i)) for i in range(3))
}
GENESIS = Genesis(
    "test-1",
    TimeMs(START_MS),
    EpochRecord(
        EpochNumber(0),
        EngineKind.RAFT,
        Height(1),
        order_validators(tuple(Validator("v", key, key) for key in SECRETS)),
    ),
    TREE_BITS,
    0,
    True,
    (),
)
GENESIS_HASH = GENESIS.compute_hash()


def address(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


def transfer(
    number: int,
    *,
    actor: int | None = None,
    lane: int = 0,
    sequence: int | None = None,
    valid_until: int = 2_000_000_000,
    memo: bytes = b"",
) -> SignedTransaction:
    """A transfer-like transaction with a signature that is not one."""
    tx = Transaction(
        "test-1",
        (address(number if actor is None else actor),),
        0,
        lane,
        number if sequence is None else sequence,
        Seconds(valid_until),
        Gas(20_000),
        0,
        ((), ((1, 1, 0, (bytes(20), 100)),)),
        memo,
    )
    signature = TxSignature(0, PublicKey(b"\x02" + bytes(32)), 0, Signature(bytes(64)))
    return assemble(tx, GENESIS_HASH, (signature,))


class ChainMaker:
    """Build one chain, block by block, without a store."""

    def __init__(self, state: Mapping[bytes, bytes] | None = None) -> None:
        self.secrets = SECRETS
        self.genesis, self.genesis_hash = GENESIS, GENESIS_HASH
        self.record = GENESIS.epoch
        self.first_state: dict[bytes, bytes | None] = dict(state or {b"supply": b"\x01"})
        self.tree = StateTree.build(TREE_BITS, [(k, v) for k, v in self.first_state.items() if v is not None])
        self.first_root = self.tree.root
        self.height = 0
        self.parent = BlockId(self.genesis_hash)
        self.last_certificate: Certificate | None = None

    def next(
        self,
        transactions: Sequence[SignedTransaction] = (),
        writes: Mapping[bytes, bytes | None] | None = None,
        journal: Sequence[tuple[bytes, bytes]] = (),
        next_record: EpochRecord | None = None,
    ) -> BlockCommit:
        self.height += 1
        height, changes = Height(self.height), dict(writes or {})
        delta = self.tree.preview(changes)
        self.tree.commit(delta)
        receipts = tuple(
            Receipt(t.id, height, i, 0, Gas(7_000), (), ()).encode() for i, t in enumerate(transactions)
        )
        certificate = self.last_certificate
        header = Header(
            self.genesis_hash,
            height,
            TimeMs(START_MS + 1_000 * height),
            self.record.number,
            View(1),
            self.record.validators[0].consensus_key,
            self.parent,
            Height(0) if certificate is None else certificate.height,
            compute_certificate_hash(certificate),
            compute_tx_root(tuple(transactions)),
            len(transactions),
            compute_evidence_root(()),
            delta.root,
            list_root(receipts),
            self.record.compute_hash(),
            (next_record or self.record).compute_hash(),
        )
        block = assemble_block(header, tuple(transactions), (), certificate)
        self.last_certificate = self._certify(block.id, height)
        self.parent = block.id
        commit = BlockCommit(
            block,
            self.last_certificate,
            changes,
            receipts,
            tuple(journal),
            tuple((t.tx.actors[0], address(0)) for t in transactions),
            next_record=next_record,
        )
        self.record = next_record or self.record
        return commit

    def next_record(self) -> EpochRecord:
        """The record that would take over after the next block: same validators."""
        return EpochRecord(
            EpochNumber(self.record.number + 1),
            EngineKind.RAFT,
            Height(self.height + 2),
            self.record.validators,
            self.record.compute_hash(),
        )

    def _certify(self, block_id: BlockId, height: Height) -> Certificate:
        votes = []
        for index, validator in enumerate(self.record.validators[: self.record.quorum]):
            vote = Vote(self.record.number, VoteKind.ACK, height, View(1), block_id, None, index)
            secret = self.secrets[validator.consensus_key]
            signature = crypto.sign(secret, vote.compute_digest(self.genesis_hash))
            votes.append(
                Vote(vote.epoch, vote.kind, vote.height, vote.view, block_id, None, index, signature)
            )
        return certify(tuple(votes))


def journal_key(account: int, sequence: int) -> bytes:
    return address(account) + bytes(10) + sequence.to_bytes(6, "big")


def ledger_account(account: int) -> bytes:
    return address(account) + bytes(10)
