"""What happened and why, in one answer: `audit_explain` of a transaction or of the run of a job.

It puts together what is stored: the signed program with the names of its calls, who signed, what each call
needed and by which authority it ran, what failed by which rule at which limit, the movements of money with
the balances they left, what was said, and who certified the block. It judges nothing anew: the receipt is
what all nodes agreed on.
"""

from typing import Any, assert_never

from node.books.export import Place, show_ref
from node.books.postings import Posting, decode_posting
from node.rpc.dispatch import Method
from node.rpc.failure import error_object, failure_of_receipt
from node.rpc.forms import (
    CallForm,
    EventForm,
    Form,
    certificate_form,
    event_form,
    find_job,
    memo_text,
    program_form,
)
from node.rpc.methods.params import Params, TxIdParam
from node.rpc.methods.tx import find_done, read_id
from node.rpc.service import Call
from node.rpc.values import camel, plain_json, to_hex
from protocol import codec
from protocol.addresses import format_address, format_tx_id, parse_address
from protocol.chain.receipt import Receipt, decode_receipt
from protocol.chain.transaction import SignedTransaction, decode_signed
from protocol.codec import Value
from protocol.contracts import auth, sched
from protocol.contracts.ledger.accounts import ACCOUNT_BYTES
from protocol.contracts.registry.upgrades import get_versions
from protocol.vm.contract import Capability, Owner, Role, Signed, System
from protocol.vm.contract import Method as ContractMethod
from protocol.vm.view import StateReader, View


class ExplainParams(Params):
    """The id of a transaction or of the run of a job."""

    id: TxIdParam


class SignerForm(Form):
    """Whose key signed."""

    actor: str
    public_key: str


class ExplainedCall(Form):
    """A call with what it needed.

    `needs` are the capabilities of which one suffices; `authority` is the one it had, nil when the state
    before the block is not kept any more; `version` is that of the contract in this block, nil likewise.
    """

    contract: str
    method: str
    version: int | None
    does: str
    arguments: Any
    actor: str | None
    grant: int | None
    needs: list[str]
    authority: str | None
    result: Any


class FailureForm(Form):
    """Why it failed: the call, the rule with its limit and the actual value, and what to do."""

    instruction: int | None
    code: int
    rule: str | None
    limit: Any
    actual: Any
    message: str
    why: str
    fix: str


class LegForm(Form):
    """Money that moved, with the balances it left; an account that keeps no journal has none."""

    debit: str
    credit: str
    asset: int
    amount: str
    code: int
    reference: str
    debit_balance: str | None
    credit_balance: str | None


class Explanation(Form):
    """What happened."""

    id: str
    ref: str
    kind: str
    ok: bool
    height: int
    index: int
    time: int
    block: str
    proposer: str
    certified_by: list[str]
    actors: list[str]
    payer: str | None
    job: int | None
    signers: list[SignerForm]
    memo: str
    gas: int
    calls: list[ExplainedCall]
    failure: FailureForm | None
    legs: list[LegForm]
    events: list[EventForm]


async def explain(call: Call, params: ExplainParams) -> Explanation:
    """Tell what a transaction or the run of a job did, by whose authority, and why it failed."""
    run_id = read_id(params.id)
    with call.sound() as chain:
        found = find_done(call, chain, run_id)
        header, index, height = found.header, found.index, found.header.height
        raw = None if found.is_job else chain.transactions(header)[index]
        certificate = certificate_form(*chain.certificate(header))
    receipt = decode_receipt(found.receipt)
    signed = None if raw is None else decode_signed(raw, call.facts.genesis_hash)
    job, owner = find_job(receipt)
    with call.store.view_at(height - 1) as before:
        if signed is not None:
            actors = [format_address(actor, call.facts.hrp) for actor in signed.tx.actors]
            program: Value = signed.tx.program
        else:
            actors = [] if owner is None else [format_address(owner, call.facts.hrp)]
            program = None if job is None or before is None else _job_program(before, job)
        forms = program_form(program, actors, call.facts)
        calls = [_explain_call(call, before, form, at, receipt) for at, form in enumerate(forms)]
    place = Place(call.facts.genesis.name, call.facts.hrp, 0, {}, height, header.time_ms // 1_000)
    return Explanation(
        to_hex(run_id),
        format_tx_id(run_id),
        "job" if signed is None else "transaction",
        receipt.is_ok,
        height,
        index,
        header.time_ms,
        to_hex(header.compute_id()),
        to_hex(header.proposer),
        certificate.signers,
        actors,
        None if signed is None else _payer(signed, actors, call.facts.hrp),
        job,
        []
        if signed is None
        else [SignerForm(actors[s.actor], to_hex(s.public_key)) for s in signed.signatures],
        "" if signed is None else memo_text(signed.tx.memo),
        receipt.gas,
        calls,
        None if receipt.is_ok else _failure(call, receipt),
        list_legs(call.store.journal_rows(height), index, place),
        [event_form(event, call.facts) for event in receipt.events],
    )


def list_legs(raws: tuple[bytes, ...], index: int, place: Place) -> list[LegForm]:
    """List the movements of one transaction or job out of the journal rows of its block, in order.

    A movement has a row in the journal of each of its accounts, the debited one first; each names the other
    account. One whose partner keeps no journal stands alone.
    """
    rows = [decode_posting(bytes(ACCOUNT_BYTES), 0, raw) for raw in raws]
    rows = [row for row in rows if row.index == index]
    legs, at = [], 0
    while at < len(rows):
        row, other = rows[at], rows[at + 1] if at + 1 < len(rows) else None
        if other is not None and _are_one(row, other):
            legs.append(_leg(other.contra, row.contra, row, row.balance, other.balance, place))
            at += 2
            continue
        if row.is_credit:
            legs.append(_leg(row.contra, None, row, None, row.balance, place))
        else:
            legs.append(_leg(None, row.contra, row, row.balance, None, place))
        at += 1
    return legs


def _are_one(row: Posting, other: Posting) -> bool:
    same = (row.amount, row.code, row.ref) == (other.amount, other.code, other.ref)
    return same and not row.is_credit and other.is_credit and row.contra[22:26] == other.contra[22:26]


def _leg(
    debit: bytes | None,
    credit: bytes | None,
    row: Posting,
    debit_balance: int | None,
    credit_balance: int | None,
    place: Place,
) -> LegForm:
    known = debit or credit
    assert known is not None
    return LegForm(
        "?" if debit is None else place.account(debit),
        "?" if credit is None else place.account(credit),
        int.from_bytes(known[22:26], "big"),
        str(row.amount),
        row.code,
        show_ref(row.ref),
        None if debit_balance is None else str(debit_balance),
        None if credit_balance is None else str(credit_balance),
    )


def _job_program(before: StateReader, job: int) -> Value:
    raw = sched.get_program(View(before), job)
    return codec.decode_own(raw) if raw else None


def _payer(signed: SignedTransaction, actors: list[str], hrp: str) -> str:
    payer = signed.tx.payer
    return actors[payer] if isinstance(payer, int) else format_address(payer, hrp)


def _explain_call(
    call: Call, before: StateReader | None, form: CallForm, at: int, receipt: Receipt
) -> ExplainedCall:
    registry = call.facts.registry
    contract = registry.by_name.get(form.contract)
    methods = () if contract is None else contract.methods
    method = next((one for one in methods if camel(one.name) == form.method), None)
    needs = [] if method is None else [_name_capability(c) for c in method.capabilities]
    running = None if before is None else registry.at(get_versions(View(before)))
    ran = None if running is None else running.by_name.get(form.contract)
    return ExplainedCall(
        form.contract,
        form.method,
        None if ran is None else ran.version,
        "" if method is None else method.doc,
        form.arguments,
        form.actor,
        form.grant,
        needs,
        _find_authority(before, form, method),
        plain_json(receipt.results[at]) if at < len(receipt.results) else None,
    )


def _name_capability(capability: Capability) -> str:
    match capability:
        case Owner(argument=argument):
            return f"owner of {argument}"
        case Role(name=name):
            return f"role {name}"
        case System(name=name):
            return f"system {name}"
        case Signed():
            return "any account's signature"
        case _:
            assert_never(capability)


def _find_authority(before: StateReader | None, form: CallForm, method: ContractMethod | None) -> str | None:
    """Return by which capability a call ran; None when it had none, or when that cannot be told any more."""
    if method is None or form.actor is None:
        return None
    if form.grant is not None:
        return f"grant {form.grant}, used by {form.actor}"
    _, actor = parse_address(form.actor)
    for capability in method.capabilities:
        match capability:
            case Owner(argument=argument):
                named = form.arguments.get(camel(argument)) if isinstance(form.arguments, dict) else None
                if named == form.actor:
                    return _name_capability(capability)
            case Role(name=name):
                if before is not None and auth.holds_role(View(before), actor, name):
                    return _name_capability(capability)
            case Signed():
                return _name_capability(capability)
            case System():
                continue
    return None


def _failure(call: Call, receipt: Receipt) -> FailureForm:
    reason, failure = receipt.reason, failure_of_receipt(receipt, call.facts.registry)
    text = error_object(failure.entry, failure.params, call.language)
    return FailureForm(
        receipt.failed_instruction,
        receipt.code,
        None if reason is None else reason.rule,
        None if reason is None else plain_json(reason.limit),
        None if reason is None else plain_json(reason.actual),
        text["message"],
        text["data"]["why"],
        text["data"]["fix"],
    )


METHODS: tuple[Method[Any], ...] = (
    Method(
        "audit_explain",
        ExplainParams,
        Explanation,
        "What happened, by whose authority, by which rules, and which money moved.",
        explain,
        ("tx.unknown", "chain.damaged"),
    ),
)
