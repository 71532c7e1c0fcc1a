"""How blocks, transactions and receipts look in JSON: the result types of the methods.

Decodes what members signed into names: contract, method and event names come from the registry of the chain.
What a registry does not know is shown as plain values, never refused.
"""

from typing import Any, Final

import msgspec

from node.rpc.service import ChainFacts
from node.rpc.values import camel, kind_json, plain_json, to_hex
from protocol.addresses import format_address, format_tx_id
from protocol.chain.block import Header
from protocol.chain.certificate import Certificate
from protocol.chain.receipt import Event, Receipt
from protocol.chain.transaction import SignedTransaction
from protocol.chain.validators import EpochRecord
from protocol.codec import Value
from protocol.contracts import sched
from protocol.types import Address
from protocol.vm.program import NO_ACTOR


class Form(msgspec.Struct, rename="camel"):
    """A JSON object with names in camelCase."""


class HeaderForm(Form):
    """A header; `id` is its digest, `raw` the bytes that the digest is of."""

    id: str
    height: int
    time: int
    epoch: int
    view: int
    proposer: str
    parent_id: str
    tx_root: str
    tx_count: int
    state_root: str
    receipts_root: str
    raw: str


class CertificateForm(Form):
    """Who signed a block: operators, signatures, and the bytes."""

    height: int
    epoch: int
    view: int
    kind: str
    block_id: str
    signers: list[str]
    signatures: list[str]
    raw: str


class CallForm(Form):
    """One instruction of a program: a call with named arguments, or an assertion.

    `grant` is the number of the grant by which the actor uses another one's authority.
    """

    contract: str
    method: str
    actor: str | None
    arguments: Any
    grant: int | None = None


class TxForm(Form):
    """What somebody signed."""

    id: str
    ref: str
    actors: list[str]
    payer: str
    lane: int
    sequence: int
    valid_until: int
    gas_limit: int
    gas_price: int
    program: list[CallForm]
    memo: str
    raw: str


class EventForm(Form):
    """Something a contract said."""

    contract: str
    event: str
    fields: Any


class ReceiptForm(Form):
    """What became of a transaction."""

    id: str
    ref: str
    height: int
    index: int
    ok: bool
    code: int
    gas: int
    results: Any
    events: list[EventForm]
    failed_instruction: int | None
    reason: Any
    raw: str


class RunForm(Form):
    """The run of a job: which job of whom, and what became of it; nil where the run took its job back."""

    job: int | None
    owner: str | None
    receipt: ReceiptForm


class ValidatorForm(Form):
    """A consensus participant."""

    operator: str
    consensus_key: str
    node_key: str
    power: int


class EpochForm(Form):
    """Who certifies from a height on, by which rule."""

    number: int
    protocol: str
    since_height: int
    quorum: int
    validators: list[ValidatorForm]


class SealForm(Form):
    """The end of an epoch: its last header, the certificate of that, and the record that follows.

    All three are the bytes as 0x-hex, for `light.cross_epoch`.
    """

    header: str
    certificate: str
    record: str


class BlockForm(Form):
    """A block; transactions, and the runs of jobs before them, are ids, or whole when asked for."""

    header: HeaderForm
    transactions: list[Any]
    jobs: list[Any]
    certificate: CertificateForm | None


def header_form(header: Header) -> HeaderForm:
    """Write a header."""
    return HeaderForm(
        to_hex(header.compute_id()),
        header.height,
        header.time_ms,
        header.epoch,
        header.view,
        to_hex(header.proposer),
        to_hex(header.parent_id),
        to_hex(header.tx_root),
        header.tx_count,
        to_hex(header.state_root),
        to_hex(header.receipts_root),
        to_hex(header.encode()),
    )


def certificate_form(certificate: Certificate, record: EpochRecord | None) -> CertificateForm:
    """Write a certificate; operators are named when their epoch is known."""
    signers = certificate.signer_indexes()
    names = [record.validators[i].operator if record is not None else str(i) for i in signers]
    return CertificateForm(
        certificate.height,
        certificate.epoch,
        certificate.view,
        certificate.kind.name.lower(),
        to_hex(certificate.block_id),
        names,
        [to_hex(signature) for signature in certificate.signatures],
        to_hex(certificate.encode()),
    )


def epoch_form(record: EpochRecord) -> EpochForm:
    """Write an epoch record."""
    return EpochForm(
        record.number,
        record.engine.name.lower(),
        record.first_height,
        record.quorum,
        [
            ValidatorForm(v.operator, to_hex(v.consensus_key), to_hex(v.node_key), 1)
            for v in record.validators
        ],
    )


def transaction_form(signed: SignedTransaction, facts: ChainFacts) -> TxForm:
    """Write a transaction with the names of what it calls."""
    tx = signed.tx
    actors = [format_address(actor, facts.hrp) for actor in tx.actors]
    payer = actors[tx.payer] if isinstance(tx.payer, int) else format_address(tx.payer, facts.hrp)
    return TxForm(
        to_hex(signed.id),
        format_tx_id(signed.id),
        actors,
        payer,
        tx.lane,
        tx.sequence,
        tx.valid_until,
        tx.gas_limit,
        tx.gas_price,
        program_form(tx.program, actors, facts),
        memo_text(tx.memo),
        to_hex(signed.raw),
    )


def memo_text(memo: bytes) -> str:
    """Write a memo as text where it is text, else as 0x-hex."""
    try:
        text = memo.decode("utf-8")
    except UnicodeDecodeError:
        return to_hex(memo)
    return text if all(char >= " " for char in text) else to_hex(memo)


def program_form(program: Value, actors: list[str], facts: ChainFacts) -> list[CallForm]:
    """Write a program, instruction by instruction; whatever is in it."""
    instructions = program[1] if isinstance(program, tuple) and len(program) == 2 else ()
    return [
        _instruction_form(instruction, actors, facts)
        for instruction in (instructions if isinstance(instructions, tuple) else ())
    ]


def _instruction_form(instruction: Value, actors: list[str], facts: ChainFacts) -> CallForm:
    match instruction:
        case (0, 0, *rest):
            return CallForm("kernel", "assert", None, plain_json(tuple(rest)))
        case (int(contract_id), int(method_id), (int(actor), int(grant)), tuple(arguments)):
            plain = _instruction_form((contract_id, method_id, actor, arguments), actors, facts)
            return msgspec.structs.replace(plain, grant=grant)
        case (int(contract_id), int(method_id), int(actor), tuple(arguments)):
            known = facts.registry.methods.get((contract_id, method_id))
            name = None if actor == NO_ACTOR or actor >= len(actors) else actors[actor]
            if known is None or len(known[1].arguments) != len(arguments):
                return CallForm(str(contract_id), str(method_id), name, plain_json(arguments))
            contract, method = known
            named = {
                camel(declared.name): kind_json(declared.kind, value, facts.hrp)
                for declared, value in zip(method.arguments, arguments, strict=True)
            }
            return CallForm(contract.name, camel(method.name), name, named)
        case _:
            return CallForm("?", "?", None, plain_json(instruction))


def receipt_form(receipt: Receipt, facts: ChainFacts) -> ReceiptForm:
    """Write a receipt."""
    reason = receipt.reason
    return ReceiptForm(
        to_hex(receipt.tx_id),
        format_tx_id(receipt.tx_id),
        receipt.height,
        receipt.index,
        receipt.is_ok,
        receipt.code,
        receipt.gas,
        plain_json(receipt.results),
        [event_form(event, facts) for event in receipt.events],
        receipt.failed_instruction,
        None
        if reason is None
        else {"rule": reason.rule, "limit": plain_json(reason.limit), "actual": plain_json(reason.actual)},
        to_hex(receipt.encode()),
    )


def run_form(receipt: Receipt, facts: ChainFacts) -> RunForm:
    """Write the run of a job."""
    job, owner = find_job(receipt)
    return RunForm(
        job, None if owner is None else format_address(owner, facts.hrp), receipt_form(receipt, facts)
    )


def find_job(receipt: Receipt) -> tuple[int | None, Address | None]:
    """Return number and owner of the job that a run was of, as its last event says."""
    match receipt.events[-1:]:
        case (Event(sched.ID, kind, (int(job), bytes(owner), *_)),) if kind in _RUN_EVENTS:
            return job, Address(owner)
    return None, None


_RUN_EVENTS: Final = (sched.RAN.id, sched.FAILED.id, sched.QUARANTINE.id)


def event_form(event: Event, facts: ChainFacts) -> EventForm:
    """Write an event with the names of its schema."""
    contract = facts.registry.by_id.get(event.contract)
    if contract is None:
        return EventForm(str(event.contract), str(event.event), plain_json(event.fields))
    for declared in contract.events:
        if declared.id == event.event and len(declared.fields) == len(event.fields):
            named = {
                camel(field.name): kind_json(field.kind, value, facts.hrp)
                for field, value in zip(declared.fields, event.fields, strict=True)
            }
            return EventForm(contract.name, camel(declared.name), named)
    return EventForm(contract.name, str(event.event), plain_json(event.fields))
