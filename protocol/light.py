"""The light client: check one receipt or one entry of the state against the identity of the chain, offline.

It trusts a `Trust` and nothing else: the genesis hash with the record of epoch 0 (both from the genesis
document that the co-op published), or what `cross_epoch` made of them. Whoever hands it headers,
certificates and proofs may lie. Every refusal is `Rejected(BAD_PROOF)` and names the step that fails.

It knows neither network nor files, and nothing about how blocks came to be certified.

*Source*: consensus.md 2.7: one certificate per epoch change plus one for the newest header, no skipping
rules.
"""

from dataclasses import dataclass

from protocol import crypto
from protocol.chain.block import Header
from protocol.chain.certificate import Certificate, check_certificate
from protocol.chain.genesis import Genesis
from protocol.chain.receipt import Receipt, decode_receipt
from protocol.chain.restart import check_restart, is_restart
from protocol.chain.validators import EpochRecord, VerifySignature
from protocol.errors import Code, Rejected
from protocol.merkle import proof as merkle
from protocol.types import Hash32


@dataclass(frozen=True, slots=True)
class Trust:
    """What a member believes before seeing any proof.

    Args:
        record: of the epoch whose headers can be checked.
        accepted: hashes of the records of restarts that the owner accepted by hand (M14).
    """

    genesis_hash: Hash32
    record: EpochRecord
    accepted: tuple[Hash32, ...] = ()


def trust_genesis(genesis: Genesis, accepted: tuple[Hash32, ...] = ()) -> Trust:
    """Trust a genesis document: it names the first validators, and its hash is the chain.

    Args:
        accepted: restarts that the owner accepted by hand.
    """
    return Trust(genesis.compute_hash(), genesis.epoch, accepted)


def verify_header(
    trust: Trust, header: Header, certificate: Certificate, verify: VerifySignature = crypto.verify
) -> None:
    """Check that a header is final.

    *Rules*: 1. it is of this chain. 2. of the trusted epoch. 3. the certificate is of this header. 4. a
    quorum of the epoch signed it.

    Raises:
        Rejected: `BAD_PROOF`.
    """
    if header.genesis_hash != trust.genesis_hash:
        raise _refusal("chain", "header of another chain")
    if header.epoch != trust.record.number or header.epoch_hash != trust.record.compute_hash():
        raise _refusal("epoch", f"header of epoch {header.epoch}, trusted is {trust.record.number}")
    if certificate.block_id != header.compute_id() or certificate.height != header.height:
        raise _refusal("certificate", "it is of another block")
    try:
        check_certificate(certificate, trust.record, trust.genesis_hash, verify)
    except Rejected as refusal:
        raise _refusal("certificate", refusal.detail) from None


def cross_epoch(
    trust: Trust,
    seal: Header,
    certificate: Certificate,
    next_record: EpochRecord,
    verify: VerifySignature = crypto.verify,
) -> Trust:
    """Go from one epoch to the next by the last header of the old one.

    Raises:
        Rejected: `BAD_PROOF`: the header is not final, no seal, or does not name the record; or the record
            is a restart that the owner has not accepted.
    """
    verify_header(trust, seal, certificate, verify)
    old_hash, new_hash = trust.record.compute_hash(), next_record.compute_hash()
    if is_restart(seal, next_record):
        check_restart(seal, trust.record, next_record)
        if needs_acceptance(trust, seal, next_record):
            raise _refusal("restart", f"the owner has not accepted record {new_hash.hex()}")
        return Trust(trust.genesis_hash, next_record, trust.accepted)
    if not seal.is_seal or seal.next_epoch_hash != new_hash:
        raise _refusal("seal", "the header does not hand over to this record")
    is_next = (
        next_record.number == trust.record.number + 1
        and next_record.first_height == seal.height + 1
        and next_record.previous_hash == old_hash
    )
    if not is_next:
        raise _refusal("seal", f"record {next_record.number} does not follow record {trust.record.number}")
    return Trust(trust.genesis_hash, next_record, trust.accepted)


def needs_acceptance(trust: Trust, header: Header, next_record: EpochRecord) -> bool:
    """Tell whether a record restarts the chain, and the owner has not accepted that by hand."""
    return is_restart(header, next_record) and next_record.compute_hash() not in trust.accepted


def verify_receipt(
    trust: Trust,
    header: Header,
    certificate: Certificate,
    receipt_bytes: bytes,
    proof: merkle.ListProof,
) -> Receipt:
    """Check that a receipt stands in a final block, and return it decoded.

    Raises:
        Rejected: `BAD_PROOF`: a step fails; or what decoding a receipt raises.
    """
    verify_header(trust, header, certificate)
    receipt = decode_receipt(receipt_bytes)
    if receipt.height != header.height:
        raise _refusal("receipt", f"of height {receipt.height}, header of {header.height}")
    if not merkle.verify_item(header.receipts_root, header.tx_count, receipt.index, receipt_bytes, proof):
        raise _refusal("receipt", "it does not stand under the receipts root")
    return receipt


def verify_state(
    trust: Trust,
    header: Header,
    certificate: Certificate,
    key: bytes,
    value: bytes | None,
    proof: merkle.StateProof,
) -> None:
    """Check that the state after a final block holds exactly this value at a key; None: nothing.

    Raises:
        Rejected: `BAD_PROOF`.
    """
    verify_header(trust, header, certificate)
    if not merkle.verify_state(header.state_root, key, value, proof):
        raise _refusal("state", "the entry does not stand under the state root")


def _refusal(step: str, detail: str) -> Rejected:
    return Rejected(Code.BAD_PROOF, f"{step}: {detail}")
