"""A receipt that proves itself: the file that `coop pay` saves and `coop verify receipt` checks.

The check needs the genesis document whose hash the member pinned, and nothing else: no node, no network. What
it proves: the validators of the chain certified a block that holds this transaction with this result.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocol import codec, crypto
from protocol.addresses import format_tx_id
from protocol.chain.block import HEADER_BYTES_MAX, Header, decode_header
from protocol.chain.certificate import CERTIFICATE_BYTES_MAX, Certificate, decode_certificate
from protocol.chain.genesis import Genesis
from protocol.chain.receipt import RECEIPT_BYTES_MAX, Receipt
from protocol.chain.transaction import SignedTransaction, decode_signed
from protocol.chain.validators import EPOCH_BYTES_MAX, EpochRecord, read_epoch
from protocol.errors import Code, Rejected
from protocol.light import cross_epoch, trust_genesis, verify_receipt
from protocol.merkle.proof import ListProof
from protocol.params import TX_SIGNED_BYTES_MAX

FORMAT: Final = "coop-receipt/1"
BUNDLE_BYTES_MAX: Final = 4 * 1024 * 1024


class Seal(msgspec.Struct, frozen=True):
    """The end of an epoch: its last header, the certificate of that, and the record that follows."""

    header: str
    certificate: str
    record: str


class Bundle(msgspec.Struct, frozen=True):
    """The file: everything as 0x-hex of canonical bytes."""

    format: str
    genesis_hash: str
    transaction: str
    receipt: str
    header: str
    certificate: str
    proof: list[str]
    seals: list[Seal]


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
        msgspec.convert(answer["seals"], list[Seal]),
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

    *Rules*: 1. the bundle is of this chain. 2. every epoch since genesis was handed over by a final header.
    3. header, certificate and receipt hold (`protocol/light.py`). 4. the receipt is that of the transaction,
    whose signatures hold.

    Raises:
        Rejected: BAD_PROOF, WRONG_CHAIN, or what a part refuses with.
    """
    trust = trust_genesis(genesis)
    if _bytes(bundle.genesis_hash, 32) != trust.genesis_hash:
        raise Rejected(Code.WRONG_CHAIN, "the receipt is of another chain than the one you are connected to")
    for seal in bundle.seals:
        record = read_epoch(codec.decode(_bytes(seal.record, EPOCH_BYTES_MAX), EPOCH_BYTES_MAX))
        trust = cross_epoch(trust, _header(seal.header), _certificate(seal.certificate), record)
    header, certificate = _header(bundle.header), _certificate(bundle.certificate)
    proof = ListProof.from_value(tuple(_bytes(step, 32) for step in bundle.proof))
    receipt = verify_receipt(trust, header, certificate, _bytes(bundle.receipt, RECEIPT_BYTES_MAX), proof)
    signed = decode_signed(_bytes(bundle.transaction, TX_SIGNED_BYTES_MAX), trust.genesis_hash)
    if signed.id != receipt.tx_id:
        raise Rejected(Code.BAD_PROOF, "the receipt is of another transaction")
    if not all(crypto.verify_many(signed.signature_checks())):
        raise Rejected(Code.BAD_SIG, "a signature of the transaction does not hold")
    return Proven(signed, receipt, header, certificate, trust.record)


def explain(proven: Proven) -> Iterator[str]:
    """Say in one line each what was proved."""
    yield f"chain        genesis {proven.header.genesis_hash.hex()[:16]}... is the one you pinned"
    signers, total = proven.signers, len(proven.record.validators)
    signed = f"{len(signers)} of {total} operators signed block {proven.header.height:,}"
    yield f"certificate  {signed}: {', '.join(signers)}"
    yield f"receipt      stands at place {proven.receipt.index} under the receipts root of that block"
    yield f"transaction  {format_tx_id(proven.signed.id)}"
    yield f"result       {'applied' if proven.receipt.is_ok else f'failed with code {proven.receipt.code}'}"


def _header(text: str) -> Header:
    return decode_header(_bytes(text, HEADER_BYTES_MAX))


def _certificate(text: str) -> Certificate:
    return decode_certificate(_bytes(text, CERTIFICATE_BYTES_MAX))


def _bytes(text: str, size_max: int) -> bytes:
    if not text.startswith("0x") or len(text) > 2 + 2 * size_max:
        raise Rejected(Code.MALFORMED, "a part is not 0x-hex, or too long")
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise Rejected(Code.MALFORMED, "a part is not 0x-hex") from None
