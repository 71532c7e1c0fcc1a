"""Rows of the chain itself: head, blocks, headers, certificates, epochs; all by height or number.

It does not execute, and it believes what it is given: certificates were checked before they came here. What
it checks is its own disk: LMDB notices no flipped bit, so a block is held against its hashes before a peer
gets it (`load_served`).
"""

from bisect import bisect_right
from dataclasses import replace
from typing import Final

from node.errors import OperationError
from node.store.environment import Txn
from node.store.records import BlockCommit, Head, decode_head
from node.store.tables import BLOCK_HEIGHTS, BLOCKS, CERTIFICATES, EPOCHS, HEADERS, META
from protocol import codec
from protocol.chain.block import (
    HEADER_BYTES_MAX,
    Header,
    compute_block_id,
    compute_certificate_hash,
    decode_header,
)
from protocol.chain.certificate import (
    Certificate,
    check_certificate,
    decode_certificate,
    read_certificate,
)
from protocol.chain.evidence import Evidence, read_evidence
from protocol.chain.genesis import Genesis, decode_genesis
from protocol.chain.validators import EPOCH_BYTES_MAX, EpochRecord, read_epoch
from protocol.codec import Reader, Value
from protocol.crypto import HASH_BYTES
from protocol.errors import Code, Rejected
from protocol.merkle.proof import list_root
from protocol.params import BLOCK_BYTES_MAX, BLOCK_EVIDENCE_MAX, BLOCK_TXS_MAX
from protocol.sync.snapshot import Anchor
from protocol.types import BlockId, EpochNumber, Hash32, Height

GENESIS_KEY: Final = b"genesis"
NO_EVIDENCE: Final = list_root(())
HEAD_KEY: Final = b"head"
SAFETY_KEY: Final = b"safety"
FOUNDED_KEY: Final = b"founded"
"""Root of the state of genesis; only where a store began with it."""

BASE_KEY: Final = b"base"
"""Height u64 of the snapshot that a store began with: blocks and history are kept above it only."""


class BlockDamaged(OperationError):
    """A stored block or its certificate is not the one that was committed: it must come from a peer again."""


def height_key(height: int) -> bytes:
    """Return the key of a row by height."""
    return height.to_bytes(8, "big")


def save_genesis(txn: Txn, genesis: Genesis, state_root: Hash32) -> None:
    """Write the rows of height 0."""
    head = Head(Height(0), BlockId(genesis.compute_hash()), genesis.time_ms, state_root, genesis.epoch.number)
    txn.put(META, GENESIS_KEY, genesis.encode())
    txn.put(META, HEAD_KEY, head.encode())
    txn.put(META, FOUNDED_KEY, state_root)
    _save_epoch(txn, genesis.epoch)


def save_anchor(txn: Txn, genesis: Genesis, anchor: Anchor) -> None:
    """Write the rows of a chain that begins with a snapshot: the certified header, and the epochs to it."""
    header, certificate = anchor.header, anchor.certificate
    records = [genesis.epoch, *(seal.record for seal in anchor.seals)]
    head = Head(
        header.height, header.compute_id(), header.time_ms, header.state_root, EpochNumber(len(records) - 1)
    )
    txn.put(META, GENESIS_KEY, genesis.encode())
    txn.put(META, HEAD_KEY, head.encode())
    txn.put(META, BASE_KEY, height_key(header.height))
    for record in records:
        _save_epoch(txn, record)
    proofs = {seal.header.height: (seal.header, seal.certificate) for seal in anchor.seals}
    proofs[header.height] = header, certificate
    for height, (proved, signed) in proofs.items():
        txn.append(HEADERS, height_key(height), proved.encode())
        txn.append(CERTIFICATES, height_key(height), signed.encode())
        txn.put(BLOCK_HEIGHTS, proved.compute_id(), height_key(height))


def save_block(txn: Txn, commit: BlockCommit) -> Head:
    """Write the rows of a block and move the head to it; clear the safety record of an epoch that ended.

    Raises:
        AssertionError: the block does not follow the head, or its parts do not belong together.
    """
    block, header, certificate = commit.block, commit.block.header, commit.certificate
    head = load_head(txn)
    assert header.height == head.height + 1 and header.parent_id == head.block_id, "not the next block"
    assert (certificate.height, certificate.block_id) == (header.height, block.id), "certificate of another"
    assert header.epoch == certificate.epoch == head.epoch, "block of another epoch"
    key = height_key(header.height)
    txn.append(HEADERS, key, header.encode())
    txn.append(BLOCKS, key, block.encode())
    txn.append(CERTIFICATES, key, certificate.encode())
    txn.put(BLOCK_HEIGHTS, block.id, key)
    record, epoch = commit.next_record, head.epoch
    assert header.is_seal == (record is not None), "a seal, and only a seal, names the next epoch"
    if record is not None:
        assert record.compute_hash() == header.next_epoch_hash, "not the record that the seal names"
        assert (record.number, record.first_height) == (epoch + 1, header.height + 1)
        _save_epoch(txn, record)
        txn.delete(META, SAFETY_KEY)
        epoch = record.number
    head = Head(header.height, block.id, header.time_ms, header.state_root, epoch)
    txn.put(META, HEAD_KEY, head.encode())
    return head


def save_restart(txn: Txn, record: EpochRecord) -> None:
    """Write the record of an epoch that restarts the chain above its head; it was checked.

    The safety record stays: it is of an earlier epoch and promises nothing in this one (M4, W7).
    """
    head = load_head(txn)
    assert (record.number, record.first_height) == (head.epoch + 1, head.height + 1), "not above the head"
    _save_epoch(txn, record)
    txn.put(META, HEAD_KEY, replace(head, epoch=record.number).encode())


def load_genesis(txn: Txn) -> Genesis:
    """Read the genesis document."""
    return decode_genesis(_certain(txn.get(META, GENESIS_KEY)))


def load_head(txn: Txn) -> Head:
    """Read where the chain stands."""
    return decode_head(_certain(txn.get(META, HEAD_KEY)))


def load_base(txn: Txn) -> Height:
    """Read the height above which blocks are kept; 0 when all are."""
    return Height(int.from_bytes(txn.get(META, BASE_KEY) or b"", "big"))


def load_header(txn: Txn, height: int) -> Header | None:
    """Read a header."""
    data = txn.get(HEADERS, height_key(height))
    return None if data is None else decode_header(data)


def load_root(txn: Txn, height: int) -> bytes | None:
    """Read the root of the state after a block, or of genesis; None when it is not here or damaged."""
    if height == 0:
        return txn.get(META, FOUNDED_KEY)
    try:
        header = load_header(txn, height)
    except Rejected:
        header = None
    return None if header is None else header.state_root


def load_certificate(txn: Txn, height: int) -> Certificate | None:
    """Read the certificate that committed a height."""
    data = txn.get(CERTIFICATES, height_key(height))
    return None if data is None else decode_certificate(data)


def load_block_height(txn: Txn, block_id: bytes) -> Height | None:
    """Read the height of a committed block; any bytes may be asked for."""
    data = txn.get(BLOCK_HEIGHTS, block_id) if len(block_id) == HASH_BYTES else None
    return None if data is None else Height(int.from_bytes(data, "big"))


def load_epoch(txn: Txn, number: int) -> EpochRecord | None:
    """Read an epoch record."""
    data = txn.get(EPOCHS, number.to_bytes(4, "big"))
    return None if data is None else read_epoch(codec.decode(data, EPOCH_BYTES_MAX))


def load_epoch_at(txn: Txn, height: int) -> EpochRecord:
    """Read the record that certifies a height; beyond the head it is the last one known."""
    assert height >= 1

    def first_height_of(number: int) -> int:
        return _certain_epoch(txn, number).first_height

    after = bisect_right(range(txn.count(EPOCHS)), height, key=first_height_of)
    return _certain_epoch(txn, after - 1)


def load_transaction_bytes(txn: Txn, height: int, index: int) -> bytes:
    """Read one transaction out of its block. Cost: decodes the whole block, about 0.1 ms for 1,000."""
    data = _certain(txn.get(BLOCKS, height_key(height)))
    transactions = _take_apart(data)[1]
    raw = transactions[index]
    assert type(raw) is bytes
    return raw


def load_transactions(txn: Txn, height: int) -> tuple[bytes, ...]:
    """Read all transactions of a block; none when there is no such block.

    Raises:
        Rejected: bytes changed on disk.
    """
    data = txn.get(BLOCKS, height_key(height))
    return () if data is None else read_transactions(data)


def read_transactions(data: bytes) -> tuple[bytes, ...]:
    """Read all transactions out of an encoded block.

    Raises:
        Rejected: it does not decode.
    """
    return tuple([raw for raw in _take_apart(data)[1] if type(raw) is bytes])


def load_served(txn: Txn, height: int) -> tuple[bytes, bytes] | None:
    """Read a block and its certificate as they are stored, held against what a quorum signed.

    Raises:
        BlockDamaged: bytes changed on disk.

    Cost: one signature check a signer, about 50 us each, and 1 us a transaction.
    """
    key = height_key(height)
    block, certificate = txn.get(BLOCKS, key), txn.get(CERTIFICATES, key)
    if not load_base(txn) < height <= load_head(txn).height:
        return None
    fault = find_row_fault(txn, height, txn.get(HEADERS, key), block, certificate)
    if fault is not None:
        raise BlockDamaged(
            "store.block_damaged",
            f"The stored block {height} is not the one that was committed.",
            f"{fault}: bytes changed on the disk.",
            "let the node fetch the block again from its peers, and check the disk.",
        )
    assert block is not None and certificate is not None
    return block, certificate


def save_again(txn: Txn, height: int, block: bytes, certificate: bytes) -> None:
    """Replace the rows of a height, which are damaged, by what a peer sent.

    Raises:
        Rejected: `BAD_PROOF`: it is not what was committed at this height.
    """
    assert 1 <= height <= load_head(txn).height
    header = _read_header_bytes(block)
    fault = find_row_fault(txn, height, header, block, certificate)
    if fault is not None:
        raise Rejected(Code.BAD_PROOF, f"block {height} from a peer: {fault}")
    key = height_key(height)
    txn.put(HEADERS, key, header)
    txn.put(BLOCKS, key, block)
    txn.put(CERTIFICATES, key, certificate)
    txn.put(BLOCK_HEIGHTS, compute_block_id(header), key)


def is_indexed(txn: Txn, height: int, block: bytes) -> bool:
    """Tell whether a block that is sound is found by its id."""
    return load_block_height(txn, compute_block_id(_read_header_bytes(block))) == height


def find_row_fault(
    txn: Txn, height: int, header_bytes: bytes | None, block: bytes | None, certificate_bytes: bytes | None
) -> str | None:
    """Say why these are not header, block and certificate of a height; None when a quorum signed them.

    A certificate of the epoch is all the proof that is needed: no two blocks of one height have one. So a
    damaged neighbour never makes a sound block look damaged, or the reverse.
    """
    if header_bytes is None or block is None or certificate_bytes is None:
        return "missing"
    block_id = compute_block_id(header_bytes)
    try:
        header, certificate = decode_header(header_bytes), decode_certificate(certificate_bytes)
        record = load_epoch(txn, header.epoch)
        if record is None or header.epoch_hash != record.compute_hash():
            return "header: of no epoch of this chain"
        if (header.height, certificate.height, certificate.block_id) != (height, height, block_id):
            return "certificate: of another block"
        check_certificate(certificate, record, header.genesis_hash)
    except Rejected as rejected:
        return str(rejected)
    return find_block_fault(block, block_id)


def _read_header_bytes(block: bytes) -> bytes:
    return _take_apart(block)[0]


def load_evidence(txn: Txn, height: int) -> tuple[Evidence, ...]:
    """Read the evidence of a block; none when the block is not here. Cost: decodes a block that has any."""
    header, data = load_header(txn, height), txn.get(BLOCKS, height_key(height))
    if header is None or data is None or header.evidence_root == NO_EVIDENCE:
        return ()
    return tuple([read_evidence(value) for value in _take_apart(data)[2]])


def find_block_fault(data: bytes, block_id: bytes) -> str | None:
    """Say what is wrong with the bytes of a block that should have this id; None when nothing is."""
    try:
        header_bytes, transactions, evidence, certificate = _take_apart(data)
        header = decode_header(header_bytes)
        hashes = [read_evidence(value).compute_hash() for value in evidence]
        sealed = compute_certificate_hash(None if certificate is None else read_certificate(certificate))
    except Rejected as rejected:
        return str(rejected)
    if compute_block_id(header_bytes) != block_id:
        return "another header"
    raws = [raw for raw in transactions if type(raw) is bytes]
    if len(raws) != len(transactions) or list_root(raws) != header.tx_root:
        return "other transactions"
    if list_root(hashes) != header.evidence_root:
        return "other evidence"
    return None if sealed == header.last_certificate_hash else "another last certificate"


def load_committed_id(txn: Txn, height: int) -> bytes:
    """Read the id of the block at a height as the chain above names it; empty when that is damaged."""
    head = load_head(txn)
    if height >= head.height:
        return head.block_id
    try:
        above = load_header(txn, height + 1)
    except Rejected:
        above = None
    return b"" if above is None else above.parent_id


def _take_apart(data: bytes) -> tuple[bytes, tuple[Value, ...], tuple[Value, ...], Value]:
    fields = Reader(codec.decode(data, BLOCK_BYTES_MAX), "block", 4)
    return (
        fields.data_up_to(HEADER_BYTES_MAX),
        fields.items(BLOCK_TXS_MAX),
        fields.items(BLOCK_EVIDENCE_MAX),
        fields.any(),
    )


def _save_epoch(txn: Txn, record: EpochRecord) -> None:
    txn.append(EPOCHS, record.number.to_bytes(4, "big"), codec.encode(record.to_value()))


def _certain_epoch(txn: Txn, number: int) -> EpochRecord:
    record = load_epoch(txn, EpochNumber(number))
    assert record is not None, f"no epoch {number}"
    return record


def _certain(data: bytes | None) -> bytes:
    assert data is not None, "a row that every store has"
    return data
