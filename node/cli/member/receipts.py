"""A receipt that proves itself: the file that `coop pay` saves and `coop verify receipt` checks.

The check needs the genesis document whose hash the member pinned, and what the member has proved of the
chain's epochs before (`epoch_chain.py`): no node, no network. What it proves: the validators of the chain
certified a block that holds this transaction with this result.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from node.cli.member.epoch_chain import EpochChain, Seal, read_hex, read_proof
from node.job_proof import JobProof, verify_run
from protocol import crypto
from protocol.addresses import format_tx_id
from protocol.chain.block import Header
from protocol.chain.certificate import Certificate
from protocol.chain.receipt import RECEIPT_BYTES_MAX, Receipt
from protocol.chain.transaction import SignedTransaction, decode_signed
from protocol.chain.validators import EpochRecord
from protocol.errors import Code, Rejected
from protocol.light import verify_header, verify_receipt
from protocol.merkle.proof import PAGE_BYTES_MAX, SIBLINGS_BYTES, ListProof, StateProof
from protocol.params import JOB_INDEX_FIRST, STATE_VALUE_BYTES_MAX, TX_SIGNED_BYTES_MAX

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
    seals: list[Seal]
    job: "RunProof | None" = None


class RunProof(msgspec.Struct, frozen=True):
    """What proves the run of a job: a state proof of the record that names the runs of its block."""

    runs: int
    value: str
    page: str
    siblings: list[str]


@dataclass(frozen=True, slots=True)
class Proven:
    """What a bundle proves.

    Args:
        signed: None for the run of a job.
        signers: operators whose signatures stand in the certificate.
    """

    signed: SignedTransaction | None
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
        msgspec.convert(answer.get("job"), RunProof | None),
    )


def load_bundle(path: Path) -> Bundle:
    """Read a file of this or another machine.

    Raises:
        OSError: it cannot be read.
        Rejected: as `decode_bundle`.
    """
    with path.open("rb") as file:
        return decode_bundle(file.read(BUNDLE_BYTES_MAX + 1))


def decode_bundle(data: bytes) -> Bundle:
    """Read the content of a file.

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


def verify_bundle(bundle: Bundle, epochs: EpochChain) -> Proven:
    """Check a receipt; proofs of epochs that it brings along are taken into `epochs`.

    *Rules*: 1. the bundle is of this chain. 2. every epoch since genesis was handed over by a final header,
    and none contradicts what is known (`EpochChain.check`). 3. header, certificate and receipt hold
    (`protocol/light.py`; `node/job_proof.py` for the run of a job). 4. the receipt is that of the
    transaction, whose signatures hold.

    Raises:
        Rejected: BAD_PROOF, WRONG_CHAIN, or what a part refuses with.
        Failure: the chain is forked, or went back to Raft and the owner has not accepted that.
    """
    genesis_hash = read_hex(bundle.genesis_hash, 32)
    if genesis_hash != epochs.genesis_hash:
        raise Rejected(Code.WRONG_CHAIN, "the receipt is of another chain than the one you are connected to")
    epochs.follow(bundle.seals)
    final = read_proof(bundle.header, bundle.certificate)
    trust, header, certificate = epochs.check(final), final.header, final.certificate
    proof = ListProof.from_value(tuple(read_hex(step, 32) for step in bundle.proof))
    raw = read_hex(bundle.receipt, RECEIPT_BYTES_MAX)
    if bundle.job is not None:
        verify_header(trust, header, certificate)
        run = verify_run(header, _read_run_proof(bundle.job), raw, bundle.job.runs, proof)
        return Proven(None, run, header, certificate, trust.record)
    receipt = verify_receipt(trust, header, certificate, raw, proof)
    signed = decode_signed(read_hex(bundle.transaction, TX_SIGNED_BYTES_MAX), trust.genesis_hash)
    if signed.id != receipt.tx_id:
        raise Rejected(Code.BAD_PROOF, "the receipt is of another transaction")
    if not all(crypto.verify_many(signed.signature_checks())):
        raise Rejected(Code.BAD_SIG, "a signature of the transaction does not hold")
    return Proven(signed, receipt, header, certificate, trust.record)


def _read_run_proof(given: RunProof) -> JobProof:
    page = read_hex(given.page, PAGE_BYTES_MAX)
    siblings = tuple(read_hex(level, SIBLINGS_BYTES) for level in given.siblings)
    return JobProof(read_hex(given.value, STATE_VALUE_BYTES_MAX), StateProof.from_value((page, siblings)))


def explain(proven: Proven) -> Iterator[str]:
    """Say in one line each what was proved."""
    yield f"chain        genesis {proven.header.genesis_hash.hex()[:16]}... is the one you pinned"
    signers, total = proven.signers, len(proven.record.validators)
    signed = f"{len(signers)} of {total} operators signed block {proven.header.height:,}"
    yield f"certificate  {signed}: {', '.join(signers)}"
    yield f"epoch        {proven.record.number}, {proven.record.engine.name}, proved from genesis on"
    if proven.signed is None:
        place = proven.receipt.index - JOB_INDEX_FIRST
        yield f"receipt      stands at place {place} among the jobs that the state root of that block names"
        yield f"job run      {format_tx_id(proven.receipt.tx_id)}"
    else:
        yield f"receipt      stands at place {proven.receipt.index} under the receipts root of that block"
        yield f"transaction  {format_tx_id(proven.signed.id)}"
    yield f"result       {'applied' if proven.receipt.is_ok else f'failed with code {proven.receipt.code}'}"
