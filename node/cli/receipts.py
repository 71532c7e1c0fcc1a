"""A receipt that proves itself: the file that `coop pay` saves and `coop verify receipt` checks.

The check needs the genesis document whose hash the member pinned, and nothing else: no node, no network. What
it proves: the validators of the chain certified a block that holds this transaction with this result.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocol import codec
from protocol.addresses import format_tx_id
from protocol.chain.block import Header, compute_block_id, decode_header
from protocol.chain.certificate import Certificate, check_certificate, decode_certificate
from protocol.chain.genesis import Genesis
from protocol.chain.receipt import Receipt, decode_receipt
from protocol.chain.transaction import SignedTransaction, decode_signed
from protocol.chain.validators import EPOCH_BYTES_MAX, EpochRecord, read_epoch
from protocol.errors import Code, Rejected
from protocol.merkle.proof import LIST_LEVELS_MAX, ListProof, verify_item
from protocol.params import TX_SIGNED_BYTES_MAX

FORMAT: Final = "coop-receipt/1"
BUNDLE_BYTES_MAX: Final = 4 * 1024 * 1024


class Bundle(msgspec.Struct, frozen=True):
    """The file: everything as 0x-hex of canonical bytes."""

    format: str
    genesis_hash: str
    transaction: str
    receipt: str
    header: str
    certificate: str
    proof: list[str]
    epochs: list[str]


@dataclass(frozen=True, slots=True)
class Proven:
    """What a bundle proves.

    Args:
        signers: operators whose signatures stand in the certificate.
    """

    signed: SignedTransaction
    receipt: Receipt
    header: Header
    certificate: Certificate
    record: EpochRecord

    @property
    def signers(self) -> tuple[str, ...]:
        """List the operators who signed."""
        return tuple(self.record.validators[i].operator for i in self.certificate.signer_indexes())


def make_bundle(answer: dict[str, Any], transaction: str) -> Bundle:
    """Make the file out of what `tx_getReceipt` with proof answers; nothing is checked here."""
    return Bundle(
        FORMAT,
        str(answer["genesisHash"]),
        transaction,
        str(answer["receipt"]["raw"]),
        str(answer["header"]),
        str(answer["certificate"]),
        [str(step) for step in answer["proof"]],
        [str(record) for record in answer["epochs"]],
    )


def decode_bundle(data: bytes) -> Bundle:
    """Read a file.

    Raises:
        Rejected: TOO_LARGE, MALFORMED.
    """
    if len(data) > BUNDLE_BYTES_MAX:
        raise Rejected(Code.TOO_LARGE, f"{len(data)} bytes, limit {BUNDLE_BYTES_MAX}")
    try:
        bundle = msgspec.json.decode(data, type=Bundle)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Rejected(Code.MALFORMED, "not a receipt file of this program") from None
    if bundle.format != FORMAT:
        raise Rejected(Code.MALFORMED, f"format {bundle.format[:32]!r}, this program reads {FORMAT}")
    return bundle


def verify_bundle(bundle: Bundle, genesis: Genesis) -> Proven:
    """Check a receipt against the genesis that the member pinned.

    *Rules*: 1. the bundle is of this chain. 2. the epoch record is the one that genesis founds. 3. a quorum
    of its validators signed the header. 4. the receipt stands under the header's receipts root. 5. the
    receipt is that of the transaction.

    Raises:
        Rejected: BAD_PROOF, WRONG_CHAIN, or what a part refuses with.
    """
    genesis_hash = genesis.compute_hash()
    if _bytes(bundle.genesis_hash, 32) != genesis_hash:
        raise Rejected(Code.WRONG_CHAIN, "the receipt is of another chain than the one you are connected to")
    header_bytes = _bytes(bundle.header, 4_096)
    header = decode_header(header_bytes)
    record = _find_record(bundle, header, genesis)
    certificate = decode_certificate(_bytes(bundle.certificate, 64 * 1024))
    block_id = compute_block_id(header_bytes)
    if header.genesis_hash != genesis_hash:
        raise Rejected(Code.WRONG_CHAIN, "the header is of another chain")
    if (certificate.block_id, certificate.height) != (block_id, header.height):
        raise Rejected(Code.BAD_PROOF, "the certificate is of another block")
    check_certificate(certificate, record, genesis_hash)
    receipt_bytes = _bytes(bundle.receipt, BUNDLE_BYTES_MAX)
    receipt = decode_receipt(receipt_bytes)
    if len(bundle.proof) > LIST_LEVELS_MAX:
        raise Rejected(Code.BAD_PROOF, "the way to the receipts root is too long")
    proof = ListProof(tuple(_bytes(step, 32) for step in bundle.proof))
    if receipt.height != header.height:
        raise Rejected(Code.BAD_PROOF, "the receipt is of another height")
    if not verify_item(header.receipts_root, header.tx_count, receipt.index, receipt_bytes, proof):
        raise Rejected(Code.BAD_PROOF, "the receipt does not stand under the receipts root")
    signed = decode_signed(_bytes(bundle.transaction, TX_SIGNED_BYTES_MAX), genesis_hash)
    if signed.id != receipt.tx_id:
        raise Rejected(Code.BAD_PROOF, "the receipt is of another transaction")
    return Proven(signed, receipt, header, certificate, record)


def explain(proven: Proven) -> Iterator[str]:
    """Say in one line each what was proved."""
    yield f"chain        genesis {proven.header.genesis_hash.hex()[:16]}... is the one you pinned"
    signers, total = proven.signers, len(proven.record.validators)
    signed = f"{len(signers)} of {total} operators signed block {proven.header.height:,}"
    yield f"certificate  {signed}: {', '.join(signers)}"
    yield f"receipt      stands at place {proven.receipt.index} under the receipts root of that block"
    yield f"transaction  {format_tx_id(proven.signed.id)}"
    yield f"result       {'applied' if proven.receipt.is_ok else f'failed with code {proven.receipt.code}'}"


def _find_record(bundle: Bundle, header: Header, genesis: Genesis) -> EpochRecord:
    """Return the record that certifies the header.

    A later epoch than the first is decided by blocks that this bundle does not hold yet.
    """
    if header.epoch >= len(bundle.epochs) or header.epoch > 0:
        raise Rejected(Code.BAD_PROOF, f"epoch {header.epoch} is not proved by this file")
    record = read_epoch(codec.decode(_bytes(bundle.epochs[0], EPOCH_BYTES_MAX), EPOCH_BYTES_MAX))
    if record.compute_hash() != genesis.epoch.compute_hash() or record.compute_hash() != header.epoch_hash:
        raise Rejected(Code.BAD_PROOF, "the validators are not those that genesis founds")
    return record


def _bytes(text: str, size_max: int) -> bytes:
    if not text.startswith("0x") or len(text) > 2 + 2 * size_max:
        raise Rejected(Code.MALFORMED, "a part is not 0x-hex, or too long")
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise Rejected(Code.MALFORMED, "a part is not 0x-hex") from None
